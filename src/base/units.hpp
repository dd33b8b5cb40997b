/**
 * @file units.hpp
 * @box units — the sizes in which memory is cut
 *
 * HAKMEM cuts memory four times, each cut a power of two, each aligned to itself:
 *
 *     page        4 KiB    what the kernel gives and takes back
 *     unit       64 KiB    what the page map knows: one entry each
 *     superslab   4 MiB    64 units: their occupancy is one 64-bit word
 *     leaf        4 GiB    65,536 units: one leaf of the page map
 *
 * Counts of different cuts are different types. `Units{3}` and `3` bytes cannot be mixed up,
 * because the compiler refuses.
 *
 * @owns      nothing
 * @calls     —
 * @threads   not applicable: there is no state
 * @invariant none
 * @failure   none
 * @cost      none at run time
 * @phase     introduced in 16
 */
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace hakmem::base {

constexpr std::size_t kibibyte = 1024;             ///< Bytes of a KiB.
constexpr std::size_t mebibyte = 1024 * kibibyte;  ///< Bytes of a MiB.
constexpr std::size_t gibibyte = 1024 * mebibyte;  ///< Bytes of a GiB.

constexpr std::size_t page_bytes = 4 * kibibyte;                  ///< The kernel's page.
constexpr unsigned unit_shift = 16;                               ///< log2 of unit_bytes.
constexpr std::size_t unit_bytes = std::size_t{1} << unit_shift;  ///< One entry of the page map.
constexpr unsigned superslab_units = 64;                          ///< Bits of a 64-bit word.
constexpr std::size_t superslab_bytes = superslab_units * unit_bytes;  ///< 4 MiB.
constexpr unsigned leaf_shift = 32;                                    ///< log2 of leaf_bytes.
constexpr std::size_t leaf_bytes = std::size_t{1} << leaf_shift;       ///< What one leaf covers.
constexpr unsigned address_bits = 47;         ///< User addresses of x86-64 lie below 2^47.
constexpr std::size_t cache_line_bytes = 64;  ///< Unit of false sharing.
constexpr std::size_t block_alignment = 16;   ///< Every block, whatever its size.
constexpr std::size_t request_bytes_max = PTRDIFF_MAX;  ///< Larger requests fail at once.
constexpr std::size_t alignment_bytes_max = gibibyte;   ///< Larger alignments fail at once.

// [units]
/** A number of units: the only quantity that superslabs and the pool deal in. */
struct Units {
    unsigned value;  ///< How many.

    /** @return The bytes that so many units cover. */
    constexpr std::size_t bytes() const { return std::size_t{value} << unit_shift; }

    /**
     * @param bytes Any number of bytes.
     * @return The fewest units that hold them.
     */
    static constexpr Units covering(std::size_t bytes) {
        return Units{static_cast<unsigned>((bytes + unit_bytes - 1) >> unit_shift)};
    }

    /** Counts compare as numbers do. */
    friend constexpr auto operator<=>(const Units&, const Units&) = default;
};
// [/units]

/**
 * @param value Any number whose rounding does not overflow.
 * @param alignment A power of two.
 * @return The next multiple of `alignment` at or above `value`.
 */
constexpr std::size_t round_up(std::size_t value, std::size_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace hakmem::base
