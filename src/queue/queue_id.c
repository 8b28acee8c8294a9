/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/queue_id.h"

#include <stdio.h>

enum {
	US_PER_S = 1000000,
	LONG_US_DIGITS = 4,
	ID_MIN_BYTES = 6,
	SHORT_FAST_AT = 3, /* the last two of the microseconds */
	LONG_FAST_AT = 8,
	LONG_Z_AT = 10,
};

static const char base_52[] =
	"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

void queue_id_init(struct queue_id_source *source, uint8_t slot, bool long_ids)
{
	atomic_init(&source->last_us, 0);
	source->slot = slot;
	source->long_ids = long_ids;
}

/* Digits of value, most significant first, at least min_digits; returns the
 * place after the last one. */
static char *put_digits(char *at, uint64_t value, unsigned int base,
			size_t min_digits)
{
	char reversed[16];
	size_t count = 0;

	while ((value > 0 || count < min_digits) && count < sizeof(reversed)) {
		reversed[count++] = base_52[value % base];
		value /= base;
	}
	while (count > 0)
		*at++ = reversed[--count];
	return at;
}

static uint64_t next_us(struct queue_id_source *source, uint64_t now_us)
{
	uint64_t last = atomic_load_explicit(&source->last_us,
					     memory_order_relaxed);
	uint64_t next;

	do {
		next = MAX_OF(now_us, last + 1);
	} while (!atomic_compare_exchange_weak(&source->last_us, &last, next));
	return next;
}

void queue_id_next(struct queue_id_source *source, uint64_t now_us,
		   char ret_id[QUEUE_ID_MAX_BYTES])
{
	uint64_t us = next_us(source, now_us);
	char *at;

	if (!source->long_ids) {
		snprintf(ret_id, QUEUE_ID_MAX_BYTES, "%05X%06X%02X",
			 (unsigned int)(us % US_PER_S),
			 (unsigned int)(us / US_PER_S) & 0xffffff,
			 source->slot);
		return;
	}
	at = put_digits(ret_id, us / US_PER_S, 52, 6);
	at = put_digits(at, us % US_PER_S, 52, LONG_US_DIGITS);
	*at++ = 'z';
	at = put_digits(at, source->slot, 51, 1);
	*at = '\0';
}

bool queue_id_is_valid(struct span text)
{
	if (text.len < ID_MIN_BYTES || text.len >= QUEUE_ID_MAX_BYTES)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]))
			return false;
	return true;
}

void queue_id_path(const char *id, char ret_path[QUEUE_PATH_MAX_BYTES])
{
	size_t len = strlen(id);
	size_t at = SHORT_FAST_AT;

	assert(len >= ID_MIN_BYTES && len < QUEUE_ID_MAX_BYTES);
	if (len > LONG_Z_AT && id[LONG_Z_AT] == 'z')
		at = LONG_FAST_AT;
	snprintf(ret_path, QUEUE_PATH_MAX_BYTES, "%.2s/%s", id + at, id);
}
