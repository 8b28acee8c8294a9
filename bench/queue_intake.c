/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the intake alone takes messages in, everything durable.
 * usage: bench_queue_intake [-t threads] [-s seconds] [-b bytes] directory
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/intake_priv.h"

enum { US_PER_S = 1000000, WARM_UP_MS = 500 };

struct load {
	struct intake *intake;
	struct span body;
	_Atomic bool running, counting;
	_Atomic uint64_t messages, failures, latency_us;
};

/* The calls that reach the disk, counted. */
static _Atomic uint64_t writes, syncs;

static ssize_t counted_pwritev(int fd, const struct iovec *iov, int count,
			       off_t offset)
{
	atomic_fetch_add(&writes, 1);
	return pwritev(fd, iov, count, offset);
}

static int counted_fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return fdatasync(fd);
}

static int counted_fsync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return fsync(fd);
}

static const struct queue_io counted_io = { counted_pwritev, counted_fdatasync,
					    counted_fsync };

static enum rc message_one(struct load *load, struct fault *fault)
{
	static const struct span header =
		SPAN("From: ann@example.test\r\nTo: jo@example.test\r\n"
		     "Subject: a benchmark\r\n");
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct envelope *env = envelope_new(tmp);
	struct intake_message *message;
	enum rc rc = intake_begin(tmp, load->intake, &message, fault);

	if (rc == RC_OK)
		rc = intake_header(message, header, fault);
	if (rc == RC_OK)
		rc = intake_body(message, load->body, fault);
	env->sender = "ann@example.test";
	env->client_name = "client.example.test";
	env->client_address = "192.0.2.1";
	envelope_add_recipient(env, SPAN_OF("jo@example.test"));
	return rc == RC_OK ? intake_commit(message, env, fault) : rc;
}

static void *client(void *arg)
{
	struct load *load = arg;

	while (load->running) {
		struct fault fault = { 0 };
		uint64_t begin = clock_wall_us();
		enum rc rc = message_one(load, &fault);

		if (!load->counting)
			continue;
		atomic_fetch_add(&load->latency_us, clock_wall_us() - begin);
		atomic_fetch_add(&load->messages, rc == RC_OK);
		if (rc != RC_OK && atomic_fetch_add(&load->failures, 1) == 0)
			fprintf(stderr, "%s\n", fault.text);
	}
	return NULL;
}

static uint64_t cpu_us(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) *
		       US_PER_S +
	       (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void measure(struct load *load, int threads, unsigned int seconds)
{
	pthread_t *ids = mem_array(NULL, pthread_t, (size_t)threads);
	uint64_t cpu, w, s;
	double n;

	load->running = true;
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, client, load);
	usleep(WARM_UP_MS * 1000);
	cpu = cpu_us(), w = writes, s = syncs;
	load->counting = true;
	sleep(seconds);
	load->counting = false;
	cpu = cpu_us() - cpu, w = writes - w, s = syncs - s;
	load->running = false;
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	talloc_free(ids);
	n = load->messages > 0 ? (double)load->messages : 1;
	printf("%d threads, %zu bytes: %.0f messages/s, %.1f us CPU each, "
	       "%.2f ms mean, %.3f fdatasync, %.3f writes each, %ju failed\n",
	       threads, load->body.len, n / seconds, (double)cpu / n,
	       (double)load->latency_us / n / 1000, (double)s / n,
	       (double)w / n, (uintmax_t)load->failures);
}

static char *body_of(size_t bytes)
{
	static const char line[] = "\r\nThe quick brown fox jumps over the "
				   "lazy dog, and then goes home.\r\n";
	char *body = mem_array(NULL, char, bytes + 1);

	for (size_t i = 0; i < bytes; i++)
		body[i] = line[i % (sizeof(line) - 1)];
	return body;
}

int main(int argc, char **argv)
{
	struct intake_config config = { .writer = "bench",
					.qmgr_socket = "public/qmgr",
					.commit_timeout_ms = 4000 };
	uint64_t threads = 20, seconds = 5, bytes = 4096;
	struct load load = { 0 };
	struct fault fault;
	char *body;
	int option;

	while ((option = getopt(argc, argv, "t:s:b:")) != -1) {
		uint64_t *value = option == 't' ? &threads :
				  option == 's' ? &seconds :
						  &bytes;

		if (option == '?' ||
		    !span_to_u64(span_from(optarg), UINT32_MAX, value))
			return 2;
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: %s [-t threads] [-s seconds] "
				"[-b bytes] directory\n", argv[0]);
		return 2;
	}
	config.queue_directory = argv[optind];
	if (intake_open(NULL, &config, &load.intake, &fault) != RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		return 1;
	}
	intake_set_io(load.intake, &counted_io);
	body = body_of(bytes);
	load.body = (struct span){ body, bytes };
	measure(&load, (int)threads, (unsigned int)seconds);
	talloc_free(load.intake);
	talloc_free(body);
	return 0;
}
