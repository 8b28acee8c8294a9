/* SPDX-License-Identifier: Apache-2.0 */
/* postern explain: what would the SMTP server say, and why? */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "command/explain_priv.h"
#include "command/postern_priv.h"
#include "conf/master_cf.h"
#include "sys/log.h"

enum { STATUS_USAGE = 64, STATUS_NO_INPUT = 66, STATUS_CONFIG = 78 };

enum { OPTION_FIRST = 256, OPTION_ATTRIBUTE = 1024 };

enum option_id {
	O_CONFIG = OPTION_FIRST,
	O_SERVICE,
	O_PORT,
	O_OVERRIDE,
	O_DATA,
	O_UNTIL,
	O_NO_DNS,
	O_DNS,
	O_LIVE,
	O_ZONE,
	O_DNS_ANSWER,
	O_DNS_DEFAULT,
	O_TABLE_ANSWER,
	O_POLICY_ANSWER,
	O_VERIFY_ANSWER,
	O_JSON,
	O_ALL,
	O_COLOR,
	O_DIFF,
	O_SESSIONS,
	O_LOG,
	O_HELP,
};

enum { OVERRIDES_MAX = 100 };

struct request {
	TALLOC_CTX *mem;
	const struct postern *postern;
	struct explain_session session;
	struct explain_world *world;
	const char *config_directory, *diff_directory;
	const char *service, *until, *sessions_path, *log_path;
	const char *overrides[OVERRIDES_MAX];
	size_t override_count;
	bool json, all;
	const char *color;
	int log_fd;
};

