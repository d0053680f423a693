/* SPDX-License-Identifier: BSD-3-Clause */

/* check_error.c - raising, reporting and handling errors (error.c). */

#include "support.h"

#include <limits.h>

/* A probe with the default handle_error(), whose log is kept. */
static const struct asyncore_dispatcher_type faulty = {
	.base = &probe_type,
	.name = "faulty",
	.handle_error = asyncore_dispatcher_handle_error,
	.log_info = log_info_kept,
};

/* A probe, and the other end of its socket, from which a byte waits to be read.  It is
 * held until done(), so that a test can look at it after it was closed. */
static struct probe *probe_with_input(const struct asyncore_dispatcher_type *type, int *peer)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	put(fd[1], "x", 1);
	*peer = fd[1];
	p = probe_new_typed(type, fd[0], NULL);
	ck_assert_int_eq(asyncore_ref(&p->dispatcher), 0);
	return p;
}

static void done(struct probe *p, int peer)
{
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
	close(peer);
}

static bool is_closed(const struct probe *p)
{
	return asyncore_socket(&p->dispatcher) < 0;
}

static int raises(struct probe *p)
{
	return -*(int *)p->arg;
}

/* Have the probe's handle_read() return a negative errno without any macro. */
static void let_read_fail(struct probe *p, int *error)
{
	p->arg = error;
	p->on_read = raises;
}

static int stay(struct probe *p)
{
	(void)p;
	return 0;
}

static int swallow_input(struct probe *p)
{
	char byte;

	return asyncore_recv(&p->dispatcher, &byte, 1);
}

/* --- what counts as an error ------------------------------------------------------------ */

START_TEST(a_negative_result_of_a_handler_calls_handle_error)
{
	int peer, error = EIO;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	ck_assert_int_eq(p->last_error, -EIO);
	done(p, peer);
}
END_TEST

START_TEST(again_out_of_handle_read_is_no_error)
{
	int peer, error = EAGAIN;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 ");
	done(p, peer);
}
END_TEST

START_TEST(again_out_of_handle_write_is_no_error)
{
	int peer, error = EAGAIN;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->arg = &error;
	p->on_write = raises;
	p->wants_read = 0;
	p->wants_write = 1;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "write 1 ");
	done(p, peer);
}
END_TEST

START_TEST(again_out_of_handle_connect_is_no_error_and_the_connection_counts)
{
	int peer, error = EAGAIN;
	struct probe *p = probe_with_input(&probe_type, &peer);

	asyncore_set_connected(&p->dispatcher, false);
	asyncore_set_connecting(&p->dispatcher, true);
	p->arg = &error;
	p->on_connect = raises;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "connect 1 read 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p, peer);
}
END_TEST

static int raise_again(struct probe *p)
{
	(void)p;
	return -EAGAIN;
}

START_TEST(again_out_of_handle_error_does_not_leave_the_loop)
{
	int peer, error = EIO;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	p->on_error = raise_again;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	done(p, peer);
}
END_TEST

static int positive(struct probe *p)
{
	(void)p;
	return INT_MAX;
}

static int positive_and_close(struct probe *p, int fd)
{
	(void)p;
	close(fd);
	return INT_MAX;
}

START_TEST(positive_results_of_handlers_are_ignored)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	asyncore_set_connected(&p->dispatcher, false);
	asyncore_set_connecting(&p->dispatcher, true);
	p->on_read = p->on_write = p->on_connect = positive;
	p->wants_write = 1;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "connect 1 read 1 write 1 ");
	done(p, peer);
}
END_TEST

START_TEST(a_positive_result_of_handle_error_is_ignored)
{
	int peer, error = EIO;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	p->on_error = positive;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_int_eq(p->errors, 1);
	done(p, peer);
}
END_TEST

START_TEST(a_positive_result_of_handle_close_is_ignored)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_close = positive;
	shutdown(peer, SHUT_WR);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_int_ge(p->closes, 1);
	ck_assert_int_eq(p->errors, 0);
	done(p, peer);
}
END_TEST

START_TEST(a_positive_result_of_handle_accepted_is_ignored)
{
	int port, listener = tcp_listener(&port), client = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in peer = loopback(port);
	struct probe *p = probe_new(listener, NULL);

	asyncore_set_accepting(&p->dispatcher, true);
	p->on_accepted = positive_and_close;
	ck_assert_int_eq(connect(client, (struct sockaddr *)&peer, sizeof peer), 0);
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	asyncore_close(&p->dispatcher);
	close(client);
}
END_TEST

static int close_and_raise(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return -EIO;
}

START_TEST(handle_error_is_called_although_the_handler_closed_its_channel)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = close_and_raise;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	done(p, peer);
}
END_TEST

