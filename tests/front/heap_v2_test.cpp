#include "front/heap_v2.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/tiny_class.hpp"
#include "front/small_mag.hpp"
#include "tests/front/read_along.hpp"

namespace {

using namespace hakmem;
using front::HeapV2;

// Addresses that nobody may touch: the front has no business with what lies there.
void* block(std::uintptr_t i) { return reinterpret_cast<void*>(16 * i); }

std::vector<void*> held_by(const HeapV2& heap) {
    std::vector<void*> held;
    for (const auto& magazine : heap.magazines) {
        magazine.for_each([&](void* b) { held.push_back(b); });
    }
    return held;
}

TEST(HeapV2, AllZeroIsAnEmptyOne) {
    HeapV2 heap{};
    EXPECT_EQ(heap.validate(), nullptr);
    EXPECT_TRUE(held_by(heap).empty());
    for (unsigned k = 0; k < HeapV2::class_count; k++) EXPECT_EQ(heap.allocate(k), nullptr);
}

TEST(HeapV2, EachClassHasSixteenPlacesOfItsOwn) {
    HeapV2 heap{};
    for (unsigned k = 0; k < HeapV2::class_count; k++) {
        for (unsigned i = 0; i < 16; i++) EXPECT_TRUE(heap.release(k, block(100 * k + i + 1)));
        EXPECT_FALSE(heap.release(k, block(99)));
        EXPECT_EQ(heap.counts[k].frees, 16u);
    }
    EXPECT_EQ(held_by(heap).size(), 64u);
    EXPECT_EQ(heap.validate(), nullptr);
    for (unsigned k = 0; k < HeapV2::class_count; k++) {
        for (unsigned i = 16; i-- > 0;) EXPECT_EQ(heap.allocate(k), block(100 * k + i + 1));
        EXPECT_EQ(heap.allocate(k), nullptr);
        EXPECT_EQ(heap.counts[k].asked(), 17u);
        EXPECT_EQ(heap.counts[k].hits, 16u);
    }
}

TEST(HeapV2, TheMaskSaysWhichOfTheFourClassesTakePart) {
    for (std::uint64_t mask = 0; mask < 64; mask++) {
        for (unsigned k = 0; k < base::recorded_class_count; k++) {
            const bool expected = k < 4 && (mask & std::uint64_t{1} << k) != 0;
            EXPECT_EQ(HeapV2::takes(k, mask), expected) << "C" << k << ", mask " << mask;
        }
    }
}

// Phase 13-A: nothing on the free path filled it.
TEST(HeapV2, WithoutASupplyFromFreeEveryCallCountsAndNoneHits) {
    HeapV2 heap{};
    for (unsigned i = 0; i < 1000; i++) EXPECT_EQ(heap.allocate(2), nullptr);
    EXPECT_EQ(heap.counts[2].asked(), 1000u);
    EXPECT_EQ(heap.counts[2].hits, 0u);
}

TEST(HeapV2, SuppliedFromFreeEveryCallHits) {
    HeapV2 heap{};
    heap.release(2, block(1));
    for (unsigned i = 0; i < 1000; i++) heap.release(2, heap.allocate(2));
    EXPECT_EQ(heap.counts[2].hits, heap.counts[2].asked());
}

// ---- leftover against stealing ------------------------------------------------------------------

// The front and an older one, in one of the two orders. That order is the whole difference between
// the modes: the box knows of neither.
struct Free {
    static constexpr std::uint32_t older_capacity = 3;
    bool stealing;
    HeapV2 heap{};
    front::SmallMag<older_capacity> older{};

    // Whether one of them took it.
    bool operator()(void* freed) {
        return stealing ? heap.release(2, freed) || older.push(freed)
                        : older.push(freed) || heap.release(2, freed);
    }
};

TEST(HeapV2, StealingTakesTheFreedBlockFirst) {
    Free free{true};
    EXPECT_TRUE(free(block(1)));
    EXPECT_EQ(held_by(free.heap), std::vector<void*>{block(1)});
    EXPECT_EQ(free.older.pop(), nullptr);
    // The block freed last, which is the warmest one, is the next that is given.
    EXPECT_TRUE(free(block(2)));
    EXPECT_EQ(free.heap.allocate(2), block(2));
}

TEST(HeapV2, LeftoverGetsWhatTheOlderFrontHasNoRoomFor) {
    Free free{false};
    for (unsigned i = 1; i <= Free::older_capacity; i++) {
        EXPECT_TRUE(free(block(i)));
        EXPECT_TRUE(held_by(free.heap).empty());
    }
    EXPECT_EQ(free.heap.counts[2].frees, 0u);
    EXPECT_TRUE(free(block(9)));
    EXPECT_EQ(held_by(free.heap), std::vector<void*>{block(9)});
    EXPECT_EQ(free.heap.counts[2].frees, 1u);
}

RC_GTEST_PROP(HeapV2, BothModesHoldAsMuchAndShareItInTheOrderOfCalls, ()) {
    const auto frees = *rc::gen::inRange(0u, 30u);
    for (const bool stealing : {true, false}) {
        Free free{stealing};
        unsigned taken = 0;
        for (unsigned i = 1; i <= frees; i++) taken += free(block(i)) ? 1u : 0u;
        const unsigned all = std::min(frees, HeapV2::capacity + Free::older_capacity);
        const unsigned here =
            stealing ? std::min(all, HeapV2::capacity) : all - std::min(all, Free::older_capacity);
        RC_ASSERT(taken == all);
        RC_ASSERT(held_by(free.heap).size() == here);
        RC_ASSERT(free.heap.counts[2].frees == here);
    }
}

// ---- reports ------------------------------------------------------------------------------------

TEST(HeapV2, AnotherThreadMayReadAlong) {
    HeapV2 heap{};
    std::uintptr_t next = 0;
    const auto work = [&] {
        for (unsigned i = 0; i < 40; i++, next++) heap.release(next % 4, block(1 + next % 100));
        for (unsigned i = 0; i < next % 50; i++) heap.allocate(i % 4);
    };
    const auto read = [&] {
        const std::vector<void*> held = held_by(heap);
        EXPECT_LE(held.size(), HeapV2::class_count * HeapV2::capacity);
        for (void* const b : held) EXPECT_TRUE(b >= block(1) && b <= block(100));
        // What has been counted stays counted.
        const std::uint64_t hits = heap.counts[1].hits.load(std::memory_order_relaxed);
        EXPECT_GE(heap.counts[1].hits.load(std::memory_order_relaxed), hits);
        EXPECT_EQ(heap.validate(), nullptr);
    };
    tests::read_along(work, read);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(HeapV2, I1_AMagazineAboveItsCapacityIsNoticedInEveryClass) {
    HeapV2 heap{};
    for (auto& magazine : heap.magazines) {
        magazine.top = HeapV2::capacity;
        EXPECT_EQ(heap.validate(), nullptr);
        magazine.top = HeapV2::capacity + 1;
        EXPECT_STREQ(heap.validate(), "heap_v2 I1");
        magazine.top = 0;
    }
    EXPECT_EQ(heap.validate(), nullptr);
}

}  // namespace
