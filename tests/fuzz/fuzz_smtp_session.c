/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_smtp_session - what a server says, from the greeting on: EHLO keywords,
 * replies of many lines, and whatever else comes.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/smtp/session.h"
#include "sys/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct conf *conf_once(void)
{
	static struct conf *conf; /* once for all inputs */
	const struct conf_source source = {.config_directory = "/nonexistent",
					   .process_name = "smtp",
					   .service_name = "smtp"};
	struct fault fault;

	if (conf == NULL && conf_load(&source, &conf, &fault) != RC_OK) {
		/* Only the names that the session reads. */
		conf = mem_new(NULL, struct conf);
		conf->v.myhostname = "mx.example.test";
	}
	return conf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct smtp_settings settings = {
	    .conf = conf_once(),
	    .helo_name = "mx.example.test",
	    .discard_ehlo_keywords = "",
	    .tls_loglevel = "0",
	    .helo_timeout = 1,
	    .quit_timeout = 1,
	    .always_send_ehlo = true,
	};
	const struct smtp_tls_policy policy = {.level = TLS_MAY};
	struct smtp_hello hello = {
	    .policy = &policy,
	    .domain = "example.test",
	    .detect_loop = true,
	    .memory = starttls_memory_new(mem)};
	struct smtp_session *session;
	struct outcome why;
	int fds[2];

	log_set_verbose(0);
	if (size > 32 * 1024)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		abort();
	if (write(fds[1], data, size) != (ssize_t)size)
		abort();
	shutdown(fds[1], SHUT_WR);
	session = smtp_session_new(&settings, fds[0], "fake", "192.0.2.1", 25);
	if (smtp_session_hello(session, mem, &hello, &why))
		while (smtp_session_reply(session, mem, &why))
			smtp_session_refused(session, mem, "x", &why);
	smtp_session_close(session);
	close(fds[1]);
	talloc_free(mem);
	return 0;
}
