#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh - what libasyncore and its neighbours cost, side by side: `make bench`, in a build
# directory, on a machine that does nothing else.
#
#	make bench					everything, about 10 minutes
#	make bench WORKS='echo idle' ROUNDS=1 WINDOW=0.1	something, quickly
#	make bench RESULTS=doc/performance		write there, not into bench/results
#
# WORKS are of: echo lines memory idle predicates heap accept download wake counts gate.  Written
# are results.md, with the tables; data, what each run measured; and, with gnuplot, requests.svg
# (echo) and idle.svg.
#
# Each round (ROUNDS, 5) runs every server once, in alternating order, for WINDOW (0.3) seconds;
# ratios are taken within a round, and what is printed is the median.  The server has one core,
# its client (load.c) another.  The server's CPU time is read on its clock before and after; it
# has user and system time, and soft interrupts of its own sends.  "counts" are those of
# count.sh, with drive.c for a client; they are the same in every run.
#
# A peer whose library is missing (Debian: libuv1-dev, libev-dev; python3 up to 3.11) is left
# out.  Environment, beside these: that of build.sh; PYTHON.
set -eu -o pipefail
shopt -s inherit_errexit
: "${srcdir:=.}" "${ROUNDS:=5}" "${WINDOW:=0.3}" "${RESULTS:=bench/results}"
: "${PYTHON:=python3}" "${CC:=cc}"
: "${WORKS:=echo lines memory idle predicates heap accept download wake counts gate}"
. "$srcdir/bench/count.sh"
. "$srcdir/bench/run_counts.sh"
trap 'rm -rf "$counts"' EXIT

bash "$srcdir/bench/build.sh"
mkdir -p "$RESULTS"
data=$counts/data
report=$counts/report
: >"$data"
: >"$report"
. "$srcdir/bench/peers.sh"

# The program itself, not a script that finds it, and only one that has asyncore.
python=$("$PYTHON" -W ignore -c 'import asynchat, sys; print(sys.executable)' 2>/dev/null || true)
[ -n "$python" ] || echo "bench: $PYTHON has no asyncore, and is left out"

# --- measuring -----------------------------------------------------------------------------------

on_core()
{
	local core=$1
	shift
	if [ "$(nproc)" -gt 1 ]; then
		exec taskset -c "$core" "$@"
	else
		exec "$@"
	fi
}

# timed WORK CONNECTIONS SIZE COMMAND: what load.c says of this server
timed()
{
	local work=$1 connections=$2 size=$3 command port pid said
	command_of "$4"
	exec {said}< <(on_core 0 "${command[@]}")
	pid=$!
	# This is a subshell, which ends with its server.
	trap "kill $pid; wait $pid 2>/dev/null || true" EXIT
	read -r port <&"$said"
	(on_core 1 "$bin/load" "$work" "$port" "$pid" "$connections" "$size" "$WINDOW")
}

# in_turn ROUND LIST: the rows, every second time from the last to the first
in_turn()
{
	if (( $1 % 2 )); then rows "$2"; else rows "$2" | tac; fi
}

# time_servers TABLE LIST WORK COLUMN CONNECTIONS SIZE ROUND: rates and CPU time per unit
time_servers()
{
	local table=$1 list=$2 work=$3 column=$4 connections=$5 size=$6 round=$7
	local key label command done seconds cpu
	while IFS=';' read -r key label command; do
		read -r done seconds cpu < <(timed "$work" "$connections" "$size" "$command" </dev/null)
		awk -v t="$table" -v row="$column $key $round" -v n="$done" -v s="$seconds" -v c="$cpu" '
			BEGIN { print t "-rate", row, n / s
				print t "-cpu", row, c * 1e6 / n
				if (c > 0) print t "-per-cpu", row, n / c }'
	done < <(in_turn "$round" "$list") >>"$data"
}

say() { printf '%s\n' "$@" >>"$report"; }

# table LIST TABLE BASE COLUMNS [HEAD]: see table.awk
table()
{
	rows "$1" >"$counts/rows"
	awk -v table="$2" -v base="$3" -v columns="$4" -v head="${5-}" \
		-f "$srcdir/bench/table.awk" "$counts/rows" "$data" >>"$report"
	say ''
}

