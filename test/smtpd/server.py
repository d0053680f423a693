# SPDX-License-Identifier: BSD-3-Clause

"""The counterpart of server.c: Python's own smtpd, with the same options."""

import sys

import asyncore
import smtpd


class Options:
    def __init__(self, words):
        self.kind = "debugging"
        self.host = "127.0.0.1"
        self.size = smtpd.DATA_SIZE_DEFAULT
        self.utf8 = self.decode = False
        self.remote = 0
        self.replies = {}
        for word in words:
            name, _, value = word.partition("=")
            if name == "class":
                self.kind = value
            elif name == "host":
                self.host = value
            elif name in ("size", "remote"):
                setattr(self, name, int(value))
            elif name in ("utf8", "decode"):
                setattr(self, name, True)
            elif name.startswith("reply-"):
                self.replies[name[6:]] = value
            else:
                sys.exit("what is " + word)


class DummyServer(smtpd.SMTPServer):
    """Prints what it was given, and has replies of its own to some of it."""

    def process_message(self, peer, mailfrom, rcpttos, data, **kw):
        print("message from %s to %s" % (peer[0], rcpttos))
        print("sender", mailfrom)
        for name in "mail_options", "rcpt_options":
            if name in kw:
                print(name, kw[name])
        print(repr(data))
        text = data if self._decode_data else data.decode("latin-1")
        if text == "return status":
            return "250 Okish"
        if text == "not ASCII":
            return "250 \u00e9"
        if "SMTPUTF8" in kw.get("mail_options", []):
            return "250 SMTPUTF8 message okish"
        return options.replies.get("BODY")


class SimChannel(smtpd.SMTPChannel):
    """Has commands of its own, and replies to others as it was told."""

    rcpt_count = 0

    def simulate(self, name):
        reply = options.replies.get(name)
        if reply is None:
            return False
        if name == "RCPT":
            replies = reply.split("|")
            reply = replies[min(self.rcpt_count, len(replies) - 1)]
            self.rcpt_count += 1
        self.push(reply.rstrip("!"))
        if reply.endswith("!"):
            self.close_when_done()
        return True

    def smtp_EHLO(self, arg):
        if self.simulate("EHLO"):
            self.seen_greeting = arg
            self.extended_smtp = True
        else:
            super().smtp_EHLO(arg)

    def smtp_HELO(self, arg):
        self.simulate("HELO") or super().smtp_HELO(arg)

    def smtp_MAIL(self, arg):
        self.simulate("MAIL") or super().smtp_MAIL(arg)

    def smtp_RCPT(self, arg):
        self.simulate("RCPT") or super().smtp_RCPT(arg)

    def smtp_DATA(self, arg):
        self.simulate("DATA") or super().smtp_DATA(arg)

    def smtp_QUIT(self, arg):
        self.simulate("QUIT") or super().smtp_QUIT(arg)

    def smtp_VRFY(self, arg):
        self.push("250 %s is here" % arg)

    def smtp_XSTATE(self, arg):
        self.smtp_state = 99
        self.push("250 confused")


class SimServer(DummyServer):
    channel_class = SimChannel


class Stdin(asyncore.file_dispatcher):
    """Its end ends the program."""

    def writable(self):
        return False

    def handle_read(self):
        self.recv(512)

    def handle_close(self):
        raise asyncore.ExitNow


classes = {"debugging": smtpd.DebuggingServer, "plain": smtpd.SMTPServer,
           "proxy": smtpd.PureProxy, "dummy": DummyServer, "sim": SimServer}

options = Options(sys.argv[1:])
sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")
try:
    server = classes[options.kind](
        (options.host, 0), ("127.0.0.1", options.remote), options.size,
        enable_SMTPUTF8=options.utf8, decode_data=options.decode)
except ValueError:
    sys.exit("refused")
print("port", server.socket.getsockname()[1], file=sys.stderr, flush=True)
smtpd.DEBUGSTREAM = sys.stdout
Stdin(0)
try:
    asyncore.loop()
except asyncore.ExitNow:
    pass
asyncore.close_all(ignore_all=True)
