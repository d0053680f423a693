/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_trace.c - watching the calls that a map makes: asyncore_map_set_trace_cb() and
 * asyncore_map_set_slow_cb().
 *
 * What is reported is written down as "1:handle_read=5@1 ", which is channel 1, the name, the
 * result and the depth; "-" is no channel.  The order is that of the reports: what was called
 * from inside comes first.
 */

#include "support.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <event2/event.h>
#include <math.h>
#include <poll.h>
#include <time.h>

/* --- ways of driving a map -------------------------------------------------------------- */

/* asyncore_poll() and asyncore_poll2() on a base of its own; on each backend, asyncore_poll()
 * on the application's base, and the application's own loop. */
enum { OWN, OWN_POLL2, ATTACHED, DISPATCHED = ATTACHED + BACKENDS, WAYS = DISPATCHED + BACKENDS };

static struct asyncore_map *map;
static int way;

static void turn(void)
{
	if (way < DISPATCHED)
		ck_assert_int_eq(asyncore_loop(0.0, way == OWN_POLL2, map, 1), 0);
	else
		ck_assert_int_ge(event_base_loop(asyncore_map_base(map),
						 EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

#define turn_until(condition) \
	do { \
		int turns_ = 0; \
		while (!(condition) && turns_++ < 100000) \
			turn(); \
		ck_assert_msg((condition), "never: %s", #condition); \
	} while (0)

/* --- what was reported ------------------------------------------------------------------ */

enum { LONGEST = 32 };

static char record[16384];
static struct asyncore_dispatcher *known[8];	/* channel 1 is known[0] */
static int nknown;
static double seconds_of[LONGEST];		/* of the first reports */
static int reports;

static int number_of(const struct asyncore_dispatcher *d)
{
	int i;

	for (i = 0; i < nknown && known[i] != d; i++)
		;
	return i + 1;
}

/* A trace callback, and a slow one. */
static void write_down(struct asyncore_map *of, const struct asyncore_trace *call, void *arg)
{
	size_t len = strlen(record);
	char who[12] = "-";

	ck_assert_ptr_eq(of, map != NULL ? map : asyncore_socket_map());
	ck_assert_ptr_eq(arg, &record);
	ck_assert_double_ge(call->seconds, 0.0);
	if (reports < LONGEST)
		seconds_of[reports] = call->seconds;
	reports++;
	if (call->channel != NULL) {
		/* Still there, whatever happened to it. */
		ck_assert_ptr_nonnull(call->channel->channel);
		ck_assert_ptr_nonnull(asyncore_map(call->channel));
		snprintf(who, sizeof who, "%d", number_of(call->channel));
	}
	snprintf(record + len, sizeof record - len, "%s:%s=%d@%u ", who, call->name,
		 call->result, call->depth);
}

static void forget(void)
{
	record[0] = '\0';
	reports = 0;
}

#define expect(text) ck_assert_str_eq(record, (text))

static void expect_last(const char *text)
{
	size_t len = strlen(record), n = strlen(text);

	ck_assert_uint_ge(len, n);
	ck_assert_str_eq(record + len - n, text);
}

static void watch(void)
{
	ck_assert_int_eq(asyncore_map_set_trace_cb(map, write_down, &record), 0);
}

static void watch_not(void)
{
	ck_assert_int_eq(asyncore_map_set_trace_cb(map, NULL, NULL), 0);
}

static void know(struct asyncore_dispatcher *d)
{
	known[nknown++] = d;
}

/* --- the map and a channel --------------------------------------------------------------- */

static struct probe *p;
static int peer, other;		/* the other ends of channels */

static void begin(int the_way)
{
	alarm(60);
	way = the_way;
	map = way < ATTACHED ? asyncore_map_new(NULL) : backend_map((way - ATTACHED) % BACKENDS);
	ck_assert_ptr_nonnull(map);
	nknown = 0;
	peer = other = -1;
	forget();
}

static struct probe *another(int *its_peer)
{
	struct probe *new = probe_and_peer(map, its_peer);

	know(&new->dispatcher);
	return new;
}

/* With a channel, watched. */
static void begin_watching(int the_way)
{
	begin(the_way);
	p = another(&peer);
	watch();
}

static void end(void)
{
	if (way < ATTACHED)
		ck_assert_int_eq(asyncore_map_free(map), 0);
	else
		backend_map_end(map);
	close(peer);
	close(other);
	alarm(0);
}

static int ok(struct probe *self)
{
	(void)self;
	return 0;
}

static int raise_eio(struct probe *self)
{
	(void)self;
	return -EIO;
}

static int raise_reset(struct probe *self)
{
	(void)self;
	return -ECONNRESET;
}

static int close_self(struct probe *self)
{
	return asyncore_close(&self->dispatcher);
}

/* --- dispatchers ------------------------------------------------------------------------ */

START_TEST(read_event_is_reported_after_the_handler)
{
	begin_watching(_i);
	put(peer, "hello", 5);
	turn_until(p->reads == 1);
	expect("1:handle_read=5@1 1:handle_read_event=5@0 ");
	turn();
	expect("1:handle_read=5@1 1:handle_read_event=5@0 ");
}
END_TEST

START_TEST(write_event_is_reported)
{
	begin_watching(_i);
	p->wants_write = 1;
	turn_until(p->writes == 1);
	expect("1:handle_write=0@1 1:handle_write_event=0@0 ");
}
END_TEST

START_TEST(urgent_data_is_reported)
{
	int fd[2];

	begin_watching(_i);
	close_self(p);
	close(peer);
	tcp_pair(fd);
	peer = fd[1];
	p = probe_new(fd[0], map);
	know(&p->dispatcher);
	ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
	turn_until(p->expts == 1);
	expect("2:handle_expt=0@1 2:handle_expt_event=0@0 ");
}
END_TEST

START_TEST(connect_and_accept_are_reported)
{
	struct probe *server;
	int port, listener = tcp_listener(&port);

	begin(_i);
	watch();
	server = probe_new(listener, map);
	know(&server->dispatcher);
	asyncore_set_accepting(&server->dispatcher, true);
	p = probe_new(-1, map);
	know(&p->dispatcher);
	p->wants_write = 1;
	p->wants_read = 0;
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	expect("");
	turn_until(p->writes == 1 && server->accepteds == 1);
	watch_not();
	ck_assert_ptr_nonnull(strstr(record, "2:handle_connect=0@2 2:handle_connect_event=0@1 "
					     "2:handle_write=0@1 2:handle_write_event=0@0 "));
	ck_assert_ptr_nonnull(strstr(record, "1:handle_accepted=0@2 1:handle_accept=0@1 "
					     "1:handle_read_event=0@0 "));
	ck_assert_int_eq(reports, 7);
}
END_TEST

START_TEST(connect_that_fails_is_reported)
{
	char expected[128];
	int holder, port = refused_port(&holder);

	begin(_i);
	watch();
	p = probe_new(-1, map);
	know(&p->dispatcher);
	p->wants_write = 1;
	p->wants_read = 0;
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	turn_until(probes_disposed == 1);
	snprintf(expected, sizeof expected, "1:handle_connect_event=%d@1 "
		 "1:handle_write_event=%d@0 1:handle_error=0@0 ", -ECONNREFUSED, -ECONNREFUSED);
	expect(expected);
	close(holder);
}
END_TEST

START_TEST(end_of_the_data_is_reported)
{
	begin_watching(_i);
	close(peer);
	peer = -1;
	turn_until(probes_disposed == 1);
	expect("1:handle_close=0@2 1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

static const struct asyncore_dispatcher_type half_close_type = {
	.base = &probe_type,
	.flags = ASYNCORE_HALF_CLOSE,
};

START_TEST(end_of_the_data_that_calls_handle_eof_is_reported)
{
	int fd[2];

	begin(_i);
	watch();
	unix_pair(fd);
	know(&probe_new_typed(&half_close_type, fd[0], map)->dispatcher);
	close(fd[1]);
	turn_until(probes_disposed == 1);
	expect("1:handle_close=0@3 1:handle_eof=0@2 1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

START_TEST(error_is_reported_behind_what_raised_it)
{
	begin_watching(_i);
	p->on_read = raise_eio;
	put(peer, "x", 1);
	turn_until(probes_disposed == 1);
	expect("1:handle_read=-5@1 1:handle_read_event=-5@0 1:handle_error=0@0 ");
}
END_TEST

/* With use_poll it is no error. */
START_TEST(lost_connection_is_reported_as_what_it_calls)
{
	char expected[128];

	begin_watching(_i);
	p->on_read = raise_reset;
	put(peer, "x", 1);
	turn_until(probes_disposed == 1);
	snprintf(expected, sizeof expected,
		 "1:handle_read=%d@1 1:handle_read_event=%d@0 1:%s=0@0 ", -ECONNRESET,
		 -ECONNRESET, way == OWN_POLL2 ? "handle_close" : "handle_error");
	expect(expected);
}
END_TEST

static int handle_error_by_default(struct probe *self)
{
	return asyncore_dispatcher_handle_error(&self->dispatcher);
}

/* What is called up has no report of its own. */
START_TEST(handle_close_out_of_handle_error_is_reported)
{
	static const struct asyncore_dispatcher_type quiet_type = {
		.base = &probe_type,
		.log_info = log_info_kept,
	};
	int fd[2];

	begin(_i);
	unix_pair(fd);
	peer = fd[1];
	p = probe_new_typed(&quiet_type, fd[0], map);
	know(&p->dispatcher);
	watch();
	p->on_read = raise_eio;
	p->on_error = handle_error_by_default;
	put(peer, "x", 1);
	turn_until(probes_disposed == 1);
	expect("1:handle_read=-5@1 1:handle_read_event=-5@0 "
	       "1:handle_close=0@1 1:handle_error=0@0 ");
}
END_TEST

START_TEST(events_of_other_peoples_pollers_are_reported)
{
	begin_watching(OWN);
	p->on_read = ok;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_write(&p->dispatcher), 0);
	expect("1:handle_read=0@1 1:handle_read_event=0@0 "
	       "1:handle_write=0@1 1:handle_write_event=0@0 ");
	forget();
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLHUP), 0);
	expect("1:handle_read=0@1 1:handle_read_event=0@0 1:handle_close=0@0 ");
}
END_TEST

START_TEST(handler_that_main_calls_is_reported)
{
	begin_watching(OWN);
	p->on_read = raise_eio;
	ck_assert_int_eq(asyncore_handle_read(&p->dispatcher), -EIO);
	ck_assert_int_eq(asyncore_handle_write_event(&p->dispatcher), 0);
	expect("1:handle_read=-5@0 1:handle_write=0@1 1:handle_write_event=0@0 ");
}
END_TEST

static int leave(struct probe *self)
{
	(void)self;
	return ASYNCORE_EXIT_NOW;
}

START_TEST(depth_starts_anew_after_exit_now)
{
	char expected[128];
	int i;

	begin_watching(_i);
	p->on_read = leave;
	put(peer, "x", 1);
	snprintf(expected, sizeof expected, "1:handle_read=%d@1 1:handle_read_event=%d@0 ",
		 ASYNCORE_EXIT_NOW, ASYNCORE_EXIT_NOW);
	for (i = 0; i < 3; i++) {
		forget();
		ck_assert_int_eq(asyncore_loop(1.0, way == OWN_POLL2, map, -1),
				 ASYNCORE_EXIT_NOW);
		expect(expected);
	}
}
END_TEST

/* --- classes with output ---------------------------------------------------------------- */

static const struct asyncore_dispatcher_type sender_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.handle_close = asyncore_close,
};

START_TEST(dispatcher_with_send_is_reported)
{
	static char data[1000000];
	struct asyncore_dispatcher_with_send sender;
	int fd[2];

	begin(_i);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&sender, &sender_type, fd[0], map),
			 0);
	know(&sender.dispatcher);
	watch();
	ck_assert_int_eq(asyncore_send(&sender.dispatcher, data, sizeof data), sizeof data);
	expect("");
	take(fd[1], data, 60000);
	turn_until(reports > 0);
	expect("1:handle_write=0@1 1:handle_write_event=0@0 ");
	forget();
	close(fd[1]);
	turn_until(asyncore_map_size(map) == 0);
	ck_assert_ptr_nonnull(strstr(record, "1:handle_close=0@"));
}
END_TEST

static struct async_chat chat;
static int found_result, lines;

static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	return (int)len;
}

static int found(struct async_chat *self)
{
	(void)self;
	lines++;
	return found_result;
}

static int chat_error(struct asyncore_dispatcher *self)
{
	return asyncore_close(self);
}

static const struct async_chat_type chat_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .handle_error = chat_error },
	.collect_incoming_data = collect,
	.found_terminator = found,
};

