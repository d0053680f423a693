/* SPDX-License-Identifier: BSD-3-Clause */

/* check_urgent.c - urgent (out-of-band) data and handle_expt(). */

#include "support.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>

/* --- helpers ------------------------------------------------------------------------ */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int pass(bool use_poll, struct asyncore_map *map)
{
	return use_poll ? asyncore_poll2(0.0, map) : asyncore_poll(0.0, map);
}

enum { KINDS = 2 };

static void close_map(struct asyncore_map *map)
{
	ck_assert_int_eq(asyncore_close_all(map, false), 0);
}

/* A probe on one end of a TCP connection. */
static struct probe *tcp_probe(const struct asyncore_dispatcher_type *type,
			       struct asyncore_map *map, int *peer)
{
	int fd[2];

	tcp_pair(fd);
	*peer = fd[1];
	return probe_new_typed(type, fd[0], map);
}

/* Send urgent data; it has arrived when this returns. */
static void shout(int peer, const struct probe *p)
{
	struct pollfd pfd = { .fd = asyncore_socket(&p->dispatcher), .events = POLLPRI };

	ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
}

static int ok(struct probe *p)
{
	(void)p;
	return 0;
}

static int read_urgent(struct probe *p)
{
	char c = 0;

	ck_assert_int_eq(recv(asyncore_socket(&p->dispatcher), &c, 1, MSG_OOB), 1);
	ck_assert_int_eq(c, '!');
	return 0;
}

static int close_self(struct probe *p)
{
	return asyncore_close(&p->dispatcher);
}

static int close_arg(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
	return asyncore_close(&other->dispatcher);
}

/* --- the event ---------------------------------------------------------------------- */

START_TEST(urgent_data_calls_handle_expt)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	ck_assert_int_eq(pass(_i % 2, map), 0);
	shout(peer, p);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	close(peer);
	backend_map_end(map);
}
END_TEST

START_TEST(urgent_data_that_came_before_the_channel_calls_handle_expt)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	shout(peer, p);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	close(peer);
	backend_map_end(map);
}
END_TEST

START_TEST(urgent_data_ends_a_wait)
{
	struct asyncore_map *map = backend_map(_i);
	int peer;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	step(map);
	shout(peer, p);
	ck_assert_int_eq(asyncore_poll(-1.0, map), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	close(peer);
	backend_map_end(map);
}
END_TEST

START_TEST(urgent_data_comes_again_while_it_is_unread)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer, i;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	shout(peer, p);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "expt 1 expt 1 expt 1 expt 1 expt 1 ");
	close(peer);
	backend_map_end(map);
}
END_TEST

/* The same for a class whose predicates are hardly ever asked. */
static int counted_readable(struct asyncore_dispatcher *d)
{
	return probe_plain_type.readable(d);
}

static int counted_writable(struct asyncore_dispatcher *d)
{
	return probe_plain_type.writable(d);
}

static const struct asyncore_dispatcher_type touched_type = {
	.base = &probe_type,
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.readable = counted_readable,
	.writable = counted_writable,
};

START_TEST(urgent_data_of_a_touched_class_comes_again_while_it_is_unread)
{
	int peer, i;
	struct probe *p = tcp_probe(&touched_type, NULL, &peer);

	shout(peer, p);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "expt 1 expt 1 expt 1 ");
	p->on_expt = read_urgent;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(p->expts, 4);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(urgent_data_is_gone_once_it_is_read)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer, i;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	p->on_expt = read_urgent;
	shout(peer, p);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "expt 1 ");

	shout(peer, p);			/* and the next comes */
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "expt 1 expt 1 ");
	close(peer);
	backend_map_end(map);
}
END_TEST

START_TEST(inline_urgent_data_is_read_as_data_and_then_expt)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer, on = 1;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	ck_assert_int_eq(setsockopt(asyncore_socket(&p->dispatcher), SOL_SOCKET, SO_OOBINLINE,
				    &on, sizeof on), 0);
	shout(peer, p);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 expt 1 ");
	ck_assert_uint_eq(p->len, 1);
	ck_assert_int_eq(p->data[0], '!');
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 expt 1 ");
	close(peer);
	backend_map_end(map);
}
END_TEST

