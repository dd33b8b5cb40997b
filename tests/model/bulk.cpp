#include "bulk.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "executor.hpp"
#include "private_memory.hpp"
#include "reference.hpp"
#include "violation.hpp"

namespace hakmem::model {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t mail_every = 64;  // operations
constexpr std::size_t mailbox_blocks_max = 2000;
constexpr std::uint64_t bytes_of_all_workers_max = std::uint64_t{96} << 20U;
constexpr std::uint64_t blocks_of_all_workers_max = 40000;

Profile profile_of(const BulkOptions& options) {
    Profile profile;
    profile.workers = options.workers;
    profile.live_blocks_max =
        std::min<std::size_t>(profile.live_blocks_max, blocks_of_all_workers_max / options.workers);
    profile.live_bytes_max =
        std::min<std::size_t>(profile.live_bytes_max, bytes_of_all_workers_max / options.workers);
    profile.trim_every = options.trim_every;
    profile.fork_every = options.fork_every;
    return profile;
}

/** Blocks on their way to a worker. */
class Mailbox {
public:
    bool put(const Block& block) {
        const std::lock_guard lock(mutex_);
        if (blocks_.size() >= mailbox_blocks_max) {
            return false;
        }
        blocks_.push_back(block);
        return true;
    }

    bool take(Block& block) {
        const std::lock_guard lock(mutex_);
        if (blocks_.empty()) {
            return false;
        }
        block = blocks_.back();
        blocks_.pop_back();
        return true;
    }

private:
    std::mutex mutex_;
    std::pmr::vector<Block> blocks_{private_memory()};
};

/** Where all workers wait for each other while the last one to come validates the heap. */
class Checkpoint {
public:
    Checkpoint(unsigned workers, int (*validate)()) : workers_(workers), validate_(validate) {}

