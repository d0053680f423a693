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

# The entries of the list of differences that change what a program sees: a line for each, its
# headline, its text and its section, between tabs.
entries() {
	awk '
		/^-+$/ { section = before }
		{ before = $0 }
		/^[^ ]/ { headline = "" }
		/^  [^ ]/ && (section == "Fixed" || section == "Timing") {
			headline = substr($0, 3)
			order[++n] = headline
			of[headline] = section
		}
		/^      / && headline != "" { text[headline] = text[headline] " " substr($0, 7) }
		END {
			for (i = 1; i <= n; i++)
				print order[i] "\t" text[order[i]] "\t" of[order[i]]
		}' "$srcdir/doc/differences.txt"
}

# What scenarios say `differs:`, that is HEADLINE or HEADLINE: WORDS OF ITS TEXT.
named() {
	sed -n 's/^differs: *//p' "$@" | sort -u
}

# Of the names on standard input those that are no entry; or, with -v, the entries that none of
# them names.
unmatched() {
	awk -F '\t' -v entries="$dir/entries" -v inverse="${1-}" '
		BEGIN {
			while ((getline <entries) > 0) {
				order[++n] = $1
				text[$1] = $2
			}
		}
		{
			good = 0
			for (i = 1; i <= n; i++) {
				headline = order[i]
				words = substr($0, length(headline) + 3)
				if ($0 == headline || (index($0, headline ": ") == 1 &&
				    index(text[headline], words) > 0)) {
					good = 1
					used[headline] = 1
				}
			}
			if (!good && inverse == "")
				print
		}
		END {
			for (i = 1; i <= n && inverse != ""; i++)
				if (!(order[i] in used))
					print order[i]
		}'
}

# Every entry is named by a scenario or has tests that UNSCRIPTED lists, and these exist.
check_entries() {
	entries >"$dir/entries"
	cut -f 1 "$dir/entries" >"$dir/headlines"
	grep -x -F -f "$dir/headlines" "$here/UNSCRIPTED" >"$dir/unscripted"
	{ named "$here"/*.scenarios; cat "$dir/unscripted"; } | unmatched -v >"$dir/unproved"
	if [ -s "$dir/unproved" ]; then
		echo "differences.txt: no scenario and no test shows:"
		cat "$dir/unproved"
		failed=1
	fi
	awk -F '\t' -v headlines="$dir/headlines" '
		BEGIN { while ((getline <headlines) > 0) entry[$0] = 1 }
		!/^\t/ { name = $0; order[++n] = name }
		/^\t/ && name in entry { tests[name]++; print $2 }
		/^\t/ && !(name in entry) { print name, "(which is no entry)" }
		END {
			for (i = 1; i <= n; i++)
				if (order[i] in entry && !tests[order[i]])
					print order[i], "(which lists none)"
		}' "$here/UNSCRIPTED" >"$dir/tests"
	while read -r file test; do
		if ! grep -q -x -F "START_TEST($test)" "$srcdir/test/$file" 2>/dev/null; then
			echo "UNSCRIPTED: no such test: $file $test"
			failed=1
		fi
	done <"$dir/tests"
}

# Every entry that a scenario names stands in the list of differences, and every scenario
# that names one has a trace that does differ.
check_differences() {
	group=$1
	named "$group.scenarios" | unmatched >"$dir/wrong"
	while read -r entry; do
		echo "$(basename "$group"): no such entry in differences.txt: $entry"
		failed=1
	done <"$dir/wrong"
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

# Timing alone: the same handlers in the same order, but for how many write events it takes and
# when a producer is asked, and the same bytes for each peer, though not in as many pieces.
check_timing() {
	group=$1
	[ -f "$group.own" ] || return
	awk -F '\t' -v entries="$dir/entries" '
		BEGIN {
			while ((getline <entries) > 0)
				if ($3 == "Timing")
					is_timing[$1] = 1
		}
		FNR == 1 { file++ }
		/^scenario / {
			split($0, word, " ")
			name = word[2]
			key = $0
			if (file == 3)
				keys[key] = name
		}
		file == 1 && /^differs: / {
			sub(/^differs: */, "")
			sub(/: .*/, "")
			if ($0 in is_timing)
				timing[name] = 1
			else
				fixed[name] = 1
		}
		file > 1 && /^> / && !/\.handle_write/ && !/^> more / {
			seen[file, key] = seen[file, key] $0 "\n"
		}
		file > 1 && /^< / {
			split($0, word, " ")
			bytes = substr($0, length(word[2]) + 4)
			gsub(/"/, "", bytes)
			peers[key] = peers[key] " " word[2]
			got[file, key, word[2]] = got[file, key, word[2]] bytes
		}
		END {
			for (key in keys) {
				name = keys[key]
				if (!(name in timing) || name in fixed)
					continue
				if (seen[2, key] != seen[3, key])
					print "other handlers, or in another order: " key
				n = split(peers[key], peer, " ")
				for (i = 1; i <= n; i++)
					if (got[2, key, peer[i]] != got[3, key, peer[i]])
						print "other bytes for " peer[i] ": " key
			}
		}' "$group.scenarios" "$group.recorded" "$group.own" >"$dir/untimely"
	if [ -s "$dir/untimely" ]; then
		echo "$(basename "$group"): more differs than the timing:"
		sort -u "$dir/untimely"
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

check_entries
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
	check_timing "$group"
	every "$group" ""
	every "$group" gather -g
done
if [ -z "${1-}" ]; then
	echo "$(cat "$here"/*.scenarios | grep -c '^scenario ') scenarios"
	python_has_asyncore || echo "$PYTHON has no asyncore: only recorded traces were compared"
fi
exit "$failed"
