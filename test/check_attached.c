/* SPDX-License-Identifier: BSD-3-Clause */

/* check_attached.c - a map on the application's base, driven by the application alone. */

#include "support.h"

#include <event2/event.h>
#include <fcntl.h>

/* --- helpers ------------------------------------------------------------------------ */

static struct event_base *base;
static struct asyncore_map *map;

static void begin(int backend)
{
	base = backend_base(backend);
	map = asyncore_map_new(base);
	ck_assert_ptr_nonnull(map);
}

static void end(void)
{
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
}

/* Once round the application's loop, without waiting. */
static void turn(void)
{
	ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

#define turn_until(condition) \
	do { \
		int turns_ = 0; \
		while (!(condition) && turns_++ < 1000) \
			turn(); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

/* The application's loop, which has to end by itself: nothing here takes long, but helper
 * timers of the library do. */
static void dispatch(void)
{
	alarm(10);
	ck_assert_int_ge(event_base_dispatch(base), 0);
	alarm(0);
}

/* Have the application call `callback`, soon. */
static void call_soon(event_callback_fn callback, void *arg)
{
	const struct timeval at_once = { 0, 0 };

	ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, callback, arg, &at_once), 0);
}

static int added(void)
{
	return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
}

static int ok(struct probe *p)
{
	(void)p;
	return 0;
}

