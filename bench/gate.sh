#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# gate.sh - what libasyncore may cost: `make bench-gate`, in a build directory.
#
# Counts instructions, system calls and heap bytes of ours and of the raw libevent programs, in
# this run, and fails when a figure is above its limit in bench/limits, which says what each
# is.  No time is measured: the counts are the same on a busy machine (see count.sh).
#
#	gate.sh [FIGURE...]	only these, by name or by pattern ('echo-50-*')
#
# A table is printed: the figure of ours and of raw libevent, what counts (their ratio, or ours
# alone), its limit, and which of the two goals are met.  When code got cheaper, lower the limit,
# to what is measured and 1 %.
#
# Where the instructions of one figure go, line by line:
#
#	BENCH_DRIVE='echo 50 64 1000' LD_PRELOAD=$PWD/bench/bin/drive.so valgrind \
#		--tool=callgrind --dump-instr=yes --callgrind-out-file=echo.callgrind \
#		--toggle-collect=epoll_wait --collect-atstart=yes bench/bin/echo_asyncore
#	callgrind_annotate --auto=yes echo.callgrind
#
# Needs valgrind, strace and 10,100 descriptors.  Environment: that of build.sh; LIMITS, another
# file of limits.
set -eu -o pipefail
shopt -s inherit_errexit
: "${srcdir:=.}" "${LIMITS:=$srcdir/bench/limits}"
. "$srcdir/bench/count.sh"
trap 'rm -rf "$counts"' EXIT

can_count || exit 1
bash "$srcdir/bench/build.sh" accept_asyncore accept_libevent drive.so echo_asyncore \
	echo_libevent idle_asynchat idle_asyncore idle_libevent lines_asynchat

# --- the figures -----------------------------------------------------------------------------

# What ours is compared with is counted once: raw KEY FUNCTION ARGUMENT... prints it.
raw()
{
	local key=$counts/raw-$1
	shift
	[ -e "$key" ] || "$@" >"$key"
	cat "$key"
}

# of NAME: the number with this name in a list, 0 if it is not there
of()
{
	awk -v name="$1" '$1 == name { n = $2 } END { print n + 0 }'
}

echo_instructions() { instructions_per "$1" 60 "echo $1 64" "${@:2}"; }
echo_calls() { system_calls_per "$1" 20 "echo $1 $2" "${@:3}"; }
stall_calls() { system_calls_per 1 20 "stall 1 65536" "$@"; }
line_instructions() { instructions_per 3276.8 10 "count 1 20" "$@"; }
line_calls() { system_calls_per 3276.8 10 "answer 1 20" "$@"; }
accept_instructions() { instructions_per 64 10 "accept 64 64" "$@"; }
accept_calls() { system_calls_per 64 10 "accept 64 64" "$@"; }

