#include "violation.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace hakmem::model {

namespace {

constexpr std::array<const char*, static_cast<std::size_t>(Violation::count_of_kinds)> names = {
    "none",
    "null_result",
    "misaligned",
    "usable_short",
    "usable_changed",
    "overlap",
    "not_zero",
    "content_lost",
    "impossible_granted",
    "wrong_errno",
    "realloc_zero",
    "fork_child",
    "validate_failed",
    "resident"};

Note private_note;
Note* current_note = &private_note;

struct Position {
    unsigned worker;
    std::uint64_t operation;
    const Step* step;
};
thread_local Position position = {0, 0, nullptr};

}  // namespace

const char* violation_name(Violation violation) {
    return names[static_cast<std::size_t>(violation)];
}

Note& note() { return *current_note; }

void use_note(int file_descriptor) {
    void* memory =
        mmap(nullptr, sizeof(Note), PROT_READ | PROT_WRITE, MAP_SHARED, file_descriptor, 0);
    if (memory == MAP_FAILED) {
        std::perror("model: note");
        std::exit(2);
    }
    current_note = static_cast<Note*>(memory);
}

void set_position(unsigned worker, std::uint64_t operation, const Step* step) {
    position = {worker, operation, step};
}

void violate(Violation violation, const char* format, ...) {
    static std::atomic_flag first;
    if (first.test_and_set()) {
        for (;;) {
            pause();  // the first violation is the cause, ours may be its consequence
        }
    }
    std::array<char, 600> what{};
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(what.data(), what.size(), format, arguments);
    va_end(arguments);
    char* text = note().text;
    int length =
        std::snprintf(text, sizeof note().text, "%s: %s", violation_name(violation), what.data());
    if (position.step != nullptr && length > 0) {
        const auto used = static_cast<std::size_t>(length);
        length += std::snprintf(text + used, sizeof note().text - used,
                                " [worker %u, operation %llu: %s]", position.worker,
                                static_cast<unsigned long long>(position.operation),
                                StepText(*position.step).c_str());
    }
    note().written.store(1);
    if (dprintf(STDERR_FILENO, "model: %s\n", text) < 0) {
        // Nothing is left to tell it to; the status still says it.
    }
    _exit(violation_status_base + static_cast<int>(violation));
}

}  // namespace hakmem::model
