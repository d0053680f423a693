/* SPDX-License-Identifier: BSD-3-Clause */

/* check_address.c - addresses kept with a channel, and shown by repr (address.c). */

#include "support.h"

#include <arpa/inet.h>
#include <stddef.h>

static struct sockaddr_in ipv4(const char *host, int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	addr.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(inet_pton(AF_INET, host, &addr.sin_addr), 1);
	return addr;
}

static struct sockaddr_in6 ipv6(const char *host, int port)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };

	addr.sin6_port = htons((uint16_t)port);
	ck_assert_int_eq(inet_pton(AF_INET6, host, &addr.sin6_addr), 1);
	return addr;
}

static const struct sockaddr *generic(const void *addr)
{
	return addr;
}

/* --- kept ------------------------------------------------------------------------------- */

static void assert_addr(struct probe *p, const void *addr, socklen_t addrlen)
{
	socklen_t len = 999;
	const struct sockaddr *kept = asyncore_addr(&p->dispatcher, &len);

	ck_assert_uint_eq(len, addrlen);
	ck_assert_ptr_nonnull(kept);
	ck_assert_mem_eq(kept, addr, addrlen);
}

static void assert_no_addr(struct probe *p)
{
	socklen_t len = 999;

	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, &len));
	ck_assert_uint_eq(len, 0);
}

static void set_addr(struct probe *p, const void *addr, socklen_t addrlen)
{
	ck_assert_int_eq(asyncore_set_addr(&p->dispatcher, addr, addrlen), 0);
}

