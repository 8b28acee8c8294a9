/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sasl_answer - one line of Dovecot's authentication server.
 *
 * Shape    MECH <tab> PLAIN <tab> plaintext
 *          OK <tab> 1 <tab> user=jo
 *          FAIL <tab> 1 <tab> user=jo <tab> temp <tab> reason=...
 *          CONT <tab> 1 <tab> BASE64
 *          without the line end; bytes 1 tab, 1 n, ... stand for tabs, line
 *          ends
 * Owner    spans point into the line
 * See      "Dovecot Authentication Protocol v1.1"
 */
#pragma once

#include "base/span.h"

enum sasl_answer_kind {
	SASL_IGNORED, /* SPID, CUID, COOKIE, what is not known */
	SASL_VERSION,
	SASL_MECHANISM,
	SASL_DONE,
	SASL_OK,
	SASL_FAIL,
	SASL_CONT,
};

/* What a mechanism is like. */
enum sasl_property {
	SASL_PLAINTEXT = 1,
	SASL_ANONYMOUS = 2,
	SASL_DICTIONARY = 4,
	SASL_ACTIVE = 8,
	SASL_FORWARD_SECRECY = 16,
	SASL_MUTUAL_AUTH = 32,
	SASL_PRIVATE = 64, /* not to be announced */
};

struct sasl_answer {
	enum sasl_answer_kind kind;
	uint32_t id;	    /* of the request; or the major version */
	int properties;	    /* SASL_MECHANISM */
	struct span name;   /* of the mechanism */
	struct span user;   /* ptr NULL: not said */
	struct span reason; /* of a FAIL */
	struct span data;   /* of a CONT, as it goes to the client */
	bool temporary;
};

/* False: not such a line. */
MUST_CHECK bool sasl_answer_parse(struct span line,
				  struct sasl_answer *ret_answer);
