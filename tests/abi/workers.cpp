/**
 * @file workers.cpp
 * @brief The library of fork_workers.cpp: before a fork it waits until its workers have ended.
 *
 * Numeric libraries do so, since their threads are not in the child. The library is linked to the
 * program, so its constructor runs before that of a library which is merely preloaded.
 */
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace {

std::vector<std::thread> workers;
std::atomic<bool> stop{false};
std::mutex order;  // under which workers allocate, and which the handlers take

void work(unsigned seed) {
    std::vector<void*> blocks(200, nullptr);
    for (unsigned step = seed; !stop.load(); step++) {
        const std::lock_guard<std::mutex> guard(order);
        void*& block = blocks[step % blocks.size()];
        std::free(block);
        block = std::malloc(step * 7919 % 40000);
    }
    for (void* const block : blocks) {
        std::free(block);
    }
}

void start_workers() {
    stop = false;
    for (unsigned seed = 0; seed < 3; ++seed) {
        workers.emplace_back(work, seed);
    }
}

void before_fork() {
    {
        const std::lock_guard<std::mutex> guard(order);
        stop = true;
    }
    for (std::thread& worker : workers) {
        worker.join();
    }
    workers.clear();
}

[[gnu::constructor]] void register_handlers() {
    pthread_atfork(before_fork, start_workers, nullptr);
}

}  // namespace

/** Starts them for the first time. */
[[gnu::visibility("default")]] void workers_start() { start_workers(); }

/** Ends them. */
[[gnu::visibility("default")]] void workers_end() { before_fork(); }
