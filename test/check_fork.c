/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_fork.c - a map after fork(): asyncore_map_reinit() in the child, and a parent that
 * does not notice.
 *
 * Two channels: `ours` is the parent's to serve after the fork, `theirs` the child's.  Both
 * answer "a" with "A", and urgent data too.  The parent asks at both peers.  A child reports
 * by its exit status, and calls nothing of Check.
 */

#include "support.h"

#include <asyncore_event.h>

#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* --- two processes ---------------------------------------------------------------------- */

static bool am_child;
static pid_t child;
static int other_process;		/* a socket to it */

/* An assertion for either process. */
#define MUST(condition) ((condition) ? (void)0 : must(#condition, __LINE__))

static void must(const char *what, int line)
{
	if (!am_child)
		ck_abort_msg("line %d: %s", line, what);
	fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, line, what);
	_exit(EXIT_FAILURE);
}

static void tell(void)
{
	MUST(write(other_process, "x", 1) == 1);
}

/* Wait for the other process to tell(). */
static void hear(void)
{
	char byte;

	MUST(read(other_process, &byte, 1) == 1);
}

/* True in the child, whose map is still the parent's, too. */
static bool forks(void)
{
	int fd[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	fflush(NULL);
	child = fork();
	MUST(child >= 0);
	am_child = child == 0;
	other_process = fd[am_child];
	close(fd[!am_child]);
	if (am_child)
		alarm(30);
	return am_child;
}

/* The parent: see the child end well. */
static void join(void)
{
	int status;

	MUST(waitpid(child, &status, 0) == child);
	close(other_process);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

/* --- ways of driving a map -------------------------------------------------------------- */

/* asyncore_poll() on a base of its own; on each backend, asyncore_poll() on the application's
 * base, and the application's own loop. */
enum { OWN, ATTACHED, DISPATCHED = ATTACHED + BACKENDS, WAYS = DISPATCHED + BACKENDS };

static int way;
static struct asyncore_map *map;

static void begin(int the_way)
{
	way = the_way;
	map = way == OWN ? asyncore_map_new(NULL) : backend_map((way - ATTACHED) % BACKENDS);
	ck_assert_ptr_nonnull(map);
	am_child = false;
	alarm(60);
}

static void free_map(void)
{
	struct event_base *base = asyncore_map_base(map);

	MUST(asyncore_map_free(map) == 0);
	if (way != OWN)
		event_base_free(base);
}

/* Once round the loop, waiting for something to happen if `wait`. */
static void turn(bool wait)
{
	if (way >= DISPATCHED)
		MUST(event_base_loop(asyncore_map_base(map),
				     EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK)) >= 0);
	else
		MUST(asyncore_poll(wait ? 1.0 : 0.0, map) == 0);
}

static void turns(int n)
{
	while (n-- > 0)
		turn(false);
}

/* What never comes is ended by alarm(). */
#define turn_until(condition) \
	do { \
		while (!(condition)) \
			turn(true); \
	} while (0)

static void reinit(void)
{
	const int before = open_descriptors();

	MUST(asyncore_map_reinit(map) == 0);
	MUST(open_descriptors() == before);
}

/* The child: nothing is left, and nothing failed. */
static void child_ends(void)
{
	free_map();
	_exit(EXIT_SUCCESS);
}

/* --- two channels ----------------------------------------------------------------------- */

static struct probe *ours, *theirs;
static int our_peer, their_peer;

static int answer(struct probe *p)
{
	char byte[8];
	int n = asyncore_recv(&p->dispatcher, byte, sizeof byte);

	return n > 0 ? asyncore_send(&p->dispatcher, "A", 1) : n;
}

static int answer_urgent(struct probe *p)
{
	char byte;

	MUST(recv(asyncore_socket(&p->dispatcher), &byte, 1, MSG_OOB) == 1);
	return asyncore_send(&p->dispatcher, "A", 1);
}

static struct probe *answerer(struct asyncore_map *in, int *its_peer)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	*its_peer = fd[1];
	p = probe_new(fd[0], in);
	p->on_read = answer;
	p->on_expt = answer_urgent;
	return p;
}

static void begin_with_two(int the_way)
{
	begin(the_way);
	ours = answerer(map, &our_peer);
	theirs = answerer(map, &their_peer);
	turns(2);
}

