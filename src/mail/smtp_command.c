/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/smtp_command.h"

/* One token of a command: blanks end it, but not inside <> or "". */
static size_t token_len(struct span text)
{
	bool quoted = false;
	int angles = 0;
	size_t i;

	for (i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\\' && i + 1 < text.len)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && c == '<')
			angles++;
		else if (!quoted && c == '>')
			angles -= angles > 0;
		else if (!quoted && angles == 0 && ascii_is_space(c))
			break;
	}
	return i;
}

/* A command's own blanks: also those of clients that are not careful. */
static struct span skip_blanks(struct span text)
{
	while (text.len > 0 && ascii_is_space(text.ptr[0]))
		text = span_skip(text, 1);
	return text;
}

void smtp_command_split(struct span line, struct smtp_command *ret_command)
{
	size_t n = 0;

	line = span_trim(line);
	while (n < line.len && !ascii_is_space(line.ptr[n]))
		n++;
	ret_command->verb = span_take(line, n);
	ret_command->args = skip_blanks(span_skip(line, n));
}

bool smtp_command_is(const struct smtp_command *command, const char *verb)
{
	return span_is_nocase(command->verb, verb);
}

static enum rc refuse(struct fault *fault, int *ret_code, int code,
		      const char *text)
{
	*ret_code = code;
	return fault_set(fault, RC_PERM, "5.5.4", "%s", text);
}

static enum rc unsupported(struct span option, int *ret_code,
			   struct fault *fault)
{
	*ret_code = 555;
	return fault_set(fault, RC_PERM, "5.5.4", "Unsupported option: %.*s",
			 (int)MIN_OF(option.len, (size_t)200), option.ptr);
}

/* What a command with a path has: how it starts and what is said about it. */
struct path_command {
	const char *word; /* "FROM:" */
	const char *syntax, *bad_address, *bad_address_dsn;
	int address_flags;
};

static const struct path_command mail_command = {
	.word = "FROM:",
	.syntax = "Syntax: MAIL FROM:<address>",
	.bad_address = "Bad sender address syntax",
	.bad_address_dsn = "5.1.7",
	.address_flags = ADDRESS_NULL_OK,
};

static const struct path_command rcpt_command = {
	.word = "TO:",
	.syntax = "Syntax: RCPT TO:<address>",
	.bad_address = "Bad recipient address syntax",
	.bad_address_dsn = "5.1.3",
};

struct path {
	struct span path, address, parameters;
};

static enum rc path_take(TALLOC_CTX *mem, struct span args,
			 const struct path_command *command, int flags,
			 struct path *ret_path, int *ret_code,
			 struct fault *fault)
{
	int address_flags = command->address_flags;
	struct span rest;

	if (!span_starts_nocase(args, command->word))
		return refuse(fault, ret_code, 501, command->syntax);
	rest = skip_blanks(span_skip(args, strlen(command->word)));
	if (rest.len == 0)
		return refuse(fault, ret_code, 501, command->syntax);
	ret_path->path = span_take(rest, token_len(rest));
	ret_path->parameters = span_skip(rest, ret_path->path.len);
	if (flags & SMTP_STRICT)
		address_flags |= ADDRESS_STRICT;
	if (flags & SMTP_UTF8_ENABLED)
		address_flags |= ADDRESS_UTF8;
	if (flags & SMTP_MINUS_OK)
		address_flags |= ADDRESS_MINUS_OK;
	if (address_parse_path(mem, ret_path->path, address_flags,
			       &ret_path->address, fault) == RC_OK)
		return RC_OK;
	*ret_code = 501;
	return fault_set(fault, RC_PERM, command->bad_address_dsn, "%s",
			 command->bad_address);
}

/* One "NAME=value" or "NAME". */
struct parameter {
	struct span whole, name, value;
	bool has_value;
};

static bool parameter_take(struct span *rest, struct parameter *ret_parameter)
{
	ssize_t equals;

	*rest = skip_blanks(*rest);
	if (rest->len == 0)
		return false;
	ret_parameter->whole = span_take(*rest, token_len(*rest));
	*rest = span_skip(*rest, ret_parameter->whole.len);
	equals = span_find(ret_parameter->whole, '=');
	ret_parameter->has_value = equals >= 0;
	ret_parameter->name = ret_parameter->whole;
	ret_parameter->value = SPAN_OF("");
	if (equals >= 0) {
		ret_parameter->name.len = (size_t)equals;
		ret_parameter->value =
			span_skip(ret_parameter->whole, (size_t)equals + 1);
	}
	return true;
}

