#include "back/huge_pages.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/os/changed_option.hpp"

namespace {

using namespace hakmem;
using back::huge_pages::page_bytes;
using back::huge_pages::unbounded;
using back::huge_pages::wanted;
using os::Options;

TEST(HugePages, AreWantedByDefaultFromOneByteAboveTheBound) {
    const std::size_t bound = 16 * base::mebibyte;
    EXPECT_FALSE(wanted(0, page_bytes));
    EXPECT_FALSE(wanted(bound, page_bytes));
    EXPECT_TRUE(wanted(bound + 1, page_bytes));
    EXPECT_TRUE(wanted(SIZE_MAX, page_bytes));
}

TEST(HugePages, AreWantedFromTheBoundOfTheOption) {
    const tests::ChangedOption option(&Options::huge_pages_from, 5000);
    EXPECT_FALSE(wanted(5000, page_bytes));
    EXPECT_TRUE(wanted(5001, page_bytes));
}

TEST(HugePages, AreWantedSoonerWhereLessOfThemIsWasted) {
    EXPECT_FALSE(wanted(8 * base::mebibyte, page_bytes / 2));
    EXPECT_TRUE(wanted(8 * base::mebibyte + 1, page_bytes / 2));
    EXPECT_FALSE(wanted(base::mebibyte, page_bytes / 16));
    EXPECT_TRUE(wanted(base::mebibyte + 1, page_bytes / 16));
    EXPECT_TRUE(wanted(1, 0));
}

TEST(HugePages, AreWantedInNoHeapWherePageAfterPageMayBeWasted) {
    EXPECT_FALSE(wanted(SIZE_MAX, unbounded));
    const tests::ChangedOption option(&Options::huge_pages_from, 0);
    EXPECT_FALSE(wanted(SIZE_MAX, unbounded));
}

TEST(HugePages, AreWeighedWithoutOverflowUpToTheLargestBound) {
    const tests::ChangedOption option(&Options::huge_pages_from, 1024 * base::gibibyte);
    EXPECT_FALSE(wanted(1024 * base::gibibyte, page_bytes));
    EXPECT_TRUE(wanted(1024 * base::gibibyte + 1, page_bytes));
}

TEST(HugePages, AreNotWantedWhereAPurgeThreadRuns) {
    const tests::ChangedOption option(&Options::purge_thread, 1);
    EXPECT_FALSE(wanted(SIZE_MAX, page_bytes));
    EXPECT_FALSE(wanted(SIZE_MAX, 0));
}

TEST(HugePages, AreNeverWantedWhereTheOptionSaysSo) {
    const tests::ChangedOption option(&Options::huge_pages, 0);
    EXPECT_FALSE(wanted(SIZE_MAX, page_bytes));
    EXPECT_FALSE(wanted(SIZE_MAX, 0));
}

TEST(HugePages, AreAlwaysWantedWhereTheOptionSaysSo) {
    const tests::ChangedOption option(&Options::huge_pages, 2);
    EXPECT_TRUE(wanted(0, page_bytes));
    EXPECT_TRUE(wanted(SIZE_MAX, page_bytes));
    EXPECT_TRUE(wanted(0, unbounded));
}

}  // namespace
