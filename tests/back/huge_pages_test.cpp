#include "back/huge_pages.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/os/changed_option.hpp"

namespace {

using namespace hakmem;
using back::huge_pages::wanted;
using os::Options;

TEST(HugePages, AreWantedByDefaultFromOneByteAboveTheBound) {
    const std::size_t bound = 8 * base::mebibyte;
    EXPECT_FALSE(wanted(0));
    EXPECT_FALSE(wanted(bound));
    EXPECT_TRUE(wanted(bound + 1));
    EXPECT_TRUE(wanted(SIZE_MAX));
}

TEST(HugePages, AreWantedFromTheBoundOfTheOption) {
    const tests::ChangedOption option(&Options::huge_pages_from, 5000);
    EXPECT_FALSE(wanted(5000));
    EXPECT_TRUE(wanted(5001));
}

TEST(HugePages, AreWantedForABlockThatFillsOneHoweverSmallTheHeap) {
    EXPECT_FALSE(wanted(0, 2 * base::mebibyte - 1));
    EXPECT_TRUE(wanted(0, 2 * base::mebibyte));
}

TEST(HugePages, AreNotWantedWhereAPurgeThreadRuns) {
    const tests::ChangedOption option(&Options::purge_thread, 1);
    EXPECT_FALSE(wanted(SIZE_MAX, SIZE_MAX));
}

TEST(HugePages, AreNeverWantedWhereTheOptionSaysSo) {
    const tests::ChangedOption option(&Options::huge_pages, 0);
    EXPECT_FALSE(wanted(0));
    EXPECT_FALSE(wanted(SIZE_MAX, SIZE_MAX));
}

TEST(HugePages, AreAlwaysWantedWhereTheOptionSaysSo) {
    const tests::ChangedOption option(&Options::huge_pages, 2);
    EXPECT_TRUE(wanted(0));
    EXPECT_TRUE(wanted(SIZE_MAX));
}

}  // namespace