START_TEST(an_error_of_one_channel_does_not_touch_the_others)
{
	int peer[3], error = EIO;
	struct probe *before = probe_with_input(&probe_type, &peer[0]);
	struct probe *faulty_one = probe_with_input(&probe_type, &peer[1]);
	struct probe *after = probe_with_input(&probe_type, &peer[2]);

	let_read_fail(faulty_one, &error);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 read 2 error 2 read 3 ");
	ck_assert_uint_eq(after->len, 1);
	ck_assert(asyncore_connected(&before->dispatcher));
	ck_assert(asyncore_connected(&after->dispatcher));
	done(before, peer[0]);
	done(faulty_one, peer[1]);
	done(after, peer[2]);
}
END_TEST

START_TEST(what_handle_error_raises_leaves_the_loop)
{
	int peer, error = EDOM;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	p->on_error = raises;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, -1), -EDOM);
	ck_assert_int_eq(p->errors, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	done(p, peer);
}
END_TEST

START_TEST(what_a_predicate_raises_leaves_the_loop_without_handle_error)
{
	int peer, error = EDOM;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->arg = &error;
	p->on_readable = raises;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, -1), -EDOM);
	ck_assert_str_eq(trace, "");
	p->on_readable = NULL;
	p->on_writable = raises;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, -1), -EDOM);
	ck_assert_str_eq(trace, "");
	done(p, peer);
}
END_TEST

static int exit_now(struct probe *p)
{
	(void)p;
	return ASYNCORE_EXIT_NOW;
}

START_TEST(exit_now_is_no_error)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = exit_now;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, -1), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p, peer);
}
END_TEST

START_TEST(handle_error_may_leave_the_loop)
{
	int peer, error = EIO;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	p->on_error = exit_now;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, -1), ASYNCORE_EXIT_NOW);
	done(p, peer);
}
END_TEST

static void add_counts(Suite *suite)
{
	TCase *tc = suite_case(suite, "what counts");

	tcase_add_test(tc, a_negative_result_of_a_handler_calls_handle_error);
	/* Each in the way of poll() and of poll2(). */
	tcase_add_loop_test(tc, again_out_of_handle_read_is_no_error, 0, 2);
	tcase_add_loop_test(tc, again_out_of_handle_write_is_no_error, 0, 2);
	tcase_add_loop_test(tc, again_out_of_handle_connect_is_no_error_and_the_connection_counts,
			    0, 2);
	tcase_add_loop_test(tc, again_out_of_handle_error_does_not_leave_the_loop, 0, 2);
	tcase_add_loop_test(tc, positive_results_of_handlers_are_ignored, 0, 2);
	tcase_add_loop_test(tc, a_positive_result_of_handle_error_is_ignored, 0, 2);
	tcase_add_loop_test(tc, a_positive_result_of_handle_close_is_ignored, 0, 2);
	tcase_add_loop_test(tc, a_positive_result_of_handle_accepted_is_ignored, 0, 2);
	tcase_add_loop_test(tc, handle_error_is_called_although_the_handler_closed_its_channel,
			    0, 2);
	tcase_add_loop_test(tc, an_error_of_one_channel_does_not_touch_the_others, 0, 2);
	tcase_add_loop_test(tc, what_handle_error_raises_leaves_the_loop, 0, 2);
	tcase_add_loop_test(tc, what_a_predicate_raises_leaves_the_loop_without_handle_error, 0,
			    2);
	tcase_add_loop_test(tc, exit_now_is_no_error, 0, 2);
	tcase_add_loop_test(tc, handle_error_may_leave_the_loop, 0, 2);
}

/* --- disconnects ------------------------------------------------------------------------ */

static const int lost[] = {
	ECONNRESET, ENOTCONN, ESHUTDOWN, ECONNABORTED, EPIPE, EBADF, ETIMEDOUT,
};
static const int not_lost[] = {
	0, EAGAIN, EINPROGRESS, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EINTR, EIO, 9999,
	INT_MAX, -ASYNCORE_EXIT_NOW,
};

enum {
	LOST = sizeof lost / sizeof lost[0],
	NOT_LOST = sizeof not_lost / sizeof not_lost[0],
};

/* FIELD B9: ETIMEDOUT, beyond Python. */
START_TEST(a_lost_connection_is_told_by_its_errno_of_either_sign)
{
	ck_assert(asyncore_disconnected(lost[_i]));
	ck_assert(asyncore_disconnected(-lost[_i]));
}
END_TEST

START_TEST(other_errnos_are_no_lost_connection)
{
	ck_assert(!asyncore_disconnected(not_lost[_i]));
	ck_assert(!asyncore_disconnected(-not_lost[_i]));
}
END_TEST

START_TEST(the_smallest_number_is_no_lost_connection)
{
	ck_assert(!asyncore_disconnected(INT_MIN));
}
END_TEST

START_TEST(poll_gives_a_raised_disconnect_to_handle_error)
{
	int peer, error = lost[_i];
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	done(p, peer);
}
END_TEST

