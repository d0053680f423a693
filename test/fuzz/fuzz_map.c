/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fuzz_map.c - maps of channels, driven by a script: what main(), the peers and the handlers
 * do is read from the same bytes, in the order in which it is asked for.
 *
 * Nothing is known here of what should be called when; what must hold whatever is called:
 * no handler of a channel that is closed or disposed of, every object disposed of once,
 * every release run once, the map's size, walk and index agree with the channels, no
 * descriptor is left, and AddressSanitizer has nothing to say.
 */

#include "fuzz.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 6, MAPS = 2, TIMERS = 4, DEEPEST = 6, MOST_CALLS = 600 };

/* The own classes of the library, each on what fits it. */
enum kind { PLAIN, WITH_SEND, CHAT, FILE_END, LISTENER, HALF_CLOSE, TCP, KINDS };

struct object {
	union {
		struct asyncore_dispatcher dispatcher;
		struct asyncore_dispatcher_with_send with_send;
		struct async_chat chat;
		struct asyncore_file_dispatcher file;
	} is;
	enum kind kind;
	int slot, peer;
	unsigned refs, direct, disposes;
	bool open;	/* known here: asking for the descriptor sends what was gathered */
	int wants_read, wants_write;
};

static struct script script;
static struct asyncore_map *maps[MAPS];
static struct event_base *bases[MAPS];
static struct object *objects[SLOTS];
static struct asyncore_poster *poster;
static struct asyncore_trigger *trigger;
static int timers[TIMERS];
static unsigned depth, calls, created, disposed, deallocated, given, released;
static bool ending;

static int act(struct object *self);

static struct object *object_of(struct asyncore_dispatcher *d)
{
	struct object *o = (struct object *)d;

	must(o->slot >= 0 && o->slot < SLOTS && objects[o->slot] == o && o->disposes == 0);
	return o;
}

/* The script ends, or it has gone round long enough. */
static bool is_over(void)
{
	return ending || script_ends(&script) || calls > MOST_CALLS;
}

/* --- invariants --------------------------------------------------------------------- */

struct walk {
	struct asyncore_map *map;
	size_t visited;
};

static int visit(struct asyncore_dispatcher *d, void *arg)
{
	struct walk *walk = arg;
	const unsigned before = calls;
	int fd;

	object_of(d);
	must(asyncore_map(d) == walk->map);
	fd = asyncore_fileno(d);
	must(asyncore_map_get(walk->map, fd) == d || calls != before);
	walk->visited++;
	return 0;
}

/* Asking for a descriptor sends what was gathered, and then handlers may change the map: the
 * counts agree if none was called. */
static void check_map(struct asyncore_map *map)
{
	struct walk walk = { map, 0 };
	const unsigned before = calls;
	size_t size = 0;
	int i;

	if (map == NULL)
		return;
	for (i = 0; i < SLOTS; i++) {
		struct asyncore_dispatcher *d = objects[i] != NULL
						? &objects[i]->is.dispatcher : NULL;

		if (d != NULL && asyncore_fileno(d) >= 0 && asyncore_map(d) == map)
			size++;
	}
	must(asyncore_map_foreach(map, visit, &walk) == 0);
	if (calls != before)
		return;
	must(walk.visited == asyncore_map_size(map));
	must(size == walk.visited);
}

/* --- handlers ----------------------------------------------------------------------- */

static int called(struct asyncore_dispatcher *d, bool needs_descriptor)
{
	struct object *o = object_of(d);

	calls++;
	if (needs_descriptor && o->direct == 0)
		must(o->open);
	return act(o);
}

/* What the loop calls on a channel is never called on a closed one. */
#define EVENT(name) \
	static int on_##name(struct asyncore_dispatcher *d) \
	{ \
		struct object *o = object_of(d); \
		if (o->direct == 0) \
			must(o->open); \
		return asyncore_dispatcher_##name(d); \
	}

EVENT(handle_read_event)
EVENT(handle_write_event)
EVENT(handle_expt_event)

static int on_closing(struct asyncore_dispatcher *d)
{
	int r = asyncore_dispatcher_close(d);

	object_of(d)->open = false;
	return r;
}

