/* SPDX-License-Identifier: Apache-2.0 */
/* Session lines, mail logs and answers as postern explain reads them: the first
 * byte says which. */
#include "command/explain_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a log gives can be written and read again. */
static void look(void *arg, struct explain_session *session)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	char *line = explain_session_format(mem, session);

	assert(session->client_address != NULL);
	assert(strchr(line, '\n') == NULL);
	++*(size_t *)arg;
}

static void read_log(TALLOC_CTX *mem, struct span text)
{
	size_t count = 0;
	struct explain_log *log = explain_log_new(mem, look, &count);
	struct span line;

	while (span_cut(&text, '\n', &line))
		explain_log_line(log, line);
	explain_log_end(log);
}

static void read_sessions(TALLOC_CTX *mem, struct span text)
{
	struct span line;

	while (span_cut(&text, '\n', &line)) {
		struct explain_session session;
		struct fault fault;

		if (explain_session_parse(mem, line, &session, &fault) == RC_OK)
			(void)explain_session_format(mem, &session);
	}
}

static void read_answers(TALLOC_CTX *mem, struct span text)
{
	struct explain_world *world = mem_new(mem, struct explain_world);
	struct span line;

	while (span_cut(&text, '\n', &line)) {
		struct fault fault;

		if (explain_world_dns(world, line, &fault) != RC_OK)
			(void)!explain_world_answer(world, TRACE_TABLE, line,
						    &fault);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(TALLOC_CTX * mem, struct span text) = {
		read_log, read_sessions, read_answers
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	if (size > 0)
		readers[data[0] % ARRAY_LEN(readers)](
			mem, (struct span){ (const char *)data + 1, size - 1 });
	talloc_free(mem);
	return 0;
}
