int fine(int x) {
    x++;
    return x;
}

int* twice( int *x ){ *x*=2; return x; }
