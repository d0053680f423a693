/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lines.c - lines that end with CR LF, split (and answered) in several ways.
 *
 *	lines MODE count|answer			a server, for one connection
 *	lines load PORT SIZE BYTES count|answer	its client
 *
 * MODE: flat (recv into a flat buffer, memchr), flat-send (the same, a send for each line),
 * readln (evbuffer_readln), asynchat (libasyncore), asynchat-once (with
 * ASYNC_CHAT_SEND_AT_ONCE).  count: lines and their bytes are counted; answer: each is
 * answered with "ok" too.
 *
 * The server prints its port, and in the end: lines, its CPU seconds, lines per CPU second.
 * The client sends whole lines of SIZE bytes, CR LF included, and takes the answers.
 */

#include <asynchat.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

enum { BUFFER = 65536, BLOCK = 1 << 20, ANSWER = 4 };

static const char ok[ANSWER + 1] = "ok\r\n";

static bool answering;
static bool at_once;			/* a send for each line */
static unsigned long lines, bytes;	/* bytes: without the line ends */

static double cpu(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The raw servers wait when the client is slow to take its answers; it never waits for
 * them. */
static void wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (errno != EAGAIN || poll(&p, 1, -1) < 0)
		die("send");
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0) {
			wait_for(fd);
			continue;
		}
		data += n;
		len -= (size_t)n;
	}
}

/* --- flat, flat-send --------------------------------------------------------------- */

static struct event *event;
static char buffer[BUFFER], answers[BUFFER / 2 * ANSWER];
static size_t have;

static void flat_line(int fd, size_t len, size_t *nanswers)
{
	lines++;
	bytes += len;
	if (!answering)
		return;
	if (at_once)
		send_all(fd, ok, ANSWER);
	else
		memcpy(answers + ANSWER * (*nanswers)++, ok, ANSWER);
}

static void flat_read(evutil_socket_t fd, short what, void *arg)
{
	ssize_t n = recv(fd, buffer + have, sizeof buffer - have, 0);
	char *line = buffer, *from = buffer + have, *end, *newline;
	size_t nanswers = 0;

	(void)what, (void)arg;
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			event_del(event);
		return;
	}
	end = from + n;
	while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		from = newline + 1;
		if (newline == line || newline[-1] != '\r')
			continue;
		flat_line(fd, (size_t)(newline - 1 - line), &nanswers);
		line = from;
	}
	have = (size_t)(end - line);
	if (have == sizeof buffer) {
		fprintf(stderr, "the line is too long\n");
		exit(1);
	}
	memmove(buffer, line, have);
	send_all(fd, answers, nanswers * ANSWER);
}

/* --- readln ------------------------------------------------------------------------ */

static struct evbuffer *input, *output;

static void readln_read(evutil_socket_t fd, short what, void *arg)
{
	int n = evbuffer_read(input, fd, BUFFER);
	size_t len;
	char *line;

	(void)what, (void)arg;
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			event_del(event);
		return;
	}
	while ((line = evbuffer_readln(input, &len, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		lines++;
		bytes += len;
		free(line);
		if (answering)
			evbuffer_add(output, ok, ANSWER);
	}
	while (evbuffer_get_length(output) > 0)
		if (evbuffer_write(output, fd) < 0)
			wait_for(fd);
}

static void serve_raw(int fd, event_callback_fn on_read)
{
	struct event_base *base = event_base_new();

	input = evbuffer_new();
	output = evbuffer_new();
	event = event_new(base, fd, EV_READ | EV_PERSIST, on_read, NULL);
	event_add(event, NULL);
	event_base_dispatch(base);
	event_free(event);
	evbuffer_free(input);
	evbuffer_free(output);
	event_base_free(base);
	close(fd);
}

/* --- asynchat, asynchat-once ------------------------------------------------------- */

static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	bytes += len;
	return 0;
}

static int found(struct async_chat *self)
{
	lines++;
	return answering ? async_chat_push(self, ok, ANSWER) : 0;
}

