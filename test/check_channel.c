/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_channel.c - the life of a channel: closing it from anywhere, opening it again,
 * when it is disposed of, who holds it, and what dispose hooks may do.
 */

#include "support.h"

#include <event2/event.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>

/* --- helpers ------------------------------------------------------------------------ */

/* A probe on one end of a pair; the other end is the test's own. */
static struct probe *paired(int *peer, struct asyncore_map *map)
{
	int fd[2];

	unix_pair(fd);
	*peer = fd[1];
	return probe_new(fd[0], map);
}

/* The same, with something to read. */
static struct probe *ready(int *peer, struct asyncore_map *map)
{
	struct probe *p = paired(peer, map);

	put(*peer, "x", 1);
	return p;
}

static struct asyncore_dispatcher *of(struct probe *p)
{
	return &p->dispatcher;
}

/* The other end of this one was closed, perhaps with data unread. */
static void assert_gone(int peer)
{
	char byte;
	ssize_t n = read(peer, &byte, 1);

	ck_assert(n == 0 || (n < 0 && errno == ECONNRESET));
}

static struct probe *other(struct probe *p)
{
	return p->arg;
}

static int close_self(struct probe *p)
{
	return asyncore_close(of(p));
}

static int close_other(struct probe *p)
{
	return asyncore_close(of(other(p)));
}

static int connect_to(struct probe *p, int port)
{
	return asyncore_connect(of(p), "127.0.0.1", port);
}

/* A probe whose connect over TCP is under way. */
static struct probe *connecting(int port, struct asyncore_map *map)
{
	struct probe *p = probe_new(-1, map);

	p->wants_write = 1;
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(connect_to(p, port), 0);
	return p;
}

/* Accept on a listener of the test's own, waiting. */
static int accept_one(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	int fd;

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Where an AF_UNIX listener of the test's own listens: an abstract name, chosen by the
 * kernel. */
static int unix_listener(struct sockaddr_un *addr, socklen_t *addrlen)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memset(addr, 0, sizeof *addr);
	addr->sun_family = AF_UNIX;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, sizeof addr->sun_family), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	*addrlen = sizeof *addr;
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)addr, addrlen), 0);
	return fd;
}

/* --- closing itself, in every method that the library calls ---------------------------- */

/*
 * A class that overrides everything and closes its channel in one method.  What happens
 * to it after that is counted.
 */
#define METHODS(M) \
	M(readable) M(writable) \
	M(handle_read_event) M(handle_write_event) M(handle_expt_event) \
	M(handle_connect_event) \
	M(handle_read) M(handle_write) M(handle_expt) M(handle_connect) \
	M(handle_close) M(handle_error) M(handle_accept)

#define ENUM(name) IN_##name,
enum method { METHODS(ENUM) IN_accepted, IN_send, IN_recv, IN_log_info, IN_close, IN_del_channel,
	      METHODS_END };

static struct {
	enum method where;
	bool closing, closed;
	int later;		/* methods called by the library after it was closed */
	int disposed;
} closer;

/* Is this the method to close in?  Then do it. */
static bool close_here(struct asyncore_dispatcher *d, enum method method)
{
	if (closer.closed)
		closer.later++;
	if (closer.closing || method != closer.where)
		return false;
	closer.closing = true;
	ck_assert_int_eq(asyncore_close(d), 0);
	closer.closed = true;
	return true;
}

#define CLOSER(name) \
	static int closer_##name(struct asyncore_dispatcher *d) \
	{ \
		return close_here(d, IN_##name) ? 1 : asyncore_dispatcher_##name(d); \
	}

CLOSER(readable)
CLOSER(writable)
CLOSER(handle_read_event)
CLOSER(handle_write_event)
CLOSER(handle_expt_event)
CLOSER(handle_connect_event)
CLOSER(handle_connect)
CLOSER(handle_close)
CLOSER(handle_error)
CLOSER(handle_accept)

static int closer_handle_read(struct asyncore_dispatcher *d)
{
	char data[100];
	int n;

	if (close_here(d, IN_handle_read))
		return 0;
	n = asyncore_recv(d, data, sizeof data);
	if (closer.where == IN_log_info)
		return asyncore_log_info(d, "read", "info");
	return closer.where == IN_handle_error && n > 0 ? -EIO : n;
}

static int closer_handle_write(struct asyncore_dispatcher *d)
{
	return close_here(d, IN_handle_write) ? 0 : asyncore_send(d, "x", 1);
}

static int closer_handle_expt(struct asyncore_dispatcher *d)
{
	char byte;

	if (close_here(d, IN_handle_expt))
		return 0;
	ck_assert_int_eq(recv(asyncore_socket(d), &byte, 1, MSG_OOB), 1);
	return 0;
}

static int closer_accepted(struct asyncore_dispatcher *d, int fd, const struct sockaddr *addr,
			   socklen_t addrlen)
{
	(void)addr, (void)addrlen;
	close(fd);
	close_here(d, IN_accepted);
	return 0;
}

static int closer_send(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	return close_here(d, IN_send) ? 0 : asyncore_dispatcher_send(d, data, len);
}

static int closer_recv(struct asyncore_dispatcher *d, void *buffer, size_t len)
{
	return close_here(d, IN_recv) ? 0 : asyncore_dispatcher_recv(d, buffer, len);
}

static int closer_log_info(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	(void)message, (void)type;
	close_here(d, IN_log_info);
	return 0;
}

/* Closing inside close() and del_channel() is closing once more. */
static int closer_close(struct asyncore_dispatcher *d)
{
	close_here(d, IN_close);
	return asyncore_dispatcher_close(d);
}

static int closer_del_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	close_here(d, IN_del_channel);
	return asyncore_dispatcher_del_channel(d, map);
}

static void closer_dispose(struct asyncore_dispatcher *d)
{
	ck_assert_int_eq(asyncore_socket(d), -1);
	closer.disposed++;
}

static void free_object(struct asyncore_dispatcher *d)
{
	free(d);
}

static const struct asyncore_dispatcher_type closer_type = {
	.base = &asyncore_dispatcher_type,
	.name = "closer",
#define SLOT(name) .name = closer_##name,
	METHODS(SLOT)
	.handle_accepted = closer_accepted,
	.send = closer_send,
	.recv = closer_recv,
	.close = closer_close,
	.del_channel = closer_del_channel,
	.log_info = closer_log_info,
	.dispose = closer_dispose,
	.dealloc = free_object,
};

static struct asyncore_dispatcher *new_closer(enum method where)
{
	struct asyncore_dispatcher *d = calloc(1, sizeof *d);

	memset(&closer, 0, sizeof closer);
	closer.where = where;
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(asyncore_dispatcher_init(d, &closer_type, -1, NULL), 0);
	return d;
}

static void pass(bool use_poll, double timeout)
{
	ck_assert_int_eq((use_poll ? asyncore_poll2 : asyncore_poll)(timeout, NULL), 0);
}

static void run_closer(bool use_poll)
{
	int i;

	for (i = 0; i < 100 && asyncore_map_size(NULL) > 0; i++)
		pass(use_poll, 0.1);
	ck_assert(closer.closing);
	ck_assert_int_eq(closer.disposed, 1);
	ck_assert_int_le(closer.later, closer.where == IN_close ? 1 : 0);
}

/* A listening closer and two clients of the test's own. */
static void serve_with_closer(enum method where, bool use_poll)
{
	struct asyncore_dispatcher *d = new_closer(where);
	struct sockaddr_in addr;
	int i, client[2];

	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_bind(d, "127.0.0.1", 0), 0);
	ck_assert_int_eq(asyncore_listen(d, 5), 0);
	addr = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port_of(asyncore_socket(d))),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (i = 0; i < 2; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(client[i], (struct sockaddr *)&addr, sizeof addr), 0);
	}
	run_closer(use_poll);
	close(client[0]);
	close(client[1]);
}

/* A connecting closer, which gets data, urgent data and the end from its peer. */
static void connect_with_closer(enum method where, bool use_poll)
{
	struct asyncore_dispatcher *d = new_closer(where);
	int port, peer, listener = tcp_listener(&port);

	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
	peer = accept_one(listener);
	if (where == IN_handle_expt || where == IN_handle_expt_event) {
		ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
	} else {
		put(peer, "data", 4);
		ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	}
	run_closer(use_poll);
	close(peer);
	close(listener);
}

START_TEST(closing_itself_in_any_method_ends_all_its_events)
{
	const enum method where = (enum method)(_i / 2);
	const bool use_poll = _i % 2 != 0;

	if (where == IN_handle_accept || where == IN_accepted)
		serve_with_closer(where, use_poll);
	else
		connect_with_closer(where, use_poll);
}
END_TEST

static int refuse_to_stay(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	int r = asyncore_dispatcher_add_channel(d, map);

	return r < 0 ? r : asyncore_close(d);
}

START_TEST(closing_itself_in_add_channel_leaves_a_closed_channel)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .add_channel = refuse_to_stay,
	};
	struct probe *p = probe_new_typed(&type, -1, NULL);

	asyncore_create_socket(of(p), AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

static int stranger;

/* Close the channel, let somebody else have the number, and fail. */
static int lose_the_descriptor(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	int r = asyncore_dispatcher_add_channel(d, map);

	if (r < 0)
		return r;
	asyncore_close(d);
	stranger = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return -EIO;
}

static const struct asyncore_dispatcher_type losing_type = {
	.base = &probe_type, .add_channel = lose_the_descriptor,
};

/* FIELD B6 */
START_TEST(a_failing_add_channel_that_closed_does_not_make_create_socket_close_a_stranger)
{
	struct probe *p = probe_new_typed(&losing_type, -1, NULL);

	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), -EIO);
	ck_assert_int_ge(fcntl(stranger, F_GETFD), 0);
	close(stranger);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
}
END_TEST

