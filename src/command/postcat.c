/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postcat - show messages of the queue: envelope, header, body.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/log_setup.h"
#include "queue/image.h"
#include "queue/store.h"
#include "sys/log.h"

enum { COPY_BYTES = 64 * 1024, TIME_BYTES = 64 };

/* The record types of the reference, for -d. */
enum {
	RECORD_SIZE = 'C',
	RECORD_TIME = 'T',
	RECORD_ATTRIBUTE = 'A',
	RECORD_SENDER = 'S',
	RECORD_ORIGINAL = 'O',
	RECORD_RECIPIENT = 'R',
	RECORD_DONE = 'D',
	RECORD_CONTENT = 'M',
	RECORD_LINE = 'N',
	RECORD_EXTRACTED = 'X',
	RECORD_END = 'E',
};

struct view {
	bool envelope, header, body, types, in_queue;
};

static void usage(FILE *to)
{
	fputs("usage: postcat [-bdehqv] [-c DIR] [FILE or QUEUE-ID...]\n"
	      "  Show messages in the form they have in the queue.\n"
	      "  -q  the arguments are queue ids, not file names\n"
	      "  -e  envelope   -h  header   -b  body; all three by default\n"
	      "  -d  with the decimal type of each record\n"
	      "  -c DIR  configuration directory\n",
	      to);
}

static void record(const struct view *view, int type, const char *format, ...)
	PRINTF(3, 4);

static void record(const struct view *view, int type, const char *format, ...)
{
	va_list args;

	if (view->types)
		printf("%3d ", type);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void record_time(const struct view *view, int type, const char *name,
			uint64_t us)
{
	time_t at = (time_t)(us / 1000000);
	char text[TIME_BYTES];
	struct tm parts;

	localtime_r(&at, &parts);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &parts);
	record(view, type, "%s: %s", name, text);
}

static void attribute(const struct view *view, const char *name,
		      const char *value)
{
	if (value != NULL)
		record(view, RECORD_ATTRIBUTE, "named_attribute: %s=%s", name,
		       value);
}

static void show_recipient(const struct view *view,
			   const struct recipient *recipient, bool is_done)
{
	attribute(view, "dsn_orig_rcpt", recipient->dsn_orcpt);
	if (recipient->notify != 0)
		record(view, RECORD_ATTRIBUTE,
		       "named_attribute: notify_flags=%d",
		       recipient->notify);
	record(view, RECORD_ORIGINAL, "original_recipient: %s",
	       recipient->original);
	if (is_done)
		record(view, RECORD_DONE, "done_recipient: %s",
		       recipient->address);
	else
		record(view, RECORD_RECIPIENT, "recipient: %s",
		       recipient->address);
}

static void show_envelope(const struct view *view, const struct image *image,
			  const uint8_t *done)
{
	const struct envelope *env = image->env;

	record(view, RECORD_SIZE,
	       "message_size: %15ju %15ju %15zu %15d %15ju %15d",
	       (uintmax_t)env->size_bytes,
	       (uintmax_t)(image->header_offset - image->offset),
	       env->recipient_count, 0, (uintmax_t)env->size_bytes, 0);
	record_time(view, RECORD_TIME, "message_arrival_time", env->arrival_us);
	record_time(view, RECORD_ATTRIBUTE, "create_time", env->arrival_us);
	attribute(view, "envelope_id", env->dsn_envid);
	if (env->dsn_ret != 0)
		record(view, RECORD_ATTRIBUTE, "named_attribute: ret_flags=%d",
		       env->dsn_ret);
	attribute(view, "log_ident", env->log_ident);
	attribute(view, "client_name", env->client_name);
	attribute(view, "client_address", env->client_address);
	attribute(view, "client_port", env->client_port);
	attribute(view, "helo_name", env->client_helo);
	attribute(view, "protocol_name", env->client_proto);
	attribute(view, "sasl_method", env->sasl_method);
	attribute(view, "sasl_username", env->sasl_username);
	attribute(view, "sasl_sender", env->sasl_sender);
	attribute(view, "content_filter", env->filter);
	attribute(view, "redirect", env->redirect);
	attribute(view, "verp_delimiters", env->verp);
	record(view, RECORD_SENDER, "sender: %s", env->sender);
	for (size_t i = 0; i < env->recipient_count; i++)
		show_recipient(view, &env->recipients[i],
			       done != NULL && done[i]);
}

/* Lines with LF; with -d each behind its type. */
static void put_content(const struct view *view, struct span bytes,
			bool *line_begins)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (*line_begins && view->types)
			printf("%3d ", RECORD_LINE);
		*line_begins = bytes.ptr[i] == '\n';
		if (bytes.ptr[i] == '\r' &&
		    (i + 1 == bytes.len || bytes.ptr[i + 1] == '\n'))
			continue;
		putchar(bytes.ptr[i]);
	}
}

static enum rc show_content(const struct view *view, const struct image *image,
			    struct fault *fault)
{
	uint64_t at = view->header ? 0 : image->header_length;
	uint64_t end = image->header_length +
		       (view->body ? image->body_length : 0);
	char chunk[COPY_BYTES];
	bool line_begins = true;

