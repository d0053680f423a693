/* SPDX-License-Identifier: BSD-3-Clause */

/* check_socket.c - descriptors and socket methods of a dispatcher (socket.c). */

#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

/* A probe is held from here until done(), so that a test can look at it after it was
 * closed in a pass. */
static struct probe *hold(struct probe *p)
{
	ck_assert_int_eq(asyncore_ref(&p->dispatcher), 0);
	return p;
}

static void done(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
}

static struct probe *unopened(void)
{
	return hold(probe_new(-1, NULL));
}

static struct probe *opened(int family, int type)
{
	struct probe *p = unopened();

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, family, type), 0);
	return p;
}

static bool has_ipv6(void)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static bool is_nonblocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static bool is_cloexec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A number that is no descriptor; the default map has those that it needs. */
static int no_descriptor(void)
{
	int fd;

	ck_assert_ptr_nonnull(asyncore_socket_map());
	fd = dup(0);
	close(fd);
	return fd;
}

static int socket_type(int fd)
{
	int type = -1;
	socklen_t len = sizeof type;

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type;
}

static const struct { int family, type; } kinds[] = {
	{ AF_INET, SOCK_STREAM },
	{ AF_INET, SOCK_DGRAM },
	{ AF_UNIX, SOCK_STREAM },
	{ AF_UNIX, SOCK_DGRAM },
	{ AF_UNIX, SOCK_SEQPACKET },
	{ AF_INET6, SOCK_STREAM },
	{ AF_INET6, SOCK_DGRAM },
};

enum { KINDS = sizeof kinds / sizeof kinds[0], KINDS_WITHOUT_IPV6 = KINDS - 2 };

/* --- create_socket ---------------------------------------------------------------------- */

START_TEST(create_socket_makes_a_nonblocking_socket_in_the_map)
{
	struct probe *p = unopened();
	int fd;

	if (kinds[_i].family != AF_INET6 || has_ipv6()) {
		ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, kinds[_i].family,
							kinds[_i].type), 0);
		fd = asyncore_socket(&p->dispatcher);
		ck_assert_int_eq(socket_type(fd), kinds[_i].type);
		ck_assert(is_nonblocking(fd));
		ck_assert(is_cloexec(fd));
		ck_assert_ptr_eq(asyncore_map_get(NULL, fd), &p->dispatcher);
		ck_assert(!asyncore_connected(&p->dispatcher));
	}
	done(p);
}
END_TEST

START_TEST(create_socket_goes_into_the_map_of_the_channel)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, map);

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
}
END_TEST

START_TEST(a_second_socket_is_refused)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	int fd = asyncore_socket(&p->dispatcher), pair[2];

	unix_pair(pair);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM), -EALREADY);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, pair[0], NULL), -EALREADY);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, pair[0]), -EALREADY);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd);
	ck_assert_int_eq(socket_type(fd), SOCK_STREAM);
	done(p);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(a_second_socket_is_refused_outside_of_the_map_too)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), -EALREADY);
	done(p);
}
END_TEST

START_TEST(a_channel_can_have_one_socket_after_the_other)
{
	struct probe *p = unopened();
	int i;

	for (i = 0; i < KINDS_WITHOUT_IPV6; i++) {
		ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, kinds[i].family,
							kinds[i].type), 0);
		ck_assert_int_eq(socket_type(asyncore_socket(&p->dispatcher)), kinds[i].type);
		ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	}
	done(p);
}
END_TEST

START_TEST(a_socket_that_cannot_be_made_leaves_the_channel_as_it_was)
{
	struct probe *p = unopened();

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, 12345, SOCK_STREAM),
			 -EAFNOSUPPORT);
	ck_assert_int_lt(asyncore_create_socket(&p->dispatcher, AF_INET, 99), 0);
	ck_assert_int_lt(asyncore_create_socket(&p->dispatcher, -1, -1), 0);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	done(p);
}
END_TEST

static int refuse_add(struct asyncore_dispatcher *self, struct asyncore_map *map)
{
	(void)self, (void)map;
	return -EPERM;
}

static const struct asyncore_dispatcher_type refuses_maps = {
	.base = &probe_type,
	.add_channel = refuse_add,
};

START_TEST(create_socket_that_cannot_enter_the_map_leaves_no_descriptor)
{
	struct probe *p = hold(probe_new_typed(&refuses_maps, -1, NULL));

	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), -EPERM);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	/* The fixture counts the descriptors. */
	done(p);
}
END_TEST

START_TEST(nothing_has_no_socket_methods)
{
	struct asyncore_dispatcher zero = { 0 };
	struct sockaddr_in addr = loopback(1);
	const struct sockaddr *generic = (struct sockaddr *)&addr;
	struct asyncore_dispatcher *const none[] = { NULL, &zero };
	char byte;
	size_t i;

	for (i = 0; i < 2; i++) {
		struct asyncore_dispatcher *d = none[i];

		ck_assert_int_eq(asyncore_set_reuse_addr(d), -EINVAL);
		ck_assert_int_eq(asyncore_close(d), -EINVAL);
		ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), -EINVAL);
		ck_assert_int_eq(asyncore_set_socket(d, 0, NULL), -EINVAL);
		ck_assert_int_eq(asyncore_set_file(d, 0), -EINVAL);
		ck_assert_int_eq(asyncore_listen(d, 1), -EINVAL);
		ck_assert_int_eq(asyncore_bind(d, "127.0.0.1", 0), -EINVAL);
		ck_assert_int_eq(asyncore_bind_sockaddr(d, generic, sizeof addr), -EINVAL);
		ck_assert_int_eq(asyncore_bind_path(d, "/x"), -EINVAL);
		ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", 1), -EINVAL);
		ck_assert_int_eq(asyncore_connect_sockaddr(d, generic, sizeof addr), -EINVAL);
		ck_assert_int_eq(asyncore_connect_path(d, "/x"), -EINVAL);
		ck_assert_int_eq(asyncore_accept(d, NULL, NULL), -EINVAL);
		ck_assert_int_eq(asyncore_send(d, "x", 1), -EINVAL);
		ck_assert_int_eq(asyncore_recv(d, &byte, 1), -EINVAL);
		ck_assert_int_eq(asyncore_sendto(d, "x", 1, generic, sizeof addr), -EINVAL);
		ck_assert_int_eq(asyncore_recvfrom(d, &byte, 1, NULL, NULL), -EINVAL);
	}
}
END_TEST

static void assert_no_descriptor(struct asyncore_dispatcher *d)
{
	struct sockaddr_in addr = loopback(1);
	const struct sockaddr *generic = (struct sockaddr *)&addr;
	char byte;

	ck_assert_int_eq(asyncore_set_reuse_addr(d), -EBADF);
	ck_assert_int_eq(asyncore_listen(d, 1), -EBADF);
	ck_assert_int_eq(asyncore_bind(d, "127.0.0.1", 0), -EBADF);
	ck_assert_int_eq(asyncore_bind_sockaddr(d, generic, sizeof addr), -EBADF);
	ck_assert_int_eq(asyncore_bind_path(d, "/nowhere"), -EBADF);
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", 1), -EBADF);
	ck_assert_int_eq(asyncore_connect_sockaddr(d, generic, sizeof addr), -EBADF);
	ck_assert_int_eq(asyncore_connect_path(d, "/nowhere"), -EBADF);
	ck_assert_int_eq(asyncore_accept(d, NULL, NULL), -EBADF);
	ck_assert_int_eq(asyncore_sendto(d, "x", 1, generic, sizeof addr), -EBADF);
	ck_assert_int_eq(asyncore_recvfrom(d, &byte, 1, NULL, NULL), -EBADF);
	ck_assert_int_eq(asyncore_add_channel(d, NULL), -EBADF);
	ck_assert(!asyncore_accepting(d));
	ck_assert(!asyncore_connecting(d));
	ck_assert_ptr_null(asyncore_addr(d, NULL));
}

START_TEST(a_channel_without_a_socket_has_no_socket_methods)
{
	struct probe *p = unopened();

	assert_no_descriptor(&p->dispatcher);
	done(p);
}
END_TEST

START_TEST(a_closed_channel_has_no_socket_methods)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	asyncore_close(&p->dispatcher);
	assert_no_descriptor(&p->dispatcher);
	done(p);
}
END_TEST

