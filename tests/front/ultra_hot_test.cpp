#include "front/ultra_hot.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <set>
#include <vector>

#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "tests/front/read_along.hpp"

namespace {

using namespace hakmem;
using front::UltraHot;

// Addresses that nobody may touch: the front has no business with what lies there.
void* block(std::uintptr_t i) { return reinterpret_cast<void*>(16 * i); }

std::vector<void*> held_by(const UltraHot& hot) {
    std::vector<void*> held;
    hot.for_each([&](void* b) { held.push_back(b); });
    return held;
}

std::uintptr_t line_of(const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) / base::cache_line_bytes;
}

// A heap that has nothing but the front: what the front does not serve is a block that was never
// used, and what it does not take is forgotten.
class Heap {
public:
    struct Block {
        unsigned tiny_class;
        std::size_t stride() const { return base::stride_of(tiny_class); }
    };

    Block* allocate(std::size_t bytes) {
        if (bytes <= UltraHot::request_bytes_max) {
            if (void* const hit = hot.pop(bytes)) return static_cast<Block*>(hit);
        }
        return &blocks_.emplace_back(Block{base::recorded_class_of(bytes)});
    }

    void release(Block* block) {
        if (UltraHot::takes(block->tiny_class)) hot.push(block->tiny_class, block);
    }

    // The record's bench: a number of places, one of which is emptied and filled again and again.
    template <typename Size>
    void run(unsigned iterations, unsigned places, Size size) {
        std::vector<Block*> live(places);
        std::minstd_rand random(14);
        for (unsigned i = 0; i < iterations; i++) {
            Block*& place = live[random() % places];
            if (place != nullptr) release(place);
            const std::size_t bytes = size(i);
            place = allocate(bytes);
            // The byte of header takes its part.
            ASSERT_GE(place->stride(), bytes + 1);
        }
    }

    double hit_rate(unsigned magazine) const {
        return static_cast<double>(hot.counts[magazine].hits) /
               static_cast<double>(hot.counts[magazine].asked());
    }

    UltraHot hot{};

private:
    std::deque<Block> blocks_;
};

TEST(UltraHot, AllZeroIsAnEmptyOne) {
    UltraHot hot{};
    EXPECT_EQ(hot.validate(), nullptr);
    EXPECT_TRUE(held_by(hot).empty());
    for (std::size_t bytes = 0; bytes <= UltraHot::request_bytes_max; bytes++) {
        EXPECT_EQ(hot.pop(bytes), nullptr);
    }
}

TEST(UltraHot, EachMagazineRefusesTheFifthBlockAndLeavesTheOtherAlone) {
    UltraHot hot{};
    for (unsigned i = 0; i < 4; i++) EXPECT_TRUE(hot.push(2, block(20 + i)));
    EXPECT_FALSE(hot.push(2, block(99)));
    for (unsigned i = 0; i < 4; i++) EXPECT_TRUE(hot.push(3, block(30 + i)));
    EXPECT_FALSE(hot.push(3, block(99)));
    EXPECT_EQ(hot.counts[0].frees, 4u);
    EXPECT_EQ(hot.counts[1].frees, 4u);
    for (unsigned i = 4; i-- > 0;) EXPECT_EQ(hot.pop(16), block(20 + i));
    EXPECT_EQ(hot.pop(16), nullptr);
    for (unsigned i = 4; i-- > 0;) EXPECT_EQ(hot.pop(32), block(30 + i));
    EXPECT_EQ(hot.pop(32), nullptr);
    EXPECT_EQ(hot.validate(), nullptr);
}

TEST(UltraHot, TheBlocksFillExactlyOneCacheLineAndTheStateTheNext) {
    static_assert(sizeof(UltraHot::slots) == base::cache_line_bytes);
    const UltraHot hots[2]{};
    for (const UltraHot& hot : hots) {
        const std::uintptr_t line = line_of(&hot);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&hot) % base::cache_line_bytes, 0u);
        for (const auto& magazine : hot.slots) {
            for (const auto& slot : magazine) EXPECT_EQ(line_of(&slot), line);
        }
        for (unsigned m = 0; m < 2; m++) {
            EXPECT_EQ(line_of(&hot.tops[m]), line + 1);
            EXPECT_EQ(line_of(&hot.counts[m].hits), line + 1);
            EXPECT_EQ(line_of(&hot.counts[m].frees), line + 1);
        }
    }
}

// The record had tested classes 1 and 2: no block was ever taken.
TEST(UltraHot, ClassNumberingTheFrontTakesC2AndC3) {
    for (unsigned k = 0; k < base::recorded_class_count; k++) {
        EXPECT_EQ(UltraHot::takes(k), k == 2 || k == 3) << "C" << k;
    }
    // They are the classes that the two sizes of the front have.
    EXPECT_EQ(base::recorded_class_of(16), UltraHot::first_class);
    EXPECT_EQ(base::recorded_class_of(32), UltraHot::last_class);
    EXPECT_EQ(UltraHot::magazine_of_request(16), 0u);
    EXPECT_EQ(UltraHot::magazine_of_request(32), 1u);
}

