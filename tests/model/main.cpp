/**
 * @file
 * The model test: random traces on the allocator against a reference.
 *
 *     model bulk     millions of operations from a seed, on any number of threads
 *     model state    short traces with threads, drawn and shrunk by RapidCheck
 *     model replay   a trace file
 *     model mutants  proves that each kind of fault is found
 */
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <random>
#include <string>

#include "bulk.hpp"
#include "lockstep.hpp"
#include "mutants.hpp"
#include "shrink.hpp"
#include "state_machine.hpp"
#include "trial.hpp"

namespace {

using namespace hakmem::model;

constexpr int failed = 1;

struct Options {
    BulkOptions bulk;
    bool seed_given = false;
    bool here = false;  // run in this process, without a watching one
    bool require_hakmem = false;
    bool fork_alone = false;  // only where the process has one thread
    unsigned watchdog_seconds = 0;
    int note_descriptor = -1;
    std::string mutant;
    std::uint64_t mutant_every = 10000;
    std::string trace_file;
    std::string trace_out = "model-failure.trace";
    std::uint64_t validate_every = 0;
    unsigned traces = 200;
    unsigned steps_max = 200;
    std::uint64_t shrink_seconds = 120;
    std::size_t expect_steps_max = 0;
};

const Subject& subject_of(const Options& options) {
    return options.mutant.empty() ? real_subject()
                                  : make_mutant(options.mutant, options.mutant_every);
}

// What a trial must be told to be the same run.
std::vector<std::string> common_arguments(const Options& options) {
    std::vector<std::string> arguments;
    if (!options.mutant.empty()) {
        arguments = {"--mutant", options.mutant, "--mutant-every",
                     std::to_string(options.mutant_every)};
    }
    if (options.bulk.relaxed) {
        arguments.emplace_back("--relaxed");
    }
    return arguments;
}

std::vector<std::string> bulk_arguments(const Options& options) {
    std::vector<std::string> arguments = common_arguments(options);
    const BulkOptions& bulk = options.bulk;
    arguments.insert(
        arguments.begin(),
        {"bulk", "--seed", std::to_string(bulk.seed), "--ops", std::to_string(bulk.operations),
         "--threads", std::to_string(bulk.workers), "--seconds", std::to_string(bulk.seconds),
         "--checkpoints", std::to_string(bulk.checkpoints), "--trim-every",
         std::to_string(bulk.trim_every), "--fork-every", std::to_string(bulk.fork_every)});
    if (bulk.resident_bar) {
        arguments.emplace_back("--resident-bar");
    }
    return arguments;
}

std::string joined(const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& word : words) {
        line += " " + word;
    }
    return line;
}

void save_trace(const Trace& trace, const std::string& file) {
    std::ofstream out(file);
    write_trace(out, trace);
    std::printf("model: %zu steps written to %s; again with: model replay %s\n", trace.size(),
                file.c_str(), file.c_str());
    if (trace.size() <= 40) {
        for (const Step& step : trace) {
            std::printf("    %s\n", StepText(step).c_str());
        }
    }
}

// A failed run of one worker follows from its seed: tell it again as a trace and make that short.
int shrink_failure(const Options& options, const SizeMix& sizes, const Outcome& first) {
    const Trace whole = retell(sizes, options.bulk, first.operations);
    std::vector<std::string> arguments = common_arguments(options);
    arguments.insert(arguments.end(), {"--watchdog", "120"});
    const auto fails = [&](const Trace& trace) {
        return run_trace_trial(trace, arguments, true).same_end(first);
    };
    std::printf("model: looking for a shorter trace than %zu steps\n", whole.size());
    const Trace shortest = shrink(whole, fails, std::chrono::seconds(options.shrink_seconds));
    save_trace(shortest, options.trace_out);
    const bool short_enough =
        options.expect_steps_max != 0 && shortest.size() <= options.expect_steps_max;
    return short_enough ? 0 : failed;
}

int run_bulk_here(const Options& options, const SizeMix& sizes) {
    const auto begin = std::chrono::steady_clock::now();
    const BulkResult result = run_bulk(subject_of(options), sizes, options.bulk);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    std::printf(
        "model: %llu operations by %u worker%s held; seed %llu, %llu threads started, "
        "%llu blocks handed over, %.1f s, resident %llu KiB before and %llu KiB after\n",
        static_cast<unsigned long long>(result.operations), options.bulk.workers,
        options.bulk.workers == 1 ? "" : "s", static_cast<unsigned long long>(options.bulk.seed),
        static_cast<unsigned long long>(result.threads),
        static_cast<unsigned long long>(result.handed_over), time.count(),
        static_cast<unsigned long long>(result.resident_before / 1024),
        static_cast<unsigned long long>(result.resident_after / 1024));
    return 0;
}

