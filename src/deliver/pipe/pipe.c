/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/pipe/pipe.h"

#include "deliver/command.h"
#include "deliver/loop.h"
#include "deliver/macro.h"
#include "mail/address.h"

enum { ENV_MAX = 64, MACROS_MAX = 32 };

struct pipe {
	struct conf *conf;
	const char *name;
	struct pipe_settings settings;
};

/* Macros about one recipient. */
static const char *const per_recipient[] = {
    "recipient", "original_recipient", "user", "extension", "mailbox", "domain",
};

enum rc pipe_open(TALLOC_CTX *mem, struct service *service,
		  struct pipe **ret_pipe, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct pipe *p = mem_new(tmp, struct pipe);

	p->conf = service->conf;
	p->name = service->name;
	if (pipe_settings_parse(p, service, &p->settings, fault) != RC_OK)
		return fault->rc;
	*ret_pipe = talloc_steal(mem, p);
	return RC_OK;
}

static bool has_flag(const struct pipe *p, char flag)
{
	return strchr(p->settings.flags, flag) != NULL;
}

static bool is_per_recipient(const char *arg)
{
	for (const char *at = strchr(arg, '$'); at != NULL;
	     at = strchr(at + 1, '$')) {
		struct span name = span_from(at + 1);
		size_t len = 0;

		if (span_starts(name, "{") || span_starts(name, "("))
			name = span_skip(name, 1);
		while (len < name.len &&
		       (ascii_is_alnum(name.ptr[len]) || name.ptr[len] == '_'))
			len++;
		for (size_t i = 0; i < ARRAY_LEN(per_recipient); i++)
			if (span_is(span_take(name, len), per_recipient[i]))
				return true;
	}
	return false;
}

/* flags=h, u and q. */
static char *address_shape(TALLOC_CTX *mem, const struct pipe *p,
			   const char *address)
{
	char *text = mem_strdup(mem, address);
	char *at = strrchr(text, '@');

	if (has_flag(p, 'h') && at != NULL)
		ascii_lower_text(at);
	if (has_flag(p, 'u'))
		for (char *c = text; *c != '\0' && c != at; c++)
			*c = ascii_lower(*c);
	if (has_flag(p, 'q') && *text != '\0')
		text = address_quote(mem, span_from(text));
	return text;
}

static size_t macros_of_message(struct pipe *p, struct delivery *d,
				struct macro_value *values)
{
	const struct envelope *e = d->image->env;
	const struct macro_value all[] = {
	    {"sender", *e->sender ? address_shape(d, p, e->sender)
				  : p->settings.null_sender},
	    {"nexthop", d->request->nexthop},
	    {"queue_id", d->request->queue_id},
	    {"size", mem_printf(d, "%llu", (unsigned long long)e->size_bytes)},
	    {"envid", e->dsn_envid},
	    {"client_address", e->client_address},
	    {"client_helo", e->client_helo},
	    {"client_hostname", e->client_name},
	    {"client_port", e->client_port},
	    {"client_protocol", e->client_proto},
	    {"sasl_method", e->sasl_method},
	    {"sasl_sender", e->sasl_sender},
	    {"sasl_username", e->sasl_username},
	};

	memcpy(values, all, sizeof(all));
	return ARRAY_LEN(all);
}

static size_t macros_of_recipient(struct pipe *p, struct delivery *d, size_t i,
				  struct macro_value *values)
{
	const struct recipient *to = &d->request->recipients[i];
	const char *address = address_shape(d, p, to->address);
	const struct address_parts parts = address_split(span_from(address));
	struct span base = parts.local, extension = SPAN_OF("");

	if (!address_split_extension(
		parts.local, p->conf->v.recipient_delimiter,
		p->conf->v.owner_request_special, &base, &extension))
		base = parts.local;
	{
		const struct macro_value all[] = {
		    {"recipient", address},
		    {"original_recipient",
		     to->original != NULL ? address_shape(d, p, to->original)
					  : ""},
		    {"user", mem_span_dup(d, base)},
		    {"extension", mem_span_dup(d, extension)},
		    {"mailbox", mem_span_dup(d, parts.local)},
		    {"domain", mem_span_dup(d, parts.domain)},
		};

		memcpy(values, all, sizeof(all));
		return ARRAY_LEN(all);
	}
}

/* One argument of the line, once or once for each recipient. */
static enum rc arg_expand(struct pipe *p, struct delivery *d, const char *arg,
			  const char **argv, size_t *count, struct fault *fault)
{
	struct macro_value values[MACROS_MAX];
	const size_t common = macros_of_message(p, d, values);
	const bool each = is_per_recipient(arg);
	const size_t times = each ? d->request->recipient_count : 1;

	for (size_t i = 0; i < times; i++) {
		size_t n = common;
		char *text;

		if (each && !delivery_is_open(d, i))
			continue;
		if (each)
			n += macros_of_recipient(p, d, i, values + common);
		if (macro_expand(d, arg, values, n, NULL, &text, fault) !=
		    RC_OK)
			return fault->rc;
		argv[(*count)++] = text;
	}
	return RC_OK;
}

