// Runs that are filled and used up: one block at a time, with the refill where it falls due, and
// whole runs. Nobody touches the blocks.
#include "front/bump.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using namespace hakmem;
using front::Bump;

constexpr std::size_t stride = 32;

std::array<char, Bump::blocks_max * stride> run;

void take(benchmark::State& state) {
    Bump bump{};
    for (auto _ : state) {
        void* block = bump.take(stride);
        if (block == nullptr) {
            bump.refill(run.data(), stride, Bump::blocks_max);
            block = bump.take(stride);
        }
        benchmark::DoNotOptimize(block);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(take);

void fill_and_empty(benchmark::State& state) {
    Bump bump{};
    for (auto _ : state) {
        bump.refill(run.data(), stride, Bump::blocks_max);
        benchmark::ClobberMemory();
        while (void* const block = bump.take(stride)) benchmark::DoNotOptimize(block);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Bump::blocks_max));
}
BENCHMARK(fill_and_empty);

}  // namespace
