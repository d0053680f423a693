# SPDX-License-Identifier: BSD-3-Clause
#
# Gives commands to command_server, and prints the answers; command_client.c is the same in C.
#
#	python3 command_client.py path command...	(Python 3.11 or older)

import asynchat
import asyncore
import socket
import sys


class CommandClient(asynchat.async_chat):

    def __init__(self, path, commands):
        asynchat.async_chat.__init__(self)
        self.line = b''
        self.left = len(commands)
        self.failed = False
        self.set_terminator(b'\n')
        for command in commands:
            self.push(command.encode() + b'\n')
        self.create_socket(socket.AF_UNIX)
        self.connect(path)

    def handle_connect(self):
        pass

    def collect_incoming_data(self, data):
        self.line += data

    def found_terminator(self):
        line, self.line = self.line, b''
        print(line.decode(), flush=True)
        if not line.startswith(b'ok'):
            self.failed = True
        self.left -= 1
        if self.left == 0:
            self.close()


client = CommandClient(sys.argv[1], sys.argv[2:])
asyncore.loop()
if client.left > 0:
    sys.exit('command_client: %d commands were not answered' % client.left)
sys.exit(client.failed)
