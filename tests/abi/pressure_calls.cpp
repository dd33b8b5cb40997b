/**
 * @file pressure_calls.cpp
 * @brief From some moment on a call fails, for good: mmap, mprotect, munmap, mremap, madvise.
 *
 * A seccomp filter makes the kernel answer with an error instead of killing. When mmap or mprotect
 * fails, callers see NULL with ENOMEM. When munmap, mremap or madvise fails (as they do when a
 * process has too many mappings), callers see nothing: memory is not given back, and that is all.
 */
#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int fine = 6;

void fail_from_now(std::initializer_list<long> calls, int error) {
    std::array<sock_filter, 16> program{};
    std::size_t count = 0;
    program[count++] =
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offsetof(seccomp_data, nr)));
    for (const long call : calls) {
        program[count++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1);
        program[count++] = BPF_STMT(
            BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA));
    }
    program[count++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const sock_fprog filter = {static_cast<unsigned short>(count), program.data()};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

std::array<Block, 3000> blocks;

/** Random work; where `may_fail`, NULL with ENOMEM is an answer. How often it was is the result. */
int work(std::uint64_t seed, int steps, bool may_fail) {
    Random random(seed);
    int refused = 0;
    for (int i = 0; i < steps; ++i) {
        Block& block = blocks[random.below(blocks.size())];
        const std::size_t size = random.size(random.below(100) == 0 ? 6 * mib : 20 * kib);
        errno = 0;
        if (block.start != nullptr && random.below(4) == 0) {
            void* const moved = subject_realloc(block.start, size);
            if (moved != nullptr) {
                CHECK(pattern_holds(moved, std::min(size, block.bytes) / 8 * 8, block.seed));
                block.adopt(moved, size, block.seed);
                continue;
            }
        } else {
            block.release();
            const std::uint64_t pattern = random.next();
            void* const made =
                random.below(3) == 0 ? subject_calloc(size, 1) : subject_malloc(size);
            if (made != nullptr) {
                block.adopt(made, size, pattern);
                continue;
            }
        }
        CHECK_EQ(errno, ENOMEM);
        CHECK(may_fail);
        refused++;
        block.verify();
    }
    return refused;
}

void release_all() {
    for (Block& block : blocks) {
        errno = 12345;
        block.release();
        CHECK_EQ(errno, 12345);
    }
}

struct Case {
    const char* name;
    std::initializer_list<long> calls;
    int error;
    bool may_fail;
};

void run(const Case& scene, std::uint64_t seed) {
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        deadline(60);
        const int before = static_cast<int>(seed * seed * 40);
        work(seed, before, false);
        fail_from_now(scene.calls, scene.error);
        const int refused = work(seed + 100, 10000, scene.may_fail);
        // Where nothing was at hand before.
        CHECK(!scene.may_fail || before > 0 || refused > 0);
        const bool maps =
            std::find(scene.calls.begin(), scene.calls.end(), SYS_mmap) == scene.calls.end();
        if (!maps && subject_is_hakmem()) {
            // Others may still have brk, which reports failure in a way of its own.
            errno = 0;
            CHECK(subject_malloc(gib) == nullptr);
            CHECK_EQ(errno, ENOMEM);
        }
        subject_trim();
        release_all();
        subject_trim();
        // What was freed serves again, without the call that fails.
        Block block;
        for (int i = 0; i < 1000; ++i) {
            if (!scene.may_fail || before > 0) {
                block.make(100, 1);
                block.release();
            }
        }
        subject_validate();
        ::_exit(fine);
    }
    expect_exit(child, fine);
}

}  // namespace

int main() {
    subject_require();
    const std::array<Case, 8> cases = {{
        {"mmap: ENOMEM", {SYS_mmap}, ENOMEM, true},
        {"mmap and mremap: EAGAIN", {SYS_mmap, SYS_mremap}, EAGAIN, true},
        {"mprotect: ENOMEM", {SYS_mprotect}, ENOMEM, true},
        {"munmap: ENOMEM", {SYS_munmap}, ENOMEM, false},
        {"mremap: ENOMEM", {SYS_mremap}, ENOMEM, false},
        {"madvise: EINVAL", {SYS_madvise}, EINVAL, false},
        {"munmap, mremap and madvise: ENOMEM",
         {SYS_munmap, SYS_mremap, SYS_madvise},
         ENOMEM,
         false},
        {"all five: ENOMEM",
         {SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_madvise},
         ENOMEM,
         true},
    }};
    for (const Case& scene : cases) {
        check::Line().add(scene.name).put(1);
        for (std::uint64_t seed = 0; seed < 8; ++seed) {
            run(scene, seed);
        }
    }
    return 0;
}
