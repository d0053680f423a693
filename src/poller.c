/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * poller.c - the only file that knows libevent.
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
#include "loop.h"
#include "urgent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

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

/* --- what libevent calls: mark, and nothing else -------------------------------- */

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	map_fire(arg, EVENT_READ);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	map_fire(arg, EVENT_WRITE);
}

static void on_urgent(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	urgent_collect(fd);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_map *map = arg;
	uint64_t count;

	(void)what;
	map->poller.timer_set = false;
	map->poller.timer_fired = read(fd, &count, sizeof count) == sizeof count;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	map_resume(arg);
}

static void on_serve(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_map *map = arg;
	struct poller *p = &map->poller;

	(void)fd, (void)what;
	/* Is there a pass of our own that does the work?  (It may be another map's pass on
	 * this base, out of one of our handlers, that brought us here.) */
	if (p->waiting || map->depth > 0)
		return;
	p->serving = true;
	if (loop_serve(map) < 0)
		event_base_loopbreak(p->base);
	p->serving = false;
}

/* --- set up --------------------------------------------------------------------- */

/*
 * Are there as many descriptors to be had as a base opens, and we for it?  libevent 2.1 ends
 * the process when it cannot open its pair for signals.
 */
static int check_descriptors(void)
{
	int one[2], two[2], r;

	if (pipe2(one, O_CLOEXEC) < 0)
		return -errno;
	r = pipe2(two, O_CLOEXEC) < 0 ? -errno : 0;
	close(one[0]);
	close(one[1]);
	if (r == 0) {
		close(two[0]);
		close(two[1]);
	}
	return r;
}

/* A base of our own.  The environment must not choose the backend, and only one thread
 * ever sees this base. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (config == NULL)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK);
	event_config_avoid_method(config, "select");
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* What libevent left in errno, if it did. */
static int failed(int otherwise)
{
	return errno != 0 ? -errno : otherwise;
}

static bool base_is(const struct event_base *base, const char *method)
{
	return strcmp(event_base_get_method(base), method) == 0;
}

int poller_init(struct asyncore_map *map, struct event_base *base)
{
	struct poller *p = &map->poller;
	int r;

	p->urgent_fd = p->timer_fd = -1;
	if (base != NULL && base_is(base, "epoll (with changelist)"))
		return -ENOTSUP;
	p->own_base = base == NULL;
	if (p->own_base && (r = check_descriptors()) < 0)
		return r;
	r = -ENOMEM;
	errno = 0;
	p->base = base != NULL ? base : new_base();
	if (p->base == NULL)
		return failed(-ENOMEM);
	p->is_select = base_is(p->base, "select");

	p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (p->timer_fd < 0) {
		r = -errno;
		goto fail;
	}
	r = poller_check(p, p->timer_fd);
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	p->timer = event_new(p->base, p->timer_fd, EV_READ | EV_PERSIST, on_timer, map);
	p->resume = evtimer_new(p->base, on_resume, map);
	p->serve = evtimer_new(p->base, on_serve, map);
	if (p->timer != NULL && p->resume != NULL && p->serve != NULL)
		return 0;
fail:
	poller_free(map);
	return r;
}

static void free_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

void poller_free(struct asyncore_map *map)
{
	struct poller *p = &map->poller;

	free_event(&p->timer);
	if (p->timer_fd >= 0)
		close(p->timer_fd);
	p->timer_fd = -1;
	free_event(&p->resume);
	free_event(&p->serve);
	free_event(&p->urgent);
	urgent_close(p->urgent_fd);
	p->urgent_fd = -1;
	if (p->own_base && p->base != NULL)
		event_base_free(p->base);
	p->base = NULL;
}

int poller_check(const struct poller *p, int fd)
{
	/* libevent would abort the process. */
	return p->is_select && fd >= FD_SETSIZE ? -ERANGE : 0;
}

/* --- what a channel waits for --------------------------------------------------- */

static int arm_read(struct asyncore_channel *c, bool on)
{
	struct event *ev = read_event(c);

	if (!on) {
		event_del(ev);
		event_debug_unassign(ev);
		return 0;
	}
	errno = 0;
	if (event_assign(ev, c->map->poller.base, c->fd, EV_READ | EV_PERSIST, on_read, c) < 0 ||
	    event_add(ev, NULL) < 0)
		return failed(-ENOMEM);
	return 0;
}

