/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of an SMTP session from the client's bytes on. The first byte of
 * the input says how the rest is cut into reads.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arrive/smtpd/session.h"
#include "rule/cleanup.h"
#include "sys/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A queue that takes everything and keeps nothing; bodies must be whole lines. */
struct cleanup {
	bool in_body;
};

enum rc cleanup_begin(TALLOC_CTX *mem, struct cleanup_service *service,
		      const struct cleanup_origin *origin,
		      struct cleanup **ret_cleanup, struct fault *fault)
{
	*ret_cleanup = mem_new(mem, struct cleanup);
	return RC_OK;
}

const char *cleanup_queue_id(const struct cleanup *c)
{
	return "FUZZ";
}

enum rc cleanup_sender(struct cleanup *c, struct span address,
		       struct fault *fault)
{
	return RC_OK;
}

enum rc cleanup_recipient(struct cleanup *c, struct span address,
			  struct span original, const char *dsn_orcpt,
			  uint8_t notify, struct fault *fault)
{
	assert(address.len > 0);
	return RC_OK;
}

void cleanup_received(struct cleanup *c, const char *received)
{
	assert(strlen(received) > 2);
}

void cleanup_prepend(struct cleanup *c, const char *field)
{
}

void cleanup_act(struct cleanup *c, const char *filter, const char *redirect,
		 bool hold, bool discard)
{
}

enum rc cleanup_line(struct cleanup *c, struct span line, bool partial)
{
	assert(span_find(line, '\n') < 0);
	c->in_body |= line.len == 0;
	return RC_OK;
}

bool cleanup_in_body(const struct cleanup *c)
{
	return c->in_body;
}

enum rc cleanup_body(struct cleanup *c, struct span crlf_lines)
{
	for (size_t i = 0; i < crlf_lines.len; i++)
		assert(crlf_lines.ptr[i] != '\n' ||
		       (i > 0 && crlf_lines.ptr[i - 1] == '\r'));
	assert(span_ends(crlf_lines, "\r\n"));
	return RC_OK;
}

enum rc cleanup_finish(struct cleanup *c, bool *ret_discarded,
		       struct fault *fault)
{
	*ret_discarded = false;
	return RC_OK;
}

static struct smtpd_server *server_new(void)
{
	static const char *const settings[] = {
		"compatibility_level=3.6",
		"myhostname=mx.example.test",
		"mydestination=example.test",
		"mynetworks=192.0.2.0/24",
		"inet_interfaces=127.0.0.1",
		"alias_maps=",
		"local_recipient_maps=",
		"smtpd_error_sleep_time=0",
		"smtpd_hard_error_limit=1000",
		"smtpd_junk_command_limit=1000",
		"line_length_limit=512",
		"message_size_limit=100000",
		"smtpd_forbid_unauth_pipelining=no",
	};
	struct conf_source source = {
		.config_directory = "/nonexistent",
		.overrides = settings,
		.override_count = ARRAY_LEN(settings),
		.process_name = "smtpd",
		.service_name = "smtp",
	};
	struct smtpd_server *server = mem_new(NULL, struct smtpd_server);
	char dir[] = "/tmp/postern-fuzz-XXXXXX";
	char path[sizeof(dir) + 10];
	struct recipient_lists *recipients;
	struct resolver *resolver;
	struct fault fault = { 0 };

	if (mkdtemp(dir) == NULL)
		abort();
	for (int i = 0; i < 2; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", dir,
			 i == 0 ? "main.cf" : "master.cf");
		file = fopen(path, "w");
		if (file == NULL || fclose(file) != 0)
			abort();
	}
	source.config_directory = dir;
	server->service_name = "smtp";
	if (conf_load(&source, &server->conf, &fault) != RC_OK ||
	    resolver_open(server, server->conf, &resolver, &fault) != RC_OK ||
	    recipient_lists_open(server, server->conf, resolver, &recipients,
				 &fault) != RC_OK ||
	    restrictions_open(server, server->conf, resolver, recipients,
			      &server->restrictions, &fault) != RC_OK ||
	    smtpd_server_configure(server, &fault) != RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		abort();
	}
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir,
			 i == 0 ? "main.cf" : "master.cf");
		unlink(path);
	}
	rmdir(dir);
	return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct smtpd_server *server;
	static struct worker worker;
	struct net_address peer;
	struct workers_session *ws;
	enum workers_next next;
	char drain[65536];
	int fds[2];
	size_t step;

	if (server == NULL) {
		server = server_new();
		worker.local = smtpd_thread_new(server);
		log_open("postfix", "smtpd", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	}
	if (size < 1 || size > 60000 ||
	    !net_address_parse(SPAN_OF("192.0.2.9"), &peer) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return 0;
	step = (size_t)data[0] * data[0] + 1;
	ws = &smtpd_session_new(server, fds[1], &peer)->ws;
	next = smtpd_session_run(ws, &worker, WORKERS_NEW);
	for (size_t at = 1; next != WORKERS_END && at < size; at += step) {
		size_t part = size - at < step ? size - at : step;

		if (send(fds[0], data + at, part, MSG_NOSIGNAL) < 0)
			break;
		next = smtpd_session_run(ws, &worker, WORKERS_READY);
		while (recv(fds[0], drain, sizeof(drain), MSG_DONTWAIT) > 0)
			;
	}
	close(fds[0]);
	for (int i = 0; next != WORKERS_END && i < 100; i++)
		next = smtpd_session_run(ws, &worker, WORKERS_READY);
	assert(next == WORKERS_END);
	return 0;
}
