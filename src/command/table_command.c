/* SPDX-License-Identifier: Apache-2.0 */
#include "command/table_command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "base/json.h"
#include "command/build_progress.h"
#include "command/message_keys.h"
#include "sys/log.h"

enum { POOL_BYTES = 64 * 1024 };

/* One run: options, and the tables they are for. */
struct run {
	const struct table_command *command;
	const char *directory, *query, *erase;
	bool list, no_utf8, force_utf8;
	bool headers, body, mime; /* keys are the lines of a message */
	bool json;
	bool any; /* a key of standard input was found */
	struct map_build_options options;
	struct conf *conf;
	struct span *tables; /* "type:name" */
	size_t table_count;
	struct build_progress *progress;
	TALLOC_CTX *pool; /* for what one answer needs */
};

static void warn(void *arg, const char *text)
{
	struct run *run = arg;

	if (run->progress != NULL)
		build_progress_end(run->progress);
	log_warning("%s", text);
}

static NORETURN void usage_die(const struct table_command *command)
{
	log_fatal("usage: %s", command->usage);
}

static int flag_of(int letter)
{
	static const struct {
		int letter, flag;
	} flags[] = {
		{ 'f', MAP_BUILD_NO_FOLD },	{ 'F', MAP_BUILD_FILE_VALUES },
		{ 'i', MAP_BUILD_INCREMENTAL }, { 'n', MAP_BUILD_NO_NUL },
		{ 'N', MAP_BUILD_NUL },		{ 'o', MAP_BUILD_KEEP_USER },
		{ 'p', MAP_BUILD_NEW_MODE },	{ 'r', MAP_BUILD_REPLACE },
		{ 'w', MAP_BUILD_IGNORE_DUP },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].letter == letter)
			return flags[i].flag;
	return 0;
}

static void option_take(struct run *run, int letter)
{
	switch (letter) {
	case 'b':
		run->body = true;
		break;
	case 'h':
		run->headers = true;
		break;
	case 'm':
		run->mime = true;
		break;
	case 'j':
		run->json = true;
		break;
	case 'c':
		run->directory = optarg;
		break;
	case 'q':
		run->query = optarg;
		break;
	case 'd':
		run->erase = optarg;
		break;
	case 's':
		run->list = true;
		break;
	case 'u':
		run->no_utf8 = true;
		break;
	case 'U':
		run->force_utf8 = true;
		break;
	case 'v':
		log_set_verbose(log_verbose() + 1);
		break;
	default:
		if (flag_of(letter) == 0)
			usage_die(run->command);
		run->options.flags |= flag_of(letter);
	}
}

static void options_check(struct run *run)
{
	bool lines = run->query != NULL && strcmp(run->query, "-") == 0;

	if ((run->query != NULL) + (run->erase != NULL) + run->list > 1)
		log_fatal("specify only one of -s -q or -d");
	if ((run->body || run->headers) && !lines)
		log_fatal("specify -b -h or -m only with \"-q -\"");
	if (run->mime && !run->body && !run->headers)
		log_warning("ignoring -m option without -b or -h");
	if (run->json && run->query == NULL && !run->list)
		log_fatal("specify -j only with -q or -s");
	/* A line of a message is bytes. */
	if (run->body || run->headers)
		run->no_utf8 = true;
}

static void options_read(struct run *run, int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 1 },
					       { NULL, 0, NULL, 0 } };
	int letter;

	while ((letter = getopt_long(argc, argv, run->command->letters, longs,
				     NULL)) != -1) {
		if (letter == 1) {
			printf("usage: %s\n%s", run->command->usage,
			       run->command->help);
			exit(EXIT_SUCCESS);
		}
		option_take(run, letter);
	}
	options_check(run);
	if (optind == argc)
		usage_die(run->command);
}

