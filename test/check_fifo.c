/* SPDX-License-Identifier: BSD-3-Clause */

/* check_fifo.c - the output queue of src/fifo.h. */

#include "support.h"

#include "fifo.h"

#include <asynchat.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#if defined(__GLIBC__) && !defined(SANITIZED)
#define OWN_MALLOC
#endif

/* Calls of realloc(), and the bytes that they may have moved. */
static size_t reallocs, moved;

#ifdef OWN_MALLOC

extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *old, size_t size);

/* As malloc() does, it gives out again at once what was freed a moment ago. */
void *calloc(size_t n, size_t size)
{
	void *p = size == 0 || n <= SIZE_MAX / size ? __libc_malloc(n * size) : NULL;

	return p != NULL ? memset(p, 0, n * size) : NULL;
}

void *realloc(void *old, size_t size)
{
	reallocs++;
	moved += size / 2;
	return __libc_realloc(old, size);
}

#endif

/* --- what a queue is filled with ------------------------------------------------------------ */

static struct fifo fifo, *const f = &fifo;

static int releases;
static char order[256];

static void released(const void *data, size_t len, void *arg)
{
	(void)len, (void)arg;
	releases++;
	strncat(order, data, 1);
}

/* Each byte of the script is a piece of that byte, three times; "." is not yet, "!" an
 * error. */
struct source {
	struct async_chat_producer producer;
	const char *script;
	char piece[3];
	int asked, releases;
	void (*inside)(struct source *);
};

static int source_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct source *s = (struct source *)producer;
	char c = *s->script;

	s->asked++;
	if (s->inside != NULL)
		s->inside(s);
	if (c == '\0')
		return 0;
	s->script++;
	if (c == '.')
		return ASYNC_CHAT_NOT_YET;
	if (c == '!')
		return -EIO;
	memset(s->piece, c, 3);
	*data = s->piece;
	*len = 3;
	return 1;
}

static void source_release(struct async_chat_producer *producer)
{
	((struct source *)producer)->releases++;
	releases++;
	strcat(order, "P");
}

static const struct async_chat_producer_type source_type = {
	.more = source_more,
	.release = source_release,
};

#define SOURCE(text) { .producer = { &source_type }, .script = (text) }

static void fresh(void)
{
	memset(f, 0, sizeof *f);
	releases = 0;
	order[0] = '\0';
	reallocs = moved = 0;
}

static void run(const char *text)
{
	ck_assert_int_eq(fifo_push(f, text, strlen(text)), 0);
}

static void reference(const char *text)
{
	ck_assert_int_eq(fifo_push_reference(f, text, strlen(text), released, NULL), 0);
}

static void source(struct source *s)
{
	ck_assert_int_eq(fifo_push_producer(f, &s->producer), 0);
}

static void assert_head(const char *text)
{
	const unsigned char *data;
	size_t len;

	ck_assert(fifo_head(f, &data, &len));
	ck_assert_uint_eq(len, strlen(text));
	ck_assert_mem_eq(data, text, len);
}

static void assert_no_head(void)
{
	const unsigned char *data;
	size_t len;

	ck_assert(!fifo_head(f, &data, &len));
}

static void assert_empty(void)
{
	ck_assert_ptr_null(f->first);
	ck_assert_ptr_null(f->last);
	ck_assert_uint_eq(f->entries, 0);
	ck_assert_uint_eq(f->bytes, 0);
	assert_no_head();
}

/* --- entries ---------------------------------------------------------------------------------- */

START_TEST(a_queue_of_zeros_is_empty)
{
	fresh();
	assert_empty();
	fifo_gather(f, 4096);
	fifo_clear(f);
	assert_empty();
}
END_TEST

START_TEST(pushes_in_a_row_are_one_run)
{
	fresh();
	run("ab");
	run("cd");
	ck_assert_uint_eq(f->entries, 1);
	ck_assert_uint_eq(f->bytes, 4);
	assert_head("abcd");
	fifo_clear(f);
	assert_empty();
}
END_TEST

