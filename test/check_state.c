/* SPDX-License-Identifier: BSD-3-Clause */

/* check_state.c - the attributes of a dispatcher (state.c). */

#include "support.h"

/* An object that was initialised, closed and disposed of. */
static struct asyncore_dispatcher disposed(void)
{
	struct asyncore_dispatcher d;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_close(&d), 0);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	ck_assert_ptr_null(d.channel);
	return d;
}

/* --- the flags -------------------------------------------------------------------------- */

static const struct flag {
	bool (*get)(const struct asyncore_dispatcher *);
	int (*set)(struct asyncore_dispatcher *, bool);
	bool survives_close;
} flags[] = {
	{ asyncore_connected, asyncore_set_connected, false },
	{ asyncore_accepting, asyncore_set_accepting, false },
	{ asyncore_connecting, asyncore_set_connecting, false },
	{ asyncore_closing, asyncore_set_closing, true },
	{ asyncore_debug, asyncore_set_debug, true },
};

enum { FLAGS = sizeof flags / sizeof flags[0] };

START_TEST(every_flag_is_false_at_first)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert(!flags[_i].get(&p->dispatcher));
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(a_flag_can_be_set_and_cleared_by_hand)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(flags[_i].set(&p->dispatcher, true), 0);
	ck_assert(flags[_i].get(&p->dispatcher));
	ck_assert_int_eq(flags[_i].set(&p->dispatcher, false), 0);
	ck_assert(!flags[_i].get(&p->dispatcher));
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(setting_a_flag_leaves_the_others_alone)
{
	struct probe *p = probe_new(-1, NULL);
	int other;

	flags[_i].set(&p->dispatcher, true);
	for (other = 0; other < FLAGS; other++)
		ck_assert_int_eq(flags[other].get(&p->dispatcher), other == _i);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(close_clears_the_three_flags_of_the_connection_alone)
{
	struct probe *p = probe_new(-1, NULL);

	flags[_i].set(&p->dispatcher, true);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(flags[_i].get(&p->dispatcher), flags[_i].survives_close);
}
END_TEST

START_TEST(a_flag_can_be_set_on_a_closed_channel)
{
	struct probe *p = probe_new(-1, NULL);

	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(flags[_i].set(&p->dispatcher, true), 0);
	ck_assert(flags[_i].get(&p->dispatcher));
}
END_TEST

START_TEST(the_flags_of_nothing_are_false_and_cannot_be_set)
{
	struct asyncore_dispatcher zero = { 0 }, gone = disposed();

	ck_assert(!flags[_i].get(NULL));
	ck_assert(!flags[_i].get(&zero));
	ck_assert(!flags[_i].get(&gone));
	ck_assert_int_eq(flags[_i].set(NULL, true), -EINVAL);
	ck_assert_int_eq(flags[_i].set(&zero, true), -EINVAL);
	ck_assert_int_eq(flags[_i].set(&gone, true), -EINVAL);
}
END_TEST

/* --- what setting them by hand does ----------------------------------------------------- */

START_TEST(connecting_set_by_hand_lets_the_next_event_report_a_connection)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	p->wants_write = 1;
	asyncore_set_connected(&p->dispatcher, false);
	asyncore_set_connecting(&p->dispatcher, true);
	step(NULL);
	ck_assert_str_eq(trace, "connect 1 write 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(connected_set_by_hand_spares_handle_connect)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	p->wants_write = 1;
	asyncore_set_connecting(&p->dispatcher, true);
	ck_assert(asyncore_connected(&p->dispatcher));
	step(NULL);
	ck_assert_str_eq(trace, "write 1 ");
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(a_channel_that_is_neither_connected_nor_connecting_gets_its_events)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	put(fd[1], "x", 1);
	p = probe_new(fd[0], NULL);
	p->wants_write = 1;
	asyncore_set_connected(&p->dispatcher, false);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	ck_assert(!asyncore_connected(&p->dispatcher));
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

static int write_events;

static int count_write_event(struct asyncore_dispatcher *self)
{
	(void)self;
	return ++write_events;
}

/* Its predicates are the base class's, which are not asked on every pass. */
static const struct asyncore_dispatcher_type always_writable = {
	.base = &asyncore_dispatcher_type,
	.handle_write_event = count_write_event,
};

START_TEST(accepting_set_by_hand_takes_write_interest_away_and_gives_it_back)
{
	static struct asyncore_dispatcher d;	/* lives until it is disposed of */
	int fd[2];

	write_events = 0;
	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &always_writable, fd[0], NULL), 0);
	step(NULL);
	ck_assert_int_eq(write_events, 1);
	asyncore_set_accepting(&d, true);
	step(NULL);
	ck_assert_int_eq(write_events, 1);
	asyncore_set_accepting(&d, false);
	step(NULL);
	ck_assert_int_eq(write_events, 2);
	asyncore_close(&d);
	close(fd[1]);
}
END_TEST

