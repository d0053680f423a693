/* SPDX-License-Identifier: BSD-3-Clause */

/* smtp_commands.c - the commands of SMTP, and what is replied to each. */

#include "smtp_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAIL_SYNTAX "Syntax: MAIL FROM: <address>"
#define RCPT_SYNTAX "Syntax: RCPT TO: <address>"
#define PARAMETERS " [SP <mail-parameters>]"

static bool is_empty(const struct smtp_text *arg)
{
	return arg == NULL || arg->len == 0;
}

/* One of two texts: the second when the client said EHLO. */
static int reply_either(struct smtp_channel *self, const char *plain, const char *extended)
{
	return smtp_channel_reply(self, self->extended_smtp ? extended : plain);
}

/* A text, and something that the client may have sent. */
static int reply_with(struct smtp_channel *self, const char *text, const char *bytes, size_t len)
{
	struct smtp_string line = { NULL, 0 };
	int err = -ENOMEM;

	if (smtp_string_append(&line, text, strlen(text)) == 0 &&
	    smtp_string_append(&line, bytes, len) == 0)
		err = smtp_channel_push(self, line.bytes, line.len);
	free(line.bytes);
	return err;
}

/* --- HELO, EHLO ----------------------------------------------------------------------- */

/* What is wrong with a greeting, or NULL. */
static const char *greeting_error(const struct smtp_channel *self, const struct smtp_text *arg,
				  const char *syntax)
{
	if (is_empty(arg))
		return syntax;
	return self->seen_greeting.len > 0 ? "503 Duplicate HELO/EHLO" : NULL;
}

static int see_greeting(struct smtp_channel *self, const struct smtp_text *arg)
{
	int err = smtp_channel_reset(self);

	return err < 0 ? err : smtp_string_set(&self->seen_greeting, arg->bytes, arg->len);
}

int smtp_HELO(struct smtp_channel *self, const struct smtp_text *arg)
{
	const char *error = greeting_error(self, arg, "501 Syntax: HELO hostname");
	const char *fqdn = self->smtp_server->fqdn;
	int err;

	if (error != NULL)
		return smtp_channel_reply(self, error);
	err = see_greeting(self, arg);
	return err < 0 ? err : reply_with(self, "250 ", fqdn, strlen(fqdn));
}

int smtp_EHLO(struct smtp_channel *self, const struct smtp_text *arg)
{
	const char *error = greeting_error(self, arg, "501 Syntax: EHLO hostname");
	const char *fqdn = self->smtp_server->fqdn;
	char size[64];
	int err;

	if (error != NULL)
		return smtp_channel_reply(self, error);
	err = see_greeting(self, arg);
	if (err < 0)
		return err;
	self->extended_smtp = true;
	err = reply_with(self, "250-", fqdn, strlen(fqdn));
	if (err == 0 && self->data_size_limit != 0) {
		snprintf(size, sizeof size, "250-SIZE %lld", self->data_size_limit);
		err = smtp_channel_reply(self, size);
		self->mail_size_limit += 26;
	}
	if (err == 0 && !self->decode_data)
		err = smtp_channel_reply(self, "250-8BITMIME");
	if (err == 0 && self->enable_SMTPUTF8) {
		err = smtp_channel_reply(self, "250-SMTPUTF8");
		self->mail_size_limit += 10;
	}
	return err < 0 ? err : smtp_channel_reply(self, "250 HELP");
}

/* --- the small ones ---------------------------------------------------------------------- */

int smtp_NOOP(struct smtp_channel *self, const struct smtp_text *arg)
{
	return smtp_channel_reply(self, is_empty(arg) ? "250 OK" : "501 Syntax: NOOP");
}

int smtp_QUIT(struct smtp_channel *self, const struct smtp_text *arg)
{
	int err = smtp_channel_reply(self, "221 Bye");

	(void)arg;
	return err < 0 ? err : async_chat_close_when_done(&self->chat);
}

