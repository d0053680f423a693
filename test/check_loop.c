/* SPDX-License-Identifier: BSD-3-Clause */

/* check_loop.c - passes: their order, nesting, what leaves them, and close_all. */

#include "support.h"

#include <event2/event.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

/* --- helpers ------------------------------------------------------------------------ */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A pass of either kind. */
static int pass(bool use_poll, struct asyncore_map *map)
{
	return use_poll ? asyncore_poll2(0.0, map) : asyncore_poll(0.0, map);
}

/* Tests that concern both kinds of pass run for _i of 0 and 1. */
enum { KINDS = 2 };

static void close_map(struct asyncore_map *map)
{
	ck_assert_int_eq(asyncore_close_all(map, false), 0);
}

static int raise_eio(struct probe *p)
{
	(void)p;
	return -EIO;
}

static int exit_now(struct probe *p)
{
	(void)p;
	return ASYNCORE_EXIT_NOW;
}

static int ok(struct probe *p)
{
	(void)p;
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

/* --- how long a loop and a pass last ------------------------------------------------ */

START_TEST(loop_over_an_empty_map_returns_at_once)
{
	ck_assert_int_eq(asyncore_loop(1000.0, false, NULL, -1), 0);
	ck_assert_int_eq(asyncore_loop(-1.0, true, NULL, -1), 0);
	ck_assert_int_eq(asyncore_poll(1000.0, NULL), 0);
	ck_assert_int_eq(asyncore_poll2(-1.0, NULL), 0);
	ck_assert_int_eq(asyncore_poll3(1000.0, NULL), 0);
}
END_TEST

START_TEST(loop_ends_when_the_map_is_empty)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		p[i]->on_read = close_self;
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, 3);
	close_peers(peer, 3);
}
END_TEST

static int replace_self(struct probe *p)
{
	int peer;
	struct probe *next = probe_and_peer(NULL, &peer);

	put(peer, "x", 1);
	close(peer);
	if (next->id < 5)
		next->on_read = replace_self;
	return asyncore_close(&p->dispatcher);
}

START_TEST(loop_counts_channels_added_meanwhile)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = replace_self;
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	/* The last one reads until the end of the file. */
	ck_assert_str_eq(trace, "read 1 read 2 read 3 read 4 read 5 read 5 close 5 ");
	close(peer);
}
END_TEST

