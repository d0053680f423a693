# SPDX-License-Identifier: BSD-3-Clause
#
# A server that takes commands over a socket in the file system; command_server.c is the same
# in C, and has the protocol.
#
#	python3 command_server.py path		(Python 3.11 or older)

import asynchat
import asyncore
import errno
import fcntl
import os
import signal
import socket
import stat
import sys

MOST_CONNECTIONS = 16
MOST_SETTINGS = 100
LONGEST_LINE = 1000


class CommandHandler(asynchat.async_chat):

    def __init__(self, sock, server):
        asynchat.async_chat.__init__(self, sock)
        self.server = server
        self.line = b''
        self.set_terminator(b'\n')

    def collect_incoming_data(self, data):
        if len(self.line) + len(data) > LONGEST_LINE:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        self.line += data

    def found_terminator(self):
        line, self.line = self.line, b''
        self.server.count += 1
        name, *words = line.split(b' ', 2)
        command, number = self.COMMANDS.get(name, (None, 0))
        if command is None or len(words) != number or b'\0' in line:
            self.push(b'error: no such command\n')
        else:
            command(self, *words)

    def status(self):
        self.push(b'ok %d connections, %d settings, %d commands\n' % (
            self.server.connections(), len(self.server.settings), self.server.count))

    def set(self, name, value):
        settings = self.server.settings
        if name not in settings and len(settings) == MOST_SETTINGS:
            self.push(b'error: too many settings\n')
        else:
            settings[name] = value
            self.push(b'ok\n')

    def get(self, name):
        value = self.server.settings.get(name)
        self.push(b'error: no such setting\n' if value is None else b'ok %s\n' % value)

    def stop(self):
        self.push(b'ok\n')
        self.server.stop()

    COMMANDS = {b'status': (status, 0), b'set': (set, 2), b'get': (get, 1), b'stop': (stop, 0)}


class CommandServer(asyncore.dispatcher):

    def __init__(self, path):
        asyncore.dispatcher.__init__(self)
        self.path = path
        self.file = None
        self.settings = {}
        self.count = 0
        self.create_socket(socket.AF_UNIX)
        self.bind_alone()
        self.file = os.lstat(path)

    def bind_alone(self):
        directory = os.open(os.path.dirname(self.path) or '.', os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            self.remove_stale()
            mask = os.umask(0o177)
            try:
                self.bind(self.path)
            finally:
                os.umask(mask)
            self.listen(5)
        finally:
            os.close(directory)

    def remove_stale(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            err = probe.connect_ex(self.path)
        if err == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(self.path).st_mode):
            os.unlink(self.path)

    def connections(self):
        return len(self._map) - 2       # this channel, and the trigger's

    def readable(self):
        return self.connections() < MOST_CONNECTIONS

    def handle_accepted(self, sock, addr):
        CommandHandler(sock, self)

    def close(self):
        if self.file is not None:
            try:
                if os.path.samestat(self.file, os.lstat(self.path)):
                    os.unlink(self.path)
            except FileNotFoundError:
                pass
            self.file = None
        asyncore.dispatcher.close(self)

    def handle_close(self):
        self.stop()

    def stop(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_trigger.close()
        self.close()
        for channel in list(self._map.values()):
            channel.close_when_done()


class Trigger(asyncore.file_dispatcher):

    def __init__(self, call):
        reader, self.writer = os.pipe()
        asyncore.file_dispatcher.__init__(self, reader)
        os.close(reader)
        self.call = call

    def pull(self):
        os.write(self.writer, b'!')

    def writable(self):
        return False

    def handle_read(self):
        self.recv(1)
        self.call()

    def close(self):
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None
        asyncore.file_dispatcher.close(self)


server = CommandServer(sys.argv[1])
end_trigger = Trigger(server.stop)
signal.signal(signal.SIGTERM, lambda number, frame: end_trigger.pull())
print('listening at %s' % server.path, flush=True)
asyncore.loop()
print('stopped after %d commands' % server.count)
