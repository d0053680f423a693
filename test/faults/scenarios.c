/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * scenarios.c - one compact piece of work for each feature (see world.h).
 *
 * They are written as programs should be: every result is looked at, and what could not be
 * given to a channel is given back.
 */

#include "inject.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

enum { BIG = 400000 };
static char big[BIG];

static void make_big(void)
{
	size_t i;

	for (i = 0; i < BIG; i++)
		big[i] = (char)('a' + i % 26);
}

/* --- channels -------------------------------------------------------------------------------- */

/* Any of them: the class says which member is meant. */
struct node {
	union {
		struct asyncore_dispatcher d;
		struct asyncore_dispatcher_with_send with_send;
		struct asyncore_file_dispatcher file;
		struct async_chat chat;
	} u;
	struct sink *sink;
};

static struct sink *sink_of(struct asyncore_dispatcher *d)
{
	return ((struct node *)d)->sink;
}

static void keep(struct sink *s, const void *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++, s->len++)
		if (s->len < sizeof s->got)
			s->got[s->len] = ((const char *)data)[i];
}

static int node_read(struct asyncore_dispatcher *self)
{
	char data[4096];
	int n = asyncore_recv(self, data, sizeof data), sent = 0, tries, r;

	if (n <= 0)
		return n;
	keep(sink_of(self), data, (size_t)n);
	if (!sink_of(self)->echo)
		return 0;
	for (tries = 0; sent < n && tries < 10 && asyncore_socket(self) >= 0; tries++) {
		r = asyncore_send(self, data + sent, (size_t)(n - sent));
		if (r < 0)
			return r;
		sent += r;
	}
	return sent == n ? 0 : ASYNCORE_RAISE(self, -ENOBUFS);
}

static int node_writable(struct asyncore_dispatcher *self)
{
	return sink_of(self)->want_write || asyncore_connecting(self);
}

static int node_write(struct asyncore_dispatcher *self)
{
	sink_of(self)->writes++;
	return 0;
}

static int node_expt(struct asyncore_dispatcher *self)
{
	char byte;

	sink_of(self)->expts++;
	if (recv(asyncore_socket(self), &byte, 1, MSG_OOB | MSG_DONTWAIT) < 0)
		return errno == EAGAIN || errno == EINVAL || errno == EINTR
		       ? 0 : ASYNCORE_RAISE(self, -errno);
	return 0;
}

static int node_connect(struct asyncore_dispatcher *self)
{
	sink_of(self)->connects++;
	return 0;
}

static int node_close(struct asyncore_dispatcher *self)
{
	sink_of(self)->closes++;
	if (world != NULL)
		world->closed++;
	return asyncore_close(self);
}

static int node_eof(struct asyncore_dispatcher *self)
{
	sink_of(self)->eofs++;
	return asyncore_dispatcher_handle_eof(self);
}

static int node_timeout(struct asyncore_dispatcher *self)
{
	sink_of(self)->timeouts++;
	return asyncore_close(self);
}

static int node_error(struct asyncore_dispatcher *self)
{
	if (world != NULL)
		world->reported++;
	return asyncore_close(self);
}

static int node_log(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	(void)self, (void)message;
	if (world != NULL && (strcmp(type, "error") == 0 || strcmp(type, "warning") == 0))
		world->logged++;
	return 0;
}

static void node_dispose(struct asyncore_dispatcher *self)
{
	if (sink_of(self) != NULL)
		sink_of(self)->node = NULL;
}

#define NODE_METHODS \
	.handle_write = node_write, \
	.handle_connect = node_connect, .handle_close = node_close, \
	.handle_error = node_error, .handle_timeout = node_timeout, \
	.log_info = node_log, .dispose = node_dispose, .dealloc = asyncore_dealloc_free

/* Asked on every pass. */
static const struct asyncore_dispatcher_type node_type = {
	.base = &asyncore_dispatcher_type, .name = "node",
	.handle_read = node_read, .writable = node_writable, NODE_METHODS
};

static const struct asyncore_dispatcher_type stable_type = {
	.base = &asyncore_dispatcher_type, .name = "stable",
	.flags = ASYNCORE_PREDICATES_STABLE,
	.handle_read = node_read, .writable = node_writable, NODE_METHODS
};

static const struct asyncore_dispatcher_type urgent_type = {
	.base = &asyncore_dispatcher_type, .name = "urgent",
	.handle_read = node_read, .writable = node_writable, .handle_expt = node_expt,
	NODE_METHODS
};

#define WITH_SEND_METHODS \
	.handle_read = node_read, .handle_connect = node_connect, \
	.handle_close = node_close, .handle_error = node_error, .handle_timeout = node_timeout, \
	.log_info = node_log, .dispose = node_dispose, .dealloc = asyncore_dealloc_free

static const struct asyncore_dispatcher_type with_send_type = {
	.base = &asyncore_dispatcher_with_send_type, .name = "with_send", WITH_SEND_METHODS
};

static const struct asyncore_dispatcher_type half_type = {
	.base = &asyncore_dispatcher_with_send_type, .name = "half",
	.flags = ASYNCORE_HALF_CLOSE, .handle_eof = node_eof, WITH_SEND_METHODS
};

static const struct asyncore_dispatcher_type file_type = {
	.base = &asyncore_file_dispatcher_type, .name = "file",
	.handle_read = node_read, .writable = node_writable, NODE_METHODS
};

static int chat_collect(struct async_chat *self, const void *data, size_t len)
{
	keep(sink_of(&self->dispatcher), data, len);
	return async_chat_collect_default(self, data, len);
}

/* What was said is said again, if it is to be. */
static int chat_found(struct async_chat *self)
{
	struct sink *s = sink_of(&self->dispatcher);
	size_t len;
	char *line = async_chat_get_data(self, &len);
	int r;

	s->lines++;
	if (line == NULL)
		return ASYNCORE_RAISE(&self->dispatcher, -ENOMEM);
	if (!s->echo)
		return 0;
	r = async_chat_push(self, line, len);
	return r < 0 ? r : async_chat_push(self, "\n", 1);
}

static int chat_limit(struct async_chat *self, bool reached)
{
	(void)reached;
	sink_of(&self->dispatcher)->limits++;
	return 0;
}

