/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes in words (base §4.2.3, nvm §3). */
#include "nvme.h"

#include <stdio.h>

struct status_name {
	uint16_t code; /* type << 8 | code */
	const char *name;
};

static const struct status_name names[] = {
	{ 0x000, "success" },
	{ 0x001, "invalid opcode" },
	{ 0x002, "invalid field" },
	{ 0x003, "command id conflict" },
	{ 0x004, "data transfer error" },
	{ 0x005, "aborted by power loss" },
	{ 0x006, "internal error" },
	{ 0x007, "abort requested" },
	{ 0x008, "aborted by queue deletion" },
	{ 0x00b, "invalid namespace or format" },
	{ 0x00c, "command sequence error" },
	{ 0x00d, "invalid SGL segment descriptor" },
	{ 0x00e, "invalid number of SGL descriptors" },
	{ 0x00f, "data SGL length invalid" },
	{ 0x010, "metadata SGL length invalid" },
	{ 0x011, "SGL descriptor type invalid" },
	{ 0x012, "invalid use of the controller memory buffer" },
	{ 0x013, "PRP offset invalid" },
	{ 0x016, "SGL offset invalid" },
	{ 0x01c, "sanitize failed" },
	{ 0x01d, "sanitize in progress" },
	{ 0x020, "namespace is write protected" },
	{ 0x080, "LBA out of range" },
	{ 0x081, "capacity exceeded" },
	{ 0x082, "namespace not ready" },
	{ 0x083, "reservation conflict" },
	{ 0x084, "format in progress" },
	{ 0x100, "invalid completion queue" },
	{ 0x101, "invalid queue identifier" },
	{ 0x102, "invalid queue size" },
	{ 0x103, "abort limit exceeded" },
	{ 0x105, "asynchronous event limit exceeded" },
	{ 0x106, "invalid firmware slot" },
	{ 0x108, "invalid interrupt vector" },
	{ 0x109, "invalid log page" },
	{ 0x10a, "invalid format" },
	{ 0x10c, "invalid queue deletion" },
	{ 0x10d, "feature identifier not saveable" },
	{ 0x10e, "feature not changeable" },
	{ 0x180, "conflicting attributes" },
	{ 0x181, "invalid protection information" },
	{ 0x182, "write to read only range" },
	{ 0x280, "write fault" },
	{ 0x281, "unrecovered read error" },
	{ 0x282, "end-to-end guard check error" },
	{ 0x283, "end-to-end application tag check error" },
	{ 0x284, "end-to-end reference tag check error" },
	{ 0x285, "compare failure" },
	{ 0x286, "access denied" },
	{ 0x287, "deallocated or unwritten block" },
};

static const char *const types[8] = { "generic", "command", "media",  "path",
				      "type 4",	 "type 5",  "type 6", "vendor" };

static const char *const host_names[] = {
	[WEIR_NVME_HOST_OK] = "success",
	[WEIR_NVME_HOST_NAMESPACE] = "no such namespace",
	[WEIR_NVME_HOST_OPCODE] = "operation not supported",
	[WEIR_NVME_HOST_LBA] = "LBA past the end of the namespace",
	[WEIR_NVME_HOST_LENGTH] = "length out of range",
	[WEIR_NVME_HOST_ALIGNMENT] = "data not aligned",
	[WEIR_NVME_HOST_RESERVED] = "reserved member not zero",
	[WEIR_NVME_HOST_RESET] = "interrupted by a controller reset",
	[WEIR_NVME_HOST_GONE] = "the device is gone",
};

const char *nvme_status_words(uint16_t status, char *text, size_t bytes)
{
	unsigned int type = WEIR_NVME_STATUS_TYPE(status), code = WEIR_NVME_STATUS_CODE(status);
	const char *name = "unknown status";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].code == (type << 8 | code))
			name = names[i].name;
	}
	snprintf(text, bytes, "%s (%s %02xh)%s", name, types[type], code,
		 status & WEIR_NVME_STATUS_DNR ? ", do not retry" : "");
	return text;
}

WEIR_EXPORT const char *weir_nvme_status_text(const struct weir_nvme_done *done, char *text,
					      size_t bytes)
{
	if (!done->host)
		return nvme_status_words(done->status, text, bytes);
	snprintf(text, bytes, "%s",
		 done->host < ARRAY_SIZE(host_names) ? host_names[done->host]
						     : "unknown host status");
	return text;
}
