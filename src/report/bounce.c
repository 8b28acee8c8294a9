/* SPDX-License-Identifier: Apache-2.0 */
#include "report/bounce.h"

#include <strings.h>

#include "base/clock.h"
#include "mail/date.h"
#include "mail/header.h"
#include "sys/log.h"

enum { READ_BYTES = 32 * 1024 };

static bool has_word(const char *list, const char *word)
{
	struct span rest = span_from(list), token;

	while (span_token(&rest, ", \t\r\n", &token))
		if (span_is(token, word))
			return true;
	return false;
}

static void warn_of_zero_times(const struct bounce *bounce)
{
	const char *text = bounce->templates->by_kind[NOTICE_DELAY].text;
	int delay_s = bounce->conf->v.delay_warning_time;

	if (delay_s > 0 && delay_s < 3600 &&
	    strstr(text, "delay_warning_time_hours") != NULL)
		log_warning("the delay notice will say \"0 hour(s)\": "
			    "delay_warning_time is less than an hour; set "
			    "bounce_template_file to a text with "
			    "$delay_warning_time_minutes");
}

enum rc bounce_open(TALLOC_CTX *mem, struct conf *conf,
		    struct cleanup_service *cleanup, struct bounce **ret_bounce,
		    struct fault *fault)
{
	struct bounce *bounce = mem_new(mem, struct bounce);
	const char *classes = conf->v.notify_classes;

	bounce->conf = conf;
	bounce->cleanup = cleanup;
	bounce->copy_bounces = has_word(classes, "bounce");
	bounce->copy_2bounces = has_word(classes, "2bounce");
	bounce->copy_delays = has_word(classes, "delay");
	if (template_load(bounce, conf->v.bounce_template_file,
			  &bounce->templates, fault) != RC_OK) {
		talloc_free(bounce);
		return RC_CONF;
	}
	warn_of_zero_times(bounce);
	*ret_bounce = bounce;
	return RC_OK;
}

static bool feed_line(void *arg, struct span line)
{
	return cleanup_line(arg, line, false) == RC_OK;
}

/* A block of lines with CRLF at their ends; what is left over goes on. */
static void feed_lines(struct cleanup *cleanup, struct span *bytes)
{
	ssize_t end;

	while ((end = span_find(*bytes, '\n')) >= 0) {
		struct span line = span_take(*bytes, (size_t)end);

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		cleanup_line(cleanup, line, false);
		*bytes = span_skip(*bytes, (size_t)end + 1);
	}
}

static enum rc feed_header(struct cleanup *cleanup, const struct image *image,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span header;

	if (image_header(tmp, image, &header, fault) != RC_OK)
		return fault->rc;
	feed_lines(cleanup, &header);
	return RC_OK;
}

/* The whole message. A line longer than the buffer goes in parts. */
static enum rc feed_message(struct cleanup *cleanup, const struct image *image,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *bytes = mem_array(tmp, char, READ_BYTES);
	size_t kept = 0;
	uint64_t from = 0;

	for (;;) {
		struct span rest;
		size_t got;

		if (image_content_read(image, from, bytes + kept,
				       READ_BYTES - kept, &got, fault) != RC_OK)
			return fault->rc;
		from += got;
		rest = (struct span){ bytes, kept + got };
		feed_lines(cleanup, &rest);
		if (got == 0 && rest.len > 0)
			cleanup_line(cleanup, rest, false);
		if (got == 0)
			return RC_OK;
		/* All but the last byte, which may be the CR of a line end. */
		if (rest.len > READ_BYTES / 2) {
			cleanup_line(cleanup, span_take(rest, rest.len - 1),
				     true);
			rest = span_skip(rest, rest.len - 1);
		}
		kept = rest.len;
		memmove(bytes, rest.ptr, kept);
	}
}

static const char *received_text(TALLOC_CTX *mem, const struct conf *conf)
{
	char date[DATE_MAX_BYTES];

	return mem_printf(
		mem, "Received: by %s (%s)\r\n\tid %%QID%%; %s\r\n",
		conf->v.myhostname, conf->v.mail_name,
		date_rfc5322(date, (time_t)(clock_wall_us() / 1000000)));
}

static enum rc notice_begin(TALLOC_CTX *mem, const struct bounce *bounce,
			    const struct notice *notice, const char *sender,
			    struct cleanup **ret_cleanup, struct fault *fault)
{
	struct cleanup_origin origin = {
		.flags = CLEANUP_INTERNAL | CLEANUP_LOCAL | CLEANUP_MAP,
		.received = received_text(mem, bounce->conf),
		.envelope_flags = ENVELOPE_INTERNAL,
	};
	struct span to = span_from(notice->to);

