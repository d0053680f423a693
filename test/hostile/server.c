/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * server.c - the server that peer.c attacks, written as any program on this library is.
 *
 *	server chat|send [half] [attached] [poll] [batch] [once] [idle=SECONDS]
 *
 * chat speaks lines on async_chat, send is an echo on dispatcher_with_send.  half: with
 * ASYNCORE_HALF_CLOSE; attached: in the application's loop; poll: with use_poll; batch: with
 * ASYNCORE_ACCEPT_BATCH; once: with ASYNC_CHAT_SEND_AT_ONCE.
 *
 * It prints its port, and then answers "stat" and "quit" that come by standard input, itself
 * a channel.  What a stat tells (channels, descriptors, heap) must be what it was, whatever
 * peers did in between.
 *
 * The lines of chat, and what is answered:
 *	= TEXT		the line
 *	N COUNT		so many bytes follow; those
 *	D		text follows until CR LF . CR LF; that, and a newline
 *	B COUNT SEED	so many bytes that follow from the seed
 *	Q		"bye", and close
 *	X, R, E		nothing: close at once, reset, raise an error
 *	anything else	"?"
 */

#include "random.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_LIMIT = 65536,	/* a longer line is an error */
	BLOCK_LIMIT = 60000,	/* of N */
	BIG_LIMIT = 4 << 20,	/* of B */
	OUTPUT_HIGH = 262144,	/* with so much to send nothing more is read, ... */
	OUTPUT_LOW = 65536	/* ... until it is less than this */
};

static struct asyncore_map *map;
static double idle_seconds = 4.0;
static bool send_mode;

static struct {
	unsigned long accepted, opened, disposed, refused, errors, unexpected, urgent, timeouts,
		paused, producers, references;
} count;

static size_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static long resident_kib(void)
{
	long pages = 0, ignored;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL)
		return -1;
	if (fscanf(file, "%ld %ld", &ignored, &pages) != 2)
		pages = -1;
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1;	/* its own */

	if (dir == NULL)
		return -1;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;	/* . and .. */
}

/* --- what both kinds of channel do ---------------------------------------------------- */

static bool is_expected(int code)
{
	return code == -EMSGSIZE || code == -EIO;
}

static int hostile_error(struct asyncore_dispatcher *self)
{
	const struct asyncore_error *error = asyncore_error(self);

	count.errors++;
	if (error == NULL || !is_expected(error->code)) {
		char text[512] = "";

		count.unexpected++;
		asyncore_compact_traceback(self, text, sizeof text);
		fprintf(stderr, "server: unexpected error: %s\n", text);
	}
	return asyncore_handle_close(self);
}

static int hostile_expt(struct asyncore_dispatcher *self)
{
	char byte;

	/* It may have been overtaken by what follows it. */
	if (recv(asyncore_socket(self), &byte, 1, MSG_OOB) == 1)
		count.urgent++;
	return 0;
}

static int hostile_timeout(struct asyncore_dispatcher *self)
{
	count.timeouts++;
	return asyncore_handle_close(self);
}

static int hostile_close(struct asyncore_dispatcher *self)
{
	return asyncore_close(self);
}

static int quiet_log_info(struct asyncore_dispatcher *self, const char *message,
			  const char *type)
{
	(void)self;
	if (strcmp(type, "error") == 0)
		fprintf(stderr, "server: %s: %s\n", type, message);
	return 0;
}

static void hostile_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	count.disposed++;
}

/* --- dispatcher_with_send ------------------------------------------------------------- */

static int echo_readable(struct asyncore_dispatcher *self)
{
	return asyncore_dispatcher_with_send_pending(
		       (struct asyncore_dispatcher_with_send *)self) < OUTPUT_LOW;
}

static int echo_read(struct asyncore_dispatcher *self)
{
	char data[8192];
	int n = asyncore_recv(self, data, sizeof data);

	return n > 0 ? asyncore_send(self, data, (size_t)n) : n;
}

