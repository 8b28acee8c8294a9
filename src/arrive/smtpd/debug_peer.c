/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/debug_peer.h"

#include "sys/log.h"

enum { LINES_MAX_BYTES = 256 * 1024 };

void debug_peer_learn(struct smtpd_session *s)
{
	struct fault fault = { 0 };

	/* who rehearses listens for himself */
	s->debugged = s->server->rehearsal == NULL &&
		      !match_list_is_empty(s->server->debug_peers) &&
		      match_list_client(
			      s->server->debug_peers, span_from(s->client_name),
			      span_from(s->client_address), &fault) == RC_OK;
}

void debug_peer_command(const struct smtpd_session *s, struct span line)
{
	struct span rest = line, verb;

	if (span_token(&rest, " \t", &verb) && span_is_nocase(verb, "AUTH"))
		log_info("< %s: AUTH ...", s->client_text);
	else
		log_info("< %s: %.*s", s->client_text, SPAN_FMT(line));
}

void debug_peer_reply(const struct smtpd_session *s, struct span reply)
{
	struct span line;

	while (span_cut(&reply, '\n', &line)) {
		line = span_trim(line);
		if (line.len > 0)
			log_info("> %s: %.*s", s->client_text, SPAN_FMT(line));
	}
}

/* ---- restrictions ---- */

static const char *stage_of(const char *list)
{
	static const struct {
		const char *list, *name;
	} names[] = {
		{ "smtpd_client_restrictions", "Client host" },
		{ "smtpd_helo_restrictions", "Helo command" },
		{ "smtpd_sender_restrictions", "Sender address" },
		{ "smtpd_relay_restrictions", "Recipient address (relay)" },
		{ "smtpd_recipient_restrictions", "Recipient address" },
		{ "smtpd_data_restrictions", "Data command" },
		{ "smtpd_end_of_data_restrictions", "End-of-data" },
		{ "smtpd_etrn_restrictions", "Etrn command" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].list, list) == 0)
			return names[i].name;
	return list;
}

static void add_place(struct debug_peer *peer, const struct trace_event *event)
{
	struct conf_place place;

	if (event->source == NULL || event->source_is_table)
		return;
	conf_locate(peer->session->server->conf, event->source, event->offset,
		    &place);
	if (place.file != NULL)
		buf_addf(&peer->lines, " (%s, line %d)", place.file,
			 place.line);
}

static void add_rule(struct debug_peer *peer, const struct trace_event *event)
{
	buf_addf(&peer->lines, "generic_checks: name=%s%s%.*s", event->name,
		 event->value.len > 0 ? " " : "", SPAN_FMT(event->value));
	if (event->kind == TRACE_RULE_END)
		buf_addf(&peer->lines, " status=%d", (int)event->result);
	else
		add_place(peer, event);
	if (event->warns)
		buf_add_text(&peer->lines, " warn_if_reject");
	buf_add_char(&peer->lines, '\n');
}

/* An answer of several lines stays one line of the log. */
static void add_value(struct debug_peer *peer, struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		buf_add_char(&peer->lines,
			     value.ptr[i] == '\n' ? ',' : value.ptr[i]);
}

static void add_lookup(struct debug_peer *peer, const struct trace_event *event)
{
	if (event->kind == TRACE_POLICY)
		buf_addf(&peer->lines, "policy service %s: ", event->name);
	else
		buf_addf(&peer->lines, "%s: lookup %.*s: ", event->name,
			 SPAN_FMT(event->key));
	if (event->rc == RC_NONE)
		buf_add_text(&peer->lines, "not found");
	else if (event->rc != RC_OK)
		buf_add_text(&peer->lines, "error: ");
	if (event->rc != RC_NONE)
		add_value(peer, event->value);
	buf_add_char(&peer->lines, '\n');
}

static void heard(struct trace *trace, const struct trace_event *event)
{
	struct debug_peer *peer = (struct debug_peer *)trace;

	switch (event->kind) {
	case TRACE_LIST_BEGIN:
	case TRACE_LIST_END:
		buf_addf(&peer->lines, ">>> %s %s RESTRICTIONS <<<\n",
			 event->kind == TRACE_LIST_BEGIN ? "START" : "END",
			 stage_of(event->name));
		break;
	case TRACE_RULE_BEGIN:
	case TRACE_RULE_END:
		add_rule(peer, event);
		break;
	case TRACE_RULE_SKIPPED:
		break;
	case TRACE_SAYS:
		buf_addf(&peer->lines, "%s: %.*s\n", event->name,
			 SPAN_FMT(event->value));
		break;
	default:
		if (peer->session->server->conf->v.debug_peer_level > 1)
			add_lookup(peer, event);
	}
}

void debug_peer_begin(struct debug_peer *peer, TALLOC_CTX *mem,
		      struct smtpd_session *s)
{
	*peer = (struct debug_peer){ .trace = { .event = heard },
				     .session = s };
	buf_init(&peer->lines, mem, LINES_MAX_BYTES);
	peer->before = trace_set(&peer->trace);
}

void debug_peer_end(struct debug_peer *peer, bool answered)
{
	struct span rest = buf_span(&peer->lines), line;

	trace_set(peer->before);
	while (answered && span_cut(&rest, '\n', &line))
		if (line.len > 0)
			log_info("%s: %s: %.*s", session_id(peer->session),
				 peer->session->client_text, SPAN_FMT(line));
}
