#include "os/lock_counts.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "os/futex_lock.hpp"
#include "tests/os/child.hpp"
#include "tests/os/locks_taken_freely.hpp"

namespace {

using namespace hakmem;
using base::LockRank;
using os::FutexLock;
using os::LockGuard;

#if defined(HAKMEM_COUNT_LOCKS) || !defined(NDEBUG)
constexpr std::uint64_t counted = 1;
#else
constexpr std::uint64_t counted = 0;  // then every figure below stays what it was
#endif

constexpr std::chrono::seconds patience{60};  // more than a busy machine makes a thread wait

// No box takes a lock of this rank while a test of it runs.
constexpr LockRank rank = LockRank::purge;

struct Counts {
    std::uint64_t taken, contended, slept;
};

Counts now(LockRank of = rank) {
    const os::LockCounts& counts = os::lock_counts(of);
    return {counts.taken, counts.contended, counts.slept};
}

Counts since(const Counts& before, LockRank of = rank) {
    const Counts after = now(of);
    return {after.taken - before.taken, after.contended - before.contended,
            after.slept - before.slept};
}

void expect(const Counts& counts, std::uint64_t taken, std::uint64_t contended,
            std::uint64_t slept) {
    EXPECT_EQ(counts.taken, taken * counted);
    EXPECT_EQ(counts.contended, contended * counted);
    EXPECT_EQ(counts.slept, slept * counted);
}

// Has a thread wait for a lock that is held, and gives it back once the thread sleeps or, should it
// never, after a while. Where nothing is counted there is nothing to see, and no reason to wait.
void have_somebody_wait(FutexLock& lock) {
    const Counts before = now();
    const auto deadline = std::chrono::steady_clock::now() + patience;
    lock.lock();
    std::thread waiter([&] { LockGuard guard(lock); });
    while (since(before).slept < counted && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    expect(since(before), 2, 1, 1);  // counted when it begins to wait
    lock.unlock();
    waiter.join();
}

TEST(LockCounts, WithoutContentionALockIsTakenAndNothingElse) {
    FutexLock lock(rank);
    const Counts before = now();
    for (int i = 0; i < 1000; i++) LockGuard guard(lock);
    expect(since(before), 1000, 0, 0);
}

TEST(LockCounts, AThreadThatWaitsIsContendedAndSleeps) {
    FutexLock lock(rank);
    const Counts before = now();
    have_somebody_wait(lock);
    expect(since(before), 2, 1, 1);
}

TEST(LockCounts, TheReportsWaitsAreThoseForAllRanks) {
    FutexLock lock(rank);
    const std::uint64_t waits = os::lock_waits();
    have_somebody_wait(lock);
    std::uint64_t contended = 0;
    for (unsigned i = 0; i < base::lock_ranks; i++) {
        contended += now(static_cast<LockRank>(i)).contended;
    }
    EXPECT_EQ(contended, os::lock_waits() * counted);
    EXPECT_GE(os::lock_waits(), waits + counted);
}

TEST(LockCounts, CountsAreTheLocksRanksAlone) {
    FutexLock lock(LockRank::large);
    const Counts before = now();
    const Counts before_large = now(LockRank::large);
    lock.lock();
    lock.unlock();
    expect(since(before), 0, 0, 0);
    expect(since(before_large, LockRank::large), 1, 0, 0);
}

TEST(LockCounts, NoCallIsLostWhereThreadsMeet) {
    constexpr unsigned threads = 4;
    constexpr unsigned rounds = 5000;
    FutexLock lock(rank);
    const Counts before = now();
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([&] {
            for (unsigned i = 0; i < rounds; i++) LockGuard guard(lock);
        });
    }
    for (std::thread& thread : all) thread.join();
    const Counts counts = since(before);
    EXPECT_EQ(counts.taken, threads * rounds * counted);
    EXPECT_LE(counts.contended, counts.taken);
}

TEST(LockCounts, ATryThatFailsIsNotCounted) {
    FutexLock lock(rank);
    const Counts before = now();
    ASSERT_TRUE(lock.try_lock());
    std::thread([&] {
        const bool taken = lock.try_lock();
        EXPECT_FALSE(taken);
        if (taken) lock.unlock();
    }).join();
    lock.unlock();
    expect(since(before), 1, 0, 0);
}

// The locks are this thread's already, and it does not take them again.
TEST(LockCounts, PassingALockIsNotTakingIt) {
    FutexLock lock(rank);
    const Counts before = now();
    os::begin_fork();
    lock.lock_for_fork();
    {
        LockGuard first(lock);
        EXPECT_TRUE(lock.try_lock());
        lock.unlock();
    }
    lock.unlock_after_fork();
    os::end_fork();
    expect(since(before), 1, 0, 0);
}

TEST(LockCounts, ForkTakesEachLockOnceAndTheChildGoesOnCounting) {
    FutexLock lock(rank);
    const Counts before = now();
    const pid_t child = fork();
    if (child == 0) {
        alarm(tests::child_seconds_max);
        lock.lock();
        lock.unlock();
        _exit(since(before).taken == 2 * counted ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    expect(since(before), 1, 0, 0);
}

}  // namespace
