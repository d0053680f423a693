/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * channel.h - the private half of a dispatcher.
 *
 * One allocation: the fields below, by use (the first cache lines are all that an event
 * touches), and behind them the storage of libevent's read event, which poller.c alone
 * looks into.
 *
 * Lifetime.  A channel that was never in a map is its maker's.  Once it left its map or
 * was closed it lives as long as it is held, or until it is added again; otherwise
 * it stands on its map's agenda (map.h) and is disposed of at the end of an outermost pass.
 * So a pointer to a channel stays good during a pass, whatever handlers do; what a pass
 * must check before it calls a handler is only whether the channel is still marked
 * (`fired`), because close() and del_channel() take the marks away.
 */

#ifndef CHANNEL_H
#define CHANNEL_H

#include "private_names.h"
#include "methods.h"

#include <stdint.h>
#include <sys/types.h>

/* What a channel waits for, and what happened to it. */
enum {
	EVENT_READ   = 0x01,
	EVENT_WRITE  = 0x02,
	EVENT_URGENT = 0x04,
	EVENT_HANGUP = 0x08,	/* only from asyncore_readwrite() */
};

/* channel.flags */
enum {
	CHANNEL_CONNECTED    = 0x0001,
	CHANNEL_ACCEPTING    = 0x0002,
	CHANNEL_CONNECTING   = 0x0004,
	CHANNEL_CLOSING      = 0x0008,
	CHANNEL_DEBUG        = 0x0010,
	CHANNEL_IN_MAP       = 0x0020,
	CHANNEL_CLOSED       = 0x0040,	/* since close(), until it has a descriptor again */
	CHANNEL_ON_AGENDA    = 0x0080,
	CHANNEL_FILE         = 0x0100,	/* read() and write() instead of recv() and send() */
	CHANNEL_ALWAYS_READY = 0x0200,	/* a descriptor that epoll refuses */
	CHANNEL_CLOSE_CALLED = 0x0400,	/* handle_close() was called in this dispatch */
	CHANNEL_PAUSED       = 0x0800,	/* accept() ran out of descriptors */
	CHANNEL_PAUSE_SAID   = 0x1000,	/* ... and that was logged */
	CHANNEL_NOTHING_NOW  = 0x2000,	/* the last accept() had nothing */
	CHANNEL_DISPOSING    = 0x4000,
	CHANNEL_URGENT_SEEN  = 0x8000,	/* the urgent watch must be renewed */
	CHANNEL_GONE         = 0x10000,	/* closed, or left its map: the library's to dispose of */
	CHANNEL_NO_SOCKET    = 0x20000,	/* has no descriptor, or one that is a file */
	/* Three things about the class, here because every event looks at them. */
	CHANNEL_PLAIN_READ   = 0x40000,	/* does not override handle_read_event */
	CHANNEL_PLAIN_SEND   = 0x4000000,	/* a dispatcher_with_send's own initiate_send */
	CHANNEL_ASK_AFTER    = 0x80000,	/* predicates to be asked after its own handlers */
	CHANNEL_GATHERED     = 0x100000,	/* async_chat has output that could be sent */
	CHANNEL_OUTPUT       = 0x200000,	/* output of the class's own waits */
	CHANNEL_EOF          = 0x400000,	/* the peer has sent all (ASYNCORE_HALF_CLOSE) */
	CHANNEL_FINISHING    = 0x800000,	/* handle_close() when the output is sent */
	CHANNEL_SHUTDOWN     = 0x1000000,	/* shutdown(2) when the output is sent */
	CHANNEL_IDLE         = 0x2000000,	/* has an idle timeout, its first timer */
};

/* What few channels have, or have for a moment only. */
struct channel_extra {
	struct timer *timers;		/* timer.c; an idle timeout stands first */
	void *write_event;		/* poller.c; exists only while it is registered */
};

struct asyncore_channel {
	struct asyncore_dispatcher *dispatcher;
	const struct methods *methods;
	struct asyncore_map *map;
	uint64_t seq;			/* place in map order; new at every add */
	struct asyncore_channel *agenda;	/* next on the map's agenda */
	struct channel_extra *extra;	/* made at its first use */

	int fd;				/* the descriptor, in a map or not; -1 */
	uint16_t refs;			/* of asyncore_ref() */
	uint16_t holds;			/* of methods that are running */
	uint32_t flags;
	uint8_t fired;			/* EVENT_*: marked, not dispatched yet */
	uint8_t armed;			/* EVENT_*: registered with the poller */
	uint16_t opens;			/* counts descriptors, to tell one from the next */

	uint32_t asked;			/* place among the map's asked channels + 1, or 0 */
	uint8_t connect_error;		/* errno of a failed connect; the kernel forgets it */
	uint8_t family;			/* of the last socket; 0 unknown */
	uint8_t type;
	uint8_t addrlen;		/* 0: no address */
	union {
		unsigned char bytes[16];	/* an IPv4 address, an unnamed AF_UNIX one */
		void *longer;
	} addr;

