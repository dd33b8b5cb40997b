/**
 * @file fork_handlers.cpp
 * @brief pthread_atfork handlers that allocate and free.
 *
 * Handlers run in the order of their registration, those of "prepare" in the reverse. One that was
 * registered before the allocator's runs its prepare after it, when the allocator holds all its
 * locks: it must be served all the same, since the thread that forks is the one that holds them.
 * So one set of handlers is registered from .preinit_array, before the constructors of libraries,
 * and one from main. A preloaded HAKMEM registers its own even before the first.
 */
#include <array>
#include <atomic>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

std::array<Block, 48> early;
std::array<Block, 48> late;
std::atomic<int> calls{0};
std::atomic<bool> stop{false};

void exercise(std::array<Block, 48>& blocks, std::uint64_t seed) {
    Random random(seed);
    for (Block& block : blocks) {
        block.release();
        block.make(random.size(50 * kib), random.next());
    }
    void* grown = subject_calloc(1, 100);
    CHECK(grown != nullptr);
    grown = subject_realloc(grown, mib);
    CHECK(grown != nullptr);
    subject_free(grown);
    calls.fetch_add(1);
}

void early_handler() { exercise(early, 1); }
void late_handler() { exercise(late, 2); }

[[maybe_unused]] void register_early(int, char**, char**) {
    CHECK_EQ(pthread_atfork(early_handler, early_handler, early_handler), 0);
}

void* work(void*) {
    Random random(4);
    while (!stop.load(std::memory_order_relaxed)) {
        Block block;
        block.make(random.size(100 * kib), 1);
        block.release();
        sched_yield();
    }
    return nullptr;
}

}  // namespace

#ifndef HAKMEM_TEST_API
[[gnu::section(".preinit_array"), gnu::used]] void (*preinit_entry)(int, char**,
                                                                    char**) = register_early;
#endif

int main() {
    subject_require();
    deadline(120);
    if constexpr (!subject_is_interposed) {
        register_early(0, nullptr, nullptr);
    }
    subject_free(subject_malloc(1));
    CHECK_EQ(pthread_atfork(late_handler, late_handler, late_handler), 0);
    const pthread_t one = thread_start(work);
    const pthread_t two = thread_start(work);
    const int forks = subject_scaled(200);
    for (int i = 0; i < forks; ++i) {
        const pid_t child = fork();
        CHECK_NE(child, -1);
        if (child == 0) {
            deadline(30);
            CHECK_EQ(calls.load(), 4 * (i + 1));
            ::_exit(5);
        }
        expect_exit(child, 5);
    }
    CHECK_EQ(calls.load(), 4 * forks);
    stop.store(true);
    thread_join(one);
    thread_join(two);
    subject_validate();
    return 0;
}
