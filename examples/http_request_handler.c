/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * http_request_handler.py in C, line for line.  Above each part stand the Python lines that
 * it ports.
 *
 *	http_request_handler [port]		port 0 takes any that is free
 *
 *	curl http://localhost:8080/path
 *	curl -d 'some data' http://localhost:8080/path
 */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <asynchat.h>
#include <asyncore_event.h>

enum { MOST = 1024 * 1024 };

/* A byte string, as an attribute: memory of its own. */
struct bytes {
	char *data;
	size_t len;
};

static int bytes_set(struct bytes *bytes, const char *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, data, len);
	copy[len] = '\0';
	free(bytes->data);
	bytes->data = copy;
	bytes->len = len;
	return 0;
}

struct http_server {
	struct asyncore_dispatcher dispatcher;
	int sessions;
};

/*
 *	class http_request_handler(asynchat.async_chat):
 *
 * ibuffer is what the default collector keeps, with `received` for its size.
 */
struct http_request_handler {
	struct async_chat chat;
	struct http_server *server;
	struct bytes op, uri, clen, cgi_data;
	size_t received;
	bool reading_headers, handling;
};

static const struct async_chat_type http_request_handler_type;

/*
 *	    def __init__(self, sock, addr, sessions):
 *	        asynchat.async_chat.__init__(self, sock=sock)
 *	        self.addr = addr
 *	        self.sessions = sessions
 *	        self.ibuffer = []
 *	        self.obuffer = b""
 *	        self.set_terminator(b"\r\n\r\n")
 *	        self.reading_headers = True
 *	        self.handling = False
 *	        self.cgi_data = None
 *	        self.received = 0
 *	        sessions.add(self)
 *
 * addr is asyncore_addr().
 */
static int http_request_handler_init(struct http_request_handler *self, int fd,
				     struct http_server *server)
{
	int err = async_chat_init(&self->chat, &http_request_handler_type, fd, NULL);

	if (err < 0)
		return err;
	/* From here on it is the map's: whatever fails, closing is enough. */
	self->server = server;
	self->reading_headers = true;
	server->sessions++;
	if (async_chat_set_terminator(&self->chat, "\r\n\r\n", 4) < 0)
		asyncore_close(&self->chat.dispatcher);
	return 0;
}

/*
 *	    def respond(self, status):
 *	        self.push(b"HTTP/1.0 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
 *	                  % (status, len(self.obuffer)))
 *	        self.push(self.obuffer)
 *	        self.close_when_done()
 *
 * Whoever calls it pushes the parts of obuffer, and then the close mark.
 */
static int respond(struct http_request_handler *self, const char *status, size_t len)
{
	char head[160];
	int n = snprintf(head, sizeof head, "HTTP/1.0 %s\r\nContent-Type: text/plain\r\n"
			 "Content-Length: %zu\r\n\r\n", status, len);

	return async_chat_push(&self->chat, head, (size_t)n);
}

/*
 *	    def refuse(self, status):
 *	        self.handling = True
 *	        self.set_terminator(None)
 *	        self.obuffer = status + b"\r\n"
 *	        self.respond(status)
 */
static int refuse(struct http_request_handler *self, const char *status)
{
	char line[64];
	int n = snprintf(line, sizeof line, "%s\r\n", status);

	self->handling = true;
	async_chat_set_terminator_none(&self->chat);
	if (respond(self, status, (size_t)n) < 0 ||
	    async_chat_push(&self->chat, line, (size_t)n) < 0)
		return -ENOMEM;
	return async_chat_close_when_done(&self->chat);
}

/*
 *	    def collect_incoming_data(self, data):
 *	        """Buffer the data"""
 *	        if self.handling:
 *	            return      # browsers sometimes over-send
 *	        self.received += len(data)
 *	        if self.received > MOST:
 *	            self.refuse(b"413 Content Too Large")
 *	        else:
 *	            self.ibuffer.append(data)
 */
static int collect_incoming_data(struct async_chat *chat, const void *data, size_t len)
{
	struct http_request_handler *self = (struct http_request_handler *)chat;

	if (self->handling)
		return 0;
	self->received += len;
	if (self->received > MOST)
		return refuse(self, "413 Content Too Large");
	return async_chat_collect_default(chat, data, len);
}

/* The value of a header, up to the end of its line; NULL if there is none. */
static const char *header(const char *headers, const char *name)
{
	const size_t len = strlen(name);

	for (; headers != NULL; headers = strchr(headers, '\n')) {
		headers += *headers == '\n';
		if (strncasecmp(headers, name, len) == 0 && headers[len] == ':')
			return headers + len + 1 + strspn(headers + len + 1, " \t");
	}
	return NULL;
}

/*
 *	    def parse_headers(self, text):
 *	        line, _, headers = text.partition(b"\r\n")
 *	        self.op, self.uri = (line.split(b" ") + [b"", b""])[:2]
 *	        self.headers = email.parser.Parser().parsestr(headers.decode("latin-1"))
 *
 * Of the headers only content-length is kept.  A NUL ends the text, as it ends any string.
 */
