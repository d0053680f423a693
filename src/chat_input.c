/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * chat_input.c - the input machine of async_chat.
 *
 * Data is received into a buffer of the map and handed to collect_incoming_data() from
 * there.  What CPython keeps in ac_in_buffer from one read to the next, the beginning of a
 * terminator, is here only a number (terminator.matched): those bytes are known.  When it
 * turns out that they were data after all, they are put in front of what was received
 * next, where room was left for them, so that the callbacks see the pieces that CPython's
 * see.
 *
 * handle_read() may be nested, when a callback runs the loop: the inner one takes over what
 * the outer one has not worked off yet.
 */

#include "chat.h"
#include "error.h"
#include "hooks.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * Data is valid during collect_incoming_data() and not longer.  AddressSanitizer is told
 * so, and finds programs that keep the pointer.
 */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define FORBID(data, len) ASAN_POISON_MEMORY_REGION(data, len)
#define ALLOW(data, len) ASAN_UNPOISON_MEMORY_REGION(data, len)
#else
#define FORBID(data, len) ((void)0)
#define ALLOW(data, len) ((void)0)
#endif

/* --- callbacks --------------------------------------------------------------------- */

/* A class that overrides get_terminator() has its say before every piece of input. */
static int ask_terminator(struct async_chat *chat, const struct chat_reading *in)
{
	struct async_chat_state *state = chat->state;
	struct async_chat_terminator now = { ASYNC_CHAT_NONE, NULL, 0 }, old;
	int r;

	if (in->get == async_chat_get_terminator_default)
		return 0;
	r = in->get(chat, &now);
	if (r < 0)
		return r;
	if (now.kind > ASYNC_CHAT_COUNT || (now.kind == ASYNC_CHAT_BYTES && now.len > 0 &&
					    now.bytes == NULL))
		return ASYNCORE_RAISE(&chat->dispatcher, -EINVAL);
	if (now.len == 0)
		now.kind = ASYNC_CHAT_NONE;
	async_chat_get_terminator_default(chat, &old);
	if (now.kind == old.kind && now.len == old.len &&
	    (now.kind != ASYNC_CHAT_BYTES || memcmp(now.bytes, old.bytes, now.len) == 0))
		return 0;
	return chat_set_terminator(state, now.kind, now.bytes, now.len);
}

/* What stops the machine beside an error: the channel was closed, or has another
 * descriptor now. */
static bool goes_on(const struct async_chat *chat, const struct chat_reading *in)
{
	const struct asyncore_channel *c = chat->dispatcher.channel;

	return c->fd >= 0 && c->opens == in->descriptor;
}

/* A callback raised, or let input wait for it. */
static COLD int called_back(struct async_chat *chat, int result)
{
	struct async_chat_state *state = chat->state;

	if (state->waits_for_collector) {
		state->waits_for_collector = false;
		asyncore_touch(&chat->dispatcher);
	}
	if (result < 0 && result != -EAGAIN)
		return channel_noted(chat->dispatcher.channel, result);
	return 0;
}

static inline int collect(struct async_chat *chat, struct chat_reading *in,
			  const unsigned char *data, size_t len)
{
	struct async_chat_state *state = chat->state;
	int r;

	/* What was discarded before is no concern of this piece. */
	in->dropped = false;
	state->collecting = true;
	r = in->collect(chat, data, len);
	state->collecting = false;
	if (r < 0 || state->waits_for_collector)
		r = called_back(chat, r);
	if (r >= 0)
		FORBID(data, len);
	return r;
}

static inline int found(struct async_chat *chat, const struct chat_reading *in)
{
	int r = in->found(chat);

	return r < 0 ? called_back(chat, r) : 0;
}

/* The same for a map that is watched. */
static int traced_collect(struct async_chat *chat, const void *data, size_t len)
{
	struct asyncore_channel *c = chat->dispatcher.channel;
	struct traced_call call;

	trace_begin(&call, c->map, c);
	return trace_end(&call, "collect_incoming_data",
			 SLOT(chat, collect_incoming_data)(chat, data, len));
}