int smtp_RSET(struct smtp_channel *self, const struct smtp_text *arg)
{
	int err;

	if (!is_empty(arg))
		return smtp_channel_reply(self, "501 Syntax: RSET");
	err = smtp_channel_reset(self);
	return err < 0 ? err : smtp_channel_reply(self, "250 OK");
}

int smtp_EXPN(struct smtp_channel *self, const struct smtp_text *arg)
{
	(void)arg;
	return smtp_channel_reply(self, "502 EXPN not implemented");
}

#define SUPPORTED "Supported commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY"

int smtp_HELP(struct smtp_channel *self, const struct smtp_text *arg)
{
	/* What helps, and what helps who said EHLO. */
	static const char *const texts[][3] = {
		{ "EHLO", "250 Syntax: EHLO hostname" },
		{ "HELO", "250 Syntax: HELO hostname" },
		{ "MAIL", "250 " MAIL_SYNTAX, "250 " MAIL_SYNTAX PARAMETERS },
		{ "RCPT", "250 " RCPT_SYNTAX, "250 " RCPT_SYNTAX PARAMETERS },
		{ "DATA", "250 Syntax: DATA" },
		{ "RSET", "250 Syntax: RSET" },
		{ "NOOP", "250 Syntax: NOOP" },
		{ "QUIT", "250 Syntax: QUIT" },
		{ "VRFY", "250 Syntax: VRFY <address>" },
	};
	char name[5] = "";

	if (is_empty(arg))
		return smtp_channel_reply(self, "250 " SUPPORTED);
	if (arg->len == 4)
		memcpy(name, arg->bytes, 4);
	smtp_upper(name, 4);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (memcmp(name, texts[i][0], 4) == 0)
			return reply_either(self, texts[i][1],
					    texts[i][2] != NULL ? texts[i][2] : texts[i][1]);
	return smtp_channel_reply(self, "501 " SUPPORTED);
}

int smtp_VRFY(struct smtp_channel *self, const struct smtp_text *arg)
{
	struct smtp_string address = { NULL, 0 };
	struct smtp_text params;
	int err;

	if (is_empty(arg))
		return smtp_channel_reply(self, "501 Syntax: VRFY <address>");
	err = smtp_getaddr(*arg, &address, &params);
	if (err == 0 && address.len > 0)
		err = smtp_channel_reply(self, "252 Cannot VRFY user, but will accept message "
					 "and attempt delivery");
	else if (err == 0)
		err = reply_with(self, "502 Could not VRFY ", arg->bytes, arg->len);
	free(address.bytes);
	return ASYNCORE_RAISE(&self->chat.dispatcher, err);
}

/* --- MAIL, RCPT --------------------------------------------------------------------------- */

/* What follows "FROM:" or "TO:"; empty if it is not that.  [_strip_command_keyword] */
static struct smtp_text strip_keyword(struct smtp_text arg, const char *keyword)
{
	const size_t len = strlen(keyword);
	char begin[8];

	if (arg.len < len)
		return smtp_text(arg.bytes, 0);
	memcpy(begin, arg.bytes, len);
	smtp_upper(begin, len);
	return memcmp(begin, keyword, len) == 0
	       ? smtp_strip(smtp_text(arg.bytes + len, arg.len - len)) : smtp_text(arg.bytes, 0);
}

/* [params.upper().split()] */
static int set_options(struct smtp_list *options, struct smtp_text params)
{
	struct smtp_text word;
	int err = 0;

	smtp_list_clear(options);
	while (err == 0 && smtp_next_word(&params, &word)) {
		err = smtp_list_append(options, word.bytes, word.len);
		if (err == 0)
			smtp_upper(options->items[options->count - 1].bytes, word.len);
	}
	return err;
}

/* An option: its name and, behind a "=", its value, whose bytes are NULL if there is none. */
struct option {
	struct smtp_text name;
	struct smtp_text value;
};

