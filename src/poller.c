/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * poller.c - what channels wait for, and waiting.
 *
 * A channel has up to two persistent events: the read event lies in the channel's own
 * block, the write event exists only while it is registered (a send came up short, or a
 * connect is under way).  Two events and not one that is changed: switching the write
 * interest on and off then costs two epoll_ctl calls instead of four.
 *
 * Events are always deleted before their descriptor is closed; otherwise libevent would
 * not watch the next descriptor of that number.
 */

#include "map.h"
#include "urgent.h"

#include <errno.h>
#include <sys/select.h>
#include <sys/timerfd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

_Static_assert(_Alignof(struct event) <= _Alignof(void *), "a read event fits behind a channel");

/* How long a listener rests that found no descriptors left. */
static const struct timeval PAUSE = { .tv_sec = 0, .tv_usec = 50 * 1000 };

static struct event *read_event(struct asyncore_channel *c)
{
	return (struct event *)(void *)c->read_event;
}

size_t poller_event_size(void)
{
	return event_get_struct_event_size();
}

/* --- channels --------------------------------------------------------------------- */

/* What libevent calls marks; and if the application runs the base, the last one serves. */
static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_channel *c = arg;

	(void)fd, (void)what;
	map_fire(c, EVENT_READ);
	if (!c->map->poller.waiting)
		poller_serve_now(c->map);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_channel *c = arg;

	(void)fd, (void)what;
	map_fire(c, EVENT_WRITE);
	if (!c->map->poller.waiting)
		poller_serve_now(c->map);
}

/* What libevent left in errno, if it did. */
int poller_failed(int otherwise)
{
	return errno != 0 ? -errno : otherwise;
}

int poller_check(const struct poller *p, int fd)
{
	/* libevent would abort the process. */
	return p->is_select && fd >= FD_SETSIZE ? -ERANGE : 0;
}

static int arm_read(struct asyncore_channel *c, bool on)
{
	const struct poller *p = &c->map->poller;
	struct event *ev = read_event(c);

	if (!on) {
		event_del(ev);
		event_debug_unassign(ev);
		return 0;
	}
	errno = 0;
	if (event_assign(ev, p->base, c->fd, EV_READ | EV_PERSIST, on_read, c) < 0)
		return -EINVAL;
	event_priority_set(ev, p->priority);
	return event_add(ev, NULL) < 0 ? poller_failed(-ENOMEM) : 0;
}

static int arm_write(struct asyncore_channel *c, bool on)
{
	struct event *ev;

	if (!on) {
		event_free(c->extra->write_event);
		c->extra->write_event = NULL;
		return 0;
	}
	if (channel_extra(c) == NULL)
		return -ENOMEM;
	ev = poller_event(&c->map->poller, c->fd, EV_WRITE | EV_PERSIST, on_write, c);
	if (ev == NULL)
		return -ENOMEM;
	errno = 0;
	if (event_add(ev, NULL) < 0) {
		int r = poller_failed(-ENOMEM);

		event_free(ev);
		return r;
	}
	c->extra->write_event = ev;
	return 0;
}

/* That descriptor itself is watched only while a channel is, so that a base with
 * nothing left to do can end. */
static int count_urgent(struct poller *p, bool on)
{
	if (on && p->nurgent == 0 && event_add(p->urgent, NULL) < 0)
		return -ENOMEM;
	p->nurgent += on ? 1 : -1;
	if (p->nurgent == 0)
		event_del(p->urgent);
	return 0;
}

static int arm_urgent(struct asyncore_channel *c, bool on)
{
	struct poller *p = &c->map->poller;
	int r;

	if (!on) {
		urgent_forget(p->urgent_fd, c->fd);
		return count_urgent(p, false);
	}
	r = urgent_watch(p->urgent_fd, c, false);
	if (r == 0 && (r = count_urgent(p, true)) < 0)
		urgent_forget(p->urgent_fd, c->fd);
	return r;
}

void poller_renew_urgent(struct asyncore_channel *c)
{
	urgent_watch(c->map->poller.urgent_fd, c, true);
}

int poller_arm(struct asyncore_channel *c, unsigned events)
{
	static int (*const arm[])(struct asyncore_channel *, bool) = {
		arm_read, arm_write, arm_urgent,
	};
	static const unsigned event[] = { EVENT_READ, EVENT_WRITE, EVENT_URGENT };
	unsigned differ = events ^ c->armed;
	int i, r;

	if (channel_has(c, CHANNEL_ALWAYS_READY)) {
		/* Not given to libevent at all. */
		c->map->nalways_wanted += (events != 0) - (c->armed != 0);
		c->armed = events;
		return 0;
	}
	for (i = 0; i < 3; i++) {
		if (!(differ & event[i]))
			continue;
		r = arm[i](c, (events & event[i]) != 0);
		if (r < 0)
			return r;
		c->armed ^= event[i];
	}
	return 0;
}

/* --- waiting -------------------------------------------------------------------- */

int64_t poller_timeout(double seconds)
{
	int64_t ns;

	if (seconds < 0 || seconds > POLLER_LONGEST)
		return POLLER_FOREVER;
	ns = (int64_t)(seconds * 1e9);
	return (double)ns < seconds * 1e9 ? ns + 1 : ns;
}

