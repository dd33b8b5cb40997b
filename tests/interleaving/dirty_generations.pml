/*
 * Dirty units in two generations, while they are taken, written to, given back, purged and aged.
 *
 * Two threads take runs of one or two units from a superslab of two, extend them, write to them,
 * and give them back, whole or the tail alone. The purge lets units age and gives the pages of old
 * ones back; where the two make a huge page, a clean one goes along or for itself, or both stay.
 * Where memory is tight, whoever gives the last unit back unmaps the superslab, and whoever finds
 * no unit maps it again. The kernel may refuse whatever it is asked to take. Each access of the
 * code to something shared is one step here.
 *
 *   P1  a run that is said to read as zero does
 *   P2  a free unit is in at most one generation
 *   P3  a unit has at most one master, and nobody else touches its pages
 *   P4  a free unit in neither generation reads as zero
 *   P5  a superslab with a free unit has memory
 *
 * mirrors src/back/superslab.cpp clear_dirty b916e6a83ed2fd18
 * mirrors src/back/superslab.cpp take_free 124b1c151afcec79
 * mirrors src/back/superslab.cpp put_back 2af23b8c2f7e0b2c
 * mirrors src/back/superslab.cpp purge_taken 69063f6d754dc2d3
 * mirrors src/back/superslab.cpp purge_records f4e9f0234a74f866
 * mirrors src/back/superslab.cpp take 7cdd85e2b2447753
 * mirrors src/back/superslab.cpp extend 531ebaafb83338c2
 * mirrors src/back/superslab.cpp give_back 98a36be57ea95fbd
 * mirrors src/back/superslab.cpp soil b7d00a69bcd4097b
 * mirrors src/back/superslab.cpp purgeable 17687a7830d36388
 * mirrors src/back/superslab.cpp left_over 6e8bff9ea2d80cc1
 * mirrors src/back/superslab.cpp choose cde36fc3f6af8a3b
 * mirrors src/back/superslab.cpp purge 6bfc2d876748b67b
 * mirrors src/back/superslab.cpp occupy 3a76cc6e3bfecb4e
 * mirrors src/back/superslab.cpp vacate 19a5edba3cf8709f
 * mirrors src/back/shared_pool.cpp unmap_if_empty 01edb5f3fdede824
 * mirrors src/back/shared_pool.cpp add_superslab 10aee5078f4875e0
 * mirrors src/back/shared_pool.cpp vacant_superslab e51a9a8c49c64489
 *
 * run purge -DTHREADS=2 -DPURGE
 * run huge -DTHREADS=2 -DPURGE -DHUGE
 * run tight -DTHREADS=2 -DTIGHT
 * run tight_purge -DTHREADS=1 -DPURGE -DTIGHT
 *
 * mutant OLD_UNASKED purge P1: a taker asks the younger generation alone whether units are dirty
 * mutant LOOKED_FIRST purge P4: a taker clears the marks of units before it has them
 * mutant OLD_KEPT purge P2: a taker clears its units in the younger generation alone
 * mutant MARKED_LATE purge P4: units are given back first and marked dirty after that
 * mutant AGED_UNTAKEN purge P4: the purge lets units age without taking them
 * mutant PURGED_UNTAKEN purge P3: the purge gives pages back without taking their units
 * mutant OTHERS_TOO purge P3: the purge counts units as its own that somebody else had
 * mutant PAGE_UNTAKEN huge P3: the purge gives a huge page back of which it has a part
 * mutant REFUSAL_IGNORED purge P4: units count as clean although the kernel refused
 * mutant RECORDS_ANYWAY purge P4: units that somebody else took meanwhile are left with the rest
 * mutant UNMAPPED_UNLOCKED tight P3: the pool is not locked while the superslab is unmapped
 * mutant FREED_EARLY tight P5: a superslab gets free units before it gets memory
 *
 * What this does not show. The code reads and writes both generations with relaxed accesses. That
 * is enough because only a unit's master touches its bits in them: taking a unit acquires and
 * giving it back releases, both by read-modify-writes of `taken`, so what one master did to the
 * unit's bits and pages happens before what the next one does, and the bits of other units pass
 * through read-modify-writes unharmed. What the purge reads before it has taken anything may be
 * stale; it uses it only to choose units. Which pages are huge is left out, and which ones a run
 * opens: who reads that without the pool's lock may be wrong, but only the size of pages depends on
 * it, and the purge's choice, which is any choice here. The unit tests run the same code under
 * ThreadSanitizer.
 */