#define CHAT_METHODS \
	.handle_connect = node_connect, .handle_error = node_error, \
	.log_info = node_log, .dispose = node_dispose, .dealloc = asyncore_dealloc_free, \
	.handle_close = node_close

static const struct async_chat_type chat_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .name = "chat", CHAT_METHODS },
	.collect_incoming_data = chat_collect,
	.found_terminator = chat_found,
	.output_limit = chat_limit,
};

static const struct async_chat_type chat_at_once_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher, .name = "at_once",
		.flags = ASYNC_CHAT_SEND_AT_ONCE, CHAT_METHODS
	},
	.collect_incoming_data = chat_collect,
	.found_terminator = chat_found,
};

static const struct async_chat_type chat_half_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher, .name = "chat_half",
		.flags = ASYNCORE_HALF_CLOSE, .handle_eof = node_eof, CHAT_METHODS
	},
	.collect_incoming_data = chat_collect,
	.found_terminator = chat_found,
};

enum node_kind { PLAIN, WITH_SEND, FILE_NODE, CHAT };

static int node_init(struct node *n, enum node_kind kind,
		     const struct asyncore_dispatcher_type *type, int fd, struct asyncore_map *map)
{
	switch (kind) {
	case WITH_SEND:
		return asyncore_dispatcher_with_send_init(&n->u.with_send, type, fd, map);
	case FILE_NODE:
		return asyncore_file_dispatcher_init(&n->u.file, type, fd, map);
	case CHAT:
		return async_chat_init(&n->u.chat, (const struct async_chat_type *)(const void *)type,
				       fd, map);
	default:
		return asyncore_dispatcher_init(&n->u.d, type, fd, map);
	}
}

/* A channel on `fd`, which is closed if that fails.  NULL then, and it is noted. */
static struct sink *node_in(struct asyncore_map *map, enum node_kind kind,
			    const struct asyncore_dispatcher_type *type, int fd)
{
	struct world *w = world;
	struct sink *s = &w->sink[w->nsinks++];
	struct node *n = malloc(sizeof *n);
	int r = -ENOMEM;

	if (n != NULL) {
		n->sink = s;
		r = node_init(n, kind, type, fd, map);
		/* A file is duplicated. */
		if (r >= 0 && kind == FILE_NODE)
			close(fd);
	}
	if (r < 0) {
		free(n);
		if (fd >= 0)
			close(fd);
		fine(r);
		return NULL;
	}
	s->node = n;
	return s;
}

static struct sink *node(struct world *w, enum node_kind kind,
			 const struct asyncore_dispatcher_type *type, int fd)
{
	return node_in(w->map, kind, type, fd);
}

static struct sink *chat(struct world *w, int fd)
{
	return node(w, CHAT, &chat_type.dispatcher, fd);
}

static struct asyncore_dispatcher *dispatcher(struct sink *s)
{
	return s->node != NULL ? &s->node->u.d : NULL;
}

static struct async_chat *chat_of(struct sink *s)
{
	return s->node != NULL ? &s->node->u.chat : NULL;
}

static bool has(const struct sink *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->got, text, s->len) == 0;
}

static bool has_big(const struct sink *s, size_t len)
{
	return s->len == len &&
	       memcmp(s->got, big, len < sizeof s->got ? len : sizeof s->got) == 0;
}

/* Initialised, but of no use: close() is the right call at any stage.  False. */
static bool drop(struct sink *s)
{
	if (s != NULL && dispatcher(s) != NULL)
		asyncore_close(dispatcher(s));
	return false;
}

/* --- listening --------------------------------------------------------------------------------- */

/* Echoes; what cannot be served is dropped and noted. */
static int listener_accepted(struct asyncore_dispatcher *self, int fd,
			     const struct sockaddr *addr, socklen_t addrlen)
{
	struct sink *s = node_in(asyncore_map(self), WITH_SEND, &with_send_type, fd);

	(void)addr, (void)addrlen;
	sink_of(self)->accepts++;
	if (s != NULL)
		s->echo = true;
	return 0;
}

static const struct asyncore_dispatcher_type listener_type = {
	.base = &asyncore_dispatcher_type, .name = "listener",
	.handle_accepted = listener_accepted, .handle_read = node_read,
	.writable = node_writable, NODE_METHODS
};

static const struct asyncore_dispatcher_type batch_listener_type = {
	.base = &asyncore_dispatcher_type, .name = "batch", .flags = ASYNCORE_ACCEPT_BATCH,
	.handle_accepted = listener_accepted, .handle_read = node_read,
	.writable = node_writable, NODE_METHODS
};

static int bound_port(struct asyncore_dispatcher *d)
{
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof addr;

	getsockname(asyncore_socket(d), (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin_port);
}

static struct sink *listener(struct world *w, const struct asyncore_dispatcher_type *type,
			     int *port)
{
	struct sink *s = node(w, PLAIN, type, -1);
	struct asyncore_dispatcher *d;

	if (s == NULL)
		return NULL;
	d = dispatcher(s);
	if (!fine(asyncore_create_socket(d, AF_INET, SOCK_STREAM)) ||
	    !fine(asyncore_set_reuse_addr(d)) ||
	    !fine(asyncore_bind(d, "127.0.0.1", 0)) || !fine(asyncore_listen(d, 16))) {
		drop(s);
		return NULL;
	}
	*port = bound_port(d);
	return s;
}

static struct sink *client(struct world *w, enum node_kind kind,
			   const struct asyncore_dispatcher_type *type, const char *host, int port)
{
	struct sink *s = node(w, kind, type, -1);

	if (s == NULL)
		return NULL;
	if (!fine(asyncore_create_socket(dispatcher(s), AF_INET, SOCK_STREAM)) ||
	    !fine(asyncore_connect(dispatcher(s), host, port))) {
		drop(s);
		return NULL;
	}
	return s;
}

/* --- dispatchers ---------------------------------------------------------------------------------- */

static bool plain_echo(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, PLAIN, &node_type, fd);

	if (s == NULL)
		return false;
	s->echo = true;
	peer_put(w, peer, "hello", 5);
	AWAIT(w, peer_got(w, peer, "hello", 5));
	return peer_got(w, peer, "hello", 5);
}