# --- the works -----------------------------------------------------------------------------------

work_echo()
{
	local round connections size
	for ((round = 1; round <= ROUNDS; round++)); do
		for size in 64 16384; do
			for connections in 1 50 1000; do
				time_servers echo "$echo_servers" echo "$connections-$size" \
					"$connections" "$size" "$round"
			done
		done
	done
	local columns='1-64 50-64 1000-64 1-16384 50-16384 1000-16384'
	local head='1 x 64 B;50 x 64 B;1000 x 64 B;1 x 16 KiB;50 x 16 KiB;1000 x 16 KiB'
	say '## Echo' '' '### Requests per second (ratio to raw libevent)' ''
	table "$echo_servers" echo-rate libevent "$columns" "$head"
	say '### CPU time of the server per request, µs (ratio)' ''
	table "$echo_servers" echo-cpu libevent "$columns" "$head"
}

work_lines()
{
	local round size kind list
	for ((round = 1; round <= ROUNDS; round++)); do
		for kind in count answer; do
			lines_rows "$kind"
			for size in 20 80 1000; do
				time_servers "$kind" "$list" "$kind" "$size" 1 "$size" "$round"
			done
		done
	done
	for kind in count answer; do
		lines_rows "$kind"
		say "## Lines over TCP, ${kind}ed" ''
		say '### Lines per CPU second of the server (ratio to evbuffer_readln)' ''
		table "$list" "$kind-per-cpu" readln '20 80 1000' '20 B;80 B;1000 B'
		say '### Lines per second (ratio)' ''
		table "$list" "$kind-rate" readln '20 80 1000' '20 B;80 B;1000 B'
	done
}

# Into `list`: the servers, which are told what to do.  There is nothing to send when lines are
# counted.
lines_rows()
{
	list=$(sed "s/\$/ $1/; /^ /d" <<<"$lines_servers")
	[ "$1" = answer ] || list=$(grep -v -- '-once;' <<<"$list")
}

work_memory()
{
	local round size key label line command
	for ((round = 1; round <= ROUNDS; round++)); do
		for size in 20 80 1000; do
			while IFS=';' read -r key label line; do
				command_of "$line" "$size" "$WINDOW"
				echo "memory $size $key $round $(on_core 0 "${command[@]}")"
			done < <(in_turn "$round" "$memory_programs") >>"$data"
		done
	done
	say '## Lines from memory: lines per second (ratio to evbuffer_readln)' ''
	table "$memory_programs" memory readln '20 80 1000' '20 B;80 B;1000 B'
}

# Numbers of idle channels: as many as there may be descriptors, at last.
idle_steps()
{
	local limit
	limit=$(ulimit -H -n)
	if [ "$limit" = unlimited ] || [ "$limit" -gt 101000 ]; then
		limit=101000
	fi
	for n in 100 1000 10000 $((limit - 1000)); do
		[ "$n" -gt $((limit - 1000)) ] || echo "$n"
	done | sort -nu
}

# time_idle TABLE LIST ACTIVE ROUND: ns per event
time_idle()
{
	local table=$1 list=$2 active=$3 round=$4 key label line command idle passes
	for idle in $(idle_steps); do
		while IFS=';' read -r key label line; do
			case $key in
			python*) passes=$((1 + 20000 / (idle + 10 * active))) ;;
			*) passes=$((100000 / (4 + active))) ;;
			esac
			[[ $line != *asked* ]] || passes=$((1 + 10000000 / (idle + 1000)))
			command_of "$line" "$idle" "$active" "$passes"
			echo "$table $idle $key $round $(on_core 0 "${command[@]}" | cut -d' ' -f1)"
		done < <(in_turn "$round" "$list") >>"$data"
	done
}