/* DESIGN 4: they return 0 and call nothing. */
START_TEST(send_and_recv_on_a_closed_channel_do_nothing)
{
	struct probe *p = _i ? opened(AF_INET, SOCK_STREAM) : unopened();
	char byte = '#';

	if (_i)
		asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), 0);
	ck_assert_int_eq(byte, '#');
	ck_assert_str_eq(trace, "");
	done(p);
}
END_TEST

START_TEST(close_twice_is_no_error)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	done(p);
	ck_assert_str_eq(trace, "");
}
END_TEST

START_TEST(close_without_a_socket_is_no_error)
{
	struct probe *p = unopened();

	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	done(p);
}
END_TEST

START_TEST(close_of_a_channel_outside_of_its_map_closes_the_descriptor)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	int fd = asyncore_socket(&p->dispatcher);

	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert(is_open(fd));
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert(!is_open(fd));
	done(p);
}
END_TEST

/* As after somebody else has closed it. */
START_TEST(close_of_a_descriptor_that_is_gone_is_no_error)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	asyncore_del_channel(&p->dispatcher, NULL);
	close(asyncore_socket(&p->dispatcher));
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	done(p);
}
END_TEST

static int refuse_del(struct asyncore_dispatcher *self, struct asyncore_map *map)
{
	(void)self, (void)map;
	return -EPERM;
}

static const struct asyncore_dispatcher_type keeps_to_its_map = {
	.base = &probe_type,
	.del_channel = refuse_del,
};

START_TEST(close_closes_although_an_override_of_del_channel_raises)
{
	struct probe *p = hold(probe_new_typed(&keeps_to_its_map, -1, NULL));
	int fd;

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	fd = asyncore_socket(&p->dispatcher);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), -EPERM);
	ck_assert(!is_open(fd));
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	asyncore_unref(&p->dispatcher);
}
END_TEST

static void add_having(Suite *suite)
{
	TCase *tc = suite_case(suite, "having a socket");

	tcase_add_loop_test(tc, create_socket_makes_a_nonblocking_socket_in_the_map, 0, KINDS);
	tcase_add_test(tc, create_socket_goes_into_the_map_of_the_channel);
	tcase_add_test(tc, a_second_socket_is_refused);
	tcase_add_test(tc, a_second_socket_is_refused_outside_of_the_map_too);
	tcase_add_test(tc, a_channel_can_have_one_socket_after_the_other);
	tcase_add_test(tc, a_socket_that_cannot_be_made_leaves_the_channel_as_it_was);
	tcase_add_test(tc, create_socket_that_cannot_enter_the_map_leaves_no_descriptor);
	tcase_add_test(tc, nothing_has_no_socket_methods);
	tcase_add_test(tc, a_channel_without_a_socket_has_no_socket_methods);
	tcase_add_test(tc, a_closed_channel_has_no_socket_methods);
	tcase_add_loop_test(tc, send_and_recv_on_a_closed_channel_do_nothing, 0, 2);
	tcase_add_test(tc, close_twice_is_no_error);
	tcase_add_test(tc, close_without_a_socket_is_no_error);
	tcase_add_test(tc, close_of_a_channel_outside_of_its_map_closes_the_descriptor);
	tcase_add_test(tc, close_of_a_descriptor_that_is_gone_is_no_error);
	tcase_add_test(tc, close_closes_although_an_override_of_del_channel_raises);
}

/* --- being given a socket --------------------------------------------------------------- */

/* Sockets of every kind that somebody may have already. */

static int given_pair(int *peer)
{
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	*peer = fd[1];
	return fd[0];
}

static int given_tcp(int *peer)
{
	int fd[2];

	tcp_pair(fd);
	fcntl(fd[0], F_SETFL, 0);
	*peer = fd[1];
	return fd[0];
}

static int given_unconnected(int *peer)
{
	*peer = -1;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int given_datagrams(int *peer)
{
	*peer = -1;
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int given_listener(int *peer)
{
	int port, fd = tcp_listener(&port);

	*peer = -1;
	fcntl(fd, F_SETFL, 0);
	return fd;
}

static const struct {
	int (*make)(int *peer);
	bool connected;
} given[] = {
	{ given_pair, true },
	{ given_tcp, true },
	{ given_unconnected, false },
	{ given_datagrams, false },
	{ given_listener, false },
};

enum { GIVEN = sizeof given / sizeof given[0] };

static void close_peer(int peer)
{
	if (peer >= 0)
		close(peer);
}

START_TEST(init_takes_a_socket_and_sees_whether_it_is_connected)
{
	int peer, fd = given[_i].make(&peer);
	struct probe *p = hold(probe_new(fd, NULL));

	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd);
	ck_assert_ptr_eq(asyncore_map_get(NULL, fd), &p->dispatcher);
	ck_assert(is_nonblocking(fd));
	ck_assert_int_eq(asyncore_connected(&p->dispatcher), given[_i].connected);
	ck_assert_int_eq(asyncore_addr(&p->dispatcher, NULL) != NULL, given[_i].connected);
	ck_assert(!asyncore_accepting(&p->dispatcher));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	ck_assert_str_eq(trace, "");
	done(p);
	ck_assert(!is_open(fd));
	close_peer(peer);
}
END_TEST

START_TEST(set_socket_takes_a_socket_and_changes_nothing_else)
{
	int peer, fd = given[_i].make(&peer);
	struct probe *p = unopened();

	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd, NULL), 0);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd);
	ck_assert_ptr_eq(asyncore_map_get(NULL, fd), &p->dispatcher);
	ck_assert(!is_nonblocking(fd));
	ck_assert(!asyncore_connected(&p->dispatcher));
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	done(p);
	ck_assert(!is_open(fd));
	close_peer(peer);
}
END_TEST

START_TEST(recv_on_a_given_blocking_socket_does_not_block)
{
	int peer, fd = given_pair(&peer);
	struct probe *p = unopened();
	char byte;

	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd, NULL), 0);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), -EAGAIN);
	done(p);
	close(peer);
}
END_TEST

START_TEST(a_given_listener_serves_when_accepting_is_set)
{
	int port, fd = tcp_listener(&port), client = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr = loopback(port);
	struct probe *p = hold(probe_new(fd, NULL));

	asyncore_set_accepting(&p->dispatcher, true);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&addr, sizeof addr), 0);
	step(NULL);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	done(p);
	close(client);
}
END_TEST

/* What init refuses leaves the descriptor to the caller, as it was. */
static void assert_init_refuses(int fd, int error)
{
	struct asyncore_dispatcher d;
	int flags = fcntl(fd, F_GETFL);

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &probe_type, fd, NULL), error);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
}

static void assert_set_socket_refuses(int fd, int error)
{
	struct probe *p = unopened();
	size_t size = asyncore_map_size(NULL);
	int flags = fcntl(fd, F_GETFL);

	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd, NULL), error);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	ck_assert_uint_eq(asyncore_map_size(NULL), size);
	ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
	/* It can have another one. */
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	done(p);
}

START_TEST(what_is_no_descriptor_is_refused)
{
	assert_init_refuses(no_descriptor(), -EBADF);
	assert_init_refuses(-2, -EBADF);
	assert_init_refuses(INT_MIN, -EBADF);
	assert_init_refuses(INT_MAX, -EBADF);
	assert_set_socket_refuses(no_descriptor(), -EBADF);
	assert_set_socket_refuses(-1, -EBADF);
	assert_set_socket_refuses(INT_MIN, -EBADF);
	assert_set_socket_refuses(INT_MAX, -EBADF);
}
END_TEST

START_TEST(a_file_is_no_socket)
{
	int fd[2], null = open("/dev/null", O_RDWR);

	ck_assert_int_eq(pipe(fd), 0);
	assert_init_refuses(fd[0], -ENOTSOCK);
	assert_init_refuses(null, -ENOTSOCK);
	assert_set_socket_refuses(fd[1], -ENOTSOCK);
	assert_set_socket_refuses(null, -ENOTSOCK);
	close(fd[0]);
	close(fd[1]);
	close(null);
}
END_TEST

START_TEST(a_socket_that_is_in_the_map_is_refused)
{
	int peer, fd = given_pair(&peer);
	struct probe *p = hold(probe_new(fd, NULL));

	assert_init_refuses(fd, -EEXIST);
	assert_set_socket_refuses(fd, -EEXIST);
	ck_assert_ptr_eq(asyncore_map_get(NULL, fd), &p->dispatcher);
	put(peer, "x", 1);
	step(NULL);
	ck_assert_uint_eq(p->len, 1);
	done(p);
	close(peer);
}
END_TEST

