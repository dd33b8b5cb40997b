// The free routing of Phase 15: the byte with its confirmation, and the byte alone, which is what
// the record had hoped to pay.
#include "gate/front_gate_v2.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <memory>

#include "back/shared_pool.hpp"
#include "base/tiny_class.hpp"
#include "gate/alloc_header.hpp"

namespace {

using namespace hakmem;

constinit back::SlabOwner owner{};

// Asks about the blocks of a slab, one after the other.
template <typename Ask>
void ask_in_slab(benchmark::State& state, std::size_t block_bytes, Ask ask) {
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
        benchmark::DoNotOptimize(ask(block));
    }
    state.SetItemsProcessed(state.iterations());
    back::shared_pool::release_slab(*slab);
}

gate::Domain domain_of(const void* block) { return gate::front_gate_v2(block).domain; }

void tiny_byte_alone(benchmark::State& state) { ask_in_slab(state, 128, gate::verdict_of); }
BENCHMARK(tiny_byte_alone);

void tiny(benchmark::State& state) { ask_in_slab(state, 128, domain_of); }
BENCHMARK(tiny);

void tiny_headerless(benchmark::State& state) {
    ask_in_slab(state, base::stride_of(base::headerless_class), domain_of);
}
BENCHMARK(tiny_headerless);

void mid(benchmark::State& state) { ask_in_slab(state, 2048, domain_of); }
BENCHMARK(mid);

void external(benchmark::State& state) {
    const auto foreign = std::make_unique<int>(0);
    for (auto _ : state) benchmark::DoNotOptimize(domain_of(foreign.get()));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(external);

}  // namespace
