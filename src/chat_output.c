/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * chat_output.c - the output of async_chat: what is queued, and how it is sent.
 *
 * One send takes at most ac_out_buffer_size bytes, of as many entries of the queue as fit.
 * push() sends at once; while the channel's own input is worked off it gathers instead, and
 * chat_flush() sends.
 */

#include "chat.h"
#include "hooks.h"
#include "producer.h"

#include <errno.h>

static size_t send_size(const struct async_chat *chat)
{
	const struct chat_extra *extra = chat->state->extra;

	return extra != NULL && extra->out_size > 0 ? extra->out_size
	       : chat->dispatcher.channel->methods->slot.ac_out_buffer_size;
}

/* Nothing can be sent before a producer is ready. */
static bool waits(const struct async_chat_state *state)
{
	const struct fifo_entry *head = state->fifo.first;

	return head != NULL && head->waits && head->len == 0;
}

int async_chat_writable(struct asyncore_dispatcher *d)
{
	struct async_chat_state *state = state_of((struct async_chat *)d);

	if (state == NULL)
		return -EINVAL;
	return !channel_has(d->channel, CHANNEL_CONNECTED) ||
	       (state->fifo.first != NULL && !waits(state));
}

/* --- the output limit --------------------------------------------------------------- */

int chat_check_limit(struct async_chat *chat)
{
	struct async_chat_state *state = chat->state;
	const struct chat_extra *extra = state->extra;
	bool reached = state->limit_reached;
	int r;

	if (extra == NULL || (extra->high == 0 && !reached))
		return 0;
	if (extra->high > 0 && state->fifo.bytes > extra->high)
		reached = true;
	else if (state->fifo.bytes <= extra->low)
		reached = false;
	if (reached == state->limit_reached)
		return 0;
	state->limit_reached = reached;
	r = SLOT(chat, output_limit)(chat, reached);
	return r < 0 ? channel_noted(chat->dispatcher.channel, r) : 0;
}

int async_chat_set_output_limit(struct async_chat *chat, size_t high, size_t low)
{
	struct async_chat_state *state = state_of(chat);
	struct chat_extra *extra;

	if (state == NULL || (high > 0 && low > high))
		return -EINVAL;
	extra = chat_extra(state);
	if (extra == NULL)
		return -ENOMEM;
	extra->high = high;
	extra->low = low;
	return chat_check_limit(chat);
}

/* --- sending ------------------------------------------------------------------------ */

/* May the kernel move the bytes of the producer at the head?  Only where the channel's
 * send is the library's own. */
static bool can_move(const struct async_chat *chat)
{
	const struct asyncore_channel *c = chat->dispatcher.channel;
	const struct fifo_entry *head = chat->state->fifo.first;

	return head->kind == FIFO_PRODUCER && head->len == 0 && head->error == 0 &&
	       c->methods->plain_send &&
	       file_producer_is(head->producer);
}

/* As CPython, whoever pushed does not hear of a send that failed; handle_error() does. */
static int sending_failed(struct async_chat *chat, int error)
{
	if (error == -EAGAIN || error == ASYNCORE_EXIT_NOW)
		return error == -EAGAIN ? 0 : error;
	return error_handle(chat->dispatcher.channel, error, "initiate_send");
}

/* What sendfile(2) said: the bytes that went out, or 0, or what was raised.  Of its errors
 * only those of a connection that is gone come here; for others the file is read. */
static int moved(struct asyncore_channel *c, int n)
{
	int r;

	if (n > 0 && channel_has(c, CHANNEL_IDLE))
		timer_channel_active(c);
	if (n >= 0 || n == -EAGAIN)
		return n > 0 ? n : 0;
	r = channel_handle_close(c);
	return r < 0 ? r : 0;
}

/*
 * One send.  Returns the bytes that went out; 0 when none could, or nothing is to be sent
 * any more; or what was raised.  *wanted: the bytes that were to go out.
 */
static int send_once(struct async_chat *chat, size_t *wanted)
{
	struct asyncore_dispatcher *d = &chat->dispatcher;
	struct fifo *fifo = &chat->state->fifo;
	const size_t size = send_size(chat);
	const unsigned char *data;
	unsigned turn;
	size_t len;
	int n, r;

	*wanted = 0;
	while (fifo->first != NULL && channel_has(d->channel, CHANNEL_CONNECTED)) {
		if (fifo->first->kind == FIFO_CLOSE) {
			fifo_pop(fifo);
			r = channel_handle_close(d->channel);
			return r < 0 ? r : 0;
		}
		if (can_move(chat)) {
			n = file_producer_send(fifo->first->producer, d->channel->fd, size);
			if (n == 0) {
				fifo_pop(fifo);	/* the end of the file */
				continue;
			}
			*wanted = n > 0 ? (size_t)n : 1;
			if (n != -EOPNOTSUPP)
				return moved(d->channel, n);
		}
		fifo_gather(fifo, size);
		if (!fifo_head(fifo, &data, &len)) {
			if (fifo->first == NULL || fifo->first->kind != FIFO_PRODUCER)
				continue;
			r = waits(chat->state) ? ASYNC_CHAT_NOT_YET : fifo_more(fifo);
			if (r == ASYNC_CHAT_NOT_YET)
				return 0;
			if (r < 0 && r != FIFO_GONE)
				return ASYNCORE_RAISE(d, r);
			continue;
		}
		*wanted = len < size ? len : size;
		turn = fifo->turn;
		fifo->sending = true;
		n = asyncore_send(d, data, *wanted);
		fifo->sending = false;
		/* An overridden send may say too much, or empty the queue. */
		if (n > 0 && (size_t)n > *wanted)
			n = (int)*wanted;
		if (n > 0 && fifo->turn == turn)
			fifo_sent(fifo, (size_t)n);
		return n < 0 ? sending_failed(chat, n) : n;
	}
	return 0;
}

