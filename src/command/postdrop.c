/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postdrop - puts a message that arrives on standard input into the maildrop,
 * where pickup finds it. Installed with the group that may write there, so
 * nothing its caller controls is trusted: not the environment, not the
 * configuration directory, not the bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "mail/address.h"
#include "map/match_list.h"
#include "queue/crc32c.h"
#include "rule/maildrop.h"
#include "sys/files.h"
#include "sys/log.h"
#include "sys/privilege.h"
#include "sys/socket_unix.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	NAME_MAX_BYTES = 64,
	NAME_TRIES = 100,
	MODE_INCOMPLETE = 0600,
	MODE_COMPLETE = 0744, /* pickup is another user than the sender */
};

NORETURN PRINTF(2, 3) static void die(int status, const char *format, ...)
{
	va_list args;
	char text[FAULT_TEXT_MAX_BYTES];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	exit(status);
}

/* Three open files, no more, and an environment of our own. */
static void surroundings_clean(void)
{
	static const char *const kept[] = { "MAIL_CONFIG", "TZ" };
	const char *values[ARRAY_LEN(kept)];
	const struct rlimit no_core = { 0, 0 };
	sigset_t wait_for_end;
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		_exit(EX_OSERR); /* a file of ours would become 0, 1 or 2 */
	closefrom(STDERR_FILENO + 1);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		values[i] = getenv(kept[i]);
	clearenv();
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (values[i] != NULL)
			setenv(kept[i], values[i], 1);
	umask(077);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* Looked at between reads, so that no half file stays behind. */
	sigemptyset(&wait_for_end);
	sigaddset(&wait_for_end, SIGHUP);
	sigaddset(&wait_for_end, SIGINT);
	sigaddset(&wait_for_end, SIGQUIT);
	sigaddset(&wait_for_end, SIGTERM);
	sigprocmask(SIG_BLOCK, &wait_for_end, NULL);
}

static bool was_asked_to_end(void)
{
	sigset_t pending;

	if (sigpending(&pending) != 0)
		return false;
	return sigismember(&pending, SIGHUP) == 1 ||
	       sigismember(&pending, SIGINT) == 1 ||
	       sigismember(&pending, SIGQUIT) == 1 ||
	       sigismember(&pending, SIGTERM) == 1;
}

static struct conf *conf_open(const char *directory)
{
	const struct conf_source source = { .config_directory = directory,
					    .process_name = "postdrop",
					    .service_name = "postdrop" };
	struct fault fault;
	struct conf *conf;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		die(EX_CONFIG, "%s", fault.text);
	return conf;
}

static bool list_has_path(const char *list, const char *path)
{
	struct span rest = span_from(list), word;

	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, path))
			return true;
	return false;
}

/* Somebody else's configuration could lead the group's rights elsewhere. */
static struct conf *conf_allowed(const char *directory)
{
	bool privileged = getuid() != 0 && getegid() != getgid();
	struct conf *conf;
	bool allowed;

	if (directory == NULL || strcmp(directory, PATH_CONFIG) == 0)
		return conf_open(PATH_CONFIG);
	if (!privileged)
		return conf_open(directory);
	conf = conf_open(PATH_CONFIG);
	allowed = list_has_path(conf->v.alternate_config_directories,
				directory) ||
		  list_has_path(conf->v.multi_instance_directories, directory);
	conf_unref(conf);
	if (!allowed)
		die(EX_NOPERM,
		    "configuration directory %s: to allow it, list it in "
		    "alternate_config_directories in %s/main.cf",
		    directory, PATH_CONFIG);
	return conf_open(directory);
}

static void user_check(TALLOC_CTX *mem, struct conf *conf)
{
	struct privilege_user *user = NULL;
	struct match_list *list;
	struct fault fault;
	const char *name;
	enum rc rc;

	rc = privilege_user_find_uid(mem, getuid(), &user, &fault);
	if (rc == RC_TEMP)
		die(EX_TEMPFAIL, "%s", fault.text);
	name = rc == RC_OK ? user->name : "unknown";
	rc = match_list_open(mem, conf, "authorized_submit_users",
			     conf->v.authorized_submit_users, &list, &fault);
	if (rc == RC_OK)
		rc = match_list_domain(list, span_from(name), &fault);
	if (rc == RC_NONE)
		die(EX_NOPERM, "User %s(%u) is not allowed to submit mail",
		    name, getuid());
	if (rc != RC_OK)
		die(EX_TEMPFAIL, "authorized_submit_users: %s", fault.text);
}

struct drop {
	TALLOC_CTX *mem;
	struct conf *conf;
	int dir, fd;
	char name[NAME_MAX_BYTES];
	struct buf head; /* until it is read */
	bool head_read;
	uint32_t crc;
	uint64_t length, max;
	char held[MAILDROP_TAIL_BYTES]; /* may be the tail */
	size_t held_len;
};