static int close_self(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

static int echo(struct probe *p)
{
	int n = asyncore_recv(&p->dispatcher, p->data, sizeof p->data);

	return n > 0 ? asyncore_send(&p->dispatcher, p->data, (size_t)n) : n;
}

/* --- serving ------------------------------------------------------------------------ */

START_TEST(channels_are_served_by_the_applications_loop)
{
	int peer;
	struct probe *p;
	char c;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = echo;
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	take(peer, &c, 1);
	ck_assert_int_eq(c, 'x');
	end();
	close(peer);
}
END_TEST

static int client_closes_after_answer(struct probe *p)
{
	int n = asyncore_recv(&p->dispatcher, p->data, sizeof p->data);

	return n > 0 ? asyncore_close(&p->dispatcher) : n;
}

static int say_hello(struct probe *p)
{
	return asyncore_send(&p->dispatcher, "hello", 5);
}

static int serve_client(struct probe *server, int fd)
{
	struct probe *p = probe_new(fd, asyncore_map(&server->dispatcher));

	p->on_read = echo;
	return asyncore_close(&server->dispatcher);
}

START_TEST(echo_over_tcp_runs_and_dispatch_ends_by_itself)
{
	struct probe *server, *client;
	int port, listener;

	begin(_i);
	listener = tcp_listener(&port);
	server = probe_new(listener, map);
	server->on_accepted = serve_client;
	asyncore_set_accepting(&server->dispatcher, true);

	client = probe_new(-1, map);
	client->on_connect = say_hello;
	client->on_read = client_closes_after_answer;
	client->wants_write = 1;
	ck_assert_int_eq(asyncore_create_socket(&client->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&client->dispatcher, "127.0.0.1", port), 0);
	asyncore_ref(&client->dispatcher);

	dispatch();
	ck_assert_int_eq(memcmp(client->data, "hello", 5), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	asyncore_unref(&client->dispatcher);
	end();
	ck_assert_int_eq(probes_disposed, 3);
}
END_TEST

START_TEST(order_is_that_of_select)
{
	struct probe *p[3];
	int fd[3][2], i;

	begin(_i);
	for (i = 0; i < 3; i++)
		tcp_pair(fd[i]);
	for (i = 0; i < 3; i++) {
		p[i] = probe_new(fd[2 - i][0], map);
		p[i]->wants_write = 1;
	}
	for (i = 0; i < 3; i++) {
		put(fd[i][1], "x", 1);
		ck_assert_int_eq(send(fd[i][1], "!", 1, MSG_OOB), 1);
	}
	turn_until(trace[0] != '\0');
	ck_assert_int_eq(strncmp(trace, "read 1 read 2 read 3 write 1 write 2 write 3 "
				 "expt 1 expt 2 expt 3 ", 63), 0);
	end();
	for (i = 0; i < 3; i++)
		close(fd[i][1]);
}
END_TEST

static int close_arg(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_recv(&p->dispatcher, p->data, 1);
	return asyncore_close(&other->dispatcher);
}

/* FIELD B4 */
START_TEST(channel_closed_by_another_gets_no_event)
{
	struct probe *p[2];
	int peer[2];

	begin(_i);
	probes_and_peers(map, p, peer, 2);
	p[0]->on_read = close_arg;
	p[0]->arg = p[1];
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	turn_until(p[0]->reads == 1);
	turn();
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
	close_peers(peer, 2);
}
END_TEST

/* Close the channel `arg` and open another, quiet one, that gets its descriptor. */
static int replace_arg(struct probe *p)
{
	struct probe *other = p->arg;
	int fd = asyncore_fileno(&other->dispatcher);

	close_arg(p);
	other = probe_new(-1, asyncore_map(&p->dispatcher));
	ck_assert_int_eq(asyncore_create_socket(&other->dispatcher, AF_INET, SOCK_DGRAM), 0);
	ck_assert_int_eq(asyncore_fileno(&other->dispatcher), fd);
	return 0;
}

/* FIELD B5 */
START_TEST(new_channel_on_an_old_descriptor_gets_no_stale_event)
{
	struct probe *p[2];
	int peer[2], i;

	begin(_i);
	probes_and_peers(map, p, peer, 2);
	p[0]->on_read = replace_arg;
	p[0]->arg = p[1];
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	for (i = 0; i < 5; i++)
		turn();
	ck_assert_str_eq(trace, "read 1 ");
	end();
	close_peers(peer, 2);
}
END_TEST

START_TEST(disposed_channels_are_freed)
{
	struct probe *p[3];
	int peer[3], i;

	begin(_i);
	probes_and_peers(map, p, peer, 3);
	for (i = 0; i < 3; i++) {
		p[i]->on_read = close_self;
		put(peer[i], "x", 1);
	}
	turn_until(asyncore_map_size(map) == 0);
	ck_assert_int_eq(probes_disposed, 3);
	end();
	close_peers(peer, 3);
}
END_TEST

static void close_probe(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;

	(void)fd, (void)what;
	asyncore_close(&p->dispatcher);
}

START_TEST(channel_closed_by_the_application_is_freed)
{
	int peer[2];
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer[0]);
	probe_and_peer(map, &peer[1]);
	turn();
	call_soon(close_probe, p);
	turn_until(probes_disposed == 1);
	end();
	close_peers(peer, 2);
}
END_TEST

START_TEST(urgent_data_comes_again_while_it_is_unread)
{
	int fd[2];
	struct probe *p;

	begin(_i);
	tcp_pair(fd);
	p = probe_new(fd[0], map);
	ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
	turn_until(p->expts == 5);
	end();
	close(fd[1]);
}
END_TEST

START_TEST(base_with_priorities_works)
{
	int peer;
	struct probe *p;

	base = backend_base(_i);
	ck_assert_int_eq(event_base_priority_init(base, 3), 0);
	map = asyncore_map_new(base);
	p = probe_and_peer(map, &peer);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	p->on_read = close_self;
	put(peer, "x", 1);
	dispatch();
	end();
	close(peer);
}
END_TEST

START_TEST(two_maps_on_one_base_are_both_served)
{
	struct asyncore_map *other;
	struct probe *p[2];
	int peer[2], i;

	begin(_i);
	other = asyncore_map_new(base);
	p[0] = probe_and_peer(map, &peer[0]);
	p[1] = probe_and_peer(other, &peer[1]);
	for (i = 0; i < 2; i++) {
		p[i]->on_read = close_self;
		put(peer[i], "x", 1);
	}
	dispatch();
	ck_assert_int_eq(probes_disposed, 2);
	asyncore_map_free(other);
	end();
	close_peers(peer, 2);
}
END_TEST

/* --- the end of dispatch ------------------------------------------------------------ */

START_TEST(map_without_channels_does_not_keep_dispatch)
{
	begin(_i);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED |
						   EVENT_BASE_COUNT_ACTIVE), 0);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	end();
}
END_TEST

START_TEST(dispatch_ends_when_the_last_channel_closes_itself)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = close_self;
	turn();
	turn();
	put(peer, "x", 1);
	dispatch();
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_int_eq(added(), 0);
	end();
	close(peer);
}
END_TEST

START_TEST(dispatch_ends_when_the_application_closes_the_last_channel)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	turn();
	put(peer, "x", 1);
	turn();
	ck_assert_int_eq(p->reads, 1);
	call_soon(close_probe, p);
	dispatch();
	ck_assert_int_eq(probes_disposed, 1);
	end();
	close(peer);
}
END_TEST

