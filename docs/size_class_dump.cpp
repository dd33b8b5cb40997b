// Prints the size classes as JSON. docs/build.py compiles and runs it, so that the page shows the
// table that the library was compiled with.
#include <cstdio>

#include "base/size_class.hpp"

int main() {
    using namespace hakmem::base;
    std::printf("[");
    for (unsigned c = 1; c < class_count; c++) {
        const SizeClass& row = size_classes[c];
        std::printf("%s\n{\"class\": %u, ", c == 1 ? "" : ",", c);
        std::printf("\"block_bytes\": %u, \"slab_units\": %u, ", row.block_bytes, row.slab_units);
        std::printf("\"unit_bytes\": %zu, \"blocks\": %u, \"slab_slack\": %u}", unit_bytes,
                    row.blocks, row.slab_slack);
    }
    std::printf("\n]\n");
    return 0;
}
