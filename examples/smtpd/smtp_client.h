/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * smtp_client.h - delivers one message to a mail server, without blocking.
 *
 * What PureProxy needs of Python's smtplib: the same commands in the same order, and the same
 * idea of what is a failure.
 */

#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "smtpd.h"

/* What a delivery came to. */
struct smtp_delivery {
	/* 0; -EILSEQ for letters beyond ASCII where there must be none, for which smtplib
	 * raises a UnicodeEncodeError; any other negative value, and `error`: all of it
	 * failed. */
	int result;
	const char *error;	/* in words, or NULL */
	/* Who was refused, and the reply to each, as "550 No such user"; empty if there was none. */
	const struct smtp_list *refused;
	const struct smtp_list *replies;
};

/*
 * Deliver to host and port: `data`, whose lines may end in any way, from `mailfrom` to all of
 * `rcpttos`; everything is copied.  ascii: the data must not have letters beyond ASCII.
 * done(arg, delivery) is called once, from the loop, or when the client is disposed of; but
 * not if this fails.  A name is looked up at once, which may block, as in Python.
 * Errors: -ENOMEM; what asyncore_dispatcher_init() says.
 */
int smtp_client_deliver(struct asyncore_map *map, const char *host, int port,
			const char *local_hostname, const struct smtp_string *mailfrom,
			const struct smtp_list *rcpttos, const struct smtp_string *data, bool ascii,
			void (*done)(void *arg, const struct smtp_delivery *delivery), void *arg);

#endif /* SMTP_CLIENT_H */
