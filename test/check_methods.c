/* SPDX-License-Identifier: BSD-3-Clause */

/* check_methods.c - type tables: what overrides, what is inherited, how an object ends
 * (methods.c, virtual.c, channel.c). */

#include "support.h"

#include "methods.h"

/* An object that may be disposed of after the test. */
static struct asyncore_dispatcher object;

static void make(const struct asyncore_dispatcher_type *type)
{
	ck_assert_int_eq(asyncore_dispatcher_init(&object, type, -1, NULL), 0);
}

/* Close it, and have it disposed of. */
static void dispose_of_object(void)
{
	ck_assert_int_eq(asyncore_dispatcher_close(&object), 0);
	ck_assert_int_eq(asyncore_close_all(NULL, true), 0);
	ck_assert_ptr_null(object.channel);
}

/* --- every slot overrides --------------------------------------------------------------- */

static int called;		/* overrides, since the object was made */

/* An override of one slot that returns 7, in the parent of the object's class. */
#define TEST_SLOT(slot, parameters, arguments_are_right, call) \
	static int my_##slot parameters \
	{ \
		called++; \
		ck_assert_ptr_eq(self, &object); \
		ck_assert(arguments_are_right); \
		return 7; \
	} \
	static const struct asyncore_dispatcher_type slot##_parent = { \
		.base = &asyncore_dispatcher_type, \
		.slot = my_##slot, \
	}; \
	static const struct asyncore_dispatcher_type slot##_child = { \
		.base = &slot##_parent, \
	}; \
	START_TEST(the_table_overrides_##slot) \
	{ \
		make(&slot##_child); \
		called = 0; \
		ck_assert_int_eq(call, 7); \
		ck_assert_int_eq(called, 1); \
		dispose_of_object(); \
	} \
	END_TEST

#define TEST_PLAIN_SLOT(slot) \
	TEST_SLOT(slot, (struct asyncore_dispatcher *self), true, asyncore_##slot(&object))

TEST_PLAIN_SLOT(readable)
TEST_PLAIN_SLOT(writable)
TEST_PLAIN_SLOT(handle_read)
TEST_PLAIN_SLOT(handle_write)
TEST_PLAIN_SLOT(handle_expt)
TEST_PLAIN_SLOT(handle_connect)
TEST_PLAIN_SLOT(handle_close)
TEST_PLAIN_SLOT(handle_error)
TEST_PLAIN_SLOT(handle_accept)
TEST_PLAIN_SLOT(handle_read_event)
TEST_PLAIN_SLOT(handle_write_event)
TEST_PLAIN_SLOT(handle_expt_event)
TEST_PLAIN_SLOT(handle_connect_event)
TEST_PLAIN_SLOT(close)
TEST_PLAIN_SLOT(initiate_send)

static char bytes[4] = "abc";
static const struct sockaddr *const address = (const struct sockaddr *)bytes;
static struct asyncore_map *const no_map = NULL;

TEST_SLOT(handle_accepted,
	  (struct asyncore_dispatcher *self, int fd, const struct sockaddr *addr,
	   socklen_t addrlen),
	  fd == 99 && addr == address && addrlen == 4,
	  asyncore_handle_accepted(&object, 99, address, 4))
TEST_SLOT(send, (struct asyncore_dispatcher *self, const void *data, size_t len),
	  data == bytes && len == 3, asyncore_send(&object, bytes, 3))
TEST_SLOT(recv, (struct asyncore_dispatcher *self, void *buffer, size_t len),
	  buffer == bytes && len == 4, asyncore_recv(&object, bytes, 4))
TEST_SLOT(add_channel, (struct asyncore_dispatcher *self, struct asyncore_map *map),
	  map == asyncore_socket_map(), asyncore_add_channel(&object, asyncore_socket_map()))
TEST_SLOT(del_channel, (struct asyncore_dispatcher *self, struct asyncore_map *map),
	  map == no_map, asyncore_del_channel(&object, no_map))
TEST_SLOT(log, (struct asyncore_dispatcher *self, const char *message), message == bytes,
	  asyncore_log(&object, bytes))
TEST_SLOT(log_info,
	  (struct asyncore_dispatcher *self, const char *message, const char *type),
	  message == bytes && type == bytes + 1, asyncore_log_info(&object, bytes, bytes + 1))
TEST_SLOT(repr, (struct asyncore_dispatcher *self, char *buffer, size_t size),
	  buffer == bytes && size == 2, asyncore_repr(&object, bytes, 2))

START_TEST(initiate_send_of_a_class_without_output_is_not_supported)
{
	make(&asyncore_dispatcher_type);
	ck_assert_int_eq(asyncore_initiate_send(&object), -ENOTSUP);
	dispose_of_object();
}
END_TEST

START_TEST(a_method_can_be_called_on_a_closed_channel)
{
	make(&handle_read_child);
	asyncore_close(&object);
	ck_assert_int_eq(asyncore_handle_read(&object), 7);
	dispose_of_object();
}
END_TEST

static int (*const plain_methods[])(struct asyncore_dispatcher *) = {
	asyncore_readable, asyncore_writable, asyncore_handle_read, asyncore_handle_write,
	asyncore_handle_expt, asyncore_handle_connect, asyncore_handle_close,
	asyncore_handle_error, asyncore_handle_accept, asyncore_handle_read_event,
	asyncore_handle_write_event, asyncore_handle_expt_event, asyncore_handle_connect_event,
	asyncore_close, asyncore_initiate_send, asyncore_touch, asyncore_ref, asyncore_unref,
	/* The base bodies that look at the channel. */
	asyncore_dispatcher_handle_read, asyncore_dispatcher_handle_write,
	asyncore_dispatcher_handle_expt, asyncore_dispatcher_handle_connect,
	asyncore_dispatcher_handle_close, asyncore_dispatcher_handle_error,
	asyncore_dispatcher_handle_accept, asyncore_dispatcher_handle_read_event,
	asyncore_dispatcher_handle_write_event, asyncore_dispatcher_handle_expt_event,
	asyncore_dispatcher_handle_connect_event, asyncore_dispatcher_close,
	asyncore_dispatcher_with_send_handle_write, asyncore_dispatcher_with_send_initiate_send,
	asyncore_dispatcher_with_send_writable,
};

enum { PLAIN_METHODS = sizeof plain_methods / sizeof plain_methods[0] };

START_TEST(no_method_can_be_called_on_nothing)
{
	struct asyncore_dispatcher zero = { 0 };

	make(&asyncore_dispatcher_type);
	dispose_of_object();
	ck_assert_int_eq(plain_methods[_i](NULL), -EINVAL);
	ck_assert_int_eq(plain_methods[_i](&zero), -EINVAL);
	ck_assert_int_eq(plain_methods[_i](&object), -EINVAL);
}
END_TEST

START_TEST(no_method_with_arguments_can_be_called_on_nothing)
{
	ck_assert_int_eq(asyncore_handle_accepted(NULL, -1, NULL, 0), -EINVAL);
	ck_assert_int_eq(asyncore_send(NULL, "", 0), -EINVAL);
	ck_assert_int_eq(asyncore_recv(NULL, bytes, 1), -EINVAL);
	ck_assert_int_eq(asyncore_add_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_del_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_handle_accepted(NULL, -1, NULL, 0), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_send(NULL, "", 0), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_recv(NULL, bytes, 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_add_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_del_channel(NULL, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_send(NULL, "", 0), -EINVAL);
	ck_assert_uint_eq(asyncore_dispatcher_with_send_pending(NULL), 0);
}
END_TEST

START_TEST(the_bodies_with_output_refuse_a_class_without)
{
	make(&asyncore_dispatcher_type);
	ck_assert_int_eq(asyncore_dispatcher_with_send_send(&object, "a", 1), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_initiate_send(&object), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_writable(&object), -EINVAL);
	dispose_of_object();
}
END_TEST

static void add_slots(Suite *suite)
{
	TCase *tc = suite_case(suite, "slots");

	tcase_add_test(tc, the_table_overrides_readable);
	tcase_add_test(tc, the_table_overrides_writable);
	tcase_add_test(tc, the_table_overrides_handle_read);
	tcase_add_test(tc, the_table_overrides_handle_write);
	tcase_add_test(tc, the_table_overrides_handle_expt);
	tcase_add_test(tc, the_table_overrides_handle_connect);
	tcase_add_test(tc, the_table_overrides_handle_close);
	tcase_add_test(tc, the_table_overrides_handle_error);
	tcase_add_test(tc, the_table_overrides_handle_accept);
	tcase_add_test(tc, the_table_overrides_handle_read_event);
	tcase_add_test(tc, the_table_overrides_handle_write_event);
	tcase_add_test(tc, the_table_overrides_handle_expt_event);
	tcase_add_test(tc, the_table_overrides_handle_connect_event);
	tcase_add_test(tc, the_table_overrides_close);
	tcase_add_test(tc, the_table_overrides_initiate_send);
	tcase_add_test(tc, the_table_overrides_handle_accepted);
	tcase_add_test(tc, the_table_overrides_send);
	tcase_add_test(tc, the_table_overrides_recv);
	tcase_add_test(tc, the_table_overrides_add_channel);
	tcase_add_test(tc, the_table_overrides_del_channel);
	tcase_add_test(tc, the_table_overrides_log);
	tcase_add_test(tc, the_table_overrides_log_info);
	tcase_add_test(tc, the_table_overrides_repr);
	tcase_add_test(tc, initiate_send_of_a_class_without_output_is_not_supported);
	tcase_add_test(tc, a_method_can_be_called_on_a_closed_channel);
	tcase_add_loop_test(tc, no_method_can_be_called_on_nothing, 0, PLAIN_METHODS);
	tcase_add_test(tc, no_method_with_arguments_can_be_called_on_nothing);
	tcase_add_test(tc, the_bodies_with_output_refuse_a_class_without);
}

/* --- the library itself calls through the table ----------------------------------------- */

/* Overrides that leave a word in the trace, and call up. */

static int say_add_channel(struct asyncore_dispatcher *self, struct asyncore_map *map)
{
	trace_call("add_channel ");
	return asyncore_dispatcher_add_channel(self, map);
}

static int say_del_channel(struct asyncore_dispatcher *self, struct asyncore_map *map)
{
	trace_call("del_channel ");
	return asyncore_dispatcher_del_channel(self, map);
}

static int say_close(struct asyncore_dispatcher *self)
{
	trace_call("close ");
	return asyncore_dispatcher_close(self);
}

static int say_handle_close(struct asyncore_dispatcher *self)
{
	trace_call("handle_close ");
	return asyncore_dispatcher_handle_close(self);
}

static int say_log_info(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	(void)self, (void)message;
	trace_call("log_info(%s) ", type);
	return 0;
}

static int say_repr(struct asyncore_dispatcher *self, char *buffer, size_t size)
{
	trace_call("repr ");
	return asyncore_dispatcher_repr(self, buffer, size);
}

static int say_read_event(struct asyncore_dispatcher *self)
{
	trace_call("handle_read_event ");
	return asyncore_dispatcher_handle_read_event(self);
}

static int say_write_event(struct asyncore_dispatcher *self)
{
	trace_call("handle_write_event ");
	return asyncore_dispatcher_handle_write_event(self);
}

static int say_expt_event(struct asyncore_dispatcher *self)
{
	trace_call("handle_expt_event ");
	return asyncore_dispatcher_handle_expt_event(self);
}

static int say_connect_event(struct asyncore_dispatcher *self)
{
	trace_call("handle_connect_event ");
	return asyncore_dispatcher_handle_connect_event(self);
}

static int say_recv(struct asyncore_dispatcher *self, void *buffer, size_t len)
{
	trace_call("recv ");
	return asyncore_dispatcher_recv(self, buffer, len);
}

static const struct asyncore_dispatcher_type talker = {
	.base = &probe_type,
	.handle_close = say_handle_close,
	.handle_error = asyncore_dispatcher_handle_error,
	.handle_read_event = say_read_event,
	.handle_write_event = say_write_event,
	.handle_expt_event = say_expt_event,
	.handle_connect_event = say_connect_event,
	.recv = say_recv,
	.close = say_close,
	.add_channel = say_add_channel,
	.del_channel = say_del_channel,
	.log_info = say_log_info,
	.repr = say_repr,
};

static struct probe *talker_on(int fd)
{
	struct probe *p = probe_new_typed(&talker, fd, NULL);

	trace[0] = '\0';
	return p;
}

START_TEST(create_socket_calls_add_channel_of_the_class)
{
	struct probe *p = talker_on(-1);

	asyncore_create_socket(&p->dispatcher, AF_UNIX, SOCK_STREAM);
	ck_assert_str_eq(trace, "add_channel ");
	asyncore_close(&p->dispatcher);
}
END_TEST

START_TEST(init_calls_add_channel_of_the_class)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = probe_new_typed(&talker, fd[0], NULL);
	ck_assert_str_eq(trace, "add_channel ");
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(close_calls_del_channel_of_the_class)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = talker_on(fd[0]);
	asyncore_close(&p->dispatcher);
	ck_assert_str_eq(trace, "close del_channel ");
	close(fd[1]);
}
END_TEST

START_TEST(close_all_calls_close_of_the_class)
{
	int fd[2];

	unix_pair(fd);
	talker_on(fd[0]);
	ck_assert_int_eq(asyncore_close_all(NULL, false), 0);
	ck_assert_str_eq(trace, "close del_channel ");
	close(fd[1]);
}
END_TEST

START_TEST(the_end_of_the_file_goes_through_the_methods_of_the_class)
{
	int fd[2];

	unix_pair(fd);
	talker_on(fd[0]);
	close(fd[1]);
	step(NULL);
	ck_assert_str_eq(trace, "handle_read_event read 1 recv handle_close log_info(warning) "
				"close del_channel ");
}
END_TEST

static int fails(struct probe *p)
{
	(void)p;
	return -EIO;
}

START_TEST(an_error_goes_through_the_methods_of_the_class)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	put(fd[1], "x", 1);
	p = talker_on(fd[0]);
	p->on_read = fails;
	step(NULL);
	ck_assert_str_eq(trace, "handle_read_event read 1 repr log_info(error) handle_close "
				"log_info(warning) close del_channel ");
	close(fd[1]);
}
END_TEST

START_TEST(a_connection_goes_through_the_methods_of_the_class)
{
	int port, listener = tcp_listener(&port);
	struct probe *p = talker_on(-1);

	asyncore_create_socket(&p->dispatcher, AF_INET, SOCK_STREAM);
	p->wants_write = 1;
	asyncore_connect(&p->dispatcher, "127.0.0.1", port);
	trace[0] = '\0';
	run_until(p->writes > 0, NULL);
	ck_assert_str_eq(trace, "handle_write_event handle_connect_event connect 1 write 1 ");
	asyncore_close(&p->dispatcher);
	close(listener);
}
END_TEST

START_TEST(urgent_data_goes_through_the_methods_of_the_class)
{
	struct probe *p;
	int fd[2];

	tcp_pair(fd);
	p = talker_on(fd[0]);
	p->wants_read = 0;
	p->wants_write = 1;
	ck_assert_int_eq(send(fd[1], "!", 1, MSG_OOB), 1);
	run_until(p->expts > 0, NULL);
	ck_assert_ptr_nonnull(strstr(trace, "handle_expt_event expt 1 "));
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

START_TEST(the_exported_bodies_call_the_methods_of_the_class)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	p = talker_on(fd[0]);
	ck_assert_int_eq(asyncore_dispatcher_handle_read_event(&p->dispatcher), -EAGAIN);
	ck_assert_str_eq(trace, "read 1 recv ");
	trace[0] = '\0';
	ck_assert_int_eq(asyncore_dispatcher_handle_write_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "write 1 ");
	trace[0] = '\0';
	ck_assert_int_eq(asyncore_dispatcher_handle_expt_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "expt 1 ");
	trace[0] = '\0';
	ck_assert_int_eq(asyncore_dispatcher_handle_connect_event(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "connect 1 ");
	trace[0] = '\0';
	ck_assert_int_eq(asyncore_dispatcher_handle_close(&p->dispatcher), 0);
	ck_assert_str_eq(trace, "log_info(warning) close del_channel ");
	close(fd[1]);
}
END_TEST

static int leaves(struct asyncore_dispatcher *self)
{
	(void)self;
	return ASYNCORE_EXIT_NOW;
}

static const struct asyncore_dispatcher_type leaver = {
	.base = &probe_type,
	.handle_write = leaves,
};

static int drop_result_of_handle_write(struct probe *p)
{
	asyncore_handle_write(&p->dispatcher);
	return 0;
}

START_TEST(exit_now_of_a_method_is_not_lost_when_the_caller_drops_it)
{
	struct probe *p;
	int fd[2];

	unix_pair(fd);
	put(fd[1], "x", 1);
	p = probe_new_typed(&leaver, fd[0], NULL);
	p->on_read = drop_result_of_handle_write;
	ck_assert_int_eq(asyncore_poll(0.0, NULL), ASYNCORE_EXIT_NOW);
	ck_assert_int_eq(p->errors, 0);
	asyncore_close(&p->dispatcher);
	close(fd[1]);
}
END_TEST

static void add_library(Suite *suite)
{
	TCase *tc = suite_case(suite, "calls of the library");

	tcase_add_test(tc, create_socket_calls_add_channel_of_the_class);
	tcase_add_test(tc, init_calls_add_channel_of_the_class);
	tcase_add_test(tc, close_calls_del_channel_of_the_class);
	tcase_add_test(tc, close_all_calls_close_of_the_class);
	tcase_add_test(tc, the_end_of_the_file_goes_through_the_methods_of_the_class);
	tcase_add_test(tc, an_error_goes_through_the_methods_of_the_class);
	tcase_add_test(tc, a_connection_goes_through_the_methods_of_the_class);
	tcase_add_test(tc, urgent_data_goes_through_the_methods_of_the_class);
	tcase_add_test(tc, the_exported_bodies_call_the_methods_of_the_class);
	tcase_add_test(tc, exit_now_of_a_method_is_not_lost_when_the_caller_drops_it);
}

/* --- inheritance ------------------------------------------------------------------------ */

/* Three levels.  Each says its name and calls up. */

static int top_read(struct asyncore_dispatcher *self)
{
	trace_call("top ");
	return asyncore_dispatcher_handle_read(self);
}

static int middle_read(struct asyncore_dispatcher *self)
{
	trace_call("middle ");
	return top_read(self);
}

static int bottom_read(struct asyncore_dispatcher *self)
{
	trace_call("bottom ");
	return middle_read(self);
}

static int top_write(struct asyncore_dispatcher *self)
{
	(void)self;
	trace_call("top ");
	return 0;
}

static int middle_expt(struct asyncore_dispatcher *self)
{
	(void)self;
	trace_call("middle ");
	return 0;
}

static const struct asyncore_dispatcher_type top = {
	.base = &asyncore_dispatcher_type,
	.name = "top",
	.handle_read = top_read,
	.handle_write = top_write,
	.handle_expt = top_write,
	.log_info = say_log_info,
	.ac_in_buffer_size = 100,
};

static const struct asyncore_dispatcher_type middle = {
	.base = &top,
	.handle_read = middle_read,
	.handle_expt = middle_expt,
	.ac_out_buffer_size = 200,
};

static const struct asyncore_dispatcher_type bottom = {
	.base = &middle,
	.name = "bottom",
	.handle_read = bottom_read,
	.ac_in_buffer_size = 300,
};

START_TEST(every_level_can_call_up)
{
	make(&bottom);
	ck_assert_int_eq(asyncore_handle_read(&object), 0);
	ck_assert_str_eq(trace, "bottom middle top log_info(warning) ");
	dispose_of_object();
}
END_TEST

START_TEST(a_null_slot_inherits_from_the_nearest_level_that_has_one)
{
	make(&bottom);
	asyncore_handle_write(&object);
	asyncore_handle_expt(&object);
	ck_assert_str_eq(trace, "top middle ");
	dispose_of_object();
}
END_TEST

START_TEST(a_slot_that_no_level_has_is_the_base_classs)
{
	make(&bottom);
	asyncore_handle_connect(&object);
	ck_assert_str_eq(trace, "log_info(warning) ");
	ck_assert_int_eq(asyncore_readable(&object), 1);
	ck_assert_int_eq(asyncore_writable(&object), 1);
	dispose_of_object();
}
END_TEST

START_TEST(a_parent_is_a_class_of_its_own)
{
	make(&top);
	asyncore_handle_read(&object);
	ck_assert_str_eq(trace, "top log_info(warning) ");
	dispose_of_object();
}
END_TEST

static void assert_named(const struct asyncore_dispatcher_type *type, const char *name)
{
	char repr[128], start[64];

	make(type);
	asyncore_repr(&object, repr, sizeof repr);
	snprintf(start, sizeof start, "<%s at ", name);
	ck_assert_int_eq(strncmp(repr, start, strlen(start)), 0);
	dispose_of_object();
}

START_TEST(names_are_inherited)
{
	assert_named(&top, "top");
	assert_named(&middle, "top");
	assert_named(&bottom, "bottom");
}
END_TEST

START_TEST(the_object_knows_its_own_type)
{
	make(&bottom);
	ck_assert_ptr_eq(object.type, &bottom);
	dispose_of_object();
}
END_TEST

static const struct methods *resolve(const struct asyncore_dispatcher_type *type)
{
	int error = 0;
	const struct methods *m = methods_of(type, &asyncore_dispatcher_type, &error);

	ck_assert_ptr_nonnull(m);
	return m;
}

START_TEST(a_class_is_resolved_once)
{
	ck_assert_ptr_eq(resolve(&bottom), resolve(&bottom));
	ck_assert_ptr_ne(resolve(&bottom), resolve(&middle));
}
END_TEST

START_TEST(buffer_sizes_are_inherited_one_by_one)
{
	ck_assert_uint_eq(resolve(&asyncore_dispatcher_type)->slot.ac_in_buffer_size, 4096);
	ck_assert_uint_eq(resolve(&asyncore_dispatcher_type)->slot.ac_out_buffer_size, 4096);
	ck_assert_uint_eq(resolve(&middle)->slot.ac_in_buffer_size, 100);
	ck_assert_uint_eq(resolve(&middle)->slot.ac_out_buffer_size, 200);
	ck_assert_uint_eq(resolve(&bottom)->slot.ac_in_buffer_size, 300);
	ck_assert_uint_eq(resolve(&bottom)->slot.ac_out_buffer_size, 200);
}
END_TEST

static const struct asyncore_dispatcher_type batching = {
	.base = &probe_type,
	.flags = ASYNCORE_ACCEPT_BATCH,
};

static const struct asyncore_dispatcher_type raising_too = {
	.base = &batching,
	.flags = ASYNCORE_ACCEPT_RAISES,
};

START_TEST(flags_accumulate)
{
	ck_assert_uint_eq(resolve(&raising_too)->slot.flags &
				  (ASYNCORE_ACCEPT_BATCH | ASYNCORE_ACCEPT_RAISES |
				   ASYNCORE_CONNECT_EXPT),
			  ASYNCORE_ACCEPT_BATCH | ASYNCORE_ACCEPT_RAISES);
}
END_TEST

/* A readable() that counts, declared stable by the table that supplies it. */
static int asked;

static int count_readable(struct asyncore_dispatcher *self)
{
	(void)self;
	asked++;
	return 1;
}

static int never(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static const struct asyncore_dispatcher_type stable = {
	.base = &asyncore_dispatcher_type,
	.flags = ASYNCORE_PREDICATES_STABLE,
	.readable = count_readable,
	.writable = never,
};

static const struct asyncore_dispatcher_type stable_heir = { .base = &stable };

static const struct asyncore_dispatcher_type unstable_child = {
	.base = &stable,
	.readable = count_readable,
};

/* How often readable() is asked in three passes in which nothing happens. */
static int times_asked(const struct asyncore_dispatcher_type *type)
{
	int fd[2], i, before;

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&object, type, fd[0], NULL), 0);
	step(NULL);
	before = asked;
	for (i = 0; i < 3; i++)
		step(NULL);
	dispose_of_object();
	close(fd[1]);
	return asked - before;
}

START_TEST(a_child_inherits_predicates_with_what_their_table_says_of_them)
{
	ck_assert_int_eq(times_asked(&stable), 0);
	ck_assert_int_eq(times_asked(&stable_heir), 0);
}
END_TEST

START_TEST(flags_of_a_parent_do_not_speak_for_the_predicates_of_a_child)
{
	ck_assert_int_eq(times_asked(&unstable_child), 3);
}
END_TEST

START_TEST(a_deep_chain_inherits_from_its_far_end)
{
	static struct asyncore_dispatcher_type level[40];
	size_t i;

	level[0] = (struct asyncore_dispatcher_type){ .base = &top, .name = "level" };
	for (i = 1; i < 40; i++)
		level[i] = (struct asyncore_dispatcher_type){ .base = &level[i - 1] };
	make(&level[39]);
	asyncore_handle_write(&object);
	ck_assert_str_eq(trace, "top ");
	dispose_of_object();
	assert_named(&level[39], "level");
}
END_TEST

static void add_inheritance(Suite *suite)
{
	TCase *tc = suite_case(suite, "inheritance");

	tcase_add_test(tc, every_level_can_call_up);
	tcase_add_test(tc, a_null_slot_inherits_from_the_nearest_level_that_has_one);
	tcase_add_test(tc, a_slot_that_no_level_has_is_the_base_classs);
	tcase_add_test(tc, a_parent_is_a_class_of_its_own);
	tcase_add_test(tc, names_are_inherited);
	tcase_add_test(tc, the_object_knows_its_own_type);
	tcase_add_test(tc, a_class_is_resolved_once);
	tcase_add_test(tc, buffer_sizes_are_inherited_one_by_one);
	tcase_add_test(tc, flags_accumulate);
	tcase_add_test(tc, a_child_inherits_predicates_with_what_their_table_says_of_them);
	tcase_add_test(tc, flags_of_a_parent_do_not_speak_for_the_predicates_of_a_child);
	tcase_add_test(tc, a_deep_chain_inherits_from_its_far_end);
}

/* --- chains that are refused ------------------------------------------------------------ */

/* Refused, and the descriptor is as before. */
static void assert_refused(const struct asyncore_dispatcher_type *type)
{
	struct asyncore_dispatcher d;
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&d, type, fd[0], NULL), -EINVAL);
	ck_assert_ptr_null(d.channel);
	put(fd[0], "x", 1);
	close(fd[0]);
	close(fd[1]);
}

START_TEST(no_type_is_refused)
{
	assert_refused(NULL);
}
END_TEST

START_TEST(a_chain_without_the_base_class_is_refused)
{
	static const struct asyncore_dispatcher_type alone = { .name = "alone" };
	static const struct asyncore_dispatcher_type child = { .base = &alone };

	assert_refused(&alone);
	assert_refused(&child);
}
END_TEST

START_TEST(a_class_that_is_its_own_parent_is_refused)
{
	static struct asyncore_dispatcher_type self = { .base = &self };

	assert_refused(&self);
}
END_TEST

START_TEST(a_ring_of_classes_is_refused)
{
	static struct asyncore_dispatcher_type one, two = { .base = &one };

	one.base = &two;
	assert_refused(&one);
	assert_refused(&two);
}
END_TEST

START_TEST(a_class_that_leads_into_a_ring_is_refused)
{
	static struct asyncore_dispatcher_type ring = { .base = &ring };
	static const struct asyncore_dispatcher_type child = { .base = &ring };

	assert_refused(&child);
}
END_TEST

START_TEST(dispatcher_with_send_refuses_a_plain_class)
{
	struct asyncore_dispatcher_with_send d;

	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &asyncore_dispatcher_type, -1,
							    NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &top, -1, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &asyncore_file_dispatcher_type,
							    -1, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, NULL, -1, NULL), -EINVAL);
}
END_TEST

