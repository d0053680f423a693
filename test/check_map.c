/* SPDX-License-Identifier: BSD-3-Clause */

/* check_map.c - maps: who is in them, walking them, moving between them, freeing them. */

#include "support.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* --- helpers ------------------------------------------------------------------------ */

static struct asyncore_map *new_map(void)
{
	struct asyncore_map *map = asyncore_map_new(NULL);

	ck_assert_ptr_nonnull(map);
	return map;
}

static int id_of(struct asyncore_dispatcher *d)
{
	return ((struct probe *)d)->id;
}

static int note(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	trace_call("%d ", id_of(d));
	return 0;
}

/* The ids in the map, in its order. */
#define assert_order(map, expected) \
	do { \
		trace[0] = '\0'; \
		ck_assert_int_eq(asyncore_map_foreach((map), note, NULL), 0); \
		ck_assert_str_eq(trace, (expected)); \
		trace[0] = '\0'; \
	} while (0)

/* --- default and private maps ------------------------------------------------------- */

START_TEST(default_map_is_one)
{
	struct asyncore_map *map = asyncore_socket_map();

	ck_assert_ptr_nonnull(map);
	ck_assert_ptr_eq(asyncore_socket_map(), map);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
}
END_TEST

START_TEST(null_means_the_default_map)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);
	int fd = asyncore_fileno(&p->dispatcher);

	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), asyncore_socket_map());
	ck_assert_uint_eq(asyncore_map_size(NULL), 1);
	ck_assert_uint_eq(asyncore_map_size(asyncore_socket_map()), 1);
	ck_assert_ptr_eq(asyncore_map_get(NULL, fd), &p->dispatcher);
	ck_assert_ptr_eq(asyncore_map_base(NULL), asyncore_map_base(asyncore_socket_map()));
	assert_order(NULL, "1 ");
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	close(peer);
}
END_TEST

START_TEST(default_map_is_made_anew_after_its_end)
{
	int peer[2];
	struct probe *p;

	probe_and_peer(NULL, &peer[0]);
	ck_assert_int_eq(asyncore_map_free(NULL), 0);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);

	p = probe_and_peer(NULL, &peer[1]);
	put(peer[1], "x", 1);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(&p->dispatcher);
	close_peers(peer, 2);
}
END_TEST

START_TEST(freeing_a_default_map_that_was_never_made_does_nothing)
{
	ck_assert_int_eq(asyncore_map_free(NULL), 0);
	ck_assert_int_eq(asyncore_map_free(NULL), 0);
}
END_TEST

START_TEST(default_map_can_be_freed_by_its_pointer)
{
	ck_assert_int_eq(asyncore_map_free(asyncore_socket_map()), 0);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	step(NULL);
}
END_TEST

static int tell_at_end = -1;

/* Runs after the library's own. */
__attribute__((destructor(101))) static void tell_descriptors(void)
{
	int descriptors;

	if (tell_at_end < 0)
		return;
	descriptors = open_descriptors();
	if (write(tell_at_end, &descriptors, sizeof descriptors) < 0)
		abort();
}

/* (Only what is of no use any more: a channel may be, to code that runs still later.) */
START_TEST(process_that_ends_with_an_empty_default_map_closes_its_descriptors)
{
	const bool empty = _i == 0;
	int fd[2], pair[2], told[3];
	pid_t child;

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	unix_pair(pair);
	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		tell_at_end = fd[1];
		tell_descriptors();
		if (empty)
			asyncore_socket_map();
		else
			probe_new(pair[0], NULL);
		tell_descriptors();
		exit(EXIT_SUCCESS);
	}
	take(fd[0], told, sizeof told);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_int_gt(told[1], told[0]);
	ck_assert_int_eq(told[2], empty ? told[0] : told[1]);
	close_peers(fd, 2);
	close_peers(pair, 2);
}
END_TEST

/* FIELD B38 */
START_TEST(private_map_is_served_alone)
{
	struct asyncore_map *map = new_map();
	int peer[2];
	struct probe *mine = probe_and_peer(map, &peer[0]), *other = probe_and_peer(NULL, &peer[1]);

	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	step(map);
	ck_assert_str_eq(trace, "read 1 ");
	step(NULL);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_ptr_null(asyncore_map_get(map, asyncore_fileno(&other->dispatcher)));
	ck_assert_ptr_eq(asyncore_map(&mine->dispatcher), map);
	asyncore_close(&other->dispatcher);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	close_peers(peer, 2);
}
END_TEST

START_TEST(maps_have_bases_of_their_own)
{
	struct asyncore_map *a = new_map(), *b = new_map();

	ck_assert_ptr_nonnull(asyncore_map_base(a));
	ck_assert_ptr_ne(asyncore_map_base(a), asyncore_map_base(b));
	asyncore_map_free(a);
	asyncore_map_free(b);
}
END_TEST

START_TEST(map_on_a_base_has_that_base)
{
	struct event_base *base = event_base_new();
	struct asyncore_map *map = asyncore_map_new(base);

	ck_assert_ptr_eq(asyncore_map_base(map), base);
	asyncore_map_free(map);
	event_base_free(base);
}
END_TEST

/* --- who is in it ------------------------------------------------------------------- */

