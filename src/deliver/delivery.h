/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery - one request of qmgr in the hands of an agent: the message, its
 * recipients, what became of each so far, and the log line about it.
 *
 * Shape    ID: to=<r>, orig_to=<o>, relay=R, conn_use=N, delay=D,
 *          delays=a/b/c/d, tls=T, dsn=X.Y.Z, status=sent (TEXT)
 * Holds    each recipient is settled at most once, and reported only after
 *          what it says is on stable storage or confirmed by the next hop; one
 *          that is never settled is tried again later
 * Owner    a delivery has no parent: it belongs to the thread that works on it
 * Threads  one
 */
#pragma once

#include "conf/conf.h"
#include "map/map.h"
#include "queue/image.h"
#include "queue/wire.h"

struct delivery;

/* Sends what was settled since the last call; done: nothing more will come. */
typedef void (*delivery_report_fn)(void *arg, struct delivery *delivery,
				   bool done);

struct delivery {
	const struct conf *conf;
	struct maps
	    *status_filter; /* <service>_delivery_status_filter or NULL */
	struct delivery_request *request;
	struct image *image;
	uint64_t handoff_us;   /* the agent has it */
	uint64_t connected_us; /* ready to send; 0: no network in it */
	struct delivery_status *statuses; /* one for each recipient */
	const char **relays;	/* with ENVELOPE_REPORT: one for each, or NULL */
	uint8_t *settled;		  /* enum delivery_settled */
	size_t open_count;
	/* Why no session with any host of the destination could be begun; rc
	 * RC_OK: there was one. */
	struct fault site;
	delivery_report_fn report;
	void *report_arg;
	bool reported_done;
};

enum delivery_settled { DELIVERY_OPEN, DELIVERY_SETTLED, DELIVERY_REPORTED };

/* What is said about one recipient. NULL where nothing is known; relay NULL is
 * "none". Texts are copied. */
struct outcome {
	enum delivery_action action;
	const char *dsn;
	const char *text;
	const char *relay;
	int conn_use; /* shown from 2 on */
	const char *tls;
	/* Default: "delivered", "failed", "delayed". "": the next hop sends the
	 * notice. */
	const char *dsn_action;
	const char *remote_mta, *diag_type, *diag_text;
};

/* Takes the request over. RC_TEMP, RC_PERM: the image cannot be read; the
 * delivery is there all the same, so that its recipients can be settled. */
enum rc delivery_open(const struct conf *conf, struct delivery_request *request,
		      struct delivery **ret_delivery, struct fault *fault);
/* Log it and remember it for the report. */
void delivery_settle(struct delivery *delivery, size_t recipient,
		     const struct outcome *outcome);
/* The two halves of it, for an agent that turns one recipient into several:
 * the line about one address (*out is passed through the status filter), and
 * what became of the recipient in all. */
void delivery_log(struct delivery *delivery, const char *address,
		  const char *original, struct outcome *out);
void delivery_record(struct delivery *delivery, size_t recipient,
		     const struct outcome *outcome);
/* The same for every recipient that is still open. */
void delivery_settle_open(struct delivery *delivery,
			  const struct outcome *outcome);
/* From a fault: RC_PERM bounces, everything else is tried again. */
void delivery_settle_fault(struct delivery *delivery, size_t recipient,
			   const struct fault *fault, const char *relay);
/* Nothing is to be delivered: would it be? */
bool delivery_is_probe(const struct delivery *delivery);
bool delivery_is_open(const struct delivery *delivery, size_t recipient);
/* done: the last report; later calls do nothing. */
void delivery_report(struct delivery *delivery, bool done);

/* "0.06", "1.2", "31": two significant digits, at most `digits` (0 to 6) after
 * the point. */
void delivery_delay_format(char *into, size_t size, int64_t delay_us,
			   int digits);