/* FIELD B6 */
START_TEST(a_failing_add_channel_that_closed_does_not_make_set_file_close_a_stranger)
{
	struct probe *p = probe_new_typed(&losing_type, -1, NULL);

	ck_assert_int_eq(asyncore_set_file(of(p), STDIN_FILENO), -EIO);
	ck_assert_int_ge(fcntl(stranger, F_GETFD), 0);
	close(stranger);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
}
END_TEST

START_TEST(close_outside_of_any_pass_stops_everything)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert_int_eq(asyncore_fileno(of(p)), -1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	assert_gone(peer);
	step(NULL);
	ck_assert_str_eq(trace, "");
	close(peer);
}
END_TEST

START_TEST(close_clears_what_it_was)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	asyncore_set_accepting(of(p), true);
	asyncore_set_connecting(of(p), true);
	ck_assert(asyncore_connected(of(p)));
	asyncore_close(of(p));
	ck_assert(!asyncore_connected(of(p)));
	ck_assert(!asyncore_accepting(of(p)));
	ck_assert(!asyncore_connecting(of(p)));
	close(peer);
}
END_TEST

START_TEST(closing_twice_is_no_error)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	close(peer);
}
END_TEST

/* FIELD B6 */
START_TEST(closing_twice_does_not_close_who_got_the_number)
{
	int peer, number;
	struct probe *p = paired(&peer, NULL);

	number = asyncore_socket(of(p));
	asyncore_close(of(p));
	ck_assert_int_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), number);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_ge(fcntl(number, F_GETFD), 0);
	close(number);
	close(peer);
}
END_TEST

START_TEST(a_descriptor_that_a_stranger_closed_is_no_error_of_close)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	close(asyncore_socket(of(p)));
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	close(peer);
}
END_TEST

static int forget_to_call_up(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	(void)d, (void)map;
	return 0;
}

START_TEST(a_del_channel_that_does_not_call_up_keeps_no_closed_descriptor_in_the_map)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .del_channel = forget_to_call_up,
	};
	int fd[2];
	struct probe *p;

	unix_pair(fd);
	p = probe_new_typed(&type, fd[0], NULL);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_ptr_null(asyncore_map_get(NULL, fd[0]));
	close(fd[1]);
}
END_TEST

static int close_and_raise(struct probe *p)
{
	asyncore_close(of(p));
	return -EPROTO;
}

START_TEST(a_handler_that_closes_and_then_raises_gets_its_handle_error)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = close_and_raise;
	asyncore_ref(of(p));
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	ck_assert_int_eq(p->last_error, -EPROTO);
	asyncore_unref(of(p));
	close(peer);
}
END_TEST

static int swallow(struct probe *p)
{
	(void)p;
	return 0;
}

static int raise_io(struct probe *p)
{
	char byte;

	(void)asyncore_recv(of(p), &byte, 1);
	return -EIO;
}

START_TEST(a_handle_error_that_does_not_close_keeps_the_channel_alive)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = raise_io;
	p->on_error = swallow;
	step(NULL);
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	p->on_read = NULL;
	put(peer, "y", 1);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 read 1 ");
	ck_assert_uint_eq(p->len, 1);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

/* --- closing another channel ------------------------------------------------------------ */

/* FIELD B4 */
START_TEST(a_channel_closed_by_another_ones_read_gets_no_read)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	first->arg = second;
	first->on_read = close_other;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	asyncore_close(of(first));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

