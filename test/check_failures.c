/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * check_failures.c - memory and descriptors run out.
 *
 * For every n the n-th allocation of a piece of work fails, and then all of them from
 * there on.  Either the work is done all the same or it reports -ENOMEM (NULL with
 * ENOMEM); it never crashes, leaks, or disturbs the other channels.
 *
 * Two ways to fail: allocations that libevent makes for itself, through
 * event_set_mem_functions(), everywhere; and all of them, by functions of ours in place of
 * malloc's, where the C library lets a program do that (not under a sanitizer or
 * valgrind: the cases are left out then).
 */

#include "support.h"

#include <asynchat.h>

#include <event2/event.h>

#include <fcntl.h>
#include <sys/resource.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#if defined(__GLIBC__) && !defined(SANITIZED)
#define OWN_MALLOC
#endif

/* --- the n-th allocation fails ---------------------------------------------------------- */

static long countdown;		/* 0: no failures; otherwise the one to fail */
static bool all_after;		/* and every one behind it */
static long failed, counted;

static bool fails(void)
{
	counted++;
	if (countdown == 0)
		return false;
	if (countdown > 1) {
		countdown--;
		return false;
	}
	if (!all_after)
		countdown = 0;
	failed++;
	errno = ENOMEM;
	return true;
}

#ifdef OWN_MALLOC

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

/* The tests are built with hidden symbols, and libevent is to find these. */
#define SEEN __attribute__((visibility("default")))
SEEN void *malloc(size_t size);
SEEN void *calloc(size_t n, size_t size);
SEEN void *realloc(void *old, size_t size);

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

#endif

/* Are ours the ones that are called, by libevent too?  To be asked before prepare(). */
static bool has_own_malloc(void)
{
	const long before = counted;

	event_config_free(event_config_new());
	return counted > before;
}

static void *event_malloc(size_t size)
{
	return fails() ? NULL : malloc(size);
}

static void *event_realloc(void *old, size_t size)
{
	return fails() ? NULL : realloc(old, size);
}

static void silent(int severity, const char *message)
{
	(void)severity, (void)message;
}

/* Where do the failures come from? */
enum source { LIBEVENT, EVERYBODY };
static enum source source;

/* Before any other use of libevent in the process, and so in main(). */
static void prepare(enum source from)
{
	source = from;
	event_set_log_callback(silent);
	if (from == LIBEVENT)
		event_set_mem_functions(event_malloc, event_realloc, free);
}

/* --- work to fail ------------------------------------------------------------------------- */

/*
 * A piece of work: 0 when it was done, -ENOMEM when it was not; the rest is for the work
 * to assert.  It leaves nothing behind.
 */
typedef int work(void);

/* From here on an allocation fails, until calm().  Check allocates in its assertions, so
 * there must be none in between but for is_done(). */
static long fail_at;

static void storm(void)
{
	failed = 0;
	countdown = fail_at;
}

static void calm(void)
{
	countdown = 0;
}

static bool is_done(int r)
{
	const long before = countdown;

	countdown = 0;
	ck_assert_msg(r >= 0 || r == -ENOMEM, "%d", r);
	countdown = before;
	return r >= 0;
}

/* Let every allocation fail in its turn. */
static void try_all(work *one)
{
	const int descriptors = open_descriptors();
	long n;

	for (n = 1; n < 2000; n++) {
		fail_at = n;
		one();
		calm();
		ck_assert_int_eq(open_descriptors(), descriptors);
		if (failed == 0)
			break;
	}
	/* In the end there was nothing more to fail, and the work was done. */
	ck_assert_int_lt(n, 2000);
	ck_assert_int_eq(failed, 0);
}

static struct asyncore_dispatcher *of(struct probe *p)
{
	return &p->dispatcher;
}

/* A bystander: a channel that was there before, and must be served afterwards. */
struct bystander {
	struct probe *probe;
	int peer;
};

static struct bystander bystander(struct asyncore_map *map)
{
	struct bystander b;
	int fd[2];

	unix_pair(fd);
	b.probe = probe_new(fd[0], map);
	b.peer = fd[1];
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	return b;
}

static void assert_served(struct bystander *b, struct asyncore_map *map)
{
	const int before = b->probe->reads;

	calm();
	put(b->peer, "x", 1);
	while (b->probe->reads == before)
		ck_assert_int_eq(asyncore_poll(1.0, map), 0);
	ck_assert_int_eq(b->probe->errors, 0);
}

static void dismiss(struct bystander *b)
{
	asyncore_close(of(b->probe));
	close(b->peer);
}

/* --- making maps and channels ----------------------------------------------------------------- */

