/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * peer.c - the peers of server.c: most of them misbehave, and those that do not must be
 * answered byte-exact all the same.
 *
 *	peer [-n CONNECTIONS] [-s SEED] [-c AT_ONCE] SERVER chat|send [its arguments]
 *
 * It starts the server, opens the connections, each of a kind drawn from the seed and its
 * number, and asks the server before and after what it holds: channels, timers, descriptors
 * and memory must be back where they were.  It uses nothing of the library.
 *
 * Prints what was done; the exit status says whether all was well.
 */

#include "random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From a peer's view: how it behaves. */
enum kind {
	GOOD,		/* a dialogue, all of it at once */
	LOCKSTEP,	/* the next question when the last was answered */
	DRIBBLE,	/* one byte at a time, at first */
	URGENT,		/* with a byte of urgent data in the middle */
	SLOW,		/* that is slow to read, with small buffers */
	HALF,		/* asks, shuts down writing, and reads to the end */
	RESET,		/* in the middle of a dialogue */
	LEAVE,		/* the same, with close */
	STALL,		/* asks for much, reads nothing for a while, then goes */
	FLOOD,		/* sends all it can, reads nothing, goes */
	GARBAGE,	/* bytes of all kinds */
	SHOUT,		/* urgent data again and again */
	VANISH,		/* connects and goes */
	MUTE,		/* connects and says nothing: the server has to end that */
	SENT_AWAY,	/* asks to be closed, reset, or to fail (chat only) */
	KINDS
};

static const struct {
	const char *name;
	unsigned weight;
} kinds[KINDS] = {
	[GOOD] = { "good", 120 }, [LOCKSTEP] = { "lockstep", 60 }, [DRIBBLE] = { "dribble", 40 },
	[URGENT] = { "urgent", 40 }, [SLOW] = { "slow", 20 }, [HALF] = { "half-close", 80 },
	[RESET] = { "reset", 120 }, [LEAVE] = { "leave", 120 }, [STALL] = { "stall", 20 },
	[FLOOD] = { "flood", 20 }, [GARBAGE] = { "garbage", 60 }, [SHOUT] = { "shout", 60 },
	[VANISH] = { "vanish", 160 }, [MUTE] = { "mute", 3 }, [SENT_AWAY] = { "sent away", 80 },
};

/* What the answers must be. */
enum check { EXACT, PREFIX, ANYTHING };

struct text {
	unsigned char *bytes;
	size_t len, size;
};

/* DRIBBLED: so many bytes go one by one, the rest at once. */
enum { STEPS = 12, LIMIT_MS = 60000, DRIBBLED = 600 };

struct peer {
	int fd;
	unsigned long number;
	enum kind kind;
	enum check check;
	uint64_t random;
	struct text out, expected;
	size_t sent, received;
	size_t out_end[STEPS], expected_end[STEPS];	/* of each question, its answer */
	int steps;
	size_t urgent_at;	/* where the urgent byte goes in; SIZE_MAX: nowhere */
	size_t cut;		/* go when so much was sent; SIZE_MAX: never */
	bool reads, reads_after_cut, ends, resets, shut;
	long long started, wake, gone;	/* ms; gone: when it leaves, 0 never */
};

static const char *program_kind;
static bool chat, half;
static uint64_t seed;
static int port, failures;
static unsigned long opened, done[KINDS], answers, bytes_sent, bytes_received;

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void *must(void *memory)
{
	if (memory == NULL) {
		perror("peer");
		exit(1);
	}
	return memory;
}

static void fail(const struct peer *p, const char *what)
{
	fprintf(stderr, "peer: %s, connection %lu (%s, seed %llu): %s; sent %zu of %zu, "
		"received %zu of %zu\n", program_kind, p->number, kinds[p->kind].name,
		(unsigned long long)seed, what, p->sent, p->out.len, p->received,
		p->expected.len);
	failures++;
}

/* --- the dialogue --------------------------------------------------------------------- */

