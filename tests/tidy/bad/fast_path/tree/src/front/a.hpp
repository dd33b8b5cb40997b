HAK_FAST int good(int x) {
    return x;  // for ever
}
HAK_FAST int loops(int x) {
    x++;
    while (x < 3) x++;
    return x;
}
HAK_FAST int big(int x) {
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
    x++;
}
HAK_SLOW int slow(int x) {
    for (;;) x++;
}
