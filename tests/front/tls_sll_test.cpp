#include "front/tls_sll.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tests/front/read_along.hpp"

namespace {

using namespace hakmem;
using front::TlsSll;

constexpr std::uint64_t never = ~std::uint64_t{0};

// Blocks that may be linked, and nothing else that may.
class Blocks {
public:
    static constexpr unsigned count = 100;

    void* operator[](std::size_t i) { return &all_[i]; }
    bool has(const void* pointer) const {
        const auto offset = reinterpret_cast<std::uintptr_t>(pointer) -
                            reinterpret_cast<std::uintptr_t>(all_.data());
        return offset < sizeof(all_) && offset % sizeof(Block) == 0;
    }
    std::vector<void*> held_by(const TlsSll& list) const {
        std::vector<void*> held;
        list.for_each([&](void* b) { held.push_back(b); },
                      [this](const void* b) { return has(b); });
        return held;
    }

private:
    struct alignas(16) Block {
        void* words[2];
    };
    std::array<Block, count> all_{};
};

TEST(TlsSll, AllZeroIsAnEmptyOne) {
    const Blocks blocks;
    TlsSll list{};
    EXPECT_EQ(list.validate(), nullptr);
    EXPECT_TRUE(blocks.held_by(list).empty());
    for (int i = 0; i < 3; i++) EXPECT_EQ(list.pop(), nullptr);
}

TEST(TlsSll, TheArrayIsFilledFirstAndEmptiedFirst) {
    Blocks blocks;
    TlsSll list{};
    for (unsigned i = 0; i < TlsSll::fast_capacity; i++) list.push(blocks[i], never);
    EXPECT_EQ(list.head, nullptr);
    EXPECT_EQ(list.count, 0u);
    list.push(blocks[20], never);
    list.push(blocks[21], never);
    EXPECT_EQ(list.head, blocks[21]);
    EXPECT_EQ(list.count, 2u);
    for (unsigned i = TlsSll::fast_capacity; i-- > 0;) EXPECT_EQ(list.pop(), blocks[i]);
    EXPECT_EQ(list.pop(), blocks[21]);
    EXPECT_EQ(list.pop(), blocks[20]);
    EXPECT_EQ(list.pop(), nullptr);
    EXPECT_EQ(list.count, 0u);
}

TEST(TlsSll, OnlyABlockOfTheListIsWrittenTo) {
    Blocks blocks;
    TlsSll list{};
    for (unsigned i = 0; i < TlsSll::fast_capacity + 2; i++) {
        static_cast<void**>(blocks[i])[0] = &list;
        static_cast<void**>(blocks[i])[1] = &list;
        list.push(blocks[i], never);
    }
    for (unsigned i = 0; i < TlsSll::fast_capacity; i++) {
        EXPECT_EQ(*static_cast<void**>(blocks[i]), &list);
    }
    EXPECT_EQ(static_cast<void**>(blocks[8])[0], nullptr);
    EXPECT_EQ(static_cast<void**>(blocks[9])[0], blocks[8]);
    EXPECT_EQ(static_cast<void**>(blocks[9])[1], &list) << "a link is one word";
}

RC_GTEST_PROP(TlsSll, TheListSurvivesAnyOrderOfPushesAndPops, ()) {
    Blocks blocks;
    TlsSll list{};
    std::vector<void*> fast;
    std::vector<void*> linked;
    std::vector<void*> live;
    for (unsigned i = 0; i < Blocks::count; i++) live.push_back(blocks[i]);
    const auto push_one = [&](unsigned chance) {
        if (live.empty()) return;
        std::swap(live[chance % live.size()], live.back());
        list.push(live.back(), never);
        (fast.size() < TlsSll::fast_capacity ? fast : linked).push_back(live.back());
        live.pop_back();
    };
    const auto pop_one = [&] {
        auto& from = fast.empty() ? linked : fast;
        void* const expected = from.empty() ? nullptr : from.back();
        void* const popped = list.pop();
        RC_ASSERT((popped == expected));
        if (popped == nullptr) return;
        from.pop_back();
        live.push_back(popped);
        // It is the program's: what is written to it is no business of the list's.
        *static_cast<void**>(popped) = &list;
    };
    // In runs that are longer than the array, so that the list is reached from both sides.
    for (const auto run : *rc::gen::container<std::vector<unsigned>>(rc::gen::inRange(0u, 999u))) {
        const unsigned length = run / 2 % (3 * TlsSll::fast_capacity);
        for (unsigned i = 0; i < length; i++) run % 2 == 0 ? push_one(run + 7 * i) : pop_one();
        std::vector<void*> expected = fast;
        expected.insert(expected.end(), linked.rbegin(), linked.rend());
        RC_ASSERT((blocks.held_by(list) == expected));
        RC_ASSERT(list.count == linked.size());
        RC_ASSERT(list.validate() == nullptr);
    }
}

TEST(TlsSll, ALinkThatAProgramHasOverwrittenIsNotFollowed) {
    Blocks blocks;
    TlsSll list{};
    for (unsigned i = 0; i < TlsSll::fast_capacity + 5; i++) list.push(blocks[i], never);
    ASSERT_EQ(blocks.held_by(list).size(), TlsSll::fast_capacity + 5);
    *static_cast<std::uintptr_t*>(blocks[TlsSll::fast_capacity + 3]) = 0x4141414141414141;
    EXPECT_EQ(blocks.held_by(list).size(), TlsSll::fast_capacity + 2);
    // Nor does a circle hold a report up.
    *static_cast<void**>(blocks[TlsSll::fast_capacity + 3]) = blocks[TlsSll::fast_capacity + 4];
    EXPECT_EQ(blocks.held_by(list).size(), TlsSll::fast_capacity + 5);
}

// ---- drain interval -----------------------------------------------------------------------------

// What who drains does: takes all that there is, and begins to count anew.
unsigned drain(TlsSll& list) {
    unsigned drained = 0;
    while (list.pop() != nullptr) drained++;
    list.frees = 0;
    return drained;
}

TEST(TlsSll, DrainIntervalEachSoManyFreesTheListIsToBeDrained) {
    Blocks blocks;
    TlsSll list{};
    for (const std::uint64_t interval : {1u, 2u, 7u, 20u, 100u}) {
        for (int round = 0; round < 3; round++) {
            for (unsigned i = 1; i < interval; i++) {
                EXPECT_FALSE(list.push(blocks[i], interval)) << i << " of " << interval;
            }
            EXPECT_TRUE(list.push(blocks[0], interval));
            EXPECT_EQ(drain(list), interval);
        }
    }
}

TEST(TlsSll, DrainIntervalFreesCountAndNotTheBlocksHeld) {
    Blocks blocks;
    TlsSll list{};
    constexpr std::uint64_t interval = 2048;  // the record's default
    for (unsigned i = 1; i < interval; i++) {
        EXPECT_FALSE(list.push(blocks[0], interval));
        EXPECT_EQ(list.pop(), blocks[0]);
    }
    EXPECT_TRUE(list.push(blocks[0], interval));
    // As long as nobody drains, it says so again.
    EXPECT_TRUE(list.push(blocks[1], interval));
    EXPECT_EQ(drain(list), 2u);
    EXPECT_FALSE(list.push(blocks[0], interval));
}

// ---- reports ------------------------------------------------------------------------------------

TEST(TlsSll, AnotherThreadMayReadAlong) {
    Blocks blocks;
    TlsSll list{};
    std::vector<void*> live;
    for (unsigned i = 0; i < Blocks::count; i++) live.push_back(blocks[i]);
    unsigned round = 0;
    const auto work = [&] {
        for (unsigned i = 0; i < 1 + round % 60 && !live.empty(); i++) {
            list.push(live.back(), never);
            live.pop_back();
        }
        for (unsigned i = 0; i < 1 + round % 59; i++) {
            if (void* const block = list.pop()) live.insert(live.begin(), block);
        }
        round++;
    };
    const auto read = [&] {
        const std::vector<void*> held = blocks.held_by(list);
        EXPECT_LE(held.size(), TlsSll::fast_capacity + Blocks::count);
        for (void* const b : held) EXPECT_TRUE(blocks.has(b));
        EXPECT_EQ(list.validate(), nullptr);
    };
    tests::read_along(work, read);
    drain(list);
    EXPECT_EQ(list.count, 0u);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(TlsSll, I1_AnArrayAboveItsCapacityIsNoticed) {
    TlsSll list{};
    list.fast.top = TlsSll::fast_capacity;
    EXPECT_EQ(list.validate(), nullptr);
    list.fast.top = TlsSll::fast_capacity + 1;
    EXPECT_STREQ(list.validate(), "tls_sll I1");
}

}  // namespace
