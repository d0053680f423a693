# SPDX-License-Identifier: BSD-3-Clause
#
# run_counts.sh - read by run.sh: the work "counts", instructions and system calls of all servers.

# count_servers TABLE LIST UNITS INSTRUCTION-ROUNDS CALL-ROUNDS DRIVE...: for each DRIVE the
# instructions and the system calls, per unit, of which UNITS (an expression of awk, of c
# connections and s bytes) are in a round
count_servers()
{
	local table=$1 list=$2 expression=$3 slow=$4 calls=$5 drive key label line command units column
	shift 5
	while IFS=';' read -r key label line; do
		command_of "$line"
		for drive in "$@"; do
			read -ra column <<<"$drive"
			units=$(awk -v c="${column[1]}" -v s="${column[2]}" "BEGIN { print $expression }")
			column=${column[1]}-${column[2]}
			echo "$table-instructions $column $key 1" \
				"$(instructions_per "$units" "$slow" "$drive" "${command[@]}")"
			system_calls_per "$units" "$calls" "$drive" "${command[@]}" |
				awk -v row="$column $key 1" -v t="$table" '
					$1 == "total" { print t "-calls", row, $2 }
					$1 != "total" { print t "-call", row, $2, $1 }'
		done
	done < <(rows "$list") >>"$data"
}

work_counts()
{
	local list kind
	say '## Counts' '' 'Per unit, by callgrind (user space alone) and strace; the same in every run.' ''
	count_servers echo "$echo_servers" c 20 10 'echo 1 64' 'echo 50 64' 'echo 50 16384'
	say '### Instructions per echo (ratio to raw libevent)' ''
	table "$echo_servers" echo-instructions libevent '1-64 50-64 50-16384' \
		'1 x 64 B;50 x 64 B;50 x 16 KiB'
	say '### System calls per echo (ratio)' ''
	table "$echo_servers" echo-calls libevent '1-64 50-64 50-16384' \
		'1 x 64 B;50 x 64 B;50 x 16 KiB'
	named_calls "$echo_servers" echo-call 50-64

	# A round of lines is thousands of them already.
	local short=1
	for kind in count answer; do
		lines_rows "$kind"
		count_servers "$kind" "$list" 65536/s 2 2 "$kind 1 20" "$kind 1 80"
		say "### Instructions per line, ${kind}ed (ratio to evbuffer_readln)" ''
		table "$list" "$kind-instructions" readln '1-20 1-80' '20 B;80 B'
		say "### System calls per line, ${kind}ed (ratio)" ''
		table "$list" "$kind-calls" readln '1-20 1-80' '20 B;80 B'
	done

	short=20
	count_servers accept "$accept_servers" c 10 10 'accept 64 64'
	say '### Instructions per connection accepted and closed (ratio to raw libevent)' ''
	table "$accept_servers" accept-instructions libevent 64-64 '64 at once'
	say '### System calls per connection (ratio)' ''
	table "$accept_servers" accept-calls libevent 64-64 '64 at once'
	named_calls "$accept_servers" accept-call 64-64
}

# named_calls LIST TABLE COLUMN: which they were
named_calls()
{
	say '| | by name |' '|---|---|'
	rows "$1" | while IFS=';' read -r key label line; do
		awk -v t="$2" -v c="$3" -v k="$key" '
			$1 == t && $2 == c && $3 == k && $5 >= 0.005 { printf "%s %.2f\n", $6, $5 }' "$data" |
			sort -k2,2nr -k1,1 | tr '\n' ' ' | sed "s/^/| $label | /; s/\$/|/"
		echo
	done >>"$report"
	say ''
}

