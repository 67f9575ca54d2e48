//! A picture of panels: titles, text and logarithmic axes, drawn alike in all pictures.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) type Drawn = Result<(), Box<dyn Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Of text.
pub(super) const INK: RGBColor = RGBColor(31, 41, 55);
/// Of text that explains.
pub(super) const FAINT: RGBColor = RGBColor(90, 98, 112);
/// Of the lines of an axis.
pub(super) const GRID: RGBColor = RGBColor(218, 222, 230);

/// plotters writes a text smaller than it is told.
const SIZE_OF_FONT: f64 = 1.24;

/// Where the picture's title ends and the panels start.
const HEADER: i32 = 70;

const MARGIN: i32 = 20;

/// Draws a picture of panels of this size, so many in a row, below a title and an explanation.
pub(super) fn draw_panels<T>(
    path: &Path,
    (title, explanation): (&str, &str),
    columns: usize,
    (width, height): (i32, i32),
    panels: &[T],
    draw: impl Fn(&Panel<'_, '_>, &T) -> Drawn,
) -> Drawn {
    let columns = columns.min(panels.len());
    let place =
        |index: usize| Ok::<_, Box<dyn Error>>((i32::try_from(index % columns)?, i32::try_from(index / columns)?));
    let (rows, columns_wide) = (i32::try_from(panels.len().div_ceil(columns))?, i32::try_from(columns)?);
    let size = (columns_wide * width + 2 * MARGIN, rows * height + HEADER + MARGIN);
    // With a background, the picture is legible on a dark page too.
    let area = SVGBackend::new(path, (u32::try_from(size.0)?, u32::try_from(size.1)?)).into_drawing_area();
    area.fill(&WHITE)?;
    let whole = Panel { area: &area, left: MARGIN, top: 0, width: size.0 - 2 * MARGIN };
    whole.text(title, (0, 26), 18.0, INK, HPos::Left, true)?;
    whole.text(explanation, (0, 49), 12.5, FAINT, HPos::Left, false)?;
    for (index, panel) in panels.iter().enumerate() {
        let (column, row) = place(index)?;
        let (left, top) = (MARGIN + column * width, HEADER + row * height);
        draw(&Panel { area: &area, left, top, width }, panel)?;
    }
    area.present()?;
    Ok(())
}

/// A part of the picture. Its points are relative to its upper left corner.
pub(super) struct Panel<'a, 'b> {
    area: &'a Area<'b>,
    left: i32,
    top: i32,
    pub(super) width: i32,
}

impl Panel<'_, '_> {
    /// Text of one line, whose middle is at the height of the point.
    pub(super) fn text(
        &self,
        text: &str,
        at: (i32, i32),
        size: f64,
        color: RGBColor,
        anchor: HPos,
        is_bold: bool,
    ) -> Drawn {
        let font = ("sans-serif", size * SIZE_OF_FONT).into_font();
        let font = if is_bold { font.style(FontStyle::Bold) } else { font };
        let style = TextStyle::from(font).color(&color).pos(Pos::new(anchor, VPos::Center));
        Ok(self.area.draw_text(text, &style, self.absolute(at))?)
    }

    pub(super) fn line(&self, points: &[(i32, i32)], color: RGBColor, width: u32) -> Drawn {
        let points: Vec<_> = points.iter().map(|point| self.absolute(*point)).collect();
        Ok(self.area.draw(&PathElement::new(points, color.stroke_width(width)))?)
    }

    pub(super) fn rectangle(&self, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Drawn {
        Ok(self.area.draw(&Rectangle::new([self.absolute(from), self.absolute(to)], color.filled()))?)
    }

    pub(super) fn dot(&self, at: (i32, i32), color: RGBColor) -> Drawn {
        Ok(self.area.draw(&Circle::new(self.absolute(at), 3, color.filled()))?)
    }

    fn absolute(&self, (x, y): (i32, i32)) -> (i32, i32) {
        (self.left + x, self.top + y)
    }
}

/// A logarithmic axis: two values, and the pixels that show them.
#[derive(Clone, Copy)]
pub(super) struct LogAxis {
    pub(super) least: f64,
    pub(super) greatest: f64,
    pub(super) pixels: (i32, i32),
}

impl LogAxis {
    /// An axis that shows all of these values, which are positive.
    pub(super) fn around(values: impl Iterator<Item = f64>, pixels: (i32, i32)) -> Self {
        let ends = |(least, greatest): (f64, f64), value: f64| (least.min(value), greatest.max(value));
        let (least, greatest) = values.filter(|value| *value > 0.0).fold((f64::MAX, f64::MIN_POSITIVE), ends);
        Self { least, greatest, pixels }
    }

    /// Where a value is. Values outside are at the ends.
    pub(super) fn pixel(&self, value: f64) -> i32 {
        let share = (value / self.least).ln() / (self.greatest / self.least).ln();
        let (from, to) = (f64::from(self.pixels.0), f64::from(self.pixels.1));
        #[allow(clippy::cast_possible_truncation, reason = "within the picture")]
        let pixel = (from + share.clamp(0.0, 1.0) * (to - from)).round() as i32;
        pixel
    }

    /// The powers of ten.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (least, greatest) = (self.least * 0.999, self.greatest * 1.001);
        (-9..=9).map(|power| 10_f64.powi(power)).filter(move |tick| (least..greatest).contains(tick))
    }
}
