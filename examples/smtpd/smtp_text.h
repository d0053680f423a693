/* SPDX-License-Identifier: BSD-3-Clause */

/* smtp_text.h - the few methods of Python's strings that smtpd lives on. */

#ifndef SMTP_TEXT_H
#define SMTP_TEXT_H

#include "smtpd.h"

/* Copies, and frees what was there; 0 or -ENOMEM.  bytes NULL: none. */
int smtp_string_set(struct smtp_string *string, const char *bytes, size_t len);
int smtp_string_append(struct smtp_string *string, const char *bytes, size_t len);
int smtp_list_append(struct smtp_list *list, const char *bytes, size_t len);
void smtp_list_clear(struct smtp_list *list);
int smtp_list_copy(struct smtp_list *to, const struct smtp_list *from);

struct smtp_text smtp_text(const char *bytes, size_t len);
bool smtp_text_is(struct smtp_text text, const char *string);
bool smtp_is_ascii(const char *bytes, size_t len);
bool smtp_is_utf8(const char *bytes, size_t len);

/*
 * [str.lstrip, str.strip, str.split]: all of Unicode's blanks count, as in Python.
 * next_word: false when there is none; otherwise *rest is what follows it.
 * The text is UTF-8.
 */
struct smtp_text smtp_lstrip(struct smtp_text text);
struct smtp_text smtp_strip(struct smtp_text text);
bool smtp_next_word(struct smtp_text *rest, struct smtp_text *word);

/* [str.upper, str.isalnum], but for the letters of ASCII: a letter beyond has no other case
 * here, and any character beyond is a letter. */
void smtp_upper(char *bytes, size_t len);
bool smtp_is_alnum(struct smtp_text text);

/* Print as repr() of bytes, or of a string (where beyond ASCII only blanks and controls are
 * escaped, and not all that Unicode calls unprintable). */
void smtp_print_repr(FILE *stream, const char *bytes, size_t len, bool is_bytes);
void smtp_print_list(FILE *stream, const struct smtp_list *list);

/* Debugging output: nothing when nobody asked for it. */
void smtp_debug(const char *format, ...) ASYNCORE_PRINTF(1, 2);
void smtp_debug_text(const char *what, const char *bytes, size_t len);

/*
 * smtp_address.c: the address that `arg` begins with, as Python's email package would write
 * it, in *address, and what follows it in *rest.  The address may be empty.
 * 0; -EBADMSG where Python raises; -ENOMEM.  [SMTPChannel._getaddr]
 */
int smtp_getaddr(struct smtp_text arg, struct smtp_string *address, struct smtp_text *rest);

#endif /* SMTP_TEXT_H */
