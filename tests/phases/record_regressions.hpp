// The bugs that the record lists, as tests that any of its phases must pass. Each is named by the
// record's word for it; the files of the phases call them.
#pragma once

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "back/page_map.hpp"
#include "base/size_class.hpp"
#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "front/layers.hpp"
#include "front/thread_heap.hpp"
#include "gate/classify_ptr.hpp"
#include "gate/header_byte.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fault_injection.hpp"

namespace hakmem::tests {

/** A block that begins a page, and so has no byte before it that may be read. */
inline bool begins_page(const void* block) { return !gate::has_byte_before(block); }

/** The calling thread's fronts, asked as the options have it, with nothing in them. Their counts go
 * on from where they are. */
template <typename Phase>
front::Layers& emptied_layers() {
    Phase::deallocate(Phase::allocate(1));  // the thread may have no heap yet
    front::ThreadHeap* const heap = front::own_heap();
    front::Layers::of(*heap).empty_out(*heap);
    front::Layers::of(*heap).decide();
    return front::Layers::of(*heap);
}

/** The record's bench of one size: each iteration frees the block of a place and fills it again. */
template <typename Phase>
void run_fixed_size(unsigned iterations, std::size_t bytes, std::size_t workset) {
    std::vector<void*> blocks(workset);
    for (unsigned i = 0; i < iterations; i++) {
        void*& block = blocks[i % workset];
        Phase::deallocate(block);
        block = Phase::allocate(bytes);
        ASSERT_NE(block, nullptr);
        std::memset(block, static_cast<int>(i), bytes);
    }
    for (void* const block : blocks) Phase::deallocate(block);
}

/** The record's bench of random sizes. Returns the frees of blocks above the tiny sizes. */
template <typename Phase>
std::uint64_t run_random_mixed(unsigned iterations, std::uint32_t seed) {
    constexpr std::size_t smallest_bytes = 16;
    constexpr std::size_t size_count = 1025;
    struct Place {
        char* block;
        std::size_t bytes;
    };
    std::vector<Place> places(256);
    std::mt19937 random(seed);
    std::uint64_t frees_above_tiny = 0;
    for (unsigned i = 0; i < iterations; i++) {
        Place& place = places[random() % places.size()];
        if (place.block != nullptr) {
            if (place.bytes > base::recorded_tiny_bytes_max) frees_above_tiny++;
            Phase::deallocate(place.block);
            place.block = nullptr;
        } else {
            place.bytes = smallest_bytes + random() % size_count;
            place.block = static_cast<char*>(Phase::allocate(place.bytes));
            *place.block = static_cast<char>(i);
        }
    }
    // What is left is freed by who counts nothing.
    for (const Place& place : places) phases::Phase16::deallocate(place.block);
    return frees_above_tiny;
}

/** Between the largest tiny size and the large ones, every size has a slab. */
template <typename Phase>
void expect_no_size_gap() {
    constexpr std::size_t mid_bytes_max = base::small_bytes_max - base::block_alignment;
    for (std::size_t bytes = 0; bytes <= mid_bytes_max; bytes += bytes < 9000 ? 1 : 97) {
        void* const block = Phase::allocate(bytes);
        ASSERT_NE(block, nullptr);
        const gate::Domain owner =
            bytes <= base::recorded_tiny_bytes_max ? gate::Domain::tiny : gate::Domain::mid;
        EXPECT_EQ(gate::classify_by_registry(block).domain, owner) << bytes;
        EXPECT_GE(Phase::usable_bytes(block), bytes);
        Phase::deallocate(block);
    }
    // And so the kernel is not asked for each of them.
    const FaultInjection counted(
        {.calls = FaultInjection::more | FaultInjection::unmap, .per_mille = 0});
    for (unsigned i = 0; i < 1000; i++) {
        for (const std::size_t bytes : {1024u, 2000u, 4096u, 8192u}) {
            Phase::deallocate(Phase::allocate(bytes));
        }
    }
    EXPECT_LT(counted.calls(), 10u);
}

/**
 * Pools that grow allocate nothing by malloc, which in a process of its own would be the allocator
 * that is growing. The record's bench hung at its first allocation; so this must be over at once.
 */
template <typename Phase>
void require_no_recursion() {
    constexpr unsigned seconds_max = 20;
    constexpr unsigned classes = 8;
    static void* held[classes][2000];
    alarm(seconds_max);
    const struct mallinfo2 before = mallinfo2();
    for (unsigned k = 0; k < classes; k++) {
        for (void*& block : held[k]) {
            block = Phase::allocate(base::stride_of(k) - 1);
            CHILD_REQUIRE(block != nullptr);
        }
    }
    for (auto& blocks : held) {
        for (void* const block : blocks) Phase::deallocate(block);
    }
    const struct mallinfo2 after = mallinfo2();
    CHILD_REQUIRE(after.uordblks == before.uordblks);
    CHILD_REQUIRE(after.hblks == before.hblks);
    run_fixed_size<Phase>(1, 16, 128);
    for (const std::size_t bytes : {7u, 15u, 16u, 32u, 64u, 128u, 256u, 512u, 1023u, 1024u}) {
        run_fixed_size<Phase>(10'000, bytes, 128);
        run_fixed_size<Phase>(10'000, bytes, 64);
    }
}

/** Blocks that begin a page are given out, classified and freed as all others are. */
template <typename Phase, typename Classify>
void expect_page_aligned_pointers(Classify classify) {
    for (const std::size_t bytes : {15u, 31u, 63u, 127u, 255u, 511u, 1023u, 1024u, 4000u, 16000u}) {
        std::vector<void*> blocks(5000);
        unsigned at_pages = 0;
        for (void*& block : blocks) {
            block = Phase::allocate(bytes);
            ASSERT_NE(block, nullptr);
            std::memset(block, 0xa5, bytes);  // its neighbour's header would be gone
            if (begins_page(block)) at_pages++;
        }
        EXPECT_GT(at_pages, 0u) << bytes;
        for (void* const block : blocks) {
            const gate::Domain known = gate::classify_by_registry(block).domain;
            EXPECT_EQ(classify(block).domain, known) << bytes;
            Phase::deallocate(block);
        }
    }
    for (const std::size_t bytes : {1u, 1000u, 5000u, 100'000u, 3'000'000u}) {
        void* const block = Phase::allocate_aligned(base::page_bytes, bytes);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(begins_page(block));
        Phase::deallocate(block);
    }
    EXPECT_EQ(Phase::validate(), nullptr);
}

/** Blocks whose header has been overwritten are freed as all others are. */
template <typename Phase>
unsigned free_with_overwritten_headers() {
    constexpr std::size_t header_bytes = 16;
    unsigned overwritten = 0;
    std::vector<char*> blocks(64);
    for (const std::size_t bytes : {1024u, 3000u, 8192u}) {
        for (char*& block : blocks) block = static_cast<char*>(Phase::allocate(bytes));
        for (char* const block : blocks) {
            if (!begins_page(block)) {
                std::memset(block - header_bytes, 0x5a, header_bytes);
                overwritten++;
            }
        }
        for (char* const block : blocks) Phase::deallocate(block);
    }
    EXPECT_EQ(Phase::validate(), nullptr);
    return overwritten;
}

/** UltraHot is asked for the sizes whose blocks it takes. */
template <typename Phase>
void expect_ultra_hot_hits() {
    for (const std::size_t bytes : {16u, 32u}) {
        const unsigned m = front::UltraHot::magazine_of_request(bytes);
        const front::UltraHot::Counts& counts = emptied_layers<Phase>().ultra_hot.counts[m];
        const std::uint64_t allocs = counts.asked();
        const std::uint64_t hits = counts.hits;
        const std::uint64_t frees = counts.frees;
        run_fixed_size<Phase>(100'000, bytes, 128);
        EXPECT_EQ(counts.asked() - allocs, 100'000u);
        EXPECT_GT(static_cast<double>(counts.hits - hits) / 100'000, 0.99) << bytes;
        EXPECT_GE(counts.frees - frees, counts.hits - hits);
    }
}

}  // namespace hakmem::tests
