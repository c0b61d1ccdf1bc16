int divide(int a, int b) {
    // TODO: check for zero
    return a / b;
}
