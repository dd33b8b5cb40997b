#include "back/shared_pool.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "back/page_map.hpp"
#include "base/bits.hpp"
#include "os/virtual_memory.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fault_injection.hpp"
#include "tests/os/kernel_calls.hpp"
#include "tests/os/page_advice.hpp"

// The pool is the process's. Tests in this process are about what they take and give back
// themselves; what needs a pool without a past runs in a child.

namespace {

using namespace hakmem;
namespace pool = back::shared_pool;
using back::Extent;
using back::Slab;
using back::Superslab;
using UnitRun = back::Run;  // gtest has a Run of its own
using base::ClassId;
using base::mebibyte;
using base::superslab_bytes;
using base::Units;
using pool::Growth;
using pool::Use;
using tests::FaultInjection;
using tests::in_child;
using tests::kernel_calls;
using tests::PageAdvice;

constexpr std::uint64_t all_units = ~std::uint64_t{0};

UnitRun take(unsigned count, Growth growth = Growth::allowed, unsigned alignment = 1) {
    return pool::take(Units{count}, alignment, growth);
}

// Superslabs that have memory.
unsigned superslabs_in_use() {
    unsigned sum = 0;
    for (std::uint32_t i = 0; i < pool::superslab_count(); i++) {
        sum += pool::superslab_at(i).start != nullptr ? 1U : 0U;
    }
    return sum;
}

// Units that are free in all superslabs.
unsigned free_units() {
    unsigned sum = 0;
    for (std::uint32_t i = 0; i < pool::superslab_count(); i++) {
        sum += base::bit_count(~pool::superslab_at(i).taken.load());
    }
    return sum;
}

// Takes everything there is, so that the next request needs a new superslab.
std::vector<UnitRun> take_all() {
    std::vector<UnitRun> runs;
    for (;;) {
        const UnitRun run = take(1, Growth::refused);
        if (run.superslab == nullptr) return runs;
        runs.push_back(run);
    }
}

UnitRun take_for(ClassId id) { return pool::take(Units{1}, 1, Growth::allowed, Use::sparse, id); }

void give_back(const std::vector<UnitRun>& runs) {
    for (const UnitRun& run : runs) pool::give_back(run);
}

// ---- stages -------------------------------------------------------------------------------------

TEST(SharedPool, WhatWasGivenBackIsTakenAgainBeforeThePoolGrows) {
    const UnitRun run = take(3);
    ASSERT_NE(run.superslab, nullptr);
    const unsigned count = superslabs_in_use();
    pool::give_back(run);
    const UnitRun again = take(3, Growth::refused);
    ASSERT_NE(again.superslab, nullptr);
    EXPECT_EQ(superslabs_in_use(), count);
    pool::give_back(again);
    EXPECT_EQ(pool::validate(), nullptr);
}

TEST(SharedPool, WithoutRoomAndWithoutGrowthThereIsNone) {
    const std::vector<UnitRun> runs = take_all();
    EXPECT_EQ(free_units(), 0u);
    EXPECT_EQ(take(1, Growth::refused).superslab, nullptr);
    const unsigned count = superslabs_in_use();
    const UnitRun run = take(1, Growth::allowed);
    ASSERT_NE(run.superslab, nullptr);
    EXPECT_EQ(superslabs_in_use(), count + 1);
    EXPECT_TRUE(run.zero);
    pool::give_back(run);
    give_back(runs);
    EXPECT_EQ(pool::validate(), nullptr);
}

TEST(SharedPool, ItIsSparseWhileHalfOfItIsFree) {
    std::vector<UnitRun> runs = take_all();
    runs.push_back(take(64));
    EXPECT_FALSE(pool::is_sparse());
    give_back(runs);
    EXPECT_TRUE(pool::is_sparse());
}

TEST(SharedPool, TheLowestSuperslabWithRoomServesSingleUnits) {
    pool::give_back(take(1));  // there is one at least
    std::vector<UnitRun> runs = take_all();
    runs.push_back(take(64));
    const UnitRun low = runs.front();
    const UnitRun high = runs.back();
    ASSERT_LT(low.superslab->index, high.superslab->index);
    pool::give_back(high);
    pool::give_back(low);
    runs.erase(runs.begin());
    runs.pop_back();
    const UnitRun first = take(1);
    EXPECT_EQ(first.superslab, low.superslab);
    EXPECT_EQ(first.first, low.first);
    pool::give_back(first);
    give_back(runs);
}

TEST(SharedPool, RunsAreAlignedAndWhole) {
    for (unsigned alignment = 1; alignment <= 64; alignment *= 2) {
        for (const unsigned count : {1u, 3u, 32u, 64u}) {
            const UnitRun run = take(count, Growth::allowed, alignment);
            ASSERT_NE(run.superslab, nullptr);
            EXPECT_EQ(run.count, Units{count});
            EXPECT_EQ(run.first % alignment, 0u);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(run.start()) % (alignment * 65536), 0u);
            EXPECT_EQ(run.superslab->taken & run.bits(), run.bits());
            run.start()[0] = 1;
            run.start()[run.count.bytes() - 1] = 1;
            pool::give_back(run);
        }
    }
}