START_TEST(a_new_channel_has_no_address)
{
	struct probe *p = probe_new(-1, NULL);

	assert_no_addr(p);
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(an_address_that_was_set_is_copied)
{
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in6 addr = ipv6("::1", 80), same = addr;

	set_addr(p, &addr, sizeof addr);
	memset(&addr, 0xff, sizeof addr);
	assert_addr(p, &same, sizeof same);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(the_length_of_an_address_may_be_unwanted)
{
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in addr = ipv4("127.0.0.1", 80);

	set_addr(p, &addr, sizeof addr);
	ck_assert_mem_eq(asyncore_addr(&p->dispatcher, NULL), &addr, sizeof addr);
	asyncore_close(&p->dispatcher);
}
END_TEST

/* Every length from an address family alone to the longest address. */
START_TEST(an_address_of_any_length_is_kept_whole)
{
	struct probe *p = probe_new(-1, NULL);
	unsigned char *bytes = malloc((size_t)_i);	/* exactly, for ASan */

	memset(bytes, _i, (size_t)_i);
	set_addr(p, bytes, (socklen_t)_i);
	assert_addr(p, bytes, (socklen_t)_i);
	free(bytes);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(an_address_can_be_replaced_by_one_of_any_length)
{
	static const socklen_t other[] = { 2, 16, 17, 28, 110, 128 };
	struct probe *p = probe_new(-1, NULL);
	unsigned char bytes[128];
	size_t i;

	memset(bytes, 0x55, sizeof bytes);
	for (i = 0; i < sizeof other / sizeof other[0]; i++) {
		set_addr(p, bytes, (socklen_t)_i);
		assert_addr(p, bytes, (socklen_t)_i);
		set_addr(p, bytes, other[i]);
		assert_addr(p, bytes, other[i]);
	}
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(a_channel_may_be_given_its_own_address_again)
{
	struct probe *p = probe_new(-1, NULL);
	unsigned char bytes[128];
	socklen_t len;
	const struct sockaddr *own;

	memset(bytes, 0xa7, sizeof bytes);
	set_addr(p, bytes, (socklen_t)_i);
	own = asyncore_addr(&p->dispatcher, &len);
	set_addr(p, own, len);
	assert_addr(p, bytes, (socklen_t)_i);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(a_channel_may_be_given_the_beginning_of_its_own_address)
{
	struct probe *p = probe_new(-1, NULL);
	unsigned char bytes[128];

	memset(bytes, 0x3c, sizeof bytes);
	set_addr(p, bytes, sizeof bytes);
	set_addr(p, asyncore_addr(&p->dispatcher, NULL), (socklen_t)_i);
	assert_addr(p, bytes, (socklen_t)_i);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(length_zero_sets_no_address)
{
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in6 addr = ipv6("::1", 80);

	set_addr(p, &addr, sizeof addr);
	set_addr(p, NULL, 0);
	assert_no_addr(p);
	set_addr(p, &addr, sizeof addr);
	set_addr(p, &addr, 0);
	assert_no_addr(p);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(what_is_no_address_is_refused_and_the_old_one_stays)
{
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in addr = ipv4("127.0.0.1", 80);
	char longer[200] = { 0 };

	set_addr(p, &addr, sizeof addr);
	ck_assert_int_eq(asyncore_set_addr(&p->dispatcher, NULL, 16), -EINVAL);
	ck_assert_int_eq(asyncore_set_addr(&p->dispatcher, generic(&addr), 1), -EINVAL);
	ck_assert_int_eq(asyncore_set_addr(&p->dispatcher, generic(longer), 129), -EINVAL);
	ck_assert_int_eq(asyncore_set_addr(&p->dispatcher, generic(longer), (socklen_t)-1),
			 -EINVAL);
	assert_addr(p, &addr, sizeof addr);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(nothing_has_no_address)
{
	struct asyncore_dispatcher zero = { 0 };
	struct sockaddr_in addr = ipv4("127.0.0.1", 80);
	socklen_t len = 999;

	ck_assert_ptr_null(asyncore_addr(NULL, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_ptr_null(asyncore_addr(&zero, NULL));
	ck_assert_int_eq(asyncore_set_addr(NULL, generic(&addr), sizeof addr), -EINVAL);
	ck_assert_int_eq(asyncore_set_addr(&zero, generic(&addr), sizeof addr), -EINVAL);
}
END_TEST

START_TEST(the_address_stays_after_close)
{
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in6 addr = ipv6("::1", 80);

	set_addr(p, &addr, sizeof addr);
	asyncore_close(&p->dispatcher);
	assert_addr(p, &addr, sizeof addr);
}
END_TEST

static void add_kept(Suite *suite)
{
	TCase *tc = suite_case(suite, "kept");

	tcase_add_test(tc, a_new_channel_has_no_address);
	tcase_add_test(tc, an_address_that_was_set_is_copied);
	tcase_add_test(tc, the_length_of_an_address_may_be_unwanted);
	tcase_add_loop_test(tc, an_address_of_any_length_is_kept_whole, 2, 129);
	tcase_add_loop_test(tc, an_address_can_be_replaced_by_one_of_any_length, 14, 32);
	tcase_add_loop_test(tc, a_channel_may_be_given_its_own_address_again, 14, 32);
	tcase_add_loop_test(tc, a_channel_may_be_given_the_beginning_of_its_own_address, 14, 32);
	tcase_add_test(tc, length_zero_sets_no_address);
	tcase_add_test(tc, what_is_no_address_is_refused_and_the_old_one_stays);
	tcase_add_test(tc, nothing_has_no_address);
	tcase_add_test(tc, the_address_stays_after_close);
}

/* --- set by the socket methods ---------------------------------------------------------- */

START_TEST(bind_sets_the_address_that_was_asked_for)
{
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in asked = loopback(0);

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.1", 0), 0);
	/* Not the port that the kernel chose. */
	assert_addr(p, &asked, sizeof asked);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(a_bind_that_fails_has_set_the_address)
{
	int holder, port = refused_port(&holder);
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in asked = loopback(port);

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.1", port), -EADDRINUSE);
	assert_addr(p, &asked, sizeof asked);
	asyncore_close(&p->dispatcher);
	close(holder);
}
END_TEST

START_TEST(connect_sets_the_address_of_the_peer)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = probe_new(-1, NULL);
	struct sockaddr_in peer = loopback(port);

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	assert_addr(p, &peer, sizeof peer);
	asyncore_close(&p->dispatcher);
	close(listener);
}
END_TEST

START_TEST(a_connect_that_fails_at_once_leaves_the_address_alone)
{
	struct unix_path where = unix_path_new();
	struct probe *p = probe_new(-1, NULL);

	asyncore_create_socket(&p->dispatcher, AF_UNIX, SOCK_STREAM);
	ck_assert_int_eq(asyncore_connect_path(&p->dispatcher, where.path), -ENOENT);
	assert_no_addr(p);
	asyncore_close(&p->dispatcher);
	unix_path_remove(&where);
}
END_TEST

START_TEST(the_address_of_a_given_socket_is_that_of_its_peer)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	ck_assert_int_eq(getpeername(fd[0], (struct sockaddr *)&peer, &len), 0);
	p = probe_new(fd[0], NULL);
	assert_addr(p, &peer, sizeof peer);
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(a_given_socket_without_a_peer_has_no_address)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = probe_new(listener, NULL);

	assert_no_addr(p);
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(set_socket_sets_no_address)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2];

	tcp_pair(fd);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], NULL), 0);
	assert_no_addr(p);
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

static struct sockaddr_storage accepted_from;
static socklen_t accepted_from_len;

static int keep_address(struct asyncore_dispatcher *self, int fd, const struct sockaddr *addr,
			socklen_t addrlen)
{
	(void)self;
	memcpy(&accepted_from, addr, addrlen);
	accepted_from_len = addrlen;
	close(fd);
	return 0;
}

static const struct asyncore_dispatcher_type address_keeper = {
	.base = &probe_type,
	.handle_accepted = keep_address,
};

/* Accept the connection of `client` on `listener`; both are closed. */
static void accept_from(int listener, int client, const void *peer, socklen_t peerlen)
{
	struct probe *p;

	ck_assert(connect(client, peer, peerlen) == 0 || errno == EINPROGRESS);
	p = probe_new_typed(&address_keeper, listener, NULL);
	asyncore_set_accepting(&p->dispatcher, true);
	accepted_from_len = 0;
	run_until(accepted_from_len > 0, NULL);
	asyncore_close(&p->dispatcher);
}

START_TEST(handle_accepted_is_told_the_ipv4_address_of_the_client)
{
	int port, listener = tcp_listener(&port), client = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in peer = loopback(port);

	accept_from(listener, client, &peer, sizeof peer);
	ck_assert_uint_eq(accepted_from_len, sizeof(struct sockaddr_in));
	ck_assert_int_eq(ntohs(((struct sockaddr_in *)&accepted_from)->sin_port), port_of(client));
	close(client);
}
END_TEST

START_TEST(handle_accepted_is_told_the_ipv6_address_of_the_client)
{
	int listener = socket(AF_INET6, SOCK_STREAM, 0);
	int client = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 peer = ipv6("::1", 0);

	if (bind(listener, (struct sockaddr *)&peer, sizeof peer) == 0) {
		listen(listener, 1);
		peer.sin6_port = htons((uint16_t)port_of(listener));
		accept_from(listener, client, &peer, sizeof peer);
		ck_assert_uint_eq(accepted_from_len, sizeof(struct sockaddr_in6));
		ck_assert_int_eq(ntohs(((struct sockaddr_in6 *)&accepted_from)->sin6_port),
				 port_of(client));
	} else {
		close(listener);	/* a host without IPv6 */
	}
	close(client);
}
END_TEST

START_TEST(handle_accepted_is_told_an_unnamed_client_by_its_family_alone)
{
	struct unix_path where = unix_path_new();
	struct sockaddr_un peer = { .sun_family = AF_UNIX };
	int listener = unix_bound(&where, SOCK_STREAM), client = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(peer.sun_path, where.path, sizeof peer.sun_path);
	accept_from(listener, client, &peer, sizeof peer);
	ck_assert_uint_eq(accepted_from_len, sizeof peer.sun_family);
	ck_assert_int_eq(accepted_from.ss_family, AF_UNIX);
	close(client);
	unix_path_remove(&where);
}
END_TEST

static void add_set(Suite *suite)
{
	TCase *tc = suite_case(suite, "set by socket methods");

	tcase_add_test(tc, bind_sets_the_address_that_was_asked_for);
	tcase_add_test(tc, a_bind_that_fails_has_set_the_address);
	tcase_add_test(tc, connect_sets_the_address_of_the_peer);
	tcase_add_test(tc, a_connect_that_fails_at_once_leaves_the_address_alone);
	tcase_add_test(tc, the_address_of_a_given_socket_is_that_of_its_peer);
	tcase_add_test(tc, a_given_socket_without_a_peer_has_no_address);
	tcase_add_test(tc, set_socket_sets_no_address);
	tcase_add_test(tc, handle_accepted_is_told_the_ipv4_address_of_the_client);
	tcase_add_test(tc, handle_accepted_is_told_the_ipv6_address_of_the_client);
	tcase_add_test(tc, handle_accepted_is_told_an_unnamed_client_by_its_family_alone);
}

/* --- shown ------------------------------------------------------------------------------ */

/* The repr of a channel with this address must have `words` for it: "<probe WORDS at ...>",
 * and "<probe at ...>" for none. */
static void assert_shown(const void *addr, socklen_t addrlen, const char *words)
{
	struct probe *p = probe_new(-1, NULL);
	char is[1024], expected[1024];

	set_addr(p, addr, addrlen);
	snprintf(expected, sizeof expected, "<probe%s%s at %p>", *words != '\0' ? " " : "", words,
		 (void *)p);
	ck_assert_int_eq(asyncore_repr(&p->dispatcher, is, sizeof is), (int)strlen(expected));
	ck_assert_str_eq(is, expected);
	asyncore_close(&p->dispatcher);
}

/* The length of an AF_UNIX address with `n` bytes of path. */
static socklen_t unix_len(size_t n)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

START_TEST(no_address_shows_nothing)
{
	assert_shown(NULL, 0, "");
}
END_TEST

START_TEST(ipv4_shows_host_and_port)
{
	struct sockaddr_in addr = ipv4("192.0.2.254", 65535);

	assert_shown(&addr, sizeof addr, "192.0.2.254:65535");
}
END_TEST

START_TEST(ipv4_zero_shows_host_and_port)
{
	struct sockaddr_in addr = ipv4("0.0.0.0", 0);

	assert_shown(&addr, sizeof addr, "0.0.0.0:0");
}
END_TEST

START_TEST(ipv6_shows_the_tuple_of_python)
{
	struct sockaddr_in6 addr = ipv6("::1", 8080);

	assert_shown(&addr, sizeof addr, "('::1', 8080, 0, 0)");
}
END_TEST

START_TEST(ipv6_shows_flow_and_scope)
{
	struct sockaddr_in6 addr = ipv6("fe80::1:2", 1);

	addr.sin6_flowinfo = htonl(0xabcde);
	addr.sin6_scope_id = 4294967295u;
	assert_shown(&addr, sizeof addr, "('fe80::1:2', 1, 703710, 4294967295)");
}
END_TEST

START_TEST(the_longest_ipv6_address_is_shown_whole)
{
	struct sockaddr_in6 addr = ipv6("1111:2222:3333:4444:5555:6666:7777:8888", 65535);

	assert_shown(&addr, sizeof addr,
		     "('1111:2222:3333:4444:5555:6666:7777:8888', 65535, 0, 0)");
}
END_TEST

START_TEST(a_path_shows_in_quotes)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/run/echo.sock" };

	assert_shown(&addr, unix_len(15), "'/run/echo.sock'");
	assert_shown(&addr, sizeof addr, "'/run/echo.sock'");
}
END_TEST

START_TEST(a_path_without_its_nul_is_shown_whole)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/run/echo.sock" };

	assert_shown(&addr, unix_len(9), "'/run/echo'");
}
END_TEST

START_TEST(a_path_that_fills_the_address_is_shown_whole)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char words[sizeof addr.sun_path + 3] = "'";

	memset(addr.sun_path, 'p', sizeof addr.sun_path);
	memset(words + 1, 'p', sizeof addr.sun_path);
	strcat(words, "'");
	assert_shown(&addr, sizeof addr, words);
}
END_TEST

START_TEST(an_unnamed_address_shows_as_an_empty_string)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert_shown(&addr, unix_len(0), "''");
}
END_TEST

START_TEST(an_abstract_address_shows_its_nul)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "\0echo" };

	assert_shown(&addr, unix_len(5), "'\\x00echo'");
}
END_TEST