#define FULL 3

byte taken;     /* units with a master */
byte recent;    /* dirty units of the younger generation */
byte old;       /* dirty units of the older generation */
byte contents;  /* units whose pages do not read as zero */
bool memory = true;  /* whether the superslab's record leads to memory */
bool locked;    /* the pool's lock */

/* What the model knows and the code does not. */
byte mastered;  /* units that some process believes to be its own */

inline master(bits) {
    assert((mastered & (bits)) == 0);  /* P3 */
    mastered = mastered | (bits)
}

/* ---- superslab ------------------------------------------------------------------------------- */

inline clear_dirty(bits) {
    dirty = recent;
#ifdef OLD_UNASKED
    dirty = dirty & (bits);
#else
    dirty = (dirty | old) & (bits);
#endif
    if
    :: dirty != 0 ->
       recent = recent & ~(bits);
#ifndef OLD_KEPT
       old = old & ~(bits)
#endif
    :: else
    fi
}

/* The lowest run of free units in a word, as bits; 0 when there is none. */
#define RUN(word, units) \
    (units == 2 -> (word == 0 -> 3 : 0) : (!(word & 1) -> 1 : (!(word & 2) -> 2 : 0)))

inline take(units) {
    seen = taken;
    do
    :: RUN(seen, units) == 0 -> break
    :: else ->
#ifdef LOOKED_FIRST
       mine = RUN(seen, units);
       clear_dirty(mine);
       mine = 0;
#endif
       atomic {
           if
           :: taken == seen ->
              mine = RUN(seen, units);
              taken = taken | mine;
              master(mine);
              break
           :: else -> seen = taken
           fi
       }
    od;
    if
    :: mine != 0 ->
#ifndef LOOKED_FIRST
       clear_dirty(mine);
#endif
       assert(dirty != 0 || (contents & mine) == 0)  /* P1 */
    :: else
    fi;
    atomic { seen = 0; dirty = 0 }
}

/* A holder of unit 0 takes unit 1 too. */
inline extend() {
    seen = taken;
    do
    :: seen & 2 -> break
    :: else ->
       atomic {
           if
           :: taken == seen -> taken = taken | 2; master(2); mine = 3; break
           :: else -> seen = taken
           fi
       }
    od;
    if
    :: mine == 3 -> clear_dirty(2)
    :: else
    fi;
    atomic { seen = 0; dirty = 0 }
}

inline give_back(bits) {
#ifdef MARKED_LATE
    atomic { mastered = mastered & ~bits; taken = taken & ~bits };
    recent = recent | bits
#else
    recent = recent | bits;
    atomic { mastered = mastered & ~bits; taken = taken & ~bits }
#endif
}

inline purge_unit(unit) {
    if
    :: atomic {
           assert((mastered & unit & ~mine) == 0);  /* P3 */
           contents = contents & ~unit
       };
       clear_dirty(unit);
       purged = true
    :: true -> /* the kernel refuses */
#ifdef REFUSAL_IGNORED
       clear_dirty(unit)
#else
       dirty = old;
       recent = recent | (unit & ~dirty)
#endif
    fi;
    dirty = 0
}

/* One run of units at a time; here each unit is a run. */
inline purge_taken(bits) {
    if
    :: bits & 1 -> purge_unit(1)
    :: else
    fi;
    if
    :: bits & 2 -> purge_unit(2)
    :: else
    fi
}

/* Takes the units that are still free. */
inline take_free(bits) {
    atomic {
#ifdef OTHERS_TOO
        mine = bits;
#else
        mine = bits & ~taken;
#endif
        taken = taken | bits;
        master(mine)
    }
}

inline leave(bits) {
    atomic { mastered = mastered & ~bits; taken = taken & ~bits; bits = 0 }
}

inline lock() {
    atomic { !locked -> locked = true }
}

inline occupy() {
#ifdef FREED_EARLY
    taken = 0;
    memory = true
#else
    memory = true;
    atomic {
        assert(mastered == 0);  /* P3 */
        taken = 0
    }
#endif
}

