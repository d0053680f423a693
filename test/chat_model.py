#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause

"""Compare the input machine of the C async_chat with that of CPython's asynchat.

    chat_model.py compare DRIVER [CASES [SEED]]   exit status 1 if any differs
    chat_model.py record [CASES [SEED]]           write cases and what CPython calls
    chat_model.py case DRIVER CASE                both sides of one case

What a case is, and what is written of it, stands in chat_model.c.  Option, before all:
--without=KIND,KIND: leave these out of the random cases: x (raise in found_terminator), X
(raise in collect_incoming_data or get_terminator), r (nested handle_read), d
(discard_buffers), p (push), e (an empty read), = (terminators set from outside), ! (a recv() that
fails), C (actions inside collect_incoming_data), g (get_terminator overridden).
"""

import random
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")
try:
    import asynchat
except ImportError:
    sys.exit("this Python has no asynchat")


class Impossible(Exception):
    """CPython's own machine cannot do this: no reference."""


class Raised(Exception):
    pass


# --- a case and its text -------------------------------------------------------------

def split(text, separator):
    return [] if text == "." else text.split(separator)


def join(items, separator):
    return separator.join(items) or "."


class Case:
    def __init__(self, size, terminator, found, collect, get, events):
        self.size = size
        self.terminator = terminator
        self.found = found
        self.collect = collect
        self.get = get
        self.events = events

    @classmethod
    def parse(cls, text):
        size, terminator, found, collect, get, events = text.split(" ")
        return cls(int(size), terminator, split(found, "/"), split(collect, "/"),
                   split(get, "/"), split(events, ","))

    def __str__(self):
        return " ".join([str(self.size), self.terminator, join(self.found, "/"),
                         join(self.collect, "/"), join(self.get, "/"),
                         join(self.events, ",")])

    def changed(self, **parts):
        return Case(**{**self.__dict__, **parts})


def to_bytes(text):
    return text.replace("0", "\0").encode("ascii")


def from_bytes(data):
    return data.decode("ascii").replace("\0", "0")


def to_terminator(text):
    return {"n": lambda: None,
            "c": lambda: int(text[1:]),
            "t": lambda: to_bytes(text[1:])}[text[0]]()


def from_terminator(terminator):
    if not terminator:
        return "n"
    if isinstance(terminator, int):
        return "c%d" % terminator
    return "t" + from_bytes(terminator)


# --- the reference -------------------------------------------------------------------

class Reference(asynchat.async_chat):
    """CPython's async_chat, with the reads and the actions of a case."""

    def __init__(self, case):
        super().__init__(map={})
        self.ac_in_buffer_size = case.size
        self.left = {"found": list(case.found), "collect": list(case.collect),
                     "get": list(case.get)}
        self.overrides_get = bool(case.get)
        self.events = list(case.events)
        self.said = []
        self.sent = b""
        self.connected = True
        self.set_terminator(to_terminator(case.terminator))

    def run(self):
        while self.events:
            if self.events[0][0] == "=":
                self.set_terminator(to_terminator(self.events.pop(0)[1:]))
            else:
                self.read()
        self.said.append("T" + from_terminator(self.terminator))
        self.said.append("O" + from_bytes(self.sent))
        return " " + " ".join(self.said)

    def read(self):
        try:
            self.handle_read()
        except Raised:
            self.handle_error()

    def handle_error(self):
        self.said.append("E")

    def send(self, data):
        self.said.append("S" + from_bytes(data))
        self.sent += data
        return len(data)

    def recv(self, size):
        if not self.events or self.events[0][0] not in "<!?":
            raise BlockingIOError
        event = self.events.pop(0)
        if event == "!":
            raise BlockingIOError
        if event == "?":
            raise OSError
        return to_bytes(event[1:])

    def act(self, callback):
        actions = self.left[callback]
        for action in actions.pop(0).split("+") if actions else ():
            if action == "x":
                raise Raised
            elif action[0] == "p":
                self.push(to_bytes(action[1:]))
            elif action == "d":
                if callback == "get":
                    raise Impossible("nothing at all would be collected")
                self.discard_buffers()
            elif action == "r":
                if callback != "found":
                    raise Impossible("the same data would be worked off twice")
                self.read()
            elif action != "-":
                self.set_terminator(to_terminator(action))

    def collect_incoming_data(self, data):
        self.said.append(">" + from_bytes(data))
        self._collect_incoming_data(data)
        count = self.terminator
        counting = isinstance(count, int) and 0 < len(self.ac_in_buffer) < count
        self.act("collect")
        # What was collected is subtracted from the terminator, whatever it is now.
        if counting and not (isinstance(self.terminator, int) and
                             self.terminator >= len(data)):
            raise Impossible("a count became less than nothing, or no count")

    def get_terminator(self):
        if self.overrides_get:
            self.said.append("G")
            self.act("get")
        return self.terminator

    def found_terminator(self):
        self.said.append("F" + from_bytes(self._get_data()))
        self.act("found")


