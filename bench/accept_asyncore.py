# SPDX-License-Identifier: BSD-3-Clause
"""accept_asyncore.py [poll] - connections accepted and closed by Python's own asyncore."""

import asyncore
import sys


class Server(asyncore.dispatcher):
    def __init__(self):
        asyncore.dispatcher.__init__(self)
        self.create_socket()
        self.bind(("127.0.0.1", 0))
        self.listen(1024)
        print(self.socket.getsockname()[1], flush=True)

    def handle_accepted(self, sock, addr):
        sock.close()


Server()
asyncore.loop(use_poll="poll" in sys.argv)
