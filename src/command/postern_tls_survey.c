/* SPDX-License-Identifier: Apache-2.0 */
/* postern tls-survey: which domains recipients have, and how well those take
 * mail over TLS. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "command/domain_probe.h"
#include "command/option.h"
#include "command/postern_priv.h"
#include "command/recipient_survey.h"
#include "command/terminal.h"

static const char command_name[] = "postern tls-survey";

enum {
	TIMEOUT_S = 10,
	TIMEOUT_MAX_S = 600,
	JOBS_DEFAULT = 20,
	JOBS_MAX = 200,
	PROGRESS_WAIT_US = 100 * 1000,
};

enum output { AS_TABLES, AS_JSON, AS_CSV };

/* What is kept of one domain; its result is freed with the rest of the look. */
struct verdict {
	enum domain_grade grade;
	char protocol[16], cipher[64];
	char *policy, *why; /* NULL: none */
};

struct tls_survey {
	struct domain_probe_options options;
	const char *path, *group_path;
	double least_share; /* percent; below it a domain is "other" */
	int jobs;
	enum output output;
	struct recipient_survey *recipients;
	struct domain_prober *prober;
	struct verdict *verdicts; /* one for each domain */
	atomic_size_t next, done;
};

static void usage(FILE *to)
{
	fputs("usage: postern tls-survey [OPTION...] FILE\n"
	      "Count the recipients (or domains) in FILE by domain and see how "
	      "well each domain\n"
	      "takes mail over TLS. \"-\" is standard input; no mail is sent.\n"
	      "  --json             all domains, for programs\n"
	      "  --csv              the same as a table\n"
	      "  --group FILE       lines \"inbox.ru mail.ru\": the first "
	      "counts as the second\n"
	      "  --least PERCENT    domains with less are \"other\" "
	      "(default 1)\n"
	      "  --jobs N           domains at once (default 20)\n"
	      "  --hosts N          look at N mail hosts of each domain "
	      "(default 1; 0: all)\n"
	      "  --ca FILE          trust these authorities (default: "
	      "smtp_tls_CAfile, or the system's)\n"
	      "  --port N           another port than 25\n"
	      "  --timeout S        seconds to wait for a host (default 10)\n",
	      to);
}

static void *text_copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static void verdict_take(struct verdict *verdict,
			 const struct domain_result *result)
{
	verdict->grade = result->grade;
	verdict->policy = text_copy(result->policy);
	verdict->why = text_copy(result->why);
	for (size_t i = 0; i < result->count; i++) {
		const struct host_result *host = &result->hosts[i];

		if (host->probe->end == PROBE_SECURED) {
			snprintf(verdict->protocol, sizeof(verdict->protocol),
				 "%s", host->facts.protocol);
			snprintf(verdict->cipher, sizeof(verdict->cipher), "%s",
				 host->facts.cipher);
			return;
		}
		if (verdict->why == NULL)
			verdict->why = text_copy(host->probe->why);
	}
}

static void *work(void *arg)
{
	struct tls_survey *s = arg;
	size_t i;

	while ((i = atomic_fetch_add(&s->next, 1)) < s->recipients->count) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

		verdict_take(&s->verdicts[i],
			     domain_probe(tmp, s->prober,
					  s->recipients->domains[i].name));
		atomic_fetch_add(&s->done, 1);
	}
	return NULL;
}

static double share_of(const struct tls_survey *s, uint64_t recipients)
{
	return s->recipients->recipients == 0
		       ? 0
		       : 100.0 * (double)recipients /
				 (double)s->recipients->recipients;
}

static void progress_watch(struct tls_survey *s)
{
	const size_t count = s->recipients->count;
	struct terminal terminal;
	size_t done;

	terminal_init(&terminal, stderr);
	while ((done = atomic_load(&s->done)) < count) {
		terminal_progress(&terminal, "%zu of %zu domains (%.0f%%)",
				  done, count,
				  100.0 * (double)done / (double)count);
		usleep(PROGRESS_WAIT_US);
	}
	terminal_progress_end(&terminal);
}

static enum rc domains_look(struct tls_survey *s, struct fault *fault)
{
	pthread_t threads[JOBS_MAX];
	int started = 0;

	for (; started < s->jobs && (size_t)started < s->recipients->count;
	     started++)
		if (pthread_create(&threads[started], NULL, work, s) != 0)
			break;
	if (started == 0 && s->recipients->count > 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "cannot start a thread: %m");
	progress_watch(s);
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return RC_OK;
}

