/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle.c - what idle channels cost: heap bytes for each, and the time of a pass with one
 * active channel beside N idle ones.
 */

#include <asyncore.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PASSES = 20000, ROUNDS = 5 };

static int peer;

static void release(struct asyncore_dispatcher *self)
{
	free(self);
}

static const struct asyncore_dispatcher_type idle_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "idle",
	.dealloc = release,
};

static int active_read(struct asyncore_dispatcher *self)
{
	char data[64];

	return asyncore_recv(self, data, sizeof data);
}

static const struct asyncore_dispatcher_type active_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "active",
	.handle_read = active_read,
	.dealloc = release,
};

static void add(const struct asyncore_dispatcher_type *type, int fd)
{
	struct asyncore_dispatcher_with_send *d = malloc(sizeof *d);
	int r = asyncore_dispatcher_with_send_init(d, type, fd, NULL);

	if (r == 0 && fd < 0)
		r = asyncore_create_socket(&d->dispatcher, AF_INET, SOCK_DGRAM);
	if (r < 0) {
		fprintf(stderr, "no more channels: %d\n", r);
		exit(1);
	}
	/* Then writable() is false until something is to be sent. */
	asyncore_set_connected(&d->dispatcher, true);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double pass(void)
{
	double ns[ROUNDS];
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		double start = now();

		for (i = 0; i < PASSES; i++) {
			if (write(peer, "x", 1) != 1)
				exit(1);
			asyncore_poll(1.0, NULL);
		}
		ns[round] = (now() - start) / PASSES;
	}
	qsort(ns, ROUNDS, sizeof *ns, compare);
	return ns[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	int fd[2], steps[] = { 100, 1000, 10000 }, i, n = 0;
	size_t before = 0, heap;

	(void)argc, (void)argv;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
		return 1;
	peer = fd[1];
	add(&active_type, fd[0]);
	asyncore_poll(0.0, NULL);
	before = mallinfo2().uordblks;

	printf("%8s %14s %12s\n", "idle", "ns per pass", "heap bytes");
	for (i = 0; i < 3; i++) {
		for (; n < steps[i]; n++)
			add(&idle_type, -1);
		asyncore_poll(0.0, NULL);
		heap = mallinfo2().uordblks - before;
		printf("%8d %14.0f %12.0f\n", n, pass(), (double)heap / n);
	}
	close(peer);
	asyncore_close_all(NULL, true);
	return 0;
}
