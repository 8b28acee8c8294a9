/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct span header = SPAN("Subject: test\r\nFrom: <a@b.test>\r\n");

int world_begin(void **state)
{
	struct world *world = mem_new(NULL, struct world);

	snprintf(world->dir, sizeof(world->dir), "/tmp/postern-queue-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	*state = world;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

int world_end(void **state)
{
	struct world *world = *state;

	talloc_free(world->intake);
	talloc_free(world->store);
	nftw(world->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	talloc_free(world);
	return 0;
}

struct intake *world_intake(struct world *world, const char *writer)
{
	struct intake_config config = { .queue_directory = world->dir,
					.writer = writer,
					.qmgr_socket = "public/qmgr",
					.min_free_bytes = 1,
					.commit_timeout_ms = 4000 };
	struct intake *intake;

	if (intake_open(world, &config, &intake, &world->fault) != RC_OK)
		fail_msg("%s", world->fault.text);
	world->intake = intake;
	return intake;
}

void world_intake_close(struct world *world)
{
	talloc_free(world->intake);
	world->intake = NULL;
}

void world_found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry)
{
	struct world *world = arg;
	struct store_entry *kept = mem_new(world, struct store_entry);

	*kept = *entry;
	(void)talloc_steal(kept, entry); /* with all its parts */
	world->all = mem_resize(world, world->all, struct store_entry *,
				world->found + 1);
	world->all[world->found++] = kept;
	world->last = kept;
}

void world_scan(struct world *world)
{
	world->found = 0;
	world->last = NULL;
	if (store_open(world, world->dir, STORE_OWNER, &world->store,
		       &world->fault) != RC_OK ||
	    store_scan(world->store, world_found, world, &world->fault) !=
		    RC_OK)
		fail_msg("%s", world->fault.text);
}

void world_store_close(struct world *world)
{
	talloc_free(world->store);
	world->store = NULL;
}

static char body_byte(size_t i)
{
	static const char line[] = "\r\nbody with a line of text\r\n";

	return line[i % (sizeof(line) - 1)];
}

enum rc world_commit(struct world *world, struct intake *intake,
		     size_t body_bytes, size_t recipients, const char **ret_id)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct envelope *env = envelope_new(tmp);
	char *body = mem_array(tmp, char, body_bytes + 1);
	struct intake_message *message;
	enum rc rc = intake_begin(tmp, intake, &message, &world->fault);

	for (size_t i = 0; i < body_bytes; i++)
		body[i] = body_byte(i);
	if (rc == RC_OK)
		rc = intake_header(message, header, &world->fault);
	if (rc == RC_OK)
		rc = intake_body(message, (struct span){ body, body_bytes },
				 &world->fault);
	envelope_set_text(env, &env->sender, SPAN_OF("ann@example.test"));
	for (size_t i = 0; i < recipients; i++) {
		char address[64];

		snprintf(address, sizeof(address), "jo%zu@example.test", i);
		envelope_add_recipient(env, span_from(address));
	}
	if (rc == RC_OK)
		rc = intake_commit(message, env, &world->fault);
	if (rc == RC_OK && ret_id != NULL)
		*ret_id = mem_strdup(world, message->queue_id);
	return rc;
}

const char *world_commit_ok(struct world *world, size_t body_bytes)
{
	const char *id = NULL;

	if (world_commit(world, world->intake, body_bytes, 3, &id) != RC_OK)
		fail_msg("%s", world->fault.text);
	return id;
}

void world_check_content(struct world *world, const struct store_entry *entry,
			 size_t body_bytes)
{
	struct image *image;
	char *content = mem_array(world, char, header.len + body_bytes + 64);
	size_t size, total = 0;
	int fd;

	assert_int_equal(store_descriptor(world->store, &entry->place,
					  entry->env->queue_id, &fd, NULL),
			 RC_OK);
	if (image_open(world, fd, entry->place.offset, true, &image,
		       &world->fault) != RC_OK)
		fail_msg("%s", world->fault.text);
	assert_int_equal(image->generation, entry->place.generation);
	do {
		assert_int_equal(image_content_read(image, total,
						    content + total, 1000,
						    &size, NULL),
				 RC_OK);
		total += size;
		assert_true(total <= header.len + body_bytes);
	} while (size > 0);
	assert_int_equal(total, header.len + body_bytes);
	assert_memory_equal(content, header.ptr, header.len);
	for (size_t i = 0; i < body_bytes; i++)
		if (content[header.len + i] != body_byte(i))
			fail_msg("byte %zu of the body differs", i);
	talloc_free(image);
	talloc_free(content);
}

char *world_segment(struct world *world, const char *writer)
{
	char *dir = mem_printf(world, "%s/journal", world->dir);
	DIR *stream = opendir(dir);
	struct dirent *entry;
	char *path = NULL;

	assert_non_null(stream);
	while ((entry = readdir(stream)) != NULL) {
		char owner[WRITER_NAME_MAX_BYTES];
		uint32_t number;

		if (segment_name_parse(entry->d_name, owner, &number) &&
		    strcmp(owner, writer) == 0)
			path = mem_printf(world, "%s/%s", dir, entry->d_name);
	}
	closedir(stream);
	assert_non_null(path);
	return path;
}

void world_file_flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

void world_corrupt_empty(struct world *world)
{
	char *dir = mem_printf(world, "%s/corrupt", world->dir);
	DIR *stream = opendir(dir);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(stream);
	while ((entry = readdir(stream)) != NULL)
		if (unlinkat(dirfd(stream), entry->d_name, 0) == 0)
			count++;
	closedir(stream);
	assert_true(count > 0);
}
