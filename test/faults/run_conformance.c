/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * run_conformance.c - every failure, in turn, in the scenarios of test/conformance.
 *
 *	run_conformance [--all | --sample N] [--jobs N] [--list] [SCENARIO [KIND [N ...]]]
 *
 * as in run_faults.c; a SCENARIO is GROUP/NAME/WAY, and $srcdir says where the groups are.
 * --sample takes each scenario in one of the ways.
 *
 * The runner, run_c.c, is compiled into this file.  What it calls for itself, its bookkeeping
 * and its scripted peer, is neither counted nor failed; what the library calls is.  In a
 * process of its own, for every point,
 *	- nothing may crash, or run on without an end (an alarm; a limit of passes);
 *	- the trace is the same as without the failure (but for the passes and the pieces of
 *	  output in which the work is done), or it shows an error that it does not show then,
 *	  or not there: handle_error(), handle_close(), a call that fails, a line in the log.
 *	  What only asks to try again must not bring a handle_error() of its own; a script that
 *	  does not wait for what comes later may show it as missing;
 *	- a bystander in the same map is served before and afterwards;
 *	- closing everything and freeing the maps work, under the same failure;
 *	- then the scenario has its usual trace again, and after it as many blocks of memory and
 *	  descriptors are in use as without any failure.
 */

#include "bystander.h"
#include "inject.h"
#include "points.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

/* --- the runner, whose own calls are not seen -------------------------------------------------- */

static int hidden;			/* how deep */
static bool was_counting;

static void hide(void)
{
	if (hidden++ == 0) {
		was_counting = fault_pause();
		/* Its peer may write when a failure has closed the other end. */
		signal(SIGPIPE, SIG_IGN);
	}
}

static long unhide(long result)
{
	if (--hidden == 0) {
		signal(SIGPIPE, SIG_DFL);
		if (was_counting)
			fault_resume();
	}
	return result;
}
#define HIDDEN(call) unhide((hide(), (long)(call)))

static void *unhide_pointer(void *result)
{
	unhide(0);
	return result;
}
#define HIDDEN_POINTER(call) unhide_pointer((hide(), (call)))

/* What does not come within this time after a failure does not come. */
enum { SHORT_WAIT = 60 };		/* ms */

static int patience(int ms)
{
	return fault_hits > 0 && ms > SHORT_WAIT ? SHORT_WAIT : ms;
}

static int harness_loop(double timeout, bool use_poll, struct asyncore_map *map, int count);
static int perform(int (*action)(char *const *w, int n), char *const *w, int n);
static void scenario_begins(void);
static void scenario_ends(void);
static _Noreturn void give_up(void);

extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t n, size_t size);
extern void *__real_realloc(void *old, size_t size);
extern void __real_free(void *block);
extern int __real_event_base_loop(struct event_base *base, int flags);

/* A program would look at the result. */
static int loop_of_program(struct event_base *base, int flags)
{
	int r = __real_event_base_loop(base, flags);

	if (r < 0)
		puts("! event_base_loop");
	return r;
}

static int dispatch_of_program(struct event_base *base);

#define malloc(size) __real_malloc(size)
#define calloc(n, size) __real_calloc(n, size)
#define realloc(old, size) __real_realloc(old, size)
#define free(block) __real_free(block)
#define event_base_loop(base, flags) loop_of_program(base, flags)
#define event_base_dispatch(base) dispatch_of_program(base)
#define event_base_new_with_config(...) HIDDEN_POINTER(event_base_new_with_config(__VA_ARGS__))
#define event_config_new() HIDDEN_POINTER(event_config_new())
#define event_config_avoid_method(...) HIDDEN(event_config_avoid_method(__VA_ARGS__))
#define event_new(...) HIDDEN_POINTER(event_new(__VA_ARGS__))
#define socket(...) HIDDEN(socket(__VA_ARGS__))
#define socketpair(...) HIDDEN(socketpair(__VA_ARGS__))
#define bind(...) HIDDEN(bind(__VA_ARGS__))
#define listen(...) HIDDEN(listen(__VA_ARGS__))
#define connect(...) HIDDEN(connect(__VA_ARGS__))
#define accept(...) HIDDEN(accept(__VA_ARGS__))
#define accept4(...) HIDDEN(accept4(__VA_ARGS__))
#define setsockopt(...) HIDDEN(setsockopt(__VA_ARGS__))
#define getsockopt(...) HIDDEN(getsockopt(__VA_ARGS__))
#define fcntl(...) HIDDEN(fcntl(__VA_ARGS__))
#define pipe(...) HIDDEN(pipe(__VA_ARGS__))
#define read(...) HIDDEN(read(__VA_ARGS__))
#define write(...) HIDDEN(write(__VA_ARGS__))
#define send(...) HIDDEN(send(__VA_ARGS__))
#define recv(...) HIDDEN(recv(__VA_ARGS__))
#define shutdown(...) HIDDEN(shutdown(__VA_ARGS__))
#define close(...) HIDDEN(close(__VA_ARGS__))
#define poll(fds, n, timeout) HIDDEN(poll(fds, n, patience(timeout)))
#define asyncore_loop(...) harness_loop(__VA_ARGS__)
#define exit(status) give_up()
#define open_descriptors runners_open_descriptors

