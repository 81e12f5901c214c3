/* SPDX-License-Identifier: BSD-3-Clause */
#include "device_memory.h"
#include "doctor.h"
#include "fail.h"
#include "notice.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "membar.h"

#define PAGE UINT64_C(4096)

void device_memory_close(struct device_memory *memory)
{
	if (memory->dmabuf.fd >= 0)
		close(memory->dmabuf.fd);
	weir_device_close(memory->dev);
	weir_ioas_destroy(memory->ioas);
}

static int export_range(struct device_memory *memory, struct weir_error *err)
{
	uint64_t start = memory->offset - memory->offset % PAGE, limit, end;
	unsigned int bar;
	int rc;

	rc = weir_membar_find(memory->dev, &bar, &limit, err);
	if (rc)
		return rc;
	if (memory->bytes > limit || memory->offset > limit - memory->bytes)
		return fail(err, -ERANGE,
			    "%" PRIu64 " bytes from offset %" PRIu64
			    " go past the end of %s, which has %" PRIu64 " bytes of memory",
			    memory->bytes, memory->offset, memory->address, limit);
	end = memory->offset + memory->bytes;
	if (end % PAGE)
		end += PAGE - end % PAGE;
	memory->inside = memory->offset - start;
	return weir_membar_export(memory->dev, start, end - start, &memory->dmabuf, err);
}

int device_memory_open(struct device_memory *memory, const char *address, uint64_t offset,
		       uint64_t bytes, struct weir_error *err)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	int rc;

	*memory = (struct device_memory){
		.address = address,
		.offset = offset,
		.bytes = bytes,
		.dmabuf.fd = -1,
	};
	options.log = notice_log();
	rc = weir_ioas_create(NULL, &memory->ioas, err);
	if (!rc) {
		rc = weir_device_open(address, memory->ioas, &options, &memory->dev, err);
		if (rc)
			doctor_explain("", address, err);
	}
	if (!rc)
		rc = export_range(memory, err);
	if (rc)
		device_memory_close(memory);
	return rc;
}

int device_memory_map(const struct device_memory *memory, struct weir_ioas *ioas,
		      enum weir_prot prot, struct weir_mapping **mapping, uint64_t *iova,
		      struct weir_error *err)
{
	int rc = weir_ioas_map_dmabuf(ioas, memory->dmabuf.fd, memory->dmabuf.offset,
				      memory->dmabuf.bytes, prot, mapping, err);

	if (!rc)
		*iova = weir_mapping_iova(*mapping, NULL) + memory->inside;
	return rc;
}

int device_memory_check(const struct weir_mapping *mapping, struct weir_error *err)
{
	if (weir_mapping_state(mapping) == WEIR_MAPPING_LIVE)
		return 0;
	return fail(err, -ENODEV, "the memory was taken back by its device");
}
