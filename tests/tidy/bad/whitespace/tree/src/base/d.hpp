int d;
