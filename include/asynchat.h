/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * asynchat.h - Python's asynchat for C: channels that speak in lines, or in blocks, and
 * queue what they have to say.
 *
 * A program sets a terminator, collects the data that collect_incoming_data() is given,
 * and acts when found_terminator() is called.  What it pushes is sent in order, as fast as
 * the peer takes it.
 *
 *	static int line_found(struct async_chat *self)
 *	{
 *		size_t len;
 *		char *line = async_chat_get_data(self, &len);
 *
 *		if (line == NULL)
 *			return -ENOMEM;
 *		async_chat_push(self, line, len);
 *		return async_chat_push(self, "\r\n", 2);
 *	}
 *
 *	static const struct async_chat_type line_type = {
 *		.dispatcher = { .base = &async_chat_type.dispatcher, .name = "line" },
 *		.collect_incoming_data = async_chat_collect_default,
 *		.found_terminator = line_found,
 *	};
 *
 * The conventions are those of asyncore.h: results, errors, owners, threads.
 */

#ifndef ASYNCHAT_H
#define ASYNCHAT_H

#include <asyncore.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct async_chat_state;
struct async_chat_terminator;
struct async_chat_producer;
struct evbuffer;

/*
 * A chat channel: embed it as the first member of your own struct.  It works on sockets
 * and, after asyncore_set_file(), on pipes, ttys and other files.
 * [class asynchat.async_chat]
 */
struct async_chat {
	struct asyncore_dispatcher dispatcher;
	struct async_chat_state *state;		/* private */
};

/* A further flag of a type table: push() sends at once even while the channel's own input
 * is worked off, as Python's does; see async_chat_push(). */
#define ASYNC_CHAT_SEND_AT_ONCE 0x0100u

/*
 * A class of chat channels.  NULL inherits, in both parts; the chain of
 * `dispatcher.base` must lead to async_chat_type.dispatcher, and every table of it before
 * that one must be a struct async_chat_type.
 */
struct async_chat_type {
	struct asyncore_dispatcher_type dispatcher;

	/*
	 * Data has come, never none: a piece of what stands before the terminator, or all of
	 * it.  `data` is valid during the call.  May do anything, but the channel's own
	 * further input waits until it returns.  Negative: it raised; if handle_error() does
	 * not close the channel, the piece comes again, and more with it, at the next read,
	 * unless async_chat_discard_buffers() drops it.  A found_terminator() that belongs to
	 * the piece still follows when the terminator is changed here.
	 */
	int (*collect_incoming_data)(struct async_chat *self, const void *data, size_t len);
	/* The terminator has come (and was taken away), or the count is complete. */
	int (*found_terminator)(struct async_chat *self);
	/* What ends the data now?  Asked before every piece of input. */
	int (*get_terminator)(struct async_chat *self, struct async_chat_terminator *terminator);
	/* The output limit was reached (true), or output fell to the lower mark again. */
	int (*output_limit)(struct async_chat *self, bool reached);

	void (*reserved[8])(void);	/* leave zero */
};

/* The class; its collect_incoming_data and found_terminator raise -ENOSYS. */
ASYNCORE_API extern const struct async_chat_type async_chat_type;

/*
 * Initialise, as asyncore_dispatcher_init(): the chain of `type` must hold
 * async_chat_type.dispatcher.  There is no terminator yet: everything is collected.
 * [asynchat.async_chat(sock, map)]
 */
ASYNCORE_API int async_chat_init(struct async_chat *chat, const struct async_chat_type *type,
				 int fd, struct asyncore_map *map);

/*
 * The sizes for this channel: bytes asked of one recv(), and given to one send(); 0 takes
 * that of the class (4096 unless a table says otherwise).
 * [ac_in_buffer_size, ac_out_buffer_size]
 */
ASYNCORE_API int async_chat_set_buffer_sizes(struct async_chat *chat, size_t in, size_t out);

/* ------------------------------------------------------------------------------- */
/* Input                                                                           */
/* ------------------------------------------------------------------------------- */

/* What ends the data. */
enum async_chat_terminator_kind {
	ASYNC_CHAT_NONE,	/* nothing does: collect all */
	ASYNC_CHAT_BYTES,	/* this string */
	ASYNC_CHAT_COUNT	/* so many bytes */
};

struct async_chat_terminator {
	enum async_chat_terminator_kind kind;
	const void *bytes;	/* valid until the terminator is set again */
	size_t len;		/* of the string; or bytes that are still to come */
};

/*
 * Set what ends the data from now on; also from inside the callbacks, for the rest of the
 * same input.  _terminator: a string of any bytes, which is copied; an empty one is none.
 * _count: a number of bytes; when it is complete found_terminator() is called and, unless
 * that sets another, there is none; 0 is none.  _none: collect everything.
 * Inside collect_incoming_data() a new terminator applies to what follows the piece that is
 * being collected; but, as in Python, a count that is complete with that piece is followed
 * by none, and a count set while another is incomplete is less by the piece.
 * Errors: -EINVAL for a negative count; -ENOMEM.  [set_terminator]
 */
