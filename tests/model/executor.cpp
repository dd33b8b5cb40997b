#include "executor.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "pattern.hpp"
#include "private_memory.hpp"
#include "random.hpp"
#include "violation.hpp"

namespace hakmem::model {

namespace {

constexpr std::size_t block_alignment_min = 16;
constexpr std::size_t too_large = static_cast<std::size_t>(PTRDIFF_MAX) + 1;
constexpr unsigned child_seconds_max = 60;
constexpr std::size_t blocks_of_child = 100;
constexpr std::size_t generations_max = 2;  // of forked children
constexpr int errno_canary = 4711;

// The bytes that a block keeps to itself: one of no usable bytes still has an address of its own.
std::size_t extent(const Block& block) { return std::max<std::size_t>(block.usable, 1); }

}  // namespace

Executor::Executor(const Subject& subject, Reference& reference, unsigned worker, bool relaxed)
    : subject_(subject),
      reference_(reference),
      slots_(private_memory()),
      next_seed_(scramble(worker + 1)),
      relaxed_(relaxed) {}

Block& Executor::slot(std::uint32_t index) {
    if (slots_.size() <= index) {
        slots_.resize(index + 1 + index / 2);
    }
    return slots_[index];
}

void Executor::check_contents(const Block& block, std::size_t limit, const char* when) const {
    const std::size_t wrong = check_pattern(block.start, block.usable, block.seed, limit);
    if (wrong != all_intact) {
        violate(Violation::content_lost,
                "%s: block %p of %zu bytes (%zu usable) is wrong at offset %zu", when, block.start,
                block.size, block.usable, wrong);
    }
}

// Judges a block that the subject has just returned, enters it and fills it.
Block Executor::admit(void* start, std::size_t size, std::size_t alignment) {
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    // C23 lets a block be aligned for what fits into it; HAKMEM's contract says 16 for every size.
    const std::size_t least = relaxed_ ? std::size_t{8} : block_alignment_min;
    if (address % std::max(alignment, least) != 0) {
        violate(Violation::misaligned, "%zu bytes at %p, alignment %zu", size, start, alignment);
    }
    const std::size_t usable = subject_.usable_size(start);
    if (usable < size) {
        violate(Violation::usable_short, "%zu bytes at %p, but only %zu usable", size, start,
                usable);
    }
    next_seed_ += 2;
    Block block{start, size, usable, scramble(next_seed_), alignment, false};
    reference_.enter(start, extent(block));
    return block;
}

void Executor::allocate(const Step& step) {
    void* start = nullptr;
    std::size_t alignment = 0;
    switch (step.operation) {
        case Operation::malloc:
            start = subject_.malloc(step.size);
            break;
        case Operation::calloc:
            start = subject_.calloc(step.parameter, step.size);
            break;
        case Operation::aligned_alloc:
            start = subject_.aligned_alloc(alignment = step.parameter, step.size);
            break;
        case Operation::posix_memalign:
            subject_.posix_memalign(&start, alignment = step.parameter, step.size);
            break;
        case Operation::memalign:
            start = subject_.memalign(alignment = step.parameter, step.size);
            break;
        case Operation::create:
        default:
            start = subject_.create(step.size, alignment = step.parameter);
            break;
    }
    if (start == nullptr) {
        violate(Violation::null_result, "%zu bytes, alignment %zu: no block, errno %d",
                step.bytes(), alignment, errno);
    }
    Block block = admit(start, step.bytes(), alignment);
    block.created = step.operation == Operation::create;
    if (step.operation == Operation::calloc) {
        const std::size_t wrong = check_zero(start, step.bytes());
        if (wrong != all_intact) {
            violate(Violation::not_zero, "calloc of %zu bytes at %p: offset %zu is not zero",
                    step.bytes(), start, wrong);
        }
    }
    fill_pattern(start, block.usable, block.seed);
    slot(step.slot) = block;
}

void Executor::free_block(const Block& block) {
    check_contents(block, block.usable, "at free");
    reference_.remove(block.start, extent(block));
    errno = errno_canary;
    if (block.created) {
        subject_.destroy(block.start, block.size, block.alignment);
    } else {
        subject_.free(block.start);
        if (errno != errno_canary) {
            violate(Violation::wrong_errno, "free of %p changed errno to %d", block.start, errno);
        }
    }
}

void Executor::reallocate(const Step& step) {
    const Block old = slot(step.slot);
    check_contents(old, old.usable, "before realloc");
    reference_.remove(old.start, extent(old));
    void* start = subject_.realloc(old.start, step.size);
    if (step.size == 0) {
        if (start != nullptr && !relaxed_) {
            violate(Violation::realloc_zero, "realloc(%p, 0) returned %p", old.start, start);
        }
        subject_.free(start);
        return;
    }
    if (start == nullptr) {
        violate(Violation::null_result, "realloc from %zu to %zu bytes: no block, errno %d",
                old.size, step.size, errno);
    }
    Block block = admit(start, step.size, 0);
    Block moved = old;
    moved.start = start;
    check_contents(moved, std::min(old.usable, step.size), "after realloc");
    fill_pattern(start, block.usable, block.seed);
    slot(step.slot) = block;
}

// Requests that no allocator can meet. They must fail, say ENOMEM, and leave the block alone.
void Executor::ask_the_impossible(const Step& step) {
    const Block& block = slot(step.slot);
    void* result = nullptr;
    int error = 0;
    errno = 0;
    switch (step.parameter) {
        case 0:
            result = subject_.malloc(too_large);
            break;
        case 1:
            result = subject_.malloc(SIZE_MAX);
            break;
        case 2:
            result = subject_.calloc(SIZE_MAX / 2, 3);
            break;
        case 3:
            result = subject_.calloc(std::size_t{1} << 32U, std::size_t{1} << 32U);
            break;
        case 4:
            result = subject_.realloc(block.start, too_large);
            break;
        case 5:
            result = subject_.realloc(block.start, SIZE_MAX - 15);
            break;
        case 6:
            result = subject_.aligned_alloc(4096, SIZE_MAX - 4095);
            break;
        default:
            error = subject_.posix_memalign(&result, 64, too_large);
            break;
    }
    error = error != 0 ? error : errno;
    if (result != nullptr) {
        violate(Violation::impossible_granted, "impossible request %zu returned %p", step.parameter,
                result);
    }
    if (error != ENOMEM && !relaxed_) {
        violate(Violation::wrong_errno, "impossible request %zu: errno %d instead of ENOMEM",
                step.parameter, error);
    }
    check_contents(block, block.usable, "after a request that failed");
}

// All that a child may do with what it inherited: read it, free it, allocate, fork again. Nothing
// here touches the reference: another thread of the parent may have held one of its locks.
// Generation 1 is the child: it frees every fourth block; generation 2, its child, the next ones.
void Executor::live_in_child(std::size_t generation) {
    alarm(child_seconds_max);  // a heap lock that nobody will ever release must not hang the test
    std::size_t index = 0;
    for (const Block& block : slots_) {
        if (block.start == nullptr || ++index % 4 < generation - 1) {
            continue;
        }
        check_contents(block, block.usable, "in a forked child");
        if (index % 4 == generation - 1) {
            block.created ? subject_.destroy(block.start, block.size, block.alignment)
                          : subject_.free(block.start);
        }
    }
    std::array<Block, blocks_of_child> own;
    Random random(next_seed_);
    for (Block& block : own) {
        block.size = block.usable = random.below(random.once_in(20) ? 100000 : 500);
        block.seed = random.next();
        block.start = subject_.malloc(block.size);
        if (block.start == nullptr) {
            violate(Violation::fork_child, "malloc of %zu bytes failed in a forked child",
                    block.size);
        }
        fill_pattern(block.start, block.usable, block.seed);
    }
    for (const Block& block : own) {
        check_contents(block, block.usable, "allocated in a forked child");
        subject_.free(block.start);
    }
    if (subject_.validate != nullptr && subject_.validate() != 0) {
        violate(Violation::validate_failed, "in a forked child");
    }
    if (generation < generations_max) {
        fork_here(generation + 1);
    }
}

void Executor::fork_here(std::size_t generation) {
    const pid_t child = fork();
    if (child == 0) {
        live_in_child(generation);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status == 0) {
        return;  // a fork that the system refused is no matter of the allocator's
    }
    if (WIFEXITED(status) && is_violation_status(WEXITSTATUS(status))) {
        _exit(WEXITSTATUS(status));  // the child has said what it found
    }
    violate(Violation::fork_child, "a forked child ended with wait status %#x%s",
            static_cast<unsigned>(status),
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
}

Block Executor::take(std::uint32_t index) {
    const Block block = slot(index);
    slot(index) = {};
    return block;
}

void Executor::adopt(std::uint32_t index, const Block& block) {
    check_contents(block, block.usable, "handed over");
    slot(index) = block;
}

void Executor::run(const Step& step) {
    if (step.allocates()) {
        allocate(step);
        return;
    }
    switch (step.operation) {
        case Operation::realloc:
            reallocate(step);
            if (step.size == 0) {
                slot(step.slot) = {};
            }
            break;
        case Operation::free:
            free_block(take(step.slot));
            break;
        case Operation::usable_size: {
            const Block& block = slot(step.slot);
            const std::size_t usable = subject_.usable_size(block.start);
            if (usable != block.usable) {
                violate(Violation::usable_changed, "block %p had %zu usable bytes, now %zu",
                        block.start, block.usable, usable);
            }
            break;
        }
        case Operation::check:
            check_contents(slot(step.slot), slot(step.slot).usable, "while live");
            break;
        case Operation::impossible:
            ask_the_impossible(step);
            break;
        case Operation::trim:
            subject_.trim();
            break;
        case Operation::fork:
            fork_here(1);
            break;
        default:
            break;
    }
}

}  // namespace hakmem::model
