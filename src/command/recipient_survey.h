/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recipient_survey - a list of recipients, counted by domain.
 *
 * Shape    one address or domain a line; empty lines and lines that begin with
 *          # are skipped. With groups, several domains count as one:
 *          "inbox.ru mail.ru" a line, member and group.
 * Limits   memory for the different domains, not for the lines;
 *          DOMAINS_MAX of them
 * Errors   RC_CONF: file and line; lines that hold no domain are counted
 * Owner    all is the survey's
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

enum { SURVEY_DOMAINS_MAX = 1000000, SURVEY_LINE_MAX_BYTES = 1024 };

struct survey_domain {
	const char *name;
	uint64_t recipients;
};

struct recipient_survey {
	struct survey_domain *domains; /* the most recipients first */
	size_t count;
	uint64_t recipients, bad_lines;
};

/* path "-": standard input; group_path NULL: no groups. */
MUST_CHECK enum rc recipient_survey_read(TALLOC_CTX *mem, const char *path,
					 const char *group_path,
					 struct recipient_survey **ret_survey,
					 struct fault *fault);