ASYNCORE_API int async_chat_set_terminator(struct async_chat *chat, const void *bytes,
					   size_t len);
ASYNCORE_API int async_chat_set_terminator_count(struct async_chat *chat, ssize_t count);
ASYNCORE_API int async_chat_set_terminator_none(struct async_chat *chat);

/* What is set, asked through the table.  [get_terminator] */
ASYNCORE_API int async_chat_get_terminator(struct async_chat *chat,
					   struct async_chat_terminator *terminator);

/*
 * The default collector, for the slot collect_incoming_data or for calling from one: keep
 * the data until async_chat_get_data().
 * Errors: -EMSGSIZE when more than the limit would be kept, nothing of this piece is;
 * -ENOMEM.  [_collect_incoming_data]
 */
ASYNCORE_API int async_chat_collect_default(struct async_chat *chat, const void *data,
					    size_t len);

/*
 * All that the default collector has kept, with a NUL behind it, and start anew.  Valid
 * until the next byte is collected or async_chat_discard_buffers(); the caller may write to
 * it.  len: NULL if unwanted.
 * NULL for lack of memory, or of a chat.  [_get_data]
 */
ASYNCORE_API char *async_chat_get_data(struct async_chat *chat, size_t *len);

/* The most that the default collector keeps, in bytes; 0, the default, for no limit. */
ASYNCORE_API int async_chat_set_incoming_limit(struct async_chat *chat, size_t limit);

/*
 * Take no more input, for whoever must wait for something (an answer of another server, the
 * end of a slow job) before the next line: nothing is received, and nothing delivered, not even
 * the rest of the same input when a callback pauses it; only the found_terminator() that belongs
 * to a piece being collected still comes.  The channel is not readable(), so the end of the
 * connection shows when the input goes on.  A pause lasts over close() and a new connection.
 *
 * _resume_: go on.  What has waited is worked off in this call, before anything more is
 * received, with handle_error() as in a read event; if a callback of this input is running,
 * when that returns.  Without a pause it does nothing.  Returns 0; ASYNCORE_EXIT_NOW; or what a
 * handle_error() raised.
 * Errors: -EINVAL.  [Python has none: programs overrode readable(), and kept the rest by hand]
 */
ASYNCORE_API int async_chat_pause_input(struct async_chat *chat);
ASYNCORE_API int async_chat_resume_input(struct async_chat *chat);

/* ------------------------------------------------------------------------------- */
/* Output                                                                          */
/* ------------------------------------------------------------------------------- */

/*
 * Queue bytes, and send what the peer takes.  They are copied.
 * Sending happens at once, but for one case: while the channel's own input is worked off
 * (in collect_incoming_data() or found_terminator()) what is pushed is gathered, and goes
 * out when that is done, or before the channel is closed or its descriptor handed out, or
 * before a pass is run.  Same bytes, same order, fewer system calls;
 * ASYNC_CHAT_SEND_AT_ONCE in the table turns it off, async_chat_set_gathering() for one
 * channel.
 * On a channel that is closed or not connected yet the bytes wait.  Sending may call
 * handle_close() and handle_error(), as in Python.  What is pushed is a stream: on a
 * datagram channel pushes may share a message.
 * Errors: -ENOMEM, nothing was queued; what a producer or output_limit raised meanwhile,
 * the bytes are queued then.  [push]
 */
ASYNCORE_API int async_chat_push(struct async_chat *chat, const void *data, size_t len);
ASYNCORE_API int async_chat_set_gathering(struct async_chat *chat, bool gather);

/*
 * The same without copying: keeps a pointer to `data`, which must not change, until
 * release(data, len, arg) is called: once, when it was sent or discarded, or when this fails.
 * release: NULL for memory that lives on.
 */
ASYNCORE_API int async_chat_push_reference(struct async_chat *chat, const void *data, size_t len,
					   void (*release)(const void *data, size_t len, void *arg),
					   void *arg);

/*
 * Queue a producer, which is asked for data when its turn comes.  Takes it, also when this
 * fails: its release is called exactly once.
 * Errors: -ENOMEM; what more() raised, if it was asked at once (otherwise handle_error() is
 * called).  [push_with_producer]
 */
ASYNCORE_API int async_chat_push_with_producer(struct async_chat *chat,
					       struct async_chat_producer *producer);

/* A producer that had nothing yet may have something now: ask it again.  No error when
 * none waits. */
ASYNCORE_API int async_chat_resume(struct async_chat *chat);

/* Close the channel (through handle_close()) when everything queued so far was sent; at the
 * next write event, if nothing is queued nor gathered.  [close_when_done] */
