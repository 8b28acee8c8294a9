/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailq_format - the queue as text: what mailq prints, and one JSON object a
 * line.
 *
 * Shape    as the reference prints it, byte for byte; two widths, for short and
 *          for long queue ids
 * Owner    nothing is kept but counts
 * See      postqueue(1)
 */
#pragma once

#include <stdio.h>

#include "base/json.h"

struct mailq_recipient {
	const char *address, *original; /* internal form */
	const char *reason;		/* "" none */
};

struct mailq_entry {
	const char *queue_name; /* active incoming deferred hold */
	const char *id, *sender;
	uint64_t arrival_us, size_bytes;
	bool force_expire;
	const struct mailq_recipient *recipients;
	size_t count;
	bool goes_on; /* more recipients of the entry before this one */
	bool is_last; /* no more of it follow; for JSON */
};

struct mailq_format {
	FILE *to;
	bool json, long_ids;
	struct json writer; /* of an entry whose recipients are open */
	uint64_t messages, bytes;
	char saved_reason[1024]; /* of the recipient before */
};

void mailq_format_entry(struct mailq_format *format,
			const struct mailq_entry *entry);
/* The totals, or that the queue is empty. */
void mailq_format_end(struct mailq_format *format);
