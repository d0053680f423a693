/* SPDX-License-Identifier: BSD-3-Clause */

/* check_file_dispatcher.c - channels on what is not a socket. */

#include "support.h"

#include <event2/event.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

/* --- helpers ---------------------------------------------------------------------------- */

static struct asyncore_dispatcher *of(struct probe *p)
{
	return &p->dispatcher;
}

/* A class of both: a probe that is a file_dispatcher. */
static struct asyncore_dispatcher_type file_probe_type;

__attribute__((constructor)) static void make_type(void)
{
	file_probe_type = probe_plain_type;
	file_probe_type.base = &asyncore_file_dispatcher_type;
}

static struct probe *probe_of(int ids)
{
	struct probe *p = calloc(1, sizeof *p);

	ck_assert_ptr_nonnull(p);
	p->id = ids;
	p->wants_read = 1;
	return p;
}

/* A file_dispatcher on a duplicate of fd. */
static struct probe *file_probe(int fd, struct asyncore_map *map)
{
	static int ids;
	struct probe *p = probe_of(++ids);

	ck_assert_int_eq(asyncore_file_dispatcher_init((struct asyncore_file_dispatcher *)p,
						       &file_probe_type, fd, map), 0);
	return p;
}

static void make_pipe(int fd[2])
{
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
}

/* A file without a name. */
static int temporary(const void *data, size_t len)
{
	FILE *file = tmpfile();
	int fd;

	ck_assert_ptr_nonnull(file);
	fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
	fclose(file);
	ck_assert_int_ge(fd, 0);
	put(fd, data, len);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void pass(bool use_poll, double timeout, struct asyncore_map *map)
{
	ck_assert_int_eq((use_poll ? asyncore_poll2 : asyncore_poll)(timeout, map), 0);
}

/* --- the descriptor ------------------------------------------------------------------------ */

START_TEST(it_works_on_a_duplicate_and_leaves_the_original_open)
{
	int fd[2];
	struct probe *p;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	ck_assert_int_ne(asyncore_socket(of(p)), fd[0]);
	ck_assert_int_eq(asyncore_fileno(of(p)), asyncore_socket(of(p)));
	ck_assert_ptr_null(asyncore_map_get(NULL, fd[0]));
	asyncore_close(of(p));
	ck_assert(is_open(fd[0]));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_duplicate_lives_when_the_original_is_closed)
{
	int fd[2];
	struct probe *p;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	close(fd[0]);
	put(fd[1], "hello", 5);
	step(NULL);
	ck_assert_uint_eq(p->len, 5);
	ck_assert_mem_eq(p->data, "hello", 5);
	asyncore_close(of(p));
	close(fd[1]);
}
END_TEST

START_TEST(the_duplicate_is_closed_on_exec)
{
	int fd[2];
	struct probe *p;

	make_pipe(fd);
	ck_assert_int_eq(fcntl(fd[0], F_SETFD, 0), 0);
	p = file_probe(fd[0], NULL);
	ck_assert_int_eq(fcntl(asyncore_socket(of(p)), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd[0], F_GETFD), 0);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_open_file_is_made_non_blocking_and_keeps_its_other_flags)
{
	int fd[2];
	struct probe *p;

	make_pipe(fd);
	ck_assert_int_eq(fcntl(fd[1], F_SETFL, O_APPEND), 0);
	p = file_probe(fd[1], NULL);
	ck_assert_int_eq(fcntl(fd[1], F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
	ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(it_is_connected_and_has_no_address)
{
	int fd[2];
	struct probe *p;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	ck_assert(asyncore_connected(of(p)));
	ck_assert(!asyncore_connecting(of(p)));
	ck_assert_ptr_null(asyncore_addr(of(p), NULL));
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_same_original_can_be_given_twice)
{
	int fd[2];
	struct probe *p, *q;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	q = file_probe(fd[0], NULL);
	ck_assert_uint_eq(asyncore_map_size(NULL), 2);
	put(fd[1], "x", 1);
	/* Both are told; the second finds nothing, which is no error. */
	step(NULL);
	ck_assert_int_eq(p->reads + q->reads, 2);
	ck_assert_uint_eq(p->len + q->len, 1);
	ck_assert_int_eq(p->errors + q->errors, 0);
	asyncore_close(of(p));
	put(fd[1], "x", 1);
	step(NULL);
	ck_assert_int_eq(q->reads, 2);
	asyncore_close(of(q));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_bad_descriptor_is_refused_and_leaves_nothing)
{
	struct asyncore_file_dispatcher d;
	int fd = open("/dev/null", O_RDONLY | O_PATH | O_CLOEXEC);

	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &asyncore_file_dispatcher_type, -1,
						       NULL), -EBADF);
	ck_assert_ptr_null(d.dispatcher.channel);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &asyncore_file_dispatcher_type, 1 << 20,
						       NULL), -EBADF);
	ck_assert_ptr_null(d.dispatcher.channel);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &asyncore_file_dispatcher_type, fd,
						       NULL), -EBADF);
	ck_assert_ptr_null(d.dispatcher.channel);
	ck_assert_uint_eq(asyncore_map_size(NULL), 0);
	close(fd);
}
END_TEST

