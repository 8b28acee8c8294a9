/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "deliver/smtp/downgrade.h"

static void parts_that_are_8_bit_become_quoted_printable(void **state)
{
	static const struct {
		const char *why, *text, *want;
	} cases[] = {
	    {"a single part",
	     "Content-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\n"
	     "gr\xc3\xbc\xc3\x9f = \r\nend\t\r\n",
	     "Content-Transfer-Encoding: quoted-printable\r\n"
	     "Subject: x\r\n\r\ngr=C3=BC=C3=9F =3D=20\r\nend=09\r\n"},
	    {"7-bit mail stays", "Subject: x\r\n\r\na = b\r\n",
	     "Subject: x\r\n\r\na = b\r\n"},
	    {"8-bit mail that does not say so stays",
	     "Subject: x\r\n\r\n\xc3\r\n", "Subject: x\r\n\r\n\xc3\r\n"},
	    {"a multipart",
	     "Content-Type: multipart/mixed;\r\n boundary=\"a \\\"b\"\r\n"
	     "Content-Transfer-Encoding: 8BIT\r\n\r\npre\xc3\r\n"
	     "--a \"b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\r\n"
	     "--a \"b\r\n\r\nplain =\r\n--a \"b--\r\npost =\r\n",
	     "Content-Type: multipart/mixed;\r\n boundary=\"a \\\"b\"\r\n"
	     "Content-Transfer-Encoding: 7bit\r\n\r\npre\xc3\r\n"
	     "--a \"b\r\nContent-Transfer-Encoding: quoted-printable\r\n"
	     "\r\n=C3\r\n"
	     "--a \"b\r\n\r\nplain =\r\n--a \"b--\r\npost =\r\n"},
	    {"a multipart without an end",
	     "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	     "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3",
	     "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	     "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3"},
	    {"an enclosed message",
	     "Content-Type: message/rfc822\r\n"
	     "Content-Transfer-Encoding: 8bit\r\n\r\n"
	     "Content-Transfer-Encoding: binary\r\n\r\n\xc3\r\n",
	     "Content-Type: message/rfc822\r\n"
	     "Content-Transfer-Encoding: 7bit\r\n\r\n"
	     "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3\r\n"},
	    {"a line that grows too long",
	     "Content-Transfer-Encoding: 8bit\r\n\r\n"
	     "0123456789012345678901234567890123456789"
	     "01234567890123456789012345678901\xc3"
	     "bcdefg\r\n",
	     "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	     "0123456789012345678901234567890123456789"
	     "01234567890123456789012345678901=C3=\r\n"
	     "bcdefg\r\n"},
	    {"only a header", "Content-Transfer-Encoding: 8bit\r\n",
	     "Content-Transfer-Encoding: quoted-printable\r\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct buf out;

		print_message("  %s\n", cases[i].why);
		buf_init(&out, tmp, 65536);
		downgrade_message(tmp, span_from(cases[i].text), &out);
		assert_string_equal(buf_text(&out), cases[i].want);
	}
}

static void deep_nesting_ends(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct buf in, out;

	buf_init(&in, tmp, 1024 * 1024);
	buf_init(&out, tmp, 8 * 1024 * 1024);
	for (int i = 0; i < 5000; i++)
		buf_add_text(&in, "Content-Type: message/rfc822\r\n\r\n");
	downgrade_message(tmp, buf_span(&in), &out);
	assert_true(span_eq(buf_span(&in), buf_span(&out)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_that_are_8_bit_become_quoted_printable),
	    cmocka_unit_test(deep_nesting_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
