/* SPDX-License-Identifier: BSD-3-Clause */

/* check_dispatcher.c - what the bodies of the base class make of events (dispatcher.c). */

#include "support.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

/* A probe is held from here until done(), so that a test can look at it after it was
 * closed in a pass. */
static struct probe *hold(struct probe *p)
{
	ck_assert_int_eq(asyncore_ref(&p->dispatcher), 0);
	return p;
}

static void done(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
}

static bool is_closed(const struct probe *p)
{
	return asyncore_socket(&p->dispatcher) < 0;
}

/* One pass that waits a moment if it must, in the way of poll() or of poll2(). */
#define pass(use_poll) ck_assert_int_eq(asyncore_loop(1.0, (use_poll), NULL, 1), 0)

static int stay(struct probe *p)
{
	(void)p;
	return 0;
}

static int close_self(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

static int fails(struct probe *p)
{
	(void)p;
	return -EDOM;
}

/* --- what an event means in each state -------------------------------------------------- */

/* What the three events call on a connected pair of sockets in this state. */
static const struct {
	bool accepting, connecting, connected;
	const char *read, *write;
} states[] = {
	{ false, false, false, "read 1 ", "write 1 " },
	{ false, false, true, "read 1 ", "write 1 " },
	{ false, true, false, "connect 1 read 1 ", "connect 1 write 1 " },
	{ false, true, true, "read 1 ", "write 1 " },
	{ true, false, false, "accept 1 ", "" },
	{ true, false, true, "accept 1 ", "" },
	{ true, true, false, "accept 1 ", "" },
	{ true, true, true, "accept 1 ", "" },
};

enum { STATES = sizeof states / sizeof states[0] };

static struct probe *probe_in_state(int i, int *peer)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	*peer = fd[1];
	p = hold(probe_new(fd[0], NULL));
	asyncore_set_accepting(&p->dispatcher, states[i].accepting);
	asyncore_set_connecting(&p->dispatcher, states[i].connecting);
	asyncore_set_connected(&p->dispatcher, states[i].connected);
	return p;
}

START_TEST(a_read_event_means_what_the_state_says)
{
	int peer;
	struct probe *p = probe_in_state(_i, &peer);

	asyncore_handle_read_event(&p->dispatcher);
	ck_assert_str_eq(trace, states[_i].read);
	done(p);
	close(peer);
}
END_TEST

START_TEST(a_write_event_means_what_the_state_says)
{
	int peer;
	struct probe *p = probe_in_state(_i, &peer);

	ck_assert_int_eq(asyncore_handle_write_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, states[_i].write);
	done(p);
	close(peer);
}
END_TEST

START_TEST(an_exception_is_urgent_data_in_every_state)
{
	int peer;
	struct probe *p = probe_in_state(_i, &peer);

	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	done(p);
	close(peer);
}
END_TEST

START_TEST(a_connect_event_means_a_connection_in_every_state)
{
	int peer;
	struct probe *p = probe_in_state(_i, &peer);

	ck_assert_int_eq(asyncore_handle_connect_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	done(p);
	close(peer);
}
END_TEST

START_TEST(the_events_of_a_closed_channel_called_by_hand_are_plain)
{
	struct probe *p = hold(probe_new(-1, NULL));

	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_handle_read_event(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_handle_write_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), -EBADF);
	ck_assert_int_eq(asyncore_handle_connect_event(&p->dispatcher), -EBADF);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	done(p);
}
END_TEST

START_TEST(an_exception_with_an_error_on_the_socket_closes)
{
	int holder, port = refused_port(&holder);
	struct probe *p = hold(probe_new(-1, NULL));
	struct pollfd pfd;

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	pfd = (struct pollfd){ .fd = asyncore_socket(&p->dispatcher), .events = POLLOUT };
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "close 1 ");
	done(p);
	close(holder);
}
END_TEST

START_TEST(an_exception_of_a_file_is_urgent_data)
{
	struct probe *p = hold(probe_new(-1, NULL));
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	done(p);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

static int not_up(struct asyncore_dispatcher *self)
{
	trace_call("event %d ", ((struct probe *)self)->id);
	return 0;
}

static const struct asyncore_dispatcher_type own_events = {
	.base = &probe_type,
	.handle_read_event = not_up,
	.handle_write_event = not_up,
};

/* As a TLS channel does that is in a handshake. */
START_TEST(overridden_events_that_do_not_call_up_call_no_handler)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	put(fd[1], "x", 1);
	p = hold(probe_new_typed(&own_events, fd[0], NULL));
	p->wants_write = 1;
	pass(_i);
	ck_assert_str_eq(trace, "event 1 event 1 ");
	done(p);
	close(fd[1]);
}
END_TEST

static void add_states(Suite *suite)
{
	TCase *tc = suite_case(suite, "states");

	tcase_add_loop_test(tc, a_read_event_means_what_the_state_says, 0, STATES);
	tcase_add_loop_test(tc, a_write_event_means_what_the_state_says, 0, STATES);
	tcase_add_loop_test(tc, an_exception_is_urgent_data_in_every_state, 0, STATES);
	tcase_add_loop_test(tc, a_connect_event_means_a_connection_in_every_state, 0, STATES);
	tcase_add_test(tc, the_events_of_a_closed_channel_called_by_hand_are_plain);
	tcase_add_test(tc, an_exception_with_an_error_on_the_socket_closes);
	tcase_add_test(tc, an_exception_of_a_file_is_urgent_data);
	tcase_add_loop_test(tc, overridden_events_that_do_not_call_up_call_no_handler, 0, 2);
}

/* --- connect over TCP ------------------------------------------------------------------- */

/* A held probe that connects to a port of 127.0.0.1; no event was dispatched yet. */
static struct probe *connecting_typed(const struct asyncore_dispatcher_type *type, int port)
{
	struct probe *p = hold(probe_new_typed(type, -1, NULL));

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	return p;
}

static struct probe *connecting(int port)
{
	return connecting_typed(&probe_type, port);
}