/* Are all of them words, alone or with a value?  [_getparams(...) is not None] */
static bool split_option(const struct smtp_string *string, struct option *option)
{
	const char *sign = memchr(string->bytes, '=', string->len);
	const size_t len = sign != NULL ? (size_t)(sign - string->bytes) : string->len;

	option->name = smtp_text(string->bytes, len);
	option->value = smtp_text(NULL, 0);
	if (sign != NULL)
		option->value = smtp_text(sign + 1, string->len - len - 1);
	return smtp_is_alnum(option->name) && (sign == NULL || option->value.len > 0);
}

static bool are_options(const struct smtp_list *options)
{
	struct option option;

	for (size_t i = 0; i < options->count; i++)
		if (!split_option(&options->items[i], &option))
			return false;
	return true;
}

/* The last of this name, or NULL. */
static const struct option *find_option(const struct smtp_list *options, const char *name,
					struct option *option)
{
	for (size_t i = options->count; i-- > 0; ) {
		split_option(&options->items[i], option);
		if (smtp_text_is(option->name, name))
			return option;
	}
	return NULL;
}

/* Is there one that this server does not know? */
static bool has_unknown(const struct smtp_channel *self, const struct smtp_list *options)
{
	struct option option;

	for (size_t i = 0; i < options->count; i++) {
		split_option(&options->items[i], &option);
		if (!smtp_text_is(option.name, "SIZE") &&
		    !(smtp_text_is(option.name, "BODY") && !self->decode_data) &&
		    !(smtp_text_is(option.name, "SMTPUTF8") && self->enable_SMTPUTF8))
			return true;
	}
	return false;
}

/*
 * What is wrong with the options of MAIL, in *error; NULL for nothing.  Only the digits of
 * ASCII make a number here.
 */
static int check_mail_options(struct smtp_channel *self, const char *syntax, const char **error)
{
	const struct smtp_list *options = &self->mail_options;
	const struct option *option;
	struct option found;

	option = self->decode_data ? NULL : find_option(options, "BODY", &found);
	*error = "501 Error: BODY can only be one of 7BIT, 8BITMIME";
	if (option != NULL && !smtp_text_is(option->value, "7BIT") &&
	    !smtp_text_is(option->value, "8BITMIME"))
		return 0;
	option = self->enable_SMTPUTF8 ? find_option(options, "SMTPUTF8", &found) : NULL;
	*error = "501 Error: SMTPUTF8 takes no arguments";
	if (option != NULL && option->value.bytes != NULL)
		return 0;
	if (option != NULL)
		self->require_SMTPUTF8 = true;	/* even if the command fails, as in Python */
	option = find_option(options, "SIZE", &found);
	if (option != NULL) {
		/* Python takes True for a string, and raises. */
		if (option->value.bytes == NULL)
			return ASYNCORE_RAISEF(&self->chat.dispatcher, -EBADMSG, "SIZE is empty");
		*error = syntax;
		for (size_t i = 0; i < option->value.len; i++)
			if (option->value.bytes[i] < '0' || option->value.bytes[i] > '9')
				return 0;
		*error = "552 Error: message size exceeds fixed maximum message size";
		if (self->data_size_limit != 0 &&
		    strtoll(option->value.bytes, NULL, 10) > self->data_size_limit)
			return 0;
	}
	*error = "555 MAIL FROM parameters not recognized or not implemented";
	if (!has_unknown(self, options))
		*error = NULL;
	return 0;
}

/* The address and the options of a command; or in *error, what is wrong with them. */
static int parse_path(struct smtp_channel *self, const struct smtp_text *arg, const char *keyword,
		      const char *syntax, struct smtp_string *address, struct smtp_text *params,
		      const char **error)
{
	int err = 0;

	*error = NULL;
	if (arg != NULL)
		err = smtp_getaddr(strip_keyword(*arg, keyword), address, params);
	if (err == 0 && (address->len == 0 || (!self->extended_smtp && params->len > 0)))
		*error = syntax;
	return err;
}

