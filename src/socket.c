/* SPDX-License-Identifier: BSD-3-Clause */

/* socket.c - descriptors and socket methods of a dispatcher. */

#include "address.h"
#include "channel.h"
#include "error.h"
#include "map.h"
#include "urgent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

/* Counts are ints; more is simply left for the next call. */
static size_t clamp(size_t len)
{
	return len < INT_MAX ? len : INT_MAX;
}

/* --- having a descriptor -------------------------------------------------------- */

/*
 * Open on `fd` and enter the map.  When that fails the descriptor is the caller's as before,
 * or closed if the channel was to own it; unless an override of add_channel() closed the
 * channel, and the descriptor with it.
 */
static int adopt(struct asyncore_channel *c, int fd, struct asyncore_map *map, unsigned flags,
		 bool owned)
{
	const bool gone = channel_has(c, CHANNEL_GONE);
	uint16_t opens;
	int r;

	channel_open(c, fd, flags);
	opens = c->opens;
	r = asyncore_add_channel(c->dispatcher, map);
	if (r < 0 && c->fd == fd && c->opens == opens) {
		if (channel_has(c, CHANNEL_IN_MAP))
			map_remove(c);
		channel_unopen(c);
		channel_flag(c, CHANNEL_GONE, gone);
		if (owned)
			close(fd);
	}
	return r < 0 ? r : 0;
}

int asyncore_create_socket(struct asyncore_dispatcher *d, int family, int type)
{
	struct asyncore_channel *c = channel_of(d);
	int fd, r;

	if (c == NULL)
		return -EINVAL;
	if (c->fd >= 0)
		return -EALREADY;
	fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ASYNCORE_RAISE(d, -errno);
	r = adopt(c, fd, NULL, 0, true);
	if (r < 0)
		return ASYNCORE_RAISE(d, r);
	c->family = (uint8_t)family;
	c->type = (uint8_t)(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC));
	return 0;
}

/* Is it a socket?  0, -ENOTSOCK, -EBADF. */
static int check_socket(int fd)
{
	int type;
	socklen_t len = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ? -errno : 0;
}

int asyncore_set_socket(struct asyncore_dispatcher *d, int fd, struct asyncore_map *map)
{
	struct asyncore_channel *c = channel_of(d);
	int r;

	if (c == NULL)
		return -EINVAL;
	if (c->fd >= 0)
		return -EALREADY;
	r = check_socket(fd);
	if (r < 0)
		return ASYNCORE_RAISE(d, r);
	r = adopt(c, fd, map, 0, false);
	if (r < 0)
		return ASYNCORE_RAISE(d, r);
	c->family = 0;		/* the kernel is asked when somebody wants to know */
	return 0;
}

/* What the constructor does with a socket that it is given. */
static int take_socket(struct asyncore_channel *c, int fd, struct asyncore_map *map)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	bool connected = true;
	int on = 1, r;

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0) {
		if (errno != ENOTCONN && errno != EINVAL)
			return -errno;
		connected = false;
	}
	if (connected && (r = channel_set_addr(c, (struct sockaddr *)&peer, len)) < 0)
		return r;
	channel_flag(c, CHANNEL_CONNECTED, connected);
	r = adopt(c, fd, map, 0, false);
	if (r < 0)
		return r;
	/* Cannot fail on a socket; last, because it is the one thing that shows. */
	ioctl(fd, FIONBIO, &on);
	return 0;
}

int asyncore_dispatcher_init(struct asyncore_dispatcher *d,
			     const struct asyncore_dispatcher_type *type, int fd,
			     struct asyncore_map *map)
{
	return dispatcher_init(d, type, &asyncore_dispatcher_type, fd, map);
}

int dispatcher_init(struct asyncore_dispatcher *d, const struct asyncore_dispatcher_type *type,
		    const struct asyncore_dispatcher_type *required, int fd,
		    struct asyncore_map *map)
{
	const struct methods *methods;
	int r = -EINVAL;

