/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * load.c - much of everything: connections at once, connections without descriptors for
 * them, bytes.
 *
 *	load hold [CONNECTIONS [attached]]	all held at once (15000), and every one answers
 *	load emfile [ROUNDS [attached]]		no descriptor is left to accept with, until some are
 *	load bytes [MIB [SEED [attached]]]	so many each way, with stalls and odd buffer sizes
 *
 * Two processes: the server uses the library; the client, its child, does not.  The server
 * ends when the client has: a pipe tells.
 *
 * Prints what was done; the exit status says whether all was well, 77 that a limit of the
 * system does not let it run.
 */

#include "../hostile/random.h"

#include <asynchat.h>
#include <asyncore_event.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, LIMIT_SECONDS = 900 };

static int failures;

#define expect(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			failures++; \
		} \
	} while (0)

static void *must(void *memory)
{
	if (memory == NULL) {
		perror("load");
		exit(1);
	}
	return memory;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -3;	/* its own, . and .. */

	if (dir == NULL)
		return -1;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static size_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* --- the server ----------------------------------------------------------------------- */

static struct asyncore_map *map;
static struct event_base *base;
static struct asyncore_dispatcher listener;
static struct asyncore_file_dispatcher client_gone;

static struct {
	size_t most;	/* channels at once */
	unsigned long accepts, accepted, opened, disposed, said, lines, stalls;
} count;

static void note_disposed(struct asyncore_dispatcher *self)
{
	(void)self;
	count.disposed++;
}

static int raised(struct asyncore_dispatcher *self)
{
	char text[512] = "";

	asyncore_compact_traceback(self, text, sizeof text);
	fprintf(stderr, "load: raised: %s\n", text);
	failures++;
	return asyncore_close(self);
}

static int quiet_close(struct asyncore_dispatcher *self)
{
	return asyncore_close(self);
}

#define SERVED \
	.handle_error = raised, \
	.handle_close = quiet_close, \
	.dispose = note_disposed, \
	.dealloc = asyncore_dealloc_free

static int answer_line(struct async_chat *chat)
{
	size_t len;
	char *line = async_chat_get_data(chat, &len);

	if (line == NULL)
		return -ENOMEM;
	count.lines++;
	line[len] = '\n';
	return async_chat_push(chat, line, len + 1);
}

static const struct async_chat_type line_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .name = "line", SERVED },
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = answer_line,
};

static int echo_read(struct asyncore_dispatcher *self)
{
	char data[8192];
	int n = asyncore_recv(self, data, sizeof data);

	return n > 0 ? asyncore_send(self, data, (size_t)n) : n;
}

static const struct asyncore_dispatcher_type echo_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "echo",
	.handle_read = echo_read,
	SERVED,
};

/* Every second is an async_chat, every other a dispatcher_with_send. */
static int serve_lines(int fd)
{
	struct asyncore_dispatcher_with_send *echo;
	struct async_chat *chat;
	int r;

	if (count.accepted % 2 == 0) {
		chat = must(calloc(1, sizeof *chat));
		r = async_chat_init(chat, &line_type, fd, map);
		if (r == 0)
			return async_chat_set_terminator(chat, "\n", 1);
		free(chat);
	} else {
		echo = must(calloc(1, sizeof *echo));
		r = asyncore_dispatcher_with_send_init(echo, &echo_type, fd, map);
		if (r == 0)
			return 0;
		free(echo);
	}
	return r;
}

static int (*serve)(int fd) = serve_lines;

static int listener_accept(struct asyncore_dispatcher *self)
{
	count.accepts++;
	return asyncore_dispatcher_handle_accept(self);
}

static int listener_accepted(struct asyncore_dispatcher *self, int fd,
			     const struct sockaddr *addr, socklen_t addrlen)
{
	int r;

	(void)self, (void)addr, (void)addrlen;
	count.accepted++;
	r = serve(fd);
	if (r == 0) {
		count.opened++;
		if (asyncore_map_size(map) > count.most)
			count.most = asyncore_map_size(map);
		return 0;
	}
	fprintf(stderr, "load: no channel: %s\n", strerror(-r));
	failures++;
	close(fd);
	return 0;
}

/* What is said when descriptors run out. */
static int listener_says(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	(void)self, (void)type;
	if (strstr(message, strerror(EMFILE)) != NULL) {
		count.said++;
		return 0;
	}
	fprintf(stderr, "load: the listening channel says: %s\n", message);
	failures++;
	return 0;
}

