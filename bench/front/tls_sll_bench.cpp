// Pairs hit the array and nothing else. The list shows in batches: one that fits into the array,
// one whose blocks lie in the first-level cache, and one whose blocks do not.
#include "front/tls_sll.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/units.hpp"

namespace {

using namespace hakmem;
using front::TlsSll;

constexpr std::uint64_t drain_interval = ~std::uint64_t{0};

struct alignas(base::cache_line_bytes) Block {
    void* words[base::cache_line_bytes / sizeof(void*)];
};

void pop_and_push(benchmark::State& state) {
    TlsSll list{};
    Block block{};
    list.push(&block, drain_interval);
    for (auto _ : state) {
        void* const popped = list.pop();
        benchmark::DoNotOptimize(popped);
        benchmark::DoNotOptimize(list.push(popped, drain_interval));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(pop_and_push);

void fill_and_empty(benchmark::State& state) {
    TlsSll list{};
    std::vector<Block> blocks(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        for (Block& block : blocks) {
            benchmark::DoNotOptimize(list.push(&block, drain_interval));
        }
        while (void* const popped = list.pop()) benchmark::DoNotOptimize(popped);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(fill_and_empty)->Arg(TlsSll::fast_capacity)->Arg(256)->Arg(65536);

}  // namespace
