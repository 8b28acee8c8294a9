/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_duplicates.h"

#include <stdlib.h>

#include "map/table_source.h"

struct duplicate {
	unsigned int line;
	const char *text;
};

struct map_duplicates {
	struct map_build_options options;
	struct duplicate *list;
	size_t count, cap;
};

struct map_duplicates *
map_duplicates_new(TALLOC_CTX *mem, const struct map_build_options *options)
{
	struct map_duplicates *duplicates = mem_new(mem, struct map_duplicates);

	duplicates->options = *options;
	return duplicates;
}

void map_duplicates_add(struct map_duplicates *duplicates, const char *source,
			unsigned int line, unsigned int winner_line,
			struct span key)
{
	const struct map_build_options *options = &duplicates->options;
	char *shown, *text;

	if (options->warn == NULL || (options->flags & MAP_BUILD_IGNORE_DUP))
		return;
	if (duplicates->count == DUPLICATES_MAX)
		map_duplicates_say(duplicates);
	if (duplicates->count == duplicates->cap) {
		duplicates->cap = duplicates->cap * 2 + 16;
		duplicates->list =
			mem_resize(duplicates, duplicates->list,
				   struct duplicate, duplicates->cap);
	}
	shown = table_text_shown(duplicates, key);
	text = mem_printf(duplicates, "%s, line %u: duplicate entry: \"%s\"",
			  source, line, shown);
	if (winner_line != 0)
		text = mem_printf(duplicates, "%s (line %u counts)", text,
				  winner_line);
	talloc_free(shown);
	duplicates->list[duplicates->count++] =
		(struct duplicate){ line, text };
}

static int line_order(const void *a, const void *b)
{
	unsigned int x = ((const struct duplicate *)a)->line;
	unsigned int y = ((const struct duplicate *)b)->line;

	return (x > y) - (x < y);
}

void map_duplicates_say(struct map_duplicates *duplicates)
{
	const struct map_build_options *options = &duplicates->options;

	if (duplicates->count > 1)
		qsort(duplicates->list, duplicates->count,
		      sizeof(*duplicates->list), line_order);
	for (size_t i = 0; i < duplicates->count; i++)
		options->warn(options->warn_arg, duplicates->list[i].text);
	talloc_free_children(duplicates);
	duplicates->list = NULL;
	duplicates->count = duplicates->cap = 0;
}
