/**
 * @file classify_ptr.hpp
 * @box classify_ptr — what a pointer is: header byte, then registry, then a probed AllocHeader
 *
 * The free routing of the phases up to 14-C, asked in order of cost:
 *
 *     header byte says tiny ────────────────────▶ TINY        C1 to C6
 *     registry knows it as tiny ────────────────▶ TINY        C7, starts of pages
 *     registry does not know it ────────────────▶ EXTERNAL, FREED
 *     mincore: is the page there? AllocHeader ──▶ MID, LARGE
 *
 * The probe is a system call, once for each free of a block above 1,023 bytes. The record counted
 * 841 of them in 100,000 operations, which were a seventh of the run. It protected a read that no
 * lookup had vouched for.
 *
 * Two things are not as recorded, since a historical phase may be slower but is never wrong.
 * Whether the memory is a slab's at all is asked of the page map before any byte is read; and what
 * the bytes say counts only where the registry agrees. A byte is a hint, not a fact: the program
 * may have overwritten it. So foreign memory is never read, and needs no probe either.
 *
 * @owns      the count of probes
 * @calls     back/page_map base/attributes base/size_class base/tiny_class base/units
 *            gate/alloc_header gate/header_byte os/virtual_memory
 * @threads   any
 * @invariant none
 * @failure   none: every value has a domain
 * @cost      tiny: the page map's entry and the byte; above: a system call; bench: classify_ptr
 * @phase     recorded in 14-C
 */
#pragma once

#include <cstdint>

#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "base/tiny_class.hpp"
#include "gate/header_byte.hpp"

namespace hakmem::gate {

struct AllocHeader;

/** Whose a pointer is, in the recorded phases. */
enum class Domain : std::uint8_t {
    tiny,      ///< A block of C1 to C7.
    mid,       ///< A block of 1 to 32 KiB, from the pool.
    large,     ///< A block of its own span.
    freed,     ///< HAKMEM's memory, where no block is.
    external,  ///< Not HAKMEM's memory.
};

/** What is known of a pointer. */
struct Classified {
    Domain domain;     ///< See there.
    base::ClassId id;  ///< Its slab's class; else what the page map's entry says.
    const AllocHeader* header = nullptr;  ///< Of mid and large: a valid one, or null.
};

/**
 * Classifies by the registry alone.
 * @param pointer Any value.
 * @return What the page map knows; never a header.
 */
Classified classify_by_registry(const void* pointer);

/**
 * Classifies what byte and registry do not agree about as a tiny block: asks registry, kernel and
 * AllocHeader.
 * @param pointer Any value.
 * @return Where it belongs.
 */
Classified classify_ptr_slow(const void* pointer);

// [agreed]
/**
 * @param pointer Any value.
 * @param id What the registry says of it.
 * @return Whether the byte before it says that it is a block of this class. Only then is the answer
 *         final; a byte is never read outside of slabs.
 */
HAK_FAST bool is_agreed_tiny(const void* pointer, base::ClassId id) {
    if (HAK_UNLIKELY(!base::is_small(id))) return false;
    const HeaderByte header = read_header(pointer);
    return header.is_tiny() && base::slab_class_of(header.tiny_class()) == id;
}
// [/agreed]

// [classify]
/**
 * Classifies as Phase 14-C did.
 * @param pointer Any value.
 * @return Where it belongs.
 */
HAK_FAST Classified classify_ptr(const void* pointer) {
    const base::ClassId id = back::page_map::entry_of(pointer).class_id();
    if (HAK_LIKELY(is_agreed_tiny(pointer, id))) return {Domain::tiny, id};
    return classify_ptr_slow(pointer);
}
// [/classify]

/** @return How often classify_ptr asked the kernel for a page. */
std::uint64_t mincore_probes();

/**
 * Asks the kernel whether the page in front of a block is there, and counts it.
 * @param pointer The block.
 * @return Its answer.
 */
bool probe(const void* pointer);

}  // namespace hakmem::gate
