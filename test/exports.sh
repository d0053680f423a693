#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The shared libraries export what the public headers declare ASYNCORE_API, under a
# version, and nothing else; libasyncore_dns what asyncore_dns.h declares.

set -u
LC_ALL=C
export LC_ALL

dir=$(mktemp -d "${TMPDIR:-/tmp}/exports.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

# ASYNCORE_API is the attribute below, once preprocessed.  The name that a declaration
# declares is the last word before its first parenthesis, or before its end.
for header in "$srcdir"/include/*.h; do
	printf '#include <%s>\n' "$(basename "$header")"
done >"$dir/all.c"
$CC -E -P -Iinclude -I"$srcdir/include" "$dir/all.c" >"$dir/all.i" || exit 99
tr '\n' ' ' <"$dir/all.i" | tr ';' '\n' |
	sed -n 's/.*__attribute__((visibility("default")))//p' |
	sed -e 's/(.*//' -e 's/\[.*//' -e 's/[[:space:]]*$//' -e 's/.*[^A-Za-z0-9_]//' |
	sort -u >"$dir/all"
grep '^asyncore_dns_' "$dir/all" >"$dir/libasyncore_dns"
grep -v '^asyncore_dns_' "$dir/all" >"$dir/libasyncore"

# complain TEXT FILE: unless there is nothing in it
complain()
{
	test -s "$2" || return 0
	echo "$1:"
	sed 's/^/  /' "$2"
	failed=1
}

# shared LIBRARY VERSION
shared()
{
	# "NAME@@LIBASYNCORE_0.1"; the version's own name comes as a symbol too.
	$NM -D --defined-only ".libs/$1.so" | awk '{ print $NF }' |
		grep -v "^$2" >"$dir/symbols"
	sed 's/@.*//' "$dir/symbols" | sort -u >"$dir/exported"
	test -s "$dir/$1" || { echo "found no declarations for $1"; failed=1; }
	comm -23 "$dir/$1" "$dir/exported" >"$dir/missing"
	comm -13 "$dir/$1" "$dir/exported" >"$dir/extra"
	complain "$1: declared, but not exported" "$dir/missing"
	complain "$1: exported, but not declared" "$dir/extra"
	if grep -q "@@$2" "$dir/symbols"; then
		grep -v "@@$2" "$dir/symbols" >"$dir/unversioned"
		complain "$1: exported without a version" "$dir/unversioned"
	fi
	echo "$1: $(wc -l <"$dir/$1") declared, $(wc -l <"$dir/exported") exported"
}

# archive LIBRARY: a program that links it must not clash with what is private in it.
archive()
{
	test -f ".libs/$1.a" || return 0
	$NM -g --defined-only ".libs/$1.a" | awk 'NF == 3 { print $3 }' |
		grep -v -e '^asyncore_' -e '^async_chat_' -e '^asynchat_' |
		sort -u >"$dir/private"
	complain "$1: not in src/private_names.h" "$dir/private"
}

if ! test -f .libs/libasyncore.so; then
	echo "no shared library here: skipped"
	exit 77
fi
shared libasyncore LIBASYNCORE_0
archive libasyncore
if test -f libasyncore_dns.la; then
	shared libasyncore_dns LIBASYNCORE_DNS_0
	archive libasyncore_dns
fi
exit "$failed"
