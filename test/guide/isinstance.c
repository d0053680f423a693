/* SPDX-License-Identifier: BSD-3-Clause */

#include "expect.h"
#include <isinstance.c>

int main(void)
{
	struct async_chat chat;

	expect(async_chat_init(&chat, &async_chat_type, -1, NULL) == 0);
	expect(is_instance(&chat.dispatcher, &async_chat_type.dispatcher));
	expect(is_instance(&chat.dispatcher, &asyncore_dispatcher_type));
	expect(!is_instance(&chat.dispatcher, &asyncore_file_dispatcher_type));
	asyncore_close(&chat.dispatcher);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
