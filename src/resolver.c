/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * resolver.c - connect by name: all of libasyncore_dns, on the public interfaces of
 * libasyncore and of libevent.
 *
 * An attempt to connect is driven by one timer of its channel.  What libevent calls back (an
 * answer, a socket that is ready) is noted, and has the timer run at once; when nothing comes
 * the timer runs because the step took too long.  So all that a handler may see happens in
 * step(), in a pass, with no frame of libevent's below it.  And whatever ends the timer
 * (close(), another map, the end of the map) ends the attempt, because the attempt is what
 * the timer releases.
 *
 * Two things outlive it.  libevent gives a cancelled look-up back later, in its loop; and
 * reads its evdns_base then, which therefore waits for that.
 */

#include <asyncore_dns.h>
#include <asyncore_event.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

struct asyncore_dns {
	struct asyncore_map *map;
	struct evdns_base *base;
	bool own_base;
	bool ended;			/* asyncore_dns_free() was called */
	size_t lookups;			/* that libevent has not given back yet */
	struct attempt *attempts;
};

/* What libevent holds of a look-up. */
struct lookup {
	struct asyncore_dns *dns;
	struct attempt *attempt;	/* NULL: nobody waits for it any more */
	struct evdns_getaddrinfo_request *request;
};

struct attempt {
	struct attempt *next, **link;	/* among those of the resolver; NULL once let go */
	struct asyncore_dispatcher *channel;
	int timer;
	double timeout;

	struct lookup *lookup;		/* while it is under way */
	struct evutil_addrinfo *found;
	const struct evutil_addrinfo *at;	/* the address that is tried */

	/* The socket that is connected, or -1.  For a channel that has one already it is a
	 * duplicate of that: the channel may close its own at any time, and an event must go
	 * before its descriptor does. */
	int fd;
	bool is_duplicate;
	struct event *event;		/* pending until the socket is ready */

	int error;			/* an errno: of the look-up, or of the last address */
	const char *text;		/* of the look-up */
	char host[];
};

/* Have the timer run in so many seconds. */
static int run_in(struct attempt *a, double seconds)
{
	return asyncore_reset(asyncore_map(a->channel), a->timer, seconds);
}

/* --- looking up ----------------------------------------------------------------------- */

static void answer(struct attempt *a, int result, struct evutil_addrinfo *found)
{
	/* A name in the hosts file may have no address of the family. */
	if (result == 0 && found == NULL)
		result = EVUTIL_EAI_NODATA;
	a->found = found;
	a->text = evutil_gai_strerror(result);
	/* The errno that says nearly the same, and that a look-up that blocks gives. */
	if (result == EVUTIL_EAI_NONAME || result == EVUTIL_EAI_NODATA) {
		a->error = ENOENT;
	} else if (result == EVUTIL_EAI_FAMILY || result == EVUTIL_EAI_ADDRFAMILY) {
		a->error = EAFNOSUPPORT;
	} else if (result == EVUTIL_EAI_MEMORY) {
		a->error = ENOMEM;
	} else {
		/* evdns has one number for servers that are silent, that fail, and that
		 * know the name but no address of it. */
		a->error = EHOSTUNREACH;
		a->text = "no address from the name servers";
	}
	run_in(a, 0);
}

static void lookup_ended(struct asyncore_dns *dns)
{
	if (--dns->lookups > 0 || !dns->ended)
		return;
	if (dns->own_base)
		evdns_base_free(dns->base, 0);
	free(dns);
}

/* What evdns calls: later, or at once for what stands in the hosts file. */
static void on_answer(int result, struct evutil_addrinfo *found, void *arg)
{
	struct lookup *lookup = arg;

	if (lookup->attempt != NULL) {
		lookup->attempt->lookup = NULL;
		answer(lookup->attempt, result, found);
	}
	lookup_ended(lookup->dns);
	free(lookup);
}

