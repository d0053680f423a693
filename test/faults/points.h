/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * points.h - every point of failure of several subjects, each in a process of its own.
 *
 * A subject is what makes calls that can fail: a scenario, in one way.  A point is one of its
 * calls, of one kind, with one error.
 */

#ifndef POINTS_H
#define POINTS_H

#include "inject.h"

#include <stdbool.h>

/* What a child tells; in memory that it shares with its parent. */
struct verdict {
	long calls[FAULT_KINDS];
	long hits, blocks;
	unsigned long trace;		/* a sum of it, if the program has traces */
	bool finished, done;
	char text[256];
};
extern struct verdict *verdict;

enum { LEFT_OUT = 77 };		/* an exit status: such a failure, or subject, does not count */

struct point {
	int subject;
	enum fault_kind kind;
	long n;
	int error;
	long repeat;
	const struct verdict *counted;	/* what is known of a run without failure */
};

struct points {
	int subjects;
	/* Of a subject; the text lasts until the next call. */
	const char *(*name)(int subject);
	/* Before each child, or NULL. */
	void (*prepare)(void);
	/* In a child: run without a failure, and tell calls and blocks. */
	void (*count)(int subject);
	/* In a child: run with the failure, and tell hits, and whether the work was done. */
	void (*attempt)(const struct point *p);
	/* What else to say of a child that failed, or NULL. */
	void (*explain)(bool at_length);
	/* Is the subject one for samples?  NULL: each is. */
	bool (*in_samples)(int subject);
	/* Is the point one at all?  NULL: each is. */
	bool (*is_point)(const struct point *p);
	long sample;			/* points, when no number is given */
};

/* With the arguments that head of run_faults.c describes; the exit status. */
int points_main(const struct points *what, int argc, char **argv);

/* End the child. */
_Noreturn void points_fail(const char *what);
int open_descriptors(void);
/* Is this what only asks to try again? */
bool is_transparent(const struct point *p);

#endif /* POINTS_H */
