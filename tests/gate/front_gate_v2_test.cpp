#include "gate/front_gate_v2.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "back/page_map.hpp"
#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "gate/alloc_header.hpp"
#include "tests/gate/page_after_nothing.hpp"
#include "tests/gate/recorded_blocks.hpp"

namespace {

using namespace hakmem;
namespace page_map = back::page_map;
using base::ClassId;
using gate::ByteVerdict;
using gate::Classified;
using gate::classify_by_registry;
using gate::Domain;
using gate::front_gate_v2;
using page_map::Entry;
using tests::LargeBlock;
using tests::PageAfterNothing;

const void* at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

// A slab whose blocks are all stamped.
class StampedSlab : public tests::PoolSlab {
public:
    explicit StampedSlab(ClassId id) : PoolSlab(id) {
        const unsigned k = base::recorded_class_of_slab(id);
        for (unsigned i = 0; i < count(); i++) {
            if (k < base::recorded_class_count) {
                gate::stamp_tiny(block(i), k);
            } else {
                gate::stamp_header(block(i), 0);
            }
        }
    }
};

// A unit with an entry, behind a page that nobody may touch.
class UnitAfterNothing : public PageAfterNothing {
public:
    explicit UnitAfterNothing(Entry entry) {
        EXPECT_TRUE(page_map::ensure(start(), base::unit_bytes));
        page_map::assign(start(), base::unit_bytes, entry, nullptr);
    }
    ~UnitAfterNothing() { page_map::assign(start(), base::unit_bytes, Entry{0}, nullptr); }
};

// What the gate says, which is what the registry says; and how many headers it found overwritten.
std::uint64_t overwritten_by_asking(const void* pointer, Domain domain) {
    const std::uint64_t before = gate::overwritten_headers();
    const Classified known = front_gate_v2(pointer);
    const Classified by_registry = classify_by_registry(pointer);
    EXPECT_EQ(known.domain, domain);
    EXPECT_EQ(known.domain, by_registry.domain);
    EXPECT_EQ(known.id, by_registry.id);
    return gate::overwritten_headers() - before;
}

// ---- the byte -----------------------------------------------------------------------------------

TEST(FrontGateV2, EachOfThe256BytesHasItsVerdict) {
    alignas(base::page_bytes) static char page[base::page_bytes];
    char* const pointer = page + 64;
    for (unsigned value = 0; value < 256; value++) {
        pointer[-1] = static_cast<char>(value);
        ByteVerdict expected = ByteVerdict::external;
        if (value >= 0xa1 && value <= 0xa6) expected = ByteVerdict::tiny;
        if (value == 0xb0) expected = ByteVerdict::pool;
        EXPECT_EQ(gate::verdict_of(pointer), expected) << value;
    }
}

TEST(FrontGateV2, TheSamePageGuardLeavesThePageBeforeAlone) {
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassId id{static_cast<std::uint8_t>(c)};
        const bool tiny = base::recorded_class_of_slab(id) < base::recorded_class_count;
        const UnitAfterNothing unit(Entry::of(1, id));
        EXPECT_EQ(gate::verdict_of(unit.start()), ByteVerdict::midcand);
        EXPECT_EQ(overwritten_by_asking(unit.start(), tiny ? Domain::tiny : Domain::mid), 0u);
    }
}

// ---- the registry -------------------------------------------------------------------------------

TEST(FrontGateV2, ItAgreesWithTheRegistryOnEveryBlockOfEveryClass) {
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassId id{static_cast<std::uint8_t>(c)};
        const bool tiny = base::recorded_class_of_slab(id) < base::recorded_class_count;
        const StampedSlab slab(id);
        for (unsigned i = 0; i < slab.count(); i++) {
            ASSERT_EQ(overwritten_by_asking(slab.block(i), tiny ? Domain::tiny : Domain::mid), 0u)
                << "class " << c << " block " << i;
        }
    }
    const LargeBlock large(3 * base::mebibyte);
    EXPECT_EQ(overwritten_by_asking(large.block(), Domain::large), 0u);
}

TEST(FrontGateV2, ForeignAndFreeMemoryIsNotReadAndNotCounted) {
    alignas(base::page_bytes) static char page[base::page_bytes];
    gate::stamp_tiny(page + 64, 3);
    EXPECT_EQ(overwritten_by_asking(page + 64, Domain::external), 0u);
    for (const std::uintptr_t address : {std::uintptr_t{0}, std::uintptr_t{1}, std::uintptr_t{17},
                                         std::uintptr_t{1} << 47, ~std::uintptr_t{0}}) {
        EXPECT_EQ(overwritten_by_asking(at(address), Domain::external), 0u) << address;
    }
    const UnitAfterNothing unit(Entry::of(0, ClassId::free));
    gate::stamp_header(unit.start() + 64, 0);
    EXPECT_EQ(overwritten_by_asking(unit.start() + 64, Domain::freed), 0u);
}

// ---- overwritten headers ------------------------------------------------------------------------

TEST(FrontGateV2, AnOverwrittenByteIsCountedAndTheRegistryWins) {
    const StampedSlab slab(base::slab_class_of(3));
    for (unsigned value = 0; value < 256; value++) {
        slab.block(5)[-1] = static_cast<char>(value);
        EXPECT_EQ(overwritten_by_asking(slab.block(5), Domain::tiny), value == 0xa3 ? 0u : 1u)
            << value;
    }
}

TEST(FrontGateV2, AnOverwrittenAllocHeaderIsCountedAndTheRegistryWins) {
    const StampedSlab slab(base::class_of(2048));
    const LargeBlock large(base::mebibyte);
    for (char* const block : {slab.block(1), large.block()}) {
        const Domain domain = block == large.block() ? Domain::large : Domain::mid;
        for (std::size_t i = 1; i <= sizeof(gate::AllocHeader); i++) {
            // Three bytes mean nothing.
            const bool means_something = i == 1 || i > 4;
            block[-static_cast<std::ptrdiff_t>(i)] ^= 0x10;
            EXPECT_EQ(overwritten_by_asking(block, domain), means_something ? 1u : 0u) << i;
            block[-static_cast<std::ptrdiff_t>(i)] ^= 0x10;
            EXPECT_EQ(overwritten_by_asking(block, domain), 0u) << i;
        }
    }
}

// What lies in front of it was written by an earlier block of another class, and rightly.
TEST(FrontGateV2, NothingInFrontOfC7CountsAsOverwritten) {
    const StampedSlab slab(base::slab_class_of(base::headerless_class));
    for (unsigned value = 0; value < 256; value++) {
        slab.block(5)[-1] = static_cast<char>(value);
        EXPECT_EQ(overwritten_by_asking(slab.block(5), Domain::tiny), 0u) << value;
    }
}

}  // namespace
