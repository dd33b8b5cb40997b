/**
 * @file heap_v2.hpp
 * @box heap_v2 — a magazine of 16 for each of the four smallest classes
 *
 * Phase 13-A put this cache in front of everything and found it empty: nothing on the free path
 * filled it, so 200,000 calls had no hit. Phase 13-B filled it from free, in one of two ways:
 *
 *     stealing   free ─▶ heap_v2 ─full─▶ older fronts      it takes the freed block first
 *     leftover   free ─▶ older fronts ─full─▶ heap_v2      it gets what they have no room for
 *
 * Stealing won by far, since the block freed last is the warmest one. The other lesson is in the
 * parameter: allocating by *size* meant finding the class twice, which cost half of the speed;
 * allocate() takes the class that the caller knows.
 *
 * The class mask says which classes take part. C0 (strides of 8 bytes) lost in the record, and
 * would not be aligned to 16: it is masked out by default, and its blocks are never made here.
 *
 * @owns      its magazines and counts
 * @calls     base/attributes front/small_mag
 * @threads   its heap's thread alone; reports read along
 * @invariant I1 no magazine holds more than its capacity
 * @failure   allocate: null, release: false; the next front takes over
 * @cost      a bounds check and a stack operation; bench: heap_v2
 * @phase     recorded in 13-A; supplied from free in 13-B
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"
#include "front/small_mag.hpp"

namespace hakmem::front {

/** The front. All zero is an empty one. */
struct HeapV2 {
    static constexpr unsigned class_count = 4;     ///< C0 to C3.
    static constexpr std::uint32_t capacity = 16;  ///< Blocks of a magazine.

    /** What one class saw. */
    using Counts = FrontCounts;

    SmallMag<capacity> magazines[class_count];  ///< By class.
    Counts counts[class_count];                 ///< By class.

    /**
     * @param tiny_class Any tiny class.
     * @param mask The class mask: bit k lets class k take part.
     * @return Whether its blocks are held here.
     */
    static constexpr bool takes(unsigned tiny_class, std::uint64_t mask) {
        return tiny_class < class_count && (mask >> tiny_class & 1) != 0;
    }

    // [by class]
    /**
     * @param tiny_class A class that takes part.
     * @return A block, or null.
     */
    HAK_FAST void* allocate(unsigned tiny_class) {
        void* const block = magazines[tiny_class].pop();
        Counts& seen = counts[tiny_class];
        count_one(HAK_LIKELY(block != nullptr) ? seen.hits : seen.misses);
        return block;
    }

    /**
     * @param tiny_class A class that takes part.
     * @param block A block of it.
     * @return Whether there was room for it.
     */
    HAK_FAST bool release(unsigned tiny_class, void* block) {
        if (!magazines[tiny_class].push(block)) return false;
        count_one(counts[tiny_class].frees);
        return true;
    }
    // [/by class]

    /** @return Any block that it holds, or null; nothing is counted. */
    void* take_any() {
        for (auto& magazine : magazines) {
            if (void* const block = magazine.pop()) return block;
        }
        return nullptr;
    }

    /**
     * Calls a function for each block.
     * @param visit As visit_each() has it.
     */
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& magazine : magazines) magazine.for_each(visit);
    }

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const {
        for (const auto& magazine : magazines) {
            if (magazine.validate() != nullptr) return "heap_v2 I1";
        }
        return nullptr;
    }
};

}  // namespace hakmem::front
