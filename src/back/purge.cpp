#include "back/purge.hpp"

#include <algorithm>
#include <atomic>

#include "back/large.hpp"
#include "back/shared_pool.hpp"
#include "base/attributes.hpp"
#include "base/lock_rank.hpp"
#include "os/clock.hpp"
#include "os/environment.hpp"

namespace hakmem::back::purge {

namespace {

constexpr std::uint32_t slice_superslabs = 16;

constinit os::FutexLock lock{base::LockRank::purge};
constinit std::uint32_t cursor HAK_GUARDED_BY(lock) = 0;  // next superslab of the sweep
constinit std::atomic<std::uint64_t> sweep_started{0};    // time of the last sweep's start
constinit std::atomic<bool> sweeping{false};              // whether a sweep is under way

bool due(std::uint64_t now) {
    return sweeping.load(std::memory_order_relaxed) ||
           os::has_passed(now, sweep_started.load(std::memory_order_relaxed),
                          os::options().decay / 2);
}

// [sweep]
void sweep_slice(std::uint64_t now, std::uint32_t slice) HAK_REQUIRES(lock) {
    if (!sweeping.load(std::memory_order_relaxed)) {
        sweep_started.store(now, std::memory_order_relaxed);
        sweeping.store(true, std::memory_order_relaxed);
        cursor = 0;
    }
    const std::uint64_t decay = os::options().decay;
    const std::uint32_t count = shared_pool::superslab_count();
    const std::uint32_t end = cursor + std::min(slice, count - std::min(cursor, count));
    // Without a decay time nothing waits. But a huge page that is filling up is not to be broken.
    const Extent extent = decay == 0 ? Extent::dirty : Extent::due;
    for (; cursor < end; cursor++) shared_pool::purge(cursor, extent);
    if (cursor < count) return;
    large::trim_cache(decay);
    sweeping.store(false, std::memory_order_relaxed);
}
// [/sweep]

}  // namespace

bool tick(std::uint64_t now) {
    if (HAK_LIKELY(!due(now)) || !lock.try_lock()) return false;
    // Read anew: another thread may have swept after `now`, and that would look like a clock that
    // goes backwards.
    now = os::milliseconds();
    const bool begins = !sweeping.load(std::memory_order_relaxed);
    const bool works = due(now);
    if (works) sweep_slice(now, slice_superslabs);
    lock.unlock();
    return begins && works;
}

void sweep() {
    os::LockGuard guard(lock);
    const std::uint64_t now = os::milliseconds();
    if (due(now)) sweep_slice(now, UINT32_MAX);
}

std::size_t all() {
    std::size_t purged = 0;
    os::LockGuard guard(lock);
    for (std::uint32_t i = 0; i < shared_pool::superslab_count(); i++) {
        purged += shared_pool::purge(i, Extent::all);
    }
    return purged + large::trim_cache(0);
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::back::purge
