/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fuzz_chat.c - the machine of async_chat against a naive one.
 *
 * The script is run twice: through a transcription of CPython's handle_read(), which keeps
 * its input in one flat array and searches it byte by byte, and through async_chat.  Both
 * take their decisions (what is received, what a callback does) from the front of the same
 * script when they come to them, so the lists of what was called must be equal.
 *
 * Output is checked as it is sent: against a list of all that was queued and neither sent
 * nor discarded yet.  What send() does is decided from the back of the script, because
 * CPython and gathered output send at other times.
 */

#include "fuzz.h"

#include <asynchat.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAID = 1 << 18, INPUT = 1 << 16, LONGEST = 24, DEEPEST = 6 };

enum kind { NONE, COUNT, BYTES };

struct terminator {
	enum kind kind;
	size_t count;		/* of COUNT, or the length of BYTES */
	unsigned char bytes[LONGEST];
};

/* --- what was called ---------------------------------------------------------------- */

struct said {
	size_t len;
	unsigned char bytes[SAID];
};

static struct said expected, seen;

static void say(struct said *s, char what, const void *data, size_t len)
{
	uint32_t n = (uint32_t)len;

	must(s->len + 1 + sizeof n + len <= SAID);
	s->bytes[s->len++] = (unsigned char)what;
	memcpy(s->bytes + s->len, &n, sizeof n);
	s->len += sizeof n;
	if (len > 0)
		memcpy(s->bytes + s->len, data, len);
	s->len += len;
}

static void show(const char *who, const struct said *s)
{
	size_t at = 0, i;
	uint32_t n;

	fprintf(stderr, "%s:", who);
	while (at < s->len) {
		fprintf(stderr, " %c", s->bytes[at++]);
		memcpy(&n, s->bytes + at, sizeof n);
		at += sizeof n;
		for (i = 0; i < n; i++)
			fprintf(stderr, "%02x", s->bytes[at + i]);
		at += n;
	}
	fprintf(stderr, "\n");
}

/* --- decisions ---------------------------------------------------------------------- */

/* How the script is to be read. */
struct options {
	bool few_letters;	/* map bytes to a and b: terminators that overlap */
	bool overrides_get, gathers, references;
	size_t in_size, out_size;
};

enum action { NOTHING, SET, PUSH, AGAIN, DISCARD, RAISE, CLOSE, REOPEN };

/* From which callback; what each may do is what has a meaning in CPython. */
enum callback { FOUND, COLLECT, GET };

static const struct options *options;

static unsigned char letter(struct script *s)
{
	unsigned byte = script_next(s);

	return options->few_letters ? "ab"[byte & 1] : (unsigned char)byte;
}

static struct terminator read_terminator(struct script *s)
{
	struct terminator t = { NONE, 0, { 0 } };
	unsigned what = script_next(s);
	size_t i, period;

	if (what < 16)
		return t;
	if (what < 80) {
		t.kind = COUNT;
		t.count = what < 70 ? what % 9 : what;
	} else {
		t.kind = BYTES;
		t.count = what < 220 ? 1 + what % 4 : 1 + what % LONGEST;
		/* Every other one overlaps itself. */
		period = what & 4 ? 1 + what % 3 : t.count;
		for (i = 0; i < t.count; i++)
			t.bytes[i] = i < period ? letter(s) : t.bytes[i - period];
	}
	if (t.count == 0)
		t.kind = NONE;
	return t;
}

static enum action read_action(struct script *s, enum callback callback)
{
	unsigned what = script_next(s);

	if (what < 0x60)
		return NOTHING;
	if (what < 0xb0)
		return SET;
	if (what < 0xc8)
		return PUSH;
	if (what < 0xd8)
		return callback == FOUND ? AGAIN : SET;
	if (what < 0xe4)
		return callback == GET ? NOTHING : DISCARD;
	if (what < 0xf4)
		return RAISE;
	if (what < 0xfc)
		return callback == GET ? NOTHING : CLOSE;
	return callback == FOUND ? REOPEN : NOTHING;
}

