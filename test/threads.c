/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads.c - many threads post to one map: threads [THREADS [CALLS]]
 *
 * A program of its own, without Check, to be run under ThreadSanitizer too.
 *
 * First, THREADS threads post CALLS calls each, take and give back references and pull a
 * trigger, while channels come and go on the map's thread.  Then, again and again, a map is
 * freed while threads still post.  Last, threads hand data over by pulls that come to
 * nothing, because the trigger was pulled already.  Every call must run in the order of its
 * thread, or be refused, or be dropped with the map; and it must be released exactly once.
 *
 * Prints one line; the exit status says whether all was well.
 */

#include <asyncore_event.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A thread is at most so many calls ahead: so the loop often has nothing left to do. */
enum { ROUNDS = 20, WINDOW = 200, REFUSALS = 100, LIMIT = 300 };

static int failures;

#define expect(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			failures++; \
		} \
	} while (0)

static void *must(void *memory)
{
	if (memory == NULL) {
		perror("threads");
		exit(1);
	}
	return memory;
}

/* --- threads and what they post ----------------------------------------------------- */

struct post {
	struct thread *thread;
	long number;
	bool ran;
};

struct thread {
	pthread_t id;
	struct asyncore_poster *poster;
	long calls;
	bool until_refused;		/* so many, or on and on until the map is gone */
	long posted, refused, wrong;	/* by the thread */
	long ran, dropped;		/* on the map's thread */
	atomic_long released;
};

static struct asyncore_map *map;
static pthread_t home;
static struct thread *threads;
static int nthreads;
static struct asyncore_trigger *trigger;
static long pulls_served;
static atomic_long pulls;

static void release(void *arg)
{
	struct post *post = arg;

	/* A refused call is released by its thread; all others by the map's. */
	if (!post->ran && pthread_equal(pthread_self(), home))
		post->thread->dropped++;
	/* It must not order what the library has to. */
	atomic_fetch_add_explicit(&post->thread->released, 1, memory_order_relaxed);
	free(post);
}

static void act(long number);

static int call(struct asyncore_map *m, void *arg)
{
	struct post *post = arg;

	expect(m == map);
	expect(pthread_equal(pthread_self(), home));
	expect(!post->ran);
	/* None of the same thread was lost or overtaken. */
	expect(post->number == post->thread->ran);
	post->ran = true;
	post->thread->ran++;
	act(post->number);
	return 0;
}

static void post_one(struct thread *t)
{
	struct post *post = must(malloc(sizeof *post));
	int r;

	*post = (struct post){ .thread = t, .number = t->posted++ };
	r = asyncore_call_soon(t->poster, call, post, release);
	if (r == -ESHUTDOWN)
		t->refused++;
	else if (r != 0)
		t->wrong++;
}

static void *post_all(void *arg)
{
	struct thread *t = arg;
	struct asyncore_poster *another;
	long i;

	for (i = 0; t->until_refused ? t->refused < REFUSALS : i < t->calls; i++) {
		while (t->posted - atomic_load_explicit(&t->released, memory_order_relaxed) >
		       WINDOW)
			sched_yield();
		post_one(t);
		if (i % 16 == 0) {
			another = asyncore_poster_ref(t->poster);
			asyncore_poster_unref(t->poster);
			t->poster = another;
		}
		if (trigger != NULL && i % 8 == 0) {
			pulls++;
			if (asyncore_trigger_pull(trigger) != 0)
				t->wrong++;
		}
	}
	asyncore_poster_unref(t->poster);
	return NULL;
}

/* They have the only references. */
static void start_threads(long calls, bool until_refused)
{
	struct asyncore_poster *poster = must(asyncore_poster_new(map));
	int i;

	threads = must(calloc((size_t)nthreads, sizeof *threads));
	for (i = 0; i < nthreads; i++) {
		threads[i].calls = calls;
		threads[i].until_refused = until_refused;
		threads[i].poster = asyncore_poster_ref(poster);
		if (pthread_create(&threads[i].id, NULL, post_all, &threads[i]) != 0)
			exit(1);
	}
	asyncore_poster_unref(poster);
}

/* What became of all calls. */
struct sum {
	long posted, ran, refused, dropped;
};

static void join_threads(struct sum *sum)
{
	int i;

	for (i = 0; i < nthreads; i++) {
		struct thread *t = &threads[i];

		pthread_join(t->id, NULL);
		expect(t->wrong == 0);
		expect(t->ran + t->refused + t->dropped == t->posted);
		expect(t->released == t->posted);
		sum->posted += t->posted;
		sum->ran += t->ran;
		sum->refused += t->refused;
		sum->dropped += t->dropped;
	}
	free(threads);
	threads = NULL;
}

static long calls_run(void)
{
	long n = 0;
	int i;

	for (i = 0; i < nthreads; i++)
		n += threads[i].ran;
	return n;
}

/* --- channels that come and go ------------------------------------------------------ */

enum { SPARKS = 64 };

/* A channel that reads one byte and the end of the file, and then lights another one. */
struct spark {
	struct asyncore_dispatcher dispatcher;
	int slot;
};

static struct spark *sparks[SPARKS];
static long sparks_lit, sparks_disposed;
static bool burning;

static int light(int slot);

static int spark_read(struct asyncore_dispatcher *self)
{
	char data[8];

	return asyncore_recv(self, data, sizeof data);
}

static int spark_write(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static int spark_close(struct asyncore_dispatcher *self)
{
	struct spark *spark = (struct spark *)self;
	const int slot = spark->slot;

	sparks[slot] = NULL;
	asyncore_close(self);
	return burning ? light(slot) : 0;
}

static void spark_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	sparks_disposed++;
}