START_TEST(dispatcher_with_send_takes_a_class_derived_from_it)
{
	static const struct asyncore_dispatcher_type derived = {
		.base = &asyncore_dispatcher_with_send_type,
	};
	static struct asyncore_dispatcher_with_send d;

	ck_assert_int_eq(asyncore_dispatcher_with_send_init(&d, &derived, -1, NULL), 0);
	ck_assert_int_eq(asyncore_close(&d.dispatcher), 0);
}
END_TEST

START_TEST(file_dispatcher_refuses_a_plain_class)
{
	struct asyncore_file_dispatcher d;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &asyncore_dispatcher_type, fd[0], NULL),
			 -EINVAL);
	ck_assert_int_eq(asyncore_file_dispatcher_init(&d, &top, fd[0], NULL), -EINVAL);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(init_of_nothing_is_refused)
{
	ck_assert_int_eq(asyncore_dispatcher_init(NULL, &asyncore_dispatcher_type, -1, NULL),
			 -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_with_send_init(NULL,
			 &asyncore_dispatcher_with_send_type, -1, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_file_dispatcher_init(NULL, &asyncore_file_dispatcher_type, 0,
						       NULL), -EINVAL);
}
END_TEST

START_TEST(an_object_whose_init_failed_can_be_initialised_again)
{
	ck_assert_int_eq(asyncore_dispatcher_init(&object, NULL, -1, NULL), -EINVAL);
	ck_assert_int_eq(asyncore_dispatcher_init(&object, &top, 1 << 20, NULL), -EBADF);
	make(&top);
	dispose_of_object();
}
END_TEST

static void add_refused(Suite *suite)
{
	TCase *tc = suite_case(suite, "refused");

	tcase_add_test(tc, no_type_is_refused);
	tcase_add_test(tc, a_chain_without_the_base_class_is_refused);
	tcase_add_test(tc, a_class_that_is_its_own_parent_is_refused);
	tcase_add_test(tc, a_ring_of_classes_is_refused);
	tcase_add_test(tc, a_class_that_leads_into_a_ring_is_refused);
	tcase_add_test(tc, dispatcher_with_send_refuses_a_plain_class);
	tcase_add_test(tc, dispatcher_with_send_takes_a_class_derived_from_it);
	tcase_add_test(tc, file_dispatcher_refuses_a_plain_class);
	tcase_add_test(tc, init_of_nothing_is_refused);
	tcase_add_test(tc, an_object_whose_init_failed_can_be_initialised_again);
}

/* --- the end of an object --------------------------------------------------------------- */

static void top_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	trace_call("top ");
}

