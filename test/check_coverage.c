/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_coverage.c - what the system calls and libevent seldom answer.
 *
 * Functions of ours stand in place of theirs, and fail as often as a test asks for: with a
 * resolver's number, EINTR, EIO, without an event, without memory.  The library says what it
 * got, gives back what it took, and works when it is asked again.
 *
 * Memory runs out only where the C library lets a program replace malloc(), so not under a
 * sanitizer; those cases are left out there.
 */

#include "support.h"
#include "channel.h"
#include "timer_heap.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>
#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#if defined(__GLIBC__) && !defined(SANITIZED)
#define OWN_MALLOC
#endif

/* --- calls that fail ----------------------------------------------------------------- */

enum call {
	GETADDRINFO, GETSOCKOPT, GETPEERNAME, CLOSE, ACCEPT, CONNECT, SENDTO, RECVFROM, SHUTDOWN,
	READ, PREAD, WRITE, SEND, RECV, SENDFILE, EVENTFD, EPOLL_CTL, TIMERFD_CREATE,
	TIMERFD_SETTIME, EVENT_NEW, EVENT_ASSIGN, EVENT_ADD, EVENT_REINIT, DUP3, CALLS
};

static struct {
	int skip, times;		/* let so many pass, then fail so many */
	int error;
	int failed;
} fault[CALLS];

static void refuse_later(enum call call, int skip, int times, int error)
{
	fault[call].skip = skip;
	fault[call].times = times;
	fault[call].error = error;
	fault[call].failed = 0;
}

static void refuse(enum call call, int times, int error)
{
	refuse_later(call, 0, times, error);
}

/* A fault that nobody met would prove nothing. */
static void assert_failed(enum call call, int times)
{
	ck_assert_int_eq(fault[call].failed, times);
	fault[call].times = 0;
}

static bool fails(enum call call)
{
	if (fault[call].times == 0)
		return false;
	if (fault[call].skip > 0) {
		fault[call].skip--;
		return false;
	}
	fault[call].times--;
	fault[call].failed++;
	errno = fault[call].error;
	return true;
}

/* The function that ours stands for. */
#define NEXT(result, name, ...) ((result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **found)
{
	if (fails(GETADDRINFO)) {
		const int error = fault[GETADDRINFO].error;

		errno = ENETDOWN;	/* for EAI_SYSTEM */
		return error;
	}
	return NEXT(int, getaddrinfo, const char *, const char *, const struct addrinfo *,
		    struct addrinfo **)(node, service, hints, found);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	return fails(GETSOCKOPT) ? -1 : NEXT(int, getsockopt, int, int, int, void *, socklen_t *)
		(fd, level, option, value, len);
}

int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails(GETPEERNAME) ? -1 : NEXT(int, getpeername, int, struct sockaddr *, socklen_t *)
		(fd, addr, len);
}

int close(int fd)
{
	const int r = NEXT(int, close, int)(fd);

	/* The descriptor is gone in any case. */
	return r == 0 && fails(CLOSE) ? -1 : r;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return fails(ACCEPT) ? -1 : NEXT(int, accept4, int, struct sockaddr *, socklen_t *, int)
		(fd, addr, len, flags);
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return fails(CONNECT) ? -1 : NEXT(int, connect, int, const struct sockaddr *, socklen_t)
		(fd, addr, len);
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *addr,
	       socklen_t addrlen)
{
	return fails(SENDTO) ? -1 : NEXT(ssize_t, sendto, int, const void *, size_t, int,
					 const struct sockaddr *, socklen_t)
		(fd, data, len, flags, addr, addrlen);
}

ssize_t recvfrom(int fd, void *buffer, size_t len, int flags, struct sockaddr *addr,
		 socklen_t *addrlen)
{
	return fails(RECVFROM) ? -1 : NEXT(ssize_t, recvfrom, int, void *, size_t, int,
					   struct sockaddr *, socklen_t *)
		(fd, buffer, len, flags, addr, addrlen);
}

int shutdown(int fd, int how)
{
	return fails(SHUTDOWN) ? -1 : NEXT(int, shutdown, int, int)(fd, how);
}

ssize_t read(int fd, void *buffer, size_t len)
{
	return fails(READ) ? -1 : NEXT(ssize_t, read, int, void *, size_t)(fd, buffer, len);
}

/* Without an error it is short: a byte goes out. */
ssize_t send(int fd, const void *data, size_t len, int flags)
{
	if (fails(SEND)) {
		if (errno != 0)
			return -1;
		len = 1;
	}
	return NEXT(ssize_t, send, int, const void *, size_t, int)(fd, data, len, flags);
}

ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
	return fails(RECV) ? -1 : NEXT(ssize_t, recv, int, void *, size_t, int)
		(fd, buffer, len, flags);
}

ssize_t pread(int fd, void *buffer, size_t len, off_t offset)
{
	return fails(PREAD) ? -1 : NEXT(ssize_t, pread, int, void *, size_t, off_t)
		(fd, buffer, len, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
	return fails(WRITE) ? -1 : NEXT(ssize_t, write, int, const void *, size_t)(fd, data, len);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t len)
{
	return fails(SENDFILE) ? -1 : NEXT(ssize_t, sendfile, int, int, off_t *, size_t)
		(to, from, offset, len);
}

int eventfd(unsigned count, int flags)
{
	return fails(EVENTFD) ? -1 : NEXT(int, eventfd, unsigned, int)(count, flags);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	return fails(EPOLL_CTL) ? -1 : NEXT(int, epoll_ctl, int, int, int, struct epoll_event *)
		(epoll, op, fd, event);
}

int timerfd_create(int clock, int flags)
{
	return fails(TIMERFD_CREATE) ? -1 : NEXT(int, timerfd_create, int, int)(clock, flags);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	return fails(TIMERFD_SETTIME) ? -1 : NEXT(int, timerfd_settime, int, int,
						  const struct itimerspec *, struct itimerspec *)
		(fd, flags, new, old);
}

int dup3(int fd, int to, int flags)
{
	return fails(DUP3) ? -1 : NEXT(int, dup3, int, int, int)(fd, to, flags);
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
			event_callback_fn callback, void *arg)
{
	return fails(EVENT_NEW) ? NULL : NEXT(struct event *, event_new, struct event_base *,
					      evutil_socket_t, short, event_callback_fn, void *)
		(base, fd, what, callback, arg);
}

int event_assign(struct event *event, struct event_base *base, evutil_socket_t fd, short what,
		 event_callback_fn callback, void *arg)
{
	return fails(EVENT_ASSIGN) ? -1 : NEXT(int, event_assign, struct event *,
					       struct event_base *, evutil_socket_t, short,
					       event_callback_fn, void *)
		(event, base, fd, what, callback, arg);
}

int event_add(struct event *event, const struct timeval *timeout)
{
	return fails(EVENT_ADD) ? -1 : NEXT(int, event_add, struct event *, const struct timeval *)
		(event, timeout);
}

int event_reinit(struct event_base *base)
{
	return fails(EVENT_REINIT) ? -1 : NEXT(int, event_reinit, struct event_base *)(base);
}

/* --- memory that runs out ------------------------------------------------------------ */

static long countdown;		/* 0: no failures; otherwise the allocation to fail */
static bool all_after;		/* and every one behind it */
static long starved;

#ifdef OWN_MALLOC

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static bool starves(void)
{
	if (countdown == 0 || (countdown > 1 && countdown--))
		return false;
	if (!all_after)
		countdown = 0;
	starved++;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return starves() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return starves() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return starves() ? NULL : __libc_realloc(old, size);
}

#endif

/* Are ours the ones that are called?  (Not under valgrind.) */
static bool has_own_malloc(void)
{
	void *(*volatile allocate)(size_t) = malloc;
	void *block;

	countdown = 1;
	block = allocate(1);
	countdown = 0;
	free(block);
	return block == NULL;
}

/* --- small things -------------------------------------------------------------------- */

static struct asyncore_dispatcher *of(struct probe *p)
{
	return &p->dispatcher;
}

static int ran;

static int run(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	ran++;
	return 0;
}

static int released;

static void release(void *arg)
{
	(void)arg;
	released++;
}

static void release_data(const void *data, size_t len, void *arg)
{
	(void)data, (void)len, (void)arg;
	released++;
}

static const struct asyncore_dispatcher_type kept_type = {
	.base = &asyncore_dispatcher_type,
	.log_info = log_info_kept,
};

/* --- names --------------------------------------------------------------------------- */

static const struct {
	int resolver, code;
} answers[] = {
	{ EAI_SYSTEM, -ENETDOWN },
	{ EAI_MEMORY, -ENOMEM },
	{ EAI_NONAME, -ENOENT },
	{ EAI_AGAIN, -EHOSTUNREACH },
	{ EAI_FAMILY, -EAFNOSUPPORT },
	{ EAI_FAIL, -EIO },
	{ EAI_BADFLAGS, -EINVAL },
};

START_TEST(an_answer_of_the_resolver_is_an_errno_and_its_text)
{
	static struct asyncore_dispatcher d;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	refuse(GETADDRINFO, 1, answers[_i].resolver);
	ck_assert_int_eq(asyncore_connect(&d, "a.name", 80), answers[_i].code);
	assert_failed(GETADDRINFO, 1);
	ck_assert_int_eq(asyncore_error(&d)->code, answers[_i].code);
	ck_assert_ptr_nonnull(strstr(asyncore_error(&d)->text, gai_strerror(answers[_i].resolver)));
	/* As Python, which sets it before it asks. */
	ck_assert(asyncore_connecting(&d));
	asyncore_close(&d);
}
END_TEST

/* A resolver that knows no such service is asked again for the address alone. */
START_TEST(a_service_that_is_unknown_is_asked_without_a_type)
{
	static const int unknown[] = { EAI_SERVICE, EAI_SOCKTYPE };
	static struct asyncore_dispatcher d;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	refuse(GETADDRINFO, 1, unknown[_i]);
	ck_assert_int_eq(asyncore_bind(&d, "127.0.0.1", 0), 0);
	assert_failed(GETADDRINFO, 1);
	asyncore_close(&d);

	/* Nor need there be a host. */
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	refuse(GETADDRINFO, 1, unknown[_i]);
	ck_assert_int_eq(asyncore_bind(&d, "", 0), 0);
	assert_failed(GETADDRINFO, 1);
	asyncore_close(&d);

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	refuse(GETADDRINFO, 2, unknown[_i]);
	ck_assert_int_eq(asyncore_bind(&d, "127.0.0.1", 0), -ESOCKTNOSUPPORT);
	assert_failed(GETADDRINFO, 2);
	asyncore_close(&d);
}
END_TEST

static int asked_to_connect(struct asyncore_dispatcher *d, const char *host, int port, void *arg)
{
	(void)d, (void)host, (void)port;
	++*(int *)arg;
	return -ECANCELED;
}

/* No host is this one: no name, and nothing for another resolver. */
START_TEST(an_empty_host_is_not_looked_up_by_another_resolver)
{
	static struct asyncore_dispatcher d;
	int asked = 0, holder, port = refused_port(&holder);

	ck_assert_int_eq(asyncore_map_set_connect_cb(NULL, asked_to_connect, &asked), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_ne(asyncore_connect(&d, "", port), -ECANCELED);
	ck_assert_int_eq(asked, 0);
	ck_assert_int_eq(asyncore_connect(&d, "a.name", port), -ECANCELED);
	ck_assert_int_eq(asked, 1);
	asyncore_close(&d);
	ck_assert_int_eq(asyncore_map_set_connect_cb(NULL, NULL, &asked), 0);
	close(holder);
}
END_TEST

/* --- sockets ------------------------------------------------------------------------- */

START_TEST(init_says_what_getpeername_said_and_leaves_the_descriptor)
{
	static struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	refuse(GETPEERNAME, 1, ENOBUFS);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL),
			 -ENOBUFS);
	assert_failed(GETPEERNAME, 1);
	ck_assert_ptr_null(d.channel);
	put(fd[0], "x", 1);
	take(fd[1], (char[1]){ 0 }, 1);
	/* EINVAL is what a socket that was shut down says: not connected. */
	refuse(GETPEERNAME, 1, EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL), 0);
	ck_assert(!asyncore_connected(&d));
	asyncore_close(&d);
	close(fd[1]);
}
END_TEST

