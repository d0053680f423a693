/* SPDX-License-Identifier: BSD-3-Clause */

/* check_dispatcher_with_send.c - simple buffered output. */

#include "support.h"

#include "buffer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

/* --- a channel that counts ------------------------------------------------------------ */

struct sender {
	struct asyncore_dispatcher_with_send base;
	int reads, writes, connects, closes, errors, writables, initiated, disposes;
	int last_error;
	bool reading;			/* readable() */
	bool log_closes;
	char log[8192], types[256];
	int (*on_close)(struct sender *);
	int (*on_error)(struct sender *);
};

static struct sender the_sender, *const s = &the_sender;
static struct asyncore_dispatcher *const d = &the_sender.base.dispatcher;

static int sender_readable(struct asyncore_dispatcher *self)
{
	(void)self;
	return s->reading;
}

static int sender_writable(struct asyncore_dispatcher *self)
{
	s->writables++;
	return asyncore_dispatcher_with_send_writable(self);
}

static int sender_read(struct asyncore_dispatcher *self)
{
	char data[512];

	s->reads++;
	return asyncore_recv(self, data, sizeof data);
}

static int sender_write(struct asyncore_dispatcher *self)
{
	s->writes++;
	return asyncore_dispatcher_with_send_handle_write(self);
}

static int sender_connect(struct asyncore_dispatcher *self)
{
	(void)self;
	s->connects++;
	return 0;
}

static int sender_close(struct asyncore_dispatcher *self)
{
	s->closes++;
	return s->on_close != NULL ? s->on_close(s) : asyncore_close(self);
}

static int sender_error(struct asyncore_dispatcher *self)
{
	s->errors++;
	s->last_error = asyncore_error(self) != NULL ? asyncore_error(self)->code : 0;
	return s->on_error != NULL ? s->on_error(s) : asyncore_close(self);
}

static int sender_log_info(struct asyncore_dispatcher *self, const char *message,
			   const char *type)
{
	snprintf(s->log + strlen(s->log), sizeof s->log - strlen(s->log), "%s\n", message);
	snprintf(s->types + strlen(s->types), sizeof s->types - strlen(s->types), "%s ", type);
	return s->log_closes ? asyncore_close(self) : 0;
}

static void sender_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	s->disposes++;
}

static const struct asyncore_dispatcher_type sender_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "sender",
	.readable = sender_readable,
	.writable = sender_writable,
	.handle_read = sender_read,
	.handle_write = sender_write,
	.handle_connect = sender_connect,
	.handle_close = sender_close,
	.handle_error = sender_error,
	.log_info = sender_log_info,
	.dispose = sender_dispose,
};

static int count_initiate_send(struct asyncore_dispatcher *self)
{
	s->initiated++;
	return asyncore_dispatcher_with_send_initiate_send(self);
}

static const struct asyncore_dispatcher_type initiator_type = {
	.base = &sender_type,
	.initiate_send = count_initiate_send,
};

/* --- helpers ---------------------------------------------------------------------------- */

static void make_sender(const struct asyncore_dispatcher_type *type, int fd)
{
	memset(s, 0, sizeof *s);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&s->base, type, fd, NULL), 0);
}

/* A sender on one end of a pair of sockets; the other end is returned. */
static int sender_on_pair(const struct asyncore_dispatcher_type *type)
{
	int fd[2];

	unix_pair(fd);
	make_sender(type, fd[0]);
	return fd[1];
}

static size_t pending(void)
{
	return asyncore_dispatcher_with_send_pending(&s->base);
}

/* The sender is on the test's own memory: dispose of it before the next. */
static void end(int peer)
{
	asyncore_close_all(NULL, true);
	if (d->channel != NULL) {
		asyncore_close(d);
		asyncore_close_all(NULL, true);
	}
	ck_assert_ptr_null(d->channel);
	ck_assert_ptr_null(s->base.out_buffer);
	if (peer >= 0)
		close(peer);
}

/* Byte i of the output, for any i. */
static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 8) * 17 + (i >> 16) * 5);
}

static size_t produced, consumed;

/* Send the next n bytes of the pattern. */
static void produce(size_t n)
{
	unsigned char *data = malloc(n);
	size_t i;

	ck_assert_ptr_nonnull(data);
	for (i = 0; i < n; i++)
		data[i] = pattern(produced + i);
	ck_assert_int_eq(asyncore_send(d, data, n), (int)n);
	produced += n;
	free(data);
}

/* Take up to n bytes that have arrived, and compare.  False when there are none. */
static bool consume(int peer, size_t n)
{
	unsigned char data[65536];
	ssize_t i, got = read(peer, data, n < sizeof data ? n : sizeof data);

	if (got <= 0)
		return false;
	for (i = 0; i < got; i++)
		if (data[i] != pattern(consumed + (size_t)i))
			ck_abort_msg("byte %zu is wrong", consumed + (size_t)i);
	consumed += (size_t)got;
	return true;
}

static void fresh_pattern(void)
{
	produced = consumed = 0;
}