static int make_map(void)
{
	struct asyncore_map *map;

	storm();
	errno = 0;
	map = asyncore_map_new(NULL);
	calm();
	if (map == NULL) {
		ck_assert_int_eq(errno, ENOMEM);
		return -ENOMEM;
	}
	ck_assert_int_eq(asyncore_map_free(map), 0);
	return 0;
}

START_TEST(map_new_is_null_with_enomem_or_works)
{
	try_all(make_map);
}
END_TEST

static int make_map_on_base(void)
{
	struct event_base *base = event_base_new();
	struct asyncore_map *map;
	int r = 0;

	ck_assert_ptr_nonnull(base);
	storm();
	errno = 0;
	map = asyncore_map_new(base);
	calm();
	if (map == NULL) {
		ck_assert_int_eq(errno, ENOMEM);
		r = -ENOMEM;
	} else {
		asyncore_map_free(map);
	}
	event_base_free(base);
	return r;
}

START_TEST(map_new_on_a_base_is_null_with_enomem_or_works)
{
	try_all(make_map_on_base);
}
END_TEST

static int use_default_map(void)
{
	struct asyncore_map *map;

	storm();
	errno = 0;
	map = asyncore_socket_map();
	calm();
	ck_assert(map != NULL || errno == ENOMEM);
	ck_assert_int_eq(asyncore_map_free(NULL), 0);
	return map != NULL ? 0 : -ENOMEM;
}

START_TEST(the_default_map_is_null_or_works_and_is_tried_again)
{
	try_all(use_default_map);
}
END_TEST

static int use_no_map(void)
{
	struct asyncore_dispatcher d;
	int r;

	storm();
	r = asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL);
	calm();
	if (is_done(r)) {
		asyncore_close(&d);
		ck_assert_int_eq(asyncore_map_free(NULL), 0);
	} else {
		ck_assert_ptr_null(d.channel);
		asyncore_map_free(NULL);
	}
	return r;
}

START_TEST(init_without_a_default_map_reports_or_works)
{
	try_all(use_no_map);
}
END_TEST

static int call_the_rest(void)
{
	struct asyncore_dispatcher *found;
	struct event_base *base;
	size_t size;
	int r;

	storm();
	r = asyncore_loop(0.0, false, NULL, 1);
	(void)is_done(r);
	(void)is_done(asyncore_close_all(NULL, true));
	size = asyncore_map_size(NULL);
	found = asyncore_map_get(NULL, 0);
	base = asyncore_map_base(NULL);
	calm();
	ck_assert_uint_eq(size, 0);
	ck_assert_ptr_null(found);
	ck_assert(base != NULL || failed > 0);
	ck_assert_int_eq(asyncore_map_free(NULL), 0);
	return r;
}

START_TEST(functions_of_the_default_map_report_that_there_is_none)
{
	try_all(call_the_rest);
}
END_TEST

/* A class that was never seen before is resolved, which takes memory. */
static struct asyncore_dispatcher_type fresh_types[2000];
static int nfresh;

static const struct asyncore_dispatcher_type *fresh_type(void)
{
	struct asyncore_dispatcher_type *type = &fresh_types[nfresh++ % 2000];

	*type = probe_plain_type;
	type->dispose = NULL;
	type->dealloc = NULL;
	return type;
}

static int init_on_socket(void)
{
	struct bystander b = bystander(NULL);
	struct probe p;
	int fd[2], r;

	memset(&p, 0, sizeof p);
	unix_pair(fd);
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, 0), 0);
	storm();
	r = asyncore_dispatcher_init(of(&p), fresh_type(), fd[0], NULL);
	calm();
	if (!is_done(r)) {
		ck_assert_ptr_null(p.dispatcher.channel);
		ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
		ck_assert_uint_eq(asyncore_map_size(NULL), 1);
		close(fd[0]);
	}
	assert_served(&b, NULL);
	dismiss(&b);
	asyncore_close_all(NULL, true);
	asyncore_map_free(NULL);
	close(fd[1]);
	return r;
}

START_TEST(init_reports_and_leaves_the_descriptor_as_it_was)
{
	try_all(init_on_socket);
}
END_TEST

/* With an address that takes memory of its own. */
static int init_on_named_socket(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct probe p;
	socklen_t len = sizeof name;
	int r, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof name.sun_family), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	/* A name that is longer than the room in the channel. */
	close(listener);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memset(name.sun_path + len - sizeof name.sun_family, 'x', 40);
	len += 40;
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, len), 0);
	memset(&p, 0, sizeof p);
	asyncore_socket_map();
	storm();
	r = asyncore_dispatcher_init(of(&p), fresh_type(), fd, NULL);
	calm();
	if (is_done(r)) {
		ck_assert_ptr_nonnull(asyncore_addr(of(&p), &len));
		asyncore_close_all(NULL, true);
	} else {
		ck_assert_ptr_null(p.dispatcher.channel);
		close(fd);
	}
	asyncore_map_free(NULL);
	close(listener);
	return r;
}

