// The stack alone: pairs, and batches that fill and empty it.
#include "front/small_mag.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>

namespace {

using namespace hakmem;

constexpr std::uint32_t capacity = 32;

void pop_and_push(benchmark::State& state) {
    front::SmallMag<capacity> mag{};
    int block = 0;
    mag.push(&block);
    for (auto _ : state) {
        void* const popped = mag.pop();
        benchmark::DoNotOptimize(popped);
        benchmark::DoNotOptimize(mag.push(popped));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(pop_and_push);

void fill_and_empty(benchmark::State& state) {
    front::SmallMag<capacity> mag{};
    int block = 0;
    for (auto _ : state) {
        while (mag.push(&block)) benchmark::ClobberMemory();
        while (void* const popped = mag.pop()) benchmark::DoNotOptimize(popped);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(capacity));
}
BENCHMARK(fill_and_empty);

}  // namespace
