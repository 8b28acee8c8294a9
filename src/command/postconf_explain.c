/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>

#include "command/parameter_help.h"
#include "command/postconf_priv.h"

static void explain_one(const struct postconf *pc,
			const struct parameter_help *help)
{
	const char *why = param_no_effect(help->name);
	const char *preset = parameter_help_preset(help, pc->conf);

	printf("%s (", help->name);
	parameter_help_type(help, stdout);
	printf(")\n    %s\n    default:%s%s\n", help->meaning,
	       *preset == '\0' ? " empty" : " ", preset);
	if (why != NULL)
		printf("    No effect here: %s.\n", why);
}

static bool explain_pattern(const struct postconf *pc, const char *pattern)
{
	bool found = false;

	for (size_t i = 0; i < param_count(); i++) {
		struct parameter_help help = parameter_help_of(param_at(i));

		if (fnmatch(pattern, help.name, 0) != 0)
			continue;
		found = true;
		explain_one(pc, &help);
	}
	return found;
}

enum rc postconf_explain(const struct postconf *pc, struct fault *fault)
{
	for (size_t i = 0; i < pc->name_count || i == 0; i++) {
		const char *name = pc->name_count == 0 ? "*" : pc->names[i];
		struct parameter_help help;

		if (explain_pattern(pc, name))
			continue;
		if (!parameter_help_find(name, &help))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s: unknown parameter", name);
		explain_one(pc, &help);
	}
	return RC_OK;
}
