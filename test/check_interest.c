/* SPDX-License-Identifier: BSD-3-Clause */

/* check_interest.c - predicates: when they are asked, and what they may do. */

#include "support.h"

#include <time.h>

#include <event2/event.h>

/* --- helpers ------------------------------------------------------------------------ */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int pass(bool use_poll, struct asyncore_map *map)
{
	return use_poll ? asyncore_poll2(0.0, map) : asyncore_poll(0.0, map);
}

enum { KINDS = 2 };

static void close_map(struct asyncore_map *map)
{
	ck_assert_int_eq(asyncore_close_all(map, false), 0);
}

/* Classes that say when their predicates change.  A flag speaks for the predicates of
 * its own table, so each table has them again. */
static int counted_readable(struct asyncore_dispatcher *d)
{
	return probe_type.base->readable(d);
}

static int counted_writable(struct asyncore_dispatcher *d)
{
	return probe_type.base->writable(d);
}

static const struct asyncore_dispatcher_type touched_type = {
	.base = &probe_plain_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.readable = counted_readable,
	.writable = counted_writable,
};
static const struct asyncore_dispatcher_type stable_type = {
	.base = &probe_plain_type,
	.flags = ASYNCORE_PREDICATES_STABLE,
	.readable = counted_readable,
	.writable = counted_writable,
};

static struct probe *typed(const struct asyncore_dispatcher_type *type,
			   struct asyncore_map *map, int *peer)
{
	int fd[2];

	unix_pair(fd);
	*peer = fd[1];
	return probe_new_typed(type, fd[0], map);
}

/* The numbers of questions so far. */
#define assert_asked(p, times) \
	do { \
		ck_assert_int_eq((p)->readables, (times)); \
		ck_assert_int_eq((p)->writables, (times)); \
	} while (0)

/* --- predicates that may change at any time ----------------------------------------- */

static int trace_readable(struct probe *p)
{
	trace_call("readable %d ", p->id);
	return 0;
}

static int trace_writable(struct probe *p)
{
	trace_call("writable %d ", p->id);
	return 0;
}

START_TEST(overridden_predicates_are_asked_once_a_pass_in_map_order)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++) {
		p[i]->on_readable = trace_readable;
		p[i]->on_writable = trace_writable;
	}
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "readable 1 writable 1 readable 2 writable 2 "
			 "readable 3 writable 3 ");
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 4), 0);
	for (i = 0; i < 3; i++)
		assert_asked(p[i], 5);
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

START_TEST(order_of_asking_is_that_of_adding_and_not_of_descriptors)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		p[i]->on_readable = trace_readable;
	step(NULL);
	trace[0] = '\0';
	asyncore_del_channel(&p[0]->dispatcher, NULL);
	asyncore_add_channel(&p[0]->dispatcher, NULL);
	step(NULL);
	ck_assert_str_eq(trace, "readable 2 readable 3 readable 1 ");
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

START_TEST(predicates_are_asked_once_even_if_the_channel_was_touched)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	step(NULL);
	asyncore_touch(&p->dispatcher);
	asyncore_set_connected(&p->dispatcher, false);
	step(NULL);
	assert_asked(p, 2);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(writable_is_asked_too_when_readable_is_true)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->wants_read = 1;
	step(NULL);
	p->wants_read = 0;
	step(NULL);
	assert_asked(p, 2);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(channel_outside_a_map_is_not_asked)
{
	int peer;
	struct probe *p[2];

	p[0] = probe_and_peer(NULL, &peer);
	p[1] = probe_new(-1, NULL);
	step(NULL);
	assert_asked(p[0], 1);
	assert_asked(p[1], 0);
	asyncore_close(&p[1]->dispatcher);
	close_map(NULL);
	close(peer);
}
END_TEST

