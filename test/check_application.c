/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_application.c - a map as one guest among others on the application's base: beside
 * bufferevents, listeners, timers and signals, in every way of running a base, at any
 * priority, and what the application is told.  Nobody but the application runs the base;
 * where a pass of ours is tested, the name says so.
 */

#include "support.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

/* --- helpers ------------------------------------------------------------------------ */

static struct event_base *base;
static struct asyncore_map *map;
static struct asyncore_poster *poster;
static struct asyncore_trigger *trigger;

/* The other ends of the channels that channel_in() made: that of number n is peer[n - 1]. */
static int peer[64], npeers;

static void begin_with(int backend, int priorities)
{
	npeers = 0;
	base = backend_base(backend);
	if (priorities > 1)
		ck_assert_int_eq(event_base_priority_init(base, priorities), 0);
	map = asyncore_map_new(base);
	ck_assert_ptr_nonnull(map);
}

static void begin(int backend)
{
	begin_with(backend, 1);
}

static void end(void)
{
	if (map != NULL)
		ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
	close_peers(peer, npeers);
}

static struct probe *channel_in(struct asyncore_map *where)
{
	return probe_and_peer(where, &peer[npeers++]);
}

/* A channel of the map; a channel that has a byte to read. */
static struct probe *channel(void)
{
	return channel_in(map);
}

static void give(const struct probe *p)
{
	put(peer[p->id - 1], "x", 1);
}

static struct probe *ready_channel(struct asyncore_map *where, int (*on_read)(struct probe *))
{
	struct probe *p = channel_in(where);

	p->on_read = on_read;
	give(p);
	return p;
}

/* Once round the application's loop, without waiting; false when nothing is left that could
 * ever happen there. */
static bool turn(void)
{
	int r;

	alarm(10);
	r = event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	alarm(0);
	ck_assert_int_ge(r, 0);
	return r == 0;
}

/* The application's loop until it ends, which must not take until a helper of the library
 * is due. */
static void dispatch(void)
{
	alarm(10);
	ck_assert_int_ge(event_base_dispatch(base), 0);
	alarm(0);
}

/* Have the application call something, in so many milliseconds. */
static void after(int ms, event_callback_fn callback, void *arg)
{
	const struct timeval tv = { 0, ms * 1000 };

	ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, callback, arg, &tv), 0);
}

/* Something of the application's that is always ready: it stops at `limit` calls. */
struct spinner {
	struct event *ev;
	int fd[2], calls, limit;
	void (*on_call)(struct spinner *);
};

static void spin(evutil_socket_t fd, short what, void *arg)
{
	struct spinner *s = arg;

	(void)fd, (void)what;
	s->calls++;
	if (s->on_call != NULL)
		s->on_call(s);
	if (s->calls >= s->limit)
		event_del(s->ev);
}

static void spinner_start(struct spinner *s, int priority, int limit)
{
	*s = (struct spinner){ .limit = limit };
	unix_pair(s->fd);
	put(s->fd[1], "x", 1);
	s->ev = event_new(base, s->fd[0], EV_READ | EV_PERSIST, spin, s);
	ck_assert_ptr_nonnull(s->ev);
	ck_assert_int_eq(event_priority_set(s->ev, priority), 0);
	ck_assert_int_eq(event_add(s->ev, NULL), 0);
}

static void spinner_end(struct spinner *s)
{
	event_free(s->ev);
	close_peers(s->fd, 2);
}

/* What is noted down when it is called: the argument of these calls. */
static const char *app = "app", *in_time = "timer", *afterwards = "later", *posted_call = "posted",
		  *never = "never", *every = "tick", *nothing = "", *of_a = "-a", *of_b = "-b";

static void app_note(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	trace_call("%s ", *(const char **)arg);
}

static int note(struct asyncore_map *m, void *arg)
{
	(void)m;
	trace_call("%s ", *(const char **)arg);
	return 0;
}

static void note_empty(struct asyncore_map *m, void *arg)
{
	(void)m;
	trace_call("empty%s ", *(const char **)arg);
}

static int close_self(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

static int ok(struct probe *p)
{
	(void)p;
	return 0;
}

static int echo(struct probe *p)
{
	int n = asyncore_recv(&p->dispatcher, p->data, sizeof p->data);

	return n > 0 ? asyncore_send(&p->dispatcher, p->data, (size_t)n) : n;
}

/* --- beside the application's own things -------------------------------------------- */

enum { ROUNDS = 50, PAIRS = 5 };

static void bufferevent_echo(struct bufferevent *bev, void *arg)
{
	++*(int *)arg;
	bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void bufferevent_gone(struct bufferevent *bev, short what, void *arg)
{
	(void)arg;
	ck_assert_int_ne(what & BEV_EVENT_EOF, 0);
	bufferevent_free(bev);
}

static struct bufferevent *bufferevent_on(int fd, bufferevent_data_cb read_cb, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

	ck_assert_ptr_nonnull(bev);
	bufferevent_setcb(bev, read_cb, NULL, bufferevent_gone, arg);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	return bev;
}

static int echo_rounds(struct probe *p)
{
	int r = echo(p);

	return p->reads < ROUNDS ? r : asyncore_close(&p->dispatcher);
}

START_TEST(echoes_of_bufferevents_and_channels_talk_to_each_other)
{
	int fd[2], i, calls = 0;

	begin(_i);
	for (i = 0; i < PAIRS; i++) {
		tcp_pair(fd);
		probe_new(fd[0], map)->on_read = echo_rounds;
		bufferevent_write(bufferevent_on(fd[1], bufferevent_echo, &calls), "x", 1);
	}
	dispatch();
	ck_assert_int_ge(calls, PAIRS * (ROUNDS - 1));
	ck_assert_int_eq(probes_disposed, PAIRS);
	end();
}
END_TEST

static void make_channel(struct evconnlistener *listener, evutil_socket_t fd,
			 struct sockaddr *addr, int len, void *arg)
{
	int *expected = arg;

	(void)addr, (void)len;
	probe_new(fd, map)->on_read = echo;
	if (--*expected == 0)
		evconnlistener_free(listener);
}

static int say_hello(struct probe *p)
{
	p->wants_write = 0;
	return asyncore_send(&p->dispatcher, "hello", 5);
}

static int take_answer(struct probe *p)
{
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, p->data, sizeof p->data), 5);
	ck_assert_str_eq(p->data, "hello");
	++*(int *)p->arg;
	return asyncore_close(&p->dispatcher);
}

START_TEST(callback_of_a_listener_of_libevent_makes_channels)
{
	int port, fd, i, expected = 3, answers = 0;
	struct probe *p;

	begin(_i);
	fd = tcp_listener(&port);
	ck_assert_ptr_nonnull(evconnlistener_new(base, make_channel, &expected,
						 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
						 0, fd));
	for (i = 0; i < 3; i++) {
		p = probe_new(-1, map);
		p->wants_write = 1;
		p->on_connect = say_hello;
		p->on_read = take_answer;
		p->arg = &answers;
		ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
		ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	}
	dispatch();
	ck_assert_int_eq(expected, 0);
	ck_assert_int_eq(answers, 3);
	ck_assert_int_eq(probes_disposed, 6);
	end();
}
END_TEST

static int raise_signal(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
	return raise(SIGUSR1);
}

static struct event *signal_event;

/* Twice something to read, and then the end of the channel. */
static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct probe *p = arg;

	(void)what;
	ck_assert_int_eq(signo, SIGUSR1);
	trace_call("signal ");
	if (p->reads < 3) {
		give(p);
		return;
	}
	event_del(signal_event);
	asyncore_close(&p->dispatcher);
}

START_TEST(signal_events_and_channels_cause_each_other)
{
	struct probe *p;

	begin(_i);
	p = ready_channel(map, raise_signal);
	signal_event = evsignal_new(base, SIGUSR1, on_signal, p);
	ck_assert_int_eq(event_add(signal_event, NULL), 0);
	dispatch();
	ck_assert_str_eq(trace, "read 1 signal read 1 signal read 1 signal ");
	event_free(signal_event);
	end();
}
END_TEST

static void set_ours(evutil_socket_t fd, short what, void *arg);

static int set_the_applications(struct asyncore_map *m, void *arg)
{
	(void)m;
	trace_call("ours ");
	after(1, set_ours, arg);
	return 0;
}

