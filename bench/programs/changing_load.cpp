// bench_changing_load BURSTS
//
// A load that changes its ways: pairs of malloc and free, bursts of one size, bursts of another
// one, nothing at all, and the first bursts again. Each stage takes as many steps. Each step has
// the same time and, unless idle, as many calls: a program that is paced by what comes in. After
// every step the allocator, if it is one that can be asked, says what its magazines hold and did.
//
// A burst is 4,000 blocks that are freed in the order in which they came. They are allocated and
// freed in steps, so that a magazine is seen while it fills, empties and grows.
//
// That programs change their behaviour in stages, each steady for a while, is what Batson and
// Madison found ("Measurements of Major Locality Phases in Symbolic Reference Strings", 1976).
// Wilson, Johnstone, Neely and Boles ("Dynamic Storage Allocation: A Survey and Critical Review",
// 1995) ask allocators to exploit it.
#include "program.hpp"

#include <dlfcn.h>
#include <sys/mman.h>

#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;

enum class Load { none, pairs, bursts };

struct Stage {
    const char* name;
    Load load;
    std::size_t block_bytes;
};

constexpr Stage stages[] = {{"pairs of 64 B", Load::pairs, 64},
                            {"bursts of 64 B", Load::bursts, 64},
                            {"bursts of 256 B", Load::bursts, 256},
                            {"idle", Load::none, 0},
                            {"bursts of 64 B", Load::bursts, 64}};
constexpr const char* traced_bytes[] = {"64", "256"};
constexpr const char* traced_figures[] = {"capacity", "cached_blocks", "refills", "flushes"};

constexpr std::size_t burst_blocks = 4000;
constexpr std::size_t step_calls = 800;
constexpr std::size_t burst_steps = 2 * burst_blocks / step_calls;

/** Makes the calls of a step; returns how many. */
std::size_t make_calls(const Stage& stage, std::size_t step, std::vector<char*>& blocks) {
    if (stage.load == Load::none) return 0;
    if (stage.load == Load::pairs) {
        for (std::size_t pair = 0; pair < step_calls / 2; ++pair) {
            std::free(programs::allocate(stage.block_bytes));
        }
        return step_calls;
    }
    const std::size_t first = step * step_calls % burst_blocks;
    const bool frees = step % burst_steps >= burst_steps / 2;
    for (std::size_t place = first; place < first + step_calls; ++place) {
        if (frees) {
            std::free(blocks[place]);
        } else {
            blocks[place] = programs::allocate(stage.block_bytes);
        }
    }
    return step_calls;
}

/** Reports of HAKMEM's, one after each step. They are read when all is over: reading allocates. */
class Reports {
public:
    Reports()
        : report_(reinterpret_cast<int (*)(int, int)>(dlsym(RTLD_DEFAULT, "hakmem_report"))),
          file_(memfd_create("reports", MFD_CLOEXEC)) {}

    /** Takes one; nothing where another allocator serves the program. */
    void take() const {
        constexpr int json_format = 2;  // HAKMEM_REPORT_JSON
        if (report_ != nullptr && report_(json_format, file_) != 0) programs::give_up("no report");
    }

    /** Each figure of each traced class, step by step. */
    [[nodiscard]] Json columns() const {
        Json columns;
        std::ifstream lines("/proc/self/fd/" + std::to_string(file_));
        for (std::string line; std::getline(lines, line);) {
            std::map<std::string, Json> rows;
            const Json report = Json::parse(line);
            for (const Json& row : report["classes"]) {
                rows[row["block_bytes"].dump()] = row;
            }
            for (const char* figure : traced_figures) {
                for (const char* bytes : traced_bytes) {
                    const auto row = rows.try_emplace(bytes, Json::object()).first;
                    columns[figure][bytes].push_back(row->second.value(figure, 0));
                }
            }
        }
        return columns;
    }

private:
    int (*report_)(int, int);
    int file_;
};

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_changing_load",
                                  "Pairs, bursts, other bursts, nothing, bursts.");
    std::size_t bursts = 0;
    double step_milliseconds = 20;
    arguments.required("BURSTS", bursts, "of each stage", programs::count_range);
    arguments.optional("--step", step_milliseconds, "milliseconds of a step (20)", {0.0, 1000.0});
    return arguments.run(argc, argv, [&] {
        const std::size_t stage_steps = bursts * burst_steps;
        const std::chrono::duration<double, std::milli> step_time(step_milliseconds);
        std::vector<char*> blocks(burst_blocks);
        std::vector<std::int64_t> milliseconds{0};
        std::vector<std::size_t> calls{0};
        milliseconds.reserve(std::size(stages) * stage_steps + 1);
        calls.reserve(milliseconds.capacity());
        const Reports reports;
        reports.take();
        const programs::Meter meter;
        const auto begin = std::chrono::steady_clock::now();
        for (const Stage& stage : stages) {
            for (std::size_t step = 0; step < stage_steps; ++step) {
                calls.push_back(calls.back() + make_calls(stage, step, blocks));
                reports.take();
                std::this_thread::sleep_until(begin + step_time * milliseconds.size());
                const auto passed = std::chrono::steady_clock::now() - begin;
                milliseconds.push_back(
                    std::chrono::duration_cast<std::chrono::milliseconds>(passed).count());
            }
        }
        programs::Outcome outcome{calls.back(), meter.stop()};
        Json trace = reports.columns();
        if (trace.empty()) return outcome;
        for (const Stage& stage : stages) trace["stages"].push_back(stage.name);
        trace["milliseconds"] = milliseconds;
        trace["calls"] = calls;
        outcome.more = {{"trace", programs::Written{trace.dump()}}};
        return outcome;
    });
}
