# SPDX-License-Identifier: BSD-3-Clause

"""Run the scenarios of a group on CPython's own asyncore and asynchat, and write their traces.

	run_python.py [-p] GROUP.scenarios [NAME]

-p runs them with use_poll.  FORMAT describes the scenarios and the traces; run_c.c is the
same in C.  What differs between the languages by nature is made the same here: classes of
exceptions become the names of errnos, addresses their kind, a queue of byte strings one entry.
"""

import errno
import os
import re
import resource
import select
import shutil
import socket
import struct
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
import asyncore  # noqa: E402
import asynchat  # noqa: E402

LONG = 80
PATIENCE = 5000		# ms
USE_POLL = False

HANDLERS = ("handle_read handle_write handle_expt handle_connect handle_close "
	    "handle_error handle_accept handle_accepted").split()
GROUPS = {
	"+predicates": ["readable", "writable"],
	"+events": ["handle_read_event", "handle_write_event", "handle_expt_event",
		    "handle_connect_event"],
	"+io": ["send", "recv"],
	"+life": ["close", "add_channel", "del_channel"],
	"+initiate": ["initiate_send"],
	"+terminator": ["get_terminator"],
}
KINDS = {
	"dispatcher": asyncore.dispatcher,
	"with_send": asyncore.dispatcher_with_send,
	"file": asyncore.file_dispatcher,
	"chat": asynchat.async_chat,
}


def say(text):
	sys.stdout.write(text + "\n")


def name_of(error):
	"""What C calls this error."""
	if isinstance(error, asyncore.ExitNow):
		return "EXIT_NOW"
	if isinstance(error, OSError) and error.errno is not None:
		return errno.errorcode.get(error.errno, str(error.errno))
	if isinstance(error, NotImplementedError):
		return "ENOSYS"
	# None has no send(), recv() ...: there is no descriptor.
	if isinstance(error, AttributeError):
		return "EBADF"
	if isinstance(error, (ValueError, TypeError, OverflowError)):
		return "EINVAL"
	return type(error).__name__


def literal(word):
	"""The bytes that a word of a scenario stands for."""
	if word == "-":
		return b""
	times = re.fullmatch(r"(.+)\*(\d+)", word, re.S)
	if times:
		return literal(times.group(1)) * int(times.group(2))
	short = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "s": b" ", "\\": b"\\"}
	out = b""
	i = 0
	while i < len(word):
		if word[i] != "\\":
			out += word[i].encode()
			i += 1
		elif word[i + 1] == "x":
			out += bytes([int(word[i + 2:i + 4], 16)])
			i += 4
		else:
			out += short[word[i + 1]]
			i += 2
	return out


def escaped(data):
	return "".join(chr(c) if 32 < c < 127 and c not in b'"\\' else "\\x%02x" % c for c in data)


def shown(data):
	data = bytes(data)
	if len(data) <= LONG:
		return '"%s"' % escaped(data)
	total = sum(c * (i % 251 + 1) for i, c in enumerate(data)) % 65536
	return '[%d "%s".."%s" %d]' % (len(data), escaped(data[:8]), escaped(data[-8:]), total)


def kind_of(addr):
	if addr is None:
		return "none"
	if isinstance(addr, tuple):
		return "inet6" if ":" in addr[0] else "inet"
	return "unix"


def normal(message):
	"""A log line without what is another one each time, and without Python's own words."""
	message = re.sub(r"<__main__\.(\w+)(.*?) at 0x[0-9a-f]+>", r"<\1\2 at ID>", message, flags=re.S)
	message = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", message)
	message = re.sub(r"(<\w+ (?:listening |connected )?)('.*?'|b'.*?')( at ID>)", r"\1UNIX\3", message)
	return message


class Failed(Exception):
	pass


class Producer:
	"""Gives what its script says, piece by piece: bytes, or !ERRNO to raise."""

	def __init__(self, scenario, name, script):
		self.scenario, self.name, self.script = scenario, name, list(script)

	def more(self):
		piece = self.script.pop(0) if self.script else "-"
		say("> more %s" % self.name)
		if piece.startswith("!"):
			raise OSError(getattr(errno, piece[1:]), "raised")
		return literal(piece)



