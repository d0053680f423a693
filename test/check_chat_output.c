/* SPDX-License-Identifier: BSD-3-Clause */

/* check_chat_output.c - the output of async_chat: the queue, how it is sent, producers. */

#include "support.h"

#include <asynchat.h>

#include <fcntl.h>
#include <signal.h>

/* --- a channel that talks in lines, and counts -------------------------------------------- */

struct talker {
	struct async_chat chat;
	int reads, writes, connects, closes, errors, last_error, sends, initiated, disposes;
	int lines, highs, lows;
	size_t sent[4096];		/* what each send() was given ... */
	const void *given[4096];
	size_t takes;			/* ... and takes of it at most; 0: all */
	int fails;			/* what send() returns instead, once */
	void *arg;
	int (*on_line)(struct talker *);
	int (*on_collect)(struct talker *);
	int (*on_connect)(struct talker *);
	int (*on_close)(struct talker *);
	int (*on_error)(struct talker *);
	int (*on_send)(struct talker *);
	int (*on_limit)(struct talker *, bool reached);
	char line[512];
};

static struct talker the_talker, *const t = &the_talker;
static struct async_chat *const chat = &the_talker.chat;
static struct asyncore_dispatcher *const d = &the_talker.chat.dispatcher;
static int peer;			/* the other end */

static int talker_collect(struct async_chat *self, const void *data, size_t len)
{
	int r = t->on_collect != NULL ? t->on_collect(t) : 0;

	return r < 0 ? r : async_chat_collect_default(self, data, len);
}

static int talker_found(struct async_chat *self)
{
	size_t len;
	char *line = async_chat_get_data(self, &len);

	t->lines++;
	ck_assert_ptr_nonnull(line);
	snprintf(t->line, sizeof t->line, "%s", line);
	if (t->on_line != NULL)
		return t->on_line(t);
	strcat(t->line, "!");
	return async_chat_push(self, t->line, strlen(t->line));
}

static int talker_limit(struct async_chat *self, bool reached)
{
	(void)self;
	*(reached ? &t->highs : &t->lows) += 1;
	return t->on_limit != NULL ? t->on_limit(t, reached) : 0;
}

static int talker_read(struct asyncore_dispatcher *self)
{
	t->reads++;
	return async_chat_handle_read(self);
}

static int talker_write(struct asyncore_dispatcher *self)
{
	t->writes++;
	return async_chat_handle_write(self);
}

static int talker_connect(struct asyncore_dispatcher *self)
{
	(void)self;
	t->connects++;
	return t->on_connect != NULL ? t->on_connect(t) : 0;
}

static int talker_close(struct asyncore_dispatcher *self)
{
	t->closes++;
	return t->on_close != NULL ? t->on_close(t) : asyncore_close(self);
}

static int talker_error(struct asyncore_dispatcher *self)
{
	const struct asyncore_error *error = asyncore_error(self);

	t->errors++;
	t->last_error = error != NULL ? error->code : 0;
	return t->on_error != NULL ? t->on_error(t) : 0;
}

static void talker_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	t->disposes++;
}

/* Its send() is the library's own. */
static const struct async_chat_type plain_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "talker",
		.handle_read = talker_read,
		.handle_write = talker_write,
		.handle_connect = talker_connect,
		.handle_close = talker_close,
		.handle_error = talker_error,
		.log_info = log_info_kept,
		.dispose = talker_dispose,
	},
	.collect_incoming_data = talker_collect,
	.found_terminator = talker_found,
	.output_limit = talker_limit,
};

static int talker_send(struct asyncore_dispatcher *self, const void *data, size_t len)
{
	int r = t->fails;

	if (t->sends < 4096) {
		t->sent[t->sends] = len;
		t->given[t->sends] = data;
	}
	t->sends++;
	t->fails = 0;
	if (r < 0)
		return r;
	if (t->on_send != NULL) {
		r = t->on_send(t);
		if (r != 0)
			return r;
	}
	if (t->takes > 0 && len > t->takes)
		len = t->takes;
	return asyncore_dispatcher_send(self, data, len);
}

/* One that counts the calls of send(). */
static const struct async_chat_type talker_type = {
	.dispatcher = { .base = &plain_type.dispatcher, .send = talker_send },
};

static const struct async_chat_type at_once_type = {
	.dispatcher = { .base = &talker_type.dispatcher, .flags = ASYNC_CHAT_SEND_AT_ONCE },
};

static int talker_initiate_send(struct asyncore_dispatcher *self)
{
	t->initiated++;
	return async_chat_initiate_send(self);
}

/* One that counts those of initiate_send(). */
static const struct async_chat_type initiator_type = {
	.dispatcher = { .base = &talker_type.dispatcher, .initiate_send = talker_initiate_send },
};

/* --- helpers ---------------------------------------------------------------------------- */

static void make_talker(const struct async_chat_type *type, int fd)
{
	memset(t, 0, sizeof *t);
	ck_assert_int_eq(async_chat_init(chat, type, fd, NULL), 0);
	ck_assert_int_eq(async_chat_set_terminator(chat, "\n", 1), 0);
}

static void talker_on_socket(const struct async_chat_type *type, int domain, int kind)
{
	int fd[2];

	if (domain == AF_INET)
		tcp_pair(fd);
	else
		ck_assert_int_eq(socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
				 0);
	peer = fd[1];
	make_talker(type, fd[0]);
}

static void talker_of(const struct async_chat_type *type)
{
	talker_on_socket(type, AF_UNIX, SOCK_STREAM);
}

static void talker(void)
{
	talker_of(&talker_type);
}

static void end(void)
{
	asyncore_close(d);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(t->disposes, 1);
	ck_assert_ptr_null(d->channel);
	if (peer >= 0)
		close(peer);
	peer = -1;
}

static int push(const char *text)
{
	return async_chat_push(chat, text, strlen(text));
}

/* What has arrived now, and nothing else. */
static void expect(const char *text)
{
	char data[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = read(peer, data + len, sizeof data - 1 - len)) > 0)
		len += (size_t)n;
	data[len] = '\0';
	ck_assert_str_eq(data, text);
}

/* The same, and the end of the file behind it. */
static void expect_end(const char *text)
{
	char byte;

	expect(text);
	ck_assert_int_eq(read(peer, &byte, 1), 0);
}

/* One message of a SOCK_SEQPACKET. */
static void expect_message(const char *text)
{
	char data[4096];
	ssize_t n = read(peer, data, sizeof data - 1);

	ck_assert_int_ge(n, 0);
	data[n] = '\0';
	ck_assert_str_eq(data, text);
}

static void say(const char *text)
{
	put(peer, text, strlen(text));
}

static void pass(void)
{
	step(NULL);
}

/* The kernel takes no more of this channel's, until unplug(). */
static size_t plugged;

static void plug(void)
{
	static const char junk[4096];
	ssize_t n;

	plugged = 0;
	while ((n = send(asyncore_socket(d), junk, sizeof junk, MSG_DONTWAIT)) > 0)
		plugged += (size_t)n;
	ck_assert_int_eq(errno, EAGAIN);
}

static void unplug(void)
{
	char *junk = malloc(plugged);

	ck_assert_ptr_nonnull(junk);
	take(peer, junk, plugged);
	free(junk);
}

/* Nothing is sent, not even tried, between these two. */
static void hold_back(void)
{
	ck_assert_int_eq(asyncore_set_connected(d, false), 0);
}

static void let_go(void)
{
	ck_assert_int_eq(asyncore_set_connected(d, true), 0);
}

static size_t entries(void)
{
	return async_chat_output_entries(chat);
}

static size_t bytes(void)
{
	return async_chat_output_bytes(chat);
}

/* Until the queue is empty. */
static void run_empty(void)
{
	int passes = 0;

	while (entries() > 0) {
		ck_assert_int_lt(++passes, 1000);
		pass();
	}
}

/* Byte i of the output, for any i. */
static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 8) * 17 + (i >> 16) * 5);
}

static size_t produced, consumed;

static unsigned char *next_of_pattern(size_t n)
{
	unsigned char *data = malloc(n + 1);
	size_t i;

	ck_assert_ptr_nonnull(data);
	for (i = 0; i < n; i++)
		data[i] = pattern(produced + i);
	produced += n;
	return data;
}

static void produce(size_t n)
{
	unsigned char *data = next_of_pattern(n);

	ck_assert_int_eq(async_chat_push(chat, data, n), 0);
	free(data);
}

static bool consume(size_t n)
{
	unsigned char data[65536];
	ssize_t i, got = read(peer, data, n < sizeof data ? n : sizeof data);

	if (got <= 0)
		return false;
	for (i = 0; i < got; i++)
		if (data[i] != pattern(consumed + (size_t)i))
			ck_abort_msg("byte %zu is wrong", consumed + (size_t)i);
	consumed += (size_t)got;
	return true;
}

static void fresh_pattern(void)
{
	produced = consumed = 0;
}

/* Everything arrives, in pieces of at most n bytes. */
static void consume_all(size_t n, bool use_poll)
{
	int idle = 0;

	while (consumed < produced) {
		if (consume(n))
			idle = 0;
		else
			ck_assert_int_lt(++idle, 1000);
		ck_assert_int_eq(asyncore_loop(idle > 2 ? 0.01 : 0.0, use_poll, NULL, 1), 0);
	}
	ck_assert(!consume(1));
	ck_assert_uint_eq(bytes(), 0);
}

/* --- push --------------------------------------------------------------------------------- */

START_TEST(a_push_is_sent_at_once)
{
	talker();
	ck_assert_int_eq(push("hello"), 0);
	expect("hello");
	ck_assert_int_eq(t->writes, 0);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_uint_eq(bytes(), 0);
	end();
}
END_TEST

START_TEST(pushes_arrive_in_order)
{
	talker();
	push("one ");
	push("two ");
	expect("one two ");
	plug();
	push("three ");
	push("four ");
	unplug();
	run_empty();
	expect("three four ");
	end();
}
END_TEST

START_TEST(a_push_copies)
{
	char data[] = "before";

	talker();
	plug();
	ck_assert_int_eq(async_chat_push(chat, data, 6), 0);
	memcpy(data, "after!", 6);
	unplug();
	pass();
	expect("before");
	end();
}
END_TEST

START_TEST(a_push_takes_any_bytes)
{
	char data[3];

	talker();
	ck_assert_int_eq(async_chat_push(chat, "\0\xff\0", 3), 0);
	take(peer, data, 3);
	ck_assert_mem_eq(data, "\0\xff\0", 3);
	end();
}
END_TEST

/* FIELD.md B20: CPython calls send() with nothing. */
START_TEST(a_push_of_nothing_sends_and_queues_nothing)
{
	talker();
	ck_assert_int_eq(async_chat_push(chat, "", 0), 0);
	ck_assert_int_eq(async_chat_push(chat, NULL, 0), 0);
	ck_assert_int_eq(t->sends, 0);
	ck_assert_uint_eq(entries(), 0);
	pass();
	ck_assert_int_eq(t->writes, 0);
	end();
}
END_TEST

