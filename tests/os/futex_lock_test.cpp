#include "os/futex_lock.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <thread>
#include <vector>

#include "tests/os/child.hpp"
#include "tests/os/locks_taken_freely.hpp"

namespace {

using namespace hakmem;
using base::LockRank;
using os::FutexLock;
using os::LockGuard;
using tests::in_child;

void sleep_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

TEST(FutexLock, ItIsFourBytesAndARank) {
    EXPECT_LE(sizeof(FutexLock), 8u);
    EXPECT_EQ(alignof(FutexLock), 4u);
}

// ---- mutual exclusion ---------------------------------------------------------------------------

TEST(FutexLock, OnlyOneThreadIsInside) {
    constexpr unsigned threads = 4;
    constexpr unsigned rounds = 20000;
    FutexLock lock(LockRank::leaf);
    unsigned sum = 0;  // not atomic: without the lock, increments get lost, and TSan says so
    std::atomic<int> inside{0};
    std::atomic<bool> met{false};
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([&] {
            for (unsigned i = 0; i < rounds; i++) {
                LockGuard guard(lock);
                if (inside.fetch_add(1) != 0) met = true;
                sum++;
                inside.fetch_sub(1);
            }
        });
    }
    for (std::thread& thread : all) thread.join();
    EXPECT_FALSE(met);
    EXPECT_EQ(sum, threads * rounds);
}

TEST(FutexLock, AThreadThatSleepsIsWokenByUnlock) {
    FutexLock lock(LockRank::leaf);
    const std::uint64_t waits = os::lock_waits();
    for (int round = 0; round < 10; round++) {
        std::atomic<bool> entered{false};
        lock.lock();
        std::thread waiter([&] {
            LockGuard guard(lock);
            entered = true;
        });
        sleep_a_little();  // longer than the spinning before the sleep
        EXPECT_FALSE(entered);
        lock.unlock();
        waiter.join();
        EXPECT_TRUE(entered);
    }
    EXPECT_EQ(os::lock_waits(), waits + 10);
}

TEST(FutexLock, AllOfSeveralSleepersAreWokenInTurn) {
    FutexLock lock(LockRank::leaf);
    std::atomic<unsigned> entered{0};
    std::vector<std::thread> sleepers;
    lock.lock();
    for (int i = 0; i < 5; i++) {
        sleepers.emplace_back([&] {
            LockGuard guard(lock);
            entered++;
        });
    }
    sleep_a_little();
    EXPECT_EQ(entered, 0u);
    lock.unlock();
    for (std::thread& sleeper : sleepers) sleeper.join();
    EXPECT_EQ(entered, 5u);
}