static int traced_found(struct async_chat *chat)
{
	struct asyncore_channel *c = chat->dispatcher.channel;
	struct traced_call call;

	trace_begin(&call, c->map, c);
	return trace_end(&call, "found_terminator", SLOT(chat, found_terminator)(chat));
}

/* --- the machine ------------------------------------------------------------------- */

static unsigned char *advance(struct chat_reading *in, size_t len)
{
	unsigned char *data = in->data;

	in->data += len;
	in->len -= len;
	return data;
}

/* Input of the next read. */
static int hold(struct async_chat_state *state, const unsigned char *data, size_t len)
{
	struct chat_extra *extra;

	if (len == 0)
		return 0;
	extra = chat_extra(state);
	return extra != NULL ? buffer_append(&extra->held, data, len) : -ENOMEM;
}

/* A collector that raised gets its piece again, as in CPython, which takes the piece away
 * only afterwards; unless it was discarded, or the descriptor is another. */
static void retreat(struct asyncore_channel *c, struct chat_reading *in, size_t len)
{
	if (in->dropped || c->fd < 0)
		return;
	in->data -= len;
	in->len += len;
}

static int collect_all(struct async_chat *chat, struct chat_reading *in, size_t len)
{
	int r = collect(chat, in, advance(in, len), len);

	if (r < 0)
		retreat(chat->dispatcher.channel, in, len);
	return r;
}

static int collect_counted(struct async_chat *chat, struct chat_reading *in, bool *was_found)
{
	struct async_chat_state *state = chat->state;
	const size_t count = state->terminator.len, len = in->len;
	int r = collect_all(chat, in, len < count ? len : count);

	if (r < 0 || !goes_on(chat, in))
		return r;
	if (len < count) {
		/* As CPython: what was collected counts, also for a count set just now. */
		if (state->kind != ASYNC_CHAT_COUNT)
			return 0;
		return chat_set_terminator(state, ASYNC_CHAT_COUNT, NULL,
			   state->terminator.len > len ? state->terminator.len - len : 0);
	}
	r = chat_set_terminator(state, ASYNC_CHAT_NONE, NULL, 0);
	*was_found = true;
	return r < 0 ? r : found(chat, in);
}

/*
 * A piece of `len` bytes in front of the rest of the input, of which `taken` are taken.
 * It begins with what was matched before, which is not in the buffer yet, but for which
 * there is room before `start`.
 */
static int collect_matched(struct async_chat *chat, struct chat_reading *in,
			   unsigned char *start, size_t matched, size_t len, size_t taken)
{
	struct async_chat_state *state = chat->state;
	struct terminator old = { 0, 0, NULL }, *t;
	int r;

	ALLOW(start - matched, matched);
	if (matched > 0)
		memcpy(start - matched, terminator_bytes(&state->terminator),
		       matched < len ? matched : len);
	state->retired = &old;
	r = collect(chat, in, start - matched, len);
	state->retired = NULL;

	if (r < 0 && !in->dropped && chat->dispatcher.channel->fd >= 0) {
		/* All of it is plain input again, whatever it was matched with. */
		t = old.len > 0 ? &old : &state->terminator;
		if (matched > 0)
			memcpy(start - matched, terminator_bytes(t), matched);
		state->terminator.matched = 0;
		if (state->extra != NULL)
			buffer_free(&state->extra->held);
		retreat(chat->dispatcher.channel, in, taken + matched);
	}
	terminator_free(&old);
	return r;
}

