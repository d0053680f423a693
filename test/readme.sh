#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The program in README compiles as it stands there, and does what it says.
#
#	readme.sh		the test
#	readme.sh print		the program

set -u

# The indented block that begins with the comment "echo.c".
print_program()
{
	awk '/^    \/\* echo\.c \*\/$/ { inside = 1 }
	     inside && /^[^ ]/ { exit }
	     inside { sub(/^    /, ""); print }' "$srcdir/README"
}

if test "${1-}" = print; then
	print_program
	exit
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/readme.XXXXXX") || exit 99
pid=
trap 'test -z "$pid" || kill "$pid"; rm -rf "$dir"' EXIT

print_program >"$dir/echo.c"
$CC -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -I"$srcdir/include" \
	$CPPFLAGS $CFLAGS -c -o "$dir/echo.o" "$dir/echo.c" || exit 1
./libtool --silent --tag=CC --mode=link $CC $CFLAGS $LDFLAGS -o "$dir/echo" \
	"$dir/echo.o" libasyncore.la || exit 1

if ! command -v bash >/dev/null; then
	echo "compiled; not run, there is no bash for a client"
	exit 0
fi

# Send a line to the port and read it back.
cat >"$dir/client" <<'END'
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
echo "a line for the program" >&3
read -r -t 10 line <&3
test "$line" = "a line for the program"
END

# The port must be a free one; another is tried when the program finds that it is not.
for try in 1 2 3 4 5 6 7 8 9 10; do
	port=$(awk -v seed="$$$try" 'BEGIN { srand(seed); print 10000 + int(rand() * 20000) }')
	"$dir/echo" "$port" 2>"$dir/error" &
	pid=$!
	for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		sleep 0.1
		kill -0 "$pid" 2>/dev/null || break
		if bash "$dir/client" "$port" 2>/dev/null; then
			kill "$pid" || exit 1
			wait "$pid" 2>/dev/null
			pid=
			echo "compiled, and echoed a line on port $port"
			exit 0
		fi
	done
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
	cat "$dir/error"
done
echo "the program did not answer"
exit 1
