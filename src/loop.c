/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * loop.c - the loop.  Read asyncore_loop() and run_pass(), at the end, first.
 *
 * A pass collects with libevent and dispatches by itself: libevent's callbacks have only
 * marked channels, so handlers are called in map order whatever the backend, may run the
 * loop again, and are never called for a channel that was closed a moment ago.
 */

#include "loop.h"
#include "map.h"

#include <errno.h>
#include <poll.h>

typedef int handler(struct asyncore_dispatcher *);

/* --- one handler ------------------------------------------------------------------ */

/* What became of a handler, for the handlers that would follow. */
struct outcome {
	bool failed;		/* it raised */
	bool closed;		/* handle_close() was called */
};

static bool is_error(int result)
{
	return result < 0 && result != -EAGAIN;
}

/* A handler raised.  With use_poll a lost connection is no error but the end of the
 * channel; a connect that timed out is an error all the same. */
static int raised(struct asyncore_channel *c, int error, const char *name, bool use_poll)
{
	if (use_poll && asyncore_disconnected(error) &&
	    !(error == -ETIMEDOUT && channel_has(c, CHANNEL_CONNECTING)))
		return channel_handle_close(c);
	return error_handle(c, error, name);
}

/* After a handler that raised, or that drew attention to something. */
static COLD int settle(struct asyncore_map *map, struct asyncore_channel *c, int result,
		  const char *name, bool use_poll, struct outcome *outcome)
{
	if (result == ASYNCORE_EXIT_NOW)
		map->exit_now = true;
	if (is_error(result)) {
		outcome->failed = true;
		result = map->exit_now ? 0 : raised(c, result, name, use_poll);
	}
	if (channel_has(c, CHANNEL_CLOSE_CALLED))
		outcome->closed = true;
	c->flags &= ~CHANNEL_CLOSE_CALLED;
	if (map->error.error.handler == NULL)
		error_void(&map->error);	/* swallowed */
	if (map->exit_now)
		return ASYNCORE_EXIT_NOW;
	return is_error(result) ? result : 0;
}

/*
 * Call one handler; if it raises, tell the channel.  Returns what leaves the loop, or 0.
 * The channel is held, because a handler may move it to another map and run that.
 */
static inline int call_method(struct asyncore_map *map, struct asyncore_channel *c,
			      handler *method, const char *name, bool use_poll,
			      struct outcome *outcome, bool is_event)
{
	struct asyncore_channel *outer = map->current;
	int r;

	channel_hold(c);
	map->current = c;
	r = method(c->dispatcher);
	if (r < 0 || map->attention) {
		r = settle(map, c, r, name, use_poll, outcome);
		/* A handler that still runs further out has to be settled, too. */
		map->attention = outer != NULL;
	} else {
		r = 0;
	}
	map->current = outer;
	if (channel_has(c, CHANNEL_ASK_AFTER | CHANNEL_GONE | CHANNEL_IDLE)) {
		channel_ran(c);
		if (is_event && channel_has(c, CHANNEL_IDLE))
			timer_channel_active(c);
		channel_release(c);
	} else {
		c->holds--;
	}
	return r;
}

static inline int call_handler(struct asyncore_map *map, struct asyncore_channel *c,
			       handler *method, const char *name, bool use_poll,
			       struct outcome *outcome)
{
	return call_method(map, c, method, name, use_poll, outcome, true);
}

COLD int loop_call(struct asyncore_map *map, struct asyncore_channel *c, handler *method,
		   const char *name)
{
	struct outcome unused;

	return call_method(map, c, method, name, false, &unused, false);
}

COLD int loop_call_map(struct asyncore_map *map, asyncore_call_fn call, void *arg,
		       const char *name)
{
	struct asyncore_channel *outer = map->current;
	struct traced_call traced;
	int r;

	map->current = NULL;
	trace_begin(&traced, map, NULL);
	r = trace_end(&traced, name, call(map, arg));
	map->current = outer;
	if (r == ASYNCORE_EXIT_NOW)
		map->exit_now = true;
	if (map->error.error.handler == NULL)
		error_void(&map->error);
	map->attention = outer != NULL;
	if (map->exit_now)
		return ASYNCORE_EXIT_NOW;
	return is_error(r) ? r : 0;
}

/* --- one channel ------------------------------------------------------------------ */

/* Is it marked for this?  The mark is taken: nobody delivers it again. */
static bool take_mark(struct asyncore_channel *c, unsigned event)
{
	if (!(c->fired & event))
		return false;
	c->fired &= (uint8_t)~event;
	return true;
}

