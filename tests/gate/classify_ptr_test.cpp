#include "gate/classify_ptr.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "back/page_map.hpp"
#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "gate/alloc_header.hpp"
#include "gate/header_byte.hpp"
#include "tests/gate/page_after_nothing.hpp"
#include "tests/gate/recorded_blocks.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
namespace page_map = back::page_map;
using base::ClassId;
using gate::Classified;
using gate::classify_by_registry;
using gate::classify_ptr;
using gate::Domain;
using page_map::Entry;
using tests::FaultInjection;
using tests::LargeBlock;
using tests::PageAfterNothing;
using tests::PoolSlab;

ClassId class_at(unsigned c) { return ClassId{static_cast<std::uint8_t>(c)}; }
const void* at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

// A unit of the test's own with an entry, behind a page that nobody may touch.
class UnitAfterNothing : public PageAfterNothing {
public:
    explicit UnitAfterNothing(Entry entry) {
        EXPECT_TRUE(page_map::ensure(start(), base::unit_bytes));
        page_map::assign(start(), base::unit_bytes, entry, nullptr);
    }
    ~UnitAfterNothing() { page_map::assign(start(), base::unit_bytes, Entry{0}, nullptr); }
};

// How many probes a body makes, by the box's count and by the calls to the kernel.
template <typename Body>
std::uint64_t probes_of(Body body) {
    const FaultInjection watch({.calls = FaultInjection::residency, .first = UINT64_MAX});
    const std::uint64_t before = gate::mincore_probes();
    body();
    const std::uint64_t probes = gate::mincore_probes() - before;
    EXPECT_EQ(probes, FaultInjection::calls()) << "what is counted is not what was asked";
    return probes;
}

// ---- tiny ---------------------------------------------------------------------------------------

TEST(ClassifyPtr, StampedBlocksAreTinyAndNeverProbed) {
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        const ClassId id = base::slab_class_of(k);
        const PoolSlab slab(id);
        // With blocks that begin a page, and C7, which are found by registry.
        for (unsigned i = 0; i < slab.count(); i++) gate::stamp_tiny(slab.block(i), k);
        EXPECT_EQ(probes_of([&] {
                      for (unsigned i = 0; i < slab.count(); i++) {
                          const Classified known = classify_ptr(slab.block(i));
                          ASSERT_EQ(known.domain, Domain::tiny) << "C" << k << " block " << i;
                          ASSERT_EQ(known.id, id) << "C" << k << " block " << i;
                          ASSERT_EQ(known.header, nullptr);
                      }
                  }),
                  0u);
    }
}

TEST(ClassifyPtr, WhateverTheByteSaysATinyBlockIsWhatItIs) {
    for (const unsigned k : {1u, 3u, base::headerless_class}) {
        const PoolSlab slab(base::slab_class_of(k));
        char* const block = slab.block(5);
        EXPECT_EQ(probes_of([&] {
                      for (unsigned value = 0; value < 256; value++) {
                          block[-1] = static_cast<char>(value);
                          ASSERT_EQ(classify_ptr(block).domain, Domain::tiny) << value;
                          ASSERT_EQ(classify_ptr(block).id, base::slab_class_of(k)) << value;
                      }
                  }),
                  0u);
    }
}

// ---- mid and large ------------------------------------------------------------------------------

TEST(ClassifyPtr, AMidPointerIsProbedOnce) {
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassId id = class_at(c);
        if (base::recorded_class_of_slab(id) < base::recorded_class_count) continue;
        const PoolSlab slab(id);
        for (unsigned i = 0; i < slab.count(); i++) {
            gate::stamp_header(slab.block(i), 0);
            Classified known{};
            ASSERT_EQ(probes_of([&] { known = classify_ptr(slab.block(i)); }), 1u);
            ASSERT_EQ(known.domain, Domain::mid) << "class " << c << " block " << i;
            ASSERT_EQ(known.id, id);
            const bool has_header = gate::has_byte_before(slab.block(i));
            ASSERT_EQ(known.header != nullptr, has_header) << "class " << c << " block " << i;
        }
    }
}

