#include "os/thread_exit.hpp"

#include <atomic>
#include <cerrno>

namespace hakmem::os {

namespace {

constinit std::atomic<void (*)()> thread_exit_action{nullptr};
constinit pthread_key_t key{};

}  // namespace

// [key]
void set_thread_exit(void (*at_exit)()) {
    if (thread_exit_action.load(std::memory_order_relaxed) != nullptr) return;
    const auto destructor = [](void*) { thread_exit_action.load(std::memory_order_relaxed)(); };
    if (pthread_key_create(&key, destructor) != 0) return;
    thread_exit_action.store(at_exit, std::memory_order_release);
}

void arm_thread_exit() {
    if (thread_exit_action.load(std::memory_order_acquire) == nullptr) return;
    pthread_setspecific(key, &key);  // any value but null
}
// [/key]

// [lifeline]
void Lifeline::reset() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

void Lifeline::hold() {
    // Nobody else holds it for longer than take_from_dead does. A plain lock would tell deadlock
    // detectors that every lock of the program is taken under this one.
    int answer = pthread_mutex_trylock(&mutex_);
    while (answer == EBUSY) answer = pthread_mutex_trylock(&mutex_);
    if (answer == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
}

void Lifeline::drop() {
    // After a fork that ran no handlers, or took no locks, it is still held: by a thread of the
    // parent.
    if (pthread_mutex_unlock(&mutex_) != 0) reset();
}

bool Lifeline::take_from_dead() {
    const int answer = pthread_mutex_trylock(&mutex_);
    if (answer == EBUSY) return false;
    if (answer == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
    pthread_mutex_unlock(&mutex_);
    return answer == EOWNERDEAD;
}
// [/lifeline]

}  // namespace hakmem::os