/* FIELD B4 */
START_TEST(a_channel_closed_by_another_ones_read_gets_no_write)
{
	int peer[2];
	struct probe *first = paired(&peer[0], NULL), *second = ready(&peer[1], NULL);

	/* The later one closes the earlier one, whose write would come after the reads. */
	first->wants_write = 1;
	second->arg = first;
	second->on_read = close_other;
	step(NULL);
	ck_assert_str_eq(trace, "read 2 ");
	asyncore_close(of(second));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

/* FIELD B4 */
START_TEST(a_channel_taken_out_of_the_map_by_another_one_gets_no_event)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	asyncore_ref(of(second));
	first->arg = second;
	asyncore_handle_read(of(first));
	put(peer[0], "x", 1);
	trace_reset();
	ck_assert_int_eq(asyncore_del_channel(of(second), NULL), 0);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(asyncore_add_channel(of(second), NULL), 0);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	asyncore_close(of(first));
	asyncore_close(of(second));
	asyncore_unref(of(second));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static int out_and_in(struct probe *p)
{
	ck_assert_int_eq(asyncore_del_channel(of(other(p)), NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(of(other(p)), NULL), 0);
	return 0;
}

START_TEST(a_channel_taken_out_and_put_back_is_served_in_the_next_pass)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	first->arg = second;
	first->on_read = out_and_in;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 ");
	first->on_read = NULL;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 read 1 read 2 ");
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close(of(first));
	asyncore_close(of(second));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(two_ready_channels_that_close_each_other_leave_the_first)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	first->arg = second;
	second->arg = first;
	first->on_read = second->on_read = close_other;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	asyncore_close(of(first));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static int close_other_and_yes(struct probe *p)
{
	asyncore_close(of(other(p)));
	return 1;
}

START_TEST(a_channel_closed_by_another_ones_predicate_is_not_asked_any_more)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	first->arg = second;
	first->on_readable = close_other_and_yes;
	asyncore_ref(of(second));
	step(NULL);
	ck_assert_int_eq(second->readables, 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(asyncore_unref(of(second)), 0);
	first->on_readable = NULL;
	asyncore_close(of(first));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static int close_self_and_yes(struct probe *p)
{
	asyncore_close(of(p));
	return 1;
}

/* FIELD B10 */
START_TEST(closing_inside_readable_asks_nothing_more_and_goes_on_with_the_others)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL);

	ready(&peer[1], NULL);
	first->on_readable = close_self_and_yes;
	asyncore_ref(of(first));
	pass(_i != 0, 0.0);
	ck_assert_int_eq(first->writables, 0);
	asyncore_unref(of(first));
	ck_assert_str_eq(trace, "read 2 ");
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

/* --- opening again ------------------------------------------------------------------------ */

static int reconnect_port;

static int reconnect(struct probe *p)
{
	asyncore_close(of(p));
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(connect_to(p, reconnect_port), 0);
	return 0;
}

START_TEST(handle_close_can_reconnect_over_tcp)
{
	int i, fd, listener = tcp_listener(&reconnect_port);
	struct probe *p = connecting(reconnect_port, NULL);

	p->on_close = reconnect;
	for (i = 1; i <= 5; i++) {
		fd = accept_one(listener);
		run_until(p->connects == i, NULL);
		put(fd, "x", 1);
		run_until(p->len == (size_t)i, NULL);
		close(fd);
		run_until(p->closes == i, NULL);
	}
	fd = accept_one(listener);
	run_until(p->connects == 6, NULL);
	ck_assert_int_eq(p->errors, 0);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close(of(p));
	close(fd);
	close(listener);
}
END_TEST

static struct sockaddr_un reconnect_addr;
static socklen_t reconnect_addrlen;

static int reconnect_unix(struct probe *p)
{
	asyncore_close(of(p));
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_UNIX, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect_sockaddr(of(p), (struct sockaddr *)&reconnect_addr,
						   reconnect_addrlen), 0);
	return 0;
}

START_TEST(handle_close_can_reconnect_over_af_unix)
{
	int i, fd, listener = unix_listener(&reconnect_addr, &reconnect_addrlen);
	struct probe *p = probe_new(-1, NULL);

	p->on_close = reconnect_unix;
	reconnect_unix(p);
	for (i = 1; i <= 5; i++) {
		ck_assert_int_eq(p->connects, i);
		ck_assert(asyncore_connected(of(p)));
		fd = accept_one(listener);
		close(fd);
		run_until(p->closes == i, NULL);
	}
	ck_assert_int_eq(p->errors, 0);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close(of(p));
	close(listener);
}
END_TEST

START_TEST(handle_error_can_reconnect)
{
	int fd, listener = tcp_listener(&reconnect_port), holder, bad = refused_port(&holder);
	struct probe *p = connecting(bad, NULL);

	p->on_error = reconnect;
	run_until(p->errors == 1, NULL);
	ck_assert_int_eq(p->last_error, -ECONNREFUSED);
	fd = accept_one(listener);
	run_until(p->connects == 1, NULL);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close(of(p));
	close(fd);
	close(holder);
	close(listener);
}
END_TEST

START_TEST(main_can_close_and_connect_again)
{
	int fd, listener = tcp_listener(&reconnect_port);
	struct probe *p = connecting(reconnect_port, NULL);

	fd = accept_one(listener);
	run_until(p->connects == 1, NULL);
	close(fd);
	reconnect(p);
	fd = accept_one(listener);
	run_until(p->connects == 2, NULL);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close(of(p));
	close(fd);
	close(listener);
}
END_TEST

START_TEST(a_channel_that_reconnects_gets_no_event_of_the_old_connection)
{
	/* The old socket is readable and writable; the new one is not connected when the
	 * write of this pass would come. */
	int peer, fd, listener = tcp_listener(&reconnect_port);
	struct probe *p = ready(&peer, NULL);

	p->wants_write = 1;
	p->on_read = reconnect;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 ");
	p->on_read = NULL;
	fd = accept_one(listener);
	run_until(p->connects == 1, NULL);
	ck_assert_int_eq(p->errors, 0);
	asyncore_close(of(p));
	close(fd);
	close(peer);
	close(listener);
}
END_TEST

static int write_other(struct probe *p)
{
	char byte;

	ck_assert_int_eq(asyncore_recv(of(p), &byte, 1), 1);
	return asyncore_write(of(other(p)));
}

START_TEST(a_mark_of_the_outer_pass_does_not_outlive_a_reconnect_in_asyncore_write)
{
	int peer[2], listener = tcp_listener(&reconnect_port), fd;
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	/* While the second one's read is still marked, its write is called by hand, and
	 * that reconnects: the mark belongs to the old socket. */
	first->arg = second;
	first->on_read = write_other;
	second->on_write = reconnect;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 write 2 ");
	fd = accept_one(listener);
	asyncore_close(of(first));
	asyncore_close(of(second));
	close(fd);
	close(peer[0]);
	close(peer[1]);
	close(listener);
}
END_TEST

/* Close the other one, and give the number that is free now to a new probe. */
static struct probe *newcomer;
static int newcomer_peer;

static int replace_other(struct probe *p)
{
	int number = asyncore_socket(of(other(p)));

	asyncore_close(of(other(p)));
	newcomer = paired(&newcomer_peer, NULL);
	newcomer->wants_write = 1;
	ck_assert_int_eq(asyncore_socket(of(newcomer)), number);
	return 0;
}

/* FIELD B5 */
START_TEST(a_new_channel_on_the_number_just_freed_gets_no_stale_event)
{
	int peer[2];
	struct probe *first = ready(&peer[0], NULL), *second = ready(&peer[1], NULL);

	second->wants_write = 1;
	first->arg = second;
	first->on_read = replace_other;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 ");
	first->on_read = NULL;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 read 1 write 3 ");
	asyncore_close(of(first));
	asyncore_close(of(newcomer));
	close(newcomer_peer);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static int move_to_new_socket(struct probe *p)
{
	int fd[2], number = asyncore_socket(of(p));

	asyncore_close(of(p));
	unix_pair(fd);
	ck_assert_int_eq(fd[0], number);
	newcomer_peer = fd[1];
	ck_assert_int_eq(asyncore_set_socket(of(p), fd[0], NULL), 0);
	return 0;
}

/* FIELD B5 */
START_TEST(a_channel_opened_again_on_its_own_number_gets_no_stale_event)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->wants_write = 1;
	p->on_read = move_to_new_socket;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 ");
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	asyncore_close(of(p));
	close(newcomer_peer);
	close(peer);
}
END_TEST

START_TEST(a_channel_reopened_many_times_in_one_handler_lives)
{
	/* More often than a 16-bit counter of openings can tell apart. */
	int i, peer;
	struct probe *p = ready(&peer, NULL);

	for (i = 0; i < 70000; i++) {
		asyncore_close(of(p));
		ck_assert_int_eq(asyncore_create_socket(of(p), AF_UNIX, SOCK_STREAM), 0);
	}
	asyncore_close(of(p));
	close(peer);
}
END_TEST

/* --- when it is disposed of ------------------------------------------------------------------ */

START_TEST(nothing_is_disposed_of_inside_the_handler_that_closed)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = close_self;
	ck_assert_int_eq(asyncore_read(of(p)), 0);
	/* By hand, outside of a pass: it waits for one. */
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close_all(NULL, false);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(the_end_of_the_outermost_pass_disposes)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = close_self;
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(leaving_the_loop_disposes)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = close_self;
	ck_assert_int_eq(asyncore_loop(5.0, false, NULL, -1), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(a_loop_over_an_empty_map_disposes_too)
{
	/* A client that connects and closes from main must not gather its old objects. */
	int peer;
	struct probe *p = paired(&peer, NULL);

	asyncore_close(of(p));
	ck_assert_int_eq(asyncore_loop(0.0, false, NULL, -1), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int close_and_exit(struct probe *p)
{
	asyncore_close(of(p));
	return ASYNCORE_EXIT_NOW;
}

START_TEST(exit_now_disposes_of_what_was_closed)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = close_and_exit;
	ck_assert_int_eq(asyncore_loop(5.0, _i != 0, NULL, -1), ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int predicate_close_and_fail(struct probe *p)
{
	asyncore_close(of(p));
	return -EPROTO;
}

START_TEST(a_pass_ended_by_a_predicate_disposes_of_what_was_closed)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_readable = predicate_close_and_fail;
	ck_assert_int_eq(asyncore_poll(0.0, NULL), -EPROTO);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int disposed_inside = -1;

static int close_self_and_run(struct probe *p)
{
	struct asyncore_map *map = asyncore_map(of(p));

	asyncore_close(of(p));
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	disposed_inside = probes_disposed;
	ck_assert_ptr_nonnull(p->dispatcher.channel);
	return 0;
}

START_TEST(nested_passes_do_not_dispose)
{
	int peer[2];
	struct probe *p = ready(&peer[0], NULL), *q = paired(&peer[1], NULL);

	p->on_read = close_self_and_run;
	step(NULL);
	ck_assert_int_eq(disposed_inside, 0);
	ck_assert_int_eq(probes_disposed, 1);
	asyncore_close(of(q));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(a_handler_called_by_hand_that_runs_the_loop_keeps_its_channel)
{
	int peer[2];
	struct probe *p = ready(&peer[0], NULL), *q = paired(&peer[1], NULL);

	p->on_read = close_self_and_run;
	asyncore_handle_read(of(p));
	ck_assert_int_eq(disposed_inside, 0);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	asyncore_close(of(q));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(asyncore_read_keeps_the_channel_while_its_handler_runs_the_loop)
{
	int peer[2];
	struct probe *p = ready(&peer[0], NULL), *q = paired(&peer[1], NULL);

	p->on_read = close_self_and_run;
	ck_assert_int_eq(asyncore_read(of(p)), 0);
	ck_assert_int_eq(disposed_inside, 0);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	asyncore_close(of(q));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static int run_deeper(struct probe *p)
{
	static int depth;
	int r = 0;

	asyncore_recv(of(p), p->data, 1);
	if (++depth < 5) {
		put(*(int *)p->arg, "x", 1);
		r = asyncore_poll(0.0, asyncore_map(of(p)));
	} else {
		r = asyncore_close(of(p));
	}
	depth--;
	ck_assert_int_eq(probes_disposed, 0);
	return r;
}

START_TEST(a_channel_closed_in_a_deep_pass_lives_until_all_have_returned)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->arg = &peer;
	p->on_read = run_deeper;
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int move_and_run(struct probe *p)
{
	struct asyncore_map *to = p->arg;

	ck_assert_int_eq(asyncore_del_channel(of(p), NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(of(p), to), 0);
	p->on_read = close_self;
	ck_assert_int_eq(asyncore_poll(0.0, to), 0);
	/* Closed by the pass of the other map, but our own handler still runs. */
	ck_assert_int_eq(probes_disposed, 0);
	return 0;
}

START_TEST(a_handler_that_moves_its_channel_to_another_map_and_runs_it_keeps_it)
{
	struct asyncore_map *to = asyncore_map_new(NULL);
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->arg = to;
	p->on_read = move_and_run;
	step(NULL);
	ck_assert_int_eq(asyncore_map_free(to), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(what_is_opened_again_in_time_is_not_disposed_of)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = move_to_new_socket;
	step(NULL);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_ge(asyncore_fileno(of(p)), 0);
	asyncore_close(of(p));
	close(peer);
	close(newcomer_peer);
}
END_TEST

START_TEST(what_was_taken_out_and_never_put_back_is_disposed_of_and_closed)
{
	int peer[2];
	struct probe *p = paired(&peer[0], NULL);

	paired(&peer[1], NULL);
	ck_assert_int_eq(asyncore_del_channel(of(p), NULL), 0);
	ck_assert_int_eq(probes_disposed, 0);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	assert_gone(peer[0]);
	asyncore_close_all(NULL, false);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(what_was_taken_out_and_put_back_before_a_pass_lives)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	ck_assert_int_eq(asyncore_del_channel(of(p), NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(of(p), NULL), 0);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

static int levels;
static char level_order[16];

#define LEVEL(letter) \
	static void dispose_##letter(struct asyncore_dispatcher *d) \
	{ \
		(void)d; \
		level_order[levels++] = #letter[0]; \
	}

LEVEL(a)
LEVEL(b)
LEVEL(c)

static void dealloc_level(struct asyncore_dispatcher *d)
{
	(void)d;
	level_order[levels++] = 'd';
}

START_TEST(dispose_runs_once_for_every_level_derived_first_then_dealloc_once)
{
	static const struct asyncore_dispatcher_type a = {
		.base = &asyncore_dispatcher_type, .dispose = dispose_a,
	}, b = {
		.base = &a, .dispose = dispose_b, .dealloc = dealloc_level,
	}, without = {
		.base = &b,
	}, c = {
		.base = &without, .dispose = dispose_c,
	};
	struct asyncore_dispatcher d;

	levels = 0;
	memset(level_order, 0, sizeof level_order);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &c, -1, NULL), 0);
	asyncore_close(&d);
	asyncore_close(&d);
	asyncore_close_all(NULL, true);
	asyncore_close_all(NULL, true);
	ck_assert_str_eq(level_order, "cbad");
}
END_TEST

static int del_calls;

static int counting_del_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	del_calls++;
	return asyncore_dispatcher_del_channel(d, map);
}

static int del_calls_at_dispose;

static void note_del_calls(struct asyncore_dispatcher *d)
{
	(void)d;
	del_calls_at_dispose = del_calls;
}

START_TEST(no_override_is_called_after_dispose)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.del_channel = counting_del_channel,
		.dispose = note_del_calls,
	};
	struct asyncore_dispatcher d;
	int fd[2];

	del_calls = 0;
	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_del_channel(&d, NULL), 0);
	asyncore_close_all(NULL, true);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(del_calls, del_calls_at_dispose);
	close(fd[1]);
}
END_TEST

START_TEST(an_object_on_the_stack_can_be_initialised_again_after_disposal)
{
	struct asyncore_dispatcher d;
	int i, fd[2];

	for (i = 0; i < 3; i++) {
		unix_pair(fd);
		ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0],
							  NULL), 0);
		ck_assert_int_eq(asyncore_close(&d), 0);
		asyncore_close_all(NULL, false);
		ck_assert_ptr_null(d.channel);
		ck_assert_int_eq(asyncore_close(&d), -EINVAL);
		close(fd[1]);
	}
}
END_TEST

START_TEST(a_static_object_is_left_alone_by_disposal)
{
	static struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(asyncore_fileno(&d), -1);
	ck_assert_int_eq(asyncore_handle_read(&d), -EINVAL);
	ck_assert_int_eq(asyncore_unref(&d), -EINVAL);
	close(fd[1]);
}
END_TEST

static struct asyncore_dispatcher reborn;
static int reborn_fd;

static void rebirth(struct asyncore_dispatcher *d)
{
	if (reborn_fd >= 0)
		ck_assert_int_eq(asyncore_dispatcher_init(d, reborn.type, reborn_fd, NULL), 0);
	reborn_fd = -1;
}

START_TEST(dealloc_may_initialise_its_object_anew)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type, .dealloc = rebirth,
	};
	int fd[2], second[2];

	unix_pair(fd);
	unix_pair(second);
	reborn_fd = second[0];
	ck_assert_int_eq(asyncore_dispatcher_init(&reborn, &type, fd[0], NULL), 0);
	asyncore_close(&reborn);
	asyncore_close_all(NULL, false);
	ck_assert_int_eq(asyncore_fileno(&reborn), second[0]);
	asyncore_close_all(NULL, false);
	ck_assert_ptr_null(reborn.channel);
	close(fd[1]);
	close(second[1]);
}
END_TEST

/* --- holding ------------------------------------------------------------------------------- */

START_TEST(a_held_channel_outlives_close_until_it_is_let_go)
{
	int peer[2];
	struct probe *p = ready(&peer[0], NULL), *q = paired(&peer[1], NULL);

	ck_assert_int_eq(asyncore_ref(of(p)), 0);
	asyncore_close(of(p));
	step(NULL);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	ck_assert_int_eq(probes_disposed, 0);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	asyncore_close(of(q));
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(every_ref_needs_its_unref)
{
	int i, peer;
	struct probe *p = paired(&peer, NULL);

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_ref(of(p)), 0);
	asyncore_close(of(p));
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(asyncore_unref(of(p)), 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(unref_without_ref_is_refused)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	ck_assert_int_eq(asyncore_unref(of(p)), -EINVAL);
	ck_assert_int_eq(asyncore_ref(of(p)), 0);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	ck_assert_int_eq(asyncore_unref(of(p)), -EINVAL);
	ck_assert_int_eq(asyncore_ref(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_unref(NULL), -EINVAL);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

START_TEST(a_ref_too_many_is_refused)
{
	int i, peer;
	struct probe *p = paired(&peer, NULL);

	for (i = 0; i < 65535; i++)
		ck_assert(asyncore_ref(of(p)) == 0);
	ck_assert_int_eq(asyncore_ref(of(p)), -EOVERFLOW);
	asyncore_close(of(p));
	for (i = 0; i < 65535; i++)
		ck_assert(asyncore_unref(of(p)) == 0);
	ck_assert_int_eq(asyncore_unref(of(p)), -EINVAL);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int unbalanced;

static int unref_too_often(struct probe *p)
{
	unbalanced = asyncore_unref(of(p));
	return asyncore_close(of(p));
}

START_TEST(unref_without_ref_is_refused_inside_a_handler_too)
{
	/* What the running handler holds is not the program's to let go. */
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = unref_too_often;
	step(NULL);
	ck_assert_int_eq(unbalanced, -EINVAL);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(a_held_channel_can_be_opened_again_after_passes)
{
	int peer[2], fd[2];
	struct probe *p = paired(&peer[0], NULL);

	paired(&peer[1], NULL);
	asyncore_ref(of(p));
	asyncore_close(of(p));
	step(NULL);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(of(p), fd[0], NULL), 0);
	asyncore_unref(of(p));
	step(NULL);
	ck_assert_int_eq(probes_disposed, 0);
	put(fd[1], "x", 1);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 2);
	close(peer[0]);
	close(peer[1]);
	close(fd[1]);
}
END_TEST

START_TEST(a_held_channel_out_of_the_map_keeps_its_descriptor)
{
	int peer[2];
	struct probe *p = ready(&peer[0], NULL);

	paired(&peer[1], NULL);
	asyncore_ref(of(p));
	asyncore_del_channel(of(p), NULL);
	step(NULL);
	ck_assert_int_eq(asyncore_fileno(of(p)), -1);
	ck_assert_int_ge(asyncore_socket(of(p)), 0);
	ck_assert_int_eq(asyncore_handle_read(of(p)), 1);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	asyncore_close_all(NULL, true);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static void unref_other_in_dispose(struct probe *p)
{
	ck_assert_int_eq(asyncore_unref(of(other(p))), 0);
}

START_TEST(letting_go_in_dispose_disposes_of_the_other_in_the_same_sweep)
{
	int peer[2];
	struct probe *p = paired(&peer[0], NULL), *held = paired(&peer[1], NULL);

	asyncore_ref(of(held));
	p->arg = held;
	p->on_dispose = unref_other_in_dispose;
	asyncore_close(of(held));
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 2);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static void hold_in_dispose(struct probe *p)
{
	ck_assert_int_eq(asyncore_ref(of(p)), 0);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	ck_assert_int_eq(asyncore_ref(of(p)), 0);
}

START_TEST(holding_in_dispose_does_not_save_it)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	p->on_dispose = hold_in_dispose;
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

/* A chain: each holds the next, and lets it go when it is disposed of. */
START_TEST(a_long_chain_of_disposals_ends_in_one_sweep)
{
	enum { LENGTH = 500 };
	int i, peer[LENGTH];
	struct probe *last = NULL;

	for (i = 0; i < LENGTH; i++) {
		struct probe *p = paired(&peer[i], NULL);

		if (last != NULL) {
			asyncore_ref(of(last));
			p->arg = last;
			p->on_dispose = unref_other_in_dispose;
		}
		last = p;
		asyncore_close(of(p));
		close(peer[i]);
	}
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, LENGTH);
}
END_TEST

/* --- what dispose hooks may do ---------------------------------------------------------------- */

static void close_other_in_dispose(struct probe *p)
{
	ck_assert_int_eq(asyncore_close(of(other(p))), 0);
}

START_TEST(dispose_may_close_another_channel_which_is_disposed_of_too)
{
	int peer[3];
	struct probe *p = ready(&peer[0], NULL), *q = ready(&peer[1], NULL);

	paired(&peer[2], NULL);
	p->arg = q;
	p->on_read = close_self;
	p->on_dispose = close_other_in_dispose;
	step(NULL);
	ck_assert_int_eq(probes_disposed, 2);
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	asyncore_close_all(NULL, true);
	for (int i = 0; i < 3; i++)
		close(peer[i]);
}
END_TEST

static void make_newcomer(struct probe *p)
{
	(void)p;
	newcomer = ready(&newcomer_peer, NULL);
}

START_TEST(dispose_may_create_a_channel)
{
	int peer;
	struct probe *p = ready(&peer, NULL);

	p->on_read = close_self;
	p->on_dispose = make_newcomer;
	step(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	step(NULL);
	ck_assert_int_eq(newcomer->reads, 1);
	asyncore_close(of(newcomer));
	close(newcomer_peer);
	close(peer);
}
END_TEST

static void run_a_pass(struct probe *p)
{
	(void)p;
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
}

START_TEST(dispose_may_run_a_pass)
{
	int peer[3];
	struct probe *p = ready(&peer[0], NULL), *q = paired(&peer[1], NULL);
	struct probe *served = ready(&peer[2], NULL);

	p->on_dispose = run_a_pass;
	q->on_dispose = run_a_pass;
	asyncore_close(of(p));
	asyncore_close(of(q));
	step(NULL);
	ck_assert_int_eq(probes_disposed, 2);
	ck_assert_int_ge(served->reads, 1);
	asyncore_close(of(served));
	for (int i = 0; i < 3; i++)
		close(peer[i]);
}
END_TEST

static void close_self_in_dispose(struct probe *p)
{
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
}

START_TEST(dispose_may_close_its_own_channel)
{
	int peer[2];
	struct probe *p = paired(&peer[0], NULL), *q = paired(&peer[1], NULL);

	p->on_dispose = close_self_in_dispose;
	q->on_dispose = close_self_in_dispose;
	asyncore_del_channel(of(p), NULL);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 2);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static void try_to_come_back(struct probe *p)
{
	int fd[2];

	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_set_file(of(p), STDIN_FILENO), -ESHUTDOWN);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(of(p), fd[0], NULL), -ESHUTDOWN);
	close(fd[0]);
	close(fd[1]);
}

START_TEST(dispose_cannot_bring_its_channel_back)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	p->on_dispose = try_to_come_back;
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	close(peer);
}
END_TEST

static void try_to_put_back(struct probe *p)
{
	ck_assert_int_ge(asyncore_socket(of(p)), 0);
	ck_assert_int_eq(asyncore_add_channel(of(p), NULL), -ESHUTDOWN);
}

START_TEST(dispose_cannot_put_its_channel_back_into_the_map)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	p->on_dispose = try_to_put_back;
	asyncore_del_channel(of(p), NULL);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static void try_to_free_the_map(struct probe *p)
{
	ck_assert_int_eq(asyncore_map_free(asyncore_map(of(p))), -EBUSY);
	ck_assert_int_eq(asyncore_close_all(asyncore_map(of(p)), true), 0);
}

START_TEST(dispose_cannot_free_the_map)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer[2];
	struct probe *p = ready(&peer[0], map), *q = paired(&peer[1], map);

	p->on_dispose = q->on_dispose = try_to_free_the_map;
	p->on_read = close_self;
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 2);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

static void look_at_itself(struct probe *p)
{
	char text[200];
	struct asyncore_map *map = asyncore_map(of(p));

	ck_assert_ptr_eq(p->dispatcher.type, &probe_type);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert(map == NULL || asyncore_map_size(map) == 0);
	ck_assert_int_gt(asyncore_repr(of(p), text, sizeof text), 0);
	ck_assert_int_eq(asyncore_send(of(p), "x", 1), 0);
	ck_assert_int_eq(asyncore_recv(of(p), text, 1), 0);
	ck_assert_int_eq(asyncore_log_info(of(p), "disposing", "warning"), 0);
	ck_assert_int_eq(asyncore_handle_write(of(p)), 0);
}

START_TEST(dispose_may_look_at_its_channel_and_call_its_methods)
{
	int peer;
	struct probe *p = paired(&peer, NULL);

	p->on_dispose = look_at_itself;
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int chain_left;

static void make_and_close_one_more(struct probe *p)
{
	int fd[2];

	(void)p;
	if (chain_left-- <= 0)
		return;
	unix_pair(fd);
	close(fd[1]);
	newcomer = probe_new(fd[0], NULL);
	newcomer->on_dispose = make_and_close_one_more;
	asyncore_close(of(newcomer));
}

START_TEST(disposals_that_make_disposals_all_happen_in_one_sweep)
{
	chain_left = 300;
	make_and_close_one_more(NULL);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 300);
}
END_TEST

/* --- init ------------------------------------------------------------------------------------- */

START_TEST(a_failed_init_leaves_nothing)
{
	struct asyncore_dispatcher d, e;
	int fd[2], pipe_fd[2];

	unix_pair(fd);
	ck_assert_int_eq(pipe2(pipe_fd, O_CLOEXEC), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&e, &asyncore_dispatcher_type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, NULL, -1, NULL), -EINVAL);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL),
			 -EEXIST);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, 1 << 20, NULL),
			 -EBADF);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -7, NULL),
			 -EBADF);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, pipe_fd[0],
						  NULL), -ENOTSOCK);
	ck_assert_ptr_null(d.channel);
	/* The descriptors are the caller's, as they were. */
	ck_assert_int_eq(fcntl(pipe_fd[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_ptr_eq(asyncore_map_get(NULL, fd[0]), &e);
	ck_assert_int_eq(asyncore_close(&d), -EINVAL);
	asyncore_close_all(NULL, false);
	ck_assert_ptr_null(e.channel);
	close(fd[1]);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}
END_TEST

static int refuse(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	(void)d, (void)map;
	return -EPERM;
}

static int add_then_refuse(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	ck_assert_int_eq(asyncore_dispatcher_add_channel(d, map), 0);
	return -EPERM;
}

START_TEST(an_init_that_add_channel_refuses_leaves_nothing)
{
	static const struct asyncore_dispatcher_type types[] = {
		{ .base = &probe_type, .add_channel = refuse },
		{ .base = &probe_type, .add_channel = add_then_refuse },
	};
	struct probe p = { .id = 0 };
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, 0), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(of(&p), &types[_i], fd[0], NULL), -EPERM);
	ck_assert_ptr_null(p.dispatcher.channel);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 0);
	/* It may be initialised again. */
	ck_assert_int_eq(asyncore_dispatcher_init(of(&p), &asyncore_dispatcher_type, fd[0],
						  NULL), 0);
	asyncore_close_all(NULL, true);
	close(fd[1]);
}
END_TEST

