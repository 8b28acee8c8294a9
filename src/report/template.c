/* SPDX-License-Identifier: Apache-2.0 */
#include "report/template.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	TEMPLATE_FILE_MAX_BYTES = 256 * 1024,
	EXPANDED_MAX_BYTES = 256 * 1024,
	NAME_MAX_BYTES = 100,
};

/* Programs know these notices by their first line and their subjects. */
static const struct template_set built_in = { {
	[NOTICE_FAILURE] = {
		.charset = "us-ascii",
		.subject = "Undelivered Mail Returned to Sender",
		.postmaster_subject = "Postmaster Copy: Undelivered Mail",
		.text =
			"This is the mail system at host $myhostname.\n"
			"\n"
			"Your message did not reach all of its recipients. "
			"Those it did not\n"
			"reach are listed below, each with the reason. What "
			"you sent comes\n"
			"back with this report.\n"
			"\n"
			"If the reason is not clear to you, write to "
			"postmaster and send this\n"
			"report along; your own text is not needed.\n"
			"\n"
			"                   The mail system\n",
	},
	[NOTICE_DELAY] = {
		.charset = "us-ascii",
		.subject = "Delayed Mail (still being retried)",
		.postmaster_subject = "Postmaster Warning: Delayed Mail",
		.text =
			"This is the mail system at host $myhostname.\n"
			"\n"
			"Your message is late, but it is NOT lost: please do "
			"not send it again.\n"
			"\n"
			"For more than $delay_warning_time_hours hour(s) it "
			"could not be delivered to the\n"
			"recipients listed below. Delivery is tried again "
			"until the message is\n"
			"$maximal_queue_lifetime_days day(s) old.\n"
			"\n"
			"If the reason is not clear to you, write to "
			"postmaster and send this\n"
			"report along; your own text is not needed.\n"
			"\n"
			"                   The mail system\n",
	},
	[NOTICE_SUCCESS] = {
		.charset = "us-ascii",
		.subject = "Successful Mail Delivery Report",
		.text =
			"This is the mail system at host $myhostname.\n"
			"\n"
			"Your message has left here for the recipients listed "
			"below. Where it\n"
			"went into a mailbox, that was all. Where it was "
			"handed on to another\n"
			"mail system or to a list, that system may still "
			"report a failure.\n"
			"\n"
			"                   The mail system\n",
	},
	[NOTICE_TRACE] = {
		.charset = "us-ascii",
		.subject = "Mail Delivery Status Report",
		.text =
			"This is the mail system at host $myhostname.\n"
			"\n"
			"You asked what becomes of this mail. For each of its "
			"recipients the\n"
			"report below says it.\n"
			"\n"
			"                   The mail system\n",
	},
} };

static const struct {
	const char *name;
	enum notice_kind kind;
} sections[] = {
	{ "failure_template", NOTICE_FAILURE },
	{ "delay_template", NOTICE_DELAY },
	{ "success_template", NOTICE_SUCCESS },
	{ "verify_template", NOTICE_TRACE },
};

const char *template_name(int kind)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if ((int)sections[i].kind == kind)
			return sections[i].name;
	return "";
}

struct template_reader {
	const char *path;
	int line;
	struct span rest;
};

static bool next_line(struct template_reader *reader, struct span *ret_line)
{
	if (reader->rest.ptr == NULL || reader->rest.len == 0)
		return false;
	reader->line++;
	return span_cut(&reader->rest, '\n', ret_line);
}

static enum rc complain(const struct template_reader *reader,
			struct fault *fault, const char *what, struct span at)
{
	return fault_set(fault, RC_CONF, "4.3.5", "%s, line %d: %s: \"%.*s\"",
			 reader->path, reader->line, what, SPAN_FMT(at));
}

static bool is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] > 126 || text.ptr[i] == '\0')
			return false;
	return true;
}

/* "Subject: text"; false: it is no header of a template. */
static bool take_header(TALLOC_CTX *mem, struct template *template,
			struct span line)
{
	ssize_t colon = span_find(line, ':');
	const struct {
		const char *name;
		const char **field;
	} headers[] = {
		{ "Charset", &template->charset },
		{ "From", &template->from },
		{ "Subject", &template->subject },
		{ "Postmaster-Subject", &template->postmaster_subject },
	};

	if (colon <= 0 || !is_ascii(line))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (span_is_nocase(span_take(line, (size_t)colon),
				   headers[i].name)) {
			*headers[i].field = mem_span_dup(
				mem,
				span_trim(span_skip(line, (size_t)colon + 1)));
			return true;
		}
	return false;
}

static enum rc read_body(TALLOC_CTX *mem, struct template_reader *reader,
			 struct span end_word, struct template *template,
			 struct fault *fault)
{
	bool in_headers = true;
	struct span line;
	struct buf text;
	struct template found = *template;

	buf_init(&text, mem, TEMPLATE_FILE_MAX_BYTES);
	while (next_line(reader, &line)) {
		if (span_eq(line, end_word)) {
			found.text = buf_text(&text);
			*template = found;
			return RC_OK;
		}
		if (in_headers && span_trim(line).len == 0) {
			in_headers = false;
			continue;
		}
		if (in_headers && take_header(mem, &found, line))
			continue;
		if (in_headers)
			return complain(reader, fault,
					"not a header of a bounce template",
					line);
		buf_add(&text, line);
		buf_add_char(&text, '\n');
	}
	return complain(reader, fault, "template without end", end_word);
}