START_TEST(a_blocking_socket_that_cannot_enter_the_map_stays_blocking)
{
	struct asyncore_dispatcher d;
	int peer, fd = given_pair(&peer);

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &refuses_maps, fd, NULL), -EPERM);
	ck_assert(is_open(fd));
	ck_assert(!is_nonblocking(fd));
	close(fd);
	close(peer);
}
END_TEST

START_TEST(a_socket_that_could_not_enter_the_map_is_not_the_channels)
{
	struct probe *p = hold(probe_new_typed(&refuses_maps, -1, NULL));
	int peer, fd = given_pair(&peer);

	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd, NULL), -EPERM);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	done(p);
	ck_assert(is_open(fd));
	close(fd);
	close(peer);
}
END_TEST

START_TEST(no_descriptor_at_all_is_fine_for_init)
{
	struct probe *p = unopened();

	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	done(p);
}
END_TEST

START_TEST(set_file_duplicates)
{
	struct probe *p = unopened();
	int fd[2], own;

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	own = asyncore_socket(&p->dispatcher);
	ck_assert_int_ne(own, fd[0]);
	ck_assert(is_cloexec(own));
	close(fd[0]);
	put(fd[1], "x", 1);
	step(NULL);
	ck_assert_uint_eq(p->len, 1);
	done(p);
	close(fd[1]);
}
END_TEST

START_TEST(set_file_refuses_what_is_no_descriptor)
{
	struct probe *p = unopened();

	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, no_descriptor()), -EBADF);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, -1), -EBADF);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	done(p);
}
END_TEST

START_TEST(a_file_has_no_socket_methods)
{
	struct probe *p = unopened();
	struct sockaddr_in addr = loopback(1);
	const struct sockaddr *generic = (struct sockaddr *)&addr;
	char byte;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.1", 0), -ENOTSOCK);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", 1), -ENOTSOCK);
	ck_assert_int_eq(asyncore_bind_sockaddr(&p->dispatcher, generic, sizeof addr), -ENOTSOCK);
	ck_assert_int_eq(asyncore_connect_sockaddr(&p->dispatcher, generic, sizeof addr),
			 -ENOTSOCK);
	ck_assert_int_eq(asyncore_sendto(&p->dispatcher, "x", 1, generic, sizeof addr),
			 -ENOTSOCK);
	ck_assert_int_eq(asyncore_recvfrom(&p->dispatcher, &byte, 1, NULL, NULL), -ENOTSOCK);
	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, NULL), -ENOTSOCK);
	ck_assert_int_eq(asyncore_set_reuse_addr(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_listen(&p->dispatcher, 1), -ENOTSOCK);
	done(p);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

static void add_given(Suite *suite)
{
	TCase *tc = suite_case(suite, "being given a socket");

	tcase_add_loop_test(tc, init_takes_a_socket_and_sees_whether_it_is_connected, 0, GIVEN);
	tcase_add_loop_test(tc, set_socket_takes_a_socket_and_changes_nothing_else, 0, GIVEN);
	tcase_add_test(tc, recv_on_a_given_blocking_socket_does_not_block);
	tcase_add_test(tc, a_given_listener_serves_when_accepting_is_set);
	tcase_add_test(tc, what_is_no_descriptor_is_refused);
	tcase_add_test(tc, a_file_is_no_socket);
	tcase_add_test(tc, a_socket_that_is_in_the_map_is_refused);
	tcase_add_test(tc, a_blocking_socket_that_cannot_enter_the_map_stays_blocking);
	tcase_add_test(tc, a_socket_that_could_not_enter_the_map_is_not_the_channels);
	tcase_add_test(tc, no_descriptor_at_all_is_fine_for_init);
	tcase_add_test(tc, set_file_duplicates);
	tcase_add_test(tc, set_file_refuses_what_is_no_descriptor);
	tcase_add_test(tc, a_file_has_no_socket_methods);
}

/* --- bind and connect ------------------------------------------------------------------- */

/* The address that the kernel has for a socket. */
static struct sockaddr_storage name_of(struct probe *p)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof addr;

	ck_assert_int_eq(getsockname(asyncore_socket(&p->dispatcher), (struct sockaddr *)&addr,
				     &len), 0);
	return addr;
}

static void assert_bound_to(const char *host, uint32_t address)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	struct sockaddr_storage addr;

	ck_assert_int_eq(asyncore_bind(&p->dispatcher, host, 0), 0);
	addr = name_of(p);
	ck_assert_uint_eq(ntohl(((struct sockaddr_in *)&addr)->sin_addr.s_addr), address);
	ck_assert_int_ne(port_of(asyncore_socket(&p->dispatcher)), 0);
	done(p);
}

START_TEST(bind_takes_a_number)
{
	assert_bound_to("127.0.0.1", INADDR_LOOPBACK);
}
END_TEST

START_TEST(bind_takes_a_name)
{
	assert_bound_to("localhost", INADDR_LOOPBACK);
}
END_TEST

START_TEST(bind_takes_an_empty_host_for_every_address)
{
	assert_bound_to("", INADDR_ANY);
}
END_TEST

START_TEST(bind_takes_a_number_of_ipv6)
{
	struct probe *p = unopened();
	struct sockaddr_storage addr;

	if (has_ipv6()) {
		ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET6, SOCK_STREAM), 0);
		ck_assert_int_eq(asyncore_bind(&p->dispatcher, "::1", 0), 0);
		addr = name_of(p);
		ck_assert(IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&addr)->sin6_addr));
	}
	done(p);
}
END_TEST

START_TEST(bind_takes_an_empty_host_of_ipv6)
{
	struct probe *p = unopened();
	struct sockaddr_storage addr;

	if (has_ipv6()) {
		ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET6, SOCK_DGRAM), 0);
		ck_assert_int_eq(asyncore_bind(&p->dispatcher, "", 0), 0);
		addr = name_of(p);
		ck_assert(IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&addr)->sin6_addr));
	}
	done(p);
}
END_TEST

START_TEST(bind_takes_a_port)
{
	int holder, port = refused_port(&holder), on = 1;
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	/* Two sockets that do not listen can share it. */
	setsockopt(holder, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	asyncore_set_reuse_addr(&p->dispatcher);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.1", port), 0);
	ck_assert_int_eq(port_of(asyncore_socket(&p->dispatcher)), port);
	done(p);
	close(holder);
}
END_TEST

START_TEST(bind_takes_an_address)
{
	struct probe *p = opened(AF_INET, SOCK_DGRAM);
	struct sockaddr_in addr = loopback(0);

	ck_assert_int_eq(asyncore_bind_sockaddr(&p->dispatcher, (struct sockaddr *)&addr,
						sizeof addr), 0);
	ck_assert_int_ne(port_of(asyncore_socket(&p->dispatcher)), 0);
	done(p);
}
END_TEST

START_TEST(bind_takes_a_path)
{
	struct unix_path where = unix_path_new();
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);

	ck_assert_int_eq(asyncore_bind_path(&p->dispatcher, where.path), 0);
	ck_assert_int_eq(access(where.path, F_OK), 0);
	done(p);
	unix_path_remove(&where);
}
END_TEST

START_TEST(bind_to_a_path_in_use_is_an_error)
{
	struct unix_path where = unix_path_new();
	int holder = unix_bound(&where, SOCK_STREAM);
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);

	ck_assert_int_eq(asyncore_bind_path(&p->dispatcher, where.path), -EADDRINUSE);
	ck_assert_int_eq(asyncore_error(&p->dispatcher)->code, -EADDRINUSE);
	done(p);
	close(holder);
	unix_path_remove(&where);
}
END_TEST

START_TEST(bind_to_a_port_in_use_is_an_error)
{
	int port, holder = tcp_listener(&port);
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "127.0.0.1", port), -EADDRINUSE);
	done(p);
	close(holder);
}
END_TEST

START_TEST(set_reuse_addr_sets_it)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	int on = 0;
	socklen_t len = sizeof on;

	ck_assert_int_eq(asyncore_set_reuse_addr(&p->dispatcher), 0);
	getsockopt(asyncore_socket(&p->dispatcher), SOL_SOCKET, SO_REUSEADDR, &on, &len);
	ck_assert_int_ne(on, 0);
	done(p);
}
END_TEST

