/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_file.c - file_write() of src/file.c: write(2) without SIGPIPE, whatever the program
 * does with that signal.
 */

#include "support.h"

#include "channel.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

static bool is_pending(int number)
{
	sigset_t set;

	ck_assert_int_eq(sigpending(&set), 0);
	return sigismember(&set, number) == 1;
}

static bool is_blocked(int number)
{
	sigset_t set;

	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	return sigismember(&set, number) == 1;
}

static void block(int how, int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	ck_assert_int_eq(pthread_sigmask(how, &set, NULL), 0);
}

/* The writing end of a pipe that nobody reads. */
static int broken_pipe(void)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	close(fd[0]);
	return fd[1];
}

START_TEST(what_is_written_is_counted)
{
	int fd[2];
	char data[5];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(file_write(fd[1], "hello", 5), 5);
	ck_assert_int_eq(file_write(fd[1], "", 0), 0);
	take(fd[0], data, 5);
	ck_assert_mem_eq(data, "hello", 5);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_full_pipe_is_eagain_and_a_bad_descriptor_ebadf)
{
	static char data[1 << 17];
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_gt(file_write(fd[1], data, sizeof data), 0);
	ck_assert_int_eq(file_write(fd[1], data, sizeof data), -EAGAIN);
	ck_assert_int_eq(file_write(fd[0], data, 1), -EBADF);
	ck_assert_int_eq(file_write(-1, data, 1), -EBADF);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_broken_pipe_is_epipe_and_does_not_end_the_process)
{
	int fd = broken_pipe();

	handle(SIGPIPE, SIG_DFL, 0);
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	ck_assert(!is_pending(SIGPIPE));
	ck_assert(!is_blocked(SIGPIPE));
	close(fd);
}
END_TEST

START_TEST(a_broken_pipe_calls_no_handler_of_the_program)
{
	int fd = broken_pipe();

	signals = 0;
	handle(SIGPIPE, count_signal, 0);
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	ck_assert_int_eq(signals, 0);
	/* ... which still works. */
	ck_assert_int_eq(raise(SIGPIPE), 0);
	ck_assert_int_eq(signals, 1);
	handle(SIGPIPE, SIG_DFL, 0);
	close(fd);
}
END_TEST

START_TEST(an_ignored_sigpipe_stays_ignored)
{
	struct sigaction action;
	int fd = broken_pipe();

	handle(SIGPIPE, SIG_IGN, 0);
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	ck_assert_int_eq(sigaction(SIGPIPE, NULL, &action), 0);
	ck_assert(action.sa_handler == SIG_IGN);
	ck_assert(!is_pending(SIGPIPE));
	ck_assert(!is_blocked(SIGPIPE));
	handle(SIGPIPE, SIG_DFL, 0);
	close(fd);
}
END_TEST

START_TEST(a_blocked_sigpipe_stays_blocked_and_none_is_left_behind)
{
	int fd = broken_pipe();

	block(SIG_BLOCK, SIGPIPE);
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	ck_assert(is_blocked(SIGPIPE));
	ck_assert(!is_pending(SIGPIPE));
	block(SIG_UNBLOCK, SIGPIPE);
	close(fd);
}
END_TEST

START_TEST(a_sigpipe_that_waited_before_still_waits_afterwards)
{
	int fd = broken_pipe();

	signals = 0;
	handle(SIGPIPE, count_signal, 0);
	block(SIG_BLOCK, SIGPIPE);
	ck_assert_int_eq(_i == 0 ? raise(SIGPIPE) : kill(getpid(), SIGPIPE), 0);
	ck_assert(is_pending(SIGPIPE));
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	ck_assert(is_pending(SIGPIPE));
	block(SIG_UNBLOCK, SIGPIPE);
	/* One that waits for the whole process cannot be told from one for this thread, so
	 * then the one of the write is left beside it. */
	ck_assert_int_ge(signals, 1);
	ck_assert_int_le(signals, _i == 0 ? 1 : 2);
	handle(SIGPIPE, SIG_DFL, 0);
	close(fd);
}
END_TEST

START_TEST(a_write_that_succeeds_leaves_a_waiting_sigpipe_alone)
{
	int fd[2];

	signals = 0;
	handle(SIGPIPE, count_signal, 0);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	block(SIG_BLOCK, SIGPIPE);
	raise(SIGPIPE);
	ck_assert_int_eq(file_write(fd[1], "x", 1), 1);
	ck_assert(is_pending(SIGPIPE));
	block(SIG_UNBLOCK, SIGPIPE);
	ck_assert_int_eq(signals, 1);
	handle(SIGPIPE, SIG_DFL, 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_rest_of_the_mask_is_as_it_was)
{
	int fd = broken_pipe(), number;

	block(SIG_BLOCK, SIGUSR1);
	ck_assert_int_eq(file_write(fd, "x", 1), -EPIPE);
	for (number = 1; number < 32; number++)
		if (is_blocked(number) != (number == SIGUSR1))
			ck_abort_msg("signal %d", number);
	block(SIG_UNBLOCK, SIGUSR1);
	close(fd);
}
END_TEST

/* An interrupted write goes on.  A timer that ticks all the time interrupts a blocking
 * write to a full pipe until a thread, after five ticks, has drained it. */
static void *drain_later(void *arg)
{
	static char data[1 << 17];
	int fd = *(int *)arg;

	while (signals < 5)
		sched_yield();
	(void)!read(fd, data, sizeof data);
	return NULL;
}

START_TEST(an_interrupted_write_goes_on)
{
	const struct itimerval ticking = { { 0, 1000 }, { 0, 1000 } }, stopped = { { 0, 0 }, { 0, 0 } };
	static char data[1 << 16];
	pthread_t thread;
	sigset_t alarm;
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	put(fd[1], data, sizeof data);		/* full */
	signals = 0;
	handle(SIGALRM, count_signal, 0);	/* no SA_RESTART */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, drain_later, &fd[0]), 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	setitimer(ITIMER_REAL, &ticking, NULL);
	ck_assert_int_eq(file_write(fd[1], "x", 1), 1);
	setitimer(ITIMER_REAL, &stopped, NULL);
	ck_assert_int_ge(signals, 5);
	pthread_join(thread, NULL);
	handle(SIGALRM, SIG_DFL, 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "file_write");

	tcase_add_test(tc, what_is_written_is_counted);
	tcase_add_test(tc, a_full_pipe_is_eagain_and_a_bad_descriptor_ebadf);
	tcase_add_test(tc, a_broken_pipe_is_epipe_and_does_not_end_the_process);
	tcase_add_test(tc, a_broken_pipe_calls_no_handler_of_the_program);
	tcase_add_test(tc, an_ignored_sigpipe_stays_ignored);
	tcase_add_test(tc, a_blocked_sigpipe_stays_blocked_and_none_is_left_behind);
	tcase_add_loop_test(tc, a_sigpipe_that_waited_before_still_waits_afterwards, 0, 2);
	tcase_add_test(tc, a_write_that_succeeds_leaves_a_waiting_sigpipe_alone);
	tcase_add_test(tc, the_rest_of_the_mask_is_as_it_was);
	tcase_add_test(tc, an_interrupted_write_goes_on);
}

SUITE_MAIN("file", add_cases)
