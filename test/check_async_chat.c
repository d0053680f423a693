/* SPDX-License-Identifier: BSD-3-Clause */

/* check_async_chat.c - the class async_chat: making one, its attributes, both directions. */

#include "support.h"

#include <asynchat.h>

#include <fcntl.h>

/* --- a channel that answers each line with itself ---------------------------------------------- */

struct liner {
	struct async_chat chat;
	int id, lines, closes, errors, last_error, disposes;
	char line[256];
};

static int disposed;
static char order[64];

static struct liner *liner(struct async_chat *chat)
{
	return (struct liner *)chat;
}

static int liner_found(struct async_chat *self)
{
	struct liner *l = liner(self);
	size_t len;
	char *line = async_chat_get_data(self, &len);

	ck_assert_ptr_nonnull(line);
	ck_assert_uint_eq(strlen(line), len);
	snprintf(l->line, sizeof l->line, "%s", line);
	l->lines++;
	async_chat_push(self, "<", 1);
	async_chat_push(self, line, len);
	return async_chat_push(self, ">", 1);
}

static int liner_close(struct asyncore_dispatcher *self)
{
	((struct liner *)self)->closes++;
	return async_chat_handle_close(self);
}

static int liner_error(struct asyncore_dispatcher *self)
{
	const struct asyncore_error *error = asyncore_error(self);

	((struct liner *)self)->errors++;
	((struct liner *)self)->last_error = error != NULL ? error->code : 0;
	return asyncore_close(self);
}

static void liner_dispose(struct asyncore_dispatcher *self)
{
	((struct liner *)self)->disposes++;
	disposed++;
	strcat(order, "liner ");
}

static const struct async_chat_type liner_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "liner",
		.handle_close = liner_close,
		.handle_error = liner_error,
		.log_info = log_info_kept,
		.dispose = liner_dispose,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = liner_found,
};

static void make(struct liner *l, const struct async_chat_type *type, int fd)
{
	memset(l, 0, sizeof *l);
	disposed = 0;
	order[0] = '\0';
	ck_assert_int_eq(async_chat_init(&l->chat, type, fd, NULL), 0);
	ck_assert_int_eq(async_chat_set_terminator(&l->chat, "\n", 1), 0);
}

static struct liner the_liner, *const l = &the_liner;
static struct async_chat *const chat = &the_liner.chat;
static struct asyncore_dispatcher *const d = &the_liner.chat.dispatcher;

static int liner_on_pair(const struct async_chat_type *type)
{
	int fd[2];

	unix_pair(fd);
	make(l, type, fd[0]);
	return fd[1];
}

static void end(int peer)
{
	asyncore_close(d);
	asyncore_close_all(NULL, true);
	ck_assert_ptr_null(d->channel);
	if (peer >= 0)
		close(peer);
}

