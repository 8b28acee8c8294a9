/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is told what. The way into the queue is replaced by one that remembers
 * "sender>recipient subject" of each notice.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "report/bounce.h"

enum { POSTED_MAX = 8 };

struct cleanup {
	char sender[100], to[100], subject[100];
	bool has_body;
};

static struct {
	char posted[POSTED_MAX][320];
	int count;
	bool has_body[POSTED_MAX];
	bool fails;
} queue;

enum rc cleanup_begin(TALLOC_CTX *mem, struct cleanup_service *service,
		      const struct cleanup_origin *origin,
		      struct cleanup **ret_cleanup, struct fault *fault)
{
	if (queue.fails)
		return fault_set(fault, RC_TEMP, "4.3.0", "disk full");
	assert_true((origin->flags & CLEANUP_INTERNAL) != 0);
	*ret_cleanup = mem_new(mem, struct cleanup);
	return RC_OK;
}

const char *cleanup_queue_id(const struct cleanup *cleanup)
{
	return "NEW111";
}

enum rc cleanup_sender(struct cleanup *cleanup, struct span address,
		       struct fault *fault)
{
	snprintf(cleanup->sender, sizeof(cleanup->sender), "%.*s",
		 SPAN_FMT(address));
	return RC_OK;
}

enum rc cleanup_recipient(struct cleanup *cleanup, struct span address,
			  struct span original, const char *dsn_orcpt,
			  uint8_t notify, struct fault *fault)
{
	snprintf(cleanup->to, sizeof(cleanup->to), "%.*s", SPAN_FMT(address));
	return RC_OK;
}

enum rc cleanup_line(struct cleanup *cleanup, struct span line, bool partial)
{
	if (cleanup->subject[0] == '\0' && span_starts(line, "Subject: "))
		snprintf(cleanup->subject, sizeof(cleanup->subject), "%.*s",
			 SPAN_FMT(span_skip(line, 9)));
	if (span_is(line, "the body"))
		cleanup->has_body = true;
	return RC_OK;
}

enum rc cleanup_finish(struct cleanup *cleanup, bool *ret_discarded,
		       struct fault *fault)
{
	assert_true(queue.count < POSTED_MAX);
	snprintf(queue.posted[queue.count], sizeof(queue.posted[0]), "%s>%s %s",
		 cleanup->sender, cleanup->to, cleanup->subject);
	queue.has_body[queue.count++] = cleanup->has_body;
	*ret_discarded = false;
	return RC_OK;
}

enum rc image_header(TALLOC_CTX *mem, const struct image *image,
		     struct span *ret_header, struct fault *fault)
{
	*ret_header = SPAN_OF("From: x\r\nMessage-Id: <m@x>\r\n");
	return RC_OK;
}

enum rc image_content_read(const struct image *image, uint64_t from, char *into,
			   size_t size, size_t *ret_size, struct fault *fault)
{
	static const char text[] = "From: x\r\n\r\nthe body\r\n";
	struct span rest = span_skip(span_from(text), (size_t)from);

	/* In small pieces, so that lines are divided. */
	rest = span_take(rest, MIN_OF(size, (size_t)7));
	memcpy(into, rest.ptr, rest.len);
	*ret_size = rest.len;
	return RC_OK;
}

