# SPDX-License-Identifier: BSD-3-Clause

"""Real clients: Python's smtplib, swaks and curl, against the server that is given.

    clients.py SERVER-COMMAND ...

The tests of smtplib check what CPython's test_smtplib.py checks of smtpd over a socket, under
the same names.
"""

import email.mime.text
import email.utils
import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import unittest
from email.message import EmailMessage

from talk import PATIENCE, Server

BEGIN = "---------- MESSAGE FOLLOWS ----------\n"
END = "------------ END MESSAGE ------------\n"

command = []


class Case(unittest.TestCase):
    words = ["class=debugging", "decode"]

    def setUp(self):
        self.serve(*self.words)

    def serve(self, *words):
        self.server = Server(command, list(words))
        self.addCleanup(self.stop_server, self.server)
        return self.server

    def stop_server(self, server):
        server.stop()
        self.assertEqual(server.process.returncode, 0)

    def client(self, server=None, **kw):
        kw.setdefault("local_hostname", "localhost")
        smtp = smtplib.SMTP("127.0.0.1", (server or self.server).port, timeout=PATIENCE, **kw)
        self.addCleanup(smtp.close)
        return smtp

    def printed(self, server=None):
        """What the server printed, empty lines too."""
        file = (server or self.server).file
        return os.pread(file.fileno(), 1 << 30, 0).decode("utf-8", "backslashreplace")

    def message(self):
        """The message that was printed, without the X-Peer."""
        text = self.printed()
        text = text[text.index(BEGIN):text.index(END) + len(END)]
        return re.sub(r"(?m)^X-Peer: 127\.0\.0\.1\n", "", text)

    def recipients(self):
        return re.findall(r"(?m)^recips: \[(.*)\]$", self.printed())[-1]


