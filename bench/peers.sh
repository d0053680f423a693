# SPDX-License-Identifier: BSD-3-Clause
#
# peers.sh - read by run.sh: who takes part in each work.  A line: a key for the data, a label for
# the table, the command.

echo_servers='
epoll;raw epoll;echo_epoll
libevent;raw libevent;echo_libevent
libevent-once;libevent, EVLOOP_ONCE per pass;echo_libevent once
libevent-queued;libevent, queue + write event;echo_libevent queued
bufferevent;bufferevent;echo_bufferevent
libuv;libuv uv_write;echo_libuv
libuv-try;libuv uv_try_write;echo_libuv try
libev;libev;echo_libev
python-select;Python asyncore select;echo_asyncore.py
python-poll;Python asyncore poll;echo_asyncore.py poll
ours;**libasyncore, asyncore_loop**;echo_asyncore
ours-attached;**libasyncore, event_base_dispatch**;echo_asyncore attached'

lines_servers='
flat;flat buffer, memchr;lines_flat
flat-once;flat buffer, send per line;lines_flat once
readln;evbuffer_readln;lines_evbuffer
search;evbuffer search_eol + drain;lines_evbuffer search
python;Python asynchat;lines_asynchat.py
ours;**libasyncore, asyncore_loop**;lines_asynchat
ours-attached;**libasyncore, event_base_dispatch**;lines_asynchat attached
ours-once;**libasyncore, send per line**;lines_asynchat once'

memory_programs='
memchr;memchr + CR check;lines_memory memchr
readln;evbuffer_readln + free;lines_memory readln
search;evbuffer search_eol + drain;lines_memory search
python;Python asynchat;lines_memory.py
ours;**libasyncore**;lines_memory asynchat'

idle_programs='
epoll;raw epoll;idle_epoll
libevent;raw libevent;idle_libevent
bufferevent;bufferevent;idle_bufferevent
libuv;libuv stream;idle_libuv
libuv-poll;libuv uv_poll;idle_libuv poll
libev;libev;idle_libev
python;Python asyncore poll;idle_asyncore.py
ours;**dispatcher, asyncore_poll**;idle_asyncore
ours-attached;**dispatcher, EVLOOP_ONCE**;idle_asyncore attached
ours-with-send;**dispatcher_with_send, asyncore_poll**;idle_asyncore with_send
ours-chat;**async_chat, asyncore_poll**;idle_asynchat'

asked_programs='
python;Python asyncore poll (asks all);idle_asyncore.py
ours;**libasyncore, asyncore_poll**;idle_asyncore asked
ours-attached;**libasyncore, EVLOOP_ONCE**;idle_asyncore asked attached'

accept_servers='
epoll;raw epoll, until EAGAIN;accept_epoll
libevent;raw libevent, until EAGAIN;accept_libevent
libevent-one;raw libevent, one per event;accept_libevent one
evconnlistener;evconnlistener;accept_evconnlistener
python-select;Python asyncore select;accept_asyncore.py
python-poll;Python asyncore poll;accept_asyncore.py poll
ours;**libasyncore, asyncore_loop**;accept_asyncore
ours-attached;**libasyncore, event_base_dispatch**;accept_asyncore attached
ours-batch;**libasyncore, ACCEPT_BATCH**;accept_asyncore batch'

download_servers='
libevent;raw libevent, send of 64 KiB;download_libevent
sendfile;raw libevent, sendfile;download_libevent sendfile
evbuffer;evbuffer_add_file;download_evbuffer
python;Python asynchat, producer;download_asynchat.py
ours;**libasyncore, producer**;download_asynchat
ours-file;**libasyncore, file producer**;download_asynchat file
ours-file-attached;**the same, event_base_dispatch**;download_asynchat file attached'

# rows LIST: those that can run here
rows()
{
	local key label command
	while IFS=';' read -r key label command; do
		case $command in
		'') continue ;;
		*.py*) [ -n "$python" ] || continue ;;
		*) [ -x "$bin/${command%% *}" ] || continue ;;
		esac
		echo "$key;$label;$command"
	done <<<"$1"
}

# command_of COMMAND [ARGUMENT...]: into the array `command`; the arguments come first
command_of()
{
	local words
	read -ra words <<<"$1"
	shift
	case ${words[0]} in
	*.py) command=("$python" -W ignore "$srcdir/bench/${words[0]}" "$@" "${words[@]:1}") ;;
	*) command=("$bin/${words[0]}" "$@" "${words[@]:1}") ;;
	esac
}

