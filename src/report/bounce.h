/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounce - turns what qmgr reports into notices in the queue: to the sender,
 * and copies to the postmaster as notify_classes says.
 *
 * Holds    bounce_report returns RC_OK when all notices of the report are on
 *          stable storage, or none is due
 * Errors   RC_TEMP try again later
 * Threads  a bounce is immutable: any thread may report
 */
#pragma once

#include "report/notice.h"
#include "rule/cleanup.h"

struct bounce {
	struct conf *conf;
	struct cleanup_service *cleanup;
	struct template_set *templates;
	bool copy_bounces, copy_2bounces, copy_delays;
};

struct bounce_report {
	enum notice_kind kind;
	const char *queue_id;
	const struct image *image;
	const struct delivery_status *statuses;
	size_t count;
};

/* Reads the templates; cleanup is the caller's. */
MUST_CHECK enum rc bounce_open(TALLOC_CTX *mem, struct conf *conf,
			       struct cleanup_service *cleanup,
			       struct bounce **ret_bounce, struct fault *fault);
MUST_CHECK enum rc bounce_report(struct bounce *bounce,
				 const struct bounce_report *report,
				 struct fault *fault);
