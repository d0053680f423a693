/* SPDX-License-Identifier: BSD-3-Clause */

/* file.c - write for descriptors that are not sockets. */

#include "channel.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

/*
 * write() and sendfile() have no MSG_NOSIGNAL, and the disposition of SIGPIPE is the
 * program's business.  So block the signal in this thread, and take back the one that the
 * call made, unless one was waiting before.
 */
struct guard {
	sigset_t pipe_only, old;
	bool was_pending;
};

static void block_sigpipe(struct guard *g)
{
	sigset_t pending;

	sigemptyset(&g->pipe_only);
	sigaddset(&g->pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &g->pipe_only, &g->old);
	/* It can only wait where the program blocks it itself. */
	g->was_pending = sigismember(&g->old, SIGPIPE) && sigpending(&pending) == 0 &&
			 sigismember(&pending, SIGPIPE);
}

static void restore_sigpipe(const struct guard *g, bool raised)
{
	static const struct timespec no_time = { 0, 0 };

	if (raised && !g->was_pending)
		while (sigtimedwait(&g->pipe_only, NULL, &no_time) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &g->old, NULL);
}

int file_write(int fd, const void *data, size_t len)
{
	struct guard guard;
	ssize_t n;
	int r;

	block_sigpipe(&guard);
	do {
		n = write(fd, data, len);
	} while (n < 0 && errno == EINTR);
	r = n >= 0 ? (int)n : -errno;
	restore_sigpipe(&guard, r == -EPIPE);
	return r;
}

int file_send(int fd, int from, off_t offset, size_t len)
{
	struct guard guard;
	ssize_t n;
	int r;

	block_sigpipe(&guard);
	do {
		n = sendfile(fd, from, &offset, len);
	} while (n < 0 && errno == EINTR);
	r = n >= 0 ? (int)n : -errno;
	restore_sigpipe(&guard, r == -EPIPE);
	return r;
}
