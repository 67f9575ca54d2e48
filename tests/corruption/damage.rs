//! Random damage, each determined by a seed and a number.

use std::fs;
use std::path::Path;

use crate::support::{Random, with_suffix};

const PAGE: usize = 4096;

/// The header of a log, and the size of a frame: a header and a page.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;

/// A damaged file, with its log if it has one.
pub(crate) struct Damage {
    pub(crate) what: String,
    file: Vec<u8>,
    log: Option<Vec<u8>>,
}

impl Damage {
    /// One damage of a closed file: seven in ten a flipped byte or bit.
    pub(crate) fn of_file(original: &[u8], random: &mut Random) -> Self {
        let mut file = original.to_vec();
        let pages = file.len() / PAGE;
        let what = match random.below(20) {
            0..10 => flip_byte(&mut file, random),
            10..14 => flip_bit(&mut file, random),
            14..16 => {
                let (one, other) = exchange(&mut file, PAGE, random);
                format!("pages {one} and {other} exchanged")
            }
            16 => {
                let page = random.below(pages);
                file[page * PAGE..][..PAGE].fill(0);
                format!("page {page} zeroed")
            }
            17 => {
                let (from, to) = (random.below(pages), random.below(pages));
                file.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
                format!("page {from} copied over page {to}")
            }
            18 => {
                file.truncate((1 + random.below(pages - 1)) * PAGE);
                format!("cut to {} pages", file.len() / PAGE)
            }
            _ => cut(&mut file, random),
        };
        Self { what, file, log: None }
    }

    /// One damage of the log beside a file, or of the file beside its log.
    pub(crate) fn of_log(file: &[u8], original: &[u8], random: &mut Random) -> Self {
        let (mut file, mut log) = (file.to_vec(), original.to_vec());
        let frames = (log.len() - LOG_HEADER) / FRAME;
        let what = match random.below(11) {
            0..5 => flip_byte(&mut log, random),
            5..7 => flip_bit(&mut log, random),
            7 => {
                let (one, other) = exchange(&mut log[LOG_HEADER..], FRAME, random);
                format!("frames {one} and {other} exchanged")
            }
            8 => {
                log.truncate(LOG_HEADER + random.below(frames) * FRAME);
                format!("log cut to {} bytes", log.len())
            }
            9 => cut(&mut log, random),
            _ => format!("kept, the file {}", cut(&mut file, random)),
        };
        Self { what: format!("log: {what}"), file, log: Some(log) }
    }

    pub(crate) fn write_to(&self, path: &Path) {
        fs::write(path, &self.file).unwrap();
        if let Some(log) = &self.log {
            fs::write(with_suffix(path, "-wal"), log).unwrap();
        }
    }
}

/// Exchanges two of the parts of this size, and returns their numbers.
fn exchange(bytes: &mut [u8], size: usize, random: &mut Random) -> (usize, usize) {
    let count = bytes.len() / size;
    let (one, other) = (random.below(count), random.below(count));
    for byte in 0..size {
        bytes.swap(one * size + byte, other * size + byte);
    }
    (one, other)
}

fn flip_byte(bytes: &mut [u8], random: &mut Random) -> String {
    let (place, change) = (random.below(bytes.len()), random.below(255) + 1);
    bytes[place] ^= u8::try_from(change).unwrap();
    format!("byte {place} changed by {change:#04x}")
}

fn flip_bit(bytes: &mut [u8], random: &mut Random) -> String {
    let (place, bit) = (random.below(bytes.len()), random.below(8));
    bytes[place] ^= 1 << bit;
    format!("bit {bit} of byte {place} flipped")
}

fn cut(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    // An empty file is a new store: nothing in it could say otherwise.
    bytes.truncate(1 + random.below(bytes.len() - 1));
    format!("cut to {} bytes", bytes.len())
}
