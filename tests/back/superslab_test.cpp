#include "back/superslab.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "back/page_map.hpp"
#include "base/bits.hpp"
#include "os/virtual_memory.hpp"
#include "tests/back/arena_room.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/fault_injection.hpp"
#include "tests/os/kernel_calls.hpp"

namespace {

using namespace hakmem;
namespace page_map = back::page_map;
namespace superslab = back::superslab;
using back::Extent;
using back::Superslab;
using back::Within;
using UnitRun = back::Run;  // gtest has a Run of its own
using base::superslab_bytes;
using base::superslab_units;
using base::unit_bytes;
using base::Units;
using tests::FaultInjection;
using tests::kernel_calls;
using tests::leave_arena_room;

constexpr std::uint64_t all_units = ~std::uint64_t{0};
constexpr unsigned bitmap_lengths[] = {8, 16, 32, 64};  // words
constexpr unsigned page_words = base::page_bytes / sizeof(std::uint64_t);
constexpr unsigned units_a_record_page = base::page_bytes / sizeof(back::Slab);

// A superslab that belongs to the test and not to the pool.
class Fixture {
public:
    explicit Fixture(os::PageSize size = os::PageSize::small)
        : start_(static_cast<char*>(os::map(superslab_bytes, superslab_bytes))),
          superslab_(page_map::ensure(start_, superslab_bytes) ? superslab::create(0) : nullptr) {
        superslab::occupy(*superslab_, start_);
        superslab::prefer(*superslab_, all_units, size);
    }
    ~Fixture() {
        page_map::assign(start_, superslab_bytes, page_map::Entry{0}, nullptr);
        os::unmap(start_, superslab_bytes);
    }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;
    Superslab& operator*() const { return *superslab_; }
    Superslab* operator->() const { return superslab_; }

private:
    char* start_;
    Superslab* superslab_;
};

UnitRun take(Superslab& s, unsigned count, unsigned alignment = 1) {
    return superslab::take(s, Units{count}, alignment);
}

void soil(const UnitRun& run) {
    for (std::size_t i = 0; i < run.count.bytes(); i += base::page_bytes) run.start()[i] = 1;
}

bool reads_zero(const UnitRun& run) {
    for (std::size_t i = 0; i < run.count.bytes(); i += base::page_bytes) {
        if (run.start()[i] != 0) return false;
    }
    return true;
}

// Purges, and says how many units became clean. The sum that purge() returns has pages of records
// and bitmaps in it as well.
unsigned units_purged(Superslab& s, Extent extent) {
    const unsigned dirty = base::bit_count(s.recent | s.old);
    superslab::purge(s, extent);
    return dirty - base::bit_count(s.recent | s.old);
}

// ---- making -------------------------------------------------------------------------------------

TEST(Superslab, ANewOneIsFreeCleanAndInThePageMap) {
    Fixture s;
    EXPECT_EQ(s->taken, 0u);
    EXPECT_EQ(s->recent | s->old, 0u);
    for (unsigned unit = 0; unit < superslab_units; unit++) {
        const char* const place = s->start + unit * unit_bytes;
        EXPECT_EQ(page_map::entry_of(place).class_id(), base::ClassId::free);
        EXPECT_EQ(page_map::entry_of(place).tag(), 0u);
        EXPECT_EQ(page_map::slab_of(place), nullptr);
    }
    EXPECT_EQ(superslab::validate(*s), nullptr);
}

TEST(Superslab, WithoutMemoryForItsRecordsThereIsNone) {
    {
        FaultInjection faults({.calls = FaultInjection::map});
        // What is left of the arena's chunk serves some.
        int made = 0;
        while (made < 1000 && superslab::create(0) != nullptr) made++;
        EXPECT_LT(made, 1000);
    }
    Superslab* const later = superslab::create(3);
    ASSERT_NE(later, nullptr);
    EXPECT_EQ(later->index, 3u);
}

TEST(Superslab, OneThatCouldNotBeMadeCostsNoRecords) {
    const char* const next = leave_arena_room(5 * base::round_up(sizeof(Superslab), 64));
    FaultInjection faults({.calls = FaultInjection::map});
    for (int i = 0; i < 5; i++) EXPECT_EQ(superslab::create(0), nullptr);
    EXPECT_EQ(back::meta_arena::allocate(64), next);
}

TEST(Superslab, BeforeItHasMemoryNothingCanBeTaken) {
    Superslab* const s = superslab::create(0);
    ASSERT_NE(s, nullptr);
    EXPECT_EQ(s->start, nullptr);
    EXPECT_EQ(take(*s, 1).superslab, nullptr);
    EXPECT_EQ(superslab::purge(*s, Extent::all), 0u);
    EXPECT_EQ(superslab::vacate(*s), nullptr);
    EXPECT_EQ(superslab::validate(*s), nullptr);
}

TEST(Superslab, AWhollyFreeOneGivesItsMemoryUpAndMayGetOther) {
    Fixture s;
    Fixture other;
    char* const start = s->start;
    const UnitRun run = take(*s, 3);
    EXPECT_EQ(superslab::vacate(*s), nullptr);  // somebody is in it
    soil(run);
    superslab::give_back(run);
    ASSERT_EQ(superslab::vacate(*s), start);
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_EQ(take(*s, 1).superslab, nullptr);
    EXPECT_EQ(superslab::purge(*s, Extent::all), 0u);
    for (unsigned unit = 0; unit < superslab_units; unit++) {
        EXPECT_EQ(page_map::entry_of(start + unit * unit_bytes).bits, 0u);
    }
    ASSERT_TRUE(os::purge(start, superslab_bytes));
    superslab::occupy(*s, start);
    EXPECT_EQ(take(*s, 64).start(), start);
    EXPECT_EQ(page_map::entry_of(start).class_id(), base::ClassId::free);
    EXPECT_EQ(superslab::validate(*s), nullptr);
}

// ---- taking and giving back ---------------------------------------------------------------------

TEST(Superslab, TheLowestRunIsTaken) {
    Fixture s;
    EXPECT_EQ(take(*s, 3).first, 0u);
    EXPECT_EQ(take(*s, 1).first, 3u);
    const UnitRun gap = take(*s, 2);
    EXPECT_EQ(gap.first, 4u);
    EXPECT_EQ(take(*s, 1).first, 6u);
    superslab::give_back(gap);
    EXPECT_EQ(take(*s, 3).first, 7u);  // the gap has two
    EXPECT_EQ(take(*s, 1).first, 4u);
    EXPECT_EQ(take(*s, 1).first, 5u);
}

TEST(Superslab, RunsOfEveryLengthAndAlignment) {
    for (unsigned count = 1; count <= superslab_units; count++) {
        for (unsigned alignment = 1; alignment <= superslab_units; alignment *= 2) {
            Fixture s;
            take(*s, 1);  // unit 0 is not to be had
            const UnitRun run = take(*s, count, alignment);
            if (alignment + count > superslab_units) {
                EXPECT_EQ(run.superslab, nullptr);
                EXPECT_EQ(s->taken, 1u);
                continue;
            }
            ASSERT_EQ(run.superslab, &*s);
            EXPECT_EQ(run.first, alignment);
            EXPECT_EQ(run.count, Units{count});
            EXPECT_EQ(run.start(), s->start + alignment * unit_bytes);
            EXPECT_EQ(s->taken, 1u | run.bits());
        }
        count += count > 8 ? 7 : 0;
    }
}

TEST(Superslab, AllUnitsCanBeTakenOneByOneAndThenNoMore) {
    Fixture s;
    for (unsigned i = 0; i < superslab_units; i++) EXPECT_EQ(take(*s, 1).first, i);
    EXPECT_EQ(s->taken, all_units);
    EXPECT_EQ(take(*s, 1).superslab, nullptr);
}

TEST(Superslab, FreshUnitsReadAsZeroAndUsedOnesAreNotTakenForClean) {
    Fixture s;
    UnitRun run = take(*s, 4);
    EXPECT_TRUE(run.zero);
    EXPECT_TRUE(reads_zero(run));
    soil(run);
    superslab::give_back(run);
    EXPECT_EQ(s->recent, 0xfu);
    run = take(*s, 1);
    EXPECT_FALSE(run.zero);
    EXPECT_EQ(s->recent, 0xeu);  // the taken unit is its master's business
    // One dirty unit makes the run dirty.
    EXPECT_FALSE(take(*s, 10).zero);
    EXPECT_EQ(s->recent, 0u);
    EXPECT_TRUE(take(*s, 10).zero);
}

// ---- extending ----------------------------------------------------------------------------------

TEST(Superslab, ARunGrowsOverFreeUnitsBehindIt) {
    Fixture s;
    UnitRun run = take(*s, 2);
    ASSERT_TRUE(superslab::extend(run, Units{5}));
    EXPECT_EQ(run.count, Units{5});
    EXPECT_EQ(s->taken, 0x1fu);
    ASSERT_TRUE(superslab::extend(run, Units{5}));  // as long as it is
    EXPECT_EQ(s->taken, 0x1fu);
    ASSERT_TRUE(superslab::extend(run, Units{64}));
    EXPECT_EQ(s->taken, all_units);
}

TEST(Superslab, ARunDoesNotGrowOverATakenUnitNorPastTheEnd) {
    Fixture s;
    UnitRun run = take(*s, 2);
    const UnitRun gap = take(*s, 2);
    take(*s, 1);
    superslab::give_back(gap);
    EXPECT_FALSE(superslab::extend(run, Units{5}));
    EXPECT_EQ(run.count, Units{2});
    EXPECT_EQ(s->taken, 0x13u);
    ASSERT_TRUE(superslab::extend(run, Units{4}));
    UnitRun last = take(*s, 4, 32);
    EXPECT_EQ(last.first, 32u);
    EXPECT_FALSE(superslab::extend(last, Units{33}));
    EXPECT_TRUE(superslab::extend(last, Units{32}));
}

TEST(Superslab, UnitsThatARunGrowsOverAreNoLongerDirty) {
    Fixture s;
    UnitRun run = take(*s, 1);
    const UnitRun behind = take(*s, 2);
    soil(behind);
    superslab::give_back(behind);
    ASSERT_TRUE(superslab::extend(run, Units{3}));
    EXPECT_EQ(s->recent | s->old, 0u);
}

// ---- records ------------------------------------------------------------------------------------

TEST(Superslab, ARecordLeadsBackToItsRun) {
    Fixture s;
    take(*s, 5);
    const UnitRun run = take(*s, 3);
    back::Slab& slab = superslab::describe(run, 1);
    EXPECT_EQ(slab.start, run.start());
    EXPECT_EQ(slab.superslab, &*s);
    EXPECT_EQ(slab.unit_count, 3u);
    const UnitRun again = superslab::run_of(slab);
    EXPECT_EQ(again.superslab, run.superslab);
    EXPECT_EQ(again.first, run.first);
    EXPECT_EQ(again.count, run.count);
}

TEST(Superslab, TheBitmapsOfTwoUnitsAreApart) {
    Fixture s;
    const auto words = [](unsigned unit) { return 1 + unit * 29 % back::slab_words_max; };
    back::Slab* slabs[superslab_units];
    for (unsigned i = 0; i < superslab_units; i++) {
        slabs[i] = &superslab::describe(take(*s, 1), words(i));
        for (unsigned w = 0; w < words(i); w++) {
            slabs[i]->free_bits[w] = i + 1;
            slabs[i]->remote_bits(w) = i + 101;
        }
    }
    for (unsigned i = 0; i < superslab_units; i++) {
        for (unsigned w = 0; w < words(i); w++) {
            ASSERT_EQ(slabs[i]->free_bits[w], i + 1);
            ASSERT_EQ(slabs[i]->remote_bits(w), i + 101);
        }
    }
}

TEST(Superslab, NoTwoBitmapsShareACacheLine) {
    Fixture s;
    const auto line = [](const void* place) {
        return reinterpret_cast<std::uintptr_t>(place) / base::cache_line_bytes;
    };
    std::set<std::uintptr_t> lines;
    std::size_t expected = 0;
    for (unsigned i = 0; i < superslab_units; i++) {
        const UnitRun run = take(*s, 1);
        for (const unsigned length : bitmap_lengths) {
            back::Slab& slab = superslab::describe(run, length);
            for (unsigned w = 0; w < length; w++) {
                lines.insert(line(slab.free_bits + w));
                lines.insert(line(&slab.remote_bits(w)));
            }
            expected += 2 * length / bitmap_lengths[0];
        }
    }
    EXPECT_EQ(lines.size(), expected);
}

TEST(Superslab, ShortBitmapsTakeTwoPages) {
    Fixture s;
    const std::uint64_t* lowest = nullptr;
    for (unsigned i = 0; i < superslab_units; i++) {
        back::Slab& slab = superslab::describe(take(*s, 1), 1 + i % bitmap_lengths[0]);
        if (i == 0) lowest = slab.free_bits;
        EXPECT_EQ(slab.free_bits, lowest + std::size_t{i} * bitmap_lengths[0]);
        EXPECT_EQ(reinterpret_cast<std::uint64_t*>(&slab.remote_bits(0)),
                  slab.free_bits + page_words);
    }
}

// ---- purging ------------------------------------------------------------------------------------

TEST(Superslab, AFreeUnitIsPurgedAtTheSecondSweep) {
    Fixture s;
    const UnitRun run = take(*s, 2);
    take(*s, 1);  // keeps the superslab in use
    soil(run);
    superslab::give_back(run);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
    EXPECT_EQ(s->recent, 0u);
    EXPECT_EQ(s->old, 3u);
    EXPECT_FALSE(reads_zero(run));
    EXPECT_EQ(units_purged(*s, Extent::due), 2u);
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_EQ(s->taken, 4u);
    const UnitRun clean = take(*s, 2);
    EXPECT_TRUE(clean.zero);
    EXPECT_TRUE(reads_zero(clean));
}

TEST(Superslab, AUnitThatWasWantedMeanwhileStartsAfresh) {
    Fixture s;
    UnitRun run = take(*s, 1);
    take(*s, 1);
    soil(run);
    superslab::give_back(run);
    superslab::purge(*s, Extent::due);
    run = take(*s, 1);
    superslab::give_back(run);
    EXPECT_EQ(s->recent, 1u);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
    EXPECT_FALSE(reads_zero(run));
    EXPECT_EQ(units_purged(*s, Extent::due), 1u);
}

TEST(Superslab, PurgingAllTakesBothGenerationsAtOnce) {
    Fixture s;
    const UnitRun older = take(*s, 1);
    const UnitRun younger = take(*s, 1);
    take(*s, 1);
    soil(older);
    soil(younger);
    superslab::give_back(older);
    superslab::purge(*s, Extent::due);
    superslab::give_back(younger);
    EXPECT_EQ(s->old, 1u);
    EXPECT_EQ(s->recent, 2u);
    EXPECT_EQ(units_purged(*s, Extent::all), 2u);
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_TRUE(reads_zero(older));
    EXPECT_TRUE(reads_zero(younger));
}

TEST(Superslab, TakenUnitsAreNotPurged) {
    Fixture s;
    const UnitRun mine = take(*s, 1);
    const UnitRun other = take(*s, 1);
    soil(mine);
    soil(other);
    superslab::give_back(other);
    EXPECT_EQ(units_purged(*s, Extent::all), 1u);
    EXPECT_FALSE(reads_zero(mine));
    EXPECT_EQ(s->taken, 1u);
}

TEST(Superslab, RunsThatLieTogetherArePurgedByOneCall) {
    Fixture s;
    // Few enough for every page of bitmaps and records to serve a taken unit too.
    const UnitRun first = take(*s, 3);
    take(*s, 1);
    const UnitRun second = take(*s, 2);
    take(*s, 58);
    superslab::give_back(first);
    superslab::give_back(second);
    const std::uint64_t calls = os::memory_counters().purge;
    EXPECT_EQ(superslab::purge(*s, Extent::all), 5 * unit_bytes);
    EXPECT_EQ(os::memory_counters().purge, calls + 2);
}

TEST(Superslab, WhatTheKernelRefusesStaysDirtyAndIsOfferedAgain) {
    Fixture s;
    const UnitRun run = take(*s, 2);
    take(*s, 1);
    soil(run);
    superslab::give_back(run);
    for (int i = 0; i < 3; i++) {
        FaultInjection faults({.calls = FaultInjection::advise});
        EXPECT_EQ(superslab::purge(*s, i == 1 ? Extent::all : Extent::due), 0u);
        EXPECT_EQ(s->recent | s->old, 3u);
        EXPECT_EQ(s->taken, 4u);
        EXPECT_EQ(superslab::validate(*s), nullptr);
    }
    EXPECT_FALSE(take(*s, 1).zero);
    EXPECT_EQ(units_purged(*s, Extent::all), 1u);
}

TEST(Superslab, OfTwoRunsTheOneThatWasRefusedStaysDirty) {
    Fixture s;
    const UnitRun first = take(*s, 2);
    take(*s, 1);
    const UnitRun second = take(*s, 2);
    take(*s, 1);
    superslab::give_back(first);
    superslab::give_back(second);
    {
        FaultInjection faults({.calls = FaultInjection::advise, .last = 1});
        EXPECT_EQ(units_purged(*s, Extent::all), 2u);
    }
    EXPECT_EQ(s->recent | s->old, first.bits());
    EXPECT_FALSE(take(*s, 2).zero);
    EXPECT_TRUE(take(*s, 2).zero);
}

TEST(Superslab, RecordsAndBitmapsGoWhenTheWholePageIsUnused) {
    constexpr unsigned words = 16;  // a page of these serves as many units as one of records
    Fixture s;
    const UnitRun low = take(*s, units_a_record_page);
    const UnitRun high = take(*s, units_a_record_page);
    back::Slab& used = superslab::describe(low, words);
    back::Slab& unused = superslab::describe(high, words);
    used.free_bits[0] = unused.free_bits[0] = 1;
    superslab::give_back(high);
    superslab::purge(*s, Extent::all);
    EXPECT_EQ(unused.start, nullptr);  // an unused record is all zero
    EXPECT_EQ(used.start, low.start());
    EXPECT_EQ(used.free_bits[0], 1u);
    EXPECT_EQ(s->taken, low.bits());
    EXPECT_EQ(superslab::validate(*s), nullptr);
    EXPECT_EQ(superslab::describe(take(*s, 1), words).free_bits[0], 0u);
}

TEST(Superslab, ABitmapStaysWhileAnotherUnitOfItsPageIsTakenOrDirty) {
    for (const unsigned length : bitmap_lengths) {
        Fixture s;
        const UnitRun mine = take(*s, 1);
        const UnitRun other = take(*s, page_words / length - 1);
        back::Slab& slab = superslab::describe(mine, length);
        std::uint64_t* const bits = slab.free_bits;
        std::atomic<std::uint64_t>& remote = slab.remote_bits(0);
        bits[0] = remote = 1;
        superslab::give_back(mine);
        superslab::purge(*s, Extent::all);
        EXPECT_EQ(bits[0] & remote, 1u) << length;  // the others are taken
        superslab::give_back(other);
        superslab::purge(*s, Extent::due);
        EXPECT_EQ(bits[0] & remote, 1u) << length;  // the others may be wanted again soon
        superslab::purge(*s, Extent::due);
        EXPECT_EQ(bits[0] | remote, 0u) << length;
    }
}

TEST(Superslab, ARecordThatStandsInAStackOfNoticesStaysWithItsPage) {
    std::size_t bitmaps = 0;
    for (const unsigned length : bitmap_lengths) {
        bitmaps += superslab_units * length / page_words * 2 * base::page_bytes;
    }
    Fixture s;
    const UnitRun run = take(*s, 64);
    s->slabs[0].start = s->slabs[63].start = run.start();
    s->slabs[0].dirty = true;
    superslab::give_back(run);
    EXPECT_EQ(superslab::purge(*s, Extent::all), superslab_bytes + bitmaps + base::page_bytes);
    EXPECT_EQ(s->slabs[0].start, run.start());
    EXPECT_TRUE(s->slabs[0].dirty);
    EXPECT_EQ(s->slabs[63].start, nullptr);
    EXPECT_EQ(s->taken, 0u);
    s->slabs[0].dirty = false;
}

TEST(Superslab, WhichPagesOfRecordsTheKernelRefusesDoesNotMatter) {
    Fixture s;
    // The units, four of bitmaps, two of records.
    for (unsigned refused = 1; refused <= 7; refused++) {
        const UnitRun run = take(*s, 64);
        s->slabs[0].start = s->slabs[63].start = run.start();
        superslab::give_back(run);
        {
            FaultInjection faults(
                {.calls = FaultInjection::advise, .first = refused, .last = refused});
            superslab::purge(*s, Extent::all);
        }
        EXPECT_EQ(s->slabs[0].start != nullptr, refused == 6 || refused == 1);
        EXPECT_EQ(s->slabs[63].start != nullptr, refused == 7 || refused == 1);
        EXPECT_EQ(s->taken, 0u);
        for (unsigned i = 0; i < superslab_units; i++) EXPECT_FALSE(s->slabs[i].dirty);
    }
}

// ---- huge pages ---------------------------------------------------------------------------------

constexpr unsigned page_units = 32;  // of one huge page
constexpr std::uint64_t first_page = 0xffffffff;
constexpr std::uint64_t second_page = first_page << page_units;

struct Advice {
    const void* start;
    std::size_t bytes;
    int what;
    bool operator==(const Advice&) const = default;
};

// Writes down what the kernel is advised about a superslab's memory; what is said of its records is
// left out. Advice about the size of pages goes no further: not every kernel takes it.
class Advices {
public:
    explicit Advices(const Superslab& s) {
        watched = s.start;
        seen.clear();
        os::set_memory_calls(&calls);
    }
    ~Advices() { os::set_memory_calls(nullptr); }
    Advices(const Advices&) = delete;
    Advices& operator=(const Advices&) = delete;

