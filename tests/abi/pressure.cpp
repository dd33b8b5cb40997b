/**
 * @file pressure.cpp
 * @brief Memory runs out, and comes back: seed by seed.
 *
 * In the middle of the run the address space is limited to what is mapped already plus a room that
 * depends on the seed, so that the mmap that fails is another one each time. Then blocks are made,
 * by all entry points, until one call says NULL with ENOMEM. All live blocks must still hold their
 * patterns; what is freed must be usable again at once; and when the limit is lifted everything
 * goes on. Arguments: the first seed and how many.
 */
#include <array>
#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int fine = 4;
constexpr std::size_t table_blocks = 400000;
Block table[table_blocks];
std::size_t used = 0;

/** One block by an entry point at random; false when there was no memory for it. */
bool make_one(Random& random, std::size_t largest, std::size_t smallest) {
    const std::size_t size = std::max(random.size(largest), smallest);
    errno = 0;
    void* made = nullptr;
    bool zeroed = false;
    switch (random.below(5)) {
        case 0:
            made = subject_calloc(1, size);
            zeroed = true;
            break;
        case 1:
            made = subject_realloc(nullptr, size);
            break;
        case 2:
            made = subject_aligned_alloc(std::size_t{16} << random.below(9), size);
            break;
        default:
            made = subject_malloc(size);
    }
    if (made == nullptr) {
        CHECK_EQ(errno, ENOMEM);
        return false;
    }
    if (zeroed) {
        const auto* const bytes = static_cast<const unsigned char*>(made);
        CHECK(bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0);
    }
    table[used++].adopt(made, size, random.next());
    return true;
}

/** The table has room for all that this test can get; a full one means: nothing was refused. */
void exhaust(Random& random, std::size_t largest) {
    while (used < table_blocks && make_one(random, largest, 1)) {
    }
    // Many tiny blocks fit where one of a MiB does not: exhausted is only what refuses both.
    std::size_t refused = 0;
    while (used < table_blocks && refused < 50) {
        refused += make_one(random, 2 * mib, mib) ? 0u : 1u;
    }
    CHECK(used < table_blocks);
}

void verify_all() {
    for (std::size_t i = 0; i < used; ++i) {
        table[i].verify();
    }
}

void realloc_under_pressure(Random& random) {
    for (int i = 0; i < 300; ++i) {
        Block& block = table[random.below(used)];
        const std::size_t size = random.size(4 * mib);
        errno = 0;
        void* const moved = subject_realloc(block.start, size);
        if (moved == nullptr) {
            CHECK_EQ(errno, ENOMEM);
            block.verify();
            continue;
        }
        CHECK(pattern_holds(moved, std::min(size, block.bytes) / 8 * 8, block.seed));
        block.adopt(moved, size, block.seed);
    }
}

/**
 * What was just given back can be had again: the memory is there, nothing new has to be mapped.
 * The usable size names the block's own class, where the request may have been rounded up for
 * alignment.
 */
void freed_is_usable() {
    for (std::size_t i = 0; i < used; i += 1 + used / 500) {
        Block& block = table[i];
        const std::size_t bytes = subject_usable_size(block.start);
        block.release();
        block.make(bytes, i);
    }
}

void one_seed(std::uint64_t seed) {
    Random random(seed);
    const std::size_t largest = std::size_t{64} << random.below(16);
    const std::size_t room = (4 * kib) << random.below(13);
    // Some have a heap with a past, some are at their very first allocations.
    const std::size_t warm = random.below(3) * 1000;
    while (used < warm) {
        CHECK(make_one(random, 4 * kib, 1));
    }
    limit_address_space(room);
    exhaust(random, std::max(largest, room / 4000));
    verify_all();
    if (used > 0) {
        realloc_under_pressure(random);
        verify_all();
        freed_is_usable();
    }
    for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < used;) {
            if (random.below(2) == 0) {
                table[i].release();
                table[i] = table[--used];
            } else {
                ++i;
            }
        }
        exhaust(random, largest * 2);
        verify_all();
    }
    subject_validate();
    for (std::size_t i = 0; i < used; ++i) {
        table[i].release();
    }
    used = 0;
    subject_trim();
    lift_address_space_limit();
    for (int i = 0; i < 64; ++i) {
        CHECK(make_one(random, 2 * mib, mib / 2));
    }
    while (used < 5000) {
        CHECK(make_one(random, 8 * kib, 1));
    }
    for (std::size_t i = 0; i < used; ++i) {
        table[i].release();
    }
    subject_validate();
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    const std::uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 30;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const pid_t child = fork();
        CHECK_NE(child, -1);
        if (child == 0) {
            deadline(60);
            one_seed(seed);
            ::_exit(fine);
        }
        int status = 0;
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != fine) {
            check::Line()
                .add("replay with: pressure ")
                .value(seed)
                .add(" 1, status ")
                .value(status)
                .put(2);
            return 1;
        }
    }
    return 0;
}
