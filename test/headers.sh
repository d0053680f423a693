#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Every public header compiles alone, as the first and only one that a program
# includes: as C99, C11 and C17 without extensions, and as C++.  A C++ program links
# with the library.

set -u

dir=$(mktemp -d "${TMPDIR:-/tmp}/headers.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

# compile SUFFIX STANDARD COMPILER FLAG...: all the public headers
compile()
{
	suffix=$1 standard=$2
	shift 2
	for header in "$srcdir"/include/*.h include/*.h; do
		test -f "$header" || continue
		name=$(basename "$header")
		source=$dir/alone.$suffix
		printf '#include <%s>\n#include <%s>\nextern int nothing;\n' \
			"$name" "$name" >"$source"
		if "$@" -std="$standard" -pedantic-errors -Wall -Wextra -Werror \
			-Iinclude -I"$srcdir/include" -fsyntax-only "$source"; then
			echo "$name: $standard"
		else
			echo "$name does not compile alone as $standard"
			failed=1
		fi
	done
}

for standard in c99 c11 c17; do
	compile c "$standard" $CC -Wstrict-prototypes -Wundef
done

if test -z "$CXX"; then
	echo "no C++ compiler: C++ is left out"
	exit "$failed"
fi
for standard in c++11 c++17; do
	compile cc "$standard" $CXX
done

cat >"$dir/version.cc" <<'END'
#include <asyncore.h>
#include <cstring>

int main()
{
	return std::strcmp(asyncore_version(), ASYNCORE_VERSION) != 0;
}
END
# Link flags alone: CFLAGS are for C, but sanitizers and the like must be told here too.
if $CXX -Iinclude -I"$srcdir/include" -c -o "$dir/version.o" "$dir/version.cc" &&
	./libtool --silent --tag=CC --mode=link $CC $CFLAGS $LDFLAGS -o "$dir/version" \
		"$dir/version.o" libasyncore.la &&
	"$dir/version"; then
	echo "version.cc: runs"
else
	echo "a C++ program does not link with the library or finds another version"
	failed=1
fi
exit "$failed"
