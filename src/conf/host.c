/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "conf/conf_priv.h"
#include "conf/own_address.h"

enum { HOST_NAME_MAX_BYTES = 255 };

static enum rc value_of(struct conf_priv *priv, const char *name, int depth,
			const char **ret_text, struct fault *fault)
{
	struct conf_entry *entry = conf_table_find(priv, span_from(name));

	if (conf_evaluate(priv, entry, depth + 1, fault) != RC_OK)
		return RC_CONF;
	*ret_text = entry->value;
	return RC_OK;
}

static enum rc preset_myhostname(struct conf_priv *priv, int depth,
				 const char **ret_text, struct fault *fault)
{
	char name[HOST_NAME_MAX_BYTES + 1] = "";
	const char *domain = "localdomain";

	if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0')
		return fault_set(fault, RC_CONF, "4.3.5",
				 "the name of this host is not known: set "
				 "myhostname");
	if (strchr(name, '.') != NULL) {
		*ret_text = mem_strdup(priv, name);
		return RC_OK;
	}
	if (conf_table_find(priv, SPAN_OF("mydomain"))->text != NULL &&
	    value_of(priv, "mydomain", depth, &domain, fault) != RC_OK)
		return RC_CONF;
	*ret_text = mem_printf(priv, "%s.%s", name, domain);
	return RC_OK;
}

static enum rc preset_mydomain(struct conf_priv *priv, int depth,
			       const char **ret_text, struct fault *fault)
{
	const char *host, *dot;

	if (value_of(priv, "myhostname", depth, &host, fault) != RC_OK)
		return RC_CONF;
	dot = strchr(host, '.');
	*ret_text = dot == NULL ? "localdomain" : dot + 1;
	return RC_OK;
}

static enum rc preset_mynetworks(struct conf_priv *priv, int depth,
				 const char **ret_text, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *interfaces, *protocols, *style;
	struct own_addresses *own;
	char *text;

	if (value_of(priv, "inet_interfaces", depth, &interfaces, fault) !=
		RC_OK ||
	    value_of(priv, "inet_protocols", depth, &protocols, fault) !=
		RC_OK ||
	    value_of(priv, "mynetworks_style", depth, &style, fault) != RC_OK ||
	    own_addresses_find(tmp, interfaces, protocols, &own, fault) !=
		RC_OK ||
	    own_networks_text(tmp, own, style, &text, fault) != RC_OK)
		return RC_CONF;
	*ret_text = mem_strdup(priv, text);
	return RC_OK;
}

enum rc conf_host_preset(struct conf_priv *priv, const struct conf_entry *entry,
			 int depth, const char **ret_text, struct fault *fault)
{
	const char *name = entry->name;

	if (strcmp(name, "myhostname") == 0)
		return preset_myhostname(priv, depth, ret_text, fault);
	if (strcmp(name, "mydomain") == 0)
		return preset_mydomain(priv, depth, ret_text, fault);
	if (strcmp(name, "mynetworks") == 0)
		return preset_mynetworks(priv, depth, ret_text, fault);
	if (strcmp(name, "process_name") == 0)
		*ret_text = priv->process_name;
	else if (strcmp(name, "service_name") == 0)
		*ret_text = priv->service_name;
	else if (strcmp(name, "process_id") == 0)
		*ret_text = mem_printf(priv, "%ld", (long)getpid());
	else
		return RC_NONE;
	return RC_OK;
}

enum rc conf_host_origin(struct conf_priv *priv, const char **value,
			 struct fault *fault)
{
	char text[HOST_NAME_MAX_BYTES + 2];
	struct span line;
	ssize_t got, end;
	int fd;

	if (**value != '/')
		return RC_OK;
	fd = open(*value, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "open %s: %m",
				 *value);
	got = read(fd, text, sizeof(text));
	close(fd);
	if (got < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "read %s: %m",
				 *value);
	line = (struct span){text, (size_t)got};
	end = span_find(line, '\n');
	line = span_trim(end < 0 ? line : span_take(line, (size_t)end));
	if (line.len == 0 || line.len > HOST_NAME_MAX_BYTES ||
	    span_find(line, '\0') >= 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: the first line is not a domain name",
				 *value);
	*value = mem_span_dup(priv, line);
	return RC_OK;
}

static enum rc check_name(const char *param, const char *name,
			  struct fault *fault)
{
	struct span rest = span_from(name), label;
	bool good = rest.len > 0 && rest.len <= HOST_NAME_MAX_BYTES;

	while (good && span_cut(&rest, '.', &label)) {
		good = label.len > 0 && label.len <= 63 &&
		       label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';
		for (size_t i = 0; good && i < label.len; i++)
			good = ascii_is_alnum(label.ptr[i]) ||
			       strchr("-_", label.ptr[i]) != NULL ||
			       (label.ptr[i] & 0x80) != 0;
	}
	if (good)
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 "%s = %s: not a host name: set it to a name such as "
			 "mail.example.com",
			 param, name);
}

enum rc conf_host_check(const struct conf *conf, struct fault *fault)
{
	if (conf->v.myhostname == NULL || conf->v.mydomain == NULL)
		return RC_OK; /* said already */
	if (check_name("myhostname", conf->v.myhostname, fault) != RC_OK ||
	    check_name("mydomain", conf->v.mydomain, fault) != RC_OK)
		return RC_CONF;
	return RC_OK;
}
