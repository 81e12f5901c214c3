/* SPDX-License-Identifier: BSD-3-Clause */
/* SIGINT and SIGTERM ask a command to end in order; a second one ends it at once. */
#ifndef WEIR_APPS_STOP_H
#define WEIR_APPS_STOP_H

#include <stdbool.h>

/* Catches the signals, and ignores SIGPIPE. `action` (may be NULL) is called from the handler. */
void stop_on_signals(void (*action)(void *ctx), void *ctx);

/* Whether one has come. Blocking calls return -EINTR then. */
bool stop_requested(void);

#endif
