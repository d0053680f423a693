/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_dns.c - names: what becomes of them, by asyncore_dns_connect() and by
 * asyncore_connect().  check_dns_connect.c is about the addresses that they have.
 */

#include "dns_world.h"

#include <asynchat.h>
#include <math.h>

/* --- answers -------------------------------------------------------------------------- */

START_TEST(name_is_looked_up_and_connected)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	connect_to(p, "www.example", port);
	until(p->writes == 1);
	assert_connected(p, "127.0.0.1", port);
	ck_assert_int_eq(name_server_questions(server), 2);	/* IPv4, IPv6 */
	turns(5);
	ck_assert_str_eq(trace, "connect 1 write 1 ");
	end();
}
END_TEST

START_TEST(channel_is_connecting_and_in_no_map_meanwhile)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.1");
	p = client();
	connect_to(p, "www.example", port);
	ck_assert(asyncore_connecting(&p->dispatcher));
	until(name_server_questions(server) == 2);
	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert(!asyncore_connected(&p->dispatcher));
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	name_server_go_on(server);
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

START_TEST(servers_are_asked_again)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	ck_assert_int_eq(evdns_base_set_option(evdns, "timeout:", "0.1"), 0);
	p = client();
	connect_to(p, "www.example", port);
	until(name_server_questions(server) == 2);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

START_TEST(number_needs_no_name_server)
{
	static const char *const number[] = { "127.0.0.1", "::1", "::1%lo" };
	const char *bare = _i / WAYS == 0 ? "127.0.0.1" : "::1";
	struct probe *p;
	int fd;

	if (_i / WAYS > 0 && !has_ipv6())
		return;
	begin(_i % WAYS);
	fd = socket_at(bare, 0);
	answer_at(fd);
	p = client();
	connect_to(p, number[_i / WAYS], port_of(fd));
	await_connection(p, bare, port_of(fd));
	ck_assert_int_eq(name_server_questions(server), 0);
	end();
	close(fd);
}
END_TEST

START_TEST(hosts_file_needs_no_name_server)
{
	FILE *hosts = tmpfile();
	struct probe *p;
	char path[40];

	ck_assert_ptr_nonnull(hosts);
	fprintf(hosts, "127.0.0.1 here.example\n");
	fflush(hosts);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(hosts));
	begin(_i);
	ck_assert_int_eq(evdns_base_load_hosts(evdns, path), 0);
	fclose(hosts);
	p = client();
	connect_to(p, "here.example", port);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(name_server_questions(server), 0);
	/* There, but with no address of the family. */
	p = client_with_socket(AF_INET6);
	connect_to(p, "here.example", port);
	until(error.code != 0);
	ck_assert_int_eq(error.code, -ENOENT);
	end();
}
END_TEST

START_TEST(resolvers_own_evdns_knows_localhost)
{
	struct probe *p;

	begin_with_own_evdns(_i);
	p = client();
	connect_to(p, "localhost", port);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(name_server_questions(server), 0);
	end();
}
END_TEST

START_TEST(numbers_work_without_name_servers)
{
	struct probe *p;

	begin(_i);
	evdns_base_clear_nameservers_and_suspend(evdns);
	p = client();
	connect_to(p, "127.0.0.1", port);
	await_connection(p, "127.0.0.1", port);
	asyncore_close(&p->dispatcher);
	connect_within(client(), "www.example", port, 0.05);
	until(error.code != 0);
	ck_assert_int_eq(error.code, -ETIMEDOUT);
	end();
}
END_TEST

