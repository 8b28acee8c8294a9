/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"

#include <arpa/inet.h>
#include <idn2.h>

#include "base/utf8.h"

enum { DOMAIN_MAX_BYTES = 255, LABEL_MAX_BYTES = 63 };

static bool ip_is_valid(int family, struct span text)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char ip[16];

	if (text.len == 0 || text.len >= sizeof(copy) ||
	    span_find(text, '\0') >= 0)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	return inet_pton(family, copy, ip) == 1;
}

bool address_literal_ip(struct span domain, struct span *ret_ip)
{
	struct span inside;
	int family = AF_INET;

	if (domain.len < 3 || domain.ptr[0] != '[' || !span_ends(domain, "]"))
		return false;
	inside = (struct span){ domain.ptr + 1, domain.len - 2 };
	if (span_starts_nocase(inside, "IPv6:")) {
		inside = span_skip(inside, strlen("IPv6:"));
		family = AF_INET6;
	}
	if (!ip_is_valid(family, inside))
		return false;
	*ret_ip = inside;
	return true;
}

static bool label_is_valid(struct span label, bool utf8_ok, bool *is_numeric)
{
	if (label.len == 0 || label.len > LABEL_MAX_BYTES ||
	    label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];

		if (!ascii_is_digit(c))
			*is_numeric = false;
		if (!ascii_is_alnum(c) && c != '-' && c != '_' &&
		    !(utf8_ok && (unsigned char)c >= 128))
			return false;
	}
	return true;
}

bool domain_is_valid(struct span domain, bool utf8_ok)
{
	struct span rest = domain, label;
	bool all_numeric = true;

	if (domain.len == 0 || domain.len > DOMAIN_MAX_BYTES)
		return false;
	while (span_cut(&rest, '.', &label))
		if (!label_is_valid(label, utf8_ok, &all_numeric))
			return false;
	return !all_numeric;
}

enum rc domain_to_ascii(TALLOC_CTX *mem, struct span domain, char **ret_domain,
			struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	char *text, *ascii = NULL;
	int result;

	if (text_is_ascii(domain)) {
		*ret_domain = mem_span_dup(mem, domain);
		return RC_OK;
	}
	if (domain.len > ADDRESS_MAX_BYTES || !text_is_utf8(domain) ||
	    span_find(domain, '\0') >= 0)
		return fault_set(fault, RC_PERM, "5.1.2",
				 "domain name is not UTF-8");
	text = mem_span_dup(tmp, domain);
	result = idn2_to_ascii_8z(text, &ascii,
				  IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (result != IDN2_OK)
		return fault_set(fault, RC_PERM, "5.1.2", "domain name %s: %s",
				 text, idn2_strerror(result));
	*ret_domain = mem_strdup(mem, ascii);
	idn2_free(ascii);
	return RC_OK;
}

bool text_is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] >= 128)
			return false;
	return true;
}

bool text_is_utf8(struct span text)
{
	return utf8_is_valid(text);
}