START_TEST(loop_does_count_passes)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	ck_assert_int_eq(asyncore_loop(0.0, _i, NULL, 3), 0);
	ck_assert_int_eq(p->readables, 3);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(loop_of_no_passes_does_nothing)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 0), 0);
	ck_assert_int_eq(p->readables, 0);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(timeout_that_is_no_number_is_refused)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_loop(NAN, false, NULL, 1), -EINVAL);
	ck_assert_int_eq(asyncore_poll(NAN, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_poll2(-NAN, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_poll3(NAN, NULL), -EINVAL);
	ck_assert_int_eq(p->readables, 0);
	ck_assert_int_eq(p->reads, 0);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(huge_timeouts_are_waits_for_ever)
{
	static const double timeout[] = { 1e7, 1e300, INFINITY, -INFINITY, -1e300 };
	struct asyncore_map *map = backend_map(_i);
	int peer;
	struct probe *p = probe_and_peer(map, &peer);
	size_t i;

	step(map);
	for (i = 0; i < sizeof timeout / sizeof timeout[0]; i++) {
		put(peer, "x", 1);
		ck_assert_int_eq(asyncore_poll(timeout[i], map), 0);
		ck_assert_uint_eq(p->len, i + 1);
	}
	backend_map_end(map);
	close(peer);
}
END_TEST

/* FIELD B36: the clock is the subject; only a lower bound is asked for. */
START_TEST(tiny_timeouts_are_waited_for)
{
	int peer, i;
	double start;

	probe_and_peer(NULL, &peer);
	start = now();
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(_i ? asyncore_poll2(0.0004, NULL) : asyncore_poll(0.0004, NULL),
				 0);
	ck_assert_double_ge(now() - start, 20 * 0.0004);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(pass_lasts_its_timeout_when_nothing_happens)
{
	struct asyncore_map *map = backend_map(_i);
	int peer, i;
	double start;

	probe_and_peer(map, &peer);
	for (i = 0; i < 3; i++) {
		start = now();
		ck_assert_int_eq(asyncore_poll(0.03, map), 0);
		ck_assert_double_ge(now() - start, 0.03);
	}
	backend_map_end(map);
	close(peer);
}
END_TEST

START_TEST(shorter_timeout_after_a_longer_one_holds)
{
	int peer, i;
	struct probe *p = probe_and_peer(NULL, &peer);
	double start;

	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll(3600.0, NULL), 0);
	ck_assert_int_eq(p->reads, 1);
	start = now();
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_poll(0.01, NULL), 0);
	ck_assert_double_ge(now() - start, 0.03);
	ck_assert_double_lt(now() - start, 600.0);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(longer_timeout_after_a_shorter_one_holds)
{
	int peer;
	double start;

	probe_and_peer(NULL, &peer);
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll(0.001, NULL), 0);	/* ended by the data */
	start = now();
	ck_assert_int_eq(asyncore_poll(0.05, NULL), 0);
	ck_assert_double_ge(now() - start, 0.05);
	close_map(NULL);
	close(peer);
}
END_TEST

static int writer_peer;

static void write_to_peer(int signo)
{
	ssize_t unused = write(writer_peer, "x", 1);

	(void)signo, (void)unused;
}

/* Call `handler` once, so many ms from now. */
static void alarm_in(int ms, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };
	struct itimerval timer = { .it_value = { ms / 1000, ms % 1000 * 1000 } };

	sigaction(SIGALRM, &action, NULL);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

START_TEST(negative_timeout_waits_for_ever)
{
	struct probe *p = probe_and_peer(NULL, &writer_peer);

	alarm_in(30, write_to_peer);
	ck_assert_int_eq(_i ? asyncore_poll2(-1.0, NULL) : asyncore_poll(-1.0, NULL), 0);
	ck_assert_int_eq(p->reads, 1);
	close_map(NULL);
	close(writer_peer);
}
END_TEST

static void end_pass(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

/* FIELD B28 */
START_TEST(negative_timeout_without_any_interest_waits)
{
	const struct timeval soon = { 0, 20000 };
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);
	bool ended = false;

	p->wants_read = 0;
	ck_assert_int_eq(event_base_once(asyncore_map_base(NULL), -1, EV_TIMEOUT, end_pass,
					 &ended, &soon), 0);
	ck_assert_int_eq(_i ? asyncore_poll2(-1.0, NULL) : asyncore_poll(-1.0, NULL), 0);
	ck_assert(ended);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(pass_without_any_interest_lasts_its_timeout)
{
	struct asyncore_map *map = backend_map(_i);
	int peer, i;
	struct probe *p = probe_and_peer(map, &peer);
	double start;

	p->wants_read = 0;
	put(peer, "x", 1);
	for (i = 0; i < 3; i++) {
		start = now();
		ck_assert_int_eq(asyncore_poll(0.02, map), 0);
		ck_assert_double_ge(now() - start, 0.02);
	}
	ck_assert_int_eq(p->reads, 0);
	backend_map_end(map);
	close(peer);
}
END_TEST

static volatile sig_atomic_t signals;

static void count_signal(int signo)
{
	(void)signo;
	signals++;
}

/* FIELD B37 */
START_TEST(signal_does_not_end_a_pass)
{
	struct asyncore_map *map = backend_map(_i);
	int peer;
	double start;

	probe_and_peer(map, &peer);
	signals = 0;
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	alarm_in(20, count_signal);
	start = now();
	ck_assert_int_eq(asyncore_poll(0.1, map), 0);
	ck_assert_double_ge(now() - start, 0.1);
	ck_assert_int_eq(signals, 1);
	backend_map_end(map);
	close(peer);
}
END_TEST

static int kill_self(struct probe *p)
{
	kill(getpid(), SIGALRM);
	return asyncore_recv(&p->dispatcher, p->data, 1);
}

START_TEST(signal_in_a_handler_does_no_harm)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	sigaction(SIGALRM, &action, NULL);
	signals = 0;
	p[0]->on_read = kill_self;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	ck_assert_int_eq(signals, 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* --- order -------------------------------------------------------------------------- */

/* Three channels that are ready for everything, added in the reverse order of their
 * descriptors and made ready in yet another order. */
struct ready {
	struct asyncore_map *map;
	struct probe *p[3];
	int peer[3];
};

static void all_ready(struct ready *ready, int backend)
{
	static const int order[] = { 1, 2, 0 };
	int fd[3][2], i;

	ready->map = backend_map(backend);
	for (i = 0; i < 3; i++)
		tcp_pair(fd[i]);
	for (i = 0; i < 3; i++) {
		ready->p[i] = probe_new(fd[2 - i][0], ready->map);
		ready->p[i]->wants_write = 1;
		ready->peer[i] = fd[2 - i][1];
	}
	for (i = 0; i < 3; i++) {
		int peer = ready->peer[order[i]];

		put(peer, "x", 1);
		ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
	}
}

static void end_ready(struct ready *ready)
{
	backend_map_end(ready->map);
	close_peers(ready->peer, 3);
}

START_TEST(poll_calls_all_reads_then_writes_then_exceptions_in_map_order)
{
	struct ready ready;

	all_ready(&ready, _i);
	ck_assert_int_eq(asyncore_poll(0.0, ready.map), 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 write 1 write 2 write 3 "
			 "expt 1 expt 2 expt 3 ");
	end_ready(&ready);
}
END_TEST

START_TEST(poll2_calls_read_write_exception_of_each_channel_in_map_order)
{
	struct ready ready;

	all_ready(&ready, _i);
	ck_assert_int_eq(asyncore_poll2(0.0, ready.map), 0);
	ck_assert_str_eq(trace, "read 1 write 1 expt 1 read 2 write 2 expt 2 "
			 "read 3 write 3 expt 3 ");
	end_ready(&ready);
}
END_TEST

START_TEST(poll3_is_poll2)
{
	struct ready ready;

	all_ready(&ready, _i);
	ck_assert_int_eq(asyncore_poll3(0.0, ready.map), 0);
	ck_assert_str_eq(trace, "read 1 write 1 expt 1 read 2 write 2 expt 2 "
			 "read 3 write 3 expt 3 ");
	end_ready(&ready);
}
END_TEST

START_TEST(loop_with_use_poll_is_poll2)
{
	struct ready ready;

	all_ready(&ready, _i);
	ck_assert_int_eq(asyncore_loop(0.0, true, ready.map, 1), 0);
	ck_assert_str_eq(trace, "read 1 write 1 expt 1 read 2 write 2 expt 2 "
			 "read 3 write 3 expt 3 ");
	end_ready(&ready);
}
END_TEST

START_TEST(order_holds_after_interest_was_switched_off_and_on)
{
	struct ready ready;

	all_ready(&ready, _i);
	ready.p[0]->wants_read = ready.p[0]->wants_write = 0;
	ck_assert_int_eq(asyncore_poll2(0.0, ready.map), 0);
	ready.p[0]->wants_read = ready.p[0]->wants_write = 1;
	trace[0] = '\0';
	ck_assert_int_eq(asyncore_poll2(0.0, ready.map), 0);
	ck_assert_int_eq(strncmp(trace, "read 1 write 1 ", 15), 0);
	end_ready(&ready);
}
END_TEST

START_TEST(channel_added_again_is_called_last)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	asyncore_del_channel(&p[0]->dispatcher, NULL);
	asyncore_add_channel(&p[0]->dispatcher, NULL);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 2 read 3 read 1 ");
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

static int take_byte(struct probe *p)
{
	char byte;

	return asyncore_recv(&p->dispatcher, &byte, 1);
}

/* epoll hands out so many at a time, 32 at first: the rest comes later, none is left out and
 * none comes again. */
START_TEST(channels_beyond_a_batch_of_epoll_are_served_by_the_next_passes)
{
	enum { MANY = 100 };
	struct asyncore_map *map = backend_map(_i);
	static struct probe *p[MANY];
	static int peer[MANY];
	int i, passes, reads;

	probes_and_peers(map, p, peer, MANY);
	for (i = 0; i < MANY; i++) {
		p[i]->on_read = take_byte;
		put(peer[i], "x", 1);
	}
	for (passes = reads = 0; reads < MANY; passes++) {
		const int before = reads;

		step(map);
		for (i = reads = 0; i < MANY; i++) {
			ck_assert_int_le(p[i]->reads, 1);
			reads += p[i]->reads;
		}
		ck_assert_int_gt(reads, before);
	}
	ck_assert_int_le(passes, 4);
	/* Only epoll has batches. */
	ck_assert(passes == 1 || strcmp(event_base_get_method(asyncore_map_base(map)),
					"epoll") == 0);
	step(map);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(p[i]->reads, 1);
	backend_map_end(map);
	close_peers(peer, MANY);
}
END_TEST

/* FIELD B1 */
START_TEST(writable_is_true_by_default)
{
	struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL), 0);
	ck_assert_int_gt(asyncore_readable(&d), 0);
	ck_assert_int_gt(asyncore_writable(&d), 0);
	close_map(NULL);
	close(fd[1]);
}
END_TEST

/* FIELD B13: with the rules of poll, too, data comes before the end of the file. */
START_TEST(data_comes_before_the_hang_up)
{
	char data[5000];
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	memset(data, 'x', sizeof data);
	put(peer, data, 3000);
	close(peer);
	p->on_read = NULL;
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_uint_eq(p->len, 3000);
	ck_assert_int_eq(p->closes, 0);
	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, -1), 0);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(&p->dispatcher);
}
END_TEST

static int read_a_little(struct probe *p)
{
	int n = asyncore_recv(&p->dispatcher, p->data, 512);

	if (n > 0)
		p->len += (size_t)n;
	return n;
}

/* FIELD B13 */
START_TEST(pipe_that_was_closed_is_read_to_its_end)
{
	char data[5000];
	int fd[2];
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fd[0]), 0);
	memset(data, 'x', sizeof data);
	put(fd[1], data, sizeof data);
	close_peers(fd, 2);
	p->on_read = read_a_little;
	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, -1), 0);
	ck_assert_uint_eq(p->len, sizeof data);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(&p->dispatcher);
}
END_TEST

