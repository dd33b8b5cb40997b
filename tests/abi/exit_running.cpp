/**
 * @file exit_running.cpp
 * @brief Threads that end in the middle of malloc, because another one called exit.
 *
 * exit runs handlers and destructors while the other threads still allocate, and the kernel then
 * stops them wherever they are. Neither a deadlock nor a crash may come of it. The children are
 * forked, so that hundreds of ends are cheap.
 */
#include <atomic>

#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

std::atomic<int> running{0};

void* allocate_for_ever(void* seed) {
    Random random(reinterpret_cast<std::uintptr_t>(seed));
    Block blocks[32];
    running.fetch_add(1);
    for (;;) {
        Block& block = blocks[random.below(32)];
        block.release();
        block.make(random.size(200 * kib), random.next());
    }
}

[[noreturn]] void child(unsigned microseconds) {
    deadline(30);
    constexpr int threads = 4;
    for (std::uintptr_t i = 0; i < threads; ++i) {
        thread_start(allocate_for_ever, reinterpret_cast<void*>(i));
    }
    while (running.load() < threads) {
        usleep(50);
    }
    usleep(microseconds);
    CHECK_EQ(std::atexit([] { subject_free(subject_malloc(1000)); }), 0);
    std::exit(7);
}

}  // namespace

int main() {
    subject_require();
    Random random(1);
    for (int i = 0; i < 60; ++i) {
        const pid_t pid = fork();
        CHECK_NE(pid, -1);
        if (pid == 0) {
            child(static_cast<unsigned>(random.below(3000)));
        }
        expect_exit(pid, 7);
    }
    return 0;
}
