/* SPDX-License-Identifier: BSD-3-Clause */

/* points.c - see points.h. */

#include "points.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

struct verdict *verdict;

static const struct points *points;
static bool alone;			/* one point, for somebody who watches */

/* --- in a child ------------------------------------------------------------------------------ */

void points_fail(const char *what)
{
	fault_pause();
	snprintf(verdict->text, sizeof verdict->text, "%s", what);
	if (alone)
		fprintf(stderr, "FAILED: %s\n", what);
	_exit(1);
}

static void silent(int severity, const char *message)
{
	(void)severity, (void)message;
}

/* libevent 2.1 ends the process when it cannot open the descriptors that a base needs for
 * signals.  Nobody can mend that from outside. */
static void fatal(int error)
{
	(void)error;
	if (fault_in_base)
		_exit(LEFT_OUT);
	points_fail("libevent ended the process");
}

int open_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

bool is_transparent(const struct point *p)
{
	if (p->repeat != 1 || p->kind == FAULT_CLOSE || p->kind == FAULT_FCNTL)
		return false;
	if (p->kind == FAULT_CONNECT && p->error == EAGAIN)
		return false;
	return p->error == EINTR || p->error == EAGAIN || p->error == FAULT_SHORT ||
	       p->error == ECONNABORTED;
}

/* --- children -------------------------------------------------------------------------------- */

/* Count a subject, or try a point, in a child: 0, LEFT_OUT, or anything else for a failure. */
static int in_child(int subject, const struct point *p)
{
	int status;
	pid_t child;

	memset(verdict, 0, sizeof *verdict);
	if (points->prepare != NULL)
		points->prepare();
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (p != NULL)
			points->attempt(p);
		else
			points->count(subject);
		verdict->finished = true;
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	if (WIFSIGNALED(status)) {
		snprintf(verdict->text, sizeof verdict->text, "%s",
			 WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
		return -1;
	}
	if (WEXITSTATUS(status) == LEFT_OUT)
		return LEFT_OUT;
	if (!verdict->finished && verdict->text[0] == '\0')
		snprintf(verdict->text, sizeof verdict->text, "exit status %d",
			 WEXITSTATUS(status));
	return verdict->finished ? 0 : -1;
}

static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(EXIT_FAILURE);
	}
	return memory;
}

/* Of one worker, and then of all. */
struct tally {
	long hit[FAULT_KINDS], left_out[FAULT_KINDS], failures, unhit, done, tried, subjects;
};
enum { MOST_JOBS = 16 };
static struct tally *tally;

/* Most of the time is spent waiting, and so several at once are no load. */
static void in_jobs(int jobs, void (*work)(int job, int jobs, void *arg), void *arg)
{
	struct tally *all = shared(MOST_JOBS * sizeof *all);
	long i;
	int job, status;

	for (job = 0; job < jobs; job++) {
		if (fork() != 0)
			continue;
		verdict = shared(sizeof *verdict);
		tally = &all[job];
		work(job, jobs, arg);
		_exit(0);
	}
	for (job = 0; job < jobs; job++)
		if (wait(&status) < 0 || status != 0)
			tally->failures++;
	for (job = 0; job < jobs; job++)
		for (i = 0; i < (long)(sizeof *tally / sizeof(long)); i++)
			((long *)tally)[i] += ((const long *)&all[job])[i];
	munmap(all, MOST_JOBS * sizeof *all);
}

/* --- points ---------------------------------------------------------------------------------- */

static const char *error_name(int error)
{
	return error == FAULT_SHORT ? "short" : strerrorname_np(error);
}

static void attempt(const struct point *p)
{
	int r = in_child(p->subject, p);

	tally->tried++;
	if (r == LEFT_OUT) {
		tally->left_out[p->kind]++;
	} else if (r != 0) {
		tally->failures++;
		printf("FAILED %s %s %ld %s %ld: %s\n", points->name(p->subject),
		       fault_kinds[p->kind].name, p->n, error_name(p->error), p->repeat,
		       verdict->text);
		if (points->explain != NULL)
			points->explain(false);
	} else if (verdict->hits == 0) {
		tally->unhit++;
	} else {
		tally->hit[p->kind]++;
		tally->done += verdict->done;
	}
}

/* What persists cannot be "try again", nor what no shortage of anything brings about. */
static bool may_repeat(enum fault_kind kind, int error)
{
	return kind != FAULT_READ && kind != FAULT_TIMERFD_SETTIME && error != EINTR &&
	       error != EAGAIN && error != FAULT_SHORT && error != ECONNABORTED;
}

/* Every step-th point of a subject, or of those the part of one job; counts them in *at. */
static void all_points(int subject, const struct verdict *counted, long step, long *at, int job,
		       int jobs)
{
	struct point p = { .subject = subject, .counted = counted };
	int kind, e;

	for (kind = 0; kind < FAULT_KINDS; kind++) {
		for (e = 0; fault_kinds[kind].error[e] != 0; e++) {
			for (p.n = 1; p.n <= counted->calls[kind]; p.n++) {
				for (p.repeat = 1; p.repeat >= 0; p.repeat--) {
					p.kind = (enum fault_kind)kind;
					p.error = fault_kinds[kind].error[e];
					if (p.repeat == 0 && (e > 0 || !may_repeat(p.kind, p.error)))
						continue;
					if (points->is_point != NULL && !points->is_point(&p))
						continue;
					if (*at % step == 0 && *at / step % jobs == job)
						attempt(&p);
					++*at;
				}
			}
		}
	}
}

struct work {
	struct verdict *counted;	/* of each subject, in shared memory */
	const char *only;		/* of this name */
	bool sample;
	long step;
};