START_TEST(init_reports_that_the_address_has_no_room)
{
	try_all(init_on_named_socket);
}
END_TEST

static int make_file(void)
{
	struct asyncore_file_dispatcher d;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), r;

	asyncore_socket_map();
	storm();
	r = asyncore_file_dispatcher_init(&d, &asyncore_file_dispatcher_type, fd, NULL);
	calm();
	if (is_done(r))
		asyncore_close_all(NULL, true);
	else
		ck_assert_ptr_null(d.dispatcher.channel);
	asyncore_map_free(NULL);
	close(fd);
	return r;
}

START_TEST(a_file_dispatcher_reports_and_leaves_nothing)
{
	try_all(make_file);
}
END_TEST

static int make_socket(void)
{
	struct bystander b = bystander(NULL);
	struct probe *p = probe_new(-1, NULL);
	int r;

	storm();
	r = asyncore_create_socket(of(p), AF_INET, SOCK_STREAM);
	calm();
	if (!is_done(r)) {
		ck_assert_int_eq(asyncore_socket(of(p)), -1);
		ck_assert_uint_eq(asyncore_map_size(NULL), 1);
		/* The same call works when there is memory. */
		ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), 0);
	}
	asyncore_close(of(p));
	assert_served(&b, NULL);
	dismiss(&b);
	asyncore_map_free(NULL);
	return r;
}

START_TEST(create_socket_reports_and_works_the_next_time)
{
	try_all(make_socket);
}
END_TEST

/* So many at once that every array of the map has to grow. */
static int add_many(void)
{
	enum { MANY = 70 };
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p[MANY];
	int fd[MANY][2], i, r, first = 0;

	for (i = 0; i < MANY; i++) {
		unix_pair(fd[i]);
		p[i] = probe_new(-1, map);
	}
	storm();
	for (i = 0; i < MANY; i++) {
		r = asyncore_set_socket(of(p[i]), fd[i][0], map);
		if (!is_done(r)) {
			first = first < 0 ? first : r;
			close(fd[i][0]);
		}
	}
	calm();
	ck_assert_uint_le(asyncore_map_size(map), MANY);
	for (i = 0; i < MANY; i++) {
		if (asyncore_fileno(of(p[i])) >= 0)
			put(fd[i][1], "x", 1);
		else
			asyncore_close(of(p[i]));
		asyncore_ref(of(p[i]));
	}
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(p[i]->reads, asyncore_fileno(of(p[i])) >= 0);
		asyncore_unref(of(p[i]));
		close(fd[i][1]);
	}
	ck_assert_int_eq(asyncore_map_free(map), 0);
	return first;
}

START_TEST(adding_many_channels_reports_and_the_others_are_served)
{
	try_all(add_many);
}
END_TEST

/* --- passes ------------------------------------------------------------------------------------ */

/* New channels of every kind, in a storm.  A channel that cannot be registered is told
 * with -ENOMEM; the loop goes on. */
static int run_passes(void)
{
	enum { CHANNELS = 40 };
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct bystander b = bystander(map);
	struct probe *p[CHANNELS];
	int peer[CHANNELS], fd[2], i, r, first = 0, served = 0;

	for (i = 0; i < CHANNELS; i++) {
		unix_pair(fd);
		p[i] = probe_new(fd[0], map);
		p[i]->wants_write = i % 3 == 0;
		peer[i] = fd[1];
		put(peer[i], "x", 1);
		asyncore_ref(of(p[i]));
	}
	storm();
	for (i = 0; i < 8; i++) {
		r = asyncore_poll(i % 2 == 0 ? 0.0 : 0.001, map);
		if (!is_done(r))
			first = r;
	}
	calm();
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	for (i = 0; i < CHANNELS; i++) {
		ck_assert(p[i]->errors == 0 || p[i]->last_error == -ENOMEM);
		/* Served, or told. */
		ck_assert_int_ge(p[i]->reads + p[i]->errors, 1);
		served += p[i]->reads > 0;
	}
	if (failed == 0)
		ck_assert_int_eq(served, CHANNELS);
	assert_served(&b, map);
	for (i = 0; i < CHANNELS; i++) {
		asyncore_unref(of(p[i]));
		close(peer[i]);
	}
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(b.peer);
	return first;
}