TEST(UltraHot, ClassNumberingALoopOfItsSizesHitsNearlyAlways) {
    for (const std::size_t bytes : {16u, 32u}) {
        Heap heap;
        heap.run(100'000, 128, [=](unsigned) { return bytes; });
        EXPECT_GT(heap.hit_rate(UltraHot::magazine_of_request(bytes)), 0.99) << bytes;
    }
    Heap both;
    both.run(100'000, 128, [](unsigned i) { return i / 64 % 2 == 0 ? 16u : 32u; });
    EXPECT_GT(both.hot.counts[0].hits, 0u);
    EXPECT_GT(both.hot.counts[1].hits, 0u);
    EXPECT_EQ(both.hot.validate(), nullptr);
}

// The record's erratum: the row of 24 bytes is of the second magazine by size and C2 by block.
TEST(UltraHot, RequestsOf24BytesLookIntoC2AndTheirBlocksComeBackToC1) {
    constexpr unsigned iterations = 10'000;
    Heap heap;
    heap.run(iterations, 128, [](unsigned) { return 24u; });
    EXPECT_EQ(heap.hot.counts[0].asked(), 0u);
    EXPECT_EQ(heap.hot.counts[1].asked(), iterations);
    EXPECT_EQ(heap.hot.counts[1].hits, 0u);
    EXPECT_EQ(heap.hot.counts[1].frees, 0u);
    // The first magazine took what it has room for. Requests of 16 bytes may have it.
    EXPECT_EQ(heap.hot.counts[0].frees, UltraHot::capacity);
    EXPECT_EQ(heap.hot.tops[0], UltraHot::capacity);
    for (unsigned i = 0; i < UltraHot::capacity; i++) {
        EXPECT_EQ(heap.allocate(16)->tiny_class, 2u);
    }
    EXPECT_EQ(heap.hot.counts[0].hits, UltraHot::capacity);
}

TEST(UltraHot, RequestsOf24BytesAreServedByBlocksOf32) {
    Heap heap;
    Heap::Block* const larger = heap.allocate(32);
    heap.release(larger);
    EXPECT_EQ(heap.allocate(24), larger);
    EXPECT_EQ(larger->tiny_class, 3u);
    heap.release(larger);
    EXPECT_EQ(heap.allocate(32), larger);
}

RC_GTEST_PROP(UltraHot, EveryHitIsLargeEnoughAndNoBlockIsGivenTwice, ()) {
    Heap heap;
    std::vector<Heap::Block*> live;
    std::set<Heap::Block*> given;
    unsigned frees = 0;
    for (const auto step : *rc::gen::container<std::vector<unsigned>>(rc::gen::inRange(0u, 48u))) {
        if (step <= UltraHot::request_bytes_max) {
            Heap::Block* const block = heap.allocate(step);
            RC_ASSERT(block->stride() >= step + 1);
            RC_ASSERT(given.insert(block).second);
            live.push_back(block);
        } else if (!live.empty()) {
            Heap::Block* const block = live[step % live.size()];
            live[step % live.size()] = live.back();
            live.pop_back();
            given.erase(block);
            heap.release(block);
            frees++;
        }
        RC_ASSERT(heap.hot.validate() == nullptr);
        const auto& [c1, c2] = heap.hot.counts;
        RC_ASSERT(c1.frees + c2.frees <= frees);
        RC_ASSERT(held_by(heap.hot).size() == c1.frees + c2.frees - c1.hits - c2.hits);
    }
}

TEST(UltraHot, AnotherThreadMayReadAlong) {
    UltraHot hot{};
    std::uintptr_t next = 0;
    const auto work = [&] {
        for (unsigned i = 0; i < 10; i++, next++) hot.push(2 + next % 2, block(1 + next % 100));
        for (unsigned i = 0; i < next % 7; i++) hot.pop(i % 2 == 0 ? 16 : 32);
    };
    const auto read = [&] {
        const std::vector<void*> held = held_by(hot);
        EXPECT_LE(held.size(), 2 * UltraHot::capacity);
        for (void* const b : held) EXPECT_TRUE(b >= block(1) && b <= block(100));
        // What has been counted stays counted.
        const std::uint64_t hits = hot.counts[0].hits.load(std::memory_order_relaxed);
        EXPECT_GE(hot.counts[0].hits.load(std::memory_order_relaxed), hits);
        EXPECT_EQ(hot.validate(), nullptr);
    };
    tests::read_along(work, read);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(UltraHot, I1_AMagazineOfMoreThanFourIsNoticed) {
    for (unsigned m = 0; m < 2; m++) {
        UltraHot hot{};
        hot.tops[m] = UltraHot::capacity;
        EXPECT_EQ(hot.validate(), nullptr);
        hot.tops[m] = UltraHot::capacity + 1;
        EXPECT_STREQ(hot.validate(), "ultra_hot I1");
        hot.tops[m] = 0;
        EXPECT_EQ(hot.validate(), nullptr);
    }
}

}  // namespace
