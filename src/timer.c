/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * timer.c - timers (see timer.h).
 *
 * A timer is known to programs by a number, never by a pointer, so that a late cancel
 * cannot touch freed memory: the number holds the slot of a table and a generation.
 *
 * While its call runs a timer is out of the heap; afterwards it goes back (it repeats, or
 * was reset) or ends.  Room in the heap is made when a timer is, so that going back cannot
 * fail.
 */

#include "timer.h"
#include "channel.h"
#include "loop.h"
#include "map.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct timer {
	int64_t due;
	uint64_t seq;			/* those due at once keep the order of setting */
	int64_t period;			/* what it was given, in ns */
	long long number;
	size_t place;			/* in the heap + 1; 0: not there */
	bool repeats;
	bool running;
	bool ended;			/* while it was running */

	struct asyncore_map *map;
	struct asyncore_channel *channel;	/* whose it is, or NULL */
	struct timer *next, **link;	/* among those of the channel */
	int64_t active;			/* an idle timeout: when something happened last */

	union {
		asyncore_call_fn map;
		asyncore_channel_call_fn channel;
	} call;				/* neither: an idle timeout */
	asyncore_release_fn release;
	void *arg;
};

struct timer_slot {
	struct timer *timer;		/* NULL: free */
	size_t next_free;
};

/* The bits of a number that are its slot; the rest is a generation that never comes again. */
enum { SLOT_BITS = 23 };
static const size_t MOST_TIMERS = (size_t)1 << SLOT_BITS;

/* The longest time that is told from for ever: a hundred years, in seconds. */
#define LONGEST 3e9

int64_t timer_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Seconds in ns, rounded up; negative for what is no time. */
static int64_t to_ns(double seconds)
{
	double ns = (seconds < LONGEST ? seconds : LONGEST) * 1e9;
	int64_t whole;

	if (!(seconds >= 0))
		return -EINVAL;
	whole = (int64_t)ns;
	return whole < ns ? whole + 1 : whole;
}

/* --- the heap ------------------------------------------------------------------------ */

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void put(struct timers *ts, struct timer *t, size_t i)
{
	ts->heap[i] = t;
	t->place = i + 1;
}

static void sift_up(struct timers *ts, struct timer *t, size_t i)
{
	for (; i > 0 && before(t, ts->heap[(i - 1) / 2]); i = (i - 1) / 2)
		put(ts, ts->heap[(i - 1) / 2], i);
	put(ts, t, i);
}

static void sift_down(struct timers *ts, struct timer *t, size_t i)
{
	size_t child;

	for (; (child = 2 * i + 1) < ts->n; i = child) {
		if (child + 1 < ts->n && before(ts->heap[child + 1], ts->heap[child]))
			child++;
		if (!before(ts->heap[child], t))
			break;
		put(ts, ts->heap[child], i);
	}
	put(ts, t, i);
}

static void heap_take(struct timers *ts, struct timer *t)
{
	size_t i = t->place - 1;
	struct timer *last = ts->heap[--ts->n];

	t->place = 0;
	if (last == t)
		return;
	if (i > 0 && before(last, ts->heap[(i - 1) / 2]))
		sift_up(ts, last, i);
	else
		sift_down(ts, last, i);
}

/* Start it, or start it anew. */
static void start(struct timer *t, int64_t due)
{
	struct timers *ts = &t->map->timers;

	if (t->place != 0)
		heap_take(ts, t);
	t->due = due;
	t->seq = ts->next_seq++;
	sift_up(ts, t, ts->n++);
	/* The application's loop has to know. */
	if (ts->heap[0] == t)
		poller_serve_soon(t->map);
}

int64_t timers_due(const struct timers *ts)
{
	return ts->n > 0 ? ts->heap[0]->due : INT64_MAX;
}

/* --- numbers ------------------------------------------------------------------------- */

