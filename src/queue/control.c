/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/control.h"

#include <fcntl.h>
#include <unistd.h>

#include "queue/wire.h"
#include "sys/log.h"
#include "sys/renewal.h"

/* Commands that a delivery starts must not inherit it. */
static void log_file_use(int fd)
{
	if (dup3(fd, SERVICE_LOG_FD, O_CLOEXEC) < 0)
		log_warning("new log file: %m");
}

static enum control_order order_of(struct packet_in *in)
{
	switch (in->type) {
	case CONTROL_DRAIN:
		return packet_take_u32(in) != 0 ? ORDER_END : ORDER_DRAIN;
	case CONTROL_RELOAD:
		return ORDER_RELOAD;
	case CONTROL_WAKEUP:
		return ORDER_WAKEUP;
	default:
		return ORDER_NONE;
	}
}

enum control_order control_receive(const struct service *service)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_in in;
	struct fault fault;
	enum rc rc = packet_receive(tmp, service->control_fd, &in, &fault);
	int fd;

	if (rc == RC_NONE)
		return ORDER_NONE;
	if (rc != RC_OK)
		return ORDER_MASTER_GONE;
	fd = packet_take_fd(&in);
	if (fd >= 0) {
		if (in.type == CONTROL_LOG)
			log_file_use(fd);
		close(fd);
	}
	return order_of(&in);
}

void control_say_ready(const struct service *service)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct fault fault;

	packet_begin(&out, tmp, CONTROL_READY);
	if (packet_send(service->control_fd, &out, &fault) != RC_OK)
		log_warning("tell the master: %s", fault.text);
	/* qmgr keeps what it knows of the queue: it is never replaced. */
	if (strcmp(service->program, "qmgr") != 0)
		renewal_register(service->control_fd, CONTROL_RENEW);
}
