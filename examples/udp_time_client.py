# SPDX-License-Identifier: BSD-3-Clause
#
# Asks UDP time servers, again if no answer comes; udp_time_client.c is the same in C.
#
#	python3 udp_time_client.py seconds tries port...	(Python 3.11 or older)

import asyncore
import os
import socket
import sys
import time


class TimeClient(asyncore.dispatcher):

    def __init__(self, host, port, seconds, tries):
        asyncore.dispatcher.__init__(self)
        self.port = port
        self.seconds = seconds
        self.tries = tries
        self.question = b'%d' % os.getpid()
        self.answered = False
        self.create_socket(type=socket.SOCK_DGRAM)
        self.connect((host, port))

    def handle_connect(self):
        self.ask()

    def ask(self):
        if self.tries == 0:
            self.finish('no answer')
            return
        self.tries -= 1
        self.ask_again = time.monotonic() + self.seconds
        self.send(self.question)

    def readable(self):
        if time.monotonic() >= self.ask_again:
            try:
                self.ask()
            except Exception:
                self.handle_error()
        return self.connected

    def writable(self):
        return False

    def handle_read(self):
        answer = self.socket.recv(1024)
        question, blank, now = answer.partition(b' ')
        if blank and question == self.question:
            self.answered = True
            self.finish(now.decode('latin-1'))

    def handle_error(self):
        why = sys.exc_info()[1]
        self.finish(getattr(why, 'strerror', why))

    def finish(self, result):
        print('port %d: %s' % (self.port, result), flush=True)
        self.close()


seconds, tries = float(sys.argv[1]), int(sys.argv[2])
clients = [TimeClient('127.0.0.1', int(port), seconds, tries) for port in sys.argv[3:]]
asyncore.loop(timeout=min(seconds, 0.1))
sys.exit(not all(client.answered for client in clients))
