/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and ending a controller: its options, memory, PCI function and server. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nvme/controller.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define DEFAULT_BYTES MIB(1024)
#define DEFAULT_TRANSFER MIB(2)
#define MAX_MDTS 16
#define MAX_CMB MIB(256)
#define MAX_MPS 4 /* 64 KiB pages */
#define READY_UNITS 2 /* CAP.TO and CRTO, in 500 ms: enabling takes no time here */
#define MSIX_PBA 0x800 /* behind the longest table */

static const struct sim_model_ops model_ops = {
	.name = "nvme",
	.read = ctrl_read_bar,
	.write = ctrl_write_bar,
	.reset = ctrl_reset,
	.poll = ctrl_poll,
	.dma_unmap = ctrl_dma_unmap,
};

/* The same where commands wait for a disk. */
static const struct sim_model_ops settling_model_ops = {
	.name = "nvme",
	.read = ctrl_read_bar,
	.write = ctrl_write_bar,
	.reset = ctrl_reset,
	.poll = ctrl_poll_and_settle,
	.dma_unmap = ctrl_dma_unmap,
};

static void options_defaults(struct sim_nvme_options *options)
{
	if (!options->bytes)
		options->bytes = DEFAULT_BYTES;
	if (!options->block_bytes)
		options->block_bytes = 512;
	if (!options->namespaces)
		options->namespaces = 1;
	if (!options->serial)
		options->serial = "WEIRSIM0";
	if (!options->queues)
		options->queues = SIM_NVME_MAX_QUEUES;
	if (!options->mqes)
		options->mqes = SIM_NVME_MAX_MQES;
	if (options->mdts == -1)
		options->mdts = __builtin_ctzll(DEFAULT_TRANSFER / KIB(4)) - (int)options->mpsmin;
	options->server.spin_us = options->spin_us;
	options->server.no_mmap_dma = options->no_mmap_dma;
}

static int options_check_storage(const struct sim_nvme_options *options, struct weir_error *err)
{
	if (options->backing > SIM_NVME_NULL)
		return weir_error_set(err, -EINVAL, "backing %d is unknown", (int)options->backing);
	if (options->backing == SIM_NVME_FILE && !options->file)
		return weir_error_set(err, -EINVAL, "a file-backed controller needs a file");
	if (options->block_bytes < 512 || options->block_bytes > 4096 ||
	    !weir_is_power_of_two(options->block_bytes))
		return weir_error_set(err, -EINVAL,
				      "block size %u is not a power of two from 512 to 4096",
				      options->block_bytes);
	if (options->namespaces > SIM_NVME_MAX_NAMESPACES)
		return weir_error_set(err, -EINVAL, "%u namespaces are over the limit of %u",
				      options->namespaces, SIM_NVME_MAX_NAMESPACES);
	if (options->backing != SIM_NVME_FILE &&
	    options->bytes / options->namespaces < options->block_bytes)
		return weir_error_set(err, -EINVAL,
				      "%llu bytes are less than one block of %u for each of %u "
				      "namespaces",
				      (unsigned long long)options->bytes, options->block_bytes,
				      options->namespaces);
	if (options->noiob > UINT16_MAX)
		return weir_error_set(err, -EINVAL, "boundary of %u blocks is over %u",
				      options->noiob, UINT16_MAX);
	return 0;
}

