/* SPDX-License-Identifier: BSD-3-Clause */

/* check_buffer.c - the byte queue of src/buffer.h. */

#include "support.h"

#include "buffer.h"

/* The bytes that a test appends are a count: byte i of the stream is pattern(i). */
static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 131 + (i >> 8) * 7);
}

struct stream {
	struct asyncore_buffer *buffer;
	size_t appended, drained;
};

static void append(struct stream *s, size_t n)
{
	unsigned char *data = malloc(n + 1);
	size_t i;

	ck_assert_ptr_nonnull(data);
	for (i = 0; i < n; i++)
		data[i] = pattern(s->appended + i);
	ck_assert_int_eq(buffer_append(&s->buffer, data, n), 0);
	s->appended += n;
	free(data);
}

/* What waits is what was appended and not drained, byte for byte. */
static void assert_exact(const struct stream *s)
{
	const size_t len = s->appended - s->drained;
	const unsigned char *bytes;
	size_t i;

	ck_assert_uint_eq(buffer_len(s->buffer), len);
	if (len == 0)
		return;
	bytes = buffer_bytes(s->buffer);
	for (i = 0; i < len; i++)
		if (bytes[i] != pattern(s->drained + i))
			ck_abort_msg("byte %zu of %zu is wrong", i, len);
}

static void drained(struct stream *s, size_t n)
{
	buffer_drain(&s->buffer, n);
	s->drained += n;
}

START_TEST(no_buffer_is_an_empty_one)
{
	struct asyncore_buffer *b = NULL;

	ck_assert_uint_eq(buffer_len(b), 0);
	buffer_drain(&b, 0);
	buffer_drain(&b, 10);
	buffer_free(&b);
	ck_assert_ptr_null(b);
}
END_TEST

START_TEST(appending_nothing_allocates_nothing)
{
	struct asyncore_buffer *b = NULL;

	ck_assert_int_eq(buffer_append(&b, "", 0), 0);
	ck_assert_int_eq(buffer_append(&b, NULL, 0), 0);
	ck_assert_ptr_null(b);
}
END_TEST