def expected(case):
    return Reference(case).run()


def as_seen(driver, trace):
    """With gathered output the single sends are CPython's business, not their bytes."""
    if "gather" not in driver:
        return trace
    return " " + " ".join(item for item in trace.split() if item[0] != "S")


# --- random cases --------------------------------------------------------------------

class Generator:
    def __init__(self, seed, without=()):
        self.random = random.Random(seed)
        self.without = set(without)

    def chance(self, percent, kind=None):
        return self.random.random() * 100 < percent and kind not in self.without

    def word(self, longest):
        r = self.random
        word = "".join(r.choices(self.letters, k=r.randint(1, longest)))
        if self.chance(30):     # one that overlaps itself
            word = (word * 4)[:r.randint(len(word), min(4 * len(word), 2 * longest))]
        return word

    def new_terminator(self):
        r = self.random
        kind = r.random()
        if kind < 0.65:
            return "t" + (r.choice(self.words) if self.words and self.chance(60)
                          else self.new_word())
        if kind < 0.88:
            return "c%d" % (r.randint(0, 8) if self.chance(80) else r.randint(0, 70))
        return "n"

    def new_word(self):
        self.words.append(self.word(12 if self.chance(10) else 4))
        return self.words[-1]

    def action(self, callback):
        parts = []
        while self.chance(25, "p"):
            parts.append("p" + self.word(4))
        if callback == "found" and self.chance(12, "r"):
            parts.append("r")
        if callback != "get" and self.chance(5, "d"):
            parts.append("d")
        if self.chance(20 if callback == "get" else 55):
            parts.append(self.new_terminator())
        if self.chance(5, "x" if callback == "found" else "X"):
            parts.append("x")
        return "+".join(parts) or "-"

    def actions(self, callback):
        return [self.action(callback) for _ in range(self.random.randint(0, 6))]

    def stream(self):
        r = self.random
        stream = ""
        for _ in range(r.randint(1, 12)):
            word = r.choice(self.words) if self.words else "a"
            kind = r.random()
            if kind < 0.45:
                stream += word
            elif kind < 0.75:
                stream += word[:r.randint(0, len(word))]
            else:
                stream += "".join(r.choices(self.letters, k=r.randint(1, 6)))
        return stream

    def reads(self, stream, size):
        longest = self.random.choice([1, 2, 3, 5, size, size, size])
        reads = []
        while stream:
            n = self.random.randint(1, min(longest, size))
            reads.append("<" + stream[:n])
            stream = stream[n:]
        return reads

    def events(self, size):
        events = []
        other = self.chance(35)
        for read in self.reads(self.stream(), size):
            if other:
                if self.chance(12, "="):
                    events.append("=" + self.new_terminator())
                if self.chance(6, "e"):
                    events.append("<")
                if self.chance(6, "!"):
                    events.append(self.random.choice("!!?"))
            events.append(read)
        if self.chance(70, "="):        # show what is held back
            events += ["=n", "<z"]
        return events

    def any_case(self):
        r = self.random
        self.letters = r.choice(["ab", "ab", "ab", "a", "abc", "a0"])
        self.words = []
        size = r.choice([1, 2, 3, 4, 5, 7, 8, 12, 16, 32, 64, r.randint(1, 64)])
        terminator = self.new_terminator()
        found = self.actions("found")
        collect = self.actions("collect") if self.chance(30, "C") else []
        get = self.actions("get") if self.chance(15, "g") else []
        return Case(size, terminator, found, collect, get, self.events(size))

    def case(self):
        while True:
            case = self.any_case()
            try:
                return case, expected(case)
            except Impossible:
                pass


# --- comparing -----------------------------------------------------------------------

def driven(driver, cases, crashes=20):
    """What the C side calls, for each case: None where it crashed.  After too many of
    these the rest is left out."""
    lines = [str(case) for case in cases]
    ran = subprocess.run(driver, input="\n".join(lines) + "\n", stdout=subprocess.PIPE,
                         text=True)
    said = [line.partition("\t")[2] for line in ran.stdout.split("\n")[:-1]]
    if ran.returncode == 0 or len(said) == len(cases) or crashes == 0:
        return said
    return said + [None] + driven(driver, cases[len(said) + 1:], crashes - 1)


