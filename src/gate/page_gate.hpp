/**
 * @file page_gate.hpp
 * @box page_gate — ours? mine? which class? in one subtraction
 *
 * A pointer that comes to free belongs to one of five domains: a block of my heap, a block of
 * another heap, a large block, a place inside HAKMEM's memory where no block is, or somebody else's
 * memory. The recorded phases asked one box after the other, some of which had to read the memory
 * in question. Here the page map's entry is read once, and the tag of my heap is subtracted:
 *
 *     entry  = tag << 10 | class << 4
 *     entry - (my tag << 10)  <  57 * 16     ⇔  the tag is mine and the class is a small one
 *
 * In that case the difference is the byte offset of the class's magazine in the heap. Every other
 * domain gives a large difference (unsigned, so other tags wrap round), and the slow path sorts
 * those out.
 *
 * Most blocks of a heap lie in one leaf of the page map: the one that its latest slab came from. A
 * heap knows that leaf as its home. Whether an address is at home is one compare, which also stands
 * for the question whether it is a user address at all, and the entry is then one load away rather
 * than two. What is not at home is asked for in the whole map, on the slow path.
 *
 * No heap has tag 0, so EXTERNAL, LARGE and FREE entries never match. The empty heap has the one
 * tag that is never given out, so it matches nothing at all.
 *
 * @owns      nothing
 * @calls     back/page_map base/attributes base/size_class base/units
 * @threads   any; pure reads
 * @invariant none
 * @failure   none: every 64-bit value has a domain
 * @cost      at home two loads, of leaf and entry, two subtractions, two compares; locked by
 *            tests/codegen. bench: page_gate
 * @phase     introduced in 16; FG V2 made total; the home came in 17
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"

namespace hakmem::gate {

constexpr std::uint32_t magazine_offset_end = base::class_count << base::class_shift;  ///< 57 * 16.
/** The tag bits of the empty heap, which owns nothing. */
constexpr std::uint32_t nobodys_tag_bits = back::page_map::tag_max << back::page_map::tag_shift;

// [classify]
/**
 * Asks whether a unit is of a heap of mine.
 * @param entry The unit's entry.
 * @param my_tag_bits The heap's tag, shifted to its place in an entry.
 * @return The byte offset of its class's magazine if it is mine; else a value of at least
 *         magazine_offset_end.
 */
HAK_FAST std::uintptr_t classify(back::page_map::Entry entry, const std::uint32_t& my_tag_bits) {
    std::uintptr_t difference = entry.bits - my_tag_bits;
    // The subtraction has cleared the upper half, whatever the compiler believes.
    asm("" : "+r"(difference));
    return difference;
}

/**
 * Asks whether a pointer is a block of a heap of mine.
 * @param pointer Any value.
 * @param my_tag_bits The heap's tag, shifted to its place in an entry.
 * @return As for its entry; at least magazine_offset_end for what is no user address.
 */
HAK_FAST std::uintptr_t classify(const void* pointer, const std::uint32_t& my_tag_bits) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    if (!back::page_map::is_user_address(address)) return magazine_offset_end;
    return classify(back::page_map::place_of(address).entry(), my_tag_bits);
}
// [/classify]

/** The part of the page map where most blocks of a heap are. */
struct Home {
    std::uintptr_t first_unit;  ///< Number of its first unit, counted from address 0.
    const std::atomic<std::uint32_t>* entries;  ///< Its leaf's entries.
};
/** The home of the empty heap: no address of a block is in it. */
constexpr Home nowhere{0, back::page_map::map.static_leaf.entries};

/**
 * @param start A unit of HAKMEM.
 * @return The home of a heap whose blocks are thereabouts.
 */
inline Home home_of(const void* start) {
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    return {address >> base::leaf_shift << (base::leaf_shift - base::unit_shift),
            back::page_map::leaf_of(address).entries};
}

// [at home]
/**
 * The same question where most blocks are: one load less.
 * @param pointer Any value.
 * @param home The heap's home.
 * @param my_tag_bits The heap's tag, shifted to its place in an entry.
 * @return As classify(), or at least magazine_offset_end for whatever is not at home.
 */
HAK_FAST std::uintptr_t classify_at_home(const void* pointer, const Home& home,
                                         const std::uint32_t& my_tag_bits) {
    const std::uintptr_t unit =
        (reinterpret_cast<std::uintptr_t>(pointer) >> base::unit_shift) - home.first_unit;
    if (HAK_UNLIKELY(unit >= back::page_map::Leaf::units)) return magazine_offset_end;
    const back::page_map::Entry entry{home.entries[unit].load(std::memory_order_relaxed)};
    return classify(entry, my_tag_bits);
}
// [/at home]

}  // namespace hakmem::gate
