// The front alone, by the size asked for: pairs, and batches that fill and empty a magazine. At 24
// bytes every pair misses, since the block comes back to the other magazine.
#include "front/ultra_hot.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>

#include "base/tiny_class.hpp"

namespace {

using namespace hakmem;
using front::UltraHot;

void pop_and_push(benchmark::State& state) {
    UltraHot hot{};
    int block = 0;
    const auto bytes = static_cast<std::size_t>(state.range(0));
    const unsigned tiny_class = base::recorded_class_of(bytes);
    hot.push(tiny_class, &block);
    for (auto _ : state) {
        void* const popped = hot.pop(bytes);
        benchmark::DoNotOptimize(popped);
        benchmark::DoNotOptimize(hot.push(tiny_class, &block));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(pop_and_push)->Arg(16)->Arg(24)->Arg(32);

void fill_and_empty(benchmark::State& state) {
    UltraHot hot{};
    int block = 0;
    const auto bytes = static_cast<std::size_t>(state.range(0));
    const unsigned tiny_class = base::recorded_class_of(bytes);
    for (auto _ : state) {
        while (hot.push(tiny_class, &block)) benchmark::ClobberMemory();
        while (void* const popped = hot.pop(bytes)) benchmark::DoNotOptimize(popped);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(UltraHot::capacity));
}
BENCHMARK(fill_and_empty)->Arg(16)->Arg(32);

}  // namespace
