/**
 * @file layers.hpp
 * @box layers — the recorded chain of fronts, one behind the other
 *
 * What a thread of a recorded phase asks before it asks its slabs:
 *
 *     malloc   ultra_hot ─▶ heap_v2 ─▶ bump ─▶ small_mag ─▶ tls_sll ─▶ slabs
 *     free     ultra_hot ─▶ heap_v2 ─▶ small_mag ─▶ tls_sll ─each so many frees─▶ slabs
 *
 * Each front that misses costs its test, and there are five tests between a program and its memory
 * once it misses. The sum of what they hold is what one magazine of that capacity would hold, which
 * is why Phase 16 has one.
 *
 * Which fronts take part is decided by the options, and by the tuner where it is on. In *leftover*
 * mode heap_v2 is asked by free after small_mag instead of before it. What was decided is read from
 * the heap itself. Where all is zero, free passes the fronts by and malloc finds them empty: that
 * is a heap before its first refill, and one whose fronts were emptied; the next refill decides.
 *
 * Blocks are taken as they come: a block that another thread allocated stays in the freeing
 * thread's fronts until it is drained, and goes to its owner then.
 *
 * The list leads through memory that the program may write to although it has freed it. A link is
 * followed only to what is a block of the class.
 *
 * @owns      the fronts' state, which lies behind the record of a heap
 * @calls     back/page_map back/shared_pool back/slab base/attributes base/size_class
 *            base/tiny_class front/bump front/heap_v2 front/small_mag front/thread_heap
 *            front/tls_sll front/ultra_hot middle/misuse middle/orphan_heaps middle/tuner
 *            os/environment os/futex_lock os/raw_log
 * @threads   the heap's thread alone; reports read along, under the pool's lock where they follow
 *            links
 * @invariant I1 each front keeps its own invariants
 * @failure   allocate: null without memory. An overwritten link is named, and ends the process
 * @cost      measured whole, by the programs of the record
 * @phase     recorded in 13-B to 15
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/tiny_class.hpp"
#include "front/bump.hpp"
#include "front/heap_v2.hpp"
#include "front/small_mag.hpp"
#include "front/thread_heap.hpp"
#include "front/tls_sll.hpp"
#include "front/ultra_hot.hpp"
#include "middle/tuner.hpp"

namespace hakmem::front {

/** A block and its class. */
struct TinyBlock {
    void* block;          ///< Null when there is none.
    unsigned tiny_class;  ///< C1 to C7.
};

/** The fronts of a heap. All zero is the empty state. */
struct Layers {
    /** The older fronts of one class. */
    struct Older {
        static constexpr std::uint32_t small_mag_capacity = 32;  ///< Blocks.
        Bump bump;                                               ///< Blocks that were never used.
        SmallMag<small_mag_capacity> small_mag;                  ///< Blocks that came back.
        TlsSll tls_sll;  ///< Those for which it had no room.
    };

    /** Which fronts are asked. */
    struct Asked {
        bool any;                      ///< Whether there is anything in front of the slabs.
        std::uint8_t ultra_hot;        ///< Bit m: its magazine m.
        std::uint8_t heap_v2;          ///< Bit k: Ck.
        bool leftover;                 ///< Whether heap_v2 comes after small_mag.
        std::uint64_t drain_interval;  ///< Frees between drains of a list.
    };

    UltraHot ultra_hot;                                      ///< For two classes.
    HeapV2 heap_v2;                                          ///< For four classes.
    Older older[base::recorded_class_count];                 ///< By class.
    Asked asked;                                             ///< Decided by the last refill.
    middle::FrontTuner ultra_hot_tuners[2];                  ///< By magazine.
    middle::FrontTuner heap_v2_tuners[HeapV2::class_count];  ///< By class.

    /**
     * @param heap A heap.
     * @return Its fronts.
     */
    static Layers& of(ThreadHeap& heap) { return *static_cast<Layers*>(heap.outer()); }

