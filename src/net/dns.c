/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include <fcntl.h>
#include <unbound.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/dns_priv.h"
#include "sys/files.h"
#include "sys/trace.h"

enum {
	TIMEOUT_MS = 20 * 1000,
	CONF_MAX_BYTES = 64 * 1024,
	SERVERS_MAX = 8,
	ANCHORS_MAX = 64,
	RECORDS_MAX = 100,
	NAME_MAX_BYTES = 253,
	LABEL_MAX_BYTES = 63,
	DNS_RCODE_OK = 0,
	DNS_RCODE_NO_NAME = 3,
};

/* The servers of resolv.conf, as libunbound names them. */
static const char **servers_read(TALLOC_CTX *mem, const char *path,
				 size_t *ret_count)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char **servers = mem_array(mem, const char *, SERVERS_MAX);
	struct span text, line, word;
	size_t count = 0;

	if (file_read(tmp, AT_FDCWD, path, CONF_MAX_BYTES, &text, NULL) !=
	    RC_OK)
		text = SPAN_OF("");
	while (span_cut(&text, '\n', &line)) {
		if (!span_token(&line, " \t\r", &word) ||
		    !span_is(word, "nameserver") ||
		    !span_token(&line, " \t\r", &word) || count == SERVERS_MAX)
			continue;
		servers[count++] = mem_span_dup(mem, word);
	}
	if (count == 0)
		servers[count++] = mem_strdup(mem, "127.0.0.1");
	*ret_count = count;
	return servers;
}

/* The records of a trust anchor file, one a line. */
static enum rc anchors_read(TALLOC_CTX *mem, const char *path,
			    const char *const **ret_anchors,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char **anchors = mem_array(mem, const char *, ANCHORS_MAX + 1);
	struct span text, line, record;
	size_t count = 0;

	if (file_read(tmp, AT_FDCWD, path, CONF_MAX_BYTES, &text, fault) !=
	    RC_OK)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "DNSSEC needs the root trust anchor %s "
				 "(dns-root-data)",
				 path);
	while (span_cut(&text, '\n', &line)) {
		if (!span_cut(&line, ';', &record))
			continue;
		record = span_trim(record);
		if (record.len > 0 && count < ANCHORS_MAX)
			anchors[count++] = mem_span_dup(anchors, record);
	}
	if (count == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "no trust anchor in %s", path);
	*ret_anchors = anchors;
	return RC_OK;
}

static const char *path_or(const char *path, const char *otherwise)
{
	return path != NULL ? path : otherwise;
}

enum rc dns_open(TALLOC_CTX *mem, const struct dns_config *config,
		 struct dns **ret_dns, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns *dns = mem_new(tmp, struct dns);
	const char *const *anchors = NULL;
	const char **servers;
	size_t count;

	if (config->dnssec) {
		enum rc rc = anchors_read(dns,
					  path_or(config->trust_anchor_path,
						  "/usr/share/dns/root.key"),
					  &anchors, fault);

		if (rc != RC_OK)
			return rc;
	}
	dns->timeout_ms =
		config->timeout_ms > 0 ? config->timeout_ms : TIMEOUT_MS;
	dns->hosts = hosts_new(dns, path_or(config->hosts_path, "/etc/hosts"));
	servers = servers_read(
		dns, path_or(config->resolv_conf_path, "/etc/resolv.conf"),
		&count);
	dns->asker = dns_asker_new(dns, servers, count, anchors);
	dns->cache = dns_cache_new(dns);
	*ret_dns = talloc_steal(mem, dns);
	return RC_OK;
}

/* Can it be asked for at all? */
static bool name_can_be(struct span name)
{
	struct span label;

	if (span_ends(name, "."))
		name.len--;
	if (name.len == 0 || name.len > NAME_MAX_BYTES ||
	    span_find(name, '\\') >= 0)
		return false;
	while (span_cut(&name, '.', &label))
		if (label.len == 0 || label.len > LABEL_MAX_BYTES)
			return false;
	return true;
}

static enum rc fault_name(struct fault *fault, enum rc rc, const char *name,
			  enum dns_type type, const char *why)
{
	return fault_set(fault, rc, rc == RC_NONE ? "5.4.4" : "4.4.3",
			 "Host or domain name not found. Name service error "
			 "for name=%s type=%s: %s",
			 name, dns_type_name(type), why);
}

