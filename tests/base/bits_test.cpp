#include "base/bits.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

namespace {

using namespace hakmem::base;

// ---- the same, one bit at a time ----------------------------------------------------------------

bool is_set(std::uint64_t word, unsigned i) { return i < 64 && (word >> i & 1) != 0; }

bool has_run(std::uint64_t word, unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (!is_set(word, first + i)) return false;
    }
    return true;
}

std::uint64_t naive_run_starts(std::uint64_t word, unsigned count) {
    std::uint64_t starts = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (has_run(word, i, count)) starts |= std::uint64_t{1} << i;
    }
    return starts;
}

// Takes the run off bit by bit; returns its length.
unsigned naive_take_run(std::uint64_t& word, unsigned& first) {
    first = 0;
    while (!is_set(word, first)) first++;
    unsigned length = 0;
    while (is_set(word, first + length)) {
        word ^= std::uint64_t{1} << (first + length);
        length++;
    }
    return length;
}

void expect_same(std::uint64_t word) {
    for (unsigned count = 1; count <= 64; count++) {
        ASSERT_EQ(run_starts(word, count), naive_run_starts(word, count))
            << std::hex << word << " runs of " << std::dec << count;
    }
    std::uint64_t rest = word;
    std::uint64_t naive_rest = word;
    while (rest != 0) {
        unsigned first = 0;
        unsigned naive_first = 0;
        const unsigned length = take_run(rest, first);
        ASSERT_EQ(length, naive_take_run(naive_rest, naive_first)) << std::hex << word;
        ASSERT_EQ(first, naive_first) << std::hex << word;
        ASSERT_EQ(rest, naive_rest) << std::hex << word;
    }
}

// ---- tests --------------------------------------------------------------------------------------

TEST(Bits, BitRunSetsExactlyItsBits) {
    for (unsigned first = 0; first < 64; first++) {
        for (unsigned count = 0; first + count <= 64; count++) {
            const std::uint64_t run = bit_run(first, count);
            for (unsigned i = 0; i < 64; i++) {
                ASSERT_EQ(is_set(run, i), i >= first && i < first + count)
                    << first << " " << count << " " << i;
            }
        }
    }
}

TEST(Bits, AlignedBitsAreTheMultiples) {
    for (unsigned alignment = 1; alignment <= 64; alignment *= 2) {
        for (unsigned i = 0; i < 64; i++) {
            ASSERT_EQ(is_set(aligned_bits(alignment), i), i % alignment == 0) << alignment;
        }
    }
}

TEST(Bits, LowestBitAndCountAgreeWithASearch) {
    EXPECT_EQ(lowest_bit(0), no_bit);
    EXPECT_EQ(bit_count(0), 0u);
    EXPECT_EQ(bit_count(~std::uint64_t{0}), 64u);
    for (unsigned i = 0; i < 64; i++) {
        EXPECT_EQ(lowest_bit(~std::uint64_t{0} << i), i);
        EXPECT_EQ(bit_count(~std::uint64_t{0} << i), 64 - i);
        EXPECT_EQ(bit_count(std::uint64_t{1} << i), 1u);
    }
}

TEST(Bits, RunsOfEveryWordOfTwelveBitsAtBothEnds) {
    for (std::uint64_t pattern = 0; pattern < 1 << 12; pattern++) {
        expect_same(pattern);
        expect_same(pattern << 52);
    }
}

TEST(Bits, RunsOfWordsWithOneLongRun) {
    for (unsigned first = 0; first < 64; first++) {
        for (unsigned count = 1; first + count <= 64; count++) expect_same(bit_run(first, count));
    }
}

TEST(Bits, RunsOfRandomWordsOfEveryDensity) {
    std::mt19937_64 random(16);
    for (int i = 0; i < 2000; i++) {
        const std::uint64_t a = random();
        const std::uint64_t b = random();
        const std::uint64_t c = random();
        for (const std::uint64_t word : {a, a & b, a | b, a & b & c, a | b | c}) expect_same(word);
    }
}

TEST(Bits, WhatIsSaidOfRunsIsAConstantExpression) {
    static_assert(run_starts(0b01110110, 3) == 0b00010000);
    static_assert(run_starts(0b01110110, 2) == 0b00110010);
    static_assert(bit_run(0, 64) == ~std::uint64_t{0});
    static_assert(aligned_bits(64) == 1);
}

RC_GTEST_PROP(Bits, TestAndSetSaysWhatWasAndSetsThatBitAlone, (std::uint64_t word)) {
    for (unsigned bit = 0; bit < 64; bit++) {
        std::uint64_t after = word;
        RC_ASSERT(test_and_set(after, bit) == is_set(word, bit));
        RC_ASSERT(after == (word | bit_run(bit, 1)));
        std::uint64_t again = word;
        RC_ASSERT(test_and_set(again, bit + 64u * 63) == is_set(word, bit));  // modulo 64
        RC_ASSERT(again == after);
    }
}

RC_GTEST_PROP(Bits, TakenRunsAreDisjointAndTheirUnionIsTheWord, (std::uint64_t word)) {
    std::uint64_t rest = word;
    std::uint64_t seen = 0;
    while (rest != 0) {
        unsigned first = 0;
        const unsigned length = take_run(rest, first);
        RC_ASSERT((seen & bit_run(first, length)) == 0u);
        // Maximal: the neighbours are zeros.
        RC_ASSERT(!is_set(word, first + length));
        RC_ASSERT(first == 0 || !is_set(word, first - 1));
        seen |= bit_run(first, length);
    }
    RC_ASSERT(seen == word);
}

}  // namespace
