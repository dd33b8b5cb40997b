/**
 * @file alloc_header.hpp
 * @box alloc_header — sixteen bytes in front of a mid or large block
 *
 * Blocks above 1,023 bytes carry a header of their own. In the record free dereferenced it without
 * knowing whether it was one; probing the page with mincore first made that safe and slow, leaving
 * the probe out made it fast and crash. Here the header is *validated*: it holds its own address
 * and offset, scrambled, so bytes that are not a header of this very place do not pass for one.
 *
 *     | check: 8 bytes | offset: 4 | 0 0 0 | 0xb0 |  block …
 *                        ▲ from the start of the memory to the block
 *
 * Since a header is as long as a block's alignment, it lies on its block's page or not at all: a
 * block that begins a page has none, and a pointer that no block has is not asked. So what may be
 * read at the pointer may be read at the header.
 *
 * @owns      nothing
 * @calls     base/attributes base/units gate/header_byte
 * @threads   any; written by who allocates the block
 * @invariant none
 * @failure   header_of: null for what is not a header
 * @cost      two loads from the line before the block; bench: alloc_header
 * @phase     recorded before 13; validated from 15
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/units.hpp"
#include "gate/header_byte.hpp"

namespace hakmem::gate {

// [check]
/** The header. */
struct AllocHeader {
    std::uint64_t check;      ///< The header's address and the offset, scrambled.
    std::uint32_t offset;     ///< Bytes from the start of the block's memory to the block.
    std::uint8_t nothing[3];  ///< Zero.
    std::uint8_t byte;        ///< pool_magic: the block's header byte.

    static constexpr std::uint64_t scramble = 0x9ae16a3b2f90404fu;  ///< An odd constant.

    /** @return What check must hold at this place. */
    std::uint64_t expected_check() const {
        return reinterpret_cast<std::uintptr_t>(this) ^ offset ^ scramble;
    }
    /** @return Whether it was stamped at this place, and is as it was. */
    bool is_valid() const { return check == expected_check() && byte == pool_magic; }
};
// [/check]

static_assert(sizeof(AllocHeader) == base::block_alignment, "it keeps the block's alignment");

// [place]
/**
 * @param pointer Any value.
 * @return Whether a block may be there and all of its header before it, on the same page.
 */
HAK_FAST bool has_header_before(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % base::block_alignment == 0 &&
           has_byte_before(pointer);
}
// [/place]

// [header]
/**
 * Writes a block's header, if there is a place for it on the block's page.
 * @param block A mid or large block.
 * @param offset From the start of its memory.
 */
inline void stamp_header(void* block, std::uint32_t offset) {
    if (!has_header_before(block)) return;
    auto* const header = static_cast<AllocHeader*>(block) - 1;
    *header = {0, offset, {}, pool_magic};
    header->check = header->expected_check();
}

/**
 * @param block A pointer to readable memory, whether it is a block or not.
 * @return The header before it, or null if there is none.
 */
inline const AllocHeader* header_of(const void* block) {
    if (!has_header_before(block)) return nullptr;
    const auto* const header = static_cast<const AllocHeader*>(block) - 1;
    return header->is_valid() ? header : nullptr;
}
// [/header]

}  // namespace hakmem::gate