START_TEST(a_pass_tells_who_cannot_be_watched_and_serves_the_others)
{
	all_after = _i != 0;
	try_all(run_passes);
}
END_TEST

static int swallow(struct probe *p)
{
	(void)p;
	return 0;
}

/* Has everybody read and written?  Who wrote wants no more of it, so that a pass waits. */
static bool all_did(struct probe **p, int n)
{
	bool all = true;
	int i;

	for (i = 0; i < n; i++) {
		p[i]->wants_write = p[i]->writes == 0;
		asyncore_touch(of(p[i]));
		all = all && p[i]->reads > 0 && p[i]->writes > 0;
	}
	return all;
}

/* As run_passes(), but with stable predicates, and nobody closes because of it. */
static int run_stubborn(void)
{
	static const struct asyncore_dispatcher_type stable_type = {
		.base = &probe_type, .flags = ASYNCORE_PREDICATES_STABLE,
	};
	static struct asyncore_dispatcher_type types[2];
	struct asyncore_map *map = asyncore_map_new(NULL);
	static const char *const kind[] = { "stable", "asked" };
	struct probe *p[2];
	int peer[2], fd[2], i;

	types[0] = stable_type;
	types[0].readable = probe_plain_type.readable;
	types[0].writable = probe_plain_type.writable;
	for (i = 0; i < 2; i++) {
		unix_pair(fd);
		p[i] = probe_new_typed(i == 0 ? &types[0] : &probe_plain_type, fd[0], map);
		p[i]->on_error = swallow;
		p[i]->wants_write = 1;
		peer[i] = fd[1];
	}
	storm();
	(void)is_done(asyncore_poll(0.0, map));
	calm();
	/* There is memory again: they are watched, if only after a moment. */
	for (i = 0; i < 2; i++)
		put(peer[i], "x", 1);
	for (i = 0; i < 200 && !all_did(p, 2); i++)
		ck_assert_int_eq(asyncore_poll(0.1, map), 0);
	for (i = 0; i < 2; i++) {
		ck_assert_msg(p[i]->reads == 1, "%s: %d reads", kind[i], p[i]->reads);
		ck_assert_msg(p[i]->writes >= 1, "%s: no writes", kind[i]);
		close(peer[i]);
	}
	ck_assert_int_eq(asyncore_map_free(map), 0);
	return 0;
}

START_TEST(a_channel_that_could_not_be_watched_and_stayed_is_watched_later)
{
	all_after = _i != 0;
	try_all(run_stubborn);
}
END_TEST

/* Urgent data, whose descriptor is made in the pass. */
static int run_urgent(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p;
	char byte;
	int fd[2], i, reported;

	tcp_pair(fd);
	p = probe_new(fd[0], map);
	asyncore_ref(of(p));
	storm();
	(void)is_done(asyncore_poll(0.0, map));
	calm();
	reported = p->errors;
	if (reported == 0) {
		ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
		for (i = 0; i < 200 && p->expts == 0; i++)
			ck_assert_int_eq(asyncore_poll(0.01, map), 0);
		ck_assert_int_ge(p->expts, 1);
		ck_assert_int_eq(recv(asyncore_socket(of(p)), &byte, 1, MSG_OOB), 1);
	}
	asyncore_unref(of(p));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
	return reported ? -ENOMEM : 0;
}

START_TEST(urgent_data_is_watched_or_the_channel_is_told)
{
	try_all(run_urgent);
}
END_TEST