static void set_ours(evutil_socket_t fd, short what, void *arg)
{
	int *rounds = arg;

	(void)fd, (void)what;
	trace_call("theirs ");
	if ((*rounds)-- > 0)
		ck_assert_int_gt(asyncore_call_later(map, 0.001, set_the_applications, arg, NULL),
				 0);
}

START_TEST(timers_of_both_set_each_other)
{
	int rounds = 3;

	begin(_i);
	after(1, set_ours, &rounds);
	dispatch();
	ck_assert_str_eq(trace, "theirs ours theirs ours theirs ours theirs ");
	end();
}
END_TEST

START_TEST(base_with_a_changelist_is_refused_and_stays_usable)
{
	struct event_config *config = event_config_new();

	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV |
			      EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	errno = 0;
	ck_assert_ptr_null(asyncore_map_new(base));
	ck_assert_int_eq(errno, ENOTSUP);
	after(1, app_note, &app);
	dispatch();
	ck_assert_str_eq(trace, "app ");
	event_base_free(base);
}
END_TEST

/* --- the ways of running a base ----------------------------------------------------- */

START_TEST(each_turn_of_once_serves_what_came)
{
	struct probe *p;
	int i;

	begin(_i);
	p = channel();
	turn();
	for (i = 1; i <= 5; i++) {
		give(p);
		alarm(10);
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
		alarm(0);
		ck_assert_int_eq(p->reads, i);
	}
	end();
}
END_TEST

/* A byte to the channel at the other end, one less each time. */
static int bounce(struct probe *p)
{
	char c;

	ck_assert_int_eq(asyncore_recv(&p->dispatcher, &c, 1), 1);
	return c-- > 'a' ? asyncore_send(&p->dispatcher, &c, 1) : 0;
}

START_TEST(nonblock_runs_until_nothing_is_ready)
{
	struct probe *p[2];
	int fd[2], i;

	begin(_i);
	unix_pair(fd);
	for (i = 0; i < 2; i++) {
		p[i] = probe_new(fd[i], map);
		p[i]->on_read = bounce;
	}
	turn();
	ck_assert_int_eq(asyncore_send(&p[0]->dispatcher, "j", 1), 1);
	alarm(10);
	ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	alarm(0);
	ck_assert_int_eq(p[0]->reads, 5);
	ck_assert_int_eq(p[1]->reads, 5);
	end();
}
END_TEST

START_TEST(turn_that_does_not_wait_finds_nothing_to_do)
{
	begin(_i);
	channel();
	asyncore_call_later(map, 60.0, note, &in_time, NULL);
	ck_assert(turn());
	ck_assert(turn());
	ck_assert_str_eq(trace, "");
	end();
}
END_TEST

static int exit_loop(struct probe *p)
{
	ck_assert_int_eq(event_base_loopexit(base, NULL), 0);
	return asyncore_close(&p->dispatcher);
}

static void add_last(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	ready_channel(map, exit_loop);
}

static int be_replaced_later(struct probe *p)
{
	after(5, add_last, NULL);
	return asyncore_close(&p->dispatcher);
}

START_TEST(loop_that_outlives_its_events_serves_channels_that_come_later)
{
	begin(_i);
	ready_channel(map, be_replaced_later);
	alarm(10);
	ck_assert_int_eq(event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY), 0);
	alarm(0);
	ck_assert_int_ne(event_base_got_exit(base), 0);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	ck_assert_int_eq(probes_disposed, 2);
	end();
}
END_TEST

static int break_loop(struct probe *p)
{
	event_base_loopbreak(base);
	return asyncore_recv(&p->dispatcher, p->data + p->len++, 1);
}

static int break_from_a_timer(struct asyncore_map *m, void *arg)
{
	(void)m, (void)arg;
	trace_call("timer ");
	return event_base_loopbreak(base);
}

START_TEST(loop_broken_by_a_handler_or_a_timer_goes_on_where_it_was)
{
	struct probe *p[3];
	int i;

	begin(_i);
	for (i = 0; i < 3; i++)
		p[i] = ready_channel(map, break_loop);
	for (i = 0; i < 3 && p[0]->len + p[1]->len + p[2]->len < 3; i++) {
		dispatch();
		ck_assert_int_ne(event_base_got_break(base), 0);
	}
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(p[i]->len, 1);

	asyncore_call_later(map, 0.0, break_from_a_timer, NULL, NULL);
	asyncore_call_later(map, 0.001, note, &afterwards, NULL);
	dispatch();
	ck_assert_int_ne(event_base_got_break(base), 0);
	for (i = 0; i < 3; i++) {
		p[i]->on_read = close_self;
		give(p[i]);
	}
	dispatch();
	ck_assert_int_eq(probes_disposed, 3);
	ck_assert_ptr_nonnull(strstr(trace, "timer "));
	ck_assert_ptr_nonnull(strstr(trace, "later "));
	end();
}
END_TEST

static void continue_loop(struct spinner *s)
{
	(void)s;
	event_base_loopcontinue(base);
}

START_TEST(application_that_continues_its_loop_early_delays_nobody)
{
	struct spinner s;
	int i;

	begin(_i);
	spinner_start(&s, 0, 1000);
	s.on_call = continue_loop;
	for (i = 0; i < 5; i++)
		ready_channel(map, close_self);
	asyncore_call_later(map, 0.0, note, &in_time, NULL);
	while (s.calls < 500)
		turn();
	ck_assert_int_eq(probes_disposed, 5);
	ck_assert_ptr_nonnull(strstr(trace, "timer "));
	spinner_end(&s);
	end();
}
END_TEST

/* libevent may be told to look for other events after every single callback. */
START_TEST(base_that_runs_one_callback_at_a_time_serves_all)
{
	struct event_config *config = event_config_new();
	int i;

	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	event_config_set_max_dispatch_interval(config, NULL, 1, 0);
	npeers = 0;
	base = event_base_new_with_config(config);
	event_config_free(config);
	map = asyncore_map_new(base);
	for (i = 0; i < 5; i++)
		ready_channel(map, close_self);
	asyncore_call_later(map, 0.0, note, &in_time, NULL);
	dispatch();
	ck_assert_int_eq(probes_disposed, 5);
	ck_assert_ptr_nonnull(strstr(trace, "timer "));
	end();
}
END_TEST

/* Calls that were set for one kind of loop run, once, in the other. */
START_TEST(timers_and_posted_calls_do_not_mind_who_runs_the_base)
{
	const bool ours_first = _i >= BACKENDS;
	int i;

	begin(_i % BACKENDS);
	channel();
	poster = asyncore_poster_new(map);
	for (i = 0; i < 3; i++) {
		trace[0] = '\0';
		asyncore_call_later(map, 0.002, note, &in_time, NULL);
		if (ours_first)
			step(map);
		else
			turn();
		asyncore_call_soon(poster, note, &posted_call, NULL);
		alarm(10);
		while (strlen(trace) < strlen("timer posted ")) {
			if (ours_first)
				ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
			else
				ck_assert_int_eq(asyncore_poll(-1.0, map), 0);
		}
		alarm(0);
	}
	asyncore_poster_unref(poster);
	end();
}
END_TEST

/* --- priorities --------------------------------------------------------------------- */

START_TEST(priority_is_the_middle_one_until_it_is_set)
{
	int n, k;

	for (n = 1; n <= 5; n++) {
		begin_with(_i, n);
		ck_assert_int_eq(asyncore_map_priority(map), n / 2);
		for (k = 0; k < n; k++) {
			ck_assert_int_eq(asyncore_map_set_priority(map, k), 0);
			ck_assert_int_eq(asyncore_map_priority(map), k);
		}
		ck_assert_int_eq(asyncore_map_set_priority(map, -1), -EINVAL);
		ck_assert_int_eq(asyncore_map_set_priority(map, n), -EINVAL);
		ck_assert_int_eq(asyncore_map_priority(map), n - 1);
		end();
	}
	/* A base that gets its priorities when the map is there. */
	begin(_i);
	ck_assert_int_eq(event_base_priority_init(base, 3), 0);
	ck_assert_int_eq(asyncore_map_priority(map), 0);
	ck_assert_int_eq(asyncore_map_set_priority(map, 2), 0);
	end();
}
END_TEST