static bool writable_stable(struct world *w)
{
	int fd;
	struct sink *s;

	unix_peer(w, &fd);
	s = node(w, PLAIN, &stable_type, fd);
	if (s == NULL)
		return false;
	AWAIT(w, w->passes >= 1);
	s->want_write = true;
	if (dispatcher(s) == NULL || !fine(asyncore_touch(dispatcher(s))))
		return false;
	AWAIT(w, s->writes > 0);
	s->want_write = false;
	return s->writes > 0;
}

static bool end_of_file(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, PLAIN, &node_type, fd);

	if (s == NULL)
		return false;
	peer_put(w, peer, "last", 4);
	peer_close(w, peer);
	AWAIT(w, s->closes > 0);
	return has(s, "last") && s->closes == 1;
}

static bool with_send_big(struct world *w)
{
	int fd, peer = unix_peer(w, &fd), n;
	struct sink *s = node(w, WITH_SEND, &with_send_type, fd);

	if (s == NULL)
		return false;
	make_big();
	n = asyncore_send(dispatcher(s), big, BIG);
	if (!fine(n == BIG || n < 0 ? n : -ENOBUFS))
		return false;
	AWAIT(w, peer_got(w, peer, big, BIG));
	return peer_got(w, peer, big, BIG);
}

static bool with_send_echo(struct world *w)
{
	int fd, peer = tcp_peer(w, &fd);
	struct sink *s = node(w, WITH_SEND, &with_send_type, fd);

	if (s == NULL)
		return false;
	s->echo = true;
	peer_put(w, peer, "one", 3);
	AWAIT(w, peer_got(w, peer, "one", 3));
	peer_put(w, peer, "two", 3);
	AWAIT(w, peer_got(w, peer, "onetwo", 6));
	return peer_got(w, peer, "onetwo", 6);
}

static bool serve(struct world *w, const struct asyncore_dispatcher_type *type,
		  const char *host, int nclients)
{
	struct sink *c[4] = { NULL };
	int port = 0, i, n = 0;

	if (listener(w, type, &port) == NULL)
		return false;
	for (i = 0; i < nclients; i++) {
		c[i] = client(w, WITH_SEND, &with_send_type, host, port);
		if (c[i] == NULL)
			return false;
	}
	for (i = 0; i < nclients; i++) {
		AWAIT(w, c[i]->connects > 0);
		if (c[i]->connects == 0 || dispatcher(c[i]) == NULL ||
		    !fine(asyncore_send(dispatcher(c[i]), "ping", 4)))
			return false;
	}
	for (i = 0; i < nclients; i++) {
		AWAIT(w, has(c[i], "ping"));
		n += has(c[i], "ping");
	}
	return n == nclients;
}

static bool tcp_server(struct world *w)
{
	return serve(w, &listener_type, "127.0.0.1", 1);
}

static bool tcp_server_batch(struct world *w)
{
	return serve(w, &batch_listener_type, "127.0.0.1", 3);
}

static bool tcp_by_name(struct world *w)
{
	return serve(w, &listener_type, "localhost", 1);
}

/* A port on which nobody listens: the error is the work. */
static bool connect_refused(struct world *w)
{
	int port = 0;
	struct sink *l = listener(w, &listener_type, &port), *c;

	if (l == NULL)
		return false;
	if (!fine(asyncore_close(dispatcher(l))))
		return false;
	c = client(w, PLAIN, &node_type, "127.0.0.1", port);
	if (c == NULL)
		return w->reported > 0;
	AWAIT(w, w->reported > 0);
	return w->reported > 0 && c->connects == 0;
}

static bool reconnect(struct world *w)
{
	int port = 0;
	struct sink *c;

	if (listener(w, &listener_type, &port) == NULL ||
	    (c = client(w, WITH_SEND, &with_send_type, "127.0.0.1", port)) == NULL)
		return false;
	AWAIT(w, c->connects == 1);
	if (c->connects != 1 || dispatcher(c) == NULL)
		return false;
	/* The server's side sees the end and closes: that is no failure of ours. */
	if (!fine(asyncore_close(dispatcher(c))) ||
	    !fine(asyncore_create_socket(dispatcher(c), AF_INET, SOCK_STREAM)) ||
	    !fine(asyncore_connect(dispatcher(c), "127.0.0.1", port)) ||
	    !fine(asyncore_send(dispatcher(c), "again", 5)))
		return false;
	for (begin_turns(w); !has(c, "again"); w->closed = c->closes)
		if (!turn(w))
			break;
	return has(c, "again");
}

static bool unix_server(struct world *w)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNIX };
	socklen_t len = sizeof addr.ss_family;
	struct sink *l = node(w, PLAIN, &listener_type, -1), *c;

	/* An abstract name that the kernel chooses. */
	if (l == NULL || !fine(asyncore_create_socket(dispatcher(l), AF_UNIX, SOCK_STREAM)) ||
	    !fine(asyncore_bind_sockaddr(dispatcher(l), (struct sockaddr *)&addr, len)) ||
	    !fine(asyncore_listen(dispatcher(l), 4)))
		return drop(l);
	len = sizeof addr;
	getsockname(asyncore_socket(dispatcher(l)), (struct sockaddr *)&addr, &len);
	c = node(w, WITH_SEND, &with_send_type, -1);
	if (c == NULL || !fine(asyncore_create_socket(dispatcher(c), AF_UNIX, SOCK_STREAM)) ||
	    !fine(asyncore_connect_sockaddr(dispatcher(c), (struct sockaddr *)&addr, len)) ||
	    dispatcher(c) == NULL || !fine(asyncore_send(dispatcher(c), "ping", 4)))
		return drop(c);
	AWAIT(w, has(c, "ping"));
	return has(c, "ping");
}

static int datagram_read(struct asyncore_dispatcher *self)
{
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	char data[64];
	int n = asyncore_recvfrom(self, data, sizeof data, (struct sockaddr *)&from, &len);
	int tries, r = 0;

	if (n <= 0)
		return n;
	keep(sink_of(self), data, (size_t)n);
	if (!sink_of(self)->echo)
		return 0;
	for (tries = 0; tries < 10 && r == 0; tries++)
		r = asyncore_sendto(self, data, (size_t)n, (struct sockaddr *)&from, len);
	return r != 0 ? r : ASYNCORE_RAISE(self, -ENOBUFS);
}

