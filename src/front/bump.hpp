/**
 * @file bump.hpp
 * @box bump — blocks that were never used, one after the other
 *
 * A slab that has just been made is one run of free blocks. Handing them out needs no list and no
 * stack, only a pointer that moves:
 *
 *     | used | used | next | … never used … | end
 *                    ▲ moves by one stride an allocation
 *
 * It is the fastest refill there is and only as good as the heap is fresh: once blocks come back in
 * any order, free blocks do not lie together. Phase 16 gets the same effect from the bitmap, which
 * hands out the lowest addresses first.
 *
 * @owns      the run
 * @calls     base/attributes
 * @threads   its heap's thread alone; reports read along
 * @invariant I1 next <= end
 * @failure   take: null when the run is used up
 * @cost      an addition and a compare; bench: bump
 * @phase     recorded as part of the three-layer front
 */
#pragma once

#include <atomic>
#include <cstddef>

#include "base/attributes.hpp"

namespace hakmem::front {

/** A run of blocks. All zero is an empty one. */
struct Bump {
    static constexpr unsigned blocks_max = 64;  ///< Of a run.

    std::atomic<char*> next;  ///< The next block.
    std::atomic<char*> end;   ///< Behind the last one.

    // [run]
    /**
     * @param stride Size of a block: the one that refill() was given.
     * @return A block, or null.
     */
    HAK_FAST void* take(std::size_t stride) {
        char* const block = next.load(std::memory_order_relaxed);
        if (HAK_UNLIKELY(block == end.load(std::memory_order_relaxed))) return nullptr;
        next.store(block + stride, std::memory_order_relaxed);
        return block;
    }

    /**
     * Gives it a run; it must be empty.
     * @param start The first block.
     * @param stride Size of a block.
     * @param blocks Length of the run, at most blocks_max.
     */
    void refill(char* start, std::size_t stride, unsigned blocks) {
        end.store(start + blocks * stride, std::memory_order_relaxed);
        next.store(start, std::memory_order_relaxed);
    }
    // [/run]

    /**
     * Calls a function for each block that is left.
     * @param stride Size of a block.
     * @param visit Takes the block. To one who reads along during a refill, the two ends may be
     *              those of different runs; it is then called for no more than blocks_max places,
     *              which begin where one of the runs lies.
     */
    template <typename Visit>
    void for_each(std::size_t stride, Visit visit) const {
        char* block = next.load(std::memory_order_relaxed);
        char* const stop = end.load(std::memory_order_relaxed);
        if (block == nullptr) return;  // The end of the first run may be seen before its start.
        for (unsigned i = 0; i < blocks_max && block < stop; i++, block += stride) {
            visit(static_cast<void*>(block));
        }
    }

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const {
        return next.load(std::memory_order_relaxed) <= end.load(std::memory_order_relaxed)
                   ? nullptr
                   : "bump I1";
    }
};

}  // namespace hakmem::front
