#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Every failure, in turn, in any program.
#
#	external.sh [-m MOST] PROGRAM [ARGUMENT...]
#
# PROGRAM, which must end by itself, is linked with inject.c (see inject.h); or FAULT_PRELOAD
# names a shared object of it.  It is run once to count its calls, and then once for every
# call of every kind that fails (no more than MOST of them, spread evenly).  It may fail then,
# with an exit status of its own, which is how it reports the error (and what libevent does
# when it lacks descriptors for a base).  It must not be killed by a signal, not be stopped by a
# sanitizer (exit status 99) or by serve.sh (98), not run on for more than FAULT_LIMIT seconds
# (20), and at its end have no more descriptors and blocks of memory than without a failure.
# With FAULT_SAME set, what it prints must be the same (but for numbers) if its status is 0, or
# there is an "error:" in it; not for the kinds in FAULT_SAME, whose failure is for the program a
# normal end.
#
# FAULT_SKIP: kinds to leave out.  FAULT_HITS: a file to which the kinds that were hit are added.
# Its output goes to FAULT_OUTPUT (/dev/null).

most=0
if [ "$1" = -m ]; then
	most=$2
	shift 2
fi
[ $# -gt 0 ] || exit 2
: "${FAULT_LIMIT:=20}" "${FAULT_OUTPUT:=/dev/null}" "${FAULT_HITS:=/dev/null}"
ASAN_OPTIONS="exitcode=99:$ASAN_OPTIONS"
UBSAN_OPTIONS="exitcode=99:$UBSAN_OPTIONS"
LSAN_OPTIONS="exitcode=99:$LSAN_OPTIONS"
export ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for name in "$@"; do	# the program, in messages
	case $name in *.sh|*' '*|bash|sh) ;; *) break ;; esac
done
name=${name##*/}

# run REPORT: the program, whose output is in $work/output.  Sets status.
run()
{
	report=$1
	shift
	rm -f "$report"
	FAULT_REPORT=$report timeout -k 5 "$FAULT_LIMIT" \
		env ${FAULT_PRELOAD:+LD_PRELOAD="$FAULT_PRELOAD"} "$@" </dev/null >"$work/output" \
		2>"$work/errors"
	status=$?
	cat "$work/output" "$work/errors" >>"$FAULT_OUTPUT"
}

normal()
{
	sed 's/[0-9][0-9]*/N/g' "$work/output"
}

# What the program left: "D B", or nothing if it was terminated.
left()
{
	sed -n 's/^left //p' "$1"
}

failed()
{
	failures=$((failures + 1))
	echo "FAILED $name $kind $n: $*"
	tail -n 20 "$work/output" "$work/errors"
}

check_result()
{
	case $status in
	98) failed "does not serve any more" ;;
	124|137) failed "does not end" ;;
	99) failed "a sanitizer stopped it" ;;
	12[5-9]|1[3-9][0-9]|2??) failed "exit status $status" ;;
	0)
		case " $FAULT_SAME " in '  '|*" $kind "*) return ;; esac
		if [ "$(normal)" != "$usual" ] && ! grep -q '^error: ' "$work/output"; then
			failed "status 0, but what it printed is not the same"
		fi ;;
	esac
}

check_left()
{
	# libevent ends the process here and there.
	grep -q '^\[err\]' "$work/output" "$work/errors" && return
	now=$(left "$work/report" 2>/dev/null)
	if [ -n "$now" ] && [ -n "$before" ] &&
		{ [ "${now% *}" -gt "${before% *}" ] || [ "${now#* }" -gt "${before#* }" ]; }; then
		failed "leaves descriptors and blocks: $now; usually: $before"
	fi
}

run "$work/counts" "$@"
if [ $status -ne 0 ] || [ ! -s "$work/counts" ]; then
	echo "FAILED $name: without any failure exit status $status"
	tail -n 20 "$work/output" "$work/errors"
	exit 1
fi
usual=$(normal) before=$(left "$work/counts")

total=0
while read -r kind calls; do
	case " left $FAULT_SKIP " in *" $kind "*) continue ;; esac
	total=$((total + calls))
done <"$work/counts"
step=1
[ "$most" -gt 0 ] && step=$(((total + most - 1) / most))

tried=0 hit=0 failures=0 at=0
while read -r kind calls; do
	case " left $FAULT_SKIP " in *" $kind "*) continue ;; esac
	n=1
	while [ $n -le "$calls" ]; do
		at=$((at + 1))
		if [ $((at % step)) -eq 0 ]; then
			FAULT_KIND=$kind FAULT_N=$n
			export FAULT_KIND FAULT_N
			run "$work/report" "$@"
			unset FAULT_KIND FAULT_N
			tried=$((tried + 1))
			if grep -q '^hit ' "$work/report" 2>/dev/null; then
				hit=$((hit + 1))
				echo "$kind" >>"$FAULT_HITS"
			fi
			check_result
			check_left
		fi
		n=$((n + 1))
	done
done <"$work/counts"
echo "$name: $tried of $total points tried, $hit hit, failures $failures"
[ $failures -eq 0 ] && [ $hit -gt 0 ]
