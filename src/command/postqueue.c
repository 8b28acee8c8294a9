/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postqueue - show the queue, or have mail tried again now. Any user may run it
 * (set-group-id); who may do what is for qmgr to say.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "command/maildrop_files.h"
#include "command/mailq_format.h"
#include "command/qmgr_client.h"
#include "mail/address.h"
#include "queue/queue_id.h"
#include "queue/store.h"
#include "queue/wire.h"
#include "sys/log.h"

enum { ITEM_RECIPIENTS_MAX = 100000 };

struct request {
	char action; /* option letter; 0: none */
	const char *argument;
	const char *config_directory;
};

static void fatal(int status, const char *format, ...) PRINTF(2, 3) NORETURN;
static void fatal(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("postqueue: fatal: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

static void usage_fatal(void) NORETURN;
static void usage_fatal(void)
{
	fatal(EX_UNAVAILABLE, "usage: postqueue -f | postqueue -i queueid | "
			      "postqueue -j | postqueue -p | "
			      "postqueue -s site");
}

static void help(void)
{
	puts("usage: postqueue [-v] [-c DIR] -p | -j | -f | -i ID | -s SITE\n"
	     "  -p       show the queue, as mailq does\n"
	     "  -j       show the queue as JSON, one object a line\n"
	     "  -f       try to deliver all deferred mail now\n"
	     "  -i ID    try to deliver this message now\n"
	     "  -s SITE  try to deliver all mail for this domain now\n"
	     "  -c DIR   directory of main.cf\n"
	     "  -v       say more (root only)\n"
	     "\n"
	     "example: postqueue -j | jq -r .queue_id");
}

static void request_set(struct request *request, char action,
			const char *argument)
{
	if (request->action != 0)
		usage_fatal();
	request->action = action;
	request->argument = argument;
}

static void request_parse(struct request *request, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "help", no_argument, NULL, 'H' }, { 0 }
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:fi:jps:v", long_options,
				     NULL)) != -1)
		switch (option) {
		case 'c':
			request->config_directory = optarg;
			break;
		case 'f':
		case 'j':
		case 'p':
			request_set(request, (char)option, NULL);
			break;
		case 'i':
		case 's':
			request_set(request, (char)option, optarg);
			break;
		case 'v':
			if (getuid() == 0)
				log_set_verbose(log_verbose() + 1);
			break;
		case 'H':
			help();
			exit(0);
		default:
			usage_fatal();
		}
	if (request->action == 0 || optind < argc)
		usage_fatal();
}

static bool has_word(const char *list, const char *word)
{
	struct span rest = span_from(list), token;

	while (span_token(&rest, ", \t\r\n", &token))
		if (span_is(token, word))
			return true;
	return false;
}

static struct conf *load(const char *directory)
{
	struct conf_source source = {
		.config_directory = directory,
		.process_name = "postqueue",
	};
	struct conf *conf;
	struct fault fault;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		fatal(EX_CONFIG, "%s", fault.text);
	return conf;
}

/* The group's rights are not for a configuration of the caller's own. */
static struct conf *load_checked(const char *directory)
{
	const char *from_env = getenv("MAIL_CONFIG");
	struct conf *conf;

	if (directory == NULL)
		directory = from_env;
	if (directory == NULL || directory[0] == '\0' || getuid() == 0 ||
	    getgid() == getegid())
		return load(directory);
	conf = load(PATH_CONFIG);
	if (strcmp(directory, PATH_CONFIG) != 0 &&
	    !has_word(conf->v.alternate_config_directories, directory))
		fatal(EX_NOPERM,
		      "-c %s: not listed in alternate_config_directories of "
		      "%s/main.cf",
		      directory, PATH_CONFIG);
	conf_unref(conf);
	return load(directory);
}

static const char *user_name(void)
{
	const struct passwd *user = getpwuid(getuid());

	return user == NULL ? "unknown" : user->pw_name;
}

static void flush(const struct conf *conf, const char *what, const char *object)
{
	struct fault fault;
	enum rc rc = qmgr_client_flush(conf, what, &fault);

	if (rc == RC_NONE)
		fatal(EX_UNAVAILABLE,
		      "Cannot flush mail queue - mail system is down");
	if (rc == RC_PERM)
		fatal(EX_NOPERM,
		      "User %s(%ld) is not allowed to flush the mail queue",
		      user_name(), (long)getuid());
	if (rc == RC_CONF)
		fatal(EX_UNAVAILABLE,
		      "Flush service is not configured for destination \"%s\"",
		      object);
	if (rc != RC_OK)
		fatal(EX_TEMPFAIL, "Cannot flush %s: %s", object, fault.text);
}

