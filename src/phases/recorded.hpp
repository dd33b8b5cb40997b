/**
 * @file recorded.hpp
 * @box recorded — what the recorded phases have in common, as a whole malloc
 *
 * Phases 13-B, 14, 14-C and 15 differ in two points: whether UltraHot stands in front, and how free
 * finds out what a pointer is. The rest is here, and a phase is this template with two arguments.
 *
 *     0 to 1,023 bytes       tiny    fronts, slabs of strides 16 to 1,024, a header byte
 *     1,024 bytes to 32 KiB  mid     the pool, an AllocHeader
 *     above                  large   a span of its own, an AllocHeader
 *
 * The pool is Phase 16's: the same magazines and slabs for mid blocks, the same spans for large
 * ones. What the record had of its own there it had for want of the back that exists now.
 *
 * Headers lie in the bytes in front of a block, which are the last ones of the block before it; so
 * each block of a class with headers keeps its last bytes from its user. A large block begins its
 * memory with the header, and the block follows.
 *
 * A historical phase may be slower, never wrong: a header is a hint that the registry must confirm,
 * and C0, whose blocks would not be aligned, is served by C1.
 *
 * @owns      nothing
 * @calls     back/page_map back/slab base/attributes base/size_class base/tiny_class base/units
 *            front/layers front/thread_heap gate/alloc_header gate/classify_ptr gate/external_guard
 *            gate/front_gate_v2 gate/header_byte middle/misuse os/environment os/raw_log
 *            phases/phase_16
 * @threads   any
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     recorded in 13-B to 15; rebuilt here
 */
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "base/tiny_class.hpp"
#include "front/layers.hpp"
#include "front/thread_heap.hpp"
#include "gate/classify_ptr.hpp"
#include "gate/header_byte.hpp"
#include "os/environment.hpp"
#include "phases/phase_16.hpp"

namespace hakmem::phases {

/** The parts that do not depend on the phase. */
namespace recorded {

/**
 * Allocates a tiny block when the fronts have none.
 * @param bytes A request, at most recorded_tiny_bytes_max.
 * @return The block, stamped; or null with errno ENOMEM.
 */
void* allocate_slow(std::size_t bytes);

/**
 * Allocates a mid or large block.
 * @param bytes The request.
 * @param zeroed Whether it shall read as zero.
 * @return The block, with its header; or null with errno ENOMEM.
 */
void* allocate_above_tiny(std::size_t bytes, bool zeroed);

/**
 * Allocates an aligned mid or large block.
 * @param alignment Any value.
 * @param bytes Any size.
 * @return The block, with its header; or null with errno EINVAL or ENOMEM.
 */
void* allocate_aligned(std::size_t alignment, std::size_t bytes);

/**
 * Frees what is no tiny block.
 * @param block Any pointer but null.
 * @param known What the gate said of it.
 */
void release_above_tiny(void* block, const gate::Classified& known) noexcept;

/**
 * Frees a tiny block past the fronts, to its slab: where there is no heap yet, where the fronts
 * were emptied, or where every operation is checked.
 * @param block The block.
 */
void release_unfronted(void* block) noexcept;

/**
 * @param block A block, or null.
 * @return Its writable bytes.
 */
std::size_t usable_bytes(const void* block);

/**
 * @param bytes Any size.
 * @return The usable bytes of a block of this size.
 */
std::size_t good_bytes(std::size_t bytes);

/**
 * @param start A block as the slabs and spans know it.
 * @param bytes Its length there.
 * @param id Its class.
 * @return The block as the program knows it.
 */
KnownBlock user_block(const void* start, std::size_t bytes, base::ClassId id);

/**
 * Names a wrong size of a sized free.
 * @param block A block.
 * @param bytes The size that the caller knows.
 * @param claim How it is to be taken.
 */
void check_claim(void* block, std::size_t bytes, SizeClaim claim) noexcept;

/**
 * realloc where the block may stay, or is large and stays so.
 * @param block A block.
 * @param bytes The size wanted.
 * @param result Receives the block, or null with errno ENOMEM.
 * @return Whether that was it; otherwise the block must be copied to one of another kind.
 */
bool resize(void* block, std::size_t bytes, void*& result);

}  // namespace recorded

/**
 * A recorded phase.
 * @tparam Traits Has `with_ultra_hot`, and `classify`, which says what a pointer is.
 */
template <typename Traits>
struct Recorded {
    // [malloc]
    /** @copydoc Phase16::allocate_hit */
    HAK_FAST static void* allocate_hit(std::size_t bytes) {
        front::ThreadHeap* const heap = front::own_heap();
        if (HAK_UNLIKELY(bytes > base::recorded_tiny_bytes_max || heap == nullptr)) return nullptr;
        const front::TinyBlock tiny =
            front::Layers::of(*heap).allocate(bytes, Traits::with_ultra_hot);
        if (HAK_LIKELY(tiny.block != nullptr)) gate::stamp_tiny(tiny.block, tiny.tiny_class);
        return tiny.block;
    }

