#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The porting guide, asyncore_porting(7): all names that it gives are there, all of its C
# compiles, what has a test in test/guide does what the guide says, and Python reads its Python.
#
# In the page, a comment before a literal block says what that is:
#
#	.\" C UNIT	a part of UNIT.c; test/guide/UNIT.c, if there is one, tests it
#	.\" Python	lines of a module, or of a class
#
# Environment: srcdir; CC ...; PYTHON (python3).

set -u
LC_ALL=C
export LC_ALL
: "${srcdir:=.}" "${PYTHON:=python3}" "${CC:=cc}" "${CFLAGS=}" "${CPPFLAGS=}" "${LDFLAGS=}"

page=$srcdir/doc/man/asyncore_porting.7
dir=$(mktemp -d "${TMPDIR:-/tmp}/guide.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

fail()
{
	echo "$*"
	failed=1
}

# The blocks, as C/UNIT.c and Python/LINE.py, with #line, so that a compiler names the page.
mkdir "$dir/C" "$dir/Python"
awk -v dir="$dir" -v page="$page" '
	/^\.Bd -literal/ {
		inside = 1
		if (kind == "C")
			printf "#line %d \"%s\"\n", FNR + 1, page >file
		else if (kind == "")
			printf "%s:%d: what is this block?\n", page, FNR
		next
	}
	/^\.Ed/ { inside = 0; kind = "" }
	inside && kind != "" {
		sub(/^\\&/, "")
		gsub(/\\e/, "\\")
		print >file
		next
	}
	$1 == ".\\\"" { kind = "" }
	$1 == ".\\\"" && $2 == "C" { kind = $2; file = dir "/C/" $3 ".c" }
	$1 == ".\\\"" && $2 == "Python" { kind = $2; file = dir "/Python/" FNR ".py" }
' "$page" >"$dir/unmarked"
test -s "$dir/unmarked" && fail "$(cat "$dir/unmarked")"

# Names that stand in the text are not seen by a compiler.
sed -e 's/asyncore_porting//' -e 's/ASYNCORE_PORTING//' "$page" | tr -c 'A-Za-z0-9_' '\n' |
	grep -E -x '(asyncore|async_chat|asynchat)_[a-z0-9_]+|ASYNC[A-Z_]+' | sort -u >"$dir/names"
cat "$srcdir"/include/*.h "$srcdir"/doc/man/*.3 | tr -c 'A-Za-z0-9_' '\n' | sort -u >"$dir/known"
comm -23 "$dir/names" "$dir/known" >"$dir/unknown"
test -s "$dir/unknown" && fail "names that are not there:" $(cat "$dir/unknown")
echo "$(wc -l <"$dir/names") names"

# ---- Python ----

cat >"$dir/parse.py" <<'END'
import ast, sys, textwrap
for name in sys.argv[1:]:
    with open(name) as file:
        ast.parse(textwrap.dedent(file.read()), 'the Python at line ' + name.split('/')[-1])
print(len(sys.argv) - 1, 'pieces of Python')
END
if command -v "$PYTHON" >/dev/null; then
	"$PYTHON" "$dir/parse.py" "$dir"/Python/*.py || failed=1
else
	echo "no $PYTHON here: the Python was not read"
fi

# ---- C ----

# compile OPTION...
compile()
{
	$CC -std=c11 -pedantic -Wall -Wextra -Werror -D_GNU_SOURCE -Iinclude \
		-I"$srcdir/include" $CPPFLAGS $CFLAGS -c "$@"
}

cat >"$dir/C/before.h" <<'END'
#include <asynchat.h>
#include <asyncore_event.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
END
# OpenSSL, which the library does not need, may be absent.
libraries=
if echo '#include <openssl/ssl.h>' | compile -x c -o "$dir/ssl.o" - 2>/dev/null; then
	cat "$dir/C/tls.c" "$dir/C/openssl.c" >"$dir/both" && mv "$dir/both" "$dir/C/openssl.c"
	printf '#include <openssl/%s.h>\n' err ssl x509 evp >>"$dir/C/before.h"
	libraries="-lssl -lcrypto"
else
	echo "no OpenSSL here: what needs it was not compiled"
	rm "$dir/C/openssl.c"
fi

# Pieces of programs: not all that they define is used.
piece="-Wno-unused-function -Wno-unused-const-variable -Wno-unused-variable"
units=0
for file in "$dir"/C/*.c; do
	unit=$(basename "$file" .c)
	units=$((units + 1))
	compile $piece -include "$dir/C/before.h" -o "$dir/$unit.o" "$file" ||
		fail "$unit does not compile"
done
echo "$units units of C"
test "$units" -gt 10 || failed=1

# ---- What it does ----

for file in "$srcdir"/test/guide/*.c; do
	unit=$(basename "$file" .c)
	if ! test -f "$dir/C/$unit.c"; then
		test "$unit" = openssl || fail "the guide has no $unit"
		continue
	fi
	test "$unit" = openssl && more=$libraries || more=
	if compile $piece -include "$dir/C/before.h" -I"$dir/C" \
		-o "$dir/$unit.o" "$file" &&
		./libtool --silent --tag=CC --mode=link $CC $CFLAGS $LDFLAGS -pthread \
			-o "$dir/$unit" "$dir/$unit.o" libasyncore.la $more &&
		"$dir/$unit"; then
		echo "$unit: does what the guide says"
	else
		fail "$unit does not do what the guide says"
	fi
done
exit "$failed"