TEST(SharedPool, EverySuperslabIsAlignedAndKnowsItsNumber) {
    const UnitRun run = take(64);
    for (std::uint32_t i = 0; i < pool::superslab_count(); i++) {
        const Superslab& superslab = pool::superslab_at(i);
        EXPECT_EQ(superslab.index, i);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(superslab.start.load()) % superslab_bytes, 0u);
    }
    pool::give_back(run);
}

// ---- slabs --------------------------------------------------------------------------------------

TEST(SharedPool, ASlabIsInThePageMapFromItsFirstUnitToItsLast) {
    back::SlabOwner owner;
    owner.tag = 3000000;
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassId id{static_cast<std::uint8_t>(c)};
        Slab* const slab = pool::acquire_slab(id, owner, Growth::allowed);
        ASSERT_NE(slab, nullptr);
        EXPECT_EQ(slab->owner, &owner);
        EXPECT_EQ(slab->class_id, id);
        EXPECT_TRUE(slab->empty());
        EXPECT_EQ(slab->unit_count, base::row(id).slab_units);
        char* const start = slab->start;
        const std::size_t bytes = Units{slab->unit_count}.bytes();
        for (std::size_t at = 0; at < bytes; at += 4096) {
            const back::page_map::Entry entry = back::page_map::entry_of(start + at);
            EXPECT_EQ(entry.class_id(), id);
            EXPECT_EQ(entry.tag(), owner.tag);
            EXPECT_EQ(back::page_map::slab_of(start + at), slab);
        }
        EXPECT_EQ(back::superslab::validate(*slab->superslab), nullptr);
        pool::release_slab(*slab);
        EXPECT_EQ(slab->owner, nullptr);
        for (std::size_t at = 0; at < bytes; at += 4096) {
            EXPECT_EQ(back::page_map::entry_of(start + at).class_id(), ClassId::free);
            EXPECT_EQ(back::page_map::slab_of(start + at), nullptr);
        }
    }
    EXPECT_EQ(pool::validate(), nullptr);
}

TEST(SharedPool, AnyUnitsServeAnyClass) {
    back::SlabOwner owner;
    owner.tag = 3000001;
    const std::vector<UnitRun> runs = take_all();
    const UnitRun room = take(64);
    const unsigned count = superslabs_in_use();
    pool::give_back(room);
    std::vector<Slab*> slabs;
    for (const unsigned c : {1u, 20u, 33u, 45u, 52u}) {
        slabs.push_back(
            pool::acquire_slab(ClassId{static_cast<std::uint8_t>(c)}, owner, Growth::refused));
        ASSERT_NE(slabs.back(), nullptr);
        EXPECT_EQ(slabs.back()->superslab, room.superslab);
    }
    EXPECT_EQ(superslabs_in_use(), count);
    for (Slab* slab : slabs) pool::release_slab(*slab);
    give_back(runs);
}

// ---- purging ------------------------------------------------------------------------------------

TEST(SharedPool, PurgingGivesDirtyUnitsBackAndKeepsTheirRoom) {
    const std::vector<UnitRun> runs = take_all();
    const UnitRun run = take(64);
    ASSERT_NE(run.superslab, nullptr);
    run.start()[0] = 1;
    pool::give_back(run);
    EXPECT_EQ(pool::purge(run.superslab->index, Extent::due), 0u);
    EXPECT_GE(pool::purge(run.superslab->index, Extent::due), superslab_bytes);
    EXPECT_EQ(pool::purge(run.superslab->index, Extent::all), 0u);  // nothing is dirty or left over
    EXPECT_EQ(pool::validate(), nullptr);
    const UnitRun again = take(64, Growth::refused);
    ASSERT_EQ(again.superslab, run.superslab);
    EXPECT_TRUE(again.zero);
    EXPECT_EQ(again.start()[0], 0);
    pool::give_back(again);
    give_back(runs);
}

// The purge's call to the kernel lasts until somebody wants a unit, and longer; nothing is mapped.
struct SlowPurge {
    static inline std::atomic<bool> begun;
    static inline std::atomic<bool> wanted;

    static constexpr os::MemoryCalls calls = {
        [](void*, std::size_t, int, int, int, off_t) {
            errno = ENOMEM;
            return MAP_FAILED;
        },
        [](void*, std::size_t) { return -1; },
        [](void*, std::size_t, std::size_t, int, void*) { return MAP_FAILED; },
        [](void* start, std::size_t bytes, int advice) {
            begun = true;
            while (!wanted) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            return madvise(start, bytes, advice);
        },
        [](void*, std::size_t, unsigned char*) { return -1; },
        [](void*, std::size_t, int) { return -1; },
    };

    SlowPurge() {
        begun = wanted = false;
        os::set_memory_calls(&calls);
    }
    ~SlowPurge() { os::set_memory_calls(nullptr); }
    SlowPurge(const SlowPurge&) = delete;
    SlowPurge& operator=(const SlowPurge&) = delete;
};

