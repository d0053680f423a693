/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * run_faults.c - every failure, in turn.
 *
 *	run_faults [--all | --sample N] [--jobs N] [--list] [SCENARIO [KIND [N [ERROR [REPEAT]]]]]
 *
 * For each scenario: count its calls of every fallible kind; then fail the n-th one, for
 * every kind, every n and every error of the kind; and, once more, all from the n-th on.
 * --sample (the default, with 2000): so many of these points, spread evenly over all.
 *
 * Every point is tried in a process of its own, where
 *	- nothing may crash, or run on without an end (an alarm; a limit of passes);
 *	- the work is done, or an error is reported, or what fails for good is tried again and
 *	  again, not too often; of what only asks to try again (EINTR, EAGAIN ..., a transfer
 *	  in part) nothing may be seen at all;
 *	- a bystander, another channel of the map, is served before and afterwards;
 *	- closing everything and freeing the map work, under the same failure;
 *	- then the same work is done once more without a failure, to its end, and after it as
 *	  many blocks of memory and descriptors are in use as without any failure.
 */

#include "inject.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

/* --- what a child tells ---------------------------------------------------------------------- */

struct verdict {
	long calls[FAULT_KINDS];
	long hits, blocks;
	bool finished, done;
	char text[256];
};
static struct verdict *verdict;		/* shared memory */

enum { LEFT_OUT = 77 };

static bool alone;			/* one point, in this process */

static void fail(const char *what)
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
	fail("libevent ended the process");
}

/* --- one run of a scenario ------------------------------------------------------------------- */

static int open_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

struct bystander {
	struct asyncore_dispatcher dispatcher;
	int peer;
	bool broken;
};

static int bystander_read(struct asyncore_dispatcher *self)
{
	char byte;
	int n = asyncore_recv(self, &byte, 1);

	return n > 0 ? asyncore_send(self, &byte, 1) : n;
}

static int bystander_failed(struct asyncore_dispatcher *self)
{
	if (world == NULL || !world->all_concerned)
		((struct bystander *)self)->broken = true;
	return 0;
}

static int bystander_writable(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static int no_log(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	(void)self, (void)message;
	if (strcmp(type, "error") == 0 && world != NULL)
		world->logged++;
	return 0;
}

static const struct asyncore_dispatcher_type bystander_type = {
	.base = &asyncore_dispatcher_type,
	.name = "bystander",
	.flags = ASYNCORE_PREDICATES_STABLE,
	.handle_read = bystander_read,
	.handle_close = bystander_failed,
	.handle_error = bystander_failed,
	.writable = bystander_writable,
	.log_info = no_log,
};

static void open_bystander(struct world *w, struct bystander *b)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0 ||
	    asyncore_dispatcher_init(&b->dispatcher, &bystander_type, fd[0], w->map) < 0)
		fail("harness: no bystander");
	b->peer = fd[1];
	b->broken = false;
}