static struct conf *conf_make(const char *main_cf)
{
	char directory[] = "/tmp/test_bounce.XXXXXX", path[64];
	struct conf_source source = { .config_directory = directory };
	struct conf *conf;
	struct fault fault;
	FILE *file;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/main.cf", directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "myhostname = mx.test\n%s\n", main_cf);
	fclose(file);
	if (conf_load(&source, &conf, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	unlink(path);
	rmdir(directory);
	return conf;
}

#define ALL_CLASSES "notify_classes = bounce, 2bounce, delay"

static const struct {
	const char *why, *main_cf;
	enum notice_kind kind;
	const char *sender, *verp;
	uint8_t notify; /* of the first of two recipients; the other: default */
	uint8_t ret;
	uint64_t size;
	const char *want[POSTED_MAX];
	bool body; /* in the first */
} cases[] = {
	{ .why = "a failure goes to the sender",
	  .sender = "ann@a.test",
	  .want = { ">ann@a.test Undelivered Mail Returned to Sender" },
	  .body = true },
	{ .why = "and a copy without body to the postmaster",
	  .main_cf = ALL_CLASSES,
	  .sender = "ann@a.test",
	  .want = { ">ann@a.test Undelivered Mail Returned to Sender",
		    "double-bounce@mx.test>postmaster@mx.test Postmaster Copy: "
		    "Undelivered Mail" },
	  .body = true },
	{ .why = "mail without sender is not answered", .sender = "" },
	{ .why = "but the postmaster may see it",
	  .main_cf = ALL_CLASSES "\n2bounce_notice_recipient = two@x.test",
	  .sender = "",
	  .want = { "double-bounce@mx.test>two@x.test Postmaster Copy: "
		    "Undelivered Mail" },
	  .body = true },
	{ .why = "our own notice that cannot be delivered is the end",
	  .main_cf = ALL_CLASSES,
	  .sender = "double-bounce@mx.test" },
	{ .why = "RET=HDRS",
	  .sender = "ann@a.test",
	  .ret = DSN_RET_HDRS,
	  .want = { ">ann@a.test Undelivered Mail Returned to Sender" } },
	{ .why = "a large message is not returned whole",
	  .sender = "ann@a.test",
	  .size = 50001,
	  .want = { ">ann@a.test Undelivered Mail Returned to Sender" } },
	{ .why = "a delay",
	  .kind = NOTICE_DELAY,
	  .main_cf = ALL_CLASSES,
	  .sender = "ann@a.test",
	  .want = { ">ann@a.test Delayed Mail (still being retried)",
		    "double-bounce@mx.test>postmaster@mx.test Postmaster "
		    "Warning: Delayed Mail" } },
	{ .why = "a success is for the sender alone",
	  .kind = NOTICE_SUCCESS,
	  .main_cf = ALL_CLASSES,
	  .sender = "ann@a.test",
	  .want = { ">ann@a.test Successful Mail Delivery Report" } },
	{ .why = "VERP: one for each recipient",
	  .sender = "list@a.test",
	  .verp = "+=",
	  .want = { ">list+jo=x.test@a.test Undelivered Mail Returned to "
		    "Sender",
		    ">list+al=x.test@a.test Undelivered Mail Returned to "
		    "Sender" },
	  .body = true },
	{ .why = "VERP, NOTIFY=NEVER for one",
	  .sender = "list@a.test",
	  .verp = "+=",
	  .notify = DSN_NOTIFY_NEVER,
	  .want = { ">list+al=x.test@a.test Undelivered Mail Returned to "
		    "Sender" },
	  .body = true },
};

static void the_right_people_are_told(void **state)
{
	static const struct delivery_status statuses[] = {
		{ .recipient = 0,
		  .action = DELIVERY_BOUNCED,
		  .dsn = "5.1.1",
		  .reason = "no" },
		{ .recipient = 1,
		  .action = DELIVERY_BOUNCED,
		  .dsn = "5.1.1",
		  .reason = "no" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct conf *conf = conf_make(
			cases[i].main_cf == NULL ? "" : cases[i].main_cf);
		struct image image = { .env = envelope_new(mem) };
		struct bounce_report report = {
			.kind = cases[i].kind,
			.queue_id = "AAA111",
			.image = &image,
			.statuses = statuses,
			.count = 2,
		};
		struct bounce *bounce;
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		memset(&queue, 0, sizeof(queue));
		image.env->sender = cases[i].sender;
		image.env->verp = cases[i].verp;
		image.env->dsn_ret = cases[i].ret;
		image.env->size_bytes = cases[i].size;
		envelope_add_recipient(image.env, SPAN_OF("jo@x.test"))
			->notify = cases[i].notify;
		envelope_add_recipient(image.env, SPAN_OF("al@x.test"));
		assert_int_equal(bounce_open(mem, conf, NULL, &bounce, &fault),
				 RC_OK);
		assert_int_equal(bounce_report(bounce, &report, &fault), RC_OK);
		for (int n = 0; n < POSTED_MAX && cases[i].want[n] != NULL; n++)
			assert_string_equal(queue.posted[n], cases[i].want[n]);
		assert_true(queue.count == POSTED_MAX ||
			    cases[i].want[queue.count] == NULL);
		if (queue.count > 0)
			assert_int_equal(queue.has_body[0], cases[i].body);
		conf_unref(conf);
		talloc_free(mem);
	}
}

static void a_full_disk_means_later(void **state)
{
	static const struct delivery_status status = { .dsn = "5.1.1",
						       .reason = "no" };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct conf *conf = conf_make(ALL_CLASSES);
	struct image image = { .env = envelope_new(mem) };
	struct bounce_report report = { .queue_id = "AAA111",
					.image = &image,
					.statuses = &status,
					.count = 1 };
	struct bounce *bounce;
	struct fault fault;

	memset(&queue, 0, sizeof(queue));
	image.env->sender = "ann@a.test";
	envelope_add_recipient(image.env, SPAN_OF("jo@x.test"));
	assert_int_equal(bounce_open(mem, conf, NULL, &bounce, &fault), RC_OK);
	queue.fails = true;
	assert_int_equal(bounce_report(bounce, &report, &fault), RC_TEMP);
	assert_int_equal(queue.count, 0);
	conf_unref(conf);
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_people_are_told),
		cmocka_unit_test(a_full_disk_means_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
