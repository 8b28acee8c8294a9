/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/param.h"

#include "conf/conf.h"

/* "_2bounce_..." is the C name of "2bounce_...". */
#define PLAIN_NAME(text) ((text) + ((text)[0] == '_' ? 1 : 0))

static const struct param_def params[] = {
#define PARAM(type, name, preset, min, max, meaning) \
	{ PLAIN_NAME(#name),                         \
	  PARAM_##type,                              \
	  preset,                                    \
	  min,                                       \
	  max,                                       \
	  meaning,                                   \
	  offsetof(struct conf_values, name) },
#include "conf/param/all.def"
#undef PARAM
};

static const struct param_transport_def transport_params[] = {
#define TRANSPORT_PARAM(type, suffix, preset, meaning) \
	{ #suffix, PARAM_##type, preset, meaning },
#include "conf/param/transport.def"
#undef TRANSPORT_PARAM
};

const char param_not_implemented[] = "not implemented yet";

static const struct {
	const char *name, *why;
} idle_params[] = {
#define NO_EFFECT(name, why) { PLAIN_NAME(#name), why },
#include "conf/param/no_effect.def"
#define UNREAD(name) { PLAIN_NAME(#name), param_not_implemented },
#include <param_unread.def> /* made by tools/check-params */
#undef UNREAD
#undef NO_EFFECT
};

size_t param_count(void)
{
	return ARRAY_LEN(params);
}

const struct param_def *param_at(size_t index)
{
	assert(index < ARRAY_LEN(params));
	return &params[index];
}

size_t param_transport_count(void)
{
	return ARRAY_LEN(transport_params);
}

const struct param_transport_def *param_transport_at(size_t index)
{
	assert(index < ARRAY_LEN(transport_params));
	return &transport_params[index];
}

const struct param_transport_def *param_transport_find(struct span name)
{
	const struct param_transport_def *best = NULL;

	for (size_t i = 0; i < ARRAY_LEN(transport_params); i++) {
		const struct param_transport_def *def = &transport_params[i];
		size_t len = strlen(def->suffix);

		if (name.len <= len || !span_ends(name, def->suffix))
			continue;
		/* "_extra_recipient_limit" ends in "_recipient_limit" too. */
		if (best == NULL || len > strlen(best->suffix))
			best = def;
	}
	return best;
}

const char *param_no_effect(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(idle_params); i++) {
		if (strcmp(idle_params[i].name, name) == 0)
			return idle_params[i].why;
	}
	return NULL;
}

const char *param_deprecated(struct span name)
{
	static const struct {
		const char *name, *instead;
	} old[] = {
#define DEPRECATED(name, instead) { #name, instead },
#include "conf/param/deprecated.def"
#undef DEPRECATED
	};

	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		if (span_is(name, old[i].name))
			return old[i].instead;
	return NULL;
}
