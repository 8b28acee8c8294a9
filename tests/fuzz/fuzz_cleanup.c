/* SPDX-License-Identifier: Apache-2.0 */
/* A message of any bytes through cleanup, up to the commit: the first byte
 * chooses the flags, the second where lines end and bulk begins. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rule/cleanup.h"
#include "sys/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char main_cf[] =
	"compatibility_level = 3.6\n"
	"myhostname = mx.example.test\n"
	"inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"
	"mynetworks = 127.0.0.0/8\n"
	"recipient_delimiter = +\n"
	"append_dot_mydomain = yes\n"
	"always_add_missing_headers = yes\n"
	"message_size_limit = 65536\nmailbox_size_limit = 0\n"
	"header_size_limit = 512\nhopcount_limit = 5\n"
	"mime_nesting_limit = 3\nbody_checks_size_limit = 100\n"
	"masquerade_domains = !no.m.test m.test\n"
	"canonical_maps = inline:{a=b@c,@dom=@dom2}\n"
	"virtual_alias_maps = inline:{{v@v=e1, e2@z,v@v},l@l=l2@l,l2@l=l@l}\n"
	"header_checks = pcre:{{/^X-A/ IGNORE},{/^X-B/ REPLACE X-C: d}}\n"
	"body_checks = pcre:{{/^evil/ IGNORE},{/^p/ PREPEND q}}\n";

struct opened {
	struct cleanup_service *service;
};

static void file_put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	assert(file != NULL);
	if (fputs(text, file) < 0 || fclose(file) != 0)
		abort();
}

static struct cleanup_service *service_make(void)
{
	char dir[] = "/tmp/postern-fuzz-XXXXXX";
	struct conf_source source = { .config_directory = dir };
	struct intake_config config = { .queue_directory = dir,
					.writer = "fuzz",
					.qmgr_socket = "public/qmgr",
					.min_free_bytes = 1 };
	struct cleanup_service *service;
	struct intake *intake;
	struct fault fault = { 0 };
	struct conf *conf;
	char path[256];

	log_open("postfix", "fuzz", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	if (mkdtemp(dir) == NULL)
		abort();
	file_put(dir, "main.cf", main_cf);
	file_put(dir, "master.cf", "");
	snprintf(path, sizeof(path), "%s/journal", dir);
	if (mkdir(path, 0700) != 0)
		abort();
	if (conf_load(&source, &conf, &fault) != RC_OK ||
	    intake_open(NULL, &config, &intake, &fault) != RC_OK ||
	    cleanup_service_open(NULL, conf, intake, &service, &fault) !=
		    RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		abort();
	}
	return service;
}

static void lines_feed(struct cleanup *c, struct span content, size_t step)
{
	struct span line;

	while (content.len > 0 && span_cut(&content, '\n', &line)) {
		while (step > 0 && line.len > step) {
			cleanup_line(c, span_take(line, step), true);
			line = span_skip(line, step);
		}
		cleanup_line(c, line, false);
		if (cleanup_in_body(c) && content.len > 0) {
			cleanup_body(c, content);
			return;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct opened once; /* opened once */
	struct cleanup_origin origin = { .received = "Received: x\r\n" };
	struct fault fault;
	struct cleanup *c;
	struct span content;

	if (once.service == NULL)
		once.service = service_make();
	if (size < 2)
		return 0;
	origin.flags = data[0];
	content = (struct span){ (const char *)data + 2, size - 2 };
	if (cleanup_begin(NULL, once.service, &origin, &c, &fault) != RC_OK)
		return 0;
	if (cleanup_sender(c, span_take(content, 20), &fault) == RC_OK &&
	    cleanup_recipient(c, span_take(span_skip(content, 5), 20),
			      SPAN_OF("o"), NULL, 0, &fault) == RC_OK)
		lines_feed(c, content, data[1]);
	talloc_free(c);
	return 0;
}
