/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/envelope.h"

/*
 * The form: a magic, then fields of u8 tag, u32 length, value. Texts carry
 * their NUL, so that decoding is one copy of the bytes and pointers into it.
 * A recipient is a field whose value is fields.
 */

enum { FIELD_HEAD_BYTES = 5 };

static const struct span magic = SPAN("PEv1");

enum tag {
	TAG_QUEUE_ID = 1,
	TAG_SENDER,
	TAG_ARRIVAL_US,
	TAG_SIZE_BYTES,
	TAG_FLAGS,
	TAG_LONGEST_LINE,
	TAG_DSN_RET,
	TAG_DSN_ENVID,
	TAG_CLIENT_NAME,
	TAG_CLIENT_ADDRESS,
	TAG_CLIENT_PORT,
	TAG_CLIENT_PROTO,
	TAG_CLIENT_HELO,
	TAG_LOG_IDENT,
	TAG_SASL_METHOD,
	TAG_SASL_USERNAME,
	TAG_SASL_SENDER,
	TAG_FILTER,
	TAG_REDIRECT,
	TAG_VERP,
	TAG_WARNED_US,
	TAG_RECIPIENT_COUNT,
	TAG_RECIPIENT = 64,
	TAG_END = 255, /* nothing was cut off */
	TAG_RCPT_ADDRESS = 1,
	TAG_RCPT_ORIGINAL,
	TAG_RCPT_ORCPT,
	TAG_RCPT_NOTIFY,
};

#define TEXT_FIELD(tag, member) { tag, offsetof(struct envelope, member) }

static const struct text_field {
	uint8_t tag;
	size_t offset;
} text_fields[] = {
	TEXT_FIELD(TAG_QUEUE_ID, queue_id),
	TEXT_FIELD(TAG_SENDER, sender),
	TEXT_FIELD(TAG_DSN_ENVID, dsn_envid),
	TEXT_FIELD(TAG_CLIENT_NAME, client_name),
	TEXT_FIELD(TAG_CLIENT_ADDRESS, client_address),
	TEXT_FIELD(TAG_CLIENT_PORT, client_port),
	TEXT_FIELD(TAG_CLIENT_PROTO, client_proto),
	TEXT_FIELD(TAG_CLIENT_HELO, client_helo),
	TEXT_FIELD(TAG_LOG_IDENT, log_ident),
	TEXT_FIELD(TAG_SASL_METHOD, sasl_method),
	TEXT_FIELD(TAG_SASL_USERNAME, sasl_username),
	TEXT_FIELD(TAG_SASL_SENDER, sasl_sender),
	TEXT_FIELD(TAG_FILTER, filter),
	TEXT_FIELD(TAG_REDIRECT, redirect),
	TEXT_FIELD(TAG_VERP, verp),
};

struct envelope *envelope_new(TALLOC_CTX *mem)
{
	struct envelope *env = mem_new(mem, struct envelope);

	env->sender = "";
	env->queue_id = "";
	return env;
}

void envelope_set_text(struct envelope *env, const char **field,
		       struct span text)
{
	*field = mem_span_dup(env, text);
}

struct recipient *envelope_add_recipient(struct envelope *env,
					 struct span address)
{
	size_t cap = talloc_array_length(env->recipients);
	struct recipient *recipient;

	if (env->recipient_count == cap)
		env->recipients = mem_resize(env, env->recipients,
					     struct recipient,
					     MAX_OF(cap * 2, (size_t)1));
	recipient = &env->recipients[env->recipient_count++];
	*recipient = (struct recipient){ 0 };
	recipient->address = mem_span_dup(env, address);
	return recipient;
}

static void put_field(struct buf *out, uint8_t tag, const void *value,
		      size_t size)
{
	uint32_t len = (uint32_t)size;
	char *at;

	if (!buf_reserve(out, FIELD_HEAD_BYTES + size))
		return;
	at = out->data + out->len;
	at[0] = (char)tag;
	memcpy(at + 1, &len, sizeof(len));
	memcpy(at + FIELD_HEAD_BYTES, value, size);
	out->len += FIELD_HEAD_BYTES + size;
}

static void put_text(struct buf *out, uint8_t tag, const char *text)
{
	if (text != NULL)
		put_field(out, tag, text, strlen(text) + 1);
}

static void put_number(struct buf *out, uint8_t tag, uint64_t value)
{
	if (value != 0)
		put_field(out, tag, &value, sizeof(value));
}

static void put_recipient(struct buf *out, const struct recipient *recipient)
{
	size_t begin = out->len;
	uint32_t len;

	put_field(out, TAG_RECIPIENT, "", 0);
	put_text(out, TAG_RCPT_ADDRESS, recipient->address);
	if (recipient->original != NULL &&
	    strcmp(recipient->original, recipient->address) != 0)
		put_text(out, TAG_RCPT_ORIGINAL, recipient->original);
	put_text(out, TAG_RCPT_ORCPT, recipient->dsn_orcpt);
	put_number(out, TAG_RCPT_NOTIFY, recipient->notify);
	if (out->full)
		return;
	len = (uint32_t)(out->len - begin - FIELD_HEAD_BYTES);
	memcpy(out->data + begin + 1, &len, sizeof(len));
}

