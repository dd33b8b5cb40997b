// bench_random_mixed ITERATIONS [WORKSET] [--seed N] [--count-sizes]
//
// Each iteration picks a place of the work set at random. It frees the block there or, where there
// is none, allocates one of 16 + r mod 1025 bytes: half the iterations allocate, and each size from
// 16 to 1,040 bytes is equally likely. Fronts for the smallest sizes see little of it, which is
// what --count-sizes shows.
#include "program.hpp"

#include <vector>

namespace {

constexpr std::uint32_t smallest_bytes = 16;
constexpr std::uint32_t size_count = 1025;

/** Counts nothing: what is timed. */
struct NoCounts {
    static void allocation(std::size_t /*bytes*/) {}
    static void release(std::size_t /*place*/) {}
    static void at(std::size_t /*place*/, std::size_t /*bytes*/) {}
};

/** Counts the sizes that the record of the phases speaks of. */
class SizeCounts {
public:
    explicit SizeCounts(std::size_t workset) : bytes_(workset) {}

    void allocation(std::size_t bytes) {
        ++allocations_;
        if (bytes <= 16) ++up_to_16_;
        if (bytes > 16 && bytes <= 32) ++from_17_to_32_;
    }
    void at(std::size_t place, std::size_t bytes) { bytes_[place] = bytes; }
    void release(std::size_t place) {
        ++frees_;
        if (bytes_[place] >= 1024) ++frees_from_1024_;
    }

    [[nodiscard]] programs::Figures counts() const {
        return {{"allocations", allocations_},
                {"frees", frees_},
                {"allocations_up_to_16", up_to_16_},
                {"allocations_17_to_32", from_17_to_32_},
                {"frees_from_1024", frees_from_1024_}};
    }

private:
    std::vector<std::size_t> bytes_;
    std::uint64_t allocations_ = 0;
    std::uint64_t frees_ = 0;
    std::uint64_t up_to_16_ = 0;
    std::uint64_t from_17_to_32_ = 0;
    std::uint64_t frees_from_1024_ = 0;
};

template <class Counts>
void run(std::vector<char*>& blocks, std::uint64_t iterations, std::uint64_t seed, Counts& counts) {
    programs::Random random(seed);
    const auto workset = static_cast<std::uint32_t>(blocks.size());
    for (std::uint64_t iteration = 0; iteration < iterations; ++iteration) {
        const std::uint32_t place = random.below(workset);
        if (blocks[place] != nullptr) {
            counts.release(place);
            std::free(blocks[place]);
            blocks[place] = nullptr;
        } else {
            const std::size_t bytes = smallest_bytes + random.below(size_count);
            counts.allocation(bytes);
            counts.at(place, bytes);
            blocks[place] = programs::allocate(bytes);
            *blocks[place] = static_cast<char>(iteration);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_random_mixed",
                                  "Frees and allocates blocks of 16 to 1040 bytes at random.");
    std::uint64_t iterations = 0;
    std::size_t workset = 256;
    std::uint64_t seed = 1;
    bool count_sizes = false;
    arguments.required("ITERATIONS", iterations, "mallocs and frees together",
                       programs::operations_range);
    arguments.optional("WORKSET", workset, "places for blocks (256)", programs::count_range);
    arguments.optional("--seed", seed, "of the random numbers", programs::any_range);
    arguments.flag("--count-sizes", count_sizes, "count the sizes that were asked for");
    return arguments.run(argc, argv, [&] {
        std::vector<char*> blocks(workset);
        SizeCounts counts(workset);
        NoCounts none;
        const programs::Meter meter;
        if (count_sizes) {
            run(blocks, iterations, seed, counts);
        } else {
            run(blocks, iterations, seed, none);
        }
        programs::Outcome outcome{iterations, meter.stop()};
        if (count_sizes) outcome.more = {{"sizes", counts.counts()}};
        for (char* const block : blocks) std::free(block);
        return outcome;
    });
}
