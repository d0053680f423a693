/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * poller_events.c - the events that a map has beside those of its channels: making them,
 * their priority, and what becomes of them in a child process.
 */

#include "map.h"
#include "loop.h"
#include "urgent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

/* --- what libevent calls --------------------------------------------------------- */

static void on_urgent(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	urgent_collect(fd);
	poller_serve_now(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_map *map = arg;
	uint64_t count;

	(void)what;
	map->poller.timer_due = INT64_MAX;
	map->poller.timer_fired = read(fd, &count, sizeof count) == sizeof count;
	poller_serve_now(map);
}

static void on_calls(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_map *map = arg;
	uint64_t count;

	(void)what;
	map->poller.woken = read(fd, &count, sizeof count) == sizeof count ||
			    map->poller.woken;
	poller_serve_now(map);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	map_resume(arg);
	poller_serve_now(arg);
}

/* Our pass brought the map to its end, or something left it. */
static COLD void tell(struct asyncore_map *map, int result)
{
	const bool leave = result < 0 && map->left == NULL;
	struct event_base *base = map->poller.base;

	map->users++;
	/* Either callback may free the map. */
	if (loop_tell_empty(map) && result < 0 && map->left != NULL)
		map->left(map, result, map->left_arg);
	if (leave)
		event_base_loopbreak(base);
	map->poller.serving = false;
	map_unuse(map);
}

/* The application runs the base: this is our pass. */
static inline void serve(struct asyncore_map *map)
{
	int r;

	map->poller.serving = true;
	r = loop_serve(map);
	if (r < 0 || map->size == 0)
		tell(map, r);
	else
		map->poller.serving = false;
}

static void on_serve(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_map *map = arg;

	(void)fd, (void)what;
	map->poller.serve_set = false;
	/* Is there a pass of our own that does the work?  (It may be another map's pass on
	 * this base, out of one of our handlers, that brought us here.) */
	if (!map->poller.waiting && map->depth == 0)
		serve(map);
}

void poller_serve_now(struct asyncore_map *map)
{
	struct poller *p = &map->poller;

	if (p->serve_set || p->own_base || p->waiting)
		return;
	/* libevent has taken the event that calls us off its list. */
	if (map->depth == 0 &&
	    event_base_get_num_events(p->base, EVENT_BASE_COUNT_ACTIVE) == 0)
		serve(map);
	else
		poller_serve_soon(map);
}

static void on_ask(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	poller_serve_now(arg);
}

/* An event of ours.  libevent gives it the middle priority of now; ours does not change when
 * the application changes the base. */
struct event *poller_event(const struct poller *p, int fd, short what,
			   event_callback_fn callback, void *arg)
{
	struct event *ev = event_new(p->base, fd, what, callback, arg);

	if (ev != NULL)
		event_priority_set(ev, p->priority);
	return ev;
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

/* A base of our own.  The environment must not choose the backend; only one thread ever sees
 * this base; and as its timers are ours, it need not read the clock in every pass. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (config == NULL)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK |
				      EVENT_BASE_FLAG_NO_CACHE_TIME);
	event_config_avoid_method(config, "select");
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
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
	p->timer_due = INT64_MAX;
	if (base != NULL && base_is(base, "epoll (with changelist)"))
		return -ENOTSUP;
	p->own_base = base == NULL;
	if (p->own_base && (r = check_descriptors()) < 0)
		return r;
	errno = 0;
	p->base = base != NULL ? base : new_base();
	if (p->base == NULL)
		return poller_failed(-ENOMEM);
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
	p->priority = event_base_get_npriorities(p->base) / 2;
	p->timer = poller_event(p, p->timer_fd, EV_READ | EV_PERSIST, on_timer, map);
	p->resume = poller_event(p, -1, 0, on_resume, map);
	/* Persistent: libevent has less to do, and `ask` keeps its time. */
	p->serve = poller_event(p, -1, EV_PERSIST, on_serve, map);
	p->ask = poller_event(p, -1, EV_PERSIST, on_ask, map);
	if (p->timer != NULL && p->resume != NULL && p->serve != NULL && p->ask != NULL)
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
	free_event(&p->ask);
	free_event(&p->urgent);
	urgent_close(p->urgent_fd);
	p->urgent_fd = -1;
	if (p->own_base && p->base != NULL)
		event_base_free(p->base);
	p->base = NULL;
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
	p->urgent = poller_event(p, fd, EV_READ | EV_PERSIST, on_urgent, map);
	if (p->urgent == NULL) {
		urgent_close(fd);
		return -ENOMEM;
	}
	p->urgent_fd = fd;
	return 0;
}

int poller_watch_calls(struct asyncore_map *map, int fd)
{
	struct poller *p = &map->poller;
	int r = poller_check(p, fd);

	if (r < 0)
		return r;
	if (p->calls == NULL)
		p->calls = poller_event(p, fd, EV_READ | EV_PERSIST, on_calls, map);
	if (p->calls == NULL)
		return -ENOMEM;
	return event_pending(p->calls, EV_READ, NULL) || event_add(p->calls, NULL) == 0
	       ? 0 : -ENOMEM;
}

void poller_unwatch_calls(struct asyncore_map *map)
{
	free_event(&map->poller.calls);
}

/* --- changes ---------------------------------------------------------------------- */

/* libevent refuses to change an event that is active; level triggers bring it back. */
static void set_priority(struct event *ev, int priority)
{
	const bool pending = ev != NULL && event_pending(ev, EV_READ, NULL);

	if (ev == NULL)
		return;
	event_del(ev);
	event_priority_set(ev, priority);
	if (pending)
		event_add(ev, NULL);
}

int poller_set_priority(struct asyncore_map *map, int priority)
{
	struct poller *p = &map->poller;
	const bool resting = evtimer_pending(p->resume, NULL);

	if (priority < 0 || priority >= event_base_get_npriorities(p->base))
		return -EINVAL;
	p->priority = priority;
	set_priority(p->timer, priority);
	set_priority(p->calls, priority);
	set_priority(p->urgent, priority);
	poller_serve_no_more(p);
	set_priority(p->serve, priority);
	set_priority(p->ask, priority);
	set_priority(p->resume, priority);
	return resting ? poller_resume_later(map) : 0;
}

/* Another descriptor under the number of the one that is shared with the parent.  The parent's
 * stays as it is. */
static int replace(int fd, int by)
{
	int r = by < 0 || dup3(by, fd, O_CLOEXEC) < 0 ? -errno : 0;

	if (by >= 0)
		close(by);
	return r;
}

static int renew_timer(struct poller *p)
{
	event_del(p->timer);
	p->timer_due = INT64_MAX;
	p->timer_watched = false;
	return replace(p->timer_fd,
		       timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}

static int renew_calls(struct asyncore_map *map)
{
	struct poller *p = &map->poller;
	int r;

	if (p->calls == NULL)
		return 0;
	event_del(p->calls);
	r = calls_renew(map);
	return event_add(p->calls, NULL) < 0 && r == 0 ? -ENOMEM : r;
}

static int watch_again(struct asyncore_dispatcher *d, void *arg)
{
	struct asyncore_channel *c = d->channel;

	return c->armed & EVENT_URGENT ? urgent_watch(*(int *)arg, c, false) : 0;
}

static int renew_urgent(struct asyncore_map *map)
{
	struct poller *p = &map->poller;
	int r;

	if (p->urgent == NULL)
		return 0;
	event_del(p->urgent);
	errno = 0;
	r = replace(p->urgent_fd, urgent_open());
	if (r == 0)
		r = asyncore_map_foreach(map, watch_again, &p->urgent_fd);
	if (p->nurgent > 0 && event_add(p->urgent, NULL) < 0 && r == 0)
		r = -ENOMEM;
	return r;
}

int poller_reinit(struct asyncore_map *map)
{
	int r;

	/* First of all: until then a change here would change the parent's epoll. */
	if (event_reinit(map->poller.base) < 0)
		return -EIO;
	r = renew_timer(&map->poller);
	if (r == 0)
		r = renew_calls(map);
	if (r == 0)
		r = renew_urgent(map);
	poller_serve_soon(map);
	return r;
}

struct event_base *asyncore_map_base(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? map->poller.base : NULL;
}
