/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * load.c - the client of the servers, when time is measured.
 *
 *	load WORK PORT PID CONNECTIONS SIZE SECONDS
 *
 *	echo		messages of SIZE bytes, one under way on each connection
 *	count, answer	lines of SIZE bytes on one connection; answer: and 4 bytes for each back
 *	accept		connections that the server accepts and closes, so many under way
 *	download	100 MiB at a time, on one connection
 *
 * It never sleeps and takes the connections in a fixed order, so that with many of them the
 * server always has work.  When the time is over it prints how much was done (messages, lines,
 * connections, MiB), in how many seconds, and how many CPU seconds the server, process PID, spent
 * on it.
 */

#include "bench.h"
#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

static int port, connections, *client;
static size_t size;
static double duration;		/* ns */
static char *block, sink[4 * BENCH_BUFFER];

/* --- what is measured ------------------------------------------------------------------ */

static pid_t server;
static double start, server_start;

static double server_now(void)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(server, &clock) != 0 || clock_gettime(clock, &ts) < 0)
		bench_die("the server's clock");
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void begin(void)
{
	server_start = server_now();
	start = bench_now();
}

static bool over(void)
{
	return bench_now() - start > duration;
}

static void end(double done)
{
	const double seconds = (bench_now() - start) / 1e9;

	printf("%.0f %.6f %.6f\n", done, seconds, (server_now() - server_start) / 1e9);
}

/* --- sockets --------------------------------------------------------------------------- */

static int dial(void)
{
	int fd = bench_connect(port);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* The result of recv() or send(), 0 for nothing now. */
static size_t some(ssize_t n)
{
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		fprintf(stderr, "load: the server hung up\n");
		exit(1);
	}
	return (size_t)n;
}

static void say(int fd)
{
	size_t sent = 0;

	while (sent < size)
		sent += some(send(fd, block + sent, size - sent, MSG_NOSIGNAL));
}

static void take(int fd)
{
	size_t had = 0;

	while (had < size)
		had += some(recv(fd, sink, size - had, 0));
}

/* The server closes when it has read everything. */
static void await_end(int fd)
{
	while (recv(fd, sink, sizeof sink, 0) != 0)
		if (errno != EAGAIN)
			bench_die("recv");
	close(fd);
}

/* --- the works ------------------------------------------------------------------------- */

static void work_echo(void)
{
	double done = 0;
	int i;

	for (i = 0; i < connections; i++) {
		client[i] = dial();
		say(client[i]);
		take(client[i]);
	}
	for (i = 0; i < connections; i++)
		say(client[i]);
	begin();
	while (!over())
		for (i = 0; i < connections; i++, done++) {
			take(client[i]);
			say(client[i]);
		}
	end(done);
}

/* `per_line` bytes come back for each line.  The connection's end is part of it: then all has
 * been read. */
static void work_lines(size_t per_line)
{
	const size_t len = BLOCK / size * size;
	size_t i, at = 0, lines = 0;
	long due = 0;	/* less than 0: answers to a block that is not sent yet */
	int fd = dial();

	for (i = 0; i < len; i++)
		block[i] = i % size == size - 2 ? '\r' : i % size == size - 1 ? '\n' : 'x';
	begin();
	while (at > 0 || !over()) {
		at += some(send(fd, block + at, len - at, MSG_NOSIGNAL));
		if (at == len) {
			lines += len / size;
			due += (long)(len / size * per_line);
			at = 0;
		}
		if (per_line > 0)
			due -= (long)some(recv(fd, sink, sizeof sink, 0));
	}
	while (due > 0)
		due -= (long)some(recv(fd, sink, sizeof sink, 0));
	shutdown(fd, SHUT_WR);
	await_end(fd);
	end((double)lines);
}

/* A connection that goes without a trace: thousands that linger would fill the table. */
static int knock(void)
{
	const struct linger none = { .l_onoff = 1 };
	int fd = dial();

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	return fd;
}

static void work_accept(void)
{
	double done = 0;
	int i;

	for (i = 0; i < connections; i++)
		client[i] = knock();
	begin();
	while (!over())
		for (i = 0; i < connections; i++, done++) {
			await_end(client[i]);
			client[i] = knock();
		}
	end(done);
}

static void work_download(void)
{
	double done = 0;
	size_t due;
	int fd;

	begin();
	do {
		fd = dial();
		for (due = BENCH_DOWNLOAD; due > 0;)
			due -= some(recv(fd, sink, sizeof sink, 0));
		await_end(fd);
		done += BENCH_DOWNLOAD >> 20;
	} while (!over());
	end(done);
}

int main(int argc, char **argv)
{
	const char *work = argc == 7 ? argv[1] : "";

	if (argc != 7) {
		fprintf(stderr, "usage: load WORK PORT PID CONNECTIONS SIZE SECONDS\n");
		return 2;
	}
	port = atoi(argv[2]);
	server = atoi(argv[3]);
	connections = atoi(argv[4]);
	size = (size_t)atol(argv[5]);
	duration = atof(argv[6]) * 1e9;
	if (connections < 1 || size < 2 || size > BENCH_BUFFER)
		return 2;
	bench_raise_limit();
	client = bench_alloc((size_t)connections * sizeof *client);
	block = bench_alloc(BLOCK);
	memset(block, 'x', BLOCK);

	if (strcmp(work, "echo") == 0)
		work_echo();
	else if (strcmp(work, "count") == 0)
		work_lines(0);
	else if (strcmp(work, "answer") == 0)
		work_lines(ANSWER);
	else if (strcmp(work, "accept") == 0)
		work_accept();
	else if (strcmp(work, "download") == 0)
		work_download();
	else
		return 2;
	return 0;
}
