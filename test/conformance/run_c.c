/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * run_c.c - run the scenarios of a group on the library, and write their traces.
 *
 *	run_c [-p] [-b BACKEND [-d]] [-g] GROUP.scenarios [NAME]
 *
 * -p: with use_poll.  -b: each map is on a foreign base with this backend (epoll, poll,
 * select); otherwise scenarios run in the default map.  -d: event_base_loop() drives those
 * bases.  -g: async_chat gathers its output.  FORMAT describes the scenarios and the traces;
 * run_python.py is the same on CPython.  Only the public interface is used.
 */

#include <asynchat.h>
#include <asyncore.h>
#include <asyncore_event.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	LONGEST = 80,		/* bytes that are shown one by one */
	PATIENCE = 5000,	/* ms */
	SECONDS = 10,		/* for one scenario */
	WORDS = 64,
	IGNORED = 4,		/* types of log_info() */
	ROOM = 48		/* channels, classes, descriptors ... of one scenario */
};

/* test/faults/run_conformance.c includes this file, and puts itself in between here. */
#ifndef RUN_C_INCLUDED
#define RUN_C_PERFORM(action, w, n) (action)(w, n)
#define RUN_C_BEGIN()
#define RUN_C_END()
#endif

static bool use_poll, driven, gather;
static bool quiet;		/* the scenario is over */
static unsigned long calls;	/* of methods, but for predicates */
static const char *backend;

/* ---- Words and traces ---- */

struct action {
	int count;
	char *word[WORDS];
};

struct bytes {
	char *data;
	size_t len;
};

static void fail(const char *what, const char *word)
{
	fflush(stdout);
	fprintf(stderr, "run_c: %s: %s\n", what, word);
	exit(2);
}

static void *made(void *memory)
{
	if (memory == NULL)
		fail("no memory", "");
	return memory;
}

static const char *name_of(int code)
{
	const char *name;

	if (code == ASYNCORE_EXIT_NOW)
		return "EXIT_NOW";
	if (code == -ENOTSUP)
		return "ENOTSUP";
	name = strerrorname_np(-code);
	return name != NULL ? name : "unknown";
}

static int errno_of(const char *name)
{
	int e;

	for (e = 1; e < 256; e++)
		if (strerrorname_np(e) != NULL && strcmp(strerrorname_np(e), name) == 0)
			return e;
	fail("no such errno", name);
	return 0;
}

/* The bytes that a word stands for; the caller frees them. */
static struct bytes literal(const char *word)
{
	size_t len = strlen(word), end = len, once, i;
	long times = 1;
	struct bytes b;

	while (end > 0 && isdigit((unsigned char)word[end - 1]))
		end--;
	if (end > 1 && end < len && word[end - 1] == '*') {
		times = atol(word + end);
		len = end - 1;
	}
	b.data = made(malloc(len * (size_t)times + 1));
	b.len = 0;
	for (i = 0; i < len; i++) {
		char c = word[i];

		if (c == '\\') {
			c = word[++i];
			if (c == 'x') {
				char hex[3] = { word[i + 1], word[i + 2], '\0' };

				c = (char)strtol(hex, NULL, 16);
				i += 2;
			} else {
				c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t'
				  : c == '0' ? '\0' : c == 's' ? ' ' : c;
			}
		}
		b.data[b.len++] = c;
	}
	if (strcmp(word, "-") == 0)
		b.len = 0;
	once = b.len;
	for (; times > 1; times--, b.len += once)
		memcpy(b.data + b.len, b.data, once);
	return b;
}

static void escaped(const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c > 32 && c < 127 && c != '"' && c != '\\')
			putchar(c);
		else
			printf("\\x%02x", c);
	}
}

static void show(const void *bytes, size_t len)
{
	const char *data = bytes;
	unsigned long total = 0;
	size_t i;

	if (len <= LONGEST) {
		putchar('"');
		escaped(data, len);
		putchar('"');
		return;
	}
	for (i = 0; i < len; i++)
		total += (unsigned char)data[i] * (i % 251 + 1);
	printf("[%zu \"", len);
	escaped(data, 8);
	printf("\"..\"");
	escaped(data + len - 8, 8);
	printf("\" %lu]", total % 65536);
}

static void show_line(const char *before, const void *data, size_t len, const char *after)
{
	fputs(before, stdout);
	show(data, len);
	puts(after);
}

static const char *kind_of(const struct sockaddr *addr)
{
	if (addr == NULL)
		return "none";
	return addr->sa_family == AF_INET ? "inet" : addr->sa_family == AF_INET6 ? "inet6"
	     : "unix";
}

/* A log line, without what is another one each time. */
static void normal(const char *message)
{
	const char *p = message, *end;
	bool inside = false;

	while (*p != '\0') {
		inside = (inside || *p == '<') && *p != '>';
		if (strncmp(p, "127.0.0.1:", 10) == 0) {
			fputs("127.0.0.1:PORT", stdout);
			p += 10 + strspn(p + 10, "0123456789");
		} else if (strncmp(p, " at 0x", 6) == 0) {
			fputs(" at ID", stdout);
			p += 6 + strspn(p + 6, "0123456789abcdef");
		} else if (inside && *p == '\'' && (end = strchr(p + 1, '\'')) != NULL) {
			fputs("UNIX", stdout);
			p = end + 1;
		} else {
			putchar(*p++);
		}
	}
}

/* ---- What a scenario has ---- */

#define METHODS(M) \
	M(handle_read) M(handle_write) M(handle_expt) M(handle_connect) M(handle_close) \
	M(handle_error) M(handle_accept) M(handle_accepted) M(log) M(log_info) \
	M(collect_incoming_data) M(found_terminator) M(readable) M(writable) \
	M(handle_read_event) M(handle_write_event) M(handle_expt_event) \
	M(handle_connect_event) M(send) M(recv) M(close) M(add_channel) M(del_channel) \
	M(initiate_send) M(get_terminator)

#define ENUM(name) M_##name,
enum method { METHODS(ENUM) MANY };
#define NAME(name) #name,
static const char *const method_name[] = { METHODS(NAME) };

enum kind { DISPATCHER, WITH_SEND, FILE_DISPATCHER, CHAT };

struct class {
	char *name, *declaration;
	enum kind kind;
	struct async_chat_type type;
	const char *ignored[IGNORED + 1];
	char *ignored_text;
	struct class *older;
};

struct channel {
	union {
		struct asyncore_dispatcher dispatcher;
		struct asyncore_dispatcher_with_send with_send;
		struct asyncore_file_dispatcher file;
		struct async_chat chat;
	} u;
	char *name;
	const struct class *class;
	int calls[MANY];
	char last[256];			/* the state that was shown */
	struct channel *next;
};

struct named_map {
	char *name;
	struct asyncore_map *map;
	struct event_base *base;	/* foreign, or NULL */
	int left;			/* driven: what left the loop */
	size_t last;
};

struct named_fd {
	char *name;
	int fd;
};

struct named_addr {
	char *name;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_un un;
	} u;
	socklen_t len;
};

struct behaviour {
	char *channel, *method, *number;
	struct action *actions;
	int count;
};

/* A table stays in place as long as the process uses the library: none is freed, and a
 * scenario that declares a class as another one did has the same. */
static struct class *all_classes;
static struct class *classes[ROOM];
static struct named_map maps[ROOM];
static struct named_fd fds[ROOM];
static struct named_addr addresses[ROOM];
static struct behaviour behaviours[4 * ROOM];
static int class_count, map_count, fd_count, address_count, behaviour_count;
static struct channel *channels, **channels_end = &channels;
static char directory[64];

static int act(const struct action *a);

static struct channel *find_channel(const char *name)
{
	struct channel *ch, *found = NULL;

	/* The last of the name: what failed to be made leaves the list. */
	for (ch = channels; ch != NULL; ch = ch->next)
		if (strcmp(ch->name, name) == 0)
			found = ch;
	return found;
}

static struct channel *channel(const char *name)
{
	struct channel *ch = find_channel(name);

