/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An HTTP/1.0 server for the files below a directory.
 *
 *	http_server [-p port] [-n requests] [-t seconds] root
 *
 * Two channels, each a struct, its handlers and a type table:
 *
 *	connection	reads one request, writes one reply, waits for the end
 *	server		listens, and makes a connection of every socket that it accepts
 *
 * and a trigger, which the signal handler pulls, and which ends the loop.
 *
 * A peer that has sent its request and then shuts its side down gets its reply all the same.
 * One that is silent for -t seconds (30), or does not read for so long, is dropped.
 * Symbolic links are not followed, so nothing outside of the root is ever served.
 */

#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <asynchat.h>
#include <asyncore_event.h>

enum {
	REQUEST_MAX = 8192,	/* bytes of request line and headers together */
	DRAIN_MAX = 1 << 20	/* bytes read, and thrown away, after the request */
};

static const char OK[] = "200 OK";
static const char BAD[] = "400 Bad Request";
static const char MOVED[] = "301 Moved Permanently";
static const char NOT_ALLOWED[] = "405 Method Not Allowed";

#define HTML "text/html; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"

struct server {
	struct asyncore_dispatcher dispatcher;
	int root;		/* descriptor of the directory */
	long requests;		/* to answer before the loop ends; 0: no limit */
	double patience;	/* seconds without a sign of the peer */
};

struct connection {
	struct async_chat chat;
	struct server *server;
	size_t received;	/* bytes of the request or, answered, after it */
	bool answered;
	char request[REQUEST_MAX + 1];	/* its first line */
	bool head;		/* the method is HEAD */
	const char *target;	/* the path as it came, in `request` */
	int target_len;
};

/* --- replies ------------------------------------------------------------------- */

/* One line per request: who, the request line made harmless, status, length. */
static void log_request(struct connection *c, const char *status, long long length)
{
	struct asyncore_dispatcher *self = &c->chat.dispatcher;
	const struct sockaddr_in *addr = (const void *)asyncore_addr(self, NULL);
	char peer[INET_ADDRSTRLEN] = "-", line[81], *s;

	if (addr != NULL)
		inet_ntop(AF_INET, &addr->sin_addr, peer, sizeof peer);
	snprintf(line, sizeof line, "%.80s", c->request);
	for (s = line; *s != '\0'; s++)
		if (*s < ' ' || *s > '~' || *s == '"')
			*s = '?';
	asyncore_logf(self, "%s \"%s\" %.3s %lld", peer, line, status, length);
}

/* The head of a reply, with further lines `more`, of which any path can be one. */
static int reply_head(struct connection *c, const char *status, const char *type,
		      long long length, const char *more)
{
	char head[REQUEST_MAX + 512];
	int n = snprintf(head, sizeof head,
			 "HTTP/1.0 %s\r\nConnection: close\r\n"
			 "Content-Type: %s\r\nContent-Length: %lld\r\n%s\r\n",
			 status, type, length, more);

	log_request(c, status, length);
	return async_chat_push(&c->chat, head, (size_t)n);
}

static int reply_text(struct connection *c, const char *status, const char *type,
		      const char *body, size_t length, const char *more)
{
	int err = reply_head(c, status, type, (long long)length, more);

	return err < 0 || c->head ? err : async_chat_push(&c->chat, body, length);
}

static int reply_status(struct connection *c, const char *status, const char *more)
{
	return reply_text(c, status, TEXT, status, strlen(status), more);
}

/* --- files and directories ----------------------------------------------------- */