/* A command being read: where its parameters go. */
struct reading {
	TALLOC_CTX *mem;
	int flags;
	struct smtp_mail *mail;
	struct smtp_rcpt *rcpt;
	int *ret_code;
	struct fault *fault;
};

static enum rc mail_size(struct reading *r, struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!ascii_is_digit(value.ptr[i]))
			value.len = 0;
	if (value.len == 0)
		return refuse(r->fault, r->ret_code, 501,
			      "Bad message size syntax");
	if (!span_to_u64(value, INT64_MAX, &r->mail->size_bytes))
		r->mail->size_bytes = INT64_MAX;
	r->mail->has_size = true;
	return RC_OK;
}

static enum rc mail_body(struct reading *r, struct span value)
{
	if (span_is_nocase(value, "7BIT"))
		r->mail->body = SMTP_BODY_7BIT;
	else if (span_is_nocase(value, "8BITMIME"))
		r->mail->body = SMTP_BODY_8BITMIME;
	else
		return RC_NONE;
	return RC_OK;
}

static enum rc mail_ret(struct reading *r, struct span value)
{
	bool again = r->mail->ret != SMTP_RET_NONE;

	if (!again && span_is_nocase(value, "FULL"))
		r->mail->ret = SMTP_RET_FULL;
	else if (!again && span_is_nocase(value, "HDRS"))
		r->mail->ret = SMTP_RET_HDRS;
	else
		return refuse(r->fault, r->ret_code, 501,
			      "Bad RET parameter syntax");
	return RC_OK;
}

static bool is_printable(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_print(text.ptr[i]))
			return false;
	return true;
}

static enum rc mail_envid(struct reading *r, struct span value)
{
	struct span envid;

	if (r->mail->envid.ptr != NULL || value.len == 0 ||
	    xtext_decode(r->mem, value, &envid, NULL) != RC_OK ||
	    !is_printable(envid))
		return refuse(r->fault, r->ret_code, 501,
			      "Bad ENVID parameter syntax");
	r->mail->envid = envid;
	return RC_OK;
}

static enum rc mail_auth(struct reading *r, struct span value)
{
	if (value.len == 0 ||
	    xtext_decode(r->mem, value, &r->mail->auth, NULL) != RC_OK)
		return refuse(r->fault, r->ret_code, 501,
			      "Bad AUTH parameter syntax");
	return RC_OK;
}

static enum rc mail_verp(struct reading *r, struct span value)
{
	r->mail->verp = value;
	return RC_OK;
}

static enum rc mail_smtputf8(struct reading *r, struct span value)
{
	if (!(r->flags & SMTP_UTF8_ENABLED))
		return RC_NONE;
	r->mail->smtputf8 = true;
	return RC_OK;
}

static enum rc rcpt_notify(struct reading *r, struct span value)
{
	if (r->rcpt->notify != 0 || !smtp_notify_parse(value, &r->rcpt->notify))
		return refuse(r->fault, r->ret_code, 501,
			      "Error: Bad NOTIFY parameter syntax");
	return RC_OK;
}

/* It goes on to other hosts as it is: "rfc822", "utf-8", "x400". */
static bool is_type(struct span type)
{
	for (size_t i = 0; i < type.len; i++)
		if (!ascii_is_alnum(type.ptr[i]) && type.ptr[i] != '-' &&
		    type.ptr[i] != '.' && type.ptr[i] != '_')
			return false;
	return true;
}

static bool is_one_word(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 127)
			return false;
	return true;
}

/* The type must be there; the address may be empty, as the reference has it.
 * A type of utf-8 uses its own escapes and is kept as it is (RFC 6533). */
static enum rc rcpt_orcpt(struct reading *r, struct span value)
{
	static const char bad[] = "Error: Bad ORCPT parameter syntax";
	ssize_t semicolon = span_find(value, ';');
	struct span address, type;

	if (r->rcpt->orcpt.ptr != NULL || semicolon <= 0)
		return refuse(r->fault, r->ret_code, 501, bad);
	type = span_take(value, (size_t)semicolon);
	address = span_skip(value, (size_t)semicolon + 1);
	if (!is_type(type) || !is_one_word(address))
		return refuse(r->fault, r->ret_code, 501, bad);
	if (!span_is_nocase(type, "utf-8") &&
	    (xtext_decode(r->mem, address, &address, NULL) != RC_OK ||
	     !is_printable(address)))
		return refuse(r->fault, r->ret_code, 501, bad);
	r->rcpt->orcpt = span_from(mem_printf(
		r->mem, "%.*s;%.*s", SPAN_FMT(type), SPAN_FMT(address)));
	return RC_OK;
}

