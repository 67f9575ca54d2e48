//! The KPIs that were moved: as few as can explain the new order.

use std::collections::{HashMap, HashSet};

/// The numbers of a longest increasing subsequence; the numbers are distinct.
///
/// KPIs whose old indices, in the new order, form this subsequence are still in their relative order; only the others
/// need to be moved.
pub(super) fn longest_increasing(numbers: &[usize]) -> HashSet<usize> {
    // The smallest last number of an increasing subsequence, for each length.
    let mut last: Vec<usize> = Vec::new();
    // The number before each in the longest increasing subsequence that ends with it.
    let mut before: HashMap<usize, Option<usize>> = HashMap::with_capacity(numbers.len());
    for number in numbers.iter().copied() {
        let length = last.partition_point(|last| *last < number);
        before.insert(number, length.checked_sub(1).and_then(|shorter| last.get(shorter)).copied());
        match last.get_mut(length) {
            Some(last) => *last = number,
            None => last.push(number),
        }
    }
    std::iter::successors(last.last().copied(), |number| before.get(number).copied().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_possible_stay() {
        let table: [(&[usize], &[usize]); 7] = [
            (&[], &[]),
            (&[0], &[0]),
            (&[0, 1, 2], &[0, 1, 2]),
            (&[2, 0, 1], &[0, 1]),
            (&[1, 2, 0], &[1, 2]),
            (&[3, 0, 4, 1, 2], &[0, 1, 2]),
            (&[5, 6, 0, 7, 1], &[5, 6, 7]),
        ];
        for (numbers, expected) in table {
            assert_eq!(longest_increasing(numbers), expected.iter().copied().collect(), "{numbers:?}");
        }
        assert_eq!(longest_increasing(&[2, 1, 0]).len(), 1);
    }
}
