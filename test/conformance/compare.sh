#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The scenarios of *.scenarios on CPython's asyncore and asynchat, and on the library, with
# and without use_poll: their traces must be the same.  FORMAT says what they hold.
#
#	compare.sh		the test: the default map, and on each backend a foreign base, under
#				asyncore_loop() and driven by the application; each of them
#				with gathered output, too
#	compare.sh record	write *.recorded anew, with the live Python
#	compare.sh differs	write the library's own traces of the scenarios that say
#				`differs:` anew; read them before they are kept
#
# Environment: srcdir; PYTHON (python3); RUN_C, the runner (test/conformance/run_c).

set -u

: "${srcdir:=.}" "${PYTHON:=python3}" "${RUN_C:=test/conformance/run_c}"
here=$srcdir/test/conformance
dir=$(mktemp -d "${TMPDIR:-/tmp}/conformance.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0
export PYTHONDONTWRITEBYTECODE=1

python_has_asyncore() {
	"$PYTHON" -W ignore -c 'import asyncore, asynchat' 2>/dev/null
}

# Both ways of a group, one after the other.
run_python() {
	"$PYTHON" -W ignore "$here/run_python.py" "$1" &&
		"$PYTHON" -W ignore "$here/run_python.py" -p "$1"
}

# The names of a group's scenarios whose line `$2:` has one of the words $3 ("": any).
marked() {
	awk -v key="$2:" -v words="$3" '
		BEGIN {
			n = split(words, w)
			for (i = 1; i <= n; i++)
				wanted[w[i]] = 1
		}
		$1 == "scenario" { name = $2 }
		$1 == key {
			hit = n == 0
			for (i = 2; i <= NF; i++)
				if ($i in wanted)
					hit = 1
			if (hit)
				print name
		}' "$1" | sort -u
}

# Of the traces $1 those for the way $2, without the scenarios that $3 names; those that $4
# has as well are taken from there.
expected() {
	awk -v way="$2" -v without="$(tr '\n' ' ' <"$3")" -v own="$4" '
		BEGIN {
			n = split(without, w)
			for (i = 1; i <= n; i++)
				skip[w[i]] = 1
			while ((getline line < own) > 0) {
				if (line ~ /^scenario /)
					key = line
				text[key] = text[key] line "\n"
			}
		}
		/^scenario / {
			print_it = $3 == way && !($2 in skip)
			if (print_it && $0 in text) {
				printf "%s", text[$0]
				print_it = 0
			}
		}
		print_it' "$1"
}

# What a way leaves alone of the trace $2.  Gathering: the handlers and the peer's bytes, each
# in order.  The application's loop: all but how often the predicates are asked, which is after
# every batch of events and not before every wait.
visible() {
	case " $1 " in
	*" gather "*) grep -E '^(scenario|>|<) ' "$2" ;;
	*" driven "*) grep -v -E '^\. [^ ]*\.(readable|writable)$' "$2" ;;
	*) cat "$2" ;;
	esac
}

# compare WHAT EXPECTED SEEN
compare() {
	if ! diff -u "$2" "$3" >"$dir/diff"; then
		echo "$1: traces differ; - as expected, + here:"
		head -n 40 "$dir/diff"
		failed=1
	fi
}

# one GROUP WAY HOW OPTION...: HOW is what of "driven" and "gather" the options say.
one() {
	group=$1 way=$2 how=$3
	shift 3
	marked "$group.scenarios" not "$how -" >"$dir/without"
	own=$group.own
	[ -f "$own" ] || own=/dev/null
	expected "$group.recorded" "$way" "$dir/without" "$own" >"$dir/expected"
	if ! "$RUN_C" "$@" "$group.scenarios" >"$dir/seen"; then
		echo "$(basename "$group") $*: the runner failed"
		tail -n 20 "$dir/seen"
		failed=1
	fi
	visible "$how" "$dir/expected" >"$dir/expected.visible"
	visible "$how" "$dir/seen" >"$dir/seen.visible"
	compare "$(basename "$group") $*" "$dir/expected.visible" "$dir/seen.visible"
}

# every GROUP OUTPUT OPTION...: all ways of running it; OUTPUT is "gather" or "".
every() {
	group=$1 output=$2
	shift 2
	one "$group" select "$output" "$@"
	one "$group" poll "$output" -p "$@"
	for backend in epoll poll select; do
		one "$group" select "$output" "$@" -b "$backend"
		one "$group" poll "$output" -p "$@" -b "$backend"
		one "$group" select "driven $output" "$@" -b "$backend" -d
	done
}

# Every entry that a scenario names stands in the list of differences, and every scenario
# that names one has a trace that does differ.
check_differences() {
	group=$1
	sed -n 's/^differs: *//p' "$group.scenarios" | sort -u >"$dir/entries"
	while read -r entry; do
		if ! grep -q -F -- "$entry" "$srcdir/doc/differences.txt"; then
			echo "$(basename "$group"): not in differences.txt: $entry"
			failed=1
		fi
	done <"$dir/entries"
	marked "$group.scenarios" differs "" >"$dir/marked"
	if [ -f "$group.own" ]; then
		awk '/^scenario / { print $2 }' "$group.own" | sort -u
	fi >"$dir/owned"
	if ! cmp -s "$dir/marked" "$dir/owned"; then
		echo "$(basename "$group"): what says differs: and what has a trace of its own:"
		diff "$dir/marked" "$dir/owned"
		failed=1
	fi
	[ -f "$group.own" ] || return
	awk '
		FNR == 1 { file++ }
		/^scenario / { key = $0; if (file == 2) keys[key] = 1 }
		{ text[file, key] = text[file, key] $0 "\n" }
		END {
			for (key in keys)
				if (text[1, key] == text[2, key])
					print "does not differ: " key
		}' "$group.recorded" "$group.own" >"$dir/same"
	if [ -s "$dir/same" ]; then
		cat "$dir/same"
		failed=1
	fi
}

# The traces of the marked scenarios, where they are not Python's.
write_own() {
	group=$1
	marked "$group.scenarios" differs "" >"$dir/marked"
	: >"$dir/own"
	while read -r name; do
		"$RUN_C" "$group.scenarios" "$name"
		"$RUN_C" -p "$group.scenarios" "$name"
	done <"$dir/marked" >"$dir/all"
	awk '
		FNR == 1 { file++ }
		/^scenario / { key = $0; if (file == 2) order[++n] = key }
		{ text[file, key] = text[file, key] $0 "\n" }
		END {
			for (i = 1; i <= n; i++)
				if (text[1, order[i]] != text[2, order[i]])
					printf "%s", text[2, order[i]]
		}' "$group.recorded" "$dir/all" >"$dir/own"
	if [ -s "$dir/own" ]; then
		cp "$dir/own" "$group.own"
	else
		rm -f "$group.own"
	fi
}

for scenarios in "$here"/*.scenarios; do
	group=${scenarios%.scenarios}
	case ${1-} in
	record)
		run_python "$scenarios" >"$dir/live" && cp "$dir/live" "$group.recorded" ||
			failed=1
		continue ;;
	differs)
		write_own "$group"
		continue ;;
	esac
	if python_has_asyncore; then
		run_python "$scenarios" >"$dir/live" || failed=1
		compare "$(basename "$group") on $PYTHON" "$group.recorded" "$dir/live"
	fi
	check_differences "$group"
	every "$group" ""
	every "$group" gather -g
done
if [ -z "${1-}" ]; then
	echo "$(cat "$here"/*.scenarios | grep -c '^scenario ') scenarios"
	python_has_asyncore || echo "$PYTHON has no asyncore: only recorded traces were compared"
fi
exit "$failed"
