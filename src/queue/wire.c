/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/wire.h"

#include <unistd.h>

#include "queue/queue_id.h"

enum { RECIPIENT_MIN_BYTES = 5 * 4 }; /* what one takes in a packet */

void place_put(struct packet_out *out, const struct place *place)
{
	packet_put_u32(out, place->in_file ? 1 : 0);
	packet_put_text(out, place->writer);
	packet_put_u32(out, place->segment);
	packet_put_u64(out, place->generation);
	packet_put_u64(out, place->offset);
	packet_put_u64(out, place->length);
	packet_put_u64(out, place->record_generation);
	packet_put_u64(out, place->record_offset);
}

static bool writer_name_is_valid(struct span name)
{
	if (name.len >= WRITER_NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' &&
		    name.ptr[i] != '_')
			return false;
	return true;
}

bool place_take(struct packet_in *in, struct place *ret_place)
{
	struct place place = { 0 };
	struct span writer;

	place.in_file = packet_take_u32(in) != 0;
	writer = packet_take_span(in);
	place.segment = packet_take_u32(in);
	place.generation = packet_take_u64(in);
	place.offset = packet_take_u64(in);
	place.length = packet_take_u64(in);
	place.record_generation = packet_take_u64(in);
	place.record_offset = packet_take_u64(in);
	if (in->bad || !writer_name_is_valid(writer))
		return false;
	if (writer.len > 0)
		memcpy(place.writer, writer.ptr, writer.len);
	*ret_place = place;
	return true;
}

void writer_new_put(struct packet_out *out, const struct place *place,
		    struct span env, bool with_recipients)
{
	place_put(out, place);
	packet_put_span(out, env);
	packet_put_u32(out, with_recipients ? 1 : 0);
}

static enum rc packet_is_bad(struct fault *fault, const char *what)
{
	return fault_set(fault, RC_PERM, "4.3.0", "malformed packet: %s", what);
}

enum rc writer_new_take(TALLOC_CTX *mem, struct packet_in *in,
			struct place *ret_place, struct envelope **ret_env,
			bool *ret_with_recipients, struct fault *fault)
{
	struct place place;
	struct envelope *env;
	struct span bytes;
	bool with_recipients;

	if (in->rest.len == 0)
		return RC_NONE;
	if (!place_take(in, &place))
		return packet_is_bad(fault, "place of a message");
	bytes = packet_take_span(in);
	with_recipients = packet_take_u32(in) != 0;
	if (in->bad)
		return packet_is_bad(fault, "new message");
	if (envelope_decode(mem, bytes, &env, fault) != RC_OK)
		return fault_add(fault, "new message");
	if (!queue_id_is_valid(span_from(env->queue_id))) {
		talloc_free(env);
		return packet_is_bad(fault, "queue id");
	}
	*ret_place = place;
	*ret_env = env;
	*ret_with_recipients = with_recipients;
	return RC_OK;
}

void delivery_request_put(struct packet_out *out,
			  const struct delivery_request *request)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(out->buf.mem);
	struct buf env;

	packet_put_u64(out, request->id);
	packet_put_u64(out, request->image_offset);
	packet_put_text(out, request->queue_id);
	packet_put_text(out, request->transport);
	packet_put_text(out, request->nexthop);
	packet_put_u64(out, request->active_us);
	buf_init(&env, tmp, PACKET_MAX_BYTES);
	envelope_encode(request->env, false, &env);
	if (env.full)
		out->buf.full = true;
	packet_put_span(out, buf_span(&env));
	packet_put_u32(out, (uint32_t)request->recipient_count);
	for (size_t i = 0; i < request->recipient_count; i++) {
		const struct recipient *recipient = &request->recipients[i];

		packet_put_u32(out, request->recipient_index[i]);
		packet_put_text(out, recipient->address);
		packet_put_text(out, recipient->original);
		packet_put_text(out, recipient->dsn_orcpt);
		packet_put_u32(out, recipient->notify);
	}
	out->fd = request->fd;
}

static bool take_recipients(struct delivery_request *request,
			    struct packet_in *in)
{
	uint32_t count = packet_take_u32(in);

	if (in->bad || count > in->rest.len / RECIPIENT_MIN_BYTES)
		return false;
	request->recipients = mem_array(request, struct recipient, count);
	request->recipient_index = mem_array(request, uint32_t, count);
	request->recipient_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct recipient *recipient = &request->recipients[i];
		const char *orcpt;

		request->recipient_index[i] = packet_take_u32(in);
		recipient->address = packet_take_text(in, request);
		recipient->original = packet_take_text(in, request);
		orcpt = packet_take_text(in, request);
		recipient->notify = (uint8_t)packet_take_u32(in);
		if (in->bad)
			return false;
		recipient->dsn_orcpt = orcpt[0] == '\0' ? NULL : orcpt;
	}
	return true;
}

static int request_close(struct delivery_request *request)
{
	if (request->fd >= 0)
		close(request->fd);
	return 0;
}

enum rc delivery_request_take(TALLOC_CTX *mem, struct packet_in *in,
			      struct delivery_request **ret_request,
			      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct delivery_request *request =
		mem_new(tmp, struct delivery_request);
	struct span env;

	request->fd = packet_take_fd(in);
	talloc_set_destructor(request, request_close);
	request->id = packet_take_u64(in);
	request->image_offset = packet_take_u64(in);
	request->queue_id = packet_take_text(in, request);
	request->transport = packet_take_text(in, request);
	request->nexthop = packet_take_text(in, request);
	request->active_us = packet_take_u64(in);
	env = packet_take_span(in);
	if (in->bad || !take_recipients(request, in))
		return packet_is_bad(fault, "delivery request");
	if (request->fd < 0)
		return packet_is_bad(fault, "delivery request without a file");
	if (envelope_decode(request, env, &request->env, fault) != RC_OK)
		return fault_add(fault, "delivery request");
	*ret_request = talloc_steal(mem, request);
	return RC_OK;
}