class DebuggingServerTests(Case):
    def testBasic(self):
        self.client().quit()

    def testSourceAddress(self):
        smtp = self.client(source_address=("127.0.0.1", 0))
        port = smtp.sock.getsockname()[1]
        smtp.quit()
        self.assertIn("Peer: ('127.0.0.1', %d)\n" % port, self.printed())

    def testNOOP(self):
        self.assertEqual(self.client().noop(), (250, b"OK"))

    def testRSET(self):
        self.assertEqual(self.client().rset(), (250, b"OK"))

    def testELHO(self):
        code, text = self.client().ehlo()
        self.assertEqual((code, text.split(b"\n")[1:]), (250, [b"SIZE 33554432", b"HELP"]))

    def testEXPNNotImplemented(self):
        smtp = self.client()
        smtp.putcmd("EXPN")
        self.assertEqual(smtp.getreply(), (502, b"EXPN not implemented"))

    def test_issue43124_putcmd_escapes_newline(self):
        smtp = self.client()
        with self.assertRaises(ValueError):
            smtp.putcmd("helo\nX-INJECTED")
        smtp.quit()
        self.assertNotIn("X-INJECTED", self.printed())

    def testVRFY(self):
        smtp = self.client()
        expected = (252, b"Cannot VRFY user, but will accept message and attempt delivery")
        self.assertEqual(smtp.vrfy("nobody@nowhere.com"), expected)
        self.assertEqual(smtp.verify("nobody@nowhere.com"), expected)

    def testSecondHELO(self):
        smtp = self.client()
        smtp.helo()
        self.assertEqual(smtp.helo(), (503, b"Duplicate HELO/EHLO"))

    def testHELP(self):
        self.assertEqual(self.client().help(), b"Supported commands: EHLO HELO MAIL RCPT DATA "
                                               b"RSET NOOP QUIT VRFY")

    def send(self, sender, message):
        smtp = self.client()
        smtp.sendmail(sender, "Sally", message)
        smtp.quit()

    def testSend(self):
        self.send("John", "A test message")
        self.assertEqual(self.message(), BEGIN + "A test message\n" + END)

    def testSendBinary(self):
        self.send("John", b"A test message")
        self.assertEqual(self.message(), BEGIN + "A test message\n" + END)

    def testSendNeedingDotQuote(self):
        self.send("John", ".A test\n.mes.sage.")
        self.assertEqual(self.message(), BEGIN + ".A test\n.mes.sage.\n" + END)

    def test_issue43124_escape_localhostname(self):
        smtp = self.client(local_hostname="hi\nX-INJECTED")
        with self.assertRaises(ValueError):
            smtp.sendmail("hi@me.com", "you@me.com", "text")
        smtp.quit()
        self.assertNotIn("X-INJECTED", self.printed())

    def test_issue43124_escape_options(self):
        smtp = self.client()
        smtp.sendmail("hi@me.com", "you@me.com", "text")
        with self.assertRaises(ValueError):
            smtp.mail("hi@me.com", ["X-OPTION\nX-INJECTED-1"])
        smtp.quit()
        self.assertNotIn("X-", self.printed())

    def testSendNullSender(self):
        self.send("<>", "A test message")
        self.assertEqual(self.message(), BEGIN + "A test message\n" + END)
        self.assertIn("\nsender: <>\n", self.printed())

    def send_message(self, message, **kw):
        smtp = self.client()
        smtp.send_message(message, **kw)
        smtp.quit()
        del message["Bcc"], message["Resent-Bcc"]
        self.assertEqual(self.message(), BEGIN + message.as_string() + "\n" + END)

    def testSendMessage(self):
        self.send_message(email.mime.text.MIMEText("A test message"), from_addr="John",
                          to_addrs="Sally")

    def with_headers(self, **headers):
        message = email.mime.text.MIMEText("A test message")
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        return message

    def testSendMessageWithAddresses(self):
        self.send_message(self.with_headers(
            From="foo@bar.com", To="John", CC="Sally, Fred",
            Bcc='John Root <root@localhost>, "Dinsdale" <warped@silly.walks.com>'))
        self.assertIn("\nsender: foo@bar.com\n", self.printed())
        self.assertEqual(sorted(self.recipients().split(", ")),
                         ["'Fred'", "'John'", "'Sally'", "'root@localhost'",
                          "'warped@silly.walks.com'"])

    def testSendMessageWithSomeAddresses(self):
        self.send_message(self.with_headers(From="foo@bar.com", To="John, Dinsdale"))
        self.assertEqual(self.recipients(), "'John', 'Dinsdale'")

    def testSendMessageWithSpecifiedAddresses(self):
        self.send_message(self.with_headers(From="foo@bar.com", To="John, Dinsdale"),
                          from_addr="joe@example.com", to_addrs="foo@example.net")
        self.assertIn("\nsender: joe@example.com\n", self.printed())
        self.assertEqual(self.recipients(), "'foo@example.net'")

    def testSendMessageWithMultipleFrom(self):
        self.send_message(self.with_headers(From="Bernard, Bianca", Sender="the_rescuers@Rescue-"
                                            "Aid-Society.com", To="John, Dinsdale"))
        self.assertIn("\nsender: the_rescuers@Rescue-Aid-Society.com\n", self.printed())

    def testSendMessageResent(self):
        self.send_message(self.with_headers(
            From="foo@bar.com", To="John", CC="Sally, Fred", Bcc="root@localhost",
            Resent_Date="Thu, 1 Jan 1970 17:42:00 +0000", Resent_From="holy@grail.net",
            Resent_To="Martha <my_mom@great.cooker.com>, Jeff", Resent_Bcc="doe@losthope.net"))
        self.assertIn("\nsender: holy@grail.net\n", self.printed())
        self.assertEqual(sorted(self.recipients().split(", ")),
                         ["'Jeff'", "'doe@losthope.net'", "'my_mom@great.cooker.com'"])

    def testSendMessageMultipleResentRaises(self):
        message = self.with_headers(From="foo@bar.com", To="John",
                                    Resent_Date="Thu, 1 Jan 1970 17:42:00 +0000")
        message["Resent-Date"] = "Thu, 2 Jan 1970 17:42:00 +0000"
        with self.assertRaises(ValueError):
            self.client().send_message(message)


