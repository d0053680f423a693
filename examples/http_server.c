/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An HTTP/1.0 server for the files below a directory.
 *
 *	http_server [-p port] [-n requests] root
 *
 * Three channels, each a struct, its handlers and a type table:
 *
 *	connection	reads one request, writes one reply in pieces, waits for the end
 *	server		listens, and makes a connection of every socket that it accepts
 *	stopper		reads the pipe that the signal handler writes to, and ends the loop
 *
 * Symbolic links are not followed, so nothing outside of the root is ever served.  There
 * are no time limits: a silent peer keeps its connection until it goes away.
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

#include <asyncore.h>

enum {
	REQUEST_MAX = 8192,	/* bytes of request line and headers together */
	PIECE = 16384,		/* bytes of a reply in memory at one time */
	DRAIN_MAX = 1 << 20	/* bytes read, and thrown away, after the reply */
};

static const char OK[] = "200 OK";
static const char MOVED[] = "301 Moved Permanently";
static const char NOT_ALLOWED[] = "405 Method Not Allowed";

#define HTML "text/html; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"

struct server {
	struct asyncore_dispatcher dispatcher;
	int root;		/* descriptor of the directory */
	long requests;		/* to answer before the loop ends; 0: no limit */
};

struct connection {
	struct asyncore_dispatcher dispatcher;
	struct server *server;
	enum { READING, WRITING, DRAINING } state;

	char in[REQUEST_MAX + 1];	/* ends with a NUL at any time */
	size_t in_len;
	size_t line;		/* where in `in` the first line starts that is not complete */
	bool head;		/* the method is HEAD */
	const char *target;	/* the path as it came, in `in` */
	int target_len;

	int file;		/* what the target names, or negative */
	off_t left;		/* bytes to read from it or, DRAINING, from the peer */
	char out[PIECE];
	size_t out_len, out_sent;
};

/* --- replies ------------------------------------------------------------------- */

/* One line per request: who, the request line made harmless, status, length. */
static void log_request(struct connection *c, const char *status, off_t length)
{
	const struct sockaddr_in *addr = (const void *)asyncore_addr(&c->dispatcher, NULL);
	char peer[INET_ADDRSTRLEN] = "-", *s;

	if (addr != NULL)
		inet_ntop(AF_INET, &addr->sin_addr, peer, sizeof peer);
	for (s = c->in; *s != '\0'; s++)
		if (*s < ' ' || *s > '~' || *s == '"')
			*s = '?';
	asyncore_logf(&c->dispatcher, "%s \"%.80s\" %.3s %lld", peer, c->in, status,
		      (long long)length);
}

/* Begin the reply: its head, with further lines `more`, of which any path can be one. */
static void start_reply(struct connection *c, const char *status, const char *type,
			off_t length, const char *more)
{
	log_request(c, status, length);
	c->out_len = snprintf(c->out, sizeof c->out,
			      "HTTP/1.0 %s\r\nConnection: close\r\n"
			      "Content-Type: %s\r\nContent-Length: %lld\r\n%s\r\n",
			      status, type, (long long)length, more);
	c->state = WRITING;
}

/* A reply whose body fits into the piece, after the head. */
static void reply_text(struct connection *c, const char *status, const char *type,
		       const char *body, const char *more)
{
	size_t length = strlen(body);

	start_reply(c, status, type, length, more);
	if (!c->head) {
		memcpy(c->out + c->out_len, body, length);
		c->out_len += length;
	}
}

