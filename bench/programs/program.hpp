// What the programs share: a meter, a generator of random numbers that costs less than the calls
// it decides about and, by shared/frame.hpp, arguments and the line of JSON at the end.
//
// The programs call plain malloc and free. Which allocator serves them is decided outside, by
// LD_PRELOAD, so that one binary times every library, and what differs is the allocator alone.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "shared/frame.hpp"

namespace programs {

/** Ends the program when memory or a thread cannot be had: there is nothing left to time. */
[[noreturn]] inline void give_up(const char* problem) {
    std::fprintf(stderr, "failed: %s\n", problem);
    std::_Exit(1);
}

/** malloc whose block the compiler must believe to be used. */
inline char* allocate(std::size_t bytes) {
    auto* const block = static_cast<char*>(std::malloc(bytes));
    if (block == nullptr) give_up("malloc returned null");
    asm volatile("" : : "r"(block) : "memory");
    return block;
}

/** A random number generator of three shifts: the same sequence everywhere. */
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 1) {}

    /** A number below the bound, of which each is equally likely up to 1 in 2^32 / bound. */
    std::uint32_t below(std::uint32_t bound) {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 7U;
        state_ ^= state_ << 17U;
        return static_cast<std::uint32_t>(((state_ >> 32U) * bound) >> 32U);
    }

    /** A number from low to high, both included. */
    std::uint32_t between(std::uint32_t low, std::uint32_t high) {
        return low + below(high - low + 1);
    }

private:
    std::uint64_t state_;
};

/** Clocks and faults of the process, or of its ended children, between two moments. */
class Meter {
public:
    explicit Meter(int who = RUSAGE_SELF) : who_(who) { start(); }

    void start() {
        getrusage(who_, &before_);
        begin_ = std::chrono::steady_clock::now();
    }

    /** What was used since the start. */
    [[nodiscard]] Usage stop() const {
        const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin_;
        rusage after{};
        getrusage(who_, &after);
        return {wall.count(),
                seconds(after.ru_utime) - seconds(before_.ru_utime),
                seconds(after.ru_stime) - seconds(before_.ru_stime),
                after.ru_minflt - before_.ru_minflt,
                after.ru_majflt - before_.ru_majflt,
                who_ == RUSAGE_SELF ? status_kib("VmHWM:") : after.ru_maxrss};
    }

    /** A line of /proc/self/status. The peak of getrusage would be that of the parent before exec,
     * where that is higher. */
    [[nodiscard]] static long status_kib(const std::string& name) {
        std::ifstream status("/proc/self/status");
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with(name)) return std::atol(line.c_str() + name.size());
        }
        return 0;
    }

private:
    static double seconds(const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    }

    int who_;
    rusage before_{};
    std::chrono::steady_clock::time_point begin_;
};

}  // namespace programs
