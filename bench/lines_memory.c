/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lines_memory.c - lines split without a socket: what the search alone costs.
 *
 *	lines_memory SIZE SECONDS METHOD
 *
 * METHOD: memchr (and a look at the byte before), readln (evbuffer_readln), search
 * (evbuffer_search_eol and a drain), asynchat.  Each is given chunks of whole lines, 64 KiB at
 * most, over and over; the memory is not copied, except by evbuffers, which have to.  Prints the
 * lines per second.
 */

#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asynchat.h>
#include <event2/buffer.h>

static char chunk[BENCH_BUFFER];
static size_t chunk_len;
static unsigned long lines, bytes;	/* bytes: without the line ends */

static void fill(size_t size)
{
	size_t i;

	chunk_len = sizeof chunk / size * size;
	for (i = 0; i < chunk_len; i++)
		chunk[i] = i % size == size - 2 ? '\r' : i % size == size - 1 ? '\n' : 'x';
}

/* --- memchr ---------------------------------------------------------------------------- */

static void split_memchr(void)
{
	const char *line = chunk, *from = chunk, *const end = chunk + chunk_len, *newline;

	while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		from = newline + 1;
		if (newline == line || newline[-1] != '\r')
			continue;
		lines++;
		bytes += (size_t)(newline - 1 - line);
		line = from;
	}
}

/* --- evbuffer -------------------------------------------------------------------------- */

static struct evbuffer *input;

static void split_readln(void)
{
	size_t len;
	char *line;

	evbuffer_add(input, chunk, chunk_len);
	while ((line = evbuffer_readln(input, &len, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		lines++;
		bytes += len;
		free(line);
	}
}

static void split_search(void)
{
	struct evbuffer_ptr at;
	size_t eol;

	evbuffer_add(input, chunk, chunk_len);
	for (;;) {
		at = evbuffer_search_eol(input, NULL, &eol, EVBUFFER_EOL_CRLF_STRICT);
		if (at.pos < 0)
			return;
		lines++;
		bytes += (size_t)at.pos;
		evbuffer_drain(input, (size_t)at.pos + eol);
	}
}

/* --- asynchat -------------------------------------------------------------------------- */

static struct async_chat chat;

static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	bytes += len;
	return 0;
}

static int found(struct async_chat *self)
{
	(void)self;
	lines++;
	return 0;
}

/* The library's buffer keeps what is in it. */
static int memory_recv(struct asyncore_dispatcher *self, void *buffer, size_t len)
{
	static void *filled;

	(void)self;
	if (len < chunk_len)
		return -EMSGSIZE;
	if (buffer != filled)
		memcpy(buffer, chunk, chunk_len);
	filled = buffer;
	return (int)chunk_len;
}

static const struct async_chat_type memory_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "memory",
		.recv = memory_recv,
		.ac_in_buffer_size = BENCH_BUFFER,
	},
	.collect_incoming_data = collect,
	.found_terminator = found,
};

static void split_asynchat(void)
{
	if (asyncore_handle_read(&chat.dispatcher) < 0) {
		fprintf(stderr, "asyncore_handle_read failed\n");
		exit(1);
	}
}

/* --------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*split)(void);
} methods[] = {
	{ "memchr", split_memchr },
	{ "readln", split_readln },
	{ "search", split_search },
	{ "asynchat", split_asynchat },
};

int main(int argc, char **argv)
{
	double start, end;
	size_t i;

	if (argc != 4 || atoi(argv[1]) < 2 || atoi(argv[1]) > BENCH_BUFFER)
		return 2;
	fill((size_t)atoi(argv[1]));
	input = evbuffer_new();
	/* A socket that nobody reads: input is for channels that are open. */
	if (async_chat_init(&chat, &memory_type, -1, NULL) < 0 ||
	    asyncore_create_socket(&chat.dispatcher, AF_UNIX, SOCK_STREAM) < 0 ||
	    async_chat_set_terminator(&chat, "\r\n", 2) < 0)
		bench_die("async_chat_init");
	for (i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strcmp(methods[i].name, argv[3]) == 0)
			break;
	if (i == sizeof methods / sizeof *methods)
		return 2;
	start = bench_now();
	do
		methods[i].split();
	while ((end = bench_now()) - start < atof(argv[2]) * 1e9);
	printf("%.0f\n", (double)lines / (end - start) * 1e9);
	return 0;
}
