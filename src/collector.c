/* SPDX-License-Identifier: BSD-3-Clause */

/* collector.c - the default collector of async_chat: keep data until it is asked for. */

#include "chat.h"

#include <errno.h>

int async_chat_collect_default(struct async_chat *chat, const void *data, size_t len)
{
	struct async_chat_state *state = state_of(chat);
	struct chat_extra *extra;

	if (state == NULL || (data == NULL && len > 0))
		return -EINVAL;
	extra = chat_extra(state);
	if (extra == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	if (extra->incoming_limit > 0 &&
	    (len > extra->incoming_limit ||
	     buffer_len(extra->incoming) > extra->incoming_limit - len))
		return ASYNCORE_RAISEF(&chat->dispatcher, -EMSGSIZE,
				       "more than %zu bytes without a terminator",
				       extra->incoming_limit);
	if (buffer_append(&extra->incoming, data, len) < 0)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	return 0;
}

int async_chat_set_incoming_limit(struct async_chat *chat, size_t limit)
{
	struct async_chat_state *state = state_of(chat);
	struct chat_extra *extra;

	if (state == NULL)
		return -EINVAL;
	extra = chat_extra(state);
	if (extra == NULL)
		return -ENOMEM;
	extra->incoming_limit = limit;
	return 0;
}

char *async_chat_get_data(struct async_chat *chat, size_t *len)
{
	struct async_chat_state *state = state_of(chat);
	struct chat_extra *extra = state != NULL ? chat_extra(state) : NULL;

	if (len != NULL)
		*len = 0;
	if (extra != NULL && buffer_len(extra->incoming) == 0) {
		extra->nothing[0] = '\0';	/* what was given last stays valid */
		return extra->nothing;
	}
	/* A NUL behind the data: in the buffer, but not of it. */
	if (extra == NULL || buffer_append(&extra->incoming, "", 1) < 0)
		return NULL;
	if (len != NULL)
		*len = buffer_len(extra->incoming) - 1;
	return buffer_take(&extra->incoming);
}
