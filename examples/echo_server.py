# SPDX-License-Identifier: BSD-3-Clause
#
# The echo server of the documentation of Python's asyncore; echo_server.c is the same in C.
#
#	python3 echo_server.py [port]		(Python 3.11 or older)

import asyncore
import sys


class EchoHandler(asyncore.dispatcher_with_send):

    def handle_read(self):
        data = self.recv(8192)
        if data:
            self.send(data)


class EchoServer(asyncore.dispatcher):

    def __init__(self, host, port):
        asyncore.dispatcher.__init__(self)
        self.create_socket()
        self.set_reuse_addr()
        self.bind((host, port))
        self.listen(5)

    def handle_accepted(self, sock, addr):
        print('Incoming connection from %s' % repr(addr), flush=True)
        handler = EchoHandler(sock)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
server = EchoServer('localhost', port)
print('Listening at %s' % repr(server.socket.getsockname()), flush=True)
asyncore.loop()