static void reply_status(struct connection *c, const char *status, const char *more)
{
	reply_text(c, status, TEXT, status, more);
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

/* Open what the target names, of which this is the `path`: OK, or why not. */
static const char *open_target(struct connection *c, char *path, struct stat *st)
{
	size_t len;

	if (!decode(path, c->target, c->target_len))
		return "400 Bad Request";
	len = strlen(path);
	c->file = -ENOENT;
	if (path[len - 1] == '/')
		c->file = open_below(c->server->root, strcat(path, "index.html"));
	if (c->file == -ENOENT) {
		path[len] = '\0';
		c->file = open_below(c->server->root, path);
	}
	if (c->file < 0 || fstat(c->file, st) < 0)
		return errno_status(-c->file);
	if (S_ISDIR(st->st_mode) && path[len - 1] != '/')
		return MOVED;
	return S_ISDIR(st->st_mode) || S_ISREG(st->st_mode) ? OK : "403 Forbidden";
}

static void reply_file(struct connection *c, const char *path, const struct stat *st)
{
	char more[64] = "";
	struct tm tm;

	if (gmtime_r(&st->st_mtime, &tm) != NULL)
		strftime(more, sizeof more, "Last-Modified: %a, %d %b %Y %T GMT\r\n", &tm);
	start_reply(c, OK, content_type(path), st->st_size, more);
	c->left = c->head ? 0 : st->st_size;
}

/* Plain names, as many as fit. */
static void reply_listing(struct connection *c)
{
	static const char plain[] = "-_.~0123456789"
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char body[PIECE / 2] = "<!DOCTYPE html>\n<title>Files</title>\n<ul>\n";
	size_t n = strlen(body);
	DIR *dir = fdopendir(c->file);
	struct dirent *entry;

	if (dir == NULL) {
		reply_status(c, errno_status(errno), "");
		return;
	}
	while (n < sizeof body - 600 && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (name[0] != '.' && name[strspn(name, plain)] == '\0')
			n += snprintf(body + n, sizeof body - n,
				      "<li><a href=\"%s\">%s</a>\n", name, name);
	}
	closedir(dir);
	c->file = -1;
	reply_text(c, OK, HTML, body, "");
}

/* "name" is a directory: relative links in it are only right below "name/". */
static void reply_moved(struct connection *c)
{
	size_t slashes = strspn(c->target, "/");	/* "//name/" would be a host */
	char more[REQUEST_MAX + 32];

	snprintf(more, sizeof more, "Location: /%.*s/\r\n",
		 c->target_len - (int)slashes, c->target + slashes);
	reply_status(c, MOVED, more);
}

static void reply_target(struct connection *c)
{
	char path[REQUEST_MAX + sizeof "index.html"];
	struct stat st;
	const char *status = open_target(c, path, &st);

	if (status == MOVED)
		reply_moved(c);
	else if (status != OK)
		reply_status(c, status, "");
	else if (S_ISDIR(st.st_mode))
		reply_listing(c);
	else
		reply_file(c, path, &st);
}

/* --- the request --------------------------------------------------------------- */

/* "METHOD TARGET HTTP/1.x": OK, or why not. */
static const char *parse_request(struct connection *c, const char *line)
{
	static const char *const others[] = {
		"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"
	};
	char method[16], major, minor, junk;
	int start = 0, end = 0;

	if (sscanf(line, "%15[A-Z] %n%*[!-~]%n HTTP/%c.%c%c",
		   method, &start, &end, &major, &minor, &junk) != 3 ||
	    !isdigit((unsigned char)major) || !isdigit((unsigned char)minor))
		return "400 Bad Request";
	if (major != '1')
		return "505 HTTP Version Not Supported";
	c->head = strcmp(method, "HEAD") == 0;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(method, others[i]) == 0)
			return NOT_ALLOWED;
	if (!c->head && strcmp(method, "GET") != 0)
		return "501 Not Implemented";
	c->target = line + start;
	c->target_len = strcspn(c->target, " ?#");
	return c->target[0] == '/' ? OK : "400 Bad Request";
}

/* Take the lines that are complete: NULL to read on, OK at the end of the headers, or what
 * is wrong. */
