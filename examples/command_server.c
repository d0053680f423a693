/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * command_server.py in C: a server that takes commands over a socket in the file system, as
 * many daemons have one beside them.  Above each part stand the Python lines that it ports.
 *
 *	command_server path
 *
 * A command is a line, and the answer is a line that begins with "ok" or "error":
 *
 *	status			ok 1 connections, 0 settings, 1 commands
 *	set colour dark blue	ok
 *	get colour		ok dark blue
 *	stop			ok		and the server ends, as it does by SIGTERM
 *
 * The socket is for its owner alone (mode 0600) and is removed in the end.  One that was left
 * by a server that was killed is replaced, one that is in use is not, nor is any other file.
 */

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <asynchat.h>
#include <asyncore_event.h>

/*
 *	MOST_CONNECTIONS = 16
 *	MOST_SETTINGS = 100
 *	LONGEST_LINE = 1000
 */
enum { MOST_CONNECTIONS = 16, MOST_SETTINGS = 100, LONGEST_LINE = 1000 };

/* What Python cannot do without timers: not to wait for ever for a peer that does not read,
 * when the server ends. */
static const double longest_farewell = 3.0;

struct setting {
	char *name;
	char *value;
};

struct command_server {
	struct asyncore_dispatcher dispatcher;
	char *path;
	struct stat file;		/* of the socket; st_nlink is 0 when there is none */
	struct setting settings[MOST_SETTINGS];
	size_t setting_count;
	unsigned long count;		/* of commands */
};

static size_t command_server_connections(const struct command_server *server);
static int command_server_stop(struct command_server *server);

/* --- class CommandHandler(asynchat.async_chat): ---------------------------------------- */

struct command_handler {
	struct async_chat chat;
	struct command_server *server;	/* held: it is closed before its handlers are */
};

/* self.push(b'...\n' % ...)  No answer is longer than the longest line and "ok ". */
static int command_handler_push(struct command_handler *handler, const char *format, ...)
{
	char text[LONGEST_LINE + 100];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	return async_chat_push(&handler->chat, text, n);
}

/*
 *	    def status(self):
 *	        self.push(b'ok %d connections, %d settings, %d commands\n' % (
 *	            self.server.connections(), len(self.server.settings),
 *	            self.server.count))
 */
static int command_handler_status(struct command_handler *handler, char **words)
{
	(void)words;
	return command_handler_push(handler, "ok %zu connections, %zu settings, %lu commands\n",
				    command_server_connections(handler->server),
				    handler->server->setting_count, handler->server->count);
}

static struct setting *find_setting(struct command_server *server, const char *name)
{
	size_t i;

	for (i = 0; i < server->setting_count; i++) {
		if (strcmp(server->settings[i].name, name) == 0)
			return &server->settings[i];
	}
	return NULL;
}

/*
 *	    def set(self, name, value):
 *	        settings = self.server.settings
 *	        if name not in settings and len(settings) == MOST_SETTINGS:
 *	            self.push(b'error: too many settings\n')
 *	        else:
 *	            settings[name] = value
 *	            self.push(b'ok\n')
 *
 * The words lie in the channel's buffer: what is to be kept is copied.
 */
static int command_handler_set(struct command_handler *handler, char **words)
{
	struct command_server *server = handler->server;
	struct setting *setting = find_setting(server, words[0]);
	char *name = NULL, *value;

	if (setting == NULL && server->setting_count == MOST_SETTINGS)
		return command_handler_push(handler, "error: too many settings\n");
	value = strdup(words[1]);
	if (setting == NULL)
		name = strdup(words[0]);
	if (value == NULL || (setting == NULL && name == NULL)) {
		free(value);
		free(name);
		return ASYNCORE_RAISE(&handler->chat.dispatcher, -ENOMEM);
	}
	if (setting == NULL) {
		setting = &server->settings[server->setting_count++];
		setting->name = name;
	}
	free(setting->value);
	setting->value = value;
	return command_handler_push(handler, "ok\n");
}

/*
 *	    def get(self, name):
 *	        value = self.server.settings.get(name)
 *	        self.push(b'error: no such setting\n' if value is None else b'ok %s\n' % value)
 */
