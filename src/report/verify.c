/* SPDX-License-Identifier: Apache-2.0 */
#include "report/verify.h"

#include <inttypes.h>
#include <uthash.h>
#include <utlist.h>

enum { ENTRY_TEXT_MAX_BYTES = VERIFY_TEXT_MAX_BYTES + 80 };

#define IN_PROGRESS "Address verification in progress"

struct waiting {
	struct waiting *next;
	struct verify_waiter waiter;
};

struct known {
	UT_hash_handle hh;
	struct known *prev, *next; /* by when it was last updated */
	enum verify_status status;
	int64_t updated_s; /* 0: nothing is known yet */
	int64_t probed_s;  /* 0: no probe is under way */
	bool is_sought;	   /* in a table that cannot be listed */
	char *text;
	struct waiting *waiting;
	char address[];
};

struct verify {
	struct verify_settings set;
	struct verify_ops ops;
	void *arg;
	struct known *all, *oldest;
	uint32_t pending, waiters;
};

static int verify_done(struct verify *v)
{
	HASH_CLEAR(hh, v->all);
	return 0;
}

struct verify *verify_new(TALLOC_CTX *mem,
			  const struct verify_settings *settings,
			  const struct verify_ops *ops, void *arg)
{
	struct verify *v = mem_new(mem, struct verify);

	v->set = *settings;
	v->ops = *ops;
	v->arg = arg;
	talloc_set_destructor(v, verify_done);
	return v;
}

void verify_all_loaded(struct verify *v)
{
	v->ops.find = NULL;
}

uint32_t verify_pending(const struct verify *v)
{
	return v->pending;
}

/* ---- entries ---- */

static bool take_number(struct span *rest, uint64_t max, uint64_t *ret)
{
	struct span word;

	return span_cut(rest, ':', &word) && rest->ptr != NULL &&
	       span_to_u64(word, max, ret);
}

bool verify_entry_parse(struct span text, struct verify_entry *ret_entry)
{
	uint64_t status, probed, updated;

	if (!take_number(&text, VERIFY_TODO, &status) ||
	    !take_number(&text, INT64_MAX, &probed) ||
	    !take_number(&text, INT64_MAX, &updated))
		return false;
	*ret_entry = (struct verify_entry){
		.status = (enum verify_status)status,
		.probed_s = (int64_t)probed,
		.updated_s = (int64_t)updated,
		.text = span_take(text, VERIFY_TEXT_MAX_BYTES),
	};
	return true;
}

static struct known *find(struct verify *v, const char *address)
{
	struct known *known;

	HASH_FIND(hh, v->all, address, strlen(address), known);
	return known;
}

static void forget(struct verify *v, struct known *known)
{
	struct waiting *waiting;

	while ((waiting = known->waiting) != NULL) {
		LL_DELETE(known->waiting, waiting);
		v->waiters--;
		talloc_free(waiting);
	}
	v->pending -= known->probed_s != 0;
	HASH_DEL(v->all, known);
	DL_DELETE(v->oldest, known);
	talloc_free(known);
}

static struct known *add(struct verify *v, const char *address)
{
	size_t len = strlen(address);
	struct known *known;

	if (HASH_COUNT(v->all) >= VERIFY_ENTRIES_MAX) {
		v->ops.save(v->arg, v->oldest->address, NULL);
		forget(v, v->oldest);
	}
	known = mem_zero(v, sizeof(*known) + len + 1, "struct known");
	memcpy(known->address, address, len + 1);
	known->status = VERIFY_TODO;
	HASH_ADD(hh, v->all, address, len, known);
	DL_APPEND(v->oldest, known);
	return known;
}

static void update(struct verify *v, struct known *known,
		   enum verify_status status, struct span text,
		   int64_t updated_s)
{
	talloc_free(known->text);
	known->text =
		mem_span_dup(known, span_take(text, VERIFY_TEXT_MAX_BYTES));
	known->status = status;
	known->updated_s = updated_s;
	DL_DELETE(v->oldest, known);
	DL_APPEND(v->oldest, known);
}

static void save(struct verify *v, const struct known *known)
{
	char text[ENTRY_TEXT_MAX_BYTES];

	snprintf(text, sizeof(text), "%d:0:%" PRId64 ":%s", known->status,
		 known->updated_s, known->text);
	v->ops.save(v->arg, known->address, text);
}

static bool is_expired(const struct verify *v, enum verify_status status,
		       int64_t updated_s, int64_t now_s)
{
	int expire_s = status == VERIFY_OK ? v->set.positive_expire_s
					   : v->set.negative_expire_s;

	return updated_s + expire_s < now_s;
}

static bool is_old(const struct verify *v, const struct known *known,
		   int64_t now_s)
{
	int refresh_s = known->status == VERIFY_OK
				? v->set.positive_refresh_s
				: v->set.negative_refresh_s;

	return known->updated_s + refresh_s < now_s;
}

void verify_load(struct verify *v, struct span address, struct span text,
		 int64_t now_s)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *name = mem_span_dup(tmp, address);
	struct verify_entry entry;

	if (span_starts(address, "_LAST_CACHE_CLEANUP")) /* no address */
		return;
	if (!verify_entry_parse(text, &entry) || entry.status == VERIFY_TODO ||
	    is_expired(v, entry.status, entry.updated_s, now_s)) {
		v->ops.save(v->arg, name, NULL);
		return;
	}
	if (find(v, name) == NULL)
		update(v, add(v, name), entry.status, entry.text,
		       entry.updated_s);
}

/* ---- asking ---- */

static void wait_for(struct verify *v, struct known *known,
		     struct verify_waiter waiter)
{
	struct waiting *waiting;

