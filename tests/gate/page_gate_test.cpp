#include "gate/page_gate.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace {

using namespace hakmem;
namespace page_map = back::page_map;
using base::ClassId;
using gate::classify;
using gate::magazine_offset_end;
using page_map::Entry;

// A place that nobody has mapped; the gate never touches what it speaks of.
constexpr std::uintptr_t place = 300 * base::leaf_bytes;

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

std::uint32_t tag_bits(std::uint32_t tag) { return Entry::of(tag, ClassId::external).bits; }

bool is_mine(const void* pointer, std::uint32_t my_tag) {
    return classify(pointer, tag_bits(my_tag)) < magazine_offset_end;
}

class PageGate : public testing::Test {
protected:
    PageGate() { EXPECT_TRUE(page_map::ensure(at(place), base::unit_bytes)); }
    ~PageGate() override { set(Entry{0}); }
    static void set(Entry entry) { page_map::assign(at(place), base::unit_bytes, entry, nullptr); }
};

TEST_F(PageGate, ABlockOfMineGivesTheOffsetOfItsMagazine) {
    for (const std::uint32_t tag : {1u, 2u, 4711u, page_map::tag_max - 1}) {
        for (std::uint8_t c = 1; c < base::class_count; c++) {
            set(Entry::of(tag, ClassId{c}));
            // Wherever in the unit it points.
            for (const std::uintptr_t inside : {0u, 1u, 16u, 65535u}) {
                EXPECT_EQ(classify(at(place + inside), tag_bits(tag)), c * 16u);
            }
        }
    }
}

TEST_F(PageGate, ABlockOfAnotherHeapIsNotMine) {
    for (std::uint8_t c = 1; c < base::class_count; c++) {
        for (const std::uint32_t tag : {1u, 2u, 100u, page_map::tag_max - 1}) {
            set(Entry::of(tag, ClassId{c}));
            for (const std::uint32_t mine : {tag - 1, tag + 1, tag + 64, page_map::tag_max}) {
                EXPECT_FALSE(is_mine(at(place), mine)) << tag << " " << mine;
            }
        }
    }
}

TEST_F(PageGate, LargeFreeAndForeignMemoryIsNobodys) {
    for (const ClassId id : {ClassId::large, ClassId::free, ClassId::external}) {
        set(Entry::of(0, id));
        for (const std::uint32_t mine : {1u, 2u, 4711u, page_map::tag_max - 1, page_map::tag_max}) {
            EXPECT_FALSE(is_mine(at(place), mine)) << base::index(id) << " " << mine;
        }
    }
    int on_stack = 0;
    for (const std::uint32_t mine : {1u, 4711u, page_map::tag_max}) {
        EXPECT_FALSE(is_mine(nullptr, mine));
        EXPECT_FALSE(is_mine(&on_stack, mine));
    }
}

TEST_F(PageGate, AddressesThatNoProgramHasAreNobodys) {
    for (const std::uintptr_t address :
         {std::uintptr_t{1} << 47, ~std::uintptr_t{0}, std::uintptr_t{0xffff800000000000},
          std::uintptr_t{1} << 63, (std::uintptr_t{1} << 47) + place}) {
        for (const std::uint32_t mine : {1u, 4711u, page_map::tag_max}) {
            EXPECT_GE(classify(at(address), tag_bits(mine)), magazine_offset_end);
        }
    }
}

TEST_F(PageGate, TheEmptyHeapOwnsNothingWhateverTheEntry) {
    for (std::uint32_t c = 0; c < 64; c++) {
        for (const std::uint32_t tag : {0u, 1u, 2u, 65535u, page_map::tag_max - 1}) {
            set(Entry::of(tag, ClassId{static_cast<std::uint8_t>(c)}));
            EXPECT_GE(classify(at(place), gate::nobodys_tag_bits), magazine_offset_end);
        }
    }
}

// ---- at home ------------------------------------------------------------------------------------

TEST_F(PageGate, AtHomeTheAnswerIsTheSame) {
    const gate::Home home = gate::home_of(at(place + 5 * base::unit_bytes));
    for (const std::uint32_t tag : {1u, 4711u, page_map::tag_max - 1}) {
        for (std::uint8_t c = 0; c < 64; c++) {
            set(base::is_small(ClassId{c}) ? Entry::of(tag, ClassId{c}) : Entry::of(0, ClassId{c}));
            for (const std::uint32_t mine : {tag, tag + 1, page_map::tag_max}) {
                const auto everywhere = classify(at(place), tag_bits(mine));
                const auto at_home = gate::classify_at_home(at(place), home, tag_bits(mine));
                if (everywhere < magazine_offset_end) {
                    EXPECT_EQ(at_home, everywhere);
                } else {
                    EXPECT_GE(at_home, magazine_offset_end);
                }
            }
        }
    }
}

TEST_F(PageGate, WhatIsNotAtHomeIsNotMineThere) {
    set(Entry::of(1, ClassId::first));
    const gate::Home before = gate::home_of(at(place - base::leaf_bytes));
    const gate::Home behind = gate::home_of(at(place + base::leaf_bytes));
    for (const gate::Home& home : {before, behind, gate::nowhere}) {
        EXPECT_GE(gate::classify_at_home(at(place), home, tag_bits(1)), magazine_offset_end);
    }
    const gate::Home home = gate::home_of(at(place));
    for (const std::uintptr_t address :
         {std::uintptr_t{0}, place - 1, place + base::leaf_bytes, std::uintptr_t{1} << 47 | place,
          ~std::uintptr_t{0}, std::uintptr_t{1} << 63 | place}) {
        EXPECT_GE(gate::classify_at_home(at(address), home, tag_bits(1)), magazine_offset_end);
    }
}

RC_GTEST_PROP(PageGateProperty, ItIsMineExactlyIfTheTagIsAndTheClassIsSmall, ()) {
    RC_ASSERT(page_map::ensure(at(place), base::unit_bytes));
    const auto tag = *rc::gen::inRange<std::uint32_t>(0, page_map::tag_max);
    const auto mine =
        *rc::gen::oneOf(rc::gen::just(tag), rc::gen::inRange<std::uint32_t>(1, page_map::tag_max));
    const ClassId id{*rc::gen::inRange<std::uint8_t>(0, 64)};
    RC_PRE(mine != 0u);
    // Only slabs have a heap's tag.
    const Entry entry = base::is_small(id) ? Entry::of(tag, id) : Entry::of(0, id);
    page_map::assign(at(place), base::unit_bytes, entry, nullptr);
    const auto offset = classify(at(place), tag_bits(mine));
    if (base::is_small(id) && tag == mine) {
        RC_ASSERT(offset == base::index(id) << base::class_shift);
    } else {
        RC_ASSERT(offset >= magazine_offset_end);
    }
    page_map::assign(at(place), base::unit_bytes, Entry{0}, nullptr);
}

}  // namespace
