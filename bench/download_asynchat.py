# SPDX-License-Identifier: BSD-3-Clause
"""download_asynchat.py - 100 MiB for who connects, by a producer of Python's own asynchat, on
poll(), in pieces of 64 KiB."""

import asynchat
import asyncore
import socket

block = bytes(65536)


class Pieces:
    left = 100 << 20

    def more(self):
        data = block[: self.left]
        self.left -= len(data)
        return data


class Download(asynchat.async_chat):
    ac_out_buffer_size = 65536

    def __init__(self, sock):
        asynchat.async_chat.__init__(self, sock)
        self.push_with_producer(Pieces())
        self.close_when_done()


class Server(asyncore.dispatcher):
    def __init__(self):
        asyncore.dispatcher.__init__(self)
        self.create_socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bind(("127.0.0.1", 0))
        self.listen(1)
        print(self.socket.getsockname()[1], flush=True)

    def handle_accepted(self, sock, addr):
        Download(sock)


Server()
asyncore.loop(use_poll=True)
