#include "abi/lifecycle.hpp"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "abi/hakmem.h"
#include "back/large.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/purge.hpp"
#include "back/shared_pool.hpp"
#include "base/attributes.hpp"
#include "front/thread_heap.hpp"
#include "gate/external_guard.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/clock.hpp"
#include "os/environment.hpp"
#include "os/futex_lock.hpp"
#include "os/raw_log.hpp"
#include "os/thread_exit.hpp"

namespace hakmem::abi {

namespace {

constinit int report_descriptor = 2;
constinit std::atomic<bool> reporting{false};

// ---- fork ---------------------------------------------------------------------------------------

// [fork]
// Calls a function for each lock below the registry's, in rank order. Heaps are made under the
// registry's lock only: while that is held, their list stands still.
template <typename Visit>
void for_each_lower_lock(Visit visit) {
    for (middle::HeapNode* heap = middle::orphan_heaps::newest(); heap != nullptr;
         heap = heap->older) {
        visit(heap->lock);
    }
    visit(back::purge::fork_lock());
    visit(back::large::fork_lock());
    visit(back::shared_pool::fork_lock());
    visit(back::page_map::fork_lock());
    visit(back::meta_arena::fork_lock());
}
// [/fork]

void before_fork() HAK_NO_THREAD_ANALYSIS {
    os::begin_fork();
    if (!os::fork_takes_locks()) return;
    middle::orphan_heaps::fork_lock().lock_for_fork();
    for_each_lower_lock([](os::FutexLock& lock) HAK_NO_THREAD_ANALYSIS { lock.lock_for_fork(); });
}

void after_fork_in_parent() HAK_NO_THREAD_ANALYSIS {
    if (os::fork_takes_locks()) {
        for_each_lower_lock([](os::FutexLock& lock)
                                HAK_NO_THREAD_ANALYSIS { lock.unlock_after_fork(); });
        middle::orphan_heaps::fork_lock().unlock_after_fork();
    }
    os::end_fork();
}

void start_purge_thread();

// [child]
// Without locks, what is half done is this thread's, which goes on with it once its signal handler
// returns, or another one's: then the child may not rely on the heap, as POSIX has it of a process
// with threads. Either way nothing is to be mended here.
void after_fork_in_child() {
    if (!os::fork_takes_locks()) return os::end_fork();
    for_each_lower_lock([](os::FutexLock& lock) { lock.reset_in_child(); });
    middle::orphan_heaps::fork_lock().reset_in_child();
    front::park_vanished_heaps();
    // Whoever was reporting is not here, or is this thread: then another report may come between
    // the lines of its own.
    reporting.store(false, std::memory_order_relaxed);
    os::end_fork();
    // The purge thread is not in the child. It cannot be started here, where the C library is still
    // busy with fork; the next slow path does it.
    if (os::options().purge_thread != 0) os::when_unlocked(start_purge_thread);
}
// [/child]

// ---- the purge thread ---------------------------------------------------------------------------

void* purge_forever(void*) {
    for (;;) {
        const std::uint64_t interval = os::options().decay / 2;
        os::sleep_milliseconds(interval > 0 ? interval : 1);
        middle::orphan_heaps::purge();
        back::purge::sweep();
    }
    return nullptr;
}

void start_purge_thread() {
    // Signals are the program's business, not this thread's.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (pthread_create(&thread, nullptr, purge_forever, nullptr) == 0) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// ---- reports ------------------------------------------------------------------------------------

void write_report() {
    const int format =
        os::options().report == HAKMEM_REPORT_JSON ? HAKMEM_REPORT_JSON : HAKMEM_REPORT_TEXT;
    hakmem_report(format, report_descriptor);
    reporting.store(false, std::memory_order_release);
}

// Signals that arrive while a report is being written ask for nothing that it does not tell.
void report_unless_reporting() {
    if (!reporting.exchange(true, std::memory_order_acquire)) write_report();
}

// [signal]
// A thread that was interrupted while it holds a lock reports as soon as it has given it back.
void on_report_signal(int) {
    const int saved_errno = errno;
    if (os::locks_held() == 0) {
        report_unless_reporting();
    } else {
        os::when_unlocked(report_unless_reporting);
    }
    errno = saved_errno;
}
// [/signal]

// ---- start and end ------------------------------------------------------------------------------

}  // namespace

// [start]
[[gnu::constructor]] void start(int, char**, char** environment) {
    os::set_thread_exit(front::detach_thread);
    os::load_options(environment);
    // The options may have come later than this thread's heap, and the thread was not armed then.
    if (front::ThreadHeap* const heap = front::own_heap()) {
        heap->apply_options();
        os::arm_thread_exit();
    }
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    // Well-behaved programs close their standard streams before destructors run.
    if (os::options().report != 0) report_descriptor = os::duplicate_descriptor(report_descriptor);
    if (os::options().report_signal != 0) {
        struct sigaction action {};
        action.sa_handler = on_report_signal;
        action.sa_flags = SA_RESTART;
        sigaction(static_cast<int>(os::options().report_signal), &action, nullptr);
    }
    if (os::options().purge_thread != 0) start_purge_thread();
}
// [/start]

namespace {

[[gnu::destructor]] void finish() {
    if (front::outer_front.bytes != 0) front::outer_front.print_statistics();
    if (os::options().external_guard_stats != 0) gate::external_guard::print_statistics();
    if (os::options().report == 0) return;
    while (reporting.exchange(true, std::memory_order_acquire)) os::sleep_milliseconds(1);
    write_report();
}

}  // namespace

}  // namespace hakmem::abi
