#include "os/futex_lock.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "os/lock_counts.hpp"
#include "os/raw_log.hpp"

namespace hakmem::os {

namespace {

enum : std::uint32_t { unlocked = 0, locked = 1, contended = 2 };

#ifdef NDEBUG
// Nobody checks the order of locks, so nothing is kept for it.
struct HeldRanks {
    void add(base::LockRank, bool) {}
    void remove(base::LockRank) {}
};
#else
// [rank_check]
// How many locks of each rank a thread holds: try_lock may add a second one of a rank, and in any
// order, since it does not wait.
struct HeldRanks {
    void add(base::LockRank rank, bool any_order) {
        const auto own = static_cast<unsigned>(rank);
        // Also refuses a second lock of the same rank.
        for (unsigned other = own; other < base::lock_ranks && !any_order; other++) {
            if (counts[other] == 0) continue;
            Message() << "lock order: " << base::lock_rank_names[own] << " taken while "
                      << base::lock_rank_names[other] << " is held";
            std::abort();
        }
        counts[own]++;
    }
    void remove(base::LockRank rank) { counts[static_cast<unsigned>(rank)]--; }

    std::uint8_t counts[base::lock_ranks];
};
// [/rank_check]
#endif

// What a thread knows about the locks it holds. It is part of the static TLS that a dlopen of the
// library must find room for, hence so small.
struct HeldLocks {
    std::uint8_t count;
    bool bypassing : 1;
    std::uint8_t forks_without : 7;
    [[no_unique_address]] HeldRanks ranks;
};
constinit thread_local HeldLocks held{};

constinit std::atomic<void (*)()> pending_actions[2] = {};  // a report, and the purge thread
constinit std::atomic<std::uint64_t> waits{0};

#if defined(HAKMEM_COUNT_LOCKS) || !defined(NDEBUG)
constexpr bool locks_counted = true;
#else
constexpr bool locks_counted = false;
#endif

constexpr unsigned spins_before_sleep = 100;  // roughly what a short critical section lasts

void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
    const int saved_errno = errno;
    syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
    errno = saved_errno;
}

// [count]
void count(base::LockRank rank, std::atomic<std::uint64_t> LockCounts::*what) {
    if constexpr (locks_counted) {
        (lock_counts(rank).*what).fetch_add(1, std::memory_order_relaxed);
    }
}
// [/count]

// A signal handler reads the count: it must not be late when it grows, nor early when it shrinks.
// What the handler leaves until then is looked for afterwards.
void count_one_more() {
    held.count++;
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

void count_one_less() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    held.count--;
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

void note_locked(base::LockRank rank, bool any_order) {
    held.ranks.add(rank, any_order);
    count_one_more();
}

bool any_pending() {
    for (const auto& place : pending_actions) {
        if (HAK_UNLIKELY(place.load(std::memory_order_relaxed) != nullptr)) return true;
    }
    return false;
}

HAK_SLOW void run_pending_actions() {
    for (auto& place : pending_actions) {
        if (void (*const action)() = place.exchange(nullptr, std::memory_order_acquire)) action();
    }
}

}  // namespace

void begin_steps() { count_one_more(); }

// [pending]
void end_steps() {
    count_one_less();
    if (locks_held() == 0 && any_pending()) run_pending_actions();
}
// [/pending]

// [lock]
void FutexLock::lock() {
    if (HAK_UNLIKELY(held.bypassing)) return;
    note_locked(rank_, false);
    count(rank_, &LockCounts::taken);  // before it is, so that nobody waits for the count
    std::uint32_t expected = unlocked;
    if (!word_.compare_exchange_strong(expected, locked, std::memory_order_acquire)) wait();
}
// [/lock]

// [wait]
void FutexLock::wait() {
    waits.fetch_add(1, std::memory_order_relaxed);
    count(rank_, &LockCounts::contended);
    for (unsigned i = 0; i < spins_before_sleep; i++) {
        __builtin_ia32_pause();
        std::uint32_t expected = unlocked;
        if (word_.compare_exchange_weak(expected, locked, std::memory_order_acquire)) return;
    }
    while (word_.exchange(contended, std::memory_order_acquire) != unlocked) {
        count(rank_, &LockCounts::slept);
        futex(word_, FUTEX_WAIT, contended);
    }
}
// [/wait]

// [unlock]
void FutexLock::unlock() {
    if (HAK_UNLIKELY(held.bypassing)) return;
    if (word_.exchange(unlocked, std::memory_order_release) == contended) {
        futex(word_, FUTEX_WAKE, 1);
    }
    held.ranks.remove(rank_);
    end_steps();
}
// [/unlock]

bool FutexLock::try_lock() {
    if (HAK_UNLIKELY(held.bypassing)) return true;
    count_one_more();  // first, since a signal may come once the lock is had
    std::uint32_t expected = unlocked;
    const bool had = word_.compare_exchange_strong(expected, locked, std::memory_order_acquire);
    if (had) {
        note_locked(rank_, true);
        count(rank_, &LockCounts::taken);
    }
    count_one_less();
    return had;
}

void FutexLock::lock_for_fork() {
    count(rank_, &LockCounts::taken);
    std::uint32_t expected = unlocked;
    if (!word_.compare_exchange_strong(expected, locked, std::memory_order_acquire)) wait();
}

void FutexLock::unlock_after_fork() {
    if (word_.exchange(unlocked, std::memory_order_release) == contended) {
        futex(word_, FUTEX_WAKE, 1);
    }
}

unsigned locks_held() { return held.bypassing ? 1 : held.count; }

void bypass_locks() { held.bypassing = true; }

// [fork]
// A signal handler may fork while the thread that it has interrupted is in a fork: so they are
// counted.
void begin_fork() {
    if (locks_held() != 0) {
        held.forks_without++;
    } else {
        held.bypassing = true;
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
}

bool fork_takes_locks() { return held.forks_without == 0; }

void end_fork() {
    if (held.forks_without != 0) {
        held.forks_without--;
    } else {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        held.bypassing = false;
    }
}
// [/fork]

void when_unlocked(void (*action)()) {
    for (auto& place : pending_actions) {
        void (*there)() = nullptr;
        if (place.compare_exchange_strong(there, action, std::memory_order_release) ||
            there == action) {
            return;
        }
    }
}

std::uint64_t lock_waits() { return waits.load(std::memory_order_relaxed); }

}  // namespace hakmem::os