static int arm_write(struct asyncore_channel *c, bool on)
{
	struct event *ev = c->write_event;

	if (!on) {
		event_free(ev);
		c->write_event = NULL;
		return 0;
	}
	ev = event_new(c->map->poller.base, c->fd, EV_WRITE | EV_PERSIST, on_write, c);
	if (ev == NULL)
		return -ENOMEM;
	errno = 0;
	if (event_add(ev, NULL) < 0) {
		int r = failed(-ENOMEM);

		event_free(ev);
		return r;
	}
	c->write_event = ev;
	return 0;
}

/* Make the descriptor that tells of urgent data on any channel of the map. */
int poller_prepare_urgent(struct asyncore_map *map)
{
	struct poller *p = &map->poller;
	int fd;

	if (p->urgent != NULL)
		return 0;
	fd = urgent_open();
	if (fd < 0)
		return fd;
	if (poller_check(p, fd) < 0) {
		urgent_close(fd);
		return -ERANGE;
	}
	p->urgent = event_new(p->base, fd, EV_READ | EV_PERSIST, on_urgent, map);
	if (p->urgent == NULL) {
		urgent_close(fd);
		return -ENOMEM;
	}
	p->urgent_fd = fd;
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

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t poller_timeout(double seconds)
{
	int64_t ns;

	/* A hundred years are for ever, and stay far from overflow. */
	if (seconds < 0 || seconds > 3e9)
		return POLLER_FOREVER;
	ns = (int64_t)(seconds * 1e9);
	return (double)ns < seconds * 1e9 ? ns + 1 : ns;
}

static COLD int set_timer(struct poller *p, int64_t due)
{
	const struct itimerspec at = {
		.it_value = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 },
	};

	if (!event_pending(p->timer, EV_READ, NULL) && event_add(p->timer, NULL) < 0)
		return -ENOMEM;
	if (timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return -errno;
	p->timer_set = true;
	p->timer_due = due;
	return 0;
}

static int run_base(struct poller *p, int flags)
{
	int r;

	errno = 0;
	p->waiting = true;
	r = event_base_loop(p->base, flags);
	p->waiting = false;
	/* Without an errno it is because the application runs the base already. */
	return r < 0 ? failed(-EBUSY) : 0;
}

/* The timer came, maybe that of an earlier pass: wait for what is left. */
static COLD int wait_on(struct asyncore_map *map, size_t nfired, int64_t deadline)
{
	struct poller *p = &map->poller;
	int r = 0;

	while (r >= 0 && p->timer_fired && map->nfired == nfired && !map_has_touched(map) &&
	       !map->exit_now && monotonic_ns() < deadline) {
		p->timer_fired = false;
		if (deadline != INT64_MAX)
			r = set_timer(p, deadline);
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
	const size_t nfired = map->nfired;
	int64_t deadline = INT64_MAX;
	int r;

	/* This pass does the work; and a pending event of ours would end the wait. */
	if (!p->own_base)
		event_del(p->serve);
	/* Never NONBLOCK alone: that goes on until nothing is ready at all. */
	if (timeout == 0 || map->nalways_wanted > 0)
		return run_base(p, EVLOOP_ONCE | EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY);

	if (timeout != POLLER_FOREVER)
		deadline = monotonic_ns() + timeout;
	p->timer_fired = false;
	if (timeout != POLLER_FOREVER && (!p->timer_set || p->timer_due > deadline)) {
		r = set_timer(p, deadline);
		if (r < 0)
			return r;
	}
	r = run_base(p, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
	if (r < 0 || !p->timer_fired)
		return r;
	return wait_on(map, nfired, deadline);
}

void poller_rest(struct asyncore_map *map)
{
	struct poller *p = &map->poller;

	if (p->own_base)
		return;
	event_del(p->timer);
	p->timer_set = false;
	if (map->size == 0) {
		evtimer_del(p->serve);
		evtimer_del(p->resume);
	}
}

void poller_serve_soon(struct asyncore_map *map)
{
	struct poller *p = &map->poller;

	if (!p->own_base && !p->waiting)
		event_active(p->serve, EV_TIMEOUT, 1);
}

void poller_serve_within(struct asyncore_map *map, double seconds)
{
	const struct timeval tv = { .tv_sec = (time_t)seconds };
	struct poller *p = &map->poller;

	if (!p->own_base && (seconds == 0 || !evtimer_pending(p->serve, NULL)))
		evtimer_add(p->serve, &tv);
}

int poller_resume_later(struct asyncore_map *map)
{
	struct event *resume = map->poller.resume;

	if (!evtimer_pending(resume, NULL) && evtimer_add(resume, &PAUSE) < 0)
		return -ENOMEM;
	return 0;
}

struct event_base *asyncore_map_base(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? map->poller.base : NULL;
}
