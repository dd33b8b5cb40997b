#include "middle/ledger.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "back/large.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/purge.hpp"
#include "back/shared_pool.hpp"
#include "front/thread_heap.hpp"
#include "os/virtual_memory.hpp"
#include "phases/phase_16.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fake_clock.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
namespace ledger = middle::ledger;
using base::ClassId;
using base::page_bytes;
using middle::Ledger;
using phases::Phase16;
using tests::FaultInjection;

Ledger take() {
    Ledger l{};
    EXPECT_TRUE(ledger::take(l));
    return l;
}

// A block of which every page was written.
char* allocate(std::size_t bytes) {
    auto* const block = static_cast<char*>(Phase16::allocate(bytes));
    std::memset(block, 1, bytes);
    return block;
}

unsigned class_of(std::size_t bytes) { return base::index(base::class_of(bytes)); }

// The clock stands still, so that no sweep and no idle tick comes in between.
class LedgerTest : public testing::Test {
protected:
    LedgerTest() { Phase16::trim(); }
    ~LedgerTest() override {
        Phase16::trim();
        EXPECT_EQ(Phase16::validate(), nullptr);
    }
    tests::FakeClock clock_;
};

// ---- the terms ----------------------------------------------------------------------------------

TEST_F(LedgerTest, ResidentIsTheSumOfTheSixTerms) {
    Ledger l{};
    l.live = 1;
    l.cached = 20;
    l.free_in_slabs = 300;
    l.slack = 4000;
    l.dirty = 50000;
    l.metadata = 600000;
    EXPECT_EQ(l.resident(), 654321u);
}

TEST_F(LedgerTest, ALiveBlockIsCountedOnceWithItsClass) {
    const Ledger before = take();
    std::vector<char*> blocks;
    for (int i = 0; i < 1000; i++) blocks.push_back(allocate(100));
    const Ledger during = take();
    const unsigned c = class_of(100);
    EXPECT_EQ(during.live_blocks, before.live_blocks + 1000);
    EXPECT_EQ(during.live_bytes, before.live_bytes + 1000 * 112);
    EXPECT_EQ(during.classes[c].live_blocks, before.classes[c].live_blocks + 1000);
    // Every byte of them was written.
    EXPECT_EQ(during.live, before.live + 1000 * 112);
    for (char* block : blocks) Phase16::deallocate(block);
    const Ledger after = take();
    EXPECT_EQ(after.live_blocks, before.live_blocks);
    EXPECT_EQ(after.live_bytes, before.live_bytes);
    EXPECT_EQ(after.live, before.live);
}

TEST_F(LedgerTest, AFreedBlockIsCachedThenFreeThenDirtyThenGone) {
    std::vector<char*> blocks;
    for (int i = 0; i < 300; i++) blocks.push_back(allocate(1024));
    const unsigned c = class_of(1024);
    const Ledger live = take();
    EXPECT_EQ(live.classes[c].live_blocks, 300u);
    for (char* block : blocks) Phase16::deallocate(block);
    const Ledger cached = take();
    EXPECT_EQ(cached.classes[c].live_blocks, 0u);
    EXPECT_GT(cached.classes[c].cached_blocks, 0u);
    EXPECT_GT(cached.cached, 0u);
    // Nothing was given back to the system yet: the same bytes under other names.
    EXPECT_EQ(cached.resident() - cached.metadata, live.resident() - live.metadata);
    front::own_heap()->empty_out();
    const Ledger emptied = take();
    EXPECT_EQ(emptied.classes[c].cached_blocks, 0u);
    EXPECT_EQ(emptied.classes[c].slabs, 0u);
    EXPECT_GE(emptied.dirty, 300u * 1024);
    back::purge::all();
    const Ledger purged = take();
    EXPECT_EQ(purged.dirty, 0u);
    EXPECT_LE(purged.resident(), live.resident() - 300 * 1024);
}

TEST_F(LedgerTest, EveryBlockOfEverySlabIsLiveCachedOrFree) {
    std::mt19937 random(1);
    std::vector<char*> blocks;
    for (int i = 0; i < 20000; i++) {
        if (random() % 3 != 0 || blocks.empty()) {
            blocks.push_back(allocate(1 + random() % 3000));
        } else {
            std::swap(blocks[random() % blocks.size()], blocks.back());
            Phase16::deallocate(blocks.back());
            blocks.pop_back();
        }
    }
    const Ledger l = take();
    std::uint64_t live = l.large_blocks;
    for (unsigned c = 1; c < base::class_count; c++) {
        const middle::LedgerClass& row = l.classes[c];
        EXPECT_EQ(row.live_blocks + row.cached_blocks + row.free_blocks,
                  row.slabs * base::size_classes[c].blocks)
            << "class " << c;
        live += row.live_blocks;
    }
    EXPECT_EQ(live, l.live_blocks);
    EXPECT_EQ(l.live_blocks, blocks.size());
    for (char* block : blocks) Phase16::deallocate(block);
}

