/* SPDX-License-Identifier: BSD-3-Clause */

/* smtp_server.c - the class SMTPServer: it listens, and makes a channel for every client. */

#include "smtp_text.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int server_accepted(struct asyncore_dispatcher *d, int fd, const struct sockaddr *addr,
			   socklen_t addrlen);
static void server_dispose(struct asyncore_dispatcher *d);
static int not_implemented(struct smtp_server *self, const struct smtp_message *message,
			   const char **status);

const struct smtp_server_type smtp_server_type = {
	.dispatcher = {
		.base = &asyncore_dispatcher_type,
		.name = "SMTPServer",
		.handle_accepted = server_accepted,
		.dispose = server_dispose,
	},
	.process_message = not_implemented,
	.channel_class = &smtp_channel_type,
	.channel_size = sizeof(struct smtp_channel),
};

/* The table of the server's class, or of the next base, that fills the slot. */
#define TYPE_WITH(server, slot) \
	ASYNCORE_TYPE_WITH(&(server)->dispatcher, struct smtp_server_type, slot, \
			   &smtp_server_type.dispatcher)

static int not_implemented(struct smtp_server *self, const struct smtp_message *message,
			   const char **status)
{
	(void)message, (void)status;
	return ASYNCORE_RAISEF(&self->dispatcher, -ENOSYS, "must be implemented in subclass");
}

int smtp_server_process_message(struct smtp_server *server, const struct smtp_message *message,
				const char **status)
{
	return TYPE_WITH(server, process_message)->process_message(server, message, status);
}

/* --- making one ------------------------------------------------------------------------- */

/*
 * The name of this host with a dot in it if there is one, as socket.getfqdn() finds it: what
 * the address of our host name is called, by its name or an alias.
 */
static char *own_name(void)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	struct hostent *host = NULL;
	char name[HOST_NAME_MAX + 1] = "";
	char **alias;

	gethostname(name, sizeof name - 1);
	if (getaddrinfo(name, NULL, &hints, &list) == 0 && list->ai_family == AF_INET)
		host = gethostbyaddr(&((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr,
				     sizeof(struct in_addr), AF_INET);
	else if (list != NULL && list->ai_family == AF_INET6)
		host = gethostbyaddr(&((struct sockaddr_in6 *)(void *)list->ai_addr)->sin6_addr,
				     sizeof(struct in6_addr), AF_INET6);
	if (list != NULL)
		freeaddrinfo(list);
	if (host == NULL)
		return strdup(name);
	for (alias = host->h_aliases; strchr(host->h_name, '.') == NULL && *alias != NULL; alias++)
		if (strchr(*alias, '.') != NULL)
			return strdup(*alias);
	return strdup(host->h_name);
}

static int listen_at(struct smtp_server *server)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct asyncore_dispatcher *self = &server->dispatcher;
	struct addrinfo *list;
	int err;

	/* The family of the first address decides. */
	if (getaddrinfo(server->localhost, NULL, &hints, &list) != 0)
		return -ENOENT;
	err = asyncore_create_socket(self, list->ai_family, list->ai_socktype);
	freeaddrinfo(list);
	if (err < 0 || (err = asyncore_set_reuse_addr(self)) < 0 ||
	    (err = asyncore_bind(self, server->localhost, server->localport)) < 0)
		return err;
	return asyncore_listen(self, 5);
}

static void print_start(const struct smtp_server *server)
{
	const time_t now = time(NULL);
	char date[32] = "";

	ctime_r(&now, date);
	smtp_debug("%s started at %.24s\n\tLocal addr: ('%s', %d)\n\tRemote addr:('%s', %d)\n",
		   server->dispatcher.type->name, date, server->localhost, server->localport,
		   server->remotehost, server->remoteport);
}

int smtp_server_init(struct smtp_server *server, const struct smtp_server_type *type,
		     const char *localhost, int localport, const char *remotehost, int remoteport,
		     long long data_size_limit, struct asyncore_map *map, bool enable_SMTPUTF8,
		     bool decode_data)
{
	int err;

	if (!asyncore_issubclass(&type->dispatcher, &smtp_server_type.dispatcher) ||
	    (enable_SMTPUTF8 && decode_data))
		return -EINVAL;
	err = asyncore_dispatcher_init(&server->dispatcher, &type->dispatcher, -1, map);
	if (err < 0)
		return err;
	server->localhost = strdup(localhost);
	server->localport = localport;
	server->remotehost = strdup(remotehost != NULL ? remotehost : "");
	server->remoteport = remoteport;
	server->data_size_limit = data_size_limit;
	server->enable_SMTPUTF8 = enable_SMTPUTF8;
	server->decode_data = decode_data;
	server->fqdn = own_name();
	err = server->localhost == NULL || server->remotehost == NULL || server->fqdn == NULL
	      ? -ENOMEM : listen_at(server);
	if (err < 0)
		asyncore_close(&server->dispatcher);
	else
		print_start(server);
	return err;
}

static void server_dispose(struct asyncore_dispatcher *d)
{
	struct smtp_server *server = (struct smtp_server *)d;

	free(server->localhost);
	free(server->remotehost);
	free(server->fqdn);
}

int smtp_server_port(const struct smtp_server *server)
{
	struct sockaddr_storage addr;
	socklen_t addrlen = sizeof addr;
	char port[NI_MAXSERV] = "";

	if (getsockname(asyncore_socket(&server->dispatcher), (struct sockaddr *)&addr,
			&addrlen) < 0)
		return -errno;
	getnameinfo((struct sockaddr *)&addr, addrlen, NULL, 0, port, sizeof port, NI_NUMERICSERV);
	return atoi(port);
}

/* --- serving ------------------------------------------------------------------------------ */

static void print_client(const struct sockaddr *addr, socklen_t addrlen)
{
	char digits[NI_MAXHOST] = "", port[NI_MAXSERV] = "";

	getnameinfo(addr, addrlen, digits, sizeof digits, port, sizeof port,
		    NI_NUMERICHOST | NI_NUMERICSERV);
	smtp_debug("Incoming connection from ('%s', %s)\n", digits, port);
}

/* A client that cannot be served, for want of memory, is no reason to serve no other one any
 * more, as it is in Python, where the listening channel has the error and is closed. */
static int server_accepted(struct asyncore_dispatcher *d, int fd, const struct sockaddr *addr,
			   socklen_t addrlen)
{
	struct smtp_server *server = (struct smtp_server *)d;
	const struct smtp_server_type *type = TYPE_WITH(server, channel_class);
	struct smtp_channel *channel;
	int err = -ENOMEM;

	if (smtp_debug_stream != NULL)
		print_client(addr, addrlen);
	channel = calloc(1, type->channel_size);
	if (channel != NULL)
		err = smtp_channel_init(channel, type->channel_class, server, fd,
					server->data_size_limit, asyncore_map(d),
					server->enable_SMTPUTF8, server->decode_data);
	if (err == 0)
		return 0;
	free(channel);
	close(fd);
	return asyncore_log_infof(d, "error", "cannot serve a client: %s", strerror(-err));
}