static int collect_terminated(struct async_chat *chat, struct chat_reading *in, bool *was_found)
{
	struct terminator *t = &chat->state->terminator;
	const size_t matched = t->matched, terminator_len = t->len;
	const size_t end = terminator_search(t, in->data, in->len);
	const size_t taken = end > 0 ? end : in->len;
	/* Without the terminator, or what may become one. */
	const size_t len = matched + taken - (end > 0 ? terminator_len : t->matched);
	unsigned char *start = advance(in, taken);
	int r = 0;

	if (len > 0)
		r = collect_matched(chat, in, start, matched, len, taken);
	if (r < 0 || end == 0 || !goes_on(chat, in))
		return r;
	*was_found = true;
	return found(chat, in);
}

/* Where the terminator stands in the input, if the first place that looks like it is it. */
static const unsigned char *find_line(const unsigned char *bytes, size_t terminator_len,
				      const unsigned char *data, size_t len)
{
	const unsigned char *first = memchr(data, bytes[0], len);

	if (first == NULL || (size_t)(data + len - first) < terminator_len)
		return NULL;
	if (terminator_len > 1 && first[1] != bytes[1])
		return NULL;
	if (terminator_len > 2 && memcmp(first + 2, bytes + 2, terminator_len - 2) != 0)
		return NULL;
	return first;
}

/*
 * The short way for what most input is: whole pieces with their terminators behind them.
 * It stops where anything else begins, which is left to collect_terminated(); true if it
 * did something.
 */
static bool collect_lines(struct async_chat *chat, struct chat_reading *in, bool *was_found,
			  int *result)
{
	struct async_chat_state *state = chat->state;
	/* All of this turn. */
	const uint32_t turn = state->turn;
	const unsigned char *const bytes = terminator_bytes(&state->terminator);
	const size_t terminator_len = state->terminator.len;
	const unsigned char *line_end;
	size_t len;
	int r = 0;

	/* A nested pass leaves nothing of the input here. */
	while (in->len > 0 && state->turn == turn && r >= 0 && goes_on(chat, in)) {
		unsigned char *line = in->data;

		line_end = find_line(bytes, terminator_len, line, in->len);
		if (line_end == NULL)
			break;
		*was_found = true;
		len = (size_t)(line_end - line);
		advance(in, len + terminator_len);
		if (len > 0) {
			r = collect(chat, in, line, len);
			if (r < 0)
				retreat(chat->dispatcher.channel, in, len + terminator_len);
			if (r < 0 || !goes_on(chat, in))
				break;
		}
		r = found(chat, in);
	}
	*result = r;
	return *was_found;
}

/*
 * What is held comes before the rest of the input: what was matched of a terminator that
 * is another one now, or what a nested handle_read() left.  The former has room in front; the
 * latter may have none, but then it is all that there is (the nested one took the rest of the
 * input over), and becomes `*own`.
 */
static void take_held(struct async_chat_state *state, struct chat_reading *in,
		      struct asyncore_buffer **own)
{
	struct asyncore_buffer *held = state->extra != NULL ? state->extra->held : NULL;
	const size_t len = buffer_len(held);

	if (len == 0)
		return;
	if (len <= (size_t)(in->data - in->start)) {
		in->data -= len;
		in->len += len;
		ALLOW(in->data, len);
		memcpy(in->data, buffer_bytes(held), len);
		buffer_free(&state->extra->held);
		return;
	}
	if (*own != NULL)
		ALLOW((*own)->bytes, (*own)->size);
	buffer_free(own);
	*own = held;
	state->extra->held = NULL;
	in->start = in->data = held->bytes + held->start;
	in->len = len;
}

/* One piece of input, and what follows from it. */
static int work_piece(struct async_chat *chat, struct chat_reading *in,
		      struct asyncore_buffer **own, bool *was_found)
{
	struct async_chat_state *state = chat->state;
	int r = ask_terminator(chat, in);

