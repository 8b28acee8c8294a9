/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static enum rc calls_find(const struct library *library, void *handle,
			  void *table, struct fault *fault)
{
	for (size_t i = 0; i < library->count; i++) {
		const struct library_call *call = &library->calls[i];
		void *found = dlsym(handle, call->name);

		if (found == NULL)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s has no %s: it is too old; upgrade "
					 "the package %s",
					 library->file, call->name,
					 library->package);
		memcpy((char *)table + call->offset, &found, sizeof(found));
	}
	return RC_OK;
}

enum rc library_load(const struct library *library, void *table,
		     struct fault *fault)
{
	void *handle;
	enum rc rc;

	pthread_mutex_lock(&lock);
	/* Never unloaded: it may have threads, and calls at exit. */
	handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (handle == NULL) {
		rc = fault_set(fault, RC_CONF, "4.3.5",
			       "%s; install the package %s", dlerror(),
			       library->package);
	} else {
		rc = calls_find(library, handle, table, fault);
		if (rc == RC_OK && library->prepare != NULL)
			library->prepare(table);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}
