//! Two tables: the medians, and their spread; and what the peers are.

use std::fmt::Write;

use kpi_store_peers_harness::{Amount, Unit};

use super::machine;
use crate::measure::{Measured, MeasuredPeer, ROUNDS};
use crate::peers::{FLOOR, PeerInfo};

pub(super) fn tables(measured: &[Measured], peers: &[&PeerInfo]) -> String {
    let mut text = format!(
        "Ratios to the floor in the same round, the median of {ROUNDS} rounds; below 1 is faster or smaller than the \
         floor. {}\n\n",
        machine::description()
    );
    table(&mut text, measured, |peer| ratio(peer.ratio.median));
    text.push_str("\nThe least and the greatest ratio of the rounds:\n\n");
    table(&mut text, measured, |peer| format!("{} to {}", ratio(peer.ratio.least), ratio(peer.ratio.greatest)));
    text.push_str("\nThe peers:\n\n");
    for peer in peers {
        let _ = writeln!(text, "- {}: {}.", peer.name, peer.note);
    }
    text
}

fn table(text: &mut String, measured: &[Measured], cell: impl Fn(&MeasuredPeer) -> String) {
    let Some(first) = measured.first() else { return };
    let names: Vec<&str> = first.peers.iter().map(|peer| peer.name).filter(|name| *name != FLOOR).collect();
    let _ = writeln!(text, "| job | floor | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(names.len()));
    for measured in measured {
        let cells: Vec<String> = measured.peers.iter().filter(|peer| peer.name != FLOOR).map(&cell).collect();
        let _ = writeln!(text, "| {} | {} | {} |", measured.job.name(), floor(measured), cells.join(" | "));
    }
}

/// The figure of the floor, for one item if there are many.
pub(super) fn floor(measured: &Measured) -> String {
    let (items, noun) = measured.job.items(Amount::All);
    let each = measured.peers[0].amount.median / items as f64;
    let per = if noun.is_empty() { String::new() } else { format!(" a {noun}") };
    let number = match measured.job.unit() {
        Unit::Nanoseconds if each < 1e3 => format!("{each:.0} ns"),
        Unit::Nanoseconds if each < 1e6 => format!("{} µs", three_digits(each / 1e3)),
        Unit::Nanoseconds => format!("{} ms", three_digits(each / 1e6)),
        Unit::Bytes if each < 1e4 => format!("{each:.0} bytes"),
        Unit::Bytes => format!("{} MiB", three_digits(each / f64::from(1 << 20))),
    };
    number + &per
}

/// A ratio with as many digits as are worth reading.
pub(super) fn ratio(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.3}")
    } else if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.0}")
    }
}

fn three_digits(number: f64) -> String {
    if number < 10.0 {
        format!("{number:.2}")
    } else if number < 100.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}
