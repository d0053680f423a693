/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_dns_failures.c - connect by name: system calls and libevent fail, and memory runs out.
 *
 * Functions of ours stand in place of theirs.  They fail for the resolver alone: what it
 * watches is the only event for writing that is not persistent, what it connects to is the
 * tests' listener or nobody, and its memory is what libasyncore and libasyncore_dns ask for.
 * Each failure is an error of the address that is tried, or of the attempt; never silence.
 */

#include "dns_world.h"

#include <dlfcn.h>

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

/* The tests are built with hidden symbols, and the libraries are to find these. */
#define SEEN __attribute__((visibility("default")))

/* The function that ours stands for. */
#define NEXT(result, name, ...) ((result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

/* --- calls that fail --------------------------------------------------------------------- */

enum call { CONNECT, GETSOCKOPT, EVENT_NEW, EVENT_ADD, GETADDRINFO, EVDNS_BASE_NEW, CALLS };

static struct {
	int times, error;
} fault[CALLS];

static void refuse(enum call call, int times, int with)
{
	fault[call].times = times;
	fault[call].error = with;
}

static bool fails(enum call call)
{
	if (fault[call].times == 0)
		return false;
	fault[call].times--;
	errno = fault[call].error;
	return true;
}

/* A fault that nobody met would prove nothing. */
static void assert_met(enum call call)
{
	ck_assert_int_eq(fault[call].times, 0);
}

SEEN int connect(int fd, const struct sockaddr *addr, socklen_t len);
SEEN int getsockopt(int fd, int level, int option, void *value, socklen_t *len);
SEEN struct event *event_new(struct event_base *on, evutil_socket_t fd, short what,
			     event_callback_fn callback, void *arg);
SEEN int event_add(struct event *event, const struct timeval *timeout);
SEEN int evutil_getaddrinfo(const char *node, const char *service,
			    const struct evutil_addrinfo *hints, struct evutil_addrinfo **found);
SEEN struct evdns_base *evdns_base_new(struct event_base *on, int flags);

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int type = 0;
	socklen_t type_len = sizeof type;

	NEXT(int, getsockopt, int, int, int, void *, socklen_t *)
		(fd, SOL_SOCKET, SO_TYPE, &type, &type_len);
	return type == SOCK_STREAM && fails(CONNECT) ? -1 :
		NEXT(int, connect, int, const struct sockaddr *, socklen_t)(fd, addr, len);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	return level == SOL_SOCKET && option == SO_ERROR && fails(GETSOCKOPT) ? -1 :
		NEXT(int, getsockopt, int, int, int, void *, socklen_t *)
		(fd, level, option, value, len);
}

struct event *event_new(struct event_base *on, evutil_socket_t fd, short what,
			event_callback_fn callback, void *arg)
{
	return what == EV_WRITE && fails(EVENT_NEW) ? NULL :
		NEXT(struct event *, event_new, struct event_base *, evutil_socket_t, short,
		     event_callback_fn, void *)(on, fd, what, callback, arg);
}

int event_add(struct event *event, const struct timeval *timeout)
{
	return event_get_events(event) == EV_WRITE && fails(EVENT_ADD) ? -1 :
		NEXT(int, event_add, struct event *, const struct timeval *)(event, timeout);
}

int evutil_getaddrinfo(const char *node, const char *service, const struct evutil_addrinfo *hints,
		       struct evutil_addrinfo **found)
{
	return fails(GETADDRINFO) ? fault[GETADDRINFO].error :
		NEXT(int, evutil_getaddrinfo, const char *, const char *,
		     const struct evutil_addrinfo *, struct evutil_addrinfo **)
		(node, service, hints, found);
}

struct evdns_base *evdns_base_new(struct event_base *on, int flags)
{
	return fails(EVDNS_BASE_NEW) ? NULL :
		NEXT(struct evdns_base *, evdns_base_new, struct event_base *, int)(on, flags);
}

/* --- memory that runs out ------------------------------------------------------------------ */

static long countdown;		/* 0: no failures; otherwise the allocation to fail */
static long starved;

#ifdef OWN_MALLOC

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

