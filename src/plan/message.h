/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message - every message in the queue, as qmgr remembers it: all that listing
 * and timing need, packed when it waits, with an attempt beside it when it is
 * active.
 *
 * Holds    each id once. A message is in one state, and in the list or heap of
 *          that state. What waits costs about 500 bytes with one recipient.
 * Units    wall clock, microseconds
 * Owner    messages are children of their index
 * Threads  the owner's
 */
#pragma once

#include <uthash.h>

#include "plan/heap.h"
#include "queue/envelope.h"
#include "queue/place.h"
#include "queue/status.h"

enum message_state {
	MESSAGE_INCOMING, /* waits for room among the active */
	MESSAGE_ACTIVE,
	MESSAGE_DEFERRED,
	MESSAGE_HOLD,
	MESSAGE_STATES,
};

struct attempt;
struct parked;

struct message {
	UT_hash_handle hh;
	struct heap_item due;	     /* MESSAGE_DEFERRED, by next attempt */
	struct message *prev, *next; /* MESSAGE_INCOMING */
	struct place *place;	     /* NULL: a file of its own */
	struct attempt *attempt;     /* MESSAGE_ACTIVE */
	struct parked *parked;	     /* all other states */
	uint64_t arrival_us, size_bytes;
	uint8_t state;
	bool force_expire;
	bool want_hold;	 /* when the attempt is over */
	bool doomed;	 /* deleted; goes when nothing is under way */
	bool is_flushed; /* somebody asked for it: defer_transports is ignored
			  */
	bool requeue;	 /* to be requeued when the attempt is over */
	char id[];
};

/* Looks at messages one after the other; messages may come and go. */
struct message_cursor {
	struct message *at; /* the next one; NULL: the end */
	struct message_cursor *prev, *next;
};

struct reason;

struct message_index {
	struct message *all; /* by id, in the order of arrival here */
	struct message *incoming;
	struct heap deferred;
	uint32_t counts[MESSAGE_STATES];
	struct reason *reasons;
	struct message_cursor *cursors;
};

struct message_index *message_index_new(TALLOC_CTX *mem);
struct message *message_find(struct message_index *index, const char *id);
/* In state MESSAGE_INCOMING, at the end of the list. `place` is copied. */
struct message *message_new(struct message_index *index, const char *id,
			    const struct place *place);
void message_free(struct message_index *index, struct message *message);
void message_set_place(struct message *message, const struct place *place);
/* The place for the store; `scratch` is filled for a message in a file. */
const struct place *message_place(const struct message *message,
				  struct place *scratch);
/* due_us counts for MESSAGE_DEFERRED only. */
void message_set_state(struct message_index *index, struct message *message,
		       enum message_state state, uint64_t due_us);

/* Remember sender, and the recipients with done[i] == 0 (NULL: all) with the
 * reason why they wait; reasons[i] may be NULL, reasons too. */
void message_park(struct message_index *index, struct message *message,
		  const struct envelope *env, const uint8_t *done,
		  const char *const *reasons);
void message_unpark(struct message_index *index, struct message *message);

struct parked_recipient {
	const char *address, *original, *reason; /* reason may be NULL */
};
/* From parked; "" when nothing is parked. */
const char *message_sender(const struct message *message);
uint32_t message_recipient_count(const struct message *message);
/* *at is 0 in the beginning; false after the last one. */
bool message_recipient_next(const struct message *message, uint32_t *at,
			    struct parked_recipient *ret);

void message_cursor_begin(struct message_index *index,
			  struct message_cursor *cursor);
struct message *message_cursor_next(struct message_cursor *cursor);
void message_cursor_end(struct message_index *index,
			struct message_cursor *cursor);