inline unmap_if_empty() {
#ifndef UNMAPPED_UNLOCKED
    lock();
#endif
    if
    :: atomic { taken == 0 -> taken = FULL; master(FULL) };
       clear_dirty(FULL);
       atomic { memory = false; mastered = 0 };
       if
       :: true /* unmapped */
       :: recent = FULL; occupy() /* the kernel refuses */
       fi
    :: atomic { taken != 0 -> skip }
    fi;
#ifndef UNMAPPED_UNLOCKED
    locked = false;
#endif
    dirty = 0
}

/* What the kernel maps anew reads as zero. */
inline add_superslab() {
    lock();
    if
    :: !memory -> contents = 0; occupy()
    :: else
    fi;
    locked = false
}

/* The records of units that are free and clean; those pages are nobody else's business here. */
inline purge_records() {
    dirty = recent;
    dirty = dirty | old;
    dirty = FULL & ~(taken | dirty);
    take_free(dirty);
#ifdef RECORDS_ANYWAY
    mine = dirty;
#endif
    leave(mine);
    dirty = 0
}

/* What is free of a huge page that is partly in use, clean or not. */
#define left_over() (taken != 0 -> FULL & ~taken : 0)

/* What of a huge page goes: all of it; of a part, all or what is due, or nothing yet. */
inline choose() {
    if
#ifdef PAGE_UNTAKEN
    :: mine & due -> chosen = FULL
#else
    :: mine == FULL -> chosen = mine
    :: mine != FULL -> chosen = mine  /* the page is broken up */
#endif
    :: mine != FULL -> chosen = mine & due  /* it was before */
    :: mine != FULL -> chosen = 0
    fi
}

inline purge() {
    due = old;
    young = recent;
    if
    :: all ->
       due = due | young;
#ifdef HUGE
       due = due | left_over()
#endif
    :: else
    fi;
    if
    :: due != 0 ->
#ifdef PURGED_UNTAKEN
       purge_taken(due);
#else
#ifdef HUGE
       atomic {
           wanted = FULL & ~(all -> 0 : young);
           take_free(wanted);
           choose();
           wanted = 0
       };
       purge_taken(chosen);
       chosen = 0;
#else
       take_free(due);
       purge_taken(mine);
#endif
       leave(mine);
#endif
       if
       :: purged -> purge_records()
       :: else
       fi
    :: else
    fi;
    young = young & ~due;
    if
    :: young != 0 ->
#ifdef AGED_UNTAKEN
       mine = young;
#else
       take_free(young);
#endif
       atomic { dirty = recent & mine; recent = recent & ~mine };
       old = old | dirty;
#ifdef AGED_UNTAKEN
       mine = 0
#else
       leave(mine)
#endif
    :: else
    fi;
    atomic { due = 0; young = 0; dirty = 0; purged = false }
}

/* ---- who does all this ----------------------------------------------------------------------- */

proctype thread() {
    byte seen, mine, some, dirty;
    do
    :: mine == 0 ->
       if
       :: some = 1
       :: some = 2
       fi;
       take(some);
#ifdef TIGHT
       if
       :: mine == 0 -> add_superslab()
       :: else
       fi;
#endif
       some = 0
    :: mine == 1 -> extend()
    :: mine != 0 -> contents = contents | mine
    :: mine != 0 ->
       atomic {
           some = mine;
           if
           :: true
           :: mine == 3 -> some = 2
           fi
       };
       give_back(some);
       atomic { mine = mine & ~some; some = 0 };
#ifdef TIGHT
       unmap_if_empty()
#endif
    od
}

proctype purging_thread() {
    byte due, young, wanted, mine, chosen, dirty;
    bool all, purged;
    do
    :: atomic {
           if
           :: all = false
           :: all = true
           fi
       };
       purge()
    od
}

proctype onlooker() {
    if
    :: atomic { (recent & old & ~taken) != 0 -> assert(false) }  /* P2 */
    :: atomic { (contents & ~taken & ~(recent | old)) != 0 -> assert(false) }  /* P4 */
    :: atomic { taken != FULL && !memory -> assert(false) }  /* P5 */
    fi
}

init {
    atomic {
        run thread();
#if THREADS > 1
        run thread();
#endif
#ifdef PURGE
        run purging_thread();
#endif
        run onlooker()
    }
}