static void expect(int fd, const char *text)
{
	char data[1024];
	ssize_t n = read(fd, data, sizeof data - 1);

	data[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(data, text);
}

/* --- init ---------------------------------------------------------------------------------------- */

START_TEST(init_takes_a_socket)
{
	int peer = liner_on_pair(&liner_type);

	ck_assert(asyncore_connected(d));
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	ck_assert_ptr_eq(asyncore_map_get(NULL, asyncore_fileno(d)), d);
	end(peer);
}
END_TEST

START_TEST(init_needs_no_socket)
{
	make(l, &liner_type, -1);
	ck_assert_int_eq(asyncore_socket(d), -1);
	ck_assert(!asyncore_connected(d));
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	end(-1);
	ck_assert_int_eq(disposed, 1);
}
END_TEST

START_TEST(init_with_no_arguments_is_refused)
{
	struct async_chat c;

	ck_assert_int_eq(async_chat_init(NULL, &liner_type, -1, NULL), -EINVAL);
	ck_assert_int_eq(async_chat_init(&c, NULL, -1, NULL), -EINVAL);
}
END_TEST

static const struct async_chat_type no_base = { .dispatcher = { .name = "no base" } };
static const struct async_chat_type wrong_base = {
	.dispatcher = { .base = &asyncore_dispatcher_type, .name = "wrong base" },
};
static const struct async_chat_type with_send_base = {
	.dispatcher = { .base = &asyncore_dispatcher_with_send_type, .name = "another class" },
};

START_TEST(init_of_another_class_is_refused)
{
	static const struct async_chat_type *const types[] = { &no_base, &wrong_base,
							       &with_send_base };
	struct async_chat c;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(async_chat_init(&c, types[_i], fd[0], NULL), -EINVAL);
	ck_assert_int_eq(async_chat_push(&c, "x", 1), -EINVAL);
	ck_assert_int_eq(asyncore_close(&c.dispatcher), -EINVAL);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	close(fd[0]);		/* still ours */
	close(fd[1]);
}
END_TEST

START_TEST(init_with_a_bad_descriptor_leaves_it_and_can_be_repeated)
{
	struct async_chat c;
	int file = open("/dev/null", O_RDWR | O_CLOEXEC), fd[2];

	ck_assert_int_eq(async_chat_init(&c, &liner_type, file, NULL), -ENOTSOCK);
	ck_assert_int_eq(fcntl(file, F_GETFD), FD_CLOEXEC);
	close(file);
	ck_assert_int_eq(async_chat_init(&c, &liner_type, file, NULL), -EBADF);
	ck_assert_int_eq(async_chat_init(&c, &liner_type, -7, NULL), -EBADF);
	ck_assert_int_eq(async_chat_push(&c, "x", 1), -EINVAL);
	unix_pair(fd);
	make(l, &liner_type, fd[0]);
	ck_assert_int_eq(async_chat_init(&c, &liner_type, fd[0], NULL), -EEXIST);
	end(fd[1]);
}
END_TEST

START_TEST(what_was_never_initialised_is_refused)
{
	static struct async_chat never;
	struct async_chat *const c[] = { NULL, &never };
	struct async_chat_terminator terminator;

	ck_assert_int_eq(async_chat_set_buffer_sizes(c[_i], 1, 1), -EINVAL);
	ck_assert_int_eq(async_chat_set_terminator(c[_i], "x", 1), -EINVAL);
	ck_assert_int_eq(async_chat_set_terminator_count(c[_i], 1), -EINVAL);
	ck_assert_int_eq(async_chat_set_terminator_none(c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_get_terminator(c[_i], &terminator), -EINVAL);
	ck_assert_int_eq(async_chat_collect_default(c[_i], "x", 1), -EINVAL);
	ck_assert_ptr_null(async_chat_get_data(c[_i], NULL));
	ck_assert_int_eq(async_chat_set_incoming_limit(c[_i], 1), -EINVAL);
	ck_assert_int_eq(async_chat_push(c[_i], "x", 1), -EINVAL);
	ck_assert_int_eq(async_chat_set_gathering(c[_i], true), -EINVAL);
	ck_assert_int_eq(async_chat_push_reference(c[_i], "x", 1, NULL, NULL), -EINVAL);
	ck_assert_int_eq(async_chat_resume(c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_close_when_done(c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_discard_buffers(c[_i]), -EINVAL);
	ck_assert_uint_eq(async_chat_output_entries(c[_i]), 0);
	ck_assert_uint_eq(async_chat_output_bytes(c[_i]), 0);
	ck_assert_int_eq(async_chat_set_output_limit(c[_i], 1, 1), -EINVAL);
	ck_assert_int_eq(async_chat_readable((struct asyncore_dispatcher *)c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_writable((struct asyncore_dispatcher *)c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_handle_read((struct asyncore_dispatcher *)c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_handle_write((struct asyncore_dispatcher *)c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_handle_close((struct asyncore_dispatcher *)c[_i]), -EINVAL);
	ck_assert_int_eq(async_chat_initiate_send((struct asyncore_dispatcher *)c[_i]), -EINVAL);
}
END_TEST

START_TEST(what_was_disposed_of_is_refused)
{
	int peer = liner_on_pair(&liner_type);

	end(peer);
	ck_assert_int_eq(async_chat_push(chat, "x", 1), -EINVAL);
	ck_assert_int_eq(async_chat_close_when_done(chat), -EINVAL);
	ck_assert_int_eq(async_chat_set_terminator(chat, "x", 1), -EINVAL);
	ck_assert_uint_eq(async_chat_output_bytes(chat), 0);
}
END_TEST

START_TEST(it_can_be_initialised_again_after_it_was_disposed_of)
{
	int i, peer;

	for (i = 0; i < 3; i++) {
		peer = liner_on_pair(&liner_type);
		put(peer, "again\n", 6);
		step(NULL);
		expect(peer, "<again>");
		end(peer);
	}
}
END_TEST

START_TEST(it_lives_in_a_private_map)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int fd[2];

	unix_pair(fd);
	memset(l, 0, sizeof *l);
	ck_assert_int_eq(async_chat_init(chat, &liner_type, fd[0], map), 0);
	async_chat_set_terminator(chat, "\n", 1);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	put(fd[1], "x\n", 2);
	ck_assert_int_eq(asyncore_poll(0, map), 0);
	expect(fd[1], "<x>");
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
}
END_TEST

START_TEST(it_works_on_every_backend)
{
	struct asyncore_map *map = backend_map(_i);
	int fd[2];

	unix_pair(fd);
	memset(l, 0, sizeof *l);
	ck_assert_int_eq(async_chat_init(chat, &liner_type, fd[0], map), 0);
	async_chat_set_terminator(chat, "\n", 1);
	put(fd[1], "x\ny\n", 4);
	ck_assert_int_eq(asyncore_poll(0, map), 0);
	expect(fd[1], "<x><y>");
	asyncore_close(d);
	backend_map_end(map);
	close(fd[1]);
}
END_TEST

/* --- the class ------------------------------------------------------------------------------------ */

static const struct async_chat_type collects_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .log_info = log_info_kept },
	.collect_incoming_data = async_chat_collect_default,
};

static const struct async_chat_type abstract_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .log_info = log_info_kept },
};

/* In CPython: raise NotImplementedError("must be implemented in subclass"). */
START_TEST(the_two_callbacks_must_be_implemented)
{
	int peer = liner_on_pair(_i == 0 ? &abstract_type : &collects_type);

	put(peer, "x\n", 2);
	step(NULL);
	ck_assert_ptr_nonnull(strstr(kept_log, "ENOSYS:must be implemented in subclass"));
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	end(peer);
}
END_TEST

START_TEST(the_class_itself_can_be_used_to_send)
{
	struct async_chat c;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(async_chat_init(&c, &async_chat_type, fd[0], NULL), 0);
	ck_assert_int_eq(async_chat_push(&c, "hello", 5), 0);
	expect(fd[1], "hello");
	asyncore_close_all(NULL, true);
	close(fd[1]);
}
END_TEST

/* Not a word of what it inherits. */
struct loud {
	struct liner base;
	int collected;
};

static int loud_found(struct async_chat *self)
{
	async_chat_push(self, "LOUD", 4);
	return liner_type.found_terminator(self);
}

static void loud_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	strcat(order, "loud ");
}

static const struct async_chat_type loud_type = {
	.dispatcher = { .base = &liner_type.dispatcher, .name = "loud", .dispose = loud_dispose },
	.found_terminator = loud_found,
};

static int louder_collect(struct async_chat *self, const void *data, size_t len)
{
	((struct loud *)self)->collected++;
	return async_chat_collect_default(self, data, len);
}

static const struct async_chat_type louder_type = {
	.dispatcher = { .base = &loud_type.dispatcher },
	.collect_incoming_data = louder_collect,
};

START_TEST(a_class_inherits_over_two_levels)
{
	static struct loud loud;
	struct asyncore_dispatcher *self = &loud.base.chat.dispatcher;
	char text[128];
	int fd[2];

	unix_pair(fd);
	loud.collected = 0;
	make(&loud.base, &louder_type, fd[0]);
	put(fd[1], "a\nb\n", 4);
	step(NULL);
	expect(fd[1], "LOUD<a>LOUD<b>");
	ck_assert_int_eq(loud.collected, 2);
	ck_assert_int_eq(loud.base.lines, 2);
	asyncore_repr(self, text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "loud"));
	asyncore_close(self);
	asyncore_close_all(NULL, true);
	ck_assert_str_eq(order, "loud liner ");
	close(fd[1]);
}
END_TEST

START_TEST(the_end_of_the_input_closes)
{
	int peer = liner_on_pair(&liner_type);

	close(peer);
	step(NULL);
	ck_assert_int_eq(l->closes, 1);
	ck_assert_int_eq(l->errors, 0);
	ck_assert_int_eq(disposed, 1);
	ck_assert_ptr_null(d->channel);
}
END_TEST

/* The base class's handle_close() logs a warning; this one does not. */
static int log_all(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	return log_info_kept(self, message, type);
}

static const struct async_chat_type quiet_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .log_info = log_all },
};

