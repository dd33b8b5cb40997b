#include "os/clock.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <ctime>

namespace {

using namespace hakmem;

std::uint64_t kernel_milliseconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1000 +
           static_cast<std::uint64_t>(time.tv_nsec) / 1000000;
}

TEST(Clock, ItIsTheMonotonicClockInMilliseconds) {
    // The coarse clock lags by at most a tick of the kernel, which is no longer than 10 ms.
    constexpr std::uint64_t tick = 10;
    const std::uint64_t before = kernel_milliseconds(CLOCK_MONOTONIC);
    const std::uint64_t now = os::milliseconds();
    const std::uint64_t after = kernel_milliseconds(CLOCK_MONOTONIC);
    EXPECT_GE(now + tick, before);
    EXPECT_LE(now, after);
}

TEST(Clock, ItNeverGoesBack) {
    std::uint64_t last = os::milliseconds();
    for (int i = 0; i < 100000; i++) {
        const std::uint64_t now = os::milliseconds();
        ASSERT_GE(now, last);
        last = now;
    }
}

std::uint64_t fake_time = 0;

TEST(Clock, AReplacedClockIsAskedEachTimeAndNullRestoresTheKernels) {
    os::set_clock([] { return fake_time; });
    for (const std::uint64_t time : {std::uint64_t{5}, UINT64_MAX, std::uint64_t{0}}) {
        fake_time = time;
        EXPECT_EQ(os::milliseconds(), time);
    }
    os::set_clock(nullptr);
    EXPECT_GE(os::milliseconds() + 1000, kernel_milliseconds(CLOCK_MONOTONIC));
}

TEST(Clock, SleepLastsAtLeastAsLongAsAsked) {
    for (const std::uint64_t wanted : {0u, 1u, 30u}) {
        const std::uint64_t start = kernel_milliseconds(CLOCK_MONOTONIC);
        os::sleep_milliseconds(wanted);
        EXPECT_GE(kernel_milliseconds(CLOCK_MONOTONIC) + 1, start + wanted);
    }
}

TEST(Clock, AnIntervalHasPassedFromItsLastMillisecondOn) {
    EXPECT_FALSE(os::has_passed(109, 100, 10));
    EXPECT_TRUE(os::has_passed(110, 100, 10));
    EXPECT_TRUE(os::has_passed(111, 100, 10));
    EXPECT_TRUE(os::has_passed(100, 100, 0));
    EXPECT_FALSE(os::has_passed(UINT64_MAX, 1, UINT64_MAX));
}

TEST(Clock, AStepBackwardsCountsAsPassed) {
    EXPECT_TRUE(os::has_passed(99, 100, 10));
    EXPECT_TRUE(os::has_passed(0, UINT64_MAX, UINT64_MAX));
}

// Whatever a clock does, waiting ends once it has gone on by the interval since its lowest reading.
RC_GTEST_PROP(Clock, NothingWaitsForEver, (std::uint64_t now, std::uint64_t then)) {
    const std::uint64_t interval = *rc::gen::inRange<std::uint64_t>(0, 3600000);
    RC_PRE(then <= UINT64_MAX - interval);
    const bool passed = os::has_passed(now, then, interval);
    RC_ASSERT(passed == (now < then || now >= then + interval));
}

}  // namespace
