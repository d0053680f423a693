/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * timer.c - timers (see timer.h).
 *
 * A timer is known to programs by a number, never by a pointer, so that a late cancel
 * cannot touch freed memory.  Where they are kept: timer_heap.h.
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

/* Seconds in ns, rounded up; negative for what is no time. */
static int64_t to_ns(double seconds)
{
	if (!(seconds >= 0))
		return -EINVAL;
	/* An end to for ever, so that it can be added to the time of now. */
	return poller_timeout(seconds < POLLER_LONGEST ? seconds : POLLER_LONGEST);
}

/* Start it, or start it anew. */
static void start(struct timer *t, int64_t due)
{
	struct timers *ts = &t->map->timers;

	if (t->place != 0)
		timers_take(ts, t);
	t->due = due;
	timers_put(ts, t);
	/* The application's loop has to know. */
	if (ts->heap[0] == t)
		poller_serve_soon(t->map);
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
	const struct timer *first = channel_timers(c);

	return first != NULL && (!has_idle(c) || first->next != NULL);
}

void timer_channel_active(struct asyncore_channel *c)
{
	c->extra->timers->active = timer_clock();
}

/* From now on. */
static void start_idle(struct timer *t)
{
	t->active = timer_clock();
	start(t, t->active + t->period);
}

/* --- making and ending --------------------------------------------------------------- */

/* 0 or -ENOMEM. */
static int timer_new(struct timer **timer, struct asyncore_map *map, int64_t period, bool repeats)
{
	struct timer *t = timers_reserve(&map->timers) == 0 ? calloc(1, sizeof *t) : NULL;

	if (t == NULL)
		return -ENOMEM;
	t->map = map;
	t->made = map->timers.made++;
	t->period = period;
	t->repeats = repeats;
	timers_number(&map->timers, t);
	*timer = t;
	return 0;
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

	if (t->place != 0)
		timers_take(&map->timers, t);
	timers_unnumber(&map->timers, t);
	if (t->channel != NULL && channel_timers(t->channel) == t)
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
	struct timers *ts = &map->timers;
	size_t i;

	while (ts->n > 0)
		end(ts->heap[0]);
	/* Idle timeouts of channels that are out of the map. */
	for (i = 0; i < ts->size; i++)
		if (ts->table[i] != NULL)
			end(ts->table[i]);
}

void channel_end_timers(struct asyncore_channel *c, struct asyncore_map *map)
{
	const uint64_t made = map->timers.made;
	struct timer *t = channel_timers(c);

	/* A release may set another timer, which stays. */
	while (t != NULL) {
		if (t->map == map && !t->ended && t->made < made) {
			end(t);
			t = channel_timers(c);
		} else {
			t = t->next;
		}
	}
}

void channel_came(struct asyncore_channel *c, struct asyncore_map *from)
{
	if (has_idle(c)) {
		struct timer *t = c->extra->timers;

		timers_unnumber(&from->timers, t);
		t->map = c->map;
		t->made = t->map->timers.made++;
		timers_number(&t->map->timers, t);
		start_idle(t);
	}
	if (from != c->map)
		channel_end_timers(c, from);
}

void channel_left(struct asyncore_channel *c)
{
	struct timer *idle = c->extra->timers;

	if (idle->place != 0)
		timers_take(&idle->map->timers, idle);
}

/* --- running ------------------------------------------------------------------------- */

static const char *name_of(const struct timer *t)
{
	return t->repeats ? "call_every" : "call_later";
}

/* The call of a channel's timer, in the shape of a handler. */
static int call_on_channel(struct asyncore_dispatcher *d)
{
	const struct timer *t = d->channel->map->running;
	struct traced_call traced;

	trace_begin(&traced, t->map, d->channel);
	return trace_end(&traced, name_of(t), t->call.channel(d, t->arg));
}

static int call(struct asyncore_map *map, struct timer *t)
{
	struct timer *outer = map->running;
	int r;

	map->running = t;
	if (t->channel != NULL)
		r = loop_call(map, t->channel, call_on_channel, name_of(t));
	else
		r = loop_call_map(map, t->call.map, t->arg, name_of(t));
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

	timers_take(&map->timers, t);
	t->running = true;
	t->restarted = false;
	r = call(map, t);
	t->running = false;
	if (t->ended)
		finish(t);
	else if (t->restarted)
		start(t, t->due);
	else if (t->repeats)
		start(t, next_due(t));
	else
		end(t);
	return r;
}

/* Has nothing happened on the channel for so long?  Then it is told; anyhow the time
 * begins anew. */