START_TEST(data_is_read_before_expt)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	p->wants_write = 1;
	p->on_expt = read_urgent;
	put(peer, "x", 1);
	shout(peer, p);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 1 expt 1 ");
	ck_assert_uint_eq(p->len, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(more_channels_than_one_batch_are_told)
{
	enum { MANY = 150 };
	struct probe *p[MANY];
	int peer[MANY], i;

	for (i = 0; i < MANY; i++) {
		p[i] = tcp_probe(&probe_type, NULL, &peer[i]);
		p[i]->on_expt = read_urgent;
	}
	step(NULL);
	for (i = 0; i < MANY; i++)
		shout(peer[i], p[i]);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pass(_i, NULL), 0);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(p[i]->expts, 1);
	close_map(NULL);
	close_peers(peer, MANY);
}
END_TEST

START_TEST(unix_sockets_have_urgent_data_where_the_kernel_has)
{
	struct pollfd pfd = { .events = POLLPRI };
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = ok;
	pfd.fd = asyncore_socket(&p->dispatcher);
	if (send(peer, "!", 1, MSG_OOB) == 1 && poll(&pfd, 1, 0) == 1) {
		step(NULL);
		ck_assert_int_eq(p->expts, 1);
	}
	close_map(NULL);
	close(peer);
}
END_TEST

static int expt_event_only(struct asyncore_dispatcher *d)
{
	trace_call("expt_event %d ", ((struct probe *)d)->id);
	return 0;
}

static const struct asyncore_dispatcher_type expt_event_type = {
	.base = &probe_plain_type,
	.handle_expt_event = expt_event_only,
};

START_TEST(overriding_handle_expt_event_is_enough)
{
	int peer;
	struct probe *p = tcp_probe(&expt_event_type, NULL, &peer);

	shout(peer, p);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "expt_event 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- what is no urgent data --------------------------------------------------------- */

START_TEST(end_of_file_is_not_urgent)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	close(peer);
	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_int_eq(p->expts, 0);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(&p->dispatcher);
}
END_TEST

START_TEST(reset_is_not_urgent)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	reset_on_close(peer);
	close(peer);
	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_int_eq(p->expts, 0);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(&p->dispatcher);
}
END_TEST

/* A hang-up cannot be masked on epoll; the watch for urgent data must not spin on it. */
START_TEST(reset_peer_does_not_spin)
{
	struct asyncore_map *map = backend_map(_i);
	int peer, i;
	struct probe *p = tcp_probe(&probe_type, map, &peer);
	double start;

	p->on_read = ok;
	step(map);
	reset_on_close(peer);
	close(peer);
	run_until(p->reads > 0, map);
	p->wants_read = 0;
	step(map);
	start = now();
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_poll(0.02, map), 0);
	ck_assert_double_ge(now() - start, 0.06);
	ck_assert_int_eq(p->expts, 0);
	backend_map_end(map);
}
END_TEST

/* --- who is watched ----------------------------------------------------------------- */

