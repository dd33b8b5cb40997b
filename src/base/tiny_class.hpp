/**
 * @file tiny_class.hpp
 * @box tiny_class — the size classes of the recorded phases, C0 to C7
 *
 * The record's tiny classes are powers of two of *stride*, 8 to 1,024 bytes, and one byte of each
 * stride is the header. So a request of n bytes needs n + 1, and a class serves what one would not
 * guess from its number:
 *
 *     class    C0   C1   C2   C3   C4   C5   C6   C7
 *     stride    8   16   32   64  128  256  512  1,024
 *     serves  0–7 –15  –31  –63 –127 –255 –511  –1,023     bytes
 *
 * C7 has no header. The record does not say why. Its limit was 1,024 bytes at first, and a request
 * of so many would have needed the next stride for the sake of one byte. C0 would align blocks to 8
 * bytes; malloc promises 16, so C1 serves its requests.
 *
 * The record calls C1 "unknown" and contradicts itself about C2 and C3. The table above is what
 * reconciles it; tests/base holds it to the record's counts.
 *
 * Above 1,023 bytes the record's other domains begin: Mid to 32 KiB, and Large. The record had a
 * largest tiny size and a smallest mid size, and for a while nobody owned the sizes between them.
 * Here is one limit, and who is above it is not tiny.
 *
 * @owns      nothing
 * @calls     base/size_class
 * @threads   not applicable: constants
 * @invariant none
 * @failure   none
 * @cost      a count of leading zeros; bench: tiny_class
 * @phase     recorded before 13
 */
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>

#include "base/size_class.hpp"

namespace hakmem::base {

constexpr unsigned recorded_class_count = 8;           ///< C0 to C7.
constexpr unsigned headerless_class = 7;               ///< C7.
constexpr std::size_t recorded_tiny_bytes_max = 1023;  ///< TINY_MAX_SIZE of the record.

// [class]
/**
 * @param bytes A request, at most recorded_tiny_bytes_max.
 * @return Its tiny class: the one whose stride holds a byte more.
 */
constexpr unsigned recorded_class_of(std::size_t bytes) {
    return std::max(static_cast<unsigned>(std::bit_width(bytes)), 4u) - 3;
}

/**
 * @param tiny_class A class of the record.
 * @return Its stride in bytes.
 */
constexpr std::size_t stride_of(unsigned tiny_class) { return std::size_t{8} << tiny_class; }

/**
 * @param tiny_class C1 to C7.
 * @return The size class whose slabs it uses.
 */
constexpr ClassId slab_class_of(unsigned tiny_class) { return class_of(stride_of(tiny_class)); }
// [/class]

// [way back]
/**
 * @param id A small class.
 * @return Its class in the record, or recorded_class_count if its blocks are none of the tiny ones.
 */
constexpr unsigned recorded_class_of_slab(ClassId id) {
    const std::size_t bytes = row(id).block_bytes;
    const bool is_tiny = std::has_single_bit(bytes) && bytes <= stride_of(headerless_class);
    return is_tiny ? static_cast<unsigned>(std::bit_width(bytes)) - 4 : recorded_class_count;
}
// [/way back]

}  // namespace hakmem::base
