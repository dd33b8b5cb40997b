/**
 * @file thread_exit.hpp
 * @box thread_exit — a call at the very end of a thread
 *
 * A thread's heap must be handed on when the thread ends. C++ thread_local destructors run first,
 * then those of pthread keys, in no useful order and in several rounds. Waiting for the last round
 * by counting fails for a thread whose first allocation happens in one of them. So the heap goes at
 * the first call, and what the thread still allocates or frees after that is served by a heap that
 * is borrowed for one call at a time.
 *
 * A thread whose very first allocation happens in the last round, or that ends without any rounds
 * at all, gives no sign. For such a thread there is a *lifeline*: a robust mutex that a thread
 * holds as long as it lives. The kernel walks a dying thread's robust mutexes and marks them, so
 * whoever tries the lock later learns of the death.
 *
 * @owns      one pthread key; each lifeline its mutex
 * @calls     —
 * @threads   any
 * @invariant none
 * @failure   without a free key no heap is handed on at thread exit; blocks stay valid
 * @cost      one pthread_setspecific a thread
 * @phase     introduced in 16
 */
#pragma once

#include <pthread.h>

namespace hakmem::os {

/**
 * Sets what is called at the end of each thread that has armed itself, and makes the key.
 * @param at_exit Called on the thread that ends.
 */
void set_thread_exit(void (*at_exit)());

/** Arms the calling thread. Repeating it does nothing new. */
void arm_thread_exit();

/** Tells whether the thread that holds it is still alive. */
class Lifeline {
public:
    /** Makes it nobody's. Also after fork, in the child, where no thread of the parent lives. */
    void reset();
    /** Ties it to the calling thread. It must be nobody's, or a dead thread's. */
    void hold();
    /** Makes it nobody's. Called by the thread that holds it. */
    void drop();
    /** @return Whether its thread died; it is nobody's then. */
    bool take_from_dead();

private:
    pthread_mutex_t mutex_;
};

}  // namespace hakmem::os
