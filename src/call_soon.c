/* SPDX-License-Identifier: BSD-3-Clause */

/* call_soon.c - posted calls (see call_soon.h). */

#include "call_soon.h"
#include "loop.h"
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#if ATOMIC_POINTER_LOCK_FREE != 2 || ATOMIC_BOOL_LOCK_FREE != 2
#error "signal handlers need atomics without locks"
#endif

/* A node of the stack: a posted call, or (pulls) a trigger. */
struct posted {
	struct posted *next;
	uint64_t seq;			/* in the order taken off the stack */
	asyncore_call_fn call;
	asyncore_release_fn release;
	void *arg;
	struct asyncore_trigger *trigger;	/* whose node it is; NULL for a posted call */
};

struct asyncore_trigger {
	struct posted node;
	struct asyncore_poster *poster;
	atomic_bool pulled;		/* the node is on the stack, or taken off to be run */
	unsigned running;		/* its calls, nested ones too */
	bool freed;			/* while it was pulled, or running */
};

struct asyncore_poster {
	_Atomic(struct posted *) stack;
	atomic_uint users;		/* references of programs, and triggers */
	atomic_uint refs;		/* the same, and one for the map */
	int fd;				/* of the eventfd; open as long as anybody may write */
};

/* On the stack of a poster whose map was freed. */
static struct posted closed;

/* --- any thread ------------------------------------------------------------------------ */

static void wake(struct asyncore_poster *p)
{
	const uint64_t one = 1;

	/* Cannot fail but when the counter is full, and then the map is awake. */
	if (write(p->fd, &one, sizeof one) < 0)
		return;
}

static int push(struct asyncore_poster *p, struct posted *node)
{
	struct posted *head = atomic_load_explicit(&p->stack, memory_order_relaxed);

	do {
		if (head == &closed)
			return -ESHUTDOWN;
		node->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&p->stack, &head, node,
							memory_order_release,
							memory_order_relaxed));
	if (head == NULL)
		wake(p);
	return 0;
}

/* The oldest first. */
static struct posted *reversed(struct posted *node)
{
	struct posted *first = NULL, *next;

	for (; node != NULL; node = next) {
		next = node->next;
		node->next = first;
		first = node;
	}
	return first;
}

static void unref(struct asyncore_poster *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
		return;
	close(p->fd);
	free(p);
}

struct asyncore_poster *asyncore_poster_ref(struct asyncore_poster *poster)
{
	if (poster != NULL) {
		atomic_fetch_add_explicit(&poster->users, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&poster->refs, 1, memory_order_relaxed);
	}
	return poster;
}

void asyncore_poster_unref(struct asyncore_poster *poster)
{
	if (poster == NULL)
		return;
	/* The map may have waited for nothing else. */
	if (atomic_fetch_sub_explicit(&poster->users, 1, memory_order_acq_rel) == 1)
		wake(poster);
	unref(poster);
}

int asyncore_call_soon(struct asyncore_poster *poster, asyncore_call_fn call,
		       void *arg, asyncore_release_fn release)
{
	struct posted *node = NULL;
	int r = -EINVAL;

	if (poster != NULL && call != NULL) {
		node = malloc(sizeof *node);
		r = -ENOMEM;
	}
	if (node != NULL) {
		*node = (struct posted){ .call = call, .release = release, .arg = arg };
		r = push(poster, node);
		if (r == 0)
			return 0;
		free(node);
	}
	if (release != NULL)
		release(arg);
	return r;
}

int asyncore_trigger_pull(struct asyncore_trigger *trigger)
{
	const int before = errno;
	int r = 0;

	if (trigger == NULL)
		return -EINVAL;
	if (!atomic_exchange(&trigger->pulled, true)) {
		r = push(trigger->poster, &trigger->node);
		if (r < 0)
			atomic_store(&trigger->pulled, false);
	}
	errno = before;
	return r;
}

/* --- the map's thread -------------------------------------------------------------------- */

static struct asyncore_poster *poster_new(void)
{
	struct asyncore_poster *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->fd < 0) {
		free(p);
		return NULL;
	}
	atomic_init(&p->stack, NULL);
	atomic_init(&p->users, 0);
	atomic_init(&p->refs, 1);
	return p;
}

struct asyncore_poster *asyncore_poster_new(struct asyncore_map *map)
{
	struct asyncore_poster *p;
	int r;

	map = map_or_default(map);
	if (map == NULL)
		return NULL;
	if (map->freeing) {
		errno = ESHUTDOWN;
		return NULL;
	}
	p = map->calls.poster;
	if (p == NULL && (p = poster_new()) == NULL)
		return NULL;
	r = poller_watch_calls(map, p->fd);
	if (r < 0) {
		if (map->calls.poster == NULL) {
			poller_unwatch_calls(map);
			unref(p);
		}
		errno = -r;
		return NULL;
	}
	map->calls.poster = p;
	return asyncore_poster_ref(p);
}