static int run_idle(struct asyncore_map *map, struct timer *t)
{
	struct asyncore_channel *c = t->channel;

	if (t->active + t->period > timer_clock()) {
		start(t, t->active + t->period);
		return 0;
	}
	start_idle(t);
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

/* What every timer that is made has in common; channel NULL: the map's own. */
static int begin(struct timer **timer, struct asyncore_map *map, struct asyncore_channel *c,
		 double seconds, bool repeats)
{
	const int64_t period = to_ns(seconds);

	if (period < 0 || (repeats && period == 0))
		return -EINVAL;
	if (map->freeing || map->freed || (c != NULL && channel_has(c, CHANNEL_DISPOSING)))
		return -ESHUTDOWN;
	if (c != NULL && channel_extra(c) == NULL)
		return -ENOMEM;
	return timer_new(timer, map, period, repeats);
}

/* Start it; or, if there is none, the release runs at once. */
static int go(struct timer *t, int r, asyncore_release_fn release, void *arg)
{
	if (r < 0) {
		if (release != NULL)
			release(arg);
		return r;
	}
	t->release = release;
	t->arg = arg;
	start(t, timer_clock() + t->period);
	return t->number;
}

static int call_map(struct asyncore_map *map, double seconds, bool repeats,
		    asyncore_call_fn function, asyncore_release_fn release, void *arg)
{
	struct timer *t = NULL;
	int r = -EINVAL;

	if (function != NULL) {
		map = map_or_default(map);
		r = map != NULL ? begin(&t, map, NULL, seconds, repeats) : -ENOMEM;
	}
	if (r == 0)
		t->call.map = function;
	return go(t, r, release, arg);
}

static int call_channel(struct asyncore_dispatcher *d, double seconds, bool repeats,
			asyncore_channel_call_fn function, asyncore_release_fn release, void *arg)
{
	struct asyncore_channel *c = channel_of(d);
	struct timer *t = NULL;
	int r = -EINVAL;

	if (c != NULL && function != NULL)
		r = begin(&t, c->map, c, seconds, repeats);
	if (r == 0) {
		t->call.channel = function;
		link_to(c, t, has_idle(c) ? &c->extra->timers->next : &c->extra->timers);
	}
	return go(t, r, release, arg);
}

int asyncore_call_later(struct asyncore_map *map, double seconds, asyncore_call_fn function,
			      void *arg, asyncore_release_fn release)
{
	return call_map(map, seconds, false, function, release, arg);
}

int asyncore_call_every(struct asyncore_map *map, double seconds, asyncore_call_fn function,
			      void *arg, asyncore_release_fn release)
{
	return call_map(map, seconds, true, function, release, arg);
}

int asyncore_channel_call_later(struct asyncore_dispatcher *d, double seconds,
				      asyncore_channel_call_fn function,
				      void *arg, asyncore_release_fn release)
{
	return call_channel(d, seconds, false, function, release, arg);
}

int asyncore_channel_call_every(struct asyncore_dispatcher *d, double seconds,
				      asyncore_channel_call_fn function,
				      void *arg, asyncore_release_fn release)
{
	return call_channel(d, seconds, true, function, release, arg);
}

int asyncore_cancel(struct asyncore_map *map, int timer)
{
	struct timer *t;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	t = timers_find(&map->timers, timer);
	if (t == NULL)
		return -ENOENT;
	end(t);
	return 0;
}

int asyncore_reset(struct asyncore_map *map, int timer, double seconds)
{
	int64_t period;
	struct timer *t;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	t = timers_find(&map->timers, timer);
	if (t == NULL)
		return -ENOENT;
	period = seconds < 0 ? t->period : to_ns(seconds);
	if (period < 0 || (t->repeats && period == 0))
		return -EINVAL;
	t->period = period;
	/* One that is running goes back when its call has returned. */
	if (t->running) {
		t->due = timer_clock() + period;
		t->restarted = true;
	} else {
		start(t, timer_clock() + period);
	}
	return 0;
}

double asyncore_remaining(struct asyncore_map *map, int timer)
{
	const struct timer *t;
	int64_t left;

	map = map_or_default(map);
	t = map != NULL ? timers_find(&map->timers, timer) : NULL;
	if (t == NULL)
		return -1;
	left = !t->running || t->restarted ? t->due - timer_clock() : 0;
	return left > 0 ? (double)left / 1e9 : 0;
}

size_t asyncore_timers(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? map->timers.n : 0;
}

int asyncore_set_idle_timeout(struct asyncore_dispatcher *d, double seconds)
{
	struct asyncore_channel *c = channel_of(d);
	struct timer *t = NULL;
	int r;

	if (c == NULL)
		return -EINVAL;
	if (seconds == 0) {
		if (has_idle(c))
			end(c->extra->timers);
		return 0;
	}
	if (has_idle(c)) {
		const int64_t period = to_ns(seconds);

		if (period < 0)
			return -EINVAL;
		t = c->extra->timers;
		t->period = period;
	} else {
		r = begin(&t, c->map, c, seconds, true);
		if (r < 0)
			return r;
		link_to(c, t, &c->extra->timers);
		c->flags |= CHANNEL_IDLE;
	}
	/* Out of a map nothing can happen on it. */
	if (channel_has(c, CHANNEL_IN_MAP))
		start_idle(t);
	return 0;
}