static enum rc read_section(struct template_set *set,
			    struct template_reader *reader, struct span line,
			    struct fault *fault)
{
	struct span name = { NULL, 0 }, rest = line;

	if (!span_cut(&rest, '=', &name) || rest.ptr == NULL)
		return complain(reader, fault, "need name = <<EOF", line);
	rest = span_trim(rest);
	if (!span_starts(rest, "<<") || rest.len == 2)
		return complain(reader, fault, "need name = <<EOF", line);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (span_is(span_trim(name), sections[i].name))
			return read_body(
				set, reader, span_trim(span_skip(rest, 2)),
				&set->by_kind[sections[i].kind], fault);
	return complain(reader, fault, "unknown template name",
			span_trim(name));
}

enum rc template_parse(TALLOC_CTX *mem, struct span text, const char *path,
		       struct template_set **ret_set, struct fault *fault)
{
	struct template_set *set = mem_new(mem, struct template_set);
	struct template_reader reader = { .path = path, .rest = text };
	struct span line;

	*set = built_in;
	while (next_line(&reader, &line)) {
		struct span trimmed = span_trim(line);

		if (trimmed.len == 0 || trimmed.ptr[0] == '#')
			continue;
		if (read_section(set, &reader, line, fault) != RC_OK) {
			talloc_free(set);
			return RC_CONF;
		}
	}
	*ret_set = set;
	return RC_OK;
}

static enum rc read_file(TALLOC_CTX *mem, const char *path,
			 struct span *ret_text, struct fault *fault)
{
	char *bytes = mem_array(mem, char, TEMPLATE_FILE_MAX_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t got = 0;

	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bounce_template_file %s: %m", path);
	while (len < TEMPLATE_FILE_MAX_BYTES) {
		got = read(fd, bytes + len, TEMPLATE_FILE_MAX_BYTES - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	if (got < 0)
		fault_set(fault, RC_CONF, "4.3.5",
			  "bounce_template_file %s: %m", path);
	else if (len == TEMPLATE_FILE_MAX_BYTES)
		got = -1, fault_set(fault, RC_CONF, "4.3.5",
				    "bounce_template_file %s: more than %d "
				    "bytes",
				    path, TEMPLATE_FILE_MAX_BYTES);
	close(fd);
	*ret_text = (struct span){ bytes, len };
	return got < 0 ? RC_CONF : RC_OK;
}

enum rc template_load(TALLOC_CTX *mem, const char *path,
		      struct template_set **ret_set, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span text = { "", 0 };

	if (path[0] != '\0' && read_file(tmp, path, &text, fault) != RC_OK)
		return fault->rc;
	return template_parse(mem, text, path, ret_set, fault);
}

/* delay_warning_time_hours: the time in that unit. */
static bool expand_time(const struct conf *conf, struct span name,
			struct buf *out)
{
	const struct {
		const char *prefix;
		int value_s;
	} times[] = {
		{ "delay_warning_time_", conf->v.delay_warning_time },
		{ "maximal_queue_lifetime_", conf->v.maximal_queue_lifetime },
	};
	static const struct {
		const char *suffix;
		int unit_s;
	} units[] = { { "seconds", 1 },
		      { "minutes", 60 },
		      { "hours", 3600 },
		      { "days", 86400 },
		      { "weeks", 604800 } };

	for (size_t t = 0; t < ARRAY_LEN(times); t++) {
		struct span suffix = span_skip(name, strlen(times[t].prefix));

		if (!span_starts(name, times[t].prefix))
			continue;
		for (size_t u = 0; u < ARRAY_LEN(units); u++)
			if (span_is(suffix, units[u].suffix))
				return buf_addf(out, "%d",
						times[t].value_s /
							units[u].unit_s);
	}
	return false;
}

static bool is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

/* The $name at the front of text: its length, and the bare name. 0: none. */
static size_t find_name(struct span text, struct span *ret_name)
{
	char open = text.len > 1 ? text.ptr[1] : '\0';
	size_t at = open == '{' || open == '(' ? 2 : 1;
	size_t end = at;

	while (end < text.len && is_name_char(text.ptr[end]))
		end++;
	if (end == at || end - at > NAME_MAX_BYTES)
		return 0;
	*ret_name = (struct span){ text.ptr + at, end - at };
	if (at == 1)
		return end;
	if (end >= text.len || text.ptr[end] != (open == '{' ? '}' : ')'))
		return 0;
	return end + 1;
}

char *template_expand(TALLOC_CTX *mem, const struct conf *conf,
		      const struct template *template)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest = span_from(template->text);
	struct buf out;

	buf_init(&out, tmp, EXPANDED_MAX_BYTES);
	while (rest.len > 0) {
		struct span name;
		const char *value;
		size_t size;

		if (rest.ptr[0] != '$') {
			ssize_t dollar = span_find(rest, '$');

			size = dollar < 0 ? rest.len : (size_t)dollar;
			buf_add(&out, span_take(rest, size));
		} else if (rest.len > 1 && rest.ptr[1] == '$') {
			size = 2;
			buf_add_char(&out, '$');
		} else if ((size = find_name(rest, &name)) == 0) {
			size = 1;
			buf_add_char(&out, '$');
		} else if (!expand_time(conf, name, &out)) {
			value = conf_text(conf, mem_span_dup(tmp, name));
			buf_add_text(&out, value == NULL ? "" : value);
		}
		rest = span_skip(rest, size);
	}
	return mem_strdup(mem, buf_text(&out));
}
