/* SPDX-License-Identifier: BSD-3-Clause */

/* check_producer.c - producers of the library's own: simple, file, evbuffer. */

#include "support.h"

#include <asynchat.h>

#include <event2/buffer.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

/* --- a channel that only sends ---------------------------------------------------------------- */

struct sender {
	struct async_chat chat;
	int closes, errors, last_error, sends, disposes;
	size_t largest;
};

static struct sender the_sender, *const s = &the_sender;
static struct async_chat *const chat = &the_sender.chat;
static struct asyncore_dispatcher *const d = &the_sender.chat.dispatcher;
static int peer;

static int sender_close(struct asyncore_dispatcher *self)
{
	s->closes++;
	return asyncore_close(self);
}

static int sender_error(struct asyncore_dispatcher *self)
{
	const struct asyncore_error *error = asyncore_error(self);

	s->errors++;
	s->last_error = error != NULL ? error->code : 0;
	return 0;
}

static void sender_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	s->disposes++;
}

/* Its send() is the library's own: the kernel may move the bytes of a file. */
static const struct async_chat_type plain_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "sender",
		.handle_close = sender_close,
		.handle_error = sender_error,
		.log_info = log_info_kept,
		.dispose = sender_dispose,
	},
};

static int count_send(struct asyncore_dispatcher *self, const void *data, size_t len)
{
	s->sends++;
	if (len > s->largest)
		s->largest = len;
	return asyncore_dispatcher_send(self, data, len);
}

/* Here it must not, because every byte has to go through send(). */
static const struct async_chat_type counting_type = {
	.dispatcher = { .base = &plain_type.dispatcher, .send = count_send },
};

/* What it is connected to. */
enum { TO_UNIX, TO_TCP, TO_PIPE, TO_COUNTED, KINDS };

static void make_sender(int kind)
{
	int fd[2];

	memset(s, 0, sizeof *s);
	if (kind == TO_TCP)
		tcp_pair(fd);
	else if (kind == TO_PIPE)
		ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	else
		unix_pair(fd);
	if (kind == TO_PIPE) {
		ck_assert_int_eq(async_chat_init(chat, &plain_type, -1, NULL), 0);
		ck_assert_int_eq(asyncore_set_file(d, fd[1]), 0);
		ck_assert_int_eq(asyncore_set_connected(d, true), 0);
		close(fd[1]);
		peer = fd[0];
	} else {
		ck_assert_int_eq(async_chat_init(chat, kind == TO_COUNTED ? &counting_type
									  : &plain_type,
						 fd[0], NULL), 0);
		peer = fd[1];
	}
}

static void end(void)
{
	asyncore_close(d);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(s->disposes, 1);
	if (peer >= 0)
		close(peer);
	peer = -1;
}

static void push(const char *text)
{
	ck_assert_int_eq(async_chat_push(chat, text, strlen(text)), 0);
}

static int push_producer(struct async_chat_producer *producer)
{
	ck_assert_ptr_nonnull(producer);
	return async_chat_push_with_producer(chat, producer);
}

/* --- what is made ------------------------------------------------------------------------------- */

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 8) * 17 + (i >> 16) * 5);
}

static unsigned char *bytes_of_pattern(size_t n)
{
	unsigned char *data = malloc(n + 1);
	size_t i;

	ck_assert_ptr_nonnull(data);
	for (i = 0; i < n; i++)
		data[i] = pattern(i);
	return data;
}

/* A file of n bytes of the pattern, without a name. */
static int file_of(size_t n)
{
	const char *tmp = getenv("TMPDIR");
	unsigned char *data = bytes_of_pattern(n);
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/producer-XXXXXX", tmp != NULL ? tmp : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(write(fd, data, n), (ssize_t)n);
	free(data);
	return fd;
}

