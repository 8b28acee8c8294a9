/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include <fcntl.h>
#include <unistd.h>

#include "rule/verify_client.h"
#include "sys/socket_unix.h"

enum { MORE_THAN_A_SOCKET_HOLDS = 5000, TOO_LONG_S = 30 };

/* It listens, and reads nothing: as one that was stopped. */
static void a_service_that_reads_nothing_holds_up_nobody(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path =
		mem_printf(tmp, "/tmp/test_verify_client.%d", (int)getpid());
	struct verify_client *client = verify_client_new(tmp, path);
	struct verify_question *question;
	struct fault fault = { 0 };
	enum rc rc = RC_OK;
	int fd = -1;

	assert_int_equal(socket_unix_listen(AT_FDCWD, path, SOCK_SEQPACKET,
					    0600, &fd, &fault),
			 RC_OK);
	alarm(TOO_LONG_S);
	for (int i = 0; i < MORE_THAN_A_SOCKET_HOLDS && rc == RC_OK; i++)
		rc = verify_question_new(tmp, client, "jo@example.test",
					 &question, &fault);
	alarm(0);
	assert_int_equal(rc, RC_TEMP);
	unlink(path);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_that_reads_nothing_holds_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
