/* SPDX-License-Identifier: BSD-3-Clause */
/* The transports that there are, and which one an address means. */
#include "device/transport.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* For a PCI function the first that is offered; the last one says what is in the way. */
static const struct transport_ops *const transports[] = {
	&vfio_user_transport,
	&vfio_cdev_transport,
	&vfio_group_transport,
};

const struct transport_ops *transport_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	}
	return NULL;
}

bool transport_is_pci(const char *address)
{
	regex_t pattern;
	bool match;

	if (regcomp(&pattern, "^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$",
		    REG_EXTENDED | REG_NOSUB | REG_ICASE))
		return false;
	match = !regexec(&pattern, address, 0, NULL, 0);
	regfree(&pattern);
	return match;
}

static int choose_forced(const char *address, const char *name, const char *who,
			 const struct transport_ops **transport, struct weir_error *err)
{
	const struct transport_ops *forced = transport_find(name);

	if (!forced)
		return weir_error_set(err, -EINVAL,
				      "%s \"%s\" is none of \"vfio-user\", \"cdev\", \"group\"",
				      who, name);
	if (!forced->matches(address))
		return weir_error_set(err, -EINVAL, "%s \"%s\" does not go with the address \"%s\"",
				      who, name, address);
	*transport = forced;
	return 0;
}

int transport_choose(const char *address, const char *name, const struct transport_ops **transport,
		     struct weir_error *err)
{
	const char *environment = secure_getenv("WEIR_TRANSPORT");
	const struct transport_ops *last = NULL;

	if (name)
		return choose_forced(address, name, "transport", transport, err);
	/* The environment is about PCI functions: an emulated device has one transport only. */
	if (environment && *environment && transport_is_pci(address))
		return choose_forced(address, environment, "WEIR_TRANSPORT", transport, err);
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!transports[i]->matches(address))
			continue;
		last = transports[i];
		if (!last->offered || last->offered(address))
			break;
	}
	if (!last)
		return weir_error_set(err, -EINVAL,
				      "\"%s\" is neither a PCI address such as 0000:3b:00.0 nor "
				      "vfio-user:/path/to/socket",
				      address);
	*transport = last;
	return 0;
}
