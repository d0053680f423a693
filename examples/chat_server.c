/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A chat room for nc and telnet.  What somebody says, everybody hears.
 *
 *	chat_server [port]		port 0 takes any that is free
 *
 * Lines end with CR LF or LF.  /nick NAME, /who and /quit are for the server.  Who does not
 * read what is said is dropped when too much of it waits, and who does not end a line, too.
 */

#define _POSIX_C_SOURCE 200809L

#include <netinet/in.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <asynchat.h>
#include <asyncore_event.h>

enum { LONGEST_LINE = 1000, LONGEST_NICK = 20, MOST_WAITING = 256 * 1024 };

/* --- a member: one line in, at most one to everybody --------------------------------- */

struct member {
	struct async_chat chat;		/* first: a member is a chat is a dispatcher */
	char nick[LONGEST_NICK + 1];
};

static const struct async_chat_type member_type;

/* The map is the list of members, with the server and others among them. */
static struct member *member_of(struct asyncore_dispatcher *d)
{
	return d->type == &member_type.dispatcher ? (struct member *)d : NULL;
}

static int hear(struct asyncore_dispatcher *d, void *line)
{
	struct member *member = member_of(d);

	if (member != NULL)
		async_chat_push(&member->chat, line, strlen(line));
	return 0;
}

/* One line to a member, or with NULL to everybody. */
static int tell(struct member *member, const char *format, ...)
{
	char line[LONGEST_LINE + LONGEST_NICK + 100];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line - 2, format, args);
	va_end(args);
	strcat(line, "\r\n");
	if (member == NULL)
		return asyncore_map_foreach(NULL, hear, line);
	return async_chat_push(&member->chat, line, strlen(line));
}

/* Has somebody this nick?  For asyncore_map_foreach(). */
static int has_nick(struct asyncore_dispatcher *d, void *nick)
{
	struct member *member = member_of(d);

	return member != NULL && strcmp(member->nick, nick) == 0;
}

static int list(struct asyncore_dispatcher *d, void *asker)
{
	struct member *member = member_of(d);

	return member != NULL ? tell(asker, "*   %s", member->nick) : 0;
}

static int rename_member(struct member *self, char *nick)
{
	char old[LONGEST_NICK + 1];
	const size_t len = strlen(nick);

	if (len == 0 || len > LONGEST_NICK || strchr(nick, ' ') != NULL)
		return tell(self, "* A nick has 1 to %d letters.", LONGEST_NICK);
	if (asyncore_map_foreach(NULL, has_nick, nick) != 0)
		return tell(self, "* %s is somebody else.", nick);
	strcpy(old, self->nick);
	strcpy(self->nick, nick);
	return tell(NULL, "* %s is %s now.", old, nick);
}

/* No control characters, which other people's terminals would obey, and none of the bytes
 * that telnet clients negotiate with: UTF-8 has neither. */
static void strip(char *line, size_t len)
{
	char *end = line;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c >= ' ' && c != 0x7f && c < 0xf8)
			*end++ = line[i];
	}
	*end = '\0';
}

static int member_found_line(struct async_chat *chat)
{
	struct member *self = (struct member *)chat;
	size_t len;
	char *line = async_chat_get_data(chat, &len);

	if (line == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	strip(line, len);
	if (line[0] == '\0')
		return 0;
	if (line[0] != '/')
		return tell(NULL, "%s: %s", self->nick, line);
	if (strncmp(line, "/nick ", 6) == 0)
		return rename_member(self, line + 6);
	if (strcmp(line, "/who") == 0)
		return asyncore_map_foreach(NULL, list, self);
	if (strcmp(line, "/quit") == 0) {
		tell(self, "* Goodbye.");
		return async_chat_close_when_done(chat);
	}
	return tell(self, "* /nick NAME, /who or /quit");
}

/* Close first: those who hear of it may be found gone, too, and come here again. */
static int member_close(struct asyncore_dispatcher *d)
{
	asyncore_close(d);
	return tell(NULL, "* %s has left.", ((struct member *)d)->nick);
}

static int member_output_limit(struct async_chat *chat, bool reached)
{
	if (!reached)
		return 0;
	async_chat_discard_buffers(chat);
	return member_close(&chat->dispatcher);
}

static const struct async_chat_type member_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "member",
		.handle_close = member_close,
		.dealloc = asyncore_dealloc_free,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = member_found_line,
	.output_limit = member_output_limit,
};

