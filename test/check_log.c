/* SPDX-License-Identifier: BSD-3-Clause */

/* check_log.c - log, log_info and repr (log.c). */

#include "support.h"

#include <sys/mman.h>

/* --- what goes to a standard descriptor ------------------------------------------------- */

struct capture {
	int fd;			/* of the stream */
	int saved;		/* what it was */
	int file;		/* what it is meanwhile */
	char text[16384];
};

static void capture_begin(struct capture *c, int fd)
{
	fflush(stdout);
	c->fd = fd;
	c->saved = dup(fd);
	c->file = memfd_create("capture", MFD_CLOEXEC);
	ck_assert_int_ge(c->file, 0);
	ck_assert_int_eq(dup2(c->file, fd), fd);
}

static const char *capture_end(struct capture *c)
{
	ssize_t n;

	fflush(stdout);
	ck_assert_int_eq(dup2(c->saved, c->fd), c->fd);
	close(c->saved);
	n = pread(c->file, c->text, sizeof c->text - 1, 0);
	ck_assert_int_ge(n, 0);
	c->text[n] = '\0';
	close(c->file);
	return c->text;
}

static struct capture capture;

/* Objects that are disposed of only after the test. */
static struct asyncore_dispatcher object;

static void make(const struct asyncore_dispatcher_type *type)
{
	ck_assert_int_eq(asyncore_dispatcher_init(&object, type, -1, NULL), 0);
}

#define assert_logged(stream, call, expected) \
	do { \
		int result_; \
		capture_begin(&capture, (stream)); \
		result_ = (call); \
		ck_assert_str_eq(capture_end(&capture), (expected)); \
		ck_assert_int_eq(result_, 0); \
	} while (0)

START_TEST(log_writes_a_line_to_standard_error)
{
	make(&asyncore_dispatcher_type);
	assert_logged(2, asyncore_log(&object, "GET / 200"), "log: GET / 200\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(log_writes_nothing_to_standard_output)
{
	struct capture error;

	make(&asyncore_dispatcher_type);
	capture_begin(&error, 2);
	assert_logged(1, asyncore_log(&object, "hit"), "");
	ck_assert_str_eq(capture_end(&error), "log: hit\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(log_info_writes_type_and_message_to_standard_output)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "hello", "debug"), "debug: hello\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(log_info_without_a_type_is_info)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "hello", NULL), "info: hello\n");
	assert_logged(1, asyncore_dispatcher_log_info(&object, "hello", NULL), "info: hello\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(an_empty_message_is_a_line_too)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "", ""), ": \n");
	asyncore_close(&object);
}
END_TEST

START_TEST(a_percent_sign_in_a_message_is_only_a_character)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "100% %s %n", "%d"), "%d: 100% %s %n\n");
	assert_logged(2, asyncore_log(&object, "%s%n"), "log: %s%n\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(warnings_are_left_out_by_default)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "careful", "warning"), "");
	asyncore_close(&object);
}
END_TEST

START_TEST(errors_are_not_left_out)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "broken", "error"), "error: broken\n");
	asyncore_close(&object);
}
END_TEST

static const char *const none[] = { NULL };
static const char *const info_and_debug[] = { "info", "debug", NULL };

static const struct asyncore_dispatcher_type talkative = {
	.base = &asyncore_dispatcher_type,
	.name = "talkative",
	.ignore_log_types = none,
};

static const struct asyncore_dispatcher_type reserved = {
	.base = &talkative,
	.ignore_log_types = info_and_debug,
};

static const struct asyncore_dispatcher_type heir = { .base = &reserved };

