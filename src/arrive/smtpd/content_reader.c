/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/content_reader.h"

/* One pass over an input: [run, line) are whole lines not handed on yet. */
struct pass {
	struct content_reader *reader;
	content_sink_fn sink;
	void *arg;
	const char *run, *line, *end;
};

void content_reader_init(struct content_reader *reader, int flags,
			 size_t line_max)
{
	*reader = (struct content_reader){
		.flags = flags,
		.line_max = line_max,
		.after_crlf = true, /* of the DATA line */
	};
}

static void emit(struct pass *pass, enum content_kind kind, const char *from,
		 const char *to)
{
	pass->sink(pass->arg, kind,
		   (struct span){ from, (size_t)(to - from) });
}

/* Hand on the whole lines before `line`; the next run starts at `next`. */
static void flush(struct pass *pass, const char *next)
{
	if (pass->line > pass->run)
		emit(pass, CONTENT_LINES, pass->run, pass->line);
	pass->run = next;
}

/* Is this line, up to its LF, the end of data? */
static bool is_end(const struct content_reader *reader, const char *line,
		   const char *lf)
{
	if (!(reader->flags & CONTENT_DOTS) || reader->in_line)
		return false;
	if (lf - line == 2 && line[0] == '.' && line[1] == '\r')
		return reader->after_crlf || (reader->flags & CONTENT_LF_ENDS);
	return lf - line == 1 && line[0] == '.' &&
	       (reader->flags & CONTENT_LF_ENDS);
}

/* Cut a line that is longer than line_max into parts; what is left of it starts
 * at the place returned. */
static const char *take_parts(struct pass *pass, const char *from,
			      const char *text_end)
{
	while ((size_t)(text_end - from) > pass->reader->line_max) {
		emit(pass, CONTENT_PART, from, from + pass->reader->line_max);
		from += pass->reader->line_max;
		pass->reader->in_line = true;
	}
	return from;
}

/* One whole line. False: it was the end of data. */
static bool take_line(struct pass *pass, const char *lf)
{
	struct content_reader *reader = pass->reader;
	const char *text = pass->line, *text_end = lf;
	bool crlf = lf > pass->line && lf[-1] == '\r';

	if (is_end(reader, pass->line, lf)) {
		flush(pass, lf + 1);
		reader->ended = true;
		pass->line = lf + 1;
		return false;
	}
	if ((reader->flags & CONTENT_DOTS) && !reader->in_line &&
	    *text == '.') {
		flush(pass, text + 1);
		text++;
	}
	while (text_end > text && text_end[-1] == '\r')
		text_end--;
	reader->after_crlf = crlf;
	reader->bare_lf |= !crlf;
	if (reader->in_line || text_end != lf - 1 ||
	    (size_t)(text_end - text) > reader->line_max) {
		/* not as it should lie in the output */
		flush(pass, lf + 1);
		text = take_parts(pass, text, text_end);
		emit(pass, CONTENT_LINE, text, text_end);
		reader->in_line = false;
	}
	pass->line = lf + 1;
	return true;
}

/* The input ends inside a line: take of it only what is too long to keep. */
static void take_long_rest(struct pass *pass)
{
	struct content_reader *reader = pass->reader;
	const char *from = pass->line;

	if ((size_t)(pass->end - from) <= reader->line_max + 2)
		return;
	if ((reader->flags & CONTENT_DOTS) && !reader->in_line && *from == '.')
		from++;
	pass->line = take_parts(pass, from, pass->end);
}

size_t content_reader_run(struct content_reader *reader, struct span input,
			  content_sink_fn sink, void *arg)
{
	struct pass pass = { reader, sink, arg, input.ptr, input.ptr,
			     input.ptr + input.len };
	const char *lf;

	while (!reader->ended && pass.line < pass.end) {
		lf = memchr(pass.line, '\n', (size_t)(pass.end - pass.line));
		if (lf == NULL)
			break;
		if (!take_line(&pass, lf))
			return (size_t)(pass.line - input.ptr);
	}
	flush(&pass, pass.line);
	if (!reader->ended)
		take_long_rest(&pass);
	return (size_t)(pass.line - input.ptr);
}

void content_reader_finish(struct content_reader *reader, struct span rest,
			   content_sink_fn sink, void *arg)
{
	struct pass pass = { reader, sink, arg, rest.ptr, rest.ptr,
			     rest.ptr + rest.len };

	if (rest.len > 0 || reader->in_line) {
		const char *text = take_parts(&pass, rest.ptr, pass.end);

		emit(&pass, CONTENT_LINE, text, pass.end);
	}
	reader->in_line = false;
	reader->ended = true;
}