static void end(void)
{
	free_map();
	close(our_peer);
	close(their_peer);
	alarm(0);
}

/* Ask for an answer, with MSG_OOB or not. */
static void ask(int peer, int flags)
{
	MUST(send(peer, "a", 1, flags) == 1);
}

static bool answered(int peer)
{
	char byte;

	return read(peer, &byte, 1) == 1 && byte == 'A';
}

/* The channel is served here / by the other process. */
static void expect_here(int peer)
{
	ask(peer, 0);
	turn_until(answered(peer));
	ask(peer, MSG_OOB);
	turn_until(answered(peer));
}

static void expect_there(int peer)
{
	static const int flags[] = { 0, MSG_OOB };
	struct pollfd pfd = { .fd = peer, .events = POLLIN };
	int i;

	for (i = 0; i < 2; i++) {
		ask(peer, flags[i]);
		MUST(poll(&pfd, 1, 10000) == 1);
		MUST(answered(peer));
	}
}

/* The child: have nothing that is the parent's. */
static void leave_ours(void)
{
	close(our_peer);
	close(their_peer);
	MUST(asyncore_close(&ours->dispatcher) == 0);
}

/* After the fork: the child has left ours.  The child serves until the peer goes. */
static void expect_both_served(void)
{
	if (am_child) {
		tell();
		turn_until(asyncore_map_size(map) == 0);
		child_ends();
	}
	hear();
	expect_here(our_peer);
	MUST(asyncore_close(&theirs->dispatcher) == 0);
	expect_here(our_peer);
	expect_there(their_peer);
	expect_here(our_peer);
	shutdown(their_peer, SHUT_WR);
	join();
	expect_here(our_peer);
}

static int calls;

static int count_call(struct asyncore_map *of, void *arg)
{
	(void)of, (void)arg;
	calls++;
	return 0;
}

/* --- who serves whom -------------------------------------------------------------------- */

START_TEST(each_is_served_when_the_child_goes_first)
{
	begin_with_two(_i);
	if (forks()) {
		reinit();
		leave_ours();
	}
	expect_both_served();
	end();
}
END_TEST

START_TEST(each_is_served_when_the_parent_goes_first)
{
	begin_with_two(_i);
	if (forks()) {
		hear();
		reinit();
		leave_ours();
	} else {
		expect_here(our_peer);
		expect_here(their_peer);
		tell();
	}
	expect_both_served();
	end();
}
END_TEST

START_TEST(each_is_served_when_they_take_turns)
{
	begin_with_two(_i);
	if (forks()) {
		reinit();
		tell();
		hear();
		turns(2);
		leave_ours();
		tell();
		hear();
		turns(2);
	} else {
		hear();
		expect_here(our_peer);
		tell();
		hear();
		turns(2);
		expect_here(our_peer);
		tell();
	}
	expect_both_served();
	end();
}
END_TEST

START_TEST(reinit_may_be_repeated)
{
	begin_with_two(_i);
	if (forks()) {
		reinit();
		turns(2);
		reinit();
		reinit();
		leave_ours();
		reinit();
	}
	expect_both_served();
	end();
}
END_TEST

START_TEST(reinit_without_a_fork_changes_nothing)
{
	begin_with_two(_i);
	reinit();
	expect_here(our_peer);
	reinit();
	expect_here(their_peer);
	expect_here(our_peer);
	end();
}
END_TEST

/* There is less to be made anew where no channel wants urgent data, or (_i) not every one. */
START_TEST(map_of_plain_channels_is_made_the_childs_own)
{
	struct asyncore_map *plain = asyncore_map_new(NULL);
	struct probe *p, *urgent = NULL;
	int fd[2], peer = -1;

	if (_i == 1)
		urgent = probe_and_peer(plain, &peer);

	unix_pair(fd);
	p = probe_new_typed(&probe_plain_type, fd[0], plain);
	ck_assert_int_eq(asyncore_poll(0, plain), 0);
	ck_assert_int_eq(asyncore_map_reinit(plain), 0);
	put(fd[1], "x", 1);
	run_until(p->reads == 1, plain);
	if (urgent != NULL) {
		put(peer, "x", 1);
		run_until(urgent->reads == 1, plain);
		asyncore_close(&urgent->dispatcher);
		close(peer);
	}
	asyncore_close(&p->dispatcher);
	close(fd[1]);
	ck_assert_int_eq(asyncore_map_free(plain), 0);
}
END_TEST