/* FIELD B35 */
START_TEST(interest_changed_by_a_handler_counts_from_the_next_pass)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	put(peer, "x", 1);
	p->on_readable = NULL;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 ");
	p->wants_write = 1;
	p->wants_read = 0;
	put(peer, "y", 1);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	p->wants_write = 0;
	p->wants_read = 1;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 write 1 read 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

static int want_writing(struct probe *p)
{
	p->wants_write = 1;
	return asyncore_recv(&p->dispatcher, p->data, 1);
}

/* FIELD B35 */
START_TEST(write_interest_raised_in_handle_read_waits_for_the_next_pass)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = want_writing;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

static int lose_interest(struct probe *p)
{
	p->wants_read = p->wants_write = 0;
	return 0;
}

/* As with select: what fired is delivered, whatever the predicates say by then. */
START_TEST(interest_lost_in_a_handler_does_not_take_back_what_fired)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = lose_interest;
	p->wants_write = 1;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

/* FIELD B14 */
START_TEST(interest_in_neither_hears_of_nothing)
{
	struct asyncore_map *map = backend_map(_i);
	int fd[2], i;
	struct probe *p;

	tcp_pair(fd);
	p = probe_new(fd[0], map);
	p->wants_read = 0;
	put(fd[1], "x", 1);
	reset_on_close(fd[1]);
	close(fd[1]);
	for (i = 0; i < 5; i++) {
		step(map);
		step2(map);
	}
	ck_assert_str_eq(trace, "");
	backend_map_end(map);
}
END_TEST

/* FIELD B34: data waits, and a pass without interest in it lasts its timeout. */
START_TEST(data_that_nobody_wants_does_not_end_a_pass)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer, i;
	struct probe *p = probe_and_peer(map, &peer);
	double start;

	put(peer, "x", 1);
	p->on_read = NULL;
	p->wants_read = 1;
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_int_eq(p->reads, 1);

	put(peer, "x", 1);
	p->wants_read = 0;
	start = now();
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_loop(0.02, _i % 2, map, 1), 0);
	ck_assert_double_ge(now() - start, 0.06);
	ck_assert_int_eq(p->reads, 1);

	p->wants_read = 1;
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_int_eq(p->reads, 2);
	backend_map_end(map);
	close(peer);
}
END_TEST

/* FIELD B34 */
START_TEST(room_that_nobody_wants_does_not_end_a_pass)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer, i;
	struct probe *p = probe_and_peer(map, &peer);
	double start;

	p->wants_write = 1;
	ck_assert_int_eq(pass(_i % 2, map), 0);
	p->wants_write = 0;
	start = now();
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_loop(0.02, _i % 2, map, 1), 0);
	ck_assert_double_ge(now() - start, 0.06);
	ck_assert_int_eq(p->writes, 1);
	backend_map_end(map);
	close(peer);
}
END_TEST

START_TEST(any_positive_answer_is_yes)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->wants_read = 42;
	p->wants_write = 2147483647;
	put(peer, "x", 1);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- accepting ---------------------------------------------------------------------- */

/* Events on the base; what an accepting channel is told does not show it. */
static int registered(void)
{
	return event_base_get_num_events(asyncore_map_base(NULL), EVENT_BASE_COUNT_ADDED);
}