TEST_F(LedgerTest, LargeBlocksAndMappings) {
    const Ledger before = take();
    char* const run = allocate(100000);
    char* const mapping = allocate(3 * base::mebibyte);
    const Ledger during = take();
    EXPECT_EQ(during.large_blocks, before.large_blocks + 2);
    EXPECT_EQ(during.mappings, before.mappings + 1);
    EXPECT_EQ(during.mapping_bytes, before.mapping_bytes + 3 * base::mebibyte);
    EXPECT_EQ(during.live_bytes, before.live_bytes + 2 * base::unit_bytes + 3 * base::mebibyte);
    // Only what was touched is resident.
    EXPECT_EQ(during.live, before.live + base::round_up(100000, page_bytes) + 3 * base::mebibyte);
    Phase16::deallocate(run);
    Phase16::deallocate(mapping);
    const Ledger after = take();
    EXPECT_EQ(after.live, before.live);
    EXPECT_EQ(after.mappings, before.mappings);
    // The cached mapping is dirty memory.
    EXPECT_GE(after.dirty, before.dirty + 3 * base::mebibyte);
    EXPECT_GE(after.mapped, before.mapped);
}

TEST_F(LedgerTest, UntouchedMemoryIsLiveButNotResident) {
    const Ledger before = take();
    void* const mapping = Phase16::allocate(100 * base::mebibyte);
    const Ledger during = take();
    EXPECT_EQ(during.live_bytes, before.live_bytes + 100 * base::mebibyte);
    EXPECT_EQ(during.live, before.live);
    Phase16::deallocate(mapping);
}

TEST_F(LedgerTest, APageIsDividedAmongTheBlocksOnIt) {
    const Ledger before = take();
    // Blocks of 48 bytes lie across the borders of pages.
    std::vector<char*> blocks;
    for (std::size_t i = 0; i < 4 * page_bytes / 48; i++) blocks.push_back(allocate(48));
    for (std::size_t i = 0; i < blocks.size(); i += 2) Phase16::deallocate(blocks[i]);
    const Ledger during = take();
    const std::size_t kept = blocks.size() / 2;
    EXPECT_EQ(during.live, before.live + kept * 48);
    for (std::size_t i = 1; i < blocks.size(); i += 2) Phase16::deallocate(blocks[i]);
}

TEST_F(LedgerTest, PendingRemoteFreesAreCached) {
    std::vector<char*> blocks;
    std::thread([&blocks] {
        for (int i = 0; i < 10; i++) blocks.push_back(allocate(100));
    }).join();
    Phase16::deallocate(Phase16::allocate(1));  // this thread has a heap
    const unsigned c = class_of(100);
    const Ledger before = take();
    for (char* block : blocks) Phase16::deallocate(block);
    const Ledger pending = take();
    EXPECT_EQ(pending.classes[c].live_blocks, before.classes[c].live_blocks - 10);
    EXPECT_EQ(pending.classes[c].cached_blocks, before.classes[c].cached_blocks + 10);
    Phase16::trim();
    const Ledger after = take();
    EXPECT_EQ(after.classes[c].live_blocks, 0u);
    EXPECT_EQ(after.classes[c].cached_blocks, 0u);
}

TEST_F(LedgerTest, WhatIsMappedIsReserved) {
    char* const block = allocate(100);
    const Ledger l = take();
    EXPECT_LE(l.mapped, l.reserved);
    EXPECT_LE(l.resident(), l.mapped);
    EXPECT_EQ(l.superslabs, back::shared_pool::superslab_count());
    Phase16::deallocate(block);
}

// ---- against the kernel -------------------------------------------------------------------------

struct Range {
    std::uintptr_t start;
    std::uintptr_t end;
};

void note_range(const void* start, std::size_t bytes, void* ranges) {
    const auto at = reinterpret_cast<std::uintptr_t>(start);
    static_cast<std::vector<Range>*>(ranges)->push_back({at, at + bytes});
}

// Everything that HAKMEM has mapped, in order, neighbours joined.
std::vector<Range> own_ranges() {
    std::vector<Range> ranges;
    for (std::uint32_t i = 0; i < back::shared_pool::superslab_count(); i++) {
        const char* const start = back::shared_pool::superslab_at(i).start;
        if (start != nullptr) note_range(start, base::superslab_bytes, &ranges);
    }
    back::large::for_each_mapping(
        [](const back::large::MappingView& mapping, void* context) {
            note_range(mapping.start, mapping.bytes, context);
        },
        &ranges);
    back::meta_arena::for_each_chunk(note_range, &ranges);
    back::page_map::for_each_part(note_range, &ranges);
    std::sort(ranges.begin(), ranges.end(),
              [](const Range& a, const Range& b) { return a.start < b.start; });
    std::vector<Range> joined;
    for (const Range& range : ranges) {
        if (!joined.empty() && joined.back().end == range.start) {
            joined.back().end = range.end;
        } else {
            joined.push_back(range);
        }
    }
    return joined;
}

