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
 *     entry - (my tag << 10)  <  53 * 16     ⇔  the tag is mine and the class is a small one
 *
 * In that case the difference is the byte offset of the class's magazine in the heap. Every other
 * domain gives a large difference (unsigned, so other tags wrap round), and the slow path sorts
 * those out.
 *
 * No heap has tag 0, so EXTERNAL, LARGE and FREE entries never match. The empty heap has the one
 * tag that is never given out, so it matches nothing at all.
 *
 * @owns      nothing
 * @calls     back/page_map base/attributes base/size_class
 * @threads   any; pure reads
 * @invariant none
 * @failure   none: every 64-bit value has a domain
 * @cost      two loads, one subtraction, two compares; locked by tests/codegen
 * @phase     introduced in 16; FG V2 made total
 */
#pragma once

#include <cstdint>

#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"

namespace hakmem::gate {

constexpr std::uint32_t magazine_offset_end = base::class_count << base::class_shift;  ///< 53 * 16.
/** The tag bits of the empty heap, which owns nothing. */
constexpr std::uint32_t nobodys_tag_bits = back::page_map::tag_max << back::page_map::tag_shift;

// [classify]
/**
 * Asks whether a pointer is a block of a heap of mine.
 * @param pointer Any value.
 * @param my_tag_bits The heap's tag, shifted to its place in an entry.
 * @return The byte offset of its class's magazine if it is mine; else a value of at least
 *         magazine_offset_end.
 */
HAK_FAST std::uintptr_t classify(const void* pointer, const std::uint32_t& my_tag_bits) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    if (!back::page_map::is_user_address(address)) return magazine_offset_end;
    std::uintptr_t difference = back::page_map::entry_at(address).bits - my_tag_bits;
    // The subtraction has cleared the upper half, whatever the compiler believes.
    asm("" : "+r"(difference));
    return difference;
}
// [/classify]

}  // namespace hakmem::gate