START_TEST(accepting_channel_is_never_registered_for_writing)
{
	int peer, fd[2];
	struct probe *p;

	unix_pair(fd);
	peer = fd[1];
	p = probe_new_typed(&probe_plain_type, fd[0], NULL);

	/* A connected socket is ready for writing, so that it would show. */
	p->wants_write = 1;
	ck_assert_int_eq(asyncore_set_accepting(&p->dispatcher, true), 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(p->writables, 2);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(registered(), 1);
	ck_assert_int_eq(asyncore_set_accepting(&p->dispatcher, false), 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "write 1 ");
	ck_assert_int_eq(registered(), 2);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(accepting_changed_by_hand_counts_for_touched_classes)
{
	int peer;
	struct probe *p = typed(&touched_type, NULL, &peer);

	p->wants_write = 1;
	step(NULL);
	ck_assert_str_eq(trace, "write 1 ");
	asyncore_set_accepting(&p->dispatcher, true);
	step(NULL);
	ck_assert_str_eq(trace, "write 1 ");
	asyncore_set_accepting(&p->dispatcher, false);
	step(NULL);
	ck_assert_str_eq(trace, "write 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- predicates that seldom change -------------------------------------------------- */

START_TEST(touched_predicates_are_asked_once_while_nothing_happens)
{
	int peer;
	struct probe *p = typed(&touched_type, NULL, &peer);

	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 10), 0);
	assert_asked(p, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(touched_predicates_are_not_asked_after_handlers)
{
	int peer, i;
	struct probe *p = typed(&touched_type, NULL, &peer);

	for (i = 0; i < 5; i++) {
		put(peer, "x", 1);
		ck_assert_int_eq(pass(_i, NULL), 0);
	}
	ck_assert_int_eq(p->reads, 5);
	assert_asked(p, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(touch_has_the_predicates_asked_once)
{
	int peer;
	struct probe *p = typed(_i ? &touched_type : &stable_type, NULL, &peer);

	step(NULL);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	step(NULL);
	step(NULL);
	assert_asked(p, 2);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(touch_makes_a_changed_predicate_count)
{
	int peer;
	struct probe *p = typed(&touched_type, NULL, &peer);

	p->wants_read = 0;
	put(peer, "x", 1);
	step(NULL);
	p->wants_read = 1;
	step(NULL);
	ck_assert_int_eq(p->reads, 0);
	asyncore_touch(&p->dispatcher);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

static int touch_arg(struct probe *p)
{
	struct probe *other = p->arg;

	other->wants_write = 1;
	asyncore_touch(&other->dispatcher);
	return asyncore_recv(&p->dispatcher, p->data, 1);
}

START_TEST(touch_in_a_handler_counts_before_the_next_wait)
{
	int peer[2];
	struct probe *p = probe_and_peer(NULL, &peer[0]);
	struct probe *other = typed(&touched_type, NULL, &peer[1]);

	p->on_read = touch_arg;
	p->arg = other;
	put(peer[0], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	assert_asked(other, 1);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, 1), 0);
	assert_asked(other, 2);
	ck_assert_int_eq(other->writes, 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

START_TEST(touch_of_what_is_in_no_map_is_harmless)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2];

	ck_assert_int_eq(asyncore_touch(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], NULL), 0);
	asyncore_ref(&p->dispatcher);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	step(NULL);
	assert_asked(p, 0);
	asyncore_unref(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(stable_predicates_are_asked_once_while_nothing_happens)
{
	int peer;
	struct probe *p = typed(&stable_type, NULL, &peer);

	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 10), 0);
	assert_asked(p, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(stable_predicates_are_asked_after_the_channels_own_handlers)
{
	int peer;
	struct probe *p = typed(&stable_type, NULL, &peer);

	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	assert_asked(p, 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	assert_asked(p, 2);
	ck_assert_int_eq(pass(_i, NULL), 0);
	assert_asked(p, 2);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(stable_predicate_changed_by_its_own_handler_counts)
{
	int peer;
	struct probe *p = typed(&stable_type, NULL, &peer);

	p->on_read = want_writing;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(stable_predicates_are_asked_after_a_handler_that_the_program_called)
{
	int peer;
	struct probe *p = typed(&stable_type, NULL, &peer);

	step(NULL);
	asyncore_handle_write(&p->dispatcher);
	step(NULL);
	assert_asked(p, 2);
	asyncore_readwrite(&p->dispatcher, 0);
	asyncore_write(&p->dispatcher);
	step(NULL);
	assert_asked(p, 3);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(stable_predicates_are_not_asked_after_handlers_of_others)
{
	int peer[2];
	struct probe *p = typed(&stable_type, NULL, &peer[0]);

	probe_and_peer(NULL, &peer[1]);
	put(peer[1], "x", 1);
	step(NULL);
	step(NULL);
	assert_asked(p, 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* handle_error() is a handler, too. */
static int raise_eio(struct probe *p)
{
	(void)p;
	return -EIO;
}

static int stop_reading(struct probe *p)
{
	p->wants_read = 0;
	return 0;
}

START_TEST(stable_predicates_are_asked_after_handle_error)
{
	int peer;
	struct probe *p = typed(&stable_type, NULL, &peer);

	p->on_read = raise_eio;
	p->on_error = stop_reading;
	put(peer, "x", 1);
	step(NULL);
	step(NULL);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

static const struct asyncore_dispatcher_type child_of_stable_type = {
	.base = &stable_type,
	.writable = counted_writable,
};

START_TEST(flags_of_a_parent_do_not_speak_for_the_predicate_of_a_child)
{
	int peer;
	struct probe *p = typed(&child_of_stable_type, NULL, &peer);

	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 5), 0);
	ck_assert_int_eq(p->writables, 5);
	close_map(NULL);
	close(peer);
}
END_TEST

static const struct asyncore_dispatcher_type flagged_child_type = {
	.base = &probe_plain_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.writable = counted_writable,
};

START_TEST(flags_of_a_child_do_not_speak_for_the_predicate_of_a_parent)
{
	int peer;
	struct probe *p = typed(&flagged_child_type, NULL, &peer);

	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 5), 0);
	ck_assert_int_eq(p->readables, 5);
	close_map(NULL);
	close(peer);
}
END_TEST

static const struct asyncore_dispatcher_type grandchild_type = {
	.base = &touched_type,
	.name = "grandchild",
};

START_TEST(inherited_predicate_keeps_the_flags_of_its_table)
{
	int peer;
	struct probe *p = typed(&grandchild_type, NULL, &peer);

	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 5), 0);
	assert_asked(p, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

/* One predicate of each kind: the stricter one decides. */
static const struct asyncore_dispatcher_type mixed_type = {
	.base = &touched_type,
	.flags = ASYNCORE_PREDICATES_STABLE,
	.writable = counted_writable,
};

START_TEST(stable_and_touched_predicates_mix)
{
	int peer;
	struct probe *p = typed(&mixed_type, NULL, &peer);

	step(NULL);
	put(peer, "x", 1);
	step(NULL);
	step(NULL);
	step(NULL);
	ck_assert_int_eq(p->writables, 2);
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- the library's own predicates --------------------------------------------------- */

/* A dispatcher_with_send that counts how often its writable() is asked. */
static int sender_asked, sender_writable;

static int sender_writable_body(struct asyncore_dispatcher *d)
{
	sender_asked++;
	sender_writable = asyncore_dispatcher_with_send_writable(d);
	return sender_writable;
}

static const struct asyncore_dispatcher_type sender_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.writable = sender_writable_body,
};

static void sender_on(struct asyncore_dispatcher_with_send *d, int *peer)
{
	int fd[2], small = 4096;

	unix_pair(fd);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	*peer = fd[1];
	sender_asked = 0;
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(d, &sender_type, fd[0], NULL), 0);
}

START_TEST(dispatcher_with_send_is_not_asked_while_nothing_happens)
{
	struct asyncore_dispatcher_with_send d;
	int peer;

	sender_on(&d, &peer);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 10), 0);
	ck_assert_int_eq(asyncore_send(&d.dispatcher, "x", 1), 1);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 10), 0);
	ck_assert_int_eq(sender_asked, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(dispatcher_with_send_is_asked_when_its_queue_fills_and_empties)
{
	static char data[400000];
	struct asyncore_dispatcher_with_send d;
	char sink[4096];
	int peer, asked, turns = 0;

	sender_on(&d, &peer);
	step(NULL);
	ck_assert_int_eq(asyncore_send(&d.dispatcher, data, sizeof data), sizeof data);
	ck_assert_uint_gt(asyncore_dispatcher_with_send_pending(&d), 0);
	step(NULL);
	ck_assert_int_eq(sender_writable, 1);
	while (asyncore_dispatcher_with_send_pending(&d) > 0 && turns++ < 100000) {
		while (read(peer, sink, sizeof sink) > 0)
			;
		step(NULL);
	}
	ck_assert_uint_eq(asyncore_dispatcher_with_send_pending(&d), 0);
	step(NULL);
	ck_assert_int_eq(sender_writable, 0);
	asked = sender_asked;
	ck_assert_int_eq(asyncore_loop(0.0, false, NULL, 10), 0);
	ck_assert_int_eq(sender_asked, asked);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(connected_set_by_hand_counts_for_dispatcher_with_send)
{
	struct asyncore_dispatcher_with_send d;
	int peer;

	sender_on(&d, &peer);
	step(NULL);
	ck_assert_int_eq(sender_writable, 0);
	asyncore_set_connected(&d.dispatcher, false);
	step(NULL);
	ck_assert_int_eq(sender_writable, 1);
	asyncore_set_connected(&d.dispatcher, true);
	step(NULL);
	ck_assert_int_eq(sender_writable, 0);
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- what predicates may do --------------------------------------------------------- */

static int close_self(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return 1;
}

/* FIELD B10 */
START_TEST(readable_may_close_its_channel)
{
	struct asyncore_map *map = backend_map(_i / 2);
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(map, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	p[1]->on_readable = close_self;
	asyncore_ref(&p[1]->dispatcher);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 read 3 ");
	ck_assert_int_eq(p[1]->writables, 0);
	asyncore_unref(&p[1]->dispatcher);
	backend_map_end(map);
	close_peers(peer, 3);
}
END_TEST

/* FIELD B10 */
START_TEST(writable_may_close_its_channel)
{
	struct asyncore_map *map = backend_map(_i / 2);
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(map, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	p[1]->on_writable = close_self;
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 read 3 ");
	ck_assert_int_eq(probes_disposed, 1);
	backend_map_end(map);
	close_peers(peer, 3);
}
END_TEST

START_TEST(predicate_that_closes_the_last_channel_ends_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	double start = now();

	p->on_readable = close_self;
	ck_assert_int_eq(asyncore_loop(2.0, _i, NULL, -1), 0);
	ck_assert_int_eq(probes_disposed, 1);
	/* There is nothing left to wait for (with a negative timeout: for ever). */
	ck_assert_double_lt(now() - start, 1.9);
	close(peer);
}
END_TEST

static int close_arg(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_close(&other->dispatcher);
	return 1;
}

/* FIELD B10 */
START_TEST(predicate_may_close_a_channel_whose_turn_comes_later)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	p[0]->on_readable = close_arg;
	p[0]->arg = p[1];
	asyncore_ref(&p[1]->dispatcher);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 read 3 ");
	assert_asked(p[1], 0);
	asyncore_unref(&p[1]->dispatcher);
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

/* FIELD B10 */
START_TEST(predicate_may_close_a_channel_that_was_asked_already)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	p[2]->on_readable = close_arg;
	p[2]->arg = p[0];
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 2 read 3 ");
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

static int added_peer[2];

static int add_two(struct probe *p)
{
	int i;

	p->on_readable = NULL;
	for (i = 0; i < 2; i++) {
		probe_and_peer(asyncore_map(&p->dispatcher), &added_peer[i]);
		put(added_peer[i], "x", 1);
	}
	return 1;
}

START_TEST(predicate_may_add_channels)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_readable = add_two;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 2), 0);
	ck_assert_str_eq(trace, "read 2 read 3 ");
	close_map(NULL);
	close_peers(added_peer, 2);
	close(peer);
}
END_TEST

static int reopen(struct probe *p)
{
	p->on_readable = NULL;
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM), 0);
	return 1;
}

START_TEST(predicate_may_close_and_open_its_channel)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_readable = reopen;
	p->wants_write = 1;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 2), 0);
	ck_assert_int_gt(p->writes, 0);
	ck_assert_int_eq(p->reads, 0);
	ck_assert_int_eq(probes_disposed, 0);
	close_map(NULL);
	close(peer);
}
END_TEST

static int poll_inside(struct probe *p)
{
	p->on_readable = NULL;
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
	return 1;
}

START_TEST(predicate_may_run_a_pass)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	p[1]->on_readable = poll_inside;
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 ");
	assert_asked(p[0], 2);
	assert_asked(p[2], 2);
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

static int close_all_inside(struct probe *p)
{
	ck_assert_int_eq(asyncore_close_all(asyncore_map(&p->dispatcher), false), 0);
	return 1;
}

START_TEST(predicate_may_close_all)
{
	struct probe *p[3];
	int peer[3];

	probes_and_peers(NULL, p, peer, 3);
	put(peer[0], "x", 1);
	p[1]->on_writable = close_all_inside;
	ck_assert_int_eq(asyncore_loop(0.01, _i, NULL, -1), 0);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(probes_disposed, 3);
	close_peers(peer, 3);
}
END_TEST

static int remove_self(struct probe *p)
{
	asyncore_del_channel(&p->dispatcher, NULL);
	return 1;
}

START_TEST(predicate_may_take_its_channel_out_of_the_map)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	asyncore_ref(&p[0]->dispatcher);
	p[0]->on_readable = remove_self;
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 2 ");
	ck_assert_int_eq(asyncore_fileno(&p[0]->dispatcher), -1);
	asyncore_unref(&p[0]->dispatcher);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int move_self(struct probe *p)
{
	p->on_readable = NULL;
	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, p->arg), 0);
	return 1;
}

START_TEST(predicate_may_move_its_channel_to_another_map)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_readable = move_self;
	p->arg = map;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "");
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_int_eq(pass(_i, map), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(peer);
}
END_TEST

/* A hundred channels, every third of which closes the two that follow. */
static struct probe *crowd[100];

static int close_followers(struct probe *p)
{
	int i;

	for (i = p->id; i < p->id + 2 && i < 100; i++)
		if (crowd[i] != NULL)
			asyncore_close(&crowd[i]->dispatcher);
	return 1;
}

START_TEST(holes_in_the_order_of_asking_are_closed_again)
{
	int peer[100], i;

	probes_and_peers(NULL, crowd, peer, 100);
	for (i = 0; i < 100; i += 3)
		crowd[i]->on_readable = close_followers;
	step(NULL);
	ck_assert_uint_eq(asyncore_map_size(NULL), 34);
	ck_assert_int_eq(probes_disposed, 66);
	for (i = 0; i < 100; i += 3)
		crowd[i]->on_readable = trace_readable;
	trace[0] = '\0';
	step(NULL);
	ck_assert_int_eq(strncmp(trace, "readable 1 readable 4 readable 7 ", 33), 0);
	for (i = 0; i < 100; i += 3)
		assert_asked(crowd[i], 2);
	close_map(NULL);
	close_peers(peer, 100);
}
END_TEST

START_TEST(predicates_may_be_called_by_anybody)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	ck_assert_int_eq(asyncore_readable(&p->dispatcher), 1);
	ck_assert_int_eq(asyncore_writable(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_readable(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_writable(NULL), -EINVAL);
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "asked on every pass");

	tcase_add_loop_test(tc, overridden_predicates_are_asked_once_a_pass_in_map_order,
			    0, KINDS);
	tcase_add_test(tc, order_of_asking_is_that_of_adding_and_not_of_descriptors);
	tcase_add_test(tc, predicates_are_asked_once_even_if_the_channel_was_touched);
	tcase_add_test(tc, writable_is_asked_too_when_readable_is_true);
	tcase_add_test(tc, channel_outside_a_map_is_not_asked);
	tcase_add_test(tc, interest_changed_by_a_handler_counts_from_the_next_pass);
	tcase_add_loop_test(tc, write_interest_raised_in_handle_read_waits_for_the_next_pass,
			    0, KINDS);
	tcase_add_loop_test(tc, interest_lost_in_a_handler_does_not_take_back_what_fired,
			    0, KINDS);
	tcase_add_loop_test(tc, interest_in_neither_hears_of_nothing, 0, BACKENDS);
	tcase_add_loop_test(tc, data_that_nobody_wants_does_not_end_a_pass, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, room_that_nobody_wants_does_not_end_a_pass, 0, 2 * BACKENDS);
	tcase_add_test(tc, any_positive_answer_is_yes);

	tc = suite_case(suite, "accepting");
	tcase_add_loop_test(tc, accepting_channel_is_never_registered_for_writing, 0, KINDS);
	tcase_add_test(tc, accepting_changed_by_hand_counts_for_touched_classes);

	tc = suite_case(suite, "asked seldom");
	tcase_add_loop_test(tc, touched_predicates_are_asked_once_while_nothing_happens,
			    0, KINDS);
	tcase_add_loop_test(tc, touched_predicates_are_not_asked_after_handlers, 0, KINDS);
	tcase_add_loop_test(tc, touch_has_the_predicates_asked_once, 0, 2);
	tcase_add_test(tc, touch_makes_a_changed_predicate_count);
	tcase_add_loop_test(tc, touch_in_a_handler_counts_before_the_next_wait, 0, KINDS);
	tcase_add_test(tc, touch_of_what_is_in_no_map_is_harmless);
	tcase_add_loop_test(tc, stable_predicates_are_asked_once_while_nothing_happens,
			    0, KINDS);
	tcase_add_loop_test(tc, stable_predicates_are_asked_after_the_channels_own_handlers,
			    0, KINDS);
	tcase_add_loop_test(tc, stable_predicate_changed_by_its_own_handler_counts, 0, KINDS);
	tcase_add_test(tc, stable_predicates_are_asked_after_a_handler_that_the_program_called);
	tcase_add_test(tc, stable_predicates_are_not_asked_after_handlers_of_others);
	tcase_add_test(tc, stable_predicates_are_asked_after_handle_error);
	tcase_add_loop_test(tc, flags_of_a_parent_do_not_speak_for_the_predicate_of_a_child,
			    0, KINDS);
	tcase_add_loop_test(tc, flags_of_a_child_do_not_speak_for_the_predicate_of_a_parent,
			    0, KINDS);
	tcase_add_loop_test(tc, inherited_predicate_keeps_the_flags_of_its_table, 0, KINDS);
	tcase_add_test(tc, stable_and_touched_predicates_mix);
	tcase_add_loop_test(tc, dispatcher_with_send_is_not_asked_while_nothing_happens,
			    0, KINDS);
	tcase_add_test(tc, dispatcher_with_send_is_asked_when_its_queue_fills_and_empties);
	tcase_add_test(tc, connected_set_by_hand_counts_for_dispatcher_with_send);

	tc = suite_case(suite, "what predicates may do");
	tcase_add_loop_test(tc, readable_may_close_its_channel, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, writable_may_close_its_channel, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, predicate_that_closes_the_last_channel_ends_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_close_a_channel_whose_turn_comes_later, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_close_a_channel_that_was_asked_already, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_add_channels, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_close_and_open_its_channel, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_run_a_pass, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_close_all, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_take_its_channel_out_of_the_map, 0, KINDS);
	tcase_add_loop_test(tc, predicate_may_move_its_channel_to_another_map, 0, KINDS);
	tcase_add_test(tc, holes_in_the_order_of_asking_are_closed_again);
	tcase_add_test(tc, predicates_may_be_called_by_anybody);
}

SUITE_MAIN("interest", add_cases)