/* What one recv() finds: the bytes, or a negative errno. */
static int read_input(struct script *s, unsigned char *buffer, size_t size)
{
	unsigned what;
	size_t len, i;

	if (script_ends(s))
		return -EAGAIN;
	what = script_next(s);
	if (what >= 0xf0)
		return what >= 0xf8 ? -EAGAIN : -EIO;
	len = what % (size + 1);
	for (i = 0; i < len; i++)
		buffer[i] = letter(s);
	return (int)len;
}

/* --- the reference ------------------------------------------------------------------ */

struct reference {
	struct script script;
	struct terminator terminator;
	unsigned char input[INPUT];	/* ac_in_buffer */
	size_t input_len;
	unsigned char kept[INPUT];	/* incoming */
	size_t kept_len;
	bool open;
	unsigned opens;		/* another connection is another number */
	unsigned input_of;
	unsigned depth;
};

static struct reference reference;

static int reference_read(struct reference *r);

static void reference_again(struct reference *r)
{
	if (r->depth < DEEPEST && reference_read(r) < 0)
		say(&expected, 'E', NULL, 0);
}

static int reference_act(struct reference *r, enum callback callback)
{
	enum action action;
	unsigned more = 3;

	do {
		action = read_action(&r->script, callback);
		switch (action) {
		case NOTHING:
			return 0;
		case SET:
			r->terminator = read_terminator(&r->script);
			break;
		case PUSH:
			script_next(&r->script);
			break;
		case AGAIN:
			reference_again(r);
			break;
		case DISCARD:
			r->input_len = r->kept_len = 0;
			break;
		case RAISE:
			return -EPROTO;
		case REOPEN:
		case CLOSE:
			r->open = action == REOPEN;
			r->opens++;
			r->input_len = r->kept_len = 0;
			r->terminator = read_terminator(&r->script);
			return 0;
		}
	} while (--more > 0);
	return 0;
}

static bool reference_goes_on(const struct reference *r, unsigned opens)
{
	return r->open && r->opens == opens;
}

static int reference_collect(struct reference *r, size_t len)
{
	say(&expected, '>', r->input, len);
	must(r->kept_len + len <= INPUT);
	memcpy(r->kept + r->kept_len, r->input, len);
	r->kept_len += len;
	return reference_act(r, COLLECT);
}

static int reference_found(struct reference *r)
{
	say(&expected, 'F', r->kept, r->kept_len);
	r->kept_len = 0;
	return reference_act(r, FOUND);
}

/* ac_in_buffer = ac_in_buffer[len:]; it may have been emptied meanwhile. */
static void reference_take(struct reference *r, size_t len)
{
	if (len > r->input_len)
		len = r->input_len;
	memmove(r->input, r->input + len, r->input_len - len);
	r->input_len -= len;
}

static size_t reference_find(const struct reference *r, const struct terminator *t)
{
	size_t i;

	for (i = 0; i + t->count <= r->input_len; i++)
		if (memcmp(r->input + i, t->bytes, t->count) == 0)
			return i;
	return SIZE_MAX;
}

static size_t reference_prefix(const struct reference *r, const struct terminator *t)
{
	size_t len;

	for (len = t->count - 1; len > 0; len--)
		if (len <= r->input_len &&
		    memcmp(r->input + r->input_len - len, t->bytes, len) == 0)
			break;
	return len;
}