static int on_readable(struct asyncore_dispatcher *d)
{
	struct object *o = object_of(d);

	if (o->wants_read == 2)
		return act(o) < 0 ? 0 : 1;
	return o->wants_read;
}

static int on_writable(struct asyncore_dispatcher *d)
{
	struct object *o = object_of(d);

	if (o->wants_write == 2)
		return act(o) < 0 ? 0 : 1;
	return o->wants_write || asyncore_connecting(d);
}

static int on_read(struct asyncore_dispatcher *d)
{
	char data[64];
	int r = called(d, true);

	if (r < 0)
		return r;
	return asyncore_recv(d, data, sizeof data);
}

static int on_chat_read(struct asyncore_dispatcher *d)
{
	int r = called(d, true);

	return r < 0 ? r : async_chat_handle_read(d);
}

static int on_write(struct asyncore_dispatcher *d)
{
	return called(d, true);
}

static int on_send_write(struct asyncore_dispatcher *d)
{
	int r = called(d, true);

	return r < 0 ? r : asyncore_initiate_send(d);
}

static int on_expt(struct asyncore_dispatcher *d)
{
	/* Handing the descriptor out sends what was gathered, and so may close the channel. */
	const int fd = asyncore_socket(d);
	char mark;

	if (fd >= 0)
		recv(fd, &mark, 1, MSG_OOB | MSG_DONTWAIT);
	return called(d, fd >= 0);
}

static int on_connect(struct asyncore_dispatcher *d)
{
	return called(d, true);
}

static int on_close(struct asyncore_dispatcher *d)
{
	int r = called(d, false);

	/* Rarely one that does not close. */
	if (script_next(&script) == 0xff)
		return r;
	return r < 0 ? r : asyncore_close(d);
}

static int on_eof(struct asyncore_dispatcher *d)
{
	int r = called(d, true);

	return r < 0 ? r : asyncore_dispatcher_handle_eof(d);
}

static int on_timeout(struct asyncore_dispatcher *d)
{
	return called(d, true);
}

static int on_error(struct asyncore_dispatcher *d)
{
	char text[64];

	must(asyncore_error(d) == NULL || asyncore_error(d)->code < 0);
	asyncore_compact_traceback(d, text, sizeof text);
	called(d, false);
	return asyncore_handle_close(d);
}

static int on_log_info(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	object_of(d);
	must(message != NULL && type != NULL);
	return 0;
}

static struct object *create(enum kind kind, int fd, struct asyncore_map *map);

static int on_accepted(struct asyncore_dispatcher *d, int fd, const struct sockaddr *addr,
		       socklen_t len)
{
	struct asyncore_map *map = asyncore_map(d);
	int r;

	(void)addr, (void)len;
	must(fd >= 0);
	r = called(d, false);
	if (create(PLAIN + script_next(&script) % 3, fd, map) == NULL)
		close(fd);
	return r;
}

static int on_collect(struct async_chat *chat, const void *data, size_t len)
{
	int r;

	must(len > 0 && object_of(&chat->dispatcher)->open);
	r = async_chat_collect_default(chat, data, len);
	return r < 0 ? r : called(&chat->dispatcher, false);
}

static int on_found(struct async_chat *chat)
{
	int r;

	must(async_chat_get_data(chat, NULL) != NULL);
	r = called(&chat->dispatcher, false);
	return r < 0 ? r : async_chat_push(chat, "ok\n", 3);
}

static void on_dispose(struct asyncore_dispatcher *d)
{
	struct object *o = object_of(d);

	must(asyncore_fileno(d) == -1);
	o->disposes++;
	disposed++;
}

static void on_dealloc(struct asyncore_dispatcher *d)
{
	struct object *o = (struct object *)d;

	must(o->disposes == 1 && objects[o->slot] == o && o->refs == 0);
	objects[o->slot] = NULL;
	deallocated++;
	if (o->peer >= 0)
		close(o->peer);
	free(o);
}

