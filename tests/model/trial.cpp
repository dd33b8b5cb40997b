#include "trial.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace hakmem::model {

namespace {

/** A file in memory that a started program inherits. */
class InheritedFile {
public:
    explicit InheritedFile(const char* name) : descriptor_(memfd_create(name, 0)) {
        if (descriptor_ < 0) {
            std::perror("model: memfd_create");
            std::exit(2);
        }
    }
    ~InheritedFile() { close(descriptor_); }
    InheritedFile(const InheritedFile&) = delete;
    InheritedFile& operator=(const InheritedFile&) = delete;

    int descriptor() const { return descriptor_; }
    std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

private:
    int descriptor_;
};

int spawn_and_wait(const std::vector<std::string>& arguments, bool quiet) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (quiet) {
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    pid_t child = 0;
    const int error =
        posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    if (error != 0 || waitpid(child, &status, 0) != child) {
        std::fprintf(stderr, "model: cannot start a trial: %s\n", std::strerror(error));
        std::exit(2);
    }
    return status;
}

}  // namespace

Violation Outcome::violation() const {
    return WIFEXITED(wait_status) && is_violation_status(WEXITSTATUS(wait_status))
               ? static_cast<Violation>(WEXITSTATUS(wait_status) - violation_status_base)
               : Violation::none;
}

bool Outcome::same_end(const Outcome& other) const {
    return (wait_status & ~0x80) == (other.wait_status & ~0x80);  // 0x80: a core was dumped
}

Outcome run_trial(const std::vector<std::string>& arguments, bool quiet) {
    const InheritedFile file("model-note");
    if (ftruncate(file.descriptor(), sizeof(Note)) != 0) {
        std::perror("model: note");
        std::exit(2);
    }
    std::vector<std::string> all = {"model"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.insert(all.end(), {"--note", std::to_string(file.descriptor())});

    Outcome outcome;
    outcome.wait_status = spawn_and_wait(all, quiet);
    void* memory = mmap(nullptr, sizeof(Note), PROT_READ, MAP_SHARED, file.descriptor(), 0);
    if (memory != MAP_FAILED) {
        const Note& told = *static_cast<const Note*>(memory);
        outcome.operations = told.operations.load();
        outcome.text = told.written.load() != 0 ? told.text : "";
        munmap(memory, sizeof(Note));
    }
    if (WIFSIGNALED(outcome.wait_status)) {
        outcome.text = std::string("ended by signal: ") + strsignal(WTERMSIG(outcome.wait_status));
    } else if (!outcome.ok() && outcome.text.empty()) {
        outcome.text = "ended with status " + std::to_string(WEXITSTATUS(outcome.wait_status));
    }
    return outcome;
}

Outcome run_trace_trial(const Trace& trace, const std::vector<std::string>& arguments, bool quiet) {
    const InheritedFile file("model-trace");
    std::ofstream out(file.path());
    write_trace(out, trace);
    out.close();
    std::vector<std::string> all = {"replay", file.path()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_trial(all, quiet);
}

}  // namespace hakmem::model
