#include "back/large.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/superslab.hpp"
#include "os/environment.hpp"
#include "os/virtual_memory.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fake_clock.hpp"
#include "tests/os/fault_injection.hpp"
#include "tests/os/kernel_calls.hpp"

namespace {

using namespace hakmem;
namespace large = back::large;
namespace page_map = back::page_map;
using back::Slab;
using base::ClassId;
using base::kibibyte;
using base::mebibyte;
using base::page_bytes;
using base::unit_bytes;
using os::Options;
using tests::ChangedOption;
using tests::FakeClock;
using tests::FaultInjection;
using tests::kernel_calls;

constexpr std::size_t mapping_bytes = 3 * mebibyte;  // above the largest run

char* allocate(std::size_t bytes, std::size_t alignment = base::block_alignment) {
    bool zero = false;
    return static_cast<char*>(large::allocate(bytes, alignment, zero));
}

Slab& record_of(const void* block) { return *page_map::slab_of(block); }
void release(const void* block) { large::release(record_of(block)); }
bool is_mapping(const void* block) { return record_of(block).superslab == nullptr; }

// Writes and checks a pattern that tells every page from every other.
void fill(char* block, std::size_t bytes, unsigned seed = 1) {
    for (std::size_t at = 0; at < bytes; at += 512) {
        const std::uint64_t word = (at + seed) * 0x9e3779b97f4a7c15u;
        std::memcpy(block + at, &word, sizeof word);
    }
}

bool is_filled(const char* block, std::size_t bytes, unsigned seed = 1) {
    for (std::size_t at = 0; at + 8 <= bytes; at += 512) {
        const std::uint64_t word = (at + seed) * 0x9e3779b97f4a7c15u;
        if (std::memcmp(block + at, &word, sizeof word) != 0) return false;
    }
    return true;
}

bool is_zero(const char* block, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += 64) {
        if (block[at] != 0) return false;
    }
    return true;
}

// Whether the page map says LARGE for the block, all of it, and leads to one record.
bool is_mapped_whole(const char* block) {
    Slab& slab = record_of(block);
    for (std::size_t at = 0; at < slab.block_bytes; at += unit_bytes) {
        if (page_map::entry_of(block + at).class_id() != ClassId::large) return false;
        if (page_map::slab_of(block + at) != &slab) return false;
    }
    return slab.start == block;
}

struct Mappings {
    std::size_t used = 0;
    std::size_t cached = 0;
    std::size_t cached_bytes = 0;
};

Mappings mappings() {
    Mappings sum;
    large::for_each_mapping(
        [](const large::MappingView& mapping, void* context) {
            Mappings& m = *static_cast<Mappings*>(context);
            (mapping.cached ? m.cached : m.used)++;
            if (mapping.cached) m.cached_bytes += mapping.bytes;
        },
        &sum);
    return sum;
}

// Each test starts and ends with an empty cache, and with the time in its own hands. Mappings are
// as long as their blocks, however large the tests before have made the heap.
class Large : public testing::Test {
protected:
    Large() { large::trim_cache(0); }
    ~Large() override {
        large::trim_cache(0);
        EXPECT_EQ(mappings().cached, 0u);
        EXPECT_EQ(mappings().used, 0u);
        EXPECT_EQ(large::validate(), nullptr);
    }
    FakeClock clock_;
    ChangedOption small_pages_{&Options::huge_pages, 0};
};

// ---- run or mapping -----------------------------------------------------------------------------

TEST_F(Large, UpToTwoMebibytesABlockIsARunBeyondAMapping) {
    for (const std::size_t bytes :
         {32 * kibibyte + 1, 64 * kibibyte, 64 * kibibyte + 1, mebibyte, 2 * mebibyte - 1,
          2 * mebibyte, 2 * mebibyte + 1, 5 * mebibyte + 12345}) {
        char* const block = allocate(bytes);
        ASSERT_NE(block, nullptr);
        EXPECT_EQ(is_mapping(block), bytes > 2 * mebibyte) << bytes;
        EXPECT_TRUE(is_mapped_whole(block));
        EXPECT_GE(record_of(block).block_bytes, bytes);
        EXPECT_EQ(record_of(block).block_bytes, large::usable_bytes(bytes)) << bytes;
        EXPECT_EQ(record_of(block).class_id, ClassId::large);
        fill(block, record_of(block).block_bytes);
        EXPECT_TRUE(is_filled(block, record_of(block).block_bytes));
        EXPECT_EQ(large::validate(), nullptr);
        release(block);
    }
}

TEST_F(Large, BlocksAreAlignedToAnyPowerOfTwoUpToOneGibibyte) {
    for (std::size_t alignment = 16; alignment <= base::gibibyte; alignment *= 2) {
        for (const std::size_t bytes : {std::size_t{1}, 100 * kibibyte, mapping_bytes}) {
            char* const block = allocate(bytes, alignment);
            ASSERT_NE(block, nullptr) << alignment;
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u) << alignment;
            EXPECT_TRUE(is_mapped_whole(block));
            block[0] = 1;
            block[bytes - 1] = 1;
            release(block);
        }
    }
}

TEST_F(Large, AFreedBlockIsInThePageMapAsFreeAndAnUnmappedOneAsExternal) {
    const char* const run = allocate(100 * kibibyte);
    release(run);
    EXPECT_EQ(page_map::entry_of(run).class_id(), ClassId::free);
    EXPECT_EQ(page_map::slab_of(run), nullptr);
    const char* const mapping = allocate(mapping_bytes);
    release(mapping);
    EXPECT_EQ(page_map::entry_of(mapping).class_id(), ClassId::free);
    EXPECT_EQ(page_map::entry_of(mapping + mapping_bytes - 1).class_id(), ClassId::free);
    large::trim_cache(0);
    EXPECT_EQ(page_map::entry_of(mapping).bits, 0u);
    EXPECT_EQ(page_map::entry_of(mapping + mapping_bytes - 1).bits, 0u);
}

void find_zeros_zero() {
    std::mt19937 random(1);
    std::vector<char*> blocks;
    unsigned zeros = 0;
    for (int i = 0; i < 300; i++) {
        const std::size_t bytes = 33 * kibibyte + random() % (4 * mebibyte);
        bool zero = false;
        char* const block = static_cast<char*>(large::allocate(bytes, 16, zero));
        ASSERT_NE(block, nullptr);
        if (zero) {
            ASSERT_TRUE(is_zero(block, record_of(block).block_bytes));
            zeros++;
        }
        fill(block, record_of(block).block_bytes);
        blocks.push_back(block);
        while (blocks.size() > 5) {
            std::swap(blocks[random() % blocks.size()], blocks.back());
            release(blocks.back());
            blocks.pop_back();
        }
        if (random() % 10 == 0) {
            for (std::uint32_t s = 0; s < back::shared_pool::superslab_count(); s++) {
                back::shared_pool::purge(s, back::Extent::all);
            }
        }
    }
    EXPECT_GT(zeros, 0u);
    for (char* block : blocks) release(block);
}

