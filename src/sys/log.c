/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"

enum {
	LINE_MAX_BYTES = 2048,
	NAME_MAX_BYTES = 128,
	STAMP_MAX_BYTES = 32,
	SYSLOG_WAIT_S = 2, /* a syslogd that hangs must not hang the mail */
};

/* Written by log_open before there are threads, read by all afterwards. */
static struct {
	enum log_sink sink;
	int fd; /* the syslog socket, or the log file */
	int facility;
	char name[NAME_MAX_BYTES]; /* "postfix" */
	char program[NAME_MAX_BYTES];
	char host[NAME_MAX_BYTES];
} state = { .sink = LOG_TO_STDERR, .fd = -1, .program = "postern" };

static atomic_int verbose_level;
static atomic_int own_pid;

static _Thread_local struct {
	time_t second;
	char text[STAMP_MAX_BYTES];
} stamp_cache;

static void pid_renew(void)
{
	atomic_store(&own_pid, getpid());
}

static void fork_watch(void)
{
	pthread_atfork(NULL, NULL, pid_renew);
}

static bool syslog_connect(int fd)
{
	static const struct sockaddr_un to = { .sun_family = AF_UNIX,
					       .sun_path = "/dev/log" };

	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
}

static int syslog_open(void)
{
	static const struct timeval wait = { .tv_sec = SYSLOG_WAIT_S };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	syslog_connect(fd); /* not there yet: tried again with each line */
	return fd;
}

void log_open(const char *syslog_name, const char *program, enum log_sink sink,
	      int fd, int facility)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char *dot;

	tzset(); /* the time zone file may be out of reach later */
	pthread_once(&once, fork_watch);
	pid_renew();
	if (state.sink == LOG_TO_SYSLOG && state.fd >= 0)
		close(state.fd);
	state.sink = sink;
	state.facility = facility;
	state.fd = sink == LOG_TO_SYSLOG ? syslog_open()
		   : sink == LOG_TO_FD	 ? fd
					 : -1;
	snprintf(state.name, sizeof(state.name), "%s", syslog_name);
	snprintf(state.program, sizeof(state.program), "%s", program);
	if (gethostname(state.host, sizeof(state.host)) != 0)
		snprintf(state.host, sizeof(state.host), "localhost");
	state.host[sizeof(state.host) - 1] = '\0';
	dot = strchr(state.host, '.');
	if (dot != NULL)
		*dot = '\0';
}

bool log_is_kept(void)
{
	if (state.sink == LOG_TO_SYSLOG)
		return state.fd >= 0 && syslog_connect(state.fd);
	return state.sink == LOG_TO_FD;
}

void log_set_verbose(int level)
{
	atomic_store(&verbose_level, level);
}

int log_verbose(void)
{
	return atomic_load_explicit(&verbose_level, memory_order_relaxed);
}

/* "Nov 21 20:05:05", made once a second for each thread. */
static const char *stamp_now(void)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr",
					    "May", "Jun", "Jul", "Aug",
					    "Sep", "Oct", "Nov", "Dec" };
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec == stamp_cache.second)
		return stamp_cache.text;
	localtime_r(&now.tv_sec, &tm);
	snprintf(stamp_cache.text, sizeof(stamp_cache.text),
		 "%s %2u %02u:%02u:%02u", months[(unsigned)tm.tm_mon % 12],
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
	stamp_cache.second = now.tv_sec;
	return stamp_cache.text;
}

/* Length of the printable character at the front: ASCII, or a well-formed
 * UTF-8 sequence beyond U+009F. 0 when it is neither. */
static size_t printable_length(const unsigned char *p, size_t left)
{
	uint32_t code;
	size_t len;

	if (p[0] < 0x80)
		return p[0] >= ' ' && p[0] != 0x7f;
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > left)
		return 0;
	code = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (code < 0xa0 || (len == 3 && code < 0x800) ||
	    (len == 4 && code < 0x10000) || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	return len;
}

static void text_clean(char *text, size_t len)
{
	unsigned char *p = (unsigned char *)text;

	for (size_t i = 0; i < len;) {
		size_t step = printable_length(p + i, len - i);

		if (step == 0) {
			text[i] = '?';
			step = 1;
		}
		i += step;
	}
}

/* `tag` is where the text begins that a person wants to see. */
static void syslog_send(const char *line, size_t len, size_t tag)
{
	if (state.fd >= 0 && send(state.fd, line, len, MSG_NOSIGNAL) >= 0)
		return;
	if (state.fd >= 0 && errno != EAGAIN && syslog_connect(state.fd) &&
	    send(state.fd, line, len, MSG_NOSIGNAL) >= 0)
		return;
	/* Nobody listens: at least a person at the terminal may. */
	dprintf(STDERR_FILENO, "%.*s\n", (int)(len - tag), line + tag);
}

static void line_write(int fd, char *line, size_t len)
{
	ssize_t done;

	line[len] = '\n';
	do
		done = write(fd, line, len + 1);
	while (done < 0 && errno == EINTR);
}

static void log_vline_as(const char *program, int severity, const char *label,
			 const char *format, va_list args)
{
	char line[LINE_MAX_BYTES + 2];
	int saved_errno = errno; /* for %m, and for the caller */
	int pid = atomic_load_explicit(&own_pid, memory_order_relaxed);
	const char *slash = program[0] == '\0' ? "" : "/";
	int tag = 0, head;
	size_t len;

	if (state.sink == LOG_TO_SYSLOG) {
		tag = snprintf(line, LINE_MAX_BYTES, "<%d>%s ",
			       state.facility | severity, stamp_now());
		head = tag + snprintf(line + tag, LINE_MAX_BYTES - (size_t)tag,
				      "%s%s%s[%d]: %s", state.name, slash,
				      program, pid, label);
	} else if (state.sink == LOG_TO_FD)
		head = snprintf(line, LINE_MAX_BYTES, "%s %s %s%s%s[%d]: %s",
				stamp_now(), state.host, state.name, slash,
				program, pid, label);
	else
		head = snprintf(line, LINE_MAX_BYTES, "%s: %s", program, label);
	errno = saved_errno;
	vsnprintf(line + head, (size_t)(LINE_MAX_BYTES - head), format, args);
	len = (size_t)head +
	      strnlen(line + head, (size_t)(LINE_MAX_BYTES - head));
	text_clean(line + head, len - (size_t)head);
	if (state.sink == LOG_TO_SYSLOG)
		syslog_send(line, len, (size_t)tag);
	else
		line_write(state.sink == LOG_TO_FD ? state.fd : STDERR_FILENO,
			   line, len);
	errno = saved_errno;
}

static void log_vline(int severity, const char *label, const char *format,
		      va_list args)
{
	log_vline_as(state.program, severity, label, format, args);
}

void log_info_as(const char *program, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline_as(program, LOG_INFO, "", format, args);
	va_end(args);
}

void log_warning_as(const char *program, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline_as(program, LOG_WARNING, "warning: ", format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(LOG_INFO, "", format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(LOG_WARNING, "warning: ", format, args);
	va_end(args);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(LOG_ERR, "error: ", format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	if (log_verbose() == 0)
		return;
	va_start(args, format);
	log_vline(LOG_INFO, "", format, args);
	va_end(args);
}

void log_fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(LOG_CRIT, "fatal: ", format, args);
	va_end(args);
	exit(1);
}
