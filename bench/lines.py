# SPDX-License-Identifier: BSD-3-Clause
"""lines.py count|answer - the server of lines.c, on Python's own asynchat.

Prints its port and ends with its connection: lines, CPU seconds, lines per CPU second.
Run it with -W ignore; Python has asynchat up to 3.11.
"""

import asynchat
import asyncore
import resource
import socket
import sys

answering = sys.argv[1:] == ["answer"]


def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


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


listener = socket.socket()
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
listener.bind(("127.0.0.1", 0))
listener.listen(1)
print(listener.getsockname()[1], flush=True)
line = Line(listener.accept()[0])
listener.close()
start = cpu()
asyncore.loop(use_poll=True)
start = cpu() - start
print("%d %.6f %.0f" % (line.lines, start, line.lines / start if start > 0 else 0))
