/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * inject.c - see inject.h.
 *
 * Most calls are caught by functions of the same name, which then ask the kernel directly:
 * those of libevent are found like this, too, and a sanitizer's are not in the way.  Memory,
 * which a sanitizer must hand out itself, and functions of libevent are caught by the
 * linker (--wrap).
 */

#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

/* For libevent to find them, however the rest is compiled. */
#pragma GCC visibility push(default)

const struct fault_kind_info fault_kinds[FAULT_KINDS] = {
	[FAULT_MALLOC] = { "malloc", { ENOMEM } },
	[FAULT_EVENT_MEMORY] = { "event_memory", { ENOMEM } },
	[FAULT_SOCKET] = { "socket", { EMFILE, ENOBUFS } },
	[FAULT_SOCKETPAIR] = { "socketpair", { EMFILE } },
	[FAULT_ACCEPT] = { "accept", { EMFILE, ECONNABORTED, EINTR, EAGAIN, EPERM, ENOMEM } },
	[FAULT_CONNECT] = { "connect", { ECONNREFUSED, EINTR, ENETUNREACH, EAGAIN } },
	[FAULT_BIND] = { "bind", { EADDRINUSE } },
	[FAULT_LISTEN] = { "listen", { EADDRINUSE } },
	[FAULT_SHUTDOWN] = { "shutdown", { ENOTCONN, ENOBUFS } },
	[FAULT_SEND] = { "send", { ECONNRESET, EPIPE, ENOBUFS, EAGAIN, EINTR, FAULT_SHORT } },
	[FAULT_RECV] = { "recv", { ECONNRESET, ETIMEDOUT, ENOMEM, EAGAIN, EINTR, FAULT_SHORT } },
	[FAULT_RECVFROM] = { "recvfrom", { ECONNREFUSED, ENOMEM, EAGAIN, EINTR } },
	[FAULT_READ] = { "read", { EIO, EAGAIN, EINTR, FAULT_SHORT } },
	[FAULT_WRITE] = { "write", { EIO, EPIPE, EAGAIN, EINTR, FAULT_SHORT } },
	[FAULT_PREAD] = { "pread", { EIO, EINTR, FAULT_SHORT } },
	[FAULT_SENDFILE] = { "sendfile", { EIO, EINVAL, ECONNRESET, EAGAIN, EINTR, FAULT_SHORT } },
	[FAULT_EPOLL_CREATE] = { "epoll_create", { EMFILE } },
	[FAULT_EPOLL_CTL] = { "epoll_ctl", { ENOMEM, ENOSPC } },
	[FAULT_EPOLL_WAIT] = { "epoll_wait", { EINTR, EINVAL } },
	[FAULT_POLL] = { "poll", { EINTR, ENOMEM } },
	[FAULT_SELECT] = { "select", { EINTR, ENOMEM } },
	[FAULT_EVENTFD] = { "eventfd", { EMFILE } },
	[FAULT_TIMERFD_CREATE] = { "timerfd_create", { EMFILE } },
	[FAULT_TIMERFD_SETTIME] = { "timerfd_settime", { ENOMEM } },
	[FAULT_GETSOCKOPT] = { "getsockopt", { ENOBUFS } },
	[FAULT_SETSOCKOPT] = { "setsockopt", { ENOBUFS } },
	[FAULT_GETPEERNAME] = { "getpeername", { ENOBUFS } },
	[FAULT_DUP] = { "dup", { EMFILE } },
	[FAULT_FCNTL] = { "fcntl", { EINTR } },
	[FAULT_IOCTL] = { "ioctl", { ENOMEM } },
	[FAULT_PIPE] = { "pipe", { EMFILE } },
	[FAULT_CLOSE] = { "close", { EINTR, EIO } },
	[FAULT_EVENT_NEW] = { "event_new", { ENOMEM } },
	[FAULT_EVENT_ADD] = { "event_add", { ENOMEM } },
	[FAULT_EVENT_ASSIGN] = { "event_assign", { EINVAL } },
	[FAULT_EVENT_BASE_LOOP] = { "event_base_loop", { EINVAL } },
	[FAULT_EVENT_BASE_NEW] = { "event_base_new", { ENOMEM } },
	[FAULT_EVENT_REINIT] = { "event_reinit", { ENOMEM } },
	[FAULT_GETADDRINFO] = { "getaddrinfo", { ENOMEM } },
};

