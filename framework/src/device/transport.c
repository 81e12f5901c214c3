/* SPDX-License-Identifier: BSD-3-Clause */
/* The transports that there are, and which one an address means. */
#include "device/transport.h"

#include <regex.h>
#include <string.h>

static const struct transport_ops *const transports[] = {
	&vfio_user_transport,
};

const struct transport_ops *transport_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	}
	return NULL;
}

/* domain:bus:device.function as sysfs writes it. */
static bool is_pci_address(const char *address)
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

int transport_choose(const char *address, const char *name, const struct transport_ops **transport,
		     struct weir_error *err)
{
	const struct transport_ops *forced = name ? transport_find(name) : NULL;

	if (name && !forced && strcmp(name, "group") && strcmp(name, "cdev"))
		return weir_error_set(
			err, -EINVAL,
			"transport \"%s\" is none of \"vfio-user\", \"group\", \"cdev\"", name);
	if (name && !forced)
		return weir_error_set(
			err, -EOPNOTSUPP,
			"%s: this build has no VFIO transport (\"%s\"), only vfio-user", address,
			name);
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!transports[i]->matches(address) || (forced && forced != transports[i]))
			continue;
		*transport = transports[i];
		return 0;
	}
	if (is_pci_address(address))
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: a PCI function needs a VFIO transport (\"group\" or "
				      "\"cdev\"), and this build has only vfio-user",
				      address);
	return weir_error_set(err, -EINVAL,
			      "\"%s\" is neither a PCI address such as 0000:3b:00.0 nor "
			      "vfio-user:/path/to/socket",
			      address);
}
