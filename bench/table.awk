# SPDX-License-Identifier: BSD-3-Clause
#
# table.awk - a table, in Markdown, of what run.sh measured.
#
#	awk -v table=NAME -v base=KEY -v columns='A B ...' [-v head='A;B;...'] -f table.awk ROWS DATA
#	awk -v table=NAME -v base=KEY -v columns='A B ...' -v plain=1 -f table.awk ROWS DATA
#
# ROWS has a line "KEY;LABEL;..." for each row; DATA lines "TABLE COLUMN KEY ROUND VALUE".  A
# column of another table is written TABLE:COLUMN.  plain: the medians alone, for gnuplot.  A cell is the median of the rounds, the median of the ratios to the row `base` within a round, and
# half the range of these ratios (for `base`: of the values), over their median.

function sorted(list, n,    i, j, v)
{
	for (i = 2; i <= n; i++) {
		v = list[i]
		for (j = i - 1; j > 0 && list[j] > v; j--)
			list[j + 1] = list[j]
		list[j + 1] = v
	}
}

function median(list, n)
{
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function human(v)
{
	if (v >= 1e9)
		return sprintf("%.3gG", v / 1e9)
	if (v >= 1e6)
		return sprintf("%.3gM", v / 1e6)
	if (v >= 1e4)
		return sprintf("%.3gk", v / 1e3)
	return sprintf(v >= 1000 ? "%.0f" : "%.3g", v)
}

function cell(key, column,    values, ratios, n, m, r, b, spread, text)
{
	for (r = 1; r <= rounds; r++) {
		if (!((column, key, r) in value))
			continue
		values[++n] = value[column, key, r]
		b = value[column, base, r]
		if (b > 0)
			ratios[++m] = values[n] / b
	}
	if (n == 0)
		return "-"
	sorted(values, n)
	sorted(ratios, m)
	if (plain)
		return median(values, n)
	text = human(median(values, n))
	if (m > 0)
		text = text sprintf(" (%.2f)", median(ratios, m))
	if (key == base || m == 0)
		spread = (values[n] - values[1]) / 2 / median(values, n)
	else
		spread = (ratios[m] - ratios[1]) / 2 / median(ratios, m)
	return rounds > 1 ? text sprintf(" ±%.0f%%", spread * 100) : text
}

BEGIN {
	ncolumns = split(columns, column, " ")
	if (head == "") {
		head = columns
		gsub(/ /, ";", head)
	}
	for (c = 1; c <= ncolumns; c++)
		if (column[c] !~ /:/)
			column[c] = table ":" column[c]
}

FNR == NR {
	if (split($0, part, ";") >= 2) {
		keys[++nkeys] = part[1]
		label[part[1]] = part[2]
	}
	next
}

{
	where = $1 ":" $2
	value[where, $3, $4] = $5
	seen[where, $3] = 1
	if ($4 > rounds)
		rounds = $4
}

# Does any column have something for this row?
function shown(key,    c)
{
	for (c = 1; c <= ncolumns; c++)
		if ((column[c], key) in seen)
			return 1
	return 0
}

END {
	gsub(/;/, " | ", head)
	if (!plain) {
		printf "| | %s |\n|---|", head
		for (c = 1; c <= ncolumns; c++)
			printf "---:|"
		printf "\n"
	}
	for (k = 1; k <= nkeys; k++) {
		if (!shown(keys[k]))
			continue
		printf plain ? "\"%s\"" : "| %s |", label[keys[k]]
		for (c = 1; c <= ncolumns; c++)
			printf plain ? " %s" : " %s |", cell(keys[k], column[c])
		printf "\n"
	}
}
