/**
 * @file lifecycle.hpp
 * @box lifecycle — what happens to the allocator around the program
 *
 * malloc works before any constructor has run and after the last destructor. What this box adds
 * must be registered with somebody: the hooks of fork and of thread exit, the report at the end,
 * the signal that asks for one, the optional purge thread.
 *
 * **fork** copies one thread and all memory. The other threads vanish wherever they are, in the
 * middle of a slow path too. So the thread that forks first takes every lock in rank order: no slow
 * path is under way then, and slabs, lists and bitmaps are whole. Magazines need no lock and cannot
 * be stopped; those of vanished threads are forgotten in the child, which loses at most the blocks
 * that they held. Their heaps are parked.
 *
 * Handlers that others have registered with `pthread_atfork` come before ours if ours are the first
 * to be registered. Theirs may wait for threads that allocate, or for locks under which others do.
 * So the shared library asks for its constructor to be run before all others, which it is if the
 * library is there at start and no later one asks for the same; that of the archive is not.
 *
 * A signal handler may call fork as well, though not malloc. If it has interrupted a thread that
 * holds a lock or waits for one, that is about to get a heap or to hand it on, or that has run
 * into misuse, fork takes none: its own thread would never give it back. The child of a process
 * with one thread then goes on where that was interrupted. Nothing is mended in it; heaps of
 * vanished threads may be half changed. The purge thread counts as a thread.
 *
 * **Signals.** The report is written by the handler itself if the interrupted thread holds none of
 * our locks, and otherwise as soon as it has given the last one back.
 *
 * @owns      the registrations
 * @calls     abi/hakmem back/large back/meta_arena back/page_map back/purge back/shared_pool
 *            base/attributes front/thread_heap gate/external_guard middle/orphan_heaps os/clock
 *            os/environment os/futex_lock os/raw_log os/thread_exit
 * @threads   start() runs once, before main
 * @invariant none
 * @failure   what cannot be registered is missing; malloc works without it
 * @cost      once a process
 * @phase     introduced in 16
 */
#pragma once

namespace hakmem::abi {

/**
 * Registers everything. A constructor; hakmem_api refers to it, so that a static link does not
 * leave it out.
 * @param count How many arguments the program has.
 * @param arguments They.
 * @param environment Strings `NAME=value`, ended by a null pointer.
 */
void start(int count, char** arguments, char** environment);

}  // namespace hakmem::abi