static void middle_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	trace_call("middle ");
}

static void bottom_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	trace_call("bottom ");
}

static void middle_dealloc(struct asyncore_dispatcher *self)
{
	trace_call("dealloc ");
	free(self);
}

static void other_dealloc(struct asyncore_dispatcher *self)
{
	trace_call("other dealloc ");
	free(self);
}

static const struct asyncore_dispatcher_type top_end = {
	.base = &asyncore_dispatcher_type,
	.dispose = top_dispose,
};

static const struct asyncore_dispatcher_type middle_end = {
	.base = &top_end,
	.dispose = middle_dispose,
	.dealloc = middle_dealloc,
};

static const struct asyncore_dispatcher_type silent_end = { .base = &middle_end };

static const struct asyncore_dispatcher_type bottom_end = {
	.base = &silent_end,
	.dispose = bottom_dispose,
};

static const struct asyncore_dispatcher_type other_end = {
	.base = &bottom_end,
	.dealloc = other_dealloc,
};

static struct asyncore_dispatcher *make_on_heap(const struct asyncore_dispatcher_type *type)
{
	struct asyncore_dispatcher *d = malloc(sizeof *d);

	ck_assert_int_eq(asyncore_dispatcher_init(d, type, -1, NULL), 0);
	return d;
}

START_TEST(dispose_runs_for_every_level_derived_first_and_then_dealloc_once)
{
	asyncore_close(make_on_heap(&bottom_end));
	ck_assert_str_eq(trace, "");
	asyncore_close_all(NULL, true);
	ck_assert_str_eq(trace, "bottom middle top dealloc ");
}
END_TEST