bool is_present(int pagemap, std::uintptr_t page) {
    std::uint64_t entry = 0;
    const auto offset = static_cast<off_t>(page / page_bytes * sizeof entry);
    return pread(pagemap, &entry, sizeof entry, offset) == sizeof entry && (entry >> 63) != 0;
}

struct KernelCount {
    std::size_t present = 0;   // bytes of pages that have an entry in the page tables: pagemap
    std::size_t rss = 0;       // of those in mappings that are HAKMEM's altogether: smaps
    std::size_t expected = 0;  // what pagemap says of the same mappings
    std::size_t zero = 0;      // pages among them that read as zero
};

bool is_zero(std::uintptr_t page) {
    const auto* const words = reinterpret_cast<const std::uint64_t*>(page);
    return std::all_of(words, words + page_bytes / sizeof *words,
                       [](std::uint64_t word) { return word == 0; });
}

// The kernel joins neighbours to one mapping, and the root of the page map lies in .bss; so not
// every mapping of /proc/self/smaps is HAKMEM's altogether.
bool ask_kernel(KernelCount& count) {
    const std::vector<Range> own = own_ranges();
    std::FILE* const smaps = std::fopen("/proc/self/smaps", "re");
    const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (smaps == nullptr || pagemap < 0) return false;
    char line[512];
    std::size_t present = 0;  // in HAKMEM's part of the mapping that is being read
    std::size_t zero = 0;
    bool whole = false;
    while (std::fgets(line, sizeof line, smaps) != nullptr) {
        Range mapping{};
        std::size_t kibibytes = 0;
        if (std::sscanf(line, "%lx-%lx ", &mapping.start, &mapping.end) == 2) {
            present = zero = 0;
            std::size_t covered = 0;
            for (const Range& range : own) {
                const Range part{std::max(range.start, mapping.start),
                                 std::min(range.end, mapping.end)};
                for (std::uintptr_t at = part.start; at < part.end; at += page_bytes) {
                    covered += page_bytes;
                    if (!is_present(pagemap, at)) continue;
                    present += page_bytes;
                    if (is_zero(at)) zero += page_bytes;
                }
            }
            whole = covered == mapping.end - mapping.start;
            count.present += present;
        } else if (std::sscanf(line, "Rss: %lu kB", &kibibytes) == 1 && whole) {
            count.rss += kibibytes * base::kibibyte;
            count.expected += present;
            count.zero += zero;
        }
    }
    std::fclose(smaps);
    close(pagemap);
    return true;
}

// When nothing moves, the ledger is exact to the byte: it says what the page tables say. The kernel
// leaves one kind of page out of Rss: where memory was only ever read, its one page of zeros stands
// in.
TEST_F(LedgerTest, ItsSumIsWhatTheKernelCounts) {
    std::mt19937 random(2);
    std::vector<char*> blocks;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 4000; i++) {
            const std::size_t bytes =
                random() % 100 == 0 ? 1 + random() % (5 * base::mebibyte) : 1 + random() % 4000;
            if (random() % 3 != 0 || blocks.empty()) {
                blocks.push_back(allocate(bytes));
            } else {
                std::swap(blocks[random() % blocks.size()], blocks.back());
                Phase16::deallocate(blocks.back());
                blocks.pop_back();
            }
        }
        if (round == 3) Phase16::trim();
        KernelCount kernel;
        const Ledger l = take();
        if (!ask_kernel(kernel)) GTEST_SKIP() << "there is no /proc";
        EXPECT_EQ(l.resident(), kernel.present);
        EXPECT_GT(kernel.rss, 0u);
        EXPECT_LE(kernel.rss, kernel.expected);
        EXPECT_GE(kernel.rss + kernel.zero, kernel.expected);
    }
    for (char* block : blocks) Phase16::deallocate(block);
}

using LedgerDeathTest = tests::Pristine;

TEST_F(LedgerDeathTest, LookingChangesNothing) {
    EXPECT_EXIT(tests::in_child([] {
                    Phase16::deallocate(allocate(1000000));
                    Phase16::deallocate(allocate(100));
                    const std::uint64_t first = take().resident();
                    for (int i = 0; i < 5; i++) CHILD_REQUIRE(take().resident() == first);
                }),
                testing::ExitedWithCode(0), "");
}