START_TEST(poll2_gives_a_raised_disconnect_to_handle_close)
{
	int peer, error = lost[_i];
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	step2(NULL);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	done(p, peer);
}
END_TEST

START_TEST(poll2_gives_any_other_error_to_handle_error)
{
	int peer, error = ECONNREFUSED;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	step2(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	done(p, peer);
}
END_TEST

/* FIELD B9 */
START_TEST(a_connect_that_timed_out_is_an_error_also_with_poll2)
{
	int peer, error = ETIMEDOUT;
	struct probe *p = probe_with_input(&probe_type, &peer);

	asyncore_set_connected(&p->dispatcher, false);
	asyncore_set_connecting(&p->dispatcher, true);
	p->arg = &error;
	p->on_connect = raises;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "connect 1 error 1 ");
	ck_assert_int_eq(p->last_error, -ETIMEDOUT);
	done(p, peer);
}
END_TEST

START_TEST(after_an_error_poll2_skips_the_other_events_of_the_channel)
{
	int peer, error = EIO;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	p->on_error = stay;
	p->wants_write = 1;
	step2(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	done(p, peer);
}
END_TEST

START_TEST(after_an_error_poll_goes_on_with_the_other_events_of_the_channel)
{
	int peer, error = EIO;
	struct probe *p = probe_with_input(&probe_type, &peer);

	let_read_fail(p, &error);
	p->on_error = stay;
	p->wants_write = 1;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 write 1 ");
	done(p, peer);
}
END_TEST

static void add_disconnects(Suite *suite)
{
	TCase *tc = suite_case(suite, "disconnects");

	tcase_add_loop_test(tc, a_lost_connection_is_told_by_its_errno_of_either_sign, 0, LOST);
	tcase_add_loop_test(tc, other_errnos_are_no_lost_connection, 0, NOT_LOST);
	tcase_add_test(tc, the_smallest_number_is_no_lost_connection);
	tcase_add_loop_test(tc, poll_gives_a_raised_disconnect_to_handle_error, 0, LOST);
	tcase_add_loop_test(tc, poll2_gives_a_raised_disconnect_to_handle_close, 0, LOST);
	tcase_add_test(tc, poll2_gives_any_other_error_to_handle_error);
	tcase_add_loop_test(tc, a_connect_that_timed_out_is_an_error_also_with_poll2, 0, 2);
	tcase_add_test(tc, after_an_error_poll2_skips_the_other_events_of_the_channel);
	tcase_add_test(tc, after_an_error_poll_goes_on_with_the_other_events_of_the_channel);
}

/* --- raising ---------------------------------------------------------------------------- */

/* A raise on a line that is known. */
static int raised_line;

static int innermost(struct asyncore_dispatcher *d)
{
	raised_line = __LINE__ + 1;
	return ASYNCORE_RAISE(d, -EPROTO);
}

static int in_between(struct asyncore_dispatcher *d)
{
	return ASYNCORE_RAISE(d, innermost(d));
}

static int outermost(struct probe *p)
{
	return ASYNCORE_RAISE(&p->dispatcher, in_between(&p->dispatcher));
}

/* The error that a handle_error() saw; the marks are copied. */
static struct asyncore_error seen;
static struct asyncore_mark seen_marks[16];
static char seen_text[256], seen_report[1024];

static int look(struct probe *p)
{
	const struct asyncore_error *error = asyncore_error(&p->dispatcher);

	ck_assert_ptr_nonnull(error);
	seen = *error;
	ck_assert_uint_le(error->count, 16);
	memcpy(seen_marks, error->marks, error->count * sizeof seen_marks[0]);
	snprintf(seen_text, sizeof seen_text, "%s", error->text);
	ck_assert_int_gt(asyncore_compact_traceback(&p->dispatcher, seen_report,
						    sizeof seen_report), 0);
	return asyncore_close(&p->dispatcher);
}

/* One pass in which handle_read() is `read`; what its error looks like is in `seen`. */
static void see_error_of(int (*read)(struct probe *))
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	memset(&seen, 0, sizeof seen);
	p->on_read = read;
	p->on_error = look;
	step(NULL);
	ck_assert_int_eq(p->errors, 1);
	done(p, peer);
}

static int plain_error(struct probe *p)
{
	(void)p;
	return -EPROTO;
}

START_TEST(an_error_without_marks_has_code_text_and_handler)
{
	see_error_of(plain_error);
	ck_assert_int_eq(seen.code, -EPROTO);
	ck_assert_str_eq(seen_text, "Protocol error");
	ck_assert_str_eq(seen.handler, "handle_read_event");
	ck_assert_uint_eq(seen.count, 0);
}
END_TEST

