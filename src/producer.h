/* SPDX-License-Identifier: BSD-3-Clause */

/* producer.h - what the output knows of the file producer: the kernel can move its bytes. */

#ifndef PRODUCER_H
#define PRODUCER_H

#include "private_names.h"

#include <asynchat.h>

bool file_producer_is(const struct async_chat_producer *producer);

/* Send at most `size` bytes to the socket.  The count, 0 at the end, or a negative errno:
 * -EAGAIN, one that tells of a lost peer, or -EOPNOTSUPP where it cannot be done so. */
int file_producer_send(struct async_chat_producer *producer, int fd, size_t size);

#endif /* PRODUCER_H */