static int command_handler_get(struct command_handler *handler, char **words)
{
	const struct setting *setting = find_setting(handler->server, words[0]);

	if (setting == NULL)
		return command_handler_push(handler, "error: no such setting\n");
	return command_handler_push(handler, "ok %s\n", setting->value);
}

/*
 *	    def stop(self):
 *	        self.push(b'ok\n')
 *	        self.server.stop()
 */
static int command_handler_stop(struct command_handler *handler, char **words)
{
	int err = command_handler_push(handler, "ok\n");

	(void)words;
	return err < 0 ? err : command_server_stop(handler->server);
}

/*
 *	    COMMANDS = {b'status': (status, 0), b'set': (set, 2), b'get': (get, 1),
 *	                b'stop': (stop, 0)}
 */
static const struct command {
	const char *name;
	int (*call)(struct command_handler *handler, char **words);
	int number;		/* of words */
} commands[] = {
	{ "status", command_handler_status, 0 },
	{ "set", command_handler_set, 2 },
	{ "get", command_handler_get, 1 },
	{ "stop", command_handler_stop, 0 },
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/*
 *	    def found_terminator(self):
 *	        line, self.line = self.line, b''
 *	        self.server.count += 1
 *	        name, *words = line.split(b' ', 2)
 *	        command, number = self.COMMANDS.get(name, (None, 0))
 *	        if command is None or len(words) != number or b'\0' in line:
 *	            self.push(b'error: no such command\n')
 *	        else:
 *	            command(self, *words)
 */
static int command_handler_found_line(struct async_chat *self)
{
	struct command_handler *handler = (struct command_handler *)self;
	const struct command *command;
	char *line, *words[2], *rest;
	size_t len;
	int number = 0;

	line = async_chat_get_data(self, &len);
	if (line == NULL)
		return ASYNCORE_RAISE(&self->dispatcher, -ENOMEM);
	handler->server->count++;
	if (strlen(line) != len)
		return command_handler_push(handler, "error: no such command\n");
	for (rest = strchr(line, ' '); rest != NULL && number < 2; rest = strchr(rest, ' ')) {
		*rest++ = '\0';
		words[number++] = rest;
	}
	command = find_command(line);
	if (command == NULL || command->number != number)
		return command_handler_push(handler, "error: no such command\n");
	return command->call(handler, words);
}

static void command_handler_dispose(struct asyncore_dispatcher *self)
{
	struct command_handler *handler = (struct command_handler *)self;

	asyncore_unref(&handler->server->dispatcher);
}

/* The default collector has the limit of collect_incoming_data(). */
static const struct async_chat_type command_handler_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "CommandHandler",
		.dispose = command_handler_dispose,
		.dealloc = asyncore_dealloc_free,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = command_handler_found_line,
};

/* --- class CommandServer(asyncore.dispatcher): ----------------------------------------- */

/*
 *	    def connections(self):
 *	        return len(self._map) - 2       # this channel, and the trigger's
 *
 * A trigger of the library's is not in the map.
 */
static size_t command_server_connections(const struct command_server *server)
{
	return asyncore_map_size(asyncore_map(&server->dispatcher)) - 1;
}

/*
 *	    def readable(self):
 *	        return self.connections() < MOST_CONNECTIONS
 *
 * Who comes when there are too many waits in the backlog.
 */
static int command_server_readable(struct asyncore_dispatcher *self)
{
	return command_server_connections((struct command_server *)self) < MOST_CONNECTIONS;
}

/*
 *	    def handle_accepted(self, sock, addr):
 *	        CommandHandler(sock, self)
 *
 * and CommandHandler.__init__().  A connection that cannot be served is no reason to end the
 * server, which raising here would do.
 */
