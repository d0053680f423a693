/* SPDX-License-Identifier: BSD-3-Clause */

/* address.c - look addresses up, keep one with a channel, and show it. */

#include "address.h"
#include "channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- from words ------------------------------------------------------------------ */

/* The resolver has numbers of its own; these errnos say nearly the same. */
static int resolver_error(int error)
{
	switch (error) {
	case EAI_SYSTEM:
		return errno != 0 ? -errno : -EIO;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return -ENOENT;
	case EAI_AGAIN:
		return -EHOSTUNREACH;
	case EAI_FAMILY:
#ifdef EAI_ADDRFAMILY
	case EAI_ADDRFAMILY:
#endif
		return -EAFNOSUPPORT;
	case EAI_SOCKTYPE:
	case EAI_SERVICE:
		return -ESOCKTNOSUPPORT;
	case EAI_FAIL:
		return -EIO;
	default:
		return -EINVAL;
	}
}

int address_lookup(const char *host, int port, int family, int type,
		   struct sockaddr_storage *addr, socklen_t *addrlen, const char **text)
{
	struct addrinfo hints = { 0 }, *found;
	char service[8];
	int error;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;	/* has no hosts and ports */
	snprintf(service, sizeof service, "%d", port);
	hints.ai_family = family;
	hints.ai_socktype = type;
	hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE;
	error = getaddrinfo(*host != '\0' ? host : NULL, service, &hints, &found);
	if (error == EAI_SERVICE || error == EAI_SOCKTYPE) {
		/* Raw sockets have no services; the port is only a number to us. */
		hints.ai_socktype = 0;
		error = getaddrinfo(*host != '\0' ? host : NULL, service, &hints, &found);
	}
	if (error != 0) {
		*text = gai_strerror(error);
		return resolver_error(error);
	}
	memcpy(addr, found->ai_addr, found->ai_addrlen);
	*addrlen = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

bool address_is_number(const char *host, int family)
{
	struct addrinfo hints = { 0 }, *found;

	hints.ai_family = family;
	hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
	if (getaddrinfo(*host != '\0' ? host : NULL, "0", &hints, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

int address_of_path(const char *path, struct sockaddr_un *addr, socklen_t *addrlen)
{
	size_t len = strlen(path);

	if (len == 0)
		return -EINVAL;
	if (len >= sizeof addr->sun_path)
		return -ENAMETOOLONG;
	memset(addr, 0, sizeof *addr);
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, len);
	*addrlen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 0;
}

/* --- kept with a channel --------------------------------------------------------- */

const struct sockaddr *channel_addr(const struct asyncore_channel *c)
{
	if (c->addrlen == 0)
		return NULL;
	return c->addrlen <= sizeof c->addr.bytes ? (const void *)c->addr.bytes : c->addr.longer;
}

int channel_set_addr(struct asyncore_channel *c, const struct sockaddr *addr,
		     socklen_t addrlen)
{
	void *copy = NULL, *old;

	if (addrlen > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (addrlen > sizeof c->addr.bytes) {
		/* At least the family's whole struct, for who casts without a look. */
		copy = calloc(1, addrlen > sizeof(struct sockaddr_in6)
				 ? sizeof(struct sockaddr_storage) : sizeof(struct sockaddr_in6));
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, addr, addrlen);
	}
	old = c->addrlen > sizeof c->addr.bytes ? c->addr.longer : NULL;
	if (copy != NULL) {
		c->addr.longer = copy;
	} else {
		unsigned char bytes[sizeof c->addr.bytes] = { 0 };

		/* `addr` may be the old one itself. */
		if (addrlen > 0)
			memcpy(bytes, addr, addrlen);
		memcpy(c->addr.bytes, bytes, sizeof bytes);
	}
	c->addrlen = (uint8_t)addrlen;
	free(old);
	return 0;
}

const struct sockaddr *asyncore_addr(const struct asyncore_dispatcher *d, socklen_t *addrlen)
{
	const struct asyncore_channel *c = channel_of(d);

	if (addrlen != NULL)
		*addrlen = c != NULL ? c->addrlen : 0;
	return c != NULL ? channel_addr(c) : NULL;
}

int asyncore_set_addr(struct asyncore_dispatcher *d, const struct sockaddr *addr,
		      socklen_t addrlen)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL || (addr == NULL && addrlen > 0) ||
	    (addrlen > 0 && addrlen < sizeof addr->sa_family))
		return -EINVAL;
	return channel_set_addr(c, addr, addrlen);
}

/* --- to words -------------------------------------------------------------------- */

static int repr_inet(const struct sockaddr_in *in, char *buffer, size_t size)
{
	char host[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
	return snprintf(buffer, size, " %s:%d", host, ntohs(in->sin_port));
}

static int repr_inet6(const struct sockaddr_in6 *in6, char *buffer, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
	return snprintf(buffer, size, " ('%s', %d, %u, %u)", host, ntohs(in6->sin6_port),
			(unsigned)ntohl(in6->sin6_flowinfo), (unsigned)in6->sin6_scope_id);
}

static int repr_unix(const struct sockaddr_un *un, socklen_t addrlen, char *buffer, size_t size)
{
	size_t room = addrlen - offsetof(struct sockaddr_un, sun_path);
	char path[4 * sizeof un->sun_path + 3];

	if (addrlen < offsetof(struct sockaddr_un, sun_path) || room > sizeof un->sun_path)
		room = 0;
	/* An abstract name begins with a NUL and may hold more; a path ends at one. */
	if (room > 0 && un->sun_path[0] != '\0')
		room = strnlen(un->sun_path, room);
	repr_bytes(path, un->sun_path, room);
	return snprintf(buffer, size, " %s", path);
}

/* " 127.0.0.1:80", as Python shows addr in a repr; nothing if there is none. */
int channel_repr_addr(const struct asyncore_channel *c, char *buffer, size_t size)
{
	const struct sockaddr *addr = channel_addr(c);
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	} any;

	if (addr == NULL)
		return 0;
	memset(&any, 0, sizeof any);
	memcpy(&any, addr, c->addrlen);
	switch (any.in.sin_family) {
	case AF_INET:
		return repr_inet(&any.in, buffer, size);
	case AF_INET6:
		return repr_inet6(&any.in6, buffer, size);
	case AF_UNIX:
		return repr_unix(&any.un, c->addrlen, buffer, size);
	default:
		return snprintf(buffer, size, " (family %d)", any.in.sin_family);
	}
}
