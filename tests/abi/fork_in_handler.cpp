/**
 * @file fork_in_handler.cpp
 * @brief A signal handler that forks, whatever it has interrupted.
 *
 * POSIX up to its edition of 2017 lists fork among the functions that a handler may call. It may
 * have interrupted a thread that holds a lock of the allocator, and must not wait for it. Without
 * other threads the child may return from the handler: it goes on with what was interrupted, and
 * allocates as before. With other threads it may only end, or become another program.
 */
#include <array>
#include <atomic>

#include <sys/time.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int child_status = 5;
constexpr int forks_wanted = 100;

std::atomic<bool> child_ends{false};
std::atomic<bool> is_child{false};
std::atomic<bool> stop{false};
std::atomic<int> forks{0};

void set_timer(suseconds_t microseconds) {
    const itimerval interval = {{0, microseconds}, {0, microseconds}};
    CHECK_EQ(setitimer(ITIMER_PROF, &interval, nullptr), 0);
}

void fork_here(int) {
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child != 0) {
        expect_exit(child, child_status);
        forks.fetch_add(1);
        return;
    }
    deadline(20);  // timers are not inherited
    if (child_ends) {
        ::_exit(child_status);
    }
    is_child = true;
}

/** Goes through every layer that has a lock, and keeps to those most of the time. */
void use(Random& random, int rounds) {
    std::array<Block, 32> blocks;
    for (int i = 0; i < rounds; ++i) {
        Block& block = blocks[random.below(blocks.size())];
        block.release();
        block.make(random.size(random.below(3) == 0 ? 3 * mib : 64 * kib), random.next());
        if (random.below(8) == 0) {
            subject_trim();
        }
    }
    for (Block& block : blocks) {
        block.release();
    }
}

void* use_in_thread(void*) {
    Random random(2);
    while (!stop) {
        use(random, 100);
    }
    return nullptr;
}

void use_until_forked() {
    Random random(1);
    set_timer(1000);
    for (const int enough = forks + forks_wanted; forks < enough;) {
        use(random, 20);
        if (is_child) {
            use(random, 100);
            subject_validate();
            ::_exit(child_status);
        }
    }
    set_timer(0);
}

}  // namespace

int main() {
    subject_require();
    deadline(100);
    struct sigaction action = {};
    action.sa_handler = fork_here;
    action.sa_flags = SA_RESTART;
    CHECK_EQ(sigaction(SIGPROF, &action, nullptr), 0);
    use_until_forked();

    child_ends = true;
    const pthread_t one = thread_start(use_in_thread);
    const pthread_t two = thread_start(use_in_thread);
    use_until_forked();
    stop = true;
    thread_join(one);
    thread_join(two);
    subject_validate();
    return 0;
}
