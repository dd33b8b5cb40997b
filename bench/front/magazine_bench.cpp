// The stack alone, without the way to it: pairs, and batches that fill and empty it.
#include "front/magazine.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using namespace hakmem;

constexpr std::size_t capacity = 1024;

struct Stack {
    std::array<front::Slot, capacity + 1> slots{};
    front::Magazine magazine{{slots.data()}, slots.data() + capacity};
};

void pop_and_push(benchmark::State& state) {
    Stack stack;
    int block = 0;
    stack.magazine.push(&block);
    for (auto _ : state) {
        void* const popped = stack.magazine.pop();
        benchmark::DoNotOptimize(popped);
        benchmark::DoNotOptimize(stack.magazine.push(popped));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(pop_and_push);

void fill_and_empty(benchmark::State& state) {
    Stack stack;
    int block = 0;
    for (auto _ : state) {
        while (stack.magazine.push(&block)) benchmark::ClobberMemory();
        while (void* const popped = stack.magazine.pop()) benchmark::DoNotOptimize(popped);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(capacity));
}
BENCHMARK(fill_and_empty);

}  // namespace