START_TEST(empty_name_is_this_host)
{
	struct probe *p;

	begin(_i);
	p = client();
	connect_to(p, "", port);
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

START_TEST(fifty_names_are_looked_up_at_once)
{
	struct probe *p[50];
	int i;

	begin(_i);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.1");
	for (i = 0; i < 50; i++) {
		p[i] = client();
		connect_to(p[i], "www.example", port);
	}
	until(name_server_questions(server) == 64);	/* evdns asks no more at once */
	name_server_go_on(server);
	for (i = 0; i < 50; i++)
		until(p[i]->connects == 1);
	for (i = 0; i < 50; i++)
		assert_connected(p[i], "127.0.0.1", port);
	end();
}
END_TEST

START_TEST(other_channels_are_served_meanwhile)
{
	struct probe *other;
	int peer;

	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	connect_to(client(), "www.example", port);
	other = probe_and_peer(map, &peer);
	put(peer, "x", 1);
	until(other->reads == 1);
	ck_assert_str_eq(trace, "read 2 ");
	end();
	close(peer);
}
END_TEST

/* --- failures ------------------------------------------------------------------------- */

START_TEST(name_that_does_not_exist_is_enoent)
{
	char text[200];

	begin(_i);
	connect_to(client(), "nobody.example", port);
	snprintf(text, sizeof text, "nobody.example: %s", evutil_gai_strerror(EVUTIL_EAI_NONAME));
	await_failure(-ENOENT, text);
	end();
}
END_TEST

START_TEST(look_up_has_its_time)
{
	const char *text = "www.example: no answer from the name servers in time";
	double start;

	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	start = seconds_now();
	connect_within(client(), "www.example", port, 0.1);
	await_failure(-ETIMEDOUT, text);
	ck_assert_double_ge(seconds_now() - start, 0.1);
	end();
}
END_TEST

START_TEST(look_up_that_has_no_time_fails_in_a_pass)
{
	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	connect_within(client(), "www.example", port, 0.0);
	await_failure(-ETIMEDOUT, NULL);
	end();
}
END_TEST

/* evdns does not tell them apart. */
START_TEST(servers_that_have_no_address_are_ehostunreach)
{
	static const struct {
		enum name_reply reply;
		const char *addresses;
	} row[] = {
		{ NAME_SILENCE, "127.0.0.1" },
		{ NAME_FAILURE, "127.0.0.1" },
		{ NAME_REFUSED, "127.0.0.1" },
		{ NAME_TRUNCATED, "127.0.0.1" },
		{ NAME_CUT_OFF, "127.0.0.1" },
		{ NAME_WRONG_QUESTION, "127.0.0.1" },
		{ NAME_ADDRESSES, "" },
	};

	begin(_i % WAYS);
	ck_assert_int_eq(evdns_base_set_option(evdns, "timeout:", "0.05"), 0);
	ck_assert_int_eq(evdns_base_set_option(evdns, "attempts:", "1"), 0);
	name_server_add(server, "www.example", row[_i / WAYS].reply, row[_i / WAYS].addresses);
	connect_to(client(), "www.example", port);
	await_failure(-EHOSTUNREACH, "www.example: no address from the name servers");
	end();
}
END_TEST

START_TEST(nonsense_is_not_taken_for_an_answer)
{
	static const enum name_reply reply[] = { NAME_GARBAGE, NAME_WRONG_ID };

	begin(_i % WAYS);
	name_server_add(server, "www.example", reply[_i / WAYS], "127.0.0.1");
	connect_within(client(), "www.example", port, 0.1);
	await_failure(-ETIMEDOUT, NULL);
	ck_assert_int_eq(name_server_questions(server), 2);
	end();
}
END_TEST

START_TEST(name_that_cannot_be_asked_for_fails)
{
	char name[400];

	begin(_i % WAYS);
	memset(name, 'a', sizeof name);
	name[_i / WAYS == 0 ? 64 : 399] = '\0';		/* a label, a name too long */
	connect_to(client(), name, port);
	await_failure(-EHOSTUNREACH, NULL);
	ck_assert_int_eq(name_server_questions(server), 0);
	end();
}
END_TEST

START_TEST(answer_after_the_time_is_nothing)
{
	begin(_i);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.1");
	connect_within(client(), "www.example", port, 0.05);
	await_failure(-ETIMEDOUT, NULL);
	name_server_go_on(server);
	turns(5);
	assert_failed(-ETIMEDOUT, NULL);
	end();
}
END_TEST

static const struct asyncore_dispatcher_type expt_parent_type = {
	.base = &probe_type,
	.flags = ASYNCORE_CONNECT_EXPT,
};

static const struct asyncore_dispatcher_type expt_type = { .base = &expt_parent_type };

START_TEST(class_may_want_handle_expt_instead)
{
	struct probe *p;

	begin(_i);
	p = client_typed(&expt_type);
	p->on_expt = keep_error;
	connect_to(p, "nobody.example", port);
	until(error.code != 0);
	turns(3);
	ck_assert_str_eq(trace, "expt 1 ");
	ck_assert_int_eq(error.code, -ENOENT);
	ck_assert_ptr_eq(strstr(error.text, "nobody.example: "), error.text);
	end();
}
END_TEST

static const struct asyncore_dispatcher_type plain_type = {
	.base = &asyncore_dispatcher_type,
	.name = "plain",
	.log_info = log_info_kept,
	.dealloc = asyncore_dealloc_free,
};

START_TEST(default_handle_error_logs_why_and_closes)
{
	struct asyncore_dispatcher *d = calloc(1, sizeof *d);

	begin(_i);
	ck_assert_int_eq(asyncore_dispatcher_init(d, &plain_type, -1, map), 0);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, "nobody.example", port, -1), 0);
	asyncore_ref(d);
	until(kept_log[0] != '\0');
	ck_assert_ptr_nonnull(strstr(kept_log, "(ENOENT:nobody.example: "));
	ck_assert(!asyncore_connecting(d));
	asyncore_unref(d);
	end();
}
END_TEST

