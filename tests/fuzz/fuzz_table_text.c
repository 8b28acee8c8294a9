/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <unistd.h>

#include "map/map.h"
#include "map/table_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lines of a source file. */
static void read_source(TALLOC_CTX *mem, struct span text)
{
	static const struct table_warn quiet = { NULL, NULL };
	int fd = memfd_create("source", MFD_CLOEXEC);
	struct table_source *source;
	struct span line, key, value;
	unsigned int number;
	struct fault fault;

	if (fd < 0 || write(fd, text.ptr, text.len) != (ssize_t)text.len ||
	    lseek(fd, 0, SEEK_SET) != 0)
		abort();
	source = table_source_new(mem, "source", fd);
	while (table_source_next(source, &line, &number, &fault) == RC_OK)
		if (table_line_split(&quiet, "source", number, line, &key,
				     &value))
			assert(key.len > 0 && value.len > 0);
	close(fd);
}

/* The C library takes memory without limit for x++++++++; only whoever writes
 * the table can do that to himself. */
static bool is_greedy(struct span text)
{
	int operators = 0;

	for (size_t i = 0; i < text.len; i++)
		operators += strchr("+*?{", text.ptr[i]) != NULL;
	return operators > 8;
}

/* A table in the name itself. */
static void ask_table(TALLOC_CTX *mem, const struct conf *conf,
		      const char *type, struct span text)
{
	struct fault fault;
	struct span value;
	struct map *map;
	char *name;

	if (strcmp(type, "regexp") == 0 && is_greedy(text))
		return;
	name = mem_printf(mem, "%s:{%s}", type, mem_span_dup(mem, text));
	if (map_open(mem, conf, span_from(name), MAP_FOLD, &map, &fault) !=
	    RC_OK)
		return;
	for (size_t i = 0; i < text.len && i < 40; i += 7)
		if (map_lookup(map, mem, span_take(span_skip(text, i), 20),
			       &value, &fault) == RC_OK)
			assert(value.ptr != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "inline", "cidr", "regexp",
					     "pcre" };
	struct conf conf = { .v.smtputf8_enable = true };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span text = { (const char *)data, size };

	if (size > 0 && size < 4096) {
		if (data[0] % 5 == 4)
			read_source(mem, span_skip(text, 1));
		else
			ask_table(mem, &conf, types[data[0] % 5],
				  span_skip(text, 1));
	}
	talloc_free(mem);
	return 0;
}
