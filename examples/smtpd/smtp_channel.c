/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * smtp_channel.c - the class SMTPChannel: its input, what it replies, its life.
 *
 * Its commands are in smtp_commands.c.
 *
 * What Python raises out of a handler (a line that is no UTF-8, an address that its parser
 * gives up on) is a negative result here; either way the channel logs it and is closed.
 */

#include "smtp_text.h"

#include <netdb.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void channel_dispose(struct asyncore_dispatcher *d);

static const struct smtp_command commands[] = {
	{ "DATA", smtp_DATA }, { "EHLO", smtp_EHLO }, { "EXPN", smtp_EXPN },
	{ "HELO", smtp_HELO }, { "HELP", smtp_HELP }, { "MAIL", smtp_MAIL },
	{ "NOOP", smtp_NOOP }, { "QUIT", smtp_QUIT }, { "RCPT", smtp_RCPT },
	{ "RSET", smtp_RSET }, { "VRFY", smtp_VRFY }, { NULL, NULL }
};

const struct smtp_channel_type smtp_channel_type = {
	.chat = {
		.dispatcher = {
			.base = &async_chat_type.dispatcher,
			.name = "SMTPChannel",
			.dispose = channel_dispose,
			.dealloc = asyncore_dealloc_free,
			.ac_in_buffer_size = 65536,
			.ac_out_buffer_size = 65536,
		},
		.collect_incoming_data = smtp_channel_collect,
		.found_terminator = smtp_channel_found_terminator,
	},
	.commands = commands,
};

/* --- making one, and its end ---------------------------------------------------------- */

/* [_set_post_data_state] */
static int set_post_data_state(struct smtp_channel *channel)
{
	channel->smtp_state = SMTP_COMMAND;
	smtp_string_set(&channel->mailfrom, NULL, 0);
	smtp_list_clear(&channel->rcpttos);
	channel->require_SMTPUTF8 = false;
	channel->num_bytes = 0;
	return async_chat_set_terminator(&channel->chat, "\r\n", 2);
}

int smtp_channel_reset(struct smtp_channel *channel)
{
	async_chat_get_data(&channel->chat, NULL);
	return set_post_data_state(channel);
}

static int set_peer(struct smtp_channel *channel, const struct sockaddr *addr, socklen_t addrlen)
{
	char digits[NI_MAXHOST] = "", port[NI_MAXSERV] = "";

	getnameinfo(addr, addrlen, digits, sizeof digits, port, sizeof port,
		    NI_NUMERICHOST | NI_NUMERICSERV);
	channel->peer_port = atoi(port);
	return smtp_string_set(&channel->peer, digits, strlen(digits));
}

static int greet(struct smtp_channel *channel)
{
	char line[1100];
	int err = smtp_channel_reset(channel);

	if (err < 0)
		return err;
	snprintf(line, sizeof line, "220 %s %s", channel->smtp_server->fqdn, SMTP_VERSION);
	smtp_debug("Peer: ('%s', %d)\n", channel->peer.bytes, channel->peer_port);
	return smtp_channel_reply(channel, line);
}

int smtp_channel_init(struct smtp_channel *channel, const struct smtp_channel_type *type,
		      struct smtp_server *server, int fd, long long data_size_limit,
		      struct asyncore_map *map, bool enable_SMTPUTF8, bool decode_data)
{
	struct asyncore_dispatcher *self = &channel->chat.dispatcher;
	const struct sockaddr *addr;
	socklen_t addrlen;
	int err;

	if ((enable_SMTPUTF8 && decode_data) ||
	    !asyncore_issubclass(&type->chat.dispatcher, &smtp_channel_type.chat.dispatcher))
		return -EINVAL;
	err = asyncore_ref(&server->dispatcher);
	if (err < 0)
		return err;
	err = async_chat_init(&channel->chat, &type->chat, fd, map);
	if (err < 0) {
		asyncore_unref(&server->dispatcher);
		return err;
	}
	channel->smtp_server = server;
	channel->data_size_limit = data_size_limit;
	channel->enable_SMTPUTF8 = enable_SMTPUTF8;
	channel->decode_data = decode_data;
	/*
	 * In Python the limits of all commands are one table of the class, which every new
	 * channel clears and every EHLO extends: clients change each other's.  Here each
	 * channel has its own.
	 */
	channel->command_size_limit = channel->mail_size_limit = 512;
	addr = asyncore_addr(self, &addrlen);
	if (addr == NULL || set_peer(channel, addr, addrlen) < 0 || greet(channel) < 0)
		asyncore_close(self);	/* its client is gone already */
	return 0;
}