static void serve_bystander(struct world *w, struct bystander *b, const char *complaint)
{
	char byte = 0;
	int i;

	if (write(b->peer, "x", 1) != 1)
		fail(complaint);
	for (i = 0; i < 100 && read(b->peer, &byte, 1) != 1; i++) {
		w->reported = w->closed = w->gone = 0;
		begin_turns(w);
		turn(w);
	}
	if (byte != 'x' || b->broken)
		fail(complaint);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* In the application's loop: what no channel could be told. */
static void left_loop(struct asyncore_map *map, int result, void *arg)
{
	(void)map, (void)result;
	((struct world *)arg)->reported++;
}

static void open_world(struct world *w, const struct scenario *s)
{
	static const char *const methods[] = { "epoll", "poll", "select" };
	struct event_config *config;
	int i;

	memset(w, 0, sizeof *w);
	w->use_poll = s->use_poll;
	world = w;
	if (s->backend != NULL) {
		config = event_config_new();
		for (i = 0; i < 3; i++)
			if (strcmp(methods[i], s->backend) != 0)
				event_config_avoid_method(config, methods[i]);
		w->base = event_base_new_with_config(config);
		event_config_free(config);
		w->limit = event_new(w->base, -1, 0, on_limit, NULL);
	}
	w->map = asyncore_map_new(w->base);
	if (w->map == NULL || asyncore_map_set_exit_cb(w->map, left_loop, w) < 0)
		fail("harness: no map");
}

static void close_world(struct world *w)
{
	int i;

	for (i = 0; i < w->npeers; i++)
		peer_close(w, i);
	if (w->limit != NULL)
		event_free(w->limit);
	if (w->base != NULL)
		event_base_free(w->base);
	world = NULL;
}

/* Is this what only asks to try again? */
static bool is_transparent(enum fault_kind kind, int error, long repeat)
{
	if (repeat != 1 || kind == FAULT_CLOSE || kind == FAULT_FCNTL)
		return false;
	if (kind == FAULT_CONNECT && error == EAGAIN)
		return false;
	return error == EINTR || error == EAGAIN || error == FAULT_SHORT ||
	       error == ECONNABORTED;
}

static struct world the_world;

static void run(const struct scenario *s, enum fault_kind kind, long n, int error, long repeat,
		bool strict)
{
	struct world *w = &the_world;
	struct bystander b;
	const int descriptors = open_descriptors();
	char text[80];
	bool done;
	int r;

	open_world(w, s);
	open_bystander(w, &b);
	serve_bystander(w, &b, "harness: the bystander is not served before");
	w->reported = w->closed = w->logged = w->gone = 0;

	alarm(30);
	fault_arm(kind, n, error, repeat);
	done = s->run(w);
	fault_pause();
	if (n > 0)
		verdict->done = done;
	if (w->spun)
		fail("it spins");
	/* What lasts may be tried again for as long as it lasts. */
	if (!done && w->reported + w->closed + w->logged == 0 &&
	    !(repeat == 0 && fault_hits > w->hits))
		fail("not done, and nothing reported");
	if (!done && strict)
		fail("not done");

	if (w->reinit && asyncore_map_reinit(w->map) < 0)
		fail("reinit fails again");
	/* Who was told that the map itself could not be served has to say something. */
	if (!done && w->all_concerned)
		asyncore_map_set_timeout(w->map, ASYNCORE_TIMEOUT);
	serve_bystander(w, &b, "the bystander is not served any more");

	fault_resume();
	r = asyncore_close_all(w->map, true);
	fault_pause();
	if (r < 0)
		fail("close_all() fails");
	if (asyncore_map_size(w->map) != 0)
		fail("close_all() leaves channels");
	fault_resume();
	r = asyncore_map_free(w->map);
	fault_pause();
	if (r < 0)
		fail("map_free() fails");
	close(b.peer);
	close_world(w);
	if (fault_hits > verdict->hits)
		verdict->hits = fault_hits;
	alarm(0);
	if (open_descriptors() != descriptors) {
		snprintf(text, sizeof text, "descriptors: %d, were %d", open_descriptors(),
			 descriptors);
		fail(text);
	}
}

/* --- points ------------------------------------------------------------------------------------ */

/* In a child: 0, LEFT_OUT, or anything else for a failure. */
static int in_child(void (*work)(const void *), const void *arg)
{
	int status;
	pid_t child;

	memset(verdict, 0, sizeof *verdict);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		work(arg);
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

struct point {
	const struct scenario *scenario;
	enum fault_kind kind;
	long n;
	int error;
	long repeat;
	long blocks;		/* that are in use after a run without failure */
};

static void count(const void *arg)
{
	const struct scenario *s = arg;
	long blocks;

	run(s, 0, 0, 0, 0, true);
	memcpy(verdict->calls, fault_calls, sizeof fault_calls);
	blocks = fault_blocks;
	run(s, 0, 0, 0, 0, true);
	if (fault_blocks != blocks)
		fail("leaves memory without any failure");
	verdict->blocks = blocks;
}

static void try_point(const void *arg)
{
	const struct point *p = arg;
	char text[80];

	run(p->scenario, p->kind, p->n, p->error, p->repeat,
	    is_transparent(p->kind, p->error, p->repeat));
	run(p->scenario, 0, 0, 0, 0, true);
	if (fault_blocks != p->blocks) {
		snprintf(text, sizeof text, "blocks: %ld, should be %ld", fault_blocks, p->blocks);
		fail(text);
	}
}

/* Of one worker, and then of all. */
struct tally {
	long hit[FAULT_KINDS], left_out[FAULT_KINDS], failures, unhit, done, tried;
};
enum { MOST_JOBS = 16 };
static struct tally *tally;

static const char *error_name(int error)
{
	return error == FAULT_SHORT ? "short" : strerrorname_np(error);
}

static void attempt(const struct point *p)
{
	const char *kind = fault_kinds[p->kind].name;
	int r = in_child(try_point, p);

	tally->tried++;
	if (r == LEFT_OUT) {
		tally->left_out[p->kind]++;
	} else if (r != 0) {
		tally->failures++;
		printf("FAILED %s %s %ld %s %ld: %s\n", p->scenario->name, kind, p->n,
		       error_name(p->error), p->repeat, verdict->text);
	} else if (verdict->hits == 0) {
		tally->unhit++;
	} else {
		tally->hit[p->kind]++;
		tally->done += verdict->done;
	}
}

/* What persists cannot be "try again", nor what no shortage of anything brings about. */
static bool may_repeat(int kind, int error)
{
	return kind != FAULT_READ && kind != FAULT_TIMERFD_SETTIME && error != EINTR && error != EAGAIN && error != FAULT_SHORT &&
	       error != ECONNABORTED;
}

/* Every step-th point of a scenario, or of those the part of one job; counts them in *at. */
static void all_points(const struct scenario *s, const struct verdict *counted, long step, long *at,
		       int job, int jobs)
{
	struct point p = { .scenario = s, .blocks = counted->blocks };
	int kind, e;

	for (kind = 0; kind < FAULT_KINDS; kind++) {
		for (e = 0; fault_kinds[kind].error[e] != 0; e++) {
			for (p.n = 1; p.n <= counted->calls[kind]; p.n++) {
				for (p.repeat = 1; p.repeat >= 0; p.repeat--) {
					p.kind = (enum fault_kind)kind;
					p.error = fault_kinds[kind].error[e];
					if (p.repeat == 0 && (e > 0 || !may_repeat(kind, p.error)))
						continue;
					if (*at % step == 0 && *at / step % jobs == job)
						attempt(&p);
					++*at;
				}
			}
		}
	}
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

static void report(void)
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
	printf("%d scenarios, %ld points tried, %ld hit (the work was done all the same in %ld), "
	       "%ld not reached, failures %ld\n", nscenarios, t->tried, sum, t->done, t->unhit,
	       t->failures);
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

/* Most of the time is spent waiting, and so several at once are no load. */
static void try_all(const struct verdict *counted, long step, int jobs)
{
	struct tally *all = shared(MOST_JOBS * sizeof *all);
	long at, i;
	int job, status;

	for (job = 0; job < jobs; job++) {
		if (fork() != 0)
			continue;
		verdict = shared(sizeof *verdict);
		tally = &all[job];
		for (at = 0, i = 0; i < nscenarios; i++)
			if (counted[i].finished)
				all_points(&scenarios[i], &counted[i], step, &at, job, jobs);
		_exit(0);
	}
	for (job = 0; job < jobs; job++)
		if (wait(&status) < 0 || status != 0)
			tally->failures++;
	for (job = 0; job < jobs; job++)
		for (i = 0; i < (long)(sizeof *tally / sizeof(long)); i++)
			((long *)tally)[i] += ((const long *)&all[job])[i];
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	struct verdict *counted;
	long wanted = 2000, step = 1, total = 0;
	int i, arg = 1, jobs = 4;

	setvbuf(stdout, NULL, _IOLBF, 0);
	event_set_log_callback(silent);
	event_set_fatal_callback(fatal);
	signal(SIGPIPE, SIG_DFL);	/* one would be a failure */
	verdict = shared(sizeof *verdict);
	tally = shared(sizeof *tally);
	counted = shared((size_t)nscenarios * sizeof *counted);
	for (; arg < argc && argv[arg][0] == '-'; arg++) {
		if (strcmp(argv[arg], "--all") == 0)
			wanted = 0;
		else if (strcmp(argv[arg], "--sample") == 0 && arg + 1 < argc)
			wanted = atol(argv[++arg]);
		else if (strcmp(argv[arg], "--jobs") == 0 && arg + 1 < argc)
			jobs = atoi(argv[++arg]);
		else if (strcmp(argv[arg], "--list") == 0)
			for (i = 0; i < nscenarios; i++)
				printf("%s\n", scenarios[i].name);
		else
			return 2;
		if (strcmp(argv[arg], "--list") == 0)
			return 0;
	}
	if (jobs < 1 || jobs > MOST_JOBS)
		return 2;
	if (arg < argc) {
		only = argv[arg++];
		wanted = 0;
	}
	for (i = 0; i < nscenarios; i++) {
		if (only != NULL && strcmp(only, scenarios[i].name) != 0)
			continue;
		if (in_child(count, &scenarios[i]) != 0) {
			tally->failures++;
			printf("FAILED %s without any failure: %s\n", scenarios[i].name,
			       verdict->text);
			continue;
		}
		counted[i] = *verdict;
		all_points(&scenarios[i], &counted[i], 1, &total, -1, 1);
	}
	if (only != NULL && arg < argc) {
		/* One kind, or one point of it: in this process, for a debugger. */
		struct point p = { .kind = (enum fault_kind)find_kind(argv[arg++]) };

		for (i = 0; i < nscenarios && strcmp(only, scenarios[i].name) != 0; i++)
			;
		if (i == nscenarios)
			return 2;
		p.scenario = &scenarios[i];
		p.blocks = counted[i].blocks;
		p.error = fault_kinds[p.kind].error[0];
		p.repeat = 1;
		if (arg < argc) {
			p.n = atol(argv[arg++]);
			if (arg < argc)
				p.error = strcmp(argv[arg], "short") == 0 ? FAULT_SHORT
									   : atoi(argv[arg]);
			if (++arg < argc)
				p.repeat = atol(argv[arg]);
			memset(verdict, 0, sizeof *verdict);
			alone = true;
			try_point(&p);
			printf("%s\n", verdict->done ? "done" : "reported");
			return 0;
		}
		printf("%ld calls\n", counted[i].calls[p.kind]);
		return 0;
	}
	if (wanted > 0 && total > wanted)
		step = ((total + wanted - 1) / wanted) | 1;	/* of points in pairs, either */
	try_all(counted, step, jobs);
	report();
	/* A run that hits nothing proves nothing.  (The last is a call of libevent's own.) */
	if (only == NULL && (tally->hit[FAULT_MALLOC] == 0 || tally->hit[FAULT_SEND] == 0 ||
			     tally->hit[FAULT_EVENT_ADD] == 0 ||
			     tally->hit[FAULT_EVENT_MEMORY] == 0 ||
			     tally->hit[FAULT_EPOLL_CTL] == 0)) {
		printf("FAILED calls are not seen\n");
		return EXIT_FAILURE;
	}
	return tally->failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
