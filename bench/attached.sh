#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# attached.sh BUILD_DIR - what it costs that the application runs the base: user instructions
# and system calls per 64-byte echo of raw libevent, of asyncore_loop() on a base of its own
# and on the application's, and of event_base_dispatch(), in one run.
#
# Each figure is (long run - short run) / echoes between, so that start-up is not in it, and
# stands beside its ratio to raw libevent.  A pass is a call of epoll_wait(); "passes" are
# per echo.
#
# 1 connection: every echo has a pass to itself.
# 50 connections: several echoes share one.  By what that saves, one more pass is priced.
# 50 in each pass: the client comes before the server on a core that they share, so it has
# sent on all connections when a pass begins.  Then channels are not found ready in map order,
# and it shows what is done about that.
#
# The channels of the "asked" servers override a predicate.  They are asked on every pass,
# ready or not, so one connection says it all.
#
# Needs valgrind, strace and taskset, and a machine that does nothing else: when the client
# has to wait for its core, the passes of "50 connections" are others.
set -eu
shopt -s inherit_errexit
dir=$1
echoes=6000
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# A row of the table: its name, the connections, the command.
rows="
libevent           1,50,full  echo_libevent
loop               1,50,full  echo_asyncore
loop-on-app-base   1,50,full  echo_asyncore loop
attached           1,50,full  echo_asyncore attached
loop-asked         1          echo_asyncore loop asked
attached-asked     1          echo_asyncore attached asked
"

# run CONNECTIONS ROUNDS SERVER TOOL...: the server under the tool, with the load.
run() {
	local connections=$1 rounds=$2 server=$3 behind='' beside='' pid i
	shift 3
	if [ "$connections" = full ]; then
		connections=50
		behind='taskset -c 0 nice -n 19'
		beside='taskset -c 0'
	fi
	: >"$out/port"
	$behind "$@" "$dir"/$server >"$out/port" 2>"$out/err" &
	pid=$!
	for i in $(seq 400); do
		[ -s "$out/port" ] || ! kill -0 "$pid" 2>/dev/null && break
		sleep 0.05
	done
	if ! $beside "$dir/load" "$(cat "$out/port")" "$connections" "$rounds" 64; then
		kill "$pid" 2>/dev/null || true
		return 1
	fi
	wait "$pid"
}

# The instructions and the passes of a run.
instructions() {
	run "$@" valgrind --tool=callgrind --callgrind-out-file="$out/callgrind"
	# A function is named once, and then goes by its number.
	awk '/^totals:/ { total = $2 }
	     /^c?fn=/ { split($1, id, "="); if ($2 == "epoll_wait") wait = id[2] }
	     /^calls=/ && id[2] == wait { sub("calls=", ""); passes += $1 }
	     END { print total, passes }' "$out/callgrind"
}

system_calls() {
	run "$@" strace -f -o "$out/strace"
	grep -c '(' "$out/strace"
}

# per_echo WHAT CONNECTIONS SERVER: each number that WHAT says, per echo.
per_echo() {
	local at_once=${2/full/50} rounds short long
	rounds=$((echoes / at_once))
	short=$($1 "$2" $((rounds / 10)) "$3")
	long=$($1 "$2" $((rounds + rounds / 10)) "$3")
	echo "$short $long $((rounds * at_once))" | awk '{
		n = (NF - 1) / 2
		for (i = 1; i <= n; i++)
			printf "%.4f ", ($(i + n) - $i) / $NF }'
}

echo "$rows" | while read -r name connections server; do
	[ -n "$name" ] || continue
	figures=$(for n in ${connections//,/ }; do
		per_echo instructions "$n" "$server"
		per_echo system_calls "$n" "$server"
	done)
	echo "$name $figures"
done >"$out/figures"

printf '%-16s%19s%27s%28s%17s\n' '' '1 connection' '50 connections' '50 in each pass' 'one more pass'
printf '%-16s%13s%6s' server instructions calls
printf '%15s%6s%7s' instructions calls passes instructions calls passes
printf '%15s\n' instructions
awk 'function ratio(what, value) {
	if (NR == 1)
		raw[what] = value
	return sprintf("%.0f %5.2fx", value, value / raw[what])
}
{	# Three fields for each number of connections: instructions, passes, calls.
	printf "%-16s%13s%6.2f", $1, ratio("one", $2), $4
	if (NF > 4)
		printf "%15s%6.2f%7.3f%15s%6.2f%7.3f%15s", ratio("50", $5), $7, $6,
			ratio("full", $8), $10, $9, ratio("pass", ($2 - $5) / ($3 - $6))
	printf "\n"
}' "$out/figures"