static int listener_lost(struct asyncore_dispatcher *self)
{
	fprintf(stderr, "load: the listening channel was closed\n");
	failures++;
	return asyncore_close(self);
}

static struct asyncore_dispatcher_type listener_type = {
	.base = &asyncore_dispatcher_type,
	.name = "listener",
	.handle_accept = listener_accept,
	.handle_accepted = listener_accepted,
	.handle_close = listener_lost,
	.log_info = listener_says,
};

/* No more will come.  The loop ends by itself, when the last channel has seen its end. */
static int client_gone_read(struct asyncore_dispatcher *self)
{
	char byte;
	int n = asyncore_recv(self, &byte, 1);

	return n < 0 ? n : 0;
}

static int client_gone_close(struct asyncore_dispatcher *self)
{
	expect(asyncore_accepting(&listener));
	asyncore_close(&listener);
	return asyncore_close(self);
}

static int never(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static const struct asyncore_dispatcher_type client_gone_type = {
	.base = &asyncore_file_dispatcher_type,
	.name = "client gone",
	.writable = never,
	.handle_read = client_gone_read,
	.handle_close = client_gone_close,
};

static int listen_anywhere(int backlog)
{
	struct sockaddr_in in;
	socklen_t len = sizeof in;
	int r = asyncore_dispatcher_init(&listener, &listener_type, -1, map);

	if (r == 0)
		r = asyncore_create_socket(&listener, AF_INET, SOCK_STREAM);
	if (r == 0)
		r = asyncore_bind(&listener, "127.0.0.1", 0);
	if (r == 0)
		r = asyncore_listen(&listener, backlog);
	if (r < 0 || getsockname(asyncore_socket(&listener), (struct sockaddr *)&in, &len) < 0) {
		fprintf(stderr, "load: cannot listen: %s\n", strerror(-r));
		exit(1);
	}
	return ntohs(in.sin_port);
}

/*
 * Serve what `client` does in a process of its own.  `starve`: so many descriptors are left
 * for connections (0: the limit stays).
 */
static void serve_client(void (*client)(int port), bool attached, int starve)
{
	int before = descriptors(), ends[2], port, status = 0, r;
	size_t heap = heap_in_use();
	double start = now();
	pid_t child;

	alarm(LIMIT_SECONDS);
	base = attached ? must(event_base_new()) : NULL;
	map = must(asyncore_map_new(base));
	memset(&listener, 0, sizeof listener);
	memset(&client_gone, 0, sizeof client_gone);
	memset(&count, 0, sizeof count);
	port = listen_anywhere(4096);
	if (pipe(ends) < 0 || fflush(stdout) != 0 || (child = fork()) < 0) {
		perror("load");
		exit(1);
	}
	if (child == 0) {
		/* Nothing of the server's but the pipe. */
		failures = 0;
		close(ends[0]);
		close(asyncore_socket(&listener));
		alarm(LIMIT_SECONDS);
		client(port);
		fflush(stdout);
		_exit(failures != 0);
	}
	close(ends[1]);
	if (asyncore_file_dispatcher_init(&client_gone, &client_gone_type, ends[0], map) < 0)
		exit(1);
	close(ends[0]);
	if (starve > 0) {
		struct rlimit limit;
		int end = 0;

		for (; starve > 0; end++)
			starve -= fcntl(end, F_GETFD) < 0;
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = (rlim_t)end;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (attached)
		r = event_base_dispatch(base) == 1 ? 0 : -EIO;
	else
		r = asyncore_loop(ASYNCORE_TIMEOUT, false, map, -1);
	expect(r == 0);
	expect(asyncore_map_size(map) == 0);
	expect(asyncore_map_free(map) == 0);
	if (base != NULL)
		event_base_free(base);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "load: the client failed (%d)\n", status);
		failures++;
	}
	expect(count.opened == count.disposed);
	expect(descriptors() == before);
	/* The allocator's own cache for a thread counts as in use. */
	expect(heap_in_use() <= heap + 262144);
	printf("  server: %lu accepted, at most %zu channels, %lu lines, descriptors %d to %d, "
	       "heap %zu to %zu, %.1f s\n", count.accepted, count.most, count.lines, before,
	       descriptors(), heap, heap_in_use(), now() - start);
}

