/* SPDX-License-Identifier: BSD-3-Clause */

/* address.h - addresses in words. */

#ifndef ADDRESS_H
#define ADDRESS_H

#include "private_names.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The first address of host and port for such a socket; may block.  A negative errno, and
 * then *text says what the resolver said, or is NULL. */
int address_lookup(const char *host, int port, int family, int type,
		   struct sockaddr_storage *addr, socklen_t *addrlen, const char **text);

/* Is it a number of that family (or "", for no host), so that nothing is looked up? */
bool address_is_number(const char *host, int family);

/* The AF_UNIX address of a path; -ENAMETOOLONG, or -EINVAL for an empty one. */
int address_of_path(const char *path, struct sockaddr_un *addr, socklen_t *addrlen);

#endif /* ADDRESS_H */