class Scenario:
	def __init__(self, name):
		self.name = name
		self.steps = []
		self.never = set()
		self.classes = {}
		self.behaviour = {}
		self.calls = {}
		self.channels = {}
		self.maps = {"-": None}
		self.fds = {}
		self.addresses = {}
		self.last = {}
		self.dir = None
		self.usual_files = None

	# ---- What is made of the declarations ----

	def make_class(self, name, kind, words):
		base = KINDS[kind]
		methods = list(HANDLERS) + ["log", "log_info"]
		ignored = base.ignore_log_types
		if kind == "chat":
			methods += ["collect_incoming_data", "found_terminator"]
		for word in words:
			if word in GROUPS:
				methods += GROUPS[word]
			elif word.startswith("ignore:"):
				ignored = word[7:].split(",")
			elif word.startswith("-"):
				methods.remove(word[1:])
			else:
				raise Failed("class: " + word)
		body = {m: self.make_method(m, base) for m in methods}
		body["ignore_log_types"] = ignored
		if kind == "chat":
			body["ac_in_buffer_size"] = body["ac_out_buffer_size"] = 4096
		self.classes[name] = type(name, (base,), body)
		self.classes[name].__module__ = "__main__"

	def make_method(self, method, base):
		scenario = self
		up = getattr(base, method)

		def call(self, *args):
			return scenario.called(self, method, up, args)
		if method == "log_info":
			def call(self, message, type="info"):
				return scenario.called(self, method, up, (message, type))
		return call

	def arguments(self, ch, method, args):
		if method == "handle_error":
			return " " + name_of(sys.exc_info()[1])
		if method == "handle_accepted":
			return " " + kind_of(args[1])
		if method in ("send", "collect_incoming_data"):
			return " " + shown(args[0])
		if method == "recv":
			return " %d" % args[0]
		return ""

	def called(self, ch, method, up, args):
		key = (ch.name, method)
		if method in ("log", "log_info"):
			text = str(args[0])
			if text.startswith("uncaptured"):
				text = "uncaptured exception, closing channel %s (%s)" % (
					repr(ch), name_of(sys.exc_info()[1]))
			text = normal(text)
			say("log %s %s: %s" % (ch.name, method if method == "log" else args[1], text))
			return None
		self.calls[key] = self.calls.get(key, 0) + 1
		n = self.calls[key]
		io = method in ("send", "recv", "close", "add_channel", "del_channel", "readable",
				"writable", "get_terminator", "initiate_send")
		say("%s %s.%s%s" % ("." if io else ">", ch.name, method, self.arguments(ch, method, args)))
		actions = self.behaviour.get(key + (str(n),), self.behaviour.get(key + ("*",)))
		if actions is None:
			if method == "collect_incoming_data":
				return ch._collect_incoming_data(*args)
			if method == "found_terminator":
				say("  data %s" % shown(ch._get_data()))
				return None
			return up(ch, *args)
		if method == "handle_accepted":
			self.fds["accepted"] = args[0]
		result = None
		try:
			for action in actions:
				if action == ["super"]:
					result = up(ch, *args)
				elif action[0] == "return":
					result = int(action[1])
				else:
					self.act(action)
		finally:
			# Nobody has taken it: Python's garbage collector would close it.
			if method == "handle_accepted" and "accepted" in self.fds:
				self.fds.pop("accepted").close()
		return result

	# ---- Actions ----

	def act(self, words):
		if words[0] == "try":
			try:
				self.act(words[1:])
			except Failed:
				raise
			except Exception as e:
				say("! %s %s" % (words[1], name_of(e)))
			return
		getattr(self, "do_" + words[0])(*words[1:])

	def fd_of(self, name):
		if name in self.fds:
			return self.fds[name].fileno() if not isinstance(self.fds[name], int) else self.fds[name]
		return self.channels[name].socket.fileno()

	def wait_fd(self, fd, events):
		p = select.poll()
		p.register(fd, events)
		return bool(p.poll(PATIENCE))

	def do_raise(self, name):
		raise OSError(getattr(errno, name), "raised")

	def do_exit(self):
		raise asyncore.ExitNow()

	def do_say(self, *words):
		say("  " + " ".join(words))

	def do_nothing(self):
		pass

	# Descriptors

	def do_pair(self, a, b):
		self.fds[a], self.fds[b] = socket.socketpair()
		self.fds[a].setblocking(False)
		self.fds[b].setblocking(False)

	def do_dgrampair(self, a, b):
		self.fds[a], self.fds[b] = socket.socketpair(type=socket.SOCK_DGRAM)
		self.fds[a].setblocking(False)
		self.fds[b].setblocking(False)

	def do_tcppair(self, a, b):
		with socket.socket() as listener:
			listener.bind(("127.0.0.1", 0))
			listener.listen(1)
			self.fds[b] = socket.socket()
			self.fds[b].connect(listener.getsockname())
			self.fds[a] = listener.accept()[0]
		for s in (self.fds[a], self.fds[b]):
			s.setblocking(False)
			s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

	def do_pipe(self, r, w):
		self.fds[r], self.fds[w] = os.pipe()

	def do_file(self, name, content):
		f, path = tempfile.mkstemp(dir=self.directory())
		os.write(f, literal(content))
		os.lseek(f, 0, 0)
		self.fds[name] = f

	def do_socket(self, name):
		self.fds[name] = socket.socket()

	def do_listener(self, name):
		s = self.fds[name] = socket.socket()
		s.bind(("127.0.0.1", 0))
		s.listen(5)
		s.setblocking(False)
		self.addresses[name] = s.getsockname()

	def do_refused(self, name):
		s = self.fds[name] = socket.socket()
		s.bind(("127.0.0.1", 0))
		self.addresses[name] = s.getsockname()

	def directory(self):
		if self.dir is None:
			self.dir = tempfile.mkdtemp()
		return self.dir

	def do_path(self, name):
		self.addresses[name] = os.path.join(self.directory(), name)

	def do_address(self, name, of):
		self.addresses[name] = socket.socket.getsockname(
			self.fds.get(of) or self.channels[of].socket)

	# The peer

	def do_put(self, name, word):
		data = literal(word)
		while data:
			if not self.wait_fd(self.fd_of(name), select.POLLOUT):
				raise Failed("put")
			data = data[os.write(self.fd_of(name), data):]

	def do_datagram(self, name, word):
		"""One write, of nothing, too."""
		os.write(self.fd_of(name), literal(word))

	def do_no_files(self):
		"""From now on there is no descriptor to be had."""
		self.do_files()
		soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
		following = os.dup(0)
		os.close(following)
		self.usual_files = soft
		resource.setrlimit(resource.RLIMIT_NOFILE, (following, hard))

	def do_files(self):
		if self.usual_files is not None:
			hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
			resource.setrlimit(resource.RLIMIT_NOFILE, (self.usual_files, hard))
		self.usual_files = None

	def do_take(self, name, count):
		data = b""
		while len(data) < int(count):
			if not self.wait_fd(self.fd_of(name), select.POLLIN):
				break
			piece = os.read(self.fd_of(name), int(count) - len(data))
			if not piece:
				break
			data += piece
		say("< %s %s" % (name, shown(data)))

	def do_look(self, name):
		"""What is there now, and how it ends."""
		data = b""
		end = ""
		try:
			while True:
				piece = os.read(self.fd_of(name), 65536)
				if not piece:
					end = " end"
					break
				data += piece
		except BlockingIOError:
			pass
		except OSError as e:
			end = " " + name_of(e)
		say("< %s %s%s" % (name, shown(data), end))

	def do_drain(self, name):
		data = b""
		end = ""
		try:
			while True:
				if not self.wait_fd(self.fd_of(name), select.POLLIN):
					end = " open"
					break
				piece = os.read(self.fd_of(name), 65536)
				if not piece:
					end = " end"
					break
				data += piece
		except OSError as e:
			end = " " + name_of(e)
		say("< %s %s%s" % (name, shown(data), end))

	def do_fill(self, name):
		try:
			while True:
				os.write(self.fd_of(name), b"x" * 65536)
		except BlockingIOError:
			pass

	def do_empty(self, name):
		try:
			while os.read(self.fd_of(name), 65536):
				pass
		except BlockingIOError:
			pass

	def do_shut(self, name):
		self.fds[name].shutdown(socket.SHUT_WR)

	def do_end(self, name):
		fd = self.fds.pop(name)
		os.close(fd) if isinstance(fd, int) else fd.close()

	def do_reset(self, name):
		s = self.fds.pop(name)
		s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		s.close()

	def do_urgent(self, name, word):
		self.fds[name].send(literal(word), socket.MSG_OOB)

	def do_oob(self, name):
		say("-> %s" % shown(self.channels[name].socket.recv(1, socket.MSG_OOB)))

	def do_dial(self, name, address):
		s = self.fds[name] = socket.socket(
			socket.AF_UNIX if isinstance(self.addresses[address], str) else socket.AF_INET)
		s.connect(self.addresses[address])
		s.setblocking(False)

	def do_pickup(self, name, listener):
		if not self.wait_fd(self.fd_of(listener), select.POLLIN):
			raise Failed("pickup")
		self.fds[name] = self.fds[listener].accept()[0]
		self.fds[name].setblocking(False)

	def do_wait(self, name, what="r"):
		events = {"r": select.POLLIN, "w": select.POLLOUT, "e": select.POLLPRI,
			  "h": 0}[what]
		if not self.wait_fd(self.fd_of(name), events):
			say("! wait ETIMEDOUT")

	# The loop

	def do_poll(self, map="-", timeout="0"):
		(asyncore.poll2 if USE_POLL else asyncore.poll)(float(timeout), self.maps[map])

	def do_pass(self, which, timeout="0"):
		getattr(asyncore, which)(float(timeout), self.maps["-"])

	def do_loop(self, count, timeout="5", map="-"):
		asyncore.loop(float(timeout), USE_POLL, self.maps[map],
			      None if count == "all" else int(count))

	def do_read(self, ch):
		asyncore.read(self.channels[ch])

	def do_write(self, ch):
		asyncore.write(self.channels[ch])

	def do_exception(self, ch):
		asyncore._exception(self.channels[ch])

	def do_readwrite(self, ch, *flags):
		value = 0
		for flag in flags:
			value |= getattr(select, "POLL" + flag)
		asyncore.readwrite(self.channels[ch], value)

	def do_close_all(self, map="-", ignore="0"):
		asyncore.close_all(self.maps[map], ignore != "0")

	def do_map(self, name):
		self.maps[name] = {}

	def do_who(self, name, map="-"):
		"""Whom does the map have under this descriptor?"""
		m = asyncore.socket_map if self.maps[map] is None else self.maps[map]
		found = m.get(self.fd_of(name))
		say("-> %s" % ("none" if found is None else found.name))

	def do_order(self, map="-"):
		m = asyncore.socket_map if self.maps[map] is None else self.maps[map]
		say("-> %s" % " ".join(c.name for c in m.values()))

	# A channel

	def do_new(self, name, cls, fd=None, map="-"):
		ch = self.channels[name] = self.classes[cls].__new__(self.classes[cls])
		ch.name = name
		sock = None if fd in (None, "none") else self.fds[fd]
		try:
			ch.__init__(sock, self.maps[map])
		except BaseException:
			del self.channels[name]
			raise
		if sock is not None and not isinstance(ch, asyncore.file_dispatcher):
			del self.fds[fd]

	def do_create(self, ch, family="inet", type="stream"):
		self.channels[ch].create_socket(
			{"inet": socket.AF_INET, "unix": socket.AF_UNIX}[family],
			{"stream": socket.SOCK_STREAM, "dgram": socket.SOCK_DGRAM}[type])

	def do_set_socket(self, ch, fd, map="-"):
		self.channels[ch].set_socket(self.fds[fd], self.maps[map])
		del self.fds[fd]

	def do_set_file(self, ch, fd):
		self.channels[ch].set_file(self.fd_of(fd))

	def do_bind(self, ch, address="any"):
		self.channels[ch].bind(("127.0.0.1", 0) if address == "any" else self.addresses[address])

	def do_listen(self, ch, backlog="5"):
		self.channels[ch].listen(int(backlog))

	def do_connect(self, ch, address):
		self.channels[ch].connect(self.addresses[address])

	def do_accept(self, ch, name):
		pair = self.channels[ch].accept()
		if pair is None:
			say("-> none")
		else:
			self.fds[name] = pair[0]
			pair[0].setblocking(False)
			say("-> %s" % kind_of(pair[1]))

	def do_send(self, ch, word):
		result = self.channels[ch].send(literal(word))
		say("-> sent" if result is None else "-> %d" % result)

	def do_flood(self, ch):
		"""send() until nothing goes out any more."""
		while self.channels[ch].send(b"y" * 65536):
			pass
		say("-> 0")

	def do_recv(self, ch, count):
		say("-> %s" % shown(self.channels[ch].recv(int(count))))

	def do_close(self, ch):
		self.channels[ch].close()

	def do_add(self, ch, map="-"):
		self.channels[ch].add_channel(self.maps[map])

	def do_del(self, ch, map="-"):
		self.channels[ch].del_channel(self.maps[map])

	def do_set(self, ch, what, value):
		setattr(self.channels[ch], what, value == "1")

	def do_get(self, ch, what):
		say("-> %d" % bool(getattr(self.channels[ch], what)))

	def do_set_addr(self, ch, address):
		self.channels[ch].addr = None if address == "none" else self.addresses[address]

	def do_own_map(self, ch):
		for name, m in self.maps.items():
			if self.channels[ch]._map is (asyncore.socket_map if m is None else m):
				say("-> %s" % name)

	def do_call(self, ch, method):
		result = getattr(self.channels[ch], method)()
		if method in ("readable", "writable"):
			say("-> %d" % bool(result))

	def do_body(self, ch, method):
		getattr(asyncore.dispatcher, method)(self.channels[ch])

	def do_log(self, ch, word):
		self.channels[ch].log(literal(word).decode())

	def do_log_info(self, ch, word, type="info"):
		self.channels[ch].log_info(literal(word).decode(), type)

	def do_repr(self, ch):
		say("-> %s" % normal(repr(self.channels[ch])))

	def do_reuse(self, ch):
		self.channels[ch].set_reuse_addr()
		say("-> %d" % self.channels[ch].socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))

	def do_family(self, ch):
		family, type = self.channels[ch].family_and_type
		say("-> %s %s" % ({socket.AF_INET: "inet", socket.AF_UNIX: "unix"}[family],
				  {socket.SOCK_STREAM: "stream", socket.SOCK_DGRAM: "dgram"}[type]))

	def do_disconnected(self, name):
		say("-> %d" % (getattr(errno, name) in asyncore._DISCONNECTED))

	# A chat

	def do_push(self, ch, word):
		self.channels[ch].push(literal(word))

	def do_simple(self, ch, word, size="512"):
		self.channels[ch].push_with_producer(
			asynchat.simple_producer(literal(word), int(size)))

	def do_pieces(self, word, size):
		"""What a simple producer gives, piece by piece."""
		producer = asynchat.simple_producer(literal(word), int(size))
		for piece in iter(producer.more, b""):
			say("-> %s" % shown(piece))

	def do_producer(self, ch, name, *script):
		self.channels[ch].push_with_producer(Producer(self, name, script))

	def do_close_when_done(self, ch):
		self.channels[ch].close_when_done()

	def do_discard(self, ch):
		self.channels[ch].discard_buffers()

	def do_term(self, ch, kind, value=None):
		self.channels[ch].set_terminator(
			None if kind == "none" else int(value) if kind == "count" else literal(value))

	def do_getterm(self, ch):
		t = self.channels[ch].get_terminator()
		say("-> none" if not t else "-> count %d" % t if isinstance(t, int) else
		    "-> bytes %s" % shown(t))

	def do_getdata(self, ch):
		say("-> %s" % shown(self.channels[ch]._get_data()))

	def do_sizes(self, ch, into, out):
		self.channels[ch].ac_in_buffer_size = int(into)
		self.channels[ch].ac_out_buffer_size = int(out)

	def do_prefix(self, haystack, needle):
		say("-> %d" % asynchat.find_prefix_at_end(literal(haystack), literal(needle)))

	# ---- Running it ----

	def output_of(self, ch):
		if isinstance(ch, asyncore.dispatcher_with_send):
			return "%d" % len(getattr(ch, "out_buffer", b""))
		if not isinstance(ch, asynchat.async_chat):
			return "-"
		entries = size = 0
		run = False
		for entry in ch.producer_fifo:
			if isinstance(entry, (bytes, bytearray)):
				size += len(entry)
				entries += not run and len(entry) > 0
				run = run or len(entry) > 0
			else:
				entries += 1
				run = False
		return "%d/%d" % (entries, size)

	def states(self):
		maps = {name: asyncore.socket_map if m is None else m for name, m in self.maps.items()}
		for name, ch in self.channels.items():
			where = [n for n, m in maps.items() if any(c is ch for c in m.values())]
			self.state(name, "%s%s%saddr=%s map=%s fileno=%s out=%s" % (
				"connected " if ch.connected else "",
				"accepting " if ch.accepting else "",
				"connecting " if ch.connecting else "",
				kind_of(ch.addr), ",".join(where) or "none",
				"no" if ch._fileno is None else "yes", self.output_of(ch)))
		for name, m in maps.items():
			self.state("map " + name, "%d" % len(m))

	def state(self, name, text):
		text = "= %s: %s" % (name, text.strip())
		if self.last.get(name) != text:
			self.last[name] = text
			say(text)

	def run(self):
		say("scenario %s %s" % (self.name, "poll" if USE_POLL else "select"))
		self.last["map -"] = "= map -: 0"
		for words in self.steps:
			say("* " + " ".join(words))
			self.act(["try"] + words)
			self.states()
		self.clean_up()

	def clean_up(self):
		self.do_files()
		for m in self.maps.values():
			m = asyncore.socket_map if m is None else m
			m.clear()
		for ch in self.channels.values():
			if ch.socket is not None:
				ch.socket.close()
		for fd in self.fds.values():
			os.close(fd) if isinstance(fd, int) else fd.close()
		if self.dir is not None:
			shutil.rmtree(self.dir)


def read_scenarios(path):
	found = []
	with open(path) as f:
		for line in f:
			words = line.split()
			if not words or words[0].startswith("#"):
				continue
			if words[0] == "scenario":
				current = Scenario(words[1])
				found.append(current)
			elif words[0] == "differs:":
				pass
			elif words[0] == "not:":
				current.never |= set(words[1:])
			elif words[0] == "class":
				current.make_class(words[1], words[2], words[3:])
			elif words[0] == "on":
				actions = [[]]
				for word in words[4:]:
					if word == ";":
						actions.append([])
					else:
						actions[-1].append(word)
				current.behaviour[tuple(words[1:4])] = actions
			else:
				current.steps.append(words)
	return found


def main(argv):
	global USE_POLL
	if argv and argv[0] == "-p":
		USE_POLL = True
		argv = argv[1:]
	sys.stderr = sys.stdout
	for scenario in read_scenarios(argv[0]):
		if ("poll" if USE_POLL else "select") in scenario.never:
			continue
		if len(argv) < 2 or argv[1] == scenario.name:
			scenario.run()
	return 0


if __name__ == "__main__":
	sys.exit(main(sys.argv[1:]))
