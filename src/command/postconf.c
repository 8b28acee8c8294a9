/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "command/postconf_priv.h"

static void load(struct postconf_options *options)
{
	struct postconf *pc = &options->pc;
	struct conf_source source = {
		.config_directory = options->config_directory,
		.overrides = options->overrides,
		.override_count = options->override_count,
		.process_name = "postconf",
		.service_name = "",
		.defaults_only = pc->defaults && options->mode == 0,
		.tolerant = true,
	};
	struct fault fault;

	if (conf_load(&source, &pc->conf, &fault) != RC_OK ||
	    (!pc->defaults && options->mode != 0 &&
	     master_cf_load_all(pc->mem, pc->conf, &pc->table, &fault) !=
		     RC_OK))
		postconf_fail(fault.text);
	/* For main.cf a missing master.cf only means fewer names. */
	if (pc->table == NULL &&
	    master_cf_load_all(pc->mem, pc->conf, &pc->table, &fault) != RC_OK)
		pc->table = NULL;
	if (!pc->verbose)
		return;
	if (!source.defaults_only)
		fprintf(stderr, "postconf: read %s/main.cf\n",
			pc->conf->config_directory);
	if (pc->table != NULL)
		fprintf(stderr, "postconf: read %s: %zu services\n",
			pc->table->path, pc->table->count);
	for (size_t i = 0; i < options->override_count; i++)
		fprintf(stderr, "postconf: with -o %s\n",
			options->overrides[i]);
}

static void warn(const struct postconf *pc)
{
	const char *const *list;
	size_t count;

	conf_warnings(pc->mem, pc->conf, pc->table, &list, &count);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "postconf: warning: %s\n", list[i]);
}

static const char *folder(const struct postconf_options *options)
{
	const char *dir = options->config_directory;

	if (dir == NULL)
		dir = getenv("MAIL_CONFIG");
	return dir == NULL || *dir == '\0' ? PATH_CONFIG : dir;
}

static enum rc print(const struct postconf_options *options,
		     struct fault *fault)
{
	const struct postconf *pc = &options->pc;
	enum rc rc;

	if (options->list != 0)
		rc = postconf_list(pc, options->list, options->tls_mode, fault);
	else if (options->explain)
		rc = postconf_explain(pc, fault);
	else if (options->mode != 0)
		rc = postconf_print_master(pc, options->mode, fault);
	else
		rc = postconf_print(pc, fault);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fault_set(fault, RC_CONF, "4.3.0",
				 "standard output: %m");
	return rc;
}

static enum rc run(struct postconf_options *options, struct fault *fault)
{
	struct postconf *pc = &options->pc;
	enum rc rc;

	/* Must work on a main.cf that cannot be read. */
	if (options->edit && options->mode == 0)
		return postconf_edit_main(folder(options), options->what,
					  pc->names, pc->name_count, fault);
	pc->defaults = pc->defaults || options->explain;
	if (options->list == 0 || postconf_list_needs_conf(options->list))
		load(options);
	if (options->edit)
		return postconf_edit_master(pc, options->mode, options->what,
					    fault);
	rc = print(options, fault);
	if (rc == RC_OK && !pc->defaults && !pc->quiet && pc->conf != NULL)
		warn(pc);
	return rc;
}

int main(int argc, char **argv)
{
	struct postconf_options *options =
		mem_new(NULL, struct postconf_options);
	struct fault fault;
	enum rc rc;

	options->pc.mem = options;
	options->pc.classes = CLASS_ALL;
	postconf_options_parse(options, argc, argv);
	rc = run(options, &fault);
	conf_unref(options->pc.conf);
	if (rc != RC_OK)
		fprintf(stderr, "postconf: fatal: %s\n", fault.text);
	talloc_free(options);
	return rc == RC_OK ? 0 : 1;
}