START_TEST(raise_has_the_value_of_its_code)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(ASYNCORE_RAISE(&p->dispatcher, -EIO), -EIO);
	ck_assert_int_eq(ASYNCORE_RAISEF(&p->dispatcher, -EIO, "%d", 1), -EIO);
	ck_assert_int_eq(ASYNCORE_RAISE(NULL, -EIO), -EIO);
	ck_assert_int_eq(ASYNCORE_RAISEF(NULL, -EIO, "%d", 1), -EIO);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(a_code_that_is_not_negative_records_nothing)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(ASYNCORE_RAISE(&p->dispatcher, 0), 0);
	ck_assert_int_eq(ASYNCORE_RAISE(&p->dispatcher, 5), 5);
	ck_assert_int_eq(ASYNCORE_RAISEF(&p->dispatcher, 5, "five"), 5);
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(raise_evaluates_its_code_once)
{
	struct probe *p = probe_new(-1, NULL);
	int code = -5;

	ck_assert_int_eq(ASYNCORE_RAISE(&p->dispatcher, code++), -5);
	ck_assert_int_eq(code, -4);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(marks_accumulate_with_the_innermost_first)
{
	see_error_of(outermost);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_str_eq(seen_marks[0].function, "innermost");
	ck_assert_str_eq(seen_marks[1].function, "in_between");
	ck_assert_str_eq(seen_marks[2].function, "outermost");
	ck_assert_str_eq(seen_marks[0].file, __FILE__);
	ck_assert_int_eq(seen_marks[0].line, raised_line);
	ck_assert_str_eq(seen_text, "Protocol error");
}
END_TEST

static int raise_twelve_times(struct probe *p)
{
	int i;

	for (i = 0; i < 12; i++)
		asyncore_raise(&p->dispatcher, -EPROTO, "file", "function", i);
	return -EPROTO;
}

START_TEST(marks_beyond_the_eighth_are_dropped)
{
	see_error_of(raise_twelve_times);
	ck_assert_uint_eq(seen.count, 8);
	ck_assert_int_eq(seen_marks[0].line, 0);
	ck_assert_int_eq(seen_marks[7].line, 7);
}
END_TEST

static int raise_with_text(struct probe *p)
{
	return ASYNCORE_RAISEF(&p->dispatcher, -EMSGSIZE, "%d bytes in one %s", 70000, "line");
}

static int raise_with_text_and_go_up(struct probe *p)
{
	return ASYNCORE_RAISE(&p->dispatcher, raise_with_text(p));
}

START_TEST(raisef_gives_a_text_of_its_own)
{
	see_error_of(raise_with_text);
	ck_assert_int_eq(seen.code, -EMSGSIZE);
	ck_assert_str_eq(seen_text, "70000 bytes in one line");
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_str_eq(seen_marks[0].function, "raise_with_text");
}
END_TEST

START_TEST(the_text_stays_while_the_error_climbs)
{
	see_error_of(raise_with_text_and_go_up);
	ck_assert_str_eq(seen_text, "70000 bytes in one line");
	ck_assert_uint_eq(seen.count, 2);
}
END_TEST

static int add_text_on_the_way_up(struct probe *p)
{
	int r = raise_with_text(p);

	return ASYNCORE_RAISEF(&p->dispatcher, r, "cannot parse: %s",
			       asyncore_error(&p->dispatcher)->text);
}

START_TEST(a_text_may_be_made_of_the_one_that_it_replaces)
{
	see_error_of(add_text_on_the_way_up);
	ck_assert_str_eq(seen_text, "cannot parse: 70000 bytes in one line");
	ck_assert_uint_eq(seen.count, 2);
}
END_TEST

static int raise_with_long_text(struct probe *p)
{
	char text[301];

	memset(text, 't', 300);
	text[300] = '\0';
	return ASYNCORE_RAISEF(&p->dispatcher, -EIO, "%s", text);
}

START_TEST(a_text_is_cut_after_159_bytes)
{
	see_error_of(raise_with_long_text);
	ck_assert_uint_eq(strlen(seen_text), 159);
	ck_assert_uint_eq(strspn(seen_text, "t"), 159);
}
END_TEST

static int raise_something_else(struct probe *p)
{
	outermost(p);
	return ASYNCORE_RAISE(&p->dispatcher, -ENOSPC);
}

START_TEST(another_code_is_another_error)
{
	see_error_of(raise_something_else);
	ck_assert_int_eq(seen.code, -ENOSPC);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_str_eq(seen_marks[0].function, "raise_something_else");
}
END_TEST

static int raise_one_and_return_another(struct probe *p)
{
	outermost(p);
	return -ENOSPC;
}

START_TEST(what_the_handler_returns_is_the_error)
{
	see_error_of(raise_one_and_return_another);
	ck_assert_int_eq(seen.code, -ENOSPC);
	ck_assert_uint_eq(seen.count, 0);
	ck_assert_str_eq(seen_text, "No space left on device");
}
END_TEST

static int unknown_error(struct probe *p)
{
	(void)p;
	return -9999;
}

START_TEST(an_unknown_errno_has_a_text)
{
	see_error_of(unknown_error);
	ck_assert_int_eq(seen.code, -9999);
	ck_assert_str_eq(seen_text, "Unknown error 9999");
	ck_assert_str_eq(seen_report, "-9999:Unknown error 9999");
}
END_TEST

static int smallest_error(struct probe *p)
{
	return ASYNCORE_RAISE(&p->dispatcher, INT_MIN);
}

START_TEST(the_smallest_number_is_an_unknown_errno)
{
	see_error_of(smallest_error);
	ck_assert_int_eq(seen.code, INT_MIN);
	ck_assert_str_ne(seen_text, "");
}
END_TEST

static void add_raising(Suite *suite)
{
	TCase *tc = suite_case(suite, "raising");

	tcase_add_test(tc, an_error_without_marks_has_code_text_and_handler);
	tcase_add_test(tc, raise_has_the_value_of_its_code);
	tcase_add_test(tc, a_code_that_is_not_negative_records_nothing);
	tcase_add_test(tc, raise_evaluates_its_code_once);
	tcase_add_test(tc, marks_accumulate_with_the_innermost_first);
	tcase_add_test(tc, marks_beyond_the_eighth_are_dropped);
	tcase_add_test(tc, raisef_gives_a_text_of_its_own);
	tcase_add_test(tc, the_text_stays_while_the_error_climbs);
	tcase_add_test(tc, a_text_may_be_made_of_the_one_that_it_replaces);
	tcase_add_test(tc, a_text_is_cut_after_159_bytes);
	tcase_add_test(tc, another_code_is_another_error);
	tcase_add_test(tc, what_the_handler_returns_is_the_error);
	tcase_add_test(tc, an_unknown_errno_has_a_text);
	tcase_add_test(tc, the_smallest_number_is_an_unknown_errno);
}

/* --- how long an error lasts ------------------------------------------------------------ */

START_TEST(there_is_no_error_at_first)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	ck_assert_ptr_null(asyncore_error(NULL));
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(an_error_raised_outside_of_the_loop_can_be_asked_for)
{
	struct probe *p = probe_new(-1, NULL);

	innermost(&p->dispatcher);
	ck_assert_ptr_nonnull(asyncore_error(&p->dispatcher));
	ck_assert_int_eq(asyncore_error(&p->dispatcher)->code, -EPROTO);
	ck_assert_ptr_null(asyncore_error(&p->dispatcher)->handler);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(an_error_that_was_handled_is_gone)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = outermost;
	p->on_error = stay;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_int_eq(p->errors, 1);
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	done(p, peer);
}
END_TEST

static int raise_and_drop(struct probe *p)
{
	innermost(&p->dispatcher);
	return swallow_input(p);
}

START_TEST(an_error_that_a_handler_swallowed_is_gone)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = raise_and_drop;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_int_eq(p->errors, 0);
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	done(p, peer);
}
END_TEST

