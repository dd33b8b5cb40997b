/**
 * @file clock.hpp
 * @box clock — milliseconds that only go forward, as far as the kernel keeps its word
 *
 * Free memory ages, and age needs a clock. The coarse monotonic clock is read through the vDSO
 * without a system call and advances every few milliseconds, which is fine for decay times of
 * hundreds. A clock that jumps may make memory come back early or late; it must never make anything
 * spin or stop, so callers ask whether an interval has passed, and a step backwards counts as one
 * that has.
 *
 * @owns      the outward call
 * @calls     —
 * @threads   any
 * @invariant none
 * @failure   none
 * @cost      a vDSO call
 * @phase     introduced in 16
 */
#pragma once

#include <cstdint>

namespace hakmem::os {

/** @return Milliseconds since some fixed moment. */
std::uint64_t milliseconds();

/**
 * Replaces the clock: the seam for tests whose clock jumps.
 * @param clock The clock; null restores the kernel's.
 */
void set_clock(std::uint64_t (*clock)());

/**
 * Sleeps. Only the optional purge thread does, and a report or a check that waits for another
 * thread.
 * @param milliseconds How long.
 */
void sleep_milliseconds(std::uint64_t milliseconds);

// [has_passed]
/**
 * @param now A reading of the clock.
 * @param then An earlier one.
 * @param interval Milliseconds.
 * @return Whether so much time has passed. A clock that went backwards tells nothing; the answer is
 *         yes then, so that nothing waits for a time that may never come.
 */
constexpr bool has_passed(std::uint64_t now, std::uint64_t then, std::uint64_t interval) {
    return now < then || now - then >= interval;
}
// [/has_passed]

}  // namespace hakmem::os