START_TEST(grandchild_is_served_too)
{
	begin_with_two(_i);
	if (forks()) {
		reinit();
		/* What it makes of the map is the grandchild's to use. */
		if (fork() > 0) {
			int status;

			MUST(wait(&status) > 0 && status == 0);
			child_ends();
		}
		reinit();
		leave_ours();
	}
	expect_both_served();
	end();
}
END_TEST

START_TEST(parent_outlives_a_child_that_closes_everything)
{
	begin_with_two(_i);
	if (forks()) {
		reinit();
		MUST(asyncore_close_all(map, false) == 0);
		turns(2);
		child_ends();
	}
	join();
	expect_here(our_peer);
	expect_here(their_peer);
	end();
}
END_TEST

START_TEST(parent_outlives_a_child_that_touches_nothing)
{
	begin_with_two(_i);
	if (forks())
		_exit(EXIT_SUCCESS);
	join();
	expect_here(our_peer);
	expect_here(their_peer);
	end();
}
END_TEST

START_TEST(child_outlives_a_parent_that_frees_everything)
{
	begin_with_two(_i);
	if (forks()) {
		hear();
		reinit();
		leave_ours();
		tell();
		turn_until(asyncore_map_size(map) == 0);
		child_ends();
	}
	free_map();
	tell();
	hear();
	expect_there(their_peer);
	shutdown(their_peer, SHUT_WR);
	join();
	close(our_peer);
	close(their_peer);
	alarm(0);
}
END_TEST

START_TEST(channels_made_after_the_fork_are_served)
{
	struct probe *p;
	int peer;

	begin_with_two(_i);
	if (forks()) {
		reinit();
		leave_ours();
	}
	p = answerer(map, &peer);
	expect_here(peer);
	MUST(asyncore_close(&p->dispatcher) == 0);
	close(peer);
	expect_both_served();
	end();
}
END_TEST

/* What the library leaves registered must not keep the child's loop. */
START_TEST(applications_loop_of_the_child_ends_by_itself)
{
	const bool before = _i / BACKENDS;	/* nobody can post when the map is renewed */
	struct asyncore_trigger *unused;

	begin_with_two(DISPATCHED + _i % BACKENDS);
	unused = asyncore_trigger_new(map, count_call, NULL, NULL);
	turns(2);
	if (before)
		asyncore_trigger_free(unused);
	if (forks()) {
		reinit();
		leave_ours();
		if (!before)
			asyncore_trigger_free(unused);
		tell();
		MUST(event_base_dispatch(asyncore_map_base(map)) >= 0);
		MUST(asyncore_map_size(map) == 0);
		child_ends();
	}
	hear();
	expect_there(their_peer);
	shutdown(their_peer, SHUT_WR);
	join();
	if (!before)
		asyncore_trigger_free(unused);
	MUST(asyncore_close_all(map, true) == 0);
	MUST(event_base_dispatch(asyncore_map_base(map)) >= 0);
	end();
}
END_TEST

START_TEST(write_events_come_in_both)
{
	begin_with_two(_i);
	ours->wants_write = theirs->wants_write = 1;
	asyncore_touch(&ours->dispatcher);
	turn_until(ours->writes > 0 && theirs->writes > 0);
	if (forks()) {
		reinit();
		leave_ours();
		theirs->writes = 0;
		turn_until(theirs->writes == 3);
		child_ends();
	}
	ours->writes = 0;
	turn_until(ours->writes >= 3);
	join();
	ours->writes = 0;
	turn_until(ours->writes >= 3);
	end();
}
END_TEST

START_TEST(files_are_ready_in_both)
{
	struct probe *p;
	FILE *file = tmpfile();

	begin_with_two(_i);
	p = probe_new(-1, map);
	ck_assert_int_eq(asyncore_set_file(&p->dispatcher, fileno(file)), 0);
	fclose(file);
	p->wants_read = 0;
	p->wants_write = 1;
	turns(2);
	if (forks())
		reinit();
	p->writes = 0;
	turn_until(p->writes == 3);
	if (am_child)
		leave_ours();
	MUST(asyncore_close(&p->dispatcher) == 0);
	expect_both_served();
	end();
}
END_TEST