static const struct asyncore_dispatcher_type spark_type = {
	.base = &asyncore_dispatcher_type,
	.name = "spark",
	.handle_read = spark_read,
	.handle_write = spark_write,
	.handle_close = spark_close,
	.dispose = spark_dispose,
	.dealloc = asyncore_dealloc_free,
};

static int light(int slot)
{
	struct spark *spark;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	spark = must(calloc(1, sizeof *spark));
	spark->slot = slot;
	if (asyncore_dispatcher_init(&spark->dispatcher, &spark_type, fd[0], map) < 0)
		exit(1);
	sparks[slot] = spark;
	sparks_lit++;
	if (write(fd[1], "x", 1) != 1)
		exit(1);
	close(fd[1]);
	return 0;
}

/* What a posted call does to the channels. */
static void act(long number)
{
	const int slot = (int)(number / 32 % SPARKS);

	if (!burning || number % 16 != 0)
		return;
	if (sparks[slot] == NULL)
		expect(light(slot) == 0);
	else if (number % 32 == 0)
		expect(asyncore_handle_close(&sparks[slot]->dispatcher) == 0);
}

/* --- one map, all the time ---------------------------------------------------------- */

static int pulled(struct asyncore_map *m, void *arg)
{
	(void)m, (void)arg;
	pulls_served++;
	return 0;
}

static void count_up(void *arg)
{
	++*(int *)arg;
}

static void serve(long calls, struct sum *sum)
{
	int releases = 0;

	map = must(asyncore_map_new(NULL));
	trigger = must(asyncore_trigger_new(map, pulled, &releases, count_up));
	burning = true;
	start_threads(calls, false);
	/* The trigger keeps the loop: it goes only when the last thread has pulled it. */
	while (calls_run() < calls * nthreads)
		expect(asyncore_loop(-1.0, false, map, 1) == 0);
	burning = false;
	join_threads(sum);
	asyncore_trigger_free(trigger);
	trigger = NULL;
	expect(asyncore_loop(-1.0, false, map, -1) == 0);
	expect(asyncore_map_size(map) == 0);
	expect(asyncore_map_free(map) == 0);
	expect(sparks_disposed == sparks_lit);
	expect(releases == 1);
	expect(pulls_served > 0 && pulls_served <= pulls);
	expect(sum->ran == calls * nthreads);
	expect(sum->refused + sum->dropped == 0);
}

/* --- maps that are freed under fire ------------------------------------------------- */

static void serve_and_free(long calls, struct sum *sum)
{
	map = must(asyncore_map_new(NULL));
	start_threads(calls, true);
	while (calls_run() < calls)
		expect(asyncore_loop(-1.0, true, map, 1) == 0);
	expect(asyncore_map_free(map) == 0);
	join_threads(sum);
}

/* --- pulls that come to nothing ------------------------------------------------------ */

/* What the thread wrote before its pull is there in the call, although another thread
 * pulled first.  The flags order nothing (relaxed): the pull alone has to. */
struct handover {
	long data, seen;
	int calls;
	atomic_bool go, done;
};

static int look(struct asyncore_map *m, void *arg)
{
	struct handover *h = arg;

	(void)m;
	h->seen = h->data;
	h->calls++;
	return 0;
}

static void *hand_over(void *arg)
{
	struct handover *h = arg;

	while (!atomic_load_explicit(&h->go, memory_order_relaxed))
		sched_yield();
	h->data = 4711;
	if (asyncore_trigger_pull(trigger) == 0)
		atomic_store_explicit(&h->done, true, memory_order_relaxed);
	return NULL;
}

static void pull_twice(void)
{
	struct handover h = { .data = 0 };
	pthread_t thread;

	map = must(asyncore_map_new(NULL));
	trigger = must(asyncore_trigger_new(map, look, &h, NULL));
	if (pthread_create(&thread, NULL, hand_over, &h) != 0)
		exit(1);
	expect(asyncore_trigger_pull(trigger) == 0);
	atomic_store_explicit(&h.go, true, memory_order_relaxed);
	while (!atomic_load_explicit(&h.done, memory_order_relaxed))
		sched_yield();
	expect(asyncore_loop(-1.0, false, map, 1) == 0);
	expect(h.calls == 1);
	expect(h.seen == 4711);
	pthread_join(thread, NULL);
	asyncore_trigger_free(trigger);
	trigger = NULL;
	expect(asyncore_map_free(map) == 0);
}

/* --- all of it ------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
	const long calls = argc > 2 ? atol(argv[2]) : 100000;
	struct sum steady = { .ran = 0 }, fire = { .ran = 0 };
	int i;

	nthreads = argc > 1 ? atoi(argv[1]) : 8;
	if (nthreads < 1 || calls < ROUNDS) {
		fprintf(stderr, "usage: threads [THREADS [CALLS]], at least %d calls\n", ROUNDS);
		return 2;
	}
	home = pthread_self();
	alarm(LIMIT);
	serve(calls, &steady);
	for (i = 0; i < ROUNDS; i++)
		serve_and_free(calls / ROUNDS, &fire);
	for (i = 0; i < ROUNDS; i++)
		pull_twice();
	printf("%d x %ld calls ran, %ld channels, %ld pulls were %ld calls; %d maps freed: "
	       "of %ld calls %ld ran, %ld dropped, %ld refused; %s\n", nthreads, calls,
	       sparks_lit, atomic_load(&pulls), pulls_served, ROUNDS, fire.posted, fire.ran,
	       fire.dropped, fire.refused, failures == 0 ? "all well" : "FAILED");
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
