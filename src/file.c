/* SPDX-License-Identifier: BSD-3-Clause */

/* file.c - write for descriptors that are not sockets. */

#include "channel.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/*
 * write() has no MSG_NOSIGNAL, and the disposition of SIGPIPE is the program's business.
 * So block the signal in this thread, and take back the one that our write made, unless
 * one was waiting before.
 */
int file_write(int fd, const void *data, size_t len)
{
	static const struct timespec no_time = { 0, 0 };
	sigset_t pipe_only, old, pending;
	bool was_pending;
	ssize_t n;
	int r;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	/* It can only wait where the program blocks it itself. */
	was_pending = sigismember(&old, SIGPIPE) && sigpending(&pending) == 0 &&
		      sigismember(&pending, SIGPIPE);
	do {
		n = write(fd, data, len);
	} while (n < 0 && errno == EINTR);
	r = n >= 0 ? (int)n : -errno;
	if (r == -EPIPE && !was_pending)
		while (sigtimedwait(&pipe_only, NULL, &no_time) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}
