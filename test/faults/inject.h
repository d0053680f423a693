/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * inject.h - a chosen call of a chosen kind fails.
 *
 * Linked into a program (with WRAPPED below given to the linker), or preloaded into one, it
 * counts the calls that can fail, of the program, of the library and of libevent, and fails
 * the n-th of one kind.  Allocations are counted too, so that what is not given back shows.
 *
 * A program that knows nothing of it is driven by its environment:
 *
 *	FAULT_KIND	which calls: one of the names below
 *	FAULT_N		the first that fails, from 1 on
 *	FAULT_ERROR	how: an errno as a number, or "short" (one byte goes through); if it is
 *			unset, the first error of the kind
 *	FAULT_REPEAT	how many fail in a row: 1 if it is unset, 0 for all that follow
 *	FAULT_REPORT	a file to which is added, when the program ends (also by SIGTERM, if it has
 *			no handler for it), a line "KIND CALLS" for each kind, and "hit KIND" if
 *			the call came to fail; and, unless it was SIGTERM, "left D B": descriptors
 *			that it has more than in the beginning, and blocks of memory
 *
 * One that does (the functions here) chooses when calls are counted.  The wrapped calls:
 *
 *	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=event_new
 *	-Wl,--wrap=event_add,--wrap=event_assign,--wrap=event_base_loop
 *	-Wl,--wrap=event_base_new_with_config,--wrap=event_reinit,--wrap=getaddrinfo
 *
 * and -DFAULT_PRELOAD makes of it what LD_PRELOAD takes: there libevent's own memory is of the
 * kind "malloc", and the program must not be one with a sanitizer.
 */

#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>

enum fault_kind {
	FAULT_MALLOC,		/* malloc, calloc, realloc */
	FAULT_EVENT_MEMORY,	/* the same, by libevent */
	FAULT_SOCKET,
	FAULT_SOCKETPAIR,
	FAULT_ACCEPT,
	FAULT_CONNECT,
	FAULT_BIND,
	FAULT_LISTEN,
	FAULT_SHUTDOWN,
	FAULT_SEND,		/* send, sendto, sendmsg */
	FAULT_RECV,
	FAULT_RECVFROM,
	FAULT_READ,		/* read, readv */
	FAULT_WRITE,		/* write, writev */
	FAULT_PREAD,
	FAULT_SENDFILE,
	FAULT_EPOLL_CREATE,
	FAULT_EPOLL_CTL,
	FAULT_EPOLL_WAIT,
	FAULT_POLL,
	FAULT_SELECT,
	FAULT_EVENTFD,
	FAULT_TIMERFD_CREATE,
	FAULT_TIMERFD_SETTIME,
	FAULT_GETSOCKOPT,
	FAULT_SETSOCKOPT,
	FAULT_GETPEERNAME,
	FAULT_DUP,		/* dup3, fcntl(F_DUPFD) */
	FAULT_FCNTL,		/* any other fcntl */
	FAULT_IOCTL,
	FAULT_PIPE,
	FAULT_CLOSE,		/* the descriptor is closed all the same, as by the kernel */
	FAULT_EVENT_NEW,
	FAULT_EVENT_ADD,
	FAULT_EVENT_ASSIGN,
	FAULT_EVENT_BASE_LOOP,
	FAULT_EVENT_BASE_NEW,
	FAULT_EVENT_REINIT,
	FAULT_GETADDRINFO,
	FAULT_KINDS
};

#define FAULT_SHORT 10000	/* for an errno: one byte goes through */
#define FAULT_ERRORS 6

struct fault_kind_info {
	const char *name;
	int error[FAULT_ERRORS + 1];	/* how such calls fail, ending with 0 */
};
extern const struct fault_kind_info fault_kinds[FAULT_KINDS];

/* Fail `repeat` calls (0: all) of a kind from the n-th on; n 0: none.  Starts to count. */
void fault_arm(enum fault_kind kind, long n, int error, long repeat);
/* Stop failing and counting (did it?), and go on where that was. */
bool fault_pause(void);
void fault_resume(void);

extern long fault_calls[FAULT_KINDS];	/* counted since fault_arm() */
extern long fault_hits;			/* calls that failed since then */
extern long fault_blocks;		/* blocks of memory that were not given back */
extern bool fault_in_base;		/* libevent makes a base, or makes it anew */

#endif /* INJECT_H */
