/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "rule/maildrop.h"

static const char *const recipients[] = { "ann@example.test", "two words@x" };

static struct maildrop_head sample(void)
{
	return (struct maildrop_head){
		.sender = "jo@example.test",
		.full_name = "Jo \"J\" Doe",
		.envid = "a b",
		.verp = "",
		.notify = 6,
		.ret = 2,
		.body = MAILDROP_BODY_8BIT,
		.gateway = true,
		.recipients = (const char **)recipients,
		.recipient_count = ARRAY_LEN(recipients),
	};
}

static void a_head_is_read_as_it_was_written(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct maildrop_head head = sample(), *got;
	struct fault fault;
	struct buf out;
	struct span in;

	buf_init(&out, mem, MAILDROP_HEAD_MAX_BYTES);
	assert_int_equal(maildrop_head_format(&head, &out, &fault), RC_OK);
	for (size_t len = 0; len < out.len; len++) {
		in = (struct span){ out.data, len };
		assert_int_equal(maildrop_head_parse(mem, &in, &got, &fault),
				 RC_NONE);
		assert_int_equal(in.len, len);
	}
	buf_add_text(&out, "Subject: x\n");
	in = buf_span(&out);
	assert_int_equal(maildrop_head_parse(mem, &in, &got, &fault), RC_OK);
	assert_true(span_is(in, "Subject: x\n"));
	assert_string_equal(got->sender, head.sender);
	assert_string_equal(got->full_name, head.full_name);
	assert_string_equal(got->envid, head.envid);
	assert_string_equal(got->verp, "");
	assert_null(got->log_ident);
	assert_int_equal(got->notify, 6);
	assert_int_equal(got->ret, 2);
	assert_int_equal(got->body, MAILDROP_BODY_8BIT);
	assert_true(got->gateway);
	assert_int_equal(got->recipient_count, 2);
	assert_string_equal(got->recipients[1], "two words@x");
	talloc_free(mem);
}

static void bad_heads_are_refused(void **state)
{
	static const struct {
		const char *why;
		struct span in;
	} cases[] = {
		{ "another file", SPAN("hello world, here I am\n\n") },
		{ "an early end", SPAN("postern-maildrop 1\n\n") },
		{ "no recipient", SPAN("postern-maildrop 1\nsender a\n\n") },
		{ "no sender", SPAN("postern-maildrop 1\nto a\n\n") },
		{ "an unknown field",
		  SPAN("postern-maildrop 1\nsender a\nto b\nuid 0\n\n") },
		{ "a number too large",
		  SPAN("postern-maildrop 1\nsender a\nto b\nret 3\n\n") },
		{ "a NUL in an address",
		  SPAN("postern-maildrop 1\nsender a\nto b\0c\n\n") },
		{ "no value", SPAN("postern-maildrop 1\nsender\nto b\n\n") },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct maildrop_head *head;
		struct span in = cases[i].in;
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(maildrop_head_parse(mem, &in, &head, &fault),
				 RC_PERM);
	}
	talloc_free(mem);
}

static void an_address_with_a_line_end_is_not_written(void **state)
{
	const char *bad[] = { "a@b\nto c@d" };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct maildrop_head head = sample();
	struct fault fault;
	struct buf out;

	head.recipients = bad;
	head.recipient_count = 1;
	buf_init(&out, mem, MAILDROP_HEAD_MAX_BYTES);
	assert_int_equal(maildrop_head_format(&head, &out, &fault), RC_PERM);
	talloc_free(mem);
}

static void a_tail_fits_only_its_content(void **state)
{
	char tail[MAILDROP_TAIL_BYTES];

	maildrop_tail_format(0x12345678, 99, tail);
	assert_true(maildrop_tail_fits(tail, 0x12345678, 99));
	assert_false(maildrop_tail_fits(tail, 0x12345679, 99));
	assert_false(maildrop_tail_fits(tail, 0x12345678, 98));
	tail[0] = 'X';
	assert_false(maildrop_tail_fits(tail, 0x12345678, 99));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_read_as_it_was_written),
		cmocka_unit_test(bad_heads_are_refused),
		cmocka_unit_test(an_address_with_a_line_end_is_not_written),
		cmocka_unit_test(a_tail_fits_only_its_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
