#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# count.sh BUILD_DIR - user instructions and system calls per 64-byte echo, ours against raw
# libevent, in one run.  Each figure is (long run - short run) / requests between, so that
# start-up is not in it.  Needs valgrind and strace.
set -eu
dir=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# run SERVER CONNECTIONS ROUNDS COMMAND...: the server under COMMAND, with the load.
run() {
	local server=$1 connections=$2 rounds=$3 port pid i
	shift 3
	: >"$out/port"
	"$@" "$dir/$server" >"$out/port" 2>"$out/err" &
	pid=$!
	for i in $(seq 200); do
		[ -s "$out/port" ] && break
		sleep 0.05
	done
	port=$(cat "$out/port")
	"$dir/load" "$port" "$connections" "$rounds" 64
	wait "$pid"
}

instructions() {
	run "$1" "$2" "$3" valgrind --tool=callgrind --callgrind-out-file="$out/callgrind"
	sed -n 's/.*Collected : //p' "$out/err"
}


total_calls() {
	run "$1" "$2" "$3" strace -f -o "$out/strace"
	grep -c '(' "$out/strace"
}

per_request() {	# WHAT SERVER CONNECTIONS
	local short long rounds
	rounds=$((6000 / $3))
	short=$($1 "$2" "$3" $((rounds / 10)))
	long=$($1 "$2" "$3" $((rounds + rounds / 10)))
	echo "$short $long $((rounds * $3))" | awk '{ printf "%.2f\n", ($2 - $1) / $3 }'
}

printf '%-16s %12s %14s %12s\n' server connections instructions 'system calls'
for connections in 50 1; do
	for server in echo_libevent echo_asyncore; do
		printf '%-16s %12s %14s %12s\n' "$server" "$connections" \
			"$(per_request instructions "$server" "$connections")" \
			"$(per_request total_calls "$server" "$connections")"
	done
done
