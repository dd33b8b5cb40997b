/**
 * @file front_gate_v2.hpp
 * @box front_gate_v2 — what a pointer is, by one byte; the registry for the rest
 *
 * Box FG V2 of Phase 15 reads the byte in front of a pointer and is done, in a few cycles:
 *
 *     0xa0 | class      TINY
 *     0xb0              POOL: a mid or large block, whose AllocHeader is validated
 *     none to be read   MIDCAND: the pointer begins a page; the registry decides
 *     anything else     C7, or EXTERNAL: the registry decides
 *
 * The record's version stopped half-way: it had no registry for MIDCAND and C7, and believed what
 * the byte said. The page map is that registry, and it has the last word, for a byte in foreign
 * memory may say anything, and a byte in HAKMEM's may have been overwritten by the block before.
 *
 * With that the gate is finished, and its own end is in sight: once every byte must be confirmed by
 * a lookup that knows the answer, the byte tells nothing new. Here it still counts the headers that
 * programs have overwritten. Phase 16 leaves it out.
 *
 * @owns      the count of overwritten headers
 * @calls     back/page_map base/attributes base/size_class base/tiny_class gate/alloc_header
 *            gate/classify_ptr gate/header_byte
 * @threads   any
 * @invariant none
 * @failure   none: every value has a domain
 * @cost      two loads; bench: front_gate_v2
 * @phase     recorded in 15, unfinished; finished here
 */
#pragma once

#include <cstdint>

#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "gate/classify_ptr.hpp"
#include "gate/header_byte.hpp"

namespace hakmem::gate {

/** What the byte in front of a pointer says. */
enum class ByteVerdict : std::uint8_t {
    tiny,      ///< TINY.
    pool,      ///< POOL.
    midcand,   ///< MIDCAND: there is no byte that may be read.
    external,  ///< EXTERNAL, as far as the byte knows.
};

// [verdict]
/**
 * @param pointer A pointer to readable memory.
 * @return What the byte in front of it says.
 */
HAK_FAST ByteVerdict verdict_of(const void* pointer) {
    if (HAK_UNLIKELY(!has_byte_before(pointer))) return ByteVerdict::midcand;
    const HeaderByte header = read_header(pointer);
    if (HAK_LIKELY(header.is_tiny())) return ByteVerdict::tiny;
    return header.is_pool() ? ByteVerdict::pool : ByteVerdict::external;
}
// [/verdict]

/**
 * Classifies what byte and registry do not agree about as a tiny block. The registry decides; the
 * headers of what it knows are looked at.
 * @param pointer Any value.
 * @return Where it belongs.
 */
Classified front_gate_v2_slow(const void* pointer);

// [gate]
/**
 * Classifies as Phase 15 was meant to.
 * @param pointer Any value.
 * @return Where it belongs.
 */
HAK_FAST Classified front_gate_v2(const void* pointer) {
    const base::ClassId id = back::page_map::entry_of(pointer).class_id();
    if (HAK_LIKELY(is_agreed_tiny(pointer, id))) return {Domain::tiny, id};
    return front_gate_v2_slow(pointer);
}
// [/gate]

/** @return How many blocks were freed whose header the program had overwritten. */
std::uint64_t overwritten_headers();

}  // namespace hakmem::gate
