/**
 * @file magazine.hpp
 * @box magazine — a stack of free blocks for one class of one heap
 *
 * The fastest way to allocate is to have the block in hand already. A magazine is an array of block
 * addresses, used as a stack:
 *
 *     slot      0      1      2      3      4   …   capacity
 *            | null |  a   |  b   |  c   |  …  |   …   |
 *               ▲                    ▲                     ▲
 *              base                 top                  limit
 *
 * Slot 0 holds null for ever. Popping an empty magazine reads that null, so "empty" and "no block"
 * are one test on a value that is needed anyway. Pushing compares `top` with `limit`, and `limit`
 * is data: a magazine of capacity zero has `limit == base`, refuses every push and yields every pop
 * to the slow path. That is how the box is turned off, for hardened mode or for a thread without a
 * heap, without a branch on the path of those who leave it on.
 *
 * Neither operation touches the blocks. In a cold heap that is the difference between one cache
 * miss and two.
 *
 * @owns      top and limit; the slots belong to the heap
 * @calls     base/attributes
 * @threads   its heap's thread alone. Slots and top are relaxed atomics, so that a report in
 *            another thread may read along; top is moved by one instruction, which sanitizers do
 *            not see
 * @invariant I1 base <= top <= limit
 * @invariant I2 slot 0 is null, slots 1 to top are not
 * @failure   pop: null, push: false; the slow path takes over
 * @cost      malloc and free hits in all: locked by tests/codegen; bench: magazine
 * @phase     introduced in 16
 */
#pragma once

#include <atomic>

#include "base/attributes.hpp"

namespace hakmem::front {

/** A place for a block's address. */
using Slot = std::atomic<void*>;

/** The stack itself: all that a hit needs. */
struct Magazine {
    std::atomic<Slot*> top;  ///< The slot pushed last; slot 0 when empty.
    Slot* limit;             ///< The last slot that may be used.

    // [pop and push]
    /** @return A block, or null when there is none. */
    HAK_FAST void* pop() {
        Slot* const slot = top.load(std::memory_order_relaxed);
        void* const block = slot->load(std::memory_order_relaxed);
        if (HAK_LIKELY(block != nullptr)) lower_top();
        return block;
    }

    /**
     * @param block A block of the magazine's class.
     * @return Whether there was room for it.
     */
    HAK_FAST bool push(void* block) {
        Slot* const slot = top.load(std::memory_order_relaxed);
        if (HAK_UNLIKELY(slot == limit)) return false;
        slot[1].store(block, std::memory_order_relaxed);
        raise_top();
        return true;
    }

    // One instruction each, which compilers do not make of a load, an addition and a store that are
    // atomic. Nobody else writes top.
    /** Moves top to the next slot. */
    HAK_FAST void raise_top() { asm("addq %1, %0" : "+m"(top) : "i"(sizeof(Slot)) : "cc"); }
    /** Moves top to the slot before. */
    HAK_FAST void lower_top() { asm("subq %1, %0" : "+m"(top) : "i"(sizeof(Slot)) : "cc"); }
    // [/pop and push]

    /**
     * @param base Slot 0 of the magazine.
     * @return How many blocks it holds.
     */
    unsigned count(const Slot* base) const {
        return static_cast<unsigned>(top.load(std::memory_order_relaxed) - base);
    }

    /**
     * @param base Slot 0 of the magazine.
     * @return The name of the first invariant that does not hold, or null.
     */
    const char* validate(const Slot* base) const {
        const Slot* const last = top.load(std::memory_order_relaxed);
        if (last < base || last > limit) return "magazine I1";
        for (const Slot* slot = base; slot <= last; slot++) {
            if ((slot->load(std::memory_order_relaxed) == nullptr) != (slot == base)) {
                return "magazine I2";
            }
        }
        return nullptr;
    }
};

}  // namespace hakmem::front