/* Everything arrives, in pieces of at most n bytes. */
static void consume_all(int peer, size_t n)
{
	int idle = 0;

	while (consumed < produced) {
		if (consume(peer, n))
			idle = 0;
		else
			ck_assert_int_lt(++idle, 1000);
		ck_assert_int_eq(asyncore_poll(idle > 2 ? 0.01 : 0.0, NULL), 0);
	}
	ck_assert(!consume(peer, 1));
	ck_assert_uint_eq(pending(), 0);
}

/* Send until something waits. */
static void stall(void)
{
	while (pending() == 0)
		produce(10000);
}

/* A listening AF_UNIX socket with a name of the kernel's choice, to reconnect to. */
static struct sockaddr_un listener_addr;
static socklen_t listener_addrlen;

static int unix_listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memset(&listener_addr, 0, sizeof listener_addr);
	listener_addr.sun_family = AF_UNIX;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&listener_addr,
			      sizeof listener_addr.sun_family), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	listener_addrlen = sizeof listener_addr;
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&listener_addr, &listener_addrlen),
			 0);
	return fd;
}

static int accept_one(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	int fd;

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static int open_unix(void)
{
	ck_assert_int_eq(asyncore_create_socket(d, AF_UNIX, SOCK_STREAM), 0);
	return asyncore_connect_sockaddr(d, (struct sockaddr *)&listener_addr,
					 listener_addrlen);
}

/* --- sending ---------------------------------------------------------------------------- */

/* FIELD B19.  Messages show what one send took. */
START_TEST(one_send_takes_64_kilobytes)
{
	struct asyncore_dispatcher_with_send sender;
	static char data[100000], got[100000];
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&sender,
				&asyncore_dispatcher_with_send_type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_send(&sender.dispatcher, data, sizeof data), sizeof data);
	ck_assert_int_eq(recv(fd[1], got, sizeof got, MSG_DONTWAIT), 65536);
	ck_assert_uint_eq(asyncore_dispatcher_with_send_pending(&sender), sizeof data - 65536);
	step(NULL);
	ck_assert_int_eq(recv(fd[1], got, sizeof got, MSG_DONTWAIT), sizeof data - 65536);
	asyncore_close_all(NULL, false);
	close(fd[1]);
}
END_TEST

START_TEST(send_goes_out_at_once)
{
	int peer = sender_on_pair(&sender_type);
	char data[5];

	ck_assert_int_eq(asyncore_send(d, "hello", 5), 5);
	ck_assert_uint_eq(pending(), 0);
	ck_assert_int_eq(read(peer, data, 5), 5);
	ck_assert_mem_eq(data, "hello", 5);
	ck_assert_int_eq(s->writes, 0);
	end(peer);
}
END_TEST

START_TEST(what_does_not_go_waits)
{
	int peer = sender_on_pair(&sender_type);

	fresh_pattern();
	stall();
	ck_assert_uint_gt(pending(), 0);
	ck_assert_uint_lt(pending(), produced);
	consume_all(peer, 65536);
	ck_assert_int_gt(s->writes, 0);
	end(peer);
}
END_TEST

START_TEST(the_bytes_and_their_order_are_exact_for_any_piece)
{
	static const size_t pieces[] = { 1, 7, 512, 4096, 65535, 65536, 65537, 300000 };
	int peer = sender_on_pair(&sender_type);
	int i;

	fresh_pattern();
	for (i = 0; i < 20; i++)
		produce(pieces[_i]);
	consume_all(peer, 5000);
	end(peer);
}
END_TEST