START_TEST(family_and_type_say_what_the_kernel_said)
{
	struct probe *p;
	int peer, family, type;

	p = probe_and_peer(NULL, &peer);
	refuse(GETSOCKOPT, 1, ENOBUFS);
	ck_assert_int_eq(asyncore_family_and_type(of(p), &family, &type), -ENOBUFS);
	refuse_later(GETSOCKOPT, 1, 1, ENOMEM);
	ck_assert_int_eq(asyncore_family_and_type(of(p), &family, &type), -ENOMEM);
	assert_failed(GETSOCKOPT, 1);
	refuse(GETSOCKOPT, 1, ENOBUFS);
	ck_assert_int_eq(asyncore_connect(of(p), "127.0.0.1", 80), -ENOBUFS);
	assert_failed(GETSOCKOPT, 1);
	ck_assert_int_eq(asyncore_family_and_type(of(p), &family, &type), 0);
	ck_assert_int_eq(family, AF_UNIX);
	ck_assert_int_eq(type, SOCK_STREAM);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

START_TEST(an_error_that_cannot_be_asked_for_is_raised)
{
	struct probe *p;
	int peer;

	p = probe_and_peer(NULL, &peer);
	refuse(GETSOCKOPT, 1, ENOBUFS);
	ck_assert_int_eq(asyncore_handle_expt_event(of(p)), -ENOBUFS);
	assert_failed(GETSOCKOPT, 1);
	ck_assert_int_eq(p->expts + p->closes, 0);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

/* Some file systems tell only at close() that a write went wrong. */
START_TEST(close_raises_what_close_said_and_the_channel_is_closed)
{
	static const int silent[] = { EINTR, EBADF, ENOTCONN };
	struct probe *p;
	int peer;
	size_t i;

	p = probe_and_peer(NULL, &peer);
	refuse(CLOSE, 1, EIO);
	ck_assert_int_eq(asyncore_close(of(p)), -EIO);
	assert_failed(CLOSE, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_uint_eq(drain(peer), 0);
	close(peer);
	for (i = 0; i < sizeof silent / sizeof *silent; i++) {
		p = probe_and_peer(NULL, &peer);
		refuse(CLOSE, 1, silent[i]);
		ck_assert_int_eq(asyncore_close(of(p)), 0);
		assert_failed(CLOSE, 1);
		close(peer);
	}
	step(NULL);
	ck_assert_int_eq(probes_disposed, 4);
}
END_TEST

static int keep_in_map(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	(void)d, (void)map;
	return -EPERM;
}

START_TEST(close_raises_what_came_first)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.del_channel = keep_in_map,
	};
	static struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, fd[0], NULL), 0);
	refuse(CLOSE, 1, EIO);
	ck_assert_int_eq(asyncore_close(&d), -EPERM);
	assert_failed(CLOSE, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_uint_eq(drain(fd[1]), 0);
	close(fd[1]);
}
END_TEST

/* Only ENOTCONN tells that there is no peer. */
START_TEST(a_peer_that_cannot_be_asked_for_does_not_undo_a_connect)
{
	static struct asyncore_dispatcher d;
	int port, listener = tcp_listener(&port), i;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&d, "127.0.0.1", port), 0);
	refuse(GETPEERNAME, 1, ENOBUFS);
	for (i = 0; i < 100 && !asyncore_connected(&d); i++)
		ck_assert_int_eq(asyncore_poll(1, NULL), 0);
	ck_assert(asyncore_connected(&d));
	assert_failed(GETPEERNAME, 1);
	asyncore_close(&d);
	close(listener);
}
END_TEST

START_TEST(interrupted_calls_are_made_again)
{
	static struct asyncore_dispatcher d, client;
	struct sockaddr_in addr = loopback(0);
	int fd, port, pair[2];
	char byte = 0, got[3];

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, tcp_listener(&port), NULL), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&client, &kept_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&client, AF_INET, SOCK_STREAM), 0);
	refuse(CONNECT, 2, EINTR);
	ck_assert_int_eq(asyncore_connect(&client, "127.0.0.1", port), 0);
	assert_failed(CONNECT, 2);
	refuse(ACCEPT, 2, EINTR);
	fd = asyncore_accept(&d, NULL, NULL);
	assert_failed(ACCEPT, 2);
	ck_assert_int_ge(fd, 0);
	close(fd);
	asyncore_close(&client);
	asyncore_close(&d);

	unix_pair(pair);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, pair[0], NULL), 0);
	refuse(SEND, 2, EINTR);
	ck_assert_int_eq(asyncore_send(&d, "abc", 3), 3);
	assert_failed(SEND, 2);
	take(pair[1], got, 3);
	put(pair[1], "x", 1);
	refuse(RECV, 2, EINTR);
	ck_assert_int_eq(asyncore_recv(&d, got, sizeof got), 1);
	assert_failed(RECV, 2);
	asyncore_close(&d);
	close(pair[1]);

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	addr = loopback(port_of(fd));
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, fd, NULL), 0);
	refuse(SENDTO, 2, EINTR);
	ck_assert_int_eq(asyncore_sendto(&d, "x", 1, (struct sockaddr *)&addr, sizeof addr), 1);
	assert_failed(SENDTO, 2);
	refuse(RECVFROM, 2, EINTR);
	ck_assert_int_eq(asyncore_recvfrom(&d, &byte, 1, NULL, NULL), 1);
	assert_failed(RECVFROM, 2);
	ck_assert_int_eq(byte, 'x');
	asyncore_close(&d);
	step(NULL);
}
END_TEST

/* It has a buffer: what was not sent is sent from there. */
START_TEST(an_interrupted_send_with_a_buffer_sends_later)
{
	static struct asyncore_dispatcher_with_send d;
	int fd[2];
	char got[3];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &asyncore_dispatcher_with_send_type,
							    fd[0], NULL), 0);
	refuse(SEND, 1, EINTR);
	ck_assert_int_eq(asyncore_send(&d.dispatcher, "abc", 3), 3);
	assert_failed(SEND, 1);
	ck_assert_uint_eq(asyncore_dispatcher_with_send_pending(&d), 3);
	step(NULL);
	take(fd[1], got, 3);
	ck_assert_mem_eq(got, "abc", 3);
	asyncore_close(&d.dispatcher);
	close(fd[1]);
}
END_TEST

/* Only with AF_UNIX does EAGAIN mean a full backlog; with TCP it means no port is left. */
START_TEST(a_connect_without_room_in_the_kernel_is_no_refusal_and_not_eagain)
{
	static struct asyncore_dispatcher d;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_STREAM), 0);
	refuse(CONNECT, 1, EAGAIN);
	ck_assert_int_eq(asyncore_connect(&d, "127.0.0.1", 80), -ENOBUFS);
	assert_failed(CONNECT, 1);
	asyncore_close(&d);
}
END_TEST

static int refuse_to_log(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	(void)d, (void)message, (void)type;
	return -ENOSPC;
}

START_TEST(what_the_log_raises_comes_out_of_accept)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.log_info = refuse_to_log,
	};
	static struct asyncore_dispatcher d;
	int port;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, tcp_listener(&port), NULL), 0);
	refuse(ACCEPT, 2, EMFILE);
	ck_assert_int_eq(asyncore_accept(&d, NULL, NULL), -ENOSPC);
	/* It was said, if in vain: not again. */
	ck_assert_int_eq(asyncore_accept(&d, NULL, NULL), -EAGAIN);
	assert_failed(ACCEPT, 2);
	asyncore_close(&d);
}
END_TEST

static int timed_out(struct asyncore_dispatcher *d)
{
	(void)d;
	return 0;
}

/* Datagrams that are sent keep a channel from being idle, as bytes on a stream do. */
START_TEST(a_datagram_that_is_sent_is_activity)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.handle_timeout = timed_out,
	};
	struct sockaddr_in addr = loopback(0);
	static struct asyncore_dispatcher d;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int64_t before;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	addr = loopback(port_of(fd));
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_INET, SOCK_DGRAM), 0);
	ck_assert_int_eq(asyncore_set_idle_timeout(&d, 30), 0);
	before = --d.channel->extra->timers->active;
	ck_assert_int_eq(asyncore_sendto(&d, "x", 1, (struct sockaddr *)&addr, sizeof addr), 1);
	ck_assert_int_gt(d.channel->extra->timers->active, before);
	asyncore_close(&d);
	close(fd);
}
END_TEST