/* Room for one more, in the table and in the heap. */
static int reserve(struct timers *ts)
{
	size_t size = ts->size > 0 ? 2 * ts->size : 16;
	struct timer_slot *slots;
	struct timer **heap;

	if (ts->total < ts->size)
		return 0;
	if (ts->size >= MOST_TIMERS)
		return -ENOMEM;
	heap = realloc(ts->heap, size * sizeof *heap);
	if (heap == NULL)
		return -ENOMEM;
	ts->heap = heap;
	slots = realloc(ts->slots, size * sizeof *slots);
	if (slots == NULL)
		return -ENOMEM;
	ts->slots = slots;
	ts->size = size;
	return 0;
}

static void number(struct timers *ts, struct timer *t)
{
	size_t slot = ts->free_slot;

	if (slot != 0)
		ts->free_slot = ts->slots[--slot].next_free;
	else
		slot = ts->nslots++;
	ts->slots[slot].timer = t;
	t->number = (long long)(++ts->generation << SLOT_BITS | slot);
	ts->total++;
}

static void unnumber(struct timers *ts, struct timer *t)
{
	size_t slot = (size_t)t->number & (MOST_TIMERS - 1);

	ts->slots[slot].timer = NULL;
	ts->slots[slot].next_free = ts->free_slot;
	ts->free_slot = slot + 1;
	ts->total--;
}

/* The timer of that number in the map; NULL if there is none (any more). */
static struct timer *find(struct asyncore_map *map, long long timer)
{
	size_t slot = (size_t)timer & (MOST_TIMERS - 1);
	struct timer *t;

	if (timer <= 0 || slot >= map->timers.nslots)
		return NULL;
	t = map->timers.slots[slot].timer;
	return t != NULL && t->number == timer ? t : NULL;
}

/* --- the timers of a channel --------------------------------------------------------- */

/* An idle timeout stands first, where every event of the channel finds it. */
static void link_to(struct asyncore_channel *c, struct timer *t, struct timer **link)
{
	t->channel = c;
	t->link = link;
	t->next = *link;
	if (t->next != NULL)
		t->next->link = &t->next;
	*link = t;
}

static void unlink_from_channel(struct timer *t)
{
	*t->link = t->next;
	if (t->next != NULL)
		t->next->link = t->link;
}

static bool has_idle(const struct asyncore_channel *c)
{
	return channel_has(c, CHANNEL_IDLE);
}

bool timers_hold(const struct asyncore_channel *c)
{
	return c->timers != NULL && (!has_idle(c) || c->timers->next != NULL);
}

void timer_channel_active(struct asyncore_channel *c)
{
	c->timers->active = timer_clock();
}

/* --- making and ending --------------------------------------------------------------- */

static struct timer *timer_new(struct asyncore_map *map, int64_t period, bool repeats,
			       asyncore_release_fn release, void *arg)
{
	struct timer *t;

	if (reserve(&map->timers) < 0)
		return NULL;
	t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->map = map;
	t->period = period;
	t->repeats = repeats;
	t->release = release;
	t->arg = arg;
	number(&map->timers, t);
	return t;
}

/* Nothing points to it any more: the memory, and then, because that may do anything, the
 * release. */
static void finish(struct timer *t)
{
	const asyncore_release_fn release = t->release;
	struct asyncore_channel *c = t->channel;
	void *arg = t->arg;

	if (c != NULL) {
		unlink_from_channel(t);
		/* It may have been the last to hold it. */
		if (channel_has(c, CHANNEL_GONE))
			channel_orphaned(c);
	}
	free(t);
	if (release != NULL)
		release(arg);
}

/* The end of a timer; of one that is running, when its call has returned. */
static void end(struct timer *t)
{
	struct asyncore_map *map = t->map;

	if (t->ended)
		return;
	if (t->place != 0)
		heap_take(&map->timers, t);
	unnumber(&map->timers, t);
	if (t->channel != NULL && t->channel->timers == t)
		t->channel->flags &= ~CHANNEL_IDLE;
	t->ended = true;
	/* Without timers nothing of ours may keep the application's base running. */
	if (map->timers.n == 0)
		poller_serve_soon(map);
	if (!t->running)
		finish(t);
}

