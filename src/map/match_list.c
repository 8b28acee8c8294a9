/* SPDX-License-Identifier: Apache-2.0 */
#include "map/match_list.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "map/map_priv.h"
#include "map/mem_table.h"
#include "map/net_pattern.h"
#include "map/table_source.h"
#include "sys/trace.h"

enum { FILE_DEPTH_MAX = 10, NAME_MAX_BYTES = 512 };

enum item_type { ITEM_NAME, ITEM_NET, ITEM_TABLE };

struct match_item {
	enum item_type type;
	bool negated;
	struct span shown; /* as written */
	struct span name; /* folded */
	struct net_pattern net;
	struct map *table;
};

/* How names are compared. */
enum match_style {
	MATCH_STRING, /* the whole of it only */
	MATCH_DOT,    /* .domain matches what is below */
	MATCH_PARENT, /* domain matches what is below too */
};

struct match_list {
	const char *parameter;
	enum match_style style;
	struct match_item *items;
	size_t count, room;
	bool ordered; /* something is negated: items are asked in order */
	struct mem_table *names; /* else: all names at once */
};

/* A list being read. */
struct reading {
	struct match_list *list;
	const struct conf *conf;
	int depth;
	struct span shown;   /* the element as written; a child */
	struct fault *fault; /* never NULL */
};

static const char *const string_lists[] = {
	"mydestination",	   "virtual_alias_domains",
	"virtual_mailbox_domains", "authorized_flush_users",
	"authorized_mailq_users",  "authorized_submit_users",
	"defer_transports",	   "smtpd_forbidden_commands",
	"smtpd_noop_commands",
};

static enum match_style style_of(const struct conf *conf, const char *parameter)
{
	struct span rest = span_from(conf->v.parent_domain_matches_subdomains);
	struct span word;

	for (size_t i = 0; i < ARRAY_LEN(string_lists); i++)
		if (strcmp(parameter, string_lists[i]) == 0)
			return MATCH_STRING;
	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, parameter))
			return MATCH_PARENT;
	return MATCH_DOT;
}

static void item_add(struct reading *r, const struct match_item *item)
{
	struct match_list *list = r->list;

	if (list->count == list->room) {
		list->room = 2 * list->room + 8;
		list->items = mem_resize(list, list->items, struct match_item,
					 list->room);
	}
	list->items[list->count] = *item;
	list->items[list->count++].shown = r->shown;
	list->ordered |= item->negated;
}

static enum rc list_read(struct reading *r, struct span text, bool negated);

static enum rc file_read(struct reading *r, const char *path, int fd,
			 bool negated)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table_source *source = table_source_new(tmp, path, fd);
	struct span line;
	unsigned int number;
	enum rc rc;

	while ((rc = table_source_next(source, &line, &number, r->fault)) ==
	       RC_OK) {
		rc = list_read(r, line, negated);
		if (rc != RC_OK)
			return fault_add(r->fault, "%s, line %u", path, number);
	}
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc file_add(struct reading *r, struct span element, bool negated)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *path = mem_span_dup(tmp, element);
	int fd;
	enum rc rc;

	if (r->depth == FILE_DEPTH_MAX)
		return fault_set(r->fault, RC_CONF, "4.3.5",
				 "%s: files name each other", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fault_set(r->fault, RC_CONF, "4.3.5", "open %s: %m",
				 path);
	r->depth++;
	rc = file_read(r, path, fd, negated);
	r->depth--;
	close(fd);
	return rc;
}

/* An address, a network or a name; [1.2.3.4] can be meant both ways. */
static enum rc plain_add(struct reading *r, struct span element, bool negated)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct match_item item = { .type = ITEM_NET, .negated = negated };
	bool net_like = net_pattern_looks_like(element);
	char problem[NET_PATTERN_PROBLEM_MAX];

	if (net_like &&
	    net_pattern_parse_or_say(element, &item.net, problem) == NULL)
		item_add(r, &item);
	else if (net_like && span_find(element, '/') >= 0)
		return fault_set(r->fault, RC_CONF, "4.3.5", "%s", problem);
	item.type = ITEM_NAME;
	item.name = mem_span_copy(r->list, map_fold(tmp, element, NULL, 0));
	item_add(r, &item);
	return RC_OK;
}

