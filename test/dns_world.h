/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dns_world.h - what the suites of connecting by name share: a map with a resolver, a name
 * server for it, somebody who listens, clients, and sockets that refuse or keep silent.
 */

#ifndef DNS_WORLD_H
#define DNS_WORLD_H

#include "name_server.h"
#include "support.h"

#include <asyncore_dns.h>
#include <asyncore_event.h>
#include <event2/dns.h>
#include <event2/event.h>

/* The ways of running a map: the application's loop on each backend, and our own. */
enum { OWN = BACKENDS, WAYS };

extern struct event_base *base;		/* NULL: the map has one of its own */
extern struct asyncore_map *map;
extern struct name_server *server;
extern struct evdns_base *evdns;	/* NULL: the resolver has one of its own */
extern struct asyncore_dns *dns;
extern int port;			/* of 127.0.0.1, where a listening socket is */

/* What a client's handle_error() saw last. */
extern struct seen_error {
	int code;
	char text[200];
} error;

/* The beginning of a test; the resolver works on an evdns_base of the test's, or on its own. */
void begin(int way);
void begin_with_own_evdns(int way);
/* The end; ends the resolver unless `dns` is NULL. */
void end(void);

/* The same in its two halves: without a map, and all but the map. */
void end_of_server(void);
void end_of_base(void);

/* Passes, or turns of the application's loop, that do not wait. */
void turns(int n);
/* One that does. */
void turn_waiting(void);

#define until(condition) \
	do { \
		int turns_ = 0; \
		while (!(condition) && turns_++ < 1000) \
			turn_waiting(); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

/* A probe that wants to write until it is connected, and when it fails keeps its error and
 * closes itself; on a new socket of its own, too. */
struct probe *client_typed(const struct asyncore_dispatcher_type *type);
struct probe *client(void);
struct probe *client_with_socket(int family);
int keep_error(struct probe *p);

/* asyncore_dns_connect(), which has to succeed. */
void connect_within(struct probe *p, const char *host, int where, double timeout);
void connect_to(struct probe *p, const char *host, int where);

/* The client is connected to this address, after one handle_connect(). */
void assert_connected(const struct probe *p, const char *address, int where);
/* Wait for that. */
void await_connection(struct probe *p, const char *address, int where);

/* Wait until the only client fails, with this error and, unless it is NULL, this text. */
void await_failure(int code, const char *text);
/* The only client failed so, and was told nothing else. */
void assert_failed(int code, const char *text);

double seconds_now(void);

/* A socket that is bound there, and refuses connections; -1 if that cannot be. */
int socket_at(const char *address, int where);
bool has_ipv6(void);
/* Two such sockets on one port of two addresses; returns the port. */
int sockets_at(const char *first, const char *second, int fd[2]);
/* From now on such a socket takes connections; or neither takes nor refuses them, because its
 * backlog is full: returns the connection that fills it. */
void answer_at(int fd);
int be_silent_at(int fd);

#define in_each_way(tc, test) tcase_add_loop_test(tc, test, 0, WAYS)
#define on_each_backend(tc, test) tcase_add_loop_test(tc, test, 0, BACKENDS)

#endif /* DNS_WORLD_H */
