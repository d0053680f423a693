# SPDX-License-Identifier: BSD-3-Clause
#
# The HTTP request handler of the documentation of Python's asynchat, with what it leaves
# out (parse_headers, handle_request, a server); http_request_handler.c is the same in C.
#
#	python3 http_request_handler.py [port]		(Python 3.11 or older)

import asynchat
import asyncore
import email.parser
import signal
import sys

MOST = 1024 * 1024


class http_request_handler(asynchat.async_chat):

    def __init__(self, sock, addr, sessions):
        asynchat.async_chat.__init__(self, sock=sock)
        self.addr = addr
        self.sessions = sessions
        self.ibuffer = []
        self.obuffer = b""
        self.set_terminator(b"\r\n\r\n")
        self.reading_headers = True
        self.handling = False
        self.cgi_data = None
        self.received = 0
        sessions.add(self)

    def collect_incoming_data(self, data):
        """Buffer the data"""
        if self.handling:
            return      # browsers sometimes over-send
        self.received += len(data)
        if self.received > MOST:
            self.refuse(b"413 Content Too Large")
        else:
            self.ibuffer.append(data)

    def found_terminator(self):
        if self.reading_headers:
            self.reading_headers = False
            self.parse_headers(b"".join(self.ibuffer))
            self.ibuffer = []
            self.received = 0
            if self.op.upper() == b"POST":
                clen = self.headers.get("content-length", "")
                if not (clen.isascii() and clen.isdigit()):
                    return self.refuse(b"411 Length Required")
                if int(clen) > MOST:
                    return self.refuse(b"413 Content Too Large")
                if int(clen) > 0:
                    self.set_terminator(int(clen))
                    return
            self.handling = True
            self.set_terminator(None)
            self.handle_request()
        elif not self.handling:
            self.set_terminator(None)  # browsers sometimes over-send
            self.cgi_data = b"".join(self.ibuffer)
            self.handling = True
            self.ibuffer = []
            self.handle_request()

    def parse_headers(self, text):
        line, _, headers = text.partition(b"\r\n")
        self.op, self.uri = (line.split(b" ") + [b"", b""])[:2]
        self.headers = email.parser.Parser().parsestr(headers.decode("latin-1"))

    def handle_request(self):
        if self.op.upper() not in (b"GET", b"POST"):
            return self.refuse(b"501 Not Implemented")
        self.obuffer = self.op + b" " + self.uri + b"\r\n"
        if self.cgi_data is not None:
            self.obuffer += self.cgi_data
        self.respond(b"200 OK")

    def refuse(self, status):
        self.handling = True
        self.set_terminator(None)
        self.obuffer = status + b"\r\n"
        self.respond(status)

    def respond(self, status):
        self.push(b"HTTP/1.0 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
                  % (status, len(self.obuffer)))
        self.push(self.obuffer)
        self.close_when_done()

    def close(self):
        self.sessions.discard(self)
        asynchat.async_chat.close(self)


class http_server(asyncore.dispatcher):

    def __init__(self, host, port):
        asyncore.dispatcher.__init__(self)
        self.sessions = set()
        self.create_socket()
        self.set_reuse_addr()
        self.bind((host, port))
        self.listen(5)

    def handle_accepted(self, sock, addr):
        http_request_handler(sock, addr, self.sessions)


def stop(number, frame):
    raise asyncore.ExitNow


port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
server = http_server('localhost', port)
print('Listening at %s' % repr(server.socket.getsockname()), flush=True)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
try:
    asyncore.loop()
except asyncore.ExitNow:
    print('%d sessions left' % len(server.sessions))
asyncore.close_all()