static int parse_headers(struct http_request_handler *self, const char *text)
{
	const size_t op = strcspn(text, " \r\n");
	const char *uri = text + op + (text[op] == ' ');
	const char *headers = strstr(text, "\r\n");
	const char *clen = headers != NULL ? header(headers + 2, "content-length") : NULL;
	int err = bytes_set(&self->op, text, op);

	if (err == 0)
		err = bytes_set(&self->uri, uri, strcspn(uri, " \r\n"));
	if (err == 0)
		err = bytes_set(&self->clen, clen != NULL ? clen : "",
				clen != NULL ? strcspn(clen, " \t\r\n") : 0);
	return err;
}

/* int(clen); -1 for what is no number, a little more than MOST for any larger one */
static long content_length(const char *clen)
{
	long n = 0;

	if (*clen == '\0')
		return -1;
	for (; isdigit((unsigned char)*clen); clen++)
		n = n > MOST ? MOST + 1 : n * 10 + (*clen - '0');
	return *clen == '\0' ? n : -1;
}

/*
 *	    def handle_request(self):
 *	        if self.op.upper() not in (b"GET", b"POST"):
 *	            return self.refuse(b"501 Not Implemented")
 *	        self.obuffer = self.op + b" " + self.uri + b"\r\n"
 *	        if self.cgi_data is not None:
 *	            self.obuffer += self.cgi_data
 *	        self.respond(b"200 OK")
 */
static int handle_request(struct http_request_handler *self)
{
	struct async_chat *chat = &self->chat;

	if (strcasecmp(self->op.data, "GET") != 0 && strcasecmp(self->op.data, "POST") != 0)
		return refuse(self, "501 Not Implemented");
	if (respond(self, "200 OK", self->op.len + 1 + self->uri.len + 2 + self->cgi_data.len) < 0 ||
	    async_chat_push(chat, self->op.data, self->op.len) < 0 ||
	    async_chat_push(chat, " ", 1) < 0 ||
	    async_chat_push(chat, self->uri.data, self->uri.len) < 0 ||
	    async_chat_push(chat, "\r\n", 2) < 0 ||
	    async_chat_push(chat, self->cgi_data.data, self->cgi_data.len) < 0)
		return -ENOMEM;
	return async_chat_close_when_done(chat);
}

/*
 *	    def found_terminator(self):
 *	        if self.reading_headers:
 *	            self.reading_headers = False
 *	            self.parse_headers(b"".join(self.ibuffer))
 *	            self.ibuffer = []
 *	            self.received = 0
 *	            if self.op.upper() == b"POST":
 *	                clen = self.headers.get("content-length", "")
 *	                if not (clen.isascii() and clen.isdigit()):
 *	                    return self.refuse(b"411 Length Required")
 *	                if int(clen) > MOST:
 *	                    return self.refuse(b"413 Content Too Large")
 *	                if int(clen) > 0:
 *	                    self.set_terminator(int(clen))
 *	                    return
 *	            self.handling = True
 *	            self.set_terminator(None)
 *	            self.handle_request()
 */
static int found_headers(struct http_request_handler *self, const char *text)
{
	long clen;
	int err;

	self->reading_headers = false;
	self->received = 0;
	err = parse_headers(self, text);
	if (err < 0)
		return err;
	if (strcasecmp(self->op.data, "POST") == 0) {
		clen = content_length(self->clen.data);
		if (clen < 0)
			return refuse(self, "411 Length Required");
		if (clen > MOST)
			return refuse(self, "413 Content Too Large");
		if (clen > 0)
			return async_chat_set_terminator_count(&self->chat, clen);
	}
	self->handling = true;
	async_chat_set_terminator_none(&self->chat);
	return handle_request(self);
}

/*
 *	        elif not self.handling:
 *	            self.set_terminator(None)  # browsers sometimes over-send
 *	            self.cgi_data = b"".join(self.ibuffer)
 *	            self.handling = True
 *	            self.ibuffer = []
 *	            self.handle_request()
 */
static int found_terminator(struct async_chat *chat)
{
	struct http_request_handler *self = (struct http_request_handler *)chat;
	size_t len;
	char *data = async_chat_get_data(chat, &len);
	int err;

	if (data == NULL)
		return ASYNCORE_RAISE(&chat->dispatcher, -ENOMEM);
	if (self->reading_headers)
		return ASYNCORE_RAISE(&chat->dispatcher, found_headers(self, data));
	if (self->handling)
		return 0;
	async_chat_set_terminator_none(chat);
	err = bytes_set(&self->cgi_data, data, len);
	self->handling = true;
	return ASYNCORE_RAISE(&chat->dispatcher, err < 0 ? err : handle_request(self));
}