START_TEST(a_slow_peer_gets_everything_in_order_over_tcp)
{
	int fd[2], small = 65536, i;

	tcp_pair(fd);
	ck_assert_int_eq(setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	ck_assert_int_eq(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	make_sender(&sender_type, fd[0]);
	fresh_pattern();
	for (i = 0; i < 200; i++) {
		produce(9001);
		consume(fd[1], 3000);
		step(NULL);
	}
	ck_assert_uint_gt(pending(), 0);
	consume_all(fd[1], 3000);
	end(fd[1]);
}
END_TEST

START_TEST(sends_while_something_waits_keep_their_place)
{
	int peer = sender_on_pair(&sender_type), i;

	fresh_pattern();
	stall();
	for (i = 0; i < 500; i++) {
		if (i % 3 == 0)
			consume(peer, 20000);
		produce((size_t)i + 1);
		if (i % 7 == 0)
			step(NULL);
	}
	consume_all(peer, 65536);
	end(peer);
}
END_TEST

/* FIELD B16 */
START_TEST(many_sends_to_a_stalled_peer_move_few_bytes)
{
	int peer = sender_on_pair(&sender_type), i, moved = 0;
	const struct asyncore_buffer *last = NULL;

	fresh_pattern();
	for (i = 0; i < 8000; i++) {
		produce(1024);
		if (s->base.out_buffer != last)
			moved++;
		last = s->base.out_buffer;
	}
	ck_assert_uint_gt(pending(), 7000 * 1024);
	/* The block doubled from 4 KB to 8 MB. */
	ck_assert_int_le(moved, 16);
	while (pending() > 0) {
		const size_t waiting = pending();

		consume(peer, 700);
		step(NULL);
		/* Sent from the front, and nothing else touched. */
		if (waiting > pending() && pending() > 0)
			ck_assert_ptr_eq(s->base.out_buffer, last);
	}
	consume_all(peer, 65536);
	end(peer);
}
END_TEST

START_TEST(one_write_event_sends_at_most_64_kib)
{
	int peer = sender_on_pair(&sender_type), big = 4 << 20;
	size_t before;

	fresh_pattern();
	stall();
	produce(1 << 20);
	before = pending();
	ck_assert_int_eq(setsockopt(asyncore_socket(d), SOL_SOCKET, SO_SNDBUF, &big, sizeof big),
			 0);
	while (consume(peer, 65536))
		;
	step(NULL);
	ck_assert_int_eq(s->writes, 1);
	ck_assert_uint_le(before - pending(), 65536);
	consume_all(peer, 65536);
	end(peer);
}
END_TEST

/* Python's send hands at most 65536 bytes to the socket at once, too. */
START_TEST(one_send_passes_at_most_64_kib_to_the_socket_at_once)
{
	int peer = sender_on_pair(&sender_type), big = 4 << 20;

	ck_assert_int_eq(setsockopt(asyncore_socket(d), SOL_SOCKET, SO_SNDBUF, &big, sizeof big),
			 0);
	fresh_pattern();
	produce(100000);
	ck_assert_uint_ge(pending(), 100000 - 65536);
	consume_all(peer, 65536);
	end(peer);
}
END_TEST

START_TEST(a_send_with_output_waiting_tries_at_once)
{
	int peer = sender_on_pair(&sender_type);

	fresh_pattern();
	stall();
	while (consume(peer, 65536))
		;
	produce(1);
	/* Room was there, and no write event was needed to find it. */
	ck_assert_int_eq(s->writes, 0);
	while (consume(peer, 65536))
		;
	ck_assert_uint_eq(consumed + pending(), produced);
	ck_assert_uint_gt(consumed, 0);
	consume_all(peer, 65536);
	end(peer);
}
END_TEST

/* --- when it is writable ----------------------------------------------------------------- */

START_TEST(it_is_writable_only_while_something_waits)
{
	int peer = sender_on_pair(&sender_type), i;

	ck_assert_int_eq(asyncore_writable(d), 0);
	for (i = 0; i < 5; i++)
		step(NULL);
	ck_assert_int_eq(s->writes, 0);
	fresh_pattern();
	stall();
	ck_assert_int_ne(asyncore_writable(d), 0);
	consume_all(peer, 65536);
	ck_assert_int_eq(asyncore_writable(d), 0);
	s->writes = 0;
	for (i = 0; i < 5; i++)
		step(NULL);
	ck_assert_int_eq(s->writes, 0);
	end(peer);
}
END_TEST

START_TEST(it_is_writable_while_it_is_not_connected)
{
	make_sender(&sender_type, -1);
	ck_assert_int_eq(asyncore_writable(d), 1);
	end(-1);
}
END_TEST

/* The library's own predicate, asked only when something happened. */
static const struct asyncore_dispatcher_type plain_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "plain",
	.handle_read = sender_read,
	.handle_write = sender_write,
	.handle_connect = sender_connect,
	.handle_close = sender_close,
	.handle_error = sender_error,
	.log_info = sender_log_info,
	.dispose = sender_dispose,
};

START_TEST(a_class_that_does_not_override_writable_is_told_when_output_waits)
{
	int peer = sender_on_pair(&plain_type), i;

	step(NULL);
	ck_assert_int_eq(s->writes, 0);
	fresh_pattern();
	for (i = 0; i < 3; i++) {
		stall();
		consume_all(peer, 65536);
		s->writes = 0;
		step(NULL);
		step(NULL);
		ck_assert_int_eq(s->writes, 0);
	}
	end(peer);
}
END_TEST

static struct asyncore_dispatcher_with_send *feeder_target;

static int feed(struct asyncore_dispatcher *self)
{
	static char data[300000];
	char byte;

	asyncore_recv(self, &byte, 1);
	ck_assert_int_eq(asyncore_send(&feeder_target->dispatcher, data, sizeof data),
			 sizeof data);
	return 0;
}

START_TEST(output_made_by_another_channels_handler_is_sent)
{
	static const struct asyncore_dispatcher_type feeder_type = {
		.base = &plain_type, .handle_read = feed,
	};
	struct asyncore_dispatcher_with_send feeder;
	int peer = sender_on_pair(&plain_type), fd[2];
	char data[65536];
	size_t total = 0;

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&feeder, &feeder_type, fd[0], NULL),
			 0);
	feeder_target = &s->base;
	step(NULL);
	put(fd[1], "x", 1);
	while (total < 300000) {
		ssize_t n;

		ck_assert_int_eq(asyncore_poll(0.1, NULL), 0);
		n = read(peer, data, sizeof data);
		total += n > 0 ? (size_t)n : 0;
	}
	ck_assert_uint_eq(total, 300000);
	close(fd[1]);
	end(peer);
}
END_TEST