int bulk(const Options& options) {
    const SizeMix sizes(real_subject());
    if (options.here) {
        return run_bulk_here(options, sizes);
    }
    std::vector<std::string> arguments = bulk_arguments(options);
    std::printf("model: on %s:%s\n", real_subject_name().c_str(), joined(arguments).c_str());
    std::fflush(stdout);
    arguments.emplace_back("--here");
    const Outcome outcome = run_trial(arguments, false);
    if (outcome.ok()) {
        return 0;
    }
    std::printf("model: FAILED, seed %llu: %s\n",
                static_cast<unsigned long long>(options.bulk.seed), outcome.text.c_str());
    if (options.bulk.workers != 1 || options.bulk.seconds != 0 || outcome.operations == 0) {
        return failed;
    }
    return shrink_failure(options, sizes, outcome);
}

int replay(const Options& options) {
    std::ifstream in(options.trace_file);
    if (!in) {
        std::fprintf(stderr, "model: cannot read %s\n", options.trace_file.c_str());
        return 2;
    }
    const Trace trace = read_trace(in);
    const std::uint64_t done =
        run_lockstep(subject_of(options), trace, {options.validate_every, options.bulk.relaxed});
    std::printf("model: %llu of %zu steps replayed, all held\n",
                static_cast<unsigned long long>(done), trace.size());
    return 0;
}

int state(const Options& options) {
    const SizeMix sizes(real_subject());
    StateOptions machine;
    machine.seed = options.bulk.seed;
    machine.traces = options.traces;
    machine.steps_max = options.steps_max;
    machine.trial_arguments = common_arguments(options);
    machine.trial_arguments.insert(
        machine.trial_arguments.end(),
        {"--validate-every", std::to_string(options.validate_every), "--watchdog", "120"});
    std::printf("model: on %s: state --seed %llu --traces %u --steps %u\n",
                real_subject_name().c_str(), static_cast<unsigned long long>(machine.seed),
                machine.traces, machine.steps_max);
    std::fflush(stdout);
    const StateResult result = check_state_machine(sizes, machine);
    std::printf("model: %llu traces of %llu steps in all\n",
                static_cast<unsigned long long>(result.traces),
                static_cast<unsigned long long>(result.steps));
    if (result.held) {
        return 0;
    }
    save_trace(result.shortest_failing, options.trace_out);
    const bool short_enough =
        options.expect_steps_max != 0 && result.shortest_failing.size() <= options.expect_steps_max;
    return short_enough ? 0 : failed;
}

bool is_found(const Mutant& mutant, const Options& options, unsigned workers) {
    Options run = options;
    run.mutant = mutant.name;
    run.bulk.workers = workers;
    std::vector<std::string> arguments = bulk_arguments(run);
    arguments.insert(arguments.end(), {"--here", "--watchdog", "120"});
    const Outcome outcome = run_trial(arguments, true);
    const bool found = !outcome.ok() && std::count(mutant.expected.begin(), mutant.expected.end(),
                                                   outcome.violation()) != 0;
    std::printf("%s %-14s %u worker%s %-45s %s\n", found ? "found " : "MISSED", mutant.name,
                workers, workers == 1 ? " " : "s", mutant.fault,
                outcome.text.substr(0, 100).c_str());
    std::fflush(stdout);
    return found;
}

int find_mutants(const Options& options) {
    std::printf("model: faults planted into %s\n", real_subject_name().c_str());
    const bool forks_with_threads = !options.fork_alone;
    unsigned missed = 0;
    for (const Mutant& mutant : mutants()) {
        if (mutant.expected.front() == Violation::resident && !options.bulk.resident_bar) {
            std::printf("left out %s: it shows only against --resident-bar\n", mutant.name);
            continue;
        }
        for (unsigned workers = 1; workers <= 2; ++workers) {
            if (workers < mutant.workers ||
                (workers > 1 && mutant.needs_fork && !forks_with_threads)) {
                continue;
            }
            Options run = options;
            run.bulk.fork_every = workers == 1 || forks_with_threads ? options.bulk.fork_every : 0;
            if (!is_found(mutant, run, workers)) {
                ++missed;
            }
        }
    }
    // The sound allocator must hold where the mutants fail, or finding them proves nothing.
    std::vector<std::string> arguments = bulk_arguments(options);
    arguments.insert(arguments.end(), {"--here", "--watchdog", "120"});
    const Outcome sound = run_trial(arguments, false);
    std::printf("model: %zu mutants, %u missed; without a fault the run %s\n", mutants().size(),
                missed, sound.ok() ? "holds" : "FAILS");
    return missed == 0 && sound.ok() ? 0 : failed;
}

