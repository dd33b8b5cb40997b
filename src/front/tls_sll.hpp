/**
 * @file tls_sll.hpp
 * @box tls_sll — a list of free blocks, linked through the blocks
 *
 * The last front before the slabs, and the only one without a capacity. A few blocks go to an array
 * (the record's FastCache); the others form a list whose links lie in the free blocks themselves:
 *
 *     fast   [ b | b | b | … ]
 *     head ─▶ b ─▶ b ─▶ b ─▶ null
 *
 * A list that only grows would keep every block that a program ever freed. So each so many frees
 * (HAKMEM_TINY_SLL_DRAIN_INTERVAL, 2,048 by default) all of it is *drained* to the slabs.
 *
 * The links are the weakness: freeing and allocating touch the block's own line, and a program that
 * writes to a block it has freed rewrites the list. Phase 16 keeps one bit a block, elsewhere.
 *
 * @owns      its blocks
 * @calls     base/attributes front/small_mag
 * @threads   its heap's thread alone. Reports read along, and believe no link: for_each() asks for
 *            each block whether it may be followed
 * @invariant I1 the fast array holds no more than its capacity
 * @failure   pop: null when it is empty
 * @cost      two loads and two stores, one of each in the block; bench: tls_sll
 * @phase     recorded before 13; drain interval measured there
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"
#include "front/small_mag.hpp"

namespace hakmem::front {

/** The list of one class. All zero is an empty one. */
struct TlsSll {
    static constexpr std::uint32_t fast_capacity = 8;     ///< Blocks of the array.
    static constexpr std::uint32_t blocks_max = 1 << 20;  ///< A reader follows no more links: the
                                                          ///< longest drain interval.

    SmallMag<fast_capacity> fast;      ///< The array.
    std::atomic<void*> head;           ///< The list.
    std::atomic<std::uint32_t> count;  ///< Blocks in the list.
    std::uint32_t frees;               ///< Since the last drain; who drains sets it to 0.

    // [push and pop]
    /** @return A block, or null. */
    HAK_FAST void* pop() {
        if (void* const block = fast.pop(); HAK_LIKELY(block != nullptr)) return block;
        void* const block = head.load(std::memory_order_relaxed);
        if (HAK_UNLIKELY(block == nullptr)) return nullptr;
        head.store(link_of(block).load(std::memory_order_relaxed), std::memory_order_relaxed);
        count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        return block;
    }

    /**
     * @param block A block of the class.
     * @param drain_interval Frees after which the list is to be drained.
     * @return Whether that is now.
     */
    HAK_FAST bool push(void* block, std::uint64_t drain_interval) {
        if (HAK_UNLIKELY(!fast.push(block))) {
            link_of(block).store(head.load(std::memory_order_relaxed), std::memory_order_relaxed);
            head.store(block, std::memory_order_relaxed);
            count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        }
        return HAK_UNLIKELY(++frees >= drain_interval);
    }
    // [/push and pop]

    /**
     * Calls a function for each block.
     * @param visit As visit_each() has it.
     * @param may_follow Takes a block, and says whether it is one whose link may be read.
     */
    template <typename Visit, typename MayFollow>
    void for_each(Visit visit, MayFollow may_follow) const {
        // [read along]
        fast.for_each(visit);
        void* block = head.load(std::memory_order_relaxed);
        std::uint32_t left = std::min(count.load(std::memory_order_relaxed), blocks_max);
        for (; left > 0; left--) {
            if (block == nullptr || !may_follow(block)) return;
            visit(block);
            block = link_of(block).load(std::memory_order_relaxed);
        }
        // [/read along]
    }

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const { return fast.validate() == nullptr ? nullptr : "tls_sll I1"; }

private:
    // A free block's first word; no object of ours lives there when the program has the block.
    static std::atomic_ref<void*> link_of(void* block) {
        return std::atomic_ref<void*>(*static_cast<void**>(block));
    }
};

}  // namespace hakmem::front
