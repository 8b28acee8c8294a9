/* SPDX-License-Identifier: Apache-2.0 */
#include "command/qmgr_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "queue/wire.h"
#include "sys/socket_unix.h"

enum { REPLY_WAIT_S = 60 };

enum rc qmgr_client_connect(const struct conf *conf, int *ret_sock,
			    struct fault *fault)
{
	struct timeval wait = { .tv_sec = REPLY_WAIT_S };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path = mem_printf(tmp, "%s/public/%s",
				      conf->v.queue_directory,
				      conf->v.queue_service_name);
	int sock;

	if (socket_unix_connect(AT_FDCWD, path, SOCK_SEQPACKET, 0, &sock,
				fault) != RC_OK)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "the queue manager does not answer at %s; is "
				 "the mail system running?",
				 path);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	*ret_sock = sock;
	return RC_OK;
}

enum rc qmgr_client_ask(int sock, struct packet_out *request,
			uint32_t *ret_count, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_in in;
	uint32_t outcome, count;
	struct span text;

	if (packet_send(sock, request, fault) != RC_OK ||
	    packet_receive(tmp, sock, &in, fault) != RC_OK)
		return fault_add(fault, "ask the queue manager");
	outcome = packet_take_u32(&in);
	count = packet_take_u32(&in);
	text = packet_take_span(&in);
	if (in.bad || in.type != WIRE_REPLY)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "the queue manager answered something else");
	if (outcome != RC_OK)
		return fault_set(fault, (enum rc)outcome, "4.3.0", "%.*s",
				 SPAN_FMT(text));
	if (ret_count != NULL)
		*ret_count = count;
	return RC_OK;
}

enum rc qmgr_client_flush(const struct conf *conf, const char *what,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	int sock;
	enum rc rc;

	if (qmgr_client_connect(conf, &sock, fault) != RC_OK)
		return fault->rc;
	packet_begin(&out, tmp, WIRE_FLUSH);
	packet_put_text(&out, what);
	rc = qmgr_client_ask(sock, &out, NULL, fault);
	close(sock);
	return rc;
}
