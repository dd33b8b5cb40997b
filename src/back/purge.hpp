/**
 * @file purge.hpp
 * @box purge — when free memory goes back to the system
 *
 * A page that is free now may be wanted again in a moment, and taking it back from the kernel costs
 * a fault and the zeroing of four kilobytes. A page that is free for good is memory taken from
 * others. Nobody can tell the two apart at the time of the free; time can. So free units wait, in
 * two generations:
 *
 *     freed ──▶ recent ──sweep──▶ old ──sweep──▶ purged
 *
 * Sweeps are half a decay time apart. A unit that nobody wanted for one whole interval is purged;
 * that happens between half a decay time and a whole one after it was freed.
 *
 * The sweep is done by whoever is on a slow path anyway, a slice of superslabs at a time, so that
 * no single malloc pays for a large heap. An idle process sweeps when it has the purge thread
 * (option purge_thread). malloc_trim does not wait for anything.
 *
 * @owns      the sweep's position
 * @calls     back/large back/shared_pool base/attributes base/lock_rank os/clock os/environment
 *            os/futex_lock
 * @threads   any; a thread that finds another one sweeping leaves it to that one
 * @invariant none
 * @failure   what the kernel refuses to take is dirty and offered again
 * @cost      a clock reading and a compare when nothing is due
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/futex_lock.hpp"

namespace hakmem::back::purge {

/**
 * Does a slice of the sweep if one is due.
 * @param now The time.
 * @return Whether this slice began a sweep: once an interval, for what else should happen as often.
 */
bool tick(std::uint64_t now);

/** Does a whole sweep, if one is due, for the purge thread. */
void sweep();

/**
 * Purges everything that is free, at once.
 * @return Bytes given back to the system.
 */
std::size_t all();

/** @return This box's lock, for fork. */
os::FutexLock& fork_lock();

}  // namespace hakmem::back::purge
