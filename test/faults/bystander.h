/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bystander.h - a channel that no failure is meant for: it must be served before and afterwards.
 */

#ifndef BYSTANDER_H
#define BYSTANDER_H

#include <stdbool.h>

#include <asyncore.h>

struct bystander {
	struct asyncore_dispatcher dispatcher;
	int peer;
	bool broken;			/* an error or an end came to it */
};

/* It gives back what it reads. */
extern const struct asyncore_dispatcher_type bystander_type;

/* In the map, of this type or one based on it; true if it could be made. */
bool bystander_open(struct bystander *b, const struct asyncore_dispatcher_type *type,
		    struct asyncore_map *map);
/* Does it give a byte back, in some turns of the map? */
bool bystander_answers(struct bystander *b, void (*turn)(void *arg), void *arg);

#endif /* BYSTANDER_H */
