/* SPDX-License-Identifier: Apache-2.0 */
#include "command/recipient_survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "net/dns.h"

struct entry {
	UT_hash_handle hh;
	char *name;
	const struct entry *group; /* it counts as this one */
	uint64_t recipients;
};

struct reading {
	TALLOC_CTX *mem;
	struct entry *entries;
	size_t count;
	uint64_t recipients, bad_lines;
	const char *path; /* for messages */
	unsigned long line;
};

static struct entry *entry_of(struct reading *r, struct span domain)
{
	char *name = mem_span_dup(r->mem, domain);
	struct entry *entry;

	for (char *p = name; *p != '\0'; p++)
		*p = ascii_lower(*p);
	HASH_FIND_STR(r->entries, name, entry);
	if (entry != NULL) {
		talloc_free(name);
		return entry;
	}
	if (r->count >= SURVEY_DOMAINS_MAX) {
		talloc_free(name);
		return NULL;
	}
	entry = mem_new(r->mem, struct entry);
	entry->name = talloc_steal(entry, name);
	HASH_ADD_KEYPTR(hh, r->entries, entry->name, strlen(entry->name),
			entry);
	r->count++;
	return entry;
}

/* "Jo <jo@example.com>", "jo@example.com", "example.com." */
static struct span domain_of(struct span line)
{
	const ssize_t at = span_rfind(line, '@');

	if (at >= 0)
		line = span_skip(line, (size_t)at + 1);
	line = span_trim(line);
	while (line.len > 0 && (span_ends(line, ">") || span_ends(line, ".") ||
				span_ends(line, ",") || span_ends(line, ";")))
		line.len--;
	return line;
}

static enum rc recipient_take(struct reading *r, struct span line,
			      struct fault *fault)
{
	struct span domain = domain_of(line);
	struct entry *entry;

	if (!dns_name_is_valid(domain)) {
		r->bad_lines++;
		return RC_OK;
	}
	entry = entry_of(r, domain);
	if (entry == NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s, line %lu: more than %d different domains",
				 r->path, r->line, SURVEY_DOMAINS_MAX);
	entry->recipients++;
	r->recipients++;
	return RC_OK;
}

static enum rc group_take(struct reading *r, struct span line,
			  struct fault *fault)
{
	struct entry *member, *group;
	struct span rest = line, first, second;

	if (!span_token(&rest, " \t", &first) ||
	    !span_token(&rest, " \t", &second) || span_trim(rest).len > 0 ||
	    !dns_name_is_valid(first) || !dns_name_is_valid(second))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s, line %lu: expected a domain and the "
				 "domain it counts as",
				 r->path, r->line);
	member = entry_of(r, first);
	group = entry_of(r, second);
	if (member == NULL || group == NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s, line %lu: too many domains", r->path,
				 r->line);
	if (member != group)
		member->group = group;
	return RC_OK;
}

static enum rc lines_read(struct reading *r, const char *path,
			  enum rc (*take)(struct reading *r, struct span line,
					  struct fault *fault),
			  struct fault *fault)
{
	const bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	char text[SURVEY_LINE_MAX_BYTES];
	enum rc rc = RC_OK;
	int c;

	if (file == NULL)
		return fault_set(fault, RC_CONF, "4.3.5", "open %s: %m", path);
	r->path = is_stdin ? "standard input" : path;
	r->line = 0;
	while (rc == RC_OK && fgets(text, sizeof(text), file) != NULL) {
		struct span line = span_from(text);

		r->line++;
		if (!span_ends(line, "\n") && !feof(file)) {
			while ((c = getc(file)) != EOF && c != '\n')
				;
			r->bad_lines++;
			continue;
		}
		line = span_trim(line);
		if (line.len > 0 && line.ptr[0] != '#')
			rc = take(r, line, fault);
	}
	if (rc == RC_OK && ferror(file))
		rc = fault_set(fault, RC_CONF, "4.3.5", "read %s: %m", r->path);
	if (!is_stdin)
		fclose(file);
	return rc;
}

/* Of most to least, then by name, so that two runs look alike. */
static int compare(const void *a, const void *b)
{
	const struct survey_domain *x = a, *y = b;

	if (x->recipients != y->recipients)
		return x->recipients < y->recipients ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void groups_add(struct reading *r)
{
	for (struct entry *e = r->entries; e != NULL; e = e->hh.next) {
		struct entry *group = (struct entry *)(uintptr_t)e->group;

		if (group == NULL || group->group != NULL)
			continue; /* a group of a group counts for itself */
		group->recipients += e->recipients;
		e->recipients = 0;
	}
}

enum rc recipient_survey_read(TALLOC_CTX *mem, const char *path,
			      const char *group_path,
			      struct recipient_survey **ret_survey,
			      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct recipient_survey *survey = mem_new(tmp, struct recipient_survey);
	struct reading r = { .mem = survey };
	enum rc rc = RC_OK;

	if (group_path != NULL)
		rc = lines_read(&r, group_path, group_take, fault);
	if (rc == RC_OK)
		rc = lines_read(&r, path, recipient_take, fault);
	if (rc != RC_OK) {
		HASH_CLEAR(hh, r.entries);
		return rc;
	}
	groups_add(&r);
	survey->domains = mem_array(survey, struct survey_domain, r.count + 1);
	survey->recipients = r.recipients;
	survey->bad_lines = r.bad_lines;
	for (struct entry *e = r.entries; e != NULL; e = e->hh.next)
		if (e->recipients > 0)
			survey->domains[survey->count++] =
				(struct survey_domain){ e->name,
							e->recipients };
	HASH_CLEAR(hh, r.entries);
	qsort(survey->domains, survey->count, sizeof(*survey->domains),
	      compare);
	*ret_survey = talloc_steal(mem, survey);
	return RC_OK;
}