/* --- channels that go during a pass ------------------------------------------------- */

/* FIELD B4 */
START_TEST(channel_closed_by_another_gets_no_event)
{
	struct asyncore_map *map = backend_map(_i / 2);
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(map, p, peer, 3);
	p[0]->on_read = close_arg;
	p[0]->arg = p[1];
	p[1]->wants_write = 1;
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 read 3 ");
	ck_assert_int_eq(probes_disposed, 1);
	backend_map_end(map);
	close_peers(peer, 3);
}
END_TEST

/* FIELD B4 */
START_TEST(closing_in_handle_read_skips_the_write_event)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	p->on_read = close_self;
	p->wants_write = 1;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	backend_map_end(map);
	close(peer);
}
END_TEST

/* Close the channel `arg` and put a new one, that is not ready, on its descriptor. */
static int take_over(struct probe *p)
{
	struct probe *victim = p->arg, *heir;
	struct asyncore_map *map = asyncore_map(&p->dispatcher);
	int number = asyncore_fileno(&victim->dispatcher);
	int fd[2], heir_fd = number;

	asyncore_recv(&p->dispatcher, p->data, 1);
	asyncore_close(&victim->dispatcher);
	unix_pair(fd);
	if (fd[0] != number) {
		heir_fd = fcntl(fd[0], F_DUPFD_CLOEXEC, number);
		close(fd[0]);
	}
	ck_assert_int_eq(heir_fd, number);
	heir = probe_new(heir_fd, map);
	p->arg = heir;
	p->last_error = fd[1];
	return 0;
}

/* FIELD B5 */
START_TEST(new_channel_on_an_old_descriptor_gets_no_stale_event)
{
	struct asyncore_map *map = backend_map(_i / 2);
	struct probe *p[2], *heir;
	int peer[2];

	probes_and_peers(map, p, peer, 2);
	p[0]->on_read = take_over;
	p[0]->arg = p[1];
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 ");

	heir = p[0]->arg;
	put(p[0]->last_error, "y", 1);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 read 3 ");
	ck_assert_int_eq(heir->data[0], 'y');
	close(p[0]->last_error);
	backend_map_end(map);
	close_peers(peer, 2);
}
END_TEST

/* Close and open again on a new, quiet socket. */
static int reopen(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_DGRAM);
}

/* FIELD B5 */
START_TEST(reopened_channel_gets_no_stale_event)
{
	struct asyncore_map *map = backend_map(_i / 2);
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	p->on_read = reopen;
	p->wants_write = 1;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	backend_map_end(map);
	close(peer);
}
END_TEST

static int add_ready(struct probe *p)
{
	int *peer = p->arg;

	asyncore_recv(&p->dispatcher, p->data, 1);
	probe_and_peer(asyncore_map(&p->dispatcher), peer);
	put(*peer, "x", 1);
	p->on_read = NULL;
	return 0;
}

START_TEST(channel_added_in_a_pass_waits_for_the_next)
{
	int peer[2];
	struct probe *p = probe_and_peer(NULL, &peer[0]);

	p->on_read = add_ready;
	p->arg = &peer[1];
	put(peer[0], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int close_and_count(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(probes_disposed, 0);
	return 0;
}

START_TEST(running_channel_is_disposed_of_after_the_pass)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = close_and_count;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int close_arg_in_nested_pass(struct probe *p)
{
	close_arg(p);
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
	ck_assert_int_eq(probes_disposed, 0);
	return 0;
}

START_TEST(nested_pass_disposes_of_nothing)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = close_arg_in_nested_pass;
	p[0]->arg = p[1];
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

START_TEST(channel_closed_outside_a_pass_is_disposed_of_by_the_next)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	asyncore_close(&p[0]->dispatcher);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

START_TEST(held_channel_is_not_disposed_of_by_a_pass)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	asyncore_ref(&p[0]->dispatcher);
	asyncore_close(&p[0]->dispatcher);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_unref(&p[0]->dispatcher);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* --- nesting ------------------------------------------------------------------------ */

static int read_and_poll(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	return pass(*(int *)p->arg, asyncore_map(&p->dispatcher));
}

START_TEST(mark_is_delivered_once_when_passes_nest)
{
	struct asyncore_map *map = backend_map(_i / 4);
	struct probe *p[3];
	int peer[3], i, inner = _i / 2 % 2;

	probes_and_peers(map, p, peer, 3);
	p[0]->on_read = read_and_poll;
	p[0]->arg = &inner;
	p[1]->on_read = ok;		/* does not read, so it stays ready */
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	ck_assert_int_eq(pass(_i % 2, map), 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 ");
	backend_map_end(map);
	close_peers(peer, 3);
}
END_TEST

START_TEST(nested_pass_delivers_what_fired_meanwhile)
{
	struct probe *p[2];
	int peer[2], inner = _i;

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = read_and_poll;
	p[0]->arg = &inner;
	put(peer[0], "xy", 2);		/* the second byte is for the nested pass */
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 read 1 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* A pass inside a pass ..., 3 deep: every channel reads and runs a pass. */
static int depth, deepest;

static int poll_deeper(struct probe *p)
{
	int r;

	asyncore_recv(&p->dispatcher, p->data, 1);
	if (++depth > deepest)
		deepest = depth;
	r = asyncore_poll(0.0, NULL);
	depth--;
	return r;
}

START_TEST(passes_nest_three_deep)
{
	struct probe *p[4];
	int peer[4], i;

	depth = deepest = 0;
	probes_and_peers(NULL, p, peer, 4);
	for (i = 0; i < 4; i++) {
		p[i]->on_read = i < 3 ? poll_deeper : NULL;
		put(peer[i], "x", 1);
	}
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(deepest, 3);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 read 4 ");
	close_map(NULL);
	close_peers(peer, 4);
}
END_TEST

static int close_and_loop(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return asyncore_loop(5.0, false, NULL, -1);
}

START_TEST(loops_nest_three_deep_until_the_map_is_empty)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++) {
		p[i]->on_read = close_and_loop;
		put(peer[i], "x", 1);
	}
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 ");
	ck_assert_int_eq(probes_disposed, 3);
	close_peers(peer, 3);
}
END_TEST

static int loop_over_arg(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return asyncore_loop(5.0, false, p->arg, -1);
}

START_TEST(loop_over_another_map_runs_in_a_handler)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer[2];
	struct probe *p = probe_and_peer(NULL, &peer[0]);
	struct probe *other = probe_and_peer(map, &peer[1]);

	p->on_read = loop_over_arg;
	p->arg = map;
	other->on_read = close_self;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	asyncore_map_free(map);
	close_peers(peer, 2);
}
END_TEST

/* Write marks of the outer pass survive a nested pass of reads. */
START_TEST(outer_pass_goes_on_after_a_nested_one)
{
	struct probe *p[2];
	int peer[2], inner = 0;

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = read_and_poll;
	p[0]->arg = &inner;
	p[0]->wants_write = p[1]->wants_write = 1;
	put(peer[0], "x", 1);
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
	/* The nested pass delivers both writes, so the outer one has none left. */
	ck_assert_str_eq(trace, "read 1 write 1 write 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int poll_without_writing(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_recv(&p->dispatcher, p->data, 1);
	other->wants_write = 0;
	return asyncore_poll(0.0, NULL);
}

START_TEST(nested_pass_leaves_the_marks_that_are_not_its_own)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = poll_without_writing;
	p[0]->arg = p[1];
	p[1]->wants_write = 1;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 read 2 write 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

START_TEST(loop_runs_inside_a_handler_called_by_read)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = close_and_loop;
	p[1]->on_read = close_self;
	put(peer[1], "x", 1);
	ck_assert_int_eq(asyncore_read(&p[0]->dispatcher), 0);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	close_map(NULL);
	ck_assert_int_eq(probes_disposed, 2);
	close_peers(peer, 2);
}
END_TEST

START_TEST(exit_now_inside_a_handler_called_by_read_comes_out_of_it)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = close_and_loop;
	p[1]->on_read = exit_now;
	put(peer[1], "x", 1);
	ck_assert_int_eq(asyncore_read(&p[0]->dispatcher), ASYNCORE_EXIT_NOW);
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

/* --- errors ------------------------------------------------------------------------- */

START_TEST(handler_that_raises_gets_handle_error_once)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = raise_eio;
	p[0]->on_error = ok;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(p[0]->errors, 1);
	ck_assert_int_eq(p[0]->last_error, -EIO);
	ck_assert_str_eq(trace, "read 1 error 1 read 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int raise_eagain(struct probe *p)
{
	(void)p;
	return -EAGAIN;
}

/* FIELD B8 */
START_TEST(nothing_now_is_no_error)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_eagain;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

static int say_seven(struct probe *p)
{
	(void)p;
	return 7;
}

START_TEST(positive_result_is_no_error)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = p->on_write = say_seven;
	p->wants_write = 1;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

static int close_and_raise(struct probe *p)
{
	asyncore_close(&p->dispatcher);
	return -EIO;
}

START_TEST(handler_that_raises_after_closing_gets_handle_error)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = close_and_raise;
	put(peer, "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(handle_error_that_raises_leaves_the_loop)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = raise_eio;
	p[0]->on_error = raise_eio;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, -1), -EIO);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 2);

	p[0]->on_read = NULL;		/* the loop can be entered again */
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 error 1 read 1 read 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static struct probe *told;
static int peer_of_told;