START_TEST(map_on_a_base_of_its_own_has_one_priority_and_is_not_attached)
{
	struct asyncore_map *own = asyncore_map_new(NULL);

	ck_assert(!asyncore_map_attached(own));
	ck_assert_int_eq(asyncore_map_priority(own), 0);
	ck_assert_int_eq(asyncore_map_set_priority(own, 0), 0);
	ck_assert_int_eq(asyncore_map_set_priority(own, 1), -EINVAL);
	asyncore_map_free(own);
	ck_assert(!asyncore_map_attached(NULL));
	ck_assert_int_eq(asyncore_map_priority(NULL), 0);
	ck_assert_int_eq(asyncore_map_set_timeout(NULL, 1.0), 0);
	ck_assert_int_eq(asyncore_map_set_empty_cb(NULL, note_empty, &nothing), 0);
	ck_assert_int_eq(asyncore_map_set_exit_cb(NULL, NULL, NULL), 0);

	begin(0);
	ck_assert(asyncore_map_attached(map));
	end();
}
END_TEST

static int set_priority(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	return asyncore_map_set_priority(map, *(const int *)p->arg);
}

static void take_one(evutil_socket_t fd, short what, void *arg)
{
	char c;

	take(fd, &c, 1);
	app_note(fd, what, arg);
}

/* Before and behind the application's; set by main() and by a handler; channels that were
 * there before and that come later. */
START_TEST(events_come_in_the_order_of_priorities)
{
	const bool first = _i / BACKENDS % 2, by_handler = _i / BACKENDS / 2;
	struct probe *before, *later;
	struct event *ev;
	int priority = first ? 0 : 2, mine[2];

	begin_with(_i % BACKENDS, 3);
	before = channel();
	turn();
	if (by_handler) {
		before->on_read = set_priority;
		before->arg = &priority;
		give(before);
		turn();
	} else {
		ck_assert_int_eq(asyncore_map_set_priority(map, priority), 0);
	}
	ck_assert_int_eq(asyncore_map_priority(map), priority);
	later = channel();
	before->on_read = NULL;
	turn();
	turn();

	unix_pair(mine);
	ev = event_new(base, mine[0], EV_READ | EV_PERSIST, take_one, &app);
	event_add(ev, NULL);
	give(before);
	give(later);
	put(mine[1], "x", 1);
	trace[0] = '\0';
	turn();
	ck_assert_str_eq(trace, first ? "read 1 read 2 app " : "app read 1 read 2 ");
	event_free(ev);
	close_peers(mine, 2);
	end();
}
END_TEST

/* Everything for which the library has an event. */
enum { READ = 1, TIMER = 2, POSTED = 4, PULLED = 8, ALWAYS_READY = 16, OF_CHANNEL = 32,
       ASKED = 64, URGENT = 128, EVERYTHING = 255 };
static unsigned ran;

static int ran_call(struct asyncore_map *m, void *arg)
{
	const unsigned what = *(const unsigned *)arg;

	(void)m;
	ran |= what;
	if (what == POSTED)
		asyncore_poster_unref(poster);
	if (what == PULLED)
		asyncore_trigger_free(trigger);
	return 0;
}

static int ran_channel_call(struct asyncore_dispatcher *d, void *arg)
{
	ran |= *(const unsigned *)arg;
	return asyncore_close(d);
}

static int ran_event(struct probe *p)
{
	return ran_channel_call(&p->dispatcher, p->arg);
}

/* One that is asked by the clock alone. */
static int ran_asked(struct probe *p)
{
	if (p->readables == 1)
		return 0;
	ran |= ASKED;
	return asyncore_close(&p->dispatcher);
}

static struct probe *file_probe(void)
{
	FILE *file = tmpfile();
	struct probe *p = probe_new(-1, map);

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fileno(file)), 0);
	fclose(file);
	return p;
}

static void want_everything(void)
{
	static unsigned timer = TIMER, posted = POSTED, pulled = PULLED, of_channel = OF_CHANNEL;
	static unsigned events[] = { READ, URGENT, ALWAYS_READY };
	struct probe *p[3];
	int fd[2], i;

	ran = 0;
	p[0] = ready_channel(map, ran_event);
	tcp_pair(fd);
	p[1] = probe_new(fd[0], map);
	p[1]->on_expt = ran_event;
	peer[npeers++] = fd[1];
	ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
	p[2] = file_probe();
	p[2]->on_read = ran_event;
	for (i = 0; i < 3; i++)
		p[i]->arg = &events[i];
	channel_in(map)->on_readable = ran_asked;
	ck_assert_int_eq(asyncore_map_set_timeout(map, 0.001), 0);

	asyncore_call_later(map, 0.0, ran_call, &timer, NULL);
	asyncore_channel_call_later(&channel()->dispatcher, 0.0, ran_channel_call, &of_channel,
				    NULL);
	poster = asyncore_poster_new(map);
	asyncore_call_soon(poster, ran_call, &posted, NULL);
	trigger = asyncore_trigger_new(map, ran_call, &pulled, NULL);
	asyncore_trigger_pull(trigger);
}

static void assert_nothing_ran(struct spinner *s)
{
	(void)s;
	ck_assert_uint_eq(ran, 0);
}

static void stop_spinner(evutil_socket_t fd, short what, void *arg)
{
	struct spinner *s = arg;

	(void)fd, (void)what;
	s->limit = s->calls;
}

/* The priority may be set before all this is wanted, or after. */
static void want_everything_at(int priority, bool set_before)
{
	if (set_before)
		ck_assert_int_eq(asyncore_map_set_priority(map, priority), 0);
	want_everything();
	if (!set_before)
		ck_assert_int_eq(asyncore_map_set_priority(map, priority), 0);
}

START_TEST(everything_of_a_lower_priority_waits)
{
	struct spinner s;

	begin_with(_i % BACKENDS, 3);
	want_everything_at(2, _i >= BACKENDS);
	spinner_start(&s, 1, INT32_MAX);
	s.on_call = assert_nothing_ran;
	after(20, stop_spinner, &s);
	dispatch();
	ck_assert_uint_eq(ran, EVERYTHING);
	spinner_end(&s);
	end();
}
END_TEST

static void stop_when_all_ran(struct spinner *s)
{
	if (ran == EVERYTHING)
		s->limit = s->calls;
	ck_assert_int_lt(s->calls, 1000000);
}

START_TEST(everything_of_an_equal_priority_is_served)
{
	const int priority = _i / BACKENDS % 3;
	struct spinner s;

	begin_with(_i % BACKENDS, 3);
	want_everything_at(priority, _i >= 3 * BACKENDS);
	spinner_start(&s, priority, INT32_MAX);
	s.on_call = stop_when_all_ran;
	dispatch();
	ck_assert_uint_eq(ran, EVERYTHING);
	spinner_end(&s);
	end();
}
END_TEST

START_TEST(priority_that_is_set_before_a_timer_alone_was_seen_loses_nothing)
{
	begin_with(_i, 2);
	asyncore_call_later(map, 0.0, note, &in_time, NULL);
	ck_assert_int_eq(asyncore_map_set_priority(map, 0), 0);
	dispatch();
	ck_assert_str_eq(trace, "timer ");
	end();
}
END_TEST

static struct rlimit limit;

/* The listener says that it found no descriptors; now there are some. */
static int allow_descriptors(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	(void)d, (void)message, (void)type;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return 0;
}

static const struct asyncore_dispatcher_type paused_type = {
	.base = &probe_type,
	.log_info = allow_descriptors,
};

static int close_accepted(struct probe *p, int fd)
{
	close(fd);
	return asyncore_close(&p->dispatcher);
}

static void stop_when_accepted(struct spinner *s)
{
	if (asyncore_map_size(map) == 0)
		s->limit = s->calls;
}

START_TEST(listener_without_descriptors_goes_on_at_the_priority_of_the_map)
{
	struct rlimit none;
	struct sockaddr_in addr;
	struct spinner s;
	struct probe *p;
	int client[2], port, i;

	begin_with(_i, 3);
	p = probe_new_typed(&paused_type, tcp_listener(&port), map);
	asyncore_set_accepting(&p->dispatcher, true);
	p->on_accepted = close_accepted;
	addr = loopback(port);
	/* Two, because valgrind, which sees to the limit itself, loses the first. */
	for (i = 0; i < 2; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(client[i], (struct sockaddr *)&addr, sizeof addr), 0);
	}
	spinner_start(&s, 0, INT32_MAX);
	s.on_call = stop_when_accepted;
	ck_assert_int_eq(asyncore_map_set_priority(map, 0), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)dup(client[0]);
	close((int)none.rlim_cur);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	dispatch();
	ck_assert_str_eq(trace, "accept 1 accept 1 accepted 1 ");
	spinner_end(&s);
	close_peers(client, 2);
	end();
}
END_TEST

