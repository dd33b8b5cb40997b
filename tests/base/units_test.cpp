#include "base/units.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <type_traits>

namespace {

using namespace hakmem::base;

TEST(Units, EachCutIsAPowerOfTwoOfTheOneBelow) {
    EXPECT_EQ(page_bytes, 4096u);
    EXPECT_EQ(unit_bytes, 16 * page_bytes);
    EXPECT_EQ(superslab_bytes, 64 * unit_bytes);
    EXPECT_EQ(superslab_bytes, 4 * mebibyte);
    EXPECT_EQ(leaf_bytes, 1024 * superslab_bytes);
    EXPECT_EQ(leaf_bytes, 4 * gibibyte);
}

TEST(Units, ThePageIsTheKernels) {
    EXPECT_EQ(page_bytes, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
}

TEST(Units, CountsDoNotMixWithBytes) {
    EXPECT_FALSE((std::is_convertible_v<unsigned, Units>));
    EXPECT_FALSE((std::is_convertible_v<std::size_t, Units>));
    EXPECT_FALSE((std::is_convertible_v<Units, std::size_t>));
}

TEST(Units, CountsCompareAsNumbers) {
    EXPECT_LT(Units{1}, Units{2});
    EXPECT_EQ(Units{3}, Units{3});
    EXPECT_GE(Units{64}, Units{63});
}

TEST(Units, CoveringIsTheFewestUnitsAtEveryBorder) {
    for (unsigned units = 0; units <= 2 * superslab_units; units++) {
        const std::size_t exact = std::size_t{units} * unit_bytes;
        EXPECT_EQ(Units::covering(exact).value, units);
        EXPECT_EQ(Units::covering(exact + 1).value, units + 1);
        EXPECT_EQ(Units::covering(exact + unit_bytes - 1).value, units + 1);
        EXPECT_EQ(Units{units}.bytes(), exact);
    }
}

RC_GTEST_PROP(Units, CoveringHoldsTheBytesAndOneUnitLessDoesNot, ()) {
    const auto bytes = *rc::gen::inRange<std::size_t>(1, 64 * gibibyte);
    const Units units = Units::covering(bytes);
    RC_ASSERT(units.bytes() >= bytes);
    RC_ASSERT(Units{units.value - 1}.bytes() < bytes);
}

RC_GTEST_PROP(Units, RoundUpIsTheNextMultiple, ()) {
    const auto alignment = std::size_t{1} << *rc::gen::inRange(0u, 31u);
    const auto value = *rc::gen::inRange<std::size_t>(0, request_bytes_max - gibibyte);
    const std::size_t rounded = round_up(value, alignment);
    RC_ASSERT(rounded % alignment == 0u);
    RC_ASSERT(rounded >= value);
    RC_ASSERT(rounded - value < alignment);
}

}  // namespace
