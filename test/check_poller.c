/* SPDX-License-Identifier: BSD-3-Clause */

/* check_poller.c - libevent below: backends, foreign bases, what is registered there. */

#include "support.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* --- helpers ------------------------------------------------------------------------ */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Events that are added to the base under a map. */
static int added(struct asyncore_map *map)
{
	return event_base_get_num_events(asyncore_map_base(map), EVENT_BASE_COUNT_ADDED);
}

static struct asyncore_map *new_map(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);

	ck_assert_ptr_nonnull(map);
	return map;
}

static const char *method_of(struct asyncore_map *map)
{
	return event_base_get_method(asyncore_map_base(map));
}

static int close_self(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

/* A descriptor that epoll refuses: an empty file, already unlinked. */
static int regular_file(void)
{
	FILE *file = tmpfile();
	int fd;

	ck_assert_ptr_nonnull(file);
	fd = dup(fileno(file));
	fclose(file);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* --- what ends a wait ---------------------------------------------------------------- */

static int events_in_the_pass;

static int count_events_and_close(struct asyncore_dispatcher *d)
{
	events_in_the_pass = added(asyncore_map(d));
	return asyncore_close(d);
}

static int always(struct asyncore_dispatcher *d)
{
	(void)d;
	return 1;
}

static const struct asyncore_dispatcher_type not_asked_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "not asked",
	.handle_read = count_events_and_close,
};

static const struct asyncore_dispatcher_type asked_type = {
	.base = &not_asked_type,
	.name = "asked",
	.readable = always,
};

/* That nothing happened for so long matters to whoever counts passes, or is asked in each. */
START_TEST(the_loop_sets_its_timer_when_somebody_would_see_it)
{
	static const struct {
		const struct asyncore_dispatcher_type *type;
		double timeout;
		int count, events;
	} row[] = {
		{ &not_asked_type, 1000.0, -1, 1 },
		{ &not_asked_type, 1000.0, 2, 2 },
		{ &asked_type, 1000.0, -1, 2 },
		{ &asked_type, -1.0, -1, 1 },
	};
	struct asyncore_dispatcher_with_send d;
	struct asyncore_map *map = new_map();
	int fd[2];

	unix_pair(fd);
	put(fd[1], "x", 1);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, row[_i].type, fd[0], map), 0);
	ck_assert_int_eq(asyncore_loop(row[_i].timeout, false, map, row[_i].count), 0);
	ck_assert_int_eq(events_in_the_pass, row[_i].events);
	ck_assert_int_eq(asyncore_map_size(map), 0);
	close(fd[1]);
	asyncore_map_free(map);
}
END_TEST

/* --- which backend ------------------------------------------------------------------ */

/* FIELD B27 */
START_TEST(base_of_our_own_is_never_on_select)
{
	struct asyncore_map *map = new_map();

	ck_assert_str_ne(method_of(map), "select");
	asyncore_map_free(map);
}
END_TEST

START_TEST(environment_does_not_choose_the_backend)
{
	struct asyncore_map *map = new_map();
	const char *usual = method_of(map);

	asyncore_map_free(map);
	setenv("EVENT_NOEPOLL", "1", 1);
	setenv("EVENT_NOPOLL", "1", 1);
	setenv("EVENT_EPOLL_USE_CHANGELIST", "1", 1);
	map = new_map();
	ck_assert_str_eq(method_of(map), usual);
	asyncore_map_free(map);
	unsetenv("EVENT_NOEPOLL");
	unsetenv("EVENT_NOPOLL");
	unsetenv("EVENT_EPOLL_USE_CHANGELIST");
}
END_TEST

START_TEST(base_with_a_changelist_is_refused)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	ck_assert_str_eq(event_base_get_method(base), "epoll (with changelist)");
	errno = 0;
	ck_assert_ptr_null(asyncore_map_new(base));
	ck_assert_int_eq(errno, ENOTSUP);
	event_base_free(base);
}
END_TEST

static void swallow(int severity, const char *message)
{
	(void)severity, (void)message;
}

/* In the child: make a map with so many descriptors to be had.  0 if that works, or is
 * refused as it should be. */
