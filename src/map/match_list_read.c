/* SPDX-License-Identifier: Apache-2.0 */
#include "map/match_list_priv.h"

#include "base/clock.h"
#include "map/table_source.h"
#include "sys/log.h"

enum { FILE_DEPTH_MAX = 10, GONE = 1 /* age */ };

/* A list being read. */
struct reading {
	struct match_state *state;
	struct match_items *list;
	size_t open_files[FILE_DEPTH_MAX]; /* that one is read from */
	int depth;
	struct span shown;   /* the element as written; a child */
	struct fault *fault; /* never NULL */
};

static void item_add(struct reading *r, const struct match_item *item)
{
	struct match_items *list = r->list;

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

/* What is in a file. */
struct file_text {
	uint64_t age; /* different for each time it was read */
	struct file_line {
		struct span text;
		unsigned int number;
	} * lines;
	size_t count;
};

static enum rc file_text_load(struct map *map, const char *path, int fd,
			      void **ret_text, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table_source *source = table_source_new(tmp, path, fd);
	struct file_text *text = mem_new(tmp, struct file_text);
	struct file_line line;
	size_t room = 0;
	enum rc rc;

	text->age = clock_mono_ns();
	while ((rc = table_source_next(source, &line.text, &line.number,
				       fault)) == RC_OK) {
		if (text->count == room) {
			room = 2 * room + 16;
			text->lines = mem_resize(text, text->lines,
						 struct file_line, room);
		}
		line.text = mem_span_copy(text, line.text);
		text->lines[text->count++] = line;
	}
	if (rc != RC_NONE)
		return rc;
	*ret_text = talloc_steal(NULL, text);
	return RC_OK;
}

/* Its index in state->files. */
static enum rc file_find(struct reading *r, const char *path, size_t *ret_index)
{
	struct match_state *state = r->state;
	struct map_watch *watch;
	enum rc rc;

	for (size_t i = 0; i < state->file_count; i++) {
		if (strcmp(state->files[i].path, path) == 0) {
			*ret_index = i;
			return RC_OK;
		}
	}
	rc = map_watch_open(state->owner, path, 0, file_text_load, &watch,
			    r->fault);
	if (rc != RC_OK)
		return RC_CONF;
	state->files = mem_resize(state, state->files, struct match_file,
				  state->file_count + 1);
	state->files[state->file_count] =
		(struct match_file){ mem_strdup(state, path), watch };
	*ret_index = state->file_count++;
	return RC_OK;
}

static void age_note(struct match_items *items, size_t index, uint64_t age)
{
	size_t count = items->file_ages_count;

	if (index >= count) {
		items->file_ages = mem_resize(items, items->file_ages, uint64_t,
					      index + 1);
		memset(items->file_ages + count, 0,
		       (index + 1 - count) * sizeof(uint64_t));
		items->file_ages_count = index + 1;
	}
	items->file_ages[index] = age;
}

/* Of the file as it is now; GONE when there is none. */
static uint64_t file_age(const struct match_file *file, struct fault *fault)
{
	const struct file_text *text = map_watch_hold(file->watch, fault);
	uint64_t age;

	if (text == NULL)
		return GONE;
	age = text->age;
	map_watch_release(file->watch);
	return age;
}

bool match_items_are_old(const struct match_state *state,
			 struct match_items *items)
{
	bool old = false;

	for (size_t i = 0; i < items->file_ages_count; i++) {
		struct fault fault = { 0 };
		uint64_t age;

		if (items->file_ages[i] == 0)
			continue; /* not in this reading of the list */
		age = file_age(&state->files[i], &fault);
		if (age == items->file_ages[i])
			continue;
		items->file_ages[i] = age; /* said and tried once */
		if (age == GONE)
			log_warning("parameter %s: %s: the list stays as it "
				    "was",
				    state->parameter, fault.text);
		else
			old = true;
	}
	return old;
}

static enum rc file_read(struct reading *r, const char *path,
			 const struct file_text *text, bool negated)
{
	for (size_t i = 0; i < text->count; i++) {
		enum rc rc = list_read(r, text->lines[i].text, negated);

		if (rc != RC_OK)
			return fault_add(r->fault, "%s, line %u", path,
					 text->lines[i].number);
	}
	return RC_OK;
}

static bool is_open(const struct reading *r, size_t index)
{
	for (int i = 0; i < r->depth; i++)
		if (r->open_files[i] == index)
			return true;
	return false;
}

static enum rc file_add(struct reading *r, struct span element, bool negated)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *path = mem_span_dup(tmp, element);
	struct file_text *text;
	size_t index;
	enum rc rc;

	rc = file_find(r, path, &index);
	if (rc != RC_OK)
		return rc;
	if (r->depth == FILE_DEPTH_MAX || is_open(r, index))
		return fault_set(r->fault, RC_CONF, "4.3.5",
				 "%s: files name each other", path);
	text = map_watch_hold(r->state->files[index].watch, r->fault);
	if (text == NULL)
		return RC_CONF;
	age_note(r->list, index, text->age);
	r->open_files[r->depth++] = index;
	rc = file_read(r, path, text, negated);
	r->depth--;
	map_watch_release(r->state->files[index].watch);
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

/* A table that was open before stays so. */
static struct map *table_find(struct reading *r, struct span element)
{
	struct match_state *state = r->state;
	struct map *table;

	element = map_text_unbrace(element);
	for (size_t i = 0; i < state->table_count; i++)
		if (span_is(element, map_name(state->tables[i])))
			return state->tables[i];
	table = map_open_or_broken(state, state->conf, element, MAP_FOLD,
				   r->fault);
	state->tables = mem_resize(state, state->tables, struct map *,
				   state->table_count + 1);
	state->tables[state->table_count++] = table;
	return table;
}

static enum rc table_add(struct reading *r, struct span element, bool negated)
{
	struct match_item item = { .type = ITEM_TABLE, .negated = negated };

	item.table = table_find(r, element);
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
static void names_gather(struct match_items *list)
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

enum rc match_items_read(struct match_state *state,
			 struct match_items **ret_items, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct match_items *items = mem_new(tmp, struct match_items);
	struct reading r = { .state = state, .list = items, .fault = fault };
	enum rc rc;

	items->parameter = state->parameter;
	items->style = state->style;
	rc = list_read(&r, span_from(state->text), false);
	if (rc != RC_OK)
		return fault_add(fault, "parameter %s", state->parameter);
	names_gather(items);
	atomic_store(&state->has_files, state->file_count > 0);
	*ret_items = talloc_steal(NULL, items);
	return RC_OK;
}
