/* SPDX-License-Identifier: Apache-2.0 */
/* check_policy_service: what is asked, and what comes of the answer. */
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "rule/policy_client.h"
#include "rule/restriction_access.h"
#include "rule/restriction_rules.h"
#include "rule/restriction_trace.h"

enum { REQUEST_MAX_BYTES = 64 * 1024 };

/* A value is one line, whatever somebody put into it. */
static void add(struct buf *out, const char *name, const char *value)
{
	struct span rest = span_from(value == NULL ? "" : value);

	buf_addf(out, "%s=", name);
	for (size_t i = 0; i < rest.len; i++)
		buf_add_char(out, rest.ptr[i] == '\n' ? '?' : rest.ptr[i]);
	buf_add_char(out, '\n');
}

static void add_number(struct buf *out, const char *name, uint64_t value)
{
	buf_addf(out, "%s=%llu\n", name, (unsigned long long)value);
}

/* Names in a certificate: what is not plain text as +XX. */
static void add_xtext(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "%s=", name);
	for (const char *c = value == NULL ? "" : value; *c != '\0'; c++) {
		unsigned char byte = (unsigned char)*c;

		if (byte < 33 || byte > 126 || byte == '+' || byte == '=')
			buf_addf(out, "+%02X", byte);
		else
			buf_add_char(out, *c);
	}
	buf_add_char(out, '\n');
}

static void add_session(struct buf *out, const struct restriction_request *req)
{
	const char *state = req->state == NULL ? "" : req->state;
	bool content = strcmp(state, "DATA") == 0 ||
		       strcmp(state, "BDAT") == 0 ||
		       strcmp(state, "END-OF-MESSAGE") == 0;

	add(out, "request", "smtpd_access_policy");
	add(out, "protocol_state", strcmp(state, "BDAT") == 0 ? "DATA" : state);
	add(out, "protocol_name", req->protocol);
	add(out, "client_address", req->client_address);
	add(out, "client_name", req->client_name);
	add(out, "client_port", req->client_port);
	add(out, "reverse_client_name", req->reverse_name);
	add(out, "server_address", req->server_address);
	add(out, "server_port", req->server_port);
	add(out, "helo_name", req->helo);
	add(out, "sender", req->sender);
	add(out, "recipient", req->recipient);
	add_number(out, "recipient_count", content ? req->recipient_count : 0);
	add(out, "queue_id", req->queue_id);
	add(out, "instance", req->instance);
	add_number(out, "size", req->size_bytes);
	add(out, "etrn_domain", req->etrn_domain);
}

static void add_security(struct buf *out, const struct restriction_request *req)
{
	add(out, "sasl_method", req->sasl_method);
	add(out, "sasl_username", req->sasl_username);
	add(out, "sasl_sender", req->sasl_sender);
	add_xtext(out, "ccert_subject",
		  req->cert_trusted ? req->cert_subject : "");
	add_xtext(out, "ccert_issuer",
		  req->cert_trusted ? req->cert_issuer : "");
	add(out, "ccert_fingerprint", req->cert_fingerprint);
	add(out, "ccert_pubkey_fingerprint", req->pubkey_fingerprint);
	add(out, "encryption_protocol", req->tls_protocol);
	add(out, "encryption_cipher", req->tls_cipher);
	add_number(out, "encryption_keysize", (uint64_t)req->tls_key_bits);
	add(out, "tls_sni", req->tls_sni);
}

static struct span request_make(struct evaluation *ev,
				const struct policy_options *options)
{
	const struct conf *conf = ev->set->conf;
	struct buf out;

	buf_init(&out, ev->mem, REQUEST_MAX_BYTES);
	add_session(&out, ev->request);
	add(&out, "stress", conf_text(conf, "stress"));
	add_security(&out, ev->request);
	add(&out, "policy_context", options->policy_context);
	add(&out, "compatibility_level",
	    conf_text(conf, "compatibility_level"));
	add(&out, "mail_version", conf_text(conf, "mail_version"));
	buf_add_char(&out, '\n');
	return buf_span(&out);
}

/* "127.0.0.1:10023: Connection refused", as the reference names it. */
static const char *why_failed(struct evaluation *ev,
			      const struct policy_client *client,
			      const struct fault *fault)
{
	struct span name = span_from(policy_client_name(client));
	struct span why = span_from(fault->text);

	if (span_starts(why, name.ptr))
		why = span_skip(why, name.len + 2);
	if (span_starts(name, "inet:") || span_starts(name, "unix:"))
		name = span_skip(name, 5);
	return mem_printf(ev->memo, "%.*s: %.*s", SPAN_FMT(name),
			  SPAN_FMT(why));
}

/* Up to try_limit times; between them the session waits without a thread.
 * RULE_WAIT, or step->done with step->text: NULL when there is no answer. */
static enum rule_result ask(struct evaluation *ev, struct policy_client *client,
			    struct rule_step *step, struct span request)
{
	const struct policy_options *options = policy_client_options(client);
	struct span action;

	while (!step->done) {
		struct fault fault = { 0 };

		if (step->begun && ev->request->waiter != NULL &&
		    clock_mono_ms() < step->until_ms)
			return rule_wait_until(ev, step->until_ms);
		if (policy_client_ask(client, ev->mem, request, &action,
				      &fault) == RC_OK) {
			step->text = mem_span_dup(ev->memo, action);
			step->done = true;
			break;
		}
		step->trouble = why_failed(ev, client, &fault);
		step->begun = true;
		step->done = ++step->count >= options->try_limit;
		step->until_ms = clock_mono_ms() +
				 (uint64_t)options->retry_delay_s * 1000;
	}
	return RULE_DUNNO;
}

static enum rule_result act(struct evaluation *ev, const struct rule_item *item,
			    const char *action)
{
	struct access access;

	access_init(&access, ev, item, ev->class);
	access.subject = ev->subject;
	access.source = policy_client_name(item->policy);
	return access_act(&access, span_from(action));
}

enum rule_result rule_run_policy(struct evaluation *ev,
				 const struct rule_item *item)
{
	const struct policy_options *options =
		policy_client_options(item->policy);
	const char *name = policy_client_name(item->policy);
	struct rule_step *step = rule_step_take(ev);
	struct span request = request_make(ev, options), answer = { "", 0 };
	enum rule_result result;
	bool before = ev->in_policy, stood_in = false;
	enum rc rc = RC_OK;

	if (!step->done) {
		stood_in = trace_stand_in(ev->mem, TRACE_POLICY, name, request,
					  &answer, &rc);
		step->done = stood_in;
		if (stood_in && rc == RC_OK)
			step->text = mem_span_dup(ev->memo, answer);
		if (ask(ev, item->policy, step, request) == RULE_WAIT)
			return RULE_WAIT;
	}
	if (step->trouble != NULL)
		rule_note(ev, "warning", "problem talking to server %s",
			  step->trouble);
	answer = span_from(step->text == NULL ? "" : step->text);
	trace_answer(TRACE_POLICY, name, request,
		     step->text == NULL ? RC_TEMP : RC_OK, answer, stood_in);
	if (step->text != NULL)
		return act(ev, item, step->text);
	ev->in_policy = true;
	result = act(ev, item,
		     before ? "451 4.3.5 Server configuration problem"
			    : options->default_action);
	ev->in_policy = before;
	return result;
}