    // [chain]
    /**
     * Allocates a tiny block from the fronts.
     * @param bytes A request, at most recorded_tiny_bytes_max.
     * @param with_ultra_hot Whether the phase has UltraHot.
     * @return The block, or null when every front is empty.
     */
    HAK_FAST TinyBlock allocate(std::size_t bytes, bool with_ultra_hot) {
        const unsigned m = UltraHot::magazine_of_request(bytes);
        if (with_ultra_hot && bytes <= UltraHot::request_bytes_max && (asked.ultra_hot >> m & 1)) {
            void* const block = ultra_hot.pop(bytes);
            if (HAK_LIKELY(block != nullptr)) return {block, UltraHot::first_class + m};
            learn_from_miss(ultra_hot.counts[m], ultra_hot_tuners[m]);
        }
        const unsigned k = base::recorded_class_of(bytes);
        if (HeapV2::takes(k, asked.heap_v2)) {
            void* const block = heap_v2.allocate(k);
            if (HAK_LIKELY(block != nullptr)) return {block, k};
            learn_from_miss(heap_v2.counts[k], heap_v2_tuners[k]);
        }
        if (void* const block = older[k].bump.take(base::stride_of(k))) return {block, k};
        if (void* const block = older[k].small_mag.pop()) return {block, k};
        return {allocate_from_list(k), k};
    }

    /**
     * Puts a freed block into the fronts.
     * @param heap The heap whose fronts they are.
     * @param tiny_class The block's class.
     * @param block The block.
     * @param with_ultra_hot Whether the phase has UltraHot.
     */
    HAK_FAST void release(ThreadHeap& heap, unsigned tiny_class, void* block, bool with_ultra_hot) {
        const unsigned m = tiny_class - UltraHot::first_class;
        if (with_ultra_hot && UltraHot::takes(tiny_class) && (asked.ultra_hot >> m & 1) &&
            ultra_hot.push(tiny_class, block)) {
            return;
        }
        const bool v2 = HeapV2::takes(tiny_class, asked.heap_v2);
        if (v2 && !asked.leftover && heap_v2.release(tiny_class, block)) return;
        if (older[tiny_class].small_mag.push(block)) return;
        if (v2 && asked.leftover && heap_v2.release(tiny_class, block)) return;
        release_to_list(heap, tiny_class, block);
    }
    // [/chain]

    /** Decides which fronts are asked, by the options and what was learnt. */
    void decide();

    /**
     * Allocates a block of a class from the slabs, and takes some more into the fronts.
     * @param heap The heap whose fronts they are.
     * @param tiny_class C1 to C7.
     * @param growth Whether a superslab may be made for it.
     * @return The block, or null.
     */
    void* refill(ThreadHeap& heap, unsigned tiny_class, back::shared_pool::Growth growth);

    /**
     * Drains the list of a class to the slabs.
     * @param heap The heap whose fronts they are.
     * @param tiny_class C1 to C7.
     */
    void drain(ThreadHeap& heap, unsigned tiny_class);

    /**
     * Gives all blocks back to the slabs. No front is asked from then on until a refill decides.
     * @param heap The heap whose fronts they are.
     */
    void empty_out(ThreadHeap& heap);

    /**
     * Visits the blocks.
     * @param visitor Called for each.
     * @param context Passed through.
     */
    void for_each_cached(middle::CachedVisitor visitor, void* context) const;

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const;

    /** Prints the counts of all heaps that the options ask for, as the record has them. */
    static void print_statistics();

private:
    HAK_FAST void learn_from_miss(const FrontCounts& counts, middle::FrontTuner& tuner) {
        const std::uint64_t misses = counts.misses.load(std::memory_order_relaxed);
        if (HAK_UNLIKELY(middle::FrontTuner::ends_window(misses))) learn(counts, tuner);
    }
    void learn(const FrontCounts& counts, middle::FrontTuner& tuner);
    void* allocate_from_list(unsigned tiny_class);
    void release_to_list(ThreadHeap& heap, unsigned tiny_class, void* block);
};

}  // namespace hakmem::front
