/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/smtp_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span line = { (const char *)data, size }, text;
	struct smtp_command command;
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	struct fault fault;
	int code;

	smtp_command_split(line, &command);
	for (int flags = 0; flags < 8; flags++) {
		code = 0;
		if (smtp_mail_parse(mem, command.args, flags, &mail, &code,
				    &fault) != RC_OK)
			assert(code == 501 || code == 555);
		code = 0;
		if (smtp_rcpt_parse(mem, command.args, flags, &rcpt, &code,
				    &fault) != RC_OK)
			assert(code == 501 || code == 555);
		else
			assert(rcpt.address.len > 0);
	}
	if (xtext_decode(mem, line, &text, &fault) == RC_OK) {
		struct span back;
		struct buf out;

		buf_init(&out, mem, 3 * size + 1);
		xtext_encode_add(&out, text);
		if (out.len <= SMTP_XTEXT_MAX_BYTES) {
			enum rc rc = xtext_decode(mem, buf_span(&out), &back,
						  &fault);

			assert(rc == RC_OK && span_eq(back, text));
		}
	}
	talloc_free(mem);
	return 0;
}
