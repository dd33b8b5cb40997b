// What stands behind the magazines: refills and flushes at several depths of a batch, frees of
// another heap's blocks, and a heap handed on.
#include "front/thread_heap.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <vector>

#include "back/page_map.hpp"
#include "base/size_class.hpp"

namespace {

using namespace hakmem;

// As malloc and free do it: the magazine first, then the heap.
void* take(front::ThreadHeap& heap, base::ClassId id) {
    void* const block = heap.magazine(id).pop();
    return block != nullptr ? block : heap.allocate(id);
}

void put(front::ThreadHeap& heap, base::ClassId id, void* block) {
    if (!heap.magazine(id).push(block)) heap.release(id, block);
}

// A batch that the magazine cannot hold, out and back, the block taken last first.
void refill_and_flush(benchmark::State& state) {
    const front::HeapLease lease;
    if (lease.heap() == nullptr) return state.SkipWithError("no memory");
    const auto count = static_cast<std::size_t>(state.range(0));
    const base::ClassId id = base::class_of(static_cast<std::size_t>(state.range(1)));
    std::vector<void*> blocks(count);
    for (auto _ : state) {
        for (void*& block : blocks) block = take(*lease.heap(), id);
        for (std::size_t i = count; i > 0; i--) put(*lease.heap(), id, blocks[i - 1]);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(refill_and_flush)->ArgsProduct({{16, 256, 4096}, {16, 256, 4096}});

// Another heap's blocks are freed here and taken there again, without a second thread in between.
void release_remote(benchmark::State& state) {
    const front::HeapLease lease;
    static front::ThreadHeap* const other = front::ThreadHeap::make();
    if (lease.heap() == nullptr || other == nullptr) return state.SkipWithError("no memory");
    const auto count = static_cast<std::size_t>(state.range(0));
    const base::ClassId id = base::class_of(64);
    std::vector<void*> blocks(count);
    for (auto _ : state) {
        for (void*& block : blocks) block = take(*other, id);
        for (void* const block : blocks) {
            lease.heap()->release_remote(*back::page_map::slab_of(block), block);
        }
    }
    lease.heap()->empty_out();
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(release_remote)->Arg(64)->Arg(1024);

// Everything a heap caches goes back to its slabs.
void empty_out(benchmark::State& state) {
    const front::HeapLease lease;
    if (lease.heap() == nullptr) return state.SkipWithError("no memory");
    for (auto _ : state) {
        for (const std::size_t bytes : {16u, 64u, 256u, 1024u}) {
            const base::ClassId id = base::class_of(bytes);
            put(*lease.heap(), id, take(*lease.heap(), id));
        }
        lease.heap()->empty_out();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(empty_out);

}  // namespace