static int command_server_accepted(struct asyncore_dispatcher *self, int fd,
				   const struct sockaddr *addr, socklen_t addrlen)
{
	struct command_handler *handler = malloc(sizeof *handler);
	int err = -ENOMEM;

	(void)addr, (void)addrlen;
	if (handler != NULL)
		err = async_chat_init(&handler->chat, &command_handler_type, fd,
				      asyncore_map(self));
	if (err < 0) {
		free(handler);
		close(fd);
		return asyncore_logf(self, "cannot serve: %s", strerror(-err));
	}
	handler->server = (struct command_server *)self;
	asyncore_ref(self);
	if (async_chat_set_incoming_limit(&handler->chat, LONGEST_LINE) < 0 ||
	    async_chat_set_terminator(&handler->chat, "\n", 1) < 0)
		asyncore_close(&handler->chat.dispatcher);
	return 0;
}

/*
 *	    def close(self):
 *	        if self.file is not None:
 *	            try:
 *	                if os.path.samestat(self.file, os.lstat(self.path)):
 *	                    os.unlink(self.path)
 *	            except FileNotFoundError:
 *	                pass
 *	            self.file = None
 *	        asyncore.dispatcher.close(self)
 */
static int command_server_close(struct asyncore_dispatcher *self)
{
	struct command_server *server = (struct command_server *)self;
	struct stat now;

	if (server->file.st_nlink != 0 && lstat(server->path, &now) == 0 &&
	    now.st_dev == server->file.st_dev && now.st_ino == server->file.st_ino)
		unlink(server->path);
	server->file.st_nlink = 0;
	return asyncore_dispatcher_close(self);
}

/*
 *	    def handle_close(self):
 *	        self.stop()
 *
 * Only an error of the listening socket comes here.  Without it there is nothing to go on for,
 * but the loop would, because of the trigger.
 */
static int command_server_handle_close(struct asyncore_dispatcher *self)
{
	return command_server_stop((struct command_server *)self);
}

static void command_server_dispose(struct asyncore_dispatcher *self)
{
	struct command_server *server = (struct command_server *)self;
	size_t i;

	for (i = 0; i < server->setting_count; i++) {
		free(server->settings[i].name);
		free(server->settings[i].value);
	}
	free(server->path);
}

static const struct asyncore_dispatcher_type command_server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "CommandServer",
	.readable = command_server_readable,
	.handle_close = command_server_handle_close,
	.handle_accepted = command_server_accepted,
	.close = command_server_close,
	.dispose = command_server_dispose,
};

/*
 *	    def remove_stale(self):
 *	        with socket.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK) as probe:
 *	            err = probe.connect_ex(self.path)
 *	        if err == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(self.path).st_mode):
 *	            os.unlink(self.path)
 *
 * A socket at which nobody listens refuses; so do files that are no sockets.
 */
static void remove_stale(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat file;
	int probe;

	if (strlen(path) >= sizeof un.sun_path)
		return;		/* bind will say so */
	memcpy(un.sun_path, path, strlen(path));
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return;
	if (connect(probe, (struct sockaddr *)&un, sizeof un) < 0 && errno == ECONNREFUSED &&
	    lstat(path, &file) == 0 && S_ISSOCK(file.st_mode))
		unlink(path);
	close(probe);
}

/*
 *	            self.remove_stale()
 *	            mask = os.umask(0o177)
 *	            try:
 *	                self.bind(self.path)
 *	            finally:
 *	                os.umask(mask)
 *	            self.listen(5)
 */
static int command_server_bind(struct command_server *server)
{
	mode_t mask;
	int err;

	remove_stale(server->path);
	mask = umask(0177);
	err = asyncore_bind_path(&server->dispatcher, server->path);
	umask(mask);
	return err < 0 ? err : asyncore_listen(&server->dispatcher, 5);
}

/*
 *	    def bind_alone(self):
 *	        directory = os.open(os.path.dirname(self.path) or '.', os.O_RDONLY)
 *	        try:
 *	            fcntl.flock(directory, fcntl.LOCK_EX)
 *	            ...
 *	        finally:
 *	            os.close(directory)
 *
 * The lock is for two servers that start at once: one would find the other's socket before
 * that listens, and take it for a stale one.
 */
static int command_server_bind_alone(struct command_server *server)
{
	char *path = strdup(server->path);
	int directory, err;

	if (path == NULL)
		return -ENOMEM;
	directory = open(dirname(path), O_RDONLY | O_CLOEXEC);
	free(path);
	if (directory < 0)
		return -errno;
	err = flock(directory, LOCK_EX) < 0 ? -errno : command_server_bind(server);
	close(directory);
	return err;
}