static int take_at_hundredth(struct probe *p)
{
	return p->reads < 100 ? 0 : asyncore_close(&p->dispatcher);
}

START_TEST(channels_of_a_higher_priority_go_before_the_application)
{
	struct spinner s;
	struct probe *p;

	begin_with(_i, 2);
	ck_assert_int_eq(asyncore_map_set_priority(map, 0), 0);
	p = ready_channel(map, take_at_hundredth);
	asyncore_ref(&p->dispatcher);
	while (p->reads == 0)
		turn();
	spinner_start(&s, 1, 1);
	dispatch();
	ck_assert_int_eq(s.calls, 1);
	ck_assert_int_eq(p->reads, 100);
	asyncore_unref(&p->dispatcher);
	spinner_end(&s);
	end();
}
END_TEST

/* --- several maps on one base ------------------------------------------------------- */

START_TEST(maps_of_different_priorities_keep_their_order)
{
	struct asyncore_map *other;

	begin_with(_i, 2);
	other = asyncore_map_new(base);
	ck_assert_int_eq(asyncore_map_set_priority(other, 0), 0);
	ck_assert_int_eq(asyncore_map_priority(map), 1);
	asyncore_map_set_empty_cb(map, note_empty, &of_a);
	asyncore_map_set_empty_cb(other, note_empty, &of_b);
	channel_in(map)->on_read = close_self;
	channel_in(other)->on_read = close_self;
	turn();
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	dispatch();
	ck_assert_str_eq(trace, "read 2 empty-b read 1 empty-a ");
	ck_assert_int_eq(asyncore_map_free(other), 0);
	end();
}
END_TEST

static int free_other_map(struct probe *p)
{
	struct asyncore_map **other = p->arg;

	ck_assert_int_eq(asyncore_map_free(*other), 0);
	*other = NULL;
	return asyncore_close(&p->dispatcher);
}

/* Both have fired; whichever is served first frees the other. */
START_TEST(handler_may_free_another_map_whose_events_wait)
{
	struct asyncore_map *other;

	begin(_i);
	other = asyncore_map_new(base);
	ready_channel(map, free_other_map)->arg = &other;
	ready_channel(other, free_other_map)->arg = &map;
	dispatch();
	ck_assert(trace[0] != '\0' && strlen(trace) == strlen("read 1 "));
	ck_assert_int_eq(probes_disposed, 2);
	if (other != NULL)
		asyncore_map_free(other);
	end();
}
END_TEST

/* --- predicates --------------------------------------------------------------------- */

START_TEST(predicates_are_asked_by_the_clock)
{
	struct probe *p;
	int asked;

	begin(_i);
	p = channel();
	p->wants_read = 0;
	give(p);
	turn();
	turn();
	asked = p->readables;
	/* The usual timeout runs already: a shorter one counts at once. */
	ck_assert_int_eq(asyncore_map_set_timeout(map, 0.002), 0);
	alarm(10);
	while (p->readables < asked + 5)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	alarm(0);
	ck_assert_int_eq(p->reads, 0);
	/* What nobody tells the library it finds out. */
	p->wants_read = 1;
	p->on_read = close_self;
	dispatch();
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

START_TEST(predicates_are_not_asked_by_the_clock_without_a_timeout)
{
	struct probe *p;
	int fd[2], asked;

	begin(_i);
	unix_pair(fd);
	p = probe_new_typed(&probe_plain_type, fd[0], map);
	ck_assert_int_eq(asyncore_map_set_timeout(map, 0.002), 0);
	turn();
	turn();
	ck_assert_int_eq(asyncore_map_set_timeout(map, -1.0), 0);
	turn();
	turn();
	asked = p->readables;
	ck_assert_int_gt(asked, 0);
	after(20, app_note, &app);
	while (trace[0] == '\0')
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_int_eq(p->readables, asked);
	/* A channel and nothing else stands on the base. */
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 1);
	end();
	close(fd[1]);
}
END_TEST

START_TEST(timeout_that_is_none_is_refused)
{
	begin(0);
	ck_assert_int_eq(asyncore_map_set_timeout(map, 0.0), -EINVAL);
	ck_assert_int_eq(asyncore_map_set_timeout(map, -0.0), -EINVAL);
	ck_assert_int_eq(asyncore_map_set_timeout(map, NAN), -EINVAL);
	ck_assert_int_eq(asyncore_map_set_timeout(map, INFINITY), 0);
	ck_assert_int_eq(asyncore_map_set_timeout(map, 1e-9), 0);
	ck_assert_int_eq(asyncore_map_set_timeout(map, ASYNCORE_TIMEOUT), 0);
	end();
}
END_TEST

/* What the application may tell the library, of a chat that is not the channel asked. */
enum { ADD, CLOSE, DEL, TOUCH, PUSH, TOLD };
struct told {
	struct async_chat chat;
	int how;
};

static const struct async_chat_type plain_chat_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .name = "plain" },
	.collect_incoming_data = async_chat_collect_default,
};

static char much[1 << 20];

static void tell(evutil_socket_t fd, short what, void *arg)
{
	struct told *t = arg;
	struct asyncore_dispatcher *d = &t->chat.dispatcher;

	(void)fd, (void)what;
	switch (t->how) {
	case ADD:
		channel();
		break;
	case CLOSE:
		ck_assert_int_eq(asyncore_close(d), 0);
		break;
	case DEL:
		ck_assert_int_eq(asyncore_del_channel(d, map), 0);
		break;
	case TOUCH:
		ck_assert_int_eq(asyncore_touch(d), 0);
		break;
	default:
		ck_assert_int_eq(async_chat_push(&t->chat, much, sizeof much), 0);
	}
}

START_TEST(predicates_are_asked_after_anything_that_the_application_tells)
{
	struct told t = { .how = _i / BACKENDS };
	struct probe *p;
	int fd[2], asked;

	begin(_i % BACKENDS);
	p = channel();
	unix_pair(fd);
	ck_assert_int_eq(async_chat_init(&t.chat, &plain_chat_type, fd[0], map), 0);
	turn();
	turn();
	asked = p->readables;
	turn();
	ck_assert_int_eq(p->readables, asked);
	after(0, tell, &t);
	turn();
	turn();
	ck_assert_int_gt(p->readables, asked);
	asyncore_close(&t.chat.dispatcher);
	close(fd[1]);
	end();
}
END_TEST

static int want_writing(struct asyncore_map *m, void *arg)
{
	struct probe *p = arg;

	(void)m;
	p->wants_write = 1;
	return 0;
}

START_TEST(what_a_timer_or_a_posted_call_changed_counts_at_once)
{
	struct probe *p;

	begin(_i % BACKENDS);
	p = channel();
	p->on_write = close_self;
	turn();
	turn();
	if (_i >= BACKENDS) {
		poster = asyncore_poster_new(map);
		ck_assert_int_eq(asyncore_call_soon(poster, want_writing, p, NULL), 0);
		asyncore_poster_unref(poster);
	} else {
		asyncore_call_later(map, 0.001, want_writing, p, NULL);
	}
	dispatch();
	ck_assert_str_eq(trace, "write 1 ");
	end();
}
END_TEST

/* --- fairness ----------------------------------------------------------------------- */

enum { TURNS = 100 };

static struct event *app_timer;

static void add_again(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval at_once = { 0, 0 };

	(void)fd, (void)what;
	++*(int *)arg;
	evtimer_add(app_timer, &at_once);
}

static int set_again(struct asyncore_map *m, void *arg)
{
	++*(int *)arg;
	return asyncore_call_later(m, 0.0, set_again, arg, NULL) > 0 ? 0 : -ENOMEM;
}

static int post_again(struct asyncore_map *m, void *arg)
{
	(void)m;
	++*(int *)arg;
	return asyncore_call_soon(poster, post_again, arg, NULL);
}

static int pull_again(struct asyncore_map *m, void *arg)
{
	(void)m;
	++*(int *)arg;
	return asyncore_trigger_pull(trigger);
}

static int touch_again(struct asyncore_dispatcher *d)
{
	asyncore_touch(d);
	return probe_plain_type.readable(d);
}

static const struct asyncore_dispatcher_type touched_type = {
	.base = &probe_plain_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.readable = touch_again,
	.writable = asyncore_dispatcher_writable,
};

/* One map with a channel that never reads, one that is always touched, a timer, a posted
 * call and a trigger that renew themselves; beside it a timer and a descriptor of the
 * application's that do.  A turn may find a timer not due yet, but not many turns. */
