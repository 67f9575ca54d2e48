//! A line for each job and peer.

use std::fmt::Write;

use kpi_store_peers_harness::Unit;

use crate::measure::Measured;

/// The amounts are for one operation, in the unit.
pub(super) fn lines(measured: &[Measured]) -> String {
    let mut csv =
        "job,peer,unit,least,median,greatest,least ratio to floor,median ratio to floor,greatest ratio to floor\n"
            .to_owned();
    for Measured { job, peers } in measured {
        let unit = match job.unit() {
            Unit::Nanoseconds => "ns",
            Unit::Bytes => "bytes",
        };
        for peer in peers {
            let (amount, ratio) = (peer.amount, peer.ratio);
            let _ = write!(csv, "\"{}\",{},{unit},", job.name(), peer.name);
            let _ = write!(csv, "{:.0},{:.0},{:.0},", amount.least, amount.median, amount.greatest);
            let _ = writeln!(csv, "{:.4},{:.4},{:.4}", ratio.least, ratio.median, ratio.greatest);
        }
    }
    csv
}
