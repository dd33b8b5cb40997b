#include "phases/recorded.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "back/page_map.hpp"
#include "back/slab.hpp"
#include "base/units.hpp"
#include "gate/alloc_header.hpp"
#include "gate/external_guard.hpp"
#include "gate/front_gate_v2.hpp"
#include "middle/misuse.hpp"
#include "os/environment.hpp"
#include "os/raw_log.hpp"

namespace hakmem::phases::recorded {

namespace {

using gate::AllocHeader;
using gate::Domain;

constexpr std::size_t header_bytes = sizeof(AllocHeader);

AllocHeader& first_header(char* start) { return *reinterpret_cast<AllocHeader*>(start); }

// How far behind the start of its memory a large block begins.
std::uint32_t offset_of(const char* start) {
    const AllocHeader* const header = gate::header_of(start + header_bytes);
    if (header == nullptr) hak_abort_invalid_free(start, 0);  // the program has overwritten it
    return header->offset;
}

// The first header stands at the start of the memory; the second, if it is another, before the
// block.
void* stamp_large(char* start, std::size_t offset) {
    gate::stamp_header(start + header_bytes, static_cast<std::uint32_t>(offset));
    gate::stamp_header(start + offset, static_cast<std::uint32_t>(offset));
    return start + offset;
}

// The start of a large block's memory. A pointer to anywhere else in it is misuse.
char* memory_of(const void* block) {
    char* const start = back::page_map::slab_of(block)->start;
    if (block != start + offset_of(start)) hak_abort_invalid_free(block, 0);
    return start;
}

std::size_t usable_in_slab(base::ClassId id) {
    const std::size_t bytes = base::row(id).block_bytes;
    const unsigned tiny_class = base::recorded_class_of_slab(id);
    return tiny_class < base::recorded_class_count ? bytes - 1 : bytes - header_bytes;
}

}  // namespace

// ---- allocating ---------------------------------------------------------------------------------

// [slow]
void* allocate_slow(std::size_t bytes) {
    const unsigned tiny_class = base::recorded_class_of(bytes);
    void* const block = Phase16::insist(
        base::stride_of(tiny_class),
        [](back::shared_pool::Growth growth, void* context) -> void* {
            const unsigned k = *static_cast<const unsigned*>(context);
            const front::HeapLease lease;
            front::ThreadHeap* const heap = lease.heap();
            if (heap == nullptr) return nullptr;
            if (os::options().hardened != 0) return heap->allocate(base::slab_class_of(k), growth);
            return front::Layers::of(*heap).refill(*heap, k, growth);
        },
        const_cast<unsigned*>(&tiny_class));
    if (block != nullptr) gate::stamp_tiny(block, tiny_class);
    return block;
}
// [/slow]

void* allocate_above_tiny(std::size_t bytes, bool zeroed) {
    if (bytes > base::request_bytes_max) return Phase16::allocate(SIZE_MAX);
    const std::size_t total = bytes + header_bytes;
    if (total > base::small_bytes_max) {
        void* const start = zeroed ? Phase16::allocate_zeroed(1, total) : Phase16::allocate(total);
        return start != nullptr ? stamp_large(static_cast<char*>(start), header_bytes) : nullptr;
    }
    void* const block = Phase16::allocate(total);
    if (block == nullptr) return nullptr;
    gate::stamp_header(block, 0);
    if (zeroed) std::memset(block, 0, bytes);  // not the header of the next block
    return block;
}

void* allocate_aligned(std::size_t alignment, std::size_t bytes) {
    const bool sane = std::has_single_bit(alignment) && alignment <= base::alignment_bytes_max &&
                      bytes <= base::request_bytes_max;
    if (!sane) return Phase16::allocate_aligned(alignment, bytes);
    bytes = std::max<std::size_t>(bytes, 1);
    if (base::round_up(bytes + header_bytes, alignment) <= base::small_bytes_max) {
        void* const block = Phase16::allocate_aligned(alignment, bytes + header_bytes);
        if (block != nullptr) gate::stamp_header(block, 0);
        return block;
    }
    // Alignments are powers of two: a block one alignment behind an aligned start is aligned.
    const std::size_t offset = std::max(alignment, header_bytes);
    void* const start = Phase16::allocate_aligned(alignment, bytes + offset);
    return start != nullptr ? stamp_large(static_cast<char*>(start), offset) : nullptr;
}

// ---- freeing ------------------------------------------------------------------------------------

void release_above_tiny(void* block, const gate::Classified& known) noexcept {
    if (known.domain != Domain::large) return Phase16::deallocate(block);
    char* const start = memory_of(block);
    first_header(start).check =
        0;  // the memory's next header may be late, and a walk would see this
    Phase16::deallocate(start);
}

void release_unfronted(void* block) noexcept {
    front::ThreadHeap* const heap = front::own_heap();
    if (heap == nullptr) return Phase16::deallocate(block);
    const int saved_errno = errno;
    heap->give_back(block);
    errno = saved_errno;
}

void check_claim(void* block, std::size_t bytes, SizeClaim claim) noexcept {
    const gate::Classified known = gate::classify_by_registry(block);
    if (known.domain == Domain::external || known.domain == Domain::freed) return;
    const std::size_t usable = usable_bytes(block);
    bool possible = false;
    if (known.domain == Domain::large) {
        char* const start = memory_of(block);
        possible = is_possible(bytes + offset_of(start), block_at(start, known.id), claim);
    } else {
        block_at(block, known.id);
        possible =
            bytes <= usable && (claim == SizeClaim::at_most || good_bytes(bytes) == usable ||
                                (claim == SizeClaim::resized && is_worth_keeping(bytes, usable)));
    }
    if (!possible) hak_abort_sized_mismatch(block, bytes, usable);
}

// ---- resizing -----------------------------------------------------------------------------------

bool resize(void* block, std::size_t bytes, void*& result) {
    const gate::Classified known = gate::classify_by_registry(block);
    if (known.domain != Domain::large) {
        block_at(block, known.id);
        const std::size_t usable = usable_in_slab(known.id);
        result = block;
        return bytes <= usable && is_worth_keeping(bytes, usable);
    }
    char* const start = memory_of(block);
    const std::uint32_t offset = offset_of(start);
    if (bytes + offset <= base::small_bytes_max) return false;
    // Where it stood, nothing may be left that looks like a header (see user_block).
    first_header(start).check = 0;
    void* const moved = Phase16::reallocate(start, bytes + offset);
    void* const stamped = stamp_large(moved != nullptr ? static_cast<char*>(moved) : start, offset);
    result = moved != nullptr ? stamped : nullptr;
    return true;
}

// ---- questions ----------------------------------------------------------------------------------

std::size_t usable_bytes(const void* block) {
    if (block == nullptr) return 0;
    const gate::Classified known = gate::classify_by_registry(block);
    switch (known.domain) {
        case Domain::tiny:
        case Domain::mid:
            return usable_in_slab(known.id);
        case Domain::large: {
            const char* const start = memory_of(block);
            return Phase16::usable_bytes(start) - offset_of(start);
        }
        default:
            return Phase16::usable_bytes(block);
    }
}

std::size_t good_bytes(std::size_t bytes) {
    if (bytes > base::request_bytes_max) return 0;
    if (bytes <= base::recorded_tiny_bytes_max) {
        return usable_in_slab(base::slab_class_of(base::recorded_class_of(bytes)));
    }
    const std::size_t total = Phase16::good_bytes(bytes + header_bytes);
    return total != 0 ? total - header_bytes : 0;
}

KnownBlock user_block(const void* start, std::size_t bytes, base::ClassId id) {
    if (base::is_small(id)) return {start, usable_in_slab(id)};
    // A block that another thread is allocating has no header yet.
    const char* const memory = static_cast<const char*>(start);
    const AllocHeader* const header = gate::header_of(memory + header_bytes);
    const std::size_t offset =
        header != nullptr && header->offset < bytes ? header->offset : header_bytes;
    return {memory + offset, bytes - offset};
}

}  // namespace hakmem::phases::recorded