/* --- nothing to send ----------------------------------------------------------------------- */

/* FIELD B20 */
START_TEST(no_empty_datagram_goes_out)
{
	int fd[2];
	char data[10];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	make_sender(&sender_type, fd[0]);
	ck_assert_int_eq(asyncore_send(d, "", 0), 0);
	ck_assert_int_eq(asyncore_send(d, NULL, 0), 0);
	ck_assert_int_eq(asyncore_initiate_send(d), 0);
	ck_assert_int_eq(asyncore_handle_write(d), 0);
	ck_assert_int_eq(recv(fd[1], data, sizeof data, 0), -1);
	ck_assert_int_eq(errno, EAGAIN);
	end(fd[1]);
}
END_TEST

/* FIELD B20 */
START_TEST(an_unconnected_channel_gets_write_events_and_sends_nothing)
{
	int fd[2];
	char data[10];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	make_sender(&sender_type, fd[0]);
	asyncore_set_connected(d, false);
	step(NULL);
	step(NULL);
	ck_assert_int_eq(s->writes, 2);
	ck_assert_int_eq(recv(fd[1], data, sizeof data, 0), -1);
	end(fd[1]);
}
END_TEST

START_TEST(an_empty_send_with_output_waiting_tries_to_send_that)
{
	int peer = sender_on_pair(&sender_type);
	size_t waiting;

	fresh_pattern();
	stall();
	waiting = pending();
	while (consume(peer, 65536))
		;
	ck_assert_int_eq(asyncore_send(d, "", 0), 0);
	ck_assert_uint_lt(pending(), waiting);
	consume_all(peer, 65536);
	end(peer);
}
END_TEST

/* --- connecting ------------------------------------------------------------------------------ */

START_TEST(what_is_sent_before_the_connect_completes_is_not_lost)
{
	int port, listener = tcp_listener(&port), fd;
	char data[6];

	make_sender(&sender_type, -1);
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_eq(asyncore_send(d, "def", 3), 3);
	run_until(s->connects == 1 && pending() == 0, NULL);
	fd = accept_one(listener);
	take(fd, data, 6);
	ck_assert_mem_eq(data, "abcdef", 6);
	close(fd);
	close(listener);
	end(-1);
}
END_TEST

static int send_greeting(struct asyncore_dispatcher *self)
{
	s->connects++;
	return asyncore_send(self, "hello", 5);
}

START_TEST(handle_connect_may_send)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &sender_type, .handle_connect = send_greeting,
	};
	int port, listener = tcp_listener(&port), fd;
	char data[5];

	make_sender(&type, -1);
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
	run_until(s->connects == 1, NULL);
	fd = accept_one(listener);
	take(fd, data, 5);
	ck_assert_mem_eq(data, "hello", 5);
	close(fd);
	close(listener);
	end(-1);
}
END_TEST

START_TEST(a_refused_connect_keeps_what_was_sent)
{
	int holder, port = refused_port(&holder);

	make_sender(&sender_type, -1);
	ck_assert_int_eq(asyncore_create_socket(d, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(d, "127.0.0.1", port), 0);
	/* On loopback the refusal may be there already; then send is what hears of it. */
	asyncore_send(d, "abc", 3);
	asyncore_ref(d);
	run_until(s->errors + s->closes > 0, NULL);
	ck_assert_uint_eq(pending(), 3);
	asyncore_unref(d);
	close(holder);
	end(-1);
}
END_TEST

/* --- the peer goes --------------------------------------------------------------------------- */

START_TEST(a_send_to_a_peer_that_is_gone_calls_handle_close_and_keeps_the_data)
{
	int peer = sender_on_pair(&sender_type);

	asyncore_ref(d);
	close(peer);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_eq(s->closes, 1);
	ck_assert_uint_eq(pending(), 3);
	ck_assert_int_eq(asyncore_socket(d), -1);
	asyncore_unref(d);
	end(-1);
}
END_TEST

START_TEST(a_reset_in_the_middle_calls_handle_close_once)
{
	int fd[2];

	tcp_pair(fd);
	make_sender(&sender_type, fd[0]);
	s->reading = _i != 0;
	fresh_pattern();
	stall();
	asyncore_ref(d);
	reset_on_close(fd[1]);
	close(fd[1]);
	run_until(s->closes > 0, NULL);
	step(NULL);
	ck_assert_int_eq(s->closes, 1);
	ck_assert_int_eq(s->errors, 0);
	ck_assert_uint_gt(pending(), 0);
	asyncore_unref(d);
	end(-1);
}
END_TEST

/* FIELD B15: kept as in Python. */
START_TEST(the_end_of_the_peers_output_closes_and_drops_what_waits)
{
	int peer = sender_on_pair(&sender_type);
	size_t arrived = 0;
	char data[65536];
	ssize_t n;

	s->reading = true;
	fresh_pattern();
	stall();
	produce(1000000);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	run_until(s->closes == 1, NULL);
	while ((n = read(peer, data, sizeof data)) > 0)
		arrived += (size_t)n;
	ck_assert_int_eq(n, 0);
	ck_assert_uint_lt(arrived, produced);
	end(peer);
}
END_TEST

/* --- closed ----------------------------------------------------------------------------------- */

START_TEST(send_on_a_closed_channel_returns_0_and_calls_nothing)
{
	int peer = sender_on_pair(&sender_type);

	asyncore_set_debug(d, true);
	asyncore_close(d);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 0);
	ck_assert_int_eq(asyncore_initiate_send(d), 0);
	ck_assert_int_eq(asyncore_handle_write(d), 0);
	ck_assert_uint_eq(pending(), 0);
	ck_assert_int_eq(s->closes, 0);
	ck_assert_str_eq(s->log, "");
	end(peer);
}
END_TEST

