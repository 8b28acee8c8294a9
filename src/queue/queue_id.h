/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue_id - the name of a message for as long as it is here.
 *
 * Shape    short: 5 hex digits microseconds, 6 hex digits seconds modulo 2^24,
 *          2 hex digits slot of the writer, upper case: "9858E69A1C203"
 *          long: 6 or more digits seconds and 4 digits microseconds in base 52
 *          (0-9 and consonants), "z", slot in base 51: "4X3vqF3RdBzH"
 * Holds    ids of one generator rise, also when the clock is set back; two
 *          writers never have the same slot at a time, so ids do not clash
 * Threads  queue_id_next may be called by any thread
 */
#pragma once

#include <stdatomic.h>

#include "base/compiler.h"
#include "base/span.h"

enum { QUEUE_ID_MAX_BYTES = 32, QUEUE_ID_SLOT_MAX = 255 };

struct queue_id_source {
	_Atomic uint64_t last_us;
	uint8_t slot;
	bool long_ids;
};

void queue_id_init(struct queue_id_source *source, uint8_t slot, bool long_ids);
/* `now_us`: wall clock. */
void queue_id_next(struct queue_id_source *source, uint64_t now_us,
		   char ret_id[QUEUE_ID_MAX_BYTES]);
/* Letters and digits, 6 to QUEUE_ID_MAX_BYTES - 1 of them: may be used as a
 * file name. */
bool queue_id_is_valid(struct span text);

/* Where its file is below queue/: "<2 chars>/<id>", the characters that
 * change fastest. */
enum { QUEUE_PATH_MAX_BYTES = 48 };
void queue_id_path(const char *id, char ret_path[QUEUE_PATH_MAX_BYTES]);
