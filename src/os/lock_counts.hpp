/**
 * @file lock_counts.hpp
 * @box lock_counts — how often threads wait for each other, and for which lock
 *
 * A lock that two threads often want is where an allocator stops scaling, and no profile of one
 * thread shows it. So a build may count what becomes of each call that takes a lock:
 *
 *     taken      calls that got the lock, or are waiting for it   ⊇
 *     contended  calls that found another thread to have it
 *     slept      times that one of these asked the kernel to wait: none, one, or several a call
 *
 * What the report calls `lock_waits` is the sum of `contended` over all ranks. It is counted in
 * every build, by os/futex_lock itself.
 *
 * Locks are told apart by their rank (base/lock_rank). All ranks but `heap` have one lock each; of
 * those of the heaps the sum is what matters, since each is alike.
 *
 * Only a build that is told to has any counts: debug builds, those with `HAKMEM_COUNT_LOCKS`, and
 * the library of the benches that has it. Counting is an atomic addition on a line that all threads
 * write, which is just what a lock of a heap avoids. os/futex_lock decides at compile time, and
 * where it does not count, its code is the same as without this box.
 *
 * @owns      the counts
 * @calls     base/lock_rank base/units
 * @threads   any, at any time, in handlers of fork and of signals as well: each count is an atomic
 *            of its own, and relaxed, because nothing is concluded from one about another or about
 *            the lock. A reader that comes between two of them sees one without the other
 * @invariant none
 * @failure   none
 * @cost      an atomic addition where locks are counted, nothing elsewhere
 * @phase     introduced in 18
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "base/lock_rank.hpp"
#include "base/units.hpp"

namespace hakmem::os {

/** What became of the calls that take the locks of a rank. A line each: they are written by all. */
struct alignas(base::cache_line_bytes) LockCounts {
    std::atomic<std::uint64_t> taken;      ///< Calls that got a lock, or wait for one.
    std::atomic<std::uint64_t> contended;  ///< Those of them that found it taken.
    std::atomic<std::uint64_t> slept;      ///< Times that any of these asked the kernel to wait.
};

/**
 * @param rank A rank.
 * @return The counts of its locks; zeros in a build that does not count.
 */
LockCounts& lock_counts(base::LockRank rank);

}  // namespace hakmem::os
