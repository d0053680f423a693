#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Random cases for the input machine of async_chat, compared with CPython's asynchat; where
# no Python has that (it left the standard library in 3.12), those that were recorded.
#
#	chat_model.sh				the test
#	chat_model.sh CASES [SEED]		so many cases, with another seed
#
# Environment: srcdir; PYTHON (python3); CHAT_MODEL, the driver (test/chat_model).

set -u

: "${srcdir:=.}" "${PYTHON:=python3}" "${CHAT_MODEL:=test/chat_model}"
recorded=$srcdir/test/chat_model.recorded
dir=$(mktemp -d "${TMPDIR:-/tmp}/chat_model.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

# The driver repeats each case, a tab, and says what was called: so does the record.
cut -f 1 "$recorded" >"$dir/cases" || exit 99
"$CHAT_MODEL" <"$dir/cases" >"$dir/seen" || failed=1
if diff "$recorded" "$dir/seen" >"$dir/different"; then
	echo "$(wc -l <"$dir/cases") recorded cases: none differs"
else
	echo "recorded cases differ; < as recorded, > here:"
	head -n 8 "$dir/different"
	failed=1
fi

if "$PYTHON" -W ignore -c 'import asynchat' 2>/dev/null; then
	"$PYTHON" -W ignore "$srcdir/test/chat_model.py" compare "$CHAT_MODEL" \
		"${1-50000}" "${2-1}" || failed=1
else
	echo "$PYTHON has no asynchat: only the recorded cases ran"
fi
exit "$failed"
