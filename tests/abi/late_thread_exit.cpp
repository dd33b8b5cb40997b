/**
 * @file late_thread_exit.cpp
 * @brief Destructors that run while a thread ends, and allocate.
 *
 * C++ thread_local destructors run first, then the destructors of pthread keys, in up to four
 * rounds, in an order nobody promises. The allocator learns of the thread's end by such a
 * destructor too, so the program's may run before it and after it. All must be able to allocate,
 * and to free what earlier ones allocated; and nothing of it may be lost for good.
 */
#include <array>
#include <atomic>
#include <memory>

#include <climits>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

// ThreadSanitizer itself takes leave of a thread in the last round and cannot follow what comes
// after that: there the program, and the allocator, must be done a round before.
constexpr int rounds_in_all = subject_under_tsan ? 3 : PTHREAD_DESTRUCTOR_ITERATIONS;
constexpr int first_allocation_round = subject_under_tsan ? 2 : PTHREAD_DESTRUCTOR_ITERATIONS;
static_assert(PTHREAD_DESTRUCTOR_ITERATIONS == 4);

std::atomic<int> key_rounds{0};
std::atomic<int> local_ends{0};
std::atomic<int> late_rounds{0};
std::array<pthread_key_t, 4> keys;

/** What one thread's keys hold: blocks that each round frees and makes anew. */
struct Luggage {
    int round = 0;
    std::size_t key = 0;
    std::array<Block, 24> blocks;

    void repack() {
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            blocks[i].release();
            blocks[i].make(1 + i * 700 + static_cast<std::size_t>(round) * 13, i);
        }
        // One that is large, and one that is allocated and freed in the same breath.
        void* const large = subject_malloc(300 * kib);
        CHECK(large != nullptr);
        pattern_fill(large, 300 * kib, 1);
        subject_free(large);
        subject_free(subject_calloc(10, 10));
    }
};

void end_of_key(void* value) {
    auto* const luggage = static_cast<Luggage*>(value);
    luggage->repack();
    key_rounds.fetch_add(1, std::memory_order_relaxed);
    if (++luggage->round < rounds_in_all) {
        CHECK_EQ(pthread_setspecific(keys[luggage->key], luggage), 0);
        return;
    }
    for (Block& block : luggage->blocks) {
        block.release();
    }
    subject_free(luggage);
}

struct LocalObject {
    Block block;

    ~LocalObject() {
        block.release();
        Block late;
        late.make(5000, 9);
        late.release();
        void* grown = subject_malloc(10);
        for (std::size_t size = 20; size < 100000; size *= 3) {
            grown = subject_realloc(grown, size);
            CHECK(grown != nullptr);
        }
        subject_free(grown);
        local_ends.fetch_add(1, std::memory_order_relaxed);
    }
};

void* thread_body(void* allocate_first) {
    thread_local LocalObject first;
    thread_local LocalObject second;
    if (allocate_first != nullptr) {
        first.block.make(100, 1);
    }
    for (std::size_t key = 0; key < keys.size(); ++key) {
        void* const memory = subject_malloc(sizeof(Luggage));
        CHECK(memory != nullptr);
        auto* const luggage = new (memory) Luggage;
        luggage->key = key;
        CHECK_EQ(pthread_setspecific(keys[key], luggage), 0);
    }
    second.block.make(70000, 2);
    return nullptr;
}

/** A thread whose only allocations are made by its destructors. */
void* idle_body(void*) {
    thread_local LocalObject object;
    CHECK(object.block.start == nullptr);
    return nullptr;
}

/** Its value is the round; the allocator is first called in the last one, or not before. */
pthread_key_t last_round_key;

void end_of_last_round_key(void* value) {
    const auto round = reinterpret_cast<std::uintptr_t>(value);
    if (round < first_allocation_round) {
        CHECK_EQ(pthread_setspecific(last_round_key, reinterpret_cast<void*>(round + 1)), 0);
        return;
    }
    Block block;
    for (std::size_t size = 1; size < 20000; size *= 3) {
        block.make(size, size);
        block.release();
    }
    late_rounds.fetch_add(1, std::memory_order_relaxed);
}

/** A thread that first allocates when the allocator can no longer be told of its end. */
void* latest_body(void*) {
    CHECK_EQ(pthread_setspecific(last_round_key, reinterpret_cast<void*>(std::uintptr_t{1})), 0);
    return nullptr;
}

void wave(int threads) {
    for (int i = 0; i < threads; ++i) {
        static char yes;
        const pthread_t one = thread_start(thread_body, i % 2 == 0 ? &yes : nullptr);
        const pthread_t two = thread_start(idle_body);
        const pthread_t three = thread_start(latest_body);
        thread_join(one);
        thread_join(two);
        thread_join(three);
    }
}

}  // namespace

int main() {
    subject_require();
    deadline(120);
    // Keys that were made before the allocator's own, and after it: their rounds interleave.
    CHECK_EQ(pthread_key_create(&keys[0], end_of_key), 0);
    CHECK_EQ(pthread_key_create(&keys[1], end_of_key), 0);
    subject_free(subject_malloc(1));
    CHECK_EQ(pthread_key_create(&keys[2], end_of_key), 0);
    CHECK_EQ(pthread_key_create(&keys[3], end_of_key), 0);
    CHECK_EQ(pthread_key_create(&last_round_key, end_of_last_round_key), 0);

    const int threads = subject_scaled(400);
    wave(threads / 5);
    const std::size_t before = trimmed_resident_bytes();
    wave(threads);
    const std::size_t after = trimmed_resident_bytes();
    const int all = threads + threads / 5;
    CHECK_EQ(key_rounds.load(), all * rounds_in_all * static_cast<int>(keys.size()));
    CHECK_EQ(local_ends.load(), 3 * all);
    CHECK_EQ(late_rounds.load(), all);
    check_growth("resident over threads with late destructors", before, after, mib);
    subject_validate();
    return 0;
}