START_TEST(the_default_handle_close_closes_without_a_word)
{
	int peer = liner_on_pair(&quiet_type);

	close(peer);
	step(NULL);
	ck_assert_str_eq(kept_log, "");
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
}
END_TEST

START_TEST(it_is_always_readable)
{
	int peer = liner_on_pair(&liner_type);

	ck_assert_int_eq(async_chat_readable(d), 1);
	ck_assert_int_eq(asyncore_readable(d), 1);
	ck_assert_int_eq(asyncore_writable(d), 0);
	end(peer);
}
END_TEST

START_TEST(initiate_send_is_of_this_class)
{
	int peer = liner_on_pair(&liner_type);

	ck_assert_int_eq(asyncore_initiate_send(d), 0);
	end(peer);
}
END_TEST

START_TEST(a_socket_without_a_peer_is_taken_unconnected)
{
	struct async_chat c;
	int port, listener = tcp_listener(&port);

	ck_assert_int_eq(async_chat_init(&c, &async_chat_type, listener, NULL), 0);
	ck_assert(!asyncore_connected(&c.dispatcher));
	asyncore_close(&c.dispatcher);
	asyncore_close_all(NULL, true);
}
END_TEST

START_TEST(dispose_frees_all_that_it_holds)
{
	int peer = liner_on_pair(&liner_type);

	async_chat_set_buffer_sizes(chat, 10, 10);
	async_chat_set_incoming_limit(chat, 1000);
	async_chat_set_output_limit(chat, 1000, 10);
	async_chat_set_terminator(chat, "a longer terminator", 19);
	put(peer, "collected a longer ter", 22);
	step(NULL);
	step(NULL);
	step(NULL);
	asyncore_set_connected(d, false);
	async_chat_push(chat, "string", 6);
	async_chat_push_reference(chat, "reference", 9, NULL, NULL);
	async_chat_push_with_producer(chat, async_chat_simple_producer_new("producer", 8, 0));
	async_chat_close_when_done(chat);
	end(peer);
	ck_assert_int_eq(disposed, 1);
}
END_TEST