static void flush_id(const struct conf *conf, const char *id)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (!queue_id_is_valid(span_from(id)))
		fatal(EX_UNAVAILABLE,
		      "Cannot flush queue ID - invalid name: \"%s\"", id);
	flush(conf, mem_printf(tmp, "id:%s", id), id);
}

static void flush_site(const struct conf *conf, const char *site)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span name = span_from(site), ip;

	if (site[0] == '[' ? !address_literal_ip(name, &ip)
			   : !domain_is_valid(name, true))
		fatal(EX_UNAVAILABLE,
		      "Cannot flush mail queue - invalid destination: \"%s\"",
		      site);
	flush(conf, mem_printf(tmp, "site:%s", site), site);
}

/* One packet of a listing. An item with the id of the one before goes on with
 * its recipients. */
struct listing {
	struct mailq_format format;
	TALLOC_CTX *mem; /* of the item that is held back */
	struct mailq_entry held;
	bool have_held;
	bool held_goes_on;
};

static void listing_release(struct listing *listing, bool is_last)
{
	if (!listing->have_held)
		return;
	listing->held.is_last = is_last;
	mailq_format_entry(&listing->format, &listing->held);
	listing->have_held = false;
	TALLOC_FREE(listing->mem);
}

static void listing_add(struct listing *listing, TALLOC_CTX *mem,
			const struct mailq_entry *entry)
{
	bool same =
		listing->have_held && strcmp(listing->held.id, entry->id) == 0;
	struct mailq_entry next = *entry;

	next.goes_on = same;
	listing_release(listing, !same);
	listing->held = next;
	listing->mem = mem;
	listing->have_held = true;
}

static void item_take(struct listing *listing, TALLOC_CTX *mem,
		      struct packet_in *in)
{
	struct mailq_entry entry = { 0 };
	struct mailq_recipient *recipients;
	uint32_t count;

	entry.queue_name = packet_take_text(in, mem);
	entry.id = packet_take_text(in, mem);
	entry.arrival_us = packet_take_u64(in);
	entry.size_bytes = packet_take_u64(in);
	entry.force_expire = packet_take_u32(in) != 0;
	entry.sender = packet_take_text(in, mem);
	count = packet_take_u32(in);
	if (in->bad || count > ITEM_RECIPIENTS_MAX)
		fatal(EX_PROTOCOL, "malformed reply from the queue manager");
	recipients = mem_array(mem, struct mailq_recipient, count);
	for (uint32_t i = 0; i < count; i++) {
		recipients[i].address = packet_take_text(in, mem);
		recipients[i].original = packet_take_text(in, mem);
		recipients[i].reason = packet_take_text(in, mem);
	}
	if (in->bad)
		fatal(EX_PROTOCOL, "malformed reply from the queue manager");
	entry.recipients = recipients;
	entry.count = count;
	listing_add(listing, mem, &entry);
}

static void reply_take(struct packet_in *in)
{
	uint32_t outcome = packet_take_u32(in);

	if (outcome == RC_PERM)
		fatal(EX_NOPERM,
		      "User %s(%ld) is not allowed to view the mail queue",
		      user_name(), (long)getuid());
	if (outcome != RC_OK)
		fatal(EX_TEMPFAIL, "the queue manager cannot list the queue");
}

/* From qmgr; false: it does not answer. */
static bool list_live(struct listing *listing, const struct conf *conf,
		      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	int sock;

	if (qmgr_client_connect(conf, &sock, fault) != RC_OK)
		return false;
	packet_begin(&out, tmp, WIRE_LIST);
	packet_put_text(&out, "");
	if (packet_send(sock, &out, fault) != RC_OK)
		fatal(EX_TEMPFAIL, "%s", fault->text);
	for (;;) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct packet_in in;

		if (packet_receive(mem, sock, &in, fault) != RC_OK)
			fatal(EX_TEMPFAIL, "list the queue: %s", fault->text);
		if (in.type == WIRE_LIST_ITEM) {
			item_take(listing, mem, &in);
			continue;
		}
		reply_take(&in);
		talloc_free(mem);
		break;
	}
	close(sock);
	return true;
}