START_TEST(urgent_data_from_before_the_fork_is_seen_by_both)
{
	struct pollfd pfd;
	int before;

	begin_with_two(_i);
	ours->on_expt = NULL;			/* the default leaves it unread */
	pfd = (struct pollfd){ .fd = asyncore_socket(&ours->dispatcher), .events = POLLPRI };
	ask(our_peer, MSG_OOB);
	MUST(poll(&pfd, 1, 10000) == 1);
	turn_until(ours->expts == 1);
	if (forks())
		reinit();
	before = ours->expts;
	turn_until(ours->expts == before + 3);
	if (am_child)
		child_ends();
	join();
	turn_until(ours->expts == before + 6);
	end();
}
END_TEST

START_TEST(parent_and_child_both_accept)
{
	struct probe *listener;
	int port, fd, i, client[3];
	struct sockaddr_in addr;

	begin(_i);
	fd = tcp_listener(&port);
	addr = loopback(port);
	listener = probe_new(fd, map);
	asyncore_set_accepting(&listener->dispatcher, true);
	turns(2);
	if (forks()) {
		hear();
		reinit();
		turn_until(listener->accepteds == 1);
		MUST(asyncore_close(&listener->dispatcher) == 0);
		child_ends();
	}
	for (i = 0; i < 3; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		MUST(connect(client[i], (struct sockaddr *)&addr, sizeof addr) == 0);
		if (i == 1) {
			tell();
			join();
			MUST(listener->accepteds == 1);
			turns(3);
			MUST(listener->accepteds == 1);
		} else {
			turn_until(listener->accepteds == (i + 2) / 2);
		}
	}
	free_map();
	close_peers(client, 3);
	alarm(0);
}
END_TEST

/* --- several maps ----------------------------------------------------------------------- */

/* The second is on a base of its own, or on the one of the first. */
static void two_maps(int the_way, bool on_one_base)
{
	struct asyncore_map *second;

	begin(the_way);
	second = asyncore_map_new(on_one_base ? asyncore_map_base(map) : NULL);
	ck_assert_ptr_nonnull(second);
	ours = answerer(map, &our_peer);
	theirs = answerer(second, &their_peer);
	turns(2);
	if (forks()) {
		reinit();
		MUST(asyncore_map_reinit(second) == 0);
		leave_ours();
		tell();
		while (asyncore_map_size(second) > 0)
			MUST(asyncore_poll(1.0, second) == 0);
		MUST(asyncore_map_free(second) == 0);
		child_ends();
	}
	hear();
	expect_here(our_peer);
	expect_there(their_peer);
	MUST(asyncore_map_free(second) == 0);
	expect_here(our_peer);
	expect_there(their_peer);
	shutdown(their_peer, SHUT_WR);
	join();
	expect_here(our_peer);
	end();
}

START_TEST(two_maps_are_made_the_childs_own)
{
	two_maps(_i, false);
}
END_TEST

START_TEST(two_maps_on_one_base_are_made_the_childs_own)
{
	two_maps(_i, true);
}
END_TEST

START_TEST(default_map_is_made_the_childs_own)
{
	begin(OWN);
	free_map();
	map = NULL;
	ours = answerer(NULL, &our_peer);
	theirs = answerer(NULL, &their_peer);
	turns(2);
	if (forks()) {
		reinit();
		leave_ours();
	}
	expect_both_served();
	end();
}
END_TEST

/* --- timers ----------------------------------------------------------------------------- */

static int releases;

static int count_channel_call(struct asyncore_dispatcher *self, void *arg)
{
	(void)self, (void)arg;
	calls++;
	return 0;
}

static void count_release(void *arg)
{
	(void)arg;
	releases++;
}

static void begin_counting(int the_way)
{
	begin_with_two(the_way);
	calls = releases = 0;
}

/* A moment later: whatever was to come has come. */
static int set_flag(struct asyncore_map *of, void *arg)
{
	(void)of;
	*(bool *)arg = true;
	return 0;
}

static void let_time_pass(double seconds)
{
	bool over = false;

	MUST(asyncore_call_later(map, seconds, set_flag, &over, NULL) > 0);
	turn_until(over);
}