START_TEST(nobody_starves_who_has_the_same_priority)
{
	struct probe *greedy, *touched;
	struct spinner s;
	int theirs = 0, ours = 0, posted = 0, pulled = 0, fd[2], i;

	begin(_i);
	asyncore_map_set_timeout(map, 1e-9);
	greedy = ready_channel(map, ok);
	unix_pair(fd);
	touched = probe_new_typed(&touched_type, fd[0], map);
	set_again(map, &ours);
	poster = asyncore_poster_new(map);
	post_again(map, &posted);
	trigger = asyncore_trigger_new(map, pull_again, &pulled, NULL);
	asyncore_trigger_pull(trigger);
	app_timer = evtimer_new(base, add_again, &theirs);
	add_again(-1, 0, &theirs);
	spinner_start(&s, 0, INT32_MAX);
	for (i = 0; i < TURNS; i++)
		ck_assert(turn());
	ck_assert_int_ge(theirs, TURNS / 4);
	ck_assert_int_ge(s.calls, TURNS / 4);
	ck_assert_int_ge(greedy->reads, TURNS / 4);
	ck_assert_int_ge(touched->readables, TURNS / 4);
	ck_assert_int_ge(ours, TURNS / 4);
	ck_assert_int_ge(posted, TURNS / 4);
	ck_assert_int_ge(pulled, TURNS / 4);
	event_free(app_timer);
	spinner_end(&s);
	asyncore_trigger_free(trigger);
	asyncore_poster_unref(poster);
	end();
	close(fd[1]);
}
END_TEST

/* --- when dispatch ends ------------------------------------------------------------- */

static int close_timed_out(struct asyncore_dispatcher *d)
{
	trace_call("timeout ");
	return asyncore_close(d);
}

static const struct asyncore_dispatcher_type timed_type = {
	.base = &probe_type,
	.handle_timeout = close_timed_out,
};

static long long ticking, waiting;

static int tick(struct asyncore_map *m, void *arg)
{
	note(m, arg);
	if (strcmp(trace, "tick tick tick ") == 0)
		ck_assert_int_eq(asyncore_cancel(m, ticking), 0);
	return 0;
}

static int never_of_channel(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	trace_call("never ");
	return asyncore_close(d);
}

static void end_what_waits(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;

	(void)fd, (void)what;
	ck_assert_int_eq(asyncore_cancel(map, waiting), 0);
	asyncore_close(&p->dispatcher);
}

START_TEST(dispatch_ends_when_timers_have_run_or_are_gone)
{
	struct probe *p;
	int fd[2];

	begin(_i);
	ticking = asyncore_call_every(map, 0.001, tick, &every, NULL);
	dispatch();
	ck_assert_str_eq(trace, "tick tick tick ");

	asyncore_call_later(map, 0.01, note, &afterwards, NULL);
	dispatch();
	ck_assert_str_eq(trace, "tick tick tick later ");

	unix_pair(fd);
	p = probe_new_typed(&timed_type, fd[0], map);
	ck_assert_int_eq(asyncore_set_idle_timeout(&p->dispatcher, 0.01), 0);
	dispatch();
	ck_assert_str_eq(trace, "tick tick tick later timeout ");
	close(fd[1]);

	waiting = asyncore_call_later(map, 3600.0, note, &never, NULL);
	p = channel();
	asyncore_channel_call_later(&p->dispatcher, 3600.0, never_of_channel, NULL, NULL);
	asyncore_set_idle_timeout(&p->dispatcher, 3600.0);
	after(5, end_what_waits, p);
	dispatch();
	ck_assert_ptr_null(strstr(trace, "never"));
	ck_assert_uint_eq(asyncore_timers(map), 0);
	end();
}
END_TEST

/* Each of them alone keeps it, and lets it go. */
START_TEST(dispatch_goes_on_for_a_timer_a_poster_and_a_trigger)
{
	const int kind = _i / BACKENDS;
	int i;

	begin(_i % BACKENDS);
	ck_assert(!turn());
	if (kind == 0)
		waiting = asyncore_call_later(map, 3600.0, note, &never, NULL);
	else if (kind == 1)
		poster = asyncore_poster_ref(asyncore_poster_new(map));
	else
		trigger = asyncore_trigger_new(map, note, &never, NULL);
	for (i = 0; i < 5; i++)
		ck_assert(turn());
	/* With a channel that comes and goes meanwhile, too. */
	ready_channel(map, close_self);
	while (probes_disposed == 0)
		ck_assert(turn());
	for (i = 0; i < 5; i++)
		ck_assert(turn());
	if (kind == 0) {
		ck_assert_int_eq(asyncore_cancel(map, waiting), 0);
	} else if (kind == 1) {
		asyncore_poster_unref(poster);
		for (i = 0; i < 5; i++)
			ck_assert(turn());
		asyncore_poster_unref(poster);
	} else {
		asyncore_trigger_free(trigger);
	}
	dispatch();
	ck_assert(!turn());
	ck_assert_str_eq(trace, "read 1 ");
	end();
}
END_TEST

/* Another thread, which waits until the application's loop runs. */
struct worker {
	pthread_t thread;
	int go[2];
	bool posts;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	char c;

	if (read(w->go[0], &c, 1) == 1 && w->posts)
		asyncore_call_soon(poster, note, &posted_call, NULL);
	asyncore_poster_unref(poster);
	return NULL;
}

static void let_go(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd, (void)what;
	put(w->go[1], "x", 1);
}

START_TEST(dispatch_ends_when_another_thread_lets_its_poster_go)
{
	struct worker w = { .posts = false };
	int i;

	begin(_i);
	ck_assert_int_eq(pipe(w.go), 0);
	for (i = 0; i < 20; i++) {
		poster = asyncore_poster_new(map);
		w.posts = i % 2;
		trace[0] = '\0';
		ck_assert_int_eq(pthread_create(&w.thread, NULL, work, &w), 0);
		after(0, let_go, &w);
		dispatch();
		ck_assert_int_eq(pthread_join(w.thread, NULL), 0);
		ck_assert_str_eq(trace, w.posts ? "posted " : "");
	}
	close_peers(w.go, 2);
	end();
}
END_TEST

static void free_map(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_assert_int_eq(asyncore_map_free(map), 0);
	map = NULL;
}

START_TEST(dispatch_ends_when_a_map_goes_that_timers_and_posters_keep)
{
	begin(_i);
	poster = asyncore_poster_new(map);
	trigger = asyncore_trigger_new(map, note, &never, NULL);
	asyncore_call_later(map, 3600.0, note, &never, NULL);
	channel();
	after(1, free_map, NULL);
	dispatch();
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(asyncore_call_soon(poster, note, &never, NULL), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_trigger_pull(trigger), -ESHUTDOWN);
	asyncore_trigger_free(trigger);
	asyncore_poster_unref(poster);
	end();
}
END_TEST

/* --- the map has become empty ------------------------------------------------------- */

static int close_both(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_close(&p->dispatcher);
	asyncore_close(&other->dispatcher);
	trace_call("end ");
	return 0;
}

/* Both were ready, and the second is closed by the first. */
START_TEST(empty_is_said_once_and_outside_of_the_handlers)
{
	struct probe *p[2];

	begin(_i);
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	dispatch();
	ck_assert_str_eq(trace, "");
	p[0] = ready_channel(map, close_both);
	p[1] = ready_channel(map, close_self);
	p[0]->arg = p[1];
	dispatch();
	ck_assert_str_eq(trace, "read 1 end empty ");
	end();
}
END_TEST

static int replace_self(struct probe *p)
{
	ready_channel(map, close_self);
	return asyncore_close(&p->dispatcher);
}

static int leave_and_return(struct probe *p)
{
	p->on_read = close_self;
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, map), 0);
	return asyncore_add_channel(&p->dispatcher, map);
}

START_TEST(map_that_is_empty_for_a_moment_only_says_nothing)
{
	begin(_i);
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	ready_channel(map, replace_self);
	dispatch();
	ck_assert_str_eq(trace, "read 1 read 2 empty ");
	trace[0] = '\0';
	ready_channel(map, leave_and_return);
	dispatch();
	ck_assert_str_eq(trace, "read 3 read 3 empty ");
	end();
}
END_TEST

static void add_more(struct asyncore_map *m, void *arg)
{
	int *more = arg;

	trace_call("empty ");
	if ((*more)-- > 0)
		ready_channel(m, close_self);
}