    /** @return What was advised since the last call. */
    static std::vector<Advice> take() { return std::exchange(seen, {}); }

private:
    static inline const char* watched = nullptr;
    static inline std::vector<Advice> seen;

    static constexpr os::MemoryCalls calls = {
        kernel_calls.map,
        kernel_calls.unmap,
        kernel_calls.remap,
        [](void* address, std::size_t bytes, int advice) {
            const char* const start = static_cast<const char*>(address);
            if (start >= watched && start < watched + superslab_bytes) {
                seen.push_back({address, bytes, advice});
            }
            const bool about_size = advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE;
            return about_size ? 0 : madvise(address, bytes, advice);
        },
        kernel_calls.residency,
        kernel_calls.protect,
    };
};

// Advice about some units.
Advice about(const Superslab& s, unsigned first, unsigned count, int what) {
    return {s.start + first * unit_bytes, count * unit_bytes, what};
}

// A superslab of huge pages, the first `taken` units of which are somebody's.
struct HugeFixture : Fixture {
    explicit HugeFixture(unsigned taken = 0) : Fixture(os::PageSize::huge) {
        if (taken > 0) used = take(**this, taken);
    }
    UnitRun used;
};

// Takes some units, writes to them, and gives them back.
UnitRun leave_dirty(Superslab& s, unsigned count) {
    const UnitRun run = take(s, count);
    soil(run);
    superslab::give_back(run);
    return run;
}

TEST(Superslab, ItsPagesAreAskedForByTheWishAndOnlyWhereThatIsNew) {
    Fixture s;
    Advices advices(*s);
    superslab::prefer(*s, all_units, os::PageSize::small);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    superslab::prefer(*s, second_page, os::PageSize::huge);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, page_units, page_units, MADV_HUGEPAGE)});
    EXPECT_EQ(s->huge, second_page);
    superslab::prefer(*s, all_units, os::PageSize::huge);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, 0, page_units, MADV_HUGEPAGE)});
    EXPECT_EQ(s->huge, all_units);
    superslab::prefer(*s, all_units, os::PageSize::small);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, 0, superslab_units, MADV_NOHUGEPAGE)});
    EXPECT_EQ(s->huge, 0u);
}