/* One turn of the while loop of CPython's handle_read(); 1 is its break. */
static int reference_piece(struct reference *r, unsigned opens)
{
	struct terminator t;
	size_t len, n;
	int result;

	if (options->overrides_get) {
		say(&expected, 'G', NULL, 0);
		result = reference_act(r, GET);
		if (result < 0)
			return result;
	}
	t = r->terminator;
	len = r->input_len;
	switch (t.kind) {
	case NONE:
		result = reference_collect(r, len);
		if (result >= 0 && reference_goes_on(r, opens))
			reference_take(r, len);
		return result;
	case COUNT:
		n = len < t.count ? len : t.count;
		result = reference_collect(r, n);
		if (result < 0 || !reference_goes_on(r, opens))
			return result;
		reference_take(r, n);
		if (len < t.count) {
			/* Listed differences: never below 0, and another kind is kept. */
			if (r->terminator.kind == COUNT)
				r->terminator.count -= n < r->terminator.count
						       ? n : r->terminator.count;
			if (r->terminator.count == 0)
				r->terminator.kind = NONE;
			return 0;
		}
		r->terminator = (struct terminator){ NONE, 0, { 0 } };
		return reference_found(r);
	case BYTES:
		break;
	}
	n = reference_find(r, &t);
	if (n != SIZE_MAX) {
		if (n > 0) {
			result = reference_collect(r, n);
			if (result < 0 || !reference_goes_on(r, opens))
				return result;
		}
		reference_take(r, n + t.count);
		return reference_found(r);
	}
	n = reference_prefix(r, &t);
	if (len > n) {
		result = reference_collect(r, len - n);
		if (result < 0 || !reference_goes_on(r, opens))
			return result;
		reference_take(r, len - n);
	}
	return n > 0;
}

static int reference_read(struct reference *r)
{
	unsigned char data[256];
	const unsigned opens = r->opens;
	int n, result = 0;

	if (!r->open)
		return 0;
	r->depth++;
	n = read_input(&r->script, data, options->in_size);
	if (n >= 0) {
		must(r->input_len + (size_t)n <= INPUT);
		memcpy(r->input + r->input_len, data, (size_t)n);
		r->input_len += (size_t)n;
		while (r->input_len > 0 && result == 0 && reference_goes_on(r, opens))
			result = reference_piece(r, opens);
	}
	r->depth--;
	return n == -EIO ? n : result < 0 ? result : 0;
}

/* --- what is queued ----------------------------------------------------------------- */

enum { ITEMS = 512, PIECE = 16 };

/* An entry of the output: bytes, or a producer with what it has given already. */
struct item {
	bool is_producer, finished;
	size_t at, len;
	unsigned char bytes[64];
};

static struct item queue[ITEMS];
static size_t queue_first, queue_last;

static unsigned references, releases, producers, producer_releases, closes, closes_due;

struct producer {
	struct async_chat_producer producer;
	struct item *item;	/* NULL once the queue was discarded */
	unsigned left, waits;
	bool raises;
	unsigned char piece[PIECE];
};

static struct producer *live[ITEMS];

struct chat {
	struct async_chat chat;
	struct script script;
	struct terminator terminator;
	unsigned depth, sends, errors;
	unsigned char serial;
	bool draining;
};

static struct script *output_script;

static struct item *queue_add(void)
{
	struct item *item;

	if (queue_last == ITEMS)
		return NULL;
	item = &queue[queue_last++];
	memset(item, 0, sizeof *item);
	return item;
}

static void queue_clear(void)
{
	size_t i;

	for (i = 0; i < ITEMS; i++)
		if (live[i] != NULL)
			live[i]->item = NULL;
	queue_first = queue_last;
}

/* Forget what is done with at the head; true if nothing is left. */
static bool queue_empty(void)
{
	while (queue_first < queue_last && queue[queue_first].at == queue[queue_first].len &&
	       (!queue[queue_first].is_producer || queue[queue_first].finished))
		queue_first++;
	return queue_first == queue_last;
}

/* `len` bytes are offered and `taken` go: they must be the head of what is queued. */
static void queue_sent(const unsigned char *data, size_t len, size_t taken)
{
	struct item *item;
	size_t i = queue_first, at, n;

	while (len > 0) {
		must(i < queue_last);
		item = &queue[i];
		at = item->at;
		n = item->len - at < len ? item->len - at : len;
		must(memcmp(item->bytes + at, data, n) == 0);
		data += n;
		len -= n;
		if (n <= taken) {
			item->at += n;
			taken -= n;
		} else {
			item->at += taken;
			taken = 0;
		}
		/* Nothing may overtake a producer that has more to give. */
		must(len == 0 || !item->is_producer || item->finished);
		i++;
	}
	queue_empty();
}