START_TEST(a_push_behind_something_else_is_another_run)
{
	struct source s = SOURCE("a");

	fresh();
	run("1");
	reference("2");
	run("3");
	source(&s);
	run("4");
	ck_assert_int_eq(fifo_push_close(f), 0);
	run("5");
	ck_assert_uint_eq(f->entries, 7);
	ck_assert_uint_eq(f->bytes, 5);
	fifo_clear(f);
	assert_empty();
	ck_assert_int_eq(releases, 2);
}
END_TEST

START_TEST(what_was_sent_goes)
{
	fresh();
	run("abcd");
	reference("efgh");
	fifo_sent(f, 1);
	assert_head("bcd");
	ck_assert_uint_eq(f->bytes, 7);
	fifo_sent(f, 3);
	assert_head("efgh");
	ck_assert_uint_eq(f->entries, 1);
	fifo_sent(f, 3);
	assert_head("h");
	ck_assert_int_eq(releases, 0);
	fifo_sent(f, 1);
	ck_assert_int_eq(releases, 1);
	assert_empty();
}
END_TEST

START_TEST(every_head_that_goes_counts)
{
	unsigned turn;

	fresh();
	turn = f->turn;
	run("ab");
	reference("c");
	fifo_sent(f, 1);
	ck_assert_uint_eq(f->turn, turn);
	fifo_sent(f, 1);
	ck_assert_uint_eq(f->turn, turn + 1);
	fifo_pop(f);
	ck_assert_uint_eq(f->turn, turn + 2);
}
END_TEST

START_TEST(clearing_releases_in_order)
{
	struct source s = SOURCE("a");

	fresh();
	reference("1");
	reference("2");
	source(&s);
	run("x");
	reference("3");
	fifo_clear(f);
	ck_assert_str_eq(order, "12P3");
	assert_empty();
}
END_TEST

START_TEST(a_close_mark_has_no_bytes)
{
	fresh();
	ck_assert_int_eq(fifo_push_close(f), 0);
	ck_assert_uint_eq(f->entries, 1);
	assert_no_head();
	fifo_gather(f, 4096);
	ck_assert_uint_eq(f->entries, 1);
	ck_assert_int_eq(f->first->kind, FIFO_CLOSE);
	fifo_clear(f);
}
END_TEST

START_TEST(too_much_is_refused_and_nothing_changed)
{
	fresh();
	ck_assert_int_eq(fifo_push(f, "x", SIZE_MAX / 2), -ENOMEM);
	assert_empty();
	run("ab");
	ck_assert_int_eq(fifo_push(f, "x", SIZE_MAX / 2), -ENOMEM);
	assert_head("ab");
	ck_assert_uint_eq(f->bytes, 2);
	fifo_clear(f);
}
END_TEST

/* --- producers -------------------------------------------------------------------------------- */

START_TEST(a_producer_gives_its_pieces_and_goes)
{
	struct source s = SOURCE("ab");

	fresh();
	source(&s);
	assert_no_head();
	ck_assert_int_eq(fifo_more(f), 1);
	assert_head("aaa");
	ck_assert_uint_eq(f->bytes, 3);
	fifo_sent(f, 3);
	ck_assert_uint_eq(f->entries, 1);
	ck_assert_int_eq(fifo_more(f), 1);
	assert_head("bbb");
	fifo_sent(f, 2);
	assert_head("b");
	fifo_sent(f, 1);
	ck_assert_int_eq(s.releases, 0);
	ck_assert_int_eq(fifo_more(f), 0);
	ck_assert_int_eq(s.releases, 1);
	assert_empty();
}
END_TEST

START_TEST(a_producer_that_has_nothing_yet_stays)
{
	struct source s = SOURCE(".a");

	fresh();
	source(&s);
	ck_assert_int_eq(fifo_more(f), ASYNC_CHAT_NOT_YET);
	ck_assert(f->first->waits);
	ck_assert_uint_eq(f->entries, 1);
	assert_no_head();
	ck_assert_int_eq(s.releases, 0);
	fifo_clear(f);
	ck_assert_int_eq(s.releases, 1);
}
END_TEST

