// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does on purpose what the lab must notice, so that its tests can see it notice:
 *   insmod provoke.ko what=warn|kasan|ubsan|lockdep|sleep|leak
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *what = "";
module_param(what, charp, 0444);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void use_after_free(void)
{
	u8 *freed = kmalloc(64, GFP_KERNEL);

	kfree(freed);
	pr_info("provoke: read %u\n", READ_ONCE(freed[8]));
}

static void shift_too_far(void)
{
	unsigned int bits = 40;

	OPTIMIZER_HIDE_VAR(bits);
	pr_info("provoke: shifted to %d\n", 1 << bits);
}

static void take_in_both_orders(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_under_spinlock(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
}

static void leak(void)
{
	void *lost = kmalloc(4000, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(lost);
}

static int __init provoke_init(void)
{
	if (sysfs_streq(what, "warn"))
		WARN(1, "provoked\n");
	else if (sysfs_streq(what, "kasan"))
		use_after_free();
	else if (sysfs_streq(what, "ubsan"))
		shift_too_far();
	else if (sysfs_streq(what, "lockdep"))
		take_in_both_orders();
	else if (sysfs_streq(what, "sleep"))
		sleep_under_spinlock();
	else if (sysfs_streq(what, "leak"))
		leak();
	else
		return -EINVAL;
	return 0;
}

static void __exit provoke_exit(void)
{
}

module_init(provoke_init);
module_exit(provoke_exit);
MODULE_DESCRIPTION("Provokes what the guest lab must notice");
MODULE_LICENSE("GPL");
