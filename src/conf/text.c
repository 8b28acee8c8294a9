/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include "conf/conf_priv.h"
#include "conf/value.h"

static const struct conf_entry *entry_of(const struct conf *conf,
					 struct span name)
{
	const struct conf_entry *entry = conf_table_find(conf->priv, name);
	const struct param_transport_def *transport;

	if (entry == NULL) {
		transport = param_transport_find(name);
		if (transport != NULL)
			entry = conf_table_find(
			    conf->priv, span_from(transport->preset + 1));
	}
	return entry == NULL || entry->state != ENTRY_DONE ? NULL : entry;
}

const char *conf_text(const struct conf *conf, const char *name)
{
	const struct conf_entry *entry = entry_of(conf, span_from(name));

	if (entry == NULL)
		return NULL;
	if (entry->def != NULL && entry->def->type == PARAM_RAW)
		return entry->text != NULL ? entry->text : entry->def->preset;
	return entry->value;
}

static enum rc value_loaded(void *arg, struct span name, int depth,
			    struct span *ret_value, struct fault *fault)
{
	const struct conf_entry *entry = entry_of(arg, name);

	if (entry == NULL)
		return RC_NONE;
	*ret_value = span_from(entry->value);
	return RC_OK;
}

enum rc conf_expand(TALLOC_CTX *mem, const struct conf *conf, const char *text,
		    char **ret_text, struct fault *fault)
{
	const struct expand expand = {value_loaded, (void *)conf};
	struct buf out;
	enum rc rc;

	buf_init(&out, mem, EXPAND_MAX_BYTES);
	rc = expand_text(&expand, span_from(text), 0, &out, fault);
	if (rc == RC_OK)
		*ret_text = mem_strdup(mem, buf_text(&out));
	buf_done(&out);
	return rc;
}

/* The entry of "<transport><suffix>" when the user has set it, or when it is
 * declared on its own (local_destination_concurrency_limit). */
static const struct conf_entry *transport_entry(const struct conf *conf,
						const char *transport,
						const char *suffix)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *name = mem_printf(tmp, "%s%s", transport, suffix);
	const struct conf_entry *entry =
	    conf_table_find(conf->priv, span_from(name));

	return entry == NULL || entry->state != ENTRY_DONE ? NULL : entry;
}

enum rc conf_transport_int(const struct conf *conf, const char *transport,
			   const char *suffix, int fallback, int *ret_value,
			   struct fault *fault)
{
	const struct conf_entry *entry =
	    transport_entry(conf, transport, suffix);
	long value;

	if (entry == NULL) {
		*ret_value = fallback;
		return RC_OK;
	}
	if (value_parse_long(span_from(entry->value), &value, fault) != RC_OK ||
	    value_check_range(value, 0, INT_MAX, "number", fault) != RC_OK)
		return conf_fault_at(conf->priv, entry, fault);
	*ret_value = (int)MAX_OF(value, (long)INT_MIN);
	return RC_OK;
}

enum rc conf_transport_time(const struct conf *conf, const char *transport,
			    const char *suffix, int fallback_s,
			    int *ret_value_s, struct fault *fault)
{
	const struct conf_entry *entry =
	    transport_entry(conf, transport, suffix);

	if (entry == NULL) {
		*ret_value_s = fallback_s;
		return RC_OK;
	}
	if (conf_parse_time(span_from(entry->value), 's', ret_value_s, fault) !=
	    RC_OK)
		return conf_fault_at(conf->priv, entry, fault);
	return RC_OK;
}
