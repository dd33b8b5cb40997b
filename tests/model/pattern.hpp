/**
 * @file
 * The contents by which a block is recognised.
 *
 * Each block gets a seed of its own and is filled with words that depend on the seed and on their
 * offset, so that lost, moved, swapped and shared bytes all show. Small blocks are filled whole;
 * of a large one the two ends and words spread between them, or the test would measure memset.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace hakmem::model {

inline constexpr std::size_t filled_whole_bytes_max = 4096;

/** No byte found wrong. */
inline constexpr std::size_t all_intact = SIZE_MAX;

/** Writes the pattern of a block of `bytes` bytes. */
void fill_pattern(void* block, std::size_t bytes, std::uint64_t seed);

/**
 * Offset of the first word that is wrong, looking only below `limit`, or all_intact. `bytes` is
 * what the block was filled as: after a realloc only the part below the smaller size was kept.
 */
std::size_t check_pattern(const void* block, std::size_t bytes, std::uint64_t seed,
                          std::size_t limit);

/** Offset of a byte that is not zero, or all_intact. Of a large block one word in 512 bytes. */
std::size_t check_zero(const void* block, std::size_t bytes);

}  // namespace hakmem::model