static int options_check(const struct sim_nvme_options *options, struct weir_error *err)
{
	size_t serial = strlen(options->serial);

	if (options->mpsmin > MAX_MPS)
		return weir_error_set(err, -EINVAL, "MPSMIN %u is over %u", options->mpsmin,
				      MAX_MPS);
	if (serial > 20)
		return weir_error_set(err, -EINVAL, "serial number of %zu characters is over 20",
				      serial);
	for (size_t i = 0; i < serial; i++) {
		if (options->serial[i] < 0x20 || options->serial[i] > 0x7e)
			return weir_error_set(err, -EINVAL,
					      "serial number: character %zu is not printable ASCII",
					      i);
	}
	if (options->queues > SIM_NVME_MAX_QUEUES)
		return weir_error_set(err, -EINVAL, "%u queue pairs are over the limit of %u",
				      options->queues, SIM_NVME_MAX_QUEUES);
	if (options->mqes < 2 || options->mqes > SIM_NVME_MAX_MQES)
		return weir_error_set(err, -EINVAL, "queues of %u entries: 2 to %u are possible",
				      options->mqes, SIM_NVME_MAX_MQES);
	if (options->dstrd < 0 || options->dstrd > 8)
		return weir_error_set(err, -EINVAL, "DSTRD %d is not in 0 to 8", options->dstrd);
	if (options->mdts < 0 || options->mdts > MAX_MDTS)
		return weir_error_set(err, -EINVAL, "MDTS %d is not in 0 to %d", options->mdts,
				      MAX_MDTS);
	if (options->cmb_bytes % KIB(4) || options->cmb_bytes > MAX_CMB)
		return weir_error_set(err, -EINVAL,
				      "controller memory buffer of %u bytes is not a multiple of "
				      "4 KiB up to 256 MiB",
				      options->cmb_bytes);
	return options_check_storage(options, err);
}

static uint64_t capabilities(const struct sim_nvme_options *options)
{
	return (options->mqes - 1) | NVME_CAP_CQR | (uint64_t)READY_UNITS << NVME_CAP_TO_SHIFT |
	       (uint64_t)options->dstrd << NVME_CAP_DSTRD_SHIFT | NVME_CAP_CSS_NVM |
	       (uint64_t)options->mpsmin << NVME_CAP_MPSMIN_SHIFT |
	       (uint64_t)MAX_MPS << NVME_CAP_MPSMAX_SHIFT |
	       (options->cmb_bytes ? NVME_CAP_CMBS : 0) | NVME_CAP_CRWMS;
}

/* A name for a namespace that is the same whenever the serial number is: FNV-1a, marked as a UUID
 * of version 8. */