TEST_F(Large, WhatIsSaidToBeZeroIs) { find_zeros_zero(); }

TEST_F(Large, SoItIsWhereMappingsAreCutFromHugePages) {
    const ChangedOption always(&Options::huge_pages, 2);
    find_zeros_zero();
}

TEST_F(Large, WhereThereIsNoRoomForASuperslabThereMayBeForTheBlock) {
    // Without superslabs: every unit is taken and reserving fails, but a small mapping does not.
    static constexpr os::MemoryCalls calls = {
        [](void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
            if (bytes < base::superslab_bytes) {
                return mmap(address, bytes, protection, flags, file, offset);
            }
            errno = ENOMEM;
            return MAP_FAILED;
        },
        kernel_calls.unmap,
        kernel_calls.remap,
        kernel_calls.advise,
        kernel_calls.residency,
        kernel_calls.protect,
    };
    std::vector<back::Run> runs;
    os::set_memory_calls(&calls);
    for (;;) {
        const back::Run run =
            back::shared_pool::take(base::Units{1}, 1, back::shared_pool::Growth::allowed);
        if (run.superslab == nullptr) break;
        runs.push_back(run);
    }
    char* block = allocate(100 * kibibyte);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(is_mapping(block));
    EXPECT_TRUE(is_mapped_whole(block));
    fill(block, 100 * kibibyte);
    // It is resized as any other mapping.
    char* const resized = static_cast<char*>(large::resize(record_of(block), 900 * kibibyte));
    ASSERT_NE(resized, nullptr);
    EXPECT_TRUE(is_filled(resized, 100 * kibibyte));
    EXPECT_TRUE(is_mapped_whole(resized));
    release(resized);
    os::set_memory_calls(nullptr);
    for (const back::Run& run : runs) back::shared_pool::give_back(run);
}

// ---- the cache ----------------------------------------------------------------------------------

TEST_F(Large, AFreedMappingServesWhateverItIsLargeEnoughFor) {
    constexpr std::size_t has = 64 * mebibyte;
    char* const block = allocate(has);
    release(block);
    const std::uint64_t maps = os::memory_counters().map;
    for (const std::size_t bytes : {has, has - page_bytes, has / 2, mapping_bytes}) {
        char* const again = allocate(bytes);
        EXPECT_EQ(again, block) << bytes;
        EXPECT_GE(record_of(again).block_bytes, bytes);
        EXPECT_LE(record_of(again).block_bytes, bytes + bytes / 16 + unit_bytes);
        EXPECT_TRUE(is_mapped_whole(again));
        EXPECT_EQ(mappings().cached_bytes, has - record_of(again).block_bytes);
        release(again);
        EXPECT_EQ(mappings().cached, 1u) << bytes;
        EXPECT_EQ(mappings().cached_bytes, has);
    }
    EXPECT_EQ(os::memory_counters().map, maps);
    char* const longer = allocate(has + page_bytes);
    EXPECT_GT(os::memory_counters().map, maps);
    EXPECT_EQ(mappings().cached, 1u);
    release(longer);
}

TEST_F(Large, WhatWasCutOffServesTooAndBothBecomeOneAgain) {
    constexpr std::size_t has = 12 * mebibyte;
    constexpr std::size_t part = 4 * mebibyte;
    char* const block = allocate(has);
    release(block);
    char* parts[3];
    for (unsigned i = 0; i < 3; i++) {
        parts[i] = allocate(part);
        EXPECT_EQ(parts[i], block + i * part);
        fill(parts[i], part, i);
    }
    EXPECT_EQ(mappings().cached, 0u);
    for (unsigned i = 0; i < 3; i++) EXPECT_TRUE(is_filled(parts[i], part, i));
    release(parts[0]);
    release(parts[2]);
    EXPECT_EQ(mappings().cached, 2u);
    EXPECT_TRUE(is_filled(parts[1], part, 1));
    release(parts[1]);  // joins what lies on its two sides
    EXPECT_EQ(mappings().cached, 1u);
    EXPECT_EQ(mappings().cached_bytes, has);
    EXPECT_EQ(allocate(has), block);
    EXPECT_TRUE(is_mapped_whole(block));
    release(block);
}

TEST_F(Large, WithoutSplittingAMappingServesWhoNeedsFourFifthsOfItAndStaysWhole) {
    const ChangedOption option(&Options::large_split, 0);
    constexpr std::size_t has = 80 * unit_bytes;
    char* const block = allocate(has);
    release(block);
    for (const std::size_t bytes : {64 * unit_bytes, has}) {
        char* const again = allocate(bytes);
        EXPECT_EQ(again, block) << bytes / unit_bytes;
        EXPECT_EQ(record_of(again).block_bytes, has);
        EXPECT_EQ(mappings().cached, 0u);
        release(again);
    }
    char* const other = allocate(63 * unit_bytes);
    EXPECT_NE(other, block);
    EXPECT_EQ(mappings().cached, 1u);
    release(other);
    EXPECT_EQ(mappings().cached, 2u);
}

TEST_F(Large, TheSmallestThatFitsIsTaken) {
    const ChangedOption option(&Options::large_split, 0);  // neighbours stay what they are
    char* const blocks[] = {allocate(1001 * page_bytes), allocate(900 * page_bytes),
                            allocate(950 * page_bytes), allocate(801 * page_bytes)};
    for (const char* block : blocks) release(block);
    char* const first = allocate(850 * page_bytes);
    char* const second = allocate(850 * page_bytes);
    EXPECT_EQ(first, blocks[1]);
    EXPECT_EQ(second, blocks[2]);
    release(first);
    release(second);
}

TEST_F(Large, AMappingGrowsOverWhatIsFreeBehindIt) {
    constexpr std::size_t has = 12 * mebibyte;
    char* const block = allocate(has);
    release(block);
    char* const grown = allocate(mapping_bytes);
    ASSERT_EQ(grown, block);
    fill(grown, mapping_bytes);
    const std::uint64_t remaps = os::memory_counters().remap;
    EXPECT_EQ(large::resize(record_of(grown), 2 * mapping_bytes), grown);
    EXPECT_EQ(record_of(grown).block_bytes, 2 * mapping_bytes);
    EXPECT_TRUE(is_filled(grown, mapping_bytes));
    EXPECT_TRUE(is_mapped_whole(grown));
    EXPECT_EQ(mappings().cached_bytes, has - 2 * mapping_bytes);
    EXPECT_EQ(large::resize(record_of(grown), has), grown);
    EXPECT_EQ(mappings().cached, 0u);
    EXPECT_EQ(os::memory_counters().remap, remaps);
    release(grown);
    EXPECT_EQ(mappings().cached_bytes, has);
}

