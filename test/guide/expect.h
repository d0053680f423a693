/* SPDX-License-Identifier: BSD-3-Clause */

/* What the tests of the porting guide's pieces need; see guide.sh. */

#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define expect(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

/* Passes until a condition holds. */
#define run_until(condition) \
	do { \
		int passes_ = 0; \
		while (!(condition)) { \
			expect(passes_++ < 100 && asyncore_poll(1.0, NULL) == 0); \
		} \
	} while (0)

static inline void make_pair(int fd[2])
{
	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
}

static inline void say(int fd, const char *text)
{
	expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* The peer has written exactly this. */
static inline void hear(int fd, const char *text)
{
	char data[4096];
	ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);

	expect(n == (ssize_t)strlen(text) && memcmp(data, text, n) == 0);
}

#endif /* EXPECT_H */