static COLD int set_timer(struct poller *p, int64_t due)
{
	const struct itimerspec at = {
		.it_value = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 },
	};

	if (!p->timer_watched && event_add(p->timer, NULL) < 0)
		return -ENOMEM;
	p->timer_watched = true;
	if (timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return -errno;
	p->timer_due = due;
	return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The base could not be run: ask again, to know why.  Without an errno it is because the
 * application runs it already. */
static COLD int ask_again(struct poller *p, int flags)
{
	errno = 0;
	return event_base_loop(p->base, flags) < 0 ? poller_failed(-EBUSY) : 0;
}

static inline int run_base(struct poller *p, int flags)
{
	int r;

	p->waiting = true;
	r = event_base_loop(p->base, flags);
	if (r < 0)
		r = ask_again(p, flags);
	p->waiting = false;
	return r;
}

/* The timer came, maybe that of an earlier pass: wait for what is left, of the pass or until
 * a timer of the map's is due. */
static COLD int wait_on(struct asyncore_map *map, int64_t deadline)
{
	struct poller *p = &map->poller;
	const int64_t due = earlier(deadline, timers_due(&map->timers));
	int r = 0;

	while (r >= 0 && p->timer_fired && map->fired_events == 0 && !map_has_touched(map) &&
	       !map->exit_now && !p->woken && timer_clock() < due) {
		p->timer_fired = false;
		if (due != INT64_MAX)
			r = set_timer(p, due);
		if (r >= 0)
			r = run_base(p, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
	}
	return r;
}

/*
 * The timer is not one of libevent's, which would have its share of work in every pass,
 * but a descriptor.  It is left in place from pass to pass: one that still stands from an
 * earlier pass comes too early for this one, and is then set again for what is left.  So a
 * busy loop pays one reading of the clock for its timeout, and no system call.
 */
int poller_wait(struct asyncore_map *map, int64_t timeout)
{
	struct poller *p = &map->poller;
	int64_t deadline = INT64_MAX, due;
	int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY, r;

	/* This pass does the work; and a pending event of ours would end the wait. */
	if (p->serve_set || p->ask_set)
		poller_serve_no_more(p);
	p->timer_fired = false;
	/* Never NONBLOCK alone: that goes on until nothing is ready at all. */
	if (timeout == 0 || map->nalways_wanted > 0)
		flags |= EVLOOP_NONBLOCK;
	else if (timeout != POLLER_FOREVER)
		deadline = timer_clock() + timeout;
	due = earlier(deadline, timers_due(&map->timers));
	if (due < p->timer_due) {
		r = set_timer(p, due);
		if (r < 0)
			return r;
	}
	r = run_base(p, flags);
	if (r < 0 || !p->timer_fired || flags & EVLOOP_NONBLOCK)
		return r;
	return wait_on(map, deadline);
}

static int settle_timer(struct asyncore_map *map)
{
	const int64_t due = timers_due(&map->timers);
	struct poller *p = &map->poller;
	int r = 0;

	if (due == INT64_MAX) {
		if (p->timer_watched)
			event_del(p->timer);
		p->timer_due = INT64_MAX;
		p->timer_watched = false;
	} else if (due < p->timer_due) {
		/* (One that comes too early is set again then.) */
		r = set_timer(p, due);
	}
	return r;
}

static int settle_asking(struct asyncore_map *map)
{
	const bool wanted = map->size > 0 && map->nasked > 0 && map->refresh > 0;
	struct poller *p = &map->poller;

	if (wanted == p->ask_set)
		return 0;
	if (wanted) {
		const int64_t us = poller_timeout(map->refresh) / 1000;
		const struct timeval tv = {
			.tv_sec = (time_t)(us / 1000000),
			.tv_usec = (suseconds_t)(us % 1000000),
		};

		p->ask_set = event_add(p->ask, &tv) == 0;
	} else {
		event_del(p->ask);
		p->ask_set = false;
	}
	return p->ask_set == wanted ? 0 : -ENOMEM;
}

static int settle_calls(struct asyncore_map *map)
{
	struct event *calls = map->poller.calls;

	if (calls == NULL)
		return 0;
	if (!calls_expected(map))
		event_del(calls);
	else if (!event_pending(calls, EV_READ, NULL) && event_add(calls, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* What could not be registered is tried again in a moment; if not even that can be, it is
 * an error. */
int poller_settle(struct asyncore_map *map)
{
	struct poller *p = &map->poller;
	bool failed;

	if (p->own_base)
		return 0;
	if (map->size == 0)
		evtimer_del(p->resume);
	failed = settle_timer(map) < 0;
	failed = settle_asking(map) < 0 || failed;
	failed = settle_calls(map) < 0 || failed;
	/* One more turn, if there is somebody to be told. */
	if (map->size == 0 && (!map->filled || map->empty == NULL))
		poller_serve_no_more(p);
	return failed ? poller_resume_later(map) : 0;
}

void poller_serve_soon(struct asyncore_map *map)
{
	struct poller *p = &map->poller;

	if (p->serve_set || p->own_base || p->waiting)
		return;
	event_active(p->serve, EV_TIMEOUT, 1);
	p->serve_set = true;
}

int poller_serve_after(struct asyncore_map *map)
{
	const struct timeval now = { .tv_sec = 0 };
	struct poller *p = &map->poller;

	p->serve_set = event_add(p->serve, &now) == 0;
	return p->serve_set ? 0 : poller_resume_later(map);
}

void poller_serve_no_more(struct poller *p)
{
	event_del(p->serve);
	event_del(p->ask);
	p->serve_set = p->ask_set = false;
}

int poller_resume_later(struct asyncore_map *map)
{
	struct event *resume = map->poller.resume;

	if (!evtimer_pending(resume, NULL) && evtimer_add(resume, &PAUSE) < 0)
		return -ENOMEM;
	return 0;
}