static int loop_of_its_own_base(void)
{
	struct event_base *base = event_base_new();
	struct asyncore_map *map = asyncore_map_new(base);
	struct probe *p;
	int fd[2], i;

	unix_pair(fd);
	p = probe_new(fd[0], map);
	asyncore_ref(of(p));
	put(fd[1], "x", 1);
	storm();
	for (i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	calm();
	for (i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_int_ge(p->reads + p->errors, 1);
	asyncore_unref(of(p));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
	close(fd[1]);
	return 0;
}

START_TEST(a_base_run_by_the_application_survives_too)
{
	try_all(loop_of_its_own_base);
}
END_TEST

static int count_visit(struct asyncore_dispatcher *d, void *arg)
{
	(void)d;
	++*(int *)arg;
	return 0;
}

static int walk(void)
{
	enum { CHANNELS = 20 };
	struct asyncore_map *map = asyncore_map_new(NULL);
	int fd[2], i, visits = 0, peer[CHANNELS], walked, closed;

	for (i = 0; i < CHANNELS; i++) {
		unix_pair(fd);
		probe_new(fd[0], map);
		peer[i] = fd[1];
	}
	storm();
	walked = asyncore_map_foreach(map, count_visit, &visits);
	closed = asyncore_close_all(map, false);
	calm();
	ck_assert_int_eq(walked, 0);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(visits, CHANNELS);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	for (i = 0; i < CHANNELS; i++)
		close(peer[i]);
	return 0;
}

START_TEST(foreach_and_close_all_need_no_memory)
{
	probes_disposed = 0;
	all_after = _i != 0;
	try_all(walk);
	ck_assert_int_eq(probes_disposed % 20, 0);
}
END_TEST

static char order[64];

static int note_place(struct asyncore_dispatcher *d, void *arg)
{
	struct probe *p = (struct probe *)d;

	(void)arg;
	snprintf(order + strlen(order), sizeof order - strlen(order), "%d ", p->id);
	/* The walk survives changes also when it has no list to go by. */
	if (p->id == 2)
		asyncore_close(p->arg);
	return 0;
}

static int walk_in_order(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p[5];
	int fd[5][2], i, walked;

	trace_reset();
	for (i = 0; i < 5; i++)
		unix_pair(fd[i]);
	/* Map order is not the order of the numbers. */
	for (i = 0; i < 5; i++)
		p[i] = probe_new(fd[(i * 2) % 5][0], map);
	p[1]->arg = of(p[3]);
	order[0] = '\0';
	storm();
	walked = asyncore_map_foreach(map, note_place, NULL);
	calm();
	ck_assert_int_eq(walked, 0);
	ck_assert_str_eq(order, "1 2 3 5 ");
	ck_assert_int_eq(asyncore_map_free(map), 0);
	for (i = 0; i < 5; i++)
		close(fd[i][1]);
	return 0;
}

START_TEST(foreach_keeps_map_order_without_memory)
{
	try_all(walk_in_order);
}
END_TEST

static int free_map_in_storm(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	int fd[2], i, r, peer[10];

	for (i = 0; i < 10; i++) {
		unix_pair(fd);
		probe_new(fd[0], map);
		peer[i] = fd[1];
	}
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	probes_disposed = 0;
	storm();
	r = asyncore_map_free(map);
	calm();
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(probes_disposed, 10);
	for (i = 0; i < 10; i++)
		close(peer[i]);
	return 0;
}

START_TEST(map_free_needs_no_memory)
{
	all_after = true;
	try_all(free_map_in_storm);
}
END_TEST

/* --- sockets -------------------------------------------------------------------------------------- */

static int connect_in_storm(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, map);
	int port, listener = tcp_listener(&port), r;

	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), 0);
	p->wants_write = 1;
	asyncore_ref(of(p));
	storm();
	r = asyncore_connect(of(p), "127.0.0.1", port);
	calm();
	/* The resolver needs memory, and has words of its own for that. */
	if (is_done(r))
		while (p->connects + p->errors == 0)
			ck_assert_int_eq(asyncore_poll(1.0, map), 0);
	asyncore_unref(of(p));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(listener);
	return r;
}

START_TEST(connect_reports_or_works)
{
	try_all(connect_in_storm);
}
END_TEST

static int bind_in_storm(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p = probe_new(-1, map);
	char name[40];
	int r;

	snprintf(name, sizeof name, "/nowhere/%s", "a-name-of-some-length");
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_UNIX, SOCK_STREAM), 0);
	storm();
	r = asyncore_bind_path(of(p), name);
	calm();
	ck_assert(r == -ENOMEM || r == -ENOENT);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	return r;
}

START_TEST(bind_reports_that_the_address_has_no_room)
{
	try_all(bind_in_storm);
}
END_TEST

static struct asyncore_dispatcher_with_send *sender_on(int fd, struct asyncore_map *map)
{
	static struct asyncore_dispatcher_with_send d;

	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d,
							    &asyncore_dispatcher_with_send_type,
							    fd, map), 0);
	return &d;
}

