/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_timer.c - calls that come later, of maps and of channels, and idle timeouts.
 *
 * Most tests run six times: on a map that asyncore_loop() drives, on each of libevent's
 * backends, and on one that the application's event_base_dispatch() drives.
 *
 * No test asserts that anything came soon, only that nothing came early and that
 * everything came in order; what never comes runs into an alarm.
 */

#include "support.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <event2/event.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

/* --- time --------------------------------------------------------------------------- */

static int64_t stopped;		/* the time at which the monotonic clock stands; 0: it runs */

int clock_gettime(clockid_t id, struct timespec *t)
{
	if (id != CLOCK_MONOTONIC || stopped == 0)
		return (int)syscall(SYS_clock_gettime, id, t);
	t->tv_sec = (time_t)(stopped / 1000000000);
	t->tv_nsec = (long)(stopped % 1000000000);
	return 0;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t after(double seconds)
{
	return now() + (int64_t)(seconds * 1e9);
}

/* Keep everybody waiting, as a long handler does. */
static void work(double seconds)
{
	int64_t done = after(seconds);

	while (now() < done)
		;
}

/* --- what a test has: a map, a channel, timers --------------------------------------- */

/* A timer, and what became of it. */
struct call {
	char name;			/* for the trace */
	int id;
	int64_t due, due_max;		/* it is due between these */
	int64_t period;
	int calls, releases;
	bool running;
	int (*then)(struct call *);	/* what it does */
	void (*at_release)(struct call *);
	struct call *other;		/* for `then` and `at_release` */
	struct probe *probe;		/* whose it is */
	int result;
};

enum { DRIVERS = 2 * BACKENDS };	/* the second half: the application's loop */

static struct event_base *base;
static struct asyncore_map *map, *other_map;
static bool attached, use_poll;
static int variant;			/* of the test */
static struct call a, b, c, d;
static struct probe *p;
static int peer;

static void begin_on(int driver)
{
	base = backend_base(driver % BACKENDS);
	map = asyncore_map_new(base);
	ck_assert_ptr_nonnull(map);
	attached = driver >= BACKENDS;
	use_poll = false;
	a = (struct call){ .name = 'a' };
	b = (struct call){ .name = 'b' };
	c = (struct call){ .name = 'c' };
	d = (struct call){ .name = 'd' };
	p = NULL;
	peer = -1;
}

static void begin(int i)
{
	begin_on(i % DRIVERS);
	variant = i / DRIVERS;
}

/* A map that asyncore_loop() drives. */
static void begin_own(int i)
{
	begin_on(i % BACKENDS);
	variant = i / BACKENDS;
}

static struct probe *channel(void)
{
	return p = probe_and_peer(map, &peer);
}

static void assert_released(const struct call *t)
{
	ck_assert_int_eq(t->releases, t->id != 0);
}

/* Every timer was released once, and the channel disposed of. */
static void end(void)
{
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
	assert_released(&a);
	assert_released(&b);
	assert_released(&c);
	assert_released(&d);
	if (p != NULL)
		ck_assert_int_eq(probes_disposed, 1);
	if (peer >= 0)
		close(peer);
}

/* Until the loop ends by itself: 0, or what left it (attached: only that it was left). */
static int run_out(void)
{
	int r;

	alarm(10);
	if (attached) {
		ck_assert_int_ge(event_base_dispatch(base), 0);
		r = event_base_got_break(base) ? -1 : 0;
	} else {
		r = asyncore_loop(-1.0, use_poll, map, -1);
	}
	alarm(0);
	return r;
}

#define run() ck_assert_int_eq(run_out(), 0)
#define traced(calls) ck_assert_str_eq(trace, calls)

/* One pass without waiting. */
static void turn(void)
{
	if (attached)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
	else
		step(map);
}

#define turn_until(condition) \
	do { \
		alarm(10); \
		while (!(condition)) \
			turn(); \
		alarm(0); \
	} while (0)

/* The call has come: not early, not after its release, not inside itself. */
static int came(struct call *t)
{
	int64_t early = t->due - now();
	int r;

	ck_assert_msg(early <= 0, "%c: %lld ns early", t->name, (long long)early);
	ck_assert_int_eq(t->releases, 0);
	ck_assert(!t->running);
	t->running = true;
	t->due += t->period;
	t->calls++;
	if (t->name != '\0')
		trace_call("%c ", t->name);
	r = t->then != NULL ? t->then(t) : t->result;
	t->running = false;
	return r;
}

static int ran(struct asyncore_map *of, void *arg)
{
	ck_assert_ptr_eq(of, map);
	return came(arg);
}

static int ran_on(struct asyncore_dispatcher *self, void *arg)
{
	struct call *t = arg;

	ck_assert_ptr_eq(self, &t->probe->dispatcher);
	return came(t);
}

/* `arg` is given back when nobody needs it any more. */
static void released(void *arg)
{
	struct call *t = arg;

	ck_assert(!t->running);
	t->releases++;
	if (t->at_release != NULL)
		t->at_release(t);
}

static void set(struct call *t, double seconds, bool repeats)
{
	assert_released(t);
	t->calls = t->releases = 0;
	t->period = repeats ? (int64_t)(seconds * 1e9) : 0;
	t->due = after(seconds);
	if (t->probe != NULL)
		t->id = (repeats ? asyncore_channel_call_every : asyncore_channel_call_later)
			(&t->probe->dispatcher, seconds, ran_on, t, released);
	else
		t->id = (repeats ? asyncore_call_every : asyncore_call_later)
			(map, seconds, ran, t, released);
	t->due_max = after(seconds);
	ck_assert_int_gt(t->id, 0);
}

/* A timer of the map, or of the channel if t->probe is set. */
static void later(struct call *t, double seconds)
{
	set(t, seconds, false);
}

static void every(struct call *t, double seconds)
{
	set(t, seconds, true);
}

static void reset(struct call *t, double seconds)
{
	t->due = after(seconds);
	if (t->period > 0)
		t->period = (int64_t)(seconds * 1e9);
	ck_assert_int_eq(asyncore_reset(map, t->id, seconds), 0);
	t->due_max = after(seconds);
}

static int cancel(struct call *t)
{
	return asyncore_cancel(map, t->id);
}

/* There is no such timer (any more). */
static void assert_unknown(int id)
{
	ck_assert_int_eq(asyncore_cancel(map, id), -ENOENT);
	ck_assert_int_eq(asyncore_reset(map, id, 1.0), -ENOENT);
	ck_assert_int_eq(asyncore_reset(map, id, -1.0), -ENOENT);
	ck_assert(asyncore_remaining(map, id) == -1.0);
}

/* Things for a timer to do. */

static int close_probe(struct call *t)
{
	return asyncore_close(&t->probe->dispatcher);
}

static int cancel_other(struct call *t)
{
	ck_assert_int_eq(cancel(t->other), 0);
	return 0;
}

static int cancel_self_at_third(struct call *t)
{
	return t->calls == 3 ? cancel(t) : 0;
}

/* With something to read for the channel, which shows in which pass the other runs. */
static int set_other(struct call *t)
{
	later(t->other, 0.0);
	if (peer >= 0)
		put(peer, "x", 1);
	return 0;
}

static int reset_other(struct call *t)
{
	reset(t->other, 0.0);
	put(peer, "x", 1);
	return 0;
}

/* --- when they run ------------------------------------------------------------------ */

START_TEST(timer_runs_once_and_not_early)
{
	begin(_i);
	later(&a, 0.003);
	ck_assert_uint_eq(asyncore_timers(map), 1);
	run();
	traced("a ");
	ck_assert_int_eq(a.releases, 1);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	assert_unknown(a.id);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED |
						   EVENT_BASE_COUNT_ACTIVE), 0);
	end();
}
END_TEST

static int nothing(struct probe *self)
{
	(void)self;
	return 0;
}