/* bind and connect refuse the same arguments. */
static const struct {
	int (*host)(struct asyncore_dispatcher *, const char *, int);
	int (*sockaddr)(struct asyncore_dispatcher *, const struct sockaddr *, socklen_t);
	int (*path)(struct asyncore_dispatcher *, const char *);
} both[] = {
	{ asyncore_bind, asyncore_bind_sockaddr, asyncore_bind_path },
	{ asyncore_connect, asyncore_connect_sockaddr, asyncore_connect_path },
};

static void assert_nothing_changed(struct probe *p)
{
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	ck_assert(!asyncore_connecting(&p->dispatcher));
	ck_assert_str_eq(trace, "");
}

START_TEST(a_port_out_of_range_is_refused)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	ck_assert_int_eq(both[_i].host(&p->dispatcher, "127.0.0.1", -1), -EINVAL);
	ck_assert_int_eq(both[_i].host(&p->dispatcher, "127.0.0.1", 65536), -EINVAL);
	ck_assert_int_eq(both[_i].host(&p->dispatcher, "127.0.0.1", INT_MIN), -EINVAL);
	ck_assert_int_eq(both[_i].host(&p->dispatcher, "127.0.0.1", INT_MAX), -EINVAL);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(a_host_a_path_and_an_address_must_not_be_null)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	ck_assert_int_eq(both[_i].host(&p->dispatcher, NULL, 1), -EINVAL);
	ck_assert_int_eq(both[_i].path(&p->dispatcher, NULL), -EINVAL);
	ck_assert_int_eq(both[_i].sockaddr(&p->dispatcher, NULL, 16), -EINVAL);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(a_length_that_no_address_has_is_refused)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	struct sockaddr_storage addr = { .ss_family = AF_INET };
	const struct sockaddr *generic = (struct sockaddr *)&addr;

	ck_assert_int_eq(both[_i].sockaddr(&p->dispatcher, generic, 0), -EINVAL);
	ck_assert_int_eq(both[_i].sockaddr(&p->dispatcher, generic, 1), -EINVAL);
	ck_assert_int_eq(both[_i].sockaddr(&p->dispatcher, generic, sizeof addr + 1), -EINVAL);
	ck_assert_int_eq(both[_i].sockaddr(&p->dispatcher, generic, (socklen_t)-1), -EINVAL);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(an_address_of_another_family_is_refused)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };

	ck_assert_int_eq(both[_i].sockaddr(&p->dispatcher, (struct sockaddr *)&addr, sizeof addr),
			 -EAFNOSUPPORT);
	ck_assert_int_eq(both[_i].path(&p->dispatcher, "/nowhere"), -EAFNOSUPPORT);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(a_number_of_another_family_is_refused)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	int r = both[_i].host(&p->dispatcher, "::1", 1);

	/* Which of the two is the resolver's choice. */
	ck_assert(r == -EAFNOSUPPORT || r == -ENOENT);
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	done(p);
}
END_TEST

/* DESIGN 4: an address of another family changes nothing. */
START_TEST(a_host_is_no_address_of_an_af_unix_socket)
{
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);

	ck_assert_int_eq(both[_i].host(&p->dispatcher, "127.0.0.1", 1), -EAFNOSUPPORT);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(an_empty_path_is_refused)
{
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);

	ck_assert_int_eq(both[_i].path(&p->dispatcher, ""), -EINVAL);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(a_path_that_does_not_fit_is_refused)
{
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	memset(path, 'p', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	ck_assert_int_eq(both[_i].path(&p->dispatcher, path), -ENAMETOOLONG);
	assert_nothing_changed(p);
	done(p);
}
END_TEST

START_TEST(the_longest_path_that_fits_is_not_refused)
{
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	/* In a directory that does not exist. */
	memset(path, 'p', sizeof path - 1);
	memcpy(path, "/nowhere/", 9);
	path[sizeof path - 1] = '\0';
	ck_assert_int_eq(both[_i].path(&p->dispatcher, path), -ENOENT);
	done(p);
}
END_TEST

/* No resolver asks its servers for this. */
static const char impossible[] = "no such host";

START_TEST(a_name_that_does_not_exist_is_an_error_with_the_words_of_the_resolver)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	const struct asyncore_error *error;

	ck_assert_int_eq(both[_i].host(&p->dispatcher, impossible, 1), -ENOENT);
	error = asyncore_error(&p->dispatcher);
	ck_assert_ptr_nonnull(error);
	ck_assert_int_eq(error->code, -ENOENT);
	ck_assert_int_eq(strncmp(error->text, "no such host: ", 14), 0);
	ck_assert_uint_gt(strlen(error->text), 14);
	ck_assert_uint_ge(error->count, 1);
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	/* Python says that it is connecting before it looks up the name. */
	ck_assert_int_eq(asyncore_connecting(&p->dispatcher),
			 both[_i].host == asyncore_connect);
	done(p);
}
END_TEST

START_TEST(a_very_long_name_is_an_error)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	char name[5000];

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	ck_assert_int_lt(both[_i].host(&p->dispatcher, name, 1), 0);
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	done(p);
}
END_TEST

/* Connect to a listener by words; the connection is made. */
static void assert_connects(const char *host)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	p->wants_write = 1;
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, host, port), 0);
	run_until(p->writes > 0, NULL);
	ck_assert_str_eq(trace, "connect 1 write 1 ");
	done(p);
	close(listener);
}

START_TEST(connect_takes_a_number)
{
	assert_connects("127.0.0.1");
}
END_TEST

START_TEST(connect_takes_a_name)
{
	assert_connects("localhost");
}
END_TEST

/* As Python's socket does: to the any address, which is this host. */
START_TEST(connect_takes_an_empty_host)
{
	assert_connects("");
}
END_TEST

START_TEST(connect_takes_an_abstract_address)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct probe *p = opened(AF_UNIX, SOCK_STREAM);
	socklen_t len = sizeof addr.sun_family;

	/* Of this length the kernel chooses a name. */
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	len = sizeof addr;
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	ck_assert_int_eq(asyncore_connect_sockaddr(&p->dispatcher, (struct sockaddr *)&addr, len),
			 0);
	ck_assert(asyncore_connected(&p->dispatcher));
	done(p);
	close(listener);
}
END_TEST

START_TEST(connect_over_ipv6_connects)
{
	struct probe *server = unopened(), *p = unopened();

	if (has_ipv6()) {
		asyncore_create_socket(&server->dispatcher, AF_INET6, SOCK_STREAM);
		ck_assert_int_eq(asyncore_bind(&server->dispatcher, "::1", 0), 0);
		ck_assert_int_eq(asyncore_listen(&server->dispatcher, 5), 0);
		asyncore_create_socket(&p->dispatcher, AF_INET6, SOCK_STREAM);
		p->wants_write = 1;
		ck_assert_int_eq(asyncore_connect(&p->dispatcher, "::1",
						  port_of(asyncore_socket(&server->dispatcher))),
				 0);
		run_until(p->connects == 1 && server->accepteds == 1, NULL);
	}
	done(p);
	done(server);
}
END_TEST

START_TEST(a_connect_to_nowhere_that_fails_at_once_is_an_error)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	/* A broadcast address without SO_BROADCAST. */
	ck_assert_int_lt(asyncore_connect(&p->dispatcher, "255.255.255.255", 1), 0);
	ck_assert(asyncore_connecting(&p->dispatcher));
	ck_assert_ptr_null(asyncore_addr(&p->dispatcher, NULL));
	done(p);
}
END_TEST

START_TEST(a_second_connect_while_the_first_is_under_way_is_under_way_too)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	p->wants_write = 1;
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	run_until(p->writes > 0, NULL);
	ck_assert(asyncore_connected(&p->dispatcher));
	ck_assert_int_eq(p->errors, 0);
	done(p);
	close(listener);
}
END_TEST