TEST_F(Large, WhatIsCachedElsewhereIsToBeCopiedTo) {
    char* const block = allocate(12 * mebibyte);
    release(block);
    char* const low = allocate(mapping_bytes);
    char* const high = allocate(mapping_bytes);  // it hems the lower one in
    ASSERT_EQ(high, low + mapping_bytes);
    fill(low, mapping_bytes);
    EXPECT_EQ(large::resize(record_of(low), 5 * mebibyte), nullptr);
    EXPECT_EQ(record_of(low).block_bytes, mapping_bytes);
    EXPECT_TRUE(is_filled(low, mapping_bytes));
    EXPECT_EQ(allocate(5 * mebibyte), high + mapping_bytes);
    release(low);
    release(high);
    release(high + mapping_bytes);
}

TEST_F(Large, ACachedMappingServesOnlyTheAlignmentThatItHas) {
    char* const block = allocate(mapping_bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(block);
    const std::size_t has = address & (~address + 1);
    release(block);
    char* const aligned = allocate(mapping_bytes, has * 2);
    EXPECT_NE(aligned, block);
    char* const again = allocate(mapping_bytes, has);
    EXPECT_EQ(again, block);
    release(aligned);
    release(again);
}

TEST_F(Large, ARecycledMappingIsNotSaidToBeZero) {
    char* const block = allocate(mapping_bytes);
    fill(block, mapping_bytes);
    release(block);
    bool zero = true;
    char* const again = static_cast<char*>(large::allocate(mapping_bytes, 16, zero));
    EXPECT_EQ(again, block);
    EXPECT_FALSE(zero);
    release(again);
}

TEST_F(Large, MappingsStayCachedUntilTheirTimeIsUp) {
    const ChangedOption whole(&Options::large_split, 0);  // neighbours stay what they are
    char* const old = allocate(mapping_bytes);
    char* const young = allocate(mapping_bytes);
    release(old);
    FakeClock::time += 300;
    release(young);
    FakeClock::time += 199;
    EXPECT_EQ(large::trim_cache(500), 0u);
    FakeClock::time += 1;
    EXPECT_EQ(large::trim_cache(500), mapping_bytes);
    EXPECT_EQ(mappings().cached, 1u);
    FakeClock::time += 299;
    EXPECT_EQ(large::trim_cache(500), 0u);
    FakeClock::time += 1;
    EXPECT_EQ(large::trim_cache(500), mapping_bytes);
    EXPECT_EQ(mappings().cached, 0u);
}

TEST_F(Large, AClockThatGoesBackGivesMemoryBackEarlyAndNeverKeepsIt) {
    release(allocate(mapping_bytes));
    FakeClock::time -= 1000000;
    EXPECT_EQ(large::trim_cache(500), mapping_bytes);
    release(allocate(mapping_bytes));
    FakeClock::time += 1000000000;
    EXPECT_EQ(large::trim_cache(500), mapping_bytes);
}

TEST_F(Large, TheCacheIsBoundedAndTheOldestGoFirst) {
    const ChangedOption whole(&Options::large_split, 0);  // neighbours stay what they are
    const ChangedOption option(&Options::large_cache, 3 * mapping_bytes);
    std::vector<char*> blocks;
    for (int i = 0; i < 6; i++) blocks.push_back(allocate(mapping_bytes));
    for (const char* block : blocks) {
        FakeClock::time += 1;
        release(block);
        EXPECT_LE(mappings().cached_bytes, 3 * mapping_bytes);
    }
    EXPECT_EQ(mappings().cached, 3u);
    for (std::size_t i = 0; i < 3; i++) EXPECT_EQ(page_map::entry_of(blocks[i]).bits, 0u);
    for (std::size_t i = 3; i < 6; i++) {
        EXPECT_EQ(page_map::entry_of(blocks[i]).class_id(), ClassId::free);
    }
}

TEST_F(Large, OfALongMappingOnlyWhatIsAboveTheBoundGoes) {
    constexpr std::size_t bound = 16 * mebibyte;
    const ChangedOption option(&Options::large_cache, bound);
    char* const block = allocate(bound + 4 * mebibyte);
    fill(block, bound);
    release(block);
    EXPECT_EQ(mappings().cached_bytes, bound);
    EXPECT_EQ(page_map::entry_of(block).class_id(), ClassId::free);
    EXPECT_EQ(page_map::entry_of(block + bound).bits, 0u);
    EXPECT_TRUE(is_filled(block, bound));
}

TEST_F(Large, WhatBecameOneIsAsOldAsItsLargerPart) {
    constexpr std::size_t bytes = 16 * mebibyte;
    constexpr std::size_t part = 4 * mebibyte;
    char* const block = allocate(bytes);
    release(block);
    for (int i = 0; i < 5; i++) {
        FakeClock::time += 100;
        char* const small = allocate(part);
        EXPECT_EQ(small, block);
        release(small);
    }
    EXPECT_EQ(large::trim_cache(500), bytes);

    release(allocate(bytes));
    FakeClock::time += 400;
    char* const most = allocate(bytes - part);
    release(most);
    FakeClock::time += 499;
    EXPECT_EQ(large::trim_cache(500), 0u);
    FakeClock::time += 1;
    EXPECT_EQ(large::trim_cache(500), bytes);
}

TEST_F(Large, WithoutDecayOrWithoutACacheAMappingGoesAtOnce) {
    {
        const ChangedOption option(&Options::decay, 0);
        release(allocate(mapping_bytes));
        EXPECT_EQ(mappings().cached, 0u);
    }
    const ChangedOption option(&Options::large_cache, 0);
    release(allocate(mapping_bytes));
    EXPECT_EQ(mappings().cached, 0u);
}

TEST_F(Large, AMappingThatTheKernelWillNotUnmapIsPurgedAndServesAgain) {
    char* const block = allocate(mapping_bytes);
    fill(block, mapping_bytes);
    release(block);
    {
        FaultInjection faults({.calls = FaultInjection::unmap});
        large::trim_cache(0);
        EXPECT_EQ(FaultInjection::failed(), 1u);  // it is not tried for ever
    }
    EXPECT_EQ(mappings().cached, 1u);
    EXPECT_EQ(large::validate(), nullptr);
    EXPECT_EQ(page_map::entry_of(block).class_id(), ClassId::free);
    EXPECT_TRUE(is_zero(block, mapping_bytes));
    char* const again = allocate(mapping_bytes);
    EXPECT_EQ(again, block);
    EXPECT_TRUE(is_mapped_whole(again));
    release(again);
}

// ---- resizing runs ------------------------------------------------------------------------------

TEST_F(Large, ARunGrowsOverFreeUnitsBehindItAndKeepsItsContents) {
    // The end of a superslab in which nothing else is.
    const back::Run whole =
        back::shared_pool::take(base::Units{64}, 64, back::shared_pool::Growth::allowed);
    back::shared_pool::give_back(whole);
    char* const block = allocate(unit_bytes, 2 * mebibyte);
    ASSERT_FALSE(is_mapping(block));
    fill(block, unit_bytes);
    if (large::resize(record_of(block), 5 * unit_bytes) == block) {
        EXPECT_TRUE(is_filled(block, unit_bytes));
        EXPECT_TRUE(is_mapped_whole(block));
        EXPECT_EQ(record_of(block).block_bytes, 5 * unit_bytes);
        EXPECT_EQ(record_of(block).unit_count, 5u);
        fill(block, 5 * unit_bytes);
    } else {
        ADD_FAILURE() << "the units behind it were free";
    }
    release(block);
}

TEST_F(Large, ARunThatIsShrunkGivesItsTailBack) {
    char* const block = allocate(10 * unit_bytes);
    fill(block, 10 * unit_bytes);
    EXPECT_EQ(large::resize(record_of(block), 3 * unit_bytes - 100), block);
    EXPECT_EQ(record_of(block).block_bytes, 3 * unit_bytes);
    EXPECT_TRUE(is_mapped_whole(block));
    EXPECT_TRUE(is_filled(block, 3 * unit_bytes));
    for (std::size_t u = 3; u < 10; u++) {
        EXPECT_EQ(page_map::entry_of(block + u * unit_bytes).class_id(), ClassId::free);
        EXPECT_EQ(page_map::slab_of(block + u * unit_bytes), nullptr);
    }
    const back::Superslab& superslab = *record_of(block).superslab;
    const back::Run run = back::superslab::run_of(record_of(block));
    EXPECT_EQ(superslab.taken & base::bit_run(run.first, 10), run.bits());
    release(block);
}

TEST_F(Large, ARunThatIsHemmedInOrWantsToBeAMappingIsLeftAsItWas) {
    char* const block = allocate(4 * unit_bytes);
    const back::Run run = back::superslab::run_of(record_of(block));
    back::Superslab& superslab = *run.superslab;
    // Somebody takes the unit behind it, if it is not taken already.
    const std::uint64_t behind = base::bit_run(run.first + 4, 1);
    const bool was_free = (superslab.taken.fetch_or(behind) & behind) == 0;
    fill(block, 4 * unit_bytes);
    EXPECT_EQ(large::resize(record_of(block), 5 * unit_bytes), nullptr);
    EXPECT_EQ(large::resize(record_of(block), mapping_bytes), nullptr);
    EXPECT_EQ(record_of(block).block_bytes, 4 * unit_bytes);
    EXPECT_TRUE(is_mapped_whole(block));
    EXPECT_TRUE(is_filled(block, 4 * unit_bytes));
    if (was_free) superslab.taken.fetch_and(~behind);
    release(block);
}

// ---- resizing mappings --------------------------------------------------------------------------

TEST_F(Large, AMappingGrowsAndShrinksWithoutLosingAByte) {
    char* block = allocate(mapping_bytes);
    fill(block, mapping_bytes);
    std::size_t bytes = mapping_bytes;
    std::mt19937 random(2);
    for (int i = 0; i < 200; i++) {
        const std::size_t wanted = 2 * mebibyte + 1 + random() % (30 * mebibyte);
        char* const resized = static_cast<char*>(large::resize(record_of(block), wanted));
        ASSERT_NE(resized, nullptr);
        const std::size_t usable = record_of(resized).block_bytes;
        ASSERT_GE(usable, wanted);
        ASSERT_LE(usable, wanted + wanted / 16 + unit_bytes);
        ASSERT_TRUE(is_filled(resized, std::min(bytes, usable)));
        ASSERT_TRUE(is_mapped_whole(resized));
        ASSERT_EQ(large::validate(), nullptr);
        // Behind it nothing is said to be ours.
        const Slab* const next = page_map::slab_of(resized + usable);
        ASSERT_NE(next, &record_of(resized));
        if (resized != block) {
            ASSERT_NE(page_map::slab_of(block), &record_of(resized));
        }
        fill(resized, usable);
        block = resized;
        bytes = usable;
    }
    release(block);
}

// mremap that cannot grow anything where it stands.
constexpr os::MemoryCalls moving_calls = {
    kernel_calls.map,
    kernel_calls.unmap,
    [](void* old_address, std::size_t old_bytes, std::size_t bytes, int flags, void* address) {
        if (flags == 0 && bytes > old_bytes) {
            errno = ENOMEM;
            return MAP_FAILED;
        }
        return mremap(old_address, old_bytes, bytes, flags, address);
    },
    kernel_calls.advise,
    kernel_calls.residency,
    kernel_calls.protect,
};

TEST_F(Large, AMappingThatCannotGrowIsMovedAndItsOldAddressesAreForgotten) {
    os::set_memory_calls(&moving_calls);
    char* const block = allocate(mapping_bytes);
    Slab* const record = &record_of(block);
    fill(block, mapping_bytes);
    char* const moved = static_cast<char*>(large::resize(*record, 10 * mebibyte));
    os::set_memory_calls(nullptr);
    ASSERT_NE(moved, nullptr);
    EXPECT_NE(moved, block);
    EXPECT_EQ(&record_of(moved), record);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(moved) % unit_bytes, 0u);
    EXPECT_TRUE(is_filled(moved, mapping_bytes));
    EXPECT_TRUE(is_zero(moved + mapping_bytes, 10 * mebibyte - mapping_bytes));
    EXPECT_TRUE(is_mapped_whole(moved));
    for (std::size_t at = 0; at < mapping_bytes; at += unit_bytes) {
        const char* const was = block + at;
        if (was >= moved && was < moved + 10 * mebibyte) continue;
        EXPECT_EQ(page_map::entry_of(was).bits, 0u);
    }
    release(moved);
}

