/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts - the hosts file, in memory.
 *
 * Holds    localhost is 127.0.0.1 and ::1, and they are localhost, unless the
 *          file says otherwise
 * Limits   4 MB of file; a line of it that is not understood is left out
 * Threads  any; looking up makes no system call, but for one stat a second
 */
#pragma once

#include "net/dns.h"

struct hosts;

/* A missing file is an empty one. */
struct hosts *hosts_new(TALLOC_CTX *mem, const char *path);
/* RC_NONE: not in it. */
MUST_CHECK enum rc hosts_addresses(TALLOC_CTX *mem, struct hosts *hosts,
				   const char *name, int families,
				   struct dns_host **ret_host);
MUST_CHECK enum rc hosts_name(TALLOC_CTX *mem, struct hosts *hosts,
			      const struct net_address *address,
			      const char **ret_name);
