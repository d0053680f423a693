/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An async_chat service in a program on libevent.
 *
 *	attached_chat [daytime_port [shout_port]]	0, the default, takes any that is free
 *
 * The program was there first: a daytime service (RFC 867) of evconnlistener and bufferevent,
 * a timer that prints statistics, signals that end it, and event_base_dispatch().  What was
 * added is the shout service, which gives every line back in capitals: two classes, and the
 * lines of the program that are marked with ADDED.  The map has no loop of its own.
 */

#include <netinet/in.h>

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <asynchat.h>
#include <asyncore_event.h>

static void print_port(const char *service, int fd)
{
	struct sockaddr_in addr = { 0 };
	socklen_t addrlen = sizeof addr;

	getsockname(fd, (struct sockaddr *)&addr, &addrlen);
	printf("%s at 127.0.0.1 %d\n", service, ntohs(addr.sin_port));
}

/* --- the shout service, in the style of asyncore ---------------------------------------- */

enum { LONGEST_LINE = 1000, LONGEST_SILENCE = 300, MOST_WAITING = 65536 };

static unsigned long lines_shouted;

static int shouter_found_line(struct async_chat *self)
{
	size_t len, i;
	char *line = async_chat_get_data(self, &len);

	if (line == NULL)
		return ASYNCORE_RAISE(&self->dispatcher, -ENOMEM);
	for (i = 0; i < len; i++)
		line[i] = (char)toupper((unsigned char)line[i]);
	lines_shouted++;
	async_chat_push(self, line, len);
	return async_chat_push(self, "\n", 1);
}

/* Who does not read what comes back has to wait. */
static int shouter_readable(struct asyncore_dispatcher *self)
{
	return async_chat_output_bytes((struct async_chat *)self) < MOST_WAITING;
}

static const struct async_chat_type shouter_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "shouter",
		.flags = ASYNCORE_HALF_CLOSE | ASYNCORE_PREDICATES_STABLE,
		.readable = shouter_readable,
		.dealloc = asyncore_dealloc_free,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = shouter_found_line,
};

static int shout_server_accepted(struct asyncore_dispatcher *self, int fd,
				 const struct sockaddr *addr, socklen_t addrlen)
{
	struct async_chat *shouter = malloc(sizeof *shouter);
	int err = -ENOMEM;

	(void)addr, (void)addrlen;
	if (shouter != NULL)
		err = async_chat_init(shouter, &shouter_type, fd, asyncore_map(self));
	if (err < 0) {
		free(shouter);
		close(fd);
		return asyncore_logf(self, "cannot serve: %s", strerror(-err));
	}
	/* From here on the map owns it. */
	async_chat_set_incoming_limit(shouter, LONGEST_LINE);
	if (async_chat_set_terminator(shouter, "\n", 1) < 0 ||
	    asyncore_set_idle_timeout(&shouter->dispatcher, LONGEST_SILENCE) < 0)
		asyncore_close(&shouter->dispatcher);
	return 0;
}

static const struct asyncore_dispatcher_type shout_server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "shout_server",
	.handle_accepted = shout_server_accepted,
};

static int shout_server_init(struct asyncore_dispatcher *self, struct asyncore_map *map, int port)
{
	int err;

	if ((err = asyncore_dispatcher_init(self, &shout_server_type, -1, map)) < 0)
		return err;
	if ((err = asyncore_create_socket(self, AF_INET, SOCK_STREAM)) < 0 ||
	    (err = asyncore_set_reuse_addr(self)) < 0 ||
	    (err = asyncore_bind(self, "127.0.0.1", port)) < 0 ||
	    (err = asyncore_listen(self, 16)) < 0) {
		asyncore_close(self);
		return err;
	}
	print_port("shout", asyncore_socket(self));
	return 0;
}

/* For asyncore_map_foreach(): who still owes an answer sends it, and then all leave the map. */
static int say_goodbye(struct asyncore_dispatcher *d, void *arg)
{
	struct async_chat *chat = (struct async_chat *)d;

	(void)arg;
	if (d->type == &shout_server_type)
		return asyncore_close(d);
	async_chat_push(chat, "GOODBYE.\n", 9);
	return async_chat_close_when_done(chat);
}

/* --- the program -------------------------------------------------------------------------- */

struct program {
	struct event_base *base;
	struct evconnlistener *daytime;
	struct event *statistics, *interrupt, *terminate;
	unsigned long times_told;

	struct asyncore_map *map;			/* ADDED */
	struct asyncore_dispatcher shout_server;	/* ADDED */
};