static void add_addresses(Suite *suite)
{
	TCase *tc = suite_case(suite, "bind and connect");

	tcase_add_test(tc, bind_takes_a_number);
	tcase_add_test(tc, bind_takes_a_name);
	tcase_add_test(tc, bind_takes_an_empty_host_for_every_address);
	tcase_add_test(tc, bind_takes_a_number_of_ipv6);
	tcase_add_test(tc, bind_takes_an_empty_host_of_ipv6);
	tcase_add_test(tc, bind_takes_a_port);
	tcase_add_test(tc, bind_takes_an_address);
	tcase_add_test(tc, bind_takes_a_path);
	tcase_add_test(tc, bind_to_a_path_in_use_is_an_error);
	tcase_add_test(tc, bind_to_a_port_in_use_is_an_error);
	tcase_add_test(tc, set_reuse_addr_sets_it);
	/* Each for bind and for connect. */
	tcase_add_loop_test(tc, a_port_out_of_range_is_refused, 0, 2);
	tcase_add_loop_test(tc, a_host_a_path_and_an_address_must_not_be_null, 0, 2);
	tcase_add_loop_test(tc, a_length_that_no_address_has_is_refused, 0, 2);
	tcase_add_loop_test(tc, an_address_of_another_family_is_refused, 0, 2);
	tcase_add_loop_test(tc, a_number_of_another_family_is_refused, 0, 2);
	tcase_add_loop_test(tc, a_host_is_no_address_of_an_af_unix_socket, 0, 2);
	tcase_add_loop_test(tc, an_empty_path_is_refused, 0, 2);
	tcase_add_loop_test(tc, a_path_that_does_not_fit_is_refused, 0, 2);
	tcase_add_loop_test(tc, the_longest_path_that_fits_is_not_refused, 0, 2);
	tcase_add_loop_test(tc,
			    a_name_that_does_not_exist_is_an_error_with_the_words_of_the_resolver,
			    0, 2);
	tcase_add_loop_test(tc, a_very_long_name_is_an_error, 0, 2);
	tcase_add_test(tc, connect_takes_a_number);
	tcase_add_test(tc, connect_takes_a_name);
	tcase_add_test(tc, connect_takes_an_empty_host);
	tcase_add_test(tc, connect_takes_an_abstract_address);
	tcase_add_test(tc, connect_over_ipv6_connects);
	tcase_add_test(tc, a_connect_to_nowhere_that_fails_at_once_is_an_error);
	tcase_add_test(tc, a_second_connect_while_the_first_is_under_way_is_under_way_too);
}

/* --- listen and accept ------------------------------------------------------------------ */

/* A client whose connection waits for the probe to accept it. */
static int client_of(struct probe *p)
{
	struct sockaddr_in addr = loopback(port_of(asyncore_socket(&p->dispatcher)));
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(client, (struct sockaddr *)&addr, sizeof addr), 0);
	return client;
}

START_TEST(a_server_made_step_by_step_accepts)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	int client;

	asyncore_set_reuse_addr(&p->dispatcher);
	ck_assert_int_eq(asyncore_bind(&p->dispatcher, "", 0), 0);
	ck_assert_int_eq(asyncore_listen(&p->dispatcher, 5), 0);
	ck_assert(asyncore_accepting(&p->dispatcher));
	client = client_of(p);
	step(NULL);
	ck_assert_str_eq(trace, "accept 1 accepted 1 ");
	done(p);
	close(client);
}
END_TEST

START_TEST(a_server_on_a_path_accepts)
{
	struct unix_path where = unix_path_new();
	struct probe *server = opened(AF_UNIX, SOCK_STREAM);
	struct probe *client = opened(AF_UNIX, SOCK_STREAM);

	ck_assert_int_eq(asyncore_bind_path(&server->dispatcher, where.path), 0);
	ck_assert_int_eq(asyncore_listen(&server->dispatcher, 5), 0);
	client->wants_read = 0;
	ck_assert_int_eq(asyncore_connect_path(&client->dispatcher, where.path), 0);
	step(NULL);
	ck_assert_str_eq(trace, "connect 2 accept 1 accepted 1 ");
	done(client);
	done(server);
	unix_path_remove(&where);
}
END_TEST

static const int backlogs[] = { INT_MIN, -1, 0, 1, INT_MAX };

enum { BACKLOGS = sizeof backlogs / sizeof backlogs[0] };

START_TEST(listen_takes_any_backlog)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);
	int client;

	ck_assert_int_eq(asyncore_listen(&p->dispatcher, backlogs[_i]), 0);
	client = client_of(p);
	step(NULL);
	ck_assert_int_eq(p->accepteds, 1);
	done(p);
	close(client);
}
END_TEST

START_TEST(a_listen_that_fails_leaves_the_channel_accepting_as_in_python)
{
	struct probe *p = opened(AF_INET, SOCK_DGRAM);

	ck_assert_int_eq(asyncore_listen(&p->dispatcher, 1), -EOPNOTSUPP);
	ck_assert(asyncore_accepting(&p->dispatcher));
	done(p);
}
END_TEST

/* A listening probe that the loop knows already, and a client. */
static struct probe *server_with_client(const struct asyncore_dispatcher_type *type, int *client)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = hold(probe_new_typed(type, listener, NULL));

	asyncore_set_accepting(&p->dispatcher, true);
	step(NULL);
	*client = client_of(p);
	return p;
}

START_TEST(accept_returns_a_blocking_descriptor_that_is_closed_on_exec)
{
	int client, fd;
	struct probe *p = server_with_client(&probe_type, &client);

	fd = asyncore_accept(&p->dispatcher, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert(!is_nonblocking(fd));
	ck_assert(is_cloexec(fd));
	ck_assert_str_eq(trace, "");
	close(fd);
	done(p);
	close(client);
}
END_TEST

START_TEST(accept_tells_the_address)
{
	int client, fd;
	struct probe *p = server_with_client(&probe_type, &client);
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;

	fd = asyncore_accept(&p->dispatcher, (struct sockaddr *)&addr, &len);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(len, sizeof(struct sockaddr_in));
	ck_assert_int_eq(ntohs(((struct sockaddr_in *)&addr)->sin_port), port_of(client));
	close(fd);
	done(p);
	close(client);
}
END_TEST

START_TEST(accept_of_nothing_says_again)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = hold(probe_new(listener, NULL));

	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, NULL), -EAGAIN);
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	done(p);
}
END_TEST

START_TEST(accept_wants_both_of_address_and_length_or_neither)
{
	int client;
	struct probe *p = server_with_client(&probe_type, &client);
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;

	ck_assert_int_eq(asyncore_accept(&p->dispatcher, (struct sockaddr *)&addr, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, &len), -EINVAL);
	/* The connection still waits. */
	step(NULL);
	ck_assert_int_eq(p->accepteds, 1);
	done(p);
	close(client);
}
END_TEST

START_TEST(accept_on_a_socket_that_does_not_listen_raises)
{
	struct probe *p = opened(AF_INET, SOCK_STREAM);

	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_error(&p->dispatcher)->code, -EINVAL);
	done(p);
}
END_TEST

/* FIELD B30 */
START_TEST(a_connection_that_was_reset_before_accept_is_no_error)
{
	int client;
	struct probe *p = server_with_client(&probe_type, &client);

	reset_on_close(client);
	close(client);
	step(NULL);
	ck_assert_int_eq(p->errors, 0);
	ck_assert_int_ge(asyncore_socket(&p->dispatcher), 0);
	done(p);
}
END_TEST

static void add_accept(Suite *suite)
{
	TCase *tc = suite_case(suite, "listen and accept");

	tcase_add_test(tc, a_server_made_step_by_step_accepts);
	tcase_add_test(tc, a_server_on_a_path_accepts);
	tcase_add_loop_test(tc, listen_takes_any_backlog, 0, BACKLOGS);
	tcase_add_test(tc, a_listen_that_fails_leaves_the_channel_accepting_as_in_python);
	tcase_add_test(tc, accept_returns_a_blocking_descriptor_that_is_closed_on_exec);
	tcase_add_test(tc, accept_tells_the_address);
	tcase_add_test(tc, accept_of_nothing_says_again);
	tcase_add_test(tc, accept_wants_both_of_address_and_length_or_neither);
	tcase_add_test(tc, accept_on_a_socket_that_does_not_listen_raises);
	tcase_add_test(tc, a_connection_that_was_reset_before_accept_is_no_error);
}

/* --- no descriptors left (FIELD B2) ----------------------------------------------------- */

/* Passes until something is so, in the way of poll() or of poll2(). */
#define loop_until(condition, use_poll) \
	do { \
		int passes_ = 0; \
		while (!(condition) && passes_++ < 200) \
			ck_assert_int_eq(asyncore_loop(1.0, (use_poll), NULL, 1), 0); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

static struct rlimit limit_before;

/* From here on no descriptor can be made, until leave_descriptors(). */
static void take_descriptors_away(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
	limit = limit_before;
	limit.rlim_cur = (rlim_t)no_descriptor();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void leave_descriptors(void)
{
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit_before), 0);
}

