/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * asyncore.h - Python's asyncore for C, on libevent.
 *
 * A dispatcher is a thin wrapper around a descriptor.  It lives in a map of
 * channels, answers readable() and writable(), and is told about events through
 * handlers that a program overrides in a type table.  asyncore_loop() waits for
 * events (with libevent) and calls the handlers, until the map is empty.
 *
 *	struct echo { struct asyncore_dispatcher dispatcher; };
 *
 *	static int echo_read(struct asyncore_dispatcher *self)
 *	{
 *		char data[8192];
 *		int n = asyncore_recv(self, data, sizeof data);
 *		return n > 0 ? asyncore_send(self, data, n) : n;
 *	}
 *
 *	static const struct asyncore_dispatcher_type echo_type = {
 *		.base = &asyncore_dispatcher_with_send_type,
 *		.name = "echo",
 *		.handle_read = echo_read,
 *	};
 *
 * How to read this file.  What follows holds for every function unless its
 * comment says otherwise:
 *
 *   Result    A count or 0, or a negative errno.  Counts never exceed INT_MAX.
 *   Errors    -EINVAL for NULL, for an object that was never initialised
 *             successfully or was already disposed of, and for a value out of
 *             range; -EBADF where a descriptor is needed and there is none.  A call
 *             refused like this changes nothing.
 *   Owner     Pointers are borrowed: used during the call, not kept.
 *   Handlers  May call anything on any channel: close it, close others, create new
 *             ones, run the loop again.
 *   Threads   A map and its channels belong to one thread, the default map to the
 *             main thread.
 *   Python    Named in brackets at the end, as [asyncore.loop].
 */

#ifndef ASYNCORE_H
#define ASYNCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <asyncore_version.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define ASYNCORE_API __attribute__((visibility("default")))
#define ASYNCORE_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define ASYNCORE_API
#define ASYNCORE_PRINTF(text, first)
#endif

struct event_base;
struct asyncore_map;
struct asyncore_channel;

/*
 * The two results that are not an errno.
 *
 * ASYNCORE_EXIT_NOW, returned by any handler, leaves the loop, which returns it; the
 * map stays as it is and the loop can be entered again.  It is noted when a handler
 * returns it, so code in between that drops the value does not lose it.
 * [raise asyncore.ExitNow]
 */
#define ASYNCORE_EXIT_NOW (-0x10000)

/* The default timeout of asyncore_loop(), in seconds. */
#define ASYNCORE_TIMEOUT 30.0

/*
 * A dispatcher: embed it as the first member of your own struct.  The two words are
 * set by asyncore_dispatcher_init() and are not to be written by anyone else.
 * [class asyncore.dispatcher]
 */
struct asyncore_dispatcher {
	const struct asyncore_dispatcher_type *type;
	struct asyncore_channel *channel;	/* private; NULL once disposed of */
};

/* Flags of a type table.  A class has its own flags and all of its parents'. */

/*
 * The readable() and writable() that this table supplies change only when one of the
 * channel's own handlers ran, or when asyncore_touch() says so.  Without this flag (or
 * the next), predicates that a program overrides are asked on every pass, as Python
 * does.  It speaks for the predicates of this table alone, not for those of a child.
 */
#define ASYNCORE_PREDICATES_STABLE  0x0001u
/* The same, but they change only when asyncore_touch() says so. */
#define ASYNCORE_PREDICATES_TOUCHED 0x0002u
/* One read event on a listening channel calls handle_accept() until accept() has
 * nothing more, 64 times at most; off, it is called once per event. */
#define ASYNCORE_ACCEPT_BATCH       0x0004u
/* accept() that fails for want of descriptors or memory raises, as in Python,
 * instead of pausing the listening channel. */
#define ASYNCORE_ACCEPT_RAISES      0x0008u
/* A connect that fails later calls handle_expt() instead of raising, as asyncore did
 * before Python 2.6. */
#define ASYNCORE_CONNECT_EXPT       0x0010u
/* The end of the peer's data calls handle_eof() instead of handle_close(): output that
 * waits is not lost.  A channel that stays open with nothing to send is watched for nothing
 * then: give it an idle timeout. */
#define ASYNCORE_HALF_CLOSE         0x0020u

/*
 * A class: one slot for every method that the library calls on a channel.  A NULL (or
 * 0) slot inherits from `base`; the chain ends at asyncore_dispatcher_type.  Write
 * tables as static const with designated initialisers: a table and its parents must
 * stay in place, unchanged, as long as the process uses the library.
 *
 * Handlers return 0 or a positive value for success (so `return asyncore_recv(...)`
 * is right), or a negative value: they have raised.  Then handle_error() is called.
 * -EAGAIN out of a handler is no error.
 */
struct asyncore_dispatcher_type {
	const struct asyncore_dispatcher_type *base;
	const char *name;	/* of the class, for repr */
	unsigned flags;		/* ASYNCORE_PREDICATES_STABLE ... */
	unsigned reserved_flags;

	/* Predicates: > 0 yes, 0 no, negative leaves the loop, which returns it.
	 * Both are asked, readable() first. */
	int (*readable)(struct asyncore_dispatcher *self);
	int (*writable)(struct asyncore_dispatcher *self);