class SMTPSimTests(Case):
    words = ["class=sim", "decode"]

    def testVRFY(self):
        self.assertEqual(self.client().vrfy("somebody"), (250, b"somebody is here"))

    def test_quit_resets_greeting(self):
        smtp = self.client()
        smtp.ehlo()
        self.assertIn("size", smtp.esmtp_features)
        smtp.quit()
        smtp.connect("127.0.0.1", self.server.port)
        self.assertNotIn("size", smtp.esmtp_features)
        smtp.ehlo_or_helo_if_needed()
        self.assertIn("size", smtp.esmtp_features)
        smtp.quit()

    def test_with_statement(self):
        with self.client() as smtp:
            self.assertEqual(smtp.noop()[0], 250)
        with self.assertRaises(smtplib.SMTPServerDisconnected):
            smtp.send(b"foo")

    def test_with_statement_QUIT_failure(self):
        server = self.serve("class=sim", "decode", "reply-QUIT=421 QUIT FAILED!")
        with self.assertRaises(smtplib.SMTPResponseException) as error:
            with self.client(server) as smtp:
                smtp.noop()
        self.assertEqual((error.exception.smtp_code, error.exception.smtp_error),
                         (421, b"QUIT FAILED"))

    def refused(self, error, *words, to="Sally"):
        smtp = self.client(self.serve("class=sim", "decode", *words))
        with self.assertRaises(error) as caught:
            smtp.sendmail("John", to, "test message")
        self.assertIsNone(smtp.sock)
        return caught.exception

    def test__rest_from_mail_cmd(self):
        self.refused(smtplib.SMTPSenderRefused, "reply-MAIL=451 Requested action aborted!")

    def test_421_from_mail_cmd(self):
        self.refused(smtplib.SMTPSenderRefused, "reply-MAIL=421 closing connection")
        self.assertNotIn("rset", self.printed())

    def test_421_from_rcpt_cmd(self):
        error = self.refused(smtplib.SMTPRecipientsRefused,
                             "reply-RCPT=250 accepted|421 closing", to=["Sally", "Frank"])
        self.assertEqual(error.recipients, {"Frank": (421, b"closing")})

    def test_421_from_data_cmd(self):
        self.refused(smtplib.SMTPDataError, "reply-BODY=421 closing")

    def test_smtputf8_NotSupportedError_if_no_server_support(self):
        smtp = self.client()
        smtp.ehlo()
        self.assertFalse(smtp.has_extn("smtputf8"))
        with self.assertRaises(smtplib.SMTPNotSupportedError):
            smtp.mail("John", options=["BODY=8BITMIME", "SMTPUTF8"])

    def test_send_message_error_on_non_ascii_addrs_if_no_smtputf8(self):
        message = EmailMessage()
        message["From"] = "Páolo <főo@bar.com>"
        message["To"] = "Dinsdale"
        with self.assertRaises(smtplib.SMTPNotSupportedError):
            self.client().send_message(message)

    def test_name_field_not_included_in_envelop_addresses(self):
        message = EmailMessage()
        message["From"] = email.utils.formataddr(("Michaël", "michael@example.com"))
        message["To"] = email.utils.formataddr(("René", "rene@example.com"))
        self.assertEqual(self.client().send_message(message), {})
        self.assertIn("to ['rene@example.com']\nsender michael@example.com\n", self.printed())


class SMTPUTF8SimTests(Case):
    words = ["class=dummy", "utf8"]

    def delivered(self, sender, recipient, data, options="['BODY=8BITMIME', 'SMTPUTF8']"):
        self.assertIn("to ['%s']\nsender %s\nmail_options %s\nrcpt_options []\n%r\n" %
                      (recipient, sender, options, data), self.printed())

    def test_test_server_supports_extensions(self):
        smtp = self.client()
        smtp.ehlo()
        self.assertTrue(smtp.does_esmtp)
        self.assertTrue(smtp.has_extn("smtputf8"))

    def test_send_unicode_with_SMTPUTF8_via_sendmail(self):
        data = "¡a test message containing unicode!".encode()
        self.client().sendmail("Jőhn", "Sálly", data,
                               mail_options=["BODY=8BITMIME", "SMTPUTF8"])
        self.delivered("Jőhn", "Sálly", data, "['SIZE=%d', 'BODY=8BITMIME', 'SMTPUTF8']" %
                       len(data))

    def test_send_unicode_with_SMTPUTF8_via_low_level_API(self):
        data = "¡a test message containing unicode!".encode()
        smtp = self.client()
        smtp.ehlo()
        self.assertEqual(smtp.mail("Jő", options=["BODY=8BITMIME", "SMTPUTF8"]), (250, b"OK"))
        self.assertEqual(smtp.rcpt("János"), (250, b"OK"))
        self.assertEqual(smtp.data(data), (250, b"SMTPUTF8 message okish"))
        self.delivered("Jő", "János", data)

    def test_send_message_uses_smtputf8_if_addrs_non_ascii(self):
        message = EmailMessage()
        message["From"] = "Páolo <főo@bar.com>"
        message["To"] = "Dinsdale"
        message["Subject"] = "Nudge nudge, wink, wink \u1F609"
        message.set_content("oh là là, know what I mean?\n\n")
        self.assertEqual(self.client().send_message(message), {})
        self.assertIn("to ['Dinsdale']\nsender főo@bar.com\nmail_options ['SIZE=",
                      self.printed())
        self.assertIn(repr("oh là là, know what I mean?".encode())[2:-1], self.printed())


