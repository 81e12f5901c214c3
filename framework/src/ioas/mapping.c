/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ioas/ioas_private.h"
#include "memory/fault_guard.h"

const char *mapping_kind_name(enum mapping_kind kind)
{
	static const char *const names[] = {
		[MAPPING_ARENA] = "arena",
		[MAPPING_USER] = "user",
		[MAPPING_FD] = "fd",
		[MAPPING_DMABUF] = "dmabuf",
	};

	return names[kind];
}

static bool owns_file(const struct weir_mapping *mapping)
{
	return mapping->kind == MAPPING_FD || mapping->kind == MAPPING_DMABUF;
}

static struct weir_mapping *mapping_new(enum mapping_kind kind, enum weir_prot prot)
{
	struct weir_mapping *mapping = calloc(1, sizeof(*mapping));

	if (!mapping)
		return NULL;
	mapping->kind = kind;
	mapping->prot = prot;
	mapping->fd = -1;
	return mapping;
}

void mapping_free(struct weir_mapping *mapping)
{
	if (owns_file(mapping)) {
		if (mapping->addr) {
			weir_fault_guard_remove(mapping->addr, mapping_bytes(mapping));
			munmap(mapping->addr, mapping_bytes(mapping));
		}
		if (mapping->fd >= 0)
			close(mapping->fd);
	}
	free(mapping);
}

static int check_request(uint64_t start, uint64_t bytes, enum weir_prot prot, const char *what,
			 struct weir_error *err)
{
	if (!bytes || !weir_is_aligned(start | bytes, IOAS_PAGE) || bytes > UINT64_MAX - start)
		return weir_error_set(err, -EINVAL,
				      "0x%" PRIx64 " bytes from %s 0x%" PRIx64
				      ": both must be multiples of 4096 and not 0 bytes",
				      bytes, what, start);
	if (prot != WEIR_PROT_READ && prot != WEIR_PROT_WRITE && prot != WEIR_PROT_RW)
		return weir_error_set(err, -EINVAL, "protection 0x%x is not one of 1 to 3", prot);
	return 0;
}

/* Whether a descriptor is a VFIO device's, as weir_dmabuf_export() gives it over a group. */
static bool is_vfio_device(int fd)
{
	char path[32], target[32];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	return !strcmp(target, "anon_inode:[vfio-device]");
}

/* The descriptor must be readable, writable when devices write, and its file long enough. */
static int check_file(int fd, uint64_t end, uint32_t prot, struct weir_error *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat stat;
	off_t size;

	if (flags < 0 || flags & O_PATH)
		return weir_error_set(err, -EBADF, "descriptor %d is not an open file", fd);
	flags &= O_ACCMODE;
	if (flags == O_WRONLY || (flags == O_RDONLY && prot & WEIR_PROT_WRITE))
		return weir_error_set(err, -EACCES, "descriptor %d is not open for %s", fd,
				      flags == O_WRONLY ? "reading" : "writing");
	/* A dma-buf tells its size by lseek(); a file's position is the caller's and stays. */
	size = !fstat(fd, &stat) && S_ISREG(stat.st_mode) ? stat.st_size : lseek(fd, 0, SEEK_END);
	if (size < 0)
		return weir_error_set(err, -EINVAL, "descriptor %d has no size: %s", fd,
				      strerror(errno));
	if (end > (uint64_t)size)
		return weir_error_set(err, -EINVAL,
				      "the range ends at 0x%" PRIx64 ", past the end of descriptor "
				      "%d's file at 0x%" PRIx64,
				      end, fd, (uint64_t)size);
	return 0;
}

/*
 * The descriptor that devices get. Where they only read, it is one that cannot be written through:
 * a vfio-user server holds it. What cannot be opened anew, because it is no regular file or by its
 * permissions, is duplicated as it is.
 */
