/**
 * @file fork_threads.cpp
 * @brief fork in a process whose other threads allocate.
 *
 * The child has one thread, and a copy of every lock, magazine and half-done operation of the
 * others. It must find all locks free, the blocks of all threads intact, and be able to free
 * them; it forks again, starts threads, trims, and exits. Forks come from the main thread and
 * from another one, for which the main thread is one of those that no longer exist in the child.
 * The argument is the number of forks.
 */
#include <sched.h>
#include <array>
#include <atomic>
#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t workers = 4;
constexpr int child_status = 7;

std::array<Block, 600> shared;
std::atomic<bool> stop{false};
std::atomic<std::size_t> started{0};

/** Work for once, and then until it is told to stop. */
void* work(void* argument) {
    started.fetch_add(1);
    Random random(reinterpret_cast<std::uintptr_t>(argument));
    std::array<Block, 64> blocks;
    do {
        for (int i = 0; i < 200; ++i) {
            Block& block = blocks[random.below(blocks.size())];
            block.release();
            // Now and then a size that goes to the shared layers, where the locks are. Of such a
            // block the first bytes are used, for a fork shall find threads allocating.
            const std::size_t size = random.size(i % 20 == 0 ? 600 * kib : 2 * kib);
            block.adopt(subject_malloc(size), std::min(size, 2 * kib), random.next());
        }
        usleep(200);
    } while (!stop.load(std::memory_order_relaxed));
    for (Block& block : blocks) {
        block.release();
    }
    return nullptr;
}

/** What the parent's blocks must survive in every generation. */
void use_shared(std::uint64_t seed) {
    Random random(seed);
    for (std::size_t i = 0; i < shared.size(); ++i) {
        Block& block = shared[i];
        block.verify();
        if (i % 3 == 0) {
            block.release();
            block.make(random.size(20 * kib), random.next());
        } else if (i % 3 == 1) {
            void* const moved = subject_realloc(block.start, block.bytes + 333);
            CHECK(moved != nullptr);
            CHECK(pattern_holds(moved, block.bytes / 8 * 8, block.seed));
            block.adopt(moved, block.bytes + 333, random.next());
        }
    }
}

void free_shared() {
    for (Block& block : shared) {
        block.release();
    }
}

[[noreturn]] void grandchild(std::uint64_t seed) {
    deadline(60);
    use_shared(seed + 1);
    free_shared();
    ::_exit(child_status);
}

[[noreturn]] void child(std::uint64_t seed) {
    deadline(60);
    use_shared(seed);
    std::array<Block, 500> own;
    Random random(seed);
    for (Block& block : own) {
        block.make(random.size(30 * kib), random.next());
    }
    const pid_t next = fork();
    CHECK_NE(next, -1);
    if (next == 0) {
        grandchild(seed);
    }
    if (!subject_under_tsan && seed % 4 == 0) {
        // The heaps of the parent's threads are adopted by threads of the child, which work once.
        stop.store(true);
        std::array<pthread_t, 2 * workers> threads;
        for (std::size_t i = 0; i < threads.size(); ++i) {
            threads[i] = thread_start(work, reinterpret_cast<void*>(i));
        }
        for (const pthread_t thread : threads) {
            thread_join(thread);
        }
    }
    free_shared();
    for (Block& block : own) {
        block.release();
    }
    if (seed % 8 == 1) {
        subject_trim();
        subject_validate();
    }
    expect_exit(next, child_status);
    ::_exit(child_status);
}

void fork_once(std::uint64_t seed) {
    const pid_t pid = fork();
    CHECK_NE(pid, -1);
    if (pid == 0) {
        child(seed);
    }
    use_shared(seed + 2);
    expect_exit(pid, child_status);
}

void* fork_in_thread(void* argument) {
    fork_once(reinterpret_cast<std::uintptr_t>(argument));
    return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    deadline(120);
    const int rounds = argc > 1 ? std::atoi(argv[1]) : subject_scaled(60);
    CHECK(rounds > 0);
    Random random(1);
    for (Block& block : shared) {
        block.make(random.size(20 * kib), random.next());
    }
    std::array<pthread_t, workers> threads;
    for (std::size_t i = 0; i < workers; ++i) {
        threads[i] = thread_start(work, reinterpret_cast<void*>(i));
    }
    if constexpr (!subject_is_interposed) {
        // AddressSanitizer allocates for a thread that starts, and its allocator does not know
        // fork: a lock that is held there in this instant is held in the child for ever.
        while (started.load() < workers) {
            sched_yield();
        }
    }
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(rounds); ++i) {
        if (i % 2 == 0) {
            fork_once(i);
        } else {
            thread_join(thread_start(fork_in_thread, reinterpret_cast<void*>(i - 1)));
        }
    }
    stop.store(true);
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    free_shared();
    subject_validate();
    return 0;
}
