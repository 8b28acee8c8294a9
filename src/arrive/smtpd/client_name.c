/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/client_name.h"

#include "sys/log.h"

static bool has_address(const struct dns_host *host,
			const struct net_address *address)
{
	for (size_t i = 0; i < host->count; i++)
		if (net_address_eq(&host->addresses[i], address))
			return true;
	return false;
}

/* The name must lead back to the address. */
static enum rc verify(struct smtpd_session *s, TALLOC_CTX *tmp,
		      const char *name, const struct net_address *address)
{
	struct dns_host *host = NULL;
	struct fault fault = { 0 };
	enum rc rc;

	rc = dns_host_addresses(tmp, s->server->dns, name, DNS_BOTH, &host,
				&fault);
	if (rc == RC_OK && has_address(host, address))
		return RC_OK;
	if (rc == RC_OK)
		log_warning("hostname %s does not resolve to address %s", name,
			    s->client_address);
	else
		log_warning("hostname %s does not resolve to address %s: %s",
			    name, s->client_address, fault.text);
	return rc == RC_TEMP ? RC_TEMP : RC_PERM;
}

void client_name_find(struct smtpd_session *s)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct fault fault = { 0 };
	struct net_address address;
	const char *name = NULL;
	enum rc rc = RC_NONE;

	if (s->server->rehearsal != NULL)
		return; /* told by rehearsal_learn */
	s->client_name = s->reverse_name = NULL;
	s->client_name_rc = s->reverse_name_rc = RC_PERM;
	if (s->server->dns != NULL &&
	    s->server->conf->v.smtpd_peername_lookup &&
	    net_address_parse(span_from(s->client_address), &address))
		rc = dns_address_name(tmp, s->server->dns, &address, &name,
				      &fault);
	if (rc == RC_OK && dns_name_is_valid(span_from(name))) {
		s->reverse_name = mem_strdup(s, name);
		s->reverse_name_rc = RC_OK;
		s->client_name_rc = verify(s, tmp, name, &address);
		if (s->client_name_rc == RC_OK)
			s->client_name = mem_strdup(s, name);
	} else if (rc == RC_TEMP) {
		s->client_name_rc = s->reverse_name_rc = RC_TEMP;
	}
	if (s->reverse_name == NULL)
		s->reverse_name = mem_strdup(s, "unknown");
	if (s->client_name == NULL)
		s->client_name = mem_strdup(s, "unknown");
}