#define HANDLERS \
	.handle_read_event = on_handle_read_event, \
	.handle_write_event = on_handle_write_event, \
	.handle_expt_event = on_handle_expt_event, \
	.handle_connect = on_connect, \
	.close = on_closing, \
	.handle_close = on_close, \
	.handle_timeout = on_timeout, \
	.handle_error = on_error, \
	.handle_accepted = on_accepted, \
	.log_info = on_log_info, \
	.dispose = on_dispose, \
	.dealloc = on_dealloc

static const struct asyncore_dispatcher_type plain = {
	.base = &asyncore_dispatcher_type, .name = "plain", HANDLERS,
	.readable = on_readable, .writable = on_writable,
	.handle_read = on_read, .handle_write = on_write, .handle_expt = on_expt,
};

static const struct asyncore_dispatcher_type batch = {
	.base = &plain, .name = "batch", .flags = ASYNCORE_ACCEPT_BATCH,
};

static const struct asyncore_dispatcher_type half = {
	.base = &asyncore_dispatcher_with_send_type, .name = "half", HANDLERS,
	.flags = ASYNCORE_HALF_CLOSE,
	.handle_read = on_read, .handle_eof = on_eof, .handle_write = on_send_write,
};

static const struct asyncore_dispatcher_type with_send = {
	.base = &asyncore_dispatcher_with_send_type, .name = "with_send", HANDLERS,
	.handle_read = on_read, .handle_write = on_send_write,
};

static const struct asyncore_dispatcher_type file = {
	.base = &asyncore_file_dispatcher_type, .name = "file", HANDLERS,
	.readable = on_readable, .writable = on_writable,
	.handle_read = on_read, .handle_write = on_write, .handle_expt = on_expt,
};

static const struct async_chat_type chat = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher, .name = "chat", HANDLERS,
		.handle_read = on_chat_read, .handle_expt = on_expt,
		.ac_in_buffer_size = 16, .ac_out_buffer_size = 8,
	},
	.collect_incoming_data = on_collect,
	.found_terminator = on_found,
};

/* --- channels and peers ------------------------------------------------------------- */

/* A listening socket on loopback whose port the kernel chose, for the whole run. */
static int tcp_listener(struct sockaddr_in *addr)
{
	static struct sockaddr_in its = { .sin_family = AF_INET };
	static int fd = -1;
	socklen_t len = sizeof its;

	if (fd < 0) {
		its.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		must(fd >= 0 && bind(fd, (struct sockaddr *)&its, sizeof its) == 0);
		must(listen(fd, 16) == 0);
		must(getsockname(fd, (struct sockaddr *)&its, &len) == 0);
	}
	*addr = its;
	return fd;
}

static bool tcp_pair(int fd[2])
{
	struct linger reset = { 1, 0 };	/* leaves no TIME_WAIT behind */
	struct sockaddr_in addr;
	int listener = tcp_listener(&addr);

	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd[0] >= 0);
	if (connect(fd[0], (struct sockaddr *)&addr, sizeof addr) < 0) {
		close(fd[0]);
		return false;
	}
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	must(fd[1] >= 0);
	setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	return true;
}

/* Bind where the kernel likes: an abstract name of its own. */
static int listen_unix(struct object *o)
{
	struct asyncore_dispatcher *d = &o->is.dispatcher;
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int r = asyncore_create_socket(d, AF_UNIX, SOCK_STREAM);

	if (r < 0)
		return r;
	o->open = true;
	r = asyncore_bind_sockaddr(d, (struct sockaddr *)&any, sizeof any.sun_family);
	return r < 0 ? r : asyncore_listen(d, 3);
}

static int init(struct object *o, int fd, struct asyncore_map *map)
{
	struct asyncore_dispatcher *d = &o->is.dispatcher;
	int r;

	switch (o->kind) {
	case WITH_SEND:
		return asyncore_dispatcher_with_send_init(&o->is.with_send, &with_send, fd, map);
	case HALF_CLOSE:
		return asyncore_dispatcher_with_send_init(&o->is.with_send, &half, fd, map);
	case CHAT:
		r = async_chat_init(&o->is.chat, &chat, fd, map);
		if (r == 0)
			async_chat_set_terminator(&o->is.chat, "\n", 1);
		return r;
	case FILE_END:
		r = asyncore_file_dispatcher_init(&o->is.file, &file, fd, map);
		if (r == 0)
			close(fd);
		return r;
	case LISTENER:
		return asyncore_dispatcher_init(d, script_next(&script) & 1 ? &plain : &batch, -1,
						map);
	default:
		return asyncore_dispatcher_init(d, &plain, fd, map);
	}
}

