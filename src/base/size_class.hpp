/**
 * @file size_class.hpp
 * @box size_class — which block size serves a request
 *
 * An allocator that gave each request its exact size could never reuse a block for another. So
 * requests are rounded up to one of a few sizes, and blocks of one size lie together. Few classes
 * waste memory inside blocks; many waste it in half-used slabs. With the spacing here a block above
 * 128 bytes wastes less than one eighth of itself up to 1 KiB and between 4 and 8 KiB, and at most
 * one fifth elsewhere:
 *
 *     16 32 48 … 256      steps of 16        classes  1–16
 *     288 320 … 1,024     eight a doubling   classes 17–32
 *     1,280 … 4 KiB       four a doubling    classes 33–40
 *     4,608 … 8 KiB       eight a doubling   classes 41–48
 *     10 KiB … 32 KiB     four a doubling    classes 49–56
 *
 * Between 4 and 8 KiB they are fine again for the sake of those who keep pages of a file in
 * memory, and some bytes of their own with each.
 *
 * Two facts hold for every class. Its size is a multiple of 16, because compilers assume that
 * malloc aligns so. And a slab starts at a unit boundary, so block i of a class whose size is a
 * multiple of a is aligned to a; power-of-two sizes are thus aligned to themselves, and
 * aligned_alloc needs no slack.
 *
 * The columns of the table are derived from the sizes by the compiler: how many units a slab has,
 * how many blocks, what is left over, and the reciprocal that turns an offset into an index
 * without a division. A test derives them again by another way.
 *
 * @owns      the table
 * @calls     base/units
 * @threads   not applicable: constants
 * @invariant none
 * @failure   a request above small_bytes_max has no class
 * @cost      one load from a small table a request; bench: size_class
 * @phase     introduced in 16; four classes more in 21
 */
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/units.hpp"