START_TEST(a_swallowed_error_of_one_handler_leaves_no_marks_for_the_next)
{
	int peer, other_peer;
	struct probe *p = probe_with_input(&probe_type, &peer);
	struct probe *other = probe_with_input(&probe_type, &other_peer);

	p->on_read = raise_and_drop;
	other->on_read = plain_error;	/* of the same code */
	other->on_error = look;
	step(NULL);
	ck_assert_int_eq(other->errors, 1);
	ck_assert_uint_eq(seen.count, 0);
	done(p, peer);
	done(other, other_peer);
}
END_TEST

START_TEST(an_error_swallowed_outside_of_the_loop_leaves_no_marks_for_a_handler)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	innermost(&p->dispatcher);	/* main() does not mind */
	p->on_read = plain_error;	/* of the same code */
	p->on_error = look;
	step(NULL);
	ck_assert_uint_eq(seen.count, 0);
	done(p, peer);
}
END_TEST

START_TEST(a_text_of_an_error_swallowed_outside_of_the_loop_is_not_a_handlers)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	ASYNCORE_RAISEF(&p->dispatcher, -EPROTO, "something else");
	p->on_read = plain_error;
	p->on_error = look;
	step(NULL);
	ck_assert_str_eq(seen_text, "Protocol error");
	done(p, peer);
}
END_TEST

/* In handle_error: let the other channel of the map be served. */
static int serve_others_and_look(struct probe *p)
{
	step(NULL);
	return look(p);
}

static void nested_pass_in_handle_error(int (*read)(struct probe *))
{
	int peer, other_peer;
	struct probe *p = probe_with_input(&probe_type, &peer);
	struct probe *other = probe_with_input(&probe_type, &other_peer);

	p->on_read = read;
	p->on_error = serve_others_and_look;
	step(NULL);
	ck_assert_str_eq(trace, "read 1 error 1 read 2 ");
	ck_assert_int_eq(seen.code, -EPROTO);
	done(p, peer);
	done(other, other_peer);
}

