#include "shrink.hpp"

#include <algorithm>

namespace hakmem::model {

namespace {

using Clock = std::chrono::steady_clock;

class Shrinker {
public:
    Shrinker(const std::function<bool(const Trace&)>& fails, Clock::time_point deadline)
        : fails_(fails), deadline_(deadline) {}

    // Most failures need only what happened last.
    void keep_end(Trace& trace) {
        for (std::size_t kept = 64; kept < trace.size(); kept *= 8) {
            const Trace end(trace.end() - static_cast<std::ptrdiff_t>(kept), trace.end());
            if (in_time() && fails_(end)) {
                trace = end;
                return;
            }
        }
    }

    void remove_pieces(Trace& trace) {
        for (std::size_t piece = trace.size() / 2; piece > 0 && in_time();) {
            bool removed = false;
            // From the end: later steps depend on earlier ones, not the other way round.
            for (std::size_t end = trace.size(); end > 0 && in_time();) {
                const std::size_t from = end > piece ? end - piece : 0;
                if (try_without(trace, from, end)) {
                    removed = true;
                }
                end = from;
            }
            if (!removed || piece > trace.size()) {
                piece = std::min(piece / 2, trace.size() / 2);
            }
        }
    }

    void reduce_sizes(Trace& trace) {
        for (std::size_t i = 0; i < trace.size(); ++i) {
            for (std::size_t less = trace[i].size / 2; less > 0 && in_time(); less /= 2) {
                Trace candidate = trace;
                candidate[i].size -= less;
                if (fails_(candidate)) {
                    trace = candidate;
                    less = trace[i].size;  // halved again by the loop
                }
            }
        }
    }

private:
    bool in_time() const { return Clock::now() < deadline_; }

    bool try_without(Trace& trace, std::size_t from, std::size_t end) {
        Trace candidate(trace.begin(), trace.begin() + static_cast<std::ptrdiff_t>(from));
        candidate.insert(candidate.end(), trace.begin() + static_cast<std::ptrdiff_t>(end),
                         trace.end());
        if (!fails_(candidate)) {
            return false;
        }
        trace = std::move(candidate);
        return true;
    }

    const std::function<bool(const Trace&)>& fails_;
    Clock::time_point deadline_;
};

}  // namespace

Trace shrink(Trace trace, const std::function<bool(const Trace&)>& fails,
             std::chrono::seconds time) {
    Shrinker shrinker(fails, Clock::now() + time);
    shrinker.keep_end(trace);
    shrinker.remove_pieces(trace);
    shrinker.reduce_sizes(trace);
    return trace;
}

}  // namespace hakmem::model
