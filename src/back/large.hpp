/**
 * @file large.hpp
 * @box large — blocks above the largest small class
 *
 * A large block is a slab of one block. Up to 2 MiB it is a run of units of a superslab; beyond, it
 * is a mapping of its own:
 *
 *     32 KiB < n <= 2 MiB    units of a superslab    freed: units go back to the pool and decay
 *     2 MiB < n              own mapping             freed: kept in a bounded cache, then unmapped
 *
 * Either way the page map leads to a slab record, so free needs no header in front of the block.
 *
 * Giving each freed mapping straight back would make a program that allocates and frees one big
 * buffer in a loop pay for its page faults each time. So mappings rest in a cache until the decay
 * time has passed. There they split and coalesce: a request takes the smallest that is large
 * enough, what it does not need stays, and neighbours become one again. So the cache serves sizes
 * that never come twice, too.
 *
 * A mapping has whole units, so that those which the kernel puts side by side can become one.
 *
 * Mappings come in huge pages (back/huge_pages), since a block that has one is longer than such a
 * page. Few blocks end where a page ends. Where the rest of the last page is little beside the
 * heap, which it is by default, whole pages are mapped, and more than the block needs. Else the
 * last piece comes in small pages. The rest waits in the cache for the next block, and what is
 * resident of it is the piece of one page.
 *
 * Growing copies nothing where there is room behind the block: a run takes the units there, a
 * mapping what is cached there. Else a mapping that grows by a quarter or more is copied if the
 * cache has one that is long enough: pages that are there cost less than fresh ones. Otherwise the
 * kernel extends the mapping in place or moves it by mremap, which moves page tables and not bytes.
 * It does neither with two areas of its own that were joined to one mapping of ours; then, too,
 * bytes are copied.
 *
 * @owns      the mappings, and the cache of freed ones
 * @calls     back/huge_pages back/meta_arena back/page_map back/shared_pool back/slab
 *            back/superslab base/attributes base/lock_rank base/size_class base/units os/clock
 *            os/environment os/futex_lock os/virtual_memory
 * @threads   any; one lock for list and cache. Mappings are made and unmapped without it. Resizing
 *            one holds it across mremap and, where the mapping must move, across the reservation of
 *            its place and the munmap that undoes that: the extent of a listed mapping changes. So
 *            does whoever needs a record, if meta_arena has to map a chunk for it. A
 *            block's record belongs to whoever holds the block
 * @invariant I1 the bytes of the cache are the sum of its mappings
 * @invariant I2 every mapping in use is what the page map says of its first unit
 * @failure   null or false when the kernel gives no more memory; the block stays as it was
 * @cost      a few atomics for a run; for a mapping a lock, a look at each cached one, and system
 *            calls where none fits; bench: large
 * @phase     introduced in 16, split and coalesced since 17, in huge pages since 18, in a small
 *            heap too since 21, whole ones by what is wasted since 22; recorded phases put an
 *            AllocHeader in front
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "base/units.hpp"
#include "os/futex_lock.hpp"

namespace hakmem::back::large {

constexpr std::size_t run_bytes_max = 2 * base::mebibyte;  ///< The largest run of units.

/**
 * Allocates a large block.
 * @param bytes Size, at most request_bytes_max.
 * @param alignment Power of two, at most alignment_bytes_max.
 * @param zero Receives whether the block is known to read as zero.
 * @param growth Whether a superslab may be made for it.
 * @return The block, or null.
 */
void* allocate(std::size_t bytes, std::size_t alignment, bool& zero,
               shared_pool::Growth growth = shared_pool::Growth::allowed);

/**
 * Frees a large block.
 * @param slab Its record.
 */
void release(Slab& slab);

/**
 * Changes a large block's size without copying.
 * @param slab Its record.
 * @param bytes Size wanted, above small_bytes_max.
 * @return The block, perhaps at another address; null when it is to be copied. The block then is as
 *         it was.
 */
void* resize(Slab& slab, std::size_t bytes);

/**
 * @param bytes A large size.
 * @return The usable bytes that a block of this size has.
 */
std::size_t usable_bytes(std::size_t bytes);

/**
 * Unmaps cached mappings.
 * @param age_ms Those which have been cached for so long go.
 * @return Bytes given back to the system.
 */
std::size_t trim_cache(std::uint64_t age_ms);

/** What for_each_mapping shows. */
struct MappingView {
    const void* start;  ///< First byte.
    std::size_t bytes;  ///< Length.
    bool cached;        ///< Freed, waiting for reuse or decay.
};

/**
 * Visits all own mappings under the lock.
 * @param visitor Called for each.
 * @param context Passed through.
 */
void for_each_mapping(void (*visitor)(const MappingView& mapping, void* context), void* context);

/** @return The name of the first invariant that does not hold, or null. */
const char* validate();

/** @return This box's lock, for fork. */
os::FutexLock& fork_lock();

}  // namespace hakmem::back::large
