/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * chat.h - the private half of an async_chat, shared by its input (chat_input.c) and its
 * output (chat_output.c).
 */

#ifndef CHAT_H
#define CHAT_H

#include "private_names.h"
#include "buffer.h"
#include "fifo.h"
#include "terminator.h"

#include <asynchat.h>
#include <stdint.h>

/* Input that is being worked off, in a handle_read() that runs.  A nested one takes over
 * what is left. */
struct chat_reading {
	unsigned char *start;		/* of the buffer; `data` may go back to here */
	unsigned char *data;
	size_t len;
	bool dropped;			/* discarded, or of a descriptor that is gone */
	uint16_t descriptor;		/* which one this came from */
	struct chat_reading *outer;
	/* Of the channel's class, looked up once. */
	int (*get)(struct async_chat *, struct async_chat_terminator *);
	int (*collect)(struct async_chat *, const void *, size_t);
	int (*found)(struct async_chat *);
};

/* What most channels never need. */
struct chat_extra {
	struct asyncore_buffer *held;	/* received, not delivered: an old terminator's part,
					 * or what a callback left when it raised */
	struct asyncore_buffer *incoming;	/* the default collector's */
	size_t incoming_limit;
	size_t high, low;		/* the output limit */
	size_t in_size, out_size;	/* 0: those of the class */
	char nothing[1];		/* what the default collector gives when it has none */
};

struct async_chat_state {
	struct terminator terminator;	/* len: also the bytes of a count to come */
	struct terminator *retired;	/* where an old one goes that is still in use */
	struct chat_reading *reading;
	struct fifo fifo;
	struct chat_extra *extra;
	uint16_t descriptor;		/* which one the input so far came from */
	uint32_t turn;			/* counts settings of the terminator, and pauses */
	uint8_t kind;			/* enum async_chat_terminator_kind */
	bool collecting;		/* collect_incoming_data() is running */
	bool waits_for_collector;	/* ... and input has to wait for it */
	bool paused;			/* input has to wait until the program says otherwise */
	bool catching_up;		/* what has waited comes before more is received */
	bool gather;			/* push() may wait while input is worked off */
	bool sending;			/* initiate_send() is running */
	bool limit_reached;
};

/* The state of an initialised chat, or NULL. */
static inline struct async_chat_state *state_of(const struct async_chat *chat)
{
	return chat != NULL && chat->dispatcher.channel != NULL ? chat->state : NULL;
}

/* The rest of the state, made at its first use; NULL for lack of memory. */
struct chat_extra *chat_extra(struct async_chat_state *state);

/* A slot of the class, found along the chain. */
const struct async_chat_type *chat_type_with(const struct async_chat *chat, size_t slot);
#define SLOT(chat, name) (chat_type_with(chat, offsetof(struct async_chat_type, name))->name)

/* chat_terminator.c: another terminator from now on.  0 or -ENOMEM; then it is as it was. */
int chat_set_terminator(struct async_chat_state *state, enum async_chat_terminator_kind kind,
			const void *bytes, size_t len);
/* Bytes that were taken for the beginning of a terminator are plain input again; they come
 * before what is held already.  0 or -ENOMEM. */
int chat_unmatch(struct async_chat_state *state);

/* chat_input.c: forget what was received and not delivered. */
void chat_forget_input(struct async_chat_state *state);

/* chat_output.c: has the output limit been reached, or left?  0 or what the slot raised. */
int chat_check_limit(struct async_chat *chat);

#endif /* CHAT_H */
