# SPDX-License-Identifier: BSD-3-Clause
"""lines_asynchat.py count|answer - lines split by Python's own asynchat, on poll(), with
buffers of 64 KiB."""

import asynchat
import asyncore
import socket
import sys

answering = "answer" in sys.argv


class Line(asynchat.async_chat):
    ac_in_buffer_size = 65536
    ac_out_buffer_size = 65536

    def __init__(self, sock):
        asynchat.async_chat.__init__(self, sock)
        self.set_terminator(b"\r\n")
        self.lines = self.bytes = 0

    def collect_incoming_data(self, data):
        self.bytes += len(data)

    def found_terminator(self):
        self.lines += 1
        if answering:
            self.push(b"ok\r\n")


class Server(asyncore.dispatcher):
    def __init__(self):
        asyncore.dispatcher.__init__(self)
        self.create_socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bind(("127.0.0.1", 0))
        self.listen(1)
        print(self.socket.getsockname()[1], flush=True)

    def handle_accepted(self, sock, addr):
        Line(sock)


Server()
asyncore.loop(use_poll=True)