TEST(Superslab, AWishThatTheKernelRefusesChangesNothing) {
    Fixture s;
    FaultInjection faults({.calls = FaultInjection::advise});
    superslab::prefer(*s, all_units, os::PageSize::huge);
    EXPECT_EQ(s->huge, 0u);
}

TEST(Superslab, TheFirstRunInAHugePageOpensItAndNoOtherDoes) {
    Fixture s;
    const UnitRun first = take(*s, 3);
    EXPECT_EQ(first.opened, first_page);
    EXPECT_EQ(take(*s, 3).opened, 0u);
    EXPECT_EQ(take(*s, page_units).opened, second_page);  // it begins in the first one
    EXPECT_EQ(take(*s, 1).opened, 0u);
}

// Units of small pages that were never used stay for others.
TEST(Superslab, ARunWithinHugePagesMayOpenSomeAndTakesWhatWasUsedBefore) {
    Fixture s;
    const auto take_within = [&] { return superslab::take(*s, Units{1}, 1, Within::huge); };
    const UnitRun first = take(*s, 1);
    const UnitRun opening = take_within();
    EXPECT_EQ(opening.first, page_units);
    EXPECT_EQ(opening.opened, second_page);
    EXPECT_EQ(take_within().superslab, nullptr);  // the second page has small ones by now, too
    superslab::prefer(*s, second_page, os::PageSize::huge);
    EXPECT_EQ(take_within().first, page_units + 1);
    superslab::give_back(first);
    EXPECT_EQ(take_within().first, first.first);
    superslab::give_back(first);
    EXPECT_GT(superslab::purge(*s, Extent::dirty), 0u);
    EXPECT_EQ(take_within().opened, first_page);
    EXPECT_EQ(take_within().first, page_units + 2);
}