START_TEST(size_counts_the_channels)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	ck_assert_uint_eq(asyncore_map_size(map), 0);
	probes_and_peers(map, p, peer, 3);
	ck_assert_uint_eq(asyncore_map_size(map), 3);
	asyncore_close(&p[1]->dispatcher);
	ck_assert_uint_eq(asyncore_map_size(map), 2);
	asyncore_del_channel(&p[0]->dispatcher, NULL);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

START_TEST(channel_without_descriptor_is_in_no_map)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), -EBADF);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

START_TEST(get_finds_a_channel_by_its_descriptor)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(map, p, peer, 3);
	for (i = 0; i < 3; i++)
		ck_assert_ptr_eq(asyncore_map_get(map, asyncore_fileno(&p[i]->dispatcher)),
				 &p[i]->dispatcher);
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

START_TEST(get_knows_no_other_descriptor)
{
	struct asyncore_map *map = new_map();
	int peer, fd;
	struct probe *p = probe_and_peer(map, &peer);

	ck_assert_ptr_null(asyncore_map_get(map, -1));
	ck_assert_ptr_null(asyncore_map_get(map, peer));
	ck_assert_ptr_null(asyncore_map_get(map, 2147483647));
	ck_assert_ptr_null(asyncore_map_get(map, -2147483647 - 1));
	fd = asyncore_fileno(&p->dispatcher);
	asyncore_close(&p->dispatcher);
	ck_assert_ptr_null(asyncore_map_get(map, fd));
	asyncore_map_free(map);
	close(peer);
}
END_TEST

START_TEST(adding_a_channel_again_changes_nothing)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_add_channel(&p[0]->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&p[1]->dispatcher, map), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 3);
	assert_order(map, "1 2 3 ");
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

START_TEST(channel_in_a_map_refuses_another_one)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, asyncore_socket_map()), -EALREADY);
	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), map);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	put(peer, "x", 1);
	step(map);
	ck_assert_int_eq(p->reads, 1);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

START_TEST(map_refuses_a_descriptor_that_it_holds)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *first = probe_and_peer(map, &peer), *second = probe_new(-1, map);
	int fd = asyncore_fileno(&first->dispatcher);
	struct asyncore_dispatcher third;

	ck_assert_int_eq(asyncore_set_socket(&second->dispatcher, fd, NULL), -EEXIST);
	ck_assert_int_eq(asyncore_socket(&second->dispatcher), -1);
	ck_assert_int_eq(asyncore_dispatcher_init(&third, &asyncore_dispatcher_type, fd, map),
			 -EEXIST);
	ck_assert_ptr_eq(asyncore_map_get(map, fd), &first->dispatcher);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	put(peer, "x", 1);
	step(map);
	ck_assert_str_eq(trace, "read 1 ");
	asyncore_close(&second->dispatcher);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

START_TEST(two_maps_may_hold_one_descriptor)
{
	struct asyncore_map *a = new_map(), *b = new_map();
	int peer;
	struct probe *first = probe_and_peer(a, &peer), *second = probe_new(-1, b);
	int fd = asyncore_fileno(&first->dispatcher);

	ck_assert_int_eq(asyncore_set_socket(&second->dispatcher, fd, NULL), 0);
	ck_assert_ptr_eq(asyncore_map_get(a, fd), &first->dispatcher);
	ck_assert_ptr_eq(asyncore_map_get(b, fd), &second->dispatcher);
	/* One of them has to give it back before the other closes it. */
	ck_assert_int_eq(asyncore_del_channel(&first->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_map_free(b), 0);
	ck_assert_int_eq(asyncore_map_free(a), 0);
	ck_assert_int_eq(probes_disposed, 2);
	close(peer);
}
END_TEST

START_TEST(removing_a_channel_from_a_map_it_is_not_in_is_no_error)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, asyncore_socket_map()), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, map), 0);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, map), 0);
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

START_TEST(removed_channel_keeps_its_descriptor)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);
	int fd = asyncore_socket(&p->dispatcher);

	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), -1);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), fd);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 1);
	put(peer, "x", 1);
	step(NULL);
	ck_assert_int_eq(p->reads, 0);

	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), fd);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(&p->dispatcher);
	asyncore_unref(&p->dispatcher);
	close(peer);
}
END_TEST

START_TEST(removed_channel_that_nobody_holds_is_disposed_of_and_closed)
{
	struct asyncore_map *map = new_map();
	struct probe *p[2];
	int peer[2], fd;

	probes_and_peers(map, p, peer, 2);
	fd = asyncore_socket(&p[0]->dispatcher);
	asyncore_del_channel(&p[0]->dispatcher, NULL);
	ck_assert_int_eq(probes_disposed, 0);
	step(map);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	asyncore_map_free(map);
	close_peers(peer, 2);
}
END_TEST

static int remove_and_add(struct probe *p)
{
	ck_assert_int_eq(asyncore_recv(&p->dispatcher, p->data, 1), 1);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	return asyncore_add_channel(&p->dispatcher, NULL);
}

START_TEST(channel_that_is_back_in_a_map_is_not_disposed_of)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_read = remove_and_add;
	put(peer, "xy", 2);
	step(NULL);
	step(NULL);
	ck_assert_int_eq(p->reads, 2);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close(&p->dispatcher);
	close(peer);
}
END_TEST