START_TEST(a_refused_create_socket_leaves_a_channel_that_can_be_closed)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .add_channel = add_then_refuse,
	};
	struct probe *p = probe_new_typed(&type, -1, NULL);

	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), -EPERM);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	/* It never was in the map as far as its maker is told: it lives on. */
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

/* --- channels that were never added ------------------------------------------------------------- */

START_TEST(a_channel_that_was_never_added_survives_passes_and_calls)
{
	int i, peer;
	char byte;
	struct probe *p = probe_new(-1, NULL), *q = paired(&peer, NULL);

	for (i = 0; i < 10; i++) {
		step(NULL);
		ck_assert_int_eq(asyncore_handle_write(of(p)), 0);
		ck_assert_int_eq(asyncore_send(of(p), "x", 1), 0);
		ck_assert_int_eq(asyncore_recv(of(p), &byte, 1), 0);
		ck_assert_int_eq(asyncore_del_channel(of(p), NULL), 0);
		ck_assert_int_eq(asyncore_add_channel(of(p), NULL), -EBADF);
		ck_assert_int_eq(asyncore_ref(of(p)), 0);
		ck_assert_int_eq(asyncore_unref(of(p)), 0);
	}
	asyncore_close(of(q));
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), 0);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

START_TEST(a_channel_that_was_never_added_is_disposed_of_after_close)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

