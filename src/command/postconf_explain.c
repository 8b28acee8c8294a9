/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>

#include "command/postconf_priv.h"
#include "conf/param.h"

static const char *const type_names[] = {
	[PARAM_STRING] = "text",
	[PARAM_RAW] = "text, $names replaced in use",
	[PARAM_BOOL] = "yes or no",
	[PARAM_INT] = "number",
	[PARAM_LONG] = "number",
	[PARAM_TIME] = "time",
};

static void explain_range(const struct param_def *def)
{
	const char *unit = def->type == PARAM_TIME ? "s" : "";

	if (def->type == PARAM_STRING || def->type == PARAM_RAW) {
		if (def->min == 1 && def->max == 0)
			printf(", not empty");
		else if (def->max != 0)
			printf(", %ld to %ld characters", def->min, def->max);
		return;
	}
	if (def->min != 0)
		printf(", at least %ld%s", def->min, unit);
	if (def->max != 0)
		printf(", at most %ld%s", def->max, unit);
}

static void explain_one(const struct postconf *pc, const struct param_def *def)
{
	const char *why = param_no_effect(def->name);
	const char *preset = def->preset;

	/* Only the host knows it. */
	if (*preset == '\0')
		preset = conf_text(pc->conf, def->name);
	printf("%s (%s", def->name, type_names[def->type]);
	explain_range(def);
	printf(")\n    %s\n    default:%s%s\n", def->meaning,
	       *preset == '\0' ? " empty" : " ", preset);
	if (why != NULL)
		printf("    No effect here: %s.\n", why);
}

enum rc postconf_explain(const struct postconf *pc, struct fault *fault)
{
	for (size_t i = 0; i < pc->name_count || i == 0; i++) {
		const char *name = pc->name_count == 0 ? "*" : pc->names[i];
		bool found = false;

		for (size_t j = 0; j < param_count(); j++) {
			const struct param_def *def = param_at(j);

			if (fnmatch(name, def->name, 0) != 0)
				continue;
			found = true;
			explain_one(pc, def);
		}
		for (size_t j = 0; j < param_transport_count(); j++) {
			const struct param_transport_def *def =
				param_transport_at(j);

			if (found ||
			    param_transport_find(span_from(name)) != def)
				continue;
			found = true;
			printf("%s (%s)\n    %s\n    default: %s\n", name,
			       type_names[def->type], def->meaning,
			       def->preset);
		}
		if (!found)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s: unknown parameter", name);
	}
	return RC_OK;
}
