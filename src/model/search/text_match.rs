//! The matches of a search in a text.

use std::fmt;
use std::iter;
use std::ops::Range;

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::ids::KpiId;

/// A text of a dataset in which a search found words, and where.
///
/// As JSON it has the text in segments instead of byte ranges, since JavaScript counts UTF-16 units:
/// `{"kpi": null, "field": "name", "segments": [["Water", true], [" of the year", false]]}`.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetQuery, Match, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// /// The text with the words that were found in bold.
/// fn bold(found: &Match) -> String {
///     found.segments().map(|(text, found)| if found { format!("<b>{text}</b>") } else { text.to_owned() }).collect()
/// }
///
/// organization.create_dataset(NewDataset::new("Water of the year"))?;
/// let summary = organization.summaries(&DatasetQuery::new().matching("water"))?.items.remove(0);
/// assert_eq!(bold(&summary.matches[0]), "<b>Water</b> of the year");
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Match {
    /// The KPI that the text is of, or `None` if it is of the dataset itself.
    pub kpi: Option<KpiId>,
    /// The field that holds the text.
    pub field: MatchField,
    /// The whole text, as it is stored.
    pub text: String,
    /// The ranges of bytes of `text` in which words were found: ascending, neither overlapping nor adjacent, on
    /// boundaries of characters.
    pub ranges: Vec<Range<usize>>,
}

impl Match {
    /// The whole text in segments, each with whether a word was found there. No segment is empty.
    pub fn segments(&self) -> impl Iterator<Item = (&str, bool)> {
        let ends = self.ranges.iter().flat_map(|range| [(range.start, false), (range.end, true)]);
        let mut start = 0;
        ends.chain(iter::once((self.text.len(), false))).filter_map(move |(end, found)| {
            let segment = self.text.get(start..end)?;
            start = end;
            (!segment.is_empty()).then_some((segment, found))
        })
    }
}

impl Serialize for Match {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Match", 3)?;
        object.serialize_field("kpi", &self.kpi)?;
        object.serialize_field("field", &self.field)?;
        object.serialize_field("segments", &Segments(self))?;
        object.end()
    }
}

/// Reads what [`Serialize`] writes.
impl<'de> Deserialize<'de> for Match {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            kpi: Option<KpiId>,
            field: MatchField,
            segments: Vec<(String, bool)>,
        }
        let Parts { kpi, field, segments } = Parts::deserialize(deserializer)?;
        let (mut text, mut ranges) = (String::new(), Vec::new());
        for (segment, is_found) in segments {
            let start = text.len();
            text.push_str(&segment);
            if is_found {
                ranges.push(start..text.len());
            }
        }
        Ok(Self { kpi, field, text, ranges })
    }
}

struct Segments<'m>(&'m Match);

impl Serialize for Segments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(None)?;
        for segment in self.0.segments() {
            array.serialize_element(&segment)?;
        }
        array.end()
    }
}

/// A field that is searched. Text and JSON use its lower-case name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MatchField {
    /// The name of a dataset or KPI.
    Name,
    /// The description of a dataset or KPI.
    Description,
    /// The unit of a KPI.
    Unit,
}

impl MatchField {
    /// The name in JSON: `name`, `description` or `unit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchField::Name => "name",
            MatchField::Description => "description",
            MatchField::Unit => "unit",
        }
    }
}

impl fmt::Display for MatchField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, ranges: &[(usize, usize)]) -> Match {
        let ranges = ranges.iter().map(|&(start, end)| start..end).collect();
        Match { kpi: None, field: MatchField::Description, text: text.to_owned(), ranges }
    }

    #[test]
    fn the_segments_are_the_whole_text() {
        for (text, ranges, segments) in [
            (
                "Água del año",
                &[(0, 5), (10, 13)][..],
                &[("Água", true), (" del ", false), ("añ", true), ("o", false)][..],
            ),
            ("aXb", &[(1, 2)], &[("a", false), ("X", true), ("b", false)]),
            ("X", &[(0, 1)], &[("X", true)]),
            ("none", &[], &[("none", false)]),
            ("", &[], &[]),
        ] {
            assert_eq!(found(text, ranges).segments().collect::<Vec<_>>(), segments, "{text}");
        }
    }

    #[test]
    fn json_has_segments_instead_of_bytes() {
        let json = r#"{"kpi":null,"field":"description","segments":[["m³ of ",false],["water",true]]}"#;
        assert_eq!(serde_json::to_string(&found("m³ of water", &[(7, 12)])).unwrap(), json);
        for field in [MatchField::Name, MatchField::Description, MatchField::Unit] {
            assert_eq!(serde_json::to_value(field).unwrap(), field.to_string());
        }
    }
}
