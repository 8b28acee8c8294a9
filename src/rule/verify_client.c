/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/verify_client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "sys/socket_unix.h"

/* For a service that takes no more questions; others wait for the lock. */
enum { SEND_WAIT_MS = 20 };

struct verify_question {
	UT_hash_handle hh;
	struct verify_client *client;
	uint64_t number;
	struct verify_answer answer;
	void (*ready)(void *arg);
	void *ready_arg;
};

struct verify_client {
	const char *path;
	pthread_mutex_t lock; /* all below, and the members of questions */
	pthread_cond_t news;
	struct verify_question *asked;
	uint64_t last_number;
	int fd; /* -1: none */
	bool has_reader;
	pthread_t reader;
};

/* With the lock: whoever waits may not free the question meanwhile. */
static void tell(struct verify_question *question)
{
	if (question->ready != NULL)
		question->ready(question->ready_arg);
	pthread_cond_broadcast(&question->client->news);
}

static void answer_take(struct verify_client *client, struct packet_in *in)
{
	uint64_t number = packet_take_u64(in);
	uint32_t status = packet_take_u32(in);
	struct span text = packet_take_span(in);
	struct verify_question *question;

	if (in->bad || in->type != WIRE_VERIFIED || status > VERIFY_TODO)
		return;
	pthread_mutex_lock(&client->lock);
	HASH_FIND(hh, client->asked, &number, sizeof(number), question);
	if (question != NULL && !question->answer.is_final) {
		struct verify_answer *answer = &question->answer;

		/* A second "nothing known" is the last word. */
		answer->is_final = answer->known || status != VERIFY_TODO;
		answer->known = true;
		answer->status = (enum verify_status)status;
		snprintf(answer->text, sizeof(answer->text), "%.*s",
			 SPAN_FMT(text));
		tell(question);
	}
	pthread_mutex_unlock(&client->lock);
}

static void connection_gone(struct verify_client *client)
{
	struct verify_question *question, *next;

	pthread_mutex_lock(&client->lock);
	close(client->fd);
	client->fd = -1;
	HASH_ITER (hh, client->asked, question, next) {
		if (question->answer.is_final)
			continue;
		question->answer.is_final = true;
		tell(question);
	}
	pthread_mutex_unlock(&client->lock);
}

static void *reader_run(void *arg)
{
	struct verify_client *client = arg;
	int fd = client->fd;
	enum rc rc;

	do {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct packet_in in;
		struct fault fault;

		rc = packet_receive(tmp, fd, &in, &fault);
		if (rc == RC_OK && in.fd >= 0)
			close(packet_take_fd(&in));
		if (rc == RC_OK)
			answer_take(client, &in);
	} while (rc == RC_OK || rc == RC_NONE);
	connection_gone(client);
	return NULL;
}

/* With the lock. */
static enum rc connect_if_needed(struct verify_client *client,
				 struct fault *fault)
{
	const struct timeval send_wait = { .tv_usec = SEND_WAIT_MS * 1000 };
	enum rc rc;
	int error;

	if (client->fd >= 0)
		return RC_OK;
	if (client->has_reader) /* it is at its end */
		pthread_join(client->reader, NULL);
	client->has_reader = false;
	rc = socket_unix_connect(AT_FDCWD, client->path, SOCK_SEQPACKET, 0,
				 &client->fd, fault);
	if (rc != RC_OK) {
		client->fd = -1;
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "connect to service %s: no answer",
				 client->path);
	}
	(void)!setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &send_wait,
			  sizeof(send_wait));
	error = pthread_create(&client->reader, NULL, reader_run, client);
	if (error != 0) {
		close(client->fd);
		client->fd = -1;
		errno = error;
		return fault_set(fault, RC_TEMP, "4.3.0", "start a thread: %m");
	}
	client->has_reader = true;
	return RC_OK;
}

static int client_done(struct verify_client *client)
{
	pthread_mutex_lock(&client->lock);
	if (client->fd >= 0)
		shutdown(client->fd, SHUT_RDWR);
	pthread_mutex_unlock(&client->lock);
	if (client->has_reader)
		pthread_join(client->reader, NULL);
	pthread_mutex_destroy(&client->lock);
	pthread_cond_destroy(&client->news);
	return 0;
}

struct verify_client *verify_client_new(TALLOC_CTX *mem, const char *path)
{
	struct verify_client *client = mem_new(mem, struct verify_client);
	pthread_condattr_t attr;

	client->path = mem_strdup(client, path);
	client->fd = -1;
	pthread_mutex_init(&client->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&client->news, &attr);
	pthread_condattr_destroy(&attr);
	talloc_set_destructor(client, client_done);
	return client;
}

static int question_drop(struct verify_question *question)
{
	struct verify_client *client = question->client;

	pthread_mutex_lock(&client->lock);
	HASH_DEL(client->asked, question);
	pthread_mutex_unlock(&client->lock);
	return 0;
}

enum rc verify_question_new(TALLOC_CTX *mem, struct verify_client *client,
			    const char *address,
			    struct verify_question **ret_question,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct verify_question *question =
		mem_new(tmp, struct verify_question);
	struct packet_out out;
	enum rc rc;

	question->client = client;
	pthread_mutex_lock(&client->lock);
	rc = connect_if_needed(client, fault);
	if (rc == RC_OK) {
		question->number = ++client->last_number;
		packet_begin(&out, tmp, WIRE_VERIFY);
		packet_put_u64(&out, question->number);
		packet_put_text(&out, address);
		rc = packet_send(client->fd, &out, fault);
	}
	if (rc == RC_OK)
		HASH_ADD(hh, client->asked, number, sizeof(question->number),
			 question);
	pthread_mutex_unlock(&client->lock);
	if (rc != RC_OK)
		return RC_TEMP;
	talloc_set_destructor(question, question_drop);
	*ret_question = talloc_steal(mem, question);
	return RC_OK;
}

void verify_question_look(struct verify_question *question,
			  void (*ready)(void *arg), void *arg,
			  struct verify_answer *ret_answer)
{
	struct verify_client *client = question->client;

	pthread_mutex_lock(&client->lock);
	question->ready = ready;
	question->ready_arg = arg;
	*ret_answer = question->answer;
	pthread_mutex_unlock(&client->lock);
}

void verify_question_wait(struct verify_question *question, uint64_t until_ms,
			  bool any)
{
	struct verify_client *client = question->client;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	const struct verify_answer *answer = &question->answer;
	int error = 0;

	pthread_mutex_lock(&client->lock);
	while (error == 0 && !answer->is_final && !(any && answer->known))
		error = pthread_cond_timedwait(&client->news, &client->lock,
					       &until);
	pthread_mutex_unlock(&client->lock);
}
