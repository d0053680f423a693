/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lines.h - what the servers of lines share.  They take lines that end with CR LF and count
 * them; "answer" among the arguments: they answer each with "ok", too.  One connection after
 * the other.
 */

#ifndef LINES_H
#define LINES_H

enum { ANSWER = 4 };

#define OK "ok\r\n"

#endif /* LINES_H */