static void raise_outside(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_assert_int_eq(ASYNCORE_RAISE(&told->dispatcher, -EPROTO), -EPROTO);
	ck_assert_ptr_nonnull(asyncore_error(&told->dispatcher));
	put(peer_of_told, "x", 1);
}

static int see_no_error(struct probe *p)
{
	ck_assert_ptr_null(asyncore_error(&p->dispatcher));
	return asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
}

/* An event of the program's on the map's base runs in the wait of a pass.  What is raised
 * there is nothing to the handlers of the next one. */
START_TEST(error_raised_in_the_wait_is_forgotten_in_the_next_pass)
{
	const struct timeval at_once = { 0, 0 };

	told = probe_and_peer(NULL, &peer_of_told);
	told->on_read = see_no_error;
	ck_assert_int_eq(event_base_once(asyncore_map_base(NULL), -1, EV_TIMEOUT, raise_outside,
					 NULL, &at_once), 0);
	ck_assert_int_eq(asyncore_loop(1.0, false, NULL, 2), 0);
	ck_assert_int_eq(told->reads, 1);
	ck_assert_int_eq(told->errors, 0);
	asyncore_close(&told->dispatcher);
	close(peer_of_told);
}
END_TEST

START_TEST(predicate_that_raises_leaves_the_loop)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	if (_i % 2)
		p[0]->on_writable = raise_eio;
	else
		p[0]->on_readable = raise_eio;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(asyncore_loop(1.0, _i / 2, NULL, -1), -EIO);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(p[0]->errors, 0);
	ck_assert_int_eq(p[1]->readables, 0);	/* it was its turn later */

	p[0]->on_writable = p[0]->on_readable = NULL;
	ck_assert_int_eq(asyncore_loop(1.0, _i / 2, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int raise_reset(struct probe *p)
{
	(void)p;
	return -ECONNRESET;
}

START_TEST(disconnect_raised_with_use_poll_is_a_close)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_reset;
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	close(peer);
}
END_TEST

START_TEST(disconnect_raised_without_use_poll_is_an_error)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_reset;
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	close(peer);
}
END_TEST

START_TEST(error_with_use_poll_skips_the_other_events)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_eio;
	p->on_error = ok;
	p->wants_write = 1;
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	p->on_read = NULL;
	ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	ck_assert_str_eq(trace, "read 1 error 1 read 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(error_without_use_poll_skips_nothing)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_eio;
	p->on_error = ok;
	p->wants_write = 1;
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_poll(0.0, NULL), 0);
	ck_assert_str_eq(trace, "read 1 error 1 write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

/* recv() finds the end of the file and calls handle_close(); then the handler raises. */
static int recv_and_raise(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
	return -EPIPE;
}

/* FIELD B3 */
START_TEST(handle_close_is_called_once_when_the_handler_raises_after_it)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = recv_and_raise;
	close(peer);
	ck_assert_int_eq(asyncore_poll2(0.0, NULL), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
}
END_TEST

static int recv_twice(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
	return asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
}

/* FIELD B3 */
START_TEST(handle_close_that_does_not_close_comes_once_in_each_pass)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = recv_twice;
	p->on_close = ok;
	close(peer);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 close 1 read 1 close 1 ");
	close_map(NULL);
}
END_TEST

/* --- ExitNow ------------------------------------------------------------------------ */

/* The loop is left, the map stays, and nobody hears of an error. */
static void assert_left(struct probe *p, int use_poll, size_t size, int errors)
{
	ck_assert_int_eq(asyncore_loop(1.0, use_poll, NULL, 20), ASYNCORE_EXIT_NOW);
	ck_assert_uint_eq(asyncore_map_size(NULL), size);
	ck_assert_int_eq(p->errors, errors);
}

