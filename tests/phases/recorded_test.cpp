#include "phases/recorded.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "back/page_map.hpp"
#include "back/slab.hpp"
#include "base/size_class.hpp"
#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "gate/alloc_header.hpp"
#include "gate/header_byte.hpp"
#include "middle/orphan_heaps.hpp"
#include "phases/phase_13b.hpp"
#include "phases/phase_14.hpp"
#include "phases/phase_14c.hpp"
#include "phases/phase_15.hpp"
#include "tests/os/captured_messages.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fault_injection.hpp"
#include "tests/phases/record_regressions.hpp"

namespace {

using namespace hakmem;
using base::kibibyte;
using base::mebibyte;
using gate::Domain;
using phases::SizeClaim;
using tests::ChangedOption;
using tests::FaultInjection;

constexpr std::size_t header_bytes = sizeof(gate::AllocHeader);
constexpr std::size_t tiny_bytes_max = base::recorded_tiny_bytes_max;
constexpr std::size_t mid_bytes_max = base::small_bytes_max - header_bytes;
constexpr std::size_t run_bytes_max = 2 * mebibyte - header_bytes;  // more is a mapping of its own
constexpr std::size_t too_large = base::request_bytes_max + 1;

// Sizes of each domain, and on both sides of each border.
constexpr std::size_t sizes[] = {1,
                                 15,
                                 16,
                                 32,
                                 100,
                                 511,
                                 512,
                                 tiny_bytes_max,
                                 tiny_bytes_max + 1,
                                 1280 - header_bytes,
                                 1280 - header_bytes + 1,
                                 5000,
                                 mid_bytes_max,
                                 mid_bytes_max + 1,
                                 base::unit_bytes - header_bytes,
                                 base::unit_bytes - header_bytes + 1,
                                 300 * kibibyte,
                                 run_bytes_max,
                                 run_bytes_max + 1,
                                 5 * mebibyte};

// One of each domain, for what is done to the whole of many blocks.
constexpr std::size_t typical_sizes[] = {1,   16,   24,   63,   100,  200,           400,
                                         700, 1023, 1024, 3000, 9000, mid_bytes_max, 70'000};

bool is_aligned(const void* block, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

// What blocks are filled with: 256 rows, each of which begins with another byte, over and over. A
// seed is the row that a block begins with, so that blocks of two seeds differ in every byte. To
// write bytes one by one takes a sanitizer minutes: whole parts are copied and compared.
constexpr std::size_t row_bytes = 250;
constexpr std::size_t pattern_rows = 256;
constexpr std::size_t pattern_bytes = pattern_rows * row_bytes;

const std::vector<char>& pattern() {
    static const std::vector<char> bytes = [] {
        std::vector<char> made(pattern_bytes);
        for (std::size_t at = 0; at < made.size(); at++) {
            made[at] = static_cast<char>(at * 7 + at / row_bytes);
        }
        return made;
    }();
    return bytes;
}

// Whether visit(start, part, bytes) is true of each part of a block and the pattern there.
template <typename Char, typename Visit>
bool every_part(Char* block, std::size_t bytes, unsigned seed, Visit visit) {
    const Char* const end = block + bytes;
    for (std::size_t place = seed % pattern_rows * row_bytes; block != end; place = 0) {
        const std::size_t part_bytes =
            std::min(static_cast<std::size_t>(end - block), pattern_bytes - place);
        if (!visit(block, &pattern()[place], part_bytes)) return false;
        block += part_bytes;
    }
    return true;
}

void fill(char* block, std::size_t bytes, unsigned seed) {
    every_part(block, bytes, seed, [](char* start, const char* part, std::size_t part_bytes) {
        return std::memcpy(start, part, part_bytes) == start;
    });
}

bool is_filled(const char* block, std::size_t bytes, unsigned seed) {
    return every_part(block, bytes, seed,
                      [](const char* start, const char* part, std::size_t part_bytes) {
                          return std::memcmp(start, part, part_bytes) == 0;
                      });
}

bool is_zero(const char* block, std::size_t bytes) {
    return block[0] == 0 && std::memcmp(block, block + 1, bytes - 1) == 0;
}

// Whether the header of a block is as it was stamped, if it has one.
bool has_its_header(const char* block) {
    const gate::Classified known = gate::classify_by_registry(block);
    if (!gate::has_byte_before(block)) return true;
    if (known.domain != Domain::tiny) return gate::header_of(block) != nullptr;
    const unsigned tiny_class = base::recorded_class_of_slab(known.id);
    const gate::HeaderByte byte = gate::read_header(block);
    return tiny_class == base::headerless_class ||
           (byte.is_tiny() && byte.tiny_class() == tiny_class);
}

// Whether a call failed the way malloc fails.
template <typename Call>
bool has_no_memory(Call call) {
    errno = 0;
    return call() == nullptr && errno == ENOMEM;
}

void* foreign_block(std::size_t bytes) {
    static const auto function =
        reinterpret_cast<void* (*)(std::size_t)>(dlsym(RTLD_NEXT, "malloc"));
    return function(bytes);
}

/** A test of what is true in each of the phases. */
template <typename Phase>
class RecordedPhase : public testing::Test {
protected:
    static char* allocate(std::size_t bytes) { return static_cast<char*>(Phase::allocate(bytes)); }
    static char* allocate_aligned(std::size_t alignment, std::size_t bytes) {
        return static_cast<char*>(Phase::allocate_aligned(alignment, bytes));
    }
    static char* allocate_zeroed(std::size_t bytes) {
        return static_cast<char*>(Phase::allocate_zeroed(1, bytes));
    }
    static char* reallocate(char* block, std::size_t bytes) {
        return static_cast<char*>(Phase::reallocate(block, bytes));
    }
    /** So many that slabs are left behind and pages begun, but no more memory than need be. */
    static std::vector<char*> allocate_many(std::size_t bytes) {
        constexpr std::size_t bytes_wanted = 300 * kibibyte;
        std::vector<char*> blocks(8 + bytes_wanted / (bytes + 64));
        for (char*& block : blocks) block = allocate(bytes);
        return blocks;
    }
    static void free_all(const std::vector<char*>& blocks) {
        for (char* const block : blocks) Phase::deallocate(block);
        EXPECT_EQ(Phase::validate(), nullptr);
    }
    /**
     * Does something with every operation checked, in a thread whose heap knows of it. Those that
     * other threads have handed on do not, as long as their magazines are not empty.
     */
    template <typename Body>
    static void hardened(Body body) {
        const ChangedOption option(&os::Options::hardened, 1);
        const ChangedOption none(&os::Options::parked_full, 0);
        middle::orphan_heaps::purge();
        if (front::own_heap() != nullptr) front::own_heap()->apply_options();
        std::thread(body).join();
    }
};

struct PhaseName {
    template <typename Phase>
    static std::string GetName(int index) {  // NOLINT(readability-identifier-naming): gtest's
        constexpr const char* names[] = {"13B", "14", "14C", "15"};
        return names[index];
    }
};

using Phases = testing::Types<phases::Phase13B, phases::Phase14, phases::Phase14C, phases::Phase15>;
TYPED_TEST_SUITE(RecordedPhase, Phases, PhaseName);

// ---- sizes --------------------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, TheGoodSizeIsTheUsableSizeAndCanBeAskedForAgain) {
    // UltraHot may give a block of the next class.
    const ChangedOption off(&os::Options::tiny_ultra_hot, 0);
    tests::emptied_layers<TypeParam>();
    std::vector<std::size_t> all(std::begin(sizes), std::end(sizes));
    for (std::size_t bytes = 0; bytes <= 1100; bytes++) all.push_back(bytes);
    for (const base::SizeClass& row : base::size_classes) {
        for (const std::size_t less : {0u, 1u, 15u, 16u, 17u}) {
            if (row.block_bytes > tiny_bytes_max) all.push_back(row.block_bytes - less);
        }
    }
    for (const std::size_t bytes : all) {
        if (bytes > run_bytes_max) TypeParam::trim();  // a reused mapping may be larger
        char* const block = TestFixture::allocate(bytes);
        ASSERT_NE(block, nullptr);
        const std::size_t usable = TypeParam::usable_bytes(block);
        EXPECT_GE(usable, bytes);
        EXPECT_EQ(TypeParam::good_bytes(bytes), usable) << bytes;
        EXPECT_EQ(TypeParam::good_bytes(usable), usable) << bytes;
        block[0] = block[usable - 1] = 1;
        TypeParam::deallocate(block);
    }
    EXPECT_EQ(TypeParam::good_bytes(too_large), 0u);
    EXPECT_EQ(TypeParam::good_bytes(SIZE_MAX), 0u);
}

TYPED_TEST(RecordedPhase, UltraHotMayGiveMoreThanTheGoodSizeAndNeverLess) {
    const std::vector<char*> blocks = TestFixture::allocate_many(32);
    TestFixture::free_all(blocks);
    for (std::size_t bytes = 0; bytes <= 33; bytes++) {
        void* const block = TypeParam::allocate(bytes);
        EXPECT_GE(TypeParam::usable_bytes(block), TypeParam::good_bytes(bytes)) << bytes;
        EXPECT_LE(TypeParam::usable_bytes(block), 63u) << bytes;
        TypeParam::deallocate(block);
    }
}

TYPED_TEST(RecordedPhase, EveryBlockIsAlignedTo16Bytes) {
    std::vector<char*> blocks;
    for (std::size_t bytes = 0; bytes <= 2100; bytes++) {
        for (int i = 0; i < 3; i++) blocks.push_back(TestFixture::allocate(bytes));
    }
    for (const std::size_t bytes : sizes) blocks.push_back(TestFixture::allocate(bytes));
    for (char* const block : blocks) {
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(is_aligned(block, base::block_alignment));
    }
    TestFixture::free_all(blocks);
}

TYPED_TEST(RecordedPhase, AllUsableBytesMayBeWrittenWithoutHarmToANeighbour) {
    std::vector<char*> all;
    for (const std::size_t bytes : typical_sizes) {
        const std::vector<char*> blocks = TestFixture::allocate_many(bytes);
        all.insert(all.end(), blocks.begin(), blocks.end());
    }
    unsigned seed = 0;
    for (char* const block : all) fill(block, TypeParam::usable_bytes(block), seed++);
    seed = 0;
    for (char* const block : all) {
        const std::size_t usable = TypeParam::usable_bytes(block);
        EXPECT_TRUE(is_filled(block, usable, seed++)) << usable;
        EXPECT_TRUE(has_its_header(block)) << usable;
    }
    TestFixture::free_all(all);
}

TYPED_TEST(RecordedPhase, NullIsFreedAndMeasuredForNothing) {
    TypeParam::deallocate(nullptr);
    TestFixture::hardened([] {
        TypeParam::deallocate(nullptr);
        TypeParam::deallocate_sized(nullptr, 100, SizeClaim::exact);
    });
    EXPECT_EQ(TypeParam::usable_bytes(nullptr), 0u);
}

TYPED_TEST(RecordedPhase, WhatNoAddressSpaceHoldsFailsWithENOMEM) {
    for (const std::size_t bytes : {too_large - 20, too_large - 1, too_large, SIZE_MAX - 16,
                                    SIZE_MAX - 15, SIZE_MAX - 1, SIZE_MAX}) {
        EXPECT_TRUE(has_no_memory([&] { return TypeParam::allocate(bytes); })) << bytes;
        EXPECT_TRUE(has_no_memory([&] { return TypeParam::allocate_zeroed(1, bytes); })) << bytes;
        EXPECT_TRUE(has_no_memory([&] { return TypeParam::reallocate(nullptr, bytes); })) << bytes;
        for (const std::size_t alignment : {std::size_t{8}, std::size_t{64}, mebibyte}) {
            EXPECT_TRUE(has_no_memory([&] {
                return TypeParam::allocate_aligned(alignment, bytes);
            })) << bytes
                << " at " << alignment;
        }
    }
    EXPECT_TRUE(has_no_memory([] { return TypeParam::allocate_zeroed(SIZE_MAX, 2); }));
    EXPECT_TRUE(has_no_memory([] { return TypeParam::allocate_zeroed(std::size_t{1} << 60, 16); }));
}

TYPED_TEST(RecordedPhase, SuccessAndFreeLeaveErrnoAlone) {
    for (const std::size_t bytes : sizes) {
        errno = 77;
        char* block = TestFixture::allocate(bytes);
        EXPECT_EQ(errno, 77);
        block = TestFixture::reallocate(block, bytes + 4 * mebibyte);
        EXPECT_EQ(errno, 77);
        TypeParam::deallocate(block);
        EXPECT_EQ(errno, 77);
        TypeParam::deallocate(TypeParam::allocate_zeroed(bytes, 1));
        TypeParam::deallocate(TypeParam::allocate_aligned(256, bytes));
        EXPECT_EQ(errno, 77);
    }
}

TYPED_TEST(RecordedPhase, WithoutMemoryEveryKindOfBlockIsRefusedAndTheNextIsServed) {
    const auto run_dry = [](std::size_t bytes) {
        const auto kept = [bytes] {
            const FaultInjection faults({.calls = FaultInjection::more | FaultInjection::remap});
            std::vector<char*> blocks;
            errno = 0;
            while (char* const block = TestFixture::allocate(bytes)) {
                fill(block, bytes < 5000 ? bytes : 5000, 1);
                blocks.push_back(block);
            }
            CHILD_REQUIRE(errno == ENOMEM);
            CHILD_REQUIRE(has_no_memory([&] { return TypeParam::allocate_zeroed(bytes, 1); }));
            return blocks;
        }();
        for (char* const block : kept) {
            CHILD_REQUIRE(is_filled(block, bytes < 5000 ? bytes : 5000, 1));
            TypeParam::deallocate(block);
        }
        void* const block = TypeParam::allocate(bytes);
        CHILD_REQUIRE(block != nullptr);
        TypeParam::deallocate(block);
        CHILD_REQUIRE(TypeParam::validate() == nullptr);
    };
    for (const std::size_t bytes : {100u, 1023u, 9000u, 300'000u, 3'000'000u}) {
        EXPECT_EXIT(tests::in_child([&] { run_dry(bytes); }), testing::ExitedWithCode(0), "")
            << bytes;
    }
}

// ---- calloc -------------------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, CallocIsZeroHoweverDirtyTheMemoryWas) {
    for (const std::size_t bytes : sizes) {
        std::vector<char*> dirty(bytes < mebibyte ? 40 : 2);
        for (char*& block : dirty) {
            block = TestFixture::allocate(bytes);
            std::memset(block, 0xa5, TypeParam::usable_bytes(block));
        }
        TestFixture::free_all(dirty);
        std::vector<char*> zeroed(dirty.size());
        for (char*& block : zeroed) {
            block = TestFixture::allocate_zeroed(bytes);
            ASSERT_NE(block, nullptr);
            EXPECT_TRUE(is_zero(block, bytes)) << bytes;
            EXPECT_TRUE(has_its_header(block)) << bytes;
            std::memset(block, 0x5a, bytes);
        }
        TestFixture::free_all(zeroed);
    }
}

TYPED_TEST(RecordedPhase, CallocClearsNoNeighboursHeaderAndNoneOfItsBytes) {
    for (const std::size_t bytes : typical_sizes) {
        // Every other block goes, and comes back zeroed, at all its usable bytes.
        const std::vector<char*> blocks = TestFixture::allocate_many(bytes);
        std::vector<char*> kept;
        std::size_t gone = 0;
        for (unsigned i = 0; i < blocks.size(); i++) {
            if (i % 2 == 0) {
                TypeParam::deallocate(blocks[i]);
                gone++;
            } else {
                fill(blocks[i], TypeParam::usable_bytes(blocks[i]), i);
                kept.push_back(blocks[i]);
            }
        }
        std::vector<char*> zeroed(gone);
        for (char*& block : zeroed) {
            block = TestFixture::allocate_zeroed(TypeParam::good_bytes(bytes));
        }
        for (unsigned i = 0; i < kept.size(); i++) {
            EXPECT_TRUE(has_its_header(kept[i])) << bytes;
            EXPECT_TRUE(is_filled(kept[i], TypeParam::usable_bytes(kept[i]), 2 * i + 1)) << bytes;
        }
        TestFixture::free_all(kept);
        TestFixture::free_all(zeroed);
    }
}

// ---- realloc ------------------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, ReallocKeepsTheContentsFromEverySizeToEverySize) {
    unsigned seed = 0;
    for (const std::size_t from : sizes) {
        for (const std::size_t to : sizes) {
            seed++;
            char* const block = TestFixture::allocate(from);
            fill(block, from, seed);
            char* const resized = TestFixture::reallocate(block, to);
            ASSERT_NE(resized, nullptr);
            EXPECT_GE(TypeParam::usable_bytes(resized), to);
            EXPECT_TRUE(is_aligned(resized, base::block_alignment));
            EXPECT_TRUE(has_its_header(resized)) << from << " to " << to;
            EXPECT_TRUE(is_filled(resized, std::min(from, to), seed)) << from << " to " << to;
            std::memset(resized, 0x5a, TypeParam::usable_bytes(resized));
            TypeParam::deallocate(resized);
        }
    }
    EXPECT_EQ(TypeParam::validate(), nullptr);
}

TYPED_TEST(RecordedPhase, ReallocOfNullAllocatesAndToNothingFrees) {
    char* const block = TestFixture::reallocate(nullptr, 100'000);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(TestFixture::reallocate(block, 0), nullptr);
    EXPECT_EQ(gate::classify_by_registry(block).domain, Domain::freed);
}

TYPED_TEST(RecordedPhase, ReallocLeavesABlockOfASlabWhereItIsWhileItIsHalfUsed) {
    for (const std::size_t bytes : {1000u, 1024u, 9000u, 32'752u}) {
        char* const block = TestFixture::allocate(bytes);
        const std::size_t usable = TypeParam::usable_bytes(block);
        EXPECT_EQ(TestFixture::reallocate(block, usable), block);
        EXPECT_EQ(TestFixture::reallocate(block, usable / 2 + 1), block);
        fill(block, usable / 2 + 1, 3);
        char* const less = TestFixture::reallocate(block, usable / 2);
        EXPECT_NE(less, block);
        EXPECT_LT(TypeParam::usable_bytes(less), usable);
        EXPECT_TRUE(is_filled(less, usable / 2, 3));
        TypeParam::deallocate(less);
    }
    char* const small = TestFixture::allocate(60);
    EXPECT_EQ(TestFixture::reallocate(small, 1), small) << "there is nothing to gain";
    TypeParam::deallocate(small);
}

TYPED_TEST(RecordedPhase, ReallocLeavesALargeBlockWhereItIsWhenItsSpanCanBeCut) {
    for (const std::size_t alignment : {std::size_t{16}, std::size_t{256}, 64 * kibibyte}) {
        for (const std::size_t bytes : {mebibyte, 5 * mebibyte}) {
            char* const block = TestFixture::allocate_aligned(alignment, bytes);
            fill(block, bytes, 4);
            const std::size_t less = bytes / 2 + 1;
            EXPECT_EQ(TestFixture::reallocate(block, less), block);
            EXPECT_GE(TypeParam::usable_bytes(block), less);
            EXPECT_LT(TypeParam::usable_bytes(block), bytes);
            EXPECT_TRUE(is_filled(block, less, 4));
            TypeParam::deallocate(block);
        }
    }
}

// The block lies one alignment behind the start of its memory, also where the memory moves to.
TYPED_TEST(RecordedPhase, ReallocOfAnAlignedLargeBlockKeepsItsPlaceInItsMemory) {
    unsigned seed = 0;
    for (const std::size_t alignment :
         {std::size_t{32}, std::size_t{2048}, base::page_bytes, base::unit_bytes, mebibyte}) {
        for (const std::size_t from : {std::size_t{40'000}, mebibyte, 3 * mebibyte}) {
            for (const std::size_t to : {std::size_t{10}, std::size_t{2000}, std::size_t{33'000},
                                         mebibyte + 1, 7 * mebibyte}) {
                seed++;
                char* const block = TestFixture::allocate_aligned(alignment, from);
                fill(block, from, seed);
                char* const resized = TestFixture::reallocate(block, to);
                ASSERT_NE(resized, nullptr);
                EXPECT_GE(TypeParam::usable_bytes(resized), to);
                EXPECT_TRUE(is_filled(resized, std::min(from, to), seed))
                    << from << " to " << to << " at " << alignment;
                EXPECT_TRUE(has_its_header(resized));
                std::memset(resized, 0x5a, TypeParam::usable_bytes(resized));
                TypeParam::deallocate(resized);
            }
        }
    }
    EXPECT_EQ(TypeParam::validate(), nullptr);
}

TYPED_TEST(RecordedPhase, ALargeBlockThatTheKernelWillNotMoveIsCopied) {
    constexpr std::size_t bytes = 3 * mebibyte;
    for (const std::size_t alignment : {std::size_t{16}, base::page_bytes}) {
        TypeParam::trim();  // what is cached would serve, and the kernel would not be asked
        char* const block = TestFixture::allocate_aligned(alignment, bytes);
        fill(block, bytes, 6);
        errno = 77;
        char* moved = nullptr;
        {
            const FaultInjection faults({.calls = FaultInjection::remap});
            moved = TestFixture::reallocate(block, 4 * bytes);
            EXPECT_GT(FaultInjection::failed(), 0u);
        }
        ASSERT_NE(moved, nullptr);
        EXPECT_EQ(errno, 77);
        EXPECT_TRUE(is_filled(moved, bytes, 6));
        TypeParam::deallocate(moved);
    }
}

TYPED_TEST(RecordedPhase, ABlockThatCannotGrowStaysAsItIs) {
    for (const std::size_t bytes : sizes) {
        char* const block = TestFixture::allocate(bytes);
        fill(block, bytes, 7);
        for (const std::size_t wanted : {too_large - 1, too_large, SIZE_MAX}) {
            EXPECT_TRUE(has_no_memory([&] { return TypeParam::reallocate(block, wanted); }));
        }
        EXPECT_TRUE(is_filled(block, bytes, 7)) << bytes;
        EXPECT_TRUE(has_its_header(block)) << bytes;
        TypeParam::deallocate(block);
    }
    EXPECT_EQ(TypeParam::validate(), nullptr);
}

// ---- alignment ----------------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, EveryAlignmentUpToAMebibyteServesEverySize) {
    for (std::size_t alignment = 1; alignment <= mebibyte; alignment *= 2) {
        std::vector<std::size_t> wanted(std::begin(sizes), std::end(sizes));
        wanted.push_back(0);
        // What a header still fits into, and what it does not.
        for (const std::size_t border : {alignment, 2 * alignment, base::small_bytes_max}) {
            for (const std::size_t less : {std::size_t{1}, header_bytes - 1, header_bytes}) {
                if (border > less) wanted.push_back(border - less);
            }
        }
        std::vector<char*> blocks;
        for (const std::size_t bytes : wanted) {
            char* const block = TestFixture::allocate_aligned(alignment, bytes);
            ASSERT_NE(block, nullptr) << bytes << " at " << alignment;
            EXPECT_TRUE(is_aligned(block, alignment)) << bytes << " at " << alignment;
            EXPECT_TRUE(is_aligned(block, base::block_alignment)) << bytes << " at " << alignment;
            EXPECT_GE(TypeParam::usable_bytes(block), bytes) << "at " << alignment;
            fill(block, TypeParam::usable_bytes(block), static_cast<unsigned>(blocks.size()));
            blocks.push_back(block);
        }
        for (unsigned i = 0; i < blocks.size(); i++) {
            const std::size_t usable = TypeParam::usable_bytes(blocks[i]);
            EXPECT_TRUE(is_filled(blocks[i], usable, i)) << wanted[i] << " at " << alignment;
            EXPECT_TRUE(has_its_header(blocks[i])) << wanted[i] << " at " << alignment;
        }
        TestFixture::free_all(blocks);
    }
}

TYPED_TEST(RecordedPhase, AlignmentsThatAreNoPowerOfTwoAreInvalid) {
    for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{24},
                                        std::size_t{1000}, std::size_t{4095}, SIZE_MAX}) {
        for (const std::size_t bytes :
             {std::size_t{0}, std::size_t{10}, std::size_t{5000}, mebibyte, SIZE_MAX}) {
            errno = 0;
            EXPECT_EQ(TypeParam::allocate_aligned(alignment, bytes), nullptr);
            EXPECT_EQ(errno, EINVAL);
        }
    }
    for (std::size_t alignment = 2 * base::alignment_bytes_max; alignment != 0; alignment *= 2) {
        EXPECT_TRUE(has_no_memory([&] { return TypeParam::allocate_aligned(alignment, 10); }));
    }
}

// ---- misuse -------------------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, AnInnerPointerOfALargeBlockIsNamed) {
    for (const std::size_t alignment : {std::size_t{16}, 4 * base::page_bytes}) {
        for (const std::size_t bytes : {300 * kibibyte, 3 * mebibyte}) {
            char* const block = TestFixture::allocate_aligned(alignment, bytes);
            const std::size_t offset = std::max(alignment, header_bytes);
            // With the start of the memory, and where a block without an alignment would be.
            std::vector<char*> inner = {block + 1, block + 16, block + base::unit_bytes,
                                        block + bytes - 1, block - offset};
            if (offset > header_bytes) inner.push_back(block - offset + header_bytes);
            for (char* const pointer : inner) {
                EXPECT_DEATH(TypeParam::deallocate(pointer), "invalid free of");
                EXPECT_DEATH(TypeParam::reallocate(pointer, 10), "invalid free of");
                EXPECT_DEATH(TypeParam::usable_bytes(pointer), "invalid free of");
            }
            // Nor does it help to have copied a header.
            std::memcpy(block + 16, block - offset, header_bytes);
            EXPECT_DEATH(TypeParam::deallocate(block + 32), "invalid free of");
            TypeParam::deallocate(block);
        }
    }
}

TYPED_TEST(RecordedPhase, AnInnerPointerOfASlabIsNamedByRealloc) {
    for (const std::size_t bytes : {100u, 1023u, 1024u, 9000u}) {
        char* const block = TestFixture::allocate(bytes);
        EXPECT_DEATH(TypeParam::reallocate(block + 8, bytes), "invalid free of");
        EXPECT_DEATH(TypeParam::reallocate(block + 16, 10 * bytes), "invalid free of");
        TypeParam::deallocate(block);
    }
}

TYPED_TEST(RecordedPhase, WhatIsDoneWithAFreedLargeBlockIsNamed) {
    for (const std::size_t bytes : {300 * kibibyte, 3 * mebibyte}) {
        // If a larger mapping rested beside it whose time is up, both would be unmapped together,
        // and the second free would find no record.
        TypeParam::trim();
        char* const block = TestFixture::allocate(bytes);
        TypeParam::deallocate(block);
        EXPECT_DEATH(TypeParam::deallocate(block), "double free of");
        EXPECT_DEATH(TypeParam::deallocate_sized(block, bytes, SizeClaim::exact), "double free of");
        EXPECT_DEATH(TypeParam::reallocate(block, 10), "double free of");
    }
}

// An overflow into a large block from in front of it: the header says where the memory begins.
TYPED_TEST(RecordedPhase, AnOverwrittenHeaderOfALargeBlockIsNamed) {
    for (const std::size_t bytes : {300 * kibibyte, 3 * mebibyte}) {
        char* const block = TestFixture::allocate(bytes);
        const char* const start = block - header_bytes;
        for (const std::size_t at : {0u, 8u, 15u}) {
            block[at - header_bytes] ^= 0x10;
            EXPECT_DEATH(TypeParam::deallocate(block), "invalid free of");
            EXPECT_DEATH(TypeParam::reallocate(block, 2 * bytes), "invalid free of");
            EXPECT_DEATH(TypeParam::usable_bytes(block), "invalid free of");
            // A walk cannot tell it from a block that has no header yet, and does no harm.
            EXPECT_EQ(TypeParam::user_block(start, bytes, base::ClassId::large).start, block);
            block[at - header_bytes] ^= 0x10;
        }
        TypeParam::deallocate(block);
    }
    // The second header of an aligned block is a copy, which nobody needs.
    char* const block = TestFixture::allocate_aligned(256, 300 * kibibyte);
    std::memset(block - header_bytes, 0x5a, header_bytes);
    EXPECT_GE(TypeParam::usable_bytes(block), 300 * kibibyte);
    TypeParam::deallocate(block);
}

// ---- foreign pointers ---------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, AForeignBlockGoesToTheCLibrary) {
    const tests::CapturedMessages messages;
    char* block = static_cast<char*>(foreign_block(100));
    fill(block, 100, 8);
    EXPECT_GE(TypeParam::usable_bytes(block), 100u);
    block = TestFixture::reallocate(block, 5000);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(gate::classify_by_registry(block).domain, Domain::external);
    EXPECT_TRUE(is_filled(block, 100, 8));
    TypeParam::deallocate(block);
    TestFixture::hardened(
        [] { TypeParam::deallocate_sized(foreign_block(100), 100'000, SizeClaim::exact); });
}

TYPED_TEST(RecordedPhase, AForeignPointerIsTreatedAsTheOptionHasIt) {
    char local[64] = {};
    {
        const ChangedOption ignore(&os::Options::foreign,
                                   static_cast<std::uint64_t>(os::ForeignPolicy::ignore));
        TypeParam::deallocate(local);
        EXPECT_TRUE(has_no_memory([&] { return TypeParam::reallocate(local, 10); }));
        EXPECT_EQ(TypeParam::usable_bytes(local), 0u);
    }
    const ChangedOption abort(&os::Options::foreign,
                              static_cast<std::uint64_t>(os::ForeignPolicy::abort));
    EXPECT_DEATH(TypeParam::deallocate(local), "foreign pointer");
    EXPECT_DEATH(TypeParam::reallocate(local, 10), "foreign pointer");
    EXPECT_DEATH(TypeParam::usable_bytes(local), "foreign pointer");
}

// A walk of the heap may meet a large block between its allocation and its stamp.
TYPED_TEST(RecordedPhase, ABlockWithoutItsHeaderYetIsNoMisuseToAWalk) {
    constexpr std::size_t bytes = 100'000;
    // What the memory's last block left must not be believed either.
    TypeParam::deallocate(TypeParam::allocate_aligned(8192, bytes));
    char* const start = static_cast<char*>(phases::Phase16::allocate(bytes));
    const std::size_t length = phases::Phase16::usable_bytes(start);
    const phases::KnownBlock known = TypeParam::user_block(start, length, base::ClassId::large);
    EXPECT_EQ(known.start, start + 16);
    EXPECT_EQ(known.bytes, length - 16);
    phases::Phase16::deallocate(start);
}

// An OOM handler may free what will do, and the allocation is tried again (hakmem.h).
TYPED_TEST(RecordedPhase, ABlockThatIsFreedPastTheFrontsServesTheNextRequest) {
    std::thread([] {
        front::Layers& layers = tests::emptied_layers<TypeParam>();
        void* const block = TypeParam::allocate(100);
        layers.empty_out(*front::own_heap());
        TypeParam::deallocate(block);
        const back::Slab& slab = *back::page_map::slab_of(block);
        back::BlockIndex index{};
        ASSERT_TRUE(back::slab::index_of(slab, block, index));
        EXPECT_NE(slab.free_bits[index.word()] & index.bit(), 0u);
    }).join();
}

// ---- hardened -----------------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, HardenedNoFrontHoldsABlock) {
    TestFixture::hardened([] {
        for (const std::size_t bytes : typical_sizes) {
            EXPECT_EQ(TypeParam::allocate_hit(bytes), nullptr);
            std::vector<char*> blocks = TestFixture::allocate_many(bytes);
            for (char* const block : blocks) {
                ASSERT_NE(block, nullptr);
                EXPECT_TRUE(has_its_header(block)) << bytes;
            }
            TestFixture::free_all(blocks);
        }
        unsigned held = 0;
        front::Layers::of(*front::own_heap())
            .for_each_cached([](const void*, void* count) { ++*static_cast<unsigned*>(count); },
                             &held);
        EXPECT_EQ(held, 0u);
    });
}

TYPED_TEST(RecordedPhase, HardenedADoubleFreeIsNamedAtOnce) {
    for (const std::size_t bytes : {1u, 16u, 100u, 1023u, 1024u, 9000u}) {
        const auto free_twice = [bytes] {
            TestFixture::hardened([bytes] {
                void* const neighbour = TypeParam::allocate(bytes);
                void* const block = TypeParam::allocate(bytes);
                TypeParam::deallocate(block);
                TypeParam::deallocate(block);
                TypeParam::deallocate(neighbour);
            });
        };
        EXPECT_DEATH(free_twice(), "double free of") << bytes;
        const auto free_inner = [bytes] {
            TestFixture::hardened(
                [bytes] { TypeParam::deallocate(TestFixture::allocate(bytes) + 8); });
        };
        EXPECT_DEATH(free_inner(), "invalid free of") << bytes;
    }
}

TYPED_TEST(RecordedPhase, HardenedReallocOfAFreedBlockIsNamed) {
    for (const std::size_t bytes : {40u, 100u, 1023u, 5000u}) {
        for (const std::size_t to : {bytes / 2, bytes, 2 * bytes}) {
            const auto realloc_freed = [bytes, to] {
                TestFixture::hardened([bytes, to] {
                    void* const block = TypeParam::allocate(bytes);
                    void* const neighbour = TypeParam::allocate(bytes);
                    TypeParam::deallocate(block);
                    TypeParam::reallocate(block, to);
                    TypeParam::deallocate(neighbour);
                });
            };
            EXPECT_DEATH(realloc_freed(), "double free of") << bytes << " to " << to;
        }
    }
}

// Its memory stays as long as its alignment asks for.
TYPED_TEST(RecordedPhase, HardenedTheSizeOfAnAlignedBlockThatShrankIsAccepted) {
    TestFixture::hardened([] {
        void* const block = TypeParam::allocate_aligned(1 << 20, 100'000);
        TypeParam::deallocate_sized(TypeParam::reallocate(block, 1000), 1000, SizeClaim::resized);
    });
}

TYPED_TEST(RecordedPhase, HardenedTheSizeOfABlockThatTheKernelLeftLongerIsAccepted) {
    TestFixture::hardened([] {
        void* block = TypeParam::allocate(40 << 20);
        {
            const FaultInjection refused({.calls = FaultInjection::unmap | FaultInjection::remap});
            block = TypeParam::reallocate(block, 5 << 20);
        }
        TypeParam::deallocate_sized(block, 5 << 20, SizeClaim::resized);
    });
}

TYPED_TEST(RecordedPhase, HardenedReallocKeepsTheContentsAndFreesTheOldBlock) {
    TestFixture::hardened([] {
        for (const std::size_t from : {10u, 100u, 1023u, 1024u, 9000u, 100'000u}) {
            for (const std::size_t to : {10u, 99u, 1023u, 1024u, 9000u, 100'000u}) {
                char* const block = TestFixture::allocate(from);
                fill(block, from, 9);
                char* const resized = TestFixture::reallocate(block, to);
                EXPECT_TRUE(is_filled(resized, std::min<std::size_t>(from, to), 9));
                TypeParam::deallocate(resized);
            }
        }
        EXPECT_EQ(TypeParam::validate(), nullptr);
    });
}

TYPED_TEST(RecordedPhase, HardenedEveryTrueClaimOfASizeIsAccepted) {
    TestFixture::hardened([] {
        for (const std::size_t bytes : sizes) {
            for (const SizeClaim claim :
                 {SizeClaim::exact, SizeClaim::resized, SizeClaim::at_most}) {
                TypeParam::deallocate_sized(TypeParam::allocate(bytes), bytes, claim);
            }
            TypeParam::deallocate_sized(TypeParam::allocate_aligned(4096, bytes), bytes,
                                        SizeClaim::at_most);
            const std::size_t less = bytes - bytes / 4;
            TypeParam::deallocate_sized(TypeParam::reallocate(TypeParam::allocate(bytes), less),
                                        less, SizeClaim::resized);
        }
        EXPECT_EQ(TypeParam::validate(), nullptr);
    });
}

TYPED_TEST(RecordedPhase, HardenedAWrongClaimOfASizeIsNamed) {
    const auto claim_wrongly = [](std::size_t bytes, std::size_t claimed, SizeClaim claim) {
        TestFixture::hardened(
            [=] { TypeParam::deallocate_sized(TypeParam::allocate(bytes), claimed, claim); });
    };
    for (const std::size_t bytes : {16u, 100u, 1000u, 5000u, 100'000u}) {
        const std::size_t more = TypeParam::good_bytes(bytes) + 1;
        for (const SizeClaim claim : {SizeClaim::exact, SizeClaim::resized, SizeClaim::at_most}) {
            EXPECT_DEATH(claim_wrongly(bytes, more, claim), "sized delete mismatch") << bytes;
        }
    }
    for (const std::size_t bytes : {1000u, 5000u, 1'000'000u}) {
        EXPECT_DEATH(claim_wrongly(bytes, bytes / 10, SizeClaim::exact), "sized delete mismatch");
        EXPECT_DEATH(claim_wrongly(bytes, bytes / 10, SizeClaim::resized), "sized delete mismatch");
        claim_wrongly(bytes, bytes / 10, SizeClaim::at_most);
    }
}

// ---- what others see ----------------------------------------------------------------------------

TYPED_TEST(RecordedPhase, AWalkSeesTheBlockThatTheProgramHas) {
    for (const std::size_t alignment :
         {std::size_t{16}, std::size_t{64}, base::page_bytes, mebibyte}) {
        for (const std::size_t bytes : sizes) {
            char* const block = TestFixture::allocate_aligned(alignment, bytes);
            const back::Slab& slab = *back::page_map::slab_of(block);
            const base::ClassId id = gate::classify_by_registry(block).id;
            // A block of a slab begins where the slab has it; a large one behind its header.
            const void* const start = base::is_small(id) ? block : slab.start;
            const phases::KnownBlock known = TypeParam::user_block(start, slab.block_bytes, id);
            EXPECT_EQ(known.start, block) << bytes << " at " << alignment;
            EXPECT_EQ(known.bytes, TypeParam::usable_bytes(block)) << bytes << " at " << alignment;
            TypeParam::deallocate(block);
        }
    }
}

TYPED_TEST(RecordedPhase, AThreadsFirstCallMayBeAFreeOfAnyBlock) {
    std::vector<char*> blocks;
    for (const std::size_t bytes : sizes) blocks.push_back(TestFixture::allocate(bytes));
    for (char* const block : blocks) {
        std::thread([block] {
            EXPECT_EQ(front::own_heap(), nullptr);
            EXPECT_EQ(TypeParam::allocate_hit(16), nullptr);
            TypeParam::deallocate(block);
        }).join();
    }
    TestFixture::free_all({});
}

TYPED_TEST(RecordedPhase, BlocksThatAnotherThreadFreesServeAgain) {
    for (const std::size_t bytes : typical_sizes) {
        std::vector<char*> blocks = TestFixture::allocate_many(bytes);
        for (unsigned i = 0; i < blocks.size(); i++) fill(blocks[i], bytes, i);
        std::thread([&] {
            for (unsigned i = 0; i < blocks.size(); i++) {
                EXPECT_TRUE(is_filled(blocks[i], bytes, i));
                EXPECT_TRUE(has_its_header(blocks[i]));
                TypeParam::deallocate(blocks[i]);
                blocks[i] = TestFixture::allocate(bytes);
                fill(blocks[i], bytes, i + 1);
            }
        }).join();
        for (unsigned i = 0; i < blocks.size(); i++) {
            EXPECT_TRUE(is_filled(blocks[i], bytes, i + 1));
        }
        TestFixture::free_all(blocks);
    }
}

}  // namespace
