/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/cleanup_priv.h"
#include "rule/rule_priv.h"

static enum rc classes_parse(const char *parameter, const char *text,
			     int *ret_classes, struct fault *fault)
{
	static const struct {
		const char *name;
		int class;
	} names[] = {
		{ "envelope_sender", CLASS_ENVELOPE_SENDER },
		{ "envelope_recipient", CLASS_ENVELOPE_RECIPIENT },
		{ "header_sender", CLASS_HEADER_SENDER },
		{ "header_recipient", CLASS_HEADER_RECIPIENT },
	};
	struct span rest = span_from(text), word;
	int classes = 0;

	while (span_token(&rest, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(names) &&
		       !span_is_nocase(word, names[i].name))
			i++;
		if (i == ARRAY_LEN(names))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "parameter %s: unknown class \"%.*s\"",
					 parameter, SPAN_FMT(word));
		classes |= names[i].class;
	}
	*ret_classes = classes;
	return RC_OK;
}

static enum rc classes_open(struct cleanup_service *s, struct fault *fault)
{
	const struct conf_values *v = &s->conf->v;
	const struct {
		const char *name, *text;
		int *classes;
	} lists[] = {
		{ "canonical_classes", v->canonical_classes,
		  &s->canonical_classes },
		{ "sender_canonical_classes", v->sender_canonical_classes,
		  &s->sender_canonical_classes },
		{ "recipient_canonical_classes", v->recipient_canonical_classes,
		  &s->recipient_canonical_classes },
		{ "masquerade_classes", v->masquerade_classes,
		  &s->masquerade_classes },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		enum rc rc = classes_parse(lists[i].name, lists[i].text,
					   lists[i].classes, fault);

		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc tables_open(struct cleanup_service *s, struct fault *fault)
{
	const struct conf_values *v = &s->conf->v;
	const struct {
		const char *name, *text;
		int flags;
		struct maps **maps;
	} tables[] = {
		{ "canonical_maps", v->canonical_maps, MAP_FOLD,
		  &s->canonical },
		{ "sender_canonical_maps", v->sender_canonical_maps, MAP_FOLD,
		  &s->sender_canonical },
		{ "recipient_canonical_maps", v->recipient_canonical_maps,
		  MAP_FOLD, &s->recipient_canonical },
		{ "virtual_alias_maps", v->virtual_alias_maps, MAP_FOLD,
		  &s->virtual_alias },
		{ "sender_bcc_maps", v->sender_bcc_maps, MAP_FOLD,
		  &s->sender_bcc },
		{ "recipient_bcc_maps", v->recipient_bcc_maps, MAP_FOLD,
		  &s->recipient_bcc },
		{ "header_checks", v->header_checks, 0,
		  &s->checks[CHECK_HEADER] },
		{ "mime_header_checks", v->mime_header_checks, 0,
		  &s->checks[CHECK_MIME] },
		{ "nested_header_checks", v->nested_header_checks, 0,
		  &s->checks[CHECK_NESTED] },
		{ "body_checks", v->body_checks, 0, &s->checks[CHECK_BODY] },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum rc rc = rule_maps_open(s, s->conf, tables[i].name,
				       tables[i].text, tables[i].flags,
				       tables[i].maps, fault);

		if (rc != RC_OK)
			return rc;
	}
	s->has_body_checks = !maps_is_empty(s->checks[CHECK_BODY]);
	s->has_checks = !maps_is_empty(s->checks[CHECK_HEADER]) ||
			!maps_is_empty(s->checks[CHECK_MIME]) ||
			!maps_is_empty(s->checks[CHECK_NESTED]);
	return RC_OK;
}

static void drop_headers_read(struct cleanup_service *s)
{
	struct span rest = span_from(s->conf->v.message_drop_headers), word;

	while (span_token(&rest, ", \t\r\n:", &word)) {
		s->drop_headers = mem_resize(s, s->drop_headers, const char *,
					     s->drop_count + 1);
		s->drop_headers[s->drop_count++] = mem_span_dup(s, word);
	}
}

static bool has_word(const char *list, const char *word)
{
	struct span rest = span_from(list), item;

	while (span_token(&rest, ", \t\r\n", &item))
		if (span_is_nocase(item, word))
			return true;
	return false;
}

static int service_close(struct cleanup_service *s)
{
	conf_unref(s->conf);
	return 0;
}

enum rc cleanup_service_open(TALLOC_CTX *mem, struct conf *conf,
			     struct intake *intake,
			     struct cleanup_service **ret_service,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct cleanup_service *s = mem_new(tmp, struct cleanup_service);
	const char *propagate = conf->v.propagate_unmatched_extensions;
	enum rc rc;

	s->conf = conf_ref(conf);
	s->intake = intake;
	talloc_set_destructor(s, service_close);
	s->propagate_canonical = has_word(propagate, "canonical");
	s->propagate_virtual = has_word(propagate, "virtual");
	drop_headers_read(s);
	rc = classes_open(s, fault);
	if (rc == RC_OK)
		rc = tables_open(s, fault);
	if (rc == RC_OK)
		rc = rule_list_open(s, conf, "masquerade_exceptions",
				     conf->v.masquerade_exceptions,
				     &s->masquerade_exceptions, fault);
	if (rc == RC_OK)
		rc = resolver_open(s, conf, &s->resolver, fault);
	if (rc != RC_OK)
		return rc;
	*ret_service = talloc_steal(mem, s);
	return RC_OK;
}