static unsigned char *room(struct text *text, size_t n)
{
	if (text->len + n > text->size) {
		text->size = (text->len + n) * 2;
		text->bytes = must(realloc(text->bytes, text->size));
	}
	text->len += n;
	return text->bytes + text->len - n;
}

static void add(struct text *text, const void *data, size_t n)
{
	memcpy(room(text, n), data, n);
}

static void add_pattern(struct text *text, uint64_t of, size_t n)
{
	random_bytes(of, 0, room(text, n), n);
}

/* Printable, so that there is no newline and no dot in it. */
static void add_words(struct text *text, uint64_t *random, size_t n)
{
	unsigned char *to = room(text, n);

	while (n-- > 0)
		*to++ = (unsigned char)('A' + random_next(random) % 26);
}

static void add_line(struct text *text, const char *line)
{
	add(text, line, strlen(line));
}

static size_t some_length(uint64_t *random)
{
	return random_next(random) % 16 == 0 ? random_range(random, 1, 20000) :
					       random_range(random, 1, 200);
}

static void ask_big(struct peer *p, size_t n)
{
	unsigned of = random_range(&p->random, 0, 99999999);
	char line[64];

	snprintf(line, sizeof line, "B %zu %u\n", n, of);
	add_line(&p->out, line);
	add_pattern(&p->expected, of, n);
}

static void ask_chat(struct peer *p)
{
	uint64_t *random = &p->random;
	size_t start, n = some_length(random);
	char line[64];

	switch (random_next(random) % 8) {
	case 0:
		/* What follows is binary, and may hold anything. */
		snprintf(line, sizeof line, "N %zu\n", n);
		add_line(&p->out, line);
		start = p->out.len;
		add_pattern(&p->out, random_next(random), n);
		add(&p->expected, p->out.bytes + start, n);
		break;
	case 1:
		/* The terminator's own beginnings stand in the text. */
		add_line(&p->out, "D\n");
		start = p->out.len;
		add_words(&p->out, random, n);
		add_line(&p->out, "\r\n.\r\r\n..\r\n.");
		add_words(&p->out, random, n % 7 + 1);
		add(&p->expected, p->out.bytes + start, p->out.len - start);
		add_line(&p->out, "\r\n.\r\n");
		add_line(&p->expected, "\n");
		break;
	case 2:
		ask_big(p, n);
		break;
	case 3:
		add_words(&p->out, random, n);
		add_line(&p->out, "!\n");
		add_line(&p->expected, "?\n");
		break;
	default:
		start = p->out.len;
		add_line(&p->out, "= ");
		add_words(&p->out, random, n);
		add_line(&p->out, "\n");
		add(&p->expected, p->out.bytes + start, p->out.len - start);
		break;
	}
}

static void ask(struct peer *p)
{
	if (chat) {
		ask_chat(p);
	} else {
		size_t start = p->out.len, n = some_length(&p->random);

		add_pattern(&p->out, random_next(&p->random), n);
		add(&p->expected, p->out.bytes + start, n);
	}
	p->out_end[p->steps] = p->out.len;
	p->expected_end[p->steps++] = p->expected.len;
}

/* The server closes; or, of an echo, the peer does when it has all. */
static void say_goodbye(struct peer *p)
{
	if (!chat)
		return;
	add_line(&p->out, "Q\n");
	add_line(&p->expected, "bye\n");
	p->out_end[p->steps] = p->out.len;
	p->expected_end[p->steps++] = p->expected.len;
	p->ends = true;
}

static enum kind draw_kind(uint64_t *random)
{
	unsigned total = 0, n;
	int kind;

	for (kind = 0; kind < KINDS; kind++)
		total += kinds[kind].weight;
	n = (unsigned)(random_next(random) % total);
	for (kind = 0; n >= kinds[kind].weight; kind++)
		n -= kinds[kind].weight;
	return kind == SENT_AWAY && !chat ? RESET : (enum kind)kind;
}

