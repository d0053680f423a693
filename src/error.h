/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * error.h - errors that were raised.
 *
 * A map has room for one.  It is filled while the error climbs (ASYNCORE_RAISE adds
 * marks), is handed to handle_error() when the loop gets to see the negative result, and
 * is void when a handler swallowed it.
 */

#ifndef ERROR_H
#define ERROR_H

#include "private_names.h"

#include <asyncore.h>

enum { ERROR_MARKS = 8, ERROR_TEXT = 160 };

struct error_record {
	struct asyncore_error error;	/* code 0: none */
	struct asyncore_mark marks[ERROR_MARKS];
	char text[ERROR_TEXT];
};

/* What an errno (either sign) means. */
const char *error_text(int code, char *buffer, size_t size);

/* A handler of the channel raised `code`: call handle_error().  Returns 0, or what that
 * raised in its turn. */
int error_handle(struct asyncore_channel *c, int code, const char *handler);

/* Whatever was raised has been swallowed. */
void error_void(struct error_record *record);

#endif /* ERROR_H */