static void derive_uuid(const char *serial, uint8_t uuid[16])
{
	uint64_t half = UINT64_C(0xcbf29ce484222325);

	for (unsigned int i = 0; i < 2; i++) {
		for (const char *c = serial; *c; c++)
			half = (half ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
		half = (half ^ i) * UINT64_C(0x100000001b3);
		memcpy(uuid + 8 * i, &half, sizeof(half));
	}
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* Makes the file of a BAR and maps it. The client gets its descriptor: where no fault wants it,
 * nobody can shrink the file under this side's mapping. */
static int bar_create(const char *name, uint64_t bytes, bool seal, int *fd, uint8_t **map,
		      struct weir_error *err)
{
	void *base;

	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return weir_error_set(err, -errno, "memory file for %s: %s", name, strerror(errno));
	if (ftruncate(*fd, (off_t)bytes) < 0 ||
	    (seal && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0))
		return weir_error_set(err, -errno, "memory file for %s: %llu bytes: %s", name,
				      (unsigned long long)bytes, strerror(errno));
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (base == MAP_FAILED)
		return weir_error_set(err, -errno, "mapping %s of %llu bytes: %s", name,
				      (unsigned long long)bytes, strerror(errno));
	*map = base;
	return 0;
}

static int create_bars(struct sim_nvme *nvme, struct weir_error *err)
{
	const struct sim_nvme_options *options = &nvme->options;
	int error;

	nvme->doorbell_stride = 4u << options->dstrd;
	nvme->doorbell_bytes = weir_align_up(2ull * (options->queues + 1) * nvme->doorbell_stride,
					     KIB(4));
	nvme->bar_bytes = weir_round_up_power_of_two(NVME_DOORBELLS + nvme->doorbell_bytes);
	error = bar_create("nvme registers", nvme->bar_bytes, !options->faults.truncate_after,
			   &nvme->bar_fd, &nvme->bar, err);
	if (error)
		return error;
	nvme->doorbells = nvme->bar + NVME_DOORBELLS;

	if (!options->cmb_bytes)
		return 0;
	nvme->cmb_bar_bytes = weir_round_up_power_of_two(options->cmb_bytes);
	return bar_create("nvme controller memory", nvme->cmb_bar_bytes, true, &nvme->cmb_fd,
			  &nvme->cmb, err);
}

static int create_server(struct sim_nvme *nvme, struct weir_error *err)
{
	const struct sim_nvme_options *options = &nvme->options;
	struct sim_pci pci = {
		.vendor_id = CTRL_PCI_VENDOR,
		.device_id = CTRL_PCI_DEVICE,
		.subsystem_vendor_id = CTRL_PCI_VENDOR,
		.subsystem_id = CTRL_PCI_DEVICE,
		.class_code = NVME_CLASS_CODE,
		.revision = 1,
		.nr_vectors = options->queues + 1,
		.msix_bar = CTRL_BAR_MSIX,
		.msix_table = 0,
		.msix_pba = MSIX_PBA,
		.bars = {
			[CTRL_BAR_REGISTERS] = { .bytes = nvme->bar_bytes, .fd = nvme->bar_fd,
				.is64 = true,
				.areas = { { NVME_DOORBELLS, nvme->doorbell_bytes } },
				.nr_areas = options->trap_doorbells ? 0 : 1 },
			[1] = { .fd = -1 },
			[CTRL_BAR_CMB] = { .bytes = nvme->cmb_bar_bytes, .fd = nvme->cmb_fd,
				.is64 = true, .prefetchable = true,
				.areas = { { 0, options->cmb_bytes } },
				.nr_areas = options->cmb_bytes ? 1 : 0 },
			[3] = { .fd = -1 },
			[CTRL_BAR_MSIX] = { .bytes = KIB(4), .fd = -1 },
			[5] = { .fd = -1 },
		},
	};

	return sim_server_create(&pci,
				 nvme->backing->flush_waits ? &settling_model_ops : &model_ops,
				 nvme, &options->server, &nvme->server, err);
}

/* The longest transfer: by MDTS, or as many blocks as a command can name. */
static uint64_t max_transfer(const struct sim_nvme_options *options)
{
	uint64_t most = UINT64_C(65536) * options->block_bytes;
	uint64_t mdts = KIB(4) << (options->mpsmin + (unsigned int)options->mdts);

	return options->mdts && mdts < most ? mdts : most;
}

static int create_buffers(struct sim_nvme *nvme, struct weir_error *err)
{
	/* A piece for each page that a list can name, and one for an offset; and room for SGLs that
	 * are cut finer than that. */
	nvme->data.max = (unsigned int)(nvme->max_bytes / KIB(4)) + 1024;
	nvme->data.segments = calloc(nvme->data.max, sizeof(*nvme->data.segments));
	nvme->bounce = malloc(CTRL_BOUNCE_BYTES);
	nvme->bounce2 = malloc(CTRL_BOUNCE_BYTES);
	if (!nvme->data.segments || !nvme->bounce || !nvme->bounce2)
		return weir_error_set(err, -ENOMEM, "no memory for the controller's buffers");
	return 0;
}

static int copy_options(struct sim_nvme *nvme, const struct sim_nvme_options *options,
			struct weir_error *err)
{
	int error;

	nvme->options = *options;
	options_defaults(&nvme->options);
	error = options_check(&nvme->options, err);
	if (error)
		return error;
	strcpy(nvme->serial, nvme->options.serial);
	nvme->options.serial = nvme->serial;
	if (nvme->options.backing == SIM_NVME_FILE) {
		nvme->file = strdup(nvme->options.file);
		if (!nvme->file)
			return weir_error_set(err, -ENOMEM, "no memory for the file's name");
		nvme->options.file = nvme->file;
	}
	return 0;
}

static void describe(struct sim_nvme *nvme)
{
	static const struct ctrl_backing_ops *const backings[] = {
		[SIM_NVME_MEMORY] = &ctrl_backing_memory,
		[SIM_NVME_FILE] = &ctrl_backing_file,
		[SIM_NVME_NULL] = &ctrl_backing_null,
	};
	const struct sim_nvme_options *options = &nvme->options;

	nvme->backing_kind = options->backing;
	nvme->careful = nvme->faults || options->backing == SIM_NVME_FILE || options->read_only;
	nvme->backing = backings[options->backing];
	nvme->block_shift = (unsigned int)__builtin_ctz(options->block_bytes);
	nvme->nr_namespaces = options->namespaces;
	nvme->max_bytes = max_transfer(options);
	nvme->cap = capabilities(options);
	nvme->page_shift = 12 + options->mpsmin;
	nvme->created_ns = weir_now_ns();
	derive_uuid(nvme->serial, nvme->uuid);
	for (uint32_t i = 0; i < options->namespaces; i++)
		nvme->namespaces[i].nsid = i + 1;
}

int sim_nvme_create(const struct sim_nvme_options *options, struct sim_nvme **result,
		    struct weir_error *err)
{
	struct sim_nvme *nvme = aligned_alloc(WEIR_CACHE_PAIR, sizeof(*nvme));
	int error;

	if (!nvme)
		return weir_error_set(err, -ENOMEM, "no memory for a controller");
	memset(nvme, 0, sizeof(*nvme));
	nvme->bar_fd = nvme->cmb_fd = nvme->backing_fd = -1;

	error = copy_options(nvme, options, err);
	if (error)
		goto fail;
	error = ctrl_faults_open(nvme, err);
	if (error)
		goto fail;
	describe(nvme);
	error = create_buffers(nvme, err);
	if (error)
		goto fail;
	error = nvme->backing->open(nvme, err);
	if (error)
		goto fail;
	error = create_bars(nvme, err);
	if (error)
		goto fail;
	ctrl_features_reset(nvme);
	error = create_server(nvme, err);
	if (error)
		goto fail;
	*result = nvme;
	return 0;

fail:
	sim_nvme_destroy(nvme);
	return error;
}

void sim_nvme_destroy(struct sim_nvme *nvme)
{
	if (!nvme)
		return;
	/* Ends the connection, and with it the last use of everything below. */
	sim_server_destroy(nvme->server);
	nvme->server = NULL;
	if (nvme->backing)
		nvme->backing->close(nvme);
	ctrl_faults_close(nvme);
	if (nvme->bar)
		munmap(nvme->bar, nvme->bar_bytes);
	if (nvme->cmb)
		munmap(nvme->cmb, nvme->cmb_bar_bytes);
	if (nvme->bar_fd >= 0)
		close(nvme->bar_fd);
	if (nvme->cmb_fd >= 0)
		close(nvme->cmb_fd);
	free(nvme->data.segments);
	free(nvme->bounce);
	free(nvme->bounce2);
	free(nvme->file);
	free(nvme);
}

struct sim_server *sim_nvme_server(struct sim_nvme *nvme)
{
	return nvme->server;
}

void sim_nvme_stats(const struct sim_nvme *nvme, struct sim_nvme_stats *stats)
{
	uint64_t moved = nvme->moved[NVME_IO_READ].commands + nvme->moved[NVME_IO_WRITE].commands;

	*stats = nvme->stats;
	stats->commands += moved;
	stats->completions += moved;
}

int sim_nvme_resize(struct sim_nvme *nvme, uint32_t nsid, uint64_t blocks)
{
	struct ctrl_ns *ns;
	int error;

	if (!nsid || nsid > nvme->nr_namespaces || !blocks ||
	    blocks > (uint64_t)INT64_MAX >> nvme->block_shift)
		return -EINVAL;
	if (!nvme->backing->resize)
		return -EOPNOTSUPP;
	ns = &nvme->namespaces[nsid - 1];
	error = nvme->backing->resize(nvme, ns, blocks);
	if (error)
		return error;
	ns->blocks = blocks;
	nvme->changed_namespaces |= UINT64_C(1) << (nsid - 1);
	ctrl_event_add(nvme, NVME_EVENT_NOTICE, NVME_NOTICE_NAMESPACES,
		       NVME_LOG_CHANGED_NAMESPACES);
	return 0;
}

void sim_nvme_async_event(struct sim_nvme *nvme, uint8_t type, uint8_t info, uint8_t log_page)
{
	ctrl_event_add(nvme, type, info, log_page);
}
