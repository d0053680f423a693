/* SPDX-License-Identifier: BSD-3-Clause */

/* check_chat_pause.c - pausing the input of an async_chat, and going on. */

#include "support.h"

#include <asynchat.h>

#include <fcntl.h>

/* --- a chat that pauses ------------------------------------------------------------------- */

static struct asker {
	struct async_chat chat;
	int peer;
	int recvs, errors, last_error;
	int (*on_collect)(void);
	int (*on_found)(void);
} asker;

static struct async_chat *const chat = &asker.chat;
static struct asyncore_dispatcher *const d = &asker.chat.dispatcher;

static int asker_collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self;
	trace_call("%.*s ", (int)len, (const char *)data);
	return asker.on_collect != NULL ? asker.on_collect() : 0;
}

static int asker_found(struct async_chat *self)
{
	(void)self;
	trace_call("found ");
	return asker.on_found != NULL ? asker.on_found() : 0;
}

static int asker_recv(struct asyncore_dispatcher *self, void *buffer, size_t len)
{
	asker.recvs++;
	return asyncore_dispatcher_recv(self, buffer, len);
}

static int asker_close(struct asyncore_dispatcher *self)
{
	trace_call("close ");
	return asyncore_close(self);
}

static int asker_error(struct asyncore_dispatcher *self)
{
	asker.errors++;
	asker.last_error = asyncore_error(self)->code;
	return 0;
}

static const struct async_chat_type asker_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "asker",
		.recv = asker_recv,
		.handle_close = asker_close,
		.handle_error = asker_error,
	},
	.collect_incoming_data = asker_collect,
	.found_terminator = asker_found,
};

static void begin(void)
{
	int fd[2];

	unix_pair(fd);
	memset(&asker, 0, sizeof asker);
	ck_assert_int_eq(async_chat_init(chat, &asker_type, fd[0], NULL), 0);
	ck_assert_int_eq(async_chat_set_terminator(chat, "\n", 1), 0);
	asker.peer = fd[1];
	trace_reset();
}

static void end(void)
{
	asyncore_close(d);
	if (asker.peer >= 0)
		close(asker.peer);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	ck_assert_ptr_null(d->channel);
}

static void says(const char *text)
{
	put(asker.peer, text, strlen(text));
	step(NULL);
}

static int pause_it(void)
{
	return async_chat_pause_input(chat);
}

/* --- pausing ------------------------------------------------------------------------------ */

START_TEST(the_rest_of_the_input_waits)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\nthree\nfo");
	ck_assert_str_eq(trace, "one found ");
	ck_assert_int_eq(asyncore_readable(d), 0);
	says("ur\n");
	step2(NULL);
	ck_assert_str_eq(trace, "one found ");
	ck_assert_int_eq(asker.recvs, 1);

	asker.on_found = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "one found two found three found fo ");
	ck_assert_int_eq(asker.recvs, 1);
	ck_assert_int_eq(asyncore_readable(d), 1);
	step(NULL);
	ck_assert_str_eq(trace, "one found two found three found fo ur found ");
	end();
}
END_TEST

START_TEST(every_line_may_pause_again)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\nthree\n");
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "one found two found ");
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "one found two found three found ");
	ck_assert_int_eq(asyncore_readable(d), 0);
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_int_eq(asyncore_readable(d), 1);
	ck_assert_str_eq(trace, "one found two found three found ");
	end();
}
END_TEST

START_TEST(blocks_pause_like_lines)
{
	begin();
	ck_assert_int_eq(async_chat_set_terminator_count(chat, 3), 0);
	asker.on_found = pause_it;
	says("abcdef");
	ck_assert_str_eq(trace, "abc found ");
	ck_assert_int_eq(async_chat_set_terminator_count(chat, 2), 0);
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "abc found de found ");
	end();
}
END_TEST

START_TEST(the_terminator_may_be_another_one_after_the_pause)
{
	begin();
	ck_assert_int_eq(async_chat_set_terminator(chat, "\r\n\r\n", 4), 0);
	asker.on_found = pause_it;
	says("head\r\n\r\nbody\r\n.\r");
	ck_assert_str_eq(trace, "head found ");
	ck_assert_int_eq(async_chat_set_terminator(chat, "\r\n.\r\n", 5), 0);
	asker.on_found = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "head found body ");
	says("\n");
	ck_assert_str_eq(trace, "head found body found ");
	end();
}
END_TEST

START_TEST(what_belongs_to_a_piece_that_is_collected_still_comes)
{
	begin();
	asker.on_collect = pause_it;
	says("one\ntwo\n");
	ck_assert_str_eq(trace, "one found ");
	asker.on_collect = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "one found two found ");
	end();
}
END_TEST

/* --- going on ----------------------------------------------------------------------------- */

START_TEST(going_on_without_a_pause_does_nothing)
{
	begin();
	put(asker.peer, "one\n", 4);
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_int_eq(asker.recvs, 0);
	ck_assert_str_eq(trace, "");
	end();
}
END_TEST

static int pause_and_go_on(void)
{
	ck_assert_int_eq(async_chat_pause_input(chat), 0);
	return async_chat_resume_input(chat);
}