static void stored_found(void *arg, TALLOC_CTX *mem,
			 const struct store_entry *entry)
{
	struct listing *listing = arg;
	const struct envelope *env = entry->env;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct mailq_recipient *recipients =
		mem_array(tmp, struct mailq_recipient, env->recipient_count);
	const char **reasons =
		mem_array(tmp, const char *, env->recipient_count);
	struct mailq_entry item = {
		.queue_name = entry->on_hold	     ? "hold"
			      : entry->place.in_file ? "deferred"
						     : "incoming",
		.id = env->queue_id,
		.sender = env->sender,
		.arrival_us = env->arrival_us,
		.size_bytes = env->size_bytes,
		.force_expire = entry->force_expire,
		.recipients = recipients,
		.is_last = true,
	};

	for (size_t i = 0; i < entry->status_count; i++)
		if (entry->statuses[i].recipient < env->recipient_count)
			reasons[entry->statuses[i].recipient] =
				entry->statuses[i].reason;
	for (size_t i = 0; i < env->recipient_count; i++) {
		const struct recipient *rcpt = &env->recipients[i];

		if (entry->recipient_done != NULL && entry->recipient_done[i])
			continue;
		recipients[item.count++] = (struct mailq_recipient){
			.address = rcpt->address,
			.original = rcpt->original == NULL ? rcpt->address
							   : rcpt->original,
			.reason = reasons[i] == NULL ? "" : reasons[i],
		};
	}
	mailq_format_entry(&listing->format, &item);
}

static void maildrop_found(void *arg, const char *name, const struct stat *st,
			   const struct maildrop_head *head)
{
	struct listing *listing = arg;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct mailq_entry item = {
		.queue_name = "maildrop",
		.id = name,
		.sender = head->sender,
		.arrival_us = (uint64_t)st->st_mtim.tv_sec * 1000000,
		.size_bytes = (uint64_t)st->st_size,
		.count = head->recipient_count,
		.is_last = true,
	};
	struct mailq_recipient *recipients =
		mem_array(tmp, struct mailq_recipient, item.count);

	for (size_t i = 0; i < item.count; i++)
		recipients[i] = (struct mailq_recipient){
			.address = head->recipients[i],
			.original = head->recipients[i],
			.reason = "",
		};
	item.recipients = recipients;
	mailq_format_entry(&listing->format, &item);
}

/* No queue manager: from the files, by those who may read them. */
static void list_stored(struct listing *listing, const struct conf *conf,
			const char *why)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct store *store;
	struct fault fault;

	if (geteuid() != 0)
		fatal(EX_UNAVAILABLE,
		      "Queue report unavailable - mail system is down");
	fprintf(stderr,
		"postqueue: warning: Mail system is down -- accessing queue "
		"directly (%s)\n",
		why);
	if (store_open(tmp, conf->v.queue_directory, STORE_READ_ONLY, &store,
		       &fault) != RC_OK ||
	    store_scan(store, stored_found, listing, &fault) != RC_OK ||
	    maildrop_files_each(conf, maildrop_found, listing, &fault) != RC_OK)
		fatal(EX_UNAVAILABLE, "%s", fault.text);
}

static void list(const struct conf *conf, bool json)
{
	struct listing listing = {
		.format = { .to = stdout,
			    .json = json,
			    .long_ids = conf->v.enable_long_queue_ids },
	};
	struct fault fault;

	if (!list_live(&listing, conf, &fault))
		list_stored(&listing, conf, fault.text);
	listing_release(&listing, true);
	mailq_format_end(&listing.format);
	if (fflush(stdout) != 0)
		fatal(EX_IOERR, "write: %m");
}

/* 0, 1 and 2 are open whatever the caller did, and no files of ours. */
static void descriptors_fix(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		_exit(EX_OSERR);
	closefrom(STDERR_FILENO + 1);
	umask(077);
}

int main(int argc, char **argv)
{
	struct request request = { 0 };
	struct conf *conf;

	descriptors_fix();
	log_open("postfix", "postqueue", LOG_TO_STDERR, -1, 0);
	request_parse(&request, argc, argv);
	conf = load_checked(request.config_directory);
	switch (request.action) {
	case 'f':
		flush(conf, "", "mail queue");
		break;
	case 'i':
		flush_id(conf, request.argument);
		break;
	case 's':
		flush_site(conf, request.argument);
		break;
	default:
		list(conf, request.action == 'j');
	}
	conf_unref(conf);
	return 0;
}