TEST(SharedPool, WhereNothingElseCanBeHadTheUnitsThatAPurgeHoldsAreWaitedFor) {
    const UnitRun last = take(1);
    const std::vector<UnitRun> runs = take_all();
    pool::give_back(last);
    {
        SlowPurge slow;
        std::thread purging([&] { pool::purge(last.superslab->index, Extent::all); });
        while (!SlowPurge::begun) std::this_thread::yield();
        EXPECT_EQ(take(1, Growth::refused).superslab, nullptr);
        SlowPurge::wanted = true;
        EXPECT_EQ(take(1, Growth::allowed).superslab, last.superslab);
        purging.join();
    }
    pool::give_back(last);
    give_back(runs);
    EXPECT_EQ(pool::validate(), nullptr);
}

// ---- growth, from the first superslab on --------------------------------------------------------

TEST(SharedPoolDeathTest, ReservationsDoubleFrom64MiBTo1GiB) {
    if (os::memory_limit() != SIZE_MAX) GTEST_SKIP() << "this process has a limit";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    CHILD_REQUIRE(pool::superslab_count() == 0 && pool::reserved_bytes() == 0);
                    CHILD_REQUIRE(take(1, Growth::refused).superslab == nullptr);
                    std::size_t reserved = 0;
                    std::size_t next = 64 * mebibyte;
                    for (std::size_t made = 0; made < 2200 * mebibyte; made += superslab_bytes) {
                        if (made == reserved) {
                            reserved += next;
                            next = std::min(next * 2, base::gibibyte);
                        }
                        CHILD_REQUIRE(take(64).superslab != nullptr);
                        CHILD_REQUIRE(pool::reserved_bytes() == reserved);
                    }
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

TEST(SharedPoolDeathTest, BesideALimitReservationsAreSmall) {
    if (tests::under_sanitizer) GTEST_SKIP() << "its shadow is beyond any limit";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    const rlimit limit{3 * base::gibibyte, 3 * base::gibibyte};
                    CHILD_REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
                    for (std::size_t made = 0; made < 600 * mebibyte; made += superslab_bytes) {
                        CHILD_REQUIRE(take(64).superslab != nullptr);
                        // A sixteenth of the limit, rounded down to a power of two.
                        CHILD_REQUIRE(pool::reserved_bytes() <= made + 128 * mebibyte);
                    }
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

// Refuses mappings above a size, as a process does that has little address space left.
std::size_t mapping_max = SIZE_MAX;
constexpr os::MemoryCalls narrow_calls = {
    [](void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
        if (bytes <= mapping_max) return mmap(address, bytes, protection, flags, file, offset);
        errno = ENOMEM;
        return MAP_FAILED;
    },
    kernel_calls.unmap,
    [](void*, std::size_t, std::size_t, int, void*) { return MAP_FAILED; },
    kernel_calls.advise,
    kernel_calls.residency,
    kernel_calls.protect,
};

TEST(SharedPoolDeathTest, ReservationsAreHalvedWhereTheKernelRefuses) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    os::set_memory_calls(&narrow_calls);
                    mapping_max = 20 * mebibyte;
                    CHILD_REQUIRE(take(64).superslab != nullptr);
                    CHILD_REQUIRE(pool::reserved_bytes() == 16 * mebibyte);
                    for (int i = 0; i < 3; i++) CHILD_REQUIRE(take(64).superslab != nullptr);
                    CHILD_REQUIRE(pool::reserved_bytes() == 16 * mebibyte);
                    // From the first refusal on no more is reserved than is needed.
                    CHILD_REQUIRE(take(64).superslab != nullptr);
                    CHILD_REQUIRE(pool::reserved_bytes() == 20 * mebibyte);
                    // Where not even one superslab fits there is none; what there is stays usable.
                    mapping_max = 3 * mebibyte;
                    CHILD_REQUIRE(take(64).superslab == nullptr);
                    CHILD_REQUIRE(take(1).superslab == nullptr);
                    CHILD_REQUIRE(pool::reserved_bytes() == 20 * mebibyte);
                    CHILD_REQUIRE(pool::validate() == nullptr);
                    mapping_max = SIZE_MAX;
                    CHILD_REQUIRE(take(64).superslab != nullptr);
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

TEST(SharedPoolDeathTest, WhatIsReservedAndNotMappedCanBeGivenBack) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    const UnitRun first = take(64);
                    CHILD_REQUIRE(pool::reserved_bytes() == 64 * mebibyte);
                    {
                        const FaultInjection faults({.calls = FaultInjection::unmap});
                        pool::trim_reservation();
                        CHILD_REQUIRE(pool::reserved_bytes() == 64 * mebibyte);
                    }
                    pool::trim_reservation();
                    CHILD_REQUIRE(pool::reserved_bytes() == superslab_bytes);
                    pool::trim_reservation();
                    CHILD_REQUIRE(pool::reserved_bytes() == superslab_bytes);
                    // The place is free for others.
                    char* const end = first.start() + superslab_bytes;
                    void* const other =
                        mmap(end, 60 * mebibyte, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
                    CHILD_REQUIRE(other == end);
                    // Reservations double again, from the smallest on.
                    for (const std::size_t reserved : {8U, 16U, 16U, 32U, 32U, 32U, 32U, 64U}) {
                        CHILD_REQUIRE(take(64).superslab != nullptr);
                        CHILD_REQUIRE(pool::reserved_bytes() == reserved * mebibyte);
                    }
                    CHILD_REQUIRE(pool::validate() == nullptr);
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

TEST(SharedPoolDeathTest, UnderALimitOfAddressSpaceEmptySuperslabsAreUnmapped) {
    if (tests::under_sanitizer)
        GTEST_SKIP() << "a sanitizer needs more address space than any limit";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const tests::ChangedOption always(&os::Options::huge_pages, 2);
                    const rlimit limit{100 * mebibyte, 100 * mebibyte};
                    CHILD_REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
                    std::vector<UnitRun> runs;
                    for (;;) {
                        const UnitRun run = take(64);
                        if (run.superslab == nullptr) break;
                        run.start()[0] = 1;
                        runs.push_back(run);
                    }
                    CHILD_REQUIRE(runs.size() >= 14 && runs.size() <= 25);
                    CHILD_REQUIRE(PageAdvice::huge == runs.size());
                    give_back(runs);
                    const unsigned kept = superslabs_in_use();
                    CHILD_REQUIRE(kept < runs.size());
                    // Half of the limit is kept; the rest is there for others.
                    CHILD_REQUIRE(pool::reserved_bytes() <= 52 * mebibyte);
                    CHILD_REQUIRE(pool::validate() == nullptr);
                    void* const stack = os::map(30 * mebibyte);
                    CHILD_REQUIRE(stack != nullptr);
                    os::unmap(stack, 30 * mebibyte);
                    // And all of it can be had again, in the pages that are wanted.
                    PageAdvice::huge = 0;
                    for (std::size_t i = 0; i < runs.size(); i++) {
                        const UnitRun run = take(64);
                        CHILD_REQUIRE(run.superslab != nullptr);
                        CHILD_REQUIRE(!run.zero || run.start()[0] == 0);
                        runs[i] = run;
                    }
                    CHILD_REQUIRE(PageAdvice::huge == runs.size() - kept);
                    CHILD_REQUIRE(pool::validate() == nullptr);
                    give_back(runs);
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

// ---- fresh pages --------------------------------------------------------------------------------

TEST(SharedPoolDeathTest, ASlabOfUntouchedSmallPagesIsFreshAndAnyOtherIsNot) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        in_child([] {
            back::SlabOwner owner;
            owner.tag = 1;
            const ClassId id = base::class_of(64);
            Slab* slab = pool::acquire_slab(id, owner, Growth::allowed);
            CHILD_REQUIRE(slab != nullptr && slab->fresh_from == 0);
            pool::release_slab(*slab);
            // The same place, which may be resident by now.
            Slab* const again = pool::acquire_slab(id, owner, Growth::allowed);
            CHILD_REQUIRE(again == slab && again->fresh_from == again->block_count);
            pool::release_slab(*again);
            pool::purge(0, Extent::all);
            slab = pool::acquire_slab(id, owner, Growth::allowed);
            CHILD_REQUIRE(slab == again && slab->fresh_from == 0);
            // Of the heap's first huge page, one fault makes all resident.
            const tests::ChangedOption always(&os::Options::huge_pages, 2);
            while (!pool::is_huge(*slab)) {
                CHILD_REQUIRE(slab->fresh_from == 0);
                slab = pool::acquire_slab(id, owner, Growth::allowed);
                CHILD_REQUIRE(slab != nullptr);
                if (pool::superslab_count() > 2) break;  // where none are to be had
            }
            CHILD_REQUIRE(slab->fresh_from == (pool::is_huge(*slab) ? slab->block_count : 0));
        }),
        testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

// ---- huge pages, from the first superslab on ----------------------------------------------------

using SharedPoolHugePagesDeathTest = tests::Pristine;

// Takes units of which most will be used.
UnitRun take_dense(unsigned count) {
    return pool::take(Units{count}, 1, Growth::allowed, Use::dense);
}

// Takes units of a class that grows.
UnitRun take_growing(Growth growth = Growth::allowed) {
    return pool::take(Units{1}, 1, growth, Use::growing);
}

// A third of what a run leaves of its pages counts, and all of that by default from 16 MiB on.
TEST_F(SharedPoolHugePagesDeathTest, ADenseRunHasHugePagesIfItLeavesLittleOfThem) {
    // A heap of 4 MiB is to have more than it takes to waste a quarter of a page; a third of the 24
    // units that are left of one is just that.
    for (const unsigned units : {8U, 9U}) {
        EXPECT_EXIT(in_child([units] {
                        const PageAdvice advice;
                        const UnitRun run = take_dense(units);
                        CHILD_REQUIRE(pool::heap_bytes() == superslab_bytes);
                        const bool huge = units == 9;
                        CHILD_REQUIRE((run.superslab->huge != 0) == huge);
                        CHILD_REQUIRE(PageAdvice::huge == (huge ? 1 : 0));
                    }),
                    testing::ExitedWithCode(0), "");
    }
    // What it leaves is nobody's, and goes when all is to go.
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const UnitRun run = take_dense(9);
                    CHILD_REQUIRE(pool::purge(0, Extent::due) == 0);
                    CHILD_REQUIRE(pool::purge(0, Extent::dirty) == 0);
                    CHILD_REQUIRE(run.superslab->huge != 0);
                    CHILD_REQUIRE(pool::purge(0, Extent::all) >= 23 * base::unit_bytes);
                    CHILD_REQUIRE(run.superslab->huge == 0);
                }),
                testing::ExitedWithCode(0), "");
    // It leaves nothing.
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    CHILD_REQUIRE(take_dense(64).superslab->huge == all_units);
                    CHILD_REQUIRE(PageAdvice::last_bytes == superslab_bytes);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, AGrowingClassHasThemFrom2MiBOnAndSparseUseHasNone) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    pool::note_mapped(-std::ptrdiff_t{superslab_bytes - 2 * mebibyte});
                    CHILD_REQUIRE(take_growing().superslab->huge == 0);
                    take(31);
                    pool::note_mapped(1);
                    CHILD_REQUIRE(take_growing().superslab->huge == all_units << 32);
                    take(31);
                    for (int i = 0; i < 10; i++) {
                        CHILD_REQUIRE(take(64).superslab->huge == 0);
                    }
                    CHILD_REQUIRE(PageAdvice::huge == 1 && PageAdvice::small == 0);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhatIsMappedBesideMakesTheHeapALargerOne) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    pool::note_mapped(61 * mebibyte);
                    CHILD_REQUIRE(take_dense(1).superslab->huge != 0);
                    CHILD_REQUIRE(pool::mapped_bytes() == superslab_bytes);
                    CHILD_REQUIRE(pool::heap_bytes() == 65 * mebibyte);
                    take(63);
                    pool::note_mapped(-65 * std::ptrdiff_t{mebibyte});
                    CHILD_REQUIRE(take_dense(1).superslab->huge == 0);
                    CHILD_REQUIRE(pool::heap_bytes() == 2 * superslab_bytes - 4 * mebibyte);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhoTakesTheFirstUnitOfAPageDecides) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    pool::note_mapped(61 * mebibyte);
                    constexpr std::uint64_t first_page = base::bit_run(0, 32);
                    const UnitRun sparse = take(1);
                    CHILD_REQUIRE(take(31).superslab == sparse.superslab);
                    CHILD_REQUIRE(sparse.superslab->huge == 0);
                    const UnitRun dense = take_dense(1);
                    CHILD_REQUIRE(dense.superslab == sparse.superslab && dense.first == 32);
                    CHILD_REQUIRE(dense.superslab->huge == ~first_page);
                    const UnitRun rest = take(31);
                    CHILD_REQUIRE(rest.superslab == dense.superslab);
                    CHILD_REQUIRE(dense.superslab->huge == ~first_page);
                    CHILD_REQUIRE(PageAdvice::huge == 1 && PageAdvice::small == 0);
                    // Once the page was given back, the next one decides.
                    pool::give_back(dense);
                    pool::give_back(rest);
                    CHILD_REQUIRE(pool::purge(0, Extent::all) > 0);
                    CHILD_REQUIRE(dense.superslab->huge == ~first_page);
                    CHILD_REQUIRE(take(1).superslab == dense.superslab);
                    CHILD_REQUIRE(dense.superslab->huge == 0);
                    CHILD_REQUIRE(PageAdvice::huge == 1 && PageAdvice::small == 1);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhatWouldHaveThemLeavesCleanSmallPagesToOthers) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    pool::note_mapped(61 * mebibyte);
                    const UnitRun sparse = take(1);
                    const UnitRun growing = take_growing();
                    CHILD_REQUIRE(growing.superslab == sparse.superslab && growing.first == 32);
                    CHILD_REQUIRE(take_dense(31).first == 33);
                    // Both pages are in use now, and the first one has room.
                    CHILD_REQUIRE(take_growing(Growth::refused).superslab == nullptr);
                    const UnitRun next = take_growing();
                    CHILD_REQUIRE(next.superslab->index == 1 && next.first == 0);
                    CHILD_REQUIRE(PageAdvice::huge == 2 && PageAdvice::small == 0);
                    CHILD_REQUIRE(take(1).superslab == sparse.superslab);
                    // What was used is resident anyway.
                    pool::give_back(sparse);
                    CHILD_REQUIRE(take_growing().superslab == sparse.superslab);
                }),
                testing::ExitedWithCode(0), "");
    // A heap with less than 2 MiB in use takes what there is.
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    for (unsigned i = 0; i <= 32; i++) {
                        CHILD_REQUIRE(take_growing().first == i);
                        if (i == 0) CHILD_REQUIRE(take(1).first == ++i);
                    }
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhereManySuperslabsHaveRoomInSmallPagesItIsTaken) {
    for (const unsigned count : {15U, 16U}) {
        EXPECT_EXIT(in_child([count] {
                        const PageAdvice advice;
                        for (unsigned i = 0; i < count; i++) take(63);
                        CHILD_REQUIRE(PageAdvice::huge == 0);
                        const std::uint32_t index = take_growing().superslab->index;
                        CHILD_REQUIRE(index == (count < 16 ? count : 0));
                    }),
                    testing::ExitedWithCode(0), "");
    }
}

