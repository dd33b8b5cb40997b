/* A program that has never heard of HAKMEM and names no function of it, not even malloc: only the C
 * library allocates here. That HAKMEM serves it shows in the report that the environment asks
 * for. */
#include <stdio.h>

int main(void) {
    FILE* file = fopen("/dev/null", "w");
    if (file == NULL) return 1;
    fprintf(file, "a buffer is allocated for this line\n");
    fclose(file);
    puts("done");
    return 0;
}
