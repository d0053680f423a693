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

#include "bystander.h"
#include "points.h"
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

static int bystander_failed(struct asyncore_dispatcher *self)
{
	if (!world->all_concerned)
		((struct bystander *)self)->broken = true;
	return 0;
}

static int bystander_log(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	(void)self, (void)message;
	world->logged += strcmp(type, "error") == 0;
	return 0;
}

static const struct asyncore_dispatcher_type bystander_here_type = {
	.base = &bystander_type,
	.name = "bystander",
	.flags = ASYNCORE_PREDICATES_STABLE,
	.handle_close = bystander_failed,
	.handle_error = bystander_failed,
	.log_info = bystander_log,
};

static void turn_world(void *arg)
{
	struct world *w = arg;

	w->reported = w->closed = w->gone = 0;
	begin_turns(w);
	turn(w);
}

static void serve_bystander(struct world *w, struct bystander *b, const char *complaint)
{
	if (!bystander_answers(b, turn_world, w))
		points_fail(complaint);
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
		points_fail("harness: no map");
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

static struct world the_world;

/* With the failure of a point, or none (NULL). */
static void run(const struct scenario *s, const struct point *p)
{
	struct world *w = &the_world;
	struct bystander b;
	const bool strict = p == NULL || is_transparent(p);
	const int descriptors = open_descriptors();
	char text[80];
	bool done;
	int r;

	open_world(w, s);
	if (!bystander_open(&b, &bystander_here_type, w->map))
		points_fail("harness: no bystander");
	serve_bystander(w, &b, "harness: the bystander is not served before");
	w->reported = w->closed = w->logged = w->gone = 0;

	alarm(30);
	if (p != NULL)
		fault_arm(p->kind, p->n, p->error, p->repeat);
	else
		fault_arm(FAULT_KINDS, 0, 0, 0);
	done = s->run(w);
	fault_pause();
	if (p != NULL)
		verdict->done = done;
	if (w->spun)
		points_fail("it spins");
	/* What lasts may be tried again for as long as it lasts. */
	if (!done && w->reported + w->closed + w->logged == 0 &&
	    !(p != NULL && p->repeat == 0 && fault_hits > w->hits))
		points_fail("not done, and nothing reported");
	if (!done && strict)
		points_fail("not done");

	if (w->reinit && asyncore_map_reinit(w->map) < 0)
		points_fail("reinit fails again");
	/* Who was told that the map itself could not be served has to say something. */
	if (!done && w->all_concerned)
		asyncore_map_set_timeout(w->map, ASYNCORE_TIMEOUT);
	serve_bystander(w, &b, "the bystander is not served any more");

	fault_resume();
	r = asyncore_close_all(w->map, true);
	fault_pause();
	if (r < 0)
		points_fail("close_all() fails");
	if (asyncore_map_size(w->map) != 0)
		points_fail("close_all() leaves channels");
	fault_resume();
	r = asyncore_map_free(w->map);
	fault_pause();
	if (r < 0)
		points_fail("map_free() fails");
	close(b.peer);
	close_world(w);
	if (fault_hits > verdict->hits)
		verdict->hits = fault_hits;
	alarm(0);
	if (open_descriptors() != descriptors) {
		snprintf(text, sizeof text, "descriptors: %d, were %d", open_descriptors(),
			 descriptors);
		points_fail(text);
	}
}

static void count(int subject)
{
	const struct scenario *s = &scenarios[subject];
	long blocks;

	run(s, NULL);
	memcpy(verdict->calls, fault_calls, sizeof fault_calls);
	blocks = fault_blocks;
	run(s, NULL);
	if (fault_blocks != blocks)
		points_fail("leaves memory without any failure");
	verdict->blocks = blocks;
}

static void try_point(const struct point *p)
{
	const struct scenario *s = &scenarios[p->subject];
	char text[80];

	run(s, p);
	run(s, NULL);
	if (fault_blocks != p->counted->blocks) {
		snprintf(text, sizeof text, "blocks: %ld, should be %ld", fault_blocks,
			 p->counted->blocks);
		points_fail(text);
	}
}

static const char *name(int subject)
{
	return scenarios[subject].name;
}

int main(int argc, char **argv)
{
	const struct points all = {
		.subjects = nscenarios,
		.name = name,
		.count = count,
		.attempt = try_point,
		.sample = 2000,
	};

	return points_main(&all, argc, argv);
}