static int try_again(struct probe *p)
{
	connect_to(p, "www.example", port);
	p->errors = 0;
	return 0;
}

START_TEST(handler_may_try_again)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	p->on_error = try_again;
	connect_to(p, "nobody.example", port);
	until(p->writes == 1);
	ck_assert_str_eq(trace, "error 1 connect 1 write 1 ");
	assert_connected(p, "127.0.0.1", port);
	end();
}
END_TEST

static int close_and_try_again(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	p->connects = 0;
	p->wants_write = 1;
	return try_again(p);
}

START_TEST(closed_channel_may_connect_again)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	p->on_close = close_and_try_again;
	connect_to(p, "www.example", port);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(asyncore_handle_close(&p->dispatcher), 0);
	ck_assert_int_eq(p->connects, 0);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(probes_disposed, 0);
	end();
}
END_TEST

/* --- asyncore_connect() --------------------------------------------------------------- */

static void asyncore_connect_to(struct probe *p, const char *host)
{
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, host, port), 0);
}

START_TEST(asyncore_connect_by_name_does_not_block)
{
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_LATER, "127.0.0.1");
	p = client_with_socket(AF_INET);
	asyncore_connect_to(p, "www.example");
	ck_assert(asyncore_connecting(&p->dispatcher));
	until(name_server_questions(server) == 1);
	name_server_go_on(server);
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

static int note(struct asyncore_map *of, void *arg)
{
	(void)of;
	*(bool *)arg = true;
	return 0;
}

/* That is longer than this one at least. */
START_TEST(default_time_is_not_a_moment)
{
	bool later = false;

	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	connect_within(client(), "www.example", port, -1);
	asyncore_connect_to(client_with_socket(AF_INET), "www.example");
	asyncore_call_later(map, 0.05, note, &later, NULL);
	until(later);
	ck_assert_str_eq(trace, "");
	ck_assert_uint_eq(asyncore_timers(map), 2);
	end();
}
END_TEST

