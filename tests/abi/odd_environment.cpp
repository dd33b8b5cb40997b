/**
 * @file odd_environment.cpp
 * @brief No descriptors, no working directory, no environment, no arguments, no /proc.
 *
 * Each in a child of its own. Where descriptor 2 is closed and something must be said, it is said
 * to nobody: it must not be said into a file that the program opened meanwhile for another purpose
 * with another number, and it must not stop the program.
 */
#include <array>
#include <cstdlib>

#include <sched.h>
#include <sys/mount.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int fine = 6;

void exercise() {
    std::array<Block, 300> blocks;
    Random random(1);
    for (int round = 0; round < 3; ++round) {
        for (Block& block : blocks) {
            block.release();
            block.make(random.size(300 * kib), random.next());
        }
        subject_trim();
    }
    for (Block& block : blocks) {
        block.release();
    }
    thread_join(thread_start([](void*) -> void* {
        Block block;
        block.make(1000, 1);
        block.release();
        return nullptr;
    }));
}

template <class Body>
void in_child(const char* what, Body body) {
    check::Line().add(what).put(1);
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        deadline(60);
        body();
        ::_exit(fine);
    }
    expect_exit(child, fine);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    if (argc == 0 || std::strcmp(argv[argc - 1], "again") == 0) {
        deadline(60);
        exercise();
        return fine;
    }
    char self[] = "/proc/self/exe";
    char again[] = "again";

    in_child("closed descriptors", [] {
        for (int descriptor = 0; descriptor < 16; ++descriptor) {
            ::close(descriptor);
        }
        exercise();
    });
    in_child("closed descriptors and something to say, from the start", [&] {
        setenv("HAKMEM_TYPO", "1", 1);
        setenv("HAKMEM_DECAY", "banana", 1);
        setenv("HAKMEM_REPORT", "1", 1);
        for (int descriptor = 0; descriptor < 16; ++descriptor) {
            ::close(descriptor);
        }
        execl(self, self, again, nullptr);
    });
    in_child("a full pipe's reader is gone: SIGPIPE ignored, nothing can be written", [&] {
        int ends[2];
        CHECK_EQ(pipe(ends), 0);
        ::close(ends[0]);
        ::signal(SIGPIPE, SIG_IGN);
        dup2(ends[1], 2);
        setenv("HAKMEM_TYPO", "1", 1);
        setenv("HAKMEM_REPORT", "1", 1);
        execl(self, self, again, nullptr);
    });
    in_child("working directory removed", [] {
        char directory[] = "/tmp/hakmem-abi-XXXXXX";
        CHECK(mkdtemp(directory) != nullptr);
        CHECK_EQ(chdir(directory), 0);
        CHECK_EQ(rmdir(directory), 0);
        exercise();
    });
    in_child("environment cleared while running", [] {
        CHECK_EQ(clearenv(), 0);
        exercise();
    });
    in_child("environment replaced by a null pointer", [] {
        environ = nullptr;
        exercise();
    });
    // The preloaded library itself is named by the environment: only a program that has the
    // allocator linked in meets an empty one from its start.
    if (std::getenv("LD_PRELOAD") == nullptr) {
        in_child("no environment from the start", [&] {
            char* const arguments[] = {self, again, nullptr};
            char* const nothing[] = {nullptr};
            execve(self, arguments, nothing);
        });
    }
    in_child("no /proc", [] {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("none", "/proc", "tmpfs", 0, nullptr) != 0) {
            check::Line().add("  not permitted here").put(1);
            return;
        }
        exercise();
    });
    return 0;
}