long fault_calls[FAULT_KINDS];
long fault_hits;
long fault_blocks;
bool fault_in_base;

static bool counting;
static enum fault_kind kind_to_fail = FAULT_KINDS;
static int error_to_give;
static long first_to_fail, last_to_fail;

void fault_arm(enum fault_kind kind, long n, int error, long repeat)
{
	memset(fault_calls, 0, sizeof fault_calls);
	fault_hits = 0;
	kind_to_fail = n > 0 ? kind : FAULT_KINDS;
	error_to_give = error;
	first_to_fail = n;
	last_to_fail = repeat > 0 ? n + repeat - 1 : 0x7fffffff;
	counting = true;
}

bool fault_pause(void)
{
	const bool before = counting;

	counting = false;
	return before;
}

void fault_resume(void)
{
	counting = true;
}

/* Is it this one?  Then errno is set. */
static bool fails(enum fault_kind kind)
{
	long n;

	if (!counting)
		return false;
	n = ++fault_calls[kind];
	if (kind != kind_to_fail || n < first_to_fail || n > last_to_fail)
		return false;
	fault_hits++;
	if (error_to_give != FAULT_SHORT)
		errno = error_to_give;
	return true;
}

#ifdef FAULT_PRELOAD

#include <dlfcn.h>

/* Preloaded, it also sees what libc and libevent call for themselves, where nobody is ready for
 * such a failure (libc's allocations for names; libevent's event_assign(), and the byte that
 * tells it of a signal). */
static bool called_by(const void *caller, const char *object)
{
	Dl_info info;

	return counting && dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
	       strstr(info.dli_fname, object) != NULL;
}
#define CALLED_BY(object) called_by(__builtin_return_address(0), object)

#else
#define CALLED_BY(object) false
#endif

/* --- calls of the kernel ---------------------------------------------------------------- */

/* What a sanitizer would have looked at, had it seen the call. */
extern void *__asan_region_is_poisoned(void *start, size_t size) __attribute__((weak));

static void check_memory(const void *start, ssize_t n)
{
	if (n > 0 && __asan_region_is_poisoned != NULL &&
	    __asan_region_is_poisoned((void *)(size_t)start, (size_t)n) != NULL)
		abort();
}

/* Descriptors that count (an eventfd) are never read in part. */
static size_t shorter(size_t len)
{
	return len > sizeof(long long) ? 1 : len;
}

/* A function of our own under the name of libc's, whose prototypes (with unions) do not
 * matter then. */
#define CALL(kind, name, params, ...) \
	int ours_##name params __asm__(#name); \
	int ours_##name params \
	{ \
		return fails(kind) ? -1 : (int)syscall(__VA_ARGS__); \
	}

/* One that moves `len` bytes. */
#define MOVE(kind, name, params, memory, ...) \
	ssize_t ours_##name params __asm__(#name); \
	ssize_t ours_##name params \
	{ \
		if (fails(kind)) { \
			if (error_to_give != FAULT_SHORT) \
				return -1; \
			len = shorter(len); \
		} \
		check_memory(memory, (ssize_t)len); \
		return syscall(__VA_ARGS__); \
	}

CALL(FAULT_SOCKET, socket, (int family, int type, int protocol),
     SYS_socket, family, type, protocol)
CALL(FAULT_SOCKETPAIR, socketpair, (int family, int type, int protocol, int fd[2]),
     SYS_socketpair, family, type, protocol, fd)
CALL(FAULT_ACCEPT, accept, (int fd, void *addr, unsigned *len),
     SYS_accept4, fd, addr, len, 0)
CALL(FAULT_ACCEPT, accept4, (int fd, void *addr, unsigned *len, int flags),
     SYS_accept4, fd, addr, len, flags)
CALL(FAULT_CONNECT, connect, (int fd, const void *addr, unsigned len),
     SYS_connect, fd, addr, len)
CALL(FAULT_BIND, bind, (int fd, const void *addr, unsigned len), SYS_bind, fd, addr, len)
CALL(FAULT_LISTEN, listen, (int fd, int backlog), SYS_listen, fd, backlog)
CALL(FAULT_SHUTDOWN, shutdown, (int fd, int how), SYS_shutdown, fd, how)
CALL(FAULT_GETSOCKOPT, getsockopt, (int fd, int level, int name, void *value, unsigned *len),
     SYS_getsockopt, fd, level, name, value, len)
