/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * support.h - what every suite needs.
 *
 * A suite adds its cases with suite_case() and ends with SUITE_MAIN("name", add_cases).
 * Every case made by suite_case() runs with a fixture that, at the end of each test,
 * asserts that the default map is empty and that no descriptor is left open.
 */

#ifndef SUPPORT_H
#define SUPPORT_H

#include <asyncore.h>

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A case with the fixture above, in a suite. */
TCase *suite_case(Suite *suite, const char *name);

/* Run a suite; the exit status of main(). */
int suite_run(Suite *suite);

/* Number of open descriptors of this process. */
int open_descriptors(void);

/* One pass without waiting / until a condition holds, in passes that wait at most a
 * second, at most `limit` of them; fails the test otherwise. */
#define step(map) ck_assert_int_eq(asyncore_poll(0.0, (map)), 0)
#define step2(map) ck_assert_int_eq(asyncore_poll2(0.0, (map)), 0)
#define run_until(condition, map) \
	do { \
		int passes_ = 0; \
		while (!(condition) && passes_++ < 200) \
			ck_assert_int_eq(asyncore_poll(1.0, (map)), 0); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

/* Two connected, non-blocking, close-on-exec stream sockets (AF_UNIX or over TCP on
 * loopback). */
void unix_pair(int fd[2]);
void tcp_pair(int fd[2]);

/* A listening TCP socket on 127.0.0.1, non-blocking; *port is what the kernel chose. */
int tcp_listener(int *port);
/* A TCP port of 127.0.0.1 on which nobody listens (bound, not listening, by *holder). */
int refused_port(int *holder);
/* The port of a bound socket. */
int port_of(int fd);

/* Make the next close() of a TCP socket reset the connection. */
void reset_on_close(int fd);

/* Write all / read exactly n bytes on a descriptor of the test's own, waiting with
 * poll(2), failing the test after some seconds. */
void put(int fd, const void *data, size_t n);
void take(int fd, void *buffer, size_t n);
/* Everything until the end of the file; the number of bytes. */
size_t drain(int fd);

/*
 * A channel that counts the calls of its handlers and does what the test says: each
 * `on_...` hook, if set, replaces the default reaction.  It is on the heap (dealloc frees
 * it and counts into probes_disposed) and its predicates answer wants_read/wants_write.
 */
struct probe {
	struct asyncore_dispatcher dispatcher;
	int id;				/* 1, 2, ... in the order of probe_new() in a test */
	int reads, writes, expts, connects, closes, errors, accepts, accepteds;
	int readables, writables, disposes;
	int wants_read, wants_write;	/* what the predicates return */
	int last_error;			/* code seen by handle_error */
	char data[4096];		/* received by the default handle_read */
	size_t len;
	void *arg;
	int (*on_read)(struct probe *);
	int (*on_write)(struct probe *);
	int (*on_expt)(struct probe *);
	int (*on_connect)(struct probe *);
	int (*on_close)(struct probe *);	/* default: asyncore_close() */
	int (*on_error)(struct probe *);	/* default: asyncore_close() */
	int (*on_accepted)(struct probe *, int fd);	/* default: close(fd) */
	int (*on_readable)(struct probe *);
	int (*on_writable)(struct probe *);
	void (*on_dispose)(struct probe *);
};

/* All probes that were disposed of in this test. */
extern int probes_disposed;

/* probe_type overrides everything, probe_plain_type leaves out handle_expt. */
extern const struct asyncore_dispatcher_type probe_type;
extern const struct asyncore_dispatcher_type probe_plain_type;

/* A probe on `fd` (-1: none) in `map`; wants_read 1, wants_write 0. */
struct probe *probe_new(int fd, struct asyncore_map *map);
struct probe *probe_new_typed(const struct asyncore_dispatcher_type *type, int fd,
			      struct asyncore_map *map);

/* The same on one end of a new unix_pair(), whose other end is the test's, and n of them. */
struct probe *probe_and_peer(struct asyncore_map *map, int *peer);
void probes_and_peers(struct asyncore_map *map, struct probe **p, int *peer, int n);
void close_peers(const int *peer, int n);

/* Every handler call of the probes since the last reset, in order: "read 1 write 1 read 2 "
 * where the number is the probe's id. */
extern char trace[65536];
void trace_reset(void);
void trace_call(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* 127.0.0.1 and a port, as an address. */
struct sockaddr_in loopback(int port);

/* A path for an AF_UNIX socket, in a new directory of its own; remove both. */
struct unix_path {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};
struct unix_path unix_path_new(void);
void unix_path_remove(const struct unix_path *where);
/* A non-blocking AF_UNIX socket bound there, of type SOCK_STREAM (which listens) or
 * SOCK_DGRAM. */
int unix_bound(const struct unix_path *where, int type);

/* What log_info() said in this test, as lines "TYPE: MESSAGE\n", if a table's log_info is
 * log_info_kept. */
extern char kept_log[8192];
int log_info_kept(struct asyncore_dispatcher *self, const char *message, const char *type);

/*
 * libevent's backends, for tests that run on each of them:
 * tcase_add_loop_test(tc, a_test, 0, BACKENDS), and _i in the test is the backend.
 * A base on it; a map on such a base, and the end of both.
 */
enum { BACKENDS = 3 };
struct event_base *backend_base(int backend);
struct asyncore_map *backend_map(int backend);
void backend_map_end(struct asyncore_map *map);

#define SUITE_MAIN(suite_name, add_cases) \
	int main(void) \
	{ \
		Suite *suite = suite_create(suite_name); \
		add_cases(suite); \
		return suite_run(suite); \
	}

#endif /* SUPPORT_H */