static int error_once(struct probe *p)
{
	p->wants_read = 0;
	return -EPROTO;
}

static int marked_error_once(struct probe *p)
{
	p->wants_read = 0;
	return outermost(p);
}

START_TEST(a_nested_pass_without_errors_leaves_the_error_being_handled)
{
	nested_pass_in_handle_error(error_once);
}
END_TEST

START_TEST(a_nested_pass_without_errors_leaves_the_marks_being_handled)
{
	nested_pass_in_handle_error(marked_error_once);
	ck_assert_uint_eq(seen.count, 3);
}
END_TEST

static int no_error_elsewhere(struct probe *p)
{
	ck_assert_ptr_null(asyncore_error(p->arg));
	return asyncore_close(&p->dispatcher);
}

START_TEST(the_error_of_one_map_is_none_of_another)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *elsewhere = probe_new(-1, map);
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = outermost;
	p->on_error = no_error_elsewhere;
	p->arg = &elsewhere->dispatcher;
	step(NULL);
	ck_assert_int_eq(p->errors, 1);
	asyncore_close(&elsewhere->dispatcher);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	done(p, peer);
}
END_TEST

static void add_lasting(Suite *suite)
{
	TCase *tc = suite_case(suite, "how long an error lasts");

	tcase_add_test(tc, there_is_no_error_at_first);
	tcase_add_test(tc, an_error_raised_outside_of_the_loop_can_be_asked_for);
	tcase_add_loop_test(tc, an_error_that_was_handled_is_gone, 0, 2);
	tcase_add_loop_test(tc, an_error_that_a_handler_swallowed_is_gone, 0, 2);
	tcase_add_test(tc, a_swallowed_error_of_one_handler_leaves_no_marks_for_the_next);
	tcase_add_test(tc, an_error_swallowed_outside_of_the_loop_leaves_no_marks_for_a_handler);
	tcase_add_test(tc, a_text_of_an_error_swallowed_outside_of_the_loop_is_not_a_handlers);
	tcase_add_test(tc, a_nested_pass_without_errors_leaves_the_error_being_handled);
	tcase_add_test(tc, a_nested_pass_without_errors_leaves_the_marks_being_handled);
	tcase_add_test(tc, the_error_of_one_map_is_none_of_another);
}

/* --- the report ------------------------------------------------------------------------- */

START_TEST(compact_traceback_without_marks_is_name_and_text)
{
	see_error_of(plain_error);
	ck_assert_str_eq(seen_report, "EPROTO:Protocol error");
}
END_TEST

static int raise_in_words(struct probe *p)
{
	struct asyncore_dispatcher *d = &p->dispatcher;

	asyncore_raise(d, -ENOENT, "a.c", "inner", 11);
	return asyncore_raise(d, -ENOENT, "b.c", "outer", 22);
}

START_TEST(compact_traceback_has_the_outermost_mark_first_as_python)
{
	see_error_of(raise_in_words);
	ck_assert_str_eq(seen_report,
			 "ENOENT:No such file or directory [b.c|outer|22] [a.c|inner|11]");
}
END_TEST

START_TEST(compact_traceback_shows_the_text_of_raisef)
{
	see_error_of(raise_with_text);
	ck_assert_int_eq(strncmp(seen_report, "EMSGSIZE:70000 bytes in one line [", 34), 0);
}
END_TEST