static void start_chat(const struct async_chat_type *type)
{
	int fd[2];

	unix_pair(fd);
	peer = fd[1];
	ck_assert_int_eq(async_chat_init(&chat, type, fd[0], map), 0);
	ck_assert_int_eq(async_chat_set_terminator(&chat, "\r\n", 2), 0);
	know(&chat.dispatcher);
	found_result = lines = 0;
}

static void begin_watching_chat(int the_way)
{
	begin(the_way);
	watch();
	start_chat(&chat_type);
}

START_TEST(callbacks_of_async_chat_are_reported)
{
	begin_watching_chat(_i);
	put(peer, "one\r\n\r\ntwo\r\nthr", 15);
	turn_until(reports > 0);
	expect("1:collect_incoming_data=3@2 1:found_terminator=0@2 1:found_terminator=0@2 "
	       "1:collect_incoming_data=3@2 1:found_terminator=0@2 1:collect_incoming_data=3@2 "
	       "1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

START_TEST(callbacks_that_take_counted_data_are_reported)
{
	begin_watching_chat(_i);
	ck_assert_int_eq(async_chat_set_terminator_count(&chat, 4), 0);
	put(peer, "fourx", 5);
	turn_until(reports > 0);
	expect("1:collect_incoming_data=4@2 1:found_terminator=0@2 1:collect_incoming_data=1@2 "
	       "1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

START_TEST(callback_of_async_chat_that_raises_is_reported)
{
	begin_watching_chat(_i);
	found_result = -EIO;
	put(peer, "x\r\n", 3);
	turn_until(asyncore_map_size(map) == 0);
	expect("1:collect_incoming_data=1@2 1:found_terminator=-5@2 1:handle_read=-5@1 "
	       "1:handle_read_event=-5@0 1:handle_error=0@0 ");
}
END_TEST

START_TEST(close_mark_of_async_chat_is_reported)
{
	begin_watching_chat(_i);
	ck_assert_int_eq(async_chat_close_when_done(&chat), 0);
	turn_until(asyncore_map_size(map) == 0);
	expect("1:handle_close=0@2 1:handle_write=0@1 1:handle_write_event=0@0 ");
}
END_TEST

/* --- timers and posted calls ------------------------------------------------------------ */

static int returns_arg(struct asyncore_map *of, void *arg)
{
	(void)of;
	return *(int *)arg;
}

static int channel_returns_arg(struct asyncore_dispatcher *self, void *arg)
{
	(void)self;
	return *(int *)arg;
}

static int three = 3, minus_five = -5;

START_TEST(timers_are_reported)
{
	int every;

	begin_watching(_i);
	ck_assert(asyncore_call_later(map, 0.0, returns_arg, &three, NULL) > 0);
	turn_until(reports == 1);
	every = asyncore_call_every(map, 0.001, returns_arg, &three, NULL);
	turn_until(reports == 3);
	ck_assert_int_eq(asyncore_cancel(map, every), 0);
	expect("-:call_later=3@0 -:call_every=3@0 -:call_every=3@0 ");
}
END_TEST

START_TEST(timers_of_channels_are_reported)
{
	int every;

	begin_watching(_i);
	ck_assert(asyncore_channel_call_later(&p->dispatcher, 0.0, channel_returns_arg, &three,
					      NULL) > 0);
	turn_until(reports == 1);
	every = asyncore_channel_call_every(&p->dispatcher, 0.001, channel_returns_arg, &three,
					    NULL);
	turn_until(reports == 2);
	ck_assert_int_eq(asyncore_cancel(map, every), 0);
	ck_assert(asyncore_channel_call_later(&p->dispatcher, 0.0, channel_returns_arg, &minus_five,
					      NULL) > 0);
	turn_until(probes_disposed == 1);
	expect("1:call_later=3@0 1:call_every=3@0 1:call_later=-5@0 1:handle_error=0@0 ");
}
END_TEST

static int close_channel(struct asyncore_dispatcher *self, void *arg)
{
	(void)arg;
	return asyncore_handle_close(self);
}

START_TEST(timer_that_closes_its_channel_is_reported)
{
	begin_watching(_i);
	ck_assert(asyncore_channel_call_later(&p->dispatcher, 0.0, close_channel, NULL,
					      NULL) > 0);
	turn_until(probes_disposed == 1);
	expect("1:handle_close=0@1 1:call_later=0@0 ");
}
END_TEST

START_TEST(idle_timeout_is_reported)
{
	begin_watching(_i);
	ck_assert_int_eq(asyncore_set_idle_timeout(&p->dispatcher, 0.001), 0);
	turn_until(probes_disposed == 1);
	expect("1:handle_close=0@1 1:handle_timeout=0@0 ");
}
END_TEST

START_TEST(posted_calls_are_reported)
{
	struct asyncore_poster *poster;

	begin_watching(_i);
	poster = asyncore_poster_new(map);
	ck_assert_int_eq(asyncore_call_soon(poster, returns_arg, &three, NULL), 0);
	ck_assert_int_eq(asyncore_call_soon(poster, returns_arg, &three, NULL), 0);
	turn_until(reports == 2);
	expect("-:call_soon=3@0 -:call_soon=3@0 ");
	asyncore_poster_unref(poster);
}
END_TEST

START_TEST(pulled_trigger_is_reported_once)
{
	struct asyncore_trigger *trigger;

	begin_watching(_i);
	trigger = asyncore_trigger_new(map, returns_arg, &three, NULL);
	ck_assert_int_eq(asyncore_trigger_pull(trigger), 0);
	ck_assert_int_eq(asyncore_trigger_pull(trigger), 0);
	turn_until(reports == 1);
	turn();
	ck_assert_int_eq(reports, 1);
	expect_last("=3@0 ");
	ck_assert_int_eq(record[0], '-');
	asyncore_trigger_free(trigger);
}
END_TEST

/* --- watching changes nothing ----------------------------------------------------------- */

static int accept_echo(struct probe *self, int fd);

static int echo(struct probe *self)
{
	int n = asyncore_recv(&self->dispatcher, self->data, sizeof self->data);

	if (n > 0 && self->data[0] == 'e')
		return -EIO;
	return n > 0 ? asyncore_send(&self->dispatcher, self->data, (size_t)n) : n;
}

static int accept_echo(struct probe *self, int fd)
{
	struct probe *new = probe_new(fd, asyncore_map(&self->dispatcher));

	new->on_read = echo;
	return 0;
}

/* A server, clients of all fates, and a timer between them; what the probes noticed. */
static const char *play(bool watched)
{
	struct probe *server;
	int fd[6], i, port, listener = tcp_listener(&port);
	struct sockaddr_in addr = loopback(port);
	static char said[2][sizeof trace];

	trace_reset();
	server = probe_new(listener, map);
	server->on_accepted = accept_echo;
	asyncore_set_accepting(&server->dispatcher, true);
	if (watched)
		watch();
	for (i = 0; i < 6; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fd[i], (struct sockaddr *)&addr, sizeof addr), 0);
		turn_until(server->accepteds == i + 1);
	}
	for (i = 5; i >= 0; i--)
		put(fd[i], i == 3 ? "error" : "hello", 5);
	turn_until(asyncore_map_size(map) == 6);
	reset_on_close(fd[1]);
	close(fd[1]);
	turn_until(asyncore_map_size(map) == 5);
	ck_assert_int_eq(send(fd[2], "!", 1, MSG_OOB), 1);
	turn_until(strstr(trace, "expt") != NULL);
	ck_assert_int_eq(asyncore_close_all(map, false), 0);
	watch_not();
	for (i = 0; i < 6; i++)
		if (i != 1)
			close(fd[i]);
	return strcpy(said[watched], trace);
}

START_TEST(handlers_are_the_same_ones_in_the_same_order)
{
	begin(_i);
	play(false);
	expect("");
	ck_assert_str_eq(play(false), play(true));
	ck_assert_int_gt(reports, 20);
}
END_TEST

/* --- switching it on and off ------------------------------------------------------------ */

static int switch_on(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	watch();
	return 0;
}

static int switch_off(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	watch_not();
	return 0;
}

/* Two channels are ready in one pass, and the first handler does this. */
static void begin_with_two(int the_way, int (*what)(struct probe *))
{
	begin(the_way);
	p = another(&peer);
	p->on_read = what;
	another(&other);
	put(peer, "x", 1);
	put(other, "x", 1);
}

START_TEST(switched_on_by_a_handler_it_reports_the_next)
{
	begin_with_two(_i, switch_on);
	turn_until(reports >= 2);
	expect_last("2:handle_read=1@1 2:handle_read_event=1@0 ");
	forget();
	p->on_read = NULL;
	put(peer, "x", 1);
	turn_until(reports >= 2);
	expect("1:handle_read=1@1 1:handle_read_event=1@0 ");
}
END_TEST

static int collect_and_switch_on(struct async_chat *self, const void *data, size_t len)
{
	watch();
	return collect(self, data, len);
}

static const struct async_chat_type switching_type = {
	.dispatcher = { .base = &chat_type.dispatcher },
	.collect_incoming_data = collect_and_switch_on,
};

START_TEST(switched_on_by_a_callback_of_async_chat_it_reports_the_next_event)
{
	begin(_i);
	start_chat(&switching_type);
	put(peer, "one\r\n", 5);
	turn_until(lines == 1);
	forget();
	put(peer, "two\r\n", 5);
	turn_until(lines == 2);
	expect("1:collect_incoming_data=3@2 1:found_terminator=0@2 1:handle_read=0@1 "
	       "1:handle_read_event=0@0 ");
}
END_TEST

START_TEST(switched_off_by_a_handler_it_reports_nothing_more)
{
	begin_with_two(_i, switch_off);
	watch();
	turn_until(p->reads == 1);
	turn();
	expect("");
}
END_TEST

START_TEST(switched_off_and_on_again_it_reports_everything)
{
	int i;

	begin_watching(_i);
	for (i = 0; i < 3; i++) {
		watch_not();
		watch_not();
		put(peer, "x", 1);
		turn_until(p->reads == 2 * i + 1);
		expect("");
		watch();
		watch();
		put(peer, "x", 1);
		turn_until(p->reads == 2 * i + 2);
		expect("1:handle_read=1@1 1:handle_read_event=1@0 ");
		forget();
	}
}
END_TEST

static void once(struct asyncore_map *of, const struct asyncore_trace *call, void *arg)
{
	write_down(of, call, arg);
	watch_not();
}

START_TEST(callback_may_clear_itself)
{
	begin_watching(_i);
	ck_assert_int_eq(asyncore_map_set_trace_cb(map, once, &record), 0);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	expect("1:handle_read=1@1 ");
	put(peer, "x", 1);
	turn_until(p->reads == 2);
	expect("1:handle_read=1@1 ");
}
END_TEST

static void pass_on(struct asyncore_map *of, const struct asyncore_trace *call, void *arg)
{
	write_down(of, call, arg);
	strcat(record, "then ");
	watch();
}

START_TEST(callback_may_set_another)
{
	begin_watching(_i);
	ck_assert_int_eq(asyncore_map_set_trace_cb(map, pass_on, &record), 0);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	expect("1:handle_read=1@1 then 1:handle_read_event=1@0 ");
}
END_TEST

START_TEST(channel_that_comes_later_is_watched)
{
	begin_watching(_i);
	another(&other);
	put(other, "x", 1);
	turn_until(reports == 2);
	expect("2:handle_read=1@1 2:handle_read_event=1@0 ");
}
END_TEST

START_TEST(channel_out_of_the_map_is_watched_as_its_map_is)
{
	begin_watching(_i);
	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	watch_not();
	ck_assert_int_eq(asyncore_handle_write(&p->dispatcher), 0);
	expect("");
	watch();
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), 0);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	expect("1:handle_read=1@1 1:handle_read_event=1@0 ");
	asyncore_unref(&p->dispatcher);
}
END_TEST

