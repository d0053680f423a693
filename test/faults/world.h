/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * world.h - what the scenarios of the failure harness are made of.
 *
 * A scenario does a piece of work on w->map while one of its calls fails.  It returns true
 * when the work is done all the same, with the right bytes in the right places; if it is
 * not, something must have been reported (see `reported` ...).  What peers do never fails.
 */

#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include <asynchat.h>
#include <asyncore_event.h>

enum { PEERS = 64, SINKS = 64 };

/* What became of a channel; outlives it. */
struct sink {
	char got[16384];		/* the first that it read, or collected */
	size_t len;			/* of all that it read */
	int lines, connects, closes, writes, expts, timeouts, eofs, limits, accepts;
	bool want_write, echo;
	struct node *node;		/* NULL when it was disposed of */
};

/* The other end of a channel. */
struct peer {
	int fd;
	char got[16384];
	size_t len;
	bool end;
};

struct world {
	struct asyncore_map *map;
	struct event_base *base;	/* the application's, if the map is on one */
	struct event *limit;		/* ends a turn of that base */
	bool use_poll, reinit;
	int reported;			/* errors returned, or given to handle_error() */
	int closed;			/* handle_close() */
	int logged;			/* lines of the type "error" */
	int gone;			/* what a peer could not give to a channel any more */
	bool all_concerned;		/* the failure may concern the bystander, too */
	bool spun;			/* pass after pass, and nothing comes of it */
	int passes, waits;
	long hits;			/* failures so far, half-way through the waits */
	struct sink sink[SINKS];
	int nsinks;
	struct peer peer[PEERS];
	int npeers;
	int counter[8];			/* the scenario's */
};
extern struct world *world;		/* the one there is, for handlers */

struct scenario {
	const char *name;
	bool (*run)(struct world *w);
	const char *backend;		/* attached to a base with this method */
	bool use_poll;
};
extern const struct scenario scenarios[];
extern const int nscenarios;

double now(void);

/* One pass; false when there is no use in more of them. */
bool turn(struct world *w);
void begin_turns(struct world *w);
#define AWAIT(w, condition) \
	for (begin_turns(w); !(condition) && turn(w); ) \
		;

/* Note an error; true if there is none. */
bool fine(int result);

/* Sockets of which the second is a peer's: its index.  Real ones, in any case. */
int unix_peer(struct world *w, int *fd);
int tcp_peer(struct world *w, int *fd);
/* A real descriptor as a peer. */
int peer_with(struct world *w, int fd);
void peer_put(struct world *w, int peer, const void *data, size_t len);
/* All that came so far: is it this?  (A longer one than `got` is compared by length.) */
bool peer_got(struct world *w, int peer, const void *data, size_t len);
size_t peer_len(struct world *w, int peer);
bool peer_end(struct world *w, int peer);
void peer_close(struct world *w, int peer);

#endif /* WORLD_H */