/* libevent's own timers are early then, by a tick of the coarse clock. */
START_TEST(timers_are_not_early_while_events_wake_the_loop)
{
	struct call t[20];
	int i;

	begin(_i);
	if (variant == 0) {
		channel()->wants_write = 1;
	} else {
		FILE *file = tmpfile();		/* always ready */

		p = probe_new(-1, map);
		p->on_read = nothing;
		ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fileno(file)), 0);
		fclose(file);
	}
	asyncore_ref(&p->dispatcher);
	for (i = 0; i < 20; i++) {
		t[i] = (struct call){ .name = '\0' };
		later(&t[i], 0.0007 * (7 * i % 20));
	}
	t[17].probe = p;	/* the last one due */
	t[17].then = close_probe;
	run();
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(t[i].calls, 1);
	ck_assert_int_gt(p->writes + p->reads, 0);
	asyncore_unref(&p->dispatcher);
	end();
}
END_TEST

/* In passes of their own, and all in one pass. */
START_TEST(order_is_that_in_which_they_are_due)
{
	begin(_i);
	stopped = now();
	later(&a, 0.003);
	later(&b, 0.001);
	later(&c, 0.002);
	stopped = 0;
	if (variant == 1)
		work(0.004);
	run();
	traced("b c a ");
	end();
}
END_TEST

START_TEST(timers_due_at_once_run_in_the_order_of_setting)
{
	struct call t[26];
	int i;

	begin(_i);
	stopped = now();
	for (i = 0; i < 26; i++) {
		t[i] = (struct call){ .name = (char)('a' + i) };
		later(&t[i], variant * 0.001);
	}
	stopped = 0;
	run();
	traced("a b c d e f g h i j k l m n o p q r s t u v w x y z ");
	end();
}
END_TEST

START_TEST(timers_run_after_the_io_of_the_pass)
{
	begin(_i);
	channel();
	turn();
	later(&a, 0.001);
	put(peer, "x", 1);
	work(0.002);
	turn_until(a.calls == 1);
	traced("read 1 a ");
	end();
}
END_TEST

START_TEST(timer_set_by_a_timer_runs_in_a_later_pass)
{
	begin(_i);
	channel();
	turn();
	a.then = set_other;
	a.other = &b;
	if (variant == 1)
		stopped = now();	/* it is due at once, by the clock */
	later(&a, 0.0);
	turn_until(b.calls == 1);
	traced("a read 1 b ");
	stopped = 0;
	end();
}
END_TEST

static int links, applications_turns;

static void applications_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	applications_turns++;
}

/* A timer without delay sets the next, until the channel and the application had a turn. */
static int chain(struct asyncore_map *of, void *arg)
{
	if (++links == 100)
		put(peer, "x", 1);
	if (p->reads > 0 && applications_turns > 0)
		return asyncore_close(&p->dispatcher);
	ck_assert_int_gt(asyncore_call_later(of, 0.0, chain, arg, NULL), 0);
	return 0;
}

START_TEST(chain_of_timers_without_delay_starves_nobody)
{
	const struct timeval soon = { 0, 1000 };

	begin(_i);
	channel();
	links = applications_turns = 0;
	event_base_once(base, -1, EV_TIMEOUT, applications_turn, NULL, &soon);
	chain(map, NULL);
	run();
	ck_assert_int_ge(links, 100);
	end();
}
END_TEST

START_TEST(pass_that_does_not_wait_runs_what_is_due)
{
	begin_own(_i);
	later(&b, 1000.0);
	later(&a, 0.0);
	step(map);
	traced("a ");
	later(&a, 0.0);
	step2(map);
	traced("a a ");
	ck_assert_int_eq(b.releases, 0);
	end();
}
END_TEST

static int reset_self(struct call *t)
{
	reset(t, 0.0);
	return 0;
}

START_TEST(count_of_the_loop_counts_passes_of_timers_too)
{
	begin_own(_i);
	a.then = reset_self;
	later(&a, 0.0);
	ck_assert_int_eq(asyncore_loop(-1.0, false, map, 3), 0);
	traced("a a a ");
	ck_assert_int_eq(asyncore_loop(-1.0, true, map, 2), 0);
	traced("a a a a a ");
	end();
}
END_TEST

START_TEST(wait_ends_with_the_nearer_of_timeout_and_timer)
{
	int64_t done;

	begin_own(_i);
	if (variant == 1)
		channel();
	later(&b, 1000.0);
	done = after(0.003);
	ck_assert_int_eq(asyncore_poll(0.003, map), 0);
	ck_assert_int_ge(now(), done);
	traced("");
	later(&a, 0.003);
	alarm(10);
	while (a.calls == 0)
		ck_assert_int_eq(asyncore_poll(100.0, map), 0);
	alarm(0);
	traced("a ");
	end();
}
END_TEST

START_TEST(loop_goes_on_while_timers_pend_and_ends_after_the_last)
{
	begin(_i);
	a.then = b.then = set_other;
	a.other = &b;
	b.other = &c;
	c.then = cancel_other;
	c.other = &d;
	later(&a, 0.001);
	later(&d, 1000.0);
	run();
	traced("a b c ");
	end();
}
END_TEST

static int leave(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	return ASYNCORE_EXIT_NOW;
}

START_TEST(timer_that_was_due_when_the_loop_was_left_runs_when_it_is_entered_again)
{
	begin(_i);
	channel()->on_read = leave;
	turn();
	later(&a, 0.001);
	put(peer, "x", 1);
	work(0.002);
	ck_assert_int_eq(run_out(), attached ? -1 : ASYNCORE_EXIT_NOW);
	traced("read 1 ");
	turn_until(a.calls == 1);
	traced("read 1 a ");
	end();
}
END_TEST

START_TEST(null_is_the_default_map)
{
	begin(0);
	asyncore_map_free(map);
	map = asyncore_socket_map();
	b.then = cancel_self_at_third;
	a.id = asyncore_call_later(NULL, 0.0, ran, &a, released);
	b.id = asyncore_call_every(NULL, 1000.0, ran, &b, released);
	ck_assert_uint_eq(asyncore_timers(NULL), 2);
	ck_assert(asyncore_remaining(NULL, b.id) > 900.0);
	ck_assert_int_eq(asyncore_reset(NULL, b.id, 0.001), 0);
	ck_assert_int_eq(asyncore_loop(-1.0, false, NULL, -1), 0);
	traced("a b b b ");
	ck_assert_int_eq(asyncore_cancel(NULL, b.id), -ENOENT);
	end();
}
END_TEST

/* --- again and again ---------------------------------------------------------------- */

START_TEST(call_every_goes_on_until_it_is_cancelled)
{
	begin(_i);
	a.then = cancel_self_at_third;
	every(&a, 0.001);
	run();
	traced("a a a ");
	end();
}
END_TEST

static int work_a_little(struct call *t)
{
	(void)t;
	work(0.0015);
	return 0;
}

/* Whenever it is set to run next, that is a multiple of its period after the start. */
START_TEST(call_every_does_not_drift)
{
	const int64_t period = 4000000;
	int64_t start[2], asked[2], left, k;
	int i;

	begin(_i);
	a.then = work_a_little;
	start[0] = now();
	every(&a, (double)period / 1e9);
	start[1] = now();
	for (i = 1; i <= 4; i++) {
		turn_until(a.calls >= i);
		asked[0] = now();
		left = (int64_t)(asyncore_remaining(map, a.id) * 1e9);
		asked[1] = now();
		if (left == 0)
			continue;	/* due already: we were kept waiting */
		/* The first multiple that it may be; 1 us for what is rounded. */
		k = (asked[0] + left - start[1] - 1000 + period - 1) / period;
		ck_assert_int_le(k * period, asked[1] + left - start[0] + 1000);
	}
	end();
}
END_TEST

static int64_t long_start[2], long_end;

/* Take two and a half periods; a multiple of it must have passed since the last time. */
static int work_long(struct call *t)
{
	const int64_t multiple = (now() - long_start[0]) / t->period;

	if (t->calls > 1)
		ck_assert_int_gt(multiple, (long_end - long_start[1]) / t->period);
	work(2.5 * (double)t->period / 1e9);
	long_end = now();
	return t->calls == 3 ? cancel(t) : 0;
}

