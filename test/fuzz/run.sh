#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause

# Fuzz the library: run.sh short|long|replay [TARGET...]
#
#   short   the corpora and a fixed number of runs from a fixed seed; below half a minute
#   long    RUNS executions of each target (10000000 unless the environment says otherwise)
#   replay  the corpora only, without libFuzzer: for any compiler
#
# CC is clang unless set (replay: cc).  BUILD is where asyncore_version.h is and where
# everything that is made goes (default: a directory that is removed again).  What libFuzzer
# finds is left in the current directory.

set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
top=$here/../..
mode=${1:-short}
shift
[[ $# -gt 0 ]] || set -- address chat map

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

die()
{
	echo "run.sh: $*" >&2
	exit 1
}

flags="-std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -I$top/include -I$top/src"
case $mode in
replay)
	cc=${CC:-cc}
	sanitize=${SANITIZE--fsanitize=address,undefined -fno-sanitize-recover=undefined}
	link=$sanitize
	main=$here/replay.c
	;;
short|long)
	cc=${CC:-clang}
	sanitize='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
	link='-fsanitize=fuzzer,address,undefined'
	main=
	;;
*)
	die "short, long or replay?"
	;;
esac

# The version, as configure would write it, unless there is one.
version=${BUILD:-$work}
if [[ ! -f $version/asyncore_version.h ]]; then
	[[ -z ${BUILD:-} ]] || [[ ! -f $BUILD/include/asyncore_version.h ]] ||
		version=$BUILD/include
fi
if [[ ! -f $version/asyncore_version.h ]]; then
	version=$work
	sed 's/@PACKAGE_VERSION@/0.0.0/; s/@[A-Z_]*@/0/' \
		"$top/include/asyncore_version.h.in" >"$work/asyncore_version.h"
fi

objects=()
for source in "$top"/src/*.c; do
	name=$(basename "$source" .c)
	[[ $name != resolver ]] || continue
	# shellcheck disable=SC2086
	$cc $flags $sanitize -I"$version" -c "$source" -o "$work/$name.o" ||
		die "$source does not compile"
	objects+=("$work/$name.o")
done

# Leaks are looked for at the end, and by the targets themselves after every run.
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
failed=0
for target; do
	program=$work/fuzz_$target
	# shellcheck disable=SC2086
	$cc $flags $sanitize $link -I"$version" "$here/fuzz_$target.c" $main "${objects[@]}" \
		-levent_core -ldl -o "$program" || die "fuzz_$target does not compile"
	corpus=$here/corpus_$target
	[[ -d $corpus ]] || die "no corpus: $corpus"
	case $mode in
	replay)
		timeout 300 "$program" "$corpus" || failed=1
		continue
		;;
	short)
		case $target in
		map) runs=5000 ;;
		*) runs=15000 ;;
		esac
		options="-seed=1 -runs=$runs"
		;;
	long)
		options="-runs=${RUNS:-10000000}"
		;;
	esac
	[[ ! -f $here/$target.dict ]] || options+=" -dict=$here/$target.dict"
	# What is new goes to a directory of its own, not into the tree.
	mkdir -p "$work/new_$target"
	# shellcheck disable=SC2086
	if "$program" $options -max_len=300 -timeout=20 -print_final_stats=1 \
		-artifact_prefix="fuzz_$target-" "$work/new_$target" "$corpus" \
		>"$work/$target.log" 2>&1
	then
		grep -E 'DONE|number_of_executed' "$work/$target.log" | sed "s/^/fuzz_$target: /"
	else
		failed=1
		# What was found stands where it begins, its stack behind it.
		grep -vE 'NEW|REDUCE|pulse' "$work/$target.log" |
			awk '/not so:|ERROR|runtime error/ { found = 1 } found' | head -n 80
		echo "fuzz_$target: FAILED"
	fi
done
exit "$failed"
