#ifndef GUARD
#define GUARD
#if defined(__clang__)
#define BRACE {
#endif
namespace hakmem {

struct Box {
#if defined(__clang__)
    int field = 1;
#endif
    Box() : field{2} {
#ifdef DEBUG
        field = 3;
#endif
    }
};

inline int twice(int x) {
    /*
#if in a comment
    */
#if 1
    return 2 * x;
#else
    return x + x;
#endif
}

}  // namespace hakmem
#endif
