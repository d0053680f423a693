#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# Real clients, hostile ones, and the command line of examples/smtpd.  Where Python has its own
# smtpd, the tests of the clients are tested with that too.
#
# Environment: srcdir; PYTHON (python3).

set -u

: "${srcdir:=.}" "${PYTHON:=python3}"
here=$srcdir/test/smtpd
if ! "$PYTHON" -c '' 2>/dev/null; then
	echo "no $PYTHON for clients: skipped"
	exit 77
fi
failed=0
export PYTHONDONTWRITEBYTECODE=1

tests() {
	echo "-- $*"
	"$PYTHON" "$here/$@" || failed=1
}

tests clients.py test/smtpd/server -- -v
tests hostile.py test/smtpd/server
tests command_line.py examples/smtpd/smtpd
if "$PYTHON" -W ignore -c 'import asyncore, smtpd' 2>/dev/null; then
	tests clients.py "$PYTHON" -W ignore "$here/server.py"
fi
exit "$failed"