START_TEST(a_producer_that_fails_goes)
{
	struct source s = SOURCE("!");

	fresh();
	source(&s);
	run("behind");
	ck_assert_int_eq(fifo_more(f), -EIO);
	ck_assert_int_eq(s.releases, 1);
	assert_head("behind");
	fifo_clear(f);
	ck_assert_int_eq(s.releases, 1);
}
END_TEST

static void clear_inside(struct source *s)
{
	(void)s;
	fifo_clear(f);
	ck_assert_int_eq(releases, 0);	/* not while it runs */
}

START_TEST(a_producer_that_clears_the_queue_is_released_behind_its_call)
{
	struct source s = SOURCE("a");
	int r;

	fresh();
	s.inside = clear_inside;
	source(&s);
	r = fifo_more(f);
	ck_assert_int_ne(r, 1);
	ck_assert_int_eq(s.releases, 1);
	assert_empty();
}
END_TEST

/* --- gathering -------------------------------------------------------------------------------- */

START_TEST(whole_pieces_are_gathered_as_far_as_they_fit)
{
	struct source s = SOURCE("abc");

	fresh();
	run("12");
	source(&s);
	fifo_gather(f, 9);
	assert_head("12aaabbb");
	ck_assert_uint_eq(f->bytes, 11);	/* "ccc" was made and did not fit */
	ck_assert_int_eq(s.releases, 0);
	fifo_sent(f, 8);
	assert_head("ccc");
	fifo_sent(f, 3);
	ck_assert_int_eq(fifo_more(f), 0);
	assert_empty();
}
END_TEST

START_TEST(a_producer_that_finishes_while_it_is_gathered_goes)
{
	struct source s = SOURCE("ab");

	fresh();
	run("1");
	source(&s);
	run("2");
	fifo_gather(f, 100);
	assert_head("1aaabbb2");
	ck_assert_uint_eq(f->entries, 1);
	ck_assert_uint_eq(f->bytes, 8);
	ck_assert_int_eq(s.releases, 1);
	fifo_clear(f);
}
END_TEST

START_TEST(gathering_stops_before_a_close_mark)
{
	fresh();
	run("1");
	ck_assert_int_eq(fifo_push_close(f), 0);
	run("2");
	fifo_gather(f, 100);
	assert_head("1");
	ck_assert_uint_eq(f->entries, 3);
	fifo_clear(f);
}
END_TEST

START_TEST(gathering_stops_before_a_producer_that_waits)
{
	struct source s = SOURCE("a.b");

	fresh();
	run("1");
	source(&s);
	run("2");
	fifo_gather(f, 100);
	assert_head("1aaa");
	ck_assert_int_eq(s.asked, 2);
	fifo_gather(f, 100);
	ck_assert_int_eq(s.asked, 2);
	fifo_sent(f, 4);
	assert_no_head();
	fifo_clear(f);
	ck_assert_int_eq(s.releases, 1);
}
END_TEST

START_TEST(an_error_is_told_in_its_turn)
{
	struct source s = SOURCE("a!");

	fresh();
	run("1");
	source(&s);
	fifo_gather(f, 100);
	assert_head("1aaa");
	ck_assert_int_eq(s.releases, 0);
	fifo_sent(f, 4);
	ck_assert_int_eq(fifo_more(f), -EIO);
	ck_assert_int_eq(s.asked, 2);
	ck_assert_int_eq(s.releases, 1);
	assert_empty();
}
END_TEST

START_TEST(a_head_that_is_large_enough_stays_as_it_is)
{
	struct source s = SOURCE("a");

	fresh();
	reference("0123456789");
	source(&s);
	fifo_gather(f, 10);
	ck_assert_uint_eq(f->entries, 2);
	ck_assert_int_eq(f->first->kind, FIFO_REFERENCE);
	ck_assert_int_eq(s.asked, 0);
	fifo_clear(f);
}
END_TEST