#define LINE_TYPE(more_flags) { \
	.dispatcher = { \
		.base = &async_chat_type.dispatcher, \
		.name = "line", \
		.flags = more_flags, \
		.ac_in_buffer_size = BUFFER, \
		.ac_out_buffer_size = BUFFER, \
	}, \
	.collect_incoming_data = collect, \
	.found_terminator = found, \
}

static const struct async_chat_type line_type = LINE_TYPE(0);
static const struct async_chat_type line_type_once = LINE_TYPE(ASYNC_CHAT_SEND_AT_ONCE);

static void serve_asynchat(int fd, const struct async_chat_type *type)
{
	static struct async_chat chat;

	if (async_chat_init(&chat, type, fd, NULL) < 0 ||
	    async_chat_set_terminator(&chat, "\r\n", 2) < 0 ||
	    asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1) < 0) {
		fprintf(stderr, "libasyncore failed\n");
		exit(1);
	}
}

/* --- the server -------------------------------------------------------------------- */

static int serve(const char *mode)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, fd;
	double start;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&addr, sizeof addr) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) < 0)
		die("listen");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		die("accept");
	close(listener);

	start = cpu();
	at_once = strcmp(mode, "flat-send") == 0;
	if (strcmp(mode, "flat") == 0 || at_once)
		serve_raw(fd, flat_read);
	else if (strcmp(mode, "readln") == 0)
		serve_raw(fd, readln_read);
	else if (strcmp(mode, "asynchat") == 0)
		serve_asynchat(fd, &line_type);
	else if (strcmp(mode, "asynchat-once") == 0)
		serve_asynchat(fd, &line_type_once);
	else
		return 2;
	start = cpu() - start;
	printf("%lu %.6f %.0f\n", lines, start, start > 0 ? (double)lines / start : 0.0);
	return 0;
}

/* --- the client -------------------------------------------------------------------- */

static int dial(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno != EINPROGRESS)
		die("connect");
	return fd;
}

/* Prepared: as many whole lines as fit. */
static size_t fill(char *block, size_t size)
{
	size_t len;

	for (len = 0; len + size <= BLOCK; len += size) {
		memset(block + len, 'x', size - 2);
		memcpy(block + len + size - 2, "\r\n", 2);
	}
	return len;
}

/* Send `total` bytes, the block again and again, and take `answers_due` bytes. */
static void talk(int fd, const char *block, size_t len, size_t total, size_t due)
{
	static char answer[BUFFER * 4];
	size_t at = 0;
	ssize_t n;

	while (total > 0 || due > 0) {
		struct pollfd p = { .fd = fd };

		p.events = (short)((total > 0 ? POLLOUT : 0) | (due > 0 ? POLLIN : 0));
		if (poll(&p, 1, -1) < 0)
			die("poll");
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			n = recv(fd, answer, sizeof answer, 0);
			if (n <= 0 || (size_t)n > due) {
				fprintf(stderr, "the server hung up, or says too much\n");
				exit(1);
			}
			due -= (size_t)n;
		}
		if (p.revents & POLLOUT && total > 0) {
			n = send(fd, block + at, len - at < total ? len - at : total, MSG_NOSIGNAL);
			if (n < 0)
				die("send");
			at = (at + (size_t)n) % len;
			total -= (size_t)n;
		}
	}
}

static int load(int port, size_t size, size_t total)
{
	char *block = malloc(BLOCK);
	size_t len;
	int fd;

	if (block == NULL || size < 2 || size > BLOCK)
		return 2;
	len = fill(block, size);
	fd = dial(port);
	talk(fd, block, len, total / size * size, answering ? total / size * ANSWER : 0);
	close(fd);
	free(block);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 || argc == 6)
		answering = strcmp(argv[argc - 1], "answer") == 0;
	if (argc == 3)
		return serve(argv[1]);
	if (argc == 6 && strcmp(argv[1], "load") == 0)
		return load(atoi(argv[2]), (size_t)atol(argv[3]), (size_t)atoll(argv[4]));
	fprintf(stderr, "usage: lines MODE count|answer\n"
			"       lines load PORT SIZE BYTES count|answer\n");
	return 2;
}
