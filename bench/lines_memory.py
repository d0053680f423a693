# SPDX-License-Identifier: BSD-3-Clause
"""lines_memory.py SIZE SECONDS - what lines_memory.c says, by Python's own asynchat."""

import asynchat
import sys
import time

size, seconds = int(sys.argv[1]), float(sys.argv[2])
chunk = (b"x" * (size - 2) + b"\r\n") * (65536 // size)


class Lines(asynchat.async_chat):
    ac_in_buffer_size = 65536

    def __init__(self):
        asynchat.async_chat.__init__(self, map={})
        self.set_terminator(b"\r\n")
        self.lines = self.bytes = 0

    def recv(self, size):
        return chunk

    def collect_incoming_data(self, data):
        self.bytes += len(data)

    def found_terminator(self):
        self.lines += 1


lines = Lines()
start = time.perf_counter()
while time.perf_counter() - start < seconds:
    lines.handle_read()
print("%.0f" % (lines.lines / (time.perf_counter() - start)))