static int defer(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	(void)d, (void)map;
	return 0;
}

/* pysnmp and pyftpdlib register later. */
START_TEST(an_add_channel_that_defers_leaves_the_channel_with_its_maker)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .add_channel = defer,
	};
	int fd[2];
	struct probe *p;

	unix_pair(fd);
	p = probe_new_typed(&type, fd[0], NULL);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_fileno(of(p)), -1);
	ck_assert_int_eq(asyncore_dispatcher_add_channel(of(p), NULL), 0);
	put(fd[1], "x", 1);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(of(p));
	close(fd[1]);
}
END_TEST

/* --- close_all and map_free ---------------------------------------------------------------------- */

static int close_all_in_handler(struct probe *p)
{
	return asyncore_close_all(asyncore_map(of(p)), false);
}

START_TEST(close_all_inside_a_handler_stops_everybody_and_disposes_afterwards)
{
	int i, peer[4];
	struct probe *p[4];

	for (i = 0; i < 4; i++) {
		p[i] = ready(&peer[i], NULL);
		p[i]->wants_write = 1;
	}
	p[1]->on_read = close_all_in_handler;
	pass(_i != 0, 0.0);
	ck_assert_str_eq(trace, _i != 0 ? "read 1 write 1 read 2 " : "read 1 read 2 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, 4);
	for (i = 0; i < 4; i++)
		close(peer[i]);
}
END_TEST

static int close_all_accepted(struct probe *p, int fd)
{
	close(fd);
	return close_all_in_handler(p);
}

static int close_all_and_yes(struct probe *p)
{
	close_all_in_handler(p);
	return 1;
}

/* Connect to a port, blocking: a client of the test's own. */
static int client_of(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	return fd;
}

/* After close_all in one of its handlers nobody is left. */
static void assert_all_closed(int disposed)
{
	int i;

	for (i = 0; i < 100 && asyncore_map_size(NULL) > 0; i++)
		ck_assert_int_eq(asyncore_poll(0.1, NULL), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, disposed);
}

START_TEST(close_all_inside_handle_connect_or_handle_write)
{
	int port, listener = tcp_listener(&port), peer, fd;
	struct probe *p = connecting(port, NULL);

	paired(&peer, NULL);
	fd = accept_one(listener);
	p->on_connect = _i == 0 ? close_all_in_handler : NULL;
	p->on_write = close_all_in_handler;
	assert_all_closed(2);
	close(fd);
	close(peer);
	close(listener);
}
END_TEST

START_TEST(close_all_inside_handle_error)
{
	int holder, peer;
	struct probe *p = connecting(refused_port(&holder), NULL);

	paired(&peer, NULL);
	p->on_error = close_all_in_handler;
	assert_all_closed(2);
	close(peer);
	close(holder);
}
END_TEST

START_TEST(close_all_inside_handle_close)
{
	int peer[2];
	struct probe *p = paired(&peer[0], NULL);

	ready(&peer[1], NULL);
	p->on_close = close_all_in_handler;
	shutdown(peer[0], SHUT_WR);
	assert_all_closed(2);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(close_all_inside_handle_accepted)
{
	int port, listener = tcp_listener(&port), peer, client = client_of(port);
	struct probe *p = probe_new(listener, NULL);

	paired(&peer, NULL);
	asyncore_set_accepting(of(p), true);
	p->on_accepted = close_all_accepted;
	assert_all_closed(2);
	close(client);
	close(peer);
}
END_TEST

START_TEST(close_all_inside_a_predicate)
{
	int peer[3];
	struct probe *p;

	ready(&peer[0], NULL);
	p = ready(&peer[1], NULL);
	ready(&peer[2], NULL);
	if (_i == 0)
		p->on_readable = close_all_and_yes;
	else
		p->on_writable = close_all_and_yes;
	assert_all_closed(3);
	ck_assert_str_eq(trace, "");
	for (int i = 0; i < 3; i++)
		close(peer[i]);
}
END_TEST

static int close_calls;

static int exit_now_once(struct asyncore_dispatcher *d)
{
	asyncore_dispatcher_close(d);
	return close_calls++ == 0 ? ASYNCORE_EXIT_NOW : 0;
}

START_TEST(map_free_frees_whatever_a_close_override_returns)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .close = exit_now_once,
	};
	struct asyncore_map *map = asyncore_map_new(NULL);
	int i, fd[2];

	close_calls = 0;
	for (i = 0; i < 3; i++) {
		unix_pair(fd);
		probe_new_typed(&type, fd[0], map);
		close(fd[1]);
	}
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 3);
}
END_TEST

