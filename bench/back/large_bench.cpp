// Large blocks: runs of units, mappings that come from the cache, and growth without copying.
#include "back/large.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>

#include "back/page_map.hpp"
#include "base/units.hpp"

namespace {

using namespace hakmem;

void allocate_and_release(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        bool zero = false;
        void* const block = back::large::allocate(bytes, base::block_alignment, zero);
        if (block == nullptr) return state.SkipWithError("no memory");
        back::large::release(*back::page_map::slab_of(block));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(allocate_and_release)
    ->Arg(64 * base::kibibyte)
    ->Arg(base::mebibyte)
    ->Arg(4 * base::mebibyte)
    ->Arg(64 * base::mebibyte);

// A buffer that doubles, as a vector's would; its pages are never touched, so this is the price of
// moving it.
void grow(benchmark::State& state) {
    constexpr std::size_t first_bytes = 64 * base::kibibyte;
    constexpr std::size_t last_bytes = 64 * base::mebibyte;
    for (auto _ : state) {
        bool zero = false;
        void* block = back::large::allocate(first_bytes, base::block_alignment, zero);
        for (std::size_t bytes = first_bytes; block != nullptr && bytes <= last_bytes; bytes *= 2) {
            back::Slab& slab = *back::page_map::slab_of(block);
            void* grown = back::large::resize(slab, bytes);
            if (grown == nullptr) {
                // Only copying helps: from units to a mapping.
                grown = back::large::allocate(bytes, base::block_alignment, zero);
                back::large::release(slab);
            }
            block = grown;
        }
        if (block == nullptr) return state.SkipWithError("no memory");
        back::large::release(*back::page_map::slab_of(block));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(grow);

}  // namespace