/* How many domains have a share of their own in the tables. */
static size_t big_domains(const struct tls_survey *s)
{
	size_t i = 0;

	while (i < s->recipients->count &&
	       share_of(s, s->recipients->domains[i].recipients) >=
		       s->least_share)
		i++;
	return i;
}

struct total {
	uint64_t recipients, secured, verified;
};

static struct total total_of(const struct tls_survey *s, size_t from, size_t to)
{
	struct total total = { 0 };

	for (size_t i = from; i < to; i++) {
		const uint64_t n = s->recipients->domains[i].recipients;

		total.recipients += n;
		if (s->verdicts[i].grade > GRADE_PLAIN)
			total.secured += n;
		if (s->verdicts[i].grade >= GRADE_VERIFIED)
			total.verified += n;
	}
	return total;
}

static double part(uint64_t some, uint64_t all)
{
	return all == 0 ? 0 : 100.0 * (double)some / (double)all;
}

static const char *yes_or_no(enum domain_grade grade)
{
	return grade == GRADE_NO_MAIL ? "?"
	       : grade == GRADE_PLAIN ? "no"
				      : "yes";
}

static void tables_print(const struct tls_survey *s)
{
	const size_t big = big_domains(s), count = s->recipients->count;
	const struct total other = total_of(s, big, count);
	const struct total all = total_of(s, 0, count);
	struct terminal t;

	terminal_init(&t, stdout);
	printf("%s%-32s %10s %7s%s\n", terminal_paint(&t, PAINT_BOLD), "domain",
	       "recipients", "%", terminal_paint(&t, PAINT_PLAIN));
	for (size_t i = 0; i < big; i++)
		printf("%-32s %10" PRIu64 " %7.2f\n",
		       s->recipients->domains[i].name,
		       s->recipients->domains[i].recipients,
		       share_of(s, s->recipients->domains[i].recipients));
	printf("%-32s %10" PRIu64 " %7.2f\n\n", "other", other.recipients,
	       share_of(s, other.recipients));
	printf("%s%-32s %-9s %-12s %s%s\n", terminal_paint(&t, PAINT_BOLD),
	       "domain", "STARTTLS", "grade", "protocol",
	       terminal_paint(&t, PAINT_PLAIN));
	for (size_t i = 0; i < big; i++) {
		const struct verdict *v = &s->verdicts[i];

		printf("%-32s %s%-9s%s %-12s %s\n",
		       s->recipients->domains[i].name,
		       terminal_paint(&t, v->grade > GRADE_PLAIN ? PAINT_GOOD
								 : PAINT_BAD),
		       yes_or_no(v->grade), terminal_paint(&t, PAINT_PLAIN),
		       domain_grade_name(v->grade),
		       v->protocol[0] != '\0' ? v->protocol
		       : v->why != NULL	      ? v->why
					      : "-");
	}
	printf("%-32s %.0f%% yes\n\n", "other",
	       part(other.secured, other.recipients));
	printf("%" PRIu64 " recipients in %zu domains: TLS for %.1f%%, with a "
	       "trusted certificate for %.1f%%\n",
	       all.recipients, count, part(all.secured, all.recipients),
	       part(all.verified, all.recipients));
}

static void json_print(const struct tls_survey *s)
{
	const struct total all = total_of(s, 0, s->recipients->count);
	struct json json;

	json_init(&json, stdout, false);
	json_begin(&json, NULL, '{');
	json_number(&json, "recipients", (long long)all.recipients);
	json_real(&json, "tls_percent", part(all.secured, all.recipients), 2);
	json_real(&json, "trusted_percent", part(all.verified, all.recipients),
		  2);
	json_number(&json, "lines_without_domain",
		    (long long)s->recipients->bad_lines);
	json_begin(&json, "domains", '[');
	for (size_t i = 0; i < s->recipients->count; i++) {
		const struct survey_domain *d = &s->recipients->domains[i];
		const struct verdict *v = &s->verdicts[i];

		json_begin(&json, NULL, '{');
		json_text(&json, "domain", d->name);
		json_number(&json, "recipients", (long long)d->recipients);
		json_real(&json, "percent", share_of(s, d->recipients), 2);
		if (v->grade == GRADE_NO_MAIL)
			json_null(&json, "starttls");
		else
			json_bool(&json, "starttls", v->grade > GRADE_PLAIN);
		json_text(&json, "grade", domain_grade_name(v->grade));
		json_text_or_null(&json, "protocol",
				  v->protocol[0] != '\0' ? v->protocol : NULL);
		json_text_or_null(&json, "cipher",
				  v->cipher[0] != '\0' ? v->cipher : NULL);
		json_text_or_null(&json, "policy", v->policy);
		json_text_or_null(&json, "why", v->why);
		json_end(&json, '}');
	}
	json_end(&json, ']');
	json_end(&json, '}');
}

