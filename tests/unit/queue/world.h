/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - a private queue directory for a test, and messages to put into it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue/intake_priv.h"
#include "queue/store_priv.h"

struct world {
	char dir[64];
	struct intake *intake;
	struct store *store;
	struct fault fault;
	/* What a scan found. */
	size_t found;
	struct store_entry *last; /* the latest, kept */
	struct store_entry **all;
};

int world_begin(void **state);
int world_end(void **state);
struct intake *world_intake(struct world *world, const char *writer);
void world_intake_close(struct world *world);
/* Open the store and scan; what was found before is forgotten. */
void world_scan(struct world *world);
void world_store_close(struct world *world);
void world_found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry);

/* Commit a message; its id is a child of the world. */
enum rc world_commit(struct world *world, struct intake *intake,
		     size_t body_bytes, size_t recipients, const char **ret_id);
const char *world_commit_ok(struct world *world, size_t body_bytes);
/* The content of an entry, checked against what world_commit wrote. */
void world_check_content(struct world *world, const struct store_entry *entry,
			 size_t body_bytes);
/* The path of the only segment of a writer. */
char *world_segment(struct world *world, const char *writer);
/* Removes what is in corrupt/; there must be something. */
void world_corrupt_empty(struct world *world);
void world_file_flip(const char *path, off_t at);
