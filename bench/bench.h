/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench.h - what the programs of bench/ share, whatever they are measured on.
 *
 * A server listens on a free port of the loopback interface, prints the number and serves
 * until it is killed.  load.c is its client when time is measured, drive.c when calls and
 * instructions are counted.  Servers are as short as they can be: they have no end, and what
 * cannot fail on a machine that is fit for measuring is fatal.
 */

#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>

enum {
	BENCH_BUFFER = 65536,		/* of every server */
	BENCH_DOWNLOAD = 100 << 20	/* bytes of a download */
};

_Noreturn void bench_die(const char *what);

/* Was this word among the arguments? */
bool bench_given(int argc, char **argv, const char *word);

/* A non-blocking socket that listens; its port is printed. */
int bench_listen(void);

/* A non-blocking connection, or -1 when none waits. */
int bench_accept(int listener);

/* A blocking connection to the port. */
int bench_connect(int port);

/* The monotonic clock, in ns. */
double bench_now(void);

/* malloc() that does not fail. */
void *bench_alloc(size_t size);

/* As many descriptors as the system gives. */
void bench_raise_limit(void);

/* A file to be downloaded, of BENCH_DOWNLOAD bytes, and already without a name. */
int bench_file(void);

#endif /* BENCH_H */
