/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * udp_time_server.py in C, line for line: a UDP service that tells the time.  Above each part
 * stand the Python lines that it ports.
 *
 *	udp_time_server [port]		port 0, the default, takes any that is free
 *
 * A question is a datagram of at most 64 bytes without a blank, and may be empty.  The answer
 * is the question, a blank and the time; so who asks can tell which of his questions was
 * answered, and no answer is ever taken for a question: two such servers do not talk to each
 * other for ever.
 */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <asyncore.h>

enum { LONGEST_QUESTION = 64, LENGTH_OF_TIME = sizeof " HH:MM:SS" };

/*
 *	class TimeServer(asyncore.dispatcher):
 *
 *	    def writable(self):
 *	        return False
 */
static int time_server_writable(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

/*
 *	    def handle_read(self):
 *	        try:
 *	            question, peer = self.socket.recvfrom(LONGEST_QUESTION + 1)
 *	        except BlockingIOError:
 *	            return
 *	        if len(question) > LONGEST_QUESTION or b' ' in question:
 *	            return
 *	        answer = question + time.strftime(' %H:%M:%S').encode()
 *	        try:
 *	            self.socket.sendto(answer, peer)
 *	        except BlockingIOError:
 *	            pass
 *	        except OSError as why:
 *	            self.log('no answer to %s port %d: %s' % (*peer, why.strerror))
 *
 * An empty datagram is a question like any other: 0 is no end here.  An error of one peer's
 * must not end the service, so what sendto() raises is not raised further.
 */
static int time_server_read(struct asyncore_dispatcher *self)
{
	char text[LONGEST_QUESTION + LENGTH_OF_TIME], host[INET_ADDRSTRLEN];
	struct sockaddr_in in;
	struct sockaddr *peer = (struct sockaddr *)&in;
	socklen_t peer_len = sizeof in;
	time_t now = time(NULL);
	size_t len;
	int n;

	n = asyncore_recvfrom(self, text, LONGEST_QUESTION + 1, peer, &peer_len);
	if (n < 0)
		return n;	/* -EAGAIN is no error */
	if (n > LONGEST_QUESTION || memchr(text, ' ', n) != NULL)
		return 0;
	len = n + strftime(text + n, LENGTH_OF_TIME, " %H:%M:%S", localtime(&now));
	n = asyncore_sendto(self, text, len, peer, peer_len);
	if (n < 0)
		return asyncore_logf(self, "no answer to %s port %d: %s",
				     inet_ntop(AF_INET, &in.sin_addr, host, sizeof host),
				     ntohs(in.sin_port), strerror(-n));
	return 0;
}

static const struct asyncore_dispatcher_type time_server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "TimeServer",
	.writable = time_server_writable,
	.handle_read = time_server_read,
};

/*
 *	    def __init__(self, host, port):
 *	        asyncore.dispatcher.__init__(self)
 *	        self.create_socket(type=socket.SOCK_DGRAM)
 *	        self.bind((host, port))
 */
static int time_server_init(struct asyncore_dispatcher *self, const char *host, int port)
{
	int err;

	err = asyncore_dispatcher_init(self, &time_server_type, -1, NULL);
	if (err < 0)
		return err;
	err = asyncore_create_socket(self, AF_INET, SOCK_DGRAM);
	if (err < 0)
		return err;
	return asyncore_bind(self, host, port);
}

/*
 *	print('listening at %s port %d' % server.socket.getsockname(), flush=True)
 */
static void print_address(const struct asyncore_dispatcher *server)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof in;
	char host[INET_ADDRSTRLEN];

	if (getsockname(asyncore_socket(server), (struct sockaddr *)&in, &len) == 0)
		printf("listening at %s port %d\n",
		       inet_ntop(AF_INET, &in.sin_addr, host, sizeof host), ntohs(in.sin_port));
}

/*
 *	server = TimeServer('127.0.0.1', int(sys.argv[1]) if len(sys.argv) > 1 else 0)
 *	asyncore.loop()
 */
int main(int argc, char **argv)
{
	struct asyncore_dispatcher server;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	err = time_server_init(&server, "127.0.0.1", argc > 1 ? atoi(argv[1]) : 0);
	if (err == 0) {
		print_address(&server);
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	}
	if (err < 0) {
		fprintf(stderr, "udp_time_server: %s\n", strerror(-err));
		asyncore_close(&server);	/* it may be in no map */
	}
	asyncore_map_free(NULL);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
