/* SPDX-License-Identifier: BSD-3-Clause */

/* check_terminator.c - the search of src/terminator.h, and find_prefix_at_end(). */

#include "support.h"

#include "terminator.h"

#include <asynchat.h>

enum { LONG = 8192 };

/* --- what is right, the slow way ---------------------------------------------------- */

static size_t naive_prefix_at_end(const char *haystack, size_t len, const char *needle,
				  size_t needle_len)
{
	size_t l = needle_len - 1;

	while (l > 0 && (l > len || memcmp(haystack + len - l, needle, l) != 0))
		l--;
	return l;
}

/* Where the needle ends for the first time in haystack[from..len), or 0. */
static size_t naive_end(const char *haystack, size_t from, size_t len, const char *needle,
			size_t needle_len)
{
	size_t i;

	for (i = from; i + needle_len <= len; i++)
		if (memcmp(haystack + i, needle, needle_len) == 0)
			return i + needle_len;
	return 0;
}

/* The i-th string over the letters a and b, of `len` letters. */
static void letters(unsigned i, size_t len, char *string)
{
	while (len-- > 0)
		string[len] = i >> len & 1 ? 'b' : 'a';
}

/* --- find_prefix_at_end ------------------------------------------------------------- */

/* The last four are of Python's own test suite. */
static const struct {
	const char *haystack, *needle;
	size_t found;
} prefixes[] = {
	{ "", "\r\n", 0 },
	{ "\r", "\r\n", 1 },
	{ "\n", "\r\n", 0 },
	{ "abc\r", "\r\n", 1 },
	{ "abc\r\r", "\r\n", 1 },
	{ "\rabc", "\r\n", 0 },
	{ "a\r\n\r", "\r\n\r\n", 3 },
	{ "a\r\n.", "\r\n.\r\n", 3 },
	{ "a\r\n.\r", "\r\n.\r\n", 4 },
	{ "a\r\n.\r\r", "\r\n.\r\n", 1 },
	{ "aaa", "aaaaa", 3 },
	{ "aaaaaaaa", "aaaaa", 4 },
	{ "xabab", "ababc", 4 },
	{ "xababab", "ababc", 4 },
	{ "a", "a", 0 },
	{ "abc", "", 0 },
	{ "", "", 0 },
	{ "qwerty\r", "\r\n", 1 },
	{ "qwertydkjf", "\r\n", 0 },
	{ "qwerty\r", "\r", 0 },
	{ "", "\n", 0 },
};

START_TEST(find_prefix_at_end_by_table)
{
	const char *haystack = prefixes[_i].haystack, *needle = prefixes[_i].needle;

	ck_assert_uint_eq(asynchat_find_prefix_at_end(haystack, strlen(haystack), needle,
						      strlen(needle)),
			  prefixes[_i].found);
}
END_TEST

START_TEST(find_prefix_at_end_of_any_bytes)
{
	ck_assert_uint_eq(asynchat_find_prefix_at_end("ab\0", 3, "\0\0", 2), 1);
	ck_assert_uint_eq(asynchat_find_prefix_at_end("ab\0\0", 4, "\0\0\1", 3), 2);
	ck_assert_uint_eq(asynchat_find_prefix_at_end("ab\xff\xfe", 4, "\xff\xfe\xfd", 3), 2);
}
END_TEST

START_TEST(find_prefix_at_end_of_nothing_is_none)
{
	ck_assert_uint_eq(asynchat_find_prefix_at_end(NULL, 0, "\r\n", 2), 0);
	ck_assert_uint_eq(asynchat_find_prefix_at_end(NULL, 5, "\r\n", 2), 0);
	ck_assert_uint_eq(asynchat_find_prefix_at_end("a\r", 2, NULL, 2), 0);
	ck_assert_uint_eq(asynchat_find_prefix_at_end("a\r", 2, NULL, 0), 0);
	ck_assert_uint_eq(asynchat_find_prefix_at_end("a\r", 0, "\r\n", 2), 0);
	ck_assert_uint_eq(asynchat_find_prefix_at_end("a\r", 2, "\r\n", 0), 0);
}
END_TEST