START_TEST(channel_that_moves_is_watched_as_its_map_is)
{
	struct asyncore_map *second = asyncore_map_new(NULL);
	int i;

	begin(_i);
	watch();
	p = probe_and_peer(second, &peer);
	know(&p->dispatcher);
	for (i = 0; i < 2; i++) {
		put(peer, "x", 1);
		ck_assert_int_eq(asyncore_poll(1.0, second), 0);
		ck_assert_int_eq(p->reads, 2 * i + 1);
		expect("");
		ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
		ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, map), 0);
		put(peer, "x", 1);
		turn_until(p->reads == 2 * i + 2);
		expect("1:handle_read=1@1 1:handle_read_event=1@0 ");
		forget();
		ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
		ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, second), 0);
	}
	ck_assert_int_eq(asyncore_map_free(second), 0);
}
END_TEST

static int move_to_arg(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	asyncore_del_channel(&self->dispatcher, NULL);
	return asyncore_add_channel(&self->dispatcher, self->arg);
}

/* Whichever map its own call is reported to; what comes is its new map's. */
START_TEST(channel_may_move_in_a_call_that_is_watched)
{
	struct asyncore_map *second = asyncore_map_new(NULL);

	begin_watching(_i);
	p->on_read = move_to_arg;
	p->arg = second;
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	forget();
	p->arg = map;
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll(1.0, second), 0);
	ck_assert_int_eq(p->reads, 2);
	expect("");
	p->on_read = NULL;
	put(peer, "x", 1);
	turn_until(p->reads == 3);
	expect("1:handle_read=1@1 1:handle_read_event=1@0 ");
	ck_assert_int_eq(asyncore_map_free(second), 0);
}
END_TEST

