/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * smtp_client.c - one delivery: connect, EHLO or HELO, MAIL, RCPT ..., DATA, QUIT.
 *
 * Each step sends a command and has the reply decide about the next one.  A step that goes
 * wrong leads to QUIT, by way of RSET where smtplib does so; a connection that is lost, and
 * the reply 421, end it at once.
 */

#include "smtp_client.h"
#include "smtp_text.h"

#include <netdb.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum step { GREETING, EHLO, HELO, MAIL, RCPT, DATA, BODY, RSET, QUIT };

struct smtp_client {
	struct async_chat chat;
	struct addrinfo *addresses;	/* of the host, */
	struct addrinfo *next;		/* and those not tried yet */

	char *local_hostname;
	struct smtp_string mailfrom;
	struct smtp_list rcpttos;
	struct smtp_string data;	/* lines end with \r\n */
	bool ascii;

	enum step step;
	size_t rcpt;			/* the recipient of step RCPT */
	bool is_first_line;		/* of a reply */
	bool has_size;			/* the server knows the SIZE of messages */

	struct smtp_list refused, replies;
	int result;
	void (*done)(void *arg, const struct smtp_delivery *delivery);
	void *arg;
};

static int client_found_line(struct async_chat *chat);
static int client_connect(struct asyncore_dispatcher *d);
static int client_close(struct asyncore_dispatcher *d);
static int client_error(struct asyncore_dispatcher *d);
static void client_dispose(struct asyncore_dispatcher *d);

static const struct async_chat_type client_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "smtp_client",
		.handle_connect = client_connect,
		.handle_close = client_close,
		.handle_error = client_error,
		.dispose = client_dispose,
		.dealloc = asyncore_dealloc_free,
		.ac_out_buffer_size = 65536,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = client_found_line,
};

/* --- the end -------------------------------------------------------------------------- */

static int refuse(struct smtp_client *client, const struct smtp_string *address,
		  struct smtp_text reply)
{
	int err = smtp_list_append(&client->refused, address->bytes, address->len);

	return err < 0 ? err : smtp_list_append(&client->replies, reply.bytes, reply.len);
}

static int refuse_all(struct smtp_client *client, struct smtp_text reply)
{
	int err = 0;

	smtp_list_clear(&client->refused);
	smtp_list_clear(&client->replies);
	for (size_t i = 0; err == 0 && i < client->rcpttos.count; i++)
		err = refuse(client, &client->rcpttos.items[i], reply);
	return err;
}

static void tell(struct smtp_client *client, int result, const char *error)
{
	const struct smtp_delivery delivery = {
		.result = result, .error = error,
		.refused = &client->refused, .replies = &client->replies
	};
	void (*done)(void *, const struct smtp_delivery *) = client->done;

	client->done = NULL;
	if (done != NULL)
		done(client->arg, &delivery);
}

static int finish(struct smtp_client *client, int result, const char *error)
{
	int err = asyncore_close(&client->chat.dispatcher);

	if (error != NULL)
		refuse_all(client, smtp_text("", 0));
	tell(client, result, error);
	return err;
}

static int client_close(struct asyncore_dispatcher *d)
{
	struct smtp_client *client = (struct smtp_client *)d;

	return finish(client, -ECONNRESET, "connection closed");
}

static void client_dispose(struct asyncore_dispatcher *d)
{
	struct smtp_client *client = (struct smtp_client *)d;

	tell(client, -ECANCELED, "canceled");
	if (client->addresses != NULL)
		freeaddrinfo(client->addresses);
	free(client->local_hostname);
	free(client->mailfrom.bytes);
	free(client->data.bytes);
	smtp_list_clear(&client->rcpttos);
	smtp_list_clear(&client->refused);
	smtp_list_clear(&client->replies);
}

/* --- connecting -------------------------------------------------------------------------- */

/* One address after the other, until one can be connected to. */
static int connect_next(struct smtp_client *client)
{
	struct asyncore_dispatcher *self = &client->chat.dispatcher;
	const struct addrinfo *address;
	int err = -ENOENT;

	while ((address = client->next) != NULL) {
		client->next = address->ai_next;
		err = asyncore_create_socket(self, address->ai_family, SOCK_STREAM);
		if (err == 0)
			err = asyncore_connect_sockaddr(self, address->ai_addr,
							address->ai_addrlen);
		if (err == 0)
			break;
		asyncore_close(self);
	}
	return err;
}

static int client_connect(struct asyncore_dispatcher *d)
{
	(void)d;	/* the server speaks first */
	return 0;
}

/* A connect that failed, or anything else that was raised. */
static int client_error(struct asyncore_dispatcher *d)
{
	struct smtp_client *client = (struct smtp_client *)d;
	const struct asyncore_error *error = asyncore_error(d);

	if (!asyncore_connected(d) && client->next != NULL) {
		asyncore_close(d);
		if (connect_next(client) == 0)
			return 0;
	}
	return finish(client, error != NULL ? error->code : -EIO,
		      error != NULL ? error->text : "error");
}

