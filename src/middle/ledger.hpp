/**
 * @file ledger.hpp
 * @box ledger — where the memory is, in terms that add up
 *
 * "The process has 300 MB and I hold 40" is the most frequent complaint about any malloc, and a
 * list of unrelated counters does not answer it. The ledger attributes every resident byte to
 * exactly one term:
 *
 *     live            blocks that the program holds
 *     cached          blocks in magazines and pending remote frees
 *     free_in_slabs   free blocks of slabs in use
 *     slack           ends of slabs that hold no whole block
 *     dirty           free units and cached mappings that were not purged yet
 *     metadata        HAKMEM's own records and tables
 *     ─────────────
 *     resident        their sum, which is what the kernel counts
 *
 * A page that was never touched costs nothing, whatever it belongs to, so the kernel is asked which
 * pages are resident (mincore), and each resident page is divided among the blocks that lie on it.
 * Sums are then equal by construction: the terms are made by dividing the total.
 *
 * @owns      nothing; a snapshot is the caller's
 * @calls     back/large back/meta_arena back/page_map back/shared_pool back/slab back/superslab
 *            base/attributes base/bits base/size_class base/units middle/orphan_heaps os/futex_lock
 *            os/virtual_memory
 * @threads   any; heaps are locked one at a time, so a block that moves between heaps meanwhile may
 *            be counted where it was. No figure is ever negative
 * @invariant none
 * @failure   false when there is no memory for the walk
 * @cost      proportional to the heap; for reports only
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/size_class.hpp"

namespace hakmem::middle {

/** What is known about one size class. */
struct LedgerClass {
    std::uint64_t slabs;          ///< Slabs in use.
    std::uint64_t live_blocks;    ///< Blocks that the program holds.
    std::uint64_t cached_blocks;  ///< Blocks in magazines and pending frees.
    std::uint64_t free_blocks;    ///< Free blocks in slabs.
};

/** A snapshot. */
struct Ledger {
    // resident bytes
    std::uint64_t live;           ///< See above.
    std::uint64_t cached;         ///< See above.
    std::uint64_t free_in_slabs;  ///< See above.
    std::uint64_t slack;          ///< See above.
    std::uint64_t dirty;          ///< See above.
    std::uint64_t metadata;       ///< See above.

    // counts
    std::uint64_t live_bytes;                ///< Bytes of live blocks, resident or not.
    std::uint64_t live_blocks;               ///< Live blocks of all kinds.
    std::uint64_t large_blocks;              ///< Live large blocks.
    std::uint64_t mappings;                  ///< Own mappings in use.
    std::uint64_t mapping_bytes;             ///< Their bytes.
    std::uint64_t mapped;                    ///< Bytes mapped readable and writable.
    std::uint64_t reserved;                  ///< Bytes of address space.
    std::uint64_t superslabs;                ///< Superslabs made.
    LedgerClass classes[base::class_count];  ///< By class; row 0 is empty.

    /** @return The sum of the six terms. */
    std::uint64_t resident() const {
        return live + cached + free_in_slabs + slack + dirty + metadata;
    }
};

/** Called for each live block; returns whether to go on. */
using BlockVisitor = bool (*)(const void* start, std::size_t bytes, base::ClassId id,
                              void* context);

namespace ledger {

/**
 * Takes a snapshot.
 * @param snapshot Receives it.
 * @return Whether there was memory for the walk.
 */
bool take(Ledger& snapshot);

/**
 * Visits every live block.
 * @param visitor Called for each; must not allocate.
 * @param context Passed through.
 * @return Whether there was memory for the walk.
 */
bool walk(BlockVisitor visitor, void* context);

}  // namespace ledger
}  // namespace hakmem::middle