static void channel_dispose(struct asyncore_dispatcher *d)
{
	struct smtp_channel *channel = (struct smtp_channel *)d;

	free(channel->peer.bytes);
	free(channel->seen_greeting.bytes);
	free(channel->mailfrom.bytes);
	smtp_list_clear(&channel->rcpttos);
	smtp_list_clear(&channel->mail_options);
	smtp_list_clear(&channel->rcpt_options);
	asyncore_unref(&channel->smtp_server->dispatcher);
}

/* --- replies --------------------------------------------------------------------------- */

int smtp_channel_push(struct smtp_channel *channel, const char *msg, size_t len)
{
	struct asyncore_dispatcher *self = &channel->chat.dispatcher;
	struct smtp_string line = { NULL, 0 };
	int err = 0;

	if (!channel->require_SMTPUTF8 && !smtp_is_ascii(msg, len))
		return ASYNCORE_RAISE(self, -EILSEQ);
	/* One piece: out of a handler of another channel it is one send, too. */
	if (smtp_string_append(&line, msg, len) < 0 || smtp_string_append(&line, "\r\n", 2) < 0)
		err = -ENOMEM;
	else
		err = async_chat_push(&channel->chat, line.bytes, line.len);
	free(line.bytes);
	return ASYNCORE_RAISE(self, err);
}

int smtp_channel_reply(struct smtp_channel *channel, const char *msg)
{
	return smtp_channel_push(channel, msg, strlen(msg));
}

/* --- input ----------------------------------------------------------------------------- */

/* Once a line or a message is longer than it may be, the rest of it is thrown away. */
int smtp_channel_collect(struct async_chat *self, const void *data, size_t len)
{
	struct smtp_channel *channel = (struct smtp_channel *)self;
	long long limit = 0;

	if (channel->smtp_state == SMTP_COMMAND)
		limit = (long long)(channel->mail_size_limit > channel->command_size_limit
				    ? channel->mail_size_limit : channel->command_size_limit);
	else if (channel->smtp_state == SMTP_DATA)
		limit = channel->data_size_limit;
	if (limit != 0 && (long long)channel->num_bytes > limit)
		return 0;
	if (limit != 0)
		channel->num_bytes += len;
	return async_chat_collect_default(self, data, len);
}

/* [getattr(self, 'smtp_' + command)] */
static const struct smtp_command *find_command(const struct smtp_channel *channel,
					       struct smtp_text name)
{
	const struct asyncore_dispatcher_type *type = channel->chat.dispatcher.type;
	const struct smtp_command *command;

	for (; type != &async_chat_type.dispatcher; type = type->base) {
		command = ((const struct smtp_channel_type *)type)->commands;
		for (; command != NULL && command->name != NULL; command++)
			if (smtp_text_is(name, command->name))
				return command;
	}
	return NULL;
}

static int not_recognized(struct smtp_channel *channel, struct smtp_text name)
{
	struct smtp_string line = { NULL, 0 };
	int err = -ENOMEM;

	if (smtp_string_append(&line, "500 Error: command \"", 20) == 0 &&
	    smtp_string_append(&line, name.bytes, name.len) == 0 &&
	    smtp_string_append(&line, "\" not recognized", 16) == 0)
		err = smtp_channel_push(channel, line.bytes, line.len);
	free(line.bytes);
	return err;
}

static int found_command(struct smtp_channel *channel, char *line, size_t len)
{
	struct asyncore_dispatcher *self = &channel->chat.dispatcher;
	const size_t size = channel->num_bytes;
	const struct smtp_command *command;
	struct smtp_text name, arg;
	const char *space;
	size_t limit = channel->command_size_limit;

	channel->num_bytes = 0;
	if (len == 0)
		return smtp_channel_reply(channel, "500 Error: bad syntax");
	if (!smtp_is_utf8(line, len))
		return ASYNCORE_RAISEF(self, -EILSEQ, "a command is not UTF-8");
	space = memchr(line, ' ', len);
	name = smtp_text(line, space != NULL ? (size_t)(space - line) : len);
	smtp_upper(line, name.len);
	if (space != NULL)
		arg = smtp_strip(smtp_text(space + 1, len - name.len - 1));
	if (channel->extended_smtp && smtp_text_is(name, "MAIL"))
		limit = channel->mail_size_limit;
	if (size > limit)
		return smtp_channel_reply(channel, "500 Error: line too long");
	command = find_command(channel, name);
	if (command == NULL)
		return not_recognized(channel, name);
	return command->run(channel, space != NULL ? &arg : NULL);
}