/* Count the events of the base that are left in the turn after this one. */
static int left;

static void count_left(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	left = added();
	event_base_loopbreak(base);
}

START_TEST(held_channel_that_was_closed_does_not_keep_dispatch)
{
	const struct timeval a_second = { 1, 0 };
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	turn();
	put(peer, "x", 1);
	turn();
	ck_assert_int_eq(p->reads, 1);
	asyncore_ref(&p->dispatcher);
	call_soon(close_probe, p);
	left = -1;
	/* Long before any helper of the library is due; and it is not counted itself. */
	event_base_once(base, -1, EV_TIMEOUT, count_left, NULL, &a_second);
	dispatch();
	ck_assert_int_eq(left, 0);
	asyncore_unref(&p->dispatcher);
	end();
	close(peer);
}
END_TEST

static void close_all(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ck_assert_int_eq(asyncore_close_all(arg, false), 0);
}

START_TEST(dispatch_ends_when_the_application_closes_all)
{
	struct probe *p[3];
	int peer[3];

	begin(_i);
	probes_and_peers(map, p, peer, 3);
	turn();
	put(peer[0], "x", 1);
	turn();
	call_soon(close_all, map);
	dispatch();
	ck_assert_int_eq(probes_disposed, 3);
	ck_assert_int_eq(added(), 0);
	end();
	close_peers(peer, 3);
}
END_TEST

static void free_map(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	trace_call("free %d ", asyncore_map_free(arg));
}

START_TEST(dispatch_ends_when_the_application_frees_the_map)
{
	struct probe *p[3];
	int peer[3];

	begin(_i);
	probes_and_peers(map, p, peer, 3);
	turn();
	call_soon(free_map, map);
	dispatch();
	ck_assert_str_eq(trace, "free 0 ");
	ck_assert_int_eq(probes_disposed, 3);
	event_base_free(base);
	close_peers(peer, 3);
}
END_TEST

/* Descriptors fired, but the map goes before they are served. */
START_TEST(map_may_be_freed_while_events_wait)
{
	struct probe *p[3];
	int peer[3], i, turns;

	begin(_i);
	probes_and_peers(map, p, peer, 3);
	turn();
	for (i = 0; i < 3; i++) {
		p[i]->on_read = ok;
		put(peer[i], "x", 1);
	}
	call_soon(free_map, map);
	for (turns = 0; turns < 5; turns++)
		turn();
	ck_assert_ptr_nonnull(strstr(trace, "free 0 "));
	ck_assert_int_eq(probes_disposed, 3);
	event_base_free(base);
	close_peers(peer, 3);
}
END_TEST

static void break_loop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	event_base_loopbreak(base);
}

/* The application breaks its loop when channels have fired, maybe, and were not served. */
START_TEST(events_that_wait_when_the_loop_breaks_are_not_lost)
{
	int peer, mine[2];
	struct probe *p;
	struct event *ev;

	begin(_i / 2);
	p = probe_and_peer(map, &peer);
	turn();
	unix_pair(mine);
	ev = event_new(base, mine[0], EV_READ, break_loop, NULL);
	event_add(ev, NULL);
	put(mine[1], "x", 1);
	put(peer, "x", 1);
	turn();
	if (_i % 2) {
		turn_until(p->reads > 0);
	} else {
		run_until(p->reads > 0, map);
	}
	/* libevent may tell of it twice; nothing to read is no harm then. */
	turn();
	turn();
	ck_assert_uint_eq(p->len, 1);
	ck_assert_int_eq(p->errors + p->closes, 0);
	event_free(ev);
	end();
	close_peers(mine, 2);
	close(peer);
}
END_TEST

START_TEST(channel_closed_while_its_events_wait_is_not_called)
{
	int peer, mine[2];
	struct probe *p;
	struct event *ev;

	begin(_i);
	p = probe_and_peer(map, &peer);
	turn();
	unix_pair(mine);
	ev = event_new(base, mine[0], EV_READ, break_loop, NULL);
	event_add(ev, NULL);
	put(mine[1], "x", 1);
	put(peer, "x", 1);
	turn();
	asyncore_close_all(map, false);
	ck_assert_int_eq(probes_disposed, 1);
	trace[0] = '\0';
	turn();
	turn();
	ck_assert_str_eq(trace, "");
	(void)p;
	event_free(ev);
	end();
	close_peers(mine, 2);
	close(peer);
}
END_TEST

