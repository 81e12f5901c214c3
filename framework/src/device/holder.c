/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the process behind an open file by reading the links in /proc/PID/fd. The client of a
 * socket is found in two steps: the kernel's list of UNIX sockets (NETLINK_SOCK_DIAG) gives the
 * inode of the socket at the other end of each connection that the server has accepted, and that
 * inode is a link of the client.
 */
#include "device/holder.h"

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CLIENTS 64

static bool process_has_link(const char *pid, const char *link)
{
	char path[300], target[300];
	struct dirent *entry;
	bool found = false;
	ssize_t length;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		found = !strcmp(target, link);
	}
	closedir(dir);
	return found;
}

static void describe(const char *pid, char text[HOLDER_TEXT])
{
	char path[300], name[17] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = '\0';
		fclose(file);
	}
	name[strcspn(name, "\n")] = '\0';
	if (atoi(pid) == getpid())
		snprintf(text, HOLDER_TEXT, "this process");
	else
		snprintf(text, HOLDER_TEXT, "process %.10s (%s)", pid, name);
}

bool holder_of_link(const char *link, char text[HOLDER_TEXT])
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	snprintf(text, HOLDER_TEXT, "another process");
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		found = process_has_link(entry->d_name, link);
		if (found)
			describe(entry->d_name, text);
	}
	closedir(dir);
	return found;
}

/* The sockets at the far ends of a server's connections. */
struct clients {
	const char *path;
	struct stat stat; /* of the path */
	unsigned int inodes[MAX_CLIENTS];
	unsigned int nr;
};

static void add_client(struct clients *clients, const struct nlmsghdr *message)
{
	const struct unix_diag_msg *diag = NLMSG_DATA(message);
	const struct rtattr *attr = (const struct rtattr *)(diag + 1);
	int length = (int)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*diag)));
	bool here = false;
	unsigned int peer = 0;

	for (; RTA_OK(attr, length); attr = RTA_NEXT(attr, length)) {
		const char *data = RTA_DATA(attr);
		size_t bytes = RTA_PAYLOAD(attr);
		struct unix_diag_vfs vfs;

		if (attr->rta_type == UNIX_DIAG_NAME) {
			here |= strnlen(data, bytes) == strlen(clients->path) &&
				!memcmp(data, clients->path, strlen(clients->path));
		} else if (attr->rta_type == UNIX_DIAG_VFS && bytes >= sizeof(vfs)) {
			/* The kernel's own device number: 12 bits of major, 20 of minor. */
			memcpy(&vfs, data, sizeof(vfs));
			here |= vfs.udiag_vfs_ino == (__u32)clients->stat.st_ino &&
				vfs.udiag_vfs_dev == (major(clients->stat.st_dev) << 20 |
						      minor(clients->stat.st_dev));
		} else if (attr->rta_type == UNIX_DIAG_PEER && bytes >= sizeof(peer)) {
			memcpy(&peer, data, sizeof(peer));
		}
	}
	/* Inode 0 is a connection that nobody has accepted yet. */
	if (here && peer && diag->udiag_ino && clients->nr < MAX_CLIENTS)
		clients->inodes[clients->nr++] = peer;
}

static int ask_for_connections(int netlink)
{
	const struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} ask = {
		.header = { .nlmsg_len = sizeof(ask),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = AF_UNIX,
			     .udiag_states = 1u << TCP_ESTABLISHED,
			     .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER },
	};
	const struct timeval limit = { .tv_sec = 1 };

	if (setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    send(netlink, &ask, sizeof(ask), 0) < 0)
		return -errno;
	return 0;
}

static void read_connections(int netlink, struct clients *clients)
{
	_Alignas(struct nlmsghdr) char buffer[16384];
	ssize_t got;

	while ((got = recv(netlink, buffer, sizeof(buffer), 0)) > 0) {
		struct nlmsghdr *message = (struct nlmsghdr *)buffer;
		unsigned int length = (unsigned int)got;

		for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
			if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
				return;
			if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
				add_client(clients, message);
		}
	}
}

bool holder_of_socket(const char *path, int own, char text[HOLDER_TEXT])
{
	struct clients clients = { .path = path };
	struct stat stat_own;
	bool other = false;
	char link[40];
	int netlink;

	snprintf(text, HOLDER_TEXT, "another process");
	if (stat(path, &clients.stat) || fstat(own, &stat_own))
		return false;
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0)
		return false;
	if (!ask_for_connections(netlink))
		read_connections(netlink, &clients);
	close(netlink);

	for (unsigned int i = 0; i < clients.nr; i++) {
		if (clients.inodes[i] == (unsigned int)stat_own.st_ino)
			continue;
		other = true;
		snprintf(link, sizeof(link), "socket:[%u]", clients.inodes[i]);
		if (holder_of_link(link, text))
			break;
	}
	return other;
}