/* A channel on `fd`, or with -1 on one end of something new; NULL if there is no room. */
static struct object *create(enum kind kind, int fd, struct asyncore_map *map)
{
	struct object *o;
	int slot = 0, pair[2] = { -1, -1 }, r;

	while (slot < SLOTS && objects[slot] != NULL)
		slot++;
	if (slot == SLOTS || created > 40 || ending || map == NULL)
		return NULL;
	if (fd >= 0) {
		pair[0] = fd;
	} else if (kind == FILE_END) {
		r = script_next(&script);
		if (r & 1)
			must(pipe2(pair, O_CLOEXEC | O_NONBLOCK) == 0);
		else
			pair[0] = memfd_create("fuzz", MFD_CLOEXEC);
		if (r == 3) {
			r = pair[0];
			pair[0] = pair[1];
			pair[1] = r;
		}
	} else if (kind == TCP) {
		if (!tcp_pair(pair))
			return NULL;
	} else if (kind != LISTENER) {
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	}
	o = calloc(1, sizeof *o);
	must(o != NULL);
	o->kind = kind;
	o->slot = slot;
	o->peer = pair[1];
	o->wants_read = 1;
	o->wants_write = kind == TCP;
	objects[slot] = o;
	created++;
	r = init(o, pair[0], map);
	must(r == 0);
	o->open = true;
	if (kind == LISTENER)
		listen_unix(o);
	return o;
}