CALL(FAULT_SETSOCKOPT, setsockopt, (int fd, int level, int name, const void *value, unsigned len),
     SYS_setsockopt, fd, level, name, value, len)
CALL(FAULT_GETPEERNAME, getpeername, (int fd, void *addr, unsigned *len),
     SYS_getpeername, fd, addr, len)
CALL(FAULT_TIMERFD_CREATE, timerfd_create, (int clock, int flags),
     SYS_timerfd_create, clock, flags)
CALL(FAULT_TIMERFD_SETTIME, timerfd_settime, (int fd, int flags, const void *value, void *old),
     SYS_timerfd_settime, fd, flags, value, old)
CALL(FAULT_EPOLL_CREATE, epoll_create, (int size), SYS_epoll_create1, size > 0 ? 0 : -1)
CALL(FAULT_EPOLL_CREATE, epoll_create1, (int flags), SYS_epoll_create1, flags)
CALL(FAULT_EPOLL_CTL, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event),
     SYS_epoll_ctl, epfd, op, fd, event)
CALL(FAULT_EPOLL_WAIT, epoll_wait, (int epfd, struct epoll_event *event, int n, int timeout),
     SYS_epoll_pwait, epfd, event, n, timeout, NULL, 8)
CALL(FAULT_DUP, dup3, (int from, int to, int flags), SYS_dup3, from, to, flags)
CALL(FAULT_PIPE, pipe, (int fd[2]), SYS_pipe2, fd, 0)
CALL(FAULT_PIPE, pipe2, (int fd[2], int flags), SYS_pipe2, fd, flags)

MOVE(FAULT_SEND, send, (int fd, const void *data, size_t len, int flags), data,
     SYS_sendto, fd, data, len, flags, NULL, 0)
MOVE(FAULT_SEND, sendto, (int fd, const void *data, size_t len, int flags,
			  const void *addr, unsigned addrlen), data,
     SYS_sendto, fd, data, len, flags, addr, addrlen)
MOVE(FAULT_RECV, recv, (int fd, void *data, size_t len, int flags), data,
     SYS_recvfrom, fd, data, len, flags, NULL, NULL)
MOVE(FAULT_RECVFROM, recvfrom, (int fd, void *data, size_t len, int flags,
				void *addr, unsigned *addrlen), data,
     SYS_recvfrom, fd, data, len, flags, addr, addrlen)
MOVE(FAULT_READ, read, (int fd, void *data, size_t len), data, SYS_read, fd, data, len)
MOVE(FAULT_PREAD, pread, (int fd, void *data, size_t len, off_t offset), data,
     SYS_pread64, fd, data, len, offset)
MOVE(FAULT_SENDFILE, sendfile, (int to, int from, off_t *offset, size_t len), NULL,
     SYS_sendfile, to, from, offset, len)

ssize_t ours_sendmsg(int fd, const void *message, int flags) __asm__("sendmsg");
ssize_t ours_sendmsg(int fd, const void *message, int flags)
{
	return fails(FAULT_SEND) ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec time = { timeout / 1000, timeout % 1000 * 1000000L };

	return fails(FAULT_POLL) ? -1 :
	       (int)syscall(SYS_ppoll, fds, n, timeout < 0 ? NULL : &time, NULL, 8);
}

int select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout)
{
	struct timespec time = { 0, 0 };

	if (timeout != NULL)
		time = (struct timespec){ timeout->tv_sec, timeout->tv_usec * 1000 };
	return fails(FAULT_SELECT) ? -1 :
	       (int)syscall(SYS_pselect6, n, in, out, ex, timeout != NULL ? &time : NULL, NULL);
}

int fcntl(int fd, int command, ...)
{
	const bool dup = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	return fails(dup ? FAULT_DUP : FAULT_FCNTL) ? -1 :
	       (int)syscall(SYS_fcntl, fd, command, arg);
}

int ioctl(int fd, unsigned long command, ...);
int ioctl(int fd, unsigned long command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	return fails(FAULT_IOCTL) ? -1 : (int)syscall(SYS_ioctl, fd, command, arg);
}

/* Adding to an eventfd that is not full cannot fail, and never waits. */
static bool is_eventfd[1024];

int eventfd(unsigned value, int flags);
int eventfd(unsigned value, int flags)
{
	int fd = fails(FAULT_EVENTFD) ? -1 : (int)syscall(SYS_eventfd2, value, flags);

	if (fd >= 0 && fd < 1024)
		is_eventfd[fd] = true;
	return fd;
}