START_TEST(the_most_derived_dealloc_is_the_one)
{
	asyncore_close(make_on_heap(&other_end));
	asyncore_close_all(NULL, true);
	ck_assert_str_eq(trace, "bottom middle top other dealloc ");
}
END_TEST

START_TEST(an_object_without_dealloc_is_left_in_place)
{
	make(&top_end);
	dispose_of_object();
	ck_assert_str_eq(trace, "top ");
	ck_assert_ptr_eq(object.type, &top_end);
}
END_TEST

START_TEST(an_object_that_was_disposed_of_can_be_initialised_again)
{
	make(&top_end);
	dispose_of_object();
	make(&top_end);
	dispose_of_object();
	ck_assert_str_eq(trace, "top top ");
}
END_TEST

START_TEST(an_object_is_disposed_of_once_however_often_it_is_closed)
{
	make(&top_end);
	asyncore_close(&object);
	asyncore_close(&object);
	dispose_of_object();
	asyncore_close_all(NULL, true);
	ck_assert_str_eq(trace, "top ");
}
END_TEST

/* What a dispose hook may see of its channel, and what it may not do. */
static void look_around(struct asyncore_dispatcher *self)
{
	ck_assert(asyncore_closing(self));
	ck_assert(!asyncore_connected(self));
	ck_assert_int_eq(asyncore_socket(self), -1);
	trace_call("create %d ", asyncore_create_socket(self, AF_UNIX, SOCK_STREAM));
}

