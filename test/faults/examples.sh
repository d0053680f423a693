#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Every failure, in turn, in every example (see external.sh).
#
#	examples.sh		a sample
#	examples.sh long	all of them
#
# The examples that fail are in test/faults, linked with inject.c; the servers that clients ask
# are in examples.  Environment: srcdir.

set -u
: "${srcdir:=.}"
tools=$srcdir/test/faults
most=10
[ "${1-}" = long ] && most=0

if ! command -v bash >/dev/null; then
	echo "no bash for clients here: skipped"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/faults.XXXXXX") || exit 99
servers=
trap 'test -z "$servers" || kill -KILL $servers 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
FAULT_HITS=$dir/hits
export FAULT_HITS
: >"$FAULT_HITS"

external()
{
	sh "$tools/external.sh" -m $most "$@" || echo failed >>"$dir/failed"
}

serves()
{
	external bash "$tools/serve.sh" "$@"
}

mkdir "$dir/pages"
echo 'Hello.' >"$dir/pages/hello"
i=0
while [ $i -lt 40 ]; do
	cat "$tools/serve.sh"
	i=$((i + 1))
done >"$dir/pages/long"

# start SAID SERVER [ARGUMENT...]: until it says something
start()
{
	said=$1
	shift
	"$@" >"$said" 2>/dev/null &
	servers="$servers $!"
	i=0
	until grep -q . "$said" || [ $i -eq 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
}

# port SAID
port()
{
	sed -n 's/.*[^0-9]\([0-9][0-9]*\)[^0-9]*$/\1/p' "$1"
}

start "$dir/said" examples/http_server -p 0 "$dir/pages"
port=$(port "$dir/said")
start "$dir/said_udp" examples/udp_time_server
start "$dir/said_command" examples/command_server "$dir/socket"

# Half of them beside the other half.
{
	serves '/nick ada
hello
/who
/quit' test/faults/chat_server 0
	serves 'all things come' test/faults/echo_server 0
	# For asyncore, a connection that is reset is one that ends.
	FAULT_SAME='recv send'
	export FAULT_SAME
	external test/faults/http_client 127.0.0.1 /long "$port"
	if [ -x test/faults/fetch ]; then
		FAULT_SAME=-
		external test/faults/fetch -t 8 "http://127.0.0.1:$port/hello" \
			"http://127.0.0.1:$port/long"
	fi
	unset FAULT_SAME
	external test/faults/udp_time_client 0.2 20 "$(port "$dir/said_udp")"
	external test/faults/command_client "$dir/socket" 'set a b' 'get a' status
} >"$dir/first" 2>&1 &
{
	FAULT_PORTS=2
	export FAULT_PORTS
	# The byte by which libevent tells itself of a signal cannot fail.
	FAULT_SKIP=write
	export FAULT_SKIP
	serves 'all things come' test/faults/attached_chat
	FAULT_SKIP=
	FAULT_PORTS=1
	serves 'GET /hello HTTP/1.0' test/faults/http_server -p 0 "$dir/pages"
	serves 'GET /page HTTP/1.0' test/faults/http_request_handler 0
} >"$dir/second" 2>&1
wait $!
cat "$dir/first" "$dir/second"
kill $servers
wait $servers 2>/dev/null
servers=

echo "points hit, by kind:"
sort "$FAULT_HITS" | uniq -c | awk '{ printf "  %-16s %6d\n", $2, $1 }'
failures=$(cat "$dir/first" "$dir/second" | grep -c '^FAILED')
echo "examples: $(($(wc -l <"$FAULT_HITS"))) points hit, failures $failures"
[ ! -e "$dir/failed" ]