START_TEST(exit_now_from_handle_read_leaves_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = exit_now;
	put(peer, "x", 1);
	assert_left(p, _i, 1, 0);
	ck_assert_str_eq(trace, "read 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(exit_now_from_handle_write_leaves_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_write = exit_now;
	p->wants_write = 1;
	assert_left(p, _i, 1, 0);
	ck_assert_str_eq(trace, "write 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(exit_now_from_handle_expt_leaves_the_loop)
{
	int fd[2];
	struct probe *p;

	tcp_pair(fd);
	p = probe_new(fd[0], NULL);
	p->on_expt = exit_now;
	ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
	assert_left(p, _i, 1, 0);
	ck_assert_str_eq(trace, "expt 1 ");
	close_map(NULL);
	close(fd[1]);
}
END_TEST

START_TEST(exit_now_from_handle_close_leaves_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_close = exit_now;
	close(peer);
	assert_left(p, _i, 1, 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	close_map(NULL);
}
END_TEST

START_TEST(exit_now_from_handle_error_leaves_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_eio;
	p->on_error = exit_now;
	put(peer, "x", 1);
	assert_left(p, _i, 1, 1);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(exit_now_from_handle_connect_leaves_the_loop)
{
	struct probe *p = probe_new(-1, NULL);
	int port, listener = tcp_listener(&port);

	p->on_connect = exit_now;
	p->wants_write = 1;
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&p->dispatcher, "127.0.0.1", port), 0);
	assert_left(p, _i, 1, 0);
	ck_assert_str_eq(trace, "connect 1 ");
	ck_assert(!asyncore_connected(&p->dispatcher));
	close_map(NULL);
	close(listener);
}
END_TEST

static int close_and_exit(struct probe *p, int fd)
{
	(void)p;
	close(fd);
	return ASYNCORE_EXIT_NOW;
}

START_TEST(exit_now_from_handle_accepted_leaves_the_loop)
{
	int port, listener = tcp_listener(&port);
	struct probe *server = probe_new(listener, NULL), *client = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_set_accepting(&server->dispatcher, true), 0);
	server->on_accepted = close_and_exit;
	ck_assert_int_eq(asyncore_create_socket(&client->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_connect(&client->dispatcher, "127.0.0.1", port), 0);
	client->wants_read = 0;
	assert_left(server, _i, 2, 0);
	ck_assert_int_eq(server->accepteds, 1);
	close_map(NULL);
}
END_TEST

START_TEST(exit_now_from_a_predicate_leaves_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	if (_i % 2)
		p->on_writable = exit_now;
	else
		p->on_readable = exit_now;
	put(peer, "x", 1);
	assert_left(p, _i / 2, 1, 0);
	ck_assert_str_eq(trace, "");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(exit_now_drops_the_rest_of_the_pass_and_reentering_brings_it_back)
{
	struct asyncore_map *map = backend_map(_i / 2);
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(map, p, peer, 3);
	p[1]->on_read = exit_now;
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	ck_assert_int_eq(asyncore_loop(1.0, _i % 2, map, -1), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	ck_assert_uint_eq(asyncore_map_size(map), 3);

	p[1]->on_read = NULL;
	ck_assert_int_eq(asyncore_loop(1.0, _i % 2, map, 1), 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 2 read 3 ");
	backend_map_end(map);
	close_peers(peer, 3);
}
END_TEST

/* Call handle_close() of the channel `arg`, and forget what it returned. */
static int drop_result(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_recv(&p->dispatcher, p->data, 1);
	asyncore_handle_close(&other->dispatcher);
	return 0;
}

START_TEST(exit_now_that_was_dropped_leaves_the_loop)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	p[0]->on_read = drop_result;
	p[0]->arg = p[1];
	p[1]->on_close = exit_now;
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	assert_left(p[0], _i, 3, 0);
	ck_assert_str_eq(trace, "read 1 close 2 ");
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 close 2 read 2 read 3 ");
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

/* Drop it, and raise something else instead. */
static int drop_result_and_raise(struct probe *p)
{
	drop_result(p);
	return -EIO;
}

START_TEST(exit_now_is_stronger_than_another_error)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = drop_result_and_raise;
	p[0]->arg = p[1];
	p[1]->on_close = exit_now;
	put(peer[0], "x", 1);
	assert_left(p[0], _i, 2, 0);
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

static int recv_and_drop(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, sizeof p->data);
	return 0;
}

START_TEST(exit_now_dropped_by_the_caller_of_recv_leaves_the_loop)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = recv_and_drop;
	p->on_close = exit_now;
	close(peer);
	assert_left(p, _i, 1, 0);
	close_map(NULL);
}
END_TEST

static int drop_in_predicate(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_handle_close(&other->dispatcher);
	return 1;
}

START_TEST(exit_now_dropped_in_a_predicate_leaves_the_loop)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_readable = drop_in_predicate;
	p[0]->arg = p[1];
	p[1]->on_close = exit_now;
	put(peer[0], "x", 1);
	assert_left(p[0], _i, 2, 0);
	ck_assert_int_eq(p[0]->reads, 0);
	p[0]->on_readable = NULL;
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

START_TEST(exit_now_said_outside_a_loop_does_not_reach_the_next)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_close = exit_now;
	ck_assert_int_eq(asyncore_handle_close(&p->dispatcher), ASYNCORE_EXIT_NOW);
	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_int_eq(p->reads, 1);
	close_map(NULL);
	close(peer);
}
END_TEST

/* The result of the nested loop is returned on: 3 deep. */
START_TEST(exit_now_climbs_out_of_nested_loops)
{
	struct probe *p[4];
	int peer[4], i;

	depth = 0;
	probes_and_peers(NULL, p, peer, 4);
	for (i = 0; i < 4; i++) {
		p[i]->on_read = i < 2 ? poll_deeper : i == 2 ? exit_now : NULL;
		put(peer[i], "x", 1);
	}
	assert_left(p[0], _i, 4, 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 ");
	p[2]->on_read = NULL;
	ck_assert_int_eq(asyncore_loop(1.0, _i, NULL, 1), 0);
	ck_assert_str_eq(trace, "read 1 read 2 read 3 read 3 read 4 ");
	close_map(NULL);
	close_peers(peer, 4);
}
END_TEST

static int catch_exit(struct probe *p)
{
	asyncore_recv(&p->dispatcher, p->data, 1);
	ck_assert_int_eq(asyncore_loop(1.0, false, NULL, -1), ASYNCORE_EXIT_NOW);
	return 0;
}

/* As `try: asyncore.loop() except ExitNow: pass` does: the inner loop is the one left.
 * What it had not delivered comes again, in the outer pass or in the next. */
START_TEST(exit_now_of_a_nested_loop_can_be_caught)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	p[0]->on_read = catch_exit;
	p[1]->on_read = exit_now;
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(strncmp(trace, "read 1 read 2 ", 14), 0);
	p[1]->on_read = NULL;
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_int_eq(p[2]->reads, 1);
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

static int drop_then_poll(struct probe *p)
{
	drop_result(p);
	p->last_error = asyncore_poll(0.0, NULL);
	return 0;
}

START_TEST(no_pass_begins_after_exit_now)
{
	struct probe *p[3];
	int peer[3];

	probes_and_peers(NULL, p, peer, 3);
	p[0]->on_read = drop_then_poll;
	p[0]->arg = p[1];
	p[1]->on_close = exit_now;
	put(peer[0], "x", 1);
	put(peer[2], "x", 1);
	assert_left(p[0], _i, 3, 0);
	ck_assert_int_eq(p[0]->last_error, ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(p[2]->reads, 0);
	close_map(NULL);
	close_peers(peer, 3);
}
END_TEST

/* --- for other people's pollers ----------------------------------------------------- */

START_TEST(read_write_and_exception_call_their_handlers)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_write(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_exception(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "read 1 write 1 expt 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(readwrite_calls_what_each_flag_says)
{
	static const struct {
		int flags;
		const char *calls;
	} row[] = {
		{ 0, "" },
		{ POLLIN, "read 1 " },
		{ POLLOUT, "write 1 " },
		{ POLLPRI, "expt 1 " },
		{ POLLHUP, "close 1 " },
		{ POLLERR, "close 1 " },
		{ POLLNVAL, "close 1 " },
		{ POLLIN | POLLOUT | POLLPRI, "read 1 write 1 expt 1 " },
		{ POLLHUP | POLLERR | POLLNVAL, "close 1 " },
		{ POLLIN | POLLHUP, "read 1 close 1 " },
		{ POLLIN | POLLOUT | POLLPRI | POLLERR, "read 1 write 1 expt 1 close 1 " },
	};
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);
	size_t i;

	p->on_close = ok;
	for (i = 0; i < sizeof row / sizeof row[0]; i++) {
		trace[0] = '\0';
		ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, row[i].flags), 0);
		ck_assert_str_eq(trace, row[i].calls);
	}
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(calls_work_on_a_channel_that_was_never_opened)
{
	struct probe *p = probe_new(-1, NULL);

	p->on_read = ok;
	p->on_close = ok;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_write(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLHUP), 0);
	ck_assert_str_eq(trace, "read 1 write 1 read 1 close 1 ");
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(calls_on_a_closed_channel_are_refused)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_read(&p->dispatcher), -EBADF);
	ck_assert_int_eq(asyncore_write(&p->dispatcher), -EBADF);
	ck_assert_int_eq(asyncore_exception(&p->dispatcher), -EBADF);
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLHUP), -EBADF);
	ck_assert_str_eq(trace, "");
	close(peer);
}
END_TEST

START_TEST(calls_on_nobody_are_refused)
{
	struct asyncore_dispatcher d = { NULL, NULL };

	ck_assert_int_eq(asyncore_read(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_write(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_exception(NULL), -EINVAL);
	ck_assert_int_eq(asyncore_readwrite(NULL, POLLIN), -EINVAL);
	ck_assert_int_eq(asyncore_read(&d), -EINVAL);
	ck_assert_int_eq(asyncore_readwrite(&d, POLLIN), -EINVAL);
}
END_TEST

/* FIELD B3 */
START_TEST(hang_up_after_the_end_of_file_closes_once)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	close(peer);
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLHUP | POLLERR), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
}
END_TEST

/* FIELD B3 */
START_TEST(hang_up_after_handle_close_that_did_not_close_is_not_repeated)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_close = ok;
	close(peer);
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLHUP), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLHUP), 0);
	ck_assert_str_eq(trace, "read 1 close 1 close 1 ");
	close_map(NULL);
}
END_TEST

