// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module vfio_pci: a driver of PCI functions that gives them to user space. It takes functions
 * by driver_override, by the driver's file new_id, and by the parameter ids.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm.h>

#include "compat/compat.h"
#include "pci/private.h"

static char ids[1024] __initdata;
module_param_string(ids, ids, sizeof(ids), 0);
MODULE_PARM_DESC(ids, "Take vendor:device[:subvendor[:subdevice[:class[:class_mask]]]],...");

static bool enable_sriov;
module_param(enable_sriov, bool, 0444);
MODULE_PARM_DESC(enable_sriov, "Virtual functions of functions that user space drives");

static bool disable_idle_d3;
module_param(disable_idle_d3, bool, 0644);
MODULE_PARM_DESC(disable_idle_d3, "Keep functions awake while nobody has them open");

static bool nointxmask;
module_param(nointxmask, bool, 0644);
MODULE_PARM_DESC(nointxmask,
		 "Mask line interrupts at the interrupt controller, which makes them exclusive");

static bool disable_denylist;
module_param(disable_denylist, bool, 0444);
MODULE_PARM_DESC(disable_denylist, "Take functions that are known not to be safe in user space");

bool weir_pci_no_intx_mask(void)
{
	return nointxmask;
}

static int vfio_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct weir_pci *pci;
	int rc;

	if (!disable_denylist && weir_pci_is_denied(pdev)) {
		pci_warn(pdev, "%04x:%04x can harm the host: see the parameter disable_denylist\n",
			 pdev->vendor, pdev->device);
		return -EINVAL;
	}
	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return -EINVAL;

	pci = weir_device_alloc(struct weir_pci, device, &pdev->dev, &weir_pci_device_ops);
	if (IS_ERR(pci))
		return PTR_ERR(pci);
	rc = weir_device_join_set(&pci->device, weir_pci_set_id(pdev) ?: pci);
	if (rc)
		goto put;
	weir_pci_bars_check(pdev);
	pci_set_drvdata(pdev, pci);
	weir_pci_power_begin(pci, !disable_idle_d3);
	rc = weir_device_register(&pci->device);
	if (rc)
		goto end_power;
	return 0;

end_power:
	weir_pci_power_end(pci);
put:
	weir_device_put(&pci->device);
	return rc;
}

static void vfio_pci_remove(struct pci_dev *pdev)
{
	struct weir_pci *pci = pci_get_drvdata(pdev);

	weir_device_unregister(&pci->device);
	weir_pci_power_end(pci);

	/* The last user may have closed it while this waited with the device's lock: no reset. */
	if (pci->needs_reset && pci_reset_function_locked(pdev))
		pci_warn(pdev, "cannot be reset: what its user left in it is there still\n");
	weir_device_put(&pci->device);
}

static const struct pci_device_id vfio_pci_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{},
};
MODULE_DEVICE_TABLE(pci, vfio_pci_ids);

/* Power is managed by the PCI core alone, which asks for operations all the same. */
static const struct dev_pm_ops vfio_pci_pm_ops = {};

static struct pci_driver vfio_pci_driver = {
	.name = WEIR_PCI_NAME,
	.id_table = vfio_pci_ids,
	.probe = vfio_pci_probe,
	.remove = vfio_pci_remove,
	.err_handler = &weir_pci_error_handlers,
	.driver_managed_dma = true,
	.driver.pm = &vfio_pci_pm_ops,
};

static void __init add_ids(char *list)
{
	unsigned int vendor, device, subvendor, subdevice, class, class_mask;
	char *entry;
	int rc;

	while ((entry = strsep(&list, ","))) {
		if (!*entry)
			continue;
		subvendor = PCI_ANY_ID;
		subdevice = PCI_ANY_ID;
		class = 0;
		class_mask = 0;
		if (sscanf(entry, "%x:%x:%x:%x:%x:%x", &vendor, &device, &subvendor, &subdevice,
			   &class, &class_mask) < 2) {
			pr_warn("ids: \"%s\" does not begin with VENDOR:DEVICE in hexadecimal\n",
				entry);
			continue;
		}
		rc = pci_add_dynid(&vfio_pci_driver, vendor, device, subvendor, subdevice, class,
				   class_mask, 0);
		if (rc)
			pr_warn("ids: \"%s\" cannot be added: error %d\n", entry, rc);
	}
}

static int __init vfio_pci_init(void)
{
	int rc = pci_register_driver(&vfio_pci_driver);

	if (rc)
		return rc;
	if (enable_sriov)
		pr_warn("enable_sriov: this version cannot make virtual functions\n");
	if (disable_denylist)
		pr_warn("disable_denylist: functions are taken that can harm the host\n");
	add_ids(ids);
	return 0;
}

static void __exit vfio_pci_exit(void)
{
	pci_unregister_driver(&vfio_pci_driver);
}

module_init(vfio_pci_init);
module_exit(vfio_pci_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Weir: VFIO driver of PCI functions");
WEIR_IMPORT_NS(DMA_BUF);
