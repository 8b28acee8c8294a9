/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup_priv - a message while it is taken in, and what its service knows.
 *
 *   cleanup.c           order of the calls, lines of the header
 *   cleanup_body.c      the body: in large pieces, or part by part for checks
 *   cleanup_header.c    one header field at a time, what is missing at the end
 *   cleanup_envelope.c  sender, recipients, copies, duplicates
 *   cleanup_map.c       canonical, masquerade, virtual alias tables
 *   cleanup_check.c     header_checks and body_checks
 *   cleanup_service.c   tables and settings
 */
#pragma once

#include "map/match_list.h"
#include "queue/intake.h"
#include "rule/cleanup.h"
#include "rule/mime.h"
#include "rule/rewrite.h"

enum cleanup_class { /* canonical_classes, masquerade_classes */
	CLASS_ENVELOPE_SENDER = 1,
	CLASS_ENVELOPE_RECIPIENT = 2,
	CLASS_HEADER_SENDER = 4,
	CLASS_HEADER_RECIPIENT = 8,
};

enum check_kind { CHECK_HEADER, CHECK_MIME, CHECK_NESTED, CHECK_BODY };

struct cleanup_service {
	struct conf *conf;
	struct intake *intake;
	struct resolver *resolver;
	struct maps *canonical, *sender_canonical, *recipient_canonical;
	struct maps *virtual_alias, *sender_bcc, *recipient_bcc;
	struct maps *checks[CHECK_BODY + 1];
	bool has_checks, has_body_checks;
	int canonical_classes, sender_canonical_classes;
	int recipient_canonical_classes, masquerade_classes;
	bool propagate_canonical, propagate_virtual;
	struct match_list *masquerade_exceptions;
	const char **drop_headers;
	size_t drop_count;
};

enum { /* header fields seen, bits */
	SEEN_FROM = 1,
	SEEN_DATE = 2,
	SEEN_MESSAGE_ID = 4,
	SEEN_RESENT_FROM = 8,
	SEEN_RESENT_DATE = 16,
	SEEN_RESENT_MESSAGE_ID = 32,
	SEEN_RESENT = 64,
	SEEN_RECIPIENT = 128, /* To, Cc and their like, that stay */
};

struct duplicate; /* recipients there are already */

struct cleanup {
	struct cleanup_service *service;
	struct intake_message *message;
	struct envelope *env;
	int flags; /* enum cleanup_flags */
	const char *full_name;
	char *received; /* still to come, before the content */
	bool discard, log_message_id;

	/* Content. */
	bool in_body, line_open, line_dropped;
	bool any_field, mailbox_lines;
	struct buf field;   /* the header field being read, no CRLF at its end */
	struct buf out;	    /* header fields on their way to the intake */
	struct buf pending; /* body lines on their way to the intake */
	bool field_cut;	    /* header_size_limit: the rest is dropped */
	int seen;	    /* SEEN_ bits */
	int hops;
	struct mime *mime; /* NULL: nothing asks about parts */
	uint64_t body_checked;

	/* Recipients found by -t: in To..., in Resent-To... */
	struct span *extracted, *resent_extracted;
	size_t extracted_count, resent_extracted_count;

	char *bcc; /* sender_bcc_maps, for the end */
	struct duplicate *duplicates;

	enum rc rc; /* the first error, heard at finish */
	struct fault fault;
};

/* A fault of ours, in the log with its detail, is for the client the plain text
 * that it becomes here. Returns rc. */
enum rc cleanup_fault_plain(const struct cleanup *c, enum rc rc,
			    struct fault *fault);
/* Remember the first error. */
enum rc cleanup_fail(struct cleanup *c, enum rc rc, const struct fault *fault);

enum rc cleanup_size_check(struct cleanup *c, size_t more);
/* Add to the field being read what fits of the text. */
void cleanup_field_add(struct cleanup *c, struct span text);
/* With \n in place of CRLF, as checks see it. */
struct span cleanup_unfold(TALLOC_CTX *mem, struct span text);

void cleanup_pending_add(struct cleanup *c, struct span text);
void cleanup_body_line(struct cleanup *c, struct span line, bool partial);
enum rc cleanup_body_end(struct cleanup *c);

/* c->field holds a whole field: check it, rewrite it, pass it on. */
enum rc cleanup_field(struct cleanup *c);
/* The header has ended: missing fields, recipients of -t. */
enum rc cleanup_header_end(struct cleanup *c);
enum rc cleanup_header_flush(struct cleanup *c);

void cleanup_duplicates_done(struct cleanup *c);
/* All recipients that come of the message itself. */
enum rc cleanup_recipients_end(struct cleanup *c);

/* An address through sender_canonical or recipient_canonical and canonical
 * tables and masquerading; class: one of enum cleanup_class. *address is
 * replaced, by a child of mem. */
MUST_CHECK enum rc cleanup_map_address(struct cleanup_service *service,
				       TALLOC_CTX *mem, int class,
				       struct span *address,
				       struct fault *fault);

/* All that an address stands for in virtual_alias_maps, at least itself;
 * children of mem. */
MUST_CHECK enum rc cleanup_map_virtual(struct cleanup_service *service,
				       TALLOC_CTX *mem, struct span address,
				       struct span **ret_addresses,
				       size_t *ret_count, struct fault *fault);

enum check_verdict {
	CHECK_PASS,
	CHECK_DROP,    /* leave the line out */
	CHECK_REPLACE, /* *ret_text takes its place */
	CHECK_PREPEND, /* *ret_text goes in front of it */
	CHECK_STOP,    /* the message is refused or discarded */
};

/* Ask a table about a header field (unfolded with \n) or a body line. */
enum check_verdict cleanup_check(struct cleanup *c, enum check_kind kind,
				 struct span text, TALLOC_CTX *mem,
				 struct span *ret_text);
