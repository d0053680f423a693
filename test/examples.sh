#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The asynchat examples serve real connections and end when they are told to.  (Those of
# asyncore are in the demo.)  Two people chat; one asks for a page and sends a form.

set -u

if ! command -v bash >/dev/null; then
	echo "no bash for clients here: skipped"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/examples.XXXXXX") || exit 99
pid=
trap 'test -z "$pid" || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
failed=0

# start PROGRAM: on a port of its choice, which is the last number of what it prints.
start()
{
	examples/"$1" 0 >"$dir/said" &
	pid=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		grep -q '[0-9]' "$dir/said" && break
		sleep 0.2
	done
	port=$(sed -n '1s/.*[^0-9]\([0-9][0-9]*\)[^0-9]*$/\1/p' "$dir/said")
	echo "$1 on port $port"
}

stop()
{
	kill "$pid"
	wait "$pid" || { echo "$1 ended with status $?"; failed=1; }
	pid=
}

cat >"$dir/chat" <<'END'
exec 3<>"/dev/tcp/127.0.0.1/$1" 4<>"/dev/tcp/127.0.0.1/$1" || exit 1
wait_for() { while IFS= read -r -t 10 -u "$1" line; do [[ $line == *"$2"* ]] && return; done
	echo "did not come: $2"; exit 1; }
wait_for 3 Welcome; wait_for 4 Welcome
printf '/nick ada\nhello\n' >&3
wait_for 3 'ada: hello'; wait_for 4 'ada: hello'
printf 'two\r\nlines\r\n' >&4
wait_for 3 ': two'; wait_for 3 ': lines'
printf '/quit\n' >&3
wait_for 3 Goodbye; wait_for 4 'ada has left'
END

cat >"$dir/http" <<'END'
ask() { exec 3<>"/dev/tcp/127.0.0.1/$port" && printf "$1" >&3 && timeout 10 cat <&3; }
port=$1
[[ $(ask 'GET /a/page HTTP/1.0\r\n\r\n') == *200*/a/page* ]] || { echo "GET failed"; exit 1; }
[[ $(ask 'POST /form HTTP/1.0\r\nContent-Length: 9\r\n\r\nsome data') == *200*'some data'* ]] ||
	{ echo "POST failed"; exit 1; }
END

start chat_server
bash "$dir/chat" "$port" || failed=1
stop chat_server
start http_request_handler
bash "$dir/http" "$port" || failed=1
stop http_request_handler
exit "$failed"
