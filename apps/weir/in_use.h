/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether somebody would miss a PCI function that is taken from its driver. */
#ifndef WEIR_APPS_IN_USE_H
#define WEIR_APPS_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

#define IN_USE_TEXT 200

/*
 * Looks at the block devices, network interfaces and virtual functions of a PCI function. What is
 * mounted in another mount namespace, or is used in a network namespace that this process does not
 * see, shows only by being opened.
 *
 * @param[out] why  IN_USE_TEXT bytes: by what, and how to end it
 */
bool in_use(const char *root, const char *address, char *why);

/* Whether a process has the VFIO nodes of a function open. `group` is a node's name, or "". */
bool in_use_by_vfio(const char *root, const char *address, const char *group, char *why);

/* in_use_block.c, in_use_net.c */
bool in_use_block(const char *root, const char *address, char *why);
bool in_use_net(const char *root, const char *address, char *why);

/* Whether the /sys link of a class device, such as /sys/class/net/eth0, goes through a folder. */
bool in_use_below(const char *root, const char *link, const char *folder);

#endif
