/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qmgr_world.h"

const struct place in_journal = { .writer = "smtpd", .length = 1000 };
const struct place in_file = { .in_file = true };
const struct answer sent = { DELIVERY_SENT, "2.0.0", "250 ok", NULL, NULL };
const struct answer later = { DELIVERY_DEFERRED, "4.2.2", "mailbox full", NULL,
			      NULL };
const struct answer never = { DELIVERY_BOUNCED, "5.1.1", "no such user",
			      "failed", NULL };
const struct answer unreachable = { DELIVERY_DEFERRED, "4.4.1",
				    "connect: refused", NULL,
				    "connect: refused" };

struct fake_agent *agent_at(struct world *world, const char *path)
{
	for (int i = 0; i < AGENTS_MAX; i++) {
		struct fake_agent *agent = &world->agents[i];

		if (agent->path[0] == '\0') {
			snprintf(agent->path, sizeof(agent->path), "%s", path);
			agent->fd = -1;
		}
		if (strcmp(agent->path, path) == 0)
			return agent;
	}
	fail_msg("too many agents");
	return NULL;
}

static int world_connect(void *arg, const char *path)
{
	struct fake_agent *agent = agent_at(arg, path);
	int fds[2];

	agent->connects++;
	if (agent->refuses) {
		errno = ENOENT;
		return -1;
	}
	assert_int_equal(
		socketpair(AF_UNIX,
			   SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   fds),
		0);
	agent->fd = fds[1];
	return fds[0];
}

struct world *world_new(const char *main_cf)
{
	struct world *world = mem_new(NULL, struct world);
	struct conf_source source = { 0 };
	char path[128];
	FILE *file;

	fake_store_reset();
	snprintf(world->directory, sizeof(world->directory),
		 "/tmp/test_qmgr.XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(path, sizeof(path), "%s/main.cf", world->directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "myhostname = mx.example.test\n%s\n", main_cf);
	fclose(file);
	source.config_directory = world->directory;
	if (conf_load(&source, &world->conf, &world->fault) != RC_OK ||
	    poller_open(world, &world->poller, &world->fault) != RC_OK ||
	    qmgr_open(world, world->conf, NULL, world->poller, &world->qmgr,
		      &world->fault) != RC_OK)
		fail_msg("%s", world->fault.text);
	world->qmgr->connect = world_connect;
	world->qmgr->connect_arg = world;
	world->qmgr->bounce->setup.connect = world_connect;
	world->qmgr->bounce->setup.connect_arg = world;
	world->tool = -1;
	return world;
}

void world_free(struct world *world)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/main.cf", world->directory);
	unlink(path);
	rmdir(world->directory);
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world->agents[i].path[0] != '\0' &&
		    world->agents[i].fd >= 0)
			close(world->agents[i].fd);
	if (world->tool >= 0)
		close(world->tool);
	talloc_free(world->qmgr);
	conf_unref(world->conf);
	talloc_free(world);
	fake_store_reset();
}

void turn(struct world *world)
{
	for (int i = 0; i < 6; i++)
		assert_int_equal(
			poller_run_once(world->poller, 0, &world->fault),
			RC_OK);
}

void hello(struct world *world, const char *path, uint32_t capacity)
{
	struct packet_out out;

	packet_begin(&out, world, WIRE_AGENT_HELLO);
	packet_put_u32(&out, capacity);
	assert_int_equal(
		packet_send(agent_at(world, path)->fd, &out, &world->fault),
		RC_OK);
	turn(world);
}

struct envelope *mail(struct world *world, const char *id, const char *sender,
		      const char *recipients, int age_s)
{
	struct envelope *env = envelope_new(world);
	struct span rest = span_from(recipients), one;

	env->queue_id = mem_strdup(env, id);
	env->sender = mem_strdup(env, sender);
	env->size_bytes = 1000;
	env->arrival_us = clock_wall_us() - (uint64_t)age_s * 1000000;
	while (span_token(&rest, ",", &one))
		envelope_add_recipient(env, one);
	return env;
}