NORETURN PRINTF(3, 4) static void stop(const struct request *request,
				       int status, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s explain: ", request->postern->program);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

static const char help_text[] =
	"usage: postern explain --client NAME[ADDRESS] [--helo NAME] [--from A]"
	" [--to A]...\n"
	"       postern explain --sessions FILE | --log FILE [--diff DIR]\n"
	"\n"
	"Plays an SMTP session against a configuration, without a network, by "
	"the code of\n"
	"the server itself, and says what every list and rule does, what the "
	"client hears,\n"
	"and which rule decides.\n"
	"\n"
	"The session:\n"
	"  --client NAME[ADDRESS]  who connects; ADDRESS alone: its name is a "
	"question to\n"
	"                          DNS; unknown[ADDRESS]: it has no proved "
	"name\n"
	"  --reverse NAME          its PTR name, when that is not the proved "
	"one\n"
	"  --server ADDRESS        where it connected to\n"
	"  --helo NAME             EHLO; with --smtp HELO; without it none is "
	"said\n"
	"  --from A  --to A        envelope; <> or \"\" is the null sender; "
	"--to "
	"may repeat\n"
	"  --size N                SIZE= of MAIL\n"
	"  --etrn DOMAIN           ETRN in place of a message\n"
	"  --sasl USER             logged in as USER\n"
	"  --tls [PROTO:CIPHER]    encrypted (also --tls=yes)\n"
	"  --cert FP --cert-key FP fingerprints of the client's certificate "
	"and "
	"its key\n"
	"  --cert-trusted yes      its chain is good\n"
	"  --until STAGE           CONNECT, HELO, MAIL, RCPT or DATA; else to "
	"the end of data\n"
	"                          (--data says so too)\n"
	"The configuration:\n"
	"  --config DIR            else that of -c, or the installed one\n"
	"  --service NAME, --port N  which smtpd line of master.cf: its -o are "
	"taken over\n"
	"  -o NAME=VALUE           one more, as in master.cf\n"
	"What is outside (tables that are files are read; nothing else is "
	"asked):"
	"\n"
	"  --dns-answer 'NAME TYPE VALUE'  VALUE: records, NXDOMAIN, NODATA, "
	"ERROR\n"
	"  --zone FILE             such answers, one a line\n"
	"  --dns-default none      every other name does not exist\n"
	"  --table-answer 'TABLE KEY VALUE'     of a network table; NONE, "
	"ERROR\n"
	"  --policy-answer 'SERVICE ACTION'     of a policy service\n"
	"  --verify-answer 'ADDRESS deliverable|undeliverable|unknown'\n"
	"  --dns, --no-dns         really ask DNS, or do not (as always)\n"
	"  --live                  really ask network tables and services\n"
	"An answer that is not known is taken for granted: the one with which "
	"the session\n"
	"goes on. The other is tried too, and said where it makes a "
	"difference.\n"
	"Output:\n"
	"  --json                  for programs; postern-explain(1) has the "
	"shape\n"
	"  --all                   also rules that were not reached (a "
	"terminal: "
	"always)\n"
	"  --color always|never    else on a terminal only\n"
	"Many sessions:\n"
	"  --sessions FILE         one a line: client=a.test[192.0.2.1] "
	"helo=a.test\n"
	"                          from=<jo@a.test> to=<ann@b.test> ...; - is "
	"standard input\n"
	"  --log FILE              sessions out of a mail log (Postfix or "
	"Postern)\n"
	"  --diff DIR              those that end differently under the "
	"configuration in DIR\n"
	"\n"
	"Exit: 0 accepted, 1 refused, 75 refused for now, 3 depends on what is "
	"not known;\n"
	"with --sessions or --log 0, with --diff 1 when something differs;\n"
	"64 usage, 66 a file cannot be read, 78 the configuration is wrong.\n";

/* ---- options ---- */

static const struct option options[] = {
	{ "config", required_argument, NULL, O_CONFIG },
	{ "service", required_argument, NULL, O_SERVICE },
	{ "port", required_argument, NULL, O_PORT },
	{ "data", no_argument, NULL, O_DATA },
	{ "until", required_argument, NULL, O_UNTIL },
	{ "no-dns", no_argument, NULL, O_NO_DNS },
	{ "dns", no_argument, NULL, O_DNS },
	{ "live", no_argument, NULL, O_LIVE },
	{ "zone", required_argument, NULL, O_ZONE },
	{ "dns-answer", required_argument, NULL, O_DNS_ANSWER },
	{ "dns-default", required_argument, NULL, O_DNS_DEFAULT },
	{ "table-answer", required_argument, NULL, O_TABLE_ANSWER },
	{ "policy-answer", required_argument, NULL, O_POLICY_ANSWER },
	{ "verify-answer", required_argument, NULL, O_VERIFY_ANSWER },
	{ "json", no_argument, NULL, O_JSON },
	{ "all", no_argument, NULL, O_ALL },
	{ "color", required_argument, NULL, O_COLOR },
	{ "diff", required_argument, NULL, O_DIFF },
	{ "sessions", required_argument, NULL, O_SESSIONS },
	{ "log", required_argument, NULL, O_LOG },
	{ "help", no_argument, NULL, O_HELP },
	/* attributes of the session, by their names in session files */
	{ "client", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "reverse", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "server", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "helo", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "from", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "to", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "size", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "etrn", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "sasl", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "tls", optional_argument, NULL, OPTION_ATTRIBUTE },
	{ "cert", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "cert-key", required_argument, NULL, OPTION_ATTRIBUTE },
	{ "cert-trusted", optional_argument, NULL, OPTION_ATTRIBUTE },
	{ "smtp", optional_argument, NULL, OPTION_ATTRIBUTE },
	{ NULL, 0, NULL, 0 },
};

static void take_attribute(struct request *request, const char *name, int argc,
			   char **argv)
{
	const char *value = optarg;
	struct fault fault;

	/* "--tls TLSv1.3:X" reads as well as "--tls=TLSv1.3:X" */
	if (value == NULL && optind < argc && argv[optind][0] != '-')
		value = argv[optind++];
	if (explain_session_set(
		    request->mem, &request->session, span_from(name),
		    span_from(value == NULL ? "yes" : value), &fault) != RC_OK)
		stop(request, STATUS_USAGE, "--%s: %s", name, fault.text);
}

static enum rc take_answer(struct request *request, int id, struct fault *fault)
{
	struct explain_world *world = request->world;
	struct span text = span_from(optarg);

	switch (id) {
	case O_ZONE:
		return explain_world_zone(world, optarg, fault);
	case O_DNS_ANSWER:
		return explain_world_dns(world, text, fault);
	case O_TABLE_ANSWER:
		return explain_world_answer(world, TRACE_TABLE, text, fault);
	case O_POLICY_ANSWER:
		return explain_world_answer(world, TRACE_POLICY, text, fault);
	case O_VERIFY_ANSWER:
		return explain_world_answer(world, TRACE_VERIFY, text, fault);
	default:
		world->dns_none = span_is(text, "none");
		if (world->dns_none)
			return RC_OK;
		return fault_set(fault, RC_PERM, "5.5.4",
				 "\"%s\" is not \"none\"", optarg);
	}
}

static const char *stage_of(const struct request *request, const char *text)
{
	static const char *const names[] = { "CONNECT", "HELO", "MAIL", "RCPT",
					     "DATA" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_is_nocase(span_from(text), names[i]))
			return names[i];
	stop(request, STATUS_USAGE,
	     "--until %s: there are CONNECT, HELO, MAIL, RCPT and DATA", text);
}

static bool take_flag(struct request *request, int id)
{
	switch (id) {
	case O_DATA:
		return true;
	case O_NO_DNS:
		request->world->dns_live = false;
		return true;
	case O_DNS:
		request->world->dns_live = true;
		return true;
	case O_LIVE:
		request->world->live = true;
		return true;
	case O_JSON:
		request->json = true;
		return true;
	case O_ALL:
		request->all = true;
		return true;
	default:
		return false;
	}
}

static bool take_text(struct request *request, int id)
{
	const struct {
		int id;
		const char **text;
	} texts[] = {
		{ O_CONFIG, &request->config_directory },
		{ O_SERVICE, &request->service },
		{ O_PORT, &request->service },
		{ O_COLOR, &request->color },
		{ O_DIFF, &request->diff_directory },
		{ O_SESSIONS, &request->sessions_path },
		{ O_LOG, &request->log_path },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].id == id) {
			*texts[i].text = optarg;
			return true;
		}
	return false;
}

