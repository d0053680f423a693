# SPDX-License-Identifier: BSD-3-Clause

# The names that manual pages document beside their own: for each a line
#
#	SECTION NAME.SECTION PAGE.SECTION
#
# The names of a page are those of the .Nm lines of its section NAME.

/^\.Sh / {
	in_name = $2 == "NAME"
}

in_name && $1 == ".Nm" {
	page = FILENAME
	sub(/.*\//, "", page)
	section = page
	sub(/.*\./, "", section)
	if ($2 "." section != page)
		print section, $2 "." section, page
}
