/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * asyncore_event.h - what Python's asyncore has not and every program built on it
 * invented again: timers, calls from other threads; and what makes a map at home in a
 * program on libevent.
 *
 *	static int too_slow(struct asyncore_dispatcher *self, void *arg)
 *	{
 *		(void)arg;
 *		return asyncore_close(self);
 *	}
 *
 *	asyncore_channel_call_later(self, 10.0, too_slow, NULL, NULL);
 *
 * The conventions are those of asyncore.h: results, errors, owners, threads.  Nothing here
 * has a name in Python, unless one is given.
 */

#ifndef ASYNCORE_EVENT_H
#define ASYNCORE_EVENT_H

#include <asyncore.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What is called later: 0 or a positive value for success, or a negative one.  -EAGAIN is
 * no error.  Otherwise a call that belongs to a map leaves the loop, which returns the value
 * (see asyncore_map_set_exit_cb() for the application's loop), and one that belongs to a
 * channel has raised: the channel's handle_error() is called, whatever the error.
 * ASYNCORE_EXIT_NOW leaves the loop from either.  They may do what handlers may do.
 */
typedef int (*asyncore_call_fn)(struct asyncore_map *map, void *arg);
typedef int (*asyncore_channel_call_fn)(struct asyncore_dispatcher *self, void *arg);

/* The end of `arg`: called exactly once, after the last call or instead of any, whatever
 * happens; also when the function that it was given to fails.  NULL when there is nothing to
 * give back. */
typedef void (*asyncore_release_fn)(void *arg);

/* ------------------------------------------------------------------------------- */
/* Timers                                                                          */
/* ------------------------------------------------------------------------------- */

/*
 * Call `call(map, arg)` once, `seconds` from now, or again and again, every `seconds`.
 * Timers run after the I/O of a pass, in the order in which they are due, never early; one
 * that was set by a timer runs in a later pass.  call_every keeps to its multiples: it
 * does not drift, and what a long handler made it miss it leaves out.
 * Returns a number that names the timer in this map (greater than 0, and not used for another
 * one before a billion others were), or a negative errno.
 * seconds: 0 is as soon as possible (call_every: not allowed).
 * asyncore_loop() goes on, and so does event_base_dispatch(), while a timer is pending.
 * Errors: -EINVAL for a time that is negative or not a number; -ESHUTDOWN in
 * asyncore_map_free(); -ENOMEM.
 */
ASYNCORE_API int asyncore_call_later(struct asyncore_map *map, double seconds,
				     asyncore_call_fn call, void *arg,
				     asyncore_release_fn release);
ASYNCORE_API int asyncore_call_every(struct asyncore_map *map, double seconds,
				     asyncore_call_fn call, void *arg,
				     asyncore_release_fn release);

/*
 * The same for a timer that belongs to a channel: it is gone when the channel is closed,
 * moves to another map or is disposed of, and what it raises goes to handle_error().  Like
 * a bound method in Python, it holds the channel: one that was set after close() keeps the
 * object for a reconnect (until another close()).  It is named in the channel's map.
 */
ASYNCORE_API int asyncore_channel_call_later(struct asyncore_dispatcher *d, double seconds,
					     asyncore_channel_call_fn call,
					     void *arg, asyncore_release_fn release);
ASYNCORE_API int asyncore_channel_call_every(struct asyncore_dispatcher *d, double seconds,
					     asyncore_channel_call_fn call,
					     void *arg, asyncore_release_fn release);

/*
 * Cancel a timer of the map; its release runs.  Let it start anew, `seconds` from now (and
 * every so many seconds, if it repeats), or with a negative value the time that it was given
 * last.  Both may be called from anywhere, from the timer's own call too: a timer that
 * resets itself runs again.
 * Errors: -ENOENT when there is no such timer, because it ran or is gone; -EINVAL as in
 * asyncore_call_later().
 */
ASYNCORE_API int asyncore_cancel(struct asyncore_map *map, int timer);
ASYNCORE_API int asyncore_reset(struct asyncore_map *map, int timer, double seconds);

/* The seconds until it runs, 0 when it is due, or running and not reset; -1 when there is no
 * such timer. */
ASYNCORE_API double asyncore_remaining(struct asyncore_map *map, int timer);

/* The number of timers that are pending in the map: those of channels too, and the idle
 * timeouts of the channels in it, but not one that is running. */
ASYNCORE_API size_t asyncore_timers(struct asyncore_map *map);

/*
 * Call handle_timeout() when the channel had no event and sent nothing for so many seconds,
 * and again after as many if that does not close it.  Not while it is in no map.  The default
 * body calls handle_close(); one that returns ASYNCORE_RAISEF(self, -ETIMEDOUT, ...) gives
 * the reason.  0: never, the default, and again so after close().  It moves with the channel
 * to another map.  Costs one reading of the clock per event of the channel.
 * Errors: as asyncore_call_later().
 */
ASYNCORE_API int asyncore_set_idle_timeout(struct asyncore_dispatcher *d, double seconds);

/* ------------------------------------------------------------------------------- */
/* Calls from other threads                                                        */
/* ------------------------------------------------------------------------------- */

/*
 * A poster is the door through which other threads reach a map: give it to them instead of
 * the map.  It counts references; while one is held asyncore_loop() goes on, and so does
 * event_base_dispatch(), because a call may come.  It outlives the map: what is posted
 * after that is refused.
 * new: the map's thread; NULL with errno: ENOMEM, EMFILE ..., ESHUTDOWN in
 * asyncore_map_free().  ref and unref: any thread that holds one, and NULL is ignored; ref
 * returns its argument.
 */
struct asyncore_poster;
ASYNCORE_API struct asyncore_poster *asyncore_poster_new(struct asyncore_map *map);
ASYNCORE_API struct asyncore_poster *asyncore_poster_ref(struct asyncore_poster *poster);
ASYNCORE_API void asyncore_poster_unref(struct asyncore_poster *poster);

/*
 * Run `call(map, arg)` on the map's thread, soon: after the I/O of a pass, in the order
 * posted (of one thread; threads that post at once mix).  Waking the map costs a system call
 * only when nothing was posted before.  Any thread, the map's too; not from a signal
 * handler.  A call that is posted by a posted call runs in a later pass.
 * release(arg) runs on the map's thread, after the call or in asyncore_map_free(); or, when
 * this fails, before it returns.  The reference must be held until then.
 * To touch a channel from another thread, hold it (asyncore_ref(), on the map's thread, while
 * it lives) and post a call that closes it, pushes to it ... and lets it go.
 * Errors: -ESHUTDOWN when the map was freed; -ENOMEM.
 * [asyncio's loop.call_soon_threadsafe]
 */
ASYNCORE_API int asyncore_call_soon(struct asyncore_poster *poster, asyncore_call_fn call,
				    void *arg, asyncore_release_fn release);

/*
 * A trigger calls one function on the map's thread, soon after it was pulled: from any
 * thread, and from a signal handler.  It needs no memory to be pulled; several pulls before
 * the call runs are one.  It holds a poster: asyncore_loop() goes on while it exists.
 * new: the map's thread; NULL with errno: EINVAL without a call, and as for a poster.
 * free: the map's thread, also from the call, when nobody pulls it any more (take the signal
 * handler away first), also after the map was freed; release(arg) runs, and a call that was
 * still to come does not.  NULL is ignored.
 * pull: errors: -ESHUTDOWN when the map was freed.  errno is left as it was.
 */
struct asyncore_trigger;
ASYNCORE_API struct asyncore_trigger *asyncore_trigger_new(struct asyncore_map *map,
							   asyncore_call_fn call,
							   void *arg,
							   asyncore_release_fn release);
ASYNCORE_API int asyncore_trigger_pull(struct asyncore_trigger *trigger);
ASYNCORE_API void asyncore_trigger_free(struct asyncore_trigger *trigger);

/* ------------------------------------------------------------------------------- */
/* A map in a libevent program                                                     */
/* ------------------------------------------------------------------------------- */

/* Is the map on a base of the application's? */
ASYNCORE_API bool asyncore_map_attached(struct asyncore_map *map);

/*
 * The priority of all events of the map on its base: 0 (the first) to what
 * event_base_priority_init() was given, less one; by default the middle one when the map was
 * made, as for any event of libevent.  Among events of one priority nobody waits for ever;
 * those of a lower one may.
 * Errors: -EINVAL for a priority that the base has not.
 */
ASYNCORE_API int asyncore_map_set_priority(struct asyncore_map *map, int priority);
ASYNCORE_API int asyncore_map_priority(struct asyncore_map *map);

/*
 * How often the application's loop has predicates asked that may change at any time: after
 * every batch of channel events, timers or posted calls, after anything the library was told,
 * and at the latest after so many seconds without any of these.  ASYNCORE_TIMEOUT by default;
 * negative for no limit.  (asyncore_loop() has an argument for this.)
 * Errors: -EINVAL for 0 and for what is not a number.
 */
ASYNCORE_API int asyncore_map_set_timeout(struct asyncore_map *map, double seconds);

/*
 * Say when the map has become empty: called when its last channel has left it, at the end of
 * the pass, outside of any handler, once each time; a map that is empty when this is set is
 * not reported.  It may do anything that main() may: add channels (then asyncore_loop() goes
 * on), cancel timers, free the map; but in the application's loop run no pass.
 * In the application's loop it is the only notice; there it comes in the turn of the loop
 * that follows the closing.  Otherwise the outermost loop tells, or the next one when the
 * closing was outside of any.  Not called in asyncore_map_free().  NULL: nobody.
 */
ASYNCORE_API int asyncore_map_set_empty_cb(struct asyncore_map *map,
					   void (*empty)(struct asyncore_map *map, void *arg),
					   void *arg);

/*
 * What leaves asyncore_loop() (ASYNCORE_EXIT_NOW, a predicate, handle_error() or a call that
 * raised) in the application's loop: call this with the value, at the end of the turn,
 * outside of any handler.  It may do anything that main() may, but run a pass.  NULL, the
 * default: end the application's loop with event_base_loopbreak() (which does not end an
 * asyncore_loop() of another map on this base).
 * Either way the map stays as it is and is served on, if the loop runs.  Not called in
 * asyncore_loop(), which returns the value.
 */
ASYNCORE_API int asyncore_map_set_exit_cb(struct asyncore_map *map,
					  void (*left)(struct asyncore_map *map, int result,
						       void *arg),
					  void *arg);

/*
 * How asyncore_connect() reaches a host that is given by name: `connect` starts it and
 * returns as asyncore_connect() does.  libasyncore_dns uses this; so may another resolver.
 * NULL: look it up at once, blocking, as Python does; ignored unless `arg` is what the
 * callback was set with.
 */
ASYNCORE_API int asyncore_map_set_connect_cb(struct asyncore_map *map,
					     int (*connect)(struct asyncore_dispatcher *d,
							    const char *host, int port,
							    void *arg),
					     void *arg);

/*
 * After fork(), in the child: make the map one of the child's own, before anything else
 * touches it.  Calls event_reinit() on its base, and gives the map new descriptors for
 * what it shares with the parent (timers, posted calls, urgent data).  Channels, timers and
 * posted calls are in both processes then; close in the child what is the parent's.
 * In a handler, too.  One thread of the parent lives on in the child: the one that forked.
 * Errors: what making descriptors says; -EIO when event_reinit() fails.  May be repeated.
 */
ASYNCORE_API int asyncore_map_reinit(struct asyncore_map *map);

/* ------------------------------------------------------------------------------- */
/* Watching a map                                                                  */
/* ------------------------------------------------------------------------------- */

/* One call that was made on a channel or on the map. */
struct asyncore_trace {
	struct asyncore_dispatcher *channel;	/* NULL: a call of the map itself */
	const char *name;	/* a slot ("handle_read_event", "handle_read" ...), or
				 * "call_later", "call_every", "call_soon", "trigger" */
	int result;		/* what it returned */
	unsigned depth;		/* of the reported calls that this one was made from */
	double seconds;		/* how long it took, what it called included */
};

/*
 * Have every event (handle_read_event ...), every handler (handle_read ...; of async_chat
 * collect_incoming_data and found_terminator too), every timer and every posted call of the
 * map reported, when it has returned: so what was called from inside another one comes
 * first.  (Callbacks of async_chat are reported from the read event on that follows.)
 * The channel may have been closed by then, but is still there.  The callback may
 * look at everything, log, and set or clear itself; it must not run the loop.
 * Off (NULL, the default) it costs nothing.
 */
ASYNCORE_API int asyncore_map_set_trace_cb(struct asyncore_map *map,
					   void (*trace)(struct asyncore_map *map,
							 const struct asyncore_trace *trace,
							 void *arg),
					   void *arg);

/*
 * The same for what was called from no other call (depth 0: by the loop) and took longer
 * than `limit` seconds: it kept everybody else waiting.  Costs two readings of the clock for
 * every call.
 * Errors: -EINVAL for a limit that is negative or not a number.
 */
ASYNCORE_API int asyncore_map_set_slow_cb(struct asyncore_map *map, double limit,
					  void (*slow)(struct asyncore_map *map,
						       const struct asyncore_trace *trace,
						       void *arg),
					  void *arg);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCORE_EVENT_H */