TEST(ClassifyPtr, ALargePointerIsProbedOnce) {
    for (const std::size_t bytes :
         {base::small_bytes_max + 1, base::mebibyte, 5 * base::mebibyte}) {
        const LargeBlock large(bytes);
        Classified known{};
        EXPECT_EQ(probes_of([&] { known = classify_ptr(large.block()); }), 1u);
        EXPECT_EQ(known.domain, Domain::large);
        ASSERT_NE(known.header, nullptr);
        EXPECT_EQ(known.header->offset, sizeof(gate::AllocHeader));
    }
}

TEST(ClassifyPtr, WhatTheKernelRefusesHasNoHeader) {
    const LargeBlock large(base::mebibyte);
    const FaultInjection refusal({.calls = FaultInjection::residency});
    const Classified known = classify_ptr(large.block());
    EXPECT_EQ(FaultInjection::failed(), 1u);
    EXPECT_EQ(known.domain, Domain::large);
    EXPECT_EQ(known.header, nullptr);
}

TEST(ClassifyPtr, ATinyByteDoesNotMakeALargerBlockTiny) {
    const PoolSlab slab(base::class_of(2048));
    const LargeBlock large(base::mebibyte);
    for (unsigned k = 0; k < 16; k++) {
        for (char* const block : {slab.block(1), large.block()}) {
            block[-1] = static_cast<char>(gate::tiny_magic | k);
            EXPECT_NE(classify_ptr(block).domain, Domain::tiny) << k;
            EXPECT_EQ(classify_ptr(block).header, nullptr) << k;
        }
    }
}

TEST(ClassifyPtr, AHeaderThatIsNoneIsNotTakenForOne) {
    const PoolSlab slab(base::class_of(2048));
    gate::stamp_header(slab.block(3), 0);
    std::memcpy(slab.block(1) - sizeof(gate::AllocHeader),
                slab.block(3) - sizeof(gate::AllocHeader), sizeof(gate::AllocHeader));
    EXPECT_EQ(classify_ptr(slab.block(1)).header, nullptr);
    EXPECT_EQ(classify_ptr(slab.block(1)).domain, Domain::mid);
}

// ---- size gap -----------------------------------------------------------------------------------

TEST(ClassifyPtr, NoSizeIsWithoutADomain) {
    std::vector<std::unique_ptr<PoolSlab>> slabs(base::class_count);
    const LargeBlock large(base::small_bytes_max + 1);
    for (std::size_t bytes = 0; bytes <= base::small_bytes_max + 1; bytes++) {
        const bool tiny = bytes <= base::recorded_tiny_bytes_max;
        const std::size_t total = bytes + sizeof(gate::AllocHeader);
        if (!tiny && total > base::small_bytes_max) {
            ASSERT_EQ(classify_by_registry(large.block()).domain, Domain::large) << bytes;
            continue;
        }
        const ClassId id =
            tiny ? base::slab_class_of(base::recorded_class_of(bytes)) : base::class_of(total);
        std::unique_ptr<PoolSlab>& slab = slabs[base::index(id)];
        if (slab == nullptr) slab = std::make_unique<PoolSlab>(id);
        const Domain domain = classify_by_registry(slab->block(1)).domain;
        ASSERT_EQ(domain, tiny ? Domain::tiny : Domain::mid) << bytes;
    }
}

// ---- pointers that are no blocks ----------------------------------------------------------------

TEST(ClassifyPtr, ForeignMemoryIsExternalWhateverItsBytesSay) {
    alignas(base::page_bytes) static char page[base::page_bytes];
    char* const foreign = page + 64;
    EXPECT_EQ(probes_of([&] {
                  gate::stamp_tiny(foreign, 3);
                  EXPECT_EQ(classify_ptr(foreign).domain, Domain::external);
                  gate::stamp_header(foreign, 16);
                  EXPECT_EQ(classify_ptr(foreign).domain, Domain::external);
                  EXPECT_EQ(classify_ptr(foreign).header, nullptr);
              }),
              0u);
}