/* --- what clients need ------------------------------------------------------------------ */

static int client_socket(int port, unsigned number)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0) {
		perror("load: socket");
		exit(1);
	}
	/* From several addresses: one has not ports enough for all that linger. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % 8 * 256);
	if (bind(fd, (struct sockaddr *)&in, sizeof in) < 0)
		perror("load: bind");
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	if (connect(fd, (struct sockaddr *)&in, sizeof in) < 0) {
		perror("load: connect");
		exit(1);
	}
	return fd;
}

/* A line that belongs to a connection and a round. */
static size_t line_of(unsigned number, unsigned round, char *line, size_t size)
{
	return (size_t)snprintf(line, size, "%u of round %u%*s\n", number, round,
				(int)(random_mix(number ^ round) % 150), ".");
}

static void say(int fd, unsigned number, unsigned round)
{
	char line[256];
	size_t n = line_of(number, round, line, sizeof line);

	expect(send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n);
}

/* Wait for the answer; false when none comes in time. */
static bool hear(int fd, unsigned number, unsigned round, int milliseconds)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	char line[256], got[256];
	size_t n = line_of(number, round, line, sizeof line), have = 0;
	ssize_t r;

	while (have < n) {
		if (poll(&polled, 1, milliseconds) != 1)
			return false;
		r = recv(fd, got + have, sizeof got - have, 0);
		if (r <= 0) {
			fprintf(stderr, "load: connection %u, round %u: %s\n", number, round,
				r == 0 ? "closed" : strerror(errno));
			failures++;
			return false;
		}
		have += (size_t)r;
	}
	if (have != n || memcmp(line, got, n) != 0) {
		fprintf(stderr, "load: connection %u, round %u: a wrong answer\n", number, round);
		failures++;
	}
	return true;
}

/* --- hold -------------------------------------------------------------------------------- */

static unsigned connections = 15000;

enum { HOLD_ROUNDS = 3, ANSWER_MS = 60000 };

static void hold_client(int port)
{
	int *fd = must(calloc(connections, sizeof *fd));
	unsigned long answered = 0;
	unsigned i, round;
	double start = now();

	for (i = 0; i < connections; i++)
		fd[i] = client_socket(port, i);
	printf("  client: %u connected, %.1f s\n", connections, now() - start);
	for (round = 0; round < HOLD_ROUNDS && failures == 0; round++) {
		/* In another order than they came. */
		for (i = 0; i < connections; i++)
			say(fd[connections - 1 - i], connections - 1 - i, round);
		for (i = 0; i < connections && failures == 0; i++) {
			bool heard = hear(fd[i], i, round, ANSWER_MS);

			expect(heard);
			answered += heard;
		}
	}
	printf("  client: %lu answers, %.1f s\n", answered, now() - start);
	expect(answered == (unsigned long)connections * HOLD_ROUNDS);
	for (i = 0; i < connections; i++)
		close(fd[i]);
	free(fd);
}

static int hold(bool attached)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < connections + 64) {
		printf("hold: skipped: %u connections need %u descriptors, the hard limit is %lu\n",
		       connections, connections + 64, (unsigned long)limit.rlim_max);
		return SKIPPED;
	}
	if (limit.rlim_cur < connections + 64) {
		limit.rlim_cur = connections + 64;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	printf("hold: %u connections at once%s\n", connections, attached ? ", attached" : "");
	serve_client(hold_client, attached, 0);
	expect(count.most >= connections + 2);
	expect(count.accepted == connections);
	return 0;
}

/* --- emfile ------------------------------------------------------------------------------ */

enum { ROOM = 40, CLIENTS = 200, STARVED_MS = 400 };

static unsigned rounds = 3;

/* After a while, the answers that have come; how many. */
static unsigned hear_all(const int *fd, bool *heard, unsigned round, int milliseconds)
{
	unsigned i, n = 0;

	poll(NULL, 0, milliseconds);
	for (i = 0; i < CLIENTS; i++)
		if (!heard[i]) {
			heard[i] = hear(fd[i], i, round, 0);
			n += heard[i];
		}
	return n;
}

/*
 * More connections than the server has descriptors.  Those that it has are answered; the
 * others wait, and are answered, every one, as the first ones leave.
 */
