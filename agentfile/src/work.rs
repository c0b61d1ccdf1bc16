//! A counter of steps, so that tests can show linear growth without a clock. It is nothing outside tests.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts `steps`: bytes looked at.
#[inline]
pub(crate) fn add(steps: usize) {
    #[cfg(test)]
    STEPS.with(|counted| counted.set(counted.get() + steps));
    #[cfg(not(test))]
    let _ = steps;
}

/// The steps of `action` on this thread.
#[cfg(test)]
pub(crate) fn of<T>(action: impl FnOnce() -> T) -> usize {
    let before = STEPS.with(std::cell::Cell::get);
    action();
    STEPS.with(std::cell::Cell::get) - before
}
