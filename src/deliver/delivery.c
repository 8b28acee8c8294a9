/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/delivery.h"

#include <inttypes.h>

#include "base/clock.h"
#include "mail/address.h"
#include "sys/log.h"

enum { REASON_MAX_BYTES = 1000, DELAY_MAX_BYTES = 24 };

enum rc delivery_open(const struct conf *conf, struct delivery_request *request,
		      struct delivery **ret_delivery, struct fault *fault)
{
	struct delivery *d = mem_new(NULL, struct delivery);

	d->conf = conf;
	d->request = talloc_steal(d, request);
	d->handoff_us = clock_wall_us();
	d->open_count = request->recipient_count;
	d->statuses =
	    mem_array(d, struct delivery_status, request->recipient_count + 1);
	d->settled = mem_array(d, uint8_t, request->recipient_count + 1);
	if ((request->env->flags & ENVELOPE_REPORT) != 0)
		d->relays = mem_array(d, const char *,
				      request->recipient_count + 1);
	*ret_delivery = d;
	if (image_open(d, request->fd, request->image_offset, false, &d->image,
		       fault) != RC_OK)
		return fault_add(fault, "queue file of %s", request->queue_id);
	return RC_OK;
}

bool delivery_is_open(const struct delivery *d, size_t recipient)
{
	return d->settled[recipient] == DELIVERY_OPEN;
}

bool delivery_is_probe(const struct delivery *d)
{
	return (d->request->env->flags & ENVELOPE_PROBE) != 0;
}

void delivery_delay_format(char *into, size_t size, int64_t delay_us,
			   int digits)
{
	int64_t unit = 1000000;
	size_t len;
	int shown = 0;

	delay_us = MAX_OF(delay_us, (int64_t)0);
	while (shown < digits && delay_us < unit * 10) {
		unit /= 10;
		shown++;
	}
	delay_us = (delay_us + unit / 2) / unit * unit;
	snprintf(into, size, "%" PRId64 ".%06" PRId64, delay_us / 1000000,
		 delay_us % 1000000);
	len = strlen(into);
	while (into[len - 1] == '0')
		len--;
	if (into[len - 1] == '.')
		len--;
	into[len] = '\0';
}

static void delays_format(struct buf *line, const struct delivery *d)
{
	const int digits = d->conf->v.delay_logging_resolution_limit;
	const struct envelope *env = d->request->env;
	const int64_t now = (int64_t)clock_wall_us();
	const int64_t start =
	    (int64_t)(d->connected_us ? d->connected_us : d->handoff_us);
	const int64_t arrival = (int64_t)env->arrival_us;
	const int64_t active = (int64_t)d->request->active_us;
	const int64_t handoff = (int64_t)d->handoff_us;
	const int64_t delays[] = {
	    now - arrival,   active - arrival, handoff - active,
	    start - handoff, now - start,
	};
	static const char *const before[] = {"delay=", ", delays=", "/", "/",
					     "/"};

	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		char text[DELAY_MAX_BYTES];

		delivery_delay_format(text, sizeof(text), delays[i], digits);
		buf_addf(line, "%s%s", before[i], text);
	}
}

static const char *probe_word(const struct delivery *d,
			      const struct outcome *out)
{
	if (out->action == DELIVERY_SENT)
		return "deliverable";
	if ((d->request->env->flags & ENVELOPE_VERIFY) != 0 &&
	    !d->conf->v.address_verify_negative_cache)
		return "undeliverable-but-not-cached";
	return "undeliverable";
}

static const char *status_word(const struct delivery *d,
			       const struct outcome *out)
{
	if (delivery_is_probe(d))
		return probe_word(d, out);
	switch (out->action) {
	case DELIVERY_SENT:
		return "sent";
	case DELIVERY_DEFERRED:
		return "deferred";
	default:
		return d->conf->v.soft_bounce ? "SOFTBOUNCE" : "bounced";
	}
}

/* info_log_address_format */
static const char *address_shown(TALLOC_CTX *mem, const struct conf *conf,
				 const char *address)
{
	return strcmp(conf->v.info_log_address_format, "internal") == 0
		   ? address
		   : address_quote(mem, span_from(address));
}

static void outcome_log(const struct delivery *d, const struct recipient *to,
			const struct outcome *out)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct buf line;

	buf_init(&line, tmp, 16384);
	buf_addf(&line, "%s: to=<%s>, ", d->request->queue_id,
		 address_shown(tmp, d->conf, to->address));
	if (to->original != NULL && *to->original != '\0' &&
	    !span_is_nocase(span_from(to->original), to->address))
		buf_addf(&line, "orig_to=<%s>, ",
			 address_shown(tmp, d->conf, to->original));
	buf_addf(&line, "relay=%s, ", out->relay != NULL ? out->relay : "none");
	if (out->conn_use > 1)
		buf_addf(&line, "conn_use=%d, ", out->conn_use);
	delays_format(&line, d);
	if (out->tls != NULL)
		buf_addf(&line, ", tls=%s", out->tls);
	buf_addf(&line, ", dsn=%s, status=%s (%s)", out->dsn,
		 status_word(d, out), out->text);
	log_info("%s", buf_text(&line));
}