static void prepare(struct peer *p)
{
	uint64_t *random = &p->random;
	long long now = now_ms();
	int n;

	p->kind = draw_kind(random);
	p->check = EXACT;
	p->urgent_at = p->cut = SIZE_MAX;
	p->reads = true;
	p->resets = random_next(random) & 1;
	for (n = (int)random_range(random, 1, STEPS - 2); n > 0; n--)
		ask(p);

	switch (p->kind) {
	case GOOD:
	case LOCKSTEP:
	case DRIBBLE:
	case SLOW:
		say_goodbye(p);
		p->resets = false;
		break;
	case URGENT:
		/* Something has to follow: else the byte is still unread when the server
		 * closes, and that resets the connection. */
		p->urgent_at = random_next(random) % p->out.len;
		say_goodbye(p);
		p->resets = false;
		break;
	case HALF:
		/* By asyncore's rules the end of the input is the end of everything; only
		 * with ASYNCORE_HALF_CLOSE the answers still come, all of them. */
		p->check = half ? EXACT : PREFIX;
		p->ends = true;
		break;
	case RESET:
	case LEAVE:
		p->check = PREFIX;
		p->resets = p->kind == RESET;
		p->cut = random_next(random) % (p->out.len + 1);
		break;
	case STALL:
		p->check = PREFIX;
		if (chat)
			ask_big(p, random_range(random, 100000, 600000));
		else
			add_pattern(&p->out, 1, random_range(random, 100000, 600000));
		p->reads = false;
		p->gone = now + random_range(random, 1, 300);
		break;
	case FLOOD:
		p->check = ANYTHING;
		for (n = (int)random_range(random, 100, 2000); n > 0; n--) {
			add_line(&p->out, "= ");
			add_words(&p->out, random, 300);
			add_line(&p->out, "\n");
		}
		p->reads = false;
		p->gone = now + random_range(random, 1, 300);
		break;
	case GARBAGE:
		p->check = ANYTHING;
		p->out.len = 0;
		/* Some of it longer than any line may be. */
		add_pattern(&p->out, random_next(random),
			    random_range(random, 1, random_next(random) % 8 ? 3000 : 100000));
		if (random_next(random) % 2 == 0)
			for (n = 0; (size_t)n < p->out.len; n++)
				p->out.bytes[n] |= 0x20;
		p->reads = random_next(random) % 2 == 0;
		p->cut = p->out.len;
		break;
	case SHOUT:
		p->check = ANYTHING;
		p->cut = p->out.len;
		break;
	case VANISH:
		p->cut = 0;
		break;
	case MUTE:
		p->out.len = p->expected.len = 0;
		p->steps = 0;
		p->ends = true;
		break;
	case SENT_AWAY:
		p->check = PREFIX;
		add_line(&p->out, (const char *const[]){ "X\n", "R\n", "E\n" }
				  [random_next(random) % 3]);
		add_line(&p->out, "= this is not answered\n");
		p->ends = true;
		break;
	case KINDS:
		break;
	}
}

/* --- the connections ------------------------------------------------------------------ */

static void finish(struct peer *p)
{
	if (p->resets) {
		struct linger linger = { .l_onoff = 1, .l_linger = 0 };

		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	}
	close(p->fd);
	p->fd = -1;
	done[p->kind]++;
	if (p->check == EXACT && p->kind != VANISH && p->kind != MUTE) {
		answers += (unsigned long)p->steps;
		if (p->received != p->expected.len)
			fail(p, "not all was answered");
	}
	bytes_sent += p->sent;
	bytes_received += p->received;
	/* What was large for once is not kept. */
	if (p->out.size > 100000) {
		free(p->out.bytes);
		memset(&p->out, 0, sizeof p->out);
	}
	if (p->expected.size > 100000) {
		free(p->expected.bytes);
		memset(&p->expected, 0, sizeof p->expected);
	}
}

