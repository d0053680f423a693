/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_call_soon.c - posters, posted calls and triggers: how other threads and signal
 * handlers reach a map.
 *
 * Most tests run on every way to drive a map: on a base of its own, with both kinds of
 * passes; on the application's base, driven by asyncore_loop(); and there driven by the
 * application's own loop.
 */

#include "support.h"

#include <asyncore_event.h>

#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* --- ways to drive a map --------------------------------------------------------- */

enum {
	OWN, OWN_POLL2,
	ATTACHED,				/* with asyncore_loop() */
	APPLICATION = ATTACHED + BACKENDS,	/* with event_base_dispatch() */
	WAYS = APPLICATION + BACKENDS
};

static int way;
static struct asyncore_map *map;
static struct event_base *base;
static struct asyncore_poster *poster;
static pthread_t home;		/* the map's thread */
static int left;		/* what left the application's loop */

static void leave(struct asyncore_map *m, int result, void *arg)
{
	(void)m, (void)arg;
	left = result;
	event_base_loopbreak(base);
}

static void begin_without_poster(int how)
{
	way = how;
	home = pthread_self();
	left = 0;
	poster = NULL;
	map = asyncore_map_new(way < ATTACHED ? NULL : backend_base((way - ATTACHED) % BACKENDS));
	ck_assert_ptr_nonnull(map);
	base = asyncore_map_base(map);
	if (way >= APPLICATION)
		ck_assert_int_eq(asyncore_map_set_exit_cb(map, leave, NULL), 0);
}

static void begin(int how)
{
	begin_without_poster(how);
	poster = asyncore_poster_new(map);
	ck_assert_ptr_nonnull(poster);
}

static void free_map(void)
{
	ck_assert_int_eq(asyncore_map_free(map), 0);
	if (way >= ATTACHED)
		event_base_free(base);
}

static void let_go(void)
{
	asyncore_poster_unref(poster);
	poster = NULL;
}

static void end(void)
{
	let_go();
	free_map();
}

static int turn(int flags)
{
	left = 0;
	ck_assert_int_ge(event_base_loop(base, flags), 0);
	return left;
}

/* One pass without waiting / that waits; what left it. */
static int pass(void)
{
	if (way >= APPLICATION)
		return turn(EVLOOP_ONCE | EVLOOP_NONBLOCK);
	return way == OWN_POLL2 ? asyncore_poll2(0.0, map) : asyncore_poll(0.0, map);
}

static int waiting_pass(void)
{
	if (way >= APPLICATION)
		return turn(EVLOOP_ONCE);
	return way == OWN_POLL2 ? asyncore_poll2(-1.0, map) : asyncore_poll(-1.0, map);
}

/* A wake-up of the application's loop may take it a turn more to serve the map. */
#define pass_until(condition) \
	do { \
		int passes_ = 0; \
		while (!(condition) && passes_++ < 1000) \
			ck_assert_int_eq(pass(), 0); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

/* The loop, which waits for ever if nobody wakes it, and has to end by itself or be left;
 * what left it. */
static int run(void)
{
	int r;

	alarm(25);
	r = way >= APPLICATION ? turn(0) : asyncore_loop(-1.0, way == OWN_POLL2, map, -1);
	alarm(0);
	return r;
}

static void ring(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(int *)arg = 1;
}

static void ring_in_a_moment(event_callback_fn callback, void *arg)
{
	const struct timeval moment = { 0, 20000 };

	ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, callback, arg, &moment), 0);
}

/* No wake-up is left behind: the next wait goes on until something else happens. */
static void assert_quiet(void)
{
	int rung = 0;

	ck_assert_int_eq(pass(), 0);
	ck_assert_int_eq(pass(), 0);
	ring_in_a_moment(ring, &rung);
	ck_assert_int_eq(waiting_pass(), 0);
	ck_assert_int_eq(rung, 1);
}

/* --- jobs, which are posted ------------------------------------------------------ */

struct job {
	int id, result, runs, releases;
	int running;				/* calls that have not returned */
	int (*then)(struct job *);		/* what it does, instead of `result` */
	void (*at_last)(struct job *);		/* when it is released */
	void *arg;
};

static int call(struct asyncore_map *m, void *arg)
{
	struct job *job = arg;
	int r;

	ck_assert_ptr_eq(m, map);
	ck_assert(pthread_equal(pthread_self(), home));
	ck_assert_int_eq(job->releases, 0);
	job->runs++;
	trace_call("call %d ", job->id);
	job->running++;
	r = job->then != NULL ? job->then(job) : job->result;
	job->running--;
	return r;
}

static void release(void *arg)
{
	struct job *job = arg;

	ck_assert(pthread_equal(pthread_self(), home));
	ck_assert_int_eq(job->running, 0);
	job->releases++;
	if (job->at_last != NULL)
		job->at_last(job);
}

static int try_to_post(struct job *job)
{
	return asyncore_call_soon(poster, call, job, release);
}

static void post(struct job *job)
{
	ck_assert_int_eq(try_to_post(job), 0);
}

#define assert_job(job, run_so_often, released_so_often) \
	do { \
		ck_assert_int_eq((job)->runs, run_so_often); \
		ck_assert_int_eq((job)->releases, released_so_often); \
	} while (0)

static int post_arg(struct job *job)
{
	post(job->arg);
	return 0;
}

static void post_arg_at_last(struct job *job)
{
	post(job->arg);
}

static void let_go_at_last(struct job *job)
{
	(void)job;
	let_go();
}

/* --- threads --------------------------------------------------------------------- */

static pthread_t start(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
	return thread;
}

static void join(pthread_t thread)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* Some threads that post numbered tickets. */
enum { WORKERS = 4, TICKETS = 1000 };

struct worker {
	struct ticket {
		struct worker *worker;
		int number;
	} ticket[TICKETS];
	pthread_t thread;
	struct asyncore_poster *poster;
	int runs;			/* the number of the next ticket, too */
	int refused, failed;		/* with -ESHUTDOWN; otherwise */
	atomic_int releases;
	sem_t *half_time;		/* wait for it after half of them */
};

static int take_ticket(struct asyncore_map *m, void *arg)
{
	struct ticket *ticket = arg;

	ck_assert_ptr_eq(m, map);
	ck_assert_int_eq(ticket->number, ticket->worker->runs);
	ticket->worker->runs++;
	return 0;
}

