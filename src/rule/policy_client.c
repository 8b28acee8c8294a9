/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/policy_client.h"

#include <pthread.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/endpoint.h"

struct connection {
	struct net_stream *stream;
	uint64_t made_ms, used_ms;
	int requests;
	struct connection *next;
};

struct policy_client {
	const char *name;
	struct policy_options options;
	struct net_endpoint *endpoint;
	pthread_mutex_t lock;	 /* policy_idle: the list */
	struct connection *idle; /* the last used first; no talloc parents */
};

/* ---- opening ---- */

static enum rc set_option(struct policy_options *options, TALLOC_CTX *mem,
			  struct span name, struct span value,
			  struct fault *fault)
{
	const struct {
		const char *name;
		int *seconds, *number;
		const char **text;
	} known[] = {
		{ "timeout", &options->timeout_s, NULL, NULL },
		{ "max_idle", &options->max_idle_s, NULL, NULL },
		{ "max_ttl", &options->max_ttl_s, NULL, NULL },
		{ "retry_delay", &options->retry_delay_s, NULL, NULL },
		{ "request_limit", NULL, &options->request_limit, NULL },
		{ "try_limit", NULL, &options->try_limit, NULL },
		{ "default_action", NULL, NULL, &options->default_action },
		{ "policy_context", NULL, NULL, &options->policy_context },
	};
	uint64_t number;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!span_is(name, known[i].name))
			continue;
		if (known[i].seconds != NULL)
			return conf_parse_time(value, 's', known[i].seconds,
					       fault);
		if (known[i].text != NULL) {
			*known[i].text = mem_span_dup(mem, value);
			return RC_OK;
		}
		if (!span_to_u64(value, INT32_MAX, &number))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "\"%.*s\" is not a number",
					 SPAN_FMT(value));
		*known[i].number = (int)number;
		return RC_OK;
	}
	return fault_set(fault, RC_CONF, "4.3.5",
			 "policy service: unexpected option \"%.*s\"",
			 SPAN_FMT(name));
}

/* "name=value" or "{ name = value }", commas and blanks between them. */
static bool next_option(struct span *rest, struct span *ret_option)
{
	ssize_t end;

	while (rest->len > 0 &&
	       (rest->ptr[0] == ',' || ascii_is_space(rest->ptr[0])))
		*rest = span_skip(*rest, 1);
	if (rest->len == 0)
		return false;
	if (rest->ptr[0] == '{') {
		end = span_find(*rest, '}');
		*ret_option = span_trim(span_skip(
			end < 0 ? *rest : span_take(*rest, (size_t)end), 1));
		*rest = end < 0 ? span_skip(*rest, rest->len)
				: span_skip(*rest, (size_t)end + 1);
		return true;
	}
	return span_token(rest, ", \t\r\n", ret_option);
}

static enum rc set_options(struct policy_client *client, struct span rest,
			   struct fault *fault)
{
	struct span option, name;

	while (next_option(&rest, &option)) {
		enum rc rc;

		if (span_find(option, '=') < 0)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "policy service %s: \"%.*s\" is not "
					 "name = value",
					 client->name, SPAN_FMT(option));
		(void)span_cut(&option, '=', &name);
		rc = set_option(&client->options, client, span_trim(name),
				span_trim(option), fault);
		if (rc != RC_OK)
			return fault_add(fault, "policy service %s",
					 client->name);
	}
	if (client->options.timeout_s <= 0 || client->options.try_limit <= 0 ||
	    client->options.retry_delay_s <= 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "policy service %s: timeout, try_limit and "
				 "retry_delay must not be zero",
				 client->name);
	return RC_OK;
}

static int client_close(struct policy_client *client)
{
	while (client->idle != NULL) {
		struct connection *next = client->idle->next;

		talloc_free(client->idle);
		client->idle = next;
	}
	pthread_mutex_destroy(&client->lock);
	return 0;
}

enum rc policy_client_open(TALLOC_CTX *mem, const struct conf *conf,
			   const char *text, struct policy_client **ret_client,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct policy_client *client = mem_new(tmp, struct policy_client);
	const struct conf_values *v = &conf->v;
	struct span rest = span_from(text), name;
	enum rc rc;

	pthread_mutex_init(&client->lock, NULL);
	talloc_set_destructor(client, client_close);
	client->options = (struct policy_options){
		.timeout_s = v->smtpd_policy_service_timeout,
		.max_idle_s = v->smtpd_policy_service_max_idle,
		.max_ttl_s = v->smtpd_policy_service_max_ttl,
		.retry_delay_s = v->smtpd_policy_service_retry_delay,
		.request_limit = v->smtpd_policy_service_request_limit,
		.try_limit = v->smtpd_policy_service_try_limit,
		.default_action = v->smtpd_policy_service_default_action,
		.policy_context = v->smtpd_policy_service_policy_context,
	};
	if (!span_token(&rest, ", \t\r\n", &name))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "empty policy service: \"%s\"", text);
	client->name = mem_span_dup(client, name);
	rc = set_options(client, rest, fault);
	if (rc != RC_OK)
		return rc;
	rc = net_endpoint_parse(client, name, 0,
				client->options.timeout_s * 1000,
				&client->endpoint, fault);
	if (rc == RC_OK)
		*ret_client = talloc_steal(mem, client);
	return rc;
}