namespace hakmem::base {

/** A size class as the page map stores it: 6 bits. */
enum class ClassId : std::uint8_t {
    external = 0,  ///< Not HAKMEM's memory.
    first = 1,     ///< Blocks of 16 bytes.
    last = 56,     ///< Blocks of 32 KiB.
    large = 62,    ///< One block a span.
    free = 63,     ///< HAKMEM's memory, in nobody's use.
};

constexpr unsigned class_count = 57;  ///< Small classes, and the empty place of class 0.
constexpr std::size_t small_bytes_max = 32 * kibibyte;  ///< The largest small class.
constexpr std::size_t tiny_bytes_max = kibibyte;        ///< Found in the fine table.
constexpr std::size_t tiny_granule = 16;                ///< Step of the fine table.
constexpr std::size_t mid_granule = 256;                ///< Step of the coarse table.
constexpr unsigned slab_blocks_max = 4096;              ///< 64 KiB of 16-byte blocks.

/**
 * @param id A class.
 * @return Its place in the table.
 */
constexpr unsigned index(ClassId id) { return static_cast<unsigned>(id); }

/**
 * @param id A class as the page map knows it.
 * @return Whether its blocks come from slabs with bitmaps.
 */
constexpr bool is_small(ClassId id) { return id >= ClassId::first && id <= ClassId::last; }

constexpr unsigned class_shift = 4;  ///< log2 of the scale, which is the size of a magazine.

/** A class times 16, the form in which hits meet it: the byte offset of its magazine in a heap. */
struct ScaledClass {
    std::uintptr_t value;  ///< Class times 16.
    /** @return The class. */
    constexpr ClassId id() const {
        return ClassId{static_cast<std::uint8_t>(value >> class_shift)};
    }
};

/** One row of the table. */
struct SizeClass {
    std::uint32_t block_bytes;  ///< Size of a block; multiple of 16.
    std::uint32_t slab_units;   ///< Units of a slab: 1, 2 or 4.
    std::uint32_t blocks;       ///< Blocks of a slab.
    std::uint32_t slab_slack;   ///< Bytes at the slab's end that hold no block.
    std::uint32_t reciprocal;   ///< ceil(2^32 / block_bytes).
};

namespace detail {

/** Blocks a slab should have at least, so that its bitmap is worth a refill. */
constexpr std::size_t slab_blocks_wanted = 8;
/** A slab may lose one part in so many to its end. */
constexpr std::size_t slab_slack_part = 12;

// [derive]
consteval std::array<SizeClass, class_count> make_size_classes() {
    std::array<SizeClass, class_count> table{};
    std::size_t bytes = 0;
    for (unsigned c = 1; c < class_count; c++) {
        const bool fine = bytes < kibibyte || (bytes >= 4 * kibibyte && bytes < 8 * kibibyte);
        const std::size_t steps = fine ? 8 : 4;
        const std::size_t doubling =
            bytes < 256 ? 128 : std::size_t{1} << (std::bit_width(bytes) - 1);
        bytes += doubling / steps;
        std::size_t units = 1;
        while (units < 4 && (units * unit_bytes / bytes < slab_blocks_wanted ||
                             units * unit_bytes % bytes > units * unit_bytes / slab_slack_part)) {
            units *= 2;
        }
        const std::size_t span = units * unit_bytes;
        table[c] = {static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(units),
                    static_cast<std::uint32_t>(span / bytes),
                    static_cast<std::uint32_t>(span % bytes),
                    static_cast<std::uint32_t>(((std::uint64_t{1} << 32) + bytes - 1) / bytes)};
    }
    return table;
}
// [/derive]

}  // namespace detail

/** The table; row 0 is empty. */
inline constexpr std::array<SizeClass, class_count> size_classes = detail::make_size_classes();
static_assert(size_classes[index(ClassId::last)].block_bytes == small_bytes_max,
              "the last class must be the largest small size");

namespace detail {

// [fraction]
/**
 * A block of b bytes has the reciprocal r, the least number with r·b >= 2^32; let r·b be 2^32 + e.
 * An offset of q blocks and s bytes, times r, is q·2^32 + q·e + s·r. While (q + 1)·e < r, what
 * follows q·2^32 is less than 2^32, whatever s is; and it is less than r just when s is 0. So the
 * upper half of the product is the index, and the lower half tells starts of blocks from all else.
 * Behind the last block the upper half is no block's index, as large as the rest may be.
 */
consteval bool halves_tell_index_and_start() {
    for (unsigned c = 1; c < class_count; c++) {
        const SizeClass& row = size_classes[c];
        const std::uint64_t excess =
            std::uint64_t{row.reciprocal} * row.block_bytes - (std::uint64_t{1} << 32);
        if (row.blocks * excess >= row.reciprocal) return false;
    }
    return true;
}
static_assert(halves_tell_index_and_start(), "what back/slab takes an offset's product for");
// [/fraction]

/** Maps granules of a step to the smallest class that holds them, scaled. */
template <std::size_t granule, std::size_t bytes_max>
consteval std::array<std::uint16_t, bytes_max / granule + 1> make_class_of_granule() {
    std::array<std::uint16_t, bytes_max / granule + 1> map{};
    unsigned c = 1;
    for (std::size_t i = 0; i < map.size(); i++) {
        while (size_classes[c].block_bytes < i * granule) c++;
        map[i] = static_cast<std::uint16_t>(c << class_shift);
    }
    return map;
}

inline constexpr auto class_of_tiny_granule = make_class_of_granule<tiny_granule, tiny_bytes_max>();
inline constexpr auto class_of_mid_granule = make_class_of_granule<mid_granule, small_bytes_max>();

}  // namespace detail

// [class_of]
/**
 * @param bytes A request of at most tiny_bytes_max.
 * @return The smallest class that holds it, scaled; 0 bytes get the first class.
 */
constexpr ScaledClass scaled_class_of_tiny(std::size_t bytes) {
    return {detail::class_of_tiny_granule[(bytes + tiny_granule - 1) / tiny_granule]};
}

/**
 * @param bytes A request of at most small_bytes_max.
 * @return The smallest class that holds it.
 */
constexpr ClassId class_of(std::size_t bytes) {
    if (bytes <= tiny_bytes_max) return scaled_class_of_tiny(bytes).id();
    return ScaledClass{detail::class_of_mid_granule[(bytes + mid_granule - 1) / mid_granule]}.id();
}
// [/class_of]

/**
 * @param id A small class.
 * @return Its row of the table.
 */
constexpr const SizeClass& row(ClassId id) { return size_classes[index(id)]; }

}  // namespace hakmem::base
