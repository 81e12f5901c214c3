/* SPDX-License-Identifier: BSD-3-Clause */
/* Who holds a device: for the text of -EBUSY. */
#ifndef WEIR_DEVICE_HOLDER_H
#define WEIR_DEVICE_HOLDER_H

#include <stdbool.h>
#include <sys/types.h>

/* Room for "process 4194304 (fifteen letters)". */
#define HOLDER_TEXT 64

/*
 * Describes the process that has a descriptor whose link in /proc/PID/fd reads `link`, such as
 * "/dev/vfio/42" or "socket:[1234]". "another process" when none can be seen: then false.
 */
bool holder_of_link(const char *link, char text[HOLDER_TEXT]);

/*
 * Describes the client that is connected to the server listening on `path`, other than through our
 * own socket. false: there is none, or sockets cannot be listed here.
 */
bool holder_of_socket(const char *path, int own, char text[HOLDER_TEXT]);

#endif
