#include "front/layers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "middle/ledger.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/futex_lock.hpp"
#include "tests/os/captured_messages.hpp"
#include "tests/os/changed_option.hpp"

namespace {

using namespace hakmem;
using back::shared_pool::Growth;
using front::Layers;
using front::ThreadHeap;
using front::TinyBlock;
using os::Options;
using tests::ChangedOption;

constexpr unsigned c2 = 2;
constexpr std::size_t of_c2 = 16;  // a request that UltraHot and C2 agree about
constexpr unsigned c7 = base::headerless_class;

// What each front has room for.
constexpr unsigned hot_room = front::UltraHot::capacity;
constexpr unsigned v2_room = front::HeapV2::capacity;
constexpr unsigned mag_room = Layers::Older::small_mag_capacity;
constexpr unsigned fast_room = front::TlsSll::fast_capacity;

back::Slab& slab_of(const void* block) { return *back::page_map::slab_of(block); }

bool is_free(const void* block) {
    const back::Slab& slab = slab_of(block);
    back::BlockIndex index{};
    EXPECT_TRUE(back::slab::index_of(slab, block, index));
    return (slab.free_bits[index.word()] & index.bit()) != 0;
}

// A heap without a past, which is the test thread's own while the test runs.
class Own {
public:
    Own() : saved_(front::current_heap), heap_(*ThreadHeap::make()) {
        front::current_heap = &heap_;
        layers().decide();
    }
    ~Own() {
        EXPECT_EQ(layers().validate(), nullptr);
        heap_.empty_out();
        front::current_heap = saved_;
        middle::orphan_heaps::park(heap_);
    }
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;

    ThreadHeap& heap() { return heap_; }
    Layers& layers() { return Layers::of(heap_); }

