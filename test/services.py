# SPDX-License-Identifier: BSD-3-Clause

# The tests of services.sh:
#
#	services.py PROGRAMS ORIGINALS		the directories of the two

import fcntl
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile

LIMIT = 30          # seconds that anything may take
PORT = 1            # nobody listens there
MOST_CONNECTIONS, LONGEST_LINE = 16, 1000      # of command_server
programs, originals = sys.argv[1:]
os.environ['LC_ALL'] = 'C'


def kinds(name):
    """The argument lists of a program: that of C, and that of Python if it can run."""
    yield [os.path.join(programs, name)]
    python = [sys.executable, '-W', 'ignore']
    if subprocess.call(python + ['-c', 'import asyncore, asynchat'],
                       stderr=subprocess.DEVNULL) == 0:
        yield python + [os.path.join(originals, name + '.py')]


class Server:
    """A running server; `end` is the last line that it printed."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        assert self.line.startswith('listening at '), argv
        self.port = self.line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def ends(self):
        out, _ = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 0, self.process.returncode
        return out


class Running(subprocess.Popen):
    """A process that does not outlive its test."""

    def __init__(self, argv):
        super().__init__(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __exit__(self, *why):
        self.kill()
        super().__exit__(*why)


def client(argv, *arguments):
    """Status, lines and complaints of a client."""
    run = subprocess.run([*argv, *map(str, arguments)], timeout=LIMIT, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return run.returncode, run.stdout.splitlines(), run.stderr


def equal(found, expected):
    assert found == expected, 'found %.2000r, not %.2000r' % (found, expected)


# --- UDP ----------------------------------------------------------------------------------

TIME = rb'[0-2]\d:[0-5]\d:[0-5]\d'


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(('127.0.0.1', 0))
    sock.settimeout(LIMIT)
    return sock


def udp_peers(server):
    """Each of several peers gets the answers to its own questions, in order."""
    peers = [udp() for _ in range(5)]
    for question in b'%d', b'again-%d', b'':
        for i, peer in enumerate(peers):
            text = question % i if question else b''
            peer.sendto(text, ('127.0.0.1', int(server.port)))
        for i, peer in enumerate(peers):
            text = question % i if question else b''
            answer, address = peer.recvfrom(1024)
            assert re.fullmatch(re.escape(text) + b' ' + TIME, answer), answer
            equal(address[1], int(server.port))
    for peer in peers:
        peer.close()


def udp_no_question(server):
    """What is no question is not answered, and what is as long as a question may be, is."""
    with udp() as peer:
        longest = b'q' * 64
        for text in b'a b', b' ', longest + b'q', b'q' * 2000, longest:
            peer.sendto(text, ('127.0.0.1', int(server.port)))
        assert re.fullmatch(longest + b' ' + TIME, peer.recv(1024))
        peer.setblocking(False)
        try:
            answer = peer.recv(1024)
        except BlockingIOError:
            return
        assert False, answer


def udp_clients(servers):
    """A client has the time of every server, and says which port does not answer."""
    ports = [server.port for server in servers]
    for argv in kinds('udp_time_client'):
        status, lines, _ = client(argv, LIMIT, 1, *ports)
        equal(status, 0)
        equal(sorted(line.split(':')[0] for line in lines),
              sorted('port ' + port for port in ports))
        assert all(re.fullmatch(TIME.decode(), line.split(': ')[1]) for line in lines), lines
        status, lines, _ = client(argv, LIMIT, 1, PORT, *ports)
        equal(status, 1)
        assert 'port %d: Connection refused' % PORT in lines, lines
        equal(len(lines), 1 + len(ports))


def udp_silence():
    """Who gets no answer asks as often as he was told, the same, and gives up."""
    for argv in kinds('udp_time_client'):
        with udp() as peer:
            port = peer.getsockname()[1]
            equal(client(argv, 0.05, 3, port)[:2], (1, ['port %d: no answer' % port]))
            peer.setblocking(False)
            questions = [peer.recv(100) for _ in range(3)]
            equal(questions, [questions[0]] * 3)
            try:
                assert False, peer.recv(100)
            except BlockingIOError:
                pass


def udp_loss():
    """A lost question is asked again; what is no answer to it is not taken for one."""
    for argv in kinds('udp_time_client'):
        with udp() as peer:
            port = peer.getsockname()[1]
            with Running([*argv, '0.1', '300', str(port)]) as process:
                peer.recv(100)
                question, address = peer.recvfrom(100)
                for answer in b'', b'x', question, b'1' + question + b' 1', question + b'1 2':
                    peer.sendto(answer, address)
                peer.sendto(question + b' 12:34:56', address)
                equal(process.communicate(timeout=LIMIT)[0], 'port %d: 12:34:56\n' % port)
                equal(process.returncode, 0)


def test_udp():
    servers = [Server(argv) for argv in kinds('udp_time_server')]
    try:
        for server in servers:
            udp_peers(server)
            udp_no_question(server)
        udp_clients(servers)
    finally:
        for server in servers:
            server.__exit__()
    udp_silence()
    udp_loss()


# --- Commands -----------------------------------------------------------------------------

# What one connection says, and what it hears.
DIALOGUE = [
    (b'status', b'ok 1 connections, 0 settings, 1 commands'),
    (b'set colour dark blue', b'ok'),
    (b'get colour', b'ok dark blue'),
    (b'set colour ', b'ok'),
    (b'get colour', b'ok '),
    (b'set empty', b'error: no such command'),
    (b'get none', b'error: no such setting'),
    (b'get ', b'error: no such setting'),
    (b'get a b', b'error: no such command'),
    (b'get', b'error: no such command'),
    (b'', b'error: no such command'),
    (b' status', b'error: no such command'),
    (b'status ', b'error: no such command'),
    (b'status\r', b'error: no such command'),
    (b'statu', b'error: no such command'),
    (b'status\0', b'error: no such command'),
    (b'set nul a\0b', b'error: no such command'),
    (b'set bytes \xff\xfe\x01', b'ok'),
    (b'get bytes', b'ok \xff\xfe\x01'),
    (b'set long '.ljust(LONGEST_LINE, b'x'), b'ok'),
    (b'get long', b'ok '.ljust(LONGEST_LINE - 6, b'x')),
    (b'status', b'ok 1 connections, 3 settings, 22 commands'),
] + [(b'set s%d %d' % (i, i), b'ok' if i < 97 else b'error: too many settings')
     for i in range(100)] + [
    (b'set s7 seven', b'ok'),
    (b'get s7', b'ok seven'),
    (b'get s99', b'error: no such setting'),
]
SAID = b''.join(said + b'\n' for said, _ in DIALOGUE)
HEARD = b''.join(heard + b'\n' for _, heard in DIALOGUE)


class Peer:
    """A connection to a command server."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)       # before settimeout(): it waits for a place in the backlog
        self.socket.settimeout(LIMIT)
        self.file = self.socket.makefile('rb')

    def ask(self, command):
        self.socket.sendall(command + b'\n')
        return self.file.readline()

    def close(self):
        self.file.close()
        self.socket.close()


