#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run the examples against each other and against curl, and compare every byte.
#
#	examples/demo.sh [BUILD_DIR]
#
# BUILD_DIR holds examples/http_server and the others; it is the current directory otherwise.
# DEMO_RUN is put before each of them, as DEMO_RUN="./libtool --mode=execute valgrind -q".
# Exit status: 0 when all was right, 1 when not, 77 when there is no curl for it.

set -u
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
programs=$(cd "${1:-.}/examples" && pwd) || exit 1
work=$(mktemp -d) || exit 1
limit=20		# seconds that any one step may take
pid=			# the server that runs now

clean_up() {
	if [ -n "$pid" ]; then
		kill -KILL "$pid"
		wait "$pid"
	fi 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

say() {
	printf '%-13s %s\n' "$1" "$2"
}

die() {
	say "$1" "FAILED: $2"
	shift 2
	[ $# -gt 0 ] && cat "$@"
	exit 1
}

# start COUNT NAME ARGUMENT... - run a program of so many servers; sets pid, ports to what it
# prints, and port to the first of them
start() {
	local count=$1 name=$2 deadline=$((SECONDS + limit)) line
	shift 2
	${DEMO_RUN:-} "$programs/$name" "$@" >"$work/$name.out" 2>"$work/$name.err" &
	pid=$!
	ports=()
	until [ ${#ports[@]} -ge "$count" ]; do
		if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
			die "$name" "did not start" "$work/$name.out" "$work/$name.err"
		fi
		sleep 0.05
		ports=($(sed -n 's/.*[: ]\([0-9]\{1,\}\)[/)]\{0,1\}$/\1/p' "$work/$name.out"))
	done
	port=${ports[0]}
	while read -r line; do
		say "$name" "$line"
	done <"$work/$name.out"
}

# stop NAME STATUS - SIGTERM, and expect it to end with STATUS and to listen no more
stop() {
	local name=$1 want=$2 got deadline=$((SECONDS + limit))
	kill -TERM "$pid"
	while kill -0 "$pid" 2>/dev/null; do
		[ $SECONDS -lt $deadline ] || die "$name" "did not end after SIGTERM"
		sleep 0.05
	done
	wait "$pid" 2>/dev/null
	got=$?
	pid=
	[ $got -eq "$want" ] ||
		die "$name" "ended with status $got, not $want" "$work/$name.err"
	for port in "${ports[@]}"; do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && die "$name" "still listens"
	done
	say "$name" "ended by SIGTERM, status $got, and listens no more"
}

# hear NAME PATTERN - read a line from descriptor 3, which the pattern has to match
hear() {
	local answer
	read -r -t $limit answer <&3 || die "$1" "gave no answer"
	answer=${answer%$'\r'}
	[[ $answer == $2 ]] || die "$1" "answered '$answer', not '$2'"
	say "$1" "answered '$answer'"
}

if ! curl --help all 2>/dev/null | grep -q -e --parallel-max; then
	say curl "not here, or too old for --parallel; skipped"
	exit 77
fi

# --- the HTTP server: many files at a time, with curl --------------------------------

start 1 http_server -p 0 "$root"
url=http://127.0.0.1:$port

(cd "$root" && find . -name '.?*' -prune -o \
	-type f \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' \) -print) |
	sed 's,^\./,,' | grep '^[A-Za-z0-9_./-]*$' | sort >"$work/files"
files=0 bytes=0
while read -r file; do
	printf 'url = "%s/%s"\noutput = "%s/got/%s"\n' "$url" "$file" "$work" "$file"
	files=$((files + 1))
	bytes=$((bytes + $(wc -c <"$root/$file")))
done <"$work/files" >"$work/config"

timeout $limit curl -q -fsS --no-progress-meter --noproxy '*' --create-dirs \
	--parallel --parallel-immediate --parallel-max 20 -K "$work/config" 2>"$work/curl.err" ||
	die curl "could not fetch all files" "$work/curl.err" "$work/http_server.err"
while read -r file; do
	cmp "$root/$file" "$work/got/$file" || die curl "$file differs"
done <"$work/files"
say curl "fetched $files files, 20 at a time: $bytes bytes, all identical"

status=$(curl -q -s --noproxy '*' --max-time $limit --path-as-is -o /dev/null \
	-w '%{http_code}' "$url/../no/such/file")
[ "$status" = 403 ] || die curl "GET /../no/such/file: $status, not 403"
say curl "GET /../no/such/file: refused with 403"

# --- the HTTP client -----------------------------------------------------------------

file=include/asyncore.h
timeout $limit ${DEMO_RUN:-} "$programs/http_client" 127.0.0.1 "/$file" "$port" \
	>"$work/reply" ||
	die http_client "ended with status $?"
sed $'1,/^\r$/d' "$work/reply" >"$work/body"
cmp "$root/$file" "$work/body" || die http_client "$file differs" "$work/reply"
say http_client "fetched $file: $(wc -c <"$work/body") bytes, identical"

# --- two pages at once, from a server that is given by name (not in every build) --------

pages=0
if [ -x "$programs/fetch" ] && grep -qsw localhost /etc/hosts; then
	timeout $limit ${DEMO_RUN:-} "$programs/fetch" "http://localhost:$port/README" \
		"http://localhost:$port/COPYING" >"$work/fetched" ||
		die fetch "ended with status $?" "$work/fetched"
	for file in README COPYING; do
		grep -q "^200 *$(($(wc -c <"$root/$file"))) bytes .*/$file\$" "$work/fetched" ||
			die fetch "$file is not whole" "$work/fetched"
		pages=$((pages + 1))
	done
	while read -r line; do
		say fetch "$line"
	done <"$work/fetched"
fi

stop http_server 0
logged=$(grep -c '^log: 127\.0\.0\.1 ' "$work/http_server.err")
expected=$((files + 2 + pages))
[ "$logged" -eq $expected ] || die http_server "logged $logged requests, not $expected"
say http_server "logged $logged requests"

# --- the echo server -----------------------------------------------------------------

start 1 echo_server 0
exec 3<>"/dev/tcp/127.0.0.1/$port" || die echo_server "refused the connection"
for line in "All things come" "to those" "who wait."; do
	printf '%s\n' "$line" >&3
	hear echo_server "$line"
done
exec 3>&-
say echo_server "$(tail -n 1 "$work/echo_server.out")"
stop echo_server $((128 + 15))		# as the one in Python, it has no handler for it

# --- an asyncore service in a program on libevent, beside a service of that ----------------

start 2 attached_chat
exec 3<>"/dev/tcp/127.0.0.1/${ports[0]}" || die attached_chat "refused daytime"
hear attached_chat '[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] *:*:*'
exec 3<>"/dev/tcp/127.0.0.1/${ports[1]}" || die attached_chat "refused shout"
printf 'who waits\nfor all things?\n' >&3
hear attached_chat 'WHO WAITS'
hear attached_chat 'FOR ALL THINGS?'
stop attached_chat 0
hear attached_chat 'GOODBYE.'
exec 3>&-
say attached_chat "$(tail -n 1 "$work/attached_chat.out")"

# --- the mail server: a message, with curl ---------------------------------------------------

if curl --version | grep -qw smtp; then
	deadline=$((SECONDS + limit))
	${DEMO_RUN:-} "$programs/smtpd/smtpd" -n -d -c DebuggingServer 127.0.0.1:0 \
		>"$work/smtpd.out" 2>"$work/smtpd.err" &
	pid=$!
	until grep -q '^Port: ' "$work/smtpd.err"; do
		if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
			die smtpd "did not start" "$work/smtpd.err"
		fi
		sleep 0.05
	done
	port=$(sed -n 's/^Port: //p' "$work/smtpd.err")
	ports=("$port")
	say smtpd "takes mail at 127.0.0.1 $port"
	printf 'Subject: waiting\r\n\r\nAll things come\r\n.\r\n' >"$work/mail"
	curl -q -sS --noproxy '*' --max-time $limit "smtp://127.0.0.1:$port/demo" \
		--mail-from ann@example.org --mail-rcpt bob@example.org -T "$work/mail" \
		>"$work/curl.err" 2>&1 || die curl "could not send a message" "$work/curl.err"
	say curl "sent a message"
	for line in "b'Subject: waiting'" "b'X-Peer: 127.0.0.1'" "b''" "b'All things come'" "b'.'"; do
		grep -qxF -e "$line" "$work/smtpd.out" ||
			die smtpd "did not print $line" "$work/smtpd.out"
	done
	while read -r line; do
		say smtpd "$line"
	done <"$work/smtpd.out"
	stop smtpd 0
else
	say curl "sends no mail here; the mail server is left out"
fi

echo "all right"
