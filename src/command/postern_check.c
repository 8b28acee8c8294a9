/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "command/instance.h"
#include "command/postern_priv.h"
#include "conf/master_cf.h"
#include "rule/restriction_lint.h"

/* Findings of several services: each is said once. */
struct findings {
	TALLOC_CTX *mem;
	const struct postern *postern;
	const char **texts;
	size_t count;
};

static void find(void *arg, const char *text)
{
	struct findings *findings = arg;

	for (size_t i = 0; i < findings->count; i++)
		if (strcmp(findings->texts[i], text) == 0)
			return;
	findings->texts = mem_resize(findings->mem, findings->texts,
				     const char *, findings->count + 1);
	findings->texts[findings->count++] = mem_strdup(findings->mem, text);
	postern_announce(findings->postern, "warning: %s", text);
}

/* The lists as this smtpd line of master.cf has them. */
static void check_service(struct findings *findings,
			  const struct master_table *table,
			  const struct master_entry *entry)
{
	const struct conf *conf = findings->postern->conf;
	const struct conf_source source = {
		.config_directory = conf->config_directory,
		.overrides = entry->overrides,
		.override_count = entry->override_count,
		.override_path = table->path,
		.override_line = entry->line,
		.process_name = "smtpd",
		.service_name = entry->name,
	};
	struct fault fault = { 0 };
	struct conf *own;

	if (conf_load(&source, &own, &fault) != RC_OK) {
		find(findings, fault.text);
		return;
	}
	(void)restriction_lint(own, find, findings);
	conf_unref(own);
}

/* Restriction lists that do not do what they seem to. */
static size_t check_restrictions(const struct postern *postern)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	struct findings findings = { .mem = mem, .postern = postern };
	struct master_table *table;
	struct fault fault = { 0 };

	if (master_cf_load(mem, postern->conf, &table, &fault) != RC_OK)
		return 0; /* instance_check says so */
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->entries[i].program, "smtpd") == 0)
			check_service(&findings, table, &table->entries[i]);
	return findings.count;
}

int postern_check(struct postern *postern)
{
	bool root = geteuid() == 0;
	int problems =
		instance_check(postern->conf, root, postern_say, postern);

	return check_restrictions(postern) > 0 || problems > 0 ? 1 : 0;
}
