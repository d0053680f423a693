# SPDX-License-Identifier: BSD-3-Clause
#
# The HTTP client of the documentation of Python's asyncore; http_client.c is the same in C.
#
#	python3 http_client.py host path [port]		(Python 3.11 or older)

import asyncore
import sys


class HTTPClient(asyncore.dispatcher):

    def __init__(self, host, path, port):
        asyncore.dispatcher.__init__(self)
        self.create_socket()
        self.connect((host, port))
        self.buffer = bytes('GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' %
                            (path, host), 'ascii')

    def handle_connect(self):
        pass

    def handle_close(self):
        self.close()

    def handle_read(self):
        sys.stdout.buffer.write(self.recv(8192))

    def writable(self):
        return len(self.buffer) > 0

    def handle_write(self):
        sent = self.send(self.buffer)
        self.buffer = self.buffer[sent:]


port = int(sys.argv[3]) if len(sys.argv) > 3 else 80
client = HTTPClient(sys.argv[1], sys.argv[2], port)
asyncore.loop()