/* The server's end of a connection; waits for it. */
static int accepted(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	int fd;

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Wait until the probe's socket has something to read. */
static void wait_input(struct probe *p)
{
	struct pollfd pfd = { .fd = asyncore_socket(&p->dispatcher), .events = POLLIN };

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
}

START_TEST(a_connect_under_way_is_connecting_and_calls_nothing)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);

	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert(!asyncore_connected(&p->dispatcher));
	ck_assert_str_eq(trace, "");
	done(p);
	close(listener);
}
END_TEST

static int check_not_connected_yet(struct probe *p)
{
	ck_assert(!asyncore_connected(&p->dispatcher));
	ck_assert(asyncore_connecting(&p->dispatcher));
	return 0;
}

static int check_connected(struct probe *p)
{
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	return 0;
}

START_TEST(the_first_write_event_reports_the_connection)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);

	p->wants_write = 1;
	p->on_connect = check_not_connected_yet;
	p->on_write = check_connected;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 write 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	done(p);
	close(listener);
}
END_TEST

START_TEST(a_read_event_reports_the_connection_too)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);
	int peer = accepted(listener);

	put(peer, "hello", 5);
	wait_input(p);
	p->on_connect = check_not_connected_yet;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 read 1 ");
	ck_assert_uint_eq(p->len, 5);
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p);
	close(peer);
	close(listener);
}
END_TEST

START_TEST(a_connection_is_reported_once_when_it_can_be_read_and_written)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);
	int peer = accepted(listener);

	put(peer, "hello", 5);
	wait_input(p);
	p->wants_write = 1;
	pass(_i);
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 read 1 write 1 write 1 ");
	done(p);
	close(peer);
	close(listener);
}
END_TEST

START_TEST(a_connection_that_nobody_asks_about_is_not_reported)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);
	int peer = accepted(listener);

	p->wants_read = p->wants_write = 0;
	put(peer, "hello", 5);
	step(NULL);
	step2(NULL);
	ck_assert_str_eq(trace, "");
	ck_assert(!asyncore_connected(&p->dispatcher));
	done(p);
	close(peer);
	close(listener);
}
END_TEST

START_TEST(a_connection_that_was_ended_already_is_reported_first)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);
	int peer = accepted(listener);

	put(peer, "bye", 3);
	close(peer);
	wait_input(p);
	while (!is_closed(p))
		pass(_i);
	ck_assert_str_eq(trace, "connect 1 read 1 read 1 close 1 ");
	ck_assert_uint_eq(p->len, 3);
	done(p);
	close(listener);
}
END_TEST

/* A connection that was reset before its first event was dispatched. */
static struct probe *reset_before_the_first_event(int listener, int port)
{
	struct probe *p = connecting(port);
	int peer = accepted(listener);

	reset_on_close(peer);
	close(peer);
	wait_input(p);
	return p;
}

START_TEST(a_connection_that_was_reset_already_raises_with_poll)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = reset_before_the_first_event(listener, port);

	step(NULL);
	ck_assert_str_eq(trace, "error 1 ");
	ck_assert_int_eq(p->last_error, -ECONNRESET);
	done(p);
	close(listener);
}
END_TEST

START_TEST(a_connection_that_was_reset_already_closes_with_poll2)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = reset_before_the_first_event(listener, port);

	step2(NULL);
	ck_assert_str_eq(trace, "close 1 ");
	done(p);
	close(listener);
}
END_TEST

START_TEST(a_handle_connect_that_closes_gets_no_other_event)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);
	int peer = accepted(listener);

	put(peer, "hello", 5);
	wait_input(p);
	p->wants_write = 1;
	p->on_connect = close_self;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(!asyncore_connected(&p->dispatcher));
	done(p);
	close(peer);
	close(listener);
}
END_TEST

static int connect_elsewhere(struct probe *p)
{
	const int port = *(int *)p->arg;

	p->on_connect = NULL;
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	return 0;
}

START_TEST(a_handle_connect_that_connects_elsewhere_is_told_of_the_new_connection)
{
	int port, listener = tcp_listener(&port), other_port, other = tcp_listener(&other_port);
	struct probe *p = connecting(port);

	p->wants_write = 1;
	p->arg = &other_port;
	p->on_connect = connect_elsewhere;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert(!asyncore_connected(&p->dispatcher));
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 connect 1 write 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	close(accepted(other));
	done(p);
	close(listener);
	close(other);
}
END_TEST

START_TEST(a_handle_connect_that_raises_has_no_connection)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);

	p->wants_write = 1;
	p->on_connect = fails;
	p->on_error = stay;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 error 1 ");
	ck_assert_int_eq(p->last_error, -EDOM);
	ck_assert(!asyncore_connected(&p->dispatcher));
	ck_assert(asyncore_connecting(&p->dispatcher));
	done(p);
	close(listener);
}
END_TEST

START_TEST(a_channel_can_be_closed_while_it_connects)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);

	p->wants_write = 1;
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert(!asyncore_connecting(&p->dispatcher));
	step(NULL);
	ck_assert_str_eq(trace, "");
	done(p);
	close(listener);
}
END_TEST

static void add_tcp(Suite *suite)
{
	TCase *tc = suite_case(suite, "connect over TCP");

	tcase_add_test(tc, a_connect_under_way_is_connecting_and_calls_nothing);
	/* Each in the way of poll() and of poll2(). */
	tcase_add_loop_test(tc, the_first_write_event_reports_the_connection, 0, 2);
	tcase_add_loop_test(tc, a_read_event_reports_the_connection_too, 0, 2);
	tcase_add_loop_test(tc, a_connection_is_reported_once_when_it_can_be_read_and_written, 0,
			    2);
	tcase_add_test(tc, a_connection_that_nobody_asks_about_is_not_reported);
	tcase_add_loop_test(tc, a_connection_that_was_ended_already_is_reported_first, 0, 2);
	tcase_add_test(tc, a_connection_that_was_reset_already_raises_with_poll);
	tcase_add_test(tc, a_connection_that_was_reset_already_closes_with_poll2);
	tcase_add_loop_test(tc, a_handle_connect_that_closes_gets_no_other_event, 0, 2);
	tcase_add_loop_test(tc,
			    a_handle_connect_that_connects_elsewhere_is_told_of_the_new_connection,
			    0, 2);
	tcase_add_loop_test(tc, a_handle_connect_that_raises_has_no_connection, 0, 2);
	tcase_add_test(tc, a_channel_can_be_closed_while_it_connects);
}