static void peer_act(struct object *o)
{
	static const char text[] = "one\ntwo\n\nthree and more of it\nfour";
	unsigned what = script_next(&script);
	char data[256];

	if (o->peer < 0)
		return;
	switch (what & 7) {
	case 0: case 1: case 2:
		if (send(o->peer, text, 1 + (what >> 3), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno == ENOTSOCK && write(o->peer, text, 1 + (what >> 3)) < 0)
			return;
		break;
	case 3:
		close(o->peer);
		o->peer = -1;
		break;
	case 4:
		shutdown(o->peer, SHUT_WR);
		break;
	case 5:
		send(o->peer, "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	default:
		if (recv(o->peer, data, sizeof data, MSG_DONTWAIT) < 0)
			return;
		break;
	}
}

/* --- calls that come later ----------------------------------------------------------- */

static void release(void *arg)
{
	must(arg == &given);
	released++;
}

static int later(struct asyncore_map *map, void *arg)
{
	must(map != NULL && arg == &given);
	calls++;
	return act(NULL);
}

static int channel_later(struct asyncore_dispatcher *d, void *arg)
{
	must(arg == &given);
	return called(d, false);
}

static int pulled(struct asyncore_map *map, void *arg)
{
	must(map != NULL && arg == &given);
	calls++;
	return act(NULL);
}

static double seconds(void)
{
	static const double choice[] = { 0.0, 0.0, 0.0001, 0.0005, 1000.0, 0.0, 0.0002, 0.001 };

	return choice[script_next(&script) & 7];
}

static void timer_act(struct asyncore_map *map, struct object *o)
{
	unsigned what = script_next(&script);
	int *timer = &timers[what >> 6 & (TIMERS - 1)];
	int r;

	switch (what & 7) {
	case 0: case 1:
		given++;
		*timer = asyncore_call_later(map, seconds(), later, &given, release);
		break;
	case 2:
		given++;
		*timer = asyncore_call_every(map, 0.0001, later, &given, release);
		break;
	case 3:
		if (o == NULL)
			return;
		given++;
		asyncore_channel_call_later(&o->is.dispatcher, seconds(), channel_later, &given,
					    release);
		break;
	case 4:
		if (o == NULL)
			return;
		given++;
		asyncore_channel_call_every(&o->is.dispatcher, 0.0002, channel_later, &given,
					    release);
		break;
	case 5:
		r = asyncore_cancel(map, *timer);
		must(r == 0 || r == -ENOENT || r == -EINVAL);
		must(asyncore_cancel(map, *timer) < 0);
		break;
	case 6:
		r = asyncore_reset(map, *timer, seconds());
		must(r == 0 || r == -ENOENT || r == -EINVAL);
		break;
	default:
		if (o != NULL)
			asyncore_set_idle_timeout(&o->is.dispatcher, seconds());
		break;
	}
}

static void poster_act(struct asyncore_map *map)
{
	switch (script_next(&script) & 7) {
	case 0:
		if (poster == NULL)
			poster = asyncore_poster_new(map);
		break;
	case 1:
		asyncore_poster_unref(poster);
		poster = NULL;
		break;
	case 2: case 3: case 4:
		if (poster == NULL)
			return;
		given++;
		asyncore_call_soon(poster, later, &given, release);
		break;
	case 5:
		if (trigger == NULL) {
			given++;
			trigger = asyncore_trigger_new(map, pulled, &given, release);
		}
		break;
	case 6:
		asyncore_trigger_free(trigger);
		trigger = NULL;
		break;
	default:
		if (trigger != NULL)
			asyncore_trigger_pull(trigger);
		break;
	}
}

/* --- what main() and handlers do ------------------------------------------------------- */

static void run_pass(struct asyncore_map *map)
{
	unsigned what = script_next(&script);
	int r;

	switch (what & 7) {
	case 0: case 1: case 2:
		r = asyncore_poll(0.0, map);
		break;
	case 3: case 4:
		r = asyncore_poll2(0.0, map);
		break;
	case 5:
		r = asyncore_loop(0.0, what & 8, map, 2);
		break;
	default:
		if (depth == 1)	/* no handler runs */
			event_base_loop(asyncore_map_base(map), EVLOOP_ONCE | EVLOOP_NONBLOCK);
		return;
	}
	must(r <= 0);
}

static void reopen(struct object *o)
{
	struct asyncore_dispatcher *d = &o->is.dispatcher;
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;
	int i, listener;

	asyncore_close(d);
	if (o->kind == LISTENER) {
		listen_unix(o);
		return;
	}
	/* To one of the listeners, if there is one. */
	for (i = 0; i < SLOTS; i++)
		if (objects[i] != NULL && objects[i]->kind == LISTENER)
			break;
	if (i == SLOTS || asyncore_create_socket(d, AF_UNIX, SOCK_STREAM) < 0)
		return;
	o->open = true;
	listener = asyncore_socket(&objects[i]->is.dispatcher);
	if (listener < 0 || getsockname(listener, (struct sockaddr *)&addr, &len) < 0)
		return;
	asyncore_connect_sockaddr(d, (struct sockaddr *)&addr, len);
}

static void output(struct object *o)
{
	static const char text[] = "some bytes to send, more than fit in one send\n";
	struct asyncore_dispatcher *d = &o->is.dispatcher;
	unsigned what = script_next(&script);
	struct async_chat_producer *producer;

	if (o->kind != CHAT || (what & 7) == 0) {
		asyncore_send(d, text, 1 + what % 40);
		return;
	}
	switch (what & 7) {
	case 1: case 2:
		async_chat_push(&o->is.chat, text, what % 40);
		break;
	case 3:
		async_chat_push_reference(&o->is.chat, text, what % 40, NULL, NULL);
		break;
	case 4:
		producer = async_chat_simple_producer_new(text, 40, 7);
		must(producer != NULL);
		async_chat_push_with_producer(&o->is.chat, producer);
		break;
	case 5:
		async_chat_close_when_done(&o->is.chat);
		break;
	case 6:
		async_chat_discard_buffers(&o->is.chat);
		break;
	default:
		if (what & 0x80)
			must(async_chat_pause_input(&o->is.chat) == 0);
		else if (what & 0x40)
			must(async_chat_resume_input(&o->is.chat) <= 0);
		else
			async_chat_set_terminator_count(&o->is.chat, what % 20);
		break;
	}
}

static void direct(struct object *o)
{
	struct asyncore_dispatcher *d = &o->is.dispatcher;
	unsigned what = script_next(&script);
	int r = 0;

	/* Held: what is called may close it, and a pass in there may dispose of it. */
	must(asyncore_ref(d) == 0);
	o->refs++;
	o->direct++;
	switch (what & 15) {
	case 0: case 1:
		r = asyncore_read(d);
		break;
	case 2: case 3:
		r = asyncore_write(d);
		break;
	case 4:
		r = asyncore_exception(d);
		break;
	case 5:
		r = asyncore_readwrite(d, POLLIN | POLLOUT);
		break;
	case 6:
		r = asyncore_readwrite(d, POLLHUP | (what & 16 ? POLLPRI : POLLIN));
		break;
	case 7:
		asyncore_handle_read(d);
		break;
	case 8:
		asyncore_handle_write(d);
		break;
	case 9:
		asyncore_handle_close(d);
		break;
	case 10:
		asyncore_handle_error(d);
		break;
	case 11:
		asyncore_handle_connect_event(d);
		break;
	case 12:
		asyncore_shutdown_when_done(d);
		break;
	case 13:
		asyncore_set_connected(d, what & 16);
		break;
	case 14:
		asyncore_set_accepting(d, what & 16);
		break;
	default:
		asyncore_touch(d);
		break;
	}
	must(r <= 0);
	o->direct--;
	o->refs--;
	must(asyncore_unref(d) == 0);
}

static void channel_act(struct object *o, struct asyncore_map *map)
{
	struct asyncore_dispatcher *d = &o->is.dispatcher;
	char text[80];

	switch (script_next(&script) % 16) {
	case 0: case 1:
		asyncore_close(d);
		must(asyncore_socket(d) == -1 && asyncore_fileno(d) == -1);
		break;
	case 2:
		asyncore_del_channel(d, NULL);
		break;
	case 3:
		asyncore_add_channel(d, NULL);
		break;
	case 4:
		asyncore_del_channel(d, NULL);
		asyncore_add_channel(d, map);
		break;
	case 5: case 6:
		reopen(o);
		break;
	case 7:
		o->wants_read = (int)script_next(&script) % 3;
		break;
	case 8:
		o->wants_write = (int)script_next(&script) % 3;
		break;
	case 9:
		if (o->refs < 3 && asyncore_ref(d) == 0)
			o->refs++;
		break;
	case 10:
		if (o->refs > o->direct) {
			o->refs--;
			must(asyncore_unref(d) == 0);
		} else if (o->refs == 0) {
			must(asyncore_unref(d) == -EINVAL);
		}
		break;
	case 11:
		asyncore_repr(d, text, sizeof text);
		break;
	default:
		direct(o);
		break;
	}
}

static int raise_act(void)
{
	switch (script_next(&script) & 7) {
	case 0:
		return ASYNCORE_EXIT_NOW;
	case 1:
		return -ECONNRESET;
	case 2:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

static void map_act(struct asyncore_map *map)
{
	switch (script_next(&script) & 15) {
	case 0:
		asyncore_close_all(map, true);
		break;
	case 1:
		asyncore_close_all(map, false);
		break;
	case 2:
		/* In a handler it may be refused. */
		if (depth > 1)
			return;
		must(asyncore_map_free(map) == 0);
		map = map == maps[0] ? maps[0] = NULL : (maps[1] = NULL);
		break;
	case 3:
		asyncore_map_set_timeout(map, 0.001);
		break;
	case 4:
		must(asyncore_map_set_priority(map, 1) <= 0);
		break;
	case 5:
		must(asyncore_map_reinit(map) == 0);
		break;
	default:
		check_map(map);
		break;
	}
}

static int act(struct object *self)
{
	struct asyncore_map *map;
	struct object *o;
	unsigned what;
	int r = 0;

	if (is_over() || depth >= DEEPEST)
		return 0;
	what = script_next(&script);
	map = maps[what >> 7 & 1];
	if (map == NULL)
		map = maps[0] != NULL ? maps[0] : maps[1];
	if (map == NULL)
		return 0;
	o = self != NULL && what & 0x40 ? self : objects[script_next(&script) % SLOTS];
	depth++;
	switch (what & 15) {
	case 0: case 1:
		break;
	case 2: case 3:
		run_pass(map);
		break;
	case 4: case 5:
		create(script_next(&script) % KINDS, -1, map);
		break;
	case 6: case 7:
		if (o != NULL)
			peer_act(o);
		break;
	case 8:
		timer_act(map, o);
		break;
	case 9:
		poster_act(map);
		break;
	case 10: case 11:
		if (o != NULL)
			output(o);
		break;
	case 12:
		map_act(map);
		break;
	case 13:
		r = raise_act();
		break;
	default:
		if (o != NULL)
			channel_act(o, map);
		break;
	}
	depth--;
	return r;
}

/* --- a run ------------------------------------------------------------------------------ */

static struct event_base *base_on(const char *backend)
{
	static const char *const all[] = { "epoll", "poll", "select" };
	struct event_config *config = event_config_new();
	struct event_base *base;
	unsigned i;

	must(config != NULL);
	for (i = 0; i < 3; i++)
		if (strcmp(all[i], backend) != 0)
			event_config_avoid_method(config, all[i]);
	base = event_base_new_with_config(config);
	event_config_free(config);
	must(base != NULL && strcmp(event_base_get_method(base), backend) == 0);
	return base;
}

static void map_emptied(struct asyncore_map *map, void *arg)
{
	must(arg == &maps && asyncore_map_size(map) == 0);
	calls++;
}

static void make_maps(unsigned how)
{
	static const char *const backends[] = { NULL, "epoll", "poll", "select" };
	const char *backend;
	int i;

	for (i = 0; i < MAPS; i++, how >>= 2) {
		backend = backends[how & 3];
		bases[i] = backend != NULL ? base_on(backend) : NULL;
		maps[i] = asyncore_map_new(bases[i]);
		must(maps[i] != NULL);
		must(asyncore_map_attached(maps[i]) == (backend != NULL));
		must(asyncore_map_set_empty_cb(maps[i], map_emptied, &maps) == 0);
	}
}

static void let_go(void)
{
	int i;

	for (i = 0; i < SLOTS; i++) {
		struct object *o = objects[i];

		if (o == NULL)
			continue;
		asyncore_close(&o->is.dispatcher);
		while (objects[i] == o && o->refs > 0) {
			o->refs--;
			must(asyncore_unref(&o->is.dispatcher) == 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_in addr;
	uint64_t before;
	unsigned how;
	int i;

	if (size < 4 || size > 4096)
		return 0;
	signal(SIGPIPE, SIG_IGN);	/* of the peers, which are ours */
	tcp_listener(&addr);
	before = descriptors();
	script = (struct script){ data, 0, size };
	depth = calls = created = disposed = deallocated = given = released = 0;
	ending = false;
	memset(timers, 0, sizeof timers);
	how = script_next(&script);
	make_maps(how);
	create(how >> 4 & 3, -1, maps[0]);
	while (!is_over()) {
		must(depth == 0);
		act(NULL);
		for (i = 0; i < MAPS; i++)
			check_map(maps[i]);
	}
	ending = true;
	for (i = 0; i < MAPS; i++)
		if (maps[i] != NULL) {
			must(asyncore_poll(0.0, maps[i]) <= 0);
			check_map(maps[i]);
		}
	let_go();
	asyncore_trigger_free(trigger);
	asyncore_poster_unref(poster);
	trigger = NULL;
	poster = NULL;
	for (i = 0; i < MAPS; i++) {
		if (maps[i] != NULL)
			must(asyncore_map_free(maps[i]) == 0);
		maps[i] = NULL;
	}
	for (i = 0; i < MAPS; i++)
		if (bases[i] != NULL)
			event_base_free(bases[i]);
	must(created == disposed && disposed == deallocated);
	must(given == released);
	must(descriptors() == before);
	return 0;
}