/* Lines end with \n from here on, and a dot at the beginning of one is taken away. */
static size_t undo_transparency(char *data, size_t len)
{
	const char *from = data, *end = data + len;
	char *to = data;
	bool line_begins = true;

	while (from < end) {
		if (line_begins && *from == '.') {
			from++;
			line_begins = false;
			continue;
		}
		line_begins = from + 1 < end && from[0] == '\r' && from[1] == '\n';
		if (line_begins)
			from++;
		*to++ = *from++;
	}
	*to = '\0';
	return (size_t)(to - data);
}

static int found_message(struct smtp_channel *channel, char *data, size_t len)
{
	const struct smtp_message message = {
		.channel = channel,
		.peer = channel->peer.bytes,
		.peer_port = channel->peer_port,
		.mailfrom = &channel->mailfrom,
		.rcpttos = &channel->rcpttos,
		.data = data,
		.len = undo_transparency(data, len),
		.mail_options = channel->decode_data ? NULL : &channel->mail_options,
		.rcpt_options = channel->decode_data ? NULL : &channel->rcpt_options,
	};
	const char *status = NULL;
	int r = smtp_server_process_message(channel->smtp_server, &message, &status);

	if (r < 0)
		return ASYNCORE_RAISE(&channel->chat.dispatcher, r);
	if (r == SMTP_LATER) {
		channel->waiting = true;
		return async_chat_pause_input(&channel->chat);
	}
	r = set_post_data_state(channel);
	return r < 0 ? r : smtp_channel_reply(channel, status != NULL ? status : "250 OK");
}

int smtp_channel_found_terminator(struct async_chat *self)
{
	struct smtp_channel *channel = (struct smtp_channel *)self;
	size_t len;
	char *line = async_chat_get_data(self, &len);

	if (line == NULL)
		return ASYNCORE_RAISE(&self->dispatcher, -ENOMEM);
	/*
	 * Python decodes each piece as it comes, and raises when a character is cut by the
	 * end of one.  Here it may be.
	 */
	if (channel->decode_data && !smtp_is_utf8(line, len))
		return ASYNCORE_RAISEF(&self->dispatcher, -EILSEQ, "this is not UTF-8");
	if (smtp_debug_stream != NULL) {
		fputs("Data: ", smtp_debug_stream);
		smtp_print_repr(smtp_debug_stream, line, len, !channel->decode_data);
		smtp_debug("\n");
	}
	if (channel->smtp_state == SMTP_COMMAND)
		return found_command(channel, line, len);
	if (channel->smtp_state != SMTP_DATA) {
		channel->num_bytes = 0;
		return smtp_channel_reply(channel, "451 Internal confusion");
	}
	/* As in Python, what follows is taken for the text of a message still. */
	if (channel->data_size_limit != 0 &&
	    (long long)channel->num_bytes > channel->data_size_limit) {
		channel->num_bytes = 0;
		return smtp_channel_reply(channel, "552 Error: Too much mail data");
	}
	return found_message(channel, line, len);
}

/* --- replying later ---------------------------------------------------------------------- */

int smtp_channel_finish(struct smtp_channel *channel, int result, const char *status)
{
	struct asyncore_dispatcher *self = &channel->chat.dispatcher;

	if (!channel->waiting || asyncore_socket(self) < 0)
		return 0;
	channel->waiting = false;
	if (result >= 0)
		result = set_post_data_state(channel);
	if (result >= 0)
		result = smtp_channel_reply(channel, status != NULL ? status : "250 OK");
	if (result < 0) {
		ASYNCORE_RAISE(self, result);
		result = asyncore_handle_error(self);
	}
	return result < 0 ? result : async_chat_resume_input(&channel->chat);
}