static const struct asyncore_dispatcher_type lookers = {
	.base = &asyncore_dispatcher_type,
	.dispose = look_around,
};

START_TEST(dispose_may_read_the_channel_but_cannot_bring_it_back)
{
	char expected[32];
	int fd[2];

	unix_pair(fd);
	ck_assert_int_eq(asyncore_dispatcher_init(&object, &lookers, fd[0], NULL), 0);
	asyncore_set_closing(&object, true);
	dispose_of_object();
	snprintf(expected, sizeof expected, "create %d ", -ESHUTDOWN);
	ck_assert_str_eq(trace, expected);
	close(fd[1]);
}
END_TEST

START_TEST(a_channel_that_only_left_its_map_is_closed_in_the_end)
{
	struct probe *p;
	int fd[2];
	char byte;

	unix_pair(fd);
	p = probe_new(fd[0], NULL);
	asyncore_del_channel(&p->dispatcher, NULL);
	ck_assert_int_eq(probes_disposed, 0);
	asyncore_close_all(NULL, true);
	ck_assert_int_eq(probes_disposed, 1);
	ck_assert_int_eq(read(fd[1], &byte, 1), 0);
	close(fd[1]);
}
END_TEST

static void close_self(struct asyncore_dispatcher *self)
{
	ck_assert_int_eq(asyncore_close(self), 0);
	trace_call("closed ");
}