/* --- commands -------------------------------------------------------------------------------- */

/*
 * Push WORDS, the argument, and the rest.  The ends of lines are left out of it, as they are in
 * Python, whose quoteaddr() may change more of a strange address.  -EILSEQ for what cannot be
 * sent.
 */
static int command(struct smtp_client *client, enum step step, const char *words,
		   const char *argument, size_t len, const char *rest)
{
	struct smtp_string line = { NULL, 0 };
	int err = smtp_string_append(&line, words, strlen(words));

	client->step = step;
	client->is_first_line = true;
	if (!smtp_is_ascii(argument, len))
		err = -EILSEQ;
	for (size_t i = 0; err == 0 && i < len; i++)
		if (argument[i] != '\r' && argument[i] != '\n')
			err = smtp_string_append(&line, argument + i, 1);
	if (err == 0)
		err = smtp_string_append(&line, rest, strlen(rest));
	if (err == 0)
		err = async_chat_push(&client->chat, line.bytes, line.len);
	free(line.bytes);
	return err;
}

static int quit(struct smtp_client *client)
{
	return command(client, QUIT, "quit", "", 0, "\r\n");
}

/* What cannot be sent makes smtplib raise, after a QUIT. */
static int quit_over(struct smtp_client *client, int err)
{
	client->result = err;
	return err == -EILSEQ ? quit(client) : err;
}

static int send_mail(struct smtp_client *client)
{
	const struct smtp_string *from = &client->mailfrom;
	const bool angles = from->len > 0 && from->bytes[0] == '<';
	char rest[48];
	int err;

	if (client->ascii && !smtp_is_ascii(client->data.bytes, client->data.len))
		return quit_over(client, -EILSEQ);
	snprintf(rest, sizeof rest, client->has_size ? "%s size=%zu\r\n" : "%s\r\n",
		 angles ? "" : ">", client->data.len);
	err = command(client, MAIL, angles ? "mail FROM:" : "mail FROM:<", from->bytes, from->len,
		      rest);
	return err < 0 ? quit_over(client, err) : 0;
}

static int send_rcpt(struct smtp_client *client)
{
	const struct smtp_string *to = &client->rcpttos.items[client->rcpt];
	const bool angles = to->len > 0 && to->bytes[0] == '<';
	int err = command(client, RCPT, angles ? "rcpt TO:" : "rcpt TO:<", to->bytes, to->len,
			  angles ? "\r\n" : ">\r\n");

	return err < 0 ? quit_over(client, err) : 0;
}

/* A dot at the beginning of a line is doubled. */
static int send_body(struct smtp_client *client)
{
	const char *data = client->data.bytes, *end = data + client->data.len, *line = data, *next;
	int err = 0;

	client->step = BODY;
	client->is_first_line = true;
	for (; err == 0 && line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next != NULL ? next + 1 : end;
		if (line[0] == '.')
			err = async_chat_push(&client->chat, ".", 1);
		if (err == 0)
			err = async_chat_push(&client->chat, line, (size_t)(next - line));
	}
	if (err == 0 && (end - data < 2 || memcmp(end - 2, "\r\n", 2) != 0))
		err = async_chat_push(&client->chat, "\r\n", 2);
	return err < 0 ? err : async_chat_push(&client->chat, ".\r\n", 3);
}

/* --- replies ------------------------------------------------------------------------------------ */

/* It failed, but the connection is good: all are refused with this reply. */
static int give_up(struct smtp_client *client, int code, struct smtp_text reply, bool reset)
{
	int err;

	if (code == 421)
		return finish(client, -ECONNABORTED, "the server closes the connection");
	err = refuse_all(client, reply);
	if (err < 0)
		return err;
	return reset ? command(client, RSET, "rset", "", 0, "\r\n") : quit(client);
}

static int rcpt_replied(struct smtp_client *client, int code, struct smtp_text reply)
{
	int err = 0;

	if (code == 421)
		return give_up(client, code, reply, true);
	if (code != 250 && code != 251)
		err = refuse(client, &client->rcpttos.items[client->rcpt], reply);
	if (err < 0)
		return err;
	if (++client->rcpt < client->rcpttos.count)
		return send_rcpt(client);
	if (client->refused.count == client->rcpttos.count)
		return command(client, RSET, "rset", "", 0, "\r\n");
	return command(client, DATA, "data", "", 0, "\r\n");
}

