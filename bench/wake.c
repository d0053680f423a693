/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wake.c - how long it takes another thread to have something called in a waiting loop:
 * wake [CALLS]
 *
 * From just before asyncore_call_soon() to the start of the call, in asyncore_loop() and in
 * event_base_dispatch(); beside it event_active() of libevent with locks
 * (evthread_use_pthreads()), and a bare eventfd with a read event on it.  One at a time: the
 * next only when the last one was called and the loop had time to fall asleep.  The four take
 * turns in short rounds.
 */

#include <asyncore_event.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

enum { ROUNDS = 50, PAUSE = 50000 /* ns */ };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

/* --- the four ways ------------------------------------------------------------------- */

struct way {
	const char *name;
	void (*init)(struct way *);
	void (*run)(struct way *);	/* the loop, until the end of a round */
	void (*wake)(struct way *);	/* by the other thread */
	struct event_base *base;
	struct event *event;
	struct asyncore_map *map;
	struct asyncore_poster *poster;
	int fd;
	long *ns, n;
};

static long calls = 20000;
static struct way *current;
static atomic_long asked;	/* wake-ups that the other thread may have done */
static long sent;

/* Something was called.  Is the round over? */
static bool served(void)
{
	struct way *way = current;

	way->ns[way->n++] = now() - sent;
	if (way->n % (calls / ROUNDS) == 0)
		return true;
	asked++;
	return false;
}

static int posted(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	return served() ? ASYNCORE_EXIT_NOW : 0;
}

static void post(struct way *way)
{
	if (asyncore_call_soon(way->poster, posted, NULL, NULL) < 0)
		die("asyncore_call_soon");
}

static void init_map(struct way *way)
{
	way->map = asyncore_map_new(way->base);
	way->poster = asyncore_poster_new(way->map);
	if (way->poster == NULL)
		die("asyncore_poster_new");
}

static void run_map(struct way *way)
{
	if (asyncore_loop(-1.0, false, way->map, -1) != ASYNCORE_EXIT_NOW)
		die("asyncore_loop");
}

static void init_attached(struct way *way)
{
	way->base = event_base_new();
	init_map(way);
}

static void run_base(struct way *way)
{
	if (event_base_dispatch(way->base) != 0)
		die("event_base_dispatch");
}

static void activated(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	if (served())
		event_base_loopbreak(arg);
}

static void init_active(struct way *way)
{
	way->base = event_base_new();
	way->event = event_new(way->base, -1, 0, activated, way->base);
}

static void run_empty_base(struct way *way)
{
	if (event_base_loop(way->base, EVLOOP_NO_EXIT_ON_EMPTY) != 0)
		die("event_base_loop");
}

static void activate(struct way *way)
{
	event_active(way->event, EV_READ, 1);
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	if (read(fd, &count, sizeof count) != sizeof count)
		die("read");
	activated(fd, what, arg);
}

static void init_eventfd(struct way *way)
{
	way->base = event_base_new();
	way->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	way->event = event_new(way->base, way->fd, EV_READ | EV_PERSIST, readable, way->base);
	event_add(way->event, NULL);
}

static void write_eventfd(struct way *way)
{
	const uint64_t one = 1;

	if (write(way->fd, &one, sizeof one) != sizeof one)
		die("write");
}

/* Bases that are made after evthread_use_pthreads() have locks: that one is the last. */
static struct way ways[] = {
	{ .name = "call_soon, asyncore_loop",
	  .init = init_map, .run = run_map, .wake = post },
	{ .name = "call_soon, event_base_dispatch",
	  .init = init_attached, .run = run_base, .wake = post },
	{ .name = "eventfd and its read event",
	  .init = init_eventfd, .run = run_base, .wake = write_eventfd },
	{ .name = "event_active with locks",
	  .init = init_active, .run = run_empty_base, .wake = activate },
};

enum { WAYS = sizeof ways / sizeof *ways };

/* --- rounds --------------------------------------------------------------------------- */

/* The other thread.  It spins, so that it does not have to be woken itself. */
static void *waker(void *unused)
{
	long done, start;

	for (done = 0; done < WAYS * calls; done++) {
		while (asked == done)
			;
		for (start = now(); now() - start < PAUSE;)
			;
		sent = now();
		current->wake(current);
	}
	return unused;
}

static int compare(const void *a, const void *b)
{
	return (*(const long *)a > *(const long *)b) - (*(const long *)a < *(const long *)b);
}

static void report(struct way *way)
{
	qsort(way->ns, (size_t)way->n, sizeof *way->ns, compare);
	printf("%-34s %8ld %8.2f %8.2f\n", way->name, way->n, (double)way->ns[way->n / 2] / 1e3,
	       (double)way->ns[way->n * 99 / 100] / 1e3);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	struct way *way;
	int round;

	if (argc > 1)
		calls = atol(argv[1]) / ROUNDS * ROUNDS;
	if (calls <= 0)
		return 2;
	for (way = ways; way < ways + WAYS; way++) {
		if (way->init == init_active && evthread_use_pthreads() < 0)
			die("evthread_use_pthreads");
		way->init(way);
		way->ns = calloc((size_t)calls, sizeof *way->ns);
		if (way->ns == NULL)
			die("calloc");
	}
	if (pthread_create(&thread, NULL, waker, NULL) != 0)
		die("pthread_create");
	for (round = 0; round < ROUNDS; round++)
		for (way = ways; way < ways + WAYS; way++) {
			current = way;
			asked++;
			way->run(way);
		}
	pthread_join(thread, NULL);

	printf("%-34s %8s %8s %8s\n", "microseconds until it is called", "calls", "median",
	       "p99");
	for (way = ways; way < ways + WAYS; way++) {
		report(way);
		if (way->event != NULL)
			event_free(way->event);
		asyncore_poster_unref(way->poster);
		if (way->map != NULL)
			asyncore_map_free(way->map);
		if (way->base != NULL)
			event_base_free(way->base);
		if (way->fd > 0)
			close(way->fd);
		free(way->ns);
	}
	return 0;
}