ASYNCORE_API int async_chat_close_when_done(struct async_chat *chat);

/* Forget all input not delivered yet, all data kept by the default collector and all
 * output that could not be sent yet; releases run.  [discard_buffers] */
ASYNCORE_API int async_chat_discard_buffers(struct async_chat *chat);

/* The number of entries in the queue (runs of copied bytes, references, producers, the
 * close mark), and of bytes in it that no producer has yet to make; 0 for NULL.
 * [len(producer_fifo)] */
ASYNCORE_API size_t async_chat_output_entries(const struct async_chat *chat);
ASYNCORE_API size_t async_chat_output_bytes(const struct async_chat *chat);

/*
 * Say so through the slot output_limit when more than `high` bytes wait, and again when no
 * more than `low` do.  Nothing is refused: a program pauses who makes the output.
 * What a producer has yet to make does not count.
 * high 0, the default: never.  Errors: -EINVAL for low > high.
 */
ASYNCORE_API int async_chat_set_output_limit(struct async_chat *chat, size_t high, size_t low);

/* ------------------------------------------------------------------------------- */
/* The bodies, for calling up                                                       */
/* ------------------------------------------------------------------------------- */

/* What async_chat makes of the methods of a dispatcher.
 * [asynchat.async_chat.handle_read(self) ...] */
ASYNCORE_API int async_chat_readable(struct asyncore_dispatcher *d);
/* Something waits to be sent, or it is not connected yet. */
ASYNCORE_API int async_chat_writable(struct asyncore_dispatcher *d);
/* One recv(), and the input machine. */
ASYNCORE_API int async_chat_handle_read(struct asyncore_dispatcher *d);
ASYNCORE_API int async_chat_handle_write(struct asyncore_dispatcher *d);
ASYNCORE_API int async_chat_handle_close(struct asyncore_dispatcher *d);
/* One send() of at most ac_out_buffer_size bytes from the head of the queue. */
ASYNCORE_API int async_chat_initiate_send(struct asyncore_dispatcher *d);
/* The body of the slot get_terminator. */
ASYNCORE_API int async_chat_get_terminator_default(struct async_chat *chat,
						   struct async_chat_terminator *terminator);

/* ------------------------------------------------------------------------------- */
/* Producers                                                                       */
/* ------------------------------------------------------------------------------- */

/* A result of more(): nothing yet; async_chat_resume() asks again. */
#define ASYNC_CHAT_NOT_YET (-0x10001)

struct async_chat_producer_type {
	/*
	 * Give data: *data and *len, at least one byte, valid until the next call of more()
	 * or release(); return 1.  Return 0 when finished, ASYNC_CHAT_NOT_YET (or -EAGAIN), or
	 * another negative errno: it has raised, and is done with.
	 */
	int (*more)(struct async_chat_producer *self, const void **data, size_t *len);
	/* The end, called exactly once: used up, discarded, failed, or its channel disposed
	 * of.  May be NULL. */
	void (*release)(struct async_chat_producer *self);

	void (*reserved[4])(void);	/* leave zero */
};

/* A producer: embed it as the first member of your own struct. */
struct async_chat_producer {
	const struct async_chat_producer_type *type;
};

/*
 * Producers of the library's own; NULL for lack of memory, or for what is no data, file or
 * buffer.
 * simple: a copy of `data`, in pieces of buffer_size bytes (0: 512, as Python's).
 * file: `length` bytes of a file from `offset` on, or with length -1 all that follows.  Takes
 * fd when it succeeds; where the file and the channel allow, the kernel moves the data
 * (sendfile).  A file that ends early ends the producer.  It needs offsets: a pipe raises
 * -ESPIPE.
 * evbuffer: what is in libevent's `buffer`, which it takes when it succeeds.
 * [simple_producer]
 */
ASYNCORE_API struct async_chat_producer *
async_chat_simple_producer_new(const void *data, size_t len, size_t buffer_size);
ASYNCORE_API struct async_chat_producer *
async_chat_file_producer_new(int fd, long long offset, long long length);
ASYNCORE_API struct async_chat_producer *
async_chat_evbuffer_producer_new(struct evbuffer *buffer);

/* Ask a producer directly / give it back: for producers that wrap others, and for who did
 * not push it. */
ASYNCORE_API int async_chat_producer_more(struct async_chat_producer *producer,
					  const void **data, size_t *len);
ASYNCORE_API void async_chat_producer_release(struct async_chat_producer *producer);

/*
 * The length of the longest prefix of `needle` (but not all of it) with which `haystack`
 * ends.  Linear.  0 for NULL.  Any thread.  [asynchat.find_prefix_at_end]
 */
ASYNCORE_API size_t asynchat_find_prefix_at_end(const void *haystack, size_t haystack_len,
						const void *needle, size_t needle_len);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCHAT_H */
