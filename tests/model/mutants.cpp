#include "mutants.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "random.hpp"

namespace hakmem::model {

namespace {

const Subject& sound() { return real_subject(); }

std::uint64_t every_calls = 1;  // a fault shows at every so many calls
std::atomic<std::uint64_t> calls;
pid_t first_process;

// In a forked child any fault would show as that of the child, whatever its kind.
bool due() {
    return getpid() == first_process &&
           calls.fetch_add(1, std::memory_order_relaxed) % every_calls == every_calls - 1;
}

constexpr std::size_t held_bytes_min = 64;
constexpr std::size_t held_bytes_max = 4096;

/** One block that the program holds, remembered so that it can be wronged. A wrong is an increment:
 * a flipped bit would be set right by the next one. */
class Held {
public:
    void remember(void* block, std::size_t size) {
        if (block == nullptr || size < held_bytes_min || size > held_bytes_max) {
            return;
        }
        const std::lock_guard lock(mutex_);
        if (block_ == nullptr) {
            block_ = block;
            size_ = size;
            owner_ = pthread_self();
        }
    }

    /** Called before a block is freed or reallocated; true when it was the one. */
    bool forget(void* block) {
        const std::lock_guard lock(mutex_);
        if (block != block_) {
            return false;
        }
        block_ = nullptr;
        return true;
    }

    /** Calls wrong(block, size) while the block cannot be freed; false when none is held. */
    template <typename Wrong>
    bool with(Wrong wrong) {
        const std::lock_guard lock(mutex_);
        if (block_ == nullptr) {
            return false;
        }
        wrong(static_cast<char*>(block_), size_);
        return true;
    }

    /** The same, and then the block is held no longer; who frees it at that time comes after. */
    template <typename Wrong>
    void take(Wrong wrong) {
        const std::lock_guard lock(mutex_);
        if (block_ != nullptr) {
            wrong(static_cast<char*>(std::exchange(block_, nullptr)));
        }
    }

    bool is(void* block) {
        const std::lock_guard lock(mutex_);
        return block == block_;
    }