NORETURN PRINTF(3, 4) static void drop_abandon(struct drop *drop, int status,
					       const char *format, ...)
{
	va_list args;
	char text[FAULT_TEXT_MAX_BYTES];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (drop->fd >= 0)
		unlinkat(drop->dir, drop->name, 0);
	if (text[0] != '\0')
		log_error("uid=%u: %s", getuid(), text);
	exit(status);
}

static void drop_create(struct drop *drop, const struct conf *conf)
{
	char *path = mem_printf(drop->mem, "%s/maildrop",
				conf->v.queue_directory);

	drop->fd = -1;
	drop->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (drop->dir < 0)
		die(EX_TEMPFAIL, "open directory %s: %m", path);
	for (int i = 0; i < NAME_TRIES && drop->fd < 0; i++) {
		snprintf(drop->name, sizeof(drop->name), "%llX%X",
			 (unsigned long long)clock_wall_us(),
			 (unsigned)getpid());
		drop->fd = openat(drop->dir, drop->name,
				  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
				  MODE_INCOMPLETE);
		if (drop->fd < 0 && errno != EEXIST)
			break;
	}
	if (drop->fd < 0)
		die(EX_TEMPFAIL, "create a file in %s: %m", path);
}

/* user+list@domain without the extension. */
static struct span extension_strip(struct drop *drop, struct span address)
{
	struct address_parts parts = address_split(address);
	struct span base, extension;

	if (!address_split_extension(parts.local,
				     drop->conf->v.recipient_delimiter,
				     drop->conf->v.owner_request_special, &base,
				     &extension))
		return address;
	return span_from(mem_printf(drop->mem, "%.*s%s%.*s", SPAN_FMT(base),
				    parts.has_domain ? "@" : "",
				    SPAN_FMT(parts.domain)));
}

static bool sender_fits(struct drop *drop, struct span sender,
			struct span pattern)
{
	const char *empty =
		drop->conf->v.empty_address_local_login_sender_maps_lookup_key;

	if (span_is(pattern, "*"))
		return true;
	if (sender.len == 0)
		return span_is(pattern, empty);
	if (pattern.len > 1 && pattern.ptr[0] == '@') {
		struct address_parts parts = address_split(sender);

		return parts.has_domain &&
		       span_eq_nocase(parts.domain, span_skip(pattern, 1));
	}
	return span_eq_nocase(pattern, sender);
}

/* local_login_sender_maps: which senders this user may name. */
static void sender_check(struct drop *drop, const struct maildrop_head *head)
{
	const char *text = drop->conf->v.local_login_sender_maps;
	struct privilege_user *user;
	struct span value, pattern, sender;
	struct maps *maps;
	struct fault fault;
	const char *login;
	enum rc rc;

	if (strcmp(text, "static:*") == 0)
		return;
	rc = privilege_user_find_uid(drop->mem, getuid(), &user, &fault);
	if (rc == RC_TEMP)
		drop_abandon(drop, EX_TEMPFAIL, "%s", fault.text);
	login = rc == RC_OK ? user->name :
			      mem_printf(drop->mem, "uid:%u", getuid());
	rc = maps_open(drop->mem, drop->conf, "local_login_sender_maps", text,
		       MAP_FOLD, &maps, &fault);
	if (rc == RC_OK)
		rc = maps_lookup(maps, drop->mem, span_from(login), &value,
				 &fault);
	if (rc != RC_OK && rc != RC_NONE)
		drop_abandon(drop, EX_TEMPFAIL, "local_login_sender_maps: %s",
			     fault.text);
	sender = extension_strip(drop, span_from(head->sender));
	while (rc == RC_OK && span_token(&value, ", \t\r\n", &pattern))
		if (sender_fits(drop, sender, pattern))
			return;
	drop_abandon(drop, EX_NOPERM, "not authorized to use sender='%s'",
		     head->sender);
}

static void head_take(struct drop *drop, struct span bytes)
{
	struct maildrop_head *head;
	struct span rest;
	struct fault fault;

	if (drop->head_read)
		return;
	if (!buf_add(&drop->head, bytes))
		drop_abandon(drop, EX_DATAERR, "too many recipients");
	rest = buf_span(&drop->head);
	switch (maildrop_head_parse(drop->mem, &rest, &head, &fault)) {
	case RC_OK:
		drop->head_read = true;
		sender_check(drop, head);
		talloc_free(head);
		buf_done(&drop->head);
		break;
	case RC_NONE:
		break;
	default:
		drop_abandon(drop, EX_DATAERR, "malformed input: %s",
			     fault.text);
	}
}

static void bytes_take(struct drop *drop, struct span bytes)
{
	struct fault fault;

	if (bytes.len == 0)
		return;
	head_take(drop, bytes);
	drop->crc = crc32c(drop->crc, bytes);
	drop->length += bytes.len;
	if (drop->max > 0 && drop->length > drop->max)
		drop_abandon(drop, EX_DATAERR, "message file too big");
	if (file_write(drop->fd, bytes, &fault) != RC_OK)
		drop_abandon(drop, EX_TEMPFAIL, "%s", fault.text);
}