static void begin(struct peer *p, unsigned long number)
{
	struct text out = p->out, expected = p->expected;
	struct sockaddr_in in = { .sin_family = AF_INET };
	int one = 1, size = 2048;

	memset(p, 0, sizeof *p);
	p->out = out;
	p->expected = expected;
	p->out.len = p->expected.len = 0;
	p->number = number;
	p->random = random_mix(seed) ^ random_mix(number);
	p->started = now_ms();
	prepare(p);

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0) {
		perror("peer: socket");
		exit(1);
	}
	/* From many addresses, because one has not enough ports for all that linger. */
	setsockopt(p->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	in.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)(number % 250) * 256);
	if (bind(p->fd, (struct sockaddr *)&in, sizeof in) < 0)
		perror("peer: bind");
	if (p->kind == SLOW || ((p->kind == FLOOD || p->kind == STALL) && number % 2 == 0))
		setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	if (connect(p->fd, (struct sockaddr *)&in, sizeof in) < 0 && errno != EINPROGRESS) {
		fail(p, strerror(errno));
		p->check = ANYTHING;
		finish(p);
		return;
	}
	opened++;
	/* Before the server had a chance to accept it; some a moment later. */
	if (p->kind == VANISH) {
		if (random_next(&p->random) % 2 == 0)
			finish(p);
		else
			p->gone = p->started + random_range(&p->random, 0, 3);
	}
}

/* How much of the output may go now. */
static size_t sendable(struct peer *p)
{
	size_t end = p->cut < p->out.len ? p->cut : p->out.len;
	int i;

	if (p->kind == LOCKSTEP)
		for (i = 0; i < p->steps; i++)
			if (p->received < p->expected_end[i]) {
				end = p->out_end[i];
				break;
			}
	if (p->urgent_at != SIZE_MAX && p->sent <= p->urgent_at)
		end = p->urgent_at;
	return end;
}

static bool is_lost(int error)
{
	return error == ECONNRESET || error == EPIPE || error == ENOTCONN;
}

/* The connection is lost: false after that. */
static bool lost(struct peer *p, int error)
{
	if (!is_lost(error) || p->check == EXACT)
		fail(p, strerror(error));
	p->check = ANYTHING;
	finish(p);
	return false;
}