def without_each(items):
    for n in {len(items) // 2, 1}:
        for i in range(0, len(items) - n + 1, n) if n else ():
            yield items[:i] + items[i + n:]


def simpler_terminator(text):
    if text[0] == "t":
        return ["t" + word for word in without_each(text[1:]) if word]
    if text[0] == "c" and text != "c0":
        return ["c%d" % (int(text[1:]) // 2), "c%d" % (int(text[1:]) - 1)]
    return []


def simpler_action(action):
    parts = action.split("+")
    for i, part in enumerate(parts):
        if part != "-":
            yield "+".join(parts[:i] + parts[i + 1:]) or "-"
            for simpler in simpler_terminator(part):
                yield "+".join(parts[:i] + [simpler] + parts[i + 1:])


def simpler_event(event):
    if event[0] == "=":
        return ["=" + terminator for terminator in simpler_terminator(event[1:])]
    if event[0] == "<":
        return ["<" + data for data in without_each(event[1:]) if data]
    return []


def each_replaced(items, simpler):
    for i, item in enumerate(items):
        for other in simpler(item):
            yield items[:i] + [other] + items[i + 1:]


def simpler_cases(case):
    for events in without_each(case.events):
        yield case.changed(events=events)
    for callback in ("found", "collect", "get"):
        for actions in without_each(getattr(case, callback)):
            yield case.changed(**{callback: actions})
        for actions in each_replaced(getattr(case, callback), simpler_action):
            yield case.changed(**{callback: actions})
    for events in each_replaced(case.events, simpler_event):
        yield case.changed(events=events)
    for i in range(len(case.events) - 1):
        one, two = case.events[i:i + 2]
        if one[0] == two[0] == "<" and len(one) + len(two) - 2 <= case.size:
            yield case.changed(events=case.events[:i] + [one + two[1:]] + case.events[i + 2:])
    for terminator in simpler_terminator(case.terminator):
        yield case.changed(terminator=terminator)


def differing(driver, cases):
    """The cases that differ, as (case, expected, seen)."""
    possible = []
    for case in cases:
        try:
            possible.append((case, as_seen(driver, expected(case))))
        except Impossible:
            pass
    seen = driven(driver, [case for case, _ in possible])
    return [(case, want, have) for (case, want), have in zip(possible, seen) if want != have]


def minimised(driver, case):
    while True:
        smaller = differing(driver, list(simpler_cases(case)))
        if not smaller:
            return case
        case = min((found[0] for found in smaller), key=lambda case: len(str(case)))


def show(case, want, have):
    print("case     %s\nCPython %s\nhere    %s" % (case, want, have or "crashed"))


def compare(driver, count, seed, without):
    generator = Generator(seed, without)
    pairs = [generator.case() for _ in range(count)]
    return (compare_all([driver], pairs, seed) or
            compare_all([driver, "gather"], pairs, seed))


def compare_all(driver, pairs, seed):
    pairs = [(case, as_seen(driver, want)) for case, want in pairs]
    count = len(pairs)
    seen = driven(driver, [case for case, _ in pairs])
    different = [(case, want, have) for (case, want), have in zip(pairs, seen)
                 if want != have]
    print("%d cases, seed %d%s: %d differ from CPython" %
          (len(seen), seed, ", gathered" if "gather" in driver else "", len(different)))
    if not different:
        return 0 if len(seen) == count else 1
    case, want, have = min(different, key=lambda found: len(str(found[0])))
    show(case, want, have)
    print("the same, as small as it gets:")
    show(*differing(driver, [minimised(driver, case)])[0])
    return 1


def record(count, seed, without):
    generator = Generator(seed, without)
    for _ in range(count):
        print("%s\t%s" % generator.case())


def main(arguments):
    without = []
    while arguments and arguments[0].startswith("--without="):
        without += arguments.pop(0).partition("=")[2].split(",")
    command, *arguments = arguments
    if command == "compare":
        driver, count, seed = arguments + ["20000", "1"][len(arguments) - 1:]
        return compare(driver, int(count), int(seed), without)
    if command == "record":
        count, seed = arguments + ["2500", "1"][len(arguments):]
        return record(int(count), int(seed), without)
    if command == "case":
        driver, text = arguments
        case = Case.parse(text)
        show(case, expected(case), driven([driver], [case])[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
