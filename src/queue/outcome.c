/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/outcome_priv.h"

#include "queue/crc32c.h"

static const uint32_t outcome_magic = 0x314f5350; /* "PSO1" */

static uint32_t outcome_crc(const struct outcome *outcome, struct span payload)
{
	size_t from = offsetof(struct outcome, size);
	struct span covered = { (const char *)outcome + from,
				sizeof(*outcome) - from };

	return crc32c(crc32c(0, covered), payload);
}

static size_t padding_of(size_t size)
{
	return (OUTCOME_ALIGN_BYTES - size % OUTCOME_ALIGN_BYTES) %
	       OUTCOME_ALIGN_BYTES;
}

void outcome_put(struct buf *out, enum outcome_type type, uint64_t generation,
		 uint64_t offset, struct span payload)
{
	static const char zeros[OUTCOME_ALIGN_BYTES];
	struct outcome outcome = { .magic = outcome_magic,
				   .size = (uint32_t)payload.len,
				   .type = type,
				   .generation = generation,
				   .offset = offset };

	outcome.crc = outcome_crc(&outcome, payload);
	buf_add(out, (struct span){ (char *)&outcome, sizeof(outcome) });
	buf_add(out, payload);
	buf_add(out, (struct span){ zeros, padding_of(payload.len) });
}

void outcome_put_number(struct buf *out, enum outcome_type type,
			uint64_t generation, uint64_t value)
{
	outcome_put(out, type, generation, 0,
		    (struct span){ (char *)&value, sizeof(value) });
}

/* One alone; without its texts when even that is too much. */
static void put_one_status(struct buf *out, uint64_t generation,
			   uint64_t offset,
			   const struct delivery_status *status, size_t *part)
{
	struct delivery_status bare = *status;

	if (*part == 1) {
		bare.reason = "(the reason was too long to keep)";
		bare.remote_mta = bare.diag_type = bare.diag_text = NULL;
	}
	*part = 1;
	outcome_put_statuses(out, generation, offset, &bare, 1);
}

void outcome_put_statuses(struct buf *out, uint64_t generation, uint64_t offset,
			  const struct delivery_status *statuses, size_t count)
{
	while (count > 0) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		size_t part = MIN_OF(count, (size_t)OUTCOME_STATUSES_MAX);
		struct packet_out packet;

		packet_begin(&packet, tmp, (uint16_t)part);
		for (size_t i = 0; i < part; i++)
			delivery_status_put(&packet, &statuses[i]);
		if (!packet.buf.full)
			outcome_put(out, OUTCOME_STATUS, generation, offset,
				    buf_span(&packet.buf));
		else /* long texts */
			put_one_status(out, generation, offset, statuses,
				       &part);
		statuses += part;
		count -= part;
	}
}

static bool is_whole(struct span rest, struct outcome *ret_outcome,
		     struct span *ret_payload)
{
	struct outcome outcome;
	struct span payload;

	if (rest.len < sizeof(outcome))
		return false;
	memcpy(&outcome, rest.ptr, sizeof(outcome));
	if (outcome.magic != outcome_magic ||
	    outcome.size > OUTCOME_PAYLOAD_MAX_BYTES ||
	    outcome.size > rest.len - sizeof(outcome))
		return false;
	payload = span_take(span_skip(rest, sizeof(outcome)), outcome.size);
	if (outcome.crc != outcome_crc(&outcome, payload))
		return false;
	*ret_outcome = outcome;
	*ret_payload = payload;
	return true;
}

bool outcome_take(struct span *rest, struct outcome *ret_outcome,
		  struct span *ret_payload, size_t *ret_skipped)
{
	*ret_skipped = 0;
	while (rest->len > 0) {
		size_t step = OUTCOME_ALIGN_BYTES;

		if (is_whole(*rest, ret_outcome, ret_payload)) {
			step = sizeof(*ret_outcome) + ret_payload->len;
			step += padding_of(ret_payload->len);
			*rest = span_skip(*rest, step);
			return true;
		}
		step = MIN_OF(step, rest->len);
		*ret_skipped += step;
		*rest = span_skip(*rest, step);
	}
	return false;
}

bool outcome_number(struct span payload, uint64_t *ret_value)
{
	if (payload.len != sizeof(*ret_value))
		return false;
	memcpy(ret_value, payload.ptr, sizeof(*ret_value));
	return true;
}

void outcome_each_status(TALLOC_CTX *mem, struct span payload,
			 void (*each)(void *arg,
				      const struct delivery_status *status),
			 void *arg)
{
	struct packet_in in = { .fd = -1 };
	struct delivery_status status;

	if (payload.len < sizeof(uint16_t))
		return;
	in.rest = span_skip(payload, sizeof(uint16_t));
	while (in.rest.len > 0 && delivery_status_take(&in, mem, &status))
		each(arg, &status);
}
