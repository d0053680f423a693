/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_dns_connect.c - connect by name: the addresses of a name, the socket that a channel
 * has already, and the end of it all at every stage.
 */

#include "dns_world.h"

#include <arpa/inet.h>
#include <sys/resource.h>

/* --- addresses ------------------------------------------------------------------------ */

START_TEST(addresses_are_tried_in_the_order_given)
{
	struct probe *p;
	int fd[2], where;

	begin(_i);
	where = sockets_at("127.0.0.9", "127.0.0.3", fd);
	answer_at(fd[0]);
	answer_at(fd[1]);
	/* Nobody is at the first two. */
	name_server_add(server, "www.example", NAME_ADDRESSES,
			"127.0.0.8 127.0.0.2 127.0.0.9 127.0.0.3");
	p = client();
	connect_to(p, "www.example", where);
	await_connection(p, "127.0.0.9", where);
	end();
	close_peers(fd, 2);
}
END_TEST

START_TEST(ipv6_is_tried_before_ipv4)
{
	struct probe *p;
	int fd[2], where;

	if (!has_ipv6())
		return;
	begin(_i);
	where = sockets_at("127.0.0.1", "::1", fd);
	answer_at(fd[0]);
	answer_at(fd[1]);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1 ::1");
	p = client();
	connect_to(p, "www.example", where);
	await_connection(p, "::1", where);
	end();
	close_peers(fd, 2);
}
END_TEST

START_TEST(ipv4_is_tried_when_ipv6_is_refused)
{
	struct probe *p;
	int fd[2], where;

	if (!has_ipv6())
		return;
	begin(_i);
	where = sockets_at("127.0.0.1", "::1", fd);
	answer_at(fd[0]);
	name_server_add(server, "www.example", NAME_ADDRESSES, "::1 127.0.0.1");
	p = client();
	connect_to(p, "www.example", where);
	await_connection(p, "127.0.0.1", where);
	end();
	close_peers(fd, 2);
}
END_TEST

START_TEST(silent_address_has_its_time)
{
	int fd[2], where, filler;
	double start;
	struct probe *p;

	begin(_i);
	where = sockets_at("127.0.0.2", "127.0.0.1", fd);
	filler = be_silent_at(fd[0]);
	answer_at(fd[1]);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.2 127.0.0.1");
	p = client();
	start = seconds_now();
	connect_within(p, "www.example", where, 0.1);
	await_connection(p, "127.0.0.1", where);
	ck_assert_double_ge(seconds_now() - start, 0.1);
	end();
	close_peers(fd, 2);
	close(filler);
}
END_TEST

/* The silent one is the first, or the last. */
START_TEST(last_address_says_why_there_is_no_connection)
{
	const bool last = _i / WAYS == 1;
	int fd[2], where, filler;

	begin(_i % WAYS);
	where = sockets_at("127.0.0.2", "127.0.0.1", fd);
	filler = be_silent_at(fd[last]);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.2 127.0.0.1");
	connect_within(client(), "www.example", where, 0.1);
	await_failure(last ? -ETIMEDOUT : -ECONNREFUSED,
		      last ? "www.example: Connection timed out"
			   : "www.example: Connection refused");
	end();
	close_peers(fd, 2);
	close(filler);
}
END_TEST

