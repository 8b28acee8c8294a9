/* SPDX-License-Identifier: Apache-2.0 */
#include "command/parameter_help.h"

struct parameter_help parameter_help_of(const struct param_def *def)
{
	return (struct parameter_help){ def->name,    def->type, def->preset,
					def->meaning, def->min,	 def->max };
}

bool parameter_help_find(const char *name, struct parameter_help *ret_help)
{
	const struct param_transport_def *transport;

	for (size_t i = 0; i < param_count(); i++)
		if (strcmp(param_at(i)->name, name) == 0) {
			*ret_help = parameter_help_of(param_at(i));
			return true;
		}
	transport = param_transport_find(span_from(name));
	if (transport == NULL)
		return false;
	*ret_help = (struct parameter_help){ .name = name,
					     .type = transport->type,
					     .preset = transport->preset,
					     .meaning = transport->meaning };
	return true;
}

void parameter_help_type(const struct parameter_help *help, FILE *to)
{
	static const char *const names[] = {
		[PARAM_STRING] = "text",
		[PARAM_RAW] = "text, $names replaced in use",
		[PARAM_BOOL] = "yes or no",
		[PARAM_INT] = "number",
		[PARAM_LONG] = "number",
		[PARAM_TIME] = "time",
	};
	const char *unit = help->type == PARAM_TIME ? "s" : "";

	fputs(names[help->type], to);
	if (help->type == PARAM_STRING || help->type == PARAM_RAW) {
		if (help->min == 1 && help->max == 0)
			fputs(", not empty", to);
		else if (help->max != 0)
			fprintf(to, ", %ld to %ld characters", help->min,
				help->max);
		return;
	}
	if (help->min != 0)
		fprintf(to, ", at least %ld%s", help->min, unit);
	if (help->max != 0)
		fprintf(to, ", at most %ld%s", help->max, unit);
}

const char *parameter_help_preset(const struct parameter_help *help,
				  const struct conf *conf)
{
	static const char *const of_the_host[] = { "myhostname", "mydomain",
						   "mynetworks" };
	const char *text = help->preset;

	for (size_t i = 0; i < ARRAY_LEN(of_the_host) && conf != NULL; i++)
		if (strcmp(help->name, of_the_host[i]) == 0)
			text = conf_text(conf, help->name);
	return text == NULL ? "" : text;
}
