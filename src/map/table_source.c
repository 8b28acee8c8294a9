/* SPDX-License-Identifier: Apache-2.0 */
#include "map/table_source.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "map/map_priv.h"
#include "sys/log.h"

enum { CHUNK_BYTES = 64 * 1024, SHOWN_MAX_BYTES = 100 };

struct table_source {
	const char *name;
	int fd;		      /* -1: inline text */
	struct span elements; /* inline text that is left */
	bool at_end;
	struct buf chunk; /* read, not used yet */
	size_t used;
	struct buf line, ahead; /* ahead: the physical line after this one */
	bool has_ahead;
	unsigned int number, ahead_number;
};

static struct table_source *source_new(TALLOC_CTX *mem, const char *name)
{
	struct table_source *source = mem_new(mem, struct table_source);

	source->name = mem_strdup(source, name);
	source->fd = -1;
	buf_init(&source->chunk, source, CHUNK_BYTES + 1);
	buf_init(&source->line, source, TABLE_LINE_MAX_BYTES);
	buf_init(&source->ahead, source, TABLE_LINE_MAX_BYTES);
	return source;
}

struct table_source *table_source_new(TALLOC_CTX *mem, const char *name, int fd)
{
	struct table_source *source = source_new(mem, name);

	source->fd = fd;
	return source;
}

struct table_source *table_source_inline(TALLOC_CTX *mem, const char *name,
					 struct span text)
{
	struct table_source *source = source_new(mem, name);

	source->elements = text;
	return source;
}

const char *table_source_name(const struct table_source *source)
{
	return source->name;
}

static enum rc source_fill(struct table_source *source, struct fault *fault)
{
	ssize_t n;

	buf_clear(&source->chunk);
	source->used = 0;
	if (!buf_reserve(&source->chunk, CHUNK_BYTES))
		assert(!"room for a chunk");
	do
		n = read(source->fd, source->chunk.data, CHUNK_BYTES);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "read %s: %m",
				 source->name);
	source->chunk.len = (size_t)n;
	source->at_end = n == 0;
	return RC_OK;
}

/* Read one physical line into *out, without its line end. */
static enum rc line_read(struct table_source *source, struct buf *out,
			 struct fault *fault)
{
	bool any = false;

	buf_clear(out);
	for (;;) {
		struct span rest =
			span_skip(buf_span(&source->chunk), source->used);
		ssize_t end = span_find(rest, '\n');
		size_t len = end < 0 ? rest.len : (size_t)end;

		if (!buf_add(out, span_take(rest, len)))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s, line %u: line too long",
					 source->name, source->ahead_number);
		source->used += len;
		any |= len > 0;
		if (end >= 0) {
			source->used++;
			return RC_OK;
		}
		if (source->at_end)
			return any ? RC_OK : RC_NONE;
		if (source_fill(source, fault) != RC_OK)
			return RC_TEMP;
	}
}

/* Read ahead to the next physical line that is neither blank nor a comment. */
static enum rc source_look_ahead(struct table_source *source,
				 struct fault *fault)
{
	struct span text;
	enum rc rc;

	do {
		source->ahead_number++;
		rc = line_read(source, &source->ahead, fault);
		source->has_ahead = rc == RC_OK;
		if (rc != RC_OK)
			return rc;
		text = span_trim(buf_span(&source->ahead));
	} while (text.len == 0 || text.ptr[0] == '#');
	return RC_OK;
}

static bool is_continuation(struct span line)
{
	return line.len > 0 && ascii_is_space(line.ptr[0]);
}

static enum rc file_next(struct table_source *source, struct fault *fault)
{
	enum rc rc;

	if (!source->has_ahead) {
		rc = source_look_ahead(source, fault);
		if (rc != RC_OK)
			return rc;
	}
	source->number = source->ahead_number;
	buf_clear(&source->line);
	do {
		if (!buf_add(&source->line, buf_span(&source->ahead)))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s, line %u: line too long",
					 source->name, source->number);
		rc = source_look_ahead(source, fault);
	} while (rc == RC_OK && is_continuation(buf_span(&source->ahead)));
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc inline_next(struct table_source *source, struct fault *fault)
{
	struct span element;
	enum rc rc;

	rc = map_text_next(&source->elements, &element, fault);
	if (rc != RC_OK)
		return rc;
	source->number++;
	buf_clear(&source->line);
	buf_add(&source->line, map_text_unbrace(element));
	return RC_OK;
}

enum rc table_source_next(struct table_source *source, struct span *ret_line,
			  unsigned int *ret_number, struct fault *fault)
{
	enum rc rc = source->fd < 0 ? inline_next(source, fault)
				    : file_next(source, fault);

	if (rc != RC_OK)
		return rc;
	*ret_line = span_trim(buf_span(&source->line));
	*ret_number = source->number;
	return RC_OK;
}

void table_warn(const struct table_warn *warn, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES];
	va_list args;

	if (warn->fn == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	warn->fn(warn->arg, text);
}

static void warn_log(void *arg, const char *text)
{
	log_warning("%s", text);
}

struct table_warn table_warn_to_log(void)
{
	return (struct table_warn){ .fn = warn_log };
}

char *table_text_shown(TALLOC_CTX *mem, struct span text)
{
	char *shown = mem_span_dup(mem, span_take(text, SHOWN_MAX_BYTES));

	for (char *p = shown;
	     p < shown + MIN_OF(text.len, (size_t)SHOWN_MAX_BYTES); p++)
		if (!ascii_is_print(*p))
			*p = '?';
	return shown;
}

/* Length of the key: up to a blank that is not in quotes; 0: a quote is open.
 */
static size_t key_len(struct span line)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < line.len; i++) {
		if (line.ptr[i] == '\\' && i + 1 < line.len)
			i++;
		else if (line.ptr[i] == '"')
			quoted = !quoted;
		else if (!quoted && ascii_is_space(line.ptr[i]))
			break;
	}
	return quoted ? 0 : i;
}

bool table_line_split(const struct table_warn *warn, const char *name,
		      unsigned int number, struct span line,
		      struct span *ret_key, struct span *ret_value)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	size_t len = key_len(line);
	struct span value;

	if (len == 0) {
		table_warn(warn,
			   "%s, line %u: unbalanced '\"' in '%s' -- "
			   "ignoring this line",
			   name, number, table_text_shown(tmp, line));
		return false;
	}
	value = span_trim(span_skip(line, len));
	if (value.len == 0) {
		table_warn(warn,
			   "%s, line %u: expected format: key whitespace "
			   "value -- ignoring this line",
			   name, number);
		return false;
	}
	*ret_key = span_take(line, len);
	*ret_value = value;
	if (line.ptr[len - 1] == ':')
		table_warn(warn,
			   "%s, line %u: record is in \"key: value\" "
			   "format; is this an alias file?",
			   name, number);
	return true;
}