static const struct asyncore_dispatcher_type datagram_type = {
	.base = &asyncore_dispatcher_type, .name = "datagram",
	.handle_read = datagram_read, .writable = node_writable, NODE_METHODS
};

static bool datagrams(struct world *w)
{
	struct sink *s[2];
	struct sockaddr_in to = { .sin_family = AF_INET };
	int i, port = 0, n = 0;

	for (i = 0; i < 2; i++) {
		s[i] = node(w, PLAIN, &datagram_type, -1);
		if (s[i] == NULL ||
		    !fine(asyncore_create_socket(dispatcher(s[i]), AF_INET, SOCK_DGRAM)) ||
		    !fine(asyncore_bind(dispatcher(s[i]), "127.0.0.1", 0)))
			return drop(s[i]);
		port = bound_port(dispatcher(s[i]));
	}
	s[1]->echo = true;
	to.sin_port = htons((uint16_t)port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 10 && n == 0; i++)
		n = asyncore_sendto(dispatcher(s[0]), "ping", 4, (struct sockaddr *)&to, sizeof to);
	if (!fine(n == 0 ? -ENOBUFS : n))
		return false;
	AWAIT(w, has(s[0], "ping"));
	/* An echo that could not go out now was said. */
	return has(s[0], "ping");
}

static int pipe_of(struct world *w, int ends[2])
{
	const bool was = fault_pause();
	int r = pipe2(ends, O_CLOEXEC | O_NONBLOCK);

	(void)w;
	if (was)
		fault_resume();
	return r;
}

static bool pipe_reader(struct world *w)
{
	int ends[2], peer;
	struct sink *s;

	pipe_of(w, ends);
	peer = peer_with(w, ends[1]);
	s = node(w, FILE_NODE, &file_type, ends[0]);
	if (s == NULL)
		return false;
	peer_put(w, peer, "hello", 5);
	AWAIT(w, s->len == 5);
	peer_close(w, peer);
	AWAIT(w, s->closes > 0);
	return has(s, "hello") && s->closes == 1;
}

static bool pipe_writer(struct world *w)
{
	char got[8] = "";
	int ends[2], n;
	struct sink *s;
	bool was;

	pipe_of(w, ends);
	peer_with(w, ends[0]);
	s = node(w, FILE_NODE, &file_type, ends[1]);
	if (s == NULL)
		return false;
	s->want_write = true;
	AWAIT(w, s->writes > 0);
	s->want_write = false;
	if (s->writes == 0 || dispatcher(s) == NULL)
		return false;
	do {
		n = asyncore_send(dispatcher(s), "out", 3);
	} while (n == 0 && w->closed == 0);
	if (!fine(n) || n == 0)
		return false;
	was = fault_pause();
	n = read(ends[0], got, sizeof got) == n;
	if (was)
		fault_resume();
	return n && memcmp(got, "out", 1) == 0;
}

/* A file that epoll refuses is always ready. */
static bool regular_file(struct world *w)
{
	const bool was = fault_pause();
	FILE *file = tmpfile();
	int fd = file != NULL ? dup(fileno(file)) : -1;
	struct sink *s;

	if (file == NULL || fwrite("content", 1, 7, file) != 7 || fflush(file) != 0)
		w->reported++;
	if (file != NULL)
		fclose(file);
	lseek(fd, 0, SEEK_SET);
	if (was)
		fault_resume();
	s = node(w, FILE_NODE, &file_type, fd);
	if (s == NULL)
		return false;
	AWAIT(w, s->closes > 0);
	return has(s, "content") && s->closes == 1;
}

static bool out_and_in(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, PLAIN, &node_type, fd);

	if (s == NULL)
		return false;
	AWAIT(w, w->passes >= 1);
	if (dispatcher(s) == NULL ||
	    !fine(asyncore_del_channel(dispatcher(s), NULL)) ||
	    !fine(asyncore_add_channel(dispatcher(s), NULL)))
		return false;
	peer_put(w, peer, "back", 4);
	AWAIT(w, s->len > 3);
	return has(s, "back");
}

static bool set_socket(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, WITH_SEND, &with_send_type, -1);

	if (s == NULL || !fine(asyncore_set_socket(dispatcher(s), fd, NULL))) {
		close(fd);
		return drop(s);
	}
	asyncore_set_connected(dispatcher(s), true);
	s->echo = true;
	peer_put(w, peer, "given", 5);
	AWAIT(w, peer_got(w, peer, "given", 5));
	return peer_got(w, peer, "given", 5);
}

/* Enough channels that every array of the map has to grow. */
static bool many_channels(struct world *w)
{
	struct sink *s[40];
	int peer[40], fd, i, n = 0;

	for (i = 0; i < 40; i++) {
		peer[i] = unix_peer(w, &fd);
		s[i] = node(w, PLAIN, i % 2 ? &node_type : &stable_type, fd);
		if (s[i] == NULL)
			return false;
	}
	/* In the reverse order, so that they have to be sorted. */
	for (i = 39; i >= 0; i--)
		peer_put(w, peer[i], "x", 1);
	AWAIT(w, s[0]->len + s[39]->len == 2);
	AWAIT(w, s[33]->len + s[34]->len == 2);
	for (i = 0; i < 40; i++) {
		AWAIT(w, s[i]->len == 1);
		n += s[i]->len == 1;
	}
	return n == 40;
}

static bool urgent(struct world *w)
{
	int fd, peer = tcp_peer(w, &fd), i;
	struct sink *s = node(w, PLAIN, &urgent_type, fd);
	bool was;

	if (s == NULL)
		return false;
	for (i = 0; i < 2; i++) {
		AWAIT(w, w->passes >= 2);
		was = fault_pause();
		send(w->peer[peer].fd, "!", 1, MSG_OOB | MSG_NOSIGNAL);
		if (was)
			fault_resume();
		AWAIT(w, s->expts > i);
	}
	peer_put(w, peer, "data", 4);
	AWAIT(w, s->len >= 4);
	return s->expts >= 2 && has(s, "data");
}