/* The poll(2) way: all events of one channel, until one fails. */
static int dispatch_channel(struct asyncore_channel *c)
{
	const struct asyncore_dispatcher_type *slot = &c->methods->slot;
	const struct {
		unsigned event;
		handler *method;
		const char *name;
	} step[] = {
		{ EVENT_READ, slot->handle_read_event, "handle_read_event" },
		{ EVENT_WRITE, slot->handle_write_event, "handle_write_event" },
		{ EVENT_URGENT, slot->handle_expt_event, "handle_expt_event" },
		{ EVENT_HANGUP, slot->handle_close, "handle_close" },
	};
	struct outcome outcome = { false, false };
	int i, r = 0;

	channel_hold(c);
	for (i = 0; i < 4 && r >= 0; i++) {
		if (!take_mark(c, step[i].event) || outcome.failed)
			continue;
		if (step[i].event == EVENT_HANGUP && outcome.closed)
			continue;
		r = call_handler(c->map, c, step[i].method, step[i].name, true, &outcome);
	}
	channel_release(c);
	return r;
}

/* --- all channels that fired ------------------------------------------------------ */

/* The method for a kind of event.  The base body of handle_read_event() does nothing but
 * call handle_read() on a channel that is neither accepting nor connecting. */
static inline handler *event_method(const struct asyncore_channel *c, unsigned event)
{
	const unsigned mask = CHANNEL_PLAIN_READ | CHANNEL_ACCEPTING | CHANNEL_CONNECTING;
	const struct asyncore_dispatcher_type *slot = &c->methods->slot;

	if (event == EVENT_WRITE)
		return slot->handle_write_event;
	if (event == EVENT_URGENT)
		return slot->handle_expt_event;
	return (c->flags & mask) == CHANNEL_PLAIN_READ ? slot->handle_read
						       : slot->handle_read_event;
}

/* One kind of event of the channels that fired in this pass.  The array may move and its
 * entries may be forgotten while handlers run. */