START_TEST(channels_that_override_neither_cost_no_descriptor)
{
	int peer, before;
	struct probe *p = tcp_probe(&probe_plain_type, NULL, &peer);

	before = open_descriptors();
	shout(peer, p);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(open_descriptors(), before);
	ck_assert_str_eq(trace, "");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(channels_that_override_share_one_descriptor)
{
	struct probe *p[5];
	int peer[5], before, i;

	ck_assert_ptr_nonnull(asyncore_socket_map());
	before = open_descriptors();
	for (i = 0; i < 5; i++)
		p[i] = tcp_probe(&probe_type, NULL, &peer[i]);
	step(NULL);
	ck_assert_int_eq(open_descriptors(), before + 5 * 2 + 1);
	shout(peer[4], p[4]);
	step(NULL);
	ck_assert_str_eq(trace, "expt 5 ");
	close_map(NULL);
	close_peers(peer, 5);
}
END_TEST

START_TEST(no_descriptor_of_ours_is_inherited)
{
	bool before[256];
	int peer, fd, made = 0;

	for (fd = 0; fd < 256; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	tcp_probe(&probe_type, NULL, &peer);
	step(NULL);
	for (fd = 0; fd < 256; fd++) {
		if (before[fd] || fcntl(fd, F_GETFD) < 0)
			continue;
		made++;
		ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	ck_assert_int_gt(made, 2);	/* more than the connection */
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(channel_is_refused_when_there_is_no_descriptor_to_watch_it_with)
{
	struct rlimit old, none;
	struct probe *p = calloc(1, sizeof *p);
	int fd[2], last;

	p->wants_read = 1;
	ck_assert_ptr_nonnull(asyncore_socket_map());
	tcp_pair(fd);
	last = dup(fd[1]);
	close(last);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)last;	/* the lowest free number is too high */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(asyncore_dispatcher_init(&p->dispatcher, &probe_type, fd[0], NULL),
			 -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);

	ck_assert_int_eq(asyncore_dispatcher_init(&p->dispatcher, &probe_type, fd[0], NULL), 0);
	shout(fd[1], p);
	run_until(p->expts > 0, NULL);
	close_map(NULL);
	close(fd[1]);
}
END_TEST

START_TEST(files_are_not_watched)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2], before;

	ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	before = open_descriptors();
	put(fd[1], "x", 1);
	step(NULL);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(open_descriptors(), before);
	close_map(NULL);
	close_peers(fd, 2);
}
END_TEST

START_TEST(nothing_is_watched_for_without_interest)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	p->wants_read = 0;
	shout(peer, p);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "");
	p->wants_read = 1;
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	p->wants_read = 0;
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(writable_channels_are_watched_without_use_poll_only)
{
	int peer;
	struct probe *p = tcp_probe(_i ? &touched_type : &probe_type, NULL, &peer);

	p->wants_read = 0;
	p->wants_write = 1;
	shout(peer, p);
	ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	ck_assert_str_eq(trace, "write 1 ");
	ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	ck_assert_str_eq(trace, "write 1 write 1 ");
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
	ck_assert_str_eq(trace, "write 1 write 1 write 1 expt 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(watch_follows_use_poll_on_and_off)
{
	int peer, i;
	struct probe *p = tcp_probe(_i ? &touched_type : &probe_type, NULL, &peer);

	p->wants_read = 0;
	p->wants_write = 1;
	shout(peer, p);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
		ck_assert_int_eq(p->expts, i + 1);
		ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
		ck_assert_int_eq(p->expts, i + 1);
	}
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(readable_channels_are_watched_whatever_use_poll_says)
{
	int peer, i;
	struct probe *p = tcp_probe(_i ? &touched_type : &probe_type, NULL, &peer);

	shout(peer, p);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
		ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	}
	ck_assert_int_eq(p->expts, 6);
	close_map(NULL);
	close(peer);
}
END_TEST

/* --- channels that go --------------------------------------------------------------- */

START_TEST(closing_in_handle_read_skips_expt)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	p->on_read = close_self;
	put(peer, "x", 1);
	shout(peer, p);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(closing_in_handle_expt_is_safe)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	p->on_expt = close_self;
	shout(peer, p);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(channel_closed_by_another_gets_no_expt)
{
	int peer[2];
	struct probe *p[2];

	p[0] = probe_and_peer(NULL, &peer[0]);
	p[1] = tcp_probe(&probe_type, NULL, &peer[1]);
	p[0]->on_read = close_arg;
	p[0]->arg = p[1];
	put(peer[0], "x", 1);
	shout(peer[1], p[1]);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* A duplicate keeps the connection, and its urgent data, alive in the kernel. */
START_TEST(closed_channel_is_forgotten_though_a_duplicate_lives)
{
	int peer, other_peer, copy;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	probe_and_peer(NULL, &other_peer);
	step(NULL);
	shout(peer, p);
	copy = dup(asyncore_socket(&p->dispatcher));
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(probes_disposed, 1);
	close_map(NULL);
	close(copy);
	close(peer);
	close(other_peer);
}
END_TEST

START_TEST(new_channel_on_an_old_descriptor_is_watched_anew)
{
	int i, peer;

	for (i = 0; i < 10; i++) {
		struct probe *p = tcp_probe(&probe_type, NULL, &peer);

		ck_assert_int_eq(pass(_i, NULL), 0);
		ck_assert_int_eq(p->expts, 0);
		shout(peer, p);
		ck_assert_int_eq(pass(_i, NULL), 0);
		ck_assert_int_eq(p->expts, 1);
		asyncore_close(&p->dispatcher);
		close(peer);
	}
}
END_TEST

START_TEST(removed_and_added_channel_is_watched_again)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	shout(peer, p);
	step(NULL);
	asyncore_ref(&p->dispatcher);
	asyncore_del_channel(&p->dispatcher, NULL);
	step(NULL);
	ck_assert_int_eq(p->expts, 1);
	asyncore_add_channel(&p->dispatcher, NULL);
	step(NULL);
	ck_assert_int_eq(p->expts, 2);
	close_map(NULL);
	asyncore_unref(&p->dispatcher);
	close(peer);
}
END_TEST

START_TEST(channel_moved_to_another_map_is_watched_there)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	shout(peer, p);
	step(NULL);
	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, map), 0);
	step(NULL);
	ck_assert_int_eq(p->expts, 1);
	step(map);
	ck_assert_int_eq(p->expts, 2);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

