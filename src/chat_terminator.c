/* SPDX-License-Identifier: BSD-3-Clause */

/* chat_terminator.c - what ends the data of an async_chat: setting it, telling it. */

#include "chat.h"

#include <errno.h>

int chat_unmatch(struct async_chat_state *state)
{
	struct terminator *t = &state->terminator;
	struct asyncore_buffer *held = NULL;
	struct chat_extra *extra;

	if (t->matched == 0)
		return 0;
	extra = chat_extra(state);
	if (extra == NULL || buffer_append(&held, terminator_bytes(t), t->matched) < 0 ||
	    (extra->held != NULL &&
	     buffer_append(&held, buffer_bytes(extra->held), buffer_len(extra->held)) < 0)) {
		buffer_free(&held);
		return -ENOMEM;
	}
	buffer_free(&extra->held);
	extra->held = held;
	t->matched = 0;
	return 0;
}

int chat_set_terminator(struct async_chat_state *state, enum async_chat_terminator_kind kind,
			const void *bytes, size_t len)
{
	struct terminator new = { 0, 0, NULL };

	if (kind == ASYNC_CHAT_BYTES && terminator_set(&new, bytes, len) < 0)
		return -ENOMEM;
	if (chat_unmatch(state) < 0) {
		terminator_free(&new);
		return -ENOMEM;
	}
	/* collect_incoming_data() may be looking at the bytes of the old one. */
	if (state->retired != NULL && state->retired->len == 0 && state->kind == ASYNC_CHAT_BYTES)
		*state->retired = state->terminator;
	else
		terminator_free(&state->terminator);
	state->terminator = new;
	if (kind == ASYNC_CHAT_COUNT)
		state->terminator.len = len;
	state->kind = (uint8_t)(len > 0 ? kind : ASYNC_CHAT_NONE);
	state->turn++;
	return 0;
}

int async_chat_set_terminator(struct async_chat *chat, const void *bytes, size_t len)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL || (bytes == NULL && len > 0))
		return -EINVAL;
	return chat_set_terminator(state, len > 0 ? ASYNC_CHAT_BYTES : ASYNC_CHAT_NONE, bytes, len);
}

int async_chat_set_terminator_count(struct async_chat *chat, ssize_t count)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL || count < 0)
		return -EINVAL;
	return chat_set_terminator(state, ASYNC_CHAT_COUNT, NULL, (size_t)count);
}

int async_chat_set_terminator_none(struct async_chat *chat)
{
	struct async_chat_state *state = state_of(chat);

	return state != NULL ? chat_set_terminator(state, ASYNC_CHAT_NONE, NULL, 0) : -EINVAL;
}

int async_chat_get_terminator_default(struct async_chat *chat,
				      struct async_chat_terminator *terminator)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL || terminator == NULL)
		return -EINVAL;
	terminator->kind = (enum async_chat_terminator_kind)state->kind;
	terminator->len = state->kind != ASYNC_CHAT_NONE ? state->terminator.len : 0;
	terminator->bytes = state->kind == ASYNC_CHAT_BYTES ?
			    terminator_bytes(&state->terminator) : NULL;
	return 0;
}

int async_chat_get_terminator(struct async_chat *chat, struct async_chat_terminator *terminator)
{
	if (state_of(chat) == NULL || terminator == NULL)
		return -EINVAL;
	return SLOT(chat, get_terminator)(chat, terminator);
}
