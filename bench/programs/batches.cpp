// bench_batches OPERATIONS SIZE COUNT ORDER
//
// Allocates COUNT blocks of one size, then frees all of them: in the order in which they came
// (fifo), the latest first (lifo), or in a random one (shuffled). How many blocks a front can hold
// decides what small batches cost, and how refill and flush go about it what large ones do; the
// order decides whether neighbours in memory are freed together.
//
// After Wilson, Johnstone, Neely and Boles ("Dynamic Storage Allocation: A Survey and Critical
// Review", 1995): programs use memory in ramps, peaks and plateaus, and blocks that are allocated
// together die together, in the order of a stack, of a queue, or in none.
#include "program.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace {

enum class Order : std::size_t { fifo, lifo, shuffled };

// A short random order would be learned by the branch predictor and the prefetcher, so as many of
// them follow each other as make up this many places.
constexpr std::size_t shuffled_places = std::size_t{1} << 16U;

/** The places of a batch in the order in which they are freed; of several batches, one by one. */
std::vector<std::uint32_t> order_of(Order order, std::size_t count) {
    const std::size_t batches = order == Order::shuffled ? shuffled_places / count + 1 : 1;
    std::vector<std::uint32_t> places(batches * count);
    programs::Random random(1);
    for (std::size_t batch = 0; batch < batches; ++batch) {
        const auto begin = places.begin() + static_cast<std::ptrdiff_t>(batch * count);
        const auto end = begin + static_cast<std::ptrdiff_t>(count);
        std::iota(begin, end, 0U);
        if (order == Order::lifo) std::reverse(begin, end);
        if (order != Order::shuffled) continue;
        for (auto left = static_cast<std::uint32_t>(count); left > 1; --left) {
            std::swap(begin[left - 1], begin[random.below(left)]);
        }
    }
    return places;
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_batches",
                                  "Batches of blocks of one size, freed in a given order.");
    std::uint64_t operations = 0;
    std::size_t size = 0;
    std::size_t count = 0;
    std::size_t order = 0;
    arguments.required("OPERATIONS", operations, "pairs of malloc and free",
                       programs::operations_range);
    arguments.required("SIZE", size, "bytes of each block", programs::size_range);
    arguments.required("COUNT", count, "blocks of a batch", programs::count_range);
    arguments.choice("ORDER", order, "of the frees: fifo, lifo or shuffled",
                     {"fifo", "lifo", "shuffled"});
    return arguments.run(argc, argv, [&] {
        const std::vector<std::uint32_t> places = order_of(static_cast<Order>(order), count);
        std::vector<char*> blocks(count);
        const std::uint64_t batches = (operations + count - 1) / count;
        std::size_t at = 0;
        const programs::Meter meter;
        for (std::uint64_t batch = 0; batch < batches; ++batch) {
            for (char*& block : blocks) {
                block = programs::allocate(size);
                *block = static_cast<char>(batch);
            }
            for (std::size_t freed = 0; freed < count; ++freed) std::free(blocks[places[at++]]);
            if (at == places.size()) at = 0;
        }
        return programs::Outcome{batches * count, meter.stop()};
    });
}