static void take_option(struct request *request, int id)
{
	struct fault fault;

	if (take_flag(request, id) || take_text(request, id))
		return;
	if (id == O_UNTIL)
		request->until = stage_of(request, optarg);
	else if (id == 'o' && request->override_count < OVERRIDES_MAX)
		request->overrides[request->override_count++] = optarg;
	else if (id == 'o')
		stop(request, STATUS_USAGE, "too many -o");
	else if (take_answer(request, id, &fault) != RC_OK)
		stop(request, id == O_ZONE ? STATUS_NO_INPUT : STATUS_USAGE,
		     "%s", fault.text);
}

static void options_parse(struct request *request, int argc, char **argv)
{
	int index = 0, id;

	optind = 1;
	while ((id = getopt_long(argc, argv, "ho:", options, &index)) != -1) {
		if (id == 'h' || id == O_HELP) {
			fputs(help_text, stdout);
			exit(0);
		}
		if (id == '?')
			stop(request, STATUS_USAGE,
			     "postern explain --help says how it is used");
		if (id == OPTION_ATTRIBUTE)
			take_attribute(request, options[index].name, argc,
				       argv);
		else
			take_option(request, id);
	}
	if (optind < argc)
		stop(request, STATUS_USAGE, "\"%s\" is not an option",
		     argv[optind]);
}

/* ---- the configuration ---- */

/* "submission", "587", "127.0.0.1:587" */
static bool is_named(const struct master_entry *entry, const char *name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span have = span_from(entry->name), want = span_from(name);
	ssize_t colon = span_rfind(have, ':');
	struct servent *known;
	char port[16];

	if (span_eq(have, want))
		return true;
	if (colon >= 0)
		have = span_skip(have, (size_t)colon + 1);
	if (span_eq(have, want))
		return true;
	known = getservbyname(mem_span_dup(tmp, have), "tcp");
	if (known == NULL)
		return false;
	snprintf(port, sizeof(port), "%u", ntohs((uint16_t)known->s_port));
	return span_is(want, port);
}

