/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address - mail addresses: read from SMTP, split, quoted and unquoted.
 *
 * Shape    external: "jo smith"@example.test, as on the wire and in headers
 *          internal: jo smith@example.test, nothing quoted; what tables, queue
 *          and rules work with; the last @ divides local part and domain
 *          "" is the null sender
 * Units    bytes; an address longer than ADDRESS_MAX_BYTES is refused
 * Errors   RC_PERM not an address; text says what is wrong with it
 * Owner    answers are children of mem
 * Threads  no state
 * See      RFC 5321 section 4.1.2, RFC 6531
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"

enum { ADDRESS_MAX_BYTES = 2048 };

enum address_parse_flags {
	ADDRESS_STRICT = 1,   /* strict_rfc821_envelopes: <> and no comments */
	ADDRESS_NULL_OK = 2,  /* <> is allowed (MAIL FROM) */
	ADDRESS_UTF8 = 4,     /* smtputf8_enable: what is above 127 must be
			       * UTF-8; without it any byte passes */
	ADDRESS_MINUS_OK = 8, /* allow_min_user: may start with "-" */
};

/* Read the path of MAIL FROM: or RCPT TO: and give its internal form. Source
 * routes are kept out: <@a,@b:jo@c> is jo@c. Without ADDRESS_STRICT the forms
 * that clients get wrong are taken too: no <>, comments, display names. */
MUST_CHECK enum rc address_parse_path(TALLOC_CTX *mem, struct span path,
				      int flags, struct span *ret_address,
				      struct fault *fault);

/* External to internal form and back. Text that is not well formed comes out
 * as well as it can be read. */
char *address_unquote(TALLOC_CTX *mem, struct span external);
char *address_quote(TALLOC_CTX *mem, struct span internal);
/* The same into a buffer, without an allocation of its own. */
bool address_quote_add(struct buf *out, struct span internal);
/* Would address_quote change it? */
bool address_needs_quotes(struct span internal);

struct address_parts {
	struct span local;
	struct span domain; /* empty when there is none */
	bool has_domain;    /* true for "jo@" too */
};

/* Internal form; the last @ divides. The spans point into the address. */
struct address_parts address_split(struct span address);

/* Divide a local part at its first recipient delimiter that is not its first
 * byte: jo+list is jo and list. false, with nothing written, when there is
 * none; for double-bounce and mailer-daemon; with '-' for owner-NAME and
 * NAME-request when `owner_special`. */
MUST_CHECK bool address_split_extension(struct span local,
					const char *delimiters,
					bool owner_special,
					struct span *ret_base,
					struct span *ret_extension);

/* [192.0.2.1] or [IPv6:2001:db8::1]: *ret_ip is what is inside, without the
 * tag. The address itself is checked too. */
MUST_CHECK bool address_literal_ip(struct span domain, struct span *ret_ip);

/* Letters, digits, hyphens (and _ as the reference allows), labels of 1 to 63
 * bytes, 255 in all, not all numeric. Bytes above 127 only with utf8_ok. */
bool domain_is_valid(struct span domain, bool utf8_ok);
/* "bücher.test" to "xn--bcher-kva.test"; ASCII comes back as it is. */
MUST_CHECK enum rc domain_to_ascii(TALLOC_CTX *mem, struct span domain,
				   char **ret_domain, struct fault *fault);

bool text_is_ascii(struct span text);
/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool text_is_utf8(struct span text);
