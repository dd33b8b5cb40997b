// Headers of larger blocks: written, read and believed, read and refused.
#include "gate/alloc_header.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>

#include "base/units.hpp"

namespace {

using namespace hakmem;

// A page of blocks, each with room for a header in front.
constexpr std::size_t block_bytes = 64;
constexpr std::size_t blocks = base::page_bytes / block_bytes - 1;
alignas(base::page_bytes) char page[base::page_bytes];

char* block(std::size_t i) { return page + (1 + i % blocks) * block_bytes; }

void stamp_header(benchmark::State& state) {
    std::size_t i = 0;
    for (auto _ : state) {
        gate::stamp_header(block(i++), sizeof(gate::AllocHeader));
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(stamp_header);

void header_of(benchmark::State& state) {
    for (std::size_t i = 0; i < blocks; i++) gate::stamp_header(block(i), 0);
    std::size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(gate::header_of(block(i++)));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(header_of);

void header_of_none(benchmark::State& state) {
    // The header of one block, copied in front of another.
    gate::stamp_header(block(0), 0);
    for (std::size_t i = 1; i < blocks; i++) {
        __builtin_memcpy(block(i) - sizeof(gate::AllocHeader), block(0) - sizeof(gate::AllocHeader),
                         sizeof(gate::AllocHeader));
    }
    std::size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(gate::header_of(block(1 + i++ % (blocks - 1))));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(header_of_none);

}  // namespace
