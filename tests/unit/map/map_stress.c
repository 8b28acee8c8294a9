/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_stress CONFIG THREADS MS TABLE KEY WANT [KEY WANT ...]
 *
 * Many threads ask one table for MS milliseconds, each for all keys in turn.
 * WANT "-": there is none. Prints "right N temp N wrong N ms N"; temp counts
 * answers "try later". Exit status 1 when an answer is wrong.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "map/map.h"

enum { THREADS_MAX = 1000 };

struct stress {
	struct map *map;
	char **pairs; /* KEY WANT ..., ended by NULL */
	uint64_t until_ms;
	_Atomic long right, temp, wrong;
};

static void ask(struct stress *s, const char *key, const char *want)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct fault fault = { 0 };
	struct span value = SPAN_OF("-");
	enum rc rc = map_lookup(s->map, mem, span_from(key), &value, &fault);

	if (rc == RC_TEMP && fault.text[0] != '\0')
		s->temp++;
	else if ((rc == RC_OK || rc == RC_NONE) && span_is(value, want) &&
		 (rc == RC_NONE) == (strcmp(want, "-") == 0))
		s->right++;
	else if (s->wrong++ == 0)
		fprintf(stderr, "%s: rc %d, \"%.*s\", %s\n", key, rc,
			SPAN_FMT(value), fault.text);
	talloc_free(mem);
}

static void *thread_run(void *arg)
{
	struct stress *s = arg;

	while (clock_mono_ms() < s->until_ms)
		for (char **pair = s->pairs; *pair != NULL; pair += 2)
			ask(s, pair[0], pair[1]);
	return NULL;
}

static int usage(void)
{
	fputs("usage: map_stress CONFIG THREADS MS TABLE KEY WANT ...\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct conf_source source = { .process_name = "map_stress",
				      .service_name = "map_stress" };
	struct stress s = { .pairs = argv + 5 };
	pthread_t threads[THREADS_MAX];
	uint64_t begun_ms, count, ms;
	struct fault fault = { 0 };
	struct conf *conf;

	if (argc < 7 || argc % 2 == 0 ||
	    !span_to_u64(span_from(argv[2]), THREADS_MAX, &count) ||
	    !span_to_u64(span_from(argv[3]), 3600000, &ms))
		return usage();
	source.config_directory = argv[1];
	if (conf_load(&source, &conf, &fault) != RC_OK ||
	    map_open(NULL, conf, span_from(argv[4]), MAP_FOLD, &s.map,
		     &fault) != RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		return 2;
	}
	begun_ms = clock_mono_ms();
	s.until_ms = begun_ms + ms;
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, thread_run, &s) != 0)
			return 2;
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("right %ld temp %ld wrong %ld ms %lu\n", s.right, s.temp,
	       s.wrong, (unsigned long)(clock_mono_ms() - begun_ms));
	talloc_free(s.map);
	conf_unref(conf);
	return s.wrong > 0;
}