    /** @copydoc Phase16::allocate */
    static void* allocate(std::size_t bytes) {
        if (void* const block = allocate_hit(bytes); HAK_LIKELY(block != nullptr)) return block;
        return allocate_missed(bytes);
    }

    /** @copydoc Phase16::allocate_missed */
    static void* allocate_missed(std::size_t bytes) {
        return bytes <= base::recorded_tiny_bytes_max ? recorded::allocate_slow(bytes)
                                                      : recorded::allocate_above_tiny(bytes, false);
    }
    // [/malloc]

    // [free]
    /** @copydoc Phase16::deallocate */
    static void deallocate(void* block) noexcept {
        if (block == nullptr) return;
        const gate::Classified known = Traits::classify(block);
        if (HAK_UNLIKELY(known.domain != gate::Domain::tiny)) {
            recorded::release_above_tiny(block, known);
            return;
        }
        front::ThreadHeap* const heap = front::own_heap();
        if (HAK_UNLIKELY(heap == nullptr || !front::Layers::of(*heap).asked.any)) {
            recorded::release_unfronted(block);
            return;
        }
        front::Layers::of(*heap).release(*heap, base::recorded_class_of_slab(known.id), block,
                                         Traits::with_ultra_hot);
    }
    // [/free]

    /** @copydoc Phase16::allocate_zeroed */
    static void* allocate_zeroed(std::size_t count, std::size_t bytes) {
        std::size_t total = 0;
        if (HAK_UNLIKELY(__builtin_mul_overflow(count, bytes, &total))) {
            return recorded::allocate_above_tiny(SIZE_MAX, true);
        }
        if (total > base::recorded_tiny_bytes_max) {
            return recorded::allocate_above_tiny(total, true);
        }
        void* const block = allocate(total);
        if (HAK_LIKELY(block != nullptr)) __builtin_memset(block, 0, total);
        return block;
    }

    /** @copydoc Phase16::reallocate */
    static void* reallocate(void* block, std::size_t bytes) {
        if (block == nullptr) return allocate(bytes);
        if (bytes == 0) {
            deallocate(block);
            return nullptr;
        }
        const gate::Classified known = gate::classify_by_registry(block);
        if (known.domain == gate::Domain::external || known.domain == gate::Domain::freed ||
            bytes > base::request_bytes_max) {
            return Phase16::reallocate(block, bytes);
        }
        void* resized = nullptr;
        if (recorded::resize(block, bytes, resized)) return resized;
        void* const copy = allocate(bytes);
        if (copy == nullptr) return nullptr;
        const std::size_t old_bytes = usable_bytes(block);
        __builtin_memcpy(copy, block, old_bytes < bytes ? old_bytes : bytes);
        deallocate(block);
        return copy;
    }

    /** @copydoc Phase16::allocate_aligned */
    static void* allocate_aligned(std::size_t alignment, std::size_t bytes) {
        // A tiny block is aligned to its stride, which is a power of two.
        const bool is_tiny = std::has_single_bit(alignment) &&
                             alignment <= base::stride_of(base::headerless_class) &&
                             bytes <= base::recorded_tiny_bytes_max;
        if (is_tiny) return allocate(std::max(bytes, alignment - 1));
        return recorded::allocate_aligned(alignment, bytes);
    }

    /** @copydoc Phase16::deallocate_sized */
    static void deallocate_sized(void* block, std::size_t bytes, SizeClaim claim) noexcept {
        if (os::options().hardened != 0 && block != nullptr) {
            recorded::check_claim(block, bytes, claim);
        }
        deallocate(block);
    }

    /** @copydoc Phase16::usable_bytes */
    static std::size_t usable_bytes(const void* block) { return recorded::usable_bytes(block); }
    /** @copydoc Phase16::good_bytes */
    static std::size_t good_bytes(std::size_t bytes) { return recorded::good_bytes(bytes); }
    /**
     * @param start A block as slabs and spans know it.
     * @param bytes Its length there.
     * @param id Its class.
     * @return The block as the program knows it.
     */
    static KnownBlock user_block(const void* start, std::size_t bytes, base::ClassId id) {
        return recorded::user_block(start, bytes, id);
    }
    /** @copydoc Phase16::trim */
    static std::size_t trim() { return Phase16::trim(); }
    /** @copydoc Phase16::validate */
    static const char* validate() { return Phase16::validate(); }
    /** @copydoc Phase16::set_oom_handler */
    static void set_oom_handler(int (*handler)(std::size_t bytes, void* context), void* context) {
        Phase16::set_oom_handler(handler, context);
    }
};

}  // namespace hakmem::phases
