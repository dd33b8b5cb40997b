/**
 * @file header_byte.hpp
 * @box header_byte — one byte in front of a block that says what it is
 *
 * The idea on which the recorded phases rest: free reads the byte before the pointer, and knows the
 * domain and the class without a lookup.
 *
 *     … | block i - 1        [h] | block i          [h] | block i + 1 …
 *                             ▲ last byte of the stride before; the block's user never has it
 *
 *     h = 0xa0 | class   a tiny block, C1 to C6
 *     h = 0xb0           a mid or large block: an AllocHeader ends here
 *
 * Two kinds of pointer have no byte that may be read. One that begins a page: the byte would lie on
 * another page, which may not be there (the *same-page guard*). And a block of C7, which has no
 * header. Both are found by registry, which is the page map.
 *
 * @owns      nothing
 * @calls     base/attributes base/tiny_class base/units
 * @threads   any; the byte of a block is written by who allocates it
 * @invariant none
 * @failure   none: a byte that nobody stamped says nothing
 * @cost      one load from the line before the block; bench: header_byte
 * @phase     recorded before 13; same-page guard from 15
 */
#pragma once

#include <cstdint>

#include "base/attributes.hpp"
#include "base/tiny_class.hpp"
#include "base/units.hpp"

namespace hakmem::gate {

constexpr std::uint8_t tiny_magic = 0xa0;  ///< Upper half of a tiny block's byte.
constexpr std::uint8_t pool_magic = 0xb0;  ///< Upper half of a mid or large block's byte.

// [says]
/** What a header byte says. */
struct HeaderByte {
    std::uint8_t value;  ///< As it was read; 0 when none may be read.

    /** @return Whether it says "tiny", and names a class that has a header: C1 to C6. */
    constexpr bool is_tiny() const {
        return value > tiny_magic && value < (tiny_magic | base::headerless_class);
    }
    /** @return Whether it says "mid or large". */
    constexpr bool is_pool() const { return value == pool_magic; }
    /** @return The class it names, if it is tiny. */
    constexpr unsigned tiny_class() const { return value & 0x0f; }
};
// [/says]

/**
 * @param pointer Any value.
 * @return Whether the byte before it lies on the same page, and may be read if the pointer may.
 */
HAK_FAST bool has_byte_before(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % base::page_bytes != 0;
}

// [read and stamp]
/**
 * @param pointer A pointer to readable memory.
 * @return The byte before it, or a byte that says nothing.
 */
HAK_FAST HeaderByte read_header(const void* pointer) {
    if (HAK_UNLIKELY(!has_byte_before(pointer))) return {0};
    // By its address: the byte is no part of what the pointer points to.
    return {*reinterpret_cast<const std::uint8_t*>(reinterpret_cast<std::uintptr_t>(pointer) - 1)};
}

/**
 * Writes a block's byte, if it has one.
 * @param block A tiny block.
 * @param tiny_class Its class.
 */
HAK_FAST void stamp_tiny(void* block, unsigned tiny_class) {
    if (HAK_UNLIKELY(!has_byte_before(block)) || tiny_class == base::headerless_class) return;
    static_cast<std::uint8_t*>(block)[-1] = static_cast<std::uint8_t>(tiny_magic | tiny_class);
}
// [/read and stamp]

}  // namespace hakmem::gate