    // Blocks that are in no front, in order of falling addresses.
    std::vector<void*> take(unsigned tiny_class, unsigned count) {
        std::vector<void*> blocks;
        for (unsigned i = 0; i < count; i++) {
            front::Slot slot{};
            EXPECT_EQ(heap_.take(base::slab_class_of(tiny_class), 1, &slot, Growth::allowed), 1u);
            blocks.push_back(slot.load());
        }
        return blocks;
    }
    void give_back(const std::vector<void*>& blocks) {
        for (void* const block : blocks) heap_.give_back(block);
    }
    void release(unsigned tiny_class, const std::vector<void*>& blocks, bool with_ultra_hot) {
        for (void* const block : blocks) {
            layers().release(heap_, tiny_class, block, with_ultra_hot);
        }
    }
    std::vector<void*> allocate(std::size_t bytes, unsigned count, bool with_ultra_hot) {
        std::vector<void*> blocks;
        for (unsigned i = 0; i < count; i++) {
            blocks.push_back(layers().allocate(bytes, with_ultra_hot).block);
        }
        return blocks;
    }
    std::multiset<const void*> cached() {
        std::multiset<const void*> blocks;
        layers().for_each_cached(
            [](const void* block, void* set) {
                static_cast<std::multiset<const void*>*>(set)->insert(block);
            },
            &blocks);
        return blocks;
    }
    unsigned slabs() {
        unsigned count = 0;
        for (std::uint32_t i = 0; i < back::shared_pool::superslab_count(); i++) {
            const back::Slab* const slabs = back::shared_pool::superslab_at(i).slabs;
            for (unsigned unit = 0; unit < base::superslab_units; unit++) {
                if (slabs[unit].owner == static_cast<const back::SlabOwner*>(&heap_)) count++;
            }
        }
        return count;
    }

private:
    front::HeapFront* saved_;
    ThreadHeap& heap_;
};

// The blocks of one front.
template <typename Front>
std::vector<void*> held_by(const Front& front) {
    std::vector<void*> held;
    front.for_each([&](void* block) { held.push_back(block); });
    return held;
}

std::vector<void*> part(const std::vector<void*>& all, unsigned from, unsigned count) {
    return {all.begin() + from, all.begin() + from + count};
}

std::multiset<const void*> as_set(const std::vector<void*>& blocks) {
    return {blocks.begin(), blocks.end()};
}

// ---- the chain ----------------------------------------------------------------------------------

TEST(Layers, MallocAsksTheFrontsInTheirOrder) {
    for (const bool with_ultra_hot : {true, false}) {
        Own own;
        Layers& layers = own.layers();
        EXPECT_EQ(layers.allocate(of_c2, with_ultra_hot).block, nullptr);
        std::vector<void*> blocks = own.take(c2, 6);
        Layers::Older& older = layers.older[c2];
        if (with_ultra_hot) layers.ultra_hot.push(c2, blocks[0]);
        layers.heap_v2.release(c2, blocks[1]);
        older.bump.refill(static_cast<char*>(blocks[2]), base::stride_of(c2), 1);
        older.small_mag.push(blocks[3]);
        for (unsigned i = 0; i < fast_room; i++) older.tls_sll.fast.push(blocks[4]);
        older.tls_sll.push(blocks[5], UINT64_MAX);
        for (unsigned i = with_ultra_hot ? 0 : 1; i < 4; i++) {
            const TinyBlock tiny = layers.allocate(of_c2, with_ultra_hot);
            EXPECT_EQ(tiny.block, blocks[i]) << i;
            EXPECT_EQ(tiny.tiny_class, c2) << i;
        }
        for (unsigned i = 0; i < fast_room; i++) {
            EXPECT_EQ(layers.allocate(of_c2, with_ultra_hot).block, blocks[4]);
        }
        EXPECT_EQ(layers.allocate(of_c2, with_ultra_hot).block, blocks[5]);
        EXPECT_EQ(layers.allocate(of_c2, with_ultra_hot).block, nullptr);
        own.give_back(blocks);
    }
}

TEST(Layers, AHitOfUltraHotHasTheClassOfItsMagazine) {
    Own own;
    const std::vector<void*> blocks = own.take(3, 1);
    own.release(3, blocks, true);
    const TinyBlock tiny = own.layers().allocate(24, true);  // a request of C2
    EXPECT_EQ(tiny.block, blocks[0]);
    EXPECT_EQ(tiny.tiny_class, 3u);
    own.give_back(blocks);
}

TEST(Layers, FreeFillsTheFrontsInTheirOrderAndHeapV2Steals) {
    Own own;
    Layers& layers = own.layers();
    const std::vector<void*> blocks = own.take(c2, hot_room + v2_room + mag_room + fast_room + 2);
    own.release(c2, blocks, true);
    unsigned from = 0;
    EXPECT_EQ(held_by(layers.ultra_hot), part(blocks, from, hot_room));
    from += hot_room;
    EXPECT_EQ(held_by(layers.heap_v2.magazines[c2]), part(blocks, from, v2_room));
    from += v2_room;
    EXPECT_EQ(held_by(layers.older[c2].small_mag), part(blocks, from, mag_room));
    from += mag_room;
    EXPECT_EQ(held_by(layers.older[c2].tls_sll.fast), part(blocks, from, fast_room));
    EXPECT_EQ(layers.older[c2].tls_sll.count, 2u);
    EXPECT_EQ(layers.older[c2].tls_sll.head, blocks.back());
}

TEST(Layers, InLeftoverModeHeapV2GetsWhatSmallMagHasNoRoomFor) {
    const ChangedOption leftover(&Options::tiny_heap_v2_leftover_mode, 1);
    Own own;
    Layers& layers = own.layers();
    const std::vector<void*> blocks = own.take(c2, mag_room + v2_room + 1);
    own.release(c2, blocks, false);
    EXPECT_EQ(held_by(layers.older[c2].small_mag), part(blocks, 0, mag_room));
    EXPECT_EQ(held_by(layers.heap_v2.magazines[c2]), part(blocks, mag_room, v2_room));
    EXPECT_EQ(held_by(layers.older[c2].tls_sll.fast), part(blocks, mag_room + v2_room, 1));
    // Malloc asks it first all the same.
    EXPECT_EQ(layers.allocate(of_c2, false).block, blocks[mag_room + v2_room - 1]);
    own.give_back(part(blocks, mag_room + v2_room - 1, 1));
}

TEST(Layers, AFrontThatAnOptionSwitchesOffIsNotAsked) {
    const ChangedOption no_hot(&Options::tiny_ultra_hot, 0);
    for (const auto& field : {&Options::tiny_heap_v2, &Options::tiny_heap_v2_class_mask}) {
        const ChangedOption no_v2(field, field == &Options::tiny_heap_v2 ? 0 : 0xf & ~(1u << c2));
        Own own;
        Layers& layers = own.layers();
        const std::vector<void*> blocks = own.take(c2, mag_room + 1);
        own.release(c2, blocks, true);
        EXPECT_EQ(held_by(layers.older[c2].small_mag), part(blocks, 0, mag_room));
        EXPECT_EQ(held_by(layers.older[c2].tls_sll.fast), part(blocks, mag_room, 1));
        EXPECT_EQ(layers.allocate(of_c2, true).block, blocks[mag_room - 1]);
        EXPECT_EQ(layers.ultra_hot.counts[0].asked(), 0u);
        EXPECT_EQ(layers.heap_v2.counts[c2].asked(), 0u);
        own.give_back(part(blocks, mag_room - 1, 1));
    }
}

// A heap whose fronts are all zero, or were emptied, asks none until a refill.
TEST(Layers, NoFrontIsAskedBeforeTheFirstRefillOrAfterAllWereEmptied) {
    Own own;
    Layers& layers = own.layers();
    layers.empty_out(own.heap());
    EXPECT_FALSE(layers.asked.any);
    const std::vector<void*> blocks = own.take(c2, 1);
    own.release(c2, blocks, true);
    EXPECT_EQ(held_by(layers.older[c2].small_mag), blocks);
    own.heap().give_back(layers.refill(own.heap(), 1, Growth::allowed));
    EXPECT_TRUE(layers.asked.any);
    EXPECT_EQ(layers.asked.ultra_hot, 3u);
    EXPECT_EQ(layers.asked.heap_v2, Options{}.tiny_heap_v2_class_mask);
    EXPECT_EQ(layers.asked.drain_interval, Options{}.tiny_sll_drain_interval);
}

// ---- what is learnt -----------------------------------------------------------------------------

constexpr unsigned window = middle::FrontTuner::window_misses;

// 24 bytes look into UltraHot's second magazine, and their blocks come back to the first.
TEST(Layers, AFrontThatMissesRestsWhenTheTunerIsOn) {
    for (const bool on : {true, false}) {
        const ChangedOption tuner(&Options::tiny_tuner, on ? 1 : 0);
        Own own;
        Layers& layers = own.layers();
        for (unsigned i = 0; i < window; i++) {
            EXPECT_EQ(layers.asked.ultra_hot & 2, 2) << i;
            own.allocate(24, 1, true);
        }
        EXPECT_EQ((layers.asked.ultra_hot & 2) == 0, on);
        EXPECT_EQ(layers.asked.ultra_hot & 1, 1);
        const std::uint64_t misses = layers.ultra_hot.counts[1].misses;
        own.allocate(24, 10, true);
        EXPECT_EQ(layers.ultra_hot.counts[1].misses - misses, on ? 0u : 10u);
    }
}

TEST(Layers, AFrontThatRestsIsTriedAgainAfterSomeRefills) {
    const ChangedOption tuner(&Options::tiny_tuner, 1);
    Own own;
    Layers& layers = own.layers();
    own.allocate(24, window, true);
    ASSERT_EQ(layers.asked.ultra_hot & 2, 0);
    std::vector<void*> blocks;
    for (unsigned i = 1; i <= middle::FrontTuner::refills_at_rest; i++) {
        EXPECT_EQ(layers.asked.ultra_hot & 2, 0) << i;
        blocks.push_back(layers.refill(own.heap(), c7, Growth::allowed));
        while (void* const more = layers.older[c7].bump.take(base::stride_of(c7))) {
            blocks.push_back(more);
        }
    }
    EXPECT_EQ(layers.asked.ultra_hot & 2, 2);
    own.give_back(blocks);
}

// ---- refill -------------------------------------------------------------------------------------

TEST(Layers, ARefillFromAFreshSlabIsARunInBump) {
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        Own own;
        Layers& layers = own.layers();
        const std::size_t stride = base::stride_of(k);
        std::vector<void*> blocks = {layers.refill(own.heap(), k, Growth::allowed)};
        ASSERT_NE(blocks[0], nullptr);
        EXPECT_EQ(blocks[0], slab_of(blocks[0]).start);
        EXPECT_TRUE(held_by(layers.older[k].small_mag).empty());
        while (void* const block = layers.older[k].bump.take(stride)) {
            EXPECT_EQ(block, static_cast<char*>(blocks.back()) + stride);
            EXPECT_FALSE(is_free(block));
            blocks.push_back(block);
        }
        EXPECT_EQ(blocks.size(), 16u);
        own.give_back(blocks);
    }
}

