#include "back/purge.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "back/large.hpp"
#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/superslab.hpp"
#include "os/environment.hpp"
#include "os/virtual_memory.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/fake_clock.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
namespace large = back::large;
namespace pool = back::shared_pool;
namespace purge = back::purge;
using UnitRun = back::Run;  // gtest has a Run of its own
using base::Units;
using os::Options;
using tests::ChangedOption;
using tests::FakeClock;
using tests::FaultInjection;

constexpr std::uint64_t decay = 500;  // the default
constexpr std::uint64_t slices_max = 1000;

// A run whose memory is in use, so that it is dirty once it is given back.
UnitRun soiled_run(unsigned count = 1) {
    const UnitRun run = pool::take(Units{count}, 1, pool::Growth::allowed);
    for (unsigned u = 0; u < count; u++) run.start()[u * base::unit_bytes] = 1;
    return run;
}

bool is_recent(const UnitRun& run) { return (run.superslab->recent & run.bits()) == run.bits(); }
bool is_old(const UnitRun& run) { return (run.superslab->old & run.bits()) == run.bits(); }
bool is_clean(const UnitRun& run) {
    return ((run.superslab->recent | run.superslab->old) & run.bits()) == 0;
}

std::uint64_t purged_bytes() { return os::memory_counters().purged_bytes; }

// Does a sweep to its end, at the present time. Returns whether one was due.
bool sweep_by_ticks() {
    if (!purge::tick(FakeClock::time)) return false;
    // Nothing tells that a sweep is over but that the next one is not due; a slice is a slice of
    // superslabs.
    for (std::uint32_t i = 0; i < pool::superslab_count(); i++) purge::tick(FakeClock::time);
    return true;
}

class Purge : public testing::Test {
protected:
    // Ends the sweep that another test may have left under way, and one more, so that the interval
    // starts now.
    Purge() {
        FakeClock::time += 10 * decay;
        for (std::uint32_t i = 0; i < 2 * pool::superslab_count() + 2; i++) {
            purge::tick(FakeClock::time);
        }
        EXPECT_FALSE(purge::tick(FakeClock::time));
        purge::all();
    }
    FakeClock clock_;
};

// ---- generations --------------------------------------------------------------------------------

TEST_F(Purge, AFreeUnitIsPurgedBetweenHalfADecayTimeAndAWholeOneAfterItsFree) {
    for (const std::uint64_t freed_at : {1u, 100u, 249u}) {
        const UnitRun run = soiled_run();
        FakeClock::time += freed_at;
        pool::give_back(run);
        const std::uint64_t freed = FakeClock::time;
        while (!is_clean(run)) {
            FakeClock::time += 1;
            purge::tick(FakeClock::time);
            for (std::uint32_t i = 0; i < pool::superslab_count() / 16; i++) {
                purge::tick(FakeClock::time);
            }
            ASSERT_LE(FakeClock::time, freed + decay);
        }
        EXPECT_GE(FakeClock::time, freed + decay / 2);
        EXPECT_EQ(run.start()[0], 0);
    }
}

TEST_F(Purge, NothingHappensBeforeHalfADecayTimeHasPassed) {
    const UnitRun run = soiled_run();
    pool::give_back(run);
    const std::uint64_t purged = purged_bytes();
    FakeClock::time += decay / 2 - 1;
    for (int i = 0; i < 100; i++) EXPECT_FALSE(purge::tick(FakeClock::time));
    EXPECT_TRUE(is_recent(run));
    EXPECT_EQ(purged_bytes(), purged);
    FakeClock::time += 1;
    EXPECT_TRUE(sweep_by_ticks());
    EXPECT_TRUE(is_old(run));
}

TEST_F(Purge, OneTickOfEachSweepSaysThatItBegins) {
    for (int sweep = 0; sweep < 5; sweep++) {
        FakeClock::time += decay / 2;
        int begun = 0;
        for (std::uint64_t i = 0; i < slices_max; i++)
            begun += purge::tick(FakeClock::time) ? 1 : 0;
        EXPECT_EQ(begun, 1);
    }
}

