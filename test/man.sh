#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The manual pages are complete and true, as far as that can be told:
#
#   - every function, variable, macro, type, member and constant that the public headers
#     declare, and every symbol that the libraries export, has a page, and no page tells
#     of one that does not exist;
#   - the prototypes are those of the headers;
#   - all cross-references lead somewhere, and from asyncore(7) to every page;
#   - the examples compile, and the program in asyncore(7) prints what it says there;
#   - mandoc, if it is present, finds nothing to warn about.

set -u
LC_ALL=C
export LC_ALL
: "${AWK:=awk}"

man=$srcdir/doc/man
dir=$(mktemp -d "${TMPDIR:-/tmp}/man.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

# complain TEXT FILE: unless there is nothing in it
complain()
{
	test -s "$2" || return 0
	echo "$1:"
	sed 's/^/  /' "$2"
	failed=1
}

# compare WHAT: those of the headers, $dir/WHAT.wanted, with those of the pages,
# $dir/WHAT.found
compare()
{
	sort -u "$dir/$1.wanted" >"$dir/wanted"
	sort -u "$dir/$1.found" >"$dir/found"
	comm -23 "$dir/wanted" "$dir/found" >"$dir/missing"
	comm -13 "$dir/wanted" "$dir/found" >"$dir/extra"
	test -s "$dir/wanted" || { echo "$1: found none in the headers"; failed=1; }
	complain "$1: in no page" "$dir/missing"
	complain "$1: only in the pages" "$dir/extra"
	echo "$1: $(wc -l <"$dir/wanted")"
}

# ---- What the headers declare ----

# One spelling for all: blanks between words alone.
normalise()
{
	sed -e 's/_Bool/bool/g' -e 's/[[:space:]][[:space:]]*/ /g' \
		-e 's/ *\([*(),;{}]\) */\1/g' -e 's/^ //' -e 's/ $//'
}

for header in "$srcdir"/include/*.h; do
	printf '#include <%s>\n' "$(basename "$header")"
done >"$dir/all.c"
$CC -E -P -Iinclude -I"$srcdir/include" "$dir/all.c" | tr '\n' ' ' |
	normalise >"$dir/all.i" || exit 99

# ASYNCORE_API is the first attribute, ASYNCORE_PRINTF the second, once preprocessed.
tr ';' '\n' <"$dir/all.i" | sed -n 's/.*__attribute__((visibility("default")))//p' |
	sed 's/__attribute__.*//' >"$dir/declarations"
cat "$srcdir"/include/*.h include/*.h | sed -n 's/^#define \(ASYNC[A-Z_]*\).*/\1/p' |
	grep -v -e '_H$' -e '^ASYNCORE_API$' -e '^ASYNCORE_PRINTF$' | sort -u >"$dir/macros"
# Macros with arguments: "NAME(d,code,...)".
cat "$srcdir"/include/*.h | sed -n 's/^#define \(ASYNC[A-Z_]*([^)]*)\).*/\1/p' |
	grep -v '^ASYNCORE_PRINTF' | normalise >"$dir/functions.macros"
cat "$dir/declarations" "$dir/functions.macros" >"$dir/prototypes.wanted"
grep -o 'typedef [^;]*async[a-z_]*_fn)([^;]*' "$dir/all.i" >"$dir/typedefs.wanted"

# name: the name that a declaration declares, the last word before its first parenthesis
name()
{
	sed -e 's/(.*//' -e 's/.*[^A-Za-z0-9_]//'
}
name <"$dir/prototypes.wanted" >"$dir/names.wanted"

# The shared libraries may export what no header declares.
for library in libasyncore libasyncore_dns; do
	test -f ".libs/$library.so" && test -f "$library.la" || continue
	$NM -D --defined-only ".libs/$library.so" | awk '{ print $NF }' |
		grep -v '^LIBASYNCORE_' | sed 's/@.*//' | tee "$dir/symbols" >>"$dir/names.wanted"
	echo "$library exports $(sort -u "$dir/symbols" | wc -l)"
done

# The types that the headers define, and those that prototypes speak of; the members of
# the structs, each as "TYPE MEMBER", and the constants of the enums.
cat >"$dir/members.awk" <<'END'
{
	while (match($0, /(struct|enum) async[a-z_]*\{[^}]*\}/)) {
		body = substr($0, RSTART, RLENGTH)
		$0 = substr($0, RSTART + RLENGTH)
		type = body
		sub(/\{.*/, "", type)
		sub(/[^{]*\{/, "", body)
		sub(/\}$/, "", body)
		n = split(body, member, type ~ /^enum/ ? "," : ";")
		for (i = 1; i <= n; i++) {
			m = member[i]
			sub(/(\[[0-9]*\])?\)\(.*/, "", m)		# (*name)(...)
			sub(/(\[[0-9]*\]|=.*)$/, "", m)
			sub(/.*[^A-Za-z0-9_]/, "", m)
			if (m != "")
				print type, m
		}
	}
}
END
awk -f "$dir/members.awk" "$dir/all.i" >"$dir/members"
{
	sed 's/ [^ ]*$//' "$dir/members"
	grep -o -e 'struct async[a-z_]*' -e 'enum async[a-z_]*' "$dir/declarations"
} >"$dir/types.wanted"
name <"$dir/functions.macros" | sort -u >"$dir/names.macros"
{
	grep '^enum' "$dir/members" | sed 's/.* //'
	comm -23 "$dir/macros" "$dir/names.macros"
} >"$dir/constants.wanted"
grep '^struct' "$dir/members" | sed 's/^struct //' >"$dir/slots"

# ---- What the pages tell ----

# Lines of KIND, tab, PAGE, tab, TEXT.  Kinds are
#	prototype, typedef, type	what SYNOPSIS declares
#	item		a name that a list tells about, as "Fa NAME"
#	mention		a name that stands anywhere, as "Fn NAME"
#	reference	NAME.SECTION
cat >"$dir/pages.awk" <<'END'
function tell(kind, text)
{
	page = FILENAME
	sub(/.*\//, "", page)
	printf "%s\t%s\t%s\n", kind, page, text
}

# The words of a macro line, into word[1] to word[nwords]; quotes are taken off.
function split_words(line,    quoted)
{
	nwords = 0
	sub(/^\./, "", line)
	while (line != "") {
		sub(/^ */, "", line)
		quoted = match(line, /^"[^"]*"/)
		if (!quoted && !match(line, /^[^ ]+/))
			break
		word[++nwords] = substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
		if (quoted)
			word[nwords] = substr(word[nwords], 2, length(word[nwords]) - 2)
	}
}

function join(from, to, by,    text)
{
	for (text = word[from++]; from <= to; from++)
		text = text by word[from]
	return text
}

function synopsis()
{
	if (word[1] == "Ft") {
		type = join(2, nwords, " ")
	} else if (word[1] == "Fn") {
		tell("prototype", type " " word[2] "(" join(3, nwords, ",") ")")
	} else if (word[1] == "Fo") {
		prototype = type " " word[2] "("
		separator = ""
	} else if (word[1] == "Fa") {
		prototype = prototype separator word[2]
		separator = ","
	} else if (word[1] == "Fc") {
		tell("prototype", prototype ")")
	} else if (word[1] == "Vt") {
		text = join(2, word[nwords] == ";" ? nwords - 1 : nwords, " ")
		if (text ~ /^extern/)
			tell("prototype", text)
		else
			tell(text ~ /^typedef/ ? "typedef" : "type", text)
	}
}

/^\.Bd -literal/ { literal = 1 }
/^\.Ed/ { literal = 0 }
literal || !/^\./ || /^\.\\"/ { next }

{
	split_words($0)
	if (word[1] == "Sh")
		section = word[2]
	if (section == "SYNOPSIS")
		synopsis()
	for (i = 1; i < nwords; i++) {
		if (word[i] == "Xr") {
			tell("reference", word[i + 1] "." word[i + 2])
		} else if (word[i] ~ /^(Fn|Dv)$/ && section != "SYNOPSIS") {
			tell("mention", word[i] " " word[i + 1])
			if (word[1] == "It")
				tell("item", word[i + 1])
		} else if (word[i] == "Fa" && word[1] == "It") {
			tell("item", word[i + 1])
		}
	}
}
END
awk -f "$dir/pages.awk" "$man"/*.[37] >"$dir/pages"

# told KIND: what they tell of this kind
told()
{
	sed -n "s/^$1	[^	]*	//p" "$dir/pages"
}

told prototype | normalise |
	sed 's/^int \(ASYNC[A-Z_]*(\)/\1/' >"$dir/prototypes.found"
name <"$dir/prototypes.found" >"$dir/names.found"
told typedef | normalise >"$dir/typedefs.found"
told type >"$dir/types.found"
told item | grep '^ASYNC' >"$dir/constants.found"
compare names
compare prototypes
compare typedefs
compare types
compare constants

# The members of a struct stand in the page whose synopsis has it, the handlers of the type
# table in a page of their own.
sed -n 's/^type	\([^	]*\)	struct \(.*\)/\2 \1/p' "$dir/pages" >"$dir/page_of"
while read -r type member; do
	page=$(sed -n "s/^$type //p" "$dir/page_of" | head -n 1)
	test "$type" = asyncore_dispatcher_type && more=asyncore_handle_read.3 || more=$page
	grep -q -e "^item	$page	$member\$" -e "^item	$more	$member\$" "$dir/pages" ||
		echo "$type.$member"
done <"$dir/slots" >"$dir/missing"
complain "members: in no page" "$dir/missing"
echo "members: $(wc -l <"$dir/slots")"

# What the text speaks of: functions, methods (by the names of their slots), those of
# libevent, and constants.
{
	name <"$dir/prototypes.wanted"
	sed 's/.* //' "$dir/slots"
	cat "$dir/macros" "$dir/constants.wanted"
} | sort -u >"$dir/known"
told mention | grep -v '^Fn ev[a-z]*_' | grep -v '^Dv [^A]' | sed 's/^[A-Z][a-z] //' |
	grep -v '^AF_' | sort -u | comm -23 - "$dir/known" >"$dir/unknown"
complain "mentioned, but not there" "$dir/unknown"

# ---- Pages, names and references ----

# The section NAME has the names that SYNOPSIS declares, and that of the page; no name
# has two pages.
$AWK -f "$man/links.awk" "$man"/*.[37] >"$dir/links"
{
	sed 's/^[^ ]* \([^ ]*\).*/\1/' "$dir/links"
	(cd "$man" && ls ./*.[37]) | sed 's/^\.\///'
} | sort >"$dir/manuals"
uniq -d "$dir/manuals" >"$dir/twice"
complain "two pages" "$dir/twice"
sort -u "$dir/names.found" | sed 's/$/.3/' | comm -23 - "$dir/manuals" >"$dir/unnamed"
complain "missing in the section NAME of their page" "$dir/unnamed"
for page in "$man"/*.3; do
	file=$(basename "$page")
	sed -n "s/^prototype	$file	//p" "$dir/pages" | normalise | name |
		sort -u >"$dir/declared"
	sed -n "s/^3 \([^ ]*\)\.3 $file\$/\1/p" "$dir/links" | sort -u |
		comm -23 - "$dir/declared" | sed "s/\$/, in $file/"
done >"$dir/undeclared"
complain "in NAME, but not in SYNOPSIS" "$dir/undeclared"

told reference | sort -u | grep -e '^async' -e '^ASYNC' -e '^libasync' |
	grep -v -x -F -f "$dir/manuals" >"$dir/dangling"
complain "references to no page" "$dir/dangling"
for page in "$man"/*.3; do
	page=$(basename "$page")
	grep -q "^reference	asyncore.7	$page\$" "$dir/pages" || echo "$page"
done >"$dir/lonely"
complain "pages that asyncore(7) does not lead to" "$dir/lonely"

# ---- Examples ----

# block KIND PAGE: the literal text that follows a comment with this word
block()
{
	awk -v kind="$1" '
		$0 == ".\\\" " kind { wanted = 1; next }
		/^\.Bd -literal/ && wanted { inside = 1; wanted = 0; next }
		/^\.Ed/ { inside = 0 }
		inside { gsub(/\\e/, "\\"); gsub(/\\-/, "-"); print }' "$2"
}

# What the examples of all pages may use.
cat >"$dir/before" <<'END'
#include <asynchat.h>
#include <asyncore_dns.h>
#include <asyncore_event.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
END
# Pieces of programs: not all of it is used.
piece="-Wno-unused-function -Wno-unused-const-variable -Wno-unused-variable"
examples=0
for page in "$man"/*.[37]; do
	block compile "$page" >"$dir/block"
	if grep -q '^\.Sh EXAMPLES' "$page" && ! test -s "$dir/block" &&
		! grep -q '^\.\\" program' "$page"; then
		echo "$(basename "$page"): no example that is marked"
		failed=1
	fi
	test -s "$dir/block" || continue
	examples=$((examples + 1))
	cat "$dir/before" "$dir/block" >"$dir/example.c"
	$CC -std=c11 -pedantic -Wall -Wextra -Werror $piece -Iinclude -I"$srcdir/include" \
		$CPPFLAGS $CFLAGS -c -o "$dir/example.o" "$dir/example.c" || {
		echo "$(basename "$page"): the example does not compile"
		failed=1
	}
done
echo "$examples examples"
test "$examples" -gt 0 || failed=1

block program "$man/asyncore.7" >"$dir/program.c"
block output "$man/asyncore.7" >"$dir/output"
if $CC -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -I"$srcdir/include" \
	$CPPFLAGS $CFLAGS -c -o "$dir/program.o" "$dir/program.c" &&
	./libtool --silent --tag=CC --mode=link $CC $CFLAGS $LDFLAGS -o "$dir/program" \
		"$dir/program.o" libasyncore.la &&
	"$dir/program" >"$dir/printed" && diff "$dir/output" "$dir/printed"; then
	echo "the program in asyncore(7) runs"
else
	echo "the program in asyncore(7) does not compile, or does not do what it says"
	failed=1
fi

# ---- mandoc ----

if command -v mandoc >/dev/null; then
	for page in "$man"/*.[37]; do
		mandoc -Tlint -Wwarning "$page"
	done >"$dir/lint" 2>&1
	complain "mandoc -Tlint" "$dir/lint"
	echo "mandoc: $(ls "$man"/*.[37] | wc -l) pages"
else
	echo "no mandoc here: the pages were not checked with it"
fi
exit "$failed"
