/**
 * @file chain.cpp
 * @brief Producer and consumer chains: no stage frees what it allocated itself.
 *
 * Two chains of four stages. The first stage allocates, the middle ones pass on, replace or
 * reallocate, the last one frees. All frees are remote, for as long as the program runs: the
 * worst case for whatever the allocator does with other threads' blocks.
 */
#include <array>
#include <atomic>

#include <sched.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t chains = 2;
constexpr std::size_t links = 3;
constexpr std::size_t ring_blocks = 512;

/** A ring with one writer and one reader. */
class Ring {
public:
    void push(const Block& block) {
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        while (tail - head_.load(std::memory_order_acquire) == ring_blocks) {
            sched_yield();
        }
        slots_[tail % ring_blocks] = block;
        tail_.store(tail + 1, std::memory_order_release);
    }

    Block pop() {
        const std::size_t head = head_.load(std::memory_order_relaxed);
        while (tail_.load(std::memory_order_acquire) == head) {
            sched_yield();
        }
        const Block block = slots_[head % ring_blocks];
        head_.store(head + 1, std::memory_order_release);
        return block;
    }

private:
    std::array<Block, ring_blocks> slots_;
    alignas(64) std::atomic<std::size_t> head_{0};
    alignas(64) std::atomic<std::size_t> tail_{0};
};

std::array<std::array<Ring, links>, chains> rings;
std::uint64_t items;

void* produce(void* argument) {
    const auto chain = reinterpret_cast<std::uintptr_t>(argument);
    Random random(chain);
    for (std::uint64_t i = 0; i < items; ++i) {
        Block block;
        // Mostly small; now and then one that has units of its own.
        block.make(random.size(i % 1000 == 0 ? 300 * kib : 2 * kib), i);
        rings[chain][0].push(block);
    }
    return nullptr;
}

void* pass_on(void* argument) {
    const auto chain = reinterpret_cast<std::uintptr_t>(argument);
    Random random(chain + 10);
    for (std::uint64_t i = 0; i < items; ++i) {
        Block block = rings[chain][0].pop();
        CHECK_EQ(block.seed, i);
        if (i % 3 == 0) {
            Block fresh;
            fresh.make(random.size(kib), i);
            block.release();
            block = fresh;
        }
        rings[chain][1].push(block);
    }
    return nullptr;
}

void* resize(void* argument) {
    const auto chain = reinterpret_cast<std::uintptr_t>(argument);
    for (std::uint64_t i = 0; i < items; ++i) {
        Block block = rings[chain][1].pop();
        if (i % 4 == 0) {
            void* const moved = subject_realloc(block.start, block.bytes * 3 + 1);
            CHECK(moved != nullptr);
            CHECK(pattern_holds(moved, block.bytes, block.seed));
            block.adopt(moved, block.bytes * 3 + 1, i);
        }
        rings[chain][2].push(block);
    }
    return nullptr;
}

void* consume(void* argument) {
    const auto chain = reinterpret_cast<std::uintptr_t>(argument);
    for (std::uint64_t i = 0; i < items; ++i) {
        Block block = rings[chain][2].pop();
        CHECK_EQ(block.seed, i);
        block.release();
    }
    return nullptr;
}

void run(std::uint64_t count) {
    items = count;
    std::array<std::array<pthread_t, 4>, chains> threads;
    for (std::size_t chain = 0; chain < chains; ++chain) {
        void* const argument = reinterpret_cast<void*>(chain);
        threads[chain] = {thread_start(produce, argument), thread_start(pass_on, argument),
                          thread_start(resize, argument), thread_start(consume, argument)};
    }
    for (const auto& chain : threads) {
        for (const pthread_t thread : chain) {
            thread_join(thread);
        }
    }
}

}  // namespace

int main() {
    subject_require();
    deadline(120);
    const auto count = static_cast<std::uint64_t>(subject_scaled(200000));
    run(count / 4);
    const std::size_t before = trimmed_resident_bytes();
    run(count);
    // What is under way is bounded by the rings; what has gone through is not.
    check_growth("resident over two chains, untrimmed", before, subject_resident_bytes(), 32 * mib);
    check_growth("resident over two chains", before, trimmed_resident_bytes(), mib);
    subject_validate();
    return 0;
}
