#include "phases/phase_15.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "gate/external_guard.hpp"
#include "tests/gate/page_after_nothing.hpp"
#include "tests/os/captured_messages.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/phases/record_regressions.hpp"

namespace {

using namespace hakmem;
using phases::Phase15;

using Phase15Pristine = tests::Pristine;

TEST(Phase15, NoFreeProbesWithMincore) {
    const tests::FaultInjection counted(
        {.calls = tests::FaultInjection::residency, .per_mille = 0});
    const std::uint64_t before = gate::mincore_probes();
    EXPECT_GT(tests::run_random_mixed<Phase15>(100'000, 14), 700u);
    for (const std::size_t bytes : {16u, 1023u, 1024u, 32'768u, 100'000u}) {
        Phase15::deallocate(Phase15::allocate(bytes));
    }
    EXPECT_EQ(gate::mincore_probes(), before);
    EXPECT_EQ(counted.calls(), 0u);
}

// The count stays at nought in a process that has no other phase.
TEST_F(Phase15Pristine, NoProcessProbesWithMincore) {
    EXPECT_EXIT(tests::in_child([] {
                    tests::run_random_mixed<Phase15>(100'000, 14);
                    CHILD_REQUIRE(gate::mincore_probes() == 0);
                }),
                testing::ExitedWithCode(0), "");
}

// The third of the record's open steps, with the record's variable and its default.
TEST(Phase15, ExternalGuardAsksTheKernelOnlyWhenItIsTold) {
    const tests::CapturedMessages messages;
    const auto malloc_of_libc =
        reinterpret_cast<void* (*)(std::size_t)>(dlsym(RTLD_NEXT, "malloc"));
    for (const std::uint64_t on : {0u, 1u}) {
        const tests::ChangedOption option(&os::Options::external_guard_mincore, on);
        const gate::external_guard::Counts before = gate::external_guard::counts();
        Phase15::deallocate(malloc_of_libc(100));
        const gate::external_guard::Counts after = gate::external_guard::counts();
        EXPECT_EQ(after.calls - before.calls, 1u);
        EXPECT_EQ(after.probes - before.probes, on);
        EXPECT_EQ(after.handed - before.handed, 1u);
    }
    EXPECT_EQ(os::Options{}.external_guard_mincore, 0u);
}

// A bench has no foreign pointers: more than ten of them would mean that a box leaks.
TEST(Phase15, ExternalGuardIsNotCalledByABench) {
    const gate::external_guard::Counts before = gate::external_guard::counts();
    tests::run_random_mixed<Phase15>(100'000, 14);
    EXPECT_EQ(gate::external_guard::counts().calls, before.calls);
}

// What the record lacked for C7 and MIDCAND.
TEST(Phase15, TheRegistryKnowsWhatHasNoByte) {
    char* const headerless = static_cast<char*>(Phase15::allocate(1023));
    EXPECT_EQ(gate::front_gate_v2(headerless).domain, gate::Domain::tiny);
    Phase15::deallocate(headerless);
    void* const large = Phase15::allocate_aligned(base::page_bytes, 100'000);
    EXPECT_EQ(gate::verdict_of(large), gate::ByteVerdict::midcand);
    EXPECT_EQ(gate::front_gate_v2(large).domain, gate::Domain::large);
    Phase15::deallocate(large);
}

// A foreign pointer is not read, so no system call need vouch for it.
TEST(Phase15, AForeignPointerIsNotRead) {
    tests::PageAfterNothing page;
    const std::uint64_t before = gate::mincore_probes();
    EXPECT_EQ(gate::front_gate_v2(page.start()).domain, gate::Domain::external);
    EXPECT_EQ(gate::front_gate_v2(page.start() - base::block_alignment).domain,
              gate::Domain::external);
    EXPECT_EQ(gate::mincore_probes(), before);
}

// ---- what the record says must stay dead --------------------------------------------------------

TEST(Phase15, ClassNumberingUltraHotHitsNearlyAlwaysAt16And32Bytes) {
    tests::expect_ultra_hot_hits<Phase15>();
}

TEST(Phase15, SizeGap) { tests::expect_no_size_gap<Phase15>(); }

TEST_F(Phase15Pristine, MetadataRecursion) {
    EXPECT_EXIT(tests::in_child([] { tests::require_no_recursion<Phase15>(); }),
                testing::ExitedWithCode(0), "");
}

// It crashed here, and again in the drain when the guard was in place.
TEST(Phase15, PageAlignedPointers) {
    tests::expect_page_aligned_pointers<Phase15>(gate::front_gate_v2);
}

TEST(Phase15, MincoreOffAnAllocHeaderThatIsNoneIsCountedAndNotFollowed) {
    const std::uint64_t before = gate::overwritten_headers();
    const unsigned overwritten = tests::free_with_overwritten_headers<Phase15>();
    EXPECT_GT(overwritten, 0u);
    EXPECT_EQ(gate::overwritten_headers() - before, overwritten);
}

}  // namespace