static int producer_more(struct async_chat_producer *self, const void **data, size_t *len)
{
	struct producer *p = (struct producer *)self;
	size_t i;

	must(p->item != NULL && !p->item->finished);
	/* It is its turn: all before it are done with. */
	if (p->waits > 0) {
		p->waits--;
		return ASYNC_CHAT_NOT_YET;
	}
	if (p->left == 0) {
		p->item->finished = true;
		return p->raises ? -EPIPE : 0;
	}
	*len = 1 + p->left % PIECE;
	p->left--;
	if (p->item->len + *len > sizeof p->item->bytes) {
		p->item->finished = true;
		return 0;
	}
	for (i = 0; i < *len; i++)
		p->piece[i] = (unsigned char)(p->left * 37 + i);
	memcpy(p->item->bytes + p->item->len, p->piece, *len);
	p->item->len += *len;
	*data = p->piece;
	return 1;
}

static void producer_release(struct async_chat_producer *self)
{
	struct producer *p = (struct producer *)self;
	size_t i;

	if (p->item != NULL)
		p->item->finished = true;
	for (i = 0; i < ITEMS; i++)
		if (live[i] == p)
			live[i] = NULL;
	producer_releases++;
	free(p);
}

static const struct async_chat_producer_type producer_type = {
	.more = producer_more,
	.release = producer_release,
};

static void released(const void *data, size_t len, void *arg)
{
	must(len > 0 && arg == &releases);
	releases++;
	free((void *)data);
}

static void push_producer(struct chat *chat, unsigned what)
{
	struct producer *p = calloc(1, sizeof *p);
	size_t i = 0;

	must(p != NULL);
	p->item = queue_add();
	if (p->item == NULL) {
		free(p);
		return;
	}
	p->item->is_producer = true;
	p->producer.type = &producer_type;
	p->left = what & 3;
	p->waits = what >> 2 & 1;
	p->raises = what >> 3 & 1;
	while (live[i] != NULL)
		i++;
	live[i] = p;
	producers++;
	async_chat_push_with_producer(&chat->chat, &p->producer);
}

static void push(struct chat *chat, unsigned what)
{
	size_t len = what & 31, i;
	struct item *item;
	unsigned char *copy;
	int r;

	/* -EPIPE is what a producer before this in the queue raised. */
	if (what >= 0xe0) {
		push_producer(chat, what);
		return;
	}
	item = queue_add();
	if (item == NULL)
		return;
	item->len = len;
	for (i = 0; i < len; i++)
		item->bytes[i] = chat->serial++;
	if (!options->references || len == 0) {
		r = async_chat_push(&chat->chat, item->bytes, len);
		must(r >= 0 || r == -EPIPE);
		return;
	}
	copy = malloc(len);
	must(copy != NULL);
	memcpy(copy, item->bytes, len);
	references++;
	r = async_chat_push_reference(&chat->chat, copy, len, released, &releases);
	must(r >= 0 || r == -EPIPE);
}

/* --- async_chat --------------------------------------------------------------------- */

static void set_terminator(struct chat *chat, const struct terminator *t)
{
	unsigned char *copy;

	switch (t->kind) {
	case NONE:
		must(async_chat_set_terminator_none(&chat->chat) == 0);
		break;
	case COUNT:
		must(async_chat_set_terminator_count(&chat->chat, (ssize_t)t->count) == 0);
		break;
	case BYTES:
		/* It is copied: what was given is gone at once. */
		copy = malloc(t->count);
		must(copy != NULL);
		memcpy(copy, t->bytes, t->count);
		must(async_chat_set_terminator(&chat->chat, copy, t->count) == 0);
		free(copy);
		break;
	}
}

static void read_again(struct chat *chat)
{
	int r;

	if (chat->depth >= DEEPEST)
		return;
	chat->depth++;
	r = asyncore_handle_read(&chat->chat.dispatcher);
	chat->depth--;
	must(r <= 0);
	if (r == -EPROTO || r == -EIO)
		say(&seen, 'E', NULL, 0);
	else
		must(r == 0 || r == -EAGAIN || r == -EPIPE);
}

static void open_again(struct chat *chat)
{
	must(asyncore_create_socket(&chat->chat.dispatcher, AF_UNIX, SOCK_STREAM) == 0);
	must(asyncore_set_connected(&chat->chat.dispatcher, true) == 0);
}