START_TEST(dispose_may_close_its_channel)
{
	static const struct asyncore_dispatcher_type closers = {
		.base = &top_end,
		.dispose = close_self,
	};

	make(&closers);
	dispose_of_object();
	ck_assert_str_eq(trace, "closed top ");
}
END_TEST

START_TEST(a_failed_init_runs_no_hook)
{
	struct asyncore_dispatcher d;

	ck_assert_int_eq(asyncore_dispatcher_init(&d, &bottom_end, 1 << 20, NULL), -EBADF);
	asyncore_close_all(NULL, true);
	ck_assert_str_eq(trace, "");
}
END_TEST

static void add_end(Suite *suite)
{
	TCase *tc = suite_case(suite, "end");

	tcase_add_test(tc, dispose_runs_for_every_level_derived_first_and_then_dealloc_once);
	tcase_add_test(tc, the_most_derived_dealloc_is_the_one);
	tcase_add_test(tc, an_object_without_dealloc_is_left_in_place);
	tcase_add_test(tc, an_object_that_was_disposed_of_can_be_initialised_again);
	tcase_add_test(tc, an_object_is_disposed_of_once_however_often_it_is_closed);
	tcase_add_test(tc, dispose_may_read_the_channel_but_cannot_bring_it_back);
	tcase_add_test(tc, a_channel_that_only_left_its_map_is_closed_in_the_end);
	tcase_add_test(tc, dispose_may_close_its_channel);
	tcase_add_test(tc, a_failed_init_runs_no_hook);
}