/* --- buffer sizes ---------------------------------------------------------------------------------- */

static size_t asked;

static int count_recv(struct asyncore_dispatcher *self, void *buffer, size_t len)
{
	asked = len;
	return asyncore_dispatcher_recv(self, buffer, len);
}

static const struct async_chat_type counting_type = {
	.dispatcher = { .base = &liner_type.dispatcher, .recv = count_recv },
};

static const struct async_chat_type sized_type = {
	.dispatcher = {
		.base = &counting_type.dispatcher,
		.ac_in_buffer_size = 7,
		.ac_out_buffer_size = 65536,
	},
};

static size_t size_of_one_recv(int peer)
{
	asked = 0;
	put(peer, "\n", 1);
	step(NULL);
	return asked;
}

START_TEST(it_receives_4096_bytes_at_a_time)
{
	int peer = liner_on_pair(&counting_type);

	ck_assert_uint_eq(size_of_one_recv(peer), 4096);
	end(peer);
}
END_TEST

START_TEST(a_class_has_its_own_sizes)
{
	int peer = liner_on_pair(&sized_type);

	ck_assert_uint_eq(size_of_one_recv(peer), 7);
	end(peer);
}
END_TEST

START_TEST(a_channel_has_its_own_sizes)
{
	int peer = liner_on_pair(&sized_type);

	ck_assert_int_eq(async_chat_set_buffer_sizes(chat, 65536, 65536), 0);
	ck_assert_uint_eq(size_of_one_recv(peer), 65536);
	ck_assert_int_eq(async_chat_set_buffer_sizes(chat, 1, 0), 0);
	ck_assert_uint_eq(size_of_one_recv(peer), 1);
	ck_assert_int_eq(async_chat_set_buffer_sizes(chat, 0, 0), 0);
	ck_assert_uint_eq(size_of_one_recv(peer), 7);
	end(peer);
}
END_TEST

