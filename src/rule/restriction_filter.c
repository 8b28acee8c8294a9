/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/restriction_filter.h"

enum { OCTET_MAX = 255, OCTETS = 4 };

/* One element off the front, with the dot behind it. */
static bool element_cut(struct span *rest, struct span *ret_element)
{
	ssize_t end;

	if (rest->len > 0 && rest->ptr[0] == '[') {
		end = span_find(*rest, ']');
		if (end < 0)
			return false;
		*ret_element = span_skip(span_take(*rest, (size_t)end), 1);
		*rest = span_skip(*rest, (size_t)end + 1);
		if (rest->len > 0 && rest->ptr[0] != '.')
			return false;
		*rest = span_skip(*rest, 1);
		return ret_element->len > 0;
	}
	return span_cut(rest, '.', ret_element) && ret_element->len > 0;
}

/* "2..8" or "11". */
static bool range_read(struct span text, uint64_t *ret_low, uint64_t *ret_high)
{
	ssize_t dots = span_find(text, '.');

	if (dots < 0) {
		if (!span_to_u64(text, OCTET_MAX, ret_low))
			return false;
		*ret_high = *ret_low;
		return true;
	}
	return span_starts(span_skip(text, (size_t)dots), "..") &&
	       span_to_u64(span_take(text, (size_t)dots), OCTET_MAX, ret_low) &&
	       span_to_u64(span_skip(text, (size_t)dots + 2), OCTET_MAX,
			   ret_high) &&
	       *ret_low <= *ret_high;
}

/* octet -1: only whether the element is well formed. */
static bool element_has(struct span element, int octet)
{
	bool has = false;
	struct span range;

	while (span_cut(&element, ';', &range)) {
		uint64_t low, high;

		if (!range_read(range, &low, &high))
			return false;
		has = has || octet < 0 ||
		      ((uint64_t)octet >= low && (uint64_t)octet <= high);
	}
	return has;
}

static bool filter_has(struct span filter, const uint8_t *octets)
{
	struct span element;

	for (int i = 0; i < OCTETS; i++)
		if (!element_cut(&filter, &element) ||
		    !element_has(element, octets == NULL ? -1 : octets[i]))
			return false;
	return filter.len == 0;
}

bool address_filter_is_valid(struct span filter)
{
	return filter.len == 0 || filter_has(filter, NULL);
}

bool address_filter_matches(struct span filter,
			    const struct net_address *address)
{
	return address->sa.sa_family == AF_INET &&
	       filter_has(filter, (const uint8_t *)&address->in4.sin_addr);
}