START_TEST(shutdown_raises_what_shutdown_said)
{
	struct probe *p;
	int peer;

	p = probe_and_peer(NULL, &peer);
	refuse(SHUTDOWN, 1, ENOBUFS);
	ck_assert_int_eq(asyncore_shutdown_when_done(of(p)), -ENOBUFS);
	assert_failed(SHUTDOWN, 1);
	ck_assert_int_eq(asyncore_shutdown_when_done(of(p)), 0);
	ck_assert_uint_eq(drain(peer), 0);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

/* --- maps ---------------------------------------------------------------------------- */

START_TEST(a_map_without_a_timer_or_an_event_is_null)
{
	int i;

	refuse(TIMERFD_CREATE, 1, EMFILE);
	errno = 0;
	ck_assert_ptr_null(asyncore_map_new(NULL));
	ck_assert_int_eq(errno, EMFILE);
	assert_failed(TIMERFD_CREATE, 1);
	for (i = 0; i < 4; i++) {
		refuse_later(EVENT_NEW, i, 1, ENOMEM);
		ck_assert_ptr_null(asyncore_map_new(NULL));
		ck_assert_int_eq(errno, ENOMEM);
		assert_failed(EVENT_NEW, 1);
	}
}
END_TEST

static int visit_none(struct asyncore_dispatcher *d, void *arg)
{
	(void)d, (void)arg;
	return 1;
}

/* Every function that makes the default map when there is none. */
static int use(int which)
{
	errno = 0;
	switch (which) {
	case 0: return asyncore_map_priority(NULL);
	case 1: return asyncore_map_set_priority(NULL, 0);
	case 2: return asyncore_map_set_timeout(NULL, 1);
	case 3: return asyncore_map_set_empty_cb(NULL, NULL, NULL);
	case 4: return asyncore_map_set_exit_cb(NULL, NULL, NULL);
	case 5: return asyncore_map_set_connect_cb(NULL, asked_to_connect, NULL);
	case 6: return asyncore_map_reinit(NULL);
	case 7: return asyncore_map_set_trace_cb(NULL, NULL, NULL);
	case 8: return asyncore_map_set_slow_cb(NULL, 1, NULL, NULL);
	case 9: return asyncore_call_later(NULL, 1, run, NULL, release);
	case 10: return asyncore_call_every(NULL, 1, run, NULL, release);
	case 11: return asyncore_cancel(NULL, 1);
	case 12: return asyncore_reset(NULL, 1, 1);
	case 13: return asyncore_poll(0, NULL);
	case 14: return asyncore_loop(0, false, NULL, 1);
	case 15: return asyncore_map_foreach(NULL, visit_none, NULL);
	case 16: return asyncore_remaining(NULL, 1) == -1 ? -ENOMEM : 0;
	case 17: return asyncore_timers(NULL) == 0 ? -ENOMEM : 0;
	case 18: return asyncore_map_size(NULL) == 0 ? -ENOMEM : 0;
	case 19: return asyncore_map_base(NULL) == NULL ? -ENOMEM : 0;
	case 20: return !asyncore_map_attached(NULL) ? -ENOMEM : 0;
	case 21: return asyncore_poster_new(NULL) == NULL ? -ENOMEM : 0;
	case 22: return asyncore_trigger_new(NULL, run, NULL, release) == NULL ? -ENOMEM : 0;
	case 23: return asyncore_close_all(NULL, true);
	default: return asyncore_map_get(NULL, 0) == NULL ? -ENOMEM : 0;
	}
}
enum { USES = 25 };

START_TEST(without_a_default_map_everything_says_so)
{
	released = 0;
	refuse(TIMERFD_CREATE, 10, ENOMEM);
	ck_assert_int_eq(use(_i), -ENOMEM);
	fault[TIMERFD_CREATE].times = 0;
	ck_assert_int_eq(released, _i == 9 || _i == 10 || _i == 22);
}
END_TEST

/* select() has a limit for descriptors, and ours have to keep to it. */
START_TEST(a_base_on_select_takes_no_descriptor_beyond_its_limit)
{
	struct rlimit limit;
	struct event_base *base = backend_base(2);
	struct asyncore_map *map = asyncore_map_new(base);
	static const struct asyncore_dispatcher_type urgent = {
		.base = &asyncore_dispatcher_type,
		.handle_expt = timed_out,
	};
	static struct asyncore_dispatcher d;
	static int filler[FD_SETSIZE + 1];
	struct probe *p;
	int fd[2], n = 0;

	ck_assert_str_eq(event_base_get_method(base), "select");
	ck_assert_ptr_nonnull(map);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(limit.rlim_max > FD_SETSIZE + 100);
	limit.rlim_cur = FD_SETSIZE + 100;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	unix_pair(fd);
	p = probe_new_typed(&probe_plain_type, fd[0], map);
	do {
		filler[n] = dup(fd[1]);
		ck_assert_int_ge(filler[n], 0);
	} while (filler[n++] < FD_SETSIZE);

	errno = 0;
	ck_assert_ptr_null(asyncore_map_new(base));
	ck_assert_int_eq(errno, ERANGE);
	errno = 0;
	ck_assert_ptr_null(asyncore_poster_new(map));
	ck_assert_int_eq(errno, ERANGE);
	/* A number that select() takes, for a channel; but to watch it for urgent data takes
	 * another one, of ours. */
	close(filler[0]);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &urgent, -1, map), 0);
	ck_assert_int_eq(asyncore_create_socket(&d, AF_UNIX, SOCK_STREAM), -ERANGE);
	asyncore_close(&d);
	put(fd[1], "x", 1);
	step(map);
	ck_assert_int_eq(p->reads, 1);
	while (n > 1)
		close(filler[--n]);
	asyncore_close(of(p));
	close(fd[1]);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
}
END_TEST

START_TEST(a_wait_without_its_timer_reports_and_works_the_next_time)
{
	struct probe *p;
	int peer;

	p = probe_and_peer(NULL, &peer);
	refuse(TIMERFD_SETTIME, 1, ENOMEM);
	ck_assert_int_eq(asyncore_poll(0.05, NULL), -ENOMEM);
	assert_failed(TIMERFD_SETTIME, 1);
	put(peer, "x", 1);
	run_until(p->reads == 1, NULL);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

static const struct {
	enum call call;
	int skip;
	const struct asyncore_dispatcher_type *type;
	int wants_write;
	int error, code;
} unwatched[] = {
	{ EVENT_ASSIGN, 0, &probe_plain_type, 0, 0, -EINVAL },
	{ EVENT_ADD, 0, &probe_plain_type, 0, 0, -ENOMEM },	/* the event for reading */
	{ EVENT_ADD, 1, &probe_plain_type, 1, 0, -ENOMEM },	/* that for writing */
	{ EVENT_NEW, 0, &probe_plain_type, 1, 0, -ENOMEM },
	{ EVENT_ADD, 1, &probe_type, 0, 0, -ENOMEM },	/* that for urgent data */
	{ EPOLL_CTL, 0, &probe_type, 0, ENOSPC, -ENOSPC },
};

START_TEST(a_channel_that_cannot_be_watched_is_told_and_the_others_are_served)
{
	struct probe *p, *other;
	int fd[2], other_fd[2];

	unix_pair(other_fd);
	other = probe_new_typed(&probe_plain_type, other_fd[0], NULL);
	step(NULL);
	unix_pair(fd);
	p = probe_new_typed(unwatched[_i].type, fd[0], NULL);
	p->wants_write = unwatched[_i].wants_write;
	asyncore_ref(of(p));
	refuse_later(unwatched[_i].call, unwatched[_i].skip, 1, unwatched[_i].error);
	step(NULL);
	assert_failed(unwatched[_i].call, 1);
	ck_assert_int_eq(p->errors, 1);
	ck_assert_int_eq(p->last_error, unwatched[_i].code);
	put(other_fd[1], "x", 1);
	run_until(other->reads == 1, NULL);
	asyncore_close(of(other));
	asyncore_close(of(p));
	asyncore_unref(of(p));
	close(other_fd[1]);
	close(fd[1]);
}
END_TEST

START_TEST(a_channel_without_an_event_for_urgent_data_is_refused)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.handle_expt = timed_out,
	};
	static struct asyncore_dispatcher d;
	int fd[2];

	ck_assert_ptr_nonnull(asyncore_socket_map());
	unix_pair(fd);
	refuse(EVENT_NEW, 1, ENOMEM);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, fd[0], NULL), -ENOMEM);
	assert_failed(EVENT_NEW, 1);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, fd[0], NULL), 0);
	asyncore_close(&d);
	close(fd[1]);
}
END_TEST

START_TEST(a_wait_whose_timer_is_not_watched_reports_and_works_the_next_time)
{
	struct probe *p;
	int peer;

	p = probe_and_peer(NULL, &peer);
	step(NULL);
	refuse(EVENT_ADD, 1, 0);
	ck_assert_int_eq(asyncore_poll(0.01, NULL), -ENOMEM);
	assert_failed(EVENT_ADD, 1);
	ck_assert_int_eq(asyncore_poll(0.01, NULL), 0);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

/* No pause without its end: then the listener just tries again. */
START_TEST(a_pause_that_cannot_end_is_none)
{
	static struct asyncore_dispatcher d, client;
	int port, fd;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, tcp_listener(&port), NULL), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&client, &kept_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_create_socket(&client, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&client, "127.0.0.1", port), 0);
	refuse(ACCEPT, 1, EMFILE);
	refuse(EVENT_ADD, 1, 0);
	ck_assert_int_eq(asyncore_accept(&d, NULL, NULL), -EAGAIN);
	assert_failed(EVENT_ADD, 1);
	assert_failed(ACCEPT, 1);
	fd = asyncore_accept(&d, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	close(fd);
	asyncore_close(&d);
	asyncore_close(&client);
}
END_TEST

static int raise_once;

static int readable_raises_once(struct asyncore_dispatcher *d)
{
	(void)d;
	return raise_once-- > 0 ? -EDOM : 1;
}

static int counted_read(struct asyncore_dispatcher *d)
{
	char byte;

	ran++;
	return asyncore_recv(d, &byte, 1);
}

/* A predicate that is asked only when the channel was touched is asked again if it raised. */
START_TEST(a_stable_predicate_that_raised_is_asked_again)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.flags = ASYNCORE_PREDICATES_STABLE,
		.readable = readable_raises_once,
		.handle_read = counted_read,
	};
	static struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, fd[0], NULL), 0);
	raise_once = 1;
	ran = 0;
	ck_assert_int_eq(asyncore_poll(0, NULL), -EDOM);
	put(fd[1], "x", 1);
	run_until(ran > 0, NULL);
	asyncore_close(&d);
	close(fd[1]);
}
END_TEST