/*
 *	    def close(self):
 *	        self.sessions.discard(self)
 *	        asynchat.async_chat.close(self)
 *
 * Python's garbage collector does the rest; here dispose gives back what this class has,
 * and dealloc the memory of the object.
 */
static void http_request_handler_dispose(struct asyncore_dispatcher *d)
{
	struct http_request_handler *self = (struct http_request_handler *)d;

	self->server->sessions--;
	free(self->op.data);
	free(self->uri.data);
	free(self->clen.data);
	free(self->cgi_data.data);
}

static const struct async_chat_type http_request_handler_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "http_request_handler",
		.dispose = http_request_handler_dispose,
		.dealloc = asyncore_dealloc_free,
	},
	.collect_incoming_data = collect_incoming_data,
	.found_terminator = found_terminator,
};

/*
 *	class http_server(asyncore.dispatcher):
 *
 *	    def handle_accepted(self, sock, addr):
 *	        http_request_handler(sock, addr, self.sessions)
 */
static int http_server_accepted(struct asyncore_dispatcher *self, int fd,
				const struct sockaddr *addr, socklen_t addrlen)
{
	struct http_request_handler *handler = calloc(1, sizeof *handler);
	int err = -ENOMEM;

	(void)addr, (void)addrlen;
	if (handler != NULL)
		err = http_request_handler_init(handler, fd, (struct http_server *)self);
	if (err < 0) {
		free(handler);
		close(fd);
	}
	return ASYNCORE_RAISE(self, err);
}

static const struct asyncore_dispatcher_type http_server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "http_server",
	.handle_accepted = http_server_accepted,
};

/*
 *	    def __init__(self, host, port):
 *	        asyncore.dispatcher.__init__(self)
 *	        self.sessions = set()
 *	        self.create_socket()
 *	        self.set_reuse_addr()
 *	        self.bind((host, port))
 *	        self.listen(5)
 */
static int http_server_init(struct http_server *server, const char *host, int port)
{
	struct asyncore_dispatcher *self = &server->dispatcher;
	int err = asyncore_dispatcher_init(self, &http_server_type, -1, NULL);

	server->sessions = 0;
	if (err < 0)
		return err;
	err = asyncore_create_socket(self, AF_INET, SOCK_STREAM);
	if (err < 0)
		return err;
	asyncore_set_reuse_addr(self);
	err = asyncore_bind(self, host, port);
	return err < 0 ? err : asyncore_listen(self, 5);
}

/*
 *	def stop(number, frame):
 *	    raise asyncore.ExitNow
 *
 * A handler of a signal in C must not: it pulls a trigger, whose call raises in the loop.
 */
static struct asyncore_trigger *trigger;

static void stop(int number)
{
	(void)number;
	asyncore_trigger_pull(trigger);
}

static int raise_exit_now(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	return ASYNCORE_EXIT_NOW;
}

/*
 *	print('Listening at %s' % repr(server.socket.getsockname()), flush=True)
 */
static void print_address(const struct http_server *server)
{
	struct sockaddr_in in = { 0 };
	socklen_t addrlen = sizeof in;
	char host[INET_ADDRSTRLEN] = "?";

	getsockname(asyncore_socket(&server->dispatcher), (struct sockaddr *)&in, &addrlen);
	inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
	printf("Listening at ('%s', %d)\n", host, ntohs(in.sin_port));
	fflush(stdout);
}

/*
 *	port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
 *	server = http_server('localhost', port)
 *	signal.signal(signal.SIGTERM, stop)
 *	signal.signal(signal.SIGINT, stop)
 *	try:
 *	    asyncore.loop()
 *	except asyncore.ExitNow:
 *	    print('%d sessions left' % len(server.sessions))
 *	asyncore.close_all()
 */
int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = stop };
	int port = argc > 1 ? atoi(argv[1]) : 8080, err;
	struct http_server server;

	trigger = asyncore_trigger_new(NULL, raise_exit_now, NULL, NULL);
	if (trigger == NULL || sigaction(SIGTERM, &action, NULL) < 0 ||
	    sigaction(SIGINT, &action, NULL) < 0) {
		perror("http_request_handler");
		asyncore_trigger_free(trigger);
		asyncore_map_free(NULL);
		return EXIT_FAILURE;
	}
	err = http_server_init(&server, "localhost", port);
	if (err == 0) {
		print_address(&server);
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	}
	if (err == ASYNCORE_EXIT_NOW)
		printf("%d sessions left\n", server.sessions);
	else if (err < 0)
		fprintf(stderr, "http_request_handler: %s\n", strerror(-err));
	asyncore_close(&server.dispatcher);	/* it may be in no map */
	signal(SIGTERM, SIG_IGN);	/* it is ending; nobody pulls the trigger any more */
	signal(SIGINT, SIG_IGN);
	asyncore_trigger_free(trigger);
	asyncore_map_free(NULL);
	return err == ASYNCORE_EXIT_NOW ? EXIT_SUCCESS : EXIT_FAILURE;
}
