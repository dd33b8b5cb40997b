/**
 * @file seccomp.cpp
 * @brief A filter that kills the process for every system call but the documented ones.
 *
 * The list is the contract's: mmap, mprotect, munmap, mremap, madvise and futex. The program itself
 * needs write, exit_group and rt_sigreturn; the part with threads also what the C library needs to
 * start and end them. The clock is read through the vDSO, except where the machine's clock is none
 * that the vDSO can read: there clock_gettime is let through.
 */
#include <array>
#include <cstddef>
#include <cstdlib>
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

/** Whether clock_gettime ends in the vDSO on this machine. */
bool clock_needs_no_call() {
    char name[64];
    const std::size_t length = read_file(
        "/sys/devices/system/clocksource/clocksource0/current_clocksource", name, sizeof name);
    if (length == 0) {
        return false;
    }
    for (const char* const known : {"tsc\n", "kvm-clock\n", "hyperv_clocksource_tsc_page\n"}) {
        if (std::strcmp(name, known) == 0) {
            return true;
        }
    }
    return false;
}

/** The recorded phases whose free probes pages name mincore as well: ABI_PROBES says so. */
long probing_call() {
    return std::getenv("ABI_PROBES") != nullptr ? long{SYS_mincore} : long{SYS_futex};
}

void allow_only(std::initializer_list<long> calls) {
    std::array<sock_filter, 64> program{};
    std::size_t count = 0;
    const auto add = [&](sock_filter step) { program[count++] = step; };
    const auto number_at = static_cast<unsigned>(offsetof(seccomp_data, nr));
    const auto architecture_at = static_cast<unsigned>(offsetof(seccomp_data, arch));
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, architecture_at));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at));
    for (const long call : calls) {
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
        add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    const sock_fprog filter = {static_cast<unsigned short>(count), program.data()};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

/** All that an allocator does: small, mid, large and huge blocks, growing, aligned, zeroed. */
void exercise(std::uint64_t seed) {
    std::array<Block, 400> blocks;
    Random random(seed);
    for (int round = 0; round < 20; ++round) {
        for (Block& block : blocks) {
            if (random.below(2) == 0) {
                block.release();
                const std::size_t size = random.size(random.below(50) == 0 ? 6 * mib : 40 * kib);
                switch (random.below(4)) {
                    case 0:
                        block.adopt(subject_calloc(1, size), size, random.next());
                        break;
                    case 1:
                        block.adopt(
                            subject_aligned_alloc(std::size_t{16} << random.below(12), size), size,
                            random.next());
                        break;
                    case 2:
                        block.adopt(subject_realloc(subject_malloc(100), size), size,
                                    random.next());
                        break;
                    default:
                        block.make(size, random.next());
                }
            }
        }
    }
    void* grown = subject_malloc(100);
    for (std::size_t size = 1000; size < 64 * mib; size *= 2) {
        grown = subject_realloc(grown, size);
        CHECK(grown != nullptr);
    }
    grown = subject_realloc(grown, 3 * mib);
    CHECK(grown != nullptr);
    subject_free(grown);
    for (Block& block : blocks) {
        block.release();
    }
    subject_trim();
    CHECK(subject_malloc(static_cast<std::size_t>(PTRDIFF_MAX)) == nullptr);
    subject_free(subject_malloc(10));
}

void* exercise_in_thread(void* argument) {
    exercise(reinterpret_cast<std::uintptr_t>(argument));
    return nullptr;
}

void one_thread(long clock_call) {
    allow_only({SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex,
                SYS_exit_group, SYS_write, SYS_rt_sigreturn, clock_call, probing_call()});
    exercise(1);
    exercise(2);
}

void four_threads(long clock_call) {
    // With the C library's own calls to make a thread and to end it.
    allow_only({SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex,
                SYS_exit_group, SYS_write, SYS_rt_sigreturn, clock_call, probing_call(), SYS_clone,
                SYS_clone3, SYS_set_robust_list, SYS_rseq, SYS_exit, SYS_rt_sigprocmask,
                SYS_rt_sigaction});
    for (int round = 0; round < 3; ++round) {
        std::array<pthread_t, 4> threads;
        for (std::size_t i = 0; i < threads.size(); ++i) {
            threads[i] = thread_start(exercise_in_thread, reinterpret_cast<void*>(i));
        }
        exercise(9);
        for (const pthread_t thread : threads) {
            thread_join(thread);
        }
    }
}

void run(const char* what, void (*body)(long), bool started_before) {
    check::Line().add(what).put(1);
    const long clock_call = clock_needs_no_call() ? long{SYS_futex} : long{SYS_clock_gettime};
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        // Start-up may do more; it ends with the first allocation at the latest.
        subject_free(subject_malloc(1));
        if (started_before) {
            exercise(0);
        }
        body(clock_call);
        ::_exit(fine);
    }
    expect_exit(child, fine);
}

}  // namespace

int main() {
    subject_require();
    run("one thread, right after the first malloc", one_thread, false);
    run("one thread, after some work", one_thread, true);
    run("four threads, right after the first malloc", four_threads, false);
    run("four threads, after some work", four_threads, true);
    return 0;
}
