#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The code stands before the static analysers that are installed: gcc -fanalyzer, clang-tidy
# (with .clang-tidy) and cppcheck, over src/ and examples/.
#
# Anything they find is a failure, but for what is listed below as no fault: the check, the
# file, words of the message or of the line of code, and why.  So a finding is allowed where
# it is, and nowhere else.  Each analyser has to find a fault in a sample first.
#
# srcdir, GCC, CLANG_TIDY, CPPCHECK and JOBS may be set; without any analyser it is skipped.

set -u
LC_ALL=C
export LC_ALL
: "${srcdir:=$(dirname "$0")/..}" "${GCC:=gcc}" "${CLANG_TIDY:=clang-tidy}" "${CPPCHECK:=cppcheck}"
: "${JOBS:=2}"

here=$PWD
source=$(cd "$srcdir" && pwd) || exit 99
dir=$(mktemp -d "${TMPDIR:-/tmp}/analysis.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$dir/allowed" <<'END'
# gcc 12 loses sight of a block when a pointer to its first member is returned.
-Wanalyzer-malloc-leak src/producer.c return &self->producer
	The caller has it: the producer is the first member.
# It does not follow atomic counters either.
-Wanalyzer-malloc-leak src/call_soon.c asyncore_poster_new(map)
	unref() frees it: the counter was 1.
-Wanalyzer-malloc-leak examples/command_server.c leak of 'name'
	It is the setting's, which is freed with the server.
-Wanalyzer-malloc-leak examples/command_server.c leak of 'value'
	It is the setting's, too.
-Wanalyzer-malloc-leak src/fifo.c leak of 'run'
	Nobody asks an entry that was just made, so free_entry() frees it.

clang-analyzer-unix.Malloc src/map.c map_clear(map);
	map_unuse() frees only a map with `freed`, which is set after this loop.
clang-analyzer-unix.Malloc src/timer.c end(ts->heap[0])
	A timer that is in the heap has a place, and end() takes it out.
clang-analyzer-unix.Malloc src/timer.c if (t->map == map && !t->ended && t->made < made)
	A timer of a channel has one, so finish() unlinks it, and `t` is the list's new head.
clang-analyzer-unix.Malloc src/channel.h c->extra != NULL ? c->extra->timers
	Whoever ends the timers of a channel holds it, or is disposing of it: it is not freed.
clang-analyzer-unix.Malloc examples/http_client.c potential leak
	Freed by http_client_dispose(), when the map is.
clang-analyzer-core.uninitialized.Assign src/state.c c->type = (uint8_t)t
	errno is not 0 after a getsockopt() that failed.
clang-analyzer-core.CallAndMessage examples/echo_server.c ntohs(in->sin_port)
	An accepted address is never shorter than its family says.
clang-analyzer-security.insecureAPI.strcpy src/resolver.c strcpy(a->host, host)
	The block was made for the length of it.
clang-analyzer-security.insecureAPI.strcpy examples/chat_server.c strcat(line, "\r\n")
	vsnprintf() left room for it.
clang-analyzer-security.insecureAPI.strcpy examples/chat_server.c nick)
	Both have room for the longest nick, and longer ones were refused.
clang-analyzer-security.insecureAPI.strcpy examples/http_server.c strcat(path, "index.html")
	The room was kept for it.