void timers_end(struct asyncore_map *map)
{
	while (map->timers.n > 0)
		end(map->timers.heap[0]);
}

void channel_end_timers(struct asyncore_channel *c, struct asyncore_map *map)
{
	const uint64_t generation = map->timers.generation;
	struct timer *t = c->timers;

	/* A release may set another timer, which stays. */
	while (t != NULL) {
		if (t->map == map && !t->ended &&
		    (uint64_t)t->number >> SLOT_BITS <= generation) {
			end(t);
			t = c->timers;
		} else {
			t = t->next;
		}
	}
}

void timers_free(struct timers *ts)
{
	free(ts->heap);
	free(ts->slots);
}

/* --- running ------------------------------------------------------------------------- */

/* The call of a channel's timer, in the shape of a handler. */
static int call_on_channel(struct asyncore_dispatcher *d)
{
	const struct timer *t = d->channel->map->running;

	return t->call.channel(d, t->arg);
}

static int call(struct asyncore_map *map, struct timer *t)
{
	const char *name = t->repeats ? "call_every" : "call_later";
	struct timer *outer = map->running;
	int r;

	map->running = t;
	if (t->channel != NULL)
		r = loop_call(map, t->channel, call_on_channel, name);
	else
		r = loop_call_map(map, t->call.map, t->arg, name);
	map->running = outer;
	return r;
}

/* The next of its multiples that is still to come. */
static int64_t next_due(const struct timer *t)
{
	const int64_t late = timer_clock() - t->due;

	return t->due + (late < 0 ? 1 : late / t->period + 1) * t->period;
}

static int run(struct asyncore_map *map, struct timer *t)
{
	int r;

	heap_take(&map->timers, t);
	t->running = true;
	r = call(map, t);
	t->running = false;
	if (t->ended)
		finish(t);
	else if (t->place == 0 && t->repeats)
		start(t, next_due(t));
	else if (t->place == 0)
		end(t);
	return r;
}

/* Has nothing happened on the channel for so long?  Then it is told; anyhow the time
 * begins anew. */
static int run_idle(struct asyncore_map *map, struct timer *t)
{
	struct asyncore_channel *c = t->channel;
	const int64_t now = timer_clock();
	const bool passed = t->active + t->period <= now;

	if (passed)
		t->active = now;
	start(t, t->active + t->period);
	if (!passed || !map_holds(map, c))
		return 0;
	return loop_call(map, c, c->methods->slot.handle_timeout, "handle_timeout");
}

static bool is_idle(const struct timer *t)
{
	return t->channel != NULL && t->call.channel == NULL;
}

int timers_run(struct asyncore_map *map)
{
	struct timers *ts = &map->timers;
	const uint64_t end_seq = ts->next_seq;
	const int64_t now = timer_clock();
	int r = 0;

	/* What is set meanwhile is for a later pass. */
	while (r >= 0 && ts->n > 0 && ts->heap[0]->due <= now && ts->heap[0]->seq < end_seq)
		r = is_idle(ts->heap[0]) ? run_idle(map, ts->heap[0]) : run(map, ts->heap[0]);
	return r;
}

/* --- the public functions ------------------------------------------------------------ */

static long long call_map(struct asyncore_map *map, double seconds, bool repeats,
			  asyncore_call_fn function, asyncore_release_fn release, void *arg)
{
	const int64_t period = to_ns(seconds);
	struct timer *t;

	if (function == NULL || period < 0 || (repeats && period == 0))
		return -EINVAL;
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	if (map->freeing)
		return -ESHUTDOWN;
	t = timer_new(map, period, repeats, release, arg);
	if (t == NULL)
		return -ENOMEM;
	t->call.map = function;
	start(t, timer_clock() + period);
	return t->number;
}

