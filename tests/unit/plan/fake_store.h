/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_store - a store that remembers what it was told, for tests of qmgr. It
 * stands in for the real one when the test is linked. Also a resolver that
 * reads routes out of addresses: user@TRANSPORT.test goes to that transport,
 * next hop TRANSPORT.test.
 */
#pragma once

#include "queue/store.h"

enum { FAKE_EVENTS_MAX = 10000 };

struct fake_store {
	/* "record ID 0=sent 1=bounced", "finish ID", "move ID", ... */
	char *events[FAKE_EVENTS_MAX];
	int event_count;
	bool finish_fails, move_fails, descriptor_fails;
	const char *straggler; /* id that keeps a segment alive */
	bool resolver_is_slow, resolver_fails;
	struct store_entry *entries[64]; /* what store_read finds, by id */
	int entry_count;
};

/* The one that all calls go to. */
struct fake_store *fake_store(void);
void fake_store_reset(void);
/* Was there such an event? */
bool fake_store_saw(const char *event);
int fake_store_count(const char *prefix);