static bool peer_send(struct peer *p)
{
	size_t end = sendable(p), n;
	ssize_t r;

	if (p->sent == p->urgent_at) {
		r = send(p->fd, "!", 1, MSG_OOB | MSG_NOSIGNAL);
		if (r < 0)
			return errno == EAGAIN || lost(p, errno);
		p->urgent_at = SIZE_MAX;
		end = sendable(p);
	}
	if (p->kind == SHOUT && random_next(&p->random) % 2 == 0 &&
	    send(p->fd, "!", 1, MSG_OOB | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		return lost(p, errno);
	if (p->sent < end) {
		n = end - p->sent;
		if (p->kind == DRIBBLE || p->kind == SHOUT)
			n = p->kind == SHOUT ? 1 + n / 4 : p->sent < DRIBBLED ? 1 : n;
		r = send(p->fd, p->out.bytes + p->sent, n, MSG_NOSIGNAL);
		if (r < 0)
			return errno == EAGAIN || lost(p, errno);
		p->sent += (size_t)r;
	}
	if (p->cut != SIZE_MAX && p->sent == p->cut) {
		finish(p);
		return false;
	}
	if (p->kind == HALF && p->sent == p->out.len && !p->shut) {
		p->shut = true;
		if (shutdown(p->fd, SHUT_WR) < 0)
			return lost(p, errno);
	}
	return true;
}

static bool peer_receive(struct peer *p)
{
	static unsigned char buffer[65536];
	size_t n = p->kind == SLOW ? 1000 : sizeof buffer;
	ssize_t r = recv(p->fd, buffer, n, 0);

	if (r < 0)
		return errno == EAGAIN || lost(p, errno);
	if (r == 0) {
		if (p->check == EXACT && !p->ends)
			fail(p, "closed by the server");
		finish(p);
		return false;
	}
	if (p->check != ANYTHING &&
	    ((size_t)r > p->expected.len - p->received ||
	     memcmp(p->expected.bytes + p->received, buffer, (size_t)r) != 0)) {
		fail(p, "a wrong answer");
		p->check = ANYTHING;
		finish(p);
		return false;
	}
	p->received += (size_t)r;
	if (p->kind == SLOW)
		p->wake = now_ms() + (long long)(random_next(&p->random) % 2);
	if (p->check == EXACT && !p->ends && p->received == p->expected.len &&
	    p->sent == p->out.len && p->urgent_at == SIZE_MAX) {
		finish(p);
		return false;
	}
	return true;
}

static short interest(struct peer *p, long long now)
{
	short events = 0;

	if (now < p->wake)
		return 0;
	if (p->reads)
		events |= POLLIN;
	if (p->sent < sendable(p) || p->sent == p->urgent_at ||
	    (p->cut != SIZE_MAX && p->sent == p->cut))
		events |= POLLOUT;
	if (p->kind == HALF && !p->shut)
		events |= POLLOUT;
	return events;
}

static void serve(struct peer *p, short fired, long long now)
{
	if (p->gone != 0 && now >= p->gone) {
		finish(p);
		return;
	}
	if (now - p->started > LIMIT_MS) {
		fail(p, "it takes too long");
		p->check = ANYTHING;
		finish(p);
		return;
	}
	if (fired & POLLOUT && !peer_send(p))
		return;
	if (fired & (POLLIN | POLLHUP | POLLERR) && p->reads)
		peer_receive(p);
	else if (fired & (POLLHUP | POLLERR))
		finish(p);
}

static void run(unsigned long from, unsigned long to, int at_once)
{
	struct peer *peers = must(calloc((size_t)at_once, sizeof *peers));
	struct pollfd *polled = must(calloc((size_t)at_once, sizeof *polled));
	unsigned long next = from;
	int i, living = 0;

	for (i = 0; i < at_once; i++)
		peers[i].fd = -1;
	do {
		long long now = now_ms();

		living = 0;
		for (i = 0; i < at_once; i++) {
			struct peer *p = &peers[i];

			if (p->fd < 0 && next < to)
				begin(p, next++);
			polled[i].events = 0;
			polled[i].revents = 0;
			polled[i].fd = -1;
			if (p->fd < 0)
				continue;
			living++;
			polled[i].events = interest(p, now);
			if (polled[i].events != 0)
				polled[i].fd = p->fd;
		}
		if (poll(polled, (nfds_t)at_once, next < to ? 1 : 5) < 0 && errno != EINTR) {
			perror("peer: poll");
			exit(1);
		}
		now = now_ms();
		for (i = 0; i < at_once; i++)
			if (peers[i].fd >= 0)
				serve(&peers[i], polled[i].revents, now);
	} while ((living > 0 || next < to) && failures < 20);
	for (i = 0; i < at_once; i++) {
		if (peers[i].fd >= 0)
			close(peers[i].fd);
		free(peers[i].out.bytes);
		free(peers[i].expected.bytes);
	}
	free(peers);
	free(polled);
}

/* --- the server ----------------------------------------------------------------------- */

static FILE *to_server, *from_server;
static pid_t server;

static void start_server(char **argv)
{
	int in[2], out[2];

	if (pipe(in) < 0 || pipe(out) < 0 || (server = fork()) < 0) {
		perror("peer");
		exit(1);
	}
	if (server == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[0]), close(in[1]), close(out[0]), close(out[1]);
		/* What malloc caches for a thread counts as in use. */
		setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	fcntl(in[1], F_SETFD, FD_CLOEXEC);
	fcntl(out[0], F_SETFD, FD_CLOEXEC);
	to_server = must(fdopen(in[1], "w"));
	from_server = must(fdopen(out[0], "r"));
	if (fscanf(from_server, "%d", &port) != 1 || fgetc(from_server) != '\n') {
		fprintf(stderr, "peer: the server did not start\n");
		exit(1);
	}
}

static void said_nothing(int signal_number)
{
	static const char text[] = "peer: the server says nothing any more\n";
	ssize_t r = write(STDERR_FILENO, text, sizeof text - 1);

	(void)signal_number, (void)r;
	kill(server, SIGKILL);
	_exit(1);
}

struct held {
	unsigned long channels, timers, descriptors, heap, producers, references, accepted,
		unexpected, urgent, timeouts, errors, refused, paused;
	long rss;
};

static unsigned long number_of(const char *line, const char *name)
{
	char key[32];
	const char *at;

	snprintf(key, sizeof key, " %s ", name);
	at = strstr(line, key);
	return at != NULL ? strtoul(at + strlen(key), NULL, 10) : 0;
}

static struct held ask_server(void)
{
	char line[1024] = " ";
	struct held held;

	alarm(60);
	fputs("stat\n", to_server);
	if (fflush(to_server) != 0 || fgets(line + 1, sizeof line - 1, from_server) == NULL) {
		fprintf(stderr, "peer: the server is gone (%s, seed %llu)\n", program_kind,
			(unsigned long long)seed);
		exit(1);
	}
	alarm(0);
	held.channels = number_of(line, "channels");
	held.timers = number_of(line, "timers");
	held.descriptors = number_of(line, "descriptors");
	held.heap = number_of(line, "heap");
	held.rss = (long)number_of(line, "rss");
	held.producers = number_of(line, "producers");
	held.references = number_of(line, "references");
	held.accepted = number_of(line, "accepted");
	held.unexpected = number_of(line, "unexpected");
	held.urgent = number_of(line, "urgent");
	held.timeouts = number_of(line, "timeouts");
	held.errors = number_of(line, "errors");
	held.refused = number_of(line, "refused");
	held.paused = number_of(line, "paused");
	return held;
}

/* So many at once, doing nothing: the server's tables grow to what they will need. */
static void fill(int n)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int *fd = must(calloc((size_t)n, sizeof *fd)), i;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < n; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd[i] < 0 || connect(fd[i], (struct sockaddr *)&in, sizeof in) < 0) {
			perror("peer: connect");
			exit(1);
		}
		opened++;
	}
	for (i = 0; i < 100 && ask_server().accepted < (unsigned long)n; i++)
		poll(NULL, 0, 10);
	for (i = 0; i < n; i++)
		close(fd[i]);
	free(fd);
}