/* --- connects that fail ----------------------------------------------------------------- */

/* FIELD B7 */
START_TEST(a_refused_connect_calls_handle_error_alone)
{
	int holder, port = refused_port(&holder);
	struct probe *p = connecting(port);

	p->wants_write = 1;
	pass(_i);
	ck_assert_str_eq(trace, "error 1 ");
	ck_assert_int_eq(p->last_error, -ECONNREFUSED);
	done(p);
	close(holder);
}
END_TEST

/* FIELD B7 */
START_TEST(a_refused_connect_is_noticed_by_a_channel_that_only_reads)
{
	int holder, port = refused_port(&holder);
	struct probe *p = connecting(port);

	pass(_i);
	ck_assert_str_eq(trace, "error 1 ");
	ck_assert_int_eq(p->last_error, -ECONNREFUSED);
	done(p);
	close(holder);
}
END_TEST

/* FIELD B7: Python reports a connection when handle_error() did not close. */
START_TEST(a_refused_connect_never_becomes_a_connection)
{
	int holder, port = refused_port(&holder), passes;
	struct probe *p = connecting(port);

	p->wants_write = 1;
	p->on_error = stay;
	for (passes = 1; passes <= 4; passes++) {
		p->last_error = 0;
		pass(_i);
		ck_assert_int_ge(p->errors, passes);
		ck_assert_int_eq(p->last_error, -ECONNREFUSED);
	}
	ck_assert_int_eq(p->connects + p->reads + p->writes + p->closes, 0);
	ck_assert(!asyncore_connected(&p->dispatcher));
	done(p);
	close(holder);
}
END_TEST

START_TEST(a_refused_connect_can_be_tried_again_on_another_socket)
{
	int holder, port = refused_port(&holder), other_port, other = tcp_listener(&other_port);
	struct probe *p = connecting(port);

	p->wants_write = 1;
	p->arg = &other_port;
	p->on_error = connect_elsewhere;
	pass(_i);
	pass(_i);
	ck_assert_str_eq(trace, "error 1 connect 1 write 1 ");
	done(p);
	close(holder);
	close(other);
}
END_TEST

static const struct asyncore_dispatcher_type default_error = {
	.base = &probe_type,
	.handle_error = asyncore_dispatcher_handle_error,
	.log_info = log_info_kept,
};

START_TEST(the_default_handle_error_of_a_refused_connect_closes_once)
{
	int holder, port = refused_port(&holder);
	struct probe *p = connecting_typed(&default_error, port);

	p->wants_write = 1;
	pass(_i);
	ck_assert_str_eq(trace, "close 1 ");
	ck_assert_ptr_nonnull(strstr(kept_log, "(ECONNREFUSED:Connection refused"));
	done(p);
	close(holder);
}
END_TEST

/*
 * A listener whose backlog is full drops what else comes.  With TCP_USER_TIMEOUT the kernel
 * gives up at the first retransmission, after a second.
 */
START_TEST(a_connect_that_nobody_answers_times_out)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port, i;
	unsigned int timeout = 50;
	int filler[4];
	struct sockaddr_in addr = loopback(0);
	struct probe *p;

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	port = port_of(listener);
	addr = loopback(port);
	for (i = 0; i < 4; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(filler[i], (struct sockaddr *)&addr, sizeof addr), -1);
	}
	p = hold(probe_new(-1, NULL));
	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(setsockopt(asyncore_socket(&p->dispatcher), IPPROTO_TCP,
				    TCP_USER_TIMEOUT, &timeout, sizeof timeout), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	p->wants_write = 1;
	for (i = 0; trace[0] == '\0' && i < 20; i++)
		pass(_i);
	ck_assert_str_eq(trace, "error 1 ");
	ck_assert_int_eq(p->last_error, -ETIMEDOUT);
	done(p);
	for (i = 0; i < 4; i++)
		close(filler[i]);
	close(listener);
}
END_TEST

static const struct asyncore_dispatcher_type old_style = {
	.base = &probe_type,
	.flags = ASYNCORE_CONNECT_EXPT,
};

static int expected_code;

static int check_error_and_close(struct probe *p)
{
	ck_assert_ptr_nonnull(asyncore_error(&p->dispatcher));
	ck_assert_int_eq(asyncore_error(&p->dispatcher)->code, expected_code);
	return asyncore_close(&p->dispatcher);
}

/* FIELD B31 */
START_TEST(a_connect_that_is_under_way_has_set_addr)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting(port);
	socklen_t len;
	const struct sockaddr_in *addr = (const struct sockaddr_in *)
		(const void *)asyncore_addr(&p->dispatcher, &len);

	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert_uint_eq(len, sizeof *addr);
	ck_assert_int_eq(ntohs(addr->sin_port), port);
	done(p);
	close(listener);
}
END_TEST

/* FIELD B7 */
START_TEST(a_refused_connect_calls_handle_expt_of_a_class_that_wants_that)
{
	int holder, port = refused_port(&holder);
	struct probe *p = connecting_typed(&old_style, port);

	p->wants_write = 1;
	p->on_expt = check_error_and_close;
	expected_code = -ECONNREFUSED;
	pass(_i);
	ck_assert_str_eq(trace, "expt 1 ");
	done(p);
	close(holder);
}
END_TEST

/* FIELD B7: instead of raising; the event goes no further, as if it had raised. */
START_TEST(a_refused_connect_is_no_read_or_write_event_for_handle_expt_either)
{
	int holder, port = refused_port(&holder);
	struct probe *p = connecting_typed(&old_style, port);

	p->wants_write = 1;
	p->on_expt = stay;
	pass(_i);
	ck_assert_int_ge(p->expts, 1);
	ck_assert_int_eq(p->connects + p->reads + p->writes + p->errors, 0);
	ck_assert(!asyncore_connected(&p->dispatcher));
	done(p);
	close(holder);
}
END_TEST

