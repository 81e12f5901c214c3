/* SPDX-License-Identifier: BSD-3-Clause */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

/* Signals belong to the process, so this is the program's state. */
static volatile sig_atomic_t requested;
static void (*stop_action)(void *ctx);
static void *stop_ctx;

static void handle_signal(int number)
{
	(void)number;
	requested = 1;
	if (stop_action)
		stop_action(stop_ctx);
}

void stop_on_signals(void (*action)(void *ctx), void *ctx)
{
	/* No SA_RESTART: a read from a terminal or pipe has to come back. */
	struct sigaction handler = { .sa_handler = handle_signal, .sa_flags = SA_RESETHAND };

	stop_action = action;
	stop_ctx = ctx;
	sigemptyset(&handler.sa_mask);
	sigaction(SIGINT, &handler, NULL);
	sigaction(SIGTERM, &handler, NULL);
	/* A reader that goes away is a failed write, not an end without a shutdown. */
	signal(SIGPIPE, SIG_IGN);
}

bool stop_requested(void)
{
	return requested;
}