static void release_ticket(void *arg)
{
	struct ticket *ticket = arg;

	ticket->worker->releases++;
}

static void *post_tickets(void *arg)
{
	struct worker *w = arg;
	int i, r;

	for (i = 0; i < TICKETS; i++) {
		if (i == TICKETS / 2 && w->half_time != NULL)
			sem_wait(w->half_time);
		r = asyncore_call_soon(w->poster, take_ticket, &w->ticket[i], release_ticket);
		if (r == -ESHUTDOWN)
			w->refused++;
		else if (r != 0)
			w->failed++;
	}
	asyncore_poster_unref(w->poster);
	return NULL;
}

static struct worker *start_workers(sem_t *half_time)
{
	struct worker *w = calloc(WORKERS, sizeof *w);
	int i, k;

	ck_assert_ptr_nonnull(w);
	for (i = 0; i < WORKERS; i++) {
		for (k = 0; k < TICKETS; k++)
			w[i].ticket[k] = (struct ticket){ &w[i], k };
		w[i].poster = asyncore_poster_ref(poster);
		w[i].half_time = half_time;
		w[i].thread = start(post_tickets, &w[i]);
	}
	return w;
}

static void join_workers(struct worker *w)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		join(w[i].thread);
}

/* --- calls ----------------------------------------------------------------------- */

START_TEST(calls_run_in_the_order_posted_and_are_released_once)
{
	struct job job[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };
	int i;

	begin(_i);
	for (i = 0; i < 3; i++)
		post(&job[i]);
	ck_assert_str_eq(trace, "");
	pass_until(job[2].runs == 1);
	ck_assert_str_eq(trace, "call 1 call 2 call 3 ");
	for (i = 0; i < 3; i++)
		assert_job(&job[i], 1, 1);
	assert_quiet();
	end();
	for (i = 0; i < 3; i++)
		assert_job(&job[i], 1, 1);
}
END_TEST

START_TEST(calls_run_after_the_io_of_a_pass)
{
	struct job job = { .id = 1 };
	int peer;

	begin(_i);
	probe_and_peer(map, &peer);
	ck_assert_int_eq(pass(), 0);
	ck_assert_int_eq(pass(), 0);
	post(&job);
	put(peer, "x", 1);
	pass_until(job.runs == 1);
	ck_assert_str_eq(trace, "read 1 call 1 ");
	end();
	close(peer);
}
END_TEST

START_TEST(call_posted_by_a_call_runs_in_a_later_pass)
{
	struct job second = { .id = 2 }, first = { .id = 1, .then = post_arg, .arg = &second };

	begin(_i);
	post(&first);
	pass_until(first.runs == 1);
	assert_job(&second, 0, 0);
	ck_assert_int_eq(waiting_pass(), 0);
	pass_until(second.runs == 1);
	assert_job(&second, 1, 1);
	end();
}
END_TEST

START_TEST(release_may_post)
{
	struct job second = { .id = 2 };
	struct job first = { .id = 1, .at_last = post_arg_at_last, .arg = &second };

	begin(_i);
	post(&first);
	pass_until(first.releases == 1);
	assert_job(&second, 0, 0);
	pass_until(second.releases == 1);
	assert_job(&second, 1, 1);
	end();
}
END_TEST

/* Again and again, until everybody else had a turn. */
static int post_self_until_arg(struct job *job)
{
	const int *const *done = job->arg;

	if (job->runs > 100000 || (*done[0] > 0 && *done[1] > 0))
		let_go();
	else
		ck_assert_int_eq(asyncore_call_soon(poster, call, job, NULL), 0);
	return 0;
}

static int read_and_close(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

START_TEST(call_that_posts_itself_again_starves_nobody)
{
	const int *done[2];
	struct job job = { .id = 1, .then = post_self_until_arg, .arg = done };
	struct probe *p;
	int peer, rung = 0;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = read_and_close;
	asyncore_ref(&p->dispatcher);
	done[0] = &p->reads;
	done[1] = &rung;
	ring_in_a_moment(ring, &rung);
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_call_soon(poster, call, &job, NULL), 0);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(p->reads, 1);
	ck_assert_int_eq(rung, 1);
	asyncore_unref(&p->dispatcher);
	end();
	close(peer);
}
END_TEST

static int post_in_handler(struct probe *p)
{
	post(p->arg);
	return asyncore_close(&p->dispatcher);
}

static int post_in_predicate(struct probe *p)
{
	if (p->readables == 1)
		post(p->arg);
	return 1;
}

/* It is asked just before the wait. */
START_TEST(call_posted_by_a_predicate_runs_without_waiting)
{
	struct job job = { .id = 1 };
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_readable = post_in_predicate;
	p->arg = &job;
	alarm(10);
	while (job.runs == 0)
		ck_assert_int_eq(waiting_pass(), 0);
	alarm(0);
	end();
	close(peer);
}
END_TEST

static int add_quick_channel(struct job *job)
{
	struct probe *p = probe_and_peer(map, job->arg);

	p->on_read = read_and_close;
	put(*(int *)job->arg, "x", 1);
	let_go();
	return 0;
}

