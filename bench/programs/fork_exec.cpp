// bench_fork_exec PROCESSES [--live-bytes N]
//
// A process with a heap forks, the child allocates a little and becomes another program, and the
// parent goes on allocating while it runs: what shells, make and servers of the older kind do. It
// pays for the handlers of fork, for the pages that parent and child then copy, and for the start
// of the child's program under the same allocator. Times and faults are those of parent and
// children together.
//
// After lmbench (McVoy and Staelin, "lmbench: Portable Tools for Performance Analysis", 1996): it
// times fork with exec; the heap and the child's own allocations are what make it one of malloc.
#include "program.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <vector>

namespace {

constexpr std::uint32_t smallest_bytes = 16;
constexpr std::uint32_t largest_bytes = 2048;
constexpr int blocks_of_a_turn = 64;

void replace_some(std::vector<char*>& blocks, programs::Random& random) {
    for (int turn = 0; turn < blocks_of_a_turn; ++turn) {
        char*& block = blocks[random.below(static_cast<std::uint32_t>(blocks.size()))];
        std::free(block);
        block = programs::allocate(random.between(smallest_bytes, largest_bytes));
        *block = static_cast<char>(turn);
    }
}

[[noreturn]] void become_another_program(std::vector<char*>& blocks, programs::Random& random) {
    replace_some(blocks, random);
    char path[] = "/bin/true";
    char* const arguments[] = {path, nullptr};
    execve(path, arguments, environ);
    _exit(127);
}

/** Adds the times and faults of one meter to those of another; the peak stays that of the first. */
programs::Usage together(programs::Usage one, const programs::Usage& other) {
    one.user_seconds += other.user_seconds;
    one.system_seconds += other.system_seconds;
    one.minor_faults += other.minor_faults;
    one.major_faults += other.major_faults;
    return one;
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_fork_exec",
                                  "Forks a process with a heap and runs another program.");
    std::uint64_t processes = 0;
    std::size_t live_bytes = std::size_t{16} << 20U;
    arguments.required("PROCESSES", processes, "one after the other", programs::operations_range);
    arguments.optional("--live-bytes", live_bytes, "of the parent, about (16 MiB)",
                       programs::size_range);
    return arguments.run(argc, argv, [&] {
        std::vector<char*> blocks(2 * live_bytes / (smallest_bytes + largest_bytes) + 1);
        programs::Random random(1);
        for (char*& block : blocks) {
            block = programs::allocate(random.between(smallest_bytes, largest_bytes));
            *block = 1;
        }
        const programs::Meter own;
        const programs::Meter children(RUSAGE_CHILDREN);
        for (std::uint64_t started = 0; started < processes; ++started) {
            const pid_t child = fork();
            if (child < 0) programs::give_up("fork fails");
            if (child == 0) become_another_program(blocks, random);
            replace_some(blocks, random);
            int status = 0;
            if (waitpid(child, &status, 0) != child || status != 0) {
                programs::give_up("a child did not end well");
            }
        }
        programs::Outcome outcome{processes, together(own.stop(), children.stop())};
        for (char* const block : blocks) std::free(block);
        return outcome;
    });
}