void announce(struct world *world, const char *id, const char *sender,
	      const char *recipients)
{
	qmgr_new_message(world->qmgr, &in_journal, id,
			 mail(world, id, sender, recipients, 0));
	turn(world);
}

/* A message in a file of its own, as found at start. */
void found(struct world *world, const char *id, const char *sender,
	   const char *recipients, int age_s)
{
	struct fake_store *store = fake_store();
	struct store_entry *entry = mem_new(NULL, struct store_entry);

	entry->env = mail(world, id, sender, recipients, age_s);
	talloc_steal(entry, entry->env);
	entry->recipient_done =
		mem_array(entry, uint8_t, entry->env->recipient_count);
	entry->place = in_file;
	store->entries[store->entry_count++] = entry;
	qmgr_found(world->qmgr, entry, entry);
	turn(world);
}

struct delivery_request *take(struct world *world, const char *path)
{
	struct delivery_request *request;
	struct packet_in in;

	if (packet_receive(world, agent_at(world, path)->fd, &in,
			   &world->fault) != RC_OK)
		return NULL;
	assert_int_equal(in.type, WIRE_DELIVER);
	assert_int_equal(
		delivery_request_take(world, &in, &request, &world->fault),
		RC_OK);
	return request;
}

void put_status(struct packet_out *out, uint32_t recipient,
		const struct answer *answer)
{
	struct delivery_status status = {
		.recipient = recipient,
		.action = answer->action,
		.reason = answer->reason,
		.dsn_action = answer->dsn_action,
		.diag_type = "smtp",
		.diag_text = answer->reason,
	};

	snprintf(status.dsn, sizeof(status.dsn), "%s", answer->dsn);
	delivery_status_put(out, &status);
}

void give(struct world *world, const char *path,
	  struct delivery_request *request, const struct answer *answer)
{
	struct packet_out out;

	packet_begin(&out, world, WIRE_RESULT);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, 1);
	packet_put_u32(&out, (uint32_t)request->recipient_count);
	for (size_t i = 0; i < request->recipient_count; i++)
		put_status(&out, request->recipient_index[i], answer);
	packet_put_text(&out, answer->site == NULL ? "" : answer->dsn);
	packet_put_text(&out, answer->site);
	assert_int_equal(
		packet_send(agent_at(world, path)->fd, &out, &world->fault),
		RC_OK);
	talloc_free(request);
	turn(world);
}

bool take_notice(struct world *world, struct notice_seen *ret)
{
	struct packet_in in;
	struct delivery_status status;

	if (packet_receive(world, agent_at(world, "private/bounce")->fd, &in,
			   &world->fault) != RC_OK)
		return false;
	assert_int_equal(in.type, WIRE_NOTICE);
	ret->id = packet_take_u64(&in);
	ret->kind = packet_take_u32(&in);
	packet_take_span(&in);
	packet_take_u64(&in);
	ret->count = packet_take_u32(&in);
	for (uint32_t i = 0; i < ret->count; i++) {
		assert_true(delivery_status_take(&in, world, &status));
		ret->recipients[i % 16] = status.recipient;
		snprintf(ret->reason, sizeof(ret->reason), "%s", status.reason);
	}
	close(packet_take_fd(&in));
	return true;
}

void notice_answer(struct world *world, uint64_t id, bool done)
{
	struct packet_out out;

	packet_begin(&out, world, WIRE_NOTICE_DONE);
	packet_put_u64(&out, id);
	packet_put_u32(&out, done);
	assert_int_equal(packet_send(agent_at(world, "private/bounce")->fd,
				     &out, &world->fault),
			 RC_OK);
	turn(world);
}

struct message *message(struct world *world, const char *id)
{
	return message_find(world->qmgr->index, id);
}