#define RUN_C_INCLUDED
#define RUN_C_PERFORM(action, w, n) perform(action, w, n)
#define RUN_C_BEGIN() scenario_begins()
#define RUN_C_END() scenario_ends()
#include "../conformance/run_c.c"

#undef exit
#undef open_descriptors

/* --- around the runner ------------------------------------------------------------------------- */

static const struct point *failing;	/* the point of this run, or NULL */
static jmp_buf *action_gives_up;

/* A pass that was kept from waiting, and says nothing of it, is made up for; and a map in the
 * application's loop that could not say when to be served again tries that in 50 ms. */
static bool makes_up;

static bool is_wait(enum fault_kind kind)
{
	return kind == FAULT_EPOLL_WAIT || kind == FAULT_POLL || kind == FAULT_SELECT ||
	       kind == FAULT_EVENT_ADD || kind == FAULT_EVENT_MEMORY;
}

static int poll_late(int (*action)(char *const *w, int n), char *const *w, int n)
{
	if (driven)
		poll(NULL, 0, 60);
	return action(w, n);
}

/* An action, with the library's calls counted.  After a failure it may find nothing to act on,
 * as a channel could not be made: then it is one that fails. */
static int perform(int (*action)(char *const *w, int n), char *const *w, int n)
{
	jmp_buf *const outer = action_gives_up, here;
	const bool was = fault_pause();
	const long hits = fault_hits;
	int r;

	action_gives_up = &here;
	if (setjmp(*action_gives_up) == 0) {
		fault_resume();
		r = makes_up && action == do_poll && hits > 0 ? poll_late(action, w, n)
							       : action(w, n);
		if (makes_up && r >= 0 && action == do_poll && fault_hits > hits)
			r = action(w, n);
	} else {
		hidden = 0;
		r = -ECANCELED;
	}
	action_gives_up = outer;
	fault_pause();
	if (was)
		fault_resume();
	return r;
}

/* run_c.c cannot go on: its last line says why. */
static _Noreturn void give_up(void)
{
	if (fault_hits > 0 && action_gives_up != NULL)
		longjmp(*action_gives_up, 1);
	points_fail("the runner cannot go on");
}

static union {
	struct channel channel;		/* for who asks all of the map for their names */
	struct bystander is;
} bystanders[2], *bystander;
_Static_assert(offsetof(struct channel, name) >= sizeof(struct bystander), "it has a name of its own");

enum { MOST_PASSES = 300, MOST_IDLE = 50, MOST_WAITS = 3 };

static off_t trace_position(void)
{
	fflush(stdout);
	return lseek(STDOUT_FILENO, 0, SEEK_CUR);
}

/* A loop that may last, pass by pass, until nothing happens any more; or too often the same,
 * as of a handler that does not read.  The bystander alone keeps none running. */
static int harness_loop(double timeout, bool with_poll, struct asyncore_map *map, int count)
{
	const double most = SHORT_WAIT / 1000.0, wait = timeout < most ? timeout : most;
	struct timespec before, after;
	size_t others = map == maps[0].map && asyncore_socket(&bystander->is.dispatcher) >= 0;
	int i, r, waits = 0, idle = 0;
	off_t said;

	for (i = 0; i != count && i < MOST_PASSES && asyncore_map_size(map) > others; i++) {
		said = trace_position();
		clock_gettime(CLOCK_MONOTONIC, &before);
		r = (asyncore_loop)(wait, with_poll, map, 1);
		clock_gettime(CLOCK_MONOTONIC, &after);
		if (r < 0)
			return r;
		if ((double)(after.tv_sec - before.tv_sec) +
		    (double)(after.tv_nsec - before.tv_nsec) / 1e9 > 0.9 * most) {
			idle = 0;
			if (++waits == MOST_WAITS && count < 0)
				break;
		} else {
			idle = trace_position() > said ? 0 : idle + 1;
			if (idle > MOST_IDLE)
				points_fail("it spins");
		}
	}
	return 0;
}