START_TEST(call_every_leaves_out_what_it_missed)
{
	begin(_i);
	a.then = work_long;
	long_start[0] = now();
	every(&a, 0.002);
	long_start[1] = now();
	work(0.007);
	run();
	traced("a a a ");
	end();
}
END_TEST

START_TEST(period_shorter_than_the_clock_can_tell_is_once_a_pass)
{
	static const double period[] = { 1e-9, 1e-12, DBL_MIN };
	int i, calls;

	begin(_i);
	channel();
	turn();
	every(&a, period[variant]);
	for (i = 0; i < 10; i++) {
		calls = a.calls;
		turn();
		if (!attached)
			ck_assert_int_le(a.calls, calls + 1);
	}
	turn_until(a.calls > 10);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	end();
}
END_TEST

/* --- cancel, reset, remaining ------------------------------------------------------- */

START_TEST(cancelled_timer_is_released_and_does_not_run)
{
	begin(_i);
	later(&a, 0.001);
	every(&b, 0.001);
	ck_assert_int_eq(cancel(&a), 0);
	ck_assert_int_eq(a.releases, 1);
	assert_unknown(a.id);
	ck_assert_uint_eq(asyncore_timers(map), 1);
	ck_assert_int_eq(cancel(&b), 0);
	run();
	traced("");
	end();
}
END_TEST

static int cancel_self(struct call *t)
{
	ck_assert_int_eq(cancel(t), 0);
	ck_assert_int_eq(cancel(t), -ENOENT);
	ck_assert_int_eq(asyncore_reset(map, t->id, 0.0), -ENOENT);
	return 0;
}

START_TEST(timer_may_cancel_itself)
{
	begin(_i);
	a.then = b.then = cancel_self;
	later(&a, 0.0);
	every(&b, 0.001);
	run();
	traced("a b ");
	end();
}
END_TEST

START_TEST(timer_cancelled_by_another_of_the_same_pass_does_not_run)
{
	begin(_i);
	a.then = cancel_other;
	a.other = &b;
	later(&a, 0.0);
	later(&b, 0.0);
	later(&c, 0.0);
	run();
	traced("a c ");
	end();
}
END_TEST

START_TEST(timer_reset_by_another_of_the_same_pass_runs_in_a_later_one)
{
	begin(_i);
	channel();
	turn();
	a.then = reset_other;
	a.other = &b;
	later(&a, 0.0);
	later(&b, 0.0);
	turn_until(b.calls == 1);
	traced("a read 1 b ");
	end();
}
END_TEST

static int cancel_arg(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	return cancel(self->arg);
}

START_TEST(timer_that_is_due_may_be_cancelled_by_a_handler)
{
	begin(_i);
	channel()->on_read = cancel_arg;
	p->arg = &a;
	turn();
	later(&a, 0.001);
	put(peer, "x", 1);
	work(0.002);
	turn_until(p->reads == 1);
	turn();
	traced("read 1 ");
	end();
}
END_TEST

static int reset_self_twice(struct call *t)
{
	if (t->calls == 1) {
		reset(t, 0.003);
	} else if (t->calls == 2) {
		t->due = after(0.003);
		ck_assert_int_eq(asyncore_reset(map, t->id, -1.0), 0);
	}
	return 0;
}

START_TEST(timer_that_resets_itself_runs_again)
{
	begin(_i);
	a.then = reset_self_twice;
	later(&a, 0.0);
	run();
	traced("a a a ");
	end();
}
END_TEST

START_TEST(reset_starts_a_timer_anew)
{
	begin(_i);
	c.then = cancel_self_at_third;
	later(&a, 1000.0);
	later(&b, 0.001);
	every(&c, 1000.0);
	reset(&a, 0.002);
	reset(&b, 2000.0);
	reset(&c, 0.001);
	turn_until(a.releases == 1 && c.releases == 1);
	ck_assert_int_eq(b.calls, 0);
	ck_assert(asyncore_remaining(map, b.id) > 1900.0);
	/* The time that was given last. */
	ck_assert_int_eq(asyncore_reset(map, b.id, 500.0), 0);
	ck_assert_int_eq(asyncore_reset(map, b.id, -1.0), 0);
	ck_assert(asyncore_remaining(map, b.id) > 400.0);
	ck_assert(asyncore_remaining(map, b.id) <= 500.0);
	end();
}
END_TEST

static int assert_none_remains(struct call *t)
{
	ck_assert(asyncore_remaining(map, t->id) == 0.0);
	return 0;
}

START_TEST(remaining_is_the_time_until_it_runs)
{
	double left;

	begin(_i);
	a.then = assert_none_remains;
	later(&a, 1000.0);
	left = asyncore_remaining(map, a.id);
	ck_assert(left > 900.0 && left <= 1000.0);
	work(0.001);
	ck_assert(asyncore_remaining(map, a.id) <= left - 0.001);
	reset(&a, 0.0);
	ck_assert(asyncore_remaining(map, a.id) == 0.0);
	run();
	traced("a ");
	assert_unknown(a.id);
	end();
}
END_TEST

static int reset_and_ask(struct call *t)
{
	t->then = NULL;
	ck_assert(asyncore_remaining(map, t->id) == 0.0);
	reset(t, 1000.0);
	ck_assert(asyncore_remaining(map, t->id) > 900.0);
	ck_assert(asyncore_remaining(map, t->id) <= 1000.0);
	return 0;
}

START_TEST(remaining_is_that_of_a_reset_while_it_runs)
{
	begin(_i);
	a.then = reset_and_ask;
	later(&a, 0.0);
	turn_until(a.then == NULL);
	traced("a ");
	ck_assert(asyncore_remaining(map, a.id) > 900.0);
	ck_assert_int_eq(asyncore_cancel(map, a.id), 0);
	end();
}
END_TEST

/* --- nested passes ------------------------------------------------------------------ */

static int passes_inside(struct call *t)
{
	trace_call("( ");
	work(0.002);
	/* A timer that runs once is not pending while it runs: the second form ends. */
	ck_assert_int_eq(t->period > 0 ? asyncore_loop(0.0, false, map, 2)
				       : asyncore_loop(-1.0, false, map, -1), 0);
	trace_call(") ");
	return 0;
}

/* With the others that are due, but not with the timer itself. */
START_TEST(pass_inside_a_timer_runs_timers_once)
{
	begin_own(_i);
	a.then = passes_inside;
	set(&a, 0.001, variant == 1);
	later(&b, 0.001);
	work(0.002);
	later(&c, 0.001);
	alarm(10);
	step(map);
	alarm(0);
	traced("a ( b c ) ");
	end();
}
END_TEST

START_TEST(timer_cancelled_while_it_runs_is_released_when_it_returns)
{
	begin_own(_i);
	a.then = passes_inside;
	b.then = cancel_other;
	b.other = &a;
	set(&a, 0.001, variant == 1);
	later(&b, 0.001);
	work(0.002);
	step(map);
	ck_assert_int_eq(a.releases, 1);
	run();
	traced("a ( b ) ");
	end();
}
END_TEST

static int reset_self_and_run_passes(struct call *t)
{
	if (t->calls == 1) {
		reset(t, 0.000001);
		trace_call("( ");
		step(map);
		step(map);
		trace_call(") ");
	} else {
		cancel(t);
	}
	return 0;
}

static int reset_other_alone(struct call *t)
{
	reset(t->other, 0.000001);
	return 0;
}

/* By itself, or by another one inside. */
START_TEST(timer_reset_while_it_runs_does_not_run_inside_itself)
{
	begin_own(_i);
	a.then = reset_self_and_run_passes;
	b.then = reset_other_alone;
	b.other = &a;
	set(&a, 0.001, variant == 1);
	if (variant < 2)
		later(&b, 0.001);
	work(0.002);
	run();
	traced(variant < 2 ? "a ( b ) a " : "a ( ) a ");
	end();
}
END_TEST

