/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/confine.h"

#include "sys/log.h"
#include "sys/privilege.h"
#include "sys/sandbox.h"

enum { PATHS_MAX = 64 };

struct readable {
	TALLOC_CTX *mem;
	struct sandbox_path paths[PATHS_MAX];
	size_t count;
};

static void path_add(struct readable *r, const char *path)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->paths[i].path, path) == 0)
			return;
	if (r->count < PATHS_MAX)
		r->paths[r->count++] = (struct sandbox_path){
		    path, SANDBOX_READ | SANDBOX_OPTIONAL};
}

/* The directory of each absolute path in a parameter's value: a table that is
 * made anew is another file in the same place. */
static void text_add(struct readable *r, const char *text)
{
	struct span rest = span_from(text), word;

	while (span_token(&rest, ", \t\r\n{}|", &word)) {
		ssize_t at = span_find(word, '/'), slash;

		if (at < 0 || (at > 0 && word.ptr[at - 1] != ':'))
			continue;
		word = span_skip(word, (size_t)at);
		slash = span_rfind(word, '/');
		path_add(r, slash <= 0
				? mem_span_dup(r->mem, word)
				: mem_span_dup(r->mem,
					       span_take(word, (size_t)slash)));
	}
}

enum rc confine_reader(struct service *service, const char *const *texts,
		       struct fault *fault)
{
	static const char *const always[] = {
	    "/etc",	   "/usr", "/lib", "/lib64", "/run/systemd/resolve",
	    "/dev/urandom"};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct readable r = {.mem = tmp};
	enum rc rc;

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		path_add(&r, always[i]);
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		text_add(&r, texts[i]);
	rc = service_confine(service, fault);
	if (rc == RC_OK)
		rc = privilege_no_new_privs(fault);
	if (rc == RC_OK)
		rc = sandbox_paths(r.paths, r.count, fault);
	if (rc == RC_OK)
		rc = sandbox_syscalls(fault);
	if (rc != RC_NONE)
		return rc;
	log_info("%s", fault->text);
	return RC_OK;
}