	while (at < end) {
		size_t size = MIN_OF(end - at, (uint64_t)sizeof(chunk));
		enum rc rc = image_content_read(image, at, chunk, size, &size,
						fault);

		if (rc != RC_OK)
			return rc;
		if (size == 0)
			break;
		put_content(view, (struct span){ chunk, size }, &line_begins);
		at += size;
	}
	if (!line_begins)
		putchar('\n');
	return RC_OK;
}

static enum rc show_image(const struct view *view, const char *name,
			  const struct image *image, const uint8_t *done,
			  struct fault *fault)
{
	enum rc rc = RC_OK;

	if (view->envelope) {
		printf("*** ENVELOPE RECORDS %s ***\n", name);
		show_envelope(view, image, done);
	}
	if (view->envelope && (view->header || view->body))
		record(view, RECORD_CONTENT, "*** MESSAGE CONTENTS %s ***",
		       name);
	if (view->header || view->body)
		rc = show_content(view, image, fault);
	if (view->envelope) {
		record(view, RECORD_EXTRACTED, "*** HEADER EXTRACTED %s ***",
		       name);
		record(view, RECORD_END, "*** MESSAGE FILE END %s ***", name);
	}
	return rc;
}

static enum rc show_id(const struct view *view, struct store *store,
		       const char *id, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct store_entry *entry;
	struct image *image;
	const char *name;
	int fd;

	if (store_find(tmp, store, id, &entry, fault) != RC_OK ||
	    store_descriptor(store, &entry->place, id, &fd, fault) != RC_OK)
		return fault->rc;
	/* Damaged content is shown too, after a word about it. */
	if (image_open(tmp, fd, entry->place.offset, true, &image, fault) !=
	    RC_OK) {
		log_warning("%s: %s", id, fault->text);
		if (image_open(tmp, fd, entry->place.offset, false, &image,
			       fault) != RC_OK)
			return fault->rc;
	}
	name = entry->place.in_file ?
		       mem_printf(tmp, "queue/%s", id) :
		       mem_printf(tmp, "journal/%s.%u/%s", entry->place.writer,
				  entry->place.segment, id);
	return show_image(view, name, image, entry->recipient_done, fault);
}

/* Images are read at offsets: a pipe is copied first. */
static int readable_stdin(void)
{
	char chunk[COPY_BYTES];
	ssize_t size;
	int fd;

	if (lseek(STDIN_FILENO, 0, SEEK_SET) >= 0)
		return dup(STDIN_FILENO);
	fd = memfd_create("message", MFD_CLOEXEC);
	while ((size = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		if (write(fd, chunk, (size_t)size) != size)
			break;
	return fd;
}

static enum rc show_file(const struct view *view, const char *path,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct image *image;
	int fd = path == NULL ? readable_stdin() :
				open(path, O_RDONLY | O_CLOEXEC);
	const char *name = path == NULL ? "stdin" : path;
	enum rc rc;

	if (fd < 0)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "open queue file %s: %m", name);
	rc = image_open(tmp, fd, 0, false, &image, fault);
	if (rc == RC_OK)
		rc = show_image(view, name, image, NULL, fault);
	close(fd);
	return rc == RC_OK ? rc : fault_add(fault, "queue file %s", name);
}

static void show_ids(const struct view *view, const char *config_directory,
		     char **ids)
{
	struct conf_source source = { .config_directory = config_directory,
				      .process_name = "postcat",
				      .service_name = "postcat" };
	struct store *store;
	struct fault fault;
	struct conf *conf;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	for (; *ids != NULL; ids++) {
		if (store_open(NULL, conf->v.queue_directory, STORE_READ_ONLY,
			       &store, &fault) != RC_OK)
			log_fatal("%s", fault.text);
		if (show_id(view, store, *ids, &fault) != RC_OK)
			log_fatal("open queue file %s: %s", *ids, fault.text);
		talloc_free(store);
	}
	conf_unref(conf);
}

static bool view_option(struct view *view, int option)
{
	switch (option) {
	case 'b':
		return view->body = true;
	case 'e':
		return view->envelope = true;
	case 'h':
		return view->header = true;
	case 'd':
		return view->types = true;
	case 'q':
		return view->in_queue = true;
	case 'v':
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'H' }, { NULL, 0, NULL, 0 }
	};
	const char *config_directory = NULL;
	struct view view = { 0 };
	struct fault fault;
	int c;

	log_open("", "postcat", LOG_TO_STDERR, -1, 0);
	while ((c = getopt_long(argc, argv, "bc:dehqvfnors:", longs, NULL)) !=
	       -1) {
		if (c == 'c') {
			config_directory = optarg;
		} else if (c == 'H' || c == '?') {
			usage(c == 'H' ? stdout : stderr);
			return c == 'H' ? 0 : 1;
		} else if (!view_option(&view, c)) {
			log_fatal("-%c is not supported: a message here is not "
				  "a list of records with offsets", c);
		}
	}
	if (!view.envelope && !view.header && !view.body)
		view.envelope = view.header = view.body = true;
	if (view.in_queue) {
		show_ids(&view, config_directory, argv + optind);
		return 0;
	}
	if (optind == argc && show_file(&view, NULL, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	for (int i = optind; i < argc; i++)
		if (show_file(&view, argv[i], &fault) != RC_OK)
			log_fatal("%s", fault.text);
	return 0;
}
