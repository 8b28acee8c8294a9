/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "queue/crc32c.h"
#include "queue/image_priv.h"
#include "sys/log.h"

struct world *world_new(void)
{
	struct world *w = mem_new(NULL, struct world);
	char path[] = "/tmp/postern-deliver-XXXXXX";
	FILE *main_cf;

	assert_non_null(mkdtemp(path));
	assert_int_equal(chmod(path, 0755), 0);
	w->directory = mem_strdup(w, path);
	main_cf = fopen(mem_printf(w, "%s/main.cf", path), "w");
	assert_non_null(main_cf);
	fprintf(main_cf,
		"compatibility_level = 3.6\n"
		"myhostname = mx.example.test\n"
		"mydestination = example.test, $myhostname\n"
		"inet_interfaces = 127.0.0.1\n"
		"inet_protocols = ipv4\n"
		"alias_maps =\n"
		"queue_directory = %s\n",
		path);
	fclose(main_cf);
	w->log_fd = memfd_create("log", MFD_CLOEXEC);
	log_open("postfix", "test", LOG_TO_FD, w->log_fd, LOG_MAIL);
	return w;
}

void world_configure(struct world *w, const char *const *overrides)
{
	struct conf_source source = {.config_directory = w->directory,
				     .overrides = overrides,
				     .process_name = "smtp",
				     .service_name = "smtp"};
	struct fault fault;

	while (overrides != NULL && overrides[source.override_count] != NULL)
		source.override_count++;
	conf_unref(w->conf);
	if (conf_load(&source, &w->conf, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	talloc_free(w->service);
	w->service = mem_new(w, struct service);
	w->service->conf = w->conf;
	w->service->name = "smtp";
	w->service->program = "smtp";
	w->service->control_fd = -1;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

void world_free(struct world *w)
{
	nftw(w->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	log_open("postfix", "test", LOG_TO_STDERR, -1, LOG_MAIL);
	close(w->log_fd);
	conf_unref(w->conf);
	talloc_free(w);
}

static char *fd_text(struct world *w, int fd)
{
	const off_t size = lseek(fd, 0, SEEK_END);
	char *text = mem_array(w, char, (size_t)size + 1);

	assert_int_equal(pread(fd, text, (size_t)size, 0), size);
	return text;
}

char *world_log(struct world *w)
{
	char *text = fd_text(w, w->log_fd);

	assert_int_equal(ftruncate(w->log_fd, 0), 0);
	lseek(w->log_fd, 0, SEEK_SET);
	return text;
}

char *world_file(struct world *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0)
		return NULL;
	text = fd_text(w, fd);
	close(fd);
	return text;
}

static uint32_t longest_line(struct span text)
{
	uint32_t longest = 0;
	struct span line;

	while (span_cut(&text, '\n', &line))
		longest = MAX_OF(longest, (uint32_t)line.len);
	return longest;
}

static int image_make(struct envelope *env, const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	const size_t header_len =
	    end == NULL ? strlen(text) : (size_t)(end - text) + 2;
	const struct span header = {text, header_len};
	const struct span body = span_from(text + header_len);
	struct image_head head = {.generation = 1};
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct buf bytes;

	buf_init(&bytes, env, 128 * 1024);
	envelope_encode(env, true, &bytes);
	head.envelope_offset = sizeof(head);
	head.envelope_length = (uint32_t)bytes.len;
	head.header_offset = head.envelope_offset + bytes.len;
	head.header_length = header.len;
	head.header_crc = crc32c(0, header);
	head.body_offset = head.header_offset + header.len;
	head.body_length = body.len;
	head.body_crc = crc32c(0, body);
	head.length = head.body_offset + body.len;
	snprintf(head.queue_id, sizeof(head.queue_id), "%s", env->queue_id);
	image_head_seal(&head, buf_span(&bytes));
	assert_int_equal(write(fd, &head, sizeof(head)), sizeof(head));
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static int request_close(struct delivery_request *request)
{
	close(request->fd);
	return 0;
}

struct delivery *world_delivery(struct world *w, const struct world_message *m)
{
	struct delivery_request *r = mem_new(NULL, struct delivery_request);
	struct envelope *env = envelope_new(r);
	struct delivery *d;
	struct fault fault;
	size_t count = 0;

	env->queue_id = "8A4C5A90524";
	env->sender = m->sender;
	env->arrival_us = clock_wall_us() - m->age_us;
	env->size_bytes = strlen(m->text);
	env->flags = m->flags;
	env->longest_line = longest_line(span_from(m->text));
	while (m->recipients[count] != NULL)
		count++;
	r->recipients = mem_array(r, struct recipient, count);
	r->recipient_index = mem_array(r, uint32_t, count);
	r->recipient_count = count;
	for (size_t i = 0; i < count; i++) {
		struct recipient *to =
		    envelope_add_recipient(env, span_from(m->recipients[i]));

		to->original = to->address;
		r->recipients[i] = *to;
		r->recipient_index[i] = (uint32_t)i;
	}
	r->env = env;
	r->queue_id = env->queue_id;
	r->transport = m->transport;
	r->nexthop = m->nexthop;
	r->active_us = clock_wall_us();
	r->fd = image_make(env, m->text);
	talloc_set_destructor(r, request_close);
	if (delivery_open(w->conf, r, &d, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return d;
}
