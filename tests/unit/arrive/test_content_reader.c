/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "arrive/smtpd/content_reader.h"
#include "base/buf.h"

struct taken {
	struct buf text; /* lines with CRLF; a part is just its bytes */
	int parts;
};

static void take(void *arg, enum content_kind kind, struct span bytes)
{
	struct taken *taken = arg;

	if (kind == CONTENT_LINES) {
		assert_true(bytes.len > 0);
		assert_true(span_ends(bytes, "\r\n"));
	} else if (kind == CONTENT_LINE) {
		assert_false(span_ends(bytes, "\n"));
	}
	assert_true(buf_add(&taken->text, bytes));
	if (kind == CONTENT_LINE)
		buf_add_text(&taken->text, "\r\n");
	taken->parts += kind == CONTENT_PART;
}

/* Give the input in pieces that end at `cut` and then at every `step`; what is
 * not taken is given again, as a session does. Returns what is left. */
static struct span feed(struct content_reader *reader, struct span input,
			size_t cut, size_t step, struct taken *taken)
{
	size_t given = cut;

	for (;;) {
		struct span now = span_take(input, given);
		size_t used = content_reader_run(reader, now, take, taken);

		assert_true(used <= now.len);
		input = span_skip(input, used);
		given -= used;
		if (reader->ended || given >= input.len)
			return input;
		given = MIN_OF(given + step, input.len);
	}
}

static const struct {
	const char *why;
	int flags;
	struct span in, want, left;
	bool ended, bare_lf;
} cases[] = {
	{ "a line, and the end", CONTENT_DOTS, SPAN("a\r\n.\r\n"),
	  SPAN("a\r\n"), SPAN(""), true, false },
	{ "nothing at all", CONTENT_DOTS, SPAN(".\r\n"), SPAN(""), SPAN(""),
	  true, false },
	{ "nothing after the end is taken", CONTENT_DOTS,
	  SPAN("a\r\n.\r\nQUIT\r\n"), SPAN("a\r\n"), SPAN("QUIT\r\n"), true,
	  false },
	{ "a first dot is removed", CONTENT_DOTS,
	  SPAN("..\r\n..a\r\n.b\r\nc.d\r\n.\r\n"),
	  SPAN(".\r\n.a\r\nb\r\nc.d\r\n"), SPAN(""), true, false },
	{ "LF alone ends a line", CONTENT_DOTS, SPAN("a\nb\r\n.\r\n"),
	  SPAN("a\r\nb\r\n"), SPAN(""), true, true },
	{ "LF . LF is no end", CONTENT_DOTS, SPAN("a\n.\nb\r\n.\r\n"),
	  SPAN("a\r\n\r\nb\r\n"), SPAN(""), true, true },
	{ "LF . CRLF is no end", CONTENT_DOTS, SPAN("a\n.\r\nb\r\n.\r\n"),
	  SPAN("a\r\n\r\nb\r\n"), SPAN(""), true, true },
	{ "CRLF . LF is no end", CONTENT_DOTS, SPAN("a\r\n.\nb\r\n.\r\n"),
	  SPAN("a\r\n\r\nb\r\n"), SPAN(""), true, true },
	{ "CRLF . CR CRLF is no end", CONTENT_DOTS,
	  SPAN("a\r\n.\r\r\nb\r\n.\r\n"), SPAN("a\r\n\r\nb\r\n"), SPAN(""),
	  true, false },
	{ "CR alone is no line end", CONTENT_DOTS,
	  SPAN("a\r.\rb\r\n.\r\n"), SPAN("a\r.\rb\r\n"), SPAN(""), true,
	  false },
	{ "CRs before a line end are dropped", CONTENT_DOTS,
	  SPAN("a\r\r\r\nb\r\n.\r\n"), SPAN("a\r\nb\r\n"), SPAN(""), true,
	  false },
	{ "LF . LF ends where that is allowed", CONTENT_DOTS | CONTENT_LF_ENDS,
	  SPAN("a\n.\nb\r\n"), SPAN("a\r\n"), SPAN("b\r\n"), true, true },
	{ "so does LF . CRLF", CONTENT_DOTS | CONTENT_LF_ENDS,
	  SPAN("a\n.\r\nb\r\n"), SPAN("a\r\n"), SPAN("b\r\n"), true, true },
	{ "NUL is a byte", CONTENT_DOTS, SPAN("a\0b\r\n.\r\n"),
	  SPAN("a\0b\r\n"), SPAN(""), true, false },
	{ "half a line waits", CONTENT_DOTS, SPAN("a\r\nb"), SPAN("a\r\n"),
	  SPAN("b"), false, false },
	{ "half an end waits", CONTENT_DOTS, SPAN("a\r\n.\r"), SPAN("a\r\n"),
	  SPAN(".\r"), false, false },
	{ "dots are text in chunks", 0, SPAN(".\r\n..a\r\nb"),
	  SPAN(".\r\n..a\r\n"), SPAN("b"), false, false },
};