/* It is always ready, at the map's own priority: what is behind that has no turn. */
static void spin(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

START_TEST(connect_has_the_priority_of_the_map)
{
	struct event *spinner;
	struct probe *p;
	int fd[2];

	begin(_i);
	ck_assert_int_eq(asyncore_map_priority(map), 0);
	ck_assert_int_eq(event_base_priority_init(base, 2), 0);
	unix_pair(fd);
	put(fd[1], "x", 1);
	spinner = event_new(base, fd[0], EV_READ | EV_PERSIST, spin, NULL);
	event_priority_set(spinner, 0);
	event_add(spinner, NULL);
	p = client();
	connect_to(p, "127.0.0.1", port);
	turns(1000);
	assert_connected(p, "127.0.0.1", port);
	event_free(spinner);
	end();
	close_peers(fd, 2);
}
END_TEST

/* Let the process have no descriptor more. */
static void take_descriptors(struct rlimit *before)
{
	struct rlimit few;
	int next = dup(0);

	ck_assert_int_ge(next, 0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
	few = *before;
	few.rlim_cur = (rlim_t)next;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
}

START_TEST(want_of_descriptors_is_an_error)
{
	struct rlimit before;

	begin(_i);
	connect_to(client(), "127.0.0.1", port);
	take_descriptors(&before);
	await_failure(-EMFILE, NULL);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	end();
}
END_TEST

START_TEST(descriptor_that_select_cannot_watch_is_an_error)
{
	struct rlimit before, many;
	int fd[FD_SETSIZE], n = 0;

	begin(2);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	many = before;
	many.rlim_cur = FD_SETSIZE + 64;
	if (setrlimit(RLIMIT_NOFILE, &many) == 0) {
		do {
			fd[n++] = dup(0);
		} while (fd[n - 1] < FD_SETSIZE - 1);
		connect_to(client(), "127.0.0.1", port);
		await_failure(-ERANGE, NULL);
		close_peers(fd, n);
		setrlimit(RLIMIT_NOFILE, &before);
	}
	end();
}
END_TEST

/* --- a socket of the channel's own ---------------------------------------------------- */

START_TEST(socket_is_kept_with_its_options_and_its_address)
{
	int fd, local, on = 1, value = 0;
	socklen_t len = sizeof value;
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client_with_socket(AF_INET);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.7", 0), 0);
	fd = asyncore_socket(&p->dispatcher);
	local = port_of(fd);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
	connect_to(p, "www.example", port);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd);
	ck_assert_int_eq(port_of(fd), local);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	ck_assert_int_ne(value, 0);
	end();
}
END_TEST

START_TEST(channel_with_a_socket_is_out_of_the_map_meanwhile)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	p = client_with_socket(AF_INET);
	connect_to(p, "www.example", port);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	ck_assert_int_ge(asyncore_socket(&p->dispatcher), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	ck_assert(asyncore_connecting(&p->dispatcher));
	turns(5);
	ck_assert_str_eq(trace, "");	/* an unconnected socket is ready all the time */
	ck_assert_int_eq(probes_disposed, 0);
	end();
}
END_TEST

START_TEST(only_addresses_of_its_family_are_tried)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "::1 127.0.0.1");
	p = client_with_socket(AF_INET);
	connect_to(p, "www.example", port);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(name_server_questions(server), 1);
	end();
}
END_TEST

START_TEST(name_without_an_address_of_its_family_fails)
{
	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "::1");
	connect_to(client_with_socket(AF_INET), "www.example", port);
	await_failure(-EHOSTUNREACH, NULL);
	end();
}
END_TEST

START_TEST(number_of_another_family_is_eafnosupport)
{
	begin(_i);
	connect_to(client_with_socket(AF_INET), "::1", port);
	await_failure(-EAFNOSUPPORT, NULL);
	ck_assert_int_eq(name_server_questions(server), 0);
	end();
}
END_TEST

/* The first address refuses, or is silent. */
START_TEST(same_socket_tries_the_next_address)
{
	int fd[2], where, filler = -1, holder, on = 1;
	struct sockaddr_in addr;
	struct probe *p;

	begin(_i % WAYS);
	where = sockets_at("127.0.0.2", "127.0.0.1", fd);
	if (_i / WAYS == 1)
		filler = be_silent_at(fd[0]);
	answer_at(fd[1]);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.2 127.0.0.1");
	/* A port that was asked for: one that the kernel chose goes with the first failure. */
	holder = socket_at("127.0.0.7", 0);
	setsockopt(holder, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	addr = loopback(port_of(holder));
	inet_pton(AF_INET, "127.0.0.7", &addr.sin_addr);
	p = client_with_socket(AF_INET);
	asyncore_set_reuse_addr(&p->dispatcher);
	ck_assert_int_eq(asyncore_bind_sockaddr(&p->dispatcher, (struct sockaddr *)&addr,
						sizeof addr), 0);
	connect_within(p, "www.example", where, 0.1);
	await_connection(p, "127.0.0.1", where);
	ck_assert_int_eq(port_of(asyncore_socket(&p->dispatcher)), port_of(holder));
	end();
	close_peers(fd, 2);
	close(holder);
	if (filler >= 0)
		close(filler);
}
END_TEST

START_TEST(blocking_socket_does_not_block)
{
	int fd[2], where, filler;
	struct probe *p;

	begin(_i);
	where = sockets_at("127.0.0.2", "127.0.0.1", fd);
	filler = be_silent_at(fd[0]);
	p = client();
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, socket(AF_INET, SOCK_STREAM, 0), NULL),
			 0);
	connect_within(p, "127.0.0.2", where, 0.1);
	await_failure(-ETIMEDOUT, NULL);
	end();
	close_peers(fd, 2);
	close(filler);
}
END_TEST