TEST(Superslab, ALongOrAlignedRunWithinHugePagesReachesIntoNoCleanSmallOnes) {
    Fixture s;
    const Advices advices(*s);  // not every kernel takes it
    take(*s, page_units - 4);
    const auto take_within = [&](unsigned count, unsigned alignment) {
        return superslab::take(*s, Units{count}, alignment, Within::huge);
    };
    EXPECT_EQ(take_within(page_units + 4, 1).superslab, nullptr);
    const UnitRun used = take(*s, 2);
    superslab::give_back(used);
    EXPECT_EQ(take_within(3, 1).first, page_units);
    superslab::prefer(*s, second_page, os::PageSize::huge);
    EXPECT_EQ(take_within(8, 8).first, page_units + 8);
    EXPECT_EQ(take_within(2, 2).first, used.first);
}

TEST(Superslab, ARunOpensEachPageThatItIsTheFirstIn) {
    Fixture s;
    EXPECT_EQ(take(*s, superslab_units).opened, all_units);
}

TEST(Superslab, APageWithADirtyUnitWasOpenedBefore) {
    Fixture s;
    leave_dirty(*s, 2);
    EXPECT_EQ(take(*s, 1).opened, 0u);
    superslab::give_back({&*s, 0, Units{1}});
    superslab::purge(*s, Extent::due);  // they are old now
    EXPECT_EQ(take(*s, 1).opened, 0u);
}

