// malloc and free whole: hits, batches in three orders of freeing, and blocks that one thread
// allocates and another frees.
#include "phases/phase_16.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace hakmem;
using phases::Phase16;

void pair(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* const block = Phase16::allocate(bytes);
        benchmark::DoNotOptimize(block);
        Phase16::deallocate(block);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(pair)
    ->Arg(16)
    ->Arg(64)
    ->Arg(256)
    ->Arg(1024)
    ->Arg(16384)
    ->Arg(65536)
    ->ThreadRange(1, 2)
    ->UseRealTime();

enum class Order { lifo, fifo, shuffled };

std::vector<std::size_t> freeing_order(Order order, std::size_t count) {
    std::vector<std::size_t> places(count);
    std::iota(places.begin(), places.end(), std::size_t{0});
    if (order == Order::lifo) std::reverse(places.begin(), places.end());
    if (order == Order::shuffled) std::shuffle(places.begin(), places.end(), std::mt19937(16));
    return places;
}

void batch(benchmark::State& state, Order order) {
    const auto count = static_cast<std::size_t>(state.range(0));
    const auto bytes = static_cast<std::size_t>(state.range(1));
    const std::vector<std::size_t> places = freeing_order(order, count);
    std::vector<void*> blocks(count);
    for (auto _ : state) {
        for (void*& block : blocks) block = Phase16::allocate(bytes);
        for (const std::size_t place : places) Phase16::deallocate(blocks[place]);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
const std::vector<std::vector<std::int64_t>> batches = {{400, 4000}, {16, 256}};
BENCHMARK_CAPTURE(batch, lifo, Order::lifo)->ArgsProduct(batches)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(batch, fifo, Order::fifo)->ArgsProduct(batches)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(batch, shuffled, Order::shuffled)
    ->ArgsProduct(batches)
    ->ThreadRange(1, 2)
    ->UseRealTime();

void zeroed(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* const block = Phase16::allocate_zeroed(1, bytes);
        benchmark::DoNotOptimize(block);
        Phase16::deallocate(block);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(zeroed)->Arg(64)->Arg(4096);

void grow_by_realloc(benchmark::State& state) {
    const auto bytes_max = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* block = nullptr;
        for (std::size_t bytes = 16; bytes <= bytes_max; bytes *= 2) {
            block = Phase16::reallocate(block, bytes);
        }
        Phase16::deallocate(block);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(grow_by_realloc)->Arg(1 << 14)->Arg(1 << 20);

// A queue for one thread that puts and one that takes.
class Channel {
public:
    void put(void* block) {
        const std::size_t place = put_.load(std::memory_order_relaxed);
        while (place - taken_.load(std::memory_order_acquire) == places) std::this_thread::yield();
        blocks_[place % places] = block;
        put_.store(place + 1, std::memory_order_release);
    }
    void* take() {
        const std::size_t place = taken_.load(std::memory_order_relaxed);
        while (put_.load(std::memory_order_acquire) == place) std::this_thread::yield();
        void* const block = blocks_[place % places];
        taken_.store(place + 1, std::memory_order_release);
        return block;
    }

private:
    static constexpr std::size_t places = 4096;
    alignas(64) std::atomic<std::size_t> put_{0};
    alignas(64) std::atomic<std::size_t> taken_{0};
    alignas(64) std::array<void*, places> blocks_{};
};

// Both threads run the same number of rounds, so what is put is taken.
void cross_thread(benchmark::State& state) {
    static Channel channel;
    const auto bytes = static_cast<std::size_t>(state.range(0));
    if (state.thread_index() == 0) {
        for (auto _ : state) channel.put(Phase16::allocate(bytes));
        state.SetItemsProcessed(state.iterations());
    } else {
        for (auto _ : state) Phase16::deallocate(channel.take());
    }
}
BENCHMARK(cross_thread)->Arg(16)->Arg(256)->Threads(2)->UseRealTime();

}  // namespace
