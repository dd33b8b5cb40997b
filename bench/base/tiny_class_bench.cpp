// From a request to its class in the record, which is a bit count, where Phase 16 loads from a
// table; and from the class to its slabs.
#include "base/tiny_class.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <random>

#include "base/size_class.hpp"

namespace {

using namespace hakmem;

constexpr std::size_t requests_count = 4096;

std::array<std::size_t, requests_count> tiny_requests() {
    std::array<std::size_t, requests_count> requests{};
    std::mt19937 random(16);
    std::uniform_int_distribution<std::size_t> bytes(0, base::recorded_tiny_bytes_max);
    for (std::size_t& request : requests) request = bytes(random);
    return requests;
}

void recorded_class_of(benchmark::State& state) {
    const auto requests = tiny_requests();
    std::size_t i = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(base::recorded_class_of(requests[i++ % requests_count]));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(recorded_class_of);

void slab_class_of(benchmark::State& state) {
    const auto requests = tiny_requests();
    std::size_t i = 0;
    for (auto _ : state) {
        const unsigned tiny_class = base::recorded_class_of(requests[i++ % requests_count]);
        benchmark::DoNotOptimize(base::slab_class_of(tiny_class));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(slab_class_of);

void recorded_class_of_slab(benchmark::State& state) {
    std::size_t i = 0;
    for (auto _ : state) {
        const base::ClassId id{static_cast<std::uint8_t>(1 + i++ % (base::class_count - 1))};
        benchmark::DoNotOptimize(base::recorded_class_of_slab(id));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(recorded_class_of_slab);

}  // namespace
