/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a session and writes down what the server's own code tells. */
#include "command/explain_priv.h"

#include <unistd.h>

#include "mail/address.h"

struct play {
	struct trace trace; /* first: what the server's code knows of us */
	TALLOC_CTX *mem;
	const struct explain_player *player;
	const struct explain_session *session;
	struct explain_result *result;
	struct explain_step *at; /* where the next step goes */
	const struct explain_unknown *flipped;
	const char *recipient; /* that is asked about; NULL */
	struct rehearsal_client client;
	struct tls_facts tls;
};

/* ---- hearing ---- */

static struct explain_step *step_add(struct play *play,
				     enum explain_step_type type,
				     const struct trace_event *event)
{
	struct explain_step *step = mem_new(play->mem, struct explain_step);
	struct explain_step *parent = play->at;

	step->type = type;
	step->parent = parent;
	step->reached = true;
	step->name = mem_strdup(step, event->name);
	step->key = mem_span_copy(step, event->key);
	step->value = mem_span_copy(step, event->value);
	step->rc = event->rc;
	step->result = event->result;
	step->warns = event->warns;
	step->stood_in = event->stood_in;
	step->source_is_table = event->source_is_table;
	if (event->source != NULL) {
		step->source = mem_strdup(step, event->source);
		if (!event->source_is_table)
			conf_locate(play->player->conf, step->source,
				    event->offset, &step->place);
	}
	if (parent->last == NULL)
		parent->first = step;
	else
		parent->last->next = step;
	parent->last = step;
	return step;
}

static bool is_unknown(const struct play *play, const struct trace_event *event)
{
	for (size_t i = 0; i < play->result->unknown_count; i++) {
		const struct explain_unknown *u = &play->result->unknowns[i];

		if (u->kind == event->kind &&
		    strcmp(u->name, event->name) == 0 &&
		    (u->kind == TRACE_POLICY || span_is(event->key, u->key)))
			return true;
	}
	return false;
}

static void lookup_heard(struct play *play, const struct trace_event *event)
{
	static const enum explain_step_type types[] = {
		[TRACE_TABLE] = STEP_TABLE,   [TRACE_MATCH] = STEP_MATCH,
		[TRACE_DNS] = STEP_DNS,	      [TRACE_POLICY] = STEP_POLICY,
		[TRACE_VERIFY] = STEP_VERIFY,
	};
	struct explain_step *step = step_add(play, types[event->kind], event);

	step->unknown = event->stood_in && is_unknown(play, event);
}

static void heard(struct trace *trace, const struct trace_event *event)
{
	struct play *play = (struct play *)trace;

	if (play->at == NULL)
		return; /* between two commands */
	switch (event->kind) {
	case TRACE_LIST_BEGIN:
		play->at = step_add(play, STEP_LIST, event);
		break;
	case TRACE_RULE_BEGIN:
		play->at = step_add(play, STEP_RULE, event);
		play->at->input = explain_input(play->mem, play->session,
						play->recipient, event->name);
		break;
	case TRACE_LIST_END:
	case TRACE_RULE_END:
		play->at->result = event->result;
		if (play->at->parent != NULL)
			play->at = play->at->parent;
		break;
	case TRACE_RULE_SKIPPED:
		step_add(play, STEP_RULE, event)->reached = false;
		break;
	case TRACE_SAYS:
		step_add(play, STEP_SAYS, event);
		break;
	default:
		/* what the server looks at besides is no rule */
		if (play->at->parent != NULL || event->kind == TRACE_DNS)
			lookup_heard(play, event);
	}
}

/* ---- standing in ---- */

static const struct explain_step *rule_at(const struct play *play)
{
	const struct explain_step *step = play->at;

	while (step != NULL && (step->type != STEP_RULE || step->name == NULL))
		step = step->parent;
	return step;
}

/* Known or not known together: the records of one name that has to exist, all
 * keys of one table. */
static bool go_together(const struct explain_unknown *a,
			const struct explain_unknown *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == TRACE_DNS)
		return strcmp(a->key, b->key) == 0 && a->assumed_rc == RC_OK &&
		       b->assumed_rc == RC_OK;
	return a->kind == TRACE_TABLE && strcmp(a->name, b->name) == 0;
}

static void remember_unknown(struct play *play, struct explain_unknown *unknown)
{
	struct explain_result *result = play->result;

	if (result->unknown_count == EXPLAIN_UNKNOWNS_MAX)
		return;
	for (size_t i = 0; i < result->unknown_count; i++)
		unknown->minor |= go_together(unknown, &result->unknowns[i]);
	result->unknowns =
		mem_resize(play->mem, result->unknowns, struct explain_unknown,
			   result->unknown_count + 1);
	result->unknowns[result->unknown_count++] = *unknown;
}

static void assume(struct play *play, TALLOC_CTX *mem,
		   const struct trace_event *question, struct span *ret_value,
		   enum rc *ret_rc)
{
	const struct explain_step *rule = rule_at(play);
	const struct explain_unknown *flip = play->flipped;
	struct explain_unknown unknown;