work_idle()
{
	local round active columns
	columns=$(echo $(idle_steps))
	for ((round = 1; round <= ROUNDS; round++)); do
		for active in 1 100; do
			time_idle "idle-$active" "$idle_programs" "$active" "$round"
		done
	done
	for active in 100 1; do
		flatness "idle-$active" ${columns%% *} ${columns##* } >"$counts/flatness"
		cat "$counts/flatness" >>"$data"
		say "## Idle channels: ns per event beside so many idle ones, $active active" \
			'' '(ratio to raw libevent)' ''
		table "$idle_programs" "idle-$active" libevent "$columns idle-$active-flatness:last" \
			"${columns// /;};last / first"
	done
}

# flatness TABLE FIRST LAST: how much more an event costs with most channels than with fewest
flatness()
{
	awk -v t="$1" -v first="$2" -v last="$3" '
		$1 == t && $2 == first { few[$3 " " $4] = $5 }
		$1 == t && $2 == last { most[$3 " " $4] = $5 }
		END { for (i in most) print t "-flatness last", i, most[i] / few[i] }' "$data"
}

# What each channel that is asked adds to a pass with one event.  Python asks all of them, always.
work_predicates()
{
	local round columns unasked
	columns=$(echo $(idle_steps))
	unasked=$(sed 's/ asked//; /^python/d' <<<"$asked_programs")
	for ((round = 1; round <= ROUNDS; round++)); do
		time_idle asked "$asked_programs" 1 "$round"
		time_idle unasked "$unasked" 1 "$round"
	done
	awk '$1 == "unasked" { without[$2, $3, $4] = $5 }
	     $1 == "asked" { with[$2, $3, $4] = $5 }
	     END { for (i in with) {
			split(i, part, SUBSEP)
			print "predicates", part[1], part[2], part[3], (with[i] - without[i]) / part[1] } }' \
		"$data" >"$counts/predicates"
	cat "$counts/predicates" >>"$data"
	say '## Overridden predicates: ns per channel and pass' '' \
		'(both predicates of so many channels are asked; ratio to asyncore_poll)' ''
	table "$asked_programs" predicates ours "$columns"
}

work_heap()
{
	local key label line
	while IFS=';' read -r key label line; do
		case $key in python) continue ;; esac
		read -ra line <<<"$line"
		echo "heap bytes $key 1 $(heap_per_idle "${line[@]}")"
	done < <(rows "$idle_programs") >>"$data"
	say '## Heap bytes per idle connection' '' '(by 10,000 of them; ratio to raw libevent)' ''
	table "$idle_programs" heap libevent bytes
}

work_accept()
{
	local round
	for ((round = 1; round <= ROUNDS; round++)); do
		time_servers accept "$accept_servers" accept 64 64 64 "$round"
	done
	say '## Accept: connections accepted and closed, 64 at once (ratio to raw libevent)' ''
	table "$accept_servers" '' libevent 'accept-rate:64 accept-cpu:64' \
		'connections/s;CPU µs per connection'
}

work_download()
{
	local round
	for ((round = 1; round <= ROUNDS; round++)); do
		time_servers download "$download_servers" download 100 1 64 "$round"
	done
	say '## Download of 100 MiB (ratio to raw libevent with send)' ''
	table "$download_servers" '' libevent 'download-rate:100 download-cpu:100' \
		'MiB/s;CPU µs per MiB'
}

work_wake()
{
	say '## Calls from another thread' '' 'One at a time, into a loop that sleeps.' '' '```'
	"$bin/wake" "$((ROUNDS * 4000))" >>"$report"
	say '```' ''
}

# The figures of the gate, as they stand.
work_gate()
{
	say '## What a shim may cost' '' 'By `make bench-gate`; see bench/limits.' '' '```'
	bash "$srcdir/bench/gate.sh" >>"$report" || true
	say '```' ''
}


# --- all of it -----------------------------------------------------------------------------------

say "# What libasyncore costs" '' "$(date -u +%Y-%m-%d), $(uname -srm), $(nproc) cores," \
	"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1); $($CC --version | head -n 1);" \
	"libevent $(pkg-config --modversion libevent_core)." \
	"$ROUNDS rounds of $WINDOW s: medians (ratios within a round) ± half the range." ''
for work in $WORKS; do
	start=$SECONDS
	"work_$work"
	echo "bench: $work, $((SECONDS - start)) s"
done
cp "$report" "$RESULTS/results.md"
cp "$data" "$RESULTS/data"
bash "$srcdir/bench/draw.sh" "$RESULTS"
cat "$RESULTS/results.md"
