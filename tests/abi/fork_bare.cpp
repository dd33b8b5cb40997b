/**
 * @file fork_bare.cpp
 * @brief A child of _Fork, which runs no fork handlers, and whose main thread ends first.
 *
 * Such a child finds its heap held for a thread of the parent, and nothing has told it so. It may
 * start threads and allocate all the same; its main thread then leaves the heap to the next one,
 * which must not wait for ever for whoever holds it.
 */
#include <array>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int child_status = 5;

void use() {
    std::array<Block, 100> blocks;
    Random random(1);
    for (Block& block : blocks) {
        block.make(random.size(4 * kib), random.next());
    }
    for (Block& block : blocks) {
        block.release();
    }
}

void* use_in_thread(void*) {
    use();
    return nullptr;
}

pthread_t main_thread;

/** Waits until the main thread has left its heap, and starts who takes it over. */
void* outlive_main(void*) {
    thread_join(main_thread);
    for (int i = 0; i < 3; ++i) {
        thread_join(thread_start(use_in_thread));
    }
    use();
    subject_validate();
    ::_exit(child_status);
}

}  // namespace

int main() {
    subject_require();
    deadline(30);
    using Fork = pid_t();
    auto* const bare_fork = reinterpret_cast<Fork*>(dlsym(RTLD_DEFAULT, "_Fork"));
    if (bare_fork == nullptr) {
        return skipped_status;  // a C library before 2.34
    }
    use();
    for (int i = 0; i < 5; ++i) {
        const pid_t pid = bare_fork();
        CHECK_NE(pid, -1);
        if (pid == 0) {
            deadline(10);
            use();
            main_thread = pthread_self();
            thread_start(outlive_main);
            pthread_exit(nullptr);
        }
        expect_exit(pid, child_status);
    }
    use();
    subject_validate();
    return 0;
}
