//! Damages, each following from a seed and a number.

use std::fs;
use std::path::Path;

const PAGE: usize = 4096;

/// Before the pages of a log, and before each of them.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;

/// A small generator of numbers that look random.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut numbers = Self(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        numbers.below(2);
        numbers
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16;
        usize::try_from(mixed % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// A damaged file, with its log if it has one.
pub(crate) struct Damage {
    pub(crate) what: String,
    file: Vec<u8>,
    log: Option<Vec<u8>>,
}

impl Damage {
    /// One damage of a closed file: seven in ten a flipped byte or bit.
    pub(crate) fn of_file(original: &[u8], numbers: &mut Numbers) -> Self {
        let mut file = original.to_vec();
        let pages = file.len() / PAGE;
        let what = match numbers.below(20) {
            0..10 => flip_byte(&mut file, numbers),
            10..14 => flip_bit(&mut file, numbers),
            14..16 => {
                let (one, other) = (numbers.below(pages), numbers.below(pages));
                for byte in 0..PAGE {
                    file.swap(one * PAGE + byte, other * PAGE + byte);
                }
                format!("pages {one} and {other} exchanged")
            }
            16 => {
                let page = numbers.below(pages);
                file[page * PAGE..][..PAGE].fill(0);
                format!("page {page} zeroed")
            }
            17 => {
                let (from, to) = (numbers.below(pages), numbers.below(pages));
                file.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
                format!("page {from} copied over page {to}")
            }
            18 => {
                file.truncate((1 + numbers.below(pages - 1)) * PAGE);
                format!("cut to {} pages", file.len() / PAGE)
            }
            _ => cut(&mut file, numbers),
        };
        Self { what, file, log: None }
    }

    /// One damage of the log beside a file, or of the file beside its log.
    pub(crate) fn of_log(file: &[u8], original: &[u8], numbers: &mut Numbers) -> Self {
        let (mut file, mut log) = (file.to_vec(), original.to_vec());
        let frames = (log.len() - LOG_HEADER) / FRAME;
        let what = match numbers.below(11) {
            0..5 => flip_byte(&mut log, numbers),
            5..7 => flip_bit(&mut log, numbers),
            7 => {
                let (one, other) = (numbers.below(frames), numbers.below(frames));
                for byte in 0..FRAME {
                    log.swap(LOG_HEADER + one * FRAME + byte, LOG_HEADER + other * FRAME + byte);
                }
                format!("frames {one} and {other} exchanged")
            }
            8 => {
                log.truncate(LOG_HEADER + numbers.below(frames) * FRAME);
                format!("log cut to {} bytes", log.len())
            }
            9 => cut(&mut log, numbers),
            _ => format!("kept, the file {}", cut(&mut file, numbers)),
        };
        Self { what: format!("log: {what}"), file, log: Some(log) }
    }

    pub(crate) fn write_to(&self, path: &Path) {
        fs::write(path, &self.file).unwrap();
        if let Some(log) = &self.log {
            let mut beside = path.as_os_str().to_owned();
            beside.push("-wal");
            fs::write(beside, log).unwrap();
        }
    }
}

fn flip_byte(bytes: &mut [u8], numbers: &mut Numbers) -> String {
    let (place, change) = (numbers.below(bytes.len()), numbers.below(255) + 1);
    bytes[place] ^= u8::try_from(change).unwrap();
    format!("byte {place} changed by {change:#04x}")
}

fn flip_bit(bytes: &mut [u8], numbers: &mut Numbers) -> String {
    let (place, bit) = (numbers.below(bytes.len()), numbers.below(8));
    bytes[place] ^= 1 << bit;
    format!("bit {bit} of byte {place} flipped")
}

fn cut(bytes: &mut Vec<u8>, numbers: &mut Numbers) -> String {
    // A file without a byte is a fresh one: nothing in it could say otherwise.
    bytes.truncate(1 + numbers.below(bytes.len() - 1));
    format!("cut to {} bytes", bytes.len())
}
