// What is at this address? Asked of one unit, of a heap's worth of them, and of memory that is
// somebody else's.
#include "back/page_map.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/size_class.hpp"
#include "base/units.hpp"

namespace {

using namespace hakmem;

// Addresses are looked up and never touched, so they need no memory behind them.
char* const territory = reinterpret_cast<char*>(std::uintptr_t{0x4000'0000'0000});

void entry_of(benchmark::State& state) {
    const auto units = static_cast<std::size_t>(state.range(0));
    const std::size_t bytes = units * base::unit_bytes;
    if (!back::page_map::ensure(territory, bytes)) return state.SkipWithError("no memory");
    back::page_map::assign(territory, bytes, back::page_map::Entry::of(1, base::ClassId::first),
                           nullptr);
    std::size_t i = 0;
    for (auto _ : state) {
        // An odd stride visits every unit without letting the next one be guessed.
        i += 7919;
        benchmark::DoNotOptimize(
            back::page_map::entry_of(territory + i % units * base::unit_bytes).bits);
    }
    state.SetItemsProcessed(state.iterations());
    back::page_map::assign(territory, bytes, back::page_map::Entry{0}, nullptr);
}
BENCHMARK(entry_of)->Arg(1)->Arg(1 << 8)->Arg(1 << 14);

void entry_of_foreign_memory(benchmark::State& state) {
    const auto foreign = std::make_unique<int>(0);
    for (auto _ : state) {
        benchmark::DoNotOptimize(back::page_map::entry_of(foreign.get()).bits);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(entry_of_foreign_memory);

void assign(benchmark::State& state) {
    const std::size_t bytes = static_cast<std::size_t>(state.range(0)) * base::unit_bytes;
    if (!back::page_map::ensure(territory, bytes)) return state.SkipWithError("no memory");
    for (auto _ : state) {
        back::page_map::assign(territory, bytes, back::page_map::Entry{0}, nullptr);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(assign)->Arg(1)->Arg(32);

}  // namespace