enum value_rule { VALUE_NONE, VALUE_NEEDED, VALUE_MAY_BE };

/* RC_NONE from run: such a value is not supported. */
struct parameter_row {
	const char *name;
	enum value_rule value;
	enum rc (*run)(struct reading *reading, struct span value);
};

static const struct parameter_row mail_parameters[] = {
	{ "SIZE", VALUE_NEEDED, mail_size },
	{ "BODY", VALUE_NEEDED, mail_body },
	{ "RET", VALUE_NEEDED, mail_ret },
	{ "ENVID", VALUE_NEEDED, mail_envid },
	{ "AUTH", VALUE_NEEDED, mail_auth },
	{ "SMTPUTF8", VALUE_NONE, mail_smtputf8 },
	{ "XVERP", VALUE_MAY_BE, mail_verp },
	{ NULL, VALUE_NONE, NULL },
};

static const struct parameter_row rcpt_parameters[] = {
	{ "NOTIFY", VALUE_NEEDED, rcpt_notify },
	{ "ORCPT", VALUE_NEEDED, rcpt_orcpt },
	{ NULL, VALUE_NONE, NULL },
};

static enum rc parameter_run(struct reading *r, const struct parameter_row *row,
			     const struct parameter *parameter)
{
	for (; row->name != NULL; row++) {
		if (!span_is_nocase(parameter->name, row->name))
			continue;
		if (row->value == VALUE_NEEDED && !parameter->has_value)
			return RC_NONE;
		if (row->value == VALUE_NONE && parameter->has_value)
			return RC_NONE;
		return row->run(r, parameter->value);
	}
	return RC_NONE;
}

static enum rc parameters_read(struct reading *r, struct span rest,
			       const struct parameter_row *rows)
{
	struct parameter parameter;
	enum rc rc;
	int count = 0;

	while (parameter_take(&rest, &parameter)) {
		if (++count > SMTP_PARAMETERS_MAX)
			return refuse(r->fault, r->ret_code, 501,
				      "Error: too many parameters");
		rc = parameter_run(r, rows, &parameter);
		if (rc == RC_NONE)
			return unsupported(parameter.whole, r->ret_code,
					   r->fault);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc smtp_mail_parse(TALLOC_CTX *mem, struct span args, int flags,
			struct smtp_mail *ret_mail, int *ret_code,
			struct fault *fault)
{
	struct smtp_mail mail = { 0 };
	struct reading reading = { .mem = mem,
				   .flags = flags,
				   .mail = &mail,
				   .ret_code = ret_code,
				   .fault = fault };
	struct path path;
	enum rc rc;

	rc = path_take(mem, args, &mail_command, flags, &path, ret_code, fault);
	if (rc != RC_OK)
		return rc;
	rc = parameters_read(&reading, path.parameters, mail_parameters);
	if (rc != RC_OK)
		return rc;
	mail.path = path.path;
	mail.address = path.address;
	*ret_mail = mail;
	return RC_OK;
}

enum rc smtp_rcpt_parse(TALLOC_CTX *mem, struct span args, int flags,
			struct smtp_rcpt *ret_rcpt, int *ret_code,
			struct fault *fault)
{
	struct smtp_rcpt rcpt = { 0 };
	struct reading reading = { .mem = mem,
				   .flags = flags,
				   .rcpt = &rcpt,
				   .ret_code = ret_code,
				   .fault = fault };
	struct path path;
	enum rc rc;

	rc = path_take(mem, args, &rcpt_command, flags, &path, ret_code, fault);
	if (rc != RC_OK)
		return rc;
	rc = parameters_read(&reading, path.parameters, rcpt_parameters);
	if (rc != RC_OK)
		return rc;
	rcpt.path = path.path;
	rcpt.address = path.address;
	*ret_rcpt = rcpt;
	return RC_OK;
}

bool smtp_notify_parse(struct span text, uint8_t *ret_notify)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = {
		{ "SUCCESS", SMTP_NOTIFY_SUCCESS },
		{ "FAILURE", SMTP_NOTIFY_FAILURE },
		{ "DELAY", SMTP_NOTIFY_DELAY },
	};
	struct span word;
	uint8_t notify = 0;

	if (span_is_nocase(text, "NEVER")) {
		*ret_notify = SMTP_NOTIFY_NEVER;
		return true;
	}
	while (span_token(&text, ",", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(words) &&
		       !span_is_nocase(word, words[i].word))
			i++;
		if (i == ARRAY_LEN(words))
			return false;
		notify |= words[i].bit;
	}
	if (notify == 0)
		return false;
	*ret_notify = notify;
	return true;
}
