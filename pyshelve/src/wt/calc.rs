//! The difference of two values, as the changes that `modify` takes.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Equal runs shorter than this are not looked for.
const RUN_BYTES: usize = 16;

/// One change: in the new value, at `offset`, `data` takes the place of `size` old bytes.
#[derive(Debug, PartialEq, Eq)]
struct Change<'n> {
    data: &'n [u8],
    offset: usize,
    size: usize,
}

/// The changes that make `new` of `old`, as (data, offset, size), applied one after the other; None
/// if that takes more than `changes_max` of them, or more than `bytes_max` bytes of data.
#[pyfunction]
pub fn wt_calc_modify<'py>(
    py: Python<'py>,
    old: &[u8],
    new: &[u8],
    bytes_max: usize,
    changes_max: usize,
) -> Option<Vec<(Bound<'py, PyBytes>, usize, usize)>> {
    let mut changes = difference(old, new);
    while changes.len() > changes_max.max(1) {
        changes = join_nearest(changes, new);
    }
    let bytes: usize = changes.iter().map(|change| change.data.len()).sum();
    if changes.len() > changes_max || bytes > bytes_max {
        return None;
    }
    let tuple = |change: Change<'_>| (PyBytes::new(py, change.data), change.offset, change.size);
    Some(changes.into_iter().map(tuple).collect())
}

/// Walks the new value from left to right, with the place in the old one that it has come to.
fn difference<'n>(old: &[u8], new: &'n [u8]) -> Vec<Change<'n>> {
    let end = common(old.iter().rev(), new.iter().rev());
    let (mut from, mut to) = (common(old.iter(), new.iter()), 0);
    let end = end.min(old.len().min(new.len()) - from);
    to += from;
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let places = places(&old[..old_end]);
    let mut changes = Vec::new();
    while from < old_end || to < new_end {
        let run = next_run(&old[..old_end], &new[..new_end], &places, from, to);
        let (old_next, new_next) = run.unwrap_or((old_end, new_end));
        changes.push(Change { data: &new[to..new_next], offset: to, size: old_next - from });
        let length = common(old[old_next..old_end].iter(), new[new_next..new_end].iter());
        (from, to) = (old_next + length, new_next + length);
    }
    changes
}

/// Where each run of the old value begins, at multiples of its length.
fn places(old: &[u8]) -> HashMap<&[u8], Vec<usize>> {
    let mut places: HashMap<_, Vec<_>> = HashMap::new();
    for (index, run) in old.chunks_exact(RUN_BYTES).enumerate() {
        places.entry(run).or_default().push(index * RUN_BYTES);
    }
    places
}

/// Where both go on alike, behind `from` and `to`: the beginning of the run in each.
fn next_run(
    old: &[u8],
    new: &[u8],
    places: &HashMap<&[u8], Vec<usize>>,
    from: usize,
    to: usize,
) -> Option<(usize, usize)> {
    for (distance, window) in new[to..].windows(RUN_BYTES).enumerate() {
        let Some(starts) = places.get(window) else { continue };
        let next = starts.partition_point(|&start| start < from);
        if let Some(&start) = starts.get(next) {
            // The run may have begun before the multiple.
            let back = common(old[from..start].iter().rev(), new[to..to + distance].iter().rev());
            return Some((start - back, to + distance - back));
        }
    }
    None
}

/// How many items two sequences have in common from their beginnings on.
fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(a, b)| a == b).count()
}

/// Makes one change of the two that have the least between them.
fn join_nearest<'n>(mut changes: Vec<Change<'n>>, new: &'n [u8]) -> Vec<Change<'n>> {
    let between = |pair: &[Change<'_>]| pair[1].offset - (pair[0].offset + pair[0].data.len());
    let nearest = (0..changes.len() - 1).min_by_key(|&index| between(&changes[index..index + 2]));
    if let Some(index) = nearest {
        let kept = between(&changes[index..index + 2]);
        let second = changes.remove(index + 1);
        let first = &mut changes[index];
        first.size += kept + second.size;
        first.data = &new[first.offset..second.offset + second.data.len()];
    }
    changes
}
