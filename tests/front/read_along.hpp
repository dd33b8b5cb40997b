// An owner that works while another thread reads along, for the boxes that allow it. What is wrong
// with it ThreadSanitizer sees; what may be expected of what is read, the test says.
#pragma once

#include <atomic>
#include <thread>

namespace hakmem::tests {

/**
 * Both go on until each has done its share, so that they do meet.
 * @param work A step of the owner.
 * @param read A look by the other thread.
 */
template <typename Work, typename Read>
void read_along(Work work, Read read) {
    constexpr unsigned share = 5'000;
    std::atomic<unsigned> steps{0};
    std::atomic<unsigned> looks{0};
    const auto both_are_through = [&] {
        return steps.load(std::memory_order_relaxed) >= share &&
               looks.load(std::memory_order_relaxed) >= share;
    };
    const auto go_on = [&](std::atomic<unsigned>& mine, auto step) {
        while (!both_are_through()) {
            step();
            mine.fetch_add(1, std::memory_order_relaxed);
        }
    };
    std::thread reader([&] { go_on(looks, read); });
    go_on(steps, work);
    reader.join();
}

}  // namespace hakmem::tests