START_TEST(timer_runs_once_in_both)
{
	const bool child_first = _i / WAYS;

	begin_counting(_i % WAYS);
	MUST(asyncore_call_later(map, 0.02, count_call, NULL, count_release) > 0);
	if (forks()) {
		if (!child_first)
			hear();
		reinit();
	} else if (child_first) {
		hear();
	}
	MUST(asyncore_timers(map) == 1);
	turn_until(calls == 1);
	if (am_child == child_first)
		tell();
	let_time_pass(0.03);
	MUST(calls == 1 && releases == 1);
	if (am_child)
		leave_ours();
	expect_both_served();
	end();
}
END_TEST

START_TEST(repeating_timer_goes_on_in_both)
{
	int timer;
	int before;

	begin_counting(_i);
	timer = asyncore_call_every(map, 0.005, count_call, NULL, count_release);
	turn_until(calls == 2);
	if (forks())
		reinit();
	before = calls;
	turn_until(calls == before + 3);
	MUST(asyncore_cancel(map, timer) == 0);
	MUST(asyncore_timers(map) == 0 && releases == 1);
	if (am_child)
		leave_ours();
	expect_both_served();
	end();
}
END_TEST

START_TEST(timers_of_the_child_are_none_of_the_parents)
{
	int timer;

	begin_counting(_i);
	timer = asyncore_call_later(map, 0.02, count_call, NULL, NULL);
	if (forks()) {
		reinit();
		MUST(asyncore_cancel(map, timer) == 0);
		let_time_pass(0.0);
		MUST(asyncore_call_later(map, 1000.0, count_call, NULL, NULL) > 0);
		let_time_pass(0.03);
		MUST(calls == 0);
		child_ends();
	}
	join();
	MUST(asyncore_timers(map) == 1);
	turn_until(calls == 1);
	let_time_pass(0.0);
	MUST(calls == 1 && asyncore_timers(map) == 0);
	end();
}
END_TEST

START_TEST(timer_of_a_channel_ends_where_that_is_closed)
{
	begin_counting(_i);
	MUST(asyncore_channel_call_later(&ours->dispatcher, 0.02, count_channel_call,
					 NULL, count_release) > 0);
	if (forks()) {
		reinit();
		leave_ours();
		MUST(asyncore_timers(map) == 0);
		let_time_pass(0.03);
		MUST(calls == 0 && releases == 1);
	} else {
		turn_until(calls == 1);
	}
	expect_both_served();
	end();
}
END_TEST

START_TEST(idle_timeouts_pass_in_both)
{
	begin_with_two(_i);
	MUST(asyncore_set_idle_timeout(&ours->dispatcher, 0.02) == 0);
	MUST(asyncore_set_idle_timeout(&theirs->dispatcher, 0.02) == 0);
	asyncore_ref(&ours->dispatcher);
	asyncore_ref(&theirs->dispatcher);
	if (forks()) {
		reinit();
		leave_ours();
		turn_until(theirs->closes == 1);
		MUST(ours->closes == 0 && asyncore_map_size(map) == 0);
		asyncore_unref(&ours->dispatcher);
		asyncore_unref(&theirs->dispatcher);
		child_ends();
	}
	MUST(asyncore_close(&theirs->dispatcher) == 0);
	turn_until(ours->closes == 1);
	MUST(theirs->closes == 0);
	join();
	asyncore_unref(&ours->dispatcher);
	asyncore_unref(&theirs->dispatcher);
	end();
}
END_TEST

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pass_of(double seconds)
{
	const double start = now();

	MUST(asyncore_poll(seconds, map) == 0);
	MUST(now() - start >= seconds);
}

/* The child sets its timeouts again and again while the parent waits for one of its own. */
START_TEST(timeouts_of_passes_are_everybodys_own)
{
	struct pollfd pfd = { .events = POLLIN };
	int i;

	begin_with_two(_i);
	pass_of(0.002);
	if (forks()) {
		reinit();
		tell();
		pfd.fd = other_process;
		while (poll(&pfd, 1, 0) == 0)
			pass_of(0.001);
		pass_of(0.02);
		leave_ours();
	} else {
		hear();
		for (i = 0; i < 5; i++)
			pass_of(0.01);
		tell();
	}
	if (am_child)
		hear();
	expect_both_served();
	end();
}
END_TEST