static void add_flags(Suite *suite)
{
	TCase *tc = suite_case(suite, "flags");

	tcase_add_loop_test(tc, every_flag_is_false_at_first, 0, FLAGS);
	tcase_add_loop_test(tc, a_flag_can_be_set_and_cleared_by_hand, 0, FLAGS);
	tcase_add_loop_test(tc, setting_a_flag_leaves_the_others_alone, 0, FLAGS);
	tcase_add_loop_test(tc, close_clears_the_three_flags_of_the_connection_alone, 0, FLAGS);
	tcase_add_loop_test(tc, a_flag_can_be_set_on_a_closed_channel, 0, FLAGS);
	tcase_add_loop_test(tc, the_flags_of_nothing_are_false_and_cannot_be_set, 0, FLAGS);
	tcase_add_test(tc, connecting_set_by_hand_lets_the_next_event_report_a_connection);
	tcase_add_test(tc, connected_set_by_hand_spares_handle_connect);
	tcase_add_test(tc, a_channel_that_is_neither_connected_nor_connecting_gets_its_events);
	tcase_add_test(tc, accepting_set_by_hand_takes_write_interest_away_and_gives_it_back);
}

/* --- descriptor and map ----------------------------------------------------------------- */

START_TEST(a_channel_without_a_descriptor_has_minus_one_for_both)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(fileno_is_that_of_the_map_and_socket_stays_outside_of_it)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), fd[0]);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd[0]);

	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd[0]);

	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), fd[0]);

	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	close(fd[1]);
}
END_TEST

START_TEST(map_is_the_default_one_for_null)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), asyncore_socket_map());
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(map_is_the_one_given_and_stays_after_close)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, map);

	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), map);
	asyncore_close(&p->dispatcher);
	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), map);
	ck_assert_int_eq(asyncore_map_free(map), 0);
}
END_TEST

START_TEST(adding_a_channel_to_another_map_makes_that_one_its_own)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, map), 0);
	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), map);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
}
END_TEST

START_TEST(set_socket_into_another_map_makes_that_one_its_own)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, NULL);
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], map), 0);
	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), map);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
}
END_TEST

START_TEST(map_is_null_after_it_was_freed)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, map);

	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_ptr_null(asyncore_map(&p->dispatcher));
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

START_TEST(nothing_has_no_descriptor_and_no_map)
{
	struct asyncore_dispatcher zero = { 0 }, gone = disposed();

	ck_assert_int_eq(asyncore_fileno(NULL), -1);
	ck_assert_int_eq(asyncore_fileno(&zero), -1);
	ck_assert_int_eq(asyncore_fileno(&gone), -1);
	ck_assert_int_eq(asyncore_socket(NULL), -1);
	ck_assert_int_eq(asyncore_socket(&zero), -1);
	ck_assert_int_eq(asyncore_socket(&gone), -1);
	ck_assert_ptr_null(asyncore_map(NULL));
	ck_assert_ptr_null(asyncore_map(&zero));
	ck_assert_ptr_null(asyncore_map(&gone));
	ck_assert_int_eq(asyncore_touch(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_touch(&gone), -EINVAL);
}
END_TEST

START_TEST(touch_works_on_a_channel_in_any_state)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM), 0);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
}
END_TEST

static void add_descriptor(Suite *suite)
{
	TCase *tc = suite_case(suite, "descriptor and map");

	tcase_add_test(tc, a_channel_without_a_descriptor_has_minus_one_for_both);
	tcase_add_test(tc, fileno_is_that_of_the_map_and_socket_stays_outside_of_it);
	tcase_add_test(tc, map_is_the_default_one_for_null);
	tcase_add_test(tc, map_is_the_one_given_and_stays_after_close);
	tcase_add_test(tc, adding_a_channel_to_another_map_makes_that_one_its_own);
	tcase_add_test(tc, set_socket_into_another_map_makes_that_one_its_own);
	tcase_add_test(tc, map_is_null_after_it_was_freed);
	tcase_add_test(tc, nothing_has_no_descriptor_and_no_map);
	tcase_add_test(tc, touch_works_on_a_channel_in_any_state);
}

/* --- family and type -------------------------------------------------------------------- */

static void assert_family_and_type(struct probe *p, int family, int type)
{
	int f = -1, t = -1;

	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, &f, &t), 0);
	ck_assert_int_eq(f, family);
	ck_assert_int_eq(t, type);
}

