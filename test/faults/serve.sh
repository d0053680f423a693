#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A server for external.sh: it is started with the failure, spoken to without one, ended by
# SIGTERM, and its exit status is that of this script (0 for an end by that SIGTERM).
#
#	external.sh serve.sh 'WORDS' SERVER [ARGUMENT...]
#
# WORDS, with a line end behind them, are said to every port that the server prints, twice; what
# comes back does not matter.  FAULT_SERVER_PRELOAD names what FAULT_PRELOAD would, for the server
# alone.

words=$1
shift
declare -A fault
for name in FAULT_KIND FAULT_N FAULT_ERROR FAULT_REPEAT FAULT_REPORT; do
	[ -n "${!name-}" ] && fault[$name]=${!name}
	unset "$name"
done
given=()
for name in "${!fault[@]}"; do
	given+=("$name=${fault[$name]}")
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

env ${FAULT_SERVER_PRELOAD:+LD_PRELOAD="$FAULT_SERVER_PRELOAD"} "${given[@]}" "$@" \
	>"$work/out" 2>"$work/err" &
pid=$!
trap '' PIPE		# for this script; the server has it as it was
trap 'kill -KILL $pid 2>/dev/null; rm -rf "$work"' EXIT

ports=
for (( i = 0; i < 40; i++ )); do
	ports=$(sed -n 's/.*[: ]\([0-9]\{1,\}\)[/)]\{0,1\}$/\1/p' "$work/out" 2>/dev/null)
	[ -n "$ports" ] && break
	kill -0 $pid 2>/dev/null || break
	sleep 0.02
done
sleep 0.02
for port in $ports $ports; do
	{
		exec 3<>"/dev/tcp/127.0.0.1/$port" || continue
		printf '%s\r\n\r\n' "$words" >&3
		timeout 0.1 head -c 20 <&3 >/dev/null
		exec 3>&- 3<&-
	} 2>/dev/null
done
kill -TERM $pid 2>/dev/null
for (( i = 0; i < 250; i++ )); do
	kill -0 $pid 2>/dev/null || break
	sleep 0.02
done
if kill -0 $pid 2>/dev/null; then
	echo "does not end after SIGTERM"
	exit 124
fi
wait $pid
status=$?
cat "$work/out" "$work/err"
[ $status -eq 143 ] && status=0
exit $status
