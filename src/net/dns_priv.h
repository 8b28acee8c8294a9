/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_priv - questions that leave the process.
 *
 * Threads  libunbound resolves in a thread of its own; a second one, the pump,
 *          hands its answers to the threads that wait. Both start with the
 *          first question.
 */
#pragma once

#include "net/dns.h"
#include "net/hosts_priv.h"

struct ub_result;
struct dns_asker;
struct dns_cache;
struct dns_question;

struct dns {
	int timeout_ms;
	struct hosts *hosts;
	struct dns_asker *asker;
	struct dns_cache *cache;
};

/* dns_cache.c */
struct dns_cache *dns_cache_new(TALLOC_CTX *mem);
/* A copy, or NULL. Never an answer that could not be given. */
struct dns_answer *dns_cache_find(TALLOC_CTX *mem, struct dns_cache *cache,
				  const char *name, enum dns_type type);
void dns_cache_put(struct dns_cache *cache, const char *name,
		   enum dns_type type, const struct dns_answer *answer,
		   uint32_t ttl_s);

/* anchors: NULL, or DS and DNSKEY records as text up to a NULL; they and the
 * servers live as long as the asker. */
struct dns_asker *dns_asker_new(TALLOC_CTX *mem, const char *const *servers,
				size_t count, const char *const *anchors);
/* Begin; several questions may be under way in one thread. Freeing a question
 * before its answer drops it. */
MUST_CHECK enum rc dns_question_new(TALLOC_CTX *mem, struct dns_asker *asker,
				    const char *name, enum dns_type type,
				    struct dns_question **ret_question,
				    struct fault *fault);
/* Is the answer there? If not, and ready is not NULL, it is called when it is.
 */
MUST_CHECK bool dns_question_done(struct dns_question *question,
				  dns_ready_fn *ready, void *arg);
/* RC_TEMP: not before the deadline, or the servers cannot say. The result is
 * the question's. */
MUST_CHECK enum rc dns_question_wait(struct dns_question *question,
				     uint64_t deadline_ms,
				     struct ub_result **ret_result,
				     struct fault *fault);

/* dns_text.c: records as people write them, one a line: "192.0.2.1",
 * "10 mx.example.test", "ns.example.test". false: this is none. */
bool dns_records_from_text(struct dns_answer *answer, enum dns_type type,
			   struct span text);
struct span dns_records_to_text(TALLOC_CTX *mem,
				const struct dns_answer *answer);

/* dns_record.c: records out of the answer's bytes. false: they make no sense.
 */
bool dns_record_read(TALLOC_CTX *mem, enum dns_type type, struct span data,
		     struct dns_record *ret_record);
/* An uncompressed name as text without the last dot. */
bool dns_name_read(TALLOC_CTX *mem, struct span *data, const char **ret_name);