START_TEST(compact_traceback_cuts_what_does_not_fit)
{
	struct probe *p = probe_new(-1, NULL);
	char whole[256], cut[256];
	size_t len, size;

	raise_in_words(p);
	len = (size_t)asyncore_compact_traceback(&p->dispatcher, whole, sizeof whole);
	ck_assert_uint_eq(len, strlen(whole));
	for (size = 1; size <= len + 1; size++) {
		memset(cut, '#', sizeof cut);
		ck_assert_int_eq(asyncore_compact_traceback(&p->dispatcher, cut, size), (int)len);
		ck_assert_uint_eq(strlen(cut), size - 1);
		ck_assert_mem_eq(cut, whole, size - 1);
		ck_assert_int_eq(cut[size], '#');
	}
	ck_assert_int_eq(asyncore_compact_traceback(&p->dispatcher, NULL, 0), (int)len);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(compact_traceback_of_no_error_is_refused)
{
	struct probe *p = probe_new(-1, NULL);
	char room[64];

	ck_assert_int_eq(asyncore_compact_traceback(&p->dispatcher, room, sizeof room), -ENOENT);
	ck_assert_int_eq(asyncore_compact_traceback(NULL, room, sizeof room), -EINVAL);
	innermost(&p->dispatcher);
	ck_assert_int_eq(asyncore_compact_traceback(&p->dispatcher, NULL, 1), -EINVAL);
	asyncore_close(&p->dispatcher);
}
END_TEST

/* What the default handle_error() logs when handle_read() is `read`. */
static const char *report_of(const struct asyncore_dispatcher_type *type,
			     int (*read)(struct probe *), void **object)
{
	int peer;
	struct probe *p = probe_with_input(type, &peer);

	if (object != NULL)
		*object = p;
	p->on_read = read;
	step(NULL);
	ck_assert(is_closed(p));
	done(p, peer);
	return kept_log;
}

START_TEST(the_default_handle_error_logs_one_line)
{
	char expected[256];
	void *object;
	const char *report = report_of(&faulty, raise_in_words, &object);

	snprintf(expected, sizeof expected,
		 "error: uncaptured exception, closing channel <faulty connected '' at %p> "
		 "(ENOENT:No such file or directory [b.c|outer|22] [a.c|inner|11])\n", object);
	ck_assert_str_eq(report, expected);
}
END_TEST

START_TEST(the_default_handle_error_reports_an_error_without_marks)
{
	char expected[256];
	void *object;
	const char *report = report_of(&faulty, plain_error, &object);

	snprintf(expected, sizeof expected,
		 "error: uncaptured exception, closing channel <faulty connected '' at %p> "
		 "(EPROTO:Protocol error)\n", object);
	ck_assert_str_eq(report, expected);
}
END_TEST

START_TEST(the_report_of_a_channel_that_closed_itself_shows_it_closed)
{
	char expected[256];
	void *object;
	const char *report = report_of(&faulty, close_and_raise, &object);

	snprintf(expected, sizeof expected,
		 "error: uncaptured exception, closing channel <faulty '' at %p> "
		 "(EIO:Input/output error)\n", object);
	ck_assert_str_eq(report, expected);
}
END_TEST

static int repr_fails(struct asyncore_dispatcher *self, char *buffer, size_t size)
{
	(void)self, (void)buffer, (void)size;
	return -EIO;
}

START_TEST(a_repr_that_fails_does_not_hinder_the_report)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &faulty,
		.repr = repr_fails,
	};
	char expected[256];
	void *object;
	const char *report = report_of(&type, plain_error, &object);

	snprintf(expected, sizeof expected,
		 "error: uncaptured exception, closing channel <repr failed for object at %p> "
		 "(EPROTO:Protocol error)\n", object);
	ck_assert_str_eq(report, expected);
}
END_TEST

static int repr_raises(struct asyncore_dispatcher *self, char *buffer, size_t size)
{
	(void)buffer, (void)size;
	return ASYNCORE_RAISE(self, -EIO);
}

/* Python asks sys.exc_info() before it calls repr(). */
START_TEST(a_repr_that_raises_does_not_replace_the_error)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &faulty,
		.repr = repr_raises,
	};
	const char *report = report_of(&type, plain_error, NULL);

	ck_assert_msg(strstr(report, "(EPROTO:Protocol error)\n") != NULL, "%s", report);
}
END_TEST

static int repr_is_long(struct asyncore_dispatcher *self, char *buffer, size_t size)
{
	char text[2001];

	(void)self;
	memset(text, 'r', 2000);
	text[2000] = '\0';
	return snprintf(buffer, size, "%s", text);
}

START_TEST(a_long_repr_does_not_hinder_the_report)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &faulty,
		.repr = repr_is_long,
	};
	const char *report = report_of(&type, plain_error, NULL);

	ck_assert_int_eq(strncmp(report, "error: uncaptured exception, closing channel rrrr", 49),
			 0);
	ck_assert_ptr_nonnull(strstr(report, "rrrr (EPROTO:Protocol error)\n"));
}
END_TEST

static int raise_in_long_names(struct probe *p)
{
	static char name[400];
	int i;

	memset(name, 'n', sizeof name - 1);
	for (i = 0; i < 8; i++)
		asyncore_raise(&p->dispatcher, -EPROTO, name, name, i);
	return -EPROTO;
}

START_TEST(long_marks_are_cut)
{
	const char *report = report_of(&faulty, raise_in_long_names, NULL);

	ck_assert_ptr_nonnull(strstr(report, "(EPROTO:Protocol error [nnnn"));
	ck_assert_str_eq(report + strlen(report) - 2, ")\n");
}
END_TEST

static int log_info_raises(struct asyncore_dispatcher *self, const char *message,
			   const char *type)
{
	(void)self, (void)message, (void)type;
	return -ENOSPC;
}

START_TEST(a_log_info_that_raises_leaves_the_loop_and_the_channel_open)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &faulty,
		.log_info = log_info_raises,
	};
	int peer;
	struct probe *p = probe_with_input(&type, &peer);

	p->on_read = plain_error;
	ck_assert_int_eq(asyncore_poll(0.0, NULL), -ENOSPC);
	ck_assert_int_eq(p->closes, 0);
	done(p, peer);
}
END_TEST

