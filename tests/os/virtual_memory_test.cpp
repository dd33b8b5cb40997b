#include "os/virtual_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/os/child.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
using base::mebibyte;
using base::page_bytes;
using tests::FaultInjection;
using tests::in_child;

bool is_aligned(const void* address, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// Whether every page of a range is part of some mapping, whatever its protection.
bool is_mapped(const void* start, std::size_t bytes) {
    std::vector<unsigned char> pages(bytes / page_bytes);
    return mincore(const_cast<void*>(start), bytes, pages.data()) == 0;
}

bool is_zero(const void* start, std::size_t bytes) {
    const auto* const at = static_cast<const unsigned char*>(start);
    for (std::size_t i = 0; i < bytes; i++) {
        if (at[i] != 0) return false;
    }
    return true;
}

void fill(void* start, std::size_t bytes) {
    auto* const at = static_cast<unsigned char*>(start);
    for (std::size_t i = 0; i < bytes; i++) at[i] = static_cast<unsigned char>(i * 31 + 7);
}

bool is_filled(const void* start, std::size_t bytes) {
    const auto* const at = static_cast<const unsigned char*>(start);
    for (std::size_t i = 0; i < bytes; i++) {
        if (at[i] != static_cast<unsigned char>(i * 31 + 7)) return false;
    }
    return true;
}

// The protection of the mapping at an address, as /proc/self/maps spells it.
std::string protection_at(const void* address) {
    std::FILE* const maps = std::fopen("/proc/self/maps", "re");
    if (maps == nullptr) return "no /proc";
    char line[512];
    std::string found;
    while (std::fgets(line, sizeof line, maps) != nullptr) {
        std::uintptr_t start = 0;
        std::uintptr_t end = 0;
        char protection[8] = {};
        if (std::sscanf(line, "%lx-%lx %7s", &start, &end, protection) != 3) continue;
        const auto at = reinterpret_cast<std::uintptr_t>(address);
        if (at >= start && at < end) found = protection;
    }
    std::fclose(maps);
    return found;
}

// ---- the three states, on the real kernel -------------------------------------------------------

TEST(VirtualMemory, ReservationsAreAlignedAsAskedAndCannotBeTouched) {
    for (std::size_t alignment = page_bytes; alignment <= base::gibibyte; alignment *= 2) {
        for (const std::size_t bytes : {page_bytes, 16 * page_bytes, 4 * mebibyte}) {
            void* const start = os::reserve(bytes, alignment);
            ASSERT_NE(start, nullptr) << alignment;
            EXPECT_TRUE(is_aligned(start, alignment)) << alignment;
            EXPECT_EQ(protection_at(start), "---p");
            EXPECT_EQ(protection_at(static_cast<char*>(start) + bytes - 1), "---p");
            EXPECT_TRUE(os::unmap(start, bytes));
        }
    }
}

TEST(VirtualMemory, CommittedMemoryIsZeroAndItsNeighboursStayReserved) {
    constexpr std::size_t bytes = 16 * page_bytes;
    char* const start = static_cast<char*>(os::reserve(bytes, page_bytes));
    ASSERT_NE(start, nullptr);
    char* const middle = start + 4 * page_bytes;
    ASSERT_TRUE(os::commit(middle, 4 * page_bytes));
    EXPECT_TRUE(is_zero(middle, 4 * page_bytes));
    fill(middle, 4 * page_bytes);
    EXPECT_TRUE(is_filled(middle, 4 * page_bytes));
    EXPECT_EQ(protection_at(middle - 1), "---p");
    EXPECT_EQ(protection_at(middle), "rw-p");
    EXPECT_EQ(protection_at(middle + 4 * page_bytes), "---p");
    EXPECT_TRUE(os::unmap(start, bytes));
}

TEST(VirtualMemory, MapsAreZeroAlignedAndWritable) {
    for (std::size_t alignment = page_bytes; alignment <= 64 * mebibyte; alignment *= 4) {
        constexpr std::size_t bytes = 3 * page_bytes;
        void* const start = os::map(bytes, alignment);
        ASSERT_NE(start, nullptr);
        EXPECT_TRUE(is_aligned(start, alignment));
        EXPECT_TRUE(is_zero(start, bytes));
        fill(start, bytes);
        EXPECT_TRUE(is_filled(start, bytes));
        EXPECT_TRUE(os::unmap(start, bytes));
        EXPECT_FALSE(is_mapped(start, bytes));
    }
}

TEST(VirtualMemory, AbsurdSizesAreRefused) {
    constexpr std::size_t absurd = std::size_t{1} << 62;
    EXPECT_EQ(os::map(absurd), nullptr);
    EXPECT_EQ(os::map(absurd, base::gibibyte), nullptr);
    EXPECT_EQ(os::reserve(absurd, base::superslab_bytes), nullptr);
    EXPECT_EQ(os::map(SIZE_MAX - page_bytes + 1, base::gibibyte), nullptr);
}

TEST(VirtualMemory, PurgedMemoryReadsAsZeroAndIsNotResident) {
    constexpr std::size_t bytes = 8 * page_bytes;
    char* const start = static_cast<char*>(os::map(bytes));
    ASSERT_NE(start, nullptr);
    fill(start, bytes);
    const std::uint64_t purged = os::memory_counters().purged_bytes;
    ASSERT_TRUE(os::purge(start + 2 * page_bytes, 4 * page_bytes));
    EXPECT_EQ(os::memory_counters().purged_bytes, purged + 4 * page_bytes);
    unsigned char pages[8] = {};
    ASSERT_TRUE(os::residency(start, bytes, pages));
    for (int i = 0; i < 8; i++) EXPECT_EQ(pages[i] & 1, i < 2 || i >= 6 ? 1 : 0) << i;
    EXPECT_TRUE(is_filled(start, 2 * page_bytes));
    EXPECT_TRUE(is_zero(start + 2 * page_bytes, 4 * page_bytes));
    EXPECT_TRUE(os::unmap(start, bytes));
}

TEST(VirtualMemory, PagesAreResidentFromTheirFirstTouch) {
    constexpr std::size_t count = 8;
    char* const start = static_cast<char*>(os::map(count * page_bytes));
    ASSERT_NE(start, nullptr);
    unsigned char pages[count] = {};
    ASSERT_TRUE(os::residency(start, sizeof pages * page_bytes, pages));
    for (const unsigned char page : pages) EXPECT_EQ(page & 1, 0);
    start[3 * page_bytes] = 1;
    ASSERT_TRUE(os::residency(start, sizeof pages * page_bytes, pages));
    for (std::size_t i = 0; i < count; i++) EXPECT_EQ(pages[i] & 1, i == 3 ? 1 : 0);
    EXPECT_TRUE(os::unmap(start, count * page_bytes));
    EXPECT_FALSE(os::residency(start, count * page_bytes, pages));
}

TEST(VirtualMemory, LockedMemoryIsNotPurgedAndKeepsItsContents) {
    void* const start = os::map(page_bytes);
    ASSERT_NE(start, nullptr);
    fill(start, page_bytes);
    // Past the C library: sanitizers make mlock do nothing.
    if (syscall(SYS_mlock, start, page_bytes) != 0) GTEST_SKIP() << "no memory may be locked here";
    const std::uint64_t failed = os::memory_counters().failed;
    const std::uint64_t purged = os::memory_counters().purged_bytes;
    EXPECT_FALSE(os::purge(start, page_bytes));
    EXPECT_EQ(os::memory_counters().failed, failed + 1);
    EXPECT_EQ(os::memory_counters().purged_bytes, purged);
    EXPECT_TRUE(is_filled(start, page_bytes));
    EXPECT_TRUE(os::unmap(start, page_bytes));
}

// ---- resizing and moving ------------------------------------------------------------------------

TEST(VirtualMemory, AMappingGrowsWhereThereIsRoomAndKeepsItsContents) {
    constexpr std::size_t bytes = 4 * page_bytes;
    char* const start = static_cast<char*>(os::map(2 * bytes));
    ASSERT_NE(start, nullptr);
    ASSERT_TRUE(os::unmap(start + bytes, bytes));
    fill(start, bytes);
    ASSERT_TRUE(os::resize_in_place(start, bytes, 2 * bytes));
    EXPECT_TRUE(is_filled(start, bytes));
    EXPECT_TRUE(is_zero(start + bytes, bytes));
    ASSERT_TRUE(os::resize_in_place(start, 2 * bytes, page_bytes));
    EXPECT_TRUE(is_filled(start, page_bytes));
    EXPECT_FALSE(is_mapped(start + page_bytes, page_bytes));
    EXPECT_TRUE(os::unmap(start, page_bytes));
}

TEST(VirtualMemory, AMappingThatHasANeighbourDoesNotGrow) {
    constexpr std::size_t bytes = 4 * page_bytes;
    char* const start = static_cast<char*>(os::reserve(2 * bytes, page_bytes));
    ASSERT_NE(start, nullptr);
    ASSERT_TRUE(os::commit(start, bytes));
    fill(start, bytes);
    EXPECT_FALSE(os::resize_in_place(start, bytes, 2 * bytes));
    EXPECT_TRUE(is_filled(start, bytes));
    EXPECT_EQ(protection_at(start + bytes), "---p");
    EXPECT_TRUE(os::unmap(start, 2 * bytes));
}

TEST(VirtualMemory, MovingTakesTheContentsAndGivesTheOldAddressesUp) {
    for (const std::size_t new_bytes : {4 * page_bytes, 9 * page_bytes}) {
        constexpr std::size_t bytes = 4 * page_bytes;
        void* const start = os::map(bytes);
        char* const target = static_cast<char*>(os::reserve(new_bytes, base::unit_bytes));
        ASSERT_NE(start, nullptr);
        ASSERT_NE(target, nullptr);
        fill(start, bytes);
        ASSERT_TRUE(os::move(start, bytes, target, new_bytes));
        EXPECT_TRUE(is_filled(target, bytes));
        EXPECT_TRUE(is_zero(target + bytes, new_bytes - bytes));
        EXPECT_FALSE(is_mapped(start, bytes));
        EXPECT_EQ(protection_at(target + new_bytes - 1), "rw-p");
        EXPECT_TRUE(os::unmap(target, new_bytes));
    }
}

// A limit on data lets a reservation through, and not the pages that would replace it. Some kernels
// give the target up before they refuse, so nothing is said about it here.
TEST(VirtualMemoryDeathTest, AMoveThatTheKernelRefusesLeavesTheMappingAsItWas) {
    EXPECT_EXIT(in_child([] {
                    constexpr std::size_t bytes = 4 * mebibyte;
                    constexpr std::size_t new_bytes = 64 * mebibyte;
                    void* const start = os::map(bytes);
                    void* const target = os::reserve(new_bytes, base::unit_bytes);
                    CHILD_REQUIRE(start != nullptr && target != nullptr);
                    fill(start, bytes);
                    const rlimit limit{1, 1};
                    CHILD_REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
                    CHILD_REQUIRE(!os::move(start, bytes, target, new_bytes));
                    CHILD_REQUIRE(is_filled(start, bytes));
                }),
                testing::ExitedWithCode(0), "");
}

// ---- against a kernel that is made up -----------------------------------------------------------

// Answers with addresses that nobody touches, and writes down what it was asked for.
struct FakeKernel {
    static inline std::vector<std::uintptr_t> addresses;  // next answers of map; 0 is a failure
    static inline std::string calls;
    static inline bool refuses = false;  // advice

    FakeKernel(std::vector<std::uintptr_t> answers) {
        addresses = std::move(answers);
        calls.clear();
        refuses = false;
        os::set_memory_calls(&table);
    }
    ~FakeKernel() { os::set_memory_calls(nullptr); }
    FakeKernel(const FakeKernel&) = delete;
    FakeKernel& operator=(const FakeKernel&) = delete;

    static void note(const char* name, const void* start, std::size_t bytes) {
        char line[100];
        std::snprintf(line, sizeof line, "%s %lx+%lx; ", name,
                      reinterpret_cast<std::uintptr_t>(start), bytes);
        calls += line;
    }
    static constexpr os::MemoryCalls table = {
        [](void* address, std::size_t bytes, int, int, int, off_t) {
            note("map", address, bytes);
            const std::uintptr_t answer = addresses.empty() ? 0 : addresses.front();
            if (!addresses.empty()) addresses.erase(addresses.begin());
            return answer == 0 ? MAP_FAILED : reinterpret_cast<void*>(answer);
        },
        [](void* address, std::size_t bytes) {
            note("unmap", address, bytes);
            return 0;
        },
        [](void*, std::size_t, std::size_t, int, void*) { return MAP_FAILED; },
        [](void* address, std::size_t bytes, int advice) {
            note(advice == MADV_HUGEPAGE     ? "huge"
                 : advice == MADV_NOHUGEPAGE ? "small"
                                             : "other advice",
                 address, bytes);
            return refuses ? -1 : 0;
        },
        [](void*, std::size_t, unsigned char*) { return -1; },
        [](void* address, std::size_t bytes, int) {
            note("protect", address, bytes);
            return refuses ? -1 : 0;
        },
    };
};

TEST(VirtualMemory, AnAlignedAnswerIsTakenAtOnce) {
    FakeKernel kernel({0x40000000});
    EXPECT_EQ(os::reserve(0x10000, 0x10000), reinterpret_cast<void*>(0x40000000));
    EXPECT_EQ(FakeKernel::calls, "map 0+10000; ");
}

// A kernel may unmap first what is mapped over, and then refuse.
TEST(VirtualMemory, CommittingMapsNothingOverWhatIsReserved) {
    FakeKernel kernel({});
    void* const start = reinterpret_cast<void*>(0x40000000);
    EXPECT_TRUE(os::commit(start, 0x10000));
    FakeKernel::refuses = true;
    const std::uint64_t failed = os::memory_counters().failed;
    EXPECT_FALSE(os::commit(start, 0x10000));
    EXPECT_EQ(os::memory_counters().failed, failed + 1);
    EXPECT_EQ(FakeKernel::calls, "protect 40000000+10000; protect 40000000+10000; ");
}

TEST(VirtualMemory, AMisalignedAnswerIsGivenBackAndThePlaceBelowAskedFor) {
    FakeKernel kernel({0x40001000, 0x40000000});
    EXPECT_EQ(os::reserve(0x20000, 0x10000), reinterpret_cast<void*>(0x40000000));
    EXPECT_EQ(FakeKernel::calls, "map 0+20000; unmap 40001000+20000; map 40000000+20000; ");
}

TEST(VirtualMemory, IfThatFailsBothEndsOfALongerAnswerAreGivenBack) {
    FakeKernel kernel({0x40001000, 0x50003000, 0x60003000});
    EXPECT_EQ(os::reserve(0x20000, 0x10000), reinterpret_cast<void*>(0x60010000));
    EXPECT_EQ(FakeKernel::calls,
              "map 0+20000; unmap 40001000+20000; map 40000000+20000; unmap 50003000+20000; "
              "map 0+2f000; unmap 60003000+d000; unmap 60030000+2000; ");
}

TEST(VirtualMemory, ALongerAnswerThatIsAlignedHasOneEndOnly) {
    FakeKernel kernel({0x40001000, 0x50001000, 0x60000000});
    EXPECT_EQ(os::map(0x1000, 0x10000), reinterpret_cast<void*>(0x60000000));
    EXPECT_EQ(FakeKernel::calls,
              "map 0+1000; unmap 40001000+1000; map 40000000+1000; unmap 50001000+1000; "
              "map 0+10000; unmap 60001000+f000; ");
}

TEST(VirtualMemory, TheLastPossiblePlaceNeedsNoEndAfterIt) {
    FakeKernel kernel({0x40001000, 0x50001000, 0x60001000});
    EXPECT_EQ(os::map(0x1000, 0x10000), reinterpret_cast<void*>(0x60010000));
    EXPECT_EQ(FakeKernel::calls,
              "map 0+1000; unmap 40001000+1000; map 40000000+1000; unmap 50001000+1000; "
              "map 0+10000; unmap 60001000+f000; ");
}

TEST(VirtualMemory, AnAttemptThatFailsLeavesNothingBehind) {
    {
        FakeKernel kernel({0x40001000, 0x50001000, 0});
        EXPECT_EQ(os::map(0x1000, 0x10000), nullptr);
        EXPECT_EQ(FakeKernel::calls,
                  "map 0+1000; unmap 40001000+1000; map 40000000+1000; unmap 50001000+1000; "
                  "map 0+10000; ");
    }
    {
        FakeKernel kernel({0x40001000, 0});
        EXPECT_EQ(os::map(0x1000, 0x10000), nullptr);
        EXPECT_EQ(FakeKernel::calls, "map 0+1000; unmap 40001000+1000; map 40000000+1000; ");
    }
}

TEST(VirtualMemory, AMisalignedPlaceNearZeroIsAskedForAgainAnywhere) {
    FakeKernel kernel({0x8000, 0x40000000});
    EXPECT_EQ(os::map(0x1000, 0x10000), reinterpret_cast<void*>(0x40000000));
    EXPECT_EQ(FakeKernel::calls, "map 0+1000; unmap 8000+1000; map 0+1000; ");
}

TEST(VirtualMemory, WhichPagesAreWantedIsAdvisedAndCountedAndARefusalIsTold) {
    FakeKernel kernel({});
    void* const start = reinterpret_cast<void*>(0x40000000);
    const os::MemoryCounters& counters = os::memory_counters();
    const std::uint64_t prefer = counters.prefer;
    const std::uint64_t purge = counters.purge;
    const std::uint64_t failed = counters.failed;
    EXPECT_TRUE(os::prefer_pages(start, 0x400000, os::PageSize::huge));
    EXPECT_TRUE(os::prefer_pages(start, 0x200000, os::PageSize::small));
    EXPECT_EQ(FakeKernel::calls, "huge 40000000+400000; small 40000000+200000; ");
    EXPECT_EQ(counters.failed, failed);
    FakeKernel::refuses = true;
    EXPECT_FALSE(os::prefer_pages(start, 0x200000, os::PageSize::huge));
    EXPECT_FALSE(os::prefer_pages(start, 0x200000, os::PageSize::small));
    EXPECT_EQ(counters.failed, failed + 2);
    EXPECT_EQ(counters.prefer, prefer + 4);
    EXPECT_EQ(counters.purge, purge);
}

// In a process of its own: others may have let a kernel refuse, which is not forgotten.
using VirtualMemoryPristine = tests::Pristine;

TEST_F(VirtualMemoryPristine, PopulatedPagesAreResidentZeroAndCounted) {
    void* const probe = os::map(page_bytes);
    const bool is_known = madvise(probe, page_bytes, 23) == 0 || errno != EINVAL;
    os::unmap(probe, page_bytes);
    if (!is_known) GTEST_SKIP() << "the kernel is older than 5.14";
    EXPECT_EXIT(tests::in_child([] {
                    constexpr std::size_t count = 8;
                    constexpr std::size_t bytes = count * page_bytes;
                    char* const start = static_cast<char*>(os::map(bytes));
                    CHILD_REQUIRE(start != nullptr);
                    os::populate(start + page_bytes, 4 * page_bytes);
                    CHILD_REQUIRE(os::memory_counters().populate == 1);
                    unsigned char pages[count] = {};
                    CHILD_REQUIRE(os::residency(start, bytes, pages));
                    for (std::size_t i = 0; i < count; i++) {
                        CHILD_REQUIRE((pages[i] & 1) == (i >= 1 && i < 5 ? 1 : 0));
                    }
                    for (std::size_t i = 0; i < bytes; i++) CHILD_REQUIRE(start[i] == 0);
                }),
                testing::ExitedWithCode(0), "");
}

// Answers to advice, with the errno that is set.
int advice_error = 0;
constexpr os::MemoryCalls unwilling_calls = {
    FakeKernel::table.map,
    FakeKernel::table.unmap,
    FakeKernel::table.remap,
    [](void*, std::size_t, int) {
        errno = advice_error;
        return -1;
    },
    FakeKernel::table.residency,
    FakeKernel::table.protect,
};

TEST_F(VirtualMemoryPristine, AKernelThatCannotPopulateIsAskedOnceAndErrnoStays) {
    for (const int cannot : {EINVAL, EPERM, ENOSYS}) {
        EXPECT_EXIT(tests::in_child([cannot] {
                        os::set_memory_calls(&unwilling_calls);
                        const os::MemoryCounters& counters = os::memory_counters();
                        const std::uint64_t asked = counters.populate;
                        const std::uint64_t failed = counters.failed;
                        void* const start = reinterpret_cast<void*>(0x40000000);
                        errno = 7;
                        // For want of memory: it may be there the next time.
                        advice_error = ENOMEM;
                        for (int i = 0; i < 3; i++) os::populate(start, page_bytes);
                        CHILD_REQUIRE(counters.populate == asked + 3);
                        advice_error = cannot;
                        for (int i = 0; i < 3; i++) os::populate(start, page_bytes);
                        CHILD_REQUIRE(counters.populate == asked + 4);
                        // What comes by faults instead is no failure.
                        CHILD_REQUIRE(counters.failed == failed);
                        CHILD_REQUIRE(errno == 7);
                    }),
                    testing::ExitedWithCode(0), "");
    }
}

// ---- each call refused --------------------------------------------------------------------------

TEST(VirtualMemory, EveryRefusalIsToldAndCounted) {
    constexpr std::size_t bytes = 4 * page_bytes;
    char* const start = static_cast<char*>(os::map(bytes));
    char* const target = static_cast<char*>(os::reserve(2 * bytes, page_bytes));
    ASSERT_TRUE(start != nullptr && target != nullptr);
    fill(start, bytes);
    const os::MemoryCounters& counters = os::memory_counters();
    const std::uint64_t failed = counters.failed;
    const std::uint64_t map = counters.map;
    const std::uint64_t protect = counters.protect;
    const std::uint64_t unmap = counters.unmap;
    const std::uint64_t remap = counters.remap;
    const std::uint64_t purge = counters.purge;
    const std::uint64_t prefer = counters.prefer;
    const std::uint64_t purged = counters.purged_bytes;
    unsigned char pages[4] = {};
    {
        FaultInjection faults({});
        EXPECT_EQ(os::reserve(bytes, page_bytes), nullptr);
        EXPECT_EQ(os::map(bytes), nullptr);
        EXPECT_FALSE(os::commit(target, bytes));
        EXPECT_FALSE(os::unmap(start, bytes));
        EXPECT_FALSE(os::resize_in_place(start, bytes, 2 * bytes));
        EXPECT_FALSE(os::move(start, bytes, target, 2 * bytes));
        EXPECT_FALSE(os::purge(start, bytes));
        EXPECT_FALSE(os::prefer_pages(start, bytes, os::PageSize::huge));
        EXPECT_FALSE(os::residency(start, bytes, pages));
        EXPECT_EQ(FaultInjection::failed(), 9u);
    }
    EXPECT_EQ(counters.failed, failed + 8);  // asking for residency changes nothing: not counted
    EXPECT_EQ(counters.map, map + 2);
    EXPECT_EQ(counters.protect, protect + 1);
    EXPECT_EQ(counters.unmap, unmap + 1);
    EXPECT_EQ(counters.remap, remap + 2);
    EXPECT_EQ(counters.purge, purge + 1);
    EXPECT_EQ(counters.prefer, prefer + 1);
    EXPECT_EQ(counters.purged_bytes, purged);
    EXPECT_TRUE(is_filled(start, bytes));
    EXPECT_EQ(protection_at(target), "---p");
    EXPECT_TRUE(os::unmap(start, bytes));
    EXPECT_TRUE(os::unmap(target, 2 * bytes));
}

TEST(VirtualMemory, TheNthMmapOfAnAlignedMappingMayFail) {
    // With an alignment that the kernel does not give by itself there are up to three mmaps.
    for (std::uint64_t n = 1; n <= 4; n++) {
        FaultInjection faults({.calls = FaultInjection::map, .first = n, .last = n});
        void* const start = os::reserve(64 * mebibyte, 512 * mebibyte);
        EXPECT_EQ(start == nullptr, FaultInjection::failed() > 0) << n;
        if (start != nullptr) {
            EXPECT_TRUE(is_aligned(start, 512 * mebibyte));
            EXPECT_TRUE(os::unmap(start, 64 * mebibyte));
        }
    }
}

TEST(VirtualMemory, UnderRandomRefusalsNothingIsHalfDone) {
    constexpr std::size_t bytes = 4 * page_bytes;
    constexpr std::size_t alignment = 32 * page_bytes;
    std::mt19937 random(5);
    FaultInjection faults(
        {.calls = FaultInjection::map | FaultInjection::remap | FaultInjection::advise,
         .per_mille = 300,
         .seed = 11});
    unsigned successes = 0;
    for (int i = 0; i < 500; i++) {
        char* const start = static_cast<char*>(os::map(bytes, alignment));
        if (start == nullptr) continue;
        ASSERT_TRUE(is_aligned(start, alignment));
        fill(start, bytes);
        if (os::purge(start, bytes)) {
            ASSERT_TRUE(is_zero(start, bytes));
        } else {
            ASSERT_TRUE(is_filled(start, bytes));
        }
        fill(start, bytes);
        char* const target = static_cast<char*>(os::reserve(2 * bytes, alignment));
        if (target != nullptr && os::move(start, bytes, target, 2 * bytes)) {
            ASSERT_TRUE(is_filled(target, bytes));
            ASSERT_FALSE(is_mapped(start, bytes));
            ASSERT_TRUE(os::unmap(target, 2 * bytes));
            successes++;
            continue;
        }
        ASSERT_TRUE(is_filled(start, bytes));
        if (target != nullptr) {
            ASSERT_TRUE(os::unmap(target, 2 * bytes));
        }
        ASSERT_TRUE(os::unmap(start, bytes));
    }
    EXPECT_GT(successes, 0u);
    EXPECT_GT(FaultInjection::failed(), 0u);
}

}  // namespace
