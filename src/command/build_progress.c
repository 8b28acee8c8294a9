/* SPDX-License-Identifier: Apache-2.0 */
#include "command/build_progress.h"

#include "base/clock.h"

enum { NUMBER_BYTES = 32, RATE_FROM_MS = 500 };

void build_progress_init(struct build_progress *progress, struct span table)
{
	*progress = (struct build_progress){ .table = table, .phase = -1 };
	terminal_init(&progress->terminal, stderr);
}

/* "1,234,567" */
static const char *grouped(uint64_t number, char text[NUMBER_BYTES])
{
	char plain[NUMBER_BYTES];
	int len = snprintf(plain, sizeof(plain), "%llu",
			   (unsigned long long)number);
	size_t used = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text[used++] = ',';
		text[used++] = plain[i];
	}
	text[used] = '\0';
	return text;
}

void build_progress_show(void *arg, const struct map_build_progress *now)
{
	struct build_progress *progress = arg;
	char lines[NUMBER_BYTES], rate[NUMBER_BYTES],
		share[NUMBER_BYTES] = "", left[2 * NUMBER_BYTES] = "";
	uint64_t ms = clock_mono_ms(), spent;

	if (!progress->terminal.is_terminal)
		return;
	if (progress->phase != (int)now->phase) {
		progress->phase = (int)now->phase;
		progress->start_ms = ms;
	}
	spent = ms - progress->start_ms;
	if (now->total > 0 && now->done <= now->total)
		snprintf(share, sizeof(share), ", %llu %%",
			 (unsigned long long)(now->done * 100 / now->total));
	if (spent >= RATE_FROM_MS)
		snprintf(left, sizeof(left), ", %s/s",
			 grouped(now->lines * 1000 / spent, rate));
	if (spent >= RATE_FROM_MS && share[0] != '\0' && now->done > 0) {
		uint64_t ms_left = spent * (now->total - now->done) / now->done;
		size_t used = strlen(left);

		snprintf(left + used, sizeof(left) - used, ", %llu s left",
			 (unsigned long long)(ms_left / 1000 + 1));
	}
	terminal_progress(&progress->terminal, "%.*s: %s %s%s%s",
			  SPAN_FMT(progress->table), grouped(now->lines, lines),
			  now->phase == MAP_BUILD_READS ? "lines read"
							: "records written",
			  share, left);
}

void build_progress_end(struct build_progress *progress)
{
	terminal_progress_end(&progress->terminal);
}
