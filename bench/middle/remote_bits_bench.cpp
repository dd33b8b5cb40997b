// The detour of a block that another thread frees: set its bit, notify, collect. One at a time,
// then as many together as a program frees in a run.
#include "middle/remote_bits.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <vector>

#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "base/bits.hpp"
#include "base/size_class.hpp"

namespace {

using namespace hakmem;

constexpr std::size_t block_bytes = 64;
constinit back::SlabOwner owner;
constinit middle::PendingFrees pending;

struct OutstandingSlab {
    OutstandingSlab()
        : slab(back::shared_pool::acquire_slab(base::class_of(block_bytes), owner,
                                               back::shared_pool::Growth::allowed)) {
        take_all();
    }
    ~OutstandingSlab() {
        if (slab == nullptr) return;
        for (unsigned word = 0; word < slab->word_count(); word++) {
            back::slab::put(*slab, word, ~slab->free_bits[word]);
        }
        back::shared_pool::release_slab(*slab);
    }
    OutstandingSlab(const OutstandingSlab&) = delete;
    OutstandingSlab& operator=(const OutstandingSlab&) = delete;

    void take_all() {
        static std::vector<std::atomic<void*>> blocks(base::slab_blocks_max);
        if (slab != nullptr) back::slab::take(*slab, slab->block_count, blocks.data());
    }

    back::Slab* slab;
};

void ignore(back::Slab&, void*) {}

void free_and_collect(benchmark::State& state) {
    const OutstandingSlab outstanding;
    if (outstanding.slab == nullptr) return state.SkipWithError("no memory");
    const auto blocks = static_cast<unsigned>(state.range(0));
    const auto mask = base::bit_run(0, blocks);
    for (auto _ : state) {
        middle::remote_bits::free_blocks(*outstanding.slab, 0, mask);
        middle::remote_bits::collect_all(owner, ignore, nullptr);
        outstanding.slab->free_bits[0] &= ~mask;
    }
    outstanding.slab->free_count = 0;
    state.SetItemsProcessed(state.iterations() * blocks);
}
BENCHMARK(free_and_collect)->Arg(1)->Arg(64);

// As a freeing thread does it: groups first. Every block of a slab, in the order of addresses or
// across words.
void pending_frees(benchmark::State& state) {
    OutstandingSlab outstanding;
    if (outstanding.slab == nullptr) return state.SkipWithError("no memory");
    const unsigned blocks = outstanding.slab->block_count;
    const auto stride = static_cast<unsigned>(state.range(0));
    for (auto _ : state) {
        for (unsigned start = 0; start < stride; start++) {
            for (unsigned i = start; i < blocks; i += stride) {
                pending.add(*outstanding.slab, back::BlockIndex{i});
            }
        }
        pending.flush();
        middle::remote_bits::collect_all(owner, ignore, nullptr);
        outstanding.take_all();
    }
    state.SetItemsProcessed(state.iterations() * blocks);
}
BENCHMARK(pending_frees)->Arg(1)->Arg(base::word_bits);

}  // namespace