	if (ch == NULL)
		fail("no such channel", name);
	return ch;
}

static struct asyncore_dispatcher *disp(const char *name)
{
	return &channel(name)->u.dispatcher;
}

static struct async_chat *chat(const char *name)
{
	struct channel *ch = channel(name);

	if (ch->class->kind != CHAT)
		fail("not a chat", name);
	return &ch->u.chat;
}

static struct named_map *named_map(const char *name)
{
	int i;

	for (i = 0; i < map_count; i++)
		if (strcmp(maps[i].name, name) == 0)
			return &maps[i];
	fail("no such map", name);
	return NULL;
}

static struct asyncore_map *map_of(const char *name)
{
	return named_map(name)->map;
}

/* Where a map may be left out: the channel's own one, as in Python. */
static struct asyncore_map *map_or_own(const char *name)
{
	return name == NULL || strcmp(name, "-") == 0 ? NULL : map_of(name);
}

static struct named_fd *find_fd(const char *name)
{
	int i;

	for (i = 0; i < fd_count; i++)
		if (strcmp(fds[i].name, name) == 0)
			return &fds[i];
	return NULL;
}

static int fd_of(const char *name)
{
	struct named_fd *f = find_fd(name);

	return f != NULL ? f->fd : asyncore_socket(disp(name));
}

static void set_fd(const char *name, int fd)
{
	if (fd < 0)
		fail(strerror(errno), name);
	if (fd_count == ROOM)
		fail("too many descriptors", name);
	fds[fd_count++] = (struct named_fd){ made(strdup(name)), fd };
}

/* It is somebody else's now. */
static void forget_fd(const char *name)
{
	struct named_fd *f = find_fd(name);

	if (f == NULL)
		fail("no such descriptor", name);
	free(f->name);
	*f = fds[--fd_count];
}

static void set_address(const char *name, int fd)
{
	struct named_addr *a = &addresses[address_count++];

	a->name = made(strdup(name));
	a->len = sizeof a->u;
	if (getsockname(fd, &a->u.any, &a->len) < 0)
		fail(strerror(errno), name);
}

static const struct named_addr *address(const char *name)
{
	int i;

	for (i = address_count - 1; i >= 0; i--)
		if (strcmp(addresses[i].name, name) == 0)
			return &addresses[i];
	fail("no such address", name);
	return NULL;
}

static bool wait_fd(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, PATIENCE) > 0;
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail(strerror(errno), what);
}

static void non_blocking(int fd)
{
	must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), "fcntl");
}

/* ---- The methods of every class ---- */

/* A call, with the arguments that the method has. */
struct call {
	struct asyncore_dispatcher *d;
	const void *data;
	void *buffer;
	size_t len;
	int fd;
	const struct sockaddr *addr;
	socklen_t addrlen;
	struct asyncore_map *map;
	struct async_chat_terminator *terminator;
};

/* What the parent does. */
static int up(enum method m, const struct call *c)
{
	struct asyncore_dispatcher *d = c->d;
	const enum kind kind = ((struct channel *)d)->class->kind;

	switch (m) {
#define UP(name) case M_##name: return asyncore_dispatcher_##name(d);
	UP(handle_expt) UP(handle_connect) UP(handle_error) UP(handle_accept)
	UP(handle_read_event) UP(handle_write_event) UP(handle_expt_event)
	UP(handle_connect_event) UP(close)
#undef UP
	case M_handle_read:
		return kind == CHAT ? async_chat_handle_read(d) : asyncore_dispatcher_handle_read(d);
	case M_handle_write:
		return kind == CHAT ? async_chat_handle_write(d)
		     : kind == WITH_SEND ? asyncore_dispatcher_with_send_handle_write(d)
		     : asyncore_dispatcher_handle_write(d);
	case M_handle_close:
		return kind == CHAT ? async_chat_handle_close(d)
		     : asyncore_dispatcher_handle_close(d);
	case M_handle_accepted:
		return asyncore_dispatcher_handle_accepted(d, c->fd, c->addr, c->addrlen);
	case M_readable:
		return kind == CHAT ? async_chat_readable(d) : asyncore_dispatcher_readable(d);
	case M_writable:
		return kind == CHAT ? async_chat_writable(d)
		     : kind == WITH_SEND ? asyncore_dispatcher_with_send_writable(d)
		     : asyncore_dispatcher_writable(d);
	case M_send:
		return kind == WITH_SEND
		       ? asyncore_dispatcher_with_send_send(d, c->data, c->len)
		       : asyncore_dispatcher_send(d, c->data, c->len);
	case M_recv:
		return asyncore_dispatcher_recv(d, c->buffer, c->len);
	case M_add_channel:
		return asyncore_dispatcher_add_channel(d, c->map);
	case M_del_channel:
		return asyncore_dispatcher_del_channel(d, c->map);
	case M_initiate_send:
		return kind == CHAT ? async_chat_initiate_send(d)
		     : asyncore_dispatcher_with_send_initiate_send(d);
	case M_get_terminator:
		return async_chat_get_terminator_default((struct async_chat *)d, c->terminator);
	case M_collect_incoming_data:
		return async_chat_type.collect_incoming_data((struct async_chat *)d, c->data,
							     c->len);
	case M_found_terminator:
		return async_chat_type.found_terminator((struct async_chat *)d);
	default:
		fail("nothing to call up", method_name[m]);
		return 0;
	}
}

static void show_arguments(enum method m, const struct call *c)
{
	const struct asyncore_error *error;

	switch (m) {
	case M_handle_error:
		error = asyncore_error(c->d);
		printf(" %s", error != NULL ? name_of(error->code) : "none");
		break;
	case M_handle_accepted:
		printf(" %s", kind_of(c->addr));
		break;
	case M_send:
	case M_collect_incoming_data:
		putchar(' ');
		show(c->data, c->len);
		break;
	case M_recv:
		printf(" %zu", c->len);
		break;
	default:
		break;
	}
	putchar('\n');
}

/* What the scenario says for this call; NULL: nothing. */
static const struct behaviour *behaviour_of(const struct channel *ch, enum method m)
{
	const struct behaviour *any = NULL;
	int i;

	for (i = 0; i < behaviour_count; i++) {
		const struct behaviour *b = &behaviours[i];

		if (strcmp(b->channel, ch->name) != 0 || strcmp(b->method, method_name[m]) != 0)
			continue;
		if (strcmp(b->number, "*") == 0)
			any = b;
		else if (atoi(b->number) == ch->calls[m])
			return b;
	}
	return any;
}

static int by_default(enum method m, const struct call *c)
{
	struct async_chat *self = (struct async_chat *)c->d;
	char *data;
	size_t len;

	if (m == M_collect_incoming_data)
		return async_chat_collect_default(self, c->data, c->len);
	if (m == M_found_terminator) {
		data = async_chat_get_data(self, &len);
		if (data == NULL)
			return ASYNCORE_RAISE(c->d, -ENOMEM);
		show_line("  data ", data, len, "");
		return 0;
	}
	return up(m, c);
}

static int called(enum method m, const struct call *c)
{
	struct channel *ch = (struct channel *)c->d;
	const struct behaviour *b;
	struct named_fd *left;
	int i, r = 0, result = 0;

	if (quiet)
		return m == M_collect_incoming_data || m == M_found_terminator ? 0 : up(m, c);
	ch->calls[m]++;
	calls += m != M_readable && m != M_writable;
	printf("%s %s.%s", m >= M_readable && (m < M_handle_read_event ||
	       m > M_handle_connect_event) ? "." : ">", ch->name, method_name[m]);
	show_arguments(m, c);
	b = behaviour_of(ch, m);
	if (b == NULL)
		return by_default(m, c);
	if (m == M_handle_accepted)
		set_fd("accepted", c->fd);
	for (i = 0; i < b->count && r >= 0; i++) {
		const struct action *a = &b->actions[i];

		if (strcmp(a->word[0], "super") == 0) {
			if (m == M_handle_accepted)
				forget_fd("accepted");
			r = result = up(m, c);
		} else if (strcmp(a->word[0], "return") == 0) {
			result = atoi(a->word[1]);
		} else {
			r = act(a);
		}
	}
	left = m == M_handle_accepted ? find_fd("accepted") : NULL;
	if (left != NULL) {
		close(left->fd);
		forget_fd("accepted");
	}
	return r < 0 ? r : result;
}

