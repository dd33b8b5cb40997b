// bench_burst MIB [--seconds N] [--trim]
//
// Grows to so many mebibytes of mixed sizes, frees them all, and goes on with light traffic for
// some seconds: a server after its busiest hour, an editor after a large file was closed. What is
// resident is read at the start, right after the frees, after the traffic, and with --trim after
// malloc_trim, which is called then. The traffic sleeps between its turns, so that allocators that
// give memory back by the clock have the time to.
//
// What stays behind is the blowup that Berger et al. ("Hoard", 2000) bound and that Johnstone and
// Wilson ("The Memory Fragmentation Problem: Solved?", 1998) measure as the peak over the live
// bytes; that memory must go back when the load is over is the argument for the decay of jemalloc
// (Evans, 2015) and for Mesh (Powers, Tench, Berger and McGregor, 2019).
#include "program.hpp"

#include <malloc.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

namespace {

constexpr std::uint32_t smallest_bytes = 16;
constexpr std::uint32_t size_octaves = 12;  // up to 64 KiB, each octave as likely as the others
// Their mean is twice that; it bounds the list, which counts as resident at the start.
constexpr std::size_t mean_bytes_min = 4096;
constexpr std::size_t light_blocks = 1000;
constexpr int light_turn = 200;
constexpr auto light_pause = std::chrono::milliseconds(1);

/** Resident memory, exactly: the line of /proc/self/status lags by what each processor holds. */
long resident_kib() {
    std::ifstream sums("/proc/self/smaps_rollup");
    for (std::string line; std::getline(sums, line);) {
        if (line.starts_with("Rss:")) return std::atol(line.c_str() + 4);
    }
    return programs::Meter::status_kib("VmRSS:");
}

std::uint32_t some_size(programs::Random& random) {
    const std::uint32_t low = smallest_bytes << random.below(size_octaves);
    return random.between(low, 2 * low);
}

/** Replaces some of a few blocks now and then, until the time is over. */
void light_traffic(double seconds, std::vector<char*>& blocks) {
    // Numbers of its own: how many it takes depends on the clock, and the burst must not.
    programs::Random random(2);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
        for (int turn = 0; turn < light_turn; ++turn) {
            char*& block = blocks[random.below(light_blocks)];
            std::free(block);
            block = programs::allocate(random.between(smallest_bytes, 1024));
            *block = 1;
        }
        std::this_thread::sleep_for(light_pause);
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_burst",
                                  "A burst of blocks, and what stays resident of it.");
    std::uint64_t mebibytes = 0;
    double seconds = 3;
    bool trim = false;
    arguments.required("MIB", mebibytes, "of the burst", {1.0, 65536.0});
    arguments.optional("--seconds", seconds, "of light traffic after it (3)", {0.0, 3600.0});
    arguments.flag("--trim", trim, "call malloc_trim at the end");
    return arguments.run(argc, argv, [&] {
        programs::Random random(1);
        const std::uint64_t bytes = mebibytes << 20U;
        // The list and the light blocks are there from the start: they are no part of the burst.
        std::vector<char*> blocks(bytes / mean_bytes_min);
        std::vector<char*> light(light_blocks);
        light_traffic(0.02, light);
        programs::Figures read;
        read.push_back({"start_kib", resident_kib()});
        const programs::Meter meter;
        std::size_t count = 0;
        for (std::uint64_t live = 0; live < bytes && count < blocks.size(); ++count) {
            const std::uint32_t size = some_size(random);
            blocks[count] = programs::allocate(size);
            std::memset(blocks[count], 1, size);
            live += size;
        }
        read.push_back({"full_kib", resident_kib()});
        for (std::size_t left = count; left > 0; --left) {
            char*& victim = blocks[random.below(static_cast<std::uint32_t>(left))];
            std::free(victim);
            victim = blocks[left - 1];
        }
        read.push_back({"freed_kib", resident_kib()});
        programs::Outcome outcome{count, meter.stop()};
        light_traffic(seconds, light);
        read.push_back({"later_kib", resident_kib()});
        if (trim) {
            malloc_trim(0);
            read.push_back({"trimmed_kib", resident_kib()});
        }
        outcome.more = read;
        for (char* const block : light) std::free(block);
        return outcome;
    });
}