static void emfile_client(int port)
{
	unsigned i, round, answered, tries;
	int fd[CLIENTS];

	for (round = 0; round < rounds && failures == 0; round++) {
		bool heard[CLIENTS] = { false };

		for (i = 0; i < CLIENTS; i++) {
			fd[i] = client_socket(port, i);
			say(fd[i], i, round);
		}
		answered = 0;
		for (tries = 0; answered < ROOM && tries < 50; tries++)
			answered += hear_all(fd, heard, round, 200);
		/* Nobody else, however long they wait. */
		answered += hear_all(fd, heard, round, STARVED_MS);
		printf("  client: %u of %u answered while there are %u descriptors", answered,
		       CLIENTS, ROOM);
		expect(answered == ROOM);
		for (i = 0, answered = 0; i < CLIENTS && failures == 0; i++) {
			if (!heard[i])
				heard[i] = hear(fd[i], i, round, 10000);
			expect(heard[i]);
			answered += heard[i];
			close(fd[i]);
		}
		printf(", %u in the end\n", answered);
	}
	/* And everything is as before. */
	for (i = 0; i < ROOM / 2; i++) {
		fd[i] = client_socket(port, i);
		say(fd[i], i, round);
		expect(hear(fd[i], i, round, 10000));
		close(fd[i]);
	}
}

static int emfile(bool attached)
{
	struct rlimit limit;
	unsigned long idle;
	double start = now(), seconds;

	printf("emfile: %u rounds%s\n", rounds, attached ? ", attached" : "");
	getrlimit(RLIMIT_NOFILE, &limit);
	serve_client(emfile_client, attached, ROOM);
	setrlimit(RLIMIT_NOFILE, &limit);
	seconds = now() - start;
	expect(count.accepted == (unsigned long)rounds * CLIENTS + ROOM / 2);
	/* Said once each time, not at every attempt ... */
	expect(count.said >= rounds);
	expect(count.said <= count.accepted + rounds);
	/* ... of which there is one every 50 ms: it does not spin. */
	idle = count.accepts - count.accepted;
	expect(idle >= rounds);
	expect((double)idle <= seconds * 40 + 2.0 * (double)count.said + 10);
	printf("  server: said so %lu times, %lu attempts in vain in %.1f s\n", count.said, idle,
	       seconds);
	return 0;
}

/* --- bytes ------------------------------------------------------------------------------- */

/*
 * Each connection begins with a line that says how many bytes come and how many shall go,
 * and the seed of both.  The last line from the server is the checksum of what came.
 */

enum { STREAMS = 4, PIECE = 65536, OUTPUT_HIGH = 262144, OUTPUT_LOW = 65536 };

static uint64_t seed = 1, total;

static uint64_t checksum(uint64_t sum, const unsigned char *data, size_t n)
{
	/* FNV-1a, of bytes. */
	while (n-- > 0)
		sum = (sum ^ *data++) * 0x100000001b3u;
	return sum;
}

enum { HEADER_MAX = 128 };
static const uint64_t CHECKSUM_START = 0xcbf29ce484222325u;

struct stream {
	struct async_chat chat;
	bool begun, waits, full, feeding, deaf, trailer;
	uint64_t in_seed, in, in_at, sum;
	uint64_t out_seed, out, out_at;
	uint64_t random;
	bool wrong;
};

struct slow_producer {
	struct async_chat_producer producer;
	struct stream *stream;
	uint64_t at;
	size_t left;
	unsigned char piece[8192];
};

static int feed(struct stream *s);

/* From 4 KiB to 1 MiB; with less than 64 to receive into, a loopback's large segments make
 * the kernel wait for its timers. */
