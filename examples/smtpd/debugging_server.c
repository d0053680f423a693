/* SPDX-License-Identifier: BSD-3-Clause */

/* debugging_server.c - the class DebuggingServer: messages go to standard output. */

#include "smtp_text.h"

#include <string.h>

static int print_message(struct smtp_server *self, const struct smtp_message *message,
			 const char **status);

const struct smtp_server_type debugging_server_type = {
	.dispatcher = { .base = &smtp_server_type.dispatcher, .name = "DebuggingServer" },
	.process_message = print_message,
};

/* The length of the end of a line at `s`, or 0.  A text has more of them than bytes have. */
static size_t line_end(const char *s, size_t len, bool is_bytes)
{
	static const char *const others[] = {
		"\v", "\f", "\x1c", "\x1d", "\x1e", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"
	};

	if (s[0] == '\n' || s[0] == '\r')
		return s[0] == '\r' && len > 1 && s[1] == '\n' ? 2 : 1;
	for (size_t i = 0; !is_bytes && i < sizeof others / sizeof *others; i++)
		if (len >= strlen(others[i]) && memcmp(s, others[i], strlen(others[i])) == 0)
			return strlen(others[i]);
	return 0;
}

static void print_line(const char *line, size_t len, bool is_bytes)
{
	if (is_bytes)
		smtp_print_repr(stdout, line, len, true);
	else
		(void)fwrite(line, 1, len, stdout);
	putchar('\n');
}

/* The peer's address goes between the headers and the text. */
static void print_content(const struct smtp_message *message, bool is_bytes)
{
	const char *line = message->data, *end = message->data + message->len;
	bool in_headers = true;
	char header[64];

	while (line < end) {
		const char *s = line;
		size_t n = 0;

		while (s < end && (n = line_end(s, (size_t)(end - s), is_bytes)) == 0)
			s++;
		if (in_headers && s == line) {
			snprintf(header, sizeof header, "X-Peer: %s", message->peer);
			print_line(header, strlen(header), is_bytes);
			in_headers = false;
		}
		print_line(line, (size_t)(s - line), is_bytes);
		line = s + n;
	}
}

static void print_options(const char *what, const struct smtp_list *options, const char *behind)
{
	if (options == NULL || options->count == 0)
		return;
	printf("%s options: ", what);
	smtp_print_list(stdout, options);
	fputs(behind, stdout);
}

static int print_message(struct smtp_server *self, const struct smtp_message *message,
			 const char **status)
{
	(void)status;
	puts("---------- MESSAGE FOLLOWS ----------");
	print_options("mail", message->mail_options, "\n");
	print_options("rcpt", message->rcpt_options, "\n\n");
	print_content(message, !self->decode_data);
	puts("------------ END MESSAGE ------------");
	fflush(stdout);
	return 0;
}
