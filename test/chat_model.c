/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * chat_model.c - run the input cases of chat_model.py through async_chat.
 *
 * Reads cases, one a line, and writes each again, a tab, and what was called:
 *
 *	SIZE TERMINATOR FOUND COLLECT GET EVENTS
 *
 * SIZE is ac_in_buffer_size.  A TERMINATOR is n (none), cNUMBER or tBYTES, where the byte 0
 * stands for NUL.  FOUND, COLLECT and GET are what the first, second ... call of
 * found_terminator(), collect_incoming_data() and get_terminator() does, with / between
 * them: "-" nothing, a terminator to set, "pBYTES" push, "d" discard_buffers, "r"
 * handle_read() again, "x" raise, or several of these with + between them.  EVENTS have a comma between them:
 * "<BYTES" a handle_read() that receives that, "!" one that finds nothing now, "?" one whose
 * recv() fails, "=TERMINATOR" one set from outside.  An empty list is "."; with GET empty,
 * get_terminator() is not overridden.
 *
 * In what was called, ">BYTES" is a piece that was collected, "FBYTES" found_terminator()
 * and what the default collector had kept, "G" get_terminator(), "E" a handle_read() that
 * raised, "SBYTES" a send(), "T..." the terminator that is set at the end and "OBYTES" all
 * that was sent.
 *
 * Output is not gathered; called as "chat_model gather" it is, and "S" is left out, because
 * that is what differs from CPython then.
 */

#include <asynchat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 4096 };

struct model {
	struct async_chat chat;
	size_t size;
	const char *found, *collect, *get, *events;	/* what is left of the lists */
	char sent[MOST];
	size_t sent_len;
};

static bool gather;

static void fail(const char *what)
{
	fprintf(stderr, "chat_model: %s\n", what);
	exit(2);
}

static void expect(int result)
{
	if (result < 0)
		fail(strerror(-result));
}

/* Split off what stands before `separator`; NULL at the end of the list. */
static const char *next(const char **list, const char *separators, size_t *len)
{
	const char *item = *list;

	if (item == NULL || *item == '\0')
		return NULL;
	*len = strcspn(item, separators);
	*list = item[*len] != '\0' ? item + *len + 1 : NULL;
	return item;
}

static size_t bytes_of(const char *text, size_t len, char *bytes)
{
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = text[i];
	for (i = 0; i < len; i++)
		if (bytes[i] == '0')
			bytes[i] = '\0';
	return len;
}

static void say(const char *what, const void *data, size_t len)
{
	const char *bytes = data;
	size_t i;

	printf(" %s", what);
	for (i = 0; i < len; i++)
		putchar(bytes[i] == '\0' ? '0' : bytes[i]);
}

static void set_terminator(struct async_chat *chat, const char *text, size_t len)
{
	char bytes[MOST];

	if (text[0] == 'n')
		expect(async_chat_set_terminator_none(chat));
	else if (text[0] == 'c')
		expect(async_chat_set_terminator_count(chat, atol(text + 1)));
	else if (text[0] == 't')
		expect(async_chat_set_terminator(chat, bytes, bytes_of(text + 1, len - 1, bytes)));
	else
		fail("no such action");
}

static void read_again(struct async_chat *chat)
{
	int r = asyncore_handle_read(&chat->dispatcher);

	if (r < 0 && r != -EAGAIN)
		say("E", NULL, 0);
}

static void push(struct async_chat *chat, const char *text, size_t len)
{
	char bytes[MOST];

	expect(async_chat_push(chat, bytes, bytes_of(text, len, bytes)));
}

/* The next action of the list; what the callback returns. */
static int act(struct async_chat *chat, const char **list)
{
	size_t len, part;
	const char *action = next(list, "/", &len), *end = action != NULL ? action + len : NULL;

	for (; action != NULL && action < end; action += part + 1) {
		part = strcspn(action, "+/");
		if (action[0] == 'x')
			return -EPROTO;
		if (action[0] == 'd')
			expect(async_chat_discard_buffers(chat));
		else if (action[0] == 'p')
			push(chat, action + 1, part - 1);
		else if (action[0] == 'r')
			read_again(chat);
		else if (action[0] != '-')
			set_terminator(chat, action, part);
	}
	return 0;
}

