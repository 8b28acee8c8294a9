/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers for what is outside: DNS, network tables, policy services. */
#include "command/explain_priv.h"

#include <fcntl.h>

#include "sys/files.h"

enum {
	ZONE_MAX_BYTES = 16 * 1024 * 1024,
	ANSWERS_MAX = 1000000,
	RECORDS_APART_MAX = 100
};

static void add(struct explain_world *world, enum trace_kind kind,
		struct span name, struct span key, enum rc rc,
		struct span value)
{
	struct explain_answer *answer;

	if (world->count >= ANSWERS_MAX)
		return;
	if ((world->count & (world->count - 1)) == 0)
		world->answers =
			mem_resize(world, world->answers, struct explain_answer,
				   MAX_OF(2 * world->count, 1u));
	answer = &world->answers[world->count++];
	*answer = (struct explain_answer){
		.kind = kind,
		.name = mem_span_dup(world, name),
		.key = mem_span_dup(world, key),
		.rc = rc,
		.value = mem_span_dup(world, value),
	};
}

static struct span bare(struct span name)
{
	if (span_ends(name, ".") && name.len > 1)
		name.len--;
	return name;
}

static bool is_dns_type(struct span type)
{
	static const char *const types[] = { "A",    "AAAA", "MX",  "NS",
					     "PTR",  "TXT",  "SOA", "CNAME",
					     "TLSA", "SRV" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (span_is_nocase(type, types[i]))
			return true;
	return false;
}

/* One more record of a name that was told about just before. */
static bool add_record(struct explain_world *world, struct span type,
		       struct span name, struct span value)
{
	size_t first = world->count > RECORDS_APART_MAX
			       ? world->count - RECORDS_APART_MAX
			       : 0;

	for (size_t i = first; i < world->count; i++) {
		struct explain_answer *answer = &world->answers[i];

		if (answer->kind != TRACE_DNS || answer->rc != RC_OK ||
		    !span_is_nocase(type, answer->name) ||
		    !span_is_nocase(name, answer->key))
			continue;
		answer->value = mem_printf(world, "%s\n%.*s", answer->value,
					   SPAN_FMT(value));
		return true;
	}
	return false;
}

enum rc explain_world_dns(struct explain_world *world, struct span text,
			  struct fault *fault)
{
	static const struct {
		const char *word;
		enum rc rc;
		struct span value;
	} words[] = {
		{ "NXDOMAIN", RC_NONE, SPAN("") },
		{ "NODATA", RC_NONE, SPAN("no record of this type") },
		{ "ERROR", RC_TEMP, SPAN("Host not found, try again") },
		{ "SERVFAIL", RC_TEMP, SPAN("Host not found, try again") },
	};
	struct span rest = text, name, type, value;

	if (!span_token(&rest, " \t\r\n", &name) ||
	    !span_token(&rest, " \t\r\n", &type) || !is_dns_type(type) ||
	    (value = span_trim(rest)).len == 0)
		return fault_set(fault, RC_PERM, "5.5.4",
				 "\"%.*s\" is not NAME TYPE VALUE, as in "
				 "\"example.test MX 10 mx.example.test\" or "
				 "\"example.test A NXDOMAIN\"",
				 SPAN_FMT(span_take(text, 100)));
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!span_is_nocase(value, words[i].word))
			continue;
		add(world, TRACE_DNS, type, bare(name), words[i].rc,
		    words[i].value);
		return RC_OK;
	}
	if (!add_record(world, type, bare(name), value))
		add(world, TRACE_DNS, type, bare(name), RC_OK, value);
	return RC_OK;
}

enum rc explain_world_zone(struct explain_world *world, const char *path,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span text, line;
	int number = 0;

	if (file_read(tmp, AT_FDCWD, path, ZONE_MAX_BYTES, &text, fault) !=
	    RC_OK)
		return RC_PERM;
	while (span_cut(&text, '\n', &line)) {
		number++;
		line = span_trim(line);
		if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
			continue;
		if (explain_world_dns(world, line, fault) != RC_OK)
			return fault_add(fault, "%s, line %d", path, number);
	}
	return RC_OK;
}

enum rc explain_world_answer(struct explain_world *world, enum trace_kind kind,
			     struct span text, struct fault *fault)
{
	struct span rest = text, name, key = { "", 0 }, value;
	bool ok = span_token(&rest, " \t", &name);
	enum rc rc = RC_OK;

	if (ok && kind == TRACE_TABLE)
		ok = span_token(&rest, " \t", &key);
	value = span_trim(rest);
	if (!ok || value.len == 0)
		return fault_set(
			fault, RC_PERM, "5.5.4", "\"%.*s\": %s expected",
			SPAN_FMT(span_take(text, 100)),
			kind == TRACE_TABLE    ? "TABLE KEY VALUE"
			: kind == TRACE_POLICY ? "SERVICE ACTION"
					       : "ADDRESS deliverable");
	if (kind == TRACE_VERIFY) {
		rc = span_is_nocase(value, "deliverable") ? RC_OK
		     : span_is_nocase(value, "unknown")	  ? RC_TEMP
							  : RC_PERM;
		key = name;
		name = SPAN_OF("address");
	}
	if (kind == TRACE_TABLE && span_is(value, "NONE"))
		rc = RC_NONE;
	if (kind == TRACE_TABLE && span_is(value, "ERROR"))
		rc = RC_TEMP;
	add(world, kind, name, key, rc,
	    rc == RC_NONE ? (struct span){ "", 0 } : value);
	return RC_OK;
}

