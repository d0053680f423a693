# SPDX-License-Identifier: BSD-3-Clause
#
# A UDP service that tells the time; udp_time_server.c is the same in C, and has the protocol.
#
#	python3 udp_time_server.py [port]	(Python 3.11 or older)

import asyncore
import socket
import sys
import time

LONGEST_QUESTION = 64


class TimeServer(asyncore.dispatcher):

    def __init__(self, host, port):
        asyncore.dispatcher.__init__(self)
        self.create_socket(type=socket.SOCK_DGRAM)
        self.bind((host, port))

    def writable(self):
        return False

    def handle_read(self):
        try:
            question, peer = self.socket.recvfrom(LONGEST_QUESTION + 1)
        except BlockingIOError:
            return
        if len(question) > LONGEST_QUESTION or b' ' in question:
            return
        answer = question + time.strftime(' %H:%M:%S').encode()
        try:
            self.socket.sendto(answer, peer)
        except BlockingIOError:
            pass
        except OSError as why:
            self.log('no answer to %s port %d: %s' % (*peer, why.strerror))


server = TimeServer('127.0.0.1', int(sys.argv[1]) if len(sys.argv) > 1 else 0)
print('listening at %s port %d' % server.socket.getsockname(), flush=True)
asyncore.loop()
