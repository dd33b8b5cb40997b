/**
 * @file thread_churn.cpp
 * @brief 10,000 threads are created and joined, and the process does not grow.
 *
 * Each thread allocates, frees most of it, and leaves some blocks to the main thread, which frees
 * them after the thread has ended. Its heap must be adopted by a later thread, its blocks must
 * find their way back, and nothing may be kept per thread that ever lived.
 */
#include <array>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t at_once = 8;
constexpr std::size_t left_behind = 6;

struct Visit {
    std::uint64_t seed;
    std::array<Block, left_behind> left;
};

void* visit(void* argument) {
    auto* const mine = static_cast<Visit*>(argument);
    Random random(mine->seed);
    std::array<Block, 40> blocks;
    for (Block& block : blocks) {
        block.make(random.size(16 * kib), random.next());
    }
    Block large;
    large.make(100 * kib + random.below(100 * kib), random.next());
    for (Block& block : mine->left) {
        block.make(random.size(8 * kib), random.next());
    }
    for (Block& block : blocks) {
        block.release();
    }
    large.release();
    return nullptr;
}

void churn(int threads) {
    static std::array<Visit, at_once> visits;
    std::array<pthread_t, at_once> running;
    for (int done = 0; done < threads; done += static_cast<int>(at_once)) {
        for (std::size_t i = 0; i < at_once; ++i) {
            visits[i].seed = static_cast<std::uint64_t>(done) + i;
            running[i] = thread_start(visit, &visits[i]);
        }
        for (std::size_t i = 0; i < at_once; ++i) {
            thread_join(running[i]);
            for (Block& block : visits[i].left) {
                block.release();
            }
        }
    }
}

}  // namespace

int main() {
    subject_require();
    deadline(120);
    const int threads = subject_scaled(10000);
    churn(threads / 10);
    const std::size_t before = trimmed_resident_bytes();
    churn(threads);
    const std::size_t after = trimmed_resident_bytes();
    check_growth("resident over 10,000 threads", before, after, mib);
    subject_validate();
    return 0;
}
