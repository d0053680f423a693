/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle.h - one measurement for every library: what idle connections cost.
 *
 *	idle_LIBRARY IDLE ACTIVE PASSES [WORD...]
 *
 * IDLE sockets that never become ready and ACTIVE ones are registered.  In each pass a byte is
 * written to every active one, and the loop runs until all of them have been read.  Printed
 * are the ns per event (of the loop alone, without the writing), and the heap bytes that one
 * idle connection took.
 *
 * A library's program gives the four functions; idle.c has main().
 */

#ifndef IDLE_H
#define IDLE_H

void idle_init(int argc, char **argv);

/* Watch a socket for reading.  An active one has a byte when it is ready: receive it, and
 * count it in idle_served. */
void idle_add(int fd);
void idle_add_active(int fd);

/* Wait for events and handle those that came. */
void idle_pass(void);

extern long idle_served;

#endif /* IDLE_H */
