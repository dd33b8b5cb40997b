// bench_fixed_size ITERATIONS SIZE WORKSET
//
// A work set of blocks of one size. Each iteration frees the block of the next place and allocates
// another one for it: after the first round each allocation follows a free of the same size, so
// ITERATIONS - WORKSET of them can be served from whatever a front keeps.
#include "program.hpp"

#include <vector>

int main(int argc, char** argv) {
    CLI::App app("Frees and allocates blocks of one size.", "bench_fixed_size");
    std::uint64_t iterations = 0;
    std::size_t size = 0;
    std::size_t workset = 0;
    app.add_option("ITERATIONS", iterations, "pairs of free and malloc")
        ->required()
        ->check(programs::operations_range);
    app.add_option("SIZE", size, "bytes of each block")->required()->check(programs::size_range);
    app.add_option("WORKSET", workset, "blocks alive at a time")
        ->required()
        ->check(programs::count_range);
    return programs::main_of(app, argc, argv, [&] {
        std::vector<char*> blocks(workset);
        const programs::Meter meter;
        std::size_t place = 0;
        for (std::uint64_t iteration = 0; iteration < iterations; ++iteration) {
            std::free(blocks[place]);
            char* const block = programs::allocate(size);
            *block = static_cast<char>(iteration);
            blocks[place] = block;
            if (++place == workset) place = 0;
        }
        programs::Outcome outcome{iterations, meter.stop()};
        for (char* const block : blocks) std::free(block);
        return outcome;
    });
}
