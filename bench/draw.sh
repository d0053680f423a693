#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# draw.sh DIRECTORY - the pictures of what run.sh left there (data): requests.svg, by server, and
# idle.svg, the cost of an event against the number of idle channels.  Needs gnuplot.
set -eu
: "${srcdir:=.}"
where=$1
data=$where/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=bench/bin python=yes
. "$srcdir/bench/peers.sh"

if ! command -v gnuplot >/dev/null; then
	echo "bench: gnuplot is missing, and so are the pictures"
	exit 0
fi

# medians LIST COLUMN...: a line "LABEL" MEDIAN... for each row
medians()
{
	grep . <<<"$1" | tr -d '*' >"$work/rows"
	shift
	awk -v columns="$*" -v plain=1 -f "$srcdir/bench/table.awk" "$work/rows" "$data"
}

draw_requests()
{
	medians "$echo_servers" echo-rate:50-64 echo-rate:1000-64 >"$work/requests"
	gnuplot <<-END
	set terminal svg size 1000,520 noenhanced font "sans-serif,12" background "white"
	set output "$where/requests.svg"
	set title "Echo of 64 bytes: requests per second"
	set style data histograms
	set style fill solid 0.8 noborder
	set boxwidth 0.9
	set yrange [0:*]
	set format y "%.0s%c"
	set grid y
	set xtics rotate by -35 nomirror
	set key top right
	set rmargin 26
	set bmargin 13
	plot "$work/requests" using 2:xtic(1) title "50 connections" linecolor "#3060a0", \\
		"" using 3 title "1000 connections" linecolor "#e09030"
	END
}

# Each line of the picture is a block: its label, then the number of idle channels and the ns per
# event.
draw_idle()
{
	local steps active step columns colour colours= n=0 last
	steps=$(awk '$1 == "idle-1" { print $2 }' "$data" | sort -nu | tr '\n' ' ')
	for active in 100 1; do
		columns=()
		for step in $steps; do columns+=("idle-$active:$step"); done
		medians "$idle_programs" "${columns[@]}" |
			awk -F'"' -v steps="$steps" '{
				n = split($3, value, " ")
				split(steps, step, " ")
				printf "\"%s\"\n", $2
				for (i = 1; i <= n; i++)
					print step[i], value[i]
				printf "\n\n"
			}' >"$work/idle-$active"
	done
	last=$(($(grep -c '^"' "$work/idle-1") - 1))
	# Ours, which come last, are warm and thick.
	for colour in 000000 3060a0 60a0d0 208060 70b050 909090 9060a0; do
		[ "$n" -le $((last - 4)) ] || break
		colours+="set linetype $((n += 1)) linewidth 1.5 linecolor '#$colour'; "
	done
	for colour in d02020 e07020 e0a020 c04080; do
		colours+="set linetype $((n += 1)) linewidth 3 linecolor '#$colour'; "
	done
	gnuplot <<-END
	set terminal svg size 1000,640 noenhanced font "sans-serif,12" background "white"
	set output "$where/idle.svg"
	set multiplot layout 1,2 title "What an event costs beside idle channels"
	set logscale xy
	set format "%.0s%c"
	set xlabel "idle channels"
	set ylabel "ns per event"
	set grid
	set xrange [*:*] noextend
	set key below maxcols 2 samplen 2 font ",10"
	set datafile missing "-"
	$colours
	do for [active in "100 1"] {
		file = "$work/idle-" . active
		set title active . " active in each pass"
		plot for [i = 0:$last] file index i using 1:2 \\
			with linespoints linetype i + 1 pointsize 0.5 title columnheader(1)
	}
	END
}

! grep -q '^echo-rate ' "$data" || draw_requests
! grep -q '^idle-1 ' "$data" || draw_idle