	int (*handle_read)(struct asyncore_dispatcher *self);
	int (*handle_write)(struct asyncore_dispatcher *self);
	int (*handle_expt)(struct asyncore_dispatcher *self);
	int (*handle_connect)(struct asyncore_dispatcher *self);
	int (*handle_close)(struct asyncore_dispatcher *self);
	/* The peer has sent all of its data (only with ASYNCORE_HALF_CLOSE), once. */
	int (*handle_eof)(struct asyncore_dispatcher *self);
	/* The idle timeout (asyncore_event.h) has passed. */
	int (*handle_timeout)(struct asyncore_dispatcher *self);
	/* A handler raised: asyncore_error() says what.  A negative result leaves the
	 * loop, which returns it. */
	int (*handle_error)(struct asyncore_dispatcher *self);
	int (*handle_accept)(struct asyncore_dispatcher *self);
	/* Takes `fd`, also when it fails; `addr` is borrowed.  An init of a channel that is
	 * to have it takes it only when it succeeds: close it otherwise.  Raising here means
	 * an error of the listening channel, which the default handle_error() closes. */
	int (*handle_accepted)(struct asyncore_dispatcher *self, int fd,
			       const struct sockaddr *addr, socklen_t addrlen);

	/* What the loop calls; they find out which of the handlers above is meant. */
	int (*handle_read_event)(struct asyncore_dispatcher *self);
	int (*handle_write_event)(struct asyncore_dispatcher *self);
	int (*handle_expt_event)(struct asyncore_dispatcher *self);
	int (*handle_connect_event)(struct asyncore_dispatcher *self);

	/* Methods that programs override for TLS, rate limits, counters ...; same
	 * contract as the public function of the same name. */
	int (*send)(struct asyncore_dispatcher *self, const void *data, size_t len);
	int (*recv)(struct asyncore_dispatcher *self, void *buffer, size_t len);
	int (*close)(struct asyncore_dispatcher *self);
	int (*add_channel)(struct asyncore_dispatcher *self, struct asyncore_map *map);
	int (*del_channel)(struct asyncore_dispatcher *self, struct asyncore_map *map);
	int (*log)(struct asyncore_dispatcher *self, const char *message);
	int (*log_info)(struct asyncore_dispatcher *self, const char *message,
			const char *type);
	int (*repr)(struct asyncore_dispatcher *self, char *buffer, size_t size);
	/* Only the classes with output of their own have it: dispatcher_with_send,
	 * async_chat. */
	int (*initiate_send)(struct asyncore_dispatcher *self);

	/*
	 * The end of an object.  dispose runs once for every class of the chain,
	 * derived first: give back what this class took.  Then the inherited dealloc
	 * runs once, for the memory of the object itself; when no class has one, the
	 * memory is not the library's business (a static object, or on the stack).
	 * The channel is already closed or out of its map for good; dispose may still
	 * read it, but cannot bring it back.
	 */
	void (*dispose)(struct asyncore_dispatcher *self);
	void (*dealloc)(struct asyncore_dispatcher *self);

	/* The types of log_info() that the default body leaves out, ending with NULL.
	 * NULL inherits; the base class leaves out "warning". */
	const char *const *ignore_log_types;

	/* async_chat: bytes asked of one recv(), given to one send(); 0 inherits. */
	size_t ac_in_buffer_size;
	size_t ac_out_buffer_size;

	void (*reserved[8])(void);	/* leave zero */
};

/* The base class, and the root of every chain. */
ASYNCORE_API extern const struct asyncore_dispatcher_type asyncore_dispatcher_type;

/* Is `type` the class `base`, or derived from it?  False for NULL.  Any thread.
 * [issubclass] */
ASYNCORE_API bool asyncore_issubclass(const struct asyncore_dispatcher_type *type,
				      const struct asyncore_dispatcher_type *base);

/*
 * A class may have methods of its own: its tables embed one of the library's first, and have
 * further slots behind it.  This looks such a slot up, as the library does its own: the table
 * nearest to `type`, on the way up to `root`, whose pointer at `offset` is not NULL.  root: the
 * class that has the slots first, which should fill them.  The macro does it for a channel:
 *
 *	const struct shape_type *type =
 *		ASYNCORE_TYPE_WITH(self, struct shape_type, draw, &shape_type.dispatcher);
 *
 *	return type->draw(self);
 *
 * NULL if there is none, or when root is not in the chain.  Any thread.  [getattr(type, name)]
 */
ASYNCORE_API const void *asyncore_type_with(const struct asyncore_dispatcher_type *type,
					    size_t offset,
					    const struct asyncore_dispatcher_type *root);
#define ASYNCORE_TYPE_WITH(d, table, slot, root) \
	((const table *)asyncore_type_with((d)->type, offsetof(table, slot), (root)))

/* ------------------------------------------------------------------------------- */
/* Maps                                                                            */
/* ------------------------------------------------------------------------------- */

/*
 * The default map, made at the first call; wherever a map may be NULL, it is meant.
 * NULL only when there is no memory or no descriptor for it.  Main thread.  Lives
 * until asyncore_map_free(), or the end of the process.  [asyncore.socket_map]
 */
ASYNCORE_API struct asyncore_map *asyncore_socket_map(void);

