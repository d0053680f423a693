/* SPDX-License-Identifier: BSD-3-Clause */

/* fifo.c - see fifo.h. */

#include "fifo.h"
#include "producer.h"

#include <asynchat.h>

#include <errno.h>
#include <stdlib.h>

/* --- entries --------------------------------------------------------------------- */

static struct fifo_entry *append(struct fifo *f, enum fifo_kind kind)
{
	struct fifo_entry *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->kind = kind;
	if (f->last != NULL)
		f->last->next = e;
	else
		f->first = e;
	f->last = e;
	f->entries++;
	return e;
}

static size_t entry_len(const struct fifo_entry *e)
{
	return e->kind == FIFO_RUN ? buffer_len(e->run) : e->len;
}

/* Give back what an entry holds, when it stands in the queue no more: a release may do
 * anything to the queue. */
static void free_entry(struct fifo *f, struct fifo_entry *e)
{
	if (f->asked == e) {
		e->dropped = true;	/* ask() does the rest */
		return;
	}
	buffer_free(&e->run);
	if (e->kind == FIFO_PRODUCER)
		async_chat_producer_release(e->producer);
	if (e->kind == FIFO_REFERENCE && e->release != NULL)
		e->release(e->whole, e->whole_len, e->arg);
	free(e);
}

void fifo_pop(struct fifo *f)
{
	struct fifo_entry *e = f->first;

	f->first = e->next;
	if (f->first == NULL)
		f->last = NULL;
	f->entries--;
	f->turn++;
	f->bytes -= entry_len(e);
	free_entry(f, e);
}

void fifo_clear(struct fifo *f)
{
	while (f->first != NULL)
		fifo_pop(f);
}

/* --- in -------------------------------------------------------------------------- */

int fifo_push(struct fifo *f, const void *data, size_t len)
{
	struct asyncore_buffer *run = NULL;

	/* What is being sent must not move. */
	if (f->last != NULL && f->last->kind == FIFO_RUN &&
	    !(f->sending && f->last == f->first)) {
		if (buffer_append(&f->last->run, data, len) < 0)
			return -ENOMEM;
	} else {
		if (buffer_append(&run, data, len) < 0)
			return -ENOMEM;
		if (append(f, FIFO_RUN) == NULL) {
			buffer_free(&run);
			return -ENOMEM;
		}
		f->last->run = run;
	}
	f->bytes += len;
	return 0;
}

int fifo_push_reference(struct fifo *f, const void *data, size_t len,
			void (*release)(const void *, size_t, void *), void *arg)
{
	struct fifo_entry *e = append(f, FIFO_REFERENCE);

	if (e == NULL)
		return -ENOMEM;
	e->data = e->whole = data;
	e->len = e->whole_len = len;
	e->release = release;
	e->arg = arg;
	f->bytes += len;
	return 0;
}

int fifo_push_producer(struct fifo *f, struct async_chat_producer *producer)
{
	struct fifo_entry *e = append(f, FIFO_PRODUCER);

	if (e == NULL)
		return -ENOMEM;
	e->producer = producer;
	return 0;
}

int fifo_push_close(struct fifo *f)
{
	return append(f, FIFO_CLOSE) != NULL ? 0 : -ENOMEM;
}

/* --- out ------------------------------------------------------------------------- */

bool fifo_head(const struct fifo *f, const unsigned char **data, size_t *len)
{
	const struct fifo_entry *e = f->first;

	if (e == NULL || entry_len(e) == 0)
		return false;
	*data = e->kind == FIFO_RUN ? buffer_bytes(e->run) : e->data;
	*len = entry_len(e);
	return true;
}

void fifo_sent(struct fifo *f, size_t len)
{
	struct fifo_entry *e = f->first;

	f->bytes -= len;
	if (e->kind == FIFO_RUN) {
		buffer_drain(&e->run, len);
	} else {
		e->data += len;
		e->len -= len;
	}
	if (entry_len(e) == 0 && e->kind != FIFO_PRODUCER)
		fifo_pop(f);
}

/* Ask a producer: 1 with a piece in e->data, 0 when it is finished, or negative. */
static int ask(struct fifo *f, struct fifo_entry *e)
{
	const void *data = NULL;
	size_t len = 0;
	int r;

	if (e->error != 0)
		return e->error;
	e->waits = e->resumed = false;
	f->asked = e;
	r = async_chat_producer_more(e->producer, &data, &len);
	f->asked = NULL;
	if (e->dropped) {
		free_entry(f, e);
		return FIFO_GONE;
	}
	if (r > 0 && len > 0) {
		e->data = data;
		e->len = len;
		f->bytes += len;
		return 1;
	}
	if (r == ASYNC_CHAT_NOT_YET || r == -EAGAIN) {
		e->waits = !e->resumed;
		return ASYNC_CHAT_NOT_YET;
	}
	if (r < 0)
		e->error = r;
	return r > 0 ? 0 : r;
}

int fifo_more(struct fifo *f)
{
	struct fifo_entry *e = f->first;
	int r = ask(f, e);

	if (r != 1 && r != ASYNC_CHAT_NOT_YET && r != FIFO_GONE)
		fifo_pop(f);
	return r;
}

static bool is_file(const struct fifo_entry *e)
{
	return e->kind == FIFO_PRODUCER && file_producer_is(e->producer);
}

static void drop_second(struct fifo *f)
{
	struct fifo_entry *e = f->first->next;

	f->first->next = e->next;
	if (f->last == e)
		f->last = f->first;
	f->entries--;
	free_entry(f, e);
}

/* Move a whole piece of the second entry into the run at the head.  False when there is
 * nothing (more) to move. */
static bool absorb(struct fifo *f, size_t room)
{
	struct fifo_entry *run = f->first, *e = run->next;
	const unsigned turn = f->turn;
	size_t len;
	int r;

	/* A reference is the program's memory, and not copied; a file comes in large pieces. */
	if (e == NULL || (e->kind != FIFO_RUN && e->kind != FIFO_PRODUCER) || is_file(e))
		return false;
	if (e->kind == FIFO_PRODUCER && e->len == 0) {
		r = e->waits ? ASYNC_CHAT_NOT_YET : ask(f, e);
		if (r < 0)
			return false;
		if (r == 0) {
			drop_second(f);
			return f->turn == turn;
		}
	}
	len = entry_len(e);
	if (len > room ||
	    buffer_append(&run->run, e->kind == FIFO_RUN ? buffer_bytes(e->run) : e->data, len) < 0)
		return false;
	e->len = 0;
	if (e->kind != FIFO_PRODUCER)
		drop_second(f);
	return f->turn == turn;
}

void fifo_gather(struct fifo *f, size_t wanted)
{
	struct fifo_entry *run = f->first;
	const unsigned turn = f->turn;

	if (run == NULL || entry_len(run) >= wanted || run->waits || is_file(run) ||
	    (run->kind != FIFO_PRODUCER && (run->kind != FIFO_RUN || run->next == NULL)))
		return;
	if (run->kind != FIFO_RUN) {
		run = calloc(1, sizeof *run);
		if (run == NULL)
			return;
		run->kind = FIFO_RUN;
		run->next = f->first;
		f->first = run;
		f->entries++;
	}
	while (buffer_len(run->run) < wanted && absorb(f, wanted - buffer_len(run->run)))
		;
	if (f->turn == turn && run->run == NULL)
		fifo_pop(f);	/* there was nothing for it */
}
