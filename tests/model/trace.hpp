/**
 * @file
 * What a run does, step by step, without addresses.
 *
 * A step names a slot, never a pointer, so the same trace means the same on every allocator and can
 * be cut shorter: a step that makes no sense where it stands (free of an empty slot) is skipped.
 * TraceState knows which steps make sense. It depends on the steps alone, which is why a run can be
 * told again from its seed without an allocator.
 */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <memory_resource>
#include <ostream>
#include <vector>

namespace hakmem::model {

enum class Operation : std::uint8_t {
    malloc,          // size
    calloc,          // size of an element, parameter = count
    aligned_alloc,   // size, parameter = alignment
    posix_memalign,  // size, parameter = alignment
    memalign,        // size, parameter = alignment
    create,          // operator new: size, parameter = alignment or 0
    realloc,         // new size; 0 frees
    free,            // what create made goes through sized operator delete
    usable_size,     // must be what it was
    check,           // contents must be what they were
    impossible,      // parameter = which impossible request; must fail and change nothing
    trim,
    fork,
    start_thread,  // of the thread named; lock-step runs only
    end_thread,    // of the thread named; lock-step runs only
    give,          // to another worker, parameter = which; threaded runs only
    count_of_operations
};

inline constexpr unsigned trace_threads_max = 8;
inline constexpr std::size_t impossible_kinds = 8;

struct Step {
    Operation operation = Operation::trim;
    unsigned thread = 0;
    std::uint32_t slot = 0;
    std::size_t size = 0;
    std::size_t parameter = 0;

    bool allocates() const { return operation <= Operation::create; }
    /** Bytes of the block that the step asks for. */
    std::size_t bytes() const { return operation == Operation::calloc ? size * parameter : size; }
    bool operator==(const Step&) const = default;
};

const char* operation_name(Operation operation);

/** A step as one line of a trace file: operation thread slot size parameter. Allocates nothing. */
class StepText {
public:
    explicit StepText(const Step& step);
    const char* c_str() const { return text_.data(); }

private:
    std::array<char, 100> text_;
};

using Trace = std::vector<Step>;

void write_trace(std::ostream& out, const Trace& trace);

/** Reads what write_trace wrote; empty lines and lines that start with # are skipped. Throws
 * std::runtime_error naming the line that is none. */
Trace read_trace(std::istream& in);

/** Which slots hold a block and which threads run, after the steps applied so far. */
class TraceState {
public:
    explicit TraceState(std::pmr::memory_resource* memory = std::pmr::get_default_resource());

    struct Slot {
        std::size_t size = 0;
        std::uint32_t position = 0;  // in live()
        bool live = false;
        bool created = false;  // by operator new: only operator delete may end it
    };

    bool allows(const Step& step) const;
    void apply(const Step& step);

    /** Enters a block that came from another worker. */
    void enter(std::uint32_t slot, std::size_t size, bool created);

    /** A slot that holds nothing. */
    std::uint32_t free_slot() const;
    const Slot& slot(std::uint32_t index) const { return slots_[index]; }
    /** The slots that hold a block, in no particular order but the newest last. */
    const std::pmr::vector<std::uint32_t>& live() const { return live_; }
    std::size_t live_bytes() const { return live_bytes_; }
    bool runs(unsigned thread) const { return (running_ >> thread & 1U) != 0; }

private:
    void remove(std::uint32_t slot);
    bool is_live(std::uint32_t slot) const { return slot < slots_.size() && slots_[slot].live; }

    std::pmr::vector<Slot> slots_;
    std::pmr::vector<std::uint32_t> live_;
    std::pmr::vector<std::uint32_t> empty_;  // slots below slots_.size() that are not live
    std::size_t live_bytes_ = 0;
    unsigned running_ = 1;  // a bit a thread; thread 0 always runs
};

}  // namespace hakmem::model