	*was_found = false;
	if (r < 0 || !goes_on(chat, in))
		return r;
	/* No room for what was matched?  Then it is plain input, to be searched again. */
	if (state->terminator.matched > (size_t)(in->data - in->start) && chat_unmatch(state) < 0)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	take_held(state, in, own);
	if (in->len == 0)
		return 0;
	switch (state->kind) {
	case ASYNC_CHAT_BYTES:
		if (state->terminator.matched == 0 &&
		    in->get == async_chat_get_terminator_default &&
		    collect_lines(chat, in, was_found, &r))
			return r;
		return collect_terminated(chat, in, was_found);
	case ASYNC_CHAT_COUNT:
		return collect_counted(chat, in, was_found);
	default:
		return collect_all(chat, in, in->len);
	}
}

/* What a callback that raised left: input of the next read.  If it cannot be kept, that is
 * the error, and not what was raised; and on the way out of the loop, where nobody else asks,
 * handle_error() hears of it here. */
static int hold_rest(struct async_chat *chat, const struct chat_reading *in, int result)
{
	if (hold(chat->state, in->data, in->len) == 0)
		return result;
	if (result != ASYNCORE_EXIT_NOW)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	error_handle(chat->dispatcher.channel, ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM),
		     "handle_read");
	return result;
}

/* Is something there that came before the rest of the input? */
static bool has_more(const struct async_chat_state *state)
{
	return state->terminator.matched > 0 ||
	       (state->extra != NULL && state->extra->held != NULL);
}

/* Work the input off.  Returns 0 or what a callback raised; then some may be left, which is
 * input of the next read. */
static int work_off(struct async_chat *chat, struct chat_reading *in)
{
	struct async_chat_state *state = chat->state;
	struct asyncore_buffer *own = NULL;
	/* found_terminator() may have run a pass, or set another terminator. */
	bool was_found = true;
	int r = 0;

	while (r >= 0 && goes_on(chat, in) && !state->paused &&
	       (in->len > 0 || (was_found && has_more(state))))
		r = work_piece(chat, in, &own, &was_found);

	/* A nested pass may have input of a new descriptor by now. */
	if (!goes_on(chat, in)) {
		in->len = 0;
		if (state->descriptor == in->descriptor)
			chat_forget_input(state);
	}
	r = hold_rest(chat, in, r);
	if (own != NULL)
		ALLOW(own->bytes, own->size);
	buffer_free(&own);
	return r;
}

void chat_forget_input(struct async_chat_state *state)
{
	struct chat_reading *in;

	for (in = state->reading; in != NULL; in = in->outer) {
		in->len = 0;
		in->dropped = true;
	}
	state->terminator.matched = 0;
	if (state->extra != NULL)
		buffer_free(&state->extra->held);
}

/* --- reading ----------------------------------------------------------------------- */

int async_chat_readable(struct asyncore_dispatcher *d)
{
	struct async_chat_state *state = state_of((struct async_chat *)d);

	return state != NULL ? !state->waits_for_collector && !state->paused : -EINVAL;
}

/* Bytes that come before what is received next: held back, and not worked off by the
 * handle_read() that this one is nested in.  Moves them to `to`, if there is one. */
static size_t take_over(struct async_chat_state *state, unsigned char *to)
{
	struct chat_reading *outer = state->reading;
	size_t held = state->extra != NULL ? buffer_len(state->extra->held) : 0;
	size_t left = outer != NULL ? outer->len : 0;

	if (to != NULL && held > 0) {
		memcpy(to, buffer_bytes(state->extra->held), held);
		buffer_free(&state->extra->held);
	}
	if (to != NULL && left > 0)
		memcpy(to + held, advance(outer, left), left);
	return held + left;
}

/*
 * Work `n` received bytes off, behind what was there already.  The buffer has `room` bytes
 * in front of them, for that and for what was matched of the terminator.
 */
