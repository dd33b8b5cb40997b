/**
 * @file report_fork.cpp
 * @brief A process with many threads forks while reports are asked for; see report_fork_test.py.
 *
 * fork takes the locks of all heaps, and a report takes them too. With `interrupted` SIGUSR2
 * arrives at the thread that forks, which may be half way through the locks. With `beside` it
 * arrives at another thread: the child has the memory of a process that is writing a report, and
 * nobody who writes it. Each child allocates, then ends as programs do.
 */
#include <array>
#include <atomic>
#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t heaps = 150;
constexpr int child_status = 3;

pthread_barrier_t barrier;
pthread_t signalled;
std::atomic<int> forks{0};
std::atomic<bool> stop{false};

/** A heap more: one lock more for fork to take, and more for a report to tell. */
void* idle(void*) {
    subject_free(subject_malloc(24));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return nullptr;
}

/**
 * Sends a signal a fork, early or late in it. More of them, and a thread that is interrupted would
 * get to nothing else.
 */
void* send_signals(void*) {
    Random random(3);
    int seen = -1;
    while (!stop.load()) {
        if (forks.load() == seen) {
            usleep(20);
            continue;
        }
        seen = forks.load();
        for (std::size_t i = random.below(20000); i > 0; --i) {
            __builtin_ia32_pause();
        }
        CHECK_EQ(pthread_kill(signalled, SIGUSR2), 0);
    }
    return nullptr;
}

[[noreturn]] void child() {
    deadline(20);
    for (std::size_t size = 16; size < mib; size *= 2) {
        subject_free(subject_malloc(size));
    }
    std::exit(child_status);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    deadline(60);
    CHECK_EQ(argc, 3);
    const bool beside = std::strcmp(argv[1], "beside") == 0;
    const int rounds = std::atoi(argv[2]);
    CHECK(beside || std::strcmp(argv[1], "interrupted") == 0);
    // Everybody who waits at the barrier: the threads, and this one.
    CHECK_EQ(pthread_barrier_init(&barrier, nullptr, heaps + 1), 0);
    std::array<pthread_t, heaps> threads;
    for (pthread_t& thread : threads) {
        thread = thread_start(idle);
    }
    pthread_barrier_wait(&barrier);
    signalled = beside ? threads[0] : pthread_self();
    const pthread_t sender = thread_start(send_signals);
    for (int i = 0; i < rounds; ++i) {
        forks.fetch_add(1);
        if (beside) {
            usleep(static_cast<useconds_t>(i % 10 * 100));
        }
        const pid_t pid = fork();
        CHECK_NE(pid, -1);
        if (pid == 0) {
            child();
        }
        expect_exit(pid, child_status);
    }
    stop.store(true);
    thread_join(sender);
    pthread_barrier_wait(&barrier);
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    check::Line().value(forks.load()).add(" forks").put(1);
    return 0;
}