static int make_map_with(int left)
{
	struct asyncore_map *map;
	struct rlimit limit;
	int fd, last = -1, r;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 100;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 2;
	while ((fd = dup(0)) >= 0)
		last = fd;
	for (; left > 0; left--)
		close(last--);
	event_set_log_callback(swallow);	/* libevent complains */
	errno = 0;
	map = asyncore_map_new(NULL);
	if (map == NULL)
		return errno != EMFILE;
	r = strcmp(method_of(map), "select") == 0;
	asyncore_map_free(map);
	return r;
}

/* libevent ends the process when it has no descriptors for its own signals, so a process
 * of its own it is. */
START_TEST(map_without_descriptors_is_refused)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(make_map_with(_i));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(select_refuses_descriptors_beyond_its_limit)
{
	struct asyncore_map *map = backend_map(2);
	struct rlimit limit;
	struct asyncore_dispatcher d;
	struct probe *p = probe_new(-1, map);
	int fd[2], high;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	unix_pair(fd);
	high = fcntl(fd[0], F_DUPFD_CLOEXEC, 1024);
	if (high >= 0) {
		ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, high,
							  map), -ERANGE);
		ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, high, NULL), -ERANGE);
		ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
		ck_assert_uint_eq(asyncore_map_size(map), 0);
		ck_assert_int_ge(fcntl(high, F_GETFD), 0);	/* still ours */
		close(high);
	}
	high = fcntl(fd[0], F_DUPFD_CLOEXEC, 1023);
	close(fd[0]);
	ck_assert_int_eq(high, 1023);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, high, NULL), 0);
	put(fd[1], "x", 1);
	step(map);
	ck_assert_int_eq(p->reads, 1);
	close(fd[1]);
	backend_map_end(map);
}
END_TEST

START_TEST(descriptors_beyond_the_limit_of_select_work_elsewhere)
{
	struct asyncore_map *map = backend_map(_i);
	struct rlimit limit;
	struct probe *p;
	int fd[2], high;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	unix_pair(fd);
	high = fcntl(fd[0], F_DUPFD_CLOEXEC, 1500);
	if (high < 0)			/* a hard limit of 1024 */
		high = fcntl(fd[0], F_DUPFD_CLOEXEC, 1000);
	close(fd[0]);
	p = probe_new(high, map);
	p->wants_write = 1;
	put(fd[1], "x", 1);
	step(map);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	close(fd[1]);
	backend_map_end(map);
}
END_TEST

static int answer(struct probe *p)
{
	int n = asyncore_recv(&p->dispatcher, p->data, sizeof p->data);

	return n > 0 ? asyncore_send(&p->dispatcher, p->data, (size_t)n) : n;
}

START_TEST(map_works_on_each_backend)
{
	struct asyncore_map *map = backend_map(_i);
	struct probe *p[3];
	int peer[3], i;
	char c;

	probes_and_peers(map, p, peer, 3);
	for (i = 0; i < 3; i++) {
		p[i]->on_read = answer;
		put(peer[i], "x", 1);
	}
	step(map);
	for (i = 0; i < 3; i++) {
		take(peer[i], &c, 1);
		ck_assert_int_eq(c, 'x');
		close(peer[i]);
	}
	ck_assert_int_eq(asyncore_loop(1.0, false, map, -1), 0);
	ck_assert_int_eq(probes_disposed, 3);
	backend_map_end(map);
}
END_TEST

/* Closing before libevent's event is deleted would silence the next channel on epoll. */
START_TEST(descriptor_numbers_can_be_used_again_and_again)
{
	struct asyncore_map *map = backend_map(_i);
	int i, peer;

	for (i = 0; i < 20; i++) {
		struct probe *p = probe_and_peer(map, &peer);

		p->wants_write = i % 2;
		put(peer, "x", 1);
		step(map);
		ck_assert_int_eq(p->reads, 1);
		ck_assert_int_eq(p->writes, i % 2);
		asyncore_close(&p->dispatcher);
		close(peer);
	}
	backend_map_end(map);
}
END_TEST

/* A duplicate keeps the file open in the kernel; the channel must be gone all the same. */
START_TEST(closed_channel_is_gone_though_a_duplicate_lives)
{
	struct asyncore_map *map = backend_map(_i);
	int peer[2], copy, i;
	struct probe *p = probe_and_peer(map, &peer[0]);
	double start;

	probe_and_peer(map, &peer[1]);
	step(map);
	copy = dup(asyncore_fileno(&p->dispatcher));
	asyncore_close(&p->dispatcher);
	put(peer[0], "x", 1);
	step(map);
	start = now();
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(asyncore_poll(0.02, map), 0);
	ck_assert_double_ge(now() - start, 0.04);
	ck_assert_str_eq(trace, "");
	close(copy);
	close_peers(peer, 2);
	backend_map_end(map);
}
END_TEST