START_TEST(asyncore_connect_to_a_number_is_as_ever)
{
	struct probe *p;

	begin(_i);
	p = client_with_socket(AF_INET);
	asyncore_connect_to(p, "127.0.0.1");
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

START_TEST(asyncore_connect_blocks_again_after_the_end)
{
	struct probe *p;

	begin(_i);
	asyncore_dns_free(dns);
	dns = NULL;
	p = client_with_socket(AF_INET);
	asyncore_connect_to(p, "localhost");
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(name_server_questions(server), 0);
	end();
}
END_TEST

START_TEST(of_several_the_last_one_made_serves_asyncore_connect)
{
	struct asyncore_dns *first;
	struct probe *p;

	begin(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	first = dns;
	dns = asyncore_dns_new(map, NULL);
	ck_assert_ptr_nonnull(dns);
	evdns_base_clear_nameservers_and_suspend(asyncore_dns_base(dns));
	p = client_with_socket(AF_INET);
	asyncore_connect_to(p, "www.example");
	turns(5);
	ck_assert_int_eq(name_server_questions(server), 0);
	asyncore_close(&p->dispatcher);
	p = client();
	ck_assert_int_eq(asyncore_dns_connect(first, &p->dispatcher, "www.example", port, -1), 0);
	await_connection(p, "127.0.0.1", port);
	ck_assert_int_eq(name_server_questions(server), 2);

	/* The end of another one changes nothing. */
	asyncore_dns_free(first);
	p = client_with_socket(AF_INET);
	asyncore_connect_to(p, "www.example");
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	end();
}
END_TEST

/* --- the loop ------------------------------------------------------------------------- */

static int close_self(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

START_TEST(asyncore_loop_ends_with_the_last_connection)
{
	struct probe *p;

	begin(OWN);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	p->on_connect = close_self;
	connect_to(p, "www.example", port);
	connect_to(client(), "nobody.example", port);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	ck_assert_int_eq(probes_disposed, 2);
	end();
}
END_TEST

/* The server, which is an event of the test's, is done with too. */
static int close_both(struct probe *p)
{
	name_server_free(server);
	return asyncore_close(&p->dispatcher);
}

static void dispatch_to_the_end(void)
{
	ck_assert_int_ge(event_base_dispatch(base), 0);
	ck_assert_int_eq(probes_disposed, 1);
	server = name_server_new(base);
	end();
}

START_TEST(event_base_dispatch_ends_by_itself)
{
	struct probe *p;

	begin_with_own_evdns(_i);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	p->on_connect = close_both;
	connect_to(p, "www.example", port);
	dispatch_to_the_end();
	ck_assert_str_eq(trace, "connect 1 ");
}
END_TEST

/* evdns would go on looking whether a server is there again. */
START_TEST(event_base_dispatch_ends_when_the_servers_are_silent)
{
	struct probe *p;

	begin_with_own_evdns(_i);
	evdns_base_set_option(asyncore_dns_base(dns), "timeout:", "0.05");
	evdns_base_set_option(asyncore_dns_base(dns), "attempts:", "2");
	evdns_base_set_option(asyncore_dns_base(dns), "max-timeouts:", "1");
	name_server_add(server, "www.example", NAME_SILENCE, "");
	p = client();
	p->on_error = close_both;
	connect_to(p, "www.example", port);
	dispatch_to_the_end();
	ck_assert_str_eq(trace, "error 1 ");
}
END_TEST

struct talker {
	struct async_chat chat;
	char line[32];
};

static int talker_connected(struct asyncore_dispatcher *d)
{
	(void)d;
	return 0;
}

static int talker_line(struct async_chat *chat)
{
	struct talker *t = (struct talker *)chat;

	snprintf(t->line, sizeof t->line, "%s", async_chat_get_data(chat, NULL));
	return async_chat_push(chat, "bye\r\n", 5);
}

static const struct async_chat_type talker_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "talker",
		.handle_connect = talker_connected,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = talker_line,
};

static int greeted_fd;

static int greet(struct probe *p, int fd)
{
	(void)p;
	greeted_fd = fd;
	put(fd, "welcome\r\n", 9);
	return 0;
}

START_TEST(async_chat_sends_what_was_pushed_before_it_connected)
{
	struct talker t = { .line = "" };
	struct asyncore_dispatcher *d = &t.chat.dispatcher;
	struct probe *host;
	int listener;
	char got[12];

	begin(_i);
	listener = tcp_listener(&port);
	host = probe_new(listener, map);
	host->on_accepted = greet;
	asyncore_set_accepting(&host->dispatcher, true);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	ck_assert_int_eq(async_chat_init(&t.chat, &talker_type, -1, map), 0);
	async_chat_set_terminator(&t.chat, "\r\n", 2);
	ck_assert_int_eq(async_chat_push(&t.chat, "hello\r\n", 7), 0);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, "www.example", port, -1), 0);
	until(t.line[0] != '\0' && async_chat_output_bytes(&t.chat) == 0);
	ck_assert_str_eq(t.line, "welcome");
	take(greeted_fd, got, sizeof got);
	ck_assert_int_eq(memcmp(got, "hello\r\nbye\r\n", sizeof got), 0);
	asyncore_close(d);
	close(greeted_fd);
	end();
}
END_TEST