START_TEST(a_connection_of_a_class_that_wants_handle_expt_is_reported_as_any)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = connecting_typed(&old_style, port);

	p->wants_write = 1;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 write 1 ");
	done(p);
	close(listener);
}
END_TEST

static void add_failing(Suite *suite)
{
	TCase *tc = suite_case(suite, "connects that fail");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_connect_that_is_under_way_has_set_addr);
	tcase_add_loop_test(tc, a_refused_connect_calls_handle_error_alone, 0, 2);
	tcase_add_loop_test(tc, a_refused_connect_is_noticed_by_a_channel_that_only_reads, 0, 2);
	tcase_add_loop_test(tc, a_refused_connect_never_becomes_a_connection, 0, 2);
	tcase_add_loop_test(tc, a_refused_connect_can_be_tried_again_on_another_socket, 0, 2);
	tcase_add_loop_test(tc, the_default_handle_error_of_a_refused_connect_closes_once, 0, 2);
	tcase_add_loop_test(tc, a_connect_that_nobody_answers_times_out, 0, 2);
	tcase_add_loop_test(tc, a_refused_connect_calls_handle_expt_of_a_class_that_wants_that, 0,
			    2);
	tcase_add_loop_test(tc,
			    a_refused_connect_is_no_read_or_write_event_for_handle_expt_either, 0,
			    2);
	tcase_add_loop_test(tc,
			    a_connection_of_a_class_that_wants_handle_expt_is_reported_as_any, 0,
			    2);
}

/* --- connect on AF_UNIX: at once, or not at all ----------------------------------------- */

static struct probe *unix_probe(int type)
{
	struct probe *p = hold(probe_new(-1, NULL));

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_UNIX, type), 0);
	return p;
}

START_TEST(a_connect_that_succeeds_at_once_has_called_handle_connect)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM);
	struct probe *p = unix_probe(SOCK_STREAM);

	p->on_connect = check_not_connected_yet;
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	p->wants_write = 1;
	pass(_i);
	ck_assert_str_eq(trace, "connect 1 write 1 ");
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

START_TEST(what_handle_connect_raises_is_returned_by_a_connect_at_once)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM);
	struct probe *p = unix_probe(SOCK_STREAM);

	p->on_connect = fails;
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), -EDOM);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(!asyncore_connected(&p->dispatcher));
	ck_assert(asyncore_connecting(&p->dispatcher));
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

static int nothing_to_read_yet(struct probe *p)
{
	char byte;

	return asyncore_recv(&p->dispatcher, &byte, 1);
}

START_TEST(a_handle_connect_that_passes_on_again_has_not_raised)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM);
	struct probe *p = unix_probe(SOCK_STREAM);

	p->on_connect = nothing_to_read_yet;
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

START_TEST(a_handle_connect_at_once_may_close)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM);
	struct probe *p = unix_probe(SOCK_STREAM);

	p->on_connect = close_self;
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert(is_closed(p));
	ck_assert(!asyncore_connected(&p->dispatcher));
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

static int connect_again_at_once(struct probe *p)
{
	const struct unix_path *where = p->arg;

	p->on_connect = NULL;
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_UNIX, SOCK_STREAM), 0);
	return asyncore_connect_path(&p->dispatcher, where->path);
}

START_TEST(a_handle_connect_at_once_may_connect_again)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM);
	struct probe *p = unix_probe(SOCK_STREAM);

	p->arg = &where;
	p->on_connect = connect_again_at_once;
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert_str_eq(trace, "connect 1 connect 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

/* After a connect that failed at once with `code`: `connecting` stays true, and events never
 * report a connection.  Python does, on a socket that is not connected. */
static void assert_never_connected(struct probe *p, int code, bool use_poll)
{
	int i;

	ck_assert_str_eq(trace, "");
	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert(!asyncore_connected(&p->dispatcher));
	p->wants_write = 1;
	p->on_error = stay;
	for (i = 0; i < 3; i++)
		pass(use_poll);
	ck_assert_int_eq(p->connects + p->reads + p->writes, 0);
	ck_assert_int_ge(p->errors, 1);
	ck_assert_int_eq(p->last_error, code);
}

START_TEST(a_path_that_does_not_exist_is_never_connected)
{
	struct unix_path where = unix_path_new();
	struct probe *p = unix_probe(SOCK_STREAM);

	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), -ENOENT);
	assert_never_connected(p, -ENOENT, _i);
	done(p);
	unix_path_remove(&where);
}
END_TEST

START_TEST(a_path_where_nobody_listens_is_never_connected)
{
	struct unix_path where = unix_path_new();
	struct probe *p = unix_probe(SOCK_STREAM);

	close(unix_bound(&where, SOCK_STREAM));
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), -ECONNREFUSED);
	assert_never_connected(p, -ECONNREFUSED, _i);
	done(p);
	unix_path_remove(&where);
}
END_TEST

/* Python takes EAGAIN for a connect under way, and then reports it done. */
START_TEST(a_path_whose_backlog_is_full_is_never_connected)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM), filler[8], n, r = 0;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct probe *p = unix_probe(SOCK_STREAM);

	memcpy(addr.sun_path, where.path, sizeof addr.sun_path);
	ck_assert_int_eq(listen(listener, 0), 0);
	for (n = 0; n < 8 && r == 0; n++) {
		filler[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		r = connect(filler[n], (struct sockaddr *)&addr, sizeof addr);
	}
	ck_assert_int_eq(r, -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), -ECONNREFUSED);
	assert_never_connected(p, -ECONNREFUSED, _i);
	done(p);
	while (n-- > 0)
		close(filler[n]);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

START_TEST(a_connect_that_failed_at_once_can_be_tried_again_on_the_same_socket)
{
	struct unix_path where = unix_path_new();
	struct probe *p = unix_probe(SOCK_STREAM);
	int listener;

	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), -ENOENT);
	listener = unix_bound(&where, SOCK_STREAM);
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

