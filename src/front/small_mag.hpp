/**
 * @file small_mag.hpp
 * @box small_mag — a stack of a few blocks, of fixed capacity
 *
 * The recorded phases put one cache after the other in front of the slabs, and most of them are the
 * same thing in another size: an array, and how much of it is in use.
 *
 *     slots   [ block | block | block |       |  …  ]
 *                                 ▲ top = 3
 *
 * Phase 16's magazine is its heir: there the capacity is data, so that one box can be all sizes.
 *
 * @owns      its slots
 * @calls     base/attributes
 * @threads   its heap's thread alone. Slots and top are relaxed atomics, so that a report in
 *            another thread may read along
 * @invariant I1 top <= capacity
 * @failure   pop: null, push: false; the next front takes over
 * @cost      pop and push: a load, a compare and two stores; bench: small_mag
 * @phase     recorded in 13-A as part of the three-layer front; 16 has magazine instead
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"

namespace hakmem::front {

/** How many slots of an array are in use. */
using Top = std::atomic<std::uint32_t>;

// [stack]
/**
 * Takes the block that was put last.
 * @param slots The array.
 * @param top How much of it is in use.
 * @return The block, or null.
 */
HAK_FAST void* pop_from(std::atomic<void*>* slots, Top& top) {
    const std::uint32_t held = top.load(std::memory_order_relaxed);
    if (HAK_UNLIKELY(held == 0)) return nullptr;
    top.store(held - 1, std::memory_order_relaxed);
    void* const block = slots[held - 1].load(std::memory_order_relaxed);
    if (block == nullptr) __builtin_unreachable();  // so that nobody asks a second time
    return block;
}

/**
 * Puts a block on top.
 * @param slots The array.
 * @param top How much of it is in use.
 * @param capacity Its length.
 * @param block The block.
 * @return Whether there was room.
 */
HAK_FAST bool push_to(std::atomic<void*>* slots, Top& top, std::uint32_t capacity, void* block) {
    const std::uint32_t held = top.load(std::memory_order_relaxed);
    if (HAK_UNLIKELY(held == capacity)) return false;
    slots[held].store(block, std::memory_order_relaxed);
    top.store(held + 1, std::memory_order_relaxed);
    return true;
}
// [/stack]

// [read along]
/**
 * Calls a function for each block.
 * @param slots The array.
 * @param top How much of it is in use.
 * @param visit Takes the block. To one who reads along, it may be a block that has just left; a
 *              slot whose first block is still on its way is left out.
 */
template <typename Visit>
void visit_each(const std::atomic<void*>* slots, const Top& top, Visit visit) {
    const std::uint32_t held = top.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < held; i++) {
        if (void* const block = slots[i].load(std::memory_order_relaxed)) visit(block);
    }
}
// [/read along]

// [counts]
/** What a front counts. Its thread writes; reports read along. */
struct FrontCounts {
    std::atomic<std::uint64_t> hits;    ///< Requests that it served.
    std::atomic<std::uint64_t> misses;  ///< Requests that it did not.
    std::atomic<std::uint64_t> frees;   ///< Blocks that it took.

    /** @return Requests that looked into it. */
    std::uint64_t asked() const {
        return hits.load(std::memory_order_relaxed) + misses.load(std::memory_order_relaxed);
    }
};

/**
 * Adds one.
 * @param count A count of the calling thread's own.
 */
HAK_FAST void count_one(std::atomic<std::uint64_t>& count) {
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}
// [/counts]

/** A stack of at most `capacity` blocks. All zero is an empty one. */
template <std::uint32_t capacity>
struct SmallMag {
    std::atomic<void*> slots[capacity];  ///< The blocks; those at top and above mean nothing.
    Top top;                             ///< How many there are.

    /** @return The block that was pushed last, or null. */
    HAK_FAST void* pop() { return pop_from(slots, top); }

    /**
     * @param block A block.
     * @return Whether there was room for it.
     */
    HAK_FAST bool push(void* block) { return push_to(slots, top, capacity, block); }

    /**
     * Calls a function for each block.
     * @param visit As visit_each() has it.
     */
    template <typename Visit>
    void for_each(Visit visit) const {
        visit_each(slots, top, visit);
    }

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const {
        return top.load(std::memory_order_relaxed) <= capacity ? nullptr : "small_mag I1";
    }
};

}  // namespace hakmem::front