static const struct { int family, type; } kinds[] = {
	{ AF_INET, SOCK_STREAM },
	{ AF_INET, SOCK_DGRAM },
	{ AF_INET6, SOCK_STREAM },
	{ AF_INET6, SOCK_DGRAM },
	{ AF_UNIX, SOCK_STREAM },
	{ AF_UNIX, SOCK_DGRAM },
	{ AF_UNIX, SOCK_SEQPACKET },
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

START_TEST(a_created_socket_has_the_family_and_type_asked_for)
{
	struct probe *p = probe_new(-1, NULL);

	if (asyncore_create_socket(&p->dispatcher, kinds[_i].family, kinds[_i].type) == 0)
		assert_family_and_type(p, kinds[_i].family, kinds[_i].type);
	else
		ck_assert_int_eq(kinds[_i].family, AF_INET6);	/* a host without it */
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(a_given_socket_has_the_family_and_type_that_the_kernel_knows)
{
	int fd = socket(kinds[_i].family, kinds[_i].type, 0);
	struct probe *p;

	if (fd < 0)
		return;		/* a host without IPv6 */
	p = probe_new(-1, NULL);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd, NULL), 0);
	assert_family_and_type(p, kinds[_i].family, kinds[_i].type);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(flags_of_socket_are_no_part_of_the_type)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET,
						SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK), 0);
	assert_family_and_type(p, AF_INET, SOCK_STREAM);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(family_and_type_of_a_created_socket_are_known_after_close)
{
	struct probe *p = probe_new(-1, NULL);

	asyncore_create_socket(&p->dispatcher, AF_UNIX, SOCK_DGRAM);
	asyncore_close(&p->dispatcher);
	assert_family_and_type(p, AF_UNIX, SOCK_DGRAM);
}
END_TEST

START_TEST(after_close_those_of_a_given_socket_are_known_if_somebody_had_asked)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	if (_i)
		assert_family_and_type(p, AF_UNIX, SOCK_STREAM);
	asyncore_close(&p->dispatcher);
	if (_i)
		assert_family_and_type(p, AF_UNIX, SOCK_STREAM);
	else
		ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, NULL, NULL), -EBADF);
	close(fd[1]);
}
END_TEST

START_TEST(family_and_type_are_those_of_the_last_socket)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2];

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM);
	asyncore_close(&p->dispatcher);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], NULL), 0);
	assert_family_and_type(p, AF_UNIX, SOCK_STREAM);
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(either_of_family_and_type_may_be_unwanted)
{
	struct probe *p = probe_new(-1, NULL);
	int value = -1;

	asyncore_create_socket(&p->dispatcher, AF_UNIX, SOCK_STREAM);
	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, NULL, NULL), 0);
	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, &value, NULL), 0);
	ck_assert_int_eq(value, AF_UNIX);
	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, NULL, &value), 0);
	ck_assert_int_eq(value, SOCK_STREAM);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(family_and_type_of_what_never_was_a_socket_are_refused)
{
	struct probe *p = probe_new(-1, NULL);
	struct asyncore_dispatcher gone = disposed();
	int family = -1, type = -1;

	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, &family, &type), -EBADF);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, &family, &type), -EBADF);
	ck_assert_int_eq(asyncore_family_and_type(NULL, &family, &type), -EINVAL);
	ck_assert_int_eq(asyncore_family_and_type(&gone, &family, &type), -EINVAL);
	ck_assert_int_eq(family, -1);
	ck_assert_int_eq(type, -1);
}
END_TEST

START_TEST(family_and_type_of_a_file_are_refused)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	ck_assert_int_eq(asyncore_family_and_type(&p->dispatcher, NULL, NULL), -EBADF);
	asyncore_close(&p->dispatcher);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_socket_that_was_refused_leaves_family_and_type_alone)
{
	struct probe *p = probe_new(-1, NULL), *other;
	int fd[2];

	unix_pair(fd);
	other = probe_new(fd[0], NULL);
	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], NULL), -EEXIST);
	assert_family_and_type(p, AF_INET, SOCK_DGRAM);
	asyncore_close(&other->dispatcher);
	close(fd[1]);
}
END_TEST

static void add_family(Suite *suite)
{
	TCase *tc = suite_case(suite, "family and type");

	tcase_add_loop_test(tc, a_created_socket_has_the_family_and_type_asked_for, 0, KINDS);
	tcase_add_loop_test(tc, a_given_socket_has_the_family_and_type_that_the_kernel_knows, 0,
			    KINDS);
	tcase_add_test(tc, flags_of_socket_are_no_part_of_the_type);
	tcase_add_test(tc, family_and_type_of_a_created_socket_are_known_after_close);
	tcase_add_loop_test(tc,
			    after_close_those_of_a_given_socket_are_known_if_somebody_had_asked,
			    0, 2);
	tcase_add_test(tc, family_and_type_are_those_of_the_last_socket);
	tcase_add_test(tc, either_of_family_and_type_may_be_unwanted);
	tcase_add_test(tc, family_and_type_of_what_never_was_a_socket_are_refused);
	tcase_add_test(tc, family_and_type_of_a_file_are_refused);
	tcase_add_test(tc, a_socket_that_was_refused_leaves_family_and_type_alone);
}

static void add_cases(Suite *suite)
{
	add_flags(suite);
	add_descriptor(suite);
	add_family(suite);
}

SUITE_MAIN("state", add_cases)
