#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# build.sh [PROGRAM...] - build the programs of bench/ (all, or those named) into bench/bin of
# the build directory, where it is run.  A program whose library is missing is left out, with a
# message.  `make bench-programs`.
#
# Environment, from the Makefile: srcdir, CC, CPPFLAGS, CFLAGS, LDFLAGS, WARN_CFLAGS.
set -eu
: "${srcdir:=.}" "${CC:=cc}" "${CFLAGS=-g -O2}"
bin=bench/bin

# The program, its other sources, the library that it is about.
programs='
accept_asyncore        bench,ours         asyncore
accept_epoll           bench              none
accept_evconnlistener  bench              libevent
accept_libevent        bench              libevent_core
download_asynchat      bench,ours         asyncore
download_evbuffer      bench              libevent_core
download_libevent      bench              libevent_core
echo_asyncore          bench,ours         asyncore
echo_bufferevent       bench              libevent
echo_epoll             bench              none
echo_libev             bench              libev
echo_libevent          bench              libevent_core
echo_libuv             bench              libuv
idle_asynchat          bench,idle,ours    asyncore
idle_asyncore          bench,idle,ours    asyncore
idle_bufferevent       bench,idle         libevent
idle_epoll             bench,idle         none
idle_libev             bench,idle         libev
idle_libevent          bench,idle         libevent_core
idle_libuv             bench,idle         libuv
lines_asynchat         bench,ours         asyncore
lines_evbuffer         bench              libevent_core
lines_flat             bench              libevent_core
lines_memory           bench              asyncore
load                   bench              none
drive.so               bench              none
wake                   -                  asyncore-threads
'

# Ours as programs get it: the shared library, unless only the other was built.
ours=(.libs/libasyncore.a)
[ ! -e .libs/libasyncore.so ] || ours=(-L.libs -Wl,-rpath,"$PWD/.libs" -lasyncore)

# library NAME: cflags and libs, or fail when it is missing.
library()
{
	cflags=() libs=()
	case $1 in
	none) ;;
	asyncore)
		cflags=(-Iinclude "-I$srcdir/include" $(pkg-config --cflags libevent_core))
		libs=("${ours[@]}" $(pkg-config --libs libevent_core)) ;;
	asyncore-threads)
		library asyncore
		libs+=($(pkg-config --libs libevent_pthreads)) ;;
	libev)	# Debian has no .pc file of it.
		echo '#include <ev.h>' | $CC ${CPPFLAGS-} -E - >/dev/null 2>&1 || return 1
		libs=(-lev) ;;
	*)
		pkg-config --exists "$1" || return 1
		cflags=($(pkg-config --cflags "$1"))
		libs=($(pkg-config --libs "$1")) ;;
	esac
}

mkdir -p "$bin"
echo "$programs" | while read -r program others package; do
	[ -n "$program" ] || continue
	[ $# = 0 ] || [[ " $* " = *" $program "* ]] || continue
	rm -f "$bin/$program"
	if ! library "$package"; then
		echo "bench: $package is missing, and so is $program"
		continue
	fi
	sources=()
	for source in "${program%.so}" ${others//[-,]/ }; do
		sources+=("$srcdir/bench/$source.c")
	done
	kind=()
	[ "$program" = "${program%.so}" ] || kind=(-shared -fPIC -ldl)
	$CC -D_GNU_SOURCE "${cflags[@]}" ${CPPFLAGS-} ${WARN_CFLAGS-} $CFLAGS \
		-o "$bin/$program" "${sources[@]}" "${kind[@]}" ${LDFLAGS-} "${libs[@]}"
done
