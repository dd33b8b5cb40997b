// Blocks out of a slab's bitmap, as a refill takes them, and back, as a flush puts them: together
// where neighbours return together, one at a time where they do not.
#include "back/slab.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "back/shared_pool.hpp"
#include "base/bits.hpp"
#include "base/size_class.hpp"

namespace {

using namespace hakmem;

constinit back::SlabOwner owner;

back::Slab* make_slab(std::int64_t block_bytes) {
    owner.tag = 1;
    return back::shared_pool::acquire_slab(base::class_of(static_cast<std::size_t>(block_bytes)),
                                           owner, back::shared_pool::Growth::allowed);
}

std::array<std::atomic<void*>, back::slab_words_max * base::word_bits> blocks;

void take_and_put_blocks(benchmark::State& state) {
    back::Slab* const slab = make_slab(state.range(0));
    if (slab == nullptr) return state.SkipWithError("no memory");
    unsigned taken = 0;
    for (auto _ : state) {
        taken = back::slab::take(*slab, slab->block_count, blocks.data());
        for (unsigned i = 0; i < taken; i++) {
            back::BlockIndex index{};
            const void* const block = blocks[i].load(std::memory_order_relaxed);
            if (back::slab::index_of(*slab, block, index)) back::slab::put(*slab, index);
        }
    }
    state.SetItemsProcessed(state.iterations() * taken);
    back::shared_pool::release_slab(*slab);
}
BENCHMARK(take_and_put_blocks)->Arg(16)->Arg(256)->Arg(4096);

void take_and_put_neighbours(benchmark::State& state) {
    back::Slab* const slab = make_slab(state.range(0));
    if (slab == nullptr) return state.SkipWithError("no memory");
    unsigned taken = 0;
    for (auto _ : state) {
        taken = back::slab::take(*slab, slab->block_count, blocks.data());
        back::slab::put_run(*slab, back::BlockIndex{0}, taken);
    }
    state.SetItemsProcessed(state.iterations() * taken);
    back::shared_pool::release_slab(*slab);
}
BENCHMARK(take_and_put_neighbours)->Arg(16)->Arg(256)->Arg(4096);

void format(benchmark::State& state) {
    back::Slab* const slab = make_slab(state.range(0));
    if (slab == nullptr) return state.SkipWithError("no memory");
    for (auto _ : state) {
        back::slab::format(*slab, slab->class_id);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
    back::shared_pool::release_slab(*slab);
}
BENCHMARK(format)->Arg(16)->Arg(256)->Arg(4096);

}  // namespace