START_TEST(an_abstract_address_of_nul_bytes_is_shown_whole)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char words[4 * sizeof addr.sun_path + 3] = "'";
	size_t i;

	for (i = 0; i < sizeof addr.sun_path; i++)
		strcat(words, "\\x00");
	strcat(words, "'");
	assert_shown(&addr, sizeof addr, words);
}
END_TEST

START_TEST(bytes_of_a_path_that_cannot_be_printed_are_escaped)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "a\x01\x7f\xffz" };

	assert_shown(&addr, sizeof addr, "'a\\x01\\x7f\\xffz'");
}
END_TEST

START_TEST(an_unknown_family_shows_its_number)
{
	struct sockaddr addr = { .sa_family = 250 };

	assert_shown(&addr, sizeof addr, "(family 250)");
}
END_TEST

/* Whatever the length and the bytes: no byte beyond is read (ASan), and it fits. */
START_TEST(an_address_of_any_length_can_be_shown)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX, 250 };
	struct probe *p = probe_new(-1, NULL);
	size_t i;

	for (i = 0; i < 4; i++) {
		struct sockaddr_storage addr;
		char is[1024];
		int n;

		memset(&addr, 0xee, sizeof addr);
		addr.ss_family = (sa_family_t)families[i];
		set_addr(p, &addr, (socklen_t)_i);
		n = asyncore_repr(&p->dispatcher, is, sizeof is);
		ck_assert_int_eq(n, (int)strlen(is));
		ck_assert_str_eq(is + n - 1, ">");
	}
	asyncore_close(&p->dispatcher);
}
END_TEST

