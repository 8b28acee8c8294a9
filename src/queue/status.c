/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/status.h"

void delivery_status_put(struct packet_out *out,
			 const struct delivery_status *status)
{
	packet_put_u32(out, status->recipient);
	packet_put_u32(out, status->action);
	packet_put_text(out, status->dsn);
	packet_put_text(out, status->dsn_action);
	packet_put_text(out, status->reason);
	packet_put_text(out, status->remote_mta);
	packet_put_text(out, status->diag_type);
	packet_put_text(out, status->diag_text);
}

static const char *take_optional(struct packet_in *in, TALLOC_CTX *mem)
{
	const char *text = packet_take_text(in, mem);

	return text != NULL && text[0] != '\0' ? text : NULL;
}

bool delivery_status_take(struct packet_in *in, TALLOC_CTX *mem,
			  struct delivery_status *ret_status)
{
	struct delivery_status status = { 0 };
	uint32_t action;
	struct span dsn;

	status.recipient = packet_take_u32(in);
	action = packet_take_u32(in);
	dsn = packet_take_span(in);
	status.dsn_action = packet_take_text(in, mem);
	status.reason = packet_take_text(in, mem);
	status.remote_mta = take_optional(in, mem);
	status.diag_type = take_optional(in, mem);
	status.diag_text = take_optional(in, mem);
	if (in->bad || action > DELIVERY_BOUNCED || dsn.len >= DSN_MAX_BYTES)
		return false;
	status.action = (enum delivery_action)action;
	if (dsn.len > 0)
		memcpy(status.dsn, dsn.ptr, dsn.len);
	*ret_status = status;
	return true;
}
