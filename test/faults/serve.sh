#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A server for external.sh: it is started with the failure, spoken to without one, ended by
# SIGTERM, and its exit status is that of this script (0 for an end by that SIGTERM).
#
#	external.sh serve.sh 'WORDS' SERVER [ARGUMENT...]
#
# WORDS, with a line end behind them, are said to every port that the server prints, three
# times, or five.  What comes back at first does not matter, but something must come of one of the
# last three times, as long as the server goes on (98: nothing comes).  Unless it said "closing
# channel <... listening", as asyncore does of a server whose handle_accepted() raised.
# FAULT_SERVER_PRELOAD names what FAULT_PRELOAD would, for the server alone.

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

is_there()
{
	kill -0 $pid 2>/dev/null
}

# ask PORT SECONDS: the number of bytes that come of it, no more than one
ask()
{
	{
		exec 3<>"/dev/tcp/127.0.0.1/$1" || return
		printf '%s\r\n\r\n' "$words" >&3
		timeout "$2" head -c 1 <&3 | wc -c
		exec 3>&- 3<&-
	} 2>/dev/null
}

ports=
for (( i = 0; i < 500; i++ )); do
	ports=$(sed -n 's/.*[: ]\([0-9]\{1,\}\)[/)]\{0,1\}$/\1/p' "$work/out" 2>/dev/null)
	(( $(wc -w <<<"$ports") >= ${FAULT_PORTS:-1} )) && break
	is_there || break
	sleep 0.02
done
for port in $ports $ports; do
	ask "$port" 0.1 >/dev/null
done
silent=
for port in $ports; do
	for (( i = 0; i < 3; i++ )); do
		is_there && [[ $(ask "$port" 5) != 1 ]] || break
	done
	(( i < 3 )) || silent=1
done
# ends: within five seconds
ends()
{
	local i
	for (( i = 0; i < 250; i++ )); do
		is_there || return 0
		sleep 0.02
	done
	return 1
}

# One that says nothing may be about to end.
[ -z "$silent" ] || ends
kill -TERM $pid 2>/dev/null
if ! ends; then
	echo "does not end after SIGTERM"
	exit 124
fi
wait $pid
status=$?
cat "$work/out" "$work/err"
[ $status -eq 143 ] && status=0
if [ $status -eq 0 ] && [ -n "$silent" ] &&
	! cat "$work/out" "$work/err" | grep -q 'closing channel <.* listening'; then
	status=98
fi
exit $status
