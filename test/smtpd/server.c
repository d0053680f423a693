/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A mail server for tests, made of examples/smtpd: one of its classes or of two of our own.
 *
 *	server [class=debugging|plain|proxy|dummy|sim] [size=BYTES] [utf8] [decode]
 *	       [host=ADDRESS] [remote=PORT] [reply-COMMAND=TEXT ...]
 *
 * It says "port N" on standard error, and prints the conversations and the messages.  It ends
 * when its input does.  server.py is the same with Python's own smtpd.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/smtpd/smtp_text.h"

enum { MOST_REPLIES = 16 };

static struct {
	const char *kind, *host;
	long long size;
	bool utf8, decode;
	int remote;
	struct { const char *name, *text; } replies[MOST_REPLIES];
	size_t replies_count;
} options = { .kind = "debugging", .host = "127.0.0.1", .size = SMTP_DATA_SIZE_DEFAULT };

static const char *told_reply(const char *name)
{
	for (size_t i = 0; i < options.replies_count; i++)
		if (strcmp(options.replies[i].name, name) == 0)
			return options.replies[i].text;
	return NULL;
}

/* --- dummy: prints what it was given, and has replies of its own to some of it --------- */

static bool has(const struct smtp_list *list, const char *word)
{
	for (size_t i = 0; list != NULL && i < list->count; i++)
		if (strcmp(list->items[i].bytes, word) == 0)
			return true;
	return false;
}

static void print_options(const char *name, const struct smtp_list *list)
{
	if (list == NULL)
		return;
	printf("%s ", name);
	smtp_print_list(stdout, list);
	putchar('\n');
}

static int dummy_message(struct smtp_server *self, const struct smtp_message *message,
			 const char **status)
{
	printf("message from %s to ", message->peer);
	smtp_print_list(stdout, message->rcpttos);
	fputs("\nsender ", stdout);
	fwrite(message->mailfrom->bytes, 1, message->mailfrom->len, stdout);
	putchar('\n');
	print_options("mail_options", message->mail_options);
	print_options("rcpt_options", message->rcpt_options);
	smtp_print_repr(stdout, message->data, message->len, !self->decode_data);
	putchar('\n');
	fflush(stdout);
	if (strcmp(message->data, "return status") == 0)
		*status = "250 Okish";
	else if (strcmp(message->data, "not ASCII") == 0)
		*status = "250 \xc3\xa9";
	else if (has(message->mail_options, "SMTPUTF8"))
		*status = "250 SMTPUTF8 message okish";
	else
		*status = told_reply("BODY");
	return 0;
}

static const struct smtp_server_type dummy_type = {
	.dispatcher = { .base = &smtp_server_type.dispatcher, .name = "DummyServer" },
	.process_message = dummy_message,
};

/* --- sim: its channel has commands of its own, and replies to others as it was told ---- */

struct sim_channel {
	struct smtp_channel channel;
	size_t rcpt_count;
};

/* 1: replied; 0: not told how. */
static int simulate(struct smtp_channel *self, const char *name)
{
	struct sim_channel *sim = (struct sim_channel *)self;
	const char *reply = told_reply(name), *end;
	size_t i, len;
	int err;

	if (reply == NULL)
		return 0;
	if (strcmp(name, "RCPT") == 0) {
		for (i = 0; i < sim->rcpt_count && (end = strchr(reply, '|')) != NULL; i++)
			reply = end + 1;
		sim->rcpt_count++;
	}
	len = strcspn(reply, "|");
	err = smtp_channel_push(self, reply, len > 0 && reply[len - 1] == '!' ? len - 1 : len);
	if (err == 0 && len > 0 && reply[len - 1] == '!')
		err = async_chat_close_when_done(&self->chat);
	return err < 0 ? err : 1;
}

static int sim_EHLO(struct smtp_channel *self, const struct smtp_text *arg)
{
	int r = simulate(self, "EHLO");

	if (r == 0)
		return smtp_EHLO(self, arg);
	self->extended_smtp = true;
	return r < 0 ? r : smtp_string_set(&self->seen_greeting, arg->bytes, arg->len);
}

