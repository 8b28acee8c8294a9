/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/pipe/pipe.h"

static enum rc bad(struct fault *fault, const char *what, struct span value)
{
	return fault_set(fault, RC_CONF, "4.3.5", "pipe: bad %s: \"%.*s\"",
			 what, SPAN_FMT(value));
}

static enum rc flags_take(TALLOC_CTX *mem, struct span value,
			  struct pipe_settings *s, struct fault *fault)
{
	s->flags = mem_span_dup(mem, value);
	if (strspn(s->flags, "BDFORXhqu.>") != value.len)
		return bad(fault, "flags", value);
	return RC_OK;
}

static enum rc user_take(TALLOC_CTX *mem, struct span value,
			 const struct conf *conf, struct pipe_settings *s,
			 struct fault *fault)
{
	struct span rest = value, name;
	struct privilege_user *owner;

	if (!span_cut(&rest, ':', &name) ||
	    privilege_user_find(mem, mem_span_dup(mem, name), &s->user,
				fault) != RC_OK)
		return bad(fault, "user", value);
	if (rest.len > 0 && privilege_group_find(mem_span_dup(mem, rest),
						 &s->user->gid, fault) != RC_OK)
		return bad(fault, "group", rest);
	if (s->user->uid == 0 || s->user->gid == 0)
		return bad(fault, "user, root is not allowed", value);
	if (privilege_user_find(mem, conf->v.mail_owner, &owner, fault) ==
		RC_OK &&
	    owner->uid == s->user->uid)
		return bad(fault, "user, mail_owner is not allowed", value);
	return RC_OK;
}

static enum rc eol_take(struct span value, struct pipe_settings *s,
			struct fault *fault)
{
	s->crlf = span_is(value, "\\r\\n");
	return s->crlf || span_is(value, "\\n") ? RC_OK
						: bad(fault, "eol", value);
}

static enum rc word_take(TALLOC_CTX *mem, const struct conf *conf,
			 struct span name, struct span value,
			 struct pipe_settings *s, struct fault *fault)
{
	if (span_is(name, "flags"))
		return flags_take(mem, value, s, fault);
	if (span_is(name, "user"))
		return user_take(mem, value, conf, s, fault);
	if (span_is(name, "directory"))
		s->directory = mem_span_dup(mem, value);
	else if (span_is(name, "null_sender"))
		s->null_sender = mem_span_dup(mem, value);
	else if (span_is(name, "eol"))
		return eol_take(value, s, fault);
	else if (span_is(name, "size"))
		return span_to_u64(value, INT64_MAX, &s->size_max_bytes)
			   ? RC_OK
			   : bad(fault, "size", value);
	else
		return bad(fault, "or unsupported attribute", name);
	return RC_OK;
}

enum rc pipe_settings_parse(TALLOC_CTX *mem, const struct service *service,
			    struct pipe_settings *ret_settings,
			    struct fault *fault)
{
	struct pipe_settings s = {.flags = "", .null_sender = "MAILER-DAEMON"};
	const char **argv = mem_array(mem, const char *, service->argc + 2);
	size_t i;

	for (i = 0; i < service->argc; i++) {
		struct span value = span_from(service->argv[i]), name;

		if (!span_cut(&value, '=', &name) || value.ptr == NULL)
			return bad(fault, "attribute",
				   span_from(service->argv[i]));
		if (span_is(name, "argv")) {
			argv[s.argc++] = mem_span_dup(mem, value);
			break;
		}
		if (word_take(mem, service->conf, name, value, &s, fault) !=
		    RC_OK)
			return fault->rc;
	}
	for (i++; i < service->argc && s.argc < PIPE_ARGS_MAX; i++)
		argv[s.argc++] = service->argv[i];
	s.argv = argv;
	if (s.argc == 0 || argv[0][0] == '\0')
		return fault_set(fault, RC_CONF, "4.3.5",
				 "pipe: argv= is missing");
	if (s.user == NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "pipe: user= is missing");
	if (conf_transport_time(service->conf, service->name, "_time_limit",
				service->conf->v.command_time_limit,
				&s.time_limit_s, fault) != RC_OK)
		return fault->rc;
	*ret_settings = s;
	return RC_OK;
}
