//! Texts that are found again among the bytes of a file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Random, folder_in_memory, with_suffix};

/// A text of its own that is repeated, so that a part of it is enough to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Marker(pub(super) u32);

/// Each digit has characters of its own, so that no part of a repetition is another marker.
const DIGITS: [u32; 3] = [0x4E00, 0x5E00, 0x6E00];
const BASE: u32 = 1_000;

/// A text with so many code points is found also if it is cut in two parts, which are found if three of them are whole.
pub(super) const FOUND_IN_PARTS: usize = 6;

impl Marker {
    /// The text, with 3 to `max` code points.
    pub(super) fn text(self, random: &mut Random, max: usize) -> String {
        let digits = [self.0 / BASE / BASE % BASE, self.0 / BASE % BASE, self.0 % BASE];
        let unit = DIGITS.iter().zip(digits).map(|(first, digit)| char::from_u32(first + digit).unwrap());
        let length = if random.percent(80) { 3 + random.below(max.min(40) - 2) } else { 3 + random.below(max - 2) };
        unit.cycle().take(length).collect()
    }
}

/// The markers in these bytes.
pub(super) fn markers_in(bytes: &[u8]) -> BTreeSet<Marker> {
    let digit = |bytes: &[u8], first: u32| {
        let mut chars = std::str::from_utf8(bytes).ok()?.chars();
        let digit = u32::from(chars.next()?).checked_sub(first)?;
        (digit < BASE && chars.next().is_none()).then_some(digit)
    };
    let marker = |window: &[u8]| {
        let digits = [0, 1, 2].map(|index| digit(&window[index * 3..][..3], DIGITS[index]));
        Some(Marker((digits[0]? * BASE + digits[1]?) * BASE + digits[2]?))
    };
    // All of these characters have three bytes, of which the first is one of four.
    bytes.windows(9).filter(|window| (0xE4..=0xE7).contains(&window[0])).filter_map(marker).collect()
}

/// The markers in the file, its log and the index of the log.
pub(super) fn markers_beside(file: &Path) -> BTreeSet<Marker> {
    markers_in(&bytes_beside(file))
}

/// The bytes of the file, its log and the index of the log. Another process copies them: to open and close the file in
/// this one would drop SQLite's locks.
pub(super) fn bytes_beside(file: &Path) -> Vec<u8> {
    let folder = folder_in_memory();
    let mut bytes = Vec::new();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let (from, to) = (with_suffix(file, suffix), folder.path().join(format!("copy{suffix}")));
        if from.exists() {
            assert!(Command::new("cp").arg(from).arg(&to).status().unwrap().success());
            bytes.extend(std::fs::read(to).unwrap());
            // Nothing is found across the end of a file.
            bytes.extend([0; 16]);
        }
    }
    bytes
}

pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn markers_are_found_as_they_were_made_also_in_parts() {
    let mut random = Random::new(1);
    for number in [0, 7, 999, 1_000, 123_456_789] {
        let text = Marker(number).text(&mut random, 2_000);
        let bytes = [b"\xE4\xB8abc", text.as_bytes(), b"\xE4"].concat();
        assert_eq!(markers_in(&bytes), BTreeSet::from([Marker(number)]));
        let part: String = text.chars().cycle().skip(1).take(5).collect();
        assert!(markers_in(part.as_bytes()).is_subset(&BTreeSet::from([Marker(number)])));
    }
    assert_eq!(markers_in("水 m³ ✓".as_bytes()), BTreeSet::new());
}