void envelope_encode(const struct envelope *env, bool with_recipients,
		     struct buf *out)
{
	buf_add(out, magic);
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++) {
		const char *const *text =
			(const char *const *)((const char *)env +
					      text_fields[i].offset);

		put_text(out, text_fields[i].tag, *text);
	}
	put_number(out, TAG_ARRIVAL_US, env->arrival_us);
	put_number(out, TAG_SIZE_BYTES, env->size_bytes);
	put_number(out, TAG_FLAGS, env->flags);
	put_number(out, TAG_LONGEST_LINE, env->longest_line);
	put_number(out, TAG_DSN_RET, env->dsn_ret);
	put_number(out, TAG_WARNED_US, env->warned_us);
	if (with_recipients) {
		put_number(out, TAG_RECIPIENT_COUNT, env->recipient_count);
		for (size_t i = 0; i < env->recipient_count; i++)
			put_recipient(out, &env->recipients[i]);
	}
	put_field(out, TAG_END, "", 0);
}

struct field {
	uint8_t tag;
	struct span value;
};

/* False at the end, and with *rest->ptr NULL where a field is cut off. */
static bool take_field(struct span *rest, struct field *ret_field)
{
	uint32_t len;

	if (rest->len == 0)
		return false;
	if (rest->len >= FIELD_HEAD_BYTES) {
		memcpy(&len, rest->ptr + 1, sizeof(len));
		if (len <= rest->len - FIELD_HEAD_BYTES) {
			ret_field->tag = (uint8_t)rest->ptr[0];
			ret_field->value = (struct span){
				rest->ptr + FIELD_HEAD_BYTES, len
			};
			*rest = span_skip(*rest, FIELD_HEAD_BYTES + len);
			return true;
		}
	}
	rest->ptr = NULL;
	return false;
}

static bool field_text(const struct field *field, const char **ret_text)
{
	struct span value = field->value;

	if (value.len == 0 || span_find(value, '\0') != (ssize_t)value.len - 1)
		return false;
	*ret_text = value.ptr;
	return true;
}

static bool field_number(const struct field *field, uint64_t max,
			 uint64_t *ret_value)
{
	uint64_t value;

	if (field->value.len != sizeof(value))
		return false;
	memcpy(&value, field->value.ptr, sizeof(value));
	if (value > max)
		return false;
	*ret_value = value;
	return true;
}

static bool take_recipient(struct span rest, struct recipient *ret_recipient)
{
	struct recipient recipient = { 0 };
	struct field field;
	uint64_t notify = 0;
	bool good = true;

	while (good && take_field(&rest, &field)) {
		if (field.tag == TAG_RCPT_ADDRESS)
			good = field_text(&field, &recipient.address);
		else if (field.tag == TAG_RCPT_ORIGINAL)
			good = field_text(&field, &recipient.original);
		else if (field.tag == TAG_RCPT_ORCPT)
			good = field_text(&field, &recipient.dsn_orcpt);
		else if (field.tag == TAG_RCPT_NOTIFY)
			good = field_number(&field, UINT8_MAX, &notify);
	}
	if (!good || rest.ptr == NULL || recipient.address == NULL)
		return false;
	if (recipient.original == NULL)
		recipient.original = recipient.address;
	recipient.notify = (uint8_t)notify;
	*ret_recipient = recipient;
	return true;
}

static bool take_recipient_field(struct envelope *env, struct span value)
{
	if (env->recipient_count == talloc_array_length(env->recipients)) {
		size_t cap = MAX_OF(env->recipient_count * 2, (size_t)1);

		env->recipients = mem_resize(env, env->recipients,
					     struct recipient, cap);
	}
	if (!take_recipient(value, &env->recipients[env->recipient_count]))
		return false;
	env->recipient_count++;
	return true;
}

static bool take_text_field(struct envelope *env, const struct field *field)
{
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++) {
		char *at = (char *)env + text_fields[i].offset;

		if (text_fields[i].tag == field->tag)
			return field_text(field, (const char **)at);
	}
	return true; /* written by a later version: skipped */
}

static bool take_any_field(struct envelope *env, const struct field *field,
			   uint64_t *ret_expected)
{
	uint64_t value = 0;

	switch (field->tag) {
	case TAG_RECIPIENT:
		return take_recipient_field(env, field->value);
	case TAG_RECIPIENT_COUNT:
		return field_number(field, UINT32_MAX, ret_expected);
	case TAG_ARRIVAL_US:
		return field_number(field, UINT64_MAX, &env->arrival_us);
	case TAG_SIZE_BYTES:
		return field_number(field, UINT64_MAX, &env->size_bytes);
	case TAG_WARNED_US:
		return field_number(field, UINT64_MAX, &env->warned_us);
	case TAG_FLAGS:
		if (!field_number(field, UINT32_MAX, &value))
			return false;
		env->flags = (uint32_t)value;
		return true;
	case TAG_LONGEST_LINE:
		if (!field_number(field, UINT32_MAX, &value))
			return false;
		env->longest_line = (uint32_t)value;
		return true;
	case TAG_DSN_RET:
		if (!field_number(field, UINT8_MAX, &value))
			return false;
		env->dsn_ret = (uint8_t)value;
		return true;
	default:
		return take_text_field(env, field);
	}
}

enum rc envelope_decode(TALLOC_CTX *mem, struct span bytes,
			struct envelope **ret_env, struct fault *fault)
{
	struct envelope *env = envelope_new(mem);
	struct span rest = mem_span_copy(env, bytes);
	uint64_t expected = 0;
	bool good = span_eq(span_take(rest, magic.len), magic);
	struct field field = { 0 };

	rest = span_skip(rest, magic.len);
	while (good && take_field(&rest, &field))
		good = take_any_field(env, &field, &expected);
	if (!good || field.tag != TAG_END || rest.ptr == NULL ||
	    expected != env->recipient_count) {
		talloc_free(env);
		return fault_set(fault, RC_PERM, "5.3.0",
				 "damaged message envelope");
	}
	*ret_env = env;
	return RC_OK;
}