static const struct master_entry *find_service(const struct master_table *table,
					       const char *name)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct master_entry *entry = &table->entries[i];

		if (strcmp(entry->program, "smtpd") != 0)
			continue;
		if (is_named(entry, name) ||
		    (entry->type == SERVICE_PASS && is_named(entry, "smtpd") &&
		     strcmp(name, "25") == 0))
			return entry;
	}
	return NULL;
}

static struct conf *load(struct request *request,
			 const struct conf_source *source)
{
	struct conf *conf;
	struct fault fault;

	if (conf_load(source, &conf, &fault) != RC_OK)
		stop(request, STATUS_CONFIG, "%s", fault.text);
	return conf;
}

/* The -o of the master.cf line, then those of the command line. */
static struct conf *load_service(struct request *request, const char *directory,
				 const char **ret_service)
{
	struct conf_source source = { .config_directory = directory,
				      .process_name = "smtpd",
				      .service_name = "smtp" };
	struct conf *plain = load(request, &source), *conf;
	const char *want = request->service == NULL ? "25" : request->service;
	const struct master_entry *entry = NULL;
	struct master_table *table;
	const char **overrides;
	struct fault fault;
	size_t count;

	if (master_cf_load(request->mem, plain, &table, &fault) == RC_OK)
		entry = find_service(table, want);
	else if (request->service != NULL)
		stop(request, STATUS_CONFIG, "%s", fault.text);
	if (entry == NULL && request->service != NULL)
		stop(request, STATUS_CONFIG,
		     "%s: no smtpd line with the name or port %s", table->path,
		     want);
	count = entry == NULL ? 0 : entry->override_count;
	overrides = mem_array(request->mem, const char *,
			      count + request->override_count + 1);
	for (size_t i = 0; i < count; i++)
		overrides[i] = entry->overrides[i];
	for (size_t i = 0; i < request->override_count; i++)
		overrides[count + i] = request->overrides[i];
	source.overrides = overrides;
	source.override_count = count + request->override_count;
	if (entry != NULL) {
		source.service_name = entry->name;
		source.override_path = table->path;
		source.override_line = entry->line;
	}
	conf = load(request, &source);
	*ret_service = mem_strdup(request->mem, source.service_name);
	conf_unref(plain);
	return conf;
}

static void player_open(struct request *request, const char *directory,
			struct explain_player *player)
{
	struct fault fault = { 0 };

	*player = (struct explain_player){
		.world = request->world,
		.until = request->until,
		.log_fd = request->log_fd,
	};
	player->conf = load_service(request, directory, &player->service);
	if (rehearsal_open(request->mem, player->conf, player->service,
			   &player->rehearsal, &fault) != RC_OK)
		stop(request, STATUS_CONFIG, "%s", fault.text);
}

static void player_close(struct explain_player *player)
{
	talloc_free(player->rehearsal);
	conf_unref(player->conf);
}

/* ---- one session ---- */

static struct explain_look look_of(const struct request *request)
{
	struct explain_look look = { 0 };

	setlocale(LC_CTYPE, "");
	terminal_init(&look.terminal, stdout);
	if (request->color != NULL) {
		look.terminal.colours = strcmp(request->color, "always") == 0;
		look.terminal.is_terminal |= look.terminal.colours;
	}
	look.all = request->all || look.terminal.is_terminal;
	return look;
}

static int explain_one(struct request *request)
{
	struct explain_look look = look_of(request);
	struct explain_player player;
	struct explain_result *result;
	struct fault fault;

	if (request->session.client_address == NULL)
		stop(request, STATUS_USAGE,
		     "--client NAME[ADDRESS] is missing; --help says more");
	player_open(request, request->config_directory, &player);
	if (explain_play(request->mem, &player, &request->session, &result,
			 &fault) != RC_OK)
		stop(request, STATUS_USAGE, "%s", fault.text);
	explain_branches(request->mem, &player, result);
	if (request->json)
		explain_json_print(result, stdout);
	else
		explain_text_print(result, &look, stdout);
	player_close(&player);
	return explain_outcome_status(result->outcome);
}

/* ---- many sessions ---- */

struct feed {
	struct request *request;
	struct explain_diff *diff;
	struct terminal terminal;
	const char *path;
	size_t line, bad;
	uint64_t bytes, total;
};