#define HOSTILE_METHODS \
	.handle_expt = hostile_expt, \
	.handle_error = hostile_error, \
	.handle_timeout = hostile_timeout, \
	.handle_close = hostile_close, \
	.log_info = quiet_log_info, \
	.dispose = hostile_dispose, \
	.dealloc = asyncore_dealloc_free

static struct asyncore_dispatcher_type echo_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "echo",
	.flags = ASYNCORE_PREDICATES_STABLE,
	.readable = echo_readable,
	.handle_read = echo_read,
	HOSTILE_METHODS,
};

/* --- async_chat ----------------------------------------------------------------------- */

enum reading { LINE, BLOCK, TEXT };

struct chat {
	struct async_chat chat;
	enum reading reading;
	bool full;
};

struct big {
	struct async_chat_producer producer;
	uint64_t seed, offset;
	size_t left;
	unsigned char piece[4096];
};

static int big_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct big *big = (struct big *)producer;

	if (big->left == 0)
		return 0;
	*len = big->left < sizeof big->piece ? big->left : sizeof big->piece;
	random_bytes(big->seed, big->offset, big->piece, *len);
	big->offset += *len;
	big->left -= *len;
	*data = big->piece;
	return 1;
}

static void big_release(struct async_chat_producer *producer)
{
	count.producers--;
	free(producer);
}

static const struct async_chat_producer_type big_type = {
	.more = big_more,
	.release = big_release,
};

static int push_big(struct async_chat *chat, size_t len, uint64_t seed)
{
	struct big *big = calloc(1, sizeof *big);

	if (big == NULL)
		return -ENOMEM;
	big->producer.type = &big_type;
	big->seed = seed;
	big->left = len;
	count.producers++;
	return async_chat_push_with_producer(chat, &big->producer);
}

static void give_back(const void *data, size_t len, void *arg)
{
	(void)len, (void)arg;
	count.references--;
	free((void *)(uintptr_t)data);
}

/* The same bytes, by each of the ways there are to push them. */
static int push_block(struct async_chat *chat, const char *data, size_t len)
{
	struct async_chat_producer *simple;
	char *copy;

	switch (len % 3) {
	case 0:
		return async_chat_push(chat, data, len);
	case 1:
		simple = async_chat_simple_producer_new(data, len, 0);
		if (simple == NULL)
			return -ENOMEM;
		return async_chat_push_with_producer(chat, simple);
	}
	copy = malloc(len);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, data, len);
	count.references++;
	return async_chat_push_reference(chat, copy, len, give_back, NULL);
}

static int reset(struct async_chat *chat)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(asyncore_socket(&chat->dispatcher), SOL_SOCKET, SO_LINGER, &linger,
		   sizeof linger);
	return asyncore_close(&chat->dispatcher);
}

static int do_line(struct chat *self, char *line, size_t len)
{
	struct async_chat *chat = &self->chat;
	unsigned long a, b;
	int end = -1;

	if (len >= 2 && line[0] == '=' && line[1] == ' ') {
		line[len] = '\n';
		return async_chat_push(chat, line, len + 1);
	}
	if (sscanf(line, "N %9lu%n", &a, &end) == 1 && (size_t)end == len && a > 0 &&
	    a <= BLOCK_LIMIT) {
		self->reading = BLOCK;
		return async_chat_set_terminator_count(chat, (ssize_t)a);
	}
	if (sscanf(line, "B %9lu %9lu%n", &a, &b, &end) == 2 && (size_t)end == len &&
	    a <= BIG_LIMIT)
		return push_big(chat, a, b);
	if (len == 1) {
		switch (line[0]) {
		case 'D':
			self->reading = TEXT;
			return async_chat_set_terminator(chat, "\r\n.\r\n", 5);
		case 'Q':
			end = async_chat_push(chat, "bye\n", 4);
			return end < 0 ? end : async_chat_close_when_done(chat);
		case 'X':
			return asyncore_close(&chat->dispatcher);
		case 'R':
			return reset(chat);
		case 'E':
			return ASYNCORE_RAISEF(&chat->dispatcher, -EIO, "as the peer said");
		}
	}
	return async_chat_push(chat, "?\n", 2);
}