static enum rc table_add(struct reading *r, struct span element, bool negated)
{
	struct match_item item = { .type = ITEM_TABLE, .negated = negated };

	item.table = map_open_or_broken(r->list, r->conf, element, MAP_FOLD,
					r->fault);
	item_add(r, &item);
	return RC_OK;
}

/* "hash:/table" is one, 2001:db8::1 is none. */
static bool is_table(struct span element)
{
	struct span type, name;

	if (!map_name_split(map_text_unbrace(element), &type, &name))
		return false;
	if (map_driver_find(type) != NULL)
		return true;
	for (size_t i = 0; i < type.len; i++)
		if (!ascii_is_digit(type.ptr[i]) &&
		    (ascii_lower(type.ptr[i]) < 'a' ||
		     ascii_lower(type.ptr[i]) > 'f'))
			return true; /* of a type that there is not */
	return false;
}

static enum rc element_add(struct reading *r, struct span element, bool negated)
{
	r->shown = mem_span_copy(r->list, element);
	while (element.len > 0 && element.ptr[0] == '!') {
		negated = !negated;
		element = span_skip(element, 1);
	}
	if (element.len == 0)
		return fault_set(r->fault, RC_CONF, "4.3.5",
				 "nothing after \"!\"");
	if (element.ptr[0] == '/')
		return file_add(r, element, negated);
	if (is_table(element))
		return table_add(r, element, negated);
	return plain_add(r, element, negated);
}

static enum rc list_read(struct reading *r, struct span text, bool negated)
{
	struct span element;
	enum rc rc;

	while ((rc = map_text_next(&text, &element, r->fault)) == RC_OK) {
		rc = element_add(r, element, negated);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_NONE ? RC_OK : rc;
}

/* With no "!" the order of names does not matter, and one look finds them. */
static void names_gather(struct match_list *list)
{
	list->names = mem_table_new(list);
	for (size_t i = 0; i < list->count; i++) {
		enum mem_add added;

		if (list->items[i].type != ITEM_NAME)
			continue;
		added = mem_table_add(list->names, list->items[i].name,
				      SPAN_OF(""));
		if (added == MEM_FULL)
			list->ordered = true; /* slower, but right */
	}
}

enum rc match_list_open(TALLOC_CTX *mem, const struct conf *conf,
			const char *parameter, const char *text,
			struct match_list **ret_list, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct match_list *list = mem_new(tmp, struct match_list);
	struct fault unused;
	struct reading r = { .list = list,
			     .conf = conf,
			     .fault = fault == NULL ? &unused : fault };
	enum rc rc;

	*r.fault = (struct fault){ 0 };
	list->parameter = mem_strdup(list, parameter);
	list->style = style_of(conf, parameter);
	text = mem_strdup(list, text == NULL ? "" : text);
	rc = list_read(&r, span_from(text), false);
	if (rc != RC_OK)
		return fault_add(r.fault, "parameter %s", parameter);
	names_gather(list);
	*ret_list = talloc_steal(mem, list);
	return RC_OK;
}

bool match_list_is_empty(const struct match_list *list)
{
	return list == NULL || list->count == 0;
}

/* The part of a domain that is looked up next: its parent, with the dot in
 * front or without it, as the style has it. false after the last. */
static bool parent_next(struct span *part, enum match_style style)
{
	ssize_t dot;

	if (style == MATCH_STRING || part->len == 0)
		return false;
	dot = span_find(span_skip(*part, 1), '.');
	if (dot < 0)
		return false;
	*part = span_skip(*part, (size_t)dot + 1);
	if (style == MATCH_PARENT)
		*part = span_skip(*part, 1);
	return part->len > 0;
}

static bool name_is_listed(const struct match_list *list, struct span name,
			   struct span *ret_part)
{
	struct span part = name, unused;