START_TEST(send_before_there_is_a_socket_returns_0_and_calls_nothing)
{
	make_sender(&sender_type, -1);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 0);
	ck_assert_uint_eq(pending(), 0);
	ck_assert_int_eq(s->closes, 0);
	end(-1);
}
END_TEST

START_TEST(close_keeps_what_waits_for_a_reconnect_which_sends_it)
{
	int peer = sender_on_pair(&sender_type), listener = unix_listener(), fd;
	size_t waiting;

	fresh_pattern();
	stall();
	produce(200000);
	waiting = pending();
	asyncore_close(d);
	ck_assert_uint_eq(pending(), waiting);
	ck_assert_int_eq(open_unix(), 0);
	fd = accept_one(listener);
	consumed = produced - waiting;	/* the rest went to the first peer */
	consume_all(fd, 65536);
	ck_assert_int_eq(s->disposes, 0);
	close(fd);
	close(listener);
	end(peer);
}
END_TEST

START_TEST(dispose_frees_what_waits)
{
	int peer = sender_on_pair(&sender_type);

	fresh_pattern();
	stall();
	produce(100000);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(s->disposes, 1);
	ck_assert_ptr_null(s->base.out_buffer);
	ck_assert_uint_eq(pending(), 0);
	end(peer);
}
END_TEST

static size_t pending_at_dispose;

static void look_at_pending(struct asyncore_dispatcher *self)
{
	(void)self;
	pending_at_dispose = pending();
}

START_TEST(a_derived_dispose_still_sees_what_waits)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &sender_type, .dispose = look_at_pending,
	};
	int peer = sender_on_pair(&type);
	size_t waiting;

	fresh_pattern();
	stall();
	waiting = pending();
	pending_at_dispose = 0;
	asyncore_close_all(NULL, true);
	ck_assert_uint_eq(pending_at_dispose, waiting);
	end(peer);
}
END_TEST

/* --- handle_close out of a send ------------------------------------------------------------------ */

static int reopen_unix(struct sender *self)
{
	asyncore_close(&self->base.dispatcher);
	self->on_close = NULL;
	return open_unix();
}

START_TEST(a_handle_close_inside_send_may_reconnect)
{
	int peer = sender_on_pair(&sender_type), listener = unix_listener(), fd;
	char data[6];

	s->on_close = reopen_unix;
	close(peer);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_eq(s->closes, 1);
	ck_assert_int_eq(s->connects, 1);
	ck_assert_int_eq(asyncore_send(d, "def", 3), 3);
	run_until(pending() == 0, NULL);
	fd = accept_one(listener);
	take(fd, data, 6);
	ck_assert_mem_eq(data, "abcdef", 6);
	close(fd);
	close(listener);
	end(-1);
}
END_TEST

START_TEST(a_handle_close_inside_a_write_event_may_reconnect)
{
	int fd[2], listener = unix_listener(), peer;
	size_t waiting;

	tcp_pair(fd);
	make_sender(&sender_type, fd[0]);
	fresh_pattern();
	stall();
	waiting = pending();
	s->on_close = reopen_unix;
	reset_on_close(fd[1]);
	close(fd[1]);
	run_until(s->closes == 1, NULL);
	consumed = produced - waiting;
	peer = accept_one(listener);
	consume_all(peer, 65536);
	close(listener);
	end(peer);
}
END_TEST

static int reopen_and_send_more(struct sender *self)
{
	asyncore_close(&self->base.dispatcher);
	self->on_close = NULL;
	ck_assert_int_eq(open_unix(), 0);
	ck_assert_int_eq(asyncore_send(&self->base.dispatcher, "more", 4), 4);
	return 0;
}

