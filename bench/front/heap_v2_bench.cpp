// The front alone: pairs in one class and in turn through all that the default mask lets take part,
// and batches that fill and empty a magazine.
#include "front/heap_v2.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>

namespace {

using namespace hakmem;
using front::HeapV2;

constexpr unsigned first_class = 1;

void allocate_and_release(benchmark::State& state) {
    HeapV2 heap{};
    int block = 0;
    heap.release(first_class, &block);
    for (auto _ : state) {
        void* const allocated = heap.allocate(first_class);
        benchmark::DoNotOptimize(allocated);
        benchmark::DoNotOptimize(heap.release(first_class, allocated));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(allocate_and_release);

void allocate_and_release_in_turn(benchmark::State& state) {
    HeapV2 heap{};
    int block = 0;
    for (unsigned k = first_class; k < HeapV2::class_count; k++) heap.release(k, &block);
    unsigned tiny_class = first_class;
    for (auto _ : state) {
        void* const allocated = heap.allocate(tiny_class);
        benchmark::DoNotOptimize(allocated);
        benchmark::DoNotOptimize(heap.release(tiny_class, allocated));
        tiny_class = tiny_class + 1 < HeapV2::class_count ? tiny_class + 1 : first_class;
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(allocate_and_release_in_turn);

void fill_and_empty(benchmark::State& state) {
    HeapV2 heap{};
    int block = 0;
    for (auto _ : state) {
        while (heap.release(first_class, &block)) benchmark::ClobberMemory();
        while (void* const allocated = heap.allocate(first_class)) {
            benchmark::DoNotOptimize(allocated);
        }
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(HeapV2::capacity));
}
BENCHMARK(fill_and_empty);

}  // namespace
