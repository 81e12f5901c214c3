// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fields of configuration space that can be written, or that hide what the hardware says. All
 * else is read-only, and stays so: ATS, PRI, PASID, SR-IOV and ACS decide what a device can reach,
 * and error reporting, links, VPD and what vendors have put there are the host's.
 *
 * Names and sections are those of PCI Express 3.0, unless another specification is named.
 */
#include "pci/private.h"

static struct weir_pci_field *add_field(struct weir_pci *pci, unsigned int offset,
					unsigned int size, u32 hidden, u32 writable)
{
	struct weir_pci_field *field = &pci->fields[pci->nr_fields];

	if (WARN_ON(pci->nr_fields == ARRAY_SIZE(pci->fields)))
		return field - 1;
	pci->nr_fields++;
	memset(field, 0, sizeof(*field));
	field->offset = offset;
	field->size = size;
	field->hidden = hidden;
	field->writable = writable;
	return field;
}

/*
 * Decoding and bus mastering go to the hardware; masking of the line is shared with intx.c. Others
 * are remembered, and mean nothing: how a device reports errors is the host's.
 */
static u32 apply_command(struct weir_pci *pci, const struct weir_pci_field *field, u32 content)
{
	down_write(&pci->memory_lock);
	if (!(content & PCI_COMMAND_MEMORY) && !pci->pdev->no_command_memory)
		weir_pci_memory_lose(pci);
	weir_pci_command_set_decode(pci, content);
	weir_pci_intx_set_disabled(pci, content & PCI_COMMAND_INTX_DISABLE);
	weir_pci_memory_regain(pci);
	up_write(&pci->memory_lock);
	return content;
}

static void add_command(struct weir_pci *pci)
{
	const u16 writable = WEIR_PCI_DECODE | PCI_COMMAND_INVALIDATE | PCI_COMMAND_PARITY |
			     PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
	struct weir_pci_field *field = add_field(pci, PCI_COMMAND, 2, writable, writable);
	u16 command = 0;

	pci_read_config_word(pci->pdev, PCI_COMMAND, &command);
	/* Memory of a virtual function is always there (SR-IOV 1.1 §3.4.1.3). */
	if (pci->pdev->no_command_memory)
		command |= PCI_COMMAND_MEMORY;
	field->value = command & ~PCI_COMMAND_INTX_DISABLE;
	field->apply = apply_command;
	down_write(&pci->memory_lock);
	weir_pci_command_set_decode(pci, command);
	up_write(&pci->memory_lock);
}

