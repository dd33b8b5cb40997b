/**
 * @file adoption.cpp
 * @brief Blocks are freed after the thread that made them has ended.
 *
 * The heap of an ended thread waits for another thread. Blocks that are freed meanwhile, and by
 * threads that end themselves at once, must not be lost: round after round the same memory has to
 * do. Lost bits would show as growth, bits that are merged twice as a block given out twice.
 */
#include <array>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t count = 1600;

std::array<Block, count> blocks;
std::uint64_t round_seed;

void* make_all(void*) {
    Random random(round_seed);
    for (Block& block : blocks) {
        block.make(random.size(8 * kib), random.next());
    }
    return nullptr;
}

void* free_even(void*) {
    for (std::size_t i = 0; i < count; i += 2) {
        blocks[i].release();
    }
    return nullptr;
}

void* free_rest(void*) {
    for (Block& block : blocks) {
        block.release();
    }
    return nullptr;
}

void* free_shuffled(void*) {
    Random random(round_seed + 1);
    for (std::size_t i = 0; i < 2 * count; ++i) {
        blocks[random.below(count)].release();
    }
    return nullptr;
}

void in_thread(void* (*body)(void*)) { thread_join(thread_start(body)); }

void round(std::uint64_t seed) {
    round_seed = seed;
    in_thread(make_all);
    switch (seed % 4) {
        case 0:  // One short-lived thread frees all.
            in_thread(free_rest);
            break;
        case 1:  // Half by a thread that ends, half by one that lives on.
            in_thread(free_even);
            free_rest(nullptr);
            break;
        case 2:  // Two that end, in an order of their own.
            in_thread(free_shuffled);
            in_thread(free_rest);
            break;
        default: {  // Both at the same time.
            const pthread_t even = thread_start(free_even);
            thread_join(thread_start([](void*) -> void* {
                for (std::size_t i = 1; i < count; i += 2) {
                    blocks[i].release();
                }
                return nullptr;
            }));
            thread_join(even);
        }
    }
}

}  // namespace

int main() {
    subject_require();
    deadline(120);
    const auto rounds = static_cast<std::uint64_t>(subject_scaled(400));
    for (std::uint64_t i = 0; i < rounds / 5; ++i) {
        round(i);
    }
    const std::size_t before = trimmed_resident_bytes();
    for (std::uint64_t i = 0; i < rounds; ++i) {
        round(i);
    }
    const std::size_t after = trimmed_resident_bytes();
    check_growth("resident over rounds of ended owners", before, after, mib);
    subject_validate();
    return 0;
}
