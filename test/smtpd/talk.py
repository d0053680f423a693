# SPDX-License-Identifier: BSD-3-Clause

"""Hold the conversations of a script with a mail server, and print what was said.

    talk.py [--split | --burst] SCRIPT SERVER-COMMAND ...

A script is made of lines:

    server WORD ...     a new server for what follows, with these options (server.c)
    upstream WORD ...   another one, to which servers of the class proxy relay from now on;
                        "none": a port at which nobody is
    case NAME           a new connection, whose greeting is read
    > TEXT              send TEXT and the end of a line, and read a reply
    >> TEXT             send TEXT as it is
    >= TEXT             the same, but never byte by byte
    read N              read N replies
    # ...               nothing

In TEXT the escapes of Python's bytes count, {TEXT*N} is TEXT N times, and words in quotes
belong together in `server`.  At its end the client shuts its side of the connection down and
reads what still comes.  What the server printed follows, each line behind a "|", and what the
other one did behind a "^".

--split sends every byte by itself, --burst sends all of a case at once: neither may make a
difference.
"""

import codecs
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import zlib

PATIENCE = 60     # seconds; nothing but a server that hangs needs so long


def unescape(text):
    text = re.sub(r"\{(.+?)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
    return codecs.escape_decode(text.encode())[0]


def escape(data):
    return data.decode("latin-1").encode("unicode_escape").decode()


def shorten(line):
    """What is long as its beginning, its length and a sum; but of a line that is longer than
    it may be, how much is kept is a matter of the pieces in which it came."""
    if len(line) <= 200:
        return line
    if line.startswith("Data: "):
        return line[:60] + "..."
    return "%s... %d characters, %08x" % (line[:60], len(line), zlib.crc32(line.encode()))


class Server:
    """A server; what it prints goes to a file, so that it never waits for us."""

    def __init__(self, command, words):
        self.file = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command + words, stdin=subprocess.PIPE,
                                        stdout=self.file, stderr=subprocess.PIPE)
        first = self.process.stderr.readline().split()
        self.port = int(first[1]) if first[:1] == [b"port"] else None
        if self.port is None:
            print("no server:", b" ".join(first).decode())
        self.seen = 0

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def output(self):
        """What was printed since the last time.  It may come after the end of a connection,
        but not after the greeting of the next one."""
        try:
            with self.connect() as sock:
                sock.recv(1)
        except OSError:
            pass
        return self.printed()

    def printed(self):
        data = os.pread(self.file.fileno(), 1 << 30, self.seen)
        self.seen += len(data)
        text = data.decode("utf-8", "backslashreplace")
        # What raised is described in other words.
        text = re.sub(r"(?ms)^(error: ).*?\|\d+\]\)?$", r"\1...", text)
        return [line for line in text.split("\n")
                if line and not re.match("Peer: |Incoming connection |got ", line)]

    def stop(self):
        """Its end, by the end of its input: the rest of its output, and its exit status."""
        if self.process.stdin.closed:
            return [], self.process.returncode
        self.process.stdin.close()
        errors = self.process.stderr.read()
        status = self.process.wait(PATIENCE)
        sys.stderr.write(errors.decode("utf-8", "backslashreplace"))
        rest = self.printed()
        self.process.stderr.close()
        self.file.close()
        return rest, status


class Conversation:
    """A client.  With `mode` "burst" what is sent is kept until the end."""

    def __init__(self, server, mode):
        self.sock = server.connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mode = mode
        self.data = b""
        self.closed = False
        self.fqdn = None

    def send(self, data, whole):
        pieces = [data] if whole else [data[i:i + 1] for i in range(len(data))]
        try:
            for piece in pieces:
                self.sock.sendall(piece)
        except OSError:
            pass        # the end will be read

    def line(self):
        """The next line; b"" at the end."""
        while b"\r\n" not in self.data and not self.closed:
            try:
                # Otherwise a server that sends line by line waits for each of them.
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                piece = self.sock.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                self.closed = True
            self.data += piece
        line, end, self.data = self.data.partition(b"\r\n")
        return line + end

    def reply(self):
        """Print a reply; false at the end."""
        while True:
            line = self.line()
            if not line:
                print("S (closed)")
                return False
            greeting = re.match(rb"220 (\S+) Python SMTP", line)
            if greeting and self.fqdn is None:
                self.fqdn = greeting.group(1)
            line = re.sub(rb"^(220 |250[- ])" + re.escape(self.fqdn or b"-") + rb"(?=[ \r])",
                          rb"\1FQDN", line)
            print("S", shorten(escape(line[:-2] if line.endswith(b"\r\n") else line)))
            if line[3:4] != b"-":
                return True

    def end(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while not self.closed or self.data:
            if not self.reply():
                break
        self.sock.close()


class Nobody:
    """A server that is not there: its port is in use, but nobody listens."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def output(self):
        return []

    def stop(self):
        self.sock.close()
        return [], 0


def own_name(line):
    """A client's own name is that of the machine."""
    return re.sub(r"^(Data: b?'[eh][eh]lo )[^']+", r"\1...", line)


def run_case(server, upstream, name, steps, mode):
    print("\ncase", name)
    talk = Conversation(server, mode)
    texts = []
    for kind, text in steps:
        if kind == "read":
            texts.append((kind, text, b""))
        else:
            texts.append((kind, text, unescape(text) + (b"\r\n" if kind == ">" else b"")))
    if mode == "burst":
        talk.send(b"".join(data for _, _, data in texts), True)
    alive = talk.reply()
    for kind, text, data in texts:
        if not alive:
            break
        if kind != "read":
            print("C", text)
            if mode != "burst":
                talk.send(data, mode != "split" or kind == ">=")
        for _ in range(int(text) if kind == "read" else int(kind == ">")):
            alive = alive and talk.reply()
    if alive:
        talk.end()
    for line in server.output():
        print("|", shorten(line))
    for line in upstream.output() if upstream is not None else []:
        print("^", shorten(own_name(line)))


def stop(server):
    if server is not None:
        rest, status = server.stop()
        for line in rest:
            print("|", shorten(line))
        print("\nstatus", status)


def main():
    args = sys.argv[1:]
    mode = args.pop(0)[2:] if args[0].startswith("--") else ""
    script, command = args[0], args[1:]
    server, upstream, case, steps = None, None, None, []

    def finish():
        nonlocal case, steps
        if case is not None:
            run_case(server, upstream, case, steps, mode)
        case, steps = None, []

    for number, line in enumerate(open(script, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        kind, _, text = line.partition(" ")
        if not line or kind.startswith("#"):
            continue
        words = shlex.split(text) if kind in ("server", "upstream") else []
        if kind == "server":
            finish()
            stop(server)
            print("\nserver", text)
            if upstream is not None:
                words.append("remote=%d" % upstream.port)
            server = Server(command, words)
        elif kind == "upstream":
            finish()
            stop(server)
            stop(upstream)
            print("\nupstream", text)
            server, upstream = None, Nobody() if text == "none" else Server(command, words)
        elif kind == "case":
            finish()
            case = text
        elif kind in (">", ">>", ">=", "read"):
            steps.append((kind, text))
        else:
            sys.exit("%s:%d: what is %s" % (script, number, kind))
    finish()
    stop(server)
    stop(upstream)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