/* --- posted calls ----------------------------------------------------------------------- */

static struct asyncore_poster *poster;
static struct asyncore_trigger *trigger;

static void begin_posting(int the_way)
{
	begin_counting(the_way);
	poster = asyncore_poster_new(map);
	trigger = asyncore_trigger_new(map, count_call, NULL, count_release);
	MUST(poster != NULL && trigger != NULL);
	turns(2);
}

static void post(void)
{
	MUST(asyncore_call_soon(poster, count_call, NULL, count_release) == 0);
	MUST(asyncore_trigger_pull(trigger) == 0);
}

static void end_posting(void)
{
	asyncore_trigger_free(trigger);
	asyncore_poster_unref(poster);
}

START_TEST(what_was_posted_before_runs_once_in_both)
{
	const bool child_first = _i / WAYS;

	begin_posting(_i % WAYS);
	post();
	if (forks()) {
		if (!child_first)
			hear();
		reinit();
	} else if (child_first) {
		hear();
	}
	turn_until(calls == 2);
	if (am_child == child_first)
		tell();
	turns(3);
	MUST(calls == 2 && releases == 1);
	end_posting();
	if (am_child)
		leave_ours();
	expect_both_served();
	end();
}
END_TEST

START_TEST(what_is_posted_after_runs_where_it_was_posted)
{
	begin_posting(_i);
	if (forks()) {
		reinit();
		post();
		turn_until(calls == 2);
		tell();
		hear();
		turns(3);
		MUST(calls == 2);
		post();
		turn_until(calls == 4);
		end_posting();
		child_ends();
	}
	hear();
	turns(3);
	MUST(calls == 0);
	post();
	turn_until(calls == 2);
	tell();
	join();
	turns(3);
	MUST(calls == 2);
	post();
	turn_until(calls == 4);
	end_posting();
	end();
}
END_TEST

/* Nothing is ready but what was posted by another thread, or from a signal: it has to end
 * the wait. */
static void pull(int signal)
{
	(void)signal;
	asyncore_trigger_pull(trigger);
}

START_TEST(trigger_ends_a_wait_in_both)
{
	const struct sigaction on = { .sa_handler = pull }, off = { .sa_handler = SIG_DFL };

	begin_posting(_i);
	sigaction(SIGUSR1, &on, NULL);
	if (forks()) {
		reinit();
		tell();
		turn_until(calls == 1);
		end_posting();
		child_ends();
	}
	hear();
	MUST(kill(child, SIGUSR1) == 0);
	join();
	MUST(calls == 0);
	MUST(raise(SIGUSR1) == 0);
	turn_until(calls == 1);
	sigaction(SIGUSR1, &off, NULL);
	end_posting();
	end();
}
END_TEST

/* --- a fork from inside ----------------------------------------------------------------- */

static bool has_forked;

static void fork_now(void)
{
	if (forks()) {
		reinit();
		leave_ours();
	}
	has_forked = true;
}

static int fork_in_handler(struct probe *p)
{
	char byte;

	p->on_read = answer;
	MUST(asyncore_recv(&p->dispatcher, &byte, 1) == 1);
	fork_now();
	return 0;
}

static int fork_in_call(struct asyncore_map *of, void *arg)
{
	(void)of, (void)arg;
	fork_now();
	return 0;
}

static void expect_both_served_after_the_fork(void)
{
	turn_until(has_forked);
	expect_both_served();
	end();
}

static void begin_for_fork_inside(int the_way)
{
	begin_with_two(the_way);
	has_forked = false;
}

START_TEST(fork_in_a_handler_leaves_both_served)
{
	struct probe *forker;

	begin_for_fork_inside(_i % WAYS);
	/* The channel that ends in the child, or the one that goes on there. */
	forker = _i / WAYS ? ours : theirs;
	forker->on_read = fork_in_handler;
	ask(forker == ours ? our_peer : their_peer, 0);
	expect_both_served_after_the_fork();
}
END_TEST

START_TEST(fork_in_a_timer_leaves_both_served)
{
	begin_for_fork_inside(_i);
	MUST(asyncore_call_later(map, 0.0, fork_in_call, NULL, NULL) > 0);
	expect_both_served_after_the_fork();
}
END_TEST