TEST(Superslab, APageThatWasGivenBackWholeIsOpenedAnew) {
    HugeFixture s;
    leave_dirty(*s, 2);
    EXPECT_GT(superslab::purge(*s, Extent::all), 0u);
    EXPECT_EQ(take(*s, 1).opened, first_page);
    EXPECT_EQ(s->huge, all_units);  // until somebody says otherwise
}

// Clean units go along, since in a huge page they are resident too.
TEST(Superslab, AFreeHugePageIsPurgedWholeByOneCallAndStaysHuge) {
    HugeFixture s;
    const UnitRun run = leave_dirty(*s, 1);
    Advices advices(*s);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_EQ(s->old, 1u);
    EXPECT_GE(superslab::purge(*s, Extent::due), page_units * unit_bytes);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, 0, page_units, MADV_DONTNEED)});
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_EQ(s->huge, all_units);
    EXPECT_EQ(s->taken, 0u);
    EXPECT_TRUE(reads_zero(run));
    EXPECT_TRUE(take(*s, 1).zero);
}

TEST(Superslab, AHugePageOfWhichLessThanHalfIsFreeAndDueStaysAndSoDoItsDirtyUnits) {
    HugeFixture s(page_units / 2 + 1);
    const UnitRun run = leave_dirty(*s, page_units / 2 - 1);
    Advices advices(*s);
    for (int sweep = 0; sweep < 4; sweep++) {
        EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
        EXPECT_EQ(s->old, run.bits());
    }
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_EQ(s->huge, all_units);
    EXPECT_FALSE(reads_zero(run));
    // One unit more, and half is free.
    const UnitRun last{&*s, page_units / 2, Units{1}, false};
    superslab::give_back(last);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);  // which is young still
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_GT(superslab::purge(*s, Extent::due), 0u);
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_TRUE(reads_zero(run));
}