#define PLAIN(name) \
	static int run_##name(struct asyncore_dispatcher *d) \
	{ \
		return called(M_##name, &(struct call){ .d = d }); \
	}
PLAIN(readable) PLAIN(writable) PLAIN(handle_read) PLAIN(handle_write) PLAIN(handle_expt)
PLAIN(handle_connect) PLAIN(handle_close) PLAIN(handle_error) PLAIN(handle_accept)
PLAIN(handle_read_event) PLAIN(handle_write_event) PLAIN(handle_expt_event)
PLAIN(handle_connect_event) PLAIN(close) PLAIN(initiate_send)

static int run_handle_accepted(struct asyncore_dispatcher *d, int fd,
			       const struct sockaddr *addr, socklen_t addrlen)
{
	return called(M_handle_accepted, &(struct call){ .d = d, .fd = fd, .addr = addr,
							 .addrlen = addrlen });
}

static int run_send(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	return called(M_send, &(struct call){ .d = d, .data = data, .len = len });
}

static int run_recv(struct asyncore_dispatcher *d, void *buffer, size_t len)
{
	return called(M_recv, &(struct call){ .d = d, .buffer = buffer, .len = len });
}

static int run_add_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	return called(M_add_channel, &(struct call){ .d = d, .map = map });
}

static int run_del_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	return called(M_del_channel, &(struct call){ .d = d, .map = map });
}

static int run_log(struct asyncore_dispatcher *d, const char *message)
{
	printf("log %s log: ", ((struct channel *)d)->name);
	normal(message);
	putchar('\n');
	return 0;
}

static int run_log_info(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	const char *error = strncmp(message, "uncaptured", 10) == 0 ? strstr(message, "> (") : NULL;
	char *line = made(strdup(message));

	/* Of the report of an error, its name: the text and the marks are ours. */
	if (error != NULL) {
		size_t at = (size_t)(error - message);

		strcpy(line + at + 3 + strcspn(error + 3, ":"), ")");
	}
	printf("log %s %s: ", ((struct channel *)d)->name, type);
	normal(line);
	putchar('\n');
	free(line);
	return 0;
}

static int run_collect_incoming_data(struct async_chat *self, const void *data, size_t len)
{
	return called(M_collect_incoming_data,
		      &(struct call){ .d = &self->dispatcher, .data = data, .len = len });
}

static int run_found_terminator(struct async_chat *self)
{
	return called(M_found_terminator, &(struct call){ .d = &self->dispatcher });
}

static int run_get_terminator(struct async_chat *self, struct async_chat_terminator *terminator)
{
	return called(M_get_terminator, &(struct call){ .d = &self->dispatcher,
							.terminator = terminator });
}

/* ---- Classes ---- */

static void set_method(struct class *class, const char *method, bool on)
{
	struct asyncore_dispatcher_type *t = &class->type.dispatcher;

#define SET(place, name) \
	if (strcmp(method, #name) == 0) { \
		(place)->name = on ? run_##name : NULL; \
		return; \
	}
	SET(t, handle_read) SET(t, handle_write) SET(t, handle_expt) SET(t, handle_connect)
	SET(t, handle_close) SET(t, handle_error) SET(t, handle_accept) SET(t, handle_accepted)
	SET(t, log) SET(t, log_info) SET(t, readable) SET(t, writable)
	SET(t, handle_read_event) SET(t, handle_write_event) SET(t, handle_expt_event)
	SET(t, handle_connect_event) SET(t, send) SET(t, recv) SET(t, close)
	SET(t, add_channel) SET(t, del_channel) SET(t, initiate_send)
	SET(&class->type, collect_incoming_data) SET(&class->type, found_terminator)
	SET(&class->type, get_terminator)
#undef SET
	fail("no such method", method);
}

static void set_methods(struct class *class, const char *names)
{
	char *list = made(strdup(names)), *name, *rest = NULL;

	for (name = strtok_r(list, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest))
		set_method(class, name, true);
	free(list);
}

/* TYPE,TYPE ... */
static void ignore_log_types(struct class *class, const char *types)
{
	char *list = made(strdup(types)), *type, *rest = NULL;
	size_t n = 0;

	for (type = strtok_r(list, ",", &rest); type != NULL && n < IGNORED;
	     type = strtok_r(NULL, ",", &rest))
		class->ignored[n++] = type;
	class->ignored_text = list;
	class->type.dispatcher.ignore_log_types = class->ignored;
}

static void make_class(const struct action *a)
{
	static const struct {
		const char *name;
		const char *methods;
	} groups[] = {
		{ "+predicates", "readable writable" },
		{ "+events", "handle_read_event handle_write_event handle_expt_event "
			     "handle_connect_event" },
		{ "+io", "send recv" },
		{ "+life", "close add_channel del_channel" },
		{ "+initiate", "initiate_send" },
		{ "+terminator", "get_terminator" },
	};
	static const struct {
		const char *name;
		const struct asyncore_dispatcher_type *type;
	} kinds[] = {
		[DISPATCHER] = { "dispatcher", &asyncore_dispatcher_type },
		[WITH_SEND] = { "with_send", &asyncore_dispatcher_with_send_type },
		[FILE_DISPATCHER] = { "file", &asyncore_file_dispatcher_type },
		[CHAT] = { "chat", &async_chat_type.dispatcher },
	};
	struct class *class;
	char declaration[512] = "";
	size_t i;
	int w;

	for (w = 1; w < a->count; w++)
		snprintf(declaration + strlen(declaration),
			 sizeof declaration - strlen(declaration), " %s", a->word[w]);
	for (class = all_classes; class != NULL; class = class->older)
		if (strcmp(class->declaration, declaration) == 0) {
			classes[class_count++] = class;
			return;
		}
	class = made(calloc(1, sizeof *class));
	class->declaration = made(strdup(declaration));
	class->older = all_classes;
	all_classes = class;
	classes[class_count++] = class;
	class->name = made(strdup(a->word[1]));
	for (i = 0; strcmp(kinds[i].name, a->word[2]) != 0; i++)
		if (i == CHAT)
			fail("no such kind", a->word[2]);
	class->kind = (enum kind)i;
	class->type.dispatcher.base = kinds[i].type;
	class->type.dispatcher.name = class->name;
	set_methods(class, "handle_read handle_write handle_expt handle_connect handle_close "
		    "handle_error handle_accept handle_accepted log log_info");
	if (class->kind == CHAT) {
		set_methods(class, "collect_incoming_data found_terminator");
		if (!gather)
			class->type.dispatcher.flags = ASYNC_CHAT_SEND_AT_ONCE;
	}
	for (w = 3; w < a->count; w++) {
		if (strncmp(a->word[w], "ignore:", 7) == 0) {
			ignore_log_types(class, a->word[w] + 7);
			continue;
		}
		if (a->word[w][0] == '-') {
			set_method(class, a->word[w] + 1, false);
			continue;
		}
		for (i = 0; strcmp(groups[i].name, a->word[w]) != 0; i++)
			if (i == sizeof groups / sizeof *groups - 1)
				fail("no such group of methods", a->word[w]);
		set_methods(class, groups[i].methods);
	}
}

/* ---- Actions: the descriptors and the peer ---- */

#define ACTION(name) static int do_##name(char *const *w, int n)
#define UNUSED (void)w, (void)n

ACTION(raise)
{
	UNUSED;
	return -errno_of(w[1]);
}

ACTION(exit)
{
	UNUSED;
	return ASYNCORE_EXIT_NOW;
}

ACTION(nothing)
{
	UNUSED;
	return 0;
}

ACTION(say)
{
	int i;

	putchar(' ');
	for (i = 1; i < n; i++)
		printf(" %s", w[i]);
	putchar('\n');
	return 0;
}

static int new_pair(char *const *w, int type)
{
	int fd[2];

	must(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), "pair");
	set_fd(w[1], fd[0]);
	set_fd(w[2], fd[1]);
	return 0;
}

