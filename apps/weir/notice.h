/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the libraries report through their log hooks, on standard error.
 *
 * Notices (memory that is not in huge pages, say) are kept back until a command begins its real
 * work, so that a command line which is refused gives one line and nothing else; each is shown
 * once. Errors are not shown: the call that fails returns their text. With --verbose everything is
 * shown at once.
 */
#ifndef WEIR_APPS_NOTICE_H
#define WEIR_APPS_NOTICE_H

#include <weir/log.h>

/* A hook for the log member of the libraries' options. */
struct weir_log notice_log(void);

/* Shows what was kept back, and from now on each notice as it comes. */
void notice_show(void);

/* Shows everything, whatever its level. */
void notice_verbose(void);

#endif
