/**
 * @file fronted.hpp
 * @box fronted — Phase 16 with one of the recorded fronts before its magazines
 *
 * The recorded phases put small fronts before larger ones, and each was reported to gain. Phase 16
 * has one magazine a class instead. Whether a front would still gain anything there is not to be
 * argued but measured, and this is what is measured:
 *
 *     malloc   ultra_hot or heap_v2 ─▶ magazine ─▶ slabs
 *     free     page_gate ─▶ ultra_hot or heap_v2 ─▶ magazine ─▶ slabs
 *
 * The front gets blocks of Phase 16, which have no header: UltraHot those of 16 and 32 bytes,
 * HeapV2 those of 16 to 64. So a request that a front is asked for has the class that it holds, and
 * the odd row of 24 bytes is gone.
 *
 * Who wins is the default, and that is Phase 16 alone; these compositions have libraries of their
 * own, which are built to be measured and not installed.
 *
 * @owns      the front's state, which lies behind the record of a heap
 * @calls     base/attributes base/size_class front/heap_v2 front/thread_heap front/ultra_hot
 *            gate/page_gate os/environment phases/phase_16
 * @threads   any; the front's state is its heap's thread's alone
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     a losing option of 16
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "front/heap_v2.hpp"
#include "front/thread_heap.hpp"
#include "front/ultra_hot.hpp"
#include "gate/page_gate.hpp"
#include "phases/phase_16.hpp"

namespace hakmem::phases {

/** UltraHot, for blocks of 16 and 32 bytes. All zero is a closed one. */
struct UltraHotInFront {
    static constexpr std::size_t block_bytes_max = front::UltraHot::request_bytes_max;  ///< Asked.

    front::UltraHot magazines;  ///< The front.
    bool open;                  ///< Whether it takes blocks.

    /**
     * @param bytes The size asked for, at most block_bytes_max.
     * @return A block, or null.
     */
    HAK_FAST void* pop(std::size_t bytes) { return magazines.pop(bytes); }
    /**
     * @param class_index Class of the block, from 1.
     * @param block The block.
     * @return Whether there was room for it.
     */
    HAK_FAST bool push(unsigned class_index, void* block) {
        return magazines.push(front::UltraHot::first_class + class_index - 1, block);
    }
};

/** HeapV2, for blocks of 16, 32, 48 and 64 bytes. All zero is a closed one. */
struct HeapV2InFront {
    static constexpr std::size_t block_bytes_max =
        front::HeapV2::class_count * base::tiny_granule;  ///< Asked.

    front::HeapV2 magazines;  ///< The front.
    bool open;                ///< Whether it takes blocks.

    /** @copydoc UltraHotInFront::pop */
    HAK_FAST void* pop(std::size_t bytes) {
        return magazines.allocate(base::index(base::class_of(bytes)) - 1);
    }
    /** @copydoc UltraHotInFront::push */
    HAK_FAST bool push(unsigned class_index, void* block) {
        return magazines.release(class_index - 1, block);
    }
};

/** Phase 16 behind a front. What is not here goes past the front. */
template <typename Front>
struct Fronted : Phase16 {
    // [malloc]
    /** @copydoc Phase16::allocate_hit */
    HAK_FAST static void* allocate_hit(std::size_t bytes) {
        if (void* const block = pop(bytes); HAK_LIKELY(block != nullptr)) return block;
        return Phase16::allocate_hit(bytes);
    }

    /** @copydoc Phase16::allocate */
    HAK_FAST static void* allocate(std::size_t bytes) {
        if (void* const block = pop(bytes); HAK_LIKELY(block != nullptr)) return block;
        return Phase16::allocate(bytes);
    }
    // [/malloc]

    // [free]
    /** @copydoc Phase16::deallocate */
    HAK_FAST static void deallocate(void* block) noexcept {
        if (!push(block)) Phase16::deallocate(block);
    }
    // [/free]

    /** @copydoc Phase16::deallocate_sized */
    HAK_FAST static void deallocate_sized(void* block, std::size_t bytes,
                                          SizeClaim claim) noexcept {
        if (!push(block)) Phase16::deallocate_sized(block, bytes, claim);
    }

    /**
     * @param heap A heap.
     * @return Its front.
     */
    static Front& front_of(front::ThreadHeap& heap) { return *static_cast<Front*>(heap.outer()); }

private:
    HAK_FAST static void* pop(std::size_t bytes) {
        if (bytes > Front::block_bytes_max) return nullptr;
        front::ThreadHeap* const heap = front::own_heap();
        return HAK_LIKELY(heap != nullptr) ? front_of(*heap).pop(bytes) : nullptr;
    }

    HAK_FAST static bool push(void* block) {
        front::HeapFront* const heap = front::current_heap;
        const std::uintptr_t mine = gate::classify_at_home(block, heap->home, heap->tag_bits);
        if (mine > base::scaled_class_of_tiny(Front::block_bytes_max).value) return false;
        // A block of mine: so the heap is no empty one.
        Front& own = front_of(*static_cast<front::ThreadHeap*>(heap));
        return own.open && own.push(static_cast<unsigned>(mine >> base::class_shift), block);
    }
};

}  // namespace hakmem::phases