static int act(struct chat *chat, enum callback callback)
{
	struct terminator t;
	enum action action;
	unsigned more = 3;

	do {
		action = read_action(&chat->script, callback);
		switch (action) {
		case NOTHING:
			return 0;
		case SET:
			t = read_terminator(&chat->script);
			set_terminator(chat, &t);
			break;
		case PUSH:
			push(chat, script_next(&chat->script));
			break;
		case AGAIN:
			read_again(chat);
			break;
		case DISCARD:
			/* What was gathered goes out first. */
			must(async_chat_discard_buffers(&chat->chat) == 0);
			queue_clear();
			break;
		case RAISE:
			return -EPROTO;
		case REOPEN:
		case CLOSE:
			must(asyncore_close(&chat->chat.dispatcher) == 0);
			/* What was kept of the old connection is the program's to drop. */
			async_chat_get_data(&chat->chat, NULL);
			if (action == REOPEN)
				open_again(chat);
			t = read_terminator(&chat->script);
			set_terminator(chat, &t);
			return 0;
		}
	} while (--more > 0);
	return 0;
}

static int chat_collect(struct async_chat *self, const void *data, size_t len)
{
	must(len > 0);
	must(asyncore_socket(&self->dispatcher) >= 0);
	say(&seen, '>', data, len);
	must(async_chat_collect_default(self, data, len) == 0);
	return act((struct chat *)self, COLLECT);
}

static int chat_found(struct async_chat *self)
{
	size_t len;
	const char *data = async_chat_get_data(self, &len);

	must(data != NULL && data[len] == '\0');
	say(&seen, 'F', data, len);
	return act((struct chat *)self, FOUND);
}

static int chat_get(struct async_chat *self, struct async_chat_terminator *terminator)
{
	int r;

	say(&seen, 'G', NULL, 0);
	r = act((struct chat *)self, GET);
	return r < 0 ? r : async_chat_get_terminator_default(self, terminator);
}

static int chat_recv(struct asyncore_dispatcher *d, void *buffer, size_t size)
{
	struct chat *chat = (struct chat *)d;

	must(size == options->in_size);
	/* As the base body; an override is called on a closed channel, too. */
	if (asyncore_socket(d) < 0)
		return 0;
	return read_input(&chat->script, buffer, size);
}

static int chat_send(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	struct chat *chat = (struct chat *)d;
	unsigned what = chat->draining ? 0 : script_last(output_script);
	size_t taken = len;

	must(len > 0 && len <= options->out_size);
	must(asyncore_socket(d) >= 0);
	if (what >= 0xf0) {
		queue_sent(data, len, 0);
		return -ENOBUFS;
	}
	if (what >= 0x80)
		taken = what % (len + 1);
	queue_sent(data, len, taken);
	return (int)taken;
}

static int chat_handle_error(struct asyncore_dispatcher *d)
{
	((struct chat *)d)->errors++;
	return 0;
}

static int chat_handle_close(struct asyncore_dispatcher *d)
{
	closes++;
	/* The close mark comes behind all that was queued before it. */
	must(closes_due > 0 && queue_empty());
	return asyncore_close(d);
}

static void chat_dispose(struct asyncore_dispatcher *d)
{
	must(d != NULL);
}

static const struct async_chat_type type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "fuzzed",
		.recv = chat_recv,
		.send = chat_send,
		.handle_error = chat_handle_error,
		.handle_close = chat_handle_close,
		.dispose = chat_dispose,
	},
	.collect_incoming_data = chat_collect,
	.found_terminator = chat_found,
};

static const struct async_chat_type type_with_get = {
	.dispatcher = { .base = &type.dispatcher },
	.get_terminator = chat_get,
};

