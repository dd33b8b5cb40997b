#include "front/small_mag.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/front/read_along.hpp"

namespace {

using namespace hakmem;

constexpr std::uint32_t capacity = 5;
using Mag = front::SmallMag<capacity>;

// Addresses that nobody may touch: the stack has no business with what lies there.
void* block(std::uintptr_t i) { return reinterpret_cast<void*>(16 * i); }

std::vector<void*> held_by(const Mag& mag) {
    std::vector<void*> held;
    mag.for_each([&](void* b) { held.push_back(b); });
    return held;
}

TEST(SmallMag, AllZeroIsAnEmptyOne) {
    Mag mag{};
    EXPECT_EQ(mag.validate(), nullptr);
    EXPECT_TRUE(held_by(mag).empty());
    for (int i = 0; i < 3; i++) EXPECT_EQ(mag.pop(), nullptr);
    EXPECT_TRUE(mag.push(block(1)));
    EXPECT_EQ(mag.pop(), block(1));
    EXPECT_EQ(mag.pop(), nullptr);
}

TEST(SmallMag, AFullOneRefusesAndIsAsItWas) {
    Mag mag{};
    for (unsigned i = 1; i <= capacity; i++) EXPECT_TRUE(mag.push(block(i)));
    const std::vector<void*> before = held_by(mag);
    for (int i = 0; i < 3; i++) EXPECT_FALSE(mag.push(block(99)));
    EXPECT_EQ(held_by(mag), before);
    EXPECT_EQ(mag.validate(), nullptr);
    for (unsigned i = capacity; i > 0; i--) EXPECT_EQ(mag.pop(), block(i));
    EXPECT_EQ(mag.pop(), nullptr);
}

TEST(SmallMag, TheCapacityCountsAndNotTheLengthOfTheArray) {
    std::atomic<void*> slots[4]{};
    front::Top top{0};
    EXPECT_TRUE(front::push_to(slots, top, 2, block(1)));
    EXPECT_TRUE(front::push_to(slots, top, 2, block(2)));
    EXPECT_FALSE(front::push_to(slots, top, 2, block(3)));
    EXPECT_EQ(slots[2].load(), nullptr) << "a refused block was written down";
    EXPECT_EQ(front::pop_from(slots, top), block(2));
}

RC_GTEST_PROP(SmallMag, ItIsABoundedStack, ()) {
    Mag mag{};
    std::vector<void*> model;
    std::uintptr_t next = 1;
    for (const bool pushes : *rc::gen::container<std::vector<bool>>(rc::gen::arbitrary<bool>())) {
        if (pushes) {
            const bool fits = model.size() < capacity;
            RC_ASSERT(mag.push(block(next)) == fits);
            if (fits) model.push_back(block(next));
            next++;
        } else {
            void* const expected = model.empty() ? nullptr : model.back();
            RC_ASSERT((mag.pop() == expected));
            if (!model.empty()) model.pop_back();
        }
        RC_ASSERT((held_by(mag) == model));
        RC_ASSERT(mag.validate() == nullptr);
    }
}

TEST(SmallMag, ASlotWhoseFirstBlockIsStillOnItsWayIsLeftOut) {
    Mag mag{};
    mag.push(block(1));
    // What another thread may see: relaxed stores reach it in any order.
    mag.top = 2;
    EXPECT_EQ(held_by(mag), std::vector<void*>{block(1)});
}

TEST(SmallMag, AnotherThreadMayReadAlong) {
    Mag mag{};
    std::uintptr_t next = 0;
    const auto work = [&] {
        for (unsigned i = 0; i < capacity; i++) mag.push(block(1 + next++ % 100));
        for (unsigned i = 0; i <= next % capacity; i++) mag.pop();
    };
    const auto read = [&] {
        unsigned seen = 0;
        mag.for_each([&](void* b) {
            EXPECT_GE(b, block(1));
            EXPECT_LE(b, block(100));
            seen++;
        });
        EXPECT_LE(seen, capacity);
        EXPECT_EQ(mag.validate(), nullptr);
    };
    tests::read_along(work, read);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(SmallMag, I1_ATopAboveTheCapacityIsNoticed) {
    Mag mag{};
    mag.top = capacity;
    EXPECT_EQ(mag.validate(), nullptr);
    mag.top = capacity + 1;
    EXPECT_STREQ(mag.validate(), "small_mag I1");
    mag.top = 0;
    EXPECT_EQ(mag.validate(), nullptr);
    mag.top = 0u - 1;
    EXPECT_STREQ(mag.validate(), "small_mag I1");
}

}  // namespace
