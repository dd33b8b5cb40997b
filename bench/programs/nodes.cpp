// bench_nodes ITERATIONS WORKSET
//
// What C++ containers do: nodes of one type come and go by new and delete, so that the size of each
// is a constant of the program. A work set of nodes; each iteration deletes the one of the next
// place and makes another. The same program exists linked with HAKMEM's archive, without and with
// -flto (bench_nodes_static, bench_nodes_lto).
#include "program.hpp"

#include <vector>

namespace {

struct Node {
    Node* next;
    std::uint64_t key;
    std::uint64_t values[4];
};

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_nodes", "Deletes and makes nodes of one type.");
    std::uint64_t iterations = 0;
    std::size_t workset = 0;
    arguments.required("ITERATIONS", iterations, "pairs of delete and new",
                       programs::operations_range);
    arguments.required("WORKSET", workset, "nodes alive at a time", programs::count_range);
    return arguments.run(argc, argv, [&] {
        std::vector<Node*> nodes(workset);
        const programs::Meter meter;
        std::size_t place = 0;
        for (std::uint64_t iteration = 0; iteration < iterations; ++iteration) {
            delete nodes[place];
            auto* const node = new Node;
            asm volatile("" : : "r"(node) : "memory");
            node->key = iteration;
            nodes[place] = node;
            if (++place == workset) place = 0;
        }
        programs::Outcome outcome{iterations, meter.stop()};
        for (Node* const node : nodes) delete node;
        return outcome;
    });
}