TEST_F(SharedPoolHugePagesDeathTest, SoItIsWhereThereIsNothingElse) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    pool::note_mapped(61 * mebibyte);
                    const UnitRun sparse = take(33);
                    {
                        const FaultInjection faults({.calls = FaultInjection::more});
                        CHILD_REQUIRE(take_growing().superslab == sparse.superslab);
                    }
                    // Nobody asks a second time.
                    CHILD_REQUIRE(take_growing(Growth::refused).superslab == sparse.superslab);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhereTheKernelHasNoHugePages) {
    EXPECT_EXIT(in_child([] {
                    pool::note_mapped(61 * mebibyte);
                    const UnitRun sparse = take(1);
                    const FaultInjection faults({.calls = FaultInjection::advise});
                    CHILD_REQUIRE(take_growing().first == 32);
                    for (unsigned i = 1; i < 32; i++) CHILD_REQUIRE(take_growing().first == i);
                    CHILD_REQUIRE(take_growing().first == 33);
                    CHILD_REQUIRE(sparse.superslab->huge == 0);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhereAllAreHugeSparseUseTakesWhatWasBrokenUp) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const tests::ChangedOption always(&os::Options::huge_pages, 2);
                    const UnitRun run = take(1);
                    CHILD_REQUIRE(pool::purge(0, Extent::all) > 0);
                    CHILD_REQUIRE((run.superslab->huge & run.bits()) == 0);
                    CHILD_REQUIRE(take(1).first == 1);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, WhereNobodyElseMayHaveThem) {
    EXPECT_EXIT(in_child([] {
                    const tests::ChangedOption off(&os::Options::sp_slot, 0);
                    pool::note_mapped(61 * mebibyte);
                    take(1);
                    for (unsigned i = 1; i < 32; i++) CHILD_REQUIRE(take_growing().first == i);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, AndWhereAddressSpaceIsShort) {
    if (tests::under_sanitizer)
        GTEST_SKIP() << "a sanitizer needs more address space than any limit";
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const rlimit limit{100 * mebibyte, 100 * mebibyte};
                    CHILD_REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
                    while (!pool::is_tight()) take(63);
                    CHILD_REQUIRE(take_growing(Growth::refused).first == 63);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, ASlabIsAskedForLikeOtherRuns) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    pool::note_mapped(61 * mebibyte);
                    static back::SlabOwner owner;
                    owner.tag = 3000003;
                    const auto acquire = [](Use use) {
                        return pool::acquire_slab(ClassId::last, owner, Growth::allowed, use);
                    };
                    Slab* const sparse = acquire(Use::sparse);
                    CHILD_REQUIRE(!pool::is_huge(*sparse));
                    take(64 - sparse->unit_count);
                    CHILD_REQUIRE(pool::is_huge(*acquire(Use::growing)));
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, OrNoneOfItOrAllOfIt) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const tests::ChangedOption never(&os::Options::huge_pages, 0);
                    for (int i = 0; i < 10; i++) {
                        CHILD_REQUIRE(take_dense(64).superslab->huge == 0);
                    }
                    CHILD_REQUIRE(PageAdvice::huge == 0);
                }),
                testing::ExitedWithCode(0), "");
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const tests::ChangedOption always(&os::Options::huge_pages, 2);
                    for (unsigned i = 1; i <= 5; i++) {
                        CHILD_REQUIRE(take(64).superslab->huge == all_units);
                        CHILD_REQUIRE(PageAdvice::huge == i);
                    }
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(SharedPoolHugePagesDeathTest, PurgingWithinASlabInHugePagesBreaksThemUp) {
    EXPECT_EXIT(in_child([] {
                    const PageAdvice advice;
                    const tests::ChangedOption always(&os::Options::huge_pages, 2);
                    static back::SlabOwner owner;
                    owner.tag = 3000003;
                    Slab& slab = *pool::acquire_slab(ClassId::last, owner, Growth::allowed);
                    slab.start[0] = 1;
                    slab.stale = false;  // nothing was freed since the last purge
                    CHILD_REQUIRE(pool::purge_within(slab) == 0);
                    CHILD_REQUIRE(PageAdvice::small == 0 && slab.start[0] == 1);
                    slab.stale = true;  // as after a free
                    CHILD_REQUIRE(pool::purge_within(slab) > 0);
                    CHILD_REQUIRE(PageAdvice::small == 1);
                    CHILD_REQUIRE(PageAdvice::last_bytes == 2 * mebibyte);
                    CHILD_REQUIRE(slab.start[0] == 0);
                    // It lies in small pages now, which are purged as any others.
                    slab.start[0] = 1;
                    slab.stale = true;
                    CHILD_REQUIRE(pool::purge_within(slab) > 0);
                    CHILD_REQUIRE(PageAdvice::small == 1 && slab.start[0] == 0);
                }),
                testing::ExitedWithCode(0), "");
}

// ---- every mmap and mprotect refused ------------------------------------------------------------

TEST(SharedPoolDeathTest, WhicheverCallFailsTheAnswerIsNullAndNothingIsLost) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    for (std::uint64_t n = 1; n < 40; n++) {
                        const std::uint32_t count = pool::superslab_count();
                        const std::size_t reserved = pool::reserved_bytes();
                        UnitRun run;
                        {
                            // From the n-th on, with nothing but what the attempts before have
                            // left.
                            FaultInjection faults({.calls = FaultInjection::more, .first = n});
                            run = take(64);
                            CHILD_REQUIRE(run.superslab != nullptr || FaultInjection::failed() > 0);
                        }
                        CHILD_REQUIRE(pool::validate() == nullptr);
                        CHILD_REQUIRE(pool::superslab_count() <= count + 1);
                        if (run.superslab == nullptr) run = take(64);
                        CHILD_REQUIRE(run.superslab != nullptr);
                        CHILD_REQUIRE(run.zero);
                        CHILD_REQUIRE(pool::superslab_count() == count + 1);
                        CHILD_REQUIRE(pool::reserved_bytes() - reserved <= base::gibibyte);
                    }
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

TEST(SharedPoolDeathTest, WhatCannotBeCommittedStaysReservedAndIsCommittedLater) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(in_child([] {
                    const UnitRun first = take(64);
                    const std::size_t reserved = pool::reserved_bytes();
                    for (int i = 0; i < 3; i++) {
                        const FaultInjection faults({.calls = FaultInjection::protect});
                        CHILD_REQUIRE(take(64).superslab == nullptr);
                        CHILD_REQUIRE(FaultInjection::failed() > 0);
                    }
                    CHILD_REQUIRE(pool::reserved_bytes() == reserved);
                    CHILD_REQUIRE(pool::validate() == nullptr);
                    const UnitRun second = take(64);
                    CHILD_REQUIRE(second.start() == first.start() + superslab_bytes);
                    CHILD_REQUIRE(second.zero);
                }),
                testing::ExitedWithCode(0), "");
    GTEST_FLAG_SET(death_test_style, "fast");
}

