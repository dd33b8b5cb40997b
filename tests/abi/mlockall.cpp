/**
 * @file mlockall.cpp
 * @brief mlockall(MCL_CURRENT | MCL_FUTURE): all that is mapped is resident at once.
 *
 * A reservation that is mapped writable becomes memory here. And a user without privilege has a
 * limit on locked memory: mmap then fails with EAGAIN, which callers of malloc must see as ENOMEM;
 * pages that are locked cannot be given back, which must not stop anything.
 */
#include <array>

#include <sys/mman.h>
#include <sys/resource.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

std::array<Block, 20000> blocks;

std::size_t fill(std::size_t bytes, std::size_t largest) {
    Random random(largest);
    std::size_t live = 0;
    std::size_t used = 0;
    while (live < bytes && used < blocks.size()) {
        blocks[used].make(random.size(largest), random.next());
        live += blocks[used].bytes;
        ++used;
    }
    return used;
}

void release() {
    for (Block& block : blocks) {
        block.release();
    }
}

void privileged() {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        ::_exit(skipped_status);
    }
    const std::size_t before = process_resident_bytes();
    fill(10 * mib, 8 * kib);
    const std::size_t full = process_resident_bytes();
    // What was asked for, and no more than one first reservation beside it.
    check_growth("resident under mlockall with 10 MiB of blocks", before, full, 80 * mib);
    release();
    subject_trim();
    for (const std::size_t largest : {std::size_t{100}, 64 * kib, 3 * mib}) {
        fill(10 * mib, largest);
        release();
        subject_trim();
    }
    void* block = subject_malloc(3 * mib);
    CHECK(block != nullptr);
    pattern_fill(block, 3 * mib, 1);
    block = subject_realloc(block, 9 * mib);
    CHECK(block != nullptr && pattern_holds(block, 3 * mib, 1));
    subject_free(block);
    block = subject_calloc(1, 3 * mib);
    CHECK(block != nullptr);
    for (std::size_t i = 0; i < 3 * mib; ++i) {
        CHECK_EQ(static_cast<int>(static_cast<char*>(block)[i]), 0);
    }
    subject_free(block);
    CHECK_EQ(munlockall(), 0);
    subject_trim();
    subject_validate();
    ::_exit(0);
}

void limited() {
    rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 24 * mib);
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    // Only what is mapped from here on is locked, and only as much of it as the limit allows.
    constexpr uid_t nobody = 65534;
    const bool is_nobody = geteuid() != 0 || setresuid(nobody, nobody, nobody) == 0;
    if (!is_nobody || mlockall(MCL_FUTURE) != 0) {
        ::_exit(skipped_status);
    }
    for (int round = 0; round < 3; ++round) {
        Random random(3);
        std::size_t used = 0;
        for (; used < blocks.size(); ++used) {
            const std::size_t size = random.size(128 * kib);
            errno = 0;
            void* const made = subject_malloc(size);
            if (made == nullptr) {
                CHECK_EQ(errno, ENOMEM);
                break;
            }
            blocks[used].adopt(made, size, random.next());
        }
        check::Line().value(used).add(" blocks before the locked memory was used up").put(1);
        CHECK(used < blocks.size());
        release();
        subject_trim();
    }
    subject_validate();
    ::_exit(0);
}

int run(void (*body)()) {
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        deadline(60);
        body();
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == skipped_status) {
        return skipped_status;
    }
    CHECK_EQ(status, 0);
    return 0;
}

}  // namespace

int main() {
    subject_require();
    const int all = run(privileged);
    const int some = run(limited);
    return all == skipped_status && some == skipped_status ? skipped_status : 0;
}