/* Those that nobody holds wait to be disposed of, in a list. */
START_TEST(channel_out_of_the_middle_of_those_to_be_disposed_of_may_go_to_another_map)
{
	struct asyncore_map *another = new_map();
	struct probe *p[3];
	int peer[3], i;

	probes_and_peers(NULL, p, peer, 3);
	step(NULL);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_del_channel(&p[i]->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&p[_i]->dispatcher, another), 0);
	put(peer[_i], "x", 1);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 2);
	for (i = 0; i < 3; i++)
		if (i != _i)
			ck_assert_uint_eq(drain(peer[i]), 0);
	run_until(p[_i]->reads == 1, another);
	asyncore_close(&p[_i]->dispatcher);
	ck_assert_int_eq(asyncore_map_free(another), 0);
	ck_assert_int_eq(probes_disposed, 3);
	close_peers(peer, 3);
}
END_TEST

START_TEST(channel_added_again_stands_at_the_end)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	asyncore_del_channel(&p[0]->dispatcher, NULL);
	asyncore_add_channel(&p[0]->dispatcher, NULL);
	assert_order(map, "2 3 1 ");
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

START_TEST(reopened_channel_stands_at_the_end)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	asyncore_close(&p[0]->dispatcher);
	ck_assert_int_eq(asyncore_create_socket(&p[0]->dispatcher, AF_INET, SOCK_STREAM), 0);
	assert_order(map, "2 3 1 ");
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

/* --- walking ------------------------------------------------------------------------ */

START_TEST(walk_goes_in_the_order_of_adding)
{
	struct asyncore_map *map = new_map();
	int fd[4][2], i;

	for (i = 0; i < 4; i++)
		unix_pair(fd[i]);
	for (i = 3; i >= 0; i--)	/* the highest descriptor is number 1 */
		probe_new(fd[i][0], map);
	assert_order(map, "1 2 3 4 ");
	asyncore_map_free(map);
	for (i = 0; i < 4; i++)
		close(fd[i][1]);
}
END_TEST

START_TEST(walk_over_nothing_visits_nothing)
{
	assert_order(NULL, "");
}
END_TEST

START_TEST(walk_without_a_visitor_is_refused)
{
	ck_assert_int_eq(asyncore_map_foreach(NULL, NULL, NULL), -EINVAL);
}
END_TEST

static int stop_at_two(struct asyncore_dispatcher *d, void *arg)
{
	note(d, NULL);
	return id_of(d) == 2 ? *(int *)arg : 0;
}

START_TEST(walk_stops_at_a_result_and_returns_it)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3], result = 7;

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_map_foreach(map, stop_at_two, &result), 7);
	result = -EIO;
	ck_assert_int_eq(asyncore_map_foreach(map, stop_at_two, &result), -EIO);
	ck_assert_str_eq(trace, "1 2 1 2 ");
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

static int close_it(struct asyncore_dispatcher *d, void *arg)
{
	note(d, arg);
	return asyncore_close(d);
}

START_TEST(walk_may_close_the_channel_it_visits)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_map_foreach(map, close_it, NULL), 0);
	ck_assert_str_eq(trace, "1 2 3 ");
	ck_assert_uint_eq(asyncore_map_size(map), 0);
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

/* The first one visited closes all that are given. */
static int close_given(struct asyncore_dispatcher *d, void *arg)
{
	struct probe **other = arg;

	note(d, NULL);
	for (; *other != NULL; other++)
		asyncore_close(&(*other)->dispatcher);
	return 0;
}

/* FIELD B12 */
START_TEST(walk_does_not_visit_what_was_closed_meanwhile)
{
	struct asyncore_map *map = new_map();
	struct probe *p[4], *other[3];
	int peer[4];

	probes_and_peers(map, p, peer, 4);
	other[0] = p[1];
	other[1] = p[2];
	other[2] = NULL;
	ck_assert_int_eq(asyncore_map_foreach(map, close_given, other), 0);
	ck_assert_str_eq(trace, "1 4 ");
	asyncore_map_free(map);
	close_peers(peer, 4);
}
END_TEST

static int add_one(struct asyncore_dispatcher *d, void *arg)
{
	int *peer = arg;

	note(d, NULL);
	probe_and_peer(asyncore_map(d), &peer[id_of(d) - 1]);
	return 0;
}

/* FIELD B12 */
START_TEST(walk_does_not_visit_what_was_added_meanwhile)
{
	struct asyncore_map *map = new_map();
	struct probe *p[2];
	int peer[2], more[2];

	probes_and_peers(map, p, peer, 2);
	ck_assert_int_eq(asyncore_map_foreach(map, add_one, more), 0);
	ck_assert_str_eq(trace, "1 2 ");
	assert_order(map, "1 2 3 4 ");
	asyncore_map_free(map);
	close_peers(peer, 2);
	close_peers(more, 2);
}
END_TEST

/* Close the next channel and open another one, which gets the same descriptor. */
static int replace_next(struct asyncore_dispatcher *d, void *arg)
{
	struct probe *next = *(struct probe **)arg;
	int fd = asyncore_fileno(&next->dispatcher);

	note(d, NULL);
	if (fd < 0 || next->id == id_of(d))
		return 0;
	asyncore_close(&next->dispatcher);
	next = probe_new(-1, asyncore_map(d));
	ck_assert_int_eq(asyncore_create_socket(&next->dispatcher, AF_INET, SOCK_STREAM), 0);
	ck_assert_int_eq(asyncore_fileno(&next->dispatcher), fd);
	return 0;
}

