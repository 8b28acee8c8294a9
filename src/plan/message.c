/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/message.h"

#include <utlist.h>

/* Many wait for the same reason; each text is kept once. */
struct reason {
	UT_hash_handle hh;
	uint32_t uses;
	char text[];
};

/* bytes: sender, then for each recipient: pointer to the reason (or NULL),
 * address, original ("" when it is the same); texts end with NUL. */
struct parked {
	uint32_t count, size;
	char bytes[];
};

static int index_done(struct message_index *index)
{
	HASH_CLEAR(hh, index->all);
	HASH_CLEAR(hh, index->reasons);
	return 0;
}

struct message_index *message_index_new(TALLOC_CTX *mem)
{
	struct message_index *index = mem_new(mem, struct message_index);

	heap_init(&index->deferred, index);
	talloc_set_destructor(index, index_done);
	return index;
}

struct message *message_find(struct message_index *index, const char *id)
{
	struct message *message;

	HASH_FIND_STR(index->all, id, message);
	return message;
}

void message_set_place(struct message *message, const struct place *place)
{
	if (place == NULL || place->in_file) {
		TALLOC_FREE(message->place);
		return;
	}
	if (message->place == NULL)
		message->place = mem_new(message, struct place);
	*message->place = *place;
}

const struct place *message_place(const struct message *message,
				  struct place *scratch)
{
	if (message->place != NULL)
		return message->place;
	memset(scratch, 0, sizeof(*scratch));
	scratch->in_file = true;
	return scratch;
}

struct message *message_new(struct message_index *index, const char *id,
			    const struct place *place)
{
	size_t id_size = strlen(id) + 1;
	struct message *message =
		mem_zero(index, sizeof(*message) + id_size, "struct message");

	memcpy(message->id, id, id_size);
	message_set_place(message, place);
	message->state = MESSAGE_INCOMING;
	index->counts[MESSAGE_INCOMING]++;
	DL_APPEND(index->incoming, message);
	HASH_ADD_KEYPTR(hh, index->all, message->id, id_size - 1, message);
	return message;
}

static void state_leave(struct message_index *index, struct message *message)
{
	index->counts[message->state]--;
	if (message->state == MESSAGE_INCOMING)
		DL_DELETE(index->incoming, message);
	else if (message->state == MESSAGE_DEFERRED)
		heap_drop(&index->deferred, &message->due);
}

void message_free(struct message_index *index, struct message *message)
{
	struct message_cursor *cursor;

	DL_FOREACH (index->cursors, cursor)
		if (cursor->at == message)
			cursor->at = message->hh.next;
	state_leave(index, message);
	message_unpark(index, message);
	HASH_DEL(index->all, message);
	talloc_free(message);
}

void message_set_state(struct message_index *index, struct message *message,
		       enum message_state state, uint64_t due_us)
{
	state_leave(index, message);
	message->state = state;
	index->counts[state]++;
	if (state == MESSAGE_INCOMING)
		DL_APPEND(index->incoming, message);
	else if (state == MESSAGE_DEFERRED)
		heap_put(&index->deferred, &message->due, due_us);
}

static struct reason *reason_take(struct message_index *index, const char *text)
{
	size_t size = strlen(text) + 1;
	struct reason *reason;

	HASH_FIND(hh, index->reasons, text, size - 1, reason);
	if (reason == NULL) {
		reason = mem_zero(index, sizeof(*reason) + size,
				  "struct reason");
		memcpy(reason->text, text, size);
		HASH_ADD_KEYPTR(hh, index->reasons, reason->text, size - 1,
				reason);
	}
	reason->uses++;
	return reason;
}

static void reason_drop(struct message_index *index, struct reason *reason)
{
	if (--reason->uses > 0)
		return;
	HASH_DEL(index->reasons, reason);
	talloc_free(reason);
}

static void put_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;

	memcpy(*at, text, size);
	*at += size;
}

static bool is_left(const uint8_t *done, size_t i)
{
	return done == NULL || done[i] == 0;
}

static const char *original_text(const struct recipient *recipient)
{
	if (recipient->original == NULL ||
	    strcmp(recipient->original, recipient->address) == 0)
		return "";
	return recipient->original;
}

void message_park(struct message_index *index, struct message *message,
		  const struct envelope *env, const uint8_t *done,
		  const char *const *reasons)
{
	size_t size = strlen(env->sender) + 1;
	struct parked *parked;
	uint32_t count = 0;
	char *at;

	for (size_t i = 0; i < env->recipient_count; i++) {
		if (!is_left(done, i))
			continue;
		count++;
		size += sizeof(struct reason *) +
			strlen(env->recipients[i].address) + 2 +
			strlen(original_text(&env->recipients[i]));
	}
	parked = mem_zero(message, sizeof(*parked) + size, "struct parked");
	parked->count = count;
	parked->size = (uint32_t)size;
	at = parked->bytes;
	put_text(&at, env->sender);
	for (size_t i = 0; i < env->recipient_count; i++) {
		struct reason *reason = NULL;

		if (!is_left(done, i))
			continue;
		if (reasons != NULL && reasons[i] != NULL)
			reason = reason_take(index, reasons[i]);
		memcpy(at, &reason, sizeof(reason));
		at += sizeof(reason);
		put_text(&at, env->recipients[i].address);
		put_text(&at, original_text(&env->recipients[i]));
	}
	message->arrival_us = env->arrival_us;
	message->size_bytes = env->size_bytes;
	message_unpark(index, message); /* after its reasons were taken again */
	message->parked = parked;
}

static struct reason *parked_take(const struct parked *parked, uint32_t *at,
				  struct parked_recipient *ret)
{
	struct reason *reason;

	if (*at == 0)
		*at = (uint32_t)strlen(parked->bytes) + 1;
	memcpy(&reason, parked->bytes + *at, sizeof(reason));
	*at += (uint32_t)sizeof(reason);
	ret->reason = reason == NULL ? NULL : reason->text;
	ret->address = parked->bytes + *at;
	*at += (uint32_t)strlen(ret->address) + 1;
	ret->original = parked->bytes + *at;
	*at += (uint32_t)strlen(ret->original) + 1;
	if (ret->original[0] == '\0')
		ret->original = ret->address;
	return reason;
}

void message_unpark(struct message_index *index, struct message *message)
{
	struct parked_recipient recipient;
	uint32_t at = 0;

	if (message->parked == NULL)
		return;
	for (uint32_t i = 0; i < message->parked->count; i++) {
		struct reason *reason =
			parked_take(message->parked, &at, &recipient);

		if (reason != NULL)
			reason_drop(index, reason);
	}
	TALLOC_FREE(message->parked);
}

const char *message_sender(const struct message *message)
{
	return message->parked == NULL ? "" : message->parked->bytes;
}

uint32_t message_recipient_count(const struct message *message)
{
	return message->parked == NULL ? 0 : message->parked->count;
}

bool message_recipient_next(const struct message *message, uint32_t *at,
			    struct parked_recipient *ret)
{
	if (message->parked == NULL || *at >= message->parked->size ||
	    message->parked->count == 0)
		return false;
	parked_take(message->parked, at, ret);
	return true;
}

void message_cursor_begin(struct message_index *index,
			  struct message_cursor *cursor)
{
	cursor->at = index->all;
	DL_APPEND(index->cursors, cursor);
}

struct message *message_cursor_next(struct message_cursor *cursor)
{
	struct message *message = cursor->at;

	if (message != NULL)
		cursor->at = message->hh.next;
	return message;
}

void message_cursor_end(struct message_index *index,
			struct message_cursor *cursor)
{
	DL_DELETE(index->cursors, cursor);
}