START_TEST(datagram_socket_is_connected_too)
{
	struct sockaddr_in addr = loopback(0);
	struct probe *p;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char c;

	begin(_i);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	name_server_add(server, "log.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM), 0);
	connect_to(p, "log.example", port_of(fd));
	await_connection(p, "127.0.0.1", port_of(fd));
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 1);
	ck_assert_int_eq(recv(fd, &c, 1, 0), 1);
	end();
	close(fd);
}
END_TEST

START_TEST(socket_that_is_connected_already_is_taken_as_it_is)
{
	struct probe *p;
	int fd[2];

	begin(_i);
	tcp_pair(fd);
	p = client();
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], NULL), 0);
	connect_to(p, "127.0.0.1", port);
	await_connection(p, "127.0.0.1", port);
	put(fd[1], "x", 1);
	until(p->reads == 1);
	ck_assert_uint_eq(p->len, 1);
	end();
	close(fd[1]);
}
END_TEST

START_TEST(want_of_a_descriptor_leaves_the_socket_as_it_was)
{
	struct rlimit before;
	struct probe *p;

	begin(_i);
	p = client_with_socket(AF_INET);
	p->wants_read = p->wants_write = 0;
	take_descriptors(&before);
	ck_assert_int_eq(asyncore_dns_connect(dns, &p->dispatcher, "127.0.0.1", port, -1), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_ge(asyncore_fileno(&p->dispatcher), 0);
	ck_assert(!asyncore_connecting(&p->dispatcher));
	ck_assert_uint_eq(asyncore_timers(map), 0);
	end();
}
END_TEST

/* --- overrides that have a will of their own ------------------------------------------ */

static int spare_fd;

/* The spare descriptor has the number of the one that is closed. */
static int close_instead(struct asyncore_dispatcher *d, struct asyncore_map *m)
{
	(void)m;
	asyncore_close(d);
	spare_fd = dup(0);
	return -EPERM;
}

static const struct asyncore_dispatcher_type no_add_type = {
	.base = &probe_type,
	.add_channel = close_instead,
};

START_TEST(add_channel_that_closes_and_raises_is_an_error)
{
	begin(_i);
	connect_to(client_typed(&no_add_type), "127.0.0.1", port);
	await_failure(-EPERM, NULL);
	ck_assert_int_eq(close(spare_fd), 0);
	end();
}
END_TEST

static int end_resolver_and_add(struct asyncore_dispatcher *d, struct asyncore_map *m)
{
	asyncore_dns_free(dns);
	dns = NULL;
	return asyncore_dispatcher_add_channel(d, m);
}

static const struct asyncore_dispatcher_type ending_type = {
	.base = &probe_type,
	.add_channel = end_resolver_and_add,
};

START_TEST(add_channel_may_end_the_resolver)
{
	struct probe *p;

	begin(_i);
	p = client_typed(&ending_type);
	connect_to(p, "127.0.0.1", port);
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

static int deleted;

static int refuse_once(struct asyncore_dispatcher *d, struct asyncore_map *m)
{
	return deleted++ == 0 ? -EPERM : asyncore_dispatcher_del_channel(d, m);
}

static const struct asyncore_dispatcher_type no_del_type = {
	.base = &probe_type,
	.del_channel = refuse_once,
};

START_TEST(del_channel_that_raises_refuses_the_connect)
{
	struct probe *p;

	begin(_i);
	deleted = 0;
	p = client_typed(&no_del_type);
	p->wants_read = p->wants_write = 0;
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_dns_connect(dns, &p->dispatcher, "127.0.0.1", port, -1), -EPERM);
	ck_assert(!asyncore_connecting(&p->dispatcher));
	ck_assert_uint_eq(asyncore_timers(map), 0);
	turns(3);
	ck_assert_str_eq(trace, "");
	end();
}
END_TEST

/* --- what the program does meanwhile --------------------------------------------------- */

START_TEST(connection_of_the_programs_own_supersedes_it)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.2");
	p = client();
	connect_to(p, "www.example", port);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	until(p->connects == 1);
	name_server_go_on(server);
	until(asyncore_timers(map) == 0);
	turns(5);
	assert_connected(p, "127.0.0.1", port);
	end();
}
END_TEST