/* Does a connection survive an accept() without descriptors?  Not under tools that imitate
 * the limit (valgrind accepts, and closes what the limit forbids). */
static bool connections_survive(void)
{
	int port, listener = tcp_listener(&port), client, fd;
	struct sockaddr_in addr = loopback(port);

	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&addr, sizeof addr), 0);
	take_descriptors_away();
	fd = accept(listener, NULL, NULL);
	leave_descriptors();
	ck_assert_int_lt(fd, 0);
	fd = accept(listener, NULL, NULL);
	close(listener);
	close(client);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const struct asyncore_dispatcher_type quiet = {
	.base = &probe_type,
	.log_info = log_info_kept,
};

static const struct asyncore_dispatcher_type quiet_batch = {
	.base = &quiet,
	.flags = ASYNCORE_ACCEPT_BATCH,
};

static const struct asyncore_dispatcher_type raising = {
	.base = &quiet,
	.flags = ASYNCORE_ACCEPT_RAISES,
};

static const char pause_line[] =
	"error: accept: Too many open files, pausing for a moment\n";

/* FIELD B2 */
START_TEST(accept_without_descriptors_says_again_and_keeps_the_listener)
{
	int client;
	struct probe *p = server_with_client(&quiet, &client);

	take_descriptors_away();
	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, NULL), -EAGAIN);
	leave_descriptors();
	ck_assert_int_ge(asyncore_socket(&p->dispatcher), 0);
	ck_assert(asyncore_accepting(&p->dispatcher));
	ck_assert_str_eq(kept_log, pause_line);
	done(p);
	close(client);
}
END_TEST

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

/* FIELD B2.  The clock tells how often a rest of 50 ms can have ended meanwhile. */
START_TEST(a_listener_without_descriptors_rests_and_is_no_error)
{
	int client, i;
	struct probe *p = server_with_client(_i & 2 ? &quiet_batch : &quiet, &client);
	long start = milliseconds();

	take_descriptors_away();
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(asyncore_loop(0.0, _i & 1, NULL, 1), 0);
	ck_assert_int_ge(p->accepts, 1);
	ck_assert_int_le(p->accepts, 2 + (milliseconds() - start) / 50);
	ck_assert_int_eq(p->errors + p->closes, 0);
	ck_assert_str_eq(kept_log, pause_line);
	leave_descriptors();
	done(p);
	close(client);
}
END_TEST

/* FIELD B2 */
START_TEST(a_resting_listener_serves_again_once_there_are_descriptors)
{
	int client;
	struct probe *p;

	if (!connections_survive())
		return;
	p = server_with_client(&quiet, &client);
	take_descriptors_away();
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	ck_assert_int_eq(p->accepteds, 0);
	leave_descriptors();
	loop_until(p->accepteds > 0, _i);
	ck_assert_int_eq(p->errors, 0);
	done(p);
	close(client);
}
END_TEST

/* FIELD B2 */
START_TEST(a_shortage_that_lasts_is_reported_once)
{
	int client;
	struct probe *p;

	if (!connections_survive())
		return;
	p = server_with_client(&quiet, &client);
	take_descriptors_away();
	loop_until(p->accepts >= 3, _i);
	ck_assert_str_eq(kept_log, pause_line);
	leave_descriptors();
	done(p);
	close(client);
}
END_TEST

/* FIELD B2 */
START_TEST(a_resting_listener_does_not_spin)
{
	int client, passes = 0;
	struct probe *p;

	if (!connections_survive())
		return;
	p = server_with_client(&quiet, &client);
	take_descriptors_away();
	while (p->accepts < 4 && passes++ < 100)
		ck_assert_int_eq(asyncore_poll(1.0, NULL), 0);
	/* For each accept() the pass that calls it and the one that ends with the pause. */
	ck_assert_int_le(passes, 8);
	leave_descriptors();
	done(p);
	close(client);
}
END_TEST

/* FIELD B2 */
START_TEST(a_shortage_after_one_that_ended_is_reported_again)
{
	int client, fd;
	struct probe *p;

	if (!connections_survive())
		return;
	p = server_with_client(&quiet, &client);
	take_descriptors_away();
	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, NULL), -EAGAIN);
	leave_descriptors();
	fd = asyncore_accept(&p->dispatcher, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	close(fd);
	kept_log[0] = '\0';
	close(client);
	client = client_of(p);
	take_descriptors_away();
	ck_assert_int_eq(asyncore_accept(&p->dispatcher, NULL, NULL), -EAGAIN);
	leave_descriptors();
	ck_assert_str_eq(kept_log, pause_line);
	done(p);
	close(client);
}
END_TEST

/* FIELD B2 */
START_TEST(a_resting_listener_can_be_closed)
{
	int client;
	struct probe *p = server_with_client(&quiet, &client);

	take_descriptors_away();
	step(NULL);
	leave_descriptors();
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	done(p);
	close(client);
}
END_TEST

/* FIELD B2 */
START_TEST(a_channel_that_rested_is_awake_with_its_next_socket)
{
	int client, other_client, port, listener;
	struct probe *p = server_with_client(&quiet, &client);

	take_descriptors_away();
	step(NULL);
	leave_descriptors();
	asyncore_close(&p->dispatcher);
	listener = tcp_listener(&port);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, listener, NULL), 0);
	asyncore_set_accepting(&p->dispatcher, true);
	other_client = client_of(p);
	step(NULL);
	ck_assert_int_eq(p->accepteds, 1);
	done(p);
	close(client);
	close(other_client);
}
END_TEST

/* FIELD B2 */
START_TEST(other_channels_are_served_while_a_listener_rests)
{
	int client, fd[2];
	struct probe *p = server_with_client(&quiet, &client), *other;

	unix_pair(fd);
	other = hold(probe_new(fd[0], NULL));
	take_descriptors_away();
	step(NULL);
	put(fd[1], "x", 1);
	step(NULL);
	ck_assert_uint_eq(other->len, 1);
	ck_assert_int_eq(p->errors + p->closes + p->accepteds, 0);
	leave_descriptors();
	done(p);
	done(other);
	close(client);
	close(fd[1]);
}
END_TEST

/* FIELD B2, option */
START_TEST(a_class_that_wants_it_gets_the_shortage_raised)
{
	int client;
	struct probe *p = server_with_client(&raising, &client);

	take_descriptors_away();
	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 1), 0);
	leave_descriptors();
	ck_assert_str_eq(trace, "accept 1 error 1 ");
	ck_assert_int_eq(p->last_error, -EMFILE);
	ck_assert_str_eq(kept_log, "");
	done(p);
	close(client);
}
END_TEST

START_TEST(create_socket_without_descriptors_raises)
{
	struct probe *p = unopened();
	int r;

	asyncore_socket_map();
	take_descriptors_away();
	r = asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	leave_descriptors();
	ck_assert_int_eq(r, -EMFILE);
	ck_assert_int_eq(asyncore_error(&p->dispatcher)->code, -EMFILE);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	done(p);
}
END_TEST

START_TEST(set_file_without_descriptors_raises)
{
	struct probe *p = unopened();
	int r;

	take_descriptors_away();
	r = asyncore_set_file(&p->dispatcher, 0);
	leave_descriptors();
	ck_assert_int_eq(r, -EMFILE);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	done(p);
}
END_TEST

static void add_shortage(Suite *suite)
{
	TCase *tc = suite_case(suite, "no descriptors left");

	tcase_add_test(tc, accept_without_descriptors_says_again_and_keeps_the_listener);
	tcase_add_loop_test(tc, a_listener_without_descriptors_rests_and_is_no_error, 0, 4);
	tcase_add_loop_test(tc, a_resting_listener_serves_again_once_there_are_descriptors, 0, 2);
	tcase_add_loop_test(tc, a_shortage_that_lasts_is_reported_once, 0, 2);
	tcase_add_test(tc, a_resting_listener_does_not_spin);
	tcase_add_test(tc, a_shortage_after_one_that_ended_is_reported_again);
	tcase_add_test(tc, a_resting_listener_can_be_closed);
	tcase_add_test(tc, a_channel_that_rested_is_awake_with_its_next_socket);
	tcase_add_test(tc, other_channels_are_served_while_a_listener_rests);
	tcase_add_loop_test(tc, a_class_that_wants_it_gets_the_shortage_raised, 0, 2);
	tcase_add_test(tc, create_socket_without_descriptors_raises);
	tcase_add_test(tc, set_file_without_descriptors_raises);
}

