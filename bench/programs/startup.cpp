// bench_startup PROCESSES
//
// Starts a program that ends at once, one after the other, under the preload of this one: what an
// allocator costs those who hardly use it. Time, faults and peak are those of the children.
#include "program.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

void start_and_wait() {
    char path[] = "/bin/true";
    char* const arguments[] = {path, nullptr};
    pid_t child = 0;
    if (posix_spawn(&child, path, nullptr, nullptr, arguments, environ) != 0) {
        programs::give_up("/bin/true does not start");
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
        programs::give_up("/bin/true did not end well");
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_startup", "Starts processes that end at once.");
    std::uint64_t processes = 0;
    arguments.required("PROCESSES", processes, "one after the other", programs::operations_range);
    return arguments.run(argc, argv, [&] {
        const programs::Meter meter(RUSAGE_CHILDREN);
        for (std::uint64_t started = 0; started < processes; ++started) start_and_wait();
        return programs::Outcome{processes, meter.stop()};
    });
}