	do {
		if (mem_table_find(list->names, part, &unused)) {
			*ret_part = part;
			return true;
		}
	} while (parent_next(&part, list->style));
	return false;
}

static bool name_matches(const struct match_list *list,
			 const struct match_item *item, struct span name)
{
	struct span part = name;

	do {
		if (span_eq(part, item->name))
			return true;
	} while (parent_next(&part, list->style));
	return false;
}

static enum rc table_ask(const struct match_list *list,
			 const struct match_item *item, struct span name,
			 bool parents, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span part = name, value;
	enum rc rc;

	do {
		rc = map_lookup(item->table, tmp, part, &value, fault);
		if (rc == RC_CONF || rc == RC_TEMP || rc == RC_PERM) {
			fault_add(fault, "parameter %s", list->parameter);
			return RC_TEMP;
		}
	} while (rc == RC_NONE && parents && !map_is_pattern(item->table) &&
		 parent_next(&part, list->style));
	return rc;
}

/* Who asks: a domain, or a client with name and address. */
struct subject {
	struct span name;    /* folded, may be empty */
	struct span address; /* as text, may be empty */
	bool has_ip;
	struct net_address ip;
};

static enum rc item_match(const struct match_list *list,
			  const struct match_item *item,
			  const struct subject *subject, struct fault *fault)
{
	enum rc rc = RC_NONE;

	switch (item->type) {
	case ITEM_NET:
		return subject->has_ip && net_pattern_match(&item->net,
							    &subject->ip)
			       ? RC_OK
			       : RC_NONE;
	case ITEM_NAME:
		return subject->name.len > 0 &&
				       name_matches(list, item, subject->name)
			       ? RC_OK
			       : RC_NONE;
	case ITEM_TABLE:
		if (subject->name.len > 0)
			rc = table_ask(list, item, subject->name, true, fault);
		if (rc == RC_NONE && subject->address.len > 0)
			rc = table_ask(list, item, subject->address, false,
				       fault);
		return rc;
	}
	return rc;
}

static enum rc list_search(const struct match_list *list,
			   const struct subject *subject,
			   struct span *ret_element, struct fault *fault)
{
	if (!list->ordered && subject->name.len > 0 &&
	    name_is_listed(list, subject->name, ret_element))
		return RC_OK;
	for (size_t i = 0; i < list->count; i++) {
		const struct match_item *item = &list->items[i];
		enum rc rc;

		if (!list->ordered && item->type == ITEM_NAME)
			continue;
		rc = item_match(list, item, subject, fault);
		*ret_element = item->shown;
		if (rc == RC_OK)
			return item->negated ? RC_NONE : RC_OK;
		if (rc != RC_NONE)
			return rc;
	}
	*ret_element = SPAN_OF("");
	return RC_NONE;
}

static enum rc list_match(const struct match_list *list,
			  const struct subject *subject, struct fault *fault)
{
	struct span element = SPAN_OF("");
	enum rc rc = list_search(list, subject, &element, fault);

	if (trace_current() != NULL)
		trace_answer(TRACE_MATCH, list->parameter,
			     subject->address.len > 0 ? subject->address :
							subject->name,
			     rc, element, false);
	return rc;
}

enum rc match_list_domain(const struct match_list *list, struct span domain,
			  struct fault *fault)
{
	struct subject subject = { .address = SPAN_OF("") };
	char small[2 * NAME_MAX_BYTES];

	if (match_list_is_empty(list) || domain.len == 0 ||
	    domain.len > NAME_MAX_BYTES)
		return RC_NONE;
	subject.name = map_fold(NULL, domain, small, sizeof(small));
	return list_match(list, &subject, fault);
}

enum rc match_list_client(const struct match_list *list, struct span name,
			  struct span address, struct fault *fault)
{
	struct subject subject = { .address = address };
	char small[2 * NAME_MAX_BYTES];

	if (match_list_is_empty(list))
		return RC_NONE;
	if (name.len > NAME_MAX_BYTES)
		name = SPAN_OF("");
	subject.name = map_fold(NULL, name, small, sizeof(small));
	subject.has_ip = net_pattern_address_parse(address, &subject.ip);
	return list_match(list, &subject, fault);
}
