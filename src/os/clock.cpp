#include "os/clock.hpp"

#include <ctime>

#include <atomic>

namespace hakmem::os {

namespace {

constexpr std::uint64_t milliseconds_per_second = 1000;
constexpr std::uint64_t nanoseconds_per_millisecond = 1000000;

std::uint64_t kernel_clock() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * milliseconds_per_second +
           static_cast<std::uint64_t>(time.tv_nsec) / nanoseconds_per_millisecond;
}

constinit std::atomic<std::uint64_t (*)()> active_clock{kernel_clock};

}  // namespace

std::uint64_t milliseconds() { return active_clock.load(std::memory_order_relaxed)(); }

void set_clock(std::uint64_t (*clock)()) {
    active_clock.store(clock != nullptr ? clock : kernel_clock, std::memory_order_relaxed);
}

void sleep_milliseconds(std::uint64_t milliseconds) {
    const timespec time{
        static_cast<time_t>(milliseconds / milliseconds_per_second),
        static_cast<long>(milliseconds % milliseconds_per_second * nanoseconds_per_millisecond)};
    nanosleep(&time, nullptr);
}

}  // namespace hakmem::os