START_TEST(walk_does_not_visit_a_new_channel_on_an_old_descriptor)
{
	struct asyncore_map *map = new_map();
	struct probe *p[2];
	int peer[2];

	probes_and_peers(map, p, peer, 2);
	ck_assert_int_eq(asyncore_map_foreach(map, replace_next, &p[1]), 0);
	ck_assert_str_eq(trace, "1 ");
	assert_order(map, "1 3 ");
	asyncore_map_free(map);
	close_peers(peer, 2);
}
END_TEST

static int walk_inside(struct asyncore_dispatcher *d, void *arg)
{
	trace_call("(");
	ck_assert_int_eq(asyncore_map_foreach(asyncore_map(d), close_it, arg), 0);
	trace_call(") ");
	return 0;
}

START_TEST(walk_inside_a_walk_is_safe)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_map_foreach(map, walk_inside, NULL), 0);
	ck_assert_str_eq(trace, "(1 2 3 ) ");
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

static int close_and_poll(struct asyncore_dispatcher *d, void *arg)
{
	struct asyncore_map *map = arg;

	note(d, NULL);
	asyncore_close(d);
	return asyncore_poll(0.0, map);
}

START_TEST(walk_may_run_a_pass_that_disposes_of_channels)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_map_foreach(map, close_and_poll, map), 0);
	ck_assert_str_eq(trace, "1 2 3 ");
	ck_assert_int_ge(probes_disposed, 2);
	asyncore_map_free(map);
	close_peers(peer, 3);
}
END_TEST

static int free_map(struct asyncore_dispatcher *d, void *arg)
{
	note(d, NULL);
	ck_assert_int_eq(asyncore_map_free(arg), 0);
	return 0;
}

START_TEST(walk_ends_when_it_frees_the_map)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3];

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_map_foreach(map, free_map, map), 0);
	ck_assert_str_eq(trace, "1 ");
	ck_assert_int_eq(probes_disposed, 3);
	close_peers(peer, 3);
}
END_TEST

/* --- from map to map ---------------------------------------------------------------- */

START_TEST(channel_out_of_a_map_may_enter_another)
{
	struct asyncore_map *a = new_map(), *b = new_map();
	int peer;
	struct probe *p = probe_and_peer(a, &peer);

	put(peer, "x", 1);
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, b), 0);
	ck_assert_ptr_eq(asyncore_map(&p->dispatcher), b);
	step(a);
	ck_assert_int_eq(p->reads, 0);
	step(b);
	ck_assert_int_eq(p->reads, 1);
	ck_assert_int_eq(asyncore_map_free(a), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_map_free(b), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(closed_channel_may_open_in_another_map)
{
	struct asyncore_map *a = new_map(), *b = new_map();
	int peer, fd[2];
	struct probe *p = probe_and_peer(a, &peer);

	unix_pair(fd);
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], b), 0);
	step(a);
	ck_assert_int_eq(asyncore_map_free(a), 0);
	put(fd[1], "x", 1);
	step(b);
	ck_assert_int_eq(p->reads, 1);
	asyncore_map_free(b);
	close(peer);
	close(fd[1]);
}
END_TEST

/* Move to the map `arg`, then run it, which reads. */
static int move_and_run(struct probe *p)
{
	struct asyncore_map *map = p->arg;

	p->on_read = NULL;
	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, map), 0);
	return asyncore_poll(0.0, map);
}

START_TEST(channel_may_move_in_its_own_handler_and_run_there)
{
	struct asyncore_map *a = new_map(), *b = new_map();
	struct probe *p[2];
	int peer[2];

	probes_and_peers(a, p, peer, 2);
	p[0]->on_read = move_and_run;
	p[0]->wants_write = 1;		/* its mark is not delivered here any more */
	p[0]->arg = b;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	step(a);
	ck_assert_str_eq(trace, "read 1 read 1 write 1 read 2 ");
	ck_assert_uint_eq(asyncore_map_size(a), 1);
	ck_assert_uint_eq(asyncore_map_size(b), 1);
	asyncore_map_free(a);
	asyncore_map_free(b);
	close_peers(peer, 2);
}
END_TEST

/* Move to another map and close there, so that only the running handler holds it. */
static int move_and_close(struct probe *p)
{
	struct asyncore_map *map = p->arg;

	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, map), 0);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_poll(0.0, map), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 0);
	return 0;
}

START_TEST(channel_may_move_in_its_own_handler_to_a_map_that_ends_there)
{
	struct asyncore_map *a = new_map();
	int peer;
	struct probe *p = probe_and_peer(a, &peer);

	p->on_read = move_and_close;
	p->arg = new_map();
	put(peer, "x", 1);
	step(a);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_map_size(a), 0);
	asyncore_map_free(a);
	close(peer);
}
END_TEST

static int move_and_free(struct probe *p)
{
	struct asyncore_map *map = p->arg;

	ck_assert_int_eq(asyncore_del_channel(&p->dispatcher, NULL), 0);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, map), 0);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	return 0;
}