START_TEST(an_impossible_size_is_refused)
{
	int peer = liner_on_pair(&sized_type);

	ck_assert_int_eq(async_chat_set_buffer_sizes(chat, SIZE_MAX, 1), -EINVAL);
	ck_assert_uint_eq(size_of_one_recv(peer), 7);
	end(peer);
}
END_TEST

/* --- both directions ------------------------------------------------------------------------------- */

/* Lines of all lengths go through two chats that speak to each other. */
static size_t lines_wanted;
static size_t lines_back;

static int counter_found(struct async_chat *self)
{
	size_t len, i;
	char *line = async_chat_get_data(self, &len);

	ck_assert_ptr_nonnull(line);
	/* "<" and ">" are the other side's; a line is its number of letters. */
	ck_assert_uint_ge(len, 1);
	for (i = 1; i < len; i++)
		if (line[i] != 'a' + (int)(lines_back % 26))
			ck_abort_msg("letter %zu of line %zu is wrong", i, lines_back);
	ck_assert_uint_eq(len - 1, lines_back * 7 % 5000);
	lines_back++;
	return lines_back == lines_wanted ? async_chat_close_when_done(self) : 0;
}

static const struct async_chat_type counter_type = {
	.dispatcher = { .base = &liner_type.dispatcher, .name = "counter" },
	.found_terminator = counter_found,
};

START_TEST(two_chats_speak_to_each_other)
{
	static struct liner other;
	const size_t n = 1000;
	size_t i, size = _i & 4 ? 65536 : 0;
	int fd[2], passes = 0;

	if (_i & 1)
		tcp_pair(fd);
	else
		unix_pair(fd);
	make(&other, &liner_type, fd[1]);
	make(l, &counter_type, fd[0]);
	async_chat_set_terminator(chat, ">", 1);
	async_chat_set_buffer_sizes(chat, size, size);
	async_chat_set_buffer_sizes(&other.chat, size, size);
	lines_back = 0;
	lines_wanted = n;
	for (i = 0; i < n; i++) {
		char line[5001];

		memset(line, 'a' + (int)(i % 26), sizeof line);
		line[i * 7 % 5000] = '\n';
		ck_assert_int_eq(async_chat_push(chat, line, i * 7 % 5000 + 1), 0);
	}
	while (asyncore_map_size(NULL) > 0) {
		ck_assert_int_lt(++passes, 100000);
		ck_assert_int_eq(asyncore_loop(1.0, _i & 2, NULL, 1), 0);
	}
	ck_assert_uint_eq(lines_back, n);
	ck_assert_int_eq(other.lines, (int)n);
	ck_assert_int_eq(l->errors + other.errors, 0);
	ck_assert_int_eq(l->closes, 1);
	ck_assert_int_eq(other.closes, 1);
	ck_assert_int_eq(disposed, 2);
}
END_TEST

/* --- files ------------------------------------------------------------------------------------------ */

static int reader_found(struct async_chat *self)
{
	snprintf(liner(self)->line, sizeof liner(self)->line, "%s",
		 async_chat_get_data(self, NULL));
	liner(self)->lines++;
	return 0;
}

/* One that does not answer. */
static const struct async_chat_type reader_type = {
	.dispatcher = { .base = &liner_type.dispatcher, .name = "reader" },
	.found_terminator = reader_found,
};

/* On a duplicate of fd, which is closed. */
static void make_on_file(struct liner *self, const struct async_chat_type *type, int fd)
{
	make(self, type, -1);
	ck_assert_int_eq(asyncore_set_file(&self->chat.dispatcher, fd), 0);
	ck_assert_int_eq(asyncore_set_connected(&self->chat.dispatcher, true), 0);
	close(fd);
}

START_TEST(it_reads_lines_from_a_pipe)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	make_on_file(l, &reader_type, fd[0]);
	put(fd[1], "one\ntwo\nth", 10);
	step(NULL);
	ck_assert_int_eq(l->lines, 2);
	ck_assert_str_eq(l->line, "two");
	put(fd[1], "ree\n", 4);
	close(fd[1]);
	while (asyncore_map_size(NULL) > 0)
		step(NULL);
	ck_assert_int_eq(l->lines, 3);
	ck_assert_str_eq(l->line, "three");
	ck_assert_int_eq(l->closes, 1);
	ck_assert_int_eq(l->errors, 0);
}
END_TEST