static int end_of_line(struct async_chat *chat)
{
	struct chat *self = (struct chat *)chat;
	size_t len;
	char *data = async_chat_get_data(chat, &len);
	int result;

	if (data == NULL)
		return -ENOMEM;
	switch (self->reading) {
	case LINE:
		return do_line(self, data, len);
	case BLOCK:
		result = push_block(chat, data, len);
		break;
	default:
		result = async_chat_push(chat, data, len);
		if (result >= 0)
			result = async_chat_push(chat, "\n", 1);
		break;
	}
	self->reading = LINE;
	if (result >= 0)
		result = async_chat_set_terminator(chat, "\n", 1);
	return result;
}

static int chat_readable(struct asyncore_dispatcher *self)
{
	return !((struct chat *)self)->full && async_chat_readable(self);
}

/* A peer that asks and does not read gets no more than so much of the memory. */
static int chat_limit(struct async_chat *chat, bool reached)
{
	((struct chat *)chat)->full = reached;
	count.paused += reached;
	return asyncore_touch(&chat->dispatcher);
}

static struct async_chat_type chat_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "chat",
		.flags = ASYNCORE_PREDICATES_STABLE,
		.readable = chat_readable,
		HOSTILE_METHODS,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = end_of_line,
	.output_limit = chat_limit,
};

/* --- the listening channel ------------------------------------------------------------ */

static int new_echo(int fd, struct asyncore_dispatcher **made)
{
	struct asyncore_dispatcher_with_send *echo = calloc(1, sizeof *echo);
	int r;

	if (echo == NULL)
		return -ENOMEM;
	r = asyncore_dispatcher_with_send_init(echo, &echo_type, fd, map);
	if (r < 0) {
		free(echo);
		return r;
	}
	*made = &echo->dispatcher;
	return 0;
}

static int new_chat(int fd, struct asyncore_dispatcher **made)
{
	struct chat *chat = calloc(1, sizeof *chat);
	int r;

	if (chat == NULL)
		return -ENOMEM;
	r = async_chat_init(&chat->chat, &chat_type, fd, map);
	if (r < 0) {
		free(chat);
		return r;
	}
	async_chat_set_terminator(&chat->chat, "\n", 1);
	async_chat_set_incoming_limit(&chat->chat, LINE_LIMIT);
	async_chat_set_output_limit(&chat->chat, OUTPUT_HIGH, OUTPUT_LOW);
	/* Pieces of all sizes, so that ends come everywhere in them. */
	if (count.accepted % 3 == 0)
		async_chat_set_buffer_sizes(&chat->chat, 1 + count.accepted % 61, 0);
	else if (count.accepted % 3 == 1)
		async_chat_set_buffer_sizes(&chat->chat, 0, 1 + count.accepted % 3001);
	*made = &chat->chat.dispatcher;
	return 0;
}

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_dispatcher *made = NULL;
	int size = 4096, r;

	(void)addr, (void)addrlen;
	count.accepted++;
	if (count.accepted % 4 == 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	r = send_mode ? new_echo(fd, &made) : new_chat(fd, &made);
	if (r == 0) {
		count.opened++;
		return asyncore_set_idle_timeout(made, idle_seconds);
	}
	count.refused++;
	fprintf(stderr, "server: no channel: %s\n", strerror(-r));
	close(fd);
	(void)self;
	return 0;
}

static int server_error(struct asyncore_dispatcher *self)
{
	char text[512] = "";

	count.unexpected++;
	asyncore_compact_traceback(self, text, sizeof text);
	fprintf(stderr, "server: the listening channel raised: %s\n", text);
	return 0;
}

static struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
	.handle_error = server_error,
};

/* --- standard input ------------------------------------------------------------------- */

