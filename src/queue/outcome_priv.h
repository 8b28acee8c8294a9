/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome_priv - records of what became of messages: in journal/outcome.<n> for
 * messages in segments (and that a file is done with), and behind the image of
 * a message file for that message.
 *
 * Shape    a head with a checksum, then a payload, padded to 8 bytes. A record
 *          that is torn or damaged is skipped; reading goes on at the next one
 *          that is whole.
 */
#pragma once

#include "queue/status.h"

enum outcome_type {
	OUTCOME_DONE = 1,  /* generation, offset: a record of a segment */
	OUTCOME_FILE_DONE, /* generation: a message file */
	OUTCOME_STATUS,	   /* u32 count, count x status */
	OUTCOME_NOTICED,   /* the failures before this were reported */
	OUTCOME_BITMAP,	   /* generation: records done, one bit each */
	OUTCOME_HOLD,	   /* u32 on */
	OUTCOME_EXPIRE,
	OUTCOME_WARNED, /* u64 us */
};

enum {
	OUTCOME_ALIGN_BYTES = 8,
	OUTCOME_STATUSES_MAX = 64, /* in one record */
	OUTCOME_PAYLOAD_MAX_BYTES = 1024 * 1024,
};

struct outcome {
	uint32_t magic, crc; /* crc of all that follows */
	uint32_t size;	     /* of the payload */
	uint32_t type;	     /* enum outcome_type */
	uint64_t generation, offset;
};

void outcome_put(struct buf *out, enum outcome_type type, uint64_t generation,
		 uint64_t offset, struct span payload);
void outcome_put_number(struct buf *out, enum outcome_type type,
			uint64_t generation, uint64_t value);
/* As many records as they need. */
void outcome_put_statuses(struct buf *out, uint64_t generation,
			  uint64_t offset,
			  const struct delivery_status *statuses, size_t count);

/* The next whole record; false at the end. *ret_damaged counts the bytes that
 * were skipped before it, or before the end. */
bool outcome_take(struct span *rest, struct outcome *ret_outcome,
		  struct span *ret_payload, size_t *ret_skipped);
bool outcome_number(struct span payload, uint64_t *ret_value);
/* Calls `each` for every status in the payload; texts are children of mem. */
void outcome_each_status(TALLOC_CTX *mem, struct span payload,
			 void (*each)(void *arg,
				      const struct delivery_status *status),
			 void *arg);