START_TEST(a_datagram_socket_connects_at_once)
{
	struct unix_path where = unix_path_new();
	int server = unix_bound(&where, SOCK_DGRAM);
	struct probe *p = unix_probe(SOCK_DGRAM);
	char bytes[2];

	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "ab", 2), 2);
	take(server, bytes, 2);
	ck_assert_mem_eq(bytes, "ab", 2);
	done(p);
	close(server);
	unix_path_remove(&where);
}
END_TEST

START_TEST(a_connect_on_a_connected_socket_reports_it_again)
{
	struct unix_path where = unix_path_new();
	int listener = unix_bound(&where, SOCK_STREAM);
	struct probe *p = unix_probe(SOCK_STREAM);

	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	/* EISCONN */
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), 0);
	ck_assert_str_eq(trace, "connect 1 connect 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p);
	close(listener);
	unix_path_remove(&where);
}
END_TEST

static void add_unix(Suite *suite)
{
	TCase *tc = suite_case(suite, "connect on AF_UNIX");

	tcase_add_loop_test(tc, a_connect_that_succeeds_at_once_has_called_handle_connect, 0, 2);
	tcase_add_test(tc, what_handle_connect_raises_is_returned_by_a_connect_at_once);
	tcase_add_test(tc, a_handle_connect_that_passes_on_again_has_not_raised);
	tcase_add_test(tc, a_handle_connect_at_once_may_close);
	tcase_add_test(tc, a_handle_connect_at_once_may_connect_again);
	tcase_add_loop_test(tc, a_path_that_does_not_exist_is_never_connected, 0, 2);
	tcase_add_loop_test(tc, a_path_where_nobody_listens_is_never_connected, 0, 2);
	tcase_add_loop_test(tc, a_path_whose_backlog_is_full_is_never_connected, 0, 2);
	tcase_add_test(tc, a_connect_that_failed_at_once_can_be_tried_again_on_the_same_socket);
	tcase_add_test(tc, a_datagram_socket_connects_at_once);
	tcase_add_test(tc, a_connect_on_a_connected_socket_reports_it_again);
}

/* --- data, and its end ------------------------------------------------------------------ */

static struct probe *probe_with_peer(int *peer)
{
	int fd[2];

	unix_pair(fd);
	*peer = fd[1];
	return hold(probe_new(fd[0], NULL));
}

/* FIELD B13 */
START_TEST(data_comes_before_the_end_of_the_file)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	put(peer, "last words", 10);
	close(peer);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_uint_eq(p->len, 10);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 read 1 close 1 ");
	done(p);
}
END_TEST

static int read_a_little(struct probe *p)
{
	int n = asyncore_recv(&p->dispatcher, p->data, 512);

	p->len += n > 0 ? (size_t)n : 0;
	return n;
}

/* FIELD B13: with poll() Python closes after the first 512 bytes. */
START_TEST(much_data_comes_before_the_end_of_a_pipe)
{
	struct probe *p = hold(probe_new(-1, NULL));
	char data[5000] = { 0 };
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	close(fd[0]);
	put(fd[1], data, sizeof data);
	close(fd[1]);
	p->on_read = read_a_little;
	while (!is_closed(p))
		pass(_i);
	ck_assert_uint_eq(p->len, 5000);
	ck_assert_int_eq(p->closes, 1);
	done(p);
}
END_TEST

START_TEST(a_peer_that_only_sends_no_more_can_still_be_written_to)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);
	char answer[6];

	p->on_close = stay;
	put(peer, "question", 8);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	pass(_i);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 read 1 close 1 ");
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "answer", 6), 6);
	take(peer, answer, 6);
	done(p);
	close(peer);
}
END_TEST

/* FIELD B3 */
START_TEST(handle_close_is_called_again_on_the_next_pass_if_it_does_not_close)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	p->on_close = stay;
	shutdown(peer, SHUT_WR);
	pass(_i);
	pass(_i);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 close 1 read 1 close 1 read 1 close 1 ");
	done(p);
	close(peer);
}
END_TEST

static int recv_twice(struct probe *p)
{
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, p->data, 10), 0);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, p->data, 10), 0);
	return 0;
}

/* FIELD B3 */
START_TEST(two_ends_of_the_file_in_one_dispatch_are_one_handle_close)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	p->on_read = recv_twice;
	p->on_close = _i & 2 ? stay : NULL;
	shutdown(peer, SHUT_WR);
	pass(_i & 1);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	done(p);
	close(peer);
}
END_TEST

static int recv_and_send(struct probe *p)
{
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, p->data, 10), 0);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	return 0;
}

/* FIELD B3 */
START_TEST(a_reset_that_recv_and_send_find_is_one_handle_close)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	p = hold(probe_new(fd[0], NULL));
	p->on_read = recv_and_send;
	p->on_close = stay;
	reset_on_close(fd[1]);
	close(fd[1]);
	wait_input(p);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	done(p);
}
END_TEST

/* FIELD B3: with poll() Python calls it for the hang-up, too. */
START_TEST(a_hang_up_is_one_handle_close)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	close(peer);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	done(p);
}
END_TEST

START_TEST(a_reset_connection_is_closed_by_recv)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	p = hold(probe_new(fd[0], NULL));
	reset_on_close(fd[1]);
	close(fd[1]);
	wait_input(p);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	ck_assert_int_eq(p->errors, 0);
	done(p);
}
END_TEST

START_TEST(a_reset_connection_is_closed_by_send)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	p = hold(probe_new(fd[0], NULL));
	reset_on_close(fd[1]);
	close(fd[1]);
	wait_input(p);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_str_eq(trace, "close 1 ");
	ck_assert(is_closed(p));
	done(p);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_found_by_send)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	close(peer);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_str_eq(trace, "close 1 ");
	done(p);
}
END_TEST

static int raise_while_closing(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return -EDOM;
}

START_TEST(what_handle_close_raises_comes_out_of_recv_and_send)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);
	char byte;

	close(peer);
	p->on_close = fails;
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), -EDOM);
	p->on_close = raise_while_closing;
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), -EDOM);
	ck_assert_str_eq(trace, "close 1 close 1 ");
	done(p);
}
END_TEST