/* What a BAR says of itself in its low bits (PCI 3.0 §6.2.5.1). */
static u32 bar_kind(const struct resource *resource)
{
	if (resource->flags & IORESOURCE_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (resource->flags & IORESOURCE_MEM_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
	       (resource->flags & IORESOURCE_PREFETCH ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

/*
 * A BAR for its user to be sized, and to be moved without effect. high: it is the upper half of one
 * of 64 bits.
 */
static void add_bar(struct weir_pci *pci, unsigned int register_index, unsigned int index,
		    bool high)
{
	const struct resource *resource = &pci->pdev->resource[index];
	struct pci_bus_region region;
	struct weir_pci_field *field;
	u64 mask;

	mask = ~(u64)(pci_resource_len(pci->pdev, index) - 1);
	pcibios_resource_to_bus(pci->pdev->bus, &region, (struct resource *)resource);
	field = add_field(pci, PCI_BASE_ADDRESS_0 + 4 * register_index, 4, U32_MAX,
			  high ? upper_32_bits(mask) : lower_32_bits(mask));
	field->value = high ? upper_32_bits(region.start)
			    : lower_32_bits(region.start) | bar_kind(resource);
}

static void add_bars(struct weir_pci *pci)
{
	unsigned int i;

	for (i = 0; i < WEIR_PCI_BARS; i++) {
		if (!pci->bars[i].size) {
			add_field(pci, PCI_BASE_ADDRESS_0 + 4 * i, 4, U32_MAX, 0);
			continue;
		}
		add_bar(pci, i, i, false);
		if (pci_resource_flags(pci->pdev, i) & IORESOURCE_MEM_64 && i + 1 < WEIR_PCI_BARS) {
			add_bar(pci, i + 1, i, true);
			i++;
		}
	}
}

static void add_rom(struct weir_pci *pci)
{
	struct weir_pci_field *field = add_field(pci, PCI_ROM_ADDRESS, 4, U32_MAX, 0);
	u64 size = weir_pci_region_size(pci, VFIO_PCI_ROM_REGION_INDEX);
	struct pci_bus_region region;

	if (!size)
		return;
	field->writable = ~lower_32_bits(size - 1) | PCI_ROM_ADDRESS_ENABLE;
	pcibios_resource_to_bus(pci->pdev->bus, &region, &pci->pdev->resource[PCI_ROM_RESOURCE]);
	field->value = lower_32_bits(region.start);
}

static void add_header(struct weir_pci *pci)
{
	struct pci_dev *pdev = pci->pdev;
	struct weir_pci_field *field;

	if (pdev->is_virtfn) {
		/* The hardware says 0xffff (SR-IOV 1.1 §3.4.1.1, §3.4.1.2). */
		field = add_field(pci, PCI_VENDOR_ID, 4, U32_MAX, 0);
		field->value = pdev->vendor | pdev->device << 16;
	}
	add_command(pci);
	add_field(pci, PCI_CACHE_LINE_SIZE, 1, U8_MAX, U8_MAX);
	add_field(pci, PCI_LATENCY_TIMER, 1, U8_MAX, U8_MAX);
	add_bars(pci);
	add_rom(pci);
	field = add_field(pci, PCI_INTERRUPT_LINE, 1, U8_MAX, U8_MAX);
	field->value = pdev->irq & U8_MAX;
	if (!pci->has_intx)
		add_field(pci, PCI_INTERRUPT_PIN, 1, U8_MAX, 0);
}

static u32 apply_power_state(struct weir_pci *pci, const struct weir_pci_field *field, u32 content)
{
	weir_pci_set_power(pci, (__force pci_power_t)(content & PCI_PM_CTRL_STATE_MASK));
	return 0;
}

/* Power Management 1.2 §3.2. A device of user space cannot wake the host. */
static void add_power(struct weir_pci *pci)
{
	unsigned int base = pci->pdev->pm_cap;
	struct weir_pci_field *field;

	if (!base)
		return;
	add_field(pci, base + PCI_PM_PMC, 2, PCI_PM_CAP_PME_MASK, 0);
	field = add_field(pci, base + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE,
			  PCI_PM_CTRL_STATE_MASK);
	field->apply = apply_power_state;
}

/* §7.8.4: reset; the size of its reads, and the attributes of its requests. */
static u32 apply_device_control(struct weir_pci *pci, const struct weir_pci_field *field,
				u32 content)
{
	const u16 attributes = PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN;
	unsigned int read_size = 128 << ((content & PCI_EXP_DEVCTL_READRQ) >> 12);
	struct pci_dev *pdev = pci->pdev;

	down_write(&pci->memory_lock);
	if (read_size != pcie_get_readrq(pdev) && pcie_set_readrq(pdev, read_size))
		pci_dbg(pdev, "reads of %u bytes cannot be set\n", read_size);
	pcie_capability_clear_and_set_word(pdev, PCI_EXP_DEVCTL, attributes, content & attributes);
	up_write(&pci->memory_lock);
	if (content & field->writable & PCI_EXP_DEVCTL_BCR_FLR)
		weir_pci_reset(pci);
	return 0;
}

static void add_express(struct weir_pci *pci)
{
	unsigned int base = pci_pcie_cap(pci->pdev);
	struct weir_pci_field *field;
	u32 capabilities = 0;

	if (!base)
		return;
	/* The bit that resets is read as 0. */
	field = add_field(pci, base + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR,
			  PCI_EXP_DEVCTL_READRQ | PCI_EXP_DEVCTL_RELAX_EN |
				  PCI_EXP_DEVCTL_NOSNOOP_EN);
	field->apply = apply_device_control;
	pcie_capability_read_dword(pci->pdev, PCI_EXP_DEVCAP, &capabilities);
	if (capabilities & PCI_EXP_DEVCAP_FLR)
		field->writable |= PCI_EXP_DEVCTL_BCR_FLR;
}

static u32 apply_af_control(struct weir_pci *pci, const struct weir_pci_field *field, u32 content)
{
	if (content & PCI_AF_CTRL_FLR)
		weir_pci_reset(pci);
	return 0;
}

/* Advanced Capabilities for Conventional PCI §3: a reset for functions that are not Express. */
static void add_advanced_features(struct weir_pci *pci)
{
	unsigned int base = pci_find_capability(pci->pdev, PCI_CAP_ID_AF);
	struct weir_pci_field *field;
	u8 capabilities = 0;

	if (!base)
		return;
	pci_read_config_byte(pci->pdev, base + PCI_AF_CAP, &capabilities);
	if (!(capabilities & PCI_AF_CAP_FLR) || !(capabilities & PCI_AF_CAP_TP))
		return;
	field = add_field(pci, base + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR);
	field->apply = apply_af_control;
}

/*
 * MSI (PCI 3.0 §6.8.1) is set up by the host. Where it sends messages is not for its user to see;
 * what the user writes is remembered. Of MSI-X there is nothing to hide but the table (region.c).
 */
static void add_msi(struct weir_pci *pci)
{
	unsigned int base = pci->pdev->msi_cap;
	u16 flags = 0;

	if (!base)
		return;
	pci_read_config_word(pci->pdev, base + PCI_MSI_FLAGS, &flags);
	add_field(pci, base + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_QSIZE, PCI_MSI_FLAGS_QSIZE);
	add_field(pci, base + PCI_MSI_ADDRESS_LO, 4, U32_MAX, ~3u);
	if (flags & PCI_MSI_FLAGS_64BIT) {
		add_field(pci, base + PCI_MSI_ADDRESS_HI, 4, U32_MAX, U32_MAX);
		add_field(pci, base + PCI_MSI_DATA_64, 2, U16_MAX, U16_MAX);
	} else {
		add_field(pci, base + PCI_MSI_DATA_32, 2, U16_MAX, U16_MAX);
	}
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		add_field(pci,
			  base + (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32),
			  4, U32_MAX, U32_MAX);
}

void weir_pci_fields_init(struct weir_pci *pci)
{
	mutex_lock(&pci->config_lock);
	pci->nr_fields = 0;
	add_header(pci);
	add_power(pci);
	add_express(pci);
	add_advanced_features(pci);
	add_msi(pci);
	mutex_unlock(&pci->config_lock);
}
