#include "front/magazine.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <vector>

namespace {

using namespace hakmem;
using front::Magazine;
using front::Slot;

constexpr unsigned capacity = 7;

// A magazine on slots of the test's own, with a slot behind its limit that nobody may write to.
class Fixture {
public:
    explicit Fixture(unsigned slots = capacity) : magazine{{base()}, base() + slots} {
        slots_.back() = guard();
    }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    Slot* base() { return slots_.data(); }
    // Addresses that nobody may touch: the magazine has no business with what lies there.
    static void* block(unsigned i) { return reinterpret_cast<void*>(std::uintptr_t{16} * i); }
    void* guard() { return this; }
    bool guard_stands() { return slots_.back() == guard(); }
    const char* validate() { return magazine.validate(base()); }
    unsigned count() { return magazine.count(base()); }

private:
    std::array<Slot, capacity + 2> slots_{};

public:
    Magazine magazine;
};

TEST(Magazine, WhatIsPushedLastIsPoppedFirst) {
    Fixture f;
    for (unsigned i = 1; i <= 5; i++) EXPECT_TRUE(f.magazine.push(f.block(i)));
    EXPECT_EQ(f.magazine.pop(), f.block(5));
    EXPECT_TRUE(f.magazine.push(f.block(9)));
    for (const unsigned i : {9u, 4u, 3u, 2u, 1u}) EXPECT_EQ(f.magazine.pop(), f.block(i));
    EXPECT_EQ(f.magazine.pop(), nullptr);
    EXPECT_EQ(f.validate(), nullptr);
}

TEST(Magazine, AnEmptyOneYieldsNullAsOftenAsAskedAndStaysUsable) {
    Fixture f;
    for (int i = 0; i < 3; i++) EXPECT_EQ(f.magazine.pop(), nullptr);
    EXPECT_EQ(f.magazine.top, f.base());
    EXPECT_TRUE(f.magazine.push(f.block(1)));
    EXPECT_EQ(f.magazine.pop(), f.block(1));
    EXPECT_EQ(f.magazine.pop(), nullptr);
    EXPECT_EQ(f.validate(), nullptr);
}

TEST(Magazine, AFullOneRefusesAndIsAsItWas) {
    Fixture f;
    for (unsigned i = 1; i <= capacity; i++) EXPECT_TRUE(f.magazine.push(f.block(i)));
    EXPECT_EQ(f.magazine.top, f.magazine.limit);
    for (int i = 0; i < 3; i++) EXPECT_FALSE(f.magazine.push(f.block(99)));
    EXPECT_EQ(f.count(), capacity);
    EXPECT_TRUE(f.guard_stands());
    EXPECT_EQ(f.validate(), nullptr);
    for (unsigned i = capacity; i > 0; i--) EXPECT_EQ(f.magazine.pop(), f.block(i));
    EXPECT_EQ(f.magazine.pop(), nullptr);
}

TEST(Magazine, CapacityZeroRefusesEveryPushAndPopsNull) {
    Fixture f(0);
    EXPECT_FALSE(f.magazine.push(f.block(1)));
    EXPECT_EQ(f.magazine.pop(), nullptr);
    EXPECT_FALSE(f.magazine.push(f.block(1)));
    EXPECT_EQ(f.count(), 0u);
    EXPECT_EQ(f.base()[0], nullptr);
    EXPECT_EQ(f.base()[1], nullptr) << "a refused block was written down";
    EXPECT_EQ(f.validate(), nullptr);
}

TEST(Magazine, TheCountIsWhatWasPushedLessWhatWasPopped) {
    Fixture f;
    for (unsigned i = 0; i < capacity; i++) {
        EXPECT_EQ(f.count(), i);
        f.magazine.push(f.block(i + 1));
    }
    for (unsigned i = capacity; i > 0; i--) {
        EXPECT_EQ(f.count(), i);
        f.magazine.pop();
    }
    EXPECT_EQ(f.count(), 0u);
}

TEST(Magazine, ALimitThatMovesUpMakesRoom) {
    Fixture f(2);
    EXPECT_TRUE(f.magazine.push(f.block(1)));
    EXPECT_TRUE(f.magazine.push(f.block(2)));
    EXPECT_FALSE(f.magazine.push(f.block(3)));
    f.magazine.limit++;
    EXPECT_TRUE(f.magazine.push(f.block(3)));
    EXPECT_FALSE(f.magazine.push(f.block(4)));
    EXPECT_EQ(f.count(), 3u);
    EXPECT_EQ(f.validate(), nullptr);
}

RC_GTEST_PROP(Magazine, ItIsABoundedStack, ()) {
    const auto bound = *rc::gen::inRange(0u, capacity + 1);
    Fixture f(bound);
    std::vector<void*> model;
    unsigned next = 1;
    for (const bool pushes : *rc::gen::container<std::vector<bool>>(rc::gen::arbitrary<bool>())) {
        if (pushes) {
            const bool fits = model.size() < bound;
            RC_ASSERT(f.magazine.push(f.block(next)) == fits);
            if (fits) model.push_back(f.block(next));
            next++;
        } else {
            void* const expected = model.empty() ? nullptr : model.back();
            RC_ASSERT((f.magazine.pop() == expected));
            if (!model.empty()) model.pop_back();
        }
        RC_ASSERT(f.count() == model.size());
        RC_ASSERT(f.guard_stands());
        RC_ASSERT(f.validate() == nullptr);
    }
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(Magazine, I1_ATopOutsideBaseAndLimitIsNoticed) {
    Fixture f(3);
    f.magazine.push(f.block(1));
    Slot* const top = f.magazine.top;
    // The fixture's base, seen as if the magazine began a slot later than its top.
    EXPECT_STREQ(f.magazine.validate(top + 1), "magazine I1");
    f.magazine.top = f.magazine.limit + 1;
    EXPECT_STREQ(f.validate(), "magazine I1");
    f.magazine.top = f.magazine.limit;
    EXPECT_STRNE(f.validate(), "magazine I1");
    f.magazine.top = top;
    EXPECT_EQ(f.validate(), nullptr);
    f.magazine.limit = f.base();
    EXPECT_STREQ(f.validate(), "magazine I1");
}

TEST(Magazine, I2_ABlockInSlotZeroIsNoticed) {
    Fixture f;
    f.base()[0] = f.block(1);
    EXPECT_STREQ(f.validate(), "magazine I2");
    f.base()[0] = nullptr;
    EXPECT_EQ(f.validate(), nullptr);
}

TEST(Magazine, I2_NullAmongTheBlocksIsNoticedInEverySlot) {
    Fixture f;
    for (unsigned i = 1; i <= capacity; i++) f.magazine.push(f.block(i));
    for (unsigned i = 1; i <= capacity; i++) {
        f.base()[i] = nullptr;
        EXPECT_STREQ(f.validate(), "magazine I2") << "slot " << i;
        f.base()[i] = f.block(i);
    }
    EXPECT_EQ(f.validate(), nullptr);
    // Above the top anything may stand.
    f.magazine.pop();
    f.base()[capacity] = nullptr;
    EXPECT_EQ(f.validate(), nullptr);
}

}  // namespace