static void tables_name(struct run *run, TALLOC_CTX *mem, int argc, char **argv)
{
	run->table_count = (size_t)(argc - optind);
	run->tables = mem_array(mem, struct span, run->table_count);
	for (size_t i = 0; i < run->table_count; i++) {
		const char *text = argv[optind + (int)i];

		if (strchr(text, ':') == NULL)
			text = mem_printf(mem, "%s:%s",
					  run->conf->v.default_database_type,
					  text);
		run->tables[i] = span_from(text);
	}
}

static void table_open(struct run *run, TALLOC_CTX *mem, struct span name,
		       struct map **ret_map)
{
	int flags = run->options.flags & MAP_BUILD_NO_FOLD ? 0 : MAP_FOLD;
	struct fault fault = { 0 };

	if (map_open(mem, run->conf, name, flags, ret_map, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	if (fault.text[0] != '\0')
		log_warning("%s", fault.text);
}

static void print_bytes(struct span text)
{
	fwrite_unlocked(text.ptr, 1, text.len, stdout);
}

static void print_pair(const struct run *run, struct span key,
		       const char *separator, struct span value)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct json json;

	if (!run->json) {
		print_bytes(key);
		fputs_unlocked(separator, stdout);
		print_bytes(value);
		putchar_unlocked('\n');
		return;
	}
	tmp = talloc_new(NULL);
	json_init(&json, stdout, true);
	json_begin(&json, NULL, '{');
	json_span(&json, mem_span_dup(tmp, key), value);
	json_end(&json, '}');
}

/* Ask the tables in order; the first that has the key answers. */
static bool key_find(struct run *run, struct map **maps, struct span key,
		     bool with_key)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(run->pool);
	struct fault fault;
	struct span value;

	for (size_t i = 0; i < run->table_count; i++) {
		enum rc rc = map_lookup(maps[i], tmp, key, &value, &fault);

		if (rc == RC_OK && run->options.flags & MAP_BUILD_FILE_VALUES)
			rc = map_value_decode(tmp, value, &value, &fault);
		if (rc == RC_NONE)
			continue;
		if (rc != RC_OK)
			log_fatal("query error: %s", fault.text);
		if (with_key || run->json) {
			print_pair(run, key, "\t", value);
			return true;
		}
		print_bytes(value);
		putchar_unlocked('\n');
		return true;
	}
	return false;
}

/* Call for each line of standard input; was any call true? */
static bool each_input_key(bool (*fn)(struct run *run, void *arg,
				      struct span key),
			   struct run *run, void *arg)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	run->any = false;
	while ((len = getline(&line, &size, stdin)) >= 0) {
		struct span key = { line, (size_t)len };

		if (span_ends(key, "\n"))
			key.len--;
		run->any |= fn(run, arg, key);
	}
	free(line);
	return run->any;
}

static bool query_one(struct run *run, void *arg, struct span key)
{
	return key_find(run, arg, key, true);
}

struct message_query {
	struct run *run;
	struct map **maps;
};

static void query_line(void *arg, struct span key)
{
	struct message_query *query = arg;

	query->run->any |= key_find(query->run, query->maps, key, true);
}