const struct explain_answer *
explain_world_find(const struct explain_world *world,
		   const struct trace_event *question)
{
	struct span key = question->kind == TRACE_DNS ? bare(question->key)
						      : question->key;

	for (size_t i = 0; i < world->count; i++) {
		const struct explain_answer *answer = &world->answers[i];

		if (answer->kind != question->kind ||
		    !span_is_nocase(span_from(question->name), answer->name))
			continue;
		if (answer->key[0] == '\0' || span_is_nocase(key, answer->key))
			return answer;
	}
	return NULL;
}

bool explain_table_is_remote(const char *name)
{
	static const char *const types[] = {
		"ldap:",      "mysql:",	   "pgsql:", "tcp:",
		"socketmap:", "memcache:", "redis:", "nis:"
	};
	struct span text = span_from(name);

	while (span_starts(text, "proxy:") || span_starts(text, "debug:"))
		text = span_skip(text, 6);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (span_starts(text, types[i]))
			return true;
	return span_starts(text, "pipemap:") || span_starts(text, "unionmap:")
		       ? strstr(name, "ldap:") != NULL ||
				 strstr(name, "mysql:") != NULL ||
				 strstr(name, "pgsql:") != NULL ||
				 strstr(name, "socketmap:") != NULL ||
				 strstr(name, "tcp:") != NULL
		       : false;
}

/* ---- what to take for granted ---- */

/* The address that reject_rbl_client bl.test=127.0.0.[2..11] waits for. */
static struct span listed_address(TALLOC_CTX *mem, const char *argument)
{
	const char *filter = strchr(argument, '=');
	struct buf out;
	bool skip = false;

	if (filter == NULL)
		return SPAN_OF("127.0.0.2");
	buf_init(&out, mem, 64);
	for (const char *c = filter + 1; *c != '\0'; c++) {
		if (*c == '.' && (c[1] == '.' || (c[-1] == '.')) &&
		    strchr(filter, '[') != NULL && skip == false && c[1] == '.')
			skip = true;
		if (*c == ';')
			skip = true;
		if (*c == ']')
			skip = false;
		if (!skip && *c != '[' && *c != ']')
			buf_add_char(&out, *c);
	}
	return buf_span(&out);
}

static struct span existing(TALLOC_CTX *mem, const struct trace_event *question)
{
	struct span type = span_from(question->name);

	if (span_is(type, "MX"))
		return span_from(
			mem_printf(mem, "10 %.*s", SPAN_FMT(question->key)));
	if (span_is(type, "A"))
		return SPAN_OF("192.0.2.0");
	if (span_is(type, "AAAA"))
		return SPAN_OF("2001:db8::");
	if (span_is(type, "PTR"))
		return SPAN_OF("name.invalid");
	return mem_span_copy(mem, question->key);
}

static void assume_dns(TALLOC_CTX *mem, const struct trace_event *question,
		       struct span rule, const char *argument,
		       struct explain_unknown *unknown)
{
	bool list = span_starts(rule, "reject_rbl") ||
		    span_starts(rule, "reject_rhsbl") ||
		    span_starts(rule, "permit_dnswl") ||
		    span_starts(rule, "permit_rhswl");
	bool must_exist = span_starts(rule, "reject_unknown");
	struct span found = list && span_is(span_from(question->name), "A")
				    ? listed_address(mem, argument)
				    : existing(mem, question);
	struct span none = { "", 0 };

	unknown->assumed_rc = must_exist ? RC_OK : RC_NONE;
	unknown->assumed = must_exist ? found : none;
	unknown->otherwise_rc = must_exist ? RC_NONE : RC_OK;
	unknown->otherwise = must_exist ? none : found;
}

void explain_world_assume(TALLOC_CTX *mem, const struct trace_event *question,
			  const char *rule, const char *argument,
			  struct explain_unknown *unknown)
{
	*unknown = (struct explain_unknown){
		.kind = question->kind,
		.name = mem_strdup(mem, question->name),
		.key = mem_span_dup(mem, question->key),
		.rule = mem_strdup(mem, rule),
		.otherwise = SPAN(""),
		.assumed = SPAN(""),
	};
	switch (question->kind) {
	case TRACE_DNS:
		assume_dns(mem, question, span_from(rule), argument, unknown);
		unknown->minor = strcmp(question->name, "TXT") == 0 ||
				 strcmp(question->name, "PTR") == 0;
		break;
	case TRACE_POLICY:
		unknown->key = ""; /* the request is another each time */
		unknown->assumed = SPAN_OF("DUNNO");
		unknown->otherwise = SPAN_OF("REJECT");
		break;
	case TRACE_VERIFY:
		unknown->assumed = SPAN_OF("deliverable");
		unknown->otherwise = SPAN_OF("undeliverable");
		unknown->otherwise_rc = RC_PERM;
		break;
	default: /* a table */
		unknown->assumed_rc = RC_NONE;
		unknown->otherwise = span_starts(span_from(rule), "check_")
					     ? SPAN_OF("REJECT")
					     : SPAN_OF("OK");
		break;
	}
}
