/* SPDX-License-Identifier: BSD-3-Clause */

/* urgent.c - see urgent.h. */

#include "map.h"
#include "urgent.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

int urgent_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFL, O_NONBLOCK);		/* libevent's debug mode insists on it */
	return fd;
}

void urgent_close(int urgent_fd)
{
	if (urgent_fd >= 0)
		close(urgent_fd);
}

int urgent_watch(int urgent_fd, struct asyncore_channel *c, bool renew)
{
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET, .data.ptr = c };
	int op = renew ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	return epoll_ctl(urgent_fd, op, c->fd, &event) < 0 ? -errno : 0;
}

void urgent_forget(int urgent_fd, int fd)
{
	struct epoll_event unused = { 0 };

	epoll_ctl(urgent_fd, EPOLL_CTL_DEL, fd, &unused);
}

void urgent_collect(int urgent_fd)
{
	struct epoll_event event[64];
	int i, n;

	do {
		n = epoll_wait(urgent_fd, event, 64, 0);
		for (i = 0; i < n; i++) {
			struct asyncore_channel *c = event[i].data.ptr;

			if (!(event[i].events & EPOLLPRI))
				continue;
			c->flags |= CHANNEL_URGENT_SEEN;
			map_fire(c, EVENT_URGENT);
			map_touch(c);
		}
	} while (n == 64);
}

int urgent_refuses(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int urgent_fd = urgent_open();
	int r;

	if (urgent_fd < 0)
		return urgent_fd;
	r = epoll_ctl(urgent_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
	close(urgent_fd);
	return r == -EPERM ? 1 : r;
}