static int poll_in_handler(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	return asyncore_poll(0.0, map);
}

START_TEST(pass_inside_a_handler_runs_timers)
{
	begin_own(_i);
	channel()->on_read = poll_in_handler;
	later(&a, 0.0);
	put(peer, "x", 1);
	step(map);
	step(map);
	traced("read 1 a ");
	end();
}
END_TEST

static int free_the_map(struct call *t)
{
	(void)t;
	ck_assert_int_eq(asyncore_map_free(map), -EBUSY);
	if (attached)
		ck_assert_int_eq(asyncore_poll(0.0, map), -EBUSY);
	return 0;
}

START_TEST(map_cannot_be_freed_in_a_timer)
{
	begin(_i);
	a.then = free_the_map;
	later(&a, 0.0);
	run();
	traced("a ");
	end();
}
END_TEST

/* --- what they return --------------------------------------------------------------- */

START_TEST(call_of_a_map_that_raises_leaves_the_loop)
{
	static const int raises[] = { -EIO, -1, -ECONNRESET, ASYNCORE_EXIT_NOW };

	begin(_i);
	a.result = raises[variant];
	later(&a, 0.0);
	later(&b, 0.0);
	ck_assert_int_eq(run_out(), attached ? -1 : a.result);
	traced("a ");
	ck_assert_int_eq(a.releases, 1);
	ck_assert_uint_eq(asyncore_timers(map), 1);
	run();
	traced("a b ");
	end();
}
END_TEST

START_TEST(eagain_and_positive_results_are_no_errors)
{
	begin(_i);
	c.probe = d.probe = channel();
	a.result = c.result = -EAGAIN;
	b.result = d.result = 5;
	later(&a, 0.0);
	later(&b, 0.0);
	later(&c, 0.0);
	later(&d, 0.0);
	turn_until(d.calls == 1);
	turn();
	traced("a b c d ");
	end();
}
END_TEST

static int close_after_call_later(struct probe *self)
{
	const struct asyncore_error *error = asyncore_error(&self->dispatcher);

	ck_assert_ptr_nonnull(error);
	ck_assert_str_eq(error->handler, "call_later");
	ck_assert_int_eq(error->code, a.result);
	return asyncore_close(&self->dispatcher);
}

static int close_and_raise(struct call *t)
{
	close_probe(t);
	return t->result;
}

/* Also when it closed the channel before; also a lost connection with use_poll. */
START_TEST(call_of_a_channel_that_raises_goes_to_handle_error)
{
	begin(_i);
	a.probe = channel();
	p->on_error = close_after_call_later;
	a.result = -EIO;
	if (variant == 1)
		a.then = close_and_raise;
	if (variant == 2)
		a.result = -ECONNRESET;
	use_poll = variant == 2;
	later(&a, 0.001);
	run();
	traced("a error 1 ");
	end();
}
END_TEST

static int raise_at_first(struct call *t)
{
	return t->calls == 1 ? -EIO : close_probe(t);
}

START_TEST(repeating_call_that_raised_goes_on)
{
	begin(_i);
	a.probe = channel();
	p->on_error = nothing;
	a.then = raise_at_first;
	every(&a, 0.001);
	run();
	traced("a error 1 a ");
	end();
}
END_TEST

static int raise_eperm(struct probe *self)
{
	(void)self;
	return -EPERM;
}

/* ExitNow, and a handle_error() that raises. */
START_TEST(call_of_a_channel_may_leave_the_loop)
{
	static const int results[] = { ASYNCORE_EXIT_NOW, -EPERM };

	begin(_i);
	a.probe = channel();
	p->on_error = raise_eperm;
	a.result = variant == 0 ? ASYNCORE_EXIT_NOW : -EIO;
	later(&a, 0.0);
	ck_assert_int_eq(run_out(), attached ? -1 : results[variant]);
	traced(variant == 0 ? "a " : "a error 1 ");
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	end();
}
END_TEST

/* --- timers of channels ------------------------------------------------------------- */

