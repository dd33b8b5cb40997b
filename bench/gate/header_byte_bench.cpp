// The byte in front of a block: written when it is allocated, read when it is freed. In a few
// blocks, whose lines are near, and in more than the caches hold, where the line before the block
// is fetched for the byte alone.
#include "gate/header_byte.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>

#include "base/tiny_class.hpp"
#include "base/units.hpp"
#include "os/virtual_memory.hpp"

namespace {

using namespace hakmem;

constexpr unsigned tiny_class = 4;

// Blocks of one class in a row, as a slab has them.
class Blocks {
public:
    explicit Blocks(std::int64_t count)
        : count_(static_cast<std::size_t>(count)), start_(static_cast<char*>(os::map(bytes()))) {
        for (std::size_t i = 0; start_ != nullptr && i < count_; i++) {
            gate::stamp_tiny(at(i), tiny_class);
        }
    }
    ~Blocks() {
        if (start_ != nullptr) os::unmap(start_, bytes());
    }
    Blocks(const Blocks&) = delete;
    Blocks& operator=(const Blocks&) = delete;
    bool are_there() const { return start_ != nullptr; }
    char* at(std::size_t i) const { return start_ + i % count_ * base::stride_of(tiny_class); }

private:
    std::size_t bytes() const {
        return base::round_up(count_ * base::stride_of(tiny_class), base::page_bytes);
    }
    std::size_t count_;
    char* start_;
};

constexpr std::size_t step = 7919;  // odd: visits every block without letting the next be guessed

void read_header(benchmark::State& state) {
    const Blocks blocks(state.range(0));
    if (!blocks.are_there()) return state.SkipWithError("no memory");
    std::size_t i = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(gate::read_header(blocks.at(i += step)).tiny_class());
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(read_header)->Arg(1 << 6)->Arg(1 << 12)->Arg(1 << 20);

void stamp_tiny(benchmark::State& state) {
    const Blocks blocks(state.range(0));
    if (!blocks.are_there()) return state.SkipWithError("no memory");
    std::size_t i = 0;
    for (auto _ : state) {
        gate::stamp_tiny(blocks.at(i += step), tiny_class);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(stamp_tiny)->Arg(1 << 6)->Arg(1 << 12)->Arg(1 << 20);

}  // namespace
