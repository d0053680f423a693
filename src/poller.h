/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * poller.h - libevent, seen from the rest of the library.
 *
 * poller.c (channels, waiting) and poller_events.c (the map's own events) are the only files
 * that know struct event and struct event_base.  In a pass of ours their callbacks run no
 * user code: they mark channels as fired (map_fire()), so no frame of libevent lies under a
 * handler and a handler may run the loop again.
 */

#ifndef POLLER_H
#define POLLER_H

#include "private_names.h"

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

struct asyncore_channel;
struct asyncore_map;
struct event;
struct event_base;

struct poller {
	struct event_base *base;
	bool own_base;
	bool is_select;		/* descriptors have a limit there */
	bool waiting;		/* event_base_loop() is running, called by us */
	bool serving;		/* the application runs the base and we are in its pass */
	bool timer_fired;
	bool woken;		/* calls were posted */
	int priority;		/* of all our events */
	int64_t timer_due;	/* for when it is set, monotonic ns; INT64_MAX: it is not */
	int timer_fd;		/* ends a wait */
	struct event *timer;
	struct event *serve;	/* works for a map whose base the application runs */
	struct event *ask;	/* has it work now and then though nothing happened */
	bool serve_set, ask_set;	/* they are active or wait for their time */
	bool timer_watched;
	struct event *resume;	/* ends a pause, of listeners without descriptors ... */
	struct event *urgent;	/* urgent data came; made for the first channel that wants it */
	int urgent_fd;
	struct event *calls;	/* calls are posted; made for the first poster */
	size_t nurgent;		/* channels watched for urgent data */
};

/* Bytes that a channel must have for its read event. */
size_t poller_event_size(void);

/* On `base`, or with NULL on a base of its own.  0 or a negative errno. */
int poller_init(struct asyncore_map *map, struct event_base *base);
void poller_free(struct asyncore_map *map);

/* For the two of them: an event of ours, with the map's priority; and what libevent left in
 * errno, if it did. */
struct event *poller_event(const struct poller *p, int fd, short what,
			   void (*callback)(int fd, short what, void *arg), void *arg);
int poller_failed(int otherwise);

/* May this descriptor be watched at all on this base?  0 or -ERANGE. */
int poller_check(const struct poller *p, int fd);

/* Register a channel for exactly these EVENT_*, changing only what differs.  When that
 * fails the channel stays registered for what it was, or for less.  0 or a negative
 * errno. */
int poller_arm(struct asyncore_channel *c, unsigned events);

/* See to it that urgent data can be watched for on this map.  0 or a negative errno. */
int poller_prepare_urgent(struct asyncore_map *map);

/* Urgent data was reported; report it again if it is still there. */
void poller_renew_urgent(struct asyncore_channel *c);

/* A timeout in seconds as poller_wait() wants it: ns, rounded up. */
int64_t poller_timeout(double seconds);
#define POLLER_FOREVER INT64_MAX
/* More seconds, a hundred years, are for ever; so they stay far from overflow. */
#define POLLER_LONGEST 3e9

/* Run the base until something happens, for at most so many ns.  0 or a negative errno. */
int poller_wait(struct asyncore_map *map, int64_t timeout);

/* No pass is running: have on a foreign base what the map needs to be served there, and
 * nothing that would keep it from ending.  0, or -ENOMEM: nothing will come of it by itself. */
int poller_settle(struct asyncore_map *map);

/* Calls are posted through this descriptor, from now on (again).  0 or a negative errno. */
int poller_watch_calls(struct asyncore_map *map, int fd);
void poller_unwatch_calls(struct asyncore_map *map);

/* The priority of all events from now on; channels have to be armed anew.  0 or -EINVAL. */
int poller_set_priority(struct asyncore_map *map, int priority);

/* In a child process.  0 or a negative errno. */
int poller_reinit(struct asyncore_map *map);

/* There is work for the map.  If the application runs its base, do it at the end of
 * this pass of libevent. */
void poller_serve_soon(struct asyncore_map *map);

/* The application runs the base: the same, but after its own events had their turn. */
int poller_serve_after(struct asyncore_map *map);

/* In a callback of libevent's, the last thing there: the same, and at once if nothing else is
 * to be called in this pass of libevent.  Not while a pass of ours is waiting. */
void poller_serve_now(struct asyncore_map *map);

/* No event of `serve` or `ask` is to come. */
void poller_serve_no_more(struct poller *p);

/* After a moment, let every paused listener go on.  0 or a negative errno. */
int poller_resume_later(struct asyncore_map *map);

#endif /* POLLER_H */
