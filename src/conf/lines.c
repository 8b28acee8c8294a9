/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void lines_init(struct lines *lines, struct span text, const char *path)
{
	if (span_starts(text, "\xef\xbb\xbf")) /* byte order mark */
		text = span_skip(text, 3);
	*lines = (struct lines){.rest = text, .line = 1, .path = path};
}

/* The physical line at the front, without its end; does not move. */
static struct span line_at_front(const struct lines *lines)
{
	ssize_t end = span_find(lines->rest, '\n');
	struct span line = lines->rest;

	if (end >= 0)
		line = span_take(line, (size_t)end);
	while (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void line_drop(struct lines *lines)
{
	ssize_t end = span_find(lines->rest, '\n');

	lines->rest = end < 0 ? (struct span){"", 0}
			      : span_skip(lines->rest, (size_t)end + 1);
	lines->line++;
}

static bool says_nothing(struct span line)
{
	line = span_trim(line);
	return line.len == 0 || line.ptr[0] == '#';
}

enum rc lines_next(struct lines *lines, struct buf *out, int *ret_line,
		   bool *ret_orphan, struct fault *fault)
{
	bool begun = false, dash;

	buf_clear(out);
	while (lines->rest.len > 0) {
		struct span line = line_at_front(lines);

		if (span_find(line, '\0') >= 0)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s, line %d: a NUL byte in the text",
					 lines->path, lines->line);
		if (says_nothing(line)) {
			line_drop(lines);
			continue;
		}
		dash = begun && lines->dash_continues &&
		       span_starts(line, "-o");
		if (begun && !dash && !ascii_is_space(line.ptr[0]))
			break;
		if (!begun) {
			begun = true;
			*ret_line = lines->line;
			*ret_orphan = ascii_is_space(line.ptr[0]);
		}
		if ((dash && !buf_add_char(out, ' ')) || !buf_add(out, line))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s, line %d: the line is longer than "
					 "%d bytes",
					 lines->path, lines->line,
					 LINES_MAX_BYTES);
		line_drop(lines);
	}
	return begun ? RC_OK : RC_NONE;
}

static enum rc read_all(TALLOC_CTX *mem, int fd, const char *path, size_t size,
			struct span *ret_text, struct fault *fault)
{
	char *data = mem_array(mem, char, size + 1);
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(fd, data + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_set(fault, RC_CONF, "4.3.5", "read %s: %m",
					 path);
		if (got == 0)
			break;
		len += (size_t)got;
	}
	*ret_text = (struct span){data, len};
	return RC_OK;
}

enum rc lines_read_file(TALLOC_CTX *mem, const char *path,
			struct span *ret_text, struct fault *fault)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	enum rc rc;

	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "open %s: %m", path);
	if (fstat(fd, &st) < 0)
		rc = fault_set(fault, RC_CONF, "4.3.5", "stat %s: %m", path);
	else if (!S_ISREG(st.st_mode))
		rc = fault_set(fault, RC_CONF, "4.3.5",
			       "%s is not a regular file", path);
	else if (st.st_size > LINES_FILE_MAX_BYTES)
		rc = fault_set(fault, RC_CONF, "4.3.5",
			       "%s is larger than %d bytes", path,
			       LINES_FILE_MAX_BYTES);
	else
		rc = read_all(mem, fd, path, (size_t)st.st_size, ret_text,
			      fault);
	close(fd);
	return rc;
}
