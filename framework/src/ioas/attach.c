/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps every attached backend at the same list of mappings: what one of them refuses is taken back
 * from those that had it, in reverse order.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "ioas/ioas_private.h"

/* Stops calling a backend that has died. Its owner still ends the attachment. */
static void drop(struct ioas_attachment *attachment)
{
	struct weir_ioas *ioas = attachment->ioas;

	pthread_rwlock_wrlock(&ioas->lock);
	attachment->dropped = true;
	pthread_rwlock_unlock(&ioas->lock);
	weir_log_write(&ioas->log, WEIR_LOG_WARN, "a %s device is gone: detached from its IOAS",
		       attachment->ops->name);
}

static bool usable(struct ioas_attachment *attachment)
{
	if (!attachment->dropped && attachment->ops->dead(attachment->backend))
		drop(attachment);
	return !attachment->dropped;
}

void attachments_drop_dead(struct weir_ioas *ioas)
{
	struct ioas_attachment *attachment;

	TAILQ_FOREACH (attachment, &ioas->attachments, link)
		(void)usable(attachment);
}

static int check_ranges(const struct ioas_attachment *attachment,
			const struct weir_mapping *mapping, struct weir_error *err)
{
	const struct ioas_limits *limits = &attachment->limits;
	const struct ioas_range *near = &limits->ranges[0];

	for (unsigned int i = 0; i < limits->nr_ranges; i++) {
		const struct ioas_range *range = &limits->ranges[i];

		if (mapping->iova >= range->first && mapping->last <= range->last)
			return 0;
		if (range->first <= mapping->last)
			near = range;
	}
	return weir_error_set(err, -ERANGE,
			      "the %s mapping at 0x%" PRIx64 " to 0x%" PRIx64
			      " is outside what the %s device can address, 0x%" PRIx64
			      " to 0x%" PRIx64,
			      mapping_kind_name(mapping->kind), mapping->iova, mapping->last,
			      attachment->ops->name, near->first, near->last);
}

static int check_limits(const struct ioas_attachment *attachment,
			const struct weir_mapping *mapping, struct weir_error *err)
{
	const struct ioas_limits *limits = &attachment->limits;

	if (limits->needs_fd && mapping->fd < 0)
		return weir_error_set(err, -EOPNOTSUPP,
				      "the %s mapping at 0x%" PRIx64 " has no file descriptor, "
				      "which a %s device needs",
				      mapping_kind_name(mapping->kind), mapping->iova,
				      attachment->ops->name);
	if (limits->needs_fd && mapping->device_fd)
		return weir_error_set(err, -EOPNOTSUPP,
				      "the %s mapping at 0x%" PRIx64 " is of a device behind VFIO, "
				      "whose descriptor is not given to the server of a %s device",
				      mapping_kind_name(mapping->kind), mapping->iova,
				      attachment->ops->name);
	if (attachment->ioas->nr_mappings > limits->max_mappings)
		return weir_error_set(err, -ENOSPC,
				      "%" PRIu64 " mappings are over the %" PRIu64
				      " that the %s device has room for",
				      attachment->ioas->nr_mappings, limits->max_mappings,
				      attachment->ops->name);
	if (!weir_is_aligned(mapping->iova | mapping_bytes(mapping) | mapping->offset,
			     limits->page_bytes))
		return weir_error_set(
			err, -EINVAL,
			"the %s mapping at 0x%" PRIx64 ", 0x%" PRIx64
			" bytes from offset 0x%" PRIx64
			", is no multiple of the %s device's 0x%" PRIx64 " byte pages",
			mapping_kind_name(mapping->kind), mapping->iova, mapping_bytes(mapping),
			mapping->offset, attachment->ops->name, limits->page_bytes);
	return check_ranges(attachment, mapping, err);
}

static int map_one(struct ioas_attachment *attachment, const struct weir_mapping *mapping,
		   struct weir_error *err)
{
	const struct ioas_memory memory = {
		.iova = mapping->iova,
		.bytes = mapping_bytes(mapping),
		.prot = mapping->prot,
		.fd = mapping->fd,
		.offset = mapping->offset,
		.addr = mapping->addr,
		.device = mapping->kind == MAPPING_DMABUF,
	};

	return attachment->ops->map(attachment->backend, &memory, err);
}

static int unmap_one(struct ioas_attachment *attachment, const struct weir_mapping *mapping,
		     struct weir_error *err)
{
	uint64_t unmapped = 0;
	int ret;

