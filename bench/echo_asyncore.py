# SPDX-License-Identifier: BSD-3-Clause
"""echo_asyncore.py [poll] - echo on Python's own asyncore, on select() or on poll()."""

import asyncore
import socket
import sys


class Echo(asyncore.dispatcher_with_send):
    def handle_read(self):
        data = self.recv(65536)
        if data:
            self.send(data)

    def handle_close(self):
        self.close()


class Server(asyncore.dispatcher):
    def __init__(self):
        asyncore.dispatcher.__init__(self)
        self.create_socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bind(("127.0.0.1", 0))
        self.listen(1024)
        print(self.socket.getsockname()[1], flush=True)

    def handle_accepted(self, sock, addr):
        Echo(sock)


Server()
asyncore.loop(use_poll="poll" in sys.argv)