/* --- send and recv ---------------------------------------------------------------------- */

static struct probe *connected(int *peer)
{
	int fd[2];

	unix_pair(fd);
	*peer = fd[1];
	return hold(probe_new(fd[0], NULL));
}

START_TEST(send_sends_and_recv_receives)
{
	int peer;
	struct probe *p = connected(&peer);
	char bytes[8];

	ck_assert_int_eq(asyncore_send(&p->dispatcher, "hello", 5), 5);
	take(peer, bytes, 5);
	ck_assert_mem_eq(bytes, "hello", 5);
	put(peer, "world!", 6);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, bytes, 4), 4);
	ck_assert_mem_eq(bytes, "worl", 4);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, bytes, 8), 2);
	ck_assert_mem_eq(bytes, "d!", 2);
	ck_assert_str_eq(trace, "");
	done(p);
	close(peer);
}
END_TEST

START_TEST(send_of_no_bytes_sends_nothing)
{
	int peer;
	struct probe *p = connected(&peer);

	ck_assert_int_eq(asyncore_send(&p->dispatcher, "", 0), 0);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, NULL, 0), 0);
	ck_assert_str_eq(trace, "");
	done(p);
	close(peer);
}
END_TEST

START_TEST(data_must_not_be_null)
{
	int peer;
	struct probe *p = connected(&peer);

	ck_assert_int_eq(asyncore_send(&p->dispatcher, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_send(&p->dispatcher, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_recv(&p->dispatcher, NULL, 1), -EINVAL);
	ck_assert_str_eq(trace, "");
	done(p);
	close(peer);
}
END_TEST

START_TEST(send_returns_0_when_nothing_can_go_out)
{
	int peer, n;
	struct probe *p = connected(&peer);
	char data[65536] = { 0 };
	size_t sent = 0;

	while ((n = asyncore_send(&p->dispatcher, data, sizeof data)) > 0)
		sent += (size_t)n;
	ck_assert_int_eq(n, 0);
	ck_assert_str_eq(trace, "");
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	asyncore_close(&p->dispatcher);
	ck_assert_uint_eq(drain(peer), sent);
	done(p);
	close(peer);
}
END_TEST

/* More memory than a count can tell, none of which is used yet; NULL if there is not as
 * much.  The kernel wants the whole length to be within the address space. */
static void *huge(size_t *len)
{
	void *memory;

	*len = (size_t)INT_MAX + 4096;
	memory = mmap(NULL, *len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory != MAP_FAILED ? memory : NULL;
}

START_TEST(recv_of_more_than_can_be_counted_takes_what_is_there)
{
	int peer;
	struct probe *p = connected(&peer);
	size_t len;
	char *buffer = huge(&len);

	if (buffer != NULL) {
		put(peer, "hello", 5);
		ck_assert_int_eq(asyncore_recv(&p->dispatcher, buffer, len), 5);
		ck_assert_mem_eq(buffer, "hello", 5);
		munmap(buffer, len);
	}
	done(p);
	close(peer);
}
END_TEST

START_TEST(send_of_more_than_can_be_counted_sends_a_part)
{
	int peer, n;
	struct probe *p = connected(&peer);
	size_t len;
	void *data = huge(&len);

	if (data != NULL) {
		n = asyncore_send(&p->dispatcher, data, len);
		ck_assert_int_gt(n, 0);
		munmap(data, len);
	}
	done(p);
	close(peer);
}
END_TEST

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

START_TEST(a_peer_that_is_gone_raises_no_signal)
{
	struct sigaction action = { .sa_handler = count_signal }, before, after;
	struct probe *p;
	int fd[2];

	signals = 0;
	sigaction(SIGPIPE, &action, &before);
	if (_i) {
		tcp_pair(fd);
		reset_on_close(fd[1]);
	} else {
		unix_pair(fd);
	}
	p = hold(probe_new(fd[0], NULL));
	close(fd[1]);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_int_eq(p->closes, 1);
	done(p);
	sigaction(SIGPIPE, &before, &after);
	ck_assert_int_eq(signals, 0);
	ck_assert(after.sa_handler == count_signal);
}
END_TEST

START_TEST(a_socket_that_was_shut_down_raises_no_signal)
{
	struct sigaction action = { .sa_handler = count_signal }, before;
	int peer;
	struct probe *p = connected(&peer);

	signals = 0;
	sigaction(SIGPIPE, &action, &before);
	shutdown(asyncore_socket(&p->dispatcher), SHUT_WR);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_int_eq(p->closes, 1);
	sigaction(SIGPIPE, &before, NULL);
	ck_assert_int_eq(signals, 0);
	done(p);
	close(peer);
}
END_TEST

static void add_data(Suite *suite)
{
	TCase *tc = suite_case(suite, "send and recv");

	tcase_add_test(tc, send_sends_and_recv_receives);
	tcase_add_test(tc, send_of_no_bytes_sends_nothing);
	tcase_add_test(tc, data_must_not_be_null);
	tcase_add_test(tc, send_returns_0_when_nothing_can_go_out);
	tcase_add_test(tc, recv_of_more_than_can_be_counted_takes_what_is_there);
	tcase_add_test(tc, send_of_more_than_can_be_counted_sends_a_part);
	tcase_add_loop_test(tc, a_peer_that_is_gone_raises_no_signal, 0, 2);
	tcase_add_test(tc, a_socket_that_was_shut_down_raises_no_signal);
}

/* --- datagrams -------------------------------------------------------------------------- */

/* Two bound datagram sockets, one of them a probe's. */
struct datagrams {
	struct probe *probe;
	int other;
	struct sockaddr_storage addr, other_addr;
	socklen_t len, other_len;
	struct unix_path where, other_where;
};

static void bind_datagrams(struct datagrams *g, int family)
{
	struct sockaddr_in in = loopback(0);
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const struct sockaddr *any = family == AF_INET ? (void *)&in : (void *)&in6;
	socklen_t len = family == AF_INET ? sizeof in : sizeof in6;

	if (family == AF_UNIX) {
		g->where = unix_path_new();
		g->other_where = unix_path_new();
		ck_assert_int_eq(asyncore_bind_path(&g->probe->dispatcher, g->where.path), 0);
		g->other = unix_bound(&g->other_where, SOCK_DGRAM);
		return;
	}
	ck_assert_int_eq(asyncore_bind_sockaddr(&g->probe->dispatcher, any, len), 0);
	g->other = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(g->other, any, len), 0);
}

static struct datagrams datagrams_new(int family)
{
	struct datagrams g = { .probe = opened(family, SOCK_DGRAM) };

	bind_datagrams(&g, family);
	g.len = g.other_len = sizeof g.addr;
	getsockname(asyncore_socket(&g.probe->dispatcher), (struct sockaddr *)&g.addr, &g.len);
	getsockname(g.other, (struct sockaddr *)&g.other_addr, &g.other_len);
	return g;
}

static void datagrams_free(struct datagrams *g)
{
	done(g->probe);
	close(g->other);
	if (g->where.path[0] != '\0') {
		unix_path_remove(&g->where);
		unix_path_remove(&g->other_where);
	}
}

static int send_out(struct datagrams *g, const void *data, size_t len)
{
	return asyncore_sendto(&g->probe->dispatcher, data, len, (struct sockaddr *)&g->other_addr,
			       g->other_len);
}

/* Send to the probe, and wait until it is there. */
static void send_in(struct datagrams *g, const void *data, size_t len)
{
	struct pollfd pfd = { .fd = asyncore_socket(&g->probe->dispatcher), .events = POLLIN };

	ck_assert_int_eq(sendto(g->other, data, len, 0, (struct sockaddr *)&g->addr, g->len),
			 (int)len);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
}

static const int datagram_families[] = { AF_INET, AF_UNIX, AF_INET6 };

#define DATAGRAMS_OR_RETURN(g) \
	struct datagrams g; \
	if (datagram_families[_i] == AF_INET6 && !has_ipv6()) \
		return; \
	g = datagrams_new(datagram_families[_i])

START_TEST(sendto_sends_a_datagram)
{
	DATAGRAMS_OR_RETURN(g);
	struct pollfd pfd = { .fd = g.other, .events = POLLIN };
	char bytes[8];

	ck_assert_int_eq(send_out(&g, "hello", 5), 5);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert_int_eq(recv(g.other, bytes, sizeof bytes, 0), 5);
	ck_assert_mem_eq(bytes, "hello", 5);
	ck_assert_str_eq(trace, "");
	datagrams_free(&g);
}
END_TEST

START_TEST(recvfrom_receives_a_datagram_and_its_sender)
{
	DATAGRAMS_OR_RETURN(g);
	struct sockaddr_storage from = { 0 };
	socklen_t len = sizeof from;
	char bytes[8];

	send_in(&g, "hello", 5);
	ck_assert_int_eq(asyncore_recvfrom(&g.probe->dispatcher, bytes, sizeof bytes,
					   (struct sockaddr *)&from, &len), 5);
	ck_assert_mem_eq(bytes, "hello", 5);
	ck_assert_uint_eq(len, g.other_len);
	ck_assert_mem_eq(&from, &g.other_addr, len);
	ck_assert_str_eq(trace, "");
	datagrams_free(&g);
}
END_TEST

START_TEST(recvfrom_needs_no_address)
{
	DATAGRAMS_OR_RETURN(g);
	char bytes[3];

	/* What does not fit is lost, as with recvfrom(2). */
	send_in(&g, "hello", 5);
	ck_assert_int_eq(asyncore_recvfrom(&g.probe->dispatcher, bytes, 3, NULL, NULL), 3);
	ck_assert_int_eq(asyncore_recvfrom(&g.probe->dispatcher, bytes, 3, NULL, NULL), -EAGAIN);
	datagrams_free(&g);
}
END_TEST

START_TEST(empty_datagrams_go_both_ways)
{
	DATAGRAMS_OR_RETURN(g);
	struct pollfd pfd = { .fd = g.other, .events = POLLIN };
	char byte;

	ck_assert_int_eq(send_out(&g, NULL, 0), 0);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert_int_eq(recv(g.other, &byte, 1, 0), 0);
	send_in(&g, "", 0);
	ck_assert_int_eq(asyncore_recvfrom(&g.probe->dispatcher, &byte, 1, NULL, NULL), 0);
	ck_assert_str_eq(trace, "");
	datagrams_free(&g);
}
END_TEST

START_TEST(recvfrom_of_nothing_says_again)
{
	DATAGRAMS_OR_RETURN(g);
	char byte;

	ck_assert_int_eq(asyncore_recvfrom(&g.probe->dispatcher, &byte, 1, NULL, NULL), -EAGAIN);
	ck_assert_ptr_null(asyncore_error(&g.probe->dispatcher));
	datagrams_free(&g);
}
END_TEST

START_TEST(a_datagram_is_a_read_event)
{
	DATAGRAMS_OR_RETURN(g);

	send_in(&g, "hello", 5);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_uint_eq(g.probe->len, 5);
	datagrams_free(&g);
}
END_TEST

START_TEST(sendto_an_address_of_another_family_is_refused)
{
	DATAGRAMS_OR_RETURN(g);
	struct sockaddr addr = { .sa_family = datagram_families[(_i + 1) % 3] };

	ck_assert_int_eq(asyncore_sendto(&g.probe->dispatcher, "x", 1, &addr, sizeof addr),
			 -EAFNOSUPPORT);
	datagrams_free(&g);
}
END_TEST

START_TEST(arguments_of_sendto_and_recvfrom_must_be_right)
{
	DATAGRAMS_OR_RETURN(g);
	struct asyncore_dispatcher *d = &g.probe->dispatcher;
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	char byte;

	ck_assert_int_eq(send_out(&g, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_sendto(d, "x", 1, NULL, 0), -EINVAL);
	ck_assert_int_eq(asyncore_sendto(d, "x", 1, (struct sockaddr *)&g.addr, 1), -EINVAL);
	ck_assert_int_eq(asyncore_sendto(d, "x", 1, (struct sockaddr *)&g.addr, 1000), -EINVAL);
	ck_assert_int_eq(asyncore_recvfrom(d, NULL, 1, NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_recvfrom(d, &byte, 1, NULL, &len), -EINVAL);
	ck_assert_int_eq(asyncore_recvfrom(d, &byte, 1, (struct sockaddr *)&from, NULL), -EINVAL);
	datagrams_free(&g);
}
END_TEST

START_TEST(a_datagram_that_is_too_long_raises)
{
	DATAGRAMS_OR_RETURN(g);
	const size_t len = 64 << 20;
	void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			  0);

	ck_assert_ptr_ne(data, MAP_FAILED);
	ck_assert_int_eq(send_out(&g, data, len), -EMSGSIZE);
	ck_assert_int_eq(asyncore_error(&g.probe->dispatcher)->code, -EMSGSIZE);
	munmap(data, len);
	datagrams_free(&g);
}
END_TEST

/* A UDP socket drops what its receiver has no room for; AF_UNIX says so. */
START_TEST(sendto_returns_0_when_nothing_can_go_out)
{
	struct datagrams g = datagrams_new(AF_UNIX);
	int n, sent = 0;

	while ((n = send_out(&g, "hello", 5)) > 0 && sent < 1000000)
		sent++;
	ck_assert_int_eq(n, 0);
	ck_assert_ptr_null(asyncore_error(&g.probe->dispatcher));
	datagrams_free(&g);
}
END_TEST

START_TEST(sendto_a_path_that_is_gone_raises)
{
	struct datagrams g = datagrams_new(AF_UNIX);

	unlink(g.other_where.path);
	ck_assert_int_eq(send_out(&g, "hello", 5), -ENOENT);
	ck_assert_str_eq(trace, "");
	datagrams_free(&g);
}
END_TEST

/* A refusal by ICMP is an error of the next call, and nothing is closed. */
START_TEST(a_refused_datagram_raises_on_a_connected_socket)
{
	struct probe *p = opened(AF_INET, SOCK_DGRAM);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), port;
	struct sockaddr_in addr = loopback(0);
	struct pollfd pfd;
	char byte;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	port = port_of(fd);
	close(fd);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 1);
	pfd = (struct pollfd){ .fd = asyncore_socket(&p->dispatcher), .events = POLLIN };
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &byte, 1), -ECONNREFUSED);
	ck_assert_int_eq(p->closes, 0);
	done(p);
}
END_TEST

