/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * smtpd.h - Python's smtpd for C, on libasyncore: a mail server to be subclassed.
 *
 *	static int my_message(struct smtp_server *self, const struct smtp_message *message,
 *			      const char **status)
 *	{
 *		if (store(message->data, message->len) < 0)
 *			*status = "451 Could not store it";
 *		return 0;
 *	}
 *
 *	static const struct smtp_server_type my_type = {
 *		.dispatcher = { .base = &smtp_server_type.dispatcher, .name = "my_server" },
 *		.process_message = my_message,
 *	};
 *
 *	smtp_server_init(&server, &my_type, "localhost", 8025, NULL, 0,
 *			 SMTP_DATA_SIZE_DEFAULT, NULL, false, false);
 *	asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
 *
 * The replies are those of CPython 3.11, byte for byte, on everything that a client may send;
 * what differs is said where it differs.  The conventions are those of asyncore.h: results,
 * errors, owners, threads.  Python's names stand in brackets.
 */

#ifndef SMTPD_H
#define SMTPD_H

#include <stdbool.h>
#include <stdio.h>

#include <asynchat.h>

/* The greeting says this, so that a client sees no other server than before.  [__version__] */
#define SMTP_VERSION "Python SMTP proxy version 0.3"

#define SMTP_DATA_SIZE_DEFAULT 33554432		/* [DATA_SIZE_DEFAULT] */

/* Where the conversations are written for whoever debugs; NULL, the default, for nowhere.
 * [DEBUGSTREAM] */
extern FILE *smtp_debug_stream;

/* --- strings --------------------------------------------------------------------- */

/* A client may send NULs, so every string has a length; there is one more NUL behind it. */
struct smtp_string {
	char *bytes;		/* NULL: there is none, Python's None */
	size_t len;
};

struct smtp_list {
	struct smtp_string *items;
	size_t count;
};

/* A part of a string that somebody else owns. */
struct smtp_text {
	const char *bytes;
	size_t len;
};

/* --- the channel, one per client --------------------------------------------------- */

struct smtp_server;

enum {				/* [SMTPChannel.COMMAND, SMTPChannel.DATA] */
	SMTP_COMMAND,
	SMTP_DATA
};

/* [class smtpd.SMTPChannel] */
struct smtp_channel {
	struct async_chat chat;
	struct smtp_server *smtp_server;
	struct smtp_string peer;		/* its address in digits, */
	int peer_port;				/* and its port */
	long long data_size_limit;
	bool enable_SMTPUTF8;
	bool decode_data;

	int smtp_state;
	bool extended_smtp;
	struct smtp_string seen_greeting;
	struct smtp_string mailfrom;
	struct smtp_list rcpttos;
	struct smtp_list mail_options;
	struct smtp_list rcpt_options;
	bool require_SMTPUTF8;
	size_t num_bytes;			/* of this line, or message, as far as it counts */
	size_t command_size_limit;		/* 512, */
	size_t mail_size_limit;			/* more for MAIL once EHLO was said */

	bool waiting;				/* for smtp_channel_finish() */
};

/*
 * A command: what the method smtp_NAME is in Python.  arg is what follows the name, stripped;
 * NULL when nothing does, not even a blank.
 */
struct smtp_command {
	const char *name;			/* in capitals; NULL ends a list */
	int (*run)(struct smtp_channel *self, const struct smtp_text *arg);
};

/* A class of channels; NULL inherits.  The chain of bases must hold smtp_channel_type. */
struct smtp_channel_type {
	struct async_chat_type chat;
	/* The commands that this class adds or overrides; those of its base are found too. */
	const struct smtp_command *commands;
};

extern const struct smtp_channel_type smtp_channel_type;

/*
 * Initialise, and greet the client.  The channel takes `fd` when this succeeds; one whose
 * client is gone already is closed then.  It holds the server.  What is not set here, the fields
 * of a subclass too, must be zero before.
 * Errors: -EINVAL for enable_SMTPUTF8 together with decode_data; those of async_chat_init()
 * and asyncore_ref().
 * [SMTPChannel(server, conn, addr, data_size_limit, map, enable_SMTPUTF8, decode_data)]
 */
int smtp_channel_init(struct smtp_channel *channel, const struct smtp_channel_type *type,
		      struct smtp_server *server, int fd, long long data_size_limit,
		      struct asyncore_map *map, bool enable_SMTPUTF8, bool decode_data);

/*
 * Send a line.  -EILSEQ for letters beyond ASCII when the client did not ask for SMTPUTF8.
 * [SMTPChannel.push]
 */
int smtp_channel_push(struct smtp_channel *channel, const char *msg, size_t len);
int smtp_channel_reply(struct smtp_channel *channel, const char *msg);

/* Forget the message as far as it came, but not the greeting.  [_set_rset_state] */
int smtp_channel_reset(struct smtp_channel *channel);

