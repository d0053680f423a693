/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *what)
{
	perror(what);
	exit(1);
}

bool bench_given(int argc, char **argv, const char *word)
{
	while (--argc > 0)
		if (strcmp(argv[argc], word) == 0)
			return true;
	return false;
}

/* Accepted sockets inherit TCP_NODELAY: an answer in two pieces must not wait for an ACK.  A client
 * that is gone must not kill who has no MSG_NOSIGNAL (evbuffers, libuv). */
int bench_listen(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	signal(SIGPIPE, SIG_IGN);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		bench_die("listen");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

int bench_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && errno != EAGAIN)
		bench_die("accept");
	return fd;
}

int bench_connect(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		bench_die("connect");
	return fd;
}

double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

void *bench_alloc(size_t size)
{
	void *block = malloc(size);

	if (block == NULL)
		bench_die("malloc");
	return block;
}

void bench_raise_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int bench_file(void)
{
	static char block[1 << 20];
	FILE *file = tmpfile();
	int i;

	if (file == NULL)
		bench_die("tmpfile");
	memset(block, 'x', sizeof block);
	for (i = 0; i < BENCH_DOWNLOAD / (int)sizeof block; i++)
		if (write(fileno(file), block, sizeof block) != (ssize_t)sizeof block)
			bench_die("write");
	return fileno(file);
}