/* --- arguments ------------------------------------------------------------------------ */

START_TEST(bad_arguments_are_refused_and_change_nothing)
{
	struct asyncore_dispatcher raw = { NULL, NULL }, *d;
	struct asyncore_map *other = asyncore_map_new(NULL);
	struct probe *p, *elsewhere = probe_new(-1, other);

	begin(_i);
	p = client_with_socket(AF_INET);
	p->wants_read = p->wants_write = 0;
	d = &p->dispatcher;
	ck_assert_int_eq(asyncore_dns_connect(NULL, d, "a", 80, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, NULL, "a", 80, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, &raw, "a", 80, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, NULL, 80, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, "a", 0, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, "a", -1, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, "a", 65536, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, d, "a", 80, NAN), -EINVAL);
	ck_assert_int_eq(asyncore_dns_connect(dns, &elsewhere->dispatcher, "a", 80, 1), -EINVAL);
	ck_assert(!asyncore_connecting(d));
	ck_assert_int_ge(asyncore_fileno(d), 0);
	ck_assert_uint_eq(asyncore_timers(map), 0);
	turns(3);
	ck_assert_int_eq(name_server_questions(server), 0);
	ck_assert_str_eq(trace, "");
	asyncore_close(&elsewhere->dispatcher);
	asyncore_map_free(other);
	end();
}
END_TEST

START_TEST(channel_that_is_connected_or_connects_by_name_is_refused)
{
	struct probe *p;
	int peer;

	begin(_i);
	name_server_add(server, "www.example", NAME_SILENCE, "");
	p = probe_and_peer(map, &peer);
	ck_assert_int_eq(asyncore_dns_connect(dns, &p->dispatcher, "a", 80, 1), -EALREADY);
	ck_assert_int_ge(asyncore_fileno(&p->dispatcher), 0);
	p = client_with_socket(AF_INET);
	connect_to(p, "www.example", port);
	connect_to(client(), "www.example", port);
	ck_assert_int_eq(asyncore_dns_connect(dns, &p->dispatcher, "a", 80, 1), -EALREADY);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "a", 80), -EALREADY);
	ck_assert_uint_eq(asyncore_timers(map), 2);
	end();
	close(peer);
}
END_TEST

START_TEST(descriptor_of_another_kind_is_refused)
{
	struct probe *p[2];
	int peer, i;

	begin(_i);
	p[0] = client_with_socket(AF_UNIX);
	p[1] = client();
	peer = dup(0);
	ck_assert_int_eq(asyncore_set_file(&p[1]->dispatcher, peer), 0);
	for (i = 0; i < 2; i++) {
		struct asyncore_dispatcher *d = &p[i]->dispatcher;

		p[i]->wants_read = p[i]->wants_write = 0;
		ck_assert_int_eq(asyncore_dns_connect(dns, d, "a", 80, 1),
				 i == 0 ? -EAFNOSUPPORT : -EBADF);
		ck_assert_int_ge(asyncore_fileno(d), 0);
		ck_assert(!asyncore_connecting(d));
	}
	end();
	close(peer);
}
END_TEST

