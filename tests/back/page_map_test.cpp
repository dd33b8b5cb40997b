#include "back/page_map.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <thread>
#include <vector>

#include "os/virtual_memory.hpp"
#include "tests/os/fault_injection.hpp"

// The map never touches what it speaks of, so these tests assign addresses that nobody has mapped.
// Each test takes places of its own.

namespace {

using namespace hakmem;
namespace page_map = back::page_map;
using base::ClassId;
using base::leaf_bytes;
using base::unit_bytes;
using page_map::Entry;
using tests::FaultInjection;

constexpr std::uintptr_t user_end = std::uintptr_t{1} << base::address_bits;

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

std::uint32_t bits_of(std::uintptr_t address) { return page_map::entry_of(at(address)).bits; }

constexpr Entry mark(std::uint32_t tag) { return Entry::of(tag, ClassId::large); }

// Leaves that no memory of this process uses: low in the address space.
std::uintptr_t unused_leaf() {
    static std::uintptr_t next = 16;
    return next++ * leaf_bytes;
}

// ---- entries ------------------------------------------------------------------------------------

TEST(PageMap, AnEntryHoldsEveryClassAndTag) {
    for (std::uint32_t c = 0; c < 64; c++) {
        for (const std::uint32_t tag :
             {0u, 1u, 2u, 12345u, page_map::tag_max - 1, page_map::tag_max}) {
            const Entry entry = Entry::of(tag, ClassId{static_cast<std::uint8_t>(c)});
            EXPECT_EQ(base::index(entry.class_id()), c);
            EXPECT_EQ(entry.tag(), tag);
            EXPECT_EQ(entry.bits & 15, 0u);
        }
    }
    EXPECT_EQ(Entry::of(0, ClassId::external).bits, 0u);
}

TEST(PageMap, AnEntryMinusItsTagIsTheScaledClass) {
    const std::uint32_t tag_bits = Entry::of(77, ClassId::external).bits;
    for (std::uint8_t c = 1; c < base::class_count; c++) {
        EXPECT_EQ(Entry::of(77, ClassId{c}).bits - tag_bits, c * 16u);
    }
}

// ---- any value ----------------------------------------------------------------------------------

TEST(PageMap, WhatIsNotOursIsExternal) {
    int on_stack = 0;
    EXPECT_EQ(page_map::entry_of(nullptr).class_id(), ClassId::external);
    EXPECT_EQ(page_map::entry_of(&on_stack).class_id(), ClassId::external);
    EXPECT_EQ(page_map::entry_of(&page_map::map).class_id(), ClassId::external);
}

TEST(PageMap, UserAddressesEndAtTwoToTheFortySeven) {
    for (const std::uintptr_t address : {std::uintptr_t{0}, std::uintptr_t{1}, user_end - 1}) {
        EXPECT_TRUE(page_map::is_user_address(address)) << std::hex << address;
    }
    for (const std::uintptr_t address :
         {user_end, user_end + 1, ~std::uintptr_t{0}, std::uintptr_t{0xffff800000000000},
          std::uintptr_t{1} << 63, std::uintptr_t{0xffffffff80000000}}) {
        EXPECT_FALSE(page_map::is_user_address(address)) << std::hex << address;
        EXPECT_EQ(bits_of(address), 0u) << std::hex << address;
    }
}

RC_GTEST_PROP(PageMap, AnyValueMayBeLookedUp, (std::uintptr_t value)) {
    // All bit lengths alike: most words of 64 random bits are not user addresses.
    const auto shift = *rc::gen::inRange(0u, 64u);
    const std::uintptr_t address = value >> shift;
    RC_ASSERT(page_map::is_user_address(address) == (address < user_end));
    if (address >= user_end) {
        RC_ASSERT(bits_of(address) == 0u);
    } else {
        RC_ASSERT(bits_of(address) == page_map::place_of(address).entry().bits);
    }
}

// ---- assign -------------------------------------------------------------------------------------

TEST(PageMap, AssignWritesItsUnitsAndNoOthers) {
    const std::uintptr_t start = unused_leaf() + 100 * unit_bytes;
    back::Slab* const slab = reinterpret_cast<back::Slab*>(std::uintptr_t{0x1000});
    ASSERT_TRUE(page_map::ensure(at(start - unit_bytes), 5 * unit_bytes));
    page_map::assign(at(start), 3 * unit_bytes, mark(5), slab);
    EXPECT_EQ(bits_of(start - 1), 0u);
    EXPECT_EQ(page_map::slab_of(at(start - 1)), nullptr);
    for (std::uintptr_t a = start; a < start + 3 * unit_bytes; a += unit_bytes / 4) {
        EXPECT_EQ(bits_of(a), mark(5).bits);
        EXPECT_EQ(page_map::slab_of(at(a)), slab);
    }
    EXPECT_EQ(bits_of(start + 3 * unit_bytes), 0u);
    EXPECT_EQ(page_map::slab_of(at(start + 3 * unit_bytes)), nullptr);
}

TEST(PageMap, AUnitThatIsPartlyCoveredIsAssignedWhole) {
    const std::uintptr_t start = unused_leaf();
    ASSERT_TRUE(page_map::ensure(at(start), 4 * unit_bytes));
    page_map::assign(at(start), unit_bytes + 1, mark(6), nullptr);
    EXPECT_EQ(bits_of(start + 2 * unit_bytes - 1), mark(6).bits);
    EXPECT_EQ(bits_of(start + 2 * unit_bytes), 0u);
    page_map::assign(at(start), 2 * unit_bytes, Entry{0}, nullptr);
    EXPECT_EQ(bits_of(start), 0u);
}

TEST(PageMap, ARangeMayLieAcrossTheBorderOfTwoLeaves) {
    unused_leaf();
    const std::uintptr_t border = unused_leaf();
    const std::uintptr_t start = border - 3 * unit_bytes;
    ASSERT_TRUE(page_map::ensure(at(start), 6 * unit_bytes));
    page_map::assign(at(start), 6 * unit_bytes, mark(7), nullptr);
    for (int i = 0; i < 6; i++) {
        EXPECT_EQ(bits_of(start + static_cast<unsigned>(i) * unit_bytes), mark(7).bits) << i;
    }
    EXPECT_EQ(bits_of(start - 1), 0u);
    EXPECT_EQ(bits_of(start + 6 * unit_bytes), 0u);
    // Leaves are 65,536 units apart: the same place in others is not the same unit.
    EXPECT_EQ(bits_of(start + leaf_bytes), 0u);
    EXPECT_EQ(bits_of(start - leaf_bytes), 0u);
    EXPECT_EQ(page_map::validate(), nullptr);
}

TEST(PageMap, TheFirstAndTheLastUnitOfTheAddressSpace) {
    for (const std::uintptr_t start : {std::uintptr_t{0}, user_end - unit_bytes}) {
        ASSERT_TRUE(page_map::ensure(at(start), unit_bytes));
        page_map::assign(at(start), unit_bytes, mark(8), nullptr);
        EXPECT_EQ(bits_of(start), mark(8).bits);
        EXPECT_EQ(bits_of(start + unit_bytes - 1), mark(8).bits);
        page_map::assign(at(start), unit_bytes, Entry{0}, nullptr);
    }
    EXPECT_EQ(bits_of(user_end), 0u);
}

RC_GTEST_PROP(PageMap, ItIsAnArrayOverAllUnits, ()) {
    static const std::uintptr_t first = (unused_leaf(), unused_leaf() - leaf_bytes);
    constexpr std::size_t near = 40;  // units on either side of the border
    const std::uintptr_t window = first + leaf_bytes - near * unit_bytes;
    std::vector<std::uint32_t> model(2 * near, 0);
    RC_ASSERT(page_map::ensure(at(window), model.size() * unit_bytes));
    page_map::assign(at(window), model.size() * unit_bytes, Entry{0}, nullptr);
    const auto steps = *rc::gen::inRange(1, 30);
    for (int i = 0; i < steps; i++) {
        const auto begin = *rc::gen::inRange<std::size_t>(0, model.size());
        const auto count = *rc::gen::inRange<std::size_t>(1, model.size() - begin + 1);
        const auto tag = *rc::gen::inRange<std::uint32_t>(0, page_map::tag_max);
        page_map::assign(at(window + begin * unit_bytes), count * unit_bytes, mark(tag), nullptr);
        for (std::size_t u = begin; u < begin + count; u++) model[u] = mark(tag).bits;
        for (std::size_t u = 0; u < model.size(); u++) {
            const auto inside = *rc::gen::inRange<std::size_t>(0, unit_bytes);
            RC_ASSERT(bits_of(window + u * unit_bytes + inside) == model[u]);
        }
    }
}

// ---- leaves -------------------------------------------------------------------------------------

TEST(PageMap, ALeafIsMappedOnceForAllItsUnits) {
    const std::uintptr_t leaf = unused_leaf();
    const std::uint64_t maps = os::memory_counters().map;
    EXPECT_TRUE(page_map::ensure(at(leaf), unit_bytes));
    EXPECT_EQ(os::memory_counters().map, maps + 1);
    EXPECT_TRUE(page_map::ensure(at(leaf), leaf_bytes));
    EXPECT_TRUE(page_map::ensure(at(leaf + leaf_bytes - 1), 1));
    EXPECT_EQ(os::memory_counters().map, maps + 1);
}

TEST(PageMap, ARangeThatEndsAtABorderNeedsNoLeafBehindIt) {
    const std::uintptr_t leaf = unused_leaf();
    const std::uint64_t maps = os::memory_counters().map;
    EXPECT_TRUE(page_map::ensure(at(leaf), leaf_bytes));
    EXPECT_EQ(os::memory_counters().map, maps + 1);
    EXPECT_TRUE(page_map::ensure(at(leaf), leaf_bytes + 1));
    EXPECT_EQ(os::memory_counters().map, maps + 2);
    unused_leaf();
}

TEST(PageMap, WithoutMemoryEnsureSaysSoAndMayBeAskedAgain) {
    const std::uintptr_t first = unused_leaf();
    unused_leaf();
    unused_leaf();
    for (std::uint64_t n = 1; n <= 3; n++) {
        FaultInjection faults({.calls = FaultInjection::map, .first = n, .last = n});
        // Each attempt gets one leaf further, and keeps what it has.
        EXPECT_EQ(page_map::ensure(at(first), 3 * leaf_bytes), n == 3);
        EXPECT_EQ(bits_of(first), 0u);
        EXPECT_EQ(bits_of(first + 2 * leaf_bytes), 0u);
    }
    EXPECT_EQ(page_map::validate(), nullptr);
    page_map::assign(at(first + 2 * leaf_bytes), unit_bytes, mark(9), nullptr);
    EXPECT_EQ(bits_of(first + 2 * leaf_bytes), mark(9).bits);
}

TEST(PageMap, ThreadsThatWantTheSameLeafMakeItOnce) {
    for (int round = 0; round < 10; round++) {
        const std::uintptr_t leaf = unused_leaf();
        const std::uint64_t maps = os::memory_counters().map;
        std::vector<std::thread> threads;
        for (std::uint32_t t = 0; t < 4; t++) {
            threads.emplace_back([leaf, t] {
                EXPECT_TRUE(page_map::ensure(at(leaf), unit_bytes * 4));
                page_map::assign(at(leaf + t * unit_bytes), unit_bytes, mark(t + 1), nullptr);
            });
        }
        for (std::thread& thread : threads) thread.join();
        EXPECT_EQ(os::memory_counters().map, maps + 1);
        for (std::uint32_t t = 0; t < 4; t++) {
            EXPECT_EQ(bits_of(leaf + t * unit_bytes), mark(t + 1).bits);
        }
    }
}

TEST(PageMap, ItsPartsAreTheLeavesAndWhatOfTheRootLeadsToThem) {
    static constexpr std::size_t leaf_mapping_bytes =
        base::round_up(sizeof(page_map::Leaf), base::page_bytes);
    struct Parts {
        const void* root_word;
        bool has_root_word = false;
        std::size_t leaves = 0;
    };
    const auto look = [](const void* root_word) {
        Parts parts{root_word};
        page_map::for_each_part(
            [](const void* start, std::size_t bytes, void* context) {
                Parts& p = *static_cast<Parts*>(context);
                const auto* const begin = static_cast<const char*>(start);
                const auto* const word = static_cast<const char*>(p.root_word);
                EXPECT_EQ(reinterpret_cast<std::uintptr_t>(start) % base::page_bytes, 0u);
                if (word >= begin && word < begin + bytes) p.has_root_word = true;
                if (bytes == leaf_mapping_bytes) p.leaves++;
            },
            &parts);
        return parts;
    };
    const std::uintptr_t leaf = unused_leaf();
    const void* const word = &page_map::map.root[leaf / leaf_bytes];
    const std::size_t before = look(word).leaves;
    ASSERT_TRUE(page_map::ensure(at(leaf), 1));
    EXPECT_EQ(look(word).leaves, before + 1);
    EXPECT_TRUE(look(word).has_root_word);
}

// ---- the invariant ------------------------------------------------------------------------------

TEST(PageMap, I1_AWriteToTheStaticLeafIsNoticed) {
    ASSERT_EQ(page_map::validate(), nullptr);
    page_map::Leaf& leaf = page_map::map.static_leaf;
    for (const std::size_t unit : {std::size_t{0}, std::size_t{4711}, page_map::Leaf::units - 1}) {
        leaf.entries[unit] = mark(1).bits;
        EXPECT_STREQ(page_map::validate(), "page_map I1");
        leaf.entries[unit] = 0;
        leaf.slabs[unit] = reinterpret_cast<back::Slab*>(std::uintptr_t{0x1000});
        EXPECT_STREQ(page_map::validate(), "page_map I1");
        leaf.slabs[unit] = nullptr;
        EXPECT_EQ(page_map::validate(), nullptr);
    }
}

}  // namespace
