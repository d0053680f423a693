# SPDX-License-Identifier: BSD-3-Clause
#
# count.sh - read by the scripts that count: instructions (callgrind, user space alone) and
# system calls (strace) of a server that drive.c drives.  Both are the difference of a long and
# a short run, so that start-up is not in them, and the same in every run: no clock, no scheduler
# and no other process has a part in it.

bin=bench/bin
counts=$(mktemp -d)

# What needs valgrind, and a strace that may trace.
can_count()
{
	local result=0
	if ! valgrind --tool=callgrind --callgrind-out-file=/dev/null true 2>"$counts/said"; then
		echo "bench: callgrind does not work here (Debian: valgrind):"
		result=1
	elif ! strace -f -o /dev/null true 2>"$counts/said"; then
		echo "bench: strace does not work here (Debian: strace; it needs ptrace):"
		result=1
	fi
	[ "$result" = 0 ] || sed 's/^/bench: | /' "$counts/said"
	return "$result"
}

# The waits, at which drive.c comes in.  Callgrind stops counting at them, and counts again in
# libc's function of the same name.
waits=(epoll_wait epoll_pwait poll select)

# instructions DRIVE COMMAND...: of a run; DRIVE is for drive.c, or empty when there is no client
instructions()
{
	local drive=$1 preload=() toggle=() wait
	shift
	if [ -n "$drive" ]; then
		for wait in "${waits[@]}"; do toggle+=("--toggle-collect=$wait"); done
		toggle+=(--collect-atstart=yes)
		preload=("LD_PRELOAD=$PWD/$bin/drive.so")
	fi
	env "BENCH_DRIVE=$drive" "${preload[@]}" valgrind --tool=callgrind \
		--callgrind-out-file=/dev/null "${toggle[@]}" "$@" \
		>"$counts/out" 2>"$counts/said" || failed_to_count "$@"
	sed -n 's/.*Collected : //p' "$counts/said" | grep . || failed_to_count "$@"
}

# system_calls DRIVE COMMAND...: a line "NAME NUMBER" for each, but those of drive.c
system_calls()
{
	local drive=$1
	shift
	strace -f -o "$counts/strace" -E "BENCH_DRIVE=$drive" -E "LD_PRELOAD=$PWD/$bin/drive.so" \
		"$@" >"$counts/out" 2>"$counts/said" || failed_to_count "$@"
	awk '/write\(-1, "turn"/ { driven = 1 }
	     /write\(-1, "done"/ { driven = 0; next }
	     !driven && match($0, /[a-z0-9_]+\(/) { n[substr($0, RSTART, RLENGTH - 1)]++ }
	     END { for (name in n) print name, n[name] }' "$counts/strace"
}

failed_to_count()
{
	echo "bench: this did not work: $*" >&2
	cat "$counts/said" >&2
	exit 1
}

# The rounds of a short run, which has to reach the steady state; of a long one, so many more.
short=20

# instructions_per UNITS ROUNDS "WORK CONNECTIONS SIZE" COMMAND...: per unit, of which so many
# are in a round
instructions_per()
{
	local units=$1 rounds=$2 drive=$3 less more
	shift 3
	less=$(instructions "$drive $short" "$@")
	more=$(instructions "$drive $((short + rounds))" "$@")
	awk -v l="$less" -v m="$more" -v n="$rounds" -v u="$units" \
		'BEGIN { printf "%.2f\n", (m - l) / n / u; exit !(m > l) }'
}

# system_calls_per, the same: a line "NAME NUMBER" for each that there was, the total first
system_calls_per()
{
	local units=$1 rounds=$2 drive=$3
	shift 3
	system_calls "$drive $short" "$@" >"$counts/less"
	system_calls "$drive $((short + rounds))" "$@" >"$counts/more"
	awk -v n="$rounds" -v u="$units" '
		NR == FNR { less[$1] = $2; next }
		$2 > less[$1] { per[$1] = ($2 - less[$1]) / n / u; total += per[$1] }
		END { print "total", total + 0; for (name in per) print name, per[name]
		      exit !total }' \
		"$counts/less" "$counts/more"
}

# idle_instructions IDLE ACTIVE PROGRAM [WORD...]: per pass of a program of idle.h
idle_instructions()
{
	local idle=$1 active=$2 program=$3 less more
	shift 3
	less=$(instructions '' "$bin/$program" "$idle" "$active" 10 "$@")
	more=$(instructions '' "$bin/$program" "$idle" "$active" 60 "$@")
	awk -v l="$less" -v m="$more" 'BEGIN { printf "%.1f\n", (m - l) / 50; exit !(m > l) }'
}

# heap_per_idle PROGRAM [WORD...]: bytes, by 10,000 idle connections
heap_per_idle()
{
	local program=$1
	shift
	"$bin/$program" 10000 1 0 "$@" >"$counts/out" 2>"$counts/said" ||
		failed_to_count "$program" "$@"
	cut -d' ' -f2 "$counts/out"
}
