/**
 * @file futex_lock.hpp
 * @box futex_lock — a mutex of four bytes that needs nothing
 *
 * A pthread mutex would do, but for three wishes: static initialisation before any constructor, a
 * known state in a fork child, and a rank. The word is 0 when free, 1 when held, 2 when held and
 * somebody may sleep. Only state 2 costs a system call; a lock that nobody contends costs one
 * atomic exchange to take and one to give back.
 *
 * **Ranks.** Each lock has a rank (base/lock_rank.hpp), and a debug build aborts when a thread
 * takes one out of order.
 *
 * **fork.** fork copies the locks as they are, held ones too, and the threads that hold them are
 * not in the child. So the thread that forks first takes every lock. Handlers of other libraries
 * may run after ours and may allocate; while a thread holds all locks for fork, its own `lock` and
 * `unlock` therefore do nothing: it is alone in the heap anyway.
 *
 * **Signals.** A handler that wants a lock which its own thread holds would wait for ever. Handlers
 * ask `locks_held()` first, and leave their wish with `when_unlocked` if there are any. A fork out
 * of such a handler takes no locks: what the thread was at goes on afterwards, in the parent and in
 * the child. Steps that belong together and that no lock covers as a whole count as a lock held
 * (`begin_steps`).
 *
 * @owns      each lock's word; per thread, how many locks it holds, in debug builds of which ranks,
 *            whether it passes them, and how many forks without locks it is in
 * @calls     base/attributes base/lock_rank os/lock_counts os/raw_log
 * @threads   any; acquire on lock, release on unlock
 * @invariant none
 * @failure   taking a lock out of rank order aborts a debug build
 * @cost      an uncontended pair is two atomic exchanges; bench: futex_lock
 * @phase     introduced in 16
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/lock_rank.hpp"

namespace hakmem::os {

/** A mutex. Zero-initialised storage with a rank is an unlocked one. */
class HAK_CAPABILITY("mutex") FutexLock {
public:
    /** @param rank Its place in the order. */
    constexpr explicit FutexLock(base::LockRank rank) : rank_(rank) {}
    FutexLock(const FutexLock&) = delete;
    FutexLock& operator=(const FutexLock&) = delete;

    /** Waits until the lock is this thread's. */
    void lock() HAK_ACQUIRE();
    /** Gives the lock back. */
    void unlock() HAK_RELEASE();
    /** @return Whether the lock could be had without waiting, in which case it is this thread's. */
    bool try_lock() HAK_TRY_ACQUIRE(true);

    /** Takes the lock for fork: unlike lock(), also beside others of the same rank. */
    void lock_for_fork() HAK_ACQUIRE();
    /** Gives the lock back after fork, in the parent. */
    void unlock_after_fork() HAK_RELEASE();
    /** Makes the lock free in the child, where nobody can wait for it. */
    void reset_in_child() HAK_NO_THREAD_ANALYSIS { word_.store(0, std::memory_order_relaxed); }

private:
    HAK_SLOW void wait();
    std::atomic<std::uint32_t> word_{0};
    base::LockRank rank_;
};

/** Holds a lock for as long as it lives. */
class HAK_SCOPED_CAPABILITY LockGuard {
public:
    /** @param lock The lock. */
    explicit LockGuard(FutexLock& lock) HAK_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
    ~LockGuard() HAK_RELEASE() { lock_.unlock(); }
    LockGuard(const LockGuard&) = delete;
    LockGuard& operator=(const LockGuard&) = delete;

private:
    FutexLock& lock_;
};

/**
 * @return How many locks the calling thread holds or waits for, and in how many groups of steps it
 *         is; not 0 while it passes all locks. May be called from a signal handler.
 */
unsigned locks_held();

/** Begins steps of the calling thread between which a signal handler must not fork or report. */
void begin_steps();

/** Ends them. What waited for them, or for a lock, is done now if nothing is held any more. */
void end_steps();

/**
 * Lets the calling thread pass all locks as if it had them, from now on: the process is about to
 * end, and only a handler of the program's still runs.
 */
void bypass_locks();

/**
 * Begins a fork by the calling thread. If locks_held() is 0, it takes all of them next, and passes
 * them until end_fork(). Otherwise fork was called by a signal handler that has interrupted it, or
 * after bypass_locks(): it takes none, since it would wait for itself.
 */
void begin_fork();

/** @return Whether the fork that the calling thread is in takes all locks. */
bool fork_takes_locks();

/** Ends a fork, in the parent and in the child. */
void end_fork();

/**
 * Asks for a call as soon as a thread has given its last lock back.
 * @param action Called once, however often it was asked for. Two different ones may wait at a time.
 *               May be asked for from a signal handler.
 */
void when_unlocked(void (*action)());

/** @return How often a thread had to wait for a lock since the start. */
std::uint64_t lock_waits();

}  // namespace hakmem::os