// Units that were freed lately count as those in use do: they will be wanted again soon.
TEST(Superslab, AYoungUnitKeepsAHugePageOfWhichLessThanHalfIsDue) {
    HugeFixture s(page_units / 2);
    const UnitRun run = leave_dirty(*s, page_units / 2);
    superslab::purge(*s, Extent::due);
    const UnitRun young = take(*s, 1);
    superslab::give_back(young);
    ASSERT_EQ(s->recent, young.bits());
    Advices advices(*s);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_EQ(s->huge, all_units);
    EXPECT_EQ(s->old, run.bits());
    EXPECT_FALSE(reads_zero(run));
    // A later purge finds all of them old enough.
    EXPECT_GE(superslab::purge(*s, Extent::due), run.count.bytes());
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_TRUE(reads_zero(run));
}

// The advice comes first: else a page that is partly given back might be joined at once.
TEST(Superslab, AHugePageOfWhichHalfIsFreeIsBrokenUpAndGivesAllFreeUnitsBack) {
    HugeFixture s(page_units / 2);
    soil(s.used);
    const UnitRun run = leave_dirty(*s, 1);  // the other free ones are clean, and go along
    superslab::purge(*s, Extent::due);
    Advices advices(*s);
    EXPECT_GE(superslab::purge(*s, Extent::due), page_units / 2 * unit_bytes);
    EXPECT_EQ(Advices::take(),
              (std::vector{about(*s, 0, page_units, MADV_NOHUGEPAGE),
                           about(*s, page_units / 2, page_units / 2, MADV_DONTNEED)}));
    EXPECT_EQ(s->huge, second_page);
    EXPECT_EQ(s->recent | s->old, 0u);
    EXPECT_EQ(s->taken, s.used.bits());
    EXPECT_TRUE(reads_zero(run));
    EXPECT_FALSE(reads_zero(s.used));
}

TEST(Superslab, ABrokenPageGivesOnlyDueUnitsBackWithoutFurtherAdvice) {
    HugeFixture s(page_units / 2);
    leave_dirty(*s, 1);
    superslab::purge(*s, Extent::all);
    ASSERT_EQ(s->huge, second_page);
    leave_dirty(*s, 2);
    Advices advices(*s);
    superslab::purge(*s, Extent::due);
    superslab::purge(*s, Extent::due);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, page_units / 2, 2, MADV_DONTNEED)});
    EXPECT_EQ(s->huge, second_page);
}

TEST(Superslab, PurgingAllBreaksAHugePageUpForOneUnit) {
    HugeFixture s(page_units - 1);
    soil(s.used);
    const UnitRun run = leave_dirty(*s, 1);
    Advices advices(*s);
    EXPECT_EQ(units_purged(*s, Extent::all), 1u);
    EXPECT_EQ(Advices::take(), (std::vector{about(*s, 0, page_units, MADV_NOHUGEPAGE),
                                            about(*s, page_units - 1, 1, MADV_DONTNEED)}));
    EXPECT_EQ(s->huge, second_page);
    EXPECT_TRUE(reads_zero(run));
    EXPECT_FALSE(reads_zero(s.used));
}

// What is left over of a page in use is resident, though nobody has touched it yet.
TEST(Superslab, PurgingAllBreaksUpAHugePageOfWhichTheRestIsClean) {
    HugeFixture s(1);
    soil(s.used);
    Advices advices(*s);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_GE(superslab::purge(*s, Extent::all), (page_units - 1) * unit_bytes);
    EXPECT_EQ(Advices::take(), (std::vector{about(*s, 0, page_units, MADV_NOHUGEPAGE),
                                            about(*s, 1, page_units - 1, MADV_DONTNEED)}));
    EXPECT_EQ(s->huge, second_page);
    EXPECT_EQ(s->taken, s.used.bits());
    EXPECT_FALSE(reads_zero(s.used));
    superslab::purge(*s, Extent::all);  // which finds no more to do
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
}

TEST(Superslab, PurgingDirtyUnitsLeavesAHugePageOfWhichTheRestIsClean) {
    HugeFixture s(page_units - 1);
    Advices advices(*s);
    EXPECT_EQ(superslab::purge(*s, Extent::dirty), 0u);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    // A dirty unit does not wait, and takes the clean ones along.
    superslab::give_back(UnitRun{&*s, 0, Units{1}, false});
    EXPECT_EQ(units_purged(*s, Extent::dirty), 1u);
    EXPECT_EQ(s->huge, second_page);
}

TEST(Superslab, ABrokenPageStaysSmallUntilItIsOpenedAnew) {
    HugeFixture s(page_units - 1);
    leave_dirty(*s, 1);
    superslab::purge(*s, Extent::all);
    ASSERT_EQ(s->huge, second_page);
    soil(s.used);
    superslab::give_back(s.used);
    Advices advices(*s);
    EXPECT_EQ(superslab::purge(*s, Extent::due), 0u);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_GE(superslab::purge(*s, Extent::due), s.used.count.bytes());
    EXPECT_EQ(Advices::take(), std::vector{about(*s, 0, page_units - 1, MADV_DONTNEED)});
    EXPECT_EQ(s->huge, second_page);
    const UnitRun whole = take(*s, superslab_units);
    EXPECT_TRUE(whole.zero);
    EXPECT_EQ(whole.opened, all_units);
}