TEST_F(Purge, ATickDoesOneSliceOfSixteenSuperslabs) {
    // Forty superslabs more, each with a dirty unit.
    std::vector<UnitRun> whole;
    for (int i = 0; i < 40; i++) whole.push_back(soiled_run(64));
    for (const UnitRun& run : whole) pool::give_back(run);
    FakeClock::time += decay / 2;
    const auto aged = [&whole] {
        std::size_t sum = 0;
        for (const UnitRun& run : whole) sum += is_recent(run) ? 0u : 1u;
        return sum;
    };
    std::size_t before = 0;
    std::uint32_t ticks = 0;
    while (before < whole.size()) {
        purge::tick(FakeClock::time);
        const std::size_t now = aged();
        EXPECT_LE(now - before, 16u);
        before = now;
        ASSERT_LE(++ticks, pool::superslab_count());
    }
    EXPECT_GE(ticks, 3u);
    purge::all();
}

TEST_F(Purge, CachedMappingsGoAfterAWholeDecayTime) {
    bool zero = false;
    const void* const block = large::allocate(3 * base::mebibyte, 16, zero);
    large::release(*back::page_map::slab_of(block));
    FakeClock::time += decay / 2;
    sweep_by_ticks();
    EXPECT_EQ(back::page_map::entry_of(block).class_id(), base::ClassId::free);
    FakeClock::time += decay / 2;
    sweep_by_ticks();
    EXPECT_EQ(back::page_map::entry_of(block).class_id(), base::ClassId::external);
}

// ---- the decay option ---------------------------------------------------------------------------

TEST_F(Purge, WithoutDecayASweepPurgesWhatWasFreedJustNow) {
    const ChangedOption option(&Options::decay, 0);
    const UnitRun run = soiled_run();
    pool::give_back(run);
    // Sweeps follow each other without a pause, a slice a tick.
    for (std::uint32_t i = 0; i <= 2 * (pool::superslab_count() / 16 + 1); i++) {
        purge::tick(FakeClock::time);
    }
    EXPECT_TRUE(is_clean(run));
    EXPECT_EQ(run.start()[0], 0);
}

TEST_F(Purge, ALongDecayKeepsMemory) {
    const ChangedOption option(&Options::decay, 3600000);
    const UnitRun run = soiled_run();
    pool::give_back(run);
    FakeClock::time += 1799999;
    EXPECT_FALSE(sweep_by_ticks());
    EXPECT_TRUE(is_recent(run));
}

// ---- clocks that jump ---------------------------------------------------------------------------

TEST_F(Purge, AClockThatGoesBackNeitherStopsTheSweepsNorMakesThemSpin) {
    const UnitRun run = soiled_run();
    pool::give_back(run);
    FakeClock::time -= 100000000;
    // One sweep, since nobody knows how much time has passed; then the interval counts from here.
    EXPECT_TRUE(sweep_by_ticks());
    for (std::uint64_t i = 0; i < slices_max; i++) EXPECT_FALSE(purge::tick(FakeClock::time));
    FakeClock::time += decay / 2;
    EXPECT_TRUE(sweep_by_ticks());
    EXPECT_TRUE(is_clean(run));
}

TEST_F(Purge, AClockThatLeapsAheadMakesOneSweep) {
    const UnitRun run = soiled_run();
    pool::give_back(run);
    FakeClock::time += 100000000;
    EXPECT_TRUE(sweep_by_ticks());
    EXPECT_FALSE(sweep_by_ticks());
    EXPECT_TRUE(is_old(run));
}

// A thread may be held up between reading the clock and the tick.
TEST_F(Purge, ATickWithAnOldTimeDoesNotSweepTwice) {
    const UnitRun run = soiled_run();
    pool::give_back(run);
    const std::uint64_t read_before = FakeClock::time;
    FakeClock::time += decay / 2;
    EXPECT_TRUE(sweep_by_ticks());
    EXPECT_TRUE(is_old(run));
    for (std::uint64_t i = 0; i < slices_max; i++) EXPECT_FALSE(purge::tick(read_before));
    EXPECT_TRUE(is_old(run));
    // Nor does it move the time of the next sweep.
    FakeClock::time += decay / 2 - 1;
    EXPECT_FALSE(purge::tick(FakeClock::time));
    FakeClock::time += 1;
    EXPECT_TRUE(sweep_by_ticks());
    EXPECT_TRUE(is_clean(run));
}