START_TEST(channel_may_move_in_its_predicate_to_a_map_that_ends_there)
{
	struct asyncore_map *a = new_map();
	int peer;
	struct probe *p = probe_and_peer(a, &peer);

	p->on_readable = move_and_free;
	p->arg = new_map();
	step(a);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_map_size(a), 0);
	asyncore_map_free(a);
	close(peer);
}
END_TEST

START_TEST(channel_may_move_in_writable_to_a_map_that_ends_there)
{
	struct asyncore_map *a = new_map();
	int peer;
	struct probe *p = probe_and_peer(a, &peer);

	p->on_writable = move_and_free;
	p->arg = new_map();
	step(a);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_uint_eq(asyncore_map_size(a), 0);
	asyncore_map_free(a);
	close(peer);
}
END_TEST

/* Move another channel, that fired in this pass, too. */
static int move_other(struct probe *p)
{
	struct probe *other = p->arg;

	ck_assert_int_eq(asyncore_recv(&p->dispatcher, p->data, 1), 1);
	ck_assert_int_eq(asyncore_del_channel(&other->dispatcher, NULL), 0);
	return asyncore_add_channel(&other->dispatcher, other->arg);
}

START_TEST(channel_moved_by_another_gets_its_events_from_the_new_map)
{
	struct asyncore_map *a = new_map(), *b = new_map();
	struct probe *p[2];
	int peer[2];

	probes_and_peers(a, p, peer, 2);
	p[0]->on_read = move_other;
	p[0]->arg = p[1];
	p[1]->arg = b;
	put(peer[0], "x", 1);
	put(peer[1], "x", 1);
	step(a);
	ck_assert_str_eq(trace, "read 1 ");
	step(b);
	ck_assert_str_eq(trace, "read 1 read 2 ");
	asyncore_map_free(a);
	asyncore_map_free(b);
	close_peers(peer, 2);
}
END_TEST

/* --- the end of a map --------------------------------------------------------------- */

START_TEST(free_closes_and_disposes_of_the_channels)
{
	struct asyncore_map *map = new_map();
	struct probe *p[3];
	int peer[3], i;
	char c;

	probes_and_peers(map, p, peer, 3);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 3);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(read(peer[i], &c, 1), 0);
	close_peers(peer, 3);
}
END_TEST

START_TEST(free_disposes_of_what_was_closed_or_removed_before)
{
	struct asyncore_map *map = new_map();
	struct probe *p[2];
	int peer[2];

	probes_and_peers(map, p, peer, 2);
	asyncore_close(&p[0]->dispatcher);
	asyncore_del_channel(&p[1]->dispatcher, NULL);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 2);
	close_peers(peer, 2);
}
END_TEST

START_TEST(held_channel_outlives_its_map)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	asyncore_ref(&p->dispatcher);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_ptr_null(asyncore_map(&p->dispatcher));
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 0);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(asyncore_touch(&p->dispatcher), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_int_eq(asyncore_unref(&p->dispatcher), 0);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(held_channel_cannot_open_again_in_a_map_that_was_freed)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	asyncore_ref(&p->dispatcher);
	asyncore_map_free(map);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), -EBADF);
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM),
			 -ESHUTDOWN);
	ck_assert_int_eq(asyncore_socket(&p->dispatcher), -1);
	asyncore_unref(&p->dispatcher);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

START_TEST(held_channel_of_a_freed_map_can_enter_no_other)
{
	struct asyncore_map *map = new_map();
	int peer, fd[2];
	struct probe *p = probe_and_peer(map, &peer);

	unix_pair(fd);
	asyncore_ref(&p->dispatcher);
	asyncore_map_free(map);
	ck_assert_int_eq(asyncore_set_socket(&p->dispatcher, fd[0], asyncore_socket_map()),
			 -ESHUTDOWN);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	asyncore_unref(&p->dispatcher);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
	close_peers(fd, 2);
}
END_TEST

START_TEST(channel_that_never_was_in_its_map_outlives_it_until_it_is_closed)
{
	struct asyncore_map *map = new_map();
	struct probe *p = probe_new(-1, map);

	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 0);
	ck_assert_ptr_null(asyncore_map(&p->dispatcher));
	ck_assert_int_eq(asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM),
			 -ESHUTDOWN);
	ck_assert_int_eq(asyncore_close(&p->dispatcher), 0);
	ck_assert_int_eq(probes_disposed, 1);
}
END_TEST

START_TEST(held_removed_channel_outlives_its_map_and_its_descriptor_ends_with_it)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	asyncore_ref(&p->dispatcher);
	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(asyncore_add_channel(&p->dispatcher, NULL), -ESHUTDOWN);
	ck_assert_int_eq(asyncore_send(&p->dispatcher, "x", 1), 1);
	asyncore_unref(&p->dispatcher);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static int free_own_map(struct probe *p)
{
	p->last_error = asyncore_map_free(asyncore_map(&p->dispatcher));
	return 1;
}

START_TEST(free_inside_a_handler_is_refused)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	p->on_read = free_own_map;
	put(peer, "x", 1);
	step(map);
	ck_assert_int_eq(p->last_error, -EBUSY);
	ck_assert_uint_eq(asyncore_map_size(map), 1);
	ck_assert_int_eq(asyncore_read(&p->dispatcher), 0);
	ck_assert_int_eq(p->reads, 2);
	ck_assert_int_eq(p->last_error, -EBUSY);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