static enum rc fault_outcome(struct fault *fault, enum dns_outcome outcome,
			     const char *name, enum dns_type type)
{
	return fault_name(
		fault, RC_NONE, name, type,
		outcome == DNS_NO_NAME
			? "Host not found"
			: "Host found but no data record of requested "
			  "type");
}

static char *name_bare(TALLOC_CTX *mem, const char *name)
{
	struct span span = span_from(name);

	if (span_ends(span, "."))
		span.len--;
	return mem_span_dup(mem, span);
}

/* RC_PERM: a record makes no sense. */
static enum rc records_read(struct dns_answer *answer,
			    const struct ub_result *result)
{
	size_t count = 0;

	while (result->data[count] != NULL && count < RECORDS_MAX)
		count++;
	answer->records = mem_array(answer, struct dns_record, count);
	for (size_t i = 0; i < count; i++) {
		struct span data = { result->data[i], (size_t)result->len[i] };
		struct dns_record *record = &answer->records[answer->count];

		if (!dns_record_read(answer->records,
				     (enum dns_type)result->qtype, data,
				     record))
			return RC_PERM;
		record->ttl_s = (uint32_t)MAX_OF(result->ttl, 0);
		answer->count++;
	}
	return RC_OK;
}

static enum rc answer_read(TALLOC_CTX *mem, const char *name,
			   enum dns_type type, const struct ub_result *result,
			   struct dns_answer **ret_answer, struct fault *fault)
{
	struct dns_answer *answer;
	enum rc rc = RC_OK;

	if (result->bogus)
		return fault_name(fault, RC_TEMP, name, type,
				  "DNSSEC validation failure");
	if (result->rcode != DNS_RCODE_OK && result->rcode != DNS_RCODE_NO_NAME)
		return fault_name(fault, RC_TEMP, name, type,
				  "Host not found, try again");
	answer = mem_new(mem, struct dns_answer);
	answer->secure = result->secure;
	answer->name = name_bare(
		answer, result->canonname != NULL ? result->canonname : name);
	if (result->havedata) {
		rc = records_read(answer, result);
	} else {
		answer->outcome = result->nxdomain ? DNS_NO_NAME : DNS_NO_DATA;
		rc = fault_outcome(fault, answer->outcome, name, type);
	}
	if (rc == RC_PERM) {
		talloc_free(answer);
		return fault_name(fault, RC_TEMP, name, type,
				  "Malformed or unexpected name server reply");
	}
	*ret_answer = answer;
	return rc;
}

struct pending {
	const char *name;
	enum dns_type type;
	bool stood_in; /* told by who stands in for the servers */
	enum rc stand_in_rc;
	struct span stand_in;
	struct dns_answer *kept;       /* from the cache, or NULL */
	struct dns_question *question; /* NULL: kept, or an unusable name */
};

static enum rc pending_begin(TALLOC_CTX *mem, struct dns *dns, const char *name,
			     enum dns_type type, struct pending *ret_pending,
			     struct fault *fault)
{
	*ret_pending = (struct pending){ .name = name, .type = type };
	if (!name_can_be(span_from(name)))
		return RC_OK;
	ret_pending->stood_in = trace_stand_in(
		mem, TRACE_DNS, dns_type_name(type), span_from(name),
		&ret_pending->stand_in, &ret_pending->stand_in_rc);
	if (ret_pending->stood_in)
		return RC_OK;
	ret_pending->kept = dns_cache_find(mem, dns->cache, name, type);
	if (ret_pending->kept != NULL)
		return RC_OK;
	return dns_question_new(mem, dns->asker, name, type,
				&ret_pending->question, fault);
}

static enum rc kept_give(TALLOC_CTX *mem, const struct pending *pending,
			 struct dns_answer **ret_answer, struct fault *fault)
{
	*ret_answer = talloc_steal(mem, pending->kept);
	if (pending->kept->outcome == DNS_FOUND)
		return RC_OK;
	return fault_outcome(fault, pending->kept->outcome, pending->name,
			     pending->type);
}

static enum rc stand_in_give(TALLOC_CTX *mem, const struct pending *pending,
			     struct dns_answer **ret_answer,
			     struct fault *fault)
{
	struct dns_answer *answer = mem_new(mem, struct dns_answer);
	enum rc rc = pending->stand_in_rc;