struct asyncore_trigger *asyncore_trigger_new(struct asyncore_map *map, asyncore_call_fn call,
					      void *arg, asyncore_release_fn release)
{
	struct asyncore_trigger *trigger = calloc(1, sizeof *trigger);

	errno = call == NULL ? EINVAL : ENOMEM;
	if (trigger != NULL && call != NULL)
		trigger->poster = asyncore_poster_new(map);
	if (trigger == NULL || trigger->poster == NULL) {
		const int error = errno;

		free(trigger);
		if (release != NULL)
			release(arg);
		errno = error;
		return NULL;
	}
	atomic_init(&trigger->pulled, false);
	trigger->node.call = call;
	trigger->node.release = release;
	trigger->node.arg = arg;
	trigger->node.trigger = trigger;
	return trigger;
}

static void release_trigger(struct asyncore_trigger *trigger)
{
	const struct posted node = trigger->node;

	/* Its node may be in use still: then calls_run() or calls_end() frees it. */
	trigger->freed = true;
	if (!atomic_load(&trigger->pulled))
		free(trigger);
	if (node.release != NULL)
		node.release(node.arg);
}

void asyncore_trigger_free(struct asyncore_trigger *trigger)
{
	if (trigger == NULL)
		return;
	asyncore_poster_unref(trigger->poster);
	if (trigger->running > 0)
		trigger->freed = true;
	else
		release_trigger(trigger);
}

/* Take what was posted off the stack. */
static void take_posted(struct calls *calls)
{
	struct posted *node = atomic_exchange_explicit(&calls->poster->stack, NULL,
						       memory_order_acquire);

	node = reversed(node);
	if (calls->first == NULL)
		calls->last = &calls->first;
	*calls->last = node;
	for (; node != NULL; node = node->next) {
		node->seq = calls->next_seq++;
		calls->last = &node->next;
	}
}

static struct posted *first_posted(struct calls *calls)
{
	struct posted *node = calls->first;

	calls->first = node->next;
	if (calls->first == NULL)
		calls->last = &calls->first;
	return node;
}

static int run_trigger(struct asyncore_map *map, struct asyncore_trigger *trigger)
{
	int r;

	/* From here on another pull is another call.  An exchange, because what was written
	 * before a pull that came to nothing has to be seen, too. */
	atomic_exchange(&trigger->pulled, false);
	if (trigger->freed) {
		if (trigger->running == 0)
			free(trigger);
		return 0;
	}
	trigger->running++;
	r = loop_call_map(map, trigger->node.call, trigger->node.arg, "trigger");
	if (--trigger->running == 0 && trigger->freed)
		release_trigger(trigger);
	return r;
}

static int run_posted(struct asyncore_map *map, struct posted *node)
{
	int r;

	if (node->trigger != NULL)
		return run_trigger(map, node->trigger);
	r = loop_call_map(map, node->call, node->arg, "call_soon");
	if (node->release != NULL)
		node->release(node->arg);
	free(node);
	return r;
}

int calls_run(struct asyncore_map *map)
{
	struct calls *calls = &map->calls;
	uint64_t end;
	int r = 0;

	take_posted(calls);
	end = calls->next_seq;
	/* A nested pass may run some of them. */
	while (r >= 0 && calls->first != NULL && calls->first->seq < end)
		r = run_posted(map, first_posted(calls));
	map->poller.woken = calls->first != NULL;
	return r;
}

bool calls_expected(const struct asyncore_map *map)
{
	const struct asyncore_poster *p = map->calls.poster;

	return p != NULL && (map->poller.woken ||
			     atomic_load_explicit(&p->users, memory_order_acquire) > 0 ||
			     atomic_load_explicit(&p->stack, memory_order_relaxed) != NULL);
}

static void drop(struct posted *node)
{
	struct asyncore_trigger *trigger = node->trigger;

	if (trigger != NULL) {
		atomic_store(&trigger->pulled, false);
		if (trigger->freed)
			free(trigger);
		return;
	}
	if (node->release != NULL)
		node->release(node->arg);
	free(node);
}

void calls_end(struct asyncore_map *map)
{
	struct calls *calls = &map->calls;
	struct asyncore_poster *p = calls->poster;
	struct posted *node, *next;

	if (p == NULL)
		return;
	poller_unwatch_calls(map);
	/* First of all: a release may post, too. */
	node = atomic_exchange_explicit(&p->stack, &closed, memory_order_acquire);
	while (calls->first != NULL)
		drop(first_posted(calls));
	for (node = reversed(node); node != NULL; node = next) {
		next = node->next;
		drop(node);
	}
	calls->poster = NULL;
	unref(p);
}

int calls_renew(struct asyncore_map *map)
{
	struct asyncore_poster *p = map->calls.poster;
	int fd, r = 0;

	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The same number: whoever is to wake the map has it already. */
	if (dup3(fd, p->fd, O_CLOEXEC) < 0)
		r = -errno;
	close(fd);
	if (atomic_load(&p->stack) != NULL)
		wake(p);
	return r;
}
