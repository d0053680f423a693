#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The conversations of scripts/ with examples/smtpd: replies, messages and debugging output are
# those of CPython's smtpd, byte for byte, whether lines come one by one, in bytes, or all at
# once.  They are compared with recordings, and these with the live smtpd where there is one.
#
#	compare.sh		the test
#	compare.sh record	write recorded/* anew, with the live Python
#
# Environment: srcdir; PYTHON (python3); SERVER (test/smtpd/server).

set -u

: "${srcdir:=.}" "${PYTHON:=python3}" "${SERVER:=test/smtpd/server}"
here=$srcdir/test/smtpd
if ! "$PYTHON" -c '' 2>/dev/null; then
	echo "no $PYTHON to talk to the server: skipped"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/smtpd.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0
export PYTHONDONTWRITEBYTECODE=1

python_has_smtpd() {
	"$PYTHON" -W ignore -c 'import asyncore, smtpd' 2>/dev/null
}

# talk TO ARGUMENT...
talk() {
	to=$1
	shift
	if ! "$PYTHON" "$here/talk.py" "$@" >"$to" 2>"$to.errors" || [ -s "$to.errors" ]; then
		echo "talk.py $*:"
		cat "$to.errors"
		failed=1
	fi
}

# compare WHAT EXPECTED SEEN
compare() {
	if ! diff -u "$2" "$3" >"$dir/diff"; then
		echo "$1: - as expected, + here:"
		head -n 40 "$dir/diff"
		failed=1
	fi
}

# Every test of the installed test_smtpd.py is a case, or it is said why not.
check_names() {
	"$PYTHON" -W ignore - "$here/scripts/test_smtpd.script" <<'PYTHON'
import re, sys, unittest
try:
    from test import test_smtpd
except Exception:
    sys.exit(0)
text = open(sys.argv[1]).read()
ours = set(re.findall(r"^(?:case|#) (\w+\.test_\w+)$", text, re.M))
left_out = set(re.findall(r"^# not (test_\w+): ", text, re.M))
theirs = set()
for case in vars(test_smtpd).values():
    if isinstance(case, type) and issubclass(case, unittest.TestCase):
        theirs |= {case.__name__ + "." + name for name in vars(case)
                   if name.startswith("test_") and name not in left_out}
for name in sorted(theirs ^ ours):
    print("not a case:" if name in theirs else "no such test:", name)
sys.exit(theirs != ours)
PYTHON
}

for script in "$here"/scripts/*.script; do
	name=$(basename "$script" .script)
	recorded=$here/recorded/$name
	if [ "${1-}" = record ]; then
		talk "$dir/live" "$script" "$PYTHON" -W ignore "$here/server.py"
		[ "$failed" = 1 ] || cp "$dir/live" "$recorded"
		continue
	fi
	if python_has_smtpd; then
		talk "$dir/live" "$script" "$PYTHON" -W ignore "$here/server.py"
		compare "$name with $PYTHON" "$recorded" "$dir/live"
	fi
	for mode in '' --split --burst; do
		talk "$dir/seen" $mode "$script" "$SERVER"
		compare "$name $mode" "$recorded" "$dir/seen"
	done
done
if [ -z "${1-}" ]; then
	check_names || failed=1
	echo "$(cat "$here"/scripts/*.script | grep -c '^case ') conversations, three times each"
	python_has_smtpd || echo "$PYTHON has no smtpd: only recordings were compared"
fi
exit "$failed"
