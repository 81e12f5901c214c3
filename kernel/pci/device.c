// SPDX-License-Identifier: GPL-2.0-only
/* A PCI function as a device of the core: its life, opening and closing, ioctls. */
#include <linux/pm_runtime.h>
#include <linux/string.h>

#include "core/lock.h"
#include "pci/private.h"

static int device_init(struct weir_device *device)
{
	struct weir_pci *pci = weir_pci_of(device);

	pci->pdev = to_pci_dev(device->parent);
	mutex_init(&pci->config_lock);
	weir_lock_name(&pci->config_lock, "weir_pci.config_lock");
	init_rwsem(&pci->memory_lock);
	weir_lock_name(&pci->memory_lock, "weir_pci.memory_lock");
	INIT_LIST_HEAD(&pci->buffers);
	spin_lock_init(&pci->command_lock);
	weir_lock_name(&pci->command_lock, "weir_pci.command_lock");
	mutex_init(&pci->irq_lock);
	weir_lock_name(&pci->irq_lock, "weir_pci.irq_lock");
	spin_lock_init(&pci->event_lock);
	weir_lock_name(&pci->event_lock, "weir_pci.event_lock");
	pci->irq_index = WEIR_PCI_NO_IRQS;
	return 0;
}

static void device_release(struct weir_device *device)
{
	struct weir_pci *pci = weir_pci_of(device);

	mutex_destroy(&pci->irq_lock);
	mutex_destroy(&pci->config_lock);
}

/* Probe is called with a use of the device counted, which is given back for it to fall asleep. */
void weir_pci_power_begin(struct weir_pci *pci, bool idle_d3)
{
	struct device *dev = &pci->pdev->dev;

	pci->idle_d3 = idle_d3;
	pm_runtime_allow(dev);
	if (idle_d3)
		pm_runtime_put(dev);
}

void weir_pci_power_end(struct weir_pci *pci)
{
	struct device *dev = &pci->pdev->dev;

	if (pci->idle_d3)
		pm_runtime_get_noresume(dev);
	pm_runtime_forbid(dev);
}

static void find_intx(struct weir_pci *pci)
{
	struct pci_dev *pdev = pci->pdev;
	u8 pin = 0;

	pci_read_config_byte(pdev, PCI_INTERRUPT_PIN, &pin);
	pci->has_intx = pin && pdev->irq && pdev->irq != IRQ_NOTCONNECTED;
	pci->maskable_intx = pci_intx_mask_supported(pdev) && !weir_pci_no_intx_mask();
	memset(&pci->intx, 0, sizeof(pci->intx));
}

static int device_open(struct weir_device *device)
{
	struct weir_pci *pci = weir_pci_of(device);
	struct pci_dev *pdev = pci->pdev;
	int rc;

	rc = pm_runtime_resume_and_get(&pdev->dev);
	if (rc < 0)
		return rc;
	/* What a driver before has left running must not reach the new owner's memory. */
	pci_clear_master(pdev);
	rc = pci_enable_device(pdev);
	if (rc)
		goto power_down;
	/*
	 * Nobody answers to the line before its user asks for it, and after the last close: what is
	 * saved here and restored then has it masked. The next pci_enable_device() lets it through.
	 */
	find_intx(pci);
	weir_pci_intx_update(pci);

	down_write(&pci->memory_lock);
	rc = weir_pci_try_reset(pci);
	up_write(&pci->memory_lock);
	if (rc == -EAGAIN)
		goto disable;
	pci->can_reset = !rc;
	pci->needs_reset = false;
	pci_save_state(pdev);
	pci->saved_state = pci_store_saved_state(pdev);
	if (!pci->saved_state) {
		rc = -ENOMEM;
		goto disable;
	}

	weir_pci_irqs_open(pci);
	weir_pci_bars_open(pci);
	weir_pci_fields_init(pci);
	down_write(&pci->memory_lock);
	weir_pci_command_set_opened(pci, true);
	up_write(&pci->memory_lock);
	return 0;

disable:
	pci_disable_device(pdev);
power_down:
	pm_runtime_put(&pdev->dev);
	return rc;
}

/* Back to what it was before it was opened. Nobody reaches the device any more. */
static void restore(struct weir_pci *pci)
{
	struct pci_dev *pdev = pci->pdev;
	int rc;

	down_write(&pci->memory_lock);
	rc = weir_pci_try_reset(pci);
	pci->needs_reset = rc == -EAGAIN;
	pci_load_and_free_saved_state(pdev, &pci->saved_state);
	pci_restore_state(pdev);
	up_write(&pci->memory_lock);
	if (rc && pci->can_reset && rc != -EAGAIN)
		pci_warn(pdev, "cannot be reset after use: error %d\n", rc);
}

static void device_close(struct weir_device *device)
{
	struct weir_pci *pci = weir_pci_of(device);
	struct pci_dev *pdev = pci->pdev;

	down_write(&pci->memory_lock);
	weir_pci_memory_lose(pci);
	weir_pci_buffers_forget(pci);
	weir_pci_power_up(pci);
	weir_pci_command_set_opened(pci, false);
	up_write(&pci->memory_lock);

	weir_pci_irqs_close(pci);
	pci_clear_master(pdev);
	restore(pci);
	weir_pci_bars_close(pci);
	pci_disable_device(pdev);
	pm_runtime_put(&pdev->dev);
}

static long device_ioctl(struct weir_device *device, unsigned int command, unsigned long argument)
{
	struct weir_pci *pci = weir_pci_of(device);
	void __user *pointer = (void __user *)argument;

	switch (command) {
	case VFIO_DEVICE_GET_INFO:
		return weir_pci_get_info(pci, pointer);
	case VFIO_DEVICE_GET_REGION_INFO:
		return weir_pci_get_region_info(pci, pointer);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return weir_pci_get_irq_info(pci, pointer);
	case VFIO_DEVICE_SET_IRQS:
		return weir_pci_set_irqs(pci, pointer);
	case VFIO_DEVICE_RESET:
		return weir_pci_reset(pci);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return weir_pci_get_hot_reset_info(pci, pointer);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return weir_pci_hot_reset(pci, pointer);
	case VFIO_DEVICE_FEATURE:
		return weir_pci_feature(pci, pointer);
	default:
		return -ENOTTY;
	}
}

/*
 * Functions are called by their address, "0000:01:00.0". After a space options may follow, of which
 * there is one, a virtual function's token: no function that can be opened has one.
 */
static int device_match(struct weir_device *device, const char *name)
{
	struct weir_pci *pci = weir_pci_of(device);
	size_t length = strlen(pci_name(pci->pdev));
	const char *options;

	if (strncmp(name, pci_name(pci->pdev), length))
		return 0;
	if (name[length] && name[length] != ' ')
		return 0;
	options = skip_spaces(name + length);
	if (!*options)
		return 1;
	pci_notice_ratelimited(pci->pdev, "opened with \"%s\": the function takes no option\n",
			       options);
	return -EINVAL;
}

const struct weir_device_ops weir_pci_device_ops = {
	.name = WEIR_PCI_NAME,
	.owner = THIS_MODULE,
	.init = device_init,
	.release = device_release,
	.open = device_open,
	.close = device_close,
	.ioctl = device_ioctl,
	.read = weir_pci_read,
	.write = weir_pci_write,
	.mmap = weir_pci_mmap,
	.request = weir_pci_request,
	.match = device_match,
	.bar_buffer = weir_pci_bar_buffer,
};
