/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a PCI function is in the system: its driver, IOMMU group, device node; and what is in the
 * way of opening it. Everything is read below a root folder: "" is this machine, anything else a
 * made-up one.
 */
#ifndef WEIR_VFIO_PLACE_H
#define WEIR_VFIO_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <weir/error.h>

#define PLACE_NAME 64

struct vfio_place {
	char address[24]; /* as sysfs writes it */
	char driver[PLACE_NAME]; /* "": none */
	char group[PLACE_NAME]; /* its number; "": the IOMMU is off */
	bool unprotected; /* VFIO made the group, for want of an IOMMU */
	char cdev[PLACE_NAME]; /* "vfio7"; "": none */
	int node; /* NUMA node, -1: none */
};

/* Finds a function by its PCI address. -ENOENT. */
int place_find(const char *root, const char *address, struct vfio_place *place,
	       struct weir_error *err);

/* The nodes that the doors open. */
void place_group_node(const char *root, const struct vfio_place *place, char path[PATH_MAX]);
void place_cdev_node(const char *root, const struct vfio_place *place, char path[PATH_MAX]);

/*
 * Says what is in the way of opening a device by its group, or by itself: the first of IOMMU off,
 * taken by VFIO all the same, and module missing (-EOPNOTSUPP), another driver (-EBUSY, -EOPNOTSUPP
 * when there is none), node missing (-EOPNOTSUPP), no rights (-EACCES). 0: nothing that can be
 * seen.
 */
int place_check_group(const char *root, const struct vfio_place *place, struct weir_error *err);
int place_check_cdev(const char *root, const struct vfio_place *place, struct weir_error *err);

/* Whether another function of its group is bound to VFIO too, which then is in `name`. */
bool place_neighbour(const char *root, const struct vfio_place *place, char name[PLACE_NAME]);

/* Says which device keeps a group from being viable, and what has it. Returns -EBUSY. */
int place_not_viable(const char *root, const struct vfio_place *place, struct weir_error *err);

/* Says whether an address range lies in one that the function's group reserves: then *first and
 * *last are that one. */
bool place_reserves(const char *root, const struct vfio_place *place, unsigned long long from,
		    unsigned long long to, unsigned long long *first, unsigned long long *last);

#endif
