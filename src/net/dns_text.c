/* SPDX-License-Identifier: Apache-2.0 */
/* Records as text, for those who listen or stand in (sys/trace.h). */
#include "base/buf.h"
#include "net/dns_priv.h"

enum { TEXT_MAX_BYTES = 16 * 1024, TTL_S = 3600 };

static bool record_from_text(struct dns_answer *answer, enum dns_type type,
			     struct span line, struct dns_record *record)
{
	struct span word;
	uint64_t preference = 0;

	*record = (struct dns_record){ .type = (uint16_t)type, .ttl_s = TTL_S };
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		return net_address_parse(line, &record->address) &&
		       record->address.sa.sa_family ==
			       (type == DNS_A ? AF_INET : AF_INET6);
	case DNS_MX:
		if (!span_token(&line, " \t", &word) ||
		    !span_to_u64(word, UINT16_MAX, &preference))
			return false;
		record->preference = (uint16_t)preference;
		line = span_trim(line);
		break;
	case DNS_TXT:
		record->data = mem_span_copy(answer, line);
		return true;
	case DNS_NS:
	case DNS_PTR:
	case DNS_CNAME:
		break;
	default:
		return false;
	}
	if (span_ends(line, ".") && line.len > 1)
		line.len--;
	if (span_is(line, ".")) /* null MX */
		line.len = 0;
	record->name = mem_span_dup(answer, line);
	return span_find(line, ' ') < 0;
}

bool dns_records_from_text(struct dns_answer *answer, enum dns_type type,
			   struct span text)
{
	struct span line;

	while (span_cut(&text, '\n', &line)) {
		line = span_trim(line);
		if (line.len == 0)
			continue;
		answer->records =
			mem_resize(answer, answer->records, struct dns_record,
				   answer->count + 1);
		if (!record_from_text(answer, type, line,
				      &answer->records[answer->count]))
			return false;
		answer->count++;
	}
	return answer->count > 0;
}

struct span dns_records_to_text(TALLOC_CTX *mem,
				const struct dns_answer *answer)
{
	char text[NET_ADDRESS_TEXT_MAX];
	struct buf out;

	buf_init(&out, mem, TEXT_MAX_BYTES);
	for (size_t i = 0; i < answer->count; i++) {
		const struct dns_record *record = &answer->records[i];

		if (i > 0)
			buf_add_char(&out, '\n');
		if (record->type == DNS_MX)
			buf_addf(&out, "%u ", record->preference);
		if (record->address.sa.sa_family != 0)
			buf_add_text(&out,
				     net_address_text(&record->address, text));
		else if (record->name != NULL)
			buf_add_text(&out, record->name[0] == '\0'
						   ? "."
						   : record->name);
		else
			buf_add(&out, record->data);
	}
	return buf_span(&out);
}