START_TEST(a_handle_close_inside_send_may_reconnect_and_send_more)
{
	int peer = sender_on_pair(&sender_type), listener = unix_listener(), fd;
	char data[7];

	s->on_close = reopen_and_send_more;
	close(peer);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	run_until(pending() == 0, NULL);
	fd = accept_one(listener);
	take(fd, data, 7);
	ck_assert_mem_eq(data, "abcmore", 7);
	close(fd);
	close(listener);
	end(-1);
}
END_TEST

static int send_more(struct sender *self)
{
	if (self->closes < 3)
		asyncore_send(&self->base.dispatcher, "more", 4);
	return asyncore_close(&self->base.dispatcher);
}

START_TEST(a_handle_close_that_sends_to_the_dead_socket_ends)
{
	int peer = sender_on_pair(&sender_type);

	s->on_close = send_more;
	asyncore_ref(d);
	close(peer);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_ge(s->closes, 1);
	ck_assert_int_eq(asyncore_socket(d), -1);
	ck_assert_uint_eq(pending(), 3 + 4 * (size_t)(s->closes - 1) + (s->closes < 3 ? 4 : 0));
	asyncore_unref(d);
	end(-1);
}
END_TEST

static int raise_from_close(struct sender *self)
{
	asyncore_close(&self->base.dispatcher);
	return -EPROTO;
}

START_TEST(what_handle_close_raises_comes_out_of_send)
{
	int peer = sender_on_pair(&sender_type);

	s->on_close = raise_from_close;
	close(peer);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), -EPROTO);
	end(-1);
}
END_TEST

START_TEST(what_handle_close_raises_in_a_write_event_goes_to_handle_error)
{
	int fd[2];

	tcp_pair(fd);
	make_sender(&sender_type, fd[0]);
	fresh_pattern();
	stall();
	s->on_close = raise_from_close;
	reset_on_close(fd[1]);
	close(fd[1]);
	run_until(s->errors == 1, NULL);
	ck_assert_int_eq(s->last_error, -EPROTO);
	end(-1);
}
END_TEST

/* --- errors --------------------------------------------------------------------------------------- */

START_TEST(an_error_that_is_no_disconnect_comes_out_of_send_and_the_data_is_kept)
{
	int fd[2];
	static char big[1 << 20];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	ck_assert_int_eq(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &(int){ 4608 }, sizeof(int)), 0);
	make_sender(&sender_type, fd[0]);
	ck_assert_int_eq(asyncore_send(d, big, 60000), -EMSGSIZE);
	ck_assert_uint_eq(pending(), 60000);
	ck_assert_int_eq(s->closes, 0);
	step(NULL);
	ck_assert_int_eq(s->errors, 1);
	ck_assert_int_eq(s->last_error, -EMSGSIZE);
	end(fd[1]);
}
END_TEST

START_TEST(bad_arguments_are_refused_and_change_nothing)
{
	int peer = sender_on_pair(&sender_type);

	ck_assert_int_eq(asyncore_send(d, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_send(NULL, "x", 1), -EINVAL);
	ck_assert_int_eq(asyncore_send(d, "x", (size_t)INT_MAX + 1), -EINVAL);
	ck_assert_int_eq(asyncore_send(d, "x", SIZE_MAX), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_send(NULL, "x", 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_initiate_send(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_handle_write(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_writable(NULL), -EINVAL);
	ck_assert_uint_eq(asyncore_dispatcher_with_send_pending(NULL), 0);
	ck_assert_uint_eq(pending(), 0);
	end(peer);
}
END_TEST

START_TEST(init_wants_its_own_class_in_the_chain)
{
	struct asyncore_dispatcher_with_send object;

	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&object, &asyncore_dispatcher_type, -1,
							    NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&object, &probe_type, -1, NULL),
			 -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&object, NULL, -1, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(NULL,
							    &asyncore_dispatcher_with_send_type,
							    -1, NULL), -EINVAL);
}
END_TEST

START_TEST(a_plain_dispatcher_has_no_output_of_its_own)
{
	struct asyncore_dispatcher plain;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&plain, &asyncore_dispatcher_type, fd[0], NULL),
			 0);
	ck_assert_int_eq(asyncore_initiate_send(&plain), -ENOTSUP);
	ck_assert_int_eq(asyncore_dispatcher_with_send_send(&plain, "x", 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_writable(&plain), -EINVAL);
	asyncore_close_all(NULL, true);
	close(fd[1]);
}
END_TEST

static int own_initiate_send(struct asyncore_dispatcher *self)
{
	(void)self;
	return 42;
}

START_TEST(a_class_with_another_output_is_not_taken_for_a_dispatcher_with_send)
{
	/* No room for an out_buffer behind it. */
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type, .initiate_send = own_initiate_send,
	};
	struct {
		struct asyncore_dispatcher dispatcher;
		uintptr_t mine;
	} object = { .mine = 1 };
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&object.dispatcher, &type, fd[0], NULL), 0);
	ck_assert_int_eq(asyncore_initiate_send(&object.dispatcher), 42);
	object.mine = 0;
	ck_assert_int_eq(asyncore_dispatcher_with_send_send(&object.dispatcher, "x", 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_initiate_send(&object.dispatcher),
			 -EINVAL);
	asyncore_close_all(NULL, true);
	close(fd[1]);
}
END_TEST