	answer->name = name_bare(answer, pending->name);
	*ret_answer = answer;
	if (rc == RC_OK && !dns_records_from_text(answer, pending->type,
						  pending->stand_in))
		rc = RC_TEMP;
	if (rc == RC_OK)
		return RC_OK;
	if (rc != RC_NONE)
		return fault_name(fault, RC_TEMP, pending->name, pending->type,
				  "Host not found, try again");
	answer->outcome = pending->stand_in.len > 0 ? DNS_NO_DATA : DNS_NO_NAME;
	return fault_outcome(fault, answer->outcome, pending->name,
			     pending->type);
}

static enum rc pending_find(TALLOC_CTX *mem, struct dns *dns,
			    const struct pending *pending, uint64_t deadline_ms,
			    struct dns_answer **ret_answer, struct fault *fault)
{
	struct ub_result *result;
	enum rc rc;

	if (pending->kept != NULL)
		return kept_give(mem, pending, ret_answer, fault);
	if (pending->question == NULL) {
		struct dns_answer *answer = mem_new(mem, struct dns_answer);

		answer->outcome = DNS_NO_NAME;
		answer->name = mem_strdup(answer, pending->name);
		*ret_answer = answer;
		return fault_outcome(fault, DNS_NO_NAME, pending->name,
				     pending->type);
	}
	rc = dns_question_wait(pending->question, deadline_ms, &result, fault);
	if (rc != RC_OK)
		return fault_name(fault, RC_TEMP, pending->name, pending->type,
				  "Host not found, try again");
	rc = answer_read(mem, pending->name, pending->type, result, ret_answer,
			 fault);
	if (rc == RC_OK || rc == RC_NONE)
		dns_cache_put(dns->cache, pending->name, pending->type,
			      *ret_answer, (uint32_t)MAX_OF(result->ttl, 0));
	return rc;
}

static enum rc pending_end(TALLOC_CTX *mem, struct dns *dns,
			   const struct pending *pending, uint64_t deadline_ms,
			   struct dns_answer **ret_answer, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct fault own = { 0 };
	enum rc rc;

	if (trace_current() == NULL && !pending->stood_in)
		return pending_find(mem, dns, pending, deadline_ms, ret_answer,
				    fault);
	tmp = talloc_new(NULL);
	rc = pending->stood_in ?
		     stand_in_give(mem, pending, ret_answer, &own) :
		     pending_find(mem, dns, pending, deadline_ms, ret_answer,
				  &own);
	trace_answer(TRACE_DNS, dns_type_name(pending->type),
		     span_from(pending->name), rc,
		     rc == RC_OK ? dns_records_to_text(tmp, *ret_answer) :
				   span_from(own.text),
		     pending->stood_in);
	if (rc != RC_OK && fault != NULL)
		*fault = own;
	return rc;
}

static uint64_t deadline_of(const struct dns *dns)
{
	return clock_mono_ms() + (uint64_t)dns->timeout_ms;
}

enum rc dns_query(TALLOC_CTX *mem, struct dns *dns, const char *name,
		  enum dns_type type, struct dns_answer **ret_answer,
		  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct pending pending;
	enum rc rc;

	rc = pending_begin(tmp, dns, name, type, &pending, fault);
	if (rc != RC_OK)
		return rc;
	return pending_end(mem, dns, &pending, deadline_of(dns), ret_answer,
			   fault);
}

struct dns_lookup {
	struct dns *dns;
	struct pending pending;
	uint64_t deadline_ms;
};

enum rc dns_lookup_begin(TALLOC_CTX *mem, struct dns *dns, const char *name,
			 enum dns_type type, struct dns_lookup **ret_lookup,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct dns_lookup *lookup = mem_new(tmp, struct dns_lookup);
	enum rc rc;

	lookup->dns = dns;
	lookup->deadline_ms = deadline_of(dns);
	rc = pending_begin(lookup, dns, mem_strdup(lookup, name), type,
			   &lookup->pending, fault);
	if (rc == RC_OK)
		*ret_lookup = talloc_steal(mem, lookup);
	return rc;
}

bool dns_lookup_ready(struct dns_lookup *lookup, dns_ready_fn *ready, void *arg)
{
	return lookup->pending.question == NULL ||
	       dns_question_done(lookup->pending.question, ready, arg) ||
	       clock_mono_ms() >= lookup->deadline_ms;
}

