void* again(unsigned long size) { return malloc(size); }