static struct asyncore_map *elsewhere;
static int result_of_move;

static int move_the_other(struct probe *p)
{
	struct probe *other = p->arg;

	ck_assert_int_eq(asyncore_del_channel(of(other), NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(of(other), elsewhere), 0);
	asyncore_recv(of(p), p->data, sizeof p->data);
	return result_of_move;
}

/* What happened to it goes with it: level triggers bring it to the other map. */
START_TEST(a_channel_that_moves_to_another_map_is_served_there_and_not_here)
{
	struct probe *a, *b;
	int peer[2];

	elsewhere = asyncore_map_new(NULL);
	result_of_move = _i == 0 ? 0 : ASYNCORE_EXIT_NOW;
	a = probe_and_peer(NULL, &peer[0]);
	b = probe_and_peer(NULL, &peer[1]);
	a->on_read = move_the_other;
	a->arg = b;
	put(peer[0], "x", 1);
	put(peer[1], "y", 1);
	ck_assert_int_eq(asyncore_poll(1, NULL), result_of_move);
	ck_assert_int_eq(a->reads, 1);
	ck_assert_int_eq(b->reads, 0);
	step(NULL);
	ck_assert_int_eq(b->reads, 0);
	run_until(b->reads == 1, elsewhere);
	ck_assert_int_eq(b->data[0], 'y');
	asyncore_close(of(a));
	asyncore_close(of(b));
	close_peers(peer, 2);
	ck_assert_int_eq(asyncore_map_free(elsewhere), 0);
}
END_TEST

START_TEST(an_idle_timeout_that_is_no_time_leaves_the_old_one)
{
	struct probe *p;
	int peer;

	p = probe_and_peer(NULL, &peer);
	ck_assert_int_eq(asyncore_set_idle_timeout(of(p), 30), 0);
	ck_assert_int_eq(asyncore_set_idle_timeout(of(p), -1), -EINVAL);
	ck_assert_uint_eq(asyncore_timers(NULL), 1);
	ck_assert_int_eq(of(p)->channel->extra->timers->period, 30000000000);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

START_TEST(reinit_reports_what_cannot_be_made_anew)
{
	struct asyncore_poster *poster = asyncore_poster_new(NULL);
	struct probe *p;
	int peer, i;

	p = probe_and_peer(NULL, &peer);
	step(NULL);
	refuse(EVENT_REINIT, 1, 0);
	ck_assert_int_eq(asyncore_map_reinit(NULL), -EIO);
	assert_failed(EVENT_REINIT, 1);
	refuse(TIMERFD_CREATE, 1, EMFILE);
	ck_assert_int_eq(asyncore_map_reinit(NULL), -EMFILE);
	assert_failed(TIMERFD_CREATE, 1);
	refuse(EVENTFD, 1, ENFILE);
	ck_assert_int_eq(asyncore_map_reinit(NULL), -ENFILE);
	assert_failed(EVENTFD, 1);
	refuse(EVENT_ADD, 1, 0);
	ck_assert_int_eq(asyncore_map_reinit(NULL), -ENOMEM);
	assert_failed(EVENT_ADD, 1);
	refuse_later(EVENT_ADD, 1, 1, 0);
	ck_assert_int_eq(asyncore_map_reinit(NULL), -ENOMEM);
	assert_failed(EVENT_ADD, 1);
	for (i = 0; i < 3; i++) {
		refuse_later(DUP3, i, 1, EBUSY);
		ck_assert_int_eq(asyncore_map_reinit(NULL), -EBUSY);
		assert_failed(DUP3, 1);
	}
	/* It may be repeated, and what was posted before is not lost. */
	ran = 0;
	ck_assert_int_eq(asyncore_call_soon(poster, run, NULL, NULL), 0);
	ck_assert_int_eq(asyncore_map_reinit(NULL), 0);
	step(NULL);
	ck_assert_int_eq(ran, 1);
	put(peer, "x", 1);
	run_until(p->reads == 1, NULL);
	asyncore_close(of(p));
	close(peer);
	asyncore_poster_unref(poster);
	step(NULL);
}
END_TEST

/* --- the application's loop ----------------------------------------------------------- */

static const struct asyncore_dispatcher_type stable_type = {
	.base = &asyncore_dispatcher_type,
	.flags = ASYNCORE_PREDICATES_STABLE,
	.writable = timed_out,
	.handle_read = counted_read,
};

/* A map on a base that the test runs. */
static struct event_base *application;
static struct asyncore_map *attached;

static void attach(void)
{
	application = event_base_new();
	attached = asyncore_map_new(application);
	ck_assert_ptr_nonnull(attached);
	ran = 0;
}

static void detach(void)
{
	ck_assert_int_eq(asyncore_map_free(attached), 0);
	event_base_free(application);
}

/* Events of ours come only from the moment after which it is tried again. */
#define run_base_until(condition) \
	do { \
		int turns_ = 0; \
		while (!(condition) && turns_++ < 100) \
			ck_assert_int_eq(event_base_loop(application, EVLOOP_ONCE), 0); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

START_TEST(posted_calls_that_cannot_be_watched_are_watched_a_moment_later)
{
	static struct asyncore_dispatcher d;
	struct asyncore_poster *poster;
	int fd[2];

	attach();
	poster = asyncore_poster_new(attached);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &stable_type, fd[0], attached), 0);
	event_base_loop(application, EVLOOP_NONBLOCK);
	/* Every event is taken off and put on again; that of the calls, not. */
	refuse(EVENT_ADD, 1, 0);
	ck_assert_int_eq(asyncore_map_set_priority(attached, 0), 0);
	assert_failed(EVENT_ADD, 1);
	ck_assert_int_eq(asyncore_call_soon(poster, run, NULL, NULL), 0);
	/* Nor in the next pass, which has the event of the channel put on. */
	refuse_later(EVENT_ADD, 1, 1, 0);
	event_base_loop(application, EVLOOP_NONBLOCK);
	assert_failed(EVENT_ADD, 1);
	ck_assert_int_eq(ran, 0);
	run_base_until(ran == 1);
	put(fd[1], "x", 1);
	run_base_until(ran == 2);
	asyncore_close(&d);
	asyncore_poster_unref(poster);
	close(fd[1]);
	detach();
}
END_TEST

START_TEST(predicates_that_cannot_be_asked_in_time_are_asked_a_moment_later)
{
	struct probe *p;
	int peer, asked;

	attach();
	p = probe_and_peer(attached, &peer);
	/* First the event of the channel is put on, then the one to ask it again. */
	refuse_later(EVENT_ADD, 2, 1, 0);
	event_base_loop(application, EVLOOP_NONBLOCK);
	assert_failed(EVENT_ADD, 1);
	asked = p->readables;
	ck_assert_int_gt(asked, 0);
	run_base_until(p->readables > asked);
	asyncore_close(of(p));
	close(peer);
	detach();
}
END_TEST

/* A file is always ready, and so there is always something to do. */
static void always_ready(struct asyncore_dispatcher *d)
{
	int fd = memfd_create("always", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 1000), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(d, &stable_type, -1, attached), 0);
	ck_assert_int_eq(asyncore_set_file(d, fd), 0);
	close(fd);
	event_base_loop(application, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

START_TEST(a_turn_that_cannot_be_asked_for_comes_a_moment_later)
{
	static struct asyncore_dispatcher d;
	int before;

	attach();
	always_ready(&d);
	refuse(EVENT_ADD, 1, 0);
	event_base_loop(application, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_failed(EVENT_ADD, 1);
	before = ran;
	event_base_loop(application, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_eq(ran, before);
	run_base_until(ran > before);
	before = ran;
	event_base_loop(application, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_gt(ran, before);
	asyncore_close(&d);
	detach();
}
END_TEST

static int left_with;

static void leaves(struct asyncore_map *map, int result, void *arg)
{
	(void)map, (void)arg;
	left_with = result;
}

START_TEST(a_turn_that_cannot_be_asked_for_at_all_is_told)
{
	static struct asyncore_dispatcher d;
	int before;

	attach();
	left_with = 0;
	ck_assert_int_eq(asyncore_map_set_exit_cb(attached, leaves, NULL), 0);
	always_ready(&d);
	refuse(EVENT_ADD, 2, 0);
	event_base_loop(application, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_failed(EVENT_ADD, 2);
	ck_assert_int_eq(left_with, -ENOMEM);
	/* As the program hears of it, it can help. */
	before = ran;
	ck_assert_int_eq(asyncore_touch(&d), 0);
	event_base_loop(application, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_gt(ran, before);
	asyncore_close(&d);
	detach();
}
END_TEST

/* --- posted calls -------------------------------------------------------------------- */

START_TEST(a_poster_that_cannot_be_made_is_null_and_works_the_next_time)
{
	struct asyncore_poster *poster;
	struct asyncore_trigger *trigger;

	refuse(EVENTFD, 1, EMFILE);
	errno = 0;
	ck_assert_ptr_null(asyncore_poster_new(NULL));
	ck_assert_int_eq(errno, EMFILE);
	assert_failed(EVENTFD, 1);
	ck_assert_ptr_nonnull(asyncore_socket_map());
	refuse(EVENT_NEW, 1, ENOMEM);
	ck_assert_ptr_null(asyncore_poster_new(NULL));
	ck_assert_int_eq(errno, ENOMEM);
	assert_failed(EVENT_NEW, 1);
	refuse(EVENT_ADD, 1, 0);
	ck_assert_ptr_null(asyncore_poster_new(NULL));
	ck_assert_int_eq(errno, ENOMEM);
	assert_failed(EVENT_ADD, 1);

	/* What was given is given back. */
	released = ran = 0;
	refuse(EVENTFD, 1, EMFILE);
	errno = 0;
	ck_assert_ptr_null(asyncore_trigger_new(NULL, run, NULL, release));
	ck_assert_int_eq(errno, EMFILE);
	ck_assert_int_eq(released, 1);
	assert_failed(EVENTFD, 1);
	errno = 0;
	ck_assert_ptr_null(asyncore_trigger_new(NULL, NULL, NULL, release));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(released, 2);

	poster = asyncore_poster_new(NULL);
	ck_assert_ptr_nonnull(poster);
	ck_assert_int_eq(asyncore_call_soon(poster, NULL, NULL, release), -EINVAL);
	ck_assert_int_eq(asyncore_call_soon(NULL, run, NULL, release), -EINVAL);
	ck_assert_int_eq(released, 4);
	trigger = asyncore_trigger_new(NULL, run, NULL, release);
	ck_assert_ptr_nonnull(trigger);
	ck_assert_int_eq(asyncore_trigger_pull(trigger), 0);
	ck_assert_int_eq(asyncore_call_soon(poster, run, NULL, NULL), 0);
	step(NULL);
	ck_assert_int_eq(ran, 2);
	asyncore_trigger_free(trigger);
	ck_assert_int_eq(released, 5);
	asyncore_poster_unref(poster);
	step(NULL);
}
END_TEST

/* On the application's base it is watched only while there are posters. */
START_TEST(a_poster_that_cannot_be_watched_again_is_null_and_works_the_next_time)
{
	struct event_base *base = event_base_new();
	struct asyncore_map *map = asyncore_map_new(base);
	struct asyncore_poster *poster = asyncore_poster_new(map);

	ck_assert_ptr_nonnull(poster);
	asyncore_poster_unref(poster);
	step(map);
	event_base_loop(base, EVLOOP_NONBLOCK);
	refuse(EVENT_ADD, 1, 0);
	errno = 0;
	ck_assert_ptr_null(asyncore_poster_new(map));
	ck_assert_int_eq(errno, ENOMEM);
	assert_failed(EVENT_ADD, 1);
	poster = asyncore_poster_new(map);
	ran = 0;
	ck_assert_int_eq(asyncore_call_soon(poster, run, NULL, NULL), 0);
	asyncore_poster_unref(poster);
	event_base_dispatch(base);
	ck_assert_int_eq(ran, 1);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
}
END_TEST

static int tried_in_free;

static void try_a_poster(struct probe *p)
{
	errno = 0;
	tried_in_free = asyncore_poster_new(asyncore_map(&p->dispatcher)) == NULL ? errno : -1;
}

START_TEST(a_map_that_is_being_freed_makes_no_posters)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p;
	int peer;

	p = probe_and_peer(map, &peer);
	p->on_dispose = try_a_poster;
	tried_in_free = 0;
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(tried_in_free, ESHUTDOWN);
	close(peer);
}
END_TEST

/* The descriptor that wakes a map refuses only because it was written to so often: then the
 * map is awake. */
START_TEST(a_wake_up_that_is_refused_is_not_needed)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct asyncore_poster *poster = asyncore_poster_new(map);

	ran = 0;
	ck_assert_int_eq(asyncore_call_soon(poster, run, NULL, NULL), 0);
	refuse(WRITE, 1, EAGAIN);
	asyncore_poster_unref(poster);
	assert_failed(WRITE, 1);
	ck_assert_int_eq(asyncore_loop(30, false, map, -1), 0);
	ck_assert_int_eq(ran, 1);
	ck_assert_int_eq(asyncore_map_free(map), 0);
}
END_TEST

/* It stays ready until it was read. */
START_TEST(a_wake_up_that_cannot_be_read_is_one_in_the_next_pass)
{
	struct asyncore_poster *poster = asyncore_poster_new(NULL);

	ran = 0;
	ck_assert_int_eq(asyncore_call_soon(poster, run, NULL, NULL), 0);
	refuse(READ, 1, EAGAIN);
	step(NULL);
	assert_failed(READ, 1);
	ck_assert_int_eq(ran, 0);
	step(NULL);
	ck_assert_int_eq(ran, 1);
	asyncore_poster_unref(poster);

	ck_assert_int_gt(asyncore_call_later(NULL, 0, run, NULL, NULL), 0);
	refuse(READ, 1, EAGAIN);
	run_until(ran == 2, NULL);
	assert_failed(READ, 1);
}
END_TEST

/* --- chats --------------------------------------------------------------------------- */

static int closes_of_chat, errors_of_chat, last_error_of_chat, limits;

static int chat_closes(struct asyncore_dispatcher *d)
{
	closes_of_chat++;
	return asyncore_close(d);
}

static int chat_errs(struct asyncore_dispatcher *d)
{
	const struct asyncore_error *error = asyncore_error(d);

	errors_of_chat++;
	last_error_of_chat = error != NULL ? error->code : 0;
	return 0;
}

static int limit_raises(struct async_chat *chat, bool reached)
{
	(void)chat;
	limits++;
	return reached ? 0 : -EDQUOT;
}

static const struct async_chat_type chat_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "chat",
		.handle_close = chat_closes,
		.handle_error = chat_errs,
		.log_info = log_info_kept,
	},
	.collect_incoming_data = async_chat_collect_default,
};

static const struct async_chat_type limited_type = {
	.dispatcher = {
		.base = &chat_type.dispatcher,
		.name = "limited",
	},
	.output_limit = limit_raises,
};

static int chat_new(struct async_chat *chat, const struct async_chat_type *type)
{
	int fd[2];

	closes_of_chat = errors_of_chat = last_error_of_chat = limits = released = 0;
	unix_pair(fd);
	ck_assert_int_eq(async_chat_init(chat, type, fd[0], NULL), 0);
	return fd[1];
}

/* A class need not care for the limit that somebody sets on its channel. */
START_TEST(a_class_without_output_limit_ignores_it)
{
	static char much[1 << 20];
	static struct async_chat chat;
	int peer = chat_new(&chat, &chat_type);

	ck_assert_int_eq(async_chat_set_output_limit(&chat, 10, 5), 0);
	ck_assert_int_eq(async_chat_push(&chat, much, sizeof much), 0);
	ck_assert_uint_gt(async_chat_output_bytes(&chat), 10);
	ck_assert_int_eq(async_chat_discard_buffers(&chat), 0);
	ck_assert_int_eq(errors_of_chat, 0);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

/* discard_buffers() falls below the lower mark; what that raises is told, and the buffers are
 * discarded all the same. */
START_TEST(discard_buffers_says_what_output_limit_raised)
{
	static char much[1 << 20];
	static struct async_chat chat;
	int peer = chat_new(&chat, &limited_type);

	ck_assert_int_eq(async_chat_set_output_limit(&chat, 10, 5), 0);
	ck_assert_int_eq(async_chat_push(&chat, much, sizeof much), 0);
	ck_assert_int_eq(limits, 1);
	ck_assert_int_eq(async_chat_discard_buffers(&chat), -EDQUOT);
	ck_assert_int_eq(limits, 2);
	ck_assert_uint_eq(async_chat_output_entries(&chat), 0);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

static int push_at_low(struct async_chat *chat, bool reached)
{
	limits++;
	return reached ? 0 : async_chat_push(chat, "again", 5);
}

/* So may output_limit(), when the output has fallen to nothing. */
START_TEST(what_output_limit_pushes_during_discard_is_sent_before_the_end)
{
	static const struct async_chat_type type = {
		.dispatcher = { .base = &chat_type.dispatcher },
		.output_limit = push_at_low,
	};
	static char much[1 << 20];
	static struct async_chat chat;
	int peer = chat_new(&chat, &type);
	size_t sent;

	ck_assert_int_eq(async_chat_set_output_limit(&chat, 10, 5), 0);
	ck_assert_int_eq(async_chat_push(&chat, much, sizeof much), 0);
	sent = sizeof much - async_chat_output_bytes(&chat);
	while (async_chat_initiate_send(&chat.dispatcher) == 0 &&
	       sizeof much - async_chat_output_bytes(&chat) > sent)
		sent = sizeof much - async_chat_output_bytes(&chat);
	ck_assert_int_eq(asyncore_shutdown_when_done(&chat.dispatcher), 0);
	ck_assert_int_eq(async_chat_discard_buffers(&chat), 0);
	ck_assert_int_eq(limits, 2);
	ck_assert_uint_eq(async_chat_output_bytes(&chat), 5);
	while (sent > 0) {
		size_t n = sent < sizeof much ? sent : sizeof much;

		take(peer, much, n);
		sent -= n;
	}
	run_until(async_chat_output_bytes(&chat) == 0, NULL);
	take(peer, much, 5);
	ck_assert_mem_eq(much, "again", 5);
	ck_assert_uint_eq(drain(peer), 0);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

/* What output_limit() raises when the last bytes went out is told once, and all went out. */
START_TEST(what_output_limit_raises_at_the_last_byte_is_an_error)
{
	static char much[1 << 20];
	static struct async_chat chat;
	size_t got = 0;
	int peer = chat_new(&chat, &limited_type);

	ck_assert_int_eq(async_chat_set_output_limit(&chat, 10, 5), 0);
	ck_assert_int_eq(async_chat_push(&chat, much, sizeof much), 0);
	while (got < sizeof much) {
		ssize_t n = recv(peer, much, sizeof much, MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		step(NULL);
	}
	ck_assert_int_eq(limits, 2);
	ck_assert_int_eq(errors_of_chat, 1);
	ck_assert_int_eq(last_error_of_chat, -EDQUOT);
	ck_assert_uint_eq(async_chat_output_bytes(&chat), 0);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

static void push_once_more(const void *data, size_t len, void *arg)
{
	(void)data, (void)len;
	released++;
	async_chat_push(arg, "again", 5);
}

/* A release may push; then there is output again, and a shutdown still waits for it. */
START_TEST(what_a_release_pushes_during_discard_is_kept)
{
	static char much[1 << 20];
	static struct async_chat chat;
	int peer = chat_new(&chat, &chat_type);

	ck_assert_int_eq(async_chat_push_reference(&chat, much, sizeof much, push_once_more, &chat),
			 0);
	ck_assert_int_eq(asyncore_shutdown_when_done(&chat.dispatcher), 0);
	ck_assert_int_eq(async_chat_discard_buffers(&chat), 0);
	ck_assert_int_eq(released, 1);
	fcntl(peer, F_SETFL, 0);
	asyncore_close(&chat.dispatcher);
	ck_assert_uint_gt(drain(peer), 0);
	close(peer);
}
END_TEST

static int file_with(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	put(fd, text, strlen(text));
	return fd;
}

static void push_file(struct async_chat *chat)
{
	struct async_chat_producer *producer;

	producer = async_chat_file_producer_new(file_with("of a file"), 0, -1);
	ck_assert_ptr_nonnull(producer);
	ck_assert_int_eq(async_chat_push_with_producer(chat, producer), 0);
}

/* Bytes that the kernel will not move are read and sent; also when that is interrupted. */
START_TEST(a_file_that_the_kernel_does_not_move_is_read)
{
	static struct async_chat chat;
	int peer = chat_new(&chat, &chat_type);
	char got[9];

	refuse(SENDFILE, 10, EINVAL);
	refuse(PREAD, 2, EINTR);
	push_file(&chat);
	ck_assert_int_eq(asyncore_loop(0.1, false, NULL, 3), 0);
	assert_failed(PREAD, 2);
	ck_assert_int_gt(fault[SENDFILE].failed, 0);
	fault[SENDFILE].times = 0;
	take(peer, got, sizeof got);
	ck_assert_mem_eq(got, "of a file", sizeof got);
	ck_assert_int_eq(errors_of_chat + closes_of_chat, 0);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

START_TEST(a_file_is_moved_again_after_an_interruption)
{
	static struct async_chat chat;
	int peer = chat_new(&chat, &chat_type);
	char got[9];

	refuse(SENDFILE, 2, EINTR);
	push_file(&chat);
	ck_assert_int_eq(asyncore_loop(0.1, false, NULL, 2), 0);
	assert_failed(SENDFILE, 2);
	take(peer, got, sizeof got);
	ck_assert_mem_eq(got, "of a file", sizeof got);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

/* A peer that takes nothing now gets the file later. */
START_TEST(a_file_that_cannot_be_moved_now_is_moved_later)
{
	static struct async_chat chat;
	int peer = chat_new(&chat, &chat_type);
	char got[9];

	refuse(SENDFILE, 1, EAGAIN);
	push_file(&chat);
	assert_failed(SENDFILE, 1);
	ck_assert_uint_eq(async_chat_output_entries(&chat), 1);
	ck_assert_int_eq(asyncore_loop(0.1, false, NULL, 2), 0);
	take(peer, got, sizeof got);
	ck_assert_mem_eq(got, "of a file", sizeof got);
	ck_assert_int_eq(errors_of_chat + closes_of_chat, 0);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

START_TEST(a_peer_that_is_gone_while_a_file_is_moved_closes_once)
{
	static struct async_chat chat;
	int peer = chat_new(&chat, &chat_type);

	refuse(SENDFILE, 1, ECONNRESET);
	push_file(&chat);
	ck_assert_int_eq(asyncore_loop(0.1, false, NULL, 2), 0);
	assert_failed(SENDFILE, 1);
	ck_assert_int_eq(closes_of_chat, 1);
	ck_assert_int_eq(errors_of_chat, 0);
	close(peer);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_an_error_of_the_push_and_done_with)
{
	static struct async_chat chat;
	struct async_chat_producer *producer;
	int peer = chat_new(&chat, &chat_type);

	producer = async_chat_file_producer_new(file_with("of a file"), 0, -1);
	refuse(SENDFILE, 1, EIO);
	refuse(PREAD, 1, EIO);
	ck_assert_int_eq(async_chat_push_with_producer(&chat, producer), -EIO);
	assert_failed(PREAD, 1);
	assert_failed(SENDFILE, 1);
	ck_assert_uint_eq(async_chat_output_entries(&chat), 0);
	ck_assert_int_eq(async_chat_push(&chat, "on", 2), 0);
	take(peer, (char[2]){ 0 }, 2);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

START_TEST(a_write_to_a_pipe_is_made_again_after_an_interruption)
{
	static struct asyncore_dispatcher d;
	int fd[2];
	char got[3];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_set_file(&d, fd[1]), 0);
	close(fd[1]);
	refuse(WRITE, 2, EINTR);
	ck_assert_int_eq(asyncore_send(&d, "abc", 3), 3);
	assert_failed(WRITE, 2);
	take(fd[0], got, 3);
	asyncore_close(&d);
	close(fd[0]);
}
END_TEST

/* --- debugging ----------------------------------------------------------------------- */

START_TEST(what_the_log_raises_about_a_send_comes_out_of_it)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_with_send_type,
		.log_info = refuse_to_log,
	};
	static struct asyncore_dispatcher_with_send d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_set_debug(&d.dispatcher, true), 0);
	ck_assert_int_eq(asyncore_send(&d.dispatcher, "x", 1), -ENOSPC);
	ck_assert_int_eq(asyncore_send(&d.dispatcher, NULL, 0), -ENOSPC);
	asyncore_close(&d.dispatcher);
	ck_assert_uint_eq(drain(fd[1]), 0);
	close(fd[1]);
}
END_TEST

START_TEST(a_log_line_needs_a_format)
{
	static struct asyncore_dispatcher d;
	const char *volatile none = NULL;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &kept_type, -1, NULL), 0);
	ck_assert_int_eq(asyncore_logf(&d, none, 1), -EINVAL);
	ck_assert_int_eq(asyncore_log_infof(&d, "info", none, 1), -EINVAL);
	asyncore_close(&d);
}
END_TEST

/* --- no memory ----------------------------------------------------------------------- */

START_TEST(find_prefix_at_end_needs_no_memory)
{
	static const char *const haystack = "qwertyabababc";
	static const struct {
		const char *needle;
		size_t found;
	} cases[] = {
		{ "abababcd", 7 }, { "ababcx", 5 }, { "cx", 1 }, { "xy", 0 }, { "babcbabc", 4 },
		{ "qwertyabababcqwertyabababcqwertyabababcqwertyabababc", 13 },
	};
	size_t i, found;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *needle = cases[i].needle;

		ck_assert_uint_eq(asynchat_find_prefix_at_end(haystack, 13, needle,
							      strlen(needle)), cases[i].found);
		all_after = true;
		countdown = 1;
		found = asynchat_find_prefix_at_end(haystack, 13, needle, strlen(needle));
		countdown = 0;
		all_after = false;
		ck_assert_msg(found == cases[i].found, "%s: %zu", needle, found);
	}
	ck_assert_int_gt(starved, 0);
}
END_TEST

static int visit_twice(struct asyncore_dispatcher *d, void *arg)
{
	(void)d;
	return ++*(int *)arg == 2 ? 7 : 0;
}

START_TEST(foreach_without_memory_stops_when_it_is_told_to)
{
	struct probe *p[3];
	int peer[3], visits = 0, r, i;

	probes_and_peers(NULL, p, peer, 3);
	all_after = true;
	countdown = 1;
	r = asyncore_map_foreach(NULL, visit_twice, &visits);
	countdown = 0;
	all_after = false;
	ck_assert_int_eq(r, 7);
	ck_assert_int_eq(visits, 2);
	ck_assert_int_gt(starved, 0);
	for (i = 0; i < 3; i++)
		asyncore_close(of(p[i]));
	close_peers(peer, 3);
}
END_TEST

START_TEST(a_chat_and_producers_that_cannot_be_made_leave_what_they_were_given)
{
	static struct async_chat chat;
	struct evbuffer *buffer = evbuffer_new();
	struct async_chat_producer *producer[2];
	int fd[2], r;

	ck_assert_ptr_nonnull(asyncore_socket_map());
	unix_pair(fd);
	countdown = 1;
	r = async_chat_init(&chat, &chat_type, fd[0], NULL);
	ck_assert_int_eq(countdown, 0);
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	countdown = 1;
	producer[0] = async_chat_file_producer_new(fd[0], 0, -1);
	ck_assert_int_eq(countdown, 0);
	countdown = 1;
	producer[1] = async_chat_evbuffer_producer_new(buffer);
	ck_assert_int_eq(countdown, 0);
	ck_assert_ptr_null(producer[0]);
	ck_assert_ptr_null(producer[1]);
	evbuffer_free(buffer);
	put(fd[0], "x", 1);
	take(fd[1], (char[1]){ 0 }, 1);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_file_that_the_kernel_does_not_move_needs_memory_and_says_so)
{
	struct async_chat_producer *producer;
	const void *data;
	size_t len;
	int r;

	producer = async_chat_file_producer_new(file_with("of a file"), 0, -1);
	countdown = 1;
	r = async_chat_producer_more(producer, &data, &len);
	countdown = 0;
	ck_assert_int_eq(r, -ENOMEM);
	/* Nothing was lost. */
	ck_assert_int_eq(async_chat_producer_more(producer, &data, &len), 1);
	ck_assert_uint_eq(len, 9);
	ck_assert_mem_eq(data, "of a file", 9);
	async_chat_producer_release(producer);
}
END_TEST

/* Its idle timeout needs a place in the new map. */
START_TEST(a_channel_that_cannot_enter_a_map_keeps_its_idle_timeout)
{
	struct probe *p;
	int peer, r;
	long n;

	p = probe_and_peer(NULL, &peer);
	ck_assert_int_eq(asyncore_set_idle_timeout(of(p), 30), 0);
	elsewhere = asyncore_map_new(NULL);
	ck_assert_int_eq(asyncore_del_channel(of(p), NULL), 0);
	for (n = 1, r = -ENOMEM; n < 100 && r != 0; n++) {
		countdown = n;
		r = asyncore_add_channel(of(p), elsewhere);
		countdown = 0;
		ck_assert_msg(r == 0 || r == -ENOMEM, "%ld: %d", n, r);
		ck_assert_uint_eq(asyncore_map_size(elsewhere), r == 0);
		ck_assert_uint_eq(asyncore_timers(elsewhere), r == 0);
	}
	ck_assert_int_gt(n, 3);
	ck_assert_int_eq(r, 0);
	asyncore_close(of(p));
	close(peer);
	ck_assert_int_eq(asyncore_map_free(elsewhere), 0);
}
END_TEST

START_TEST(a_debugged_send_without_memory_for_its_line_sends_nothing)
{
	static struct asyncore_dispatcher_with_send with_send;
	int fd[2], r;

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&with_send,
			 &asyncore_dispatcher_with_send_type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_set_debug(&with_send.dispatcher, true), 0);
	countdown = 1;
	r = asyncore_send(&with_send.dispatcher, "x", 1);
	countdown = 0;
	ck_assert_int_eq(r, -ENOMEM);
	asyncore_close(&with_send.dispatcher);
	ck_assert_uint_eq(drain(fd[1]), 0);
	close(fd[1]);
}
END_TEST

/* Everything that a chat allocates: 0, or the first that was refused. */
static int busy_chat(int peer, struct async_chat *chat)
{
	static char much[100000], many[6000];
	struct async_chat_producer *producer;
	int i, r, first = 0;

	(void)peer;
#define TRY(call) do { if ((r = (call)) < 0 && first == 0) first = r; } while (0)
	TRY(async_chat_set_buffer_sizes(chat, 100, 200));
	TRY(async_chat_set_output_limit(chat, 1000, 10));
	TRY(async_chat_set_incoming_limit(chat, 100000));
	TRY(async_chat_set_terminator(chat, "a terminator that is too long to stand inside", 45));
	TRY(async_chat_set_terminator_count(chat, 10));
	TRY(async_chat_collect_default(chat, many, sizeof many));
	if (async_chat_get_data(chat, NULL) == NULL && first == 0)
		first = -ENOMEM;
	TRY(async_chat_push(chat, "abc", 3));
	TRY(async_chat_push(chat, much, sizeof much));
	TRY(async_chat_push(chat, much, sizeof much));
	TRY(async_chat_push_reference(chat, "abc", 3, release_data, NULL));
	for (i = 0; i < 3; i++) {
		producer = async_chat_simple_producer_new(many, sizeof many, 100);
		if (producer != NULL)
			TRY(async_chat_push_with_producer(chat, producer));
		else if (first == 0)
			first = -ENOMEM;
	}
	TRY(async_chat_close_when_done(chat));
#undef TRY
	return first;
}

START_TEST(a_chat_without_memory_says_so_and_works_or_closes)
{
	static struct async_chat chat;
	long n, before;
	int peer, r;

	all_after = _i == 1;
	for (n = 1; n < 500; n++) {
		peer = chat_new(&chat, &chat_type);
		before = starved;
		countdown = n;
		r = busy_chat(peer, &chat);
		countdown = 0;
		ck_assert_msg(r == 0 || r == -ENOMEM, "%ld: %d", n, r);
		async_chat_discard_buffers(&chat);
		ck_assert_int_eq(released, 1);
		asyncore_close(&chat.dispatcher);
		close(peer);
		ck_assert_int_eq(asyncore_map_free(NULL), 0);
		if (starved == before)
			break;
	}
	all_after = false;
	ck_assert_int_gt(n, 10);
	ck_assert_int_lt(n, 500);
	ck_assert_int_eq(r, 0);
}
END_TEST

static int found(struct async_chat *chat)
{
	return async_chat_get_data(chat, NULL) != NULL ? 0 : -ENOMEM;
}

/* Input while memory runs out: what is lost is an error of the channel, never silently. */
START_TEST(input_without_memory_is_an_error_of_the_channel_or_arrives)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &chat_type.dispatcher,
			.name = "input",
		},
		.found_terminator = found,
	};
	static struct async_chat chat;
	long n, before = 0;
	int i, peer, r = 0;

	for (n = 1; n < 500; n++) {
		before = starved;
		peer = chat_new(&chat, &type);
		ck_assert_int_eq(async_chat_set_terminator(&chat, "\r\n\r\n", 4), 0);
		step(NULL);
		countdown = n;
		for (i = 0; i < 4 && r == 0; i++) {
			/* Not put(): Check allocates, too. */
			if (write(peer, "abc\r\n\rdef\r\n\r\nghi\r\n", 18) < 0)
				r = -errno;
			else
				r = asyncore_poll(0, NULL);
			if (i == 1 && r == 0)
				(void)async_chat_set_terminator(&chat, "\n\n", 2);
		}
		countdown = 0;
		ck_assert_msg(r == 0 || r == -ENOMEM, "%ld: %d", n, r);
		r = 0;
		ck_assert(errors_of_chat == 0 || last_error_of_chat == -ENOMEM);
		asyncore_close(&chat.dispatcher);
		close(peer);
		ck_assert_int_eq(asyncore_map_free(NULL), 0);
		if (starved == before)
			break;
	}
	ck_assert_int_eq(errors_of_chat, 0);
	ck_assert_int_gt(n, 1);
	ck_assert_int_lt(n, 500);
}
END_TEST

/* Timers, posted calls and the callbacks that give back what they got. */
START_TEST(timers_and_posted_calls_without_memory_release_what_they_got)
{
	struct asyncore_poster *poster;
	struct asyncore_trigger *trigger;
	long n, before;
	int i, given;

	for (n = 1; n < 500; n++) {
		struct asyncore_map *map = asyncore_map_new(NULL);

		ck_assert_ptr_nonnull(map);
		before = starved;
		released = given = 0;
		countdown = n;
		for (i = 0; i < 40; i++, given++)
			(void)asyncore_call_later(map, 0, run, NULL, release);
		poster = asyncore_poster_new(map);
		trigger = asyncore_trigger_new(map, run, NULL, release);
		given++;
		for (i = 0; i < 3; i++, given++)
			(void)asyncore_call_soon(poster, run, NULL, release);
		countdown = 0;
		step(map);
		asyncore_trigger_free(trigger);
		ck_assert_int_eq(released, given);
		asyncore_poster_unref(poster);
		ck_assert_int_eq(asyncore_map_free(map), 0);
		if (starved == before)
			break;
	}
	ck_assert_int_gt(n, 40);
	ck_assert_int_lt(n, 500);
}
END_TEST

/* --- no memory for input and output ---------------------------------------------------- */

static void starve(long n, bool all)
{
	all_after = all;
	countdown = n;
}

static void feed(void)
{
	countdown = 0;
	all_after = false;
}

static int chat_errs_fed(struct asyncore_dispatcher *d)
{
	feed();
	return chat_errs(d);
}

static int collect_nothing(struct async_chat *chat, const void *data, size_t len)
{
	(void)chat, (void)data, (void)len;
	return 0;
}

static int found_raises_starved(struct async_chat *chat)
{
	(void)chat;
	starve(1, true);
	return -EPROTO;
}

/* What is left of the input when a callback raises is for the next read. */
START_TEST(input_that_cannot_be_kept_is_an_error_of_the_channel)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &chat_type.dispatcher,
			.handle_error = chat_errs_fed,
		},
		.collect_incoming_data = collect_nothing,
		.found_terminator = found_raises_starved,
	};
	static struct async_chat chat;
	int peer = chat_new(&chat, &type);

	/* Is there a place for it already? */
	if (_i == 1)
		ck_assert_int_eq(async_chat_set_incoming_limit(&chat, 100), 0);
	ck_assert_int_eq(async_chat_set_terminator(&chat, "\n", 1), 0);
	put(peer, "a\nb\n", 4);
	step(NULL);
	ck_assert_int_eq(errors_of_chat, 1);
	ck_assert_int_eq(last_error_of_chat, -ENOMEM);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

