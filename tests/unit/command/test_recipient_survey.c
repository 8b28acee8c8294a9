/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <unistd.h>

#include "command/recipient_survey.h"

static void file_write(char path[64], const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/test_survey.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void recipients_are_counted_by_domain(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct recipient_survey *survey;
	struct fault fault;
	char path[64];

	file_write(path, "# people\n\nann@mail.test\nBob <bob@MAIL.test>\n"
			 "\"a@b\"@mail.test.\nsmall.test\nno domain here\n"
			 "x@\nlast@other.test");
	assert_int_equal(
		recipient_survey_read(tmp, path, NULL, &survey, &fault), RC_OK);
	assert_int_equal(survey->count, 3);
	assert_string_equal(survey->domains[0].name, "mail.test");
	assert_int_equal(survey->domains[0].recipients, 3);
	assert_string_equal(survey->domains[1].name, "other.test");
	assert_string_equal(survey->domains[2].name, "small.test");
	assert_int_equal(survey->recipients, 5);
	assert_int_equal(survey->bad_lines, 2);
	unlink(path);
}

static void members_count_as_their_group(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct recipient_survey *survey;
	char path[64], group[64];
	struct fault fault;

	file_write(path, "a@inbox.test\nb@mail.test\nc@list.test\nd@x.test\n");
	file_write(group, "inbox.test mail.test\nLIST.test\tmail.test\n");
	assert_int_equal(
		recipient_survey_read(tmp, path, group, &survey, &fault),
		RC_OK);
	assert_int_equal(survey->count, 2);
	assert_string_equal(survey->domains[0].name, "mail.test");
	assert_int_equal(survey->domains[0].recipients, 3);
	unlink(path);
	unlink(group);
}

static void mistakes_are_told_with_file_and_line(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct recipient_survey *survey;
	char path[64], want[160];
	struct fault fault;

	file_write(path, "a.test b.test\nonly.test\n");
	assert_int_equal(recipient_survey_read(tmp, "/nonexistent", path,
					       &survey, &fault),
			 RC_CONF);
	snprintf(want, sizeof(want),
		 "%s, line 2: expected a domain and the domain it counts as",
		 path);
	assert_string_equal(fault.text, want);
	assert_int_equal(recipient_survey_read(tmp, "/nonexistent", NULL,
					       &survey, &fault),
			 RC_CONF);
	assert_string_equal(fault.text,
			    "open /nonexistent: No such file or directory");
	unlink(path);
}

static void a_long_line_is_skipped_and_counted(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char path[64], text[3 * SURVEY_LINE_MAX_BYTES];
	struct recipient_survey *survey;
	struct fault fault;

	memset(text, 'a', sizeof(text));
	snprintf(text + 2 * SURVEY_LINE_MAX_BYTES, 32, "\nb@x.test\n");
	file_write(path, text);
	assert_int_equal(
		recipient_survey_read(tmp, path, NULL, &survey, &fault), RC_OK);
	assert_int_equal(survey->bad_lines, 1);
	assert_int_equal(survey->recipients, 1);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recipients_are_counted_by_domain),
		cmocka_unit_test(members_count_as_their_group),
		cmocka_unit_test(mistakes_are_told_with_file_and_line),
		cmocka_unit_test(a_long_line_is_skipped_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
