/* SPDX-License-Identifier: BSD-3-Clause */

/* Overrides that call up, and a walk over the map. */

#include "expect.h"
#include <counted.c>

static int lines_logged;

static int count_log(struct asyncore_dispatcher *self, const char *message)
{
	(void)self;
	lines_logged += strcmp(message, "gone") == 0;
	return 0;
}

static const struct async_chat_type logged_type = {
	.dispatcher = {
		.base = &counted_type.dispatcher,
		.log = count_log,
	},
};

int main(void)
{
	struct async_chat chat, derived;
	int one[2], two[2];

	make_pair(one);
	make_pair(two);
	expect(async_chat_init(&chat, &counted_type, one[0], NULL) == 0);
	expect(async_chat_init(&derived, &logged_type, two[0], NULL) == 0);
	expect(async_chat_push(&derived, "four", 4) == 0);
	hear(two[1], "four");
	broadcast((char[]){ "to all" });
	hear(one[1], "to all");
	expect(recv(two[1], two, sizeof two, MSG_DONTWAIT) < 0);	/* another class */
	expect(counted_total == 10);
	close(two[1]);
	run_until(asyncore_map_size(NULL) == 1);
	expect(lines_logged == 1);
	close(one[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
