/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets from writers, tools, agents and bounce, in any order and of any
 * shape. Input: one byte who sends, two bytes length, so many bytes of packet,
 * ...
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/plan/fake_store.c"
#include "plan/qmgr_priv.h"
#include "sys/log.h"

enum { SENDERS = 4, PACKETS_MAX = 64 };

struct ends {
	int agent, bounce, tool, stranger;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_connect(void *arg, const char *path)
{
	struct ends *ends = arg;
	int *end = strcmp(path, "private/bounce") == 0 ? &ends->bounce
						       : &ends->agent;
	int fds[2];

	if (*end >= 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) != 0)
		return -1;
	*end = fds[1];
	return fds[0];
}

static int peer(struct qmgr *qmgr, uint32_t uid)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) != 0)
		abort();
	peers_add(qmgr->peers, fds[0], uid);
	return fds[1];
}

static struct conf *fuzz_conf(void)
{
	char directory[] = "/tmp/fuzz_qmgr.XXXXXX", path[64];
	struct conf_source source = { .config_directory = directory };
	struct conf *conf;
	struct fault fault;
	int fd;

	if (mkdtemp(directory) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/main.cf", directory);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	if (write(fd, "myhostname = x.test\n", 20) != 20 ||
	    conf_load(&source, &conf, &fault) != RC_OK)
		abort();
	close(fd);
	unlink(path);
	rmdir(directory);
	log_open("fuzz", "qmgr", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	return conf;
}

static void run(struct poller *poller)
{
	struct fault fault;

	for (int i = 0; i < 3; i++)
		if (poller_run_once(poller, 0, &fault) != RC_OK)
			abort();
}

static void begin(struct qmgr *qmgr, TALLOC_CTX *mem)
{
	static const struct place place = { .writer = "smtpd", .length = 9 };
	struct envelope *env = envelope_new(mem);

	env->queue_id = "AAA111";
	env->sender = "a@b.test";
	envelope_add_recipient(env, SPAN_OF("1@smtp.test"));
	envelope_add_recipient(env, SPAN_OF("2@smtp.test"));
	qmgr_new_message(qmgr, &place, "AAA111", env);
}

static void send_to(int *fd, const uint8_t *data, size_t size)
{
	if (*fd < 0)
		return;
	if (size == 0) { /* hang up */
		close(*fd);
		*fd = -1;
		return;
	}
	if (send(*fd, data, size, MSG_NOSIGNAL) < 0)
		return;
}

static void feed(struct poller *poller, struct ends *ends, const uint8_t *data,
		 size_t size)
{
	int *const fds[SENDERS] = { &ends->agent, &ends->bounce, &ends->tool,
				    &ends->stranger };

	for (int i = 0; i < PACKETS_MAX && size >= 3; i++) {
		size_t want = (size_t)data[1] | (size_t)data[2] << 8;
		int who = data[0] % SENDERS;

		data += 3;
		size -= 3;
		want = MIN_OF(want, size);
		send_to(fds[who], data, want);
		data += want;
		size -= want;
		run(poller);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t hello[] = { WIRE_AGENT_HELLO, 0, 5, 0, 0, 0 };
	static struct conf *conf;
	TALLOC_CTX *mem = talloc_new(NULL);
	struct ends ends = { -1, -1, -1, -1 };
	struct poller *poller;
	struct qmgr *qmgr;
	struct fault fault;

	if (conf == NULL)
		conf = fuzz_conf();
	fake_store_reset();
	if (poller_open(mem, &poller, &fault) != RC_OK ||
	    qmgr_open(mem, conf, NULL, poller, &qmgr, &fault) != RC_OK)
		abort();
	qmgr->connect = fuzz_connect;
	qmgr->connect_arg = &ends;
	qmgr->bounce->setup.connect = fuzz_connect;
	qmgr->bounce->setup.connect_arg = &ends;
	ends.tool = peer(qmgr, 0);
	ends.stranger = peer(qmgr, 12345);
	begin(qmgr, mem);
	run(poller);
	if (ends.agent >= 0)
		send_to(&ends.agent, hello, sizeof(hello));
	run(poller);
	feed(poller, &ends, data, size);
	close(ends.agent);
	close(ends.bounce);
	close(ends.tool);
	close(ends.stranger);
	talloc_free(qmgr);
	talloc_free(mem);
	return 0;
}
