/* SPDX-License-Identifier: BSD-3-Clause */

/* log.c - log, log_info and repr. */

#include "channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int asyncore_dispatcher_log(struct asyncore_dispatcher *d, const char *message)
{
	if (channel_of(d) == NULL || message == NULL)
		return -EINVAL;
	fprintf(stderr, "log: %s\n", message);
	return 0;
}

static bool is_ignored(const struct asyncore_channel *c, const char *type)
{
	const char *const *ignored = c->methods->slot.ignore_log_types;

	for (; *ignored != NULL; ignored++)
		if (strcmp(*ignored, type) == 0)
			return true;
	return false;
}

int asyncore_dispatcher_log_info(struct asyncore_dispatcher *d, const char *message,
				 const char *type)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL || message == NULL)
		return -EINVAL;
	if (type == NULL)
		type = "info";
	if (!is_ignored(c, type))
		printf("%s: %s\n", type, message);
	return 0;
}

/* Formatted into `room` if it fits, otherwise into memory of its own, to be freed. */
static char *format_message(char *room, size_t size, const char *format, va_list args)
{
	va_list again;
	char *message = room;
	int len;

	va_copy(again, args);
	len = vsnprintf(room, size, format, args);
	if (len >= 0 && (size_t)len >= size) {
		message = malloc((size_t)len + 1);
		if (message != NULL)
			vsnprintf(message, (size_t)len + 1, format, again);
	}
	va_end(again);
	return len >= 0 ? message : NULL;
}

int asyncore_logf(struct asyncore_dispatcher *d, const char *format, ...)
{
	char room[1024], *message;
	va_list args;
	int r = -ENOMEM;

	if (channel_of(d) == NULL || format == NULL)
		return -EINVAL;
	va_start(args, format);
	message = format_message(room, sizeof room, format, args);
	va_end(args);
	if (message != NULL)
		r = asyncore_log(d, message);
	if (message != room)
		free(message);
	return r;
}

int asyncore_log_infof(struct asyncore_dispatcher *d, const char *type, const char *format,
		       ...)
{
	char room[1024], *message;
	va_list args;
	int r = -ENOMEM;

	if (channel_of(d) == NULL || format == NULL)
		return -EINVAL;
	va_start(args, format);
	message = format_message(room, sizeof room, format, args);
	va_end(args);
	if (message != NULL)
		r = asyncore_log_info(d, message, type);
	if (message != room)
		free(message);
	return r;
}

/* One byte as Python's repr of a byte string shows it. */
static int repr_byte(char *buffer, unsigned char byte, char quote)
{
	switch (byte) {
	case '\t':
		return sprintf(buffer, "\\t");
	case '\n':
		return sprintf(buffer, "\\n");
	case '\r':
		return sprintf(buffer, "\\r");
	default:
		if (byte == '\\' || byte == (unsigned char)quote)
			return sprintf(buffer, "\\%c", byte);
		return sprintf(buffer, byte >= ' ' && byte < 0x7f ? "%c" : "\\x%02x", byte);
	}
}

void repr_bytes(char *buffer, const char *bytes, size_t len)
{
	const char quote = memchr(bytes, '\'', len) != NULL && memchr(bytes, '"', len) == NULL
			   ? '"' : '\'';
	size_t i;

	*buffer++ = quote;
	for (i = 0; i < len; i++)
		buffer += repr_byte(buffer, (unsigned char)bytes[i], quote);
	*buffer++ = quote;
	*buffer = '\0';
}

int channel_log_sending(struct asyncore_channel *c, const void *data, size_t len)
{
	const char *bytes = data;
	char *message = malloc(4 * len + sizeof "sending b''");
	int r;

	if (message == NULL)
		return -ENOMEM;
	repr_bytes(message + sprintf(message, "sending b"), bytes, len);
	r = asyncore_log_info(c->dispatcher, message, "info");
	free(message);
	return r;
}

int asyncore_dispatcher_repr(struct asyncore_dispatcher *d, char *buffer, size_t size)
{
	struct asyncore_channel *c = channel_of(d);
	const char *status = "";
	char addr[512] = "";

	if (c == NULL || (buffer == NULL && size > 0))
		return -EINVAL;
	if (channel_has(c, CHANNEL_ACCEPTING) && c->addrlen > 0)
		status = " listening";
	else if (channel_has(c, CHANNEL_CONNECTED))
		status = " connected";
	channel_repr_addr(c, addr, sizeof addr);
	return snprintf(buffer, size, "<%s%s%s at %p>", c->methods->slot.name, status, addr,
			(void *)d);
}