static const char *content_type(const char *path)
{
	static const char *const types[][2] = {
		{ ".html", HTML }, { ".txt", TEXT }, { ".md", TEXT }, { ".py", TEXT },
		{ ".c", TEXT }, { ".h", TEXT }, { ".css", "text/css" },
		{ ".js", "text/javascript" }, { ".svg", "image/svg+xml" },
		{ ".png", "image/png" }, { ".jpg", "image/jpeg" },
	};
	const char *suffix = strrchr(path, '.');

	for (size_t i = 0; suffix != NULL && i < sizeof types / sizeof *types; i++)
		if (strcasecmp(suffix, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/*
 * Open `path` below `root`, one name after the other, so that no link leads elsewhere: a
 * descriptor or a negative errno.  O_NONBLOCK: opening a FIFO must not wait.
 */
static int open_below(int root, const char *path)
{
	static const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(root, ".", flags);

	if (fd < 0)
		return -errno;
	while (fd >= 0 && *(path += strspn(path, "/")) != '\0') {
		int len = strcspn(path, "/"), dir = fd;
		char name[NAME_MAX + 2];

		snprintf(name, sizeof name, "%.*s", len, path);
		fd = strcmp(name, "..") == 0 ? -EACCES : openat(dir, name, flags);
		if (fd == -1)
			fd = -errno;
		close(dir);
		path += len;
	}
	return fd;
}

/* Undo the percent-encoding; false when it is wrong or hides a NUL. */
static bool decode(char *to, const char *from, int len)
{
	const char *end = from + len;

	for (; from < end; from++, to++) {
		*to = *from;
		if (*from == '%') {
			char digits[3] = "";

			if (end - from < 3 || !isxdigit(from[1]) || !isxdigit(from[2]))
				return false;
			memcpy(digits, from + 1, 2);
			*to = (char)strtol(digits, NULL, 16);
			from += 2;
		}
		if (*to == '\0')
			return false;
	}
	*to = '\0';
	return true;
}

static const char *errno_status(int err)
{
	if (err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG)
		return "404 Not Found";
	if (err == EACCES || err == ELOOP || err == EMLINK || err == ENXIO)
		return "403 Forbidden";
	if (err == EMFILE || err == ENFILE || err == ENOMEM)
		return "503 Service Unavailable";
	return "500 Internal Server Error";
}

/* Open the path or, of a directory, its index if there is one: as open_below(). */
static int open_path(struct connection *c, char *path)
{
	size_t len = strlen(path);
	int fd = -ENOENT;

	if (path[len - 1] == '/')
		fd = open_below(c->server->root, strcat(path, "index.html"));
	if (fd == -ENOENT) {
		path[len] = '\0';
		fd = open_below(c->server->root, path);
	}
	return fd;
}

/* Takes the descriptor: the producer closes it when the last byte has gone. */
static int reply_file(struct connection *c, int fd, const char *path, const struct stat *st)
{
	struct async_chat_producer *file;
	char more[64] = "";
	struct tm tm;
	int err;

	if (gmtime_r(&st->st_mtime, &tm) != NULL)
		strftime(more, sizeof more, "Last-Modified: %a, %d %b %Y %T GMT\r\n", &tm);
	err = reply_head(c, OK, content_type(path), st->st_size, more);
	file = err < 0 || c->head ? NULL : async_chat_file_producer_new(fd, 0, st->st_size);
	if (file != NULL)
		return async_chat_push_with_producer(&c->chat, file);
	close(fd);
	return err < 0 || c->head ? err : -ENOMEM;
}

/* Plain names.  Takes the descriptor. */
static int reply_listing(struct connection *c, int fd)
{
	static const char plain[] = "-_.~0123456789"
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	char *body = NULL;
	size_t length;
	FILE *stream;
	int err = -ENOMEM;

	if (dir == NULL) {
		close(fd);
		return err;
	}
	stream = open_memstream(&body, &length);
	if (stream != NULL) {
		fprintf(stream, "<!DOCTYPE html>\n<title>Files</title>\n<ul>\n");
		while ((entry = readdir(dir)) != NULL) {
			const char *name = entry->d_name;

			if (name[0] != '.' && name[strspn(name, plain)] == '\0')
				fprintf(stream, "<li><a href=\"%s\">%s</a>\n", name, name);
		}
		if (fclose(stream) == 0)
			err = reply_text(c, OK, HTML, body, length, "");
	}
	closedir(dir);
	free(body);
	return err;
}

/* "name" is a directory: relative links in it are only right below "name/". */
static int reply_moved(struct connection *c)
{
	size_t slashes = strspn(c->target, "/");	/* "//name/" would be a host */
	char more[REQUEST_MAX + 32];

	snprintf(more, sizeof more, "Location: /%.*s/\r\n",
		 c->target_len - (int)slashes, c->target + slashes);
	return reply_status(c, MOVED, more);
}

static int reply_target(struct connection *c)
{
	char path[REQUEST_MAX + sizeof "index.html"];
	struct stat st = { 0 };
	int fd;

	if (!decode(path, c->target, c->target_len))
		return reply_status(c, BAD, "");
	fd = open_path(c, path);
	if (fd < 0)
		return reply_status(c, errno_status(-fd), "");
	fstat(fd, &st);
	if (S_ISREG(st.st_mode))
		return reply_file(c, fd, path, &st);
	if (S_ISDIR(st.st_mode) && path[strlen(path) - 1] == '/')
		return reply_listing(c, fd);
	close(fd);
	return S_ISDIR(st.st_mode) ? reply_moved(c) : reply_status(c, "403 Forbidden", "");
}

/* --- the request --------------------------------------------------------------- */

/*
 * The one reply of a connection: what the target names, or that something is wrong.
 * Afterwards our side is shut down and the peer's read to its end: closing with input unread
 * would make the kernel reset the connection, and the peer might lose the reply.
 */
static int answer(struct connection *c, const char *status)
{
	struct asyncore_dispatcher *self = &c->chat.dispatcher;
	const char *begun = async_chat_get_data(&c->chat, NULL);
	int err;

	if (c->request[0] == '\0' && begun != NULL)
		strcpy(c->request, begun);	/* for the log */
	c->answered = true;
	c->received = 0;
	async_chat_set_terminator_none(&c->chat);
	if (status == OK)
		err = reply_target(c);
	else
		err = reply_status(c, status,
				   status == NOT_ALLOWED ? "Allow: GET, HEAD\r\n" : "");
	return ASYNCORE_RAISE(self, err < 0 ? err : asyncore_shutdown_when_done(self));
}

/* "METHOD TARGET HTTP/1.x": OK, or why not. */
static const char *parse_request(struct connection *c)
{
	static const char *const others[] = {
		"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"
	};
	char method[16], major, minor, junk;
	int start = 0, end = 0;

	if (sscanf(c->request, "%15[A-Z] %n%*[!-~]%n HTTP/%c.%c%c",
		   method, &start, &end, &major, &minor, &junk) != 3 ||
	    !isdigit((unsigned char)major) || !isdigit((unsigned char)minor))
		return BAD;
	if (major != '1')
		return "505 HTTP Version Not Supported";
	c->head = strcmp(method, "HEAD") == 0;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(method, others[i]) == 0)
			return NOT_ALLOWED;
	if (!c->head && strcmp(method, "GET") != 0)
		return "501 Not Implemented";
	c->target = c->request + start;
	c->target_len = (int)strcspn(c->target, " ?#");
	return c->target[0] == '/' ? OK : BAD;
}

/* A line has come: the request, a header, of which none matters, or the end of them. */
static int connection_found_line(struct async_chat *chat)
{
	struct connection *c = (struct connection *)chat;
	const char *status;
	size_t len;
	char *line = async_chat_get_data(chat, &len);

	if (line == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	if (c->answered)	/* connection_collect() found it too long */
		return 0;
	if (len > 0 && line[len - 1] == '\r')
		line[--len] = '\0';
	if (c->target == NULL) {
		strcpy(c->request, line);	/* as `received` says, it fits */
		status = strlen(line) == len ? parse_request(c) : BAD;
		return status == OK ? 0 : answer(c, status);
	}
	if (strlen(line) != len)
		return answer(c, BAD);
	return len == 0 ? answer(c, OK) : 0;
}

static int connection_collect(struct async_chat *chat, const void *data, size_t len)
{
	struct connection *c = (struct connection *)chat;

	c->received += len;
	if (c->answered)
		return c->received <= DRAIN_MAX ? 0 : asyncore_handle_close(&chat->dispatcher);
	if (c->received > REQUEST_MAX)
		return answer(c, c->target == NULL ? "414 URI Too Long"
						   : "431 Request Header Fields Too Large");
	return async_chat_collect_default(chat, data, len);
}

/* --- connection ---------------------------------------------------------------- */

static int connection_timeout(struct asyncore_dispatcher *self)
{
	struct connection *c = (struct connection *)self;

	if (c->answered || c->received == 0)
		return asyncore_handle_close(self);
	return answer(c, "408 Request Timeout");
}

/* Every connection ends here: at the end of its input, by its timeout, or for an error. */
static int connection_close(struct asyncore_dispatcher *self)
{
	struct connection *c = (struct connection *)self;
	int err = asyncore_close(self);

	if (c->answered && c->server->requests > 0 && --c->server->requests == 0)
		return ASYNCORE_EXIT_NOW;
	return err;
}

static const struct async_chat_type connection_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "connection",
		.flags = ASYNCORE_HALF_CLOSE,
		.handle_close = connection_close,
		.handle_timeout = connection_timeout,
		.dealloc = asyncore_dealloc_free,
		.ac_out_buffer_size = 65536,
	},
	.collect_incoming_data = connection_collect,
	.found_terminator = connection_found_line,
};

/* --- server -------------------------------------------------------------------- */

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct server *server = (struct server *)self;
	struct connection *c = calloc(1, sizeof *c);
	int err = -ENOMEM;

	(void)addr, (void)addrlen;
	if (c != NULL)
		err = async_chat_init(&c->chat, &connection_type, fd, asyncore_map(self));
	if (err < 0) {
		free(c);
		close(fd);
		return ASYNCORE_RAISE(self, err);
	}
	/* From here on the map owns it. */
	c->server = server;
	err = async_chat_set_terminator(&c->chat, "\n", 1);
	if (err == 0)
		err = asyncore_set_idle_timeout(&c->chat.dispatcher, server->patience);
	if (err < 0)
		asyncore_close(&c->chat.dispatcher);
	return ASYNCORE_RAISE(self, err);
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
	.flags = ASYNCORE_ACCEPT_BATCH,
	.handle_accepted = server_accepted,
	.handle_error = server_error,
};

