/** int hakmem_in_a_comment(void); */
int hakmem_version(void);
void* hakmem_forgotten(int count);
typedef int (*hakmem_handler)(int count);