START_TEST(send_on_a_datagram_socket_without_a_peer_is_as_in_python)
{
	struct probe *p = opened(AF_INET, SOCK_DGRAM);

	/* EDESTADDRREQ is no lost connection. */
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), -EDESTADDRREQ);
	ck_assert_str_eq(trace, "");
	done(p);
}
END_TEST

static void add_datagrams(Suite *suite)
{
	TCase *tc = suite_case(suite, "datagrams");

	/* Each for UDP, for AF_UNIX and for UDP over IPv6. */
	tcase_add_loop_test(tc, sendto_sends_a_datagram, 0, 3);
	tcase_add_loop_test(tc, recvfrom_receives_a_datagram_and_its_sender, 0, 3);
	tcase_add_loop_test(tc, recvfrom_needs_no_address, 0, 3);
	tcase_add_loop_test(tc, empty_datagrams_go_both_ways, 0, 3);
	tcase_add_loop_test(tc, recvfrom_of_nothing_says_again, 0, 3);
	tcase_add_loop_test(tc, a_datagram_is_a_read_event, 0, 3);
	tcase_add_loop_test(tc, sendto_an_address_of_another_family_is_refused, 0, 3);
	tcase_add_loop_test(tc, arguments_of_sendto_and_recvfrom_must_be_right, 0, 3);
	tcase_add_loop_test(tc, a_datagram_that_is_too_long_raises, 0, 3);
	tcase_add_test(tc, sendto_returns_0_when_nothing_can_go_out);
	tcase_add_test(tc, sendto_a_path_that_is_gone_raises);
	tcase_add_test(tc, a_refused_datagram_raises_on_a_connected_socket);
	tcase_add_test(tc, send_on_a_datagram_socket_without_a_peer_is_as_in_python);
}

static void add_cases(Suite *suite)
{
	add_having(suite);
	add_given(suite);
	add_addresses(suite);
	add_accept(suite);
	add_shortage(suite);
	add_data(suite);
	add_datagrams(suite);
}

SUITE_MAIN("socket", add_cases)
