//! A panel for each job, with a bar for each peer: from the floor to the left if it is faster, to the right if slower.

use std::path::Path;

use plotters::style::text_anchor::HPos;
use plotters::style::{RGBColor, WHITE};

use super::canvas::{Drawn, FAINT, GRID, INK, LogAxis, Panel, draw_panels};
use super::markdown;
use crate::measure::{Measured, MeasuredPeer};
use crate::peers::FLOOR;

const TITLE: &str = "kpi-store beside its peers: ratio to hand-written SQL (1), on a logarithmic scale";
const EXPLANATION: &str = "Bars to the left are faster or smaller, to the right slower or larger. \
                           Thin lines: the least and the greatest ratio of the rounds. \
                           A bar with a gap is longer.";

const OURS: RGBColor = RGBColor(37, 99, 235);
/// Behind its bar, which is no longer than a line if it is as fast as the floor.
const OUR_ROW: RGBColor = RGBColor(226, 236, 254);
const OTHERS: RGBColor = RGBColor(148, 163, 184);
const WHISKER: RGBColor = RGBColor(51, 65, 85);

/// The columns of a panel: the names end where the bars start, and the numbers are at the right.
const BARS: (i32, i32) = (92, 310);
const WIDTH: i32 = 376;
const NUMBERS: i32 = 356;
/// The same for all panels, so that they can be compared. One file that is rewritten is slower by so much that the others
/// could not be told apart if its bars ended within the axis.
const AXIS: LogAxis = LogAxis { least: 0.04, greatest: 40.0, pixels: BARS };
/// The first bar, and the distance of the bars.
const TOP: i32 = 40;
const BAR: i32 = 19;

pub(super) fn draw(measured: &[&Measured], path: &Path) -> Drawn {
    let bars = measured.iter().map(|measured| others(measured).count()).max().unwrap_or(0);
    let height = TOP + i32::try_from(bars)? * BAR + 44;
    draw_panels(path, (TITLE, EXPLANATION), 3, (WIDTH, height), measured, |panel, job| draw_job(panel, job))
}

fn others(measured: &Measured) -> impl Iterator<Item = &MeasuredPeer> {
    measured.peers.iter().filter(|peer| peer.name != FLOOR)
}

fn draw_job(panel: &Panel<'_, '_>, measured: &Measured) -> Drawn {
    panel.text(measured.job.name(), (0, 14), 14.0, INK, HPos::Left, true)?;
    panel.text(&format!("1 = {}", markdown::floor(measured)), (NUMBERS, 14), 12.0, FAINT, HPos::Right, false)?;
    let count = i32::try_from(others(measured).count())?;
    let bottom = TOP + count * BAR;
    if let Some(place) = others(measured).position(|peer| peer.name == "kpi-store") {
        let top = TOP + i32::try_from(place)? * BAR;
        panel.rectangle((0, top - 2), (NUMBERS + 3, top + BAR - 4), OUR_ROW)?;
    }
    for tick in AXIS.ticks() {
        let x = AXIS.pixel(tick);
        panel.line(&[(x, TOP - 8), (x, bottom)], GRID, 1)?;
        panel.text(&tick.to_string(), (x, bottom + 10), 11.0, FAINT, HPos::Center, false)?;
    }
    let one = AXIS.pixel(1.0);
    for (place, peer) in (0..).zip(others(measured)) {
        let (top, color) = (TOP + place * BAR, if peer.name == "kpi-store" { OURS } else { OTHERS });
        let middle = top + BAR / 2 - 2;
        let is_ours = color == OURS;
        panel.text(peer.name, (BARS.0 - 10, middle), 12.0, INK, HPos::Right, is_ours)?;
        panel.text(&markdown::ratio(peer.ratio.median), (NUMBERS, middle), 12.0, INK, HPos::Right, is_ours)?;
        if peer.ratio.median.is_finite() {
            let end = AXIS.pixel(peer.ratio.median);
            // A bar of no length would not be seen.
            let (from, to) = (one.min(end), one.max(end).max(one.min(end) + 2));
            panel.rectangle((from, top), (to, top + BAR - 5), color)?;
            if !(AXIS.least..=AXIS.greatest).contains(&peer.ratio.median) {
                let gap = end + if end > one { -8 } else { 6 };
                panel.rectangle((gap, top), (gap + 2, top + BAR - 5), WHITE)?;
            }
            let (least, greatest) = (AXIS.pixel(peer.ratio.least), AXIS.pixel(peer.ratio.greatest));
            panel.line(&[(least, middle), (greatest, middle)], WHISKER, 1)?;
        }
    }
    panel.line(&[(one, TOP - 8), (one, bottom)], INK, 1)
}
