/* SPDX-License-Identifier: BSD-3-Clause */

#include <asyncore.h>

const char *asyncore_version(void)
{
	return ASYNCORE_VERSION;
}