// mremap as of a kernel that keeps the mapping in several areas.
TEST_F(Large, AMappingThatTheKernelKeepsInSeveralAreasIsNotMoved) {
    static std::atomic<unsigned> moves;
    static constexpr os::MemoryCalls calls = [] {
        os::MemoryCalls made = moving_calls;
        made.remap = [](void*, std::size_t, std::size_t, int flags, void*) {
            if (flags != 0) moves++;
            errno = EFAULT;
            return MAP_FAILED;
        };
        return made;
    }();
    char* const block = allocate(mapping_bytes);
    fill(block, mapping_bytes);
    moves = 0;
    os::set_memory_calls(&calls);
    EXPECT_EQ(large::resize(record_of(block), 10 * mebibyte), nullptr);
    os::set_memory_calls(nullptr);
    EXPECT_EQ(moves, 0u);
    EXPECT_TRUE(is_filled(block, mapping_bytes));
    EXPECT_TRUE(is_mapped_whole(block));
    release(block);
}

// A kernel may give the target up and then refuse. What is there by now is somebody else's.
TEST_F(Large, AfterAMoveThatWasRefusedNothingIsUnmapped) {
    static void* somebody_elses;
    static constexpr os::MemoryCalls calls = [] {
        os::MemoryCalls made = moving_calls;
        made.remap = [](void*, std::size_t, std::size_t bytes, int flags, void* target) {
            if (flags != 0) {
                somebody_elses = mmap(target, bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            }
            errno = ENOMEM;
            return MAP_FAILED;
        };
        return made;
    }();
    constexpr std::size_t wanted = 10 * mebibyte;
    char* const block = allocate(mapping_bytes);
    fill(block, mapping_bytes);
    os::set_memory_calls(&calls);
    EXPECT_EQ(large::resize(record_of(block), wanted), nullptr);
    os::set_memory_calls(nullptr);
    ASSERT_NE(somebody_elses, nullptr) << "no move was tried";
    fill(static_cast<char*>(somebody_elses), wanted);  // else this ends the program
    EXPECT_EQ(munmap(somebody_elses, wanted), 0);
    EXPECT_TRUE(is_filled(block, mapping_bytes));
    EXPECT_TRUE(is_mapped_whole(block));
    release(block);
}

TEST_F(Large, AShrunkMappingKeepsTheUnitInWhichItEndsAndNoOther) {
    char* const block = allocate(4 * mebibyte);
    EXPECT_EQ(large::resize(record_of(block), 3 * mebibyte + 1), block);
    EXPECT_EQ(record_of(block).block_bytes, 3 * mebibyte + unit_bytes);
    EXPECT_EQ(page_map::entry_of(block + 3 * mebibyte).class_id(), ClassId::large);
    EXPECT_EQ(page_map::entry_of(block + 3 * mebibyte + unit_bytes).bits, 0u);
    EXPECT_EQ(page_map::entry_of(block + 4 * mebibyte - 1).bits, 0u);
    release(block);
}

TEST_F(Large, AbsurdSizesAreRefusedAndTheBlockIsAsItWas) {
    char* const block = allocate(mapping_bytes);
    fill(block, mapping_bytes);
    for (const std::size_t bytes : {std::size_t{1} << 62, static_cast<std::size_t>(PTRDIFF_MAX),
                                    std::size_t{1} << 47, (std::size_t{1} << 47) - page_bytes}) {
        EXPECT_EQ(large::resize(record_of(block), bytes), nullptr) << bytes;
        EXPECT_EQ(allocate(bytes), nullptr) << bytes;
        EXPECT_EQ(large::validate(), nullptr);
        EXPECT_EQ(page_map::validate(), nullptr) << bytes;
    }
    EXPECT_TRUE(is_filled(block, mapping_bytes));
    EXPECT_TRUE(is_mapped_whole(block));
    release(block);
}

// ---- every system call refused ------------------------------------------------------------------

TEST_F(Large, WhicheverCallFailsAllocationIsWholeOrNull) {
    const std::size_t used = mappings().used;
    for (const std::size_t alignment : {std::size_t{16}, 16 * mebibyte}) {
        for (std::uint64_t n = 1; n <= 8; n++) {
            for (const bool onwards : {false, true}) {
                FaultInjection faults({.first = n, .last = onwards ? UINT64_MAX : n});
                char* const block = allocate(mapping_bytes, alignment);
                ASSERT_EQ(mappings().used, used + (block != nullptr ? 1 : 0));
                ASSERT_EQ(large::validate(), nullptr);
                if (block == nullptr) {
                    ASSERT_GT(FaultInjection::failed(), 0u);
                    continue;
                }
                ASSERT_TRUE(is_mapped_whole(block));
                fill(block, mapping_bytes);
                ASSERT_TRUE(is_filled(block, mapping_bytes));
                os::set_memory_calls(nullptr);
                release(block);
                large::trim_cache(0);
            }
        }
    }
}

TEST_F(Large, WhicheverCallFailsAResizedBlockIsWholeAndKeepsItsContents) {
    for (const std::size_t wanted : {2 * mebibyte + 1, 4 * mebibyte, 50 * mebibyte}) {
        unsigned refused = 0;
        for (std::uint64_t n = 1; n <= 10; n++) {
            for (const bool onwards : {false, true}) {
                char* const block = allocate(mapping_bytes);
                ASSERT_NE(block, nullptr);
                fill(block, mapping_bytes);
                char* resized = nullptr;
                {
                    FaultInjection faults({.first = n, .last = onwards ? UINT64_MAX : n});
                    resized = static_cast<char*>(large::resize(record_of(block), wanted));
                }
                if (resized == nullptr) {
                    refused++;
                    resized = block;
                    ASSERT_EQ(record_of(block).block_bytes, mapping_bytes);
                }
                const std::size_t usable = record_of(resized).block_bytes;
                ASSERT_TRUE(is_mapped_whole(resized)) << wanted << " call " << n;
                ASSERT_TRUE(is_filled(resized, std::min(usable, mapping_bytes)));
                fill(resized, usable);  // all of it can be written
                ASSERT_EQ(large::validate(), nullptr);
                release(resized);
                large::trim_cache(0);
            }
        }
        EXPECT_EQ(refused > 0, wanted > mapping_bytes) << wanted;
    }
}

TEST_F(Large, ResizingUnderRandomRefusalsKeepsEveryByte) {
    FaultInjection faults(
        {.calls = FaultInjection::map | FaultInjection::remap | FaultInjection::advise,
         .per_mille = 400,
         .seed = 3});
    std::mt19937 random(4);
    std::vector<char*> blocks;
    unsigned steps = 0;
    while (steps < 400) {
        if (blocks.size() < 4) {
            if (char* const block = allocate(2 * mebibyte + 1 + random() % (4 * mebibyte))) {
                fill(block, record_of(block).block_bytes);
                blocks.push_back(block);
            }
            continue;
        }
        steps++;
        char*& block = blocks[random() % blocks.size()];
        const std::size_t before = record_of(block).block_bytes;
        const std::size_t wanted = 2 * mebibyte + 1 + random() % (12 * mebibyte);
        void* const resized = large::resize(record_of(block), wanted);
        if (resized != nullptr) block = static_cast<char*>(resized);
        const std::size_t after = record_of(block).block_bytes;
        ASSERT_TRUE(resized != nullptr || after == before);
        ASSERT_TRUE(is_filled(block, std::min(before, after)));
        ASSERT_TRUE(is_mapped_whole(block));
        fill(block, after);
    }
    for (char* block : blocks) release(block);
}

// ---- huge pages ---------------------------------------------------------------------------------

// How large the heap is decides, so each test has a process of its own, in which it is empty, and
// says itself from which size on it is a grown one: for a block that leaves half of its last huge
// page, of which an eighth counts, that is 16 MiB.
class LargeHugePagesDeathTest : public tests::Pristine {
    const ChangedOption from_{&Options::huge_pages_from, 256 * mebibyte};
};

constexpr std::size_t huge_page_bytes = 2 * mebibyte;
constexpr std::size_t large_heap_bytes = 128 * mebibyte;  // chunks are 16 MiB then

#define EXPECT_IN_CHILD(...) \
    EXPECT_EXIT(tests::in_child([] __VA_ARGS__), testing::ExitedWithCode(0), "")

// Writes down for which memory huge pages are wanted. If told so, refuses mappings above a size,
// chooses a mapping's place, and lets none grow where it stands.
struct Watch {
    static inline std::size_t mapping_max = SIZE_MAX;
    static inline bool moves = false;
    static inline char* place = nullptr;  // of the next long mapping
    static inline unsigned asked = 0;
    static inline const void* start = nullptr;
    static inline std::size_t bytes = 0;

    static constexpr os::MemoryCalls calls = {
        [](void* address, std::size_t length, int protection, int flags, int file, off_t offset) {
            if (place != nullptr && length > 8 * mebibyte) {
                address = std::exchange(place, nullptr);
                flags |= MAP_FIXED;
            }
            if (length <= mapping_max) {
                return mmap(address, length, protection, flags, file, offset);
            }
            errno = ENOMEM;
            return MAP_FAILED;
        },
        kernel_calls.unmap,
        [](void* old_address, std::size_t old_bytes, std::size_t length, int flags, void* address) {
            const os::MemoryCalls& remaps = moves ? moving_calls : kernel_calls;
            return remaps.remap(old_address, old_bytes, length, flags, address);
        },
        [](void* address, std::size_t length, int advice) {
            if (advice != MADV_HUGEPAGE) return madvise(address, length, advice);
            asked++;
            start = address;
            bytes = length;
            return 0;
        },
        kernel_calls.residency,
        kernel_calls.protect,
    };
    Watch() { os::set_memory_calls(&calls); }
    // Whether the last request was for this, and the only one since the last call.
    static bool was_asked_once(const void* expected, std::size_t length) {
        return std::exchange(asked, 0) == 1 && start == expected && bytes == length;
    }
};

struct Zeroed {
    char* block;
    bool zero;
};
Zeroed allocate_zeroed(std::size_t bytes) {
    bool zero = false;
    void* const block = large::allocate(bytes, base::block_alignment, zero);
    return {static_cast<char*>(block), zero};
}

bool is_exact(const char* block, std::size_t bytes) {
    return record_of(block).block_bytes == bytes && mappings().cached == 0;
}

bool begins_a_huge_page(const char* block) {
    return reinterpret_cast<std::uintptr_t>(block) % huge_page_bytes == 0;
}

TEST_F(LargeHugePagesDeathTest, InASmallHeapAMappingIsExactAndAboveTheBoundItIsWholeHugePages) {
    EXPECT_IN_CHILD({
        const Watch watch;
        for (int i = 0; i < 5; i++) {
            const char* const alone = allocate(mapping_bytes);
            CHILD_REQUIRE(is_exact(alone, mapping_bytes));
            CHILD_REQUIRE(begins_a_huge_page(alone));
            CHILD_REQUIRE(Watch::was_asked_once(alone, mapping_bytes));
        }
        const char* const block = allocate(mapping_bytes);  // 18 MiB with this one
        CHILD_REQUIRE(begins_a_huge_page(block));
        CHILD_REQUIRE(Watch::was_asked_once(block, 2 * huge_page_bytes));
        CHILD_REQUIRE(record_of(block).block_bytes == mapping_bytes);
        CHILD_REQUIRE(mappings().cached == 1);
        CHILD_REQUIRE(mappings().cached_bytes == 2 * huge_page_bytes - mapping_bytes);
        CHILD_REQUIRE(is_mapped_whole(block));
        CHILD_REQUIRE(page_map::entry_of(block + mapping_bytes).class_id() == ClassId::free);
        CHILD_REQUIRE(page_map::slab_of(block + mapping_bytes) == nullptr);
        CHILD_REQUIRE(large::validate() == nullptr);
    });
}

TEST_F(LargeHugePagesDeathTest, AChunkBeginsAHugePageWhereverTheKernelWouldPlaceIt) {
    EXPECT_IN_CHILD({
        const Watch watch;
        const ChangedOption always(&Options::huge_pages, 2);
        char* const low = static_cast<char*>(os::reserve(32 * mebibyte, huge_page_bytes));
        Watch::place = low + unit_bytes;
        const char* const block = allocate(16 * mebibyte);
        CHILD_REQUIRE(Watch::place == nullptr);
        CHILD_REQUIRE(begins_a_huge_page(block));
    });
}

TEST_F(LargeHugePagesDeathTest, TheBoundItselfIsStillSmall) {
    EXPECT_IN_CHILD({
        const Watch watch;
        allocate(13 * mebibyte);
        Watch::asked = 0;
        const char* const block = allocate(mapping_bytes);
        CHILD_REQUIRE(is_exact(block, mapping_bytes));
        CHILD_REQUIRE(Watch::was_asked_once(block, mapping_bytes));
    });
}

TEST_F(LargeHugePagesDeathTest, ABlockThatLeavesLittleOfItsLastPageIsRoundedUpInASmallHeap) {
    EXPECT_IN_CHILD({
        const Watch watch;
        // A thirty-second of the page is left, so a sixteenth of what half a page asks for will do.
        const std::size_t bytes = 2 * huge_page_bytes - unit_bytes;
        const char* const block = allocate(bytes);
        CHILD_REQUIRE(Watch::was_asked_once(block, 2 * huge_page_bytes));
        CHILD_REQUIRE(record_of(block).block_bytes == bytes);
        CHILD_REQUIRE(mappings().cached_bytes == unit_bytes);
    });
}

TEST_F(LargeHugePagesDeathTest, ABlockThatFillsNoneIsNotAskedForInThem) {
    EXPECT_IN_CHILD({
        const Watch watch;
        bool zero = false;
        // It is a mapping for its alignment's sake.
        const void* const block = large::allocate(unit_bytes, 2 * base::superslab_bytes, zero);
        CHILD_REQUIRE(block != nullptr && mappings().used == 1);
        CHILD_REQUIRE(Watch::asked == 0);
        const void* const longer = large::resize(record_of(block), 5 * unit_bytes);
        CHILD_REQUIRE(longer != nullptr);
        CHILD_REQUIRE(Watch::asked == 0);
        CHILD_REQUIRE(large::resize(record_of(longer), huge_page_bytes) != nullptr);
        CHILD_REQUIRE(Watch::asked == 1);
    });
}

TEST_F(LargeHugePagesDeathTest, WhoWantsNoneGetsNone) {
    EXPECT_IN_CHILD({
        const Watch watch;
        for (const auto& [option, value] : {std::pair{&Options::huge_pages, 0U},
                                            {&Options::purge_thread, 1U},
                                            {&Options::large_split, 0U}}) {
            const ChangedOption unwilling(option, value);
            char* const block = allocate(mapping_bytes);
            CHILD_REQUIRE(is_exact(block, mapping_bytes));
            CHILD_REQUIRE(large::resize(record_of(block), 2 * mapping_bytes) != nullptr);
            CHILD_REQUIRE(Watch::asked == 0);
        }
    });
}

TEST_F(LargeHugePagesDeathTest, SuperslabsAreAPartOfTheHeap) {
    EXPECT_IN_CHILD({
        const Watch watch;
        for (int i = 0; i < 4; i++) {
            back::shared_pool::take(base::Units{64}, 1, back::shared_pool::Growth::allowed);
        }
        Watch::asked = 0;
        const char* const block = allocate(mapping_bytes);
        CHILD_REQUIRE(Watch::was_asked_once(block, 2 * huge_page_bytes));
    });
}

TEST_F(LargeHugePagesDeathTest, ARunOpensAHugePageFromEightUnitsOn) {
    EXPECT_IN_CHILD({
        const Watch watch;
        allocate(8 * mebibyte);
        const ChangedOption from(&Options::huge_pages_from, 8 * mebibyte);
        Watch::asked = 0;
        allocate(7 * unit_bytes);
        CHILD_REQUIRE(Watch::asked == 0);
        for (int i = 7; i < 32; i++) allocate(unit_bytes);  // up to the next page
        CHILD_REQUIRE(Watch::asked == 0);
        const char* const block = allocate(8 * unit_bytes);
        CHILD_REQUIRE(begins_a_huge_page(block));
        CHILD_REQUIRE(Watch::was_asked_once(block, huge_page_bytes));
    });
}

TEST_F(LargeHugePagesDeathTest, TheRestOfAChunkServesTheNextBlocksWithoutACall) {
    EXPECT_IN_CHILD({
        const Watch watch;
        const char* const heap = allocate(large_heap_bytes);
        CHILD_REQUIRE(Watch::was_asked_once(heap, large_heap_bytes));
        const char* const first = allocate(mapping_bytes);
        CHILD_REQUIRE(begins_a_huge_page(first));
        CHILD_REQUIRE(Watch::was_asked_once(first, large_heap_bytes / 8));
        CHILD_REQUIRE(mappings().cached_bytes == large_heap_bytes / 8 - mapping_bytes);
        const std::uint64_t maps = os::memory_counters().map;
        for (std::size_t i = 1; i < 5; i++) {
            CHILD_REQUIRE(allocate(mapping_bytes) == first + i * mapping_bytes);
        }
        CHILD_REQUIRE(os::memory_counters().map == maps);
        CHILD_REQUIRE(Watch::asked == 0);
        CHILD_REQUIRE(large::validate() == nullptr);
    });
}

TEST_F(LargeHugePagesDeathTest, AChunkIsAnEighthOfTheHeapAndNeverMoreThan64MiB) {
    EXPECT_IN_CHILD({
        const Watch watch;
        allocate(base::gibibyte);
        Watch::asked = 0;
        CHILD_REQUIRE(Watch::was_asked_once(allocate(mapping_bytes), 64 * mebibyte));
        // A block above that gets what it needs, in whole pages.
        CHILD_REQUIRE(Watch::was_asked_once(allocate(99 * mebibyte + 1), 99 * mebibyte + mebibyte));
    });
}

TEST_F(LargeHugePagesDeathTest, WhereTheKernelRefusesAChunkTheBlockGetsAMappingOfItsOwn) {
    EXPECT_IN_CHILD({
        const Watch watch;
        allocate(large_heap_bytes);
        Watch::asked = 0;
        // What is aligned to a unit may need one more while it is mapped; a chunk is longer.
        Watch::mapping_max = mapping_bytes + unit_bytes;
        const char* const block = allocate(mapping_bytes);
        CHILD_REQUIRE(block != nullptr);
        CHILD_REQUIRE(is_exact(block, mapping_bytes));
        CHILD_REQUIRE(Watch::asked == 0);
        CHILD_REQUIRE(is_mapped_whole(block));
        CHILD_REQUIRE(large::validate() == nullptr);
    });
}

// What nobody has had reads as zero, and nothing else does.
TEST_F(LargeHugePagesDeathTest, TheRestOfAChunkIsKnownToBeZeroUntilItJoinsWhatWasUsed) {
    EXPECT_IN_CHILD({
        const Watch watch;
        allocate(large_heap_bytes);
        char* const first = allocate(mapping_bytes);
        const Zeroed second = allocate_zeroed(mapping_bytes);
        CHILD_REQUIRE(second.block == first + mapping_bytes && second.zero);
        CHILD_REQUIRE(is_zero(second.block, mapping_bytes));
        const Zeroed third = allocate_zeroed(mapping_bytes);
        CHILD_REQUIRE(third.block == second.block + mapping_bytes && third.zero);
        fill(second.block, mapping_bytes);
        fill(third.block, mapping_bytes);
        release(second.block);  // stands alone
        const Zeroed again = allocate_zeroed(mapping_bytes);
        CHILD_REQUIRE(again.block == second.block && !again.zero);
        release(third.block);  // joins the rest
        CHILD_REQUIRE(mappings().cached == 1);
        for (int i = 0; i < 2; i++) {
            const Zeroed mixed = allocate_zeroed(mapping_bytes);
            CHILD_REQUIRE(mixed.block == third.block + static_cast<std::size_t>(i) * mapping_bytes);
            CHILD_REQUIRE(!mixed.zero);
        }
    });
}

TEST_F(LargeHugePagesDeathTest, NorIsARestKnownToBeZeroThatIsMappedBesideWhatWasUsed) {
    EXPECT_IN_CHILD({
        const Watch watch;
        allocate(large_heap_bytes);
        char* const low = static_cast<char*>(os::reserve(34 * mebibyte, huge_page_bytes));
        Watch::place = low + 18 * mebibyte;
        char* const used = allocate(16 * mebibyte);
        CHILD_REQUIRE(used == low + 18 * mebibyte);
        fill(used, 16 * mebibyte);
        release(used);
        Watch::place = low;
        CHILD_REQUIRE(allocate(17 * mebibyte) == low);  // too long for what is cached
        CHILD_REQUIRE(mappings().cached == 1);
        CHILD_REQUIRE(mappings().cached_bytes == 17 * mebibyte);
        const Zeroed mixed = allocate_zeroed(mapping_bytes);
        CHILD_REQUIRE(mixed.block == low + 17 * mebibyte);
        CHILD_REQUIRE(!mixed.zero);
    });
}

TEST_F(LargeHugePagesDeathTest, WhatIsCutOffUsedMemoryIsNotKnownToBeZero) {
    EXPECT_IN_CHILD({
        const Watch watch;
        char* const heap = allocate(large_heap_bytes);
        fill(heap, large_heap_bytes);
        release(heap);
        for (int i = 0; i < 3; i++) CHILD_REQUIRE(!allocate_zeroed(mapping_bytes).zero);
    });
}

TEST_F(LargeHugePagesDeathTest, TheRestOfAChunkDecaysAsAFreedMappingDoes) {
    EXPECT_IN_CHILD({
        const FakeClock clock;
        const Watch watch;
        allocate(large_heap_bytes);
        allocate(mapping_bytes);
        constexpr std::size_t rest = large_heap_bytes / 8 - mapping_bytes;
        FakeClock::time += 499;
        CHILD_REQUIRE(large::trim_cache(500) == 0);
        FakeClock::time += 1;
        CHILD_REQUIRE(large::trim_cache(500) == rest);
        CHILD_REQUIRE(mappings().cached == 0);
    });
}

TEST_F(LargeHugePagesDeathTest, WithoutSplittingOrWithoutHugePagesThereAreNoChunks) {
    EXPECT_IN_CHILD({
        const Watch watch;
        for (std::uint64_t Options::*const option : {&Options::large_split, &Options::huge_pages}) {
            const ChangedOption off(option, 0);
            allocate(large_heap_bytes);
            CHILD_REQUIRE(is_exact(allocate(mapping_bytes), mapping_bytes));
            CHILD_REQUIRE(Watch::asked == 0);
        }
    });
}

TEST_F(LargeHugePagesDeathTest, IfTheyAreAlwaysWantedTheFirstMappingHasThem) {
    EXPECT_IN_CHILD({
        const Watch watch;
        const ChangedOption always(&Options::huge_pages, 2);
        const char* const block = allocate(mapping_bytes);
        CHILD_REQUIRE(begins_a_huge_page(block));
        CHILD_REQUIRE(Watch::was_asked_once(block, 2 * huge_page_bytes));
    });
}

TEST_F(LargeHugePagesDeathTest, AMappingThatGrowsIsAskedForInHugePages) {
    EXPECT_IN_CHILD({
        const Watch watch;
        for (const bool moves : {false, true}) {
            Watch::moves = moves;
            char* block = allocate(mapping_bytes);
            Watch::asked = 0;
            const auto grow = [&block](std::size_t bytes) {
                block = static_cast<char*>(large::resize(record_of(block), bytes));
                CHILD_REQUIRE(block != nullptr && record_of(block).block_bytes == bytes);
            };
            grow(16 * mebibyte);
            CHILD_REQUIRE(Watch::was_asked_once(block, 16 * mebibyte));
            grow(16 * mebibyte + unit_bytes);
            CHILD_REQUIRE(Watch::was_asked_once(block, 16 * mebibyte + unit_bytes));
            CHILD_REQUIRE(is_mapped_whole(block));
            release(block);
            large::trim_cache(0);
        }
    });
}

// From one boundary to another huge pages move as such.
TEST_F(LargeHugePagesDeathTest, AMappingThatBeginsAHugePageDoesSoAfterAMoveToo) {
    EXPECT_IN_CHILD({
        const Watch watch;
        Watch::moves = true;
        const ChangedOption always(&Options::huge_pages, 2);
        std::size_t bytes = 2 * huge_page_bytes;
        char* block = allocate(bytes);
        CHILD_REQUIRE(begins_a_huge_page(block));
        for (int i = 0; i < 10; i++) {
            bytes += mebibyte + unit_bytes;
            block = static_cast<char*>(large::resize(record_of(block), bytes));
            CHILD_REQUIRE(block != nullptr && begins_a_huge_page(block));
        }
    });
}

TEST_F(LargeHugePagesDeathTest, WhatIsUnmappedIsNoLongerAPartOfTheHeap) {
    EXPECT_IN_CHILD({
        const Watch watch;
        // As a whole.
        release(allocate(large_heap_bytes));
        large::trim_cache(0);
        char* block = allocate(13 * mebibyte);
        // By shrinking and growing.
        block = static_cast<char*>(large::resize(record_of(block), 12 * mebibyte));
        block = static_cast<char*>(large::resize(record_of(block), 13 * mebibyte));
        block = static_cast<char*>(large::resize(record_of(block), 4 * mebibyte));
        CHILD_REQUIRE(is_exact(allocate(11 * mebibyte), 11 * mebibyte));
        Watch::asked = 0;
        // Now the heap has 15 MiB; what is cached counts, too.
        release(block);
        CHILD_REQUIRE(Watch::was_asked_once(allocate(5 * mebibyte), 6 * mebibyte));
    });
}

// ---- threads ------------------------------------------------------------------------------------

TEST_F(Large, ThreadsShareTheCacheAndNothingElse) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; t++) {
        threads.emplace_back([t] {
            std::mt19937 random(t);
            for (int i = 0; i < 150; i++) {
                std::size_t bytes = 33 * kibibyte + random() % (6 * mebibyte);
                char* block = allocate(bytes);
                ASSERT_NE(block, nullptr);
                fill(block, bytes, t);
                const std::size_t wanted = 33 * kibibyte + random() % (6 * mebibyte);
                if (void* const resized = large::resize(record_of(block), wanted)) {
                    block = static_cast<char*>(resized);
                    bytes = std::min(bytes, record_of(block).block_bytes);
                }
                ASSERT_TRUE(is_filled(block, bytes, t));
                if (random() % 8 == 0) large::trim_cache(0);
                release(block);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(back::shared_pool::validate(), nullptr);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST_F(Large, I1_ACachedMappingThatChangesItsLengthIsNoticed) {
    char* const block = allocate(mapping_bytes);
    Slab& record = record_of(block);
    release(block);
    ASSERT_EQ(large::validate(), nullptr);
    record.block_bytes += page_bytes;
    EXPECT_STREQ(large::validate(), "large I1");
    record.block_bytes -= page_bytes;
    EXPECT_EQ(large::validate(), nullptr);
}

TEST_F(Large, I2_AMappingThatThePageMapDoesNotKnowIsNoticed) {
    char* const block = allocate(mapping_bytes);
    Slab& record = record_of(block);
    ASSERT_EQ(large::validate(), nullptr);
    const page_map::Entry entry = page_map::entry_of(block);
    page_map::assign(block, 1, entry, nullptr);
    EXPECT_STREQ(large::validate(), "large I2");
    page_map::assign(block, 1, entry, &record);
    EXPECT_EQ(large::validate(), nullptr);
    release(block);
}

}  // namespace