	ret = attachment->ops->unmap(attachment->backend, mapping->iova, mapping_bytes(mapping),
				     &unmapped, err);
	if (ret || unmapped == mapping_bytes(mapping))
		return ret;
	return weir_error_set(err, -EIO,
			      "the %s device unmapped 0x%" PRIx64 " bytes of the %s mapping at "
			      "0x%" PRIx64 ", which has 0x%" PRIx64,
			      attachment->ops->name, unmapped, mapping_kind_name(mapping->kind),
			      mapping->iova, mapping_bytes(mapping));
}

int attachments_map(struct weir_ioas *ioas, const struct weir_mapping *mapping,
		    struct weir_error *err)
{
	struct ioas_attachment *attachment, *failed;
	int ret;

	TAILQ_FOREACH (attachment, &ioas->attachments, link) {
		if (attachment->dropped)
			continue;
		ret = check_limits(attachment, mapping, err);
		if (ret)
			return ret;
	}
	TAILQ_FOREACH (attachment, &ioas->attachments, link) {
		if (attachment->dropped)
			continue;
		ret = map_one(attachment, mapping, err);
		if (ret)
			goto unwind;
	}
	return 0;

unwind:
	failed = attachment;
	while ((attachment = TAILQ_PREV(attachment, attachment_list, link))) {
		if (usable(attachment))
			(void)unmap_one(attachment, mapping, NULL);
	}
	(void)usable(failed);
	return ret;
}

int attachments_unmap(struct weir_ioas *ioas, const struct weir_mapping *mapping,
		      struct weir_error *err)
{
	struct ioas_attachment *attachment;
	struct weir_error why;
	int ret = 0;

	TAILQ_FOREACH (attachment, &ioas->attachments, link) {
		if (!usable(attachment))
			continue;
		if (unmap_one(attachment, mapping, &why) == -EIO && !ret)
			ret = weir_error_set(err, -EIO, "%s", why.text);
		(void)usable(attachment);
	}
	return ret;
}

/* Tells a new backend what is mapped. */
static int replay(struct ioas_attachment *attachment, struct weir_error *err)
{
	struct weir_ioas *ioas = attachment->ioas;
	struct weir_mapping *mapping;
	int ret;

	TAILQ_FOREACH (mapping, &ioas->mappings, link) {
		ret = check_limits(attachment, mapping, err);
		if (ret)
			return ret;
	}
	TAILQ_FOREACH (mapping, &ioas->mappings, link) {
		ret = map_one(attachment, mapping, err);
		if (ret)
			goto unwind;
	}
	return 0;

unwind:
	while ((mapping = TAILQ_PREV(mapping, mapping_list, link)) &&
	       !attachment->ops->dead(attachment->backend))
		(void)unmap_one(attachment, mapping, NULL);
	return ret;
}

int ioas_attach(struct weir_ioas *ioas, const struct ioas_backend_ops *ops, void *backend,
		bool adopted, struct ioas_attachment **attachment, struct weir_error *err)
{
	struct ioas_attachment *new = calloc(1, sizeof(*new));
	int ret = 0;

	if (!new)
		return weir_error_set(err, -ENOMEM, "no memory for an attachment");
	new->ioas = ioas;
	new->ops = ops;
	new->backend = backend;
	ops->limits(backend, &new->limits);

	pthread_mutex_lock(&ioas->setup);
	if (!adopted)
		ret = replay(new, err);
	if (!ret) {
		pthread_rwlock_wrlock(&ioas->lock);
		new->deaths_taken = ioas->deaths;
		TAILQ_INSERT_TAIL(&ioas->attachments, new, link);
		pthread_rwlock_unlock(&ioas->lock);
	}
	pthread_mutex_unlock(&ioas->setup);
	if (ret) {
		free(new);
		return ret;
	}
	*attachment = new;
	return 0;
}

void ioas_limits_changed(struct ioas_attachment *attachment)
{
	pthread_mutex_lock(&attachment->ioas->setup);
	attachment->ops->limits(attachment->backend, &attachment->limits);
	pthread_mutex_unlock(&attachment->ioas->setup);
}

void ioas_detach(struct ioas_attachment *attachment)
{
	struct weir_ioas *ioas;

	if (!attachment)
		return;
	ioas = attachment->ioas;
	pthread_mutex_lock(&ioas->setup);
	pthread_rwlock_wrlock(&ioas->lock);
	TAILQ_REMOVE(&ioas->attachments, attachment, link);
	pthread_rwlock_unlock(&ioas->lock);
	pthread_mutex_unlock(&ioas->setup);
	free(attachment);
}