const char *policy_client_name(const struct policy_client *client)
{
	return client->name;
}

const struct policy_options *
policy_client_options(const struct policy_client *client)
{
	return &client->options;
}

/* ---- connections ---- */

static bool is_worn_out(const struct policy_client *client,
			const struct connection *c, uint64_t now_ms)
{
	const struct policy_options *o = &client->options;

	return now_ms - c->used_ms >= (uint64_t)o->max_idle_s * 1000 ||
	       now_ms - c->made_ms >= (uint64_t)o->max_ttl_s * 1000 ||
	       (o->request_limit > 0 && c->requests >= o->request_limit);
}

/* One that can be used, or NULL; the others that cannot are closed. */
static struct connection *take_idle(struct policy_client *client)
{
	struct connection *c = NULL, *closing = NULL, **link, *next;
	uint64_t now_ms = clock_mono_ms();

	pthread_mutex_lock(&client->lock);
	for (link = &client->idle; *link != NULL;) {
		next = *link;
		if (is_worn_out(client, next, now_ms)) {
			*link = next->next;
			next->next = closing;
			closing = next;
		} else {
			link = &next->next;
		}
	}
	c = client->idle;
	if (c != NULL)
		client->idle = c->next;
	pthread_mutex_unlock(&client->lock);
	for (; closing != NULL; closing = next) {
		next = closing->next;
		talloc_free(closing);
	}
	if (c != NULL && net_stream_is_stale(c->stream)) {
		talloc_free(c);
		return take_idle(client);
	}
	return c;
}

static void give_back(struct policy_client *client, struct connection *c)
{
	c->used_ms = clock_mono_ms();
	c->requests++;
	if (is_worn_out(client, c, c->used_ms)) {
		talloc_free(c);
		return;
	}
	pthread_mutex_lock(&client->lock);
	c->next = client->idle;
	client->idle = c;
	pthread_mutex_unlock(&client->lock);
}

static enum rc connection_new(struct policy_client *client,
			      struct connection **ret_connection,
			      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct connection *c = mem_new(tmp, struct connection);
	enum rc rc =
		net_endpoint_connect(c, client->endpoint, &c->stream, fault);

	if (rc != RC_OK)
		return rc;
	c->made_ms = c->used_ms = clock_mono_ms();
	*ret_connection = talloc_steal(NULL, c);
	return RC_OK;
}

/* ---- asking ---- */

static enum rc exchange(struct connection *c, TALLOC_CTX *mem,
			struct span request, struct span *ret_action,
			struct fault *fault)
{
	struct span line = { "", 0 };
	struct buf lines;
	enum rc rc;

	buf_init(&lines, mem,
		 (size_t)POLICY_LINE_MAX_BYTES * POLICY_REPLY_LINES_MAX);
	rc = net_stream_write(c->stream, request, fault);
	if (rc == RC_OK)
		rc = net_stream_flush(c->stream, fault);
	for (int count = 0; rc == RC_OK; count++) {
		if (count == POLICY_REPLY_LINES_MAX)
			return fault_set(fault, RC_TEMP, "4.3.5",
					 "malformed reply: too many lines");
		rc = net_stream_read_line(c->stream, POLICY_LINE_MAX_BYTES,
					  &line, fault);
		if (rc != RC_OK || line.len == 0)
			break;
		buf_add(&lines, line);
		buf_add_char(&lines, '\n');
	}
	if (rc == RC_OK)
		return policy_reply_parse(buf_span(&lines), ret_action, fault);
	if (rc == RC_NONE)
		fault_set(fault, RC_TEMP, "4.3.5", "connection closed");
	return RC_TEMP;
}

enum rc policy_client_ask(struct policy_client *client, TALLOC_CTX *mem,
			  struct span request, struct span *ret_action,
			  struct fault *fault)
{
	struct connection *c = take_idle(client);
	enum rc rc = RC_TEMP;

	if (c != NULL) {
		rc = exchange(c, mem, request, ret_action, fault);
		if (rc == RC_OK) {
			give_back(client, c);
			return RC_OK;
		}
		/* it may have been closed just now; one that only says nothing
		 * is not asked again */
		rc = net_stream_trouble(c->stream) == NET_LOST ||
				     (fault != NULL &&
				      span_is(span_from(fault->text),
					      "connection closed"))
			     ? RC_NONE
			     : RC_TEMP;
		talloc_free(c);
		if (rc == RC_TEMP)
			return rc;
	}
	rc = connection_new(client, &c, fault);
	if (rc != RC_OK)
		return RC_TEMP;
	rc = exchange(c, mem, request, ret_action, fault);
	if (rc == RC_OK)
		give_back(client, c);
	else
		talloc_free(c);
	return rc;
}
