/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/iommu: what the files of this door to the engine share. Numbers in brackets are rows of the
 * lock order in kernel/README.md.
 *
 * A context is an open file, and has objects, which user space knows by their ids: address spaces,
 * page tables (domains of an address space), and devices, which are bound by the core.
 *
 * An object is in use in two ways. Other objects need it (users): then user space cannot destroy
 * it. And calls work with it, for as long as they last (calls): who destroys it takes it out of the
 * table first, so that no more calls find it, and waits for those. Whoever has the context's lock
 * [3a] needs no such call, for nothing is destroyed then; whoever is in a call never takes [3a].
 */
#ifndef WEIR_IOAS_DOOR_H
#define WEIR_IOAS_DOOR_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "ioas/ioas.h"

struct file;
struct iommu_group;
struct weir_context_ops;

enum weir_object_kind {
	WEIR_OBJECT_IOAS,
	WEIR_OBJECT_HWPT,
	WEIR_OBJECT_DEVICE,
};

struct weir_object {
	enum weir_object_kind kind;
	u32 id;
	/* [3a] */
	unsigned int users;
	/* Calls, and one for being in the table. */
	refcount_t calls;
	struct completion idle;
};

struct weir_context {
	/* Of struct weir_object; reserved, not there yet, if NULL. */
	struct xarray objects;

	/* [3a] guards all that follows. */
	struct mutex lock;
	/* Of struct weir_door_group: those of bound devices. */
	struct list_head groups;
	/* What type 1's ioctls work on; perhaps there is none. */
	struct weir_door_ioas *compatible;
	enum weir_ioas_accounting accounting;
	/* It stands in for a container of groups without an IOMMU. Also read without a lock. */
	bool no_iommu;
};

struct weir_door_ioas {
	struct weir_object object;
	struct weir_ioas *ioas;
	/* [3a] */
	struct list_head hwpts;
};

/* A page table. Its object's users are the groups that are attached by it. */
struct weir_hwpt {
	struct weir_object object;
	struct weir_door_ioas *ioas;
	struct list_head entry;
	struct weir_domain *domain;
	/* Made by an attachment, and goes with the last one. */
	bool automatic;
};

/* An IOMMU group with devices that are bound to the context; under [3a]. */
struct weir_door_group {
	struct list_head entry;
	struct iommu_group *iommu_group;
	unsigned int bound;
	/* Of these, how many are attached; all by this one. */
	unsigned int attached;
	struct weir_hwpt *hwpt;
};

struct weir_binding {
	struct weir_object object;
	struct weir_context *context;
	struct weir_door_group *group;
	/* [3a] */
	bool attached;
};

/* A command in progress. */
struct weir_call {
	struct weir_context *context;
	void __user *user;
	/* Of the caller's structure, and of what is known of it. */
	u32 user_size;
	size_t size;
	void *data;
};

/* Gives the caller the structure back, as it is now. -EFAULT. No lock is held. */
int weir_call_respond(const struct weir_call *call);

/* object.c */

/* Finds an object of a kind for a call, which ends with weir_object_put(). -ENOENT, an ERR_PTR. */
struct weir_object *weir_object_get(struct weir_context *context, u32 id,
				    enum weir_object_kind kind);
void weir_object_put(struct weir_object *object);

/* An object of any kind, NULL if there is none. [3a] is held. */
struct weir_object *weir_object_find(struct weir_context *context, u32 id);

/* Fills in a new object, and reserves its id, by which it cannot be found yet. -ENOMEM. */
int weir_object_init(struct weir_context *context, struct weir_object *object,
		     enum weir_object_kind kind);
/* It can be found from now on. [3a] is held. */
void weir_object_publish(struct weir_context *context, struct weir_object *object);
/* It cannot be found any more, and its id is free. [3a] is held if it was published. */
void weir_object_withdraw(struct weir_context *context, struct weir_object *object);
/* No call is at work with a withdrawn object when this returns. [3a] is not needed. */
void weir_object_drain(struct weir_object *object);

/* An address space for a call. -ENOENT, an ERR_PTR. Ends with weir_door_ioas_put(). */
static inline struct weir_door_ioas *weir_door_ioas_get(struct weir_context *context, u32 id)
{
	struct weir_object *object = weir_object_get(context, id, WEIR_OBJECT_IOAS);

	/* The object is the first member, as an error is no address. */
	return (struct weir_door_ioas *)object;
}

static inline void weir_door_ioas_put(struct weir_door_ioas *ioas)
{
	weir_object_put(&ioas->object);
}

/* ioas_commands.c: a new address space, with its id reserved. [3a] is held. -ENOMEM, an ERR_PTR. */
struct weir_door_ioas *weir_door_ioas_new(struct weir_context *context);
/* Its end; it is withdrawn, and nobody needs it. No lock is held. */
void weir_door_ioas_free(struct weir_door_ioas *ioas);

int weir_door_ioas_alloc(struct weir_call *call);
int weir_door_ranges(struct weir_call *call);
int weir_door_allow(struct weir_call *call);
int weir_door_map(struct weir_call *call);
int weir_door_map_file(struct weir_call *call);
int weir_door_copy(struct weir_call *call);
int weir_door_unmap(struct weir_call *call);

/* option.c */
int weir_door_option(struct weir_call *call);
int weir_door_change_process(struct weir_call *call);

/* hwpt.c */
int weir_door_hwpt_alloc(struct weir_call *call);
/*
 * The group, which is attached by none, is attached by the page table, or by one of the address
 * space; the other is NULL. Errors are those of weir_context_ops.attach. [3a] is held.
 */
int weir_hwpt_attach(struct weir_context *context, struct weir_door_group *group,
		     struct weir_door_ioas *ioas, struct weir_hwpt *hwpt);
/* Undoes it. Cannot fail. [3a] is held. */
void weir_hwpt_detach(struct weir_context *context, struct weir_door_group *group);
/*
 * As weir_hwpt_attach(), for a group that is attached by another one. The IOMMU API of these
 * kernels can only take it from there first: what the device does in between faults. On failure it
 * is there again, unless that fails, too, for want of memory: then it is attached by none. [3a] is
 * held.
 */
int weir_hwpt_move(struct weir_context *context, struct weir_door_group *group,
		   struct weir_door_ioas *ioas, struct weir_hwpt *hwpt);
/* The end of a page table that nobody needs; it is withdrawn. [3a] is held. */
void weir_hwpt_free(struct weir_hwpt *hwpt);

/* binding.c */
int weir_door_hw_info(struct weir_call *call);
extern const struct weir_context_ops weir_door_ops;

/* compatible.c: type 1's ioctls, and which address space they are about. */
int weir_door_vfio_ioas(struct weir_call *call);
long weir_compatible_ioctl(struct weir_context *context, unsigned int command,
			   unsigned long argument);

/* door.c: the context of a file, NULL if it is none of /dev/iommu. */
struct weir_context *weir_context_of_file(const struct file *file);

#endif