static void content_is_found_at_every_split(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("  %s\n", cases[i].why);
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct content_reader reader;
			struct taken taken = { .parts = 0 };
			struct span left;

			buf_init(&taken.text, NULL, 100000);
			content_reader_init(&reader, cases[i].flags, 100);
			left = feed(&reader, cases[i].in, cut,
				    cut % 2 ? 1 : 1000, &taken);
			assert_true(span_eq(buf_span(&taken.text),
					    cases[i].want));
			assert_true(span_eq(left, cases[i].left));
			assert_int_equal(reader.ended, cases[i].ended);
			assert_int_equal(reader.bare_lf, cases[i].bare_lf);
			buf_done(&taken.text);
		}
	}
}

static void a_long_line_comes_in_parts(void **state)
{
	char line[1000];
	size_t step;

	memset(line, 'x', sizeof(line));
	memcpy(line + 990, "\r\n.\r\n", 5);
	for (step = 1; step < 600; step += 7) {
		struct content_reader reader;
		struct taken taken = { .parts = 0 };
		struct span in = { line, 995 }, left;

		buf_init(&taken.text, NULL, 100000);
		content_reader_init(&reader, CONTENT_DOTS, 100);
		left = feed(&reader, in, step, step, &taken);
		assert_int_equal(left.len, 0);
		assert_true(reader.ended);
		assert_int_equal(taken.parts, 9);
		assert_int_equal(taken.text.len, 992);
		buf_done(&taken.text);
	}
}

static void a_dot_inside_a_long_line_stays(void **state)
{
	/* the part ends right before ".\r\n": not the start of a line */
	char line[] = "xxxxxxxxxx.\r\n.\r\n";
	struct content_reader reader;
	struct taken taken = { .parts = 0 };

	buf_init(&taken.text, NULL, 1000);
	content_reader_init(&reader, CONTENT_DOTS, 10);
	feed(&reader, span_from(line), 1, 1, &taken);
	assert_true(reader.ended);
	assert_string_equal(buf_text(&taken.text), "xxxxxxxxxx.\r\n");
	buf_done(&taken.text);
}

static void the_rest_of_the_last_chunk_is_a_line(void **state)
{
	struct content_reader reader;
	struct taken taken = { .parts = 0 };

	buf_init(&taken.text, NULL, 1000);
	content_reader_init(&reader, 0, 100);
	content_reader_finish(&reader, SPAN_OF("end"), take, &taken);
	assert_string_equal(buf_text(&taken.text), "end\r\n");
	buf_clear(&taken.text);
	content_reader_init(&reader, 0, 100);
	content_reader_finish(&reader, SPAN_OF(""), take, &taken);
	assert_int_equal(taken.text.len, 0);
	buf_done(&taken.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_is_found_at_every_split),
		cmocka_unit_test(a_long_line_comes_in_parts),
		cmocka_unit_test(a_dot_inside_a_long_line_stays),
		cmocka_unit_test(the_rest_of_the_last_chunk_is_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