    void arrive() {
        std::unique_lock lock(mutex_);
        if (++arrived_ == workers_) {
            if (validate_ != nullptr && validate_() != 0) {
                violate(Violation::validate_failed, "at checkpoint %llu",
                        static_cast<unsigned long long>(passed_ + 1));
            }
            arrived_ = 0;
            ++passed_;
            changed_.notify_all();
            return;
        }
        const std::uint64_t waiting_for = passed_ + 1;
        changed_.wait(lock, [&] { return passed_ >= waiting_for; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned workers_;
    unsigned arrived_ = 0;
    std::uint64_t passed_ = 0;
    int (*validate_)();
};

/** What the workers of a run share. */
struct Run {
    Run(const Subject& the_subject, const BulkOptions& the_options)
        : subject(the_subject),
          options(the_options),
          mailboxes(the_options.workers),
          checkpoint(the_options.workers, the_subject.validate) {}

    std::uint64_t share() const { return options.operations / options.workers; }
    std::uint64_t checkpoint_every() const {
        // A run that ends by the clock has workers of unequal length: they cannot meet.
        return options.seconds != 0 || options.checkpoints == 0
                   ? 0
                   : std::max<std::uint64_t>(share() / options.checkpoints, 1);
    }

    const Subject& subject;
    const BulkOptions& options;
    Reference reference;
    std::vector<Mailbox> mailboxes;
    Checkpoint checkpoint;
    Clock::time_point deadline = Clock::time_point::max();
};

class Worker {
public:
    Worker(Run& run, unsigned index, const SizeMix& sizes)
        : run_(run),
          index_(index),
          random_(scramble(run.options.seed) - index - 1),
          state_(private_memory()),
          generator_(run.options.seed, index, profile_of(run.options), sizes),
          executor_(run.subject, run.reference, index, run.options.relaxed) {}

    bool finished() const {
        return run_.options.seconds != 0 ? Clock::now() >= run_.deadline : done_ >= run_.share();
    }

    /** As many operations as one thread makes before it ends. */
    void work_generation() {
        // Several threads a worker, in a short run too.
        const std::uint64_t longest = std::clamp<std::uint64_t>(run_.share() / 8, 4000, 60000);
        const std::uint64_t generation = random_.between(longest / 30, longest);
        const std::uint64_t until = run_.options.seconds != 0
                                        ? done_ + generation
                                        : std::min(done_ + generation, run_.share());
        work(until);
    }

    void work(std::uint64_t until) {
        const std::uint64_t checkpoint_every = run_.checkpoint_every();
        while (done_ < until) {
            if (done_ % mail_every == 0) {
                receive();
            }
            const Step step = generator_.next(state_);
            ++done_;
            set_position(index_, done_, &step);
            if (index_ == 0) {
                note().operations.store(done_, std::memory_order_relaxed);
            }
            if (step.operation == Operation::give) {
                give(step);
            } else {
                executor_.run(step);
            }
            state_.apply(step);
            set_position(index_, done_, nullptr);
            if (checkpoint_every != 0 && done_ % checkpoint_every == 0) {
                run_.checkpoint.arrive();
            }
        }
    }

    /** Frees all that is left, from whichever thread calls. */
    void release() {
        while (!state_.live().empty()) {
            const Step step{Operation::free, 0, state_.live().back(), 0, 0};
            executor_.run(step);
            state_.apply(step);
        }
        Block block;
        while (run_.mailboxes[index_].take(block)) {
            executor_.free_block(block);
        }
    }

    std::uint64_t done() const { return done_; }
    std::uint64_t received() const { return received_; }

private:
    void give(const Step& step) {
        const Block block = executor_.take(step.slot);
        if (!run_.mailboxes[step.parameter].put(block)) {
            executor_.free_block(block);
        }
    }

    // Frees most of what came, keeps the rest to reallocate or pass it on.
    void receive() {
        Block block;
        while (run_.mailboxes[index_].take(block)) {
            ++received_;
            if (random_.below(3) != 0) {
                executor_.free_block(block);
            } else {
                const std::uint32_t slot = state_.free_slot();
                executor_.adopt(slot, block);
                state_.enter(slot, block.size, block.created);
            }
        }
    }

    Run& run_;
    unsigned index_;
    Random random_;
    TraceState state_;
    Generator generator_;
    Executor executor_;
    std::uint64_t done_ = 0;
    std::uint64_t received_ = 0;
};

/** Keeps one thread a worker running until each worker has finished. */
class Foreman {
public:
    std::uint64_t run(std::vector<std::unique_ptr<Worker>>& workers) {
        std::vector<std::thread> threads(workers.size());
        const auto start = [&](std::size_t i) {
            ++started_;
            threads[i] = std::thread([this, i, &workers] {
                workers[i]->work_generation();
                const std::lock_guard lock(mutex_);
                ended_.push_back(i);
                changed_.notify_one();
            });
        };
        for (std::size_t i = 0; i < workers.size(); ++i) {
            start(i);
        }
        for (std::size_t running = workers.size(); running > 0;) {
            const std::size_t i = wait_for_one();
            threads[i].join();
            if (workers[i]->finished()) {
                --running;
            } else {
                start(i);
            }
        }
        return started_;
    }

private:
    std::size_t wait_for_one() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !ended_.empty(); });
        const std::size_t i = ended_.back();
        ended_.pop_back();
        return i;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::pmr::vector<std::size_t> ended_{private_memory()};
    std::uint64_t started_ = 0;
};

std::uint64_t resident_bytes() {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

BulkResult run_once(const Subject& subject, const SizeMix& sizes, const BulkOptions& options) {
    BulkResult result;
    // The reference holds some hundred shards: too much for a stack, and no business of the heap.
    std::pmr::polymorphic_allocator<Run> allocator(private_memory());
    Run* run = allocator.allocate(1);
    std::construct_at(run, subject, options);
    run->deadline = Clock::now() + std::chrono::seconds(options.seconds);
    {
        std::vector<std::unique_ptr<Worker>> workers;
        for (unsigned i = 0; i < options.workers; ++i) {
            workers.push_back(std::make_unique<Worker>(*run, i, sizes));
        }
        if (options.workers == 1) {
            while (!workers[0]->finished()) {
                workers[0]->work_generation();
            }
        } else {
            result.threads = Foreman().run(workers);
        }
        for (const auto& worker : workers) {
            worker->release();
            result.operations += worker->done();
            result.handed_over += worker->received();
        }
    }
    if (run->reference.pieces() != 0) {
        violate(Violation::overlap, "the reference is not empty at the end");
    }
    std::destroy_at(run);
    allocator.deallocate(run, 1);
    subject.trim();
    if (subject.validate != nullptr && subject.validate() != 0) {
        violate(Violation::validate_failed, "with everything freed");
    }
    return result;
}

}  // namespace

BulkResult run_bulk(const Subject& subject, const SizeMix& sizes, const BulkOptions& options) {
    std::uint64_t before = 0;
    if (options.resident_bar) {
        // Code, stacks and tables that a first run touches are not what a leak looks like.
        BulkOptions warm_up = options;
        warm_up.seconds = 0;
        warm_up.operations = std::uint64_t{10000} * options.workers;
        warm_up.fork_every = 0;
        run_once(subject, sizes, warm_up);
    }
    before = resident_bytes();
    BulkResult result = run_once(subject, sizes, options);
    result.resident_before = before;
    result.resident_after = resident_bytes();
    const std::uint64_t bar = before + before / 10 + (std::uint64_t{1} << 20U);
    if (options.resident_bar && result.resident_after > bar) {
        violate(Violation::resident, "%llu bytes resident before, %llu after everything was freed",
                static_cast<unsigned long long>(before),
                static_cast<unsigned long long>(result.resident_after));
    }
    return result;
}

Trace retell(const SizeMix& sizes, const BulkOptions& options, std::uint64_t operations) {
    TraceState state;
    Generator generator(options.seed, 0, profile_of(options), sizes);
    Trace trace;
    trace.reserve(operations);
    while (trace.size() < operations) {
        trace.push_back(generator.next(state));
        state.apply(trace.back());
    }
    return trace;
}

}  // namespace hakmem::model