START_TEST(empty_callback_may_add_channels)
{
	int more = 2;

	begin(_i % BACKENDS);
	asyncore_map_set_empty_cb(map, add_more, &more);
	ready_channel(map, close_self);
	if (_i < BACKENDS)
		dispatch();
	else
		ck_assert_int_eq(asyncore_loop(5.0, _i >= 2 * BACKENDS, map, -1), 0);
	ck_assert_str_eq(trace, "read 1 empty read 2 empty read 3 empty ");
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	end();
}
END_TEST

START_TEST(empty_callback_makes_the_loop_of_a_base_of_our_own_go_on)
{
	int more = 2;

	npeers = 0;
	map = asyncore_map_new(NULL);
	asyncore_map_set_empty_cb(map, add_more, &more);
	ready_channel(map, close_self);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	ck_assert_str_eq(trace, "read 1 empty read 2 empty read 3 empty ");
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close_peers(peer, npeers);
}
END_TEST

static void run_inside(struct asyncore_map *m, void *arg)
{
	int *more = arg;

	trace_call("empty ");
	if ((*more)-- == 0)
		return;
	ready_channel(m, close_self);
	ck_assert_int_eq(asyncore_loop(5.0, false, m, -1), 0);
	trace_call("back ");
}

START_TEST(empty_callback_out_of_a_loop_of_ours_may_run_another)
{
	int more = 2;

	begin(_i);
	asyncore_map_set_empty_cb(map, run_inside, &more);
	ready_channel(map, close_self);
	alarm(10);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	alarm(0);
	ck_assert_str_eq(trace, "read 1 empty read 2 empty read 3 empty back back ");
	end();
}
END_TEST

static int run_nested(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	asyncore_call_later(map, 0.0, note, &in_time, NULL);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	trace_call("end ");
	return 0;
}

START_TEST(empty_is_not_said_in_a_nested_loop_of_ours)
{
	begin(_i);
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	ready_channel(map, run_nested);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	ck_assert_str_eq(trace, "read 1 timer end empty ");
	end();
}
END_TEST

static void free_empty(struct asyncore_map *m, void *arg)
{
	(void)arg;
	trace_call("free %d ", asyncore_map_free(m));
	map = NULL;
}

START_TEST(empty_callback_may_free_the_map)
{
	begin(_i % BACKENDS);
	asyncore_map_set_empty_cb(map, free_empty, NULL);
	ready_channel(map, close_self);
	asyncore_call_later(map, 3600.0, note, &never, NULL);
	if (_i < BACKENDS)
		dispatch();
	else
		ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), 0);
	ck_assert_str_eq(trace, "read 1 free 0 ");
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

static void cancel_timers(struct asyncore_map *m, void *arg)
{
	trace_call("empty ");
	ck_assert_int_eq(asyncore_cancel(m, *(long long *)arg), 0);
}

START_TEST(empty_callback_may_cancel_what_keeps_the_loop)
{
	begin(_i);
	waiting = asyncore_call_every(map, 3600.0, note, &never, NULL);
	asyncore_map_set_empty_cb(map, cancel_timers, &waiting);
	ready_channel(map, close_self);
	dispatch();
	ck_assert_str_eq(trace, "read 1 empty ");
	end();
}
END_TEST

/* The ways out of a map, outside of any handler. */
static int how_to_leave;

static void leave(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_dispatcher *d = arg;

	(void)fd, (void)what;
	if (how_to_leave == 0)
		ck_assert_int_eq(asyncore_close(d), 0);
	else if (how_to_leave == 1)
		ck_assert_int_eq(asyncore_del_channel(d, map), 0);
	else
		ck_assert_int_eq(asyncore_close_all(map, false), 0);
	trace_call("out ");
}

static int leave_by_timer(struct asyncore_map *m, void *arg)
{
	(void)m;
	leave(-1, 0, arg);
	trace_call("end ");
	return 0;
}

/* By a callback of the application's, by a timer of the map, and before its loop runs. */
START_TEST(empty_is_said_in_the_turn_after_the_application_closed)
{
	static const char *const expected[] = { "out empty ", "out end empty ", "out empty " };
	const int where = _i / BACKENDS / 3;
	struct asyncore_dispatcher *d;
	int turns;

	begin(_i % BACKENDS);
	how_to_leave = _i / BACKENDS % 3;
	d = &channel()->dispatcher;
	asyncore_ref(d);
	turn();
	turn();
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	if (where == 0)
		after(0, leave, d);
	else if (where == 1)
		asyncore_call_later(map, 0.0, leave_by_timer, d, NULL);
	else
		leave(-1, 0, d);
	if (where == 2) {
		ck_assert_str_eq(trace, "out ");
		turn();
	} else {
		dispatch();
	}
	ck_assert_str_eq(trace, expected[where]);
	for (turns = 0; turns < 3; turns++)
		ck_assert(!turn());
	ck_assert_str_eq(trace, expected[where]);
	asyncore_close(d);
	asyncore_unref(d);
	end();
}
END_TEST

START_TEST(map_that_is_empty_when_the_callback_is_set_is_not_reported)
{
	struct probe *p;

	begin(_i);
	p = channel();
	turn();
	asyncore_close(&p->dispatcher);
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	dispatch();
	ck_assert_str_eq(trace, "");
	end();
}
END_TEST

START_TEST(empty_is_not_said_when_the_map_is_freed_or_nobody_listens)
{
	begin(_i);
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	asyncore_map_set_empty_cb(map, NULL, NULL);
	ready_channel(map, close_self);
	dispatch();
	asyncore_map_set_empty_cb(map, note_empty, &nothing);
	channel();
	turn();
	end();
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 2);
}
END_TEST

/* --- what leaves a loop ------------------------------------------------------------- */

static int raise_exit(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	return ASYNCORE_EXIT_NOW;
}

static int raise_eio(struct probe *p)
{
	(void)p;
	return -EIO;
}

static int call_eio(struct asyncore_map *m, void *arg)
{
	(void)m, (void)arg;
	return -EIO;
}

static int call_exit_of_channel(struct asyncore_dispatcher *d, void *arg)
{
	(void)d, (void)arg;
	return ASYNCORE_EXIT_NOW;
}

enum { HANDLER, ERROR, PREDICATE, A_TIMER, CHANNEL_TIMER, POSTED_CALL, A_TRIGGER, RAISERS };

/* Have the loop left; the value. */
static int leave_by(int who, struct probe *p)
{
	switch (who) {
	case HANDLER:
		p->on_read = raise_exit;
		give(p);
		return ASYNCORE_EXIT_NOW;
	case ERROR:
		p->on_read = p->on_error = raise_eio;
		give(p);
		return -EIO;
	case PREDICATE:
		p->on_readable = raise_eio;
		return -EIO;
	case A_TIMER:
		asyncore_call_later(map, 0.001, call_eio, NULL, NULL);
		return -EIO;
	case CHANNEL_TIMER:
		asyncore_channel_call_later(&p->dispatcher, 0.001, call_exit_of_channel, NULL,
					    NULL);
		return ASYNCORE_EXIT_NOW;
	case POSTED_CALL:
		poster = asyncore_poster_new(map);
		asyncore_call_soon(poster, call_eio, NULL, NULL);
		asyncore_poster_unref(poster);
		return -EIO;
	default:
		trigger = asyncore_trigger_new(map, call_eio, NULL, NULL);
		asyncore_trigger_pull(trigger);
		return -EIO;
	}
}

/* From now on all goes well: the channel has something to read, and closes. */
static void mend(struct probe *p, int who)
{
	p->on_readable = p->on_error = NULL;
	p->on_read = close_self;
	give(p);
	if (who == A_TRIGGER)
		asyncore_trigger_free(trigger);
}

static struct left {
	struct probe *p;
	int who, result, calls;
} left;

static void note_left(struct asyncore_map *m, int result, void *arg)
{
	struct left *l = arg;

	ck_assert_ptr_eq(m, map);
	l->calls++;
	l->result = result;
	trace_call("left ");
	mend(l->p, l->who);
}

