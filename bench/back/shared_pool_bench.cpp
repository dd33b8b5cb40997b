// A slab from the pool and back to it: alone, against another thread, and behind superslabs that
// are full.
#include "back/shared_pool.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <vector>

#include "back/superslab.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"

namespace {

using namespace hakmem;
using back::shared_pool::Growth;

constinit back::SlabOwner owner;

void acquire_and_release(benchmark::State& state) {
    if (state.thread_index() == 0) owner.tag = 1;
    const base::ClassId id = base::class_of(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        back::Slab* const slab = back::shared_pool::acquire_slab(id, owner, Growth::allowed);
        if (slab == nullptr) return state.SkipWithError("no memory");
        back::shared_pool::release_slab(*slab);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(acquire_and_release)->Arg(16)->Arg(256)->Arg(32768)->ThreadRange(1, 2)->UseRealTime();

void take_behind_full_superslabs(benchmark::State& state) {
    const auto full = static_cast<std::size_t>(state.range(0));
    std::vector<back::Run> taken;
    for (std::size_t i = 0; i < full; i++) {
        const back::Run run =
            back::shared_pool::take(base::Units{base::superslab_units}, 1, Growth::allowed);
        if (run.superslab != nullptr) taken.push_back(run);
    }
    for (auto _ : state) {
        const back::Run run = back::shared_pool::take(base::Units{1}, 1, Growth::allowed);
        if (run.superslab == nullptr) return state.SkipWithError("no memory");
        back::shared_pool::give_back(run);
    }
    for (const back::Run& run : taken) back::shared_pool::give_back(run);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(take_behind_full_superslabs)->Arg(0)->Arg(16)->Arg(256);

}  // namespace
