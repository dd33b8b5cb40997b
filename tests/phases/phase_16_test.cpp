#include "phases/phase_16.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "back/large.hpp"
#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"
#include "os/environment.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fake_clock.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
using base::gibibyte;
using base::kibibyte;
using base::mebibyte;
using phases::Phase16;
using phases::SizeClaim;
using tests::ChangedOption;
using tests::FakeClock;
using tests::FaultInjection;
using tests::in_child;

constexpr std::size_t too_large = std::size_t{PTRDIFF_MAX} + 1;

// Sizes of every domain, and on both sides of each border.
constexpr std::size_t sizes[] = {1,
                                 16,
                                 100,
                                 kibibyte,
                                 kibibyte + 1,
                                 32 * kibibyte,
                                 32 * kibibyte + 1,
                                 64 * kibibyte,
                                 2 * mebibyte,
                                 2 * mebibyte + 1,
                                 5 * mebibyte};

char* allocate(std::size_t bytes) { return static_cast<char*>(Phase16::allocate(bytes)); }

bool is_aligned(const void* block, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

// A pattern in the first and the last kilobyte, and on each page between.
char pattern(std::size_t at, unsigned seed) { return static_cast<char>(at * 7 + seed + at / 251); }

template <typename Visit>
void for_each_place(std::size_t bytes, Visit visit) {
    const std::size_t edge = std::min(bytes, kibibyte);
    for (std::size_t at = 0; at < edge; at++) visit(at);
    for (std::size_t at = edge; at + edge < bytes; at += 4000) visit(at);
    for (std::size_t at = bytes - edge; at < bytes; at++) visit(at);
}

void fill(char* block, std::size_t bytes, unsigned seed) {
    for_each_place(bytes, [&](std::size_t at) { block[at] = pattern(at, seed); });
}

// Whether the first bytes are those of a block that was filled at a size of its own.
bool is_filled(const char* block, std::size_t bytes, unsigned seed, std::size_t filled_bytes) {
    bool same = true;
    for_each_place(filled_bytes,
                   [&](std::size_t at) { same &= at >= bytes || block[at] == pattern(at, seed); });
    return same;
}

bool is_filled(const char* block, std::size_t bytes, unsigned seed) {
    return is_filled(block, bytes, seed, bytes);
}

bool is_zero(const char* block, std::size_t bytes) {
    return block[0] == 0 && std::memcmp(block, block + 1, bytes - 1) == 0;
}

// Whether a call failed the way malloc fails.
template <typename Call>
bool has_no_memory(Call call) {
    errno = 0;
    return call() == nullptr && errno == ENOMEM;
}

// ---- edges --------------------------------------------------------------------------------------

TEST(Phase16, NoBytesAreABlockOfItsOwn) {
    char* const first = allocate(0);
    char* const second = allocate(0);
    ASSERT_NE(first, nullptr);
    ASSERT_NE(second, nullptr);
    EXPECT_NE(first, second);
    EXPECT_EQ(Phase16::usable_bytes(first), Phase16::good_bytes(0));
    for (const std::size_t count : {0u, 5u}) {
        void* const zeroed = Phase16::allocate_zeroed(count, count == 0 ? 5 : 0);
        EXPECT_NE(zeroed, nullptr);
        Phase16::deallocate(zeroed);
    }
    for (std::size_t alignment = 1; alignment <= mebibyte; alignment *= 2) {
        void* const aligned = Phase16::allocate_aligned(alignment, 0);
        ASSERT_NE(aligned, nullptr);
        EXPECT_TRUE(is_aligned(aligned, alignment));
        Phase16::deallocate(aligned);
    }
    Phase16::deallocate(first);
    Phase16::deallocate(second);
}

TEST(Phase16, NullIsFreedAndMeasuredForNothing) {
    Phase16::deallocate(nullptr);
    Phase16::deallocate_sized(nullptr, 100, SizeClaim::exact);
    EXPECT_EQ(Phase16::usable_bytes(nullptr), 0u);
}

TEST(Phase16, WhatNoAddressSpaceHoldsFailsWithENOMEM) {
    for (const std::size_t bytes : {too_large - 2, too_large - 1, too_large, SIZE_MAX - 1, SIZE_MAX,
                                    SIZE_MAX - 4096, too_large - 4096}) {
        EXPECT_TRUE(has_no_memory([&] { return Phase16::allocate(bytes); })) << bytes;
        EXPECT_TRUE(has_no_memory([&] { return Phase16::allocate_zeroed(1, bytes); })) << bytes;
        EXPECT_TRUE(has_no_memory([&] { return Phase16::allocate_zeroed(bytes, 1); })) << bytes;
        EXPECT_TRUE(has_no_memory([&] { return Phase16::reallocate(nullptr, bytes); })) << bytes;
        for (const std::size_t alignment : {std::size_t{8}, std::size_t{64}, mebibyte, gibibyte}) {
            EXPECT_TRUE(has_no_memory([&] { return Phase16::allocate_aligned(alignment, bytes); }))
                << bytes << " at " << alignment;
        }
    }
    EXPECT_EQ(Phase16::good_bytes(too_large), 0u);
    EXPECT_EQ(Phase16::good_bytes(SIZE_MAX), 0u);
}

TEST(Phase16, AProductThatOverflowsFailsWithENOMEM) {
    constexpr std::size_t half = std::size_t{1} << 32;
    EXPECT_TRUE(has_no_memory([] { return Phase16::allocate_zeroed(half, half); }));
    EXPECT_TRUE(has_no_memory([] { return Phase16::allocate_zeroed(SIZE_MAX, 2); }));
    EXPECT_TRUE(has_no_memory([] { return Phase16::allocate_zeroed(2, SIZE_MAX); }));
    EXPECT_TRUE(has_no_memory([] { return Phase16::allocate_zeroed(half + 1, half); }));
}

TEST(Phase16, ABlockThatCannotGrowStaysAsItIs) {
    for (const std::size_t bytes : sizes) {
        char* const block = allocate(bytes);
        fill(block, bytes, 3);
        for (const std::size_t wanted : {too_large - 1, too_large, SIZE_MAX}) {
            EXPECT_TRUE(has_no_memory([&] { return Phase16::reallocate(block, wanted); }));
        }
        EXPECT_TRUE(is_filled(block, bytes, 3)) << bytes;
        Phase16::deallocate(block);
    }
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(Phase16, AlignmentsThatAreNoPowerOfTwoAreInvalid) {
    for (const std::size_t alignment :
         {std::size_t{0}, std::size_t{3}, std::size_t{24}, std::size_t{4095}, SIZE_MAX}) {
        for (const std::size_t bytes : {std::size_t{0}, std::size_t{10}, SIZE_MAX}) {
            errno = 0;
            EXPECT_EQ(Phase16::allocate_aligned(alignment, bytes), nullptr);
            EXPECT_EQ(errno, EINVAL);
        }
    }
    for (std::size_t alignment = 2 * gibibyte; alignment != 0; alignment *= 2) {
        EXPECT_TRUE(has_no_memory([&] { return Phase16::allocate_aligned(alignment, 10); }));
    }
}

TEST(Phase16, SuccessAndFreeLeaveErrnoAlone) {
    for (const std::size_t bytes : sizes) {
        errno = 77;
        char* block = allocate(bytes);
        EXPECT_EQ(errno, 77);
        block = static_cast<char*>(Phase16::reallocate(block, bytes + 4 * mebibyte));
        EXPECT_EQ(errno, 77);
        Phase16::deallocate(block);
        EXPECT_EQ(errno, 77);
        Phase16::deallocate(Phase16::allocate_zeroed(bytes, 1));
        EXPECT_EQ(errno, 77);
    }
}

// ---- sizes --------------------------------------------------------------------------------------

TEST(Phase16, TheGoodSizeIsTheUsableSize) {
    std::vector<std::size_t> all;
    for (const base::SizeClass& row : base::size_classes) {
        for (const std::size_t d : {0u, 1u, 2u}) all.push_back(row.block_bytes + d);
        if (row.block_bytes != 0) all.push_back(row.block_bytes - 1);
    }
    for (std::size_t bytes = 32 * kibibyte; bytes <= 8 * mebibyte; bytes += bytes / 7) {
        all.insert(all.end(), {bytes, bytes + 1, bytes - 1});
    }
    all.insert(all.end(), std::begin(sizes), std::end(sizes));
    for (const std::size_t bytes : all) {
        Phase16::trim();  // a reused mapping may be larger
        char* const block = allocate(bytes);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(is_aligned(block, base::block_alignment));
        EXPECT_GE(Phase16::good_bytes(bytes), bytes);
        EXPECT_EQ(Phase16::good_bytes(bytes), Phase16::usable_bytes(block)) << bytes;
        EXPECT_EQ(Phase16::good_bytes(Phase16::good_bytes(bytes)), Phase16::good_bytes(bytes));
        block[0] = block[Phase16::usable_bytes(block) - 1] = 1;
        Phase16::deallocate(block);
    }
}

TEST(Phase16, EveryAlignmentUpToAGibibyteServesEverySize) {
    for (std::size_t alignment = 1; alignment <= gibibyte; alignment *= 2) {
        for (const std::size_t bytes : sizes) {
            auto* const block = static_cast<char*>(Phase16::allocate_aligned(alignment, bytes));
            ASSERT_NE(block, nullptr) << bytes << " at " << alignment;
            EXPECT_TRUE(is_aligned(block, alignment)) << bytes << " at " << alignment;
            EXPECT_TRUE(is_aligned(block, base::block_alignment));
            const std::size_t usable = Phase16::usable_bytes(block);
            EXPECT_GE(usable, bytes);
            block[0] = block[usable - 1] = 1;
            fill(block, bytes, 5);
            EXPECT_TRUE(is_filled(block, bytes, 5));
            // realloc promises nothing of the alignment, but everything of the contents.
            if (alignment % 64 == 0) {
                auto* const grown = static_cast<char*>(Phase16::reallocate(block, 2 * bytes));
                ASSERT_NE(grown, nullptr);
                EXPECT_TRUE(is_filled(grown, bytes, 5));
                Phase16::deallocate(grown);
            } else {
                Phase16::deallocate(block);
            }
        }
    }
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(Phase16, ReallocKeepsTheContentsFromEverySizeToEverySize) {
    unsigned seed = 0;
    for (const std::size_t from : sizes) {
        for (const std::size_t to : sizes) {
            seed++;
            char* const block = allocate(from);
            ASSERT_NE(block, nullptr);
            fill(block, from, seed);
            auto* const resized = static_cast<char*>(Phase16::reallocate(block, to));
            ASSERT_NE(resized, nullptr);
            EXPECT_GE(Phase16::usable_bytes(resized), to);
            EXPECT_TRUE(is_filled(resized, std::min(from, to), seed, from)) << from << " to " << to;
            fill(resized, to, seed + 100);
            auto* const back = static_cast<char*>(Phase16::reallocate(resized, from));
            ASSERT_NE(back, nullptr);
            EXPECT_TRUE(is_filled(back, std::min(from, to), seed + 100, to))
                << to << " to " << from;
            Phase16::deallocate(back);
        }
    }
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(Phase16, ReallocOfNullAllocatesAndToNothingFrees) {
    auto* const block = static_cast<char*>(Phase16::reallocate(nullptr, 100));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(Phase16::usable_bytes(block), Phase16::good_bytes(100));
    EXPECT_EQ(Phase16::reallocate(block, 0), nullptr);
    EXPECT_EQ(Phase16::allocate(100), block) << "the block freed last is the next one";
    Phase16::deallocate(block);
}

TEST(Phase16, ReallocLeavesASmallBlockWhereItIsWhileItIsHalfUsed) {
    char* const block = allocate(1000);
    const std::size_t usable = Phase16::usable_bytes(block);
    EXPECT_EQ(Phase16::reallocate(block, usable), block);
    EXPECT_EQ(Phase16::reallocate(block, usable / 2 + 1), block);
    void* const moved = Phase16::reallocate(block, usable / 4);
    EXPECT_NE(moved, block);
    EXPECT_LT(Phase16::usable_bytes(moved), usable);
    Phase16::deallocate(moved);
}

TEST(Phase16, CallocIsZeroHoweverDirtyTheMemoryWas) {
    for (const std::size_t bytes : sizes) {
        for (const bool trimmed : {false, true}) {
            std::vector<char*> dirty;
            for (int i = 0; i < 40 && (i < 4 || bytes < mebibyte); i++) {
                dirty.push_back(allocate(bytes));
                ASSERT_NE(dirty.back(), nullptr);
                std::memset(dirty.back(), 0xa5, Phase16::usable_bytes(dirty.back()));
            }
            for (char* block : dirty) Phase16::deallocate(block);
            if (trimmed) Phase16::trim();
            std::vector<char*> zeroed;
            for (std::size_t i = 0; i < dirty.size(); i++) {
                zeroed.push_back(static_cast<char*>(Phase16::allocate_zeroed(bytes, 1)));
                ASSERT_NE(zeroed.back(), nullptr);
                EXPECT_TRUE(is_zero(zeroed.back(), bytes)) << bytes;
                std::memset(zeroed.back(), 0x5a, bytes);
            }
            for (char* block : zeroed) Phase16::deallocate(block);
        }
    }
    EXPECT_EQ(Phase16::validate(), nullptr);
}

// ---- sized frees --------------------------------------------------------------------------------

TEST(Phase16, EveryTrueClaimOfASizeIsAccepted) {
    const ChangedOption hardened(&os::Options::hardened, 1);  // every claim is looked at
    std::thread([] {
        for (const std::size_t bytes : sizes) {
            for (const SizeClaim claim :
                 {SizeClaim::exact, SizeClaim::resized, SizeClaim::at_most}) {
                Phase16::deallocate_sized(Phase16::allocate(bytes), bytes, claim);
                Phase16::deallocate_sized(Phase16::allocate_aligned(4096, bytes), bytes,
                                          SizeClaim::at_most);
            }
            void* const block = Phase16::allocate(bytes);
            const std::size_t less = bytes - bytes / 4;
            void* const resized = Phase16::reallocate(block, less);
            Phase16::deallocate_sized(resized, less, SizeClaim::resized);
        }
        EXPECT_EQ(Phase16::validate(), nullptr);
    }).join();
}

// realloc tells the program the smaller size even where the kernel would not take the rest back.
TEST(Phase16, ABlockThatTheKernelDidNotShortenIsFreedByItsSmallerSize) {
    const auto refuse_to_shorten = [](std::size_t bytes) {
        const std::size_t from = 8 * bytes;
        void* const block = Phase16::allocate(from);
        const FaultInjection faults({.calls = FaultInjection::unmap | FaultInjection::remap});
        EXPECT_EQ(Phase16::reallocate(block, bytes), block);
        EXPECT_GT(FaultInjection::failed(), 0u);
        EXPECT_EQ(Phase16::usable_bytes(block), from);
        return block;
    };
    constexpr std::size_t bytes = 5 * mebibyte;
    for (const SizeClaim claim : {SizeClaim::exact, SizeClaim::resized, SizeClaim::at_most}) {
        Phase16::deallocate_sized(refuse_to_shorten(bytes), bytes, claim);
    }
    // The block that the mapping serves as next has no such excuse.
    void* const block = refuse_to_shorten(bytes);
    Phase16::deallocate(block);
    EXPECT_EQ(Phase16::allocate(8 * bytes), block);
    EXPECT_DEATH(Phase16::deallocate_sized(block, bytes, SizeClaim::resized),
                 "sized delete mismatch");
    Phase16::deallocate(block);
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(Phase16, AWrongClaimIsNamed) {
    for (const std::size_t bytes : {100 * kibibyte, 3 * mebibyte}) {
        void* const block = Phase16::allocate(bytes);
        const std::size_t usable = Phase16::usable_bytes(block);
        for (const SizeClaim claim : {SizeClaim::exact, SizeClaim::resized, SizeClaim::at_most}) {
            EXPECT_DEATH(Phase16::deallocate_sized(block, usable + 1, claim),
                         "sized delete mismatch");
        }
        EXPECT_DEATH(Phase16::deallocate_sized(block, usable / 3, SizeClaim::exact),
                     "sized delete mismatch");
        EXPECT_DEATH(Phase16::deallocate_sized(block, usable / 3, SizeClaim::resized),
                     "sized delete mismatch");
        Phase16::deallocate_sized(block, usable / 3, SizeClaim::at_most);
    }
    const auto wrong_small_claim = [](std::size_t bytes, SizeClaim claim) {
        const ChangedOption hardened(&os::Options::hardened, 1);
        void* const block = Phase16::allocate(1000);
        front::own_heap()->apply_options();
        Phase16::deallocate_sized(block, bytes, claim);
    };
    EXPECT_DEATH(wrong_small_claim(1025, SizeClaim::at_most), "sized delete mismatch");
    EXPECT_DEATH(wrong_small_claim(896, SizeClaim::exact), "sized delete mismatch");
    EXPECT_DEATH(wrong_small_claim(512, SizeClaim::resized), "sized delete mismatch");
}

// ---- out of memory ------------------------------------------------------------------------------

struct Live {
    char* block;
    std::size_t bytes;
    unsigned seed;
};

// Allocates until nothing of any size can be had, checks that all stands, and that memory which is
// freed then serves again.
void run_out_of_memory(unsigned first_refused) {
    constexpr std::size_t wanted[] = {
        16, 700, 5000, 32 * kibibyte, 300 * kibibyte, 2 * mebibyte, 3 * mebibyte};
    // What is mapped at a time grows with the heap, up to this. Else there would be gibibytes to
    // fill before the last of the calls that are refused in turn.
    const ChangedOption chunk(&os::Options::large_cache, 8 * mebibyte);
    std::vector<Live> live;
    live.reserve(100000);
    {
        const FaultInjection faults(
            {.calls = FaultInjection::more | FaultInjection::remap, .first = first_refused});
        // Large sizes first in a row: small ones then eat what is left of the superslabs.
        std::size_t refused = 0;
        for (unsigned i = 0; refused < std::size(wanted); i++) {
            const std::size_t bytes = wanted[std::size(wanted) - 1 - refused];
            CHILD_REQUIRE(live.size() < live.capacity());
            errno = 0;
            char* const block = i % 2 == 0 ? allocate(bytes)
                                           : static_cast<char*>(Phase16::allocate_zeroed(bytes, 1));
            if (block == nullptr) {
                CHILD_REQUIRE(errno == ENOMEM);
                refused++;
                continue;
            }
            fill(block, bytes, i);
            live.push_back({block, bytes, i});
            // Other sizes between, so that the call which is refused first may be for anything.
            if (refused == 0 && i % 3 == 0) {
                const std::size_t between = wanted[i / 3 % (std::size(wanted) - 1)];
                char* const more = allocate(between);
                CHILD_REQUIRE(more != nullptr || FaultInjection::failed() > 0);
                if (more == nullptr) continue;
                fill(more, between, i);
                live.push_back({more, between, i});
            }
        }
        CHILD_REQUIRE(FaultInjection::failed() > 0);
        CHILD_REQUIRE(has_no_memory([] { return Phase16::allocate_aligned(64, 4 * mebibyte); }));
        for (std::size_t i = 0; i < std::min<std::size_t>(live.size(), 50); i++) {
            char* const block = live[i].block;
            CHILD_REQUIRE(has_no_memory([&] { return Phase16::reallocate(block, 9 * mebibyte); }));
        }
        for (const Live& l : live) CHILD_REQUIRE(is_filled(l.block, l.bytes, l.seed));
        CHILD_REQUIRE(Phase16::validate() == nullptr);
        // Half of it goes, and comes back.
        std::vector<Live> kept;
        std::size_t came_back = 0;  // a small size of which a block is free
        for (std::size_t i = 0; i < live.size(); i++) {
            if (i % 2 == 0) {
                kept.push_back(live[i]);
                continue;
            }
            if (live[i].bytes <= base::small_bytes_max) came_back = live[i].bytes;
            errno = 77;
            Phase16::deallocate(live[i].block);
            CHILD_REQUIRE(errno == 77);
        }
        if (came_back != 0) {
            void* const again = Phase16::allocate(came_back);
            CHILD_REQUIRE(again != nullptr);
            Phase16::deallocate(again);
        }
        live = kept;
        CHILD_REQUIRE(Phase16::validate() == nullptr);
    }
    for (const std::size_t bytes : wanted) {
        void* const block = Phase16::allocate(bytes);
        CHILD_REQUIRE(block != nullptr);
        Phase16::deallocate(block);
    }
    for (const Live& l : live) {
        CHILD_REQUIRE(is_filled(l.block, l.bytes, l.seed));
        Phase16::deallocate(l.block);
    }
    Phase16::trim();
    CHILD_REQUIRE(Phase16::validate() == nullptr);
}

class Phase16Pristine : public tests::Pristine {};

TEST_F(Phase16Pristine, WhatAThreadHasLeftIsTakenInBeforeMemoryIsRefused) {
    EXPECT_EXIT(
        in_child([] {
            const FakeClock clock;  // which stands still: no sweep comes
            Phase16::deallocate(allocate(1));
            std::thread([] { Phase16::deallocate(allocate(1)); }).join();  // there are two heaps
            const FaultInjection faults({.calls = FaultInjection::more});
            std::vector<char*> blocks;
            std::thread([&blocks] {
                while (char* const block = allocate(512)) blocks.push_back(block);
                // One block of every third slab stays in the magazine, which has room for them.
                std::set<const back::Slab*> slabs;
                for (char*& block : blocks) {
                    if (slabs.insert(back::page_map::slab_of(block)).second &&
                        slabs.size() % 3 == 0) {
                        Phase16::deallocate(std::exchange(block, nullptr));
                    }
                }
            }).join();
            for (char* const block : blocks) Phase16::deallocate(block);
            bool zero = false;
            CHILD_REQUIRE(back::large::allocate(mebibyte, base::block_alignment, zero,
                                                back::shared_pool::Growth::refused) == nullptr);
            CHILD_REQUIRE(allocate(mebibyte) != nullptr);
            CHILD_REQUIRE(Phase16::validate() == nullptr);
        }),
        testing::ExitedWithCode(0), "");
}

// From the first call on, which is for the first heap, to those for tables of a grown heap.
// It may be what a record or a thread's stack lacks.
TEST_F(Phase16Pristine, WhatCannotBeHadTakesTheUnusedReservationAlong) {
    EXPECT_EXIT(in_child([] {
                    CHILD_REQUIRE(allocate(100) != nullptr);
                    CHILD_REQUIRE(back::shared_pool::reserved_bytes() == 64 * mebibyte);
                    CHILD_REQUIRE(allocate(std::size_t{1} << 50) == nullptr);
                    CHILD_REQUIRE(back::shared_pool::reserved_bytes() == 4 * mebibyte);
                }),
                testing::ExitedWithCode(0), "");
}

TEST_F(Phase16Pristine, WhicheverCallForMemoryIsTheFirstRefusedTheHeapStandsAndRecovers) {
    for (unsigned n = 1; n <= 40; n++) {
        EXPECT_EXIT(in_child([n] { run_out_of_memory(n); }), testing::ExitedWithCode(0), "") << n;
    }
}

TEST(Phase16, RunningOutOfMemoryAgainAndAgainHarmsNothing) {
    EXPECT_EXIT(in_child([] {
                    for (unsigned n = 1; n <= 40; n++) run_out_of_memory(n);
                }),
                testing::ExitedWithCode(0), "");
}

// ---- the handler --------------------------------------------------------------------------------

// A program's handler, which says for so long that trying again makes sense.
struct Handler {
    explicit Handler(int patience) : tries_left(patience) { Phase16::set_oom_handler(help, this); }
    ~Handler() { Phase16::set_oom_handler(nullptr, nullptr); }
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;

    static int help(std::size_t bytes, void* context) {
        Handler& self = *static_cast<Handler*>(context);
        self.calls++;
        self.bytes = bytes;
        if (self.tries_left-- > 0) return 1;
        if (self.memory_comes_back) os::set_memory_calls(nullptr);
        return self.memory_comes_back ? 1 : 0;
    }
    int tries_left;
    int calls = 0;
    std::size_t bytes = 0;
    bool memory_comes_back = false;
};

TEST(Phase16, TheHandlerIsAskedUntilItGivesUp) {
    Handler handler(3);
    EXPECT_TRUE(has_no_memory([] { return Phase16::allocate(too_large / 2); }));
    EXPECT_EQ(handler.calls, 4);
    EXPECT_EQ(handler.bytes, too_large / 2);
    // What cannot be helped is not asked about.
    EXPECT_TRUE(has_no_memory([] { return Phase16::allocate(too_large); }));
    EXPECT_EQ(handler.calls, 4);
}

TEST(Phase16, MemoryThatTheHandlerFindsServesTheCall) {
    Handler handler(2);
    handler.memory_comes_back = true;
    Phase16::trim();
    const FaultInjection faults({.calls = FaultInjection::more});
    errno = 77;
    void* const block = Phase16::allocate(3 * mebibyte);
    EXPECT_NE(block, nullptr);
    EXPECT_EQ(handler.calls, 3);
    EXPECT_EQ(handler.bytes, 3 * mebibyte);
    EXPECT_EQ(errno, 77);
    Phase16::deallocate(block);
}

TEST(Phase16, TheHandlerIsAskedForSmallBlocksToo) {
    Handler handler(0);
    std::vector<void*> blocks;
    {
        const FaultInjection faults({.calls = FaultInjection::more});
        while (void* const block = Phase16::allocate(20 * kibibyte)) blocks.push_back(block);
        EXPECT_EQ(errno, ENOMEM);
    }
    EXPECT_EQ(handler.calls, 1);
    EXPECT_GE(handler.bytes, 20 * kibibyte);
    for (void* block : blocks) Phase16::deallocate(block);
}

// ---- trim ---------------------------------------------------------------------------------------

TEST(Phase16, TrimGivesBackWhatIsFreeAndSaysHowMuch) {
    Phase16::trim();
    std::size_t total = 0;
    std::vector<char*> blocks;
    for (int i = 0; i < 8; i++) {
        for (const std::size_t bytes : sizes) {
            blocks.push_back(allocate(bytes));
            std::memset(blocks.back(), 1, bytes);
            total += bytes >= 64 * kibibyte ? bytes : 0;
        }
    }
    char* const kept = allocate(100);
    std::memset(kept, 0x42, 100);
    for (char* block : blocks) Phase16::deallocate(block);
    EXPECT_GE(Phase16::trim(), total);
    EXPECT_LT(Phase16::trim(), mebibyte) << "what is given back is given back once";
    EXPECT_EQ(kept[99], 0x42);
    Phase16::deallocate(kept);
    EXPECT_EQ(Phase16::validate(), nullptr);
}

// ---- threads ------------------------------------------------------------------------------------

TEST(Phase16, BlocksThatPassFromThreadToThreadStayWholeAndAllComeBack) {
    constexpr unsigned threads = 4;
    constexpr unsigned rounds = tests::under_sanitizer ? 5000 : 40000;
    struct Header {
        std::size_t bytes;
        unsigned seed;
    };
    static std::array<std::atomic<char*>, 256> exchange{};
    const auto check_and_free = [](char* block) {
        Header header{};
        std::memcpy(&header, block, sizeof header);
        EXPECT_GE(Phase16::usable_bytes(block), header.bytes);
        EXPECT_TRUE(is_filled(block + sizeof header, header.bytes - sizeof header, header.seed));
        Phase16::deallocate(block);
    };
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([t, check_and_free] {
            std::mt19937 random(t);
            for (unsigned i = 0; i < rounds; i++) {
                const std::size_t scale = std::size_t{32} << random() % 6;
                const std::size_t bytes =
                    i % 500 == 0 ? 3 * mebibyte
                                 : sizeof(Header) + random() % (i % 50 == 0 ? 100000 : scale);
                char* block = allocate(bytes);
                ASSERT_NE(block, nullptr);
                const Header header{bytes, static_cast<unsigned>(random())};
                std::memcpy(block, &header, sizeof header);
                fill(block + sizeof header, bytes - sizeof header, header.seed);
                block = exchange[random() % exchange.size()].exchange(block);
                if (block != nullptr) check_and_free(block);
            }
        });
    }
    for (std::thread& thread : all) thread.join();
    EXPECT_EQ(Phase16::validate(), nullptr);
    for (std::atomic<char*>& place : exchange) {
        if (char* const block = place.exchange(nullptr)) check_and_free(block);
    }
    Phase16::trim();
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(Phase16, ABlockAwayFromHomeIsFreedLikeAnyOther) {
    for (const bool sized : {false, true}) {
        void* const block = Phase16::allocate(100);
        front::HeapFront* const heap = front::current_heap;
        const gate::Home home = heap->home;
        heap->home = gate::nowhere;
        if (sized) {
            Phase16::deallocate_sized(block, 100, SizeClaim::exact);
        } else {
            Phase16::deallocate(block);
        }
        heap->home = home;
        EXPECT_EQ(Phase16::allocate(100), block);  // it lay on top of its magazine
        Phase16::deallocate(block);
    }
}

TEST(Phase16, AThreadsFirstCallMayBeAFree) {
    std::vector<void*> blocks;
    for (const std::size_t bytes : sizes) blocks.push_back(Phase16::allocate(bytes));
    std::thread([&] {
        for (void* block : blocks) Phase16::deallocate(block);
    }).join();
    EXPECT_EQ(Phase16::validate(), nullptr);
}

}  // namespace
