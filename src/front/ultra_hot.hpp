/**
 * @file ultra_hot.hpp
 * @box ultra_hot — two magazines of four, in one cache line
 *
 * Phase 14 set out from a count of cache misses: the tiny path touched thirty times as many lines
 * as the C library's malloc. Its answer was a front so small that all blocks it holds are named in
 * one line, and so narrow that the test for it is two compares: requests of at most 16 and at most
 * 32 bytes.
 *
 *     line 1   c1 [0] [1] [2] [3]   c2 [0] [1] [2] [3]     the blocks
 *     line 2   c1 top, c2 top, counts                      the state
 *
 * It picks a magazine by the *size asked for* when it allocates, and by the *class of the block*
 * when it frees. The two differ: because of the header byte a request of 16 bytes has blocks of
 * class C2 (32 bytes), one of 32 bytes has C3 (64 bytes), but one of 24 bytes looks into the second
 * magazine and is served, when that is empty, by a block of C2, which comes back to the first.
 * That is why the record's row of 24 bytes gains next to nothing. The record's other lesson is in
 * the numbers 2 and 3: tested as 1 and 2, the front had a hit rate of nought.
 *
 * @owns      its slots and counts
 * @calls     base/attributes base/units front/small_mag
 * @threads   its heap's thread alone; reports read along
 * @invariant I1 no magazine holds more than four blocks
 * @failure   pop: null, push: false; the next front takes over
 * @cost      five to seven instructions a hit were recorded; bench: ultra_hot
 * @phase     recorded in 14
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/units.hpp"
#include "front/small_mag.hpp"

namespace hakmem::front {

/** The front. All zero is an empty one. */
struct alignas(base::cache_line_bytes) UltraHot {
    static constexpr std::uint32_t capacity = 4;          ///< Blocks of a magazine.
    static constexpr std::size_t request_bytes_max = 32;  ///< Larger requests are not asked for.
    static constexpr unsigned first_class = 2;            ///< C2, whose blocks c1 holds.
    static constexpr unsigned last_class = 3;             ///< C3, whose blocks c2 holds.

    /** What one magazine saw. */
    using Counts = FrontCounts;

    std::atomic<void*> slots[2][capacity];        ///< c1 and c2: one line.
    alignas(base::cache_line_bytes) Top tops[2];  ///< How much of each is in use.
    Counts counts[2];                             ///< By magazine.

    // [pop and push]
    /**
     * @param bytes The size asked for, at most request_bytes_max.
     * @return A block that is large enough, or null.
     */
    HAK_FAST void* pop(std::size_t bytes) {
        const unsigned m = magazine_of_request(bytes);
        void* const block = pop_from(slots[m], tops[m]);
        count_one(HAK_LIKELY(block != nullptr) ? counts[m].hits : counts[m].misses);
        return block;
    }

    /**
     * @param tiny_class The block's class: C2 or C3.
     * @param block The block.
     * @return Whether there was room for it.
     */
    HAK_FAST bool push(unsigned tiny_class, void* block) {
        const unsigned m = tiny_class - first_class;
        if (!push_to(slots[m], tops[m], capacity, block)) return false;
        count_one(counts[m].frees);
        return true;
    }
    // [/pop and push]

    /** @return Any block that it holds, or null; nothing is counted. */
    void* take_any() {
        void* const block = pop_from(slots[0], tops[0]);
        return block != nullptr ? block : pop_from(slots[1], tops[1]);
    }

    // [which]
    /**
     * @param bytes The size asked for, at most request_bytes_max.
     * @return 0 for c1, 1 for c2.
     */
    static constexpr unsigned magazine_of_request(std::size_t bytes) { return bytes > 16 ? 1 : 0; }

    /**
     * @param tiny_class A class.
     * @return Whether its blocks are taken.
     */
    static constexpr bool takes(unsigned tiny_class) {
        return tiny_class >= first_class && tiny_class <= last_class;
    }
    // [/which]

    /**
     * Calls a function for each block.
     * @param visit As visit_each() has it.
     */
    template <typename Visit>
    void for_each(Visit visit) const {
        for (unsigned m = 0; m < 2; m++) visit_each(slots[m], tops[m], visit);
    }

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const {
        for (const Top& top : tops) {
            if (top.load(std::memory_order_relaxed) > capacity) return "ultra_hot I1";
        }
        return nullptr;
    }
};

// [lines]
static_assert(sizeof(UltraHot) == 2 * base::cache_line_bytes, "two lines, as the record has it");
static_assert(offsetof(UltraHot, tops) == base::cache_line_bytes, "the blocks fill the first");
// [/lines]

}  // namespace hakmem::front