START_TEST(it_writes_to_a_pipe)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	make_on_file(l, &liner_type, fd[1]);
	ck_assert_int_eq(async_chat_push(chat, "hello", 5), 0);
	async_chat_close_when_done(chat);
	while (asyncore_map_size(NULL) > 0)
		step(NULL);
	expect(fd[0], "hello");
	ck_assert_uint_eq(drain(fd[0]), 0);
	close(fd[0]);
	ck_assert_int_eq(l->closes, 1);
}
END_TEST

START_TEST(much_goes_through_a_pipe)
{
	char data[65536];
	size_t got = 0;
	ssize_t n;
	int fd[2], i;

	ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	make_on_file(l, &liner_type, fd[1]);
	memset(data, 'x', sizeof data);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(async_chat_push(chat, data, sizeof data), 0);
	async_chat_close_when_done(chat);
	while (asyncore_map_size(NULL) > 0) {
		step(NULL);
		while ((n = read(fd[0], data, sizeof data)) > 0)
			got += (size_t)n;
	}
	ck_assert_uint_eq(got, 10 * sizeof data);
	close(fd[0]);
}
END_TEST

START_TEST(it_speaks_on_a_tty)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char data[14];

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
	make_on_file(l, &liner_type, slave);
	put(master, "hello\n", 6);
	run_until(l->lines == 1, NULL);
	ck_assert_str_eq(l->line, "hello");
	take(master, data, sizeof data);
	ck_assert_mem_eq(data, "hello\r\n<hello>", sizeof data);	/* and its echo */
	end(master);
}
END_TEST

START_TEST(the_other_end_of_a_tty_closes)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, passes = 0;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(slave, 0);
	make_on_file(l, &liner_type, slave);
	close(master);
	while (asyncore_map_size(NULL) > 0) {
		ck_assert_int_lt(++passes, 100);
		ck_assert_int_eq(asyncore_poll(1.0, NULL), 0);
	}
	ck_assert_int_eq(l->closes + l->errors, 1);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------ */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "init");

	tcase_add_test(tc, init_takes_a_socket);
	tcase_add_test(tc, init_needs_no_socket);
	tcase_add_test(tc, init_with_no_arguments_is_refused);
	tcase_add_loop_test(tc, init_of_another_class_is_refused, 0, 3);
	tcase_add_test(tc, init_with_a_bad_descriptor_leaves_it_and_can_be_repeated);
	tcase_add_loop_test(tc, what_was_never_initialised_is_refused, 0, 2);
	tcase_add_test(tc, what_was_disposed_of_is_refused);
	tcase_add_test(tc, it_can_be_initialised_again_after_it_was_disposed_of);
	tcase_add_test(tc, it_lives_in_a_private_map);
	tcase_add_loop_test(tc, it_works_on_every_backend, 0, BACKENDS);

	tc = suite_case(suite, "the class");
	tcase_add_loop_test(tc, the_two_callbacks_must_be_implemented, 0, 2);
	tcase_add_test(tc, the_class_itself_can_be_used_to_send);
	tcase_add_test(tc, a_class_inherits_over_two_levels);
	tcase_add_test(tc, the_end_of_the_input_closes);
	tcase_add_test(tc, the_default_handle_close_closes_without_a_word);
	tcase_add_test(tc, it_is_always_readable);
	tcase_add_test(tc, initiate_send_is_of_this_class);
	tcase_add_test(tc, a_socket_without_a_peer_is_taken_unconnected);
	tcase_add_test(tc, dispose_frees_all_that_it_holds);

	tc = suite_case(suite, "buffer sizes");
	tcase_add_test(tc, it_receives_4096_bytes_at_a_time);
	tcase_add_test(tc, a_class_has_its_own_sizes);
	tcase_add_test(tc, a_channel_has_its_own_sizes);
	tcase_add_test(tc, an_impossible_size_is_refused);

	tc = suite_case(suite, "both directions");
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, two_chats_speak_to_each_other, 0, 8);

	tc = suite_case(suite, "files");
	tcase_add_test(tc, it_reads_lines_from_a_pipe);
	tcase_add_test(tc, it_writes_to_a_pipe);
	tcase_add_test(tc, much_goes_through_a_pipe);
	tcase_add_test(tc, it_speaks_on_a_tty);
	tcase_add_test(tc, the_other_end_of_a_tty_closes);
}

SUITE_MAIN("async_chat", add_cases)
