/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * hooks.h - the two things that async_chat asks of the core beside the public API: the
 * map's receive buffer, and to be told before gathered output would become visible.
 */

#ifndef HOOKS_H
#define HOOKS_H

#include "private_names.h"
#include "channel.h"
#include "map.h"

/* A buffer of at least `size` bytes, the map's own if nobody has it (a nested pass gets
 * another); *have is its true size.  NULL for lack of memory. */
unsigned char *map_borrow_buffer(struct asyncore_map *map, size_t size, size_t *have);
void map_return_buffer(struct asyncore_map *map, unsigned char *buffer, size_t have);

/* What the core calls on a channel with CHANNEL_GATHERED before it is closed, leaves its map,
 * hands its descriptor out, sends something else or runs a pass: send what was gathered.
 * 0 or what a handler raised. */
int chat_flush(struct asyncore_dispatcher *d);

#endif /* HOOKS_H */
