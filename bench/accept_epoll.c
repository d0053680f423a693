/* SPDX-License-Identifier: BSD-3-Clause */

/* accept_epoll.c - connections accepted, until EAGAIN, and closed, on epoll. */

#include "bench.h"

#include <sys/epoll.h>
#include <unistd.h>

int main(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener = bench_listen(), fd;
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		bench_die("epoll_ctl");
	for (;;) {
		epoll_wait(epoll, &event, 1, -1);
		while ((fd = bench_accept(listener)) >= 0)
			close(fd);
	}
}
