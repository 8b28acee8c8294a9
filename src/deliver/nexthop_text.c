/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/nexthop_text.h"

#include "mail/dsn.h"

void nexthop_text_settle(struct delivery *d, enum delivery_action action,
			 const char *dsn)
{
	struct span text = span_from(d->request->nexthop);
	char found[DSN_MAX_BYTES];
	struct outcome out = {.action = action, .dsn = dsn};

	if (dsn_cut(&text, found))
		out.dsn = found;
	out.text = mem_span_dup(d, text);
	delivery_settle_open(d, &out);
}