#define SIM(name, base) \
	static int sim_##name(struct smtp_channel *self, const struct smtp_text *arg) \
	{ \
		int r = simulate(self, #name); \
		return r != 0 ? r : base(self, arg); \
	}
SIM(HELO, smtp_HELO)
SIM(MAIL, smtp_MAIL)
SIM(RCPT, smtp_RCPT)
SIM(DATA, smtp_DATA)
SIM(QUIT, smtp_QUIT)

static int sim_VRFY(struct smtp_channel *self, const struct smtp_text *arg)
{
	char line[512];

	snprintf(line, sizeof line, "250 %.*s is here", arg != NULL ? (int)arg->len : 4,
		 arg != NULL ? arg->bytes : "None");
	return smtp_channel_reply(self, line);
}

static int sim_XSTATE(struct smtp_channel *self, const struct smtp_text *arg)
{
	(void)arg;
	self->smtp_state = 99;
	return smtp_channel_reply(self, "250 confused");
}

static const struct smtp_command sim_commands[] = {
	{ "EHLO", sim_EHLO }, { "HELO", sim_HELO }, { "MAIL", sim_MAIL }, { "RCPT", sim_RCPT },
	{ "DATA", sim_DATA }, { "QUIT", sim_QUIT }, { "VRFY", sim_VRFY },
	{ "XSTATE", sim_XSTATE }, { NULL, NULL }
};

static const struct smtp_channel_type sim_channel_type = {
	.chat = { .dispatcher = { .base = &smtp_channel_type.chat.dispatcher,
				  .name = "SimChannel" } },
	.commands = sim_commands,
};

static const struct smtp_server_type sim_type = {
	.dispatcher = { .base = &dummy_type.dispatcher, .name = "SimServer" },
	.channel_class = &sim_channel_type,
	.channel_size = sizeof(struct sim_channel),
};

/* --- standard input: its end ends the program -------------------------------------------- */

static int stdin_writable(struct asyncore_dispatcher *d)
{
	(void)d;
	return 0;
}

static int stdin_read(struct asyncore_dispatcher *d)
{
	char data[512];

	return asyncore_recv(d, data, sizeof data);
}

static int stdin_close(struct asyncore_dispatcher *d)
{
	(void)d;
	return ASYNCORE_EXIT_NOW;
}

static const struct asyncore_dispatcher_type stdin_type = {
	.base = &asyncore_file_dispatcher_type,
	.name = "stdin",
	.writable = stdin_writable,
	.handle_read = stdin_read,
	.handle_close = stdin_close,
};

/* --- main --------------------------------------------------------------------------------- */

static void parse(char *word)
{
	char *value = strchr(word, '=');

	if (value != NULL)
		*value++ = '\0';
	if (strcmp(word, "class") == 0 && value != NULL) {
		options.kind = value;
	} else if (strcmp(word, "host") == 0 && value != NULL) {
		options.host = value;
	} else if (strcmp(word, "size") == 0 && value != NULL) {
		options.size = atoll(value);
	} else if (strcmp(word, "remote") == 0 && value != NULL) {
		options.remote = atoi(value);
	} else if (strcmp(word, "utf8") == 0) {
		options.utf8 = true;
	} else if (strcmp(word, "decode") == 0) {
		options.decode = true;
	} else if (strncmp(word, "reply-", 6) == 0 && value != NULL &&
		   options.replies_count < MOST_REPLIES) {
		options.replies[options.replies_count].name = word + 6;
		options.replies[options.replies_count++].text = value;
	} else {
		fprintf(stderr, "what is %s\n", word);
		exit(2);
	}
}

static const struct smtp_server_type *type_of(const char *kind)
{
	return strcmp(kind, "plain") == 0 ? &smtp_server_type :
	       strcmp(kind, "proxy") == 0 ? &pure_proxy_type :
	       strcmp(kind, "dummy") == 0 ? &dummy_type :
	       strcmp(kind, "sim") == 0 ? &sim_type : &debugging_server_type;
}

int main(int argc, char **argv)
{
	struct asyncore_file_dispatcher input;
	struct smtp_server server = { 0 };
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		parse(argv[i]);
	err = (strcmp(options.kind, "proxy") == 0 ? pure_proxy_init : smtp_server_init)(
		&server, type_of(options.kind), options.host, 0, "127.0.0.1", options.remote,
		options.size, NULL, options.utf8, options.decode);
	if (err < 0) {
		fprintf(stderr, "%s\n", err == -EINVAL ? "refused" : strerror(-err));
	} else {
		fprintf(stderr, "port %d\n", smtp_server_port(&server));
		smtp_debug_stream = stdout;
		err = asyncore_file_dispatcher_init(&input, &stdin_type, 0, NULL);
		if (err == 0)
			err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	}
	asyncore_map_free(NULL);
	return err == ASYNCORE_EXIT_NOW ? EXIT_SUCCESS : EXIT_FAILURE;
}