static void odd_buffers(int fd, uint64_t *random)
{
	int size = 1 << random_range(random, 12, 20);

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	size = 1 << random_range(random, 16, 20);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static int hear_again(struct asyncore_dispatcher *self, void *arg)
{
	(void)arg;
	((struct stream *)self)->deaf = false;
	return asyncore_touch(self);
}

static int feed_again(struct asyncore_dispatcher *self, void *arg)
{
	struct stream *s = (struct stream *)self;

	(void)arg;
	s->waits = false;
	return feed(s);
}

static int resume(struct asyncore_dispatcher *self, void *arg)
{
	(void)arg;
	return async_chat_resume((struct async_chat *)self);
}

static int later(struct stream *s, asyncore_channel_call_fn call)
{
	int r = asyncore_channel_call_later(&s->chat.dispatcher,
					    random_range(&s->random, 1, 20) / 1000.0, call, NULL,
					    NULL);

	count.stalls++;
	return r < 0 ? r : 0;
}

static int slow_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct slow_producer *slow = (struct slow_producer *)producer;
	struct stream *s = slow->stream;
	int r;

	if (slow->left == 0)
		return 0;
	if (random_next(&s->random) % 128 == 0) {
		r = later(s, resume);
		return r < 0 ? r : ASYNC_CHAT_NOT_YET;
	}
	*len = random_range(&s->random, 1, sizeof slow->piece);
	if (*len > slow->left)
		*len = slow->left;
	random_bytes(s->out_seed, slow->at, slow->piece, *len);
	slow->at += *len;
	slow->left -= *len;
	*data = slow->piece;
	return 1;
}

static void slow_release(struct async_chat_producer *producer)
{
	free(producer);
}

static const struct async_chat_producer_type slow_type = {
	.more = slow_more,
	.release = slow_release,
};

static void give_back(const void *data, size_t len, void *arg)
{
	(void)len, (void)arg;
	free((void *)(uintptr_t)data);
}

static int feed_one(struct stream *s)
{
	size_t n = random_range(&s->random, 1, PIECE);
	struct slow_producer *slow;
	unsigned char *data;
	uint64_t at = s->out_at;
	int r;

	if (n > s->out - at)
		n = (size_t)(s->out - at);
	s->out_at += n;
	if (random_next(&s->random) % 3 == 0) {
		slow = must(calloc(1, sizeof *slow));
		slow->producer.type = &slow_type;
		slow->stream = s;
		slow->at = at;
		slow->left = n;
		return async_chat_push_with_producer(&s->chat, &slow->producer);
	}
	data = must(malloc(n));
	random_bytes(s->out_seed, at, data, n);
	if (random_next(&s->random) % 2 == 0)
		return async_chat_push_reference(&s->chat, data, n, give_back, NULL);
	r = async_chat_push(&s->chat, data, n);
	free(data);
	return r;
}

/* Queue what is to be sent, until enough waits. */
static int feed(struct stream *s)
{
	char line[32];
	int r = 0;

	if (s->feeding)
		return 0;
	s->feeding = true;
	while (r >= 0 && s->begun && !s->full && !s->waits && s->out_at < s->out) {
		if (random_next(&s->random) % 256 == 0) {
			s->waits = true;
			r = later(s, feed_again);
		} else if (async_chat_output_entries(&s->chat) > 32) {
			/* Producers do not count as bytes that wait. */
			s->waits = true;
			r = asyncore_channel_call_later(&s->chat.dispatcher, 0.001, feed_again,
							NULL, NULL);
		} else {
			r = feed_one(s);
		}
	}
	s->feeding = false;
	if (r >= 0 && s->begun && s->out_at == s->out && s->in_at == s->in && !s->trailer) {
		s->trailer = true;
		snprintf(line, sizeof line, "%016llx\n", (unsigned long long)s->sum);
		r = async_chat_push(&s->chat, line, strlen(line));
		if (r >= 0)
			r = async_chat_close_when_done(&s->chat);
	}
	return r < 0 ? r : 0;
}

static int stream_limit(struct async_chat *chat, bool reached)
{
	struct stream *s = (struct stream *)chat;

	s->full = reached;
	return reached ? 0 : feed(s);
}

static int stream_readable(struct asyncore_dispatcher *self)
{
	return !((struct stream *)self)->deaf && async_chat_readable(self);
}

static int stream_collect(struct async_chat *chat, const void *data, size_t len)
{
	struct stream *s = (struct stream *)chat;
	static unsigned char due[1 << 20];

	if (!s->begun)
		return async_chat_collect_default(chat, data, len);
	s->sum = checksum(s->sum, data, len);
	if (len > sizeof due || len > s->in - s->in_at)
		return ASYNCORE_RAISEF(&chat->dispatcher, -EPROTO, "%zu bytes at once", len);
	random_bytes(s->in_seed, s->in_at, due, len);
	s->in_at += len;
	if (memcmp(due, data, len) != 0)
		return ASYNCORE_RAISEF(&chat->dispatcher, -EILSEQ, "wrong bytes before %llu",
				       (unsigned long long)s->in_at);
	if (random_next(&s->random) % 1024 == 0 && !s->deaf) {
		s->deaf = true;
		return later(s, hear_again);
	}
	return s->in_at == s->in ? feed(s) : 0;
}