START_TEST(timer_of_a_channel_is_gone_when_that_is_closed)
{
	begin(_i);
	a.probe = b.probe = channel();
	later(&a, 0.0);
	every(&b, 0.001);
	later(&c, 0.001);
	ck_assert_uint_eq(asyncore_timers(map), 3);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(a.releases + b.releases, 2);
	ck_assert_uint_eq(asyncore_timers(map), 1);
	assert_unknown(a.id);
	run();
	traced("c ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

static int close_others_probe(struct call *t)
{
	return close_probe(t->other);
}

START_TEST(timer_of_a_channel_closed_by_another_timer_of_the_pass_does_not_run)
{
	begin(_i);
	b.probe = channel();
	a.then = close_others_probe;
	a.other = &b;
	later(&a, 0.0);
	later(&b, 0.0);
	run();
	traced("a ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

static int close_and_look(struct call *t)
{
	close_probe(t);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(t->probe->id, 1);	/* it is still there */
	return 0;
}

START_TEST(timer_may_close_its_own_channel)
{
	begin(_i);
	a.probe = b.probe = channel();
	a.then = close_and_look;
	set(&a, 0.001, variant == 1);
	later(&b, 0.001);
	run();
	traced("a ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

static int move(struct call *t)
{
	ck_assert_int_eq(asyncore_del_channel(&t->probe->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&t->probe->dispatcher, other_map), 0);
	return 0;
}

static void run_other_map(void)
{
	alarm(10);
	ck_assert_int_eq(asyncore_loop(-1.0, false, other_map, -1), 0);
	alarm(0);
	ck_assert_int_eq(asyncore_map_free(other_map), 0);
}

/* From outside, and in its own call. */
START_TEST(timer_of_a_channel_is_gone_when_that_moves_to_another_map)
{
	begin(_i);
	other_map = asyncore_map_new(NULL);
	a.probe = b.probe = c.probe = channel();
	a.then = move;
	every(&a, 0.001);
	later(&b, 0.001);
	if (variant == 0)
		move(&a);
	else
		turn_until(a.calls == 1);
	ck_assert_int_eq(a.releases + b.releases, 2);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	run();
	traced(variant == 0 ? "" : "a ");
	/* A new one is named in the new map. */
	c.then = close_probe;
	later(&c, 0.0);
	ck_assert_uint_eq(asyncore_timers(other_map), 1);
	ck_assert(asyncore_remaining(other_map, c.id) == 0.0);
	run_other_map();
	ck_assert_int_eq(c.calls, 1);
	end();
}
END_TEST

START_TEST(timer_set_after_close_holds_the_channel)
{
	begin(_i);
	a.probe = channel();
	asyncore_close(&p->dispatcher);
	later(&a, 1000.0);
	turn();
	turn();
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	ck_assert_int_eq(probes_disposed, 0);
	reset(&a, 0.001);
	run();
	traced("a ");
	turn();
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

START_TEST(timer_holds_a_channel_that_is_out_of_its_map)
{
	begin(_i);
	a.probe = channel();
	later(&a, 1000.0);
	asyncore_del_channel(&p->dispatcher, NULL);
	turn();
	turn();
	ck_assert_int_eq(probes_disposed, 0);
	reset(&a, 0.001);
	run();
	traced("a ");
	turn();
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

START_TEST(closing_again_ends_a_timer_that_was_set_after_closing)
{
	begin(_i);
	a.probe = channel();
	asyncore_close(&p->dispatcher);
	later(&a, 1000.0);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(a.releases, 1);
	run();
	turn();
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

static int reconnect(struct call *t)
{
	struct asyncore_dispatcher *self = &t->probe->dispatcher;

	ck_assert_int_eq(asyncore_create_socket(self, AF_INET, SOCK_STREAM), 0);
	return asyncore_connect(self, "127.0.0.1", t->result);
}

static int close_and_reconnect_later(struct probe *self)
{
	asyncore_close(&self->dispatcher);
	if (self->closes < 3)
		later(self->arg, 0.001);
	return 0;
}

static int hang_up(struct probe *server, int fd)
{
	close(fd);
	return server->accepteds == 3 ? asyncore_close(&server->dispatcher) : 0;
}

/* Three connections, of which the peer ends each at once. */
START_TEST(timer_set_after_close_reconnects)
{
	struct probe *server;
	int port, fd = tcp_listener(&port);

	begin(_i);
	server = probe_new(fd, map);
	server->on_accepted = hang_up;
	asyncore_set_accepting(&server->dispatcher, true);
	a.probe = probe_new(-1, map);
	a.probe->on_close = close_and_reconnect_later;
	a.probe->arg = &a;
	a.then = reconnect;
	a.result = port;
	later(&a, 0.0);
	asyncore_ref(&a.probe->dispatcher);
	run();
	ck_assert_int_eq(a.probe->closes, 3);
	asyncore_unref(&a.probe->dispatcher);
	end();
	ck_assert_int_eq(probes_disposed, 2);
}
END_TEST

static int set_in_dispose;

static void set_timer_in_dispose(struct probe *self)
{
	set_in_dispose = asyncore_channel_call_later(&self->dispatcher, 0.0, ran_on, NULL, NULL);
}

START_TEST(channel_that_ends_gets_no_timer)
{
	struct asyncore_dispatcher *self;

	begin_own(_i);
	self = &channel()->dispatcher;
	p->on_dispose = set_timer_in_dispose;
	p = NULL;
	asyncore_ref(self);
	end();
	ck_assert_int_eq(asyncore_channel_call_later(self, 0.0, ran_on, &a, released),
			 -ESHUTDOWN);
	ck_assert_int_eq(asyncore_set_idle_timeout(self, 1.0), -ESHUTDOWN);
	ck_assert_int_eq(a.releases, 1);
	asyncore_unref(self);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_int_lt(set_in_dispose, 0);
}
END_TEST

/* --- releases ----------------------------------------------------------------------- */

/* How a timer ends: of the map, but for those named after a channel. */
enum {
	RAN, RAISED, CHANNEL_RAN, CHANNEL_RAISED, CANCELLED, CHANNEL_CANCELLED, CHANNEL_CLOSED,
	CHANNELS_CLOSED, FREED, CHANNEL_FREED, CHANNEL_FREED_CLOSED, CHANNEL_FREED_OUTSIDE, WAYS
};

START_TEST(release_runs_exactly_once)
{
	bool runs;

	begin(_i);
	runs = variant <= CHANNEL_RAISED;
	if (variant != RAN && variant != RAISED && variant != CANCELLED && variant != FREED)
		a.probe = b.probe = channel();
	if (variant == CHANNEL_FREED_CLOSED)
		asyncore_close(&p->dispatcher);
	if (variant == CHANNEL_FREED_OUTSIDE)
		asyncore_del_channel(&p->dispatcher, NULL);
	if (variant == RAISED || variant == CHANNEL_RAISED)
		a.result = -EIO;
	later(&a, runs ? 0.0 : 1000.0);
	every(&b, 1000.0);
	if (variant == RAISED)
		ck_assert_int_lt(run_out(), 0);
	else if (runs)
		turn_until(a.calls == 1);
	else if (variant == CANCELLED || variant == CHANNEL_CANCELLED)
		ck_assert_int_eq(cancel(&a), 0);
	else if (variant == CHANNEL_CLOSED)
		ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	else if (variant == CHANNELS_CLOSED)
		ck_assert_int_eq(asyncore_close_all(map, false), 0);
	ck_assert_int_eq(a.calls, runs);
	ck_assert_int_eq(a.releases, variant < FREED);
	turn();
	end();
	ck_assert_int_eq(a.calls, runs);
	ck_assert_int_eq(b.calls, 0);
}
END_TEST

static void set_other_at_release(struct call *t)
{
	later(t->other, 0.0);
	if (!attached)
		step(map);
}

START_TEST(release_may_set_timers_and_run_passes)
{
	begin(_i);
	a.at_release = c.at_release = set_other_at_release;
	a.other = &b;
	c.other = &d;
	later(&a, 1000.0);
	later(&c, 0.0);
	ck_assert_int_eq(cancel(&a), 0);
	run();
	ck_assert_int_eq(b.calls, 1);
	ck_assert_int_eq(d.calls, 1);
	end();
}
END_TEST

static void cancel_other_at_release(struct call *t)
{
	cancel_other(t);
}

/* After the call of the timer, and when it is cancelled. */
START_TEST(release_may_cancel_others)
{
	begin(_i);
	a.at_release = b.at_release = cancel_other_at_release;
	a.other = &b;
	b.other = &c;
	later(&a, 0.0);
	later(&b, 0.0);
	later(&c, 0.0);
	later(&d, 0.0);
	run();
	traced("a d ");
	end();
}
END_TEST

static void close_at_release(struct call *t)
{
	cancel(t->other);
	close_probe(t);
	if (!attached)
		step(map);
}

/* When it is closed, and when it moves. */
START_TEST(release_may_close_the_channel)
{
	begin(_i);
	other_map = asyncore_map_new(NULL);
	a.probe = b.probe = c.probe = channel();
	a.at_release = b.at_release = close_at_release;
	c.at_release = set_other_at_release;
	a.other = &b;
	b.other = &a;
	c.other = &d;
	later(&a, 1000.0);
	later(&b, 1000.0);
	later(&c, 1000.0);
	asyncore_ref(&p->dispatcher);
	if (variant == 0)
		asyncore_close(&p->dispatcher);
	else
		move(&a);
	ck_assert_int_eq(a.releases + b.releases + c.releases, 3);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	asyncore_unref(&p->dispatcher);
	run();
	run_other_map();
	traced("d ");
	end();
}
END_TEST

static void free_at_release(struct call *t)
{
	(void)t;
	ck_assert_int_eq(asyncore_map_free(map), 0);
	map = asyncore_map_new(base);
}

/* Outside of any pass that is allowed. */
START_TEST(release_may_free_the_map)
{
	begin(_i);
	a.at_release = free_at_release;
	if (variant > 0)
		a.probe = b.probe = channel();
	later(&a, 1000.0);
	later(&b, 1000.0);
	if (variant < 2)
		ck_assert_int_eq(cancel(&a), 0);
	else
		asyncore_close(&p->dispatcher);
	ck_assert_int_eq(b.releases, 1);
	end();
}
END_TEST

static void fail_to_set_at_release(struct call *t)
{
	struct call refused = { .name = 'r' };

	ck_assert_int_eq(asyncore_call_later(map, 0.0, ran, &refused, released), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_call_every(map, 1.0, ran, &refused, released), -ESHUTDOWN);
	if (t->probe != NULL)
		ck_assert_int_eq(asyncore_channel_call_later(&t->probe->dispatcher, 0.0, ran_on,
							     &refused, released), -ESHUTDOWN);
	ck_assert_int_eq(refused.releases, t->probe != NULL ? 3 : 2);
	cancel(t->other);
}

START_TEST(no_timer_can_be_set_while_the_map_is_freed)
{
	struct call *const t[] = { &a, &b, &c, &d };
	int i;

	begin_own(_i);
	channel();
	for (i = 0; i < 4; i++) {
		t[i]->at_release = fail_to_set_at_release;
		t[i]->other = t[(i + 1) % 4];
		t[i]->probe = i % 2 ? p : NULL;
		later(t[i], 1000.0);
	}
	end();
}
END_TEST

/* --- numbers and arguments ---------------------------------------------------------- */

START_TEST(numbers_are_not_used_again)
{
	struct call t[100];
	int id[1000], i, j, again = 0;

	begin_own(_i);
	for (i = 0; i < 100; i++) {
		t[i] = (struct call){ .name = '\0' };
		later(&t[i], i % 2 ? 0.0 : 1000.0);
	}
	step(map);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(cancel(&t[i]), i % 2 ? -ENOENT : 0);
	/* One at a time, so that the same room is used again and again. */
	for (i = 0; i < 1000; i++) {
		later(&a, 1000.0);
		assert_unknown(t[i % 100].id);
		ck_assert_int_eq(cancel(&a), 0);
		id[i] = a.id;
		for (j = 0; j < i; j++)
			again += id[j] == a.id;
	}
	ck_assert_int_eq(again, 0);
	assert_unknown(0);
	assert_unknown(-1);
	assert_unknown(INT_MAX);
	assert_unknown(INT_MIN);
	end();
}
END_TEST

enum { MANY = 10000 };
static struct call many[MANY];
static int64_t last_due;
static uint32_t random_state;

static int random_below(int n)
{
	random_state = random_state * 1103515245u + 12345u;
	return (int)((random_state >> 8) % (unsigned)n);
}

/* Cancel or reset one of them; it must be there exactly if it neither ran nor was
 * cancelled. */
static void disturb(struct call *t, bool while_running)
{
	if (t->calls + t->releases > 0) {
		if (!t->running)
			assert_unknown(t->id);
	} else if (random_below(2)) {
		ck_assert_int_eq(cancel(t), 0);
		ck_assert_int_eq(t->releases, 1);
	} else {
		reset(t, random_below(30) / 1000.0);
		if (while_running)
			t->due_max = INT64_MAX;	/* may have to wait for a later pass */
	}
}

static int check_order(struct call *t)
{
	ck_assert_int_eq(t->calls, 1);
	ck_assert_int_ge(t->due_max, last_due);
	if (t->due_max != INT64_MAX)
		last_due = t->due;
	if (random_below(3) == 0)
		disturb(&many[random_below(MANY)], true);
	return 0;
}

static int by_id(const void *left, const void *right)
{
	const int x = ((const struct call *)left)->id, y = ((const struct call *)right)->id;

	return (x > y) - (x < y);
}

START_TEST(many_timers_run_as_the_model_says)
{
	size_t pending = MANY;
	int i, calls = 0;

	begin(_i * BACKENDS);
	random_state = 20240229u + (unsigned)_i;
	printf("many_timers_run_as_the_model_says: seed %u\n", (unsigned)random_state);
	last_due = 0;
	for (i = 0; i < MANY; i++) {
		many[i] = (struct call){ .then = check_order };
		later(&many[i], random_below(60) / 1000.0);
	}
	for (i = 0; i < MANY / 2; i++)
		disturb(&many[random_below(MANY)], false);
	for (i = 0; i < MANY; i++)
		pending -= (size_t)many[i].releases;
	ck_assert_uint_eq(asyncore_timers(map), pending);
	run();
	ck_assert_uint_eq(asyncore_timers(map), 0);
	qsort(many, MANY, sizeof *many, by_id);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(many[i].releases, 1);
		ck_assert(i == 0 || many[i - 1].id != many[i].id);
		calls += many[i].calls;
	}
	ck_assert_int_gt(calls, MANY / 4);
	end();
}
END_TEST

START_TEST(bad_arguments_change_nothing)
{
	static const double bad[] = { NAN, -1.0, -1e-300, -INFINITY };
	struct asyncore_dispatcher none = { NULL, NULL };
	struct asyncore_dispatcher *self;
	int i;

	begin_own(_i);
	self = &channel()->dispatcher;
	for (i = 0; i < 4; i++) {
		const double t = bad[i];

		ck_assert_int_eq(asyncore_call_later(map, t, ran, &a, released), -EINVAL);
		ck_assert_int_eq(asyncore_call_every(map, t, ran, &a, released), -EINVAL);
		ck_assert_int_eq(asyncore_channel_call_later(self, t, ran_on, &a, released),
				 -EINVAL);
		ck_assert_int_eq(asyncore_channel_call_every(self, t, ran_on, &a, released),
				 -EINVAL);
		ck_assert_int_eq(asyncore_set_idle_timeout(self, t), -EINVAL);
	}
	ck_assert_int_eq(asyncore_call_every(map, 0.0, ran, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_channel_call_every(self, 0.0, ran_on, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_call_later(map, 1.0, NULL, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_call_every(map, 1.0, NULL, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_channel_call_later(self, 1.0, NULL, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_channel_call_every(self, 1.0, NULL, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_channel_call_later(NULL, 1.0, ran_on, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_channel_call_every(&none, 1.0, ran_on, &a, released), -EINVAL);
	ck_assert_int_eq(asyncore_set_idle_timeout(NULL, 1.0), -EINVAL);
	ck_assert_int_eq(asyncore_set_idle_timeout(&none, 1.0), -EINVAL);
	ck_assert_int_eq(asyncore_handle_timeout(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_handle_timeout(&none), -EINVAL);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	/* What was to be released is, whenever it was handed over. */
	ck_assert_int_eq(a.releases, 4 * 4 + 8);

	a.releases = 0;
	every(&a, 1000.0);
	ck_assert_int_eq(asyncore_reset(map, a.id, NAN), -EINVAL);
	ck_assert_int_eq(asyncore_reset(map, a.id, 0.0), -EINVAL);
	ck_assert(asyncore_remaining(map, a.id) > 900.0);
	end();
}
END_TEST

START_TEST(time_without_end_is_a_time_like_any_other)
{
	static const double huge[] = { INFINITY, DBL_MAX, 1e12 };
	int id[2], i;

	begin_own(_i);
	for (i = 0; i < 3; i++) {
		id[0] = asyncore_call_later(map, huge[i], ran, &a, NULL);
		id[1] = asyncore_call_every(map, huge[i], ran, &a, NULL);
		ck_assert_int_gt(id[0], 0);
		ck_assert_int_gt(id[1], 0);
		ck_assert(asyncore_remaining(map, id[0]) > 1e8);
		ck_assert_int_eq(asyncore_reset(map, id[1], huge[i]), 0);
		ck_assert(asyncore_remaining(map, id[1]) > 1e8);
	}
	ck_assert_int_eq(asyncore_poll(0.001, map), 0);
	traced("");
	later(&a, 0.0);
	step(map);
	traced("a ");
	end();
}
END_TEST

/* --- idle timeouts ------------------------------------------------------------------ */

static int64_t alive;		/* the last sign of life was not before this */
static int64_t idle_time;
static int timeouts, timeouts_until_close, timeout_result;

static int idle_timeout(struct asyncore_dispatcher *self)
{
	int64_t early = alive + idle_time - now();

	ck_assert_msg(early <= 0, "%lld ns early", (long long)early);
	alive += idle_time;
	timeouts++;
	trace_call("timeout ");
	if (timeout_result < 0)
		return ASYNCORE_RAISEF(self, timeout_result, "idle");
	if (timeouts < timeouts_until_close)
		return 0;
	cancel(&a);	/* who feeds it, if we were kept waiting for so long */
	return asyncore_dispatcher_handle_timeout(self);
}

static const struct asyncore_dispatcher_type idle_type = {
	.base = &probe_type,
	.handle_timeout = idle_timeout,
};

static void set_idle(struct asyncore_dispatcher *self, double seconds)
{
	timeouts = timeouts_until_close = timeout_result = 0;
	idle_time = (int64_t)(seconds * 1e9);
	alive = now();
	ck_assert_int_eq(asyncore_set_idle_timeout(self, seconds), 0);
}

static struct probe *idle_channel(double seconds)
{
	int fd[2];

	unix_pair(fd);
	peer = fd[1];
	p = probe_new_typed(&idle_type, fd[0], map);
	set_idle(&p->dispatcher, seconds);
	return p;
}

START_TEST(idle_channel_times_out_and_is_closed)
{
	begin(_i);
	idle_channel(0.003);
	ck_assert_uint_eq(asyncore_timers(map), 1);
	run();
	traced("timeout close 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	end();
}
END_TEST

START_TEST(timeout_that_nobody_handles_closes_the_channel)
{
	begin(_i);
	channel();
	if (variant == 0)
		ck_assert_int_eq(asyncore_set_idle_timeout(&p->dispatcher, 0.001), 0);
	else
		ck_assert_int_eq(asyncore_handle_timeout(&p->dispatcher), 0);
	run();
	traced("close 1 ");
	end();
}
END_TEST

START_TEST(idle_timeout_comes_again_if_the_channel_stays)
{
	begin(_i);
	idle_channel(0.002);
	timeouts_until_close = 3;
	run();
	traced("timeout timeout timeout close 1 ");
	end();
}
END_TEST

static int64_t fed;

static int feed(struct call *t)
{
	fed = now();
	put(peer, "x", 1);
	return t->calls == 6 ? cancel(t) : 0;
}

static int seen(struct probe *self)
{
	alive = fed;
	return asyncore_recv(&self->dispatcher, self->data, sizeof self->data);
}

START_TEST(events_push_the_idle_timeout_back)
{
	begin(_i);
	idle_channel(0.003)->on_read = seen;
	a.then = feed;
	every(&a, 0.001);
	run();
	ck_assert_int_eq(timeouts, 1);
	end();
}
END_TEST

static int send_one(struct call *t)
{
	int64_t before = now();
	int n = asyncore_send(&p->dispatcher, "x", 1);

	ck_assert_int_ge(n, 0);
	if (n > 0)
		alive = before;
	return n > 0 && t->calls == 6 ? cancel(t) : 0;
}

START_TEST(sending_pushes_the_idle_timeout_back)
{
	begin(_i);
	idle_channel(0.003)->wants_read = 0;
	a.then = send_one;
	every(&a, 0.001);
	run();
	ck_assert_int_eq(timeouts, 1);
	end();
}
END_TEST

START_TEST(attempts_to_send_do_not_push_the_idle_timeout_back)
{
	static const char data[65536];

	begin(_i);
	idle_channel(0.003);
	while (asyncore_send(&p->dispatcher, data, sizeof data) > 0)
		;
	a.then = send_one;
	every(&a, 0.001);
	run();
	ck_assert_int_eq(timeouts, 1);
	end();
}
END_TEST

/* Seconds must not have passed. */
static int not_for_ever(struct call *t)
{
	ck_assert_int_lt(t->calls, 2000);
	return 0;
}

START_TEST(timers_of_the_channel_do_not_push_its_idle_timeout_back)
{
	begin(_i);
	a.probe = idle_channel(0.003);
	a.then = not_for_ever;
	every(&a, 0.001);
	run();
	ck_assert_int_eq(timeouts, 1);
	end();
}
END_TEST

START_TEST(idle_timeout_ends_with_zero_and_with_close)
{
	struct asyncore_dispatcher *self;

	begin(_i);
	self = &idle_channel(0.001)->dispatcher;
	set_idle(self, 0.0);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	work(0.002);
	turn();
	set_idle(self, 0.001);
	asyncore_ref(self);
	asyncore_close(self);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	ck_assert_int_eq(asyncore_create_socket(self, AF_INET, SOCK_DGRAM), 0);
	work(0.002);
	turn();
	turn();
	ck_assert_int_eq(timeouts, 0);
	asyncore_unref(self);
	end();
}
END_TEST

START_TEST(new_idle_timeout_replaces_the_old_one)
{
	begin(_i);
	idle_channel(0.001);
	set_idle(&p->dispatcher, 1000.0);
	ck_assert_uint_eq(asyncore_timers(map), 1);
	work(0.002);
	turn();
	ck_assert_int_eq(timeouts, 0);
	set_idle(&p->dispatcher, 0.002);
	run();
	traced("timeout close 1 ");
	end();
}
END_TEST

static int accept_alive(struct probe *server, int fd)
{
	(void)server;
	alive = fed;
	close(fd);
	return 0;
}

START_TEST(listening_channel_times_out_when_nobody_connects)
{
	struct sockaddr_in addr;
	int port, fd = tcp_listener(&port);

	begin(_i);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	p = probe_new_typed(&idle_type, fd, map);
	p->on_accepted = accept_alive;
	asyncore_set_accepting(&p->dispatcher, true);
	turn();
	set_idle(&p->dispatcher, 0.004);
	work(0.002);
	fed = now();
	addr = loopback(port);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&addr, sizeof addr), 0);
	run();
	ck_assert_int_eq(timeouts, 1);
	traced("accept 1 accepted 1 timeout close 1 ");
	end();
}
END_TEST

static const struct asyncore_dispatcher_type sender_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.log_info = log_info_kept,
	.handle_timeout = idle_timeout,
};

static const struct async_chat_type chat_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.log_info = log_info_kept,
		.handle_timeout = idle_timeout,
	},
};

/* More than the sockets hold. */
static const char lots[4 * 1024 * 1024];

START_TEST(idle_timeout_finds_the_peer_that_takes_no_more)
{
	struct asyncore_dispatcher_with_send sender;
	struct async_chat chat;
	int fd[2];

	begin(_i);
	unix_pair(fd);
	peer = fd[1];
	if (variant == 0) {
		ck_assert_int_eq(asyncore_dispatcher_with_send_init(&sender, &sender_type, fd[0],
								    map), 0);
		set_idle(&sender.dispatcher, 0.003);
		asyncore_send(&sender.dispatcher, lots, sizeof lots);
	} else {
		ck_assert_int_eq(async_chat_init(&chat, &chat_type, fd[0], map), 0);
		set_idle(&chat.dispatcher, 0.003);
		async_chat_push(&chat, lots, sizeof lots);
	}
	run();
	ck_assert_int_eq(timeouts, 1);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	end();
}
END_TEST

static struct async_chat chat;
static int chat_file;

static int push_bytes(struct call *t)
{
	alive = now();
	ck_assert_int_eq(async_chat_push(&chat, "hello", 5), 0);
	return t->calls == 6 ? cancel(t) : 0;
}

static int push_file(struct call *t)
{
	struct async_chat_producer *file = async_chat_file_producer_new(dup(chat_file), 0, 5);

	ck_assert_ptr_nonnull(file);
	alive = now();
	ck_assert_int_eq(async_chat_push_with_producer(&chat, file), 0);
	return t->calls == 6 ? cancel(t) : 0;
}

START_TEST(pushing_and_sending_files_push_the_idle_timeout_back)
{
	FILE *file = tmpfile();
	char sent[40];
	int fd[2];

	begin(_i);
	unix_pair(fd);
	peer = fd[1];
	chat_file = fileno(file);
	put(chat_file, "hello", 5);
	ck_assert_int_eq(async_chat_init(&chat, &chat_type, fd[0], map), 0);
	set_idle(&chat.dispatcher, 0.003);
	a.then = variant == 0 ? push_bytes : push_file;
	every(&a, 0.001);
	run();
	ck_assert_int_eq(timeouts, 1);
	take(peer, sent, 5 * (size_t)a.calls);
	end();
	fclose(file);
}
END_TEST

START_TEST(idle_timeout_moves_to_another_map_with_its_channel)
{
	begin(_i);
	other_map = asyncore_map_new(NULL);
	a.probe = idle_channel(0.003);
	move(&a);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	ck_assert_uint_eq(asyncore_timers(other_map), 1);
	run();
	run_other_map();
	traced("timeout close 1 ");
	end();
}
END_TEST

START_TEST(idle_timeout_does_not_hold_a_channel_that_is_out_of_its_map)
{
	begin(_i);
	idle_channel(1000.0);
	asyncore_del_channel(&p->dispatcher, NULL);
	turn();
	turn();
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	run();
	end();
}
END_TEST

/* Nobody could be called; so nothing is waited for. */
START_TEST(idle_timeout_of_a_channel_that_is_in_no_map_does_not_keep_the_loop)
{
	begin(_i);
	if (variant == 0) {
		p = probe_new_typed(&idle_type, -1, map);
		set_idle(&p->dispatcher, 0.001);
	} else {
		asyncore_ref(&idle_channel(0.001)->dispatcher);
		asyncore_del_channel(&p->dispatcher, NULL);
	}
	run();
	traced("");
	asyncore_close(&p->dispatcher);
	if (variant == 1)
		asyncore_unref(&p->dispatcher);
	end();
}
END_TEST

/* In the map when that is freed, out of it, or never in it. */
START_TEST(idle_timeout_of_a_channel_that_outlives_its_map_is_gone)
{
	struct asyncore_dispatcher *self;

	begin(_i);
	if (variant < 2)
		idle_channel(0.001);
	else
		p = probe_new_typed(&idle_type, -1, map);
	self = &p->dispatcher;
	asyncore_ref(self);
	set_idle(self, 0.001);
	if (variant == 1)
		asyncore_del_channel(self, NULL);
	p = NULL;
	end();
	ck_assert_int_eq(asyncore_set_idle_timeout(self, 0.0), 0);
	ck_assert_int_eq(asyncore_close(self), 0);
	asyncore_unref(self);
	ck_assert_int_eq(probes_disposed, 1);
	traced("");
}
END_TEST

static int close_after_timeout(struct probe *self)
{
	const struct asyncore_error *error = asyncore_error(&self->dispatcher);

	ck_assert_ptr_nonnull(error);
	ck_assert_str_eq(error->handler, "handle_timeout");
	ck_assert_str_eq(error->text, "idle");
	ck_assert_int_eq(error->code, -ETIMEDOUT);
	return asyncore_close(&self->dispatcher);
}

START_TEST(handle_timeout_that_raises_goes_to_handle_error)
{
	begin(_i);
	idle_channel(0.001)->on_error = close_after_timeout;
	timeout_result = -ETIMEDOUT;
	use_poll = variant == 1;
	run();
	traced("timeout error 1 ");
	end();
}
END_TEST

/* --- their price -------------------------------------------------------------------- */

static int settimes;

int timerfd_settime(int fd, int flags, const struct itimerspec *new_value,
		    struct itimerspec *old_value)
{
	settimes++;
	return (int)syscall(SYS_timerfd_settime, fd, flags, new_value, old_value);
}

START_TEST(pass_with_far_timers_pending_does_not_set_the_clock)
{
	int i;

	begin(_i);
	idle_channel(1000.0);
	later(&a, 2000.0);
	for (i = 1; i <= 50; i++) {
		put(peer, "x", 1);
		if (attached)
			turn_until(p->reads == i);
		else
			ck_assert_int_eq(asyncore_poll(-1.0, map), 0);
		asyncore_send(&p->dispatcher, "x", 1);
		if (i == 10)
			settimes = 0;
	}
	ck_assert_int_eq(p->reads, 50);
	ck_assert_int_eq(settimes, 0);
	end();
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

/* In so many variants; own: only in the loop of our own. */
#define all(variants, test) tcase_add_loop_test(tc, test, 0, (variants) * DRIVERS)
#define own(variants, test) tcase_add_loop_test(tc, test, 0, (variants) * BACKENDS)

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "when they run");

	all(1, timer_runs_once_and_not_early);
	all(2, timers_are_not_early_while_events_wake_the_loop);
	all(2, order_is_that_in_which_they_are_due);
	all(2, timers_due_at_once_run_in_the_order_of_setting);
	all(1, timers_run_after_the_io_of_the_pass);
	all(2, timer_set_by_a_timer_runs_in_a_later_pass);
	all(1, chain_of_timers_without_delay_starves_nobody);
	own(1, pass_that_does_not_wait_runs_what_is_due);
	own(1, count_of_the_loop_counts_passes_of_timers_too);
	own(2, wait_ends_with_the_nearer_of_timeout_and_timer);
	all(1, loop_goes_on_while_timers_pend_and_ends_after_the_last);
	all(1, timer_that_was_due_when_the_loop_was_left_runs_when_it_is_entered_again);
	tcase_add_test(tc, null_is_the_default_map);

	tc = suite_case(suite, "again and again");
	all(1, call_every_goes_on_until_it_is_cancelled);
	all(1, call_every_does_not_drift);
	all(1, call_every_leaves_out_what_it_missed);
	all(3, period_shorter_than_the_clock_can_tell_is_once_a_pass);

	tc = suite_case(suite, "cancel, reset, remaining");
	all(1, cancelled_timer_is_released_and_does_not_run);
	all(1, timer_may_cancel_itself);
	all(1, timer_cancelled_by_another_of_the_same_pass_does_not_run);
	all(1, timer_reset_by_another_of_the_same_pass_runs_in_a_later_one);
	all(1, timer_that_is_due_may_be_cancelled_by_a_handler);
	all(1, timer_that_resets_itself_runs_again);
	all(1, reset_starts_a_timer_anew);
	all(1, remaining_is_the_time_until_it_runs);
	all(1, remaining_is_that_of_a_reset_while_it_runs);

	tc = suite_case(suite, "nested passes");
	own(2, pass_inside_a_timer_runs_timers_once);
	own(2, timer_cancelled_while_it_runs_is_released_when_it_returns);
	own(3, timer_reset_while_it_runs_does_not_run_inside_itself);
	own(1, pass_inside_a_handler_runs_timers);
	all(1, map_cannot_be_freed_in_a_timer);

	tc = suite_case(suite, "what they return");
	all(4, call_of_a_map_that_raises_leaves_the_loop);
	all(1, eagain_and_positive_results_are_no_errors);
	all(3, call_of_a_channel_that_raises_goes_to_handle_error);
	all(1, repeating_call_that_raised_goes_on);
	all(2, call_of_a_channel_may_leave_the_loop);

	tc = suite_case(suite, "timers of channels");
	all(1, timer_of_a_channel_is_gone_when_that_is_closed);
	all(1, timer_of_a_channel_closed_by_another_timer_of_the_pass_does_not_run);
	all(2, timer_may_close_its_own_channel);
	all(2, timer_of_a_channel_is_gone_when_that_moves_to_another_map);
	all(1, timer_set_after_close_holds_the_channel);
	all(1, timer_holds_a_channel_that_is_out_of_its_map);
	all(1, closing_again_ends_a_timer_that_was_set_after_closing);
	all(1, timer_set_after_close_reconnects);
	own(1, channel_that_ends_gets_no_timer);

	tc = suite_case(suite, "releases");
	all(WAYS, release_runs_exactly_once);
	all(1, release_may_set_timers_and_run_passes);
	all(1, release_may_cancel_others);
	all(2, release_may_close_the_channel);
	all(3, release_may_free_the_map);
	own(1, no_timer_can_be_set_while_the_map_is_freed);

	tc = suite_case(suite, "numbers and arguments");
	own(1, numbers_are_not_used_again);
	tcase_add_loop_test(tc, many_timers_run_as_the_model_says, 0, 2);
	own(1, bad_arguments_change_nothing);
	own(1, time_without_end_is_a_time_like_any_other);

	tc = suite_case(suite, "idle timeouts");
	all(1, idle_channel_times_out_and_is_closed);
	all(2, timeout_that_nobody_handles_closes_the_channel);
	all(1, idle_timeout_comes_again_if_the_channel_stays);
	all(1, events_push_the_idle_timeout_back);
	all(1, sending_pushes_the_idle_timeout_back);
	all(1, attempts_to_send_do_not_push_the_idle_timeout_back);
	all(1, timers_of_the_channel_do_not_push_its_idle_timeout_back);
	all(1, idle_timeout_ends_with_zero_and_with_close);
	all(1, new_idle_timeout_replaces_the_old_one);
	all(1, listening_channel_times_out_when_nobody_connects);
	all(2, idle_timeout_finds_the_peer_that_takes_no_more);
	all(2, pushing_and_sending_files_push_the_idle_timeout_back);
	all(1, idle_timeout_moves_to_another_map_with_its_channel);
	all(1, idle_timeout_does_not_hold_a_channel_that_is_out_of_its_map);
	all(2, idle_timeout_of_a_channel_that_is_in_no_map_does_not_keep_the_loop);
	all(3, idle_timeout_of_a_channel_that_outlives_its_map_is_gone);
	all(2, handle_timeout_that_raises_goes_to_handle_error);

	tc = suite_case(suite, "their price");
	all(1, pass_with_far_timers_pending_does_not_set_the_clock);
}

SUITE_MAIN("timer", add_cases)