ssize_t write(int fd, const void *data, size_t len)
{
	const bool exempt = (fd >= 0 && fd < 1024 && is_eventfd[fd]) || CALLED_BY("libevent");

	if (!exempt && fails(FAULT_WRITE)) {
		if (error_to_give != FAULT_SHORT)
			return -1;
		len = shorter(len);
	}
	check_memory(data, (ssize_t)len);
	return syscall(SYS_write, fd, data, len);
}

/* Whatever close(2) says, the descriptor is gone. */
int close(int fd)
{
	const bool failing = fails(FAULT_CLOSE);
	const int error = errno;
	int r = (int)syscall(SYS_close, fd);

	if (fd >= 0 && fd < 1024)
		is_eventfd[fd] = false;
	if (failing && r == 0) {
		errno = error;
		r = -1;
	}
	return r;
}

/* --- memory and libevent ------------------------------------------------------------------ */

#ifdef FAULT_PRELOAD

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *block);
#define OURS(name) name
#define REAL_MEMORY(name) __libc_##name
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#else

#define OURS(name) __wrap_##name
#define REAL_MEMORY(name) __real_##name
#define REAL(name) __real_##name
extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t n, size_t size);
extern void *__real_realloc(void *old, size_t size);
extern void __real_free(void *block);
extern struct event *__real_event_new(struct event_base *, evutil_socket_t, short,
				      event_callback_fn, void *);
extern int __real_event_add(struct event *, const struct timeval *);
extern int __real_event_assign(struct event *, struct event_base *, evutil_socket_t, short,
			       event_callback_fn, void *);
extern int __real_event_base_loop(struct event_base *, int);
extern struct event_base *__real_event_base_new_with_config(const struct event_config *);
extern int __real_event_reinit(struct event_base *);
extern int __real_getaddrinfo(const char *, const char *, const void *, void *);

#endif

struct addrinfo;

void *OURS(malloc)(size_t size);
void *OURS(calloc)(size_t n, size_t size);
void *OURS(realloc)(void *old, size_t size);
void OURS(free)(void *block);
struct event *OURS(event_new)(struct event_base *base, evutil_socket_t fd, short what,
			      event_callback_fn callback, void *arg);
int OURS(event_add)(struct event *ev, const struct timeval *timeout);
int OURS(event_assign)(struct event *ev, struct event_base *base, evutil_socket_t fd, short what,
		       event_callback_fn callback, void *arg);
int OURS(event_base_loop)(struct event_base *base, int flags);
struct event_base *OURS(event_base_new_with_config)(const struct event_config *config);
int OURS(event_reinit)(struct event_base *base);

static void *counted(void *block)
{
	if (block != NULL)
		fault_blocks++;
	return block;
}

static void *allocate(enum fault_kind kind, size_t size)
{
	return fails(kind) ? NULL : counted(REAL_MEMORY(malloc)(size));
}

static void *reallocate(enum fault_kind kind, void *old, size_t size)
{
	void *block;

	if (fails(kind))
		return NULL;
	block = REAL_MEMORY(realloc)(old, size);
	return old == NULL ? counted(block) : block;
}

void *OURS(malloc)(size_t size)
{
	return CALLED_BY("/libc.") ? counted(REAL_MEMORY(malloc)(size))
				   : allocate(FAULT_MALLOC, size);
}

void *OURS(calloc)(size_t n, size_t size)
{
	return !CALLED_BY("/libc.") && fails(FAULT_MALLOC) ? NULL : counted(REAL_MEMORY(calloc)(n, size));
}

void *OURS(realloc)(void *old, size_t size)
{
	if (CALLED_BY("/libc."))
		return old == NULL ? counted(REAL_MEMORY(malloc)(size))
				   : REAL_MEMORY(realloc)(old, size);
	return reallocate(FAULT_MALLOC, old, size);
}

void OURS(free)(void *block)
{
	if (block != NULL)
		fault_blocks--;
	REAL_MEMORY(free)(block);
}

struct event *OURS(event_new)(struct event_base *base, evutil_socket_t fd, short what,
			      event_callback_fn callback, void *arg)
{
	return !CALLED_BY("libevent") && fails(FAULT_EVENT_NEW)
		? NULL : REAL(event_new)(base, fd, what, callback, arg);
}