START_TEST(find_prefix_at_end_agrees_with_a_naive_one_on_all_small_strings)
{
	const size_t needle_len = (size_t)_i;
	char needle[8], haystack[8];
	unsigned n, h;
	size_t len;

	for (n = 0; n < 1u << needle_len; n++) {
		letters(n, needle_len, needle);
		for (len = 0; len <= 8; len++) {
			for (h = 0; h < 1u << len; h++) {
				letters(h, len, haystack);
				if (asynchat_find_prefix_at_end(haystack, len, needle,
								needle_len) !=
				    naive_prefix_at_end(haystack, len, needle, needle_len))
					ck_abort_msg("%.*s, %.*s", (int)len, haystack,
						     (int)needle_len, needle);
			}
		}
	}
}
END_TEST

/* --- the search in pieces ----------------------------------------------------------- */

static struct terminator terminator(const void *bytes, size_t len)
{
	struct terminator t = { 0, 0, NULL };

	ck_assert_int_eq(terminator_set(&t, bytes, len), 0);
	return t;
}

static size_t search(struct terminator *t, const char *data, size_t len)
{
	return terminator_search(t, (const unsigned char *)data, len);
}

/* Search haystack[0..len), cut behind byte i where bit i of `cuts` is set, and compare
 * each end, and what is matched at each cut, with the slow way. */
static void assert_exact(struct terminator *t, const char *needle, const char *haystack,
			 size_t len, unsigned cuts)
{
	size_t begin = 0, i = 0, to, end, right;

	t->matched = 0;
	while (i < len) {
		for (to = i + 1; to < len && !(cuts >> (to - 1) & 1); to++)
			;
		right = naive_end(haystack, begin, to, needle, t->len);
		end = search(t, haystack + i, to - i);
		if ((end > 0 ? i + end : 0) != right)
			ck_abort_msg("%.*s in %.*s, cuts %x: %zu", (int)t->len, needle, (int)len,
				     haystack, cuts, end);
		i = end > 0 ? right : to;
		if (end > 0)
			begin = right;
		if (t->matched != naive_prefix_at_end(haystack + begin, i - begin, needle, t->len))
			ck_abort_msg("%.*s in %.*s, cuts %x: %zu matched", (int)t->len, needle,
				     (int)len, haystack, cuts, t->matched);
	}
}

/* FIELD B18 */
START_TEST(every_split_of_all_small_strings_finds_the_same)
{
	enum { LEN = 7 };
	const size_t needle_len = (size_t)_i;
	char needle[8], haystack[8];
	unsigned n, h, cuts;

	for (n = 0; n < 1u << needle_len; n++) {
		struct terminator t;

		letters(n, needle_len, needle);
		t = terminator(needle, needle_len);
		for (h = 0; h < 1u << LEN; h++) {
			letters(h, LEN, haystack);
			for (cuts = 0; cuts < 1u << (LEN - 1); cuts++)
				assert_exact(&t, needle, haystack, LEN, cuts);
		}
		terminator_free(&t);
	}
}
END_TEST

START_TEST(terminators_of_protocols_are_found_in_every_split)
{
	static const char *const needles[] = { "\r\n", "\r\n\r\n", "\r\n.\r\n", "aabaab" };
	static const char haystack[] = "\r\r\n\r\n.\r\n.\r\r\n";
	static const char overlapping[] = "aabaaabaabaab";
	const char *needle = needles[_i];
	struct terminator t = terminator(needle, strlen(needle));
	unsigned cuts;

	for (cuts = 0; cuts < 1u << 12; cuts++) {
		assert_exact(&t, needle, haystack, sizeof haystack - 1, cuts);
		assert_exact(&t, needle, overlapping, sizeof overlapping - 1, cuts);
	}
	terminator_free(&t);
}
END_TEST

