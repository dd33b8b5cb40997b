/**
 * @file one_cpu.cpp
 * @brief Sixteen threads on one CPU.
 *
 * A lock whose holder is not running must be slept on: spinning would burn the holder's time slice.
 * The test is one of time, and generous; a live-lock would take minutes.
 */
#include <array>

#include <sched.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t threads = 16;
std::array<std::array<Block, 200>, threads> all;
pthread_barrier_t barrier;
int rounds;

void* body(void* argument) {
    const auto self = reinterpret_cast<std::uintptr_t>(argument);
    Random random(self);
    for (int round = 0; round < rounds; ++round) {
        for (Block& block : all[self]) {
            block.make(random.size(random.below(20) == 0 ? 200 * kib : kib), random.next());
        }
        pthread_barrier_wait(&barrier);
        for (Block& block : all[(self + 1) % threads]) {
            block.release();
        }
        pthread_barrier_wait(&barrier);
    }
    return nullptr;
}

}  // namespace

int main() {
    subject_require();
    deadline(60);
    rounds = subject_scaled(40);
    cpu_set_t allowed;
    CHECK_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    std::size_t cpu = 0;
    while (!CPU_ISSET(cpu, &allowed)) {
        ++cpu;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(pthread_barrier_init(&barrier, nullptr, threads), 0);
    std::array<pthread_t, threads> running;
    for (std::size_t i = 0; i < threads; ++i) {
        running[i] = thread_start(body, reinterpret_cast<void*>(i));
    }
    for (const pthread_t thread : running) {
        thread_join(thread);
    }
    subject_validate();
    return 0;
}
