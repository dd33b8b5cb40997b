#include "phases/phase_14c.hpp"

#include <gtest/gtest.h>

#include "tests/phases/record_regressions.hpp"

namespace {

using namespace hakmem;
using phases::Phase14C;

using Phase14CPristine = tests::Pristine;

// The record counted its probes twice, and this tells which count is of which: of a mix of 16 to
// 1,040 bytes a sixtieth has no tiny header.
TEST(Phase14C, RandomMixedProbesForEachFreeAboveTheTinySizes) {
    const std::uint64_t before = gate::mincore_probes();
    const std::uint64_t frees = tests::run_random_mixed<Phase14C>(100'000, 14);
    const std::uint64_t probes = gate::mincore_probes() - before;
    EXPECT_EQ(probes, frees);
    EXPECT_GE(probes, 700u);
    EXPECT_LE(probes, 960u);
}

TEST(Phase14C, OneProbeForEachFreeAbove1023BytesAndNoneBelow) {
    for (const std::size_t bytes : {0u, 15u, 16u, 500u, 1023u, 1024u, 4096u, 32'768u, 100'000u}) {
        void* const block = Phase14C::allocate(bytes);
        const std::uint64_t before = gate::mincore_probes();
        Phase14C::deallocate(block);
        const std::uint64_t expected = bytes > base::recorded_tiny_bytes_max ? 1 : 0;
        EXPECT_EQ(gate::mincore_probes() - before, expected) << bytes;
    }
}

// The C library's blocks are looked up and handed over, not probed.
TEST(Phase14C, AForeignBlockIsNotProbed) {
    const std::uint64_t before = gate::mincore_probes();
    int local = 0;
    EXPECT_EQ(gate::classify_ptr(&local).domain, gate::Domain::external);
    EXPECT_EQ(gate::mincore_probes(), before);
}

// ---- what the record says must stay dead --------------------------------------------------------

TEST(Phase14C, ClassNumberingUltraHotHitsNearlyAlwaysAt16And32Bytes) {
    tests::expect_ultra_hot_hits<Phase14C>();
}

TEST(Phase14C, SizeGap) { tests::expect_no_size_gap<Phase14C>(); }

TEST_F(Phase14CPristine, MetadataRecursion) {
    EXPECT_EXIT(tests::in_child([] { tests::require_no_recursion<Phase14C>(); }),
                testing::ExitedWithCode(0), "");
}

TEST(Phase14C, PageAlignedPointers) {
    tests::expect_page_aligned_pointers<Phase14C>(gate::classify_ptr);
}

// Without mincore the record's routing followed such a header and crashed; even if the kernel
// answers for the page, the bytes decide nothing alone.
TEST(Phase14C, MincoreOffAnAllocHeaderThatIsNoneIsNotFollowed) {
    EXPECT_GT(tests::free_with_overwritten_headers<Phase14C>(), 0u);
    char* const block = static_cast<char*>(Phase14C::allocate(2000));
    const tests::FaultInjection no_answer({.calls = tests::FaultInjection::residency});
    EXPECT_EQ(gate::classify_ptr(block).domain, gate::Domain::mid);
    EXPECT_EQ(gate::classify_ptr(block).header, nullptr);
    Phase14C::deallocate(block);
    EXPECT_EQ(no_answer.failed(), 3u);
}

}  // namespace
