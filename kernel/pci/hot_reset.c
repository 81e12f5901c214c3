// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hot reset: of a slot or a bus, with all functions on it and below. Whoever asks for it proves by
 * groups' files that every one of these is theirs; or by the context that the device was bound to
 * by its own node, which owns all of them, or not.
 */
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core/group.h"
#include "pci/private.h"

const void *weir_pci_set_id(struct pci_dev *pdev)
{
	if (pci_is_root_bus(pdev->bus))
		return NULL;
	if (!pci_probe_reset_slot(pdev->slot))
		return pdev->slot;
	return pdev->bus;
}

/* Functions that one reset hits. slot is NULL when it is the whole bus. */
struct scope {
	struct pci_bus *bus;
	struct pci_slot *slot;
};

/* -ENODEV: there is no such reset. */
static int find_scope(struct pci_dev *pdev, struct scope *scope)
{
	scope->bus = pdev->bus;
	scope->slot = NULL;
	if (!pci_probe_reset_slot(pdev->slot))
		scope->slot = pdev->slot;
	else if (pci_probe_reset_bus(pdev->bus))
		return -ENODEV;
	return 0;
}

static bool is_in_scope(struct pci_dev *pdev, const struct scope *scope)
{
	if (!scope->slot)
		return true;
	while (pdev && pdev->bus != scope->bus)
		pdev = pdev->bus->self;
	return pdev && pdev->slot == scope->slot;
}

/* The set's device that is the function, NULL if there is none. [3] is held. */
static struct weir_device *find_in_set(const struct weir_device_set *set,
				       const struct pci_dev *pdev)
{
	struct weir_device *device;

	list_for_each_entry(device, &set->devices, set_entry) {
		if (device->parent == &pdev->dev)
			return device;
	}
	return NULL;
}

/* Notes every function in scope, of which there is room for limit; count is how many there are. */
struct survey {
	struct scope scope;
	struct weir_device_set *set;
	/* Functions are told by their ids in it, or, when it is NULL, by their groups. */
	const struct weir_context *context;
	struct vfio_pci_dependent_device *devices;
	u32 count, limit;
	/* A function is not the context's. */
	bool foreign;
	int rc;
};

/* The function's id in the survey's context. [3] is held. */
static u32 survey_id(struct survey *survey, const struct pci_dev *pdev)
{
	const struct weir_device *device = find_in_set(survey->set, pdev);
	u32 id;

	if (device && weir_context_owns_device(survey->context, device, &id))
		return id ?: VFIO_PCI_DEVID_OWNED;
	survey->foreign = true;
	return VFIO_PCI_DEVID_NOT_OWNED;
}

/* The number of the function's group. Without one it cannot be told of. */
static u32 survey_group(struct survey *survey, struct pci_dev *pdev)
{
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	u32 id;

	if (!group) {
		survey->rc = -EPERM;
		return 0;
	}
	id = iommu_group_id(group);
	iommu_group_put(group);
	return id;
}

static int survey_one(struct pci_dev *pdev, void *data)
{
	struct survey *survey = data;
	struct vfio_pci_dependent_device *device;

	if (!is_in_scope(pdev, &survey->scope))
		return 0;
	if (survey->count >= survey->limit) {
		survey->count++;
		return 0;
	}
	device = &survey->devices[survey->count++];
	device->devid = survey->context ? survey_id(survey, pdev) : survey_group(survey, pdev);
	device->segment = pci_domain_nr(pdev->bus);
	device->bus = pdev->bus->number;
	device->devfn = pdev->devfn;
	return survey->rc;
}

static u32 count_devices(const struct scope *scope)
{
	struct survey survey = { .scope = *scope };

	pci_walk_bus(scope->bus, survey_one, &survey);
	return survey.count;
}

long weir_pci_get_hot_reset_info(struct weir_pci *pci, void __user *argument)
{
	struct vfio_pci_hot_reset_info info;
	const size_t head = sizeof(info);
	struct survey survey = {
		.set = pci->device.set,
		.context = weir_device_context(&pci->device),
	};
	long rc;

	if (copy_from_user(&info, argument, head))
		return -EFAULT;
	if (info.argsz < head)
		return -EINVAL;
	rc = find_scope(pci->pdev, &survey.scope);
	if (rc)
		return rc;

	survey.limit = min_t(u32, (info.argsz - head) / sizeof(*survey.devices),
			     count_devices(&survey.scope));
	survey.devices = kcalloc(survey.limit, sizeof(*survey.devices), GFP_KERNEL_ACCOUNT);
	if (!survey.devices)
		return -ENOMEM;
	mutex_lock(&survey.set->lock);
	pci_walk_bus(survey.scope.bus, survey_one, &survey);
	mutex_unlock(&survey.set->lock);
	rc = survey.rc;
	if (rc)
		goto free_devices;

	info.flags = 0;
	/* Of devices that are told, and of no others. */
	if (survey.context && survey.count <= survey.limit)
		info.flags |= VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	if (info.flags && !survey.foreign)
		info.flags |= VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	info.count = survey.count;
	if (survey.count > survey.limit)
		rc = -ENOSPC;
	else if (copy_to_user(argument + head, survey.devices,
			      survey.count * sizeof(*survey.devices)))
		rc = -EFAULT;
	if (rc != -EFAULT && copy_to_user(argument, &info, head))
		rc = -EFAULT;
free_devices:
	kfree(survey.devices);
	return rc;
}

