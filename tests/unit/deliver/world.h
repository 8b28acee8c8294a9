/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - what the tests of delivery stand on: a configuration of their own, a
 * message in memory, the log as text, a directory that goes away.
 */
#pragma once

#include "conf/service.h"
#include "deliver/delivery.h"

struct world {
	char *directory; /* private, removed at the end */
	struct service *service;
	struct conf *conf;
	int log_fd;
};

struct world *world_new(void);
/* NULL-terminated "name=value". */
void world_configure(struct world *world, const char *const *overrides);
void world_free(struct world *world);

/* The log since the last call; child of the world. */
char *world_log(struct world *world);
char *world_file(struct world *world, const char *path);

struct world_message {
	const char *sender;
	const char *const *recipients; /* NULL-terminated */
	const char *text; /* CRLF; an empty line after the header */
	const char *transport, *nexthop;
	uint32_t flags;
	uint64_t age_us;
};

struct delivery *world_delivery(struct world *world,
				const struct world_message *message);
