/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache - connections kept for the next message to the same destination.
 *
 * Holds    a connection is kept only where there is demand: another delivery
 *          for the destination is under way, or the one before it ended within
 *          a second; or smtp_connection_cache_destinations names it
 * Limits   smtp_connection_cache_time_limit idle, ..._reuse_time_limit and
 *          ..._reuse_count_limit in all; CACHE_SESSIONS_MAX connections
 * Threads  any; one lock, held for a few list steps, never over I/O
 */
#pragma once

#include "deliver/smtp/session.h"

enum { CACHE_SESSIONS_MAX = 1000 };

struct smtp_cache;

struct smtp_cache *smtp_cache_new(TALLOC_CTX *mem,
				  const struct smtp_settings *settings);
/* A delivery for the destination begins and ends: what demand is seen by. */
void smtp_cache_enter(struct smtp_cache *cache, const char *key);
void smtp_cache_leave(struct smtp_cache *cache, const char *key);
/* An idle connection of the destination, or NULL. */
struct smtp_session *smtp_cache_take(struct smtp_cache *cache, const char *key);
/* true: kept, and no longer the caller's. */
MUST_CHECK bool smtp_cache_keep(struct smtp_cache *cache,
				struct smtp_session *session);
/* End what has been idle for too long (all: everything). true while some are
 * left. */
bool smtp_cache_expire(struct smtp_cache *cache, bool all);
