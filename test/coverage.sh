#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# What of src/ the tests ran: by file, and every line and branch that they did not.
#
#	test/coverage.sh [BUILD]	(the current directory)
#
# BUILD is a directory in which `make check` has run, configured with --enable-coverage
# --disable-static and CFLAGS='-g -O0'.  Fails below all lines or $BRANCHES per cent of
# the branches.  Needs lcov.
#
# A line that cannot be run in a test is marked LCOV_EXCL_LINE, beside the reason; there is
# none now.  The branches that are left are of these kinds:
#
#   - one half of an `a && b` or `a || b` that the other half decides in every state that
#     tests come to, but on which the line relies (r >= 0, a channel that is still open, a
#     map that was not freed, an event that is pending already);
#   - what the C library or the kernel never says there, and is an error all the same
#     (vsnprintf(), sigpending(), a resolver's error without an errno);
#   - a second failure behind the first, or the failure of one of several calls that share a
#     way out which is tested;
#   - a loop that a race repeats: compare-and-exchange, a signal between two calls;
#   - a clock that went backwards, and 2^31 timers;
#   - of a function that is inlined in several places, what one of them never asks of it.
#
# What is none of these is a test that is missing.

set -u
: "${BRANCHES:=95}"
here=$(cd "$(dirname "$0")/.." && pwd) || exit 99
build=$(cd "${1-.}" && pwd) || exit 99
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT

collect()
{
	lcov --quiet --rc lcov_branch_coverage=1 "$@" 2>"$dir/errors" ||
		{ cat "$dir/errors"; exit 1; }
}
collect --capture --directory "$build" --output-file "$dir/all"
collect --extract "$dir/all" "$here/src/*" --output-file "$dir/src"

# A record of lcov's: SF:file, FN:line,function, DA:line,times, and for each branch
# BRDA:line,block,branch,times ("-": its line never ran), of which the first is the one that
# goes on.
awk -F '[:,]' -v wanted="$BRANCHES" -v here="$here/" '
function share(part, all) { return all > 0 ? 100 * part / all : 100 }
function row(name, l, lr, b, br) {
	printf "%-28s %5d %6.1f %% %9d %6.1f %%\n", name, l, share(lr, l), b, share(br, b)
}
function source(    n, text) {
	n = 0
	while ((getline text < path) > 0)
		line[++n] = text
	close(path)
}
function function_at(at,    f, found) {
	found = ""
	for (f = 1; f <= functions; f++)
		if (begins[f] <= at && (found == "" || begins[f] > begins[found]))
			found = f
	return found == "" ? "" : name[found]
}
function left(at, what,    text) {
	text = line[at]
	gsub(/^[ \t]+/, "", text)
	missing = missing sprintf("%s:%d: %s: %s: %s\n", file, at, function_at(at), what, text)
}
BEGIN { printf "%-28s %5s %8s %9s %8s\n", "file", "lines", "run", "branches", "taken" }
$1 == "SF" {
	path = file = $2
	sub("^" here, "", file)
	source()
	functions = lines = run = branches = taken = n = 0
	missing = ""
	split("", sides)
}
$1 == "FN" { begins[++functions] = $2; name[functions] = $3 }
$1 == "BRDA" {
	if (!($2 in sides))
		order[++n] = $2
	sides[$2] = sides[$2] ($5 == "-" || $5 == 0 ? "-" : "+")
	branches++
	if ($5 != "-" && $5 != 0)
		taken++
}
$1 == "DA" {
	lines++
	if ($3 > 0)
		run++
	else
		left($2, "never run")
}
$1 == "end_of_record" {
	for (i = 1; i <= n; i++)
		if (sides[order[i]] ~ /-/)
			left(order[i], "[" sides[order[i]] "]")
	row(file, lines, run, branches, taken)
	all_lines += lines; all_run += run; all_branches += branches; all_taken += taken
	all_missing = all_missing missing
}
END {
	row("all", all_lines, all_run, all_branches, all_taken)
	print "\nNot run, and the branches of lines not taken (+ taken, - not):\n" all_missing
	if (all_lines == 0)
		print "nothing was recorded for " here "src"
	printf "lines: %d of %d, %.2f %%, wanted: all\n",
		all_run, all_lines, share(all_run, all_lines)
	printf "branches: %d of %d, %.2f %%, wanted: %s %%\n", all_taken, all_branches,
		share(all_taken, all_branches), wanted
	exit all_lines == 0 || all_run < all_lines || share(all_taken, all_branches) < wanted
}' "$dir/src"
