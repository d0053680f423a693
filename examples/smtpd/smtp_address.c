/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * smtp_address.c - the address of MAIL, RCPT and VRFY.
 *
 * smtpd leaves this to the header parser of Python's email package (get_angle_addr and
 * get_addr_spec), so what counts as an address is what may stand in a header: with comments,
 * quoted strings, blanks around the dots, a route in front, and much that no standard allows.
 * It comes out normalised: without comments and route, quoted where it has to be.  Where that
 * parser raises, smtpd drops the connection.
 *
 * The functions bear the names of the grammar of RFC 5322.  They take what they find from the
 * input and write what it means to `out`, which is never longer than the input.  Not the same
 * as Python: encoded words (=?utf-8?q?...?=) are not decoded, but stand for themselves.
 */

#include "smtp_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPECIALS "()<>@,:;.\\\"[]"

struct parser {
	struct smtp_text in;
	char *out;
};

static bool in_set(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool at(const struct parser *p, const char *set)
{
	return p->in.len > 0 && in_set(p->in.bytes[0], set);
}

/* What may begin, or stand in, an atom: anything but these. */
static bool at_atext(const struct parser *p)
{
	return p->in.len > 0 && !at(p, SPECIALS " \t");
}

static void skip(struct parser *p, size_t n)
{
	p->in = smtp_text(p->in.bytes + n, p->in.len - n);
}

static void take(struct parser *p)
{
	*p->out++ = p->in.bytes[0];
	skip(p, 1);
}

/* --- the leaves --------------------------------------------------------------------- */

static void fws(struct parser *p)
{
	p->in = smtp_lstrip(p->in);
}

/* Everything to the next blank or one of `ends`.  A backslash makes the next character plain,
 * unless that is a blank. */
static void ptext(struct parser *p, const char *ends)
{
	while (p->in.len > 0 && !at(p, " \t") && !at(p, ends)) {
		if (at(p, "\\")) {
			skip(p, 1);
			if (p->in.len == 0 || at(p, " \t"))
				return;
		}
		take(p);
	}
}

/* Comments nest, and end with the input at the latest. */
static void comment(struct parser *p)
{
	char *out = p->out;
	size_t depth = 0;

	do {
		if (at(p, " \t")) {
			fws(p);
		} else if (at(p, "()")) {
			depth += at(p, "(") ? 1 : (size_t)-1;
			skip(p, 1);
		} else {
			ptext(p, "()");
			p->out = out;
		}
	} while (depth > 0 && p->in.len > 0);
}

/* Comments and blanks; were there any? */
static bool cfws(struct parser *p)
{
	const size_t before = p->in.len;

	while (at(p, " \t(")) {
		if (at(p, "("))
			comment(p);
		else
			fws(p);
	}
	return p->in.len < before;
}

static int atext(struct parser *p)
{
	if (!at_atext(p))
		return -EBADMSG;
	while (at_atext(p))
		take(p);
	return 0;
}

/* On failure nothing is taken. */
static int dot_atom_text(struct parser *p)
{
	const struct parser start = *p;
	bool dot = true;

	while (at_atext(p)) {
		atext(p);
		dot = at(p, ".");
		if (dot)
			take(p);
	}
	if (!dot)
		return 0;
	*p = start;
	return -EBADMSG;
}

/* Blanks in it are kept.  An end that is missing is forgiven. */
static void bare_quoted_string(struct parser *p)
{
	skip(p, 1);
	while (p->in.len > 0 && !at(p, "\"")) {
		const size_t blanks = p->in.len - smtp_lstrip(p->in).len;

		if (!at(p, " \t")) {
			ptext(p, "\"");
			continue;
		}
		memcpy(p->out, p->in.bytes, blanks);
		p->out += blanks;
		skip(p, blanks);
	}
	if (p->in.len > 0)
		skip(p, 1);
}

/* --- local-part --------------------------------------------------------------------------- */

/* What does not end a phrase may still belong to a local part of the old form. */
static bool at_obs_local_part(const struct parser *p)
{
	return p->in.len > 0 && !at(p, ")<>@,:;[]");
}

/*
 * Words with dots, blanks or nothing between them.  Blanks next to a dot, and at both ends,
 * go; others become one, on either side of which a comment counts as well.
 */
static int obs_local_part(struct parser *p)
{
	bool after_dot = true, blank = false;

	while (at_obs_local_part(p)) {
		bool leader;

		if (at(p, ".")) {
			after_dot = true;
			blank = false;
			take(p);
			continue;
		}
		leader = !at(p, "\\") && cfws(p);
		if (leader && (p->in.len == 0 || (at(p, SPECIALS) && !at(p, "\""))))
			continue;	/* blanks that belong to no word */
		if (blank)
			*p->out++ = ' ';
		if (leader && !after_dot)
			*p->out++ = ' ';
		after_dot = blank = false;
		if (at(p, "\\")) {
			take(p);
			continue;
		}
		if (at(p, "\""))
			bare_quoted_string(p);
		else if (atext(p) < 0)
			return -EBADMSG;
		blank = cfws(p);
	}
	return 0;
}

static int local_part(struct parser *p)
{
	const struct parser start = *p;
	bool lone_quote = false;

	if (p->in.len == 0)
		return -EBADMSG;
	cfws(p);
	if (p->in.len == 0)
		return -EBADMSG;
	if (at(p, "\"")) {
		lone_quote = p->in.len == 1;
		bare_quoted_string(p);
		cfws(p);
	} else if (dot_atom_text(p) == 0 || atext(p) == 0) {
		cfws(p);
	} else if (!at_obs_local_part(p)) {
		return -EBADMSG;
	}
	if (!at_obs_local_part(p))
		return lone_quote ? -EBADMSG : 0;
	*p = start;
	return obs_local_part(p);
}

/* --- domain ----------------------------------------------------------------------------------- */

static int domain_literal(struct parser *p)
{
	take(p);
	fws(p);
	if (p->in.len == 0)
		return -EBADMSG;
	ptext(p, "[]");
	fws(p);
	if (!at(p, "]"))
		return -EBADMSG;
	take(p);
	cfws(p);
	return 0;
}

static int domain(struct parser *p)
{
	cfws(p);
	if (at(p, "["))
		return domain_literal(p);
	if (dot_atom_text(p) < 0 && atext(p) < 0)
		return -EBADMSG;
	cfws(p);
	if (at(p, "@"))
		return -EBADMSG;
	while (at(p, ".")) {
		take(p);
		cfws(p);
		if (atext(p) < 0)
			return -EBADMSG;
		cfws(p);
	}
	return 0;
}

/* --- addr-spec and angle-addr --------------------------------------------------------------- */

/* An address in its two parts; the second is NULL when there is none. */
struct addr_spec {
	struct smtp_text local;
	struct smtp_text domain;
};

static int addr_spec(struct parser *p, struct addr_spec *spec)
{
	struct smtp_text rest, word;
	char *start = p->out, *end;

	if (local_part(p) < 0)
		return -EBADMSG;
	spec->local = smtp_text(start, (size_t)(p->out - start));
	spec->domain = smtp_text(NULL, 0);
	if (!at(p, "@"))
		return 0;
	skip(p, 1);
	start = end = p->out;
	if (domain(p) < 0)
		return -EBADMSG;
	/* An atom may hold blanks that are not those of ASCII. */
	rest = smtp_text(start, (size_t)(p->out - start));
	while (smtp_next_word(&rest, &word)) {
		memmove(end, word.bytes, word.len);
		end += word.len;
	}
	spec->domain = smtp_text(start, (size_t)(end - start));
	return 0;
}

/* "@relay,@relay:", of which nothing is kept. */
static int obs_route(struct parser *p)
{
	while (at(p, ", \t(")) {
		if (at(p, ","))
			skip(p, 1);
		else
			cfws(p);
	}
	if (!at(p, "@"))
		return -EBADMSG;
	skip(p, 1);
	if (domain(p) < 0)
		return -EBADMSG;
	while (at(p, ",")) {
		skip(p, 1);
		cfws(p);
		if (!at(p, "@"))
			continue;
		skip(p, 1);
		if (domain(p) < 0)
			return -EBADMSG;
	}
	if (!at(p, ":"))
		return -EBADMSG;
	skip(p, 1);
	return 0;
}

/* The caller has seen the "<"; a ">" that is missing is forgiven.  spec->local.bytes is NULL
 * for "<>". */
static int angle_addr(struct parser *p, struct addr_spec *spec)
{
	struct parser start;

	skip(p, 1);
	if (at(p, ">")) {
		skip(p, 1);
		spec->local = spec->domain = smtp_text(NULL, 0);
		return 0;
	}
	start = *p;
	if (addr_spec(p, spec) < 0) {
		*p = start;
		if (obs_route(p) < 0 || addr_spec(p, spec) < 0)
			return -EBADMSG;
	}
	if (at(p, ">"))
		skip(p, 1);
	cfws(p);
	return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool needs_quotes(struct smtp_text local)
{
	for (size_t i = 0; i < local.len; i++)
		if (in_set(local.bytes[i], "()<>@,:;\\\"[] \t"))
			return true;
	return false;
}

/* Writes at most twice the local part, the domain, and five characters. */
static char *write_address(char *out, const struct addr_spec *spec, bool angle)
{
	const struct smtp_text local = spec->local, domain = spec->domain;
	const bool quotes = needs_quotes(local) || (angle && local.len == 0);

	if (quotes)
		*out++ = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (quotes && in_set(local.bytes[i], "\\\""))
			*out++ = '\\';
		*out++ = local.bytes[i];
	}
	if (quotes)
		*out++ = '"';
	if (domain.bytes != NULL) {
		*out++ = '@';
		memcpy(out, domain.bytes, domain.len);
		out += domain.len;
	}
	return out;
}

int smtp_getaddr(struct smtp_text arg, struct smtp_string *address, struct smtp_text *rest)
{
	const bool angle = arg.len > 0 && arg.bytes[0] == '<';
	struct parser p = { .in = arg };
	struct addr_spec spec;
	char *parts, *text;
	int err;

	if (arg.len == 0) {
		*rest = arg;
		return smtp_string_set(address, "", 0);
	}
	parts = malloc(3 * arg.len + 5);
	if (parts == NULL)
		return -ENOMEM;
	text = parts + arg.len;
	p.out = parts;
	err = angle ? angle_addr(&p, &spec) : addr_spec(&p, &spec);
	*rest = p.in;
	if (err == 0 && angle && spec.local.bytes == NULL)
		err = smtp_string_set(address, "<>", 2);
	else if (err == 0)
		err = smtp_string_set(address, text,
				      (size_t)(write_address(text, &spec, angle) - text));
	free(parts);
	return err;
}