START_TEST(default_map_may_be_watched)
{
	begin(OWN);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	map = NULL;
	ck_assert_int_eq(asyncore_map_set_trace_cb(NULL, NULL, NULL), 0);
	ck_assert_int_eq(asyncore_map_set_slow_cb(NULL, 0.0, NULL, NULL), 0);
	p = another(&peer);
	watch();
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	expect("1:handle_read=1@1 1:handle_read_event=1@0 ");
}
END_TEST

/* --- channels that end in a call that is watched ---------------------------------------- */

static void look_at_closed(struct asyncore_map *of, const struct asyncore_trace *call, void *arg)
{
	char text[256];

	write_down(of, call, arg);
	ck_assert_int_eq(asyncore_socket(call->channel), -1);
	ck_assert_int_eq(asyncore_fileno(call->channel), -1);
	ck_assert_int_gt(asyncore_repr(call->channel, text, sizeof text), 0);
	ck_assert_int_eq(probes_disposed, 0);
}

START_TEST(channel_that_closed_itself_is_still_there)
{
	begin_watching(_i);
	ck_assert_int_eq(asyncore_map_set_trace_cb(map, look_at_closed, &record), 0);
	p->on_read = close_self;
	put(peer, "x", 1);
	turn_until(probes_disposed == 1);
	expect("1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

static int close_all(struct probe *self)
{
	return asyncore_close_all(asyncore_map(&self->dispatcher), true);
}

START_TEST(channels_that_another_closed_are_not_reported)
{
	begin_with_two(_i, close_all);
	watch();
	turn_until(probes_disposed == 2);
	expect("1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

static int read_nested(struct probe *self)
{
	asyncore_recv(&self->dispatcher, self->data, 1);
	return asyncore_poll(1.0, asyncore_map(&self->dispatcher));
}

/* A nested pass delivers to the second, which closes itself. */
START_TEST(calls_of_a_nested_pass_come_before_the_one_around_them)
{
	begin(_i);
	p = another(&peer);
	p->on_read = read_nested;
	another(&other)->on_read = close_self;
	put(peer, "x", 1);
	put(other, "x", 1);
	watch();
	turn_until(probes_disposed == 1);
	ck_assert_int_eq(reports, 4);
	ck_assert_int_eq(strncmp(record, "2:handle_read=0@", 16), 0);
	expect_last("1:handle_read=0@1 1:handle_read_event=0@0 ");
}
END_TEST

/* --- time ------------------------------------------------------------------------------- */

static const double BUSY = 0.003;

static void be_busy(void)
{
	struct timespec start, t;
	double passed;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		clock_gettime(CLOCK_MONOTONIC, &t);
		passed = (double)(t.tv_sec - start.tv_sec) +
			 (double)(t.tv_nsec - start.tv_nsec) / 1e9;
	} while (passed < BUSY);
}

static int read_busily(struct probe *self)
{
	be_busy();
	return asyncore_recv(&self->dispatcher, self->data, 1);
}

static int call_busily(struct asyncore_map *of, void *arg)
{
	(void)of, (void)arg;
	be_busy();
	return 0;
}

START_TEST(time_spent_is_reported)
{
	begin_watching(_i);
	p->on_read = read_busily;
	put(peer, "x", 1);
	ck_assert(asyncore_call_later(map, 0.0, call_busily, NULL, NULL) > 0);
	turn_until(reports == 3);
	expect("1:handle_read=1@1 1:handle_read_event=1@0 -:call_later=0@0 ");
	ck_assert_double_ge(seconds_of[0], BUSY);
	ck_assert_double_ge(seconds_of[1], seconds_of[0]);
	ck_assert_double_ge(seconds_of[2], BUSY);
}
END_TEST

static void watch_slow(double limit)
{
	ck_assert_int_eq(asyncore_map_set_slow_cb(map, limit, write_down, &record), 0);
}

START_TEST(slow_calls_of_the_loop_alone_are_reported)
{
	struct asyncore_poster *poster;

	begin(_i);
	p = another(&peer);
	p->on_read = read_busily;
	watch_slow(BUSY / 2);
	put(peer, "x", 1);
	turn_until(reports == 1);
	expect("1:handle_read_event=1@0 ");
	ck_assert_double_ge(seconds_of[0], BUSY);
	ck_assert(asyncore_call_later(map, 0.0, call_busily, NULL, NULL) > 0);
	turn_until(reports == 2);
	poster = asyncore_poster_new(map);
	ck_assert_int_eq(asyncore_call_soon(poster, call_busily, NULL, NULL), 0);
	turn_until(reports == 3);
	expect("1:handle_read_event=1@0 -:call_later=0@0 -:call_soon=0@0 ");
	asyncore_poster_unref(poster);
}
END_TEST

START_TEST(calls_below_the_limit_are_not_reported)
{
	begin(_i);
	p = another(&peer);
	p->on_read = read_busily;
	watch_slow(1000.0);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	watch_slow(INFINITY);
	put(peer, "x", 1);
	turn_until(p->reads == 2);
	expect("");
	watch_slow(0.0);
	put(peer, "x", 1);
	turn_until(p->reads == 3);
	expect("1:handle_read_event=1@0 ");
	ck_assert_int_eq(asyncore_map_set_slow_cb(map, 0.0, NULL, NULL), 0);
	put(peer, "x", 1);
	turn_until(p->reads == 4);
	expect("1:handle_read_event=1@0 ");
}
END_TEST

START_TEST(bad_limit_changes_nothing)
{
	begin(OWN);
	p = another(&peer);
	p->on_read = read_busily;
	watch_slow(0.0);
	ck_assert_int_eq(asyncore_map_set_slow_cb(map, -1.0, NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_map_set_slow_cb(map, NAN, once, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_map_set_slow_cb(map, -INFINITY, NULL, NULL), -EINVAL);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	expect("1:handle_read_event=1@0 ");
}
END_TEST

START_TEST(both_callbacks_may_be_set)
{
	begin_watching(_i);
	p->on_read = read_busily;
	watch_slow(BUSY / 2);
	put(peer, "x", 1);
	turn_until(p->reads == 1);
	expect("1:handle_read=1@1 1:handle_read_event=1@0 1:handle_read_event=1@0 ");
	ck_assert_double_eq(seconds_of[1], seconds_of[2]);
	forget();
	watch_not();
	put(peer, "x", 1);
	turn_until(p->reads == 2);
	expect("1:handle_read_event=1@0 ");
}
END_TEST

/* --- the suite -------------------------------------------------------------------------- */

static TCase *trace_case(Suite *suite, const char *name)
{
	TCase *tc = suite_case(suite, name);

	tcase_add_checked_fixture(tc, NULL, end);
	return tc;
}

#define ADD(tc, test) tcase_add_loop_test(tc, test, 0, WAYS)

static void add_cases(Suite *suite)
{
	TCase *tc = trace_case(suite, "what is reported");

	ADD(tc, read_event_is_reported_after_the_handler);
	ADD(tc, write_event_is_reported);
	ADD(tc, urgent_data_is_reported);
	ADD(tc, connect_and_accept_are_reported);
	ADD(tc, connect_that_fails_is_reported);
	ADD(tc, end_of_the_data_is_reported);
	ADD(tc, end_of_the_data_that_calls_handle_eof_is_reported);
	ADD(tc, error_is_reported_behind_what_raised_it);
	ADD(tc, lost_connection_is_reported_as_what_it_calls);
	ADD(tc, handle_close_out_of_handle_error_is_reported);
	tcase_add_test(tc, events_of_other_peoples_pollers_are_reported);
	tcase_add_test(tc, handler_that_main_calls_is_reported);
	tcase_add_loop_test(tc, depth_starts_anew_after_exit_now, 0, DISPATCHED);
	ADD(tc, dispatcher_with_send_is_reported);
	ADD(tc, callbacks_of_async_chat_are_reported);
	ADD(tc, callbacks_that_take_counted_data_are_reported);
	ADD(tc, callback_of_async_chat_that_raises_is_reported);
	ADD(tc, close_mark_of_async_chat_is_reported);
	ADD(tc, timers_are_reported);
	ADD(tc, timers_of_channels_are_reported);
	ADD(tc, timer_that_closes_its_channel_is_reported);
	ADD(tc, idle_timeout_is_reported);
	ADD(tc, posted_calls_are_reported);
	ADD(tc, pulled_trigger_is_reported_once);

	tc = trace_case(suite, "on and off");
	ADD(tc, handlers_are_the_same_ones_in_the_same_order);
	ADD(tc, switched_on_by_a_handler_it_reports_the_next);
	ADD(tc, switched_on_by_a_callback_of_async_chat_it_reports_the_next_event);
	ADD(tc, switched_off_by_a_handler_it_reports_nothing_more);
	ADD(tc, switched_off_and_on_again_it_reports_everything);
	ADD(tc, callback_may_clear_itself);
	ADD(tc, callback_may_set_another);
	ADD(tc, channel_that_comes_later_is_watched);
	ADD(tc, channel_out_of_the_map_is_watched_as_its_map_is);
	ADD(tc, channel_that_moves_is_watched_as_its_map_is);
	ADD(tc, channel_may_move_in_a_call_that_is_watched);
	tcase_add_test(tc, default_map_may_be_watched);

	tc = trace_case(suite, "channels that end");
	ADD(tc, channel_that_closed_itself_is_still_there);
	ADD(tc, channels_that_another_closed_are_not_reported);
	tcase_add_loop_test(tc, calls_of_a_nested_pass_come_before_the_one_around_them, 0,
			    DISPATCHED);

	tc = trace_case(suite, "time");
	ADD(tc, time_spent_is_reported);
	ADD(tc, slow_calls_of_the_loop_alone_are_reported);
	ADD(tc, calls_below_the_limit_are_not_reported);
	tcase_add_test(tc, bad_limit_changes_nothing);
	ADD(tc, both_callbacks_may_be_set);
}

SUITE_MAIN("trace", add_cases)