	explain_world_assume(
		play->mem, question, rule == NULL ? "" : rule->name,
		rule == NULL ? "" : mem_span_dup(mem, rule->value), &unknown);
	if (!is_unknown(play, question))
		remember_unknown(play, &unknown);
	*ret_rc = unknown.assumed_rc;
	*ret_value = unknown.assumed;
	if (flip == NULL || flip->kind != unknown.kind)
		return;
	if ((strcmp(flip->name, unknown.name) == 0 &&
	     strcmp(flip->key, unknown.key) == 0) ||
	    (unknown.kind == TRACE_DNS && go_together(flip, &unknown))) {
		*ret_rc = flip->otherwise_rc;
		*ret_value = flip->otherwise;
	}
}

static bool stand_in(struct trace *trace, TALLOC_CTX *mem,
		     const struct trace_event *question, struct span *ret_value,
		     enum rc *ret_rc)
{
	struct play *play = (struct play *)trace;
	const struct explain_world *world = play->player->world;
	const struct explain_answer *answer =
		explain_world_find(world, question);

	if (answer != NULL) {
		*ret_rc = answer->rc;
		*ret_value = span_from(answer->value);
		return true;
	}
	if (question->kind == TRACE_TABLE &&
	    (world->live || !explain_table_is_remote(question->name)))
		return false;
	if (question->kind == TRACE_DNS && world->dns_live)
		return false;
	if ((question->kind == TRACE_POLICY ||
	     question->kind == TRACE_VERIFY) &&
	    world->live)
		return false;
	if (question->kind == TRACE_DNS && world->dns_none) {
		*ret_rc = RC_NONE;
		*ret_value = (struct span){ "", 0 };
		return true;
	}
	assume(play, mem, question, ret_value, ret_rc);
	return true;
}

/* ---- the log ---- */

/* Lines that the server wrote since, without date and tag. */
static void take_log(struct play *play, struct explain_stage *stage)
{
	char bytes[16 * 1024];
	struct span rest, line;
	ssize_t n;

	if (play->player->log_fd < 0)
		return;
	n = pread(play->player->log_fd, bytes, sizeof(bytes), 0);
	if (ftruncate(play->player->log_fd, 0) != 0 || n <= 0)
		return;
	(void)lseek(play->player->log_fd, 0, SEEK_SET);
	rest = (struct span){ bytes, (size_t)n };
	while (span_cut(&rest, '\n', &line) && line.len > 0) {
		ssize_t at = span_find(line, ']');

		stage->log = mem_resize(play->mem, stage->log, const char *,
					stage->log_count + 1);
		if (at >= 0 && span_starts(span_skip(line, (size_t)at), "]: "))
			line = span_skip(line, (size_t)at + 3);
		stage->log[stage->log_count++] = mem_span_dup(play->mem, line);
	}
}

/* ---- saying ---- */

static struct explain_stage *stage_begin(struct play *play, const char *name,
					 const char *command)
{
	struct explain_result *result = play->result;
	struct explain_stage *stage = &result->stages[result->stage_count++];

	*stage = (struct explain_stage){ .name = name, .command = command };
	stage->root.type = STEP_LIST;
	play->at = &stage->root;
	return stage;
}

/* True: the session may go on. */
static bool stage_end(struct play *play, struct explain_stage *stage,
		      const char *reply)
{
	uint64_t code = 0;

	play->at = NULL;
	stage->reply = mem_strdup(play->mem, reply);
	if (span_to_u64(span_take(span_from(reply), 3), 999, &code))
		stage->code = (int)code;
	take_log(play, stage);
	return stage->code >= 200 && stage->code < 400 &&
	       !(play->player->until != NULL &&
		 strcmp(play->player->until, stage->name) == 0);
}

static bool say(struct play *play, const char *name, const char *command)
{
	struct explain_stage *stage = stage_begin(play, name, command);

	return stage_end(play, stage,
			 rehearsal_say(play->player->rehearsal, command));
}

static char *path_of(struct play *play, const char *address)
{
	/* what is in the way of a path stays: the server is to judge it */
	return mem_printf(play->mem, "<%s>", address);
}

static bool say_recipients(struct play *play)
{
	const struct explain_session *session = play->session;
	bool any = false;

	for (size_t i = 0; i < session->recipient_count; i++) {
		struct explain_stage *stage = stage_begin(
			play, "RCPT",
			mem_printf(play->mem, "RCPT TO:%s",
				   path_of(play, session->recipients[i])));

		stage->recipient = play->recipient = session->recipients[i];
		any |= stage_end(
			play, stage,
			rehearsal_say(play->player->rehearsal, stage->command));
		if (rehearsal_is_over(play->player->rehearsal))
			return false;
	}
	play->recipient = NULL;
	return any;
}

static bool say_mail(struct play *play)
{
	const struct explain_session *session = play->session;
	const char *size = session->size;

	return say(play, "MAIL",
		   mem_printf(play->mem, "MAIL FROM:%s%s%s",
			      path_of(play, session->sender),
			      size == NULL ? "" : " SIZE=",
			      size == NULL ? "" : size));
}

