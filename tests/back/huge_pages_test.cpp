#include "back/huge_pages.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/os/changed_option.hpp"

namespace {

using namespace hakmem;
using back::huge_pages::grown_bytes;
using back::huge_pages::wanted;
using os::Options;

TEST(HugePages, AreWantedByDefaultFromOneByteAboveTheBound) {
    EXPECT_FALSE(wanted(0));
    EXPECT_FALSE(wanted(grown_bytes));
    EXPECT_TRUE(wanted(grown_bytes + 1));
    EXPECT_TRUE(wanted(SIZE_MAX));
}

TEST(HugePages, AreNeverWantedWhereTheOptionSaysSo) {
    const tests::ChangedOption option(&Options::huge_pages, 0);
    EXPECT_FALSE(wanted(0));
    EXPECT_FALSE(wanted(SIZE_MAX));
}

TEST(HugePages, AreAlwaysWantedWhereTheOptionSaysSo) {
    const tests::ChangedOption option(&Options::huge_pages, 2);
    EXPECT_TRUE(wanted(0));
    EXPECT_TRUE(wanted(SIZE_MAX));
}

}  // namespace