START_TEST(a_single_entry_stays_as_it_is)
{
	static const char data[] = "data";
	const unsigned char *head;
	size_t len;

	fresh();
	reference(data);
	fifo_gather(f, 100);
	ck_assert(fifo_head(f, &head, &len));
	ck_assert_ptr_eq(head, data);
	ck_assert_int_eq(releases, 0);
	fifo_clear(f);
}
END_TEST

START_TEST(gathering_nothing_leaves_the_queue_as_it_was)
{
	struct source s = SOURCE(".");

	fresh();
	source(&s);
	run("behind");
	fifo_gather(f, 100);
	ck_assert_uint_eq(f->entries, 2);
	ck_assert_uint_eq(f->bytes, 6);
	ck_assert_ptr_eq(f->first->producer, &s.producer);
	fifo_clear(f);
}
END_TEST

static void clear_and_push(struct source *s)
{
	static struct source other;

	s->inside = NULL;
	memset(&other, 0, sizeof other);
	other.producer.type = &source_type;
	other.script = "z";
	fifo_clear(f);
	source(&other);
}

/* The new entry may stand where the head stood in memory. */
START_TEST(a_producer_that_is_gathered_may_replace_the_queue)
{
	struct source s = SOURCE("a");

	fresh();
	s.inside = clear_and_push;
	run("1");
	source(&s);
	fifo_gather(f, 100);
	ck_assert_int_eq(s.releases, 1);
	ck_assert_int_eq(releases, 1);
	ck_assert_uint_eq(f->entries, 1);
	ck_assert_int_eq(fifo_more(f), 1);
	assert_head("zzz");
	fifo_clear(f);
}
END_TEST

/* --- against a model -------------------------------------------------------------------------- */

START_TEST(any_mixture_comes_out_as_it_went_in)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz";
	static struct source s[2000];
	static char in[100000], out[100000];
	size_t made = 0, sent = 0;
	unsigned seed = (unsigned)_i + 1;
	const unsigned char *data;
	size_t len;
	int i, nsources = 0, r;

	fresh();
	memset(s, 0, sizeof s);
	for (i = 0; i < 4000; i++) {
		size_t n;

		seed = seed * 1103515245 + 12345;
		n = (seed >> 16) % 26 + 1;
		switch ((seed >> 24) % 5) {
		case 0:
			ck_assert_int_eq(fifo_push(f, text, n), 0);
			memcpy(in + made, text, n);
			made += n;
			break;
		case 1:
			ck_assert_int_eq(fifo_push_reference(f, text, n, NULL, NULL), 0);
			memcpy(in + made, text, n);
			made += n;
			break;
		case 2:
			s[nsources].producer.type = &source_type;
			s[nsources].script = text + 26 - n % 5;
			for (r = 0; s[nsources].script[r] != '\0'; r++, made += 3)
				memset(in + made, s[nsources].script[r], 3);
			source(&s[nsources++]);
			order[0] = '\0';
			break;
		default:
			if (f->first == NULL)
				break;
			fifo_gather(f, n * 3);
			if (!fifo_head(f, &data, &len)) {
				if (f->first != NULL)
					fifo_more(f);
				order[0] = '\0';
				break;
			}
			len = len < n * 3 ? len : n * 3;
			memcpy(out + sent, data, len);
			fifo_sent(f, len);
			sent += len;
			order[0] = '\0';
		}
	}
	while (f->first != NULL) {
		fifo_gather(f, 40);
		order[0] = '\0';
		if (!fifo_head(f, &data, &len)) {
			if (f->first != NULL)
				fifo_more(f);
			order[0] = '\0';
			continue;
		}
		memcpy(out + sent, data, len);
		fifo_sent(f, len);
		sent += len;
	}
	ck_assert_uint_eq(sent, made);
	ck_assert_mem_eq(out, in, made);
	assert_empty();
	for (i = 0; i < nsources; i++)
		ck_assert_int_eq(s[i].releases, 1);
}
END_TEST