/* --- always ready ------------------------------------------------------------------- */

static int read_file(struct probe *p)
{
	return asyncore_recv(&p->dispatcher, p->data, 2);
}

START_TEST(regular_file_is_always_ready)
{
	struct asyncore_map *map = backend_map(_i);
	struct probe *p = probe_new(-1, map);
	int fd = regular_file();

	put(fd, "abcd", 4);
	lseek(fd, 0, SEEK_SET);
	p->on_read = read_file;
	p->wants_write = 1;
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd), 0);
	close(fd);
	asyncore_ref(&p->dispatcher);
	step(map);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	p->wants_write = 0;
	ck_assert_int_eq(asyncore_loop(60.0, false, map, -1), 0);
	ck_assert_str_eq(trace, "read 1 write 1 read 1 read 1 close 1 ");
	asyncore_unref(&p->dispatcher);
	backend_map_end(map);
}
END_TEST

START_TEST(regular_file_that_is_not_wanted_lets_a_pass_wait)
{
	struct asyncore_map *map = new_map();
	struct probe *p = probe_new(-1, map);
	int fd = regular_file();
	double start;

	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd), 0);
	close(fd);
	p->wants_read = 0;
	step(map);
	start = now();
	ck_assert_int_eq(asyncore_poll(0.03, map), 0);
	ck_assert_double_ge(now() - start, 0.03);
	ck_assert_str_eq(trace, "");
	asyncore_map_free(map);
}
END_TEST

START_TEST(always_ready_and_other_channels_share_map_order)
{
	struct asyncore_map *map = backend_map(_i);
	int peer[2], fd = regular_file();
	struct probe *p[3];

	p[0] = probe_and_peer(map, &peer[0]);
	p[1] = probe_new(-1, map);
	p[1]->on_read = p[1]->on_close = read_file;
	ck_assert_int_eq(asyncore_set_file(&p[1]->dispatcher, fd), 0);
	p[2] = probe_and_peer(map, &peer[1]);
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	p[1]->on_close = close_self;
	put(fd, "abcd", 4);
	lseek(fd, 0, SEEK_SET);
	step(map);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 ");
	close(fd);
	close_peers(peer, 2);
	backend_map_end(map);
}
END_TEST

START_TEST(always_ready_channel_may_be_closed_by_another)
{
	struct asyncore_map *map = backend_map(_i);
	struct probe *p[3];
	int fd = regular_file(), i;

	for (i = 0; i < 3; i++) {
		p[i] = probe_new(-1, map);
		p[i]->on_read = close_self;
		ck_assert_int_eq(asyncore_set_file(&p[i]->dispatcher, fd), 0);
	}
	close(fd);
	asyncore_close(&p[1]->dispatcher);
	ck_assert_int_eq(asyncore_loop(60.0, false, map, -1), 0);
	ck_assert_str_eq(trace, "read 1 read 3 ");
	backend_map_end(map);
}
END_TEST

/* --- on the application's base ------------------------------------------------------ */

static void count(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	++*(int *)arg;
}

START_TEST(timers_of_the_application_run_during_our_passes)
{
	const struct timeval soon = { 0, 10000 };
	struct asyncore_map *map = backend_map(_i);
	int peer, ran = 0;

	probe_and_peer(map, &peer);
	event_base_once(asyncore_map_base(map), -1, EV_TIMEOUT, count, &ran, &soon);
	run_until(ran == 1, map);
	close(peer);
	backend_map_end(map);
}
END_TEST

START_TEST(descriptors_of_the_application_are_served_during_our_passes)
{
	struct asyncore_map *map = backend_map(_i);
	int peer, mine[2], ran = 0;
	struct event *ev;

	probe_and_peer(map, &peer);
	unix_pair(mine);
	ev = event_new(asyncore_map_base(map), mine[0], EV_READ, count, &ran);
	event_add(ev, NULL);
	put(mine[1], "x", 1);
	run_until(ran == 1, map);
	event_free(ev);
	close(peer);
	close_peers(mine, 2);
	backend_map_end(map);
}
END_TEST

