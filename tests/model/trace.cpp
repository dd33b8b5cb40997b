#include "trace.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>

namespace hakmem::model {

namespace {

constexpr std::array<const char*, static_cast<std::size_t>(Operation::count_of_operations)> names =
    {"malloc",      "calloc",       "aligned_alloc", "posix_memalign",
     "memalign",    "new",          "realloc",       "free",
     "usable_size", "check",        "impossible",    "trim",
     "fork",        "start_thread", "end_thread",    "give"};

constexpr std::uint32_t slots_max = 1U << 20U;

bool needs_block(const Step& step) {
    switch (step.operation) {
        case Operation::realloc:
        case Operation::free:
        case Operation::usable_size:
        case Operation::check:
        case Operation::impossible:
        case Operation::give:
            return true;
        default:
            return false;
    }
}

// What operator new made may be neither reallocated nor, as the impossible requests do, asked to.
bool needs_malloced_block(const Step& step) {
    return step.operation == Operation::realloc || step.operation == Operation::impossible;
}

}  // namespace

const char* operation_name(Operation operation) {
    return names[static_cast<std::size_t>(operation)];
}

StepText::StepText(const Step& step) : text_() {
    std::snprintf(text_.data(), text_.size(), "%s %u %" PRIu32 " %zu %zu",
                  operation_name(step.operation), step.thread, step.slot, step.size,
                  step.parameter);
}

void write_trace(std::ostream& out, const Trace& trace) {
    out << "# operation thread slot size parameter\n";
    for (const Step& step : trace) {
        out << StepText(step).c_str() << '\n';
    }
}

Trace read_trace(std::istream& in) {
    Trace trace;
    std::string line;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
        if (line.empty() || line.front() == '#') {
            continue;
        }
        std::istringstream fields(line);
        std::string name;
        Step step;
        fields >> name >> step.thread >> step.slot >> step.size >> step.parameter;
        const auto* const found = std::find(names.begin(), names.end(), name);
        if (fields.fail() || found == names.end()) {
            throw std::runtime_error("line " + std::to_string(number) + " is no step: " + line);
        }
        step.operation = static_cast<Operation>(found - names.begin());
        trace.push_back(step);
    }
    return trace;
}

TraceState::TraceState(std::pmr::memory_resource* memory)
    : slots_(memory), live_(memory), empty_(memory) {}

bool TraceState::allows(const Step& step) const {
    if (step.thread >= trace_threads_max || step.slot >= slots_max) {
        return false;
    }
    if (step.operation == Operation::start_thread) {
        return !runs(step.thread);
    }
    if (!runs(step.thread)) {
        return false;
    }
    if (step.operation == Operation::end_thread) {
        return step.thread != 0;
    }
    if (step.allocates()) {
        return !is_live(step.slot);
    }
    if (needs_block(step) && !is_live(step.slot)) {
        return false;
    }
    return !needs_malloced_block(step) || !slots_[step.slot].created;
}

void TraceState::apply(const Step& step) {
    if (step.allocates()) {
        enter(step.slot, step.bytes(), step.operation == Operation::create);
        return;
    }
    switch (step.operation) {
        case Operation::realloc:
            if (step.size == 0) {
                remove(step.slot);
            } else {
                live_bytes_ += step.size - slots_[step.slot].size;
                slots_[step.slot].size = step.size;
            }
            break;
        case Operation::free:
        case Operation::give:
            remove(step.slot);
            break;
        case Operation::start_thread:
            running_ |= 1U << step.thread;
            break;
        case Operation::end_thread:
            running_ &= ~(1U << step.thread);
            break;
        default:
            break;
    }
}

void TraceState::enter(std::uint32_t slot, std::size_t size, bool created) {
    while (slots_.size() <= slot) {
        empty_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    // free_slot() offers the last empty one, so this search ends at once in a generated run.
    const auto found = std::find(empty_.rbegin(), empty_.rend(), slot);
    empty_.erase(std::next(found).base());
    slots_[slot] = {size, static_cast<std::uint32_t>(live_.size()), true, created};
    live_.push_back(slot);
    live_bytes_ += size;
}

void TraceState::remove(std::uint32_t slot) {
    Slot& gone = slots_[slot];
    live_bytes_ -= gone.size;
    const std::uint32_t moved = live_.back();
    live_[gone.position] = moved;
    slots_[moved].position = gone.position;
    live_.pop_back();
    gone.live = false;
    empty_.push_back(slot);
}

std::uint32_t TraceState::free_slot() const {
    return empty_.empty() ? static_cast<std::uint32_t>(slots_.size()) : empty_.back();
}

}  // namespace hakmem::model