	if (d == NULL)
		return -EINVAL;
	d->type = NULL;
	d->channel = NULL;
	methods = methods_of(type, required, &r);
	if (methods == NULL)
		return r;
	if (fd < -1)
		return -EBADF;
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	r = channel_new(d, methods, map);
	if (r < 0 || fd == -1)
		return r;
	r = take_socket(d->channel, fd, map);
	if (r < 0)
		channel_free(d->channel);
	return r;
}

int asyncore_set_file(struct asyncore_dispatcher *d, int fd)
{
	struct asyncore_channel *c = channel_of(d);
	int copy, refused, r;

	if (c == NULL)
		return -EINVAL;
	if (c->fd >= 0)
		return -EALREADY;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return ASYNCORE_RAISE(d, -errno);
	refused = urgent_refuses(copy);
	if (refused < 0) {
		close(copy);
		return ASYNCORE_RAISE(d, refused);
	}
	r = adopt(c, copy, NULL, CHANNEL_FILE | (refused ? CHANNEL_ALWAYS_READY : 0), true);
	return r < 0 ? ASYNCORE_RAISE(d, r) : 0;
}

/* --- servers -------------------------------------------------------------------- */

int asyncore_set_reuse_addr(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	int on = 1;

	if (c == NULL)
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return 0;
}

int asyncore_listen(struct asyncore_dispatcher *d, int backlog)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	c->flags |= CHANNEL_ACCEPTING;
	map_touch(c);
	if (listen(c->fd, backlog > 0 ? backlog : 0) < 0)
		return ASYNCORE_RAISE(d, -errno);
	return 0;
}

/* Errors of a connection that was gone before it was accepted, and of its network; the
 * listening socket is as good as before.  (accept(2) names EOPNOTSUPP too, but there it
 * also means a socket that cannot listen, and taking that for nothing would spin.) */