static int never_close(struct asyncore_dispatcher *d)
{
	(void)d;
	ck_assert_int_lt(++close_calls, 1000);
	return ASYNCORE_EXIT_NOW;
}

START_TEST(map_free_ends_although_a_close_override_only_says_exit_now)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .close = never_close,
	};
	struct asyncore_map *map = asyncore_map_new(NULL);
	int fd[2];

	close_calls = 0;
	unix_pair(fd);
	probe_new_typed(&type, fd[0], map);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(fd[1]);
}
END_TEST

static int close_without_calling_up(struct asyncore_dispatcher *d)
{
	(void)d;
	close_calls++;
	return 0;
}

START_TEST(close_all_empties_the_map_whatever_close_does)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &probe_type, .close = close_without_calling_up,
	};
	int fd[2];

	close_calls = 0;
	unix_pair(fd);
	probe_new_typed(&type, fd[0], NULL);
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	ck_assert_int_eq(close_calls, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	/* Nobody refers to it, so it is disposed of, and with it the descriptor. */
	ck_assert_int_eq(probes_disposed, 1);
	assert_gone(fd[1]);
	close(fd[1]);
}
END_TEST

START_TEST(map_free_closes_and_disposes_of_its_channels)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int i, peer[5];

	for (i = 0; i < 5; i++)
		ready(&peer[i], map);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 5);
	for (i = 0; i < 5; i++) {
		assert_gone(peer[i]);
		close(peer[i]);
	}
	ck_assert_str_eq(trace, "");
}
END_TEST

static int free_the_map(struct probe *p)
{
	ck_assert_int_eq(asyncore_map_free(p->arg), -EBUSY);
	return asyncore_close(of(p));
}

START_TEST(map_free_is_refused_inside_a_pass)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer[2];
	struct probe *p = ready(&peer[0], map), *q = ready(&peer[1], map);

	p->arg = q->arg = map;
	p->on_read = free_the_map;
	q->on_readable = NULL;
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	ck_assert_int_eq(q->reads, 1);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(map_free_is_refused_inside_asyncore_read)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer;
	struct probe *p = ready(&peer, map);

	p->arg = map;
	p->on_read = free_the_map;
	ck_assert_int_eq(asyncore_read(of(p)), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(peer);
}
END_TEST

START_TEST(a_held_channel_outlives_its_map)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer;
	char text[100];
	struct probe *p = paired(&peer, map);

	asyncore_ref(of(p));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_ptr_null(asyncore_map(of(p)));
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert_int_gt(asyncore_repr(of(p), text, sizeof text), 0);
	ck_assert_int_eq(asyncore_handle_write(of(p)), 0);
	ck_assert_int_eq(asyncore_touch(of(p)), 0);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(a_held_channel_of_a_freed_map_enters_no_map_again)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int fd[2], peer;
	struct probe *p = paired(&peer, map);

	asyncore_ref(of(p));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_set_file(of(p), STDIN_FILENO), -ESHUTDOWN);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(of(p), fd[0], NULL), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_set_socket(of(p), fd[0], asyncore_socket_map()), -ESHUTDOWN);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	asyncore_unref(of(p));
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_channel_never_added_outlives_its_map_until_it_is_closed)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, map);

	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_ptr_null(asyncore_map(of(p)));
	ck_assert_int_eq(asyncore_handle_read(of(p)), 0);
	ck_assert_int_eq(asyncore_close(of(p)), 0);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