/* Whatever send() says it took arrives, once and in order. */
static int send_in_storm(void)
{
	static unsigned char data[30000], got[65536];
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct asyncore_dispatcher_with_send *d;
	size_t promised = 0, arrived = 0, i;
	unsigned char next_in = 0, next_out = 0;
	int fd[2], n, first = 0, round;
	ssize_t r;

	unix_pair(fd);
	d = sender_on(fd[0], map);
	storm();
	for (round = 0; round < 40; round++) {
		for (i = 0; i < sizeof data; i++)
			data[i] = (unsigned char)(next_in + i);
		n = asyncore_send(&d->dispatcher, data, sizeof data);
		if (!is_done(n)) {
			first = n;
			n = 0;
		}
		promised += (size_t)n;
		next_in = (unsigned char)(next_in + n);
	}
	calm();
	while (arrived < promised) {
		ck_assert_int_eq(asyncore_poll(0.0, map), 0);
		r = read(fd[1], got, sizeof got);
		ck_assert_int_gt(r, 0);
		for (i = 0; i < (size_t)r; i++)
			if (got[i] != next_out++)
				ck_abort_msg("byte %zu is wrong", arrived + i);
		arrived += (size_t)r;
	}
	ck_assert_uint_eq(arrived, promised);
	ck_assert_uint_eq(asyncore_dispatcher_with_send_pending(d), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
	return first;
}

START_TEST(a_buffered_send_takes_all_or_says_how_much)
{
	all_after = _i != 0;
	try_all(send_in_storm);
}
END_TEST

/* --- errors and logs ---------------------------------------------------------------------------------- */

static int raise_in_handler(struct probe *p)
{
	char byte;

	(void)asyncore_recv(of(p), &byte, 1);
	return ASYNCORE_RAISEF(of(p), -EPROTO, "%s", "in a storm");
}

static int raise_in_storm(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct bystander b = bystander(map);
	int r;

	assert_served(&b, map);		/* there is room for its mark */
	b.probe->on_read = raise_in_handler;
	b.probe->on_error = swallow;
	put(b.peer, "x", 1);
	storm();
	r = asyncore_poll(0.0, map);
	calm();
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(b.probe->errors, 1);
	ck_assert_int_eq(b.probe->last_error, -EPROTO);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(b.peer);
	return 0;
}

START_TEST(raising_needs_no_memory)
{
	all_after = true;
	try_all(raise_in_storm);
}
END_TEST

static int said;

static int count_log(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	(void)d, (void)message, (void)type;
	said++;
	return 0;
}

static const struct asyncore_dispatcher_type logging_type = {
	.base = &asyncore_dispatcher_type, .log_info = count_log,
};

static int log_in_storm(void)
{
	static char text[3000];
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct asyncore_dispatcher d;
	int fd[2], r, short_one;

	memset(text, 'a', sizeof text - 1);
	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &logging_type, fd[0], map), 0);
	said = 0;
	storm();
	short_one = asyncore_log_infof(&d, "info", "%s", "short");
	r = asyncore_log_infof(&d, "info", "%s", text);
	calm();
	ck_assert_int_eq(short_one, 0);
	ck_assert_int_eq(said, is_done(r) ? 2 : 1);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
	return r;
}

START_TEST(a_long_log_line_reports_or_works)
{
	try_all(log_in_storm);
}
END_TEST

static int read_and_fail(struct asyncore_dispatcher *d)
{
	char byte;

	(void)asyncore_recv(d, &byte, 1);
	return -EPROTO;
}

/* The default handle_error: log and close. */
static int default_error_in_storm(void)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &logging_type, .handle_read = read_and_fail,
	};
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &type, fd[0], map), 0);
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	put(fd[1], "x", 1);
	storm();
	(void)is_done(asyncore_poll(0.0, map));
	calm();
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
	return 0;
}

START_TEST(the_default_handle_error_closes_without_memory)
{
	all_after = true;
	try_all(default_error_in_storm);
}
END_TEST

struct leaver {
	struct async_chat chat;
	int result, errors, error;
};

/* There is more input than this line, and no memory to keep it in. */
static int leave_in_storm(struct async_chat *chat)
{
	fail_at = 1;
	storm();
	return ((struct leaver *)chat)->result;
}

static int note_error(struct asyncore_dispatcher *d)
{
	struct leaver *leaver = (struct leaver *)d;

	calm();
	leaver->errors++;
	leaver->error = asyncore_error(d)->code;
	return asyncore_close(d);
}

START_TEST(input_that_cannot_be_kept_is_reported_whatever_was_raised)
{
	static const struct async_chat_type type = {
		.dispatcher = { .base = &async_chat_type.dispatcher, .handle_error = note_error },
		.collect_incoming_data = async_chat_collect_default,
		.found_terminator = leave_in_storm,
	};
	struct asyncore_map *map;
	struct leaver leaver = { .result = _i == 0 ? ASYNCORE_EXIT_NOW : -EPROTO };
	int fd[2], r;

	if (source != EVERYBODY)
		return;
	map = asyncore_map_new(NULL);
	unix_pair(fd);
	ck_assert_int_eq(async_chat_init(&leaver.chat, &type, fd[0], map), 0);
	ck_assert_int_eq(async_chat_set_terminator(&leaver.chat, "\n", 1), 0);
	put(fd[1], "one\ntwo\n", 8);
	all_after = true;
	r = asyncore_poll(1.0, map);
	calm();
	ck_assert_int_eq(r, _i == 0 ? ASYNCORE_EXIT_NOW : 0);
	ck_assert_int_eq(leaver.errors, 1);
	ck_assert_int_eq(leaver.error, -ENOMEM);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
}
END_TEST