static void add_shown(Suite *suite)
{
	TCase *tc = suite_case(suite, "shown");

	tcase_add_test(tc, no_address_shows_nothing);
	tcase_add_test(tc, ipv4_shows_host_and_port);
	tcase_add_test(tc, ipv4_zero_shows_host_and_port);
	tcase_add_test(tc, ipv6_shows_the_tuple_of_python);
	tcase_add_test(tc, ipv6_shows_flow_and_scope);
	tcase_add_test(tc, the_longest_ipv6_address_is_shown_whole);
	tcase_add_test(tc, a_path_shows_in_quotes);
	tcase_add_test(tc, a_path_without_its_nul_is_shown_whole);
	tcase_add_test(tc, a_path_that_fills_the_address_is_shown_whole);
	tcase_add_test(tc, an_unnamed_address_shows_as_an_empty_string);
	tcase_add_test(tc, an_abstract_address_shows_its_nul);
	tcase_add_test(tc, an_abstract_address_of_nul_bytes_is_shown_whole);
	tcase_add_test(tc, bytes_of_a_path_that_cannot_be_printed_are_escaped);
	tcase_add_test(tc, an_unknown_family_shows_its_number);
	tcase_add_loop_test(tc, an_address_of_any_length_can_be_shown, 2, 129);
}

static void add_cases(Suite *suite)
{
	add_kept(suite);
	add_set(suite);
	add_shown(suite);
}

SUITE_MAIN("address", add_cases)
