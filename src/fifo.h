/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fifo.h - the output queue of an async_chat.
 *
 * Entries are runs of copied bytes (what is pushed in a row is one run), references to
 * the program's memory, producers, and the close mark.  An entry that goes, on whatever
 * way, releases what it holds, once.
 */

#ifndef FIFO_H
#define FIFO_H

#include "private_names.h"
#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct async_chat_producer;

enum fifo_kind { FIFO_RUN, FIFO_REFERENCE, FIFO_PRODUCER, FIFO_CLOSE };

struct fifo_entry {
	struct fifo_entry *next;
	enum fifo_kind kind;
	int error;			/* what a producer raised, to be told in its turn */
	struct asyncore_buffer *run;
	/* A reference, or the last piece that a producer gave: what is left of it. */
	const unsigned char *data;
	size_t len;
	struct async_chat_producer *producer;
	bool waits;			/* the producer had nothing yet */
	bool dropped;			/* it went while its producer was being asked */
	bool resumed;			/* the producer was resumed while it was being asked */
	/* For the release of a reference. */
	const void *whole;
	size_t whole_len;
	void (*release)(const void *data, size_t len, void *arg);
	void *arg;
};

struct fifo {
	struct fifo_entry *first, *last;
	struct fifo_entry *asked;	/* whose producer is being asked */
	size_t entries;
	unsigned turn;			/* counts the heads that went */
	bool sending;			/* the bytes of the head are in somebody's hands */
	size_t bytes;			/* in runs, references and pieces */
};

/* Append; 0 or -ENOMEM.  Producer and reference are taken only on success. */
int fifo_push(struct fifo *f, const void *data, size_t len);
int fifo_push_reference(struct fifo *f, const void *data, size_t len,
			void (*release)(const void *, size_t, void *), void *arg);
int fifo_push_producer(struct fifo *f, struct async_chat_producer *producer);
int fifo_push_close(struct fifo *f);

/* Does the head have bytes to send?  If so, which. */
bool fifo_head(const struct fifo *f, const unsigned char **data, size_t *len);

/* `len` bytes of the head were sent; an entry without any left, other than a producer,
 * goes. */
void fifo_sent(struct fifo *f, size_t len);

/* The head goes. */
void fifo_pop(struct fifo *f);

/* The producer that was asked is gone: it emptied the queue itself. */
#define FIFO_GONE (-0x10002)

/* Ask the head, a producer, for its next piece.  1 when it has one, 0 when it was finished
 * and is gone, ASYNC_CHAT_NOT_YET, or the error it raised; then it is gone too. */
int fifo_more(struct fifo *f);

/* If the head has less than `wanted` bytes: put as many whole pieces of it and of the
 * entries behind it into one run as fit, asking producers, so that one send takes them
 * all.  Without memory it stays as it is. */
void fifo_gather(struct fifo *f, size_t wanted);

void fifo_clear(struct fifo *f);

#endif /* FIFO_H */
