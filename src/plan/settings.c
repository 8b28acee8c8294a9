/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/settings.h"

static enum rc load_feedback(const struct conf *conf, const char *transport,
			     const char *suffix, const char *fallback,
			     struct feedback *ret, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *name = mem_printf(tmp, "%s%s", transport, suffix);
	const char *text = conf_text(conf, name);

	if (feedback_parse(text == NULL ? fallback : text, ret, fault) != RC_OK)
		return fault_add(fault, "%s", name);
	return RC_OK;
}

static enum rc load_numbers(const struct conf *conf, const char *transport,
			    struct transport_settings *set, struct fault *fault)
{
	const struct conf_values *v = &conf->v;
	const struct {
		const char *suffix;
		int fallback;
		int *ret;
	} numbers[] = {
		{ "_destination_concurrency_limit",
		  v->default_destination_concurrency_limit,
		  &set->concurrency_limit },
		{ "_initial_destination_concurrency",
		  v->initial_destination_concurrency,
		  &set->initial_concurrency },
		{ "_destination_recipient_limit",
		  v->default_destination_recipient_limit,
		  &set->recipient_limit },
		{ "_destination_concurrency_failed_cohort_limit",
		  v->default_destination_concurrency_failed_cohort_limit,
		  &set->failed_cohort_limit },
		{ "_delivery_slot_cost", v->default_delivery_slot_cost,
		  &set->slot_cost },
		{ "_delivery_slot_loan", v->default_delivery_slot_loan,
		  &set->slot_loan },
		{ "_delivery_slot_discount", v->default_delivery_slot_discount,
		  &set->slot_discount },
		{ "_minimum_delivery_slots", v->default_minimum_delivery_slots,
		  &set->minimum_slots },
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (conf_transport_int(conf, transport, numbers[i].suffix,
				       numbers[i].fallback, numbers[i].ret,
				       fault) != RC_OK)
			return fault->rc;
	return RC_OK;
}

static enum rc load_times(const struct conf *conf, const char *transport,
			  struct transport_settings *set, struct fault *fault)
{
	if (conf_transport_time(conf, transport, "_destination_rate_delay",
				conf->v.default_destination_rate_delay,
				&set->rate_delay_s, fault) != RC_OK)
		return fault->rc;
	return conf_transport_time(conf, transport, "_transport_rate_delay",
				   conf->v.default_transport_rate_delay,
				   &set->transport_rate_delay_s, fault);
}

enum rc transport_settings_load(const struct conf *conf, const char *transport,
				struct transport_settings *ret,
				struct fault *fault)
{
	const struct conf_values *v = &conf->v;
	struct transport_settings set = { 0 };

	if (load_numbers(conf, transport, &set, fault) != RC_OK ||
	    load_times(conf, transport, &set, fault) != RC_OK ||
	    load_feedback(conf, transport,
			  "_destination_concurrency_positive_feedback",
			  v->default_destination_concurrency_positive_feedback,
			  &set.positive, fault) != RC_OK ||
	    load_feedback(conf, transport,
			  "_destination_concurrency_negative_feedback",
			  v->default_destination_concurrency_negative_feedback,
			  &set.negative, fault) != RC_OK)
		return fault->rc;
	if (set.rate_delay_s > 0)
		set.concurrency_limit = 1;
	if (set.concurrency_limit > 0)
		set.initial_concurrency =
			MIN_OF(set.initial_concurrency, set.concurrency_limit);
	set.initial_concurrency = MAX_OF(set.initial_concurrency, 1);
	*ret = set;
	return RC_OK;
}