/* The same, of event_base_dispatch(). */
static int dispatch_of_program(struct event_base *base)
{
	struct named_map *m = maps;
	int idle = 0, passes;
	size_t others;
	off_t said;

	while (m->base != base)
		m++;
	others = m == maps && asyncore_socket(&bystander->is.dispatcher) >= 0;
	for (passes = 0; passes < MOST_PASSES && idle < MOST_IDLE; passes++) {
		if (m->left != 0 || asyncore_map_size(m->map) <= others)
			break;
		said = trace_position();
		if (event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0)
			break;
		idle = trace_position() > said ? 0 : idle + 1;
		if (idle > 0)
			poll(NULL, 0, 1);
	}
	return 0;
}

static void turn(void *map)
{
	if (driven)
		event_base_loop(maps[0].base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	else if (use_poll)
		asyncore_poll2(0.01, map);
	else
		asyncore_poll(0.01, map);
}

static void open_bystander(int which)
{
	static char its_name[] = "bystander";

	bystander = &bystanders[which];
	if (!bystander_open(&bystander->is, &bystander_type, maps[0].map))
		points_fail("harness: no bystander");
	bystander->channel.name = its_name;
}

static bool began;
static off_t trace_end;

static void scenario_begins(void)
{
	began = true;
	open_bystander(0);
	if (!bystander_answers(&bystander->is, turn, maps[0].map))
		points_fail("harness: the bystander is not served before");
	if (failing != NULL)
		fault_arm(failing->kind, failing->n, failing->error, failing->repeat);
	else
		fault_arm(FAULT_KINDS, 0, 0, 0);
	fault_pause();
}

/* In the midst of a clean-up, when handlers are quiet; and this goes on with the failure. */
static void scenario_ends(void)
{
	trace_end = trace_position();
	if (asyncore_socket(&bystander->is.dispatcher) < 0) {
		/* By close_all(): another is served, then.  (The map may not have let go of
		 * the first one yet.) */
		close(bystander->is.peer);
		open_bystander(1);
	}
	if (!bystander_answers(&bystander->is, turn, maps[0].map))
		points_fail("the bystander is not served any more");
	fault_resume();
	asyncore_close(&bystander->is.dispatcher);
	close(bystander->is.peer);
}

/* --- traces ------------------------------------------------------------------------------------ */

static int trace_fd = -1;

/* In the parent: an empty file for the trace, and for what a sanitizer says. */
static void prepare(void)
{
	static pid_t owner;

	if (owner != getpid()) {
		owner = getpid();
		trace_fd = memfd_create("trace", MFD_CLOEXEC);
	}
	if (trace_fd < 0 || ftruncate(trace_fd, 0) < 0 || lseek(trace_fd, 0, SEEK_SET) < 0) {
		perror("memfd_create");
		_exit(EXIT_FAILURE);
	}
}

static void explain(bool at_length)
{
	char line[1024];
	FILE *file = fdopen(dup(trace_fd), "r");

	rewind(file);
	while (fgets(line, sizeof line, file) != NULL)
		if (at_length || strncmp(line, "SUMMARY:", 8) == 0 ||
		    strstr(line, "runtime error:") != NULL)
			fputs(line, stdout);
	fclose(file);
}

struct trace {
	char *text;
	size_t len;
};

static struct trace trace_between(off_t from, off_t to)
{
	struct trace t = { .len = (size_t)(to - from) };

	t.text = made(malloc(t.len + 1));
	if (pread(STDOUT_FILENO, t.text, t.len, from) != to - from)
		points_fail("harness: no trace");
	t.text[t.len] = '\0';
	return t;
}

static unsigned long sum(const struct trace *t)
{
	unsigned long n = 5381;
	size_t i;

	for (i = 0; i < t->len; i++)
		n = n * 33 + (unsigned char)t->text[i];
	return n;
}

static bool has(const char *line, size_t len, const char *part)
{
	return memmem(line, len, part, strlen(part)) != NULL;
}

static bool is_error(const char *line, size_t len, bool only_raised)
{
	if (has(line, len, ".handle_error") || has(line, len, ": uncaptured exception"))
		return true;
	if (only_raised || has(line, len, "unhandled write event"))
		return false;
	return strncmp(line, "! ", 2) == 0 || strncmp(line, "log ", 4) == 0 ||
	       strncmp(line, "run_c: no memory", 16) == 0 || has(line, len, ".handle_close");
}

static int count_line(const char *line, size_t len, const struct trace *t)
{
	const char *p = t->text, *end;
	int n = 0;

	for (; (end = strchr(p, '\n')) != NULL; p = end + 1)
		n += (size_t)(end - p) == len && memcmp(p, line, len) == 0;
	return n;
}

/* Does the first show an error more often than the second? */
static bool more_errors(const struct trace *here, const struct trace *usual)
{
	const char *p = here->text, *end;

	for (; (end = strchr(p, '\n')) != NULL; p = end + 1)
		if (is_error(p, (size_t)(end - p), false) &&
		    count_line(p, (size_t)(end - p), here) >
		    count_line(p, (size_t)(end - p), usual))
			return true;
	return false;
}

/* Was something raised in the first that was not in the second? */
static bool raised_more(const struct trace *here, const struct trace *usual)
{
	const char *p = here->text, *end;

	for (; (end = strchr(p, '\n')) != NULL; p = end + 1)
		if (is_error(p, (size_t)(end - p), true) &&
		    count_line(p, (size_t)(end - p), usual) == 0)
			return true;
	return false;
}

/* Is an error what the first has in the step in which it leaves the second? */
static bool error_first(const struct trace *here, const struct trace *usual)
{
	const char *p = here->text, *end;
	size_t i;

	for (i = 0; here->text[i] == usual->text[i] && here->text[i] != '\0'; i++)
		if (here->text[i] == '\n')
			p = here->text + i + 1;
	for (; (end = strchr(p, '\n')) != NULL && strncmp(p, "* ", 2) != 0; p = end + 1)
		if (is_error(p, (size_t)(end - p), false))
			return true;
	return false;
}

/* What shows in how many passes, and pieces of output, the work was done. */
static bool is_piecework(const char *line)
{
	static const char *const parts[] = { ".handle_write", ".readable", ".writable",
					     "unhandled write event" };
	const size_t len = strcspn(line, "\n");
	size_t i;

	if (len > 14 && memcmp(line + len - 14, ".handle_accept", 14) == 0)
		return true;		/* for which there may be nothing any more */
	for (i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strncmp(line, "*", 1) != 0 && has(line, len, parts[i]))
			return true;
	return strncmp(line, "= ", 2) == 0 || strncmp(line, "> more ", 7) == 0;
}

static const char *skip_piecework(const char *line)
{
	while (*line != '\0' && is_piecework(line))
		line += strcspn(line, "\n") + 1;
	return line;
}

static bool same_work(const struct trace *here, const struct trace *usual)
{
	const char *p = here->text, *q = usual->text;
	size_t len;

	for (;;) {
		p = skip_piecework(p);
		q = skip_piecework(q);
		len = strcspn(p, "\n");
		if (len != strcspn(q, "\n") || memcmp(p, q, len) != 0)
			return false;
		if (p[len] == '\0' || q[len] == '\0')
			return p[len] == q[len];
		p += len + 1;
		q += len + 1;
	}
}

/* --- subjects ---------------------------------------------------------------------------------- */

static const struct {
	const char *name, *backend;
	bool use_poll, driven, gather;
} ways[] = {
	{ "select", .use_poll = false },
	{ "poll", .use_poll = true },
	{ "epoll-base", .backend = "epoll" },
	{ "select-base", .backend = "select" },
	{ "driven", .backend = "epoll", .driven = true },
	{ "gather", .gather = true },
};
enum { WAYS = sizeof ways / sizeof *ways, MOST_SCENARIOS = 1000 };

static struct {
	const char *path;
	char *name;
} all[MOST_SCENARIOS];
static int scenario_count;

static const char *name(int subject)
{
	static char text[256];
	const char *path = all[subject / WAYS].path, *base = strrchr(path, '/') + 1;

	snprintf(text, sizeof text, "%.*s/%s/%s", (int)strcspn(base, "."), base,
		 all[subject / WAYS].name, ways[subject % WAYS].name);
	return text;
}

/* Of each scenario one, with the ways in turn. */
static bool in_samples(int subject)
{
	return subject / WAYS % WAYS == subject % WAYS;
}

/* Run it, with the failure of a point or none: its trace. */
static struct trace run_subject(int subject, const struct point *p)
{
	const int way = subject % WAYS, descriptors = open_descriptors();
	const off_t start = trace_position();
	char text[80];

	use_poll = ways[way].use_poll;
	driven = ways[way].driven;
	gather = ways[way].gather;
	backend = ways[way].backend;
	failing = p;
	began = false;
	run_file(all[subject / WAYS].path, all[subject / WAYS].name);
	fault_pause();
	if (!began)
		_exit(LEFT_OUT);
	if (fault_hits > verdict->hits)
		verdict->hits = fault_hits;
	if (open_descriptors() != descriptors) {
		snprintf(text, sizeof text, "descriptors: %d, were %d", open_descriptors(),
			 descriptors);
		points_fail(text);
	}
	return trace_between(start, trace_end);
}

static void trace_to_file(void)
{
	fflush(stdout);
	if (dup2(trace_fd, STDOUT_FILENO) < 0 || dup2(trace_fd, STDERR_FILENO) < 0)
		points_fail("harness: no trace");
}

static void count(int subject)
{
	struct trace one, other;
	char text[80];
	long blocks;

	trace_to_file();
	one = run_subject(subject, NULL);
	memcpy(verdict->calls, fault_calls, sizeof fault_calls);
	blocks = fault_blocks;
	other = run_subject(subject, NULL);
	if (strcmp(one.text, other.text) != 0)
		points_fail("traces differ without any failure");
	if (fault_blocks != blocks) {
		snprintf(text, sizeof text, "leaves memory without any failure: %ld blocks, were %ld",
			 fault_blocks, blocks);
		points_fail(text);
	}
	verdict->blocks = blocks;
	verdict->trace = sum(&one);
}

/* What is wrong with the trace of a point, or NULL. */
static const char *complaint(const struct point *p, const struct trace *failed,
			     const struct trace *usual)
{
	verdict->done = same_work(failed, usual);
	/* As CPython's, asyncore_set_reuse_addr() never fails. */
	if (p->kind == FAULT_SETSOCKOPT)
		return NULL;
	if (is_transparent(p))
		return raised_more(failed, usual) ? "what only asks to try again is an error" : NULL;
	/* That accept() lacks descriptors is said once, until it works again. */
	if (p->kind == FAULT_ACCEPT && strstr(failed->text, "pausing for a moment") != NULL)
		return NULL;
	/* What lasts is tried again for as long as it lasts. */
	if (p->repeat == 0 && ways[p->subject % WAYS].driven &&
	    (p->kind == FAULT_EVENT_ADD || p->kind == FAULT_EVENT_MEMORY))
		return NULL;
	if (!verdict->done && !error_first(failed, usual) && !more_errors(failed, usual))
		return "the trace differs, and shows no error";
	return NULL;
}

static void try_point(const struct point *p)
{
	struct trace failed, usual;
	const char *wrong;
	char text[80];

	trace_to_file();
	failed = run_subject(p->subject, p);
	usual = run_subject(p->subject, NULL);
	wrong = complaint(p, &failed, &usual);
	if (wrong != NULL && is_wait(p->kind)) {
		makes_up = true;
		failed = run_subject(p->subject, p);
		makes_up = false;
		usual = run_subject(p->subject, NULL);
		wrong = complaint(p, &failed, &usual);
	}
	if (wrong != NULL)
		points_fail(wrong);
	if (sum(&usual) != p->counted->trace)
		points_fail("afterwards the trace is not the usual one");
	if (fault_blocks != p->counted->blocks) {
		snprintf(text, sizeof text, "blocks: %ld, should be %ld", fault_blocks,
			 p->counted->blocks);
		points_fail(text);
	}
}

static void find_scenarios(void)
{
	const char *srcdir = getenv("srcdir");
	char pattern[PATH_MAX], line[512], word[128];
	static glob_t found;
	size_t i;

	snprintf(pattern, sizeof pattern, "%s/test/conformance/*.scenarios",
		 srcdir != NULL ? srcdir : ".");
	if (glob(pattern, 0, NULL, &found) != 0) {
		fprintf(stderr, "no %s\n", pattern);
		_exit(EXIT_FAILURE);
	}
	for (i = 0; i < found.gl_pathc; i++) {
		FILE *file = made(fopen(found.gl_pathv[i], "r"));

		while (fgets(line, sizeof line, file) != NULL) {
			if (sscanf(line, "scenario %127s", word) != 1)
				continue;
			if (scenario_count == MOST_SCENARIOS)
				points_fail("too many scenarios");
			all[scenario_count].path = found.gl_pathv[i];
			all[scenario_count++].name = made(strdup(word));
		}
		fclose(file);
	}
}

int main(int argc, char **argv)
{
	struct points what = {
		.name = name,
		.prepare = prepare,
		.count = count,
		.attempt = try_point,
		.explain = explain,
		.in_samples = in_samples,
		.sample = 1000,
	};

	find_scenarios();
	what.subjects = scenario_count * WAYS;
	return points_main(&what, argc, argv);
}