static void look_up(struct asyncore_dns *dns, struct attempt *a, int family, int port)
{
	struct evutil_addrinfo hints = { 0 }, *found = NULL;
	struct evdns_getaddrinfo_request *request;
	/* An empty name is this host, as for asyncore_connect(). */
	const char *host = *a->host != '\0' ? a->host : NULL;
	char service[8];
	int result;

	snprintf(service, sizeof service, "%d", port);
	hints.ai_family = family;
	hints.ai_socktype = SOCK_STREAM;
	/* evdns knows numbers too, but no scopes; and it asks for the name 127.0.0.1 when the
	 * family is IPv6. */
	hints.ai_flags = EVUTIL_AI_NUMERICHOST;
	result = evutil_getaddrinfo(host, service, &hints, &found);
	if (result == EVUTIL_EAI_NONAME && (a->lookup = calloc(1, sizeof *a->lookup)) == NULL)
		result = EVUTIL_EAI_MEMORY;
	if (a->lookup == NULL) {
		answer(a, result, found);
		return;
	}
	a->lookup->dns = dns;
	a->lookup->attempt = a;
	dns->lookups++;
	hints.ai_flags = 0;
	request = evdns_getaddrinfo(dns->base, host, service, &hints, on_answer, a->lookup);
	if (a->lookup != NULL)
		a->lookup->request = request;
}

static void cancel_lookup(struct attempt *a)
{
	if (a->lookup == NULL)
		return;
	a->lookup->attempt = NULL;
	evdns_getaddrinfo_cancel(a->lookup->request);
	a->lookup = NULL;
}

/* --- one address ---------------------------------------------------------------------- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	run_in(arg, 0);
}

/* 0 or an errno. */
static int watch(struct attempt *a)
{
	struct asyncore_map *map = asyncore_map(a->channel);
	struct event_base *base = asyncore_map_base(map);

	/* libevent would end the process. */
	if (a->fd >= FD_SETSIZE && strcmp(event_base_get_method(base), "select") == 0)
		return ERANGE;
	a->event = event_new(base, a->fd, EV_WRITE, on_writable, a);
	if (a->event == NULL)
		return ENOMEM;
	event_priority_set(a->event, asyncore_map_priority(map));
	return event_add(a->event, NULL) < 0 ? ENOMEM : 0;
}

static void unwatch(struct attempt *a)
{
	if (a->event != NULL)
		event_free(a->event);
	a->event = NULL;
}

