// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to configuration space. Reads show the hardware, but for the hidden bits of fields; writes
 * change nothing but the writable bits of fields, and what these stand for.
 */
#include "pci/private.h"

/* Reads the hardware by accesses that are aligned. Waits while somebody resets the device. */
static int hardware_read(struct pci_dev *pdev, unsigned int offset, u8 *data, size_t size)
{
	unsigned int width;
	__le32 little_dword;
	__le16 little_word;
	u32 dword;
	u16 word;
	int rc;

	for (; size; offset += width, data += width, size -= width) {
		if (size >= 4 && IS_ALIGNED(offset, 4)) {
			width = 4;
			rc = pci_user_read_config_dword(pdev, offset, &dword);
			little_dword = cpu_to_le32(dword);
			memcpy(data, &little_dword, width);
		} else if (size >= 2 && IS_ALIGNED(offset, 2)) {
			width = 2;
			rc = pci_user_read_config_word(pdev, offset, &word);
			little_word = cpu_to_le16(word);
			memcpy(data, &little_word, width);
		} else {
			width = 1;
			rc = pci_user_read_config_byte(pdev, offset, data);
		}
		if (rc)
			return rc;
	}
	return 0;
}

static u32 field_read(struct pci_dev *pdev, const struct weir_pci_field *field, int *rc)
{
	__le32 data = 0;

	*rc = 0;
	if (field->hidden != GENMASK(field->size * 8 - 1, 0))
		*rc = hardware_read(pdev, field->offset, (u8 *)&data, field->size);
	return (le32_to_cpu(data) & ~field->hidden) | (field->value & field->hidden);
}

/* Does the i-th byte of the field lie in the access, and where? */
static bool is_in(const struct weir_pci_field *field, unsigned int i, unsigned int offset,
		  size_t size, size_t *where)
{
	if (field->offset + i < offset || field->offset + i - offset >= size)
		return false;
	*where = field->offset + i - offset;
	return true;
}

int weir_pci_config_read(struct weir_pci *pci, unsigned int offset, void *buffer, size_t size)
{
	const struct weir_pci_field *field;
	u8 *data = buffer, hidden;
	unsigned int i;
	size_t where;
	int rc;

	mutex_lock(&pci->config_lock);
	rc = hardware_read(pci->pdev, offset, data, size);
	for (field = pci->fields; field < pci->fields + pci->nr_fields; field++) {
		for (i = 0; i < field->size; i++) {
			if (!is_in(field, i, offset, size, &where))
				continue;
			hidden = field->hidden >> (8 * i);
			data[where] = (data[where] & ~hidden) | (field->value >> (8 * i) & hidden);
		}
	}
	mutex_unlock(&pci->config_lock);
	return rc;
}

/* The bits of the field that the access can write, and what it writes there. */
static u32 written(const struct weir_pci_field *field, unsigned int offset, const u8 *data,
		   size_t size, u32 *content)
{
	unsigned int i;
	size_t where;
	u32 mask = 0;

	*content = 0;
	for (i = 0; i < field->size; i++) {
		if (!is_in(field, i, offset, size, &where))
			continue;
		mask |= 0xffu << (8 * i);
		*content |= (u32)data[where] << (8 * i);
	}
	return mask & field->writable;
}

static int field_write(struct weir_pci *pci, struct weir_pci_field *field, u32 mask, u32 content)
{
	u32 old;
	int rc;

	old = field_read(pci->pdev, field, &rc);
	if (rc)
		return rc;
	content = (old & ~mask) | (content & mask);
	field->value = field->apply ? field->apply(pci, field, content) : content;
	return 0;
}

int weir_pci_config_write(struct weir_pci *pci, unsigned int offset, const void *buffer,
			  size_t size)
{
	struct weir_pci_field *field;
	u32 mask, content;
	int rc = 0;

	mutex_lock(&pci->config_lock);
	for (field = pci->fields; !rc && field < pci->fields + pci->nr_fields; field++) {
		mask = written(field, offset, buffer, size, &content);
		if (mask)
			rc = field_write(pci, field, mask, content);
	}
	mutex_unlock(&pci->config_lock);
	return rc;
}
