/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <sys/socket.h>
#include <unistd.h>

#include "queue/crc32c.h"

static void the_checksum_is_the_castagnoli_one(void **state)
{
	static const struct {
		struct span bytes;
		uint32_t crc;
	} cases[] = {
		{ SPAN(""), 0 },
		{ SPAN("123456789"), 0xe3069283 },
		{ SPAN("a"), 0xc1d04330 },
	};
	char many[1000];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(crc32c(0, cases[i].bytes), cases[i].crc);
		assert_int_equal(crc32c_by_table(0, cases[i].bytes),
				 cases[i].crc);
	}
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = (char)(i * 7);
	for (size_t i = 0; i < sizeof(many); i++) {
		struct span head = { many, i };
		struct span rest = { many + i, sizeof(many) - i };

		assert_int_equal(crc32c(crc32c(0, head), rest),
				 crc32c_by_table(0, (struct span){
							    many,
							    sizeof(many) }));
	}
}

static struct envelope *sample(TALLOC_CTX *mem)
{
	struct envelope *env = envelope_new(mem);
	struct recipient *recipient;

	envelope_set_text(env, &env->queue_id, SPAN_OF("ABCDEF123456"));
	envelope_set_text(env, &env->sender, SPAN_OF("ann@example.test"));
	env->arrival_us = 1700000000123456;
	env->size_bytes = 4711;
	env->flags = ENVELOPE_8BIT | ENVELOPE_HOLD;
	env->longest_line = 998;
	env->dsn_ret = DSN_RET_HDRS;
	env->warned_us = 5;
	env->dsn_envid = "id+1";
	env->client_name = "client.example.test";
	env->sasl_username = "";
	env->verp = "+=";
	recipient = envelope_add_recipient(env, SPAN_OF("jo@example.test"));
	recipient->original = "joe@example.test";
	recipient->dsn_orcpt = "rfc822;joe@example.test";
	recipient->notify = DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY;
	envelope_add_recipient(env, SPAN_OF("jim@example.test"));
	return env;
}

static void check_sample(const struct envelope *env)
{
	assert_string_equal(env->queue_id, "ABCDEF123456");
	assert_string_equal(env->sender, "ann@example.test");
	assert_int_equal(env->arrival_us, 1700000000123456);
	assert_int_equal(env->size_bytes, 4711);
	assert_int_equal(env->flags, ENVELOPE_8BIT | ENVELOPE_HOLD);
	assert_int_equal(env->longest_line, 998);
	assert_int_equal(env->dsn_ret, DSN_RET_HDRS);
	assert_int_equal(env->warned_us, 5);
	assert_string_equal(env->dsn_envid, "id+1");
	assert_string_equal(env->client_name, "client.example.test");
	assert_null(env->client_address);
	assert_string_equal(env->sasl_username, "");
	assert_string_equal(env->verp, "+=");
}

static void check_recipients(const struct recipient *recipients)
{
	assert_string_equal(recipients[0].address, "jo@example.test");
	assert_string_equal(recipients[0].original, "joe@example.test");
	assert_string_equal(recipients[0].dsn_orcpt,
			    "rfc822;joe@example.test");
	assert_int_equal(recipients[0].notify,
			 DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY);
	assert_string_equal(recipients[1].address, "jim@example.test");
	assert_null(recipients[1].dsn_orcpt);
}

static void an_envelope_comes_back_as_it_was(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct envelope *env;
	struct buf out;

	buf_init(&out, mem, 100000);
	envelope_encode(sample(mem), true, &out);
	assert_int_equal(envelope_decode(mem, buf_span(&out), &env, NULL),
			 RC_OK);
	check_sample(env);
	assert_int_equal(env->recipient_count, 2);
	check_recipients(env->recipients);
	buf_clear(&out);
	envelope_encode(env, false, &out);
	assert_int_equal(envelope_decode(mem, buf_span(&out), &env, NULL),
			 RC_OK);
	check_sample(env);
	assert_int_equal(env->recipient_count, 0);
	talloc_free(mem);
}

static void an_envelope_cut_short_is_refused(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct envelope *env;
	struct buf out;

	buf_init(&out, mem, 100000);
	envelope_encode(sample(mem), true, &out);
	for (size_t i = 0; i < out.len; i++)
		assert_int_equal(envelope_decode(mem,
						 span_take(buf_span(&out), i),
						 &env, NULL),
				 RC_PERM);
	talloc_free(mem);
}

