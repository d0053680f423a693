#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Load (load.c): connections at once, no descriptors left, bytes; in asyncore's loop and in
# the application's.
#
#	run.sh [short]		15,000 connections, 32 MiB each way
#	run.sh long		the same with 1 GiB, and more of the others
#
# 77: nothing failed, but something could not run here.
# Environment: LOAD, the program (test/load/load); SEED.

set -u

: "${LOAD:=test/load/load}" "${SEED:=$(date +%s)}"
passed=0 failed=0 skipped=0

try()
{
	result=0
	"$LOAD" "$@" 2>&1 || result=$?
	case $result in
	0) passed=$((passed + 1)) ;;
	77) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
}

case ${1-short} in
short) held=5000 rounds=2 mib=32 ;;
long) held=15000 rounds=50 mib=1024 ;;
*)
	echo "usage: run.sh [short|long]" >&2
	exit 2
	;;
esac
try hold 15000
try hold "$held" attached
try emfile "$rounds"
try emfile "$rounds" attached
try bytes "$mib" "$SEED"
try bytes "$mib" "$SEED" attached
echo "load: $passed passed, $failed failed, $skipped skipped, seed $SEED"
[ "$failed" -eq 0 ] || exit 1
[ "$skipped" -eq 0 ] || exit 77
