/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attribute - the NAME=value words of XCLIENT and XFORWARD.
 *
 * Shape    NAME=mail.example.test ADDR=IPV6:2001:db8::1 HELO=a+20b
 *          names in any case; values in xtext; [UNAVAILABLE] and [TEMPUNAVAIL]
 *          say that there is none
 * Limits   the line that they came in; a name that is given twice counts as
 *          what was said last
 * Errors   RC_PERM with DSN and text of a 501 reply; then nothing is set
 * Owner    texts are children of mem
 * See      the XCLIENT_README and XFORWARD_README of Postfix
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

enum attribute_name {
	ATTRIBUTE_NAME,
	ATTRIBUTE_ADDR,
	ATTRIBUTE_PORT,
	ATTRIBUTE_PROTO,
	ATTRIBUTE_HELO,
	ATTRIBUTE_REVERSE_NAME,
	ATTRIBUTE_LOGIN,
	ATTRIBUTE_DESTADDR,
	ATTRIBUTE_DESTPORT,
	ATTRIBUTE_IDENT,
	ATTRIBUTE_SOURCE,
	ATTRIBUTE_COUNT,
};

enum attribute_status {
	ATTRIBUTE_NOT_GIVEN,
	ATTRIBUTE_VALUE,
	ATTRIBUTE_UNAVAILABLE,
	ATTRIBUTE_TEMPUNAVAIL,
};

struct attribute {
	enum attribute_status status;
	const char *text; /* ATTRIBUTE_VALUE: without control characters;
			   * addresses in their usual form */
};

struct attributes {
	struct attribute at[ATTRIBUTE_COUNT];
};

enum attribute_command { ATTRIBUTES_XCLIENT, ATTRIBUTES_XFORWARD };

MUST_CHECK enum rc attributes_parse(TALLOC_CTX *mem,
				    enum attribute_command command,
				    struct span args,
				    struct attributes *ret_attributes,
				    struct fault *fault);
/* '?' for all that could be taken for syntax in a log line or a header. */
void attribute_clean_word(char *text);