/* --- overriding ------------------------------------------------------------------------------------- */

START_TEST(an_overridden_initiate_send_sees_every_send)
{
	int peer = sender_on_pair(&initiator_type);
	char data[6];

	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_eq(asyncore_send(d, "def", 3), 3);
	ck_assert_int_eq(s->initiated, 2);
	take(peer, data, 6);
	ck_assert_mem_eq(data, "abcdef", 6);
	ck_assert_int_eq(asyncore_handle_write(d), 0);
	ck_assert_int_eq(s->initiated, 3);
	end(peer);
}
END_TEST

static int hold_back(struct asyncore_dispatcher *self)
{
	(void)self;
	s->initiated++;
	return 0;
}

START_TEST(an_initiate_send_that_holds_back_keeps_everything_waiting)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &sender_type, .initiate_send = hold_back,
	};
	int peer = sender_on_pair(&type);
	char data[6];

	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_eq(asyncore_send(d, "def", 3), 3);
	ck_assert_uint_eq(pending(), 6);
	step(NULL);
	ck_assert_int_eq(s->initiated, 3);
	ck_assert_int_eq(asyncore_dispatcher_with_send_initiate_send(d), 0);
	ck_assert_uint_eq(pending(), 0);
	take(peer, data, 6);
	ck_assert_mem_eq(data, "abcdef", 6);
	end(peer);
}
END_TEST

static int failing_initiate_send(struct asyncore_dispatcher *self)
{
	(void)self;
	return -EPROTO;
}

START_TEST(what_an_overridden_initiate_send_raises_comes_out_of_send)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &sender_type, .initiate_send = failing_initiate_send,
	};
	int peer = sender_on_pair(&type);

	ck_assert_int_eq(asyncore_send(d, "abc", 3), -EPROTO);
	ck_assert_uint_eq(pending(), 3);
	step(NULL);
	ck_assert_int_eq(s->last_error, -EPROTO);
	end(peer);
}
END_TEST

/* In Python initiate_send() calls dispatcher.send itself, not what a class overrides. */
START_TEST(initiate_send_does_not_call_an_overridden_send)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &sender_type, .send = asyncore_dispatcher_send,
	};
	int peer = sender_on_pair(&type);
	char data[3];

	/* send is the plain one now; what waits was put there by the class's own. */
	ck_assert_int_eq(asyncore_dispatcher_with_send_send(d, "abc", 3), 3);
	take(peer, data, 3);
	ck_assert_mem_eq(data, "abc", 3);
	end(peer);
}
END_TEST

/* --- debug --------------------------------------------------------------------------------------------- */

START_TEST(debug_logs_every_send_as_information)
{
	int peer = sender_on_pair(&sender_type);

	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_str_eq(s->log, "");
	asyncore_set_debug(d, true);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_int_eq(asyncore_send(d, "hello", 5), 5);
	ck_assert_str_eq(s->types, "info info ");
	ck_assert_str_eq(s->log, "sending b'abc'\nsending b'hello'\n");
	asyncore_set_debug(d, false);
	ck_assert_int_eq(asyncore_send(d, "abc", 3), 3);
	ck_assert_str_eq(s->types, "info info ");
	end(peer);
}
END_TEST

/* What Python's repr() makes of these bytes. */
START_TEST(debug_shows_bytes_as_python_does)
{
	static const struct {
		const char *data;
		int len;
		const char *log;
	} table[] = {
		{ "\t\r\n\\", 4, "sending b'\\t\\r\\n\\\\'\n" },
		{ "\0\x7f\xff~", 4, "sending b'\\x00\\x7f\\xff~'\n" },
		{ "it's", 4, "sending b\"it's\"\n" },
		{ "'\"", 2, "sending b'\\'\"'\n" },
	};
	int peer = sender_on_pair(&sender_type);

	asyncore_set_debug(d, true);
	ck_assert_int_eq(asyncore_send(d, table[_i].data, (size_t)table[_i].len), table[_i].len);
	ck_assert_str_eq(s->log, table[_i].log);
	end(peer);
}
END_TEST

/* Python calls handle_close() then: the send finds a closed socket. */
START_TEST(a_debug_log_that_closes_does_not_make_send_call_handle_close)
{
	int peer = sender_on_pair(&sender_type), taken;

	asyncore_ref(d);
	asyncore_set_debug(d, true);
	s->log_closes = true;
	taken = asyncore_send(d, "abc", 3);
	ck_assert_int_eq(s->closes, 0);
	/* Kept for a reconnect, or not taken. */
	ck_assert_int_eq(taken, (int)pending());
	ck_assert_uint_eq(drain(peer), 0);
	asyncore_unref(d);
	end(peer);
}
END_TEST

/* --- files -------------------------------------------------------------------------------------------- */