START_TEST(bytes_may_be_any)
{
	static const char haystack[] = "\0\xff\0\0\xff\0\1";
	struct terminator t = terminator("\0\xff\0\1", 4);
	unsigned cuts;

	for (cuts = 0; cuts < 1u << 6; cuts++)
		assert_exact(&t, "\0\xff\0\1", haystack, 7, cuts);
	terminator_free(&t);
}
END_TEST

START_TEST(searching_nothing_changes_nothing)
{
	struct terminator t = terminator("abc", 3);

	ck_assert_uint_eq(search(&t, "ab", 2), 0);
	ck_assert_uint_eq(search(&t, "", 0), 0);
	ck_assert_uint_eq(t.matched, 2);
	ck_assert_uint_eq(search(&t, "c", 1), 1);
	ck_assert_uint_eq(t.matched, 0);
	terminator_free(&t);
}
END_TEST

START_TEST(after_a_find_the_search_starts_anew)
{
	struct terminator t = terminator("aa", 2);

	/* Not also in the middle of what was found. */
	ck_assert_uint_eq(search(&t, "aaa", 3), 2);
	ck_assert_uint_eq(search(&t, "a", 1), 0);
	ck_assert_uint_eq(t.matched, 1);
	terminator_free(&t);
}
END_TEST

START_TEST(the_bytes_are_copied)
{
	char bytes[] = "abc";
	struct terminator t = terminator(bytes, 3);

	memset(bytes, 'x', 3);
	ck_assert_uint_eq(t.len, 3);
	ck_assert_mem_eq(terminator_bytes(&t), "abc", 3);
	ck_assert_uint_eq(search(&t, "abc", 3), 3);
	terminator_free(&t);
}
END_TEST

START_TEST(setting_replaces_and_begins_anew)
{
	struct terminator t = terminator("abc", 3);

	ck_assert_uint_eq(search(&t, "ab", 2), 0);
	ck_assert_int_eq(terminator_set(&t, "cd", 2), 0);
	ck_assert_uint_eq(t.matched, 0);
	ck_assert_uint_eq(search(&t, "cd", 2), 2);
	/* Also by a part of itself. */
	ck_assert_int_eq(terminator_set(&t, terminator_bytes(&t) + 1, 1), 0);
	ck_assert_mem_eq(terminator_bytes(&t), "d", 1);
	terminator_free(&t);
}
END_TEST

START_TEST(freeing_twice_is_no_error)
{
	struct terminator t = terminator("abc", 3);

	terminator_free(&t);
	ck_assert_uint_eq(t.len, 0);
	ck_assert_ptr_null(t.fallback);
	terminator_free(&t);
}
END_TEST

START_TEST(a_length_that_no_memory_has_is_refused_and_changes_nothing)
{
	struct terminator t = terminator("abc", 3);

	ck_assert_uint_eq(search(&t, "ab", 2), 0);
	ck_assert_int_eq(terminator_set(&t, "", SIZE_MAX), -ENOMEM);
	ck_assert_int_eq(terminator_set(&t, "", SIZE_MAX / 8), -ENOMEM);
	ck_assert_uint_eq(t.matched, 2);
	ck_assert_uint_eq(search(&t, "c", 1), 1);
	terminator_free(&t);
}
END_TEST

/* --- long ones ------------------------------------------------------------------------ */

/* "aaa...ab" */
static char *long_one(void)
{
	char *bytes = malloc(LONG);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 'a', LONG);
	bytes[LONG - 1] = 'b';
	return bytes;
}

START_TEST(a_long_one_is_found_in_every_place)
{
	char *bytes = long_one(), *data = malloc(3 * LONG);
	struct terminator t = terminator(bytes, LONG);
	size_t before, cut;
	bool right = true;

	ck_assert_ptr_nonnull(data);
	for (before = 0; before < 2 * LONG; before += 97) {
		memset(data, 'a', before);
		memcpy(data + before, bytes, LONG);
		cut = before + LONG / 2;
		right = right && search(&t, data, cut) == 0;
		right = right && t.matched == (cut < LONG ? cut : LONG - 1);
		right = right && search(&t, data + cut, before + LONG - cut) ==
				 before + LONG - cut;
	}
	ck_assert(right);
	terminator_free(&t);
	free(data);
	free(bytes);
}
END_TEST

