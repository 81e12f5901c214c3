/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"
#include "doctor.h"
#include "fail.h"
#include "notice.h"

#include <errno.h>
#include <inttypes.h>

static int find_namespace(struct target *target, uint64_t nsid, struct weir_error *err)
{
	if (!nsid)
		target->ns = weir_nvme_next_ns(target->nvme, 0);
	else if (nsid <= UINT32_MAX)
		target->ns = weir_nvme_ns(target->nvme, (uint32_t)nsid);
	if (target->ns) {
		weir_nvme_ns_info(target->ns, &target->ns_info);
		return 0;
	}
	if (!nsid)
		return fail(err, -ENOENT, "%s has no active namespace", target->address);
	return fail(err, -ENOENT,
		    "%s has no active namespace %" PRIu64 " (its highest possible id is %" PRIu32
		    ")",
		    target->address, nsid, target->info.max_namespaces);
}

int target_open_controller(struct target *target, const char *address,
			   const struct target_options *options, struct weir_error *err)
{
	struct weir_nvme_options nvme_options = WEIR_NVME_OPTIONS_INIT;
	int rc;

	*target = (struct target){ .address = address };
	nvme_options.log = notice_log();
	nvme_options.arena_bytes = options->arena_bytes;
	nvme_options.max_queues = options->queues;
	rc = weir_nvme_open(address, &nvme_options, &target->nvme, err);
	if (rc) {
		doctor_explain("", address, err);
		return rc;
	}
	weir_nvme_info(target->nvme, &target->info);
	return 0;
}

int target_open(struct target *target, const char *address, const struct target_options *options,
		struct weir_error *err)
{
	int rc;

	rc = target_open_controller(target, address, options, err);
	if (rc)
		return rc;
	rc = find_namespace(target, options->nsid, err);
	if (rc)
		target_close(target);
	return rc;
}

void target_close(struct target *target)
{
	weir_nvme_close(target->nvme);
	target->nvme = NULL;
}

int target_check_plain(const struct target *target, struct weir_error *err)
{
	if (target->ns_info.metadata_bytes)
		return fail(err, -EOPNOTSUPP,
			    "namespace %" PRIu32 " of %s has %u bytes of metadata in each block, "
			    "which this command does not carry",
			    target->ns_info.nsid, target->address, target->ns_info.metadata_bytes);
	return 0;
}

int target_check_writable(const struct target *target, struct weir_error *err)
{
	if (target->ns_info.read_only)
		return fail(err, -EROFS, "namespace %" PRIu32 " of %s is read-only",
			    target->ns_info.nsid, target->address);
	return 0;
}

int target_check_range(const struct target *target, uint64_t lba, uint64_t blocks,
		       struct weir_error *err)
{
	uint64_t limit = target->ns_info.blocks;

	if (blocks <= limit && lba <= limit - blocks)
		return 0;
	return fail(err, -ERANGE,
		    "LBA %" PRIu64 " + %" PRIu64 " is past the end of namespace %" PRIu32
		    ", which has %" PRIu64 " blocks of %" PRIu32 " bytes",
		    lba, blocks, target->ns_info.nsid, limit, target->ns_info.block_bytes);
}

int target_blocks(const struct target *target, const char *what, uint64_t bytes, uint64_t *blocks,
		  struct weir_error *err)
{
	uint32_t block = target->ns_info.block_bytes;

	if (bytes % block)
		return fail(err, -EINVAL,
			    "%s %" PRIu64 " is no multiple of the %" PRIu32
			    "-byte blocks of namespace %" PRIu32,
			    what, bytes, block, target->ns_info.nsid);
	*blocks = bytes / block;
	return 0;
}

int target_failure(const struct target *target, struct weir_error *err)
{
	struct weir_error why = { 0 };

	weir_nvme_failure(target->nvme, &why);
	if (why.code)
		return fail(err, why.code, "%s: %s", target->address, why.text);
	return fail(err, -ENODEV, "%s is gone", target->address);
}

int target_events(const struct target *target, struct weir_error *err)
{
	struct weir_nvme_event events[8];
	int nr;

	nr = weir_nvme_events(target->nvme, events, 8);
	for (int i = 0; i < nr; i++) {
		switch (events[i].type) {
		case WEIR_NVME_EVENT_RESET_NEEDED:
		case WEIR_NVME_EVENT_GONE:
			return target_failure(target, err);
		case WEIR_NVME_EVENT_REMOVE_REQUEST:
			return fail(err, -ENODEV, "%s is wanted back by the system",
				    target->address);
		default:
			break;
		}
	}
	return nr < 0 ? target_failure(target, err) : 0;
}