/* A handler runs a pass of its own. */
static int nesting_read(struct asyncore_dispatcher *self)
{
	struct asyncore_map *map = asyncore_map(self);
	struct sink *s = sink_of(self);
	int r = node_read(self);

	if (r < 0 || s->accepts++ > 0)
		return r;
	r = asyncore_poll(0.0, map);
	return r < 0 ? r : 0;
}

static const struct asyncore_dispatcher_type nesting_type = {
	.base = &asyncore_dispatcher_type, .name = "nesting",
	.handle_read = nesting_read, .writable = node_writable, NODE_METHODS
};

static bool nested_pass(struct world *w)
{
	int fd[2], peer[2], i;
	struct sink *s[2];

	for (i = 0; i < 2; i++) {
		peer[i] = unix_peer(w, &fd[i]);
		s[i] = node(w, PLAIN, i == 0 ? &nesting_type : &node_type, fd[i]);
		if (s[i] == NULL)
			return false;
	}
	peer_put(w, peer[0], "outer", 5);
	peer_put(w, peer[1], "inner", 5);
	AWAIT(w, s[0]->len >= 5 && s[1]->len >= 5);
	return has(s[0], "outer") && has(s[1], "inner");
}

/* A map of its own, from the first call to the last. */
static bool own_map(struct world *w)
{
	struct asyncore_map *map = asyncore_map_new(NULL), *before = w->map;
	int fd, peer;
	struct sink *s;
	bool done;

	if (map == NULL)
		return fine(-errno);
	peer = unix_peer(w, &fd);
	s = node_in(map, WITH_SEND, &with_send_type, fd);
	w->map = map;
	if (s != NULL) {
		s->echo = true;
		fine(asyncore_loop(0.0, false, map, 2));
		peer_put(w, peer, "mine", 4);
		AWAIT(w, peer_got(w, peer, "mine", 4));
	}
	w->map = before;
	done = peer_got(w, peer, "mine", 4);
	return fine(asyncore_map_free(map)) && done;
}

static bool two_maps(struct world *w)
{
	struct asyncore_map *other = asyncore_map_new(NULL);
	int fd, peer = unix_peer(w, &fd), i, r = 0;
	struct sink *s;

	if (other == NULL) {
		close(fd);
		return fine(-errno);
	}
	s = node_in(other, PLAIN, &node_type, fd);
	if (s != NULL)
		fine(asyncore_set_idle_timeout(dispatcher(s), 60));
	for (i = 0; i < 3 && s != NULL && r == 0; i++)
		r = asyncore_poll(0.0, other);
	/* It moves, and the other map can go. */
	if (fine(r) && s != NULL && dispatcher(s) != NULL &&
	    fine(asyncore_del_channel(dispatcher(s), NULL)) &&
	    !fine(asyncore_add_channel(dispatcher(s), w->map)))
		asyncore_close(dispatcher(s));
	if (!fine(asyncore_map_free(other)) || s == NULL)
		return false;
	peer_put(w, peer, "moved", 5);
	AWAIT(w, s->len >= 5);
	return has(s, "moved");
}

static bool close_all(struct world *w)
{
	int fd, i, r;

	for (i = 0; i < 5; i++) {
		unix_peer(w, &fd);
		if (node(w, i % 2 ? PLAIN : WITH_SEND, i % 2 ? &node_type : &with_send_type, fd)
		    == NULL)
			return false;
	}
	AWAIT(w, w->passes >= 2);
	/* All but the bystander. */
	for (i = 0, r = 0; i < w->nsinks; i++)
		if (w->sink[i].node != NULL && asyncore_close(dispatcher(&w->sink[i])) < 0)
			r++;
	AWAIT(w, asyncore_map_size(w->map) == 1);
	if (r > 0)
		fine(-EIO);
	return asyncore_map_size(w->map) == 1;
}

static int raising_read(struct asyncore_dispatcher *self)
{
	char data[64];
	int n = asyncore_recv(self, data, sizeof data);

	return n <= 0 ? n : ASYNCORE_RAISEF(self, -EPROTO, "%d bytes of nonsense", n);
}

/* The default handle_error(): a report, and the end of the channel. */
static const struct asyncore_dispatcher_type raising_type = {
	.base = &asyncore_dispatcher_type, .name = "raising",
	.handle_read = raising_read, .writable = node_writable, .log_info = node_log,
	.dispose = node_dispose, .dealloc = asyncore_dealloc_free
};

static bool raising(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, PLAIN, &raising_type, fd);

	if (s == NULL)
		return false;
	peer_put(w, peer, "what", 4);
	AWAIT(w, s->node == NULL);
	return s->node == NULL && w->logged > 0;
}

static int exit_read(struct asyncore_dispatcher *self)
{
	int r = node_read(self);

	return r < 0 ? r : ASYNCORE_EXIT_NOW;
}

static const struct asyncore_dispatcher_type exit_type = {
	.base = &asyncore_dispatcher_type, .name = "exit",
	.handle_read = exit_read, .writable = node_writable, NODE_METHODS
};

static bool exit_now(struct world *w)
{
	int fd, peer = unix_peer(w, &fd), i, r = 0;
	struct sink *s = node(w, PLAIN, &exit_type, fd);

	if (s == NULL)
		return false;
	peer_put(w, peer, "stop", 4);
	for (i = 0; i < 10 && r == 0 && w->reported + w->closed == 0; i++)
		r = asyncore_loop(0.05, w->use_poll, w->map, 3);
	if (r != ASYNCORE_EXIT_NOW) {
		fine(r);
		return false;
	}
	return s->len > 0;
}

/* --- async_chat -------------------------------------------------------------------------------------- */

static bool chat_lines(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	if (s == NULL || !fine(async_chat_set_terminator(chat_of(s), "\r\n", 2)))
		return false;
	peer_put(w, peer, "one\r\ntwo\r", 9);
	AWAIT(w, s->len >= 6);
	peer_put(w, peer, "\nthree\r\n", 8);
	AWAIT(w, s->lines == 3);
	return s->lines == 3 && has(s, "onetwothree");
}

static bool chat_count(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	if (s == NULL || !fine(async_chat_set_terminator_count(chat_of(s), 10)))
		return false;
	peer_put(w, peer, "12345", 5);
	AWAIT(w, s->len == 5);
	peer_put(w, peer, "67890rest", 9);
	AWAIT(w, s->len == 14);
	return s->lines == 1 && has(s, "1234567890rest");
}