/*
 * No clock: a search that looked again at what it has matched would take 8192 times as
 * long as this one, hours, and run into the limit of Check.
 */
enum { STREAM = 4 << 20 };

/* FIELD B18 */
START_TEST(a_stream_that_almost_matches_everywhere_costs_no_more_than_its_length)
{
	char *bytes = long_one();
	struct terminator t = terminator(bytes, LONG);
	size_t i, found = 0;

	for (i = 0; i < STREAM; i++)
		found += search(&t, "a", 1);
	ck_assert_uint_eq(found, 0);
	ck_assert_uint_eq(t.matched, LONG - 1);
	ck_assert_uint_eq(search(&t, "b", 1), 1);
	terminator_free(&t);
	free(bytes);
}
END_TEST

START_TEST(a_stream_that_falls_back_everywhere_costs_no_more_than_its_length)
{
	char *bytes = long_one(), *data = long_one();
	struct terminator t = terminator(bytes, LONG);
	size_t i, found = 0;

	/* Each c sends the search back step by step, all the way. */
	data[LONG - 1] = 'c';
	for (i = 0; i < STREAM / LONG; i++)
		found += search(&t, data, LONG) + t.matched;
	ck_assert_uint_eq(found, 0);
	terminator_free(&t);
	free(data);
	free(bytes);
}
END_TEST

START_TEST(find_prefix_at_end_costs_no_more_than_the_length)
{
	enum { HUGE_LEN = 1 << 20 };
	char *bytes = malloc(HUGE_LEN), *haystack = malloc(HUGE_LEN);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_ptr_nonnull(haystack);
	memset(bytes, 'a', HUGE_LEN);
	memset(haystack, 'a', HUGE_LEN);
	haystack[HUGE_LEN - 2] = 'b';
	ck_assert_uint_eq(asynchat_find_prefix_at_end(haystack, HUGE_LEN, bytes, HUGE_LEN), 1);
	bytes[HUGE_LEN / 2] = 'b';
	ck_assert_uint_eq(asynchat_find_prefix_at_end(haystack, HUGE_LEN, bytes, HUGE_LEN),
			  HUGE_LEN / 2 + 2);
	free(haystack);
	free(bytes);
}
END_TEST

static void add_cases(Suite *suite)
{
	const int ntable = sizeof prefixes / sizeof prefixes[0];
	TCase *tc = suite_case(suite, "find_prefix_at_end");

	tcase_add_loop_test(tc, find_prefix_at_end_by_table, 0, ntable);
	tcase_add_test(tc, find_prefix_at_end_of_any_bytes);
	tcase_add_test(tc, find_prefix_at_end_of_nothing_is_none);
	tcase_add_loop_test(tc, find_prefix_at_end_agrees_with_a_naive_one_on_all_small_strings,
			    1, 7);
	tcase_add_test(tc, find_prefix_at_end_costs_no_more_than_the_length);

	tc = suite_case(suite, "search");
	tcase_add_loop_test(tc, every_split_of_all_small_strings_finds_the_same, 1, 7);
	tcase_add_loop_test(tc, terminators_of_protocols_are_found_in_every_split, 0, 4);
	tcase_add_test(tc, bytes_may_be_any);
	tcase_add_test(tc, searching_nothing_changes_nothing);
	tcase_add_test(tc, after_a_find_the_search_starts_anew);
	tcase_add_test(tc, the_bytes_are_copied);
	tcase_add_test(tc, setting_replaces_and_begins_anew);
	tcase_add_test(tc, freeing_twice_is_no_error);
	tcase_add_test(tc, a_length_that_no_memory_has_is_refused_and_changes_nothing);
	tcase_add_test(tc, a_long_one_is_found_in_every_place);
	tcase_add_test(tc, a_stream_that_almost_matches_everywhere_costs_no_more_than_its_length);
	tcase_add_test(tc, a_stream_that_falls_back_everywhere_costs_no_more_than_its_length);
}

SUITE_MAIN("terminator", add_cases)
