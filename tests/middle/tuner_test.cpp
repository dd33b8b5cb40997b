#include "middle/tuner.hpp"

#include <gtest/gtest.h>

namespace {

using hakmem::middle::FrontTuner;
using hakmem::middle::MagazineTuner;

// ---- magazines ----------------------------------------------------------------------------------

TEST(Tuner, AProgramThatOnlyAllocatesGrowsAtEveryFourthRefill) {
    MagazineTuner tuner{};
    for (unsigned i = 1; i <= 20; i++) EXPECT_EQ(tuner.refilled(), i % 4 == 0) << i;
    EXPECT_EQ(tuner.refills, 20u);
}

TEST(Tuner, AWorkingSetThatSwingsGrowsAtEachTurn) {
    MagazineTuner tuner{};
    tuner.refilled();
    for (unsigned i = 0; i < 10; i++) {
        EXPECT_TRUE(tuner.flushed().grow);
        EXPECT_TRUE(tuner.refilled());
    }
}

TEST(Tuner, OnlyTheFirstFlushInARowGrowsAndTheLaterOnesGiveAllBack) {
    MagazineTuner tuner{};
    for (unsigned i = 1; i <= 10; i++) {
        const MagazineTuner::Flush decided = tuner.flushed();
        EXPECT_EQ(decided.grow, i == 1) << i;
        EXPECT_EQ(decided.empty, i > MagazineTuner::flushes_before_emptying) << i;
    }
    EXPECT_EQ(tuner.flushes, 10u);
    tuner.refilled();
    EXPECT_FALSE(tuner.flushed().empty);
}

TEST(Tuner, AMagazineIsIdleWhenNothingHappenedSinceTheLastTick) {
    MagazineTuner tuner{};
    EXPECT_TRUE(tuner.idle());
    tuner.refilled();
    EXPECT_FALSE(tuner.idle());
    EXPECT_TRUE(tuner.idle());
    tuner.flushed();
    EXPECT_FALSE(tuner.idle());
    EXPECT_TRUE(tuner.idle());
}

// ---- fronts -------------------------------------------------------------------------------------

constexpr std::uint64_t window = FrontTuner::window_misses;

TEST(Tuner, AWindowEndsWithEachSoManyMisses) {
    unsigned ends = 0;
    for (std::uint64_t misses = 1; misses <= 10 * window; misses++) {
        if (FrontTuner::ends_window(misses)) ends++;
    }
    EXPECT_EQ(ends, 10u);
    EXPECT_FALSE(FrontTuner::ends_window(1));
}

TEST(Tuner, AFrontRestsWhenItMissedMoreThanItHit) {
    FrontTuner tuner{};
    std::uint64_t hits = 0;
    tuner.window_ended(hits += window);
    EXPECT_FALSE(tuner.rests);
    tuner.window_ended(hits += 100 * window);
    EXPECT_FALSE(tuner.rests);
    // What counts is this window, not the past.
    tuner.window_ended(hits += window - 1);
    EXPECT_TRUE(tuner.rests);
}

TEST(Tuner, AFrontAtRestIsTriedAgainAfterSoManyRefills) {
    FrontTuner tuner{};
    for (unsigned round = 0; round < 3; round++) {
        tuner.window_ended(0);
        for (unsigned i = 1; i <= FrontTuner::refills_at_rest; i++) {
            EXPECT_TRUE(tuner.rests) << i;
            tuner.refilled();
        }
        EXPECT_FALSE(tuner.rests);
    }
}

TEST(Tuner, RefillsChangeNothingForAFrontThatIsAsked) {
    FrontTuner tuner{};
    for (unsigned i = 0; i < 1000; i++) tuner.refilled();
    tuner.window_ended(0);
    tuner.refilled();
    EXPECT_TRUE(tuner.rests);
}

}  // namespace