/* What a producer gives is this, in pieces of at most `largest`. */
static void expect_pieces(struct async_chat_producer *producer, const void *wanted, size_t n,
			  size_t largest)
{
	const void *data = NULL;
	size_t len = 0, got = 0;
	int r;

	ck_assert_ptr_nonnull(producer);
	while ((r = async_chat_producer_more(producer, &data, &len)) > 0) {
		ck_assert_uint_gt(len, 0);
		ck_assert_uint_le(len, largest);
		ck_assert_uint_le(got + len, n);
		ck_assert_mem_eq(data, (const char *)wanted + got, len);
		got += len;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(got, n);
	async_chat_producer_release(producer);
}

/* The peer gets bytes `from` to `to` of the pattern, and the queue is empty then. */
static void expect_pattern(size_t from, size_t to)
{
	unsigned char data[65536];
	size_t i = from;
	int idle = 0;

	while (i < to) {
		ssize_t k, n = read(peer, data, sizeof data < to - i ? sizeof data : to - i);

		if (n <= 0)
			ck_assert_int_lt(++idle, 1000);
		else
			idle = 0;
		for (k = 0; k < n; k++, i++)
			if (data[k] != pattern(i))
				ck_abort_msg("byte %zu is wrong", i);
		ck_assert_int_eq(asyncore_poll(idle > 2 ? 0.01 : 0.0, NULL), 0);
	}
	for (idle = 0; async_chat_output_entries(chat) > 0; idle++) {
		ck_assert_int_lt(idle, 100);
		step(NULL);
	}
	ck_assert_int_eq(read(peer, data, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

static void expect_text(const char *text)
{
	char data[256];
	size_t len = strlen(text);

	take(peer, data, len);
	ck_assert_mem_eq(data, text, len);
}

static void run_empty(void)
{
	int passes = 0;

	while (async_chat_output_entries(chat) > 0) {
		ck_assert_int_lt(++passes, 1000);
		step(NULL);
	}
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* --- simple -------------------------------------------------------------------------------------- */

START_TEST(a_simple_producer_gives_512_bytes_at_a_time)
{
	unsigned char *data = bytes_of_pattern(2000);
	struct async_chat_producer *p = async_chat_simple_producer_new(data, 2000, 0);
	const void *piece;
	size_t len;

	ck_assert_int_eq(async_chat_producer_more(p, &piece, &len), 1);
	ck_assert_uint_eq(len, 512);
	ck_assert_mem_eq(piece, data, 512);
	async_chat_producer_release(p);
	free(data);
}
END_TEST

static const struct { size_t len, piece; } simple[] = {
	{ 0, 0 }, { 0, 10 }, { 1, 0 }, { 511, 0 }, { 512, 0 }, { 513, 0 }, { 1024, 0 }, { 5000, 0 },
	{ 10, 1 }, { 10, 3 }, { 10, 5 }, { 10, 10 }, { 10, 11 }, { 100000, 65536 },
	{ 100, SIZE_MAX },
};

START_TEST(a_simple_producer_gives_all_its_bytes)
{
	unsigned char *data = bytes_of_pattern(simple[_i].len);

	expect_pieces(async_chat_simple_producer_new(data, simple[_i].len, simple[_i].piece), data,
		      simple[_i].len, simple[_i].piece > 0 ? simple[_i].piece : 512);
	free(data);
}
END_TEST

START_TEST(a_simple_producer_copies)
{
	char data[] = "before";
	struct async_chat_producer *p = async_chat_simple_producer_new(data, 6, 0);

	memcpy(data, "after!", 6);
	expect_pieces(p, "before", 6, 512);
}
END_TEST

START_TEST(a_simple_producer_may_be_of_no_bytes_at_all)
{
	expect_pieces(async_chat_simple_producer_new(NULL, 0, 0), "", 0, 1);
}
END_TEST

START_TEST(a_simple_producer_of_bad_arguments_is_null)
{
	ck_assert_ptr_null(async_chat_simple_producer_new(NULL, 1, 0));
	ck_assert_ptr_null(async_chat_simple_producer_new("x", SIZE_MAX, 0));
}
END_TEST

START_TEST(a_finished_simple_producer_stays_finished)
{
	struct async_chat_producer *p = async_chat_simple_producer_new("x", 1, 0);
	const void *data;
	size_t len;

	ck_assert_int_eq(async_chat_producer_more(p, &data, &len), 1);
	ck_assert_int_eq(async_chat_producer_more(p, &data, &len), 0);
	ck_assert_int_eq(async_chat_producer_more(p, &data, &len), 0);
	async_chat_producer_release(p);
}
END_TEST

START_TEST(a_simple_producer_on_a_channel)
{
	unsigned char *data = bytes_of_pattern(300000);

	make_sender(_i);
	push_producer(async_chat_simple_producer_new(data, 300000, 1000));
	free(data);
	expect_pattern(0, 300000);
	end();
}
END_TEST

/* --- asking directly ------------------------------------------------------------------------------ */

START_TEST(asking_without_arguments_is_refused)
{
	struct async_chat_producer typeless = { NULL };
	struct async_chat_producer *p = async_chat_simple_producer_new("x", 1, 0);
	const void *data;
	size_t len;

	ck_assert_int_eq(async_chat_producer_more(NULL, &data, &len), -EINVAL);
	ck_assert_int_eq(async_chat_producer_more(&typeless, &data, &len), -EINVAL);
	ck_assert_int_eq(async_chat_producer_more(p, NULL, &len), -EINVAL);
	ck_assert_int_eq(async_chat_producer_more(p, &data, NULL), -EINVAL);
	async_chat_producer_release(NULL);
	async_chat_producer_release(&typeless);
	expect_pieces(p, "x", 1, 1);
}
END_TEST

/* One that wraps another, as medusa's do: every piece in brackets. */
struct bracketing {
	struct async_chat_producer producer;
	struct async_chat_producer *inner;
	char piece[600];
};

static int bracketing_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct bracketing *self = (struct bracketing *)producer;
	int r = async_chat_producer_more(self->inner, data, len);

	if (r <= 0)
		return r;
	self->piece[0] = '[';
	memcpy(self->piece + 1, *data, *len);
	self->piece[*len + 1] = ']';
	*data = self->piece;
	*len += 2;
	return 1;
}

static int bracketings_released;

static void bracketing_release(struct async_chat_producer *producer)
{
	async_chat_producer_release(((struct bracketing *)producer)->inner);
	bracketings_released++;
}

static const struct async_chat_producer_type bracketing_type = {
	.more = bracketing_more,
	.release = bracketing_release,
};

START_TEST(a_producer_may_wrap_another)
{
	struct bracketing b = { .producer = { &bracketing_type } };

	bracketings_released = 0;
	b.inner = async_chat_simple_producer_new("abcdefg", 7, 3);
	make_sender(TO_UNIX);
	push_producer(&b.producer);
	run_empty();
	expect_text("[abc][def][g]");
	ck_assert_int_eq(bracketings_released, 1);
	end();
}
END_TEST

/* --- file: asked directly -------------------------------------------------------------------------- */

static const struct { size_t size; long long offset, length; size_t from, to; } range[] = {
	{ 0, 0, -1, 0, 0 },
	{ 1, 0, -1, 0, 1 },
	{ 200000, 0, -1, 0, 200000 },
	{ 200000, 0, 0, 0, 0 },
	{ 200000, 0, 200000, 0, 200000 },
	{ 200000, 100, 1000, 100, 1100 },
	{ 200000, 65536, 65536, 65536, 131072 },
	{ 200000, 199999, -1, 199999, 200000 },
	{ 200000, 200000, -1, 200000, 200000 },		/* at the end */
	{ 200000, 300000, -1, 300000, 300000 },		/* beyond it */
	{ 200000, 199990, 1000, 199990, 200000 },	/* ends early */
	{ 200000, 300000, 10, 300000, 300000 },
	{ 100, 50, 0x7fffffffffffffffLL, 50, 100 },
};
enum { RANGES = sizeof range / sizeof range[0] };

START_TEST(a_file_producer_gives_a_range)
{
	unsigned char *data = bytes_of_pattern(300000);
	int fd = file_of(range[_i].size);

	expect_pieces(async_chat_file_producer_new(fd, range[_i].offset, range[_i].length),
		      data + range[_i].from, range[_i].to - range[_i].from, 65536);
	ck_assert(!is_open(fd));
	free(data);
}
END_TEST

START_TEST(a_file_producer_of_bad_arguments_is_null_and_takes_nothing)
{
	int fd = file_of(1);

	ck_assert_ptr_null(async_chat_file_producer_new(-1, 0, -1));
	ck_assert_ptr_null(async_chat_file_producer_new(fd, -1, -1));
	ck_assert_ptr_null(async_chat_file_producer_new(fd, 0, -2));
	ck_assert(is_open(fd));
	close(fd);
}
END_TEST

START_TEST(a_file_producer_leaves_the_position_of_the_file_alone)
{
	int fd = file_of(100), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	lseek(fd, 17, SEEK_SET);
	make_sender(TO_UNIX);
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	expect_pattern(0, 100);
	ck_assert_int_eq(lseek(copy, 0, SEEK_CUR), 17);
	close(copy);
	end();
}
END_TEST

/* --- file: on a channel ------------------------------------------------------------------------------ */

START_TEST(a_file_arrives_on_every_kind_of_channel)
{
	int fd = file_of(range[_i % RANGES].size);

	make_sender(_i / RANGES);
	ck_assert_int_eq(push_producer(async_chat_file_producer_new(
				 fd, range[_i % RANGES].offset, range[_i % RANGES].length)), 0);
	expect_pattern(range[_i % RANGES].from, range[_i % RANGES].to);
	ck_assert(!is_open(fd));
	ck_assert_int_eq(s->errors, 0);
	end();
}
END_TEST

START_TEST(a_file_keeps_its_place_among_strings)
{
	int fd = file_of(3);
	unsigned char data[3];

	make_sender(_i);
	asyncore_set_connected(d, false);
	push("before ");
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	push(" between ");
	push_producer(async_chat_file_producer_new(file_of(0), 0, -1));
	push_producer(async_chat_file_producer_new(file_of(3), 1, 1));
	push(" behind");
	asyncore_set_connected(d, true);
	run_empty();
	expect_text("before ");
	take(peer, data, 3);
	ck_assert_int_eq(data[0], pattern(0));
	ck_assert_int_eq(data[2], pattern(2));
	expect_text(" between ");
	take(peer, data, 1);
	ck_assert_int_eq(data[0], pattern(1));
	expect_text(" behind");
	end();
}
END_TEST

START_TEST(every_byte_goes_through_a_send_that_is_overridden)
{
	make_sender(TO_COUNTED);
	push_producer(async_chat_file_producer_new(file_of(10000), 0, -1));
	expect_pattern(0, 10000);
	ck_assert_int_ge(s->sends, 3);
	ck_assert_uint_eq(s->largest, 4096);
	end();
}
END_TEST

START_TEST(one_write_event_moves_no_more_than_the_buffer_size)
{
	unsigned char data[65536];

	make_sender(_i);
	push_producer(async_chat_file_producer_new(file_of(20000), 0, -1));
	ck_assert_int_eq(read(peer, data, sizeof data), 4096);
	step(NULL);
	ck_assert_int_eq(read(peer, data, sizeof data), 4096);
	async_chat_set_buffer_sizes(chat, 0, 10000);
	step(NULL);
	ck_assert_int_eq(read(peer, data, sizeof data), 10000);
	end();
}
END_TEST

START_TEST(a_file_that_shrinks_ends_the_producer)
{
	int fd = file_of(1000000), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), passes = 0;
	static char data[1000000];
	size_t len = 0;
	ssize_t n;

	make_sender(_i);
	push_producer(async_chat_file_producer_new(fd, 0, 1000000));
	step(NULL);
	ck_assert_uint_gt(async_chat_output_entries(chat), 0);
	ck_assert_int_eq(ftruncate(copy, 4096), 0);
	push("behind");
	do {
		ck_assert_int_lt(++passes, 1000);
		step(NULL);
		while ((n = read(peer, data + len, sizeof data - len)) > 0)
			len += (size_t)n;
	} while (async_chat_output_entries(chat) > 0);
	ck_assert(!is_open(fd));
	ck_assert_int_eq(s->errors, 0);
	ck_assert_int_eq(s->closes, 0);
	/* What had been read before is sent, and nothing beside the file is lost. */
	ck_assert_uint_ge(len, 4096 + 6);
	ck_assert_uint_le(len, 2 * 65536 + 6);
	ck_assert_mem_eq(data + len - 6, "behind", 6);
	close(copy);
	end();
}
END_TEST

START_TEST(what_a_file_grows_by_is_sent_too)
{
	int fd = file_of(5000), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	unsigned char *data = bytes_of_pattern(9000);

	make_sender(_i);
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	ck_assert_int_eq(pwrite(copy, data + 5000, 4000, 5000), 4000);
	expect_pattern(0, 9000);
	free(data);
	close(copy);
	end();
}
END_TEST

START_TEST(the_same_file_goes_to_many)
{
	int fd = file_of(50000), i;

	make_sender(_i);
	for (i = 0; i < 5; i++) {
		push_producer(async_chat_file_producer_new(fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, -1));
		expect_pattern(0, 50000);
	}
	close(fd);
	end();
}
END_TEST

START_TEST(a_file_is_closed_when_it_is_discarded)
{
	int fd = file_of(10);

	make_sender(TO_UNIX);
	asyncore_set_connected(d, false);
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	ck_assert(is_open(fd));
	async_chat_discard_buffers(chat);
	ck_assert(!is_open(fd));
	end();
}
END_TEST

START_TEST(a_file_is_closed_when_the_channel_is_disposed_of)
{
	int fd = file_of(10);

	make_sender(TO_UNIX);
	asyncore_set_connected(d, false);
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	end();
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(a_file_of_a_failed_push_is_closed)
{
	int fd = file_of(10);

	ck_assert_int_eq(async_chat_push_with_producer(NULL,
						       async_chat_file_producer_new(fd, 0, -1)),
			 -EINVAL);
	ck_assert(!is_open(fd));
}
END_TEST

/* A source whose bytes cannot be had: handle_error() is called, once; the producer is done
 * with, its descriptor closed, and what stands behind it goes out. */
static void expect_failure(int fd, int error, bool behind_a_string)
{
	int i;

	asyncore_set_connected(d, false);
	if (behind_a_string)
		push("before ");
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	push("behind");
	asyncore_set_connected(d, true);
	for (i = 0; i < 10; i++)
		step(NULL);
	ck_assert_int_eq(s->closes, 0);
	ck_assert_int_eq(s->errors, 1);
	ck_assert_int_eq(s->last_error, error);
	ck_assert_uint_eq(async_chat_output_entries(chat), 0);
	ck_assert(!is_open(fd));
	expect_text(behind_a_string ? "before behind" : "behind");
	end();
}

START_TEST(a_directory_is_an_error)
{
	make_sender(_i % KINDS);
	expect_failure(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EISDIR, _i < KINDS);
}
END_TEST

START_TEST(a_file_that_may_not_be_read_is_an_error_and_no_lost_peer)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	make_sender(_i % KINDS);
	expect_failure(fd, -EBADF, _i < KINDS);
}
END_TEST

/* A pipe has no offsets. */
START_TEST(a_pipe_is_an_error)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	put(fd[1], "data", 4);
	close(fd[1]);
	make_sender(_i % KINDS);
	expect_failure(fd[0], -ESPIPE, _i < KINDS);
}
END_TEST

/* What sendfile(2) refuses is read and written: a destination in append mode. */
START_TEST(a_file_is_written_where_sendfile_refuses)
{
	int out = file_of(0), fd = file_of(30000), i;
	unsigned char *data = bytes_of_pattern(30000), *copy = malloc(30000);

	memset(s, 0, sizeof *s);
	peer = -1;
	fcntl(out, F_SETFL, O_APPEND);
	ck_assert_int_eq(async_chat_init(chat, &plain_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_set_file(d, out), 0);
	asyncore_set_connected(d, false);
	push_producer(async_chat_file_producer_new(fd, 0, -1));
	asyncore_set_connected(d, true);
	for (i = 0; i < 20 && async_chat_output_entries(chat) > 0; i++)
		asyncore_write(d);
	ck_assert_int_eq(pread(out, copy, 30000, 0), 30000);
	ck_assert_mem_eq(copy, data, 30000);
	ck_assert_int_eq(s->errors, 0);
	free(data);
	free(copy);
	close(out);
	end();
}
END_TEST

START_TEST(a_peer_that_is_gone_raises_no_sigpipe_for_a_file)
{
	int fd = file_of(10000);

	signal(SIGPIPE, SIG_DFL);
	make_sender(_i);
	asyncore_ref(d);
	close(peer);
	peer = -1;
	ck_assert_int_eq(push_producer(async_chat_file_producer_new(fd, 0, -1)), 0);
	run_until(s->closes > 0, NULL);
	ck_assert_int_eq(s->closes, 1);
	ck_assert_int_eq(s->errors, 0);
	ck_assert(is_open(fd));		/* for a reconnect */
	asyncore_unref(d);
	end();
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(a_file_goes_on_when_a_full_channel_has_room_again)
{
	make_sender(_i);
	async_chat_set_buffer_sizes(chat, 0, 1000000);
	push_producer(async_chat_file_producer_new(file_of(3000000), 0, -1));
	ck_assert_uint_gt(async_chat_output_entries(chat), 0);
	step(NULL);
	ck_assert_int_eq(s->errors, 0);
	expect_pattern(0, 3000000);
	end();
}
END_TEST

/* --- evbuffer --------------------------------------------------------------------------------------- */

static int cleaned;

static void count_clean(const void *data, size_t len, void *arg)
{
	(void)data, (void)len, (void)arg;
	cleaned++;
}

/* In several chains: copies, a reference, part of a file, the pattern all through. */
static struct evbuffer *chains(size_t n, bool with_file)
{
	static unsigned char *data;
	struct evbuffer *buffer = evbuffer_new();
	const size_t quarter = n / 4;

	free(data);
	data = bytes_of_pattern(n);
	ck_assert_ptr_nonnull(buffer);
	evbuffer_add(buffer, data, quarter);
	evbuffer_add_reference(buffer, data + quarter, quarter, count_clean, NULL);
	if (with_file)
		evbuffer_add_file(buffer, file_of(n), (off_t)(2 * quarter), (off_t)quarter);
	else
		evbuffer_add(buffer, data + 2 * quarter, quarter);
	evbuffer_add(buffer, data + 3 * quarter, n - 3 * quarter);
	cleaned = 0;
	return buffer;
}

START_TEST(an_evbuffer_producer_gives_all_chains)
{
	unsigned char *data = bytes_of_pattern(40000);

	expect_pieces(async_chat_evbuffer_producer_new(chains(40000, _i)), data, 40000, 40000);
	ck_assert_int_eq(cleaned, 1);
	free(data);
}
END_TEST

START_TEST(an_evbuffer_producer_of_nothing_is_finished)
{
	expect_pieces(async_chat_evbuffer_producer_new(evbuffer_new()), "", 0, 1);
}
END_TEST

START_TEST(an_evbuffer_with_room_but_no_bytes_is_finished)
{
	struct evbuffer *buffer = evbuffer_new();

	evbuffer_expand(buffer, 10000);
	evbuffer_add(buffer, "x", 1);
	evbuffer_drain(buffer, 1);
	evbuffer_add_reference(buffer, "", 0, NULL, NULL);
	expect_pieces(async_chat_evbuffer_producer_new(buffer), "", 0, 1);
}
END_TEST

START_TEST(an_evbuffer_with_an_empty_chain_in_front_is_given_whole)
{
	struct evbuffer *buffer = evbuffer_new();

	evbuffer_add_reference(buffer, "", 0, NULL, NULL);
	evbuffer_add_reference(buffer, "data", 4, NULL, NULL);
	expect_pieces(async_chat_evbuffer_producer_new(buffer), "data", 4, 4);
}
END_TEST

START_TEST(no_evbuffer_is_no_producer)
{
	ck_assert_ptr_null(async_chat_evbuffer_producer_new(NULL));
}
END_TEST

START_TEST(an_evbuffer_arrives_on_every_kind_of_channel)
{
	make_sender(_i % KINDS);
	push_producer(async_chat_evbuffer_producer_new(chains(300000, _i >= KINDS)));
	expect_pattern(0, 300000);
	ck_assert_int_eq(cleaned, 1);
	end();
}
END_TEST

START_TEST(an_evbuffer_is_freed_when_it_is_discarded)
{
	make_sender(TO_UNIX);
	asyncore_set_connected(d, false);
	push_producer(async_chat_evbuffer_producer_new(chains(1000, false)));
	async_chat_discard_buffers(chat);
	ck_assert_int_eq(cleaned, 1);
	end();
}
END_TEST

START_TEST(an_evbuffer_is_freed_when_the_channel_is_disposed_of)
{
	make_sender(TO_UNIX);
	asyncore_set_connected(d, false);
	push_producer(async_chat_evbuffer_producer_new(chains(1000, false)));
	end();
	ck_assert_int_eq(cleaned, 1);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------ */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "simple");

	tcase_add_test(tc, a_simple_producer_gives_512_bytes_at_a_time);
	tcase_add_loop_test(tc, a_simple_producer_gives_all_its_bytes, 0,
			    sizeof simple / sizeof simple[0]);
	tcase_add_test(tc, a_simple_producer_copies);
	tcase_add_test(tc, a_simple_producer_may_be_of_no_bytes_at_all);
	tcase_add_test(tc, a_simple_producer_of_bad_arguments_is_null);
	tcase_add_test(tc, a_finished_simple_producer_stays_finished);
	tcase_add_loop_test(tc, a_simple_producer_on_a_channel, 0, KINDS);

	tc = suite_case(suite, "asking directly");
	tcase_add_test(tc, asking_without_arguments_is_refused);
	tcase_add_test(tc, a_producer_may_wrap_another);

	tc = suite_case(suite, "file");
	tcase_add_loop_test(tc, a_file_producer_gives_a_range, 0, RANGES);
	tcase_add_test(tc, a_file_producer_of_bad_arguments_is_null_and_takes_nothing);
	tcase_add_test(tc, a_file_producer_leaves_the_position_of_the_file_alone);

	tc = suite_case(suite, "a file on a channel");
	tcase_add_loop_test(tc, a_file_arrives_on_every_kind_of_channel, 0, RANGES * KINDS);
	tcase_add_loop_test(tc, a_file_keeps_its_place_among_strings, 0, KINDS);
	tcase_add_test(tc, every_byte_goes_through_a_send_that_is_overridden);
	tcase_add_loop_test(tc, one_write_event_moves_no_more_than_the_buffer_size, 0, KINDS);
	tcase_add_loop_test(tc, a_file_that_shrinks_ends_the_producer, 0, KINDS);
	tcase_add_loop_test(tc, what_a_file_grows_by_is_sent_too, 0, KINDS);
	tcase_add_loop_test(tc, the_same_file_goes_to_many, 0, KINDS);
	tcase_add_loop_test(tc, a_file_goes_on_when_a_full_channel_has_room_again, 0, KINDS);
	tcase_add_test(tc, a_file_is_written_where_sendfile_refuses);

	tc = suite_case(suite, "a file and its end");
	tcase_add_test(tc, a_file_is_closed_when_it_is_discarded);
	tcase_add_test(tc, a_file_is_closed_when_the_channel_is_disposed_of);
	tcase_add_test(tc, a_file_of_a_failed_push_is_closed);
	tcase_add_loop_test(tc, a_directory_is_an_error, 0, 2 * KINDS);
	tcase_add_loop_test(tc, a_file_that_may_not_be_read_is_an_error_and_no_lost_peer, 0,
			    2 * KINDS);
	tcase_add_loop_test(tc, a_pipe_is_an_error, 0, 2 * KINDS);
	tcase_add_loop_test(tc, a_peer_that_is_gone_raises_no_sigpipe_for_a_file, 0, KINDS);

	tc = suite_case(suite, "evbuffer");
	tcase_add_loop_test(tc, an_evbuffer_producer_gives_all_chains, 0, 2);
	tcase_add_test(tc, an_evbuffer_producer_of_nothing_is_finished);
	tcase_add_test(tc, an_evbuffer_with_room_but_no_bytes_is_finished);
	tcase_add_test(tc, an_evbuffer_with_an_empty_chain_in_front_is_given_whole);
	tcase_add_test(tc, no_evbuffer_is_no_producer);
	tcase_add_loop_test(tc, an_evbuffer_arrives_on_every_kind_of_channel, 0, 2 * KINDS);
	tcase_add_test(tc, an_evbuffer_is_freed_when_it_is_discarded);
	tcase_add_test(tc, an_evbuffer_is_freed_when_the_channel_is_disposed_of);
}

SUITE_MAIN("producer", add_cases)