START_TEST(channel_added_by_a_call_is_served)
{
	int peer;
	struct job job = { .id = 1, .then = add_quick_channel, .arg = &peer };

	begin(_i);
	post(&job);
	ck_assert_int_eq(run(), 0);
	ck_assert_str_eq(trace, "call 1 read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
	close(peer);
}
END_TEST

static int want_write(struct job *job)
{
	((struct probe *)job->arg)->wants_write = 1;
	return 0;
}

/* A call is something that the library is told: predicates are asked after it. */
START_TEST(interest_changed_by_a_call_counts_at_once)
{
	struct job job = { .id = 1, .then = want_write };
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_write = read_and_close;
	job.arg = p;
	post(&job);
	let_go();
	ck_assert_int_eq(run(), 0);
	ck_assert_str_eq(trace, "call 1 write 1 ");
	end();
	close(peer);
}
END_TEST

START_TEST(call_on_the_default_map_runs)
{
	struct job job = { .id = 1, .at_last = let_go_at_last };

	begin_without_poster(OWN);
	free_map();
	poster = asyncore_poster_new(NULL);
	ck_assert_ptr_nonnull(poster);
	map = asyncore_socket_map();
	post(&job);
	ck_assert_int_eq(asyncore_loop(-1.0, false, NULL, -1), 0);
	assert_job(&job, 1, 1);
}
END_TEST

/* --- other threads --------------------------------------------------------------- */

START_TEST(order_of_every_thread_is_kept)
{
	struct worker *w;
	int i;

	begin(_i);
	w = start_workers(NULL);
	let_go();
	ck_assert_int_eq(run(), 0);
	join_workers(w);
	for (i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(w[i].refused + w[i].failed, 0);
		ck_assert_int_eq(w[i].runs, TICKETS);
		ck_assert_int_eq(w[i].releases, TICKETS);
	}
	free(w);
	end();
}
END_TEST

START_TEST(calls_that_wait_run_in_one_pass_and_leave_no_wake_up)
{
	struct worker *w;
	int i;

	begin(_i);
	w = start_workers(NULL);
	join_workers(w);
	pass_until(w[0].runs > 0);
	for (i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(w[i].runs, TICKETS);
		ck_assert_int_eq(w[i].releases, TICKETS);
	}
	assert_quiet();
	free(w);
	end();
}
END_TEST

static int tell(struct asyncore_map *m, void *arg)
{
	(void)m;
	return sem_post(arg);
}

enum { ROUNDS = 300 };

/* The next one only when the last one ran: the loop waits, or is about to. */
static void *post_one_by_one(void *arg)
{
	sem_t ran;
	intptr_t failed = 0;
	int i;

	sem_init(&ran, 0, 0);
	for (i = 0; i < ROUNDS; i++)
		if (asyncore_call_soon(arg, tell, &ran, NULL) == 0)
			sem_wait(&ran);
		else
			failed++;
	sem_destroy(&ran);
	asyncore_poster_unref(arg);
	return (void *)failed;
}

START_TEST(waiting_loop_is_woken_by_every_call)
{
	pthread_t thread;
	void *failed;

	begin(_i);
	thread = start(post_one_by_one, poster);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	poster = NULL;
	end();
}
END_TEST

/* --- results --------------------------------------------------------------------- */

/* A channel of the map is no party to it. */
static void assert_left_with(int result)
{
	struct job job[4] = { { .id = 1 }, { .id = 2 }, { .id = 3 }, { .id = 4 } };
	struct probe *p;
	int i, peer;

	p = probe_and_peer(map, &peer);
	job[1].result = result;
	for (i = 0; i < 4; i++)
		post(&job[i]);
	ck_assert_int_eq(run(), result);
	ck_assert_str_eq(trace, "call 1 call 2 ");
	assert_job(&job[0], 1, 1);
	assert_job(&job[1], 1, 1);
	assert_job(&job[2], 0, 0);
	/* It has not to be woken again. */
	ck_assert_int_eq(waiting_pass(), 0);
	pass_until(job[3].runs == 1);
	ck_assert_str_eq(trace, "call 1 call 2 call 3 call 4 ");
	assert_quiet();
	ck_assert_int_eq(p->errors + p->closes, 0);
	end();
	for (i = 0; i < 4; i++)
		assert_job(&job[i], 1, 1);
	close(peer);
}

START_TEST(call_that_raises_leaves_the_loop_and_the_others_run_in_the_next_pass)
{
	begin(_i);
	assert_left_with(-EIO);
}
END_TEST

START_TEST(exit_now_of_a_call_leaves_the_loop_and_the_others_run_in_the_next_pass)
{
	begin(_i);
	assert_left_with(ASYNCORE_EXIT_NOW);
}
END_TEST

START_TEST(eagain_and_positive_results_are_no_errors)
{
	struct job job[3] = {
		{ .id = 1, .result = -EAGAIN },
		{ .id = 2, .result = 7 },
		{ .id = 3, .at_last = let_go_at_last }
	};
	int i;

	begin(_i);
	for (i = 0; i < 3; i++)
		post(&job[i]);
	ck_assert_int_eq(run(), 0);
	ck_assert_str_eq(trace, "call 1 call 2 call 3 ");
	end();
}
END_TEST

static int exit_now(struct probe *p)
{
	(void)p;
	return ASYNCORE_EXIT_NOW;
}

static int drop_exit(struct job *job)
{
	struct probe *p = job->arg;

	p->on_close = exit_now;
	asyncore_handle_close(&p->dispatcher);
	return 0;
}

START_TEST(exit_now_that_a_call_drops_is_noted)
{
	struct job job[2] = { { .id = 1, .then = drop_exit }, { .id = 2 } };
	int peer;

	begin(_i);
	job[0].arg = probe_and_peer(map, &peer);
	post(&job[0]);
	post(&job[1]);
	ck_assert_int_eq(run(), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "call 1 close 1 ");
	pass_until(job[1].runs == 1);
	end();
	close(peer);
}
END_TEST

START_TEST(calls_survive_an_exit_now_of_a_handler)
{
	struct job job = { .id = 1 };
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	ck_assert_int_eq(pass(), 0);
	ck_assert_int_eq(pass(), 0);
	p->on_read = exit_now;
	put(peer, "x", 1);
	post(&job);
	ck_assert_int_eq(run(), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "read 1 ");
	p->on_read = read_and_close;
	pass_until(job.runs == 1);
	assert_job(&job, 1, 1);
	end();
	close(peer);
}
END_TEST

static int raise_eio(struct asyncore_map *m, void *arg)
{
	(void)m, (void)arg;
	return -EIO;
}

/* Whichever of them runs first. */
START_TEST(calls_survive_a_timer_that_raises)
{
	struct job job = { .id = 1 };

	begin(_i);
	ck_assert_int_gt(asyncore_call_later(map, 0.0, raise_eio, NULL, NULL), 0);
	post(&job);
	ck_assert_int_eq(run(), -EIO);
	pass_until(job.runs == 1);
	assert_quiet();
	end();
	assert_job(&job, 1, 1);
}
END_TEST

START_TEST(call_that_raises_ends_the_applications_loop)
{
	struct job job[2] = { { .id = 1, .result = -EIO }, { .id = 2 } };

	begin(_i);
	ck_assert_int_eq(asyncore_map_set_exit_cb(map, NULL, NULL), 0);
	post(&job[0]);
	post(&job[1]);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_ne(event_base_got_break(base), 0);
	assert_job(&job[1], 0, 0);
	let_go();
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(event_base_got_break(base), 0);
	assert_job(&job[1], 1, 1);
	end();
}
END_TEST

/* --- passes inside of calls ------------------------------------------------------ */

static int post_and_wait_for_arg(struct job *job)
{
	struct job *other = job->arg;

	post(other);
	run_until(other->runs == 1, map);
	trace_call("done %d ", job->id);
	return 0;
}

START_TEST(call_may_wait_for_another_in_a_pass_of_its_own)
{
	struct job third = { .id = 3 }, second = { .id = 2 };
	struct job first = { .id = 1, .then = post_and_wait_for_arg, .arg = &third };

	begin(_i);
	post(&first);
	post(&second);
	pass_until(first.runs == 1);
	ck_assert_str_eq(trace, "call 1 call 2 call 3 done 1 ");
	assert_quiet();
	end();
	assert_job(&first, 1, 1);
	assert_job(&second, 1, 1);
	assert_job(&third, 1, 1);
}
END_TEST

static int exit_in_a_pass_inside(struct job *job)
{
	struct job *other = job->arg;

	post(&other[0]);
	post(&other[1]);
	trace_call("%d ", asyncore_loop(-1.0, false, map, -1) == ASYNCORE_EXIT_NOW);
	return 0;
}

/* What it leaves was posted by the outer call, and waits for a pass after that one's. */
START_TEST(exit_now_of_a_call_leaves_the_inner_loop)
{
	struct job other[2] = { { .id = 2, .result = ASYNCORE_EXIT_NOW }, { .id = 3 } };
	struct job first = { .id = 1, .then = exit_in_a_pass_inside, .arg = other };

	begin(_i);
	post(&first);
	ck_assert_int_eq(pass(), 0);
	ck_assert_str_eq(trace, "call 1 call 2 1 ");
	ck_assert_int_eq(waiting_pass(), 0);
	ck_assert_str_eq(trace, "call 1 call 2 1 call 3 ");
	assert_quiet();
	end();
	assert_job(&first, 1, 1);
	assert_job(&other[0], 1, 1);
	assert_job(&other[1], 1, 1);
}
END_TEST

static int expect_busy(struct job *job)
{
	ck_assert_int_eq(asyncore_map_free(map), -EBUSY);
	if (way >= APPLICATION)
		ck_assert_int_eq(asyncore_poll(0.0, map), -EBUSY);
	(void)job;
	return 0;
}

static void expect_busy_at_last(struct job *job)
{
	expect_busy(job);
}

START_TEST(map_is_busy_in_a_call_and_in_a_release)
{
	struct job job = { .id = 1, .then = expect_busy, .at_last = expect_busy_at_last };

	begin(_i);
	post(&job);
	pass_until(job.releases == 1);
	end();
}
END_TEST

/* --- the end of a map ------------------------------------------------------------ */

/* Map and poster may end in either order; the fixture looks for what they leave. */
START_TEST(map_that_is_freed_releases_its_calls_without_running_them)
{
	struct job job[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };
	int i;

	begin(_i / 2);
	for (i = 0; i < 3; i++)
		post(&job[i]);
	if (_i % 2 == 0)
		let_go();
	free_map();
	for (i = 0; i < 3; i++)
		assert_job(&job[i], 0, 1);
	let_go();
	for (i = 0; i < 3; i++)
		assert_job(&job[i], 0, 1);
}
END_TEST

START_TEST(poster_outlives_its_map_and_refuses_calls)
{
	struct job job = { .id = 1 };

	begin(_i);
	free_map();
	ck_assert_int_eq(try_to_post(&job), -ESHUTDOWN);
	assert_job(&job, 0, 1);
	ck_assert_int_eq(asyncore_call_soon(poster, call, &job, NULL), -ESHUTDOWN);
	ck_assert_ptr_eq(asyncore_poster_ref(poster), poster);
	asyncore_poster_unref(poster);
	ck_assert_int_eq(try_to_post(&job), -ESHUTDOWN);
	assert_job(&job, 0, 2);
	let_go();
}
END_TEST

static void try_to_post_at_last(struct job *job)
{
	const int r = try_to_post(job->arg);

	ck_assert(r == 0 || r == -ESHUTDOWN);
	if (job->id == 3)
		let_go();
}

/* One of the calls had been about to run when the loop was left.  What is posted now is
 * refused, or taken and released: neither runs, and the end comes. */
START_TEST(release_may_post_while_the_map_is_freed)
{
	struct job late[2] = { { .id = 4 }, { .id = 5 } };
	struct job job[3] = {
		{ .id = 1, .result = ASYNCORE_EXIT_NOW },
		{ .id = 2, .at_last = try_to_post_at_last, .arg = &late[0] },
		{ .id = 3, .at_last = try_to_post_at_last, .arg = &late[1] }
	};
	int i;

	begin(_i);
	post(&job[0]);
	post(&job[1]);
	ck_assert_int_eq(run(), ASYNCORE_EXIT_NOW);
	post(&job[2]);
	free_map();
	ck_assert_ptr_null(poster);
	for (i = 0; i < 2; i++) {
		assert_job(&job[i + 1], 0, 1);
		assert_job(&late[i], 0, 1);
	}
}
END_TEST

static void post_in_dispose(struct probe *p)
{
	struct job *job = p->arg;

	/* Taken or refused: its release runs, and the call does not. */
	try_to_post(job);
}

START_TEST(call_posted_by_the_last_dispose_is_released)
{
	struct job job = { .id = 1 };
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_dispose = post_in_dispose;
	p->arg = &job;
	free_map();
	let_go();
	assert_job(&job, 0, 1);
	close(peer);
}
END_TEST

START_TEST(map_may_be_freed_while_threads_post)
{
	struct worker *w;
	sem_t half_time;
	int i;

	begin(_i);
	sem_init(&half_time, 0, 0);
	w = start_workers(&half_time);
	let_go();
	alarm(25);
	while (w[0].runs < TICKETS / 4)
		ck_assert_int_eq(waiting_pass(), 0);
	alarm(0);
	for (i = 0; i < WORKERS; i++)
		sem_post(&half_time);
	free_map();
	join_workers(w);
	for (i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(w[i].failed, 0);
		ck_assert_int_le(w[i].runs + w[i].refused, TICKETS);
		ck_assert_int_eq(w[i].releases, TICKETS);
	}
	sem_destroy(&half_time);
	free(w);
}
END_TEST

START_TEST(what_is_no_poster_trigger_or_call_is_refused)
{
	struct job job = { .id = 1 };

	begin(_i);
	ck_assert_int_eq(asyncore_call_soon(NULL, call, &job, release), -EINVAL);
	assert_job(&job, 0, 1);
	ck_assert_int_eq(asyncore_call_soon(poster, NULL, &job, release), -EINVAL);
	assert_job(&job, 0, 2);
	ck_assert_ptr_null(asyncore_poster_ref(NULL));
	asyncore_poster_unref(NULL);
	errno = 0;
	ck_assert_ptr_null(asyncore_trigger_new(map, NULL, NULL, NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(asyncore_trigger_pull(NULL), -EINVAL);
	asyncore_trigger_free(NULL);
	assert_quiet();
	/* Nothing but the poster keeps the loop. */
	let_go();
	ck_assert_int_eq(run(), 0);
	end();
}
END_TEST

/* --- posters and the loop -------------------------------------------------------- */

static sem_t told;
static int rung;

static void ring_and_tell(evutil_socket_t fd, short what, void *arg)
{
	ring(fd, what, arg);
	sem_post(&told);
}

static void *unref_when_told(void *arg)
{
	sem_wait(&told);
	asyncore_poster_unref(arg);
	return NULL;
}

START_TEST(loop_goes_on_while_a_poster_is_held_by_another_thread)
{
	pthread_t thread;

	begin(_i);
	rung = 0;
	sem_init(&told, 0, 0);
	thread = start(unref_when_told, poster);
	ck_assert_ptr_eq(asyncore_poster_ref(poster), poster);
	let_go();
	ring_in_a_moment(ring_and_tell, &rung);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(rung, 1);
	join(thread);
	sem_destroy(&told);
	end();
}
END_TEST

static int events_added(void)
{
	return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED |
					 EVENT_BASE_COUNT_ACTIVE);
}

/* What keeps event_base_dispatch(), and what lets it end. */
START_TEST(events_are_on_the_applications_base_while_a_poster_is_held)
{
	begin_without_poster(_i);
	ck_assert_int_eq(events_added(), 0);
	poster = asyncore_poster_new(map);
	ck_assert_int_gt(events_added(), 0);
	ck_assert_int_eq(pass(), 0);
	ck_assert_int_gt(events_added(), 0);
	let_go();
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(events_added(), 0);
	end();
}
END_TEST

START_TEST(calls_of_a_poster_that_was_let_go_run_before_the_loop_ends)
{
	struct job second = { .id = 2 }, first = { .id = 1, .result = -EIO };

	begin(_i);
	post(&first);
	post(&second);
	let_go();
	ck_assert_int_eq(run(), -EIO);
	assert_job(&second, 0, 0);
	ck_assert_int_eq(run(), 0);
	assert_job(&second, 1, 1);
	end();
}
END_TEST

START_TEST(loop_ends_when_channels_and_posters_are_gone)
{
	struct job job = { .id = 1, .at_last = let_go_at_last };
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	p->on_read = post_in_handler;
	p->arg = &job;
	put(peer, "x", 1);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(probes_disposed, 1);
	assert_job(&job, 1, 1);
	/* And it can start anew. */
	poster = asyncore_poster_new(map);
	post(&job);
	job.releases = 0;
	ck_assert_int_eq(run(), 0);
	assert_job(&job, 2, 1);
	end();
	close(peer);
}
END_TEST

/* --- descriptors ----------------------------------------------------------------- */

/* The next one that will be used. */
static int next_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return fd;
}

START_TEST(posters_and_triggers_of_a_map_share_one_descriptor)
{
	struct job job = { .id = 1 };
	struct asyncore_poster *other[5];
	struct asyncore_trigger *trigger[5];
	int i, before, next;

	begin_without_poster(_i);
	before = open_descriptors();
	next = next_descriptor();
	poster = asyncore_poster_new(map);
	if (open_descriptors() > before)
		ck_assert_int_ne(fcntl(next, F_GETFD) & FD_CLOEXEC, 0);
	for (i = 0; i < 5; i++) {
		other[i] = asyncore_poster_new(map);
		trigger[i] = asyncore_trigger_new(map, call, &job, NULL);
		ck_assert(other[i] != NULL && trigger[i] != NULL);
	}
	ck_assert_int_le(open_descriptors(), before + 1);
	for (i = 0; i < 5; i++) {
		asyncore_poster_unref(other[i]);
		asyncore_trigger_free(trigger[i]);
	}
	end();
}
END_TEST

START_TEST(posters_that_come_and_go_use_nothing_up)
{
	struct job job = { .id = 1 };
	int i, before = 0;

	begin_without_poster(_i);
	for (i = 0; i < 50; i++) {
		poster = asyncore_poster_new(map);
		job.releases = 0;
		post(&job);
		let_go();
		ck_assert_int_eq(run(), 0);
		assert_job(&job, i + 1, 1);
		if (i == 0)
			before = open_descriptors();
		ck_assert_int_eq(open_descriptors(), before);
	}
	end();
}
END_TEST

START_TEST(poster_without_a_descriptor_is_refused)
{
	struct job job = { .id = 1 };
	struct rlimit old, none;

	begin_without_poster(_i);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ (rlim_t)next_descriptor(), old.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	poster = asyncore_poster_new(map);
	if (poster == NULL)
		ck_assert_int_eq(errno, EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (poster == NULL) {
		ck_assert_int_eq(run(), 0);
		poster = asyncore_poster_new(map);
		ck_assert_ptr_nonnull(poster);
	}
	post(&job);
	pass_until(job.runs == 1);
	end();
}
END_TEST

/* --- triggers -------------------------------------------------------------------- */

static struct asyncore_trigger *trigger;

static struct asyncore_trigger *trigger_new(struct job *job)
{
	struct asyncore_trigger *t = asyncore_trigger_new(map, call, job, release);

	ck_assert_ptr_nonnull(t);
	return t;
}

static void begin_with_trigger(int how, struct job *job)
{
	begin_without_poster(how);
	trigger = trigger_new(job);
}

static void free_trigger(void)
{
	asyncore_trigger_free(trigger);
	trigger = NULL;
}

static void end_with_trigger(void)
{
	if (trigger != NULL)
		free_trigger();
	end();
}

static void pull(void)
{
	ck_assert_int_eq(asyncore_trigger_pull(trigger), 0);
}

static int free_trigger_now(struct job *job)
{
	free_trigger();
	return job->result;
}

START_TEST(several_pulls_are_one_call)
{
	struct job job = { .id = 1 };
	int i;

	begin_with_trigger(_i, &job);
	ck_assert_int_eq(pass(), 0);
	assert_job(&job, 0, 0);
	for (i = 0; i < 1000; i++)
		pull();
	pass_until(job.runs > 0);
	assert_quiet();
	assert_job(&job, 1, 0);
	pull();
	pass_until(job.runs == 2);
	assert_quiet();
	end_with_trigger();
	assert_job(&job, 2, 1);
}
END_TEST

static int pull_at_first(struct job *job)
{
	if (job->runs == 1)
		pull();
	return 0;
}

START_TEST(pull_in_its_own_call_is_another_call_in_a_later_pass)
{
	struct job job = { .id = 1, .then = pull_at_first };

	begin_with_trigger(_i, &job);
	pull();
	pass_until(job.runs > 0);
	ck_assert_int_eq(job.runs, 1);
	ck_assert_int_eq(waiting_pass(), 0);
	pass_until(job.runs == 2);
	assert_quiet();
	end_with_trigger();
	assert_job(&job, 2, 1);
}
END_TEST

static int pull_and_free(struct job *job)
{
	pull();
	return free_trigger_now(job);
}

/* It is released when the call has returned: see release(). */
START_TEST(trigger_freed_in_its_own_call_is_not_called_again)
{
	struct job job = { .id = 1, .then = pull_and_free };

	begin_with_trigger(_i, &job);
	pull();
	ck_assert_int_eq(run(), 0);
	assert_job(&job, 1, 1);
	end_with_trigger();
}
END_TEST

START_TEST(trigger_that_is_freed_while_it_is_pulled_is_released_and_not_called)
{
	struct job job = { .id = 1 };

	begin_with_trigger(_i, &job);
	pull();
	free_trigger();
	assert_job(&job, 0, 1);
	ck_assert_int_eq(run(), 0);
	end_with_trigger();
	assert_job(&job, 0, 1);
}
END_TEST

static int free_arg(struct job *job)
{
	struct asyncore_trigger **other = job->arg;

	asyncore_trigger_free(*other);
	*other = NULL;
	return 0;
}

/* Both are pulled; whichever runs first. */
START_TEST(trigger_freed_by_another_one_is_not_called)
{
	struct asyncore_trigger *t[2];
	struct job job[2] = {
		{ .id = 1, .then = free_arg, .arg = &t[1] },
		{ .id = 2, .then = free_arg, .arg = &t[0] }
	};
	int i;

	begin_without_poster(_i);
	for (i = 0; i < 2; i++)
		t[i] = trigger_new(&job[i]);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(asyncore_trigger_pull(t[i]), 0);
	pass_until(job[0].runs + job[1].runs > 0);
	ck_assert_int_eq(pass(), 0);
	ck_assert_int_eq(job[0].runs + job[1].runs, 1);
	ck_assert_int_eq(job[0].releases, job[1].runs);
	ck_assert_int_eq(job[1].releases, job[0].runs);
	asyncore_trigger_free(t[0] != NULL ? t[0] : t[1]);
	end();
	ck_assert_int_eq(job[0].releases + job[1].releases, 2);
}
END_TEST

static int free_and_run_inside(struct job *job)
{
	pull_and_free(job);
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	ck_assert_int_eq(job->releases, 0);
	return 0;
}

START_TEST(trigger_freed_in_its_own_call_survives_a_pass_inside)
{
	struct job job = { .id = 1, .then = free_and_run_inside };

	begin_with_trigger(_i, &job);
	pull();
	ck_assert_int_eq(run(), 0);
	assert_job(&job, 1, 1);
	end_with_trigger();
}
END_TEST

/* The inner or, with an `arg`, the outer one of two calls frees the trigger. */
static int run_inside_and_free(struct job *job)
{
	const bool outer = job->runs == 1;

	if (outer) {
		pull();
		run_until(job->runs == 2, map);
	}
	if (outer == (job->arg != NULL))
		free_trigger();
	return 0;
}

static void assert_freed_once(void *arg)
{
	struct job job = { .id = 1, .then = run_inside_and_free, .arg = arg };

	trigger = trigger_new(&job);
	pull();
	ck_assert_int_eq(run(), 0);
	assert_job(&job, 2, 1);
	end_with_trigger();
}

START_TEST(trigger_that_ran_inside_its_own_call_may_be_freed_by_the_outer_call)
{
	begin_without_poster(_i);
	assert_freed_once(map);
}
END_TEST

START_TEST(trigger_that_runs_inside_its_own_call_may_be_freed_by_the_inner_call)
{
	begin_without_poster(_i);
	assert_freed_once(NULL);
}
END_TEST

static void ring_and_pull(evutil_socket_t fd, short what, void *arg)
{
	ring(fd, what, arg);
	pull();
}

START_TEST(loop_goes_on_while_there_is_a_trigger)
{
	struct job job = { .id = 1, .then = free_trigger_now };

	begin_with_trigger(_i, &job);
	rung = 0;
	ring_in_a_moment(ring_and_pull, &rung);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(rung, 1);
	assert_job(&job, 1, 1);
	end_with_trigger();
}
END_TEST

START_TEST(call_of_a_trigger_that_raises_leaves_the_loop)
{
	struct job job = { .id = 1, .result = -EIO }, posted = { .id = 2 };

	begin_with_trigger(_i, &job);
	poster = asyncore_poster_new(map);
	pull();
	post(&posted);
	ck_assert_int_eq(run(), -EIO);
	ck_assert_int_eq(job.runs, 1);
	pass_until(posted.runs == 1);
	job.result = ASYNCORE_EXIT_NOW;
	pull();
	ck_assert_int_eq(run(), ASYNCORE_EXIT_NOW);
	job.result = -EAGAIN;
	job.then = free_trigger_now;
	pull();
	let_go();
	ck_assert_int_eq(run(), 0);
	assert_job(&job, 3, 1);
	end_with_trigger();
}
END_TEST

START_TEST(trigger_may_be_freed_after_its_map)
{
	struct job job[2] = { { .id = 1 }, { .id = 2 } };
	struct asyncore_trigger *quiet;

	begin_with_trigger(_i, &job[0]);
	quiet = trigger_new(&job[1]);
	pull();
	free_map();
	errno = ELOOP;
	ck_assert_int_eq(asyncore_trigger_pull(trigger), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_trigger_pull(quiet), -ESHUTDOWN);
	ck_assert_int_eq(errno, ELOOP);
	free_trigger();
	asyncore_trigger_free(quiet);
	assert_job(&job[0], 0, 1);
	assert_job(&job[1], 0, 1);
}
END_TEST

/* --- signals --------------------------------------------------------------------- */

static volatile sig_atomic_t signals, pull_result, errno_changed;

static void pull_on_signal(int number)
{
	const int before = errno;

	(void)number;
	errno = ELOOP;
	pull_result = asyncore_trigger_pull(trigger);
	errno_changed |= errno != ELOOP;
	errno = before;
	signals = signals + 1;
}

static struct sigaction old_action;

static void begin_with_signal(int how, struct job *job)
{
	struct sigaction action = { .sa_handler = pull_on_signal };

	begin_with_trigger(how, job);
	signals = pull_result = errno_changed = 0;
	ck_assert_int_eq(sigaction(SIGUSR1, &action, &old_action), 0);
}

static void end_with_signal(void)
{
	ck_assert_int_eq(sigaction(SIGUSR1, &old_action, NULL), 0);
	ck_assert_int_eq(pull_result, 0);
	ck_assert_int_eq(errno_changed, 0);
	end_with_trigger();
}

START_TEST(trigger_is_pulled_in_a_signal_handler)
{
	struct job job = { .id = 1 };
	int i;

	begin_with_signal(_i, &job);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(raise(SIGUSR1), 0);
	pass_until(job.runs > 0);
	assert_quiet();
	ck_assert_int_eq(job.runs, 1);
	ck_assert_int_eq(signals, 10);
	end_with_signal();
	assert_job(&job, 1, 1);
}
END_TEST

enum { SIGNALS = 200 };

static sem_t called;

static void *signal_home(void *arg)
{
	int i;

	for (i = 0; i < SIGNALS; i++) {
		pthread_kill(home, SIGUSR1);
		sem_wait(&called);
	}
	return arg;
}

static int tell_and_free_at_last(struct job *job)
{
	if (job->runs == SIGNALS)
		free_trigger();
	sem_post(&called);
	return 0;
}

/* The signal comes in the wait, mostly. */
START_TEST(waiting_loop_is_woken_by_a_signal_handler)
{
	struct job job = { .id = 1, .then = tell_and_free_at_last };
	pthread_t thread;

	sem_init(&called, 0, 0);
	begin_with_signal(_i, &job);
	thread = start(signal_home, NULL);
	ck_assert_int_eq(run(), 0);
	join(thread);
	ck_assert_int_eq(signals, SIGNALS);
	end_with_signal();
	assert_job(&job, SIGNALS, 1);
	sem_destroy(&called);
}
END_TEST

/* --- triggers and other threads -------------------------------------------------- */

static atomic_int wanted;

static void *pull_often(void *arg)
{
	int i;

	for (i = 0; i < TICKETS; i++) {
		wanted++;
		if (asyncore_trigger_pull(arg) != 0)
			return arg;
	}
	return NULL;
}

static int look(struct job *job)
{
	*(int *)job->arg = wanted;
	return 0;
}

/* After every pull comes a call, so the last call sees all. */
START_TEST(no_pull_of_a_thread_is_lost)
{
	int i, seen = 0;
	struct job job = { .id = 1, .then = look, .arg = &seen };
	pthread_t thread[WORKERS];

	begin_with_trigger(_i, &job);
	wanted = 0;
	for (i = 0; i < WORKERS; i++)
		thread[i] = start(pull_often, trigger);
	alarm(25);
	while (seen < WORKERS * TICKETS)
		ck_assert_int_eq(waiting_pass(), 0);
	alarm(0);
	for (i = 0; i < WORKERS; i++) {
		void *failed;

		ck_assert_int_eq(pthread_join(thread[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	ck_assert_int_le(job.runs, WORKERS * TICKETS);
	end_with_trigger();
}
END_TEST

/* --- channels and other threads -------------------------------------------------- */

static int close_and_unref(struct asyncore_map *m, void *arg)
{
	struct probe *p = arg;
	int r = asyncore_close(&p->dispatcher);

	ck_assert_ptr_eq(m, map);
	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
	return r;
}

static void closed_at_most_once(struct probe *p)
{
	ck_assert_int_le(p->closes, 1);
	ck_assert_int_eq(p->disposes, 1);
	ck_assert(pthread_equal(pthread_self(), home));
}

enum { CHANNELS = 100 };

struct closing {
	struct probe *p[CHANNELS];
	int peer[CHANNELS], failed;
};

/* The peer closes, too, before or after. */
static void *close_channels(void *arg)
{
	struct closing *closing = arg;
	int i;

	for (i = 0; i < CHANNELS; i++) {
		if (i % 2 == 0)
			close(closing->peer[i]);
		if (asyncore_call_soon(poster, close_and_unref, closing->p[i], NULL) != 0)
			closing->failed++;
		if (i % 2 != 0)
			close(closing->peer[i]);
	}
	asyncore_poster_unref(poster);
	return NULL;
}

START_TEST(channels_are_closed_by_another_thread_and_by_their_peers)
{
	struct closing closing = { .failed = 0 };
	pthread_t thread;
	int i;

	begin(_i);
	probes_and_peers(map, closing.p, closing.peer, CHANNELS);
	for (i = 0; i < CHANNELS; i++) {
		closing.p[i]->on_dispose = closed_at_most_once;
		ck_assert_int_eq(asyncore_ref(&closing.p[i]->dispatcher), 0);
	}
	thread = start(close_channels, &closing);
	ck_assert_int_eq(run(), 0);
	join(thread);
	poster = NULL;
	ck_assert_int_eq(closing.failed, 0);
	ck_assert_int_eq(probes_disposed, CHANNELS);
	end();
}
END_TEST

static int say_hello(struct asyncore_map *m, void *arg)
{
	struct probe *p = arg;

	(void)m;
	return asyncore_send(&p->dispatcher, "hello", 5);
}

static void *say_hello_and_close(void *arg)
{
	intptr_t r = asyncore_call_soon(poster, say_hello, arg, NULL);

	r |= asyncore_call_soon(poster, close_and_unref, arg, NULL);
	asyncore_poster_unref(poster);
	return (void *)r;
}

START_TEST(channel_is_sent_to_by_another_thread)
{
	struct probe *p;
	pthread_t thread;
	char said[5];
	void *failed;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	asyncore_ref(&p->dispatcher);
	thread = start(say_hello_and_close, p);
	ck_assert_int_eq(run(), 0);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	poster = NULL;
	take(peer, said, 5);
	ck_assert_int_eq(memcmp(said, "hello", 5), 0);
	ck_assert_uint_eq(drain(peer), 0);
	ck_assert_int_eq(probes_disposed, 1);
	end();
	close(peer);
}
END_TEST

static void unref_at_last(void *arg)
{
	struct probe *p = arg;

	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
}

/* The release, not the call, lets go: then a call that never ran does it as well. */
START_TEST(channel_that_a_release_lets_go_ends_with_the_map)
{
	struct probe *p;
	int peer;

	begin(_i);
	p = probe_and_peer(map, &peer);
	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_call_soon(poster, say_hello, p, unref_at_last), 0);
	free_map();
	ck_assert_int_eq(probes_disposed, 1);
	let_go();
	close(peer);
}
END_TEST

/* --- the suite ------------------------------------------------------------------- */

static TCase *new_case(Suite *suite, const char *name)
{
	TCase *tc = suite_case(suite, name);

	tcase_set_timeout(tc, 30);
	return tc;
}

#define on_each_way(tc, test) tcase_add_loop_test(tc, test, 0, WAYS)
#define on_each_way_of_ours(tc, test) tcase_add_loop_test(tc, test, 0, APPLICATION)
#define on_each_way_of_the_application(tc, test) \
	tcase_add_loop_test(tc, test, APPLICATION, WAYS)

static void add_cases(Suite *suite)
{
	TCase *tc = new_case(suite, "calls");

	on_each_way(tc, calls_run_in_the_order_posted_and_are_released_once);
	on_each_way(tc, calls_run_after_the_io_of_a_pass);
	on_each_way(tc, call_posted_by_a_call_runs_in_a_later_pass);
	on_each_way(tc, release_may_post);
	on_each_way(tc, call_that_posts_itself_again_starves_nobody);
	on_each_way(tc, call_posted_by_a_predicate_runs_without_waiting);
	on_each_way(tc, channel_added_by_a_call_is_served);
	on_each_way(tc, interest_changed_by_a_call_counts_at_once);
	tcase_add_test(tc, call_on_the_default_map_runs);

	tc = new_case(suite, "other threads");
	on_each_way(tc, order_of_every_thread_is_kept);
	on_each_way(tc, calls_that_wait_run_in_one_pass_and_leave_no_wake_up);
	on_each_way(tc, waiting_loop_is_woken_by_every_call);

	tc = new_case(suite, "results");
	on_each_way(tc, call_that_raises_leaves_the_loop_and_the_others_run_in_the_next_pass);
	on_each_way(tc, exit_now_of_a_call_leaves_the_loop_and_the_others_run_in_the_next_pass);
	on_each_way(tc, eagain_and_positive_results_are_no_errors);
	on_each_way(tc, exit_now_that_a_call_drops_is_noted);
	on_each_way(tc, calls_survive_an_exit_now_of_a_handler);
	on_each_way(tc, calls_survive_a_timer_that_raises);
	on_each_way_of_the_application(tc, call_that_raises_ends_the_applications_loop);

	tc = new_case(suite, "passes inside");
	on_each_way_of_ours(tc, call_may_wait_for_another_in_a_pass_of_its_own);
	on_each_way_of_ours(tc, exit_now_of_a_call_leaves_the_inner_loop);
	on_each_way(tc, map_is_busy_in_a_call_and_in_a_release);

	tc = new_case(suite, "the end of a map");
	tcase_add_loop_test(tc, map_that_is_freed_releases_its_calls_without_running_them,
			    0, 2 * WAYS);
	on_each_way(tc, poster_outlives_its_map_and_refuses_calls);
	on_each_way(tc, release_may_post_while_the_map_is_freed);
	on_each_way(tc, call_posted_by_the_last_dispose_is_released);
	on_each_way(tc, map_may_be_freed_while_threads_post);
	on_each_way(tc, what_is_no_poster_trigger_or_call_is_refused);

	tc = new_case(suite, "posters and the loop");
	on_each_way(tc, loop_goes_on_while_a_poster_is_held_by_another_thread);
	tcase_add_loop_test(tc, events_are_on_the_applications_base_while_a_poster_is_held,
			    ATTACHED, WAYS);
	on_each_way(tc, calls_of_a_poster_that_was_let_go_run_before_the_loop_ends);
	on_each_way(tc, loop_ends_when_channels_and_posters_are_gone);

	tc = new_case(suite, "descriptors");
	on_each_way(tc, posters_and_triggers_of_a_map_share_one_descriptor);
	on_each_way(tc, posters_that_come_and_go_use_nothing_up);
	on_each_way(tc, poster_without_a_descriptor_is_refused);

	tc = new_case(suite, "triggers");
	on_each_way(tc, several_pulls_are_one_call);
	on_each_way(tc, pull_in_its_own_call_is_another_call_in_a_later_pass);
	on_each_way(tc, trigger_freed_in_its_own_call_is_not_called_again);
	on_each_way(tc, trigger_that_is_freed_while_it_is_pulled_is_released_and_not_called);
	on_each_way(tc, trigger_freed_by_another_one_is_not_called);
	on_each_way_of_ours(tc, trigger_freed_in_its_own_call_survives_a_pass_inside);
	on_each_way_of_ours(tc,
		trigger_that_ran_inside_its_own_call_may_be_freed_by_the_outer_call);
	on_each_way_of_ours(tc,
		trigger_that_runs_inside_its_own_call_may_be_freed_by_the_inner_call);
	on_each_way(tc, loop_goes_on_while_there_is_a_trigger);
	on_each_way(tc, call_of_a_trigger_that_raises_leaves_the_loop);
	on_each_way(tc, trigger_may_be_freed_after_its_map);

	tc = new_case(suite, "signals");
	on_each_way(tc, trigger_is_pulled_in_a_signal_handler);
	on_each_way(tc, waiting_loop_is_woken_by_a_signal_handler);

	tc = new_case(suite, "triggers and other threads");
	on_each_way(tc, no_pull_of_a_thread_is_lost);

	tc = new_case(suite, "channels and other threads");
	on_each_way(tc, channels_are_closed_by_another_thread_and_by_their_peers);
	on_each_way(tc, channel_is_sent_to_by_another_thread);
	on_each_way(tc, channel_that_a_release_lets_go_ends_with_the_map);
}

SUITE_MAIN("call_soon", add_cases)