static int server_init(struct server *server, const char *root, int port)
{
	struct asyncore_dispatcher *self = &server->dispatcher;
	struct sockaddr_in addr = { 0 };
	socklen_t addrlen = sizeof addr;
	int err;

	if ((err = asyncore_dispatcher_init(self, &server_type, -1, NULL)) < 0)
		return err;
	if ((err = asyncore_create_socket(self, AF_INET, SOCK_STREAM)) < 0 ||
	    (err = asyncore_set_reuse_addr(self)) < 0 ||
	    (err = asyncore_bind(self, "127.0.0.1", port)) < 0 ||
	    (err = asyncore_listen(self, 128)) < 0) {
		asyncore_close(self);
		return err;
	}
	getsockname(asyncore_socket(self), (struct sockaddr *)&addr, &addrlen);
	printf("serving %s at http://127.0.0.1:%d/\n", root, ntohs(addr.sin_port));
	fflush(stdout);
	return 0;
}

/* --- main ---------------------------------------------------------------------- */

static struct asyncore_trigger *stop;

static void on_signal(int number)
{
	(void)number;
	asyncore_trigger_pull(stop);
}

/* Called by the loop after the trigger was pulled. */
static int leave_loop(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	return ASYNCORE_EXIT_NOW;
}

static int run(struct server *server, const char *root, int port)
{
	/* A second signal kills, as if we were not there. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	int err;

	stop = asyncore_trigger_new(NULL, leave_loop, NULL, NULL);
	if (stop == NULL) {
		err = -errno;
		asyncore_map_free(NULL);
		return err;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	err = server_init(server, root, port);
	if (err == 0)
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	asyncore_trigger_free(stop);	/* nobody pulls it any more */
	asyncore_map_free(NULL);	/* closes every channel that is left */
	return err == ASYNCORE_EXIT_NOW ? 0 : err;
}

int main(int argc, char **argv)
{
	struct server server = { .patience = 30.0 };
	int option, port = 8080, err;

	while ((option = getopt(argc, argv, "p:n:t:")) != -1) {
		if (option == 'p')
			port = atoi(optarg);
		else if (option == 'n')
			server.requests = atol(optarg);
		else if (option == 't')
			server.patience = atof(optarg);
		else
			optind = argc + 1;
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: http_server [-p port] [-n requests] [-t seconds] root\n");
		return EXIT_FAILURE;
	}
	server.root = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (server.root < 0) {
		perror(argv[optind]);
		return EXIT_FAILURE;
	}
	err = run(&server, argv[optind], port);
	if (err < 0)
		fprintf(stderr, "http_server: %s\n", strerror(-err));
	close(server.root);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
