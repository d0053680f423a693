#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# doc/names.txt is complete and true: the library exports every C name of it, and, where a
# Python with asyncore is present, every public name of the two modules is in it.

set -u
LC_ALL=C
export LC_ALL
: "${PYTHON:=python3}"

table=$srcdir/doc/names.txt
library=.libs/libasyncore.so
test -f "$library" || library=.libs/libasyncore.a
dir=$(mktemp -d "${TMPDIR:-/tmp}/names.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

# The lines of the table: a name, blanks, and what it is in C.
sed -n 's/^\([A-Za-z_.0-9]*\)   *\([A-Za-z_.-].*\)$/\1 \2/p' "$table" >"$dir/lines"
$NM --defined-only "$library" | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u >"$dir/symbols"
cat "$srcdir"/include/*.h >"$dir/headers"

while read -r python c why; do
	case $c in
	-) test -n "$why" || { echo "$python: left out, but why?"; failed=1; } ;;
	.*) grep -q "[ *(]${c#.}[);]" "$dir/headers" ||
		{ echo "$python: no member ${c#.}"; failed=1; } ;;
	[A-Z]*) grep -q "#define $c\\b" "$dir/headers" ||
		{ echo "$python: no macro $c"; failed=1; } ;;
	*) grep -qx "$c" "$dir/symbols" || { echo "$python: no symbol $c"; failed=1; } ;;
	esac
done <"$dir/lines"
echo "$(wc -l <"$dir/lines") names in the table"

cat >"$dir/public.py" <<'END'
import asyncore, asynchat, types

private = {"_exception", "_DISCONNECTED", "_strerror", "_reraised_exceptions",
           "_collect_incoming_data", "_get_data", "__init__", "__repr__"}

def public(name):
    return name in private or not name.startswith("_")

for module in asyncore, asynchat:
    for name, value in vars(module).items():
        if not public(name) or isinstance(value, types.ModuleType):
            continue
        if getattr(value, "__module__", module.__name__) != module.__name__:
            continue        # imported from elsewhere
        if isinstance(value, (int, str)) or name == "errorcode":
            continue        # the errnos
        print(f"{module.__name__}.{name}")
        if isinstance(value, type) and name not in ("ExitNow", "file_wrapper"):
            for member in vars(value):
                if public(member):
                    print(f"{module.__name__}.{name}.{member}")
END
if "$PYTHON" -W ignore -c 'import asyncore, asynchat' 2>/dev/null; then
	"$PYTHON" -W ignore "$dir/public.py" | sort -u >"$dir/python"
	cut -d ' ' -f 1 "$dir/lines" | grep '^async' | sort -u >"$dir/table"
	if ! diff "$dir/python" "$dir/table" >"$dir/different"; then
		echo "public names of Python (<) and names in the table (>):"
		grep '^[<>]' "$dir/different"
		failed=1
	fi
else
	echo "$PYTHON has no asyncore: only the C names were checked"
fi
exit "$failed"