static void daytime_sent(struct bufferevent *bev, void *arg)
{
	(void)arg;
	bufferevent_free(bev);
}

static void daytime_failed(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	daytime_sent(bev, arg);
}

static void daytime_accepted(struct evconnlistener *listener, evutil_socket_t fd,
			     struct sockaddr *addr, int addrlen, void *arg)
{
	struct program *program = arg;
	struct bufferevent *bev = bufferevent_socket_new(program->base, fd, BEV_OPT_CLOSE_ON_FREE);
	time_t now = time(NULL);
	char text[64];

	(void)listener, (void)addr, (void)addrlen;
	if (bev == NULL) {
		evutil_closesocket(fd);
		return;
	}
	bufferevent_setcb(bev, NULL, daytime_sent, daytime_failed, NULL);
	/* Reading tells when the other end has gone, whatever becomes of the answer. */
	if (bufferevent_enable(bev, EV_READ) < 0 ||
	    bufferevent_write(bev, text,
			      strftime(text, sizeof text, "%F %T\r\n", localtime(&now))) < 0)
		bufferevent_free(bev);
	else
		program->times_told++;
}

static void print_statistics(evutil_socket_t fd, short what, void *arg)
{
	struct program *program = arg;

	(void)fd, (void)what;
	printf("daytime told %lu times\n", program->times_told);
	printf("%zu channels, %lu lines shouted\n",			/* ADDED */
	       asyncore_map_size(program->map), lines_shouted);
}

/* Nobody shouts any more: without the timer event_base_dispatch() ends. */
static void shouters_left(struct asyncore_map *map, void *arg)		/* ADDED */
{
	struct program *program = arg;

	(void)map;
	event_del(program->statistics);
}

static void program_end(evutil_socket_t fd, short what, void *arg)
{
	struct program *program = arg;

	(void)fd, (void)what;
	evconnlistener_free(program->daytime);
	program->daytime = NULL;
	event_del(program->interrupt);		/* a second signal kills */
	event_del(program->terminate);
	asyncore_map_foreach(program->map, say_goodbye, NULL);		/* ADDED */
}

static int program_start(struct program *program, int port)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE;
	const struct timeval period = { 10, 0 };
	struct event_base *base = program->base;
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	program->daytime = evconnlistener_new_bind(base, daytime_accepted, program, flags, 16,
						   (struct sockaddr *)&addr, sizeof addr);
	program->statistics = event_new(base, -1, EV_PERSIST, print_statistics, program);
	program->interrupt = evsignal_new(base, SIGINT, program_end, program);
	program->terminate = evsignal_new(base, SIGTERM, program_end, program);
	/* Enabled it is already; but whether that went well nobody has looked. */
	if (program->daytime == NULL || evconnlistener_enable(program->daytime) < 0 ||
	    program->statistics == NULL ||
	    program->interrupt == NULL || program->terminate == NULL ||
	    event_add(program->statistics, &period) < 0 ||
	    event_add(program->interrupt, NULL) < 0 || event_add(program->terminate, NULL) < 0)
		return -1;
	print_port("daytime", evconnlistener_get_fd(program->daytime));
	return 0;
}

static void free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

/* As far as it came. */
static void program_free(struct program *program)
{
	if (program->map != NULL)				/* ADDED, before the base */
		asyncore_map_free(program->map);
	if (program->daytime != NULL)
		evconnlistener_free(program->daytime);
	free_event(program->statistics);
	free_event(program->interrupt);
	free_event(program->terminate);
	if (program->base != NULL)
		event_base_free(program->base);
}

int main(int argc, char **argv)
{
	struct program program = { .base = event_base_new() };

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);	/* the library needs no such thing, bufferevents do */
	if (program.base == NULL || program_start(&program, argc > 1 ? atoi(argv[1]) : 0) < 0 ||
	    (program.map = asyncore_map_new(program.base)) == NULL ||			/* ADDED */
	    shout_server_init(&program.shout_server, program.map,
			      argc > 2 ? atoi(argv[2]) : 0) < 0) {			/* ADDED */
		fprintf(stderr, "attached_chat: cannot start\n");
		program_free(&program);
		return EXIT_FAILURE;
	}
	asyncore_map_set_empty_cb(program.map, shouters_left, &program);		/* ADDED */

	event_base_dispatch(program.base);
	print_statistics(-1, 0, &program);

	program_free(&program);
	return EXIT_SUCCESS;
}
