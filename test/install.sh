#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause

# The installed copy is one that a program can use, with nothing but pkg-config.
#
#	install.sh [BUILD_DIR]	install under a directory of its own, test that copy,
#				uninstall it: no file may be left
#	install.sh installed	test the copy that is installed; for `make installcheck`,
#				which sets the variables used here

set -eu

dir=$(mktemp -d "${TMPDIR:-/tmp}/install.XXXXXX") || exit 99
pid=
trap 'test -z "$pid" || kill "$pid"; rm -rf "$dir"' EXIT

if test "${1-}" != installed; then
	cd "${1-.}"
	make=${MAKE:-make}
	$make install DESTDIR="$dir"
	$make installcheck DESTDIR="$dir"
	$make uninstall DESTDIR="$dir"
	if find "$dir" ! -type d | grep .; then
		echo "uninstall left these files"
		exit 1
	fi
	echo "uninstall left nothing"
	exit 0
fi

lib=$DESTDIR$libdir
PKG_CONFIG_PATH=$lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
if test -n "$DESTDIR"; then
	PKG_CONFIG_SYSROOT_DIR=$DESTDIR
	export PKG_CONFIG_SYSROOT_DIR
fi
flags=$(pkg-config --cflags libasyncore)
shared_libs=$(pkg-config --libs libasyncore)
static_libs=$(pkg-config --static --libs libasyncore)
pkg-config --exists libasyncore_dns && dns=yes || dns=
LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# Every name has a page, the first of a page or another one.
for page in man3/asyncore_loop.3 man3/asyncore_poll.3 man3/async_chat_init.3 man7/asyncore.7 \
	man7/libasyncore.7 ${dns:+man3/asyncore_dns_connect.3}; do
	grep -q '^\.Sh DESCRIPTION' "$DESTDIR$mandir/$page" || {
		echo "no manual page $page"
		exit 1
	}
done

echo "cflags: $flags"
echo "libs:   $shared_libs"
echo "static: $static_libs"

case $shared_libs in
*event*) echo "a program that links with the shared library must not need libevent"
	exit 1 ;;
esac

sh "$srcdir/test/readme.sh" print >"$dir/readme.c"

# An example, with a client: it says at which port it listens.
run_echo_server()
{
	command -v bash >/dev/null || return 0
	"$dir/echo_server" 0 >"$dir/output" 2>&1 &
	pid=$!
	bash -c '
		for wait in {1..50}; do
			port=$(sed -n "s/^Listening at .*, \([0-9]*\))$/\1/p" "$1/output")
			[[ -n $port ]] && break
			sleep 0.1
		done
		exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
		echo "a line" >&3
		read -r -t 10 line <&3
		[[ $line == "a line" ]]' client "$dir" || {
		echo "echo_server does not answer"
		cat "$dir/output"
		exit 1
	}
	kill "$pid"
	wait "$pid" || :
	pid=
}

# modules SOURCE: the packages that a program names, which uses more than libasyncore
modules()
{
	grep -q '<asyncore_dns.h>' "$1" && echo libasyncore_dns
	grep -q '<event2/dns' "$1" && echo libevent_extra
	grep -q '<event2/' "$1" && echo libevent_core
	echo libasyncore
}

# use HOW LIBS: compile all the programs, run those that need no arguments
use()
{
	how=$1 libs=$2
	for source in "$srcdir/test/installed.c" "$dir/readme.c" "$srcdir"/examples/*.c; do
		program=$dir/$(basename "$source" .c)
		packages=$(modules "$source")
		case $packages in
		*dns*) test -n "$dns" || continue ;;
		esac
		test "$how" = shared && more= || more=--static
		$CC $CPPFLAGS $CFLAGS $flags -o "$program" "$source" $LDFLAGS \
			$libs $(pkg-config $more --libs $packages)
		if ldd "$program" 2>&1 | grep -q 'libasyncore\.so'; then
			linked=shared
		else
			linked=static
		fi
		if test "$linked" != "$how"; then
			echo "$program is linked $linked, not $how"
			exit 1
		fi
	done
	"$dir/installed"
	run_echo_server
	echo "$how: all programs compile, installed and echo_server run"
}

tested=
if test -f "$lib/libasyncore.so"; then
	use shared "$shared_libs"
	tested=yes
fi
if test -f "$lib/libasyncore.a"; then
	# A directory with the static library alone, searched first: -lasyncore finds that.
	mkdir "$dir/static"
	cp "$lib"/libasyncore*.a "$dir/static"
	use static "-L$dir/static $static_libs"
	# Static through and through, where libc and libevent can be had so.
	echo 'int main(void) { return 0; }' >"$dir/empty.c"
	if $CC $CFLAGS -static -o "$dir/empty" "$dir/empty.c" $LDFLAGS -levent_core 2>/dev/null
	then
		use static "-static $static_libs"
	fi
	tested=yes
fi
test -n "$tested" || {
	echo "neither libasyncore.so nor libasyncore.a in $lib"
	exit 1
}