// ---- walking ------------------------------------------------------------------------------------

struct Seen {
    std::map<const void*, std::pair<std::size_t, ClassId>> blocks;
    std::size_t stop_after = SIZE_MAX;
    std::size_t calls = 0;
};

bool see(const void* start, std::size_t bytes, ClassId id, void* context) {
    Seen& seen = *static_cast<Seen*>(context);
    seen.calls++;
    EXPECT_TRUE(seen.blocks.emplace(start, std::pair{bytes, id}).second) << "visited twice";
    return seen.calls < seen.stop_after;
}

TEST_F(LedgerTest, AWalkVisitsEveryLiveBlockOnce) {
    std::vector<char*> blocks;
    for (const std::size_t bytes :
         {1u, 16u, 17u, 1000u, 20000u, 32768u, 32769u, 2000000u, 3000000u}) {
        for (int i = 0; i < 5; i++) blocks.push_back(allocate(bytes));
        // Some are freed again: into a magazine, and by another thread.
        Phase16::deallocate(allocate(bytes));
        char* const other = allocate(bytes);
        std::thread([other] { Phase16::deallocate(other); }).join();
    }
    Seen seen;
    ASSERT_TRUE(ledger::walk(see, &seen));
    EXPECT_EQ(seen.blocks.size(), blocks.size());
    for (char* block : blocks) {
        const auto it = seen.blocks.find(block);
        ASSERT_NE(it, seen.blocks.end());
        EXPECT_EQ(it->second.first, Phase16::usable_bytes(block));
        EXPECT_EQ(it->second.second, back::page_map::entry_of(block).class_id());
        Phase16::deallocate(block);
    }
}

TEST_F(LedgerTest, AWalkStopsWhenItIsToldTo) {
    std::vector<char*> blocks;
    for (const std::size_t bytes : {100u, 100000u, 3000000u}) {
        for (int i = 0; i < 5; i++) blocks.push_back(allocate(bytes));
    }
    for (std::size_t n = 1; n <= blocks.size(); n++) {
        Seen seen;
        seen.stop_after = n;
        ASSERT_TRUE(ledger::walk(see, &seen));
        EXPECT_EQ(seen.calls, n);
    }
    for (char* block : blocks) Phase16::deallocate(block);
}

TEST_F(LedgerTest, WithoutMemoryForTheWalkThereIsNone) {
    FaultInjection faults({.calls = FaultInjection::map});
    Ledger l{};
    EXPECT_FALSE(ledger::take(l));
    EXPECT_EQ(l.resident(), 0u);
    Seen seen;
    EXPECT_FALSE(ledger::walk(see, &seen));
    EXPECT_EQ(seen.calls, 0u);
}

TEST_F(LedgerTest, AResidencyThatTheKernelDoesNotTellIsCountedAsNone) {
    char* const blocks[] = {allocate(100), allocate(3 * base::mebibyte)};
    FaultInjection faults({.calls = FaultInjection::residency});
    Ledger l{};
    EXPECT_TRUE(ledger::take(l));
    EXPECT_EQ(l.resident(), 0u);
    for (char* block : blocks) Phase16::deallocate(block);
}

// ---- while others work --------------------------------------------------------------------------

TEST_F(LedgerTest, ItMayBeTakenWhileOtherThreadsAllocateAndFree) {
    std::atomic<bool> going{true};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; t++) {
        threads.emplace_back([&going, t] {
            std::mt19937 random(t);
            std::vector<char*> blocks;
            while (going) {
                // The same units serve as slabs and as large blocks in turn.
                const std::size_t bytes =
                    random() % 4 == 0 ? 33000 + random() % 500000 : 1 + random() % 32768;
                blocks.push_back(static_cast<char*>(Phase16::allocate(bytes)));
                if (blocks.size() > 50) {
                    for (char* block : blocks) Phase16::deallocate(block);
                    blocks.clear();
                    front::own_heap()->empty_out();
                }
            }
            for (char* block : blocks) Phase16::deallocate(block);
        });
    }
    for (int i = 0; i < 60; i++) {
        const Ledger l = take();
        // No figure is negative, or an absurd one.
        for (const std::uint64_t figure : {l.live, l.cached, l.free_in_slabs, l.slack, l.dirty,
                                           l.metadata, l.live_bytes, l.mapped, l.reserved}) {
            EXPECT_LT(figure, std::uint64_t{1} << 40);
        }
        std::size_t calls = 0;
        EXPECT_TRUE(ledger::walk(
            [](const void* start, std::size_t, ClassId, void* context) {
                ++*static_cast<std::size_t*>(context);
                return start != nullptr;
            },
            &calls));
    }
    going = false;
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