START_TEST(exit_callback_is_told_what_left_the_loop_and_the_loop_goes_on)
{
	int result;

	begin(_i % BACKENDS);
	left = (struct left){ .p = channel(), .who = _i / BACKENDS };
	asyncore_map_set_exit_cb(map, note_left, &left);
	result = leave_by(left.who, left.p);
	dispatch();
	ck_assert_int_eq(left.calls, 1);
	ck_assert_int_eq(left.result, result);
	ck_assert_int_eq(event_base_got_break(base), 0);
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

START_TEST(loop_is_broken_when_nobody_is_told)
{
	const int who = _i / BACKENDS;
	struct probe *p;

	begin(_i % BACKENDS);
	p = channel();
	asyncore_map_set_exit_cb(map, note_left, &left);
	asyncore_map_set_exit_cb(map, NULL, NULL);
	leave_by(who, p);
	dispatch();
	ck_assert_int_ne(event_base_got_break(base), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	mend(p, who);
	dispatch();
	ck_assert_int_eq(event_base_got_break(base), 0);
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

START_TEST(rest_of_a_turn_that_is_left_comes_in_the_next)
{
	begin(_i);
	left = (struct left){ .p = ready_channel(map, raise_exit) };
	ready_channel(map, close_self);
	asyncore_map_set_exit_cb(map, note_left, &left);
	dispatch();
	ck_assert_str_eq(trace, "read 1 left read 1 read 2 ");
	end();
}
END_TEST

static void count_left(struct asyncore_map *m, int result, void *arg)
{
	(void)m;
	ck_assert_int_lt(result, 0);
	++*(int *)arg;
}

START_TEST(what_is_due_behind_a_call_that_raised_is_not_lost)
{
	int exits = 0;

	begin(_i);
	asyncore_map_set_exit_cb(map, count_left, &exits);
	asyncore_call_later(map, 0.0, call_eio, NULL, NULL);
	asyncore_call_later(map, 0.0, note, &in_time, NULL);
	dispatch();
	poster = asyncore_poster_new(map);
	asyncore_call_soon(poster, call_eio, NULL, NULL);
	asyncore_call_soon(poster, note, &posted_call, NULL);
	asyncore_poster_unref(poster);
	dispatch();
	ck_assert_int_eq(exits, 2);
	ck_assert_str_eq(trace, "timer posted ");
	end();
}
END_TEST

static int raise_once(struct probe *p)
{
	p->on_readable = NULL;
	return -EIO;
}

/* Nobody says that the second wants to write; it is asked for what became of the third, if
 * the first does not prevent it. */
START_TEST(predicates_behind_one_that_raised_are_asked_soon)
{
	int exits = 0;
	struct probe *p[3];
	int i;

	begin(_i);
	asyncore_map_set_exit_cb(map, count_left, &exits);
	for (i = 0; i < 3; i++)
		p[i] = channel();
	turn();
	turn();
	p[0]->on_readable = raise_once;
	p[1]->wants_write = 1;
	p[1]->on_write = close_self;
	p[2]->on_read = close_self;
	give(p[2]);
	alarm(10);
	while (probes_disposed < 2)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	alarm(0);
	ck_assert_int_eq(exits, 1);
	end();
}
END_TEST

static void free_left(struct asyncore_map *m, int result, void *arg)
{
	(void)result, (void)arg;
	trace_call("free %d ", asyncore_map_free(m));
	map = NULL;
}

START_TEST(exit_callback_may_free_the_map)
{
	begin(_i % BACKENDS);
	asyncore_map_set_exit_cb(map, free_left, NULL);
	leave_by(_i / BACKENDS, channel());
	ready_channel(map, ok);
	asyncore_call_later(map, 3600.0, note, &never, NULL);
	dispatch();
	ck_assert_ptr_nonnull(strstr(trace, "free 0 "));
	ck_assert_int_eq(probes_disposed, 2);
	if (_i / BACKENDS == A_TRIGGER)
		asyncore_trigger_free(trigger);
	end();
}
END_TEST

/* ExitNow out of a handler that closed the last channel: there is something to say to both. */
static int close_and_exit(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return ASYNCORE_EXIT_NOW;
}

static void count_empty(struct asyncore_map *m, void *arg)
{
	(void)m;
	++*(int *)arg;
}

START_TEST(last_channel_that_closes_and_exits_is_told_to_both)
{
	int exits = 0, empties = 0;

	begin(_i);
	asyncore_map_set_exit_cb(map, count_left, &exits);
	asyncore_map_set_empty_cb(map, count_empty, &empties);
	ready_channel(map, close_and_exit);
	dispatch();
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(empties, 1);
	end();
}
END_TEST

START_TEST(loop_of_ours_returns_the_value_and_calls_nobody)
{
	const int who = _i / BACKENDS;
	int result;

	begin(_i % BACKENDS);
	left = (struct left){ .p = channel(), .who = who };
	asyncore_map_set_exit_cb(map, note_left, &left);
	result = leave_by(who, left.p);
	ck_assert_int_eq(asyncore_loop(5.0, false, map, -1), result);
	ck_assert_int_eq(left.calls, 0);
	mend(left.p, who);
	dispatch();
	ck_assert_int_eq(left.calls, 0);
	ck_assert_int_eq(probes_disposed, 1);
	end();
}
END_TEST

/* --- passes out of the application's loop ------------------------------------------- */

static const char *passes_refused(void)
{
	static char expected[80];

	snprintf(expected, sizeof expected, "%d %d %d ", -EBUSY, -EBUSY, -EBUSY);
	return expected;
}

static void try_passes(void)
{
	trace_call("%d ", asyncore_poll(0.0, map));
	trace_call("%d ", asyncore_poll2(0.0, map));
	trace_call("%d ", asyncore_loop(1.0, false, map, -1));
}

/* libevent warns of a loop inside a loop. */
static int warnings;

static void count_warning(int severity, const char *message)
{
	(void)severity, (void)message;
	warnings++;
}

static int pass_in_call(struct asyncore_map *m, void *arg)
{
	(void)arg;
	try_passes();
	ck_assert_int_eq(asyncore_map_free(m), -EBUSY);
	return 0;
}

static int pass_in_channel_call(struct asyncore_dispatcher *d, void *arg)
{
	pass_in_call(asyncore_map(d), arg);
	return asyncore_close(d);
}

static int pass_in_trigger(struct asyncore_map *m, void *arg)
{
	asyncore_trigger_free(trigger);
	return pass_in_call(m, arg);
}

START_TEST(pass_out_of_a_timer_or_a_posted_call_is_refused)
{
	struct probe *p;

	begin(_i % BACKENDS);
	p = channel();
	switch (_i / BACKENDS) {
	case 0:
		asyncore_call_later(map, 0.0, pass_in_call, NULL, NULL);
		break;
	case 1:
		asyncore_channel_call_later(&p->dispatcher, 0.0, pass_in_channel_call, NULL, NULL);
		break;
	case 2:
		poster = asyncore_poster_new(map);
		asyncore_call_soon(poster, pass_in_call, NULL, NULL);
		asyncore_poster_unref(poster);
		break;
	default:
		trigger = asyncore_trigger_new(map, pass_in_trigger, NULL, NULL);
		asyncore_trigger_pull(trigger);
	}
	warnings = 0;
	event_set_log_callback(count_warning);
	while (trace[0] == '\0')
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	event_set_log_callback(NULL);
	ck_assert_str_eq(trace, passes_refused());
	ck_assert_int_eq(warnings, 0);
	end();
}
END_TEST

static void pass_in_empty(struct asyncore_map *m, void *arg)
{
	(void)arg;
	asyncore_map_set_empty_cb(m, NULL, NULL);
	ready_channel(m, close_self);
	try_passes();
}

static void pass_in_left(struct asyncore_map *m, int result, void *arg)
{
	(void)m, (void)result;
	mend(arg, HANDLER);
	try_passes();
}

static void pass_in_callback(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	try_passes();
}

/* They may do what main() may; but main() can run no pass inside the application's loop. */
START_TEST(pass_out_of_a_callback_is_refused_while_the_applications_loop_runs)
{
	struct probe *p;

	begin(_i % BACKENDS);
	switch (_i / BACKENDS) {
	case 0:
		asyncore_map_set_empty_cb(map, pass_in_empty, NULL);
		ready_channel(map, close_self);
		break;
	case 1:
		p = channel();
		asyncore_map_set_exit_cb(map, pass_in_left, p);
		leave_by(HANDLER, p);
		break;
	default:
		/* A map that a timer alone keeps from being empty. */
		asyncore_call_later(map, 0.001, note, &in_time, NULL);
		after(0, pass_in_callback, NULL);
	}
	event_set_log_callback(count_warning);
	dispatch();
	event_set_log_callback(NULL);
	ck_assert_ptr_nonnull(strstr(trace, passes_refused()));
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	end();
}
END_TEST

/* --- chats -------------------------------------------------------------------------- */

static int line_found(struct async_chat *self)
{
	size_t len;
	char *line = async_chat_get_data(self, &len);

	if (strcmp(line, "quit") == 0)
		return async_chat_close_when_done(self);
	async_chat_push(self, line, len);
	return async_chat_push(self, "\r\n", 2);
}

static const struct async_chat_type line_type = {
	.dispatcher = { .base = &plain_chat_type.dispatcher, .name = "line" },
	.found_terminator = line_found,
};

/* The application's end: when a line is back it says the next. */
static void on_line(struct bufferevent *bev, void *arg)
{
	int *lines = arg;
	char *line = evbuffer_readln(bufferevent_get_input(bev), NULL, EVBUFFER_EOL_CRLF);

	if (line == NULL)
		return;
	ck_assert_str_eq(line, "hello");
	free(line);
	if (--*lines > 0)
		bufferevent_write(bev, "hello\r\n", 7);
	else
		bufferevent_write(bev, "quit\r\n", 6);
}

START_TEST(chat_and_bufferevent_talk_in_lines)
{
	struct async_chat chat;
	int fd[2], lines = ROUNDS;

	begin(_i);
	tcp_pair(fd);
	ck_assert_int_eq(async_chat_init(&chat, &line_type, fd[0], map), 0);
	ck_assert_int_eq(async_chat_set_terminator(&chat, "\r\n", 2), 0);
	bufferevent_write(bufferevent_on(fd[1], on_line, &lines), "hello\r\n", 7);
	dispatch();
	ck_assert_int_eq(lines, 0);
	end();
}
END_TEST

static void push_much(evutil_socket_t fd, short what, void *arg)
{
	struct async_chat *chat = arg;

	(void)fd, (void)what;
	ck_assert_int_eq(async_chat_push(chat, much, sizeof much), 0);
	ck_assert_uint_gt(async_chat_output_bytes(chat), 0);
	ck_assert_int_eq(async_chat_close_when_done(chat), 0);
}

static void count_bytes(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);

	*(size_t *)arg += evbuffer_get_length(input);
	evbuffer_drain(input, evbuffer_get_length(input));
}

START_TEST(what_the_application_pushes_goes_out_before_the_chat_closes)
{
	struct async_chat chat;
	size_t bytes = 0;
	int fd[2];

	begin(_i);
	unix_pair(fd);
	ck_assert_int_eq(async_chat_init(&chat, &plain_chat_type, fd[0], map), 0);
	bufferevent_on(fd[1], count_bytes, &bytes);
	turn();
	turn();
	after(0, push_much, &chat);
	dispatch();
	ck_assert_uint_eq(bytes, sizeof much);
	end();
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

#define on_each_backend(tc, test) tcase_add_loop_test(tc, test, 0, BACKENDS)
#define on_each_backend_times(n, tc, test) tcase_add_loop_test(tc, test, 0, (n) * BACKENDS)

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "beside the application's own things");

	on_each_backend(tc, echoes_of_bufferevents_and_channels_talk_to_each_other);
	on_each_backend(tc, callback_of_a_listener_of_libevent_makes_channels);
	on_each_backend(tc, signal_events_and_channels_cause_each_other);
	on_each_backend(tc, timers_of_both_set_each_other);
	tcase_add_test(tc, base_with_a_changelist_is_refused_and_stays_usable);

	tc = suite_case(suite, "the ways of running a base");
	on_each_backend(tc, each_turn_of_once_serves_what_came);
	on_each_backend(tc, nonblock_runs_until_nothing_is_ready);
	on_each_backend(tc, turn_that_does_not_wait_finds_nothing_to_do);
	on_each_backend(tc, loop_that_outlives_its_events_serves_channels_that_come_later);
	on_each_backend(tc, loop_broken_by_a_handler_or_a_timer_goes_on_where_it_was);
	on_each_backend(tc, application_that_continues_its_loop_early_delays_nobody);
	tcase_add_test(tc, base_that_runs_one_callback_at_a_time_serves_all);
	on_each_backend_times(2, tc, timers_and_posted_calls_do_not_mind_who_runs_the_base);

	tc = suite_case(suite, "priorities");
	on_each_backend(tc, priority_is_the_middle_one_until_it_is_set);
	tcase_add_test(tc, map_on_a_base_of_its_own_has_one_priority_and_is_not_attached);
	on_each_backend_times(4, tc, events_come_in_the_order_of_priorities);
	on_each_backend_times(2, tc, everything_of_a_lower_priority_waits);
	on_each_backend_times(6, tc, everything_of_an_equal_priority_is_served);
	on_each_backend(tc, priority_that_is_set_before_a_timer_alone_was_seen_loses_nothing);
	on_each_backend(tc, listener_without_descriptors_goes_on_at_the_priority_of_the_map);
	on_each_backend(tc, channels_of_a_higher_priority_go_before_the_application);

	tc = suite_case(suite, "several maps");
	on_each_backend(tc, maps_of_different_priorities_keep_their_order);
	on_each_backend(tc, handler_may_free_another_map_whose_events_wait);

	tc = suite_case(suite, "predicates");
	on_each_backend(tc, predicates_are_asked_by_the_clock);
	on_each_backend(tc, predicates_are_not_asked_by_the_clock_without_a_timeout);
	tcase_add_test(tc, timeout_that_is_none_is_refused);
	on_each_backend_times(TOLD, tc,
			      predicates_are_asked_after_anything_that_the_application_tells);
	on_each_backend_times(2, tc, what_a_timer_or_a_posted_call_changed_counts_at_once);

	tc = suite_case(suite, "fairness");
	on_each_backend(tc, nobody_starves_who_has_the_same_priority);

	tc = suite_case(suite, "the end of dispatch");
	on_each_backend(tc, dispatch_ends_when_timers_have_run_or_are_gone);
	on_each_backend_times(3, tc, dispatch_goes_on_for_a_timer_a_poster_and_a_trigger);
	on_each_backend(tc, dispatch_ends_when_another_thread_lets_its_poster_go);
	on_each_backend(tc, dispatch_ends_when_a_map_goes_that_timers_and_posters_keep);

	tc = suite_case(suite, "empty");
	on_each_backend(tc, empty_is_said_once_and_outside_of_the_handlers);
	on_each_backend(tc, map_that_is_empty_for_a_moment_only_says_nothing);
	on_each_backend_times(3, tc, empty_callback_may_add_channels);
	tcase_add_test(tc, empty_callback_makes_the_loop_of_a_base_of_our_own_go_on);
	on_each_backend(tc, empty_callback_out_of_a_loop_of_ours_may_run_another);
	on_each_backend(tc, empty_is_not_said_in_a_nested_loop_of_ours);
	on_each_backend_times(2, tc, empty_callback_may_free_the_map);
	on_each_backend(tc, empty_callback_may_cancel_what_keeps_the_loop);
	on_each_backend_times(9, tc, empty_is_said_in_the_turn_after_the_application_closed);
	on_each_backend(tc, map_that_is_empty_when_the_callback_is_set_is_not_reported);
	on_each_backend(tc, empty_is_not_said_when_the_map_is_freed_or_nobody_listens);

	tc = suite_case(suite, "leaving");
	on_each_backend_times(RAISERS, tc,
			      exit_callback_is_told_what_left_the_loop_and_the_loop_goes_on);
	on_each_backend_times(RAISERS, tc, loop_is_broken_when_nobody_is_told);
	on_each_backend(tc, rest_of_a_turn_that_is_left_comes_in_the_next);
	on_each_backend(tc, what_is_due_behind_a_call_that_raised_is_not_lost);
	on_each_backend(tc, predicates_behind_one_that_raised_are_asked_soon);
	on_each_backend_times(RAISERS, tc, exit_callback_may_free_the_map);
	on_each_backend(tc, last_channel_that_closes_and_exits_is_told_to_both);
	on_each_backend_times(RAISERS, tc, loop_of_ours_returns_the_value_and_calls_nobody);

	tc = suite_case(suite, "passes");
	on_each_backend_times(4, tc, pass_out_of_a_timer_or_a_posted_call_is_refused);
	on_each_backend_times(3, tc,
			      pass_out_of_a_callback_is_refused_while_the_applications_loop_runs);

	tc = suite_case(suite, "chats");
	on_each_backend(tc, chat_and_bufferevent_talk_in_lines);
	on_each_backend(tc, what_the_application_pushes_goes_out_before_the_chat_closes);
}

SUITE_MAIN("application", add_cases)
