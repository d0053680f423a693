/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * load.c - echo client: load PORT CONNECTIONS ROUNDS SIZE
 *
 * In each round it sends one message on every connection and then takes every answer, in a
 * fixed order, so that the server's passes are as full as they can be and the same from
 * run to run.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char data[65536];

static int dial(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static void take(int fd, size_t size)
{
	while (size > 0) {
		ssize_t n = recv(fd, data, size, 0);

		if (n <= 0) {
			fprintf(stderr, "the server hung up\n");
			exit(1);
		}
		size -= (size_t)n;
	}
}

int main(int argc, char **argv)
{
	int connections, rounds, i, round, *fd;
	size_t size;

	if (argc != 5)
		return 2;
	connections = atoi(argv[2]);
	rounds = atoi(argv[3]);
	size = (size_t)atoi(argv[4]);
	fd = calloc((size_t)connections, sizeof *fd);
	for (i = 0; i < connections; i++) {
		fd[i] = dial(atoi(argv[1]));
		send(fd[i], data, size, 0);
		take(fd[i], size);
	}
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < connections; i++)
			send(fd[i], data, size, 0);
		for (i = 0; i < connections; i++)
			take(fd[i], size);
	}
	for (i = 0; i < connections; i++)
		close(fd[i]);
	free(fd);
	return 0;
}