/* The last bytes of all may be the tail: they are held back. */
static void chunk_take(struct drop *drop, struct span chunk)
{
	char joined[2 * MAILDROP_TAIL_BYTES];
	size_t len;

	if (chunk.len >= MAILDROP_TAIL_BYTES) {
		bytes_take(drop, (struct span){ drop->held, drop->held_len });
		len = chunk.len - MAILDROP_TAIL_BYTES;
		bytes_take(drop, span_take(chunk, len));
		memcpy(drop->held, chunk.ptr + len, MAILDROP_TAIL_BYTES);
		drop->held_len = MAILDROP_TAIL_BYTES;
		return;
	}
	memcpy(joined, drop->held, drop->held_len);
	memcpy(joined + drop->held_len, chunk.ptr, chunk.len);
	len = drop->held_len + chunk.len;
	if (len > MAILDROP_TAIL_BYTES) {
		size_t front = len - MAILDROP_TAIL_BYTES;

		bytes_take(drop, (struct span){ joined, front });
		memmove(joined, joined + front, MAILDROP_TAIL_BYTES);
		len = MAILDROP_TAIL_BYTES;
	}
	memcpy(drop->held, joined, len);
	drop->held_len = len;
}

static void input_copy(struct drop *drop)
{
	char *chunk = talloc_array(drop->mem, char, CHUNK_BYTES);

	for (;;) {
		ssize_t len = read(STDIN_FILENO, chunk, CHUNK_BYTES);

		if (was_asked_to_end())
			drop_abandon(drop, EX_TEMPFAIL, "%s", "");
		if (len == 0)
			return;
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			drop_abandon(drop, EX_IOERR, "read standard input: %m");
		chunk_take(drop, (struct span){ chunk, (size_t)len });
	}
}

static void drop_finish(struct drop *drop)
{
	struct fault fault;

	if (!drop->head_read || memcmp(drop->held, "PTML", 4) != 0)
		drop_abandon(drop, EX_DATAERR, "%s", ""); /* caller gave up */
	if (drop->held_len < MAILDROP_TAIL_BYTES ||
	    !maildrop_tail_fits(drop->held, drop->crc, drop->length))
		drop_abandon(drop, EX_DATAERR, "malformed input: checksum");
	if (file_write(drop->fd,
		       (struct span){ drop->held, MAILDROP_TAIL_BYTES },
		       &fault) != RC_OK)
		drop_abandon(drop, EX_TEMPFAIL, "%s", fault.text);
	/* The flush of a new file takes its directory entry along. */
	if (fchmod(drop->fd, MODE_COMPLETE) != 0 || fsync(drop->fd) != 0)
		drop_abandon(drop, EX_TEMPFAIL, "write %s: %m", drop->name);
	if (close(drop->fd) != 0)
		drop_abandon(drop, EX_TEMPFAIL, "write %s: %m", drop->name);
}

/* The mail system may be down: then pickup looks when it starts. */
static void pickup_wake(TALLOC_CTX *mem, const struct conf *conf)
{
	char *path = mem_printf(mem, "%s/public/pickup",
				conf->v.queue_directory);
	struct fault fault;
	int fd;

	if (socket_unix_connect(AT_FDCWD, path, SOCK_SEQPACKET, SOCK_NONBLOCK,
				&fd, &fault) == RC_OK)
		close(fd);
}

static const char *options_read(int argc, char **argv)
{
	const char *directory = getenv("MAIL_CONFIG");
	int option;

	if (argc == 2 && span_is(span_from(argv[1]), "--help")) {
		puts("usage: postdrop [-c config_directory] [-rv]\n"
		     "  Put a message into the maildrop. sendmail starts it; "
		     "what it reads is not\n"
		     "  the message itself but records of sendmail.");
		exit(0);
	}
	while ((option = getopt(argc, argv, "+c:rv")) > 0) {
		switch (option) {
		case 'c':
			directory = optarg;
			break;
		case 'r': /* what else is there to do */
		case 'v':
			break;
		default:
			die(EX_USAGE,
			    "usage: postdrop [-c config_directory] [-rv]");
		}
	}
	if (optind != argc)
		die(EX_USAGE, "usage: postdrop [-c config_directory] [-rv]");
	return directory;
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem;
	struct drop drop = { 0 };
	struct conf *conf;

	surroundings_clean();
	mem = talloc_new(NULL);
	log_open("postfix", "postdrop", LOG_TO_STDERR, -1, 0);
	conf = conf_allowed(options_read(argc, argv));
	user_check(mem, conf);
	drop.mem = mem;
	drop.conf = conf;
	if (conf->v.message_size_limit > 0)
		drop.max = (uint64_t)conf->v.message_size_limit +
			   MAILDROP_HEAD_MAX_BYTES;
	buf_init(&drop.head, mem, MAILDROP_HEAD_MAX_BYTES + CHUNK_BYTES);
	drop_create(&drop, conf);
	input_copy(&drop);
	drop_finish(&drop);
	pickup_wake(mem, conf);
	conf_unref(conf);
	talloc_free(mem);
	return EX_OK;
}