START_TEST(free_inside_a_predicate_is_refused)
{
	struct asyncore_map *map = new_map();
	int peer;
	struct probe *p = probe_and_peer(map, &peer);

	p->on_readable = free_own_map;
	step(map);
	ck_assert_int_eq(p->last_error, -EBUSY);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

static void free_map_in_dispose(struct probe *p)
{
	int *result = p->arg;

	*result = asyncore_map_free(asyncore_map(&p->dispatcher));
}

START_TEST(free_inside_dispose_is_refused)
{
	struct asyncore_map *map = new_map();
	int peer, result = 1;
	struct probe *p = probe_and_peer(map, &peer);

	p->on_dispose = free_map_in_dispose;
	p->arg = &result;
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_close_all(map, true), 0);
	ck_assert_int_eq(result, -EBUSY);
	asyncore_map_free(map);
	close(peer);
}
END_TEST

static int free_other_map(struct probe *p)
{
	ck_assert_int_eq(asyncore_map_free(p->arg), 0);
	return asyncore_close(&p->dispatcher);
}

START_TEST(another_map_may_be_freed_inside_a_handler)
{
	struct asyncore_map *a = new_map(), *b = new_map();
	int peer[2];
	struct probe *p = probe_and_peer(a, &peer[0]);

	probe_and_peer(b, &peer[1]);
	p->on_read = free_other_map;
	p->arg = b;
	put(peer[0], "x", 1);
	ck_assert_int_eq(asyncore_loop(1.0, false, a, -1), 0);
	ck_assert_str_eq(trace, "read 1 ");
	ck_assert_int_eq(probes_disposed, 2);
	asyncore_map_free(a);
	close_peers(peer, 2);
}
END_TEST

/* Classes whose close() does what it should not. */
static int close_nothing(struct asyncore_dispatcher *d)
{
	trace_call("close %d ", id_of(d));
	return 0;
}

static int close_raising(struct asyncore_dispatcher *d)
{
	close_nothing(d);
	return -EIO;
}

static int close_exiting(struct asyncore_dispatcher *d)
{
	ck_assert_uint_lt(strlen(trace), sizeof trace / 2);	/* not for ever */
	close_nothing(d);
	return ASYNCORE_EXIT_NOW;
}

static const struct asyncore_dispatcher_type no_close_type = {
	.base = &probe_type,
	.close = close_nothing,
};
static const struct asyncore_dispatcher_type raising_close_type = {
	.base = &probe_type,
	.close = close_raising,
};
static const struct asyncore_dispatcher_type exiting_close_type = {
	.base = &probe_type,
	.close = close_exiting,
};

static void free_with(const struct asyncore_dispatcher_type *type)
{
	struct asyncore_map *map = new_map();
	int fd[2][2];

	unix_pair(fd[0]);
	unix_pair(fd[1]);
	probe_new_typed(type, fd[0][0], map);
	probe_new_typed(type, fd[1][0], map);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 2);
	close(fd[0][1]);
	close(fd[1][1]);
}

START_TEST(free_does_not_depend_on_close_calling_up)
{
	free_with(&no_close_type);
	ck_assert_str_eq(trace, "close 1 close 2 ");
}
END_TEST

START_TEST(free_goes_on_when_close_raises)
{
	free_with(&raising_close_type);
	ck_assert_str_eq(trace, "close 1 close 2 ");
}
END_TEST

START_TEST(free_ends_when_close_says_exit_now)
{
	free_with(&exiting_close_type);
}
END_TEST

/* A class whose close() frees the map. */
static int close_and_free(struct asyncore_dispatcher *d)
{
	int r = asyncore_dispatcher_close(d);

	trace_call("%d ", asyncore_map_free(asyncore_map(d)));
	return r;
}

static const struct asyncore_dispatcher_type freeing_close_type = {
	.base = &probe_type,
	.close = close_and_free,
};

START_TEST(free_inside_the_close_of_a_free_is_refused)
{
	struct asyncore_map *map = new_map();
	int fd[2];

	unix_pair(fd);
	probe_new_typed(&freeing_close_type, fd[0], map);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(atoi(trace), -EBUSY);
	ck_assert_int_eq(probes_disposed, 1);
	close(fd[1]);
}
END_TEST

/* Whether it is refused or done is open, but nothing may be used after its end. */
START_TEST(free_inside_the_close_of_close_all_is_safe)
{
	struct asyncore_map *map = new_map();
	int fd[2][2];

	unix_pair(fd[0]);
	unix_pair(fd[1]);
	probe_new_typed(&freeing_close_type, fd[0][0], map);
	probe_new(fd[1][0], map);
	ck_assert_int_eq(asyncore_close_all(map, true), 0);
	if (atoi(trace) == -EBUSY)
		ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 2);
	close(fd[0][1]);
	close(fd[1][1]);
}
END_TEST

static void add_in_dispose(struct probe *p)
{
	probe_and_peer(asyncore_map(&p->dispatcher), p->arg);
}

START_TEST(free_takes_what_dispose_adds_too)
{
	struct asyncore_map *map = new_map();
	int peer[2];
	struct probe *p = probe_and_peer(map, &peer[0]);

	p->on_dispose = add_in_dispose;
	p->arg = &peer[1];
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, 2);
	close_peers(peer, 2);
}
END_TEST

static void reopen_in_dispose(struct probe *p)
{
	trace_call("%d ", asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM));
}