static int mail(struct smtp_channel *self, const struct smtp_text *arg, struct smtp_string *address)
{
	const char *syntax = self->extended_smtp ? "501 " MAIL_SYNTAX PARAMETERS
						 : "501 " MAIL_SYNTAX;
	struct smtp_text params;
	const char *error;
	int err = parse_path(self, arg, "FROM:", syntax, address, &params, &error);

	if (err == 0 && error == NULL && self->mailfrom.len > 0)
		error = "503 Error: nested MAIL command";
	if (err == 0 && error == NULL) {
		err = set_options(&self->mail_options, params);
		error = are_options(&self->mail_options) ? NULL : syntax;
	}
	if (err == 0 && error == NULL)
		err = check_mail_options(self, syntax, &error);
	if (err < 0)
		return ASYNCORE_RAISE(&self->chat.dispatcher, err);
	if (error != NULL)
		return smtp_channel_reply(self, error);
	self->mailfrom = *address;
	*address = (struct smtp_string){ NULL, 0 };
	smtp_debug_text("sender:", self->mailfrom.bytes, self->mailfrom.len);
	return smtp_channel_reply(self, "250 OK");
}

int smtp_MAIL(struct smtp_channel *self, const struct smtp_text *arg)
{
	struct smtp_string address = { NULL, 0 };
	int err;

	if (self->seen_greeting.len == 0)
		return smtp_channel_reply(self, "503 Error: send HELO first");
	smtp_debug_text("===> MAIL", arg != NULL ? arg->bytes : "None", arg != NULL ? arg->len : 4);
	err = mail(self, arg, &address);
	free(address.bytes);
	return err;
}

static int rcpt(struct smtp_channel *self, const struct smtp_text *arg, struct smtp_string *address)
{
	const char *syntax = self->extended_smtp ? "501 " RCPT_SYNTAX PARAMETERS
						 : "501 " RCPT_SYNTAX;
	struct smtp_text params;
	const char *error;
	int err = parse_path(self, arg, "TO:", syntax, address, &params, &error);

	if (err == 0 && error == NULL) {
		err = set_options(&self->rcpt_options, params);
		if (!are_options(&self->rcpt_options))
			error = syntax;
		else if (self->rcpt_options.count > 0)
			error = "555 RCPT TO parameters not recognized or not implemented";
	}
	if (err == 0 && error == NULL)
		err = smtp_list_append(&self->rcpttos, address->bytes, address->len);
	if (err < 0)
		return ASYNCORE_RAISE(&self->chat.dispatcher, err);
	if (error != NULL)
		return smtp_channel_reply(self, error);
	if (smtp_debug_stream != NULL) {
		fputs("recips: ", smtp_debug_stream);
		smtp_print_list(smtp_debug_stream, &self->rcpttos);
		smtp_debug("\n");
	}
	return smtp_channel_reply(self, "250 OK");
}

int smtp_RCPT(struct smtp_channel *self, const struct smtp_text *arg)
{
	struct smtp_string address = { NULL, 0 };
	int err;

	if (self->seen_greeting.len == 0)
		return smtp_channel_reply(self, "503 Error: send HELO first");
	smtp_debug_text("===> RCPT", arg != NULL ? arg->bytes : "None", arg != NULL ? arg->len : 4);
	if (self->mailfrom.len == 0)
		return smtp_channel_reply(self, "503 Error: need MAIL command");
	err = rcpt(self, arg, &address);
	free(address.bytes);
	return err;
}

/* --- DATA ------------------------------------------------------------------------------------ */

int smtp_DATA(struct smtp_channel *self, const struct smtp_text *arg)
{
	int err;

	if (self->seen_greeting.len == 0)
		return smtp_channel_reply(self, "503 Error: send HELO first");
	if (self->rcpttos.count == 0)
		return smtp_channel_reply(self, "503 Error: need RCPT command");
	if (!is_empty(arg))
		return smtp_channel_reply(self, "501 Syntax: DATA");
	self->smtp_state = SMTP_DATA;
	err = async_chat_set_terminator(&self->chat, "\r\n.\r\n", 5);
	return err < 0 ? err : smtp_channel_reply(self, "354 End data with <CR><LF>.<CR><LF>");
}
