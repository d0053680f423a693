/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For install.sh: a program as a user of the installed library writes it.  A channel on
 * one end of a socket pair echoes what main() writes into the other.
 */

#include <asyncore.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int echo_read(struct asyncore_dispatcher *self)
{
	char data[64];
	int n = asyncore_recv(self, data, sizeof data);

	return n > 0 ? asyncore_send(self, data, n) : n;
}

static const struct asyncore_dispatcher_type echo_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "echo",
	.handle_read = echo_read,
};

static int echo_once(int fds[2])
{
	struct asyncore_dispatcher_with_send echo;
	char answer[8] = "";

	if (asyncore_dispatcher_with_send_init(&echo, &echo_type, fds[0], NULL) < 0) {
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (write(fds[1], "hello", 5) != 5 ||
	    asyncore_loop(10.0, false, NULL, 1) < 0 ||
	    read(fds[1], answer, sizeof answer) != 5)
		answer[0] = '\0';
	/* The end of the file closes the channel, and the empty map ends the loop. */
	close(fds[1]);
	if (asyncore_loop(10.0, false, NULL, -1) < 0)
		return -1;
	return strcmp(answer, "hello");
}

int main(void)
{
	int fds[2];

	if (strcmp(asyncore_version(), ASYNCORE_VERSION) != 0) {
		printf("header %s, library %s\n", ASYNCORE_VERSION, asyncore_version());
		return 1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || echo_once(fds) != 0) {
		printf("no echo\n");
		return 1;
	}
	return asyncore_map_free(NULL) != 0;
}