START_TEST(socket_of_the_programs_own_supersedes_it)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.1");
	p = client();
	p->wants_read = p->wants_write = 0;
	connect_to(p, "www.example", port);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	until(name_server_questions(server) == 2);
	name_server_go_on(server);
	until(asyncore_timers(map) == 0);
	turns(5);
	ck_assert_str_eq(trace, "");
	end();
}
END_TEST

/* Put back into the map, or called connected. */
START_TEST(socket_that_the_program_uses_itself_is_left_alone)
{
	struct probe *p;

	begin(_i % WAYS);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.1");
	p = client_with_socket(AF_INET);
	p->wants_read = p->wants_write = 0;
	connect_to(p, "www.example", port);
	if (_i / WAYS == 0)
		ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), 0);
	else
		ck_assert_int_eq(asyncore_set_connected(&p->dispatcher, true), 0);
	asyncore_ref(&p->dispatcher);
	until(name_server_questions(server) == 1);
	name_server_go_on(server);
	until(asyncore_timers(map) == 0);
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	turns(5);
	ck_assert_str_eq(trace, "");
	asyncore_unref(&p->dispatcher);
	end();
}
END_TEST

/* --- the end, at every stage ------------------------------------------------------------ */

/*
 * An attempt that goes through every stage, one after the other: the look-up, an address that
 * refuses, one that is silent.  It is left after `passes` passes.
 */
enum { STAGES = 10 };

static struct {
	int fd[2], filler;
} road;

static struct probe *on_the_road(bool own_socket, int passes)
{
	struct probe *p = own_socket ? client_with_socket(AF_INET) : client();
	int where = sockets_at("127.0.0.2", "127.0.0.1", road.fd);

	road.filler = be_silent_at(road.fd[1]);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.2 127.0.0.1");
	connect_to(p, "www.example", where);
	turns(passes);
	ck_assert_str_eq(trace, "");
	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	return p;
}

static void end_of_the_road(void)
{
	close_peers(road.fd, 2);
	close(road.filler);
}

#define at_each_stage(tc, test) tcase_add_loop_test(tc, test, 0, 2 * WAYS * STAGES)
#define stage_of(i) ((i) % STAGES)
#define way_of(i) ((i) / STAGES % WAYS)
#define own_socket_of(i) ((i) / STAGES / WAYS == 1)

START_TEST(close_ends_it)
{
	struct probe *p;

	begin(way_of(_i));
	p = on_the_road(own_socket_of(_i), stage_of(_i));
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert(!asyncore_connecting(&p->dispatcher));
	turns(5);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	end();
	end_of_the_road();
}
END_TEST

START_TEST(end_of_the_resolver_cancels_it)
{
	if (_i % 2)
		begin_with_own_evdns(way_of(_i / 2));
	else
		begin(way_of(_i / 2));
	on_the_road(own_socket_of(_i / 2), stage_of(_i / 2));
	asyncore_dns_free(dns);
	dns = NULL;
	ck_assert_str_eq(trace, "");
	turns(3);
	assert_failed(-ECANCELED, "www.example: Operation canceled");
	end();
	end_of_the_road();
}
END_TEST

static int connect_elsewhere(struct probe *p)
{
	error.code = asyncore_error(&p->dispatcher)->code;
	p->errors = 0;
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), 0);
	return asyncore_connect(&p->dispatcher, "127.0.0.1", port);
}

START_TEST(socket_may_be_used_again_after_the_end_of_the_resolver)
{
	struct probe *p;

	begin(way_of(_i));
	p = on_the_road(true, stage_of(_i));
	p->on_error = connect_elsewhere;
	asyncore_dns_free(dns);
	dns = NULL;
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(error.code, -ECANCELED);
	end();
	end_of_the_road();
}
END_TEST

START_TEST(descriptors_of_the_resolver_go_at_once)
{
	struct probe *p;
	int before;

	begin_with_own_evdns(_i);
	asyncore_dns_free(dns);
	before = open_descriptors();
	dns = asyncore_dns_new(map, NULL);
	ck_assert_ptr_nonnull(dns);
	p = client();
	connect_to(p, "www.example", port);
	asyncore_close(&p->dispatcher);
	asyncore_dns_free(dns);
	dns = NULL;
	ck_assert_int_eq(open_descriptors(), before);
	end();
}
END_TEST

