/**
 * @file spawn.cpp
 * @brief vfork, posix_spawn, popen, system and exec, while other threads allocate.
 *
 * A vfork child runs in its parent's memory until it calls exec: an allocator that notices the
 * other process id there, and "re-arms" itself, destroys the parent's heap.
 */
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include <spawn.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

extern char** environ;

namespace {

std::atomic<bool> stop{false};

void* work(void* argument) {
    Random random(reinterpret_cast<std::uintptr_t>(argument));
    std::array<Block, 64> blocks;
    while (!stop.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 100; ++i) {
            Block& block = blocks[random.below(blocks.size())];
            block.release();
            block.make(random.size(i % 10 == 0 ? 200 * kib : kib), random.next());
        }
        usleep(100);
    }
    for (Block& block : blocks) {
        block.release();
    }
    return nullptr;
}

/** The program as its own child: allocates a little and says so by its status. */
int be_child() {
    std::array<Block, 100> blocks;
    Random random(1);
    for (Block& block : blocks) {
        block.make(random.size(100 * kib), random.next());
    }
    for (Block& block : blocks) {
        block.release();
    }
    return 21;
}

char self[] = "/proc/self/exe";
char child_word[] = "child";

[[gnu::noinline]] pid_t by_vfork() {
    char* const arguments[] = {self, child_word, nullptr};
    const pid_t child = vfork();
    if (child == 0) {
        execv(self, arguments);
        ::_exit(1);
    }
    return child;
}

pid_t by_spawn() {
    char* const arguments[] = {self, child_word, nullptr};
    pid_t child = -1;
    CHECK_EQ(posix_spawn(&child, self, nullptr, nullptr, arguments, environ), 0);
    return child;
}

pid_t by_fork() {
    char* const arguments[] = {self, child_word, nullptr};
    const pid_t child = fork();
    if (child == 0) {
        execv(self, arguments);
        ::_exit(1);
    }
    return child;
}

void* spawn_in_thread(void*) {
    expect_exit(by_spawn(), 21);
    expect_exit(by_vfork(), 21);
    return nullptr;
}

}  // namespace

int main(int argc, char**) {
    subject_require();
    if (argc > 1) {
        return be_child();
    }
    deadline(120);
    std::array<Block, 200> kept;
    Random random(9);
    for (Block& block : kept) {
        block.make(random.size(10 * kib), random.next());
    }
    const std::array<pthread_t, 2> threads = {thread_start(work, nullptr),
                                              thread_start(work, &stop)};
    for (int i = 0; i < 20; ++i) {
        expect_exit(by_vfork(), 21);
        expect_exit(by_spawn(), 21);
        expect_exit(by_fork(), 21);
        thread_join(thread_start(spawn_in_thread));
        CHECK_EQ(std::system("exit 3"), 3 << 8);
        std::FILE* const pipe = popen("echo popen", "r");
        CHECK(pipe != nullptr);
        char line[32] = {};
        CHECK(std::fgets(line, sizeof line, pipe) != nullptr);
        CHECK(std::strcmp(line, "popen\n") == 0);
        CHECK_EQ(pclose(pipe), 0);
        for (Block& block : kept) {
            block.release();
            block.make(random.size(10 * kib), random.next());
        }
    }
    stop.store(true);
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    for (Block& block : kept) {
        block.release();
    }
    subject_validate();
    return 0;
}
