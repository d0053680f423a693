/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * drive.c - a client inside the server, so that what is counted is the same in every run.
 *
 * Preloaded (LD_PRELOAD) into a server, it works whenever the server is about to wait for
 * events: it takes the answers that are there; once all are, it sends the next message on every
 * connection, and lets the server go on when all of them have arrived.  So every pass of the
 * server finds the same descriptors ready, however busy the machine is.  After the last round it
 * ends the process.  In the environment:
 *
 *	BENCH_DRIVE="WORK CONNECTIONS SIZE ROUNDS"
 *
 *	echo	messages of SIZE bytes
 *	stall	the same, but the server's socket takes far less than a message
 *	count	lines of SIZE bytes, in messages of 64 KiB
 *	answer	the same, answered with 4 bytes each
 *	accept	rounds of CONNECTIONS new connections, which the server closes
 *
 * What it does itself is not counted (count.sh): it is done in the functions by which servers wait,
 * which callgrind leaves out by their names, and in an strace it stands between two writes to
 * descriptor -1.
 */

#include "bench.h"
#include "lines.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1024, PATIENCE = 200000 /* ns */, AGAIN = 100 /* ms */ };

static char work[16];
static int connections, rounds;
static size_t size;

static int listener = -1, port;
static int server[MOST], nserver;	/* the server's ends, as it accepted them */
static int client[MOST], nclient;
static size_t wanted[MOST];		/* bytes of answers that are to come */
static char block[2 * BENCH_BUFFER], sink[BENCH_BUFFER];
static size_t message, phase;		/* phase: of the line with which the next one begins */

static bool is(const char *what)
{
	return strcmp(work, what) == 0;
}

/* What the preloaded functions stand in front of. */
static void *next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		bench_die(name);
	return function;
}

/* --- messages ------------------------------------------------------------------------- */

static void prepare(void)
{
	const char *what = getenv("BENCH_DRIVE");
	size_t i;

	if (what == NULL || sscanf(what, "%15s %d %zu %d", work, &connections, &size, &rounds) != 4 ||
	    connections < 1 || connections > MOST || size < 2 || size > BENCH_BUFFER) {
		fprintf(stderr, "drive: BENCH_DRIVE says nothing that it knows\n");
		exit(2);
	}
	message = size;
	if (is("count") || is("answer")) {
		message = BENCH_BUFFER;
		for (i = 0; i < sizeof block; i++)
			block[i] = i % size == size - 2 ? '\r' : i % size == size - 1 ? '\n' : 'x';
	}
}

/* The bytes that answer the next message. */
static size_t answer(void)
{
	size_t whole;

	if (is("echo") || is("stall"))
		return size;
	whole = (phase + message) / size;
	phase = (phase + message) % size;
	return is("answer") ? whole * ANSWER : 0;
}

/* --- waiting -------------------------------------------------------------------------- */

/* Wait until the kernel has delivered something; it is at it already. */
static void wait_until(bool (*delivered)(int), int which)
{
	const double start = bench_now();

	while (!delivered(which))
		if (bench_now() - start > 5e9) {
			fprintf(stderr, "drive: %s: nothing arrives\n", work);
			_exit(1);
		}
}

/* All of a message has come to the server. */
static bool arrived(int i)
{
	int n = 0;

	ioctl(server[i], FIONREAD, &n);
	return (size_t)n >= message;
}

/* The connections that the server has yet to accept. */
static int queued(void)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		bench_die("TCP_INFO");
	return (int)info.tcpi_unacked;
}

static bool knocked(int n)
{
	return queued() >= n;
}

/* --- turns ---------------------------------------------------------------------------- */

static void take(int i)
{
	while (wanted[i] > 0) {
		ssize_t n = recv(client[i], sink, sizeof sink, MSG_DONTWAIT);

		if (n <= 0)
			break;
		wanted[i] -= (size_t)n;
	}
}

/* Has everything been read and answered? */
static bool answered(void)
{
	int i, unread;

	for (i = 0; i < nclient; i++) {
		take(i);
		if (wanted[i] > 0 || ioctl(server[i], FIONREAD, &unread) < 0 || unread > 0)
			return false;
	}
	return true;
}

