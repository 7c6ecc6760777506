//! Medians, and the interval of a mean of ratios.

/// The median; the mean of the middle two of an even number. Zero of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// A geometric mean with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// The mean.
    pub mean: f64,
    /// The interval's ends; `None` from fewer than three pairs.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Of the ratios of interleaved pairs: Student's interval of the mean of their logarithms,
    /// since ratios multiply. `None` of no pairs.
    pub fn of_pairs(ratios: &[f64]) -> Option<Self> {
        let count = ratios.len() as f64;
        if ratios.is_empty() || ratios.iter().any(|ratio| !ratio.is_finite() || *ratio <= 0.0) {
            return None;
        }
        let logs: Vec<_> = ratios.iter().map(|ratio| ratio.ln()).collect();
        let mean = logs.iter().sum::<f64>() / count;
        let interval = (ratios.len() >= 3).then(|| {
            let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let half = student_95(ratios.len() - 1) * (variance / count).sqrt();
            ((mean - half).exp(), (mean + half).exp())
        });
        Some(Self { mean: mean.exp(), interval })
    }
}

/// Student's factor for a two-sided 95 % interval.
fn student_95(freedom: usize) -> f64 {
    const TABLE: [f64; 20] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ];
    TABLE.get(freedom.wrapping_sub(1)).copied().unwrap_or(2.09)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
        assert!(median(&[]).abs() < 1e-12);
    }

    #[test]
    fn interval_holds_the_mean_and_narrows() {
        let few = Ratio::of_pairs(&[1.8, 2.0, 2.2]).expect("three pairs");
        let many = Ratio::of_pairs(&[1.8, 2.0, 2.2].repeat(4)).expect("twelve pairs");
        let width = |ratio: Ratio| ratio.interval.map(|(low, high)| high - low);
        assert!(few.interval.is_some_and(|(low, high)| low < few.mean && few.mean < high));
        assert!(width(many) < width(few));
        assert!(Ratio::of_pairs(&[2.0]).is_some_and(|ratio| ratio.interval.is_none()));
        assert!(Ratio::of_pairs(&[]).is_none());
    }
}
