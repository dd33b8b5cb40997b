// From a request to its class: tiny requests, larger ones, and a mix that the branch predictor has
// to follow.
#include "base/size_class.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <random>

namespace {

using namespace hakmem;

constexpr std::size_t requests_count = 4096;

std::array<std::size_t, requests_count> requests_up_to(std::size_t bytes_max) {
    std::array<std::size_t, requests_count> requests{};
    std::mt19937 random(16);
    std::uniform_int_distribution<std::size_t> bytes(1, bytes_max);
    for (std::size_t& request : requests) request = bytes(random);
    return requests;
}

void class_of(benchmark::State& state) {
    const auto requests = requests_up_to(static_cast<std::size_t>(state.range(0)));
    std::size_t i = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(base::class_of(requests[i++ % requests_count]));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(class_of)->Arg(base::tiny_bytes_max)->Arg(base::small_bytes_max);

void scaled_class_of_tiny(benchmark::State& state) {
    const auto requests = requests_up_to(base::tiny_bytes_max);
    std::size_t i = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(base::scaled_class_of_tiny(requests[i++ % requests_count]).value);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(scaled_class_of_tiny);

}  // namespace
