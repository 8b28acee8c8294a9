/* SPDX-License-Identifier: Apache-2.0 */
#include "master/control.h"

#include <fcntl.h>
#include <unistd.h>

#include "queue/wire.h"
#include "sys/log.h"

static void send_with(struct process *process, uint16_t type, uint32_t value,
		      int fd)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct fault fault;

	if (process->control_fd < 0)
		return;
	fcntl(process->control_fd, F_SETFL, O_NONBLOCK);
	packet_begin(&out, tmp, type);
	packet_put_u32(&out, value);
	out.fd = fd;
	if (packet_send(process->control_fd, &out, &fault) != RC_OK)
		log_warning("process %s pid %d does not take orders: %s",
			    process->command, (int)process->pid, fault.text);
}

void control_send(struct process *process, uint16_t type, int fd)
{
	send_with(process, type, 0, fd);
}

void control_drain(struct process *process, bool whole_system)
{
	send_with(process, CONTROL_DRAIN, whole_system, -1);
}

void control_receive(struct process *process)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_in in;
	enum rc rc;

	if (process->control_fd < 0)
		return;
	rc = packet_receive(tmp, process->control_fd, &in, NULL);
	if (rc == RC_NONE)
		return;
	if (rc != RC_OK) {
		close(process->control_fd);
		process->control_fd = -1;
		return;
	}
	if (in.fd >= 0)
		close(in.fd);
	if (in.type == CONTROL_READY)
		process->ready = true;
	if (in.type == CONTROL_RENEW)
		process->wants_renewal = true;
}