/*
 *	    def __init__(self, path):
 *	        asyncore.dispatcher.__init__(self)
 *	        self.path = path
 *	        self.file = None
 *	        self.settings = {}
 *	        self.count = 0
 *	        self.create_socket(socket.AF_UNIX)
 *	        self.bind_alone()
 *	        self.file = os.lstat(path)
 */
static int command_server_init(struct command_server *server, const char *path)
{
	struct asyncore_dispatcher *self = &server->dispatcher;
	int err;

	memset(server, 0, sizeof *server);
	err = asyncore_dispatcher_init(self, &command_server_type, -1, NULL);
	if (err < 0)
		return err;
	server->path = strdup(path);
	if (server->path == NULL)
		return -ENOMEM;
	err = asyncore_create_socket(self, AF_UNIX, SOCK_STREAM);
	if (err < 0)
		return err;
	err = command_server_bind_alone(server);
	if (err < 0)
		return err;
	return lstat(path, &server->file) < 0 ? -errno : 0;
}

/* --- the end --------------------------------------------------------------------------- */

/*
 *	class Trigger(asyncore.file_dispatcher):
 *	    ...
 *
 * The library has it.  (What it is for: a signal handler that raises ExitNow instead does so
 * between any two lines of the program, as between the sending of some bytes and the line
 * that takes them from the queue, and they are sent again.)
 */
static struct asyncore_trigger *end_trigger;

static void told_to_end(int number)
{
	(void)number;
	asyncore_trigger_pull(end_trigger);
}

static int end(struct asyncore_map *map, void *server)
{
	(void)map;
	return command_server_stop(server);
}

/*
 *	end_trigger = Trigger(server.stop)
 *	signal.signal(signal.SIGTERM, lambda number, frame: end_trigger.pull())
 */
static int set_end_trigger(struct command_server *server)
{
	struct sigaction action = { .sa_handler = told_to_end, .sa_flags = SA_RESTART };

	end_trigger = asyncore_trigger_new(asyncore_map(&server->dispatcher), end, server, NULL);
	if (end_trigger == NULL)
		return -errno;
	return sigaction(SIGTERM, &action, NULL) < 0 ? -errno : 0;
}

static void free_end_trigger(void)
{
	signal(SIGTERM, SIG_DFL);	/* a second one kills */
	asyncore_trigger_free(end_trigger);
	end_trigger = NULL;
}

static int say_farewell(struct asyncore_dispatcher *channel, void *arg)
{
	(void)arg;
	if (async_chat_close_when_done((struct async_chat *)channel) < 0 ||
	    asyncore_set_idle_timeout(channel, longest_farewell) < 0)
		asyncore_close(channel);
	return 0;
}

/*
 *	    def stop(self):
 *	        signal.signal(signal.SIGTERM, signal.SIG_DFL)
 *	        end_trigger.close()
 *	        self.close()
 *	        for channel in list(self._map.values()):
 *	            channel.close_when_done()
 *
 * The loop ends when the last channel has left the map, and the trigger is gone.
 */
static int command_server_stop(struct command_server *server)
{
	free_end_trigger();
	asyncore_close(&server->dispatcher);
	return asyncore_map_foreach(asyncore_map(&server->dispatcher), say_farewell, NULL);
}

/*
 *	server = CommandServer(sys.argv[1])
 *	...
 *	print('listening at %s' % server.path, flush=True)
 *	asyncore.loop()
 *	print('stopped after %d commands' % server.count)
 */
int main(int argc, char **argv)
{
	struct command_server server;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: command_server path\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	err = command_server_init(&server, argv[1]);
	if (err >= 0)
		err = set_end_trigger(&server);
	if (err >= 0) {
		printf("listening at %s\n", server.path);
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	}
	if (err >= 0) {
		printf("stopped after %lu commands\n", server.count);
	} else {
		fprintf(stderr, "command_server: %s\n", strerror(-err));
		asyncore_close(&server.dispatcher);	/* it may be in no map */
	}
	free_end_trigger();
	asyncore_map_free(NULL);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