TEST(SharedPool, ASlabThatCannotBeHadIsNull) {
    back::SlabOwner owner;
    owner.tag = 3000002;
    const std::vector<UnitRun> runs = take_all();
    {
        FaultInjection faults({.calls = FaultInjection::more});
        while (take(64).superslab != nullptr) {
        }
        while (take(1).superslab != nullptr) {
        }
        EXPECT_EQ(pool::acquire_slab(ClassId::last, owner, Growth::allowed), nullptr);
        EXPECT_EQ(pool::acquire_slab(ClassId::first, owner, Growth::refused), nullptr);
    }
    Slab* const slab = pool::acquire_slab(ClassId::last, owner, Growth::allowed);
    ASSERT_NE(slab, nullptr);
    pool::release_slab(*slab);
    give_back(runs);
}

// ---- threads ------------------------------------------------------------------------------------

// Threads take and give back while superslabs run full and get room again all the time. Afterwards
// every free unit must be found: none is hidden behind a room bit that was lost.
TEST(SharedPool, NoSuperslabWithRoomStaysHidden) {
    constexpr unsigned threads = 4;
    constexpr int rounds = 4000;
    const std::vector<UnitRun> runs = take_all();
    const UnitRun room = take(64);
    const unsigned count = superslabs_in_use();
    pool::give_back(room);
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([t] {
            std::mt19937 random(t);
            std::vector<UnitRun> mine;
            for (int i = 0; i < rounds; i++) {
                // 4 times 20 is more than 64: the superslab is full time and again.
                if (mine.size() < 20 && random() % 3 != 0) {
                    const UnitRun run = take(1 + random() % 2, Growth::refused);
                    if (run.superslab == nullptr) continue;
                    for (std::size_t u = 0; u < run.count.value; u++) {
                        char* const unit = run.start() + u * base::unit_bytes;
                        ASSERT_TRUE(!run.zero || *unit == 0);
                        *unit = static_cast<char>(t + 1);
                    }
                    mine.push_back(run);
                } else if (!mine.empty()) {
                    std::swap(mine[random() % mine.size()], mine.back());
                    for (std::size_t u = 0; u < mine.back().count.value; u++) {
                        ASSERT_EQ(mine.back().start()[u * base::unit_bytes],
                                  static_cast<char>(t + 1));
                    }
                    pool::give_back(mine.back());
                    mine.pop_back();
                }
            }
            give_back(mine);
        });
    }
    for (int i = 0; i < 200; i++)
        pool::purge(room.superslab->index, i % 2 == 0 ? Extent::all : Extent::due);
    for (std::thread& thread : all) thread.join();
    EXPECT_EQ(superslabs_in_use(), count);
    EXPECT_EQ(pool::validate(), nullptr);
    const std::vector<UnitRun> found = take_all();
    EXPECT_EQ(found.size(), 64u);
    give_back(found);
    give_back(runs);
}