    bool is_of_another_thread(void* block) {
        const std::lock_guard lock(mutex_);
        return block != nullptr && block == block_ && pthread_equal(owner_, pthread_self()) == 0;
    }

private:
    std::mutex mutex_;
    void* block_ = nullptr;
    std::size_t size_ = 0;
    pthread_t owner_{};
};

Held held;

// malloc, free and realloc that keep `held` up to date and are otherwise sound.
void* watched_malloc(std::size_t size) {
    void* block = sound().malloc(size);
    held.remember(block, size);
    return block;
}

void watched_free(void* block) {
    held.forget(block);
    sound().free(block);
}

void* watched_realloc(void* block, std::size_t size) {
    held.forget(block);
    return sound().realloc(block, size);
}

void watch(Subject& subject) {
    subject.malloc = &watched_malloc;
    subject.free = &watched_free;
    subject.realloc = &watched_realloc;
}

// ---- what malloc may return

void plant_overlap(Subject& subject) {
    watch(subject);
    subject.malloc = [](std::size_t size) -> void* {
        void* inside = nullptr;
        if (due()) {
            held.with([&](char* block, std::size_t) { inside = block + held_bytes_min / 2; });
        }
        return inside != nullptr ? inside : watched_malloc(size);
    };
    // The sound allocator would name the inner pointer; a broken one would not.
    subject.usable_size = [](void* block) {
        std::size_t left = 0;
        held.with([&](char* start, std::size_t size) {
            const auto offset = static_cast<std::size_t>(static_cast<char*>(block) - start);
            left = offset != 0 && offset < size ? std::size_t{1} << 30U : 0;
        });
        return left != 0 ? left : sound().usable_size(block);
    };
}

void plant_twice(Subject& subject) {
    watch(subject);
    subject.malloc = [](std::size_t size) -> void* {
        void* again = nullptr;
        if (due()) {
            held.with([&](char* block, std::size_t held_size) {
                again = size <= held_size ? block : nullptr;
            });
        }
        return again != nullptr ? again : watched_malloc(size);
    };
}

void plant_null(Subject& subject) {
    subject.malloc = [](std::size_t size) -> void* {
        if (due()) {
            errno = ENOMEM;
            return nullptr;
        }
        return sound().malloc(size);
    };
}

void plant_short(Subject& subject) {
    subject.malloc = [](std::size_t size) {
        return sound().malloc(size > 1024 && due() ? size / 2 : size);
    };
}

void plant_crooked(Subject& subject) {
    subject.malloc = [](std::size_t size) -> void* {
        return due() ? static_cast<char*>(sound().malloc(size + 8)) + 8 : sound().malloc(size);
    };
}

void plant_misaligned(Subject& subject) {
    subject.aligned_alloc = [](std::size_t alignment, std::size_t size) -> void* {
        const bool wrong = alignment > 16 && size < SIZE_MAX / 2 && due();
        return wrong ? static_cast<char*>(sound().aligned_alloc(alignment, size + 16)) + 16
                     : sound().aligned_alloc(alignment, size);
    };
}

void plant_dirty(Subject& subject) {
    subject.calloc = [](std::size_t count, std::size_t size) {
        void* block = sound().calloc(count, size);
        if (block != nullptr && due()) {
            std::memset(block, 0x5a, count * size);
        }
        return block;
    };
}

void plant_crash(Subject& subject) {
    subject.malloc = [](std::size_t size) {
        if (due()) {
            std::raise(SIGSEGV);
        }
        return sound().malloc(size);
    };
}

// ---- what realloc may do

void plant_forgetful(Subject& subject) {
    subject.realloc = [](void* block, std::size_t size) {
        const std::size_t old_usable = sound().usable_size(block);
        auto* moved = static_cast<char*>(sound().realloc(block, size));
        const std::size_t kept = old_usable < size ? old_usable : size;
        if (moved != nullptr && kept >= 16 && due()) {
            std::memset(moved + kept - kept / 4, 0, kept / 4);
        }
        return static_cast<void*>(moved);
    };
}

void plant_stubborn(Subject& subject) {
    subject.realloc = [](void* block, std::size_t size) {
        const bool grows = size > sound().usable_size(block) && size <= PTRDIFF_MAX;
        return grows && due() ? block : sound().realloc(block, size);
    };
}

void plant_impatient(Subject& subject) {
    subject.realloc = [](void* block, std::size_t size) {
        if (size > PTRDIFF_MAX) {
            std::memset(block, 0, sound().usable_size(block) < 16 ? 1 : 16);
            sound().free(block);
            errno = ENOMEM;
            return static_cast<void*>(nullptr);
        }
        return sound().realloc(block, size);
    };
}

// ---- what happens to blocks that nobody touched

void plant_scribble(Subject& subject) {
    watch(subject);
    subject.free = [](void* block) {
        watched_free(block);
        if (due()) {
            held.with([](char* live, std::size_t size) { ++live[size - 1]; });
        }
    };
}

std::atomic<void*> freed_early;

// Whether the program now frees what was freed early. Nobody may free it again: the sound allocator
// would name the double free.
bool was_freed_early(void* block) {
    if (block == nullptr || held.forget(block)) {
        return false;
    }
    return freed_early.compare_exchange_strong(block, nullptr);
}

void plant_early_free(Subject& subject) {
    watch(subject);
    subject.free = [](void* block) {
        if (was_freed_early(block)) {
            return;
        }
        sound().free(block);
        if (freed_early.load() == nullptr && due()) {
            void* early = nullptr;
            held.take([&](char* live) { freed_early.store(early = live); });
            sound().free(early);
        }
    };
    subject.realloc = [](void* block, std::size_t size) -> void* {
        if (!was_freed_early(block)) {
            return sound().realloc(block, size);
        }
        return size != 0 ? watched_malloc(size) : nullptr;
    };
}

void plant_zeroing_trim(Subject& subject) {
    watch(subject);
    subject.trim = [] {
        held.with([](char* live, std::size_t size) { std::memset(live, 0, size); });
        return sound().trim();
    };
}

// Blocks whose usable size has been asked for; a collision only makes it forget one.
constexpr std::size_t asked_slots = 65536;
std::array<std::atomic<void*>, asked_slots> asked;

std::atomic<void*>& asked_slot(void* block) {
    return asked[scramble(reinterpret_cast<std::uintptr_t>(block)) % asked_slots];
}

void forget_asked(void* block) { asked_slot(block).compare_exchange_strong(block, nullptr); }

void plant_drifting_size(Subject& subject) {
    subject.free = [](void* block) {
        forget_asked(block);
        sound().free(block);
    };
    subject.destroy = [](void* block, std::size_t size, std::size_t alignment) {
        forget_asked(block);
        sound().destroy(block, size, alignment);
    };
    subject.realloc = [](void* block, std::size_t size) {
        forget_asked(block);
        return sound().realloc(block, size);
    };
    // Sound when a block is new, for the model fills all that it is told of; one more after that.
    subject.usable_size = [](void* block) {
        const bool again = asked_slot(block).exchange(block) == block;
        return sound().usable_size(block) + (again ? 1U : 0U);
    };
}

void plant_leaky(Subject& subject) {
    constexpr std::uint64_t kept_every = 16;  // one block alone would not be seen in a process
    subject.free = [](void* block) {
        static std::atomic<std::uint64_t> freed;
        if (freed.fetch_add(1, std::memory_order_relaxed) % kept_every != 0) {
            sound().free(block);
        }
    };
}

// ---- what a failure may look like

void plant_generous(Subject& subject) {
    subject.malloc = [](std::size_t size) {
        return sound().malloc(size > PTRDIFF_MAX ? 100 : size);
    };
}

void plant_wrapping(Subject& subject) {
    subject.calloc = [](std::size_t count, std::size_t size) {
        return sound().calloc(1, count * size);
    };
}

void plant_silent(Subject& subject) {
    subject.malloc = [](std::size_t size) {
        void* block = sound().malloc(size);
        if (block == nullptr) {
            errno = 0;
        }
        return block;
    };
}

void plant_loud_free(Subject& subject) {
    subject.free = [](void* block) {
        sound().free(block);
        if (due()) {
            errno = EAGAIN;
        }
    };
}

void plant_clinging(Subject& subject) {
    subject.realloc = [](void* block, std::size_t size) {
        return size == 0 ? block : sound().realloc(block, size);
    };
}

// ---- threads and processes

// Beside `held`, those whose free is waited for. Of one alone, some runs saw no free by another
// thread before all was over: few blocks are handed over, and a block may live as long as the run.
std::array<Held, 256> traced;

Held& traced_of(void* block) {
    return traced[scramble(reinterpret_cast<std::uintptr_t>(block)) % traced.size()];
}

void plant_remote(Subject& subject) {
    watch(subject);
    subject.malloc = [](std::size_t size) {
        void* block = watched_malloc(size);
        if (!held.is(block)) {
            traced_of(block).remember(block, size);
        }
        return block;
    };
    subject.realloc = [](void* block, std::size_t size) {
        traced_of(block).forget(block);
        return watched_realloc(block, size);
    };
    subject.free = [](void* block) {
        const bool remote = traced_of(block).is_of_another_thread(block);
        traced_of(block).forget(block);
        watched_free(block);
        if (remote) {
            held.with([](char* live, std::size_t size) { ++live[size / 2]; });
        }
    };
}

struct ScribblesAtEnd {
    bool armed = false;
    ~ScribblesAtEnd() {
        if (armed) {
            held.with([](char* live, std::size_t size) { ++live[size / 2]; });
        }
    }
};

void plant_thread_end(Subject& subject) {
    watch(subject);
    subject.malloc = [](std::size_t size) {
        static thread_local ScribblesAtEnd at_end;
        at_end.armed = true;
        return watched_malloc(size);
    };
}

void plant_fork(Subject& subject) {
    subject.malloc = [](std::size_t size) -> void* {
        return getpid() == first_process ? sound().malloc(size) : nullptr;
    };
}

void plant_doubt(Subject& subject) {
    subject.validate = [] { return 1; };
}

}  // namespace

const std::vector<Mutant>& mutants() {
    using enum Violation;
    static const std::vector<Mutant> all = {
        {"overlap",
         "returns the inside of a live block",
         {overlap, content_lost},
         1,
         &plant_overlap},
        {"twice", "returns a live block again", {overlap, content_lost}, 1, &plant_twice},
        {"null", "fails a sane request", {null_result}, 1, &plant_null},
        {"short", "returns half of what was asked for", {usable_short}, 1, &plant_short},
        {"crooked", "returns a block aligned to 8 only", {misaligned}, 1, &plant_crooked},
        {"misaligned", "aligned_alloc aligns to 16 only", {misaligned}, 1, &plant_misaligned},
        {"dirty", "calloc forgets to zero", {not_zero}, 1, &plant_dirty},
        {"crash", "crashes", {none}, 1, &plant_crash},
        {"forgetful", "realloc loses the end", {content_lost}, 1, &plant_forgetful},
        {"stubborn", "realloc does not grow", {usable_short}, 1, &plant_stubborn},
        {"impatient", "realloc that fails frees", {content_lost}, 1, &plant_impatient},
        {"scribble", "free writes into a neighbour", {content_lost}, 1, &plant_scribble},
        {"early_free",
         "free gives back a live block",
         {overlap, content_lost},
         1,
         &plant_early_free},
        {"zeroing_trim", "trim purges a live block", {content_lost}, 1, &plant_zeroing_trim},
        {"drifting_size", "usable size changes", {usable_changed}, 1, &plant_drifting_size},
        {"leaky", "free keeps some blocks", {resident}, 1, &plant_leaky},
        {"generous",
         "malloc grants more than PTRDIFF_MAX",
         {impossible_granted},
         1,
         &plant_generous},
        {"wrapping", "calloc's product wraps round", {impossible_granted}, 1, &plant_wrapping},
        {"silent", "malloc fails without errno", {wrong_errno}, 1, &plant_silent},
        {"loud_free", "free changes errno", {wrong_errno}, 1, &plant_loud_free},
        {"clinging", "realloc to 0 keeps the block", {realloc_zero}, 1, &plant_clinging},
        {"remote", "free by another thread touches a live block", {content_lost}, 2, &plant_remote},
        {"thread_end",
         "the end of a thread touches a live block",
         {content_lost},
         2,
         &plant_thread_end},
        {"fork", "malloc fails in a forked child", {fork_child}, 1, &plant_fork, true},
        {"doubt", "validate finds the heap broken", {validate_failed}, 1, &plant_doubt},
    };
    return all;
}

const Subject& make_mutant(const std::string& name, std::uint64_t every) {
    static Subject subject;
    for (const Mutant& mutant : mutants()) {
        if (name == mutant.name) {
            every_calls = every;
            first_process = getpid();
            subject = sound();
            mutant.plant(subject);
            return subject;
        }
    }
    throw std::out_of_range("no mutant is called " + name);
}

}  // namespace hakmem::model
