/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_build.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/buf.h"

enum { VALUE_MAX_BYTES = 1024 * 1024, READ_BYTES = 16 * 1024 };

static enum rc file_append(struct buf *out, const char *path,
			   struct fault *fault)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.0", "open %s: %m", path);
	while (buf_reserve(out, READ_BYTES)) {
		n = read(fd, out->data + out->len, READ_BYTES);
		if (n <= 0)
			break;
		out->len += (size_t)n;
	}
	close(fd);
	if (out->full)
		return fault_set(fault, RC_CONF, "4.3.0",
				 "%s: more than %d bytes", path,
				 VALUE_MAX_BYTES);
	if (n < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "read %s: %m", path);
	return RC_OK;
}

enum rc map_value_of_files(TALLOC_CTX *mem, struct span names,
			   struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct buf bytes;
	struct span name;
	unsigned char *text;
	int len;

	buf_init(&bytes, tmp, VALUE_MAX_BYTES);
	while (span_token(&names, ", \t\r\n", &name)) {
		enum rc rc =
			file_append(&bytes, mem_span_dup(tmp, name), fault);

		if (rc != RC_OK)
			return rc;
	}
	text = mem_array(mem, unsigned char, bytes.len / 3 * 4 + 8);
	len = EVP_EncodeBlock(text, (const unsigned char *)buf_text(&bytes),
			      (int)bytes.len);
	*ret_value = (struct span){ (const char *)text, (size_t)len };
	return RC_OK;
}

enum rc map_value_decode(TALLOC_CTX *mem, struct span value,
			 struct span *ret_bytes, struct fault *fault)
{
	unsigned char *bytes;
	int len = -1;

	bytes = mem_array(mem, unsigned char, value.len / 4 * 3 + 4);
	if (value.len > 0 && value.len % 4 == 0 && value.len < INT32_MAX)
		len = EVP_DecodeBlock(bytes, (const unsigned char *)value.ptr,
				      (int)value.len);
	if (len < 0) {
		talloc_free(bytes);
		return fault_set(fault, RC_CONF, "4.3.5",
				 "the value is no base64 text");
	}
	for (size_t i = value.len; i > 0 && value.ptr[i - 1] == '='; i--)
		len--;
	*ret_bytes = (struct span){ (const char *)bytes, (size_t)len };
	return RC_OK;
}