TEST(FutexLock, WhoWaitsSleeps) {
    const auto own_time = [] {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    FutexLock lock(LockRank::leaf);
    lock.lock();
    std::chrono::nanoseconds used[2] = {};
    std::thread waiters[2];
    for (int i = 0; i < 2; i++) {
        waiters[i] = std::thread([&, i] {
            LockGuard guard(lock);
            used[i] = own_time();
        });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    lock.unlock();
    for (std::thread& waiter : waiters) waiter.join();
    for (const auto time : used) EXPECT_LT(time, std::chrono::milliseconds(80));
}

TEST(FutexLock, WithoutContentionNobodyWaits) {
    FutexLock lock(LockRank::leaf);
    const std::uint64_t waits = os::lock_waits();
    for (int i = 0; i < 1000; i++) LockGuard guard(lock);
    EXPECT_EQ(os::lock_waits(), waits);
}

TEST(FutexLock, WaitingLeavesErrnoAlone) {
    FutexLock lock(LockRank::leaf);
    lock.lock();
    int seen = 0;
    std::thread waiter([&] {
        errno = 77;
        LockGuard guard(lock);
        seen = errno;
    });
    sleep_a_little();
    errno = 78;
    lock.unlock();
    EXPECT_EQ(errno, 78);
    waiter.join();
    EXPECT_EQ(seen, 77);
}

// ---- try_lock -----------------------------------------------------------------------------------

TEST(FutexLock, TryLockTakesAFreeLockAndOnlyAFreeOne) {
    FutexLock lock(LockRank::leaf);
    ASSERT_TRUE(lock.try_lock());
    EXPECT_EQ(os::locks_held(), 1u);
    std::thread([&] {
        const bool taken = lock.try_lock();
        EXPECT_FALSE(taken);
        EXPECT_EQ(os::locks_held(), 0u);
        if (taken) lock.unlock();
    }).join();
    lock.unlock();
    EXPECT_EQ(os::locks_held(), 0u);
    std::thread([&] {
        ASSERT_TRUE(lock.try_lock());
        lock.unlock();
    }).join();
}

TEST(FutexLock, TryLockMayGoAgainstTheOrderSinceItNeverWaits) {
    FutexLock high(LockRank::leaf);
    FutexLock low(LockRank::heap);
    high.lock();
    ASSERT_TRUE(low.try_lock());
    EXPECT_EQ(os::locks_held(), 2u);
    low.unlock();
    high.unlock();
}

// ---- what a thread holds ------------------------------------------------------------------------

TEST(FutexLock, HeldLocksAreCountedForEachThread) {
    FutexLock outer(LockRank::heap);
    FutexLock inner(LockRank::leaf);
    EXPECT_EQ(os::locks_held(), 0u);
    outer.lock();
    EXPECT_EQ(os::locks_held(), 1u);
    {
        LockGuard guard(inner);
        EXPECT_EQ(os::locks_held(), 2u);
        std::thread([] { EXPECT_EQ(os::locks_held(), 0u); }).join();
    }
    EXPECT_EQ(os::locks_held(), 1u);
    outer.unlock();
    EXPECT_EQ(os::locks_held(), 0u);
}

#ifndef NDEBUG
TEST(FutexLockDeathTest, ALowerRankAfterAHigherOneAborts) {
    EXPECT_DEATH(
        {
            FutexLock high(LockRank::pool);
            FutexLock low(LockRank::heap);
            high.lock();
            low.lock();
        },
        "hakmem: lock order: heap taken while pool is held");
}

TEST(FutexLockDeathTest, ASecondLockOfTheSameRankAborts) {
    EXPECT_DEATH(
        {
            FutexLock one(LockRank::heap);
            FutexLock other(LockRank::heap);
            one.lock();
            other.lock();
        },
        "lock order: heap taken while heap is held");
}

TEST(FutexLockDeathTest, TheSameLockTwiceAbortsInsteadOfWaitingForEver) {
    EXPECT_DEATH(
        {
            alarm(tests::child_seconds_max);
            FutexLock lock(LockRank::heap);
            lock.lock();
            lock.lock();
        },
        "lock order");
}

// A try_lock beside a lock of the same rank is allowed; giving it back must not make the check
// forget the one that is still held.
TEST(FutexLockDeathTest, GivingATriedLockBackLeavesTheOtherOfItsRankChecked) {
    EXPECT_DEATH(
        {
            FutexLock mine(LockRank::heap);
            FutexLock tried(LockRank::heap);
            FutexLock registry(LockRank::heap_registry);
            mine.lock();
            if (tried.try_lock()) tried.unlock();
            registry.lock();
        },
        "lock order");
}
#endif

TEST(FutexLock, AscendingRanksAreInOrder) {
    FutexLock a(LockRank::heap_registry);
    FutexLock b(LockRank::heap);
    FutexLock c(LockRank::meta_arena);
    LockGuard guard_a(a);
    LockGuard guard_b(b);
    LockGuard guard_c(c);
    EXPECT_EQ(os::locks_held(), 3u);
}

// ---- when_unlocked ------------------------------------------------------------------------------

std::atomic<unsigned> actions{0};
unsigned held_in_action = 99;
void act() {
    actions++;
    held_in_action = os::locks_held();
}

TEST(FutexLock, AWishIsGrantedOnceWhenTheLastLockIsGivenBack) {
    FutexLock outer(LockRank::heap);
    FutexLock inner(LockRank::leaf);
    const unsigned before = actions;
    outer.lock();
    inner.lock();
    os::when_unlocked(act);
    inner.unlock();
    EXPECT_EQ(actions, before);  // one lock is still held
    outer.unlock();
    EXPECT_EQ(actions, before + 1);
    EXPECT_EQ(held_in_action, 0u);
    outer.lock();
    outer.unlock();
    EXPECT_EQ(actions, before + 1);
}

// The report and the purge thread, both asked for while a lock is held.
TEST(FutexLock, TwoWishesWaitAtATimeAndEachIsGrantedOnce) {
    static std::atomic<unsigned> others{0};
    const auto other = +[] { others++; };
    FutexLock lock(LockRank::leaf);
    for (unsigned round = 1; round <= 3; round++) {
        const unsigned before = actions;
        lock.lock();
        for (int i = 0; i < 3; i++) {
            os::when_unlocked(act);
            os::when_unlocked(other);
        }
        lock.unlock();
        EXPECT_EQ(actions, before + 1);
        EXPECT_EQ(others, round);
    }
}

TEST(FutexLock, AWishFromASignalHandlerIsGrantedAfterTheLock) {
    struct sigaction action {};
    struct sigaction old {};
    action.sa_handler = [](int) { os::locks_held() == 0 ? act() : os::when_unlocked(act); };
    ASSERT_EQ(sigaction(SIGUSR2, &action, &old), 0);
    FutexLock lock(LockRank::leaf);
    const unsigned before = actions;
    lock.lock();
    raise(SIGUSR2);
    EXPECT_EQ(actions, before);
    lock.unlock();
    EXPECT_EQ(actions, before + 1);
    raise(SIGUSR2);  // nothing is held: at once
    EXPECT_EQ(actions, before + 2);
    sigaction(SIGUSR2, &old, nullptr);
}

// ---- fork ---------------------------------------------------------------------------------------

TEST(FutexLock, LockForForkWaitsForTheHolder) {
    FutexLock lock(LockRank::leaf);
    lock.lock();
    std::atomic<bool> taken{false};
    std::thread forker([&] {
        lock.lock_for_fork();
        taken = true;
        lock.unlock_after_fork();
    });
    sleep_a_little();
    EXPECT_FALSE(taken);
    lock.unlock();
    forker.join();
    EXPECT_TRUE(taken);
}

TEST(FutexLock, LockForForkTakesAnyNumberOfOneRank) {
    FutexLock one(LockRank::heap);
    FutexLock other(LockRank::heap);
    FutexLock registry(LockRank::heap_registry);
    one.lock_for_fork();
    other.lock_for_fork();
    registry.lock_for_fork();
    EXPECT_EQ(os::locks_held(), 0u);  // they are not the thread's as such
    registry.unlock_after_fork();
    other.unlock_after_fork();
    one.unlock_after_fork();
    ASSERT_TRUE(one.try_lock());
    one.unlock();
}

TEST(FutexLock, UnlockAfterForkWakesSleepers) {
    FutexLock lock(LockRank::leaf);
    lock.lock_for_fork();
    std::thread sleeper([&] { LockGuard guard(lock); });
    sleep_a_little();
    lock.unlock_after_fork();
    sleeper.join();
}

// The thread that forks holds all locks and may come by them again, in handlers of other libraries.
TEST(FutexLock, WhileForkingItsOwnThreadPassesThroughAndOthersWait) {
    FutexLock lock(LockRank::leaf);
    os::begin_fork();
    ASSERT_TRUE(os::fork_takes_locks());
    lock.lock_for_fork();
    EXPECT_GT(os::locks_held(), 0u);  // a signal handler must not allocate now
    {
        LockGuard first(lock);
        LockGuard again(lock);
        EXPECT_TRUE(lock.try_lock());
        lock.unlock();
    }
    std::atomic<bool> entered{false};
    std::thread other([&] {
        LockGuard guard(lock);
        entered = true;
    });
    sleep_a_little();
    EXPECT_FALSE(entered);  // the unlocks above did nothing
    lock.unlock_after_fork();
    os::end_fork();
    EXPECT_EQ(os::locks_held(), 0u);
    other.join();
}

// A signal handler forks that has interrupted its thread while it holds a lock.
TEST(FutexLock, AForkWhileALockIsHeldTakesNone) {
    FutexLock lock(LockRank::leaf);
    lock.lock();
    os::begin_fork();
    EXPECT_FALSE(os::fork_takes_locks());
    os::end_fork();
    EXPECT_EQ(os::locks_held(), 1u);
    lock.unlock();
    os::begin_fork();
    EXPECT_TRUE(os::fork_takes_locks());
    os::end_fork();
    EXPECT_EQ(os::locks_held(), 0u);
}

TEST(FutexLock, StepsThatBelongTogetherCountAsALockHeld) {
    static unsigned fulfilled;
    fulfilled = 0;
    FutexLock lock(LockRank::leaf);
    os::begin_steps();
    { LockGuard guard(lock); }
    EXPECT_EQ(os::locks_held(), 1u);
    os::when_unlocked([] { fulfilled++; });
    { LockGuard guard(lock); }
    EXPECT_EQ(fulfilled, 0u);
    os::begin_fork();
    EXPECT_FALSE(os::fork_takes_locks());
    os::end_fork();
    os::end_steps();
    EXPECT_EQ(os::locks_held(), 0u);
    EXPECT_EQ(fulfilled, 1u);
}

// The same, and what it has interrupted is a fork.
TEST(FutexLock, AForkWithinAForkLeavesTheOuterOneItsLocks) {
    os::begin_fork();
    for (int i = 0; i < 2; i++) {
        os::begin_fork();
        EXPECT_FALSE(os::fork_takes_locks());
        os::end_fork();
        EXPECT_TRUE(os::fork_takes_locks());
        EXPECT_GT(os::locks_held(), 0u);
    }
    os::end_fork();
    EXPECT_EQ(os::locks_held(), 0u);
}

// Other libraries' handlers of fork may allocate, and what waits for locks must not run among them.
TEST(FutexLock, WhatWaitsForLocksWaitsForTheForkAsWell) {
    static unsigned fulfilled;
    fulfilled = 0;
    FutexLock lock(LockRank::leaf);
    os::begin_fork();
    os::when_unlocked([] { fulfilled++; });
    os::begin_steps();
    os::end_steps();
    EXPECT_EQ(fulfilled, 0u);
    os::end_fork();
    { LockGuard guard(lock); }
    EXPECT_EQ(fulfilled, 1u);
}

// After misuse a thread passes all locks until the process ends, whatever forks it makes.
TEST(FutexLock, AForkAfterMisuseTakesNoneAndLocksAreStillPassed) {
    FutexLock lock(LockRank::leaf);
    for (const bool holds_it : {true, false}) {
        std::thread([&] {
            if (holds_it) lock.lock();
            os::bypass_locks();
            os::begin_fork();
            EXPECT_FALSE(os::fork_takes_locks());
            os::end_fork();
            EXPECT_GT(os::locks_held(), 0u);
            LockGuard again(lock);  // does not wait: the first thread has left it locked
        }).join();
    }
}

TEST(FutexLock, InTheChildALockThatAnotherThreadHeldIsFreeAgain) {
    FutexLock lock(LockRank::leaf);
    std::atomic<int> phase{0};
    std::thread holder([&] {
        lock.lock();
        phase = 1;
        while (phase != 2) std::this_thread::yield();
        lock.unlock();
    });
    while (phase != 1) std::this_thread::yield();
    const pid_t child = fork();
    if (child == 0) {
        alarm(tests::child_seconds_max);
        if (lock.try_lock()) _exit(1);  // it was copied as it was: held
        lock.reset_in_child();
        lock.lock();
        lock.unlock();
        _exit(0);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    phase = 2;
    holder.join();
}

}  // namespace
