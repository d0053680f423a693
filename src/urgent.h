/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * urgent.h - urgent (out-of-band) data, which libevent 2.1 has no event for.
 *
 * An epoll descriptor of our own watches channels for EPOLLPRI and nothing
 * else; libevent watches that descriptor for reading, on any of its backends.  It is
 * edge triggered: errors and hang-ups cannot be masked, and would make it ready for
 * ever.  select()'s level semantics come back by renewing the watch before the next wait
 * for each channel that reported and is still wanted.
 */

#ifndef URGENT_H
#define URGENT_H

#include "private_names.h"
#include "channel.h"

/* The descriptor, or a negative errno. */
int urgent_open(void);
void urgent_close(int urgent_fd);

/* Watch a channel, or renew the watch.  0 or a negative errno. */
int urgent_watch(int urgent_fd, struct asyncore_channel *c, bool renew);
void urgent_forget(int urgent_fd, int fd);

/* Mark every channel that has urgent data. */
void urgent_collect(int urgent_fd);

/* Does epoll refuse this descriptor (a regular file, /dev/null ...)?  Asked here because
 * libevent would complain on standard error.  1, 0 or a negative errno. */
int urgent_refuses(int fd);

#endif /* URGENT_H */