static void pass(struct packet_out *out, TALLOC_CTX *mem, struct packet_in *in)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(packet_send(ends[0], out, NULL), RC_OK);
	assert_int_equal(packet_receive(mem, ends[1], in, NULL), RC_OK);
	close(ends[0]);
	close(ends[1]);
}

static void a_delivery_request_comes_back_with_its_file(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct envelope *env = sample(mem);
	uint32_t index[2] = { 7, 9 };
	struct delivery_request request = { .id = 11,
					    .image_offset = 4096,
					    .queue_id = "ABCDEF123456",
					    .transport = "smtp",
					    .nexthop = "[mx.example.test]",
					    .active_us = 99,
					    .env = env,
					    .recipients = env->recipients,
					    .recipient_index = index,
					    .recipient_count = 2 };
	struct delivery_request *got;
	struct packet_out out;
	struct packet_in in;

	env->recipients[1].original = "";
	request.fd = dup(STDERR_FILENO);
	packet_begin(&out, mem, WIRE_DELIVER);
	delivery_request_put(&out, &request);
	pass(&out, mem, &in);
	assert_int_equal(delivery_request_take(mem, &in, &got, NULL), RC_OK);
	assert_int_equal(got->id, 11);
	assert_int_equal(got->image_offset, 4096);
	assert_string_equal(got->nexthop, "[mx.example.test]");
	assert_int_equal(got->recipient_count, 2);
	assert_int_equal(got->recipient_index[1], 9);
	assert_true(got->fd >= 0);
	check_sample(got->env);
	check_recipients(got->recipients);
	close(request.fd);
	talloc_free(mem);
}

static void statuses_come_back_and_long_ones_are_kept(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	char *reason = mem_array(mem, char, PACKET_MAX_BYTES + 2);
	struct delivery_status statuses[3] = {
		{ .action = DELIVERY_BOUNCED, .dsn = "5.1.1", .reason = "no",
		  .diag_type = "smtp", .diag_text = "550 no" },
		{ .recipient = 1, .action = DELIVERY_DEFERRED },
		{ .recipient = 2, .action = DELIVERY_DEFERRED, .reason = "b" },
	};
	struct store_entry *entry;
	struct envelope *env = sample(mem);
	struct buf log;

	envelope_add_recipient(env, SPAN_OF("x@example.test"));
	memset(reason, 'x', PACKET_MAX_BYTES);
	statuses[1].reason = reason; /* more than any packet holds */
	buf_init(&log, mem, 10000000);
	outcome_put_statuses(&log, 1, 2, statuses, 3);
	entry = store_entry_make(mem, env, buf_span(&log));
	assert_int_equal(entry->status_count, 3);
	assert_string_equal(entry->statuses[0].dsn, "5.1.1");
	assert_string_equal(entry->statuses[0].diag_text, "550 no");
	assert_null(entry->statuses[0].remote_mta);
	assert_int_equal(entry->recipient_done[0], 1);
	assert_string_equal(entry->statuses[1].reason,
			    "(the reason was too long to keep)");
	assert_string_equal(entry->statuses[2].reason, "b");
	talloc_free(mem);
}

static void damage_in_a_log_costs_only_its_record(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct buf log;

	buf_init(&log, mem, 10000);
	for (uint64_t i = 0; i < 3; i++)
		outcome_put_number(&log, OUTCOME_WARNED, i, i);
	for (size_t at = 40; at < 80; at++) {
		struct span rest = buf_span(&log), payload;
		struct outcome outcome;
		size_t skipped;

		log.data[at] ^= 4;
		assert_true(outcome_take(&rest, &outcome, &payload, &skipped));
		assert_int_equal(outcome.generation, 0);
		assert_true(outcome_take(&rest, &outcome, &payload, &skipped));
		assert_int_equal(outcome.generation, 2);
		assert_int_equal(skipped, 40);
		assert_false(outcome_take(&rest, &outcome, &payload, &skipped));
		log.data[at] ^= 4;
	}
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_is_the_castagnoli_one),
		cmocka_unit_test(an_envelope_comes_back_as_it_was),
		cmocka_unit_test(an_envelope_cut_short_is_refused),
		cmocka_unit_test(a_delivery_request_comes_back_with_its_file),
		cmocka_unit_test(statuses_come_back_and_long_ones_are_kept),
		cmocka_unit_test(damage_in_a_log_costs_only_its_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