/* All that is queued goes out, in a number of write events that it explains. */
static void drain(struct chat *chat)
{
	struct asyncore_dispatcher *d = &chat->chat.dispatcher;
	unsigned turns = 0;

	if (asyncore_socket(d) < 0)
		open_again(chat);
	chat->draining = true;
	closes_due++;
	must(async_chat_close_when_done(&chat->chat) == 0);
	while (asyncore_socket(d) >= 0) {
		must(turns++ < 8 * ITEMS);
		must(async_chat_output_entries(&chat->chat) > 0);
		/* Not writable: only a producer that is to be resumed may be the reason. */
		if (asyncore_writable(d) == 0) {
			size_t before = async_chat_output_entries(&chat->chat);

			must(before > 1);
			async_chat_resume(&chat->chat);
		}
		asyncore_handle_write(d);
	}
	must(closes == 1);
	must(queue_empty());
	must(async_chat_output_entries(&chat->chat) == 0);
	must(async_chat_output_bytes(&chat->chat) == 0);
}

static void run_reference(struct script script, const struct terminator *first)
{
	struct reference *r = &reference;
	unsigned reads = 0;

	r->script = script;
	r->terminator = *first;
	r->input_len = r->kept_len = 0;
	r->opens = r->depth = 0;
	r->open = true;
	/* A last one with nothing to read from: it shows nothing that is wrong. */
	while (!script_ends(&r->script) && r->open && reads++ < 4096)
		reference_again(r);
	say(&expected, 'T', r->terminator.bytes, r->terminator.kind == BYTES
	    ? r->terminator.count : 0);
	say(&expected, "nct"[r->terminator.kind], NULL, r->terminator.kind == COUNT
	    ? 0 : 0);
	say(&expected, 'K', r->kept, r->kept_len);
}

static void run_chat(struct script script, const struct terminator *first)
{
	static struct chat chat;
	struct async_chat_terminator t;
	unsigned reads = 0;
	const char *data;
	size_t len;
	int r;

	memset(&chat, 0, sizeof chat);
	chat.script = script;
	r = async_chat_init(&chat.chat, options->overrides_get ? &type_with_get : &type, -1, NULL);
	must(r == 0);
	open_again(&chat);
	must(async_chat_set_buffer_sizes(&chat.chat, options->in_size, options->out_size) == 0);
	must(async_chat_set_gathering(&chat.chat, options->gathers) == 0);
	set_terminator(&chat, first);
	while (!script_ends(&chat.script) && asyncore_socket(&chat.chat.dispatcher) >= 0 &&
	       reads++ < 4096)
		read_again(&chat);
	must(async_chat_get_terminator_default(&chat.chat, &t) == 0);
	say(&seen, 'T', t.bytes, t.kind == ASYNC_CHAT_BYTES ? t.len : 0);
	say(&seen, t.kind == ASYNC_CHAT_NONE ? 'n' : t.kind == ASYNC_CHAT_COUNT ? 'c' : 't',
	    NULL, 0);
	data = async_chat_get_data(&chat.chat, &len);
	must(data != NULL);
	say(&seen, 'K', data, len);
	drain(&chat);
	must(asyncore_close_all(NULL, false) == 0);
	must(chat.chat.dispatcher.channel == NULL);
	must(references == releases && producers == producer_releases);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool warm;
	struct script script = { data, 0, size }, output;
	struct options o;
	struct terminator first;
	unsigned flags, share;
	uint64_t before;

	if (size < 5 || size > 4096)
		return 0;
	if (!warm)
		must(asyncore_socket_map() != NULL);
	warm = true;
	before = descriptors();

	flags = script_next(&script);
	o.few_letters = flags & 1;
	o.overrides_get = (flags & 6) == 6;
	o.gathers = flags & 8;
	o.references = flags & 16;
	o.in_size = 1 + script_next(&script) % 64;
	o.out_size = 1 + script_next(&script) % 40;
	/* So many bytes at the end are what send() does. */
	share = script_next(&script);
	output = script;
	output.at = output.end - (output.end - output.at) * share / 1024;
	script.end = output.at;
	output_script = &output;
	options = &o;

	expected.len = seen.len = 0;
	queue_first = queue_last = 0;
	references = releases = producers = producer_releases = closes = closes_due = 0;
	first = read_terminator(&script);
	run_reference(script, &first);
	run_chat(script, &first);
	if (expected.len != seen.len || memcmp(expected.bytes, seen.bytes, seen.len) != 0) {
		show("CPython", &expected);
		show("here   ", &seen);
		abort();
	}
	must(descriptors() == before);
	return 0;
}