/* --- no descriptors ---------------------------------------------------------------------------------------- */

/* From here on this process may open `more` descriptors. */
static struct rlimit limit_before;

static void allow_descriptors(int more)
{
	struct rlimit limit;
	int fd = dup(STDIN_FILENO);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
	limit = limit_before;
	limit.rlim_cur = (rlim_t)(fd + more);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void allow_all_descriptors(void)
{
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit_before), 0);
}

START_TEST(map_new_without_descriptors_is_null_with_emfile)
{
	struct asyncore_map *map = NULL;
	int more;

	for (more = 0; map == NULL; more++) {
		ck_assert_int_lt(more, 10);
		allow_descriptors(more);
		errno = 0;
		map = asyncore_map_new(NULL);
		if (map == NULL)
			ck_assert_int_eq(errno, EMFILE);
		allow_all_descriptors();
	}
	ck_assert_int_gt(more, 1);
	ck_assert_int_eq(asyncore_map_free(map), 0);
}
END_TEST

START_TEST(init_without_descriptors_for_the_default_map_fails_and_works_later)
{
	struct asyncore_dispatcher d;

	allow_descriptors(0);
	ck_assert_int_lt(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	ck_assert_ptr_null(d.channel);
	allow_all_descriptors();
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, -1, NULL), 0);
	asyncore_close(&d);
	asyncore_close_all(NULL, true);
	ck_assert_ptr_null(d.channel);
}
END_TEST

START_TEST(create_socket_without_descriptors_is_emfile_and_works_later)
{
	struct bystander b = bystander(NULL);
	struct probe *p = probe_new(-1, NULL);

	allow_descriptors(0);
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), -EMFILE);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	allow_all_descriptors();
	ck_assert_int_eq(asyncore_create_socket(of(p), AF_INET, SOCK_STREAM), 0);
	asyncore_close(of(p));
	assert_served(&b, NULL);
	dismiss(&b);
}
END_TEST

START_TEST(a_family_that_does_not_exist_is_reported)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_create_socket(of(p), 12345, SOCK_STREAM), -EAFNOSUPPORT);
	ck_assert_int_lt(asyncore_create_socket(of(p), AF_INET, 7777), 0);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	asyncore_close(of(p));
}
END_TEST

START_TEST(set_file_without_descriptors_is_emfile_and_works_later)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2], more, r = -1;

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	for (more = 0; r != 0; more++) {
		ck_assert_int_lt(more, 5);
		allow_descriptors(more);
		r = asyncore_set_file(of(p), fd[0]);
		allow_all_descriptors();
		ck_assert_int_eq(r, more == 0 || r < 0 ? -EMFILE : 0);
		ck_assert_int_eq(asyncore_socket(of(p)) >= 0, r == 0);
	}
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_file_dispatcher_without_descriptors_is_emfile_and_leaves_nothing)
{
	struct asyncore_file_dispatcher d;
	int fd[2], more, r = -1;

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	asyncore_socket_map();
	for (more = 0; r != 0; more++) {
		ck_assert_int_lt(more, 5);
		allow_descriptors(more);
		r = asyncore_file_dispatcher_init(&d, &asyncore_file_dispatcher_type, fd[0], NULL);
		allow_all_descriptors();
		if (r == 0)
			break;
		ck_assert_int_eq(r, -EMFILE);
		ck_assert_ptr_null(d.dispatcher.channel);
		ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	}
	asyncore_close_all(NULL, true);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* The descriptor for urgent data cannot be made: better told when the channel is added. */
START_TEST(a_channel_whose_urgent_data_cannot_be_watched_is_refused_and_the_others_are_served)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *plain, *urgent = calloc(1, sizeof *urgent);
	int fd[2][2];

	unix_pair(fd[0]);
	tcp_pair(fd[1]);
	plain = probe_new_typed(&probe_plain_type, fd[0][0], map);
	put(fd[0][1], "x", 1);
	allow_descriptors(0);
	ck_assert_int_eq(asyncore_dispatcher_init(of(urgent), &probe_type, fd[1][0], map),
			 -EMFILE);
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	allow_all_descriptors();
	ck_assert_int_eq(plain->reads, 1);
	ck_assert_int_eq(plain->errors, 0);
	free(urgent);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[0][1]);
	close(fd[1][0]);
	close(fd[1][1]);
}
END_TEST