START_TEST(init_wants_its_own_class_in_the_chain)
{
	struct asyncore_file_dispatcher d;
	int fd[2];

	make_pipe(fd);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL),
			 -EINVAL);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, NULL, fd[0], NULL), -EINVAL);
	ck_assert_int_eq(asyncore_file_dispatcher_init(NULL, &asyncore_file_dispatcher_type, fd[0],
						       NULL), -EINVAL);
	ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

static int refuse(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	(void)d, (void)map;
	return -EPERM;
}

START_TEST(an_init_that_add_channel_refuses_leaves_nothing)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_file_dispatcher_type, .add_channel = refuse,
	};
	struct asyncore_file_dispatcher d;
	int fd[2];

	make_pipe(fd);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &type, fd[0], NULL), -EPERM);
	ck_assert_ptr_null(d.dispatcher.channel);
	ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* FIELD B6 */
START_TEST(closing_twice_does_not_close_a_stranger)
{
	int fd[2], number;
	struct probe *p;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	number = asyncore_socket(of(p));
	asyncore_close(of(p));
	ck_assert_int_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), number);
	asyncore_close(of(p));
	ck_assert(is_open(number));
	close(number);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* FIELD B6 */
START_TEST(disposal_does_not_close_a_stranger)
{
	int fd[2], number;
	struct probe *p;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	number = asyncore_socket(of(p));
	asyncore_close(of(p));
	ck_assert_int_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), number);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert(is_open(number));
	close(number);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(it_has_no_family_type_or_address_of_a_socket)
{
	int fd[2], family, type;
	struct probe *p;
	struct sockaddr_in addr = { .sin_family = AF_INET };

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	ck_assert_int_lt(asyncore_family_and_type(of(p), &family, &type), 0);
	ck_assert_int_lt(asyncore_connect_sockaddr(of(p), (struct sockaddr *)&addr, sizeof addr),
			 0);
	ck_assert_int_lt(asyncore_bind_sockaddr(of(p), (struct sockaddr *)&addr, sizeof addr), 0);
	ck_assert_int_lt(asyncore_sendto(of(p), "x", 1, (struct sockaddr *)&addr, sizeof addr), 0);
	ck_assert(asyncore_connected(of(p)));
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* --- pipes ------------------------------------------------------------------------------------ */

/* FIELD B13: with poll() Python closes after the first 512 bytes. */
static int read_512(struct probe *p)
{
	int n = asyncore_recv(of(p), p->data, 512);

	if (n > 0)
		p->len += (size_t)n;
	return n;
}

START_TEST(everything_is_read_before_the_end_of_a_pipe)
{
	static char data[5000];
	const bool use_poll = _i != 0;
	struct probe *p;
	int i, fd[2];

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	p->on_read = read_512;
	put(fd[1], data, sizeof data);
	close(fd[1]);
	asyncore_ref(of(p));
	for (i = 0; i < 20 && p->closes == 0; i++)
		pass(use_poll, 1.0, NULL);
	ck_assert_uint_eq(p->len, sizeof data);
	ck_assert_int_eq(p->closes, 1);
	ck_assert_int_eq(p->errors, 0);
	asyncore_unref(of(p));
	close(fd[0]);
}
END_TEST

START_TEST(the_end_of_an_empty_pipe_is_handle_close)
{
	struct probe *p;
	int fd[2];

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	asyncore_ref(of(p));
	step(NULL);
	ck_assert_int_eq(p->reads, 0);
	close(fd[1]);
	pass(_i != 0, 0.0, NULL);
	ck_assert_int_eq(p->reads, 1);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(of(p));
	close(fd[0]);
}
END_TEST

START_TEST(reading_an_empty_pipe_is_nothing_now)
{
	struct probe *p;
	int fd[2];

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	ck_assert_int_eq(asyncore_recv(of(p), p->data, 10), -EAGAIN);
	ck_assert_int_eq(asyncore_handle_read(of(p)), -EAGAIN);
	ck_assert_int_eq(asyncore_recv(of(p), p->data, 0), 0);
	ck_assert_int_eq(p->closes, 0);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(writing_to_a_pipe_arrives)
{
	struct probe *p;
	char data[5];
	int fd[2];

	make_pipe(fd);
	p = file_probe(fd[1], NULL);
	p->wants_write = 1;
	step(NULL);
	ck_assert_int_eq(p->writes, 1);
	ck_assert_int_eq(asyncore_send(of(p), "hello", 5), 5);
	take(fd[0], data, 5);
	ck_assert_mem_eq(data, "hello", 5);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_full_pipe_takes_nothing_and_is_not_writable)
{
	static char data[65536];
	struct probe *p;
	int fd[2];

	make_pipe(fd);
	p = file_probe(fd[1], NULL);
	while (asyncore_send(of(p), data, sizeof data) > 0)
		;
	ck_assert_int_eq(asyncore_send(of(p), data, sizeof data), 0);
	p->wants_write = 1;
	step(NULL);
	ck_assert_int_eq(p->writes, 0);
	take(fd[0], data, sizeof data);
	step(NULL);
	ck_assert_int_eq(p->writes, 1);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(writing_to_a_broken_pipe_is_handle_close_and_no_signal)
{
	struct probe *p;
	int fd[2];

	/* The default disposition would end this process. */
	signal(SIGPIPE, SIG_DFL);
	make_pipe(fd);
	p = file_probe(fd[1], NULL);
	asyncore_ref(of(p));
	close(fd[0]);
	ck_assert_int_eq(asyncore_send(of(p), "x", 1), 0);
	ck_assert_int_eq(p->closes, 1);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	ck_assert_int_eq(asyncore_send(of(p), "x", 1), 0);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(of(p));
	close(fd[1]);
}
END_TEST

static int send_x(struct probe *p)
{
	return asyncore_send(of(p), "x", 1);
}

START_TEST(a_broken_pipe_is_found_by_a_write_event)
{
	struct probe *p;
	int fd[2];

	make_pipe(fd);
	p = file_probe(fd[1], NULL);
	p->wants_read = 0;
	p->wants_write = 1;
	p->on_write = send_x;
	asyncore_ref(of(p));
	close(fd[0]);
	pass(_i != 0, 1.0, NULL);
	ck_assert_int_eq(p->closes, 1);
	ck_assert_int_eq(p->errors, 0);
	asyncore_unref(of(p));
	close(fd[1]);
}
END_TEST

/* What fail2ban and supervisor use a pipe for. */
START_TEST(a_pipe_wakes_a_waiting_loop)
{
	struct probe *p;
	int fd[2];

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	put(fd[1], "!", 1);
	ck_assert_int_eq(asyncore_poll(60.0, NULL), 0);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* --- other files ---------------------------------------------------------------------------------- */

static int read_count(struct probe *p)
{
	return asyncore_recv(of(p), p->data, sizeof(uint64_t));
}

START_TEST(an_eventfd_can_be_read_and_written)
{
	struct probe *p;
	uint64_t count = 3;
	int fd = eventfd(0, EFD_CLOEXEC);

	p = file_probe(fd, NULL);
	p->on_read = read_count;
	step(NULL);
	ck_assert_int_eq(p->reads, 0);
	ck_assert_int_eq(asyncore_send(of(p), &count, sizeof count), sizeof count);
	put(fd, &count, sizeof count);
	step(NULL);
	memcpy(&count, p->data, sizeof count);
	ck_assert_uint_eq(count, 6);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(of(p));
	close(fd);
}
END_TEST

START_TEST(a_pty_can_be_read_and_written_and_its_hangup_ends_it)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct probe *p;
	char data[100];
	ssize_t n;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(slave, 0);

	p = file_probe(master, NULL);
	asyncore_ref(of(p));
	put(slave, "hello", 5);
	run_until(p->len == 5, NULL);
	ck_assert_mem_eq(p->data, "hello", 5);
	ck_assert_int_eq(asyncore_send(of(p), "yes\n", 4), 4);
	n = read(slave, data, sizeof data);
	ck_assert_int_eq(n, 4);
	ck_assert_mem_eq(data, "yes\n", 4);

	/* The echo of that comes first; then Linux says EIO, which is an error in Python,
	 * too. */
	close(slave);
	run_until(p->closes + p->errors > 0, NULL);
	ck_assert_int_eq(p->errors, 1);
	ck_assert_int_eq(p->last_error, -EIO);
	asyncore_unref(of(p));
	close(master);
}
END_TEST

static int read_10(struct probe *p)
{
	int n = asyncore_recv(of(p), p->data + p->len, 10);

	if (n > 0)
		p->len += (size_t)n;
	return n;
}

START_TEST(a_regular_file_is_read_to_its_end_which_is_handle_close)
{
	const bool use_poll = _i != 0;
	char data[95];
	int i, fd;
	struct probe *p;

	memset(data, 'd', sizeof data);
	fd = temporary(data, sizeof data);
	p = file_probe(fd, NULL);
	p->on_read = read_10;
	asyncore_ref(of(p));
	for (i = 0; i < 50 && p->closes == 0; i++)
		pass(use_poll, 60.0, NULL);	/* never waits */
	ck_assert_int_eq(p->reads, 11);
	ck_assert_uint_eq(p->len, sizeof data);
	ck_assert_mem_eq(p->data, data, sizeof data);
	ck_assert_int_eq(p->closes, 1);
	ck_assert_int_eq(p->errors, 0);
	asyncore_unref(of(p));
	close(fd);
}
END_TEST

START_TEST(a_regular_file_can_be_written)
{
	int fd = temporary("", 0);
	struct probe *p = file_probe(fd, NULL);
	char data[5];

	p->wants_read = 0;
	p->wants_write = 1;
	step(NULL);
	step(NULL);
	ck_assert_int_eq(p->writes, 2);
	ck_assert_int_eq(asyncore_send(of(p), "hello", 5), 5);
	ck_assert_int_eq(pread(fd, data, 5, 0), 5);
	ck_assert_mem_eq(data, "hello", 5);
	asyncore_close(of(p));
	close(fd);
}
END_TEST

START_TEST(a_regular_file_without_interest_is_left_alone)
{
	int fd = temporary("data", 4), i;
	struct probe *p = file_probe(fd, NULL);

	p->wants_read = 0;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(asyncore_poll(0.001, NULL), 0);
	ck_assert_int_eq(p->reads + p->writes, 0);
	p->wants_read = 1;
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(of(p));
	close(fd);
}
END_TEST

/* Nor does one that is read make it ready. */
START_TEST(a_regular_file_without_interest_is_left_alone_beside_another)
{
	int fd[2] = { temporary("abc", 3), temporary("def", 3) };
	struct probe *idle = file_probe(fd[0], NULL), *busy = file_probe(fd[1], NULL);

	idle->wants_read = 0;
	pass(_i, 0.0, NULL);
	ck_assert_int_eq(busy->reads, 1);
	ck_assert_int_eq(idle->reads + idle->writes, 0);
	idle->wants_read = 1;
	busy->wants_read = 0;
	pass(_i, 0.0, NULL);
	ck_assert_int_eq(idle->reads, 1);
	ck_assert_int_eq(busy->reads, 1);
	asyncore_close(of(idle));
	asyncore_close(of(busy));
	close_peers(fd, 2);
}
END_TEST

/* A file has no connect that could have failed, nor a peer. */
START_TEST(a_connect_event_of_a_file_connects_it)
{
	int fd[2];
	struct probe *p;

	make_pipe(fd);
	p = file_probe(fd[0], NULL);
	asyncore_set_connected(of(p), false);
	ck_assert_int_eq(asyncore_handle_connect_event(of(p)), 0);
	ck_assert_int_eq(p->connects, 1);
	ck_assert(asyncore_connected(of(p)));
	asyncore_close(of(p));
	close_peers(fd, 2);
}
END_TEST

START_TEST(regular_files_do_not_starve_sockets)
{
	int file = temporary("", 0), fd[2], i;
	struct probe *p = file_probe(file, NULL), *q;

	p->wants_read = 0;
	p->wants_write = 1;
	unix_pair(fd);
	q = probe_new(fd[0], NULL);
	for (i = 1; i <= 20; i++) {
		put(fd[1], "x", 1);
		ck_assert_int_eq(asyncore_poll(60.0, NULL), 0);
		ck_assert_int_eq(q->reads, i);
		ck_assert_int_eq(p->writes, i);
	}
	asyncore_close(of(p));
	asyncore_close(of(q));
	close(file);
	close(fd[1]);
}
END_TEST

static int echo_pass(struct probe *p)
{
	static bool inside;
	int r = 0;

	if (!inside) {
		inside = true;
		r = asyncore_poll(0.0, asyncore_map(of(p)));
		inside = false;
	}
	return r;
}

START_TEST(a_regular_file_is_ready_in_a_nested_pass_too)
{
	int fd = temporary("data", 4);
	struct probe *p = file_probe(fd, NULL);

	p->on_read = echo_pass;
	step(NULL);
	ck_assert_int_eq(p->reads, 2);
	asyncore_close(of(p));
	close(fd);
}
END_TEST

START_TEST(dev_null_ends_at_once_and_swallows_everything)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct probe *p = file_probe(fd, NULL);

	asyncore_ref(of(p));
	ck_assert_int_eq(asyncore_send(of(p), "hello", 5), 5);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(of(p));
	close(fd);
}
END_TEST

START_TEST(reading_a_directory_raises)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct probe *p = file_probe(fd, NULL);

	asyncore_ref(of(p));
	pass(_i != 0, 0.0, NULL);
	ck_assert_int_eq(p->reads, 1);
	ck_assert_int_eq(p->errors, 1);
	ck_assert_int_eq(p->last_error, -EISDIR);
	asyncore_unref(of(p));
	close(fd);
}
END_TEST

START_TEST(a_descriptor_for_writing_only_that_is_read_closes)
{
	/* read() says EBADF, which is among the errors of a lost connection. */
	int fd[2];
	struct probe *p;
	char byte;

	make_pipe(fd);
	p = file_probe(fd[1], NULL);
	asyncore_ref(of(p));
	ck_assert_int_eq(asyncore_recv(of(p), &byte, 1), 0);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_socket_can_be_a_file)
{
	int fd[2];
	struct probe *p;
	char data[3];

	unix_pair(fd);
	p = file_probe(fd[0], NULL);
	close(fd[0]);
	asyncore_ref(of(p));
	put(fd[1], "abc", 3);
	step(NULL);
	ck_assert_uint_eq(p->len, 3);
	ck_assert_int_eq(asyncore_send(of(p), "def", 3), 3);
	take(fd[1], data, 3);
	ck_assert_mem_eq(data, "def", 3);
	close(fd[1]);
	step(NULL);
	ck_assert_int_eq(p->closes, 1);
	asyncore_unref(of(p));
}
END_TEST

/* --- set_file ---------------------------------------------------------------------------------------- */

START_TEST(a_plain_dispatcher_can_be_given_a_file)
{
	struct probe *p = probe_new(-1, NULL);
	int fd[2];

	make_pipe(fd);
	ck_assert_int_eq(asyncore_set_file(of(p), fd[0]), 0);
	ck_assert_int_ne(asyncore_fileno(of(p)), fd[0]);
	/* As in Python, only the constructor does the rest. */
	ck_assert(!asyncore_connected(of(p)));
	ck_assert_int_eq(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	put(fd[1], "hello", 5);
	step(NULL);
	ck_assert_uint_eq(p->len, 5);
	ck_assert_int_eq(asyncore_set_file(of(p), fd[0]), -EALREADY);
	asyncore_close(of(p));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(set_file_refuses_bad_descriptors)
{
	struct probe *p = probe_new(-1, NULL);

	ck_assert_int_eq(asyncore_set_file(of(p), -1), -EBADF);
	ck_assert_int_eq(asyncore_set_file(of(p), 1 << 20), -EBADF);
	ck_assert_int_eq(asyncore_set_file(NULL, 0), -EINVAL);
	ck_assert_int_eq(asyncore_socket(of(p)), -1);
	asyncore_close(of(p));
}
END_TEST

START_TEST(a_channel_can_change_from_a_socket_to_a_file_and_back)
{
	int fd[2], pair[2], file = temporary("file", 4);
	struct probe *p;

	unix_pair(pair);
	make_pipe(fd);
	p = probe_new(pair[0], NULL);
	asyncore_close(of(p));
	ck_assert_int_eq(asyncore_set_file(of(p), fd[0]), 0);
	put(fd[1], "pipe", 4);
	step(NULL);
	ck_assert_uint_eq(p->len, 4);
	asyncore_close(of(p));
	close(pair[1]);
	ck_assert_int_eq(asyncore_set_file(of(p), file), 0);
	step(NULL);
	ck_assert_uint_eq(p->len, 8);
	asyncore_close(of(p));
	unix_pair(pair);
	ck_assert_int_eq(asyncore_set_socket(of(p), pair[0], NULL), 0);
	put(pair[1], "sock", 4);
	step(NULL);
	ck_assert_uint_eq(p->len, 12);
	ck_assert_mem_eq(p->data, "pipefilesock", 12);
	step(NULL);
	ck_assert_int_eq(p->reads, 3);	/* no longer always ready */
	ck_assert_int_eq(p->errors, 0);
	asyncore_close(of(p));
	close(pair[1]);
	close(file);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(a_class_that_overrides_handle_expt_may_be_a_file)
{
	struct probe *p = probe_new(-1, NULL);	/* its type overrides it */
	int fd = temporary("data", 4), pipe_fd[2];

	ck_assert_int_eq(asyncore_set_file(of(p), fd), 0);
	step(NULL);
	ck_assert_int_eq(p->reads, 1);
	asyncore_close(of(p));
	make_pipe(pipe_fd);
	ck_assert_int_eq(asyncore_set_file(of(p), pipe_fd[0]), 0);
	put(pipe_fd[1], "x", 1);
	step(NULL);
	ck_assert_int_eq(p->reads, 2);
	ck_assert_int_eq(p->expts + p->errors, 0);
	/* Nothing waits on it that handle_close would be told of. */
	ck_assert_int_eq(asyncore_handle_expt_event(of(p)), 0);
	ck_assert_int_eq(p->expts, 1);
	asyncore_close(of(p));
	close(fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}
END_TEST

/* --- on other backends ------------------------------------------------------------------------------------ */

static struct event_base *base_of(const char *method)
{
	static const char *const all[] = { "epoll", "poll", "select" };
	struct event_config *config = event_config_new();
	struct event_base *base;
	size_t i;

	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	for (i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i], method) != 0)
			event_config_avoid_method(config, all[i]);
	base = event_base_new_with_config(config);
	event_config_free(config);
	ck_assert_ptr_nonnull(base);
	ck_assert_str_eq(event_base_get_method(base), method);
	return base;
}

static const char *const methods[] = { "epoll", "poll", "select" };

START_TEST(pipes_and_regular_files_work_on_every_backend)
{
	struct event_base *base = base_of(methods[_i / 2]);
	struct asyncore_map *map = asyncore_map_new(base);
	const bool use_poll = _i % 2 != 0;
	int i, fd[2], file = temporary("0123456789abcdef", 16);
	struct probe *p, *q;

	make_pipe(fd);
	p = file_probe(fd[0], map);
	q = file_probe(file, map);
	p->on_read = read_512;
	q->on_read = read_10;
	asyncore_ref(of(p));
	asyncore_ref(of(q));
	put(fd[1], "0123456789", 10);
	close(fd[1]);
	for (i = 0; i < 20 && asyncore_map_size(map) > 0; i++)
		pass(use_poll, 1.0, map);
	ck_assert_uint_eq(p->len, 10);
	ck_assert_uint_eq(q->len, 16);
	ck_assert_int_eq(p->closes, 1);
	ck_assert_int_eq(q->closes, 1);
	ck_assert_int_eq(p->errors + q->errors, 0);
	asyncore_unref(of(p));
	asyncore_unref(of(q));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(base);
	close(fd[0]);
	close(file);
}
END_TEST

static struct event_base *the_base;

START_TEST(the_application_can_run_a_base_with_regular_files)
{
	struct asyncore_map *map;
	int fd[2], file = temporary("0123456789abcdef", 16);
	struct probe *p, *q;

	the_base = base_of(methods[_i]);
	map = asyncore_map_new(the_base);
	make_pipe(fd);
	p = file_probe(fd[0], map);
	q = file_probe(file, map);
	q->on_read = read_10;
	asyncore_ref(of(p));
	asyncore_ref(of(q));
	put(fd[1], "0123456789", 10);
	close(fd[1]);
	/* Ends by itself when the map is empty. */
	ck_assert_int_ge(event_base_dispatch(the_base), 0);
	ck_assert_uint_eq(p->len, 10);
	ck_assert_uint_eq(q->len, 16);
	ck_assert_int_eq(p->closes + q->closes, 2);
	asyncore_unref(of(p));
	asyncore_unref(of(q));
	ck_assert_int_eq(asyncore_map_free(map), 0);
	event_base_free(the_base);
	close(fd[0]);
	close(file);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "the descriptor");

	tcase_add_test(tc, it_works_on_a_duplicate_and_leaves_the_original_open);
	tcase_add_test(tc, the_duplicate_lives_when_the_original_is_closed);
	tcase_add_test(tc, the_duplicate_is_closed_on_exec);
	tcase_add_test(tc, the_open_file_is_made_non_blocking_and_keeps_its_other_flags);
	tcase_add_test(tc, it_is_connected_and_has_no_address);
	tcase_add_test(tc, the_same_original_can_be_given_twice);
	tcase_add_test(tc, a_bad_descriptor_is_refused_and_leaves_nothing);
	tcase_add_test(tc, init_wants_its_own_class_in_the_chain);
	tcase_add_test(tc, an_init_that_add_channel_refuses_leaves_nothing);
	tcase_add_test(tc, closing_twice_does_not_close_a_stranger);
	tcase_add_test(tc, disposal_does_not_close_a_stranger);
	tcase_add_test(tc, it_has_no_family_type_or_address_of_a_socket);

	tc = suite_case(suite, "pipes");
	tcase_add_loop_test(tc, everything_is_read_before_the_end_of_a_pipe, 0, 2);
	tcase_add_loop_test(tc, the_end_of_an_empty_pipe_is_handle_close, 0, 2);
	tcase_add_test(tc, reading_an_empty_pipe_is_nothing_now);
	tcase_add_test(tc, writing_to_a_pipe_arrives);
	tcase_add_test(tc, a_full_pipe_takes_nothing_and_is_not_writable);
	tcase_add_test(tc, writing_to_a_broken_pipe_is_handle_close_and_no_signal);
	tcase_add_loop_test(tc, a_broken_pipe_is_found_by_a_write_event, 0, 2);
	tcase_add_test(tc, a_pipe_wakes_a_waiting_loop);

	tc = suite_case(suite, "other files");
	tcase_add_test(tc, an_eventfd_can_be_read_and_written);
	tcase_add_test(tc, a_pty_can_be_read_and_written_and_its_hangup_ends_it);
	tcase_add_loop_test(tc, a_regular_file_is_read_to_its_end_which_is_handle_close, 0, 2);
	tcase_add_test(tc, a_regular_file_can_be_written);
	tcase_add_test(tc, a_regular_file_without_interest_is_left_alone);
	tcase_add_loop_test(tc, a_regular_file_without_interest_is_left_alone_beside_another, 0, 2);
	tcase_add_test(tc, a_connect_event_of_a_file_connects_it);
	tcase_add_test(tc, regular_files_do_not_starve_sockets);
	tcase_add_test(tc, a_regular_file_is_ready_in_a_nested_pass_too);
	tcase_add_test(tc, dev_null_ends_at_once_and_swallows_everything);
	tcase_add_loop_test(tc, reading_a_directory_raises, 0, 2);
	tcase_add_test(tc, a_descriptor_for_writing_only_that_is_read_closes);
	tcase_add_test(tc, a_socket_can_be_a_file);

	tc = suite_case(suite, "set_file");
	tcase_add_test(tc, a_plain_dispatcher_can_be_given_a_file);
	tcase_add_test(tc, set_file_refuses_bad_descriptors);
	tcase_add_test(tc, a_channel_can_change_from_a_socket_to_a_file_and_back);
	tcase_add_test(tc, a_class_that_overrides_handle_expt_may_be_a_file);

	tc = suite_case(suite, "backends");
	tcase_add_loop_test(tc, pipes_and_regular_files_work_on_every_backend, 0, 6);
	tcase_add_loop_test(tc, the_application_can_run_a_base_with_regular_files, 0, 3);
}

SUITE_MAIN("file_dispatcher", add_cases)