/* --- classes with slots of their own ------------------------------------------------------- */

struct shape_type {
	struct asyncore_dispatcher_type dispatcher;
	int (*draw)(struct asyncore_dispatcher *self);
	const char *colour;
};

static int draw_shape(struct asyncore_dispatcher *self)
{
	ck_assert_ptr_eq(self, &object);
	return 1;
}

static int draw_square(struct asyncore_dispatcher *self)
{
	ck_assert_ptr_eq(self, &object);
	return 2;
}

static const struct shape_type shape = {
	.dispatcher = { .base = &asyncore_dispatcher_type },
	.draw = draw_shape,
};
static const struct shape_type square = {
	.dispatcher = { .base = &shape.dispatcher },
	.draw = draw_square,
};
static const struct shape_type red_square = {
	.dispatcher = { .base = &square.dispatcher },
	.colour = "red",
};

#define TYPE_WITH(slot) ASYNCORE_TYPE_WITH(&object, struct shape_type, slot, &shape.dispatcher)

START_TEST(a_slot_of_a_class_of_ours_is_inherited)
{
	make(&red_square.dispatcher);
	ck_assert_ptr_eq(TYPE_WITH(draw), &square);
	ck_assert_int_eq(TYPE_WITH(draw)->draw(&object), 2);
	ck_assert_ptr_eq(TYPE_WITH(colour), &red_square);
	dispose_of_object();

	make(&shape.dispatcher);
	ck_assert_int_eq(TYPE_WITH(draw)->draw(&object), 1);
	dispose_of_object();
}
END_TEST