static const char *take_lines(struct connection *c)
{
	const char *status;
	char *end;

	while ((end = memchr(c->in + c->line, '\n', c->in_len - c->line)) != NULL) {
		char *line = c->in + c->line;

		c->line = end + 1 - c->in;
		if (end > line && end[-1] == '\r')
			end--;
		*end = '\0';
		if (strlen(line) != (size_t)(end - line))
			return "400 Bad Request";
		if (line == c->in && (status = parse_request(c, line)) != OK)
			return status;
		if (line == end)
			return OK;
	}
	if (c->line == 0 && !isupper((unsigned char)c->in[0]))
		return "400 Bad Request";
	if (c->in_len < REQUEST_MAX)
		return NULL;
	return c->line == 0 ? "414 URI Too Long" : "431 Request Header Fields Too Large";
}

/* --- connection ---------------------------------------------------------------- */

static int connection_readable(struct asyncore_dispatcher *self)
{
	return ((struct connection *)self)->state != WRITING;
}

static int connection_writable(struct asyncore_dispatcher *self)
{
	return ((struct connection *)self)->state == WRITING;
}

static int connection_read(struct asyncore_dispatcher *self)
{
	struct connection *c = (struct connection *)self;
	size_t used = c->state == READING ? c->in_len : 0;
	int n = asyncore_recv(self, c->in + used, REQUEST_MAX - used);
	const char *status;

	if (n <= 0)
		return n;
	if (c->state == DRAINING) {
		c->left -= n;
		return c->left > 0 ? 0 : asyncore_handle_close(self);
	}
	c->in_len += n;
	status = take_lines(c);
	if (status == OK)
		reply_target(c);
	else if (status != NULL)
		reply_status(c, status, status == NOT_ALLOWED ? "Allow: GET, HEAD\r\n" : "");
	return 0;
}

/* Fill up the piece from the file. */
static int next_piece(struct connection *c)
{
	size_t room = sizeof c->out - c->out_len;
	ssize_t n;

	if (c->left == 0 || room == 0)
		return 0;
	n = read(c->file, c->out + c->out_len, c->left < (off_t)room ? (size_t)c->left : room);
	if (n < 0)
		return ASYNCORE_RAISE(&c->dispatcher, -errno);
	if (n == 0)
		return ASYNCORE_RAISEF(&c->dispatcher, -EIO, "the file became shorter");
	c->out_len += n;
	c->left -= n;
	return 0;
}

/* After the reply the connection is half closed and read to its end.  Closing it with
 * input unread would make the kernel reset it, and the peer might lose the reply. */
static int connection_write(struct asyncore_dispatcher *self)
{
	struct connection *c = (struct connection *)self;
	int n = next_piece(c);

	if (n < 0)
		return ASYNCORE_RAISE(self, n);
	n = asyncore_send(self, c->out + c->out_sent, c->out_len - c->out_sent);
	if (n < 0)
		return ASYNCORE_RAISE(self, n);
	c->out_sent += n;
	if (c->out_sent < c->out_len)
		return 0;
	c->out_sent = c->out_len = 0;
	if (c->left == 0) {
		shutdown(asyncore_socket(self), SHUT_WR);
		c->state = DRAINING;
		c->left = DRAIN_MAX;
	}
	return 0;
}

/* Every connection ends here: at the end of its input, or for an error. */
static int connection_close(struct asyncore_dispatcher *self)
{
	struct connection *c = (struct connection *)self;
	int err = asyncore_close(self);

	if (c->state != READING && c->server->requests > 0 && --c->server->requests == 0)
		return ASYNCORE_EXIT_NOW;
	return err;
}

static void connection_dispose(struct asyncore_dispatcher *self)
{
	struct connection *c = (struct connection *)self;

	if (c->file >= 0)
		close(c->file);
}

static void connection_dealloc(struct asyncore_dispatcher *self)
{
	free(self);
}

static const struct asyncore_dispatcher_type connection_type = {
	.base = &asyncore_dispatcher_type,
	.name = "connection",
	.flags = ASYNCORE_PREDICATES_STABLE,	/* `state` changes in our own handlers only */
	.readable = connection_readable,
	.writable = connection_writable,
	.handle_read = connection_read,
	.handle_write = connection_write,
	.handle_close = connection_close,
	.dispose = connection_dispose,
	.dealloc = connection_dealloc,
};