/* Send once, or (all) until nothing is left or a send falls short. */
static int send_queued(struct async_chat *chat, bool all)
{
	struct async_chat_state *state = chat->state;
	struct asyncore_channel *c = chat->dispatcher.channel;
	const bool was_writable = async_chat_writable(&chat->dispatcher) > 0;
	size_t wanted;
	int n, r;

	/* handle_close(), a producer or a release may come back here. */
	if (state->sending)
		return 0;
	c->flags &= ~CHANNEL_GATHERED;
	channel_hold(c);
	state->sending = true;
	do {
		n = send_once(chat, &wanted);
	} while (all && n > 0 && (size_t)n == wanted && c->fd >= 0);
	state->sending = false;
	r = chat_check_limit(chat);
	if (state->fifo.first == NULL && r >= 0)
		r = channel_drained(c);
	if (was_writable != (async_chat_writable(&chat->dispatcher) > 0) || !was_writable)
		map_touch(c);
	channel_release(c);
	return n < 0 ? n : r;
}

int async_chat_initiate_send(struct asyncore_dispatcher *d)
{
	struct async_chat *chat = (struct async_chat *)d;

	if (state_of(chat) == NULL)
		return -EINVAL;
	return send_queued(chat, false);
}

int async_chat_handle_write(struct asyncore_dispatcher *d)
{
	return asyncore_initiate_send(d);
}

int async_chat_handle_close(struct asyncore_dispatcher *d)
{
	return asyncore_close(d);
}

int chat_flush(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = d->channel;
	struct fifo *fifo = &((struct async_chat *)d)->state->fifo;
	size_t before;
	int r;

	if (!channel_has(c, CHANNEL_GATHERED))
		return 0;
	c->flags &= ~CHANNEL_GATHERED;
	if (c->methods->slot.initiate_send == async_chat_initiate_send)
		return send_queued((struct async_chat *)d, true);
	/* A class that sends in its own way: as long as that gets on. */
	do {
		before = fifo->bytes + fifo->entries;
		r = asyncore_initiate_send(d);
	} while (r >= 0 && fifo->first != NULL && fifo->bytes + fifo->entries < before &&
		 c->fd >= 0);
	return r;
}

/* --- queueing ----------------------------------------------------------------------- */

/* Something was queued: send it, or gather it while the channel's input is worked off. */
static int queued(struct async_chat *chat)
{
	struct async_chat_state *state = chat->state;
	struct asyncore_dispatcher *d = &chat->dispatcher;
	int r;

	map_touch(d->channel);
	if (state->fifo.first != NULL)
		channel_output(d->channel);
	r = chat_check_limit(chat);
	if (r < 0)
		return r;
	if (state->gather && state->reading != NULL) {
		d->channel->flags |= CHANNEL_GATHERED;
		return 0;
	}
	return asyncore_initiate_send(d);
}

int async_chat_push(struct async_chat *chat, const void *data, size_t len)
{
	struct async_chat_state *state = state_of(chat);
	int r;

	if (state == NULL || (data == NULL && len > 0))
		return -EINVAL;
	r = len > 0 ? fifo_push(&state->fifo, data, len) : 0;
	return r < 0 ? ASYNCORE_RAISE(&chat->dispatcher, r) : queued(chat);
}

int async_chat_push_reference(struct async_chat *chat, const void *data, size_t len,
			      void (*release)(const void *data, size_t len, void *arg), void *arg)
{
	struct async_chat_state *state = state_of(chat);
	int r;

	if (state == NULL || (data == NULL && len > 0))
		r = -EINVAL;
	else if (len > 0 && fifo_push_reference(&state->fifo, data, len, release, arg) == 0)
		return queued(chat);
	else
		r = len > 0 ? ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM) : 0;
	if (release != NULL)
		release(data, len, arg);
	return r < 0 ? r : queued(chat);
}

int async_chat_push_with_producer(struct async_chat *chat, struct async_chat_producer *producer)
{
	struct async_chat_state *state = state_of(chat);
	int r = -EINVAL;

	if (state != NULL && producer != NULL && producer->type != NULL &&
	    producer->type->more != NULL) {
		r = fifo_push_producer(&state->fifo, producer);
		if (r == 0)
			return queued(chat);
		ASYNCORE_RAISE(&chat->dispatcher, r);
	}
	async_chat_producer_release(producer);
	return r;
}

int async_chat_resume(struct async_chat *chat)
{
	struct async_chat_state *state = state_of(chat);
	struct fifo_entry *e;
	bool any = false;

	if (state == NULL)
		return -EINVAL;
	for (e = state->fifo.first; e != NULL; e = e->next) {
		any = any || e->waits;
		e->waits = false;
		e->resumed = true;
	}
	return any ? queued(chat) : 0;
}

int async_chat_close_when_done(struct async_chat *chat)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL)
		return -EINVAL;
	if (fifo_push_close(&state->fifo) < 0)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	channel_output(chat->dispatcher.channel);
	map_touch(chat->dispatcher.channel);
	return 0;
}

size_t async_chat_output_entries(const struct async_chat *chat)
{
	const struct async_chat_state *state = state_of(chat);

	return state != NULL ? state->fifo.entries : 0;
}

size_t async_chat_output_bytes(const struct async_chat *chat)
{
	const struct async_chat_state *state = state_of(chat);

	return state != NULL ? state->fifo.bytes : 0;
}