SEEN void *malloc(size_t size);
SEEN void *calloc(size_t n, size_t size);
SEEN void *realloc(void *old, size_t size);

/* Is it one of our two libraries that asks? */
static bool is_ours(const void *caller)
{
	static const char ours[] = "/libasyncore";
	const char *name;
	Dl_info info;

	if (dladdr(caller, &info) == 0)
		return false;
	name = strrchr(info.dli_fname, '/');
	return name != NULL && strncmp(name, ours, sizeof ours - 1) == 0;
}

static bool starves(const void *caller)
{
	if (countdown == 0 || !is_ours(caller) || --countdown > 0)
		return false;
	starved++;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return starves(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return starves(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return starves(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

#endif

/* Are ours the ones that are called?  (Not under valgrind, nor from static libraries.) */
static bool has_own_malloc(void)
{
	countdown = 1;
	asyncore_dns_free(asyncore_dns_new(NULL, NULL));
	countdown = 0;
	asyncore_map_free(NULL);
	return starved > 0;
}

/* --- one address ------------------------------------------------------------------------- */

static const struct {
	enum call call;
	int error, code;
} address_fails[] = {
	{ CONNECT, ENETUNREACH, -ENETUNREACH },
	{ GETSOCKOPT, ENOBUFS, -ENOBUFS },
	{ EVENT_NEW, 0, -ENOMEM },
	{ EVENT_ADD, 0, -ENOMEM },
};
enum { WAYS_TO_FAIL = sizeof address_fails / sizeof *address_fails };

START_TEST(address_that_fails_is_followed_by_the_next)
{
	struct probe *p;

	begin(_i / WAYS_TO_FAIL);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.2 127.0.0.1");
	p = client();
	refuse(address_fails[_i % WAYS_TO_FAIL].call, 1, address_fails[_i % WAYS_TO_FAIL].error);
	connect_to(p, "www.example", port);
	await_connection(p, "127.0.0.1", port);
	assert_met(address_fails[_i % WAYS_TO_FAIL].call);
	end();
}
END_TEST

START_TEST(last_address_says_how_it_failed)
{
	const int code = address_fails[_i % WAYS_TO_FAIL].code;
	char text[100];

	begin(_i / WAYS_TO_FAIL);
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	snprintf(text, sizeof text, "www.example: %s", strerror(-code));
	refuse(address_fails[_i % WAYS_TO_FAIL].call, 1, address_fails[_i % WAYS_TO_FAIL].error);
	connect_to(client(), "www.example", port);
	await_failure(code, text);
	assert_met(address_fails[_i % WAYS_TO_FAIL].call);
	end();
}
END_TEST

/* It goes on in the kernel, and so the socket is waited for. */
START_TEST(interrupted_connect_goes_on)
{
	static const int goes_on[] = { EINTR, EALREADY, EINPROGRESS };
	struct sockaddr_in addr;
	struct probe *p;

	begin(_i % WAYS);
	p = client_with_socket(AF_INET);
	addr = loopback(port);
	/* What the kernel does meanwhile. */
	ck_assert_int_eq(NEXT(int, connect, int, const struct sockaddr *, socklen_t)
			 (asyncore_socket(&p->dispatcher), (struct sockaddr *)&addr, sizeof addr),
			 -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	refuse(CONNECT, 1, goes_on[_i / WAYS]);
	connect_to(p, "127.0.0.1", port);
	await_connection(p, "127.0.0.1", port);
	assert_met(CONNECT);
	end();
}
END_TEST

/* --- looking up --------------------------------------------------------------------------- */

static const struct {
	int result, code;
} answers[] = {
	{ EVUTIL_EAI_MEMORY, -ENOMEM },
	{ EVUTIL_EAI_FAMILY, -EAFNOSUPPORT },
	{ EVUTIL_EAI_ADDRFAMILY, -EAFNOSUPPORT },
	{ EVUTIL_EAI_NODATA, -ENOENT },
	{ EVUTIL_EAI_FAIL, -EHOSTUNREACH },
};

START_TEST(answer_is_an_errno)
{
	begin(OWN);
	refuse(GETADDRINFO, 1, answers[_i].result);
	connect_to(client(), "127.0.0.1", port);
	await_failure(answers[_i].code, NULL);
	assert_met(GETADDRINFO);
	end();
}
END_TEST

START_TEST(resolver_without_evdns_is_null)
{
	static const int said[][2] = { { 0, EIO }, { ENOMEM, ENOMEM }, { EMFILE, EIO } };
	struct probe *p;

	begin(OWN);
	refuse(EVDNS_BASE_NEW, 1, said[_i][0]);
	ck_assert_ptr_null(asyncore_dns_new(map, NULL));
	ck_assert_int_eq(errno, said[_i][1]);
	assert_met(EVDNS_BASE_NEW);
	/* The one that serves asyncore_connect() is still the other one. */
	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client_with_socket(AF_INET);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "www.example", port), 0);
	await_connection(p, "127.0.0.1", port);
	end();
}
END_TEST

/* --- no memory ---------------------------------------------------------------------------- */

START_TEST(resolver_without_memory_is_null)
{
	struct asyncore_dns *second;
	long n;

	begin(OWN);
	/* Its own, and that of a default map. */
	for (n = 1, second = NULL; n < 20 && second == NULL; n++) {
		countdown = n;
		errno = 0;
		second = asyncore_dns_new(NULL, NULL);
		countdown = 0;
		ck_assert(second != NULL || errno == ENOMEM);
		asyncore_dns_free(second);
		ck_assert_int_eq(asyncore_map_free(NULL), 0);
	}
	ck_assert_int_gt(n, 3);
	ck_assert_ptr_nonnull(second);
	end();
}
END_TEST

/* One allocation fails, in the call or before the attempt is over: the first for n 1 and 2, the
 * second for 3 and 4 ...; for odd ones the channel has a socket.  0 if there were not so many. */
static int connect_starving(long n)
{
	struct probe *p;
	int r;

	name_server_add(server, "www.example", NAME_ADDRESSES, "127.0.0.1");
	p = client();
	if (n % 2 == 1)
		ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	countdown = (n + 1) / 2;
	r = asyncore_dns_connect(dns, &p->dispatcher, "www.example", port, 10);
	if (r < 0) {
		countdown = 0;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert(!asyncore_connecting(&p->dispatcher));
		ck_assert_int_eq(p->errors, 0);
		/* It works when it is asked again. */
		connect_to(p, "www.example", port);
		await_connection(p, "127.0.0.1", port);
		return r;
	}
	until(p->connects > 0 || error.code != 0);
	r = countdown == 0 ? -ENOMEM : 0;
	countdown = 0;
	ck_assert(error.code == 0 || error.code == -ENOMEM);
	if (error.code == 0)
		assert_connected(p, "127.0.0.1", port);
	return r;
}

START_TEST(connect_without_memory_says_so_or_connects)
{
	int way = _i % WAYS, parity = _i / WAYS, r = -ENOMEM;
	long n;

	for (n = 1; n < 40 && r < 0; n++) {
		begin(way);
		r = connect_starving(2 * n - parity);
		end();
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_gt(n, 3);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "addresses");

	tcase_add_loop_test(tc, address_that_fails_is_followed_by_the_next, 0, WAYS_TO_FAIL * WAYS);
	tcase_add_loop_test(tc, last_address_says_how_it_failed, 0, WAYS_TO_FAIL * WAYS);
	tcase_add_loop_test(tc, interrupted_connect_goes_on, 0, 3 * WAYS);

	tc = suite_case(suite, "looking up");
	tcase_add_loop_test(tc, answer_is_an_errno, 0, (int)(sizeof answers / sizeof *answers));
	tcase_add_loop_test(tc, resolver_without_evdns_is_null, 0, 3);

	if (!has_own_malloc())
		return;
	tc = suite_case(suite, "no memory");
	tcase_add_test(tc, resolver_without_memory_is_null);
	tcase_add_loop_test(tc, connect_without_memory_says_so_or_connects, 0, 2 * WAYS);
}

SUITE_MAIN("dns_failures", add_cases)
