/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * pure_proxy.c - the class PureProxy: messages are relayed to the remote host.
 *
 * Python's smtplib blocks, so its server does nothing else until a message is delivered, and
 * replies then.  Here the reply waits for the delivery just so, and so does what the same
 * client sends next, but other clients are served meanwhile.  As in Python there is no limit to
 * how long a remote host may take.
 */

#include "smtp_client.h"
#include "smtp_text.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int relay(struct smtp_server *self, const struct smtp_message *message,
		 const char **status);

const struct smtp_server_type pure_proxy_type = {
	.dispatcher = { .base = &smtp_server_type.dispatcher, .name = "PureProxy" },
	.process_message = relay,
};

int pure_proxy_init(struct smtp_server *server, const struct smtp_server_type *type,
		    const char *localhost, int localport, const char *remotehost, int remoteport,
		    long long data_size_limit, struct asyncore_map *map, bool enable_SMTPUTF8,
		    bool decode_data)
{
	if (enable_SMTPUTF8)
		return -EINVAL;
	return smtp_server_init(server, type, localhost, localport, remotehost, remoteport,
				data_size_limit, map, enable_SMTPUTF8, decode_data);
}

/* A line with the peer's address, between the headers and the text. */
static int add_peer(struct smtp_string *data, const struct smtp_message *message)
{
	const char *text = message->data, *end = text + message->len, *body = text;
	char header[80];
	int n = snprintf(header, sizeof header, "X-Peer: %s", message->peer);

	/* The first line that is empty, or behind the last one. */
	while (body < end && *body != '\n') {
		const char *line_end = memchr(body, '\n', (size_t)(end - body));

		body = line_end != NULL ? line_end + 1 : end;
	}
	if (body == end && body > text && body[-1] != '\n') {
		memmove(header + 1, header, (size_t)n++ + 1);
		header[0] = '\n';
	} else {
		header[n++] = '\n';
	}
	if (smtp_string_append(data, text, (size_t)(body - text)) < 0 ||
	    smtp_string_append(data, header, (size_t)n) < 0 ||
	    smtp_string_append(data, body, (size_t)(end - body)) < 0)
		return -ENOMEM;
	return 0;
}

/* What smtplib calls itself: a name with a dot in it, or else an address. */
static void local_hostname(const struct smtp_server *server, char *name, size_t size)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	char host[HOST_NAME_MAX + 1] = "", digits[INET_ADDRSTRLEN] = "127.0.0.1";
	struct addrinfo *list;

	if (strchr(server->fqdn, '.') != NULL) {
		snprintf(name, size, "%s", server->fqdn);
		return;
	}
	gethostname(host, sizeof host - 1);
	if (getaddrinfo(host, NULL, &hints, &list) == 0) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr,
			  digits, sizeof digits);
		freeaddrinfo(list);
	}
	snprintf(name, size, "[%s]", digits);
}

/* As Python prints them: "{address: (code, reply), ...}".  replies NULL: there were none. */
static void print_refusals(const struct smtp_list *refused, const struct smtp_list *replies)
{
	if (smtp_debug_stream == NULL)
		return;
	fputs("we got some refusals: {", smtp_debug_stream);
	for (size_t i = 0; i < refused->count; i++) {
		const struct smtp_string *who = &refused->items[i];
		struct smtp_text reply = { "", 0 };

		if (replies != NULL)
			reply = smtp_text(replies->items[i].bytes, replies->items[i].len);
		fputs(i > 0 ? ", " : "", smtp_debug_stream);
		smtp_print_repr(smtp_debug_stream, who->bytes, who->len, false);
		if (reply.len < 4) {
			fputs(": (-1, 'ignore')", smtp_debug_stream);
			continue;
		}
		fprintf(smtp_debug_stream, ": (%.3s, ", reply.bytes);
		smtp_print_repr(smtp_debug_stream, reply.bytes + 4, reply.len - 4, true);
		putc(')', smtp_debug_stream);
	}
	smtp_debug("}\n");
}

/* Whatever became of it, the client is told that all is well, as in Python. */
static void relayed(void *arg, const struct smtp_delivery *delivery)
{
	struct smtp_channel *channel = arg;

	if (delivery->result == -EILSEQ) {
		smtp_channel_finish(channel, -EILSEQ, NULL);
	} else {
		if (delivery->error != NULL)
			smtp_debug("got %s\n", delivery->error);
		print_refusals(delivery->refused, delivery->replies);
		smtp_channel_finish(channel, 0, NULL);
	}
	asyncore_unref(&channel->chat.dispatcher);
}

static int relay(struct smtp_server *self, const struct smtp_message *message,
		 const char **status)
{
	struct smtp_channel *channel = message->channel;
	struct smtp_string data = { NULL, 0 };
	char name[NI_MAXHOST];
	int err = add_peer(&data, message);

	(void)status;
	local_hostname(self, name, sizeof name);
	if (err == 0)
		err = smtp_client_deliver(asyncore_map(&self->dispatcher), self->remotehost,
					  self->remoteport != 0 ? self->remoteport : 25, name,
					  message->mailfrom, message->rcpttos, &data,
					  self->decode_data, relayed, channel);
	free(data.bytes);
	if (err == 0) {
		asyncore_ref(&channel->chat.dispatcher);
		return SMTP_LATER;
	}
	if (err == -ENOMEM)
		return ASYNCORE_RAISE(&self->dispatcher, err);
	smtp_debug("got %s\n", strerror(-err));
	print_refusals(message->rcpttos, NULL);
	return 0;
}