/*
 * A private map.  With base NULL it makes an event base of its own (never on select).
 * Otherwise it lives on the application's `base`: nothing of that base is changed, its
 * own events run during our passes as they always do, and it must outlive the map.
 * Either asyncore_loop() or the application's own event_base_dispatch() drives such a
 * map; in the latter the order is that of asyncore_poll(), what a handler raised goes to
 * its handle_error(), ASYNCORE_EXIT_NOW and what else leaves a loop is event_base_loopbreak()
 * (see asyncore_map_set_exit_cb() in asyncore_event.h, where the rest is that a libevent
 * program may want), and a pass out of a handler is -EBUSY.
 * NULL with errno (not to be taken for a map: NULL is the default map everywhere else):
 * ENOMEM, EMFILE, ...; ENOTSUP for a base with libevent's epoll
 * changelist, which loses events of duplicated descriptors.  [{}]
 */
ASYNCORE_API struct asyncore_map *asyncore_map_new(struct event_base *base);

/*
 * Close every channel that is in the map (as asyncore_close_all(map, true)), dispose
 * of what nobody refers to, and free the map.  NULL is the default map here too; it is
 * made anew at its next use.  A channel that somebody still holds stays valid but can
 * enter no map again; it is disposed of by the last asyncore_unref() or, if it never
 * was closed, by asyncore_close().
 * Errors: -EBUSY inside a pass of this map or one of its handlers.
 */
ASYNCORE_API int asyncore_map_free(struct asyncore_map *map);

/* The number of channels in the map.  [len(map)] */
ASYNCORE_API size_t asyncore_map_size(struct asyncore_map *map);

/* The channel in the map whose descriptor is `fd`, or NULL.  [map.get(fd)] */
ASYNCORE_API struct asyncore_dispatcher *asyncore_map_get(struct asyncore_map *map, int fd);

/*
 * Call `visit` for every channel that is in the map now and still is when its turn
 * comes, in map order.  `visit` may change the map in any way; channels added by it
 * are not visited.  A result of `visit` other than 0 ends the walk and is returned.
 * [for channel in list(map.values())]
 */
ASYNCORE_API int asyncore_map_foreach(struct asyncore_map *map,
				      int (*visit)(struct asyncore_dispatcher *channel, void *arg),
				      void *arg);

/* The event base under a map, to register other events of libevent on it.  It
 * belongs to the map, or to who gave it to asyncore_map_new(). */
ASYNCORE_API struct event_base *asyncore_map_base(struct asyncore_map *map);

/* ------------------------------------------------------------------------------- */
/* The loop                                                                        */
/* ------------------------------------------------------------------------------- */

/*
 * Run passes until the map is empty, counting channels added meanwhile, or until
 * `count` passes are done (negative: no limit).  A map with timers or posters
 * (asyncore_event.h) is not empty for this.
 * timeout: seconds that one pass waits at most for an event; 0 does not wait, negative
 * waits for ever.  (Without a `count`, and with no predicate that is asked on every pass, the
 * end of a pass would change nothing; then it waits on.)  use_poll: the order and the rules of
 * asyncore_poll2().
 * Returns 0; ASYNCORE_EXIT_NOW; or what a predicate or a handle_error() raised.
 * May be called from a handler (a nested loop).  event_base_loopbreak() does not end it.
 * Errors: -EINVAL for a timeout that is not a number, -EBUSY when called by a callback
 * of the application's own base while that runs (where libevent warns on standard
 * error).  [asyncore.loop]
 */
ASYNCORE_API int asyncore_loop(double timeout, bool use_poll, struct asyncore_map *map,
			       int count);

/*
 * One pass: ask the predicates, wait for events for at most `timeout` seconds (as in
 * asyncore_loop()), and call the handlers: all reads, then all writes, then all
 * exceptions, each in map order.  With an empty map it returns at once.
 * Results and errors as asyncore_loop().  [asyncore.poll]
 */
ASYNCORE_API int asyncore_poll(double timeout, struct asyncore_map *map);

/*
 * The same, but per channel read, write, exception, as asyncore_readwrite(): a raised
 * disconnect goes to handle_close(), an error skips the channel's other events of the
 * pass, and urgent data is watched for on readable channels only.
 * [asyncore.poll2, asyncore.poll3]
 */
ASYNCORE_API int asyncore_poll2(double timeout, struct asyncore_map *map);
ASYNCORE_API int asyncore_poll3(double timeout, struct asyncore_map *map);

/*
 * For programs with a poller of their own: call handle_read_event(),
 * handle_write_event() or handle_expt_event(), and handle_error() if it raised.
 * Return 0, ASYNCORE_EXIT_NOW or what handle_error() raised.
 * Errors: -EBADF on a channel that was closed; nothing is called then.
 * [asyncore.read, asyncore.write, asyncore._exception]
 */
