/**
 * @file pressure_maps.cpp
 * @brief The kernel's limit on the number of mappings (vm.max_map_count) is used up.
 *
 * Then mmap fails although there is memory, and so does a munmap or madvise that would split a
 * mapping. The limit itself belongs to the whole machine; so this process maps single pages of
 * alternating protection until it has reached it.
 */
#include <array>

#include <sys/mman.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

std::array<Block, 4000> blocks;

std::size_t work(std::uint64_t seed) {
    Random random(seed);
    std::size_t refused = 0;
    for (int i = 0; i < 20000; ++i) {
        Block& block = blocks[random.below(blocks.size())];
        block.release();
        const std::size_t size = random.size(random.below(50) == 0 ? 4 * mib : 8 * kib);
        if (!block.try_make(size, random.next())) {
            ++refused;
        }
    }
    return refused;
}

}  // namespace

int main() {
    subject_require();
    deadline(100);
    char text[64];
    CHECK(read_file("/proc/sys/vm/max_map_count", text, sizeof text) > 0);
    const std::size_t mappings_max = number_after(text, "");
    if (mappings_max > 300000) {
        return skipped_status;  // the kernel's tables alone would take longer than the test
    }
    CHECK_EQ(work(1), 0);

    // Every second page of one mapping gets another protection: each is a mapping of its own.
    const std::size_t bytes = (mappings_max + 100) * 4 * kib;
    void* const range =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(range != MAP_FAILED);
    std::size_t split = 0;
    for (std::size_t at = 4 * kib; at < bytes; at += 8 * kib) {
        if (mprotect(static_cast<char*>(range) + at, 4 * kib, PROT_READ) != 0) {
            CHECK_EQ(errno, ENOMEM);
            break;
        }
        ++split;
    }
    CHECK(split * 2 > mappings_max / 2);
    const std::size_t refused = work(2);
    check::Line()
        .value(split)
        .add(" pages split off, then ")
        .value(refused)
        .add(" refusals")
        .put(1);
    subject_trim();
    for (const Block& block : blocks) {
        block.verify();
    }
    subject_validate();

    CHECK_EQ(munmap(range, bytes), 0);
    CHECK_EQ(work(3), 0);
    for (Block& block : blocks) {
        block.release();
    }
    subject_trim();
    subject_validate();
    return 0;
}