START_TEST(a_pipe_can_be_the_output)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	make_sender(&sender_type, -1);
	ck_assert_int_eq(asyncore_set_file(d, fd[1]), 0);
	asyncore_set_connected(d, true);
	close(fd[1]);
	fresh_pattern();
	stall();
	produce(200000);
	consume_all(fd[0], 3000);
	end(fd[0]);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "sending");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, one_send_takes_64_kilobytes);
	tcase_add_test(tc, send_goes_out_at_once);
	tcase_add_test(tc, what_does_not_go_waits);
	tcase_add_loop_test(tc, the_bytes_and_their_order_are_exact_for_any_piece, 0, 8);
	tcase_add_test(tc, a_slow_peer_gets_everything_in_order_over_tcp);
	tcase_add_test(tc, sends_while_something_waits_keep_their_place);
	tcase_add_test(tc, many_sends_to_a_stalled_peer_move_few_bytes);
	tcase_add_test(tc, one_write_event_sends_at_most_64_kib);
	tcase_add_test(tc, one_send_passes_at_most_64_kib_to_the_socket_at_once);
	tcase_add_test(tc, a_send_with_output_waiting_tries_at_once);

	tc = suite_case(suite, "writable");
	tcase_add_test(tc, it_is_writable_only_while_something_waits);
	tcase_add_test(tc, it_is_writable_while_it_is_not_connected);
	tcase_add_test(tc, a_class_that_does_not_override_writable_is_told_when_output_waits);
	tcase_add_test(tc, output_made_by_another_channels_handler_is_sent);

	tc = suite_case(suite, "nothing to send");
	tcase_add_test(tc, no_empty_datagram_goes_out);
	tcase_add_test(tc, an_unconnected_channel_gets_write_events_and_sends_nothing);
	tcase_add_test(tc, an_empty_send_with_output_waiting_tries_to_send_that);

	tc = suite_case(suite, "connecting");
	tcase_add_test(tc, what_is_sent_before_the_connect_completes_is_not_lost);
	tcase_add_test(tc, handle_connect_may_send);
	tcase_add_test(tc, a_refused_connect_keeps_what_was_sent);

	tc = suite_case(suite, "the peer goes");
	tcase_add_test(tc, a_send_to_a_peer_that_is_gone_calls_handle_close_and_keeps_the_data);
	tcase_add_loop_test(tc, a_reset_in_the_middle_calls_handle_close_once, 0, 2);
	tcase_add_test(tc, the_end_of_the_peers_output_closes_and_drops_what_waits);

	tc = suite_case(suite, "closed");
	tcase_add_test(tc, send_on_a_closed_channel_returns_0_and_calls_nothing);
	tcase_add_test(tc, send_before_there_is_a_socket_returns_0_and_calls_nothing);
	tcase_add_test(tc, close_keeps_what_waits_for_a_reconnect_which_sends_it);
	tcase_add_test(tc, dispose_frees_what_waits);
	tcase_add_test(tc, a_derived_dispose_still_sees_what_waits);

	tc = suite_case(suite, "handle_close out of send");
	tcase_add_test(tc, a_handle_close_inside_send_may_reconnect);
	tcase_add_test(tc, a_handle_close_inside_a_write_event_may_reconnect);
	tcase_add_test(tc, a_handle_close_inside_send_may_reconnect_and_send_more);
	tcase_add_test(tc, a_handle_close_that_sends_to_the_dead_socket_ends);
	tcase_add_test(tc, what_handle_close_raises_comes_out_of_send);
	tcase_add_test(tc, what_handle_close_raises_in_a_write_event_goes_to_handle_error);

	tc = suite_case(suite, "errors");
	tcase_add_test(tc, an_error_that_is_no_disconnect_comes_out_of_send_and_the_data_is_kept);
	tcase_add_test(tc, bad_arguments_are_refused_and_change_nothing);
	tcase_add_test(tc, init_wants_its_own_class_in_the_chain);
	tcase_add_test(tc, a_plain_dispatcher_has_no_output_of_its_own);
	tcase_add_test(tc, a_class_with_another_output_is_not_taken_for_a_dispatcher_with_send);

	tc = suite_case(suite, "overriding");
	tcase_add_test(tc, an_overridden_initiate_send_sees_every_send);
	tcase_add_test(tc, an_initiate_send_that_holds_back_keeps_everything_waiting);
	tcase_add_test(tc, what_an_overridden_initiate_send_raises_comes_out_of_send);
	tcase_add_test(tc, initiate_send_does_not_call_an_overridden_send);

	tc = suite_case(suite, "debug");
	tcase_add_test(tc, debug_logs_every_send_as_information);
	tcase_add_loop_test(tc, debug_shows_bytes_as_python_does, 0, 4);
	tcase_add_test(tc, a_debug_log_that_closes_does_not_make_send_call_handle_close);

	tc = suite_case(suite, "files");
	tcase_add_test(tc, a_pipe_can_be_the_output);
}

SUITE_MAIN("dispatcher_with_send", add_cases)