/* When the last connections have ended: its listening channel and its standard input. */
static struct held ask_when_quiet(void)
{
	struct held held;
	int i;

	for (i = 0; i < 300; i++) {
		held = ask_server();
		if (held.channels <= 2)
			break;
		poll(NULL, 0, 100);
	}
	/* Twice, because what was closed is disposed of after the pass. */
	return ask_server();
}

static void same(const char *what, unsigned long before, unsigned long after,
		 unsigned long more)
{
	if (after <= before + more)
		return;
	fprintf(stderr, "peer: %s, seed %llu: the server had %lu %s before and has %lu now\n",
		program_kind, (unsigned long long)seed, before, what, after);
	failures++;
}

static void expect_some(const char *what, unsigned long seen)
{
	if (seen > 0)
		return;
	fprintf(stderr, "peer: %s, seed %llu: the server saw no %s\n", program_kind,
		(unsigned long long)seed, what);
	failures++;
}

static void compare(const struct held *before, const struct held *after,
		    unsigned long connections)
{
	same("channels", 2, after->channels, 0);
	same("timers", before->timers, after->timers, 0);
	same("descriptors", before->descriptors, after->descriptors, 0);
	same("producers", 0, after->producers, 0);
	same("references", 0, after->references, 0);
	/* A table may double once more; nothing may grow with the number of connections.  Two
	 * bytes for each are seen in the short form. */
	same("bytes of heap", before->heap, after->heap, 8192);
	/* A sanitizer's allocator tells nothing of the heap, and keeps what was freed. */
	if (before->heap > 0)
		same("KiB of memory", (unsigned long)before->rss, (unsigned long)after->rss,
		     4096);
	same("unexpected errors", 0, after->unexpected, 0);
	same("refused connections", 0, after->refused, 0);
	/* Who is silent, and hardly anyone else: those that ask for it are closed at once. */
	same("timeouts", done[MUTE], after->timeouts, connections / 100);
	if (connections < 1000)
		return;
	expect_some("urgent bytes", after->urgent);
	expect_some("timeouts", after->timeouts);
	if (chat)
		expect_some("errors", after->errors);
}