START_TEST(dispose_cannot_bring_a_channel_back)
{
	int peer;
	struct probe *p = probe_and_peer(NULL, &peer);

	p->on_dispose = reopen_in_dispose;
	asyncore_close(&p->dispatcher);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	ck_assert_int_eq(atoi(trace), -ESHUTDOWN);
	ck_assert_int_eq(probes_disposed, 1);
	close(peer);
}
END_TEST

static void close_other_in_dispose(struct probe *p)
{
	struct probe *other = p->arg;

	asyncore_close(&other->dispatcher);
}

START_TEST(dispose_may_close_other_channels)
{
	struct probe *p[2];
	int peer[2];

	probes_and_peers(NULL, p, peer, 2);
	p[0]->on_dispose = close_other_in_dispose;
	p[0]->arg = p[1];
	asyncore_close(&p[0]->dispatcher);
	step(NULL);
	step(NULL);
	ck_assert_int_eq(probes_disposed, 2);
	close_peers(peer, 2);
}
END_TEST

/* --- nobody, nothing and many ------------------------------------------------------- */

START_TEST(null_channel_is_refused)
{
	ck_assert_int_eq(asyncore_add_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_del_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_add_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_del_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_fileno(NULL), -1);
	ck_assert_ptr_null(asyncore_map(NULL));
}
END_TEST

START_TEST(disposed_channel_is_refused)
{
	struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL), 0);
	asyncore_close(&d);
	asyncore_close_all(NULL, true);
	ck_assert_ptr_null(d.channel);
	ck_assert_int_eq(asyncore_add_channel(&d, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_del_channel(&d, NULL), -EINVAL);
	ck_assert_ptr_null(asyncore_map(&d));
	close(fd[1]);
}
END_TEST

/* As many pairs as descriptors allow, 2000 at most. */
static int many(void)
{
	struct rlimit limit;
	rlim_t n;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	n = limit.rlim_cur / 2 - 100;
	return n < 2000 ? (int)n : 2000;
}

START_TEST(thousands_of_channels_are_all_served_in_order)
{
	struct asyncore_map *map = new_map();
	int n = many(), i, before = 0;
	struct probe **p = calloc((size_t)n, sizeof *p);
	int *peer = calloc((size_t)n, sizeof *peer);

	probes_and_peers(map, p, peer, n);
	ck_assert_uint_eq(asyncore_map_size(map), (size_t)n);
	for (i = 0; i < n; i++)
		put(peer[i], "x", 1);
	/* epoll hands them out in batches. */
	for (i = 0; i < n; i++)
		run_until(p[i]->reads == 1, map);
	for (i = 0; i < n; i++)
		before += p[i]->reads;
	ck_assert_int_eq(before, n);
	for (i = 0; i < n; i += 2)
		asyncore_close(&p[i]->dispatcher);
	ck_assert_uint_eq(asyncore_map_size(map), (size_t)n - (size_t)(n + 1) / 2);
	step(map);
	ck_assert_int_eq(probes_disposed, (n + 1) / 2);
	ck_assert_int_eq(asyncore_map_free(map), 0);
	ck_assert_int_eq(probes_disposed, n);
	close_peers(peer, n);
	free(peer);
	free(p);
}
END_TEST

static int count_and_order(struct asyncore_dispatcher *d, void *arg)
{
	int *last = arg;

	ck_assert_int_eq(id_of(d), *last + 1);
	*last = id_of(d);
	return 0;
}

START_TEST(walk_over_thousands_goes_in_order)
{
	struct asyncore_map *map = new_map();
	int n = many(), i, last = 0;
	int (*fd)[2] = calloc((size_t)n, sizeof *fd);

	for (i = 0; i < n; i++)
		unix_pair(fd[i]);
	for (i = n - 1; i >= 0; i--)
		probe_new(fd[i][0], map);
	ck_assert_int_eq(asyncore_map_foreach(map, count_and_order, &last), 0);
	ck_assert_int_eq(last, n);
	asyncore_map_free(map);
	for (i = 0; i < n; i++)
		close(fd[i][1]);
	free(fd);
}
END_TEST

/* FIELD B27 */
START_TEST(high_descriptor_numbers_work)
{
	struct asyncore_map *map = new_map();
	int fd[2], high;
	struct probe *p;

	many();
	unix_pair(fd);
	high = fcntl(fd[0], F_DUPFD_CLOEXEC, 3000);
	if (high < 0)
		high = fcntl(fd[0], F_DUPFD_CLOEXEC, 900);
	close(fd[0]);
	p = probe_new(high, map);
	ck_assert_int_eq(asyncore_fileno(&p->dispatcher), high);
	ck_assert_ptr_eq(asyncore_map_get(map, high), &p->dispatcher);
	put(fd[1], "x", 1);
	step(map);
	ck_assert_int_eq(p->reads, 1);
	asyncore_map_free(map);
	close(fd[1]);
}
END_TEST