/* A set of devices, and the proofs of its ownership. */
struct proof {
	struct weir_device_set *set;
	struct scope scope;
	/* It proves by itself, or files do. */
	const struct weir_context *context;
	struct file **files;
	u32 count;
	/* A function is in scope, and not in the set. */
	bool foreign;
};

static bool is_proven(const struct proof *proof, const struct weir_device *device)
{
	u32 i, id;

	if (proof->context)
		return weir_context_owns_device(proof->context, device, &id);
	for (i = 0; i < proof->count; i++) {
		if (weir_file_owns_device(proof->files[i], device))
			return true;
	}
	return false;
}

/* Ends the walk at a function that is driven by somebody else, or is a bridge. */
static int find_foreign(struct pci_dev *pdev, void *data)
{
	struct proof *proof = data;

	if (!is_in_scope(pdev, &proof->scope) || find_in_set(proof->set, pdev))
		return 0;
	proof->foreign = true;
	return 1;
}

/* Powers the set's devices up: it cannot be done once their locks are held. */
static int wake_set(struct weir_device_set *set)
{
	struct weir_device *device;
	int rc;

	list_for_each_entry(device, &set->devices, set_entry) {
		rc = pm_runtime_resume_and_get(device->parent);
		if (rc < 0)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(device, &set->devices, set_entry)
		pm_runtime_put(device->parent);
	return rc;
}

static int lock_set(struct weir_device_set *set)
{
	struct weir_device *device;

	list_for_each_entry(device, &set->devices, set_entry) {
		if (!down_write_trylock(&weir_pci_of(device)->memory_lock))
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(device, &set->devices, set_entry)
		up_write(&weir_pci_of(device)->memory_lock);
	return -EBUSY;
}

/* Every device's lock is held. */
static int reset_set(struct weir_device_set *set, struct pci_dev *pdev)
{
	struct weir_device *device;
	struct weir_pci *pci;
	int rc;

	list_for_each_entry(device, &set->devices, set_entry) {
		pci = weir_pci_of(device);
		if (!pci->opened)
			continue;
		weir_pci_memory_lose(pci);
		weir_pci_power_up(pci);
		/* For vectors of MSI-X to be restored (reset.c). */
		weir_pci_memory_force(pci);
	}
	rc = pci_reset_bus(pdev);
	list_for_each_entry_reverse(device, &set->devices, set_entry) {
		pci = weir_pci_of(device);
		if (pci->opened) {
			weir_pci_command_set_decode(pci, pci->decode);
			weir_pci_memory_regain(pci);
		}
		up_write(&pci->memory_lock);
	}
	return rc;
}

static int hot_reset_locked(struct proof *proof, struct pci_dev *pdev)
{
	struct weir_device_set *set = proof->set;
	struct weir_device *device;
	int rc;

	pci_walk_bus(proof->scope.bus, find_foreign, proof);
	if (proof->foreign)
		return -EINVAL;
	list_for_each_entry(device, &set->devices, set_entry) {
		if (!is_proven(proof, device))
			return -EINVAL;
	}

	rc = wake_set(set);
	if (rc)
		return rc;
	rc = lock_set(set);
	if (!rc)
		rc = reset_set(set, pdev);
	list_for_each_entry(device, &set->devices, set_entry)
		pm_runtime_put(device->parent);
	return rc;
}

/* Files of groups for the descriptors. Those that were had are counted in the proof. */
static int get_files(struct proof *proof, const s32 *fds, u32 count)
{
	struct file *file;

	for (; proof->count < count; proof->count++) {
		file = fget(fds[proof->count]);
		if (!file)
			return -EBADF;
		if (!weir_file_is_group(file)) {
			fput(file);
			return -EINVAL;
		}
		proof->files[proof->count] = file;
	}
	return 0;
}

static long hot_reset(struct proof *proof, struct pci_dev *pdev)
{
	long rc;

	mutex_lock(&proof->set->lock);
	rc = hot_reset_locked(proof, pdev);
	mutex_unlock(&proof->set->lock);
	return rc;
}

static long hot_reset_by_groups(struct proof *proof, struct pci_dev *pdev, const s32 __user *user,
				u32 count)
{
	s32 *fds;
	long rc;

	fds = memdup_user(user, array_size(count, sizeof(*fds)));
	if (IS_ERR(fds))
		return PTR_ERR(fds);
	proof->files = kcalloc(count, sizeof(*proof->files), GFP_KERNEL_ACCOUNT);
	rc = proof->files ? get_files(proof, fds, count) : -ENOMEM;
	kfree(fds);
	if (!rc)
		rc = hot_reset(proof, pdev);
	while (proof->count)
		fput(proof->files[--proof->count]);
	kfree(proof->files);
	return rc;
}

long weir_pci_hot_reset(struct weir_pci *pci, void __user *argument)
{
	struct proof proof = {
		.set = pci->device.set,
		.context = weir_device_context(&pci->device),
	};
	struct vfio_pci_hot_reset request;
	const size_t head = sizeof(request);
	long rc;

	if (copy_from_user(&request, argument, head))
		return -EFAULT;
	if (request.argsz < head || request.flags)
		return -EINVAL;
	/* Groups prove nothing beside a context, and must where there is none. */
	if (!request.count != !!proof.context)
		return -EINVAL;
	rc = find_scope(pci->pdev, &proof.scope);
	if (rc)
		return rc;
	/* More groups than functions prove nothing more. */
	if (request.count > count_devices(&proof.scope))
		return -EINVAL;
	if (proof.context)
		return hot_reset(&proof, pci->pdev);
	return hot_reset_by_groups(&proof, pci->pdev, argument + head, request.count);
}