/* RFC 4180. */
static void csv_field(const char *text)
{
	if (text == NULL)
		return;
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void csv_print(const struct tls_survey *s)
{
	puts("domain,recipients,percent,starttls,grade,protocol,cipher,policy,"
	     "why");
	for (size_t i = 0; i < s->recipients->count; i++) {
		const struct survey_domain *d = &s->recipients->domains[i];
		const struct verdict *v = &s->verdicts[i];
		const char *texts[] = { v->policy, v->why };

		printf("%s,%" PRIu64 ",%.2f,%s,%s,%s,%s", d->name,
		       d->recipients, share_of(s, d->recipients),
		       yes_or_no(v->grade), domain_grade_name(v->grade),
		       v->protocol, v->cipher);
		for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
			putchar(',');
			csv_field(texts[k]);
		}
		putchar('\n');
	}
}

static void option_take(struct tls_survey *s, int c, const char *value)
{
	switch (c) {
	case 'j':
		s->output = AS_JSON;
		break;
	case 'c':
		s->output = AS_CSV;
		break;
	case 'g':
		s->group_path = value;
		break;
	case 'l':
		s->least_share =
			option_number(command_name, "--least", value, 0, 100);
		break;
	case 'n':
		s->jobs = option_number(command_name, "--jobs", value, 1,
					JOBS_MAX);
		break;
	case 't':
		s->options.connect_timeout_s = s->options.command_timeout_s =
			option_number(command_name, "--timeout", value, 1,
				      TIMEOUT_MAX_S);
		break;
	case 'o':
		s->options.hosts_max =
			option_number(command_name, "--hosts", value, 0, 100);
		break;
	case 'a':
		s->options.ca_file = value;
		break;
	case 'p':
		s->options.port = (uint16_t)option_number(
			command_name, "--port", value, 1, UINT16_MAX);
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(1);
	}
}

static void options_read(struct tls_survey *s, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "csv", no_argument, NULL, 'c' },
		{ "group", required_argument, NULL, 'g' },
		{ "least", required_argument, NULL, 'l' },
		{ "jobs", required_argument, NULL, 'n' },
		{ "timeout", required_argument, NULL, 't' },
		{ "hosts", required_argument, NULL, 'o' },
		{ "ca", required_argument, NULL, 'a' },
		{ "port", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		option_take(s, c, optarg);
	if (optind + 1 != argc) {
		usage(stderr);
		exit(1);
	}
	s->path = argv[optind];
}

int postern_tls_survey(struct postern *postern)
{
	static void (*const print[])(const struct tls_survey *) = {
		[AS_TABLES] = tables_print,
		[AS_JSON] = json_print,
		[AS_CSV] = csv_print,
	};
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	struct tls_survey s = {
		.options = { .connect_timeout_s = TIMEOUT_S,
			     .command_timeout_s = TIMEOUT_S,
			     .hosts_max = 1 },
		.least_share = 1,
		.jobs = JOBS_DEFAULT,
	};
	struct fault fault;

	options_read(&s, postern->argc, postern->argv);
	if (recipient_survey_read(mem, s.path, s.group_path, &s.recipients,
				  &fault) != RC_OK ||
	    domain_prober_open(mem, postern->conf, &s.options, &s.prober,
			       &fault) != RC_OK)
		postern_die(postern, "%s", fault.text);
	s.verdicts = mem_array(mem, struct verdict, s.recipients->count + 1);
	if (domains_look(&s, &fault) != RC_OK)
		postern_die(postern, "%s", fault.text);
	print[s.output](&s);
	if (s.recipients->bad_lines > 0)
		fprintf(stderr,
			"postern tls-survey: %" PRIu64
			" lines without a domain\n",
			s.recipients->bad_lines);
	for (size_t i = 0; i < s.recipients->count; i++) {
		free(s.verdicts[i].policy);
		free(s.verdicts[i].why);
	}
	return 0;
}
