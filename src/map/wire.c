/* SPDX-License-Identifier: Apache-2.0 */
#include "map/wire_priv.h"

/* What of an answer is shown in a text. */
enum { SHOWN_MAX_BYTES = 200 };

enum rc wire_bad(struct wire *wire, const char *what, struct span reply)
{
	char shown[SHOWN_MAX_BYTES + 1];
	size_t len = MIN_OF(reply.len, (size_t)SHOWN_MAX_BYTES);

	for (size_t i = 0; i < len; i++)
		shown[i] = ascii_is_print(reply.ptr[i]) ? reply.ptr[i] : '?';
	shown[len] = '\0';
	wire->broken = true;
	return fault_set(wire->fault, RC_TEMP, "4.3.0", "%s%s%s", what,
			 len > 0 ? ": " : "", shown);
}

enum rc wire_says(struct wire *wire, const char *what, struct span text)
{
	bool broken = wire->broken;

	wire_bad(wire, what, text);
	wire->broken = broken;
	return RC_TEMP;
}

enum rc wire_line(struct wire *wire, size_t max, struct span *ret_line)
{
	enum rc rc =
		net_stream_read_line(wire->stream, max, ret_line, wire->fault);

	if (rc == RC_OK)
		return rc;
	wire->broken = true;
	if (rc == RC_NONE)
		fault_set(wire->fault, RC_TEMP, "4.4.2", "lost connection");
	if (rc == RC_PERM)
		fault_set(wire->fault, RC_TEMP, "4.3.0",
			  "reply line of more than %zu bytes", max);
	return RC_TEMP;
}

enum rc wire_bytes(struct wire *wire, size_t size, char **ret_bytes)
{
	char *bytes = mem_resize(wire->mem, NULL, char, size + 1);

	if (net_stream_read(wire->stream, bytes, size, wire->fault) != RC_OK) {
		talloc_free(bytes);
		wire->broken = true;
		return RC_TEMP;
	}
	bytes[size] = '\0';
	*ret_bytes = bytes;
	return RC_OK;
}

enum rc wire_write(struct wire *wire, struct span bytes)
{
	if (net_stream_write(wire->stream, bytes, wire->fault) == RC_OK)
		return RC_OK;
	wire->broken = true;
	return RC_TEMP;
}
