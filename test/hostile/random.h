/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * random.h - numbers that follow from a seed, the same everywhere (splitmix64), so that two
 * processes know the same bytes without telling each other.
 */

#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline uint64_t random_next(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return random_mix(*state);
}

/* From low to high, both included. */
static inline unsigned random_range(uint64_t *state, unsigned low, unsigned high)
{
	return low + (unsigned)(random_next(state) % (high - low + 1u));
}

/* The bytes from `offset` on of the endless string that belongs to a seed. */
static inline void random_bytes(uint64_t seed, uint64_t offset, unsigned char *to, size_t n)
{
	uint64_t word = 0;
	size_t i;

	for (i = 0; i < n; i++, offset++) {
		if (i == 0 || offset % 8 == 0)
			word = random_mix(seed * 31 + offset / 8) >> (offset % 8 * 8);
		to[i] = (unsigned char)word;
		word >>= 8;
	}
}

#endif /* RANDOM_H */
