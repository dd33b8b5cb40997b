// A clock that stands still until it is told to move, backwards too. It starts far from zero, and
// later than any other fake clock of the process has been, so that what earlier tests have left
// behind is in its past.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/clock.hpp"

namespace hakmem::tests {

class FakeClock {
public:
    FakeClock() {
        latest_ += 1'000'000'000;
        time = latest_;
        os::set_clock([] { return time.load(); });
    }
    ~FakeClock() { os::set_clock(nullptr); }
    FakeClock(const FakeClock&) = delete;
    FakeClock& operator=(const FakeClock&) = delete;

    static inline std::atomic<std::uint64_t> time{0};

private:
    static inline std::uint64_t latest_ = std::uint64_t{1} << 40;
};

}  // namespace hakmem::tests
