// Runs of units out of one word and back: short and long ones, in an empty superslab and in a
// riddled one.
#include "back/superslab.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>

#include "back/page_map.hpp"
#include "base/units.hpp"
#include "os/virtual_memory.hpp"

namespace {

using namespace hakmem;

// Outside the pool, so that nobody else takes its units. Like every superslab it lives as long as
// the process.
back::Superslab* make_superslab() {
    char* const start = static_cast<char*>(os::map(base::superslab_bytes, base::superslab_bytes));
    if (start == nullptr || !back::page_map::ensure(start, base::superslab_bytes)) return nullptr;
    back::Superslab* const superslab = back::superslab::create(0);
    if (superslab != nullptr) back::superslab::occupy(*superslab, start);
    return superslab;
}

back::Superslab* superslab() {
    static back::Superslab* const only = make_superslab();
    return only;
}

void take_and_give_back(benchmark::State& state) {
    if (superslab() == nullptr) return state.SkipWithError("no memory");
    const base::Units units{static_cast<unsigned>(state.range(0))};
    for (auto _ : state) {
        const back::Run run = back::superslab::take(*superslab(), units, 1);
        if (run.superslab != nullptr) back::superslab::give_back(run);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(take_and_give_back)->Arg(1)->Arg(4)->Arg(32);
BENCHMARK(take_and_give_back)->Name("take_and_give_back_contended")->Arg(1)->Threads(2);

// Every other unit is taken, so a run of two can only be found behind them all.
void take_from_riddled(benchmark::State& state) {
    if (superslab() == nullptr) return state.SkipWithError("no memory");
    constexpr std::uint64_t every_other = 0x5555'5555'5555'5555 >> 2;
    superslab()->taken.store(every_other, std::memory_order_relaxed);
    for (auto _ : state) {
        const back::Run run = back::superslab::take(*superslab(), base::Units{2}, 1);
        if (run.superslab != nullptr) back::superslab::give_back(run);
    }
    superslab()->taken.store(0, std::memory_order_relaxed);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(take_from_riddled);

// What a sweep costs a superslab that has one dirty unit, the call of the kernel included.
void purge(benchmark::State& state) {
    if (superslab() == nullptr) return state.SkipWithError("no memory");
    for (auto _ : state) {
        const back::Run run = back::superslab::take(*superslab(), base::Units{1}, 1);
        if (run.superslab != nullptr) back::superslab::give_back(run);
        benchmark::DoNotOptimize(back::superslab::purge(*superslab(), back::Extent::all));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(purge);

}  // namespace
