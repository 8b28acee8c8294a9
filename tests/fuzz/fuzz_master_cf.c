/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/master_cf.h"

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(TALLOC_CTX *mem, const struct conf *conf,
		      const struct master_entry *entry)
{
	struct master_table *again;
	struct fault fault;
	struct buf line;
	enum rc rc;

	buf_init(&line, mem, 16 << 20);
	buf_add_char(&line, '\n'); /* no byte order mark */
	for (size_t i = 0; i < entry->word_count; i++)
		buf_addf(&line, "%s ", entry->words[i]);
	rc = master_cf_parse(mem, conf, buf_span(&line), "again", &again,
			     &fault);
	assert(rc == RC_OK && again->count == 1);
	assert(again->entries[0].argc == entry->argc);
	assert(again->entries[0].override_count == entry->override_count);
	for (size_t i = 0; i < entry->override_count; i++)
		assert(strcmp(again->entries[0].overrides[i],
			      entry->overrides[i]) == 0);
	for (size_t i = 0; i < entry->argc; i++)
		assert(strcmp(again->entries[0].argv[i], entry->argv[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct conf_source source = { .config_directory = "/",
					    .defaults_only = true };
	static struct conf *conf;
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span text = { (const char *)data, size };
	struct master_table *table;
	struct fault fault;

	if (conf == NULL && conf_load(&source, &conf, &fault) != RC_OK)
		__builtin_trap();
	if (master_cf_parse(mem, conf, text, "master.cf", &table, &fault) ==
	    RC_OK) {
		for (size_t i = 0; i < table->count; i++)
			read_back(mem, conf, &table->entries[i]);
	}
	talloc_free(mem);
	return 0;
}