TEST(Superslab, TwoPagesOfOneSuperslabMayBeOfTwoSizes) {
    Fixture s;
    superslab::prefer(*s, second_page, os::PageSize::huge);
    const UnitRun low = take(*s, page_units / 2);
    const UnitRun both = take(*s, page_units);  // half of each
    soil(both);
    superslab::give_back(both);
    superslab::purge(*s, Extent::due);
    Advices advices(*s);
    // Units of the one, and all of the other.
    EXPECT_GE(superslab::purge(*s, Extent::due), (page_units / 2 + page_units) * unit_bytes);
    EXPECT_EQ(Advices::take(),
              std::vector{about(*s, page_units / 2, page_units + page_units / 2, MADV_DONTNEED)});
    EXPECT_EQ(s->huge, second_page);
    EXPECT_EQ(s->taken, low.bits());
}

TEST(Superslab, OneOfSmallPagesIsPurgedByUnitsWithoutAdviceAboutPages) {
    Fixture s;
    const UnitRun run = leave_dirty(*s, 20);
    Advices advices(*s);
    superslab::purge(*s, Extent::due);
    superslab::purge(*s, Extent::due);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, 0, 20, MADV_DONTNEED)});
    leave_dirty(*s, 3);
    superslab::purge(*s, Extent::all);
    EXPECT_EQ(Advices::take(), std::vector{about(*s, 0, 3, MADV_DONTNEED)});
    superslab::break_up(run);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
}

TEST(Superslab, WhatTheKernelRefusesOfAHugePageStaysDirty) {
    HugeFixture s;
    leave_dirty(*s, 2);
    {
        FaultInjection faults({.calls = FaultInjection::advise});
        EXPECT_EQ(superslab::purge(*s, Extent::all), 0u);
    }
    EXPECT_EQ(s->recent | s->old, first_page);  // all of which is resident
    EXPECT_EQ(superslab::validate(*s), nullptr);
    EXPECT_EQ(s->taken, 0u);
    EXPECT_FALSE(take(*s, 1).zero);
}

TEST(Superslab, WhatTheKernelRefusesOfACleanRestIsOfferedAgain) {
    HugeFixture s(page_units - 2);
    {
        FaultInjection faults({.calls = FaultInjection::advise, .first = 2});
        EXPECT_EQ(superslab::purge(*s, Extent::all), 0u);
    }
    EXPECT_EQ(s->huge, second_page);
    EXPECT_EQ(units_purged(*s, Extent::due), 0u);
    EXPECT_EQ(units_purged(*s, Extent::due), 2u);
}

TEST(Superslab, OnlyThePagesThatARunTouchesAreBrokenUpAndOnlyOnceAndWhatIsFreeThereGoes) {
    HugeFixture s(5);
    const UnitRun low{&*s, 3, Units{2}, false};
    const UnitRun both{&*s, page_units - 1, Units{2}, false};
    Advices advices(*s);
    EXPECT_EQ(superslab::break_up(low), (page_units - 5) * unit_bytes);
    EXPECT_EQ(Advices::take(), (std::vector{about(*s, 0, page_units, MADV_NOHUGEPAGE),
                                            about(*s, 5, page_units - 5, MADV_DONTNEED)}));
    EXPECT_EQ(s->huge, second_page);
    EXPECT_EQ(s->taken, base::bit_run(0, 5));
    EXPECT_EQ(superslab::break_up(low), 0u);
    EXPECT_EQ(Advices::take(), std::vector<Advice>{});
    EXPECT_EQ(superslab::break_up(both), page_units * unit_bytes);
    EXPECT_EQ(Advices::take(), (std::vector{about(*s, page_units, page_units, MADV_NOHUGEPAGE),
                                            about(*s, page_units, page_units, MADV_DONTNEED)}));
    EXPECT_EQ(s->huge, 0u);
    EXPECT_EQ(s->taken, base::bit_run(0, 5));
}

// ---- against a model of one unit at a time ------------------------------------------------------

enum class State { clean, taken, recent, old };

