/**
 * @file phase_16.hpp
 * @box phase_16 — the production malloc, whole
 *
 * The recorded phases put a byte in front of each small block, to tell free what it is. The idea
 * was right and the place was wrong: the byte cost every block its alignment, a page-aligned
 * pointer had none that could be read, and the largest class had none at all. Phase 16 keeps the
 * byte and moves it out of band, into the page map. What is left of malloc and free when everything
 * hits is below, complete:
 *
 *     malloc   size ─▶ class ─▶ magazine.pop
 *     free     pointer ─▶ at home: entry − tag ─▶ magazine.push
 *
 * Preconditions of both hits: none. Any size, any pointer, any thread, any time. What they cannot
 * serve is answered by a null or a false, and a tail call goes to the slow path, which finds out
 * why it was called.
 *
 * @owns      the composition; no state
 * @calls     back/large back/meta_arena back/page_map back/purge back/shared_pool back/slab
 *            base/attributes base/size_class base/units front/magazine front/thread_heap
 *            gate/external_guard gate/page_gate middle/misuse middle/orphan_heaps os/environment
 *            os/futex_lock
 * @threads   any
 * @invariant none
 * @failure   null with errno ENOMEM or EINVAL; misuse ends the process with its name
 * @cost      instructions of a hit are locked by tests/codegen; bench: phase_16
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>

#include "back/shared_pool.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "front/magazine.hpp"
#include "front/thread_heap.hpp"
#include "gate/page_gate.hpp"

namespace hakmem::phases {

/** How a size that comes with a free is to be taken. */
enum class SizeClaim {
    exact,    ///< The size that was asked for: operator delete.
    resized,  ///< The same, or what realloc made of it in place: free_sized.
    at_most,  ///< The block may be any larger, for the sake of its alignment.
};

/** A block as the program knows it. */
struct KnownBlock {
    const void* start;  ///< What malloc returned.
    std::size_t bytes;  ///< Its usable bytes.
};

/** A block that was looked up. */
struct Block {
    back::Slab* slab;   ///< Its slab, or the record of its span.
    std::size_t bytes;  ///< Its length.
};

/**
 * Looks a block up. A pointer that is none ends the process with its name; so does a free block
 * when every operation is checked.
 * @param pointer A pointer into HAKMEM's memory.
 * @param id What its entry of the page map says.
 * @return The block.
 */
Block block_at(const void* pointer, base::ClassId id);

/**
 * @param bytes A request.
 * @param usable The usable bytes of a block.
 * @return Whether realloc leaves a smaller request where it is.
 */
bool is_worth_keeping(std::size_t bytes, std::size_t usable);

/**
 * @param bytes The size that comes with a free.
 * @param block The block.
 * @param claim How it is to be taken.
 * @return Whether the block can have been asked for by this size.
 */
bool is_possible(std::size_t bytes, const Block& block, SizeClaim claim);

/** Phase 16: magazine in front, page_gate behind, slabs with bits below. */
struct Phase16 {
    /**
     * What malloc does when it hits, for those who have a slow path of their own.
     * @param bytes Any size.
     * @return A block, or null when there is more to do.
     */
    HAK_FAST static void* allocate_hit(std::size_t bytes) {
        if (HAK_UNLIKELY(bytes > base::tiny_bytes_max)) return nullptr;
        return front::current_heap->magazine(base::scaled_class_of_tiny(bytes)).pop();
    }

    // [malloc]
    /**
     * malloc.
     * @param bytes Any size.
     * @return A block, or null with errno ENOMEM.
     */
    HAK_FAST static void* allocate(std::size_t bytes) {
        if (HAK_UNLIKELY(bytes > base::tiny_bytes_max)) return allocate_above_tiny(bytes);
        front::Magazine& magazine =
            front::current_heap->magazine(base::scaled_class_of_tiny(bytes));
        if (void* const block = magazine.pop(); HAK_LIKELY(block)) return block;
        return allocate_slow(magazine);
    }
    // [/malloc]

    /**
     * What malloc does for those whose allocate_hit() had no block.
     * @param bytes Any size.
     * @return A block, or null with errno ENOMEM.
     */
    static void* allocate_missed(std::size_t bytes) { return allocate(bytes); }