/* --- predicates --------------------------------------------------------------------- */

START_TEST(predicates_are_asked_after_a_batch_of_events)
{
	struct probe *p[2];
	int peer[2], asked;

	begin(_i);
	probes_and_peers(map, p, peer, 2);
	turn();
	asked = p[1]->readables;
	ck_assert_int_gt(asked, 0);
	put(peer[0], "x", 1);
	turn_until(p[0]->reads == 1);
	ck_assert_int_gt(p[1]->readables, asked);
	end();
	close_peers(peer, 2);
}
END_TEST

START_TEST(predicates_are_not_asked_while_nothing_happens)
{
	int peer, asked, i;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	turn();
	turn();
	asked = p->readables;
	for (i = 0; i < 20; i++)
		turn();
	ck_assert_int_eq(p->readables, asked);
	end();
	close(peer);
}
END_TEST

static int want_writing(struct probe *p)
{
	p->wants_write = 1;
	return asyncore_recv(&p->dispatcher, p->data, 1);
}

START_TEST(interest_changed_by_a_handler_counts_at_once)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = want_writing;
	turn();
	put(peer, "x", 1);
	turn();
	ck_assert_str_eq(trace, "read 1 ");
	turn();
	ck_assert_str_eq(trace, "read 1 write 1 ");
	end();
	close(peer);
}
END_TEST

static void want_and_touch(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;

	(void)fd, (void)what;
	p->wants_write = 1;
	asyncore_touch(&p->dispatcher);
}

START_TEST(touch_has_the_predicates_asked)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_write = close_self;
	turn();
	turn();
	ck_assert_str_eq(trace, "");
	call_soon(want_and_touch, p);
	dispatch();
	ck_assert_str_eq(trace, "write 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
	close(peer);
}
END_TEST

static int touched_peer;

static void add_channel(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = probe_and_peer(arg, &touched_peer);

	(void)fd, (void)what;
	p->on_read = close_self;
	put(touched_peer, "x", 1);
}

START_TEST(channel_added_by_the_application_is_served)
{
	begin(_i);
	call_soon(add_channel, map);
	dispatch();
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
	close(touched_peer);
}
END_TEST

static int add_in_handler(struct probe *p)
{
	add_channel(-1, 0, asyncore_map(&p->dispatcher));
	return asyncore_close(&p->dispatcher);
}

START_TEST(channel_added_by_a_handler_is_served)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = add_in_handler;
	put(peer, "x", 1);
	dispatch();
	ck_assert_str_eq(trace, "read 1 read 2 ");
	end();
	close(touched_peer);
	close(peer);
}
END_TEST

static int counted_readable(struct asyncore_dispatcher *d)
{
	return probe_plain_type.readable(d);
}

static int counted_writable(struct asyncore_dispatcher *d)
{
	return probe_plain_type.writable(d);
}

static const struct asyncore_dispatcher_type touched_type = {
	.base = &probe_plain_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.readable = counted_readable,
	.writable = counted_writable,
};

START_TEST(channel_of_a_touched_class_costs_one_event_and_no_timer)
{
	int fd[2], i;
	struct probe *p;

	begin(_i);
	unix_pair(fd);
	p = probe_new_typed(&touched_type, fd[0], map);
	turn();
	for (i = 0; i < 5; i++) {
		put(fd[1], "x", 1);
		turn();
	}
	ck_assert_int_eq(p->reads, 5);
	ck_assert_int_eq(p->readables, 1);
	ck_assert_int_eq(added(), 1);
	end();
	close(fd[1]);
}
END_TEST

/* --- passes of ours on such a base -------------------------------------------------- */

static int poll_inside(struct probe *p)
{
	trace_call("%d ", asyncore_poll(0.0, map));
	trace_call("%d ", asyncore_poll2(0.0, map));
	trace_call("%d ", asyncore_loop(1.0, false, map, -1));
	trace_call("%d ", asyncore_map_free(map));
	return asyncore_close(&p->dispatcher);
}

