/* SPDX-License-Identifier: BSD-3-Clause */

/* name_server.c - see name_server.h. */

#include "name_server.h"
#include "support.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <strings.h>

enum { HEADER = 12, TYPE_A = 1, TYPE_AAAA = 28, NAMES = 8, KEPT = 256, MESSAGE = 1400 };

/* The first four bits of a reply's third word. */
enum { NO_ERROR = 0, SERVER_FAILED = 2, NO_SUCH_NAME = 3, REFUSED = 5 };

struct message {
	unsigned char data[MESSAGE];
	size_t len;
	struct sockaddr_in from;
};

struct name {
	const char *name;
	const char *addresses;
	enum name_reply reply;
};

struct name_server {
	struct event *event;
	int fd;
	char address[32];
	struct name names[NAMES];
	size_t nnames;
	struct message kept[KEPT];	/* questions to be answered later */
	size_t nkept;
	int questions;
};

/* --- messages ------------------------------------------------------------------------- */

static void append(struct message *m, const void *data, size_t len)
{
	ck_assert_uint_le(m->len + len, sizeof m->data);
	memcpy(m->data + m->len, data, len);
	m->len += len;
}

static void append_word(struct message *m, unsigned value)
{
	const unsigned char word[2] = { (unsigned char)(value >> 8), (unsigned char)value };

	append(m, word, sizeof word);
}

/* The name of the question as text, and its type; false for what is no question. */
static bool parse_question(const struct message *m, char name[256], int *type, size_t *end)
{
	size_t i = HEADER, len = 0, label;

	name[0] = '\0';
	while (i < m->len && (label = m->data[i++]) != 0) {
		if (label > 63 || i + label > m->len || len + label + 1 > 255)
			return false;
		if (len > 0)
			name[len++] = '.';
		memcpy(name + len, m->data + i, label);
		len += label;
		name[len] = '\0';
		i += label;
	}
	if (i + 4 > m->len)
		return false;
	*type = m->data[i] << 8 | m->data[i + 1];
	*end = i + 4;
	return true;
}

/* Append the addresses of this type; returns how many. */
static unsigned append_addresses(struct message *m, const char *addresses, int type)
{
	char copy[1024], *word, *rest = copy;
	unsigned n = 0;

	ck_assert_uint_lt(strlen(addresses), sizeof copy);
	strcpy(copy, addresses);
	while ((word = strsep(&rest, " ")) != NULL) {
		unsigned char raw[16];
		size_t len = type == TYPE_A ? 4 : 16;

		if (inet_pton(type == TYPE_A ? AF_INET : AF_INET6, word, raw) != 1)
			continue;
		append_word(m, 0xc000 | HEADER);	/* the name of the question */
		append_word(m, (unsigned)type);
		append_word(m, 1);			/* the Internet */
		append_word(m, 0);
		append_word(m, 60);			/* seconds to live */
		append_word(m, (unsigned)len);
		append(m, raw, len);
		n++;
	}
	return n;
}

/* --- answering ------------------------------------------------------------------------ */

static const struct name *find(const struct name_server *server, const char *name)
{
	static const struct name missing = { "", "", NAME_MISSING };
	size_t i;

	for (i = 0; i < server->nnames; i++)
		if (strcasecmp(server->names[i].name, name) == 0)
			return &server->names[i];
	return &missing;
}

static unsigned code_of(enum name_reply reply)
{
	switch (reply) {
	case NAME_MISSING:
		return NO_SUCH_NAME;
	case NAME_FAILURE:
		return SERVER_FAILED;
	case NAME_REFUSED:
		return REFUSED;
	default:
		return NO_ERROR;
	}
}

static void answer(struct name_server *server, const struct message *question,
		   const struct name *entry, int type, size_t question_end)
{
	struct message m = { .from = question->from };
	unsigned count = 0;

	append(&m, question->data, question_end);
	if (code_of(entry->reply) == NO_ERROR)
		count = append_addresses(&m, entry->addresses, type);
	m.data[2] = 0x81 | (entry->reply == NAME_TRUNCATED ? 0x02 : 0);
	m.data[3] = (unsigned char)(0x80 | code_of(entry->reply));
	m.data[7] = (unsigned char)count;
	memset(m.data + 8, 0, HEADER - 8);
	if (entry->reply == NAME_WRONG_ID)
		m.data[0] ^= 0xff;
	if (entry->reply == NAME_WRONG_QUESTION)
		m.data[HEADER + 1] ^= 0x01;
	if (entry->reply == NAME_CUT_OFF)
		m.len -= 3;
	if (entry->reply == NAME_GARBAGE)
		memset(m.data, 0xa5, m.len);
	sendto(server->fd, m.data, m.len, 0, (struct sockaddr *)&m.from, sizeof m.from);
}

static void handle(struct name_server *server, const struct message *question)
{
	const struct name *entry;
	char name[256];
	size_t end;
	int type;

	if (!parse_question(question, name, &type, &end))
		return;
	entry = find(server, name);
	if (entry->reply == NAME_LATER) {
		ck_assert_uint_lt(server->nkept, KEPT);
		server->kept[server->nkept++] = *question;
	} else if (entry->reply != NAME_SILENCE) {
		answer(server, question, entry, type, end);
	}
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
	struct name_server *server = arg;
	struct message m;
	socklen_t len = sizeof m.from;
	ssize_t n;

	(void)what;
	n = recvfrom(fd, m.data, sizeof m.data, 0, (struct sockaddr *)&m.from, &len);
	if (n < HEADER)
		return;
	m.len = (size_t)n;
	server->questions++;
	handle(server, &m);
}

/* --- the server ----------------------------------------------------------------------- */

struct name_server *name_server_new(struct event_base *base)
{
	struct name_server *server = calloc(1, sizeof *server);
	struct sockaddr_in addr = loopback(0);

	ck_assert_ptr_nonnull(server);
	server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(server->fd, 0);
	ck_assert_int_eq(bind(server->fd, (struct sockaddr *)&addr, sizeof addr), 0);
	snprintf(server->address, sizeof server->address, "127.0.0.1:%d", port_of(server->fd));
	server->event = event_new(base, server->fd, EV_READ | EV_PERSIST, on_question, server);
	ck_assert_ptr_nonnull(server->event);
	ck_assert_int_eq(event_add(server->event, NULL), 0);
	return server;
}

void name_server_free(struct name_server *server)
{
	event_free(server->event);
	close(server->fd);
	free(server);
}

const char *name_server_address(const struct name_server *server)
{
	return server->address;
}

void name_server_add(struct name_server *server, const char *name, enum name_reply reply,
		     const char *addresses)
{
	size_t i;

	for (i = 0; i < server->nnames && strcmp(server->names[i].name, name) != 0; i++)
		;
	ck_assert_uint_lt(i, NAMES);
	server->names[i] = (struct name){ name, addresses, reply };
	if (i == server->nnames)
		server->nnames++;
}

void name_server_go_on(struct name_server *server)
{
	size_t i;

	for (i = 0; i < server->nnames; i++)
		if (server->names[i].reply == NAME_LATER)
			server->names[i].reply = NAME_ADDRESSES;
	for (i = 0; i < server->nkept; i++)
		handle(server, &server->kept[i]);
	server->nkept = 0;
}

int name_server_questions(const struct name_server *server)
{
	return server->questions;
}