/* Connect to a->at: 0, EINPROGRESS or another errno. */
static int begin(struct attempt *a)
{
	int error;

	if (!a->is_duplicate)
		a->fd = socket(a->at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return errno;
	if (connect(a->fd, a->at->ai_addr, (socklen_t)a->at->ai_addrlen) == 0 || errno == EISCONN)
		return 0;
	if (errno != EINPROGRESS && errno != EALREADY && errno != EINTR)
		return errno;
	error = watch(a);
	return error != 0 ? error : EINPROGRESS;
}

/* How it ended: 0 or an errno. */
static int outcome(const struct attempt *a)
{
	int error;
	socklen_t len = sizeof error;

	if (event_pending(a->event, EV_WRITE, NULL))
		return ETIMEDOUT;
	return getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

/* Give the address up. */
static void abandon(struct attempt *a)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	unwatch(a);
	if (a->is_duplicate && a->at != NULL) {
		/* So that it can be connected again. */
		connect(a->fd, &nobody, sizeof nobody);
	} else if (!a->is_duplicate && a->fd >= 0) {
		close(a->fd);
		a->fd = -1;
	}
}

/* The address after `at`, or the first: IPv6 before IPv4. */
static const struct evutil_addrinfo *following(const struct evutil_addrinfo *found,
					       const struct evutil_addrinfo *at)
{
	int family = at != NULL ? at->ai_family : AF_INET6;

	at = at != NULL ? at->ai_next : found;
	for (;; at = found, family = AF_INET) {
		for (; at != NULL; at = at->ai_next)
			if (at->ai_family == family)
				return at;
		if (family == AF_INET)
			return NULL;
	}
}

/* --- the attempt ---------------------------------------------------------------------- */

static void let_go(struct attempt *a)
{
	if (a->link == NULL)
		return;
	*a->link = a->next;
	if (a->next != NULL)
		a->next->link = a->link;
	a->link = NULL;
}

/* What the timer releases. */
static void attempt_free(void *arg)
{
	struct attempt *a = arg;

	let_go(a);
	cancel_lookup(a);
	unwatch(a);
	if (a->fd >= 0)
		close(a->fd);
	if (a->found != NULL)
		evutil_freeaddrinfo(a->found);
	free(a);
}

/* There is no connection: raise why. */
static int fail(struct attempt *a)
{
	const struct asyncore_dispatcher_type *type = a->channel->type;
	int r;

	let_go(a);		/* the handler may try again */
	r = ASYNCORE_RAISEF(a->channel, -a->error, "%s: %s", a->host,
			    a->text != NULL ? a->text : strerror(a->error));
	while (type != NULL && !(type->flags & ASYNCORE_CONNECT_EXPT))
		type = type->base;
	return type != NULL ? asyncore_handle_expt(a->channel) : r;
}

/* There is one: from now on the channel connects as any other, and its next write event
 * finds that it has. */
static int hand_over(struct attempt *a)
{
	struct asyncore_dispatcher *d = a->channel;
	int r;

	let_go(a);
	unwatch(a);
	r = asyncore_set_addr(d, a->at->ai_addr, (socklen_t)a->at->ai_addrlen);
	if (r >= 0 && a->is_duplicate) {
		r = asyncore_add_channel(d, NULL);
	} else if (r >= 0) {
		r = asyncore_set_socket(d, a->fd, NULL);
		/* It is the channel's now; or was, if an override closed that and failed. */
		if (r >= 0 || asyncore_remaining(asyncore_map(d), a->timer) < 0)
			a->fd = -1;
	}
	return ASYNCORE_RAISE(d, r);
}

static int try_next(struct attempt *a)
{
	while ((a->at = following(a->found, a->at)) != NULL) {
		a->text = NULL;
		a->error = begin(a);
		if (a->error == 0)
			return hand_over(a);
		if (a->error == EINPROGRESS)
			return run_in(a, a->timeout);
		abandon(a);
	}
	return fail(a);
}

/* The timer's call: a step has ended, or took too long. */
static int step(struct asyncore_dispatcher *d, void *arg)
{
	struct attempt *a = arg;
	int fd = a->is_duplicate ? asyncore_fileno(d) : asyncore_socket(d);

	if (a->link == NULL)	/* the resolver is no more */
		return fail(a);
	/* Has the program connected the channel, or opened a socket, by itself meanwhile? */
	if (asyncore_connected(d) || fd >= 0)
		return 0;
	if (a->lookup != NULL) {
		a->error = ETIMEDOUT;
		a->text = "no answer from the name servers in time";
		return fail(a);
	}
	if (a->at != NULL) {
		a->error = outcome(a);
		if (a->error == 0)
			return hand_over(a);
		abandon(a);
	}
	return try_next(a);
}

/* --- the public functions ------------------------------------------------------------- */

static bool is_under_way(const struct asyncore_dns *dns, const struct asyncore_dispatcher *d)
{
	const struct attempt *a = asyncore_connecting(d) ? dns->attempts : NULL;

	while (a != NULL && a->channel != d)
		a = a->next;
	return a != NULL;
}

int asyncore_dns_connect(struct asyncore_dns *dns, struct asyncore_dispatcher *d, const char *host,
			 int port, double timeout)
{
	int fd, family = AF_UNSPEC, r;
	struct attempt *a;
	int timer;

	if (dns == NULL || asyncore_map(d) != dns->map || host == NULL || port < 1 ||
	    port > 65535 || timeout != timeout)
		return -EINVAL;
	if (asyncore_connected(d) || is_under_way(dns, d))
		return -EALREADY;
	fd = asyncore_socket(d);
	if (fd >= 0 && (r = asyncore_family_and_type(d, &family, NULL)) < 0)
		return r;
	if (fd >= 0 && family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;

	a = calloc(1, sizeof *a + strlen(host) + 1);
	if (a == NULL)
		return -ENOMEM;
	strcpy(a->host, host);
	a->channel = d;
	a->timeout = timeout < 0 ? ASYNCORE_DNS_TIMEOUT : timeout;
	a->is_duplicate = fd >= 0;
	a->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (fd >= 0 && (a->fd < 0 || evutil_make_socket_nonblocking(a->fd) < 0)) {
		r = -errno;
		attempt_free(a);
		return r;
	}
	timer = asyncore_channel_call_later(d, a->timeout, step, a, attempt_free);
	if (timer < 0)
		return timer;
	a->timer = timer;
	r = fd >= 0 ? asyncore_del_channel(d, NULL) : 0;
	if (r < 0)
		asyncore_cancel(dns->map, timer);
	if (asyncore_remaining(dns->map, timer) < 0)
		return r < 0 ? r : 0;	/* an override may even have closed it */

	a->link = &dns->attempts;
	a->next = dns->attempts;
	if (a->next != NULL)
		a->next->link = &a->next;
	dns->attempts = a;
	asyncore_set_connecting(d, true);
	look_up(dns, a, family, port);
	return 0;
}

static int connect_by_name(struct asyncore_dispatcher *d, const char *host, int port, void *arg)
{
	return asyncore_dns_connect(arg, d, host, port, ASYNCORE_DNS_TIMEOUT);
}

struct asyncore_dns *asyncore_dns_new(struct asyncore_map *map, struct evdns_base *base)
{
	struct asyncore_dns *dns;

	if ((map == NULL && (map = asyncore_socket_map()) == NULL) ||
	    (dns = calloc(1, sizeof *dns)) == NULL)
		return NULL;
	dns->map = map;
	dns->base = base;
	dns->own_base = base == NULL;
	errno = 0;
	if (dns->own_base)
		dns->base = evdns_base_new(asyncore_map_base(map),
					   /* so that the application's loop may end */
					   EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (dns->base == NULL) {
		free(dns);
		errno = errno == ENOMEM ? ENOMEM : EIO;
		return NULL;
	}
	/* Without name servers it is still good for what stands in the hosts file. */
	if (dns->own_base)
		evdns_base_resolv_conf_parse(dns->base, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	asyncore_map_set_connect_cb(map, connect_by_name, dns);
	return dns;
}

void asyncore_dns_free(struct asyncore_dns *dns)
{
	struct attempt *a;

	if (dns == NULL)
		return;
	asyncore_map_set_connect_cb(dns->map, NULL, dns);
	while ((a = dns->attempts) != NULL) {
		let_go(a);
		cancel_lookup(a);
		abandon(a);
		a->error = ECANCELED;
		a->text = NULL;
		run_in(a, 0);
	}
	dns->ended = true;
	dns->lookups++;			/* this call */
	/* Nobody but the map runs a base of its own, and perhaps not again.  The library's
	 * callbacks only take notes, so it may have a turn even here. */
	if (dns->lookups > 1 && !asyncore_map_attached(dns->map))
		event_base_loop(asyncore_map_base(dns->map), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	/* On an application's base it may take its time; the descriptors go now. */
	if (dns->own_base)
		evdns_base_clear_nameservers_and_suspend(dns->base);
	lookup_ended(dns);
}

struct evdns_base *asyncore_dns_base(struct asyncore_dns *dns)
{
	return dns != NULL ? dns->base : NULL;
}