START_TEST(pass_inside_a_handler_is_refused)
{
	char expected[80];
	struct probe *p[2];
	int peer[2];

	begin(_i);
	probes_and_peers(map, p, peer, 2);
	p[0]->on_read = poll_inside;
	p[1]->on_read = close_self;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	dispatch();
	snprintf(expected, sizeof expected, "read 1 %d %d %d %d read 2 ", -EBUSY, -EBUSY,
		 -EBUSY, -EBUSY);
	ck_assert_str_eq(trace, expected);
	end();
	close_peers(peer, 2);
}
END_TEST

static int poll_arg(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	trace_call("%d ", asyncore_poll(0.0, p->arg));
	return 0;
}

START_TEST(map_on_a_base_of_its_own_may_run_inside_a_handler)
{
	struct asyncore_map *other = asyncore_map_new(NULL);
	struct probe *p[2];
	int peer[2];

	begin(_i);
	p[0] = probe_and_peer(map, &peer[0]);
	p[1] = probe_and_peer(other, &peer[1]);
	p[0]->on_read = poll_arg;
	p[0]->arg = other;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	turn_until(p[0]->reads == 1);
	ck_assert_str_eq(trace, "read 1 read 2 0 ");
	asyncore_map_free(other);
	end();
	close_peers(peer, 2);
}
END_TEST

static void swallow(int severity, const char *message)
{
	(void)severity, (void)message;
}

START_TEST(pass_of_another_map_on_the_base_is_refused_inside_a_handler)
{
	char expected[80];
	struct asyncore_map *other;
	struct probe *p[2];
	int peer[2];

	begin(_i);
	other = asyncore_map_new(base);
	p[0] = probe_and_peer(map, &peer[0]);
	p[1] = probe_and_peer(other, &peer[1]);
	turn();
	p[0]->on_read = poll_arg;
	p[0]->arg = other;
	put(peer[0], "x", 1);
	event_set_log_callback(swallow);	/* libevent warns of it */
	turn_until(p[0]->reads == 1);
	event_set_log_callback(NULL);
	snprintf(expected, sizeof expected, "read 1 %d ", -EBUSY);
	ck_assert_str_eq(trace, expected);
	put(peer[1], "x", 1);
	turn_until(p[1]->reads == 1);
	asyncore_map_free(other);
	end();
	close_peers(peer, 2);
}
END_TEST

static void poll_in_callback(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	trace_call("%d ", asyncore_poll(0.0, arg));
}

START_TEST(pass_inside_a_callback_of_the_application_is_refused)
{
	char expected[80];
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	turn();
	call_soon(poll_in_callback, map);
	event_set_log_callback(swallow);	/* libevent warns of it */
	turn_until(trace[0] != '\0');
	event_set_log_callback(NULL);
	snprintf(expected, sizeof expected, "%d ", -EBUSY);
	ck_assert_str_eq(trace, expected);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	end();
	close(peer);
}
END_TEST

START_TEST(passes_of_ours_and_turns_of_the_application_mix)
{
	int peer, i;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	for (i = 0; i < 5; i++) {
		put(peer, "x", 1);
		turn_until(p->len == (size_t)(2 * i + 1));
		put(peer, "y", 1);
		run_until(p->len == (size_t)(2 * i + 2), map);
	}
	ck_assert_int_eq(p->reads, 10);
	p->on_read = close_self;
	put(peer, "z", 1);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	ck_assert_int_eq(added(), 0);
	end();
	close(peer);
}
END_TEST

START_TEST(what_a_pass_of_ours_changed_counts_in_the_applications_loop)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = want_writing;
	put(peer, "x", 1);
	run_until(p->reads == 1, map);
	ck_assert_int_eq(p->writes, 0);
	turn_until(p->writes > 0);
	end();
	close(peer);
}
END_TEST

START_TEST(read_in_a_callback_of_the_application_works)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	turn();
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	turn();
	turn();
	ck_assert_str_eq(trace, "read 1 ");
	end();
	close(peer);
}
END_TEST

/* --- leaving the application's loop ------------------------------------------------- */

static int exit_now(struct probe *p)
{
	(void)p;
	return ASYNCORE_EXIT_NOW;
}

static int raise_eio(struct probe *p)
{
	(void)p;
	return -EIO;
}