uint64_t dns_lookup_deadline_ms(const struct dns_lookup *lookup)
{
	return lookup->deadline_ms;
}

enum rc dns_lookup_end(TALLOC_CTX *mem, struct dns_lookup *lookup,
		       struct dns_answer **ret_answer, struct fault *fault)
{
	return pending_end(mem, lookup->dns, &lookup->pending,
			   lookup->deadline_ms, ret_answer, fault);
}

static void host_add(struct dns_host *host, const struct dns_answer *answer)
{
	if (host->name == NULL) {
		host->name = mem_strdup(host, answer->name);
		host->secure = answer->secure;
	}
	host->secure = host->secure && answer->secure;
	host->addresses = mem_resize(host, host->addresses, struct net_address,
				     host->count + answer->count);
	for (size_t i = 0; i < answer->count; i++)
		host->addresses[host->count++] = answer->records[i].address;
}

enum rc dns_host_addresses_dns(TALLOC_CTX *mem, struct dns *dns,
			       const char *name, int families,
			       struct dns_host **ret_host, struct fault *fault)
{
	static const enum dns_type types[] = { DNS_AAAA, DNS_A };
	static const int bits[] = { DNS_IPV6, DNS_IPV4 };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns_host *host = mem_new(tmp, struct dns_host);
	struct pending pending[ARRAY_LEN(types)];
	uint64_t deadline_ms = deadline_of(dns);
	enum rc rc = RC_NONE;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if ((families & bits[i]) != 0 &&
		    pending_begin(tmp, dns, name, types[i], &pending[i],
				  fault) != RC_OK)
			return RC_TEMP;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct dns_answer *answer;
		struct fault one;
		enum rc got;

		if ((families & bits[i]) == 0)
			continue;
		got = pending_end(tmp, dns, &pending[i], deadline_ms, &answer,
				  &one);
		if (got == RC_OK)
			host_add(host, answer);
		else if (rc != RC_TEMP && fault != NULL)
			*fault = one; /* the first, or one to try again */
		if (rc != RC_TEMP)
			rc = got;
	}
	if (host->count == 0)
		return rc;
	*ret_host = talloc_steal(mem, host);
	return RC_OK;
}

enum rc dns_host_addresses(TALLOC_CTX *mem, struct dns *dns, const char *name,
			   int families, struct dns_host **ret_host,
			   struct fault *fault)
{
	struct net_address address;

	if (net_address_parse(span_from(name), &address)) {
		int family =
			address.sa.sa_family == AF_INET ? DNS_IPV4 : DNS_IPV6;
		struct dns_host *host;

		if ((families & family) == 0)
			return fault_outcome(fault, DNS_NO_DATA, name,
					     family == DNS_IPV4 ? DNS_AAAA
								: DNS_A);
		host = mem_new(mem, struct dns_host);
		host->name = mem_strdup(host, name);
		host->addresses = mem_new(host, struct net_address);
		host->addresses[0] = address;
		host->count = 1;
		*ret_host = host;
		return RC_OK;
	}
	if (hosts_addresses(mem, dns->hosts, name, families, ret_host) == RC_OK)
		return RC_OK;
	return dns_host_addresses_dns(mem, dns, name, families, ret_host,
				      fault);
}

enum rc dns_address_name(TALLOC_CTX *mem, struct dns *dns,
			 const struct net_address *address,
			 const char **ret_name, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char reverse[NET_REVERSE_TEXT_MAX];
	struct dns_answer *answer;
	enum rc rc;

	if (hosts_name(mem, dns->hosts, address, ret_name) == RC_OK)
		return RC_OK;
	rc = dns_query(tmp, dns, net_address_reverse(address, reverse), DNS_PTR,
		       &answer, fault);
	if (rc == RC_OK)
		*ret_name = mem_strdup(mem, answer->records[0].name);
	return rc;
}

enum rc dns_hosts_file_name(TALLOC_CTX *mem, struct dns *dns,
			    const struct net_address *address,
			    const char **ret_name)
{
	return hosts_name(mem, dns->hosts, address, ret_name);
}

enum rc dns_hosts_file_addresses(TALLOC_CTX *mem, struct dns *dns,
				 const char *name, struct dns_host **ret_host)
{
	return hosts_addresses(mem, dns->hosts, name, DNS_BOTH, ret_host);
}
