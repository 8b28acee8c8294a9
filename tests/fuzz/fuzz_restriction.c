/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "rule/restriction_access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is on this machine, and who listens on it, is no input. */
static void without_world(char *text)
{
	static const char *const words[] = { "check_policy_service",
					     "hash:",
					     "btree:",
					     "tcp:",
					     "unix:",
					     "proxy:",
					     "socketmap:",
					     "memcache:" };

	for (char *p = text; *p != '\0'; p++)
		if (*p == '/')
			*p = 'x';
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (char *p = text; (p = strcasestr(p, words[i])) != NULL;)
			*p = '_';
}

static struct restrictions *set_open(void)
{
	const struct conf_source source = { .config_directory = "/",
					    .defaults_only = true };
	struct recipient_lists *recipients;
	struct restrictions *set;
	struct resolver *resolver;
	struct fault fault = { 0 };
	struct conf *conf;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		__builtin_trap();
	conf->v.local_recipient_maps = "";
	conf->v.alias_maps = "";
	conf->v.smtpd_relay_restrictions = "reject_unauth_destination";
	conf->v.smtpd_restriction_classes = "strict, loop";
	if (resolver_open(NULL, conf, &resolver, &fault) != RC_OK ||
	    recipient_lists_open(NULL, conf, resolver, &recipients, &fault) !=
		    RC_OK ||
	    restrictions_open(NULL, conf, resolver, recipients, &set, &fault) !=
		    RC_OK)
		__builtin_trap();
	return set;
}

static void reply_check(enum rc rc, const struct restriction_verdict *verdict)
{
	if (rc == RC_OK)
		return;
	assert(rc == RC_PERM || rc == RC_TEMP);
	if (verdict->hang_up)
		return;
	assert(verdict->code >= 400 && verdict->code <= 599);
	assert(verdict->text != NULL);
	assert(strpbrk(verdict->text, "\r\n") == NULL);
}

/* The text of a list, a line end, and what an access table answers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct restrictions *set;
	const struct restriction_request request = {
		.client_name = "mail.client.test",
		.client_address = "192.0.2.9",
		.reverse_name = "mail.client.test",
		.server_address = "192.0.2.25",
		.helo = "client.test",
		.sender = "ann@client.test",
		.recipient = "jo@example.test",
	};
	struct span entry = { (const char *)data, size }, head = { "", 0 };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct restriction_verdict verdict = { 0 };
	struct restriction_state state = { 0 };
	struct rule_items *items;
	struct fault fault = { 0 };
	struct rule_item item = { .word = "check_sender_access",
				  .arg = "fuzz:table" };
	struct evaluation ev = { .mem = mem,
				 .request = &request,
				 .state = &state,
				 .verdict = &verdict,
				 .list = LIST_SENDER,
				 .class = CLASS_OF_SENDER,
				 .subject = "ann@client.test",
				 .stage = AT_RCPT,
				 .rc = RC_PERM };
	enum rule_result result;
	struct access access;
	char *text;

	if (set == NULL)
		set = set_open();
	ev.set = set;
	ev.memo = restriction_memo_new(mem);
	(void)span_cut(&entry, '\n', &head);
	text = mem_span_dup(mem, head);
	without_world(text);
	if (rule_items_compile(mem, set->conf, "fuzz", text, 0, &items,
			       &fault) == RC_OK) {
		result = rule_items_run(&ev, items);
		reply_check(result == RULE_REJECT ? ev.rc : RC_OK, &verdict);
	}
	text = mem_span_dup(mem, entry);
	without_world(text);
	access_init(&access, &ev, &item, CLASS_OF_SENDER);
	result = access_act(&access, span_from(text));
	reply_check(result == RULE_REJECT ? ev.rc : RC_OK, &verdict);
	talloc_free(mem);
	return 0;
}