START_TEST(an_empty_list_of_ignored_types_leaves_nothing_out)
{
	make(&talkative);
	assert_logged(1, asyncore_log_info(&object, "careful", "warning"), "warning: careful\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(every_type_on_the_list_is_left_out)
{
	make(&reserved);
	assert_logged(1, asyncore_log_info(&object, "a", "info"), "");
	assert_logged(1, asyncore_log_info(&object, "a", NULL), "");
	assert_logged(1, asyncore_log_info(&object, "a", "debug"), "");
	assert_logged(1, asyncore_log_info(&object, "a", "warning"), "warning: a\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(the_list_of_ignored_types_is_inherited)
{
	make(&heir);
	assert_logged(1, asyncore_log_info(&object, "a", "info"), "");
	assert_logged(1, asyncore_log_info(&object, "a", "warning"), "warning: a\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(only_the_whole_type_counts)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_info(&object, "a", "warnings"), "warnings: a\n");
	assert_logged(1, asyncore_log_info(&object, "a", "warn"), "warn: a\n");
	asyncore_close(&object);
}
END_TEST

static void add_streams(Suite *suite)
{
	TCase *tc = suite_case(suite, "streams");

	tcase_add_test(tc, log_writes_a_line_to_standard_error);
	tcase_add_test(tc, log_writes_nothing_to_standard_output);
	tcase_add_test(tc, log_info_writes_type_and_message_to_standard_output);
	tcase_add_test(tc, log_info_without_a_type_is_info);
	tcase_add_test(tc, an_empty_message_is_a_line_too);
	tcase_add_test(tc, a_percent_sign_in_a_message_is_only_a_character);
	tcase_add_test(tc, warnings_are_left_out_by_default);
	tcase_add_test(tc, errors_are_not_left_out);
	tcase_add_test(tc, an_empty_list_of_ignored_types_leaves_nothing_out);
	tcase_add_test(tc, every_type_on_the_list_is_left_out);
	tcase_add_test(tc, the_list_of_ignored_types_is_inherited);
	tcase_add_test(tc, only_the_whole_type_counts);
}

/* --- the default handlers --------------------------------------------------------------- */

static int unhandled_accepted(struct asyncore_dispatcher *d)
{
	return asyncore_dispatcher_handle_accepted(d, -1, NULL, 0);
}

static const struct {
	int (*body)(struct asyncore_dispatcher *);
	const char *line;
} unhandled[] = {
	{ asyncore_dispatcher_handle_read, "warning: unhandled read event\n" },
	{ asyncore_dispatcher_handle_write, "warning: unhandled write event\n" },
	{ asyncore_dispatcher_handle_expt, "warning: unhandled incoming priority event\n" },
	{ asyncore_dispatcher_handle_connect, "warning: unhandled connect event\n" },
	{ asyncore_dispatcher_handle_close, "warning: unhandled close event\n" },
	{ unhandled_accepted, "warning: unhandled accepted event\n" },
};

enum { UNHANDLED = sizeof unhandled / sizeof unhandled[0] };

START_TEST(a_handler_that_nobody_wrote_says_so_in_the_words_of_python)
{
	make(&talkative);
	assert_logged(1, unhandled[_i].body(&object), unhandled[_i].line);
	asyncore_close(&object);
}
END_TEST

START_TEST(a_handler_that_nobody_wrote_is_silent_as_warnings_are_ignored)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, unhandled[_i].body(&object), "");
	asyncore_close(&object);
}
END_TEST

static int log_info_fails(struct asyncore_dispatcher *self, const char *message,
			  const char *type)
{
	(void)self, (void)message, (void)type;
	return -ENOSPC;
}

static int log_fails(struct asyncore_dispatcher *self, const char *message)
{
	(void)self, (void)message;
	return -EDQUOT;
}

static const struct asyncore_dispatcher_type full_disk = {
	.base = &asyncore_dispatcher_type,
	.log = log_fails,
	.log_info = log_info_fails,
};

START_TEST(a_handler_that_nobody_wrote_raises_what_log_info_raises)
{
	make(&full_disk);
	ck_assert_int_eq(unhandled[_i].body(&object), -ENOSPC);
	asyncore_close(&object);
}
END_TEST

static void add_unhandled(Suite *suite)
{
	TCase *tc = suite_case(suite, "unhandled");

	tcase_add_loop_test(tc, a_handler_that_nobody_wrote_says_so_in_the_words_of_python, 0,
			    UNHANDLED);
	tcase_add_loop_test(tc, a_handler_that_nobody_wrote_is_silent_as_warnings_are_ignored, 0,
			    UNHANDLED);
	tcase_add_loop_test(tc, a_handler_that_nobody_wrote_raises_what_log_info_raises, 0,
			    UNHANDLED);
}

/* --- overridden, formatted -------------------------------------------------------------- */

static int keep_hit(struct asyncore_dispatcher *self, const char *message)
{
	return log_info_kept(self, message, "hit");
}

static const struct asyncore_dispatcher_type keeper = {
	.base = &asyncore_dispatcher_type,
	.name = "keeper",
	.log = keep_hit,
	.log_info = log_info_kept,
};

START_TEST(an_overridden_log_gets_the_message)
{
	make(&keeper);
	ck_assert_int_eq(asyncore_log(&object, "a message"), 0);
	ck_assert_str_eq(kept_log, "hit: a message\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(an_overridden_log_info_gets_message_and_type)
{
	make(&keeper);
	ck_assert_int_eq(asyncore_log_info(&object, "a message", "warning"), 0);
	ck_assert_int_eq(asyncore_log_info(&object, "another", NULL), 0);
	ck_assert_str_eq(kept_log, "warning: a message\ninfo: another\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(what_an_override_returns_is_the_result)
{
	make(&full_disk);
	ck_assert_int_eq(asyncore_log(&object, "a"), -EDQUOT);
	ck_assert_int_eq(asyncore_log_info(&object, "a", NULL), -ENOSPC);
	ck_assert_int_eq(asyncore_logf(&object, "%d", 1), -EDQUOT);
	ck_assert_int_eq(asyncore_log_infof(&object, NULL, "%d", 1), -ENOSPC);
	asyncore_close(&object);
}
END_TEST

START_TEST(the_base_bodies_can_be_called_past_an_override)
{
	make(&keeper);
	assert_logged(2, asyncore_dispatcher_log(&object, "up"), "log: up\n");
	assert_logged(1, asyncore_dispatcher_log_info(&object, "up", "info"), "info: up\n");
	ck_assert_str_eq(kept_log, "");
	asyncore_close(&object);
}
END_TEST

START_TEST(logf_formats)
{
	make(&keeper);
	ck_assert_int_eq(asyncore_logf(&object, "%s %d%%", "at", 42), 0);
	ck_assert_str_eq(kept_log, "hit: at 42%\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(log_infof_formats)
{
	make(&keeper);
	ck_assert_int_eq(asyncore_log_infof(&object, "error", "%s %d", "at", 42), 0);
	ck_assert_int_eq(asyncore_log_infof(&object, NULL, "plain"), 0);
	ck_assert_str_eq(kept_log, "error: at 42\ninfo: plain\n");
	asyncore_close(&object);
}
END_TEST

START_TEST(log_infof_leaves_out_the_ignored_types_too)
{
	make(&asyncore_dispatcher_type);
	assert_logged(1, asyncore_log_infof(&object, "warning", "%d", 1), "");
	asyncore_close(&object);
}
END_TEST

/* Lengths about those of any room that the library may have on its stack. */
static const int lengths[] = { 0, 1, 255, 256, 1022, 1023, 1024, 1025, 4095, 4096, 7000 };

enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

START_TEST(a_formatted_message_of_any_length_is_logged_whole)
{
	const int n = lengths[_i];
	char text[8000];

	memset(text, 'm', sizeof text);
	make(&keeper);
	ck_assert_int_eq(asyncore_logf(&object, "%.*s", n, text), 0);
	ck_assert_uint_eq(strlen(kept_log), strlen("hit: \n") + (size_t)n);
	ck_assert_mem_eq(kept_log + strlen("hit: "), text, (size_t)n);
	kept_log[0] = '\0';
	ck_assert_int_eq(asyncore_log_infof(&object, "hit", "%.*s", n, text), 0);
	ck_assert_uint_eq(strlen(kept_log), strlen("hit: \n") + (size_t)n);
	asyncore_close(&object);
}
END_TEST

START_TEST(nothing_cannot_log)
{
	struct asyncore_dispatcher zero = { 0 };

	ck_assert_int_eq(asyncore_log(NULL, "a"), -EINVAL);
	ck_assert_int_eq(asyncore_log(&zero, "a"), -EINVAL);
	ck_assert_int_eq(asyncore_log_info(NULL, "a", "info"), -EINVAL);
	ck_assert_int_eq(asyncore_log_info(&zero, "a", "info"), -EINVAL);
	ck_assert_int_eq(asyncore_logf(NULL, "a"), -EINVAL);
	ck_assert_int_eq(asyncore_log_infof(NULL, "info", "a"), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_log(NULL, "a"), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_log_info(NULL, "a", "info"), -EINVAL);
}
END_TEST

START_TEST(a_message_must_not_be_null)
{
	const char *volatile null = NULL;

	make(&keeper);
	ck_assert_int_eq(asyncore_log(&object, null), -EINVAL);
	ck_assert_int_eq(asyncore_log_info(&object, null, "info"), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_log(&object, null), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_log_info(&object, null, "info"), -EINVAL);
	ck_assert_str_eq(kept_log, "");
	asyncore_close(&object);
}
END_TEST

START_TEST(a_closed_channel_can_log)
{
	make(&keeper);
	asyncore_close(&object);
	ck_assert_int_eq(asyncore_log_info(&object, "late", NULL), 0);
	ck_assert_str_eq(kept_log, "info: late\n");
}
END_TEST

static void add_messages(Suite *suite)
{
	TCase *tc = suite_case(suite, "messages");

	tcase_add_test(tc, an_overridden_log_gets_the_message);
	tcase_add_test(tc, an_overridden_log_info_gets_message_and_type);
	tcase_add_test(tc, what_an_override_returns_is_the_result);
	tcase_add_test(tc, the_base_bodies_can_be_called_past_an_override);
	tcase_add_test(tc, logf_formats);
	tcase_add_test(tc, log_infof_formats);
	tcase_add_test(tc, log_infof_leaves_out_the_ignored_types_too);
	tcase_add_loop_test(tc, a_formatted_message_of_any_length_is_logged_whole, 0, LENGTHS);
	tcase_add_test(tc, nothing_cannot_log);
	tcase_add_test(tc, a_message_must_not_be_null);
	tcase_add_test(tc, a_closed_channel_can_log);
}

/* --- repr ------------------------------------------------------------------------------- */

/* The repr is "<WORDS at ADDRESS>". */
static void assert_repr(struct asyncore_dispatcher *d, const char *words)
{
	char is[512], expected[512];

	snprintf(expected, sizeof expected, "<%s at %p>", words, (void *)d);
	ck_assert_int_eq(asyncore_repr(d, is, sizeof is), (int)strlen(expected));
	ck_assert_str_eq(is, expected);
}

START_TEST(repr_of_a_plain_dispatcher_is_its_class)
{
	make(&asyncore_dispatcher_type);
	assert_repr(&object, "asyncore.dispatcher");
	asyncore_close(&object);
}
END_TEST

START_TEST(repr_of_a_child_without_a_name_is_the_parents)
{
	static const struct asyncore_dispatcher_type nameless = { .base = &talkative };

	make(&nameless);
	assert_repr(&object, "talkative");
	asyncore_close(&object);
}
END_TEST

START_TEST(repr_shows_connected_and_the_address_of_the_peer)
{
	struct probe *p;
	char words[64];
	int fd[2];

	tcp_pair(fd);
	p = probe_new(fd[0], NULL);
	snprintf(words, sizeof words, "probe connected 127.0.0.1:%d",
		 ntohs(((const struct sockaddr_in *)asyncore_addr(&p->dispatcher, NULL))
			       ->sin_port));
	assert_repr(&p->dispatcher, words);
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(repr_of_a_socketpair_is_connected_to_an_empty_name)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	assert_repr(&p->dispatcher, "probe connected ''");
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(repr_of_a_server_is_listening)
{
	struct probe *p = probe_new(-1, NULL);

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	asyncore_bind(&p->dispatcher, "127.0.0.1", 0);
	assert_repr(&p->dispatcher, "probe 127.0.0.1:0");
	asyncore_listen(&p->dispatcher, 1);
	assert_repr(&p->dispatcher, "probe listening 127.0.0.1:0");
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(repr_without_an_address_is_not_listening)
{
	int port, fd = tcp_listener(&port);
	struct probe *p = probe_new(fd, NULL);

	asyncore_set_accepting(&p->dispatcher, true);
	assert_repr(&p->dispatcher, "probe");
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(repr_shows_listening_rather_than_connected)
{
	struct sockaddr_in addr = loopback(80);

	make(&talkative);
	asyncore_set_accepting(&object, true);
	asyncore_set_connected(&object, true);
	assert_repr(&object, "talkative connected");
	asyncore_set_addr(&object, (struct sockaddr *)&addr, sizeof addr);
	assert_repr(&object, "talkative listening 127.0.0.1:80");
	asyncore_close(&object);
}
END_TEST

START_TEST(repr_of_a_closed_channel_keeps_the_address_alone)
{
	struct sockaddr_in addr = loopback(80);

	make(&talkative);
	asyncore_set_connected(&object, true);
	asyncore_set_addr(&object, (struct sockaddr *)&addr, sizeof addr);
	asyncore_close(&object);
	assert_repr(&object, "talkative 127.0.0.1:80");
}
END_TEST

START_TEST(repr_returns_what_it_needs_and_cuts_what_does_not_fit)
{
	char whole[256], cut[256];
	size_t len, size;

	make(&talkative);
	len = (size_t)asyncore_repr(&object, whole, sizeof whole);
	for (size = 1; size <= len + 1; size++) {
		memset(cut, '#', sizeof cut);
		ck_assert_int_eq(asyncore_repr(&object, cut, size), (int)len);
		ck_assert_uint_eq(strlen(cut), size - 1);
		ck_assert_mem_eq(cut, whole, size - 1);
		ck_assert_int_eq(cut[size], '#');
	}
	asyncore_close(&object);
}
END_TEST

START_TEST(repr_into_no_room_tells_the_length)
{
	char whole[256], untouched = '#';

	make(&talkative);
	asyncore_repr(&object, whole, sizeof whole);
	ck_assert_int_eq(asyncore_repr(&object, NULL, 0), (int)strlen(whole));
	ck_assert_int_eq(asyncore_repr(&object, &untouched, 0), (int)strlen(whole));
	ck_assert_int_eq(untouched, '#');
	asyncore_close(&object);
}
END_TEST

START_TEST(repr_of_nothing_is_refused)
{
	struct asyncore_dispatcher zero = { 0 };
	char room[64];

	ck_assert_int_eq(asyncore_repr(NULL, room, sizeof room), -EINVAL);
	ck_assert_int_eq(asyncore_repr(&zero, room, sizeof room), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_repr(NULL, room, sizeof room), -EINVAL);
	make(&talkative);
	ck_assert_int_eq(asyncore_repr(&object, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_repr(&object, NULL, 1), -EINVAL);
	asyncore_close(&object);
}
END_TEST

static int repr_by_name(struct asyncore_dispatcher *self, char *buffer, size_t size)
{
	(void)self;
	return snprintf(buffer, size, "Bob");
}

START_TEST(repr_can_be_overridden_and_called_up)
{
	static const struct asyncore_dispatcher_type bob = {
		.base = &talkative,
		.repr = repr_by_name,
	};
	char room[64];

	make(&bob);
	ck_assert_int_eq(asyncore_repr(&object, room, sizeof room), 3);
	ck_assert_str_eq(room, "Bob");
	ck_assert_int_gt(asyncore_dispatcher_repr(&object, room, sizeof room), 3);
	ck_assert_int_eq(strncmp(room, "<talkative at ", 14), 0);
	asyncore_close(&object);
}
END_TEST

static void add_repr(Suite *suite)
{
	TCase *tc = suite_case(suite, "repr");

	tcase_add_test(tc, repr_of_a_plain_dispatcher_is_its_class);
	tcase_add_test(tc, repr_of_a_child_without_a_name_is_the_parents);
	tcase_add_test(tc, repr_shows_connected_and_the_address_of_the_peer);
	tcase_add_test(tc, repr_of_a_socketpair_is_connected_to_an_empty_name);
	tcase_add_test(tc, repr_of_a_server_is_listening);
	tcase_add_test(tc, repr_without_an_address_is_not_listening);
	tcase_add_test(tc, repr_shows_listening_rather_than_connected);
	tcase_add_test(tc, repr_of_a_closed_channel_keeps_the_address_alone);
	tcase_add_test(tc, repr_returns_what_it_needs_and_cuts_what_does_not_fit);
	tcase_add_test(tc, repr_into_no_room_tells_the_length);
	tcase_add_test(tc, repr_of_nothing_is_refused);
	tcase_add_test(tc, repr_can_be_overridden_and_called_up);
}

static void add_cases(Suite *suite)
{
	add_streams(suite);
	add_unhandled(suite);
	add_messages(suite);
	add_repr(suite);
}

SUITE_MAIN("log", add_cases)