/* The same, but what the server sent last may be under way. */
static bool answered_soon(bool patient)
{
	const double start = bench_now();

	while (!answered())
		if (!patient || bench_now() - start > PATIENCE)
			return false;
	return true;
}

static void say(void)
{
	int i;
	const char *data = block + phase;
	const size_t due = answer();

	for (i = 0; i < nclient; i++) {
		wanted[i] = due;
		if (send(client[i], data, message, MSG_NOSIGNAL) != (ssize_t)message)
			bench_die("send");
	}
	for (i = 0; i < nclient; i++)
		wait_until(arrived, i);
}

static void knock(void)
{
	while (nclient > 0)
		close(client[--nclient]);
	while (nclient < connections)
		client[nclient++] = bench_connect(port);
	wait_until(knocked, nclient);
}

static void step(bool patient)
{
	if (nclient > 0 && queued() > 0)
		return;
	if (nclient > 0 && !is("accept") && !answered_soon(patient))
		return;
	if (nclient > 0 && rounds-- == 0)
		exit(0);
	if (nclient == 0 || is("accept"))
		knock();
	else
		say();
}

static void turn(int timeout)
{
	const int error = errno;

	if (write(-1, "turn", 4) > 0)
		return;
	if (listener >= 0)
		step(timeout != 0);
	if (write(-1, "done", 4) > 0)
		return;
	errno = error;
}

/* --- what the server calls ------------------------------------------------------------ */

int listen(int fd, int backlog)
{
	int (*real)(int, int) = (int (*)(int, int))next("listen");
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;
	int much = 4 << 20, little = 4096;

	/* Accepted sockets inherit these. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
	if (real(fd, backlog) < 0)
		return -1;
	prepare();
	if (is("stall"))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		bench_die("getsockname");
	port = ntohs(addr.sin_port);
	listener = fd;
	return 0;
}

static int accepted(int fd)
{
	if (fd >= 0 && nserver < MOST && !is("accept"))
		server[nserver++] = fd;
	return fd;
}

int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict len, int flags)
{
	static int (*real)(int, struct sockaddr *, socklen_t *, int);

	if (real == NULL)
		real = (int (*)(int, struct sockaddr *, socklen_t *, int))next("accept4");
	return accepted(real(fd, addr, len, flags));
}

int accept(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	return accept4(fd, addr, len, 0);
}

/*
 * Each wait is preceded by a turn.  One that lasts is cut, and begins anew with another turn:
 * should an answer have been late, the next message still is sent.
 */
#define WAIT(timeout, call) \
	do { \
		const int all = (timeout); \
		const int part = all < 0 || all > AGAIN ? AGAIN : all; \
		int n; \
\
		do { \
			turn(all); \
			n = call; \
		} while (n == 0 && part != all); \
		return n; \
	} while (0)

int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
	static int (*real)(int, struct epoll_event *, int, int);

	if (real == NULL)
		real = (int (*)(int, struct epoll_event *, int, int))next("epoll_wait");
	WAIT(timeout, real(epfd, events, most, part));
}

int epoll_pwait(int epfd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	static int (*real)(int, struct epoll_event *, int, int, const sigset_t *);

	if (real == NULL)
		real = (int (*)(int, struct epoll_event *, int, int, const sigset_t *))
			next("epoll_pwait");
	WAIT(timeout, real(epfd, events, most, part, mask));
}

int poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	static int (*real)(struct pollfd *, nfds_t, int);

	if (real == NULL)
		real = (int (*)(struct pollfd *, nfds_t, int))next("poll");
	WAIT(timeout, real(fds, nfds, part));
}

/* For Python alone, which waits long. */
int select(int nfds, fd_set *restrict read, fd_set *restrict write, fd_set *restrict except,
	   struct timeval *restrict timeout)
{
	static int (*real)(int, fd_set *, fd_set *, fd_set *, struct timeval *);

	if (real == NULL)
		real = (int (*)(int, fd_set *, fd_set *, fd_set *, struct timeval *))next("select");
	turn(-1);
	return real(nfds, read, write, except, timeout);
}
