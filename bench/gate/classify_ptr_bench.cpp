// The free routing of Phase 14-C, way by way: the byte, the registry, the probe, and none of them.
// What the registry alone would have cost stands beside it.
#include "gate/classify_ptr.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "back/large.hpp"
#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "gate/alloc_header.hpp"
#include "gate/header_byte.hpp"

namespace {

using namespace hakmem;

constinit back::SlabOwner owner{};

using Classify = gate::Classified (*)(const void*);

// The blocks of a slab, one after the other.
void classify_in_slab(benchmark::State& state, Classify classify, std::size_t block_bytes) {
    owner.tag = 1;
    const base::ClassId id = base::class_of(block_bytes);
    back::Slab* const slab =
        back::shared_pool::acquire_slab(id, owner, back::shared_pool::Growth::allowed);
    if (slab == nullptr) return state.SkipWithError("no memory");
    const unsigned tiny_class = base::recorded_class_of_slab(id);
    for (unsigned i = 0; i < slab->block_count; i++) {
        char* const block = slab->start + i * slab->block_bytes;
        if (tiny_class < base::recorded_class_count) {
            gate::stamp_tiny(block, tiny_class);
        } else {
            gate::stamp_header(block, 0);
        }
    }
    std::size_t i = 0;
    for (auto _ : state) {
        const char* const block = slab->start + i++ % slab->block_count * slab->block_bytes;
        benchmark::DoNotOptimize(classify(block).domain);
    }
    state.SetItemsProcessed(state.iterations());
    back::shared_pool::release_slab(*slab);
}

void tiny_by_byte(benchmark::State& state) { classify_in_slab(state, gate::classify_ptr, 128); }
BENCHMARK(tiny_by_byte);

void tiny_headerless(benchmark::State& state) {
    classify_in_slab(state, gate::classify_ptr, base::stride_of(base::headerless_class));
}
BENCHMARK(tiny_headerless);

void tiny_by_registry(benchmark::State& state) {
    classify_in_slab(state, gate::classify_by_registry, 128);
}
BENCHMARK(tiny_by_registry);

void mid_by_probe(benchmark::State& state) { classify_in_slab(state, gate::classify_ptr, 2048); }
BENCHMARK(mid_by_probe);

void mid_by_registry(benchmark::State& state) {
    classify_in_slab(state, gate::classify_by_registry, 2048);
}
BENCHMARK(mid_by_registry);

void large_by_probe(benchmark::State& state) {
    bool zero = false;
    void* const start = back::large::allocate(base::mebibyte, base::block_alignment, zero);
    if (start == nullptr) return state.SkipWithError("no memory");
    char* const block = static_cast<char*>(start) + sizeof(gate::AllocHeader);
    gate::stamp_header(block, sizeof(gate::AllocHeader));
    for (auto _ : state) benchmark::DoNotOptimize(gate::classify_ptr(block).header);
    state.SetItemsProcessed(state.iterations());
    back::large::release(*back::page_map::slab_of(start));
}
BENCHMARK(large_by_probe);

void external(benchmark::State& state) {
    const auto foreign = std::make_unique<int>(0);
    for (auto _ : state) benchmark::DoNotOptimize(gate::classify_ptr(foreign.get()).domain);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(external);

}  // namespace