/* Blocks of all lengths, some counted, some not. */
static int stream_found(struct async_chat *chat)
{
	struct stream *s = (struct stream *)chat;
	uint64_t n = random_range(&s->random, 1, 300000);
	unsigned long long in, in_seed, out, out_seed;

	if (!s->begun) {
		const char *line = async_chat_get_data(chat, NULL);

		if (line == NULL || sscanf(line, "%llu %llu %llu %llu", &in, &in_seed, &out,
					   &out_seed) != 4)
			return ASYNCORE_RAISE(&chat->dispatcher, -EPROTO);
		s->in = in, s->in_seed = in_seed, s->out = out, s->out_seed = out_seed;
		s->begun = true;
		async_chat_set_output_limit(chat, OUTPUT_HIGH, OUTPUT_LOW);
	}
	if (random_next(&s->random) % 4 == 0)
		odd_buffers(asyncore_socket(&chat->dispatcher), &s->random);
	if (n > s->in - s->in_at)
		n = s->in - s->in_at;
	if (n > 0 && async_chat_set_terminator_count(chat, (ssize_t)n) < 0)
		return -ENOMEM;
	return feed(s);
}

static const struct async_chat_type stream_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "stream",
		.flags = ASYNCORE_PREDICATES_STABLE,
		.readable = stream_readable,
		SERVED,
	},
	.collect_incoming_data = stream_collect,
	.found_terminator = stream_found,
	.output_limit = stream_limit,
};

static int serve_stream(int fd)
{
	struct stream *s = must(calloc(1, sizeof *s));
	int r;

	s->random = random_mix(seed + count.accepted);
	s->sum = CHECKSUM_START;
	r = async_chat_init(&s->chat, &stream_type, fd, map);
	if (r < 0) {
		free(s);
		return r;
	}
	odd_buffers(fd, &s->random);
	async_chat_set_buffer_sizes(&s->chat, 1u << random_range(&s->random, 9, 17),
				    1u << random_range(&s->random, 9, 17));
	return async_chat_set_terminator(&s->chat, "\n", 1);
}

struct end {
	int fd;
	uint64_t random, out_seed, in_seed, sent, received, out_sum, in_sum;
	unsigned char piece[PIECE];
	size_t piece_len, piece_at, trailer_len;
	char trailer[32];
	double deaf, mute;
	bool done;
};

static void end_send(struct end *e, uint64_t each)
{
	ssize_t r;

	if (e->piece_at == e->piece_len) {
		e->piece_len = random_range(&e->random, 1, PIECE);
		e->piece_at = 0;
		if (e->piece_len > each - e->sent)
			e->piece_len = (size_t)(each - e->sent);
		random_bytes(e->out_seed, e->sent, e->piece, e->piece_len);
		e->out_sum = checksum(e->out_sum, e->piece, e->piece_len);
		if (random_next(&e->random) % 256 == 0)
			e->mute = now() + random_range(&e->random, 1, 20) / 1000.0;
		if (random_next(&e->random) % 64 == 0)
			odd_buffers(e->fd, &e->random);
	}
	r = send(e->fd, e->piece + e->piece_at, e->piece_len - e->piece_at,
		 MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r > 0) {
		e->piece_at += (size_t)r;
		e->sent += (size_t)r;
	} else if (errno != EAGAIN) {
		perror("load: send");
		failures++;
	}
}

static void end_receive(struct end *e, uint64_t each)
{
	static unsigned char got[PIECE], due[PIECE];
	size_t n = random_range(&e->random, 1, PIECE), of_stream;
	ssize_t r = recv(e->fd, got, n, MSG_DONTWAIT);

	if (r < 0 && errno == EAGAIN)
		return;
	if (r <= 0) {
		char sum[32];

		snprintf(sum, sizeof sum, "%016llx\n", (unsigned long long)e->out_sum);
		e->done = true;
		expect(r == 0);
		expect(e->sent == each);
		expect(e->received == each);
		expect(e->trailer_len == strlen(sum));
		expect(memcmp(e->trailer, sum, strlen(sum)) == 0);
		return;
	}
	of_stream = (size_t)r < each - e->received ? (size_t)r : (size_t)(each - e->received);
	random_bytes(e->in_seed, e->received, due, of_stream);
	expect(memcmp(due, got, of_stream) == 0);
	e->in_sum = checksum(e->in_sum, got, of_stream);
	e->received += of_stream;
	n = (size_t)r - of_stream;
	if (n > sizeof e->trailer - e->trailer_len) {
		expect(!"more than was asked for");
		return;
	}
	memcpy(e->trailer + e->trailer_len, got + of_stream, n);
	e->trailer_len += n;
	if (random_next(&e->random) % 256 == 0)
		e->deaf = now() + random_range(&e->random, 1, 20) / 1000.0;
}

