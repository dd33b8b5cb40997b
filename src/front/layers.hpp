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
 * Which fronts take part is the options' business. In *leftover* mode heap_v2 is asked by free
 * after small_mag instead of before it.
 *
 * Blocks are taken as they come: a block that another thread allocated stays in the freeing
 * thread's fronts until it is drained, and goes to its owner then.
 *
 * The list leads through memory that the program may write to although it has freed it. A link is
 * followed only to what is a block of the class.
 *
 * @owns      the fronts' state, which lies behind the record of a heap
 * @calls     back/page_map back/slab base/attributes base/size_class base/tiny_class front/bump
 *            front/heap_v2 front/small_mag front/thread_heap front/tls_sll front/ultra_hot
 *            middle/misuse os/environment
 * @threads   the heap's thread alone; reports read along
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
#include "os/environment.hpp"

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

    UltraHot ultra_hot;                       ///< For two classes.
    HeapV2 heap_v2;                           ///< For four classes.
    Older older[base::recorded_class_count];  ///< By class.

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
        const os::Options& options = os::options();
        if (with_ultra_hot && bytes <= UltraHot::request_bytes_max && options.tiny_ultra_hot != 0) {
            if (void* const block = ultra_hot.pop(bytes); HAK_LIKELY(block != nullptr)) {
                return {block, UltraHot::first_class + UltraHot::magazine_of_request(bytes)};
            }
        }
        const unsigned k = base::recorded_class_of(bytes);
        if (options.tiny_heap_v2 != 0 && HeapV2::takes(k, options.tiny_heap_v2_class_mask)) {
            if (void* const block = heap_v2.allocate(k); HAK_LIKELY(block != nullptr)) {
                return {block, k};
            }
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
        const os::Options& options = os::options();
        if (with_ultra_hot && UltraHot::takes(tiny_class) && options.tiny_ultra_hot != 0 &&
            ultra_hot.push(tiny_class, block)) {
            return;
        }
        const bool v2 =
            options.tiny_heap_v2 != 0 && HeapV2::takes(tiny_class, options.tiny_heap_v2_class_mask);
        const bool stealing = options.tiny_heap_v2_leftover_mode == 0;
        if (v2 && stealing && heap_v2.release(tiny_class, block)) return;
        if (older[tiny_class].small_mag.push(block)) return;
        if (v2 && !stealing && heap_v2.release(tiny_class, block)) return;
        release_to_list(heap, tiny_class, block);
    }
    // [/chain]

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
     * Gives all blocks back to the slabs.
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

private:
    void* allocate_from_list(unsigned tiny_class);
    void release_to_list(ThreadHeap& heap, unsigned tiny_class, void* block);
};

}  // namespace hakmem::front