static int command(struct async_chat *chat)
{
	const char *line = async_chat_get_data(chat, NULL);

	if (line == NULL)
		return -ENOMEM;
	if (strcmp(line, "quit") == 0)
		return asyncore_close_all(map, true);
	/* What the allocator keeps for later is not what the server holds. */
	malloc_trim(0);
	printf("channels %zu timers %zu descriptors %d heap %zu rss %ld producers %lu "
	       "references %lu accepted %lu opened %lu disposed %lu refused %lu errors %lu "
	       "unexpected %lu urgent %lu timeouts %lu paused %lu\n",
	       asyncore_map_size(map), asyncore_timers(map), descriptors(), heap_in_use(),
	       resident_kib(), count.producers, count.references, count.accepted,
	       count.opened, count.disposed, count.refused, count.errors, count.unexpected,
	       count.urgent, count.timeouts, count.paused);
	return fflush(stdout);
}

/* Without who started it, it ends. */
static int command_close(struct asyncore_dispatcher *self)
{
	(void)self;
	return asyncore_close_all(map, true);
}

static const struct async_chat_type command_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "command",
		.handle_close = command_close,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = command,
};

static int start(struct asyncore_dispatcher *server, struct async_chat *commands)
{
	struct sockaddr_in in;
	socklen_t len = sizeof in;
	int r = asyncore_dispatcher_init(server, &server_type, -1, map);

	if (r == 0)
		r = asyncore_create_socket(server, AF_INET, SOCK_STREAM);
	if (r == 0)
		r = asyncore_bind(server, "127.0.0.1", 0);
	if (r == 0)
		r = asyncore_listen(server, 1024);
	if (r == 0)
		r = async_chat_init(commands, &command_type, -1, map);
	if (r == 0)
		r = async_chat_set_terminator(commands, "\n", 1);
	if (r == 0)
		r = asyncore_set_file(&commands->dispatcher, STDIN_FILENO);
	if (r == 0)
		r = asyncore_set_connected(&commands->dispatcher, true);
	if (r < 0)
		return r;
	if (getsockname(asyncore_socket(server), (struct sockaddr *)&in, &len) < 0)
		return -errno;
	printf("%d\n", ntohs(in.sin_port));
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	bool attached = false, use_poll = false, half = false;
	struct asyncore_dispatcher server;
	struct async_chat commands;
	struct event_base *base = NULL;
	int before = descriptors(), i, r;
	unsigned flags = 0;

	send_mode = argc > 1 && strcmp(argv[1], "send") == 0;
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "half") == 0)
			half = true;
		else if (strcmp(argv[i], "attached") == 0)
			attached = true;
		else if (strcmp(argv[i], "poll") == 0)
			use_poll = true;
		else if (strcmp(argv[i], "batch") == 0)
			server_type.flags |= ASYNCORE_ACCEPT_BATCH;
		else if (strcmp(argv[i], "once") == 0)
			chat_type.dispatcher.flags |= ASYNC_CHAT_SEND_AT_ONCE;
		else if (strncmp(argv[i], "idle=", 5) == 0)
			idle_seconds = strtod(argv[i] + 5, NULL);
		else
			return fprintf(stderr, "server: what is %s?\n", argv[i]), 2;
	}
	if (half)
		flags = ASYNCORE_HALF_CLOSE;
	echo_type.flags |= flags;
	chat_type.dispatcher.flags |= flags;

	memset(&server, 0, sizeof server);
	memset(&commands, 0, sizeof commands);
	if (attached)
		base = event_base_new();
	map = asyncore_map_new(base);
	r = map == NULL || (attached && base == NULL) ? -ENOMEM : start(&server, &commands);
	if (r == 0 && attached)
		/* 1: nothing is left to wait for, which is how it should end. */
		r = event_base_dispatch(base) == 1 ? 0 : -EIO;
	else if (r == 0)
		r = asyncore_loop(ASYNCORE_TIMEOUT, use_poll, map, -1);
	if (r < 0)
		fprintf(stderr, "server: %s\n", strerror(-r));
	if (map != NULL && asyncore_map_free(map) < 0)
		r = -EBUSY;
	if (base != NULL)
		event_base_free(base);
	if (count.opened != count.disposed || descriptors() != before) {
		fprintf(stderr, "server: %lu channels opened, %lu disposed of; descriptors %d, "
			"now %d\n", count.opened, count.disposed, before, descriptors());
		r = -EIO;
	}
	return r < 0;
}