START_TEST(what_is_appended_is_there)
{
	struct stream s = { .buffer = NULL };

	append(&s, 1);
	append(&s, 10);
	append(&s, 100);
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

START_TEST(what_is_drained_is_gone_from_the_front)
{
	struct stream s = { .buffer = NULL };

	append(&s, 1000);
	drained(&s, 1);
	assert_exact(&s);
	drained(&s, 998);
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

START_TEST(draining_nothing_changes_nothing)
{
	struct stream s = { .buffer = NULL };

	append(&s, 10);
	drained(&s, 0);
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

START_TEST(an_emptied_buffer_is_freed)
{
	struct stream s = { .buffer = NULL };

	append(&s, 10);
	drained(&s, 10);
	ck_assert_ptr_null(s.buffer);
	append(&s, 10);
	assert_exact(&s);
	buffer_drain(&s.buffer, 1000);	/* more than there is */
	ck_assert_ptr_null(s.buffer);
}
END_TEST

START_TEST(any_length_fits)
{
	static const size_t lengths[] = {
		1, 2, 4000, 4040, 4056, 4057, 4095, 4096, 4097, 65535, 65536, 65537, 1000003,
	};
	struct stream s = { .buffer = NULL };

	append(&s, lengths[_i]);
	assert_exact(&s);
	append(&s, lengths[_i]);
	assert_exact(&s);
	drained(&s, lengths[_i]);
	assert_exact(&s);
	append(&s, 1);
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

START_TEST(a_length_that_no_memory_has_is_refused_and_changes_nothing)
{
	struct stream s = { .buffer = NULL };

	ck_assert_int_eq(buffer_append(&s.buffer, "x", SIZE_MAX), -ENOMEM);
	ck_assert_int_eq(buffer_append(&s.buffer, "x", SIZE_MAX / 4 + 1), -ENOMEM);
	ck_assert_ptr_null(s.buffer);
	append(&s, 5000);
	drained(&s, 3000);
	ck_assert_int_eq(buffer_append(&s.buffer, "x", SIZE_MAX), -ENOMEM);
	ck_assert_int_eq(buffer_append(&s.buffer, "x", SIZE_MAX / 4), -ENOMEM);
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

START_TEST(bytes_stay_in_order_however_they_come_and_go)
{
	struct stream s = { .buffer = NULL };
	unsigned state = 12345 + (unsigned)_i;
	int i;

	for (i = 0; i < 3000; i++) {
		size_t waiting = s.appended - s.drained, n;

		state = state * 1103515245 + 12345;
		n = (state >> 8) % (i % 100 == 0 ? 20000 : 300);
		if (state >> 31 && waiting < 100000)
			append(&s, n);
		else if (waiting > 0)
			drained(&s, n < waiting ? n : waiting);
		if (i % 50 == 0)
			assert_exact(&s);
	}
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

/* How often the bytes moved: the block itself, or its contents to the front. */
static int moves(const struct asyncore_buffer *b, const struct asyncore_buffer **last,
		 size_t *start)
{
	int moved = b != *last || b->start < *start;

	*last = b;
	*start = b->start;
	return moved;
}

/* FIELD B16 */
START_TEST(a_long_queue_is_seldom_moved_while_it_grows)
{
	struct stream s = { .buffer = NULL };
	const struct asyncore_buffer *last = NULL;
	size_t start = 0;
	int i, moved = 0;

	for (i = 0; i < 8000; i++) {
		append(&s, 1024);
		moved += moves(s.buffer, &last, &start);
	}
	/* 8 MB by doubling from 4 KB. */
	ck_assert_int_le(moved, 13);
	assert_exact(&s);
	buffer_free(&s.buffer);
}
END_TEST

/* FIELD B16 */
START_TEST(draining_in_tiny_pieces_moves_nothing)
{
	struct stream s = { .buffer = NULL };
	const struct asyncore_buffer *last = NULL;
	size_t start = 0, moved = 0;

	append(&s, 1 << 20);
	moves(s.buffer, &last, &start);
	while (s.drained + 3 < s.appended) {
		drained(&s, 3);
		moved += moves(s.buffer, &last, &start) != 0;
	}
	ck_assert_uint_eq(moved, 0);
	buffer_free(&s.buffer);
}
END_TEST

/* FIELD B16 */
START_TEST(the_bytes_moved_are_linear_while_a_queue_rolls)
{
	/* A peer as fast as we are, but always behind: a queue of constant length. */
	struct stream s = { .buffer = NULL };
	const struct asyncore_buffer *last = NULL;
	const size_t length = (size_t)1000 << _i;
	size_t start = 0, moved_bytes = 0;

	append(&s, length);
	moves(s.buffer, &last, &start);
	while (s.appended < 200 * length) {
		append(&s, 100);
		if (moves(s.buffer, &last, &start))
			moved_bytes += buffer_len(s.buffer);
		drained(&s, 100);
		start = s.buffer->start;
	}
	ck_assert_uint_le(moved_bytes, 2 * s.appended);
	/* ... and so is the memory. */
	ck_assert_uint_le(s.buffer->size, 4 * (length + 4096));
	buffer_free(&s.buffer);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "buffer");

	tcase_add_test(tc, no_buffer_is_an_empty_one);
	tcase_add_test(tc, appending_nothing_allocates_nothing);
	tcase_add_test(tc, what_is_appended_is_there);
	tcase_add_test(tc, what_is_drained_is_gone_from_the_front);
	tcase_add_test(tc, draining_nothing_changes_nothing);
	tcase_add_test(tc, an_emptied_buffer_is_freed);
	tcase_add_loop_test(tc, any_length_fits, 0, 13);
	tcase_add_test(tc, a_length_that_no_memory_has_is_refused_and_changes_nothing);
	tcase_add_loop_test(tc, bytes_stay_in_order_however_they_come_and_go, 0, 5);
	tcase_add_test(tc, a_long_queue_is_seldom_moved_while_it_grows);
	tcase_add_test(tc, draining_in_tiny_pieces_moves_nothing);
	tcase_add_loop_test(tc, the_bytes_moved_are_linear_while_a_queue_rolls, 0, 6);
}

SUITE_MAIN("buffer", add_cases)