# measure FIGURE: prints ours, and raw libevent's if it is compared with that
measure()
{
	local b=$bin loop
	case $1 in
	*-attached) loop=attached ;;
	*) loop= ;;
	esac
	case $1 in
	echo-50-instructions-*)
		echo_instructions 50 $b/echo_asyncore $loop
		raw i50 echo_instructions 50 $b/echo_libevent ;;
	echo-1-instructions-*)
		echo_instructions 1 $b/echo_asyncore $loop
		raw i1 echo_instructions 1 $b/echo_libevent ;;
	echo-50-calls-*)
		echo_calls 50 64 $b/echo_asyncore $loop | of total
		raw c50 echo_calls 50 64 $b/echo_libevent | of total ;;
	echo-1-calls-*)
		echo_calls 1 64 $b/echo_asyncore $loop | of total
		raw c1 echo_calls 1 64 $b/echo_libevent | of total ;;
	echo-16k-calls-*)
		echo_calls 50 16384 $b/echo_asyncore $loop | of total
		raw c16k echo_calls 50 16384 $b/echo_libevent | of total ;;
	echo-epoll_ctl-*)
		echo_calls 50 64 $b/echo_asyncore $loop | of epoll_ctl
		raw c50 echo_calls 50 64 $b/echo_libevent | of epoll_ctl ;;
	stall-epoll_ctl-*)
		stall_calls $b/echo_asyncore $loop | of epoll_ctl
		raw stall stall_calls $b/echo_libevent | of epoll_ctl ;;
	line-instructions-*)
		line_instructions $b/lines_asynchat count $loop ;;
	line-answered-calls-*)
		line_calls $b/lines_asynchat answer $loop | of total ;;
	accept-instructions-*)
		accept_instructions $b/accept_asyncore $loop
		raw accept-one accept_instructions $b/accept_libevent one ;;
	accept-calls-*)
		accept_calls $b/accept_asyncore $loop | of total
		raw accept accept_calls $b/accept_libevent | of total ;;
	accept-batch-calls-*)
		accept_calls $b/accept_asyncore batch $loop | of total
		raw accept accept_calls $b/accept_libevent | of total ;;
	heap-dispatcher)
		heap_per_idle idle_asyncore
		raw heap heap_per_idle idle_libevent ;;
	heap-dispatcher_with_send)
		heap_per_idle idle_asyncore with_send
		raw heap heap_per_idle idle_libevent ;;
	heap-async_chat)
		heap_per_idle idle_asynchat
		raw heap heap_per_idle idle_libevent ;;
	idle-instructions-*)	# one event beside many idle channels, and beside few
		idle_instructions 2000 1 idle_asyncore $loop
		idle_instructions 100 1 idle_asyncore $loop ;;
	asked-instructions-*)	# what 1,900 more channels make dearer, each
		echo "$(idle_instructions 2000 1 idle_asyncore asked $loop)" \
			"$(idle_instructions 100 1 idle_asyncore asked $loop)" |
			awk '{ printf "%.2f\n", ($1 - $2) / 1900 }' ;;
	*)
		echo "bench: nobody knows how to measure $1" >&2
		exit 1 ;;
	esac
}

# --- the gate ----------------------------------------------------------------------------------

# chosen FIGURE PATTERN...
chosen()
{
	local name=$1 pattern
	shift
	[ $# = 0 ] && return
	for pattern in "$@"; do
		# shellcheck disable=SC2053
		[[ $name = $pattern ]] && return
	done
	return 1
}

printf '%-30s %9s %9s %9s %8s %10s %10s\n' figure ours libevent counts limit solid moonshot
over=0 checked=0
while read -r name limit solid moonshot what; do
	case $name in '' | '#'*) continue ;; esac
	chosen "$name" "$@" || continue
	figures=$(measure "$name" </dev/null)
	checked=$((checked + 1))
	# A limit with an x is one of the ratio to the second figure.
	echo $figures | awk -v name="$name" -v limit="$limit" -v solid="$solid" -v moon="$moonshot" '
		function within(goal) { return counts <= (goal + 0) * 1.00001 }
		function goal(g) { return g == "-" ? g : (g (within(g) ? " met" : " no")) }
		{
			unit = limit ~ /x$/ ? "x" : ""
			# Nothing, as libevent had nothing, is equal to it.
			counts = unit == "" ? $1 : ($2 > 0 ? $1 / $2 : $1 + 1)
			# No figure at all is none that is within its limit.
			ok = within(limit) && ($1 > 0 || ($1 == "0" && name ~ /epoll_ctl/))
			remark = ok ? "" : "  ABOVE THE LIMIT"
			if (counts * 1.03 < limit + 0)
				remark = "  lower the limit"
			printf "%-30s %9.5g %9s %9s %8s %10s %10s%s\n", name, $1, \
				(NF > 1 ? sprintf("%.5g", $2) : "-"), sprintf("%.4g", counts) unit, \
				limit, goal(solid), goal(moon), remark
			exit !ok
		}' || over=$((over + 1))
done <"$LIMITS"

if [ "$checked" = 0 ]; then
	echo "bench: no such figure"
	exit 1
fi
echo "$checked figures, $over above the limit"
[ "$over" = 0 ]