static bool chat_none(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	make_big();
	if (s == NULL || !fine(async_chat_set_terminator_none(chat_of(s))))
		return false;
	peer_put(w, peer, big, 30000);
	AWAIT(w, s->len == 30000);
	return has_big(s, 30000);
}

/* A line longer than any buffer, and more than the collector may keep after it. */
static bool chat_long_line(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	make_big();
	if (s == NULL || !fine(async_chat_set_terminator(chat_of(s), "\n", 1)) ||
	    !fine(async_chat_set_incoming_limit(chat_of(s), 50000)) ||
	    !fine(async_chat_set_buffer_sizes(chat_of(s), 8192, 8192)))
		return false;
	peer_put(w, peer, big, 20000);
	peer_put(w, peer, "\n", 1);
	AWAIT(w, s->lines == 1);
	return s->lines == 1 && has_big(s, 20000);
}

static bool chat_gathered(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	if (s == NULL || !fine(async_chat_set_terminator(chat_of(s), "\n", 1)))
		return false;
	s->echo = true;
	peer_put(w, peer, "a\nbb\nccc\n", 9);
	AWAIT(w, peer_got(w, peer, "a\nbb\nccc\n", 9));
	return peer_got(w, peer, "a\nbb\nccc\n", 9);
}

static bool chat_at_once(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, CHAT, &chat_at_once_type.dispatcher, fd);

	if (s == NULL || !fine(async_chat_set_terminator(chat_of(s), "\n", 1)))
		return false;
	s->echo = true;
	peer_put(w, peer, "a\nbb\n", 5);
	AWAIT(w, peer_got(w, peer, "a\nbb\n", 5));
	return peer_got(w, peer, "a\nbb\n", 5);
}

static bool chat_push_big(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	make_big();
	if (s == NULL || !fine(async_chat_set_output_limit(chat_of(s), 100000, 1000)) ||
	    !fine(async_chat_set_buffer_sizes(chat_of(s), 0, 65536)) ||
	    !fine(async_chat_push(chat_of(s), big, BIG)))
		return false;
	AWAIT(w, peer_got(w, peer, big, BIG));
	AWAIT(w, s->limits == 2);
	return peer_got(w, peer, big, BIG) && s->limits == 2;
}

static void count_release(const void *data, size_t len, void *arg)
{
	(void)data, (void)len;
	++*(int *)arg;
}

static bool chat_reference(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	if (s == NULL)
		return false;
	if (!fine(async_chat_push_reference(chat_of(s), "refer", 5, count_release,
					    &w->counter[0]))) {
		if (w->counter[0] != 1)
			abort();	/* released once, whatever happens */
		return false;
	}
	AWAIT(w, peer_got(w, peer, "refer", 5));
	return peer_got(w, peer, "refer", 5) && w->counter[0] == 1;
}

static bool push_producer(struct world *w, struct async_chat_producer *producer, const void *data,
			  size_t len)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);

	if (producer == NULL)
		return fine(-ENOMEM);
	if (s == NULL) {
		async_chat_producer_release(producer);
		return false;
	}
	if (!fine(async_chat_push_with_producer(chat_of(s), producer)) || chat_of(s) == NULL ||
	    !fine(async_chat_close_when_done(chat_of(s))))
		return false;
	AWAIT(w, peer_end(w, peer));
	return peer_got(w, peer, data, len) && peer_end(w, peer);
}

static bool simple_producer(struct world *w)
{
	make_big();
	return push_producer(w, async_chat_simple_producer_new(big, 3000, 0), big, 3000);
}

static bool file_producer(struct world *w)
{
	const bool was = fault_pause();
	struct async_chat_producer *producer;
	FILE *file = tmpfile();
	int fd = file != NULL ? dup(fileno(file)) : -1;

	make_big();
	if (file == NULL || fwrite(big, 1, 10000, file) != 10000 || fclose(file) != 0)
		w->reported++;
	if (was)
		fault_resume();
	producer = async_chat_file_producer_new(fd, 0, -1);
	if (producer == NULL)
		close(fd);
	return push_producer(w, producer, big, 10000);
}

static bool evbuffer_producer(struct world *w)
{
	struct evbuffer *buffer = evbuffer_new();
	struct async_chat_producer *producer = NULL;

	make_big();
	if (buffer != NULL && evbuffer_add(buffer, big, 5000) == 0)
		producer = async_chat_evbuffer_producer_new(buffer);
	if (producer == NULL && buffer != NULL)
		evbuffer_free(buffer);
	return push_producer(w, producer, big, 5000);
}

struct slow_producer {
	struct async_chat_producer producer;
	int asked;
};

static int slow_more(struct async_chat_producer *self, const void **data, size_t *len)
{
	switch (((struct slow_producer *)self)->asked++) {
	case 0:
		return ASYNC_CHAT_NOT_YET;
	case 1:
		*data = "slow";
		*len = 4;
		return 1;
	default:
		return 0;
	}
}

static void slow_release(struct async_chat_producer *self)
{
	free(self);
	if (world != NULL)
		world->counter[0]++;
}

static const struct async_chat_producer_type slow_type = {
	.more = slow_more, .release = slow_release
};

static bool producer_not_yet(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct slow_producer *p = calloc(1, sizeof *p);
	struct sink *s = chat(w, fd);

	if (p == NULL)
		return fine(-ENOMEM);
	p->producer.type = &slow_type;
	if (s == NULL) {
		async_chat_producer_release(&p->producer);
		return false;
	}
	if (!fine(async_chat_push_with_producer(chat_of(s), &p->producer)))
		return w->counter[0] == 1 ? false : (abort(), false);
	AWAIT(w, w->passes >= 2);
	if (chat_of(s) == NULL || !fine(async_chat_resume(chat_of(s))))
		return false;
	AWAIT(w, peer_got(w, peer, "slow", 4) && w->counter[0] == 1);
	return peer_got(w, peer, "slow", 4) && w->counter[0] == 1;
}

