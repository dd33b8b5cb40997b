#include "state_machine.hpp"

#include <rapidcheck.h>
#include <rapidcheck/state.h>

#include <cstdlib>
#include <memory>

#include "trial.hpp"

namespace hakmem::model {

namespace {

constexpr std::uint32_t slots = 24;
constexpr unsigned threads = 4;

/** Collects the steps: a trial runs them all at once, in a process of its own. */
using Collected = Trace;

class StepCommand : public rc::state::Command<TraceState, Collected> {
public:
    explicit StepCommand(const Step& step) : step_(step) {}
    void checkPreconditions(const TraceState& state) const override { RC_PRE(state.allows(step_)); }
    void apply(TraceState& state) const override { state.apply(step_); }
    void run(const TraceState&, Collected& steps) const override { steps.push_back(step_); }
    void show(std::ostream& out) const override { out << StepText(step_).c_str(); }

private:
    Step step_;
};

using StepGen = rc::Gen<std::shared_ptr<const rc::state::Command<TraceState, Collected>>>;

rc::Gen<std::size_t> any_size(const SizeMix& sizes) {
    return rc::gen::weightedOneOf<std::size_t>(
        {{8, rc::gen::inRange<std::size_t>(0, 257)},
         {6, rc::gen::elementOf(sizes.boundaries())},
         {2, rc::gen::map(rc::gen::elementOf(sizes.boundaries()),
                          [](std::size_t size) { return size + 1; })},
         {2, rc::gen::inRange<std::size_t>(257, 4097)},
         {2, rc::gen::inRange<std::size_t>(4097, 65537)},
         {1, rc::gen::inRange<std::size_t>(65537, std::size_t{5} << 20U)}});
}

rc::Gen<std::size_t> any_alignment() {
    return rc::gen::map(rc::gen::weightedOneOf<unsigned>({{8, rc::gen::inRange(3U, 9U)},
                                                          {3, rc::gen::inRange(9U, 17U)},
                                                          {1, rc::gen::inRange(17U, 23U)}}),
                        [](unsigned bit) { return std::size_t{1} << bit; });
}

// A thread that runs: mostly the first, so that short traces need no others.
unsigned draw_running(const TraceState& state) {
    const unsigned thread = *rc::gen::weightedOneOf<unsigned>(
        {{2, rc::gen::just(0U)}, {3, rc::gen::inRange(0U, threads)}});
    return state.runs(thread) ? thread : 0;
}

Operation draw_operation() {
    return *rc::gen::weightedElement<Operation>({{12, Operation::malloc},
                                                 {4, Operation::calloc},
                                                 {2, Operation::aligned_alloc},
                                                 {1, Operation::posix_memalign},
                                                 {1, Operation::memalign},
                                                 {3, Operation::create},
                                                 {6, Operation::realloc},
                                                 {14, Operation::free},
                                                 {1, Operation::usable_size},
                                                 {2, Operation::check},
                                                 {1, Operation::impossible},
                                                 {1, Operation::trim},
                                                 {1, Operation::fork},
                                                 {3, Operation::start_thread},
                                                 {2, Operation::end_thread}});
}

Step draw_step(const TraceState& state, const SizeMix& sizes) {
    Step step;
    step.operation = draw_operation();
    step.thread = draw_running(state);
    if (step.operation == Operation::start_thread || step.operation == Operation::end_thread) {
        step.thread = *rc::gen::inRange(1U, threads);
        return step;
    }
    if (step.operation == Operation::trim || step.operation == Operation::fork) {
        return step;
    }
    if (step.allocates()) {
        step.slot = *rc::gen::inRange(0U, slots);
        step.size = *any_size(sizes);
    } else if (!state.live().empty()) {
        step.slot = *rc::gen::elementOf(
            std::vector<std::uint32_t>(state.live().begin(), state.live().end()));
    }
    if (step.operation == Operation::calloc) {
        step.parameter = *rc::gen::inRange<std::size_t>(1, 9);
        step.size /= step.parameter;
    } else if (step.operation == Operation::create) {
        step.parameter = *rc::gen::inRange(0, 4) == 3 ? *any_alignment() : 0;
    } else if (step.allocates() && step.operation != Operation::malloc) {
        step.parameter = *any_alignment();
    } else if (step.operation == Operation::realloc) {
        step.size = *any_size(sizes);
    } else if (step.operation == Operation::impossible) {
        step.parameter = *rc::gen::inRange<std::size_t>(0, impossible_kinds);
    }
    return step;
}

}  // namespace

StateResult check_state_machine(const SizeMix& sizes, const StateOptions& options) {
    const std::string parameters = "seed=" + std::to_string(options.seed) +
                                   " max_success=" + std::to_string(options.traces) +
                                   " max_size=" + std::to_string(options.steps_max);
    setenv("RC_PARAMS", parameters.c_str(), 1);  // RapidCheck's own way to be configured

    StateResult result;
    const auto next_step = [&sizes](const TraceState& state) -> StepGen {
        return rc::gen::exec([&sizes, state] {
            return std::shared_ptr<const rc::state::Command<TraceState, Collected>>(
                std::make_shared<const StepCommand>(draw_step(state, sizes)));
        });
    };
    result.held = rc::check("the heap keeps its promises on every trace", [&] {
        const TraceState initial;
        const auto commands = *rc::state::gen::commands(initial, next_step);
        Collected trace;
        rc::state::runAll(commands, initial, trace);
        const Outcome outcome = run_trace_trial(trace, options.trial_arguments, true);
        ++result.traces;
        result.steps += trace.size();
        if (!outcome.ok()) {
            if (result.shortest_failing.empty() || trace.size() < result.shortest_failing.size()) {
                result.shortest_failing = trace;
            }
            RC_FAIL(outcome.text);
        }
    });
    return result;
}

}  // namespace hakmem::model