clang-analyzer-security.insecureAPI.strcpy examples/http_server.c strcpy(c->request, 
	Lines are limited to the room for one.

bugprone-unused-return-value src/resolver.c connect(a->fd, &nobody, sizeof nobody)
	Only undoes a connect; if it cannot, the next connect will tell.
bugprone-implicit-widening-of-multiplication-result src/poller.c 50 * 1000
	A constant that fits.
bugprone-narrowing-conversions src/timer.c whole < ns
	`whole` was a double a line before, and is one again without loss.
bugprone-narrowing-conversions examples/http_server.c strcspn(path, "/")
	A path is part of a line, and lines are limited.
cert-err34-c examples/* ato
	Of the command line; what is no number counts as 0.
cert-err34-c examples/fetch.c sscanf
	The digits of a status are three; a port that is too large is another port.
concurrency-mt-unsafe src/resolver.c strerror(a->error)
	It is given errnos only, and the text of one is a constant.
concurrency-mt-unsafe examples/* not thread safe
	They have one thread.

getpwnamCalled examples/smtpd/smtpd_main.c getpwnam
	It has one thread.
localtimeCalled examples/attached_chat.c localtime
	It has one thread.
localtimeCalled examples/udp_time_server.c localtime
	It has one thread.
readdirCalled examples/http_server.c readdir
	It has one thread; and readdir_r() is deprecated.
memleak examples/http_server.c Memory leak: server.root
	open() failed: there is no descriptor.
END

cat >"$dir/sample.c" <<'END'
int sample(int n);

int sample(int n)
{
	int *nothing = 0;

	if (n > 0)
		*nothing = n;
	return n;
}
END

# Paths are given and reported from the root of the source.
cd "$source" || exit 99
sources=$(echo src/*.c examples/*.c examples/smtpd/*.c)
includes="-I$here/include -Iinclude -Isrc"
if [ ! -f "$here/include/asyncore_version.h" ]; then
	# Nothing was configured here: any version will do.
	sed 's/@[A-Z_]*@/0/' include/asyncore_version.h.in >"$dir/asyncore_version.h" || exit 99
	includes="$includes -I$dir"
fi
libevent=$(pkg-config --cflags libevent_core 2>/dev/null)
flags="-std=c11 -D_GNU_SOURCE $includes $libevent"

# each COMMAND FILE...: for every file by itself, several at once
each()
{
	command=$1
	shift
	printf '%s\n' "$@" | xargs -P "$JOBS" -I '{}' sh -c "$command" 2>&1
}

# Without optimisation, gcc sees the code as it is written.
with_gcc()
{
	each "$GCC $flags -O0 -fanalyzer -c -o /dev/null {}" "$@"
}

# One file at a time: with several clang-tidy 14 takes every va_list but those of the first
# for uninitialised.
with_clang_tidy()
{
	each "$CLANG_TIDY --quiet --config-file=.clang-tidy --header-filter='(src|include)/' {} -- $flags" "$@"
}

# It defines none of what a compiler does.
with_cppcheck()
{
	"$CPPCHECK" -j "$JOBS" --quiet --std=c11 --library=posix --inline-suppr \
		--enable=warning,performance,portability \
		--template='{file}:{line}:{column}: {severity}: {message} [{id}]' \
		--template-location='{file}:{line}:{column}: note: {info}' \
		-D_GNU_SOURCE -D__GNUC__=12 -D__linux__ \
		-DATOMIC_POINTER_LOCK_FREE=2 -DATOMIC_BOOL_LOCK_FREE=2 $includes "$@" 2>&1
}

# The findings in what an analyser said: "check file line: message", each once.
findings()
{
	sed -n "s/[^ -~	]/'/g
		s|^$source/||
		s/^\([^ :]*\):\([0-9]*\):[0-9]*: [a-z ]*: \(.*\) \[\([^][]*\)\]\$/\4 \1 \2: \3/p
		s/^\([^ :]*\):\([0-9]*\):[0-9]*: [a-z ]*error: \(.*\)\$/error \1 \2: \3/p" "$1" |
		sort -u
}

# Those that are not allowed, with their line of code.
not_allowed()
{
	awk '
	FNR == NR && /^(#|$)/ { next }
	FNR == NR && /^\t/ { why[n] = $0; next }
	FNR == NR {
		check[++n] = $1; file[n] = $2
		sub(/^[^ ]+ [^ ]+ /, ""); words[n] = tolower($0)
		next
	}
	{
		code = ""
		for (i = 0; i < $3 + 0 && (getline line < $2) > 0; i++)
			code = line
		close($2)
		where = $2
		sub(/^\t*/, "", code)
		for (i = 1; i <= n; i++)
			if (index("," $1 ",", "," check[i] ",") && i in why &&
			    (file[i] == where ||
			     (file[i] == "examples/*" && where ~ /^examples\//)) &&
			    index(tolower($0 " | " code), words[i]))
				next
		print $0
		print "\t" code
	}' "$dir/allowed" "$1"
}

failed=0
ran=0

# analyse NAME FUNCTION
analyse()
{
	start=$(date +%s)
	"$2" "$dir/sample.c" >"$dir/said"
	if ! grep -q 'sample\.c:8:.*\[.*\]' "$dir/said"; then
		echo "$1 did not find the fault of the sample:"
		cat "$dir/said"
		failed=1
		return
	fi
	"$2" $sources >"$dir/said"
	result=$?
	findings "$dir/said" >"$dir/found"
	not_allowed "$dir/found" >"$dir/bad"
	echo "$1: $(grep -c . "$dir/found") findings," \
		"$(grep -c '^[^	]' "$dir/bad") of them not allowed," \
		"$(($(date +%s) - start)) s"
	cat "$dir/bad"
	if [ -s "$dir/bad" ]; then
		failed=1
	elif [ "$result" -ne 0 ] && [ ! -s "$dir/found" ]; then
		echo "$1 failed:"
		tail -n 50 "$dir/said"
		failed=1
	fi
	ran=$((ran + 1))
}

missing=
if echo 'int one;' | "$GCC" -fanalyzer -x c -c -o /dev/null - 2>/dev/null; then
	analyse 'gcc -fanalyzer' with_gcc
else
	missing="$missing gcc(-fanalyzer)"
fi
if command -v "$CLANG_TIDY" >/dev/null; then
	analyse clang-tidy with_clang_tidy
else
	missing="$missing clang-tidy"
fi
if command -v "$CPPCHECK" >/dev/null; then
	analyse cppcheck with_cppcheck
else
	missing="$missing cppcheck"
fi
if [ -n "$missing" ]; then
	echo "missing:$missing"
	[ "$ran" -gt 0 ] || [ "$failed" -ne 0 ] || exit 77
fi
exit "$failed"
