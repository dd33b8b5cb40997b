/**
 * @file fork_workers.cpp
 * @brief A library's handler of fork waits for threads that allocate, and for their end.
 *
 * If the allocator's own handler came first it would hold every lock by then, and they would wait
 * for it.
 */
#include <unistd.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

void workers_start();
void workers_end();

int main() {
    subject_require();
    deadline(60);
    workers_start();
    for (int i = 0; i < 100; ++i) {
        const pid_t child = fork();
        CHECK_NE(child, -1);
        if (child == 0) {
            deadline(30);
            subject_free(subject_malloc(100));
            ::_exit(5);
        }
        expect_exit(child, 5);
    }
    workers_end();
    subject_validate();
    return 0;
}