/* libevent still has the look-up that was cancelled. */
START_TEST(close_and_the_end_of_the_resolver_at_once)
{
	struct probe *p;

	begin_with_own_evdns(way_of(_i));
	p = on_the_road(own_socket_of(_i), stage_of(_i));
	asyncore_close(&p->dispatcher);
	asyncore_dns_free(dns);
	dns = NULL;
	turns(3);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(probes_disposed, 1);
	end();
	end_of_the_road();
}
END_TEST

/* Nothing runs between the two, so nobody is told. */
START_TEST(end_of_the_resolver_and_of_the_map_at_once)
{
	struct probe *p;

	begin_with_own_evdns(way_of(_i));
	p = on_the_road(own_socket_of(_i), stage_of(_i));
	asyncore_ref(&p->dispatcher);
	end_of_server();
	asyncore_dns_free(dns);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_str_eq(trace, "");
	asyncore_close(&p->dispatcher);
	asyncore_unref(&p->dispatcher);
	ck_assert_int_eq(probes_disposed, 1);
	if (base != NULL)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	end_of_base();
	end_of_the_road();
}
END_TEST

static int end_resolver(struct probe *p)
{
	asyncore_dns_free(dns);
	dns = NULL;
	return asyncore_close(&p->dispatcher);
}

START_TEST(handler_that_it_called_may_end_the_resolver)
{
	struct probe *p;

	begin_with_own_evdns(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	connect_to(client(), "www.example", port);
	p = client();
	p->on_error = end_resolver;
	connect_to(p, "nobody.example", port);
	until(error.code != 0);
	ck_assert_str_eq(trace, "error 2 error 1 ");
	ck_assert_int_eq(error.code, -ECANCELED);
	end();
}
END_TEST

/* --- the suite -------------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "addresses");

	in_each_way(tc, addresses_are_tried_in_the_order_given);
	in_each_way(tc, ipv6_is_tried_before_ipv4);
	in_each_way(tc, ipv4_is_tried_when_ipv6_is_refused);
	in_each_way(tc, silent_address_has_its_time);
	tcase_add_loop_test(tc, last_address_says_why_there_is_no_connection, 0, 2 * WAYS);
	on_each_backend(tc, connect_has_the_priority_of_the_map);
	in_each_way(tc, want_of_descriptors_is_an_error);
	tcase_add_test(tc, descriptor_that_select_cannot_watch_is_an_error);

	tc = suite_case(suite, "sockets");
	in_each_way(tc, socket_is_kept_with_its_options_and_its_address);
	in_each_way(tc, channel_with_a_socket_is_out_of_the_map_meanwhile);
	in_each_way(tc, only_addresses_of_its_family_are_tried);
	in_each_way(tc, name_without_an_address_of_its_family_fails);
	in_each_way(tc, number_of_another_family_is_eafnosupport);
	tcase_add_loop_test(tc, same_socket_tries_the_next_address, 0, 2 * WAYS);
	in_each_way(tc, blocking_socket_does_not_block);
	in_each_way(tc, datagram_socket_is_connected_too);
	in_each_way(tc, socket_that_is_connected_already_is_taken_as_it_is);
	in_each_way(tc, want_of_a_descriptor_leaves_the_socket_as_it_was);

	tc = suite_case(suite, "overrides");
	in_each_way(tc, add_channel_that_closes_and_raises_is_an_error);
	in_each_way(tc, add_channel_may_end_the_resolver);
	in_each_way(tc, del_channel_that_raises_refuses_the_connect);

	tc = suite_case(suite, "superseded");
	in_each_way(tc, connection_of_the_programs_own_supersedes_it);
	in_each_way(tc, socket_of_the_programs_own_supersedes_it);
	tcase_add_loop_test(tc, socket_that_the_program_uses_itself_is_left_alone, 0, 2 * WAYS);

	tc = suite_case(suite, "the end");
	at_each_stage(tc, close_ends_it);
	tcase_add_loop_test(tc, end_of_the_resolver_cancels_it, 0, 4 * WAYS * STAGES);
	tcase_add_loop_test(tc, socket_may_be_used_again_after_the_end_of_the_resolver, 0,
			    WAYS * STAGES);
	in_each_way(tc, descriptors_of_the_resolver_go_at_once);
	at_each_stage(tc, close_and_the_end_of_the_resolver_at_once);
	at_each_stage(tc, end_of_the_resolver_and_of_the_map_at_once);
	in_each_way(tc, handler_that_it_called_may_end_the_resolver);
}

SUITE_MAIN("dns_connect", add_cases)
