/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Fetch pages from several hosts at once.
 *
 *	fetch [-t SECONDS] [-s SERVER:PORT] http://HOST[:PORT]/PATH ...
 *
 *	-t	the most that one page may take (20 seconds); of it a server may be silent a quarter
 *	-s	ask this name server, and not those of /etc/resolv.conf
 *
 * Prints a line for each as it ends: the status, the bytes of the page, the seconds that it
 * took; or what went wrong.  The exit status is 0 when every page came, whole, with a status
 * of 2xx.
 *
 * One channel per page.  Whatever goes wrong is raised, so that all ways of failing meet in
 * fetch_error().
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/dns.h>

#include <asynchat.h>
#include <asyncore_dns.h>
#include <asyncore_event.h>

enum { LONGEST_LINE = 8192, LONGEST_URL = 4096 };

struct fetch {
	struct async_chat chat;
	const char *url;
	enum { STATUS, HEADERS, PAGE } part;
	int status;
	long long length;	/* of the page, as announced; -1: until the connection ends */
	long long received;	/* of it */
	int deadline;		/* a timer */
};

static double limit = 20.0;
static int failures;

/* --- the end: one line, for better or worse -------------------------------------------- */

static int fetch_done(struct fetch *self)
{
	printf("%d %10lld bytes %7.3f s  %s\n", self->status, self->received,
	       limit - asyncore_remaining(NULL, self->deadline), self->url);
	if (self->status < 200 || self->status > 299)
		failures++;
	return asyncore_close(&self->chat.dispatcher);
}

static void fetch_failed(const char *url, const char *why)
{
	printf("failed: %s  %s\n", why, url);
	failures++;
}

static int fetch_error(struct asyncore_dispatcher *d)
{
	fetch_failed(((struct fetch *)d)->url, asyncore_error(d)->text);
	return asyncore_close(d);
}

/* The server has closed the connection.  Is that the end of the page? */
static int fetch_close(struct asyncore_dispatcher *d)
{
	struct fetch *self = (struct fetch *)d;

	if (self->part == PAGE && self->length < 0)
		return fetch_done(self);
	return ASYNCORE_RAISEF(d, -EPROTO, "the connection was closed too early");
}

static int fetch_timeout(struct asyncore_dispatcher *d)
{
	return ASYNCORE_RAISEF(d, -ETIMEDOUT, "silence for %g seconds", limit / 4);
}

static int fetch_too_slow(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	return ASYNCORE_RAISEF(d, -ETIMEDOUT, "not done in %g seconds", limit);
}

/* --- what the server says: a status line, headers up to an empty line, the page --------- */

static int fetch_collect(struct async_chat *chat, const void *data, size_t len)
{
	struct fetch *self = (struct fetch *)chat;

	if (self->part != PAGE)
		return async_chat_collect_default(chat, data, len);
	self->received += (long long)len;	/* a real program would do something with it */
	return 0;
}

/* The headers are complete: what follows has a known length, or ends with the connection. */
static int fetch_page(struct fetch *self)
{
	self->part = PAGE;
	if (self->length == 0)
		return fetch_done(self);
	if (self->length > 0)
		return async_chat_set_terminator_count(&self->chat, self->length);
	return async_chat_set_terminator_none(&self->chat);
}

static int fetch_found(struct async_chat *chat)
{
	struct fetch *self = (struct fetch *)chat;
	char *line = async_chat_get_data(chat, NULL);

	if (line == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	line[strcspn(line, "\r")] = '\0';

	switch (self->part) {
	case STATUS:
		if (sscanf(line, "HTTP/1.%*d %3d", &self->status) != 1)
			return ASYNCORE_RAISEF(&chat->dispatcher, -EPROTO, "this is not HTTP");
		self->part = HEADERS;
		break;
	case HEADERS:
		if (line[0] == '\0')
			return fetch_page(self);
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			self->length = atoll(line + 15);
		break;
	case PAGE:
		return fetch_done(self);
	}
	return 0;
}

static const struct async_chat_type fetch_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "fetch",
		.handle_close = fetch_close,
		.handle_error = fetch_error,
		.handle_timeout = fetch_timeout,
		.dealloc = asyncore_dealloc_free,
		.ac_in_buffer_size = 65536,
	},
	.collect_incoming_data = fetch_collect,
	.found_terminator = fetch_found,
};

