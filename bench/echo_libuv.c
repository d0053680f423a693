/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * echo_libuv.c - echo on libuv's streams.
 *
 *	echo_libuv [try]
 *
 * uv_write(), with a request for each answer; try: uv_try_write(), and a request only for what
 * is left over.
 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

struct answer {
	uv_write_t request;
	char data[];
};

static bool try;
static char data[BENCH_BUFFER];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle, (void)suggested;
	*buf = uv_buf_init(data, sizeof data);
}

static void on_written(uv_write_t *request, int status)
{
	(void)status;
	free(request);
}

static void on_close(uv_handle_t *handle)
{
	free(handle);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);
	struct answer *answer;
	int sent;

	if (n < 0)
		uv_close((uv_handle_t *)stream, on_close);
	if (n <= 0)
		return;
	sent = try ? uv_try_write(stream, &out, 1) : 0;
	if (sent == (int)out.len)
		return;
	if (sent > 0)
		out = uv_buf_init(out.base + sent, (unsigned)(out.len - (size_t)sent));
	answer = bench_alloc(sizeof *answer + out.len);
	memcpy(answer->data, out.base, out.len);
	out.base = answer->data;
	uv_write(&answer->request, stream, &out, 1, on_written);
}

static void on_connection(uv_stream_t *listener, int status)
{
	uv_tcp_t *tcp = bench_alloc(sizeof *tcp);

	(void)status;
	uv_tcp_init(listener->loop, tcp);
	uv_accept(listener, (uv_stream_t *)tcp);
	uv_read_start((uv_stream_t *)tcp, on_alloc, on_read);
}

int main(int argc, char **argv)
{
	uv_tcp_t listener;

	try = bench_given(argc, argv, "try");
	uv_tcp_init(uv_default_loop(), &listener);
	uv_tcp_open(&listener, bench_listen());
	if (uv_listen((uv_stream_t *)&listener, 1024, on_connection) < 0)
		bench_die("uv_listen");
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