static int connection_new(struct server *server, int fd)
{
	struct connection *c = calloc(1, sizeof *c);
	int err;

	if (c == NULL)
		return -ENOMEM;
	c->server = server;
	c->file = -1;
	err = asyncore_dispatcher_init(&c->dispatcher, &connection_type, fd,
				       asyncore_map(&server->dispatcher));
	if (err < 0)
		free(c);
	return err;
}

/* --- server -------------------------------------------------------------------- */

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	int err = connection_new((struct server *)self, fd);

	(void)addr;
	(void)addrlen;
	if (err < 0)
		close(fd);
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

static int server_init(struct server *server, int port)
{
	struct asyncore_dispatcher *self = &server->dispatcher;
	int err = asyncore_dispatcher_init(self, &server_type, -1, NULL);

	if (err == 0)
		err = asyncore_create_socket(self, AF_INET, SOCK_STREAM);
	if (err == 0)
		err = asyncore_set_reuse_addr(self);
	if (err == 0)
		err = asyncore_bind(self, "127.0.0.1", port);
	if (err == 0)
		err = asyncore_listen(self, 128);
	return err;
}

/* --- stopper ------------------------------------------------------------------- */

static int signal_pipe[2];

static void on_signal(int number)
{
	int saved = errno;
	ssize_t n = write(signal_pipe[1], "", 1);

	(void)number;
	(void)n;
	errno = saved;
}

static int stopper_read(struct asyncore_dispatcher *self)
{
	(void)self;
	return ASYNCORE_EXIT_NOW;
}

static int stopper_writable(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static const struct asyncore_dispatcher_type stopper_type = {
	.base = &asyncore_file_dispatcher_type,
	.name = "stopper",
	.flags = ASYNCORE_PREDICATES_STABLE,
	.writable = stopper_writable,
	.handle_read = stopper_read,
};

static int stopper_init(struct asyncore_file_dispatcher *stopper)
{
	/* A second signal kills, as if we were not there. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0)
		return -errno;
	return asyncore_file_dispatcher_init(stopper, &stopper_type, signal_pipe[0], NULL);
}

/* --- main ---------------------------------------------------------------------- */

static void print_address(const struct server *server, const char *root)
{
	struct sockaddr_in addr = { 0 };
	socklen_t addrlen = sizeof addr;

	getsockname(asyncore_socket(&server->dispatcher), (struct sockaddr *)&addr, &addrlen);
	printf("serving %s at http://127.0.0.1:%d/\n", root, ntohs(addr.sin_port));
	fflush(stdout);
}

static int run(struct server *server, const char *root, int port)
{
	struct asyncore_file_dispatcher stopper;
	int err = stopper_init(&stopper);

	if (err == 0)
		err = server_init(server, port);
	if (err == 0) {
		print_address(server, root);
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	}
	asyncore_map_free(NULL);	/* closes every channel that is left */
	return err == ASYNCORE_EXIT_NOW ? 0 : err;
}

int main(int argc, char **argv)
{
	struct server server = { .requests = 0 };
	int option, port = 8080, err;

	while ((option = getopt(argc, argv, "p:n:")) != -1) {
		if (option == 'p')
			port = atoi(optarg);
		else if (option == 'n')
			server.requests = atol(optarg);
		else
			optind = argc + 1;
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: http_server [-p port] [-n requests] root\n");
		return EXIT_FAILURE;
	}
	server.root = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (server.root < 0 || pipe(signal_pipe) < 0) {
		perror(argv[optind]);
		return EXIT_FAILURE;
	}
	err = run(&server, argv[optind], port);
	if (err < 0)
		fprintf(stderr, "http_server: %s\n", strerror(-err));
	close(server.root);
	close(signal_pipe[0]);
	close(signal_pipe[1]);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