START_TEST(a_slot_that_no_class_fills_has_no_table)
{
	make(&square.dispatcher);
	ck_assert_ptr_null(TYPE_WITH(colour));
	dispose_of_object();
}
END_TEST

START_TEST(a_chain_without_the_root_has_no_table)
{
	const size_t draw = offsetof(struct shape_type, draw);

	ck_assert_ptr_null(asyncore_type_with(&asyncore_dispatcher_type, draw, &shape.dispatcher));
	ck_assert_ptr_null(asyncore_type_with(&shape.dispatcher, draw, &square.dispatcher));
	ck_assert_ptr_null(asyncore_type_with(&shape.dispatcher, draw, NULL));
	ck_assert_ptr_null(asyncore_type_with(NULL, draw, &shape.dispatcher));
}
END_TEST

START_TEST(a_class_is_a_subclass_of_itself_and_of_its_bases)
{
	ck_assert(asyncore_issubclass(&red_square.dispatcher, &red_square.dispatcher));
	ck_assert(asyncore_issubclass(&red_square.dispatcher, &shape.dispatcher));
	ck_assert(asyncore_issubclass(&red_square.dispatcher, &asyncore_dispatcher_type));
	ck_assert(!asyncore_issubclass(&shape.dispatcher, &square.dispatcher));
	ck_assert(!asyncore_issubclass(&shape.dispatcher, &asyncore_file_dispatcher_type));
	ck_assert(!asyncore_issubclass(&shape.dispatcher, NULL));
	ck_assert(!asyncore_issubclass(NULL, &shape.dispatcher));
	ck_assert(!asyncore_issubclass(NULL, NULL));
}
END_TEST

static void add_own_slots(Suite *suite)
{
	TCase *tc = suite_case(suite, "own slots");

	tcase_add_test(tc, a_slot_of_a_class_of_ours_is_inherited);
	tcase_add_test(tc, a_slot_that_no_class_fills_has_no_table);
	tcase_add_test(tc, a_chain_without_the_root_has_no_table);
	tcase_add_test(tc, a_class_is_a_subclass_of_itself_and_of_its_bases);
}

static void add_cases(Suite *suite)
{
	add_slots(suite);
	add_library(suite);
	add_inheritance(suite);
	add_refused(suite);
	add_end(suite);
	add_own_slots(suite);
}

SUITE_MAIN("methods", add_cases)
