/* SPDX-License-Identifier: Apache-2.0 */
#include "master/slot.h"

#include <unistd.h>

#include "sys/log.h"

/* Lines of a stock master.cf whose work other processes do here. */
static const char *const idle_programs[] = {
	"cleanup",  "trivial-rewrite", "tlsmgr", "proxymap", "scache", "anvil",
	"flush",    "showq",	       "tlsproxy", "dnsblog", "postlogd",
	"nbdb_reindexd",
};
static const char *const idle_services[] = { "trace", "defer" };

static bool listed(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(span_from(name), names[i]))
			return true;
	return false;
}

bool slot_entry_is_idle(const struct master_entry *entry)
{
	return listed(idle_programs, ARRAY_LEN(idle_programs),
		      entry->program) ||
	       (span_is(span_from(entry->program), "bounce") &&
		listed(idle_services, ARRAY_LEN(idle_services), entry->name));
}

enum rc slot_program_path(TALLOC_CTX *mem, const struct conf *conf,
			  const char *master_cf,
			  const struct master_entry *entry, char **ret_path,
			  struct fault *fault)
{
	const char *folder = conf->v.daemon_directory;
	struct span above = span_from(folder);
	char *path = mem_printf(mem, "%s/%s", folder, entry->program);

	if (access(path, X_OK) == 0) {
		*ret_path = path;
		return RC_OK;
	}
	if (span_ends(above, "/sbin")) {
		above.len -= sizeof("/sbin") - 1;
		path = mem_printf(mem, "%.*s/%s", SPAN_FMT(above),
				  entry->program);
		if (access(path, X_OK) == 0) {
			*ret_path = path;
			return RC_OK;
		}
	}
	return fault_set(fault, RC_CONF, "4.3.5",
			 "%s, line %d: service %s: no program \"%s\" in "
			 "daemon_directory %s",
			 master_cf, entry->line, entry->name, entry->program,
			 folder);
}

static int slot_close(struct slot *slot)
{
	for (size_t i = 0; i < slot->listen_count; i++)
		close(slot->listen_fds[i]);
	return 0;
}

char *slot_key(TALLOC_CTX *mem, const struct master_entry *entry)
{
	return mem_printf(mem, "%s/%s", entry->name,
			  service_type_name(entry->type));
}

struct slot *slot_new(TALLOC_CTX *mem, const struct master_entry *entry)
{
	struct slot *slot = mem_new(mem, struct slot);

	slot->entry = entry;
	slot->key = slot_key(slot, entry);
	slot->eager = entry->type == SERVICE_INET ||
		      entry->type == SERVICE_PASS ||
		      (entry->wakeup_s > 0 && !entry->wakeup_after_use);
	talloc_set_destructor(slot, slot_close);
	return slot;
}