class OtherTests(Case):
    """What test_smtplib does not ask."""

    def test_too_large_for_SIZE(self):
        smtp = self.client(self.serve("class=dummy", "size=1000"))
        with self.assertRaises(smtplib.SMTPSenderRefused) as caught:
            smtp.sendmail("a@b", "c@d", b"x" * 1001)
        self.assertEqual(caught.exception.smtp_code, 552)
        self.assertEqual(smtp.sendmail("a@b", "c@d", b"x" * 1000), {})

    def test_too_large_unannounced(self):
        smtp = self.client(self.serve("class=dummy", "size=1000"))
        smtp.helo()
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            smtp.mail("a@b")
            smtp.rcpt("c@d")
            raise smtplib.SMTPDataError(*smtp.data(b"x" * 100000))
        self.assertEqual((caught.exception.smtp_code, caught.exception.smtp_error),
                         (552, b"Error: Too much mail data"))

    def test_large_message(self):
        text = b"0123456789abcde\r\n" * 200000
        self.client(self.serve("class=dummy", "size=0")).sendmail("a@b", "c@d", text)
        self.assertIn("\n%r\n" % text.replace(b"\r\n", b"\n")[:-1], self.printed())

    def test_many_clients(self):
        clients = [self.client() for _ in range(50)]
        for number, smtp in enumerate(clients):
            smtp.sendmail("a%d@b" % number, "c@d", "message %d" % number)
        for number, smtp in enumerate(clients):
            smtp.quit()
            self.assertIn("\nmessage %d\n" % number, self.printed())

    def test_socket_uses_IPv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6")
        server = self.serve("class=debugging", "decode", "host=::1")
        with smtplib.SMTP("::1", server.port, local_hostname="localhost") as smtp:
            smtp.sendmail("a@b", "c@d", "a: b\n\nc")
        self.assertIn("a: b\nX-Peer: ::1\n\nc\n", self.printed(server))

    def test_socket_uses_IPv4(self):
        self.client().sendmail("a@b", "c@d", "a: b\n\nc")
        self.assertIn("a: b\nX-Peer: 127.0.0.1\n\nc\n", self.printed())


class ProxyTests(Case):
    words = ["class=debugging", "decode"]

    def test_relays(self):
        proxy = self.serve("class=proxy", "decode", "remote=%d" % self.server.port)
        smtp = self.client(proxy)
        self.assertEqual(smtp.sendmail("a@b", ["c@d", "e@f"], "Subject: x\n\n.y"), {})
        smtp.quit()
        self.server = proxy
        self.assertIn("Data: 'Subject: x\\r\\n\\r\\n..y'", self.printed())

    def test_a_chain(self):
        ports = [self.server]
        for _ in range(3):
            ports.append(self.serve("class=proxy", "decode", "remote=%d" % ports[-1].port))
        with self.client(ports[-1]) as smtp:
            smtp.sendmail("a@b", "c@d", "Subject: x\n\ny")
        self.assertIn(BEGIN + "Subject: x\n" + 4 * "X-Peer: 127.0.0.1\n" + "\ny\n" + END,
                      self.printed(ports[0]))


