/**
 * @file bits.hpp
 * @box bits — runs of ones and zeros in a 64-bit word
 *
 * Occupancy is a word: bit i says whether unit i of a superslab is taken. "Find three free units
 * in a row" is then arithmetic. Call the free units `f`. A bit of `f & (f >> 1)` is set where a run
 * of two begins, and each further step `r &= r >> k` lengthens the run that a set bit promises. A
 * run of n is found in about log2(n) steps without looking at a single unit:
 *
 *     f               0111 0110
 *     f & f >> 1      0011 0010     a run of two begins here
 *     … & … >> 1      0001 0000     a run of three begins here
 *
 * @owns      nothing
 * @calls     —
 * @threads   not applicable: pure functions
 * @invariant none
 * @failure   none: a run that does not exist is reported as no_bit
 * @cost      a few shifts each
 * @phase     introduced in 16
 */
#pragma once

#include <bit>
#include <cstdint>

namespace hakmem::base {

constexpr unsigned word_bits = 64;  ///< Bits of an occupancy or bitmap word.
constexpr unsigned no_bit = 64;     ///< The answer "there is none".

/**
 * @param first Index of the lowest bit, below 64.
 * @param count Number of bits; `first + count` is at most 64.
 * @return A word with exactly these bits set.
 */
constexpr std::uint64_t bit_run(unsigned first, unsigned count) {
    if (count == 0) return 0;
    return (~std::uint64_t{0} >> (word_bits - count)) << first;
}

// [run_starts]
/**
 * @param word A word.
 * @param count Length of the run, 1 to 64.
 * @return A word whose bit i is set when bits i to `i + count - 1` of `word` are all set.
 */
constexpr std::uint64_t run_starts(std::uint64_t word, unsigned count) {
    unsigned promised = 1;
    while (promised < count) {
        const unsigned step = promised < count - promised ? promised : count - promised;
        word &= word >> step;
        promised += step;
    }
    return word;
}
// [/run_starts]

/**
 * @param alignment A power of two, 1 to 64.
 * @return A word whose bits are set at the multiples of `alignment`.
 */
constexpr std::uint64_t aligned_bits(unsigned alignment) {
    return alignment >= word_bits ? 1 : ~std::uint64_t{0} / ((std::uint64_t{1} << alignment) - 1);
}

/**
 * @param word A word.
 * @return The index of its lowest set bit, or no_bit when it is zero.
 */
constexpr unsigned lowest_bit(std::uint64_t word) {
    return static_cast<unsigned>(std::countr_zero(word));
}

/**
 * @param word A word.
 * @return How many of its bits are set.
 */
constexpr unsigned bit_count(std::uint64_t word) {
    return static_cast<unsigned>(std::popcount(word));
}

/**
 * One instruction, where compilers shift a mask, test with it and or it in.
 * @param word A word; the bit is set in it.
 * @param bit The bit's index; of a larger number only the lowest six bits count.
 * @return Whether it was set already.
 */
inline bool test_and_set(std::uint64_t& word, std::uint64_t bit) {
    bool was_set;
    asm("btsq %2, %0" : "+r"(word), "=@ccc"(was_set) : "r"(bit));
    return was_set;
}

// [take_run]
/**
 * Takes the first run of ones off a word.
 * @param word The word; the run is cleared in it. It must not be zero.
 * @param first Receives the index of the run's lowest bit.
 * @return The length of the run.
 */
constexpr unsigned take_run(std::uint64_t& word, unsigned& first) {
    first = lowest_bit(word);
    const auto length = static_cast<unsigned>(std::countr_one(word >> first));
    word &= ~bit_run(first, length);
    return length;
}
// [/take_run]

}  // namespace hakmem::base