    // [free]
    /**
     * free.
     * @param block A block, or null.
     */
    HAK_FAST static void deallocate(void* block) noexcept {
        front::HeapFront* const heap = front::current_heap;
        const base::ScaledClass mine{gate::classify_at_home(block, heap->home, heap->tag_bits)};
        if (HAK_UNLIKELY(mine.value >= gate::magazine_offset_end))
            return deallocate_elsewhere(block);
        if (HAK_UNLIKELY(!heap->push(mine, block))) deallocate_slow(block, mine);
    }
    // [/free]

    /**
     * calloc.
     * @param count Number of elements.
     * @param bytes Size of one.
     * @return A zeroed block, or null with errno ENOMEM.
     */
    static void* allocate_zeroed(std::size_t count, std::size_t bytes);

    /**
     * realloc.
     * @param block A block, or null.
     * @param bytes Any size; 0 frees the block.
     * @return The block, moved or not; or null with errno ENOMEM, the old block being as it was; or
     *         null after freeing.
     */
    static void* reallocate(void* block, std::size_t bytes);

    /**
     * aligned_alloc.
     * @param alignment Any value.
     * @param bytes Any size.
     * @return A block, or null with errno EINVAL or ENOMEM.
     */
    static void* allocate_aligned(std::size_t alignment, std::size_t bytes);

    /**
     * free_sized and sized operator delete.
     * @param block A block, or null.
     * @param bytes The size that the caller knows.
     * @param claim How it is to be taken.
     */
    HAK_FAST static void deallocate_sized(void* block, std::size_t bytes,
                                          SizeClaim claim) noexcept {
        front::HeapFront* const heap = front::current_heap;
        const base::ScaledClass mine{gate::classify_at_home(block, heap->home, heap->tag_bits)};
        if (HAK_LIKELY(mine.value < gate::magazine_offset_end) &&
            HAK_LIKELY(heap->push(mine, block))) {
            return;
        }
        deallocate_sized_slow(block, bytes, claim);
    }

    /**
     * malloc_usable_size.
     * @param block A block, or null.
     * @return Its writable bytes; 0 for null.
     */
    static std::size_t usable_bytes(const void* block);

    /**
     * malloc_good_size, as other systems call it.
     * @param bytes Any size.
     * @return The usable bytes that a block of this size would have; 0 if there can be none.
     */
    static std::size_t good_bytes(std::size_t bytes);

    /**
     * @param start A block as slabs and spans know it.
     * @param bytes Its length there.
     * @return The block as the program knows it: the same.
     */
    static KnownBlock user_block(const void* start, std::size_t bytes, base::ClassId) {
        return {start, bytes};
    }

    /** One way to get a block, which may be tried again. */
    using Attempt = void* (*)(back::shared_pool::Growth growth, void* context);

    /**
     * Tries, collects what is held in reserve, tries again, asks the program for help.
     * @param bytes What is asked for, for the program to see.
     * @param attempt Returns a block or null.
     * @param context Passed through.
     * @return The block, or null with errno ENOMEM.
     */
    static void* insist(std::size_t bytes, Attempt attempt, void* context);

    /**
     * malloc_trim(0).
     * @return Bytes given back to the system.
     */
    static std::size_t trim();

    /** @return The name of the first invariant of any box that does not hold, or null. */
    static const char* validate();

    /**
     * Sets what is asked for help before an allocation fails.
     * @param handler Returns whether trying again makes sense; null for none.
     * @param context Passed through.
     */
    static void set_oom_handler(int (*handler)(std::size_t bytes, void* context), void* context);

private:
    static void* allocate_above_tiny(std::size_t bytes);
    static void* allocate_small(base::ClassId id);
    static void* allocate_slow(const front::Magazine& empty);
    static void* allocate_large(std::size_t bytes, std::size_t alignment, bool& zero);
    static void deallocate_slow(void* block, base::ScaledClass full) noexcept;
    static void deallocate_elsewhere(void* block) noexcept;
    static void deallocate_rare(void* block, base::ClassId id) noexcept;
    static void deallocate_sized_slow(void* block, std::size_t bytes, SizeClaim claim) noexcept;
};

}  // namespace hakmem::phases