START_TEST(events_on_a_base_of_our_own_run_too)
{
	const struct timeval soon = { 0, 10000 };
	int peer, ran = 0;
	struct probe *p = probe_and_peer(NULL, &peer);

	event_base_once(asyncore_map_base(NULL), -1, EV_TIMEOUT, count, &ran, &soon);
	run_until(ran == 1, NULL);
	asyncore_close(&p->dispatcher);
	close(peer);
}
END_TEST

static void poll_in_callback(evutil_socket_t fd, short what, void *arg)
{
	struct asyncore_map *map = arg;

	(void)fd, (void)what;
	trace_call("%d ", asyncore_poll(0.0, map));
	trace_call("%d ", asyncore_loop(1.0, true, map, -1));
	trace_call("%d ", asyncore_map_free(map));
}

START_TEST(callback_of_an_event_cannot_run_the_map_it_is_run_by)
{
	const struct timeval at_once = { 0, 0 };
	char expected[64];
	struct asyncore_map *map = backend_map(_i);
	int peer;

	probe_and_peer(map, &peer);
	event_base_once(asyncore_map_base(map), -1, EV_TIMEOUT, poll_in_callback, map, &at_once);
	run_until(trace[0] != '\0', map);
	snprintf(expected, sizeof expected, "%d %d %d ", -EBUSY, -EBUSY, -EBUSY);
	ck_assert_str_eq(trace, expected);
	close(peer);
	backend_map_end(map);
}
END_TEST

/* Neither urgent data nor predicates that are asked on every pass: reading and writing is
 * all there is. */
static int touched_readable(struct asyncore_dispatcher *d)
{
	return probe_plain_type.readable(d);
}

static int touched_writable(struct asyncore_dispatcher *d)
{
	return probe_plain_type.writable(d);
}

static const struct asyncore_dispatcher_type touched_type = {
	.base = &probe_plain_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.readable = touched_readable,
	.writable = touched_writable,
};

/* The events on the base after a pass with this interest. */
static int added_with(struct probe *p, int wants_read, int wants_write)
{
	struct asyncore_map *map = asyncore_map(&p->dispatcher);

	p->wants_read = wants_read;
	p->wants_write = wants_write;
	asyncore_touch(&p->dispatcher);
	step(map);
	return added(map);
}

START_TEST(events_exist_only_while_they_are_wanted)
{
	struct asyncore_map *map = backend_map(_i);
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new_typed(&touched_type, fd[0], map);
	ck_assert_int_eq(added_with(p, 1, 0), 1);
	ck_assert_int_eq(added_with(p, 1, 1), 2);
	ck_assert_int_eq(added_with(p, 0, 1), 1);
	ck_assert_int_eq(added_with(p, 0, 0), 0);
	ck_assert_int_eq(added_with(p, 1, 0), 1);
	close(fd[1]);
	backend_map_end(map);
}
END_TEST

START_TEST(map_without_channels_has_no_events)
{
	struct asyncore_map *map = backend_map(_i);

	ck_assert_int_eq(added(map), 0);
	step(map);
	ck_assert_int_eq(added(map), 0);
	backend_map_end(map);
}
END_TEST

START_TEST(nothing_is_left_on_the_base_after_close_all)
{
	struct asyncore_map *map = backend_map(_i);
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	p[1]->wants_write = 1;
	ck_assert_int_eq(asyncore_poll(0.01, map), 0);
	ck_assert_int_eq(asyncore_close_all(map, false), 0);
	ck_assert_int_eq(added(map), 0);
	close_peers(peer, 3);
	backend_map_end(map);
}
END_TEST

START_TEST(nothing_is_left_on_the_base_after_the_loop)
{
	struct asyncore_map *map = backend_map(_i);
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(map, p, peer, 3);
	for (i = 0; i < 3; i++) {
		p[i]->on_read = close_self;
		put(peer[i], "x", 1);
	}
	ck_assert_int_eq(asyncore_loop(30.0, false, map, -1), 0);
	ck_assert_int_eq(added(map), 0);
	close_peers(peer, 3);
	backend_map_end(map);
}
END_TEST

START_TEST(no_timer_is_left_on_a_foreign_base_between_passes)
{
	struct asyncore_map *map = backend_map(_i);
	int fd[2];

	unix_pair(fd);
	probe_new_typed(&touched_type, fd[0], map);
	ck_assert_int_eq(asyncore_poll(0.01, map), 0);
	ck_assert_int_eq(asyncore_poll(0.01, map), 0);
	ck_assert_int_eq(added(map), 1);	/* the channel's read event */
	close(fd[1]);
	backend_map_end(map);
}
END_TEST

