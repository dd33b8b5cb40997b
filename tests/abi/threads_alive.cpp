/**
 * @file threads_alive.cpp
 * @brief 1,000 threads are alive at once, each with blocks of its own.
 *
 * Half of the blocks are freed by the thread that made them, half by its neighbour. A second
 * wave of 1,000 threads must find the heaps of the first and need no more memory than it did.
 */
#include <array>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t threads_max = 1000;
constexpr std::size_t blocks_each = 20;
constexpr std::size_t threads = static_cast<std::size_t>(subject_scaled(threads_max));

std::array<std::array<Block, blocks_each>, threads> all;
pthread_barrier_t barrier;

void* body(void* argument) {
    const auto self = reinterpret_cast<std::uintptr_t>(argument);
    Random random(self);
    for (Block& block : all[self]) {
        block.make(random.size(4 * kib), random.next());
    }
    pthread_barrier_wait(&barrier);
    auto& next = all[(self + 1) % threads];
    for (std::size_t i = 0; i < blocks_each; i += 2) {
        all[self][i].release();
        next[i + 1].release();
    }
    pthread_barrier_wait(&barrier);
    return nullptr;
}

void wave() {
    static std::array<pthread_t, threads> running;
    pthread_attr_t attributes;
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, 256 * kib), 0);
    CHECK_EQ(pthread_barrier_init(&barrier, nullptr, threads), 0);
    for (std::size_t i = 0; i < threads; ++i) {
        running[i] = thread_start(body, reinterpret_cast<void*>(i), &attributes);
    }
    for (const pthread_t thread : running) {
        thread_join(thread);
    }
    CHECK_EQ(pthread_barrier_destroy(&barrier), 0);
    CHECK_EQ(pthread_attr_destroy(&attributes), 0);
    subject_trim();
}

}  // namespace

int main() {
    subject_require();
    deadline(120);
    const std::size_t start = subject_resident_bytes();
    wave();
    const std::size_t first = subject_resident_bytes();
    // 1,000 heaps and the C library's cached stacks: at most 32 KiB a thread may stay.
    check_growth("resident after the first 1,000 threads", start, first, threads * 32 * kib + mib);
    wave();
    const std::size_t second = subject_resident_bytes();
    check_growth("resident after the second 1,000 threads", first, second, mib);
    subject_validate();
    return 0;
}