static int peer_of_chat, founds;
static char collected[32];

static int collect_text(struct async_chat *chat, const void *data, size_t len)
{
	(void)chat;
	strncat(collected, data, len);
	return 0;
}

static int count_found(struct async_chat *chat)
{
	(void)chat;
	founds++;
	return 0;
}

static bool nested_before;

/* A recv() that works off what came, before it gives more and memory runs out. */
static int recv_after_a_read(struct asyncore_dispatcher *d, void *buffer, size_t len)
{
	if (!nested_before) {
		nested_before = true;
		ck_assert_int_eq(asyncore_handle_read(d), 0);
		put(peer_of_chat, "\n", 1);
		starve(1, false);
	}
	return asyncore_dispatcher_recv(d, buffer, len);
}

START_TEST(input_of_a_recv_that_read_before_needs_memory_or_says_so)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &chat_type.dispatcher,
			.recv = recv_after_a_read,
		},
		.collect_incoming_data = collect_text,
		.found_terminator = count_found,
	};
	static struct async_chat chat;
	int r;

	peer_of_chat = chat_new(&chat, &type);
	nested_before = false;
	founds = 0;
	*collected = '\0';
	ck_assert_int_eq(async_chat_set_terminator(&chat, "\r\n", 2), 0);
	put(peer_of_chat, "ab\r", 3);
	r = asyncore_handle_read(&chat.dispatcher);
	ck_assert_int_eq(countdown, 0);
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_str_eq(collected, "ab");
	ck_assert_int_eq(founds, 0);
	asyncore_close(&chat.dispatcher);
	close(peer_of_chat);
}
END_TEST

