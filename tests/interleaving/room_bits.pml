/*
 * The bit that says that a superslab may have room, against searchers, holders and the purge.
 *
 * Threads take runs of one or two units from a superslab of two and give them back, whole or the
 * tail alone. The purge takes free units for a while, which makes the superslab look full; so does
 * an unmapped superslab until it gets memory again. Each access of the code to something shared is
 * one step here. The word in which the bit lies is shared with other superslabs; it changes by
 * read-modify-writes alone, so their bits may be left out.
 *
 *   P1  no superslab with room stays hidden: when nobody is in the middle of something and a unit
 *       is free, the room bit is set
 *
 * mirrors src/back/shared_pool.cpp note_room 00a5f8c537cc84cc
 * mirrors src/back/shared_pool.cpp note_full 1bf44de31e5a8043
 * mirrors src/back/shared_pool.cpp search a67c328ecd91a9c1
 * mirrors src/back/shared_pool.cpp give_back 345c39736bf9763b
 * mirrors src/back/shared_pool.cpp purge e73f83374eb5fd83
 * mirrors src/back/superslab.cpp take_free 124b1c151afcec79
 * mirrors src/back/superslab.cpp put_back 2af23b8c2f7e0b2c
 * mirrors src/back/superslab.cpp take 7cdd85e2b2447753
 * mirrors src/back/superslab.cpp give_back 98a36be57ea95fbd
 * mirrors src/back/superslab.cpp purge 6bfc2d876748b67b
 * mirrors src/back/superslab.cpp purge_records f4e9f0234a74f866
 * mirrors src/back/superslab.cpp vacate 19a5edba3cf8709f
 * mirrors src/back/superslab.cpp occupy 3a76cc6e3bfecb4e
 * mirrors src/back/shared_pool.cpp unmap_if_empty 01edb5f3fdede824
 * mirrors src/back/shared_pool.cpp add_superslab 10aee5078f4875e0
 *
 * run purge -DTHREADS=2 -DPURGE
 * run three_threads -DTHREADS=3
 *
 * mutant ROOM_BEFORE_FREEING three_threads P1: the room bit is set before the units are free
 * mutant NO_SECOND_LOOK three_threads P1: a searcher clears the bit and does not look again
 * mutant LOOKED_FIRST three_threads P1: a searcher looks again and clears the bit after that
 * mutant SILENT_PURGE purge P1: the purge gives units back without setting the bit
 *
 * What this does not show. Here every thread sees every write at once, and P1 needs just that: it
 * is the case of two threads that each write one word and read the other's, which acquire and
 * release alone do not settle. Hence these accesses are sequentially consistent in the code:
 * clearing the bit, the look at `taken` after it, giving units back, and the look at the bit after
 * that. All sequentially consistent accesses have one order, and the model goes through each such
 * order.
 */

#define FULL 3

byte taken;        /* units with a master */
bool room = true;  /* the superslab's bit in the directory */

/* What the model knows and the code does not. */
byte busy;         /* processes in the middle of something */

/* ---- shared_pool ----------------------------------------------------------------------------- */

inline note_room() {
    if
    :: room
    :: else -> room = true
    fi
}

inline note_full() {
#ifdef LOOKED_FIRST
    if
    :: taken != FULL
    :: else -> room = false
    fi
#else
    room = false;
#ifndef NO_SECOND_LOOK
    if
    :: taken != FULL -> note_room()
    :: else
    fi
#endif
#endif
}

/* The lowest run of free units in a word, as bits; 0 when there is none. */
#define RUN(word, units) \
    (units == 2 -> (word == 0 -> 3 : 0) : (!(word & 1) -> 1 : (!(word & 2) -> 2 : 0)))

inline take(units) {
    seen = taken;
    do
    :: RUN(seen, units) == 0 -> break
    :: else ->
       atomic {
           if
           :: taken == seen -> mine = RUN(seen, units); taken = taken | mine; break
           :: else -> seen = taken
           fi
       }
    od
}

inline search(units) {
    if
    :: !room
    :: else ->
       take(units);
       if
       :: mine == 0 ->
          if
          :: taken == FULL -> note_full()
          :: else
          fi
       :: else
       fi
    fi
}

inline give_back(bits) {
#ifdef ROOM_BEFORE_FREEING
    note_room();
    taken = taken & ~bits
#else
    taken = taken & ~bits;
    note_room()
#endif
}

/* Takes what is free of some units, does something to it, and gives it back. */
inline visit(units) {
    atomic { mine = units & ~taken; taken = taken | units };
    taken = taken & ~mine
}

inline pick_units() {
    if
    :: some = 0
    :: some = 1
    :: some = 2
    :: some = 3
    fi
}

inline purge() {
    pick_units();  /* those that are due */
    visit(some);
    pick_units();  /* those that are clean, for their records */
    visit(some);
    if
    :: atomic { taken == 0 -> taken = FULL };  /* unmapped */
       taken = 0
    :: true
    fi;
    pick_units();  /* those that age */
    visit(some);
    atomic { mine = 0; some = 0 };
#ifndef SILENT_PURGE
    note_room()
#endif
}

/* ---- who does all this ----------------------------------------------------------------------- */

proctype thread() {
    byte seen, mine, some;
    do
    :: mine == 0 ->
       atomic {
           busy++;
           if
           :: some = 1
           :: some = 2
           fi
       };
       search(some);
       atomic { seen = 0; some = 0; busy-- }
    :: mine != 0 ->
       atomic {
           busy++;
           some = mine;
           if
           :: true
           :: mine == 3 -> some = 2
           fi;
           mine = mine & ~some
       };
       give_back(some);
       atomic { some = 0; busy-- }
    od
}

proctype purging_thread() {
    byte mine, some;
    do
    :: busy++;
       purge();
       busy--
    od
}

proctype onlooker() {
    atomic { busy == 0 && taken != FULL && !room -> assert(false) }  /* P1 */
}

init {
    atomic {
        run thread();
        run thread();
#if THREADS > 2
        run thread();
#endif
#ifdef PURGE
        run purging_thread();
#endif
        run onlooker()
    }
}
