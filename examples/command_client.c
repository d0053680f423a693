/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * command_client.py in C, line for line: gives commands to a command_server, all at once, and
 * prints the answers.  Above each part stand the Python lines that it ports.
 *
 *	command_client path command...		as "status" or "set colour dark blue"
 *
 * Exit status 1 if an answer is not "ok", or does not come.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asynchat.h>

/*
 *	class CommandClient(asynchat.async_chat):
 */
struct command_client {
	struct async_chat chat;
	int left;		/* commands without an answer */
	bool failed;
};

/*
 *	    def handle_connect(self):
 *	        pass
 */
static int command_client_connect(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

/*
 *	    def found_terminator(self):
 *	        line, self.line = self.line, b''
 *	        print(line.decode(), flush=True)
 *	        if not line.startswith(b'ok'):
 *	            self.failed = True
 *	        self.left -= 1
 *	        if self.left == 0:
 *	            self.close()
 */
static int command_client_found_line(struct async_chat *self)
{
	struct command_client *client = (struct command_client *)self;
	char *line = async_chat_get_data(self, NULL);

	if (line == NULL)
		return ASYNCORE_RAISE(&self->dispatcher, -ENOMEM);
	puts(line);
	if (strncmp(line, "ok", 2) != 0)
		client->failed = true;
	client->left--;
	return client->left == 0 ? asyncore_close(&self->dispatcher) : 0;
}

/*
 *	    def collect_incoming_data(self, data):
 *	        self.line += data
 */
static const struct async_chat_type command_client_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "CommandClient",
		.handle_connect = command_client_connect,
	},
	.collect_incoming_data = async_chat_collect_default,
	.found_terminator = command_client_found_line,
};

/*
 *	    def __init__(self, path, commands):
 *	        asynchat.async_chat.__init__(self)
 *	        self.line = b''
 *	        self.left = len(commands)
 *	        self.failed = False
 *	        self.set_terminator(b'\n')
 *	        for command in commands:
 *	            self.push(command.encode() + b'\n')
 *	        self.create_socket(socket.AF_UNIX)
 *	        self.connect(path)
 *
 * What is pushed before there is a connection waits for it.
 */
static int command_client_init(struct command_client *client, const char *path,
			       char *const *commands, int count)
{
	struct async_chat *chat = &client->chat;
	int err, i;

	memset(client, 0, sizeof *client);
	err = async_chat_init(chat, &command_client_type, -1, NULL);
	if (err < 0)
		return err;
	client->left = count;
	err = async_chat_set_terminator(chat, "\n", 1);
	for (i = 0; i < count && err >= 0; i++) {
		err = async_chat_push(chat, commands[i], strlen(commands[i]));
		if (err >= 0)
			err = async_chat_push(chat, "\n", 1);
	}
	if (err < 0)
		return err;
	err = asyncore_create_socket(&chat->dispatcher, AF_UNIX, SOCK_STREAM);
	if (err < 0)
		return err;
	return asyncore_connect_path(&chat->dispatcher, path);
}

/*
 *	client = CommandClient(sys.argv[1], sys.argv[2:])
 *	asyncore.loop()
 *	if client.left > 0:
 *	    sys.exit('command_client: %d commands were not answered' % client.left)
 *	sys.exit(client.failed)
 */
int main(int argc, char **argv)
{
	struct command_client client;
	int err;

	if (argc < 3) {
		fprintf(stderr, "usage: command_client path command...\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	err = command_client_init(&client, argv[1], argv + 2, argc - 2);
	if (err >= 0)
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	if (err < 0) {
		fprintf(stderr, "command_client: %s\n", strerror(-err));
		asyncore_close(&client.chat.dispatcher);	/* it may be in no map */
	} else if (client.left > 0) {
		fprintf(stderr, "command_client: %d commands were not answered\n", client.left);
	}
	asyncore_map_free(NULL);
	return err < 0 || client.left > 0 || client.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
