/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "arrive/smtpd/sasl_answer.h"

static bool same(struct span span, const char *want)
{
	return want == NULL ? span.ptr == NULL : span_is(span, want);
}

static void lines_of_the_server_are_understood(void **state)
{
	static const struct {
		const char *line;
		enum sasl_answer_kind kind;
		uint32_t id;
		int properties;
		const char *name, *user, *reason, *data;
		bool temporary;
	} cases[] = {
		{ .line = "VERSION\t1\t2", .kind = SASL_VERSION, .id = 1 },
		{ .line = "SPID\t77", .kind = SASL_IGNORED },
		{ .line = "DONE", .kind = SASL_DONE },
		{ .line = "MECH\tPLAIN\tplaintext",
		  .kind = SASL_MECHANISM,
		  .name = "PLAIN",
		  .properties = SASL_PLAINTEXT },
		{ .line = "MECH\tDIGEST-MD5\tdictionary\tactive\tmutual-auth",
		  .kind = SASL_MECHANISM,
		  .name = "DIGEST-MD5",
		  .properties =
			  SASL_DICTIONARY | SASL_ACTIVE | SASL_MUTUAL_AUTH },
		{ .line = "OK\t3\tuser=jo\tnologin",
		  .kind = SASL_OK,
		  .id = 3,
		  .user = "jo" },
		{ .line = "FAIL\t4", .kind = SASL_FAIL, .id = 4 },
		{ .line = "FAIL\t4\tuser=jo\treason=no way\ttemp",
		  .kind = SASL_FAIL,
		  .id = 4,
		  .user = "jo",
		  .reason = "no way",
		  .temporary = true },
		{ .line = "FAIL\t4\tcode=temp_fail",
		  .kind = SASL_FAIL,
		  .id = 4,
		  .temporary = true },
		{ .line = "CONT\t5\tVXNlcm5hbWU6",
		  .kind = SASL_CONT,
		  .id = 5,
		  .data = "VXNlcm5hbWU6" },
		{ .line = "CONT\t5\t", .kind = SASL_CONT, .id = 5, .data = "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sasl_answer answer;

		print_message("  %s\n", cases[i].line);
		assert_true(
			sasl_answer_parse(span_from(cases[i].line), &answer));
		assert_int_equal(answer.kind, cases[i].kind);
		assert_int_equal(answer.id, cases[i].id);
		assert_int_equal(answer.properties, cases[i].properties);
		assert_true(same(answer.name, cases[i].name));
		assert_true(same(answer.user, cases[i].user));
		assert_true(same(answer.reason, cases[i].reason));
		assert_true(same(answer.data, cases[i].data));
		assert_int_equal(answer.temporary, cases[i].temporary);
	}
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const char *const lines[] = { "",       "\t",	 "OK",
					     "OK\tx",  "FAIL\t", "CONT\t-1",
					     "MECH\t", "MECH",	 "VERSION\tx" };
	struct sasl_answer answer;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_false(sasl_answer_parse(span_from(lines[i]), &answer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_server_are_understood),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
