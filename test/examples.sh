#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The examples serve real connections and end when they are told to.  (Those that are ported
# from asyncore's documentation are in the demo.)

set -u

if ! command -v bash >/dev/null; then
	echo "no bash for clients here: skipped"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/examples.XXXXXX") || exit 99
pid=
trap 'test -z "$pid" || kill -KILL "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

fail()
{
	echo "$*"
	failed=1
}

is_gone()
{
	! kill -0 "$pid" 2>/dev/null
}

has_said()
{
	[ "$(grep -c '[0-9]' "$dir/said")" -ge "$1" ] || is_gone
}

# tries CONDITION...: until it is true, or 20 seconds are over.
tries()
{
	left=100
	until "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.2
	done
}

# start LINES PROGRAM ARGUMENT...: it takes ports of its choice, and says so in as many lines,
# where they are the last numbers.  Sets pid, and ports (to be split).
start()
{
	lines=$1 program=$2
	shift 2
	: >"$dir/said"
	examples/"$program" "$@" >"$dir/said" &
	pid=$!
	tries has_said "$lines" || fail "$program did not start"
	ports=$(sed -n 's/.*[^0-9]\([0-9][0-9]*\)[^0-9]*$/\1/p' "$dir/said")
	echo "$program on port" $ports
}

# ends: by itself, with status 0.
ends()
{
	tries is_gone || kill -KILL "$pid" 2>/dev/null
	wait "$pid" || fail "$program ended with status $?"
	pid=
}

stop()
{
	kill "$pid"
	ends
}

said()
{
	grep -q -x "$1" "$dir/said" || fail "$program did not say: $1"
}

cat >"$dir/clients" <<'END'
fail() { echo "$*"; exit 1; }
wait_for() { while IFS= read -r -t 20 -u "$1" line; do [[ $line == *"$2"* ]] && return; done
	fail "did not come: $2"; }
wait_for_end() { IFS= read -r -t 20 -u "$1" line
	[[ $? == 1 && -z $line ]] || fail "no end came, but: '$line'"; }
ask() { exec 3<>"/dev/tcp/127.0.0.1/$port" && printf "$1" >&3 && timeout 20 cat <&3; }

# Two people chat.
chat() {
	exec 3<>"/dev/tcp/127.0.0.1/$1" 4<>"/dev/tcp/127.0.0.1/$1" || exit 1
	wait_for 3 Welcome; wait_for 4 Welcome
	printf '/nick ada\nhello\n' >&3
	wait_for 3 'ada: hello'; wait_for 4 'ada: hello'
	printf 'two\r\nlines\r\n' >&4
	wait_for 3 ': two'; wait_for 3 ': lines'
	printf '/quit\n' >&3
	wait_for 3 Goodbye; wait_for 4 'ada has left'
}

# One asks for a page and sends a form.
form() {
	port=$1
	[[ $(ask 'GET /a/page HTTP/1.0\r\n\r\n') == *200*/a/page* ]] || fail "GET failed"
	[[ $(ask 'POST /form HTTP/1.0\r\nContent-Length: 9\r\n\r\nsome data') == *200*'some data'* ]] ||
		fail "POST failed"
}

# The program, $1, is told to end while somebody is connected to the second service.
attached() {
	exec 3<>"/dev/tcp/127.0.0.1/$2" 4<>"/dev/tcp/127.0.0.1/$3" || exit 1
	IFS= read -r -t 20 -u 3 line
	[[ $line == [12][0-9][0-9][0-9]-*:*:* ]] || fail "this is no time: $line"
	wait_for_end 3
	printf 'all things\ncome ' >&4
	wait_for 4 'ALL THINGS'
	printf 'to those\r\n' >&4
	wait_for 4 'COME TO THOSE'
	kill "$1"
	wait_for 4 'GOODBYE.'
	wait_for_end 4
}

pages() {
	port=$1
	[[ $(ask 'GET /hello HTTP/1.0\r\n\r\n') == 'HTTP/1.0 200 '*$'\r\n\r\nHello.' ]] ||
		fail "GET failed"
	[[ $(ask 'HEAD /hello HTTP/1.0\n\n') == 'HTTP/1.0 200 '*$'\nContent-Length: 7\r\n'*$'\r\n\r' ]] ||
		fail "HEAD failed"
	[[ $(ask 'GET /none HTTP/1.0\r\n\r\n') == 'HTTP/1.0 404 '* ]] || fail "no 404"
	[[ $(ask 'nonsense\r\n') == 'HTTP/1.0 400 '* ]] || fail "no 400"
}

silence() {
	SECONDS=0
	exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
	wait_for_end 3
	((SECONDS > 0)) || fail "ended at once"
}

"$@"
END

# client NAME ARGUMENT...
client()
{
	bash "$dir/clients" "$@" || fail "client $1 failed"
}

start 1 chat_server 0
client chat $ports
stop

start 1 http_request_handler 0
client form $ports
stop
said '0 sessions left'

start 2 attached_chat
client attached "$pid" $ports
ends
said 'daytime told 1 times'
said '0 channels, 2 lines shouted'

mkdir "$dir/pages"
echo 'Hello.' >"$dir/pages/hello"
cat "$0" "$0" "$0" "$0" >"$dir/pages/long"
start 1 http_server -p 0 "$dir/pages"
client pages $ports
if [ -x examples/fetch ] && grep -qsw localhost /etc/hosts; then
	# fetched STATUS URL...: says so many lines, and ends with the status.
	fetched()
	{
		expected=$1
		shift
		examples/fetch -t 60 "$@" >"$dir/fetched"
		status=$?
		cat "$dir/fetched"
		[ "$status" -eq "$expected" ] || fail "fetch ended with status $status"
		[ "$(wc -l <"$dir/fetched")" -eq $# ] || fail "fetch said too much or too little"
	}
	fetched_line()
	{
		grep -q "^$1  *http://localhost:$2\$" "$dir/fetched" || fail "fetch: no $1 for $2"
	}
	here=http://localhost:$ports
	size=$(($(wc -c <"$dir/pages/long")))

	fetched 0 "$here/hello" "$here/long" "$here/hello?again" "$here/"
	fetched_line '200  *7 bytes .*' "$ports/hello"
	fetched_line '200  *7 bytes .*' "$ports/hello?again"
	fetched_line "200  *$size bytes .*" "$ports/long"
	fetched 1 "$here/hello" http://localhost:1/ "$here/long"	# nobody listens there
	fetched_line '200  *7 bytes .*' "$ports/hello"
	fetched_line 'failed: .*' 1/
	fetched_line "200  *$size bytes .*" "$ports/long"
	fetched 1 "$here/none"
	fetched_line '404 .*' "$ports/none"
fi
stop

start 1 http_server -p 0 -t 1 "$dir/pages"
client silence $ports
stop
exit "$failed"