static bool chat_client(struct world *w)
{
	int port = 0;
	struct sink *c;

	if (listener(w, &listener_type, &port) == NULL ||
	    (c = client(w, CHAT, &chat_type.dispatcher, "127.0.0.1", port)) == NULL ||
	    !fine(async_chat_set_terminator(chat_of(c), "\n", 1)) ||
	    !fine(async_chat_push(chat_of(c), "early\n", 6)))
		return false;
	AWAIT(w, c->lines == 1);
	return c->lines == 1 && has(c, "early");
}

static bool chat_discard(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = chat(w, fd);
	size_t before;

	make_big();
	if (s == NULL || !fine(async_chat_push(chat_of(s), big, BIG)) ||
	    !fine(async_chat_discard_buffers(chat_of(s))))
		return false;
	before = peer_len(w, peer);
	if (!fine(async_chat_push(chat_of(s), "after", 5)))
		return false;
	AWAIT(w, peer_len(w, peer) == before + 5);
	return peer_len(w, peer) == before + 5;
}

/* --- half-close ------------------------------------------------------------------------------------- */

static bool half_close(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, WITH_SEND, &half_type, fd);
	bool was;

	make_big();
	if (s == NULL || !fine(asyncore_send(dispatcher(s), big, BIG)))
		return false;
	was = fault_pause();
	shutdown(w->peer[peer].fd, SHUT_WR);
	if (was)
		fault_resume();
	AWAIT(w, peer_got(w, peer, big, BIG) && s->closes > 0);
	return peer_got(w, peer, big, BIG) && s->eofs == 1 && s->closes == 1;
}

static bool chat_half_close(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, CHAT, &chat_half_type.dispatcher, fd);
	bool was;

	if (s == NULL || !fine(async_chat_set_terminator(chat_of(s), "\n", 1)))
		return false;
	s->echo = true;
	peer_put(w, peer, "bye\n", 4);
	was = fault_pause();
	shutdown(w->peer[peer].fd, SHUT_WR);
	if (was)
		fault_resume();
	AWAIT(w, s->closes > 0);
	return peer_got(w, peer, "bye\n", 4) && s->eofs == 1;
}

static bool shut_down_when_done(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, WITH_SEND, &with_send_type, fd);

	make_big();
	if (s == NULL || !fine(asyncore_send(dispatcher(s), big, BIG)) ||
	    !fine(asyncore_shutdown_when_done(dispatcher(s))))
		return false;
	AWAIT(w, peer_end(w, peer));
	peer_put(w, peer, "still", 5);
	AWAIT(w, s->len >= 5);
	return peer_got(w, peer, big, BIG) && has(s, "still");
}

/* --- timers, calls ------------------------------------------------------------------------------------ */

static int count_call(struct asyncore_map *map, void *arg)
{
	(void)map;
	++*(int *)arg;
	return 0;
}

static int count_channel_call(struct asyncore_dispatcher *d, void *arg)
{
	(void)d;
	++*(int *)arg;
	return 0;
}

static void count_released(void *arg)
{
	((int *)arg)[1]++;
}

/* Whatever failed, the argument was released once. */
static bool released(struct world *w)
{
	if (w->counter[1] != 1)
		abort();
	return false;
}

static bool call_later(struct world *w)
{
	if (!fine(asyncore_call_later(w->map, 0.005, count_call, w->counter, count_released)))
		return released(w);
	AWAIT(w, w->counter[0] == 1 && w->counter[1] == 1);
	return w->counter[0] == 1 && w->counter[1] == 1;
}

static bool many_timers(struct world *w)
{
	int timer[40], i;

	for (i = 0; i < 40; i++) {
		timer[i] = asyncore_call_later(w->map, 0.001 * (i % 7), count_call, &w->counter[2],
					       NULL);
		if (!fine(timer[i]))
			return false;
	}
	if (!fine(asyncore_cancel(w->map, timer[6])) || !fine(asyncore_reset(w->map, timer[13], 0.0)))
		return false;
	AWAIT(w, w->counter[2] == 39);
	return w->counter[2] == 39;
}

static bool call_every(struct world *w)
{
	int timer = asyncore_call_every(w->map, 0.002, count_call, w->counter, count_released);

	if (!fine(timer))
		return released(w);
	AWAIT(w, w->counter[0] >= 3);
	if (!fine(asyncore_cancel(w->map, timer)))
		return false;
	return w->counter[0] >= 3 && w->counter[1] == 1;
}

static bool channel_timer(struct world *w)
{
	int fd;
	struct sink *s;

	unix_peer(w, &fd);
	s = node(w, PLAIN, &node_type, fd);
	if (s == NULL)
		return false;
	if (!fine(asyncore_channel_call_later(dispatcher(s), 0.003, count_channel_call, w->counter,
					      count_released)))
		return released(w);
	AWAIT(w, w->counter[0] == 1 && w->counter[1] == 1);
	return w->counter[0] == 1 && w->counter[1] == 1;
}

static bool idle_timeout(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, PLAIN, &node_type, fd);

	if (s == NULL || !fine(asyncore_set_idle_timeout(dispatcher(s), 0.01)))
		return false;
	peer_put(w, peer, "busy", 4);
	AWAIT(w, s->timeouts == 1);
	return s->timeouts == 1 && has(s, "busy");
}

static bool call_soon(struct world *w)
{
	struct asyncore_poster *poster = asyncore_poster_new(w->map);
	int r;

	if (poster == NULL)
		return fine(-errno);
	r = asyncore_call_soon(poster, count_call, w->counter, count_released);
	if (!fine(r)) {
		asyncore_poster_unref(poster);
		return released(w);
	}
	AWAIT(w, w->counter[0] == 1);
	asyncore_poster_unref(poster);
	AWAIT(w, w->passes >= 1);
	return w->counter[0] == 1 && w->counter[1] == 1;
}

static bool trigger(struct world *w)
{
	struct asyncore_trigger *t = asyncore_trigger_new(w->map, count_call, w->counter,
							  count_released);
	int i;

	if (t == NULL) {
		fine(-errno);
		return released(w);
	}
	for (i = 0; i < 3; i++) {
		if (!fine(asyncore_trigger_pull(t)))
			break;
		AWAIT(w, w->counter[0] == i + 1);
	}
	asyncore_trigger_free(t);
	return w->counter[0] == 3 && w->counter[1] == 1;
}

