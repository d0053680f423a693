/* SPDX-License-Identifier: BSD-3-Clause */

/* check_accept.c - accept() and the errors of accept(2), which this program makes up. */

#include "support.h"

#include <sys/syscall.h>

/* What the next accept4(2) fails with; 0: it is the real one. */
static int accept_error, accept_calls;

int accept4(int fd, struct sockaddr *addr, socklen_t *addrlen, int flags)
{
	accept_calls++;
	if (accept_error != 0) {
		errno = accept_error;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, addr, addrlen, flags);
}

static char logged[512];

static int keep_log(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	size_t len = strlen(logged);

	(void)self;
	snprintf(logged + len, sizeof logged - len, "%s: %s\n", type, message);
	return 0;
}

static const struct asyncore_dispatcher_type listener_type = {
	.base = &probe_plain_type,
	.log_info = keep_log,
};

static const struct asyncore_dispatcher_type raising_type = {
	.base = &listener_type,
	.flags = ASYNCORE_ACCEPT_RAISES,
};

static struct probe *listener(const struct asyncore_dispatcher_type *type, int *client)
{
	int port, fd = tcp_listener(&port);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct probe *p = probe_new_typed(type, fd, NULL);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	asyncore_set_accepting(&p->dispatcher, true);
	*client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(*client, (struct sockaddr *)&addr, sizeof addr), 0);
	logged[0] = '\0';
	return p;
}

static void finish(int client)
{
	close(client);
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
}

static const int gone[] = {
	EAGAIN, ECONNABORTED, EPROTO, ENOPROTOOPT, ENETDOWN, ENETUNREACH, EHOSTDOWN,
	EHOSTUNREACH, ENONET, ETIMEDOUT,
};
enum { GONE = sizeof gone / sizeof *gone };

/* FIELD B30 */
START_TEST(connection_that_is_gone_is_nothing_now)
{
	int client;
	struct probe *p = listener(&listener_type, &client);

	accept_error = gone[_i];
	step(NULL);
	step(NULL);
	ck_assert_int_eq(p->accepts, 2);
	ck_assert_int_eq(p->errors, 0);
	ck_assert_str_eq(logged, "");
	accept_error = 0;
	step(NULL);
	ck_assert_int_eq(p->accepteds, 1);
	finish(client);
}
END_TEST

static const int shortage[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };

/* FIELD B2 */
START_TEST(shortage_pauses_the_listener_and_says_so_once)
{
	int client, calls;
	struct probe *p = listener(&listener_type, &client);
	char line[128];

	accept_error = shortage[_i];
	step(NULL);
	calls = accept_calls;
	step(NULL);
	step(NULL);
	ck_assert_int_eq(accept_calls, calls);
	/* It tries again after a moment, and keeps quiet. */
	run_until(accept_calls > calls, NULL);
	snprintf(line, sizeof line, "error: accept: %s, pausing for a moment\n",
		 strerror(shortage[_i]));
	ck_assert_str_eq(logged, line);
	ck_assert_int_eq(p->errors, 0);

	accept_error = 0;
	run_until(p->accepteds == 1, NULL);
	finish(client);
}
END_TEST

/* FIELD B2 */
START_TEST(shortage_raises_where_the_class_wants_that)
{
	int client;
	struct probe *p = listener(&raising_type, &client);

	asyncore_ref(&p->dispatcher);
	accept_error = shortage[_i];
	step(NULL);
	accept_error = 0;
	ck_assert_int_eq(p->errors, 1);
	ck_assert_int_eq(p->last_error, -shortage[_i]);
	ck_assert_str_eq(logged, "");
	asyncore_unref(&p->dispatcher);
	finish(client);
}
END_TEST

static const int others[] = { EPERM, EOPNOTSUPP, EINVAL, EFAULT };

START_TEST(any_other_error_raises)
{
	int client;
	struct probe *p = listener(&listener_type, &client);

	asyncore_ref(&p->dispatcher);
	accept_error = others[_i];
	step(NULL);
	accept_error = 0;
	ck_assert_int_eq(p->errors, 1);
	ck_assert_int_eq(p->last_error, -others[_i]);
	asyncore_unref(&p->dispatcher);
	finish(client);
}
END_TEST

static void add_cases(Suite *suite)
{
	TCase *tc = suite_case(suite, "errors");

	tcase_add_loop_test(tc, connection_that_is_gone_is_nothing_now, 0, GONE);
	tcase_add_loop_test(tc, shortage_pauses_the_listener_and_says_so_once, 0, 4);
	tcase_add_loop_test(tc, shortage_raises_where_the_class_wants_that, 0, 4);
	tcase_add_loop_test(tc, any_other_error_raises, 0, 4);
}

SUITE_MAIN("accept", add_cases)