static long starve_at;

static int get_after_a_read(struct async_chat *chat, struct async_chat_terminator *terminator)
{
	if (!nested_before) {
		nested_before = true;
		put(peer_of_chat, "012345678", 9);
		ck_assert_int_eq(asyncore_handle_read(&chat->dispatcher), 0);
		starve(starve_at, false);
	}
	return async_chat_get_terminator_default(chat, terminator);
}

/* The nested read took the input over, and has most of a terminator: more than there is room
 * for in the outer one. */
START_TEST(a_terminator_in_part_needs_memory_or_stays_as_it_is)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &chat_type.dispatcher,
		},
		.collect_incoming_data = collect_text,
		.found_terminator = count_found,
		.get_terminator = get_after_a_read,
	};
	static struct async_chat chat;
	int r;

	peer_of_chat = chat_new(&chat, &type);
	nested_before = false;
	founds = 0;
	*collected = '\0';
	starve_at = _i + 1;
	ck_assert_int_eq(async_chat_set_terminator(&chat, "0123456789", 10), 0);
	put(peer_of_chat, "ab", 2);
	r = asyncore_handle_read(&chat.dispatcher);
	ck_assert_int_eq(countdown, 0);
	ck_assert_int_eq(r, -ENOMEM);
	put(peer_of_chat, "9c", 2);
	step(NULL);
	ck_assert_int_eq(founds, 1);
	ck_assert_str_eq(collected, "abc");
	ck_assert_int_eq(errors_of_chat, 0);
	asyncore_close(&chat.dispatcher);
	close(peer_of_chat);
}
END_TEST