START_TEST(fork_in_a_posted_call_leaves_both_served)
{
	begin_for_fork_inside(_i);
	poster = asyncore_poster_new(map);
	MUST(asyncore_call_soon(poster, fork_in_call, NULL, NULL) == 0);
	turn_until(has_forked);
	asyncore_poster_unref(poster);
	expect_both_served_after_the_fork();
}
END_TEST

/* What fired in the pass that forks is delivered in both; only one of them gets the data. */
static int just_look(struct probe *p)
{
	char byte;
	int fd = asyncore_socket(&p->dispatcher);

	return recv(fd, &byte, 1, MSG_PEEK) == 1 ? 0 : -EIO;
}

START_TEST(other_channels_of_the_pass_that_forks_have_their_turn_in_both)
{
	begin_for_fork_inside(_i);
	ours->on_read = fork_in_handler;
	theirs->on_read = just_look;
	ask(their_peer, 0);
	ask(our_peer, 0);
	turn_until(has_forked);
	turn_until(theirs->reads > 0);
	if (am_child)
		child_ends();
	join();
	MUST(theirs->errors == 0);
	theirs->on_read = answer;
	turn_until(answered(their_peer));
	expect_here(our_peer);
	end();
}
END_TEST

/* --- the suite -------------------------------------------------------------------------- */

#define ADD(tc, test) tcase_add_loop_test(tc, test, 0, WAYS)
#define ADD_TWICE(tc, test) tcase_add_loop_test(tc, test, 0, 2 * WAYS)

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "channels");

	ADD(tc, each_is_served_when_the_child_goes_first);
	ADD(tc, each_is_served_when_the_parent_goes_first);
	ADD(tc, each_is_served_when_they_take_turns);
	ADD(tc, reinit_may_be_repeated);
	ADD(tc, reinit_without_a_fork_changes_nothing);
	tcase_add_loop_test(tc, map_of_plain_channels_is_made_the_childs_own, 0, 2);
	ADD(tc, grandchild_is_served_too);
	ADD(tc, parent_outlives_a_child_that_closes_everything);
	ADD(tc, parent_outlives_a_child_that_touches_nothing);
	ADD(tc, child_outlives_a_parent_that_frees_everything);
	ADD(tc, channels_made_after_the_fork_are_served);
	tcase_add_loop_test(tc, applications_loop_of_the_child_ends_by_itself, 0,
			    2 * BACKENDS);
	ADD(tc, write_events_come_in_both);
	ADD(tc, files_are_ready_in_both);
	ADD(tc, urgent_data_from_before_the_fork_is_seen_by_both);
	ADD(tc, parent_and_child_both_accept);

	tc = suite_case(suite, "maps");
	ADD(tc, two_maps_are_made_the_childs_own);
	tcase_add_loop_test(tc, two_maps_on_one_base_are_made_the_childs_own, ATTACHED, WAYS);
	tcase_add_test(tc, default_map_is_made_the_childs_own);

	tc = suite_case(suite, "timers");
	ADD_TWICE(tc, timer_runs_once_in_both);
	ADD(tc, repeating_timer_goes_on_in_both);
	ADD(tc, timers_of_the_child_are_none_of_the_parents);
	ADD(tc, timer_of_a_channel_ends_where_that_is_closed);
	ADD(tc, idle_timeouts_pass_in_both);
	tcase_add_loop_test(tc, timeouts_of_passes_are_everybodys_own, 0, DISPATCHED);

	tc = suite_case(suite, "posted calls");
	ADD_TWICE(tc, what_was_posted_before_runs_once_in_both);
	ADD(tc, what_is_posted_after_runs_where_it_was_posted);
	ADD(tc, trigger_ends_a_wait_in_both);

	tc = suite_case(suite, "a fork from inside");
	ADD_TWICE(tc, fork_in_a_handler_leaves_both_served);
	ADD(tc, fork_in_a_timer_leaves_both_served);
	ADD(tc, fork_in_a_posted_call_leaves_both_served);
	ADD(tc, other_channels_of_the_pass_that_forks_have_their_turn_in_both);
}

SUITE_MAIN("fork", add_cases)
