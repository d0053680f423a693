/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * asyncore_dns.h - connect by name without blocking the loop, through libevent's evdns.
 *
 * A library of its own, libasyncore_dns, because it needs libevent_extra.
 *
 *	struct asyncore_dns *dns = asyncore_dns_new(map, NULL);
 *	...
 *	asyncore_dns_connect(dns, &channel->dispatcher, "www.example.org", 80, 5.0);
 *
 * The conventions are those of asyncore.h: results, errors, owners, threads.
 */

#ifndef ASYNCORE_DNS_H
#define ASYNCORE_DNS_H

#include <asyncore.h>

#ifdef __cplusplus
extern "C" {
#endif

struct asyncore_dns;
struct evdns_base;

/* The default timeout, in seconds, of a look-up and of each address that is tried. */
#define ASYNCORE_DNS_TIMEOUT 10.0

/*
 * Look names up for the channels of `map`, which must outlive this.  base: an evdns_base of
 * the application's on the map's event base, which must outlive this too; NULL makes one,
 * with the name servers of /etc/resolv.conf and the names of /etc/hosts.
 * From now on asyncore_connect() of a channel in this map, given a name that is no number,
 * does not block: it behaves as asyncore_dns_connect() with the default timeout.  Of several
 * on one map, the last one made.
 * (evdns says on standard error when a name server fails; event_set_log_callback() silences
 * it.)  NULL with errno: ENOMEM; EIO when evdns does not start.
 */
ASYNCORE_API struct asyncore_dns *asyncore_dns_new(struct asyncore_map *map,
						   struct evdns_base *base);

/*
 * The end.  Connects that are under way fail: their channels raise -ECANCELED, soon.  NULL is
 * ignored.
 * libevent 2.1 gives a look-up that was cancelled back in a later turn of the base's loop.  A
 * map's own base has one turn here for that, if a look-up was under way.  An application's
 * base has to go round once more, before it or an evdns_base that was given to
 * asyncore_dns_new() is freed.
 */
ASYNCORE_API void asyncore_dns_free(struct asyncore_dns *dns);

/* The evdns_base, to be configured with libevent's own functions; not the caller's. */
ASYNCORE_API struct evdns_base *asyncore_dns_base(struct asyncore_dns *dns);

/*
 * Connect `d`, of the same map, to host and port without blocking.  host: a name, a number, or
 * "" for this host.  timeout: seconds for the look-up, and again for each address; negative:
 * the default.
 * A channel without a descriptor gets a stream socket; the addresses are tried one after the
 * other, IPv6 before IPv4, each kind in the order in which the resolver gave them, until one
 * answers.  A channel that has a socket keeps it, with its options and the address that it is
 * bound to, and only addresses of its family are tried; it is made non-blocking, and is out of
 * the map meanwhile (and after a failure).
 * `connecting` is true from now on.  When the connection is there the channel enters the map,
 * `addr` is the address that answered, and handle_connect() comes with the first write event,
 * as after any connect.  When there is none the channel raises, in a pass: handle_error() is
 * called, with the text of the resolver or of the last address (ASYNCORE_CONNECT_EXPT:
 * handle_expt()); `connecting` stays true, as after any connect that failed.
 * close() ends it; nothing is called then.
 * Returns 0 when it is under way.  The channel is held meanwhile, and the loop goes on.
 * Errors: -EINVAL for a port outside of 1 to 65535, or another map; -EALREADY while it
 * connects by name already, or is connected; -EAFNOSUPPORT for a socket that is neither
 * AF_INET nor AF_INET6; -EMFILE; -ENOMEM.  Raised later: -ENOENT for a name that does not
 * exist; -EHOSTUNREACH when the name servers fail, or know no address of the name (evdns does
 * not tell which); -EAFNOSUPPORT for a number of another family than the socket's; -ETIMEDOUT;
 * what connect(2) says of the last address.
 */
ASYNCORE_API int asyncore_dns_connect(struct asyncore_dns *dns, struct asyncore_dispatcher *d,
				      const char *host, int port, double timeout);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCORE_DNS_H */