static int replied(struct smtp_client *client, int code, struct smtp_text reply)
{
	const char *name = client->local_hostname;

	switch (client->step) {
	case GREETING:		/* smtplib does not look at it */
		return command(client, EHLO, "ehlo ", name, strlen(name), "\r\n");
	case EHLO:
		if (code < 0 && reply.len <= 4)		/* so do some very old servers */
			return finish(client, -ECONNABORTED, "no reply to EHLO");
		if (code != 250)
			client->has_size = false;
		if (code >= 200 && code <= 299)
			return send_mail(client);
		return command(client, HELO, "helo ", name, strlen(name), "\r\n");
	case HELO:
		return code >= 200 && code <= 299 ? send_mail(client)
						  : give_up(client, 0, reply, false);
	case MAIL:
		return code == 250 ? send_rcpt(client) : give_up(client, code, reply, true);
	case RCPT:
		return rcpt_replied(client, code, reply);
	case DATA:
		return code == 354 ? send_body(client) : give_up(client, 0, reply, false);
	case BODY:
		return code == 250 ? quit(client) : give_up(client, code, reply, true);
	case RSET:
		return quit(client);
	default:
		return finish(client, client->result, NULL);
	}
}

/* Three digits, and a "-" behind them if more lines follow; -1 for no number. */
static int reply_code(const char *line, size_t len)
{
	int code = 0;
	size_t i;

	for (i = 0; i < 3 && i < len && line[i] >= '0' && line[i] <= '9'; i++)
		code = 10 * code + (line[i] - '0');
	return i == 3 ? code : -1;
}

static int client_found_line(struct async_chat *chat)
{
	struct smtp_client *client = (struct smtp_client *)chat;
	size_t len;
	char *line = async_chat_get_data(chat, &len);
	int code;

	if (line == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	if (len > 0 && line[len - 1] == '\r')
		line[--len] = '\0';
	code = reply_code(line, len);
	if (client->step == EHLO && !client->is_first_line && len >= 8 &&
	    strncasecmp(line + 4, "size", 4) == 0 && (line[8] == '\0' || line[8] == ' '))
		client->has_size = true;
	client->is_first_line = false;
	if (code >= 0 && line[3] == '-')
		return 0;
	return ASYNCORE_RAISE(&chat->dispatcher, replied(client, code, smtp_text(line, len)));
}

/* --- the beginning ---------------------------------------------------------------------------------- */

/* Every line ends with \r\n, however it ended before. */
static int fix_line_ends(struct smtp_string *to, const struct smtp_string *from)
{
	char *out = malloc(2 * from->len + 1);
	size_t i, n = 0;

	if (out == NULL)
		return -ENOMEM;
	for (i = 0; i < from->len; i++) {
		const char c = from->bytes[i];

		if (c == '\n' || c == '\r') {
			out[n++] = '\r';
			out[n++] = '\n';
			if (c == '\r' && i + 1 < from->len && from->bytes[i + 1] == '\n')
				i++;
		} else {
			out[n++] = c;
		}
	}
	out[n] = '\0';
	*to = (struct smtp_string){ out, n };
	return 0;
}

static int set_message(struct smtp_client *client, const char *local_hostname,
		       const struct smtp_string *mailfrom, const struct smtp_list *rcpttos,
		       const struct smtp_string *data)
{
	client->local_hostname = strdup(local_hostname);
	if (client->local_hostname == NULL ||
	    smtp_string_set(&client->mailfrom, mailfrom->bytes, mailfrom->len) < 0 ||
	    smtp_list_copy(&client->rcpttos, rcpttos) < 0)
		return -ENOMEM;
	return fix_line_ends(&client->data, data);
}

int smtp_client_deliver(struct asyncore_map *map, const char *host, int port,
			const char *local_hostname, const struct smtp_string *mailfrom,
			const struct smtp_list *rcpttos, const struct smtp_string *data, bool ascii,
			void (*done)(void *arg, const struct smtp_delivery *delivery), void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct smtp_client *client = calloc(1, sizeof *client);
	char service[16];
	int err;

	if (client == NULL)
		return -ENOMEM;
	err = async_chat_init(&client->chat, &client_type, -1, map);
	if (err < 0) {
		free(client);
		return err;
	}
	client->ascii = ascii;
	snprintf(service, sizeof service, "%d", port);
	err = set_message(client, local_hostname, mailfrom, rcpttos, data);
	if (err == 0)
		err = async_chat_set_terminator(&client->chat, "\n", 1);
	if (err == 0)
		err = async_chat_set_incoming_limit(&client->chat, 8192);
	if (err == 0 && getaddrinfo(host, service, &hints, &client->addresses) != 0)
		err = -ENOENT;
	if (err == 0) {
		client->next = client->addresses;
		err = connect_next(client);
	}
	if (err < 0) {
		asyncore_close(&client->chat.dispatcher);
		return err;
	}
	client->done = done;
	client->arg = arg;
	return 0;
}