RC_GTEST_PROP(Superslab, ItActsAsAnArrayOfUnitsWithAStateEach, ()) {
    Fixture s;
    std::array<State, superslab_units> model{};
    std::vector<UnitRun> runs;
    const auto steps = *rc::gen::inRange(1, 60);
    for (int step = 0; step < steps; step++) {
        switch (*rc::gen::inRange(0, 8)) {
            case 0:
            case 1:
            case 2: {
                const auto count = *rc::gen::inRange(1u, 20u);
                const auto alignment = 1u << *rc::gen::inRange(0u, 5u);
                unsigned expected = base::no_bit;
                for (unsigned i = 0; i + count <= superslab_units && expected == base::no_bit;
                     i += alignment) {
                    bool fits = true;
                    for (unsigned u = i; u < i + count; u++) fits &= model[u] != State::taken;
                    if (fits) expected = i;
                }
                const UnitRun run = take(*s, count, alignment);
                RC_ASSERT((run.superslab == nullptr) == (expected == base::no_bit));
                if (run.superslab == nullptr) break;
                RC_ASSERT(run.first == expected);
                bool clean = true;
                for (unsigned u = run.first; u < run.first + count; u++) {
                    clean &= model[u] == State::clean;
                    model[u] = State::taken;
                }
                RC_ASSERT(run.zero == clean);
                RC_ASSERT(!run.zero || reads_zero(run));
                soil(run);
                runs.push_back(run);
                break;
            }
            case 3: {
                if (runs.empty()) break;
                UnitRun& run = runs[*rc::gen::inRange<std::size_t>(0, runs.size())];
                const auto longer = run.count.value + *rc::gen::inRange(0u, 6u);
                bool fits = run.first + longer <= superslab_units;
                for (unsigned u = run.first + run.count.value; fits && u < run.first + longer;
                     u++) {
                    fits &= model[u] != State::taken;
                }
                RC_ASSERT(superslab::extend(run, Units{longer}) == fits);
                for (unsigned u = run.first; u < run.first + run.count.value; u++) {
                    model[u] = State::taken;
                }
                soil(run);
                break;
            }
            case 4:
            case 5: {
                if (runs.empty()) break;
                const auto i = *rc::gen::inRange<std::size_t>(0, runs.size());
                superslab::give_back(runs[i]);
                for (unsigned u = 0; u < runs[i].count.value; u++) {
                    model[runs[i].first + u] = State::recent;
                }
                runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(i));
                break;
            }
            default: {
                const auto all = *rc::gen::arbitrary<bool>();
                std::size_t expected = 0;
                for (State& unit : model) {
                    if (unit == State::old || (all && unit == State::recent)) {
                        unit = State::clean;
                        expected += unit_bytes;
                    } else if (unit == State::recent) {
                        unit = State::old;
                    }
                }
                const auto pages = [&](unsigned units) {
                    std::size_t clean = 0;
                    for (unsigned u = 0; u < superslab_units; u += units) {
                        clean += std::all_of(&model[u], &model[u] + units,
                                             [](State unit) { return unit == State::clean; })
                                     ? 1u
                                     : 0u;
                    }
                    return clean * base::page_bytes;
                };
                if (expected > 0) {
                    expected += pages(units_a_record_page);
                    for (const unsigned length : bitmap_lengths) {
                        expected += 2 * pages(page_words / length);
                    }
                }
                RC_ASSERT(superslab::purge(*s, all ? Extent::all : Extent::due) == expected);
                break;
            }
        }
        for (unsigned u = 0; u < superslab_units; u++) {
            const std::uint64_t bit = std::uint64_t{1} << u;
            RC_ASSERT(((s->taken & bit) != 0) == (model[u] == State::taken));
            RC_ASSERT(((s->recent & bit) != 0) == (model[u] == State::recent));
            RC_ASSERT(((s->old & bit) != 0) == (model[u] == State::old));
        }
        RC_ASSERT(superslab::validate(*s) == nullptr);
    }
}

// ---- threads ------------------------------------------------------------------------------------

// Threads take, soil, extend and give back, while one more purges. A unit has one master at a time,
// and what is said to be zero is.
void share_among_threads(os::PageSize size) {
    constexpr unsigned threads = 4;
    Fixture s(size);
    std::array<std::atomic<unsigned>, superslab_units> masters{};
    std::atomic<bool> going{true};
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([&, t] {
            std::mt19937 random(t);
            while (going) {
                UnitRun run = take(*s, 1 + static_cast<unsigned>(random() % 6));
                if (run.superslab == nullptr) continue;
                for (unsigned u = 0; u < run.count.value; u++) {
                    ASSERT_EQ(masters[run.first + u].exchange(t + 1), 0u);
                }
                if (run.zero) {
                    ASSERT_TRUE(reads_zero(run));
                }
                const unsigned before = run.count.value;
                if (random() % 4 == 0 && superslab::extend(run, Units{before + 2})) {
                    for (unsigned u = before; u < run.count.value; u++) {
                        ASSERT_EQ(masters[run.first + u].exchange(t + 1), 0u);
                    }
                }
                if (random() % 2 == 0) soil(run);
                for (unsigned u = 0; u < run.count.value; u++) {
                    ASSERT_EQ(masters[run.first + u].exchange(0), t + 1);
                }
                superslab::give_back(run);
            }
        });
    }
    std::size_t purged = 0;
    for (unsigned i = 0; i < 2000 || purged < 50 * unit_bytes; i++) {
        purged += superslab::purge(*s, i % 3 == 0 ? Extent::all : Extent::due);
    }
    going = false;
    for (std::thread& thread : all) thread.join();
    EXPECT_EQ(s->taken, 0u);
    EXPECT_EQ(superslab::validate(*s), nullptr);
    superslab::purge(*s, Extent::all);
    const UnitRun whole = take(*s, 64);
    EXPECT_TRUE(whole.zero);
    EXPECT_TRUE(reads_zero(whole));
}

TEST(Superslab, ThreadsNeverShareAUnitAndCleanUnitsReadAsZero) {
    share_among_threads(os::PageSize::small);
}

TEST(Superslab, NorDoTheyInHugePages) { share_among_threads(os::PageSize::huge); }

// ---- invariants ---------------------------------------------------------------------------------

TEST(Superslab, I1_AUnitInBothGenerationsIsNoticed) {
    Fixture s;
    s->recent = 0x10;
    EXPECT_EQ(superslab::validate(*s), nullptr);
    s->old = 0x11;
    EXPECT_STREQ(superslab::validate(*s), "superslab I1");
    s->old = 0x01;
    EXPECT_EQ(superslab::validate(*s), nullptr);
}

TEST(Superslab, I2_ARecordWithTheBitmapsOfAnotherUnitIsNoticed) {
    Fixture s;
    back::Slab& slab = superslab::describe(take(*s, 1), 9);
    slab.block_count = 9 * base::word_bits;
    const back::Slab& other = superslab::describe(take(*s, 1), 9);
    ASSERT_EQ(superslab::validate_record(slab), nullptr);
    slab.free_bits = other.free_bits;
    EXPECT_STREQ(superslab::validate_record(slab), "superslab I2");
}

TEST(Superslab, I2_SoIsOneWithBitmapsOfAnotherLength) {
    Fixture s;
    back::Slab& slab = superslab::describe(take(*s, 1), 16);
    slab.block_count = 16 * base::word_bits;
    ASSERT_EQ(superslab::validate_record(slab), nullptr);
    slab.block_count++;
    EXPECT_STREQ(superslab::validate_record(slab), "superslab I2");
}

}  // namespace
