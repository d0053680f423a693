/* SPDX-License-Identifier: BSD-3-Clause */

/* support.c - see support.h. */

#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>

/* --- suites and their fixture ------------------------------------------------------ */

static int descriptors_before;

int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir);
	closedir(dir);
	return n;
}

static void set_up(void)
{
	probes_disposed = 0;
	kept_log[0] = '\0';
	trace_reset();
	descriptors_before = open_descriptors();
}

static void tear_down(void)
{
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	ck_assert_int_eq(asyncore_map_free(NULL), 0);
	ck_assert_int_eq(open_descriptors(), descriptors_before);
}

TCase *suite_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(suite, tc);
	return tc;
}

int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- sockets ----------------------------------------------------------------------- */

void unix_pair(int fd[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
			 0);
}

int port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	if (addr.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

static int bound(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	return fd;
}

int tcp_listener(int *port)
{
	int fd = bound();

	ck_assert_int_eq(listen(fd, 128), 0);
	*port = port_of(fd);
	return fd;
}

int refused_port(int *holder)
{
	*holder = bound();
	return port_of(*holder);
}

void tcp_pair(int fd[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct pollfd pfd;
	int port, listener = tcp_listener(&port);

	addr.sin_port = htons((uint16_t)port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd[0], (struct sockaddr *)&addr, sizeof addr), 0);
	pfd = (struct pollfd){ .fd = listener, .events = POLLIN };
	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	fd[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(fd[1], 0);
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	close(listener);
}

void reset_on_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
}

static void wait_for(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
}

void put(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t sent = write(fd, p, n);

		if (sent < 0 && errno == EAGAIN) {
			wait_for(fd, POLLOUT);
			continue;
		}
		ck_assert_int_gt(sent, 0);
		p += sent;
		n -= (size_t)sent;
	}
}

void take(int fd, void *buffer, size_t n)
{
	char *p = buffer;

	while (n > 0) {
		ssize_t got = read(fd, p, n);

		if (got < 0 && errno == EAGAIN) {
			wait_for(fd, POLLIN);
			continue;
		}
		ck_assert_int_gt(got, 0);
		p += got;
		n -= (size_t)got;
	}
}

size_t drain(int fd)
{
	char buffer[65536];
	size_t total = 0;

	for (;;) {
		ssize_t got = read(fd, buffer, sizeof buffer);

		if (got < 0 && errno == EAGAIN) {
			wait_for(fd, POLLIN);
			continue;
		}
		ck_assert_int_ge(got, 0);
		if (got == 0)
			return total;
		total += (size_t)got;
	}
}

/* --- probes ------------------------------------------------------------------------- */

int probes_disposed;
static int probes_made;
char trace[65536];

void trace_reset(void)
{
	trace[0] = '\0';
	probes_made = 0;
}

void trace_call(const char *format, ...)
{
	size_t len = strlen(trace);
	va_list args;

	va_start(args, format);
	vsnprintf(trace + len, sizeof trace - len, format, args);
	va_end(args);
}

static struct probe *probe(struct asyncore_dispatcher *self)
{
	return (struct probe *)self;
}

static int probe_readable(struct asyncore_dispatcher *self)
{
	struct probe *p = probe(self);

	p->readables++;
	return p->on_readable != NULL ? p->on_readable(p) : p->wants_read;
}

static int probe_writable(struct asyncore_dispatcher *self)
{
	struct probe *p = probe(self);

	p->writables++;
	return p->on_writable != NULL ? p->on_writable(p) : p->wants_write;
}

static int probe_read(struct asyncore_dispatcher *self)
{
	struct probe *p = probe(self);
	int n;

	p->reads++;
	trace_call("read %d ", p->id);
	if (p->on_read != NULL)
		return p->on_read(p);
	n = asyncore_recv(self, p->data + p->len, sizeof p->data - p->len);
	if (n > 0)
		p->len += (size_t)n;
	return n;
}

