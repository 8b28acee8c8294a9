/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control - packets between the master and its services (queue/wire.h).
 * Never blocks: a service that does not read loses the packet.
 */
#pragma once

#include "master/slot.h"

void control_send(struct process *process, uint16_t type, int fd);
void control_drain(struct process *process, bool whole_system);
/* Take what the service said; closes the descriptor when it hung up. */
void control_receive(struct process *process);
