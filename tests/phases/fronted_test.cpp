#include "phases/fronted.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "back/page_map.hpp"
#include "back/slab.hpp"
#include "front/thread_heap.hpp"
#include "middle/ledger.hpp"
#include "tests/os/changed_option.hpp"

// This program has UltraHot in front (HAKMEM_PHASE is not set); the library of HeapV2 differs in
// the front alone, and runs the conformance program and the model.
namespace {

using namespace hakmem;
using phases::Fronted;
using phases::Phase16;
using Subject = Fronted<phases::UltraHotInFront>;

front::UltraHot& emptied_front() {
    Subject::deallocate(Subject::allocate(1));  // the thread may have no heap yet
    front::own_heap()->apply_options();
    return Subject::front_of(*front::own_heap()).magazines;
}

std::uint32_t held(const front::UltraHot& hot) { return hot.tops[0] + hot.tops[1]; }

TEST(Fronted, TheBlockFreedLastIsServedByTheFront) {
    const front::UltraHot& hot = emptied_front();
    for (const std::size_t bytes : {1u, 16u, 17u, 24u, 32u}) {
        void* const block = Subject::allocate(bytes);
        const std::uint64_t hits = hot.counts[0].hits + hot.counts[1].hits;
        Subject::deallocate(block);
        EXPECT_EQ(Subject::allocate(bytes), block) << bytes;
        EXPECT_EQ(hot.counts[0].hits + hot.counts[1].hits, hits + 1) << bytes;
        Subject::deallocate(block);
    }
}

// Unlike in Phase 14: there 24 bytes look into the second magazine and come back to the first.
TEST(Fronted, TheMagazineThatIsAskedIsTheOneThatTheBlockComesBackTo) {
    const front::UltraHot& hot = emptied_front();
    void* const block = Subject::allocate(24);
    Subject::deallocate(block);
    EXPECT_EQ(hot.tops[0], 0u);
    EXPECT_EQ(hot.tops[1], 1u);
}

TEST(Fronted, WhatTheFrontHasNoRoomForGoesToTheMagazine) {
    const front::UltraHot& hot = emptied_front();
    std::vector<void*> blocks(100);
    for (void*& block : blocks) {
        block = Subject::allocate(16);
        std::memset(block, 0xa5, 16);
    }
    EXPECT_EQ((std::set<void*>(blocks.begin(), blocks.end())).size(), blocks.size());
    for (void* const block : blocks) Subject::deallocate(block);
    EXPECT_EQ(held(hot), front::UltraHot::capacity);
    EXPECT_EQ(Subject::validate(), nullptr);
}

TEST(Fronted, LargerSizesAndOtherHeapsPassItBy) {
    const front::UltraHot& hot = emptied_front();
    Subject::deallocate(Subject::allocate(33));
    Subject::deallocate(Subject::allocate(100'000));
    void* foreign = nullptr;
    std::thread([&] { foreign = Subject::allocate(16); }).join();
    EXPECT_EQ(held(hot), 0u);
    Subject::deallocate(foreign);
    EXPECT_EQ(held(hot), 0u);
    Subject::deallocate(nullptr);
    EXPECT_EQ(held(hot), 0u);
}

TEST(Fronted, HardenedModeClosesTheFront) {
    const tests::ChangedOption hardened(&os::Options::hardened, 1);
    const front::UltraHot& hot = emptied_front();
    void* const block = Subject::allocate(16);
    Subject::deallocate(block);
    EXPECT_EQ(held(hot), 0u);
    EXPECT_DEATH(Subject::deallocate(block), "double free");
}

TEST(Fronted, TheLedgerCountsItsBlocksAsCached) {
    emptied_front();
    void* const block = Subject::allocate(16);
    middle::Ledger before;
    ASSERT_TRUE(middle::ledger::take(before));
    Subject::deallocate(block);
    ASSERT_EQ(held(Subject::front_of(*front::own_heap()).magazines), 1u);
    middle::Ledger after;
    ASSERT_TRUE(middle::ledger::take(after));
    EXPECT_EQ(after.live_blocks, before.live_blocks - 1);
    EXPECT_EQ(after.classes[1].cached_blocks, before.classes[1].cached_blocks + 1);
}

TEST(Fronted, TrimEmptiesIt) {
    const front::UltraHot& hot = emptied_front();
    Subject::deallocate(Subject::allocate(16));
    EXPECT_EQ(held(hot), 1u);
    Subject::trim();
    EXPECT_EQ(held(hot), 0u);
}

}  // namespace
