#include "phases/phase_14.hpp"

#include <gtest/gtest.h>

#include "tests/os/changed_option.hpp"
#include "tests/phases/record_regressions.hpp"

namespace {

using namespace hakmem;
using front::UltraHot;
using phases::Phase14;
using tests::ChangedOption;

using Phase14Pristine = tests::Pristine;

// ---- what the record says must stay dead --------------------------------------------------------

// Tested as C1 and C2 the front had allocations, no free and no hit.
TEST(Phase14, ClassNumberingUltraHotHitsNearlyAlwaysAt16And32Bytes) {
    tests::expect_ultra_hot_hits<Phase14>();
}

TEST(Phase14, SizeGap) { tests::expect_no_size_gap<Phase14>(); }

TEST_F(Phase14Pristine, MetadataRecursion) {
    EXPECT_EXIT(tests::in_child([] { tests::require_no_recursion<Phase14>(); }),
                testing::ExitedWithCode(0), "");
}

TEST(Phase14, PageAlignedPointers) {
    tests::expect_page_aligned_pointers<Phase14>(gate::classify_ptr);
}

TEST(Phase14, AllocHeaderThatIsNone) {
    EXPECT_GT(tests::free_with_overwritten_headers<Phase14>(), 0u);
}

// ---- the front in the chain ---------------------------------------------------------------------

// The record's erratum: the row of 24 bytes looks into C3's magazine, and its blocks are of C2.
TEST(Phase14, RequestsOf24BytesAreServedByTheFrontBehind) {
    front::Layers& layers = tests::emptied_layers<Phase14>();
    const std::uint64_t hot = layers.ultra_hot.counts[1].hits;
    const std::uint64_t behind = layers.heap_v2.counts[2].hits;
    tests::run_fixed_size<Phase14>(10'000, 24, 128);
    EXPECT_EQ(layers.ultra_hot.counts[1].hits, hot);
    EXPECT_GT(layers.heap_v2.counts[2].hits - behind, 9'800u);
}

TEST(Phase14, AFrontThatIsOffIsNotAsked) {
    const ChangedOption off(&os::Options::tiny_ultra_hot, 0);
    front::Layers& layers = tests::emptied_layers<Phase14>();
    const std::uint64_t hot = layers.ultra_hot.counts[0].asked();
    const std::uint64_t behind = layers.heap_v2.counts[2].asked();
    tests::run_fixed_size<Phase14>(1000, 16, 128);
    EXPECT_EQ(layers.ultra_hot.counts[0].asked(), hot);
    EXPECT_EQ(layers.heap_v2.counts[2].asked() - behind, 1000u);
}

// Why it lost where sizes are spread: of the record's mix it is asked for a sixtieth.
TEST(Phase14, OfRandomMixedItIsAskedForLessThanTwoPercent) {
    const UltraHot::Counts* const counts = tests::emptied_layers<Phase14>().ultra_hot.counts;
    const std::uint64_t before = counts[0].asked() + counts[1].asked();
    tests::run_random_mixed<Phase14>(100'000, 14);
    const std::uint64_t asked = counts[0].asked() + counts[1].asked() - before;
    EXPECT_GT(asked, 600u);
    EXPECT_LT(asked, 1'000u);
}

}  // namespace
