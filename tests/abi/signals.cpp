/**
 * @file signals.cpp
 * @brief Signals at a thousand a second into threads that allocate.
 *
 * The handler writes a flag and nothing else. Whatever instruction of malloc or free it interrupts,
 * and whatever system call of theirs it makes return early, no block may be harmed.
 */
#include <array>
#include <atomic>

#include <sys/time.h>
#include <time.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t workers = 4;
constexpr int ticks = 1500;

std::atomic<bool> stop{false};
std::atomic<int> arrived{0};
std::array<std::atomic<Block*>, 64> exchange;

void handler(int) { arrived.fetch_add(1, std::memory_order_relaxed); }

void* work(void* argument) {
    Random random(reinterpret_cast<std::uintptr_t>(argument));
    std::array<Block, 64> blocks;
    while (!stop.load(std::memory_order_relaxed)) {
        Block& block = blocks[random.below(blocks.size())];
        block.release();
        block.make(random.size(random.below(100) == 0 ? 500 * kib : 4 * kib), random.next());
        if (random.below(4) == 0) {
            // Frees by other threads, interrupted as well.
            void* const memory = subject_malloc(sizeof(Block));
            CHECK(memory != nullptr);
            auto* const given = new (memory) Block;
            given->make(random.size(kib), random.next());
            Block* const taken =
                exchange[random.below(exchange.size())].exchange(given, std::memory_order_acq_rel);
            if (taken != nullptr) {
                taken->release();
                subject_free(taken);
            }
        }
    }
    for (Block& block : blocks) {
        block.release();
    }
    return nullptr;
}

}  // namespace

int main() {
    subject_require();
    struct sigaction action = {};
    action.sa_handler = handler;  // without SA_RESTART: calls are interrupted for good
    CHECK_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    CHECK_EQ(sigaction(SIGPROF, &action, nullptr), 0);

    std::array<pthread_t, workers> threads;
    for (std::size_t i = 0; i < workers; ++i) {
        threads[i] = thread_start(work, reinterpret_cast<void*>(i));
    }
    // The kernel's own timer, to whichever thread runs, beside the aimed ones.
    const itimerval interval = {{0, 1000}, {0, 1000}};
    CHECK_EQ(setitimer(ITIMER_PROF, &interval, nullptr), 0);
    int sent = 0;
    for (int i = 0; i < ticks; ++i) {
        const timespec millisecond = {0, 1000000};
        nanosleep(&millisecond, nullptr);
        for (const pthread_t thread : threads) {
            CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
            ++sent;
        }
    }
    const itimerval off = {};
    CHECK_EQ(setitimer(ITIMER_PROF, &off, nullptr), 0);
    stop.store(true);
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    for (auto& slot : exchange) {
        Block* const left = slot.load();
        if (left != nullptr) {
            left->release();
            subject_free(left);
        }
    }
    check::Line().value(sent).add(" signals sent, ").value(arrived.load()).add(" arrived").put(1);
    // Signals that are pending already merge: on a busy machine most do.
    CHECK_LE(ticks / 4, arrived.load());
    subject_validate();
    return 0;
}