ACTION(pair)
{
	UNUSED;
	return new_pair(w, SOCK_STREAM);
}

ACTION(dgrampair)
{
	UNUSED;
	return new_pair(w, SOCK_DGRAM);
}

static int bound(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(bind(fd, (struct sockaddr *)&in, sizeof in), "bind");
	return fd;
}

ACTION(tcppair)
{
	int listener = bound(), fd[2], i, one = 1;
	struct sockaddr_in in;
	socklen_t len = sizeof in;

	UNUSED;
	must(listen(listener, 1), "listen");
	must(getsockname(listener, (struct sockaddr *)&in, &len), "getsockname");
	fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(fd[1], (struct sockaddr *)&in, len), "connect");
	fd[0] = accept(listener, NULL, NULL);
	close(listener);
	for (i = 0; i < 2; i++) {
		non_blocking(fd[i]);
		must(setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "nodelay");
		set_fd(w[1 + i], fd[i]);
	}
	return 0;
}

ACTION(pipe)
{
	int fd[2];

	UNUSED;
	must(pipe(fd), "pipe");
	set_fd(w[1], fd[0]);
	set_fd(w[2], fd[1]);
	return 0;
}

static const char *in_directory(const char *name)
{
	static char path[sizeof directory + 40];

	if (directory[0] == '\0') {
		strcpy(directory, "/tmp/conformance.XXXXXX");
		made(mkdtemp(directory));
	}
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

ACTION(file)
{
	struct bytes b = literal(w[2]);
	int fd = open(in_directory(w[1]), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	UNUSED;
	set_fd(w[1], fd);
	must((int)pwrite(fd, b.data, b.len, 0), "pwrite");
	free(b.data);
	return 0;
}

ACTION(socket)
{
	UNUSED;
	set_fd(w[1], socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	return 0;
}

ACTION(refused)
{
	int fd = bound();

	UNUSED;
	set_fd(w[1], fd);
	set_address(w[1], fd);
	return 0;
}

ACTION(listener)
{
	do_refused(w, n);
	must(listen(fd_of(w[1]), 5), "listen");
	non_blocking(fd_of(w[1]));
	return 0;
}

ACTION(path)
{
	struct named_addr *a = &addresses[address_count++];

	UNUSED;
	memset(a, 0, sizeof *a);
	a->name = made(strdup(w[1]));
	a->u.un.sun_family = AF_UNIX;
	snprintf(a->u.un.sun_path, sizeof a->u.un.sun_path, "%s", in_directory(w[1]));
	a->len = sizeof a->u.un;
	return 0;
}

ACTION(address)
{
	UNUSED;
	set_address(w[1], fd_of(w[2]));
	return 0;
}

ACTION(put)
{
	struct bytes b = literal(w[2]);
	size_t done = 0;
	ssize_t r;

	UNUSED;
	while (done < b.len) {
		if (!wait_fd(fd_of(w[1]), POLLOUT))
			fail("cannot put", w[1]);
		/* The library's own signals are to be seen. */
		r = send(fd_of(w[1]), b.data + done, b.len - done, MSG_NOSIGNAL);
		if (r < 0 && errno == ENOTSOCK)
			r = write(fd_of(w[1]), b.data + done, b.len - done);
		if (r < 0) {
			free(b.data);
			return -errno;
		}
		done += (size_t)r;
	}
	free(b.data);
	return 0;
}

/* One write, of nothing, too. */
ACTION(datagram)
{
	struct bytes b = literal(w[2]);

	UNUSED;
	must((int)write(fd_of(w[1]), b.data, b.len), "write");
	free(b.data);
	return 0;
}

static rlim_t usual_files;	/* 0: as usual */

ACTION(files)
{
	struct rlimit limit;

	UNUSED;
	must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	if (usual_files != 0)
		limit.rlim_cur = usual_files;
	usual_files = 0;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

/* From now on there is no descriptor to be had. */
ACTION(no_files)
{
	struct rlimit limit;
	int next = dup(STDIN_FILENO);

	do_files(w, n);
	must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	must(next, "dup");
	close(next);
	usual_files = limit.rlim_cur;
	limit.rlim_cur = (rlim_t)next;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

/* Read until there is nothing more (most -1), or so many bytes; wait or not. */
static int receive(const char *name, ssize_t most, bool patient, bool how)
{
	size_t room = 65536, len = 0;
	char *data = made(malloc(room)), end[40] = "", before[80];
	ssize_t r;

	for (;;) {
		size_t want = most < 0 ? 65536 : (size_t)most - len;

		if (most >= 0 && want == 0)
			break;
		if (len + want > room)
			data = made(realloc(data, room = 2 * (len + want)));
		if (patient && !wait_fd(fd_of(name), POLLIN)) {
			strcpy(end, " open");
			break;
		}
		r = read(fd_of(name), data + len, want);
		if (r < 0 && errno == EAGAIN)
			break;
		if (r < 0)
			snprintf(end, sizeof end, " %s", name_of(-errno));
		else if (r == 0)
			strcpy(end, " end");
		if (r <= 0)
			break;
		len += (size_t)r;
	}
	snprintf(before, sizeof before, "< %s ", name);
	show_line(before, data, len, how ? end : "");
	free(data);
	return 0;
}

ACTION(take)
{
	UNUSED;
	return receive(w[1], atol(w[2]), true, false);
}

ACTION(look)
{
	UNUSED;
	return receive(w[1], -1, false, true);
}

ACTION(drain)
{
	UNUSED;
	return receive(w[1], -1, true, true);
}

ACTION(fill)
{
	static const char full[65536] = "";
	char *x = made(malloc(sizeof full));

	UNUSED;
	memset(x, 'x', sizeof full);
	while (write(fd_of(w[1]), x, sizeof full) > 0)
		;
	free(x);
	return 0;
}

ACTION(empty)
{
	char *x = made(malloc(65536));

	UNUSED;
	while (read(fd_of(w[1]), x, 65536) > 0)
		;
	free(x);
	return 0;
}

ACTION(shut)
{
	UNUSED;
	return shutdown(fd_of(w[1]), SHUT_WR) < 0 ? -errno : 0;
}

ACTION(end)
{
	struct named_fd *f = find_fd(w[1]);

	UNUSED;
	if (f == NULL)
		fail("no such descriptor", w[1]);
	close(f->fd);
	forget_fd(w[1]);
	return 0;
}

ACTION(reset)
{
	struct linger linger = { .l_onoff = 1 };

	must(setsockopt(fd_of(w[1]), SOL_SOCKET, SO_LINGER, &linger, sizeof linger), "linger");
	return do_end(w, n);
}

ACTION(urgent)
{
	struct bytes b = literal(w[2]);

	UNUSED;
	must((int)send(fd_of(w[1]), b.data, b.len, MSG_OOB), "send");
	free(b.data);
	return 0;
}

ACTION(oob)
{
	char byte;
	ssize_t r = recv(fd_of(w[1]), &byte, 1, MSG_OOB);

	UNUSED;
	if (r < 0)
		return -errno;
	show_line("-> ", &byte, (size_t)r, "");
	return 0;
}

ACTION(dial)
{
	const struct named_addr *a = address(w[2]);
	int fd = socket(a->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	UNUSED;
	set_fd(w[1], fd);
	must(connect(fd, &a->u.any, a->len), "connect");
	non_blocking(fd);
	return 0;
}

ACTION(pickup)
{
	int fd;

	UNUSED;
	wait_fd(fd_of(w[2]), POLLIN);
	fd = accept4(fd_of(w[2]), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	set_fd(w[1], fd);
	return 0;
}

ACTION(wait)
{
	const char what = n > 2 ? w[2][0] : 'r';

	if (!wait_fd(fd_of(w[1]), what == 'r' ? POLLIN : what == 'w' ? POLLOUT
		     : what == 'e' ? POLLPRI : 0))
		puts("! wait ETIMEDOUT");
	return 0;
}

/* ---- Actions: the loop and the maps ---- */

/* What leaves the application's loop. */
static void on_left(struct asyncore_map *map, int result, void *arg)
{
	struct named_map *m = arg;

	(void)map;
	m->left = result;
	event_base_loopbreak(m->base);
}

static void on_stop(evutil_socket_t fd, short what, void *base)
{
	(void)fd, (void)what;
	event_base_loopbreak(base);
}

static int result_of(struct named_map *m)
{
	int result = m->left;

	m->left = 0;
	return result;
}

/*
 * A pass of the application's loop.  What was told since the last one is registered first,
 * as it would be while that loop waits: an event of ours, behind the map's own one, stops
 * libevent before it comes to channels.  A turn in which nothing is called is no pass yet:
 * after a predicate raised, the map asks the others in one of its own.
 */
static int drive(struct named_map *m)
{
	struct event *stop = made(event_new(m->base, -1, 0, on_stop, m->base));
	const unsigned long before = calls;
	int turn;

	event_active(stop, EV_TIMEOUT, 0);
	event_base_loop(m->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	event_free(stop);
	for (turn = 0; turn < 2 && m->left == 0 && calls == before; turn++)
		event_base_loop(m->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	return result_of(m);
}

static int drive_loop(struct named_map *m, int count)
{
	int r = 0;

	if (count < 0) {
		event_base_dispatch(m->base);
		return result_of(m);
	}
	for (; count > 0 && r == 0 && asyncore_map_size(m->map) > 0; count--)
		r = drive(m);
	return r;
}

ACTION(poll)
{
	struct asyncore_map *map = map_of(n > 1 ? w[1] : "-");
	double timeout = n > 2 ? atof(w[2]) : 0.0;

	if (driven)
		return drive(named_map(n > 1 ? w[1] : "-"));
	return use_poll ? asyncore_poll2(timeout, map) : asyncore_poll(timeout, map);
}

ACTION(pass)
{
	struct asyncore_map *map = map_of("-");
	double timeout = n > 2 ? atof(w[2]) : 0.0;

	return strcmp(w[1], "poll") == 0 ? asyncore_poll(timeout, map)
	     : strcmp(w[1], "poll2") == 0 ? asyncore_poll2(timeout, map)
	     : asyncore_poll3(timeout, map);
}

ACTION(loop)
{
	int count = strcmp(w[1], "all") == 0 ? -1 : atoi(w[1]);

	if (driven)
		return drive_loop(named_map(n > 3 ? w[3] : "-"), count);
	return asyncore_loop(n > 2 ? atof(w[2]) : 5.0, use_poll, map_of(n > 3 ? w[3] : "-"),
			     count);
}

ACTION(read)
{
	UNUSED;
	return asyncore_read(disp(w[1]));
}

ACTION(write)
{
	UNUSED;
	return asyncore_write(disp(w[1]));
}

ACTION(exception)
{
	UNUSED;
	return asyncore_exception(disp(w[1]));
}

ACTION(readwrite)
{
	static const struct {
		const char *name;
		int flag;
	} flags[] = {
		{ "IN", POLLIN }, { "OUT", POLLOUT }, { "PRI", POLLPRI }, { "HUP", POLLHUP },
		{ "ERR", POLLERR }, { "NVAL", POLLNVAL },
	};
	int i, value = 0;
	size_t f;

	for (i = 2; i < n; i++)
		for (f = 0; f < sizeof flags / sizeof *flags; f++)
			if (strcmp(flags[f].name, w[i]) == 0)
				value |= flags[f].flag;
	return asyncore_readwrite(disp(w[1]), value);
}

ACTION(close_all)
{
	return asyncore_close_all(map_of(n > 1 ? w[1] : "-"), n > 2 && strcmp(w[2], "0") != 0);
}

static struct event_base *foreign_base(void)
{
	static const char *const all[] = { "epoll", "poll", "select" };
	struct event_config *config = made(event_config_new());
	struct event_base *base;
	size_t i;

	for (i = 0; i < 3; i++)
		if (strcmp(all[i], backend) != 0)
			event_config_avoid_method(config, all[i]);
	base = made(event_base_new_with_config(config));
	event_config_free(config);
	if (strcmp(event_base_get_method(base), backend) != 0)
		fail("libevent has no such backend", backend);
	return base;
}

/* The default map, if it may be. */
static void add_map(const char *name, bool is_default)
{
	struct named_map *m = &maps[map_count];

	if (map_count == ROOM)
		fail("too many maps", name);
	memset(m, 0, sizeof *m);
	m->name = made(strdup(name));
	m->last = is_default ? 0 : (size_t)-1;
	if (backend != NULL)
		m->base = foreign_base();
	m->map = is_default && backend == NULL ? asyncore_socket_map()
					       : asyncore_map_new(m->base);
	if (m->map == NULL && m->base != NULL)
		event_base_free(m->base);
	made(m->map);
	map_count++;
	if (driven)
		must(asyncore_map_set_exit_cb(m->map, on_left, m), "asyncore_map_set_exit_cb");
}

ACTION(map)
{
	UNUSED;
	add_map(w[1], false);
	return 0;
}

ACTION(who)
{
	struct asyncore_dispatcher *d = asyncore_map_get(map_of(n > 2 ? w[2] : "-"),
							 fd_of(w[1]));

	printf("-> %s\n", d != NULL ? ((struct channel *)d)->name : "none");
	return 0;
}

static int visit_name(struct asyncore_dispatcher *d, void *first)
{
	printf(*(bool *)first ? "%s" : " %s", ((struct channel *)d)->name);
	*(bool *)first = false;
	return 0;
}

ACTION(order)
{
	bool first = true;
	int r;

	printf("-> ");
	r = asyncore_map_foreach(map_of(n > 1 ? w[1] : "-"), visit_name, &first);
	putchar('\n');
	return r;
}

/* ---- Actions: a channel ---- */

static const struct class *class_named(const char *name)
{
	int i;

	for (i = 0; i < class_count; i++)
		if (strcmp(classes[i]->name, name) == 0)
			return classes[i];
	fail("no such class", name);
	return NULL;
}

ACTION(new)
{
	struct channel *ch = made(calloc(1, sizeof *ch)), **before;
	const struct class *class = class_named(w[2]);
	struct asyncore_map *map = map_of(n > 4 ? w[4] : "-");
	const bool has_fd = n > 3 && strcmp(w[3], "none") != 0;
	int r, fd = has_fd ? fd_of(w[3]) : -1;

	ch->name = made(strdup(w[1]));
	ch->class = class;
	before = channels_end;
	*channels_end = ch;
	channels_end = &ch->next;
	if (class->kind == CHAT)
		r = async_chat_init(&ch->u.chat, &class->type, fd, map);
	else if (class->kind == WITH_SEND)
		r = asyncore_dispatcher_with_send_init(&ch->u.with_send, &class->type.dispatcher,
						       fd, map);
	else if (class->kind == FILE_DISPATCHER)
		r = asyncore_file_dispatcher_init(&ch->u.file, &class->type.dispatcher, fd, map);
	else
		r = asyncore_dispatcher_init(&ch->u.dispatcher, &class->type.dispatcher, fd, map);
	if (r < 0) {
		*before = NULL;
		channels_end = before;
		free(ch->name);
		free(ch);
		return r;
	}
	/* Scenarios look at channels that are closed. */
	asyncore_ref(&ch->u.dispatcher);
	if (has_fd && class->kind != FILE_DISPATCHER)
		forget_fd(w[3]);
	return 0;
}

ACTION(create)
{
	return asyncore_create_socket(disp(w[1]),
				      n > 2 && strcmp(w[2], "unix") == 0 ? AF_UNIX : AF_INET,
				      n > 3 && strcmp(w[3], "dgram") == 0 ? SOCK_DGRAM
									  : SOCK_STREAM);
}

ACTION(set_socket)
{
	int r = asyncore_set_socket(disp(w[1]), fd_of(w[2]), map_or_own(n > 3 ? w[3] : NULL));

	if (r >= 0)
		forget_fd(w[2]);
	return r;
}

ACTION(set_file)
{
	UNUSED;
	return asyncore_set_file(disp(w[1]), fd_of(w[2]));
}

ACTION(bind)
{
	const struct named_addr *a;

	if (n < 3 || strcmp(w[2], "any") == 0)
		return asyncore_bind(disp(w[1]), "127.0.0.1", 0);
	a = address(w[2]);
	if (a->u.any.sa_family == AF_UNIX)
		return asyncore_bind_path(disp(w[1]), a->u.un.sun_path);
	return asyncore_bind(disp(w[1]), "127.0.0.1", ntohs(a->u.in.sin_port));
}

ACTION(listen)
{
	return asyncore_listen(disp(w[1]), n > 2 ? atoi(w[2]) : 5);
}

ACTION(connect)
{
	const struct named_addr *a = address(w[2]);

	UNUSED;
	if (a->u.any.sa_family == AF_UNIX)
		return asyncore_connect_path(disp(w[1]), a->u.un.sun_path);
	return asyncore_connect(disp(w[1]), "127.0.0.1", ntohs(a->u.in.sin_port));
}

ACTION(accept)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;
	int r = asyncore_accept(disp(w[1]), (struct sockaddr *)&addr, &len);

	UNUSED;
	if (r == -EAGAIN) {
		puts("-> none");
		return 0;
	}
	if (r < 0)
		return r;
	non_blocking(r);
	set_fd(w[2], r);
	printf("-> %s\n", kind_of((struct sockaddr *)&addr));
	return 0;
}

ACTION(send)
{
	struct bytes b = literal(w[2]);
	int r = asyncore_send(disp(w[1]), b.data, b.len);

	UNUSED;
	free(b.data);
	if (r >= 0 && channel(w[1])->class->kind == WITH_SEND)
		puts("-> sent");
	else if (r >= 0)
		printf("-> %d\n", r);
	return r;
}

ACTION(flood)
{
	char *y = made(malloc(65536));
	int r;

	UNUSED;
	memset(y, 'y', 65536);
	do {
		r = asyncore_send(disp(w[1]), y, 65536);
	} while (r > 0);
	free(y);
	if (r == 0)
		puts("-> 0");
	return r;
}

ACTION(recv)
{
	size_t size = (size_t)atol(w[2]);
	char *data = made(malloc(size + 1));
	int r = asyncore_recv(disp(w[1]), data, size);

	UNUSED;
	if (r >= 0)
		show_line("-> ", data, (size_t)r, "");
	free(data);
	return r;
}

ACTION(close)
{
	UNUSED;
	return asyncore_close(disp(w[1]));
}

ACTION(add)
{
	return asyncore_add_channel(disp(w[1]), map_or_own(n > 2 ? w[2] : NULL));
}

ACTION(del)
{
	return asyncore_del_channel(disp(w[1]), map_or_own(n > 2 ? w[2] : NULL));
}

static const struct {
	const char *name;
	bool (*get)(const struct asyncore_dispatcher *d);
	int (*set)(struct asyncore_dispatcher *d, bool value);
} attributes[] = {
	{ "connected", asyncore_connected, asyncore_set_connected },
	{ "accepting", asyncore_accepting, asyncore_set_accepting },
	{ "connecting", asyncore_connecting, asyncore_set_connecting },
	{ "closing", asyncore_closing, asyncore_set_closing },
	{ "debug", asyncore_debug, asyncore_set_debug },
};

static size_t attribute(const char *name)
{
	size_t i;

	for (i = 0; strcmp(attributes[i].name, name) != 0; i++)
		if (i == sizeof attributes / sizeof *attributes - 1)
			fail("no such attribute", name);
	return i;
}

ACTION(set)
{
	UNUSED;
	return attributes[attribute(w[2])].set(disp(w[1]), strcmp(w[3], "1") == 0);
}

ACTION(get)
{
	UNUSED;
	printf("-> %d\n", attributes[attribute(w[2])].get(disp(w[1])));
	return 0;
}

ACTION(set_addr)
{
	const struct named_addr *a;

	UNUSED;
	if (strcmp(w[2], "none") == 0)
		return asyncore_set_addr(disp(w[1]), NULL, 0);
	a = address(w[2]);
	return asyncore_set_addr(disp(w[1]), &a->u.any, a->len);
}

ACTION(own_map)
{
	const struct asyncore_map *map = asyncore_map(disp(w[1]));
	int i;

	UNUSED;
	for (i = 0; i < map_count; i++)
		if (maps[i].map == map)
			printf("-> %s\n", maps[i].name);
	return 0;
}

struct plain {
	const char *name;
	int (*call)(struct asyncore_dispatcher *d);
};

static int call_plain(const struct plain *list, char *const *w)
{
	const struct plain *p;
	int r;

	for (p = list; p->name != NULL; p++) {
		if (strcmp(p->name, w[2]) != 0)
			continue;
		r = p->call(disp(w[1]));
		/* Out of a handler it is no error. */
		if (r == -EAGAIN)
			r = 0;
		if (r >= 0 && list[0].name == p->name)
			printf("-> %d\n", r > 0);
		else if (r >= 0 && list[1].name == p->name)
			printf("-> %d\n", r > 0);
		return r;
	}
	fail("no such method", w[2]);
	return 0;
}

ACTION(call)
{
	/* The predicates first: their result is shown. */
	static const struct plain list[] = {
#define P(name) { #name, asyncore_##name },
		P(readable) P(writable) P(handle_read) P(handle_write) P(handle_expt)
		P(handle_connect) P(handle_close) P(handle_accept)
		P(handle_read_event) P(handle_write_event) P(handle_expt_event)
		P(handle_connect_event) P(initiate_send) P(close)
#undef P
		{ NULL, NULL }
	};

	UNUSED;
	return call_plain(list, w);
}

ACTION(body)
{
	static const struct plain list[] = {
		{ "", NULL }, { "", NULL },
#define P(name) { #name, asyncore_dispatcher_##name },
		P(handle_read) P(handle_write) P(handle_expt) P(handle_connect)
		P(handle_close) P(handle_accept) P(handle_read_event) P(handle_write_event)
		P(handle_expt_event) P(handle_connect_event) P(close)
#undef P
		{ NULL, NULL }
	};

	UNUSED;
	return call_plain(list, w);
}

ACTION(log)
{
	struct bytes b = literal(w[2]);
	int r;

	UNUSED;
	b.data[b.len] = '\0';
	r = asyncore_log(disp(w[1]), b.data);
	free(b.data);
	return r;
}

ACTION(log_info)
{
	struct bytes b = literal(w[2]);
	int r;

	b.data[b.len] = '\0';
	r = asyncore_log_info(disp(w[1]), b.data, n > 3 ? w[3] : NULL);
	free(b.data);
	return r;
}

ACTION(repr)
{
	char text[512];
	int r = asyncore_repr(disp(w[1]), text, sizeof text);

	UNUSED;
	if (r >= 0) {
		printf("-> ");
		normal(text);
		putchar('\n');
	}
	return r;
}

ACTION(reuse)
{
	int value = -1, r = asyncore_set_reuse_addr(disp(w[1]));
	socklen_t len = sizeof value;

	UNUSED;
	if (r < 0)
		return r;
	getsockopt(fd_of(w[1]), SOL_SOCKET, SO_REUSEADDR, &value, &len);
	printf("-> %d\n", value);
	return 0;
}

ACTION(family)
{
	int family, type, r = asyncore_family_and_type(disp(w[1]), &family, &type);

	UNUSED;
	if (r >= 0)
		printf("-> %s %s\n", family == AF_INET ? "inet" : "unix",
		       type == SOCK_STREAM ? "stream" : "dgram");
	return r;
}

ACTION(disconnected)
{
	UNUSED;
	printf("-> %d\n", asyncore_disconnected(errno_of(w[1])));
	return 0;
}

/* ---- Actions: a chat ---- */

ACTION(push)
{
	struct bytes b = literal(w[2]);
	int r = async_chat_push(chat(w[1]), b.data, b.len);

	UNUSED;
	free(b.data);
	return r;
}

ACTION(simple)
{
	struct async_chat *self = chat(w[1]);
	struct bytes b = literal(w[2]);
	struct async_chat_producer *p =
		async_chat_simple_producer_new(b.data, b.len, n > 3 ? (size_t)atol(w[3]) : 512);

	free(b.data);
	return async_chat_push_with_producer(self, made(p));
}

/* What a simple producer gives, piece by piece. */
ACTION(pieces)
{
	struct bytes b = literal(w[1]);
	struct async_chat_producer *p =
		made(async_chat_simple_producer_new(b.data, b.len, (size_t)atol(w[2])));
	const void *data;
	size_t len;

	UNUSED;
	while (async_chat_producer_more(p, &data, &len) > 0)
		show_line("-> ", data, len, "");
	async_chat_producer_release(p);
	free(b.data);
	return 0;
}

/* Gives what its script says, piece by piece: bytes, or !ERRNO to raise. */
struct scripted {
	struct async_chat_producer producer;
	char *name;
	char *script[WORDS];
	int next, count;
	struct bytes piece;
};

static int scripted_more(struct async_chat_producer *self, const void **data, size_t *len)
{
	struct scripted *s = (struct scripted *)self;
	const char *piece = s->next < s->count ? s->script[s->next++] : "-";

	printf("> more %s\n", s->name);
	if (piece[0] == '!')
		return -errno_of(piece + 1);
	free(s->piece.data);
	s->piece = literal(piece);
	*data = s->piece.data;
	*len = s->piece.len;
	return s->piece.len > 0;
}

static void scripted_release(struct async_chat_producer *self)
{
	struct scripted *s = (struct scripted *)self;

	free(s->piece.data);
	free(s);
}

ACTION(producer)
{
	static const struct async_chat_producer_type type = { .more = scripted_more,
							      .release = scripted_release };
	struct scripted *s = made(calloc(1, sizeof *s));

	s->producer.type = &type;
	s->name = w[2];
	for (; s->count < n - 3; s->count++)
		s->script[s->count] = w[3 + s->count];
	return async_chat_push_with_producer(chat(w[1]), &s->producer);
}

ACTION(close_when_done)
{
	UNUSED;
	return async_chat_close_when_done(chat(w[1]));
}

ACTION(discard)
{
	UNUSED;
	return async_chat_discard_buffers(chat(w[1]));
}

ACTION(term)
{
	struct bytes b;
	int r;

	UNUSED;
	if (strcmp(w[2], "none") == 0)
		return async_chat_set_terminator_none(chat(w[1]));
	if (strcmp(w[2], "count") == 0)
		return async_chat_set_terminator_count(chat(w[1]), atol(w[3]));
	b = literal(w[3]);
	r = async_chat_set_terminator(chat(w[1]), b.data, b.len);
	free(b.data);
	return r;
}

ACTION(getterm)
{
	struct async_chat_terminator t;
	int r = async_chat_get_terminator(chat(w[1]), &t);

	UNUSED;
	if (r < 0)
		return r;
	if (t.kind == ASYNC_CHAT_BYTES)
		show_line("-> bytes ", t.bytes, t.len, "");
	else if (t.kind == ASYNC_CHAT_COUNT)
		printf("-> count %zu\n", t.len);
	else
		puts("-> none");
	return 0;
}

ACTION(getdata)
{
	size_t len;
	char *data = async_chat_get_data(chat(w[1]), &len);

	UNUSED;
	show_line("-> ", made(data), len, "");
	return 0;
}

ACTION(sizes)
{
	UNUSED;
	return async_chat_set_buffer_sizes(chat(w[1]), (size_t)atol(w[2]), (size_t)atol(w[3]));
}

ACTION(prefix)
{
	struct bytes hay = literal(w[1]), needle = literal(w[2]);

	UNUSED;
	printf("-> %zu\n", asynchat_find_prefix_at_end(hay.data, hay.len, needle.data,
						       needle.len));
	free(hay.data);
	free(needle.data);
	return 0;
}

/* ---- Running a scenario ---- */

static int act(const struct action *a)
{
	static const struct {
		const char *name;
		int (*run)(char *const *w, int n);
		int least;	/* words */
	} actions[] = {
#define A(name, least) { #name, do_##name, least },
		A(raise, 2) A(exit, 1) A(nothing, 1) A(say, 1)
		A(pair, 3) A(dgrampair, 3) A(tcppair, 3) A(pipe, 3) A(file, 3) A(socket, 2)
		A(listener, 2) A(refused, 2) A(path, 2) A(address, 3) A(put, 3) A(take, 3)
		A(datagram, 3) A(no_files, 1) A(files, 1)
		A(look, 2) A(drain, 2) A(fill, 2) A(empty, 2) A(shut, 2) A(end, 2) A(reset, 2)
		A(urgent, 3) A(oob, 2) A(dial, 3) A(pickup, 3) A(wait, 2)
		A(poll, 1) A(pass, 2) A(loop, 2) A(read, 2) A(write, 2) A(exception, 2)
		A(readwrite, 2) A(close_all, 1) A(map, 2) A(who, 2) A(order, 1)
		A(new, 3) A(create, 2) A(set_socket, 3) A(set_file, 3) A(bind, 2) A(listen, 2)
		A(connect, 3) A(accept, 3) A(send, 3) A(flood, 2) A(recv, 3) A(close, 2)
		A(add, 2) A(del, 2) A(set, 4) A(get, 3) A(call, 3) A(body, 3) A(log, 3)
		A(set_addr, 3) A(own_map, 2) A(pieces, 3)
		A(log_info, 3) A(repr, 2) A(reuse, 2) A(family, 2) A(disconnected, 2)
		A(push, 3) A(simple, 3) A(producer, 3) A(close_when_done, 2) A(discard, 2)
		A(term, 3) A(getterm, 2) A(getdata, 2) A(sizes, 4) A(prefix, 3)
#undef A
	};
	char *const *w = a->word;
	int n = a->count;
	bool caught = strcmp(w[0], "try") == 0;
	size_t i;
	int r;

	if (caught) {
		w++;
		n--;
	}
	for (i = 0; strcmp(actions[i].name, w[0]) != 0; i++)
		if (i == sizeof actions / sizeof *actions - 1)
			fail("no such action", w[0]);
	if (n < actions[i].least)
		fail("too few words", w[0]);
	r = RUN_C_PERFORM(actions[i].run, w, n);
	if (!caught || r >= 0)
		return r;
	printf("! %s %s\n", w[0], name_of(r));
	return 0;
}

static int is_it(struct asyncore_dispatcher *d, void *which)
{
	return d == which;
}

static void show_output(char *text, size_t size, const struct channel *ch)
{
	if (ch->class->kind == WITH_SEND)
		snprintf(text, size, "%zu",
			 asyncore_dispatcher_with_send_pending(&ch->u.with_send));
	else if (ch->class->kind == CHAT)
		snprintf(text, size, "%zu/%zu", async_chat_output_entries(&ch->u.chat),
			 async_chat_output_bytes(&ch->u.chat));
	else
		snprintf(text, size, "-");
}

static void show_states(void)
{
	struct channel *ch;
	char text[256], output[64];
	int i;

	for (ch = channels; ch != NULL; ch = ch->next) {
		struct asyncore_dispatcher *d = &ch->u.dispatcher;
		const char *where = "none";

		for (i = 0; i < map_count; i++)
			if (asyncore_map_foreach(maps[i].map, is_it, d) > 0)
				where = maps[i].name;
		show_output(output, sizeof output, ch);
		snprintf(text, sizeof text, "= %s: %s%s%saddr=%s map=%s fileno=%s out=%s",
			 ch->name, asyncore_connected(d) ? "connected " : "",
			 asyncore_accepting(d) ? "accepting " : "",
			 asyncore_connecting(d) ? "connecting " : "",
			 kind_of(asyncore_addr(d, NULL)), where,
			 asyncore_fileno(d) < 0 ? "no" : "yes", output);
		if (strcmp(text, ch->last) != 0)
			puts(strcpy(ch->last, text));
	}
	for (i = 0; i < map_count; i++) {
		size_t size = asyncore_map_size(maps[i].map);

		if (size != maps[i].last)
			printf("= map %s: %zu\n", maps[i].name, size);
		maps[i].last = size;
	}
}

static void free_action(struct action *a)
{
	if (a->count > 0)
		free(a->word[0]);
}

static void clean_up(void)
{
	struct channel *ch, *next;
	int i, j;

	quiet = true;
	do_files(NULL, 0);
	RUN_C_END();
	for (ch = channels; ch != NULL; ch = next) {
		next = ch->next;
		/* The base's own close(): an override of the scenario has had its turns. */
		asyncore_dispatcher_close(&ch->u.dispatcher);
		asyncore_unref(&ch->u.dispatcher);
	}
	for (i = map_count - 1; i >= 0; i--) {
		must(asyncore_map_free(maps[i].map), "asyncore_map_free");
		if (maps[i].base != NULL)
			event_base_free(maps[i].base);
		free(maps[i].name);
	}
	for (ch = channels; ch != NULL; ch = next) {
		next = ch->next;
		if (ch->u.dispatcher.channel != NULL)
			fail("not disposed of", ch->name);
		free(ch->name);
		free(ch);
	}
	channels = NULL;
	channels_end = &channels;
	while (fd_count > 0) {
		close(fds[0].fd);
		forget_fd(fds[0].name);
	}
	for (i = 0; i < address_count; i++) {
		if (addresses[i].u.any.sa_family == AF_UNIX)
			unlink(addresses[i].u.un.sun_path);
		free(addresses[i].name);
	}
	for (i = 0; i < behaviour_count; i++) {
		for (j = 0; j < behaviours[i].count; j++)
			free_action(&behaviours[i].actions[j]);
		free(behaviours[i].actions);
		free(behaviours[i].channel);
		free(behaviours[i].method);
		free(behaviours[i].number);
	}
	class_count = map_count = address_count = behaviour_count = 0;
	quiet = false;
	if (directory[0] != '\0' && rmdir(directory) < 0) {
		char command[sizeof directory + 16];

		/* Files of scenarios. */
		snprintf(command, sizeof command, "rm -r %s", directory);
		must(system(command), "rm");
	}
	directory[0] = '\0';
}

static int open_descriptors(void)
{
	int fd, many = 0;

	for (fd = 0; fd < 256; fd++)
		many += fcntl(fd, F_GETFD) >= 0;
	return many;
}

struct scenario {
	char *name;
	bool skip;
	struct action *line;
	int lines;
};

/* Words start..end of `a` as an action, which owns its text. */
static struct action part_of(const struct action *a, int start, int end)
{
	struct action part = { .count = 0 };
	size_t size = 1;
	char *text;
	int i;

	for (i = start; i < end; i++)
		size += strlen(a->word[i]) + 1;
	text = made(malloc(size));
	for (i = start; i < end; i++) {
		part.word[part.count++] = text;
		text = stpcpy(text, a->word[i]) + 1;
	}
	return part;
}

static void add_behaviour(const struct action *a)
{
	struct behaviour *b = &behaviours[behaviour_count++];
	int start = 4, i;

	if (behaviour_count > 4 * ROOM || a->count < 5)
		fail("on", a->word[1]);
	b->channel = made(strdup(a->word[1]));
	b->method = made(strdup(a->word[2]));
	b->number = made(strdup(a->word[3]));
	b->actions = made(calloc((size_t)a->count, sizeof *b->actions));
	b->count = 0;
	for (i = 4; i <= a->count; i++)
		if (i == a->count || strcmp(a->word[i], ";") == 0) {
			b->actions[b->count++] = part_of(a, start, i);
			start = i + 1;
		}
}

static void run(struct scenario *s)
{
	int i, w, before = open_descriptors();

	printf("scenario %s %s\n", s->name, use_poll ? "poll" : "select");
	alarm(SECONDS);
	add_map("-", true);
	RUN_C_BEGIN();
	for (i = 0; i < s->lines; i++) {
		const struct action *a = &s->line[i];
		static char try_word[] = "try";
		struct action tried = { .count = a->count + 1 };

		if (strcmp(a->word[0], "class") == 0) {
			make_class(a);
			continue;
		}
		if (strcmp(a->word[0], "on") == 0) {
			add_behaviour(a);
			continue;
		}
		putchar('*');
		tried.word[0] = try_word;
		for (w = 0; w < a->count; w++) {
			printf(" %s", a->word[w]);
			tried.word[w + 1] = a->word[w];
		}
		putchar('\n');
		act(&tried);
		show_states();
	}
	clean_up();
	alarm(0);
	if (open_descriptors() != before)
		fail("descriptors were left open", s->name);
}

static void end_scenario(struct scenario *s, const char *only)
{
	int i;

	if (s->name != NULL && !s->skip && (only == NULL || strcmp(only, s->name) == 0))
		run(s);
	for (i = 0; i < s->lines; i++)
		free_action(&s->line[i]);
	free(s->name);
	s->name = NULL;
	s->skip = false;
	s->lines = 0;
}

/* What `not:` lists does not run here. */
static bool is_not(const struct action *a)
{
	int i;

	for (i = 1; i < a->count; i++)
		if (strcmp(a->word[i], use_poll ? "poll" : "select") == 0 ||
		    (driven && strcmp(a->word[i], "driven") == 0) ||
		    (gather && strcmp(a->word[i], "gather") == 0))
			return true;
	return false;
}

static void run_file(const char *path, const char *only)
{
	FILE *file = made(fopen(path, "r"));
	static struct action lines[512];
	struct scenario s = { .line = lines };
	char *text = NULL, *rest;
	size_t size = 0;

	while (getline(&text, &size, file) >= 0) {
		struct action a = { .count = 0 };
		char *copy, *word;

		word = text + strspn(text, " \t");
		word[strcspn(word, "\n")] = '\0';
		if (*word == '\0' || *word == '#' || strncmp(word, "differs:", 8) == 0)
			continue;
		copy = made(strdup(word));
		for (word = strtok_r(copy, " \t", &rest); word != NULL;
		     word = strtok_r(NULL, " \t", &rest)) {
			if (a.count == WORDS - 1)
				fail("too many words", copy);
			a.word[a.count++] = word;
		}
		if (strcmp(a.word[0], "scenario") == 0) {
			end_scenario(&s, only);
			s.name = made(strdup(a.word[1]));
			free(copy);
		} else if (strcmp(a.word[0], "not:") == 0) {
			s.skip |= is_not(&a);
			free(copy);
		} else if (s.lines == 512) {
			fail("too many lines", s.name);
		} else {
			s.line[s.lines++] = a;
		}
	}
	end_scenario(&s, only);
	free(text);
	fclose(file);
}

#ifndef RUN_C_INCLUDED
int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "pb:dg")) != -1) {
		if (option == 'p')
			use_poll = true;
		else if (option == 'b')
			backend = optarg;
		else if (option == 'd')
			driven = true;
		else if (option == 'g')
			gather = true;
		else
			return 2;
	}
	if (optind >= argc || (driven && backend == NULL))
		fail("usage", "run_c [-p] [-b BACKEND [-d]] [-g] FILE [NAME]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* What the library logs by itself belongs to the trace. */
	dup2(STDOUT_FILENO, STDERR_FILENO);
	run_file(argv[optind], argc > optind + 1 ? argv[optind + 1] : NULL);
	return 0;
}
#endif
