/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/proxy.h"
#include "sys/log.h"

/* "count [LAST]"; false: not that. */
static bool parse(struct span args, uint64_t *ret_size, bool *ret_last)
{
	struct span count, last, more;

	if (!span_token(&args, " \t", &count) ||
	    !span_to_u64(count, INT64_MAX, ret_size))
		return false;
	*ret_last = span_token(&args, " \t", &last);
	return !*ret_last ||
	       (span_is_nocase(last, "LAST") && !span_token(&args, " \t", &more));
}

/* What the client thinks is content must not be run as commands: close. */
static enum verb_result give_up(struct smtpd_session *s, const char *reply)
{
	session_reply(s, "%s", reply);
	session_end(s);
	return VERB_FAILED;
}

/* Why the chunk cannot be taken; NULL: it can. */
static const char *refusal(struct smtpd_session *s)
{
	const struct smtpd_transaction *t = s->transaction;
	uint64_t limit = (uint64_t)s->server->conf->v.message_size_limit;

	if (t == NULL)
		return "503 5.5.1 Error: need RCPT command";
	if (t->recipients == 0)
		return "554 5.5.1 Error: no valid recipients";
	if (limit > 0 && (s->bdat.size > limit ||
			  t->all_chunks_bytes > limit - s->bdat.size)) {
		log_warning("%s: BDAT request from %s exceeds message size "
			    "limit",
			    session_id(s), s->client_text);
		return "552 5.3.4 Chunk exceeds message size limit";
	}
	return NULL;
}

static bool begin_content(struct smtpd_session *s)
{
	struct smtpd_transaction *t = s->transaction;

	if (!session_allowed(s, AT_DATA, "BDAT", NULL, NULL) ||
	    (t->proxy != NULL && !proxy_data(s)))
		return false;
	content_reader_init(&t->reader, 0, session_line_max(s));
	/* a line, and what the next chunk adds to it */
	buf_init(&t->carry, t, session_line_max(s) * 2 + 16);
	return true;
}

enum verb_result verb_bdat(struct smtpd_session *s, struct span args)
{
	bool first = !s->bdat.seen;
	const char *no;

	if (s->discard & EHLO_CHUNKING)
		return give_up(s, "521 5.5.1 Error: command not implemented");
	if (!parse(args, &s->bdat.size, &s->bdat.last)) {
		log_warning("%s: malformed BDAT command syntax from %s: "
			    "BDAT%s%.*s",
			    session_id(s), s->client_text,
			    args.len > 0 ? " " : "",
			    SPAN_FMT(span_take(args, 100)));
		return give_up(s, "521 5.5.4 Syntax: BDAT count [LAST]");
	}
	if (s->bdat.size == 0 && !s->bdat.last) {
		log_warning("%s: null BDAT request from %s", session_id(s),
			    s->client_text);
		session_reply(s, "551 5.7.1 Null BDAT request");
		s->bdat.seen = s->bdat.failed = true;
		return VERB_FAILED;
	}
	s->bdat.left = s->bdat.size;
	s->bdat.seen = true;
	no = s->bdat.failed ? NULL : refusal(s);
	if (no != NULL)
		session_reply(s, "%s", no);
	if (s->bdat.failed)
		session_reply(s,
			      "551 5.0.0 Discarded %llu bytes after earlier "
			      "error",
			      (unsigned long long)s->bdat.size);
	else if (no != NULL || (first && !begin_content(s)))
		s->bdat.failed = true;
	if (s->waits_until_ms != 0) {
		s->bdat.seen = s->bdat.failed = false;
		return VERB_FAILED;
	}
	s->phase = s->bdat.failed ? PHASE_DISCARD : PHASE_BDAT;
	return VERB_FAILED; /* so far */
}

/* Content of the chunk that ends inside a line waits in `carry`. */
static void feed(struct smtpd_session *s, struct span bytes)
{
	struct smtpd_transaction *t = s->transaction;
	size_t used;

	while (bytes.len > 0) {
		/* all lines but the first lie in the input as they are */
		size_t part = bytes.len;

		if (t->carry.len > 0) {
			ssize_t lf = span_find(bytes, '\n');
			size_t room = session_line_max(s) + 8;

			part = lf < 0 ? bytes.len : (size_t)lf + 1;
			part = MIN_OF(part, room);
			buf_add(&t->carry, span_take(bytes, part));
			bytes = span_skip(bytes, part);
			used = content_reader_run(&t->reader,
						  buf_span(&t->carry),
						  transaction_content, s);
			buf_consume(&t->carry, used);
			continue;
		}
		used = content_reader_run(&t->reader, bytes,
					  transaction_content, s);
		buf_add(&t->carry, span_skip(bytes, used));
		return;
	}
}

static void end_chunk(struct smtpd_session *s)
{
	struct smtpd_transaction *t = s->transaction;
	bool failed = s->phase == PHASE_DISCARD;
	enum verb_result result = VERB_FAILED;

	s->phase = PHASE_COMMAND;
	if (failed) {
		if (s->bdat.last)
			session_reset(s);
	} else if (s->bdat.last) {
		if (!s->bdat.complete)
			content_reader_finish(&t->reader, buf_span(&t->carry),
					      transaction_content, s);
		s->bdat.complete = true;
		s->where = "END-OF-MESSAGE";
		result = transaction_finish(s);
		if (s->waits_until_ms != 0) {
			s->phase = PHASE_BDAT;
			return;
		}
	} else {
		session_reply(s, "250 2.0.0 Ok: %llu bytes",
			      (unsigned long long)s->bdat.size);
		result = VERB_DONE;
	}
	session_verb_done(s, result == VERB_DONE);
}

bool session_take_chunk(struct smtpd_session *s)
{
	struct span bytes = span_take(s->input, s->bdat.left);

	if (s->phase == PHASE_BDAT) {
		feed(s, bytes);
		s->transaction->all_chunks_bytes += bytes.len;
	}
	s->input = span_skip(s->input, bytes.len);
	s->bdat.left -= bytes.len;
	if (s->bdat.left > 0)
		return false;
	end_chunk(s);
	return true;
}