/* The commands of the class, for calling up.  [SMTPChannel.smtp_HELO ...] */
int smtp_HELO(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_EHLO(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_NOOP(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_QUIT(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_HELP(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_VRFY(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_MAIL(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_RCPT(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_RSET(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_DATA(struct smtp_channel *self, const struct smtp_text *arg);
int smtp_EXPN(struct smtp_channel *self, const struct smtp_text *arg);

/* The bodies of the two methods of async_chat, for calling up. */
int smtp_channel_collect(struct async_chat *self, const void *data, size_t len);
int smtp_channel_found_terminator(struct async_chat *self);

/* --- the server ------------------------------------------------------------------- */

/* What process_message() is given; all of it is borrowed for the call. */
struct smtp_message {
	struct smtp_channel *channel;
	const char *peer;
	int peer_port;
	const struct smtp_string *mailfrom;
	const struct smtp_list *rcpttos;
	/* The text, with \n between lines and without the dots that SMTP added; UTF-8 with
	 * decode_data, otherwise any bytes.  There is a NUL behind it. */
	const char *data;
	size_t len;
	/* In capitals; NULL with decode_data. */
	const struct smtp_list *mail_options;
	const struct smtp_list *rcpt_options;
};

/* A result of process_message(): the reply comes by smtp_channel_finish(). */
#define SMTP_LATER 1

/* [class smtpd.SMTPServer] */
struct smtp_server {
	struct asyncore_dispatcher dispatcher;
	char *localhost;
	int localport;
	char *remotehost;
	int remoteport;
	long long data_size_limit;
	bool enable_SMTPUTF8;
	bool decode_data;
	char *fqdn;		/* our own name, looked up once and not for every client */
};

/* A class of servers; NULL inherits.  The chain of bases must hold smtp_server_type. */
struct smtp_server_type {
	struct asyncore_dispatcher_type dispatcher;
	/*
	 * A message has come.  Return 0, and in *status what to reply if it is not "250 OK"
	 * (valid until the next call); SMTP_LATER; or a negative errno: it raised, and the
	 * client's channel is closed.  That of the base raises -ENOSYS.
	 */
	int (*process_message)(struct smtp_server *self, const struct smtp_message *message,
			       const char **status);
	/* The class of the channels, and with it the size of one.  [channel_class] */
	const struct smtp_channel_type *channel_class;
	size_t channel_size;
};

extern const struct smtp_server_type smtp_server_type;

/*
 * Listen.  remotehost, remoteport: for classes that relay; NULL for none.  data_size_limit: 0
 * for none.  After a failure it is closed, and is disposed of as any closed channel.
 * Errors: -EINVAL for enable_SMTPUTF8 together with decode_data; -ENOENT for a name that does
 * not exist; what asyncore_bind() and asyncore_listen() say.
 * [SMTPServer(localaddr, remoteaddr, data_size_limit, map, enable_SMTPUTF8, decode_data)]
 */
int smtp_server_init(struct smtp_server *server, const struct smtp_server_type *type,
		     const char *localhost, int localport, const char *remotehost, int remoteport,
		     long long data_size_limit, struct asyncore_map *map, bool enable_SMTPUTF8,
		     bool decode_data);

/* The port that it listens on (another than asked for if that was 0), or a negative errno. */
int smtp_server_port(const struct smtp_server *server);

/* A message has come: through the table. */
int smtp_server_process_message(struct smtp_server *server, const struct smtp_message *message,
				const char **status);

/*
 * The end of a message that was to be answered later: reply `status` (NULL: "250 OK"), or
 * with a negative result have the channel raise that.  What the client has sent meanwhile is
 * worked off then.  To be called once, from outside of process_message(); hold the channel
 * until then (asyncore_ref()).  On a channel that was closed meanwhile it does nothing.
 */
int smtp_channel_finish(struct smtp_channel *channel, int result, const char *status);

/* Prints each message on standard output.  [class smtpd.DebuggingServer] */
extern const struct smtp_server_type debugging_server_type;

/*
 * Relays each message to the remote host, and replies "250 OK" when that is done, whatever
 * the remote host says: Python's does no better.
 * In Python it works with decode_data alone: otherwise every message raises a TypeError,
 * because its process_message() does not take the options.  Here it relays the bytes then.
 * pure_proxy_init: as smtp_server_init(), and -EINVAL with enable_SMTPUTF8, which it does not
 * support.  [class smtpd.PureProxy]
 */
extern const struct smtp_server_type pure_proxy_type;
int pure_proxy_init(struct smtp_server *server, const struct smtp_server_type *type,
		    const char *localhost, int localport, const char *remotehost, int remoteport,
		    long long data_size_limit, struct asyncore_map *map, bool enable_SMTPUTF8,
		    bool decode_data);

#endif /* SMTPD_H */
