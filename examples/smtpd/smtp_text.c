/* SPDX-License-Identifier: BSD-3-Clause */

#include "smtp_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

FILE *smtp_debug_stream;

/* --- owned strings ------------------------------------------------------------------ */

int smtp_string_set(struct smtp_string *string, const char *bytes, size_t len)
{
	char *copy = NULL;

	if (bytes != NULL) {
		copy = malloc(len + 1);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, bytes, len);
		copy[len] = '\0';
	}
	free(string->bytes);
	string->bytes = copy;
	string->len = bytes != NULL ? len : 0;
	return 0;
}

int smtp_string_append(struct smtp_string *string, const char *bytes, size_t len)
{
	char *longer = realloc(string->bytes, string->len + len + 1);

	if (longer == NULL)
		return -ENOMEM;
	memcpy(longer + string->len, bytes, len);
	string->bytes = longer;
	string->len += len;
	longer[string->len] = '\0';
	return 0;
}

int smtp_list_append(struct smtp_list *list, const char *bytes, size_t len)
{
	struct smtp_string *items;

	/* Powers of two: nothing but the count has to be kept. */
	if ((list->count & (list->count - 1)) == 0) {
		items = realloc(list->items, (list->count > 0 ? 2 * list->count : 1) *
					     sizeof *items);
		if (items == NULL)
			return -ENOMEM;
		list->items = items;
	}
	list->items[list->count] = (struct smtp_string){ NULL, 0 };
	if (smtp_string_set(&list->items[list->count], bytes, len) < 0)
		return -ENOMEM;
	list->count++;
	return 0;
}

void smtp_list_clear(struct smtp_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].bytes);
	free(list->items);
	*list = (struct smtp_list){ NULL, 0 };
}

int smtp_list_copy(struct smtp_list *to, const struct smtp_list *from)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < from->count; i++)
		err = smtp_list_append(to, from->items[i].bytes, from->items[i].len);
	return err;
}

/* --- characters ----------------------------------------------------------------------- */

/* The length of the character at `s`, and which it is; 0 if that is no UTF-8. */
static size_t character(const unsigned char *s, size_t len, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 :
		   s[0] < 0xf8 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	*c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	return *c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff) ? 0 : n;
}

bool smtp_is_utf8(const char *bytes, size_t len)
{
	uint32_t c;

	while (len > 0) {
		size_t n = character((const unsigned char *)bytes, len, &c);

		if (n == 0)
			return false;
		bytes += n;
		len -= n;
	}
	return true;
}

bool smtp_is_ascii(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)bytes[i] >= 0x80)
			return false;
	return true;
}

/* The length of the blank that the text begins with; 0 for anything else. */
static size_t blank(const char *bytes, size_t len)
{
	uint32_t c;
	size_t n = len > 0 ? character((const unsigned char *)bytes, len, &c) : 0;

	if (n == 0)
		return 0;
	if ((c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
	    c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	    c == 0x202f || c == 0x205f || c == 0x3000)
		return n;
	return 0;
}

/* --- methods --------------------------------------------------------------------------- */

struct smtp_text smtp_text(const char *bytes, size_t len)
{
	return (struct smtp_text){ bytes, len };
}

bool smtp_text_is(struct smtp_text text, const char *string)
{
	return strlen(string) == text.len && memcmp(text.bytes, string, text.len) == 0;
}

struct smtp_text smtp_lstrip(struct smtp_text text)
{
	size_t n;

	while ((n = blank(text.bytes, text.len)) > 0)
		text = smtp_text(text.bytes + n, text.len - n);
	return text;
}

struct smtp_text smtp_strip(struct smtp_text text)
{
	text = smtp_lstrip(text);
	while (text.len > 0) {
		size_t start = text.len - 1;

		while (start > 0 && (text.bytes[start] & 0xc0) == 0x80)
			start--;
		if (blank(text.bytes + start, text.len - start) == 0)
			break;
		text.len = start;
	}
	return text;
}

bool smtp_next_word(struct smtp_text *rest, struct smtp_text *word)
{
	*rest = smtp_lstrip(*rest);
	*word = smtp_text(rest->bytes, 0);
	while (word->len < rest->len &&
	       blank(rest->bytes + word->len, rest->len - word->len) == 0)
		word->len++;
	*rest = smtp_text(rest->bytes + word->len, rest->len - word->len);
	return word->len > 0;
}

void smtp_upper(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] >= 'a' && bytes[i] <= 'z')
			bytes[i] -= 'a' - 'A';
}

bool smtp_is_alnum(struct smtp_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		const char c = text.bytes[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		      (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80))
			return false;
	}
	return text.len > 0;
}

/* --- what Python prints ----------------------------------------------------------------- */

static void print_ascii(FILE *stream, unsigned char c, char quote)
{
	if (c == '\n')
		fputs("\\n", stream);
	else if (c == '\r')
		fputs("\\r", stream);
	else if (c == '\t')
		fputs("\\t", stream);
	else if (c < ' ' || c >= 0x7f)
		fprintf(stream, "\\x%02x", c);
	else
		fprintf(stream, "%s%c", c == '\\' || c == (unsigned char)quote ? "\\" : "", c);
}

void smtp_print_repr(FILE *stream, const char *bytes, size_t len, bool is_bytes)
{
	const char quote = memchr(bytes, '\'', len) != NULL && memchr(bytes, '"', len) == NULL
			   ? '"' : '\'';
	size_t n;

	fprintf(stream, "%s%c", is_bytes ? "b" : "", quote);
	for (size_t i = 0; i < len; i += n) {
		const unsigned char *s = (const unsigned char *)bytes + i;
		uint32_t c;

		n = is_bytes || *s < 0x80 ? 1 : character(s, len - i, &c);
		if (n <= 1)
			print_ascii(stream, *s, quote);
		else if (c >= 0xa0 && blank(bytes + i, len - i) == 0)
			(void)fwrite(s, 1, n, stream);
		else
			fprintf(stream, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
		n += n == 0;
	}
	putc(quote, stream);
}

void smtp_print_list(FILE *stream, const struct smtp_list *list)
{
	putc('[', stream);
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			fputs(", ", stream);
		smtp_print_repr(stream, list->items[i].bytes, list->items[i].len, false);
	}
	putc(']', stream);
}

void smtp_debug(const char *format, ...)
{
	va_list args;

	if (smtp_debug_stream == NULL)
		return;
	va_start(args, format);
	vfprintf(smtp_debug_stream, format, args);
	va_end(args);
	fflush(smtp_debug_stream);
}

void smtp_debug_text(const char *what, const char *bytes, size_t len)
{
	if (smtp_debug_stream == NULL)
		return;
	fprintf(smtp_debug_stream, "%s ", what);
	(void)fwrite(bytes, 1, len, smtp_debug_stream);
	putc('\n', smtp_debug_stream);
	fflush(smtp_debug_stream);
}