#define PROBE_HANDLER(name, count, hook, otherwise) \
	static int probe_##name(struct asyncore_dispatcher *self) \
	{ \
		struct probe *p = probe(self); \
		p->count++; \
		trace_call(#name " %d ", p->id); \
		return p->hook != NULL ? p->hook(p) : (otherwise); \
	}

PROBE_HANDLER(write, writes, on_write, 0)
PROBE_HANDLER(expt, expts, on_expt, 0)
PROBE_HANDLER(connect, connects, on_connect, 0)
PROBE_HANDLER(close, closes, on_close, asyncore_close(self))

static int probe_error(struct asyncore_dispatcher *self)
{
	struct probe *p = probe(self);
	const struct asyncore_error *error = asyncore_error(self);

	p->errors++;
	p->last_error = error != NULL ? error->code : 0;
	trace_call("error %d ", p->id);
	return p->on_error != NULL ? p->on_error(p) : asyncore_close(self);
}

static int probe_accept(struct asyncore_dispatcher *self)
{
	probe(self)->accepts++;
	trace_call("accept %d ", probe(self)->id);
	return asyncore_dispatcher_handle_accept(self);
}

static int probe_accepted(struct asyncore_dispatcher *self, int fd, const struct sockaddr *addr,
			  socklen_t addrlen)
{
	struct probe *p = probe(self);

	(void)addr, (void)addrlen;
	p->accepteds++;
	trace_call("accepted %d ", p->id);
	if (p->on_accepted != NULL)
		return p->on_accepted(p, fd);
	close(fd);
	return 0;
}

static void probe_dispose(struct asyncore_dispatcher *self)
{
	struct probe *p = probe(self);

	p->disposes++;
	probes_disposed++;
	if (p->on_dispose != NULL)
		p->on_dispose(p);
}

static void probe_dealloc(struct asyncore_dispatcher *self)
{
	free(self);
}

const struct asyncore_dispatcher_type probe_plain_type = {
	.base = &asyncore_dispatcher_type,
	.name = "probe",
	.readable = probe_readable,
	.writable = probe_writable,
	.handle_read = probe_read,
	.handle_write = probe_write,
	.handle_connect = probe_connect,
	.handle_close = probe_close,
	.handle_error = probe_error,
	.handle_accept = probe_accept,
	.handle_accepted = probe_accepted,
	.dispose = probe_dispose,
	.dealloc = probe_dealloc,
};

const struct asyncore_dispatcher_type probe_type = {
	.base = &probe_plain_type,
	.handle_expt = probe_expt,
};

struct probe *probe_new_typed(const struct asyncore_dispatcher_type *type, int fd,
			      struct asyncore_map *map)
{
	struct probe *p = calloc(1, sizeof *p);

	ck_assert_ptr_nonnull(p);
	p->id = ++probes_made;
	p->wants_read = 1;
	ck_assert_int_eq(asyncore_dispatcher_init(&p->dispatcher, type, fd, map), 0);
	return p;
}

struct probe *probe_new(int fd, struct asyncore_map *map)
{
	return probe_new_typed(&probe_type, fd, map);
}

/* --- addresses, and what was logged ------------------------------------------------- */

struct sockaddr_in loopback(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	addr.sin_port = htons((uint16_t)port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return addr;
}

struct unix_path unix_path_new(void)
{
	const char *tmp = getenv("TMPDIR");
	struct unix_path where = { "" };

	snprintf(where.path, sizeof where.path - 2, "%s/asyncore-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(where.path));
	strcat(where.path, "/s");
	return where;
}

void unix_path_remove(const struct unix_path *where)
{
	struct unix_path dir = *where;

	unlink(dir.path);
	*strrchr(dir.path, '/') = '\0';
	ck_assert_int_eq(rmdir(dir.path), 0);
}

int unix_bound(const struct unix_path *where, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	memcpy(addr.sun_path, where->path, sizeof addr.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

char kept_log[8192];

int log_info_kept(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	size_t len = strlen(kept_log);

	(void)self;
	snprintf(kept_log + len, sizeof kept_log - len, "%s: %s\n", type, message);
	return 0;
}

struct probe *probe_and_peer(struct asyncore_map *map, int *peer)
{
	int fd[2];

	unix_pair(fd);
	*peer = fd[1];
	return probe_new(fd[0], map);
}

void probes_and_peers(struct asyncore_map *map, struct probe **p, int *peer, int n)
{
	int i;

	for (i = 0; i < n; i++)
		p[i] = probe_and_peer(map, &peer[i]);
}

void close_peers(const int *peer, int n)
{
	while (n-- > 0)
		close(peer[n]);
}

/* --- backends ----------------------------------------------------------------------- */

struct event_base *backend_base(int backend)
{
	static const char *const name[BACKENDS] = { "epoll", "poll", "select" };
	struct event_config *config = event_config_new();
	struct event_base *base;
	int i;

	ck_assert_ptr_nonnull(config);
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	for (i = 0; i < BACKENDS; i++)
		if (i != backend)
			event_config_avoid_method(config, name[i]);
	base = event_base_new_with_config(config);
	event_config_free(config);
	ck_assert_ptr_nonnull(base);
	ck_assert_str_eq(event_base_get_method(base), name[backend]);
	return base;
}

struct asyncore_map *backend_map(int backend)
{
	struct asyncore_map *map = asyncore_map_new(backend_base(backend));

	ck_assert_ptr_nonnull(map);
	return map;
}

void backend_map_end(struct asyncore_map *map)
{
	struct event_base *base = asyncore_map_base(map);

	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
}
