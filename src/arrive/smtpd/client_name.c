/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/client_name.h"

#include "arrive/smtpd/rehearsal.h"
#include "sys/log.h"

/* What is under way: first the name of the address, then the addresses of that
 * name. A child of the session. */
struct client_naming {
	struct net_address address;
	const char *name;	     /* NULL: not known yet */
	struct dns_lookup *pointer;  /* PTR */
	struct dns_lookup *hosts[2]; /* AAAA and A */
	struct dns_host *in_hosts_file;
};

static void wake(void *arg)
{
	struct smtpd_session *s = arg;

	workers_wake(s->server->workers, s->ws.handle);
}

/* Is the answer there? If not, the session is to wait for it. */
static bool is_ready(struct smtpd_session *s, struct dns_lookup *lookup)
{
	if (s->server->workers == NULL || dns_lookup_ready(lookup, wake, s))
		return true;
	s->waits_until_ms = dns_lookup_deadline_ms(lookup);
	return false;
}

static bool is_in(const struct dns_answer *answer,
		  const struct net_address *address)
{
	for (size_t i = 0; i < answer->count; i++)
		if (net_address_eq(&answer->records[i].address, address))
			return true;
	return false;
}

static bool is_in_hosts_file(const struct client_naming *naming)
{
	const struct dns_host *host = naming->in_hosts_file;

	for (size_t i = 0; i < host->count; i++)
		if (net_address_eq(&host->addresses[i], &naming->address))
			return true;
	return false;
}

static enum rc hosts_say(struct smtpd_session *s,
			 const struct client_naming *naming,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	bool found = false, temporary = false;

	if (naming->in_hosts_file != NULL) {
		fault->text[0] = '\0';
		return is_in_hosts_file(naming) ? RC_OK : RC_PERM;
	}
	for (size_t i = 0; i < ARRAY_LEN(naming->hosts); i++) {
		struct dns_answer *answer;
		struct fault one = { 0 };
		enum rc rc =
			dns_lookup_end(tmp, naming->hosts[i], &answer, &one);

		if (rc == RC_OK && is_in(answer, &naming->address))
			return RC_OK;
		found |= rc == RC_OK;
		if (rc != RC_OK && !temporary)
			*fault = one;
		temporary |= rc != RC_OK && rc != RC_NONE;
	}
	if (found)
		fault->text[0] = '\0';
	return temporary && !found ? RC_TEMP : RC_PERM;
}

/* The name must lead back to the address. */
static void conclude(struct smtpd_session *s)
{
	struct client_naming *naming = s->naming;
	struct fault fault = { 0 };

	s->client_name_rc = hosts_say(s, naming, &fault);
	if (s->client_name_rc == RC_OK)
		session_set_text(s, &s->client_name, naming->name);
	else
		log_warning("hostname %s does not resolve to address %s%s%s",
			    naming->name, s->client_address,
			    fault.text[0] != '\0' ? ": " : "", fault.text);
	TALLOC_FREE(s->naming);
}

static bool have_name(struct smtpd_session *s, const char *name)
{
	struct client_naming *naming = s->naming;
	struct dns *dns = s->server->dns;
	struct fault fault = { 0 };

	if (!dns_name_is_valid(span_from(name))) {
		TALLOC_FREE(s->naming);
		return true;
	}
	naming->name = name;
	session_set_text(s, &s->reverse_name, name);
	s->reverse_name_rc = RC_OK;
	if (dns_hosts_file_addresses(naming, dns, name,
				     &naming->in_hosts_file) == RC_OK)
		return true;
	if (dns_lookup_begin(naming, dns, name, DNS_AAAA, &naming->hosts[0],
			     &fault) == RC_OK &&
	    dns_lookup_begin(naming, dns, name, DNS_A, &naming->hosts[1],
			     &fault) == RC_OK)
		return true;
	log_warning("%s: %s", s->client_address, fault.text);
	s->client_name_rc = RC_TEMP;
	TALLOC_FREE(s->naming);
	return true;
}

/* The answer to PTR. */
static bool take_pointer(struct smtpd_session *s)
{
	struct client_naming *naming = s->naming;
	struct dns_answer *answer;
	struct fault fault = { 0 };
	enum rc rc;

	if (!is_ready(s, naming->pointer))
		return false;
	rc = dns_lookup_end(naming, naming->pointer, &answer, &fault);
	TALLOC_FREE(naming->pointer);
	if (rc == RC_OK)
		return have_name(s, answer->records[0].name);
	if (rc != RC_NONE)
		s->client_name_rc = s->reverse_name_rc = RC_TEMP;
	TALLOC_FREE(s->naming);
	return true;
}

static void begin(struct smtpd_session *s)
{
	struct client_naming *naming = mem_new(s, struct client_naming);
	struct dns *dns = s->server->dns;
	char reverse[NET_REVERSE_TEXT_MAX];
	struct fault fault = { 0 };
	const char *name;

	s->naming = naming;
	if (!net_address_parse(span_from(s->client_address),
			       &naming->address)) {
		TALLOC_FREE(s->naming);
		return;
	}
	if (dns_hosts_file_name(naming, dns, &naming->address, &name) ==
	    RC_OK) {
		(void)!have_name(s, name);
		return;
	}
	if (dns_lookup_begin(naming, dns,
			     net_address_reverse(&naming->address, reverse),
			     DNS_PTR, &naming->pointer, &fault) == RC_OK)
		return;
	log_warning("%s: %s", s->client_address, fault.text);
	s->client_name_rc = s->reverse_name_rc = RC_TEMP;
	TALLOC_FREE(s->naming);
}

void client_name_unknown(struct smtpd_session *s)
{
	session_set_text(s, &s->client_name, "unknown");
	session_set_text(s, &s->reverse_name, "unknown");
	s->client_name_rc = s->reverse_name_rc = RC_PERM;
}

bool client_name_find(struct smtpd_session *s)
{
	struct smtpd_server *server = s->server;

	if (server->rehearsal != NULL && server->rehearsal->name != NULL)
		return true; /* told by rehearsal_learn */
	if (s->naming == NULL) {
		client_name_unknown(s);
		if (server->dns == NULL ||
		    !server->conf->v.smtpd_peername_lookup)
			return true;
		begin(s);
	}
	if (s->naming != NULL && s->naming->pointer != NULL && !take_pointer(s))
		return false;
	if (s->naming == NULL)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(s->naming->hosts); i++)
		if (s->naming->hosts[i] != NULL &&
		    !is_ready(s, s->naming->hosts[i]))
			return false;
	conclude(s);
	return true;
}