/* "N.N.N text" to another "N.N.N text" that is as good or as bad. */
static void outcome_filter(struct delivery *d, struct outcome *out)
{
	struct span found, dsn, key;
	struct fault fault;
	enum rc rc;

	if (d->status_filter == NULL || maps_is_empty(d->status_filter))
		return;
	key = span_from(mem_printf(d, "%s %s", out->dsn, out->text));
	rc = maps_lookup(d->status_filter, d, key, &found, &fault);
	if (rc == RC_NONE)
		return;
	if (rc != RC_OK) {
		log_warning("delivery status filter: %s", fault.text);
		return;
	}
	if (!span_token(&found, " \t", &dsn) || dsn.len < 5 ||
	    dsn.len >= DSN_MAX_BYTES ||
	    (dsn.ptr[0] == '2') != (out->action == DELIVERY_SENT) ||
	    strchr("245", dsn.ptr[0]) == NULL) {
		log_warning(
		    "delivery status filter: unusable result for \"%.*s\"",
		    SPAN_FMT(key));
		return;
	}
	out->dsn = mem_span_dup(d, dsn);
	out->text = mem_span_dup(d, span_trim(found));
	if (out->action != DELIVERY_SENT)
		out->action =
		    dsn.ptr[0] == '5' ? DELIVERY_BOUNCED : DELIVERY_DEFERRED;
}

/* The class digit follows what is done; a 5.x.x that waits is a 4.x.x. */
static const char *dsn_of_class(TALLOC_CTX *mem, const char *dsn,
				enum delivery_action action)
{
	static const char class_digit[] = {
	    [DELIVERY_SENT] = '2',
	    [DELIVERY_DEFERRED] = '4',
	    [DELIVERY_BOUNCED] = '5',
	};

	if (dsn == NULL || strlen(dsn) < 5 || strlen(dsn) >= DSN_MAX_BYTES)
		dsn = "5.0.0";
	return mem_printf(mem, "%c%s", class_digit[action], dsn + 1);
}

static const char *text_cut(TALLOC_CTX *mem, const char *text)
{
	return mem_span_dup(mem, span_take(span_from(text), REASON_MAX_BYTES));
}

/* What is really done, once soft_bounce has had its say. */
static enum delivery_action action_final(const struct delivery *d,
					 enum delivery_action action)
{
	return action == DELIVERY_BOUNCED && d->conf->v.soft_bounce &&
		       !delivery_is_probe(d)
		   ? DELIVERY_DEFERRED
		   : action;
}

void delivery_log(struct delivery *d, const char *address, const char *original,
		  struct outcome *out)
{
	const struct recipient to = {.address = address, .original = original};

	outcome_filter(d, out);
	out->dsn = dsn_of_class(d, out->dsn, action_final(d, out->action));
	outcome_log(d, &to, out);
}

void delivery_record(struct delivery *d, size_t recipient,
		     const struct outcome *out)
{
	static const char *const dsn_action[] = {"delivered", "delayed",
						 "failed"};
	const bool probe = delivery_is_probe(d);
	struct delivery_status *status = &d->statuses[recipient];

	assert(d->settled[recipient] == DELIVERY_OPEN);
	status->recipient = d->request->recipient_index[recipient];
	status->action = action_final(d, out->action);
	snprintf(status->dsn, sizeof(status->dsn), "%s",
		 dsn_of_class(d, out->dsn, status->action));
	status->reason = text_cut(d, out->text);
	status->dsn_action = out->dsn_action != NULL
				 ? out->dsn_action
				 : dsn_action[status->action];
	if (probe)
		status->dsn_action = out->action == DELIVERY_SENT
					 ? "deliverable"
					 : "undeliverable";
	if (d->relays != NULL && out->relay != NULL)
		d->relays[recipient] = mem_strdup(d, out->relay);
	if (out->remote_mta != NULL)
		status->remote_mta = mem_strdup(d, out->remote_mta);
	status->diag_type =
	    out->diag_type != NULL ? out->diag_type : "X-Postfix";
	status->diag_text = out->diag_text != NULL ? text_cut(d, out->diag_text)
						   : status->reason;
	d->settled[recipient] = DELIVERY_SETTLED;
	d->open_count--;
}

void delivery_settle(struct delivery *d, size_t recipient,
		     const struct outcome *outcome)
{
	const struct recipient *to = &d->request->recipients[recipient];
	struct outcome out = *outcome;

	delivery_log(d, to->address, to->original, &out);
	delivery_record(d, recipient, &out);
}

void delivery_settle_open(struct delivery *d, const struct outcome *outcome)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		if (delivery_is_open(d, i))
			delivery_settle(d, i, outcome);
}

void delivery_settle_fault(struct delivery *d, size_t recipient,
			   const struct fault *fault, const char *relay)
{
	const struct outcome out = {
	    .action =
		fault->rc == RC_PERM ? DELIVERY_BOUNCED : DELIVERY_DEFERRED,
	    .dsn = fault->dsn,
	    .text = fault->text,
	    .relay = relay,
	};

	delivery_settle(d, recipient, &out);
}

void delivery_report(struct delivery *d, bool done)
{
	if (d->report != NULL && !d->reported_done)
		d->report(d->report_arg, d, done);
	d->reported_done |= done;
	for (size_t i = 0; i < d->request->recipient_count; i++)
		if (d->settled[i] == DELIVERY_SETTLED)
			d->settled[i] = DELIVERY_REPORTED;
}