START_TEST(a_socket_that_was_never_connected_is_closed_by_recv_and_by_send)
{
	struct probe *p = hold(probe_new(-1, NULL));
	char byte;

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	p->on_close = stay;
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), 0);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_str_eq(trace, "close 1 close 1 ");
	done(p);
}
END_TEST

START_TEST(recv_of_no_bytes_is_not_the_end_of_the_file)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);
	char byte;

	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 0), 0);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, NULL, 0), 0);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), 1);
	done(p);
	close(peer);
}
END_TEST

/* FIELD B8: Python raises, and closes the channel. */
START_TEST(recv_of_nothing_now_says_again)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);
	char byte;

	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), -EAGAIN);
	ck_assert_str_eq(trace, "");
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	done(p);
	close(peer);
}
END_TEST

/* FIELD B8 */
START_TEST(a_read_event_without_data_is_no_error)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert(!is_closed(p));
	done(p);
	close(peer);
}
END_TEST

START_TEST(an_empty_datagram_is_not_the_end_of_the_file)
{
	struct probe *p;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), 0);
	p = hold(probe_new(fd[0], NULL));
	ck_assert_int_eq(send(fd[1], "", 0, 0), 0);
	ck_assert_int_eq(send(fd[1], "x", 1, 0), 1);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_uint_eq(p->len, 0);
	pass(_i);
	ck_assert_str_eq(trace, "read 1 read 1 ");
	ck_assert_uint_eq(p->len, 1);
	done(p);
	close(fd[1]);
}
END_TEST

START_TEST(an_empty_udp_datagram_is_not_the_end_of_the_file)
{
	struct probe *p = hold(probe_new(-1, NULL));
	int sender = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in addr;

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.1", 0), 0);
	addr = loopback(port_of(asyncore_socket(&p->dispatcher)));
	ck_assert_int_eq(sendto(sender, "", 0, 0, (struct sockaddr *)&addr, sizeof addr), 0);
	run_until(p->reads > 0, NULL);
	ck_assert_str_eq(trace, "read 1 ");
	done(p);
	close(sender);
}
END_TEST

START_TEST(the_end_of_a_connection_of_packets_is_the_end_of_the_file)
{
	struct probe *p;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	p = hold(probe_new(fd[0], NULL));
	put(fd[1], "x", 1);
	close(fd[1]);
	while (!is_closed(p))
		pass(_i);
	ck_assert_str_eq(trace, "read 1 read 1 close 1 ");
	ck_assert_uint_eq(p->len, 1);
	done(p);
}
END_TEST

/* FIELD B4 */
START_TEST(a_channel_that_its_read_handler_closed_gets_no_write_event)
{
	int peer;
	struct probe *p = probe_with_peer(&peer);

	put(peer, "x", 1);
	p->wants_write = 1;
	p->on_read = close_self;
	pass(_i);
	ck_assert_str_eq(trace, "read 1 ");
	done(p);
	close(peer);
}
END_TEST

static void add_data(Suite *suite)
{
	TCase *tc = suite_case(suite, "data and its end");

	tcase_add_loop_test(tc, data_comes_before_the_end_of_the_file, 0, 2);
	tcase_add_loop_test(tc, much_data_comes_before_the_end_of_a_pipe, 0, 2);
	tcase_add_loop_test(tc, a_peer_that_only_sends_no_more_can_still_be_written_to, 0, 2);
	tcase_add_loop_test(tc, handle_close_is_called_again_on_the_next_pass_if_it_does_not_close,
			    0, 2);
	tcase_add_loop_test(tc, two_ends_of_the_file_in_one_dispatch_are_one_handle_close, 0, 4);
	tcase_add_loop_test(tc, a_reset_that_recv_and_send_find_is_one_handle_close, 0, 2);
	tcase_add_loop_test(tc, a_hang_up_is_one_handle_close, 0, 2);
	tcase_add_loop_test(tc, a_reset_connection_is_closed_by_recv, 0, 2);
	tcase_add_test(tc, a_reset_connection_is_closed_by_send);
	tcase_add_test(tc, a_peer_that_is_gone_is_found_by_send);
	tcase_add_test(tc, what_handle_close_raises_comes_out_of_recv_and_send);
	tcase_add_test(tc, a_socket_that_was_never_connected_is_closed_by_recv_and_by_send);
	tcase_add_test(tc, recv_of_no_bytes_is_not_the_end_of_the_file);
	tcase_add_test(tc, recv_of_nothing_now_says_again);
	tcase_add_test(tc, a_read_event_without_data_is_no_error);
	tcase_add_loop_test(tc, an_empty_datagram_is_not_the_end_of_the_file, 0, 2);
	tcase_add_test(tc, an_empty_udp_datagram_is_not_the_end_of_the_file);
	tcase_add_loop_test(tc, the_end_of_a_connection_of_packets_is_the_end_of_the_file, 0, 2);
	tcase_add_loop_test(tc, a_channel_that_its_read_handler_closed_gets_no_write_event, 0, 2);
}

/* --- accepting -------------------------------------------------------------------------- */

enum { MANY = 70 };

/* A held, accepting probe, and `n` clients whose connections wait. */
struct server {
	struct probe *probe;
	int client[MANY];
	int n;
};

static struct server server_typed(const struct asyncore_dispatcher_type *type, int n)
{
	struct server s = { .n = n };
	int port, listener = tcp_listener(&port), i;
	struct sockaddr_in addr = loopback(port);

	for (i = 0; i < n; i++) {
		s.client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(s.client[i], (struct sockaddr *)&addr, sizeof addr), 0);
	}
	s.probe = hold(probe_new_typed(type, listener, NULL));
	asyncore_set_accepting(&s.probe->dispatcher, true);
	return s;
}

static void server_done(struct server *s)
{
	int i;

	done(s->probe);
	for (i = 0; i < s->n; i++)
		close(s->client[i]);
}