static void say_all(struct play *play)
{
	const struct explain_session *session = play->session;

	if (session->helo != NULL &&
	    !say(play, "HELO",
		 mem_printf(play->mem, "%s %s", session->smtp ? "HELO" : "EHLO",
			    session->helo)))
		return;
	if (session->etrn_domain != NULL) {
		(void)!say(
			play, "ETRN",
			mem_printf(play->mem, "ETRN %s", session->etrn_domain));
		return;
	}
	if (!session->has_sender || !say_mail(play))
		return;
	if (session->recipient_count == 0 || !say_recipients(play))
		return;
	if (say(play, "DATA", "DATA"))
		(void)!say(play, "END-OF-MESSAGE", ".");
}

/* ---- the client ---- */

static void fill_tls(struct play *play)
{
	const struct explain_session *session = play->session;
	struct span rest, part;

	if (session->tls == NULL && session->cert == NULL &&
	    session->cert_key == NULL && !session->cert_trusted)
		return;
	play->tls = (struct tls_facts){
		.trust = session->cert_trusted ? TLS_TRUSTED : TLS_ANONYMOUS,
		.protocol = "TLSv1.3",
		.cipher = "TLS_AES_256_GCM_SHA384",
		.cipher_bits = 256,
		.cipher_all_bits = 256,
		.peer_name = "",
		.issuer_name = "",
		.fingerprint = session->cert == NULL ? "" : session->cert,
		.key_fingerprint =
			session->cert_key == NULL ? "" : session->cert_key,
	};
	rest = span_from(session->tls == NULL ? "yes" : session->tls);
	if (span_find(rest, ':') > 0 && span_cut(&rest, ':', &part)) {
		play->tls.protocol = mem_span_dup(play->mem, part);
		play->tls.cipher = mem_span_dup(play->mem, rest);
	}
	play->client.tls = &play->tls;
}

static void fill_client(struct play *play)
{
	const struct explain_session *session = play->session;
	const char *name = session->client_name;
	const char *reverse = session->reverse_name;
	bool known = name != NULL && strcmp(name, "unknown") != 0;
	enum rc bad = session->name_unavailable ? RC_TEMP : RC_PERM;

	if (reverse == NULL)
		reverse = known ? name : "unknown";
	play->client = (struct rehearsal_client){
		.name = name,
		.reverse_name = reverse,
		.name_rc = known ? RC_OK : bad,
		.reverse_name_rc =
			strcmp(reverse, "unknown") != 0 ? RC_OK : bad,
		.address = session->client_address,
		.server_address = session->server_address == NULL
					  ? ""
					  : session->server_address,
		.sasl_username = session->sasl_username,
	};
	fill_tls(play);
}

static enum rc begin(struct play *play, struct fault *fault)
{
	struct explain_stage *stage = stage_begin(play, "CONNECT", NULL);
	const char *reply;
	enum rc rc = rehearsal_connect(play->player->rehearsal, &play->client,
				       &reply, fault);

	if (rc != RC_OK)
		return rc;
	if (stage_end(play, stage, reply))
		say_all(play);
	return RC_OK;
}

enum rc explain_play_flipped(TALLOC_CTX *mem,
			     const struct explain_player *player,
			     const struct explain_session *session,
			     const struct explain_unknown *flipped,
			     struct explain_result **ret_result,
			     struct fault *fault)
{
	struct explain_result *result = mem_new(mem, struct explain_result);
	struct play play = {
		.trace = { .event = heard, .stand_in = stand_in },
		.mem = result,
		.player = player,
		.session = session,
		.result = result,
		.flipped = flipped,
	};
	struct trace *before;
	enum rc rc;

	result->session = session;
	result->conf = player->conf;
	result->service = player->service;
	result->stages = mem_array(result, struct explain_stage,
				   session->recipient_count + 8);
	fill_client(&play);
	before = trace_set(&play.trace);
	rc = begin(&play, fault);
	trace_set(before);
	if (rc != RC_OK)
		return rc;
	explain_decide(result);
	*ret_result = result;
	return RC_OK;
}

enum rc explain_play(TALLOC_CTX *mem, const struct explain_player *player,
		     const struct explain_session *session,
		     struct explain_result **ret_result, struct fault *fault)
{
	return explain_play_flipped(mem, player, session, NULL, ret_result,
				    fault);
}

void explain_branches(TALLOC_CTX *mem, const struct explain_player *player,
		      struct explain_result *result)
{
	enum explain_outcome outcome = result->outcome;

	for (size_t i = 0; i < result->unknown_count; i++) {
		struct explain_unknown *unknown = &result->unknowns[i];
		struct explain_result *other;
		struct fault fault;

		if (unknown->minor ||
		    explain_play_flipped(mem, player, result->session, unknown,
					 &other, &fault) != RC_OK)
			continue;
		unknown->other_code = other->last->code;
		if (strcmp(other->last->reply, result->last->reply) == 0)
			continue;
		unknown->other_reply = other->last->reply;
		if (other->outcome != outcome)
			result->outcome = EXPLAIN_OPEN;
	}
}