START_TEST(nothing_is_left_on_the_base_after_the_last_watched_channel)
{
	struct asyncore_map *map = backend_map(_i);
	int peer;
	struct probe *p = tcp_probe(&probe_type, map, &peer);

	p->on_expt = close_self;
	shout(peer, p);
	ck_assert_int_eq(asyncore_loop(30.0, false, map, -1), 0);
	ck_assert_int_eq(event_base_get_num_events(asyncore_map_base(map),
						   EVENT_BASE_COUNT_ADDED), 0);
	close(peer);
	backend_map_end(map);
}
END_TEST

/* --- with nesting and ExitNow ------------------------------------------------------- */

static int read_and_poll(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	return asyncore_poll(0.0, NULL);
}

START_TEST(expt_is_delivered_once_when_passes_nest)
{
	int peer[2];
	struct probe *p[2];

	p[0] = probe_and_peer(NULL, &peer[0]);
	p[1] = tcp_probe(&probe_type, NULL, &peer[1]);
	p[0]->on_read = read_and_poll;
	put(peer[0], "x", 1);
	shout(peer[1], p[1]);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 expt 2 ");
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 expt 2 expt 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int exit_now(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	return ASYNCORE_EXIT_NOW;
}

START_TEST(urgent_data_survives_exit_now)
{
	int peer[2];
	struct probe *p[2];

	p[0] = probe_and_peer(NULL, &peer[0]);
	p[1] = tcp_probe(_i / 2 ? &touched_type : &probe_type, NULL, &peer[1]);
	p[0]->on_read = exit_now;
	put(peer[0], "x", 1);
	shout(peer[1], p[1]);
	ck_assert_int_eq(pass(_i % 2, NULL), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(pass(_i % 2, NULL), 0);
	ck_assert_str_eq(trace, "read 1 expt 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* --- handle_expt_event() ------------------------------------------------------------ */

START_TEST(expt_event_calls_handle_expt_when_no_error_waits)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(expt_event_calls_handle_close_when_an_error_waits)
{
	struct pollfd pfd = { .events = 0 };
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	reset_on_close(peer);
	close(peer);
	pfd.fd = asyncore_socket(&p->dispatcher);
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "close 1 ");
}
END_TEST

START_TEST(expt_event_without_a_descriptor_raises)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_handle_expt_event(&p->dispatcher), -EBADF);
	ck_assert_int_eq(asyncore_handle_expt_event(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_handle_expt_event(NULL), -EINVAL);
	ck_assert_str_eq(trace, "");
	asyncore_close(&p->dispatcher);
}
END_TEST

static int raise_eio(struct probe *p)
{
	(void)p;
	return -EIO;
}

START_TEST(error_in_handle_expt_gets_handle_error)
{
	int peer;
	struct probe *p = tcp_probe(&probe_type, NULL, &peer);

	p->on_expt = raise_eio;
	shout(peer, p);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "expt 1 error 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "the event");

	tcase_add_loop_test(tc, urgent_data_calls_handle_expt, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, urgent_data_that_came_before_the_channel_calls_handle_expt,
			    0, 2 * BACKENDS);
	tcase_add_loop_test(tc, urgent_data_ends_a_wait, 0, BACKENDS);
	tcase_add_loop_test(tc, urgent_data_comes_again_while_it_is_unread, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, urgent_data_of_a_touched_class_comes_again_while_it_is_unread,
			    0, KINDS);
	tcase_add_loop_test(tc, urgent_data_is_gone_once_it_is_read, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, inline_urgent_data_is_read_as_data_and_then_expt,
			    0, 2 * BACKENDS);
	tcase_add_loop_test(tc, data_is_read_before_expt, 0, KINDS);
	tcase_add_loop_test(tc, more_channels_than_one_batch_are_told, 0, KINDS);
	tcase_add_test(tc, unix_sockets_have_urgent_data_where_the_kernel_has);
	tcase_add_loop_test(tc, overriding_handle_expt_event_is_enough, 0, KINDS);

	tc = suite_case(suite, "not urgent");
	tcase_add_loop_test(tc, end_of_file_is_not_urgent, 0, KINDS);
	tcase_add_loop_test(tc, reset_is_not_urgent, 0, KINDS);
	tcase_add_loop_test(tc, reset_peer_does_not_spin, 0, BACKENDS);

	tc = suite_case(suite, "who is watched");
	tcase_add_loop_test(tc, channels_that_override_neither_cost_no_descriptor, 0, KINDS);
	tcase_add_test(tc, channels_that_override_share_one_descriptor);
	tcase_add_test(tc, no_descriptor_of_ours_is_inherited);
	tcase_add_test(tc, channel_is_refused_when_there_is_no_descriptor_to_watch_it_with);
	tcase_add_test(tc, files_are_not_watched);
	tcase_add_loop_test(tc, nothing_is_watched_for_without_interest, 0, KINDS);
	tcase_add_loop_test(tc, writable_channels_are_watched_without_use_poll_only, 0, 2);
	tcase_add_loop_test(tc, watch_follows_use_poll_on_and_off, 0, 2);
	tcase_add_loop_test(tc, readable_channels_are_watched_whatever_use_poll_says, 0, 2);

	tc = suite_case(suite, "channels that go");
	tcase_add_loop_test(tc, closing_in_handle_read_skips_expt, 0, KINDS);
	tcase_add_loop_test(tc, closing_in_handle_expt_is_safe, 0, KINDS);
	tcase_add_loop_test(tc, channel_closed_by_another_gets_no_expt, 0, KINDS);
	tcase_add_loop_test(tc, closed_channel_is_forgotten_though_a_duplicate_lives, 0, KINDS);
	tcase_add_loop_test(tc, new_channel_on_an_old_descriptor_is_watched_anew, 0, KINDS);
	tcase_add_test(tc, removed_and_added_channel_is_watched_again);
	tcase_add_test(tc, channel_moved_to_another_map_is_watched_there);
	tcase_add_loop_test(tc, nothing_is_left_on_the_base_after_the_last_watched_channel,
			    0, BACKENDS);

	tc = suite_case(suite, "nesting and ExitNow");
	tcase_add_loop_test(tc, expt_is_delivered_once_when_passes_nest, 0, KINDS);
	tcase_add_loop_test(tc, urgent_data_survives_exit_now, 0, 2 * KINDS);

	tc = suite_case(suite, "handle_expt_event");
	tcase_add_test(tc, expt_event_calls_handle_expt_when_no_error_waits);
	tcase_add_test(tc, expt_event_calls_handle_close_when_an_error_waits);
	tcase_add_test(tc, expt_event_without_a_descriptor_raises);
	tcase_add_loop_test(tc, error_in_handle_expt_gets_handle_error, 0, KINDS);
}

SUITE_MAIN("urgent", add_cases)