/* --- the start --------------------------------------------------------------------------- */

/* "http://HOST[:PORT]/PATH", where HOST is a name, a number or [an IPv6 number]. */
static bool parse_url(const char *url, char host[256], int *port, const char **path)
{
	int end = 0;

	*port = 80;
	if (sscanf(url, "http://[%255[0-9a-fA-F:.]]%n:%d%n", host, &end, port, &end) < 1 &&
	    sscanf(url, "http://%255[^][:/?#@]%n:%d%n", host, &end, port, &end) < 1)
		return false;
	*path = url + end;
	return end > 0 && (**path == '/' || **path == '\0') && strlen(url) <= LONGEST_URL;
}

static int fetch_start(const char *url, struct asyncore_dns *dns)
{
	char host[256], request[LONGEST_URL + 64];
	struct asyncore_dispatcher *d;
	struct fetch *self;
	const char *path;
	int port, n, err = -ENOMEM;

	if (!parse_url(url, host, &port, &path))
		return -EINVAL;
	n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %.*s\r\n\r\n",
		     *path != '\0' ? path : "/", (int)(path - url) - 7, url + 7);

	self = calloc(1, sizeof *self);
	if (self == NULL || async_chat_init(&self->chat, &fetch_type, -1, NULL) < 0) {
		free(self);
		return err;
	}
	/* From here on asyncore_close() is all that it needs. */
	self->url = url;
	self->length = -1;
	d = &self->chat.dispatcher;
	async_chat_set_incoming_limit(&self->chat, LONGEST_LINE);
	err = self->deadline = asyncore_channel_call_later(d, limit, fetch_too_slow, NULL, NULL);
	if (err < 0 ||
	    (err = asyncore_set_idle_timeout(d, limit / 4)) < 0 ||
	    (err = async_chat_set_terminator(&self->chat, "\n", 1)) < 0 ||
	    (err = async_chat_push(&self->chat, request, (size_t)n)) < 0 ||
	    (err = asyncore_dns_connect(dns, d, host, port, limit / 4)) < 0)
		asyncore_close(d);
	return err;
}

static int fetch_all(char **url, int count, struct asyncore_dns *dns)
{
	int i, err;

	for (i = 0; i < count; i++) {
		err = fetch_start(url[i], dns);
		if (err < 0)
			fetch_failed(url[i], strerror(-err));
	}
	err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	if (err < 0)
		fprintf(stderr, "fetch: %s\n", strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	struct evdns_base *servers = NULL;
	struct asyncore_dns *dns = NULL;
	const char *server = NULL;
	int option, err = -1;

	while ((option = getopt(argc, argv, "t:s:")) != -1) {
		if (option == 't')
			limit = atof(optarg);
		else if (option == 's')
			server = optarg;
		else
			optind = argc;
	}
	if (optind >= argc || !(limit > 0)) {
		fprintf(stderr, "usage: fetch [-t seconds] [-s server:port] url ...\n");
		return EXIT_FAILURE;
	}

	if (server != NULL && ((servers = evdns_base_new(asyncore_map_base(NULL), 0)) == NULL ||
			       evdns_base_nameserver_ip_add(servers, server) != 0))
		fprintf(stderr, "fetch: %s is no name server\n", server);
	else if ((dns = asyncore_dns_new(NULL, servers)) == NULL)
		perror("fetch");
	else
		err = fetch_all(argv + optind, argc - optind, dns);

	asyncore_dns_free(dns);
	if (err < 0)		/* who still looks a name up hears that in a pass */
		asyncore_poll(0.0, NULL);
	if (servers != NULL)
		evdns_base_free(servers, 0);
	asyncore_map_free(NULL);
	return err < 0 || failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
