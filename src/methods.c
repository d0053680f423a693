/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * methods.c - resolve type tables (see methods.h).
 *
 * The resolved classes of a process form one list that only grows, so it needs no lock:
 * a reader walks what it finds, a writer pushes at the head.  Two threads that meet a
 * new class at once both push an entry for it, which is harmless.  The list is never
 * freed: a thread may still run its loop while another one ends the process.
 */

#include "methods.h"
#include "trace.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Longer than any real chain; a chain that reaches it is a ring. */
enum { LONGEST_CHAIN = 64 };

static _Atomic(struct methods *) classes;

bool methods_derived(const struct asyncore_dispatcher_type *type,
		     const struct asyncore_dispatcher_type *ancestor)
{
	int depth = 0;

	for (; type != NULL && depth < LONGEST_CHAIN; type = type->base, depth++)
		if (type == ancestor)
			return true;
	return false;
}

bool asyncore_issubclass(const struct asyncore_dispatcher_type *type,
			 const struct asyncore_dispatcher_type *base)
{
	return base != NULL && methods_derived(type, base);
}

const void *asyncore_type_with(const struct asyncore_dispatcher_type *type, size_t offset,
			       const struct asyncore_dispatcher_type *root)
{
	/* The tables above the root are smaller. */
	if (!asyncore_issubclass(type, root))
		return NULL;
	for (;; type = type->base) {
		const void *slot = (const char *)type + offset;

		if (*(void (*const *)(void))slot != NULL)
			return type;
		if (type == root)
			return NULL;
	}
}

/* A predicate speaks with the flags of the table that supplies it. */
static void note_predicate(struct methods *m, unsigned flags)
{
	if (flags & ASYNCORE_PREDICATES_TOUCHED)
		return;
	if (flags & ASYNCORE_PREDICATES_STABLE)
		m->ask_after = true;
	else
		m->ask_each_pass = true;
}

#define INHERIT(name) \
	do { \
		if (m->slot.name == 0) \
			m->slot.name = type->name; \
	} while (0)

/* Fill what the classes below left open. */
static void inherit(struct methods *m, const struct asyncore_dispatcher_type *type)
{
	if (m->slot.readable == NULL && type->readable != NULL)
		note_predicate(m, type->flags);
	if (m->slot.writable == NULL && type->writable != NULL)
		note_predicate(m, type->flags);

	m->slot.flags |= type->flags;
	INHERIT(name);
	INHERIT(readable);
	INHERIT(writable);
	INHERIT(handle_read);
	INHERIT(handle_write);
	INHERIT(handle_expt);
	INHERIT(handle_connect);
	INHERIT(handle_close);
	INHERIT(handle_eof);
	INHERIT(handle_timeout);
	INHERIT(handle_error);
	INHERIT(handle_accept);
	INHERIT(handle_accepted);
	INHERIT(handle_read_event);
	INHERIT(handle_write_event);
	INHERIT(handle_expt_event);
	INHERIT(handle_connect_event);
	INHERIT(send);
	INHERIT(recv);
	INHERIT(close);
	INHERIT(add_channel);
	INHERIT(del_channel);
	INHERIT(log);
	INHERIT(log_info);
	INHERIT(repr);
	INHERIT(initiate_send);
	INHERIT(dealloc);
	INHERIT(ignore_log_types);
	INHERIT(ac_in_buffer_size);
	INHERIT(ac_out_buffer_size);
}

static struct methods *resolve(const struct asyncore_dispatcher_type *type)
{
	struct methods *m = calloc(2, sizeof *m);
	const struct asyncore_dispatcher_type *level;

	if (m == NULL)
		return NULL;
	for (level = type; level != NULL; level = level->base)
		inherit(m, level);
	/* Not inherited: every level has its own dispose, found through `base`. */
	m->slot.base = type;
	m->slot.dispose = NULL;
	m->plain_read_event =
		m->slot.handle_read_event == asyncore_dispatcher_type.handle_read_event;
	m->plain_send = m->slot.send == asyncore_dispatcher_type.send;
	m->with_send = methods_derived(type, &asyncore_dispatcher_with_send_type);
	m->plain_initiate_send = m->slot.initiate_send ==
				 asyncore_dispatcher_with_send_type.initiate_send;
	m->wants_urgent =
		m->slot.handle_expt != asyncore_dispatcher_type.handle_expt ||
		m->slot.handle_expt_event != asyncore_dispatcher_type.handle_expt_event;
	m->plain = &m[0];
	m->traced = &m[1];
	m[1] = m[0];
	m[1].plain_read_event = false;
	trace_slots(&m[1].slot);
	return m;
}

const struct methods *methods_of(const struct asyncore_dispatcher_type *type,
				 const struct asyncore_dispatcher_type *required, int *error)
{
	struct methods *head = atomic_load_explicit(&classes, memory_order_acquire);
	struct methods *m;

	if (!methods_derived(type, &asyncore_dispatcher_type) ||
	    !methods_derived(type, required)) {
		*error = -EINVAL;
		return NULL;
	}
	for (m = head; m != NULL; m = m->next)
		if (m->slot.base == type)
			return m;

	m = resolve(type);
	if (m == NULL) {
		*error = -ENOMEM;
		return NULL;
	}
	m->next = head;
	while (!atomic_compare_exchange_weak_explicit(&classes, &m->next, m,
						      memory_order_release,
						      memory_order_relaxed))
		;
	return m;
}
