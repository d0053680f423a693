/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * http_client.py in C, line for line.  Above each part stand the Python lines that it
 * ports.
 *
 *	http_client host path [port]
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asyncore.h>

/*
 *	class HTTPClient(asyncore.dispatcher):
 */
struct http_client {
	struct asyncore_dispatcher dispatcher;
	char *request;
	const char *buffer;	/* the part of the request that is not sent yet */
	size_t buffer_len;
};

/*
 *	    def handle_connect(self):
 *	        pass
 */
static int http_client_connect(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

/*
 *	    def handle_close(self):
 *	        self.close()
 */
static int http_client_close(struct asyncore_dispatcher *self)
{
	return asyncore_close(self);
}

/*
 *	    def handle_read(self):
 *	        sys.stdout.buffer.write(self.recv(8192))
 */
static int http_client_read(struct asyncore_dispatcher *self)
{
	char data[8192];
	int n = asyncore_recv(self, data, sizeof data);

	if (n > 0 && fwrite(data, 1, n, stdout) != (size_t)n)
		return ASYNCORE_RAISE(self, -errno);
	return n;
}

/*
 *	    def writable(self):
 *	        return len(self.buffer) > 0
 */
static int http_client_writable(struct asyncore_dispatcher *self)
{
	struct http_client *client = (struct http_client *)self;

	return client->buffer_len > 0;
}

/*
 *	    def handle_write(self):
 *	        sent = self.send(self.buffer)
 *	        self.buffer = self.buffer[sent:]
 */
static int http_client_write(struct asyncore_dispatcher *self)
{
	struct http_client *client = (struct http_client *)self;
	int sent = asyncore_send(self, client->buffer, client->buffer_len);

	if (sent < 0)
		return sent;
	client->buffer += sent;
	client->buffer_len -= sent;
	return 0;
}

static void http_client_dispose(struct asyncore_dispatcher *self)
{
	struct http_client *client = (struct http_client *)self;

	free(client->request);
}

static const struct asyncore_dispatcher_type http_client_type = {
	.base = &asyncore_dispatcher_type,
	.name = "HTTPClient",
	.writable = http_client_writable,
	.handle_read = http_client_read,
	.handle_write = http_client_write,
	.handle_connect = http_client_connect,
	.handle_close = http_client_close,
	.dispose = http_client_dispose,
};

/*
 *	    def __init__(self, host, path, port):
 *	        asyncore.dispatcher.__init__(self)
 *	        self.create_socket()
 *	        self.connect((host, port))
 *	        self.buffer = bytes('GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' %
 *	                            (path, host), 'ascii')
 */
static int http_client_init(struct http_client *client, const char *host, const char *path,
			    int port)
{
	static const char format[] = "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n";
	struct asyncore_dispatcher *self = &client->dispatcher;
	int err;

	memset(client, 0, sizeof *client);
	err = asyncore_dispatcher_init(self, &http_client_type, -1, NULL);
	if (err < 0)
		return err;
	err = asyncore_create_socket(self, AF_INET, SOCK_STREAM);
	if (err < 0)
		return err;
	err = asyncore_connect(self, host, port);
	if (err < 0)
		return err;
	client->buffer_len = snprintf(NULL, 0, format, path, host);
	client->request = malloc(client->buffer_len + 1);
	if (client->request == NULL)
		return -ENOMEM;
	snprintf(client->request, client->buffer_len + 1, format, path, host);
	client->buffer = client->request;
	return 0;
}

/*
 *	port = int(sys.argv[3]) if len(sys.argv) > 3 else 80
 *	client = HTTPClient(sys.argv[1], sys.argv[2], port)
 *	asyncore.loop()
 */
int main(int argc, char **argv)
{
	struct http_client client;
	const struct asyncore_error *error;
	int err;

	if (argc < 3) {
		fprintf(stderr, "usage: http_client host path [port]\n");
		return EXIT_FAILURE;
	}
	err = http_client_init(&client, argv[1], argv[2], argc > 3 ? atoi(argv[3]) : 80);
	if (err == 0)
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	if (err < 0) {
		error = asyncore_error(&client.dispatcher);
		fprintf(stderr, "http_client: %s\n", error != NULL ? error->text : strerror(-err));
		asyncore_close(&client.dispatcher);	/* it may be in no map */
	}
	asyncore_map_free(NULL);
	return err < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