static bool is_gone(int error)
{
	switch (error) {
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/*
 * No descriptor for a connection that waits.  Python raises, and the default handle_error()
 * then closes the listening socket; going on would spin.  So rest a moment: nobody is lost,
 * the connection is accepted once descriptors are free.
 */
static int pause_accepting(struct asyncore_channel *c, int error)
{
	map_pause(c);
	if (!channel_has(c, CHANNEL_PAUSE_SAID)) {
		char text[64];
		int r;

		c->flags |= CHANNEL_PAUSE_SAID;
		r = asyncore_log_infof(c->dispatcher, "error", "accept: %s, pausing for a moment",
				       error_text(error, text, sizeof text));
		if (r < 0)
			return r;
	}
	return -EAGAIN;
}

int asyncore_accept(struct asyncore_dispatcher *d, struct sockaddr *addr, socklen_t *addrlen)
{
	struct asyncore_channel *c = channel_of(d);
	int fd;

	if (c == NULL || (addr == NULL) != (addrlen == NULL))
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	do {
		fd = accept4(c->fd, addr, addrlen, SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd >= 0) {
		c->flags &= ~CHANNEL_PAUSE_SAID;
		return fd;
	}
	c->flags |= CHANNEL_NOTHING_NOW;
	if (is_gone(errno))
		return -EAGAIN;
	if (is_shortage(errno) && !(c->methods->slot.flags & ASYNCORE_ACCEPT_RAISES))
		return pause_accepting(c, errno);
	return ASYNCORE_RAISE(d, -errno);
}

/* --- addresses ------------------------------------------------------------------ */

static int family_of(struct asyncore_channel *c)
{
	int family = 0, type;

	asyncore_family_and_type(c->dispatcher, &family, &type);
	return family;
}

/* Refuse what is no address of this socket's family. */
static int check_address(struct asyncore_channel *c, const struct sockaddr *addr,
			 socklen_t addrlen)
{
	if (c == NULL || addr == NULL || addrlen < sizeof addr->sa_family ||
	    addrlen > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	if (channel_has(c, CHANNEL_FILE))
		return -ENOTSOCK;
	return addr->sa_family == family_of(c) ? 0 : -EAFNOSUPPORT;
}

int asyncore_bind_sockaddr(struct asyncore_dispatcher *d, const struct sockaddr *addr,
			   socklen_t addrlen)
{
	struct asyncore_channel *c = channel_of(d);
	int r = check_address(c, addr, addrlen);

	if (r < 0 || (r = channel_set_addr(c, addr, addrlen)) < 0)
		return r;
	if (bind(c->fd, addr, addrlen) < 0)
		return ASYNCORE_RAISE(d, -errno);
	return 0;
}

static void start_connecting(struct asyncore_channel *c)
{
	c->flags = (c->flags | CHANNEL_CONNECTING) & ~CHANNEL_CONNECTED;
	c->connect_error = 0;
	map_touch(c);
}

int asyncore_connect_sockaddr(struct asyncore_dispatcher *d, const struct sockaddr *addr,
			      socklen_t addrlen)
{
	struct asyncore_channel *c = channel_of(d);
	int error, r = check_address(c, addr, addrlen);

	if (r < 0)
		return r;
	start_connecting(c);
	do {
		error = connect(c->fd, addr, addrlen) < 0 ? errno : 0;
	} while (error == EINTR);

	switch (error) {
	case EINPROGRESS:
	case EALREADY:
		return channel_set_addr(c, addr, addrlen);
	case 0:
	case EISCONN:
		r = channel_set_addr(c, addr, addrlen);
		return r < 0 ? r : asyncore_handle_connect_event(d);
	case EAGAIN:
		/* AF_UNIX: the backlog is full.  Nothing is under way, so unlike Python
		 * we do not wait for it.  Elsewhere the kernel is short of something; as
		 * -EAGAIN it would be no error. */
		error = addr->sa_family == AF_UNIX ? ECONNREFUSED : ENOBUFS;
		/* fall through */
	default:
		c->connect_error = (uint8_t)error;
		return ASYNCORE_RAISE(d, -error);
	}
}

/* Bind or connect to an address in words. */
static int at_host(struct asyncore_dispatcher *d, const char *host, int port,
		   int (*go)(struct asyncore_dispatcher *, const struct sockaddr *, socklen_t))
{
	struct asyncore_channel *c = channel_of(d);
	struct sockaddr_storage addr;
	socklen_t addrlen;
	const char *text = NULL;
	int family, type, r;

	if (c == NULL || host == NULL || port < 0 || port > 65535)
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	if (channel_has(c, CHANNEL_FILE))
		return -ENOTSOCK;
	r = asyncore_family_and_type(d, &family, &type);
	if (r < 0)
		return r;
	if (go == asyncore_connect_sockaddr && c->map->connect != NULL &&
	    !address_is_number(host, family))
		return c->map->connect(d, host, port, c->map->connect_arg);
	r = address_lookup(host, port, family, type, &addr, &addrlen, &text);
	if (r < 0 && text != NULL) {
		if (go == asyncore_connect_sockaddr)
			start_connecting(c);	/* as Python, before it looks the name up */
		return ASYNCORE_RAISEF(d, r, "%s: %s", host, text);
	}
	return r < 0 ? r : go(d, (struct sockaddr *)&addr, addrlen);
}

static int at_path(struct asyncore_dispatcher *d, const char *path,
		   int (*go)(struct asyncore_dispatcher *, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un addr;
	socklen_t addrlen;
	int r;

	if (channel_of(d) == NULL || path == NULL)
		return -EINVAL;
	r = address_of_path(path, &addr, &addrlen);
	return r < 0 ? r : go(d, (struct sockaddr *)&addr, addrlen);
}

int asyncore_bind(struct asyncore_dispatcher *d, const char *host, int port)
{
	return at_host(d, host, port, asyncore_bind_sockaddr);
}

int asyncore_connect(struct asyncore_dispatcher *d, const char *host, int port)
{
	return at_host(d, host, port, asyncore_connect_sockaddr);
}

int asyncore_bind_path(struct asyncore_dispatcher *d, const char *path)
{
	return at_path(d, path, asyncore_bind_sockaddr);
}

int asyncore_connect_path(struct asyncore_dispatcher *d, const char *path)
{
	return at_path(d, path, asyncore_connect_sockaddr);
}

/* --- data ----------------------------------------------------------------------- */

static int socket_send(int fd, const void *data, size_t len)
{
	ssize_t n;

	do {
		n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n >= 0 ? (int)n : -errno;
}

int channel_send(struct asyncore_channel *c, const void *data, size_t len)
{
	int n = channel_has(c, CHANNEL_FILE) ? file_write(c->fd, data, clamp(len))
					     : socket_send(c->fd, data, clamp(len));

	if (n > 0 && channel_has(c, CHANNEL_IDLE))
		timer_channel_active(c);
	return n;
}

int asyncore_dispatcher_send(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	struct asyncore_channel *c = channel_of(d);
	int n, r;

	if (c == NULL || (data == NULL && len > 0))
		return -EINVAL;
	if (c->fd < 0)
		return 0;
	n = channel_send(c, data, len);
	if (n >= 0)
		return n;
	if (n == -EAGAIN)
		return 0;
	if (!asyncore_disconnected(n))
		return ASYNCORE_RAISE(d, n);
	r = channel_handle_close(c);
	return r < 0 ? r : 0;
}

/* Is a recv() of nothing the end of the file?  Not where messages may be empty. */
static bool is_stream(const struct asyncore_channel *c)
{
	int type = SOCK_STREAM;
	socklen_t len = sizeof type;

	if (!channel_has(c, CHANNEL_FILE))
		getsockopt(c->fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type == SOCK_STREAM || type == SOCK_SEQPACKET;
}

/* All that recv() does beside handing data over; n: what a first call of recv(2) said. */
static COLD int recv_otherwise(struct asyncore_channel *c, void *buffer, size_t len, ssize_t n)
{
	int r;

	while (n < 0 && errno == EINTR)
		n = channel_has(c, CHANNEL_FILE) ? read(c->fd, buffer, clamp(len))
						 : recv(c->fd, buffer, clamp(len), MSG_DONTWAIT);
	if (n > 0)
		return (int)n;
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (n < 0 && !asyncore_disconnected(errno))
		return ASYNCORE_RAISE(c->dispatcher, -errno);
	if (n == 0 && !is_stream(c))
		return 0;
	r = n == 0 ? channel_end_of_file(c) : channel_handle_close(c);
	return r < 0 ? r : 0;
}

int asyncore_dispatcher_recv(struct asyncore_dispatcher *d, void *buffer, size_t len)
{
	struct asyncore_channel *c = channel_of(d);
	ssize_t n;

	if (c == NULL || (buffer == NULL && len > 0))
		return -EINVAL;
	if (channel_has(c, CHANNEL_NO_SOCKET | CHANNEL_EOF) || len - 1 >= INT_MAX) {
		if (c->fd < 0 || len == 0 || channel_has(c, CHANNEL_EOF))
			return 0;
		errno = EINTR;	/* there was no first call */
		return recv_otherwise(c, buffer, len, -1);
	}
	n = recv(c->fd, buffer, len, MSG_DONTWAIT);
	return n > 0 ? (int)n : recv_otherwise(c, buffer, len, n);
}

int asyncore_sendto(struct asyncore_dispatcher *d, const void *data, size_t len,
		    const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_channel *c = channel_of(d);
	ssize_t n;
	int r;

	if (c == NULL || (data == NULL && len > 0))
		return -EINVAL;
	r = check_address(c, addr, addrlen);
	if (r < 0)
		return r;
	do {
		n = sendto(c->fd, data, clamp(len), MSG_NOSIGNAL | MSG_DONTWAIT, addr, addrlen);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		if (channel_has(c, CHANNEL_IDLE))
			timer_channel_active(c);
		return (int)n;
	}
	return errno == EAGAIN ? 0 : ASYNCORE_RAISE(d, -errno);
}

int asyncore_recvfrom(struct asyncore_dispatcher *d, void *buffer, size_t len,
		      struct sockaddr *addr, socklen_t *addrlen)
{
	struct asyncore_channel *c = channel_of(d);
	ssize_t n;

	if (c == NULL || (buffer == NULL && len > 0) || (addr == NULL) != (addrlen == NULL))
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	do {
		n = recvfrom(c->fd, buffer, clamp(len), MSG_DONTWAIT, addr, addrlen);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (int)n;
	return errno == EAGAIN ? -EAGAIN : ASYNCORE_RAISE(d, -errno);
}