	if (v->waiters >= VERIFY_WAITERS_MAX)
		return;
	waiting = mem_new(known, struct waiting);
	waiting->waiter = waiter;
	LL_PREPEND(known->waiting, waiting);
	v->waiters++;
}

static void answer_all(struct verify *v, struct known *known,
		       enum verify_status status, const char *text)
{
	struct waiting *waiting;

	while ((waiting = known->waiting) != NULL) {
		LL_DELETE(known->waiting, waiting);
		v->waiters--;
		v->ops.answer(v->arg, waiting->waiter, status, text);
		talloc_free(waiting);
	}
}

/* A probe, unless one is under way or there are too many; false: too many. */
static bool probe(struct verify *v, struct known *known, int64_t now_s)
{
	if (known->probed_s != 0 && known->probed_s + VERIFY_PROBE_S >= now_s)
		return true;
	if (known->probed_s == 0 && v->pending >= v->set.pending_max)
		return false;
	v->pending += known->probed_s == 0;
	known->probed_s = now_s;
	v->ops.probe(v->arg, known->address);
	return true;
}

static void ask_unknown(struct verify *v, struct known *known,
			struct verify_waiter waiter, int64_t now_s)
{
	known->status = VERIFY_TODO;
	known->updated_s = 0;
	v->ops.answer(v->arg, waiter, VERIFY_TODO, IN_PROGRESS);
	if (known->is_sought) {
		wait_for(v, known, waiter);
		return;
	}
	if (known->probed_s == 0 && v->ops.find != NULL) {
		wait_for(v, known, waiter);
		known->is_sought = true;
		v->ops.find(v->arg, known->address);
		return;
	}
	if (probe(v, known, now_s))
		wait_for(v, known, waiter);
	else
		v->ops.answer(v->arg, waiter, VERIFY_DEFER,
			      "too many address verification requests");
}

void verify_ask(struct verify *v, const char *address,
		struct verify_waiter waiter, int64_t now_s)
{
	struct known *known = find(v, address);

	if (known == NULL)
		known = add(v, address);
	if (known->updated_s == 0 ||
	    is_expired(v, known->status, known->updated_s, now_s)) {
		ask_unknown(v, known, waiter, now_s);
		return;
	}
	v->ops.answer(v->arg, waiter, known->status, known->text);
	if (is_old(v, known, now_s))
		(void)probe(v, known, now_s);
}

/* ---- what comes of it ---- */

static void probe_over(struct verify *v, struct known *known)
{
	v->pending -= known->probed_s != 0;
	known->probed_s = 0;
}

void verify_result(struct verify *v, const char *address,
		   enum verify_status status, const char *text, int64_t now_s)
{
	struct known *known = find(v, address);
	bool bad = status != VERIFY_OK;

	if (known == NULL && (!bad || v->set.negative_cache))
		known = add(v, address);
	if (known == NULL)
		return;
	probe_over(v, known);
	if (bad && !v->set.negative_cache) {
		answer_all(v, known, VERIFY_TODO, IN_PROGRESS);
		if (known->updated_s == 0)
			forget(v, known);
		return;
	}
	if (!bad || known->status != VERIFY_OK || known->updated_s == 0 ||
	    is_expired(v, VERIFY_OK, known->updated_s, now_s)) {
		update(v, known, status, span_from(text), now_s);
		save(v, known);
	}
	answer_all(v, known, known->status, known->text);
}

void verify_probe_failed(struct verify *v, const char *address)
{
	struct known *known = find(v, address);

	if (known == NULL)
		return;
	probe_over(v, known);
	answer_all(v, known, VERIFY_TODO, IN_PROGRESS);
	if (known->updated_s == 0)
		forget(v, known);
}

void verify_found(struct verify *v, const char *address, struct span text,
		  int64_t now_s)
{
	struct known *known = find(v, address);
	struct verify_entry entry;

	if (known == NULL || !known->is_sought)
		return;
	known->is_sought = false;
	if (known->updated_s == 0 && verify_entry_parse(text, &entry) &&
	    entry.status != VERIFY_TODO &&
	    !is_expired(v, entry.status, entry.updated_s, now_s))
		update(v, known, entry.status, entry.text, entry.updated_s);
	if (known->updated_s != 0) {
		answer_all(v, known, known->status, known->text);
		if (is_old(v, known, now_s))
			(void)probe(v, known, now_s);
		return;
	}
	if (!probe(v, known, now_s)) {
		answer_all(v, known, VERIFY_DEFER,
			   "too many address verification requests");
		forget(v, known);
	}
}

void verify_peer_gone(struct verify *v, uint64_t peer)
{
	struct known *known, *next_known;
	struct waiting *waiting, *next;

	HASH_ITER (hh, v->all, known, next_known)
		LL_FOREACH_SAFE (known->waiting, waiting, next) {
			if (waiting->waiter.peer != peer)
				continue;
			LL_DELETE(known->waiting, waiting);
			v->waiters--;
			talloc_free(waiting);
		}
}

void verify_clean(struct verify *v, int64_t now_s, uint32_t *ret_retained,
		  uint32_t *ret_dropped)
{
	struct known *known, *next;

	*ret_dropped = 0;
	HASH_ITER (hh, v->all, known, next) {
		if (known->probed_s != 0 &&
		    known->probed_s + VERIFY_PROBE_S < now_s)
			probe_over(v, known); /* it was lost */
		if (known->probed_s != 0 || known->is_sought)
			continue;
		if (known->updated_s != 0 &&
		    !is_expired(v, known->status, known->updated_s, now_s))
			continue;
		if (known->updated_s != 0) {
			v->ops.save(v->arg, known->address, NULL);
			(*ret_dropped)++;
		}
		forget(v, known);
	}
	*ret_retained = HASH_COUNT(v->all);
}