static int digest(struct async_chat *chat, unsigned char *buffer, size_t room, size_t n)
{
	struct async_chat_state *state = chat->state;
	const size_t before = take_over(state, NULL);
	struct chat_reading in = {
		.start = buffer, .data = buffer + room - before, .len = before + n,
		.descriptor = chat->dispatcher.channel->opens,
		.outer = state->reading,
		.get = SLOT(chat, get_terminator),
		.collect = SLOT(chat, collect_incoming_data),
		.found = SLOT(chat, found_terminator),
	};
	int r;

	take_over(state, buffer + room - before);
	if (is_watched(&chat->dispatcher.channel->map->watchers)) {
		in.collect = traced_collect;
		in.found = traced_found;
	}
	state->reading = &in;
	r = work_off(chat, &in);
	state->reading = in.outer;
	return r;
}

/* The room that is needed in front of what is received next. */
static size_t room_before(struct async_chat_state *state)
{
	return state->terminator.matched + take_over(state, NULL);
}

/* recv() was overridden and ran the loop: more room is needed now than there is. */
static COLD int digest_late(struct async_chat *chat, const unsigned char *data, size_t n)
{
	const size_t room = room_before(chat->state);
	unsigned char *buffer = malloc(room + n);
	int r;

	if (buffer == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	memcpy(buffer + room, data, n);
	r = digest(chat, buffer, room, n);
	ALLOW(buffer, room + n);
	free(buffer);
	return r;
}

static int receive(struct async_chat *chat, size_t size)
{
	struct async_chat_state *state = chat->state;
	struct asyncore_channel *c = chat->dispatcher.channel;
	struct asyncore_map *map = c->map;
	size_t room = room_before(state), have;
	unsigned char *buffer = map_borrow_buffer(map, room + size, &have);
	int n, r;

	if (buffer == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	n = r = state->catching_up ? 0 : asyncore_recv(&chat->dispatcher, buffer + room, size);
	state->catching_up = false;
	if (n > 0 && state->descriptor != c->opens) {
		/* A new connection: nothing of the old one is a part of it. */
		chat_forget_input(state);
		state->descriptor = c->opens;
	}
	/* Even if nothing came, another terminator may end now what came before. */
	if (n > 0 || (n == 0 && c->fd >= 0 && c->opens == state->descriptor))
		r = room_before(state) <= room ? digest(chat, buffer, room, (size_t)n)
					       : digest_late(chat, buffer + room, (size_t)n);
	ALLOW(buffer, have);
	map_return_buffer(map, buffer, have);
	return r;
}

int async_chat_handle_read(struct asyncore_dispatcher *d)
{
	struct async_chat *chat = (struct async_chat *)d;
	struct async_chat_state *state = state_of(chat);
	struct asyncore_channel *c;
	int r, flushed;

	if (state == NULL)
		return -EINVAL;
	c = d->channel;
	if (state->collecting) {
		/* From inside a callback that has not said yet what to do with its data. */
		state->waits_for_collector = true;
		return asyncore_touch(d);
	}
	/* An event that had come before the pause; it comes again. */
	if (state->paused)
		return 0;
	channel_hold(c);
	r = receive(chat, state->extra != NULL && state->extra->in_size > 0
			  ? state->extra->in_size : c->methods->slot.ac_in_buffer_size);
	/* What the callbacks pushed was gathered until now. */
	flushed = state->reading == NULL ? chat_flush(d) : 0;
	channel_release(c);
	return r < 0 ? r : flushed;
}

/* --- pausing ----------------------------------------------------------------------- */

int async_chat_pause_input(struct async_chat *chat)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL)
		return -EINVAL;
	state->paused = true;
	state->turn++;
	map_touch(chat->dispatcher.channel);
	return 0;
}

int async_chat_resume_input(struct async_chat *chat)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL)
		return -EINVAL;
	if (!state->paused)
		return 0;
	state->paused = false;
	map_touch(chat->dispatcher.channel);
	/* The end of the file may have come meanwhile, but not before what was kept. */
	if (state->reading != NULL || take_over(state, NULL) == 0 ||
	    chat->dispatcher.channel->fd < 0)
		return 0;
	state->catching_up = true;
	return asyncore_read(&chat->dispatcher);
}