	_Alignas(void *) unsigned char read_event[];
};

static inline struct asyncore_channel *channel_of(const struct asyncore_dispatcher *d)
{
	return d != NULL ? d->channel : NULL;
}

static inline bool channel_has(const struct asyncore_channel *c, unsigned flags)
{
	return (c->flags & flags) != 0;
}

/* Set or clear a flag. */
static inline void channel_flag(struct asyncore_channel *c, unsigned flag, bool value)
{
	c->flags = value ? c->flags | flag : c->flags & ~flag;
}

/* The constructor of every class: asyncore_dispatcher_init() for a type that must be
 * derived from `required`. */
int dispatcher_init(struct asyncore_dispatcher *d, const struct asyncore_dispatcher_type *type,
		    const struct asyncore_dispatcher_type *required, int fd,
		    struct asyncore_map *map);

/* Make the private half, in `map` (not counted there until it is added). */
int channel_new(struct asyncore_dispatcher *d, const struct methods *methods,
		struct asyncore_map *map);
/* Take it back, without any hook: for an init that failed. */
void channel_free(struct asyncore_channel *c);
/* The end: run every dispose of the class chain, then dealloc. */
void channel_dispose(struct asyncore_channel *c);

/* It is gone: if nobody holds it, dispose of it, soon. */
void channel_orphaned(struct asyncore_channel *c);

/* Its extra part; NULL for lack of memory. */
struct channel_extra *channel_extra(struct asyncore_channel *c);

static inline struct timer *channel_timers(const struct asyncore_channel *c)
{
	return c->extra != NULL ? c->extra->timers : NULL;
}

bool timers_hold(const struct asyncore_channel *c);

static inline bool channel_is_held(const struct asyncore_channel *c)
{
	return c->refs > 0 || c->holds > 0 || (channel_timers(c) != NULL && timers_hold(c));
}

static inline void channel_hold(struct asyncore_channel *c)
{
	c->holds++;
}

static inline void channel_release(struct asyncore_channel *c)
{
	c->holds--;
	if (channel_has(c, CHANNEL_GONE))
		channel_orphaned(c);
}

/* A handler returned a negative value to somebody other than the loop: remember what
 * must not be lost even if that somebody drops it. */
int channel_noted(struct asyncore_channel *c, int result);

/* Call a method on a channel, held meanwhile. */
static inline int channel_call(struct asyncore_channel *c,
			       int (*method)(struct asyncore_dispatcher *))
{
	int r;

	channel_hold(c);
	r = method(c->dispatcher);
	if (r < 0)
		r = channel_noted(c, r);
	channel_release(c);
	return r;
}

/* Gathered output goes out before anything that would show that it has not yet. */
void channel_send_gathered(struct asyncore_channel *c);

static inline void channel_flush(struct asyncore_channel *c)
{
	if (channel_has(c, CHANNEL_GATHERED))
		channel_send_gathered(c);
}

/* The library's own call of handle_close(): at most once in one dispatch. */
int channel_handle_close(struct asyncore_channel *c);

/* The descriptor is `fd` from now on, with these flags (CHANNEL_FILE ...); it is not in a
 * map yet. */
void channel_open(struct asyncore_channel *c, int fd, unsigned flags);
/* There is no descriptor any more; the one that was is the caller's, and returned. */
int channel_unopen(struct asyncore_channel *c);

/* half_close.c: recv() found the end of the peer's data; output of the class's own waits;
 * all of it was sent.  0 or what a handler raised. */
int channel_end_of_file(struct asyncore_channel *c);
void channel_output(struct asyncore_channel *c);
int channel_drained(struct asyncore_channel *c);

/* address.c */
const struct sockaddr *channel_addr(const struct asyncore_channel *c);
int channel_set_addr(struct asyncore_channel *c, const struct sockaddr *addr,
		     socklen_t addrlen);
int channel_repr_addr(const struct asyncore_channel *c, char *buffer, size_t size);

/* log.c: bytes as Python's repr shows them, in quotes; 4 * len + 3 bytes are enough. */
void repr_bytes(char *buffer, const char *bytes, size_t len);

/* log.c: "sending b'...'", for debugging. */
int channel_log_sending(struct asyncore_channel *c, const void *data, size_t len);

/* file.c: write to what is not a socket; a count or a negative errno. */
int file_write(int fd, const void *data, size_t len);
/* The same, of what a file has at `offset`. */
int file_send(int fd, int from, off_t offset, size_t len);

/* socket.c: one piece of output to the descriptor, without any implied event.
 * -EAGAIN when it takes nothing now. */
int channel_send(struct asyncore_channel *c, const void *data, size_t len);

#endif /* CHANNEL_H */