static long long call_channel(struct asyncore_dispatcher *d, double seconds, bool repeats,
			      asyncore_channel_call_fn function, asyncore_release_fn release,
			      void *arg)
{
	const int64_t period = to_ns(seconds);
	struct asyncore_channel *c = channel_of(d);
	struct timer *t;

	if (c == NULL || function == NULL || period < 0 || (repeats && period == 0))
		return -EINVAL;
	if (c->map->freeing || c->map->freed || channel_has(c, CHANNEL_DISPOSING))
		return -ESHUTDOWN;
	t = timer_new(c->map, period, repeats, release, arg);
	if (t == NULL)
		return -ENOMEM;
	t->call.channel = function;
	link_to(c, t, has_idle(c) ? &c->timers->next : &c->timers);
	start(t, timer_clock() + period);
	return t->number;
}

long long asyncore_call_later(struct asyncore_map *map, double seconds, asyncore_call_fn function,
			      asyncore_release_fn release, void *arg)
{
	return call_map(map, seconds, false, function, release, arg);
}

long long asyncore_call_every(struct asyncore_map *map, double seconds, asyncore_call_fn function,
			      asyncore_release_fn release, void *arg)
{
	return call_map(map, seconds, true, function, release, arg);
}

long long asyncore_channel_call_later(struct asyncore_dispatcher *d, double seconds,
				      asyncore_channel_call_fn function,
				      asyncore_release_fn release, void *arg)
{
	return call_channel(d, seconds, false, function, release, arg);
}

long long asyncore_channel_call_every(struct asyncore_dispatcher *d, double seconds,
				      asyncore_channel_call_fn function,
				      asyncore_release_fn release, void *arg)
{
	return call_channel(d, seconds, true, function, release, arg);
}

int asyncore_cancel(struct asyncore_map *map, long long timer)
{
	struct timer *t;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	t = find(map, timer);
	if (t == NULL)
		return -ENOENT;
	end(t);
	return 0;
}

int asyncore_reset(struct asyncore_map *map, long long timer, double seconds)
{
	int64_t period;
	struct timer *t;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	t = find(map, timer);
	if (t == NULL)
		return -ENOENT;
	period = seconds < 0 ? t->period : to_ns(seconds);
	if (period < 0 || (t->repeats && period == 0))
		return -EINVAL;
	t->period = period;
	start(t, timer_clock() + period);
	return 0;
}

double asyncore_remaining(struct asyncore_map *map, long long timer)
{
	const struct timer *t;
	int64_t left;

	map = map_or_default(map);
	t = map != NULL ? find(map, timer) : NULL;
	if (t == NULL)
		return -1;
	left = t->place != 0 ? t->due - timer_clock() : 0;
	return left > 0 ? (double)left / 1e9 : 0;
}

size_t asyncore_timers(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? map->timers.n : 0;
}

int asyncore_set_idle_timeout(struct asyncore_dispatcher *d, double seconds)
{
	const int64_t period = to_ns(seconds);
	struct asyncore_channel *c = channel_of(d);
	struct timer *t;

	if (c == NULL || period < 0)
		return -EINVAL;
	if (has_idle(c) && period == 0) {
		end(c->timers);
		return 0;
	}
	if (period == 0)
		return 0;
	if (c->map->freeing || c->map->freed || channel_has(c, CHANNEL_DISPOSING))
		return -ESHUTDOWN;
	t = has_idle(c) ? c->timers : timer_new(c->map, period, true, NULL, NULL);
	if (t == NULL)
		return -ENOMEM;
	if (!has_idle(c))
		link_to(c, t, &c->timers);
	c->flags |= CHANNEL_IDLE;
	t->period = period;
	t->active = timer_clock();
	start(t, t->active + period);
	return 0;
}
