/* SPDX-License-Identifier: BSD-3-Clause */
#include "parse_net.h"
#include "fail.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* More than any link: 1 Tbit/s, and as many frames. */
#define MAX_RATE UINT64_C(1000000000000)
#define MILLION UINT64_C(1000000)
/* The largest frame that the devices here take (82576 datasheet, RLPML). */
#define MAX_SIZE 9728

/* Digits with a fraction of up to six digits, in millionths. False: there are none, or the number
 * is over MAX_RATE. */
static bool leading_decimal(const char *text, uint64_t *millionths, const char **end)
{
	uint64_t value = 0, scale = MILLION;
	const char *at = text;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++) {
		value = value * 10 + (uint64_t)(*at - '0');
		if (value > MAX_RATE)
			return false;
	}
	value *= MILLION;
	if (*at == '.') {
		if (!isdigit((unsigned char)*++at))
			return false;
		for (; isdigit((unsigned char)*at) && scale > 1; at++) {
			scale /= 10;
			value += scale * (uint64_t)(*at - '0');
		}
	}
	*millionths = value;
	*end = at;
	return true;
}

/* The units of a rate, 0 in `factor` for no such unit. */
static enum net_rate_unit rate_unit(const char *text, uint64_t *factor)
{
	static const struct {
		char letter;
		uint64_t factor;
	} prefixes[] = { { 'k', 1000 }, { 'm', MILLION }, { 'g', 1000 * MILLION } };

	*factor = 1;
	if (!strcmp(text, "%")) {
		*factor = 100;
		return NET_RATE_PERCENT;
	}
	for (unsigned int i = 0; i < 3; i++) {
		if (tolower((unsigned char)*text) == prefixes[i].letter) {
			*factor = prefixes[i].factor;
			text++;
			break;
		}
	}
	if (!strcasecmp(text, "pps"))
		return NET_RATE_PPS;
	if (!strcasecmp(text, "bps"))
		return NET_RATE_BPS;
	*factor = 0;
	return NET_RATE_MAX;
}

int parse_net_rate(const char *what, const char *text, struct net_rate *rate,
		   struct weir_error *err)
{
	uint64_t millionths, factor, limit = MAX_RATE;
	enum net_rate_unit unit;
	const char *end;

	if (!strcmp(text, "max")) {
		*rate = (struct net_rate){ .unit = NET_RATE_MAX };
		return 0;
	}
	if (!leading_decimal(text, &millionths, &end))
		goto malformed;
	unit = rate_unit(end, &factor);
	if (!factor)
		goto malformed;
	if (unit == NET_RATE_PERCENT)
		limit = 100 * factor;
	if (millionths > limit * MILLION / factor)
		return fail(err, -EINVAL, "%s %s is over the limit of %s", what, text,
			    unit == NET_RATE_PERCENT ? "100%"
			    : unit == NET_RATE_PPS   ? "1000Gpps"
						     : "1000Gbps");
	if (millionths * factor % MILLION)
		return fail(err, -EINVAL, "%s %s is finer than one of its units", what, text);
	if (!millionths)
		return fail(err, -EINVAL, "%s %s is nothing at all", what, text);
	*rate = (struct net_rate){ .unit = unit, .value = millionths * factor / MILLION };
	return 0;

malformed:
	return fail(err, -EINVAL,
		    "%s '%s' is not max nor a rate such as 1000pps, 2.5Mpps, 100Mbps or 50%%", what,
		    text);
}

/* The digits at the front of a text. */
static bool leading_size(const char *text, uint32_t *size, const char **end)
{
	*size = 0;
	for (*end = text; isdigit((unsigned char)**end); (*end)++) {
		*size = *size * 10 + (uint32_t)(**end - '0');
		if (*size > MAX_SIZE)
			*size = MAX_SIZE + 1;
	}
	return *end != text;
}

int parse_net_sizes(const char *what, const char *text, struct net_sizes *sizes,
		    struct weir_error *err)
{
	uint32_t min, max;
	const char *end;

	if (!strcmp(text, "imix")) {
		*sizes = (struct net_sizes){ NET_SIZE_IMIX, NET_MIN_SIZE, NET_IMIX_MAX };
		return 0;
	}
	if (!leading_size(text, &min, &end))
		goto malformed;
	max = min;
	if (*end == '-' && !leading_size(end + 1, &max, &end))
		goto malformed;
	if (*end)
		goto malformed;
	if (min < NET_MIN_SIZE)
		return fail(err, -EINVAL, "%s %s is under the minimum of %u bytes", what, text,
			    NET_MIN_SIZE);
	if (max > MAX_SIZE || min > MAX_SIZE)
		return fail(err, -EINVAL, "%s %s is over the limit of %u bytes", what, text,
			    MAX_SIZE);
	if (max < min)
		return fail(err, -EINVAL, "%s %s ends before it begins", what, text);
	*sizes = (struct net_sizes){ min == max ? NET_SIZE_FIXED : NET_SIZE_RANGE, min, max };
	return 0;

malformed:
	return fail(err, -EINVAL, "%s '%s' is not imix nor a size such as 64 or 64-1518", what,
		    text);
}

static unsigned int hex_digit(char digit)
{
	return isdigit((unsigned char)digit)
		       ? (unsigned int)(digit - '0')
		       : (unsigned int)(tolower((unsigned char)digit) - 'a' + 10);
}

int parse_net_mac(const char *what, const char *text, uint8_t mac[6], struct weir_error *err)
{
	const char *at = text;

	for (unsigned int i = 0; i < 6; i++, at += 3) {
		if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]) ||
		    at[2] != (i < 5 ? ':' : '\0'))
			return fail(err, -EINVAL,
				    "%s '%s' is not an Ethernet address such as 02:00:00:00:00:01",
				    what, text);
		mac[i] = (uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
	}
	return 0;
}

int parse_net_ip(const char *what, const char *text, struct net_ip *ip, struct weir_error *err)
{
	if (inet_pton(AF_INET, text, ip->address) == 1)
		ip->bytes = 4;
	else if (inet_pton(AF_INET6, text, ip->address) == 1)
		ip->bytes = 16;
	else
		return fail(err, -EINVAL,
			    "%s '%s' is not an IP address such as 192.0.2.1 or 2001:db8::1", what,
			    text);
	return 0;
}