static void show_progress(struct feed *feed)
{
	if (feed->total > 0)
		terminal_progress(&feed->terminal, "%s: %d %%, %zu sessions",
				  feed->path,
				  (int)(feed->bytes * 100 / feed->total),
				  explain_diff_count(feed->diff));
	else
		terminal_progress(&feed->terminal, "%s: %zu sessions",
				  feed->path, explain_diff_count(feed->diff));
}

static FILE *open_input(struct feed *feed, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct stat st;

	if (file == NULL)
		stop(feed->request, STATUS_NO_INPUT, "%s: %s", path,
		     strerror(errno));
	if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode))
		feed->total = (uint64_t)st.st_size;
	feed->path = path;
	return file;
}

static void feed_session(struct feed *feed, struct span line)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct explain_session session;
	struct fault fault;
	enum rc rc = explain_session_parse(tmp, line, &session, &fault);

	if (rc == RC_NONE)
		return;
	if (rc != RC_OK)
		stop(feed->request, STATUS_NO_INPUT, "%s, line %zu: %s",
		     feed->path, feed->line, fault.text);
	if (session.id == NULL)
		session.id = mem_printf(tmp, "line %zu", feed->line);
	explain_diff_session(feed->diff, &session);
}

static void feed_all(struct feed *feed, FILE *file, struct explain_log *log)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t len;

	while ((len = getline(&text, &room, file)) >= 0) {
		struct span line = { text, (size_t)len };

		feed->line++;
		feed->bytes += (uint64_t)len;
		if (log != NULL)
			explain_log_line(log, line);
		else
			feed_session(feed, line);
		if (feed->line % 64 == 0)
			show_progress(feed);
	}
	free(text);
	if (log != NULL)
		explain_log_end(log);
	if (file != stdin)
		fclose(file);
}

static int explain_many(struct request *request)
{
	const char *path = request->log_path != NULL ? request->log_path
						     : request->sessions_path;
	struct feed feed = { .request = request };
	struct explain_player now, then;
	struct explain_log *log = NULL;
	FILE *file;
	int status;

	if (path == NULL)
		stop(request, STATUS_USAGE,
		     "--diff needs --sessions FILE or --log FILE");
	request->log_fd = -1;
	player_open(request, request->config_directory, &now);
	if (request->diff_directory != NULL)
		player_open(request, request->diff_directory, &then);
	feed.diff = explain_diff_new(request->mem, &now,
				     request->diff_directory != NULL ? &then
								     : NULL);
	terminal_init(&feed.terminal, stderr);
	file = open_input(&feed, path);
	if (request->log_path != NULL)
		log = explain_log_new(request->mem, explain_diff_session,
				      feed.diff);
	feed_all(&feed, file, log);
	terminal_progress_end(&feed.terminal);
	status = explain_diff_print(feed.diff, request->json, stdout);
	player_close(&now);
	if (request->diff_directory != NULL)
		player_close(&then);
	return status;
}

/* What the server writes to its log is part of the answer, and is not to be
 * mixed up with the log of the real one. */
static void log_catch(struct request *request)
{
	bool many = request->sessions_path != NULL || request->log_path != NULL;

	request->log_fd = many ? open("/dev/null", O_WRONLY | O_CLOEXEC)
			       : memfd_create("log", MFD_CLOEXEC);
	if (request->log_fd < 0)
		stop(request, STATUS_CONFIG, "a place for log lines: %s",
		     strerror(errno));
	log_open("postfix", "smtpd", LOG_TO_FD, request->log_fd, LOG_MAIL);
}

int postern_explain(struct postern *postern)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	struct request request = { .mem = mem,
				   .postern = postern,
				   .log_fd = -1 };

	request.world = mem_new(mem, struct explain_world);
	request.config_directory = postern->config_directory;
	options_parse(&request, postern->argc, postern->argv);
	log_catch(&request);
	if (request.sessions_path != NULL || request.log_path != NULL ||
	    request.diff_directory != NULL)
		return explain_many(&request);
	return explain_one(&request);
}
