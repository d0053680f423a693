/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * name_server.h - a small name server on loopback, as good or as bad as a test wants it.
 *
 * It lives on the test's own event base and answers while that runs.
 */

#ifndef NAME_SERVER_H
#define NAME_SERVER_H

struct event_base;
struct name_server;

enum name_reply {
	NAME_ADDRESSES,		/* those of the family that was asked for; maybe none */
	NAME_LATER,		/* the same, but not before name_server_go_on() */
	NAME_MISSING,		/* there is no such name; so for all that was not added */
	NAME_FAILURE,		/* the server failed */
	NAME_REFUSED,		/* the server does not want to answer */
	NAME_SILENCE,
	NAME_GARBAGE,		/* bytes that are no message */
	NAME_TRUNCATED,		/* a message that says it is cut off */
	NAME_CUT_OFF,		/* a message that is cut off and does not say so */
	NAME_WRONG_ID,		/* the answer to a question that nobody asked */
	NAME_WRONG_QUESTION	/* the answer to this one is that to another */
};

struct name_server *name_server_new(struct event_base *base);
void name_server_free(struct name_server *server);

/* "127.0.0.1:PORT" */
const char *name_server_address(const struct name_server *server);

/* What it says of `name` from now on; addresses: numbers with blanks between, or "". */
void name_server_add(struct name_server *server, const char *name, enum name_reply reply,
		     const char *addresses);

/* Answer what was asked of NAME_LATER so far, and what will be. */
void name_server_go_on(struct name_server *server);

/* The questions that it was asked: one for each name and family, and each repetition. */
int name_server_questions(const struct name_server *server);

#endif /* NAME_SERVER_H */