void add_common_options(CLI::App& app, Options& options) {
    app.add_flag("--relaxed", options.bulk.relaxed,
                 "Allow what some peers do: alignment of 8, a failure without errno, a block "
                 "from realloc to 0");
    app.add_flag("--require-hakmem", options.require_hakmem,
                 "Fail when the allocator is not HAKMEM (a preload that did not happen)");
    app.add_option("--mutant", options.mutant, "Plant a fault; see the list of `mutants`");
    app.add_option("--mutant-every", options.mutant_every, "Calls until the fault shows");
    app.add_option("--watchdog", options.watchdog_seconds, "Seconds until the run is killed");
    app.add_option("--trace-out", options.trace_out, "Where a failing trace is written");
    app.add_option("--expect-steps-max", options.expect_steps_max,
                   "Succeed only if the run fails and shrinks to at most so many steps");
    app.add_option("--note", options.note_descriptor)->group("");
}

void add_seed(CLI::App& app, Options& options) {
    app.add_option("--seed", options.bulk.seed, "Seed; drawn at random when left out")
        ->each([&options](const std::string&) { options.seed_given = true; });
}

void add_bulk_options(CLI::App& app, Options& options) {
    add_seed(app, options);
    app.add_option("--ops", options.bulk.operations, "Operations of all threads together");
    app.add_option("--threads", options.bulk.workers, "Workers; each is a sequence of threads")
        ->check(CLI::Range(1, 256));
    app.add_option("--seconds", options.bulk.seconds, "Run so long instead of --ops");
    app.add_option("--checkpoints", options.bulk.checkpoints, "Validations of the whole heap");
    app.add_option("--trim-every", options.bulk.trim_every, "Operations per trim; 0: none");
    app.add_option("--fork-every", options.bulk.fork_every, "Operations per fork; 0: none");
    app.add_flag("--resident-bar", options.bulk.resident_bar,
                 "Resident memory must come back to its start, plus 10 % and 1 MiB");
    app.add_option("--shrink-seconds", options.shrink_seconds, "Time for a shorter trace");
    app.add_flag("--here", options.here)->group("");
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Random traces on an allocator against a reference");
    app.require_subcommand(1);
    CLI::App* bulk_command = app.add_subcommand("bulk", "Millions of operations from a seed");
    CLI::App* state_command = app.add_subcommand("state", "Short traces, drawn and shrunk");
    CLI::App* replay_command = app.add_subcommand("replay", "The steps of a trace file");
    CLI::App* mutants_command = app.add_subcommand("mutants", "Find every planted fault");
    for (CLI::App* command : {bulk_command, state_command, replay_command, mutants_command}) {
        add_common_options(*command, options);
    }
    add_bulk_options(*bulk_command, options);
    add_bulk_options(*mutants_command, options);
    mutants_command->add_flag("--fork-alone", options.fork_alone,
                              "Do not fork a process that has threads");
    add_seed(*state_command, options);
    state_command->add_option("--traces", options.traces, "Traces to draw");
    state_command->add_option("--steps", options.steps_max, "Steps of the longest trace");
    for (CLI::App* command : {state_command, replay_command}) {
        command->add_option("--validate-every", options.validate_every, "Steps per validation");
    }
    replay_command->add_option("file", options.trace_file, "Trace file")->required();
    CLI11_PARSE(app, argc, argv);

    if (options.note_descriptor >= 0) {
        use_note(options.note_descriptor);
    }
    if (options.watchdog_seconds != 0) {
        alarm(options.watchdog_seconds);
    }
    if (!options.seed_given) {
        options.bulk.seed = std::random_device{}();
    }
    if (options.require_hakmem && !real_subject_is_hakmem()) {
        std::fprintf(stderr, "model: this is %s\n", real_subject_name().c_str());
        return 2;
    }
    try {
        return bulk_command->parsed()     ? bulk(options)
               : state_command->parsed()  ? state(options)
               : replay_command->parsed() ? replay(options)
                                          : find_mutants(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "model: %s\n", error.what());
        return 2;
    }
}