/* --- the suite ---------------------------------------------------------------------- */

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "maps");

	tcase_add_test(tc, default_map_is_one);
	tcase_add_test(tc, null_means_the_default_map);
	tcase_add_test(tc, default_map_is_made_anew_after_its_end);
	tcase_add_test(tc, freeing_a_default_map_that_was_never_made_does_nothing);
	tcase_add_loop_test(tc, process_that_ends_with_an_empty_default_map_closes_its_descriptors,
			    0, 2);
	tcase_add_test(tc, default_map_can_be_freed_by_its_pointer);
	tcase_add_test(tc, private_map_is_served_alone);
	tcase_add_test(tc, maps_have_bases_of_their_own);
	tcase_add_test(tc, map_on_a_base_has_that_base);

	tc = suite_case(suite, "members");
	tcase_add_test(tc, size_counts_the_channels);
	tcase_add_test(tc, channel_without_descriptor_is_in_no_map);
	tcase_add_test(tc, get_finds_a_channel_by_its_descriptor);
	tcase_add_test(tc, get_knows_no_other_descriptor);
	tcase_add_test(tc, adding_a_channel_again_changes_nothing);
	tcase_add_test(tc, channel_in_a_map_refuses_another_one);
	tcase_add_test(tc, map_refuses_a_descriptor_that_it_holds);
	tcase_add_test(tc, two_maps_may_hold_one_descriptor);
	tcase_add_test(tc, removing_a_channel_from_a_map_it_is_not_in_is_no_error);
	tcase_add_test(tc, removed_channel_keeps_its_descriptor);
	tcase_add_test(tc, removed_channel_that_nobody_holds_is_disposed_of_and_closed);
	tcase_add_test(tc, channel_that_is_back_in_a_map_is_not_disposed_of);
	tcase_add_loop_test(tc, channel_out_of_the_middle_of_those_to_be_disposed_of_may_go_to_another_map,
			    0, 3);
	tcase_add_test(tc, channel_added_again_stands_at_the_end);
	tcase_add_test(tc, reopened_channel_stands_at_the_end);

	tc = suite_case(suite, "walking");
	tcase_add_test(tc, walk_goes_in_the_order_of_adding);
	tcase_add_test(tc, walk_over_nothing_visits_nothing);
	tcase_add_test(tc, walk_without_a_visitor_is_refused);
	tcase_add_test(tc, walk_stops_at_a_result_and_returns_it);
	tcase_add_test(tc, walk_may_close_the_channel_it_visits);
	tcase_add_test(tc, walk_does_not_visit_what_was_closed_meanwhile);
	tcase_add_test(tc, walk_does_not_visit_what_was_added_meanwhile);
	tcase_add_test(tc, walk_does_not_visit_a_new_channel_on_an_old_descriptor);
	tcase_add_test(tc, walk_inside_a_walk_is_safe);
	tcase_add_test(tc, walk_may_run_a_pass_that_disposes_of_channels);
	tcase_add_test(tc, walk_ends_when_it_frees_the_map);

	tc = suite_case(suite, "moving");
	tcase_add_test(tc, channel_out_of_a_map_may_enter_another);
	tcase_add_test(tc, closed_channel_may_open_in_another_map);
	tcase_add_test(tc, channel_may_move_in_its_own_handler_and_run_there);
	tcase_add_test(tc, channel_may_move_in_its_own_handler_to_a_map_that_ends_there);
	tcase_add_test(tc, channel_may_move_in_its_predicate_to_a_map_that_ends_there);
	tcase_add_test(tc, channel_may_move_in_writable_to_a_map_that_ends_there);
	tcase_add_test(tc, channel_moved_by_another_gets_its_events_from_the_new_map);

	tc = suite_case(suite, "the end of a map");
	tcase_add_test(tc, free_closes_and_disposes_of_the_channels);
	tcase_add_test(tc, free_disposes_of_what_was_closed_or_removed_before);
	tcase_add_test(tc, held_channel_outlives_its_map);
	tcase_add_test(tc, held_channel_cannot_open_again_in_a_map_that_was_freed);
	tcase_add_test(tc, held_channel_of_a_freed_map_can_enter_no_other);
	tcase_add_test(tc, channel_that_never_was_in_its_map_outlives_it_until_it_is_closed);
	tcase_add_test(tc, held_removed_channel_outlives_its_map_and_its_descriptor_ends_with_it);
	tcase_add_test(tc, free_inside_a_handler_is_refused);
	tcase_add_test(tc, free_inside_a_predicate_is_refused);
	tcase_add_test(tc, free_inside_dispose_is_refused);
	tcase_add_test(tc, another_map_may_be_freed_inside_a_handler);
	tcase_add_test(tc, free_does_not_depend_on_close_calling_up);
	tcase_add_test(tc, free_goes_on_when_close_raises);
	tcase_add_test(tc, free_ends_when_close_says_exit_now);
	tcase_add_test(tc, free_inside_the_close_of_a_free_is_refused);
	tcase_add_test(tc, free_inside_the_close_of_close_all_is_safe);
	tcase_add_test(tc, free_takes_what_dispose_adds_too);
	tcase_add_test(tc, dispose_cannot_bring_a_channel_back);
	tcase_add_test(tc, dispose_may_close_other_channels);

	tc = suite_case(suite, "none and many");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, null_channel_is_refused);
	tcase_add_test(tc, disposed_channel_is_refused);
	tcase_add_test(tc, thousands_of_channels_are_all_served_in_order);
	tcase_add_test(tc, walk_over_thousands_goes_in_order);
	tcase_add_test(tc, high_descriptor_numbers_work);
}

SUITE_MAIN("map", add_cases)