/* Without memory to put small pieces together each goes out by itself. */
START_TEST(pieces_that_cannot_be_gathered_are_sent_one_by_one)
{
	static struct async_chat chat;
	struct async_chat_producer *producer;
	int peer = chat_new(&chat, &chat_type), r;
	char got[6];

	producer = async_chat_simple_producer_new("abcdef", 6, 2);
	ck_assert_ptr_nonnull(producer);
	starve(2, true);		/* the first is for the place in the queue */
	r = async_chat_push_with_producer(&chat, producer);
	feed();
	ck_assert_int_gt(starved, 0);
	ck_assert_int_eq(r, 0);
	take(peer, got, 2);
	ck_assert_mem_eq(got, "ab", 2);
	ck_assert_int_eq(recv(peer, got, 1, MSG_DONTWAIT), -1);
	step(NULL);
	take(peer, got + 2, 4);
	ck_assert_mem_eq(got, "abcdef", 6);
	asyncore_close(&chat.dispatcher);
	close(peer);
}
END_TEST

START_TEST(a_short_send_without_memory_for_the_rest_says_how_much)
{
	static struct asyncore_dispatcher_with_send d;
	int fd[2], r;
	char got[3];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &asyncore_dispatcher_with_send_type,
							    fd[0], NULL), 0);
	refuse(SEND, 1, 0);
	starve(1, false);
	r = asyncore_send(&d.dispatcher, "abc", 3);
	ck_assert_int_eq(countdown, 0);
	assert_failed(SEND, 1);
	ck_assert_int_eq(r, 1);
	ck_assert_int_eq(asyncore_send(&d.dispatcher, "bc", 2), 2);
	take(fd[1], got, 3);
	ck_assert_mem_eq(got, "abc", 3);
	asyncore_close(&d.dispatcher);
	close(fd[1]);
}
END_TEST

