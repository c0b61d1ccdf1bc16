//! Order statistics of a handful of numbers.

/// What a table shows of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// Smallest.
    pub(crate) min: f64,
    /// Middle.
    pub(crate) median: f64,
    /// 95th percentile, nearest rank.
    pub(crate) p95: f64,
}

impl Summary {
    /// Of `values`; none when there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median =
            if sorted.len() % 2 == 1 { upper } else { (upper + sorted.get(middle.checked_sub(1)?)?) / 2.0 };
        let rank = (sorted.len() * 95).div_ceil(100);
        Some(Self { min: *sorted.first()?, median, p95: *sorted.get(rank.checked_sub(1)?)? })
    }
}

/// Smallest of `values` that `percent` of a hundred of them do not exceed (nearest rank); none when there are none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::{Summary, percentile};

    #[test]
    fn of_nothing_there_is_no_summary() {
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn of_one_value_it_is_that_value() {
        assert_eq!(Summary::of([3.0]), Some(Summary { min: 3.0, median: 3.0, p95: 3.0 }));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (Some(100.0), Some(198.0)));
        assert_eq!((percentile(&[3.0], 99), percentile(&[], 50)), (Some(3.0), None));
    }

    #[test]
    fn the_middle_of_an_even_count_is_the_mean_of_two() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.min, summary.median, summary.p95), (1.0, 2.5, 4.0));
    }

    #[test]
    fn the_95th_percentile_of_a_hundred_leaves_five_above_it() {
        let summary = Summary::of((1..=100).map(f64::from)).unwrap();
        assert_eq!(summary.p95, 95.0);
    }
}
