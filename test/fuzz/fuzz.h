/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fuzz.h - what every target needs: a script of bytes, and a way to fail.
 *
 * A target is one function that libFuzzer calls with bytes; linked with replay.c instead, it
 * runs the files that it is given.
 */

#ifndef FUZZ_H
#define FUZZ_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() is what libFuzzer takes for a finding. */
#define must(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* Decisions are read from both ends: `next` from the front, `last` from the back, so that
 * two kinds of them do not shift each other.  Both end where they meet. */
struct script {
	const uint8_t *data;
	size_t at, end;
};

static inline bool script_ends(const struct script *s)
{
	return s->at >= s->end;
}

static inline unsigned script_next(struct script *s)
{
	return s->at < s->end ? s->data[s->at++] : 0;
}

static inline unsigned script_last(struct script *s)
{
	return s->at < s->end ? s->data[--s->end] : 0;
}

/* The descriptors that are open, of the first so many: one system call. */
enum { DESCRIPTORS = 64 };

static inline uint64_t descriptors(void)
{
	struct pollfd fds[DESCRIPTORS];
	uint64_t open = 0;
	int i;

	for (i = 0; i < DESCRIPTORS; i++)
		fds[i] = (struct pollfd){ .fd = i };
	must(poll(fds, DESCRIPTORS, 0) >= 0);
	for (i = 0; i < DESCRIPTORS; i++)
		if (!(fds[i].revents & POLLNVAL))
			open |= (uint64_t)1 << i;
	return open;
}

#endif /* FUZZ_H */