TEST(Layers, ARefillOfScatteredBlocksGoesToSmallMag) {
    Own own;
    Layers& layers = own.layers();
    std::vector<void*> kept;
    std::vector<void*> scattered;
    for (void* const block : own.take(c2, 40)) {
        (kept.size() > scattered.size() ? scattered : kept).push_back(block);
    }
    own.give_back(scattered);
    void* const first = layers.refill(own.heap(), c2, Growth::allowed);
    std::vector<void*> held = held_by(layers.older[c2].small_mag);
    EXPECT_EQ(held.size(), 15u);
    held.push_back(first);
    for (void* const block : held) {
        EXPECT_NE(std::find(scattered.begin(), scattered.end(), block), scattered.end());
    }
    EXPECT_EQ(layers.older[c2].bump.take(base::stride_of(c2)), nullptr);
    own.heap().give_back(first);
    own.give_back(kept);
}

// The ends of a batch may be as far apart as those of a run, and the batch no run: here the last
// slab lies below the first one, and a block of a slab elsewhere takes the place of a live one.
TEST(Layers, ABatchOfThreeSlabsIsNotTakenForARun) {
    Own own;
    const std::size_t stride = base::stride_of(c7);
    const base::SizeClass& row = base::row(base::slab_class_of(c7));
    std::vector<void*> all = own.take(c7, 6 * row.blocks);
    std::sort(all.begin(), all.end());
    // Find two slabs that adjoin, and one more.
    char* upper = nullptr;
    for (void* const block : all) {
        char* const start = static_cast<char*>(block);
        const bool begins = slab_of(block).start == start;
        if (begins && std::binary_search(all.begin(), all.end(), block) &&
            std::binary_search(all.begin(), all.end(), static_cast<void*>(start - stride))) {
            upper = start;
        }
    }
    if (upper == nullptr) {
        own.give_back(all);
        FAIL() << "of six slabs' blocks no two slabs adjoin";
    }
    const back::Slab& lower_slab = slab_of(upper - stride);
    void* elsewhere = nullptr;
    for (void* const block : all) {
        if (&slab_of(block) != &lower_slab && &slab_of(block) != &slab_of(upper)) elsewhere = block;
    }
    ASSERT_NE(elsewhere, nullptr);
    char* const live = upper - 3 * static_cast<std::ptrdiff_t>(stride);
    std::vector<void*> batch = {upper, elsewhere};
    for (std::ptrdiff_t i = 1; i <= 15; i++) {
        char* const block = upper - i * static_cast<std::ptrdiff_t>(stride);
        if (block != live) batch.push_back(block);
    }
    ASSERT_EQ(batch.size(), 16u);
    own.give_back(batch);
    std::vector<void*> got = {own.layers().refill(own.heap(), c7, Growth::refused)};
    for (const void* const block : own.cached()) got.push_back(const_cast<void*>(block));
    EXPECT_EQ(as_set(got), as_set(batch));
    own.heap().give_back(got[0]);
    for (void* const block : all) {
        if (std::find(batch.begin(), batch.end(), block) == batch.end()) {
            own.heap().give_back(block);
        }
    }
}