static void bytes_client(int port)
{
	struct end *ends = must(calloc(STREAMS, sizeof *ends)), *e;
	uint64_t each = total / STREAMS, moved = 0;
	double start = now(), at;
	struct pollfd polled[STREAMS];
	int i, left = STREAMS;

	for (i = 0; i < STREAMS; i++) {
		char line[HEADER_MAX];

		e = &ends[i];
		e->random = random_mix(seed * 1000 + (unsigned)i);
		e->out_seed = random_next(&e->random) >> 8;
		e->in_seed = random_next(&e->random) >> 8;
		e->out_sum = e->in_sum = CHECKSUM_START;
		e->fd = client_socket(port, (unsigned)i);
		snprintf(line, sizeof line, "%llu %llu %llu %llu\n", (unsigned long long)each,
			 (unsigned long long)e->out_seed, (unsigned long long)each,
			 (unsigned long long)e->in_seed);
		expect(send(e->fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line));
		odd_buffers(e->fd, &e->random);
	}
	while (left > 0 && failures == 0) {
		at = now();
		left = 0;
		for (i = 0; i < STREAMS; i++) {
			e = &ends[i];
			left += !e->done;
			polled[i].events = (short)((at < e->deaf ? 0 : POLLIN) |
						   (at < e->mute || e->sent == each ? 0 :
										      POLLOUT));
			polled[i].fd = e->done || polled[i].events == 0 ? -1 : e->fd;
			polled[i].revents = 0;
		}
		if (left > 0)
			poll(polled, STREAMS, 2);
		for (i = 0; i < STREAMS; i++) {
			e = &ends[i];
			if (polled[i].revents & POLLOUT)
				end_send(e, each);
			if (polled[i].revents & (POLLIN | POLLHUP | POLLERR))
				end_receive(e, each);
		}
	}
	for (i = 0; i < STREAMS; i++) {
		e = &ends[i];
		printf("  client: stream %d: %llu bytes up (%016llx), %llu down (%016llx)\n", i,
		       (unsigned long long)e->sent, (unsigned long long)e->out_sum,
		       (unsigned long long)e->received, (unsigned long long)e->in_sum);
		moved += e->received;
		close(e->fd);
	}
	printf("  client: %.1f MiB each way, %.1f s\n", (double)moved / 1048576, now() - start);
	free(ends);
}

static int bytes(bool attached)
{
	printf("bytes: %llu MiB each way, seed %llu%s\n", (unsigned long long)total >> 20,
	       (unsigned long long)seed, attached ? ", attached" : "");
	serve = serve_stream;
	serve_client(bytes_client, attached, 0);
	expect(count.accepted == STREAMS);
	expect(count.stalls > 0);
	printf("  server: %lu stalls of its own\n", count.stalls);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	bool attached = argc > 2 && strcmp(argv[argc - 1], "attached") == 0;
	unsigned long first;
	int result = 0;

	if (attached)
		argc--;
	first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "hold") == 0) {
		if (first > 0)
			connections = (unsigned)first;
		result = hold(attached);
	} else if (strcmp(what, "emfile") == 0) {
		if (first > 0)
			rounds = (unsigned)first;
		result = emfile(attached);
	} else if (strcmp(what, "bytes") == 0) {
		total = (uint64_t)(first > 0 ? first : 32) << 20;
		seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL);
		result = bytes(attached);
	} else {
		fprintf(stderr, "usage: load hold|emfile|bytes [NUMBER [SEED]] [attached]\n");
		return 2;
	}
	if (result == SKIPPED)
		return SKIPPED;
	printf("  %s\n", failures == 0 ? "ok" : "FAILED");
	return failures != 0;
}
