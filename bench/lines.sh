#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# lines.sh BUILD_DIR [ROUNDS] - lines per CPU second of the servers in lines.c and lines.py,
# all of them in every round, in alternating order; and user instructions and system calls
# per line.  Ratios are taken inside a round; what is printed are medians.  The counts need
# valgrind and strace.  ROUNDS (5) may be 0 for the counts alone.
set -eu
dir=$1
rounds=${2:-5}
here=$(dirname "$0")
python=${PYTHON:-python3}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

modes_count='flat readln asynchat'
modes_answer='flat flat-send readln asynchat asynchat-once'
# The program itself, not a script that finds it.
python=$("$python" -c 'import sys; print(sys.executable)' 2>/dev/null || true)
if [ -n "$python" ] && "$python" -W ignore -c 'import asynchat' 2>/dev/null; then
	modes_count+=' python'
	modes_answer+=' python'
fi

# One core for the server, another for its client.
pin() {
	local core=$1
	shift
	if [ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null; then
		taskset -c "$core" "$@"
	else
		"$@"
	fi
}

# run MODE KIND SIZE BYTES COMMAND...: the server under COMMAND, with the load.  What it
# says is in $out/said, what COMMAND says in $out/err.
run() {
	local mode=$1 kind=$2 size=$3 bytes=$4 server pid i
	shift 4
	server=("$dir/lines" "$mode")
	[ "$mode" = python ] && server=("$python" -W ignore "$here/lines.py")
	: >"$out/said"
	pin 0 "$@" "${server[@]}" "$kind" >"$out/said" 2>"$out/err" &
	pid=$!
	for i in $(seq 400); do
		[ -s "$out/said" ] && break
		sleep 0.05
	done
	pin 1 "$dir/lines" load "$(head -n 1 "$out/said")" "$size" "$bytes" "$kind"
	wait "$pid"
}

# Bytes for about a third of a second.
amount() {	# MODE KIND SIZE
	local million=4 limit
	case $1-$2 in
	python-count) million=0.4 ;;
	python-answer) million=0.1 ;;
	flat-send-answer | asynchat-once-answer) million=0.2 ;;
	flat-*) million=24 ;;
	asynchat-*) million=16 ;;
	esac
	# So many lines, but not more than the memory can move in that time.
	limit=1000000000
	case $1 in
	readln) limit=300000000 ;;
	python) limit=150000000 ;;
	esac
	awk -v m="$million" -v s="$3" -v l="$limit" 'BEGIN {
		b = m * 1e6 * s; printf "%d\n", b < l ? b : l }'
}

reverse() {
	local r='' i
	for i in "$@"; do r="$i $r"; done
	echo "$r"
}

median() {
	sort -g | awk '{ v[NR] = $1 } END {
		if (NR > 0) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
		else print 0 }'
}

# The instructions and calls of a run.
instructions() {
	run "$@" valgrind --tool=callgrind --callgrind-out-file=/dev/null
	sed -n 's/.*Collected : //p' "$out/err"
}

system_calls() {
	run "$@" strace -f -o "$out/strace"
	grep -c '(' "$out/strace"
}

per_line() {	# WHAT MODE KIND SIZE LINES
	local short long
	short=$($1 "$2" "$3" "$4" $(($5 / 4 * $4)))
	long=$($1 "$2" "$3" "$4" $(($5 / 4 * 5 * $4)))
	echo "$short $long $5" | awk '{ printf "%.6g\n", ($2 - $1) / $3 }'
}

for ((round = 1; round <= rounds; round++)); do
	for kind in count answer; do
		modes=modes_$kind
		modes=${!modes}
		[ $((round % 2)) = 0 ] && modes=$(reverse $modes)
		for size in 20 80 1000; do
			for mode in $modes; do
				run "$mode" "$kind" "$size" "$(amount "$mode" "$kind" "$size")"
				echo "$kind $size $mode $round $(sed -n 2p "$out/said")"
			done
		done
	done
done >"$out/times"

# column KIND SIZE MODE: lines per CPU second, of readln's, and half the range.
column() {
	awk -v k="$1" -v s="$2" -v m="$3" '$1 == k && $2 == s {
		if ($3 == m) mine[$4] = $7
		if ($3 == "readln") base[$4] = $7
	} END { for (r in mine) print mine[r], mine[r] / base[r] }' "$out/times" >"$out/column"
	cut -d' ' -f2 "$out/column" | sort -g >"$out/ratios"
	awk -v m="$(cut -d' ' -f1 "$out/column" | median)" -v r="$(median <"$out/ratios")" \
		-v l="$(head -n 1 "$out/ratios")" -v h="$(tail -n 1 "$out/ratios")" 'BEGIN {
		printf "%9.2f M %6.2fx +-%2.0f%%", m / 1e6, r, (h - l) / 2 / r * 100 }'
}

for kind in count answer; do
	modes=modes_$kind
	[ "$rounds" -gt 0 ] || break
	echo "$kind: lines per CPU second of the server (ratio to readln)"
	printf '%-16s%24s%24s%24s\n' server '20 B' '80 B' '1000 B'
	for mode in ${!modes}; do
		printf '%-16s%s%s%s\n' "$mode" "$(column $kind 20 "$mode")" \
			"$(column $kind 80 "$mode")" "$(column $kind 1000 "$mode")"
	done
	echo
done

for kind in count answer; do
	modes=modes_$kind
	echo "$kind: per line of 20 B"
	printf '%-16s %16s %16s\n' server instructions 'system calls'
	for mode in ${!modes}; do
		n=200000
		case $mode in python | flat-send | asynchat-once) n=8000 ;; esac
		printf '%-16s %16s %16s\n' "$mode" \
			"$(per_line instructions "$mode" $kind 20 $n)" \
			"$(per_line system_calls "$mode" $kind 20 $n)"
	done
	echo
done