START_TEST(nothing_is_left_on_the_base_after_the_map_is_freed)
{
	struct event_base *base = backend_base(_i);
	struct asyncore_map *map = asyncore_map_new(base);
	int peer;

	probe_and_peer(map, &peer);
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED |
						   EVENT_BASE_COUNT_ACTIVE), 0);
	ck_assert_int_eq(event_base_dispatch(base), 1);		/* nothing to do */
	event_base_free(base);
	close(peer);
}
END_TEST

START_TEST(two_maps_share_a_base)
{
	struct event_base *base = backend_base(_i);
	struct asyncore_map *a = asyncore_map_new(base), *b = asyncore_map_new(base);
	int peer[2];
	struct probe *first = probe_and_peer(a, &peer[0]), *second = probe_and_peer(b, &peer[1]);

	put(peer[0], "x", 1);
	run_until(first->reads == 1, a);
	put(peer[1], "x", 1);
	run_until(second->reads == 1, b);
	ck_assert_uint_eq(asyncore_map_size(a), 1);
	asyncore_map_free(a);
	put(peer[1], "x", 1);
	run_until(second->reads == 2, b);
	asyncore_map_free(b);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(base);
	close_peers(peer, 2);
}
END_TEST

/* A pass of one map is a pass of its base: the other map is served by the application's
 * rules, and everything comes in the end. */
START_TEST(maps_that_share_a_base_lose_nothing)
{
	struct event_base *base = backend_base(_i);
	struct asyncore_map *a = asyncore_map_new(base), *b = asyncore_map_new(base);
	int peer[2], i;
	struct probe *first = probe_and_peer(a, &peer[0]), *second = probe_and_peer(b, &peer[1]);

	step(b);			/* so that it is registered */
	for (i = 1; i <= 5; i++) {
		put(peer[0], "x", 1);
		put(peer[1], "x", 1);
		run_until(first->len == (size_t)i && second->len == (size_t)i, a);
	}
	ck_assert_int_eq(second->reads, 5);
	asyncore_map_free(a);
	asyncore_map_free(b);
	event_base_free(base);
	close_peers(peer, 2);
}
END_TEST

/* In a handler of `a`, a pass of the other map on the same base. */
static int poll_other_map(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	trace_call("( ");
	ck_assert_int_eq(asyncore_poll(0.0, p->arg), 0);
	trace_call(") ");
	return 0;
}

/* The map whose handler runs is in a pass of its own, so nobody else serves it. */
START_TEST(pass_of_another_map_on_the_base_does_not_serve_a_map_that_is_in_a_pass)
{
	struct event_base *base = backend_base(_i);
	struct asyncore_map *a = asyncore_map_new(base), *b = asyncore_map_new(base);
	struct probe *p[3];
	int peer[3], other_peer, i;

	probes_and_peers(a, p, peer, 3);
	probe_and_peer(b, &other_peer);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	put(other_peer, "x", 1);
	p[0]->on_read = poll_other_map;
	p[0]->arg = b;
	step(b);
	trace[0] = '\0';
	run_until(p[0]->reads > 0, a);
	ck_assert_str_eq(trace, "read 1 ( ) read 2 read 3 ");
	asyncore_map_free(a);
	asyncore_map_free(b);
	event_base_free(base);
	close_peers(peer, 3);
	close(other_peer);
}
END_TEST

START_TEST(base_with_priorities_works)
{
	struct event_base *base = backend_base(_i);
	struct asyncore_map *map;
	int peer;
	struct probe *p;

	ck_assert_int_eq(event_base_priority_init(base, 4), 0);
	map = asyncore_map_new(base);
	p = probe_and_peer(map, &peer);
	p->wants_write = 1;
	put(peer, "x", 1);
	run_until(p->reads == 1, map);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	asyncore_map_free(map);
	event_base_free(base);
	close(peer);
}
END_TEST

/* --- libevent's own checks ---------------------------------------------------------- */

