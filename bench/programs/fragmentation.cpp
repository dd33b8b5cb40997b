// bench_fragmentation OPERATIONS [--live-bytes N]
//
// The bytes alive stay about the same while the sizes drift: a window of sizes wanders from small
// to large and back. Blocks that stay behind keep pages of sizes that nobody asks for any more.
// Besides the usual figures it prints what is resident at the end, and what was asked for of that.
#include "program.hpp"

#include <cstring>
#include <utility>
#include <vector>

namespace {

constexpr std::uint32_t smallest_bytes = 16;
constexpr std::uint32_t window_factor = 4;
constexpr std::uint32_t window_count = 8;  // the last one ends at 16 * 2^7 * 4 bytes
constexpr std::uint64_t drifts = 4;

/** The lower end of the window of sizes at a moment: up and down again. */
std::uint32_t window_bytes(std::uint64_t operation, std::uint64_t operations) {
    const std::uint64_t step = operation * 2 * window_count * drifts / operations;
    const auto place = static_cast<std::uint32_t>(step % (2 * window_count));
    return smallest_bytes << (place < window_count ? place : 2 * window_count - 1 - place);
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_fragmentation",
                                  "Sizes that drift while the bytes alive stay the same.");
    std::uint64_t operations = 0;
    std::size_t live_bytes = std::size_t{32} << 20U;
    arguments.required("OPERATIONS", operations, "allocations", programs::operations_range);
    arguments.optional("--live-bytes", live_bytes, "that are held at a time (32 MiB)",
                       programs::size_range);
    return arguments.run(argc, argv, [&] {
        std::vector<std::pair<char*, std::uint32_t>> blocks;
        blocks.reserve(live_bytes / smallest_bytes);
        programs::Random random(1);
        std::size_t live = 0;
        const programs::Meter meter;
        for (std::uint64_t operation = 0; operation < operations; ++operation) {
            const std::uint32_t low = window_bytes(operation, operations);
            const std::uint32_t bytes = random.between(low, low * window_factor);
            while (live + bytes > live_bytes && !blocks.empty()) {
                auto& victim = blocks[random.below(static_cast<std::uint32_t>(blocks.size()))];
                std::free(victim.first);
                live -= victim.second;
                victim = blocks.back();
                blocks.pop_back();
            }
            char* const block = programs::allocate(bytes);
            std::memset(block, 1, bytes);
            blocks.emplace_back(block, bytes);
            live += bytes;
        }
        programs::Outcome outcome{operations, meter.stop()};
        outcome.more = {{"resident_kib", programs::Meter::status_kib("VmRSS:")},
                        {"live_kib", live / 1024}};
        for (const auto& block : blocks) std::free(block.first);
        return outcome;
    });
}
