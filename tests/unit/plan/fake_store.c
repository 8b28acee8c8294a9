/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_store.h"

#include <unistd.h>

#include "rule/resolve.h"

static struct fake_store the_store;

struct fake_store *fake_store(void)
{
	return &the_store;
}

void fake_store_reset(void)
{
	for (int i = 0; i < the_store.event_count; i++)
		free(the_store.events[i]);
	for (int i = 0; i < the_store.entry_count; i++)
		talloc_free(the_store.entries[i]);
	memset(&the_store, 0, sizeof(the_store));
}

bool fake_store_saw(const char *event)
{
	for (int i = 0; i < the_store.event_count; i++)
		if (strcmp(the_store.events[i], event) == 0)
			return true;
	for (int i = 0; i < the_store.event_count; i++)
		fprintf(stderr, "  event: %s\n", the_store.events[i]);
	return false;
}

int fake_store_count(const char *prefix)
{
	int count = 0;

	for (int i = 0; i < the_store.event_count; i++)
		count += strncmp(the_store.events[i], prefix, strlen(prefix)) ==
			 0;
	return count;
}

static void event(const char *format, ...) PRINTF(1, 2);
static void event(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	if (the_store.event_count == FAKE_EVENTS_MAX)
		abort();
	the_store.events[the_store.event_count++] = text;
}

static const char *statuses_text(char *out, size_t size,
				 const struct delivery_status *statuses,
				 size_t count)
{
	static const char *const names[] = { "sent", "deferred", "bounced" };
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count && len + 32 < size; i++)
		len += (size_t)snprintf(out + len, size - len, " %u=%s",
					statuses[i].recipient,
					names[statuses[i].action]);
	return out;
}

enum rc store_open(TALLOC_CTX *mem, const char *queue_directory,
		   enum store_mode mode, struct store **ret_store,
		   struct fault *fault)
{
	*ret_store = NULL;
	return RC_OK;
}

enum rc store_scan(struct store *store, store_found_fn found, void *arg,
		   struct fault *fault)
{
	for (int i = 0; i < the_store.entry_count; i++)
		found(arg, the_store.entries[i], the_store.entries[i]);
	return RC_OK;
}

enum rc store_scan_writer(struct store *store, const char *writer,
			  store_found_fn found, void *arg, struct fault *fault)
{
	event("scan %s", writer);
	return RC_OK;
}

bool store_note(struct store *store, const struct place *place,
		const char *queue_id)
{
	return true;
}

enum rc store_descriptor(struct store *store, const struct place *place,
			 const char *queue_id, int *ret_fd, struct fault *fault)
{
	if (the_store.descriptor_fails)
		return fault_set(fault, RC_TEMP, "4.3.0", "no descriptor");
	*ret_fd = STDERR_FILENO;
	return RC_OK;
}

enum rc store_read(TALLOC_CTX *mem, struct store *store,
		   const struct place *place, const char *queue_id,
		   struct store_entry **ret_entry, struct fault *fault)
{
	for (int i = 0; i < the_store.entry_count; i++) {
		struct store_entry *entry = the_store.entries[i];
		struct store_entry *copy;
		struct buf bytes;

		if (strcmp(entry->env->queue_id, queue_id) != 0)
			continue;
		copy = mem_new(mem, struct store_entry);
		*copy = *entry;
		buf_init(&bytes, copy, 1 << 20);
		envelope_encode(entry->env, true, &bytes);
		if (envelope_decode(copy, buf_span(&bytes), &copy->env,
				    fault) != RC_OK)
			return fault->rc;
		*ret_entry = copy;
		return RC_OK;
	}
	return fault_set(fault, RC_NONE, "4.3.0", "no such message");
}

enum rc store_record(struct store *store, const struct place *place,
		     const char *queue_id,
		     const struct delivery_status *statuses, size_t count,
		     struct fault *fault)
{
	char text[4096];

	event("record %s%s", queue_id,
	      statuses_text(text, sizeof(text), statuses, count));
	return RC_OK;
}