/* --- the server ----------------------------------------------------------------------- */

static int server_accepted(struct asyncore_dispatcher *self, int fd, const struct sockaddr *addr,
			   socklen_t addrlen)
{
	static unsigned guests;
	struct member *member = calloc(1, sizeof *member);
	int err = -ENOMEM;

	(void)addr, (void)addrlen;
	if (member != NULL)
		err = async_chat_init(&member->chat, &member_type, fd, NULL);
	if (err < 0) {
		free(member);
		close(fd);
		return ASYNCORE_RAISE(self, err);
	}
	/* From here on the map owns it. */
	snprintf(member->nick, sizeof member->nick, "guest%u", ++guests);
	async_chat_set_incoming_limit(&member->chat, LONGEST_LINE);
	async_chat_set_output_limit(&member->chat, MOST_WAITING, 0);
	err = async_chat_set_terminator(&member->chat, "\n", 1);
	if (err < 0)
		return asyncore_close(&member->chat.dispatcher);
	tell(member, "* Welcome.  /nick NAME, /who or /quit");
	return tell(NULL, "* %s is here.", member->nick);
}

/* The inherited one closes the channel: a server goes on. */
static int server_error(struct asyncore_dispatcher *self)
{
	char line[256] = "";

	asyncore_compact_traceback(self, line, sizeof line);
	return asyncore_log_info(self, line, "error");
}

static const struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
	.handle_error = server_error,
};

static int server_init(struct asyncore_dispatcher *self, int port)
{
	struct sockaddr_in addr = { 0 };
	socklen_t addrlen = sizeof addr;
	int err = asyncore_dispatcher_init(self, &server_type, -1, NULL);

	if (err < 0)
		return err;
	if ((err = asyncore_create_socket(self, AF_INET, SOCK_STREAM)) < 0 ||
	    (err = asyncore_set_reuse_addr(self)) < 0 ||
	    (err = asyncore_bind(self, "127.0.0.1", port)) < 0 ||
	    (err = asyncore_listen(self, 16)) < 0) {
		asyncore_close(self);
		return err;
	}
	if (getsockname(asyncore_socket(self), (struct sockaddr *)&addr, &addrlen) == 0)
		printf("chatting at 127.0.0.1 %d\n", ntohs(addr.sin_port));
	return 0;
}

/* --- the end: a signal pulls a trigger, which ends the loop ----------------------------- */

static struct asyncore_trigger *stop;

static void on_signal(int number)
{
	(void)number;
	asyncore_trigger_pull(stop);
}

static int leave_loop(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	return ASYNCORE_EXIT_NOW;
}

int main(int argc, char **argv)
{
	/* A second signal kills, as if we were not there. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	struct asyncore_dispatcher server;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	stop = asyncore_trigger_new(NULL, leave_loop, NULL, NULL);
	if (stop == NULL || sigaction(SIGTERM, &action, NULL) < 0 ||
	    sigaction(SIGINT, &action, NULL) < 0) {
		perror("chat_server");
		asyncore_trigger_free(stop);
		asyncore_map_free(NULL);
		return EXIT_FAILURE;
	}
	err = server_init(&server, argc > 1 ? atoi(argv[1]) : 4000);
	if (err == 0)
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	if (err == ASYNCORE_EXIT_NOW)
		tell(NULL, "* The server ends.");
	else if (err < 0)
		fprintf(stderr, "chat_server: %s\n", strerror(-err));
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	asyncore_trigger_free(stop);	/* nobody pulls it any more */
	asyncore_map_free(NULL);	/* closes every channel that is left */
	return err == ASYNCORE_EXIT_NOW ? EXIT_SUCCESS : EXIT_FAILURE;
}