START_TEST(a_push_of_nothing_makes_no_empty_datagram)
{
	char byte;

	talker_on_socket(&plain_type, AF_UNIX, SOCK_DGRAM);
	push("");
	pass();
	ck_assert_int_eq(read(peer, &byte, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	end();
}
END_TEST

START_TEST(a_push_of_nothing_sends_what_waits)
{
	talker();
	plug();
	push("waits");
	unplug();
	push("");
	expect("waits");
	end();
}
END_TEST

START_TEST(a_push_without_a_descriptor_waits)
{
	peer = -1;
	make_talker(&talker_type, -1);
	ck_assert_int_eq(push("hello"), 0);
	ck_assert_uint_eq(bytes(), 5);
	ck_assert_int_eq(t->sends, 0);
	end();
}
END_TEST

START_TEST(a_push_before_the_connect_is_sent_after_it)
{
	int port, listener = tcp_listener(&port);

	make_talker(&talker_type, -1);
	push("early ");
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	push("bird ");
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
	push("catches");
	run_until(t->connects > 0 && entries() == 0, NULL);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(peer, 0);
	expect("early bird catches");
	close(listener);
	end();
}
END_TEST

static int greet(struct talker *self)
{
	ck_assert(!asyncore_connected(d));
	self->lines = 100 + self->sends;
	ck_assert_int_eq(push("greetings"), 0);
	ck_assert_uint_eq(entries(), 1);
	return 0;
}

START_TEST(a_push_from_handle_connect_is_queued_and_not_lost)
{
	int port, listener = tcp_listener(&port);

	make_talker(&talker_type, -1);
	t->on_connect = greet;
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
	run_until(t->connects > 0 && entries() == 0, NULL);
	ck_assert_int_eq(t->lines, 100);
	ck_assert_int_eq(t->connects, 1);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	expect("greetings");
	close(listener);
	end();
}
END_TEST

START_TEST(a_push_after_close_is_sent_after_a_reconnect)
{
	int fd[2];

	talker();
	asyncore_close(d);
	ck_assert_int_eq(push("for "), 0);
	ck_assert_int_eq(push("later"), 0);
	ck_assert_uint_eq(bytes(), 9);
	ck_assert_int_eq(t->sends, 0);
	close(peer);
	unix_pair(fd);
	peer = fd[1];
	ck_assert_int_eq(asyncore_set_socket(d, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_set_connected(d, true), 0);
	pass();
	expect("for later");
	end();
}
END_TEST

START_TEST(output_that_waits_survives_close)
{
	int fd[2];

	talker();
	plug();
	push("kept");
	asyncore_close(d);
	ck_assert_uint_eq(bytes(), 4);
	close(peer);
	unix_pair(fd);
	peer = fd[1];
	asyncore_set_socket(d, fd[0], NULL);
	asyncore_set_connected(d, true);
	pass();
	expect("kept");
	end();
}
END_TEST

static const size_t pieces[] = { 1, 7, 512, 4095, 4096, 4097, 65535, 300000 };
enum { PIECES = sizeof pieces / sizeof pieces[0] };

START_TEST(the_bytes_and_their_order_are_exact_for_any_piece)
{
	int i;

	talker_of(_i % 2 == 0 ? &talker_type : &plain_type);
	fresh_pattern();
	for (i = 0; i < 12; i++)
		produce(pieces[_i]);
	consume_all(5000, false);
	end();
}
END_TEST

START_TEST(a_huge_push_to_a_slow_peer_is_exact)
{
	int small = 65536;

	talker_on_socket(&plain_type, _i & 1 ? AF_INET : AF_UNIX, SOCK_STREAM);
	setsockopt(asyncore_socket(d), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	fresh_pattern();
	produce(3 * 1024 * 1024 + 17);
	ck_assert_uint_gt(bytes(), 2 * 1024 * 1024);
	consume_all(50000, _i & 2);
	end();
}
END_TEST

START_TEST(a_slow_peer_and_many_pushes_are_exact)
{
	int i;

	talker_on_socket(&plain_type, _i & 1 ? AF_INET : AF_UNIX, SOCK_STREAM);
	fresh_pattern();
	for (i = 0; i < 300; i++) {
		produce((size_t)i * 13 % 5000 + 1);
		if (i % 3 == 0)
			consume(3000);
		if (i % 7 == 0)
			ck_assert_int_eq(asyncore_loop(0, _i & 2, NULL, 1), 0);
	}
	consume_all(3000, _i & 2);
	end();
}
END_TEST

START_TEST(short_sends_are_exact)
{
	int i;

	talker();
	t->takes = pieces[_i];
	fresh_pattern();
	for (i = 1; i < 40; i++)
		produce((size_t)i * 3);
	consume_all(100, false);
	end();
}
END_TEST

START_TEST(one_write_event_makes_one_send_of_the_buffer_size)
{
	talker();
	plug();
	fresh_pattern();
	produce(10000);
	unplug();
	t->sends = 0;
	pass();
	ck_assert_int_eq(t->writes, 1);
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(t->sent[0], 4096);
	ck_assert_uint_eq(bytes(), 10000 - 4096);
	pass();
	pass();
	ck_assert_int_eq(t->sends, 3);
	ck_assert_uint_eq(t->sent[2], 10000 - 2 * 4096);
	ck_assert_uint_eq(entries(), 0);
	pass();
	ck_assert_int_eq(t->writes, 3);
	consume_all(10000, false);
	end();
}
END_TEST

START_TEST(one_push_sends_no_more_than_the_buffer_size)
{
	talker();
	fresh_pattern();
	produce(10000);
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(t->sent[0], 4096);
	consume_all(10000, false);
	end();
}
END_TEST

static const struct async_chat_type small_type = {
	.dispatcher = { .base = &talker_type.dispatcher, .ac_out_buffer_size = 100 },
};

START_TEST(a_class_has_its_own_buffer_size)
{
	talker_of(&small_type);
	fresh_pattern();
	produce(250);
	ck_assert_uint_eq(t->sent[0], 100);
	consume_all(250, false);
	ck_assert_int_eq(t->sends, 3);
	end();
}
END_TEST

START_TEST(a_channel_has_its_own_buffer_size)
{
	talker_of(&small_type);
	ck_assert_int_eq(async_chat_set_buffer_sizes(chat, 0, 65536), 0);
	fresh_pattern();
	produce(70000);
	ck_assert_uint_eq(t->sent[0], 65536);
	consume_all(70000, false);
	ck_assert_int_eq(async_chat_set_buffer_sizes(chat, 0, 0), 0);
	t->sends = 0;
	produce(1000);
	ck_assert_uint_eq(t->sent[0], 100);
	consume_all(1000, false);
	end();
}
END_TEST

START_TEST(small_pushes_that_waited_leave_in_one_send)
{
	int i;

	talker();
	plug();
	fresh_pattern();
	for (i = 0; i < 100; i++)
		produce(10);
	unplug();
	t->sends = 0;
	pass();
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(t->sent[0], 1000);
	consume_all(1000, false);
	end();
}
END_TEST

START_TEST(entries_and_bytes_count_what_waits)
{
	size_t waiting;

	talker();
	plug();
	ck_assert_uint_eq(entries(), 0);
	push("12345");
	ck_assert_uint_eq(entries(), 1);
	ck_assert_uint_eq(bytes(), 5);
	push("678");			/* of the same run */
	ck_assert_uint_eq(entries(), 1);
	ck_assert_uint_eq(bytes(), 8);
	async_chat_push_reference(chat, "abcd", 4, NULL, NULL);
	ck_assert_uint_eq(bytes(), 12);
	hold_back();
	waiting = entries();
	async_chat_push_with_producer(chat, async_chat_simple_producer_new("xyz", 3, 0));
	ck_assert_uint_eq(entries(), waiting + 1);
	ck_assert_uint_eq(bytes(), 12);
	async_chat_close_when_done(chat);
	ck_assert_uint_eq(entries(), waiting + 2);
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_uint_eq(bytes(), 0);
	end();
}
END_TEST

START_TEST(the_counts_of_no_chat_are_zero)
{
	ck_assert_uint_eq(async_chat_output_entries(NULL), 0);
	ck_assert_uint_eq(async_chat_output_bytes(NULL), 0);
}
END_TEST

/* FIELD.md B22: in push() itself, as in CPython. */
START_TEST(a_push_to_a_peer_that_is_gone_calls_handle_close)
{
	talker();
	close(peer);
	peer = -1;
	ck_assert_int_eq(push("hello"), 0);
	ck_assert_int_eq(t->closes, 1);
	ck_assert_int_eq(t->errors, 0);
	ck_assert_uint_eq(bytes(), 5);
	end();
}
END_TEST

START_TEST(a_peer_that_resets_in_the_middle_is_closed_once)
{
	talker_on_socket(&plain_type, AF_INET, SOCK_STREAM);
	fresh_pattern();
	produce(8 * 1024 * 1024);
	while (consumed < 100000)
		if (!consume(65536))
			ck_assert_int_eq(asyncore_loop(0, _i, NULL, 1), 0);
	ck_assert_uint_gt(bytes(), 0);
	reset_on_close(peer);
	close(peer);
	peer = -1;
	while (asyncore_map_size(NULL) > 0)
		ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_int_eq(t->closes, 1);
	ck_assert_int_eq(t->errors, 0);
}
END_TEST

START_TEST(a_send_that_fails_calls_handle_error_and_not_the_pusher)
{
	talker();
	t->fails = -EIO;
	ck_assert_int_eq(push("hello"), 0);
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EIO);
	ck_assert_int_eq(t->closes, 0);
	ck_assert_uint_eq(bytes(), 5);
	pass();				/* it is tried again */
	expect("hello");
	end();
}
END_TEST

START_TEST(a_send_that_fails_in_a_write_event_calls_handle_error_once)
{
	talker();
	plug();
	push("hello");
	unplug();
	t->fails = -EIO;
	pass();
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EIO);
	pass();
	expect("hello");
	end();
}
END_TEST

START_TEST(a_send_that_says_eagain_is_no_error)
{
	talker();
	t->fails = -EAGAIN;
	ck_assert_int_eq(push("hello"), 0);
	ck_assert_int_eq(t->errors, 0);
	pass();
	expect("hello");
	end();
}
END_TEST

START_TEST(exit_now_out_of_send_leaves_the_loop)
{
	talker();
	plug();
	push("hello");
	unplug();
	t->fails = ASYNCORE_EXIT_NOW;
	ck_assert_int_eq(asyncore_poll(0, NULL), ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(t->errors, 0);
	pass();
	expect("hello");
	end();
}
END_TEST

static int claim_much(struct talker *self)
{
	self->on_send = NULL;
	return 1000000;
}

/* In CPython it is data[num_sent:] then, which is nothing. */
START_TEST(a_send_that_claims_more_than_it_was_given_takes_no_more)
{
	talker();
	hold_back();
	if (_i == 0)
		push("12345");
	else
		async_chat_push_reference(chat, "12345", 5, NULL, NULL);
	t->on_send = claim_much;
	let_go();
	pass();
	ck_assert_uint_eq(bytes(), 0);
	ck_assert_uint_eq(entries(), 0);
	push("next");
	expect("next");
	end();
}
END_TEST

static int push_from_send(struct talker *self)
{
	char more[20000];

	self->on_send = NULL;
	memset(more, 'm', sizeof more);
	ck_assert_int_eq(async_chat_push(chat, more, sizeof more), 0);
	return 0;
}

/* What send() was given stays good, as a bytes object does. */
START_TEST(an_overridden_send_may_push)
{
	char data[20005];
	size_t i;

	talker();
	t->on_send = push_from_send;
	push("first");
	run_empty();
	take(peer, data, sizeof data);
	ck_assert_mem_eq(data, "first", 5);
	for (i = 5; i < sizeof data; i++)
		if (data[i] != 'm')
			ck_abort_msg("byte %zu is wrong", i);
	end();
}
END_TEST

static int discard_from_send(struct talker *self)
{
	self->on_send = NULL;
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	return 5;
}

START_TEST(an_overridden_send_may_discard_the_output)
{
	talker();
	t->on_send = discard_from_send;
	push("first");
	ck_assert_uint_eq(entries(), 0);
	ck_assert_uint_eq(bytes(), 0);
	push("second");
	expect("second");
	end();
}
END_TEST

static int close_from_send(struct talker *self)
{
	(void)self;
	self->on_send = NULL;
	asyncore_close(d);
	return 4096;
}

static int answer_more(struct talker *self)
{
	(void)self;
	produce(6000);
	return 0;
}

/* Though it says that it sent all that it was given, the flush does not go on. */
START_TEST(an_overridden_send_may_close_while_it_is_flushed)
{
	talker_of(_i == 0 ? &talker_type : &initiator_type);
	fresh_pattern();
	t->on_line = answer_more;
	t->on_send = close_from_send;
	ck_assert_int_eq(asyncore_ref(d), 0);
	say("a\n");
	pass();
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(bytes(), 6000 - 4096);
	ck_assert_int_eq(asyncore_unref(d), 0);
	end();
}
END_TEST

static int close_and_push(struct talker *self)
{
	(void)self;
	asyncore_close(d);
	asyncore_initiate_send(d);
	push("late ");
	return async_chat_handle_write(d);
}

static int discard_and_push(struct talker *self)
{
	(void)self;
	async_chat_discard_buffers(chat);
	push("other");
	return asyncore_close(d);
}

/* FIELD.md B21: "deque index out of range" in the wild. */
START_TEST(handle_close_may_use_the_queue_out_of_a_send)
{
	talker();
	t->on_close = _i == 0 ? close_and_push : discard_and_push;
	close(peer);
	peer = -1;
	ck_assert_int_eq(push("hello"), 0);
	ck_assert_int_eq(t->closes, 1);
	ck_assert_uint_eq(bytes(), _i == 0 ? 10 : 5);
	end();
}
END_TEST

static int initiate_from_send(struct talker *self)
{
	self->on_send = NULL;
	ck_assert_int_eq(asyncore_initiate_send(d), 0);
	ck_assert_int_eq(self->sends, 1);
	return 0;
}

START_TEST(initiate_send_inside_a_send_does_nothing)
{
	talker();
	t->on_send = initiate_from_send;
	push("once");
	expect("once");
	ck_assert_int_eq(t->sends, 1);
	end();
}
END_TEST

START_TEST(initiate_send_sends_one_piece)
{
	talker();
	plug();
	fresh_pattern();
	produce(9000);
	unplug();
	t->sends = 0;
	ck_assert_int_eq(asyncore_initiate_send(d), 0);
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(bytes(), 9000 - 4096);
	consume_all(9000, false);
	end();
}
END_TEST

START_TEST(bad_arguments_of_push_change_nothing)
{
	struct async_chat never = { { NULL, NULL }, NULL };

	talker();
	ck_assert_int_eq(async_chat_push(NULL, "x", 1), -EINVAL);
	ck_assert_int_eq(async_chat_push(&never, "x", 1), -EINVAL);
	ck_assert_int_eq(async_chat_push(chat, NULL, 1), -EINVAL);
	ck_assert_int_eq(async_chat_push(chat, "x", SIZE_MAX / 2), -ENOMEM);
	ck_assert_int_eq(async_chat_set_gathering(NULL, true), -EINVAL);
	ck_assert_int_eq(async_chat_resume(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_close_when_done(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_discard_buffers(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_initiate_send(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_handle_write(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_handle_close(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_writable(NULL), -EINVAL);
	ck_assert_int_eq(async_chat_set_output_limit(NULL, 1, 1), -EINVAL);
	ck_assert_uint_eq(entries(), 0);
	push("fine");
	expect("fine");
	end();
}
END_TEST

/* --- push_reference ------------------------------------------------------------------------ */

static int released;
static const void *released_data;
static size_t released_len;
static int (*on_release)(void);

static void count_release(const void *data, size_t len, void *arg)
{
	released++;
	released_data = data;
	released_len = len;
	ck_assert_ptr_eq(arg, t);
	if (on_release != NULL)
		on_release();
}

static int push_reference(const char *text)
{
	return async_chat_push_reference(chat, text, strlen(text), count_release, t);
}

static void talker_with_references(void)
{
	released = 0;
	on_release = NULL;
	talker();
}

START_TEST(a_reference_is_not_copied)
{
	static const char data[] = "data";

	talker_with_references();
	ck_assert_int_eq(push_reference(data), 0);
	expect("data");
	ck_assert_ptr_eq(t->given[0], data);
	end();
}
END_TEST

START_TEST(a_reference_is_released_when_it_was_sent)
{
	static const char data[] = "data";

	talker_with_references();
	push_reference(data);
	ck_assert_int_eq(released, 1);
	ck_assert_ptr_eq(released_data, data);
	ck_assert_uint_eq(released_len, 4);
	end();
	ck_assert_int_eq(released, 1);
}
END_TEST

START_TEST(a_reference_is_not_released_before_it_was_sent)
{
	talker_with_references();
	plug();
	push_reference("one ");
	ck_assert_int_eq(released, 0);
	pass();
	unplug();
	pass();
	ck_assert_int_eq(released, 1);
	expect("one ");
	end();
}
END_TEST

START_TEST(a_reference_with_others_is_not_released_before_it_was_sent)
{
	talker_with_references();
	plug();
	push_reference("one ");
	push_reference("two ");
	pass();
	ck_assert_int_eq(released, 0);
	unplug();
	run_empty();
	ck_assert_int_eq(released, 2);
	expect("one two ");
	end();
}
END_TEST

START_TEST(a_reference_behind_a_push_is_not_released_before_it_was_sent)
{
	talker_with_references();
	plug();
	push("one ");
	push_reference("two ");
	push("three");
	pass();
	ck_assert_int_eq(released, 0);
	unplug();
	run_empty();
	ck_assert_int_eq(released, 1);
	expect("one two three");
	end();
}
END_TEST

START_TEST(a_reference_that_was_sent_in_part_is_not_released)
{
	talker_with_references();
	t->takes = 2;
	push_reference("12345");
	ck_assert_int_eq(released, 0);
	ck_assert_uint_eq(bytes(), 3);
	pass();
	ck_assert_int_eq(released, 0);
	pass();
	ck_assert_int_eq(released, 1);
	ck_assert_uint_eq(released_len, 5);
	expect("12345");
	end();
}
END_TEST

START_TEST(a_large_reference_is_exact_and_not_copied)
{
	unsigned char *data;
	int i;

	talker_with_references();
	fresh_pattern();
	data = next_of_pattern(1000000);
	ck_assert_int_eq(async_chat_push_reference(chat, data, produced, count_release, t), 0);
	consume_all(60000, false);
	ck_assert_int_eq(released, 1);
	for (i = 0; i < t->sends && i < 4096; i++)
		ck_assert((const unsigned char *)t->given[i] >= data &&
			  (const unsigned char *)t->given[i] < data + produced);
	end();
	free(data);
}
END_TEST

START_TEST(a_reference_is_released_when_it_is_discarded)
{
	talker_with_references();
	plug();
	push_reference("one");
	push_reference("two");
	async_chat_discard_buffers(chat);
	ck_assert_int_eq(released, 2);
	end();
	ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(a_reference_is_kept_by_close_and_released_by_dispose)
{
	talker_with_references();
	asyncore_ref(d);
	plug();
	push_reference("one");
	asyncore_close(d);
	pass();
	ck_assert_int_eq(released, 0);
	asyncore_unref(d);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(released, 1);
	ck_assert_int_eq(t->disposes, 1);
	close(peer);
}
END_TEST

START_TEST(a_reference_of_a_failed_call_is_released)
{
	struct async_chat never = { { NULL, NULL }, NULL };

	talker_with_references();
	ck_assert_int_eq(async_chat_push_reference(NULL, "x", 1, count_release, t), -EINVAL);
	ck_assert_int_eq(released, 1);
	ck_assert_int_eq(async_chat_push_reference(&never, "x", 1, count_release, t), -EINVAL);
	ck_assert_int_eq(released, 2);
	ck_assert_int_eq(async_chat_push_reference(chat, NULL, 1, count_release, t), -EINVAL);
	ck_assert_int_eq(released, 3);
	ck_assert_int_eq(async_chat_push_reference(NULL, "x", 1, NULL, NULL), -EINVAL);
	end();
	ck_assert_int_eq(released, 3);
}
END_TEST

START_TEST(an_empty_reference_is_released_at_once)
{
	talker_with_references();
	ck_assert_int_eq(async_chat_push_reference(chat, NULL, 0, NULL, NULL), 0);
	ck_assert_int_eq(push_reference(""), 0);
	ck_assert_int_eq(released, 1);
	ck_assert_int_eq(t->sends, 0);
	ck_assert_uint_eq(entries(), 0);
	end();
	ck_assert_int_eq(released, 1);
}
END_TEST

START_TEST(a_reference_needs_no_release)
{
	talker_with_references();
	ck_assert_int_eq(async_chat_push_reference(chat, "static", 6, NULL, NULL), 0);
	expect("static");
	plug();
	ck_assert_int_eq(async_chat_push_reference(chat, "static", 6, NULL, NULL), 0);
	end();
}
END_TEST

START_TEST(references_and_pushes_keep_their_order)
{
	int i;

	talker_with_references();
	plug();
	for (i = 0; i < 3; i++) {
		push("p");
		push_reference("r");
		push_reference("s");
	}
	unplug();
	run_empty();
	expect("prsprsprs");
	ck_assert_int_eq(released, 6);
	end();
}
END_TEST

START_TEST(a_peer_that_is_gone_keeps_references_until_the_end)
{
	talker_with_references();
	close(peer);
	peer = -1;
	push_reference("one");
	ck_assert_int_eq(t->closes, 1);
	ck_assert_int_eq(released, 0);
	end();
	ck_assert_int_eq(released, 1);
}
END_TEST

static int push_once_more(void)
{
	on_release = NULL;
	return push_reference("again");
}

static int close_it(void)
{
	return asyncore_close(d);
}

static int discard_it(void)
{
	return async_chat_discard_buffers(chat);
}

START_TEST(a_release_may_push)
{
	talker_with_references();
	on_release = push_once_more;
	push_reference("once ");
	run_empty();
	ck_assert_int_eq(released, 2);
	expect("once again");
	end();
	ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(a_release_may_push_while_it_is_discarded)
{
	talker_with_references();
	plug();
	on_release = push_once_more;
	push_reference("once");
	async_chat_discard_buffers(chat);
	end();
	ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(a_release_may_push_while_the_channel_is_disposed_of)
{
	talker_with_references();
	plug();
	on_release = push_once_more;
	push_reference("once");
	end();
	ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(a_release_may_close)
{
	talker_with_references();
	hold_back();
	push_reference("one ");
	push_reference("two ");
	push("three");
	on_release = close_it;
	let_go();
	while (asyncore_map_size(NULL) > 0)
		pass();
	ck_assert_int_eq(t->closes, 0);
	close(peer);
	ck_assert_int_eq(released, 2);
}
END_TEST

START_TEST(a_release_may_discard_the_rest)
{
	talker_with_references();
	hold_back();
	push("zero ");
	push_reference("one ");
	push_reference("two ");
	push("three");
	on_release = discard_it;
	let_go();
	run_empty();
	ck_assert_uint_eq(bytes(), 0);
	ck_assert_int_eq(released, 2);
	push("more");
	pass();
	end();
	ck_assert_int_eq(released, 2);
}
END_TEST

/* --- writable ------------------------------------------------------------------------------- */

START_TEST(it_is_writable_while_something_waits)
{
	talker();
	ck_assert_int_eq(async_chat_writable(d), 0);
	plug();
	push("x");
	ck_assert_int_gt(async_chat_writable(d), 0);
	unplug();
	pass();
	ck_assert_int_eq(async_chat_writable(d), 0);
	end();
}
END_TEST

START_TEST(it_is_writable_while_it_is_not_connected)
{
	peer = -1;
	make_talker(&talker_type, -1);
	ck_assert_int_gt(async_chat_writable(d), 0);
	end();
}
END_TEST

START_TEST(a_push_by_another_channel_is_sent)
{
	struct probe *p;
	int other;

	talker();
	p = probe_and_peer(NULL, &other);
	pass();
	plug();
	put(other, "x", 1);
	p->on_read = NULL;
	pass();
	push("from outside");
	pass();
	ck_assert_int_eq(t->writes, 0);
	unplug();
	pass();
	ck_assert_int_eq(t->writes, 1);
	expect("from outside");
	asyncore_close(&p->dispatcher);
	close(other);
	end();
}
END_TEST

/* --- gathered output ------------------------------------------------------------------------ */

START_TEST(answers_to_one_read_leave_in_one_send)
{
	talker();
	say("a\nb\nc\n");
	pass();
	ck_assert_int_eq(t->lines, 3);
	ck_assert_int_eq(t->sends, 1);
	ck_assert_int_eq(t->writes, 0);
	expect("a!b!c!");
	end();
}
END_TEST

START_TEST(answers_to_one_read_leave_in_one_system_call)
{
	talker_on_socket(&plain_type, AF_UNIX, SOCK_SEQPACKET);
	say("a\nb\nc\n");
	pass();
	expect_message("a!b!c!");
	say("d\ne\n");
	pass();
	expect_message("d!e!");
	end();
}
END_TEST

START_TEST(a_class_may_send_at_once)
{
	talker_of(&at_once_type);
	say("a\nb\nc\n");
	pass();
	ck_assert_int_eq(t->sends, 3);
	expect("a!b!c!");
	end();
}
END_TEST

START_TEST(a_channel_may_send_at_once)
{
	talker_on_socket(&plain_type, AF_UNIX, SOCK_SEQPACKET);
	ck_assert_int_eq(async_chat_set_gathering(chat, false), 0);
	say("a\nb\n");
	pass();
	expect_message("a!");
	expect_message("b!");
	ck_assert_int_eq(async_chat_set_gathering(chat, true), 0);
	say("c\nd\n");
	pass();
	expect_message("c!d!");
	end();
}
END_TEST

START_TEST(a_channel_of_a_class_that_sends_at_once_may_gather)
{
	talker_of(&at_once_type);
	ck_assert_int_eq(async_chat_set_gathering(chat, true), 0);
	say("a\nb\nc\n");
	pass();
	ck_assert_int_eq(t->sends, 1);
	expect("a!b!c!");
	end();
}
END_TEST

/* For a reference to memory of malloc(3). */
static void free_it(const void *data, size_t len, void *arg)
{
	(void)len;
	ck_assert_ptr_eq(data, arg);
	free(arg);
}

/* A line is a length; answer with so many bytes, in one of four ways. */
static int answer_with_pattern(struct talker *self)
{
	size_t len = (size_t)atoi(self->line);
	unsigned char *data = next_of_pattern(len);

	switch (self->lines % 4) {
	case 0:
		async_chat_push(chat, data, len);
		break;
	case 1:
		return async_chat_push_reference(chat, data, len, free_it, data);
	case 2:
		async_chat_push_with_producer(chat, async_chat_simple_producer_new(data, len, 0));
		break;
	default:
		async_chat_push(chat, data, len / 2);
		async_chat_push(chat, data + len / 2, len - len / 2);
	}
	free(data);
	return 0;
}

START_TEST(the_bytes_are_the_same_whether_gathered_or_not)
{
	char line[16];
	int i;

	talker_of(_i == 1 ? &at_once_type : &talker_type);
	if (_i == 2)
		ck_assert_int_eq(async_chat_set_gathering(chat, false), 0);
	fresh_pattern();
	t->on_line = answer_with_pattern;
	for (i = 0; i < 200; i++) {
		snprintf(line, sizeof line, "%d\n", i * 37 % 900 + 1);
		say(line);
		if (i % 10 == 9) {
			pass();
			consume(3000);
		}
	}
	run_until(t->lines == 200, NULL);
	consume_all(10000, false);
	end();
}
END_TEST

static int push_collected(struct talker *self)
{
	(void)self;
	return push("got;");
}

START_TEST(pushes_from_collect_incoming_data_are_gathered)
{
	talker();
	t->on_collect = push_collected;
	say("a\nb\n");
	pass();
	ck_assert_int_eq(t->sends, 1);
	expect("got;a!got;b!");
	end();
}
END_TEST

static int answer_much(struct talker *self)
{
	(void)self;
	produce(3000);
	return 0;
}

START_TEST(much_gathered_output_leaves_in_the_same_pass)
{
	talker();
	fresh_pattern();
	t->on_line = answer_much;
	say("a\nb\nc\nd\n");
	pass();
	ck_assert_int_eq(t->sends, 3);
	ck_assert_uint_eq(t->sent[0], 4096);
	ck_assert_uint_eq(t->sent[1], 4096);
	ck_assert_uint_eq(t->sent[2], 12000 - 2 * 4096);
	ck_assert_uint_eq(entries(), 0);
	consume_all(65536, false);
	end();
}
END_TEST

START_TEST(a_send_that_falls_short_leaves_the_rest_to_write_events)
{
	talker();
	fresh_pattern();
	t->on_line = answer_much;
	t->takes = 1000;
	say("a\nb\n");
	pass();
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(bytes(), 5000);
	pass();
	ck_assert_int_eq(t->writes, 1);
	ck_assert_int_eq(t->sends, 2);
	consume_all(65536, false);
	end();
}
END_TEST

static int answer_then(struct talker *self)
{
	ck_assert_int_eq(push("gathered "), 0);
	ck_assert_int_eq(self->sends, 0);
	return ((int (*)(void))self->arg)();
}

/* A line is answered with "gathered ", and then `what` is done. */
static void gather_and(int (*what)(void))
{
	talker();
	t->on_line = answer_then;
	t->arg = (void *)what;
	say("x\n");
}

static int send_now(void)
{
	ck_assert_int_eq(asyncore_send(d, "explicit", 8), 8);
	return 0;
}

START_TEST(an_explicit_send_comes_after_what_was_gathered)
{
	gather_and(send_now);
	pass();
	expect("gathered explicit");
	end();
}
END_TEST

static int initiate_now(void)
{
	ck_assert_int_eq(asyncore_initiate_send(d), 0);
	expect("gathered ");
	return push("more");
}

START_TEST(initiate_send_sends_what_was_gathered)
{
	gather_and(initiate_now);
	pass();
	expect("more");
	end();
}
END_TEST

static int write_to_fileno(void)
{
	ck_assert_int_eq(write(asyncore_fileno(d), "by hand", 7), 7);
	return 0;
}

static int write_to_socket(void)
{
	ck_assert_int_eq(write(asyncore_socket(d), "by hand", 7), 7);
	return 0;
}

START_TEST(the_descriptor_is_handed_out_after_what_was_gathered)
{
	gather_and(_i == 0 ? write_to_fileno : write_to_socket);
	pass();
	expect("gathered by hand");
	end();
}
END_TEST

static int leave_map(void)
{
	ck_assert_int_eq(asyncore_del_channel(d, NULL), 0);
	expect("gathered ");
	return 0;
}

START_TEST(del_channel_sends_what_was_gathered)
{
	gather_and(leave_map);
	asyncore_ref(d);
	pass();
	ck_assert_int_eq(t->errors, 0);
	asyncore_close(d);
	asyncore_unref(d);
	end();
}
END_TEST

static struct asyncore_map *another;

static int line_pushed_between_two_maps(struct talker *self)
{
	ck_assert_int_eq(asyncore_del_channel(d, NULL), 0);
	ck_assert_int_eq(push("gathered in no map"), 0);
	ck_assert_int_eq(asyncore_add_channel(d, another), 0);
	self->on_line = NULL;
	return asyncore_close(d);
}

START_TEST(what_was_gathered_moves_to_another_map)
{
	talker();
	/* One that no async_chat was ever in. */
	another = asyncore_map_new(NULL);
	ck_assert_ptr_nonnull(another);
	t->on_line = line_pushed_between_two_maps;
	say("a\n");
	pass();
	expect_end("gathered in no map");
	ck_assert_int_eq(asyncore_map_free(another), 0);
	ck_assert_int_eq(t->disposes, 1);
	end();
}
END_TEST

START_TEST(close_sends_what_was_gathered)
{
	gather_and(close_it);
	pass();
	expect_end("gathered ");
	close(peer);
}
END_TEST

static int answer_much_and_close(struct talker *self)
{
	int i;

	(void)self;
	for (i = 0; i < 20; i++)
		produce(1000);
	return asyncore_close(d);
}

/* As if every push had been sent at once. */
START_TEST(close_sends_all_that_was_gathered)
{
	talker_of(_i == 0 ? &plain_type : _i == 1 ? &talker_type : &initiator_type);
	fresh_pattern();
	t->on_line = answer_much_and_close;
	say("x\n");
	pass();
	while (consume(65536))
		;
	ck_assert_uint_eq(consumed, 20000);
	close(peer);
}
END_TEST

static int exit_now(void)
{
	return ASYNCORE_EXIT_NOW;
}

START_TEST(exit_now_sends_what_was_gathered)
{
	gather_and(exit_now);
	ck_assert_int_eq(asyncore_loop(0, _i, NULL, 5), ASYNCORE_EXIT_NOW);
	expect("gathered ");
	ck_assert_int_eq(t->errors, 0);
	end();
}
END_TEST

static int raise_it(void)
{
	return ASYNCORE_RAISE(d, -EPROTO);
}

START_TEST(an_error_sends_what_was_gathered)
{
	gather_and(raise_it);
	pass();
	expect("gathered ");
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EPROTO);
	end();
}
END_TEST

static int nested_pass(void)
{
	pass();
	expect("gathered ");
	return push("after");
}

START_TEST(a_nested_pass_sends_what_was_gathered)
{
	gather_and(nested_pass);
	pass();
	expect("after");
	end();
}
END_TEST

static int stop_gathering(void)
{
	ck_assert_int_eq(async_chat_set_gathering(chat, false), 0);
	expect("gathered ");
	push("at once");
	expect("at once");
	return 0;
}

START_TEST(set_gathering_sends_what_was_gathered)
{
	gather_and(stop_gathering);
	pass();
	end();
}
END_TEST

static int new_peer;

static int change_socket(void)
{
	int fd[2];

	unix_pair(fd);
	new_peer = fd[1];
	ck_assert_int_eq(asyncore_close(d), 0);
	ck_assert_int_eq(asyncore_set_socket(d, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_set_connected(d, true), 0);
	return push("for the new one");
}

START_TEST(what_was_gathered_goes_to_the_socket_of_that_time)
{
	gather_and(change_socket);
	pass();
	pass();
	expect_end("gathered ");
	close(peer);
	peer = new_peer;
	expect("for the new one");
	end();
}
END_TEST

START_TEST(no_handle_close_comes_out_of_the_middle_of_a_gathered_push)
{
	gather_and(NULL);
	t->on_line = push_collected;
	close(peer);
	peer = -1;
	pass();
	ck_assert_int_eq(t->lines, 1);
	ck_assert_int_eq(t->closes, 1);
	end();
}
END_TEST

static int push_and_look(struct talker *self)
{
	ck_assert_int_eq(push("answer"), 0);
	ck_assert_int_eq(self->closes, 0);
	ck_assert(asyncore_connected(d));
	return 0;
}

START_TEST(all_lines_are_handled_before_a_lost_peer_is_noticed)
{
	talker();
	t->on_line = push_and_look;
	say("a\nb\nc\n");
	close(peer);
	peer = -1;
	pass();
	ck_assert_int_eq(t->lines, 3);
	ck_assert_int_eq(t->closes, 1);
	ck_assert_int_eq(t->errors, 0);
	end();
}
END_TEST

START_TEST(a_failed_flush_calls_handle_error)
{
	talker();
	t->fails = -EIO;
	say("a\nb\n");
	pass();
	ck_assert_int_eq(t->lines, 2);
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EIO);
	pass();
	expect("a!b!");
	end();
}
END_TEST

static int look_at_socket(void)
{
	ck_assert_int_ge(asyncore_socket(d), 0);
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EIO);
	return 0;
}

START_TEST(an_early_flush_that_fails_calls_handle_error)
{
	gather_and(look_at_socket);
	t->fails = -EIO;
	pass();
	ck_assert_int_eq(t->errors, 1);
	end();
}
END_TEST

START_TEST(the_flush_calls_an_overridden_initiate_send)
{
	talker_of(&initiator_type);
	say("a\nb\n");
	pass();
	ck_assert_int_eq(t->initiated, 1);
	ck_assert_int_eq(t->sends, 1);
	expect("a!b!");
	end();
}
END_TEST

static int initiate_in_vain(struct asyncore_dispatcher *self)
{
	(void)self;
	t->initiated++;
	return -EPROTO;
}

START_TEST(an_overridden_initiate_send_that_raises_ends_the_flush)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &talker_type.dispatcher,
			.initiate_send = initiate_in_vain,
		},
	};

	talker_of(&type);
	say("a\nb\n");
	pass();
	ck_assert_int_eq(t->initiated, 1);
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EPROTO);
	ck_assert_uint_eq(bytes(), 4);
	end();
}
END_TEST

START_TEST(a_push_outside_of_the_own_input_is_not_gathered)
{
	talker();
	push("a");
	push("b");
	ck_assert_int_eq(t->sends, 2);
	end();
}
END_TEST

static int push_to_talker(struct probe *p)
{
	(void)p;
	t->sends = 0;
	push("a");
	push("b");
	ck_assert_int_eq(t->sends, 2);
	expect("ab");
	return asyncore_close(&p->dispatcher);
}

START_TEST(a_push_from_another_channels_handler_is_not_gathered)
{
	struct probe *p;
	int other;

	talker();
	p = probe_and_peer(NULL, &other);
	p->on_read = push_to_talker;
	put(other, "x", 1);
	pass();
	ck_assert_int_eq(t->sends, 2);
	close(other);
	end();
}
END_TEST

static int push_and_discard(struct talker *self)
{
	(void)self;
	push("gathered");
	return async_chat_discard_buffers(chat);
}

/* As if it had been sent at once. */
START_TEST(discard_buffers_sends_what_was_gathered)
{
	talker();
	t->on_line = push_and_discard;
	say("x\n");
	pass();
	expect("gathered");
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(bytes(), 0);
	end();
}
END_TEST

START_TEST(a_direct_call_of_handle_read_gathers_and_sends_too)
{
	talker();
	say("a\nb\n");
	ck_assert_int_ge(asyncore_handle_read(d), 0);
	ck_assert_int_eq(t->sends, 1);
	expect("a!b!");
	end();
}
END_TEST

/* --- close_when_done ------------------------------------------------------------------------ */

/* FIELD.md B23. */
START_TEST(without_output_it_closes_at_the_next_write_event)
{
	talker();
	ck_assert_int_eq(async_chat_close_when_done(chat), 0);
	ck_assert_int_eq(t->closes, 0);
	ck_assert_uint_eq(entries(), 1);
	ck_assert(asyncore_connected(d));
	pass();
	ck_assert_int_eq(t->writes, 1);
	ck_assert_int_eq(t->closes, 1);
	expect_end("");
	close(peer);
}
END_TEST

START_TEST(it_closes_when_all_output_was_sent)
{
	talker();
	plug();
	fresh_pattern();
	produce(10000);
	async_chat_close_when_done(chat);
	unplug();
	while (asyncore_map_size(NULL) > 0)
		pass();
	ck_assert_int_eq(t->closes, 1);
	while (consume(65536))
		;
	ck_assert_uint_eq(consumed, 10000);
	close(peer);
}
END_TEST

START_TEST(what_is_pushed_behind_the_close_mark_is_not_sent)
{
	talker();
	plug();
	push("before");
	async_chat_close_when_done(chat);
	push("behind");
	unplug();
	asyncore_ref(d);
	while (asyncore_map_size(NULL) > 0)
		pass();
	expect_end("before");
	ck_assert_uint_eq(bytes(), 6);
	asyncore_unref(d);
	end();
}
END_TEST

START_TEST(two_close_marks_close_once)
{
	talker();
	asyncore_ref(d);
	async_chat_close_when_done(chat);
	async_chat_close_when_done(chat);
	ck_assert_uint_eq(entries(), 2);
	pass();
	pass();
	ck_assert_int_eq(t->closes, 1);
	ck_assert_uint_eq(entries(), 1);	/* as in CPython */
	asyncore_unref(d);
	end();
}
END_TEST

static int do_not_close(struct talker *self)
{
	(void)self;
	return 0;
}

START_TEST(a_handle_close_that_does_not_close_goes_on_with_the_queue)
{
	talker();
	t->on_close = do_not_close;
	plug();
	push("one ");
	async_chat_close_when_done(chat);
	push("two");
	unplug();
	run_empty();
	ck_assert_int_eq(t->closes, 1);
	expect("one two");
	end();
}
END_TEST

START_TEST(a_close_mark_waits_for_the_connection)
{
	int fd[2];

	peer = -1;
	make_talker(&talker_type, -1);
	push("hello");
	async_chat_close_when_done(chat);
	ck_assert_uint_eq(entries(), 2);
	unix_pair(fd);
	peer = fd[1];
	asyncore_set_socket(d, fd[0], NULL);
	asyncore_set_connected(d, true);
	while (asyncore_map_size(NULL) > 0)
		pass();
	expect_end("hello");
	ck_assert_int_eq(t->closes, 1);
	close(peer);
}
END_TEST

static int answer_and_close_when_done(struct talker *self)
{
	push(self->line);
	return async_chat_close_when_done(chat);
}

START_TEST(from_found_terminator_the_answer_arrives_and_then_the_end)
{
	talker_of(_i == 0 ? &talker_type : &at_once_type);
	t->on_line = answer_and_close_when_done;
	say("bye\n");
	while (asyncore_map_size(NULL) > 0)
		pass();
	ck_assert_int_eq(t->closes, 1);
	ck_assert_int_eq(t->errors, 0);
	expect_end("bye");
	close(peer);
}
END_TEST

START_TEST(lines_behind_a_goodbye_get_no_answer)
{
	talker_of(_i == 0 ? &talker_type : &at_once_type);
	t->on_line = answer_and_close_when_done;
	say("bye\nmore\n");
	while (asyncore_map_size(NULL) > 0)
		pass();
	ck_assert_int_eq(t->closes, 1);
	expect_end("bye");
	close(peer);
}
END_TEST

/* --- producers ------------------------------------------------------------------------------ */

/*
 * A producer that does what its script says, word by word: a word is data; "." is not yet,
 * "!" an error, "0" data of no length; then it is finished.
 */
struct maker {
	struct async_chat_producer producer;
	const char *script;
	char piece[64];
	int asked, error;
	int (*on_more)(struct maker *);
	void (*on_release)(struct maker *);
};

static int makers_released;

static int maker_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct maker *m = (struct maker *)producer;
	size_t n;

	m->asked++;
	if (m->on_more != NULL) {
		int r = m->on_more(m);

		if (r != 0)
			return r;
	}
	m->script += strspn(m->script, " ");
	n = strcspn(m->script, " ");
	if (n == 0)
		return 0;
	memset(m->piece, '#', sizeof m->piece);	/* the last one is no longer valid */
	memcpy(m->piece, m->script, n);
	m->script += n;
	if (m->piece[0] == '.')
		return ASYNC_CHAT_NOT_YET;
	if (m->piece[0] == '!')
		return m->error;
	*data = m->piece;
	*len = m->piece[0] == '0' ? 0 : n;
	return 1;
}

static void maker_release(struct async_chat_producer *producer)
{
	struct maker *m = (struct maker *)producer;

	makers_released++;
	if (m->on_release != NULL)
		m->on_release(m);
	free(m);
}

static const struct async_chat_producer_type maker_type = {
	.more = maker_more,
	.release = maker_release,
};

static struct maker *maker(const char *script)
{
	struct maker *m = calloc(1, sizeof *m);

	ck_assert_ptr_nonnull(m);
	m->producer.type = &maker_type;
	m->script = script;
	m->error = -EIO;
	return m;
}

static int push_maker(struct maker *m)
{
	return async_chat_push_with_producer(chat, &m->producer);
}

static struct maker *push_script(const char *script)
{
	struct maker *m = maker(script);

	ck_assert_int_eq(push_maker(m), 0);
	return m;
}

static void talker_with_producers(void)
{
	makers_released = 0;
	talker();
}

START_TEST(a_producer_is_asked_until_it_is_finished)
{
	talker_with_producers();
	push_script("a b c");
	run_empty();
	expect("abc");
	ck_assert_int_eq(makers_released, 1);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

START_TEST(a_producer_with_nothing_is_released)
{
	talker_with_producers();
	push_script("");
	run_empty();
	ck_assert_int_eq(makers_released, 1);
	ck_assert_int_eq(t->sends, 0);
	end();
}
END_TEST

/* As in CPython, where empty data ends a producer. */
START_TEST(data_of_no_length_ends_a_producer)
{
	talker_with_producers();
	push_script("a 0 b");
	run_empty();
	ck_assert_int_eq(makers_released, 1);
	expect("a");
	end();
}
END_TEST

START_TEST(small_pieces_leave_in_one_send)
{
	talker_with_producers();
	push_script("a b c d e f g h");
	ck_assert_int_eq(t->sends, 1);
	ck_assert_uint_eq(t->sent[0], 8);
	run_empty();
	ck_assert_int_eq(t->sends, 1);
	expect("abcdefgh");
	end();
}
END_TEST

START_TEST(pieces_leave_in_sends_of_at_most_the_buffer_size)
{
	int i;

	makers_released = 0;
	talker_of(&small_type);
	hold_back();
	for (i = 0; i < 30; i++)
		push_script("123456789a bcdefghijk lmn");
	let_go();
	t->sends = 0;
	run_empty();
	for (i = 0; i < t->sends; i++)
		ck_assert_uint_le(t->sent[i], 100);
	ck_assert_int_le(t->sends, 30 * 23 / 100 + 5);
	ck_assert_int_eq(makers_released, 30);
	end();
}
END_TEST

START_TEST(a_piece_larger_than_the_buffer_size_is_sent_in_parts)
{
	talker_with_producers();
	async_chat_set_buffer_sizes(chat, 0, 4);
	push_script("123456789a bcd");
	run_empty();
	expect("123456789abcd");
	ck_assert_uint_eq(t->sent[0], 4);
	end();
}
END_TEST

START_TEST(strings_and_producers_keep_their_order)
{
	talker_with_producers();
	hold_back();
	push("1 ");
	push_script("2 3");
	push(" 4 ");
	async_chat_push_reference(chat, "5 ", 2, NULL, NULL);
	push_script("");
	push_script("6 7");
	push(" 8");
	let_go();
	run_empty();
	expect("1 23 4 5 67 8");
	ck_assert_int_eq(makers_released, 3);
	end();
}
END_TEST

START_TEST(a_producer_is_not_asked_while_much_stands_before_it)
{
	struct maker *m;

	talker_with_producers();
	plug();
	fresh_pattern();
	produce(10000);
	m = push_script("a");
	ck_assert_int_eq(m->asked, 0);
	pass();
	ck_assert_int_eq(m->asked, 0);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

START_TEST(a_producer_is_not_asked_while_it_is_not_connected)
{
	struct maker *m;

	peer = -1;
	makers_released = 0;
	make_talker(&talker_type, -1);
	m = push_script("a");
	ck_assert_int_eq(m->asked, 0);
	ck_assert_uint_eq(entries(), 1);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

START_TEST(a_producer_that_waits_is_asked_again_after_resume)
{
	struct maker *m;

	talker_with_producers();
	m = push_script("a . b");
	pass();
	pass();
	expect("a");
	ck_assert_int_eq(async_chat_resume(chat), 0);
	run_empty();
	expect("b");
	(void)m;
	ck_assert_int_eq(makers_released, 1);
	end();
}
END_TEST

START_TEST(a_producer_that_waits_does_not_spin)
{
	struct maker *m;
	int i, asked;

	talker_with_producers();
	m = push_script(". b");
	asked = m->asked;
	ck_assert_int_eq(async_chat_writable(d), 0);
	for (i = 0; i < 10; i++)
		pass();
	ck_assert_int_eq(t->writes, 0);
	ck_assert_int_eq(m->asked, asked);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

START_TEST(a_producer_that_waits_is_not_asked_before_resume)
{
	struct maker *m;
	int i, asked;

	talker_with_producers();
	m = push_script(". b");
	asked = m->asked;
	for (i = 0; i < 10; i++)
		push("behind ");
	asyncore_initiate_send(d);
	ck_assert_int_eq(m->asked, asked);
	expect("");
	ck_assert_int_eq(async_chat_writable(d), 0);
	async_chat_resume(chat);
	run_empty();
	expect("bbehind behind behind behind behind behind behind behind behind behind ");
	end();
}
END_TEST

START_TEST(a_producer_that_waits_behind_data_does_not_hold_it_up)
{
	talker_with_producers();
	hold_back();
	push("data ");
	push_script("first . second");
	push(" last");
	let_go();
	pass();
	pass();
	expect("data first");
	ck_assert_int_eq(async_chat_writable(d), 0);
	async_chat_resume(chat);
	run_empty();
	expect("second last");
	end();
}
END_TEST

START_TEST(eagain_out_of_more_is_not_yet)
{
	struct maker *m = maker("a ! b");

	talker_with_producers();
	m->error = -EAGAIN;
	ck_assert_int_eq(push_maker(m), 0);
	pass();
	pass();
	expect("a");
	ck_assert_int_eq(t->errors, 0);
	ck_assert_int_eq(makers_released, 0);
	ck_assert_int_eq(async_chat_writable(d), 0);
	async_chat_resume(chat);
	run_empty();
	expect("b");
	end();
}
END_TEST

START_TEST(resume_without_a_waiting_producer_is_no_error)
{
	talker_with_producers();
	ck_assert_int_eq(async_chat_resume(chat), 0);
	asyncore_close(d);
	ck_assert_int_eq(async_chat_resume(chat), 0);
	end();
}
END_TEST

START_TEST(a_producer_may_wait_again_and_again)
{
	int i;

	talker_with_producers();
	push_script(". . . a . . b");
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(async_chat_resume(chat), 0);
	run_empty();
	expect("ab");
	ck_assert_int_eq(makers_released, 1);
	end();
}
END_TEST

static int resume_inside(struct maker *m)
{
	m->on_more = NULL;
	ck_assert_int_eq(async_chat_resume(chat), 0);
	return ASYNC_CHAT_NOT_YET;
}

/* What it waits for came while it was being asked: it must not wait for ever. */
START_TEST(a_resume_inside_more_is_not_lost)
{
	struct maker *m = maker("a");

	talker_with_producers();
	m->on_more = resume_inside;
	ck_assert_int_eq(push_maker(m), 0);
	pass();
	pass();
	expect("a");
	end();
}
END_TEST

static int resume_for_data(struct maker *m)
{
	m->on_more = NULL;
	return async_chat_resume(chat);
}

START_TEST(a_resume_inside_more_that_has_data_changes_nothing)
{
	struct maker *m = maker("a b");

	talker_with_producers();
	m->on_more = resume_for_data;
	push_maker(m);
	run_empty();
	expect("ab");
	end();
}
END_TEST

static int push_inside(struct maker *m)
{
	m->on_more = NULL;
	return push("pushed inside");
}

START_TEST(a_producer_may_push)
{
	struct maker *m = maker("a b ");

	talker_with_producers();
	hold_back();
	if (_i == 1)
		push("x ");
	m->on_more = push_inside;
	push_maker(m);
	let_go();
	run_empty();
	expect(_i == 1 ? "x abpushed inside" : "abpushed inside");
	ck_assert_int_eq(makers_released, 1);
	end();
}
END_TEST

static int push_maker_inside(struct maker *m)
{
	m->on_more = NULL;
	push_script("c d");
	return 0;
}

START_TEST(a_producer_may_push_a_producer)
{
	struct maker *m = maker("a b");

	talker_with_producers();
	m->on_more = push_maker_inside;
	push_maker(m);
	run_empty();
	expect("abcd");
	ck_assert_int_eq(makers_released, 2);
	end();
}
END_TEST

static int close_inside(struct maker *m)
{
	m->on_more = NULL;
	return asyncore_close(d);
}

START_TEST(a_producer_may_close_the_channel)
{
	struct maker *m = maker("a b");

	talker_with_producers();
	m->on_more = close_inside;
	ck_assert_int_eq(push_maker(m), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	expect_end("");
	ck_assert_int_eq(t->errors, 0);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

static int discard_inside(struct maker *m)
{
	m->on_more = NULL;
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	return 0;
}

static int discard_and_wait(struct maker *m)
{
	m->on_more = NULL;
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	return ASYNC_CHAT_NOT_YET;
}

static int discard_and_fail(struct maker *m)
{
	m->on_more = NULL;
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	return -EIO;
}

START_TEST(a_producer_may_discard_the_output)
{
	static int (*const how[])(struct maker *) = { discard_inside, discard_and_wait,
						      discard_and_fail };
	struct maker *m = maker("a b");

	talker_with_producers();
	hold_back();
	if (_i >= 3)
		push("before ");
	m->on_more = how[_i % 3];
	push_maker(m);
	push("behind ");
	push_script("c");
	let_go();
	pass();
	ck_assert_int_eq(makers_released, 2);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_uint_eq(bytes(), 0);
	expect("");
	push("new");
	expect("new");
	end();
	ck_assert_int_eq(makers_released, 2);
}
END_TEST

static int discard_and_push_producer(struct maker *m)
{
	m->on_more = NULL;
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	push_script("other");
	return 0;
}

START_TEST(a_producer_may_replace_the_output)
{
	struct maker *m = maker("a b");

	talker_with_producers();
	hold_back();
	if (_i == 1)
		push("before ");
	m->on_more = discard_and_push_producer;
	push_maker(m);
	push("behind ");
	let_go();
	run_empty();
	expect("other");
	ck_assert_int_eq(makers_released, 2);
	end();
	ck_assert_int_eq(makers_released, 2);
}
END_TEST

static void push_released(struct maker *m)
{
	(void)m;
	push("released");
}

static void close_released(struct maker *m)
{
	(void)m;
	asyncore_close(d);
}

static void discard_released(struct maker *m)
{
	(void)m;
	async_chat_discard_buffers(chat);
}

static void resume_released(struct maker *m)
{
	(void)m;
	async_chat_resume(chat);
}

START_TEST(a_release_of_a_producer_may_push)
{
	struct maker *m = maker("a");

	talker_with_producers();
	m->on_release = push_released;
	push_maker(m);
	run_empty();
	expect("areleased");
	ck_assert_int_eq(makers_released, 1);
	end();
}
END_TEST

START_TEST(a_release_of_a_producer_may_do_anything)
{
	static void (*const how[])(struct maker *) = { push_released, close_released,
						       discard_released, resume_released };
	struct maker *m = maker("a b"), *second = maker("c");

	talker_with_producers();
	hold_back();
	if (_i >= 4)
		push("before ");
	m->on_release = how[_i % 4];
	push_maker(m);
	push(" between ");
	second->on_release = how[_i % 4];
	push_maker(second);
	push(" behind");
	let_go();
	pass();
	pass();
	pass();
	end();
	ck_assert_int_eq(makers_released, 2);
}
END_TEST

START_TEST(a_producer_that_fails_calls_handle_error_and_is_done_with)
{
	talker_with_producers();
	hold_back();
	push("before ");
	push_script("a ! b");
	push(" behind");
	let_go();
	run_empty();
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EIO);
	ck_assert_int_eq(makers_released, 1);
	expect("before a behind");
	end();
}
END_TEST

START_TEST(a_producer_that_fails_with_any_errno_calls_handle_error)
{
	static const int codes[] = { -ENOENT, -EINTR, -EPIPE, -ENOSYS, -EINVAL };
	struct maker *m = maker("!");

	talker_with_producers();
	hold_back();
	m->error = codes[_i];
	push_maker(m);
	push("behind");
	t->errors = 0;
	let_go();
	run_empty();
	ck_assert_int_eq(makers_released, 1);
	expect("behind");
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, codes[_i]);
	end();
}
END_TEST

/* As in CPython, where the exception of more() climbs out of push_with_producer(). */
START_TEST(a_producer_that_fails_at_once_raises_in_the_pusher)
{
	talker_with_producers();
	ck_assert_int_eq(push_maker(maker("!")), -EIO);
	ck_assert_int_eq(makers_released, 1);
	ck_assert_uint_eq(entries(), 0);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

static int answer_with_failure(struct talker *self)
{
	(void)self;
	ck_assert_int_eq(push("before "), 0);
	ck_assert_int_eq(push_maker(maker("a !")), 0);
	return push(" behind");
}

START_TEST(a_producer_that_fails_in_the_flush_calls_handle_error)
{
	talker_with_producers();
	t->on_line = answer_with_failure;
	say("x\n");
	pass();
	run_empty();
	ck_assert_int_eq(t->errors, 1);
	ck_assert_int_eq(t->last_error, -EIO);
	expect("before a behind");
	end();
}
END_TEST

static int answer_with_failure_and_close(struct talker *self)
{
	answer_with_failure(self);
	asyncore_close(d);
	ck_assert_int_eq(self->errors, 1);
	ck_assert_int_eq(self->last_error, -EIO);
	return 0;
}

START_TEST(a_producer_that_fails_in_an_early_flush_calls_handle_error)
{
	talker_with_producers();
	t->on_line = answer_with_failure_and_close;
	say("x\n");
	pass();
	ck_assert_int_eq(t->errors, 1);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

START_TEST(exit_now_out_of_more_leaves_the_loop)
{
	struct maker *m = maker("!");

	talker_with_producers();
	hold_back();
	push("x");
	m->error = ASYNCORE_EXIT_NOW;
	push_maker(m);
	push("y");
	let_go();
	while (makers_released == 0 && asyncore_poll(0, NULL) == 0)
		;
	ck_assert_int_eq(makers_released, 1);
	ck_assert_int_eq(t->errors, 0);
	run_empty();
	expect("xy");
	end();
}
END_TEST

START_TEST(a_producer_is_released_when_it_is_discarded)
{
	talker_with_producers();
	hold_back();
	push_script("a b");
	push_script("c d");
	async_chat_discard_buffers(chat);
	ck_assert_int_eq(makers_released, 2);
	end();
	ck_assert_int_eq(makers_released, 2);
}
END_TEST

START_TEST(a_producer_is_kept_by_close_and_released_by_dispose)
{
	talker_with_producers();
	asyncore_ref(d);
	push_script(". a");
	asyncore_close(d);
	pass();
	ck_assert_int_eq(makers_released, 0);
	ck_assert_int_eq(async_chat_resume(chat), 0);
	asyncore_unref(d);
	end();
	ck_assert_int_eq(makers_released, 1);
}
END_TEST

START_TEST(a_producer_of_a_failed_call_is_released)
{
	static const struct async_chat_producer_type nothing = { .release = maker_release };
	struct async_chat never = { { NULL, NULL }, NULL };
	struct async_chat_producer typeless = { NULL };
	struct maker *m;

	talker_with_producers();
	ck_assert_int_eq(async_chat_push_with_producer(NULL, &maker("a")->producer), -EINVAL);
	ck_assert_int_eq(makers_released, 1);
	ck_assert_int_eq(async_chat_push_with_producer(&never, &maker("a")->producer), -EINVAL);
	ck_assert_int_eq(makers_released, 2);
	m = maker("a");
	m->producer.type = &nothing;
	ck_assert_int_eq(push_maker(m), -EINVAL);
	ck_assert_int_eq(makers_released, 3);
	ck_assert_int_eq(async_chat_push_with_producer(chat, NULL), -EINVAL);
	ck_assert_int_eq(async_chat_push_with_producer(chat, &typeless), -EINVAL);
	ck_assert_uint_eq(entries(), 0);
	end();
}
END_TEST

START_TEST(a_producer_needs_no_release)
{
	static const struct async_chat_producer_type bare_type = { .more = maker_more };
	struct maker m = { .producer = { &bare_type }, .script = "a b" };

	talker_with_producers();
	ck_assert_int_eq(push_maker(&m), 0);
	run_empty();
	expect("ab");
	end();
}
END_TEST

START_TEST(a_producer_goes_on_after_a_reconnect)
{
	int fd[2];

	talker_with_producers();
	push_script("a . b");
	pass();
	expect("a");
	asyncore_close(d);
	close(peer);
	unix_pair(fd);
	peer = fd[1];
	asyncore_set_socket(d, fd[0], NULL);
	asyncore_set_connected(d, true);
	pass();
	async_chat_resume(chat);
	run_empty();
	expect("b");
	end();
}
END_TEST

START_TEST(a_close_mark_waits_for_a_waiting_producer)
{
	talker_with_producers();
	push_script("a . b");
	async_chat_close_when_done(chat);
	pass();
	pass();
	ck_assert_int_eq(t->closes, 0);
	ck_assert_int_eq(async_chat_writable(d), 0);
	expect("a");
	async_chat_resume(chat);
	while (asyncore_map_size(NULL) > 0)
		pass();
	ck_assert_int_eq(t->closes, 1);
	expect_end("b");
	close(peer);
}
END_TEST

START_TEST(a_finished_producer_in_front_of_the_close_mark_closes)
{
	talker_with_producers();
	hold_back();
	push_script("");
	async_chat_close_when_done(chat);
	let_go();
	while (asyncore_map_size(NULL) > 0)
		pass();
	ck_assert_int_eq(t->closes, 1);
	ck_assert_int_eq(makers_released, 1);
	expect_end("");
	close(peer);
}
END_TEST

static int resume_line(struct talker *self)
{
	(void)self;
	async_chat_resume(chat);
	ck_assert_int_eq(t->sends, 1);
	return push("answer");
}

START_TEST(a_resume_from_found_terminator_is_gathered)
{
	talker_with_producers();
	push_script("a . b");
	pass();
	t->on_line = resume_line;
	say("x\n");
	pass();
	ck_assert_int_eq(t->sends, 2);
	expect("abanswer");
	end();
}
END_TEST

START_TEST(a_large_output_of_many_producers_is_exact)
{
	unsigned char *data;
	int i;

	talker_on_socket(_i & 1 ? &talker_type : &plain_type, _i & 2 ? AF_INET : AF_UNIX,
			 SOCK_STREAM);
	fresh_pattern();
	for (i = 0; i < 300; i++) {
		data = next_of_pattern((size_t)i * 17);
		ck_assert_int_eq(async_chat_push_with_producer(chat,
			async_chat_simple_producer_new(data, (size_t)i * 17, 1 + pieces[i % 6])),
			0);
		free(data);
		if (i % 3 == 0)
			produce(pieces[i % PIECES] % 5000);
		if (i % 9 == 0)
			consume(10000);
	}
	consume_all(9000, false);
	end();
}
END_TEST

/* --- the output limit ------------------------------------------------------------------------ */

START_TEST(the_limit_is_told_once_when_it_is_passed_and_once_when_output_fell)
{
	talker();
	ck_assert_int_eq(async_chat_set_output_limit(chat, 100, 10), 0);
	plug();
	fresh_pattern();
	produce(100);
	ck_assert_int_eq(t->highs, 0);
	produce(1);
	ck_assert_int_eq(t->highs, 1);
	produce(100);
	ck_assert_int_eq(t->highs, 1);
	ck_assert_int_eq(t->lows, 0);
	unplug();
	consume_all(1000, false);
	ck_assert_int_eq(t->highs, 1);
	ck_assert_int_eq(t->lows, 1);
	end();
}
END_TEST

START_TEST(between_the_marks_nothing_is_told)
{
	talker();
	async_chat_set_output_limit(chat, 100, 50);
	fresh_pattern();
	t->takes = 30;
	plug();
	produce(120);
	unplug();
	pass();
	ck_assert_uint_eq(bytes(), 90);
	ck_assert_int_eq(t->lows, 0);
	pass();
	ck_assert_uint_eq(bytes(), 60);
	ck_assert_int_eq(t->lows, 0);
	produce(0);			/* sends 30 more */
	ck_assert_uint_eq(bytes(), 30);
	ck_assert_int_eq(t->lows, 1);
	consume_all(1000, false);
	ck_assert_int_eq(t->lows, 1);
	end();
}
END_TEST

START_TEST(without_a_limit_nothing_is_told)
{
	talker();
	plug();
	fresh_pattern();
	produce(1000000);
	ck_assert_int_eq(t->highs, 0);
	end();
}
END_TEST

START_TEST(a_limit_that_is_set_late_is_told_at_once)
{
	talker();
	plug();
	fresh_pattern();
	produce(1000);
	ck_assert_int_eq(async_chat_set_output_limit(chat, 100, 10), 0);
	ck_assert_int_eq(t->highs, 1);
	ck_assert_int_eq(async_chat_set_output_limit(chat, 5000, 1000), 0);
	ck_assert_int_eq(t->lows, 1);
	end();
}
END_TEST

START_TEST(a_limit_that_was_reached_and_is_taken_away_says_so_when_output_falls)
{
	talker();
	async_chat_set_output_limit(chat, 100, 10);
	plug();
	fresh_pattern();
	produce(1000);
	ck_assert_int_eq(async_chat_set_output_limit(chat, 0, 0), 0);
	unplug();
	consume_all(1000, false);
	ck_assert_int_eq(t->lows, 1);
	produce(1000);
	consume_all(1000, false);
	ck_assert_int_eq(t->highs, 1);
	end();
}
END_TEST

START_TEST(a_low_mark_above_the_high_one_is_refused)
{
	talker();
	ck_assert_int_eq(async_chat_set_output_limit(chat, 10, 11), -EINVAL);
	ck_assert_int_eq(async_chat_set_output_limit(chat, 10, 10), 0);
	end();
}
END_TEST

START_TEST(discarding_the_output_is_falling)
{
	talker();
	async_chat_set_output_limit(chat, 100, 10);
	plug();
	fresh_pattern();
	produce(1000);
	ck_assert_int_eq(t->highs, 1);
	async_chat_discard_buffers(chat);
	ck_assert_int_eq(t->lows, 1);
	end();
}
END_TEST

static int close_at_limit(struct talker *self, bool reached)
{
	(void)self;
	return reached ? asyncore_close(d) : 0;
}

START_TEST(the_channel_may_be_closed_at_the_limit)
{
	talker();
	async_chat_set_output_limit(chat, 100, 10);
	t->on_limit = close_at_limit;
	plug();
	fresh_pattern();
	produce(1000);
	ck_assert_int_eq(t->highs, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_uint_eq(bytes(), 1000);
	end();
}
END_TEST

static int answer_at_limit(struct talker *self)
{
	(void)self;
	produce(60);
	return 0;
}

START_TEST(the_channel_may_be_closed_at_the_limit_while_it_gathers)
{
	talker();
	async_chat_set_output_limit(chat, 100, 10);
	t->on_limit = close_at_limit;
	t->on_line = answer_at_limit;
	fresh_pattern();
	say("a\nb\nc\nd\n");
	pass();
	ck_assert_int_eq(t->lines, 2);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	close(peer);
}
END_TEST

static int discard_at_limit(struct talker *self, bool reached)
{
	(void)self;
	return reached ? async_chat_discard_buffers(chat) : 0;
}

START_TEST(the_output_may_be_discarded_at_the_limit)
{
	talker();
	async_chat_set_output_limit(chat, 100, 10);
	t->on_limit = discard_at_limit;
	plug();
	fresh_pattern();
	produce(1000);
	ck_assert_uint_eq(bytes(), 0);
	ck_assert_int_eq(t->highs, 1);
	end();
}
END_TEST

static int push_at_limit(struct talker *self, bool reached)
{
	if (reached || self->lows > 3)
		return 0;
	produce(200);
	return 0;
}

START_TEST(more_may_be_pushed_when_output_fell)
{
	talker();
	async_chat_set_output_limit(chat, 100, 10);
	t->on_limit = push_at_limit;
	plug();
	fresh_pattern();
	produce(200);
	unplug();
	consume_all(100000, false);
	ck_assert_int_eq(t->lows, 4);
	ck_assert_int_eq(t->highs, 4);
	ck_assert_uint_eq(consumed, 800);
	end();
}
END_TEST

static int fail_at_limit(struct talker *self, bool reached)
{
	(void)self;
	return reached ? ASYNCORE_RAISE(d, -ENOBUFS) : 0;
}

START_TEST(an_error_at_the_limit_is_raised_in_the_pusher)
{
	talker();
	async_chat_set_output_limit(chat, 4, 1);
	t->on_limit = fail_at_limit;
	plug();
	ck_assert_int_eq(push("12345"), -ENOBUFS);
	ck_assert_uint_eq(bytes(), 5);
	ck_assert_int_eq(push("6"), 0);
	unplug();
	run_empty();
	expect("123456");
	end();
}
END_TEST

START_TEST(references_and_pieces_count_for_the_limit)
{
	talker();
	async_chat_set_output_limit(chat, 10, 5);
	plug();
	async_chat_push_reference(chat, "12345678901", 11, NULL, NULL);
	ck_assert_int_eq(t->highs, 1);
	unplug();
	run_empty();
	ck_assert_int_eq(t->lows, 1);
	expect("12345678901");
	end();
}
END_TEST

/* --- SIGPIPE -------------------------------------------------------------------------------- */

START_TEST(a_peer_that_is_gone_raises_no_sigpipe)
{
	int fd[2];

	signal(SIGPIPE, SIG_DFL);
	if (_i == 0) {
		talker_of(&plain_type);
	} else {
		ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
		peer = fd[0];
		make_talker(&plain_type, -1);
		ck_assert_int_eq(asyncore_set_file(d, fd[1]), 0);
		asyncore_set_connected(d, true);
		close(fd[1]);
	}
	close(peer);
	peer = -1;
	ck_assert_int_eq(push("into the void"), 0);
	ck_assert_int_eq(t->closes, 1);
	end();
}
END_TEST

/* --------------------------------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "push");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_push_is_sent_at_once);
	tcase_add_test(tc, pushes_arrive_in_order);
	tcase_add_test(tc, a_push_copies);
	tcase_add_test(tc, a_push_takes_any_bytes);
	tcase_add_test(tc, a_push_of_nothing_sends_and_queues_nothing);
	tcase_add_test(tc, a_push_of_nothing_makes_no_empty_datagram);
	tcase_add_test(tc, a_push_of_nothing_sends_what_waits);
	tcase_add_test(tc, a_push_without_a_descriptor_waits);
	tcase_add_test(tc, a_push_before_the_connect_is_sent_after_it);
	tcase_add_test(tc, a_push_from_handle_connect_is_queued_and_not_lost);
	tcase_add_test(tc, a_push_after_close_is_sent_after_a_reconnect);
	tcase_add_test(tc, output_that_waits_survives_close);
	tcase_add_loop_test(tc, the_bytes_and_their_order_are_exact_for_any_piece, 0, PIECES);
	tcase_add_loop_test(tc, a_huge_push_to_a_slow_peer_is_exact, 0, 4);
	tcase_add_loop_test(tc, a_slow_peer_and_many_pushes_are_exact, 0, 4);
	tcase_add_loop_test(tc, short_sends_are_exact, 0, 3);
	tcase_add_test(tc, one_write_event_makes_one_send_of_the_buffer_size);
	tcase_add_test(tc, one_push_sends_no_more_than_the_buffer_size);
	tcase_add_test(tc, a_class_has_its_own_buffer_size);
	tcase_add_test(tc, a_channel_has_its_own_buffer_size);
	tcase_add_test(tc, small_pushes_that_waited_leave_in_one_send);
	tcase_add_test(tc, entries_and_bytes_count_what_waits);
	tcase_add_test(tc, the_counts_of_no_chat_are_zero);
	tcase_add_test(tc, bad_arguments_of_push_change_nothing);

	tc = suite_case(suite, "sends that fail");
	tcase_add_test(tc, a_push_to_a_peer_that_is_gone_calls_handle_close);
	tcase_add_loop_test(tc, a_peer_that_resets_in_the_middle_is_closed_once, 0, 2);
	tcase_add_test(tc, a_send_that_fails_calls_handle_error_and_not_the_pusher);
	tcase_add_test(tc, a_send_that_fails_in_a_write_event_calls_handle_error_once);
	tcase_add_test(tc, a_send_that_says_eagain_is_no_error);
	tcase_add_test(tc, exit_now_out_of_send_leaves_the_loop);
	tcase_add_loop_test(tc, a_peer_that_is_gone_raises_no_sigpipe, 0, 2);

	tc = suite_case(suite, "sends that do more");
	tcase_add_loop_test(tc, a_send_that_claims_more_than_it_was_given_takes_no_more, 0, 2);
	tcase_add_test(tc, an_overridden_send_may_push);
	tcase_add_test(tc, an_overridden_send_may_discard_the_output);
	tcase_add_loop_test(tc, an_overridden_send_may_close_while_it_is_flushed, 0, 2);
	tcase_add_loop_test(tc, handle_close_may_use_the_queue_out_of_a_send, 0, 2);
	tcase_add_test(tc, initiate_send_inside_a_send_does_nothing);
	tcase_add_test(tc, initiate_send_sends_one_piece);

	tc = suite_case(suite, "push_reference");
	tcase_add_test(tc, a_reference_is_not_copied);
	tcase_add_test(tc, a_reference_is_released_when_it_was_sent);
	tcase_add_test(tc, a_reference_is_not_released_before_it_was_sent);
	tcase_add_test(tc, a_reference_with_others_is_not_released_before_it_was_sent);
	tcase_add_test(tc, a_reference_behind_a_push_is_not_released_before_it_was_sent);
	tcase_add_test(tc, a_reference_that_was_sent_in_part_is_not_released);
	tcase_add_test(tc, a_large_reference_is_exact_and_not_copied);
	tcase_add_test(tc, a_reference_is_released_when_it_is_discarded);
	tcase_add_test(tc, a_reference_is_kept_by_close_and_released_by_dispose);
	tcase_add_test(tc, a_reference_of_a_failed_call_is_released);
	tcase_add_test(tc, an_empty_reference_is_released_at_once);
	tcase_add_test(tc, a_reference_needs_no_release);
	tcase_add_test(tc, references_and_pushes_keep_their_order);
	tcase_add_test(tc, a_peer_that_is_gone_keeps_references_until_the_end);
	tcase_add_test(tc, a_release_may_push);
	tcase_add_test(tc, a_release_may_push_while_it_is_discarded);
	tcase_add_test(tc, a_release_may_push_while_the_channel_is_disposed_of);
	tcase_add_test(tc, a_release_may_close);
	tcase_add_test(tc, a_release_may_discard_the_rest);

	tc = suite_case(suite, "writable");
	tcase_add_test(tc, it_is_writable_while_something_waits);
	tcase_add_test(tc, it_is_writable_while_it_is_not_connected);
	tcase_add_test(tc, a_push_by_another_channel_is_sent);

	tc = suite_case(suite, "gathered output");
	tcase_add_test(tc, answers_to_one_read_leave_in_one_send);
	tcase_add_test(tc, answers_to_one_read_leave_in_one_system_call);
	tcase_add_test(tc, a_class_may_send_at_once);
	tcase_add_test(tc, a_channel_may_send_at_once);
	tcase_add_test(tc, a_channel_of_a_class_that_sends_at_once_may_gather);
	tcase_add_loop_test(tc, the_bytes_are_the_same_whether_gathered_or_not, 0, 3);
	tcase_add_test(tc, pushes_from_collect_incoming_data_are_gathered);
	tcase_add_test(tc, much_gathered_output_leaves_in_the_same_pass);
	tcase_add_test(tc, a_send_that_falls_short_leaves_the_rest_to_write_events);
	tcase_add_test(tc, a_push_outside_of_the_own_input_is_not_gathered);
	tcase_add_test(tc, a_push_from_another_channels_handler_is_not_gathered);
	tcase_add_test(tc, discard_buffers_sends_what_was_gathered);
	tcase_add_test(tc, a_direct_call_of_handle_read_gathers_and_sends_too);

	tc = suite_case(suite, "gathered output leaves early");
	tcase_add_test(tc, an_explicit_send_comes_after_what_was_gathered);
	tcase_add_test(tc, initiate_send_sends_what_was_gathered);
	tcase_add_loop_test(tc, the_descriptor_is_handed_out_after_what_was_gathered, 0, 2);
	tcase_add_test(tc, del_channel_sends_what_was_gathered);
	tcase_add_test(tc, what_was_gathered_moves_to_another_map);
	tcase_add_test(tc, close_sends_what_was_gathered);
	tcase_add_loop_test(tc, close_sends_all_that_was_gathered, 0, 3);
	tcase_add_loop_test(tc, exit_now_sends_what_was_gathered, 0, 2);
	tcase_add_test(tc, an_error_sends_what_was_gathered);
	tcase_add_test(tc, a_nested_pass_sends_what_was_gathered);
	tcase_add_test(tc, set_gathering_sends_what_was_gathered);
	tcase_add_test(tc, what_was_gathered_goes_to_the_socket_of_that_time);

	tc = suite_case(suite, "gathered output fails");
	tcase_add_test(tc, no_handle_close_comes_out_of_the_middle_of_a_gathered_push);
	tcase_add_test(tc, all_lines_are_handled_before_a_lost_peer_is_noticed);
	tcase_add_test(tc, a_failed_flush_calls_handle_error);
	tcase_add_test(tc, an_early_flush_that_fails_calls_handle_error);
	tcase_add_test(tc, the_flush_calls_an_overridden_initiate_send);
	tcase_add_test(tc, an_overridden_initiate_send_that_raises_ends_the_flush);

	tc = suite_case(suite, "close_when_done");
	tcase_add_test(tc, without_output_it_closes_at_the_next_write_event);
	tcase_add_test(tc, it_closes_when_all_output_was_sent);
	tcase_add_test(tc, what_is_pushed_behind_the_close_mark_is_not_sent);
	tcase_add_test(tc, two_close_marks_close_once);
	tcase_add_test(tc, a_handle_close_that_does_not_close_goes_on_with_the_queue);
	tcase_add_test(tc, a_close_mark_waits_for_the_connection);
	tcase_add_loop_test(tc, from_found_terminator_the_answer_arrives_and_then_the_end, 0, 2);
	tcase_add_loop_test(tc, lines_behind_a_goodbye_get_no_answer, 0, 2);
	tcase_add_test(tc, a_close_mark_waits_for_a_waiting_producer);
	tcase_add_test(tc, a_finished_producer_in_front_of_the_close_mark_closes);

	tc = suite_case(suite, "producers");
	tcase_add_test(tc, a_producer_is_asked_until_it_is_finished);
	tcase_add_test(tc, a_producer_with_nothing_is_released);
	tcase_add_test(tc, data_of_no_length_ends_a_producer);
	tcase_add_test(tc, small_pieces_leave_in_one_send);
	tcase_add_test(tc, pieces_leave_in_sends_of_at_most_the_buffer_size);
	tcase_add_test(tc, a_piece_larger_than_the_buffer_size_is_sent_in_parts);
	tcase_add_test(tc, strings_and_producers_keep_their_order);
	tcase_add_test(tc, a_producer_is_not_asked_while_much_stands_before_it);
	tcase_add_test(tc, a_producer_is_not_asked_while_it_is_not_connected);
	tcase_add_loop_test(tc, a_large_output_of_many_producers_is_exact, 0, 4);
	tcase_add_test(tc, a_producer_goes_on_after_a_reconnect);

	tc = suite_case(suite, "producers that wait");
	tcase_add_test(tc, a_producer_that_waits_is_asked_again_after_resume);
	tcase_add_test(tc, a_producer_that_waits_does_not_spin);
	tcase_add_test(tc, a_producer_that_waits_is_not_asked_before_resume);
	tcase_add_test(tc, a_producer_that_waits_behind_data_does_not_hold_it_up);
	tcase_add_test(tc, eagain_out_of_more_is_not_yet);
	tcase_add_test(tc, resume_without_a_waiting_producer_is_no_error);
	tcase_add_test(tc, a_producer_may_wait_again_and_again);
	tcase_add_test(tc, a_resume_inside_more_is_not_lost);
	tcase_add_test(tc, a_resume_inside_more_that_has_data_changes_nothing);
	tcase_add_test(tc, a_resume_from_found_terminator_is_gathered);

	tc = suite_case(suite, "producers that do more");
	tcase_add_loop_test(tc, a_producer_may_push, 0, 2);
	tcase_add_test(tc, a_producer_may_push_a_producer);
	tcase_add_test(tc, a_producer_may_close_the_channel);
	tcase_add_loop_test(tc, a_producer_may_discard_the_output, 0, 6);
	tcase_add_loop_test(tc, a_producer_may_replace_the_output, 0, 2);
	tcase_add_test(tc, a_release_of_a_producer_may_push);
	tcase_add_loop_test(tc, a_release_of_a_producer_may_do_anything, 0, 8);

	tc = suite_case(suite, "producers that fail");
	tcase_add_test(tc, a_producer_that_fails_calls_handle_error_and_is_done_with);
	tcase_add_loop_test(tc, a_producer_that_fails_with_any_errno_calls_handle_error, 0, 5);
	tcase_add_test(tc, a_producer_that_fails_at_once_raises_in_the_pusher);
	tcase_add_test(tc, a_producer_that_fails_in_the_flush_calls_handle_error);
	tcase_add_test(tc, a_producer_that_fails_in_an_early_flush_calls_handle_error);
	tcase_add_test(tc, exit_now_out_of_more_leaves_the_loop);

	tc = suite_case(suite, "the end of a producer");
	tcase_add_test(tc, a_producer_is_released_when_it_is_discarded);
	tcase_add_test(tc, a_producer_is_kept_by_close_and_released_by_dispose);
	tcase_add_test(tc, a_producer_of_a_failed_call_is_released);
	tcase_add_test(tc, a_producer_needs_no_release);

	tc = suite_case(suite, "the output limit");
	tcase_add_test(tc, the_limit_is_told_once_when_it_is_passed_and_once_when_output_fell);
	tcase_add_test(tc, between_the_marks_nothing_is_told);
	tcase_add_test(tc, without_a_limit_nothing_is_told);
	tcase_add_test(tc, a_limit_that_is_set_late_is_told_at_once);
	tcase_add_test(tc, a_limit_that_was_reached_and_is_taken_away_says_so_when_output_falls);
	tcase_add_test(tc, a_low_mark_above_the_high_one_is_refused);
	tcase_add_test(tc, discarding_the_output_is_falling);
	tcase_add_test(tc, the_channel_may_be_closed_at_the_limit);
	tcase_add_test(tc, the_channel_may_be_closed_at_the_limit_while_it_gathers);
	tcase_add_test(tc, the_output_may_be_discarded_at_the_limit);
	tcase_add_test(tc, more_may_be_pushed_when_output_fell);
	tcase_add_test(tc, an_error_at_the_limit_is_raised_in_the_pusher);
	tcase_add_test(tc, references_and_pieces_count_for_the_limit);
}

SUITE_MAIN("chat_output", add_cases)