START_TEST(evdns_base_is_the_one_given)
{
	begin(_i);
	ck_assert_ptr_eq(asyncore_dns_base(dns), evdns);
	ck_assert_ptr_null(asyncore_dns_base(NULL));
	asyncore_dns_free(NULL);
	end();
}
END_TEST

START_TEST(no_map_is_the_default_map)
{
	int where, listener = tcp_listener(&where);
	struct asyncore_dns *resolver = asyncore_dns_new(NULL, NULL);
	struct probe *p = probe_new(-1, NULL);

	ck_assert_ptr_nonnull(resolver);
	p->wants_write = 1;
	p->on_connect = close_self;
	ck_assert_int_eq(asyncore_dns_connect(resolver, &p->dispatcher, "localhost", where, -1), 0);
	ck_assert_int_eq(asyncore_loop(5.0, false, NULL, -1), 0);
	ck_assert_str_eq(trace, "connect 1 ");
	asyncore_dns_free(resolver);
	close(listener);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------ */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "answers");

	in_each_way(tc, name_is_looked_up_and_connected);
	in_each_way(tc, channel_is_connecting_and_in_no_map_meanwhile);
	in_each_way(tc, servers_are_asked_again);
	tcase_add_loop_test(tc, number_needs_no_name_server, 0, 3 * WAYS);
	in_each_way(tc, hosts_file_needs_no_name_server);
	in_each_way(tc, resolvers_own_evdns_knows_localhost);
	in_each_way(tc, numbers_work_without_name_servers);
	in_each_way(tc, empty_name_is_this_host);
	in_each_way(tc, fifty_names_are_looked_up_at_once);
	in_each_way(tc, other_channels_are_served_meanwhile);

	tc = suite_case(suite, "failures");
	in_each_way(tc, name_that_does_not_exist_is_enoent);
	in_each_way(tc, look_up_has_its_time);
	in_each_way(tc, look_up_that_has_no_time_fails_in_a_pass);
	tcase_add_loop_test(tc, servers_that_have_no_address_are_ehostunreach, 0, 7 * WAYS);
	tcase_add_loop_test(tc, nonsense_is_not_taken_for_an_answer, 0, 2 * WAYS);
	tcase_add_loop_test(tc, name_that_cannot_be_asked_for_fails, 0, 2 * WAYS);
	in_each_way(tc, answer_after_the_time_is_nothing);
	in_each_way(tc, class_may_want_handle_expt_instead);
	in_each_way(tc, default_handle_error_logs_why_and_closes);
	in_each_way(tc, handler_may_try_again);
	in_each_way(tc, closed_channel_may_connect_again);

	tc = suite_case(suite, "asyncore_connect");
	in_each_way(tc, asyncore_connect_by_name_does_not_block);
	in_each_way(tc, default_time_is_not_a_moment);
	in_each_way(tc, asyncore_connect_to_a_number_is_as_ever);
	in_each_way(tc, asyncore_connect_blocks_again_after_the_end);
	in_each_way(tc, of_several_the_last_one_made_serves_asyncore_connect);

	tc = suite_case(suite, "the loop");
	tcase_add_test(tc, asyncore_loop_ends_with_the_last_connection);
	on_each_backend(tc, event_base_dispatch_ends_by_itself);
	on_each_backend(tc, event_base_dispatch_ends_when_the_servers_are_silent);
	in_each_way(tc, async_chat_sends_what_was_pushed_before_it_connected);

	tc = suite_case(suite, "arguments");
	in_each_way(tc, bad_arguments_are_refused_and_change_nothing);
	in_each_way(tc, channel_that_is_connected_or_connects_by_name_is_refused);
	in_each_way(tc, descriptor_of_another_kind_is_refused);
	in_each_way(tc, evdns_base_is_the_one_given);
	tcase_add_test(tc, no_map_is_the_default_map);
}

SUITE_MAIN("dns", add_cases)
