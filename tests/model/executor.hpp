/**
 * @file
 * Carries out steps on the subject and holds it to its promises.
 *
 * Each block is known by what the subject said of it and by the pattern that was written into it.
 * Whatever the subject returns is judged at once: alignment, usable size, overlap, zeroes; what it
 * keeps is judged when it is next touched. An executor is used by one thread at a time.
 */
#pragma once

#include <vector>

#include "reference.hpp"
#include "subject.hpp"
#include "trace.hpp"

namespace hakmem::model {

/** A block as its holder knows it. */
struct Block {
    void* start = nullptr;
    std::size_t size = 0;  // as requested
    std::size_t usable = 0;
    std::uint64_t seed = 0;  // of its pattern
    std::size_t alignment = 0;
    bool created = false;  // by operator new
};

class Executor {
public:
    /** Relaxed: allow what HAKMEM's contract forbids but some peers do. */
    Executor(const Subject& subject, Reference& reference, unsigned worker, bool relaxed);

    /** Carries out any step but thread steps and `give`. */
    void run(const Step& step);

    /** Hands a block out of its slot; it stays entered in the reference. */
    Block take(std::uint32_t slot);
    /** Puts a block that another executor handed out into a slot, once its contents are checked. */
    void adopt(std::uint32_t slot, const Block& block);
    /** Checks a block and frees it. */
    void free_block(const Block& block);
    void check_contents(const Block& block, std::size_t limit, const char* when) const;

private:
    Block& slot(std::uint32_t index);
    Block admit(void* start, std::size_t size, std::size_t alignment);
    void allocate(const Step& step);
    void reallocate(const Step& step);
    void ask_the_impossible(const Step& step);
    void fork_here(std::size_t generation);
    void live_in_child(std::size_t generation);

    const Subject& subject_;
    Reference& reference_;
    std::pmr::vector<Block> slots_;
    std::uint64_t next_seed_;
    bool relaxed_;
};

}  // namespace hakmem::model