// One free unit for which threads race, and which a purge takes for itself again and again: a
// searcher sees the superslab full all the time and clears its room bit. Were the bit lost once,
// the unit would never be seen again, since nobody would have anything to give back.
TEST(SharedPool, ALastUnitIsNotLostBetweenItsTakers) {
    constexpr std::chrono::milliseconds duration{150};
    for (const bool purges : {false, true}) {
        std::vector<UnitRun> runs = take_all();
        runs.push_back(take(63));
        const UnitRun full = runs.back();
        std::atomic<bool> going{true};
        std::vector<std::thread> all;
        for (int t = 0; t < 3; t++) {
            all.emplace_back([&going, purges] {
                while (going) {
                    const UnitRun run = take(1, Growth::refused);
                    if (run.superslab == nullptr) continue;
                    pool::give_back(run);
                    for (int i = 0; i < (purges ? 100 : 1); i++) __builtin_ia32_pause();
                }
            });
        }
        const auto end = std::chrono::steady_clock::now() + duration;
        while (std::chrono::steady_clock::now() < end) {
            if (purges) {
                pool::purge(full.superslab->index, Extent::all);
            } else {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
        going = false;
        for (std::thread& thread : all) thread.join();
        EXPECT_EQ(pool::validate(), nullptr);
        const UnitRun last = take(1, Growth::refused);
        ASSERT_NE(last.superslab, nullptr);
        runs.push_back(last);
        give_back(runs);
    }
}

TEST(SharedPool, ThreadsThatNeedANewSuperslabAtOnceMakeNoMoreThanNeeded) {
    for (int round = 0; round < 10; round++) {
        const std::vector<UnitRun> runs = take_all();
        const unsigned count = superslabs_in_use();
        std::vector<UnitRun> got(4);
        std::vector<std::thread> all;
        for (UnitRun& run : got) {
            all.emplace_back([&run] { run = take(16); });
        }
        for (std::thread& thread : all) thread.join();
        std::uint64_t taken = 0;
        for (const UnitRun& run : got) {
            ASSERT_NE(run.superslab, nullptr);
            EXPECT_EQ(taken & run.bits(), 0u);
            taken |= run.bits();
        }
        EXPECT_EQ(taken, all_units);
        EXPECT_EQ(superslabs_in_use(), count + 1);
        give_back(got);
        give_back(runs);
    }
}

// ---- the invariant ------------------------------------------------------------------------------

TEST(SharedPool, I1_RoomWithoutARoomBitIsNoticed) {
    const std::vector<UnitRun> runs = take_all();
    const UnitRun run = take(64);
    EXPECT_EQ(take(1, Growth::refused).superslab, nullptr);  // this clears the bit
    ASSERT_EQ(pool::validate(), nullptr);
    run.superslab->taken &= ~std::uint64_t{1};  // past the pool, which alone sets it again
    EXPECT_STREQ(pool::validate(), "shared_pool I1");
    run.superslab->taken |= 1;
    EXPECT_EQ(pool::validate(), nullptr);
    pool::give_back(run);
    give_back(runs);
    EXPECT_EQ(pool::validate(), nullptr);
}

// ---- the option sp_slot -------------------------------------------------------------------------

TEST(SharedPool, WithSpSlotOffNoSuperslabServesTwoClasses) {
    const tests::ChangedOption off(&os::Options::sp_slot, 0);
    const std::vector<UnitRun> rest = take_all();
    std::vector<UnitRun> runs[2];
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned c = 0; c < 2; c++) {
            runs[c].push_back(take_for(ClassId{static_cast<std::uint8_t>(c + 1)}));
            ASSERT_NE(runs[c].back().superslab, nullptr);
        }
    }
    std::set<const Superslab*> seen[2];
    for (unsigned c = 0; c < 2; c++) {
        for (const UnitRun& run : runs[c]) seen[c].insert(run.superslab);
        EXPECT_EQ(seen[c].size(), 2u);  // 100 units of 64
    }
    for (const Superslab* const superslab : seen[0]) EXPECT_EQ(seen[1].count(superslab), 0u);
    for (const auto& of_class : runs) give_back(of_class);
    give_back(rest);
}

TEST(SharedPool, WithSpSlotOffAWhollyFreeSuperslabGoesToWhoComesFirst) {
    const tests::ChangedOption off(&os::Options::sp_slot, 0);
    const std::vector<UnitRun> rest = take_all();
    const UnitRun first = take_for(ClassId{1});
    const UnitRun other = take_for(ClassId{2});
    EXPECT_NE(other.superslab, first.superslab);
    pool::give_back(first);
    const UnitRun third = take_for(ClassId{3});
    EXPECT_EQ(third.superslab, first.superslab);
    pool::give_back(other);
    pool::give_back(third);
    give_back(rest);
}

TEST(SharedPool, WithSpSlotOnTheyShare) {
    const std::vector<UnitRun> rest = take_all();
    const UnitRun first = take_for(ClassId{1});
    const UnitRun other = take_for(ClassId{2});
    EXPECT_EQ(other.superslab, first.superslab);
    pool::give_back(first);
    pool::give_back(other);
    give_back(rest);
}

}  // namespace