START_TEST(one_event_accepts_one_connection)
{
	struct server s = server_typed(&probe_type, 3);

	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	pass(_i);
	pass(_i);
	ck_assert_int_eq(s.probe->accepteds, 3);
	ck_assert_int_eq(s.probe->accepts, 3);
	step(NULL);
	ck_assert_int_eq(s.probe->accepts, 3);
	server_done(&s);
}
END_TEST

START_TEST(a_listening_channel_is_not_written_to)
{
	struct server s = server_typed(&probe_type, 0);

	s.probe->wants_write = 1;
	step(NULL);
	step2(NULL);
	ck_assert_str_eq(trace, "");
	server_done(&s);
}
END_TEST

static int own_handle_accept(struct asyncore_dispatcher *self)
{
	int fd = asyncore_accept(self, NULL, NULL);

	trace_call("own ");
	if (fd >= 0)
		close(fd);
	return fd;
}

static const struct asyncore_dispatcher_type own_accept = {
	.base = &probe_type,
	.handle_accept = own_handle_accept,
};

START_TEST(an_overridden_handle_accept_replaces_handle_accepted)
{
	struct server s = server_typed(&own_accept, 1);

	pass(_i);
	ck_assert_str_eq(trace, "own ");
	ck_assert_int_eq(s.probe->errors, 0);
	server_done(&s);
}
END_TEST

START_TEST(handle_accept_without_a_connection_is_no_error)
{
	struct server s = server_typed(&probe_type, 0);

	ck_assert_int_eq(asyncore_read(&s.probe->dispatcher), 0);
	ck_assert_str_eq(trace, "accept 1 ");
	server_done(&s);
}
END_TEST

static const struct asyncore_dispatcher_type default_accepted = {
	.base = &probe_type,
	.handle_accepted = asyncore_dispatcher_handle_accepted,
	.log_info = log_info_kept,
};

START_TEST(the_default_handle_accepted_closes_the_connection_and_says_so)
{
	struct server s = server_typed(&default_accepted, 1);
	char byte;

	pass(_i);
	ck_assert_str_eq(kept_log, "warning: unhandled accepted event\n");
	ck_assert_int_eq(recv(s.client[0], &byte, 1, 0), 0);
	server_done(&s);
}
END_TEST

static int raise_after_closing(struct probe *p, int fd)
{
	(void)p;
	close(fd);
	return -EDOM;
}

START_TEST(a_handle_accepted_that_raises_calls_handle_error)
{
	struct server s = server_typed(&probe_type, 1);

	s.probe->on_accepted = raise_after_closing;
	s.probe->on_error = stay;
	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 error 1 ");
	ck_assert_int_eq(s.probe->last_error, -EDOM);
	server_done(&s);
}
END_TEST

static int serve(struct probe *p, int fd)
{
	p->arg = hold(probe_new(fd, NULL));
	return 0;
}

START_TEST(an_accepted_connection_is_served_by_the_same_map)
{
	struct server s = server_typed(&probe_type, 1);
	struct probe *connection;

	put(s.client[0], "hello", 5);
	s.probe->on_accepted = serve;
	pass(_i);
	connection = s.probe->arg;
	ck_assert(asyncore_connected(&connection->dispatcher));
	wait_input(connection);
	pass(_i);
	ck_assert_uint_eq(connection->len, 5);
	done(connection);
	server_done(&s);
}
END_TEST

static const struct asyncore_dispatcher_type batching = {
	.base = &probe_type,
	.flags = ASYNCORE_ACCEPT_BATCH,
};

START_TEST(a_batch_accepts_all_that_wait)
{
	struct server s = server_typed(&batching, 3);

	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 accept 1 accepted 1 accept 1 accepted 1 "
				"accept 1 ");
	ck_assert_int_eq(s.probe->errors, 0);
	server_done(&s);
}
END_TEST

START_TEST(a_batch_ends_after_64)
{
	struct server s = server_typed(&batching, MANY);

	pass(_i);
	ck_assert_int_eq(s.probe->accepts, 64);
	ck_assert_int_eq(s.probe->accepteds, 64);
	pass(_i);
	ck_assert_int_eq(s.probe->accepteds, MANY);
	server_done(&s);
}
END_TEST

static int stop_serving(struct probe *p, int fd)
{
	close(fd);
	return asyncore_close(&p->dispatcher);
}

START_TEST(a_batch_ends_when_the_listener_is_closed)
{
	struct server s = server_typed(&batching, 3);

	s.probe->on_accepted = stop_serving;
	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	server_done(&s);
}
END_TEST

static int serve_elsewhere(struct probe *p, int fd)
{
	int port;

	close(fd);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, tcp_listener(&port), NULL), 0);
	asyncore_set_accepting(&p->dispatcher, true);
	return 0;
}

START_TEST(a_batch_ends_when_the_listener_is_another_one)
{
	struct server s = server_typed(&batching, 3);

	s.probe->on_accepted = serve_elsewhere;
	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	server_done(&s);
}
END_TEST

static int pause_serving(struct probe *p, int fd)
{
	close(fd);
	return asyncore_set_accepting(&p->dispatcher, false);
}

START_TEST(a_batch_ends_when_the_channel_is_no_longer_accepting)
{
	struct server s = server_typed(&batching, 3);

	s.probe->on_accepted = pause_serving;
	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	server_done(&s);
}
END_TEST

START_TEST(a_batch_ends_with_an_error)
{
	struct server s = server_typed(&batching, 3);

	s.probe->on_accepted = raise_after_closing;
	s.probe->on_error = stay;
	pass(_i);
	ck_assert_str_eq(trace, "accept 1 accepted 1 error 1 ");
	s.probe->on_accepted = NULL;
	pass(_i);
	ck_assert_int_eq(s.probe->accepteds, 3);
	server_done(&s);
}
END_TEST

static int exit_after_closing(struct probe *p, int fd)
{
	(void)p;
	close(fd);
	return ASYNCORE_EXIT_NOW;
}

START_TEST(a_batch_ends_with_exit_now)
{
	struct server s = server_typed(&batching, 3);

	s.probe->on_accepted = exit_after_closing;
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	server_done(&s);
}
END_TEST

