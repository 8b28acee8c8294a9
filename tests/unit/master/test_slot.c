/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/slot.h"

static void lines_whose_work_is_done_elsewhere_start_nothing(void **state)
{
	static const struct {
		const char *name, *program;
		bool idle;
	} cases[] = {
		{ "cleanup", "cleanup", true },
		{ "rewrite", "trivial-rewrite", true },
		{ "bounce", "bounce", false },
		{ "defer", "bounce", true },
		{ "trace", "bounce", true },
		{ "smtp", "smtpd", false },
		{ "trace", "smtp", false },
		{ "proxywrite", "proxymap", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct master_entry entry = { .name = cases[i].name,
					      .program = cases[i].program };

		print_message("  %s: %s\n", cases[i].name, cases[i].program);
		assert_int_equal(slot_entry_is_idle(&entry), cases[i].idle);
	}
}

static void only_network_and_woken_lines_start_without_being_asked(void **state)
{
	static const struct {
		enum service_type type;
		int wakeup_s;
		bool after_use, eager;
	} cases[] = {
		{ SERVICE_INET, 0, false, true },
		{ SERVICE_PASS, 0, false, true },
		{ SERVICE_UNIX, 0, false, false },
		{ SERVICE_UNIX, 60, false, true },
		{ SERVICE_UNIX, 1000, true, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct master_entry entry = { .name = "x",
					      .program = "y",
					      .type = cases[i].type,
					      .wakeup_s = cases[i].wakeup_s,
					      .wakeup_after_use =
						      cases[i].after_use };
		struct slot *slot = slot_new(NULL, &entry);

		assert_int_equal(slot->eager, cases[i].eager);
		talloc_free(slot);
	}
}

static void touch_program(const char *folder, const char *name)
{
	char *path = mem_printf(NULL, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fclose(file);
	assert_int_equal(chmod(path, 0755), 0);
	talloc_free(path);
}

static void a_program_is_found_in_sbin_and_in_the_folder_above(void **state)
{
	char folder[] = "/tmp/test-slot-XXXXXX";
	TALLOC_CTX *mem = talloc_new(NULL);
	struct master_entry entry = { .name = "smtp", .line = 7 };
	struct conf conf = { 0 };
	struct fault fault;
	char *sbin, *path;

	assert_non_null(mkdtemp(folder));
	sbin = mem_printf(mem, "%s/sbin", folder);
	assert_int_equal(mkdir(sbin, 0755), 0);
	touch_program(sbin, "smtp");
	touch_program(folder, "smtp_socks");
	conf.v.daemon_directory = sbin;

	entry.program = "smtp";
	assert_int_equal(slot_program_path(mem, &conf, "master.cf", &entry,
					   &path, &fault),
			 RC_OK);
	assert_string_equal(path, mem_printf(mem, "%s/smtp", sbin));
	entry.program = "smtp_socks";
	assert_int_equal(slot_program_path(mem, &conf, "master.cf", &entry,
					   &path, &fault),
			 RC_OK);
	assert_string_equal(path, mem_printf(mem, "%s/smtp_socks", folder));
	entry.program = "nothing";
	assert_int_equal(slot_program_path(mem, &conf, "master.cf", &entry,
					   &path, &fault),
			 RC_CONF);
	assert_non_null(strstr(fault.text, "master.cf, line 7: service smtp: "
					   "no program \"nothing\""));

	unlink(mem_printf(mem, "%s/smtp", sbin));
	unlink(mem_printf(mem, "%s/smtp_socks", folder));
	rmdir(sbin);
	rmdir(folder);
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			lines_whose_work_is_done_elsewhere_start_nothing),
		cmocka_unit_test(
			only_network_and_woken_lines_start_without_being_asked),
		cmocka_unit_test(
			a_program_is_found_in_sbin_and_in_the_folder_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
