/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtual - delivery to mailboxes that a table names: virtual_mailbox_maps,
 * virtual_uid_maps, virtual_gid_maps.
 *
 * Holds    a mailbox is written by a child that has become the user of the
 *          tables for good, never root nor below virtual_minimum_uid
 * Threads  immutable after open
 */
#pragma once

#include "conf/service.h"
#include "deliver/delivery.h"

struct virtual;

MUST_CHECK enum rc virtual_open(TALLOC_CTX *mem, struct service *service,
				struct virtual **ret_virtual,
				struct fault *fault);
void virtual_deliver(void *virtual, struct delivery *delivery);
