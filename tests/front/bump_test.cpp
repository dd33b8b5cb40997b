#include "front/bump.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/tiny_class.hpp"
#include "tests/front/read_along.hpp"

namespace {

using namespace hakmem;
using front::Bump;

constexpr std::size_t stride = 32;
// Two runs that nobody touches: a run is addresses.
std::array<char, Bump::blocks_max * 1024 * 2> memory;

std::vector<void*> left_in(const Bump& bump, std::size_t block_bytes) {
    std::vector<void*> left;
    bump.for_each(block_bytes, [&](void* b) { left.push_back(b); });
    return left;
}

TEST(Bump, AllZeroIsAnEmptyOne) {
    Bump bump{};
    EXPECT_EQ(bump.validate(), nullptr);
    EXPECT_TRUE(left_in(bump, stride).empty());
    for (int i = 0; i < 3; i++) EXPECT_EQ(bump.take(stride), nullptr);
}

TEST(Bump, BlocksComeOneAfterTheOther) {
    Bump bump{};
    bump.refill(memory.data(), stride, 4);
    for (unsigned i = 0; i < 4; i++) EXPECT_EQ(bump.take(stride), memory.data() + i * stride);
    for (int i = 0; i < 3; i++) EXPECT_EQ(bump.take(stride), nullptr);
}

TEST(Bump, ARunMayBeFollowedByOneThatLiesLower) {
    Bump bump{};
    char* const upper = memory.data() + 4096;
    bump.refill(upper, stride, 1);
    EXPECT_EQ(bump.take(stride), upper);
    EXPECT_EQ(bump.take(stride), nullptr);
    bump.refill(memory.data(), stride, 1);
    EXPECT_EQ(bump.validate(), nullptr);
    EXPECT_EQ(bump.take(stride), memory.data());
    EXPECT_EQ(bump.take(stride), nullptr);
}

RC_GTEST_PROP(Bump, ItNeverExceedsItsRun, ()) {
    const std::size_t block_bytes = base::stride_of(*rc::gen::inRange(1u, 8u));
    Bump bump{};
    for (const auto blocks :
         *rc::gen::container<std::vector<unsigned>>(rc::gen::inRange(0u, Bump::blocks_max + 1))) {
        bump.refill(memory.data(), block_bytes, blocks);
        for (unsigned i = 0; i < blocks; i++) {
            RC_ASSERT(left_in(bump, block_bytes).size() == blocks - i);
            void* const expected = memory.data() + i * block_bytes;
            RC_ASSERT((bump.take(block_bytes) == expected));
            RC_ASSERT(bump.validate() == nullptr);
        }
        for (int i = 0; i < 3; i++) RC_ASSERT((bump.take(block_bytes) == nullptr));
        RC_ASSERT(left_in(bump, block_bytes).empty());
        RC_ASSERT((bump.next.load() == bump.end.load()));
    }
}

TEST(Bump, WhoSeesTheEndsOfTwoRunsVisitsNoMoreThanOneRunHas) {
    Bump bump{};
    bump.next = memory.data();
    bump.end = memory.data() + memory.size();
    EXPECT_EQ(left_in(bump, stride).size(), Bump::blocks_max);
}

TEST(Bump, WhoSeesTheEndOfTheFirstRunBeforeItsStartVisitsNothing) {
    Bump bump{};
    bump.end = memory.data() + memory.size();
    EXPECT_TRUE(left_in(bump, stride).empty());
}

TEST(Bump, AnotherThreadMayReadAlong) {
    Bump bump{};
    char* const upper = memory.data() + memory.size() / 2;
    unsigned runs = 0;
    const auto work = [&] {
        if (bump.take(stride) != nullptr) return;
        runs++;
        bump.refill(runs % 2 == 0 ? memory.data() : upper, stride, 1 + runs % Bump::blocks_max);
    };
    const auto read = [&] {
        const std::vector<void*> left = left_in(bump, stride);
        EXPECT_LE(left.size(), Bump::blocks_max);
        for (void* const b : left) {
            EXPECT_TRUE(b >= memory.data() && b < memory.data() + memory.size());
        }
    };
    tests::read_along(work, read);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(Bump, I1_ANextBehindTheEndIsNoticed) {
    Bump bump{};
    bump.refill(memory.data(), stride, 2);
    EXPECT_EQ(bump.validate(), nullptr);
    bump.next = bump.end.load();
    EXPECT_EQ(bump.validate(), nullptr);
    bump.next = bump.end.load() + 1;
    EXPECT_STREQ(bump.validate(), "bump I1");
}

}  // namespace