	if (has_word(bounce->conf->v.internal_mail_filter_classes, "bounce"))
		origin.flags |= CLEANUP_FILTER;
	if (notice_needs_utf8(notice)) {
		origin.flags |= CLEANUP_SMTPUTF8;
		origin.envelope_flags |= ENVELOPE_SMTPUTF8;
	}
	if (cleanup_begin(mem, bounce->cleanup, &origin, ret_cleanup, fault) !=
		    RC_OK ||
	    cleanup_sender(*ret_cleanup, span_from(sender), fault) != RC_OK)
		return fault->rc;
	return cleanup_recipient(*ret_cleanup, to, to, NULL, DSN_NOTIFY_DEFAULT,
				 fault);
}

/* One notice into the queue. *ret_id (child of mem) names it. */
static enum rc notice_post(TALLOC_CTX *mem, const struct bounce *bounce,
			   const struct image *image,
			   const struct notice *notice, const char *sender,
			   const char **ret_id, struct fault *fault)
{
	struct cleanup *cleanup;
	bool discarded;
	enum rc rc;

	if (notice_begin(mem, bounce, notice, sender, &cleanup, fault) != RC_OK)
		return fault->rc;
	*ret_id = mem_strdup(mem, cleanup_queue_id(cleanup));
	notice_write_front(notice, feed_line, cleanup);
	rc = notice->header_only ? feed_header(cleanup, image, fault)
				 : feed_message(cleanup, image, fault);
	if (rc != RC_OK)
		return rc;
	notice_write_back(notice, feed_line, cleanup);
	return cleanup_finish(cleanup, &discarded, fault);
}

static void notice_init(struct notice *notice, const struct bounce *bounce,
			const struct bounce_report *report)
{
	const struct envelope *env = report->image->env;
	uint64_t limit = (uint64_t)bounce->conf->v.bounce_size_limit;

	*notice = (struct notice){
		.kind = report->kind,
		.queue_id = report->queue_id,
		.env = env,
		.statuses = report->statuses,
		.count = report->count,
		.now = (time_t)(clock_wall_us() / 1000000),
		.conf = bounce->conf,
		.template = &bounce->templates->by_kind[report->kind],
		.header_only = report->kind != NOTICE_FAILURE ||
			       env->dsn_ret == DSN_RET_HDRS ||
			       env->size_bytes > limit,
	};
}

static enum rc to_sender(TALLOC_CTX *mem, const struct bounce *bounce,
			 const struct bounce_report *report,
			 struct notice *notice, struct fault *fault)
{
	static const char *const names[] = {
		[NOTICE_FAILURE] = "non-delivery",
		[NOTICE_DELAY] = "delay",
		[NOTICE_SUCCESS] = "delivery status",
		[NOTICE_TRACE] = "delivery status",
	};
	const char *id;
	enum rc rc;

	rc = notice_post(mem, bounce, report->image, notice, "", &id, fault);
	if (rc != RC_OK)
		return fault_add(fault, "notification to <%s>", notice->to);
	log_info("%s: sender %s notification: %s", report->queue_id,
		 names[report->kind], id);
	return RC_OK;
}

static enum rc to_postmaster(TALLOC_CTX *mem, const struct bounce *bounce,
			     const struct bounce_report *report, const char *to,
			     bool header_only, struct fault *fault)
{
	struct notice notice;
	const char *sender =
		mem_printf(mem, "%s@%s", bounce->conf->v.double_bounce_sender,
			   bounce->conf->v.myorigin);
	const char *id;

	notice_init(&notice, bounce, report);
	notice.to_postmaster = true;
	notice.header_only |= header_only;
	notice.to = to;
	if (strchr(to, '@') == NULL)
		notice.to =
			mem_printf(mem, "%s@%s", to, bounce->conf->v.myorigin);
	if (notice.template->postmaster_subject == NULL)
		notice.template = &bounce->templates->by_kind[NOTICE_FAILURE];
	if (notice_post(mem, bounce, report->image, &notice, sender, &id,
			fault) != RC_OK)
		return fault_add(fault, "notification to <%s>", notice.to);
	log_info("%s: postmaster %s notification: %s", report->queue_id,
		 report->kind == NOTICE_DELAY ? "delay" : "non-delivery", id);
	return RC_OK;
}

static bool is_double_bounce(const struct bounce *bounce, const char *sender)
{
	const char *name = bounce->conf->v.double_bounce_sender;
	size_t len = strlen(name);

	return strncasecmp(sender, name, len) == 0 &&
	       (sender[len] == '\0' ||
		(sender[len] == '@' &&
		 strcasecmp(sender + len + 1, bounce->conf->v.myorigin) == 0));
}

