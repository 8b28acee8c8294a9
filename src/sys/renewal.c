/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/renewal.h"

#include <stdatomic.h>

#include "sys/packet.h"

static int master_sock = -1;
static uint16_t master_packet;
static _Atomic bool wanted;

void renewal_register(int sock, uint16_t packet_type)
{
	master_sock = sock;
	master_packet = packet_type;
}

void renewal_want(void)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct packet_out out;

	if (master_sock < 0 || atomic_exchange(&wanted, true))
		return;
	tmp = talloc_new(NULL);
	packet_begin(&out, tmp, master_packet);
	if (packet_send(master_sock, &out, NULL) != RC_OK)
		atomic_store(&wanted, false); /* next time */
}