static void count_job(int job, int jobs, void *arg)
{
	const struct work *work = arg;
	int i, r;

	for (i = job; i < points->subjects; i += jobs) {
		if (work->only != NULL ? strcmp(work->only, points->name(i)) != 0
		    : work->sample && points->in_samples != NULL && !points->in_samples(i))
			continue;
		r = in_child(i, NULL);
		if (r == 0) {
			tally->subjects++;
			work->counted[i] = *verdict;
		} else if (r != LEFT_OUT) {
			tally->failures++;
			printf("FAILED %s without any failure: %s\n", points->name(i),
			       verdict->text);
			if (points->explain != NULL)
				points->explain(true);
		}
	}
}

static void try_job(int job, int jobs, void *arg)
{
	const struct work *work = arg;
	long at = 0;
	int i;

	for (i = 0; i < points->subjects; i++)
		if (work->counted[i].finished)
			all_points(i, &work->counted[i], work->step, &at, job, jobs);
}

static int find_kind(const char *name)
{
	int i;

	for (i = 0; i < FAULT_KINDS; i++)
		if (strcmp(fault_kinds[i].name, name) == 0)
			return i;
	fprintf(stderr, "no kind %s\n", name);
	exit(2);
}

static void report(long total)
{
	const struct tally *t = tally;
	long sum = 0, out = 0;
	int i;

	printf("points hit, by kind:\n");
	for (i = 0; i < FAULT_KINDS; i++) {
		sum += t->hit[i];
		out += t->left_out[i];
		if (t->hit[i] > 0)
			printf("  %-16s %6ld\n", fault_kinds[i].name, t->hit[i]);
	}
	if (out > 0)
		printf("left out: %ld, where libevent ends the process for want of descriptors "
		       "or memory for a base\n", out);
	printf("%ld scenarios, %ld of %ld points tried, %ld hit (the work was done all the same "
	       "in %ld), %ld not reached, failures %ld\n", t->subjects, t->tried, total, sum,
	       t->done, t->unhit, t->failures);
}

/* One point of a subject, or how many calls of a kind it has. */
static int watch(int subject, const struct verdict *counted, int argc, char **argv)
{
	struct point p = { .subject = subject, .counted = counted };
	int r = 0;

	p.kind = (enum fault_kind)find_kind(argv[0]);
	if (argc == 1) {
		printf("%ld calls\n", counted->calls[p.kind]);
		return EXIT_SUCCESS;
	}
	p.n = atol(argv[1]);
	p.error = argc <= 2 ? fault_kinds[p.kind].error[0]
			    : strcmp(argv[2], "short") == 0 ? FAULT_SHORT : atoi(argv[2]);
	p.repeat = argc > 3 ? atol(argv[3]) : 1;
	if (points->explain != NULL) {
		r = in_child(subject, &p);
		points->explain(true);
		if (r != 0)
			printf("FAILED: %s\n", verdict->text);
	} else {
		/* In this process, for a debugger. */
		alone = true;
		memset(verdict, 0, sizeof *verdict);
		points->attempt(&p);
	}
	if (r == 0)
		printf("%s\n", verdict->hits == 0 ? "not reached"
						  : verdict->done ? "done" : "reported");
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int points_main(const struct points *what, int argc, char **argv)
{
	struct work work = { .step = 1 };
	long wanted = what->sample, total = 0;
	int i, arg = 1, jobs = 4;

	points = what;
	setvbuf(stdout, NULL, _IOLBF, 0);
	event_set_log_callback(silent);
	event_set_fatal_callback(fatal);
	signal(SIGPIPE, SIG_DFL);	/* one would be a failure */
	for (; arg < argc && argv[arg][0] == '-'; arg++) {
		if (strcmp(argv[arg], "--all") == 0) {
			wanted = 0;
		} else if (strcmp(argv[arg], "--sample") == 0 && arg + 1 < argc) {
			wanted = atol(argv[++arg]);
		} else if (strcmp(argv[arg], "--jobs") == 0 && arg + 1 < argc) {
			jobs = atoi(argv[++arg]);
		} else if (strcmp(argv[arg], "--list") == 0) {
			for (i = 0; i < what->subjects; i++)
				puts(what->name(i));
			return 0;
		} else {
			return 2;
		}
	}
	if (jobs < 1 || jobs > MOST_JOBS)
		return 2;
	if (arg < argc) {
		work.only = argv[arg++];
		wanted = 0;
	}
	work.sample = wanted > 0;
	verdict = shared(sizeof *verdict);
	tally = shared(sizeof *tally);
	work.counted = shared((size_t)what->subjects * sizeof *work.counted);
	in_jobs(work.only != NULL ? 1 : jobs, count_job, &work);
	for (i = 0; i < what->subjects; i++) {
		if (!work.counted[i].finished)
			continue;
		if (arg < argc)
			return watch(i, &work.counted[i], argc - arg, argv + arg);
		all_points(i, &work.counted[i], 1, &total, -1, 1);
	}
	if (wanted > 0 && total > wanted)
		work.step = ((total + wanted - 1) / wanted) | 1;	/* of points in pairs, either */
	in_jobs(jobs, try_job, &work);
	report(total);
	/* A run that hits nothing proves nothing.  (The last is a call of libevent's own.) */
	if (work.only == NULL &&
	    (tally->hit[FAULT_MALLOC] == 0 || tally->hit[FAULT_SEND] == 0 ||
	     tally->hit[FAULT_EVENT_ADD] == 0 || tally->hit[FAULT_EVENT_MEMORY] == 0 ||
	     tally->hit[FAULT_EPOLL_CTL] == 0)) {
		printf("FAILED calls are not seen\n");
		return EXIT_FAILURE;
	}
	return tally->failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
