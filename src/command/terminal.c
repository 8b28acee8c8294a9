/* SPDX-License-Identifier: Apache-2.0 */
#include "command/terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { PROGRESS_EVERY_MS = 200, WIDTH_DEFAULT = 80, LINE_MAX_BYTES = 512 };

static bool wants_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return (no == NULL || *no == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0;
}

/* As setlocale(3) would decide, without changing the process. */
static bool locale_is_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && *value != '\0')
			return strcasestr(value, "utf-8") != NULL ||
			       strcasestr(value, "utf8") != NULL;
	}
	return false;
}

void terminal_init(struct terminal *terminal, FILE *to)
{
	*terminal = (struct terminal){ .to = to };
	terminal->is_terminal = isatty(fileno(to)) == 1;
	terminal->colours = terminal->is_terminal && wants_colours();
	terminal->utf8 = locale_is_utf8();
}

const char *terminal_paint(const struct terminal *terminal, enum paint paint)
{
	static const char *const escapes[] = {
		[PAINT_PLAIN] = "\033[0m", [PAINT_BOLD] = "\033[1m",
		[PAINT_DIM] = "\033[2m",   [PAINT_GOOD] = "\033[32m",
		[PAINT_BAD] = "\033[31m",  [PAINT_WARN] = "\033[33m",
	};

	return terminal->colours ? escapes[paint] : "";
}

int terminal_width(const struct terminal *terminal)
{
	struct winsize size;

	if (!terminal->is_terminal ||
	    ioctl(fileno(terminal->to), TIOCGWINSZ, &size) < 0 ||
	    size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col;
}

void terminal_progress(struct terminal *terminal, const char *format, ...)
{
	const uint64_t now_ms = clock_mono_ms();
	char line[LINE_MAX_BYTES];
	va_list args;

	if (!terminal->is_terminal ||
	    (terminal->progress_shown &&
	     now_ms - terminal->progress_ms < PROGRESS_EVERY_MS))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(terminal->to, "\r%.*s\033[K", terminal_width(terminal) - 1,
		line);
	fflush(terminal->to);
	terminal->progress_shown = true;
	terminal->progress_ms = now_ms;
}

void terminal_progress_end(struct terminal *terminal)
{
	if (!terminal->progress_shown)
		return;
	fputs("\r\033[K", terminal->to);
	fflush(terminal->to);
	terminal->progress_shown = false;
}