/* Its descriptor was closed behind the library's back. */
START_TEST(a_channel_that_cannot_be_watched_and_stays_does_not_make_the_loop_spin)
{
	struct asyncore_map *map = asyncore_map_new(NULL);
	struct probe *p;
	int fd[2], i;

	unix_pair(fd);
	p = probe_new_typed(&probe_plain_type, fd[0], map);
	p->on_error = swallow;
	close(fd[0]);
	/* A moment is much longer than a hundred passes that do not wait. */
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	ck_assert_int_ge(p->errors, 1);
	ck_assert_int_lt(p->errors, 50);
	ck_assert_int_eq(p->last_error, -EBADF);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close(fd[1]);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------------------------ */

static void calm_and_single(void)
{
	calm();
	all_after = false;
}

static TCase *failing_case(Suite *suite, const char *name)
{
	TCase *tc = suite_case(suite, name);

	tcase_add_checked_fixture(tc, calm_and_single, calm_and_single);
	tcase_set_timeout(tc, 60);
	return tc;
}

static void add_memory_cases(Suite *suite)
{
	TCase *tc = failing_case(suite, "making");

	tcase_add_test(tc, map_new_is_null_with_enomem_or_works);
	tcase_add_test(tc, map_new_on_a_base_is_null_with_enomem_or_works);
	tcase_add_test(tc, the_default_map_is_null_or_works_and_is_tried_again);
	tcase_add_test(tc, init_without_a_default_map_reports_or_works);
	tcase_add_test(tc, functions_of_the_default_map_report_that_there_is_none);
	tcase_add_test(tc, init_reports_and_leaves_the_descriptor_as_it_was);
	tcase_add_test(tc, init_reports_that_the_address_has_no_room);
	tcase_add_test(tc, a_file_dispatcher_reports_and_leaves_nothing);
	tcase_add_test(tc, create_socket_reports_and_works_the_next_time);
	tcase_add_test(tc, adding_many_channels_reports_and_the_others_are_served);

	tc = failing_case(suite, "passes");
	tcase_add_loop_test(tc, a_pass_tells_who_cannot_be_watched_and_serves_the_others, 0, 2);
	tcase_add_loop_test(tc, a_channel_that_could_not_be_watched_and_stayed_is_watched_later,
			    0, 2);
	tcase_add_test(tc, urgent_data_is_watched_or_the_channel_is_told);
	tcase_add_test(tc, a_base_run_by_the_application_survives_too);
	tcase_add_loop_test(tc, foreach_and_close_all_need_no_memory, 0, 2);
	tcase_add_test(tc, foreach_keeps_map_order_without_memory);
	tcase_add_test(tc, map_free_needs_no_memory);

	tc = failing_case(suite, "sockets");
	tcase_add_test(tc, connect_reports_or_works);
	tcase_add_test(tc, bind_reports_that_the_address_has_no_room);
	tcase_add_loop_test(tc, a_buffered_send_takes_all_or_says_how_much, 0, 2);

	tc = failing_case(suite, "errors and logs");
	tcase_add_test(tc, raising_needs_no_memory);
	tcase_add_test(tc, a_long_log_line_reports_or_works);
	tcase_add_test(tc, the_default_handle_error_closes_without_memory);
	tcase_add_loop_test(tc, input_that_cannot_be_kept_is_reported_whatever_was_raised, 0, 2);
}

static void add_descriptor_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "descriptors");

	tcase_add_test(tc, map_new_without_descriptors_is_null_with_emfile);
	tcase_add_test(tc, init_without_descriptors_for_the_default_map_fails_and_works_later);
	tcase_add_test(tc, create_socket_without_descriptors_is_emfile_and_works_later);
	tcase_add_test(tc, a_family_that_does_not_exist_is_reported);
	tcase_add_test(tc, set_file_without_descriptors_is_emfile_and_works_later);
	tcase_add_test(tc, a_file_dispatcher_without_descriptors_is_emfile_and_leaves_nothing);
	tcase_add_test(tc, a_channel_whose_urgent_data_cannot_be_watched_is_refused_and_the_others_are_served);
	tcase_add_test(tc, a_channel_that_cannot_be_watched_and_stays_does_not_make_the_loop_spin);
}

int main(void)
{
	Suite *suite = suite_create("failures");

	/* Everybody's allocations where that is possible: libevent's are among them. */
	prepare(has_own_malloc() ? EVERYBODY : LIBEVENT);
	add_memory_cases(suite);
	add_descriptor_cases(suite);
	return suite_run(suite);
}