def starts(argv, path):
    return Server([*argv, path])


def is_refused(argv, path):
    run = subprocess.run([*argv, path], timeout=LIMIT, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.returncode != 0 and 'Address already in use' in run.stderr, run
    equal(run.stdout, '')


def command_dialogue(argv, path):
    """The same answers to the same bytes, however these are cut."""
    for size in 1, 7, len(SAID):
        with starts(argv, path) as server:
            peer = Peer(path)
            for i in range(0, len(SAID), size):
                peer.socket.sendall(SAID[i:i + size])
            equal(peer.file.read(len(HEARD)), HEARD)
            equal(peer.ask(b'stop'), b'ok\n')
            equal(peer.file.read(), b'')
            peer.close()
            equal(server.ends(), 'stopped after %d commands\n' % (len(DIALOGUE) + 1))


def command_clients(argv, path):
    """The clients print the answers, and tell by their status what these were."""
    for program in kinds('command_client'):
        with starts(argv, path) as server:
            equal(client(program, path, 'set a b c', 'get a'), (0, ['ok', 'ok b c'], ''))
            equal(client(program, path, 'get b', 'get a'),
                  (1, ['error: no such setting', 'ok b c'], ''))
            status, lines, complaint = client(program, path, 'stop', 'status')
            equal((status, lines), (1, ['ok']))
            assert '1 commands were not answered' in complaint, complaint
            server.ends()
        status, lines, complaint = client(program, path, 'status')
        equal((status, lines), (1, []))
        assert re.search('No such file or directory|ENOENT', complaint), complaint


def command_socket(argv, path):
    """The socket is its owner's alone, and is removed; nobody else's file ever is."""
    with starts(argv, path) as server:
        equal(stat.S_IFMT(os.lstat(path).st_mode), stat.S_IFSOCK)
        equal(stat.S_IMODE(os.lstat(path).st_mode), 0o600)
        for other in kinds('command_server'):
            is_refused(other, path)
        equal(Peer(path).ask(b'get a'), b'error: no such setting\n')
        server.process.send_signal(signal.SIGTERM)
        server.ends()
    assert not os.path.lexists(path)

    with starts(argv, path) as server:      # killed, it leaves a socket to the next one
        pass
    equal(stat.S_IFMT(os.lstat(path).st_mode), stat.S_IFSOCK)
    with starts(argv, path) as server:
        peer = Peer(path)
        os.unlink(path)                     # somebody else's now
        with open(path, 'w') as file:
            file.write('precious')
        equal(peer.ask(b'stop'), b'ok\n')
        server.ends()
    is_refused(argv, path)
    with open(path) as file:
        equal(file.read(), 'precious')
    os.unlink(path)
    os.symlink(path + '.none', path)
    is_refused(argv, path)
    assert os.path.islink(path)
    os.unlink(path)


def is_waiting_for_lock(process):
    with open('/proc/locks') as locks:
        return any(re.search(r'-> FLOCK .* %d ' % process.pid, line) for line in locks)


def command_lock(argv, path):
    """A server waits until another one that starts listens, and does not replace it then."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    other = socket.socket(socket.AF_UNIX)
    other.bind(path)                    # and does not listen yet
    with Running([*argv, path]) as process:
        while not is_waiting_for_lock(process):
            equal(select.select([process.stdout], [], [], 0.05)[0], [])
        other.listen(1)
        os.close(directory)
        out, complaint = process.communicate(timeout=LIMIT)
    assert out == '' and 'Address already in use' in complaint, complaint
    other.close()
    os.unlink(path)


def command_race(argv, path):
    """Of servers that start at once on a stale socket one wins, and can be reached."""
    with starts(argv, path):
        pass
    commands = [argv, *kinds('command_server')] * 2
    processes = [subprocess.Popen([*command, path], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True) for command in commands]
    try:
        lines = [process.stdout.readline() for process in processes]
        equal(sorted(map(bool, lines)), [False] * (len(lines) - 1) + [True])
        equal(Peer(path).ask(b'stop'), b'ok\n')
    finally:
        for process in processes:
            process.wait(timeout=LIMIT)
            process.stdout.close()
    assert not os.path.lexists(path)


def command_limits(argv, path):
    """A line that is too long ends its connection; connections beyond the limit wait."""
    with starts(argv, path) as server:
        peer = Peer(path)
        peer.socket.sendall(b'x' * (LONGEST_LINE + 1))
        equal(peer.file.read(), b'')
        peer.close()

        peers = [Peer(path) for _ in range(MOST_CONNECTIONS)]
        for peer in peers:
            peer.ask(b'get a')
        late = Peer(path)
        late.socket.sendall(b'status\n')
        full = b'ok %d connections, 0 settings' % (MOST_CONNECTIONS)
        for _ in range(10):
            assert peers[0].ask(b'status').startswith(full)
        equal(select.select([late.socket], [], [], 0)[0], [])
        peers.pop().close()
        assert late.file.readline().startswith(full)
        late.close()
        server.process.send_signal(signal.SIGTERM)
        server.ends()
        for peer in peers:
            equal(peer.file.read(), b'')
            peer.close()


def command_end(argv, path):
    """Answers that wait are sent when the server ends; and it ends only then."""
    count = 2000
    answer = b'ok ' + b'x' * 900 + b'\n'
    with starts(argv, path) as server:
        slow, other = Peer(path), Peer(path)
        other.ask(b'set long ' + b'x' * 900)
        slow.socket.sendall(b'get long\n' * count)
        while not other.ask(b'status').startswith(b'ok 2 connections, 1 settings'):
            pass
        while int(other.ask(b'status').split()[-2]) < count:
            pass
        server.process.send_signal(signal.SIGTERM)
        equal(other.file.read(), b'')       # it is stopping
        slow.socket.sendall(b'get long\nstatus\nset long y\nget long\nstop\n')
        equal(slow.file.read(), answer * count)
        slow.close()
        assert re.fullmatch(r'stopped after \d+ commands\n', server.ends())


def command_farewell(argv, path):
    """A peer that does not read what it asked for cannot keep the server from ending."""
    with starts(argv, path) as server:
        slow, other = Peer(path), Peer(path)
        other.ask(b'set long ' + b'x' * 900)
        slow.socket.sendall(b'get long\n' * 2000)
        while int(other.ask(b'status').split()[-2]) < 2000:
            pass
        equal(other.ask(b'stop'), b'ok\n')
        server.ends()


def test_command():
    with tempfile.TemporaryDirectory(prefix='services.') as directory:
        path = os.path.join(directory, 'socket')
        for argv in kinds('command_server'):
            for test in (command_dialogue, command_clients, command_socket, command_lock,
                         command_race, command_limits, command_end):
                test(argv, path)
        command_farewell(next(kinds('command_server')), path)   # Python's has no timers
        equal(os.listdir(directory), [])


for test in test_udp, test_command:
    test()
    print(test.__name__ + ': ok', flush=True)
print('with', 'the Python originals' if len(list(kinds('udp_time_server'))) > 1
      else 'those in C alone, %s has no asyncore' % sys.executable)