TEST(Layers, ARefillWithoutMemoryIsNull) {
    Own own;
    std::vector<void*> blocks;
    while (void* const block = own.layers().refill(own.heap(), c7, Growth::refused)) {
        blocks.push_back(block);
        own.layers().empty_out(own.heap());
        if (blocks.size() > 100'000) break;
        front::Slot slots[64] = {};
        const unsigned taken = own.heap().take(base::slab_class_of(c7), 64, slots, Growth::refused);
        for (unsigned i = 0; i < taken; i++) blocks.push_back(slots[i].load());
    }
    ASSERT_LE(blocks.size(), 100'000u);  // it came to an end by itself
    EXPECT_TRUE(own.cached().empty());
    own.give_back(blocks);
}

// The heap's lock, given back, may run what waited for it; that may allocate from the same heap.
TEST(Layers, ARefillThatWasOvertakenLosesNoBlock) {
    static Own* overtaken;
    static std::vector<void*>* got;
    Own own;
    std::vector<void*> blocks;
    overtaken = &own;
    got = &blocks;
    os::when_unlocked(
        [] { got->push_back(overtaken->layers().refill(overtaken->heap(), c2, Growth::allowed)); });
    blocks.push_back(own.layers().refill(own.heap(), c2, Growth::allowed));
    ASSERT_EQ(blocks.size(), 2u);
    own.give_back(blocks);
    own.layers().empty_out(own.heap());
    own.heap().empty_out();
    EXPECT_EQ(own.slabs(), 0u);
}

// ---- drain --------------------------------------------------------------------------------------

TEST(Layers, TheListIsDrainedAfterSoManyFreesOfItsOwn) {
    const ChangedOption interval(&Options::tiny_sll_drain_interval, 20);
    Own own;
    Layers& layers = own.layers();
    const unsigned before = v2_room + mag_room;
    const std::vector<void*> blocks = own.take(c2, before + 20);
    own.release(c2, part(blocks, 0, before + 19), false);
    for (void* const block : blocks) EXPECT_FALSE(is_free(block));
    own.release(c2, part(blocks, before + 19, 1), false);
    for (unsigned i = 0; i < blocks.size(); i++) EXPECT_EQ(is_free(blocks[i]), i >= before) << i;
    EXPECT_EQ(layers.older[c2].tls_sll.frees, 0u);
    EXPECT_EQ(layers.older[c2].tls_sll.count, 0u);
    EXPECT_EQ(own.cached(), as_set(part(blocks, 0, before)));
}

TEST(Layers, AListThatIsHeavyIsDrainedBeforeItsTime) {
    Own own;
    const unsigned before = mag_room + fast_room + 64;  // sixty-four links of 1 KiB
    const std::vector<void*> blocks = own.take(c7, before + 1);
    own.release(c7, part(blocks, 0, before), true);
    EXPECT_EQ(own.layers().older[c7].tls_sll.count, 64u);
    own.release(c7, part(blocks, before, 1), true);
    EXPECT_EQ(own.layers().older[c7].tls_sll.count, 0u);
    EXPECT_EQ(own.cached(), as_set(part(blocks, 0, mag_room)));
}

TEST(Layers, ABlockOfAnotherHeapGoesToItsOwnerWhenItIsDrained) {
    Own owner;
    const std::vector<void*> blocks = owner.take(c7, mag_room + 1);
    {
        Own other;
        other.release(c7, blocks, true);
        EXPECT_EQ(other.cached(), as_set(blocks));
        other.heap().empty_out();
        EXPECT_TRUE(other.cached().empty());
        EXPECT_EQ(other.slabs(), 0u);
    }
    EXPECT_GT(owner.slabs(), 0u);
    owner.heap().empty_out();
    EXPECT_EQ(owner.slabs(), 0u) << "a block has not come back";
}

// ---- all of it ----------------------------------------------------------------------------------

TEST(Layers, ForEachCachedVisitsExactlyTheCachedBlocks) {
    Own own;
    std::multiset<const void*> expected;
    std::vector<void*> out;
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        out.push_back(own.layers().refill(own.heap(), k, Growth::allowed));
        const char* const lowest = static_cast<char*>(out.back());
        for (unsigned i = 1; i < 16; i++) expected.insert(lowest + i * base::stride_of(k));
        const std::vector<void*> blocks = own.take(k, 80);
        own.release(k, blocks, true);
        expected.insert(blocks.begin(), blocks.end());
    }
    EXPECT_EQ(own.cached(), expected);
    own.give_back(out);
}

TEST(Layers, EmptyingGivesEverythingBack) {
    // The ledger counts what other tests have left, too.
    if (front::ThreadHeap* const heap = front::own_heap()) heap->empty_out();
    middle::orphan_heaps::purge();
    Own own;
    std::vector<void*> out;
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        out.push_back(own.layers().refill(own.heap(), k, Growth::allowed));
        own.release(k, own.take(k, 80), true);
    }
    own.give_back(out);
    middle::Ledger ledger{};
    ASSERT_TRUE(middle::ledger::take(ledger));
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        EXPECT_EQ(ledger.classes[base::index(base::slab_class_of(k))].cached_blocks, 95u) << k;
    }
    own.heap().empty_out();
    EXPECT_EQ(own.slabs(), 0u);
    EXPECT_TRUE(own.cached().empty());
    ASSERT_TRUE(middle::ledger::take(ledger));
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        EXPECT_EQ(ledger.classes[base::index(base::slab_class_of(k))].cached_blocks, 0u) << k;
    }
}

