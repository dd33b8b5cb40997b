/**
 * @file fork_anywhere.cpp
 * @brief A signal handler that forks behind any instruction of malloc and free.
 *
 * With the processor's trap flag set each instruction ends in SIGTRAP, and the handler forks at
 * some of them. The child returns from it, ends what was interrupted, and must then have a heap as
 * good as its parent's: threads that begin in it get blocks that nobody else has.
 *
 * The library of C++ allocates at start-up, before the allocator has heard of fork. So this program
 * is linked without it, and its first block is among what is stepped through.
 */
#include <array>

#include <ucontext.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int child_status = 5;
constexpr greg_t trap_flag = 0x100;

bool is_child = false;
unsigned long instructions = 0;
unsigned long stride = 1;
unsigned long thinning = 1;
unsigned long forks = 0;

void on_trap(int, siginfo_t*, void* context) {
    if (++instructions % stride != 0) {
        return;
    }
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        deadline(20);
        is_child = true;
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
        return;
    }
    expect_exit(child, child_status);
    ++forks;
}

// Below the stack pointer a function may keep something, hence the 128 bytes.
void begin_stepping() {
    asm volatile("subq $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\taddq $128, %%rsp" ::
                     : "cc", "memory");
}

void end_stepping() {
    asm volatile(
        "subq $128, %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\taddq $128, %%rsp" ::
            : "cc", "memory");
}

using Blocks = std::array<Block, 300>;

void allocate(Blocks& blocks, std::uint64_t seed) {
    for (Block& block : blocks) {
        block.make(40, ++seed);
    }
}

void release(Blocks& blocks) {
    for (Block& block : blocks) {
        block.release();
    }
}

Blocks of_one;
Blocks of_other;
Blocks of_main;

/** Blocks that two threads have would not hold what the first one has written. */
[[noreturn]] void end_child() {
    const auto allocate_in_thread = [](void* blocks) -> void* {
        allocate(*static_cast<Blocks*>(blocks), reinterpret_cast<std::uintptr_t>(blocks));
        return nullptr;
    };
    const pthread_t one = thread_start(allocate_in_thread, &of_one);
    const pthread_t other = thread_start(allocate_in_thread, &of_other);
    allocate(of_main, 1);
    thread_join(one);
    thread_join(other);
    release(of_one);
    release(of_other);
    release(of_main);
    subject_validate();
    ::_exit(child_status);
}

/** From here on it forks behind each `every`-th instruction, or more seldom. */
void begin_forking(unsigned long every) {
    instructions = 0;
    forks = 0;
    stride = every * thinning;
    begin_stepping();
}

void end_forking(const char* what) {
    end_stepping();
    if (is_child) {
        end_child();
    }
    check::Line()
        .add(what)
        .add(": ")
        .value(instructions)
        .add(" instructions, ")
        .value(forks)
        .add(" forks")
        .put(1);
    CHECK_LE(1, forks);
}

template <class Action>
void step_through(const char* what, unsigned long every, Action action) {
    begin_forking(every);
    action();
    end_forking(what);
}

void* volatile block;

void step_through_sizes(const char* what, unsigned long every) {
    step_through(what, every, [] {
        for (const std::size_t size : {std::size_t{40}, 3 * kib, 20 * kib, 100 * kib, 3 * mib}) {
            block = subject_malloc(size);
            block = subject_realloc(block, 2 * size);
            subject_free(block);
        }
    });
}

// Where a thread ends its clean-up comes first. Then the destructors of keys run in the order in
// which the keys were made: that by which the allocator takes the thread's heap, and one after it.
pthread_key_t after_heap_is_taken;

void step_through_end(void*) { begin_forking(61); }

void without_heap(void*) {
    end_forking("a heap is handed on");
    step_through_sizes("without a heap", 397);
    ::_exit(0);
}

}  // namespace

// The argument is a factor: so much more seldom it forks.
int main(int argc, char** argv) {
    subject_require();
    deadline(100);
    if (argc == 2) {
        thinning = std::strtoul(argv[1], nullptr, 10);
    }
    struct sigaction action = {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    CHECK_EQ(sigaction(SIGTRAP, &action, nullptr), 0);
    step_through("the first block", 61, [] { block = subject_malloc(40); });
    CHECK_LE(5000, instructions);  // a heap was made
    subject_free(block);
    step_through_sizes("all sizes", 397);
    CHECK_EQ(pthread_key_create(&after_heap_is_taken, without_heap), 0);
    CHECK_EQ(pthread_setspecific(after_heap_is_taken, &after_heap_is_taken), 0);
    pthread_cleanup_push(step_through_end, nullptr);
    pthread_exit(nullptr);
    pthread_cleanup_pop(0);
}
