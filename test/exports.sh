#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The shared library exports what the public headers declare ASYNCORE_API, under a
# version, and nothing else.

set -u
LC_ALL=C
export LC_ALL

library=.libs/libasyncore.so
if ! test -f "$library"; then
	echo "no shared library here: skipped"
	exit 77
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/exports.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT

# ASYNCORE_API is the attribute below, once preprocessed.  The name that a declaration
# declares is the last word before its first parenthesis, or before its end.
for header in "$srcdir"/include/*.h; do
	printf '#include <%s>\n' "$(basename "$header")"
done >"$dir/all.c"
$CC -E -P -Iinclude -I"$srcdir/include" "$dir/all.c" >"$dir/all.i" || exit 99
tr '\n' ' ' <"$dir/all.i" | tr ';' '\n' |
	sed -n 's/.*__attribute__((visibility("default")))//p' |
	sed -e 's/(.*//' -e 's/\[.*//' -e 's/[[:space:]]*$//' -e 's/.*[^A-Za-z0-9_]//' |
	sort -u >"$dir/declared"

# "NAME@@LIBASYNCORE_0.1"; the version's own name comes as a symbol too.
$NM -D --defined-only "$library" | awk '{ print $NF }' |
	grep -v '^LIBASYNCORE_' >"$dir/symbols"
sed 's/@.*//' "$dir/symbols" | sort -u >"$dir/exported"

failed=0
if ! test -s "$dir/declared"; then
	echo "found no declarations in the headers"
	failed=1
fi
comm -23 "$dir/declared" "$dir/exported" >"$dir/missing"
comm -13 "$dir/declared" "$dir/exported" >"$dir/extra"
if test -s "$dir/missing"; then
	echo "declared, but not exported:"
	sed 's/^/  /' "$dir/missing"
	failed=1
fi
if test -s "$dir/extra"; then
	echo "exported, but not declared:"
	sed 's/^/  /' "$dir/extra"
	failed=1
fi
if grep -q '@@LIBASYNCORE_' "$dir/symbols" &&
	grep -v '@@LIBASYNCORE_' "$dir/symbols" >"$dir/unversioned"; then
	echo "exported without a version:"
	sed 's/^/  /' "$dir/unversioned"
	failed=1
fi
# A program that links the static library must not clash with what is private in it.
archive=.libs/libasyncore.a
if test -f "$archive"; then
	$NM -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' |
		grep -v -e '^asyncore_' -e '^async_chat_' -e '^asynchat_' |
		sort -u >"$dir/private"
	if test -s "$dir/private"; then
		echo "not in src/private_names.h:"
		sed 's/^/  /' "$dir/private"
		failed=1
	fi
fi
echo "$(wc -l <"$dir/declared") declared, $(wc -l <"$dir/exported") exported"
exit "$failed"
