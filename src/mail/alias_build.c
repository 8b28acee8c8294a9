/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/alias_build.h"

#include <time.h>
#include <unistd.h>

#include "mail/address.h"
#include "mail/address_lex.h"
#include "map/table_source.h"

enum { VALUE_MAX_BYTES = TABLE_LINE_MAX_BYTES };

struct alias_build {
	const struct conf *conf;
	const char *name;
	const struct map_build_options *options;
	struct table_warn warn;
	struct map_writer *writer;
};

/* Take "name:" off the front, the name in internal form. NULL, or what is
 * wrong. */
static const char *name_cut(TALLOC_CTX *mem, struct span *rest,
			    struct span *ret_name)
{
	struct address_token token;
	struct buf name;

	buf_init(&name, mem, ADDRESS_MAX_BYTES);
	while (address_token_next(rest, &token)) {
		if (address_token_is(&token, ':')) {
			*ret_name = buf_span(&name);
			return name.len == 0 || name.full
				       ? "need name:value pair"
				       : NULL;
		}
		if (address_token_is(&token, ',') || token.broken)
			break;
		if (address_token_is(&token, '@'))
			return "name must be local";
		if (token.kind == ADDRESS_COMMENT)
			continue;
		if (token.blank_before && name.len > 0)
			buf_add_char(&name, ' ');
		address_token_add(&name, &token);
	}
	return "need name:value pair";
}

/* "a ,b" is "a, b": one blank where there were some, and after each comma. */
static struct span value_tidy(TALLOC_CTX *mem, struct span rest)
{
	struct address_token token;
	bool after_comma = false;
	struct buf out;

	buf_init(&out, mem, VALUE_MAX_BYTES);
	while (address_token_next(&rest, &token)) {
		if (address_token_is(&token, ',')) {
			after_comma = out.len > 0;
			continue;
		}
		if (after_comma)
			buf_add_text(&out, ", ");
		else if (token.blank_before && out.len > 0)
			buf_add_char(&out, ' ');
		after_comma = false;
		buf_add(&out, token.text);
	}
	return buf_span(&out);
}

static enum rc line_build(struct alias_build *b, struct span line,
			  unsigned int number, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *problem = NULL;
	struct map_writer_line entry;
	struct span name, value;

	if ((b->options->flags & MAP_BUILD_CHECK_UTF8) && !text_is_utf8(line))
		problem = "non-UTF-8 input";
	if (problem == NULL)
		problem = name_cut(tmp, &line, &name);
	if (problem == NULL) {
		value = value_tidy(tmp, line);
		if (value.len == 0)
			problem = "need name:value pair";
	}
	if (problem != NULL) {
		table_warn(&b->warn, "%s, line %u: %s", b->name, number,
			   problem);
		return RC_OK;
	}
	entry = (struct map_writer_line){ name, value, number, false };
	return map_writer_add(b->writer, &entry, fault);
}

/* Entries that other programs look for in alias tables. */
static enum rc marks_build(struct alias_build *b, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *now = mem_printf(tmp, "%lld", (long long)time(NULL));
	const char *const marks[][2] = {
		{ "@", "@" },
		{ "YP_LAST_MODIFIED", now },
		{ "YP_MASTER_NAME", b->conf->v.myhostname },
	};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		struct map_writer_line line = { span_from(marks[i][0]),
						span_from(marks[i][1]),
						MAP_LINE_NONE, true };
		enum rc rc = map_writer_add(b->writer, &line, fault);

		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc lines_build(struct alias_build *b, int fd, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table_source *source = table_source_new(tmp, b->name, fd);
	struct map_source_progress progress;
	struct span line;
	unsigned int number;
	enum rc rc;

	map_source_progress_init(&progress, b->options, fd);
	while ((rc = table_source_next(source, &line, &number, fault)) ==
	       RC_OK) {
		map_source_progress_line(&progress, number, line.len);
		rc = line_build(b, line, number, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_NONE)
		return rc;
	rc = marks_build(b, fault);
	return rc == RC_OK ? map_writer_commit(b->writer, fault) : rc;
}

enum rc alias_build(const struct conf *conf, struct span type_and_name,
		    const struct map_build_options *options,
		    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct alias_build b = { .conf = conf,
				 .options = options,
				 .warn = { options->warn, options->warn_arg } };
	struct map_source *source;
	enum rc rc;

	rc = map_source_open(type_and_name, options, tmp, &source, fault);
	if (rc == RC_OK)
		rc = map_source_become_owner(source, options, fault);
	if (rc != RC_OK)
		return rc;
	b.name = source->name;
	rc = map_writer_open(tmp, conf, type_and_name,
			     source->fd == STDIN_FILENO ? NULL : b.name,
			     options, &b.writer, fault);
	if (rc == RC_OK)
		rc = lines_build(&b, source->fd, fault);
	talloc_free(b.writer);
	map_source_become_self();
	return rc;
}

enum rc alias_build_all(const struct conf *conf, map_build_warn_fn *warn,
			void *warn_arg, struct fault *fault)
{
	struct map_build_options options = { .warn = warn,
					     .warn_arg = warn_arg };
	struct span rest = span_from(conf->v.alias_database), element;
	struct fault now;
	enum rc first = RC_OK;

	if (conf->v.smtputf8_enable)
		options.flags |= MAP_BUILD_CHECK_UTF8;
	while (span_token(&rest, ", \t\r\n", &element)) {
		enum rc rc = alias_build(conf, element, &options, &now);

		if (rc == RC_OK || first != RC_OK)
			continue;
		first = rc;
		if (fault != NULL)
			*fault = now;
	}
	return first;
}
