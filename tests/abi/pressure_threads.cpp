/**
 * @file pressure_threads.cpp
 * @brief Threads that begin to allocate when there is no memory for a heap of their own.
 *
 * They are created before memory runs out, and wait. Their first operation then meets exhaustion:
 * malloc says NULL, free must free nevertheless. When memory is back they must all have a heap.
 */
#include <array>
#include <atomic>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t threads = 12;
constexpr std::size_t table_blocks = 400000;

Block table[table_blocks];
std::size_t used = 0;
pthread_barrier_t barrier;
std::atomic<std::size_t> refusals{0};

/** Allocates what can be had; every failure must be an honest one. */
void try_all(Random& random, std::array<Block, 64>& own) {
    for (Block& block : own) {
        block.release();
        const std::size_t size = random.size(200 * kib);
        if (!block.try_make(size, random.next())) {
            refusals.fetch_add(1);
        }
    }
}

void* body(void* argument) {
    const auto self = reinterpret_cast<std::uintptr_t>(argument);
    Random random(self);
    std::array<Block, 64> own;
    pthread_barrier_wait(&barrier);  // exhausted
    if (self % 2 == 0) {
        // The very first operation of this thread is to free others' blocks.
        for (std::size_t i = self; i < used; i += 4 * threads) {
            table[i].release();
        }
    }
    try_all(random, own);
    try_all(random, own);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);  // memory is back
    for (Block& block : own) {
        block.release();
        block.make(random.size(200 * kib), random.next());
    }
    for (Block& block : own) {
        block.release();
    }
    return nullptr;
}

void round(std::uint64_t seed) {
    Random random(seed);
    CHECK_EQ(pthread_barrier_init(&barrier, nullptr, threads + 1), 0);
    std::array<pthread_t, threads> running;
    for (std::size_t i = 0; i < threads; ++i) {
        running[i] = thread_start(body, reinterpret_cast<void*>(i));
    }
    limit_address_space(mib * random.below(16));
    for (const std::size_t largest : {2 * mib, 20 * kib, std::size_t{500}, std::size_t{16}}) {
        for (std::size_t refused = 0; refused < 20 && used < table_blocks;) {
            const std::size_t size = largest - random.below(largest / 2);
            if (table[used].try_make(size, random.next())) {
                ++used;
            } else {
                ++refused;
            }
        }
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    lift_address_space_limit();
    pthread_barrier_wait(&barrier);
    for (const pthread_t thread : running) {
        thread_join(thread);
    }
    while (used > 0) {
        table[--used].release();
    }
    CHECK_EQ(pthread_barrier_destroy(&barrier), 0);
    subject_trim();
    subject_validate();
}

}  // namespace

int main() {
    subject_require();
    deadline(120);
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        round(seed);
    }
    check::Line().value(refusals.load()).add(" refusals in threads").put(1);
    return 0;
}