/* --- settings, fork ------------------------------------------------------------------------------------ */

static void count_empty(struct asyncore_map *map, void *arg)
{
	(void)map;
	++*(int *)arg;
}

static void count_trace(struct asyncore_map *map, const struct asyncore_trace *trace, void *arg)
{
	(void)map, (void)trace;
	++*(int *)arg;
}

static bool settings(struct world *w)
{
	int fd, peer = unix_peer(w, &fd);
	struct sink *s = node(w, PLAIN, &node_type, fd);

	if (s == NULL)
		return false;
	AWAIT(w, w->passes >= 1);
	w->all_concerned = true;	/* registered anew, with the priority */
	if (!fine(asyncore_map_set_timeout(w->map, 0.5)) ||
	    !fine(asyncore_map_set_empty_cb(w->map, count_empty, &w->counter[0])) ||
	    !fine(asyncore_map_set_trace_cb(w->map, count_trace, &w->counter[1])) ||
	    !fine(asyncore_map_set_priority(w->map, 0)))
		return false;
	peer_put(w, peer, "seen", 4);
	AWAIT(w, s->len >= 4);
	/* Nobody may count when the world has ended. */
	asyncore_map_set_empty_cb(w->map, NULL, NULL);
	asyncore_map_set_trace_cb(w->map, NULL, NULL);
	return has(s, "seen") && w->counter[1] > 0;
}

/* What a child does first; here without a fork(), which makes no difference to it. */
static bool reinit(struct world *w)
{
	int fd, peer = tcp_peer(w, &fd), i;
	struct sink *s = node(w, PLAIN, &urgent_type, fd);
	struct asyncore_poster *poster = s != NULL ? asyncore_poster_new(w->map) : NULL;

	if (s == NULL)
		return false;
	if (poster == NULL)
		return fine(-errno);
	i = asyncore_call_later(w->map, 0.01, count_call, &w->counter[2], NULL);
	if (fine(i)) {
		AWAIT(w, w->passes >= 1);
		w->reinit = w->all_concerned = true;
		i = fine(asyncore_map_reinit(w->map));
	} else {
		i = 0;
	}
	if (i && !fine(asyncore_call_soon(poster, count_call, w->counter, count_released))) {
		released(w);
		i = 0;
	}
	if (i) {
		peer_put(w, peer, "child", 5);
		AWAIT(w, s->len >= 5 && w->counter[0] == 1 && w->counter[2] == 1);
	}
	asyncore_poster_unref(poster);
	return i && has(s, "child") && w->counter[0] == 1 && w->counter[2] == 1;
}

/* --- the list ------------------------------------------------------------------------------------------ */

#define SCENARIO(name) { #name, name, NULL, false }
#define WITH_POLL(name) { #name "/use_poll", name, NULL, true }
#define ON(name, backend) { #name "/" backend, name, backend, false }

const struct scenario scenarios[] = {
	SCENARIO(plain_echo), WITH_POLL(plain_echo), ON(plain_echo, "epoll"),
	ON(plain_echo, "poll"), ON(plain_echo, "select"),
	SCENARIO(writable_stable), ON(writable_stable, "epoll"), ON(writable_stable, "poll"),
	SCENARIO(end_of_file), WITH_POLL(end_of_file), ON(end_of_file, "epoll"),
	SCENARIO(with_send_big), WITH_POLL(with_send_big), ON(with_send_big, "epoll"),
	ON(with_send_big, "select"),
	SCENARIO(with_send_echo),
	SCENARIO(tcp_server), WITH_POLL(tcp_server), ON(tcp_server, "epoll"),
	ON(tcp_server, "poll"),
	SCENARIO(tcp_server_batch),
	SCENARIO(tcp_by_name),
	SCENARIO(connect_refused), WITH_POLL(connect_refused),
	SCENARIO(reconnect),
	SCENARIO(unix_server),
	SCENARIO(datagrams),
	SCENARIO(pipe_reader), WITH_POLL(pipe_reader),
	SCENARIO(pipe_writer),
	SCENARIO(regular_file), ON(regular_file, "epoll"),
	SCENARIO(out_and_in),
	SCENARIO(set_socket),
	SCENARIO(many_channels), ON(many_channels, "epoll"),
	SCENARIO(urgent), WITH_POLL(urgent), ON(urgent, "epoll"),
	SCENARIO(nested_pass),
	SCENARIO(own_map),
	SCENARIO(two_maps),
	SCENARIO(close_all), ON(close_all, "epoll"),
	SCENARIO(raising), WITH_POLL(raising),
	SCENARIO(exit_now),
	SCENARIO(chat_lines), WITH_POLL(chat_lines), ON(chat_lines, "epoll"),
	SCENARIO(chat_count),
	SCENARIO(chat_none),
	SCENARIO(chat_long_line),
	SCENARIO(chat_gathered), ON(chat_gathered, "epoll"),
	SCENARIO(chat_at_once),
	SCENARIO(chat_push_big), ON(chat_push_big, "epoll"),
	SCENARIO(chat_reference),
	SCENARIO(simple_producer),
	SCENARIO(file_producer),
	SCENARIO(evbuffer_producer),
	SCENARIO(producer_not_yet),
	SCENARIO(chat_client),
	SCENARIO(chat_discard),
	SCENARIO(half_close), ON(half_close, "epoll"),
	SCENARIO(chat_half_close),
	SCENARIO(shut_down_when_done),
	SCENARIO(call_later), ON(call_later, "epoll"), ON(call_later, "select"),
	SCENARIO(many_timers), ON(many_timers, "epoll"),
	SCENARIO(call_every), ON(call_every, "epoll"),
	SCENARIO(channel_timer), ON(channel_timer, "epoll"),
	SCENARIO(idle_timeout), ON(idle_timeout, "epoll"),
	SCENARIO(call_soon), ON(call_soon, "epoll"), ON(call_soon, "poll"),
	SCENARIO(trigger), ON(trigger, "epoll"),
	SCENARIO(settings), ON(settings, "epoll"),
	SCENARIO(reinit), ON(reinit, "epoll"),
};
const int nscenarios = sizeof scenarios / sizeof scenarios[0];
