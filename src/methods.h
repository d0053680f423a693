/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * methods.h - a class, resolved.
 *
 * Python looks a method up along the class chain at every call.  A channel's class
 * does not change, so the chain is walked once for each type table, and a virtual call
 * is one load and one jump.  What the loop wants to know about a class (does it
 * override a predicate? does it want urgent data?) is worked out there too.
 */

#ifndef METHODS_H
#define METHODS_H

#include "private_names.h"

#include <asyncore.h>

/* Out of the way of what every event does; and right in it. */
#define COLD __attribute__((cold, noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))

struct methods {
	/* Every slot filled in with what the class has or inherits. */
	struct asyncore_dispatcher_type slot;

	bool ask_each_pass;	/* has a predicate that may change at any time */
	bool ask_after;		/* has one that may change when its own handlers ran */
	bool plain_read_event;	/* does not override handle_read_event */
	bool plain_send;	/* nor the base class's send */
	bool plain_initiate_send;	/* nor, derived from it, dispatcher_with_send's initiate_send */
	bool with_send;		/* derived from dispatcher_with_send */
	bool wants_urgent;	/* overrides handle_expt or handle_expt_event */

	/* Itself, and the same with handlers that report (trace.h). */
	const struct methods *plain, *traced;
	struct methods *next;
};

/* The methods of a class, kept until the process ends; any thread.  NULL with *error
 * -EINVAL (the chain lacks `required`, or has no end) or -ENOMEM. */
const struct methods *methods_of(const struct asyncore_dispatcher_type *type,
				 const struct asyncore_dispatcher_type *required, int *error);

/* Is `type` that class, or derived from it?  False too for a chain without end. */
bool methods_derived(const struct asyncore_dispatcher_type *type,
		     const struct asyncore_dispatcher_type *ancestor);

#endif /* METHODS_H */