// ---- overwritten links --------------------------------------------------------------------------

// Lets a program write to blocks that it has freed, the way memset after free does.
void overwrite_links(Own& own, const std::vector<void*>& blocks, int byte) {
    own.release(c2, blocks, false);
    for (void* const block : blocks) std::memset(block, byte, base::stride_of(c2) - 1);
}

TEST(Layers, AnOverwrittenLinkIsNamedAndNotFollowed) {
    Own own;
    const std::vector<void*> blocks = own.take(c2, v2_room + mag_room + fast_room + 3);
    const auto drain = [&] {
        overwrite_links(own, blocks, 0x5a);
        own.layers().drain(own.heap(), c2);
    };
    const auto allocate = [&] {
        overwrite_links(own, blocks, 0x5a);
        own.allocate(of_c2, static_cast<unsigned>(blocks.size()), false);
    };
    EXPECT_DEATH(drain(), "invalid free of 0x5a5a5a5a5a5a5a5a");
    EXPECT_DEATH(allocate(), "invalid free of 0x5a5a5a5a5a5a5a5a");
    own.give_back(blocks);
}

TEST(Layers, AReportStopsAtAnOverwrittenLink) {
    Own own;
    const std::vector<void*> blocks = own.take(c2, v2_room + mag_room + fast_room + 3);
    own.release(c2, blocks, false);
    void* saved = nullptr;
    std::memcpy(&saved, blocks.back(), sizeof saved);
    std::memset(blocks.back(), 0x5a, sizeof saved);
    EXPECT_EQ(own.cached().size(), blocks.size() - 2);
    std::memcpy(blocks.back(), &saved, sizeof saved);
    EXPECT_EQ(own.cached(), as_set(blocks));
}

