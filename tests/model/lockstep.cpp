#include "lockstep.hpp"

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "executor.hpp"
#include "private_memory.hpp"
#include "violation.hpp"

namespace hakmem::model {

namespace {

/** A thread that carries out one step at a time while its owner waits. */
class Mate {
public:
    Mate(Executor& executor, unsigned index)
        : executor_(executor), index_(index), thread_([this] { serve(); }) {}

    ~Mate() {
        hand(nullptr, 0);
        thread_.join();
    }

    Mate(const Mate&) = delete;
    Mate& operator=(const Mate&) = delete;

    void carry_out(const Step& step, std::uint64_t operation) {
        hand(&step, operation);
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !has_work_; });
    }

private:
    void hand(const Step* step, std::uint64_t operation) {
        const std::lock_guard lock(mutex_);
        step_ = step;
        operation_ = operation;
        has_work_ = true;
        changed_.notify_all();
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return has_work_; });
            if (step_ == nullptr) {
                return;
            }
            set_position(index_, operation_, step_);
            executor_.run(*step_);
            has_work_ = false;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    Executor& executor_;
    unsigned index_;
    const Step* step_ = nullptr;
    std::uint64_t operation_ = 0;
    bool has_work_ = false;
    std::thread thread_;
};

class Lockstep {
public:
    Lockstep(const Subject& subject, const LockstepOptions& options)
        : subject_(subject),
          options_(options),
          executor_(subject, reference_, 0, options.relaxed) {}

    void run(const Step& step) {
        if (!state_.allows(step) || step.operation == Operation::give) {
            return;
        }
        ++done_;
        note().operations.store(done_, std::memory_order_relaxed);
        set_position(0, done_, &step);
        if (step.operation == Operation::start_thread) {
            mates_[step.thread].emplace(executor_, step.thread);
        } else if (step.operation == Operation::end_thread) {
            mates_[step.thread].reset();
        } else if (step.thread != 0) {
            mates_[step.thread]->carry_out(step, done_);
        } else {
            executor_.run(step);
        }
        state_.apply(step);
        if (options_.validate_every != 0 && done_ % options_.validate_every == 0) {
            validate("between steps");
        }
        set_position(0, done_, nullptr);
    }

    void release() {
        while (!state_.live().empty()) {
            run({Operation::free, 0, state_.live().back(), 0, 0});
        }
        for (auto& mate : mates_) {
            mate.reset();
        }
        validate("with everything freed");
    }

    std::uint64_t done() const { return done_; }

private:
    void validate(const char* when) {
        if (subject_.validate != nullptr && subject_.validate() != 0) {
            violate(Violation::validate_failed, "%s", when);
        }
    }

    const Subject& subject_;
    LockstepOptions options_;
    Reference reference_;
    Executor executor_;
    TraceState state_{private_memory()};
    std::array<std::optional<Mate>, trace_threads_max> mates_;
    std::uint64_t done_ = 0;
};

}  // namespace

std::uint64_t run_lockstep(const Subject& subject, const Trace& trace,
                           const LockstepOptions& options) {
    const auto lockstep = std::make_unique<Lockstep>(subject, options);
    for (const Step& step : trace) {
        lockstep->run(step);
    }
    const std::uint64_t done = lockstep->done();
    lockstep->release();
    return done;
}

}  // namespace hakmem::model