static int run_on_channel(struct asyncore_dispatcher *d, void *arg)
{
	(void)d, (void)arg;
	ran++;
	return 0;
}

START_TEST(a_timer_of_a_channel_without_memory_releases_what_it_got)
{
	struct probe *p;
	int peer, r;
	long n;

	p = probe_and_peer(NULL, &peer);
	for (n = 1, r = -ENOMEM; n < 10 && r < 0; n++) {
		released = 0;
		starve(n, false);
		r = asyncore_channel_call_later(of(p), 100, run_on_channel, NULL, release);
		feed();
		ck_assert(r > 0 || r == -ENOMEM);
		ck_assert_int_eq(released, r < 0);
		ck_assert_uint_eq(asyncore_timers(NULL), r > 0);
	}
	ck_assert_int_gt(n, 3);
	ck_assert_int_gt(r, 0);
	asyncore_close(of(p));
	close(peer);
}
END_TEST

static struct probe *moving;

/* In the wait of a pass, when libevent has told of all the others. */
static void move_one(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_assert_int_eq(asyncore_del_channel(of(moving), NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(of(moving), elsewhere), 0);
	starve(1, true);
}

static int read_fed(struct probe *p)
{
	feed();
	return asyncore_recv(of(p), p->data, sizeof p->data) < 0;
}

START_TEST(map_order_needs_no_memory_even_where_a_channel_left)
{
	enum { N = 12 };
	struct probe *p[N];
	struct event *event;
	int peer[N], fd[2], i;
	long before = starved;

	elsewhere = asyncore_map_new(NULL);
	probes_and_peers(NULL, p, peer, N);
	unix_pair(fd);
	event = event_new(asyncore_map_base(NULL), fd[0], EV_READ, move_one, NULL);
	event_add(event, NULL);
	step(NULL);
	for (i = N - 1; i >= 0; i--) {
		p[i]->on_read = read_fed;
		put(peer[i], "x", 1);
	}
	put(fd[1], "x", 1);
	moving = p[5];
	trace_reset();
	if (_i == 0)
		step(NULL);
	else
		step2(NULL);
	ck_assert_int_gt(starved, before);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 read 4 read 5 read 7 read 8 read 9 read 10 "
			 "read 11 read 12 ");
	run_until(p[5]->reads == 1, elsewhere);
	event_free(event);
	for (i = 0; i < N; i++)
		asyncore_close(of(p[i]));
	close_peers(peer, N);
	close_peers(fd, 2);
	ck_assert_int_eq(asyncore_map_free(elsewhere), 0);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "names");

	tcase_add_loop_test(tc, an_answer_of_the_resolver_is_an_errno_and_its_text, 0,
			    (int)(sizeof answers / sizeof *answers));
	tcase_add_loop_test(tc, a_service_that_is_unknown_is_asked_without_a_type, 0, 2);
	tcase_add_test(tc, an_empty_host_is_not_looked_up_by_another_resolver);

	tc = suite_case(suite, "sockets");
	tcase_add_test(tc, init_says_what_getpeername_said_and_leaves_the_descriptor);
	tcase_add_test(tc, family_and_type_say_what_the_kernel_said);
	tcase_add_test(tc, an_error_that_cannot_be_asked_for_is_raised);
	tcase_add_test(tc, close_raises_what_close_said_and_the_channel_is_closed);
	tcase_add_test(tc, close_raises_what_came_first);
	tcase_add_test(tc, a_peer_that_cannot_be_asked_for_does_not_undo_a_connect);
	tcase_add_test(tc, interrupted_calls_are_made_again);
	tcase_add_test(tc, an_interrupted_send_with_a_buffer_sends_later);
	tcase_add_test(tc, a_connect_without_room_in_the_kernel_is_no_refusal_and_not_eagain);
	tcase_add_test(tc, what_the_log_raises_comes_out_of_accept);
	tcase_add_test(tc, a_datagram_that_is_sent_is_activity);
	tcase_add_test(tc, shutdown_raises_what_shutdown_said);

	tc = suite_case(suite, "maps");
	tcase_add_test(tc, a_map_without_a_timer_or_an_event_is_null);
	tcase_add_loop_test(tc, without_a_default_map_everything_says_so, 0, USES);
	tcase_add_test(tc, a_base_on_select_takes_no_descriptor_beyond_its_limit);
	tcase_add_test(tc, a_wait_without_its_timer_reports_and_works_the_next_time);
	tcase_add_loop_test(tc, a_channel_that_cannot_be_watched_is_told_and_the_others_are_served, 0,
			    (int)(sizeof unwatched / sizeof *unwatched));
	tcase_add_test(tc, a_channel_without_an_event_for_urgent_data_is_refused);
	tcase_add_test(tc, a_wait_whose_timer_is_not_watched_reports_and_works_the_next_time);
	tcase_add_test(tc, a_pause_that_cannot_end_is_none);
	tcase_add_test(tc, a_stable_predicate_that_raised_is_asked_again);
	tcase_add_loop_test(tc, a_channel_that_moves_to_another_map_is_served_there_and_not_here, 0,
			    2);
	tcase_add_test(tc, an_idle_timeout_that_is_no_time_leaves_the_old_one);
	tcase_add_test(tc, reinit_reports_what_cannot_be_made_anew);

	tc = suite_case(suite, "the application's loop");
	tcase_add_test(tc, posted_calls_that_cannot_be_watched_are_watched_a_moment_later);
	tcase_add_test(tc, predicates_that_cannot_be_asked_in_time_are_asked_a_moment_later);
	tcase_add_test(tc, a_turn_that_cannot_be_asked_for_comes_a_moment_later);
	tcase_add_test(tc, a_turn_that_cannot_be_asked_for_at_all_is_told);

	tc = suite_case(suite, "posted calls");
	tcase_add_test(tc, a_wake_up_that_is_refused_is_not_needed);
	tcase_add_test(tc, a_wake_up_that_cannot_be_read_is_one_in_the_next_pass);
	tcase_add_test(tc, a_poster_that_cannot_be_made_is_null_and_works_the_next_time);
	tcase_add_test(tc, a_poster_that_cannot_be_watched_again_is_null_and_works_the_next_time);
	tcase_add_test(tc, a_map_that_is_being_freed_makes_no_posters);

	tc = suite_case(suite, "chats");
	tcase_add_test(tc, a_class_without_output_limit_ignores_it);
	tcase_add_test(tc, discard_buffers_says_what_output_limit_raised);
	tcase_add_test(tc, what_output_limit_pushes_during_discard_is_sent_before_the_end);
	tcase_add_test(tc, what_output_limit_raises_at_the_last_byte_is_an_error);
	tcase_add_test(tc, what_a_release_pushes_during_discard_is_kept);
	tcase_add_test(tc, a_file_that_the_kernel_does_not_move_is_read);
	tcase_add_test(tc, a_file_is_moved_again_after_an_interruption);
	tcase_add_test(tc, a_file_that_cannot_be_moved_now_is_moved_later);
	tcase_add_test(tc, a_peer_that_is_gone_while_a_file_is_moved_closes_once);
	tcase_add_test(tc, a_file_that_cannot_be_read_is_an_error_of_the_push_and_done_with);
	tcase_add_test(tc, a_write_to_a_pipe_is_made_again_after_an_interruption);

	tc = suite_case(suite, "logging");
	tcase_add_test(tc, what_the_log_raises_about_a_send_comes_out_of_it);
	tcase_add_test(tc, a_log_line_needs_a_format);

	if (!has_own_malloc())
		return;
	tc = suite_case(suite, "no memory");
	tcase_add_test(tc, find_prefix_at_end_needs_no_memory);
	tcase_add_test(tc, foreach_without_memory_stops_when_it_is_told_to);
	tcase_add_test(tc, a_chat_and_producers_that_cannot_be_made_leave_what_they_were_given);
	tcase_add_test(tc, a_file_that_the_kernel_does_not_move_needs_memory_and_says_so);
	tcase_add_test(tc, a_channel_that_cannot_enter_a_map_keeps_its_idle_timeout);
	tcase_add_test(tc, a_debugged_send_without_memory_for_its_line_sends_nothing);
	tcase_add_loop_test(tc, a_chat_without_memory_says_so_and_works_or_closes, 0, 2);
	tcase_add_test(tc, input_without_memory_is_an_error_of_the_channel_or_arrives);
	tcase_add_test(tc, timers_and_posted_calls_without_memory_release_what_they_got);
	tcase_add_loop_test(tc, input_that_cannot_be_kept_is_an_error_of_the_channel, 0, 2);
	tcase_add_test(tc, input_of_a_recv_that_read_before_needs_memory_or_says_so);
	tcase_add_loop_test(tc, a_terminator_in_part_needs_memory_or_stays_as_it_is, 0, 2);
	tcase_add_test(tc, pieces_that_cannot_be_gathered_are_sent_one_by_one);
	tcase_add_test(tc, a_short_send_without_memory_for_the_rest_says_how_much);
	tcase_add_test(tc, a_timer_of_a_channel_without_memory_releases_what_it_got);
	tcase_add_loop_test(tc, map_order_needs_no_memory_even_where_a_channel_left, 0, 2);
}

SUITE_MAIN("coverage", add_cases)
