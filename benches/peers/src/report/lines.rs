//! Panels of lines over a logarithmic axis: how a figure depends on the number of KPIs.

use std::path::Path;

use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::canvas::{Drawn, FAINT, GRID, INK, LogAxis, Panel, draw_panels};

/// A panel: what it shows, in which unit, and a line for each peer.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// The figures of a peer by the number of KPIs, in ascending order.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const COLORS: [RGBColor; 6] = [
    RGBColor(37, 99, 235),
    RGBColor(100, 116, 139),
    RGBColor(217, 119, 6),
    RGBColor(5, 150, 105),
    RGBColor(190, 24, 93),
    RGBColor(124, 58, 237),
];

const SIZE: (i32, i32) = (376, 250);
const PLOT_X: (i32, i32) = (48, 350);
/// From the bottom to the top.
const PLOT_Y: (i32, i32) = (196, 60);

/// Draws the charts, three in a row.
pub(crate) fn draw(title: &str, explanation: &str, charts: &[Chart], path: &Path) -> Drawn {
    draw_panels(path, (title, explanation), 3, SIZE, charts, draw_chart)
}

fn draw_chart(panel: &Panel<'_, '_>, chart: &Chart) -> Drawn {
    panel.text(&chart.title, (0, 14), 14.0, INK, HPos::Left, true)?;
    panel.text(chart.unit, (panel.width - 26, 14), 12.0, FAINT, HPos::Right, false)?;
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let x = LogAxis::around(points().map(|point| point.0), PLOT_X);
    let greatest = points().map(|point| point.1).fold(0.0, f64::max);
    let step = step(greatest);
    let most = (greatest / step).ceil().max(1.0) * step;
    let y = |value: f64| {
        #[allow(clippy::cast_possible_truncation, reason = "within the panel")]
        let above = (value / most * f64::from(PLOT_Y.0 - PLOT_Y.1)).round() as i32;
        PLOT_Y.0 - above
    };
    let mut tick = 0.0;
    while tick <= most * 1.001 {
        panel.line(&[(PLOT_X.0, y(tick)), (PLOT_X.1, y(tick))], GRID, 1)?;
        panel.text(&number(tick), (PLOT_X.0 - 6, y(tick)), 11.0, FAINT, HPos::Right, false)?;
        tick += step;
    }
    // The last number of KPIs too, if there is room for it.
    let last = Some(x.greatest).filter(|last| x.ticks().all(|tick| x.pixel(*last) - x.pixel(tick) > 40));
    for tick in x.ticks().chain(last) {
        panel.text(&number(tick), (x.pixel(tick), PLOT_Y.0 + 14), 11.0, FAINT, HPos::Center, false)?;
    }
    panel.text("KPIs", (i32::midpoint(PLOT_X.0, PLOT_X.1), PLOT_Y.0 + 31), 11.0, FAINT, HPos::Center, false)?;
    let mut left = 0;
    for (line, color) in chart.lines.iter().zip(COLORS.iter().cycle()) {
        let points: Vec<_> = line.points.iter().map(|(kpis, value)| (x.pixel(*kpis), y(*value))).collect();
        panel.line(&points, *color, 2)?;
        points.iter().try_for_each(|point| panel.dot(*point, *color))?;
        panel.line(&[(left, 36), (left + 16, 36)], *color, 3)?;
        panel.text(&line.name, (left + 22, 36), 12.0, INK, HPos::Left, false)?;
        // About the width of the name.
        left += 40 + 7 * i32::try_from(line.name.len())?;
    }
    Ok(())
}

/// The distance of about four ticks: 1, 2 or 5 times a power of ten.
fn step(greatest: f64) -> f64 {
    let rough = greatest.max(f64::MIN_POSITIVE) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

/// A number on an axis: `0.2`, `50`, `10 k`, `1 M`.
fn number(number: f64) -> String {
    let (number, suffix) = match number {
        1e6.. => (number / 1e6, " M"),
        1e4.. => (number / 1e3, " k"),
        _ => (number, ""),
    };
    // Sums of steps are not exact.
    format!("{}{suffix}", (number * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::{Chart, Line, draw, number, step};

    #[test]
    fn numbers_of_an_axis_are_short() {
        assert_eq!([0.1 + 0.2, 50.0, 10_000.0, 5e6].map(number), ["0.3", "50", "10 k", "5 M"]);
        assert_eq!([7.0, 40.0, 0.9].map(|greatest| number(step(greatest))), ["2", "10", "0.5"]);
    }

    #[test]
    fn a_chart_shows_its_lines_and_the_numbers_of_its_axes() {
        let line = |name: &str, factor: f64| {
            let points = [1e4, 1e5, 1e6, 5e6].map(|kpis: f64| (kpis, factor * (2.0 + kpis.log10() / 20.0)));
            Line { name: name.to_owned(), points: points.to_vec() }
        };
        let lines = || vec![line("kpi-store", 1.0), line("floor", 1.1), line("redb", 0.35), line("fjall", 0.3)];
        let chart = |title: &str| Chart { title: title.to_owned(), unit: "µs a KPI", lines: lines() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scale.svg");
        draw("Scale", "Flat is good.", &["load, all or nothing", "get"].map(chart), &path).unwrap();
        let picture = std::fs::read_to_string(&path).unwrap();
        for text in [
            "kpi-store",
            "fjall",
            "load, all or nothing",
            "µs a KPI",
            "10 k",
            "100 k",
            "1 M",
            "5 M",
            "2",
            "Flat is good.",
        ] {
            assert!(picture.contains(&format!("\n{text}\n")), "{text} is missing");
        }
        // A line for each peer in each chart, beside those of the axis and of the legend.
        assert_eq!(picture.matches("<circle").count(), 2 * 4 * 4);
    }
}
