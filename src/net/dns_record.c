/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns_priv.h"

#include "base/buf.h"

enum {
	NAME_WIRE_MAX_BYTES = 255,
	LABEL_MAX_BYTES = 63,
	TEXT_MAX_BYTES = 65535
};

static bool u8_take(struct span *data, uint8_t *ret_value)
{
	if (data->len < 1)
		return false;
	*ret_value = (uint8_t)data->ptr[0];
	*data = span_skip(*data, 1);
	return true;
}

static bool u16_take(struct span *data, uint16_t *ret_value)
{
	uint8_t high, low;

	if (!u8_take(data, &high) || !u8_take(data, &low))
		return false;
	*ret_value = (uint16_t)(high << 8 | low);
	return true;
}

/* A byte of a label; what would be taken for something else is escaped. */
static void byte_add(struct buf *text, char c)
{
	if (c == '.' || c == '\\')
		buf_addf(text, "\\%c", c);
	else if (c > ' ' && c <= '~')
		buf_add_char(text, c);
	else
		buf_addf(text, "\\%03u", (unsigned)(unsigned char)c);
}

bool dns_name_read(TALLOC_CTX *mem, struct span *data, const char **ret_name)
{
	struct buf text;
	size_t before = data->len;
	uint8_t len;

	buf_init(&text, mem, (size_t)NAME_WIRE_MAX_BYTES * 4);
	for (;;) {
		if (!u8_take(data, &len) || len > LABEL_MAX_BYTES ||
		    len > data->len || before - data->len > NAME_WIRE_MAX_BYTES)
			return false;
		if (len == 0)
			break;
		if (text.len > 0)
			buf_add_char(&text, '.');
		for (size_t i = 0; i < len; i++)
			byte_add(&text, data->ptr[i]);
		*data = span_skip(*data, len);
	}
	*ret_name = mem_span_dup(mem, buf_span(&text));
	buf_done(&text);
	return true;
}

static bool address_read(struct span data, int family,
			 struct net_address *ret_address)
{
	struct net_address address = { 0 };

	if (data.len != (family == AF_INET ? 4 : 16))
		return false;
	address.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		memcpy(&address.in4.sin_addr, data.ptr, 4);
	else
		memcpy(&address.in6.sin6_addr, data.ptr, 16);
	/* Through the one function that knows mapped addresses. */
	return net_address_from(&address.sa, net_address_size(&address),
				ret_address);
}

/* The character strings of a TXT record as one. */
static bool text_read(TALLOC_CTX *mem, struct span data, struct span *ret_text)
{
	struct buf text;
	uint8_t len;

	buf_init(&text, mem, TEXT_MAX_BYTES);
	while (data.len > 0) {
		if (!u8_take(&data, &len) || len > data.len ||
		    !buf_add(&text, span_take(data, len)))
			return false;
		data = span_skip(data, len);
	}
	*ret_text = buf_span(&text);
	return true;
}

bool dns_record_read(TALLOC_CTX *mem, enum dns_type type, struct span data,
		     struct dns_record *ret_record)
{
	struct dns_record record = { .type = (uint16_t)type };
	bool good;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		good = address_read(data, type == DNS_A ? AF_INET : AF_INET6,
				    &record.address);
		break;
	case DNS_MX:
		good = u16_take(&data, &record.preference) &&
		       dns_name_read(mem, &data, &record.name);
		break;
	case DNS_SRV:
		good = u16_take(&data, &record.preference) &&
		       u16_take(&data, &record.weight) &&
		       u16_take(&data, &record.port) &&
		       dns_name_read(mem, &data, &record.name);
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_SOA:
		good = dns_name_read(mem, &data, &record.name);
		break;
	case DNS_TXT:
		good = text_read(mem, data, &record.data);
		break;
	default:
		record.data = mem_span_copy(mem, data);
		good = true;
		break;
	}
	if (good)
		*ret_record = record;
	return good;
}

const char *dns_type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_NS:
		return "NS";
	case DNS_CNAME:
		return "CNAME";
	case DNS_SOA:
		return "SOA";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	case DNS_SRV:
		return "SRV";
	case DNS_TLSA:
		return "TLSA";
	}
	return "?";
}

bool dns_name_is_valid(struct span name)
{
	bool only_digits = true;
	struct span label;

	if (span_ends(name, "."))
		name.len--;
	if (name.len == 0 || name.len > NAME_WIRE_MAX_BYTES - 2)
		return false;
	while (span_cut(&name, '.', &label)) {
		if (label.len == 0 || label.len > LABEL_MAX_BYTES ||
		    label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++) {
			char c = label.ptr[i];

			if (!ascii_is_alnum(c) && c != '-' && c != '_')
				return false;
			if (!ascii_is_digit(c))
				only_digits = false;
		}
	}
	return !only_digits;
}
