# SPDX-License-Identifier: BSD-3-Clause

"""Clients that mean no good: afterwards the server must serve as before, and hold nothing.

    hostile.py SERVER-COMMAND ...
"""

import os
import random
import socket
import struct

from clients import Case, main
from talk import PATIENCE

TALK = [b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n",
        b"Subject: x\r\n\r\n..\r\n", b".\r\n"]


class HostileTests(Case):
    words = ["class=dummy", "size=100000"]

    def setUp(self):
        super().setUp()
        self.check_service()
        self.before = self.descriptors()

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.server.process.pid))

    def check_service(self):
        """A client is served, and the server has closed its connection then."""
        with self.connect() as sock:
            sock.sendall(b"NOOP\r\nQUIT\r\n")
            self.assertEqual(self.read_all(sock), b"250 OK\r\n221 Bye\r\n")

    def tearDown(self):
        # What was sent before a reset may keep the server busy for some passes.
        for _ in range(10000):
            self.check_service()
            if self.descriptors() <= self.before:
                break
        self.assertLessEqual(self.descriptors(), self.before)
        self.assertIsNone(self.server.process.poll())
        super().tearDown()

    def connect(self):
        """A client that was greeted: the server lets few wait to be accepted."""
        sock = socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)
        self.addCleanup(sock.close)
        greeting = b""
        while not greeting.endswith(b"\r\n"):
            greeting += sock.recv(1)
        return sock

    def reset(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def read_all(self, sock):
        data = b""
        try:
            while True:
                piece = sock.recv(65536)
                if not piece:
                    return data
                data += piece
        except ConnectionError:
            return data

    def flood(self, sock, size):
        piece = b"x" * 65536
        try:
            for _ in range(size // len(piece)):
                sock.sendall(piece)
        except ConnectionError:
            pass

    def test_reset_at_every_step(self):
        for count in range(len(TALK) + 1):
            for _ in range(20):
                sock = self.connect()
                sock.sendall(b"".join(TALK[:count]) + b"half a l")
                self.reset(sock)

    def test_reset_after_the_reply_in_DATA(self):
        sock = self.connect()
        sock.sendall(b"".join(TALK[:5]))
        data = b""
        while b"354 " not in data:
            data += sock.recv(4096)
        self.reset(sock)

    def test_half_close_at_every_step(self):
        for count in range(len(TALK) + 1):
            sock = self.connect()
            sock.sendall(b"".join(TALK[:count]))
            sock.shutdown(socket.SHUT_WR)
            replies = self.read_all(sock).split(b"\r\n")
            # Four lines for EHLO, none for the text.
            self.assertEqual(len(replies) - 1, [0, 4, 5, 6, 7, 7, 8][count])

    def test_flood_without_the_end_of_a_line(self):
        sock = self.connect()
        self.flood(sock, 32 << 20)
        sock.sendall(b"\r\nNOOP\r\n")
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read_all(sock).split(b"\r\n"),
                         [b"500 Error: line too long", b"250 OK", b""])

    def test_flood_of_text(self):
        sock = self.connect()
        sock.sendall(b"".join(TALK[:4]))
        self.flood(sock, 32 << 20)
        sock.sendall(b"\r\n.\r\n")
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read_all(sock).split(b"\r\n")[-2:],
                         [b"552 Error: Too much mail data", b""])

    def test_flood_and_reset(self):
        sock = self.connect()
        sock.sendall(b"".join(TALK[:4]))
        self.flood(sock, 4 << 20)
        self.reset(sock)

    def test_replies_that_nobody_reads(self):
        sock = self.connect()
        sock.settimeout(0.0)
        try:
            for _ in range(100000):
                sock.send(b"HELP\r\n" * 1000)
        except BlockingIOError:
            pass        # the server has its hands full, or we did not wait for it
        self.reset(sock)

    def test_many_that_say_nothing(self):
        socks = [self.connect() for _ in range(200)]
        self.check_service()
        for sock in socks:
            sock.close()

    def test_noise(self):
        rng = random.Random(7)
        words = [b"EHLO x", b"HELO", b"MAIL FROM:", b"RCPT TO:", b"DATA", b"<", b">", b"@", b"a",
                 b"(", b"\"", b"\\", b"SIZE=", b"VRFY ", b"HELP ", b"RSET", b"\0", b"\xff",
                 b"\xc3\xa9", b"\n", b"\r", b"\r\n", b"\r\n", b"\r\n.\r\n", b" ", b".", b"[", b"]"]
        for _ in range(300):
            sock = self.connect()
            try:
                sock.sendall(b"".join(rng.choices(words, k=rng.randrange(1, 60))))
                if rng.random() < 0.5:
                    sock.shutdown(socket.SHUT_WR)
                    self.read_all(sock)
            except ConnectionError:
                pass
            self.reset(sock) if rng.random() < 0.5 else sock.close()


if __name__ == "__main__":
    main("__main__")
