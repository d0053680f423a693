/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle_libuv.c - see idle.h.
 *
 *	idle_libuv IDLE ACTIVE PASSES [poll]
 *
 * A stream for each connection; poll: a uv_poll_t, and recv.
 */

#include "bench.h"
#include "idle.h"

#include <sys/socket.h>

#include <uv.h>

struct stream {
	uv_tcp_t tcp;	/* first */
	long served;
};

struct descriptor {
	uv_poll_t poll;	/* first */
	long served;
};

static uv_loop_t *loop;
static bool polled;
static char bytes[64];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle, (void)suggested;
	*buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n == 1) {
		((struct stream *)stream)->served++;
		idle_served++;
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	uv_os_fd_t fd;

	(void)status, (void)events;
	if (uv_fileno((uv_handle_t *)poll, &fd) == 0 && recv(fd, bytes, 1, 0) == 1) {
		((struct descriptor *)poll)->served++;
		idle_served++;
	}
}

void idle_init(int argc, char **argv)
{
	loop = uv_default_loop();
	polled = bench_given(argc, argv, "poll");
}

static void add_stream(int fd)
{
	struct stream *s = bench_alloc(sizeof *s);

	s->served = 0;
	uv_tcp_init(loop, &s->tcp);
	if (uv_tcp_open(&s->tcp, fd) < 0 ||
	    uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read) < 0)
		bench_die("uv_read_start");
}

static void add_descriptor(int fd)
{
	struct descriptor *d = bench_alloc(sizeof *d);

	d->served = 0;
	if (uv_poll_init(loop, &d->poll, fd) < 0 ||
	    uv_poll_start(&d->poll, UV_READABLE, on_poll) < 0)
		bench_die("uv_poll_start");
}

void idle_add(int fd)
{
	if (polled)
		add_descriptor(fd);
	else
		add_stream(fd);
}

void idle_add_active(int fd)
{
	idle_add(fd);
}

void idle_pass(void)
{
	uv_run(loop, UV_RUN_ONCE);
}
