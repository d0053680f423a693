#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The UDP service and the command server of the examples, each with its client, against each
# other, against their Python originals where a Python with asyncore is present, and against
# peers that misbehave.
#
# Environment: srcdir; PYTHON (python3).

: "${srcdir:=.}" "${PYTHON:=python3}"
if ! command -v "$PYTHON" >/dev/null; then
	echo "no $PYTHON for peers here: skipped"
	exit 77
fi
exec "$PYTHON" "$srcdir/test/services.py" examples "$srcdir/examples"