/* The loop was left, and can be entered again. */
static void assert_left(struct probe *p)
{
	int reads;

	dispatch();
	ck_assert_int_ne(event_base_got_break(base), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	p->on_readable = NULL;
	p->on_error = NULL;
	p->on_read = close_self;
	reads = p->reads;
	asyncore_ref(&p->dispatcher);
	asyncore_touch(&p->dispatcher);
	dispatch();
	ck_assert_int_eq(p->reads, reads + 1);
	asyncore_unref(&p->dispatcher);
}

START_TEST(exit_now_leaves_the_applications_loop)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = exit_now;
	put(peer, "x", 1);
	assert_left(p);
	ck_assert_int_eq(p->errors, 0);
	end();
	close(peer);
}
END_TEST

static int drop_exit(struct probe *p)
{
	p->on_close = exit_now;
	asyncore_handle_close(&p->dispatcher);
	return 0;
}

START_TEST(exit_now_that_was_dropped_leaves_the_applications_loop)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = drop_exit;
	put(peer, "x", 1);
	assert_left(p);
	end();
	close(peer);
}
END_TEST

START_TEST(handle_error_that_raises_leaves_the_applications_loop)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = p->on_error = raise_eio;
	put(peer, "x", 1);
	assert_left(p);
	end();
	close(peer);
}
END_TEST

START_TEST(predicate_that_raises_leaves_the_applications_loop)
{
	int peer;
	struct probe *p;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_readable = raise_eio;
	put(peer, "x", 1);
	assert_left(p);
	end();
	close(peer);
}
END_TEST

static void raise_outside(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;

	(void)fd, (void)what;
	ck_assert_int_eq(ASYNCORE_RAISE(&p->dispatcher, -EPROTO), -EPROTO);
	ck_assert_int_eq(asyncore_error(&p->dispatcher)->code, -EPROTO);
}

static const struct asyncore_error *seen_in_read;

static int see_error(struct probe *p)
{
	seen_in_read = asyncore_error(&p->dispatcher);
	return asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
}

/* What the application's own code made of it, is its business; the next pass begins anew. */
START_TEST(error_raised_outside_of_a_pass_is_forgotten_in_the_next)
{
	static const struct asyncore_error nothing_seen;
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = see_error;
	turn();
	seen_in_read = &nothing_seen;
	call_soon(raise_outside, p);
	turn_until(asyncore_error(&p->dispatcher) != NULL);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	ck_assert_ptr_null(seen_in_read);
	ck_assert_int_eq(p->errors, 0);
	asyncore_close(&p->dispatcher);
	close(peer);
	end();
}
END_TEST

START_TEST(handler_that_raises_closes_its_channel_only)
{
	struct probe *p[2];
	int peer[2];

	begin(_i);
	probes_and_peers(map, p, peer, 2);
	p[0]->on_read = raise_eio;
	p[1]->on_read = close_self;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	dispatch();
	ck_assert_str_eq(trace, "read 1 error 1 read 2 ");
	end();
	close_peers(peer, 2);
}
END_TEST

/* --- always ready ------------------------------------------------------------------- */

static struct probe *file_probe(void)
{
	FILE *file = tmpfile();
	struct probe *p = probe_new(-1, map);

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fileno(file)), 0);
	fclose(file);
	return p;
}

static int close_at_tenth(struct probe *p)
{
	return p->reads == 10 ? asyncore_close(&p->dispatcher) : 0;
}

START_TEST(always_ready_channel_is_served_again_and_again)
{
	struct probe *p;

	begin(_i);
	p = file_probe();
	p->on_read = close_at_tenth;
	dispatch();
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_str_eq(trace, "read 1 read 1 read 1 read 1 read 1 read 1 read 1 read 1 "
			 "read 1 read 1 ");
	end();
}
END_TEST

static void stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(int *)arg += 1;
}

START_TEST(always_ready_channel_does_not_starve_the_application)
{
	const struct timeval soon = { 0, 20000 };
	int mine[2], peer, timers = 0, descriptors = 0;
	struct probe *p, *other;
	struct event *ev;

	begin(_i);
	p = file_probe();
	p->on_read = ok;
	other = probe_and_peer(map, &peer);
	unix_pair(mine);
	ev = event_new(base, mine[0], EV_READ, stop, &descriptors);
	event_add(ev, NULL);
	event_base_once(base, -1, EV_TIMEOUT, stop, &timers, &soon);
	put(mine[1], "x", 1);
	put(peer, "x", 1);
	while (timers == 0 || descriptors == 0 || other->reads == 0)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_int_gt(p->reads, 0);
	event_free(ev);
	end();
	close_peers(mine, 2);
	close(peer);
}
END_TEST

