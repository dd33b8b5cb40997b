// Ours? Mine? Which class? Asked of the whole page map, and where most blocks of a heap are.
#include "gate/page_gate.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>

#include "base/size_class.hpp"
#include "base/units.hpp"

namespace {

using namespace hakmem;

// Addresses are looked up and never touched, so they need no memory behind them.
char* const territory = reinterpret_cast<char*>(std::uintptr_t{0x4000'0000'0000});
constexpr std::uint32_t my_tag = 1;

// Calls ask(pointer, tag bits) for blocks of a heap with so many units, a power of two.
template <typename Ask>
void ask_of_units(benchmark::State& state, Ask ask) {
    const auto units = static_cast<std::size_t>(state.range(0));
    const std::size_t bytes = units * base::unit_bytes;
    if (!back::page_map::ensure(territory, bytes)) return state.SkipWithError("no memory");
    back::page_map::assign(territory, bytes,
                           back::page_map::Entry::of(my_tag, base::ClassId::first), nullptr);
    const std::uint32_t tag_bits = back::page_map::Entry::of(my_tag, base::ClassId::external).bits;
    std::size_t i = 0;
    for (auto _ : state) {
        // An odd stride visits every unit without letting the next one be guessed.
        i += 7919;
        benchmark::DoNotOptimize(ask(territory + (i & (units - 1)) * base::unit_bytes, tag_bits));
    }
    state.SetItemsProcessed(state.iterations());
    back::page_map::assign(territory, bytes, back::page_map::Entry{0}, nullptr);
}

void whole_map(benchmark::State& state) {
    ask_of_units(state, [](const void* pointer, const std::uint32_t& tag_bits) {
        return gate::classify(pointer, tag_bits);
    });
}
BENCHMARK(whole_map)->Arg(16)->Arg(1 << 14);

void at_home(benchmark::State& state) {
    const gate::Home home = gate::home_of(territory);
    ask_of_units(state, [&home](const void* pointer, const std::uint32_t& tag_bits) {
        return gate::classify_at_home(pointer, home, tag_bits);
    });
}
BENCHMARK(at_home)->Arg(16)->Arg(1 << 14);

}  // namespace
