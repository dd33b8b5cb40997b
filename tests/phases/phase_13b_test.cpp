#include "phases/phase_13b.hpp"

#include <gtest/gtest.h>

#include "tests/os/changed_option.hpp"
#include "tests/phases/record_regressions.hpp"

namespace {

using namespace hakmem;
using front::HeapV2;
using phases::Phase13B;
using tests::ChangedOption;

using Phase13BPristine = tests::Pristine;

constexpr unsigned iterations = 100'000;
constexpr unsigned workset = 128;

struct Seen {
    std::uint64_t allocs, hits, frees;
};

// What HeapV2 saw of a class in the record's bench.
Seen run_and_count(std::size_t bytes) {
    const HeapV2::Counts& counts =
        tests::emptied_layers<Phase13B>().heap_v2.counts[base::recorded_class_of(bytes)];
    const Seen before{counts.asked(), counts.hits, counts.frees};
    tests::run_fixed_size<Phase13B>(iterations, bytes, workset);
    return {counts.asked() - before.allocs, counts.hits - before.hits, counts.frees - before.frees};
}

TEST(Phase13B, StealingServesEveryAllocationThatFollowsAFree) {
    const ChangedOption mode(&os::Options::tiny_heap_v2_leftover_mode, 0);
    for (const std::size_t bytes : {15u, 16u, 32u}) {
        const Seen seen = run_and_count(bytes);
        EXPECT_EQ(seen.allocs, iterations) << bytes;
        EXPECT_EQ(seen.hits, iterations - workset) << bytes;
        // In the end it takes what it has room for.
        EXPECT_EQ(seen.frees, iterations - workset + HeapV2::capacity) << bytes;
    }
}

TEST(Phase13B, LeftoverComesToHeapV2OnlyWhenTheOlderFrontIsFull) {
    const ChangedOption mode(&os::Options::tiny_heap_v2_leftover_mode, 1);
    for (const std::size_t bytes : {15u, 16u, 32u}) {
        const Seen seen = run_and_count(bytes);
        EXPECT_EQ(seen.allocs, iterations) << bytes;
        EXPECT_EQ(seen.hits, 0u) << bytes;
        EXPECT_EQ(seen.frees, HeapV2::capacity) << bytes;
    }
}

// What Phase 13-A saw: a front that nobody fills has no hit, and one that is off is not asked.
TEST(Phase13B, AFrontThatIsOffIsNotAsked) {
    const ChangedOption off(&os::Options::tiny_heap_v2, 0);
    EXPECT_EQ(run_and_count(16).allocs, 0u);
}

TEST(Phase13B, TheClassMaskAndTheFourthClassKeepRequestsAway) {
    const ChangedOption only_c2(&os::Options::tiny_heap_v2_class_mask, 4);
    EXPECT_EQ(run_and_count(15).allocs, 0u);
    EXPECT_EQ(run_and_count(16).allocs, iterations);
    EXPECT_EQ(run_and_count(32).allocs, 0u);
    EXPECT_FALSE(HeapV2::takes(base::recorded_class_of(64), 15));
}

TEST(Phase13B, UltraHotIsNotThere) {
    const front::UltraHot::Counts* const counts =
        tests::emptied_layers<Phase13B>().ultra_hot.counts;
    const std::uint64_t before = counts[0].asked() + counts[1].asked();
    tests::run_fixed_size<Phase13B>(1000, 16, workset);
    tests::run_fixed_size<Phase13B>(1000, 32, workset);
    EXPECT_EQ(counts[0].asked() + counts[1].asked(), before);
}

// ---- what the record says must stay dead --------------------------------------------------------

TEST(Phase13B, SizeGap) { tests::expect_no_size_gap<Phase13B>(); }

TEST_F(Phase13BPristine, MetadataRecursion) {
    EXPECT_EXIT(tests::in_child([] { tests::require_no_recursion<Phase13B>(); }),
                testing::ExitedWithCode(0), "");
}

TEST(Phase13B, ClassNumberingARequestHasTheClassThatHoldsItAndItsHeader) {
    for (std::size_t bytes = 0; bytes <= base::recorded_tiny_bytes_max; bytes++) {
        void* const block = Phase13B::allocate(bytes);
        const unsigned k = base::recorded_class_of_slab(gate::classify_by_registry(block).id);
        EXPECT_EQ(k, base::recorded_class_of(bytes)) << bytes;
        EXPECT_GT(base::stride_of(k), bytes);
        Phase13B::deallocate(block);
    }
}

TEST(Phase13B, PageAlignedPointers) {
    tests::expect_page_aligned_pointers<Phase13B>(gate::classify_ptr);
}

TEST(Phase13B, AllocHeaderThatIsNone) {
    EXPECT_GT(tests::free_with_overwritten_headers<Phase13B>(), 0u);
}

// The largest class has no header, and a size that malloc_usable_size names can be asked for again.
TEST(Phase13B, TheHeaderlessClassKeepsItsLastByteBack) {
    void* const block = Phase13B::allocate(base::recorded_tiny_bytes_max);
    EXPECT_EQ(Phase13B::usable_bytes(block), base::recorded_tiny_bytes_max);
    EXPECT_EQ(Phase13B::reallocate(block, Phase13B::usable_bytes(block)), block);
    EXPECT_EQ(base::recorded_class_of(Phase13B::usable_bytes(block)), base::headerless_class);
    Phase13B::deallocate(block);
}

}  // namespace