START_TEST(hang_up_after_close_calls_nothing)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = close_self;
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLOUT | POLLHUP), 0);
	ck_assert_str_eq(trace, "read 1 ");
	close(peer);
}
END_TEST

START_TEST(error_in_readwrite_ends_it)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_eio;
	p->on_error = ok;
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLOUT | POLLHUP), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(disconnect_in_readwrite_is_a_close_and_ends_it)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_reset;
	p->on_close = ok;
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLOUT | POLLHUP), 0);
	ck_assert_str_eq(trace, "read 1 close 1 ");
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(disconnect_in_read_is_an_error)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = raise_reset;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	ck_assert_int_eq(p->last_error, -ECONNRESET);
	close(peer);
}
END_TEST

START_TEST(calls_return_what_handle_error_raised)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = p->on_write = p->on_expt = p->on_error = raise_eio;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), -EIO);
	ck_assert_int_eq(asyncore_write(&p->dispatcher), -EIO);
	ck_assert_int_eq(asyncore_exception(&p->dispatcher), -EIO);
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLOUT), -EIO);
	ck_assert_int_eq(p->errors, 4);
	close_map(NULL);
	close(peer);
}
END_TEST

START_TEST(calls_return_exit_now)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = exit_now;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(asyncore_readwrite(&p->dispatcher, POLLIN | POLLOUT),
			 ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "read 1 read 1 ");
	p->on_read = ok;		/* and the map has forgotten it */
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	close_map(NULL);
	close(peer);
}
END_TEST

static int drive_arg(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_recv(&p->dispatcher, p->data, 1);
	return asyncore_write(&other->dispatcher);
}

START_TEST(calls_inside_a_handler_leave_the_marks_of_the_pass)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_read = drive_arg;
	p[0]->arg = p[1];
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	ck_assert_int_eq(pass(_i, NULL), 0);
	ck_assert_str_eq(trace, "read 1 write 2 read 2 ");
	close_map(NULL);
	close_peers(peer, 2);
}
END_TEST

START_TEST(channel_closed_by_read_is_disposed_of_later)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = close_and_raise;
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "read 1 error 1 ");
	ck_assert_int_eq(probes_disposed, 0);
	close_map(NULL);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

/* --- close_all ---------------------------------------------------------------------- */

static int close_result[8];	/* of the class below, by id */

static int traced_close(struct asyncore_dispatcher *d)
{
	struct probe *p = (struct probe *)d;

	trace_call("close() %d ", p->id);
	if (close_result[p->id] == 0 || p->arg != NULL)
		return asyncore_dispatcher_close(d);
	return close_result[p->id];
}

static const struct asyncore_dispatcher_type closing_type = {
	.base = &probe_type,
	.close = traced_close,
};

/* Three of that class; the one in the middle returns `result` out of its close(). */
static void three(struct asyncore_map *map, struct probe **p, int *peer, int result)
{
	int i, fd[2];

	memset(close_result, 0, sizeof close_result);
	close_result[2] = result;
	for (i = 0; i < 3; i++) {
		unix_pair(fd);
		peer[i] = fd[1];
		p[i] = probe_new_typed(&closing_type, fd[0], map);
	}
}

static void end_three(int *peer)
{
	memset(close_result, 0, sizeof close_result);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	close_peers(peer, 3);
}