class OurProxyTests(Case):
    """Of these Python's PureProxy is not capable."""

    def test_relays_bytes(self):
        upstream = self.serve("class=dummy")
        proxy = self.serve("class=proxy", "remote=%d" % upstream.port)
        with self.client(proxy) as smtp:
            smtp.sendmail("a@b", "c@d", b"Subject: x\n\nh\xe9llo\n")
        self.assertIn(repr(b"Subject: x\nX-Peer: 127.0.0.1\n\nh\xe9llo"), self.printed(upstream))

    def test_others_are_served_meanwhile(self):
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            upstream.settimeout(PATIENCE)
            proxy = self.serve("class=proxy", "decode",
                               "remote=%d" % upstream.getsockname()[1])
            one = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
            one.sendall(b"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n")
            remote, _ = upstream.accept()
            with self.client(proxy) as smtp:
                self.assertEqual(smtp.noop(), (250, b"OK"))
            remote.sendall(b"220 x\r\n")
            self.assertEqual(remote.recv(4), b"ehlo")
            remote.close()
            one.shutdown(socket.SHUT_WR)
            replies = one.makefile("rb").readlines()
            one.close()
            self.assertEqual([r[:3] for r in replies],
                             [b"220", b"250", b"250", b"250", b"354", b"250", b"250"])

    def test_the_client_leaves_meanwhile(self):
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            upstream.settimeout(PATIENCE)
            proxy = self.serve("class=proxy", "decode",
                               "remote=%d" % upstream.getsockname()[1])
            one = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
            one.sendall(b"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n")
            remote, _ = upstream.accept()
            one.close()
            with remote, remote.makefile("rb") as lines:
                remote.sendall(b"220 x\r\n")
                for reply in b"250 x", b"250 x", b"250 x", b"354 x":
                    lines.readline()
                    remote.sendall(reply + b"\r\n")
                while lines.readline() != b".\r\n":
                    pass
                remote.sendall(b"250 x\r\n")
                self.assertEqual(lines.readline(), b"quit\r\n")
                remote.sendall(b"221 x\r\n")
                self.assertEqual(lines.readline(), b"")

    def test_the_end_in_the_middle_of_a_delivery(self):
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            upstream.settimeout(PATIENCE)
            proxy = self.serve("class=proxy", "decode",
                               "remote=%d" % upstream.getsockname()[1])
            one = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
            one.sendall(b"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n")
            remote, _ = upstream.accept()
            self.stop_server(proxy)
            one.close()
            remote.close()


class ProgramTests(Case):
    """Clients that are programs."""

    words = ["class=debugging"]

    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest("no " + program)

    def run_client(self, *words, status=0):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE)
        self.assertEqual(done.returncode, status, done.stdout.decode())
        return done.stdout.decode()

    def file(self, data):
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        file.write(data)
        file.flush()
        return file.name

    def curl(self, data, status=0, server=None):
        self.need("curl")
        if " smtp" not in self.run_client("curl", "--version"):
            self.skipTest("this curl knows no SMTP")
        return self.run_client("curl", "-sS", "--noproxy", "*",
                               "smtp://127.0.0.1:%d/client.example" %
                               (server or self.server).port, "--mail-from", "ann@example",
                               "--mail-rcpt", "bob@example", "--mail-rcpt", "cid@example",
                               "-T", self.file(data), status=status)

    def swaks(self, *words, status=0):
        self.need("swaks")
        return self.run_client("swaks", "--server", "127.0.0.1", "--port",
                               str(self.server.port), "--ehlo", "client.example", "--from",
                               "ann@example", "--to", "bob@example,cid@example", *words,
                               status=status)

    def test_curl(self):
        self.curl(b"Subject: x\r\n\r\n.dot\r\nh\xc3\xa9\r\n")
        self.assertIn("sender: ann@example\n", self.printed())
        self.assertEqual(self.recipients(), "'bob@example', 'cid@example'")
        text = self.message()
        self.assertIn("\nb'Subject: x'\nb'X-Peer: 127.0.0.1'\nb''\nb'.dot'\nb'h\\xc3\\xa9'\n"
                      + END, text)

    def test_curl_too_large(self):
        server = self.serve("class=debugging", "size=10")
        said = self.curl(b"12345678901\r\n", status=55, server=server)
        self.assertIn("552", said)

    def test_swaks(self):
        said = self.swaks("--data", "Subject: x\\n\\n.dot\\nlast")
        self.assertIn("<-  250-8BITMIME", said)
        self.assertIn("<-  221 Bye", said)
        self.assertEqual(self.recipients(), "'bob@example', 'cid@example'")
        self.assertIn("\nb'Subject: x'\nb'X-Peer: 127.0.0.1'\nb''\nb'.dot'\nb'last'\n",
                      self.message())

    def test_swaks_pipelining(self):
        said = self.swaks("--pipeline", "--data", "Subject: y\\n\\nz")
        self.assertIn("<-  221 Bye", said)
        self.assertIn("\nb'z'\n", self.message())

    def test_swaks_helo_and_many(self):
        self.swaks("--protocol", "SMTP", "--data", "Subject: one\\n\\n1")
        self.swaks("--protocol", "SMTP", "--data", "Subject: two\\n\\n2", "--quit-after", "RCPT")
        self.assertEqual(self.printed().count(BEGIN), 1)


def main(module):
    """Run the tests of a module; what follows "--" are the names of some."""
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    command.extend(sys.argv[1:split])
    if any("server.py" in word for word in command):
        unittest.skip("Python's cannot")(OurProxyTests)
    unittest.main(module, argv=sys.argv[:1] + sys.argv[split + 1:], warnings="ignore")


if __name__ == "__main__":
    main("__main__")