static void add_accepting(Suite *suite)
{
	TCase *tc = suite_case(suite, "accepting");

	tcase_add_loop_test(tc, one_event_accepts_one_connection, 0, 2);
	tcase_add_test(tc, a_listening_channel_is_not_written_to);
	tcase_add_loop_test(tc, an_overridden_handle_accept_replaces_handle_accepted, 0, 2);
	tcase_add_test(tc, handle_accept_without_a_connection_is_no_error);
	tcase_add_loop_test(tc, the_default_handle_accepted_closes_the_connection_and_says_so, 0,
			    2);
	tcase_add_loop_test(tc, a_handle_accepted_that_raises_calls_handle_error, 0, 2);
	tcase_add_loop_test(tc, an_accepted_connection_is_served_by_the_same_map, 0, 2);
	tcase_add_loop_test(tc, a_batch_accepts_all_that_wait, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_after_64, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_when_the_listener_is_closed, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_when_the_listener_is_another_one, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_when_the_channel_is_no_longer_accepting, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_with_an_error, 0, 2);
	tcase_add_loop_test(tc, a_batch_ends_with_exit_now, 0, 2);
}

/* --- the base class as it is ------------------------------------------------------------ */

static const char *const nothing_ignored[] = { NULL };

static const struct asyncore_dispatcher_type bare = {
	.base = &asyncore_dispatcher_type,
	.log_info = log_info_kept,
	.ignore_log_types = nothing_ignored,
};

/* An object that may be disposed of after the test. */
static struct asyncore_dispatcher object;

static void make_bare(int fd)
{
	ck_assert_int_eq(asyncore_dispatcher_init(&object, &bare, fd, NULL), 0);
}

/* FIELD B1: kept; writable() is true. */
START_TEST(an_idle_channel_of_the_base_class_gets_a_write_event_on_every_pass)
{
	int fd[2];

	unix_pair(fd);
	make_bare(fd[0]);
	pass(_i);
	pass(_i);
	ck_assert_str_eq(kept_log, "warning: unhandled write event\n"
				   "warning: unhandled write event\n");
	asyncore_close(&object);
	close(fd[1]);
}
END_TEST

START_TEST(input_that_the_base_class_does_not_read_comes_again)
{
	int fd[2];

	unix_pair(fd);
	make_bare(fd[0]);
	put(fd[1], "x", 1);
	pass(_i);
	pass(_i);
	ck_assert_str_eq(kept_log,
			 "warning: unhandled read event\nwarning: unhandled write event\n"
			 "warning: unhandled read event\nwarning: unhandled write event\n");
	asyncore_close(&object);
	close(fd[1]);
}
END_TEST

START_TEST(the_base_class_reports_a_connection_and_the_write_event)
{
	int port, listener = tcp_listener(&port);

	make_bare(-1);
	asyncore_create_socket(&object, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_connect(&object, "127.0.0.1", port), 0);
	pass(_i);
	ck_assert_str_eq(kept_log, "warning: unhandled connect event\n"
				   "warning: unhandled write event\n");
	ck_assert(asyncore_connected(&object));
	asyncore_close(&object);
	close(listener);
}
END_TEST

START_TEST(the_base_class_closes_a_refused_connect_and_reports_it)
{
	int holder, port = refused_port(&holder);

	make_bare(-1);
	asyncore_create_socket(&object, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_connect(&object, "127.0.0.1", port), 0);
	pass(_i);
	ck_assert_ptr_nonnull(strstr(kept_log, "error: uncaptured exception, closing channel "));
	ck_assert_ptr_nonnull(strstr(kept_log, "(ECONNREFUSED:Connection refused"));
	ck_assert_ptr_nonnull(strstr(kept_log, "\nwarning: unhandled close event\n"));
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	close(holder);
}
END_TEST

START_TEST(the_base_class_closes_at_the_end_of_the_file)
{
	int fd[2];
	char byte;

	unix_pair(fd);
	make_bare(fd[0]);
	close(fd[1]);
	ck_assert_int_eq(asyncore_recv(&object, &byte, 1), 0);
	ck_assert_str_eq(kept_log, "warning: unhandled close event\n");
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
}
END_TEST

/* FIELD B29: it has no handler for urgent data, so it is not told of any. */
START_TEST(a_class_without_handle_expt_is_not_told_of_urgent_data)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	p = hold(probe_new_typed(&probe_plain_type, fd[0], NULL));
	ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
	put(fd[1], "x", 1);
	run_until(p->reads > 0, NULL);
	ck_assert_ptr_null(strstr(trace, "expt"));
	done(p);
	close(fd[1]);
}
END_TEST

START_TEST(a_class_with_handle_expt_is_told_of_urgent_data)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	p = hold(probe_new(fd[0], NULL));
	p->on_read = stay;
	ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
	run_until(p->expts > 0, NULL);
	done(p);
	close(fd[1]);
}
END_TEST

static void add_base(Suite *suite)
{
	TCase *tc = suite_case(suite, "base class");

	tcase_add_loop_test(tc, an_idle_channel_of_the_base_class_gets_a_write_event_on_every_pass,
			    0, 2);
	tcase_add_loop_test(tc, input_that_the_base_class_does_not_read_comes_again, 0, 2);
	tcase_add_loop_test(tc, the_base_class_reports_a_connection_and_the_write_event, 0, 2);
	tcase_add_loop_test(tc, the_base_class_closes_a_refused_connect_and_reports_it, 0, 2);
	tcase_add_test(tc, the_base_class_closes_at_the_end_of_the_file);
	tcase_add_test(tc, a_class_without_handle_expt_is_not_told_of_urgent_data);
	tcase_add_test(tc, a_class_with_handle_expt_is_told_of_urgent_data);
}

static void add_cases(Suite *suite)
{
	add_states(suite);
	add_tcp(suite);
	add_failing(suite);
	add_unix(suite);
	add_data(suite);
	add_accepting(suite);
	add_base(suite);
}

SUITE_MAIN("dispatcher", add_cases)
