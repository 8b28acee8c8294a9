/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/verify_sender.h"

#include "mail/address.h"
#include "rule/rewrite.h"

/* No digits and no vowels: it becomes no word and no extension. */
static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";

enum { PERIOD_TEXT_MAX_BYTES = 24 };

static bool is_null(const char *text)
{
	return text[0] == '\0' || strcmp(text, "<>") == 0;
}

/* The number of the period, lowest letter last. */
static void period_text(uint64_t period, char into[PERIOD_TEXT_MAX_BYTES])
{
	const size_t base = sizeof(letters) - 1;
	char reverse[PERIOD_TEXT_MAX_BYTES];
	size_t len = 0;

	do {
		reverse[len++] = letters[period % base];
		period /= base;
	} while (period > 0 && len < PERIOD_TEXT_MAX_BYTES - 1);
	for (size_t i = 0; i < len; i++)
		into[i] = reverse[len - 1 - i];
	into[len] = '\0';
}

static const char *sender_of_period(TALLOC_CTX *mem, const struct conf *conf,
				    int64_t period)
{
	char text[PERIOD_TEXT_MAX_BYTES] = "";
	const char *whole =
		rewrite_address(mem, conf, REWRITE_LOCAL,
				span_from(conf->v.address_verify_sender));
	struct address_parts parts = address_split(span_from(whole));

	if (conf->v.address_verify_sender_ttl <= 0)
		return whole;
	period_text((uint64_t)MAX_OF(period, (int64_t)0), text);
	return mem_printf(mem, "%.*s%s@%.*s", SPAN_FMT(parts.local), text,
			  SPAN_FMT(parts.domain));
}

const char *verify_sender_make(TALLOC_CTX *mem, const struct conf *conf,
			       int64_t now_s)
{
	int ttl_s = conf->v.address_verify_sender_ttl;

	if (is_null(conf->v.address_verify_sender))
		return "";
	return sender_of_period(mem, conf, ttl_s > 0 ? now_s / ttl_s : 0);
}

bool verify_sender_is(const struct conf *conf, struct span address,
		      int64_t now_s)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	int ttl_s = conf->v.address_verify_sender_ttl;
	int64_t period = ttl_s > 0 ? now_s / ttl_s : 0;
	struct address_parts parts;
	const char *whole;

	if (address.len == 0 || is_null(conf->v.address_verify_sender))
		return false;
	/* Almost every address is told apart by this. */
	parts = address_split(span_from(conf->v.address_verify_sender));
	if (!span_starts_nocase(address,
				mem_span_dup(tmp = talloc_new(NULL),
					     parts.local)))
		return false;
	whole = rewrite_address(tmp, conf, REWRITE_LOCAL, address);
	for (int64_t p = MAX_OF(period - 1, (int64_t)0); p <= period + 1; p++) {
		if (span_is_nocase(span_from(whole),
				   sender_of_period(tmp, conf, p)))
			return true;
		if (ttl_s <= 0)
			break;
	}
	return false;
}
