/* SPDX-License-Identifier: BSD-3-Clause */

#include "idle.h"

#include "bench.h"

#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

long idle_served;

/* A connection that says nothing, as cheap as one can be: a datagram socket with a peer. */
static int silent(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		bench_die("idle socket");
	return fd;
}

static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void add_idle(int n)
{
	while (n-- > 0)
		idle_add(silent());
}

static int *add_active(int n)
{
	int *peer = bench_alloc((size_t)n * sizeof *peer), pair[2], i;

	for (i = 0; i < n; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
			bench_die("socketpair");
		peer[i] = pair[0];
		idle_add_active(pair[1]);
	}
	return peer;
}

static double pass(const int *peer, int active)
{
	const long wanted = idle_served + active;
	double start;
	int i;

	for (i = 0; i < active; i++)
		if (write(peer[i], "x", 1) != 1)
			bench_die("write");
	start = bench_now();
	while (idle_served < wanted)
		idle_pass();
	return bench_now() - start;
}

int main(int argc, char **argv)
{
	int idle, active, passes, i, *peer;
	size_t bytes;
	double ns = 0;

	if (argc < 4 || (active = atoi(argv[2])) < 1)
		return 2;
	idle = atoi(argv[1]);
	passes = atoi(argv[3]);
	bench_raise_limit();
	idle_init(argc, argv);
	peer = add_active(active);
	/* What the first pass makes is not an idle connection's. */
	pass(peer, active);
	bytes = heap();
	add_idle(idle);
	pass(peer, active);
	bytes = heap() - bytes;

	for (i = 0; i < passes; i++)
		ns += pass(peer, active);
	printf("%.1f %.1f\n", passes > 0 ? ns / passes / active : 0,
	       idle > 0 ? (double)bytes / idle : 0);
	return 0;
}
