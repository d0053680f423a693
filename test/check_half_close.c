/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_half_close.c - one direction of a connection ends before the other: the peer's data
 * (ASYNCORE_HALF_CLOSE), or ours (asyncore_shutdown_when_done()).
 *
 * Most tests run for every kind of channel and every way of driving a map: kind _i / WAYS,
 * way _i % WAYS.
 */

#include "support.h"

#include <asynchat.h>

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>

/* --- ways of driving a map -------------------------------------------------------------- */

/* asyncore_poll() and asyncore_poll2() on a base of its own; on each backend, asyncore_poll()
 * on the application's base, and the application's own loop. */
enum { OWN, OWN_POLL2, ATTACHED, DISPATCHED = ATTACHED + BACKENDS, WAYS = DISPATCHED + BACKENDS };

static struct asyncore_map *map;
static int way;

/* One pass that waits at most so long. */
static void turn_within(double seconds)
{
	const int flags = EVLOOP_ONCE | (seconds > 0 ? 0 : EVLOOP_NONBLOCK);

	if (way < DISPATCHED)
		ck_assert_int_eq(asyncore_loop(seconds, way == OWN_POLL2, map, 1), 0);
	else
		ck_assert_int_ge(event_base_loop(asyncore_map_base(map), flags), 0);
}

static void turns(int n)
{
	while (n-- > 0)
		turn_within(0.0);
}