static ALWAYS_INLINE int dispatch_kind(struct asyncore_map *map, size_t first, unsigned event,
				const char *name)
{
	const size_t end = map->nfired;
	struct outcome unused;
	size_t i;
	int r;

	for (i = first; i < end; i++) {
		struct asyncore_channel *c = map->fired[i];

		if (c == NULL || !take_mark(c, event))
			continue;
		r = call_handler(map, c, event_method(c, event), name, false, &unused);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The select(2) way: all reads, then all writes, then all exceptions.  Reads stand in the
 * pass itself; of a pass that has more than those, the rest does not. */
static int dispatch_after_reads(struct asyncore_map *map, size_t first, unsigned events)
{
	int r = 0;

	if (events & EVENT_WRITE)
		r = dispatch_kind(map, first, EVENT_WRITE, "handle_write_event");
	if (r >= 0 && events & EVENT_URGENT)
		r = dispatch_kind(map, first, EVENT_URGENT, "handle_expt_event");
	return r;
}

static ALWAYS_INLINE int dispatch_kinds(struct asyncore_map *map, size_t first)
{
	const unsigned events = map->fired_events;
	int r = 0;

	if (events & EVENT_READ)
		r = dispatch_kind(map, first, EVENT_READ, "handle_read_event");
	if (r >= 0 && events & ~EVENT_READ)
		r = dispatch_after_reads(map, first, events);
	return r;
}

static COLD int dispatch_channels(struct asyncore_map *map, size_t first)
{
	const size_t end = map->nfired;
	size_t i;
	int r = 0;

	for (i = first; i < end && r >= 0; i++)
		if (map->fired[i] != NULL && map->fired[i]->fired != 0)
			r = dispatch_channel(map->fired[i]);
	return r;
}

/* Deliver what stands on the stack from `first` on, and pop it. */
static ALWAYS_INLINE int dispatch(struct asyncore_map *map, size_t first, bool use_poll)
{
	const size_t end = map->nfired;
	int r;

	if (map->fired_disorder)
		map_sort_fired(map, first);
	r = use_poll ? dispatch_channels(map, first) : dispatch_kinds(map, first);
	/* Marked meanwhile by a pass of another map on the same base. */
	if (map->nfired > end)
		map_drop_fired(map, end);
	if (r >= 0)
		map->nfired = first;
	return r;
}

/* Before the wait of a pass. */
static void begin_collecting(struct asyncore_map *map)
{
	map->fired_events = 0;
	map->fired_disorder = false;
	map->fired_seq = 0;
}

/* From outside: what was raised before and never reached a loop is no concern of what
 * happens now. */
static void forget_past(struct asyncore_map *map)
{
	map->exit_now = false;
	map->attention = false;
	error_void(&map->error);
}

/* --- for other people's pollers ---------------------------------------------------- */

/*
 * Dispatch these events to one channel, from anywhere.  Marks for other events, which a
 * pass has set, are left to it.
 */
static int dispatch_alone(struct asyncore_dispatcher *d, unsigned events, bool use_poll)
{
	struct asyncore_channel *c = channel_of(d);
	struct asyncore_map *map;
	struct outcome unused;
	unsigned pending;
	uint64_t seq;
	int r;

	if (c == NULL)
		return -EINVAL;
	if (channel_has(c, CHANNEL_CLOSED))
		return -EBADF;
	map = c->map;
	map->users++;
	if (map->depth == 0 && map->current == NULL)
		forget_past(map);

	channel_hold(c);
	seq = c->seq;
	pending = c->fired & ~events;
	c->fired = (uint8_t)events;
	if (use_poll)
		r = dispatch_channel(c);
	else if (take_mark(c, EVENT_READ))
		r = call_handler(map, c, c->methods->slot.handle_read_event, "handle_read_event",
				 false, &unused);
	else if (take_mark(c, EVENT_WRITE))
		r = call_handler(map, c, c->methods->slot.handle_write_event, "handle_write_event",
				 false, &unused);
	else
		r = call_handler(map, c, c->methods->slot.handle_expt_event, "handle_expt_event",
				 false, &unused);
	if (c->seq == seq && channel_has(c, CHANNEL_IN_MAP))
		c->fired |= (uint8_t)pending;
	channel_release(c);
	map_unuse(map);
	return r;
}

int asyncore_read(struct asyncore_dispatcher *d)
{
	return dispatch_alone(d, EVENT_READ, false);
}

int asyncore_write(struct asyncore_dispatcher *d)
{
	return dispatch_alone(d, EVENT_WRITE, false);
}

int asyncore_exception(struct asyncore_dispatcher *d)
{
	return dispatch_alone(d, EVENT_URGENT, false);
}

int asyncore_readwrite(struct asyncore_dispatcher *d, int flags)
{
	unsigned events = 0;

	if (flags & POLLIN)
		events |= EVENT_READ;
	if (flags & POLLOUT)
		events |= EVENT_WRITE;
	if (flags & POLLPRI)
		events |= EVENT_URGENT;
	if (flags & (POLLHUP | POLLERR | POLLNVAL))
		events |= EVENT_HANGUP;
	return dispatch_alone(d, events, true);
}

/* --- close_all ---------------------------------------------------------------------- */

static int close_one(struct asyncore_dispatcher *d, void *arg)
{
	const bool ignore_all = *(const bool *)arg;
	int r = asyncore_close(d);

	if (r == ASYNCORE_EXIT_NOW)
		return r;
	return r < 0 && r != -EBADF && !ignore_all ? r : 0;
}

int asyncore_close_all(struct asyncore_map *map, bool ignore_all)
{
	int r;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	map->users++;		/* a close() may free the map */
	r = asyncore_map_foreach(map, close_one, &ignore_all);
	if (r >= 0 && !map->freed) {
		map_clear(map);
		if (map->depth == 0) {
			map_sweep(map);
			poller_settle(map);
		}
	}
	map_unuse(map);
	return r;
}

/* --- passes ----------------------------------------------------------------------- */

/* A handler said ExitNow, whoever dropped it since. */
static int exit_or(struct asyncore_map *map, int result)
{
	return map->exit_now && result >= 0 ? ASYNCORE_EXIT_NOW : result;
}

/* The end of a pass.  After an outermost one nothing points to a channel any more, and
 * those that nobody refers to can go. */
static int end_pass(struct asyncore_map *map, int result)
{
	map->depth--;
	if (result == ASYNCORE_EXIT_NOW)
		map->exit_now = false;
	if (map->depth == 0 && map->norphans > 0)
		map_sweep(map);
	return result;
}

bool loop_tell_empty(struct asyncore_map *map)
{
	bool freed;

	if (map->size > 0 || !map->filled)
		return true;
	map->filled = false;
	if (map->empty == NULL)
		return true;
	map->users++;
	map->empty(map, map->empty_arg);
	freed = map->freed;
	map_unuse(map);
	return !freed;
}

/* After the I/O: timers and posted calls. */
static COLD int run_due(struct asyncore_map *map)
{
	int r = 0;

	if (map->poller.timer_fired)
		r = timers_run(map);
	if (r >= 0 && map->poller.woken)
		r = calls_run(map);
	return r;
}

static inline bool is_due(const struct asyncore_map *map)
{
	return map->poller.timer_fired || map->poller.woken;
}

/* Is there something to do already, at the end of a pass? */
static bool has_work(const struct asyncore_map *map)
{
	return map->nalways_wanted > 0 || map_has_touched(map) || map->poller.woken;
}

int loop_serve(struct asyncore_map *map)
{
	int r, settled = 0;

	if (map->attention || map->exit_now)
		forget_past(map);
	map->depth++;
	if (map->nalways_wanted > 0)
		interest_fire_always(map);
	r = dispatch(map, 0, false);
	if (r < 0)
		map_drop_fired(map, 0);
	begin_collecting(map);
	if (r >= 0 && is_due(map))
		r = run_due(map);
	if (r >= 0 && interest_is_stale(map, false))
		r = interest_refresh(map, false);
	r = end_pass(map, exit_or(map, r));
	map->poller.timer_fired = false;
	if (map_is_unsettled(map))
		settled = poller_settle(map);
	/* Those behind a predicate that raised were not asked. */
	if (has_work(map) || (r < 0 && map->nasked > 0))
		settled = poller_serve_after(map) < 0 ? -ENOMEM : settled;
	return r < 0 ? r : settled;
}

static ALWAYS_INLINE int run_pass(struct asyncore_map *map, int64_t timeout, bool use_poll,
				  bool counted)
{
	/* What is left below on the stack belongs to the pass that we are nested in. */
	const size_t first = map->depth > 0 ? map->nfired : 0;
	int r = 0;

	if (map->attention && map->depth == 0 && map->current == NULL)
		forget_past(map);
	map->depth++;
	if (interest_is_stale(map, use_poll) || map->poller.woken) {
		r = interest_refresh(map, use_poll);
		/* Touched by a predicate; or posted calls are left from the last pass. */
		if (has_work(map) || !map_is_busy(map))
			timeout = 0;
	}
	/* Nobody would see that it ends, and the next begins: spare it reading the clock. */
	if (timeout > 0 && map->nasked == 0 && !counted)
		timeout = POLLER_FOREVER;
	if (first == map->nfired)
		begin_collecting(map);
	if (r >= 0)
		r = poller_wait(map, timeout);
	if (r >= 0 && map->nalways_wanted > 0)
		interest_fire_always(map);
	r = exit_or(map, r);
	if (r >= 0)
		r = dispatch(map, first, use_poll);
	if (r < 0)
		map_drop_fired(map, first);
	else if (is_due(map))
		r = run_due(map);
	return end_pass(map, r);
}

/* Is there something to run a pass for? */
static bool is_left(struct asyncore_map *map)
{
	if (map->size > 0)
		return true;
	if (map->depth == 0 && !loop_tell_empty(map))
		return false;
	return map_is_busy(map);
}

/* The outermost loop ends: from now on the application may run its base. */
static void leave(struct asyncore_map *map)
{
	map_sweep(map);
	poller_settle(map);
	if (has_work(map) || (map->size > 0 && map->nasked > 0))
		poller_serve_soon(map);
}

static int run_passes(double seconds, bool use_poll, struct asyncore_map *map, int count)
{
	int64_t timeout;
	int r = 0;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	if (seconds != seconds)	/* not a number */
		return -EINVAL;
	if (map->poller.waiting || map->poller.serving)
		return -EBUSY;
	if (map->current != NULL)
		channel_flush(map->current);
	if (map->depth == 0 && map->current == NULL)
		forget_past(map);
	else if (map->exit_now)
		r = ASYNCORE_EXIT_NOW;	/* the outer pass is being left */
	timeout = poller_timeout(seconds);
	map->users++;		/* it may be freed when it is empty */
	for (; r >= 0 && count != 0 && is_left(map); count -= count > 0)
		r = run_pass(map, timeout, use_poll, count > 0);
	if (map->depth == 0 && !map->freed && loop_tell_empty(map))
		leave(map);
	map_unuse(map);
	return r;
}

int asyncore_poll(double timeout, struct asyncore_map *map)
{
	return run_passes(timeout, false, map, 1);
}

int asyncore_poll2(double timeout, struct asyncore_map *map)
{
	return run_passes(timeout, true, map, 1);
}

int asyncore_poll3(double timeout, struct asyncore_map *map)
{
	return asyncore_poll2(timeout, map);
}

int asyncore_loop(double timeout, bool use_poll, struct asyncore_map *map, int count)
{
	return run_passes(timeout, use_poll, map, count);
}
