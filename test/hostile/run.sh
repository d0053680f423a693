#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Hostile peers against each kind of server (peer.c, server.c).
#
#	run.sh [short]		5,000 connections each, some seconds
#	run.sh long		1,000,000 against async_chat, 100,000 each against the others
#
# Environment: HOSTILE, where the programs are (test/hostile); SEED.

set -u

: "${HOSTILE:=test/hostile}" "${SEED:=$(date +%s)}"
dir=$(mktemp -d "${TMPDIR:-/tmp}/hostile.XXXXXX") || exit 99
row=
trap 'stop; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# A peer that is stopped takes its server with it.
stop()
{
	[ -z "$row" ] || kill "$row" 2>/dev/null
	for file in "$dir"/*.pid; do
		[ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null
	done
}

# attack NAME CONNECTIONS SERVER...
attack()
{
	log=$dir/$1
	connections=$2
	shift 2
	"$HOSTILE/peer" -n "$connections" -s "$SEED" "$HOSTILE/server" "$@" >"$log" 2>&1 &
	echo $! >"$log.pid"
	wait $! && : >"$log.passed"
	rm -f "$log.pid"
}

# One after another: two such rows run at a time, because much of it is waiting.
chats()
{
	attack 1 "$1" chat idle="$3"
	attack 2 "$2" chat half poll batch idle="$3"
	attack 3 "$2" chat attached once idle="$3"
}

others()
{
	attack 4 "$1" chat half attached idle="$2"
	attack 5 "$1" send poll idle="$2"
	attack 6 "$1" send half attached batch idle="$2"
}

case ${1-short} in
short) many=5000 some=5000 idle=3 ;;
long) many=1000000 some=100000 idle=4 ;;
*)
	echo "usage: run.sh [short|long]" >&2
	exit 2
	;;
esac
others "$some" "$idle" &
row=$!
chats "$many" "$some" "$idle"
wait
row=
passed=0
for n in 1 2 3 4 5 6; do
	cat "$dir/$n"
	[ ! -e "$dir/$n.passed" ] || passed=$((passed + 1))
done
echo "hostile peers: $passed of 6 passed, seed $SEED"
[ "$passed" -eq 6 ]
