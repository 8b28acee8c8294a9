/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/pass.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include "sys/socket_unix.h"

enum { ANSWER_S = 3600 };

static enum rc packet_of(TALLOC_CTX *mem, int sock, uint16_t type,
			 struct packet_in *in, struct fault *fault)
{
	if (packet_receive(mem, sock, in, fault) != RC_OK)
		return fault_set(fault, RC_TEMP, "4.3.0", "%s",
				 mem_strdup(mem, fault->text));
	if (in->fd >= 0)
		close(in->fd);
	if (in->type != type)
		return fault_set(fault, RC_TEMP, "4.3.0", "unexpected answer");
	return RC_OK;
}

static enum rc answer_read(TALLOC_CTX *mem, int sock,
			   struct delivery_status *ret_status,
			   struct fault *fault)
{
	bool done = false, have = false;

	while (!done) {
		struct packet_in in;
		uint32_t count;

		if (packet_receive(mem, sock, &in, fault) != RC_OK)
			return fault_set(fault, RC_TEMP, "4.3.0", "no answer");
		if (in.fd >= 0)
			close(in.fd);
		if (in.type == WIRE_RESULT_RELAY)
			continue;
		if (in.type != WIRE_RESULT)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "unexpected answer");
		packet_take_u64(&in);
		done = packet_take_u32(&in) != 0;
		count = packet_take_u32(&in);
		if (count > 0)
			have = delivery_status_take(&in, mem, ret_status);
	}
	return have ? RC_OK
		    : fault_set(fault, RC_TEMP, "4.3.0",
				"no answer about the recipient");
}

static enum rc exchange(TALLOC_CTX *mem, int sock,
			const struct delivery_request *request,
			struct delivery_status *ret_status, struct fault *fault)
{
	struct packet_in hello;
	struct packet_out out;

	if (packet_of(mem, sock, WIRE_AGENT_HELLO, &hello, fault) != RC_OK)
		return fault->rc;
	packet_begin(&out, mem, WIRE_DELIVER);
	delivery_request_put(&out, request);
	if (packet_send(sock, &out, fault) != RC_OK)
		return RC_TEMP;
	return answer_read(mem, sock, ret_status, fault);
}

enum rc pass_recipient(struct delivery *d, size_t recipient,
		       const char *transport, const char *address,
		       struct delivery_status *ret_status, struct fault *fault)
{
	const struct timeval patience = {.tv_sec = ANSWER_S};
	struct delivery_request request = *d->request;
	struct recipient to = d->request->recipients[recipient];
	uint32_t index = 0;
	struct span nexthop = span_from(transport), name;
	enum rc rc;
	int sock;

	if (!span_cut(&nexthop, ':', &name) || name.len == 0)
		return fault_set(fault, RC_TEMP, "4.3.5",
				 "bad transport \"%s\"", transport);
	to.address = address;
	request.transport = mem_span_dup(d, name);
	request.nexthop =
	    nexthop.len > 0 ? mem_span_dup(d, nexthop) : d->conf->v.myhostname;
	request.recipients = &to;
	request.recipient_index = &index;
	request.recipient_count = 1;
	if (socket_unix_connect(AT_FDCWD,
				mem_printf(d, "private/%s", request.transport),
				SOCK_SEQPACKET, 0, &sock, fault) != RC_OK)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "mail transport unavailable");
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	rc = exchange(d, sock, &request, ret_status, fault);
	close(sock);
	return rc == RC_OK
		   ? RC_OK
		   : fault_add(fault, "mail transport %s", request.transport);
}
