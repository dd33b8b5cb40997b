/* Built by the test into the shared library that the rule looks at, without the version script. */
#include <stddef.h>

void* malloc(size_t size) { return (void*)size; }
int leaked(void) { return 1; }
static int hidden(void) { return 2; }
int (*keep)(void) = hidden;
