/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postsuper - maintenance of the queue: delete, hold, release, requeue, expire.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "command/maildrop_files.h"
#include "command/postsuper_queue.h"
#include "conf/log_setup.h"
#include "queue/queue_id.h"
#include "sys/log.h"

enum { OPERATIONS_MAX = 1000, LINE_BYTES = 256 };

static const struct kind {
	int option;
	enum admin_action action;
	const char *each, *all;
} kinds[] = {
	{ 'd', ADMIN_DELETE, "removed", "Deleted" },
	{ 'r', ADMIN_REQUEUE, "requeued", "Requeued" },
	{ 'h', ADMIN_HOLD, "placed on hold", "Placed on hold" },
	{ 'H', ADMIN_RELEASE, "released from hold", "Released from hold" },
	{ 'e', ADMIN_EXPIRE, "expired", "Force-expired" },
	{ 'f', ADMIN_EXPIRE, "expired", "Force-expired" },
};

struct operation {
	const struct kind *kind;
	const char *id; /* one, "-" or "ALL" */
};

struct super {
	struct conf *conf;
	struct super_queue *queue;
	struct operation operations[OPERATIONS_MAX];
	size_t operation_count;
	bool repair;
	char *const *queues;
	uint32_t changed[ARRAY_LEN(kinds)];
	bool was_asked[ARRAY_LEN(kinds)];
};

static void usage(FILE *to)
{
	fputs("usage: postsuper [-psv] [-c DIR] [-d ID] [-e ID] [-f ID] "
	      "[-h ID] [-H ID] [-r ID] [QUEUE...]\n"
	      "  -d ID  delete     -h ID  put on hold    -H ID  release\n"
	      "  -r ID  requeue    -e ID  expire now     -f ID  expire and "
	      "release\n"
	      "  ID may be a queue id, ALL, or - to read ids from standard "
	      "input\n"
	      "  -p  remove left-over temporary files\n"
	      "  -s  put files where they belong\n"
	      "  -c DIR  configuration directory\n"
	      "  QUEUE: hold, incoming, active or deferred\n",
	      to);
}

static const struct kind *kind_of(int option)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].option == option)
			return &kinds[i];
	return NULL;
}

/* Of the operations only -d knows the maildrop. */
static bool asks_for_maildrop(const struct super *super)
{
	for (char *const *name = super->queues; *name != NULL; name++)
		if (strcmp(*name, "maildrop") == 0)
			return true;
	return *super->queues == NULL;
}

static void apply_one(struct super *super, const struct kind *kind,
		      const char *id)
{
	bool all = strcmp(id, "ALL") == 0;
	uint32_t count, released;
	struct fault fault;

	super->was_asked[kind - kinds] = true;
	if (!all && !queue_id_is_valid(span_from(id))) {
		log_warning("invalid mail queue id: %s", id);
		fprintf(stderr, "postsuper: warning: invalid mail queue id: "
				"%s\n", id);
		return;
	}
	if (super_queue_apply(super->queue, kind->action, id, super->queues,
			      &count, &fault) != RC_OK ||
	    (kind->option == 'f' &&
	     super_queue_apply(super->queue, ADMIN_RELEASE, id, super->queues,
			       &released, &fault) != RC_OK)) {
		fprintf(stderr, "postsuper: fatal: %s\n", fault.text);
		log_fatal("%s", fault.text);
	}
	if (kind->action == ADMIN_DELETE && asks_for_maildrop(super))
		count += maildrop_files_delete(super->conf, id);
	super->changed[kind - kinds] += count;
	if (all || count == 0)
		return;
	log_info("%s: %s", id, kind->each);
	fprintf(stderr, "postsuper: %s: %s\n", id, kind->each);
}

static void apply_input(struct super *super, const struct kind *kind)
{
	char line[LINE_BYTES];

	super->was_asked[kind - kinds] = true;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct span id = span_trim(span_from(line));

		line[id.ptr - line + (ssize_t)id.len] = '\0';
		if (id.len > 0)
			apply_one(super, kind, id.ptr);
	}
}

static void report(const struct super *super)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *plural = super->changed[i] == 1 ? "" : "s";

		if (!super->was_asked[i])
			continue;
		log_info("%s: %u message%s", kinds[i].all, super->changed[i],
			 plural);
		fprintf(stderr, "postsuper: %s: %u message%s\n", kinds[i].all,
			super->changed[i], plural);
	}
}

static void parse(struct super *super, struct conf_source *source, int argc,
		  char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 1 },
					       { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "c:d:e:f:h:H:r:psSv", longs,
				NULL)) != -1) {
		if (c == 1 || c == '?') {
			usage(c == 1 ? stdout : stderr);
			exit(c == 1 ? 0 : 1);
		}
		if (c == 'c')
			source->config_directory = optarg;
		else if (c == 'p' || c == 's' || c == 'S')
			super->repair = true;
		if (kind_of(c) == NULL)
			continue;
		if (super->operation_count == OPERATIONS_MAX)
			log_fatal("more than %d operations; use - and give the "
				  "queue ids on standard input",
				  OPERATIONS_MAX);
		super->operations[super->operation_count++] =
			(struct operation){ kind_of(c), optarg };
	}
	super->queues = argv + optind;
}

static void check_queue_names(const struct super *super)
{
	static const char *const known[] = { "hold", "incoming", "active",
					     "deferred", "maildrop" };

	for (char *const *name = super->queues; *name != NULL; name++) {
		bool good = false;

		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			good |= strcmp(*name, known[i]) == 0;
		if (!good)
			log_fatal("invalid directory name: %s", *name);
	}
}

static void run(struct super *super)
{
	struct fault fault;

	if (super_queue_open(NULL, super->conf, &super->queue, &fault) !=
		    RC_OK ||
	    ((super->repair || super->operation_count == 0) &&
	     super_queue_repair(super->queue, &fault) != RC_OK)) {
		fprintf(stderr, "postsuper: fatal: %s\n", fault.text);
		log_fatal("%s", fault.text);
	}
	for (size_t i = 0; i < super->operation_count; i++) {
		const struct operation *operation = &super->operations[i];

		if (strcmp(operation->id, "-") == 0)
			apply_input(super, operation->kind);
		else
			apply_one(super, operation->kind, operation->id);
	}
	talloc_free(super->queue);
	report(super);
}

int main(int argc, char **argv)
{
	struct conf_source source = { .process_name = "postsuper",
				      .service_name = "postsuper" };
	struct super *super = mem_new(NULL, struct super);
	struct fault fault;
	int log_fd = -1;

	log_open("", "postsuper", LOG_TO_STDERR, -1, 0);
	parse(super, &source, argc, argv);
	check_queue_names(super);
	if (geteuid() != 0)
		log_fatal("use of this command is reserved for the superuser");
	if (conf_load(&source, &super->conf, &fault) != RC_OK ||
	    log_file_open(super->conf, &log_fd, &fault) == RC_CONF)
		log_fatal("%s", fault.text);
	log_setup(super->conf, "postsuper", log_fd);
	run(super);
	conf_unref(super->conf);
	talloc_free(super);
	return 0;
}
