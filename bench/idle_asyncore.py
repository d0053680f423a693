# SPDX-License-Identifier: BSD-3-Clause
"""idle_asyncore.py IDLE ACTIVE PASSES - what idle.h says, on Python's own asyncore and poll().
Its second figure is 0: the heap is Python's."""

import asyncore
import resource
import socket
import sys
import time

idle, active, passes = map(int, sys.argv[1:4])
served = 0


class Channel(asyncore.dispatcher):
    def handle_read(self):
        global served
        served += len(self.recv(1))

    def writable(self):
        return False


def one_pass():
    wanted = served + active
    for peer in peers:
        peer.send(b"x")
    start = time.perf_counter()
    while served < wanted:
        asyncore.poll2(30.0)
    return time.perf_counter() - start


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
peers = []
for i in range(active):
    peer, end = socket.socketpair()
    peers.append(peer)
    Channel(end)
for i in range(idle):
    silent = socket.socket(type=socket.SOCK_DGRAM)
    silent.connect(("127.0.0.1", 9))
    Channel(silent)
one_pass()
print("%.1f 0" % (sum(one_pass() for i in range(passes)) / passes / active * 1e9))
