/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * async_chat.c - the class: its type table, making and disposing of one, its attributes.
 *
 * chat_input.c has the input machine, chat_output.c the queue and how it is sent.
 */

#include "chat.h"
#include "hooks.h"

#include <errno.h>
#include <stdlib.h>

static int no_collect(struct async_chat *self, const void *data, size_t len)
{
	(void)data, (void)len;
	return ASYNCORE_RAISEF(&self->dispatcher, -ENOSYS, "must be implemented in subclass");
}

static int no_found(struct async_chat *self)
{
	return ASYNCORE_RAISEF(&self->dispatcher, -ENOSYS, "must be implemented in subclass");
}

static int ignore_limit(struct async_chat *self, bool reached)
{
	(void)self, (void)reached;
	return 0;
}

static void dispose(struct asyncore_dispatcher *d);

const struct async_chat_type async_chat_type = {
	.dispatcher = {
		.base = &asyncore_dispatcher_type,
		.name = "asynchat.async_chat",
		.flags = ASYNCORE_PREDICATES_TOUCHED,
		.readable = async_chat_readable,
		.writable = async_chat_writable,
		.handle_read = async_chat_handle_read,
		.handle_write = async_chat_handle_write,
		.handle_close = async_chat_handle_close,
		.initiate_send = async_chat_initiate_send,
		.dispose = dispose,
	},
	.collect_incoming_data = no_collect,
	.found_terminator = no_found,
	.get_terminator = async_chat_get_terminator_default,
	.output_limit = ignore_limit,
};

const struct async_chat_type *chat_type_with(const struct async_chat *chat, size_t slot)
{
	const struct async_chat_type *type = (const struct async_chat_type *)chat->dispatcher.type;

	/* Ends at async_chat_type at the latest, which has them all. */
	while (*(void (*const *)(void))(const void *)((const char *)type + slot) == NULL)
		type = (const struct async_chat_type *)type->dispatcher.base;
	return type;
}

struct chat_extra *chat_extra(struct async_chat_state *state)
{
	if (state->extra == NULL)
		state->extra = calloc(1, sizeof *state->extra);
	return state->extra;
}

int async_chat_init(struct async_chat *chat, const struct async_chat_type *type, int fd,
		    struct asyncore_map *map)
{
	struct async_chat_state *state;
	int r;

	if (chat == NULL || type == NULL)
		return -EINVAL;
	chat->dispatcher.channel = NULL;
	state = calloc(1, sizeof *state);
	if (state == NULL)
		return -ENOMEM;
	chat->state = state;
	r = dispatcher_init(&chat->dispatcher, &type->dispatcher, &async_chat_type.dispatcher,
			    fd, map);
	if (r < 0) {
		free(state);
		return r;
	}
	state->gather = !(chat->dispatcher.channel->methods->slot.flags &
			  ASYNC_CHAT_SEND_AT_ONCE);
	return 0;
}

static void dispose(struct asyncore_dispatcher *d)
{
	struct async_chat *chat = (struct async_chat *)d;
	struct async_chat_state *state = chat->state;

	/* A release may push once more. */
	while (state->fifo.first != NULL)
		fifo_clear(&state->fifo);
	if (state->extra != NULL) {
		buffer_free(&state->extra->held);
		buffer_free(&state->extra->incoming);
		free(state->extra);
	}
	terminator_free(&state->terminator);
	free(state);
	chat->state = NULL;
}

int async_chat_set_buffer_sizes(struct async_chat *chat, size_t in, size_t out)
{
	struct async_chat_state *state = state_of(chat);
	struct chat_extra *extra;

	if (state == NULL || in > SIZE_MAX / 4)
		return -EINVAL;
	extra = chat_extra(state);
	if (extra == NULL)
		return -ENOMEM;
	extra->in_size = in;
	extra->out_size = out;
	return 0;
}

int async_chat_set_gathering(struct async_chat *chat, bool gather)
{
	struct async_chat_state *state = state_of(chat);

	if (state == NULL)
		return -EINVAL;
	state->gather = gather;
	return gather ? 0 : chat_flush(&chat->dispatcher);
}

int async_chat_discard_buffers(struct async_chat *chat)
{
	struct async_chat_state *state = state_of(chat);
	int r;

	if (state == NULL)
		return -EINVAL;
	/* In CPython what was pushed before has been sent, as far as that went. */
	channel_flush(chat->dispatcher.channel);
	chat_forget_input(state);
	if (state->extra != NULL)
		buffer_free(&state->extra->incoming);
	fifo_clear(&state->fifo);
	asyncore_touch(&chat->dispatcher);
	r = chat_check_limit(chat);
	/* A release may have pushed. */
	if (state->fifo.first == NULL && r >= 0)
		r = channel_drained(chat->dispatcher.channel);
	return r;
}