START_TEST(a_callback_may_go_on_at_once)
{
	begin();
	asker.on_found = pause_and_go_on;
	says("one\ntwo\nthree\n");
	ck_assert_str_eq(trace, "one found two found three found ");
	ck_assert_int_eq(asker.recvs, 1);
	end();
}
END_TEST

START_TEST(what_waited_comes_before_the_end_of_the_connection)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\n");
	close(asker.peer);
	asker.peer = -1;
	step(NULL);
	ck_assert_str_eq(trace, "one found ");
	asker.on_found = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "one found two found ");
	step(NULL);
	ck_assert_str_eq(trace, "one found two found close ");
	end();
}
END_TEST

static int raise_eio(void)
{
	return -EIO;
}

START_TEST(an_error_in_what_waited_is_one_of_the_channel)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\nthree\n");
	asker.on_found = raise_eio;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_int_eq(asker.errors, 1);
	ck_assert_int_eq(asker.last_error, -EIO);
	ck_assert_str_eq(trace, "one found two found ");
	end();
}
END_TEST

static int exit_now(void)
{
	return ASYNCORE_EXIT_NOW;
}

START_TEST(exit_now_is_returned)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\nthree\n");
	asker.on_found = exit_now;
	ck_assert_int_eq(async_chat_resume_input(chat), ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(asker.errors, 0);
	end();
}
END_TEST

/* --- at other places ---------------------------------------------------------------------- */

static int pause_the_asker(struct probe *p)
{
	(void)p;
	return async_chat_pause_input(chat);
}

/* Its read event had come already; it must not be lost. */
START_TEST(another_channel_may_pause_it_in_the_same_pass)
{
	struct probe *first;
	int peer;

	first = probe_and_peer(NULL, &peer);
	first->on_read = pause_the_asker;
	begin();
	put(peer, "x", 1);
	says("one\n");
	ck_assert_int_eq(asker.recvs, 0);
	first->on_read = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	step(NULL);
	ck_assert_str_eq(strstr(trace, "one"), "one found ");
	close(peer);
	end();
}
END_TEST

START_TEST(a_pause_lasts_over_close_and_the_rest_of_before_is_gone)
{
	int fd[2];

	begin();
	asker.on_found = pause_it;
	says("one\ntwo\n");
	asyncore_ref(d);
	ck_assert_int_eq(asyncore_close(d), 0);
	close(asker.peer);
	unix_pair(fd);
	asker.peer = fd[1];
	ck_assert_int_eq(asyncore_set_socket(d, fd[0], NULL), 0);
	asyncore_set_connected(d, true);
	says("new\n");
	ck_assert_str_eq(trace, "one found ");
	asker.on_found = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	step(NULL);
	ck_assert_str_eq(strstr(trace, "new"), "new found ");
	asyncore_unref(d);
	end();
}
END_TEST

START_TEST(a_closed_channel_goes_on_with_nothing)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\n");
	asyncore_ref(d);
	ck_assert_int_eq(asyncore_close(d), 0);
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	ck_assert_str_eq(trace, "one found ");
	asyncore_unref(d);
	end();
}
END_TEST

START_TEST(what_waits_may_be_discarded)
{
	begin();
	asker.on_found = pause_it;
	says("one\ntwo\n");
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	asker.on_found = NULL;
	ck_assert_int_eq(async_chat_resume_input(chat), 0);
	says("three\n");
	ck_assert_str_eq(trace, "one found three found ");
	end();
}
END_TEST

START_TEST(no_chat_is_refused)
{
	struct async_chat never;

	memset(&never, 0, sizeof never);
	ck_assert_int_eq(async_chat_pause_input(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_resume_input(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_pause_input(&never), -EINVAL);
	ck_assert_int_eq(async_chat_resume_input(&never), -EINVAL);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "pausing");

	tcase_add_test(tc, the_rest_of_the_input_waits);
	tcase_add_test(tc, every_line_may_pause_again);
	tcase_add_test(tc, blocks_pause_like_lines);
	tcase_add_test(tc, the_terminator_may_be_another_one_after_the_pause);
	tcase_add_test(tc, what_belongs_to_a_piece_that_is_collected_still_comes);

	tc = suite_case(suite, "going on");
	tcase_add_test(tc, going_on_without_a_pause_does_nothing);
	tcase_add_test(tc, a_callback_may_go_on_at_once);
	tcase_add_test(tc, what_waited_comes_before_the_end_of_the_connection);
	tcase_add_test(tc, an_error_in_what_waited_is_one_of_the_channel);
	tcase_add_test(tc, exit_now_is_returned);

	tc = suite_case(suite, "at other places");
	tcase_add_test(tc, another_channel_may_pause_it_in_the_same_pass);
	tcase_add_test(tc, a_pause_lasts_over_close_and_the_rest_of_before_is_gone);
	tcase_add_test(tc, a_closed_channel_goes_on_with_nothing);
	tcase_add_test(tc, what_waits_may_be_discarded);
	tcase_add_test(tc, no_chat_is_refused);
}

SUITE_MAIN("chat_pause", add_cases)