int main(int argc, char **argv)
{
	unsigned long connections = 5000, warm, stride, next;
	struct held before, after;
	int option, at_once = 200, first, status, i;
	long long start;
	char name[128] = "";

	seed = (uint64_t)time(NULL);
	while ((option = getopt(argc, argv, "+n:s:c:")) != -1) {
		switch (option) {
		case 'n':
			connections = strtoul(optarg, NULL, 10);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			at_once = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind < 2 || at_once < 1) {
		fprintf(stderr, "usage: peer [-n CONNECTIONS] [-s SEED] [-c AT_ONCE] SERVER "
			"chat|send [its arguments]\n");
		return 2;
	}
	for (i = optind + 1; i < argc; i++) {
		snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s",
			 i == optind + 1 ? "" : " ", argv[i]);
		half |= strcmp(argv[i], "half") == 0;
	}
	program_kind = name;
	chat = strcmp(argv[optind + 1], "chat") == 0;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, said_nothing);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%s: %lu connections, %d at once, seed %llu\n", name, connections, at_once,
	       (unsigned long long)seed);

	start = now_ms();
	start_server(argv + optind);
	/* What is vanished from is in the server's queue for a while: more than AT_ONCE. */
	first = at_once * 2;
	fill(first);
	ask_when_quiet();
	warm = connections / 10;
	run(0, warm, at_once);
	before = ask_when_quiet();
	after = before;
	/* A long run says in between what the server holds: what grows is a leak. */
	stride = connections < 50000 ? connections : connections / 10;
	for (next = warm; next < connections && failures == 0; next += stride) {
		run(next, next + stride < connections ? next + stride : connections, at_once);
		after = ask_when_quiet();
		if (stride < connections)
			printf("  %lu: channels %lu, descriptors %lu, heap %lu, RSS %ld KiB\n",
			       opened, after.channels, after.descriptors, after.heap, after.rss);
	}
	compare(&before, &after, connections);
	if (failures == 0 && opened != connections + (unsigned long)first) {
		fprintf(stderr, "peer: %lu of %lu connections\n", opened - (unsigned long)first,
			connections);
		failures++;
	}

	printf("  ");
	for (i = 0; i < KINDS; i++)
		printf("%s%lu %s", i > 0 ? ", " : "", done[i], kinds[i].name);
	printf("\n  %lu answers byte-exact, %.1f MiB sent, %.1f received, %.1f s\n", answers,
	       (double)bytes_sent / 1048576, (double)bytes_received / 1048576,
	       (double)(now_ms() - start) / 1000);
	printf("  server: accepted %lu, errors %lu, urgent %lu, timeouts %lu, paused %lu; "
	       "channels %lu, descriptors %lu to %lu, heap %lu to %lu, RSS %ld to %ld KiB\n",
	       after.accepted, after.errors, after.urgent, after.timeouts, after.paused,
	       after.channels, before.descriptors, after.descriptors, before.heap, after.heap,
	       before.rss, after.rss);

	fputs("quit\n", to_server);
	fflush(to_server);
	alarm(60);
	if (waitpid(server, &status, 0) != server || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0) {
		fprintf(stderr, "peer: %s: the server ended badly (%d)\n", name, status);
		failures++;
	}
	printf("  %s\n", failures == 0 ? "ok" : "FAILED");
	return failures != 0;
}