START_TEST(close_all_calls_close_in_map_order)
{
	struct probe *p[3];
	int peer[3];

	three(NULL, p, peer, 0);
	asyncore_del_channel(&p[0]->dispatcher, NULL);
	asyncore_add_channel(&p[0]->dispatcher, NULL);
	ck_assert_int_eq(asyncore_close_all(NULL, _i), 0);
	ck_assert_str_eq(trace, "close() 2 close() 3 close() 1 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, 3);
	end_three(peer);
}
END_TEST

START_TEST(close_all_of_an_empty_map_does_nothing)
{
	ck_assert_int_eq(asyncore_close_all(NULL, _i), 0);
}
END_TEST

START_TEST(close_all_ends_at_the_first_error)
{
	struct probe *p[3];
	int peer[3];

	three(NULL, p, peer, -EIO);
	ck_assert_int_eq(asyncore_close_all(NULL, false), -EIO);
	ck_assert_str_eq(trace, "close() 1 close() 2 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 2);
	end_three(peer);
}
END_TEST

START_TEST(close_all_ignores_ebadf)
{
	struct probe *p[3];
	int peer[3];

	three(NULL, p, peer, -EBADF);
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	ck_assert_str_eq(trace, "close() 1 close() 2 close() 3 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, 3);
	end_three(peer);
}
END_TEST

START_TEST(close_all_can_ignore_every_error)
{
	struct probe *p[3];
	int peer[3];

	three(NULL, p, peer, -EIO);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	ck_assert_str_eq(trace, "close() 1 close() 2 close() 3 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, 3);
	end_three(peer);
}
END_TEST

START_TEST(close_all_does_not_ignore_exit_now)
{
	struct probe *p[3];
	int peer[3];

	three(NULL, p, peer, ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(asyncore_close_all(NULL, _i), ASYNCORE_EXIT_NOW);
	ck_assert_str_eq(trace, "close() 1 close() 2 ");
	ck_assert_uint_eq(asyncore_map_size(NULL), 2);
	end_three(peer);
}
END_TEST

START_TEST(close_all_empties_the_map_even_when_close_does_not_call_up)
{
	struct probe *p[3];
	int peer[3], fd;

	three(NULL, p, peer, 1);	/* a result that is no error, nor a close */
	fd = asyncore_socket(&p[1]->dispatcher);
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(probes_disposed, 3);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	end_three(peer);
}
END_TEST

START_TEST(close_all_of_one_map_leaves_the_others)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int peer[2];
	struct probe *p = probe_and_peer(NULL, &peer[0]);

	probe_and_peer(map, &peer[1]);
	ck_assert_int_eq(asyncore_close_all(map, false), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	asyncore_close(&p->dispatcher);
	asyncore_map_free(map);
	close_peers(peer, 2);
}
END_TEST

static int close_all(struct probe *p)
{
	p->last_error = asyncore_close_all(NULL, false);
	ck_assert_int_eq(probes_disposed, 0);
	return 0;
}

START_TEST(close_all_inside_a_handler_ends_the_loop)
{
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	for (i = 0; i < 3; i++)
		put(peer[i], "x", 1);
	p[0]->on_read = close_all;
	asyncore_ref(&p[0]->dispatcher);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(p[0]->last_error, 0);
	ck_assert_int_eq(probes_disposed, 2);
	asyncore_unref(&p[0]->dispatcher);
	close_peers(peer, 3);
}
END_TEST

START_TEST(exit_now_out_of_close_all_leaves_the_loop)
{
	struct probe *p[3];
	int peer[3];

	three(NULL, p, peer, ASYNCORE_EXIT_NOW);
	p[0]->on_read = close_all;
	put(peer[0], "x", 1);
	put(peer[2], "x", 1);
	asyncore_ref(&p[0]->dispatcher);
	ck_assert_int_eq(asyncore_loop(5.0, _i, NULL, -1), ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(p[0]->last_error, ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(p[2]->reads, 0);
	asyncore_unref(&p[0]->dispatcher);
	end_three(peer);
}
END_TEST

static int close_other_in_close(struct asyncore_dispatcher *d)
{
	struct probe *p = (struct probe *)d, *other = p->arg;

	trace_call("close() %d ", p->id);
	if (other != NULL)
		asyncore_close(&other->dispatcher);
	return asyncore_dispatcher_close(d);
}

static const struct asyncore_dispatcher_type partner_type = {
	.base = &probe_type,
	.close = close_other_in_close,
};

START_TEST(close_all_does_not_close_again_what_another_closed)
{
	struct probe *p[2];
	int fd[2][2], i;

	for (i = 0; i < 2; i++) {
		unix_pair(fd[i]);
		p[i] = probe_new_typed(&partner_type, fd[i][0], NULL);
	}
	p[0]->arg = p[1];
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	ck_assert_str_eq(trace, "close() 1 close() 2 ");
	close(fd[0][1]);
	close(fd[1][1]);
}
END_TEST

/* --- which errors mean that the peer is gone ---------------------------------------- */

START_TEST(disconnected_knows_the_errors_of_a_lost_connection)
{
	static const int lost[] = {
		ECONNRESET, ENOTCONN, ESHUTDOWN, ECONNABORTED, EPIPE, EBADF,
		ETIMEDOUT,	/* FIELD B9 */
	};
	static const int other[] = {
		0, EAGAIN, EINTR, EIO, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EINVAL, ENOMEM,
		ASYNCORE_EXIT_NOW, 2147483647, -2147483647,
	};
	size_t i;

	for (i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		ck_assert(asyncore_disconnected(lost[i]));
		ck_assert(asyncore_disconnected(-lost[i]));
	}
	for (i = 0; i < sizeof other / sizeof other[0]; i++) {
		ck_assert(!asyncore_disconnected(other[i]));
		ck_assert(!asyncore_disconnected(-other[i]));
	}
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

static void add_timing(Suite *suite)
{
	TCase *tc = suite_case(suite, "how long");

	tcase_add_test(tc, loop_over_an_empty_map_returns_at_once);
	tcase_add_loop_test(tc, loop_ends_when_the_map_is_empty, 0, KINDS);
	tcase_add_loop_test(tc, loop_counts_channels_added_meanwhile, 0, KINDS);
	tcase_add_loop_test(tc, loop_does_count_passes, 0, KINDS);
	tcase_add_loop_test(tc, loop_of_no_passes_does_nothing, 0, KINDS);
	tcase_add_test(tc, timeout_that_is_no_number_is_refused);
	tcase_add_loop_test(tc, huge_timeouts_are_waits_for_ever, 0, BACKENDS);
	tcase_add_loop_test(tc, tiny_timeouts_are_waited_for, 0, KINDS);
	tcase_add_loop_test(tc, pass_lasts_its_timeout_when_nothing_happens, 0, BACKENDS);
	tcase_add_test(tc, shorter_timeout_after_a_longer_one_holds);
	tcase_add_test(tc, longer_timeout_after_a_shorter_one_holds);
	tcase_add_loop_test(tc, negative_timeout_waits_for_ever, 0, KINDS);
	tcase_add_loop_test(tc, negative_timeout_without_any_interest_waits, 0, KINDS);
	tcase_add_loop_test(tc, pass_without_any_interest_lasts_its_timeout, 0, BACKENDS);
	tcase_add_loop_test(tc, signal_does_not_end_a_pass, 0, BACKENDS);
	tcase_add_loop_test(tc, signal_in_a_handler_does_no_harm, 0, KINDS);
}

static void add_order(Suite *suite)
{
	TCase *tc = suite_case(suite, "order");

	tcase_add_loop_test(tc, poll_calls_all_reads_then_writes_then_exceptions_in_map_order,
			    0, BACKENDS);
	tcase_add_loop_test(tc, poll2_calls_read_write_exception_of_each_channel_in_map_order,
			    0, BACKENDS);
	tcase_add_loop_test(tc, poll3_is_poll2, 0, BACKENDS);
	tcase_add_loop_test(tc, loop_with_use_poll_is_poll2, 0, BACKENDS);
	tcase_add_loop_test(tc, order_holds_after_interest_was_switched_off_and_on, 0, BACKENDS);
	tcase_add_loop_test(tc, channel_added_again_is_called_last, 0, KINDS);
	tcase_add_loop_test(tc, channels_beyond_a_batch_of_epoll_are_served_by_the_next_passes, 0,
			    BACKENDS);
	tcase_add_test(tc, writable_is_true_by_default);
	tcase_add_loop_test(tc, data_comes_before_the_hang_up, 0, KINDS);
	tcase_add_loop_test(tc, pipe_that_was_closed_is_read_to_its_end, 0, KINDS);
}

static void add_going(Suite *suite)
{
	TCase *tc = suite_case(suite, "channels that go");

	tcase_add_loop_test(tc, channel_closed_by_another_gets_no_event, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, closing_in_handle_read_skips_the_write_event, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, new_channel_on_an_old_descriptor_gets_no_stale_event,
			    0, 2 * BACKENDS);
	tcase_add_loop_test(tc, reopened_channel_gets_no_stale_event, 0, 2 * BACKENDS);
	tcase_add_loop_test(tc, channel_added_in_a_pass_waits_for_the_next, 0, KINDS);
	tcase_add_loop_test(tc, running_channel_is_disposed_of_after_the_pass, 0, KINDS);
	tcase_add_loop_test(tc, nested_pass_disposes_of_nothing, 0, KINDS);
	tcase_add_loop_test(tc, channel_closed_outside_a_pass_is_disposed_of_by_the_next,
			    0, KINDS);
	tcase_add_loop_test(tc, held_channel_is_not_disposed_of_by_a_pass, 0, KINDS);
}

static void add_nesting(Suite *suite)
{
	TCase *tc = suite_case(suite, "nesting");

	tcase_add_loop_test(tc, mark_is_delivered_once_when_passes_nest, 0, 4 * BACKENDS);
	tcase_add_loop_test(tc, nested_pass_delivers_what_fired_meanwhile, 0, KINDS);
	tcase_add_loop_test(tc, passes_nest_three_deep, 0, KINDS);
	tcase_add_loop_test(tc, loops_nest_three_deep_until_the_map_is_empty, 0, KINDS);
	tcase_add_loop_test(tc, loop_over_another_map_runs_in_a_handler, 0, KINDS);
	tcase_add_test(tc, outer_pass_goes_on_after_a_nested_one);
	tcase_add_loop_test(tc, nested_pass_leaves_the_marks_that_are_not_its_own, 0, KINDS);
	tcase_add_test(tc, loop_runs_inside_a_handler_called_by_read);
	tcase_add_test(tc, exit_now_inside_a_handler_called_by_read_comes_out_of_it);
}

static void add_errors(Suite *suite)
{
	TCase *tc = suite_case(suite, "errors");

	tcase_add_loop_test(tc, handler_that_raises_gets_handle_error_once, 0, KINDS);
	tcase_add_loop_test(tc, nothing_now_is_no_error, 0, KINDS);
	tcase_add_loop_test(tc, positive_result_is_no_error, 0, KINDS);
	tcase_add_loop_test(tc, handler_that_raises_after_closing_gets_handle_error, 0, KINDS);
	tcase_add_loop_test(tc, handle_error_that_raises_leaves_the_loop, 0, KINDS);
	tcase_add_test(tc, error_raised_in_the_wait_is_forgotten_in_the_next_pass);
	tcase_add_loop_test(tc, predicate_that_raises_leaves_the_loop, 0, 4);
	tcase_add_test(tc, disconnect_raised_with_use_poll_is_a_close);
	tcase_add_test(tc, disconnect_raised_without_use_poll_is_an_error);
	tcase_add_test(tc, error_with_use_poll_skips_the_other_events);
	tcase_add_test(tc, error_without_use_poll_skips_nothing);
	tcase_add_test(tc, handle_close_is_called_once_when_the_handler_raises_after_it);
	tcase_add_loop_test(tc, handle_close_that_does_not_close_comes_once_in_each_pass,
			    0, KINDS);
}

static void add_exit_now(Suite *suite)
{
	TCase *tc = suite_case(suite, "ExitNow");

	tcase_add_loop_test(tc, exit_now_from_handle_read_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_handle_write_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_handle_expt_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_handle_close_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_handle_error_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_handle_connect_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_handle_accepted_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_from_a_predicate_leaves_the_loop, 0, 4);
	tcase_add_loop_test(tc, exit_now_drops_the_rest_of_the_pass_and_reentering_brings_it_back,
			    0, 2 * BACKENDS);
	tcase_add_loop_test(tc, exit_now_that_was_dropped_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_is_stronger_than_another_error, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_dropped_by_the_caller_of_recv_leaves_the_loop,
			    0, KINDS);
	tcase_add_loop_test(tc, exit_now_dropped_in_a_predicate_leaves_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_said_outside_a_loop_does_not_reach_the_next,
			    0, KINDS);
	tcase_add_loop_test(tc, exit_now_climbs_out_of_nested_loops, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_of_a_nested_loop_can_be_caught, 0, KINDS);
	tcase_add_loop_test(tc, no_pass_begins_after_exit_now, 0, KINDS);
}

static void add_foreign_pollers(Suite *suite)
{
	TCase *tc = suite_case(suite, "read, write, exception, readwrite");

	tcase_add_test(tc, read_write_and_exception_call_their_handlers);
	tcase_add_test(tc, readwrite_calls_what_each_flag_says);
	tcase_add_test(tc, calls_work_on_a_channel_that_was_never_opened);
	tcase_add_test(tc, calls_on_a_closed_channel_are_refused);
	tcase_add_test(tc, calls_on_nobody_are_refused);
	tcase_add_test(tc, hang_up_after_the_end_of_file_closes_once);
	tcase_add_test(tc, hang_up_after_handle_close_that_did_not_close_is_not_repeated);
	tcase_add_test(tc, hang_up_after_close_calls_nothing);
	tcase_add_test(tc, error_in_readwrite_ends_it);
	tcase_add_test(tc, disconnect_in_readwrite_is_a_close_and_ends_it);
	tcase_add_test(tc, disconnect_in_read_is_an_error);
	tcase_add_test(tc, calls_return_what_handle_error_raised);
	tcase_add_test(tc, calls_return_exit_now);
	tcase_add_loop_test(tc, calls_inside_a_handler_leave_the_marks_of_the_pass, 0, KINDS);
	tcase_add_test(tc, channel_closed_by_read_is_disposed_of_later);
	tcase_add_test(tc, disconnected_knows_the_errors_of_a_lost_connection);
}

static void add_close_all(Suite *suite)
{
	TCase *tc = suite_case(suite, "close_all");

	tcase_add_loop_test(tc, close_all_calls_close_in_map_order, 0, 2);
	tcase_add_loop_test(tc, close_all_of_an_empty_map_does_nothing, 0, 2);
	tcase_add_test(tc, close_all_ends_at_the_first_error);
	tcase_add_test(tc, close_all_ignores_ebadf);
	tcase_add_test(tc, close_all_can_ignore_every_error);
	tcase_add_loop_test(tc, close_all_does_not_ignore_exit_now, 0, 2);
	tcase_add_test(tc, close_all_empties_the_map_even_when_close_does_not_call_up);
	tcase_add_test(tc, close_all_of_one_map_leaves_the_others);
	tcase_add_loop_test(tc, close_all_inside_a_handler_ends_the_loop, 0, KINDS);
	tcase_add_loop_test(tc, exit_now_out_of_close_all_leaves_the_loop, 0, KINDS);
	tcase_add_test(tc, close_all_does_not_close_again_what_another_closed);
}

static void add_cases(Suite *suite)
{
	add_timing(suite);
	add_order(suite);
	add_going(suite);
	add_nesting(suite);
	add_errors(suite);
	add_exit_now(suite);
	add_foreign_pollers(suite);
	add_close_all(suite);
}

SUITE_MAIN("loop", add_cases)