static bool message_find(struct run *run, struct map **maps)
{
	struct message_query query = { run, maps };
	struct message_keys keys = { .conf = run->conf,
				     .headers = run->headers,
				     .body = run->body,
				     .mime = run->mime,
				     .found = query_line,
				     .arg = &query };
	struct fault fault;

	if (message_keys_read(&keys, stdin, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	return run->any;
}

static int query_run(struct run *run)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map **maps = mem_array(tmp, struct map *, run->table_count);
	bool found;

	run->pool = talloc_pool(tmp, POOL_BYTES);
	for (size_t i = 0; i < run->table_count; i++)
		table_open(run, tmp, run->tables[i], &maps[i]);
	if (run->headers || run->body)
		found = message_find(run, maps);
	else if (strcmp(run->query, "-") == 0)
		found = each_input_key(query_one, run, maps);
	else
		found = key_find(run, maps, span_from(run->query), false);
	return found ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool erase_one(struct run *run, void *arg, struct span key)
{
	struct map_writer **writers = arg;
	struct fault fault;
	bool any = false;

	for (size_t i = 0; i < run->table_count; i++) {
		enum rc rc = map_writer_delete(writers[i], key, &fault);

		if (rc != RC_OK && rc != RC_NONE)
			log_fatal("%s", fault.text);
		any |= rc == RC_OK;
	}
	return any;
}

static int erase_run(struct run *run)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_writer **writers =
		mem_array(tmp, struct map_writer *, run->table_count);
	struct fault fault;
	bool any;

	run->options.flags |= MAP_BUILD_INCREMENTAL | MAP_BUILD_MUST_EXIST;
	for (size_t i = 0; i < run->table_count; i++)
		if (map_writer_open(tmp, run->conf, run->tables[i], NULL,
				    &run->options, &writers[i],
				    &fault) != RC_OK)
			log_fatal("%s", fault.text);
	if (strcmp(run->erase, "-") == 0)
		any = each_input_key(erase_one, run, writers);
	else
		any = erase_one(run, writers, span_from(run->erase));
	for (size_t i = 0; i < run->table_count; i++)
		if (map_writer_commit(writers[i], &fault) != RC_OK)
			log_fatal("%s", fault.text);
	return any ? EXIT_SUCCESS : EXIT_FAILURE;
}

static enum rc list_one(void *arg, struct span key, struct span value,
			struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct run *run = arg;

	if (run->options.flags & MAP_BUILD_FILE_VALUES) {
		enum rc rc = map_value_decode(tmp, value, &value, fault);

		if (rc != RC_OK) {
			log_warning("key %.*s: %s",
				    (int)MIN_OF(key.len, (size_t)200), key.ptr,
				    fault->text);
			return RC_OK;
		}
	}
	print_pair(run, key, run->command->separator, value);
	return RC_OK;
}

static int list_run(struct run *run)
{
	for (size_t i = 0; i < run->table_count; i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct fault fault;
		struct map *map;

		table_open(run, tmp, run->tables[i], &map);
		if (map_each(map, list_one, run, &fault) != RC_OK)
			log_fatal("%s", fault.text);
	}
	return EXIT_SUCCESS;
}

static int build_run(struct run *run)
{
	struct build_progress progress;
	struct fault fault;

	run->progress = &progress;
	run->options.progress = build_progress_show;
	run->options.progress_arg = &progress;
	for (size_t i = 0; i < run->table_count; i++) {
		enum rc rc;

		build_progress_init(&progress, run->tables[i]);
		rc = run->command->build(run->conf, run->tables[i],
					 &run->options, &fault);
		build_progress_end(&progress);
		if (rc != RC_OK)
			log_fatal("%s", fault.text);
	}
	run->progress = NULL;
	run->options.progress_arg = NULL;
	return EXIT_SUCCESS;
}

int table_command_run(const struct table_command *command, int argc,
		      char **argv)
{
	struct run run = { .command = command };
	struct conf_source source = { .process_name = command->program,
				      .service_name = command->program };
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct fault fault;
	int status;

	log_open("postfix", command->program, LOG_TO_STDERR, -1, LOG_MAIL);
	opterr = 1;
	run.options.warn = warn;
	run.options.warn_arg = &run;
	options_read(&run, argc, argv);
	source.config_directory = run.directory;
	if (conf_load(&source, &run.conf, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	if (run.force_utf8 || (run.conf->v.smtputf8_enable && !run.no_utf8))
		run.options.flags |= MAP_BUILD_CHECK_UTF8;
	tmp = talloc_new(NULL);
	tables_name(&run, tmp, argc, argv);
	if (run.query != NULL)
		status = query_run(&run);
	else if (run.erase != NULL)
		status = erase_run(&run);
	else if (run.list)
		status = list_run(&run);
	else
		status = build_run(&run);
	if (fflush(stdout) != 0 || ferror(stdout))
		log_fatal("write standard output: %m");
	conf_unref(run.conf);
	return status;
}
