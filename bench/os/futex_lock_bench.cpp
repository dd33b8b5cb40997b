// Taking a lock and giving it back: alone, and with somebody who wants it too.
#include "os/futex_lock.hpp"

#include <benchmark/benchmark.h>

#include "base/lock_rank.hpp"

namespace {

using namespace hakmem;

constinit os::FutexLock bench_lock{base::LockRank::leaf};

void lock_and_unlock(benchmark::State& state) {
    for (auto _ : state) {
        const os::LockGuard guard(bench_lock);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lock_and_unlock)->ThreadRange(1, 2)->UseRealTime();

void try_lock(benchmark::State& state) {
    for (auto _ : state) {
        if (bench_lock.try_lock()) bench_lock.unlock();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(try_lock);

}  // namespace