enum rc store_set_noticed(struct store *store, const struct place *place,
			  const char *queue_id, struct fault *fault)
{
	event("noticed %s", queue_id);
	return RC_OK;
}

enum rc store_finish(struct store *store, const struct place *place,
		     const char *queue_id, struct fault *fault)
{
	if (the_store.finish_fails)
		return fault_set(fault, RC_TEMP, "4.3.0", "disk full");
	event("finish %s", queue_id);
	return RC_OK;
}

enum rc store_move(struct store *store, struct place *place,
		   const struct store_entry *entry, struct fault *fault)
{
	char text[4096];

	if (the_store.move_fails)
		return fault_set(fault, RC_TEMP, "4.3.0", "disk full");
	event("move %s%s%s", entry->env->queue_id,
	      entry->on_hold ? " hold" : "",
	      statuses_text(text, sizeof(text), entry->statuses,
			    entry->status_count));
	place->in_file = true;
	return RC_OK;
}

enum rc store_move_flush(struct store *store, struct fault *fault)
{
	event("flush");
	return RC_OK;
}

enum rc store_set_next_attempt(struct store *store, const char *queue_id,
			       uint64_t when_us, struct fault *fault)
{
	event("next %s", queue_id);
	return RC_OK;
}

enum rc store_set_hold(struct store *store, const char *queue_id, bool on_hold,
		       struct fault *fault)
{
	event("%s %s", on_hold ? "hold" : "release", queue_id);
	return RC_OK;
}

enum rc store_set_force_expire(struct store *store, const char *queue_id,
			       struct fault *fault)
{
	event("expire %s", queue_id);
	return RC_OK;
}

enum rc store_set_warned(struct store *store, const char *queue_id,
			 uint64_t when_us, struct fault *fault)
{
	event("warned %s", queue_id);
	return RC_OK;
}

void store_stragglers(struct store *store,
		      void (*straggler)(void *arg, const struct place *place,
					const char *queue_id),
		      void *arg)
{
	static const struct place place = { .writer = "smtpd" };

	if (the_store.straggler != NULL)
		straggler(arg, &place, the_store.straggler);
}

enum rc resolver_open(TALLOC_CTX *mem, struct conf *conf,
		      struct resolver **ret_resolver, struct fault *fault)
{
	*ret_resolver = NULL;
	return RC_OK;
}

bool resolver_is_quick(const struct resolver *resolver)
{
	return !the_store.resolver_is_slow;
}

enum rc resolve(struct resolver *resolver, TALLOC_CTX *mem, struct span sender,
		struct span recipient, struct route **ret_route,
		struct fault *fault)
{
	struct route *route = mem_new(mem, struct route);
	struct span domain =
		span_skip(recipient, (size_t)(span_rfind(recipient, '@') + 1));

	if (the_store.resolver_fails)
		return fault_set(fault, RC_TEMP, "4.3.0", "table failed");
	route->recipient = mem_span_dup(route, recipient);
	route->nexthop = mem_span_dup(route, domain);
	route->transport = mem_span_dup(
		route, span_take(domain, (size_t)span_find(domain, '.')));
	route->class =
		span_is(domain, "local.test") ? CLASS_LOCAL : CLASS_DEFAULT;
	*ret_route = route;
	return RC_OK;
}

/* The words of defer_transports; every user is in the other lists. */
struct match_list {
	const char *words;
};

enum rc match_list_open(TALLOC_CTX *mem, const struct conf *conf,
			const char *parameter, const char *text,
			struct match_list **ret_list, struct fault *fault)
{
	struct match_list *list = NULL;

	if (strcmp(parameter, "defer_transports") == 0) {
		list = mem_new(mem, struct match_list);
		list->words = mem_strdup(list, text);
	}
	*ret_list = list;
	return RC_OK;
}

enum rc match_list_domain(const struct match_list *list, struct span domain,
			  struct fault *fault)
{
	struct span rest = span_from(list == NULL ? "" : list->words), word;

	while (span_token(&rest, ", ", &word))
		if (span_eq(word, domain))
			return RC_OK;
	return list == NULL ? RC_OK : RC_NONE;
}
