/* SPDX-License-Identifier: BSD-3-Clause */

/* dns_world.c - see dns_world.h. */

#include "dns_world.h"

#include <arpa/inet.h>
#include <poll.h>
#include <time.h>

struct event_base *base;
struct asyncore_map *map;
struct name_server *server;
struct evdns_base *evdns;
struct asyncore_dns *dns;
int port;
struct seen_error error;

static int listener;

/* --- begin and end ---------------------------------------------------------------------- */

static void swallow(int severity, const char *message)
{
	(void)severity, (void)message;
}

static void begin_without_resolver(int way)
{
	base = way == OWN ? NULL : backend_base(way);
	map = asyncore_map_new(base);
	ck_assert_ptr_nonnull(map);
	server = name_server_new(asyncore_map_base(map));
	listener = tcp_listener(&port);
	memset(&error, 0, sizeof error);
	event_set_log_callback(swallow);	/* evdns tells of servers that fail */
	alarm(20);
}

static void use_server(struct evdns_base *resolver)
{
	ck_assert_int_eq(evdns_base_nameserver_ip_add(resolver, name_server_address(server)), 0);
}

void begin(int way)
{
	begin_without_resolver(way);
	evdns = evdns_base_new(asyncore_map_base(map), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	ck_assert_ptr_nonnull(evdns);
	use_server(evdns);
	dns = asyncore_dns_new(map, evdns);
	ck_assert_ptr_nonnull(dns);
}

void begin_with_own_evdns(int way)
{
	begin_without_resolver(way);
	evdns = NULL;
	dns = asyncore_dns_new(map, NULL);
	ck_assert_ptr_nonnull(dns);
	evdns_base_clear_nameservers_and_suspend(asyncore_dns_base(dns));
	use_server(asyncore_dns_base(dns));
	evdns_base_resume(asyncore_dns_base(dns));
}

void end_of_server(void)
{
	if (evdns != NULL)
		evdns_base_free(evdns, 0);
	name_server_free(server);
	close(listener);
}

void end_of_base(void)
{
	if (base != NULL)
		event_base_free(base);
	event_set_log_callback(NULL);
	alarm(0);
}

void end(void)
{
	asyncore_dns_free(dns);
	turns(3);	/* libevent gives cancelled look-ups back, and their channels are told */
	end_of_server();
	ck_assert_int_eq(asyncore_map_free(map), 0);
	end_of_base();
}

void turns(int n)
{
	while (n-- > 0) {
		if (base == NULL)
			step(map);
		else
			ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
	}
}

void turn_waiting(void)
{
	if (base == NULL)
		ck_assert_int_eq(asyncore_poll(1.0, map), 0);
	else
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
}

/* --- clients ---------------------------------------------------------------------------- */

int keep_error(struct probe *p)
{
	const struct asyncore_error *e = asyncore_error(&p->dispatcher);

	ck_assert_ptr_nonnull(e);
	error.code = e->code;
	snprintf(error.text, sizeof error.text, "%s", e->text);
	return asyncore_close(&p->dispatcher);
}

static int no_more_writing(struct probe *p)
{
	p->wants_write = 0;
	return 0;
}

struct probe *client_typed(const struct asyncore_dispatcher_type *type)
{
	struct probe *p = probe_new_typed(type, -1, map);

	p->wants_write = 1;
	p->on_connect = no_more_writing;
	p->on_error = keep_error;
	return p;
}

struct probe *client(void)
{
	return client_typed(&probe_type);
}

struct probe *client_with_socket(int family)
{
	struct probe *p = client();

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, family, SOCK_STREAM), 0);
	return p;
}

void connect_within(struct probe *p, const char *host, int where, double timeout)
{
	ck_assert_int_eq(asyncore_dns_connect(dns, &p->dispatcher, host, where, timeout), 0);
}

void connect_to(struct probe *p, const char *host, int where)
{
	connect_within(p, host, where, 10.0);
}

void assert_connected(const struct probe *p, const char *address, int where)
{
	const struct asyncore_dispatcher *d = &p->dispatcher;
	const struct sockaddr *addr = asyncore_addr(d, NULL);
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;
	char number[INET6_ADDRSTRLEN];
	bool is_in6;

	ck_assert_int_eq(p->connects, 1);
	ck_assert_int_eq(p->errors, 0);
	ck_assert(asyncore_connected(d));
	ck_assert(!asyncore_connecting(d));
	ck_assert_ptr_eq(asyncore_map_get(map, asyncore_fileno(d)), d);
	ck_assert_ptr_nonnull(addr);
	is_in6 = addr->sa_family == AF_INET6;
	inet_ntop(addr->sa_family, is_in6 ? (const void *)&in6->sin6_addr : &in->sin_addr, number,
		  sizeof number);
	ck_assert_str_eq(number, address);
	ck_assert_int_eq(ntohs(is_in6 ? in6->sin6_port : in->sin_port), where);
}

void await_connection(struct probe *p, const char *address, int where)
{
	until(p->connects > 0);
	assert_connected(p, address, where);
}

void assert_failed(int code, const char *text)
{
	ck_assert_str_eq(trace, "error 1 ");
	ck_assert_int_eq(error.code, code);
	if (text != NULL)
		ck_assert_str_eq(error.text, text);
	ck_assert_int_eq(probes_disposed, 1);
}

void await_failure(int code, const char *text)
{
	ck_assert_str_eq(trace, "");
	until(error.code != 0);
	turns(3);
	assert_failed(code, text);
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- sockets that answer, refuse and keep silent ------------------------------------------ */

int socket_at(const char *address, int where)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = loopback(where);
	const bool is_in6 = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1;
	int fd = socket(is_in6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -1;
	/* What is left of connections of before, of whatever program, is not in the way. */
	if (where != 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	in6.sin6_port = in.sin_port;
	inet_pton(AF_INET, address, &in.sin_addr);
	r = is_in6 ? bind(fd, (struct sockaddr *)&in6, sizeof in6)
		   : bind(fd, (struct sockaddr *)&in, sizeof in);
	if (r == 0)
		return fd;
	close(fd);
	return -1;
}

bool has_ipv6(void)
{
	int fd = socket_at("::1", 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int sockets_at(const char *first, const char *second, int fd[2])
{
	int tries, where;

	for (tries = 0; tries < 100; tries++) {
		fd[0] = socket_at(first, 0);
		ck_assert_int_ge(fd[0], 0);
		where = port_of(fd[0]);
		fd[1] = socket_at(second, where);
		if (fd[1] >= 0)
			return where;
		close(fd[0]);		/* somebody else has it there */
	}
	ck_abort_msg("no port that is free on %s and %s", first, second);
	return -1;
}

void answer_at(int fd)
{
	ck_assert_int_eq(listen(fd, 128), 0);
}

int be_silent_at(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int filler = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;

	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	connect(filler, (struct sockaddr *)&addr, sizeof addr);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	return filler;
}
