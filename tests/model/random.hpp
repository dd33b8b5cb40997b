/**
 * @file
 * Random numbers whose sequence depends on the seed alone.
 *
 * The distributions of the standard library differ between implementations; a seed that is printed
 * by one build must replay in every other.
 */
#pragma once

#include <cstdint>

namespace hakmem::model {

/** Scrambles the bits of a number (the finaliser of SplitMix64, Steele, Lea and Flood 2014). */
constexpr std::uint64_t scramble(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15U;
        return scramble(state_);
    }

    /** Uniform in 0 … bound - 1; the bias is far below what a test could notice. */
    std::uint64_t below(std::uint64_t bound) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
    }

    /** Uniform in low … high, both included. */
    std::uint64_t between(std::uint64_t low, std::uint64_t high) {
        return low + below(high - low + 1);
    }

    /** True once in `times` calls on average; never when `times` is 0. */
    bool once_in(std::uint64_t times) { return times != 0 && below(times) == 0; }

private:
    std::uint64_t state_;
};

}  // namespace hakmem::model