TEST(Layers, ALinkOverwrittenWithNullLosesBlocksAndNothingElse) {
    Own own;
    const std::vector<void*> blocks = own.take(c2, v2_room + mag_room + fast_room + 3);
    overwrite_links(own, blocks, 0);
    own.layers().drain(own.heap(), c2);
    EXPECT_EQ(own.layers().older[c2].tls_sll.count, 0u);
    EXPECT_TRUE(is_free(blocks.back()));
    const std::vector<void*> lost = part(blocks, v2_room + mag_room + fast_room, 2);
    for (void* const block : lost) EXPECT_FALSE(is_free(block));
    own.give_back(lost);
}

TEST(Layers, WhatIsNoBlockIsNotLinked) {
    Own own;
    const std::vector<void*> blocks = own.take(c2, v2_room + mag_room + 1);
    own.release(c2, part(blocks, 0, v2_room + mag_room), false);
    char* const inner = static_cast<char*>(blocks.back()) + 16;
    EXPECT_DEATH(own.release(c2, {inner}, false), "invalid free");
    own.give_back(part(blocks, v2_room + mag_room, 1));
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(Layers, I1_AFrontWhoseInvariantDoesNotHoldIsNoticed) {
    Own own;
    Layers& layers = own.layers();
    EXPECT_EQ(layers.validate(), nullptr);
    for (const auto& top : {&layers.older[5].small_mag.top, &layers.older[6].tls_sll.fast.top}) {
        *top = 1000;
        EXPECT_STREQ(layers.validate(), "layers I1");
        *top = 0;
    }
    layers.ultra_hot.tops[1] = 5;
    EXPECT_STREQ(layers.validate(), "ultra_hot I1");
    layers.ultra_hot.tops[1] = 0;
    layers.heap_v2.magazines[0].top = 17;
    EXPECT_STREQ(layers.validate(), "heap_v2 I1");
    layers.heap_v2.magazines[0].top = 0;
}

// ---- statistics ---------------------------------------------------------------------------------

TEST(Layers, StatisticsArePrintedForThoseWhoAskInTheRecordsWords) {
    Own own;
    const std::vector<void*> blocks = own.take(c2, 2);
    own.release(c2, blocks, false);
    own.allocate(of_c2, 1, false);
    const auto printed = [] {
        const tests::CapturedMessages messages;
        Layers::print_statistics();
        return messages.text();
    };
    EXPECT_EQ(printed(), "");
    {
        const ChangedOption stats(&Options::tiny_heap_v2_stats, 1);
        const std::string text = printed();
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), front::HeapV2::class_count);
        // Other heaps of this process count too.
        EXPECT_NE(text.find("hakmem: heap_v2: [C2] alloc_calls="), std::string::npos) << text;
        EXPECT_NE(text.find(" mag_hits="), std::string::npos);
        EXPECT_EQ(text.find(" held="), std::string::npos);
    }
    {
        const ChangedOption debug(&Options::tiny_heap_v2_debug, 1);
        const std::string text = printed();
        EXPECT_NE(text.find("hakmem: heap_v2: on, mode 0, class mask 14, 16 slots"),
                  std::string::npos)
            << text;
        EXPECT_NE(text.find(" held="), std::string::npos);
    }
    {
        const ChangedOption stats(&Options::tiny_ultra_hot_stats, 1);
        const std::string text = printed();
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
        EXPECT_NE(text.find("hakmem: ultra_hot: [C3] alloc_calls="), std::string::npos);
    }
    own.give_back(part(blocks, 1, 1));
}

}  // namespace
