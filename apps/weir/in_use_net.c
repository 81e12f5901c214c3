/* SPDX-License-Identifier: BSD-3-Clause */
/* The network interfaces of a function: up with an address or a route, or part of another. */
#include "in_use.h"
#include "tree.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NET "/sys/class/net"

/* Whether a table below /proc/net has a line with the interface in a column, and `prefix` not in
 * front of it. */
static bool table_names(const char *root, const char *path, const char *interface,
			unsigned int column, const char *not_prefix)
{
	char *text = tree_file(root, path), *line, *rest = text;
	bool found = false;

	while (!found && (line = strsep(&rest, "\n"))) {
		char *word, *words = line;
		bool skip = *not_prefix && !strncmp(line, not_prefix, strlen(not_prefix));

		for (unsigned int i = 0; !skip && (word = strsep(&words, " \t"));) {
			if (!*word)
				continue;
			found = found || (i == column && !strcmp(word, interface));
			i++;
		}
	}
	free(text);
	return found;
}

/* An IPv4 address that makes no route, such as a /32, shows in no table below /proc. */
static bool has_ipv4(const char *root, const char *interface)
{
	struct ifaddrs *all, *each;
	bool found = false;

	if (*root || getifaddrs(&all))
		return false;
	for (each = all; each; each = each->ifa_next)
		found = found || (each->ifa_addr && each->ifa_addr->sa_family == AF_INET &&
				  !strcmp(each->ifa_name, interface));
	freeifaddrs(all);
	return found;
}

/* What the interface is for, or NULL. Every interface that is up has a link-local address and its
 * routes: they count for nothing. */
static const char *purpose(const char *root, const char *interface)
{
	if (table_names(root, "/proc/net/route", interface, 0, ""))
		return "has IPv4 routes";
	if (has_ipv4(root, interface))
		return "has an IPv4 address";
	if (table_names(root, "/proc/net/if_inet6", interface, 5, "fe80"))
		return "has an IPv6 address";
	return NULL;
}

static bool interface_in_use(const char *root, const char *interface, char *why)
{
	char path[300], upper[64];
	uint64_t flags = 0;
	const char *reason;
	unsigned int nr;
	char **names;

	snprintf(path, sizeof(path), NET "/%s", interface);
	names = tree_names(root, path, "upper_", &nr);
	snprintf(upper, sizeof(upper), "%.63s", nr ? names[0] + strlen("upper_") : "");
	tree_free_names(names);
	if (*upper) {
		snprintf(why, IN_USE_TEXT, "%.32s is part of %.32s: take it out of that first",
			 interface, upper);
		return true;
	}
	if (!tree_number(root, &flags, NET "/%s/flags", interface) || !(flags & IFF_UP))
		return false;
	reason = purpose(root, interface);
	if (!reason)
		return false;
	snprintf(why, IN_USE_TEXT, "%.32s is up and %s: 'ip link set %.32s down' takes it down",
		 interface, reason, interface);
	return true;
}

bool in_use_net(const char *root, const char *address, char *why)
{
	bool found = false;
	char path[300];
	unsigned int nr;
	char **names = tree_names(root, NET, "", &nr);

	for (unsigned int i = 0; !found && i < nr; i++) {
		snprintf(path, sizeof(path), NET "/%s", names[i]);
		found = in_use_below(root, path, address) && interface_in_use(root, names[i], why);
	}
	tree_free_names(names);
	return found;
}
