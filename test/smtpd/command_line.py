# SPDX-License-Identifier: BSD-3-Clause

"""The command line of examples/smtpd, against that of `python3 -m smtpd` where there is one.

    command_line.py PROGRAM
"""

import os
import pwd
import re
import signal
import smtplib
import subprocess
import sys
import unittest

from talk import PATIENCE

program = sys.argv[1]
python = [sys.executable, "-W", "ignore", "-m", "smtpd"]

# Arguments, exit status, and the last line that is said.
WRONG = [
    (["-x"], 1, "option -x not recognized"),
    (["--what"], 1, "option --what not recognized"),
    (["-c"], 1, "option -c requires argument"),
    (["-n", "-s"], 1, "option -s requires argument"),
    (["--size"], 1, "option --size requires argument"),
    (["-V", "-x"], 1, "option -x not recognized"),
    (["-s", "many"], 1, "Invalid size: many"),
    (["--size=1x"], 1, "Invalid size: 1x"),
    (["-s", ""], 1, "Invalid size: "),
    (["a:1", "b:2", "c", "d"], 1, "Invalid arguments: a:1, b:2, c, d"),
    (["here"], 1, "Bad local spec: here"),
    (["here:"], 1, "Bad local port: here:"),
    (["here:smtp"], 1, "Bad local port: here:smtp"),
    (["here:1", "there"], 1, "Bad remote spec: there"),
    (["here:1", "there:x"], 1, "Bad remote port: there:x"),
    (["here:1", "-n"], 1, "Bad remote spec: -n"),
    (["-V"], 0, "Python SMTP proxy version 0.3"),
    (["--vers"], 0, "Python SMTP proxy version 0.3"),
    (["-n", "-d", "--version", "here"], 0, "Python SMTP proxy version 0.3"),
    (["-h"], 0, None),
    (["--help"], 0, None),
]


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE, text=True)
    return done.returncode, done.stdout


class CommandLineTests(unittest.TestCase):
    def check(self, command):
        for words, status, last in WRONG:
            with self.subTest(command=command + words):
                seen, said = run(command + words)
                self.assertEqual(seen, status)
                if last is not None:
                    self.assertEqual(said.split("\n")[-2], last)
                else:
                    self.assertRegex(said, r"Usage: \S+ \[options\] \[localhost:localport "
                                           r"\[remotehost:remoteport\]\]\n")

    def test_what_is_wrong(self):
        self.check([program])

    def test_what_is_wrong_in_python(self):
        if run([sys.executable, "-W", "ignore", "-c", "import asyncore, smtpd"])[0] != 0:
            self.skipTest("no smtpd")
        self.check(python)

    def test_all_options_are_explained(self):
        said = run([program, "-h"])[1]
        self.assertEqual(re.findall(r"(?m)^    (-\S+)", said),
                         ["--nosetuid", "-n", "--version", "-V", "--class", "-c", "--size", "-s",
                          "--smtputf8", "-u", "--debug", "-d", "--help", "-h"])

    def test_what_cannot_start(self):
        for words, said in ((["-c", "NoServer"], 'no class "NoServer"'),
                            (["-u"], "PureProxy does not support SMTPUTF8."),
                            (["-n", "127.0.0.1:70000"], "Invalid argument")):
            with self.subTest(words=words):
                status, text = run([program] + words)
                self.assertEqual((status, text.split(": ", 1)[-1]), (1, said + "\n"))

    def start(self, *words):
        """The program, and its port."""
        process = subprocess.Popen([program, "-d", *words, "127.0.0.1:0"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if line.startswith("Port: "):
                return process, int(line.split()[1])
        self.fail("it did not start")

    def stop(self, process, number):
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE)[0]
        self.assertEqual(process.returncode, 0)
        return said

    def test_serves(self):
        for number in signal.SIGINT, signal.SIGTERM:
            process, port = self.start("-n", "-u", "-s", "1000", "-c", "DebuggingServer")
            with smtplib.SMTP("127.0.0.1", port, "localhost", PATIENCE) as smtp:
                smtp.ehlo()
                self.assertEqual(smtp.esmtp_features,
                                 {"size": "1000", "8bitmime": "", "smtputf8": "", "help": ""})
                smtp.sendmail("a@b", "c@d", b"a: b\n\nc")
            self.assertEqual(self.stop(process, number).split("\n")[1:-2],
                             ["mail options: ['SIZE=7']", "b'a: b'", "b'X-Peer: 127.0.0.1'",
                              "b''", "b'c'"])

    def test_without_a_limit_there_is_no_SIZE(self):
        process, port = self.start("-n")
        with smtplib.SMTP("127.0.0.1", port, "localhost", PATIENCE) as smtp:
            smtp.ehlo()
            self.assertEqual(smtp.esmtp_features, {"8bitmime": "", "help": ""})
        self.stop(process, signal.SIGTERM)

    def test_becomes_nobody(self):
        if os.getuid() != 0:
            status, said = run([program, "127.0.0.1:0"])
            self.assertEqual((status, said),
                             (1, 'Cannot setuid "nobody"; try running with -n option.\n'))
            return
        process, port = self.start()
        with smtplib.SMTP("127.0.0.1", port, "localhost", PATIENCE) as smtp:
            smtp.noop()
            with open("/proc/%d/status" % process.pid) as status:
                uid = re.search(r"(?m)^Uid:\s+(\d+)\s+(\d+)", status.read())
        nobody = str(pwd.getpwnam("nobody").pw_uid)
        self.assertEqual(uid.groups(), (nobody, nobody))
        self.stop(process, signal.SIGTERM)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