START_TEST(channels_come_and_go)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3], i;

	for (i = 0; i < 50; i++) {
		probes_and_peers(map, p, peer, 3);
		p[1]->wants_write = 1;
		put(peer[0], "x", 1);
		step(map);
		p[1]->wants_write = 0;
		p[0]->wants_read = 0;
		step(map);
		p[0]->wants_read = 1;
		step2(map);
		asyncore_close(&p[2]->dispatcher);
		step(map);
		ck_assert_int_eq(asyncore_close_all(map, true), 0);
		close_peers(peer, 3);
	}
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 150);
}
END_TEST

/* Debug mode must come before the first base, so this program runs itself again. */
START_TEST(debug_mode_of_libevent_finds_nothing)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
	pid_t child;
	int status;

	ck_assert_int_gt(len, 0);
	path[len] = '\0';
	child = fork();
	if (child == 0) {
		execl(path, path, "debug-mode", (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "what ends a wait");

	tcase_add_loop_test(tc, the_loop_sets_its_timer_when_somebody_would_see_it, 0, 4);

	tc = suite_case(suite, "backends");

	tcase_add_test(tc, base_of_our_own_is_never_on_select);
	tcase_add_test(tc, environment_does_not_choose_the_backend);
	tcase_add_test(tc, base_with_a_changelist_is_refused);
	tcase_add_loop_test(tc, map_without_descriptors_is_refused, 0, 6);
	tcase_add_test(tc, select_refuses_descriptors_beyond_its_limit);
	tcase_add_loop_test(tc, descriptors_beyond_the_limit_of_select_work_elsewhere, 0, 2);
	tcase_add_loop_test(tc, map_works_on_each_backend, 0, BACKENDS);
	tcase_add_loop_test(tc, descriptor_numbers_can_be_used_again_and_again, 0, BACKENDS);
	tcase_add_loop_test(tc, closed_channel_is_gone_though_a_duplicate_lives, 0, BACKENDS);

	tc = suite_case(suite, "always ready");
	tcase_add_loop_test(tc, regular_file_is_always_ready, 0, BACKENDS);
	tcase_add_test(tc, regular_file_that_is_not_wanted_lets_a_pass_wait);
	tcase_add_loop_test(tc, always_ready_and_other_channels_share_map_order, 0, BACKENDS);
	tcase_add_loop_test(tc, always_ready_channel_may_be_closed_by_another, 0, BACKENDS);

	tc = suite_case(suite, "foreign bases");
	tcase_add_loop_test(tc, timers_of_the_application_run_during_our_passes, 0, BACKENDS);
	tcase_add_loop_test(tc, descriptors_of_the_application_are_served_during_our_passes,
			    0, BACKENDS);
	tcase_add_test(tc, events_on_a_base_of_our_own_run_too);
	tcase_add_loop_test(tc, callback_of_an_event_cannot_run_the_map_it_is_run_by,
			    0, BACKENDS);
	tcase_add_loop_test(tc, events_exist_only_while_they_are_wanted, 0, BACKENDS);
	tcase_add_loop_test(tc, map_without_channels_has_no_events, 0, BACKENDS);
	tcase_add_loop_test(tc, nothing_is_left_on_the_base_after_close_all, 0, BACKENDS);
	tcase_add_loop_test(tc, nothing_is_left_on_the_base_after_the_loop, 0, BACKENDS);
	tcase_add_loop_test(tc, no_timer_is_left_on_a_foreign_base_between_passes, 0, BACKENDS);
	tcase_add_loop_test(tc, nothing_is_left_on_the_base_after_the_map_is_freed, 0, BACKENDS);
	tcase_add_loop_test(tc, two_maps_share_a_base, 0, BACKENDS);
	tcase_add_loop_test(tc, maps_that_share_a_base_lose_nothing, 0, BACKENDS);
	tcase_add_loop_test(tc,
			    pass_of_another_map_on_the_base_does_not_serve_a_map_that_is_in_a_pass,
			    0, BACKENDS);
	tcase_add_loop_test(tc, base_with_priorities_works, 0, BACKENDS);

	tc = suite_case(suite, "debug mode");
	tcase_add_test(tc, debug_mode_of_libevent_finds_nothing);
}

static void add_debugged(Suite *suite)
{
	event_enable_debug_mode();
	tcase_add_test(suite_case(suite, "in debug mode"), channels_come_and_go);
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("poller");

	if (argc > 1 && strcmp(argv[1], "debug-mode") == 0)
		add_debugged(suite);
	else
		add_cases(suite);
	return suite_run(suite);
}