static int own_descriptor(int fd, uint32_t prot)
{
	struct stat stat;
	char path[32];
	int own = -1;

	if (!(prot & WEIR_PROT_WRITE) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY &&
	    !fstat(fd, &stat) && S_ISREG(stat.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, O_RDONLY | O_CLOEXEC);
	}
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int mapping_open_file(struct weir_mapping *mapping, int fd, uint64_t offset, uint64_t bytes,
		      struct weir_error *err)
{
	int prot = PROT_READ | (mapping->prot & WEIR_PROT_WRITE ? PROT_WRITE : 0);
	void *addr;
	int ret;

	/* The size of a BAR is known to the kernel alone, which refuses to map past it. */
	mapping->device_fd = mapping->kind == MAPPING_DMABUF && is_vfio_device(fd);
	ret = mapping->device_fd ? 0 : check_file(fd, offset + bytes, mapping->prot, err);
	if (ret)
		return ret;
	mapping->fd = own_descriptor(fd, mapping->prot);
	if (mapping->fd < 0) {
		ret = -errno;
		return weir_error_set(err, ret, "cannot duplicate descriptor %d: %s", fd,
				      strerror(-ret));
	}
	mapping->offset = offset;
	addr = mmap(NULL, bytes, prot, MAP_SHARED, mapping->fd, (off_t)offset);
	if (addr != MAP_FAILED) {
		mapping->addr = addr;
		/* The file is somebody else's: he can cut it off under us. */
		ret = weir_fault_guard_add(addr, bytes, &mapping->gone, -1);
		if (!ret)
			return 0;
		mapping->addr = NULL;
		munmap(addr, bytes);
		close(mapping->fd);
		mapping->fd = -1;
		return weir_error_set(err, ret, "no memory to guard a mapping");
	}
	/* Some exporters let devices alone reach their memory. */
	if (mapping->kind == MAPPING_DMABUF && !mapping->device_fd)
		return 0;
	ret = -errno;
	close(mapping->fd);
	mapping->fd = -1;
	return weir_error_set(err, ret, "cannot map 0x%" PRIx64 " bytes of descriptor %d: %s",
			      bytes, fd, strerror(-ret));
}

/* Enters a mapping and hands it to all devices. Frees it when that fails. With setup held. */
static int enter(struct weir_ioas *ioas, struct weir_mapping *mapping, struct weir_error *err)
{
	int ret = iova_insert(ioas, mapping, err);

	if (ret)
		goto free;
	attachments_drop_dead(ioas);
	ret = attachments_map(ioas, mapping, err);
	if (ret)
		goto remove;
	return 0;

remove:
	iova_remove(ioas, mapping);
free:
	mapping_free(mapping);
	return ret;
}

/* Gives a mapping an address of its own and enters it. Its bytes follow `start`, which is what
 * pointers into it count from. */
static int enter_anywhere(struct weir_ioas *ioas, struct weir_mapping *new, uint64_t start,
			  uint64_t bytes, struct weir_mapping **mapping, struct weir_error *err)
{
	uint64_t iova;
	int ret;

	pthread_mutex_lock(&ioas->setup);
	attachments_drop_dead(ioas);
	ret = iova_alloc(ioas, bytes, &iova, err);
	if (ret) {
		new->last = bytes - 1;
		mapping_free(new);
		goto unlock;
	}
	new->iova = iova;
	new->last = iova + bytes - 1;
	new->delta = iova - start;
	ret = enter(ioas, new, err);
	if (!ret)
		*mapping = new;
unlock:
	pthread_mutex_unlock(&ioas->setup);
	return ret;
}

WEIR_EXPORT int weir_ioas_map_arena(struct weir_ioas *ioas, const struct weir_arena *arena,
				    struct weir_mapping **mapping, struct weir_error *err)
{
	uint64_t iova = weir_arena_iova(arena), bytes = weir_arena_bytes(arena);
	struct weir_mapping *new;
	int ret = iova_check(ioas, iova, bytes, err);

	if (ret)
		return ret;
	new = mapping_new(MAPPING_ARENA, WEIR_PROT_RW);
	if (!new)
		return weir_error_set(err, -ENOMEM, "no memory for a mapping");
	new->iova = iova;
	new->last = iova + bytes - 1;
	new->addr = weir_arena_base(arena);
	new->delta = iova - (uintptr_t) new->addr;
	new->fd = weir_arena_fd(arena);
	new->arena = arena;

	pthread_mutex_lock(&ioas->setup);
	ret = enter(ioas, new, err);
	pthread_mutex_unlock(&ioas->setup);
	if (ret)
		return ret;
	*mapping = new;
	return 0;
}

WEIR_EXPORT int weir_ioas_map_user(struct weir_ioas *ioas, void *addr, uint64_t bytes,
				   enum weir_prot prot, struct weir_mapping **mapping,
				   struct weir_error *err)
{
	int ret = check_request((uintptr_t)addr, bytes, prot, "address", err);
	struct weir_mapping *new;

	if (ret)
		return ret;
	new = mapping_new(MAPPING_USER, prot);
	if (!new)
		return weir_error_set(err, -ENOMEM, "no memory for a mapping");
	new->addr = addr;
	return enter_anywhere(ioas, new, (uintptr_t)addr, bytes, mapping, err);
}

static int map_file(struct weir_ioas *ioas, enum mapping_kind kind, int fd, uint64_t offset,
		    uint64_t bytes, enum weir_prot prot, struct weir_mapping **mapping,
		    struct weir_error *err)
{
	int ret = check_request(offset, bytes, prot, "offset", err);
	struct weir_mapping *new;

	if (ret)
		return ret;
	new = mapping_new(kind, prot);
	if (!new)
		return weir_error_set(err, -ENOMEM, "no memory for a mapping");
	ret = mapping_open_file(new, fd, offset, bytes, err);
	if (ret) {
		mapping_free(new);
		return ret;
	}
	return enter_anywhere(ioas, new, 0, bytes, mapping, err);
}

WEIR_EXPORT int weir_ioas_map_fd(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t bytes,
				 enum weir_prot prot, struct weir_mapping **mapping,
				 struct weir_error *err)
{
	return map_file(ioas, MAPPING_FD, fd, offset, bytes, prot, mapping, err);
}

WEIR_EXPORT int weir_ioas_map_dmabuf(struct weir_ioas *ioas, int fd, uint64_t offset,
				     uint64_t bytes, enum weir_prot prot,
				     struct weir_mapping **mapping, struct weir_error *err)
{
	return map_file(ioas, MAPPING_DMABUF, fd, offset, bytes, prot, mapping, err);
}

WEIR_EXPORT int weir_ioas_unmap(struct weir_ioas *ioas, struct weir_mapping *mapping,
				struct weir_error *err)
{
	int ret;

	if (!mapping)
		return 0;
	pthread_mutex_lock(&ioas->setup);
	ret = attachments_unmap(ioas, mapping, err);
	iova_remove(ioas, mapping);
	pthread_mutex_unlock(&ioas->setup);
	mapping_free(mapping);
	return ret;
}

WEIR_EXPORT uint64_t weir_mapping_iova(const struct weir_mapping *mapping, const void *ptr)
{
	return (uintptr_t)ptr + mapping->delta;
}

WEIR_EXPORT uint64_t weir_mapping_bytes(const struct weir_mapping *mapping)
{
	return mapping_bytes(mapping);
}

WEIR_EXPORT enum weir_mapping_state weir_mapping_state(const struct weir_mapping *mapping)
{
	return atomic_load_explicit(&mapping->gone, memory_order_acquire) ? WEIR_MAPPING_DEAD
									  : WEIR_MAPPING_LIVE;
}
