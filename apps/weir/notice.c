/* SPDX-License-Identifier: BSD-3-Clause */
#include "notice.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A program has one standard error, so this is the program's state. */
static struct {
	pthread_mutex_t lock;
	bool verbose;
	bool show;
	unsigned int nr; /* different notices so far; those beyond the array are not kept */
	char texts[8][256];
} notices = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_known(const char *text)
{
	for (unsigned int i = 0; i < notices.nr; i++) {
		if (!strncmp(notices.texts[i], text, sizeof(notices.texts[i]) - 1))
			return true;
	}
	return false;
}

static void keep(const char *text)
{
	if (is_known(text) || notices.nr == sizeof(notices.texts) / sizeof(notices.texts[0]))
		return;
	snprintf(notices.texts[notices.nr++], sizeof(notices.texts[0]), "%s", text);
	if (notices.show)
		fprintf(stderr, "note: %s\n", text);
}

static void take_line(void *ctx, enum weir_log_level level, const char *text)
{
	(void)ctx;
	pthread_mutex_lock(&notices.lock);
	if (notices.verbose)
		fprintf(stderr, "%s: %s\n", level == WEIR_LOG_ERROR ? "error" : "note", text);
	else if (level == WEIR_LOG_WARN)
		keep(text);
	pthread_mutex_unlock(&notices.lock);
}

struct weir_log notice_log(void)
{
	return (struct weir_log){
		.write = take_line,
		.level = notices.verbose ? WEIR_LOG_DEBUG : WEIR_LOG_WARN,
	};
}

void notice_show(void)
{
	pthread_mutex_lock(&notices.lock);
	for (unsigned int i = 0; !notices.show && i < notices.nr; i++)
		fprintf(stderr, "note: %s\n", notices.texts[i]);
	notices.show = true;
	pthread_mutex_unlock(&notices.lock);
}

void notice_verbose(void)
{
	notices.verbose = true;
}