/* VERP: each recipient's failure goes to the sender address made for it. */
static const char *verp_address(TALLOC_CTX *mem, const struct envelope *env,
				const struct delivery_status *status)
{
	const char *rcpt = env->recipients[status->recipient].address;
	const char *at = strrchr(env->sender, '@');
	const char *rcpt_at = strrchr(rcpt, '@');

	if (at == NULL || rcpt_at == NULL)
		return env->sender;
	return mem_printf(mem, "%.*s%c%.*s%c%s%s", (int)(at - env->sender),
			  env->sender, env->verp[0], (int)(rcpt_at - rcpt),
			  rcpt, env->verp[1], rcpt_at + 1, at);
}

static enum rc verp_to_sender(TALLOC_CTX *mem, const struct bounce *bounce,
			      const struct bounce_report *report,
			      struct notice *notice, struct fault *fault)
{
	const struct delivery_status *statuses = notice->statuses;
	size_t count = notice->count;

	for (size_t i = 0; i < count; i++) {
		notice->statuses = &statuses[i];
		notice->count = 1;
		notice->to =
			verp_address(mem, report->image->env, notice->statuses);
		if (to_sender(mem, bounce, report, notice, fault) != RC_OK)
			return fault->rc;
	}
	return RC_OK;
}

static const char *threaded_id(TALLOC_CTX *mem, const struct bounce *bounce,
			       const struct image *image)
{
	struct span header;
	struct fault fault;

	if (!bounce->conf->v.enable_threaded_bounces ||
	    image_header(mem, image, &header, &fault) != RC_OK)
		return NULL;
	return notice_message_id(mem, header);
}

/* NOTIFY: failures that the sender did not ask to hear of are left out. */
static void keep_wanted(TALLOC_CTX *mem, struct notice *notice)
{
	struct delivery_status *kept =
		mem_array(mem, struct delivery_status, notice->count);
	size_t count = 0;

	for (size_t i = 0; i < notice->count; i++) {
		uint8_t notify =
			notice->env->recipients[notice->statuses[i].recipient]
				.notify;

		if (notify == DSN_NOTIFY_DEFAULT ||
		    (notify & DSN_NOTIFY_FAILURE) != 0)
			kept[count++] = notice->statuses[i];
	}
	notice->statuses = kept;
	notice->count = count;
}

static enum rc tell_sender(TALLOC_CTX *mem, const struct bounce *bounce,
			   const struct bounce_report *report,
			   struct fault *fault)
{
	const struct envelope *env = report->image->env;
	struct notice notice;

	notice_init(&notice, bounce, report);
	notice.to = env->sender;
	notice.message_id = threaded_id(mem, bounce, report->image);
	if (report->kind == NOTICE_FAILURE)
		keep_wanted(mem, &notice);
	if (notice.count == 0)
		return RC_OK;
	if (env->verp != NULL && strlen(env->verp) == 2 &&
	    !bounce->conf->v.disable_verp_bounces &&
	    report->kind == NOTICE_FAILURE)
		return verp_to_sender(mem, bounce, report, &notice, fault);
	return to_sender(mem, bounce, report, &notice, fault);
}

/* Mail without a sender, and our own notices to the postmaster. */
static enum rc report_undeliverable_notice(TALLOC_CTX *mem,
					   const struct bounce *bounce,
					   const struct bounce_report *report,
					   struct fault *fault)
{
	const struct conf_values *v = &bounce->conf->v;

	if (report->image->env->sender[0] != '\0') {
		log_warning("%s: undeliverable postmaster notification "
			    "discarded",
			    report->queue_id);
		return RC_OK;
	}
	if (report->kind != NOTICE_FAILURE || !bounce->copy_2bounces)
		return RC_OK;
	return to_postmaster(mem, bounce, report, v->_2bounce_notice_recipient,
			     false, fault);
}

enum rc bounce_report(struct bounce *bounce, const struct bounce_report *report,
		      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct conf_values *v = &bounce->conf->v;
	const struct envelope *env = report->image->env;
	enum rc rc;

	if (env->sender[0] == '\0' || is_double_bounce(bounce, env->sender))
		return report_undeliverable_notice(tmp, bounce, report, fault);
	if (tell_sender(tmp, bounce, report, fault) != RC_OK)
		return fault->rc;
	rc = RC_OK;
	if (report->kind == NOTICE_FAILURE && bounce->copy_bounces)
		rc = to_postmaster(tmp, bounce, report,
				   v->bounce_notice_recipient, true, fault);
	else if (report->kind == NOTICE_DELAY && bounce->copy_delays)
		rc = to_postmaster(tmp, bounce, report,
				   v->delay_notice_recipient, true, fault);
	/* The sender has been told; without the copy it is not told again. */
	if (rc != RC_OK)
		log_warning("%s: %s", report->queue_id, fault->text);
	return RC_OK;
}