TEST(ClassifyPtr, AddressesThatNoProgramHasAreExternal) {
    EXPECT_EQ(probes_of([] {
                  for (const std::uintptr_t address :
                       {std::uintptr_t{0}, std::uintptr_t{1}, std::uintptr_t{15},
                        std::uintptr_t{1} << 47, ~std::uintptr_t{0}, std::uintptr_t{1} << 63}) {
                      EXPECT_EQ(classify_ptr(at(address)).domain, Domain::external) << address;
                  }
              }),
              0u);
}

TEST(ClassifyPtr, FreeMemoryIsNotReadAndNotProbed) {
    const UnitAfterNothing unit(Entry::of(0, ClassId::free));
    char* const block = unit.start() + 4096 + 64;
    gate::stamp_header(block, 16);  // it outlived its block
    EXPECT_EQ(probes_of([&] { EXPECT_EQ(classify_ptr(block).domain, Domain::freed); }), 0u);
}

TEST(ClassifyPtr, ALargeBlockHasAllOfItsLastUnit) {
    const LargeBlock large(3 * base::mebibyte + base::page_bytes);
    const back::Slab& record = large.record();
    const char* const behind = record.start + record.block_bytes;
    EXPECT_EQ(record.block_bytes, 3 * base::mebibyte + base::unit_bytes);
    EXPECT_EQ(classify_ptr(behind - 1).domain, Domain::large);
    EXPECT_NE(page_map::slab_of(behind), &record);
}

// ---- page-aligned pointers ----------------------------------------------------------------------

// The kernel says that the page in front is mapped, and it is; reading it would be the end. So the
// probe that the record relied on does not protect the read, and the same-page guard does.
TEST(ClassifyPtr, ThePageBeforeAPageAlignedPointerIsNeverRead) {
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassId id = class_at(c);
        const bool tiny = base::recorded_class_of_slab(id) < base::recorded_class_count;
        const UnitAfterNothing unit(Entry::of(1, id));
        EXPECT_TRUE(gate::probe(unit.start()));
        for (std::size_t i = 0; i < sizeof(gate::AllocHeader); i++) {
            const Classified known = classify_ptr(unit.start() + i);
            EXPECT_EQ(known.domain, tiny ? Domain::tiny : Domain::mid);
            EXPECT_EQ(known.header, nullptr);
        }
    }
}

TEST(ClassifyPtr, AProbeOfNothingSaysNo) {
    const PageAfterNothing page;
    EXPECT_EQ(probes_of([&] {
                  EXPECT_TRUE(gate::probe(page.start() + 64));
                  EXPECT_FALSE(gate::probe(nullptr));
                  EXPECT_FALSE(gate::probe(at(std::uintptr_t{1} << 47)));
              }),
              3u);
}

// ---- all of them --------------------------------------------------------------------------------

// The bytes are a shortcut. They never make a difference.
RC_GTEST_PROP(ClassifyPtrProperty, ItSaysWhatTheRegistrySays, ()) {
    const ClassId id = class_at(*rc::gen::inRange(1u, base::class_count));
    const UnitAfterNothing unit(Entry::of(1, id));
    const auto bytes = *rc::gen::container<std::array<unsigned char, 64>>(
        rc::gen::weightedOneOf<unsigned char>({{1, rc::gen::arbitrary<unsigned char>()},
                                               {3, rc::gen::inRange<unsigned char>(0xa0, 0xb1)}}));
    std::memcpy(unit.start(), bytes.data(), bytes.size());
    const auto place = *rc::gen::inRange<std::size_t>(0, bytes.size() + 1);
    const auto anywhere = *rc::gen::arbitrary<std::uintptr_t>();
    for (const void* const pointer :
         {static_cast<const void*>(unit.start() + place), at(anywhere)}) {
        const Classified by_registry = classify_by_registry(pointer);
        Classified known{};
        const std::uint64_t probes = probes_of([&] { known = classify_ptr(pointer); });
        RC_ASSERT(known.domain == by_registry.domain);
        RC_ASSERT(known.id == by_registry.id);
        RC_ASSERT(by_registry.header == nullptr);
        const bool above_tiny = known.domain == Domain::mid || known.domain == Domain::large;
        RC_ASSERT(probes == (above_tiny ? 1u : 0u));
    }
}

}  // namespace