START_TEST(a_handle_error_called_by_hand_without_an_error_says_so)
{
	struct probe *p = probe_new_typed(&faulty, -1, NULL);

	ck_assert_int_eq(asyncore_handle_error(&p->dispatcher), 0);
	ck_assert_msg(strstr(kept_log, "(no error)\n") != NULL, "%s", kept_log);
	ck_assert_int_eq(p->closes, 1);
}
END_TEST

static void add_report(Suite *suite)
{
	TCase *tc = suite_case(suite, "report");

	tcase_add_test(tc, compact_traceback_without_marks_is_name_and_text);
	tcase_add_test(tc, compact_traceback_has_the_outermost_mark_first_as_python);
	tcase_add_test(tc, compact_traceback_shows_the_text_of_raisef);
	tcase_add_test(tc, compact_traceback_cuts_what_does_not_fit);
	tcase_add_test(tc, compact_traceback_of_no_error_is_refused);
	tcase_add_test(tc, the_default_handle_error_logs_one_line);
	tcase_add_test(tc, the_default_handle_error_reports_an_error_without_marks);
	tcase_add_test(tc, the_report_of_a_channel_that_closed_itself_shows_it_closed);
	tcase_add_test(tc, a_repr_that_fails_does_not_hinder_the_report);
	tcase_add_test(tc, a_repr_that_raises_does_not_replace_the_error);
	tcase_add_test(tc, a_long_repr_does_not_hinder_the_report);
	tcase_add_test(tc, long_marks_are_cut);
	tcase_add_test(tc, a_log_info_that_raises_leaves_the_loop_and_the_channel_open);
	tcase_add_test(tc, a_handle_error_called_by_hand_without_an_error_says_so);
}

/* --- handle_error and handle_close ------------------------------------------------------ */

/* FIELD B40 */
START_TEST(the_default_handle_error_calls_handle_close)
{
	int peer;
	struct probe *p = probe_with_input(&faulty, &peer);

	p->on_read = plain_error;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	ck_assert(is_closed(p));
	done(p, peer);
}
END_TEST

/* FIELD B3 */
START_TEST(handle_error_does_not_call_handle_close_a_second_time)
{
	int peer, error = EPROTO;
	struct probe *p = probe_with_input(&faulty, &peer);

	/* The end of the file calls handle_close(), which fails; then handle_error(). */
	p->on_close = raises;
	p->arg = &error;
	swallow_input(p);
	shutdown(peer, SHUT_WR);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	ck_assert_ptr_nonnull(strstr(kept_log, "(EPROTO:"));
	done(p, peer);
}
END_TEST

START_TEST(a_handle_close_that_raises_out_of_handle_error_leaves_the_loop)
{
	int peer, error = EDOM;
	struct probe *p = probe_with_input(&faulty, &peer);

	p->on_read = plain_error;
	p->on_close = raises;
	p->arg = &error;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, -1), -EDOM);
	ck_assert_int_eq(p->closes, 1);
	done(p, peer);
}
END_TEST

static int reconnect(struct probe *p)
{
	int fd[2];

	unix_pair(fd);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], NULL), 0);
	*(int *)p->arg = fd[1];
	return 0;
}

START_TEST(handle_error_may_give_the_channel_another_socket)
{
	int peer, new_peer = -1;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = plain_error;
	p->on_error = reconnect;
	p->arg = &new_peer;
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	p->on_read = NULL;
	put(new_peer, "y", 1);
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_uint_eq(p->len, 1);
	done(p, peer);
	close(new_peer);
}
END_TEST

START_TEST(an_error_outside_of_any_pass_is_handled_by_asyncore_read)
{
	int peer;
	struct probe *p = probe_with_input(&probe_type, &peer);

	p->on_read = outermost;
	p->on_error = look;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_int_eq(seen.code, -EPROTO);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	done(p, peer);
}
END_TEST

static void add_close(Suite *suite)
{
	TCase *tc = suite_case(suite, "handle_error and handle_close");

	tcase_add_loop_test(tc, the_default_handle_error_calls_handle_close, 0, 2);
	tcase_add_loop_test(tc, handle_error_does_not_call_handle_close_a_second_time, 0, 2);
	tcase_add_loop_test(tc, a_handle_close_that_raises_out_of_handle_error_leaves_the_loop, 0,
			    2);
	tcase_add_loop_test(tc, handle_error_may_give_the_channel_another_socket, 0, 2);
	tcase_add_test(tc, an_error_outside_of_any_pass_is_handled_by_asyncore_read);
}

static void add_cases(Suite *suite)
{
	add_counts(suite);
	add_disconnects(suite);
	add_raising(suite);
	add_lasting(suite);
	add_report(suite);
	add_close(suite);
}

SUITE_MAIN("error", add_cases)
