/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a model's description of its PCI function makes sense. */
#include <inttypes.h>

#include "base/base.h"
#include "server/server.h"

#define MIN_BAR_BYTES UINT64_C(4096)
#define MAX_BAR32_BYTES (UINT64_C(1) << 31)

static int check_areas(unsigned int index, const struct sim_bar *bar, struct weir_error *err)
{
	if (bar->nr_areas > SIM_MAX_AREAS)
		return weir_error_set(err, -EINVAL, "BAR %u: %u areas are over the limit of %u",
				      index, bar->nr_areas, SIM_MAX_AREAS);
	for (unsigned int i = 0; i < bar->nr_areas; i++) {
		const struct sim_area *area = &bar->areas[i];

		if (!area->bytes || !weir_is_aligned(area->offset | area->bytes, MIN_BAR_BYTES) ||
		    !weir_range_within(area->offset, area->bytes, bar->bytes))
			return weir_error_set(err, -EINVAL,
					      "BAR %u: area 0x%" PRIx64 "+0x%" PRIx64
					      " is not whole pages inside 0x%" PRIx64,
					      index, area->offset, area->bytes, bar->bytes);
	}
	return 0;
}

static int check_bar(const struct sim_pci *pci, unsigned int index, struct weir_error *err)
{
	const struct sim_bar *bar = &pci->bars[index];

	if (!bar->bytes)
		return 0;
	if (!weir_is_power_of_two(bar->bytes) || bar->bytes < MIN_BAR_BYTES)
		return weir_error_set(err, -EINVAL,
				      "BAR %u: 0x%" PRIx64
				      " bytes are no power of two from 4 KiB on",
				      index, bar->bytes);
	if (!bar->is64 && bar->bytes > MAX_BAR32_BYTES)
		return weir_error_set(err, -EINVAL, "BAR %u: 0x%" PRIx64 " bytes need a 64-bit BAR",
				      index, bar->bytes);
	if (bar->is64 && (index == SIM_NR_BARS - 1 || pci->bars[index + 1].bytes))
		return weir_error_set(err, -EINVAL, "BAR %u: no room for its upper half", index);
	return check_areas(index, bar, err);
}

/* What the server emulates must not be reachable past it. */
static int check_trapped(const struct sim_bar *bar, uint64_t offset, uint64_t bytes,
			 const char *what, struct weir_error *err)
{
	if (!weir_is_aligned(offset, 8) || !weir_range_within(offset, bytes, bar->bytes))
		return weir_error_set(err, -EINVAL,
				      "%s at 0x%" PRIx64 " is not inside its BAR of 0x%" PRIx64,
				      what, offset, bar->bytes);
	for (unsigned int i = 0; i < bar->nr_areas; i++) {
		const struct sim_area *area = &bar->areas[i];

		if (offset < area->offset + area->bytes && area->offset < offset + bytes)
			return weir_error_set(err, -EINVAL, "%s lies in area %u, which is mapped",
					      what, i);
	}
	return 0;
}

static int check_msix(const struct sim_pci *pci, struct weir_error *err)
{
	uint64_t table_bytes = (uint64_t)MSIX_ENTRY_BYTES * pci->nr_vectors;
	uint64_t pending_bytes = weir_align_up(pci->nr_vectors, 64) / 8;
	int rc;

	if (!pci->nr_vectors)
		return 0;
	if (pci->nr_vectors > SIM_MAX_VECTORS)
		return weir_error_set(err, -EINVAL, "%u vectors are over the limit of %u",
				      pci->nr_vectors, SIM_MAX_VECTORS);
	if (pci->msix_bar >= SIM_NR_BARS)
		return weir_error_set(err, -EINVAL, "MSI-X: there is no BAR %u", pci->msix_bar);
	rc = check_trapped(&pci->bars[pci->msix_bar], pci->msix_table, table_bytes, "MSI-X table",
			   err);
	if (!rc)
		rc = check_trapped(&pci->bars[pci->msix_bar], pci->msix_pba, pending_bytes,
				   "MSI-X pending bits", err);
	if (rc)
		return rc;
	if (pci->msix_table < pci->msix_pba + pending_bytes &&
	    pci->msix_pba < pci->msix_table + table_bytes)
		return weir_error_set(err, -EINVAL, "MSI-X table and pending bits overlap");
	return 0;
}

int pci_check(const struct sim_pci *pci, struct weir_error *err)
{
	for (unsigned int i = 0; i < SIM_NR_BARS; i++) {
		int rc = check_bar(pci, i, err);

		if (rc)
			return rc;
	}
	return check_msix(pci, err);
}