START_TEST(always_ready_channel_that_wants_nothing_is_left_alone)
{
	struct probe *p;
	int i, asked;

	begin(_i);
	p = file_probe();
	p->wants_read = 0;
	turn();
	turn();
	asked = p->readables;
	for (i = 0; i < 20; i++)
		turn();
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(p->readables, asked);
	end();
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

#define on_each_backend(tc, test) tcase_add_loop_test(tc, test, 0, BACKENDS)

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "serving");

	on_each_backend(tc, channels_are_served_by_the_applications_loop);
	on_each_backend(tc, echo_over_tcp_runs_and_dispatch_ends_by_itself);
	on_each_backend(tc, order_is_that_of_select);
	on_each_backend(tc, channel_closed_by_another_gets_no_event);
	on_each_backend(tc, new_channel_on_an_old_descriptor_gets_no_stale_event);
	on_each_backend(tc, disposed_channels_are_freed);
	on_each_backend(tc, channel_closed_by_the_application_is_freed);
	on_each_backend(tc, urgent_data_comes_again_while_it_is_unread);
	on_each_backend(tc, base_with_priorities_works);
	on_each_backend(tc, two_maps_on_one_base_are_both_served);

	tc = suite_case(suite, "the end of dispatch");
	on_each_backend(tc, map_without_channels_does_not_keep_dispatch);
	on_each_backend(tc, dispatch_ends_when_the_last_channel_closes_itself);
	on_each_backend(tc, dispatch_ends_when_the_application_closes_the_last_channel);
	on_each_backend(tc, held_channel_that_was_closed_does_not_keep_dispatch);
	on_each_backend(tc, dispatch_ends_when_the_application_closes_all);
	on_each_backend(tc, dispatch_ends_when_the_application_frees_the_map);
	on_each_backend(tc, map_may_be_freed_while_events_wait);
	tcase_add_loop_test(tc, events_that_wait_when_the_loop_breaks_are_not_lost,
			    0, 2 * BACKENDS);
	on_each_backend(tc, channel_closed_while_its_events_wait_is_not_called);

	tc = suite_case(suite, "predicates");
	on_each_backend(tc, predicates_are_asked_after_a_batch_of_events);
	on_each_backend(tc, predicates_are_not_asked_while_nothing_happens);
	on_each_backend(tc, interest_changed_by_a_handler_counts_at_once);
	on_each_backend(tc, touch_has_the_predicates_asked);
	on_each_backend(tc, channel_added_by_the_application_is_served);
	on_each_backend(tc, channel_added_by_a_handler_is_served);
	on_each_backend(tc, channel_of_a_touched_class_costs_one_event_and_no_timer);

	tc = suite_case(suite, "passes");
	on_each_backend(tc, pass_inside_a_handler_is_refused);
	on_each_backend(tc, map_on_a_base_of_its_own_may_run_inside_a_handler);
	on_each_backend(tc, pass_of_another_map_on_the_base_is_refused_inside_a_handler);
	on_each_backend(tc, pass_inside_a_callback_of_the_application_is_refused);
	on_each_backend(tc, passes_of_ours_and_turns_of_the_application_mix);
	on_each_backend(tc, what_a_pass_of_ours_changed_counts_in_the_applications_loop);
	on_each_backend(tc, read_in_a_callback_of_the_application_works);

	tc = suite_case(suite, "leaving");
	on_each_backend(tc, exit_now_leaves_the_applications_loop);
	on_each_backend(tc, exit_now_that_was_dropped_leaves_the_applications_loop);
	on_each_backend(tc, handle_error_that_raises_leaves_the_applications_loop);
	on_each_backend(tc, predicate_that_raises_leaves_the_applications_loop);
	on_each_backend(tc, error_raised_outside_of_a_pass_is_forgotten_in_the_next);
	on_each_backend(tc, handler_that_raises_closes_its_channel_only);

	tc = suite_case(suite, "always ready");
	on_each_backend(tc, always_ready_channel_is_served_again_and_again);
	on_each_backend(tc, always_ready_channel_does_not_starve_the_application);
	on_each_backend(tc, always_ready_channel_that_wants_nothing_is_left_alone);
}

SUITE_MAIN("attached", add_cases)