namespace hakmem::front {

// What a heap of this library has in front of its magazines.
constinit const OuterFront outer_front{
    sizeof(Layers),
    [](ThreadHeap& heap) { Layers::of(heap).empty_out(heap); },
    [](const ThreadHeap& heap, middle::CachedVisitor visitor, void* context) {
        static_cast<const Layers*>(heap.outer())->for_each_cached(visitor, context);
    },
    [](const ThreadHeap& heap) { return static_cast<const Layers*>(heap.outer())->validate(); },
    [] {
        Layers::print_statistics();
        if (os::options().external_guard_stats == 0) return;
        os::Message() << "classify_ptr: mincore=" << gate::mincore_probes();
        os::Message() << "front_gate_v2: overwritten_headers=" << gate::overwritten_headers();
    },
};

}  // namespace hakmem::front

// Each library compiles this file for itself. The tests of what all have in common do not say
// which, and get the phase that has every option.
#ifndef HAKMEM_PHASE
#define HAKMEM_PHASE 150
#endif

namespace hakmem::os {

#if HAKMEM_PHASE == 132
constinit const char phase_name[] = "13-B";
#elif HAKMEM_PHASE == 143
constinit const char phase_name[] = "14-C";
#elif HAKMEM_PHASE == 140
constinit const char phase_name[] = "14";
#elif HAKMEM_PHASE == 150
constinit const char phase_name[] = "15";
#else
#error "HAKMEM_PHASE names no recorded phase: 132, 140, 143 or 150"
#endif

}  // namespace hakmem::os

namespace hakmem::gate::external_guard {

// The option is Phase 15's.
constinit bool asks_by_option = HAKMEM_PHASE == 150;

}  // namespace hakmem::gate::external_guard