int OURS(event_add)(struct event *ev, const struct timeval *timeout)
{
	return !CALLED_BY("libevent") && fails(FAULT_EVENT_ADD)
		? -1 : REAL(event_add)(ev, timeout);
}

int OURS(event_assign)(struct event *ev, struct event_base *base, evutil_socket_t fd, short what,
		       event_callback_fn callback, void *arg)
{
	return !CALLED_BY("libevent") && fails(FAULT_EVENT_ASSIGN)
		? -1 : REAL(event_assign)(ev, base, fd, what, callback, arg);
}

int OURS(event_base_loop)(struct event_base *base, int flags)
{
	return !CALLED_BY("libevent") && fails(FAULT_EVENT_BASE_LOOP)
		? -1 : REAL(event_base_loop)(base, flags);
}

struct event_base *OURS(event_base_new_with_config)(const struct event_config *config)
{
	struct event_base *base;

	if (fails(FAULT_EVENT_BASE_NEW))
		return NULL;
	fault_in_base = true;
	base = REAL(event_base_new_with_config)(config);
	fault_in_base = false;
	return base;
}

int OURS(event_reinit)(struct event_base *base)
{
	int r;

	if (fails(FAULT_EVENT_REINIT))
		return -1;
	fault_in_base = true;
	r = REAL(event_reinit)(base);
	fault_in_base = false;
	return r;
}

#ifndef FAULT_PRELOAD

int __wrap_getaddrinfo(const char *host, const char *port, const void *hints, void *result);
int __wrap_getaddrinfo(const char *host, const char *port, const void *hints, void *result)
{
	int r;

	if (fails(FAULT_GETADDRINFO))
		return -10;	/* EAI_MEMORY */
	r = __real_getaddrinfo(host, port, hints, result);
	return r;
}

static void *event_malloc(size_t size)
{
	return allocate(FAULT_EVENT_MEMORY, size);
}

static void *event_realloc(void *old, size_t size)
{
	return reallocate(FAULT_EVENT_MEMORY, old, size);
}

#endif

/* --- the environment ---------------------------------------------------------------------- */

static char report[4096];
static bool terminated;

static int descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += syscall(SYS_fcntl, fd, F_GETFD) >= 0;
	return n;
}
static int descriptors_before;

static void write_report(void)
{
	const bool hit = fault_hits > 0;
	FILE *file;
	int i, left;

	fault_pause();
	left = descriptors() - descriptors_before;
	file = fopen(report, "a");
	if (file == NULL)
		return;
	if (!terminated)
		fprintf(file, "left %d %ld\n", left, fault_blocks);
	for (i = 0; i < FAULT_KINDS; i++)
		if (fault_calls[i] > 0)
			fprintf(file, "%s %ld\n", fault_kinds[i].name, fault_calls[i]);
	if (hit)
		fprintf(file, "hit %s\n", fault_kinds[kind_to_fail].name);
	fclose(file);
}

/* A program that SIGTERM would kill says first what it did; and a sanitizer looks for what it
 * has lost. */
static void on_term(int number)
{
	terminated = true;
	exit(128 + number);
}

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
	const char *kind = getenv("FAULT_KIND"), *error = getenv("FAULT_ERROR");
	const char *where = getenv("FAULT_REPORT");
	int i, code;

#ifndef FAULT_PRELOAD
	event_set_mem_functions(event_malloc, event_realloc, __wrap_free);
#endif
	if (where != NULL && strlen(where) < sizeof report) {
		strcpy(report, where);
		atexit(write_report);
		descriptors_before = descriptors();
		signal(SIGTERM, on_term);
	}
	if (kind == NULL) {
		if (report[0] != '\0')
			fault_arm(FAULT_KINDS, 0, 0, 0);
		return;
	}
	for (i = 0; i < FAULT_KINDS && strcmp(fault_kinds[i].name, kind) != 0; i++)
		;
	if (i == FAULT_KINDS) {
		fprintf(stderr, "FAULT_KIND: no kind %s\n", kind);
		exit(2);
	}
	code = fault_kinds[i].error[0];
	if (error != NULL)
		code = strcmp(error, "short") == 0 ? FAULT_SHORT : atoi(error);
	fault_arm((enum fault_kind)i, number("FAULT_N", 1), code, number("FAULT_REPEAT", 1));
}
