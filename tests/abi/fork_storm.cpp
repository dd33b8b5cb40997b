/**
 * @file fork_storm.cpp
 * @brief Thousands of forks under load, several children at a time.
 *
 * A child that is forked at an unlucky instant deadlocks or finds half an operation; how rare that
 * is, only numbers show. The argument is the number of forks.
 */
#include <array>
#include <atomic>
#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t children_at_once = 4;
std::atomic<bool> stop{false};
std::array<Block, 64> parents;

void* work(void* argument) {
    Random random(reinterpret_cast<std::uintptr_t>(argument));
    std::array<Block, 32> blocks;
    while (!stop.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 100; ++i) {
            Block& block = blocks[random.below(blocks.size())];
            block.release();
            // Of a large block the first bytes are used: a fork shall find threads allocating.
            const std::size_t size = random.size(i % 10 == 0 ? 100 * kib : kib);
            block.adopt(subject_malloc(size), std::min(size, kib), random.next());
        }
        usleep(50);
    }
    for (Block& block : blocks) {
        block.release();
    }
    return nullptr;
}

[[noreturn]] void child(std::uint64_t seed) {
    deadline(60);
    Random random(seed);
    for (Block& block : parents) {
        block.release();
        block.make(random.size(8 * kib), seed);
    }
    for (Block& block : parents) {
        block.release();
    }
    ::_exit(3);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    const int forks = argc > 1 ? std::atoi(argv[1]) : subject_scaled(2000);
    CHECK(forks > 0);
    Random random(2);
    for (Block& block : parents) {
        block.make(random.size(8 * kib), random.next());
    }
    std::array<pthread_t, 2> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
        threads[i] = thread_start(work, reinterpret_cast<void*>(i));
    }
    std::array<pid_t, children_at_once> children{};
    for (int i = 0; i < forks; ++i) {
        pid_t& slot = children[static_cast<std::size_t>(i) % children_at_once];
        if (slot != 0) {
            expect_exit(slot, 3);
        }
        slot = fork();
        CHECK_NE(slot, -1);
        if (slot == 0) {
            child(static_cast<std::uint64_t>(i));
        }
    }
    for (const pid_t pid : children) {
        if (pid != 0) {
            expect_exit(pid, 3);
        }
    }
    stop.store(true);
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    for (Block& block : parents) {
        block.release();
    }
    check::Line().value(forks).add(" forks").put(1);
    return 0;
}