static int model_collect(struct async_chat *chat, const void *data, size_t len)
{
	say(">", data, len);
	expect(async_chat_collect_default(chat, data, len));
	return act(chat, &((struct model *)chat)->collect);
}

static int model_found(struct async_chat *chat)
{
	size_t len;
	const char *data = async_chat_get_data(chat, &len);

	if (data == NULL)
		fail("no data");
	say("F", data, len);
	return act(chat, &((struct model *)chat)->found);
}

static int model_get(struct async_chat *chat, struct async_chat_terminator *terminator)
{
	int r;

	say("G", NULL, 0);
	r = act(chat, &((struct model *)chat)->get);
	return r < 0 ? r : async_chat_get_terminator_default(chat, terminator);
}

static int model_recv(struct asyncore_dispatcher *d, void *buffer, size_t size)
{
	struct model *model = (struct model *)d;
	const char *event = model->events;
	size_t len;

	if (size != model->size)
		fail("recv() is asked for another number of bytes than ac_in_buffer_size");
	if (event == NULL || strchr("<!?", *event) == NULL)
		return -EAGAIN;
	next(&model->events, ",", &len);
	if (*event != '<')
		return *event == '!' ? -EAGAIN : -EIO;
	if (len - 1 > size)
		fail("a read is longer than ac_in_buffer_size");
	return (int)bytes_of(event + 1, len - 1, buffer);
}

static int model_send(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	struct model *model = (struct model *)d;

	if (len > MOST - model->sent_len)
		fail("too much is sent");
	if (!gather)
		say("S", data, len);
	memcpy(model->sent + model->sent_len, data, len);
	model->sent_len += len;
	return (int)len;
}

static const struct async_chat_type model_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "model",
		.recv = model_recv,
		.send = model_send,
	},
	.collect_incoming_data = model_collect,
	.found_terminator = model_found,
};

static const struct async_chat_type model_with_get_type = {
	.dispatcher = { .base = &model_type.dispatcher },
	.get_terminator = model_get,
};

static void say_terminator(struct async_chat *chat)
{
	struct async_chat_terminator t;

	expect(async_chat_get_terminator_default(chat, &t));
	if (t.kind == ASYNC_CHAT_BYTES)
		say("Tt", t.bytes, t.len);
	else if (t.kind == ASYNC_CHAT_COUNT)
		printf(" Tc%zu", t.len);
	else
		say("Tn", NULL, 0);
}

static const char *list_or_none(const char *text)
{
	return strcmp(text, ".") != 0 ? text : NULL;
}

static void run(const char *line)
{
	static char terminator[MOST], found[MOST], collect[MOST], get[MOST], events[MOST];
	struct model model = { .size = 0 };
	struct async_chat *chat = &model.chat;
	size_t len;

	if (strlen(line) >= MOST ||
	    sscanf(line, "%zu %s %s %s %s %s", &model.size, terminator, found, collect, get,
		   events) != 6)
		fail("not a case");
	model.found = list_or_none(found);
	model.collect = list_or_none(collect);
	model.get = list_or_none(get);
	model.events = list_or_none(events);

	/* The machine goes on as long as there is a descriptor; nobody reads from this one. */
	expect(async_chat_init(chat, model.get != NULL ? &model_with_get_type : &model_type,
			       socket(AF_UNIX, SOCK_STREAM, 0), NULL));
	expect(async_chat_set_buffer_sizes(chat, model.size, 0));
	expect(async_chat_set_gathering(chat, gather));
	expect(asyncore_set_connected(&chat->dispatcher, true));
	set_terminator(chat, terminator, strlen(terminator));
	while (model.events != NULL) {
		const char *event = model.events;

		if (*event == '=') {
			next(&model.events, ",", &len);
			set_terminator(chat, event + 1, len - 1);
		} else {
			read_again(chat);
			if (model.events == event) {
				say("without recv()", NULL, 0);
				next(&model.events, ",", &len);
			}
		}
	}
	say_terminator(chat);
	say("O", model.sent, model.sent_len);
	expect(asyncore_close_all(NULL, false));
}

int main(int argc, char **argv)
{
	char line[MOST];

	gather = argc > 1 && strcmp(argv[1], "gather") == 0;

	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		printf("%s\t", line);
		run(line);
		putchar('\n');
		/* So that a crash shows which case it was. */
		fflush(stdout);
	}
	return asyncore_map_free(NULL) < 0;
}