#define turn_until(condition) \
	do { \
		int turns_ = 0; \
		while (!(condition) && turns_++ < 100000) \
			turns(1); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

static void note(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

/* Nothing of the map keeps its loop from sleeping. */
static void expect_sleep(void)
{
	const struct timeval a_moment = { 0, 20 * 1000 };
	bool over = false;
	int i = 0;

	turns(1);
	ck_assert_int_eq(event_base_once(asyncore_map_base(map), -1, EV_TIMEOUT, note, &over,
					 &a_moment), 0);
	while (!over) {
		turn_within(30.0);
		i++;
	}
	ck_assert_int_le(i, 4);
}

/* --- streams of bytes that show what was lost ------------------------------------------- */

/* A prime, so that a lost block shows. */
enum { PERIOD = 251, PIECE = 65536, MILLION = 1000000 };

static char pattern[PIECE + PERIOD];

struct stream {
	size_t n;
	bool garbled;
};

/* PIECE bytes of the stream, from there on. */
static const char *bytes_from(size_t n)
{
	return pattern + n % PERIOD;
}

static void arrived(struct stream *stream, const void *data, size_t len)
{
	if (memcmp(data, bytes_from(stream->n), len) != 0)
		stream->garbled = true;
	stream->n += len;
}

/* --- channels that count ---------------------------------------------------------------- */

enum { PLAIN, WITH_SEND, CHAT, CHAT_AT_ONCE, KINDS };
enum { WHOLE, HALF };			/* without ASYNCORE_HALF_CLOSE, with it */

struct speaker {
	union {
		struct asyncore_dispatcher dispatcher;
		struct asyncore_dispatcher_with_send with_send;
		struct async_chat chat;
	};
	int kind, reads, asked, eofs, closes, disposes;
	int wants_write;		/* of a plain one */
	struct stream got;
	size_t said, got_at_eof;
	int (*on_eof)(void);		/* default: the base body */
	int (*on_close)(void);		/* default: asyncore_close() */
	int (*on_line)(void);
};

static struct speaker speakers[2], *const s = &speakers[0];
static struct asyncore_dispatcher *const d = &speakers[0].dispatcher;
static struct async_chat *const chat = &speakers[0].chat;
static int made;

static struct speaker *speaker(struct asyncore_dispatcher *self)
{
	return (struct speaker *)self;
}

/* Have the channel send so many bytes, as fast as it can. */
static int say_on(struct speaker *on, size_t len)
{
	size_t n;

	for (; len > 0; len -= n) {
		const char *data = bytes_from(on->said);

		n = len < PIECE ? len : PIECE;
		if (on->kind == WITH_SEND)
			ck_assert_int_eq(asyncore_send(&on->dispatcher, data, n), (int)n);
		else if (on->kind > WITH_SEND)
			ck_assert_int_eq(async_chat_push(&on->chat, data, n), 0);
		else
			break;		/* a plain one has no output of its own */
		on->said += n;
	}
	return 0;
}

static int say(size_t len)
{
	return say_on(s, len);
}

static int speaker_readable(struct asyncore_dispatcher *self)
{
	speaker(self)->asked++;
	return 1;
}

static int speaker_writable(struct asyncore_dispatcher *self)
{
	return speaker(self)->wants_write;
}

static int speaker_read(struct asyncore_dispatcher *self)
{
	static char buffer[PIECE];
	int n;

	speaker(self)->reads++;
	if (speaker(self)->kind >= CHAT)
		return async_chat_handle_read(self);
	n = asyncore_recv(self, buffer, sizeof buffer);
	if (n > 0)
		arrived(&speaker(self)->got, buffer, (size_t)n);
	return n;
}

static int speaker_collect(struct async_chat *self, const void *data, size_t len)
{
	arrived(&speaker(&self->dispatcher)->got, data, len);
	return 0;
}

static int speaker_found(struct async_chat *self)
{
	trace_call("line ");
	return speaker(&self->dispatcher)->on_line();
}

static int speaker_write(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static int speaker_connect(struct asyncore_dispatcher *self)
{
	trace_call("connect ");
	return say_on(speaker(self), 5000);
}

static int speaker_eof(struct asyncore_dispatcher *self)
{
	speaker(self)->eofs++;
	speaker(self)->got_at_eof = speaker(self)->got.n;
	trace_call("eof ");
	ck_assert(asyncore_at_eof(self));
	return speaker(self)->on_eof != NULL ? speaker(self)->on_eof()
					     : asyncore_dispatcher_handle_eof(self);
}

static int speaker_close(struct asyncore_dispatcher *self)
{
	speaker(self)->closes++;
	trace_call("close ");
	return speaker(self)->on_close != NULL ? speaker(self)->on_close() : asyncore_close(self);
}

static int speaker_error(struct asyncore_dispatcher *self)
{
	trace_call("error %d ", -asyncore_error(self)->code);
	return asyncore_close(self);
}

static void speaker_dispose(struct asyncore_dispatcher *self)
{
	speaker(self)->disposes++;
}

#define SPEAKER(...) { \
	.handle_read = speaker_read, \
	.handle_connect = speaker_connect, \
	.handle_eof = speaker_eof, \
	.handle_close = speaker_close, \
	.handle_error = speaker_error, \
	.dispose = speaker_dispose, \
	__VA_ARGS__ \
}
#define HALF_CLOSING(parent) { .base = (parent), .flags = ASYNCORE_HALF_CLOSE }

static const struct asyncore_dispatcher_type
plain_type = SPEAKER(
	.base = &asyncore_dispatcher_type,
	.readable = speaker_readable,
	.writable = speaker_writable,
	.handle_write = speaker_write,
),
half_plain_type = HALF_CLOSING(&plain_type),
with_send_type = SPEAKER(.base = &asyncore_dispatcher_with_send_type),
half_with_send_type = HALF_CLOSING(&with_send_type);

static const struct async_chat_type
chat_type = {
	.dispatcher = SPEAKER(.base = &async_chat_type.dispatcher),
	.collect_incoming_data = speaker_collect,
	.found_terminator = speaker_found,
},
half_chat_type = { .dispatcher = HALF_CLOSING(&chat_type.dispatcher) };

/* The next speaker. */
static void speaker_init(int kind, int half, int fd)
{
	struct speaker *new = &speakers[made++];
	int r;

	memset(new, 0, sizeof *new);
	new->kind = kind;
	if (kind == PLAIN)
		r = asyncore_dispatcher_init(&new->dispatcher,
					     half ? &half_plain_type : &plain_type, fd, map);
	else if (kind == WITH_SEND)
		r = asyncore_dispatcher_with_send_init(&new->with_send,
						       half ? &half_with_send_type
							    : &with_send_type, fd, map);
	else
		r = async_chat_init(&new->chat, half ? &half_chat_type : &chat_type, fd, map);
	ck_assert_int_eq(r, 0);
	if (kind == CHAT_AT_ONCE)
		async_chat_set_gathering(&new->chat, false);
}

/* --- the peer --------------------------------------------------------------------------- */

static int peer;
static struct stream heard;

static void peer_ends(void)
{
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
}

static void peer_says(size_t n)
{
	put(peer, bytes_from(0), n);
}

static void peer_resets(void)
{
	reset_on_close(peer);
	close(peer);
	peer = -1;
}

/* Take what is there, in small pieces; false at the end. */
static bool peer_hears(void)
{
	char data[8192];
	ssize_t n = read(peer, data, sizeof data);

	ck_assert(n >= 0 || errno == EAGAIN);
	if (n > 0)
		arrived(&heard, data, (size_t)n);
	return n != 0;
}

/* So many bytes, and then the end. */
static void peer_hears_all(size_t expected)
{
	int i;

	for (i = 0; peer_hears(); i++) {
		ck_assert_int_lt(i, 100000);
		turns(1);
	}
	ck_assert_uint_eq(heard.n, expected);
	ck_assert(!heard.garbled);
}

static void expect_calls(const char *calls)
{
	turns(3);
	ck_assert_str_eq(trace, calls);
}

/* The peer ends, gets so many bytes, and then the channel is closed. */
static void expect_delivery(size_t n)
{
	peer_ends();
	turn_until(s->eofs == 1);
	peer_hears_all(n);
	expect_calls("eof close ");
	ck_assert_int_eq(s->disposes, 1);
}

/* The test accepts a connection; from now on that is the peer. */
static void accept_peer(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	close(peer);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(peer, 0);
	memset(&heard, 0, sizeof heard);
}

/* --- begin and end ---------------------------------------------------------------------- */

static void begin(int the_way)
{
	size_t i;

	alarm(120);
	way = the_way;
	map = way < ATTACHED ? asyncore_map_new(NULL) : backend_map((way - ATTACHED) % BACKENDS);
	ck_assert_ptr_nonnull(map);
	for (i = 0; i < sizeof pattern; i++)
		pattern[i] = (char)(i % PERIOD);
	memset(&heard, 0, sizeof heard);
	peer = -1;
	made = 0;
}

static void set_little_room(int fd[2])
{
	const int little = 4096;

	ck_assert_int_eq(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
	ck_assert_int_eq(setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
}

/* A map with one channel, the peer of which reads slowly. */
static void start_on(int kind_and_way, int half, void (*pair)(int fd[2]))
{
	int fd[2];

	begin(kind_and_way % WAYS);
	pair(fd);
	set_little_room(fd);
	peer = fd[1];
	speaker_init(kind_and_way / WAYS, half, fd[0]);
}

#define start(half) start_on(_i, (half), unix_pair)
#define start_tcp(half) start_on(_i, (half), tcp_pair)

static void end(void)
{
	if (way < ATTACHED)
		ck_assert_int_eq(asyncore_map_free(map), 0);
	else
		backend_map_end(map);
	while (made-- > 0)
		ck_assert_int_eq(speakers[made].disposes, 1);
	close(peer);
	alarm(0);
}

/* What libevent watches the channel's descriptor for. */
struct watch {
	int fd, events;
};

static int see(const struct event_base *base, const struct event *ev, void *arg)
{
	struct watch *w = arg;

	(void)base;
	if (event_get_fd(ev) == w->fd)
		w->events |= event_get_events(ev) & (EV_READ | EV_WRITE);
	return 0;
}

static int watched(void)
{
	struct watch w = { asyncore_socket(d), 0 };

	event_base_foreach_event(asyncore_map_base(map), see, &w);
	return w.events;
}

static void connect_to(int port)
{
	s->wants_write = 1;
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert(!asyncore_at_eof(d));
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
}

/* --- handlers --------------------------------------------------------------------------- */

static int ok(void)
{
	return 0;
}

static int raise_eio(void)
{
	return -EIO;
}

static int nothing_now(void)
{
	return -EAGAIN;
}

static int leave(void)
{
	return ASYNCORE_EXIT_NOW;
}

static int answer_line(void)
{
	return say(200000);
}

/* A plain one sends by itself. */
static int answer(void)
{
	if (s->kind == PLAIN)
		s->said += (size_t)asyncore_send(d, bytes_from(0), 10);
	say(300000);
	return asyncore_dispatcher_handle_eof(d);
}

static int answer_and_mark(void)
{
	say(100000);
	return async_chat_close_when_done(chat);
}

static int answer_and_shut_down(void)
{
	say(100000);
	return asyncore_shutdown_when_done(d);
}

static int to_port;			/* where connect_again() connects to */

static int connect_again(void)
{
	asyncore_close(d);
	s->on_close = NULL;		/* but only once */
	memset(&s->got, 0, sizeof s->got);
	connect_to(to_port);
	return 0;
}

/* --- the end of the peer's data --------------------------------------------------------- */

START_TEST(without_the_flag_the_end_of_the_data_closes_at_once)
{
	start(WHOLE);
	say(MILLION);
	peer_ends();
	turn_until(s->closes > 0);
	ck_assert(!asyncore_at_eof(d));
	expect_calls("close ");
}
END_TEST

START_TEST(all_that_is_queued_is_delivered_before_handle_close)
{
	start(HALF);
	say(MILLION);
	peer_ends();
	turn_until(s->eofs == 1);
	turns(1);
	ck_assert_int_eq(watched(), EV_WRITE);
	expect_delivery(MILLION);
}
END_TEST

START_TEST(what_is_said_while_the_rest_is_sent_is_delivered)
{
	start(HALF);
	say(100000);
	peer_ends();
	turn_until(s->eofs == 1 && peer_hears() && heard.n > 50000);
	say(100000);
	expect_delivery(200000);
}
END_TEST

START_TEST(handle_close_comes_at_once_when_nothing_waits)
{
	start(HALF);
	ck_assert(!asyncore_at_eof(d));
	peer_ends();
	turn_until(s->eofs == 1);
	ck_assert_str_eq(trace, "eof close ");
	expect_calls("eof close ");
	ck_assert_int_eq(s->reads, 1);
}
END_TEST

START_TEST(channel_at_the_end_is_not_watched_for_reading)
{
	int asked;

	start(HALF);
	s->on_eof = ok;
	peer_ends();
	turn_until(s->eofs == 1);
	turns(1);
	asked = s->asked;
	turns(20);
	ck_assert_int_eq(watched(), 0);
	/* Although it says on every pass that it is readable. */
	if (s->kind == PLAIN && way < DISPATCHED)
		ck_assert_int_eq(s->asked, asked + 20);
	expect_sleep();
	ck_assert_int_eq(s->reads, 1);
	expect_calls("eof ");
}
END_TEST

START_TEST(recv_at_the_end_calls_nothing)
{
	char byte;
	int i;

	start(HALF);
	s->on_eof = ok;
	peer_ends();
	turn_until(s->eofs == 1);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(asyncore_recv(d, &byte, 1), 0);
		ck_assert_int_eq(asyncore_read(d), 0);
	}
	ck_assert(asyncore_at_eof(d));
	expect_calls("eof ");
}
END_TEST

START_TEST(channel_at_the_end_stays_so_in_another_map)
{
	struct asyncore_map *first, *second = asyncore_map_new(NULL);

	start_on(_i * WAYS, HALF, unix_pair);
	s->on_eof = ok;
	peer_ends();
	turn_until(s->eofs == 1);
	ck_assert_int_eq(asyncore_del_channel(d, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(d, second), 0);
	ck_assert(asyncore_at_eof(d));
	first = map;
	map = second;
	expect_calls("eof ");
	ck_assert_int_eq(watched(), 0);
	asyncore_map_free(first);
}
END_TEST

START_TEST(answer_that_handle_eof_gives_is_delivered)
{
	start(HALF);
	s->on_eof = answer;
	peer_says(1000);
	expect_delivery(s->kind == PLAIN ? 10 : 300000);
	ck_assert_uint_eq(s->got_at_eof, 1000);
}
END_TEST

START_TEST(default_body_may_be_called_later)
{
	start(HALF);
	s->on_eof = ok;
	say(100000);
	peer_ends();
	turn_until(s->eofs == 1);
	ck_assert_int_ge(asyncore_dispatcher_handle_eof(d), 0);
	ck_assert_int_eq(s->closes, s->kind == PLAIN);
	expect_delivery(s->said);
}
END_TEST

START_TEST(handle_close_that_closes_nothing_comes_once)
{
	start(HALF);
	s->on_close = ok;
	say(MILLION);
	peer_ends();
	turn_until(peer_hears() && s->closes == 1);
	say(100000);
	turn_until(peer_hears() && heard.n == MILLION + 100000);
	expect_calls("eof close ");
}
END_TEST

START_TEST(asyncore_handle_eof_calls_the_classs_own)
{
	struct asyncore_dispatcher never = { 0 };

	ck_assert_int_eq(asyncore_handle_eof(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_handle_eof(&never), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_handle_eof(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_handle_eof(&never), -EINVAL);
	ck_assert(!asyncore_at_eof(NULL));
	ck_assert(!asyncore_at_eof(&never));
	start_on(_i * WAYS, HALF, unix_pair);
	s->on_eof = nothing_now;
	peer_ends();
	turn_until(s->eofs == 1);
	ck_assert_int_eq(asyncore_handle_eof(d), -EAGAIN);
	expect_calls("eof eof ");
}
END_TEST

START_TEST(handle_eof_that_raises_calls_handle_error)
{
	start(HALF);
	s->on_eof = raise_eio;
	peer_ends();
	turn_until(s->eofs == 1);
	expect_calls("eof error 5 ");
}
END_TEST

START_TEST(exit_now_of_handle_eof_leaves_the_loop)
{
	start_on(_i / DISPATCHED * WAYS + _i % DISPATCHED, HALF, unix_pair);
	s->on_eof = leave;
	peer_ends();
	ck_assert_int_eq(asyncore_loop(5.0, way == OWN_POLL2, map, -1), ASYNCORE_EXIT_NOW);
	expect_calls("eof ");
}
END_TEST

START_TEST(end_behind_a_fresh_connect_comes_after_it)
{
	int port, listener = tcp_listener(&port);

	begin(_i % WAYS);
	speaker_init(_i / WAYS, HALF, -1);
	connect_to(port);
	accept_peer(listener);
	close(listener);
	peer_says(1000);
	peer_ends();
	turn_until(s->eofs == 1);
	peer_hears_all(s->said);
	ck_assert_uint_eq(s->got_at_eof, 1000);
	expect_calls("connect eof close ");
}
END_TEST

START_TEST(new_connection_has_an_end_of_its_own)
{
	int listener = tcp_listener(&to_port);

	start(HALF);
	s->on_close = connect_again;
	peer_ends();
	turn_until(s->closes == 1);
	accept_peer(listener);
	close(listener);
	peer_says(1000);
	turn_until(s->got.n == 1000);
	ck_assert(!asyncore_at_eof(d));
	peer_ends();
	turn_until(s->closes == 2);
	expect_calls("eof close connect eof close ");
}
END_TEST

START_TEST(reset_is_no_end_of_data)
{
	start_tcp(HALF);
	say(MILLION);
	turns(1);
	peer_resets();
	turn_until(s->closes == 1);
	expect_calls("close ");
}
END_TEST

START_TEST(reset_after_the_end_closes_once)
{
	start_tcp(HALF);
	say(MILLION);
	peer_ends();
	turn_until(s->eofs == 1);
	expect_calls("eof ");
	peer_resets();
	turn_until(s->closes == 1);
	expect_calls("eof close ");
	ck_assert_int_eq(s->disposes, 1);
}
END_TEST

/* --- async_chat ------------------------------------------------------------------------- */

START_TEST(answer_to_the_last_line_is_delivered)
{
	start(HALF);
	s->on_line = answer_line;
	ck_assert_int_eq(async_chat_set_terminator(chat, "\n", 1), 0);
	put(peer, "one\ntwo\nthr", 11);
	peer_ends();
	turn_until(s->eofs == 1);
	peer_hears_all(400000);
	ck_assert_uint_eq(s->got_at_eof, 9);	/* with the line that never ended */
	expect_calls("line line eof close ");
}
END_TEST

START_TEST(close_mark_before_the_end_closes_once)
{
	start(HALF);
	answer_and_mark();
	expect_delivery(100000);
}
END_TEST

START_TEST(close_mark_after_the_end_closes)
{
	start(HALF);
	s->on_eof = answer_and_mark;
	expect_delivery(100000);
}
END_TEST

/* A producer that has nothing yet, until `ready`; then 100,000 bytes. */
struct supply {
	struct async_chat_producer producer;
	bool ready;
	size_t given;
	int releases;
};

static int supply_more(struct async_chat_producer *self, const void **data, size_t *len)
{
	struct supply *of = (struct supply *)self;

	if (!of->ready)
		return ASYNC_CHAT_NOT_YET;
	if (of->given == 100000)
		return 0;
	*data = bytes_from(of->given);
	*len = 1000;
	of->given += 1000;
	return 1;
}

static void supply_release(struct async_chat_producer *self)
{
	((struct supply *)self)->releases++;
}

static const struct async_chat_producer_type supply_type = {
	.more = supply_more,
	.release = supply_release,
};

static struct supply supply;

static void push_supply(void)
{
	supply = (struct supply){ .producer.type = &supply_type };
	ck_assert_int_eq(async_chat_push_with_producer(chat, &supply.producer), 0);
}

static void resume_supply(void)
{
	supply.ready = true;
	ck_assert_int_eq(async_chat_resume(chat), 0);
}

START_TEST(producer_that_has_nothing_yet_holds_handle_close_back)
{
	start(HALF);
	push_supply();
	peer_ends();
	turn_until(s->eofs == 1);
	turns(20);
	ck_assert_int_eq(watched(), 0);
	expect_sleep();
	expect_calls("eof ");
	resume_supply();
	expect_delivery(100000);
	ck_assert_int_eq(supply.releases, 1);
}
END_TEST

/* A file of so many bytes. */
static int file_of(size_t n)
{
	FILE *file = tmpfile();
	int fd = dup(fileno(file));
	size_t i;

	for (i = 0; i < n; i += 50000)
		put(fd, bytes_from(i), 50000);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	fclose(file);
	return fd;
}

START_TEST(file_that_is_being_sent_is_delivered)
{
	struct async_chat_producer *file;

	start(HALF);
	file = async_chat_file_producer_new(file_of(MILLION), 0, -1);
	ck_assert_int_eq(async_chat_push_with_producer(chat, file), 0);
	expect_delivery(MILLION);
}
END_TEST

static int releases;

static void count_release(const void *data, size_t len, void *arg)
{
	(void)arg;
	ck_assert_ptr_eq(data, pattern);
	ck_assert_uint_eq(len, PERIOD * 200);
	ck_assert_int_eq(s->closes, 0);
	releases++;
}

static void push_references(void)
{
	int i;

	releases = 0;
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(async_chat_push_reference(chat, pattern, PERIOD * 200,
							   count_release, NULL), 0);
}

START_TEST(references_are_delivered_and_released_before_handle_close)
{
	start(HALF);
	push_references();
	expect_delivery(4 * PERIOD * 200);
	ck_assert_int_eq(releases, 4);
}
END_TEST

static int discard(void)
{
	s->closes = 0;
	async_chat_discard_buffers(chat);
	return asyncore_close(d);
}

START_TEST(output_is_released_once_after_a_reset)
{
	start_tcp(HALF);
	s->on_close = discard;
	push_references();
	push_supply();
	peer_ends();
	turn_until(s->eofs == 1);
	ck_assert_int_lt(releases, 4);
	peer_resets();
	turn_until(s->disposes == 1);
	ck_assert_int_eq(releases, 4);
	ck_assert_int_eq(supply.releases, 1);
	expect_calls("eof close ");
}
END_TEST

/* Otherwise it would wait for nothing, for ever. */
START_TEST(output_that_is_discarded_does_not_keep_the_channel)
{
	start(HALF);
	say(MILLION);
	peer_ends();
	turn_until(s->eofs == 1);
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	turn_until(s->closes == 1);
	expect_calls("eof close ");
}
END_TEST

/* --- what is not a stream socket -------------------------------------------------------- */

/* A channel on a duplicate of `fd`, which is closed. */
static void start_on_file(int kind_and_way, int fd)
{
	speaker_init(kind_and_way / WAYS, HALF, -1);
	ck_assert_int_eq(asyncore_set_file(d, fd), 0);
	ck_assert_int_eq(asyncore_set_connected(d, true), 0);
	close(fd);
}

START_TEST(end_of_a_pipe_comes_once)
{
	int fd[2];

	begin(_i % WAYS);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	start_on_file(_i, fd[0]);
	s->on_eof = ok;
	put(fd[1], bytes_from(0), 1000);
	close(fd[1]);
	turn_until(s->eofs == 1);
	ck_assert_uint_eq(s->got_at_eof, 1000);
	turns(20);
	ck_assert_int_eq(watched(), 0);
	expect_sleep();
	expect_calls("eof ");
	ck_assert_int_ge(asyncore_dispatcher_handle_eof(d), 0);
	expect_calls("eof close ");
}
END_TEST

START_TEST(end_of_a_regular_file_comes_once)
{
	begin(_i % WAYS);
	start_on_file(_i, file_of(100000));
	s->on_eof = ok;
	turn_until(s->eofs == 1);
	ck_assert_uint_eq(s->got_at_eof, 100000);
	ck_assert(!s->got.garbled);
	turns(20);
	expect_sleep();
	expect_calls("eof ");
}
END_TEST

START_TEST(all_that_is_queued_for_a_file_is_delivered)
{
	int fd[2];

	begin(_i % WAYS);
	unix_pair(fd);
	set_little_room(fd);
	peer = fd[1];
	start_on_file(_i, fd[0]);
	say(MILLION);
	expect_delivery(MILLION);
}
END_TEST

static void start_on_messages(int kind_and_way, int type)
{
	int fd[2];

	begin(kind_and_way % WAYS);
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	peer = fd[1];
	speaker_init(kind_and_way / WAYS, HALF, fd[0]);
}

START_TEST(empty_message_is_no_end)
{
	size_t i;

	start_on_messages(_i, SOCK_DGRAM);
	for (i = 1; i <= 3; i++) {
		ck_assert_int_eq(send(peer, "", 0, 0), 0);
		ck_assert_int_eq(send(peer, bytes_from(s->got.n), 10, 0), 10);
		turn_until(s->got.n == 10 * i);
	}
	ck_assert(!asyncore_at_eof(d));
	ck_assert_int_eq(watched() & EV_READ, EV_READ);
	expect_calls("");
}
END_TEST

START_TEST(end_of_a_connection_of_messages_comes_once)
{
	start_on_messages(_i, SOCK_SEQPACKET);
	expect_delivery(0);
}
END_TEST

/* --- the end of our data ---------------------------------------------------------------- */

#define expect_shutdown(result) \
	ck_assert_int_eq(asyncore_shutdown_when_done(d), (result))

/* The channel still receives, and closes when the peer ends, too. */
static void expect_receiving(void)
{
	turns(3);
	ck_assert_int_eq(s->closes, 0);
	peer_says(1000);
	turn_until(s->got.n == 1000);
	peer_ends();
	turn_until(s->closes == 1);
	turns(3);
	ck_assert_int_eq(s->closes, 1);
	ck_assert_ptr_null(strstr(trace, "error"));
}

START_TEST(shutdown_comes_at_once_when_nothing_waits)
{
	start(_i % 2);
	expect_shutdown(0);
	ck_assert(!peer_hears());
	expect_shutdown(0);
	expect_receiving();
}
END_TEST

START_TEST(shutdown_follows_all_that_is_queued_until_then)
{
	start(WHOLE);
	say(MILLION);
	expect_shutdown(0);
	turns(3);
	say(1000);
	expect_shutdown(0);
	peer_hears_all(MILLION + 1000);
	expect_receiving();
}
END_TEST

START_TEST(what_is_said_after_the_shutdown_finds_a_closed_connection)
{
	start(_i % 2);
	expect_shutdown(0);
	if (s->kind == PLAIN)
		ck_assert_int_eq(asyncore_send(d, "x", 1), 0);
	else
		say(1);
	ck_assert_str_eq(trace, "close ");
	expect_calls("close ");
}
END_TEST

START_TEST(shutdown_follows_what_was_gathered)
{
	start(WHOLE);
	s->on_line = answer_and_shut_down;
	ck_assert_int_eq(async_chat_set_terminator(chat, "\n", 1), 0);
	put(peer, "line\n", 5);
	peer_hears_all(100000);
	expect_calls("line ");
}
END_TEST

START_TEST(shutdown_follows_a_producer_that_has_nothing_yet)
{
	start(WHOLE);
	push_supply();
	expect_shutdown(0);
	turns(20);
	ck_assert(peer_hears());
	ck_assert_uint_eq(heard.n, 0);
	resume_supply();
	peer_hears_all(100000);
	ck_assert_int_eq(supply.releases, 1);
	expect_receiving();
}
END_TEST

START_TEST(shutdown_comes_when_the_rest_is_discarded)
{
	start(WHOLE);
	say(MILLION);
	expect_shutdown(0);
	ck_assert_int_eq(async_chat_discard_buffers(chat), 0);
	while (peer_hears())
		turns(1);
	ck_assert_uint_lt(heard.n, MILLION);
	expect_receiving();
}
END_TEST

START_TEST(close_mark_closes_in_spite_of_a_shutdown)
{
	start(WHOLE);
	say(100000);
	expect_shutdown(0);
	ck_assert_int_eq(async_chat_close_when_done(chat), 0);
	peer_hears_all(100000);
	turn_until(s->closes == 1);
	expect_calls("close ");
}
END_TEST

START_TEST(reset_before_the_shutdown_closes_once)
{
	start_tcp(_i % 2);
	say(MILLION);
	expect_shutdown(0);
	peer_resets();
	turn_until(s->closes == 1);
	expect_calls("close ");
}
END_TEST

/* Queued output waits for the next connection; both ends were those of the last one. */
START_TEST(new_connection_is_not_shut_down_nor_closed)
{
	int listener = tcp_listener(&to_port);

	start(HALF);
	say(MILLION);
	expect_shutdown(0);
	peer_ends();
	turn_until(s->eofs == 1);
	connect_again();
	accept_peer(listener);
	close(listener);
	turn_until(peer_hears() && async_chat_output_entries(chat) == 0);
	say(1000);
	turn_until(peer_hears() && async_chat_output_entries(chat) == 0);
	expect_calls("eof connect ");
}
END_TEST

START_TEST(shutdown_in_handle_eof_leaves_the_channel_open)
{
	start(HALF);
	s->on_eof = answer_and_shut_down;
	peer_ends();
	turn_until(s->eofs == 1);
	peer_hears_all(s->said);
	turns(20);
	ck_assert_int_eq(watched(), 0);
	expect_sleep();
	expect_calls("eof ");
}
END_TEST

START_TEST(shutdown_needs_a_connected_socket)
{
	struct asyncore_dispatcher never = { 0 };

	ck_assert_int_eq(asyncore_shutdown_when_done(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_shutdown_when_done(&never), -EINVAL);
	begin(OWN);
	speaker_init(_i, WHOLE, -1);
	expect_shutdown(-EBADF);
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	expect_shutdown(-ENOTCONN);
	ck_assert_int_eq(asyncore_listen(d, 1), 0);
	expect_shutdown(-ENOTCONN);
	ck_assert_int_eq(asyncore_close(d), 0);
	expect_shutdown(-EBADF);
	expect_calls("");
}
END_TEST

START_TEST(shutdown_needs_a_connection_that_was_reported)
{
	int port, listener = tcp_listener(&port);

	begin(OWN);
	speaker_init(_i, WHOLE, -1);
	connect_to(port);
	expect_shutdown(-ENOTCONN);
	accept_peer(listener);
	close(listener);
	turn_until(trace[0] != '\0');
	expect_shutdown(0);
	peer_hears_all(s->said);
	expect_calls("connect ");
}
END_TEST

/* Linux takes a shutdown(2) for the end of a connect.  The listener has no room for a second
 * connection until the first was accepted; then it comes with the next SYN, in a second. */
START_TEST(shutdown_leaves_a_connect_alone_that_is_under_way)
{
	int port, first, listener = tcp_listener(&port);
	struct sockaddr_in addr = loopback(port);

	ck_assert_int_eq(listen(listener, 0), 0);
	first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(first, (struct sockaddr *)&addr, sizeof addr), 0);
	begin(OWN);
	speaker_init(WITH_SEND, WHOLE, -1);
	connect_to(port);
	turns(3);
	expect_shutdown(-ENOTCONN);
	expect_calls("");
	accept_peer(listener);
	close(first);
	turn_within(3.0);
	accept_peer(listener);
	close(listener);
	expect_calls("connect ");
}
END_TEST

START_TEST(file_cannot_be_shut_down)
{
	static struct asyncore_file_dispatcher file;

	start_on(_i * WAYS, WHOLE, unix_pair);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&file, &asyncore_file_dispatcher_type,
						       asyncore_socket(d), map), 0);
	ck_assert_int_eq(asyncore_shutdown_when_done(&file.dispatcher), -ENOTSOCK);
	ck_assert_int_eq(asyncore_close(&file.dispatcher), 0);
	ck_assert(peer_hears());		/* no end */
}
END_TEST

/* --- both ------------------------------------------------------------------------------- */

START_TEST(ten_megabytes_each_way_arrive)
{
	int fd[2], i;

	begin(_i % WAYS);
	tcp_pair(fd);
	for (i = 0; i < 2; i++) {
		speaker_init(_i / WAYS, HALF, fd[i]);
		say_on(&speakers[i], 10 * MILLION);
		ck_assert_int_eq(asyncore_shutdown_when_done(&speakers[i].dispatcher), 0);
	}
	turn_until(speakers[0].closes + speakers[1].closes == 2);
	turns(3);
	for (i = 0; i < 2; i++) {
		ck_assert_uint_eq(speakers[i].got_at_eof, 10 * MILLION);
		ck_assert(!speakers[i].got.garbled);
		ck_assert_int_eq(speakers[i].eofs, 1);
		ck_assert_int_eq(speakers[i].closes, 1);
	}
	ck_assert_ptr_null(strstr(trace, "error"));
}
END_TEST

/* --- the suite -------------------------------------------------------------------------- */

static TCase *half_close_case(Suite *suite, const char *name)
{
	TCase *tc = suite_case(suite, name);

	tcase_add_checked_fixture(tc, NULL, end);
	return tc;
}

/* For every way, and every kind from this one on; on a base of its own, for every kind. */
#define ADD(tc, test, kind) tcase_add_loop_test(tc, test, (kind) * WAYS, KINDS * WAYS)
#define ADD_KINDS(tc, test) tcase_add_loop_test(tc, test, 0, KINDS)

static void add_cases(Suite *suite)
{
	TCase *tc = half_close_case(suite, "the end of the peer's data");

	ADD(tc, without_the_flag_the_end_of_the_data_closes_at_once, PLAIN);
	ADD(tc, all_that_is_queued_is_delivered_before_handle_close, WITH_SEND);
	ADD(tc, what_is_said_while_the_rest_is_sent_is_delivered, WITH_SEND);
	ADD(tc, handle_close_comes_at_once_when_nothing_waits, PLAIN);
	ADD(tc, channel_at_the_end_is_not_watched_for_reading, PLAIN);
	ADD(tc, recv_at_the_end_calls_nothing, PLAIN);
	ADD_KINDS(tc, channel_at_the_end_stays_so_in_another_map);
	ADD(tc, answer_that_handle_eof_gives_is_delivered, PLAIN);
	ADD(tc, default_body_may_be_called_later, PLAIN);
	ADD(tc, handle_close_that_closes_nothing_comes_once, WITH_SEND);
	ADD_KINDS(tc, asyncore_handle_eof_calls_the_classs_own);
	ADD(tc, handle_eof_that_raises_calls_handle_error, PLAIN);
	tcase_add_loop_test(tc, exit_now_of_handle_eof_leaves_the_loop, 0, KINDS * DISPATCHED);
	ADD(tc, end_behind_a_fresh_connect_comes_after_it, PLAIN);
	ADD(tc, new_connection_has_an_end_of_its_own, PLAIN);
	ADD(tc, reset_is_no_end_of_data, PLAIN);
	ADD(tc, reset_after_the_end_closes_once, WITH_SEND);

	tc = half_close_case(suite, "async_chat at the end");
	ADD(tc, answer_to_the_last_line_is_delivered, CHAT);
	ADD(tc, close_mark_before_the_end_closes_once, CHAT);
	ADD(tc, close_mark_after_the_end_closes, CHAT);
	ADD(tc, producer_that_has_nothing_yet_holds_handle_close_back, CHAT);
	ADD(tc, file_that_is_being_sent_is_delivered, CHAT);
	ADD(tc, references_are_delivered_and_released_before_handle_close, CHAT);
	ADD(tc, output_is_released_once_after_a_reset, CHAT);
	ADD(tc, output_that_is_discarded_does_not_keep_the_channel, CHAT);

	tc = half_close_case(suite, "files and messages");
	ADD(tc, end_of_a_pipe_comes_once, PLAIN);
	ADD(tc, end_of_a_regular_file_comes_once, PLAIN);
	ADD(tc, all_that_is_queued_for_a_file_is_delivered, WITH_SEND);
	ADD(tc, empty_message_is_no_end, PLAIN);
	ADD(tc, end_of_a_connection_of_messages_comes_once, PLAIN);

	tc = half_close_case(suite, "the end of our data");
	ADD(tc, shutdown_comes_at_once_when_nothing_waits, PLAIN);
	ADD(tc, shutdown_follows_all_that_is_queued_until_then, WITH_SEND);
	ADD(tc, what_is_said_after_the_shutdown_finds_a_closed_connection, PLAIN);
	ADD(tc, shutdown_follows_what_was_gathered, CHAT);
	ADD(tc, shutdown_follows_a_producer_that_has_nothing_yet, CHAT);
	ADD(tc, shutdown_comes_when_the_rest_is_discarded, CHAT);
	ADD(tc, close_mark_closes_in_spite_of_a_shutdown, CHAT);
	ADD(tc, reset_before_the_shutdown_closes_once, WITH_SEND);
	ADD(tc, new_connection_is_not_shut_down_nor_closed, CHAT);
	ADD(tc, shutdown_in_handle_eof_leaves_the_channel_open, PLAIN);
	ADD_KINDS(tc, shutdown_needs_a_connected_socket);
	ADD_KINDS(tc, shutdown_needs_a_connection_that_was_reported);
	tcase_add_test(tc, shutdown_leaves_a_connect_alone_that_is_under_way);
	ADD_KINDS(tc, file_cannot_be_shut_down);

	tc = half_close_case(suite, "both ends");
	ADD(tc, ten_megabytes_each_way_arrive, WITH_SEND);
}

SUITE_MAIN("half-close", add_cases)