// ---- all at once, and for the thread ------------------------------------------------------------

TEST_F(Purge, AllWaitsForNothing) {
    const UnitRun run = soiled_run();
    const UnitRun older = soiled_run();
    pool::give_back(older);
    FakeClock::time += decay / 2;
    sweep_by_ticks();
    pool::give_back(run);
    bool zero = false;
    const void* const block = large::allocate(3 * base::mebibyte, 16, zero);
    large::release(*back::page_map::slab_of(block));
    const std::size_t purged = purge::all();
    EXPECT_GE(purged, 2 * base::unit_bytes + 3 * base::mebibyte);
    EXPECT_TRUE(is_clean(run));
    EXPECT_TRUE(is_clean(older));
    EXPECT_EQ(back::page_map::entry_of(block).class_id(), base::ClassId::external);
    EXPECT_EQ(purge::all(), 0u);
}

TEST_F(Purge, TheThreadsSweepIsAWholeOneAndOnlyIfDue) {
    std::vector<UnitRun> whole;
    for (int i = 0; i < 40; i++) whole.push_back(soiled_run(64));
    for (const UnitRun& run : whole) pool::give_back(run);
    purge::sweep();
    for (const UnitRun& run : whole) EXPECT_TRUE(is_recent(run));
    FakeClock::time += decay / 2;
    purge::sweep();
    for (const UnitRun& run : whole) EXPECT_TRUE(is_old(run));
    purge::sweep();
    for (const UnitRun& run : whole) EXPECT_TRUE(is_old(run));
    FakeClock::time += decay / 2;
    purge::sweep();
    for (const UnitRun& run : whole) EXPECT_TRUE(is_clean(run));
}

TEST_F(Purge, WhatTheKernelRefusesIsOfferedAgain) {
    const UnitRun run = soiled_run();
    pool::give_back(run);
    {
        FaultInjection faults({.calls = FaultInjection::advise});
        EXPECT_EQ(purge::all(), 0u);
        FakeClock::time += decay;
        sweep_by_ticks();
        EXPECT_FALSE(is_clean(run));
        EXPECT_GT(FaultInjection::failed(), 0u);
    }
    FakeClock::time += decay;
    sweep_by_ticks();
    FakeClock::time += decay;
    sweep_by_ticks();
    EXPECT_TRUE(is_clean(run));
}

// ---- threads ------------------------------------------------------------------------------------

TEST_F(Purge, AThreadThatFindsAnotherOneSweepingLeavesItToThatOne) {
    FakeClock::time += decay / 2;
    purge::fork_lock().lock();
    bool began = true;
    std::thread([&began] { began = purge::tick(FakeClock::time); }).join();  // it does not wait
    EXPECT_FALSE(began);
    purge::fork_lock().unlock();
    EXPECT_TRUE(sweep_by_ticks());
}

TEST_F(Purge, ThreadsThatTickFreeAndTakeLoseNothing) {
    std::atomic<bool> going{true};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; t++) {
        threads.emplace_back([&going, t] {
            for (unsigned i = t; going; i++) {
                const UnitRun run = pool::take(Units{1 + i % 5}, 1, pool::Growth::allowed);
                ASSERT_NE(run.superslab, nullptr);
                for (std::size_t at = 0; run.zero && at < run.count.bytes(); at += 4096) {
                    ASSERT_EQ(run.start()[at], 0);
                }
                for (std::size_t at = 0; at < run.count.bytes(); at += 4096) run.start()[at] = 1;
                pool::give_back(run);
                purge::tick(FakeClock::time);
            }
        });
    }
    for (int i = 0; i < 300; i++) {
        FakeClock::time += decay / 4;
        std::this_thread::yield();
        if (i % 50 == 0) purge::all();
    }
    going = false;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(pool::validate(), nullptr);
    purge::all();
    for (std::uint32_t i = 0; i < pool::superslab_count(); i++) {
        EXPECT_EQ(pool::superslab_at(i).recent | pool::superslab_at(i).old, 0u);
    }
}

}  // namespace
