/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_priv.h"

enum rc conf_fault_at(const struct conf_priv *priv,
		      const struct conf_entry *entry, struct fault *fault)
{
	const char *text = entry->text == NULL ? "" : entry->text;

	if (entry->line > 0)
		return fault_add(fault, "%s, line %d: %s = %.60s%s",
				 priv->main_path, entry->line, entry->name,
				 text, strlen(text) > 60 ? "..." : "");
	if (entry->is_override)
		return fault_add(fault, "-o %s=%.60s", entry->name, text);
	return fault_add(fault, "default of %s", entry->name);
}

static enum rc entry_expand(struct conf_priv *priv, const char *name,
			    const char *text, int depth, const char **ret_value,
			    struct fault *fault)
{
	const struct expand expand = {conf_value_loading, priv};
	struct buf out;
	enum rc rc;

	if (strchr(text, '$') == NULL) {
		*ret_value = text;
		return RC_OK;
	}
	buf_init(&out, priv, EXPAND_MAX_BYTES);
	rc = expand_text(&expand, span_from(text), depth, &out, fault);
	if (rc != RC_OK) {
		buf_done(&out);
		return rc;
	}
	*ret_value = mem_strdup(priv, buf_text(&out));
	buf_done(&out);
	return RC_OK;
}

/* Entries do not move while they are evaluated: nothing is added then. */
enum rc conf_evaluate(struct conf_priv *priv, struct conf_entry *entry,
		      int depth, struct fault *fault)
{
	const char *text = entry->text;
	enum rc rc = RC_OK;

	if (entry->state == ENTRY_DONE)
		return RC_OK;
	if (entry->state == ENTRY_BUSY) {
		fault_set(fault, RC_CONF, "4.3.5",
			  "the value refers to itself");
		return conf_fault_at(priv, entry, fault);
	}
	entry->state = ENTRY_BUSY;
	if (text == NULL) {
		text = entry->def == NULL ? "" : entry->def->preset;
		rc = conf_host_preset(priv, entry, depth, &text, fault);
		if (rc == RC_NONE)
			rc = RC_OK;
	}
	if (rc == RC_OK)
		rc = entry_expand(priv, entry->name, text, depth, &entry->value,
				  fault);
	if (rc == RC_OK && strcmp(entry->name, "myorigin") == 0)
		rc = conf_host_origin(priv, &entry->value, fault);
	if (rc != RC_OK && entry->def != NULL &&
	    entry->def->type == PARAM_RAW) {
		/* Names of its own, such as $rbl_code: for its reader. */
		entry->value = text;
		rc = RC_OK;
	}
	entry->state = rc == RC_OK ? ENTRY_DONE : ENTRY_NEW;
	return rc == RC_OK ? RC_OK : conf_fault_at(priv, entry, fault);
}

enum rc conf_value_loading(void *arg, struct span name, int depth,
			   struct span *ret_value, struct fault *fault)
{
	struct conf_priv *priv = arg;
	struct conf_entry *entry = conf_table_find(priv, name);
	const struct param_transport_def *transport;
	enum rc rc;

	if (entry == NULL) {
		transport = param_transport_find(name);
		if (transport == NULL)
			return RC_NONE;
		entry = conf_table_find(priv, span_from(transport->preset + 1));
		assert(entry != NULL);
	}
	rc = conf_evaluate(priv, entry, depth, fault);
	if (rc == RC_OK)
		*ret_value = span_from(entry->value);
	return rc;
}