/* --- what it costs ---------------------------------------------------------------------------- */

START_TEST(many_pushes_that_wait_move_few_bytes)
{
#ifdef OWN_MALLOC
	const size_t n = 100000, len = 100;
	char data[100];
	size_t i;

	fresh();
	memset(data, 'x', sizeof data);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(fifo_push(f, data, len), 0);
		fifo_gather(f, 4096);		/* as every push() does */
	}
	ck_assert_uint_le(reallocs, 30);
	ck_assert_uint_le(moved, 4 * n * len);
	ck_assert_uint_eq(f->entries, 1);
	/* And out again, in sends of the buffer size. */
	while (f->first != NULL)
		fifo_sent(f, f->bytes < 4096 ? f->bytes : 4096);
	ck_assert_uint_le(reallocs, 30);
#endif
	fifo_clear(f);
}
END_TEST

START_TEST(many_entries_that_wait_behind_a_large_one_are_not_touched)
{
	static char large[5000];
	const int n = 20000;
	int i;

	fresh();
	ck_assert_int_eq(fifo_push_reference(f, large, sizeof large, NULL, NULL), 0);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(fifo_push_reference(f, "x", 1, released, NULL), 0);
		order[0] = '\0';
		fifo_gather(f, 4096);
	}
	ck_assert_uint_eq(f->entries, (size_t)n + 1);
	ck_assert_int_eq(releases, 0);
	while (f->first != NULL) {
		fifo_pop(f);
		order[0] = '\0';
	}
	ck_assert_int_eq(releases, n);
}
END_TEST

/* --------------------------------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "entries");

	tcase_add_test(tc, a_queue_of_zeros_is_empty);
	tcase_add_test(tc, pushes_in_a_row_are_one_run);
	tcase_add_test(tc, a_push_behind_something_else_is_another_run);
	tcase_add_test(tc, what_was_sent_goes);
	tcase_add_test(tc, every_head_that_goes_counts);
	tcase_add_test(tc, clearing_releases_in_order);
	tcase_add_test(tc, a_close_mark_has_no_bytes);
	tcase_add_test(tc, too_much_is_refused_and_nothing_changed);

	tc = suite_case(suite, "producers");
	tcase_add_test(tc, a_producer_gives_its_pieces_and_goes);
	tcase_add_test(tc, a_producer_that_has_nothing_yet_stays);
	tcase_add_test(tc, a_producer_that_fails_goes);
	tcase_add_test(tc, a_producer_that_clears_the_queue_is_released_behind_its_call);

	tc = suite_case(suite, "gathering");
	tcase_add_test(tc, whole_pieces_are_gathered_as_far_as_they_fit);
	tcase_add_test(tc, a_producer_that_finishes_while_it_is_gathered_goes);
	tcase_add_test(tc, gathering_stops_before_a_close_mark);
	tcase_add_test(tc, gathering_stops_before_a_producer_that_waits);
	tcase_add_test(tc, an_error_is_told_in_its_turn);
	tcase_add_test(tc, a_head_that_is_large_enough_stays_as_it_is);
	tcase_add_test(tc, a_single_entry_stays_as_it_is);
	tcase_add_test(tc, gathering_nothing_leaves_the_queue_as_it_was);
	tcase_add_test(tc, a_producer_that_is_gathered_may_replace_the_queue);
	tcase_add_loop_test(tc, any_mixture_comes_out_as_it_went_in, 0, 10);

	tc = suite_case(suite, "what it costs");
	tcase_add_test(tc, many_pushes_that_wait_move_few_bytes);
	tcase_add_test(tc, many_entries_that_wait_behind_a_large_one_are_not_touched);
}

SUITE_MAIN("fifo", add_cases)
