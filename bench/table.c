/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups in a table: bench_table CONFIG_DIR TYPE:NAME KEYS_FILE [THREADS].
 * Prints lookups a second and how many of them found something. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "map/map.h"

enum { THREADS_MAX = 64 };

struct bench {
	struct map *map;
	struct span *keys;
	size_t count;
	size_t first, step;
	size_t found;
};

static void *ask(void *arg)
{
	struct bench *bench = arg;

	for (size_t i = bench->first; i < bench->count; i += bench->step) {
		TALLOC_CTX *tmp = talloc_new(NULL);
		struct fault fault;
		struct span value;
		enum rc rc = map_lookup(bench->map, tmp, bench->keys[i],
					&value, &fault);

		if (rc != RC_OK && rc != RC_NONE) {
			fprintf(stderr, "bench_table: %s\n", fault.text);
			exit(1);
		}
		bench->found += rc == RC_OK;
		talloc_free(tmp);
	}
	return NULL;
}

static void keys_read(TALLOC_CTX *mem, const char *path, struct bench *bench)
{
	FILE *from = fopen(path, "r");
	char *line = NULL;
	size_t size = 0, cap = 0;
	ssize_t len;

	if (from == NULL) {
		perror(path);
		exit(1);
	}
	while ((len = getline(&line, &size, from)) > 0) {
		if (bench->count == cap) {
			cap = cap * 2 + 1024;
			bench->keys = mem_resize(mem, bench->keys, struct span,
						 cap);
		}
		bench->keys[bench->count++] = mem_span_copy(
			mem, (struct span){ line, (size_t)len - 1 });
	}
	free(line);
	fclose(from);
}

int main(int argc, char **argv)
{
	struct conf_source source = { .process_name = "bench_table",
				      .service_name = "bench_table" };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct bench base = { 0 }, benches[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	size_t thread_count, found = 0;
	struct conf *conf;
	struct fault fault;
	uint64_t start;
	double seconds;

	if (argc < 4)
		return 1;
	source.config_directory = argv[1];
	thread_count = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 1;
	if (thread_count < 1 || thread_count > THREADS_MAX)
		return 1;
	if (conf_load(&source, &conf, &fault) != RC_OK ||
	    map_open(mem, conf, span_from(argv[2]), MAP_FOLD, &base.map,
		     &fault) != RC_OK) {
		fprintf(stderr, "bench_table: %s\n", fault.text);
		return 1;
	}
	keys_read(mem, argv[3], &base);
	start = clock_mono_ms();
	for (size_t i = 0; i < thread_count; i++) {
		benches[i] = base;
		benches[i].first = i;
		benches[i].step = thread_count;
		pthread_create(&threads[i], NULL, ask, &benches[i]);
	}
	for (size_t i = 0; i < thread_count; i++) {
		pthread_join(threads[i], NULL);
		found += benches[i].found;
	}
	seconds = (double)(clock_mono_ms() - start + 1) / 1000;
	printf("%.0f %zu\n", (double)base.count / seconds, found);
	talloc_free(mem);
	conf_unref(conf);
	return 0;
}
