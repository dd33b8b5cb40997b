// bench_fixed_size ITERATIONS SIZE WORKSET
//
// A work set of blocks of one size. Each iteration frees the block of the next place and allocates
// another one for it: after the first round each allocation follows a free of the same size, so
// ITERATIONS - WORKSET of them can be served from whatever a front keeps.
#include "program.hpp"

#include <vector>

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_fixed_size", "Frees and allocates blocks of one size.");
    std::uint64_t iterations = 0;
    std::size_t size = 0;
    std::size_t workset = 0;
    arguments.required("ITERATIONS", iterations, "pairs of free and malloc",
                       programs::operations_range);
    arguments.required("SIZE", size, "bytes of each block", programs::size_range);
    arguments.required("WORKSET", workset, "blocks alive at a time", programs::count_range);
    return arguments.run(argc, argv, [&] {
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
