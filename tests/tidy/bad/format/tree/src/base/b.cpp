int fine(int x) {
    x++;
    return x;
}
