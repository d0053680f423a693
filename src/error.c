/* SPDX-License-Identifier: BSD-3-Clause */

/* error.c - raise, record and report errors (see error.h). */

#include "error.h"
#include "map.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
#define HAS_ERROR_NAMES		/* strerrorname_np() and its like, not in other libcs */
#endif

/* A number that somebody took for an errno, of either sign. */
static int magnitude(int code)
{
	return code == INT_MIN ? INT_MAX : abs(code);
}

bool asyncore_disconnected(int err)
{
	switch (magnitude(err)) {
	case ECONNRESET:
	case ENOTCONN:
	case ESHUTDOWN:
	case ECONNABORTED:
	case EPIPE:
	case EBADF:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

const char *error_text(int code, char *buffer, size_t size)
{
	const char *text;

	if (code == ASYNCORE_EXIT_NOW)
		return "leave the loop";
#ifdef HAS_ERROR_NAMES
	text = strerrordesc_np(magnitude(code));
#else
	text = strerror(magnitude(code));
#endif
	if (text != NULL)
		return text;
	snprintf(buffer, size, "Unknown error %d", magnitude(code));
	return buffer;
}

static const char *error_name(int code, char *buffer, size_t size)
{
#ifdef HAS_ERROR_NAMES
	const char *name = strerrorname_np(magnitude(code));

	if (name != NULL)
		return name;
#endif
	snprintf(buffer, size, "%d", code);
	return buffer;
}

/* --- raising -------------------------------------------------------------------- */

void error_void(struct error_record *record)
{
	record->error.code = 0;
}

/* A new error, without marks. */
static void begin(struct error_record *record, int code)
{
	record->error.code = code;
	record->error.text = error_text(code, record->text, sizeof record->text);
	record->error.handler = NULL;
	record->error.count = 0;
	record->error.marks = record->marks;
}

/* The record to add a mark to: the error that climbs already, or a new one. */
static struct error_record *raised(struct asyncore_channel *c, int code)
{
	struct error_record *record = &c->map->error;

	if (record->error.code != code || record->error.handler != NULL)
		begin(record, code);
	c->map->attention = true;
	return record;
}

static void add_mark(struct error_record *record, const char *file, const char *function,
		     int line)
{
	struct asyncore_mark mark = { file, function, line };

	if (record->error.count < ERROR_MARKS)
		record->marks[record->error.count++] = mark;
}

int asyncore_raise(struct asyncore_dispatcher *d, int code, const char *file,
		   const char *function, int line)
{
	struct asyncore_channel *c = channel_of(d);

	if (c != NULL && code < 0)
		add_mark(raised(c, code), file, function, line);
	return code;
}

int asyncore_raisef(struct asyncore_dispatcher *d, int code, const char *file,
		    const char *function, int line, const char *format, ...)
{
	struct asyncore_channel *c = channel_of(d);
	struct error_record *record;
	char text[ERROR_TEXT];
	va_list args;

	if (c == NULL || code >= 0)
		return code;
	/* An argument may be the text of the error that is replaced. */
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	record = raised(c, code);
	memcpy(record->text, text, sizeof text);
	record->error.text = record->text;
	add_mark(record, file, function, line);
	return code;
}

/* --- handling ------------------------------------------------------------------- */

int error_handle(struct asyncore_channel *c, int code, const char *handler)
{
	struct asyncore_map *map = c->map;
	struct error_record *record = &map->error;
	int r;

	if (record->error.code != code || record->error.handler != NULL)
		begin(record, code);
	record->error.handler = handler;
	r = channel_call(c, c->methods->slot.handle_error);
	error_void(record);
	return r == -EAGAIN || r > 0 ? 0 : r;
}

const struct asyncore_error *asyncore_error(const struct asyncore_dispatcher *d)
{
	const struct asyncore_channel *c = channel_of(d);

	return c != NULL && c->map->error.error.code != 0 ? &c->map->error.error : NULL;
}

int asyncore_compact_traceback(const struct asyncore_dispatcher *d, char *buffer, size_t size)
{
	const struct asyncore_error *error = asyncore_error(d);
	char name[16];
	size_t i, len;

	if (channel_of(d) == NULL || (buffer == NULL && size > 0))
		return -EINVAL;
	if (error == NULL)
		return -ENOENT;
	len = (size_t)snprintf(buffer, size, "%s:%s",
			       error_name(error->code, name, sizeof name), error->text);
	/* The outermost first, as a traceback is read. */
	for (i = error->count; i-- > 0; )
		len += (size_t)snprintf(len < size ? buffer + len : NULL,
					len < size ? size - len : 0, " [%s|%s|%d]",
					error->marks[i].file, error->marks[i].function,
					error->marks[i].line);
	return (int)len;
}

int asyncore_dispatcher_handle_error(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	char self[256], error[1024];
	int r;

	if (c == NULL)
		return -EINVAL;
	if (asyncore_compact_traceback(d, error, sizeof error) < 0)
		snprintf(error, sizeof error, "no error");
	/* A repr that somebody wrote may fail too, and raise an error of its own. */
	if (asyncore_repr(d, self, sizeof self) < 0)
		snprintf(self, sizeof self, "<repr failed for object at %p>", (void *)d);
	r = asyncore_log_infof(d, "error", "uncaptured exception, closing channel %s (%s)",
			       self, error);
	return r < 0 ? r : channel_handle_close(c);
}
