/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * udp_time_client.py in C: asks UDP time servers (see udp_time_server.c), all of them at once,
 * and again if no answer comes.  Above each part stand the Python lines that it ports.  What
 * is not line for line is the timer: asyncore has none, so the Python program looks at the
 * clock in readable(), and has its loop come round ten times a second for that.
 *
 *	udp_time_client seconds tries port...
 *
 * seconds: to wait for an answer before it asks again.  Exit status 1 if a server did not
 * answer.
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <asyncore_event.h>

/*
 *	class TimeClient(asyncore.dispatcher):
 */
struct time_client {
	struct asyncore_dispatcher dispatcher;
	int port;
	int tries;		/* that are left */
	char question[24];
	bool answered;
};

/*
 *	    def finish(self, result):
 *	        print('port %d: %s' % (self.port, result), flush=True)
 *	        self.close()
 *
 * The timer ends with the channel.
 */
static int time_client_finish(struct time_client *client, const char *result)
{
	printf("port %d: %s\n", client->port, result);
	return asyncore_close(&client->dispatcher);
}

/*
 *	    def ask(self):
 *	        if self.tries == 0:
 *	            self.finish('no answer')
 *	            return
 *	        self.tries -= 1
 *	        self.ask_again = time.monotonic() + self.seconds
 *	        self.send(self.question)
 */
static int time_client_ask(struct asyncore_dispatcher *self, void *arg)
{
	struct time_client *client = (struct time_client *)self;

	(void)arg;
	if (client->tries == 0)
		return time_client_finish(client, "no answer");
	client->tries--;
	return asyncore_send(self, client->question, strlen(client->question));
}

/*
 *	    def handle_connect(self):
 *	        self.ask()
 *
 * A datagram socket is connected at once: asyncore_connect() calls this.
 */
static int time_client_connect(struct asyncore_dispatcher *self)
{
	return time_client_ask(self, NULL);
}

/*
 *	    def writable(self):
 *	        return False
 */
static int time_client_writable(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

/*
 *	    def handle_read(self):
 *	        answer = self.socket.recv(1024)
 *	        question, blank, now = answer.partition(b' ')
 *	        if blank and question == self.question:
 *	            self.answered = True
 *	            self.finish(now.decode('latin-1'))
 *
 * asyncore_recv() would do for Python's, too, if that did not take an empty datagram for the
 * end of the connection; ours does not.  A port where nobody listens is an error of recv(),
 * when the ICMP message has come: -ECONNREFUSED.
 */
static int time_client_read(struct asyncore_dispatcher *self)
{
	struct time_client *client = (struct time_client *)self;
	size_t len = strlen(client->question);
	char answer[1024 + 1];
	int n = asyncore_recv(self, answer, sizeof answer - 1);

	if (n < 0)
		return n;
	answer[n] = '\0';
	if (strncmp(answer, client->question, len) != 0 || answer[len] != ' ')
		return 0;
	client->answered = true;
	return time_client_finish(client, answer + len + 1);
}

/*
 *	    def handle_error(self):
 *	        why = sys.exc_info()[1]
 *	        self.finish(getattr(why, 'strerror', why))
 */
static int time_client_error(struct asyncore_dispatcher *self)
{
	return time_client_finish((struct time_client *)self, asyncore_error(self)->text);
}

static const struct asyncore_dispatcher_type time_client_type = {
	.base = &asyncore_dispatcher_type,
	.name = "TimeClient",
	.writable = time_client_writable,
	.handle_read = time_client_read,
	.handle_connect = time_client_connect,
	.handle_error = time_client_error,
};

/*
 *	    def __init__(self, host, port, seconds, tries):
 *	        asyncore.dispatcher.__init__(self)
 *	        self.port = port
 *	        self.seconds = seconds
 *	        self.tries = tries
 *	        self.question = b'%d' % os.getpid()
 *	        self.answered = False
 *	        self.create_socket(type=socket.SOCK_DGRAM)
 *	        self.connect((host, port))
 */
static int time_client_init(struct time_client *client, const char *host, int port,
			    double seconds, int tries)
{
	struct asyncore_dispatcher *self = &client->dispatcher;
	int err;

	memset(client, 0, sizeof *client);
	err = asyncore_dispatcher_init(self, &time_client_type, -1, NULL);
	if (err < 0)
		return err;
	client->port = port;
	client->tries = tries;
	snprintf(client->question, sizeof client->question, "%ld", (long)getpid());
	err = asyncore_create_socket(self, AF_INET, SOCK_DGRAM);
	if (err < 0)
		return err;
	err = asyncore_connect(self, host, port);
	if (err < 0)
		return err;
	return asyncore_channel_call_every(self, seconds, time_client_ask, NULL, NULL);
}

/*
 *	seconds, tries = float(sys.argv[1]), int(sys.argv[2])
 *	clients = [TimeClient('127.0.0.1', int(port), seconds, tries) for port in sys.argv[3:]]
 *	asyncore.loop(timeout=min(seconds, 0.1))
 *	sys.exit(not all(client.answered for client in clients))
 */
int main(int argc, char **argv)
{
	struct time_client *clients;
	int count = argc - 3, err = 0, i;
	bool all = true;

	if (count < 1) {
		fprintf(stderr, "usage: udp_time_client seconds tries port...\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	clients = calloc(count, sizeof *clients);
	if (clients == NULL)
		err = -ENOMEM;
	for (i = 0; i < count && err >= 0; i++) {
		err = time_client_init(&clients[i], "127.0.0.1", atoi(argv[3 + i]),
				       atof(argv[1]), atoi(argv[2]));
		if (err < 0)
			asyncore_close(&clients[i].dispatcher);		/* it may be in no map */
	}
	if (err >= 0)
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	if (err < 0)
		fprintf(stderr, "udp_time_client: %s\n", strerror(-err));
	asyncore_map_free(NULL);
	for (i = 0; i < count && err >= 0; i++)
		all = all && clients[i].answered;
	free(clients);		/* after the map, which may hold them still */
	return err < 0 || !all ? EXIT_FAILURE : EXIT_SUCCESS;
}
