/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/stress.h"

#include "conf/show.h"
#include "sys/log.h"

static int stress_close(struct stress *stress)
{
	conf_unref(stress->stressed->conf);
	return 0;
}

/* Does something that is set by hand ask whether there is stress? */
static bool asks_for_stress(const struct conf *conf)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct conf_item *items;
	size_t count;

	conf_items(tmp, conf, NULL, &items, &count);
	for (size_t i = 0; i < count; i++)
		if (items[i].text != NULL &&
		    (strstr(items[i].text, "stress") != NULL ||
		     /* a policy server is told */
		     strstr(items[i].text, "check_policy_service") != NULL))
			return true;
	return false;
}

static enum rc load(TALLOC_CTX *mem, const struct conf_source *source,
		    struct conf **ret_conf, struct fault *fault)
{
	size_t count = source->override_count;
	const char **overrides = mem_array(mem, const char *, count + 1);
	struct conf_source with = *source;

	for (size_t i = 0; i < count; i++)
		overrides[i] = source->overrides[i];
	overrides[count] = "stress=yes";
	with.overrides = overrides;
	with.override_count = count + 1;
	return conf_load(&with, ret_conf, fault);
}

enum rc stress_open(TALLOC_CTX *mem, struct smtpd_server *normal,
		    const struct conf_source *source,
		    struct stress **ret_stress, struct fault *fault)
{
	struct stress *stress = mem_new(mem, struct stress);
	struct smtpd_server *server = mem_new(stress, struct smtpd_server);
	enum rc rc;

	stress->normal = normal;
	stress->stressed = server;
	*server = *normal;
	rc = load(stress, source, &server->conf, fault);
	if (rc != RC_OK)
		return fault_add(fault, "with stress = yes");
	talloc_set_destructor(stress, stress_close);
	if (asks_for_stress(normal->conf)) {
		rc = smtpd_server_open_rules(server, fault);
		server->clients = normal->clients;
		server->sasl = normal->sasl;
	}
	if (rc == RC_OK)
		*ret_stress = stress;
	return rc;
}

static void log_limit(const struct stress *stress)
{
	const char *name = stress->normal->service_name;
	struct span service = span_from(name);
	ssize_t colon = span_rfind(service, ':');

	log_info_as("master",
		    "warning: service \"%s\" (%.*s) has reached its process "
		    "limit \"%d\": new clients may experience noticeable "
		    "delays",
		    name, SPAN_FMT(span_skip(service, (size_t)(colon + 1))),
		    stress->normal->max_threads);
	log_info_as("master",
		    "warning: to avoid this condition, increase the process "
		    "count in master.cf or reduce the service time per "
		    "client");
	log_info_as("master",
		    "warning: see https://www.postfix.org/STRESS_README.html "
		    "for examples of stress-adapting configuration settings");
}

void stress_look(struct stress *stress, size_t max_sessions, uint64_t now_ms)
{
	struct workers *workers = stress->normal->workers;
	bool crowded = workers_session_count(workers) >= max_sessions / 10 * 9;

	if (workers_are_busy(workers))
		stress->full_looks++;
	else
		stress->full_looks = 0;
	if (stress->full_looks < STRESS_CHECKS && !crowded)
		return;
	if (stress_server(stress, now_ms) == stress->normal)
		log_limit(stress);
	atomic_store(&stress->until_ms, now_ms + (uint64_t)STRESS_S * 1000);
}

struct smtpd_server *stress_server(const struct stress *stress, uint64_t now_ms)
{
	return now_ms < atomic_load_explicit(&stress->until_ms,
					     memory_order_relaxed)
		       ? stress->stressed
		       : stress->normal;
}
