#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Every failure, in turn, in any program.
#
#	external.sh [-s STEP] PROGRAM [ARGUMENT...]
#
# PROGRAM, which must end by itself, is linked with inject.c (see inject.h); or FAULT_PRELOAD
# names a shared object of it.  It is run once to count its calls, and then once for every
# call (every STEP-th) of every kind that fails.  It may fail then, with an exit status of its
# own, which is how it reports the error (and what libevent does when it lacks descriptors for
# a base).  It must not be killed by a signal, not be stopped
# by a sanitizer (exit status 99), and not run on for more than FAULT_LIMIT seconds (20).
#
# FAULT_SKIP: kinds to leave out.  Its output goes to FAULT_OUTPUT (/dev/null).

step=1
if [ "$1" = -s ]; then
	step=$2
	shift 2
fi
[ $# -gt 0 ] || exit 2
: "${FAULT_LIMIT:=20}" "${FAULT_OUTPUT:=/dev/null}"
ASAN_OPTIONS="exitcode=99:$ASAN_OPTIONS"
UBSAN_OPTIONS="exitcode=99:$UBSAN_OPTIONS"
export ASAN_OPTIONS UBSAN_OPTIONS

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

run()
{
	if [ -n "$FAULT_PRELOAD" ]; then
		timeout -k 5 "$FAULT_LIMIT" env LD_PRELOAD="$FAULT_PRELOAD" "$@"
	else
		timeout -k 5 "$FAULT_LIMIT" "$@"
	fi
}

FAULT_REPORT=$work/counts run "$@" </dev/null >>"$FAULT_OUTPUT" 2>&1
status=$?
if [ $status -ne 0 ] || [ ! -s "$work/counts" ]; then
	echo "FAILED $1: without any failure exit status $status"
	exit 1
fi

tried=0 hit=0 failures=0 at=0
while read -r kind calls; do
	case " $FAULT_SKIP " in *" $kind "*) continue ;; esac
	n=1
	while [ $n -le "$calls" ]; do
		at=$((at + 1))
		if [ $((at % step)) -eq 0 ]; then
			rm -f "$work/report"
			FAULT_KIND=$kind FAULT_N=$n FAULT_REPORT=$work/report \
				run "$@" </dev/null >"$work/output" 2>&1
			status=$?
			cat "$work/output" >>"$FAULT_OUTPUT"
			tried=$((tried + 1))
			if grep -q '^hit ' "$work/report" 2>/dev/null; then
				hit=$((hit + 1))
			fi
			case $status in
			99|124|12[5-9]|1[3-9][0-9]|2??)
				failures=$((failures + 1))
				echo "FAILED $1 $kind $n: exit status $status"
				tail -n 5 "$work/output"
				;;
			esac
		fi
		n=$((n + 1))
	done
done <"$work/counts"
echo "$1: $tried points tried, $hit hit, failures $failures"
[ $failures -eq 0 ] && [ $hit -gt 0 ]