START_TEST(a_held_channel_out_of_its_map_keeps_its_descriptor_over_map_free)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer;
	struct probe *p = ready(&peer, map);

	asyncore_ref(of(p));
	asyncore_del_channel(of(p), NULL);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(asyncore_handle_read(of(p)), 1);
	ck_assert_int_eq(asyncore_unref(of(p)), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int free_map_by_hand(struct probe *p)
{
	/* Outside of a pass, but one of its handlers runs. */
	int r = asyncore_map_free(p->arg);

	ck_assert(r == 0 || r == -EBUSY);
	p->arg = r == 0 ? NULL : p->arg;
	ck_assert_int_eq(probes_disposed, 0);
	return asyncore_close(of(p));
}

START_TEST(map_free_in_a_handler_called_by_hand_does_not_pull_the_channel_away)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer;
	struct probe *p = ready(&peer, map);

	p->arg = map;
	p->on_read = free_map_by_hand;
	asyncore_ref(of(p));
	ck_assert_int_eq(asyncore_handle_read(of(p)), 0);
	map = p->arg;
	asyncore_unref(of(p));
	if (map != NULL)
		asyncore_map_free(map);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(moving_to_another_map_leaves_the_old_one_free_to_go)
{
	struct asyncore_map *from = asyncore_map_new(NULL), *to = asyncore_map_new(NULL);
	int peer;
	struct probe *p = ready(&peer, from);

	asyncore_del_channel(of(p), NULL);
	ck_assert_int_eq(asyncore_add_channel(of(p), to), 0);
	ck_assert_int_eq(asyncore_map_free(from), 0);
	ck_assert_ptr_eq(asyncore_map(of(p)), to);
	ck_assert_int_eq(asyncore_poll(0.0, to), 0);
	ck_assert_int_eq(p->reads, 1);
	ck_assert_int_eq(asyncore_map_free(to), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int free_map_visit(struct asyncore_dispatcher *d, void *arg)
{
	int *visits = arg;

	(*visits)++;
	return asyncore_map_free(asyncore_map(d));
}

START_TEST(map_free_inside_foreach_ends_the_walk)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int i, peer[3], visits = 0;

	for (i = 0; i < 3; i++)
		paired(&peer[i], map);
	ck_assert_int_eq(asyncore_map_foreach(map, free_map_visit, &visits), 0);
	ck_assert_int_eq(visits, 1);
	ck_assert_int_eq(probes_disposed, 3);
	for (i = 0; i < 3; i++)
		close(peer[i]);
}
END_TEST

/* --- on the application's base --------------------------------------------------------------------- */

static struct asyncore_map *move_target;
static struct probe *moved;

static void move_channel(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what, (void)arg;
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	ck_assert_int_eq(asyncore_del_channel(of(moved), NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(of(moved), move_target), 0);
}

/* The channels are marked when the application's own event moves one of them away, before
 * the map is served. */
START_TEST(an_application_event_may_move_a_channel_that_is_marked_already)
{
	struct event_base *base = event_base_new();
	struct asyncore_map *map = asyncore_map_new(base);
	struct event *event;
	struct probe *p[3];
	int i, peer[3], own[2];

	move_target = asyncore_map_new(NULL);
	unix_pair(own);
	event = event_new(base, own[0], EV_READ, move_channel, NULL);
	for (i = 0; i < 3; i++)
		p[i] = paired(&peer[i], map);
	moved = p[_i];
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);	/* interest is registered */
	event_add(event, NULL);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	put(own[1], "x", 1);
	for (i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_ptr_eq(asyncore_map(of(moved)), move_target);
	ck_assert_int_eq(asyncore_poll(0.0, move_target), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(p[i]->reads, 1);
	event_free(event);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(asyncore_map_free(move_target), 0);
	event_base_free(base);
	for (i = 0; i < 3; i++)
		close(peer[i]);
	close(own[0]);
	close(own[1]);
}
END_TEST

static void close_everything(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	ck_assert_int_eq(asyncore_close(of(moved)), 0);
	/* Outside of a pass: what was closed is disposed of at once. */
	ck_assert_int_eq(asyncore_close_all(arg, false), 0);
	newcomer = ready(&newcomer_peer, arg);
}

START_TEST(an_application_event_may_close_and_dispose_of_channels_that_are_marked_already)
{
	struct event_base *base = event_base_new();
	struct asyncore_map *map = asyncore_map_new(base);
	struct event *event;
	struct probe *p[3];
	int i, peer[3], own[2];

	unix_pair(own);
	event = event_new(base, own[0], EV_READ, close_everything, map);
	for (i = 0; i < 3; i++)
		p[i] = paired(&peer[i], map);
	moved = p[1];
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	event_add(event, NULL);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	put(own[1], "x", 1);
	for (i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_eq(newcomer->reads, 1);
	ck_assert_int_eq(probes_disposed, 3);
	event_free(event);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
	for (i = 0; i < 3; i++)
		close(peer[i]);
	close(newcomer_peer);
	close(own[0]);
	close(own[1]);
}
END_TEST

/* --- at random --------------------------------------------------------------------------------------- */

/*
 * Handlers that do anything to any channel.  The seed is printed, and
 * ASYNCORE_TEST_SEED sets it.  The model is only: who is open, who is disposed of.
 */
enum { CROWD = 24, PASSES = 3000 };

struct member {
	struct asyncore_dispatcher dispatcher;
	int place;
	bool open;		/* between init or reopening, and close */
	bool in_map;
	int held;
};

static struct member *crowd[CROWD];
static int crowd_peer[CROWD];
static uint64_t random_state;
static int births, deaths, nesting;
static struct asyncore_map *the_map;

static unsigned any(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % below;
}

static int act(struct member *self);

static struct member *member(struct asyncore_dispatcher *d)
{
	return (struct member *)d;
}

static int member_event(struct asyncore_dispatcher *d)
{
	ck_assert(member(d)->open);
	ck_assert(member(d)->in_map);
	return act(member(d));
}

static int member_read(struct asyncore_dispatcher *d)
{
	char data[64];
	int n;

	ck_assert(member(d)->open);
	n = asyncore_recv(d, data, 1 + any(sizeof data));
	if (n < 0 && n != -EAGAIN)
		return n;
	return act(member(d));
}

static int member_predicate(struct asyncore_dispatcher *d)
{
	ck_assert(member(d)->open);
	if (any(100) == 0)
		act(member(d));
	return any(4) != 0;
}

static int member_close(struct asyncore_dispatcher *d)
{
	member(d)->open = member(d)->in_map = false;
	return asyncore_dispatcher_close(d);
}

static int member_handle_close(struct asyncore_dispatcher *d)
{
	if (any(3) == 0)
		act(member(d));
	return asyncore_close(d);
}

static int member_error(struct asyncore_dispatcher *d)
{
	if (any(3) == 0)
		act(member(d));
	return any(2) == 0 ? asyncore_close(d) : 0;
}

static int member_quiet(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	(void)d, (void)message, (void)type;
	return 0;
}

static void member_dispose(struct asyncore_dispatcher *d)
{
	struct member *m = member(d);

	ck_assert_int_eq(m->held, 0);
	ck_assert(!m->in_map);
	if (crowd[m->place] == m)
		crowd[m->place] = NULL;
	deaths++;
	if (any(10) == 0)
		act(NULL);
}

static const struct asyncore_dispatcher_type member_type = {
	.base = &asyncore_dispatcher_type,
	.name = "member",
	.readable = member_predicate,
	.writable = member_predicate,
	.handle_read = member_read,
	.handle_write = member_event,
	.handle_expt = member_event,
	.handle_close = member_handle_close,
	.handle_error = member_error,
	.log_info = member_quiet,
	.close = member_close,
	.dispose = member_dispose,
	.dealloc = free_object,
};

/* Without predicates of its own: asked only when something happened. */
static const struct asyncore_dispatcher_type placid_type = {
	.base = &asyncore_dispatcher_type,
	.name = "placid",
	.handle_read = member_read,
	.handle_write = member_event,
	.handle_close = member_handle_close,
	.handle_error = member_error,
	.log_info = member_quiet,
	.close = member_close,
	.dispose = member_dispose,
	.dealloc = free_object,
};

static void new_peer(int place, int fd)
{
	if (crowd_peer[place] >= 0)
		close(crowd_peer[place]);
	crowd_peer[place] = fd;
}

static void be_born(int place)
{
	struct member *m = calloc(1, sizeof *m);
	int fd[2];

	ck_assert_ptr_nonnull(m);
	unix_pair(fd);
	m->place = place;
	m->open = m->in_map = true;
	ck_assert_int_eq(asyncore_dispatcher_init(&m->dispatcher,
						  any(2) != 0 ? &member_type : &placid_type,
						  fd[0], the_map), 0);
	births++;
	crowd[place] = m;
	new_peer(place, fd[1]);
}

static void open_again(struct member *m)
{
	int fd[2];

	unix_pair(fd);
	if (asyncore_set_socket(&m->dispatcher, fd[0], NULL) < 0) {
		close(fd[0]);
		close(fd[1]);
		return;
	}
	m->open = m->in_map = true;
	asyncore_set_connected(&m->dispatcher, true);
	new_peer(m->place, fd[1]);
}

static int poke(int place)
{
	char data[64] = { 0 };
	size_t len = 1 + any(sizeof data);

	if (crowd_peer[place] < 0)
		return 0;
	if (any(10) == 0)
		new_peer(place, -1);
	else if (any(3) == 0)
		(void)!send(crowd_peer[place], data, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		(void)!send(crowd_peer[place], data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return 0;
}

static int nest(void)
{
	int r;

	if (nesting >= 3)
		return 0;
	nesting++;
	r = any(2) != 0 ? asyncore_poll(0.0, the_map) : asyncore_poll2(0.0, the_map);
	nesting--;
	/* That is what a pass inside the application's loop says. */
	return r != -EBUSY ? r : 0;
}

static void hold(struct member *m)
{
	if (any(2) != 0) {
		ck_assert_int_eq(asyncore_ref(&m->dispatcher), 0);
		m->held++;
	} else if (m->held > 0) {
		m->held--;
		ck_assert_int_eq(asyncore_unref(&m->dispatcher), 0);
	}
}

static void leave_or_enter(struct member *m)
{
	if (!m->open)
		return;
	if (m->in_map) {
		ck_assert_int_eq(asyncore_del_channel(&m->dispatcher, NULL), 0);
		m->in_map = false;
	} else if (asyncore_add_channel(&m->dispatcher, NULL) == 0) {
		m->in_map = true;
	}
}

/* Do something to somebody. */
static int act(struct member *self)
{
	int place = (int)any(CROWD);
	struct member *m = any(3) == 0 && self != NULL ? self : crowd[place];
	char byte = 0;

	if (m == NULL) {
		be_born(place);
		return 0;
	}
	switch (any(16)) {
	case 0: case 1:
		asyncore_close(&m->dispatcher);
		break;
	case 2:
		asyncore_close(&m->dispatcher);
		open_again(m);
		break;
	case 3:
		if (!m->open)
			open_again(m);
		break;
	case 4:
		leave_or_enter(m);
		break;
	case 5:
		hold(m);
		break;
	case 6:
		return nest();
	case 7:
		return any(20) == 0 ? ASYNCORE_EXIT_NOW : self != NULL ? -EIO : 0;
	case 8:
		return any(30) == 0 ? asyncore_close_all(the_map, any(2) != 0) : 0;
	case 9:
		if (m->in_map && nesting < 3) {
			nesting++;
			if (any(2) != 0)
				asyncore_read(&m->dispatcher);
			else
				asyncore_readwrite(&m->dispatcher, POLLIN | POLLOUT);
			nesting--;
		}
		break;
	case 10:
		asyncore_send(&m->dispatcher, &byte, 1);
		break;
	case 11:
		asyncore_touch(&m->dispatcher);
		break;
	default:
		return poke(m->place);
	}
	return 0;
}

static size_t members_in_map(void)
{
	size_t n = 0;
	int i;

	for (i = 0; i < CROWD; i++)
		n += crowd[i] != NULL && crowd[i]->in_map;
	return n;
}

static uint64_t seed_of_this_run(void)
{
	const char *text = getenv("ASYNCORE_TEST_SEED");
	struct timespec now;

	if (text != NULL)
		return strtoull(text, NULL, 0) | 1;
	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_nsec << 20 ^ (uint64_t)getpid()) | 1;
}

static void let_everybody_go(void)
{
	int i;

	for (i = 0; i < CROWD; i++)
		while (crowd[i] != NULL && crowd[i]->held > 0) {
			crowd[i]->held--;
			ck_assert_int_eq(asyncore_unref(&crowd[i]->dispatcher), 0);
		}
}

/* An event of the application's own, among those of the channels. */
static void act_often(evutil_socket_t fd, short what, void *arg)
{
	unsigned n;

	(void)fd, (void)what, (void)arg;
	for (n = any(4); n > 0; n--)
		act(NULL);
}

static void one_random_pass(struct event_base *base, int i)
{
	int r;

	nesting = 1;
	if (base != NULL)
		r = event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	else
		r = (i % 2 != 0 ? asyncore_poll : asyncore_poll2)(0.0, the_map);
	nesting = 0;
	ck_assert_msg(base != NULL || r == 0 || r == ASYNCORE_EXIT_NOW || r == -EIO, "%d", r);
	ck_assert_msg(base == NULL || r >= 0, "%d", r);
	ck_assert_uint_eq(asyncore_map_size(the_map), members_in_map());
}

static void live_at_random(struct event_base *base)
{
	struct event *event = base != NULL ? event_new(base, -1, 0, act_often, NULL) : NULL;
	int i;

	births = deaths = 0;
	for (i = 0; i < CROWD; i++) {
		crowd[i] = NULL;
		crowd_peer[i] = -1;
	}
	for (i = 0; i < PASSES; i++) {
		act(NULL);
		poke((int)any(CROWD));
		if (event != NULL)
			event_active(event, EV_TIMEOUT, 1);
		one_random_pass(base, i);
	}
	for (i = 0; i < 1000 && births != deaths; i++) {
		let_everybody_go();
		asyncore_close_all(the_map, true);
	}
	ck_assert_int_eq(births, deaths);
	ck_assert_int_gt(births, 100);
	for (i = 0; i < CROWD; i++)
		new_peer(i, -1);
	if (event != NULL)
		event_free(event);
}

START_TEST(thousands_of_random_operations_in_handlers_lose_nothing)
{
	random_state = seed_of_this_run() + 2 * (uint64_t)_i;
	printf("ASYNCORE_TEST_SEED=%llu\n", (unsigned long long)random_state);
	fflush(stdout);
	the_map = asyncore_socket_map();
	live_at_random(NULL);
}
END_TEST

/* libevent says something about every pass that is refused. */
static void silent(int severity, const char *message)
{
	(void)severity, (void)message;
}

START_TEST(thousands_of_random_operations_lose_nothing_on_the_applications_base)
{
	struct event_base *base = event_base_new();

	event_set_log_callback(silent);
	random_state = seed_of_this_run() + 2 * (uint64_t)_i;
	printf("ASYNCORE_TEST_SEED=%llu\n", (unsigned long long)random_state);
	fflush(stdout);
	the_map = asyncore_map_new(base);
	live_at_random(base);
	ck_assert_int_eq(asyncore_map_free(the_map), 0);
	event_base_free(base);
	event_set_log_callback(NULL);
}
END_TEST

/* --- the suite --------------------------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "closing itself");

	tcase_add_loop_test(tc, closing_itself_in_any_method_ends_all_its_events, 0,
			    2 * METHODS_END);
	tcase_add_test(tc, closing_itself_in_add_channel_leaves_a_closed_channel);
	tcase_add_test(tc, a_failing_add_channel_that_closed_does_not_make_create_socket_close_a_stranger);
	tcase_add_test(tc, a_failing_add_channel_that_closed_does_not_make_set_file_close_a_stranger);
	tcase_add_test(tc, close_outside_of_any_pass_stops_everything);
	tcase_add_test(tc, close_clears_what_it_was);
	tcase_add_test(tc, closing_twice_is_no_error);
	tcase_add_test(tc, closing_twice_does_not_close_who_got_the_number);
	tcase_add_test(tc, a_descriptor_that_a_stranger_closed_is_no_error_of_close);
	tcase_add_test(tc, a_del_channel_that_does_not_call_up_keeps_no_closed_descriptor_in_the_map);
	tcase_add_test(tc, a_handler_that_closes_and_then_raises_gets_its_handle_error);
	tcase_add_test(tc, a_handle_error_that_does_not_close_keeps_the_channel_alive);

	tc = suite_case(suite, "closing others");
	tcase_add_loop_test(tc, a_channel_closed_by_another_ones_read_gets_no_read, 0, 2);
	tcase_add_test(tc, a_channel_closed_by_another_ones_read_gets_no_write);
	tcase_add_test(tc, a_channel_taken_out_of_the_map_by_another_one_gets_no_event);
	tcase_add_test(tc, a_channel_taken_out_and_put_back_is_served_in_the_next_pass);
	tcase_add_loop_test(tc, two_ready_channels_that_close_each_other_leave_the_first, 0, 2);
	tcase_add_test(tc, a_channel_closed_by_another_ones_predicate_is_not_asked_any_more);
	tcase_add_loop_test(tc, closing_inside_readable_asks_nothing_more_and_goes_on_with_the_others,
			    0, 2);

	tc = suite_case(suite, "opening again");
	tcase_add_test(tc, handle_close_can_reconnect_over_tcp);
	tcase_add_test(tc, handle_close_can_reconnect_over_af_unix);
	tcase_add_test(tc, handle_error_can_reconnect);
	tcase_add_test(tc, main_can_close_and_connect_again);
	tcase_add_loop_test(tc, a_channel_that_reconnects_gets_no_event_of_the_old_connection, 0, 2);
	tcase_add_test(tc, a_mark_of_the_outer_pass_does_not_outlive_a_reconnect_in_asyncore_write);
	tcase_add_loop_test(tc, a_new_channel_on_the_number_just_freed_gets_no_stale_event, 0, 2);
	tcase_add_loop_test(tc, a_channel_opened_again_on_its_own_number_gets_no_stale_event, 0, 2);
	tcase_add_test(tc, a_channel_reopened_many_times_in_one_handler_lives);

	tc = suite_case(suite, "disposal");
	tcase_add_test(tc, nothing_is_disposed_of_inside_the_handler_that_closed);
	tcase_add_test(tc, the_end_of_the_outermost_pass_disposes);
	tcase_add_test(tc, leaving_the_loop_disposes);
	tcase_add_test(tc, a_loop_over_an_empty_map_disposes_too);
	tcase_add_loop_test(tc, exit_now_disposes_of_what_was_closed, 0, 2);
	tcase_add_test(tc, a_pass_ended_by_a_predicate_disposes_of_what_was_closed);
	tcase_add_test(tc, nested_passes_do_not_dispose);
	tcase_add_test(tc, a_handler_called_by_hand_that_runs_the_loop_keeps_its_channel);
	tcase_add_test(tc, asyncore_read_keeps_the_channel_while_its_handler_runs_the_loop);
	tcase_add_test(tc, a_channel_closed_in_a_deep_pass_lives_until_all_have_returned);
	tcase_add_test(tc, a_handler_that_moves_its_channel_to_another_map_and_runs_it_keeps_it);
	tcase_add_test(tc, what_is_opened_again_in_time_is_not_disposed_of);
	tcase_add_test(tc, what_was_taken_out_and_never_put_back_is_disposed_of_and_closed);
	tcase_add_test(tc, what_was_taken_out_and_put_back_before_a_pass_lives);
	tcase_add_test(tc, dispose_runs_once_for_every_level_derived_first_then_dealloc_once);
	tcase_add_test(tc, no_override_is_called_after_dispose);
	tcase_add_test(tc, an_object_on_the_stack_can_be_initialised_again_after_disposal);
	tcase_add_test(tc, a_static_object_is_left_alone_by_disposal);
	tcase_add_test(tc, dealloc_may_initialise_its_object_anew);

	tc = suite_case(suite, "holding");
	tcase_add_test(tc, a_held_channel_outlives_close_until_it_is_let_go);
	tcase_add_test(tc, every_ref_needs_its_unref);
	tcase_add_test(tc, unref_without_ref_is_refused);
	tcase_add_test(tc, a_ref_too_many_is_refused);
	tcase_add_test(tc, unref_without_ref_is_refused_inside_a_handler_too);
	tcase_add_test(tc, a_held_channel_can_be_opened_again_after_passes);
	tcase_add_test(tc, a_held_channel_out_of_the_map_keeps_its_descriptor);
	tcase_add_test(tc, letting_go_in_dispose_disposes_of_the_other_in_the_same_sweep);
	tcase_add_test(tc, holding_in_dispose_does_not_save_it);
	tcase_add_test(tc, a_long_chain_of_disposals_ends_in_one_sweep);

	tc = suite_case(suite, "dispose hooks");
	tcase_add_test(tc, dispose_may_close_another_channel_which_is_disposed_of_too);
	tcase_add_test(tc, dispose_may_create_a_channel);
	tcase_add_test(tc, dispose_may_run_a_pass);
	tcase_add_test(tc, dispose_may_close_its_own_channel);
	tcase_add_test(tc, dispose_cannot_bring_its_channel_back);
	tcase_add_test(tc, dispose_cannot_put_its_channel_back_into_the_map);
	tcase_add_test(tc, dispose_cannot_free_the_map);
	tcase_add_test(tc, dispose_may_look_at_its_channel_and_call_its_methods);
	tcase_add_test(tc, disposals_that_make_disposals_all_happen_in_one_sweep);

	tc = suite_case(suite, "init");
	tcase_add_test(tc, a_failed_init_leaves_nothing);
	tcase_add_loop_test(tc, an_init_that_add_channel_refuses_leaves_nothing, 0, 2);
	tcase_add_test(tc, a_refused_create_socket_leaves_a_channel_that_can_be_closed);
	tcase_add_test(tc, a_channel_that_was_never_added_survives_passes_and_calls);
	tcase_add_test(tc, a_channel_that_was_never_added_is_disposed_of_after_close);
	tcase_add_test(tc, an_add_channel_that_defers_leaves_the_channel_with_its_maker);

	tc = suite_case(suite, "close_all and map_free");
	tcase_add_loop_test(tc, close_all_inside_a_handler_stops_everybody_and_disposes_afterwards,
			    0, 2);
	tcase_add_loop_test(tc, close_all_inside_handle_connect_or_handle_write, 0, 2);
	tcase_add_test(tc, close_all_inside_handle_error);
	tcase_add_test(tc, close_all_inside_handle_close);
	tcase_add_test(tc, close_all_inside_handle_accepted);
	tcase_add_loop_test(tc, close_all_inside_a_predicate, 0, 2);
	tcase_add_test(tc, map_free_frees_whatever_a_close_override_returns);
	tcase_add_test(tc, map_free_ends_although_a_close_override_only_says_exit_now);
	tcase_add_test(tc, close_all_empties_the_map_whatever_close_does);
	tcase_add_test(tc, map_free_closes_and_disposes_of_its_channels);
	tcase_add_test(tc, map_free_is_refused_inside_a_pass);
	tcase_add_test(tc, map_free_is_refused_inside_asyncore_read);
	tcase_add_test(tc, a_held_channel_outlives_its_map);
	tcase_add_test(tc, a_held_channel_of_a_freed_map_enters_no_map_again);
	tcase_add_test(tc, a_channel_never_added_outlives_its_map_until_it_is_closed);
	tcase_add_test(tc, a_held_channel_out_of_its_map_keeps_its_descriptor_over_map_free);
	tcase_add_test(tc, map_free_in_a_handler_called_by_hand_does_not_pull_the_channel_away);
	tcase_add_test(tc, moving_to_another_map_leaves_the_old_one_free_to_go);
	tcase_add_test(tc, map_free_inside_foreach_ends_the_walk);

	tc = suite_case(suite, "the application's base");
	tcase_add_loop_test(tc, an_application_event_may_move_a_channel_that_is_marked_already,
			    0, 3);
	tcase_add_test(tc, an_application_event_may_close_and_dispose_of_channels_that_are_marked_already);

	tc = suite_case(suite, "at random");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, thousands_of_random_operations_in_handlers_lose_nothing, 0, 4);
	tcase_add_loop_test(tc, thousands_of_random_operations_lose_nothing_on_the_applications_base,
			    0, 4);
}

SUITE_MAIN("channel", add_cases)