ASYNCORE_API int asyncore_read(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_write(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_exception(struct asyncore_dispatcher *d);

/*
 * For programs with a poller of their own: `flags` are those of poll(2).  POLLIN,
 * POLLOUT and POLLPRI call the three handlers in this order; POLLHUP, POLLERR and
 * POLLNVAL call handle_close(), unless the channel was closed or had that call already.
 * A raised disconnect (see asyncore_disconnected()) calls handle_close(), any other
 * error handle_error(); either ends the call.
 * Results and errors as asyncore_read().  [asyncore.readwrite]
 */
ASYNCORE_API int asyncore_readwrite(struct asyncore_dispatcher *d, int flags);

/*
 * Call the close method of every channel in the map, in map order, and empty the map.
 * With ignore_all false the first error other than -EBADF ends it and is returned, and
 * the rest of the map stays; with true only ASYNCORE_EXIT_NOW does.  Outside a pass,
 * closed channels are disposed of before it returns.  [asyncore.close_all]
 */
ASYNCORE_API int asyncore_close_all(struct asyncore_map *map, bool ignore_all);

/* Is this errno (either sign) one that means "the peer is gone"?  ECONNRESET, ENOTCONN,
 * ESHUTDOWN, ECONNABORTED, EPIPE, EBADF and, beyond Python, ETIMEDOUT.  Any thread.
 * [err in asyncore._DISCONNECTED] */
ASYNCORE_API bool asyncore_disconnected(int err);

/* The version of the library that runs, as ASYNCORE_VERSION.  Any thread. */
ASYNCORE_API const char *asyncore_version(void);

/* ------------------------------------------------------------------------------- */
/* dispatcher: making one, its lifetime                                            */
/* ------------------------------------------------------------------------------- */

/*
 * Initialise `d` as an object of the class `type`, in `map`.
 * fd: -1 for none yet, or a socket, which the channel takes if this succeeds: it is made
 * non-blocking, added to the map, and `connected` and `addr` are set from its peer.  A
 * socket without a peer (unconnected, or listening) is taken with `connected` false.
 * After a success asyncore_close() is the right call at any stage, once or twice.  After
 * a failure the descriptor is the caller's as before and `d` may be initialised again
 * (unless a class overrides add_channel to close the channel and then fail).
 * The object must not be an initialised one.
 * Errors: -EINVAL for a type whose chain does not end at asyncore_dispatcher_type;
 * -EBADF, -ENOTSOCK for a bad descriptor; -EEXIST when the map holds that descriptor;
 * -ERANGE for a descriptor that select cannot watch, on a base that uses select;
 * -ENOMEM.  [asyncore.dispatcher(sock, map)]
 */
ASYNCORE_API int asyncore_dispatcher_init(struct asyncore_dispatcher *d,
					  const struct asyncore_dispatcher_type *type,
					  int fd, struct asyncore_map *map);

/*
 * Hold a channel, and let it go.  The map and running handlers hold a channel anyway; a
 * program needs this to keep one that is out of the map and may have been closed.
 * A channel that nobody holds and that is in no map is disposed of at the end of the
 * outermost pass of its map, when the loop is left, in asyncore_close_all() outside a
 * pass, or in asyncore_map_free(); but one that was never in a map is its maker's until it
 * is closed.
 * Errors: -EINVAL for an unref without a ref; -EOVERFLOW for more than 65535 of them.
 */
ASYNCORE_API int asyncore_ref(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_unref(struct asyncore_dispatcher *d);

/* free(3) for the slot dealloc, for objects that malloc(3) made. */
ASYNCORE_API void asyncore_dealloc_free(struct asyncore_dispatcher *d);

/* ------------------------------------------------------------------------------- */
/* dispatcher: the descriptor and the map                                          */
/* ------------------------------------------------------------------------------- */

/*
 * Make a non-blocking, close-on-exec socket and add the channel to its map.
 * Errors: -EALREADY when it has a descriptor; what socket(2) says; what
 * asyncore_add_channel() says.  [create_socket]
 */
ASYNCORE_API int asyncore_create_socket(struct asyncore_dispatcher *d, int family, int type);

/*
 * Give the channel a socket and add it to `map` (NULL: its own).  Takes `fd` if it
 * succeeds; neither makes it non-blocking nor sets `connected`.
 * Errors: -EALREADY when it has a descriptor; -EBADF, -ENOTSOCK; what
 * asyncore_add_channel() says.  [set_socket]
 */
ASYNCORE_API int asyncore_set_socket(struct asyncore_dispatcher *d, int fd,
				     struct asyncore_map *map);

/*
 * Give the channel a duplicate of any descriptor (pipe, tty, eventfd, regular file ...)
 * and add it to its map.  `fd` stays the caller's.  send() and recv() write and read
 * then.  A regular file, and what else epoll refuses, is always ready.
 * Errors: as asyncore_set_socket(), and what dup(2) says.  [file_dispatcher.set_file]
 */
ASYNCORE_API int asyncore_set_file(struct asyncore_dispatcher *d, int fd);

/*
 * Put the channel into `map` (NULL: its own; otherwise that one is its own from now on).
 * Adding it where it is already changes nothing.
 * Errors: -EBADF without a descriptor; -EALREADY while it is in another map; -EEXIST when
 * the map holds that descriptor; -ESHUTDOWN when the map was freed; -ERANGE (see
 * asyncore_dispatcher_init()); -ENOMEM.  [add_channel]
 */
ASYNCORE_API int asyncore_add_channel(struct asyncore_dispatcher *d, struct asyncore_map *map);

/*
 * Take the channel out of `map` (NULL: its own) without closing it: asyncore_fileno() is
 * -1 until it is added again, asyncore_socket() stays.  Not being in that map is no
 * error.  [del_channel]
 */
ASYNCORE_API int asyncore_del_channel(struct asyncore_dispatcher *d, struct asyncore_map *map);

/*
 * Close the channel: take it out of its map and close its descriptor, at once; nothing is
 * dispatched to it any more.  Queued output is kept for a reconnect, until the object is
 * disposed of, which happens later (see asyncore_ref()).  Closing twice is no error.
 * Errors: what close(2) says, but for EBADF, EINTR and ENOTCONN; the channel is closed then
 * too.
 * [close]
 */
ASYNCORE_API int asyncore_close(struct asyncore_dispatcher *d);

/* Predicates that a table declares stable may have changed: ask them before the next
 * wait.  Costs next to nothing; unneeded for other predicates. */
ASYNCORE_API int asyncore_touch(struct asyncore_dispatcher *d);

/* ------------------------------------------------------------------------------- */
/* dispatcher: socket methods                                                      */
/* ------------------------------------------------------------------------------- */

/* SO_REUSEADDR.  What setsockopt(2) says is ignored, as Python does.
 * [set_reuse_addr] */
ASYNCORE_API int asyncore_set_reuse_addr(struct asyncore_dispatcher *d);

/*
 * Listen, and be `accepting`.  backlog: a negative one counts as 0.
 * Errors: what listen(2) says; `accepting` is true then too, as in Python.  [listen]
 */
ASYNCORE_API int asyncore_listen(struct asyncore_dispatcher *d, int backlog);

/*
 * Bind to host and port; `addr` becomes this address.  host: a number or a name of the
 * socket's family (a name is looked up and may block), "" for every address.  port: 0 to
 * 65535, 0 for any.  _sockaddr: any address of the socket's family.  _path: AF_UNIX.
 * Errors: -EINVAL for a port out of range; -ENAMETOOLONG for a path that does not fit;
 * -EAFNOSUPPORT for an address of another family; -ENOENT for a name that does not
 * exist (asyncore_error() has the resolver's text); what bind(2) says.  [bind]
 */
ASYNCORE_API int asyncore_bind(struct asyncore_dispatcher *d, const char *host, int port);
ASYNCORE_API int asyncore_bind_sockaddr(struct asyncore_dispatcher *d,
					const struct sockaddr *addr, socklen_t addrlen);
ASYNCORE_API int asyncore_bind_path(struct asyncore_dispatcher *d, const char *path);

/*
 * Connect; arguments as for asyncore_bind().  A name is tried at its first address, and
 * looking it up may block.  0 when it is under way, and when it is done already: then
 * handle_connect_event() ran before this returns.
 * Errors: those of asyncore_bind(); what connect(2) says (a full AF_UNIX backlog is
 * -ECONNREFUSED); what handle_connect_event() raised.  `connecting` stays true after a
 * connect(2) that failed at once, as in Python.  [connect]
 */
ASYNCORE_API int asyncore_connect(struct asyncore_dispatcher *d, const char *host, int port);
ASYNCORE_API int asyncore_connect_sockaddr(struct asyncore_dispatcher *d,
					   const struct sockaddr *addr, socklen_t addrlen);
ASYNCORE_API int asyncore_connect_path(struct asyncore_dispatcher *d, const char *path);

/*
 * Accept one connection and return its descriptor, which is the caller's: close-on-exec
 * and, as in Python, blocking until asyncore_dispatcher_init() takes it.  addr, addrlen:
 * as in accept(2), NULL if unwanted.
 * Errors: -EAGAIN for nothing now: no connection, one that is gone already, or, for want
 * of descriptors or memory, the channel pauses accepting for a moment, says so once
 * through log_info() and goes on later.  What else accept(2) says.  [accept]
 */
ASYNCORE_API int asyncore_accept(struct asyncore_dispatcher *d, struct sockaddr *addr,
				 socklen_t *addrlen);

/*
 * Send up to `len` bytes now; returns how many went out, 0 when none can.  The data is
 * not kept (but see dispatcher_with_send).  When the peer is gone, handle_close() is
 * called and 0 returned.  On a closed channel 0, and nothing is called.
 * Errors: what send(2) or write(2) says; what handle_close() raised.  [send]
 */
ASYNCORE_API int asyncore_send(struct asyncore_dispatcher *d, const void *data, size_t len);

/*
 * Receive up to `len` bytes.  0 at the end of the file and when the peer is gone, after
 * handle_close() was called (once in one dispatch); 0 too for an empty datagram, for
 * len 0 and on a closed channel, where nothing is called.
 * Errors: -EAGAIN for nothing now; what recv(2) or read(2) says; what handle_close()
 * raised.  [recv]
 */
ASYNCORE_API int asyncore_recv(struct asyncore_dispatcher *d, void *buffer, size_t len);

/*
 * Shut the writing side of the socket down (the peer sees the end of the data) as soon as
 * the channel's own output, that of dispatcher_with_send or async_chat, has been sent; at
 * once if none waits.  What is queued before the queue is empty still goes out before it, what
 * comes later finds a closed connection.  The channel goes on receiving.
 * Errors: -ENOTSOCK for a file; if nothing waits -ENOTCONN without a connection, and what
 * shutdown(2) says.
 * [socket.shutdown]
 */
ASYNCORE_API int asyncore_shutdown_when_done(struct asyncore_dispatcher *d);

/*
 * sendto(2) and recvfrom(2) on the channel's socket; no handler is called.  sendto returns
 * 0 when nothing can go out now, recvfrom -EAGAIN when there is nothing.  On a closed
 * channel -EBADF.  addr, addrlen of recvfrom: NULL if unwanted.
 * Errors: -EAFNOSUPPORT for an address of another family; what the calls say.
 * [socket.sendto, socket.recvfrom]
 */
ASYNCORE_API int asyncore_sendto(struct asyncore_dispatcher *d, const void *data, size_t len,
				 const struct sockaddr *addr, socklen_t addrlen);
ASYNCORE_API int asyncore_recvfrom(struct asyncore_dispatcher *d, void *buffer, size_t len,
				   struct sockaddr *addr, socklen_t *addrlen);

/* ------------------------------------------------------------------------------- */
/* dispatcher: attributes.  The getters return false, NULL or -1 for NULL.          */
/* ------------------------------------------------------------------------------- */

/* [connected, accepting, connecting, closing, debug].  closing is for programs alone;
 * debug makes dispatcher_with_send log what it sends. */
ASYNCORE_API bool asyncore_connected(const struct asyncore_dispatcher *d);
ASYNCORE_API bool asyncore_accepting(const struct asyncore_dispatcher *d);
ASYNCORE_API bool asyncore_connecting(const struct asyncore_dispatcher *d);
ASYNCORE_API bool asyncore_closing(const struct asyncore_dispatcher *d);
ASYNCORE_API bool asyncore_debug(const struct asyncore_dispatcher *d);

/* Has the peer sent all of its data?  Only with ASYNCORE_HALF_CLOSE; recv() returns 0 then
 * and calls nothing any more, and the channel is not watched for reading, until it has
 * another descriptor. */
ASYNCORE_API bool asyncore_at_eof(const struct asyncore_dispatcher *d);

/* Set by hand what the library sets otherwise: accepting for a descriptor that listens
 * already, connected for one that needs no connect. */
ASYNCORE_API int asyncore_set_connected(struct asyncore_dispatcher *d, bool value);
ASYNCORE_API int asyncore_set_accepting(struct asyncore_dispatcher *d, bool value);
ASYNCORE_API int asyncore_set_connecting(struct asyncore_dispatcher *d, bool value);
ASYNCORE_API int asyncore_set_closing(struct asyncore_dispatcher *d, bool value);
ASYNCORE_API int asyncore_set_debug(struct asyncore_dispatcher *d, bool value);

/* The descriptor under which the channel is in its map, -1 if it is in none.
 * [_fileno] */
ASYNCORE_API int asyncore_fileno(const struct asyncore_dispatcher *d);

/* The channel's descriptor, in a map or not; -1 if it has none.  It stays the channel's:
 * close it with asyncore_close() only.  [socket] */
ASYNCORE_API int asyncore_socket(const struct asyncore_dispatcher *d);

/* The channel's map; NULL after that was freed.  [_map] */
ASYNCORE_API struct asyncore_map *asyncore_map(const struct asyncore_dispatcher *d);

/* The address last bound or connected to, or of the peer of a given socket; NULL if there
 * is none.  Valid until it changes.  addrlen may be NULL.  Setting copies; addrlen 0 sets
 * none.  Errors of setting: -EINVAL for a length that no address has; -ENOMEM.  [addr] */
ASYNCORE_API const struct sockaddr *asyncore_addr(const struct asyncore_dispatcher *d,
						  socklen_t *addrlen);
ASYNCORE_API int asyncore_set_addr(struct asyncore_dispatcher *d, const struct sockaddr *addr,
				   socklen_t addrlen);

/* Family and type of the channel's socket; after close of the last one, if the channel had
 * made it, or somebody had asked.  family, type: NULL if unwanted.
 * Errors: -EBADF when they are not known.  [family_and_type] */
ASYNCORE_API int asyncore_family_and_type(const struct asyncore_dispatcher *d, int *family,
					  int *type);

/* ------------------------------------------------------------------------------- */
/* dispatcher: the methods of the type table, called on self                        */
/* ------------------------------------------------------------------------------- */

/*
 * Each calls the body that the channel's class has or inherits, and returns its result.
 * They may be called at any time, as any method.  [self.handle_read() ...]
 */
ASYNCORE_API int asyncore_readable(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_writable(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_read(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_write(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_expt(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_connect(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_close(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_eof(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_timeout(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_error(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_accept(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_accepted(struct asyncore_dispatcher *d, int fd,
					  const struct sockaddr *addr, socklen_t addrlen);
ASYNCORE_API int asyncore_handle_read_event(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_write_event(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_expt_event(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_handle_connect_event(struct asyncore_dispatcher *d);

/* -ENOTSUP for a class without output of its own. */
ASYNCORE_API int asyncore_initiate_send(struct asyncore_dispatcher *d);

/*
 * Log a hit: "log: MESSAGE" on standard error, unless overridden.  [log]
 * Log information: "TYPE: MESSAGE" on standard output, unless overridden or of an
 * ignored type.  type NULL is "info"; the library uses "warning" and "error".  [log_info]
 * The forms ending in f format like printf(3); -ENOMEM.
 */
ASYNCORE_API int asyncore_log(struct asyncore_dispatcher *d, const char *message);
ASYNCORE_API int asyncore_log_info(struct asyncore_dispatcher *d, const char *message,
				   const char *type);
ASYNCORE_API int asyncore_logf(struct asyncore_dispatcher *d, const char *format, ...)
	ASYNCORE_PRINTF(2, 3);
ASYNCORE_API int asyncore_log_infof(struct asyncore_dispatcher *d, const char *type,
				    const char *format, ...) ASYNCORE_PRINTF(3, 4);

/*
 * Describe the channel, as "<echo connected 127.0.0.1:4711 at 0x...>".  Writes at most
 * `size` bytes, always with a NUL if size is not 0; returns the length it needs, as
 * snprintf(3).  [repr(self)]
 */
ASYNCORE_API int asyncore_repr(struct asyncore_dispatcher *d, char *buffer, size_t size);

/* ------------------------------------------------------------------------------- */
/* dispatcher: the base bodies, for calling up                                      */
/* ------------------------------------------------------------------------------- */

/*
 * The base class's own body of each method, whatever the channel's class overrides:
 * what an override calls to do the rest of the work.  They call their siblings through
 * the table.  [asyncore.dispatcher.handle_close(self) ...]
 */
ASYNCORE_API int asyncore_dispatcher_readable(struct asyncore_dispatcher *d);	/* 1 */
ASYNCORE_API int asyncore_dispatcher_writable(struct asyncore_dispatcher *d);	/* 1 */
/* These four log "unhandled ... event" as a warning. */
ASYNCORE_API int asyncore_dispatcher_handle_read(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_dispatcher_handle_write(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_dispatcher_handle_expt(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_dispatcher_handle_connect(struct asyncore_dispatcher *d);
/* Logs a warning and closes the channel. */
ASYNCORE_API int asyncore_dispatcher_handle_close(struct asyncore_dispatcher *d);
/* Calls handle_close() when the channel's own output (of dispatcher_with_send, async_chat) has
 * been sent; at once if none waits. */
ASYNCORE_API int asyncore_dispatcher_handle_eof(struct asyncore_dispatcher *d);
/* Calls handle_close(). */
ASYNCORE_API int asyncore_dispatcher_handle_timeout(struct asyncore_dispatcher *d);
/* Logs one line of type "error" and calls handle_close(), unless this dispatch called
 * that already. */
ASYNCORE_API int asyncore_dispatcher_handle_error(struct asyncore_dispatcher *d);
/* Accepts one connection and calls handle_accepted(). */
ASYNCORE_API int asyncore_dispatcher_handle_accept(struct asyncore_dispatcher *d);
/* Closes `fd` and logs a warning. */
ASYNCORE_API int asyncore_dispatcher_handle_accepted(struct asyncore_dispatcher *d, int fd,
						     const struct sockaddr *addr,
						     socklen_t addrlen);
/* accepting: handle_accept().  connecting: handle_connect_event(), then, as otherwise,
 * handle_read(). */
ASYNCORE_API int asyncore_dispatcher_handle_read_event(struct asyncore_dispatcher *d);
/* accepting: nothing.  connecting: handle_connect_event(), then, as otherwise,
 * handle_write(). */
ASYNCORE_API int asyncore_dispatcher_handle_write_event(struct asyncore_dispatcher *d);
/* An error waits on the socket: handle_close(); otherwise handle_expt(). */
ASYNCORE_API int asyncore_dispatcher_handle_expt_event(struct asyncore_dispatcher *d);
/* Raises why the connect failed; otherwise handle_connect(), and after it `connected` is
 * true. */
ASYNCORE_API int asyncore_dispatcher_handle_connect_event(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_dispatcher_send(struct asyncore_dispatcher *d, const void *data,
					  size_t len);
ASYNCORE_API int asyncore_dispatcher_recv(struct asyncore_dispatcher *d, void *buffer,
					  size_t len);
ASYNCORE_API int asyncore_dispatcher_close(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_dispatcher_add_channel(struct asyncore_dispatcher *d,
						 struct asyncore_map *map);
ASYNCORE_API int asyncore_dispatcher_del_channel(struct asyncore_dispatcher *d,
						 struct asyncore_map *map);
ASYNCORE_API int asyncore_dispatcher_log(struct asyncore_dispatcher *d, const char *message);
ASYNCORE_API int asyncore_dispatcher_log_info(struct asyncore_dispatcher *d,
					      const char *message, const char *type);
ASYNCORE_API int asyncore_dispatcher_repr(struct asyncore_dispatcher *d, char *buffer,
					  size_t size);

/* ------------------------------------------------------------------------------- */
/* Errors                                                                          */
/* ------------------------------------------------------------------------------- */

/* Where an error came by: one line of a traceback. */
struct asyncore_mark {
	const char *file;
	const char *function;
	int line;
};

/* An error that was raised. */
struct asyncore_error {
	int code;		/* what was returned: a negative errno */
	const char *text;	/* in words */
	const char *handler;	/* what the loop had called, as "handle_read_event" */
	size_t count;		/* of marks, the innermost first */
	const struct asyncore_mark *marks;
};

/*
 * Raise: record file, function and line, and have the value of `code`, to be returned.
 * Give it again on the way up and it adds a mark, as a traceback does:
 *
 *	if (length > limit)
 *		return ASYNCORE_RAISEF(self, -EMSGSIZE, "%zu bytes in one line", length);
 *	n = parse(self);
 *	if (n < 0)
 *		return ASYNCORE_RAISE(self, n);
 *
 * A code that is not negative is returned as it is and nothing is recorded.  RAISEF gives
 * a text of its own (cut after 159 bytes); otherwise it is that of the errno.  Raising
 * without these macros is right too: then the report has no marks.  Marks beyond the
 * eighth are dropped.
 */
#define ASYNCORE_RAISE(d, code) \
	asyncore_raise((d), (code), __FILE__, __func__, __LINE__)
#define ASYNCORE_RAISEF(d, code, ...) \
	asyncore_raisef((d), (code), __FILE__, __func__, __LINE__, __VA_ARGS__)

/* What the macros call.  file and function are kept: string literals. */
ASYNCORE_API int asyncore_raise(struct asyncore_dispatcher *d, int code, const char *file,
				const char *function, int line);
ASYNCORE_API int asyncore_raisef(struct asyncore_dispatcher *d, int code, const char *file,
				 const char *function, int line, const char *format, ...)
	ASYNCORE_PRINTF(6, 7);

/*
 * The error that is being handled in the channel's map; outside a handle_error(), the
 * one raised last, if it was not handled yet; otherwise NULL.  Valid until the handler
 * returns, or until the next is raised.  [sys.exc_info()]
 */
ASYNCORE_API const struct asyncore_error *asyncore_error(const struct asyncore_dispatcher *d);

/*
 * That error as the one line that the default handle_error() logs: "ECONNREFUSED:Connection
 * refused [file|function|line]".  Writes and returns as asyncore_repr(); -ENOENT when there
 * is no error.  [asyncore.compact_traceback]
 */
ASYNCORE_API int asyncore_compact_traceback(const struct asyncore_dispatcher *d, char *buffer,
					    size_t size);

/* ------------------------------------------------------------------------------- */
/* dispatcher_with_send                                                            */
/* ------------------------------------------------------------------------------- */

/*
 * A dispatcher with simple buffered output: send() sends what it can, at once, and keeps
 * the rest for write events.  [class asyncore.dispatcher_with_send]
 */
struct asyncore_dispatcher_with_send {
	struct asyncore_dispatcher dispatcher;
	struct asyncore_buffer *out_buffer;	/* private; NULL while it is empty */
};

ASYNCORE_API extern const struct asyncore_dispatcher_type asyncore_dispatcher_with_send_type;

/* As asyncore_dispatcher_init(); the chain of `type` must hold
 * asyncore_dispatcher_with_send_type.  [dispatcher_with_send(sock, map)] */
ASYNCORE_API int
asyncore_dispatcher_with_send_init(struct asyncore_dispatcher_with_send *d,
				   const struct asyncore_dispatcher_type *type, int fd,
				   struct asyncore_map *map);

/*
 * asyncore_send() on such a channel: copies all of the data and returns its length; 0 on
 * a closed channel.
 * Errors: -ENOMEM, nothing was taken (a count less than len: memory ran out after so much
 * was sent); what send(2) says, the data is kept then.  [dispatcher_with_send.send]
 */
ASYNCORE_API int asyncore_dispatcher_with_send_send(struct asyncore_dispatcher *d,
						    const void *data, size_t len);
/* Send one piece of at most 65536 bytes, if any waits. */
ASYNCORE_API int asyncore_dispatcher_with_send_initiate_send(struct asyncore_dispatcher *d);
ASYNCORE_API int asyncore_dispatcher_with_send_handle_write(struct asyncore_dispatcher *d);
/* Not connected yet, or output waits. */
ASYNCORE_API int asyncore_dispatcher_with_send_writable(struct asyncore_dispatcher *d);

/* The number of bytes that wait to be sent; 0 for NULL.  [len(self.out_buffer)] */
ASYNCORE_API size_t
asyncore_dispatcher_with_send_pending(const struct asyncore_dispatcher_with_send *d);

/* ------------------------------------------------------------------------------- */
/* file_dispatcher                                                                 */
/* ------------------------------------------------------------------------------- */

/*
 * A dispatcher for descriptors that are not sockets: pipes, ttys, eventfds, regular files.
 * send() and recv() write and read.  [class asyncore.file_dispatcher]
 */
struct asyncore_file_dispatcher {
	struct asyncore_dispatcher dispatcher;
};

ASYNCORE_API extern const struct asyncore_dispatcher_type asyncore_file_dispatcher_type;

/*
 * Initialise on a duplicate of `fd`, connected; the caller keeps `fd` and closes it when it
 * likes.  The open file, which both share, is made non-blocking.  The chain of `type` must
 * hold asyncore_file_dispatcher_type.
 * Errors: as asyncore_dispatcher_init(), and what dup(2) says.
 * [asyncore.file_dispatcher(fd, map)]
 */
ASYNCORE_API int asyncore_file_dispatcher_init(struct asyncore_file_dispatcher *d,
					       const struct asyncore_dispatcher_type *type,
					       int fd, struct asyncore_map *map);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCORE_H */
