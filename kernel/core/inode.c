// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes of a file system that nobody sees. Each device has one, whose mapping is that of all its
 * files, so that all mappings of one device's BARs can be taken away, and no others.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "core/private.h"

/* "weir" */
#define INODE_MAGIC 0x77656972

static struct vfsmount *mount;
static int mount_users;

static int inode_init_context(struct fs_context *context)
{
	return init_pseudo(context, INODE_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type inode_fs = {
	.name = "weir-vfio",
	.owner = THIS_MODULE,
	.init_fs_context = inode_init_context,
	.kill_sb = kill_anon_super,
};

struct inode *weir_inode_new(void)
{
	struct inode *inode;
	int rc = simple_pin_fs(&inode_fs, &mount, &mount_users);

	if (rc)
		return ERR_PTR(rc);
	inode = alloc_anon_inode(mount->mnt_sb);
	if (IS_ERR(inode))
		simple_release_fs(&mount, &mount_users);
	return inode;
}

void weir_inode_free(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&mount, &mount_users);
}