static enum rc argv_make(struct pipe *p, struct delivery *d,
			 const char *const **ret_argv, struct fault *fault)
{
	const struct pipe_settings *s = &p->settings;
	const char **argv = mem_array(
	    d, const char *, s->argc *(d->request->recipient_count + 1) + 1);
	size_t count = 0;

	argv[count++] = s->argv[0];
	for (size_t i = 1; i < s->argc; i++)
		if (arg_expand(p, d, s->argv[i], argv, &count, fault) != RC_OK)
			return fault->rc;
	*ret_argv = argv;
	return RC_OK;
}

static const char *const *env_make(const struct pipe *p, TALLOC_CTX *mem)
{
	const char **env = mem_array(mem, const char *, ENV_MAX + 1);
	struct span rest = span_from(p->conf->v.export_environment), word;
	size_t count = 0;

	env[count++] = "PATH=/usr/bin:/bin";
	while (count < ENV_MAX && span_token(&rest, ", \t\r\n", &word)) {
		const char *name = mem_span_dup(mem, word);
		const char *value = getenv(name);

		if (span_find(word, '=') > 0)
			env[count++] = name;
		else if (value != NULL)
			env[count++] = mem_printf(mem, "%s=%s", name, value);
	}
	return env;
}

static struct mail_text text_make(struct pipe *p, struct delivery *d)
{
	static const struct {
		char flag;
		int mail_text, line;
	} flags[] = {
	    {'F', MAIL_TEXT_FROM, 0},	 {'>', MAIL_TEXT_QUOTE, 0},
	    {'B', MAIL_TEXT_BLANK, 0},	 {'.', MAIL_TEXT_DOTS, 0},
	    {'R', 0, LINE_RETURN_PATH},	 {'O', 0, LINE_ORIGINAL_TO},
	    {'D', 0, LINE_DELIVERED_TO},
	};
	struct mail_text text = loop_mail_text(d, 0, 0);
	int lines = 0;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (has_flag(p, flags[i].flag)) {
			text.flags |= flags[i].mail_text;
			lines |= flags[i].line;
		}
	if (p->settings.crlf)
		text.flags |= MAIL_TEXT_CRLF;
	text.prepend = loop_lines(d, d->image->env->sender,
				  &d->request->recipients[0], lines);
	return text;
}

static void all_settle_fault(struct pipe *p, struct delivery *d,
			     const struct fault *fault)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		if (delivery_is_open(d, i))
			delivery_settle_fault(d, i, fault, p->name);
}

static void command_deliver(struct pipe *p, struct delivery *d)
{
	const struct pipe_settings *s = &p->settings;
	const struct mail_text text = text_make(p, d);
	struct command command = {.env = env_make(p, d),
				  .shown = s->argv[0],
				  .directory = s->directory,
				  .user = s->user,
				  .time_limit_s = s->time_limit_s};
	struct outcome out = {.action = DELIVERY_SENT,
			      .dsn = "2.0.0",
			      .relay = p->name,
			      .dsn_action =
				  has_flag(p, 'X') ? "delivered" : "relayed"};
	const char *output = "";
	struct fault fault;

	if (delivery_is_probe(d)) {
		out.text = mem_printf(d, "delivers to command: %s",
				      s->argv[0]);
		delivery_settle_open(d, &out);
		return;
	}
	if (argv_make(p, d, &command.argv, &fault) != RC_OK ||
	    command_run(d, &command, &text, &output, &fault) != RC_OK) {
		all_settle_fault(p, d, &fault);
		return;
	}
	out.text = mem_printf(d, "delivered via %s service%s%s%s", p->name,
			      *output != '\0' ? " (" : "", output,
			      *output != '\0' ? ")" : "");
	delivery_settle_open(d, &out);
}

void pipe_deliver(void *arg, struct delivery *d)
{
	struct pipe *p = arg;
	const struct pipe_settings *s = &p->settings;
	struct fault fault;

	if (s->size_max_bytes > 0 &&
	    d->image->header_length + d->image->body_length >
		s->size_max_bytes) {
		fault_set(&fault, RC_PERM, "5.2.3", "message too large");
		all_settle_fault(p, d, &fault);
		return;
	}
	if ((has_flag(p, 'D') || has_flag(p, 'O')) &&
	    d->request->recipient_count > 1) {
		fault_set(&fault, RC_CONF, "4.3.5",
			  "flags=D and flags=O need "
			  "%s_destination_recipient_limit = 1",
			  p->name);
		all_settle_fault(p, d, &fault);
		return;
	}
	if (has_flag(p, 'D') && loop_check(d, 0, &fault) != RC_OK) {
		all_settle_fault(p, d, &fault);
		return;
	}
	command_deliver(p, d);
}
